// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a configuration would change (`POST /v1/plan`): key by key, and what follows from it for
//! the processes, with those that are touched only because of a supervisor's strategy.

use super::{NodeKind, Word};
use serde::{Deserialize, Serialize};

/// The words in [`Change::op`].
pub mod op {
    /// The node is new.
    pub const ADD: &str = "add";
    /// The node goes.
    pub const REMOVE: &str = "remove";
    /// Its keys, its place or its supervisor change.
    pub const CHANGE: &str = "change";
    /// Nothing of its own changes; it is touched because of another node.
    pub const TOUCH: &str = "touch";
}

/// The words in [`Change::effect`].
pub mod effect {
    /// Its process is replaced.
    pub const RESTART: &str = "restart";
    /// It is started.
    pub const START: &str = "start";
    /// It is stopped.
    pub const STOP: &str = "stop";
    /// It holds at once, and no process is touched.
    pub const IN_PLACE: &str = "in_place";
    /// It holds from the next start on: nothing of it runs, or nobody may touch it.
    pub const NEXT_START: &str = "next_start";
    /// It holds when supd itself is started again.
    pub const NEXT_SUPD: &str = "next_supd";
}

/// What `POST /v1/plan` answers, as long as the configuration can be read; an invalid one has
/// `ok: false` and its diagnostics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Whether it could be applied.
    pub ok: bool,
    /// Names the new configuration; `POST /v1/apply` takes it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
    /// Names the configuration in force.
    pub in_force: String,
    /// What would change, in the order of the tree, `[supd]` first.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// Services whose process would be replaced.
    pub restarted: u64,
    /// Those of them that change nothing of their own.
    pub restarted_with: u64,
    /// Services that would be started.
    pub started: u64,
    /// Services that would be stopped.
    pub stopped: u64,
    /// Nodes that change without a process being touched.
    pub in_place: u64,
    /// Services that nothing happens to.
    pub untouched: u64,
    /// Rendered diagnostics: why it was refused, or what looks odd.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<String>,
}

/// One node of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// One of [`op`].
    pub op: Word,
    /// The node; absent for `[supd]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What it is.
    pub kind: NodeKind,
    /// Its supervisor, then as it will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Where an added node comes: `first`, `last`, or the sibling before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// What differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyChange>,
    /// One of [`effect`]; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Word>,
    /// Instances of a pool that the effect is about, when it is not about all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<String>,
    /// Why it is touched at all, when that is another node's doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<Because>,
}

/// A strategy that spreads a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Because {
    /// The node that is restarted for its own change.
    pub node: String,
    /// The supervisor that both stand under.
    pub supervisor: String,
    /// Its strategy.
    pub strategy: Word,
}

/// One key of a node that differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// Dotted: `env.PORT`.
    pub key: String,
    /// The value in force, in TOML; absent: it was not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// The new value; absent: it is not set any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
    /// The file that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}
