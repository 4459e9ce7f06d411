// SPDX-License-Identifier: MIT OR Apache-2.0
//! Listening Unix sockets: in a directory that is held open, or in the abstract name space.
//!
//! bind(2) and chmod(2) take names, and a name can mean another directory from one call to the
//! next. So a directory is opened once, looked at through its descriptor, and everything is done
//! in it by single names: what was checked is what is used. A stale socket is removed only on the
//! caller's word that it holds the lock. The module never decides where the socket is.

use super::lock::Lock;
use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use nix::sys::socket::{bind, listen, socket};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, umask};
use nix::unistd::{FchownatFlags, Gid, UnlinkatFlags, fchdir, fchownat, unlinkat};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// A directory, held open.
#[derive(Debug)]
pub struct Folder(OwnedFd);

/// Whether a symbolic link may stand for a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// It is followed: `/var/run` is one on most systems.
    Follow,
    /// It is `ENOTDIR`.
    Refuse,
}

/// What names a file, whatever it is called: device and number.
pub type Inode = (u64, u64);

impl Folder {
    /// Opens a directory without reading it.
    pub fn open(path: &Path, links: Links) -> io::Result<Self> {
        let mut flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        if links == Links::Refuse {
            flags |= OFlag::O_NOFOLLOW;
        }
        Ok(Self(open(path, flags, Mode::empty())?))
    }

    /// Its owner and its mode.
    pub fn owner(&self) -> io::Result<(u32, u32)> {
        let found = fstat(&self.0)?;
        Ok((found.st_uid, found.st_mode))
    }

    /// Which file has this name now; a symbolic link is itself.
    pub fn inode(&self, name: &OsStr) -> io::Result<Inode> {
        let found = self.stat(name)?;
        Ok((found.st_dev, found.st_ino))
    }

    fn stat(&self, name: &OsStr) -> io::Result<FileStat> {
        Ok(fstatat(&self.0, name, AtFlags::AT_SYMLINK_NOFOLLOW)?)
    }

    /// Listens at `name`, without blocking, with this mode and group from the beginning. What
    /// stands there already is removed when it is a socket; anything else is `EADDRINUSE`. A group
    /// that cannot be given comes back beside the socket, which is then without it.
    pub fn listen(
        &self,
        name: &OsStr,
        (mode, group): (u32, Option<u32>),
        _held: &Lock,
    ) -> io::Result<(OwnedFd, Option<io::Error>)> {
        match self.stat(name) {
            Ok(there) if SFlag::from_bits_truncate(there.st_mode) == SFlag::S_IFSOCK => {
                unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir)?;
            }
            Ok(_) => return Err(io::Error::from_raw_os_error(libc::EADDRINUSE)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let address = UnixAddr::new(name)?;
        // Until it listens nobody can connect, so that the wrong group has no moment either.
        let fd = self.within(|| bound(&address, mode))??;
        let given = group.map(|gid| {
            let flags = FchownatFlags::AT_SYMLINK_NOFOLLOW;
            fchownat(&self.0, name, None, Some(Gid::from_raw(gid)), flags)
        });
        listen(&fd, Backlog::new(BACKLOG)?)?;
        let refused = given.and_then(Result::err).map(io::Error::from);
        Ok((fd, refused))
    }

    /// Removes a file if it is still this one.
    pub fn remove(&self, name: &OsStr, inode: Inode) -> io::Result<()> {
        if self.inode(name)? == inode {
            unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir)?;
        }
        Ok(())
    }

    /// bind(2) knows no directory but the current one. The process has one thread that looks at it.
    fn within<T>(&self, act: impl FnOnce() -> T) -> io::Result<T> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let back = open(".", flags, Mode::empty())?;
        fchdir(&self.0)?;
        let done = act();
        fchdir(&back)?;
        Ok(done)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Listens under an abstract name (unix(7)), without blocking. Anybody in the network name space
/// can connect: the peer must be checked.
pub fn abstract_name(name: &[u8]) -> io::Result<OwnedFd> {
    let fd = bound(&UnixAddr::new_abstract(name)?, 0o600)?;
    listen(&fd, Backlog::new(BACKLOG)?)?;
    Ok(fd)
}

/// The mode is that of the file from its first moment, and never wider.
fn bound(address: &UnixAddr, mode: u32) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let before = umask(Mode::from_bits_truncate(!mode & 0o777));
    let done = bind(fd.as_raw_fd(), address);
    umask(before);
    done?;
    Ok(fd)
}
