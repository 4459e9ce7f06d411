// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our terminal, and whose turn it is there (termios(3), "job control").
//!
//! Single acts: who is in the foreground, and putting somebody there. Nothing of it fails for who
//! has no terminal. SIGTTOU must be ignored or blocked (`init` sees to it), or putting somebody
//! else in front would stop us.

#![expect(unsafe_code, reason = "standard descriptors by number")]

use crate::spec::Signal;
use nix::unistd::{Pid, getpgrp, getppid, getsid, tcgetpgrp, tcsetpgrp};
use std::os::fd::BorrowedFd;

/// The standard descriptor that is our controlling terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal(i32);

impl Terminal {
    /// The first of our standard descriptors that is our terminal.
    pub fn find() -> Option<Self> {
        let found = (0..3).map(Self);
        found
            .into_iter()
            .find(|terminal| terminal.foreground().is_some())
    }

    /// The process group in the foreground.
    pub fn foreground(self) -> Option<i32> {
        tcgetpgrp(self.fd()).ok().map(Pid::as_raw)
    }

    /// Whether we are the ones in the foreground.
    pub fn is_ours(self) -> bool {
        self.foreground() == Some(getpgrp().as_raw())
    }

    /// Puts a process group into the foreground; one that is gone stays away.
    pub fn put_in_front(self, group: i32) {
        let _gone = tcsetpgrp(self.fd(), Pid::from_raw(group));
    }

    /// Puts ourselves into the foreground.
    pub fn take_back(self) {
        self.put_in_front(getpgrp().as_raw());
    }

    fn fd(self) -> BorrowedFd<'static> {
        // SAFETY: 0 to 2 are open as long as we live (`init` sees to it), and never owned.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

/// Whether somebody would continue us if we stopped: a parent in our session and outside our group,
/// as a shell with job control is. Without one the kernel calls the group orphaned, and a stop by a
/// terminal passes it by (setpgid(2)).
pub fn has_shell_above() -> bool {
    let parent = getppid();
    let same_session = match (getsid(None), getsid(Some(parent))) {
        (Ok(ours), Ok(theirs)) => ours == theirs,
        (_, Err(_)) | (Err(_), Ok(_)) => false,
    };
    let group = nix::unistd::getpgid(Some(parent));
    parent.as_raw() > 0 && same_session && group.is_ok_and(|group| group != getpgrp())
}

/// Stops ourselves until somebody continues us.
pub fn stop_here() {
    let _stopped = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP);
}

/// Whether a terminal sends it to stop a job.
pub fn is_stop_of_terminal(signal: Signal) -> bool {
    matches!(
        signal.number(),
        libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU
    )
}
