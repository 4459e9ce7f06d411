// SPDX-License-Identifier: MIT OR Apache-2.0
//! The picture and the story hold for every tree and every event: they never panic, never emit
//! what a terminal would obey, and lose no node.

use proptest::prelude::*;
use supd::ctl::picture::{Detail, headline, nodes, whole};
use supd::ctl::{Style, story, visible};
use supd::wire::{
    BudgetLine, ConfigView, DaemonView, DecisionLine, EventLine, FailureLine, LastExit, NodeKind,
    NodeView, Status, StoppedBy, Word,
};

/// Any text, with a liking for what is dangerous.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}",
        any::<String>(),
        Just("\u{1b}[2J\u{9b}31m\u{202e}\r\n\t\0".to_owned()),
        Just(String::new()),
    ]
}

fn word() -> impl Strategy<Value = Word> {
    let states = "starting ready unready stopping stopped backoff remediating held waiting parked \
                  unkillable done up degraded down";
    let states: Vec<Word> = states.split_whitespace().map(Word::Borrowed).collect();
    prop_oneof![
        9 => proptest::sample::select(states),
        1 => text().prop_map(Word::Owned),
    ]
}

fn last_exit() -> impl Strategy<Value = LastExit> {
    (
        text(),
        any::<Option<u8>>(),
        proptest::option::of(text()),
        any::<(bool, bool, i32)>(),
        any::<Option<u64>>(),
    )
        .prop_map(
            |(class, code, signal, (core, failed, errno), ms)| LastExit {
                class: class.clone().into(),
                code,
                signal: signal.map(Word::Owned),
                core,
                failure: failed.then(|| FailureLine {
                    stage: class.into(),
                    errno,
                    message: None,
                    path: None,
                }),
                ago_ms: ms,
                uptime_ms: ms,
                ..LastExit::default()
            },
        )
}

fn leaf() -> impl Strategy<Value = NodeView> {
    let kinds = vec![
        NodeKind::Service,
        NodeKind::Supervisor,
        NodeKind::Pool,
        NodeKind::Unknown,
    ];
    (
        (text(), proptest::sample::select(kinds), word()),
        any::<(u64, bool, bool, bool)>(),
        (
            any::<Option<i32>>(),
            any::<(u64, u64)>(),
            any::<Option<u64>>(),
        ),
        proptest::option::of(last_exit()),
        (
            any::<Option<f64>>(),
            any::<Option<u32>>(),
            proptest::option::of(text()),
        ),
    )
        .prop_map(
            |((name, kind, state), flags, (pid, restarts, ms), last_exit, rest)| {
                let (since_ms, ready, oneshot, pinned) = flags;
                let (seconds, max, message) = rest;
                NodeView {
                    path: name.clone(),
                    restarts_because: message.clone(),
                    waiting_for: message.clone(),
                    strategy: message.clone().map(Word::Owned),
                    stopped_by: pinned.then(|| StoppedBy {
                        uid: max,
                        ago_ms: ms,
                        ..StoppedBy::default()
                    }),
                    restarts: restarts.0,
                    restarts_by_group: restarts.1,
                    used: max,
                    rss_kb: ms,
                    delay_ms: ms,
                    up_ms: ms,
                    name,
                    kind,
                    state,
                    since_ms,
                    ready,
                    oneshot,
                    pinned,
                    pid,
                    last_exit,
                    seconds,
                    max,
                    message,
                    ..NodeView::default()
                }
            },
        )
}

fn tree() -> impl Strategy<Value = NodeView> {
    leaf().prop_recursive(5, 40, 6, |inner| {
        (leaf(), proptest::collection::vec(inner, 0..6))
            .prop_map(|(node, children)| NodeView { children, ..node })
    })
}

fn status() -> impl Strategy<Value = Status> {
    (
        tree(),
        text(),
        any::<(i32, u64)>(),
        proptest::collection::vec(text(), 0..4),
    )
        .prop_map(|(root, version, (pid, up_ms), files)| Status {
            v: 1,
            seq: up_ms,
            counts: files
                .iter()
                .map(|f| (Word::Owned(f.clone()), up_ms))
                .collect(),
            daemon: DaemonView {
                config: Some(ConfigView {
                    hash: version.clone(),
                    files,
                    applied: None,
                    applied_ms: Some(up_ms),
                }),
                version,
                pid,
                up_ms,
                ..DaemonView::default()
            },
            root,
        })
}

