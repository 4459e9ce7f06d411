// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is left of a run when its process is gone: processes that left its group, found in /proc.
//!
//! A finding is a pid with the start time of the process, so that it can be signalled later
//! without hitting another that was given the number meanwhile. The module never decides what
//! belongs to whom beyond the marks it is asked for, and never signals by itself.

#![expect(
    unsafe_code,
    reason = "pidfd_open(2) and pidfd_send_signal(2) have no safe wrapper"
)]

use super::raw::{arg, io_error, syscall};
use crate::spec::Signal;
use nix::errno::Errno;
use nix::sys::signal::killpg;
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Bytes of a process's environment that are searched; the kernel's own limit is larger, but what
/// we set stands in the first strings.
const ENVIRON_MAX: u64 = 256 << 10;

/// How the environment of a service's processes says whose they are.
const MARK: &str = "SUPD_RUN=";
/// Parents of a process that are looked at.
const ANCESTORS_MAX: usize = 32;
/// Descendants of one process that are looked at.
const DESCENDANTS_MAX: usize = 1024;

/// A process that is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Its number.
    pub pid: i32,
    /// Its parent.
    pub ppid: i32,
    /// Its process group.
    pub pgid: i32,
    /// Its session.
    pub sid: i32,
    /// The letter of proc(5): `R`, `S`, `D`, `T`, `Z`…
    pub state: char,
    /// Clock ticks from boot to its start: with the pid it names one process.
    pub started: u64,
    /// Its name, at most 15 bytes, as the kernel keeps it.
    pub name: String,
}

/// Processes that are not dead yet and belong to the run whose leader had this pid: in its session
/// or its group, or with `mark` (`SUPD_RUN=3.17`) in their environment as far as we may read it.
/// Empty where /proc is absent. Never contains ourselves, and nobody who does not descend from us
/// where that can be known.
///
/// To be asked while the leader is a zombie, or later: the kernel gives its number to nobody as
/// long as a session or a group has it, so that a living process of this number means that both
/// are gone.
pub fn of_run(leader: i32, mark: &str) -> Vec<Leftover> {
    let mut found = descendants_of_ours();
    let again = found.iter().any(|p| p.pid == leader && p.is_alive());
    let inside = |p: &Leftover| !again && (p.sid == leader || p.pgid == leader);
    found.retain(|p| {
        p.is_alive()
            && p.pid != leader
            && (inside(p) || (!mark.is_empty() && mark_of(p.pid).as_deref() == Some(mark)))
    });
    found
}

/// Everybody below us: who runs away from its parent becomes our child, if orphans come to us. If
/// they do not, everybody there is.
fn descendants_of_ours() -> Vec<Leftover> {
    let all = everybody();
    let own = Pid::this().as_raw();
    if own != 1 && nix::sys::prctl::get_child_subreaper() != Ok(true) {
        return all;
    }
    below(own, all)
}

/// Who descends from `top`.
fn below(top: i32, all: Vec<Leftover>) -> Vec<Leftover> {
    let mut children: BTreeMap<i32, Vec<Leftover>> = BTreeMap::new();
    for p in all {
        children.entry(p.ppid).or_default().push(p);
    }
    let (mut found, mut open) = (Vec::new(), vec![top]);
    while let Some(parent) = open.pop() {
        let born = children.remove(&parent).unwrap_or_default();
        open.extend(born.iter().map(|p| p.pid));
        found.extend(born);
    }
    found
}

/// Living processes below this one that are not in its session: who leaves it and cleans its
/// environment is known only as long as its parents live (`/proc/PID/task/TID/children`).
pub fn far_descendants(pid: i32) -> Vec<Leftover> {
    let (mut found, mut open) = (Vec::new(), children_listed(pid));
    while let Some(child) = open.pop() {
        if found.len() >= DESCENDANTS_MAX {
            break;
        }
        open.extend(children_listed(child));
        found.extend(look_at(child));
    }
    found.retain(|p| p.sid != pid && p.is_alive());
    found
}

/// Children of all threads of a process; empty where the kernel has no such lists.
fn children_listed(pid: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let lists = tasks.filter_map(Result::ok);
    let texts = lists.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    texts.flat_map(|text| numbers(&text)).collect()
}

fn numbers(text: &str) -> Vec<i32> {
    let words = text.split_ascii_whitespace();
    words.filter_map(|word| word.parse().ok()).collect()
}

/// Our children from one short file instead of a walk through all of /proc; `None` where the
/// kernel has no such file (`CONFIG_PROC_CHILDREN`). For a process with one thread.
pub fn own_children() -> Option<Vec<i32>> {
    let text = fs::read_to_string("/proc/thread-self/children").ok()?;
    Some(numbers(&text))
}

/// Whether nobody is in the group of this leader any more, dead but unreaped ones included. To be
/// asked right after the leader was reaped, and as long as the answer is no.
pub fn is_group_gone(leader: i32) -> bool {
    leader <= 1 || killpg(Pid::from_raw(leader), None) == Err(Errno::ESRCH)
}

impl Leftover {
    /// Whether it can still do anything: a zombie cannot.
    pub fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }

    /// Whether this very process is still alive, as /proc shows it.
    pub fn lives_on(&self) -> bool {
        look_at(self.pid).is_some_and(|p| p.started == self.started && p.is_alive())
    }
}

