// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a node is as it is: one sentence with what happens next, what failed and how alike that
//! was, last words, the chain of causes, what to try.
//!
//! It reads the tree and the events that the daemon keeps, and follows the numbers that tie events
//! together; it never guesses a cause. Pure: views and events in, a [`Why`] out.

#![expect(
    clippy::format_push_string,
    reason = "text for people, written once; a `write!` to it could only be ignored"
)]

use super::ends;
use super::tries::{self, Case};
use super::words::span;
use crate::wire::{
    EventLine, FailureKind, FailuresLine, LastExit, LastWords, NodeKind, NodeView, Why, kind,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// Lines of last words.
const WORDS_MAX: usize = 3;
/// Kinds of ends that are told apart.
const KINDS_MAX: usize = 3;

/// The commonest first mistake.
const DAEMONIZED: &str = "it went into the background: its process ended well and left others, \
     which were killed. Let it stay in the foreground: a flag such as --foreground, --nodaemon or \
     -g 'daemon off;', no `&` at its end";

/// Everything about `node`. `root` is the whole tree, `events` what is kept, oldest first, and
/// `day_ms` the time of day in milliseconds, UTC.
pub fn why(root: &NodeView, node: &NodeView, (events, day_ms): (&[EventLine], u64)) -> Why {
    let story = story_of(node, events);
    let culprit = blocker(root, node).unwrap_or(node);
    let failures = failures(culprit, &story, events);
    let last_words = last_words(&story);
    let exit = culprit.last_exit.as_ref();
    let daemonized = exit.is_some_and(|e| e.qualifiers.iter().any(|q| *q == "daemonized"));
    Why {
        sentence: sentence(root, node, (&story, day_ms)),
        waiters: waiters(root, node),
        advice: daemonized.then(|| DAEMONIZED.to_owned()),
        tries: tries::of(&Case {
            node,
            blocker: blocker(root, node),
            exit,
            words: last_words.as_ref(),
        }),
        failures,
        last_words,
        node: NodeView {
            children: Vec::new(),
            ..node.clone()
        },
        events: story.into_iter().cloned().collect(),
    }
}

fn is_below(event: &EventLine, node: &NodeView) -> bool {
    let path = event.path.as_deref().unwrap_or_default();
    path.strip_prefix(node.path.as_str())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The events that led to how the node is: the chain of causes of its last one, and what belongs
/// to the same incident.
fn story_of<'a>(node: &NodeView, events: &'a [EventLine]) -> Vec<&'a EventLine> {
    let Some(last) = events.iter().rev().find(|event| is_below(event, node)) else {
        return Vec::new();
    };
    let at = |seq: u64| {
        let found = events.binary_search_by_key(&seq, |event| event.seq);
        found.ok().map(|at| &events[at])
    };
    let mut chain = BTreeSet::new();
    let mut next = Some(last);
    while let Some(event) = next {
        // Causes lie in the past; a number that does not would lead in a circle.
        if !chain.insert(event.seq) {
            break;
        }
        next = event.cause.filter(|cause| *cause < event.seq).and_then(at);
        let opens = |name: &String| *name == format!("i{}", event.seq);
        if event.kind == kind::SERVICE_EXITED && event.incident.as_ref().is_none_or(opens) {
            // What went well before it is no part of how it got here; what somebody did is.
            let order = next.filter(|cause| cause.kind == kind::COMMAND);
            chain.extend(order.map(|cause| cause.seq));
            break;
        }
    }
    let incident = events
        .iter()
        .rev()
        .filter(|event| chain.contains(&event.seq))
        .find_map(|event| event.incident.as_ref());
    let opener = incident.and_then(|name| name.strip_prefix('i')?.parse::<u64>().ok());
    chain.extend(opener);
    events
        .iter()
        .filter(|event| {
            chain.contains(&event.seq)
                || (incident.is_some() && event.incident.as_ref() == incident)
        })
        .collect()
}

/// Whom it waits for, if it waits for somebody who is not well.
fn blocker<'a>(root: &'a NodeView, node: &NodeView) -> Option<&'a NodeView> {
    let name = node.waiting_for.as_ref()?;
    find(root, name).filter(|other| other.name != node.name)
}

/// Recursion is bounded by the depth of a tree.
fn find<'a>(at: &'a NodeView, name: &str) -> Option<&'a NodeView> {
    if at.name == name {
        return Some(at);
    }
    at.children.iter().find_map(|child| find(child, name))
}

fn parent<'a>(root: &'a NodeView, node: &NodeView) -> Option<&'a NodeView> {
    let is = |child: &NodeView| child.path == node.path;
    if root.children.iter().any(is) {
        return Some(root);
    }
    let mut below = root.children.iter();
    below.find_map(|child| parent(child, node))
}

