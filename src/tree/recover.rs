// SPDX-License-Identifier: MIT OR Apache-2.0
//! The restart of a child: the window first, then the back-off, then whoever the strategy names.
//! One restart too many, and the supervisor gives up.

use super::Tree;
use super::backoff;
use super::classify::Classification;
use super::event::NodeId;
use super::intensity::Verdict;
use super::node::{Body, Ending, LastExit, Life, Reign, Rest};
use super::record::{Budget, Decision, Seq, StartWhy, What};
use super::remedy_find::Found;
use super::timers::Purpose;
use crate::spec::{Class, Counts, Policy, Then};
use std::sync::Arc;
use std::time::Duration;

/// A budget that is used up, and what follows.
#[derive(Debug, Clone, Copy)]
struct Overdraft {
    budget: Budget,
    then: Then,
}

impl Tree {
    /// A restart is called for: record it, compare, and only then touch anybody.
    pub(super) fn recover(&mut self, sup: NodeId, child: NodeId, why: StartWhy) {
        let (class, cause) = self.last_end(child);
        if self.nodes[child].pinned {
            self.conclude(child, cause, Decision::LeftAlone, None);
            return self.leave_alone(sup, child);
        }
        self.incident = self.nodes[child].incident;
        if self.is_caught(sup, child, why) {
            return;
        }
        let found = self.find_remedy(child, why);
        let budget = match self.count_unless_free(&found, (sup, child, &class)) {
            Ok(budget) => budget,
            Err(overdraft) => return self.overdrawn(child, overdraft, why),
        };
        if let Found::Course(course, _) = found {
            return self.begin_treatment(sup, child, (*course, budget));
        }
        let delay = self.draw_delay(sup, child, &class);
        self.conclude(child, cause, Decision::Restart { delay }, budget);
        if self.nodes[child].is_unkillable() {
            self.nodes[child].again = Some(why);
            return;
        }
        if self.is_exclusive(sup) {
            return self.recover_group(sup, child, delay, why);
        }
        self.nodes[child].set_rest(Rest::Retrying { cause: self.cause });
        if delay.is_zero() {
            return self.start(child, why);
        }
        self.wait_backoff(child, delay);
    }

    /// One restart too many: what does the budget say about that?
    fn overdrawn(&mut self, child: NodeId, overdraft: Overdraft, why: StartWhy) {
        let cause = self.last_end(child).1;
        let Overdraft { budget, then } = overdraft;
        if self.asks_for_refund(child, (budget, then), why) {
            return;
        }
        let (decision, span) = match then {
            Then::Escalate => {
                self.conclude(child, cause, Decision::Escalate, Some(budget));
                return self.give_up(budget.supervisor, child, budget);
            }
            Then::Park => (Decision::Park, None),
            Then::Hold(delay) => (Decision::Hold { delay }, Some(delay)),
        };
        self.conclude(child, cause, decision, Some(budget));
        if self.nodes[child].is_unkillable() {
            // The kernel holds it already; what comes after that is counted again.
            self.nodes[child].again = Some(why);
            return;
        }
        self.put_aside(child, budget, span);
    }

    /// A pinned child has failed: it stays down, and nobody waits for it.
    fn leave_alone(&mut self, sup: NodeId, child: NodeId) {
        if !self.nodes[child].is_unkillable() {
            self.nodes[child].set_rest(Rest::Off);
        }
        self.resume_group(sup, StartWhy::Boot);
        self.settle_all(sup);
    }

    /// The class and the record of a child's last end.
    pub(super) fn last_end(&self, child: NodeId) -> (Classification, Option<Seq>) {
        let node = &self.nodes[child];
        if let Some(ended) = node.ended() {
            return (ended.class.clone(), Some(ended.cause));
        }
        match node.last_exit.as_deref() {
            Some(last) => (last.class.clone(), Some(last.seq)),
            None => (Classification::of_base(Class::Escalated), None),
        }
    }

    pub(super) fn conclude(
        &mut self,
        child: NodeId,
        cause: Option<Seq>,
        decision: Decision,
        budget: Option<Budget>,
    ) {
        if let Some(cause) = cause {
            self.decided(child, cause, decision, budget);
        }
    }

    pub(super) fn wait_backoff(&mut self, child: NodeId, delay: Duration) {
        let until = self.now + delay;
        let attempt = self.nodes[child].attempts;
        self.record(child, What::Backoff { delay, attempt });
        let cause = self.nodes[child].seq;
        self.nodes[child].set_rest(Rest::Backoff { until, cause });
        self.nodes[child].since = self.now;
        self.timers.set(child, Purpose::Backoff, until);
    }

    /// The back-off of a child is over.
    pub(super) fn on_backoff_timer(&mut self, child: NodeId) {
        let Some(Rest::Backoff { cause, .. }) = self.nodes[child].rest() else {
            return;
        };
        self.cause = cause;
        let parent = self.nodes[child].parent;
        // Its siblings have become a group meanwhile, which is busy: it is started with them.
        let busy = |sup: &NodeId| self.task(*sup).is_some() && !self.is_going_down(*sup);
        if let Some(sup) = parent.filter(busy) {
            self.nodes[child].set_rest(Rest::Retrying { cause });
            return self.join_starts(sup, child);
        }
        self.start(child, StartWhy::Restart);
    }

    /// Takes a token, unless a remedy spares it.
    fn count_unless_free(
        &mut self,
        found: &Found,
        (sup, child, class): (NodeId, NodeId, &Classification),
    ) -> Result<Option<Budget>, Overdraft> {
        match found {
            Found::Course(_, Counts::No) => Ok(None),
            Found::Course(_, Counts::Yes) | Found::Nothing => self.count(sup, child, class),
        }
    }

