// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of processes: peek, then reap, one at a time.
//!
//! A process that was peeked at is still a zombie: its pid and its group are still its own, so the
//! caller can look at it and kill the rest of its group without hitting a stranger. Only then is it
//! reaped. The module never decides whose process it was.

#![expect(
    unsafe_code,
    reason = "waitid(2) with resource usage has no safe wrapper"
)]

use super::raw::{arg, syscall};
use crate::spec::{ExitFacts, ExitStatus, Oom, Signal};
use std::mem::zeroed;

/// A process that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// The number it had; free for others now.
    pub pid: i32,
    /// How it ended and what it used.
    pub facts: ExitFacts,
}

/// Whom waitid(2) looks at.
#[derive(Clone, Copy)]
enum Whom {
    Anybody,
    Pid(i32),
}

/// Reaps one dead child, if there is one, whoever it is. `at_peek` is called with it while it is
/// still a zombie. Call it until it returns `None`: signals coalesce.
pub fn next(at_peek: &mut dyn FnMut(&Reaped)) -> Option<Reaped> {
    let seen = peek(Whom::Anybody)?;
    at_peek(&seen);
    reap(seen)
}

/// Like [`next`] for one child, a hint that came with SIGCHLD: with thousands of children much
/// cheaper than asking for anybody. A pid that is no dead child of ours is `None`.
pub fn one(pid: i32, at_peek: &mut dyn FnMut(&Reaped)) -> Option<Reaped> {
    if pid <= 0 {
        return None;
    }
    let seen = peek(Whom::Pid(pid))?;
    at_peek(&seen);
    reap(seen)
}

/// Like [`one`], waiting for the end of this child: for who has nothing else to do.
pub fn wait_for(pid: i32, at_peek: &mut dyn FnMut(&Reaped)) -> Option<Reaped> {
    let seen = wait(Whom::Pid(pid), libc::WEXITED | libc::WNOWAIT)?;
    at_peek(&seen);
    reap(seen)
}

/// Whether this child of ours is stopped (SIGSTOP, SIGTSTP) and was not continued.
pub fn is_stopped(pid: i32) -> bool {
    let seen = libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT;
    wait(Whom::Pid(pid), seen).is_some()
}

/// The signal that has stopped this child of ours; told once for each stop.
pub fn take_stop(pid: i32) -> Option<Signal> {
    let told = wait(Whom::Pid(pid), libc::WSTOPPED | libc::WNOHANG)?;
    match told.facts.status {
        // For a stop, too, the status is the signal (waitid(2)).
        ExitStatus::Code(number) => Signal::from_number(i32::from(number)),
        ExitStatus::Signal { signal, .. } => Some(signal),
    }
}

fn peek(whom: Whom) -> Option<Reaped> {
    let mut seen = wait(whom, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)?;
    if let ExitStatus::Signal { signal, .. } = seen.facts.status
        && signal == Signal::KILL
    {
        seen.facts.cpu_limit_s = cpu_limit_s(seen.pid);
    }
    Some(seen)
}

/// What was seen of the zombie is kept: afterwards there is nobody to look at.
fn reap(seen: Reaped) -> Option<Reaped> {
    let mut reaped = wait(Whom::Pid(seen.pid), libc::WEXITED | libc::WNOHANG)?;
    reaped.facts.cpu_limit_s = seen.facts.cpu_limit_s;
    Some(reaped)
}

/// The hard limit of a process's CPU time: beyond it the kernel sends SIGKILL (setrlimit(2)).
/// A zombie has its limits still; another user's are not shown to everybody.
fn cpu_limit_s(pid: i32) -> Option<u64> {
    let mut limit = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: libc::RLIM64_INFINITY,
    };
    let at = std::ptr::from_mut(&mut limit).expose_provenance();
    let cpu = usize::try_from(libc::RLIMIT_CPU).unwrap_or(0);
    // SAFETY: nothing is set, and the kernel writes a limit into a structure of ours.
    unsafe { syscall(libc::SYS_prlimit64, [arg(pid), cpu, 0, at, 0]) }.ok()?;
    Some(limit.rlim_max).filter(|limit| *limit != libc::RLIM64_INFINITY)
}

fn wait(whom: Whom, options: i32) -> Option<Reaped> {
    // SAFETY: a signal information and a resource usage of zeros are valid values.
    let (mut info, mut usage): (libc::siginfo_t, libc::rusage) = unsafe { zeroed() };
    let (idtype, id) = match whom {
        Whom::Anybody => (libc::P_ALL, 0),
        Whom::Pid(pid) => (libc::P_PID, pid),
    };
    let info_at = std::ptr::from_mut(&mut info).expose_provenance();
    let usage_at = std::ptr::from_mut(&mut usage).expose_provenance();
    loop {
        let args = [idtype as usize, arg(id), info_at, arg(options), usage_at];
        // SAFETY: both pointers are to structures of ours that the kernel fills.
        match unsafe { syscall(libc::SYS_waitid, args) } {
            Ok(_) => break,
            Err(libc::EINTR) => {}
            Err(_) => return None,
        }
    }
    // SAFETY: the kernel has filled it in, or left it zero when nobody is dead.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return None;
    }
    let facts = ExitFacts {
        status: exit_status(info.si_code, status),
        user_us: micros(usage.ru_utime),
        system_us: micros(usage.ru_stime),
        maxrss_kb: u64::try_from(usage.ru_maxrss).unwrap_or(0),
        left_behind: 0,
        oom: Oom::None,
        cpu_limit_s: None,
    };
    Some(Reaped { pid, facts })
}

/// waitid(2): `si_status` is the code for `CLD_EXITED` and the signal otherwise.
fn exit_status(code: i32, status: i32) -> ExitStatus {
    match (code, Signal::from_number(status)) {
        (libc::CLD_KILLED, Some(signal)) => ExitStatus::Signal {
            signal,
            core: false,
        },
        (libc::CLD_DUMPED, Some(signal)) => ExitStatus::Signal { signal, core: true },
        (_, _) => ExitStatus::Code(u8::try_from(status & 0xff).unwrap_or(u8::MAX)),
    }
}

fn micros(time: libc::timeval) -> u64 {
    let secs = u64::try_from(time.tv_sec).unwrap_or(0);
    let rest = u64::try_from(time.tv_usec).unwrap_or(0);
    secs.saturating_mul(1_000_000).saturating_add(rest)
}
