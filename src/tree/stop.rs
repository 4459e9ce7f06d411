// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stopping a service by its ladder (SEMANTICS §10), and stopping everything.
//!
//! The ladder is: the stop command, each step's signal followed by SIGCONT, SIGKILL. A service is
//! down when its process was reaped. Five seconds after a SIGKILL without an end it is
//! unkillable: who waited for it goes on without it, but nothing starts it until it is gone.

use super::Tree;
use super::effect::Effect;
use super::event::{Actor, Haste, NodeId, RunId};
use super::helper::{Helper, Job};
use super::node::{Body, Ending, Life, Reign, Rest, Run, Rung, Spawned, Stopping};
use super::record::{Decision, StopWhy, What};
use super::supervisor::Notice;
use super::timers::Purpose;
use crate::spec::limits::UNKILLABLE_AFTER;
use crate::spec::{Shutdown, Signal, Stop, StopStep};
use std::sync::Arc;
use std::time::Duration;

/// No grace is longer once somebody has asked twice.
const SHORT_GRACE: Duration = Duration::from_secs(1);

impl Tree {
    /// Stops a service; a `Stopped` notice follows, at once if there is nothing to stop.
    pub(super) fn stop_service(&mut self, id: NodeId, why: StopWhy) {
        self.drop_trial(id);
        let Some(life) = self.life(id) else { return };
        match life.clone() {
            Life::Rest(rest) => self.stop_at_rest(id, rest, why),
            Life::Ended(ended) => {
                self.decided(id, ended.cause, Decision::Absorbed, None);
                self.down(id, why);
            }
            Life::Starting(run) => {
                self.end_of_start(id, &run);
                if run.spawned == Spawned::Queued {
                    return self.down(id, why);
                }
                self.begin_ladder(id, run, why);
            }
            Life::Up(run) => self.begin_ladder(id, run, why),
            Life::Stopping(run, stopping) => {
                // The ladder goes on; only what follows from its end changes.
                if !stopping.why.is_asked_for() {
                    let run = Some(RunId {
                        node: id,
                        life: run.life,
                    });
                    self.record(id, What::Stopping { run, why });
                }
                self.set_life(id, Life::Stopping(run, Stopping { why, ..stopping }));
            }
            Life::Unkillable(run, _) => {
                self.set_life(id, Life::Unkillable(run, why));
                self.notify(id, Notice::Stopped);
            }
        }
    }

    fn stop_at_rest(&mut self, id: NodeId, rest: Rest, why: StopWhy) {
        // Whoever is put aside stays so, and a remedy goes on: the group starts after it.
        let stays = matches!(rest, Rest::Aside(_) | Rest::Remediating { .. });
        if stays && matches!(why, StopWhy::Group(_)) {
            return self.notify(id, Notice::Stopped);
        }
        self.cancel_course(id);
        self.timers.clear(id, Purpose::Backoff);
        self.timers.clear(id, Purpose::Hold);
        let done = matches!(rest, Rest::Done | Rest::Stopped);
        let going_down = matches!(why, StopWhy::Supervisor | StopWhy::Shutdown);
        let stays = matches!(why, StopWhy::Group(_)) && !self.group_starts(id);
        if (done && going_down) || stays {
            return self.notify(id, Notice::Stopped);
        }
        let rest = self.rest_after(id, why);
        self.nodes[id].set_rest(rest);
        self.notify(id, Notice::Stopped);
    }

    /// Where a node rests after a stop.
    pub(super) fn rest_after(&self, id: NodeId, why: StopWhy) -> Rest {
        if self.nodes[id].stopped_by.is_some() {
            return Rest::Stopped;
        }
        match why {
            StopWhy::Group(_) if self.nodes[id].pinned => Rest::Off,
            StopWhy::Group(sibling) => Rest::Waiting { sibling },
            StopWhy::Command(_) => Rest::Stopped,
            StopWhy::Supervisor
            | StopWhy::Shutdown
            | StopWhy::Apply
            | StopWhy::StartTimeout
            | StopWhy::Unhealthy(_) => Rest::Off,
        }
    }

