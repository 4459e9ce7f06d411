// SPDX-License-Identifier: MIT OR Apache-2.0
//! A service from the decision to start it to its being ready.
//!
//! This module changes a service's own life up to the end of its process, which `death` takes over,
//! and tells its supervisor by a notice. It never decides whether it is restarted.

use super::Tree;
use super::classify::Sent;
use super::effect::Effect;
use super::event::{NodeId, RunId};
use super::liveness::Vitals;
use super::node::{Body, Life, Run, Spawned};
use super::record::{StartWhy, Unready, What};
use super::supervisor::Notice;
use super::timers::Purpose;
use crate::spec::{self, Ready, Service, ServiceKind, Signal};
use std::sync::Arc;

impl Tree {
    pub(super) fn service(&self, id: NodeId) -> Option<&Arc<Service>> {
        match &self.nodes[id].spec {
            spec::Node::Service(service) => Some(service),
            spec::Node::Supervisor(_) => None,
        }
    }

    pub(super) fn life(&self, id: NodeId) -> Option<&Life> {
        match &self.nodes.get(id)?.body {
            Body::Service(life) => Some(life),
            Body::Supervisor(_) => None,
        }
    }

    /// A run, as long as there is a process of it.
    pub(super) fn run_mut(&mut self, run: RunId) -> Option<&mut Run> {
        match &mut self.nodes.get_mut(run.node)?.body {
            Body::Service(
                Life::Starting(state)
                | Life::Up(state)
                | Life::Stopping(state, _)
                | Life::Unkillable(state, _),
            ) => Some(state).filter(|state| state.life == run.life),
            Body::Service(Life::Rest(_) | Life::Ended(_)) | Body::Supervisor(_) => None,
        }
    }

    /// A run is sent a signal, other than to stop it: dying of that is nobody else's doing.
    pub(super) fn note_sent(&mut self, run: RunId, signal: Signal) {
        if let Some(state) = self.run_mut(run) {
            state.sent.add(signal);
        }
    }

    pub(super) fn set_life(&mut self, id: NodeId, life: Life) {
        let now = self.now;
        let node = &mut self.nodes[id];
        node.since = now;
        let Body::Service(place) = &mut node.body else {
            return;
        };
        let is = |life: &Life| usize::from(matches!(life, Life::Unkillable(..)));
        self.unkillable = (self.unkillable + is(&life)).saturating_sub(is(place));
        *place = life;
    }

    /// Starts a service that is at rest.
    pub(super) fn start_service(&mut self, id: NodeId, why: StartWhy) {
        self.timers.clear(id, Purpose::Backoff);
        self.timers.clear(id, Purpose::Hold);
        let life = self.take_life();
        let node = &mut self.nodes[id];
        node.on_trial = why == StartWhy::Trial;
        (node.believed, node.let_pass) = (false, false);
        node.starts += 1;
        node.again = None;
        if !matches!(why, StartWhy::Boot | StartWhy::Command | StartWhy::Apply) {
            node.restarts += 1;
        }
        let number = node.starts;
        let run = RunId { node: id, life };
        self.record(id, What::Starting { run, number, why });
        let room = self.starts.in_flight < self.spec.settings.start_parallelism;
        let spawned = if room {
            Spawned::Asked
        } else {
            Spawned::Queued
        };
        let state = Run {
            life,
            since: self.now,
            ready_at: None,
            spawned,
            probe: None,
            fault: None,
            unready: None,
            vitals: Vitals::default(),
            sent: Sent::default(),
            testimony: None,
        };
        self.set_life(id, Life::Starting(state));
        if room {
            self.execute(run);
        } else {
            self.starts.queue.push_back(run);
        }
    }

    fn execute(&mut self, run: RunId) {
        let Some(service) = self.service(run.node).map(Arc::clone) else {
            return;
        };
        self.starts.in_flight += 1;
        self.effects.push(Effect::Spawn { run, service });
    }

