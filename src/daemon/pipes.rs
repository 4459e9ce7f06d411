// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pipes of one service, and the ends of them that its processes get.
//!
//! Decides nothing but whether a write end is kept for the next run: as long as its number is low
//! enough that there are descriptors for everybody.

use super::ears::Ears;
use super::ring::Stream;
use crate::sys::logpipe::{LogReader, pair};
use crate::tree::NodeId;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// One of a service's two pipes.
#[derive(Debug)]
pub(super) struct Pipe {
    /// What is written to it.
    pub read: LogReader,
    /// The end for the next run, too; `None`: this pipe is of one run only.
    pub write: Option<OwnedFd>,
}

/// The end of a pipe that a child writes to.
#[derive(Debug)]
pub(crate) enum End<'a> {
    /// Ours, for the runs to come.
    Kept(BorrowedFd<'a>),
    /// The child's alone.
    Given(OwnedFd),
}

impl AsFd for End<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Kept(fd) => *fd,
            Self::Given(fd) => fd.as_fd(),
        }
    }
}

/// The descriptors of a child's output.
#[derive(Debug)]
pub(crate) enum Handles<'a> {
    /// Captured: the ends for the child.
    Pipes(End<'a>, End<'a>),
    /// Our own.
    Inherit,
    /// /dev/null.
    Null,
}

/// The end for a child, of the pipe that is there or of a new one.
pub(super) fn write_end<'a>(
    place: &'a mut Option<Pipe>,
    stream: Stream,
    (node, ears, keep_below): (NodeId, &Ears, i32),
) -> io::Result<End<'a>> {
    let mut given = None;
    if place.is_none() {
        let (read, write) = pair(None)?;
        ears.add(&read, node, stream)?;
        let write = if write.as_raw_fd() < keep_below {
            Some(write)
        } else {
            given = Some(write);
            None
        };
        *place = Some(Pipe { read, write });
    }
    let kept = place.as_ref().and_then(|pipe| pipe.write.as_ref());
    match (given, kept) {
        (Some(fd), _) => Ok(End::Given(fd)),
        (None, Some(fd)) => Ok(End::Kept(fd.as_fd())),
        (None, None) => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

impl Pipe {
    /// One more end to write to.
    pub(super) fn again(&self) -> Option<End<'_>> {
        if let Some(kept) = &self.write {
            return Some(End::Kept(kept.as_fd()));
        }
        let path = format!("/proc/self/fd/{}", self.read.as_raw_fd());
        let opened = OpenOptions::new().write(true).open(path).ok()?;
        Some(End::Given(opened.into()))
    }
}
