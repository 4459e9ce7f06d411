// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of our unreaped processes: which run a pid belongs to, and the only way to signal it.
//!
//! A pid is in the table from its spawn until it is taken out at its reaping. Signals go through
//! the table, so that none can reach a stranger to whom the kernel gave the number again
//! (invariant 3). The module never decides whom to signal.

use super::leftovers;
use crate::spec::{Scope, Signal};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The unreaped processes of ours, by pid and by run.
#[derive(Debug)]
pub struct Procs<R> {
    by_pid: BTreeMap<i32, Proc<R>>,
    by_run: BTreeMap<R, i32>,
}

#[derive(Debug)]
struct Proc<R> {
    run: R,
    pidfd: Option<OwnedFd>,
}

impl<R: Copy + Ord> Default for Procs<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: Copy + Ord> Procs<R> {
    /// An empty table.
    pub fn new() -> Self {
        Self {
            by_pid: BTreeMap::new(),
            by_run: BTreeMap::new(),
        }
    }

    /// Enters a process that was just spawned.
    pub fn insert(&mut self, pid: i32, run: R, pidfd: Option<OwnedFd>) {
        self.by_pid.insert(pid, Proc { run, pidfd });
        self.by_run.insert(run, pid);
    }

    /// Takes out a process that was reaped; `None`: an orphan, no process of ours.
    pub fn take(&mut self, pid: i32) -> Option<R> {
        let proc = self.by_pid.remove(&pid)?;
        self.by_run.remove(&proc.run);
        Some(proc.run)
    }

    /// The run this unreaped process belongs to.
    pub fn run_of(&self, pid: i32) -> Option<R> {
        self.by_pid.get(&pid).map(|proc| proc.run)
    }

    /// The process of a run while it is unreaped.
    pub fn pid_of(&self, run: R) -> Option<i32> {
        self.by_run.get(&run).copied()
    }

    /// The pidfd of a run's process.
    pub fn pidfd_of(&self, run: R) -> Option<BorrowedFd<'_>> {
        let pid = self.pid_of(run)?;
        self.by_pid.get(&pid)?.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// Sends a signal to a run's process, or to its process group, of which it is the leader.
    /// [`Scope::Tree`] reaches the group: what left the group is found by
    /// [`super::leftovers`]. `ESRCH`: the run has no unreaped process.
    pub fn signal(&self, run: R, signal: Signal, scope: Scope) -> io::Result<()> {
        let gone = || io::Error::from_raw_os_error(libc::ESRCH);
        let pid = self.pid_of(run).ok_or_else(gone)?;
        let proc = self.by_pid.get(&pid).ok_or_else(gone)?;
        match scope {
            Scope::Leader => proc.signal_alone(pid, signal),
            Scope::Group | Scope::Tree => match leftovers::kill(-pid, signal) {
                Ok(()) => Ok(()),
                // The child has not come to setsid(2) yet, or some of the group are another
                // user's: the leader at least.
                Err(_) => proc.signal_alone(pid, signal),
            },
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_pid.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_pid.is_empty()
    }

    /// All of them, by pid.
    pub fn iter(&self) -> impl Iterator<Item = (i32, R)> {
        self.by_pid.iter().map(|(pid, proc)| (*pid, proc.run))
    }
}

impl<R> Proc<R> {
    fn signal_alone(&self, pid: i32, signal: Signal) -> io::Result<()> {
        let Some(pidfd) = &self.pidfd else {
            return leftovers::kill(pid, signal);
        };
        match leftovers::signal_pidfd(pidfd.as_raw_fd(), signal) {
            // A filter may forbid the call; the pid is unreaped and so as good.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                leftovers::kill(pid, signal)
            }
            sent => sent,
        }
    }
}
