// SPDX-License-Identifier: MIT OR Apache-2.0
//! The other end of sd_notify(3): what we tell the manager that has started us.
//!
//! Nothing here waits or fails: a manager that does not listen is told nothing.

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, sendto, socket};
use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// The way to an outer manager.
#[derive(Debug)]
pub struct Manager {
    socket: OwnedFd,
    address: UnixAddr,
    watchdog: Option<Duration>,
}

impl Manager {
    /// The manager that our environment names, if there is one.
    pub fn of(env: &[(OsString, OsString)]) -> Option<Self> {
        let get = |name: &str| {
            env.iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.as_os_str())
        };
        let place = get("NOTIFY_SOCKET")?;
        let address = match place.as_bytes() {
            [b'@', name @ ..] => UnixAddr::new_abstract(name),
            [b'/', ..] => UnixAddr::new(Path::new(place)),
            _ => return None,
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::Datagram, flags, None).ok()?;
        let number = |name| get(name)?.to_str()?.parse::<u64>().ok();
        let own = u64::from(std::process::id());
        // sd_watchdog_enabled(3): without a pid it is for whoever reads it.
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == own);
        let span = number("WATCHDOG_USEC").filter(|usec| ours && *usec > 0);
        Some(Self {
            socket,
            address: address.ok()?,
            watchdog: span.map(Duration::from_micros),
        })
    }

    /// How often it wants to hear of us at least.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// One message; each field is a line.
    pub fn tell(&self, message: &str) {
        let bytes = message.as_bytes();
        let fd = self.socket.as_raw_fd();
        let _deaf = sendto(fd, bytes, &self.address, MsgFlags::MSG_DONTWAIT);
    }
}
