// SPDX-License-Identifier: MIT OR Apache-2.0
//! The static binaries in an empty root: no /proc, no /dev, no /tmp, a user nobody knows, nothing
//! that can be written. `make test-static` builds them, and this test with them, into a target
//! directory of their own; otherwise it is not run.

#![allow(
    clippy::disallowed_methods,
    reason = "tests start the daemon and read its log in a thread"
)]

#[path = "../daemon/harness.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests of the daemon, which use all of it"
)]
mod harness;

use harness::{Dir, Supd};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const SUPD: &str = env!("CARGO_BIN_EXE_supd");

/// A user that is in no passwd; its group is 0, as on OpenShift.
const UID: &str = "1000610000";

/// Who needs a loader of shared libraries says so (elf(5), `PT_INTERP`): the path stands in the
/// first page.
fn is_static(path: &str) -> bool {
    let bytes = fs::read(path).expect("the binary");
    let head = &bytes[..bytes.len().min(4096)];
    !head.windows(7).any(|w| w == b"/ld-lin" || w == b"/ld-mus")
}

/// A root with the daemon, the test program and this configuration, and nothing else.
fn empty_root(config: &str) -> Dir {
    let dir = Dir::new();
    for (name, from) in [("supd", SUPD), ("child", harness::CHILD)] {
        assert!(
            is_static(from),
            "{from} is not static: run `make test-static`"
        );
        fs::copy(from, dir.path(name)).expect("copied");
    }
    dir.write("supd.toml", config);
    for path in [dir.0.clone(), dir.path("supd.toml")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode");
    }
    dir
}

/// The words before the daemon's arguments; a shell is not there any more.
fn inside(dir: &Dir) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child"]);
    if nix::unistd::geteuid().is_root() {
        command.args(["--setuid", UID, "--setgid", "0"]);
    } else {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg(format!("--root={}", dir.0.display()));
    command.args(["/supd", "-c", "/supd.toml"]);
    command
}

const TREE: &str = "[supervisor.root]\nstrategy = \"rest_for_one\"\nmax_restarts = 20\n\
    children = [\"db\", \"api\"]\n\
    [supervisor.api]\nstrategy = \"one_for_all\"\nchildren = [\"web\", \"ws\"]\n\
    [service.db]\ncommand = \"/child ready sleep forever\"\nready = { notify = true }\n\
    [service.web]\ncommand = \"/child double-fork [ exit 0 ] ready-fd 5 sleep forever\"\n\
    ready = { fd = 5 }\n\
    [service.ws]\ncommand = \"/child sleep forever\"\n";

/// Names of the nodes of all events of a kind.
fn kinds(events: &[Value], kind: &str) -> Vec<String> {
    let of = events.iter().filter(|e| e["kind"] == kind);
    of.map(|e| e["node"].as_str().unwrap_or("").to_owned())
        .collect()
}

fn children(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let text = text.expect("its children");
    text.split_whitespace()
        .map(|n| n.parse().expect("a pid"))
        .collect()
}

/// The number a process has in its innermost name space.
fn inner(pid: i32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its state");
    let line = status.lines().find(|line| line.starts_with("NSpid:"));
    let last = line.and_then(|line| line.split_whitespace().last());
    last.and_then(|n| n.parse().ok()).expect("a number")
}

#[test]
fn a_tree_runs_heals_and_stops_in_order_in_an_empty_root() {
    let dir = empty_root(TREE);
    let command = inside(&dir);
    let mut supd = Supd::start_as(dir, command);
    let started = supd.event("daemon.started", "");
    let message = started["message"].as_str().expect("a message");
    assert!(message.contains("pid 1,"), "{message}");
    let remarks: Vec<Value> = supd.events.clone();
    let told = |word: &str| {
        let says = |e: &Value| e["message"].as_str().is_some_and(|m| m.contains(word));
        remarks.iter().any(says)
    };
    for missing in ["/proc", "no control socket"] {
        assert!(
            told(missing),
            "{missing} is not mentioned: {}",
            supd.story()
        );
    }
    let ready = supd.event("service.ready", "ws");
    supd.event("supervisor.ready", "root");
    // One of the group dies: both are renewed, the database is not.
    let init = children(supd.pid())[0];
    let ws = children(init)
        .into_iter()
        .find(|pid| inner(*pid) == ready["pid"]);
    harness::kill(ws.expect("its number outside"), "SIGABRT");
    let end = supd.event("service.exited", "ws");
    assert_eq!(end["signal"], "ABRT", "{end}");
    supd.event("service.ready", "ws");
    let ready = kinds(&supd.events, "service.ready");
    assert_eq!(ready, ["db", "web", "ws", "web", "ws"]);
    harness::kill(init, "SIGTERM");
    assert_eq!(supd.wait().code(), Some(0), "{}", supd.story());
    let stopping = |e: &Value| e["kind"] == "daemon.stopping";
    let from = supd.events.iter().position(stopping).expect("it was told");
    let ends = kinds(&supd.events[from..], "service.exited");
    assert_eq!(ends, ["ws", "web", "db"], "{}", supd.story());
}

#[test]
fn its_exit_code_in_an_empty_root_is_the_culprits() {
    let toml = "[supd]\nexit_delay = \"0s\"\n[supervisor.root]\nmax_restarts = 0\n";
    for (command, code) in [
        ("/child exit 7", 7),
        ("/child signal KILL", 137),
        ("/none", 127),
    ] {
        let dir = empty_root(&format!("{toml}[service.bad]\ncommand = \"{command}\"\n"));
        let words = inside(&dir);
        let mut supd = Supd::start_as(dir, words);
        assert_eq!(supd.wait().code(), Some(code), "{}", supd.story());
        assert!(
            supd.talk.iter().any(|l| l.contains("gave up")),
            "{}",
            supd.story()
        );
    }
}

#[test]
fn a_bad_file_in_an_empty_root_is_65_with_its_place() {
    let dir = empty_root("[service.a]\ncommnd = \"/child\"\n");
    let output = inside(&dir).output().expect("it runs");
    assert_eq!(output.status.code(), Some(65));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("/supd.toml:2:1"), "{text}");
}
