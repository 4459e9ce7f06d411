// SPDX-License-Identifier: MIT OR Apache-2.0
//! The court: what is known from the stream of events, effects and records alone, and the laws
//! that are read against it. The numbers of the laws are the invariants' numbers.
//!
//! It never asks the engine what it thinks (but for the status people see, law 23), so that a
//! mistake of the engine cannot be shared by its judges.

use super::law_bounds::Helper;
use super::law_cure::Cures;
use super::law_health::Wards;
use super::law_hold::{Holding, Watched};
use super::law_records::Scale;
use super::law_reload::Reload;
use super::law_scope::Group;
use super::truth::{Fact, Truth};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use supd::spec::{ExitFacts, Name, Signal};
use supd::tree::{
    Actor, Command, CommandId, Effect, Event, Exit, Haste, HookEnd, NodeId, Outcome, Phase, Record,
    RunId, StartWhy, StopWhy, Time, What,
};

/// A law was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The invariant's number.
    pub(crate) law: u8,
    pub(crate) text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invariant {}: {}", self.law, self.text)
    }
}

/// One process of a service, as the stream shows it.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) run: RunId,
    pub(crate) spawned: bool,
    pub(crate) ready: bool,
    /// What was recorded last about its serving, once it was ready.
    pub(crate) serves: Option<bool>,
    pub(crate) stopping: Option<StopWhy>,
    pub(crate) unkillable: bool,
    /// It was the first start in this incarnation of its supervisor.
    pub(crate) first: bool,
    /// Signals it was sent while nobody stopped it.
    pub(crate) sent: Vec<Signal>,
}

/// What the stream says about one service or supervisor.
#[derive(Debug, Default)]
pub(crate) struct File {
    pub(crate) live: Option<Live>,
    /// Recorded as starting, not executed yet.
    pub(crate) announced: Option<(RunId, StartWhy)>,
    /// A restart was decided and has not begun.
    pub(crate) owed: bool,
    /// It was stopped for its group and has not been started with it.
    pub(crate) grouped: bool,
    /// An operator's stop was acknowledged.
    pub(crate) kept_down: bool,
    /// The operator's last word about it.
    pub(crate) wish: Option<CommandId>,
    pub(crate) pinned: bool,
    /// It was started or added and has not been removed since.
    pub(crate) known: bool,
    /// It is parked or held.
    pub(crate) aside: bool,
    /// That is because of a budget.
    pub(crate) spent: bool,
    pub(crate) hold: Holding,
    pub(crate) finished: bool,
    /// Its last end came before it was ready.
    pub(crate) failed_start: bool,
    /// A command has added it, and a failed start discards it.
    pub(crate) guest: bool,
    /// Another node of this name, which waits for the one that leaves.
    pub(crate) successor: Option<NodeId>,
    pub(crate) reign: Reign,
}

/// What the stream says about a supervisor.
#[derive(Debug, Default)]
pub(crate) struct Reign {
    pub(crate) begun: bool,
    /// Incarnations so far.
    pub(crate) number: u32,
    /// Whom the restart of a child concerns.
    pub(crate) group: Option<Group>,
    pub(crate) up: bool,
    pub(crate) ending: bool,
    pub(crate) window: Vec<Time>,
    pub(crate) exhausted: bool,
    pub(crate) to_exhaust: bool,
    /// A process below could not be killed: order is no longer what it was.
    pub(crate) disturbed: bool,
}

/// A command that was given.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) by: Actor,
    pub(crate) command: Command,
    pub(crate) target: Option<Fact>,
    pub(crate) recorded: bool,
    pub(crate) answered: bool,
}

/// The court.
#[derive(Debug)]
pub(crate) struct Court {
    pub(crate) truth: Truth,
    pub(crate) files: Vec<File>,
    pub(crate) ids: BTreeMap<NodeId, Fact>,
    /// Runs that work for a service.
    pub(crate) helpers: BTreeMap<RunId, Helper>,
    pub(crate) given: BTreeMap<CommandId, Given>,
    pub(crate) actors: BTreeSet<i32>,
    pub(crate) unanswered: usize,
    pub(crate) now: Time,
    pub(crate) last_seq: u64,
    pub(crate) haste: Option<Haste>,
    pub(crate) shutdown_at: Option<Time>,
    pub(crate) halted: bool,
    /// The end that was just told to the engine: exactly one record must follow.
    pub(crate) told: Option<(Live, Option<ExitFacts>)>,
    /// Records of signals whose effects have not been seen, and the other way round.
    pub(crate) signals: Vec<RunId>,
    /// Restarts decided because of the event at hand, and which of its window each was.
    pub(crate) tokens: Vec<(u32, Fact)>,
    pub(crate) reload: Reload,
    pub(crate) wards: Wards,
    /// The states of breakers, once they were recorded.
    pub(crate) breakers: BTreeMap<Name, Watched>,
    pub(crate) scales: BTreeMap<CommandId, Scale>,
    pub(crate) cures: Cures,
    pub(crate) violations: Vec<Violation>,
}

