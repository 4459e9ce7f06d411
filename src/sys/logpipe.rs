// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pipes for the output of services.
//!
//! The read end never blocks us; the write end blocks as programs expect of a pipe. Draining it in
//! time, so that no child is ever held up, is the daemon's part.

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The end that we read.
#[derive(Debug)]
pub struct LogReader(OwnedFd);

/// What a read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// This many bytes.
    Bytes(usize),
    /// Nothing yet.
    Empty,
    /// Nothing ever: all write ends are closed.
    End,
}

/// A pipe: the end for us and the end for the child. Both are closed at exec. `size` asks the
/// kernel for a buffer of this many bytes; less is no error.
pub fn pair(size: Option<usize>) -> io::Result<(LogReader, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    if let Some(bytes) = size.and_then(|n| i32::try_from(n).ok()) {
        // Over the user's limit (pipe(7)) the kernel refuses; the default buffer will do.
        let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(bytes));
    }
    Ok((LogReader(read), write))
}

impl LogReader {
    /// Reads what is there, without waiting.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Chunk> {
        loop {
            match nix::unistd::read(&self.0, buffer) {
                Ok(0) => return Ok(Chunk::End),
                Ok(bytes) => return Ok(Chunk::Bytes(bytes)),
                Err(nix::Error::EAGAIN) => return Ok(Chunk::Empty),
                Err(nix::Error::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The descriptor itself, for who registers it elsewhere.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }
}

impl AsFd for LogReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl std::os::fd::AsRawFd for LogReader {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}
