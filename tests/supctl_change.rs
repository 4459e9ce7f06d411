// SPDX-License-Identifier: MIT OR Apache-2.0
//! supctl's change commands against a fake daemon: plan, apply, cat, show.

mod fake_daemon;

use fake_daemon::{FakeDaemon, Script};
use insta::assert_snapshot;
use serde_json::json;

fn session(daemon: &FakeDaemon, lines: &[&str]) -> String {
    let parts: Vec<String> = lines.iter().map(|line| daemon.transcript(line)).collect();
    parts.join("\n")
}

fn key(key: &str, values: (&str, &str), (file, line): (&str, u64)) -> serde_json::Value {
    json!({"key": key, "old": values.0, "new": values.1, "file": file, "line": line})
}

fn changes() -> serde_json::Value {
    let prod = "/etc/supd/conf.d/20-prod.toml";
    let main = "/etc/supd/supd.toml";
    let restart_with_web = |node: &str| {
        json!({"op": "touch", "node": node, "kind": "service", "effect": "restart",
            "because": {"node": "web", "supervisor": "api", "strategy": "one_for_all"}})
    };
    let long = "\"a very long value that nobody wants to see in full\"";
    json!([
        {"op": "change", "kind": "supervisor", "effect": "in_place",
            "keys": [key("log.level", ("\"info\"", "\"warn\""), (main, 3))]},
        {"op": "change", "kind": "supervisor", "effect": "next_supd",
            "keys": [{"key": "socket.path", "new": "\"@x\"", "file": main, "line": 4}]},
        {"op": "change", "node": "web", "kind": "service", "effect": "restart", "keys": [
            key("env.PORT", ("\"8080\"", "\"8081\""), (prod, 3)),
            key("env.TITLE", (long, "\"\\u001b[31m\""), (prod, 4)),
            {"key": "user", "old": "\"shop\""}]},
        restart_with_web("ws"),
        restart_with_web("push"),
        {"op": "change", "node": "jobs", "kind": "service", "effect": "restart",
            "keys": [key("nice", ("1", "2"), (main, 9))],
            "because": {"node": "web", "supervisor": "api", "strategy": "one_for_all"}},
        {"op": "change", "node": "worker", "kind": "pool", "effect": "start",
            "instances": ["worker.5", "worker.6"],
            "keys": [key("instances", ("4", "6"), (main, 50))]},
        {"op": "change", "node": "report", "kind": "service", "effect": "next_start",
            "keys": [key("nice", ("1", "2"), (main, 60))]},
        {"op": "add", "node": "mailer", "kind": "service", "parent": "background",
            "after": "last", "effect": "start"},
        {"op": "add", "node": "cron", "kind": "service", "parent": "background",
            "after": "worker", "effect": "start"},
        {"op": "remove", "node": "reindex", "kind": "service", "effect": "stop"},
    ])
}

fn plan(changes: &serde_json::Value) -> String {
    json!({"ok": true, "hash": "b52e0d1", "in_force": "a41f9c2", "changes": changes,
        "restarted": 4, "restarted_with": 2, "started": 4, "stopped": 1, "in_place": 1,
        "untouched": 7, "diagnostics": ["warning[L1]: a\n\nwarning[L2]: b\n"]})
    .to_string()
}

const APPLIED: &str = r#"{"ok":true,"hash":"b52e0d1","added":2,"removed":1,"restarted":4,
    "in_place":1,"diagnostics":["warning[L1]: a"]}"#;

#[test]
fn a_plan_shows_what_would_change_and_whom_a_strategy_takes_along() {
    let daemon = FakeDaemon::new(Script::default().json("POST /v1/plan", 200, &plan(&changes())));
    assert_snapshot!(session(
        &daemon,
        &["plan", "--plain plan --exit-code", "plan --json"]
    ));
}

