// SPDX-License-Identifier: MIT OR Apache-2.0
//! What real ends are called.

use super::harness::{Supd, kill};
use serde_json::{Value, json};

/// The end of the one service of this configuration, which is not started again.
fn end_of(config: &str) -> Value {
    let mut supd = Supd::start(&format!("[service.a]\nbackoff = [\"10m\"]\n{config}"));
    supd.event("service.exited", "a")
}

fn class_of(end: &Value) -> [&str; 3] {
    ["class", "base", "family"].map(|key| end[key].as_str().unwrap_or_default())
}

#[test]
fn an_outside_kill_is_killed_a_hundred_times_of_a_hundred() {
    let mut supd = Supd::start(
        "[supervisor.root]\nmax_restarts = 1000\nchildren = [\"a\"]\n[service.a]\n\
         backoff = \"none\"\ncommand = \"CHILD sleep forever\"",
    );
    for _ in 0..100 {
        supd.event("service.ready", "a");
        kill(supd.pid_of("a"), "SIGKILL");
        let end = supd.event("service.exited", "a");
        assert_eq!(class_of(&end), ["killed", "killed", "external"], "{end}");
    }
}

#[test]
fn base_classes_come_from_how_a_process_really_ends() {
    let cases = [
        ("command = \"CHILD exit 0\"", "clean"),
        ("command = \"CHILD exit 3\"\nsuccess_codes = [3]", "clean"),
        ("command = \"CHILD exit 1\"", "exit_code"),
        ("command = \"CHILD exit 69\"", "unavailable"),
        ("command = \"CHILD exit 75\"", "tempfail"),
        ("command = \"CHILD exit 78\"", "config"),
        ("command = \"/not/there\"", "exec_failed"),
        (
            "shell = \"exec /not/there\"\nsuccess_codes = [127]",
            "exec_failed",
        ),
        ("shell = \"exit 139\"", "crash"),
        ("shell = \"kill -SEGV $$\"", "crash"),
        ("shell = \"kill -SYS $$\"", "sandbox"),
        ("shell = \"kill -XFSZ $$\"", "rlimit"),
        ("shell = \"kill -TERM $$\"", "terminated"),
        ("shell = \"kill -USR1 $$\"", "signal"),
        ("shell = \"kill -KILL $$\"", "killed"),
        (
            "shell = \"trap '' XCPU; while :; do :; done\"\nlimits = { cpu = \"1s\" }",
            "rlimit",
        ),
        (
            "command = \"CHILD sleep forever\"\nready = { notify = true }\nstart_timeout = \"50ms\"",
            "start_timeout",
        ),
    ];
    for (config, class) in cases {
        let end = end_of(config);
        assert_eq!(end["class"], class, "{config}: {end}");
        assert_eq!(end["base"], class, "{config}: {end}");
    }
}

#[test]
fn a_class_is_told_by_code_and_last_output_of_that_run_alone() {
    let mut supd = Supd::start(
        "[service.a]\nbackoff = \"none\"\n\
         shell = \"test -e DIR/x && exit 1; touch DIR/x; echo 'conn lost: db7' >&2; exit 1\"\n\
         [class.lost]\nfamily = \"transient\"\ncodes = [1]\n\
         stderr = ['conn lost: (?P<who>\\w+)$']\n",
    );
    let end = supd.event("service.exited", "a");
    assert_eq!(class_of(&end), ["lost", "exit_code", "transient"], "{end}");
    let captures = json!([{ "name": "who", "text": "db7" }]);
    assert_eq!(end["matched"]["captures"], captures, "{end}");
    let why = supd.get("/v1/nodes/a/why").1;
    assert!(
        why["node"]["last_exit"]["rules"][0]["class"] == "lost",
        "{why}"
    );
    let next = supd.event("service.exited", "a");
    assert_eq!(next["class"], "exit_code", "of another run: {next}");
}

#[test]
fn a_service_names_its_class_and_says_when_it_wants_to_be_started_again() {
    let mut supd = Supd::start(
        "[service.a]\nready = { notify = true }\ncommand = [\"CHILD\", \"notify\", \
         \"X_SUPD_CLASS=limited\\\\nX_SUPD_RETRY_AFTER_SEC=120\\\\nERRNO=11\", \"exit\", \"1\"]\n\
         [class.limited]\nfamily = \"transient\"\n",
    );
    let end = supd.event("service.exited", "a");
    assert_eq!(
        class_of(&end),
        ["limited", "exit_code", "transient"],
        "{end}"
    );
    let said = json!({ "class": "limited", "retry_after_ms": 120_000, "errno": 11 });
    assert_eq!(end["said"], said, "{end}");
    assert_eq!(end["decision"]["delay_ms"], 120_000, "{end}");
    let node = supd.node("a");
    assert_eq!(
        node["last_exit"]["rules"],
        json!([{ "class": "limited" }]),
        "{node}"
    );
}
