// SPDX-License-Identifier: MIT OR Apache-2.0
//! Removing a lock whose owner is dead: single careful acts for a process of its own, which runs
//! as the user whose lock it is and may block on any file system.
//!
//! A lock is never removed because it is there. That an owner is dead is certain in these cases
//! only: no process has its number; the number is that of the run whose end we have seen; it is our
//! own, or our parent's, who never write such files. A process that has the number now for another
//! reason keeps the file: start times and the times of files are told by different clocks, and a
//! clock that was set would delete the lock of the living. With `flock` the kernel knows.
//!
//! The file is opened without following a link at its end, must be a regular one, and the name is
//! removed only while it still means the file that was looked at.

use super::leftovers;
use crate::spec::LockKind;
use nix::fcntl::{AtFlags, FcntlArg, Flock, FlockArg, OFlag, fcntl, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::unistd::{Pid, UnlinkatFlags, unlinkat};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// More is no number of a process.
const LINE_MAX: u64 = 64;

/// What became of a lock.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its owner is dead, and it is gone.
    Removed,
    /// Its owner is dead; it would be removed.
    WouldRemove,
    /// There is no such file.
    Absent,
    /// This process owns it, or may do so.
    Owned(i32),
    /// Somebody holds it.
    Held,
    /// Nobody can tell whose it is.
    Unclear(&'static str),
}

/// Whether the file is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// It is.
    Remove,
    /// It is only looked at.
    Look,
}

/// Removes the lock at `path` if its owner is dead; `ended` is the process whose end was seen.
///
/// # Errors
/// The file cannot be looked at or removed.
pub fn remove(
    path: &Path,
    kind: LockKind,
    (ended, touch): (Option<i32>, Touch),
) -> io::Result<Outcome> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let flags = OFlag::O_DIRECTORY | OFlag::O_PATH | OFlag::O_CLOEXEC;
    let directory = open(parent, flags, Mode::empty())?;
    // A FIFO or a device must not hold us up, and a link leads to somebody else's file.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = match openat(&directory, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(nix::Error::ENOENT) => return Ok(Outcome::Absent),
        Err(nix::Error::ELOOP) => return Ok(Outcome::Unclear("it is a symbolic link")),
        Err(error) => return Err(error.into()),
    };
    let seen = fstat(&file)?;
    if SFlag::from_bits_truncate(seen.st_mode & SFlag::S_IFMT.bits()) != SFlag::S_IFREG {
        return Ok(Outcome::Unclear("it is no regular file"));
    }
    let held = match kind {
        LockKind::Pidfile => {
            if let Some(alive) = owner(&file, ended)? {
                return Ok(alive);
            }
            None
        }
        LockKind::Flock => match probe(file.try_clone()?)? {
            Some(lock) => Some(lock),
            None => return Ok(Outcome::Held),
        },
    };
    if touch == Touch::Look {
        return Ok(Outcome::WouldRemove);
    }
    let now = fstatat(&directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    if !is_same(&seen, &now) {
        return Ok(Outcome::Unclear("somebody has just replaced it"));
    }
    unlinkat(&directory, name, UnlinkatFlags::NoRemoveDir)?;
    // Held until the name is gone, so that nobody takes the lock of a file that has none.
    drop(held);
    Ok(Outcome::Removed)
}

/// Who keeps a pid file from being removed; nothing when its owner is dead.
fn owner(file: &OwnedFd, ended: Option<i32>) -> io::Result<Option<Outcome>> {
    let mut text = String::new();
    let read = File::from(file.try_clone()?)
        .take(LINE_MAX)
        .read_to_string(&mut text);
    if read.is_err_and(|error| error.kind() == io::ErrorKind::InvalidData) {
        return Ok(Some(Outcome::Unclear("there is no number in it")));
    }
    let line = text.lines().next().unwrap_or_default().trim();
    let Some(pid) = line.parse().ok().filter(|pid: &i32| *pid > 0) else {
        return Ok(Some(Outcome::Unclear("there is no number in it")));
    };
    let parent = nix::unistd::getppid().as_raw();
    let own = nix::unistd::getpid().as_raw();
    if ended == Some(pid) || pid == own || pid == parent {
        return Ok(None);
    }
    Ok(is_alive(pid).then_some(Outcome::Owned(pid)))
}

/// Whether a process has this number. A dead one that nobody has reaped holds nothing; where it
/// cannot be seen it is taken for alive.
fn is_alive(pid: i32) -> bool {
    let there = nix::sys::signal::kill(Pid::from_raw(pid), None) != Err(nix::Error::ESRCH);
    there && leftovers::look_at(pid).is_none_or(|found| found.is_alive())
}

/// The lock, if nobody holds it with flock(2) or fcntl(2).
fn probe(file: OwnedFd) -> io::Result<Option<Flock<OwnedFd>>> {
    let mut asked = whole_file();
    fcntl(file.as_fd(), FcntlArg::F_GETLK(&mut asked))?;
    if i32::from(asked.l_type) != libc::F_UNLCK {
        return Ok(None);
    }
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::Error::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error.into()),
    }
}

/// The whole file, for writing: any lock of another process stands against it (fcntl(2)).
fn whole_file() -> libc::flock {
    let short = |number: i32| i16::try_from(number).unwrap_or_default();
    libc::flock {
        l_type: short(libc::F_WRLCK),
        l_whence: short(libc::SEEK_SET),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn is_same(one: &FileStat, other: &FileStat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}
