// SPDX-License-Identifier: MIT OR Apache-2.0
//! How it is found out that a service which is ready has stopped working (SEMANTICS §9).

use super::{Probe, Signal, StopStep};
use std::sync::Arc;
use std::time::Duration;

/// What is asked of a service while it is ready, and how it is ended when it does not answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Health {
    /// Asked from outside.
    pub liveness: Option<Arc<Liveness>>,
    /// It gives a sign of life by itself (`WATCHDOG=1`) at least this often.
    pub watchdog: Option<Duration>,
    /// The signals that end it when it gives none; SIGKILL comes after the last one.
    pub kill: Box<[StopStep]>,
}

/// A question that is asked again and again; too many wrong answers in a row, and it is killed.
#[derive(Debug, Clone, PartialEq)]
pub struct Liveness {
    /// What is tried, how often and for how long; never rechecked, it goes on anyway.
    pub probe: Probe,
    /// Failures in a row that condemn it; at least 1.
    pub failures: u32,
}

impl Health {
    /// From one attempt to the next when nobody says.
    pub const EVERY: Duration = Duration::from_secs(10);
    /// Failures in a row when nobody says.
    pub const FAILURES: u32 = 3;
    /// SIGABRT leaves a core of what hangs; then SIGKILL, whatever a stop may take.
    pub const KILL: StopStep = StopStep {
        signal: Signal::ABRT,
        timeout: Some(Duration::from_secs(5)),
    };

    /// Whether anything is asked.
    pub fn is_watched(&self) -> bool {
        self.liveness.is_some() || self.watchdog.is_some()
    }
}
