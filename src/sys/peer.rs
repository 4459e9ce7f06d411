// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who is at the other end of an accepted Unix stream, as the kernel says, at the time of the
//! connection. The module grants nothing.

#![expect(unsafe_code, reason = "SO_PEERGROUPS has no safe wrapper")]

use super::raw::{errno, io_error};
use nix::sys::socket::{getsockopt, sockopt};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Most groups a process can have (`NGROUPS_MAX`, credentials(7)).
const GROUPS_MAX: usize = 65_536;

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its process; 0 when it is in another pid name space.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
    /// Its primary group.
    pub gid: u32,
    /// Its supplementary groups; empty where the kernel (before 4.13) does not say.
    pub groups: Vec<u32>,
}

/// Who is at the other end (socket(7), `SO_PEERCRED` and `SO_PEERGROUPS`).
pub fn of(stream: &impl AsFd) -> io::Result<Peer> {
    let cred = getsockopt(&stream, sockopt::PeerCredentials)?;
    Ok(Peer {
        pid: cred.pid(),
        uid: cred.uid(),
        gid: cred.gid(),
        groups: groups(stream.as_fd().as_raw_fd()).unwrap_or_default(),
    })
}

fn groups(fd: i32) -> io::Result<Vec<u32>> {
    let mut found = vec![0_u32; 64];
    loop {
        let size = found.len() * size_of::<u32>();
        let mut bytes = libc::socklen_t::try_from(size).unwrap_or(0);
        // SAFETY: the buffer has as many bytes as `bytes` says.
        let asked = unsafe {
            libc::getsockopt(
                fd,
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                found.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        let count = usize::try_from(bytes).unwrap_or(0) / size_of::<u32>();
        if asked == 0 {
            found.truncate(count);
            return Ok(found);
        }
        match errno() {
            libc::ERANGE if count > found.len() && count <= GROUPS_MAX => found.resize(count, 0),
            other => return Err(io_error(other)),
        }
    }
}
