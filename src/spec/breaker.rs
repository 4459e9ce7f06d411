// SPDX-License-Identifier: MIT OR Apache-2.0
//! Circuit breakers: what a service is held by when starting it again makes no sense (SEMANTICS
//! §7).

use super::{Name, Probe, Service};
use std::sync::Arc;
use std::time::Duration;

/// A service's own breaker: it is held when its ends do not stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldAfter {
    /// Abnormal ends in a row that open it; at least 1.
    pub failures: u32,
    /// How long it is open the first time; each time after that twice as long.
    pub open_for: Duration,
    /// It is never open for longer.
    pub open_max: Duration,
}

/// A breaker that guards something several services need.
#[derive(Debug, Clone, PartialEq)]
pub struct Breaker {
    /// Unique among breakers.
    pub name: Name,
    /// Ends in a row that blame it and open it; at least 1.
    pub failures: u32,
    /// How long it is open the first time; each time after that twice as long.
    pub open_for: Duration,
    /// It is never open for longer.
    pub open_max: Duration,
    /// How the thing itself is asked; without one a service is tried.
    pub probe: Option<BreakerProbe>,
    /// While it is closed it is asked with this time in between; only with a probe.
    pub watch: Option<Duration>,
    /// What it is at boot.
    pub initial: Initial,
    /// How fast those that it held are let go.
    pub release: Release,
}

/// How the thing behind a breaker is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerProbe {
    /// What is tried; a file need only be there.
    pub probe: Arc<Probe>,
    /// In whose surroundings a command is run: those of the defaults.
    pub context: Arc<Service>,
}

/// What a breaker is at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initial {
    /// Closed.
    Closed,
    /// Half open: nobody is started before the probe has succeeded.
    Probe,
}

/// How fast a breaker lets services go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// So many at a time; at least 1.
    pub batch: u32,
    /// The time between two.
    pub every: Duration,
}
