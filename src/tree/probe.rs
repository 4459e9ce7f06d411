// SPDX-License-Identifier: MIT OR Apache-2.0
//! When a service is asked whether it is ready, and what its answers mean (SEMANTICS §9).
//!
//! Decides when a probe is due and what follows from its verdict. How a connection is made or a
//! command run is the world's affair; a verdict of a former run or of a probe that was given up
//! changes nothing.
//!
//! ```text
//! starting --success--> ready --failure--> unready      the two on the right only with `recheck`,
//!    | failure, unknown   ^ `--STOPPING=1--^   |        or by the service's own word
//!    `--every-- again     `------success-------'
//! ```
//!
//! Being unready touches no process and no strategy: the start is done, whatever is said later.
//! While a service says that it is stopping no probe makes it ready.

use super::Tree;
use super::effect::Effect;
use super::event::{NodeId, ProbeAnswer, RunId};
use super::helper::{Helper, Job};
use super::liveness::Question;
use super::node::{Body, Life, Run, Spawned};
use super::record::{Unready, What};
use super::timers::Purpose;
use crate::spec::limits::PROBES_MAX;
use crate::spec::{Probe, ProbeFault, ProbeTarget, Ready, Service};
use std::sync::Arc;

impl Tree {
    /// A probe is due: it begins, or waits for its turn among all probes.
    pub(super) fn probe_readiness(&mut self, id: NodeId) {
        let Some((_, _, run)) = self.to_ask(id) else {
            return;
        };
        if self.questions(Question::Readiness) < PROBES_MAX {
            self.begin_probe(id);
        } else {
            self.probing.push_back(run);
        }
    }

    /// The next probe that waits for its turn begins; false: there is none, or no room.
    pub(super) fn next_probe(&mut self) -> bool {
        while !self.probing.is_empty() && self.questions(Question::Readiness) < PROBES_MAX {
            let Some(run) = self.probing.pop_front() else {
                return false;
            };
            if self.nodes.get(run.node).is_some()
                && self.to_ask(run.node).is_some_and(|(_, _, now)| now == run)
            {
                self.begin_probe(run.node);
                return true;
            }
        }
        false
    }

    /// How many of these are being asked now.
    pub(super) fn questions(&self, question: Question) -> usize {
        let (exec, own) = (Job::ExecProbe(question), Job::OwnProbe(question));
        let asks = |helper: &&Helper| helper.job == exec || helper.job == own;
        self.helpers.values().filter(asks).count()
    }

    /// The run that can be asked now, and how.
    fn to_ask(&self, id: NodeId) -> Option<(&Arc<Service>, &Arc<Probe>, RunId)> {
        let service = self.service(id)?;
        let Ready::Probe(probe) = &service.ready else {
            return None;
        };
        let run = match self.life(id)? {
            Life::Starting(run) if run.spawned == Spawned::Yes => run,
            Life::Up(run) if probe.recheck.is_some() => run,
            Life::Starting(_)
            | Life::Up(_)
            | Life::Rest(_)
            | Life::Stopping(..)
            | Life::Ended(_)
            | Life::Unkillable(..) => return None,
        };
        let life = run.life;
        (run.probe.is_none()).then_some((service, probe, RunId { node: id, life }))
    }

    fn begin_probe(&mut self, id: NodeId) {
        let Some((service, probe, about)) = self.to_ask(id) else {
            return;
        };
        let (service, probe) = (Arc::clone(service), Arc::clone(probe));
        let timeout = probe.timeout;
        let life = self.ask(service, probe, (about, Question::Readiness));
        self.timers.set(id, Purpose::ProbeLimit, self.now + timeout);
        if let Some(state) = self.asked(id) {
            state.probe = Some(life);
        }
    }

