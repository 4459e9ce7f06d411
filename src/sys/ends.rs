// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ends of children as something to read (signalfd(2)): SIGCHLD is blocked and queued instead
//! of handled.
//!
//! A handler costs a restart the interrupted wait, the handler itself, its byte in a pipe and a
//! second wait, all before the dead process is looked at; here there is one read. Signals still
//! coalesce: what is read names one child, and others may have ended as well. The module never
//! reaps and never decides who is looked for.

use super::dispositions::{ENDS_ONLY, set};
use super::raw::io_error;
use crate::spec::Signal;
use nix::sys::signal::{SigSet, SigmaskHow, Signal as Number, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Readable while the end of a child has not been told.
#[derive(Debug)]
pub struct Ends(SignalFd);

/// At least one child has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// One of them, if it was said which; only a hint.
    pub child: Option<i32>,
}

impl Ends {
    /// From now on the ends of children are told here. To be called before there is a second
    /// thread: one that does not block SIGCHLD would swallow it (signal(7)). Children that are
    /// stopped or continued are not told.
    pub fn watch() -> io::Result<Self> {
        let mut ends = SigSet::empty();
        ends.add(Number::SIGCHLD);
        let queue = SignalFd::with_flags(&ends, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        // Ignored, as an outer process may have left it, children would be reaped by nobody's
        // asking, and their ends lost (sigaction(2)).
        set(Signal::CHLD.number(), &ENDS_ONLY).map_err(io_error)?;
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&ends), None)?;
        Ok(Self(queue))
    }

    /// What has been told since the last time, without waiting.
    pub fn take(&self) -> Option<Ended> {
        let told = self.0.read_signal().ok().flatten()?;
        let child = i32::try_from(told.ssi_pid).ok().filter(|pid| *pid > 0);
        Some(Ended { child })
    }
}

impl AsFd for Ends {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
