// SPDX-License-Identifier: MIT OR Apache-2.0
//! supctl against a fake daemon: what people see, what programs get, and which exit code.

mod fake_daemon;

use fake_daemon::{FakeDaemon, Script, shown, supctl};
use insta::assert_snapshot;
use std::process::Stdio;

const TREE: &str = include_str!("ctl/tree.json");
const EVENTS: &str = include_str!("ctl/events.ndjson");

fn with_tree() -> Script {
    let one_line: serde_json::Value = serde_json::from_str(TREE).expect("a tree");
    let mut script = Script::default().json("GET /v1/tree", 200, &one_line.to_string());
    for name in ["wbe", "zzz", "nobody"] {
        let missing =
            format!(r#"{{"error":{{"code":"no_such_node","message":"no node `{name}`"}}}}"#);
        script = script.json(&format!("GET /v1/nodes/{name}"), 404, &missing);
    }
    add_nodes(&one_line["root"], script)
}

/// Each node of the tree can be asked for alone.
fn add_nodes(node: &serde_json::Value, script: Script) -> Script {
    let name = node["name"].as_str().expect("a name");
    let script = script.json(&format!("GET /v1/nodes/{name}"), 200, &node.to_string());
    let children = node["children"].as_array().into_iter().flatten();
    children.fold(script, |script, child| add_nodes(child, script))
}

#[test]
fn a_name_alone_is_asked_for_alone() {
    let daemon = FakeDaemon::new(with_tree());
    daemon.run(["status", "web"]);
    daemon.run(["is-up", "web"]);
    daemon.run(["status", "api/web"]);
    let asked = daemon.asked();
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let one = "GET /v1/nodes/web";
    assert_eq!(asked, [one, one, "GET /v1/tree"]);
}

fn event_lines() -> Vec<String> {
    EVENTS.lines().map(str::to_owned).collect()
}

/// A snapshot of the tree as a stream begins with it, after an edit.
fn snapshot(edit: impl Fn(String) -> String) -> String {
    let status: serde_json::Value = serde_json::from_str(&edit(TREE.to_owned())).expect("a tree");
    serde_json::json!({"kind": "snapshot", "seq": 812, "status": status}).to_string()
}

fn session(daemon: &FakeDaemon, lines: &[&str]) -> String {
    let parts: Vec<String> = lines.iter().map(|line| daemon.transcript(line)).collect();
    parts.join("\n")
}

#[test]
fn status_is_one_aligned_picture() {
    let daemon = FakeDaemon::new(with_tree());
    assert_snapshot!(session(
        &daemon,
        &[
            "status",
            "--plain",
            "status api",
            "status worker",
            "tree background"
        ]
    ));
    let bare = daemon.run([""; 0]);
    assert_eq!(
        bare.stdout,
        daemon.run(["status"]).stdout,
        "without a command: status"
    );
}

#[test]
fn a_locale_without_utf8_gets_ascii() {
    let daemon = FakeDaemon::new(with_tree());
    for locale in ["C", "POSIX", "de_DE.ISO-8859-1"] {
        let output = supctl()
            .env("LC_ALL", locale)
            .env("SUPD_SOCKET", &daemon.socket)
            .output()
            .expect("runs");
        assert!(output.stdout.is_ascii(), "{locale}");
    }
}

#[test]
fn a_pipe_gets_no_colour_and_no_escape() {
    let daemon = FakeDaemon::new(with_tree());
    for args in [
        &["status"][..],
        &["tree"],
        &["status", "--json"],
        &["api", "GET", "/v1/tree"],
    ] {
        let output = daemon.run(args);
        assert!(output.status.success());
        assert!(!output.stdout.contains(&0x1b), "{args:?}");
    }
}

#[test]
fn names_are_names_paths_or_globs() {
    let daemon = FakeDaemon::new(with_tree());
    assert_snapshot!(session(
        &daemon,
        &[
            "status root/api/web",
            "status api/web",
            "status w*",
            "status api/*",
            "status web ws web",
            "status */worker.?",
            "status wbe",
            "status zzz",
            "status nothing/*",
        ]
    ));
}

#[test]
fn scripts_ask_and_get_an_exit_code() {
    let daemon = FakeDaemon::new(with_tree());
    assert_snapshot!(session(
        &daemon,
        &[
            "is-up postgres",
            "is-ready postgres",
            "is-up migrate",
            "is-ready migrate",
            "is-up ws",
            "is-up root",
            "is-ready root --quiet",
            "is-up nobody",
            "status --check data --quiet",
            "status --check api --quiet",
        ]
    ));
}

#[test]
fn health_is_an_answer_even_when_it_is_bad() {
    let bad = r#"{"status":"degraded","ready":false,"live":true,"reasons":["ws is held: exit 1"]}"#;
    let good = r#"{"status":"ok","ready":true,"live":true,"reasons":[]}"#;
    let stopping = r#"{"error":{"code":"stopping","message":"supd is going down"}}"#;
    let daemon = FakeDaemon::new(
        Script::default()
            .json("GET /v1/health", 200, good)
            .json("GET /v1/health?level=ready", 503, bad)
            .json("GET /v1/health?level=live", 503, stopping),
    );
    assert_snapshot!(session(
        &daemon,
        &[
            "health",
            "health --ready",
            "health --ready --json",
            "health --live"
        ]
    ));
}

#[test]
fn orders_say_what_has_happened() {
    let event = |node: &str| {
        format!(r#"{{"v":1,"seq":9,"ts":"","boot":"b","kind":"service.starting","node":"{node}"}}"#)
    };
    let started = r#"{"v":1,"seq":9,"ts":"","boot":"b","kind":"service.starting","node":"worker.5",
        "path":"root/background/worker/worker.5"}"#;
    let scaled = format!(r#"{{"ok":true,"outcome":"done","seq":8,"events":[{started}]}}"#);
    let restarted = format!(
        r#"{{"ok":true,"outcome":"done","seq":8,"events":[{},{}]}}"#,
        event("web"),
        event("ws")
    );
    let done = r#"{"ok":true,"outcome":"done","seq":8}"#;
    let daemon = FakeDaemon::new(
        with_tree()
            .json("POST /v1/nodes/web/restart?wait=2m", 200, &restarted)
            .json("POST /v1/nodes/web/restart?wait=2m", 200, done)
            .json(
                "POST /v1/nodes/web/start?wait=2m",
                200,
                r#"{"ok":true,"outcome":"running"}"#,
            )
            .json(
                "POST /v1/nodes/web/stop?wait=0ms",
                202,
                r#"{"ok":true,"outcome":"accepted"}"#,
            )
            .json(
                "POST /v1/nodes/web/stop?wait=500ms",
                200,
                r#"{"ok":false,"outcome":"pending"}"#,
            )
            .json(
                "POST /v1/nodes/ws/start?wait=2m",
                200,
                r#"{"ok":false,"outcome":"start_failed","message":"exit 1"}"#,
            )
            .json("POST /v1/nodes/web/signal?wait=2m", 200, done)
            .json("POST /v1/nodes/worker/scale?wait=2m", 200, &scaled)
            .json("POST /v1/nodes/web/pin?wait=2m", 200, done)
            .json("POST /v1/nodes/ws/pin?wait=2m", 200, done)
            .json("POST /v1/nodes/web/reload?wait=2m", 200, done)
            .json("POST /v1/nodes/postgres/reset?wait=2m", 200, done)
            .json("POST /v1/shutdown?wait=2s", 200, done),
    );
    assert_snapshot!(session(
        &daemon,
        &[
            "restart web",
            "restart --only web",
            "start web",
            "stop --no-wait web",
            "stop --timeout 500ms web",
            "start ws",
            "signal hup web",
            "signal 9 web",
            "scale worker 6",
            "pin api/*",
            "reload web",
            "reset postgres --quiet",
            "shutdown --haste short",
        ]
    ));
    assert_snapshot!("orders_on_the_wire", daemon.asked().join("\n"));
}

#[test]
fn every_node_gets_its_order_and_the_first_refusal_counts() {
    let missing = r#"{"error":{"code":"no_such_node","message":"no node `wbe`"}}"#;
    let pinned =
        r#"{"error":{"code":"conflict","message":"web is pinned","hint":"unpin it first"}}"#;
    let denied = r#"{"error":{"code":"forbidden","message":"uid 1000 may only look"}}"#;
    let done = r#"{"ok":true,"outcome":"done"}"#;
    let daemon = FakeDaemon::new(
        with_tree()
            .json("POST /v1/nodes/wbe/stop?wait=2m", 404, missing)
            .json("POST /v1/nodes/web/stop?wait=2m", 409, pinned)
            .json("POST /v1/nodes/cache/stop?wait=2m", 403, denied)
            .json("POST /v1/nodes/ws/stop?wait=2m", 200, done),
    );
    assert_snapshot!(session(
        &daemon,
        &[
            "stop wbe ws",
            "stop web",
            "stop cache",
            "stop --json ws wbe",
            "stop nobody/x"
        ]
    ));
}

#[test]
fn a_reload_without_a_name_is_the_configurations() {
    let good = r#"{"ok":true,"hash":"b","added":1,"removed":0,"restarted":2,"in_place":1,"seq":9}"#;
    let bad = r#"{"ok":false,"hash":"a","added":0,"removed":0,"restarted":0,"in_place":0,"diagnostics":["error[E0107]: no child `wss`\n  help: did you mean `ws`?"]}"#;
    let daemon = FakeDaemon::new(
        Script::default()
            .json("POST /v1/reload?wait=2m", 200, good)
            .json("POST /v1/reload?wait=2m", 200, bad),
    );
    assert_snapshot!(session(&daemon, &["reload", "reload"]));
}

#[test]
fn events_are_a_story() {
    let mut lines = vec![snapshot(|text| text)];
    lines.extend(event_lines());
    lines.insert(3, r#"{"kind":"heartbeat","seq":2,"ts":""}"#.to_owned());
    lines.insert(4, r#"{"kind":"gap","from":5,"to":800}"#.to_owned());
    let daemon = FakeDaemon::new(with_tree().stream("GET /v1/events", &lines).stream(
        "GET /v1/events?follow=1&since=10m&kind=command&kind=daemon",
        &lines[..2],
    ));
    assert_snapshot!(session(
        &daemon,
        &[
            "events",
            "events -f --since 10m --kind command --kind daemon",
            "history ws",
            "history migrate",
            "events --since yesterday"
        ]
    ));
    let json = daemon.run(["events", "--json"]);
    let text = String::from_utf8(json.stdout).expect("UTF-8");
    let kinds: Vec<serde_json::Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).expect("JSON"))
        .collect();
    assert_eq!(
        kinds.len(),
        event_lines().len() + 1,
        "every event and the gap, nothing else"
    );
}

#[test]
fn logs_say_whose_line_it_is_when_there_are_several() {
    let line = |node: &str, text: &str| {
        serde_json::json!({"node": node, "run": 8, "stream": "stderr", "ts": "", "text": text})
            .to_string()
    };
    let lines = [
        line("web", "listening on :8081"),
        r#"{"kind":"gap","from":0,"to":17}"#.to_owned(),
        line("ws", "slow upgrade"),
        r#"{"kind":"heartbeat","seq":2,"ts":""}"#.to_owned(),
        line("cache", "x"),
    ];
    let two_runs = [line("web", "bye").replace('8', "7"), line("web", "hello")];
    let web =
        r#"{"name":"web","path":"root/api/web","kind":"service","state":"ready","since_ms":1}"#;
    let daemon = FakeDaemon::new(
        with_tree()
            .json("GET /v1/nodes/root%2Fapi%2Fweb", 200, web)
            .stream("GET /v1/nodes/root%2Fapi%2Fweb/logs?lines=50", &lines[..1])
            .stream("GET /v1/nodes/root%2Fapi%2Fweb/logs?lines=3", &two_runs)
            .stream(
                "GET /v1/nodes/root%2Fapi%2Fweb/logs?lines=50&run=7",
                &two_runs[..1],
            )
            .stream("GET /v1/nodes/root%2Fapi%2Fweb/logs?lines=50&run=5", &[])
            .stream("GET /v1/nodes/root%2Fapi%2Fweb/logs?lines=10000", &two_runs)
            .stream(
                "GET /v1/nodes/root%2Fapi/logs?lines=5&since=10m&follow=1",
                &lines,
            )
            .stream(
                "GET /v1/nodes/root/logs?only=ws&only=web&lines=50",
                &lines[..3],
            )
            .stream("GET /v1/nodes/root/logs?lines=50", &lines),
    );
    let commands = [
        "logs web | logs -f -n 5 --since 10m api | logs ws web | logs --json ws web | logs",
        "logs -n 3 web | logs --crash=7 web | logs --crash=5 web | logs --grep ^h web",
        "logs --grep ( web | logs --crash --follow web",
    ];
    let commands = commands.join(" | ");
    let commands: Vec<&str> = commands.split(" | ").collect();
    assert_snapshot!(session(&daemon, &commands));
}

#[test]
fn wait_returns_when_it_has_really_happened() {
    let mut fresh: serde_json::Value = serde_json::from_str(TREE).expect("a tree");
    let web = &mut fresh["root"]["children"][2]["children"][0];
    assert_eq!(web["name"], "web");
    web["ready"] = true.into();
    web["state"] = "ready".into();
    let other = r#"{"v":1,"seq":813,"ts":"","boot":"b","kind":"service.ready","node":"cache","path":"root/data/cache"}"#;
    let web = r#"{"v":1,"seq":814,"ts":"","boot":"b","kind":"service.ready","node":"web","path":"root/api/web"}"#;
    let lines = [snapshot(|text| text), other.to_owned(), web.to_owned()];
    let daemon = FakeDaemon::new(
        Script::default()
            .stream("GET /v1/events?follow=1", &lines)
            .json("GET /v1/tree", 200, &fresh.to_string()),
    );
    assert_snapshot!(session(
        &daemon,
        &[
            "wait web",
            "wait --ready postgres migrate",
            "wait --stopped ws",
            "wait --exit ws migrate",
            "wait --stopped postgres --timeout 1h",
            "wait nobody"
        ]
    ));
    let trees = daemon
        .asked()
        .iter()
        .filter(|line| *line == "GET /v1/tree")
        .count();
    assert_eq!(
        trees, 1,
        "the tree is asked for again only when the node may have changed"
    );
}

#[test]
fn events_end_with_what_one_waits_for() {
    let event = |seq: u64, kind: &str, node: &str| {
        format!(
            r#"{{"v":1,"seq":{seq},"ts":"","boot":"b","kind":"{kind}","node":"{node}","path":"root/{node}"}}"#
        )
    };
    let lines = [
        event(7, "service.ready", "ws"),
        event(8, "supervisor.ready", "web"),
        event(9, "service.ready", "late"),
    ];
    let target = "GET /v1/events?follow=1&since=6";
    let daemon = FakeDaemon::new(with_tree().stream(target, &lines));
    assert_snapshot!(session(
        &daemon,
        &[
            "events --since 6 --until ready:web",
            "events --since 6 --until supervisor.ready:root/web",
            "events --since 6 --until service.ready:web",
            "events --since 6 --until ready",
            "events --until ready:",
        ]
    ));
}

#[test]
fn wait_with_a_timeout_waits_for_the_daemon_too() {
    let dir = std::env::temp_dir().join(format!("supctl-early-{}", std::process::id()));
    let mut early = supctl()
        .env("SUPD_SOCKET", dir.join("supd.sock"))
        .args(["wait", "postgres", "--timeout", "20s"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("supctl runs");
    let stream = [snapshot(|text| text)];
    let script = Script::default().stream("GET /v1/events?follow=1", &stream);
    let daemon = FakeDaemon::new(script);
    std::os::unix::fs::symlink(&daemon.dir, &dir).expect("the socket appears");
    let status = early.wait().expect("supctl ends");
    std::fs::remove_file(&dir).expect("the link is removed");
    assert!(status.success(), "{status}");
    assert_eq!(daemon.asked().len(), 1);
    let never = supctl()
        .env("SUPD_SOCKET", &dir)
        .args(["wait", "postgres", "--timeout", "50ms"])
        .output()
        .expect("supctl runs");
    assert_eq!(never.status.code(), Some(69));
}

#[test]
fn waiting_in_vain_is_exit_5() {
    let head = "HTTP/1.1 200 OK\r\n\r\n";
    let stream = format!("{head}{}\n", snapshot(|text| text));
    let daemon = FakeDaemon::new(
        Script::default()
            .raw("GET /v1/events?follow=1", stream.into_bytes())
            .raw("GET /v1/tree", Vec::new())
            .keeping_open(),
    );
    let text = session(
        &daemon,
        &[
            "wait web --timeout 200ms",
            "status --timeout 200ms",
            "events -f --timeout 100ms",
        ],
    );
    let text = text.replace(&daemon.dir.display().to_string(), "DIR");
    assert_snapshot!(text);
}

#[test]
fn check_reads_a_configuration_without_a_daemon() {
    let dir = std::env::temp_dir().join(format!("supctl-check-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let good = write(
        "good.toml",
        "[service.web]\ncommand = \"${PROGRAM:-/bin/true}\"\n",
    );
    let bad = write(
        "bad.toml",
        "[supervisor.root]\nchildren = [\"web\", \"wss\"]\n[service.web]\ncommand = \"/bin/true\"\n\
         [service.ws]\ncommand = \"/bin/true\"\nunder = \"root\"\n",
    );
    let doubtful = write(
        "doubtful.toml",
        "[service.web]\ncommand = \"/nowhere/web\"\n",
    );
    let lines = [
        format!("check {good}"),
        format!("check {good} --var PROGRAM=/bin/false"),
        format!("check {bad}"),
        format!("check {good} {bad} --plain --quiet"),
        format!("check {bad} --json"),
        format!("check {bad} --format github"),
        format!("check {doubtful}"),
        format!("check {doubtful} --strict"),
        format!("check {}/none.toml", dir.display()),
        "check --var nonsense".to_owned(),
        "explain e0107".to_owned(),
    ];
    let parts: Vec<String> = lines
        .iter()
        .map(|line| {
            let output = supctl()
                .env("XDG_CONFIG_HOME", &dir)
                .args(line.split(' '))
                .output();
            shown(line, &output.expect("runs"))
        })
        .collect();
    let mut command = supctl();
    let named = command.env("SUPD_CONFIG", &bad).arg("check").output();
    assert_eq!(
        named.expect("runs").status.code(),
        Some(65),
        "without a file: the daemon's own"
    );
    std::fs::remove_dir_all(&dir).expect("the directory goes");
    let text = parts.join("\n").replace(&dir.display().to_string(), "DIR");
    let is_hash = |word: &&str| word.len() == 7 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let hashes: Vec<&str> = text.split_whitespace().filter(is_hash).collect();
    assert_eq!(hashes.len(), 3, "every valid one has its hash: {hashes:?}");
    assert_ne!(hashes[0], hashes[1], "a variable changes it");
    let shown = hashes
        .iter()
        .fold(text.clone(), |text, hash| text.replace(hash, "HASH"));
    assert_snapshot!(shown);
}

#[test]
fn watch_shows_every_change_once() {
    let event = &event_lines()[0];
    let lines = [snapshot(|text| text), event.clone()];
    let daemon = FakeDaemon::new(with_tree().stream("GET /v1/events?follow=1", &lines));
    let output = daemon.run(["status", "--watch", "data"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(text.matches("postgres").count(), 2, "{text}");
    assert!(!text.contains('\u{1b}'), "a pipe is not cleared");
}

#[test]
fn api_sends_what_it_is_told() {
    let denied = r#"{"error":{"code":"forbidden","message":"uid 1000 may only look"}}"#;
    let daemon = FakeDaemon::new(
        Script::default()
            .json("GET /v1/health", 503, r#"{"status":"failed"}"#)
            .json("POST /v1/nodes/web/signal", 200, "{\"ok\":\ntrue}")
            .json("DELETE /v1/nodes/web", 403, denied),
    );
    assert_snapshot!(session(
        &daemon,
        &[
            "api get /v1/health",
            r#"api POST /v1/nodes/web/signal {"signal":"HUP"}"#,
            "api DELETE /v1/nodes/web",
            "api DELETE /v1/nodes/web --json",
            "api GET nowhere"
        ]
    ));
    assert_eq!(
        daemon.asked()[1],
        r#"POST /v1/nodes/web/signal {"signal":"HUP"}"#
    );
}

#[test]
fn without_a_daemon_everything_says_so() {
    let daemon = FakeDaemon::new(Script::default());
    let nowhere = daemon.dir.join("nowhere.sock");
    let output = supctl()
        .arg("--socket")
        .arg(&nowhere)
        .output()
        .expect("runs");
    let text = shown("status", &output).replace(&daemon.dir.display().to_string(), "DIR");
    assert_snapshot!(text);
    let json = supctl()
        .arg("--socket")
        .arg(&nowhere)
        .args(["stop", "web", "--json"])
        .output()
        .expect("runs");
    assert_eq!(json.status.code(), Some(69));
    let body: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(body["error"]["code"], "no_daemon");
}

#[test]
fn the_ladder_skips_a_directory_that_is_not_ours_and_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let daemon = FakeDaemon::new(with_tree());
    let uid = nix::unistd::geteuid();
    let own = daemon.dir.join(format!("supd-{uid}"));
    std::fs::create_dir(&own).expect("a directory");
    std::fs::rename(&daemon.socket, own.join("supd.sock")).expect("the socket moves");
    std::os::unix::fs::symlink(own.join("supd.sock"), &daemon.socket).expect("a way back");
    let ask = |bits| {
        std::fs::set_permissions(&own, std::fs::Permissions::from_mode(bits)).expect("chmod");
        let mut command = supctl();
        command
            .env("TMPDIR", &daemon.dir)
            .args(["is-up", "postgres"]);
        command.output().expect("runs")
    };
    let output = ask(0o700);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(daemon.asked(), ["GET /v1/nodes/postgres"]);
    let output = ask(0o755);
    assert!(daemon.asked().is_empty(), "nothing is said to a stranger");
    // 4: a real daemon of this machine stands further down the ladder.
    assert!(matches!(output.status.code(), Some(77 | 4)), "{output:?}");
}

#[test]
fn an_abstract_socket_is_used_only_when_asked_for() {
    let output = supctl()
        .args(["--socket", "@supctl-test-nobody"])
        .output()
        .expect("runs");
    assert_snapshot!(shown("--socket @supctl-test-nobody", &output));
}

#[test]
fn an_answer_that_is_none_is_an_error_and_never_a_hang() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    let endless_head = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(70_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(100));
    let broken_chunk = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    let long_chunk = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n";
    let gzip = "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n";
    let not_json = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]";
    for answer in [
        "",
        "hello",
        "HTTP/1.1 xyz\r\n\r\n",
        "HTTP/1.1 500 No\r\n\r\nnot json",
        cut,
        &endless_head,
        &many,
        broken_chunk,
        long_chunk,
        gzip,
        not_json,
    ] {
        let daemon = FakeDaemon::new(Script::default().raw("GET /v1/tree", answer.into()));
        let output = daemon.run(["status"]);
        let said = String::from_utf8_lossy(&output.stderr);
        let shortened: String = answer.chars().take(60).collect();
        assert!(
            matches!(output.status.code(), Some(1 | 69)),
            "{shortened}: {output:?}"
        );
        assert!(
            said.starts_with("cannot ") && said.contains("\nTry: "),
            "{shortened}: {said}"
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn an_interim_answer_is_passed_over() {
    let body = r#"{"status":"ok","ready":true,"live":true}"#;
    let answer = format!("HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{body}");
    let daemon = FakeDaemon::new(Script::default().raw("GET /v1/health", answer.into()));
    assert_eq!(daemon.run(["health"]).stdout, b"ok\n");
}

#[test]
fn a_command_line_that_makes_no_sense_is_exit_64() {
    for line in [
        "frobnicate",
        "stop",
        "scale web many",
        "status --check --watch",
        "logs --since 10",
        "wait --ready --stopped web",
        "--timeout 5 status",
    ] {
        let output = supctl().args(line.split(' ')).output().expect("runs");
        assert_eq!(output.status.code(), Some(64), "{line}: {output:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("--help"),
            "{line}"
        );
    }
    for line in ["--help", "--version", "stop --help"] {
        let output = supctl().args(line.split(' ')).output().expect("runs");
        assert_eq!(output.status.code(), Some(0), "{line}");
    }
}

#[test]
fn explain_needs_no_daemon() {
    let daemon = FakeDaemon::new(Script::default());
    assert_snapshot!(session(
        &daemon,
        &[
            "explain oom_kill",
            "explain 69",
            "explain HELD --json",
            "explain forbiden",
            "explain service.stop.signal",
            "explain xyzzy"
        ]
    ));
}

#[test]
fn completions_and_the_manual_come_from_the_command_line() {
    let run = |args: &[&str]| {
        String::from_utf8(supctl().args(args).output().expect("runs").stdout).expect("UTF-8")
    };
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["completions", shell]).contains("is-ready"), "{shell}");
    }
    assert!(run(&["man"]).contains(".TH supctl 1"));
    let page = run(&["man", "--format", "markdown"]);
    let kept = include_str!("../docs/reference/supctl.md");
    assert_eq!(
        page, kept,
        "make it again: supctl man --format markdown > docs/reference/supctl.md"
    );
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    use std::process::Stdio;
    let lines: Vec<String> = event_lines().into_iter().cycle().take(20_000).collect();
    let daemon = FakeDaemon::new(with_tree().stream("GET /v1/events", &lines));
    let mut child = supctl()
        .env("SUPD_SOCKET", &daemon.socket)
        .arg("events")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty());
}