/// Children of this process, dead or not, as /proc shows them.
pub fn children_of(parent: i32) -> Vec<Leftover> {
    let mut found = everybody();
    found.retain(|p| p.ppid == parent);
    found
}

/// The leader of the session a process belongs to, dead but unreaped ones included, without /proc
/// (getsid(2)).
pub fn session_of(pid: i32) -> Option<i32> {
    let leader = nix::unistd::getsid(Some(Pid::from_raw(pid)));
    leader.ok().map(Pid::as_raw)
}

/// Every process we can see but ourselves.
pub fn everybody() -> Vec<Leftover> {
    let own = Pid::this().as_raw();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != own)
        .filter_map(look_at)
        .collect()
}

/// What /proc says about one process.
pub fn look_at(pid: i32) -> Option<Leftover> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Who traces this process (ptrace(2)).
pub fn tracer_of(pid: i32) -> Option<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("TracerPid:"))?;
    line.trim().parse().ok().filter(|pid| *pid != 0)
}

/// `pid (name) state ppid pgrp session … starttime`: the name may contain anything, so that the
/// fields count from the last parenthesis (proc_pid_stat(5)).
fn parse_stat(bytes: &[u8]) -> Option<Leftover> {
    let text = String::from_utf8_lossy(bytes);
    let (head, tail) = text.rsplit_once(')')?;
    let (pid, name) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<i32>().ok();
    Some(Leftover {
        pid: pid.trim().parse().ok()?,
        state: fields.first()?.chars().next()?,
        ppid: number(1)?,
        pgid: number(2)?,
        sid: number(3)?,
        started: fields.get(19)?.parse().ok()?,
        name: name.to_owned(),
    })
}

/// The run that a process was started for, as its environment says (`SUPD_RUN=…`, the whole
/// string), if we may read it and it was not overwritten.
pub fn mark_of(pid: i32) -> Option<String> {
    use std::io::Read;
    let file = fs::File::open(format!("/proc/{pid}/environ")).ok()?;
    let mut bytes = Vec::new();
    file.take(ENVIRON_MAX).read_to_end(&mut bytes).ok()?;
    let mut strings = bytes.split(|b| *b == 0);
    let mark = strings.find(|v| v.starts_with(MARK.as_bytes()))?;
    String::from_utf8(mark.to_vec()).ok()
}

/// Whether a process may speak for the run with this leader and mark: it is in the leader's
/// session, descends from it, or carries the mark. One that is dead already, or that cannot be
/// looked at, may: nobody but the run was told where to (`systemd-notify` ends at once).
pub fn may_speak(pid: i32, leader: Option<i32>, mark: &str) -> bool {
    let alive = || look_at(pid).filter(Leftover::is_alive);
    let (Some(leader), Some(seen)) = (leader, alive()) else {
        return true;
    };
    let above = std::iter::successors(Some(seen), |p| look_at(p.ppid));
    let mut above = above.take(ANCESTORS_MAX);
    let known =
        above.any(|p| p.pid == leader || p.sid == leader) || mark_of(pid).as_deref() == Some(mark);
    // Who ends while it is looked at has no environment any more: it is one that is gone.
    known || alive().is_none()
}

/// Signals a finding, if it is still the same process. `ESRCH`: it is gone.
pub fn signal(found: &Leftover, signal: Signal) -> io::Result<()> {
    // The descriptor pins whoever has the number now; then we see whether it is the one we meant.
    let pidfd = pidfd_open(found.pid);
    let same = look_at(found.pid).is_some_and(|p| p.started == found.started);
    if !same {
        return Err(io_error(libc::ESRCH));
    }
    match pidfd {
        Ok(fd) => signal_pidfd(std::os::fd::AsRawFd::as_raw_fd(&fd), signal),
        Err(_) => kill(found.pid, signal),
    }
}

/// kill(2); `pid` may be the negative of a group's leader. Never -1, 0 or 1.
pub(super) fn kill(pid: i32, signal: Signal) -> io::Result<()> {
    if matches!(pid, -1..=1) {
        return Err(io_error(libc::ESRCH));
    }
    let args = [arg(pid), arg(signal.number()), 0, 0, 0];
    // SAFETY: no pointer is passed.
    unsafe { syscall(libc::SYS_kill, args) }
        .map(drop)
        .map_err(io_error)
}

/// pidfd_send_signal(2).
pub(super) fn signal_pidfd(pidfd: i32, signal: Signal) -> io::Result<()> {
    let args = [arg(pidfd), arg(signal.number()), 0, 0, 0];
    // SAFETY: the pointer to a signal information is null, which means the kernel's own.
    unsafe { syscall(libc::SYS_pidfd_send_signal, args) }
        .map(drop)
        .map_err(io_error)
}

/// pidfd_open(2).
pub(super) fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed.
    let fd = unsafe { syscall(libc::SYS_pidfd_open, [arg(pid), 0, 0, 0, 0]) }.map_err(io_error)?;
    let fd = i32::try_from(fd).map_err(|_| io_error(libc::EBADF))?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
