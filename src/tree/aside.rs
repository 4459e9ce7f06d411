// SPDX-License-Identifier: MIT OR Apache-2.0
//! Children that are put aside: parked until somebody acts, held because a budget is used up, or
//! held by a breaker (SEMANTICS §7, §8; "Held and parked alike").
//!
//! Under `one_for_one` only the child waits; under `rest_for_one` it and those after it, under
//! `one_for_all` the group, stopped in reverse order. Nobody takes a token meanwhile. What puts a
//! child aside, and what lets it go, is decided where restarts are counted and in `hold`.

use super::Tree;
use super::event::NodeId;
use super::event::Time;
use super::node::Rest;
use super::record::{Budget, StartWhy, StopWhy, What};
use super::supervisor::Message;
use super::task::{Stage, Task, TaskKind};
use super::timers::Purpose;
use super::transition::Holder;
use crate::spec::{Family, Policy, Strategy, Trigger};
use std::time::Duration;

/// What keeps a node down that is put aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A budget that is used up, or an order: until this time (it is held), or, without one, until
    /// somebody acts (it is parked).
    Budget { until: Option<Time>, spent: Spent },
    /// Its own breaker.
    Own,
    /// Breakers that it lists.
    Breakers,
    /// The probe of a breaker that its end may be blamed on is asked.
    Doubt,
}

/// The budget that has put a node aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spent {
    /// None: it was told to.
    Nothing,
    /// Its supervisor's own window.
    Main,
    /// That of a family.
    Bucket(Family),
}

impl Spent {
    pub(super) fn of(bucket: Option<Family>) -> Self {
        bucket.map_or(Self::Main, Self::Bucket)
    }
}

impl Tree {
    /// Puts a child that is down aside because a budget is used up: for this long, or until
    /// somebody acts.
    pub(super) fn put_aside(&mut self, child: NodeId, budget: Budget, span: Option<Duration>) {
        let until = span.map(|span| self.now + span);
        let by = Holder::Budget(budget);
        self.record(
            child,
            match span {
                Some(_) => What::Held { by, span },
                None => What::Parked {
                    budget: Some(budget),
                },
            },
        );
        let spent = Spent::of(budget.bucket);
        self.rest_aside(child, By::Budget { until, spent });
        if let Some(until) = until {
            self.timers.set(child, Purpose::Hold, until);
        }
        self.others_wait(budget.supervisor, child);
        if span.is_some() {
            self.tell_remedy(child, Trigger::Held);
        }
    }

    /// Parks a child that is down, although no budget is used up.
    pub(super) fn park(&mut self, sup: NodeId, child: NodeId) {
        self.record(child, What::Parked { budget: None });
        let (until, spent) = (None, Spent::Nothing);
        self.rest_aside(child, By::Budget { until, spent });
        self.others_wait(sup, child);
    }

    /// From here on the child waits, and nothing else has happened to anybody.
    pub(super) fn rest_aside(&mut self, child: NodeId, by: By) {
        self.nodes[child].incident = None;
        self.nodes[child].since = self.now;
        self.nodes[child].set_rest(Rest::Aside(by));
    }

    /// A child was put aside: whom the strategy names waits with it.
    pub(super) fn others_wait(&mut self, sup: NodeId, child: NodeId) {
        if !self.is_exclusive(sup) {
            return self.settle_all(sup);
        }
        let at_work = |task: &Task| task.stage != Stage::Delaying;
        if self.task(sup).is_some_and(at_work) {
            return self.post(sup, Message::Clear(child));
        }
        self.clear_group(sup, child);
    }

    /// Stops whom the strategy names beside a child that is put aside; they wait for it.
    pub(super) fn clear_group(&mut self, sup: NodeId, child: NodeId) {
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

    /// The first place of a group from where nobody is started, because of the child that is put
    /// aside or on trial; and that child.
    pub(super) fn blocked_from(&self, sup: NodeId) -> Option<(usize, NodeId)> {
        let spec = self.sup_spec(sup)?;
        let from = match (spec.policy, spec.strategy) {
            (Policy::Otp, _) | (Policy::Supd, Strategy::OneForOne) => return None,
            (Policy::Supd, Strategy::OneForAll) => None,
            (Policy::Supd, Strategy::RestForOne) => Some(()),
        };
        let children = &self.nodes[sup].sup()?.children;
        let mut blocking = children.iter();
        let first = blocking.find(|id| self.nodes[**id].keeps_others_down())?;
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

    /// A child that has come to rest only now waits for the one that is put aside, as those do that
    /// did in time.
    pub(super) fn waits_if_blocked(&mut self, sup: NodeId, child: NodeId) {
        let node = &self.nodes[child];
        let due = node.rest() == Some(Rest::Off) && self.is_wanted(child);
        let blocked = self
            .blocked_from(sup)
            .filter(|(from, _)| due && node.place >= *from);
        if let Some((_, sibling)) = blocked {
            self.nodes[child].set_rest(Rest::Waiting { sibling });
        }
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
        let Some(Rest::Aside(by)) = self.nodes[child].rest() else {
            return false;
        };
        self.timers.clear(child, Purpose::Hold);
        self.nodes[child].attempts = 0;
        self.nodes[child].last_delay = Duration::ZERO;
        self.spend_nothing(child, by);
        if by != By::Doubt {
            self.record(child, What::Released);
        }
        self.nodes[child].set_rest(Rest::Off);
        true
    }

    /// What kept a child down has forgotten why.
    fn spend_nothing(&mut self, child: NodeId, by: By) {
        let parent = self.nodes[child].parent;
        match by {
            By::Own => self.nodes[child].own = None,
            By::Breakers | By::Doubt => {}
            By::Budget { spent, .. } => {
                let Some(sup) = parent.and_then(|sup| self.nodes[sup].sup_mut()) else {
                    return;
                };
                match spent {
                    Spent::Nothing => {}
                    Spent::Main => sup.window.clear(),
                    Spent::Bucket(family) => drop(sup.buckets.remove(&family)),
                }
            }
        }
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
