// SPDX-License-Identifier: MIT OR Apache-2.0
//! One line that a service wrote: what `GET /v1/nodes/{name}/logs` answers, one a line.

use super::{Word, is_false};
use serde::{Deserialize, Serialize};

/// One line of a service's output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The service.
    pub node: String,
    /// Its run, from 1.
    pub run: u64,
    /// stdout, stderr; `supd` for a remark of the daemon's own.
    pub stream: Word,
    /// When it was read, RFC 3339 with milliseconds, UTC.
    pub ts: String,
    /// Without its newline; bytes that are no UTF-8 are replaced. Not to be trusted by a terminal.
    pub text: String,
    /// It was cut here because it is too long; the next line goes on.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut: bool,
}
