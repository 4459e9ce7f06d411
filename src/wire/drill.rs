// SPDX-License-Identifier: MIT OR Apache-2.0
//! `POST /v1/drill`: a fault is brought about on purpose, and what the engine expects of it.

use super::{Word, is_false};
use serde::{Deserialize, Serialize};

/// What is to be done to whom. Exactly one of `kill`, `hang` and `exit`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillRequest {
    /// The service.
    pub node: String,
    /// End its process by this signal; SIGKILL, SIGABRT, SIGSEGV, SIGTERM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill: Option<String>,
    /// Stop its process (SIGSTOP) until the time is over.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hang: bool,
    /// End its process, and take it as an exit with this code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<u8>,
    /// How long it may take; 30 s, at most 10 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
    /// Only say what would follow.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry: bool,
}

/// What the engine expects, and what was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillReply {
    /// The service.
    pub node: String,
    /// Its process; absent: nothing was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The last event before it.
    pub seq: u64,
    /// Services that it would start again, by name.
    #[serde(default)]
    pub restarted: Vec<String>,
    /// Services of which a process would end, by name.
    #[serde(default)]
    pub ended: Vec<String>,
    /// Supervisors that would give up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gave_up: Vec<String>,
    /// The class of its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Word>,
    /// Whether everything would be as before within the time.
    pub healed: bool,
}
