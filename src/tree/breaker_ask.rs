// SPDX-License-Identifier: MIT OR Apache-2.0
//! When the probe of a breaker is asked, and what its answers are for.
//!
//! It decides about the question and its time; what follows from an answer is a state of the
//! breaker.

use super::Tree;
use super::breaker::{BreakerId, BreakerState, Question};
use super::effect::Effect;
use super::event::{ProbeAnswer, RunId};
use super::helper::{Helper, Job};
use super::timers::{Due, Purpose};
use super::transition::TransitionWhy;
use crate::spec::ProbeTarget;
use crate::spec::limits::WATCH_FAILURES;
use std::sync::Arc;

impl Tree {
    /// It is tested: by its probe, or by whoever is tried next.
    pub(super) fn test(&mut self, id: BreakerId) {
        let probed = self
            .breakers
            .get(id)
            .is_some_and(|b| b.spec.probe.is_some());
        if probed {
            self.ask_about(id, Question::Test);
        } else {
            self.breakers.testing.insert(id);
        }
    }

    pub(super) fn ask_about(&mut self, id: BreakerId, question: Question) {
        let life = self.take_life();
        let run = RunId {
            node: self.root,
            life,
        };
        let Some(breaker) = self.breakers.get_mut(id) else {
            return;
        };
        let Some(asked) = breaker.spec.probe.clone() else {
            return;
        };
        breaker.asked = Some((life, question));
        let (probe, service) = (Arc::clone(&asked.probe), Arc::clone(&asked.context));
        let limit = self.now + probe.timeout;
        let job = match &probe.target {
            ProbeTarget::Exec(command) => {
                let command = command.clone();
                let about = None;
                self.effects.push(Effect::SpawnHelper {
                    run,
                    service,
                    command,
                    about,
                });
                Job::BreakerExec(id)
            }
            ProbeTarget::Tcp { .. }
            | ProbeTarget::Http { .. }
            | ProbeTarget::Unix(_)
            | ProbeTarget::File(_) => {
                // It is about nobody's process: a file need only be there.
                self.effects.push(Effect::Probe {
                    run,
                    about: run,
                    probe,
                    question: super::Question::Readiness,
                });
                Job::BreakerOwn(id)
            }
        };
        let helper = Helper {
            node: self.root,
            job,
            spawned: false,
            stood_still: false,
        };
        self.helpers.insert(life, helper);
        self.timers
            .set(self.root, Purpose::Breaker(id, Due::Answer), limit);
    }

    /// Nobody waits for what its probe finds any more.
    pub(super) fn forget_question(&mut self, id: BreakerId) {
        self.timers
            .clear(self.root, Purpose::Breaker(id, Due::Answer));
        let asked = self.breakers.get_mut(id).and_then(|b| b.asked.take());
        let Some((life, _)) = asked else { return };
        let run = RunId {
            node: self.root,
            life,
        };
        match self.helpers.get(&life).map(|helper| helper.job) {
            Some(Job::BreakerOwn(_)) => {
                self.helpers.remove(&life);
                self.effects.push(Effect::CancelProbe { run });
            }
            Some(_) => self.kill_helper(run),
            None => {}
        }
    }

    /// Its probe has an answer.
    pub(super) fn breaker_answered(&mut self, id: BreakerId, life: u64, answer: ProbeAnswer) {
        let Some(breaker) = self.breakers.get_mut(id) else {
            return;
        };
        let Some((_, question)) = breaker.asked.take_if(|(asked, _)| *asked == life) else {
            return;
        };
        self.cause = breaker.seq;
        self.timers
            .clear(self.root, Purpose::Breaker(id, Due::Answer));
        match (question, answer) {
            (Question::Confirm | Question::Test, ProbeAnswer::Failure(fault)) => {
                self.trip(id, TransitionWhy::Probe(fault));
            }
            (Question::Confirm, ProbeAnswer::Success | ProbeAnswer::Unknown(_)) => {
                self.believe(id);
                self.watch_later(id);
            }
            (Question::Test, ProbeAnswer::Success) => self.close(id, TransitionWhy::Test),
            (Question::Test, ProbeAnswer::Unknown(fault)) => {
                // Nothing is known, so it is not open for longer than before.
                breaker.circuit.openings = breaker.circuit.openings.saturating_sub(1);
                self.trip(id, TransitionWhy::Probe(fault));
            }
            (Question::Watch, ProbeAnswer::Failure(fault)) => {
                breaker.misses += 1;
                if breaker.misses >= WATCH_FAILURES {
                    return self.trip(id, TransitionWhy::Probe(fault));
                }
                self.watch_later(id);
            }
            (Question::Watch, ProbeAnswer::Success) => {
                breaker.misses = 0;
                self.watch_later(id);
            }
            (Question::Watch, ProbeAnswer::Unknown(_)) => self.watch_later(id),
        }
    }

    /// While it is closed it is asked from time to time, if it is to be.
    pub(super) fn watch_later(&mut self, id: BreakerId) {
        let Some(breaker) = self.breakers.get(id) else {
            return;
        };
        let span = breaker
            .spec
            .watch
            .filter(|_| breaker.state() == BreakerState::Closed);
        if let Some(span) = span {
            let due = self.now + span;
            self.timers
                .set(self.root, Purpose::Breaker(id, Due::Watch), due);
        }
    }

    /// A deadline of a breaker has passed.
    pub(super) fn on_breaker_timer(&mut self, id: BreakerId, due: Due) {
        let Some(breaker) = self.breakers.get_mut(id) else {
            return;
        };
        self.cause = breaker.seq;
        match due {
            Due::Open => {
                let before = breaker.state();
                breaker.circuit.half_open();
                self.tell_breaker(id, before, TransitionWhy::Time);
                self.test(id);
            }
            Due::Answer => {
                let Some((life, _)) = breaker.asked else {
                    return;
                };
                let question = breaker.asked;
                self.forget_question(id);
                if let Some(breaker) = self.breakers.get_mut(id) {
                    breaker.asked = question;
                }
                let answer = ProbeAnswer::of(crate::spec::ProbeFault::TimedOut);
                self.breaker_answered(id, life, answer);
            }
            Due::Watch if breaker.asked.is_none() => self.ask_about(id, Question::Watch),
            Due::Watch => {}
            Due::Release => self.release_next(id),
            Due::Forced => self.unforce(id, TransitionWhy::Expired),
        }
    }
}
