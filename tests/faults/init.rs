// SPDX-License-Identifier: MIT OR Apache-2.0
//! PID 1 of a name space of its own: its end, its orphans, and what it has to live without.

use super::harness::{Supd, kill};
use super::rig::{children, init, only_child, orphans, state, supctl};
use serde_json::Value;

#[test]
fn pid_1_stops_in_order_at_term_and_leaves_no_zombie() {
    let mut supd = init(
        "[supervisor.root]\nstrategy = \"rest_for_one\"\nchildren = [\"a\", \"g\", \"c\"]\n\
         [supervisor.g]\nchildren = [\"b1\", \"b2\"]\n\
         [service.a]\ncommand = \"CHILD sleep forever\"\n\
         [service.b1]\ncommand = \"CHILD double-fork [ exit 0 ] on TERM exit 0 sleep forever\"\n\
         [service.b2]\ncommand = \"CHILD fork [ ignore TERM sleep forever ] sleep forever\"\n\
         [service.c]\ncommand = \"CHILD double-fork [ setsid sleep forever ] sleep forever\"",
    );
    supd.event("supervisor.ready", "root");
    assert_eq!(supctl(&supd, &["health", "--ready"]).0, 0);
    let outer = only_child(supd.pid());
    kill(outer, "SIGTERM");
    assert_eq!(supd.wait().code(), Some(0), "{}", supd.story());
    let ends = supd.events.iter().filter(|e| e["kind"] == "service.exited");
    let names: Vec<&Value> = ends.map(|e| &e["node"]).collect();
    assert_eq!(names, ["c", "b2", "b1", "a"], "{}", supd.story());
    assert_eq!(state(outer), None, "it is gone and was not killed");
    let stopped_by = supd.events.iter().find(|e| e["kind"] == "daemon.stopping");
    assert_eq!(stopped_by.expect("its record")["by"]["signal"], "TERM");
}

/// So many orphans, from this many services.
const ORPHANS: u32 = 10_000;
const PARENTS: u32 = 10;

#[test]
fn fault_04_ten_thousand_orphans_are_reaped_and_counted() {
    let forks = "fork [ exit 0 ] ".repeat((ORPHANS / PARENTS) as usize);
    let mut supd = init(&format!(
        "[supd]\nlog = {{ level = \"debug\" }}\n\
         [service.parent]\ninstances = {PARENTS}\nrestart = \"temporary\"\n\
         command = \"CHILD {forks} exit 0\"\n\
         [service.good]\ncommand = \"CHILD sleep forever\""
    ));
    let mut seen = 0;
    while seen < ORPHANS {
        let event = supd.event("orphan.reaped", "");
        seen += orphans(event["message"].as_str().expect("a message"));
    }
    assert_eq!(seen, ORPHANS);
    supd.signal("SIGCONT");
    let good = supd.node("good");
    assert_eq!(good["state"], "ready", "{good}");
    assert_eq!(good["restarts"], Value::Null, "{good}");
    let outer = only_child(supd.pid());
    let left = children(outer);
    assert_eq!(
        left.len(),
        1,
        "only the good one is there, no zombie: {left:?}"
    );
    kill(outer, "SIGTERM");
    assert_eq!(supd.wait().code(), Some(0));
    let ends = supd.events.iter().filter(|e| e["kind"] == "service.exited");
    assert_eq!(
        ends.count(),
        PARENTS as usize + 1,
        "no orphan is taken for a service"
    );
}

#[test]
fn pid_1_goes_down_by_the_client_as_well() {
    let mut supd = init("[service.a]\ncommand = \"CHILD sleep forever\"");
    supd.event("supervisor.ready", "root");
    let (code, _, text) = supctl(&supd, &["shutdown"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(Supd::wait(&mut supd).code(), Some(0));
}
