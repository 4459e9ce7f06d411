// SPDX-License-Identifier: MIT OR Apache-2.0
//! A set of descriptors to wait for (epoll(7)), level-triggered.
//!
//! The daemon's loop has thousands of pipes and one task: each descriptor costs one kernel entry
//! here and nothing in user space. The set is itself a descriptor, so the scheduler waits for it
//! as for any other. It never waits by itself and never owns the descriptors in it.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// What a descriptor is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// There is something to read, or the other end is gone.
    Read,
    /// Something can be written.
    Write,
}

/// A set of descriptors, each with a token of the caller's.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
}

/// Tokens taken from the kernel at one time; the rest comes at the next call, in turn.
const BATCH: usize = 64;

/// How many of the ready ones were told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// All that were ready.
    All,
    /// There may be more.
    Some,
}

impl Poller {
    /// An empty set.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
        })
    }

    /// Waits for `fd` from now on. A closed descriptor leaves the set by itself, if no copy of it
    /// is left (epoll(7), "Questions and answers", 6).
    pub fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        let flags = match interest {
            Interest::Read => EpollFlags::EPOLLIN,
            Interest::Write => EpollFlags::EPOLLOUT,
        };
        self.epoll.add(fd, EpollEvent::new(flags, token))?;
        Ok(())
    }

    /// Waits for `fd` no longer. One that is not in the set is no error.
    pub fn remove(&self, fd: impl AsFd) {
        let _absent = self.epoll.delete(fd);
    }

    /// Puts the tokens of descriptors that are ready into `into`, without waiting; at most 64.
    pub fn ready(&self, into: &mut Vec<u64>) -> io::Result<Batch> {
        into.clear();
        let mut events = [EpollEvent::empty(); BATCH];
        let n = match self.epoll.wait(&mut events, EpollTimeout::ZERO) {
            Ok(n) => n,
            Err(nix::Error::EINTR) => return Ok(Batch::Some),
            Err(errno) => return Err(errno.into()),
        };
        into.extend(events[..n].iter().map(EpollEvent::data));
        Ok(if n < BATCH { Batch::All } else { Batch::Some })
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

impl AsRawFd for Poller {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_token_is_ready_as_long_as_there_is_something_to_read() {
        let (mut near, mut far) = UnixStream::pair().expect("a pair");
        let poller = Poller::new().expect("a set");
        poller.add(&near, 7, Interest::Read).expect("added");
        let mut tokens = vec![1, 2, 3];
        poller.ready(&mut tokens).expect("asked");
        assert!(tokens.is_empty(), "nothing is there yet");
        far.write_all(b"x").expect("written");
        for _ in 0..2 {
            poller.ready(&mut tokens).expect("asked");
            assert_eq!(tokens, [7], "level-triggered");
        }
        near.read_exact(&mut [0]).expect("read");
        poller.ready(&mut tokens).expect("asked");
        assert!(tokens.is_empty(), "read already");
        far.write_all(b"x").expect("written");
        poller.remove(&near);
        poller.remove(&near);
        poller.ready(&mut tokens).expect("asked");
        assert!(tokens.is_empty(), "no longer in the set");
    }
}