fn event() -> impl Strategy<Value = EventLine> {
    let source = include_str!("../src/wire/event.rs");
    let kinds: Vec<Word> = source
        .lines()
        .filter_map(|line| line.split_once(": &str = \"")?.1.strip_suffix("\";"))
        .map(|kind| Word::Owned(kind.to_owned()))
        .collect();
    assert!(kinds.len() > 20, "the kinds are read from the source");
    (
        proptest::sample::select(kinds),
        text(),
        any::<(bool, u64, u32, f64)>(),
        any::<Option<u8>>(),
    )
        .prop_map(|(kind, text, (full, n, m, seconds), code)| {
            let bare = EventLine {
                kind,
                ts: text.clone(),
                seq: n,
                code,
                ..EventLine::default()
            };
            if !full {
                return bare;
            }
            let word = || Some(Word::Owned(text.clone()));
            EventLine {
                node: Some(text.clone()),
                run: Some(n),
                class: word(),
                signal: word(),
                uptime_ms: Some(n),
                took_ms: Some(n),
                delay_ms: Some(n),
                attempt: Some(m),
                cause: Some(n),
                budget: Some(BudgetLine {
                    supervisor: text.clone(),
                    bucket: Word::Borrowed("main"),
                    used: m,
                    max: m,
                    seconds: Some(seconds),
                }),
                decision: Some(DecisionLine {
                    action: Word::Owned(text.clone()),
                    scope: vec![text.clone()],
                    delay_ms: Some(n),
                }),
                why: word(),
                child: Some(text.clone()),
                strategy: word(),
                scope: vec![text.clone()],
                verb: word(),
                waiting_for: Some(text.clone()),
                health: word(),
                message: Some(text),
                ..bare
            }
        })
}

fn count(node: &NodeView) -> usize {
    1 + node.children.iter().map(count).sum::<usize>()
}

/// Without the colours that the picture itself puts in.
fn bare(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        out.push_str(before);
        let (code, after) = after.split_once('m').expect("a colour ends");
        assert!(
            code.bytes().all(|b| b.is_ascii_digit()),
            "only colours: {code:?}"
        );
        rest = after;
    }
    out.push_str(rest);
    out
}

const PLAIN: Style = Style {
    colour: false,
    unicode: true,
};
const COLOURED: Style = Style {
    colour: true,
    unicode: true,
};

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(128)
    })]

    #[test]
    fn every_tree_has_a_picture(status in status()) {
        let full = nodes(&[&status.root], PLAIN, Detail::Full);
        prop_assert_eq!(full.lines().count(), count(&status.root), "one line per node");
        for detail in [Detail::Short, Detail::Full] {
            let plain = whole(&status, PLAIN, detail);
            let is_harmless = plain.chars().all(|c| c == '\n' || !c.is_control());
            prop_assert!(is_harmless, "{:?}", plain);
            prop_assert_eq!(bare(&whole(&status, COLOURED, detail)), plain, "colours change nothing else");
        }
        prop_assert!(!headline(&status, PLAIN).contains('\n'));
    }

    #[test]
    fn every_event_has_its_line(event in event()) {
        let line = story::line(&event);
        let is_harmless = line.chars().all(|c| !c.is_control());
        prop_assert!(is_harmless, "{:?}", line);
        let number = format!("#{}", event.seq);
        prop_assert!(line.contains(&number));
    }

    #[test]
    fn nothing_visible_is_obeyed_and_plain_text_stays(text in text()) {
        let shown = visible(&text);
        let turns = '\u{202a}'..='\u{202e}';
        let is_harmless = shown.chars().all(|c| !c.is_control() && !turns.contains(&c));
        prop_assert!(is_harmless, "{:?}", shown);
        prop_assert_eq!(visible(&shown), shown.clone(), "once is enough");
        if text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            prop_assert_eq!(shown, text);
        }
    }
}
