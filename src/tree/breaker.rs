// SPDX-License-Identifier: MIT OR Apache-2.0
//! Breakers that services share: when one opens, how it is tested, whom it lets go (SEMANTICS §7).
//!
//! Decides about the breaker itself; whether a service is held by it is asked in `hold`. With a
//! probe no service is ever started to find out. It never touches a process.
//!
//! ```text
//! closed --an end that blames it--> with a probe: one is asked, the ends wait
//!            |                          it fails --> open, no token for anybody
//!            |                          else the ends count now
//!            `--the last of a row --------------> open
//! open --its time--> half open --probe, or one trial--> closed --in turn--> the held are let go
//!   ^                              | failed
//!   `--for longer, uncounted-------'
//! ```
//!
//! What the operator forces beats all of it until it expires: an open one is tested then, a closed
//! one begins with an empty row.

use super::circuit::{Circuit, Measures, Phase};
use super::event::{Actor, NodeId, Time};
use super::record::{Seq, StartWhy};
use crate::spec::{self, Initial, Name};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// A breaker; never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct BreakerId(pub(super) u32);

/// The states of a breaker that people see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BreakerState {
    /// Nobody is held.
    Closed,
    /// Its services are not started.
    Open,
    /// It is tested.
    HalfOpen,
    /// Open by order.
    ForcedOpen,
    /// Closed by order.
    ForcedClosed,
}

impl BreakerState {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Closed,
        Self::Open,
        Self::HalfOpen,
        Self::ForcedOpen,
        Self::ForcedClosed,
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
        }
    }
}

/// One breaker as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerView {
    /// Its specification, with its name.
    pub spec: Arc<spec::Breaker>,
    /// Its state.
    pub state: BreakerState,
    /// Since when.
    pub since: Time,
    /// When that ends by itself.
    pub until: Option<Time>,
    /// Failures in a row.
    pub row: u32,
    /// Services that it holds, or has not let go yet, in tree order.
    pub held: Vec<NodeId>,
    /// The service whose start is its test.
    pub trial: Option<NodeId>,
    /// Who forced it.
    pub by: Option<Actor>,
    /// Why.
    pub reason: Option<Box<str>>,
}

/// What somebody has forced a breaker to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Forced {
    pub(super) open: bool,
    pub(super) until: Time,
    pub(super) by: Actor,
    pub(super) reason: Option<Box<str>>,
}

/// What a probe is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// Is the blame right?
    Confirm,
    /// May it close?
    Test,
    /// Is all well?
    Watch,
}

/// An end that waits for a probe.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doubt {
    pub(super) child: NodeId,
    pub(super) why: StartWhy,
}

/// One breaker and what it remembers.
#[derive(Debug, Clone)]
pub(super) struct Breaker {
    pub(super) spec: Arc<spec::Breaker>,
    pub(super) circuit: Circuit,
    pub(super) forced: Option<Forced>,
    pub(super) asked: Option<(u64, Question)>,
    pub(super) doubts: Vec<Doubt>,
    /// The service on trial; it may have been stopped since.
    pub(super) trial: Option<NodeId>,
    /// Services that were put aside because of it; some may be no longer.
    pub(super) held: BTreeSet<NodeId>,
    /// Those that are let go, the next one first.
    pub(super) queue: VecDeque<NodeId>,
    /// Probes that failed in a row while it was closed.
    pub(super) misses: u32,
    /// It has not been closed yet: what it waits for has yet to come.
    pub(super) fresh: bool,
    pub(super) alarmed: bool,
    pub(super) since: Time,
    pub(super) seq: Option<Seq>,
}

/// All breakers.
#[derive(Debug, Clone, Default)]
pub(super) struct Breakers {
    all: BTreeMap<BreakerId, Breaker>,
    by_name: BTreeMap<Name, BreakerId>,
    next: u32,
    /// Half open, without a probe.
    pub(super) testing: BTreeSet<BreakerId>,
}

impl Breaker {
    fn new(spec: &Arc<spec::Breaker>, now: Time) -> Self {
        Self {
            spec: Arc::clone(spec),
            circuit: Circuit::default(),
            forced: None,
            asked: None,
            doubts: Vec::new(),
            trial: None,
            held: BTreeSet::new(),
            queue: VecDeque::new(),
            misses: 0,
            fresh: spec.initial == Initial::Probe,
            alarmed: false,
            since: now,
            seq: None,
        }
    }

    pub(super) fn state(&self) -> BreakerState {
        match (&self.forced, self.circuit.phase) {
            (Some(forced), _) if forced.open => BreakerState::ForcedOpen,
            (Some(_), _) => BreakerState::ForcedClosed,
            (None, Phase::Closed) => BreakerState::Closed,
            (None, Phase::Open { .. }) => BreakerState::Open,
            (None, Phase::HalfOpen) => BreakerState::HalfOpen,
        }
    }

    pub(super) fn blocks(&self) -> bool {
        match self.state() {
            BreakerState::Closed | BreakerState::ForcedClosed => false,
            BreakerState::Open | BreakerState::HalfOpen | BreakerState::ForcedOpen => true,
        }
    }

    /// Whether a start of a service could be its test now.
    pub(super) fn awaits_trial(&self) -> bool {
        self.state() == BreakerState::HalfOpen && self.spec.probe.is_none() && self.trial.is_none()
    }

    pub(super) fn until(&self) -> Option<Time> {
        match (&self.forced, self.circuit.phase) {
            (Some(forced), _) => Some(forced.until),
            (None, Phase::Open { until }) => Some(until),
            (None, Phase::Closed | Phase::HalfOpen) => None,
        }
    }

    pub(super) fn measures(&self) -> Measures {
        Measures {
            failures: self.spec.failures,
            open_for: self.spec.open_for,
            open_max: self.spec.open_max,
        }
    }
}

impl Breakers {
    pub(super) fn get(&self, id: BreakerId) -> Option<&Breaker> {
        self.all.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: BreakerId) -> Option<&mut Breaker> {
        self.all.get_mut(&id)
    }

    pub(super) fn named(&self, name: &str) -> Option<BreakerId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn enter(&mut self, spec: &Arc<spec::Breaker>, now: Time) -> BreakerId {
        let id = BreakerId(self.next);
        self.next += 1;
        self.all.insert(id, Breaker::new(spec, now));
        self.by_name.insert(Arc::clone(&spec.name), id);
        id
    }

    pub(super) fn forget(&mut self, id: BreakerId) -> Option<Breaker> {
        let gone = self.all.remove(&id)?;
        self.by_name.remove(&gone.spec.name);
        self.testing.remove(&id);
        Some(gone)
    }

    pub(super) fn ids(&self) -> Vec<BreakerId> {
        self.all.keys().copied().collect()
    }
}
