// SPDX-License-Identifier: MIT OR Apache-2.0
//! Notices when a file loses its name (inotify(7)): removed, renamed, or its file system unmounted.
//!
//! The files are watched and not their directory, so that nothing else that happens there wakes
//! anybody up. It never says what has happened: who is told looks for himself.

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Files that are watched.
#[derive(Debug)]
pub struct Watch(Inotify);

impl Watch {
    /// Watches these files from now on. Needs the right to read them.
    pub fn on(files: &[&Path]) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        // As long as a socket is bound its file lives on without a name: what is seen of its
        // removal is that its number of links has changed.
        let flags = AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_DONT_FOLLOW;
        for file in files {
            inotify.add_watch(*file, flags)?;
        }
        Ok(Self(inotify))
    }

    /// Forgets what has happened so far.
    pub fn drain(&self) {
        while self.0.read_events().is_ok_and(|events| !events.is_empty()) {}
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
