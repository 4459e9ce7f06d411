// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control socket: what it answers, and what it bears.

use super::harness::{PATIENCE, Supd, line};
use serde_json::Value;
use std::io::Read;

const TWO: &str = "[supervisor.root]\nchildren = [\"api\", \"job\"]\n\
    [supervisor.api]\nstrategy = \"one_for_all\"\nchildren = [\"web\", \"ws\"]\n\
    [service.web]\ncommand = \"CHILD sleep forever\"\n\
    [service.ws]\ncommand = \"CHILD sleep forever\"\n\
    [service.job]\ncommand = \"CHILD sleep forever\"";

fn two() -> Supd {
    let mut supd = Supd::start(TWO);
    supd.event("supervisor.ready", "root");
    supd
}

#[test]
fn the_tree_shows_every_node_where_it_stands() {
    let supd = two();
    let (status, tree) = supd.get("/v1/tree");
    assert_eq!(status, 200);
    assert_eq!(tree["daemon"]["pid"], supd.pid());
    assert_eq!(tree["counts"]["ready"], 3);
    assert_eq!(tree["root"]["children"][0]["name"], "api");
    assert_eq!(tree["root"]["children"][0]["strategy"], "one_for_all");
    assert_eq!(
        tree["root"]["children"][0]["children"][1]["path"],
        "root/api/ws"
    );
    assert_eq!(tree["root"]["children"][1]["name"], "job");
    let (_, by_path) = supd.get("/v1/nodes/root%2Fapi%2Fweb");
    assert_eq!(by_path["name"], "web");
    assert!(by_path["pid"].is_i64());
}

#[test]
fn a_stop_lasts_and_a_start_ends_it_each_answered_when_it_has_happened() {
    let mut supd = two();
    let (status, reply) = supd.post("/v1/nodes/job/stop", "");
    assert_eq!((status, &reply["outcome"]), (200, &Value::from("done")));
    assert!(reply["seq"].is_u64(), "{reply}");
    let caused: Vec<_> = reply["events"].as_array().expect("events").iter().collect();
    assert!(
        caused.iter().any(|e| e["kind"] == "service.exited"),
        "{reply}"
    );
    let view = supd.node("job");
    assert_eq!(view["state"], "stopped");
    assert!(view["stopped_by"]["uid"].is_u64());
    let command = supd.event("command", "job");
    assert_eq!(command["verb"], "stop");
    assert!(command["by"]["pid"].is_i64());
    let (_, reply) = supd.post("/v1/nodes/job/start", "");
    assert_eq!(reply["ok"], true);
    assert_eq!(supd.node("job")["state"], "ready");
    let (_, reply) = supd.post("/v1/nodes/job/start", "");
    assert_eq!(reply["outcome"], "running");
}

#[test]
fn a_restart_goes_by_the_strategy_unless_it_is_to_be_only_this_one() {
    let supd = two();
    let (web, ws) = (supd.pid_of("web"), supd.pid_of("ws"));
    let (_, reply) = supd.post("/v1/nodes/web/restart", "");
    assert_eq!(reply["ok"], true, "{reply}");
    let (web2, ws2) = (supd.pid_of("web"), supd.pid_of("ws"));
    assert!(web != web2 && ws != ws2, "one_for_all renews both");
    let (_, reply) = supd.post("/v1/nodes/web/restart", "{\"only\":true}");
    assert_eq!(reply["ok"], true, "{reply}");
    assert_ne!(supd.pid_of("web"), web2);
    assert_eq!(supd.pid_of("ws"), ws2);
}