/// Who waits for this node, in the order of the tree.
fn waiters(root: &NodeView, node: &NodeView) -> Vec<String> {
    let mut found = Vec::new();
    collect_waiters(root, node, &mut found);
    found
}

fn collect_waiters(at: &NodeView, node: &NodeView, found: &mut Vec<String>) {
    if at.waiting_for.as_ref() == Some(&node.name) && at.name != node.name {
        found.push(at.name.clone());
    }
    for child in &at.children {
        collect_waiters(child, node, found);
    }
}

/// The last one of the story that failed and had something to say.
fn last_words(story: &[&EventLine]) -> Option<LastWords> {
    let failed = story
        .iter()
        .rev()
        .find(|event| event.kind == kind::SERVICE_EXITED && !event.last_lines.is_empty())?;
    let from = failed.last_lines.len().saturating_sub(WORDS_MAX);
    Some(LastWords {
        node: failed.node.clone().unwrap_or_default(),
        run: failed.run,
        lines: failed.last_lines[from..].to_vec(),
    })
}

/// The ends of a service that belong to this story; of several.
fn failures(node: &NodeView, story: &[&EventLine], events: &[EventLine]) -> Option<FailuresLine> {
    let incident = story
        .iter()
        .rev()
        .find_map(|event| event.incident.as_ref())?;
    let own = |event: &&EventLine| {
        let failed = !matches!(event.family.as_deref(), Some("requested" | "clean") | None);
        event.kind == kind::SERVICE_EXITED
            && event.node.as_ref() == Some(&node.name)
            && event.incident.as_ref() == Some(incident)
            && failed
    };
    let mut kinds: Vec<(FailureKind, Vec<u64>)> = Vec::new();
    for event in events.iter().filter(own) {
        let how = ends::how(&exit_of(event));
        let class = event.class.clone().unwrap_or_default();
        let uptime = event.uptime_ms.unwrap_or_default();
        let same =
            |(kind, _): &&mut (FailureKind, Vec<u64>)| kind.how == how && kind.class == class;
        if let Some((kind, uptimes)) = kinds.iter_mut().find(same) {
            kind.count += 1;
            uptimes.push(uptime);
            continue;
        }
        let (count, uptime_ms) = (1, None);
        let kind = FailureKind {
            how,
            class,
            count,
            uptime_ms,
        };
        kinds.push((kind, vec![uptime]));
    }
    let count = kinds.iter().map(|(kind, _)| kind.count).sum();
    let alike = kinds.len() == 1;
    kinds.sort_by_key(|(kind, _)| std::cmp::Reverse(kind.count));
    kinds.truncate(KINDS_MAX);
    let kinds = kinds.into_iter().map(|(mut kind, mut uptimes)| {
        uptimes.sort_unstable();
        kind.uptime_ms = uptimes.get(uptimes.len() / 2).copied();
        kind
    });
    (count > 1).then(|| FailuresLine {
        node: node.name.clone(),
        count,
        alike,
        kinds: kinds.collect(),
    })
}

fn exit_of(event: &EventLine) -> LastExit {
    LastExit {
        class: event.class.clone().unwrap_or_default(),
        code: event.code,
        signal: event.signal.clone(),
        core: event.core,
        failure: event.failure.clone(),
        ..LastExit::default()
    }
}

/// `ws is HELD by the budget of api (22s of 1m); next start in 38s, at 14:02:48`.
fn sentence(root: &NodeView, node: &NodeView, (story, day_ms): (&[&EventLine], u64)) -> String {
    let since = ms(node.since_ms);
    let name = &node.name;
    let state = node.state.to_uppercase().replace('_', " ");
    let mut text = match &*node.state {
        "held" | "parked" => {
            let by = holder(node, story).unwrap_or_default();
            let whole = node
                .delay_ms
                .map(|left| ms(node.since_ms.saturating_add(left)));
            let of = whole.map_or_else(String::new, |whole| format!(" of {whole}"));
            format!("{name} is {state}{by} ({since}{of})")
        }
        "starting" => {
            let limit = node
                .limit_ms
                .map_or_else(String::new, |l| format!(" of {}", ms(l)));
            format!("{name} is {state} ({since}{limit})")
        }
        _ => format!("{name} is {state} ({since})"),
    };
    let rest = [next(root, node, day_ms), own(node), past(node)];
    for part in rest.into_iter().flatten() {
        text.push_str("; ");
        text.push_str(&part);
    }
    let waiters = waiters(root, node);
    if !waiters.is_empty() {
        let verb = if waiters.len() == 1 { "waits" } else { "wait" };
        let rule = parent(root, node).and_then(|sup| sup.strategy.as_ref());
        let rule = rule.map_or_else(String::new, |rule| format!(" ({rule})"));
        text.push_str(&format!(". {} {verb} for it{rule}", waiters.join(", ")));
    }
    text
}

