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
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Bytes of a process's environment that are searched; the kernel's own limit is larger, but what
/// we set stands in the first strings.
const ENVIRON_MAX: u64 = 256 << 10;

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
/// Empty where /proc is absent. Never contains ourselves.
pub fn of_run(leader: i32, mark: &str) -> Vec<Leftover> {
    let mut found = everybody();
    found.retain(|p| {
        p.state != 'Z'
            && p.pid != leader
            && (p.sid == leader || p.pgid == leader || has_mark(p.pid, mark))
    });
    found
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

fn has_mark(pid: i32, mark: &str) -> bool {
    use std::io::Read;
    let Ok(file) = fs::File::open(format!("/proc/{pid}/environ")) else {
        return false;
    };
    let mut bytes = Vec::new();
    if file.take(ENVIRON_MAX).read_to_end(&mut bytes).is_err() {
        return false;
    }
    !mark.is_empty() && bytes.split(|b| *b == 0).any(|v| v == mark.as_bytes())
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
