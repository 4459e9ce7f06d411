// SPDX-License-Identifier: MIT OR Apache-2.0
//! Listening Unix sockets: at a path with a mode, or in the abstract name space.
//!
//! A stale socket is removed only on the caller's word that it holds the lock of that path. The
//! module never decides where the socket is.

use super::lock::Lock;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use nix::sys::socket::{bind, listen, socket};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use nix::unistd::{FchownatFlags, Gid, fchownat};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// Listens at `path`, without blocking. The mode is set after binding under our own umask (077), so
/// that it is never wider than asked for, not even for a moment. What stands there already is
/// removed when it is a socket; anything else is `EADDRINUSE`.
pub fn at_path(path: &Path, mode: u32, _held: &Lock) -> io::Result<OwnedFd> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::from_raw_os_error(libc::EADDRINUSE)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let fd = bound(&UnixAddr::new(path)?)?;
    let mode = Mode::from_bits_truncate(mode & 0o777);
    fchmodat(
        nix::fcntl::AT_FDCWD,
        path,
        mode,
        FchmodatFlags::FollowSymlink,
    )?;
    listen(&fd, Backlog::new(BACKLOG)?)?;
    Ok(fd)
}

/// Gives the socket at `path` to a group.
pub fn give_to_group(path: &Path, gid: u32) -> io::Result<()> {
    let group = Some(Gid::from_raw(gid));
    let flags = FchownatFlags::AT_SYMLINK_NOFOLLOW;
    fchownat(nix::fcntl::AT_FDCWD, path, None, group, flags)?;
    Ok(())
}

/// Listens under an abstract name (unix(7)), without blocking. Anybody in the network name space
/// can connect: the peer must be checked.
pub fn abstract_name(name: &[u8]) -> io::Result<OwnedFd> {
    let fd = bound(&UnixAddr::new_abstract(name)?)?;
    listen(&fd, Backlog::new(BACKLOG)?)?;
    Ok(fd)
}

fn bound(address: &UnixAddr) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    bind(std::os::fd::AsRawFd::as_raw_fd(&fd), address)?;
    Ok(fd)
}
