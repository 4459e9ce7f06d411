// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every signal that can be blocked, taken one after another (sigtimedwait(2)), with who has sent
//! it: for who passes signals on and has nothing else to wait for.
//!
//! Blocked signals interrupt nothing and are not lost before somebody asks; a fault of our own ends
//! us all the same, since the kernel lifts the block for it. The module never decides whom a signal
//! is for.

#![expect(unsafe_code, reason = "the bare rt_sigtimedwait(2)")]

use super::dispositions::{SET_BYTES, set_mask};
use super::raw::syscall;
use crate::spec::Signal;
use std::mem::zeroed;
use std::time::Duration;

/// All signals, blocked. Not to be moved to another thread.
#[derive(Debug)]
pub struct Inbox(());

/// A signal that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Came {
    /// Which one.
    pub signal: Signal,
    /// Where from.
    pub from: Sender,
}

/// Who has sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The kernel itself: a terminal, or the end of somebody.
    Kernel,
    /// A process, by its number.
    Process(i32),
}

impl Inbox {
    /// Blocks every signal.
    pub fn block_all() -> Self {
        set_mask(u64::MAX);
        Self(())
    }

    /// The next signal; `None`: none has come for so long. Without a time it waits for ever.
    pub fn next(&self, at_most: Option<Duration>) -> Option<Came> {
        let all = u64::MAX;
        let time = at_most.map(|span| libc::timespec {
            tv_sec: span.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: span.subsec_nanos().into(),
        });
        // SAFETY: zeros are a valid signal information.
        let mut info: libc::siginfo_t = unsafe { zeroed() };
        let set = std::ptr::from_ref(&all).expose_provenance();
        let info_at = std::ptr::from_mut(&mut info).expose_provenance();
        let time_at = time
            .as_ref()
            .map_or(0, |t| std::ptr::from_ref(t).expose_provenance());
        loop {
            let args = [set, info_at, time_at, SET_BYTES, 0];
            // SAFETY: the set and the time are ours, the information is for the kernel to fill.
            match unsafe { syscall(libc::SYS_rt_sigtimedwait, args) } {
                Ok(_) => break,
                // Stopped and continued by somebody who traces us or has sent STOP.
                Err(libc::EINTR) => {}
                Err(_) => return None,
            }
        }
        let signal = Signal::from_number(info.si_signo)?;
        let from = if info.si_code > 0 {
            Sender::Kernel
        } else {
            // SAFETY: what a process has sent carries its number (sigaction(2)).
            Sender::Process(unsafe { info.si_pid() })
        };
        Some(Came { signal, from })
    }
}