#[test]
fn what_a_restart_does_to_every_sibling_is_a_consequence_of_it() {
    let mut supd = Supd::start(
        "[supervisor.root]\nstrategy = \"rest_for_one\"\nchildren = [\"a\", \"b\", \"c\"]\n\
         [defaults]\nready = { after = \"1ms\" }\n\
         [service.a]\ncommand = \"CHILD sleep forever\"\n\
         [service.b]\ncommand = \"CHILD sleep forever\"\n\
         [service.c]\ncommand = \"CHILD sleep forever\"\n",
    );
    supd.event("supervisor.ready", "root");
    let (_, reply) = supd.post("/v1/nodes/a/restart", "");
    let events = reply["events"].as_array().expect("events");
    for node in ["a", "b", "c"] {
        for kind in ["service.stopping", "service.starting"] {
            let told = events
                .iter()
                .any(|e| e["node"] == node && e["kind"] == kind);
            assert!(told, "{kind} of {node}: {reply}");
        }
    }
}

#[test]
fn who_does_not_wait_is_told_that_it_is_taken_and_who_waits_in_vain_that_it_goes_on() {
    let mut supd = Supd::start(
        "[service.deaf]\ncommand = \"CHILD ignore TERM ready sleep forever\"\n\
         ready = { notify = true }\nstop = { timeout = \"10m\" }",
    );
    supd.event("supervisor.ready", "root");
    let (status, reply) = supd.post("/v1/nodes/deaf/stop?wait=50ms", "");
    assert_eq!((status, &reply["outcome"]), (202, &Value::from("pending")));
    let (status, reply) = supd.post("/v1/nodes/deaf/stop?wait=0", "");
    assert_eq!((status, &reply["outcome"]), (202, &Value::from("accepted")));
    assert_eq!(supd.node("deaf")["state"], "stopping");
}

#[test]
fn every_refusal_has_a_code_and_a_way_out() {
    let supd = two();
    let cases = [
        ("GET", "/v1/nodes/wbe", "", 404, "no_such_node"),
        ("GET", "/v1/nothing", "", 404, "no_such_route"),
        ("PUT", "/v1/tree", "", 405, "method"),
        ("GET", "/v1/nodes/%zz", "", 400, "bad_request"),
        ("POST", "/v1/nodes/root/stop", "", 409, "conflict"),
        (
            "POST",
            "/v1/nodes/web/signal",
            "{\"signal\":\"NONE\"}",
            400,
            "bad_request",
        ),
        ("POST", "/v1/nodes/web/signal", "{", 400, "bad_request"),
        (
            "POST",
            "/v1/nodes/web/scale",
            "{\"instances\":3}",
            409,
            "conflict",
        ),
        ("POST", "/v1/nodes/web/stop?wait=5", "", 400, "bad_request"),
        ("GET", "/v1/events?since=yesterday", "", 400, "bad_request"),
        ("GET", "/v1/nodes/web/logs?lines=x", "", 400, "bad_request"),
        ("GET", "/v1/health?level=x", "", 400, "bad_request"),
        (
            "POST",
            "/v1/shutdown",
            "{\"haste\":\"now\"}",
            400,
            "bad_request",
        ),
        (
            "POST",
            "/v1/nodes/api/children",
            "{\"toml\":\"[service.x]\"}",
            422,
            "invalid_config",
        ),
        ("POST", "/v1/plan", "{", 400, "bad_request"),
        ("GET", "/v1/config?node=wbe", "", 404, "no_such_node"),
    ];
    for (method, path, body, status, code) in cases {
        let (got, text) = supd.ask(method, path, body);
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            (got, value["error"]["code"].as_str()),
            (status, Some(code)),
            "{path}: {text}"
        );
        assert!(value["error"]["message"].is_string(), "{path}: {text}");
    }
    let (_, text) = supd.ask("GET", "/v1/nodes/wbe", "");
    assert!(text.contains("did you mean `web`?"), "{text}");
}

#[test]
fn a_body_that_is_too_large_costs_that_request_alone() {
    let supd = two();
    let (status, text) = supd.ask("POST", "/v1/nodes/web/signal", &"x".repeat(70_000));
    assert_eq!(status, 413, "{text}");
    assert_eq!(supd.get("/v1/health").0, 200);
}

