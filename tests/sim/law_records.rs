// SPDX-License-Identifier: MIT OR Apache-2.0
//! Laws about what is written down and answered: classes and facts (11), documented edges each
//! recorded once (12), one answer per command and not before its effect (18), dense numbers (19),
//! who caused it (20).

use super::court::{Court, File, Given, Live};
use super::truth::Fact;
use std::collections::BTreeSet;
use std::sync::Arc;
use supd::spec::{ExitFacts, ExitStatus, Service, ServiceKind, Signal};
use supd::tree::{
    Actor, Class, Command, CommandId, Condemned, Exit, NodeId, Outcome, Phase, Record, RunId,
    StopWhy,
};

/// What a pool's new number of instances asks for.
#[derive(Debug, Default)]
pub(crate) struct Scale {
    to_come: BTreeSet<Fact>,
    to_go: BTreeSet<RunId>,
}

impl Court {
    pub(super) fn numbered(&mut self, record: &Record) {
        let expected = self.last_seq + 1;
        if record.seq.0 != expected {
            self.accuse(
                19,
                format!("record {} follows {}", record.seq.0, self.last_seq),
            );
        }
        self.last_seq = record.seq.0;
        if record.cause.is_some_and(|cause| cause >= record.seq) {
            self.accuse(
                19,
                format!("record {} has a cause that comes later", record.seq.0),
            );
        }
    }

    pub(super) fn ready(&mut self, fact: Fact, run: RunId) {
        let live = self.files[fact]
            .live
            .as_mut()
            .filter(|live| live.run == run);
        match live {
            Some(live) if live.spawned && live.serves != Some(true) && live.stopping.is_none() => {
                live.ready = true;
                live.serves = Some(true);
            }
            other => {
                let text = format!("{run} is recorded ready: {other:?}");
                self.accuse(12, text);
            }
        }
        self.has_come(fact);
    }

    pub(super) fn unready(&mut self, fact: Fact, run: RunId) {
        let live = self.files[fact]
            .live
            .as_mut()
            .filter(|live| live.run == run);
        match live {
            Some(live) if live.serves == Some(true) && live.stopping.is_none() => {
                live.serves = Some(false);
            }
            other => {
                let text = format!("{run} is recorded unready: {other:?}");
                self.accuse(12, text);
            }
        }
    }

    pub(super) fn exited(&mut self, fact: Fact, exit: &Exit) {
        let Some((live, facts)) = self.told.take() else {
            return self.accuse(12, format!("an end of {} that nobody told", exit.run));
        };
        let run = live.run;
        if run != exit.run {
            let text = format!("the end of {run} is recorded as that of {}", exit.run);
            self.accuse(12, text);
        }
        let phase = match live.stopping {
            // Somebody may stop by hand what is being killed for its late start.
            Some(StopWhy::StartTimeout) if exit.phase != Phase::Ready => exit.phase,
            Some(StopWhy::StartTimeout) => Phase::Starting,
            // The same for one that did not work.
            Some(StopWhy::Unhealthy(_)) if exit.phase != Phase::Starting => exit.phase,
            Some(StopWhy::Unhealthy(_)) => Phase::Ready,
            Some(_) => Phase::Stopping,
            None if self.files[fact].hold.trial => Phase::Trial,
            None if live.ready => Phase::Ready,
            None => Phase::Starting,
        };
        if phase != exit.phase {
            let text = format!("{run} ends while {:?}, it was {phase:?}", exit.phase);
            self.accuse(12, text);
        }
        if facts != exit.facts {
            self.accuse(11, format!("the facts of {run} were changed"));
        }
        let expected = match (exit.phase, exit.class.base) {
            (Phase::Stopping, Class::Requested | Class::StopTimeout)
            | (Phase::Starting | Phase::Trial, Class::StartTimeout) => exit.class.base,
            (Phase::Ready | Phase::Trial, Class::LivenessFailed)
                if live.stopping == Some(StopWhy::Unhealthy(Condemned::Liveness)) =>
            {
                exit.class.base
            }
            (Phase::Ready | Phase::Trial, Class::WatchdogTimeout)
                if live.stopping == Some(StopWhy::Unhealthy(Condemned::Watchdog)) =>
            {
                exit.class.base
            }
            _ => self.class_of(fact, facts, (exit, &live.sent)),
        };
        if expected != exit.class.base {
            self.accuse(
                11,
                format!("{facts:?} is {:?}, not {expected:?}", exit.class.base),
            );
        }
    }