    /// Asks about a run; the life of the attempt.
    pub(super) fn ask(
        &mut self,
        service: Arc<Service>,
        probe: Arc<Probe>,
        (about, question): (RunId, Question),
    ) -> u64 {
        let life = self.take_life();
        let node = about.node;
        let run = RunId { node, life };
        let job = match &probe.target {
            ProbeTarget::Exec(command) => {
                self.effects.push(Effect::SpawnHelper {
                    run,
                    service,
                    command: command.clone(),
                    about: Some(about),
                });
                Job::ExecProbe(question)
            }
            ProbeTarget::Tcp { .. }
            | ProbeTarget::Http { .. }
            | ProbeTarget::Unix(_)
            | ProbeTarget::File(_) => {
                self.effects.push(Effect::Probe {
                    run,
                    about,
                    question,
                    probe,
                });
                Job::OwnProbe(question)
            }
        };
        let helper = Helper {
            node,
            job,
            spawned: false,
            stood_still: false,
        };
        self.helpers.insert(life, helper);
        life
    }

    /// The run that may be asked.
    pub(super) fn asked(&mut self, id: NodeId) -> Option<&mut Run> {
        match &mut self.nodes.get_mut(id)?.body {
            Body::Service(Life::Starting(run) | Life::Up(run)) => Some(run),
            Body::Service(
                Life::Rest(_) | Life::Stopping(..) | Life::Ended(_) | Life::Unkillable(..),
            )
            | Body::Supervisor(_) => None,
        }
    }

    pub(super) fn on_probe_done(&mut self, run: RunId, answer: ProbeAnswer) {
        let answer = self.doubted(run, answer);
        match self.helpers.get(&run.life).map(|helper| helper.job) {
            Some(Job::OwnProbe(question)) => {
                self.helpers.remove(&run.life);
                match question {
                    Question::Readiness => self.probe_answered(run, answer),
                    Question::Liveness => self.check_answered(run, answer),
                }
            }
            Some(Job::BreakerOwn(id)) => {
                self.helpers.remove(&run.life);
                self.breaker_answered(id, run.life, answer);
            }
            Some(
                Job::ExecProbe(_)
                | Job::Stop
                | Job::Hook
                | Job::Reload(_)
                | Job::BreakerExec(_)
                | Job::Abandoned,
            )
            | None => self.too_late(),
        }
    }

    pub(super) fn probe_answered(&mut self, run: RunId, answer: ProbeAnswer) {
        let id = run.node;
        match self.asked(id) {
            Some(state) if state.probe == Some(run.life) => state.probe = None,
            Some(_) | None => return,
        }
        self.timers.clear(id, Purpose::ProbeLimit);
        self.tell_answer(id, Question::Readiness, answer);
        if matches!(self.life(id), Some(Life::Up(_))) {
            return self.rechecked(id, answer);
        }
        match answer {
            ProbeAnswer::Success => self.become_ready(id),
            ProbeAnswer::Failure(fault) | ProbeAnswer::Unknown(fault) => {
                if let Some(state) = self.asked(id) {
                    state.fault = Some(fault);
                }
                self.probe_later(id);
            }
        }
    }

    /// The answer of one that is up.
    fn rechecked(&mut self, id: NodeId, answer: ProbeAnswer) {
        match answer {
            ProbeAnswer::Success => {
                if let Some(state) = self.asked(id) {
                    state.fault = None;
                }
                self.ready_again(id, |why| matches!(why, Unready::Probe(_)));
            }
            ProbeAnswer::Failure(fault) => {
                if let Some(state) = self.asked(id) {
                    state.fault = Some(fault);
                }
                self.become_unready(id, Unready::Probe(fault));
            }
            // Nothing is known, so nothing changes.
            ProbeAnswer::Unknown(_) => {}
        }
        self.probe_later(id);
    }

    /// A service that is up does not serve any more. Who says so first is recorded.
    pub(super) fn become_unready(&mut self, id: NodeId, why: Unready) {
        let Some(Life::Up(run)) = self.life(id) else {
            return;
        };
        let (before, life) = (run.unready, run.life);
        // Its own word counts more than a probe: it is going to end.
        if before.is_some() && why != Unready::Stopping {
            return;
        }
        if let Some(state) = self.asked(id) {
            state.unready = Some(why);
        }
        if before.is_none() {
            self.nodes[id].since = self.now;
            let run = RunId { node: id, life };
            self.record(id, What::Unready { run, why });
        }
    }