#[test]
fn fault_59_more_clients_than_there_is_room_for_are_turned_away() {
    let supd = two();
    let idle: Vec<_> = (0..64).map(|_| supd.connect()).collect();
    let mut stream = supd.connect();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    assert!(answer.contains("\"code\":\"busy\""), "{answer}");
    drop(idle);
    let end = std::time::Instant::now() + PATIENCE;
    while supd.ask_once("/v1/health") != Some(200) {
        assert!(
            std::time::Instant::now() < end,
            "the room is not given back"
        );
    }
}

#[test]
fn a_stream_begins_with_the_tree_and_goes_on_without_a_gap() {
    let supd = two();
    let stream = supd.stream("/v1/events?follow=1");
    let first = line(&stream, |l| l.starts_with('{'));
    let first: Value = serde_json::from_str(&first).expect("a snapshot");
    assert_eq!(first["kind"], "snapshot");
    assert_eq!(first["status"]["root"]["name"], "root");
    let mut seq = first["seq"].as_u64().expect("a number");
    supd.post("/v1/nodes/job/restart", "");
    loop {
        let next = line(&stream, |l| l.starts_with('{'));
        let next: Value = serde_json::from_str(&next).expect("an event");
        assert_eq!(next["seq"], seq + 1);
        seq += 1;
        if next["kind"] == "service.ready" {
            return;
        }
    }
}

#[test]
fn past_events_are_found_by_number_kind_and_node() {
    let supd = two();
    supd.post("/v1/nodes/job/stop", "");
    let (status, text) = supd.ask("GET", "/v1/events?since=0&kind=service", "");
    assert_eq!(status, 200);
    let events: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).expect("an event"))
        .collect();
    let service = |e: &Value| {
        e["kind"]
            .as_str()
            .is_some_and(|k| k.starts_with("service."))
    };
    assert!(events.len() > 5 && events.iter().all(service), "{text}");
    let (_, text) = supd.ask("GET", "/v1/nodes/job/history", "");
    let of_job = |l: &str| l.contains("\"node\":\"job\"");
    assert!(
        text.lines().count() > 3 && text.lines().all(of_job),
        "{text}"
    );
}

#[test]
fn health_is_degraded_by_what_is_down_and_not_ready_without_what_is_required() {
    let supd = two();
    let (status, health) = supd.get("/v1/health");
    assert_eq!((status, &health["status"]), (200, &Value::from("ok")));
    supd.post("/v1/nodes/job/stop", "");
    let (status, health) = supd.get("/v1/health?level=ready");
    assert_eq!((status, &health["status"]), (503, &Value::from("degraded")));
    assert_eq!(health["reasons"][0], "job is stopped");
    assert_eq!(supd.get("/v1/health?level=live").0, 200);
}

#[test]
fn children_come_and_go_and_a_pool_grows() {
    let mut supd = Supd::start(
        "[service.pool]\ncommand = \"CHILD ready-after 50 sleep forever\"\ninstances = 1\n\
         ready = { notify = true }\n\
         [service.a]\ncommand = \"CHILD sleep forever\"",
    );
    supd.event("supervisor.ready", "root");
    let toml = super::harness::expand("[service.late]\ncommand = 'CHILD sleep forever'", &supd.dir);
    let body = serde_json::json!({ "toml": toml }).to_string();
    let (_, reply) = supd.post("/v1/nodes/root/children", &body);
    assert_eq!(reply["ok"], true, "{reply}");
    assert_eq!(supd.node("late")["state"], "ready");
    let (_, text) = supd.ask("DELETE", "/v1/nodes/late", "");
    let refused: Value = serde_json::from_str(&text).expect("a reply");
    assert_eq!(refused["ok"], false, "{refused}");
    assert_eq!(refused["outcome"], "running", "{refused}");
    assert_eq!(refused["message"], "it runs; stop it first", "{refused}");
    let (_, reply) = supd.post("/v1/nodes/late/stop", "");
    assert_eq!(reply["ok"], true, "{reply}");
    let (status, text) = supd.ask("DELETE", "/v1/nodes/late", "");
    assert_eq!(status, 200, "{text}");
    assert_eq!(supd.ask("GET", "/v1/nodes/late", "").0, 404);
    let (_, reply) = supd.post("/v1/nodes/pool/scale", "{\"instances\":3}");
    assert_eq!(reply["ok"], true, "{reply}");
    // It is answered when they are ready, and when those that go are gone.
    assert_eq!(supd.node("pool.3")["state"], "ready");
    let (_, reply) = supd.post("/v1/nodes/pool/scale", "{\"instances\":1}");
    assert_eq!(reply["ok"], true, "{reply}");
    assert_eq!(supd.ask("GET", "/v1/nodes/pool.3", "").0, 404);
    let stops = reply["events"].as_array().expect("events");
    let stops = stops.iter().filter(|e| e["kind"] == "service.stopping");
    let why: Vec<_> = stops.filter_map(|e| e["why"].as_str()).collect();
    assert_eq!(why, ["command", "command"], "{reply}");
}

