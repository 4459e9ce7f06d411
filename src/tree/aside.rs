// SPDX-License-Identifier: MIT OR Apache-2.0
//! Children that are put aside because a budget is used up: parked until somebody acts, or held for
//! a time (SEMANTICS §8; "Held and parked alike", §7).
//!
//! Under `one_for_one` only the child waits; under `rest_for_one` it and those after it, under
//! `one_for_all` the group, stopped in reverse order. Nobody takes a token meanwhile. Which budget
//! was used up, and what follows from that, is decided where restarts are counted.

use super::Tree;
use super::event::{NodeId, Time};
use super::node::{Rest, Spent};
use super::record::{Budget, StartWhy, StopWhy, What};
use super::supervisor::Message;
use super::task::{Task, TaskKind};
use super::timers::Purpose;
use crate::spec::{Policy, Strategy, Trigger};
use std::time::Duration;

impl Tree {
    /// Puts a child that is down aside: for this long, or until somebody acts.
    pub(super) fn put_aside(&mut self, child: NodeId, budget: Budget, span: Option<Duration>) {
        let until = span.map(|span| self.now + span);
        self.record(
            child,
            match span {
                Some(span) => What::Held { budget, span },
                None => What::Parked {
                    budget: Some(budget),
                },
            },
        );
        let spent = Spent::of(budget.bucket);
        self.lay_aside(budget.supervisor, child, (until, spent));
        if span.is_some() {
            self.tell_remedy(child, Trigger::Held);
        }
    }

    /// Parks a child that is down, although no budget is used up.
    pub(super) fn park(&mut self, sup: NodeId, child: NodeId) {
        self.record(child, What::Parked { budget: None });
        self.lay_aside(sup, child, (None, Spent::Nothing));
    }

    fn lay_aside(&mut self, sup: NodeId, child: NodeId, (until, spent): (Option<Time>, Spent)) {
        self.nodes[child].incident = None;
        self.nodes[child].since = self.now;
        self.nodes[child].set_rest(Rest::Aside { until, spent });
        if let Some(until) = until {
            self.timers.set(child, Purpose::Hold, until);
        }
        if self.is_exclusive(sup) {
            return self.clear_group(sup, child);
        }
        self.settle_all(sup);
    }

    /// Stops whom the strategy names beside a child that is put aside; they wait for it.
    fn clear_group(&mut self, sup: NodeId, child: NodeId) {
        let scope = self.scope_of(sup, child);
        self.announce_scope(sup, child, &scope);
        let (why_stop, why_start) = (StopWhy::Group(child), StartWhy::Released);
        let mut task = Task::new(TaskKind::Aside, why_stop, why_start);
        task.stop = scope;
        task.stop.retain(|id| *id != child && self.group_stops(*id));
        if let Some(old) = self.task(sup) {
            // What was under way for those before it goes on.
            task.start.clone_from(&old.start);
            task.until = old.until;
        }
        self.begin(sup, task);
    }

    /// The first place of a group from where nobody is started, because the child there is put
    /// aside; and that child.
    pub(super) fn blocked_from(&self, sup: NodeId) -> Option<(usize, NodeId)> {
        let spec = self.sup_spec(sup)?;
        let from = match (spec.policy, spec.strategy) {
            (Policy::Otp, _) | (Policy::Supd, Strategy::OneForOne) => return None,
            (Policy::Supd, Strategy::OneForAll) => None,
            (Policy::Supd, Strategy::RestForOne) => Some(()),
        };
        let children = &self.nodes[sup].sup()?.children;
        let first = children.iter().find(|id| self.nodes[**id].is_aside())?;
        let place = from.map_or(0, |()| self.nodes[*first].place);
        Some((place, *first))
    }

    /// Whoever is to be started in a group, without those that a child which is put aside keeps
    /// down: they wait for it.
    pub(super) fn without_blocked(&mut self, sup: NodeId, start: &mut Vec<NodeId>) {
        let Some((from, sibling)) = self.blocked_from(sup) else {
            return;
        };
        for id in start.iter().copied() {
            let node = &mut self.nodes[id];
            if node.place >= from && !node.is_aside() && node.rest().is_some() {
                node.set_rest(Rest::Waiting { sibling });
            }
        }
        start.retain(|id| self.nodes[*id].place < from);
    }

    /// It is no longer put aside, its budget is empty, and it is started, with whoever waits for
    /// it.
    pub(super) fn bring_back(&mut self, child: NodeId) {
        if !self.forget_aside(child) {
            return;
        }
        let Some(sup) = self.nodes[child].parent else {
            return;
        };
        self.cause = self.nodes[child].seq;
        if self.is_exclusive(sup) {
            self.nodes[child].set_rest(Rest::Waiting { sibling: child });
            return self.post(sup, Message::Resume);
        }
        self.nodes[child].set_rest(Rest::Retrying { cause: self.cause });
        self.start(child, StartWhy::Released);
    }

    /// Whoever comes after it decides what becomes of it; false: it was not put aside.
    pub(super) fn forget_aside(&mut self, child: NodeId) -> bool {
        let Some(Rest::Aside { spent, .. }) = self.nodes[child].rest() else {
            return false;
        };
        self.timers.clear(child, Purpose::Hold);
        self.nodes[child].attempts = 0;
        self.nodes[child].last_delay = Duration::ZERO;
        let parent = self.nodes[child].parent;
        if let Some(sup) = parent.and_then(|sup| self.nodes[sup].sup_mut()) {
            match spent {
                Spent::Nothing => {}
                Spent::Main => sup.window.clear(),
                Spent::Bucket(family) => drop(sup.buckets.remove(&family)),
            }
        }
        self.record(child, What::Released);
        self.nodes[child].set_rest(Rest::Off);
        true
    }

    /// A child that was put aside is down for another reason now: who waited for it goes on.
    pub(super) fn leave_aside(&mut self, child: NodeId) {
        if !self.forget_aside(child) {
            return;
        }
        if let Some(sup) = self.nodes[child]
            .parent
            .filter(|sup| self.is_exclusive(*sup))
        {
            self.post(sup, Message::Resume);
        }
    }
}
