// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signals that arrive at supd: a set of pending ones and a pipe that wakes the loop.
//!
//! The handler sets a bit and writes one byte when none is waiting, so that a storm of signals
//! costs one wake-up and the pipe never fills. Which signal means what is not decided here.

#![expect(unsafe_code, reason = "a signal handler must be async-signal-safe")]

use super::dispositions::{SignalSet, note};
use crate::spec::Signal;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use signal_hook::SigId;
use signal_hook::low_level;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// What handler and loop share.
#[derive(Debug)]
struct Mailbox {
    pending: AtomicU64,
    /// The child that the last SIGCHLD spoke of; 0: none.
    child: AtomicI32,
    write: OwnedFd,
}

/// The signals we listen to. Dropping it takes the handlers' effect away.
#[derive(Debug)]
pub struct Signals {
    mailbox: Arc<Mailbox>,
    read: OwnedFd,
    registered: Vec<SigId>,
}

/// What has arrived since the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// Each at most once: signals coalesce.
    pub signals: SignalSet,
    /// A child that has ended, if SIGCHLD said which; only a hint, others may have ended as well.
    pub child: Option<i32>,
}

impl Signals {
    /// Listens to these signals. Not possible: KILL, STOP, and those the program raises against
    /// itself (SEGV, ILL, FPE).
    pub fn install(signals: &[Signal]) -> io::Result<Self> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let mailbox = Arc::new(Mailbox {
            pending: AtomicU64::new(0),
            child: AtomicI32::new(0),
            write,
        });
        let mut installed = Self {
            mailbox,
            read,
            registered: Vec::new(),
        };
        for signal in signals {
            if signal_hook::consts::FORBIDDEN.contains(&signal.number()) {
                return Err(io::Error::from_raw_os_error(libc::EINVAL));
            }
            note(*signal);
            let id = installed.register(*signal)?;
            installed.registered.push(id);
        }
        Ok(installed)
    }

    fn register(&self, signal: Signal) -> io::Result<SigId> {
        let mailbox = Arc::clone(&self.mailbox);
        if signal != Signal::CHLD {
            let action = move || mailbox.put(signal);
            // SAFETY: the action loads, stores and writes a byte (signal-safety(7)).
            return unsafe { low_level::register(signal.number(), action) };
        }
        let action = move |info: &libc::siginfo_t| {
            // SAFETY: for SIGCHLD the kernel fills in the pid; from kill(2) it is the sender's,
            // and a hint that names no dead child is harmless.
            let pid = unsafe { info.si_pid() };
            mailbox.child.store(pid, Ordering::Relaxed);
            mailbox.put(signal);
        };
        // SAFETY: as above.
        unsafe { signal_hook_registry::register_sigaction(signal.number(), action) }
    }

    /// Takes what has arrived, without waiting.
    pub fn drain(&mut self) -> Arrived {
        // First the pipe, then the set: a signal between the two leaves a byte behind and wakes
        // the loop once too often, never once too little.
        self.clear();
        self.take()
    }

    /// Empties the pipe; what has arrived is to be taken afterwards.
    pub fn clear(&mut self) {
        let mut bytes = [0_u8; 64];
        while nix::unistd::read(&self.read, &mut bytes).is_ok_and(|n| n == bytes.len()) {}
    }

    /// Takes what has arrived and leaves the pipe as it is: a system call less for who is awake
    /// already and drains it later.
    pub fn take(&mut self) -> Arrived {
        let signals = SignalSet::from_bits(self.mailbox.pending.swap(0, Ordering::AcqRel));
        let child = match self.mailbox.child.swap(0, Ordering::Relaxed) {
            0 => None,
            pid => Some(pid),
        };
        Arrived { signals, child }
    }
}

impl Mailbox {
    fn put(&self, signal: Signal) {
        let bit = SignalSet::EMPTY.with(signal).bits();
        if self.pending.fetch_or(bit, Ordering::AcqRel) == 0 {
            // Full means that a byte is waiting already.
            let byte = [0_u8];
            // SAFETY: one byte of this stack; the descriptor lives as long as the mailbox.
            let _ = unsafe { libc::write(self.write.as_raw_fd(), byte.as_ptr().cast(), 1) };
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in self.registered.drain(..) {
            low_level::unregister(id);
        }
    }
}

impl AsFd for Signals {
    /// Readable when something is pending.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> i32 {
        self.read.as_raw_fd()
    }
}
