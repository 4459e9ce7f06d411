// SPDX-License-Identifier: MIT OR Apache-2.0
//! The socket protocol's own types: what stands in the JSON, in the URLs and in the name of the
//! socket (INTERFACES.md, "The socket"). Daemon and client both use them, so neither can drift.
//!
//! Within `/v1` fields are only added. Every shape therefore ignores what it does not know when it
//! is read, leaves out what is not there when it is written, and has a golden file in `tests/wire`.
//! Words that may grow (states, kinds, classes) are [`Word`]s and not enums, so that an old client
//! shows a new daemon's word instead of failing on it.
//!
//! The module never knows the engine, the specification or a runtime; it does no I/O. Translating
//! `tree` into these types is the daemon's work, showing them is `ctl`'s.

mod breaker;
mod command;
mod config;
mod drill;
mod error;
mod event;
mod log;
pub mod paths;
mod plan;
pub mod query;
mod remediation;
pub mod socket_path;
pub mod span;
mod status;
mod stream;
pub mod visible;
mod why;

pub use breaker::{BreakerList, BreakerView, ForceRequest};
pub use command::{
    ChildRequest, CommandReply, ReloadReply, RestartRequest, ScaleRequest, ShutdownRequest,
    SignalRequest, outcome,
};
pub use config::{ConfigNode, ConfigRequest, ConfigText, InForceKey, WrittenKey};
pub use drill::{DrillReply, DrillRequest};
pub use error::{ErrorBody, ErrorDetail, code};
pub use event::{
    BudgetLine, CaptureLine, CulpritLine, DecisionLine, EventLine, FailureLine, MatchLine,
    RuleLine, RusageLine, SaidLine, WhoLine, kind,
};
pub use log::{LogCounts, LogFileView, LogLine, LogView};
pub use paths::{ForceVerb, NoRoute, Route, Verb};
pub use plan::{Because, Change, KeyChange, Plan, effect, op};
pub use query::Query;
pub use remediation::{RemediateRequest, Remediation, Remediations};
pub use status::{ConfigView, DaemonView, Health, LastExit, NodeKind, NodeView, Status, StoppedBy};
pub use stream::{Gap, Heartbeat, LogItem, Snapshot, StreamItem};
pub use why::{FailureKind, FailuresLine, LastWords, Why};

/// A word of the protocol: borrowed where the daemon writes a constant, owned where it was read.
pub type Word = std::borrow::Cow<'static, str>;

/// The `v` of every event and of the status.
pub const VERSION: u32 = 1;

/// The media type of one JSON value.
pub const JSON: &str = "application/json";
/// The media type of the metrics page.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The media type of a stream: one JSON value a line.
pub const NDJSON: &str = "application/x-ndjson";

/// Whether a flag is off and can be left out.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if hands out a reference"
)]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Whether a count is nothing and can be left out.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if hands out a reference"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Writes whole seconds without a fraction, as everybody would by hand: `60`, `0.5`.
#[expect(
    clippy::ref_option,
    reason = "serde's serialize_with hands out a reference"
)]
fn seconds<S: serde::Serializer>(value: &Option<f64>, out: S) -> Result<S::Ok, S::Error> {
    match value {
        None => out.serialize_none(),
        Some(s) if s.fract() == 0.0 && (0.0..9e15).contains(s) =>
        {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "whole, not negative and below 2^53: checked on the line above"
            )]
            out.serialize_u64(*s as u64)
        }
        Some(s) => out.serialize_f64(*s),
    }
}
