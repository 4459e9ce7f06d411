// SPDX-License-Identifier: MIT OR Apache-2.0
//! A descriptor that becomes readable when another thread rings (eventfd(2)).
//!
//! It carries no data and loses none: rings before somebody listens are one ring. It never waits.

use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// Rung by one thread, heard by another.
#[derive(Debug)]
pub struct Bell(EventFd);

impl Bell {
    /// One that has not been rung.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self(EventFd::from_value_and_flags(0, flags)?))
    }

    /// Makes it readable.
    pub fn ring(&self) {
        // It fails only when it was rung 2^64 - 2 times and is readable anyway.
        let _full = self.0.write(1);
    }

    /// Forgets that it was rung.
    pub fn hush(&self) {
        // Nobody has rung: there is nothing to forget.
        let _silent = self.0.read();
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
