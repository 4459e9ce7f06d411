// SPDX-License-Identifier: MIT OR Apache-2.0
//! What services write: kept, passed on, never in anybody's way.

use super::harness::{Start, Supd, line};
use serde_json::Value;
use std::process::Stdio;

#[test]
fn lines_are_kept_by_run_and_stream_and_the_exit_carries_the_last_ones() {
    let mut supd = Supd::start(
        "[service.web]\nrestart = \"temporary\"\n\
         command = \"CHILD print one print-err two print three exit 4\"",
    );
    let exit = supd.event("service.exited", "web");
    let last: Vec<_> = exit["last_lines"]
        .as_array()
        .expect("lines")
        .iter()
        .collect();
    assert_eq!(last.len(), 3, "{exit}");
    let (status, text) = supd.ask("GET", "/v1/nodes/web/logs", "");
    assert_eq!(status, 200);
    let lines: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).expect("a line"))
        .collect();
    let of = |stream: &str| -> Vec<&str> {
        lines
            .iter()
            .filter(|l| l["stream"] == stream)
            .filter_map(|l| l["text"].as_str())
            .collect()
    };
    assert_eq!(of("stdout"), ["one", "three"]);
    assert_eq!(of("stderr"), ["two"]);
    assert!(lines.iter().all(|l| l["run"] == 1 && l["node"] == "web"));
    let (_, text) = supd.ask("GET", "/v1/nodes/root/logs?lines=1", "");
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn lines_of_every_run_are_kept_whether_or_not_descriptors_are_plenty() {
    for limit in ["200", "2000"] {
        let ulimit = format!("ulimit -n {limit}; exec \"$@\"");
        let mut supd = Supd::start_with(Start {
            config: "[supervisor.root]\nmax_restarts = 2\nmax_seconds = 600\n\
                     [service.web]\nbackoff = \"none\"\ncommand = \"CHILD print out \
                     print-err err exit 4\"\n[service.other]\ncommand = \"CHILD sleep forever\"",
            wrapper: &["sh", "-c", &ulimit, "sh"],
            ..Start::default()
        });
        for run in 1..=3 {
            let exit = supd.event("service.exited", "web");
            assert_eq!(exit["run"], run, "{}", supd.story());
            let mut last: Vec<_> = exit["last_lines"].as_array().expect("lines").clone();
            last.sort_by_key(ToString::to_string);
            assert_eq!(last, ["err", "out"], "limit {limit}, run {run}");
        }
        supd.event("supervisor.escalated", "root");
    }
}

#[test]
fn only_lines_of_the_time_that_is_asked_for_are_told() {
    let mut supd = Supd::start(
        "[service.web]\nrestart = \"temporary\"\ncommand = \"CHILD print one print two exit 4\"",
    );
    supd.event("service.exited", "web");
    let lines = |query: &str| supd.ask("GET", &format!("/v1/nodes/web/logs{query}"), "");
    assert_eq!(lines("?since=1h").1.lines().count(), 2);
    assert_eq!(lines("?since=0ms"), (200, String::new()));
    let (status, error) = lines("?since=yesterday");
    assert_eq!(status, 400);
    assert!(error.contains("since=10m"), "{error}");
    assert_eq!(lines("?run=x").0, 400);
}

#[test]
fn empty_lines_are_lines() {
    let mut supd =
        Supd::start("[service.web]\nrestart = \"temporary\"\nshell = 'echo a; echo; echo b'");
    supd.event("service.exited", "web");
    let (_, text) = supd.ask("GET", "/v1/nodes/web/logs", "");
    let texts = |line: &str| -> Value {
        serde_json::from_str::<Value>(line).expect("a line")["text"].take()
    };
    let texts: Vec<Value> = text.lines().map(texts).collect();
    assert_eq!(texts, ["a", "", "b"]);
}

#[test]
fn lines_are_followed_as_they_come() {
    let mut supd = Supd::start(
        "[service.web]\ncommand = \"CHILD on USR1 exit 0 ready sleep forever\"\n\
         ready = { notify = true }\n\
         [service.talker]\nenabled = false\nrestart = \"temporary\"\n\
         command = \"CHILD print spoken\"",
    );
    supd.event("service.ready", "web");
    let stream = supd.stream("/v1/nodes/root/logs?follow=1&lines=0");
    line(&stream, str::is_empty);
    supd.post("/v1/nodes/talker/start", "");
    let spoken = line(&stream, |l| l.contains("spoken"));
    let spoken: Value = serde_json::from_str(&spoken).expect("a line");
    assert_eq!(spoken["node"], "talker");
}

#[test]
fn fault_48_a_reader_that_never_reads_holds_no_service_up() {
    let (never_read, write) = std::io::pipe().expect("a pipe");
    let mut supd = Supd::start_with(Start {
        config: "[service.loud]\nrestart = \"temporary\"\ncommand = \"CHILD write 64 exit 5\"",
        stdout: write.into(),
        ..Start::default()
    });
    let exit = supd.event("service.exited", "loud");
    assert_eq!(exit["code"], 5, "{}", supd.story());
    assert_eq!(supd.get("/v1/health?level=live").0, 200);
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0), "nor the end of the daemon");
    drop(never_read);
}

#[test]
fn a_pipe_of_ours_that_others_share_stays_blocking_for_them() {
    let (_read, write) = std::io::pipe().expect("a pipe");
    let shared = write.try_clone().expect("a copy");
    let mut supd = Supd::start_with(Start {
        config: "[service.web]\ncommand = \"CHILD print x sleep forever\"",
        stdout: write.into(),
        ..Start::default()
    });
    supd.event("supervisor.ready", "root");
    let flags = nix::fcntl::fcntl(&shared, nix::fcntl::FcntlArg::F_GETFL).expect("its flags");
    assert_eq!(flags & nix::fcntl::OFlag::O_NONBLOCK.bits(), 0);
}

#[test]
fn fault_55_closed_outputs_do_not_end_the_daemon() {
    let mut supd = Supd::start_with(Start {
        config: "[service.loud]\ncommand = \"CHILD print x sleep forever\"",
        wrapper: &["sh", "-c", "exec \"$@\" >&- <&-", "sh"],
        ..Start::default()
    });
    supd.event("supervisor.ready", "root");
    assert_eq!(supd.get("/v1/health").0, 200);
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0));
}

#[test]
fn fault_56_a_grandchild_that_keeps_the_pipe_holds_no_stop_up() {
    let mut supd = Supd::start(
        "[service.web]\ncommand = \"CHILD double-fork [ setsid ready sleep forever ] sleep forever\"\n\
         ready = { notify = true }",
    );
    supd.event("service.ready", "web");
    let (_, reply) = supd.post("/v1/nodes/web/stop", "");
    assert_eq!(reply["ok"], true);
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0));
}

#[test]
fn lines_are_passed_on_with_their_service_in_front() {
    let mut supd = Supd::start_with(Start {
        config: "[service.web]\ncommand = \"CHILD print hello print-err oh sleep forever\"",
        stdout: Stdio::piped(),
        ..Start::default()
    });
    let out = supd.out.take().expect("its output");
    line(&out, |l| l == "web | hello");
    supd.until_talk("web | oh");
}
