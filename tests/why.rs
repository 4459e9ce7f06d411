// SPDX-License-Identifier: MIT OR Apache-2.0
//! supctl why: one sentence with what happens next, what failed and how alike that was, last
//! words, the chain of causes, what to try. The daemon is none; what it answers is what the real
//! one makes of these events.

mod fake_daemon;

use fake_daemon::{FakeDaemon, Script};
use insta::assert_snapshot;

const TREE: &str = include_str!("ctl/tree.json");
const EVENTS: &str = include_str!("ctl/events.ndjson");

fn with_tree() -> Script {
    let one_line: serde_json::Value = serde_json::from_str(TREE).expect("a tree");
    Script::default().json("GET /v1/tree", 200, &one_line.to_string())
}

fn event_lines() -> Vec<String> {
    EVENTS.lines().map(str::to_owned).collect()
}

fn session(daemon: &FakeDaemon, lines: &[&str]) -> String {
    let parts: Vec<String> = lines.iter().map(|line| daemon.transcript(line)).collect();
    parts.join("\n")
}

/// What the daemon would answer about each node, from these events.
fn with_why(lines: &[String]) -> Script {
    let status: supd::wire::Status = serde_json::from_str(TREE).expect("a tree");
    let events: Vec<supd::wire::EventLine> = lines
        .iter()
        .filter(|line| !line.contains("\"gap\""))
        .map(|line| serde_json::from_str(line).expect("an event"))
        .collect();
    // Twelve past two, when the tree was looked at.
    let now = (&events[..], (14 * 3600 + 2 * 60 + 10) * 1000);
    let mut script = with_tree();
    let mut open = vec![&status.root];
    while let Some(node) = open.pop() {
        let why = supd::tell::why::why(&status.root, node, now);
        let body = serde_json::to_string(&why).expect("JSON");
        script = script.json(&format!("GET /v1/nodes/{}/why", node.name), 200, &body);
        open.extend(&node.children);
    }
    script
}

#[test]
fn why_tells_the_chain_of_causes() {
    let lines = event_lines();
    let daemon = FakeDaemon::new(with_why(&lines));
    assert_snapshot!(session(
        &daemon,
        &[
            "why ws",
            "why web",
            "why api",
            "why migrate",
            "why reindex",
            "why nobody"
        ]
    ));
    let json = daemon.run(["why", "ws", "--json"]);
    let why: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(why["node"]["name"], "ws");
    assert!(
        why["events"]
            .as_array()
            .is_some_and(|events| !events.is_empty())
    );
}

#[test]
fn a_long_story_keeps_its_beginning_and_its_end() {
    let event = |seq: u64, kind: &str, cause: u64| {
        let incident = if seq > 8 { r#","incident":"i8""# } else { "" };
        format!(
            r#"{{"v":1,"seq":{seq},"ts":"","boot":"b","kind":"{kind}","node":"ws","path":"root/api/ws","run":{seq},"cause":{cause}{incident}}}"#
        )
    };
    let mut lines = vec![
        event(5, "service.starting", 1),
        event(6, "service.ready", 5),
        event(7, "command", 6),
        event(8, "service.exited", 7),
    ];
    lines.extend((9..15).map(|seq| event(seq, "service.stopping", seq - 1)));
    lines.extend((15..20).map(|seq| event(seq, "service.stopped", seq - 1)));
    let steps = FakeDaemon::new(with_why(&lines));
    lines.extend((20..40).map(|seq| event(seq, "service.starting", seq - 1)));
    let middle = FakeDaemon::new(with_why(&lines));
    assert_snapshot!(session(&steps, &["why ws"]) + &session(&middle, &["why ws"]));
}

#[test]
fn a_circle_of_causes_ends() {
    let event = |seq: u64, cause: u64| {
        format!(
            r#"{{"v":1,"seq":{seq},"ts":"","boot":"b","kind":"service.ready","node":"ws","path":"root/api/ws","cause":{cause}}}"#
        )
    };
    let lines = [event(1, 2), event(2, 1), event(3, 3)];
    let daemon = FakeDaemon::new(with_why(&lines));
    assert!(daemon.run(["why", "ws"]).status.success());
}

#[test]
fn failures_that_are_alike_are_counted_and_others_told_apart() {
    let event = |seq: u64, rest: &str| {
        format!(
            r#"{{"v":1,"seq":{seq},"ts":"","boot":"b","node":"ws","path":"root/api/ws","incident":"i1",{rest}}}"#
        )
    };
    let exit = |seq: u64, how: &str| {
        let rest = format!(
            r#""kind":"service.exited","family":"fault","uptime_ms":{},{how}"#,
            290 + seq
        );
        event(seq, &rest)
    };
    let one = r#""code":1,"class":"exit_code""#;
    let words =
        r#""code":1,"class":"exit_code","last_lines":["bind: address already in use :8090"]"#;
    let held = r#""kind":"service.held","delay_ms":60000,"cause":3,"budget":{"supervisor":"api","bucket":"main","used":4,"max":3,"seconds":60}"#;
    let alike = [exit(1, one), exit(2, one), exit(3, words), event(4, held)];
    let daemon = FakeDaemon::new(with_why(&alike));
    let mut told = session(&daemon, &["why ws", "why web", "why ws --plain"]);
    let crash = r#""signal":"SEGV","core":true,"class":"crash""#;
    let mixed = [exit(1, one), exit(2, crash), exit(3, one), event(4, held)];
    let daemon = FakeDaemon::new(with_why(&mixed));
    told.push_str(&session(&daemon, &["why ws"]));
    assert_snapshot!(told);
}
