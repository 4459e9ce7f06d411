// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing to our own standard output and error without ever waiting for their reader.
//!
//! The open file description behind descriptors 1 and 2 is shared with whoever started us and
//! with children that inherit it: setting `O_NONBLOCK` on it would break their writes (open(2)).
//! So a pipe or terminal is opened anew through /proc, and where that cannot be done (no /proc,
//! another user's terminal) it is asked first and given at most `PIPE_BUF` bytes, which a pipe
//! that polls writable takes without blocking (pipe(7)). This module never changes a shared
//! description, and never waits but for a regular file, which is for another thread.

use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{Mode, SFlag, fstat};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// What can be written at once to a pipe that polls writable (pipe(7)).
const PIPE_BUF: usize = 4096;

/// How a descriptor is written without waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A description of our own, non-blocking.
    Own,
    /// Shared: asked first, then a little at a time.
    Asked,
    /// A socket: `MSG_DONTWAIT`.
    Socket,
    /// A regular file or block device: always ready (poll(2)), and yet the disk may block.
    File,
}

/// A destination that takes what it can and never waits.
#[derive(Debug)]
pub struct Output {
    fd: OwnedFd,
    way: Way,
}

impl Output {
    /// Finds out how `fd` can be written without waiting.
    pub fn new(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let kind = SFlag::from_bits_truncate(fstat(fd)?.st_mode) & SFlag::S_IFMT;
        let shared = |way| -> io::Result<Self> {
            let fd = fd.try_clone_to_owned()?;
            Ok(Self { fd, way })
        };
        if kind == SFlag::S_IFSOCK {
            return shared(Way::Socket);
        }
        if kind != SFlag::S_IFIFO && kind != SFlag::S_IFCHR {
            return shared(Way::File);
        }
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        match open(path.as_str(), flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, way: Way::Own }),
            Err(_) => shared(Way::Asked),
        }
    }

    /// Whoever writes to it waits as long as it takes: for a thread beside the loop.
    pub fn blocking(fd: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self {
            fd: fd.try_clone_to_owned()?,
            way: Way::File,
        })
    }

    /// Whether a write can wait for a disk, whatever is asked before.
    pub fn can_block(&self) -> bool {
        self.way == Way::File
    }

    /// Writes what can be written now.
    ///
    /// # Errors
    /// `WouldBlock` when that is nothing; others when nobody will read any more.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.way {
            Way::Own | Way::File => Ok(nix::unistd::write(&self.fd, bytes)?),
            Way::Socket => {
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                Ok(send(self.fd.as_raw_fd(), bytes, flags)?)
            }
            Way::Asked => {
                let mut asked = [PollFd::new(self.fd.as_fd(), PollFlags::POLLOUT)];
                if poll(&mut asked, PollTimeout::ZERO)? == 0 {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                let some = &bytes[..bytes.len().min(PIPE_BUF)];
                Ok(nix::unistd::write(&self.fd, some)?)
            }
        }
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, fcntl};

    fn fill(output: &Output) -> usize {
        let mut all = 0;
        loop {
            match output.write(&[b'x'; 1024]) {
                Ok(n) => all += n,
                Err(e) => {
                    assert_eq!(e.kind(), io::ErrorKind::WouldBlock);
                    return all;
                }
            }
        }
    }

    #[test]
    fn a_full_pipe_is_reported_and_its_shared_description_stays_blocking() {
        let (read, write) = nix::unistd::pipe().expect("a pipe");
        let output = Output::new(write.as_fd()).expect("an output");
        assert!(fill(&output) >= PIPE_BUF);
        let flags = fcntl(&write, FcntlArg::F_GETFL).expect("flags");
        assert_eq!(flags & OFlag::O_NONBLOCK.bits(), 0);
        drop(read);
        assert_eq!(
            output.write(b"x").expect_err("nobody reads").kind(),
            io::ErrorKind::BrokenPipe
        );
    }

    #[test]
    fn without_proc_a_full_pipe_is_found_out_by_asking() {
        let (_read, write) = nix::unistd::pipe().expect("a pipe");
        let output = Output {
            fd: write,
            way: Way::Asked,
        };
        assert!(fill(&output) >= PIPE_BUF);
    }

    #[test]
    fn a_socket_whose_reader_is_slow_is_no_reason_to_wait() {
        let (_near, far) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let output = Output::new(far.as_fd()).expect("an output");
        assert_eq!(output.way, Way::Socket);
        assert!(fill(&output) > 0);
    }
}