#[test]
fn a_plan_without_changes_or_of_an_invalid_file_says_so() {
    let none = plan(&json!([]));
    let broken = json!({"ok": false, "in_force": "a41f9c2", "changes": [], "restarted": 0,
        "restarted_with": 0, "started": 0, "stopped": 0, "in_place": 0, "untouched": 0,
        "diagnostics": ["error[E0102]: unknown key `comand` in a service\n  help: `command`?\n"]});
    let ending = json!({"ok": false, "hash": "b", "in_force": "a", "changes": [], "restarted": 0,
        "restarted_with": 0, "started": 0, "stopped": 0, "in_place": 0, "untouched": 0});
    let script = Script::default()
        .json("POST /v1/plan", 200, &none)
        .json("POST /v1/plan", 200, &broken.to_string())
        .json("POST /v1/plan", 200, &broken.to_string())
        .json("POST /v1/plan", 200, &ending.to_string());
    let daemon = FakeDaemon::new(script);
    assert_snapshot!(session(
        &daemon,
        &[
            "plan --exit-code",
            "plan",
            "apply",
            "plan",
            "plan no/such.toml"
        ]
    ));
}

#[test]
fn apply_takes_what_was_planned_or_nothing() {
    let stale = r#"{"error":{"code":"conflict",
        "message":"the configuration has changed since it was planned",
        "hint":"look at the new plan: supctl plan"}}"#;
    let script = Script::default()
        .json("POST /v1/plan", 200, &plan(&changes()))
        .json("POST /v1/apply?wait=2m", 200, APPLIED)
        .json("POST /v1/apply?wait=2m", 200, APPLIED)
        .json("POST /v1/apply?wait=2m", 409, stale);
    let daemon = FakeDaemon::new(script);
    let told = session(&daemon, &["apply --yes", "apply --json", "apply --quiet"]);
    assert_snapshot!(format!("{told}\n{}", daemon.asked().join("\n")));
}

#[test]
fn who_does_not_wait_is_told_that_it_was_ordered() {
    let ordered = r#"{"ok":true,"outcome":"accepted"}"#;
    let pending = r#"{"ok":false,"outcome":"pending","message":"not done after 1s"}"#;
    let script = Script::default()
        .json("POST /v1/reload?wait=0ms", 202, ordered)
        .json("POST /v1/reload?wait=1s", 202, pending)
        .json("POST /v1/plan", 200, &plan(&json!([])))
        .json("POST /v1/apply?wait=0ms", 202, ordered);
    let daemon = FakeDaemon::new(script);
    assert_snapshot!(session(
        &daemon,
        &[
            "reload --no-wait",
            "reload --no-wait --json",
            "reload --timeout 1s",
            "apply --no-wait"
        ]
    ));
}

fn config() -> String {
    let written = |key: &str, value: &str, line: u64, from: &str| {
        json!({"key": key, "value": value, "file": "/etc/supd/supd.toml", "line": line,
            "from": from})
    };
    let holds = |key: &str, value: &str| json!({"key": key, "value": value});
    json!({"hash": "a41f9c2", "files": ["/etc/supd/supd.toml"], "toml": "", "nodes": [{
        "table": "service", "node": "web", "parent": "api",
        "written": [
            written("workdir", "\"/srv\"", 3, "template.app"),
            written("env.TOKEN", "\"***\"", 4, "service.web"),
            written("shell", "'''\nset -e\nexec web\n'''", 5, "service.web")],
        "in_force": [
            holds("type", "\"daemon\""),
            written("workdir", "\"/srv\"", 3, "template.app"),
            written("shell", "\"set -e\\nexec web\\n\"", 5, "service.web")]}]})
    .to_string()
}

#[test]
fn cat_shows_what_is_written_and_show_what_holds() {
    let missing = r#"{"error":{"code":"no_such_node","message":"no node `wbe`",
        "hint":"did you mean `web`?"}}"#;
    let script = Script::default()
        .json("GET /v1/config", 200, &config())
        .json("GET /v1/config?node=web", 200, &config())
        .json("GET /v1/config?node=wbe", 404, missing);
    let daemon = FakeDaemon::new(script);
    assert_snapshot!(session(
        &daemon,
        &["cat web", "show web", "cat", "show wbe", "cat web --json"]
    ));
}
