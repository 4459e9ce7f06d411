// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a service that is ready still works (SEMANTICS §9): it is asked, or gives signs of life
//! by itself.
//!
//! Decides when a question is due, what its answer counts, and when a silence has lasted too long.
//! Whether anybody is killed for it is decided in [`condemn`](super::condemn).
//!
//! ```text
//! ready --chance of `every`--> asked --success--> 0 in a row -+
//!             ^                  |---failure--> one more -----+--`failures` in a row--> condemn
//!             |                  `---unknown--> as many ------+
//!             `---------------------every---------------------'
//! ```
//!
//! An answer says something about the service only if it was measured with a clock that can be
//! trusted: a time-out that we noticed late, or across a time in which everything stood still, is
//! *unknown*, and unknown never counts. Nobody is asked before it is ready, nor once it has said
//! that it stops, nor once it is condemned.

use super::Tree;
use super::condemn::Condemned;
use super::effect::Effect;
use super::event::{NodeId, ProbeAnswer, RunId};
use super::helper::Job;
use super::node::{Life, Run};
use super::record::{Unready, What};
use super::timers::{Due, Purpose};
use crate::spec::limits::{LAG_MAX, PROBES_MAX, WATCHDOG_MIN};
use crate::spec::{Health, Liveness, ProbeFault, Service};
use std::sync::Arc;
use std::time::Duration;

/// What a probe is to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Question {
    /// Whether it serves.
    Readiness,
    /// Whether it works.
    Liveness,
}

impl Question {
    /// The word for it in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Readiness => "ready",
            Self::Liveness => "liveness",
        }
    }
}

/// What is known about the health of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Vitals {
    /// The question that is under way.
    pub(super) probe: Option<u64>,
    /// Failures in a row.
    pub(super) failed: u32,
    /// The last answer.
    pub(super) last: Option<ProbeAnswer>,
    /// The time between two signs of life that it has asked to be held to.
    pub(super) watchdog: Option<Duration>,
    /// It was to be killed and is spared for now; that was recorded.
    pub(super) spared: bool,
}

impl Vitals {
    /// Failures in a row and why the last answer was none.
    pub(super) fn sick(&self) -> Option<(u32, ProbeFault)> {
        let fault = self.last.and_then(ProbeAnswer::fault)?;
        (self.failed > 0).then_some((self.failed, fault))
    }
}

impl Tree {
    /// A service has become ready: from now on it is watched. Those that became ready together are
    /// not asked together.
    pub(super) fn begin_checks(&mut self, id: NodeId) {
        let Some(health) = self.health(id) else {
            return;
        };
        let watchdog = health.watchdog;
        let every = health.liveness.as_ref().map(|l| l.probe.every);
        if let Some(every) = every {
            let first = self.chance.between(Duration::ZERO, every);
            self.timers.set(id, Purpose::Health, self.now + first);
        }
        if let Some(limit) = watchdog {
            self.timers.set(id, Purpose::Watchdog, self.now + limit);
        }
    }

    /// What is asked of a service, if anything is.
    fn health(&self, id: NodeId) -> Option<&Health> {
        let health = &self.service(id)?.health;
        health.is_watched().then_some(health)
    }

    /// Nobody watches this run any more.
    pub(super) fn end_checks(&mut self, id: NodeId, run: &Run) {
        for purpose in [Purpose::Health, Purpose::HealthLimit, Purpose::Watchdog] {
            self.timers.clear(id, purpose);
        }
        self.cancel_probe(id, run.vitals.probe);
    }

    /// A question is due: it is asked, or waits for its turn among all.
    pub(super) fn check_liveness(&mut self, id: NodeId) {
        if self.says_it_stops(id) {
            return self.check_later(id);
        }
        let Some((_, _, run)) = self.to_check(id) else {
            return;
        };
        if self.questions(Question::Liveness) < PROBES_MAX {
            self.begin_check(id);
        } else {
            self.checking.push_back(run);
        }
    }