/// Who holds it, as its last event says.
fn holder(node: &NodeView, story: &[&EventLine]) -> Option<String> {
    match node.held_by.as_deref() {
        Some("hold_after") => return Some(" by its hold_after".to_owned()),
        Some("budget") | None => {}
        Some(breaker) => return Some(format!(" by the breaker {breaker}")),
    }
    let event = story.iter().rev().find(|event| {
        let held = matches!(&*event.kind, kind::SERVICE_HELD | kind::SERVICE_PARKED);
        held && event.node.as_ref() == Some(&node.name)
    })?;
    let budget = event.budget.as_ref()?;
    let bucket = match &*budget.bucket {
        "main" => String::new(),
        family => format!(" for {family}"),
    };
    Some(format!(" by the budget of {}{bucket}", budget.supervisor))
}

/// What happens next, and when.
fn next(root: &NodeView, node: &NodeView, day_ms: u64) -> Option<String> {
    if let Some(name) = &node.waiting_for {
        let how = blocker(root, node).map_or_else(String::new, |other| {
            let when = other
                .delay_ms
                .map(|left| format!(", its next start is {}", at(left, day_ms)));
            format!(", which is {}{}", other.state, when.unwrap_or_default())
        });
        return Some(format!("it waits for {name}{how}"));
    }
    let trial = node.held_by.as_deref().is_some_and(|by| by != "budget");
    match (&*node.state, node.delay_ms, &node.awaits) {
        ("held", Some(left), _) if trial => Some(format!("next trial start {}", at(left, day_ms))),
        (_, Some(left), _) => Some(format!("next start {}", at(left, day_ms))),
        (_, None, Some(what)) => Some(format!("it waits for {what}")),
        ("parked", None, None) => Some("nothing starts it until somebody does".to_owned()),
        ("stopped", None, None) => Some(match &node.stopped_by {
            Some(by) => {
                let who = by
                    .uid
                    .map_or_else(|| "by hand".to_owned(), |uid| format!("by uid {uid}"));
                format!("stopped {who}, stays down until it is started")
            }
            None => "stays down until it is started".to_owned(),
        }),
        _ => None,
    }
}

/// `in 38s, at 14:02:48`.
fn at(left_ms: u64, day_ms: u64) -> String {
    let second = (day_ms.saturating_add(left_ms) / 1000) % 86_400;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("in {}, at {hour:02}:{minute:02}:{second:02}", ms(left_ms))
}

/// What is particular about it.
fn own(node: &NodeView) -> Option<String> {
    let mut parts = Vec::new();
    if node.pinned {
        parts.push("pinned: nobody touches it until it is unpinned".to_owned());
    }
    let sick = node.sick.as_deref();
    parts.extend(sick.map(|what| format!("failed {what}")));
    let unusual = node.process.as_deref();
    parts.extend(unusual.map(|words| format!("its process is {words}")));
    let ill: Vec<String> = node
        .children
        .iter()
        .filter(|child| !matches!(&*child.state, "ready" | "up" | "done"))
        .map(|child| format!("{} is {}", child.name, child.state))
        .collect();
    if !ill.is_empty() && node.state == "degraded" {
        parts.push(ill.join(", "));
    }
    let supervises = matches!(node.kind, NodeKind::Supervisor | NodeKind::Pool);
    if let (true, Some(used), Some(max)) = (supervises, node.used, node.max) {
        let window = node
            .seconds
            .and_then(|s| Duration::try_from_secs_f64(s).ok());
        let window = window.map_or_else(String::new, |window| format!(" in {}", span(window)));
        parts.push(format!("{used}/{max} restarts{window}"));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// How it ended the last time, and how often it was started again.
fn past(node: &NodeView) -> Option<String> {
    let exit = node.last_exit.as_ref()?;
    let ago = exit
        .ago_ms
        .map_or_else(String::new, |ago| format!(" {} ago", ms(ago)));
    let mut text = format!("last end: {}{ago}", ends::ended(exit));
    match node.restarts {
        0 => {}
        1 => text.push_str(", 1 restart"),
        more => text.push_str(&format!(", {more} restarts")),
    }
    Some(text)
}

/// A span as one would say it: from ten seconds on in whole ones.
fn ms(ms: u64) -> String {
    let whole = if ms < 10_000 {
        ms
    } else {
        (ms + 500) / 1000 * 1000
    };
    span(Duration::from_millis(whole))
}
