// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of a run: what it is called, the record of it, and what its service is after it.
//!
//! Whatever the process did is in the facts and stays there. Its class is derived here, once, and
//! its supervisor is told by a notice; this module never decides whether it is restarted.

use super::Tree;
use super::classify::{Classification, spawn_failure_code, status_code};
use super::condemn::Condemned;
use super::event::{NodeId, RunId, Time};
use super::node::{Body, Ended, LastExit, Life, Rest, Run, Rung, Stopping};
use super::qualifier::Qualifiers;
use super::record::{Culprit, Decision, Exit, How, Seq, StopWhy, What};
use super::refine;
use super::supervisor::Notice;
use super::timers::Purpose;
use crate::spec::{
    Class, ExitFacts, Found, Phase, Policy, Restart, ServiceKind, SpawnFailure, limits,
};
use std::sync::Arc;

impl Tree {
    /// What its last output matches is kept until its end is told.
    pub(super) fn on_matched(&mut self, run: RunId, found: Box<[Found]>) {
        match self.run_mut(run) {
            Some(state) => state.testimony.get_or_insert_default().found = found,
            None => self.too_late(),
        }
    }

    pub(super) fn on_spawn_failed(&mut self, run: RunId, failure: SpawnFailure) {
        if self.helpers.contains_key(&run.life) {
            return self.helper_ended(run, Err(failure));
        }
        let class = Class::of_spawn_failure(failure);
        match self.life(run.node) {
            Some(Life::Starting(state)) if state.life == run.life => {
                let state = state.clone();
                self.end_of_start(run.node, &state);
                let end = End {
                    class,
                    facts: None,
                    failure: Some(failure),
                };
                let seq = self.record_end(run.node, &state, Phase::Starting, end);
                self.start_failed(run.node, class, seq);
            }
            // One that was forked and killed for its time: its exit decides.
            Some(Life::Stopping(state, stopping))
                if state.life == run.life && stopping.why != StopWhy::StartTimeout =>
            {
                let (state, why) = (state.clone(), stopping.why);
                self.timers.clear(run.node, Purpose::Stop);
                let end = End {
                    class,
                    facts: None,
                    failure: Some(failure),
                };
                let seq = self.record_end(run.node, &state, Phase::Stopping, end);
                match why {
                    // It had been executed before: whoever says so says nonsense.
                    StopWhy::StartTimeout => return self.start_failed(run.node, class, seq),
                    StopWhy::Unhealthy(_) => return self.ended(run.node, seq),
                    StopWhy::Group(_)
                    | StopWhy::Supervisor
                    | StopWhy::Shutdown
                    | StopWhy::Command(_)
                    | StopWhy::Apply => {}
                }
                self.decided(run.node, seq, Decision::Expected, None);
                self.down(run.node, why);
            }
            Some(_) | None => self.too_late(),
        }
    }

    pub(super) fn on_exited(&mut self, run: RunId, facts: ExitFacts) {
        if self.helpers.contains_key(&run.life) {
            return self.helper_ended(run, Ok(facts.status));
        }
        match self.life(run.node) {
            Some(Life::Starting(state)) if state.life == run.life => {
                let state = state.clone();
                self.died_starting(run.node, &state, facts);
            }
            Some(Life::Up(state)) if state.life == run.life => {
                let state = state.clone();
                self.died_up(run.node, &state, facts);
            }
            Some(Life::Stopping(state, stopping)) if state.life == run.life => {
                let (state, stopping) = (state.clone(), stopping.clone());
                self.died_stopping(run.node, &state, &stopping, facts);
            }
            Some(Life::Unkillable(state, why)) if state.life == run.life => {
                let (state, why) = (state.clone(), *why);
                self.died_at_last(run.node, &state, why, facts);
            }
            Some(_) | None => self.too_late(),
        }
    }

    fn died_starting(&mut self, id: NodeId, run: &Run, facts: ExitFacts) {
        let Some(service) = self.service(id).map(Arc::clone) else {
            return;
        };
        let class = Class::of_exit(&facts, Some(&service), run.sent);
        self.end_of_start(id, run);
        let end = End {
            class,
            facts: Some(facts),
            failure: None,
        };
        let seq = self.record_end(id, run, Phase::Starting, end);
        if service.kind == ServiceKind::Oneshot && class == Class::Clean {
            self.decided(id, seq, Decision::Done, None);
            self.nodes[id].took = self.now.since(run.since);
            self.nodes[id].incident = None;
            self.set_life(id, Life::Rest(Rest::Done));
            self.pass_trial(id);
            return self.notify(id, Notice::Started);
        }
        self.start_failed(id, class, seq);
    }

