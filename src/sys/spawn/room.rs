// SPDX-License-Identifier: MIT OR Apache-2.0
//! The memory that a child and its parent share until the child has executed or ended: its stack,
//! and a page with its order, its report and two words for the parent to watch.
//!
//! It must stay where it is for as long as the child uses it, which may be long: the program may
//! lie on a file system that does not answer. A [`Pending`] child keeps its room, and gives it
//! back only when the kernel has said that nobody uses it any more.

#![expect(
    unsafe_code,
    reason = "mmap(2), futex(2) and memory that two processes use"
)]

use super::super::clock;
use super::super::raw::{arg, errno, io_error, syscall};
use super::child::{Order, Report};
use super::plan::Plan;
use crate::spec::SpawnFailure;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Memory from mmap(2).
#[derive(Debug)]
struct Mapping {
    base: *mut libc::c_void,
    length: usize,
}

/// Bytes of a child's stack: it calls a few small functions, in a debug build larger ones.
const STACK: usize = 128 << 10;
/// At least a page.
const GUARD: usize = 64 << 10;
const PAGE: usize = 4096;

/// What a child and its parent tell each other.
#[derive(Debug)]
pub(super) struct Page {
    /// Not 0 while the child uses our memory; the kernel clears it and wakes who waits for it
    /// (clone(2), `CLONE_CHILD_CLEARTID`).
    pub(super) busy: AtomicU32,
    /// Not 0 once the child uses our table of descriptors no longer.
    pub(super) left: AtomicU32,
    pub(super) report: Report,
    pub(super) order: Option<Order>,
}

const _: () = assert!(size_of::<Page>() <= PAGE);

/// The value of a word that is set.
pub(super) const YES: u32 = 1;

/// A stack and a page.
#[derive(Debug)]
pub(super) struct Room {
    stack: Mapping,
    page: Mapping,
}

/// How long a parent waits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wait {
    /// Until the child has executed or ended.
    Endless,
    /// At most this long, and until the child has left our table of descriptors.
    AtMost(Duration),
}

impl Room {
    pub(super) fn new() -> io::Result<Self> {
        let stack = Mapping::new(STACK + GUARD, libc::MAP_PRIVATE | libc::MAP_STACK)?;
        // SAFETY: the range is the lower end of our own mapping.
        if unsafe { libc::mprotect(stack.base, GUARD, libc::PROT_NONE) } < 0 {
            return Err(io_error(errno()));
        }
        // Shared whatever the rung; zeroes from the kernel are replaced before anybody looks.
        let page = Mapping::new(PAGE, libc::MAP_SHARED)?;
        let room = Self { stack, page };
        room.prepare(None);
        Ok(room)
    }

    /// Where the child's stack begins: its upper end.
    pub(super) fn stack(&self) -> *mut libc::c_void {
        self.stack.base.wrapping_byte_add(self.stack.length)
    }

    pub(super) fn page(&self) -> *mut Page {
        self.page.base.cast()
    }

    /// Writes the order of the next child.
    pub(super) fn prepare(&self, order: Option<Order>) {
        let page = Page {
            busy: AtomicU32::new(YES),
            left: AtomicU32::new(0),
            report: None,
            order,
        };
        // SAFETY: the page is ours, large enough and aligned, and no child uses it.
        unsafe { self.page().write(page) };
    }

    pub(super) fn busy(&self) -> &AtomicU32 {
        // SAFETY: the page is there as long as we are, and the word is atomic.
        unsafe { &(*self.page()).busy }
    }

    fn left(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { &(*self.page()).left }
    }

    /// Whether the child has executed or ended.
    pub(super) fn is_free(&self) -> bool {
        self.busy().load(Ordering::Acquire) == 0
    }

    /// Why the child did not execute. Only when the room is free.
    pub(super) fn report(&self) -> Report {
        // SAFETY: the page is ours, and nobody writes any more.
        unsafe { (&raw const (*self.page()).report).read_volatile() }
    }

    /// Waits for the child; whether the room is free.
    pub(super) fn wait(&self, wait: Wait) -> bool {
        let Wait::AtMost(span) = wait else {
            while !self.is_free() {
                self.sleep(None);
            }
            return true;
        };
        let until = clock::now_ns().saturating_add(nanos(span));
        loop {
            if self.is_free() {
                return true;
            }
            let left = until.saturating_sub(clock::now_ns());
            if left > 0 {
                self.sleep(Some(Duration::from_nanos(left)));
            } else if self.left().load(Ordering::Acquire) != 0 {
                return self.is_free();
            } else {
                // It has not had the processor yet; what it was given must not be taken away.
                self.sleep(Some(Duration::from_millis(1)));
            }
        }
    }

    /// futex(2), until the word changes, a signal comes or time is over.
    fn sleep(&self, span: Option<Duration>) {
        let time = span.map(|span| libc::timespec {
            tv_sec: libc::time_t::try_from(span.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: span.subsec_nanos().into(),
        });
        let at = self.busy().as_ptr().expose_provenance();
        let time = time
            .as_ref()
            .map_or(0, |t| std::ptr::from_ref(t).expose_provenance());
        // Not private: the kernel's own wake is not.
        let args = [at, arg(libc::FUTEX_WAIT), YES as usize, time, 0];
        // SAFETY: the word and the time are there until the call returns.
        let _changed = unsafe { syscall(libc::SYS_futex, args) };
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A child that has not come to its program yet, or has just come to it or failed: readable when
/// it is known.
#[derive(Debug)]
pub struct Pending {
    pub(super) pid: i32,
    /// The end of this pipe comes when the child has executed or ended.
    pub(super) news: OwnedFd,
    pub(super) room: ManuallyDrop<Room>,
    pub(super) plan: ManuallyDrop<Plan>,
}

impl Pending {
    /// Its number, until it is reaped.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// What came of it; `None`: not known yet. One that failed ends by itself.
    pub fn outcome(&self) -> Option<Result<(), SpawnFailure>> {
        let known = self.room.is_free();
        known.then(|| self.room.report().map_or(Ok(()), Err))
    }
}

impl AsFd for Pending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.news.as_fd()
    }
}

impl Drop for Pending {
    /// A child that still uses its room keeps it for ever.
    fn drop(&mut self) {
        if !self.room.is_free() {
            return;
        }
        // SAFETY: nobody uses it any more, and it is dropped once.
        unsafe { ManuallyDrop::drop(&mut self.room) };
        // SAFETY: as above.
        unsafe { ManuallyDrop::drop(&mut self.plan) };
    }
}

impl Mapping {
    fn new(length: usize, flags: i32) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = flags | libc::MAP_ANONYMOUS;
        // SAFETY: an anonymous mapping at a place of the kernel's choice touches nothing of ours.
        let base = unsafe { libc::mmap(null_mut(), length, access, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io_error(errno()));
        }
        Ok(Self { base, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nobody uses it any more.
        unsafe { libc::munmap(self.base, self.length) };
    }
}
