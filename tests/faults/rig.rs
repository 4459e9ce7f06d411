// SPDX-License-Identifier: MIT OR Apache-2.0
//! What fault tests need besides a daemon: a pid name space, the client, a look at /proc, and a
//! loud word where a tool is missing.

use super::harness::{PATIENCE, Start, Supd};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const UNSHARE: &[&str] = &["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The words before `supd` that make it PID 1 of a name space of its own.
pub(crate) fn unshare() -> Vec<&'static str> {
    [UNSHARE, rootless()].concat()
}

/// The words before a command that may mount what it likes, for itself.
pub(crate) fn unshare_mounts() -> Vec<&'static str> {
    [&["unshare", "--mount"], rootless()].concat()
}

fn rootless() -> &'static [&'static str] {
    if is_root() {
        &[]
    } else {
        &["--user", "--map-root-user"]
    }
}

/// Whether a test that changes users cannot be run, said loudly. CI runs these tests as root.
pub(crate) fn is_no_root() -> bool {
    if !is_root() {
        say("the right to change users");
    }
    !is_root()
}

/// A daemon that is PID 1.
pub(crate) fn init(config: &str) -> Supd {
    Supd::start_with(Start {
        config,
        wrapper: &unshare(),
        stdout: Stdio::null(),
    })
}

/// Whether what a test needs is missing: a failure in CI, elsewhere a loud line and no test.
pub(crate) fn is_missing(what: &str, is_there: bool) -> bool {
    if is_there {
        return false;
    }
    assert!(std::env::var_os("CI").is_none(), "CI must have {what}");
    say(what);
    true
}

/// Whether this machine cannot show it, whatever is installed: a loud line and no test.
pub(crate) fn is_not_here(what: &str, is_there: bool) -> bool {
    if !is_there {
        say(what);
    }
    !is_there
}

/// CPU time of a process so far, in ticks of 10 ms (proc_pid_stat(5)).
pub(crate) fn cpu_ticks(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let (_, tail) = text.rsplit_once(')').expect("its name");
    let fields: Vec<&str> = tail.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<u64>().expect("a number");
    ticks(11) + ticks(12)
}

/// Whether the node came up; `false`: the daemon has ended before.
pub(crate) fn ready_or_over(supd: &mut Supd, node: &str) -> bool {
    eventually("a start or an end", || {
        if supd.socket().exists() {
            return Some(true);
        }
        let over = supd.child.try_wait().expect("its state").is_some();
        over.then_some(false)
    }) && supd.event("supervisor.ready", node).is_object()
}

/// Not by a macro: the test runner would keep it to itself.
fn say(what: &str) {
    let text = format!("\n*** NOT TESTED, there is no {what}\n");
    let _ = std::io::stderr().write_all(text.as_bytes());
}

pub(crate) fn has_tool(name: &str) -> bool {
    let mut asked = Command::new(name);
    asked
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}

/// Exit code, standard output and standard error of the client.
pub(crate) fn supctl(supd: &Supd, words: &[&str]) -> (i32, String, String) {
    supctl_at(&supd.socket(), words)
}

/// The same, for who has no daemon at hand.
pub(crate) fn supctl_at(socket: &Path, words: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_supctl"))
        .arg("--socket")
        .arg(socket)
        .args(words)
        .output()
        .expect("supctl runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().expect("an exit code");
    (code, text(&output.stdout), text(&output.stderr))
}

/// The only child of a process: the daemon behind `unshare` or `strace`.
pub(crate) fn only_child(pid: i32) -> i32 {
    let children = children(pid);
    assert_eq!(children.len(), 1, "children of {pid}");
    children[0]
}

/// Children of a process, dead ones included.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect()
}

/// The letter of proc(5); `None`: there is no such process.
pub(crate) fn state(pid: i32) -> Option<char> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, tail) = text.rsplit_once(')')?;
    tail.trim_start().chars().next()
}

/// Waits for something the kernel has no event for.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Waits for events of these kinds about these nodes, in whatever order they come; the events in
/// the order of `wanted`.
pub(crate) fn all<const N: usize>(supd: &mut Supd, wanted: [(&str, &str); N]) -> [Value; N] {
    let mut found = std::array::from_fn(|_| Value::Null);
    while found.iter().any(Value::is_null) {
        let missing = |found: &[Value; N]| {
            let pairs = wanted.iter().zip(found).filter(|(_, f)| f.is_null());
            pairs.map(|(w, _)| *w).collect::<Vec<_>>()
        };
        let left = missing(&found);
        let next = supd.until(&format!("{left:?}"), |e| {
            left.iter()
                .any(|(kind, node)| e["kind"] == *kind && e["node"] == *node)
        });
        let at = wanted.iter().zip(&found).position(|((kind, node), f)| {
            f.is_null() && next["kind"] == *kind && next["node"] == *node
        });
        found[at.expect("one of them")] = next;
    }
    found
}

/// The report a child has written.
pub(crate) fn report(supd: &Supd, name: &str) -> Value {
    report_at(&supd.dir.path(name))
}

/// The same, wherever it is.
pub(crate) fn report_at(path: &Path) -> Value {
    let text = eventually("a report", || fs::read_to_string(path).ok());
    serde_json::from_str(&text).expect("a report")
}

/// How many processes the daemon says it has reaped that no service had started.
pub(crate) fn orphans(message: &str) -> u32 {
    let words: Vec<&str> = message.split(' ').collect();
    assert_eq!(words[0], "reaped", "{message}");
    words[1].parse().expect("a number")
}