    /// The next one that waits for its turn is asked; false: there is none, or no room.
    pub(super) fn next_check(&mut self) -> bool {
        while !self.checking.is_empty() && self.questions(Question::Liveness) < PROBES_MAX {
            let Some(run) = self.checking.pop_front() else {
                return false;
            };
            if self.nodes.get(run.node).is_some()
                && self
                    .to_check(run.node)
                    .is_some_and(|(_, _, now)| now == run)
            {
                self.begin_check(run.node);
                return true;
            }
        }
        false
    }

    fn says_it_stops(&self, id: NodeId) -> bool {
        matches!(self.life(id), Some(Life::Up(run)) if run.unready == Some(Unready::Stopping))
    }

    /// The run that can be asked now, and how.
    fn to_check(&self, id: NodeId) -> Option<(&Arc<Service>, &Arc<Liveness>, RunId)> {
        let service = self.service(id)?;
        let liveness = service.health.liveness.as_ref()?;
        let Life::Up(run) = self.life(id)? else {
            return None;
        };
        let life = run.life;
        let free = run.vitals.probe.is_none();
        free.then_some((service, liveness, RunId { node: id, life }))
    }

    fn begin_check(&mut self, id: NodeId) {
        let Some((service, liveness, about)) = self.to_check(id) else {
            return;
        };
        let (service, probe) = (Arc::clone(service), liveness.probe.clone());
        let limit = probe.timeout;
        self.timers.clear(id, Purpose::Health);
        let life = self.ask(service, Arc::new(probe), (about, Question::Liveness));
        self.timers.set(id, Purpose::HealthLimit, self.now + limit);
        if let Some(state) = self.asked(id) {
            state.vitals.probe = Some(life);
        }
    }

    /// An attempt has taken too long.
    pub(super) fn on_health_limit(&mut self, id: NodeId) {
        let Some(life) = self.asked(id).and_then(|run| run.vitals.probe) else {
            return;
        };
        let run = RunId { node: id, life };
        let answer = self.doubted(run, ProbeAnswer::of(ProbeFault::TimedOut));
        self.cancel_probe(id, Some(life));
        self.check_answered(run, answer);
    }

    /// An answer as far as it can be believed. A time-out that we noticed late is our own.
    pub(super) fn doubted(&self, run: RunId, answer: ProbeAnswer) -> ProbeAnswer {
        let ProbeAnswer::Failure(fault) = answer else {
            return answer;
        };
        let Some(helper) = self.helpers.get(&run.life) else {
            return answer;
        };
        let limit = match helper.job {
            Job::ExecProbe(Question::Liveness) | Job::OwnProbe(Question::Liveness) => {
                Purpose::HealthLimit
            }
            Job::BreakerExec(id) | Job::BreakerOwn(id) => Purpose::Breaker(id, Due::Answer),
            Job::ExecProbe(Question::Readiness)
            | Job::OwnProbe(Question::Readiness)
            | Job::Stop
            | Job::Hook
            | Job::Reload(_)
            | Job::Abandoned => Purpose::ProbeLimit,
        };
        let due = self.timers.get(run.node, limit);
        let late = due.is_some_and(|due| self.now.since(due) > LAG_MAX) || self.lag > LAG_MAX;
        if helper.stood_still || (fault == ProbeFault::TimedOut && late) {
            return ProbeAnswer::Unknown(fault);
        }
        answer
    }

    /// What a question about life has come to.
    pub(super) fn check_answered(&mut self, run: RunId, answer: ProbeAnswer) {
        let id = run.node;
        match self.asked(id) {
            Some(state) if state.vitals.probe == Some(run.life) => state.vitals.probe = None,
            Some(_) | None => return,
        }
        self.timers.clear(id, Purpose::HealthLimit);
        self.tell_answer(id, Question::Liveness, answer);
        if self.adds_up(id, answer) && self.condemn(id, Condemned::Liveness) {
            return;
        }
        self.check_later(id);
    }

