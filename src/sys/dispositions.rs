// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens in this process when a signal arrives: default, ignored, or a handler.
//!
//! The module keeps the one fact a spawn needs: which signals may not be at their default here, so
//! that the child resets these and no others (64 calls per spawn would be felt). It installs no
//! handler itself.

#![expect(
    unsafe_code,
    reason = "rt_sigaction(2) and rt_sigprocmask(2) take pointers"
)]

use super::raw::syscall;
use crate::spec::Signal;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a kernel signal set; the C library's is larger.
pub(super) const SET_BYTES: usize = 8;

/// Signals that got a handler or were ignored since the last scan.
static NOT_DEFAULT: AtomicU64 = AtomicU64::new(0);

/// A set of signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignalSet(u64);

impl SignalSet {
    /// The set without a member.
    pub const EMPTY: Self = Self(0);

    /// The set the kernel writes as this number: bit 0 is signal 1.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The number the kernel would write.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether the signal is a member.
    pub fn contains(self, signal: Signal) -> bool {
        self.0 & bit(signal) != 0
    }

    /// The set with one more member.
    #[must_use]
    pub fn with(self, signal: Signal) -> Self {
        Self(self.0 | bit(signal))
    }

    /// The set with one member less.
    #[must_use]
    pub fn without(self, signal: Signal) -> Self {
        Self(self.0 & !bit(signal))
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        (1..=64)
            .filter_map(Signal::from_number)
            .filter(move |s| self.contains(*s))
    }
}

fn bit(signal: Signal) -> u64 {
    1 << (signal.number() - 1)
}

/// The kernel's `struct sigaction`, the same on x86_64 and aarch64.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct KernelAction {
    /// `SIG_DFL` (0), `SIG_IGN` (1) or an address.
    pub(super) handler: usize,
    pub(super) flags: usize,
    pub(super) restorer: usize,
    pub(super) mask: u64,
}

/// The default action.
pub(super) const DEFAULT: KernelAction = action(libc::SIG_DFL, 0);
/// Ignoring.
pub(super) const IGNORE: KernelAction = action(libc::SIG_IGN, 0);
/// For SIGCHLD: its default, sent for the end of a child only and not when one stops.
pub(super) const ENDS_ONLY: KernelAction = action(libc::SIG_DFL, SA_NOCLDSTOP);

const SA_NOCLDSTOP: usize = libc::SA_NOCLDSTOP as usize;

const fn action(handler: usize, flags: usize) -> KernelAction {
    KernelAction {
        handler,
        flags,
        restorer: 0,
        mask: 0,
    }
}

/// Sets a disposition; only the three above are ever passed, which need no handler.
/// Allocates nothing: the child of a spawn uses it, too.
#[inline]
pub(super) fn set(number: i32, action: &'static KernelAction) -> Result<(), i32> {
    let new = std::ptr::from_ref(action).addr();
    // SAFETY: `new` is a kernel action of static life, the old one is not asked for.
    unsafe {
        syscall(
            libc::SYS_rt_sigaction,
            [super::raw::arg(number), new, 0, SET_BYTES, 0],
        )
    }
    .map(drop)
}

/// Remembers that this signal may not be at its default any more.
pub(super) fn note(signal: Signal) {
    NOT_DEFAULT.fetch_or(bit(signal), Ordering::Relaxed);
}

/// Signals that a child must reset: those noted and those a scan found.
pub(super) fn noted() -> u64 {
    NOT_DEFAULT.load(Ordering::Relaxed)
}

/// Asks the kernel about all 64 signals: those ignored, and those with a handler.
/// What it finds is noted.
pub(super) fn scan() -> (SignalSet, SignalSet) {
    let mut ignored = SignalSet::EMPTY;
    let mut caught = SignalSet::EMPTY;
    for signal in (1..=64).filter_map(Signal::from_number) {
        let mut old = DEFAULT;
        let at = std::ptr::from_mut(&mut old).expose_provenance();
        let number = super::raw::arg(signal.number());
        // SAFETY: `at` is a kernel action of ours for the kernel to fill.
        let asked = unsafe { syscall(libc::SYS_rt_sigaction, [number, 0, at, SET_BYTES, 0]) };
        if asked.is_err() || old.handler == libc::SIG_DFL {
            continue;
        }
        note(signal);
        if old.handler == libc::SIG_IGN {
            ignored = ignored.with(signal);
        } else {
            caught = caught.with(signal);
        }
    }
    (ignored, caught)
}

/// Replaces this thread's signal mask and returns the former one. Allocates nothing.
#[inline]
pub(super) fn set_mask(mask: u64) -> u64 {
    let mut old = 0_u64;
    let new_at = std::ptr::from_ref(&mask).expose_provenance();
    let old_at = std::ptr::from_mut(&mut old).expose_provenance();
    let how = super::raw::arg(libc::SIG_SETMASK);
    // SAFETY: both pointers are to sets of `SET_BYTES` bytes on this stack.
    let _ = unsafe {
        syscall(
            libc::SYS_rt_sigprocmask,
            [how, new_at, old_at, SET_BYTES, 0],
        )
    };
    old
}
