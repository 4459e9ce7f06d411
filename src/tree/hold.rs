// SPDX-License-Identifier: MIT OR Apache-2.0
//! Services that are held by breakers, and the trials that end it (SEMANTICS §7).
//!
//! Decides whether a service that is to be started by itself is held instead, and how its trial
//! comes and goes. When a circuit opens and for how long is the circuit's affair; who waits with a
//! service that is held is its strategy's. It takes no token, and it never starts a service whose
//! supervisor is busy, goes down or has an earlier child held.
//!
//! ```text
//! an end calls for a restart --> gate: is something open?  --yes--> held, no token
//!                                blame: does this one open? -yes--> held, no token
//!                                                           -no---> a token, back-off, start
//! any other start by itself  --> gate                      --yes--> held
//! held --its time--> half open --free--> trial: one start
//!   ^                                      | ready, and alive for 10 s --> released, closed
//!   `-----longer, and not counted----------' ended
//! ```
//!
//! A start by hand passes the gate: who acts knows better. Only starts that nobody ordered are
//! held, and only under the default policy.

use super::Tree;
use super::aside::By;
use super::breaking::Tried;
use super::circuit::{Measures, Phase};
use super::event::NodeId;
use super::node::{Life, Reign, Rest};
use super::record::{Decision, StartWhy, What};
use super::supervisor::{Message, Notice};
use super::timers::Purpose;
use super::transition::Holder;
use crate::spec::limits::TRIAL_TIME;
use crate::spec::{HoldAfter, Policy, Service, Trigger};
use std::sync::Arc;
use std::time::Duration;

impl Tree {
    fn hold_after(&self, id: NodeId) -> Option<HoldAfter> {
        if self.nodes[id].sup().is_some() || self.policy_above(id) == Policy::Otp {
            return None;
        }
        self.service(id)?.hold_after
    }

    /// Whether shared breakers have anything to do with it.
    fn has_breakers(&self, id: NodeId) -> bool {
        let lists = |service: &Arc<Service>| !service.breakers.is_empty();
        self.nodes[id].sup().is_none()
            && self.service(id).is_some_and(lists)
            && self.policy_above(id) == Policy::Supd
    }

    /// What would keep a node down that somebody other than a person starts now.
    pub(super) fn gate(&self, id: NodeId) -> Option<By> {
        if self.nodes[id].let_pass {
            return None;
        }
        let listed = self.has_breakers(id);
        let shared = || self.listed(id).filter_map(|b| self.breakers.get(b));
        if listed && shared().any(super::breaker::Breaker::blocks) {
            return Some(By::Breakers);
        }
        let own = self.nodes[id].own.as_deref();
        let open = own.is_some_and(|own| !own.is_closed());
        (open && self.hold_after(id).is_some()).then_some(By::Own)
    }

    /// The end of a child calls for a restart. True: it is held instead, and takes no token.
    pub(super) fn is_caught(&mut self, sup: NodeId, child: NodeId, why: StartWhy) -> bool {
        self.end_trial(child);
        if self.nodes[child].is_unkillable() {
            // It meets the gate when it is started after its end.
            let _counted = self.blame_own(child);
            return false;
        }
        let by = self.gate(child);
        let by = by.or_else(|| self.blame_shared(child, why));
        let Some(by) = by.or_else(|| self.blame_own(child)) else {
            return false;
        };
        let cause = self.last_end(child).1;
        if by == By::Doubt {
            self.conclude(child, cause, Decision::Confirm, None);
            self.nodes[child].set_rest(Rest::Aside(By::Doubt));
            self.settle_all(sup);
            return true;
        }
        let delay = self.time_left(child).unwrap_or_default();
        self.conclude(child, cause, Decision::Hold { delay }, None);
        self.hold_down(child, by);
        self.others_wait(sup, child);
        true
    }

    /// Whether a start that nobody ordered is held back. Its supervisor hears of it as of the end
    /// of an attempt.
    pub(super) fn is_held_back(&mut self, id: NodeId, why: StartWhy) -> bool {
        let ordered = match why {
            StartWhy::Command | StartWhy::Trial => true,
            StartWhy::Boot
            | StartWhy::Restart
            | StartWhy::Group(_)
            | StartWhy::Retry
            | StartWhy::Released
            | StartWhy::Apply => false,
        };
        if ordered || self.nodes[id].rest().is_none() {
            return false;
        }
        let Some(by) = self.gate(id) else {
            return false;
        };
        self.timers.clear(id, Purpose::Backoff);
        self.hold_down(id, by);
        self.notify(id, Notice::Held);
        true
    }

