// SPDX-License-Identifier: MIT OR Apache-2.0
//! Services that hang, and those that only seem to: with real processes, files and signals.

use super::harness::{PATIENCE, Supd, kill};
use std::time::Instant;

/// A service that touches `DIR/NAME` five times a second.
const BEATS: &str = "while :; do : > DIR/NAME; sleep 0.2; done";

fn beats(name: &str) -> String {
    format!(
        "[service.{name}]\nshell = \"{}\"\n",
        BEATS.replace("NAME", name)
    )
}

/// A number on the metrics page; none: 0.
fn counted(supd: &Supd, sample: &str) -> u64 {
    let (_, page) = supd.ask("GET", "/metrics", "");
    let mut lines = page.lines();
    let found = lines.find_map(|line| line.strip_prefix(sample)?.trim().parse().ok());
    found.unwrap_or(0)
}

fn until_counted(supd: &Supd, sample: &str, least: u64) {
    let end = Instant::now() + PATIENCE;
    while counted(supd, sample) < least {
        assert!(Instant::now() < end, "{sample} never came to {least}");
    }
}

fn answers(name: &str, result: &str) -> String {
    format!("supd_probe_results_total{{service=\"{name}\",probe=\"liveness\",result=\"{result}\"}}")
}

#[test]
fn one_that_hangs_is_found_killed_and_restarted() {
    let mut supd = Supd::start(&format!(
        "{}liveness = {{ file = \"DIR/a\", every = \"400ms\", failures = 2 }}",
        beats("a")
    ));
    supd.event("service.ready", "a");
    until_counted(&supd, &answers("a", "success"), 2);
    let pid = supd.pid_of("a");
    kill(pid, "SIGSTOP");
    let changed = supd.event("probe.changed", "a");
    assert_eq!(changed["question"], "liveness", "{changed}");
    assert_eq!(changed["result"], "failure", "{changed}");
    assert_eq!(changed["probe"], "unchanged since the last look");
    let stopping = supd.event("service.stopping", "a");
    assert_eq!(stopping["why"], "liveness_failed");
    let exit = supd.event("service.exited", "a");
    assert_eq!(exit["class"], "liveness_failed", "{exit}");
    assert_eq!(exit["family"], "hang");
    assert_eq!(exit["signal"], "ABRT", "a core to look at: {exit}");
    assert_eq!(exit["phase"], "ready");
    assert_eq!(exit["pid"], pid);
    assert_eq!(exit["probe"], "unchanged since the last look");
    assert_eq!(exit["decision"]["action"], "restart");
    assert_eq!(exit["budget"]["used"], 1, "it is counted");
    supd.event("service.ready", "a");
    assert_eq!(supd.node("a")["last_exit"]["class"], "liveness_failed");
}

#[test]
fn when_ten_of_ten_fail_four_are_killed_in_a_minute_and_the_others_are_told_of() {
    let service = |n: u32| {
        format!(
            "[service.s{n}]\ncommand = \"CHILD sleep forever\"\n\
             liveness = {{ file = \"DIR/never\", every = \"100ms\", failures = 2 }}\n"
        )
    };
    let config: String = (0..10).map(service).collect();
    let mut supd = Supd::start(&format!(
        "[supervisor.root]\nmax_restarts = 100\nstart = \"parallel\"\n{config}"
    ));
    // The last of them is spared; and once everybody was asked again, nobody else is killed.
    let mut spared = std::collections::BTreeSet::new();
    while spared.len() < 6 {
        let told = supd.event("liveness.suspended", "");
        assert_eq!(told["why"], "quorum", "{told}");
        spared.insert(told["node"].to_string());
    }
    let name = spared.first().expect("one").trim_matches('"').to_owned();
    until_counted(&supd, &answers(&name, "failure"), 12);
    assert!(counted(&supd, "supd_liveness_kills_suppressed_total") >= 6);
    supd.signal("SIGTERM");
    supd.event("daemon.stopping", "");
    let killed = supd.events.iter().filter(|e| e["why"] == "liveness_failed");
    assert_eq!(killed.count(), 4, "{}", supd.story());
}

#[test]
fn a_question_that_cannot_be_asked_condemns_nobody() {
    let mut supd = Supd::start(
        "[service.a]\ncommand = \"CHILD sleep forever\"\n\
         liveness = { exec = [\"DIR/none\"], every = \"20ms\", failures = 1 }",
    );
    let changed = supd.event("probe.changed", "a");
    assert_eq!(changed["result"], "unknown", "{changed}");
    until_counted(&supd, &answers("a", "unknown"), 10);
    assert_eq!(supd.node("a")["restarts"], serde_json::Value::Null);
}

#[test]
fn a_question_by_command_that_hangs_is_ended_with_all_it_has_started() {
    let mut supd = Supd::start(
        "[service.a]\ncommand = \"CHILD sleep forever\"\n\
         liveness = { exec = [\"/bin/sh\", \"-c\", \"sleep 1000 & echo $! > DIR/kid; wait\"], \
         every = \"100ms\", timeout = \"300ms\", failures = 1000 }",
    );
    supd.event("service.ready", "a");
    until_counted(&supd, &answers("a", "failure"), 1);
    let kid = std::fs::read_to_string(supd.dir.path("kid")).expect("it was started");
    let kid: i32 = kid.trim().parse().expect("a pid");
    let end = Instant::now() + PATIENCE;
    let is_sleep = || {
        let words = std::fs::read_to_string(format!("/proc/{kid}/cmdline"));
        words.is_ok_and(|words| words.starts_with("sleep"))
    };
    while is_sleep() {
        assert!(Instant::now() < end, "{kid} lives");
    }
    assert!(supd.node("a")["sick"].is_string());
}

#[test]
fn one_that_gives_no_sign_of_life_is_killed_and_one_that_says_so_at_once() {
    let mut supd = Supd::start(
        "[service.dog]\nwatchdog = \"3s\"\n\
         shell = \"while :; do CHILD notify WATCHDOG=1; sleep 0.2; done\"\n\
         [service.told]\nwatchdog = \"1h\"\nrestart = \"temporary\"\n\
         shell = \"CHILD report DIR/told; CHILD notify WATCHDOG=trigger; sleep 1000\"",
    );
    let exit = supd.event("service.exited", "told");
    assert_eq!(exit["class"], "watchdog_timeout", "{exit}");
    let report = std::fs::read_to_string(supd.dir.path("told")).expect("it was written");
    assert!(
        report.contains("\"WATCHDOG_USEC\":\"3600000000\""),
        "{report}"
    );
    let dog = supd.pid_of("dog");
    assert_eq!(supd.node("dog")["restarts"], serde_json::Value::Null);
    kill(dog, "SIGSTOP");
    let stopping = supd.event("service.stopping", "dog");
    assert_eq!(stopping["why"], "watchdog_timeout");
    let exit = supd.event("service.exited", "dog");
    assert_eq!(exit["class"], "watchdog_timeout");
    assert_eq!(exit["pid"], dog);
    supd.event("service.ready", "dog");
}
