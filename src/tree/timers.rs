// SPDX-License-Identifier: MIT OR Apache-2.0
//! Deadlines: at most one per node and purpose, in the order of time.

use super::breaker::BreakerId;
use super::event::{NodeId, Time};
use std::collections::{BTreeMap, BTreeSet};

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Purpose {
    /// A back-off is over.
    Backoff,
    /// A budget that was used up has had its rest, or its own breaker has been open long enough.
    Hold,
    /// A service on trial has done well for long enough.
    Trial,
    /// A service that has a breaker has been ready for so long that it is steady.
    Steady,
    /// A group has waited long enough between its stop and its start.
    Group,
    /// A start has taken too long.
    Start,
    /// A service that is ready after a while is ready.
    After,
    /// The next probe is due.
    Probe,
    /// A probe has taken too long.
    ProbeLimit,
    /// The next question about life is due.
    Health,
    /// A question about life has taken too long.
    HealthLimit,
    /// It has given no sign of life for too long.
    Watchdog,
    /// The next rung of a stop ladder.
    Stop,
    /// A supervisor's own stop has taken too long.
    Supervisor,
    /// The reload command has taken too long.
    Reload,
    /// A step of a remedy has had its time.
    Remedy,
    /// Something of a breaker is due; the node is the root.
    Breaker(BreakerId, Due),
    /// The stop of the whole tree has taken too long.
    Shutdown,
}

/// What of a breaker is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Due {
    /// It has been open long enough.
    Open,
    /// Its probe has taken too long.
    Answer,
    /// Its next probe while it is closed.
    Watch,
    /// The next of those that it lets go.
    Release,
    /// What was forced has had its time.
    Forced,
}

impl Due {
    pub(super) const ALL: [Self; 5] = [
        Self::Open,
        Self::Answer,
        Self::Watch,
        Self::Release,
        Self::Forced,
    ];
}

/// All deadlines of a tree.
#[derive(Debug, Clone, Default)]
pub(super) struct Timers {
    order: BTreeSet<(Time, NodeId, Purpose)>,
    at: BTreeMap<(NodeId, Purpose), Time>,
}

impl Timers {
    /// Sets the deadline, in place of an earlier one for the same purpose.
    pub(super) fn set(&mut self, node: NodeId, purpose: Purpose, at: Time) {
        self.clear(node, purpose);
        self.at.insert((node, purpose), at);
        self.order.insert((at, node, purpose));
    }

    pub(super) fn clear(&mut self, node: NodeId, purpose: Purpose) {
        if let Some(at) = self.at.remove(&(node, purpose)) {
            self.order.remove(&(at, node, purpose));
        }
    }

    /// Clears every deadline of a node.
    pub(super) fn clear_all(&mut self, node: NodeId) {
        let of_node = (node, Purpose::Backoff)..=(node, Purpose::Shutdown);
        let found: Vec<_> = self.at.range(of_node).map(|((_, p), _)| *p).collect();
        for purpose in found {
            self.clear(node, purpose);
        }
    }

    pub(super) fn get(&self, node: NodeId, purpose: Purpose) -> Option<Time> {
        self.at.get(&(node, purpose)).copied()
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Time> {
        self.order.first().map(|(at, ..)| *at)
    }

    /// Takes the earliest deadline if it has passed.
    pub(super) fn pop(&mut self, now: Time) -> Option<(NodeId, Purpose, Time)> {
        let &(at, node, purpose) = self.order.first()?;
        if at > now {
            return None;
        }
        self.clear(node, purpose);
        Some((node, purpose, at))
    }

    pub(super) fn len(&self) -> usize {
        self.at.len()
    }
}