    /// A service has no process any more, as was asked.
    pub(super) fn down(&mut self, id: NodeId, why: StopWhy) {
        let rest = self.rest_after(id, why);
        self.set_life(id, Life::Rest(rest));
        self.record(id, What::Stopped { why });
        self.notify(id, Notice::Stopped);
    }

    pub(super) fn begin_ladder(&mut self, id: NodeId, run: Run, why: StopWhy) {
        let spawned = run.spawned.has_process();
        if let Some(ready_at) = run.ready_at {
            self.forgive(id, self.now.since(ready_at));
        }
        self.enter_stop(id, run, why);
        if spawned {
            self.first_rung(id);
        }
    }

    /// From here on the run only ends.
    fn enter_stop(&mut self, id: NodeId, run: Run, why: StopWhy) {
        self.end_probes(id, &run);
        self.end_checks(id, &run);
        let run_id = Some(RunId {
            node: id,
            life: run.life,
        });
        self.record(id, What::Stopping { run: run_id, why });
        let rung = Rung::Step(0);
        self.set_life(id, Life::Stopping(run, Stopping { why, rung }));
    }

    /// The process exists: run its stop command, or take the first step.
    pub(super) fn first_rung(&mut self, id: NodeId) {
        let Some(service) = self.service(id).map(Arc::clone) else {
            return;
        };
        let Some(Life::Stopping(run, stopping)) = self.life(id) else {
            return;
        };
        let (about, why) = (
            RunId {
                node: id,
                life: run.life,
            },
            stopping.why,
        );
        if why == StopWhy::StartTimeout || self.haste == Some(Haste::Kill) {
            return self.kill(id);
        }
        if let StopWhy::Unhealthy(what) = why {
            return self.collect_evidence(id, about, what);
        }
        let Some(command) = service.stop.command.clone() else {
            return self.step(id, 0);
        };
        let life = self.take_life();
        let helper = RunId { node: id, life };
        self.helpers.insert(
            life,
            Helper {
                node: id,
                job: Job::Stop,
                spawned: false,
                stood_still: false,
            },
        );
        self.effects.push(Effect::SpawnHelper {
            run: helper,
            service,
            command,
            about: Some(about),
        });
        self.set_rung(id, Rung::Command(life));
        let limit = self.grace(id, 0).unwrap_or(Duration::from_secs(9));
        self.timers.set(id, Purpose::Stop, self.now + limit);
    }

    pub(super) fn set_rung(&mut self, id: NodeId, rung: Rung) {
        if let Body::Service(Life::Stopping(_, stopping)) = &mut self.nodes[id].body {
            stopping.rung = rung;
        }
    }

    fn stop_spec(&self, id: NodeId) -> Option<Arc<Stop>> {
        self.service(id).map(|service| Arc::clone(&service.stop))
    }

    /// How long a step may take; `None`: for ever.
    fn grace(&self, id: NodeId, place: usize) -> Option<Duration> {
        let configured = self.stop_spec(id)?.steps.get(place)?.timeout;
        match self.haste {
            Some(Haste::Short | Haste::Kill) => {
                Some(configured.map_or(SHORT_GRACE, |grace| grace.min(SHORT_GRACE)))
            }
            Some(Haste::Orderly) | None => configured,
        }
    }

    /// The ladder is another one from now on: the step that is under way has the time this one
    /// gives it, and none if this one does not have it.
    pub(super) fn climb_anew(&mut self, id: NodeId, before: &Stop) {
        let Some(new) = self.stop_spec(id).filter(|new| **new != *before) else {
            return;
        };
        let Some(Life::Stopping(run, stopping)) = self.life(id) else {
            return;
        };
        if run.spawned != Spawned::Yes {
            return;
        }
        // A command and SIGKILL have their times already.
        if let Rung::Step(place) = stopping.rung {
            let left = new.steps.get(place).map(|_| self.grace(id, place));
            match left.unwrap_or(Some(Duration::ZERO)) {
                Some(grace) => self.timers.set(id, Purpose::Stop, self.now + grace),
                None => self.timers.clear(id, Purpose::Stop),
            }
        }
    }

