// SPDX-License-Identifier: MIT OR Apache-2.0
//! The daemon as init of a pid name space of its own. `unshare` is part of util-linux; without the
//! right to make a name space these tests say so and fail.

use super::harness::{CHILD, Start, Supd, kill};
use std::fs;
use std::process::Command;

const UNSHARE: &[&str] = &["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];

fn start(config: &str) -> Supd {
    let is_root = nix::unistd::geteuid().is_root();
    let rootless = [UNSHARE, &["--user", "--map-root-user"]].concat();
    Supd::start_with(Start {
        config,
        wrapper: if is_root { UNSHARE } else { &rootless },
        ..Start::default()
    })
}

/// The daemon's own number outside: the only child of `unshare`.
fn outer_pid(supd: &Supd) -> i32 {
    let pid = supd.pid();
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(path).expect("its children");
    text.trim().parse().expect("one child")
}

#[test]
fn it_is_pid_1_and_its_exit_code_is_the_culprits() {
    let mut supd = start(
        "[supd]\nexit_delay = \"0s\"\n[supervisor.root]\nmax_restarts = 0\n\
         [service.bad]\ncommand = \"CHILD exit 41\"",
    );
    let started = supd.event("daemon.started", "");
    let message = started["message"].as_str().expect("a message");
    assert!(message.contains("pid 1,"), "{message}");
    assert_eq!(supd.wait().code(), Some(41));
}

#[test]
fn a_death_by_signal_is_128_and_its_number() {
    let mut supd = start(
        "[supd]\nexit_delay = \"0s\"\n[supervisor.root]\nmax_restarts = 0\n\
         [service.bad]\ncommand = \"CHILD signal SEGV\"",
    );
    assert_eq!(supd.wait().code(), Some(139), "{}", supd.story());
}

#[test]
fn orphans_of_services_are_reaped_and_change_nothing() {
    let mut supd = start(
        "[supd]\nlog = { level = \"debug\" }\n\
         [service.web]\ncommand = \"CHILD double-fork [ exit 3 ] ready sleep forever\"\n\
         ready = { notify = true }",
    );
    supd.all(&["orphan.reaped", "service.ready"]);
    assert_eq!(supd.node("web")["restarts"], serde_json::Value::Null);
}

#[test]
fn term_from_outside_stops_the_tree_and_runaways_go_with_it() {
    let mut supd = start(
        "[service.web]\ncommand = \"CHILD double-fork [ setsid ignore TERM ready sleep forever ] \
         sleep forever\"\nready = { notify = true }",
    );
    supd.event("service.ready", "web");
    kill(outer_pid(&supd), "SIGTERM");
    assert_eq!(supd.wait().code(), Some(0), "{}", supd.story());
}

#[test]
fn fault_79_who_kills_everybody_does_not_kill_init() {
    let mut supd = start(
        "[supervisor.root]\nmax_restarts = 50\n\
         [service.a]\ncommand = \"CHILD sleep forever\"\n\
         [service.killer]\nenabled = false\nrestart = \"temporary\"\nshell = \"kill -9 -1\"",
    );
    supd.event("supervisor.ready", "root");
    supd.post("/v1/nodes/killer/start?wait=0", "");
    supd.event("service.exited", "a");
    supd.event("service.ready", "a");
    assert_eq!(supd.get("/v1/health").0, 200);
}

#[test]
fn fault_3_children_it_was_executed_over_are_reaped_as_strangers() {
    let is_root = nix::unistd::geteuid().is_root();
    let mut wrapper: Vec<&str> = UNSHARE.to_vec();
    if !is_root {
        wrapper.extend(["--user", "--map-root-user"]);
    }
    // A shell might reap it before it becomes supd.
    wrapper.extend([CHILD, "fork", "[", "exit", "0", "]", "await-dead", "exec"]);
    let mut supd = Supd::start_with(Start {
        config: "[supd]\nlog = { level = \"debug\" }\n[service.a]\ncommand = \"CHILD sleep forever\"",
        wrapper: &wrapper,
        ..Start::default()
    });
    supd.all(&["orphan.reaped", "supervisor.ready"]);
}

#[test]
fn fault_2_an_ignored_sigchld_at_the_start_does_not_matter() {
    let mut supd = Supd::start_with(Start {
        config: "[service.a]\nrestart = \"temporary\"\ncommand = \"CHILD exit 6\"",
        wrapper: &["sh", "-c", "trap '' CHLD HUP TERM; exec \"$@\"", "sh"],
        ..Start::default()
    });
    assert_eq!(supd.event("service.exited", "a")["code"], 6);
    supd.signal("SIGTERM");
    supd.wait();
}

#[test]
fn with_nothing_but_itself_in_an_empty_root_it_still_says_what_is_wrong() {
    let output = Command::new(env!("CARGO_BIN_EXE_supd"))
        .env_clear()
        .args(["-c", "/does/not/exist.toml"])
        .output()
        .expect("supd runs");
    assert_eq!(output.status.code(), Some(65));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("/does/not/exist.toml"), "{text}");
}
