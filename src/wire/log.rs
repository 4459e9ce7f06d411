// SPDX-License-Identifier: MIT OR Apache-2.0
//! One line that a service wrote: what `GET /v1/nodes/{name}/logs` answers, one a line; and what
//! became of all it wrote, in the answer of `GET /v1/nodes/{name}`.

use super::{Word, is_false, is_zero};
use serde::{Deserialize, Serialize};

/// One line of a service's output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The service.
    pub node: String,
    /// Its run, from 1.
    pub run: u64,
    /// stdout, stderr; `supd` for a remark of the daemon's own, `file` for a line that a client has
    /// read from a log file, which knows neither run nor time.
    pub stream: Word,
    /// When it was read, RFC 3339 with milliseconds, UTC.
    pub ts: String,
    /// Without its newline; bytes that are no UTF-8 are replaced. Not to be trusted by a terminal.
    pub text: String,
    /// It was cut here because it is too long; the next line goes on.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut: bool,
    /// Its beginning is lost: it is longer than what is kept.
    #[serde(default, skip_serializing_if = "is_false")]
    pub torn: bool,
    /// It has no newline yet: more of it may follow.
    #[serde(default, skip_serializing_if = "is_false")]
    pub open: bool,
}

/// What became of everything that a service has written.
///
/// For its passing on and for each file: `read + ended = written + waiting + dropped`, counted from
/// the first byte that was to go there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogView {
    /// Bytes read from its pipes, both together.
    pub read: u64,
    /// Newlines that were added to the last lines of runs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ended: u64,
    /// Bytes that are kept in memory now.
    #[serde(default)]
    pub kept: u64,
    /// On its way to supd's own output; absent when it does not go there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<LogCounts>,
    /// The files it is written to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<LogFileView>,
}

/// Bytes on one way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogCounts {
    /// That have arrived.
    pub written: u64,
    /// On their way, the beginning of a line that is not complete among them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waiting: u64,
    /// For which there was no room.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// The same in lines.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped_lines: u64,
}

/// A log file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFileView {
    /// Where it is.
    pub path: String,
    /// Of this service's lines.
    pub counts: LogCounts,
    /// Why it cannot be written now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}