    /// The table of SEMANTICS §5 for ends nobody had asked for, written a second time.
    fn class_of(
        &self,
        fact: Fact,
        facts: Option<ExitFacts>,
        (exit, sent): (&Exit, &[Signal]),
    ) -> Class {
        let Some(service) = self.truth.service(fact) else {
            return exit.class.base;
        };
        let Some(facts) = facts else {
            let starved = exit.failure.is_some_and(|failure| failure.errno == 11);
            return if starved {
                Class::SpawnFailed
            } else {
                Class::ExecFailed
            };
        };
        match facts.status {
            ExitStatus::Code(code) if code == 0 || service.success_codes.contains(&code) => {
                Class::Clean
            }
            ExitStatus::Code(68 | 69) => Class::Unavailable,
            ExitStatus::Code(75) => Class::Tempfail,
            ExitStatus::Code(64 | 78) => Class::Config,
            ExitStatus::Code(_) => Class::ExitCode,
            ExitStatus::Signal { signal, .. } => match signal.number() {
                9 => Class::Killed,
                1 | 2 | 13 | 15 if sent.contains(&signal) => Class::Signal,
                1 | 2 | 13 | 15 => Class::Terminated,
                3 | 4 | 5 | 6 | 7 | 8 | 11 => Class::Crash,
                24 | 25 => Class::Rlimit,
                31 => Class::Sandbox,
                _ => Class::Signal,
            },
        }
    }

    pub(super) fn stopping(&mut self, fact: Fact, run: RunId, why: StopWhy) {
        self.caused_by(&why);
        self.is_concerned(fact, why);
        self.trial_stopped(fact, why);
        self.in_stop_order(fact, run, why);
        let live = self.files[fact]
            .live
            .as_mut()
            .filter(|live| live.run == run);
        match live {
            // A stop by order takes over what began as the end of a start that took too long.
            Some(live) if live.stopping.is_none_or(|why| !why.is_asked_for()) => {
                live.stopping = Some(why);
            }
            other => {
                let text = format!("{run} is recorded stopping: {other:?}");
                self.accuse(12, text);
            }
        }
    }

    pub(super) fn stopped(&mut self, fact: Fact, why: StopWhy) {
        self.no_longer_put_off(fact);
        self.files[fact].owed = false;
        self.files[fact].announced = None;
        self.trial_stopped(fact, why);
        self.group_owes(fact, why);
        if self.truth.rules(fact).is_some() {
            self.reign_ends(fact);
        }
    }

    pub(super) fn unkillable(&mut self, fact: Fact) {
        if let Some(live) = &mut self.files[fact].live {
            live.unkillable = true;
        }
        for at in self.truth.lineage(fact).collect::<Vec<_>>() {
            self.files[at].reign.disturbed = true;
        }
    }

    pub(super) fn removed(&mut self, fact: Fact, id: NodeId) {
        let live = self.files[fact].live.take();
        // Another node of the same name may leave while this one still waits for it.
        let own = |live: &&Live| live.run.node == id && !live.unkillable;
        let others = |live: &Live| live.run.node != id;
        if live.as_ref().is_some_and(others) || self.files[fact].reign.begun {
            self.files[fact].live = live;
            return;
        }
        if let Some(live) = live.as_ref().filter(own) {
            let text = format!("{} is removed while {} lives", self.name(fact), live.run);
            self.accuse(12, text);
        }
        // The name stays taken while something nobody could kill still runs under it.
        self.files[fact] = File {
            live,
            ..File::default()
        };
    }

    /// A command on its way to the engine.
    pub(super) fn command(&mut self, id: CommandId, by: Actor, command: &Command) {
        let target = command.node().and_then(|node| self.ids.get(&node).copied());
        if let Actor::Client { pid, .. } = by {
            self.actors.insert(pid);
        }
        self.unanswered += 1;
        let given = Given {
            by,
            command: command.clone(),
            target,
            recorded: false,
            answered: false,
        };
        self.given.insert(id, given);
        if let Command::Add(_, node) = command
            && let Some(guest) = self.truth.find(node.name())
        {
            self.files[guest].guest = true;
        }
        self.forgotten_by(command, target);
        let Some(fact) = target else { return };
        if let Command::Scale(_, kept) = command {
            self.scaled(fact, kept);
            self.scale_begins(id, fact, kept);
        }
        self.wish(id, fact, command);
    }

    /// What the operator said last about a node.
    fn wish(&mut self, id: CommandId, fact: Fact, command: &Command) {
        match command {
            Command::Stop(_) => self.files[fact].wish = Some(id),
            Command::Start(_) | Command::Restart(_) | Command::RestartOnly(_) => {
                self.files[fact].wish = Some(id);
                self.files[fact].kept_down = false;
            }
            Command::Pin(_) => {
                for at in self.of_one_pin(fact) {
                    self.spared(at);
                    self.files[at].pinned = true;
                    self.files[at].owed = false;
                }
            }
            Command::Unpin(_) => {
                for at in self.of_one_pin(fact) {
                    self.files[at].pinned = false;
                }
            }
            _ => {}
        }
    }

    /// The pin of a pool is one of its instances.
    fn of_one_pin(&self, fact: Fact) -> Vec<Fact> {
        let pool = self.truth.rules(fact).filter(|rules| rules.pool);
        let instances = pool.map_or(&[][..], |rules| &rules.children);
        std::iter::once(fact)
            .chain(instances.iter().copied())
            .collect()
    }

