// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `GET /v1/tree`, `GET /v1/nodes/{name}` and `GET /v1/health` answer.
//!
//! Durations are in milliseconds and end at the moment of the answer, so that a client needs no
//! clock that agrees with the daemon's; stamps are RFC 3339 beside them, for programs.

use super::LogView;
use super::event::{FailureLine, MatchLine, RuleLine, SaidLine};
use super::{Word, is_false, is_zero, seconds};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The daemon and its whole tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// [`VERSION`](super::VERSION).
    pub v: u32,
    /// The last event that is part of this picture.
    pub seq: u64,
    /// The daemon itself.
    pub daemon: DaemonView,
    /// Services by state, `{"ready": 7, "held": 1}`; pool instances count one each.
    #[serde(default)]
    pub counts: BTreeMap<Word, u64>,
    /// The tree.
    pub root: NodeView,
}

/// The daemon.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DaemonView {
    /// `0.1.0`.
    pub version: String,
    /// Its process.
    pub pid: i32,
    /// Time since it booted the tree.
    pub up_ms: u64,
    /// Names this life of the daemon; event numbers are unique within it.
    pub boot: String,
    /// When it booted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// What it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigView>,
}

/// The configuration that is in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigView {
    /// Of its whole text; changes when anything in it does.
    pub hash: String,
    /// The main file first, then what it includes, in order.
    #[serde(default)]
    pub files: Vec<String>,
    /// When it was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<String>,
    /// How long ago that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_ms: Option<u64>,
}

/// What a node is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// A leaf: one process at a time.
    #[default]
    Service,
    /// An inner node.
    Supervisor,
    /// A supervisor of identical instances.
    Pool,
    /// A kind that this version does not know; never written.
    #[serde(other)]
    Unknown,
}

/// One node and all below it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeView {
    /// Unique in the tree; `worker.3` for an instance.
    pub name: String,
    /// From the root: `root/api/web`.
    pub path: String,
    /// What it is.
    pub kind: NodeKind,
    /// A service: starting ready unready stopping stopped backoff remediating held waiting parked
    /// unkillable done. A supervisor or a pool: starting up degraded stopping down.
    pub state: Word,
    /// Time in this state.
    pub since_ms: u64,
    /// Whether its start is done and it serves.
    #[serde(default)]
    pub ready: bool,
    /// A service that runs once (`type = "oneshot"`).
    #[serde(default, skip_serializing_if = "is_false")]
    pub oneshot: bool,
    /// Its process, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The how-many-th start of it is running or ran last, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// Time since the start of that run, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_ms: Option<u64>,
    /// Automatic restarts since the daemon's boot.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u64,
    /// How many of them were only because of a sibling.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts_by_group: u64,
    /// That sibling, the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts_because: Option<String>,
    /// How it ended the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<LastExit>,
    /// Who stopped it by hand, while that lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<StoppedBy>,
    /// Left alone by order of the operator.
    #[serde(default, skip_serializing_if = "is_false")]
    pub pinned: bool,
    /// Its being down makes the tree not ready.
    #[serde(default, skip_serializing_if = "is_false")]
    pub required: bool,
    /// permanent, transient, temporary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Word>,
    /// A supervisor's: `one_for_one`, `one_for_all`, `rest_for_one`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Word>,
    /// Restarts that a supervisor allows in `seconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Its window.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "seconds"
    )]
    pub seconds: Option<f64>,
    /// Restarts in the window now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u32>,
    /// Time until the next try: of a back-off, or the trial of a held service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// What holds it: budget, `hold_after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<Word>,
    /// The breakers that hold it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breakers: Vec<String>,
    /// Failures in a row that its own breaker has counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// Its run is a trial: whether it may go on is decided by how that goes.
    #[serde(default, skip_serializing_if = "is_false")]
    pub on_trial: bool,
    /// Whom it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// What has to happen before it is ready, while it is not, and what its last probe said:
    /// `tcp 127.0.0.1:6379: connection refused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<String>,
    /// That its liveness probe fails, and why: `2 of 3 liveness probes in a row: connection
    /// refused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sick: Option<String>,
    /// How long its start may take in all, while it is starting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_ms: Option<u64>,
    /// Resident set of its process, KiB, where it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rss_kb: Option<u64>,
    /// What is unusual about its process, as the kernel sees it: `stopped (T)`, and of one that
    /// does not end `uninterruptible (D)`, `traced by gdb (pid 7)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Its own words (`STATUS=` of `sd_notify`). Not to be trusted by a terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whom its restart by order touches besides it, in start order; only where one node is asked
    /// for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restarts_with: Vec<String>,
    /// What became of its output; only where one service is asked for, and has written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogView>,
    /// In start order; a pool's are its instances.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<NodeView>,
}

/// The end of the last run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LastExit {
    /// Its class (SEMANTICS §5).
    pub class: Word,
    /// Its base class, when a class of the file refined it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Word>,
    /// requested clean transient config resource hang fault external.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Word>,
    /// The exit code, when it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    /// The signal's name without `SIG`, when one ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Word>,
    /// certain or likely, where that is a question: `oom_kill`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certainty: Option<Word>,
    /// The pattern of its class that the output matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<MatchLine>,
    /// What the service said about its end itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<SaidLine>,
    /// The classes of the configuration, in their order, and what came of each; only where one
    /// service is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleLine>,
    /// `daemonized`, `unclean`, `early`, `flapping`, `descendant_oom`: what else is to be said
    /// about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub qualifiers: Vec<Word>,
    /// Whether it left a core.
    #[serde(default, skip_serializing_if = "is_false")]
    pub core: bool,
    /// What failed, when there never was a process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureLine>,
    /// What its last probe said when it was not ready: `connection refused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// Which run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// How long that run lasted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// How long ago it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ago_ms: Option<u64>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<String>,
    /// Its event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// Who stopped a node by hand.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StoppedBy {
    /// The client's user, when it was a client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The client's process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// How long ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ago_ms: Option<u64>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<String>,
}

/// What `GET /v1/health` answers; 200 when what was asked for holds, else 503.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// ok, degraded or failed.
    pub status: Word,
    /// Every required service is up.
    pub ready: bool,
    /// The daemon's own loop turns.
    pub live: bool,
    /// One line for each node that keeps it from being `ok`.
    #[serde(default)]
    pub reasons: Vec<String>,
}
