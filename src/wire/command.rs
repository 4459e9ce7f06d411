// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a client sends with a `POST`, and what it gets back.
//!
//! A body is always optional where every field of it is; an empty one is `{}`. How long the answer
//! may wait for the effect stands in the URL (`?wait=30s`, `?wait=0`), not in the body.

use super::event::EventLine;
use super::{Word, is_false};
use serde::{Deserialize, Serialize};

/// The words in [`CommandReply::outcome`].
pub mod outcome {
    /// Done, with all its effects.
    pub const DONE: &str = "done";
    /// 202: taken, not waited for.
    pub const ACCEPTED: &str = "accepted";
    /// Nothing to do: it runs already.
    pub const RUNNING: &str = "running";
    /// It is about to be restarted.
    pub const RESTARTING: &str = "restarting";
    /// The start failed; the events say how.
    pub const START_FAILED: &str = "start_failed";
    /// A running child has this name.
    pub const ALREADY_STARTED: &str = "already_started";
    /// A child that does not run has this name.
    pub const ALREADY_PRESENT: &str = "already_present";
    /// The specification contradicts the supervisor's flags.
    pub const INVALID_SPEC: &str = "invalid_spec";
    /// Its supervisor does not run.
    pub const SUPERVISOR_DOWN: &str = "supervisor_down";
    /// This kind of node has no such operation.
    pub const UNSUPPORTED: &str = "unsupported";
    /// Another command took its place.
    pub const SUPERSEDED: &str = "superseded";
    /// It is not started: it waits for a sibling that is held or parked.
    pub const WAITING: &str = "waiting";
    /// The node is pinned.
    pub const PINNED: &str = "pinned";
    /// No entry of the registry is for this class.
    pub const NO_REMEDY: &str = "no_remedy";
    /// Not done yet when the time to wait was over; it goes on.
    pub const PENDING: &str = "pending";
}

/// `POST /v1/nodes/{name}/signal`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalRequest {
    /// A name, with or without `SIG`.
    pub signal: String,
}

/// `POST /v1/nodes/{name}/scale`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleRequest {
    /// How many instances the pool has from now on.
    pub instances: u32,
}

/// `POST /v1/nodes/{name}/restart`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartRequest {
    /// This node alone, whatever the strategy says.
    #[serde(default, skip_serializing_if = "is_false")]
    pub only: bool,
}

/// `POST /v1/shutdown`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShutdownRequest {
    /// orderly (when absent), short or kill.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub haste: Option<Word>,
}

/// `POST /v1/nodes/{supervisor}/children`: OTP's `start_child`. One of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildRequest {
    /// A configuration with exactly one `[service.x]` or one `[supervisor.x]` with what stands
    /// below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toml: Option<String>,
    /// What one more instance of a pool is called: `worker.blue` for `blue`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// The answer to every command that was understood and allowed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CommandReply {
    /// Whether what was asked for is the case now, or (`accepted`) was taken.
    pub ok: bool,
    /// One of [`outcome`].
    pub outcome: Word,
    /// The change's number: that of its `command` event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// What it caused, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventLine>,
    /// One line for people, where the outcome alone does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The answer to `POST /v1/reload` and `POST /v1/apply`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReloadReply {
    /// Whether the new configuration is in force.
    pub ok: bool,
    /// Names the configuration that is in force now.
    pub hash: String,
    /// New nodes.
    pub added: u64,
    /// Nodes that are gone.
    pub removed: u64,
    /// Services whose process was replaced because of themselves or a sibling.
    pub restarted: u64,
    /// Nodes changed without touching a process.
    pub in_place: u64,
    /// The change's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Rendered diagnostics, when it was refused or there are warnings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<String>,
}