#[test]
fn instances_and_whole_branches_are_added_at_run_time() {
    let mut supd = Supd::start(
        "[supervisor.root]\nchildren = [\"s\", \"a\"]\n\
         [supervisor.s]\nauto_shutdown = \"any_significant\"\nchildren = []\n\
         [service.a]\ncommand = \"CHILD sleep forever\"",
    );
    supd.event("supervisor.ready", "root");
    let add = |supd: &Supd, above: &str, toml: &str| {
        let toml = super::harness::expand(toml, &supd.dir);
        let body = serde_json::json!({ "toml": toml }).to_string();
        supd.post(&format!("/v1/nodes/{above}/children"), &body)
    };
    let significant = "[service.x]\ncommand = 'CHILD sleep forever'\n\
                       restart = 'transient'\nsignificant = true";
    let (status, refused) = add(&supd, "root", significant);
    assert_eq!(status, 422, "{refused}");
    let (status, reply) = add(&supd, "s", significant);
    assert_eq!((status, &reply["ok"]), (200, &Value::from(true)), "{reply}");
    let branch = "[supervisor.b]\nchildren = ['p', 'q']\n\
                  [service.p]\ncommand = 'CHILD sleep forever'\ninstances = 0\n\
                  [service.q]\ncommand = 'CHILD sleep forever'";
    let (_, reply) = add(&supd, "root", branch);
    assert_eq!(reply["ok"], true, "{reply}");
    let (_, reply) = supd.post("/v1/nodes/p/children", "{\"instance\":\"blue\"}");
    assert_eq!(reply["ok"], true, "{reply}");
    assert_eq!(supd.node("p.blue")["path"], "root/b/p/p.blue");
    let (_, reply) = supd.post("/v1/nodes/p/children", "{\"instance\":\"blue\"}");
    assert_eq!(reply["outcome"], "already_started", "{reply}");
    let (_, reply) = supd.post("/v1/nodes/p/scale", "{\"instances\":2}");
    assert_eq!(reply["ok"], true, "{reply}");
    let names = supd.node("p")["children"].as_array().map(Vec::len);
    assert_eq!(names, Some(2));
    // A name below the new branch is taken: nothing is added.
    let taken = "[supervisor.c]\nchildren = ['a']\n[service.a]\ncommand = 'CHILD exit 0'";
    assert_eq!(add(&supd, "root", taken).0, 409);
    assert_eq!(supd.ask("GET", "/v1/nodes/c", "").0, 404);
    for body in ["{}", "{\"toml\":\"\",\"instance\":\"x\"}"] {
        assert_eq!(supd.post("/v1/nodes/p/children", body).0, 400, "{body}");
    }
    for (above, instance) in [("a", "x"), ("b", "x"), ("p", "x.y")] {
        let body = serde_json::json!({ "instance": instance }).to_string();
        let (status, reply) = supd.post(&format!("/v1/nodes/{above}/children"), &body);
        assert_eq!(status, 409, "{above}: {reply}");
    }
}

