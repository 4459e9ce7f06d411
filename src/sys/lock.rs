// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lock that says who owns a socket: flock(2), released by the kernel however we end.
//! Who is slow is not taken for dead, because nobody is asked.

use super::listen::{Folder, Inode};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, openat};
use nix::sys::stat::{Mode, fstat};
use std::ffi::OsStr;
use std::fs::File;
use std::io;

/// A lock that is held as long as this value lives. The file stays: removing it would let two
/// daemons lock two files of the same name.
#[derive(Debug)]
pub struct Lock {
    held: Flock<File>,
}

/// Takes the lock; `None`: somebody else holds it. The file is created with mode 0600; a symbolic
/// link is refused with `ELOOP`, and what is no plain file with `EINVAL`.
pub fn take(folder: &Folder, name: &OsStr) -> io::Result<Option<Lock>> {
    let flags = OFlag::O_RDWR
        | OFlag::O_CREAT
        | OFlag::O_CLOEXEC
        | OFlag::O_NOFOLLOW
        | OFlag::O_NONBLOCK
        | OFlag::O_NOCTTY;
    loop {
        let file = openat(folder, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        let file = File::from(file);
        if !file.metadata()?.is_file() {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => Lock { held },
            Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, error)) => return Err(error.into()),
        };
        // It may have been removed in between; then others lock another file.
        if lock.is(folder, name) {
            return Ok(Some(lock));
        }
    }
}

impl Lock {
    /// Whether the file that is locked still has this name.
    pub fn is(&self, folder: &Folder, name: &OsStr) -> bool {
        let own = fstat(&*self.held).map(|found| -> Inode { (found.st_dev, found.st_ino) });
        own.is_ok_and(|own| folder.inode(name).is_ok_and(|there| there == own))
    }
}