    /// Whoever of a group an open breaker keeps down is held before anybody of it is started.
    pub(super) fn hold_gated(&mut self, sup: NodeId, start: &[NodeId]) {
        let ordered = self
            .task(sup)
            .is_some_and(|task| task.why_start == StartWhy::Command);
        for child in start.iter().copied().filter(|_| !ordered) {
            let rests = self.nodes[child].rest().is_some() && !self.nodes[child].is_aside();
            if let Some(by) = self.gate(child).filter(|_| rests) {
                self.hold_down(child, by);
                self.notify(child, Notice::Held);
            }
        }
    }

    /// A start of this child was not made. What its group was about to do without it goes on.
    pub(super) fn on_held(&mut self, sup: NodeId, child: NodeId) {
        if self.is_going_down(sup) || !self.nodes[child].is_aside() {
            return;
        }
        if let Some(mut start) = self.task(sup).map(|task| task.start.clone()) {
            self.without_blocked(sup, &mut start);
            if let Some(task) = self.task_mut(sup) {
                task.start = start;
                task.heard(child);
            }
        }
        self.others_wait(sup, child);
        self.task_go_on(sup);
        self.boot_heard(sup, child);
    }

    /// Holds a child that is down.
    pub(super) fn hold_down(&mut self, child: NodeId, by: By) {
        let span = self.time_left(child);
        let failures = self.hold_after(child).map_or(0, |own| own.failures);
        let holder = match by {
            By::Breakers | By::Doubt => Holder::Breakers(self.holding(child)),
            By::Own | By::Budget { .. } => Holder::Own { failures },
        };
        let listed: Vec<_> = self.listed(child).collect();
        for id in listed {
            if let Some(breaker) = self.breakers.get_mut(id) {
                breaker.held.insert(child);
            }
        }
        self.record(child, What::Held { by: holder, span });
        self.rest_aside(child, by);
        self.tell_remedy(child, Trigger::Held);
        match self.nodes[child].own.as_deref().map(|own| own.phase) {
            Some(Phase::Open { until }) => self.timers.set(child, Purpose::Hold, until),
            Some(Phase::HalfOpen) => drop(self.trials.insert(child)),
            Some(Phase::Closed) | None => {}
        }
    }

    /// How long it is until a service that is held is tried; `None`: nobody knows.
    pub(super) fn time_left(&self, child: NodeId) -> Option<Duration> {
        Some(self.next_trial_of(child)?.since(self.now))
    }

    /// Counts the end of a child against its own breaker. `Some`: that has opened it.
    fn blame_own(&mut self, child: NodeId) -> Option<By> {
        let limits = self.hold_after(child)?;
        let normal = self.last_end(child).0.base.is_normal();
        let own = self.nodes[child].own.get_or_insert_default();
        if normal {
            own.row = 0;
            return None;
        }
        own.failed(limits.failures).then(|| {
            self.open_own(child, limits);
            By::Own
        })
    }

    fn open_own(&mut self, child: NodeId, limits: HoldAfter) {
        let measures = Measures {
            failures: limits.failures,
            open_for: limits.open_for,
            open_max: limits.open_max,
        };
        let now = self.now;
        if let Some(own) = self.nodes[child].own.as_deref_mut() {
            own.open(now, measures, &mut self.chance);
        }
    }

    /// A child that is put aside has waited long enough.
    pub(super) fn on_hold_timer(&mut self, child: NodeId) {
        match self.nodes[child].rest() {
            Some(Rest::Aside(By::Budget { .. })) => self.bring_back(child),
            Some(Rest::Aside(By::Own | By::Breakers)) => {
                if let Some(own) = self.nodes[child].own.as_deref_mut() {
                    own.half_open();
                }
                self.trials.insert(child);
            }
            Some(
                Rest::Aside(By::Doubt)
                | Rest::Fresh
                | Rest::Stopped
                | Rest::Off
                | Rest::Done
                | Rest::Failed
                | Rest::Waiting { .. }
                | Rest::Backoff { .. }
                | Rest::Remediating { .. }
                | Rest::Retrying { .. },
            )
            | None => {}
        }
    }