    /// A start has ended without being done. Under the default policy the restart type holds
    /// before readiness, too: a transient service that ends cleanly has done its work, a temporary
    /// one had its chance (SEMANTICS §1, invariant 10).
    fn start_failed(&mut self, id: NodeId, class: Class, seq: Seq) {
        let restart = self.nodes[id].spec.restart();
        if self.policy_above(id) == Policy::Otp || calls_for_restart(restart, class) {
            self.set_life(id, Life::Rest(Rest::Retrying { cause: Some(seq) }));
            return self.notify(id, Notice::StartFailed);
        }
        self.ended(id, seq);
    }

    fn ended(&mut self, id: NodeId, cause: Seq) {
        let culprit = self.culprit_of(id);
        let last = self.nodes[id].last_exit.as_deref();
        let class = last.map_or(Classification::of_base(Class::ExitCode), |last| {
            last.class.clone()
        });
        self.set_life(
            id,
            Life::Ended(Ended {
                class,
                culprit,
                cause,
            }),
        );
        self.notify(id, Notice::Ended);
    }

    fn died_up(&mut self, id: NodeId, run: &Run, facts: ExitFacts) {
        let Some(service) = self.service(id) else {
            return;
        };
        let class = Class::of_exit(&facts, Some(service), run.sent);
        let end = End {
            class,
            facts: Some(facts),
            failure: None,
        };
        let seq = self.record_end(id, run, Phase::Ready, end);
        self.ended(id, seq);
    }

    fn died_stopping(&mut self, id: NodeId, run: &Run, stopping: &Stopping, facts: ExitFacts) {
        self.timers.clear(id, Purpose::Stop);
        self.drop_stop_command(id, stopping.rung);
        let phase = phase_of(stopping.why);
        let end = End {
            class: self.class_of_stop(id, stopping),
            facts: Some(facts),
            failure: None,
        };
        let seq = self.record_end(id, run, phase, end);
        if stopping.why == StopWhy::StartTimeout {
            return self.start_failed(id, Class::StartTimeout, seq);
        }
        // Somebody who has ordered its start meanwhile does not wait for a strategy.
        if phase == Phase::Ready && self.nodes[id].again.is_none() {
            return self.ended(id, seq);
        }
        self.decided(id, seq, Decision::Expected, None);
        self.down(id, stopping.why);
    }

    fn class_of_stop(&self, id: NodeId, stopping: &Stopping) -> Class {
        let brutal = self.service(id).is_some_and(|s| s.stop.steps.is_empty());
        match (stopping.why, stopping.rung) {
            (StopWhy::StartTimeout, _) => Class::StartTimeout,
            (StopWhy::Unhealthy(what), _) => Class::of_condemned(what),
            (_, Rung::Kill) if !brutal => Class::StopTimeout,
            (_, _) => Class::Requested,
        }
    }

    /// A process that SIGKILL had not ended has ended after all. If it was killed for a failure of
    /// its own, that is judged now, unless somebody had other plans meanwhile.
    fn died_at_last(&mut self, id: NodeId, run: &Run, why: StopWhy, facts: ExitFacts) {
        let class = match why {
            StopWhy::StartTimeout => Class::StartTimeout,
            StopWhy::Unhealthy(what) => Class::of_condemned(what),
            StopWhy::Group(_)
            | StopWhy::Supervisor
            | StopWhy::Shutdown
            | StopWhy::Command(_)
            | StopWhy::Apply => Class::StopTimeout,
        };
        let phase = phase_of(why);
        let end = End {
            class,
            facts: Some(facts),
            failure: None,
        };
        let seq = self.record_end(id, run, phase, end);
        let rest = self.rest_after(id, why);
        let node = &self.nodes[id];
        let judged = !why.is_asked_for() && node.again.is_none() && !node.leaving;
        if !judged {
            self.decided(id, seq, Decision::Expected, None);
        }
        self.set_life(id, Life::Rest(rest));
        self.notify(id, Notice::Released);
        if judged && phase == Phase::Starting {
            self.start_failed(id, class, seq);
        } else if judged {
            self.ended(id, seq);
        }
    }

