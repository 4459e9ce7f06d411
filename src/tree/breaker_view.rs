// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known about breakers: for people, for services, and for the audit. It changes nothing.

use super::Tree;
use super::aside::By;
use super::breaker::{Breaker, BreakerId, BreakerState, BreakerView};
use super::circuit::Phase;
use super::event::{NodeId, Time};
use super::node::Rest;
use super::timers::{Due, Purpose};
use crate::spec::Name;
use std::sync::Arc;

impl Tree {
    /// The services that it holds, in tree order.
    pub(super) fn held_by_breaker(&self, id: BreakerId) -> Vec<NodeId> {
        let Some(breaker) = self.breakers.get(id) else {
            return Vec::new();
        };
        let held = breaker.held.iter().copied().filter(|child| {
            let node = self.nodes.get(*child);
            node.and_then(super::node::Node::rest) == Some(Rest::Aside(By::Breakers))
        });
        let mut held: Vec<NodeId> = held.collect();
        held.sort_by_cached_key(|child| self.place_in_tree(*child));
        held
    }

    /// Where a node stands: the places from the root down.
    pub(super) fn place_in_tree(&self, id: NodeId) -> Vec<usize> {
        let mut places: Vec<usize> = self.lineage(id).map(|at| self.nodes[at].place).collect();
        places.reverse();
        places
    }

    /// Whether somebody is about to let this service go.
    pub(super) fn is_queued(&self, child: NodeId) -> bool {
        let mut all = self.listed(child).filter_map(|id| self.breakers.get(id));
        all.any(|breaker| breaker.queue.contains(&child))
    }

    /// The breakers that a service lists.
    pub(super) fn listed(&self, child: NodeId) -> impl Iterator<Item = BreakerId> {
        let service = self.nodes.get(child).and_then(|_| self.service(child));
        let names = service.map_or(&[][..], |service| &service.breakers);
        names.iter().filter_map(|name| self.breakers.named(name))
    }

    /// The breakers that hold a service now.
    pub(super) fn holding(&self, child: NodeId) -> Box<[Name]> {
        let all = self.listed(child).filter_map(|id| self.breakers.get(id));
        let holding = all.filter(|b| b.blocks() || b.queue.contains(&child));
        holding.map(|b| Arc::clone(&b.spec.name)).collect()
    }

    /// When somebody looks again at a service that breakers hold; `None`: nobody knows.
    pub(super) fn next_trial_of(&self, child: NodeId) -> Option<Time> {
        let shared = self.listed(child).filter_map(|id| self.breakers.get(id));
        let shared = shared.filter(|b| b.blocks()).filter_map(Breaker::until);
        let own = match self.nodes[child].own.as_deref().map(|own| own.phase) {
            Some(Phase::Open { until }) => Some(until),
            Some(Phase::Closed | Phase::HalfOpen) | None => None,
        };
        shared.chain(own).max()
    }

    /// Whether the end of this child waits for a probe that is under way.
    pub(super) fn is_doubted(&self, child: NodeId) -> bool {
        let mut all = self.listed(child).filter_map(|id| self.breakers.get(id));
        all.any(|b| b.asked.is_some() && b.doubts.iter().any(|doubt| doubt.child == child))
    }

    /// Every breaker as it is now, in the order in which they came.
    pub fn breakers(&self) -> Vec<BreakerView> {
        let one = |id: BreakerId| {
            let breaker = self.breakers.get(id)?;
            let forced = breaker.forced.as_ref();
            Some(BreakerView {
                spec: Arc::clone(&breaker.spec),
                state: breaker.state(),
                since: breaker.since,
                until: breaker.until(),
                row: breaker.circuit.row,
                held: self.held_by_breaker(id),
                trial: breaker.trial.filter(|child| self.is_on_trial(*child)),
                by: forced.map(|forced| forced.by),
                reason: forced.and_then(|forced| forced.reason.clone()),
            })
        };
        self.breakers.ids().into_iter().filter_map(one).collect()
    }

    /// The states of the breakers that a service lists.
    pub fn breakers_of(&self, child: NodeId) -> Vec<(Name, BreakerState)> {
        let all = self.listed(child).filter_map(|id| self.breakers.get(id));
        all.map(|b| (Arc::clone(&b.spec.name), b.state())).collect()
    }

    /// Invariants of breakers: one that is open has a time, one that is half open exactly one test.
    pub(super) fn audit_breakers(&self) -> Result<(), String> {
        for id in self.breakers.ids() {
            let Some(breaker) = self.breakers.get(id) else {
                continue;
            };
            let name = &breaker.spec.name;
            let timed = |due| {
                self.timers
                    .get(self.root, Purpose::Breaker(id, due))
                    .is_some()
            };
            let held = match breaker.state() {
                BreakerState::Open => timed(Due::Open),
                BreakerState::ForcedOpen | BreakerState::ForcedClosed => timed(Due::Forced),
                BreakerState::HalfOpen if breaker.spec.probe.is_some() => breaker.asked.is_some(),
                BreakerState::HalfOpen => self.breakers.testing.contains(&id),
                BreakerState::Closed => breaker.queue.is_empty() || timed(Due::Release),
            };
            if !held && self.nodes[self.root].starts > 0 {
                return Err(format!("breaker {name} is {:?} for ever", breaker.state()));
            }
            if breaker.asked.is_some() != timed(Due::Answer) {
                return Err(format!("the probe of breaker {name} has no end"));
            }
        }
        Ok(())
    }
}
