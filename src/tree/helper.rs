// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs that work for a service: exec probes, stop commands, reload commands, programs of remedies.
//!
//! A helper is a run like any other: spawned by an effect, reaped by the same path, bounded in
//! time. Its end is matched by its own life, so that a late one changes nothing.

use super::Tree;
use super::breaker::BreakerId;
use super::effect::Effect;
use super::event::{CommandId, NodeId, Outcome, ProbeAnswer, RunId};
use super::liveness::Question;
use super::node::Life;
use super::timers::Purpose;
use crate::spec::{Command, ExitStatus, ProbeFault, Reload, Scope, Signal, SpawnFailure};
use std::sync::Arc;
use std::time::Duration;

/// A reload command that takes longer is killed and has failed.
const RELOAD_LIMIT: Duration = Duration::from_secs(30);

/// A helper that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Helper {
    /// The service it works for.
    pub(super) node: NodeId,
    pub(super) job: Job,
    /// Whether there is a process that could be signalled.
    pub(super) spawned: bool,
    /// While it was at work everything stood still: what it finds says nothing.
    pub(super) stood_still: bool,
}

/// What a helper does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    /// An exec probe.
    ExecProbe(Question),
    /// A probe of the daemon's own.
    OwnProbe(Question),
    /// The stop command.
    Stop,
    /// The reload command, for this client.
    Reload(CommandId),
    /// A step of a remedy.
    Hook,
    /// A breaker's probe by command.
    BreakerExec(BreakerId),
    /// A breaker's probe of the daemon's own.
    BreakerOwn(BreakerId),
    /// It was killed; only its end is awaited.
    Abandoned,
}

impl Tree {
    /// Kills a helper; its end will be reaped and means nothing.
    pub(super) fn kill_helper(&mut self, run: RunId) {
        let Some(helper) = self.helpers.get_mut(&run.life) else {
            return;
        };
        let job = std::mem::replace(&mut helper.job, Job::Abandoned);
        let spawned = helper.spawned;
        if let Job::Reload(id) = job {
            self.reply(id, Outcome::StartFailed);
        }
        if spawned {
            self.effects.push(Effect::Signal {
                run,
                signal: Signal::KILL,
                scope: Scope::Group,
            });
        }
    }

    /// A helper has a process now; perhaps nobody wants it any more.
    pub(super) fn helper_spawned(&mut self, run: RunId) {
        let Some(helper) = self.helpers.get_mut(&run.life) else {
            return;
        };
        helper.spawned = true;
        let job = helper.job;
        if job == Job::Abandoned {
            self.kill_helper(run);
        } else if job == Job::Hook && self.is_overdue(run) {
            self.kill_hook(run);
        }
    }

    /// The tree is down: so is whoever still works for it. False: some have yet to end.
    pub(super) fn helpers_are_gone(&mut self) -> bool {
        self.helpers
            .retain(|_, helper| !matches!(helper.job, Job::OwnProbe(_) | Job::BreakerOwn(_)));
        let left: Vec<RunId> = self
            .helpers
            .iter()
            .filter(|(_, helper)| helper.job != Job::Abandoned)
            .map(|(life, helper)| RunId {
                node: helper.node,
                life: *life,
            })
            .collect();
        for run in left {
            self.kill_helper(run);
        }
        self.helpers.is_empty()
    }

    /// The program of a remedy has ended; its last line may have asked for a wait.
    pub(super) fn on_hook_done(&mut self, run: RunId, status: ExitStatus, after: Option<Duration>) {
        let Some(helper) = self.helpers.remove(&run.life) else {
            return self.too_late();
        };
        self.halt_if_due();
        self.hook_is_gone(run.life);
        if helper.job == Job::Hook && self.nodes.get(run.node).is_some() {
            self.hook_ended(run, Ok(status), after);
        }
    }

