// SPDX-License-Identifier: MIT OR Apache-2.0
//! When a service is asked whether it is ready, and what its answers mean (SEMANTICS §9).
//!
//! Decides when a probe is due and what follows from its verdict. How a connection is made or a
//! command run is the world's affair; a verdict of a former run or of a probe that was given up
//! changes nothing.

use super::Tree;
use super::effect::Effect;
use super::event::{NodeId, ProbeAnswer, RunId};
use super::helper::{Helper, Job};
use super::node::{Body, Life, Run};
use super::timers::Purpose;
use crate::spec::{ProbeFault, ProbeTarget, Ready};
use std::sync::Arc;

impl Tree {
    /// Asks once whether the service is ready.
    pub(super) fn probe_readiness(&mut self, id: NodeId) {
        let Some(service) = self.service(id).map(Arc::clone) else {
            return;
        };
        let Ready::Probe(probe) = &service.ready else {
            return;
        };
        let Some(Life::Starting(run)) = self.life(id) else {
            return;
        };
        let about = RunId {
            node: id,
            life: run.life,
        };
        let life = self.take_life();
        let run = RunId { node: id, life };
        let job = match &probe.target {
            ProbeTarget::Exec(command) => {
                self.effects.push(Effect::SpawnHelper {
                    run,
                    service: Arc::clone(&service),
                    command: command.clone(),
                    about: Some(about),
                });
                Job::ExecProbe
            }
            ProbeTarget::Tcp { .. } | ProbeTarget::Unix(_) | ProbeTarget::File(_) => {
                self.effects.push(Effect::Probe {
                    run,
                    about,
                    probe: Arc::clone(probe),
                });
                Job::OwnProbe
            }
        };
        self.helpers.insert(
            life,
            Helper {
                node: id,
                job,
                spawned: false,
            },
        );
        self.timers
            .set(id, Purpose::ProbeLimit, self.now + probe.timeout);
        if let Body::Service(Life::Starting(state)) = &mut self.nodes[id].body {
            state.probe = Some(life);
        }
    }

    pub(super) fn on_probe_done(&mut self, run: RunId, answer: ProbeAnswer) {
        match self.helpers.get(&run.life) {
            Some(Helper {
                job: Job::OwnProbe, ..
            }) => {
                self.helpers.remove(&run.life);
                self.probe_answered(run, answer);
            }
            Some(_) | None => self.too_late(),
        }
    }

    pub(super) fn probe_answered(&mut self, run: RunId, answer: ProbeAnswer) {
        let Some(Life::Starting(state)) = self.life(run.node) else {
            return;
        };
        if state.probe != Some(run.life) {
            return;
        }
        self.timers.clear(run.node, Purpose::ProbeLimit);
        match answer {
            ProbeAnswer::Success => self.become_ready(run.node),
            ProbeAnswer::Failure(fault) | ProbeAnswer::Unknown(fault) => {
                self.probe_later(run.node, fault);
            }
        }
    }

    fn probe_later(&mut self, id: NodeId, fault: ProbeFault) {
        if let Body::Service(Life::Starting(state)) = &mut self.nodes[id].body {
            state.probe = None;
            state.fault = Some(fault);
        }
        let every = match self.service(id).map(|service| &service.ready) {
            Some(Ready::Probe(probe)) => probe.every,
            Some(Ready::Exec | Ready::Notify | Ready::Fd(_) | Ready::After(_)) | None => return,
        };
        self.timers.set(id, Purpose::Probe, self.now + every);
    }

    /// An attempt has taken too long: it has failed.
    pub(super) fn on_probe_limit(&mut self, id: NodeId) {
        let Some(Life::Starting(run)) = self.life(id) else {
            return;
        };
        let run = run.clone();
        self.cancel_probe(id, &run);
        self.probe_later(id, ProbeFault::TimedOut);
    }

    /// Nobody waits for the probe of this run any more.
    pub(super) fn cancel_probe(&mut self, id: NodeId, run: &Run) {
        let Some(life) = run.probe else { return };
        let probe = RunId { node: id, life };
        match self.helpers.get(&life).map(|helper| helper.job) {
            Some(Job::OwnProbe) => {
                self.helpers.remove(&life);
                self.effects.push(Effect::CancelProbe { run: probe });
            }
            Some(Job::ExecProbe) => self.kill_helper(probe),
            Some(Job::Stop | Job::Reload(_) | Job::Abandoned) | None => {}
        }
    }
}
