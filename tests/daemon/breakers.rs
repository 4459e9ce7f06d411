// SPDX-License-Identifier: MIT OR Apache-2.0
//! Services that are held, with real processes.

use super::harness::Supd;

#[test]
fn a_service_that_does_not_stop_failing_is_held_and_its_group_waits() {
    let mut supd = Supd::start(
        "[supervisor.root]\nchildren = [\"api\"]\n\
         [supervisor.api]\nstrategy = \"one_for_all\"\nchildren = [\"web\", \"ws\"]\n\
         [service.web]\ncommand = \"CHILD sleep forever\"\n\
         [service.ws]\ncommand = \"CHILD exit 3\"\nbackoff = \"none\"\n\
         hold_after = { failures = 2, open_for = \"1s\" }",
    );
    let first = supd.event("service.exited", "ws");
    assert_eq!(first["decision"]["action"], "restart");
    let held = supd.event("service.held", "ws");
    assert_eq!(held["held_by"], "hold_after");
    assert_eq!(held["failures"], 2);
    let trial = supd.until("a trial", |event| event["why"] == "trial");
    assert_eq!(trial["node"], "ws");
    let failed = supd.event("service.exited", "ws");
    assert_eq!(failed["phase"], "trial");
    assert_eq!(failed["budget"], serde_json::Value::Null, "{failed}");
    supd.event("service.held", "ws");
    let (web, api) = (supd.node("web"), supd.node("api"));
    assert_eq!(web["waiting_for"], "ws", "{web}");
    assert_eq!(api["used"], 1, "{api}");
}

#[test]
fn a_service_that_is_held_is_started_by_hand_and_its_group_with_it() {
    let mut supd = Supd::start(
        "[supervisor.root]\nstrategy = \"one_for_all\"\nchildren = [\"web\", \"ws\"]\n\
         [service.web]\ncommand = \"CHILD sleep forever\"\n\
         [service.ws]\ncommand = \"CHILD sleep forever\"\n\
         hold_after = { failures = 1, open_for = \"1h\", open_max = \"1h\" }",
    );
    supd.event("service.ready", "ws");
    super::harness::kill(supd.pid_of("ws"), "SIGKILL");
    supd.event("service.held", "ws");
    supd.event("service.stopped", "web");
    let (status, reply) = supd.post("/v1/nodes/ws/start", "");
    assert_eq!(status, 200, "{reply}");
    supd.event("service.released", "ws");
    supd.event("service.ready", "web");
    assert_eq!(supd.node("ws")["state"], "ready");
}