    /// The specification of a service was replaced: without a breaker nothing holds it any more.
    pub(super) fn hold_anew(&mut self, child: NodeId) {
        if self.nodes[child].is_aside() {
            self.trials.insert(child);
        }
        let test = |id| {
            self.breakers
                .get(id)
                .is_some_and(|b| b.trial == Some(child))
        };
        let is_test = self.listed(child).any(test);
        if self.hold_after(child).is_none() && !is_test {
            self.pass_trial(child);
        }
    }

    /// Makes the next trial that is due and possible; false: there is none.
    pub(super) fn next_trial(&mut self) -> bool {
        self.next_own_trial() || self.next_shared_trial()
    }

    fn next_own_trial(&mut self) -> bool {
        if self.trials.is_empty() {
            return false;
        }
        let mut due = std::mem::take(&mut self.trials);
        due.retain(|child| self.is_held_by_breaker(*child));
        let idle = |child: &NodeId| self.is_tried(*child) || self.is_free(*child);
        let next = due.iter().copied().find(idle);
        if let Some(child) = next {
            due.remove(&child);
        }
        // One that others hold is looked at again when they let it go.
        due.retain(|child| self.nodes[*child].rest() == Some(Rest::Aside(By::Own)));
        self.trials = due;
        let Some(child) = next else { return false };
        if self.is_free(child) {
            self.bring_back(child);
        } else {
            self.begin_trial(child);
        }
        true
    }

    fn is_held_by_breaker(&self, child: NodeId) -> bool {
        let rest = self.nodes.get(child).and_then(super::node::Node::rest);
        matches!(rest, Some(Rest::Aside(By::Own | By::Breakers)))
    }

    /// Whether nothing holds it any more, and nobody is about to let it go.
    fn is_free(&self, child: NodeId) -> bool {
        self.gate(child).is_none() && !self.is_queued(child)
    }

    /// Whether it can be tried now.
    fn is_tried(&self, child: NodeId) -> bool {
        let mut shared = self.listed(child).filter_map(|id| self.breakers.get(id));
        let shared = shared.all(|breaker| !breaker.blocks() || breaker.awaits_trial());
        let own = match self.nodes[child].own.as_deref().map(|own| own.phase) {
            Some(Phase::Open { until }) => until <= self.now,
            Some(Phase::Closed | Phase::HalfOpen) | None => true,
        };
        shared && own && self.gate(child).is_some() && self.may_be_tried(child)
    }

    /// A breaker without a probe that is half open: the first of those that it holds is its test.
    fn next_shared_trial(&mut self) -> bool {
        let testing: Vec<_> = self.breakers.testing.iter().copied().collect();
        for id in testing {
            let trial = self.breakers.get(id).and_then(|breaker| breaker.trial);
            if trial.is_some_and(|child| self.is_on_trial(child)) {
                continue;
            }
            if let Some(breaker) = self.breakers.get_mut(id) {
                breaker.trial = None;
            }
            let held = self.held_by_breaker(id);
            if let Some(child) = held.into_iter().find(|child| self.is_tried(*child)) {
                self.begin_trial(child);
                return true;
            }
        }
        false
    }

    /// Whether its start, or its run, is a trial whose end has not been judged.
    pub(super) fn is_on_trial(&self, child: NodeId) -> bool {
        let Some(node) = self.nodes.get(child).filter(|node| node.on_trial) else {
            return false;
        };
        matches!(node.rest(), None | Some(Rest::Retrying { .. }))
    }

    /// One start: it says whether every breaker that holds it may close.
    fn begin_trial(&mut self, child: NodeId) {
        let listed: Vec<_> = self.listed(child).collect();
        for id in listed {
            if let Some(breaker) = self.breakers.get_mut(id).filter(|b| b.awaits_trial()) {
                breaker.trial = Some(child);
            }
        }
        if let Some(own) = self.nodes[child]
            .own
            .as_deref_mut()
            .filter(|own| !own.is_closed())
        {
            own.half_open();
        }
        self.cause = self.nodes[child].seq;
        self.timers.clear(child, Purpose::Hold);
        self.nodes[child].set_rest(Rest::Retrying { cause: self.cause });
        self.start(child, StartWhy::Trial);
    }

