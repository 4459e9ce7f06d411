// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is kept on disk below `state_dir`.

use super::harness::{Supd, expand};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const TREE: &str = "[supd]\nstate_dir = \"DIR/state\"\n\
    [service.a]\ncommand = \"CHILD sleep forever\"\n";

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("the file");
    let lines = text.lines().map(serde_json::from_str);
    lines.map(|l| l.expect("JSON")).collect()
}

fn count(lines: &[Value], kind: &str) -> usize {
    lines.iter().filter(|l| l["kind"] == kind).count()
}

#[test]
fn records_orders_and_the_last_good_configuration_are_on_disk_when_it_ends() {
    let mut supd = Supd::start(TREE);
    supd.event("supervisor.ready", "root");
    supd.post("/v1/nodes/a/restart", "");
    let good = expand(&format!("# second\n{TREE}"), &supd.dir);
    supd.dir.write("supd.toml", &good);
    assert_eq!(supd.post("/v1/reload", "").0, 200);
    supd.dir.write("supd.toml", "[service.a]\nnonsense = 1\n");
    assert_eq!(supd.post("/v1/reload", "").1["ok"], false);
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0));

    let events = lines(&supd.dir.path("state/events.ndjson"));
    let numbers: Vec<u64> = events.iter().filter_map(|l| l["seq"].as_u64()).collect();
    let all: Vec<u64> = (1..=events.len() as u64).collect();
    assert_eq!(numbers, all, "every record, in its order");
    assert_eq!(count(&events, "service.exited"), 2);
    let audit = lines(&supd.dir.path("state/audit.ndjson"));
    let order = audit.iter().find(|l| l["kind"] == "command");
    let order = order.expect("the order to restart");
    assert_eq!(order["verb"], "restart");
    assert!(order["by"]["uid"].is_number(), "{order}");
    for kind in [
        "daemon.started",
        "daemon.reloaded",
        "daemon.reload_refused",
        "daemon.stopping",
    ] {
        assert_eq!(count(&audit, kind), 1, "{kind}");
    }
    assert_eq!(
        count(&audit, "service.exited"),
        0,
        "nobody has ordered that"
    );
    let kept = supd.dir.path("state/good/supd.toml");
    assert_eq!(fs::read_to_string(&kept).expect("the file"), good);
    let mode = fs::metadata(&kept).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it may hold secrets");
}

#[test]
fn a_state_directory_that_cannot_be_made_costs_what_it_would_hold() {
    let mut supd = Supd::start(&TREE.replace("DIR/state", "DIR/supd.toml/state"));
    let mut told = Vec::new();
    for _ in 0..3 {
        let failing = supd.event("log.failing", "");
        told.push(failing["message"].as_str().expect("a message").to_owned());
    }
    for what in ["events.ndjson", "audit.ndjson", "good"] {
        assert!(told.iter().any(|t| t.contains(what)), "{what}: {told:?}");
    }
    assert_eq!(supd.node("a")["state"], "ready");
    assert_eq!(supd.get("/v1/health").0, 200);
}
