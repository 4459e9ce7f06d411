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
use super::circuit::{Measures, Phase};
use super::event::NodeId;
use super::node::{By, Life, Reign, Rest};
use super::record::{Decision, Holder, StartWhy, What};
use super::supervisor::{Message, Notice};
use super::timers::Purpose;
use crate::spec::limits::TRIAL_TIME;
use crate::spec::{HoldAfter, Policy, Trigger};
use std::time::Duration;

impl Tree {
    fn hold_after(&self, id: NodeId) -> Option<HoldAfter> {
        if self.nodes[id].sup().is_some() || self.policy_above(id) == Policy::Otp {
            return None;
        }
        self.service(id)?.hold_after
    }

    /// What would keep a node down that somebody other than a person starts now.
    pub(super) fn gate(&self, id: NodeId) -> Option<By> {
        let own = self.nodes[id].own.as_deref();
        let open = own.is_some_and(|own| !own.is_closed());
        (open && self.hold_after(id).is_some()).then_some(By::Own)
    }

    /// The end of a child calls for a restart. True: it is held instead, and takes no token.
    pub(super) fn is_caught(&mut self, sup: NodeId, child: NodeId) -> bool {
        self.end_trial(child);
        let by = self.gate(child).or_else(|| self.blame_own(child));
        let Some(by) = by.filter(|_| !self.nodes[child].is_unkillable()) else {
            // One that SIGKILL did not end meets the gate when it is started after its end.
            return false;
        };
        let cause = self.last_end(child).1;
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
    fn hold_down(&mut self, child: NodeId, by: By) {
        let span = self.time_left(child);
        let failures = self.hold_after(child).map_or(0, |own| own.failures);
        let holder = match by {
            By::Own | By::Budget { .. } => Holder::Own { failures },
        };
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
    fn time_left(&self, child: NodeId) -> Option<Duration> {
        match self.nodes[child].own.as_deref()?.phase {
            Phase::Open { until } => Some(until.since(self.now)),
            Phase::Closed | Phase::HalfOpen => None,
        }
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
            Some(Rest::Aside(By::Own)) => {
                if let Some(own) = self.nodes[child].own.as_deref_mut() {
                    own.half_open();
                }
                self.trials.insert(child);
            }
            Some(
                Rest::Fresh
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
        if self.hold_after(child).is_some() {
            return;
        }
        if self.nodes[child].rest() == Some(Rest::Aside(By::Own)) {
            self.trials.insert(child);
        }
        self.pass_trial(child);
    }

    /// Makes the next trial that is due and possible; false: there is none.
    pub(super) fn next_trial(&mut self) -> bool {
        if self.trials.is_empty() {
            return false;
        }
        let aside = |child: &NodeId| {
            let rest = self.nodes.get(*child).and_then(super::node::Node::rest);
            rest == Some(Rest::Aside(By::Own))
        };
        let mut due = std::mem::take(&mut self.trials);
        due.retain(aside);
        let free = |child: &NodeId| self.may_be_tried(*child) || self.hold_after(*child).is_none();
        let next = due.iter().copied().find(free);
        if let Some(child) = next {
            due.remove(&child);
        }
        self.trials = due;
        let Some(child) = next else { return false };
        if self.hold_after(child).is_none() {
            self.bring_back(child);
            return true;
        }
        self.cause = self.nodes[child].seq;
        self.nodes[child].set_rest(Rest::Retrying { cause: self.cause });
        self.start(child, StartWhy::Trial);
        true
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
        if self.hold_after(id).is_none() {
            return;
        }
        if self.nodes[id].on_trial {
            self.timers.set(id, Purpose::Trial, self.now + TRIAL_TIME);
        }
        let node = &self.nodes[id];
        let span = super::backoff::reset_after(node.spec.backoff(), node.took);
        if node.own.is_some() {
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
        if let Some(limits) = self.hold_after(id) {
            self.open_own(id, limits);
        }
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
