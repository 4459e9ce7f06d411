// SPDX-License-Identifier: MIT OR Apache-2.0
//! The checked, immutable description of a tree.
//!
//! `config` writes it, `tree` decides by it, `daemon` and `sys` perform from it. A value of these
//! types is already valid: nobody below looks for mistakes again. The module knows no file format,
//! no clock and no process; it imports `std` only and cannot fail.
//!
//! Everything a node shares with its neighbours is behind an `Arc`, so that a thousand services
//! that inherit the same defaults carry them once.

mod breaker;
mod budget;
mod capability;
mod class;
pub mod diff;
mod facts;
mod health;
pub mod limits;
mod listen;
mod node;
mod process;
mod remedy;
mod service;
mod settings;
mod signal;

pub use breaker::{Breaker, BreakerProbe, HoldAfter, Initial, Release};
pub use budget::{Budget, Family, Then};
pub use capability::{Capabilities, Capability, CapabilitySet};
pub use class::{Class, Classes, PatternId, Sample, Uptime, UserClass, When};
pub use facts::{
    ExitFacts, ExitStatus, Found, Oom, Phase, ProbeFault, SpawnFailure, Stage, Stream, Testimony,
};
pub use health::{Health, Liveness};
pub use listen::{Listen, ListenAddress};
pub use node::{
    AutoShutdown, Node, Policy, Restart, Shutdown, StartMode, Strategy, Supervisor, SupervisorKind,
};
pub use process::{
    Command, EnvFile, EnvInherit, EnvValue, Limit, Limits, LogSink, Logs, Process, Resource,
    Rotate, Stdin, UserRef,
};
pub use remedy::{
    Counts, Evidence, Flight, LockKind, Mode, Occasion, Rate, Remedies, Remedy, RunsAs, Step,
    Trigger, Verdict,
};
pub use service::{
    Backoff, BackoffCurve, HandOver, Jitter, Probe, ProbeTarget, Ready, Reload, Scope, Service,
    ServiceKind, Stop, StopStep,
};
pub use settings::{
    Address, ChildLines, ExitCodePolicy, LogFormat, LogLevel, Settings, SocketSpec,
};
pub use signal::Signal;

use std::sync::Arc;

/// The name of a node, unique in the file (CONFIG.md, "Names").
pub type Name = Arc<str>;

/// A whole configuration: the daemon's own settings and the tree below them.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    /// The `[supd]` table.
    pub settings: Arc<Settings>,
    /// The root supervisor; `root` unless the file names another.
    pub root: Arc<Supervisor>,
    /// Names for ends.
    pub classes: Arc<Classes>,
    /// In the order of the text.
    pub breakers: Arc<[Arc<Breaker>]>,
    /// The remediation registry: what holds where no node has an entry of its own.
    pub remedies: Remedies,
}