    pub(super) fn command_recorded(&mut self, _fact: Fact, by: Actor) {
        match self.given.values_mut().rev().find(|given| given.by == by) {
            Some(given) => given.recorded = true,
            None => self.accuse(20, format!("a command by {by:?}, who gave none")),
        }
    }

    fn caused_by(&mut self, why: &StopWhy) {
        let StopWhy::Command(by) = why else { return };
        let known = matches!(by, Actor::Client { pid, .. } if self.actors.contains(pid));
        if !known {
            self.accuse(20, format!("a stop by {by:?}, who gave no command"));
        }
    }

    pub(super) fn reply(&mut self, id: CommandId, outcome: &Outcome) {
        let Some(given) = self.given.get_mut(&id).filter(|given| !given.answered) else {
            return self.accuse(18, format!("{id:?} is answered twice or was never given"));
        };
        given.answered = true;
        self.unanswered -= 1;
        if !Self::outcome_is_done(outcome) {
            return;
        }
        let changes = !matches!(given.command, Command::Count(_) | Command::Which(_));
        let (recorded, target) = (given.recorded, given.target);
        let (stop, start, scale, reset) = (
            matches!(given.command, Command::Stop(_)),
            matches!(given.command, Command::Start(_)),
            matches!(given.command, Command::Scale(..)),
            matches!(given.command, Command::Reset(_)),
        );
        if changes && !recorded {
            let text = format!("{:?} was done and nobody wrote down by whom", given.command);
            self.accuse(20, text);
        }
        if target.is_none() {
            self.reload_is_done(id);
        }
        let Some(fact) = target else { return };
        if stop {
            self.stop_is_done(id, fact);
        } else if start {
            self.start_is_done(fact);
        } else if scale {
            self.scale_is_done(id);
        } else if reset {
            let parent = self.truth.entry(fact).parent;
            for at in [Some(fact), parent].into_iter().flatten() {
                self.files[at].reign.window.clear();
            }
        }
    }

    fn stop_is_done(&mut self, id: CommandId, fact: Fact) {
        if let Some(run) = self.alive_below(fact) {
            let text = format!(
                "the stop of {} is acknowledged, {run} lives",
                self.name(fact)
            );
            self.accuse(18, text);
        }
        for at in self.below(fact) {
            self.stop_called_off(at);
        }
        let lasts = self.stop_lasts(fact);
        self.files[fact].owed = false;
        if !lasts {
            // In OTP a retry that is called off takes the rest of its group with it.
            if let Some(parent) = self.truth.entry(fact).parent {
                self.forgive_debts(parent);
            }
        }
        let file = &mut self.files[fact];
        if file.wish == Some(id) {
            file.wish = None;
            file.kept_down = lasts;
        }
    }

    /// A pool gets another number of instances: who has to come for that, and who to go?
    fn scale_begins(&mut self, id: CommandId, pool: Fact, wanted: &[Arc<Service>]) {
        let children = self.truth.rules(pool).map(|rules| rules.children.clone());
        let mut scale = Scale::default();
        for fact in children.unwrap_or_default() {
            let file = &self.files[fact];
            let is_wanted = |service: &Arc<Service>| *service.name == *self.name(fact);
            match (wanted.iter().any(is_wanted), file.known) {
                (true, false) => drop(scale.to_come.insert(fact)),
                (false, true) => {
                    let run = file.live.as_ref().filter(|live| !live.unkillable);
                    scale.to_go.extend(run.map(|live| live.run));
                }
                (true, true) | (false, false) => {}
            }
        }
        self.scales.insert(id, scale);
    }

    /// Who has been ready is there, as far as any scale is concerned.
    fn has_come(&mut self, fact: Fact) {
        for scale in self.scales.values_mut() {
            scale.to_come.remove(&fact);
        }
    }

    fn scale_is_done(&mut self, id: CommandId) {
        let Some(scale) = self.scales.remove(&id) else {
            return;
        };
        if let Some(fact) = scale.to_come.first() {
            let text = format!(
                "the scale is acknowledged, {} was never ready",
                self.name(*fact)
            );
            self.accuse(18, text);
        }
        let mut live = self.files.iter().filter_map(|file| file.live.as_ref());
        let left = live.find(|live| scale.to_go.contains(&live.run) && !live.unkillable);
        if let Some(run) = left.map(|live| live.run) {
            self.accuse(18, format!("the scale is acknowledged, {run} lives"));
        }
    }

    fn start_is_done(&mut self, fact: Fact) {
        let file = &self.files[fact];
        let up = match self.truth.service(fact) {
            Some(service) if service.kind == ServiceKind::Oneshot => {
                file.finished || file.live.is_some()
            }
            Some(_) => file.live.as_ref().is_some_and(|live| live.ready),
            None => file.reign.up,
        };
        if !up {
            let text = format!(
                "the start of {} is acknowledged, it is not up",
                self.name(fact)
            );
            self.accuse(18, text);
        }
    }
}