    /// It serves again, if it was unready for such a reason.
    pub(super) fn ready_again(&mut self, id: NodeId, cured: impl Fn(Unready) -> bool) {
        let Some(Life::Up(run)) = self.life(id) else {
            return;
        };
        let life = run.life;
        if !run.unready.is_some_and(cured) {
            return;
        }
        if let Some(state) = self.asked(id) {
            state.unready = None;
        }
        let took = self.now.since(self.nodes[id].since);
        self.nodes[id].since = self.now;
        let run = Some(RunId { node: id, life });
        self.record(id, What::Ready { run, took });
    }

    /// The next probe is due when the time between two has passed.
    fn probe_later(&mut self, id: NodeId) {
        let Some((_, probe, _)) = self.to_ask(id) else {
            return;
        };
        let span = match self.life(id) {
            Some(Life::Up(_)) => probe.recheck.unwrap_or(probe.every),
            Some(
                Life::Starting(_)
                | Life::Rest(_)
                | Life::Stopping(..)
                | Life::Ended(_)
                | Life::Unkillable(..),
            )
            | None => probe.every,
        };
        self.timers.set(id, Purpose::Probe, self.now + span);
    }

    /// A service has become ready: with `recheck` it is asked on. The first time comes by chance in
    /// the second half of the span, so that those that became ready together are not asked so.
    pub(super) fn begin_rechecks(&mut self, id: NodeId) {
        let recheck = self.to_ask(id).and_then(|(_, probe, _)| probe.recheck);
        if let Some(span) = recheck {
            let first = self.chance.between(span / 2, span);
            self.timers.set(id, Purpose::Probe, self.now + first);
        }
    }

    /// An attempt has taken too long: it has failed.
    pub(super) fn on_probe_limit(&mut self, id: NodeId) {
        let Some(run) = self.asked(id).map(|run| run.clone()) else {
            return;
        };
        let Some(life) = run.probe else { return };
        self.cancel_probe(id, Some(life));
        let answer = ProbeAnswer::of(ProbeFault::TimedOut);
        self.probe_answered(RunId { node: id, life }, answer);
    }

    /// Nobody asks this run any more.
    pub(super) fn end_probes(&mut self, id: NodeId, run: &Run) {
        self.timers.clear(id, Purpose::Probe);
        self.timers.clear(id, Purpose::ProbeLimit);
        self.cancel_probe(id, run.probe);
    }

    /// Nobody waits for this probe any more.
    pub(super) fn cancel_probe(&mut self, id: NodeId, probe: Option<u64>) {
        let Some(life) = probe else { return };
        let probe = RunId { node: id, life };
        match self.helpers.get(&life).map(|helper| helper.job) {
            Some(Job::OwnProbe(_)) => {
                self.helpers.remove(&life);
                self.effects.push(Effect::CancelProbe { run: probe });
            }
            Some(Job::ExecProbe(_)) => self.kill_helper(probe),
            Some(
                Job::Stop
                | Job::Hook
                | Job::Reload(_)
                | Job::BreakerExec(_)
                | Job::BreakerOwn(_)
                | Job::Abandoned,
            )
            | None => {}
        }
    }

    /// The specification of a service was replaced while its process goes on: from now on it is
    /// asked as the new one says.
    pub(super) fn ask_anew(&mut self, id: NodeId, old: &Ready) {
        let Some(new) = self.service(id).map(|service| service.ready.clone()) else {
            return;
        };
        let Some(run) = self
            .asked(id)
            .map(|run| run.clone())
            .filter(|_| *old != new)
        else {
            return;
        };
        self.end_probes(id, &run);
        if let Some(state) = self.asked(id) {
            (state.probe, state.fault) = (None, None);
        }
        let run_id = RunId {
            node: id,
            life: run.life,
        };
        match self.life(id) {
            Some(Life::Starting(_)) if run.spawned == Spawned::Yes => {
                self.timers.clear(id, Purpose::After);
                self.await_ready(run_id);
            }
            Some(Life::Up(_)) => {
                self.ready_again(id, |why| matches!(why, Unready::Probe(_)));
                self.begin_rechecks(id);
            }
            Some(
                Life::Starting(_)
                | Life::Rest(_)
                | Life::Stopping(..)
                | Life::Ended(_)
                | Life::Unkillable(..),
            )
            | None => {}
        }
    }
}