#[test]
fn children_that_come_back_with_their_supervisor_have_a_path() {
    let mut supd = Supd::start(
        "[supervisor.root]\npolicy = \"otp\"\nchildren = [\"s\"]\n\
         [supervisor.s]\nmax_restarts = 0\nchildren = [\"t\", \"p\"]\n\
         [service.t]\ncommand = \"CHILD sleep forever\"\nrestart = \"temporary\"\n\
         [service.p]\ncommand = \"CHILD sleep forever\"",
    );
    supd.event("supervisor.ready", "root");
    super::harness::kill(supd.pid_of("t"), "SIGKILL");
    supd.event("node.removed", "t");
    super::harness::kill(supd.pid_of("p"), "SIGKILL");
    let back = supd.event("service.ready", "t");
    assert_eq!(back["path"], "root/s/t", "{}", supd.story());
}

#[test]
fn a_reload_by_the_socket_says_what_it_did_or_why_not() {
    let mut supd = two();
    let more =
        format!("{TWO}\n[service.more]\ncommand = \"CHILD sleep forever\"\nunder = \"root\"");
    supd.dir
        .write("supd.toml", &super::harness::expand(&more, &supd.dir));
    let (status, reply) = supd.post("/v1/reload", "");
    assert_eq!((status, &reply["ok"]), (200, &Value::from(true)), "{reply}");
    assert_eq!(reply["added"], 1);
    supd.event("service.ready", "more");
    supd.dir.write("supd.toml", "nonsense");
    let (_, reply) = supd.post("/v1/reload", "");
    assert_eq!(reply["ok"], false);
    assert!(
        !reply["diagnostics"]
            .as_array()
            .expect("diagnostics")
            .is_empty()
    );
    assert_eq!(supd.get("/v1/health").0, 200);
}

#[test]
fn an_ordered_number_of_instances_lasts_until_the_file_has_another() {
    let text = |word: &str, count: u32| {
        format!(
            "[service.pool]\ncommand = \"CHILD ready sleep forever {word}\"\ninstances = {count}\n\
             ready = {{ notify = true }}\n\
             [service.a]\ncommand = \"CHILD sleep forever\""
        )
    };
    let mut supd = Supd::start(&text("", 1));
    supd.event("supervisor.ready", "root");
    let (_, reply) = supd.post("/v1/nodes/pool/scale", "{\"instances\":3}");
    assert_eq!(reply["ok"], true, "{reply}");
    supd.event("service.ready", "pool.3");
    let pids = |supd: &mut Supd| ["pool.1", "pool.2", "pool.3", "a"].map(|name| supd.pid_of(name));
    let before = pids(&mut supd);
    let reload = |supd: &mut Supd, text: &str| {
        let text = super::harness::expand(text, &supd.dir);
        supd.dir.write("supd.toml", &text);
        let (_, reply) = supd.post("/v1/reload", "");
        assert_eq!(reply["ok"], true, "{reply}");
        let counts = ["added", "removed", "restarted", "in_place"];
        counts.map(|count| reply[count].as_u64().expect("a count"))
    };
    // Nothing of it has changed, then only something else has.
    assert_eq!(reload(&mut supd, &text("", 1)), [0, 0, 0, 0]);
    let other = format!(
        "{}\n[service.b]\ncommand = \"CHILD sleep forever\"",
        text("", 1)
    );
    assert_eq!(reload(&mut supd, &other), [1, 0, 0, 0]);
    assert_eq!(pids(&mut supd), before, "{}", supd.story());
    // All three get the new command, rendered for each.
    assert_eq!(
        reload(&mut supd, &text("exit ${INSTANCE}", 1)),
        [0, 1, 3, 0]
    );
    let third = supd.pid_of("pool.3");
    let line = std::fs::read(format!("/proc/{third}/cmdline")).expect("its command line");
    assert!(line.ends_with(b"exit\x003\0"), "{}", line.escape_ascii());
    // Another number counts from now on, also when the former one comes back.
    assert_eq!(
        reload(&mut supd, &text("exit ${INSTANCE}", 2)),
        [0, 1, 0, 0]
    );
    assert_eq!(
        reload(&mut supd, &text("exit ${INSTANCE}", 1)),
        [0, 1, 0, 0]
    );
    assert_eq!(supd.ask("GET", "/v1/nodes/pool.2", "").0, 404);
}