    /// Whether a trial would disturb nothing: its supervisor runs and is in the middle of nothing,
    /// and in a group no earlier child is put aside.
    fn may_be_tried(&self, child: NodeId) -> bool {
        let Some(sup) = self.nodes[child].parent else {
            return false;
        };
        let Some(state) = self.nodes[sup].sup() else {
            return false;
        };
        let runs = matches!(state.reign, Reign::Starting { .. } | Reign::Up);
        let free = state.task.is_none() && state.inbox.is_empty();
        let first = || self.blocked_from(sup).is_some_and(|(_, id)| id == child);
        runs && !state.suspended && (!self.is_exclusive(sup) || (free && first()))
    }

    /// A service is ready. One on trial has to stay so for a while; any one that has a breaker is
    /// looked at again when it counts as steady.
    pub(super) fn watch_over(&mut self, id: NodeId) {
        if self.hold_after(id).is_none() && !self.has_breakers(id) {
            return;
        }
        if self.nodes[id].on_trial {
            self.timers.set(id, Purpose::Trial, self.now + TRIAL_TIME);
        }
        let node = &self.nodes[id];
        let span = super::backoff::reset_after(node.spec.backoff(), node.took);
        if node.own.is_some() || self.has_breakers(id) {
            self.timers.set(id, Purpose::Steady, self.now + span);
        }
    }

    /// It has been ready for so long that what was before is forgotten.
    pub(super) fn on_steady_timer(&mut self, id: NodeId) {
        if !matches!(self.life(id), Some(Life::Up(_))) {
            return;
        }
        if self.nodes[id].on_trial {
            // It is asked first whether it may go on.
            return self.timers.set(id, Purpose::Steady, self.now + TRIAL_TIME);
        }
        if let Some(own) = self.nodes[id].own.as_deref_mut() {
            own.steady();
        }
        self.steady_breakers(id);
    }

    /// A service on trial has done well.
    pub(super) fn on_trial_timer(&mut self, id: NodeId) {
        if matches!(self.life(id), Some(Life::Up(_))) {
            self.pass_trial(id);
        }
    }

    pub(super) fn pass_trial(&mut self, id: NodeId) {
        if !std::mem::take(&mut self.nodes[id].on_trial) {
            return;
        }
        if let Some(own) = self.nodes[id].own.as_deref_mut() {
            own.close();
        }
        self.nodes[id].attempts = 0;
        self.nodes[id].last_delay = Duration::ZERO;
        self.cause = Some(self.record(id, What::Released));
        self.tried(id, Tried::Well);
        if let Some(sup) = self.nodes[id].parent.filter(|sup| self.is_exclusive(*sup)) {
            self.post(sup, Message::Resume);
        }
    }

    /// If this is a trial, somebody has ended it: it says nothing, and whoever waits for it does so
    /// no longer.
    pub(super) fn drop_trial(&mut self, id: NodeId) {
        if std::mem::take(&mut self.nodes[id].on_trial)
            && let Some(sup) = self.nodes[id].parent
            && self.is_exclusive(sup)
            && !self.is_going_down(sup)
        {
            self.post(sup, Message::Resume);
        }
    }

    /// If this is a trial, it is none any more: it goes on as a start by hand would.
    pub(super) fn forget_trial(&mut self, id: NodeId) {
        if self.nodes[id].on_trial {
            self.nodes[id].own = None;
            self.drop_trial(id);
        }
    }

    /// If this was a trial, it has failed: it is open again, for longer, and nothing is counted.
    pub(super) fn end_trial(&mut self, id: NodeId) {
        if !std::mem::take(&mut self.nodes[id].on_trial) {
            return;
        }
        let own = self.nodes[id].own.as_deref();
        let open = own.is_some_and(|own| !own.is_closed());
        if let Some(limits) = self.hold_after(id).filter(|_| open) {
            self.open_own(id, limits);
        }
        self.tried(id, Tried::Badly);
    }

    /// A child that ended on trial stays down: what does that say about its breaker?
    pub(super) fn judge_trial(&mut self, id: NodeId) {
        if self.last_end(id).0.base.is_normal() {
            self.pass_trial(id);
        } else {
            self.end_trial(id);
        }
    }
}