    /// Sends the signal of a step, or SIGKILL after the last one.
    fn step(&mut self, id: NodeId, place: usize) {
        let Some(stop) = self.stop_spec(id) else {
            return;
        };
        let Some(StopStep { signal, .. }) = stop.steps.get(place).copied() else {
            return self.kill(id);
        };
        self.set_rung(id, Rung::Step(place));
        self.signal_run(id, signal);
        if signal != Signal::KILL && signal != Signal::CONT {
            self.signal_run(id, Signal::CONT);
        }
        match self.grace(id, place) {
            Some(grace) => self.timers.set(id, Purpose::Stop, self.now + grace),
            None => self.timers.clear(id, Purpose::Stop),
        }
    }

    /// SIGKILL. Nothing comes after it but the end, or the admission that there is none.
    pub(super) fn kill(&mut self, id: NodeId) {
        self.set_rung(id, Rung::Kill);
        self.signal_run(id, Signal::KILL);
        self.timers
            .set(id, Purpose::Stop, self.now + UNKILLABLE_AFTER);
    }

    pub(super) fn signal_run(&mut self, id: NodeId, signal: Signal) {
        let Some(Life::Stopping(run, _)) = self.life(id) else {
            return;
        };
        let run = RunId {
            node: id,
            life: run.life,
        };
        let Some(scope) = self.stop_spec(id).map(|stop| stop.scope) else {
            return;
        };
        if signal != Signal::CONT {
            self.record(id, What::Signalled { run, signal });
        }
        self.effects.push(Effect::Signal { run, signal, scope });
    }

    /// The stop command has ended, well or not: the signals follow.
    pub(super) fn stop_command_done(&mut self, id: NodeId, life: u64) {
        let Some(Life::Stopping(_, stopping)) = self.life(id) else {
            return;
        };
        if stopping.rung == Rung::Command(life) {
            self.step(id, 0);
        }
    }

    /// The service is gone, or the ladder has left the command behind: so is the command, or the
    /// hook that was to collect evidence.
    pub(super) fn drop_stop_command(&mut self, id: NodeId, rung: Rung) {
        if let Rung::Command(life) = rung {
            self.kill_helper(RunId { node: id, life });
        }
        if rung == Rung::Evidence {
            self.cancel_course(id);
        }
    }

    /// A rung has had its time.
    pub(super) fn on_stop_timer(&mut self, id: NodeId) {
        let Some(Life::Stopping(run, stopping)) = self.life(id) else {
            return;
        };
        let (run, stopping) = (run.clone(), stopping.clone());
        match stopping.rung {
            Rung::Command(_) => {
                self.drop_stop_command(id, stopping.rung);
                self.step(id, 0);
            }
            Rung::Evidence => self.evidence_is_late(id),
            Rung::Step(place) => self.step(id, place + 1),
            Rung::Condemned(place) => self.condemned_step(id, place + 1),
            Rung::Kill => {
                let run_id = RunId {
                    node: id,
                    life: run.life,
                };
                self.set_life(id, Life::Unkillable(run, stopping.why));
                self.record(id, What::Unkillable { run: run_id });
                match stopping.why {
                    StopWhy::StartTimeout => self.notify(id, Notice::StartFailed),
                    // Nobody waits for it; its end will be judged.
                    StopWhy::Unhealthy(_) => {}
                    StopWhy::Group(_)
                    | StopWhy::Supervisor
                    | StopWhy::Shutdown
                    | StopWhy::Command(_)
                    | StopWhy::Apply => self.notify(id, Notice::Stopped),
                }
            }
        }
    }

    /// A start has taken too long: it is killed and reaped before it counts as failed.
    pub(super) fn on_start_timer(&mut self, id: NodeId) {
        let Some(Life::Starting(run)) = self.life(id) else {
            return;
        };
        let run = run.clone();
        self.end_of_start(id, &run);
        self.begin_ladder(id, run, StopWhy::StartTimeout);
    }

