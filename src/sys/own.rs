// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a process does to itself: ignore a signal, die by one, fork a copy, forbid itself system
//! calls.
//!
//! supd uses little of it; the test program uses all. Never for starting a service: that is
//! `spawn`.

#![expect(unsafe_code, reason = "fork(2), raising a signal, installing a filter")]

use super::dispositions::{DEFAULT, IGNORE, note, set, set_mask};
use super::raw::{arg, errno, io_error, syscall};
use crate::spec::Signal;
use std::io;

/// Ignores a signal.
pub fn ignore(signal: Signal) -> io::Result<()> {
    note(signal);
    set(signal.number(), &IGNORE).map_err(io_error)
}

/// Sets a signal back to its default.
pub fn reset(signal: Signal) -> io::Result<()> {
    set(signal.number(), &DEFAULT).map_err(io_error)
}

/// Dies by a signal whose default is death; returns only if that is not so.
pub fn die_by(signal: Signal) -> io::Result<()> {
    reset(signal).or_else(|error| match signal {
        Signal::KILL | Signal::STOP => Ok(()),
        _ => Err(error),
    })?;
    set_mask(0);
    let pid = arg(nix::unistd::getpid().as_raw());
    // SAFETY: no pointer is passed.
    unsafe { syscall(libc::SYS_kill, [pid, arg(signal.number()), 0, 0, 0]) }
        .map(drop)
        .map_err(io_error)
}

/// Asks for a signal to ourselves when our parent dies (prctl(2)).
pub fn die_with_parent(signal: Signal) -> io::Result<()> {
    let args = [arg(libc::PR_SET_PDEATHSIG), arg(signal.number()), 0, 0, 0];
    // SAFETY: no pointer is passed.
    unsafe { syscall(libc::SYS_prctl, args) }
        .map(drop)
        .map_err(io_error)
}

/// Writes to a descriptor by its number, as a program does that was handed one.
pub fn write_to(number: i32, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the buffer has as many bytes as is said; a closed number is EBADF.
    let written = unsafe { libc::write(number, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(written).map_err(|_| io_error(errno()))
}

/// Which side of a fork one is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forked {
    /// The new process.
    Child,
    /// The old one; the new one's pid.
    Parent(i32),
}

/// fork(2). Only for a process with a single thread: in the child of another the locks of the
/// allocator may be held for ever.
pub fn fork_copy() -> io::Result<Forked> {
    // SAFETY: the caller has one thread, so that no lock is held by another.
    match unsafe { libc::fork() } {
        -1 => Err(io_error(errno())),
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(pid)),
    }
}

/// Ends at once without running destructors, for the child of [`fork_copy`].
pub fn exit_at_once(code: u8) -> ! {
    // SAFETY: `_exit` has no precondition.
    unsafe { libc::_exit(i32::from(code)) }
}

/// Ends this thread alone and at once; the process goes on as long as it has another one
/// (exit(2), not `_exit(3)`).
pub fn end_thread() -> ! {
    loop {
        // SAFETY: no pointer is passed; whatever this thread owns stays where it is.
        let _never = unsafe { syscall(libc::SYS_exit, [0; 5]) };
    }
}

/// Lets these system calls fail with `errno` in this thread and all that come from it, for ever
/// (seccomp(2)): to try how one gets on without them. New privileges are given up with it.
pub fn forbid(calls: &[libc::c_long], errno: i32) -> io::Result<()> {
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equals = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    let refusal = libc::SECCOMP_RET_ERRNO | errno.cast_unsigned();
    // The number of the call is the first word the filter can see.
    let mut program = vec![instruction(load, 0, 0)];
    for call in calls {
        let number = u32::try_from(*call).map_err(|_| io_error(libc::EINVAL))?;
        program.push(instruction(equals, 1, number));
        program.push(instruction(answer, 0, refusal));
    }
    program.push(instruction(answer, 0, libc::SECCOMP_RET_ALLOW));
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io_error(libc::EINVAL))?,
        filter: program.as_mut_ptr(),
    };
    nix::sys::prctl::set_no_new_privs()?;
    let at = std::ptr::from_ref(&filter).expose_provenance();
    let mode = libc::SECCOMP_MODE_FILTER as usize;
    // SAFETY: the filter and its program live until the kernel has copied them.
    unsafe { syscall(libc::SYS_prctl, [arg(libc::PR_SET_SECCOMP), mode, at, 0, 0]) }
        .map(drop)
        .map_err(io_error)
}

/// A comparison that fails skips as many instructions as said.
fn instruction(code: u32, skip: u8, value: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: u16::try_from(code).expect("invariant: classes of BPF have 16 bits"),
        jt: 0,
        jf: skip,
        k: value,
    }
}