#[test]
fn a_shutdown_is_answered_when_nothing_is_left() {
    let mut supd = two();
    let web = supd.pid_of("web");
    let (status, reply) = supd.post("/v1/shutdown", "");
    assert_eq!((status, &reply["outcome"]), (200, &Value::from("done")));
    assert!(!super::harness::alive(web));
    assert_eq!(supd.wait().code(), Some(0));
}

#[test]
fn a_signal_reaches_the_process() {
    let mut supd = Supd::start(
        "[service.web]\ncommand = \"CHILD on USR1 exit 9 ready sleep forever\"\n\
         ready = { notify = true }\nrestart = \"temporary\"",
    );
    supd.event("service.ready", "web");
    let (_, reply) = supd.post("/v1/nodes/web/signal", "{\"signal\":\"SIGUSR1\"}");
    assert_eq!(reply["ok"], true);
    assert_eq!(supd.event("service.exited", "web")["code"], 9);
}

#[test]
fn an_order_is_recorded_with_what_it_was_given() {
    let mut supd = Supd::start(
        "[service.pool]\ncommand = \"CHILD sleep forever\"\ninstances = 1\n\
         [service.a]\ncommand = \"CHILD on USR1 exit 9 ready sleep forever\"\n\
         ready = { notify = true }",
    );
    supd.event("supervisor.ready", "root");
    supd.post("/v1/nodes/a/signal", "{\"signal\":\"USR1\"}");
    let order = supd.event("command", "a");
    assert_eq!(
        (&order["verb"], &order["signal"]),
        (&"signal".into(), &"USR1".into())
    );
    assert_eq!(order["by"]["pid"], std::process::id(), "{order}");
    supd.post("/v1/nodes/pool/scale", "{\"instances\":2}");
    let order = supd.event("command", "pool");
    assert_eq!(
        (&order["verb"], &order["instances"]),
        (&"scale".into(), &2.into())
    );
}

#[test]
fn the_stop_of_a_supervisor_is_its_own_kind_of_event() {
    let mut supd = Supd::start(
        "[supervisor.g]\nchildren = [\"a\"]\n[service.a]\ncommand = \"CHILD sleep forever\"\n\
         [service.b]\ncommand = \"CHILD sleep forever\"",
    );
    supd.event("supervisor.ready", "root");
    let (_, reply) = supd.post("/v1/nodes/g/stop", "");
    let told = reply["events"].as_array().expect("events").iter();
    let stopped = told.filter(|e| e["kind"].as_str().is_some_and(|k| k.ends_with(".stopped")));
    let stopped: Vec<_> = stopped
        .map(|e| (&e["kind"], &e["node"], &e["why"]))
        .collect();
    let by_supervisor = (&"service.stopped".into(), &"a".into(), &"supervisor".into());
    let by_order = (&"supervisor.stopped".into(), &"g".into(), &"command".into());
    assert_eq!(stopped, [by_supervisor, by_order], "{reply}");
    let (_, tree) = supd.get("/v1/events?kind=supervisor.stopped");
    assert!(tree.to_string().contains("\"g\""), "{tree}");
}

#[test]
fn openapi_describes_every_route() {
    let supd = two();
    let (status, api) = supd.get("/v1/openapi.json");
    assert_eq!(status, 200);
    let paths = api["paths"].as_object().expect("paths");
    for path in [
        "/v1/tree",
        "/v1/nodes/{name}",
        "/v1/nodes/{name}/history",
        "/v1/nodes/{name}/logs",
        "/v1/nodes/{name}/children",
        "/v1/events",
        "/v1/apply",
        "/v1/reload",
        "/v1/shutdown",
        "/v1/health",
        "/v1/openapi.json",
    ] {
        assert!(paths.contains_key(path), "{path} is not described");
    }
    for verb in supd::wire::Verb::ALL {
        let path = format!("/v1/nodes/{{name}}/{}", verb.as_str());
        assert!(paths.contains_key(&path), "{path} is not described");
    }
}
