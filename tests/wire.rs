// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shapes of the protocol, each against its golden file in `tests/wire`: what is written there
//! is read, and written again without a loss. A field that is renamed or dropped fails here, and
//! so does a shape that refuses a field of a later version.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use supd::wire::socket_path::{DirFacts, Place, Surroundings, ladder};
use supd::wire::{
    BreakerList, ChildRequest, CommandReply, ConfigRequest, ConfigText, DrillReply, DrillRequest,
    ErrorBody, EventLine, ForceRequest, ForceVerb, Gap, Health, Heartbeat, LogItem, LogLine,
    NoRoute, NodeKind, NodeView, Plan, Query, ReloadReply, RemediateRequest, Remediations,
    RestartRequest, Route, ScaleRequest, ShutdownRequest, SignalRequest, Snapshot, Status,
    StreamItem, Verb, Why, code, query, span,
};

fn golden(name: &str) -> Value {
    let path = format!("{}/tests/wire/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("a golden file");
    serde_json::from_str(&text).expect("JSON")
}

/// Reads a golden file as `T`, writes it and compares; then with unknown fields everywhere.
fn keeps<T: Serialize + DeserializeOwned>(name: &str) {
    let wanted = golden(name);
    let read: T = serde_json::from_value(wanted.clone()).expect(name);
    let written = serde_json::to_value(&read).expect(name);
    assert_eq!(written, wanted, "{name}");

    let mut later = wanted.clone();
    add_unknown(&mut later);
    let read: T = serde_json::from_value(later).expect(name);
    let written = serde_json::to_value(&read).expect(name);
    assert_eq!(written, wanted, "{name} with fields of a later version");
}

fn add_unknown(value: &mut Value) {
    match value {
        Value::Object(fields)
            if fields
                .keys()
                .next()
                .is_some_and(|k| k != "held" && k != "failed") =>
        {
            fields.values_mut().for_each(add_unknown);
            fields.insert("of_a_later_version".to_owned(), Value::from(vec![1, 2]));
        }
        Value::Array(items) => items.iter_mut().for_each(add_unknown),
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_shape_keeps_its_golden_file() {
    type Check = fn(&str);
    let shapes: [(&str, Check); 27] = [
        ("breaker_list", keeps::<BreakerList>),
        ("force_request", keeps::<ForceRequest>),
        ("child_request", keeps::<ChildRequest>),
        ("command_reply", keeps::<CommandReply>),
        ("config_request", keeps::<ConfigRequest>),
        ("config_text", keeps::<ConfigText>),
        ("plan", keeps::<Plan>),
        ("drill_request", keeps::<DrillRequest>),
        ("drill_reply", keeps::<DrillReply>),
        ("error", keeps::<ErrorBody>),
        ("event_exited", keeps::<EventLine>),
        ("event_spawn_failed", keeps::<EventLine>),
        ("event_words", keeps::<EventLine>),
        ("gap", keeps::<Gap>),
        ("health", keeps::<Health>),
        ("heartbeat", keeps::<Heartbeat>),
        ("log_line", keeps::<LogLine>),
        ("reload_reply", keeps::<ReloadReply>),
        ("remediate_request", keeps::<RemediateRequest>),
        ("remediations", keeps::<Remediations>),
        ("restart_request", keeps::<RestartRequest>),
        ("scale_request", keeps::<ScaleRequest>),
        ("shutdown_request", keeps::<ShutdownRequest>),
        ("signal_request", keeps::<SignalRequest>),
        ("snapshot", keeps::<Snapshot>),
        ("status", keeps::<Status>),
        ("why", keeps::<Why>),
    ];
    for (name, check) in shapes {
        check(name);
    }
    let tested: BTreeSet<String> = shapes.map(|(name, _)| format!("{name}.json")).into();
    let there: BTreeSet<String> =
        std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire"))
            .expect("the golden files")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("UTF-8")
            })
            .collect();
    assert_eq!(there, tested, "every golden file is tested");
}

#[test]
fn the_golden_events_together_have_every_field() {
    let mut seen = BTreeSet::new();
    for name in ["event_exited", "event_spawn_failed", "event_words"] {
        let Value::Object(fields) = golden(name) else {
            panic!("{name} is no object")
        };
        seen.extend(fields.into_iter().map(|(key, _)| key));
    }
    let source = include_str!("../src/wire/event.rs");
    let body = source
        .split_once("pub struct EventLine {")
        .and_then(|(_, rest)| rest.split_once("\n}"))
        .expect("the event's declaration")
        .0;
    let declared: BTreeSet<String> = body
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':'))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(seen, declared);
}

