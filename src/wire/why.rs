// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `GET /v1/nodes/{name}/why` answers: how a node is, what happens next, how it got there and
//! what to try.

use super::event::EventLine;
use super::status::NodeView;
use super::{Word, is_false};
use serde::{Deserialize, Serialize};

/// Why a node is as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// How it is, and what happens next and when, in one sentence.
    pub sentence: String,
    /// Who waits for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiters: Vec<String>,
    /// The ends that belong together, when there is more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<FailuresLine>,
    /// What a run that failed has written last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_words: Option<LastWords>,
    /// What is to be known about such an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// Commands to try.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "try")]
    pub tries: Vec<String>,
    /// The node itself.
    pub node: NodeView,
    /// The chain of causes that led here, and what belongs to the same incident.
    #[serde(default)]
    pub events: Vec<EventLine>,
}

/// Several ends of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailuresLine {
    /// Whose.
    pub node: String,
    /// How many.
    pub count: u64,
    /// Whether all of them are of one kind.
    #[serde(default, skip_serializing_if = "is_false")]
    pub alike: bool,
    /// How they ended, the commonest first.
    #[serde(default)]
    pub kinds: Vec<FailureKind>,
}

/// Ends of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureKind {
    /// `exit 1`, `SIGSEGV`.
    pub how: String,
    /// Their class.
    pub class: Word,
    /// How many.
    pub count: u64,
    /// How long such a run lasted, the median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
}

/// What a run has written last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWords {
    /// Whose.
    pub node: String,
    /// Which run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// The lines. Not to be trusted by a terminal.
    pub lines: Vec<String>,
}
