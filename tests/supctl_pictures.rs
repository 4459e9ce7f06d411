// SPDX-License-Identifier: MIT OR Apache-2.0
//! supctl's pictures for other programs and of the boot, and the file to begin with.

mod fake_daemon;

use fake_daemon::{FakeDaemon, Script, shown, supctl};
use insta::assert_snapshot;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const TREE: &str = include_str!("ctl/tree.json");

fn tree() -> Script {
    let tree: Value = serde_json::from_str(TREE).expect("a tree");
    Script::default().json("GET /v1/tree", 200, &tree.to_string())
}

fn session(daemon: &FakeDaemon, lines: &[&str]) -> String {
    let parts: Vec<String> = lines.iter().map(|line| daemon.transcript(line)).collect();
    parts.join("\n")
}

/// A directory of this test.
fn directory(name: &str) -> PathBuf {
    let name = format!("{name}-{}", std::process::id());
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&dir).expect("a directory");
    dir
}

#[test]
fn a_graph_is_graphviz_or_mermaid() {
    let daemon = FakeDaemon::new(tree());
    assert_snapshot!(session(&daemon, &["graph", "graph --format mermaid"]));
}

#[test]
fn a_graph_of_a_file_needs_no_daemon() {
    let dir = directory("graph");
    let text = "[supervisor.root]\nchildren = [\"a\", \"p\"]\n[service.a]\ncommand = \"a\"\n\
        type = \"oneshot\"\n[service.p]\ncommand = \"p\"\ninstances = 3\n";
    std::fs::write(dir.join("t.toml"), text).expect("a file");
    std::fs::write(dir.join("bad.toml"), "[service.a]\n").expect("a file");
    let mut told = String::new();
    for line in ["graph -c t.toml --format mermaid", "graph -c bad.toml"] {
        let mut command = supctl();
        let output = command.current_dir(&dir).args(line.split(' ')).output();
        told.push_str(&shown(line, &output.expect("runs")));
    }
    std::fs::remove_dir_all(&dir).expect("the directory is removed");
    assert_snapshot!(told);
}

fn event(kind: &str, node: &str, at: &str, more: &Value) -> String {
    let mut line = json!({"v": 1, "seq": 1, "ts": format!("2026-01-01T00:00:{at}Z"),
        "boot": "b", "kind": kind, "node": node, "path": node});
    let more = more.as_object().expect("fields").clone();
    line.as_object_mut().expect("fields").extend(more);
    line.to_string()
}

#[test]
fn blame_follows_what_the_boot_waited_for() {
    let leaf = |name: &str| {
        json!({"name": name, "path": name, "kind": "service", "state": "ready",
        "since_ms": 1, "ready": true})
    };
    let inner = |name: &str, children: Value| {
        json!({"name": name, "path": name,
        "kind": "supervisor", "state": "up", "since_ms": 1, "ready": true, "children": children})
    };
    let root = inner(
        "root",
        json!([
            inner("data", json!([leaf("db"), leaf("cache")])),
            leaf("migrate"),
            inner("api", json!([leaf("web"), leaf("late")]))
        ]),
    );
    let status = json!({"v": 1, "seq": 9, "daemon": {"version": "0", "pid": 1, "up_ms": 9,
        "boot": "b"}, "counts": {}, "root": root});
    let ready = |node: &str, at: &str, took: u64| {
        event(
            "service.ready",
            node,
            at,
            &json!({"run": 1, "took_ms": took}),
        )
    };
    let up = |node: &str, at: &str, took: u64| {
        event("supervisor.ready", node, at, &json!({"took_ms": took}))
    };
    let done = json!({"run": 1, "uptime_ms": 3000, "decision": {"action": "done"}});
    let lines = [
        ready("cache", "01.200", 100),
        ready("db", "02.500", 1500),
        up("data", "02.500", 1500),
        event("service.exited", "migrate", "05.500", &done),
        ready("web", "06.250", 750),
        up("api", "06.250", 750),
        up("root", "06.250", 5250),
        ready("late", "20.000", 9000),
        event(
            "service.ready",
            "web",
            "30.000",
            &json!({"run": 2, "took_ms": 20_000}),
        ),
    ];
    let script = Script::default()
        .json("GET /v1/tree", 200, &status.to_string())
        .stream("GET /v1/events", &lines)
        .stream("GET /v1/events", &lines)
        .stream("GET /v1/events", &[]);
    let daemon = FakeDaemon::new(script);
    assert_snapshot!(session(&daemon, &["blame", "blame --json", "blame"]));
}

#[test]
fn init_writes_a_valid_file_and_never_replaces_one() {
    let dir = directory("init");
    let run = |line: &str| {
        let mut command = supctl();
        command.current_dir(&dir).args(line.split(' '));
        shown(line, &command.output().expect("runs"))
    };
    let told = [
        "init",
        "check --strict supd.toml",
        "init",
        "init no/where.toml",
    ]
    .map(run);
    let printed = supctl().args(["init", "-"]).output().expect("runs").stdout;
    let kept = std::fs::read(dir.join("supd.toml")).expect("a file");
    std::fs::remove_dir_all(&dir).expect("the directory is removed");
    assert_eq!(printed, kept);
    assert_snapshot!(told.concat());
}