#[test]
fn what_is_absent_is_left_out() {
    let view = NodeView {
        name: "web".into(),
        path: "root/web".into(),
        state: "stopped".into(),
        ..NodeView::default()
    };
    let text = serde_json::to_string(&view).expect("JSON");
    insta::assert_snapshot!(
        text,
        @r#"{"name":"web","path":"root/web","kind":"service","state":"stopped","since_ms":0,"ready":false}"#
    );
    let error = ErrorBody::new(code::NO_SUCH_NODE, "no node `wb`");
    insta::assert_snapshot!(
        serde_json::to_string(&error).expect("JSON"),
        @r#"{"error":{"code":"no_such_node","message":"no node `wb`"}}"#
    );
}

#[test]
fn words_of_a_later_version_do_not_stop_a_reader() {
    let text = r#"{"name":"x","path":"x","kind":"swarm","state":"dreaming","since_ms":1}"#;
    let view: NodeView = serde_json::from_str(text).expect("a node");
    assert_eq!((view.kind, &*view.state), (NodeKind::Unknown, "dreaming"));
}

#[test]
fn a_streams_line_is_what_its_kind_says() {
    let line = |name| golden(name).to_string();
    assert!(
        matches!(StreamItem::parse(&line("snapshot")), Ok(StreamItem::Snapshot(s)) if s.seq == 3)
    );
    assert!(
        matches!(StreamItem::parse(&line("event_exited")), Ok(StreamItem::Event(e)) if e.seq == 801)
    );
    assert!(
        matches!(StreamItem::parse(&line("heartbeat")), Ok(StreamItem::Heartbeat(h)) if h.seq == 812)
    );
    assert!(
        matches!(StreamItem::parse(&line("gap")), Ok(StreamItem::Gap(g)) if (g.from, g.to) == (700, 811))
    );
    assert!(
        StreamItem::parse(r#"{"kind":"gap","from":1}"#).is_err(),
        "a damaged gap is no event"
    );
    assert!(matches!(LogItem::parse(&line("log_line")), Ok(LogItem::Line(l)) if l.run == 7));
    assert!(matches!(
        LogItem::parse(&line("heartbeat")),
        Ok(LogItem::Heartbeat(_))
    ));
    assert!(matches!(LogItem::parse(&line("gap")), Ok(LogItem::Gap(_))));
    let status: Status = serde_json::from_value(golden("status")).expect("a status");
    assert_eq!(Snapshot::new(status).seq, 812);
}

#[test]
fn every_route_reads_back_what_it_writes() {
    let name = || "root/api/w%b é".to_owned();
    let mut routes = vec![
        Route::Tree,
        Route::Breakers,
        Route::Node(name()),
        Route::History(name()),
        Route::Why(name()),
        Route::Logs(name()),
        Route::AddChild(name()),
        Route::Delete(name()),
        Route::Events,
        Route::Remediations,
        Route::Plan,
        Route::Drill,
        Route::Apply,
        Route::Reload,
        Route::Config,
        Route::Shutdown,
        Route::Health,
        Route::OpenApi,
        Route::Metrics,
    ];
    routes.extend(ForceVerb::ALL.map(|verb| Route::Force(name(), verb)));
    routes.extend(Verb::ALL.map(|verb| Route::Act(name(), verb)));
    for route in routes {
        assert!(route.path().is_ascii(), "{}", route.path());
        assert_eq!(Route::parse(route.method(), &route.path()), Ok(route));
    }
}

#[test]
fn a_request_line_that_names_nothing_says_why() {
    for path in [
        "",
        "/",
        "/v1",
        "/v1/",
        "/v1/tre",
        "/v1/nodes",
        "/v1/nodes/",
        "/v1/nodes/a/b",
        "/v1/nodes/a/start/now",
        "/v2/tree",
        "/metrics/x",
        "v1/tree",
        "/v1/tree/",
    ] {
        assert_eq!(Route::parse("GET", path), Err(NoRoute::NotFound), "{path}");
    }
    assert_eq!(
        Route::parse("POST", "/v1/tree"),
        Err(NoRoute::Method("GET"))
    );
    assert_eq!(
        Route::parse("GET", "/v1/nodes/a/stop"),
        Err(NoRoute::Method("POST"))
    );
    assert_eq!(
        Route::parse("PUT", "/v1/nodes/a"),
        Err(NoRoute::Method("GET, DELETE"))
    );
    assert_eq!(Route::parse("GET", "/v1/nodes/%zz"), Err(NoRoute::Encoding));
    assert_eq!(Route::parse("GET", "/v1/nodes/%ff"), Err(NoRoute::Encoding));
}

#[test]
fn only_reads_are_reads() {
    assert!(Route::Tree.is_read() && !Route::Plan.is_read() && Route::Logs("a".into()).is_read());
    assert!(!Route::Apply.is_read() && !Route::Delete("a".into()).is_read());
    assert!(!Route::Act("a".into(), Verb::Pin).is_read());
}

#[test]
fn parameters_survive_the_way_through_a_url() {
    let sent = Query::default()
        .with(query::WAIT, "30s")
        .with(query::KIND, "a&b=c d%")
        .with(query::KIND, "RTMIN+3")
        .with(query::FOLLOW, 1);
    let text = sent.to_string();
    let got = Query::parse(text.strip_prefix('?').expect("a question mark")).expect("a query");
    assert_eq!(got, sent);
    assert_eq!(
        got.all(query::KIND).collect::<Vec<_>>(),
        ["a&b=c d%", "RTMIN+3"]
    );
    assert!(got.is_on(query::FOLLOW) && !got.is_on(query::LINES));
    assert_eq!(Query::default().to_string(), "");
    assert_eq!(Query::parse("a=%4"), None);
    assert!(
        !Query::parse("follow=0")
            .expect("a query")
            .is_on(query::FOLLOW)
    );
}

#[test]
fn spans_read_as_in_the_configuration() {
    let ms = |n| Some(Duration::from_millis(n));
    assert_eq!(span::parse("0"), ms(0));
    assert_eq!(span::parse("200ms"), ms(200));
    assert_eq!(span::parse("1m30s"), ms(90_000));
    assert_eq!(span::parse("1d"), ms(86_400_000));
    for wrong in [
        "",
        "5",
        "s",
        "5x",
        "1m 30s",
        "-5s",
        "1.5s",
        "99999999999999999999s",
        "5ß",
    ] {
        assert_eq!(span::parse(wrong), None, "{wrong}");
    }
    for millis in [0, 1, 200, 90_000, 3_600_000, 86_400_000, 86_400_001] {
        let span = Duration::from_millis(millis);
        assert_eq!(span::parse(&span::format(span)), Some(span));
    }
    assert_eq!(span::format(Duration::from_secs(30)), "30s");
}

fn places(around: &Surroundings) -> Vec<String> {
    ladder(around).iter().map(Place::display).collect()
}

#[test]
fn the_ladder_of_sockets_is_walked_from_the_top() {
    let around = Surroundings {
        xdg_runtime_dir: Some("/run/user/1000".into()),
        tmpdir: Some("/var/tmp".into()),
        uid: 1000,
        ..Surroundings::default()
    };
    assert_eq!(
        places(&around),
        [
            "/run/supd/supd.sock",
            "/run/user/1000/supd.sock",
            "/var/tmp/supd-1000/supd.sock",
            "/tmp/supd-1000/supd.sock",
            "/dev/shm/supd-1000/supd.sock",
        ]
    );
    let again = Surroundings {
        tmpdir: Some("/tmp".into()),
        ..around.clone()
    };
    assert_eq!(places(&again).len(), 4, "no place is tried twice");
    let relative = Surroundings {
        tmpdir: Some("tmp".into()),
        ..around.clone()
    };
    assert_eq!(
        places(&relative).len(),
        4,
        "a relative directory is no place"
    );
    let long = Surroundings {
        tmpdir: Some(OsString::from(format!("/{}", "x".repeat(100)))),
        ..around
    };
    assert_eq!(places(&long).len(), 4, "sun_path has its limit");
}

#[test]
fn a_socket_that_was_named_is_the_only_one() {
    let mut around = Surroundings {
        supd_socket: Some("@supd".into()),
        ..Surroundings::default()
    };
    assert_eq!(ladder(&around), [Place::Abstract(b"supd".to_vec())]);
    assert_eq!(places(&around), ["@supd"]);
    around.asked = Some("x.sock".into());
    assert_eq!(ladder(&around), [Place::Asked(PathBuf::from("x.sock"))]);
    around.asked = Some("".into());
    assert_eq!(places(&around), ["@supd"], "an empty word names nothing");
}

#[test]
fn a_client_looks_where_the_user_of_process_1_would_be() {
    let around = Surroundings {
        uid: 0,
        other_uid: Some(1000),
        ..Surroundings::default()
    };
    assert_eq!(
        places(&around)[1..],
        [
            "/tmp/supd-0/supd.sock",
            "/dev/shm/supd-0/supd.sock",
            "/tmp/supd-1000/supd.sock",
            "/dev/shm/supd-1000/supd.sock",
        ]
    );
    let same = Surroundings {
        other_uid: Some(0),
        ..around
    };
    assert_eq!(places(&same).len(), 3, "no place is tried twice");
}

#[test]
fn a_directory_that_others_can_play_with_is_refused() {
    let dir = |uid, mode: u32| DirFacts {
        is_dir: true,
        uid,
        mode: 0o40_000 | mode,
    };
    let path = || PathBuf::from("/x/supd.sock");
    let own = |uid| Place::Own {
        dir: "/x".into(),
        path: path(),
        uid,
    };
    let (asked, system, session) = (
        Place::Asked(path()),
        Place::System(path()),
        Place::Session(path()),
    );
    let cases = [
        (own(7), dir(7, 0o700), true),
        (own(7), dir(8, 0o700), false),
        (own(7), dir(7, 0o710), false),
        (own(8), dir(8, 0o700), true),
        (asked.clone(), dir(8, 0o755), true),
        (asked.clone(), dir(0, 0o1777), true),
        (asked, dir(7, 0o777), false),
        (system.clone(), dir(0, 0o755), true),
        (system.clone(), dir(7, 0o750), true),
        (system.clone(), dir(8, 0o755), false),
        (system, dir(0, 0o777), false),
        (session.clone(), dir(7, 0o700), true),
        (session, dir(0, 0o755), false),
    ];
    for (place, facts, wanted) in cases {
        let found = place.check(facts, 7);
        assert_eq!(found.is_ok(), wanted, "{place:?} {facts:?}: {found:?}");
    }
    let link = DirFacts {
        is_dir: false,
        ..dir(7, 0o700)
    };
    assert!(own(7).check(link, 7).is_err());
}