    /// Takes a token. `Ok(None)`: this failure is not counted again.
    fn count(
        &mut self,
        sup: NodeId,
        child: NodeId,
        class: &Classification,
    ) -> Result<Option<Budget>, Overdraft> {
        let Some(spec) = self.sup_spec(sup).map(Arc::clone) else {
            return Ok(None);
        };
        if self.is_starved_already(sup, child, class.base) {
            return Ok(None);
        }
        let culprit = self.culprit_of(child);
        let family = class.family;
        let own = spec.budgets.iter().find(|own| own.family == family);
        let own = own.filter(|_| spec.policy == Policy::Supd);
        let (max, period, then) = match (own, spec.policy) {
            (Some(own), _) => (own.limit, own.period, own.then),
            (None, Policy::Supd) => (spec.max_restarts, spec.period, spec.on_exhausted),
            (None, Policy::Otp) => (spec.max_restarts, spec.period, Then::Escalate),
        };
        let now = self.now;
        let Some(state) = self.nodes[sup].sup_mut() else {
            return Ok(None);
        };
        state.restarts = state.restarts.saturating_add(1);
        state.culprit = culprit;
        let bucket = own.map(|own| own.family);
        let window = match bucket {
            None => &mut state.window,
            Some(family) => state.buckets.entry(family).or_default(),
        };
        let verdict = window.record(now, max, period);
        let (Verdict::Within(used) | Verdict::Exceeded(used)) = verdict;
        let budget = Budget {
            supervisor: sup,
            bucket,
            used,
            max,
            period,
        };
        match verdict {
            Verdict::Within(_) => Ok(Some(budget)),
            Verdict::Exceeded(_) => Err(Overdraft { budget, then }),
        }
    }

    /// A spawn that fails for want of resources is the host's fault: it counts once per
    /// `start_timeout` of failing in a row (SEMANTICS §5; not under `otp`).
    pub(super) fn is_starved_already(&mut self, sup: NodeId, child: NodeId, class: Class) -> bool {
        if class != Class::SpawnFailed || self.policy_of(sup) == Policy::Otp {
            return false;
        }
        let span = self
            .service(child)
            .and_then(|service| service.start_timeout);
        let span = span.unwrap_or(Duration::from_secs(60));
        let now = self.now;
        let node = &mut self.nodes[child];
        match node.starved_since {
            Some(since) if now.since(since) < span => true,
            Some(_) | None => {
                node.starved_since = Some(now);
                false
            }
        }
    }

    pub(super) fn draw_delay(
        &mut self,
        sup: NodeId,
        child: NodeId,
        class: &Classification,
    ) -> Duration {
        let node = &mut self.nodes[child];
        node.attempts = node.attempts.saturating_add(1);
        if self.policy_of(sup) == Policy::Otp {
            return Duration::ZERO;
        }
        let node = &self.nodes[child];
        let asked = node.last_exit.as_deref().and_then(LastExit::retry_after);
        if let Some(delay) = asked {
            // The service knows more about it than any curve.
            self.nodes[child].last_delay = delay;
            return delay;
        }
        let (attempts, last) = (node.attempts, node.last_delay);
        let curve = Arc::clone(node.spec.backoff());
        let delay = backoff::delay(&curve, attempts, class, last, &mut self.chance);
        self.nodes[child].last_delay = delay;
        delay
    }

    /// A child was ready for this long: if that was stable, its back-off begins anew.
    pub(super) fn forgive(&mut self, child: NodeId, ready_for: Duration) {
        let node = &mut self.nodes[child];
        if ready_for >= backoff::reset_after(node.spec.backoff(), node.took) {
            node.attempts = 0;
            node.last_delay = Duration::ZERO;
        }
    }

    /// An incident is over for whoever has been up for long enough to be called stable
    /// (SEMANTICS §8); nobody needs a deadline for that, the next record asks.
    pub(super) fn close_incident(&mut self, id: NodeId) {
        let node = &self.nodes[id];
        if node.incident.is_none() {
            return;
        }
        let up_since = match &node.body {
            Body::Service(Life::Up(run)) => run.ready_at,
            Body::Service(
                Life::Rest(_)
                | Life::Starting(_)
                | Life::Stopping(..)
                | Life::Ended(_)
                | Life::Unkillable(..),
            ) => None,
            Body::Supervisor(sup) => (sup.reign == Reign::Up).then_some(node.since),
        };
        let stable = backoff::reset_after(node.spec.backoff(), node.took);
        if up_since.is_some_and(|since| self.now.since(since) >= stable) {
            self.nodes[id].incident = None;
        }
    }

    /// One restart too many: the supervisor stops its children and ends.
    pub(super) fn give_up(&mut self, sup: NodeId, child: NodeId, budget: Budget) {
        let child_name = Arc::clone(self.nodes[child].name());
        let seq = self.record(
            sup,
            What::Exhausted {
                child,
                child_name,
                budget,
            },
        );
        if let Some(state) = self.nodes[sup].sup_mut() {
            state.spent = Some(budget);
        }
        self.cause = Some(seq);
        if !self.nodes[child].is_unkillable() {
            self.nodes[child].set_rest(Rest::Off);
        }
        let culprit = self.nodes[sup]
            .sup()
            .and_then(|state| state.culprit.clone());
        self.terminate(sup, Ending::Escalated(culprit));
    }
}