    /// Stops a node of either kind; a `Stopped` notice follows.
    pub(super) fn stop(&mut self, id: NodeId, why: StopWhy) {
        self.nodes[id].again = None;
        if self.nodes[id].sup().is_none() {
            return self.stop_service(id, why);
        }
        let Some(sup) = self.nodes[id].sup() else {
            return;
        };
        match sup.reign.clone() {
            Reign::Rest(rest) => self.stop_at_rest(id, rest, why),
            Reign::Ended(ended) => {
                self.decided(id, ended.cause, Decision::Absorbed, None);
                let rest = self.rest_after(id, why);
                self.nodes[id].set_rest(rest);
                self.notify(id, Notice::Stopped);
            }
            Reign::Starting { .. } | Reign::Up => {
                self.limit_shutdown(id);
                self.terminate(id, Ending::Told(why));
            }
            Reign::Stopping(_) => {
                if let Some(sup) = self.nodes[id].sup_mut() {
                    sup.reign = Reign::Stopping(Ending::Told(why));
                }
            }
        }
    }

    fn limit_shutdown(&mut self, id: NodeId) {
        if let crate::spec::Node::Supervisor(spec) = &self.nodes[id].spec
            && let Shutdown::Within(limit) = spec.shutdown
        {
            self.timers.set(id, Purpose::Supervisor, self.now + limit);
        }
    }

    /// A supervisor's stop has taken too long: everything below it is killed. It still counts as
    /// down only when all below it are (invariant 7).
    pub(super) fn kill_below(&mut self, id: NodeId) {
        match &self.nodes[id].body {
            Body::Service(_) => self.kill_service(id),
            Body::Supervisor(sup) => {
                for child in sup.children.clone() {
                    self.kill_below(child);
                }
            }
        }
    }

    fn kill_service(&mut self, id: NodeId) {
        match self.life(id).cloned() {
            Some(Life::Stopping(_, stopping)) if stopping.rung == Rung::Kill => {}
            Some(Life::Stopping(run, stopping)) => {
                self.drop_stop_command(id, stopping.rung);
                if run.spawned.has_process() {
                    self.kill(id);
                } else {
                    self.set_rung(id, Rung::Kill);
                }
            }
            Some(Life::Starting(run)) => {
                self.end_of_start(id, &run);
                if run.spawned == Spawned::Queued {
                    return self.down(id, StopWhy::Supervisor);
                }
                self.begin_kill(id, run);
            }
            Some(Life::Up(run)) => self.begin_kill(id, run),
            Some(Life::Rest(_) | Life::Ended(_) | Life::Unkillable(..)) | None => {}
        }
    }

    fn begin_kill(&mut self, id: NodeId, run: Run) {
        let why = StopWhy::Supervisor;
        let spawned = run.spawned;
        self.enter_stop(id, run, why);
        if spawned.has_process() {
            self.kill(id);
        }
    }

    /// Stops the whole tree, or hastens that.
    pub(super) fn on_shutdown(&mut self, haste: Haste, by: Actor) {
        let first = self.haste.is_none();
        if self.haste.is_some_and(|current| current >= haste) {
            return;
        }
        self.haste = Some(haste);
        let root = self.root;
        let waiting_for = self.last_alive(root);
        self.cause = Some(self.record(root, What::ShuttingDown { by, waiting_for }));
        if first {
            self.cancel_courses();
            self.stopping_since = Some(self.now);
            let limit = self.spec.settings.shutdown_timeout;
            self.timers.set(root, Purpose::Shutdown, self.now + limit);
            self.stop(root, StopWhy::Shutdown);
        }
        match haste {
            Haste::Orderly => {}
            Haste::Short => self.shorten(root),
            Haste::Kill => self.kill_below(root),
        }
    }

    /// Every ladder below takes its next step within a second.
    fn shorten(&mut self, id: NodeId) {
        if let Body::Supervisor(sup) = &self.nodes[id].body {
            for child in sup.children.clone() {
                self.shorten(child);
            }
            return;
        }
        let Some(Life::Stopping(run, stopping)) = self.life(id) else {
            return;
        };
        if !run.spawned.has_process() || stopping.rung == Rung::Kill {
            return;
        }
        let soon = self.now + SHORT_GRACE;
        let due = self
            .timers
            .get(id, Purpose::Stop)
            .map_or(soon, |at| at.min(soon));
        self.timers.set(id, Purpose::Stop, due);
    }

    /// `shutdown_timeout` has passed.
    pub(super) fn on_shutdown_timer(&mut self) {
        if self.halting.is_some() {
            return self.halt_now();
        }
        self.haste = Some(Haste::Kill);
        self.kill_below(self.root);
    }
}