    /// A helper has ended, or could not be executed.
    pub(super) fn helper_ended(&mut self, run: RunId, status: Result<ExitStatus, SpawnFailure>) {
        let Some(helper) = self.helpers.get(&run.life).copied() else {
            return;
        };
        let found = self.found(run, status);
        self.helpers.remove(&run.life);
        self.halt_if_due();
        self.hook_is_gone(run.life);
        let well = status == Ok(ExitStatus::Code(0));
        if let Job::Reload(id) = helper.job {
            self.timers.clear(run.node, Purpose::Reload);
            return self.reply(
                id,
                if well {
                    Outcome::Done
                } else {
                    Outcome::StartFailed
                },
            );
        }
        if self.nodes.get(run.node).is_none() {
            return;
        }
        match helper.job {
            Job::ExecProbe(Question::Readiness) => self.probe_answered(run, found),
            Job::ExecProbe(Question::Liveness) => self.check_answered(run, found),
            Job::BreakerExec(id) => self.breaker_answered(id, run.life, found),
            Job::Stop => self.stop_command_done(run.node, run.life),
            Job::Hook => self.hook_ended(run, status, None),
            Job::Reload(_) | Job::OwnProbe(_) | Job::BreakerOwn(_) | Job::Abandoned => {}
        }
    }

    /// What the end of an exec probe says.
    fn found(&self, run: RunId, status: Result<ExitStatus, SpawnFailure>) -> ProbeAnswer {
        let answer = match status {
            Ok(ExitStatus::Code(0)) => ProbeAnswer::Success,
            Ok(status) => ProbeAnswer::of(ProbeFault::Exit(status)),
            Err(failure) => ProbeAnswer::of(ProbeFault::NotStarted(failure)),
        };
        self.doubted(run, answer)
    }

    /// Tells a service to read its own configuration again.
    pub(super) fn reload_service(&mut self, id: CommandId, node: NodeId) {
        let Some(service) = self.service(node).map(Arc::clone) else {
            return self.reply(id, Outcome::Unsupported);
        };
        let Some(Life::Up(run)) = self.life(node) else {
            return self.reply(id, Outcome::NotRunning);
        };
        let about = RunId {
            node,
            life: run.life,
        };
        match &service.reload {
            None => self.reply(id, Outcome::Unsupported),
            Some(Reload::Signal(signal)) => {
                let (signal, scope) = (*signal, Scope::Leader);
                self.note_sent(about, signal);
                self.effects.push(Effect::Signal {
                    run: about,
                    signal,
                    scope,
                });
                self.reply(id, Outcome::Done);
            }
            Some(Reload::Command(command)) => {
                self.spawn_reload(id, about, command.clone());
            }
        }
    }

    fn spawn_reload(&mut self, id: CommandId, about: RunId, command: Command) {
        if self.timers.get(about.node, Purpose::Reload).is_some() {
            return self.reply(id, Outcome::Busy);
        }
        let Some(service) = self.service(about.node).map(Arc::clone) else {
            return;
        };
        let life = self.take_life();
        let run = RunId {
            node: about.node,
            life,
        };
        self.helpers.insert(
            life,
            Helper {
                node: about.node,
                job: Job::Reload(id),
                spawned: false,
                stood_still: false,
            },
        );
        self.timers
            .set(about.node, Purpose::Reload, self.now + RELOAD_LIMIT);
        self.effects.push(Effect::SpawnHelper {
            run,
            service,
            command,
            about: Some(about),
        });
    }

    /// The service whose reload command may be under way leaves: nobody watches its time any more.
    pub(super) fn end_reload(&mut self, node: NodeId) {
        if self.timers.get(node, Purpose::Reload).is_some() {
            self.on_reload_limit(node);
        }
    }

    /// The reload command has taken too long.
    pub(super) fn on_reload_limit(&mut self, node: NodeId) {
        let found = self
            .helpers
            .iter()
            .find_map(|(life, helper)| match helper.job {
                Job::Reload(_) if helper.node == node => Some(*life),
                Job::Reload(_)
                | Job::ExecProbe(_)
                | Job::OwnProbe(_)
                | Job::Stop
                | Job::Hook
                | Job::BreakerExec(_)
                | Job::BreakerOwn(_)
                | Job::Abandoned => None,
            });
        if let Some(life) = found {
            self.kill_helper(RunId { node, life });
        }
    }
}
