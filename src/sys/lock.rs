// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lock that says who owns a socket path: flock(2), released by the kernel however we end.
//! Who is slow is not taken for dead, because nobody is asked.

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open};
use nix::sys::stat::Mode;
use std::fs::File;
use std::io;
use std::path::Path;

/// A lock that is held as long as this value lives. The file stays: removing it would let two
/// daemons lock two files of the same name.
#[derive(Debug)]
pub struct Lock {
    _held: Flock<File>,
}

/// Takes the lock; `None`: somebody else holds it. The file is created with mode 0600; a symbolic
/// link is refused with `ELOOP`.
pub fn take(path: &Path) -> io::Result<Option<Lock>> {
    let flags = OFlag::O_RDWR
        | OFlag::O_CREAT
        | OFlag::O_CLOEXEC
        | OFlag::O_NOFOLLOW
        | OFlag::O_NONBLOCK
        | OFlag::O_NOCTTY;
    let file = File::from(open(path, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(held) => Ok(Some(Lock { _held: held })),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error.into()),
    }
}
