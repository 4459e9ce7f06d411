// SPDX-License-Identifier: MIT OR Apache-2.0
//! The daemon's own settings: the `[supd]` table.

use super::{Name, UserRef};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The `[supd]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where the control socket is and who may use it.
    pub socket: SocketSpec,
    /// Where metrics and health can be read over TCP; `None`: nowhere.
    pub metrics: Option<Address>,
    /// Where records and the last good configuration are kept; `None`: in memory only.
    pub state_dir: Option<PathBuf>,
    /// How records are written; `None`: text on a terminal, JSON otherwise.
    pub log_format: Option<LogFormat>,
    /// Records below it are not written.
    pub log_level: LogLevel,
    /// How lines of services are passed on.
    pub log_children: ChildLines,
    /// Whether each line passed on carries a time stamp.
    pub log_timestamps: bool,
    /// The stop of the whole tree takes at most this long.
    pub shutdown_timeout: Duration,
    /// The exit code when the root gives up.
    pub exit_code: ExitCodePolicy,
    /// When the root gives up, supd lives at least this long, counted from its start.
    pub exit_delay: Duration,
    /// The exit code after an ordered stop by a signal.
    pub exit_on_term: u8,
    /// Services that may be starting at one time, in the whole tree.
    pub start_parallelism: u32,
    /// Remedies whose programs may be running at one time.
    pub hook_parallelism: u32,
    /// Records kept in memory.
    pub events_kept: usize,
}

/// Where TCP connections are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// An IP address, or `localhost`.
    pub host: Box<str>,
    /// 1 to 65535.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An IPv6 address has colons of its own.
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Where the control socket is and who may use it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SocketSpec {
    /// `None`: the ladder of CONFIG.md. A name that begins with `@` is abstract.
    pub path: Option<PathBuf>,
    /// Members may read and act.
    pub group: Option<UserRef>,
    /// Members may read.
    pub read_group: Option<UserRef>,
}

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How lines of services are passed on to supd's own output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildLines {
    /// `name | line`.
    Prefix,
    /// The line as it is.
    Raw,
    /// One JSON object a line.
    Json,
    /// Not at all; they stay in the rings.
    Off,
}

/// How important a record must be to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// Every change of state.
    Info,
    /// What went wrong.
    Warn,
    /// What could not be healed.
    Error,
}

/// Which exit code supd ends with when the root gives up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitCodePolicy {
    /// The code of the service whose failure was one too many.
    Cause,
    /// The last code of this service.
    Service(Name),
    /// Always this code, 1 to 255.
    Fixed(u8),
}