impl Court {
    pub(crate) fn new(truth: Truth) -> Self {
        let files = (0..truth.len()).map(|_| File::default()).collect();
        Self {
            truth,
            files,
            ids: BTreeMap::new(),
            helpers: BTreeMap::new(),
            given: BTreeMap::new(),
            actors: BTreeSet::new(),
            unanswered: 0,
            now: Time(0),
            last_seq: 0,
            haste: None,
            shutdown_at: None,
            halted: false,
            told: None,
            signals: Vec::new(),
            tokens: Vec::new(),
            reload: Reload::default(),
            wards: Wards::default(),
            breakers: BTreeMap::new(),
            scales: BTreeMap::new(),
            cures: Cures::default(),
            violations: Vec::new(),
        }
    }

    pub(crate) fn accuse(&mut self, law: u8, text: impl Into<String>) {
        let text = text.into();
        self.violations.push(Violation { law, text });
    }

    pub(crate) fn name(&self, fact: Fact) -> &str {
        &self.truth.entry(fact).name
    }

    /// The files follow the facts.
    pub(crate) fn open_files(&mut self) {
        while self.files.len() < self.truth.len() {
            self.files.push(File::default());
        }
    }

    /// An event on its way to the engine.
    pub(crate) fn event(&mut self, now: Time, event: &Event) {
        if now < self.now {
            self.accuse(13, "time went back");
        }
        self.now = now;
        self.told = None;
        self.ward_event(event);
        match event {
            Event::Spawned { run } => self.spawned(*run),
            Event::SpawnFailed { run, failure } => self.never_was(*run, *failure),
            Event::HookDone { run, status, .. } => {
                self.hook_ends(*run, HookEnd::Status(*status));
            }
            Event::Exited { run, facts } => self.gone(*run, Some(*facts)),
            Event::Command { id, by, command } => self.command(*id, *by, command),
            Event::Shutdown { haste, by } => {
                self.haste = self.haste.max(Some(*haste));
                self.shutdown_at.get_or_insert(now);
                if let Actor::Client { pid, .. } = by {
                    self.actors.insert(*pid);
                }
            }
            _ => {}
        }
    }

    /// An effect on its way to the world.
    pub(crate) fn effect(&mut self, effect: &Effect) {
        if self.halted {
            self.accuse(24, format!("{effect:?} after the end"));
        }
        self.ward_effect(effect);
        match effect {
            Effect::Spawn { run, .. } => self.spawn(*run),
            Effect::SpawnHelper { run, .. } => self.helper_begins(*run),
            Effect::RunHook {
                run,
                remedy,
                step,
                case,
                ..
            } => self.hook_begins(*run, remedy, (*step, case)),
            Effect::Signal { run, signal, .. } => self.signal(*run, *signal),
            Effect::Reply { id, outcome } => self.reply(*id, outcome),
            Effect::Record(record) => self.record(record),
            Effect::Halt { halt } => self.halt(halt),
            Effect::Probe { .. } | Effect::CancelProbe { .. } | Effect::Answered { .. } => {}
        }
    }

    /// Everything that follows from one event has been performed.
    pub(crate) fn adjourn(&mut self) {
        self.count_tokens();
        self.helpers_in_time();
        self.ward_adjourn();
        self.hooks_in_time();
        self.forced_in_time();
        if let Some((live, _)) = self.told.take() {
            self.accuse(12, format!("the end of {} left no record", live.run));
        }
        if let Some(run) = self.signals.pop() {
            self.accuse(12, format!("a recorded signal to {run} was not sent"));
            self.signals.clear();
        }
    }