    /// Takes an answer into account; whether it was one failure too many.
    fn adds_up(&mut self, id: NodeId, answer: ProbeAnswer) -> bool {
        let limit = self.to_check(id).map_or(u32::MAX, |(_, l, _)| l.failures);
        let Some(Life::Up(run)) = self.life(id) else {
            return false;
        };
        let (life, mut vitals) = (run.life, run.vitals);
        let before = vitals.last.map_or("success", ProbeAnswer::as_str);
        vitals.last = Some(answer);
        match answer {
            ProbeAnswer::Success => (vitals.failed, vitals.spared) = (0, false),
            ProbeAnswer::Failure(_) => vitals.failed = vitals.failed.saturating_add(1),
            ProbeAnswer::Unknown(_) => {}
        }
        if let Some(state) = self.asked(id) {
            state.vitals = vitals;
        }
        if before != answer.as_str() {
            let run = RunId { node: id, life };
            let question = Question::Liveness;
            self.record(
                id,
                What::ProbeChanged {
                    run,
                    question,
                    answer,
                },
            );
        }
        matches!(answer, ProbeAnswer::Failure(_)) && vitals.failed >= limit
    }

    fn check_later(&mut self, id: NodeId) {
        let Some((_, liveness, _)) = self.to_check(id) else {
            return;
        };
        let due = self.now + liveness.probe.every;
        self.timers.set(id, Purpose::Health, due);
    }

    /// Whoever counts answers is told of this one.
    pub(super) fn tell_answer(&mut self, id: NodeId, question: Question, answer: ProbeAnswer) {
        self.effects.push(Effect::Answered {
            node: id,
            question,
            answer,
        });
    }

    /// A sign of life (`WATCHDOG=1`).
    pub(super) fn on_sign_of_life(&mut self, id: NodeId) {
        let Some(limit) = self.watchdog_of(id) else {
            return;
        };
        if let Some(state) = self.asked(id) {
            state.vitals.spared &= state.vitals.failed > 0;
        }
        self.timers.set(id, Purpose::Watchdog, self.now + limit);
    }

    /// The time between two signs of life of one that is up.
    fn watchdog_of(&self, id: NodeId) -> Option<Duration> {
        let configured = self.service(id)?.health.watchdog?;
        match self.life(id)? {
            Life::Up(run) => Some(run.vitals.watchdog.unwrap_or(configured)),
            Life::Starting(_)
            | Life::Rest(_)
            | Life::Stopping(..)
            | Life::Ended(_)
            | Life::Unkillable(..) => None,
        }
    }

    /// It wants to be held to another time (`WATCHDOG_USEC=…`), before or after it is ready.
    pub(super) fn on_watchdog_set(&mut self, id: NodeId, span: Duration) {
        if self.service(id).is_none_or(|s| s.health.watchdog.is_none()) {
            return;
        }
        if let Some(state) = self.asked(id) {
            state.vitals.watchdog = Some(span.max(WATCHDOG_MIN));
        }
        self.on_sign_of_life(id);
    }

    /// It has been silent for too long. If it is we who are late, its sign may be on the way.
    pub(super) fn on_watchdog(&mut self, id: NodeId) {
        let Some(limit) = self.watchdog_of(id) else {
            return;
        };
        let trusted = self.lag <= LAG_MAX && !self.says_it_stops(id);
        if trusted && self.condemn(id, Condemned::Watchdog) {
            return;
        }
        self.timers.set(id, Purpose::Watchdog, self.now + limit);
    }

    /// It says itself that it does not work any more (`WATCHDOG=trigger`).
    pub(super) fn on_watchdog_trigger(&mut self, id: NodeId) {
        if self.watchdog_of(id).is_some() {
            self.take_at_its_word(id);
        }
    }

    /// Everything stood still for a while: what is under way says nothing about anybody.
    pub(super) fn on_resumed(&mut self) {
        self.resumed_at = Some(self.now);
        for helper in self.helpers.values_mut() {
            helper.stood_still = true;
        }
    }

    /// The specification of a service was replaced while its process goes on: from now on it is
    /// watched as the new one says.
    pub(super) fn check_anew(&mut self, id: NodeId, old: &Health) {
        if self.service(id).is_none_or(|new| new.health == *old) {
            return;
        }
        let Some(Life::Up(run)) = self.life(id) else {
            return;
        };
        let run = run.clone();
        self.end_checks(id, &run);
        if let Some(state) = self.asked(id) {
            let watchdog = state.vitals.watchdog;
            state.vitals = Vitals {
                watchdog,
                ..Vitals::default()
            };
        }
        self.begin_checks(id);
    }
}
