// SPDX-License-Identifier: MIT OR Apache-2.0
//! Listening sockets that are held for others: made here, or taken over from who started us.
//!
//! Single acts only: who gets which socket and when one is given up is not decided here.

#![expect(unsafe_code, reason = "descriptors that were handed to us by number")]

use crate::spec::{Listen, ListenAddress};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, getsockname,
    listen, setsockopt, socket, sockopt,
};
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The first descriptor that is handed over (`SD_LISTEN_FDS_START`).
const FIRST: i32 = 3;
/// More than anybody hands over.
const MOST: i32 = 256;

/// A socket that is listened on, and its file, which goes when it goes.
#[derive(Debug)]
pub struct Bound {
    socket: OwnedFd,
    file: Option<(PathBuf, (u64, u64))>,
}

/// A socket from who started us.
#[derive(Debug)]
pub struct Given {
    /// Its name in `LISTEN_FDNAMES`.
    pub name: String,
    /// Where it is, as far as it can be told.
    pub address: Option<ListenAddress>,
    socket: OwnedFd,
}

impl From<Given> for OwnedFd {
    fn from(given: Given) -> Self {
        given.socket
    }
}

impl Bound {
    /// Makes the socket and listens.
    pub fn make(what: &Listen) -> io::Result<Self> {
        let bound = match &what.address {
            ListenAddress::Tcp(text) => tcp(text)?,
            ListenAddress::Unix(path) => unix(path, what.mode)?,
        };
        bound.wait_for(what.backlog)?;
        Ok(bound)
    }

    /// A socket of who started us: its file is not ours to remove.
    pub fn given(given: Given) -> Self {
        Self {
            socket: given.socket,
            file: None,
        }
    }

    /// So many connections may wait from now on.
    pub fn wait_for(&self, backlog: u32) -> io::Result<()> {
        let most = i32::try_from(backlog).unwrap_or(i32::MAX);
        let backlog = Backlog::new(most).unwrap_or(Backlog::MAXCONN);
        Ok(listen(&self.socket, backlog)?)
    }

    /// As every child expects it: whoever had it before may have made it non-blocking for all.
    pub fn make_blocking(&self) -> io::Result<()> {
        let flags = fcntl(&self.socket, FcntlArg::F_GETFL)?;
        let flags = OFlag::from_bits_retain(flags);
        if flags.contains(OFlag::O_NONBLOCK) {
            fcntl(&self.socket, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
        }
        Ok(())
    }
}

impl AsFd for Bound {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Some((path, inode)) = &self.file
            && inode_of(path).is_ok_and(|found| found == *inode)
        {
            let _gone = std::fs::remove_file(path);
        }
    }
}

fn tcp(text: &str) -> io::Result<Bound> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // Connections of a former life in TIME_WAIT are no reason to wait.
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(Bound { socket, file: None })
}

fn unix(path: &Path, mode: u16) -> io::Result<Bound> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let address = UnixAddr::new(path)?;
    if let Err(error) = bind(socket.as_raw_fd(), &address) {
        if error != nix::errno::Errno::EADDRINUSE || !is_stale(path) {
            return Err(error.into());
        }
        std::fs::remove_file(path)?;
        bind(socket.as_raw_fd(), &address)?;
    }
    let file = Some((path.to_path_buf(), inode_of(path)?));
    let bound = Bound { socket, file };
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode.into()))?;
    Ok(bound)
}

/// A socket's file that nobody listens behind any more.
fn is_stale(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && UnixStream::connect(path).err().is_some_and(refused)
}

fn inode_of(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|m| (m.dev(), m.ino()))
}

/// What who started us has handed over (sd_listen_fds(3)). Once, before anything that could close
/// or use these numbers.
pub fn handed_over(env: &[(OsString, OsString)]) -> Vec<Given> {
    let get = |name: &str| {
        let found = env.iter().find(|(known, _)| known == name);
        found.and_then(|(_, value)| value.to_str())
    };
    let own = std::process::id().to_string();
    let count: i32 = get("LISTEN_FDS").and_then(|n| n.parse().ok()).unwrap_or(0);
    if get("LISTEN_PID") != Some(&own) || !(1..=MOST).contains(&count) {
        return Vec::new();
    }
    let mut names = get("LISTEN_FDNAMES").unwrap_or_default().split(':');
    let mut all = Vec::new();
    for number in FIRST..FIRST + count {
        let name = names.next().unwrap_or_default().to_owned();
        // SAFETY: only asked about.
        let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
        if fcntl(borrowed, FcntlArg::F_GETFD).is_err() {
            continue;
        }
        // SAFETY: it is open, and it was given to this process and to nobody in it yet.
        let socket = unsafe { OwnedFd::from_raw_fd(number) };
        let address = address_of(number);
        all.push(Given {
            name,
            address,
            socket,
        });
    }
    all
}

fn address_of(number: i32) -> Option<ListenAddress> {
    let name: SockaddrStorage = getsockname(number).ok()?;
    if let Some(v4) = name.as_sockaddr_in() {
        return Some(ListenAddress::Tcp(SocketAddr::from(*v4).to_string().into()));
    }
    if let Some(v6) = name.as_sockaddr_in6() {
        return Some(ListenAddress::Tcp(SocketAddr::from(*v6).to_string().into()));
    }
    let path = name.as_unix_addr()?.path()?;
    Some(ListenAddress::Unix(path.to_path_buf()))
}
