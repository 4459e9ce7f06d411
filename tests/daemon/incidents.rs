// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exits and incidents in the stream of a real daemon, and why a node is as it is.

#[path = "../trace/mod.rs"]
mod checker;

use super::harness::{Supd, kill};
use serde_json::Value;
use supd::wire::EventLine;

const TREE: &str = r#"
[supd]
exit_delay = "0s"
events_kept = 10000
[supervisor.root]
children = ["pair", "jobs", "parked", "held"]
[supervisor.pair]
strategy = "one_for_all"
max_restarts = 2
children = ["a", "b"]
[supervisor.parked]
max_restarts = 1
on_exhausted = "park"
children = ["lost"]
[supervisor.held]
max_restarts = 1
on_exhausted = { hold = "10m" }
children = ["later"]
[defaults]
backoff = "none"
[service.a]
command = "CHILD sleep forever"
[service.b]
command = "CHILD sleep forever"
[service.jobs]
command = "CHILD sleep forever"
restart = "transient"
[service.lost]
shell = "echo 'no such host' >&2; exit 69"
[service.later]
shell = "echo 'bind: address already in use :8090' >&2; exit 1"
"#;

#[test]
fn every_restart_has_one_end_and_one_incident_that_ends() {
    let mut supd = Supd::start(TREE);
    supd.all(&["service.parked", "service.held"]);
    for round in 0..3 {
        kill(supd.pid_of("a"), "SIGABRT");
        if round < 2 {
            supd.event("supervisor.strategy", "pair");
            supd.event("service.ready", "b");
        }
    }
    supd.event("supervisor.escalated", "pair");
    supd.event("supervisor.ready", "pair");
    kill(supd.pid_of("jobs"), "SIGKILL");
    supd.event("service.exited", "jobs");
    supd.event("service.ready", "jobs");
    let (status, _) = supd.post("/v1/nodes/lost/start", "{}");
    assert_eq!(status, 200);
    let (_, text) = supd.ask("GET", "/v1/events", "");
    let events: Vec<EventLine> = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["kind"] != "snapshot" && line["seq"].is_u64())
        .map(|line| serde_json::from_value(line).expect("an event"))
        .collect();
    let restarts = events
        .iter()
        .filter(|e| e.why.as_deref() == Some("restart"));
    assert!(restarts.count() >= 5, "{}", supd.story());
    assert_eq!(checker::complaints(&events), [""; 0], "{}", supd.story());
}

#[test]
fn why_says_what_failed_what_it_said_and_what_to_try() {
    let mut supd = Supd::start(TREE);
    supd.all(&["service.parked", "service.held"]);
    let (status, why) = supd.get("/v1/nodes/later/why");
    assert_eq!(status, 200);
    let sentence = why["sentence"].as_str().expect("a sentence");
    let begin = "later is HELD by the budget of held (";
    assert!(sentence.starts_with(begin), "{sentence}");
    assert!(sentence.contains("next start in "), "{sentence}");
    assert_eq!(why["failures"]["count"], 2);
    assert_eq!(why["failures"]["alike"], true);
    assert_eq!(why["failures"]["kinds"][0]["how"], "exit 1");
    assert_eq!(
        why["last_words"]["lines"][0],
        "bind: address already in use :8090"
    );
    assert_eq!(why["try"][0], "ss -ltnp 'sport = :8090'");
    let events = why["events"].as_array().expect("a story");
    assert_eq!(events.last().expect("an event")["kind"], "service.held");
    let (_, why) = supd.get("/v1/nodes/lost/why");
    let sentence = why["sentence"].as_str().expect("a sentence");
    assert!(
        sentence.contains("nothing starts it until somebody does"),
        "{sentence}"
    );
    assert_eq!(supd.get("/v1/nodes/nobody/why").0, 404);
}
