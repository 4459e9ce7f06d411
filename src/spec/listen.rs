// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sockets that supd holds for a service, so that a connection waits while nobody is there to take
//! it (sd_listen_fds(3)).

use std::fmt;
use std::path::PathBuf;

/// A socket that is listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// What the service calls it (`LISTEN_FDNAMES`).
    pub name: Box<str>,
    /// Where it is.
    pub address: ListenAddress,
    /// Connections that wait to be accepted.
    pub backlog: u32,
    /// Mode of a Unix socket's file.
    pub mode: u16,
}

/// Where a socket is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListenAddress {
    /// `IP:PORT` or `[IP]:PORT`.
    Tcp(Box<str>),
    /// A file.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    /// As it is written in a configuration: `tcp:0.0.0.0:80`, `unix:/run/x.sock`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
