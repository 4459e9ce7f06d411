// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the model's world answers effects: programs start, say that they are ready, are asked, are
//! sent signals.

use super::model::{Due, Model};
use super::paper::{Helper, Process, is_handled, probe_of};
use crate::spec::{
    Command as Line, ExitFacts, ExitStatus, Probe, ProbeFault, ProbeTarget, Ready, Service,
    ServiceKind, Signal, SpawnFailure, Stage,
};
use crate::tree::{Event, ProbeAnswer, RunId, Said};
use std::sync::Arc;
use std::time::Duration;

impl Model {
    pub(super) fn spawn(&mut self, run: RunId, service: Arc<Service>) {
        let habit = self.habits.entry(service.name.to_string()).or_default();
        let (left, errno) = habit.unstartable;
        if left > 0 {
            habit.unstartable.0 -= 1;
            let stage = Stage::Exec;
            let failure = SpawnFailure { stage, errno };
            return self.soon(Event::SpawnFailed { run, failure });
        }
        let mute = habit.mute > 0;
        habit.mute = habit.mute.saturating_sub(1);
        let (start, stillborn) = (habit.start, habit.stillborn.pop_front());
        let since = self.now;
        self.soon(Event::Spawned { run });
        let oneshot = service.kind == ServiceKind::Oneshot;
        if oneshot && !mute {
            let at = since + start.unwrap_or(self.pace.oneshot);
            self.later(at, Due::End(run, ExitStatus::Code(0)));
        } else if matches!(service.ready, Ready::Notify | Ready::Fd(_)) {
            let at = since + start.unwrap_or(self.pace.start);
            self.later(at, Due::Ready(run));
        }
        let process = Process {
            service,
            since,
            mute,
            frozen: false,
            dying: false,
            waiting: None,
        };
        self.processes.insert(run, process);
        self.sign_later(run);
        if let Some(status) = stillborn {
            self.end_now(run, status);
        }
    }

    /// The next sign of life of a process with a watchdog, twice in its time.
    fn sign_later(&mut self, run: RunId) {
        let service = self.processes.get(&run).map(|process| &process.service);
        if let Some(span) = service.and_then(|service| service.health.watchdog) {
            self.later(self.now + span / 2, Due::Sign(run));
        }
    }

    pub(super) fn sign(&mut self, run: RunId) {
        if self.processes.get(&run).is_some_and(|p| !p.frozen) {
            let said = Said::Alive;
            self.give(Event::Said { run, said });
        }
        self.sign_later(run);
    }

    pub(super) fn help(
        &mut self,
        run: RunId,
        (service, line): (&Service, &Line),
        about: Option<RunId>,
    ) {
        self.soon(Event::Spawned { run });
        let liveness = service.health.liveness.as_ref().map(|l| &l.probe);
        let is_it = |probe: &&Probe| matches!(&probe.target, ProbeTarget::Exec(own) if own == line);
        let probes = probe_of(service).into_iter().chain(liveness);
        let (after, code) = match probes.into_iter().find(is_it) {
            Some(probe) => {
                let about = about.unwrap_or(run);
                match self.asked(about, probe) {
                    (after, ProbeAnswer::Success) => (after, 0),
                    (after, ProbeAnswer::Failure(_) | ProbeAnswer::Unknown(_)) => (after, 1),
                }
            }
            None => (self.pace.command, 0),
        };
        let status = ExitStatus::Code(code);
        self.helpers.insert(run, Helper { status });
        let facts = ExitFacts::bare(status);
        self.later(self.now + after, Due::Give(Event::Exited { run, facts }));
    }

    /// How long a probe takes, and what it finds.
    pub(super) fn asked(&self, about: RunId, probe: &Probe) -> (Duration, ProbeAnswer) {
        let refused = (Duration::ZERO, ProbeAnswer::of(ProbeFault::REFUSED));
        let Some(process) = self.processes.get(&about) else {
            return refused;
        };
        let habit = self.habits.get(&*process.service.name);
        let start = habit.and_then(|h| h.start).unwrap_or(self.pace.start);
        let unwell = habit.is_some_and(|h| h.unwell_until > self.now);
        if process.frozen {
            return (probe.timeout, ProbeAnswer::of(ProbeFault::TimedOut));
        }
        if process.mute || unwell || self.now < process.since + start {
            return refused;
        }
        (Duration::ZERO, ProbeAnswer::Success)
    }

    pub(super) fn signal(&mut self, run: RunId, signal: Signal) {
        if self.helpers.contains_key(&run) {
            if signal == Signal::KILL {
                self.kill_helper(run);
            }
            return;
        }
        let Some(process) = self.processes.get_mut(&run) else {
            return;
        };
        let habit = self.habits.get(&*process.service.name);
        if signal == Signal::KILL {
            let core = false;
            return self.later(self.now, Due::End(run, ExitStatus::Signal { signal, core }));
        }
        if signal == Signal::CONT {
            process.frozen = false;
            if let Some(signal) = process.waiting.take() {
                self.signal(run, signal);
            }
            return;
        }
        if signal == Signal::STOP {
            process.frozen = true;
            return;
        }
        if process.frozen {
            process.waiting = Some(signal);
            return;
        }
        if habit.is_some_and(|h| h.deaf) || is_handled(&process.service, signal) {
            return;
        }
        let after = habit.and_then(|h| h.stop).unwrap_or(self.pace.stop);
        let core = false;
        let status = ExitStatus::Signal { signal, core };
        self.later(self.now + after, Due::End(run, status));
    }

    fn kill_helper(&mut self, run: RunId) {
        let own = |due: &Due| matches!(due, Due::Give(Event::Exited { run: r, .. }) if *r == run);
        self.due.retain(|_, due| !own(due));
        if let Some(helper) = self.helpers.get_mut(&run) {
            let (signal, core) = (Signal::KILL, false);
            helper.status = ExitStatus::Signal { signal, core };
            let facts = ExitFacts::bare(helper.status);
            self.soon(Event::Exited { run, facts });
        }
    }
}