    /// Writes the end of a run into its service and into a record that says nothing about a
    /// decision yet.
    fn record_end(&mut self, id: NodeId, run: &Run, phase: Phase, end: End) -> Seq {
        self.end_probes(id, run);
        self.timers.clear(id, Purpose::Trial);
        self.timers.clear(id, Purpose::Steady);
        let on_trial = self.nodes[id].on_trial && phase != Phase::Stopping;
        let phase = if on_trial { Phase::Trial } else { phase };
        self.end_checks(id, run);
        let uptime = self.now.since(run.since);
        let testimony = run.testimony.clone().map(Arc::from);
        let rules = Arc::clone(&self.spec.classes);
        let known = refine::End {
            base: end.class,
            status: end.facts.map(|facts| facts.status),
            phase,
            uptime,
            testimony: testimony.as_deref(),
        };
        let class = refine::classify(&rules, known);
        let of_facts = self.qualify(id, end.class, end.facts.as_ref());
        let qualifiers = of_facts.and(self.count_early(id, known, run.ready_at));
        let attempted = end.failure.and_then(|_| self.service(id));
        let attempted = attempted.map(|service| Arc::clone(&service.process));
        let exit = Exit {
            run: RunId {
                node: id,
                life: run.life,
            },
            number: self.nodes[id].starts,
            class: class.clone(),
            qualifiers,
            phase,
            uptime,
            facts: end.facts,
            failure: end.failure,
            attempted,
            probe: run.fault,
            testimony: testimony.clone(),
            decision: Decision::Queued,
            budget: None,
        };
        if let Some(ready_at) = run.ready_at {
            self.forgive(id, self.now.since(ready_at));
        }
        let asked = phase == Phase::Stopping;
        if !asked && !end.class.is_normal() {
            // The record that opens an incident is a part of it.
            self.close_incident(id);
            let known = self.incident.or(self.nodes[id].incident);
            self.incident = known.or(Some(Seq(self.next_seq)));
        }
        let seq = self.record(id, What::Exited(Box::new(exit)));
        if !asked {
            self.cause = Some(seq);
        }
        let last = LastExit {
            at: self.now,
            class,
            qualifiers,
            facts: end.facts,
            failure: end.failure,
            probe: run.fault,
            phase,
            uptime,
            testimony,
            rules,
            seq,
        };
        self.nodes[id].remember(last);
        seq
    }

    /// Whether this end was early, and how many were so in a row. One that was asked for says
    /// nothing about it, unless the service has run well before.
    fn count_early(
        &mut self,
        id: NodeId,
        end: refine::End<'_>,
        ready_at: Option<Time>,
    ) -> Qualifiers {
        let done = end.base == Class::Clean
            && self
                .service(id)
                .is_some_and(|service| service.kind == ServiceKind::Oneshot);
        let well = ready_at.is_some() && end.uptime >= limits::EARLY;
        let node = &mut self.nodes[id];
        if well || done {
            node.early_ends = 0;
        }
        if done || end.phase == Phase::Stopping || !end.is_early() {
            return Qualifiers::default();
        }
        node.early_ends = node.early_ends.saturating_add(1);
        if node.early_ends >= limits::FLAPPING {
            Qualifiers::EARLY.and(Qualifiers::FLAPPING)
        } else {
            Qualifiers::EARLY
        }
    }

    /// What a service's last end means as an exit code of supd.
    pub(super) fn culprit_of(&self, id: NodeId) -> Option<Culprit> {
        let node = self.nodes.get(id)?;
        let last = match &node.body {
            Body::Service(_) => node.last_exit.as_deref()?,
            Body::Supervisor(sup) => return sup.culprit.clone(),
        };
        let (code, how) = match (last.class.base, last.facts, last.failure) {
            (Class::StartTimeout, _, _) => (128 + 9, How::StartTimeout),
            (Class::LivenessFailed, _, _) => (128 + 9, How::Unhealthy(Condemned::Liveness)),
            (Class::WatchdogTimeout, _, _) => (128 + 9, How::Unhealthy(Condemned::Watchdog)),
            (_, Some(facts), _) => (status_code(facts.status), How::Status(facts.status)),
            (_, None, Some(failure)) => (spawn_failure_code(failure), How::Spawn(failure)),
            (_, None, None) => return None,
        };
        Some(Culprit {
            node: id,
            name: Arc::clone(node.name()),
            class: last.class.clone(),
            code,
            how,
        })
    }
}

/// What a run was doing that ends because of this.
fn phase_of(why: StopWhy) -> Phase {
    match why {
        StopWhy::StartTimeout => Phase::Starting,
        StopWhy::Unhealthy(_) => Phase::Ready,
        StopWhy::Group(_)
        | StopWhy::Supervisor
        | StopWhy::Shutdown
        | StopWhy::Command(_)
        | StopWhy::Apply => Phase::Stopping,
    }
}

/// What a process left behind.
#[derive(Debug, Clone, Copy)]
struct End {
    class: Class,
    facts: Option<ExitFacts>,
    failure: Option<SpawnFailure>,
}

/// OTP's `do_restart`: does an end of this class call for a restart?
pub(super) fn calls_for_restart(restart: Restart, class: Class) -> bool {
    match restart {
        Restart::Permanent => true,
        Restart::Transient => !class.is_normal(),
        Restart::Temporary => false,
    }
}