    fn record(&mut self, record: &Record) {
        self.numbered(record);
        self.breaker_recorded(&record.what);
        let Some(id) = record.node else { return };
        let name = record.name.as_deref();
        let Some(fact) = name.and_then(|name| self.truth.find(name)) else {
            return self.accuse(12, format!("a record of an unknown node: {record:?}"));
        };
        self.ids.insert(id, fact);
        self.ward_record((fact, id), &record.what);
        self.files[fact].known = true;
        match &record.what {
            What::Starting { run, number, why } => {
                if let Some(successor) = &mut self.files[fact].successor {
                    *successor = id;
                }
                self.group_starts(fact, *why);
                self.starting(fact, *run, (*number, *why));
            }
            What::Ready { run: Some(run), .. } => self.ready(fact, *run),
            What::Unready { run, .. } => self.unready(fact, *run),
            What::Ready { run: None, .. } => self.files[fact].reign.up = true,
            What::Exited(exit) => self.exit_recorded(fact, exit),
            What::Decided {
                class,
                decision,
                budget,
                ..
            } => {
                self.decided(fact, class.base, (*decision, *budget));
            }
            What::Stopping {
                run: Some(run),
                why,
            } => self.stopping(fact, *run, *why),
            What::Stopping { run: None, why } => self.ending(fact, *why),
            What::Signalled { run, .. } => self.signals.push(*run),
            What::Stopped { why } | What::SupervisorStopped { why, .. } => {
                self.stopped(fact, *why);
            }
            What::Unkillable { .. } => self.unkillable(fact),
            What::SupervisorStarting { why, .. } => {
                self.group_starts(fact, *why);
                self.reign_begins(fact);
            }
            What::Exhausted { .. } => self.exhausted(fact),
            What::Escalated { class, .. } => self.escalated(fact, class.base),
            What::StartFailed { .. } => self.start_failed(fact),
            What::Parked { budget } => self.parked(fact, *budget),
            What::Held { by, .. } => self.held(fact, by),
            What::Released => self.released(fact),
            What::Added => self.succeeded(fact, id),
            What::Removed => self.removed(fact, id),
            What::Command { by, .. } => self.command_recorded(fact, *by),
            What::RemedyStarted { .. }
            | What::RemedyStep { .. }
            | What::RemedyFinished { .. }
            | What::RemedySkipped { .. } => self.remedy_recorded(fact, &record.what),
            What::Strategy { child, scope, .. } => self.scope_recorded(*child, scope),
            What::Backoff { .. }
            | What::ProbeChanged { .. }
            | What::LivenessSuspended { .. }
            | What::Changed
            | What::Breaker(_)
            | What::BreakerAlarm { .. }
            | What::ShuttingDown { .. }
            | What::Health { .. }
            | What::Daemon { .. } => {}
        }
    }

    fn exit_recorded(&mut self, fact: Fact, exit: &Exit) {
        self.exited(fact, exit);
        self.count_in_row(fact, exit);
        self.files[fact].failed_start = exit.phase == Phase::Starting;
        self.decided(fact, exit.class.base, (exit.decision, exit.budget));
    }

    fn start_failed(&mut self, sup: Fact) {
        self.files[sup].failed_start = true;
        self.reign_ends(sup);
    }

    /// A node is new, and so is everything below it: a run of one of these names is that of one
    /// that leaves.
    fn succeeded(&mut self, fact: Fact, id: NodeId) {
        for at in self.below(fact) {
            if at == fact || self.files[at].live.is_some() {
                self.files[at].successor = Some(id);
            }
        }
    }

    /// Every fact at or below this one.
    pub(crate) fn below(&self, fact: Fact) -> Vec<Fact> {
        let mut all = vec![fact];
        let mut at = 0;
        while at < all.len() {
            if let Some(rules) = self.truth.rules(all[at]) {
                all.extend(&rules.children);
            }
            at += 1;
        }
        all
    }

    /// A process at or below this node that has not ended and could be ended.
    pub(crate) fn alive_below(&self, fact: Fact) -> Option<RunId> {
        match self.truth.rules(fact) {
            None => {
                let file = &self.files[fact];
                let live = file.live.as_ref()?;
                // One that leaves belongs to where it was, not to where its heir is.
                let heir = file.successor.is_some_and(|node| node != live.run.node);
                (!live.unkillable && !heir).then_some(live.run)
            }
            Some(rules) => rules
                .children
                .iter()
                .find_map(|child| self.alive_below(*child)),
        }
    }

    /// Whether the engine has nothing under way that the world would have to answer.
    pub(crate) fn is_quiet(&self) -> bool {
        self.helpers.is_empty()
            && self.hooks() == 0
            && self.files.iter().all(|file| {
                let busy = |live: &Live| !live.ready || live.stopping.is_some();
                !file.live.as_ref().is_some_and(busy)
            })
    }

    /// Nothing will happen by itself any more: is anything forgotten (law 9)?
    pub(crate) fn rest(&mut self) {
        if self.halted || !self.is_quiet() {
            return;
        }
        for fact in 0..self.files.len() {
            let reachable = self
                .truth
                .lineage(fact)
                .skip(1)
                .all(|at| self.files[at].reign.begun);
            let file = &self.files[fact];
            if file.owed && reachable && !file.pinned && !self.waits_for_aside(fact) {
                let law = if file.grouped { 5 } else { 9 };
                let text = format!("{} was to be restarted and is forgotten", self.name(fact));
                self.accuse(law, text);
                return;
            }
        }
        if self.unanswered > 0 {
            let text = format!("never answered: {}", self.open_command());
            self.accuse(18, text);
        }
    }

    /// The first command that has no answer.
    pub(crate) fn open_command(&self) -> String {
        let open = self.given.iter().find(|(_, given)| !given.answered);
        open.map_or_else(String::new, |(id, given)| {
            let verb = given.command.verb().unwrap_or("a question");
            format!("{id:?}, {verb} of {:?}", given.target)
        })
    }

    pub(crate) fn outcome_is_done(outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Done | Outcome::Applied(_))
    }
}