    /// One start less is under way: the next in the queue has its turn.
    pub(super) fn release_start(&mut self, run: &Run) {
        if run.spawned == Spawned::Queued {
            return;
        }
        self.starts.in_flight = self.starts.in_flight.saturating_sub(1);
        while self.starts.in_flight < self.spec.settings.start_parallelism {
            let Some(next) = self.starts.queue.pop_front() else {
                return;
            };
            let Some(node) = self.nodes.get(next.node) else {
                continue;
            };
            if node.parent.is_some_and(|sup| self.is_going_down(sup)) {
                // Its stop is on the way.
                continue;
            }
            let Body::Service(Life::Starting(waiting)) = &mut self.nodes[next.node].body else {
                continue;
            };
            if waiting.life == next.life && waiting.spawned == Spawned::Queued {
                waiting.spawned = Spawned::Asked;
                self.execute(next);
            }
        }
    }

    pub(super) fn on_spawned(&mut self, run: RunId) {
        if self.helpers.contains_key(&run.life) {
            return self.helper_spawned(run);
        }
        let Some(node) = self.nodes.get_mut(run.node) else {
            return self.too_late();
        };
        match &mut node.body {
            Body::Service(Life::Starting(state)) if state.life == run.life => {
                state.spawned = Spawned::Yes;
                self.await_ready(run);
            }
            Body::Service(Life::Stopping(state, _))
                if state.life == run.life && state.spawned == Spawned::Asked =>
            {
                state.spawned = Spawned::Yes;
                self.first_rung(run.node);
            }
            Body::Service(_) | Body::Supervisor(_) => self.too_late(),
        }
    }

    /// The program runs: what is it to be ready?
    pub(super) fn await_ready(&mut self, run: RunId) {
        let Some(service) = self.service(run.node).map(Arc::clone) else {
            return;
        };
        if service.kind == ServiceKind::Daemon && service.ready == Ready::Exec {
            return self.become_ready(run.node);
        }
        if let Some(limit) = service.start_timeout {
            self.timers.set(run.node, Purpose::Start, self.now + limit);
        }
        if service.kind == ServiceKind::Oneshot {
            return;
        }
        match &service.ready {
            Ready::After(span) => self.timers.set(run.node, Purpose::After, self.now + *span),
            Ready::Probe(_) => self.probe_readiness(run.node),
            Ready::Exec | Ready::Notify | Ready::Fd(_) => {}
        }
    }

    pub(super) fn on_ready(&mut self, run: RunId) {
        // A oneshot is started when it has ended well, whatever it says before.
        let says_nothing = self
            .nodes
            .get(run.node)
            .is_some_and(|node| match &node.spec {
                spec::Node::Service(service) => service.kind == ServiceKind::Oneshot,
                spec::Node::Supervisor(_) => false,
            });
        match self.life(run.node) {
            Some(Life::Starting(state)) if state.life == run.life && !says_nothing => {
                self.become_ready(run.node);
            }
            // It has changed its mind about stopping.
            Some(Life::Up(state)) if state.life == run.life => {
                self.ready_again(run.node, |why| why == Unready::Stopping);
            }
            Some(_) | None => self.too_late(),
        }
    }

    /// The start is done.
    pub(super) fn become_ready(&mut self, id: NodeId) {
        let Some(Life::Starting(run)) = self.life(id) else {
            return;
        };
        let mut run = run.clone();
        self.end_of_start(id, &run);
        run.ready_at = Some(self.now);
        run.probe = None;
        run.fault = None;
        let took = self.now.since(run.since);
        let node = &mut self.nodes[id];
        node.took = took;
        node.starved_since = None;
        let run_id = RunId {
            node: id,
            life: run.life,
        };
        self.set_life(id, Life::Up(run));
        self.record(
            id,
            What::Ready {
                run: Some(run_id),
                took,
            },
        );
        self.begin_rechecks(id);
        self.watch_over(id);
        self.begin_checks(id);
        self.notify(id, Notice::Started);
    }

    /// Whatever a start had set up is taken down, however it ended.
    pub(super) fn end_of_start(&mut self, id: NodeId, run: &Run) {
        for purpose in [Purpose::Start, Purpose::After] {
            self.timers.clear(id, purpose);
        }
        self.end_probes(id, run);
        self.release_start(run);
    }

    pub(super) fn too_late(&mut self) {
        self.stale += 1;
    }
}
