// SPDX-License-Identifier: MIT OR Apache-2.0
//! A world on paper that drives a tree through virtual time: the engine is the real one, processes
//! are entries in a table, and time passes from deadline to deadline.
//!
//! Its processes behave: they start, are ready after a while, answer probes, and end when they are
//! told to, unless an [`Act`] says otherwise. How long these things take is an assumption
//! ([`Pace`]) that whoever shows the result has to name. It never touches a process, a file, a
//! clock or a socket, and the same seed gives the same story.

use super::act::Act;
use super::fault;
use super::paper::{Habit, Helper, Pace, Process, is_settled};
use crate::spec::{ExitFacts, ExitStatus, Name, Tree as Spec};
use crate::tell::names::Names;
use crate::tree::{
    Actor, Command, CommandId, Effect, Event, Halt, Haste, NodeId, NodeView, Record, RunId, State,
    Time, Tree, What,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Events after which a story is called endless: a bound for who writes `every 1ms`.
const EVENTS_MAX: u64 = 1_000_000;

/// What this world does by itself, later.
#[derive(Debug, Clone)]
pub(super) enum Due {
    Give(Event),
    /// The process ends, if it still lives.
    End(RunId, ExitStatus),
    Ready(RunId),
    /// A watched process says that it works, if it does.
    Sign(RunId),
    Act(Act, String),
    /// What an act had brought about for a time is over.
    Over(String),
}

/// A line of the story.
#[derive(Debug, Clone)]
pub enum Told {
    /// Something was done to the tree, in the words of who wrote the script.
    Done(String),
    /// Something of the script waits for its occasion, or passes without one.
    Remark(String),
    /// The engine's own record.
    Record(Box<Record>),
}

/// How a run of the model ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nothing is under way any more.
    Quiet,
    /// The time was over first.
    TimeIsUp,
    /// The tree has halted.
    Halted,
    /// Too much happened: it has no end.
    Endless,
}

/// A tree and the world it believes in.
#[derive(Debug, Clone)]
pub struct Model {
    tree: Tree,
    pub(super) now: Time,
    pub(super) due: BTreeMap<(Time, u64), Due>,
    next: u64,
    given: u64,
    orders: u64,
    pub(super) processes: BTreeMap<RunId, Process>,
    pub(super) helpers: BTreeMap<RunId, Helper>,
    pub(super) habits: BTreeMap<String, Habit>,
    names: Names,
    story: Vec<(Time, Told)>,
    watched: BTreeSet<String>,
    states: Vec<(Time, String, State)>,
    halt: Option<Halt>,
    pub(super) pace: Pace,
}

impl Model {
    /// A tree at rest.
    pub fn new(spec: &Arc<Spec>, seed: u64) -> Self {
        let tree = Tree::new(spec, seed);
        let mut model = Self {
            tree,
            now: Time::default(),
            due: BTreeMap::new(),
            next: 0,
            given: 0,
            orders: 0,
            processes: BTreeMap::new(),
            helpers: BTreeMap::new(),
            habits: BTreeMap::new(),
            names: Names::default(),
            story: Vec::new(),
            watched: BTreeSet::new(),
            states: Vec::new(),
            halt: None,
            pace: Pace::default(),
        };
        model.learn_names();
        model
    }

    /// Keeps the states of these nodes from now on.
    pub fn watch(&mut self, names: impl IntoIterator<Item = String>) {
        self.watched.extend(names);
        self.look();
    }

    /// Boots the tree, and lets time pass until it is up.
    pub fn boot(&mut self, until: Time) -> Ended {
        self.give(Event::Boot);
        self.settle(until)
    }

    /// Does this at that time; `words` are what the story calls it, if it is to say so.
    pub fn at(&mut self, at: Time, act: Act, words: String) {
        self.later(at, Due::Act(act, words));
    }

    /// Lets time pass.
    pub fn run_until(&mut self, until: Time) -> Ended {
        while let Some(at) = self.next_at().filter(|at| *at <= until) {
            if self.halt.is_some() {
                return Ended::Halted;
            }
            if self.given > EVENTS_MAX {
                return Ended::Endless;
            }
            self.step(at);
        }
        self.now = self.now.max(until);
        Ended::TimeIsUp
    }

    /// Lets time pass until nothing is under way, at most until then.
    pub fn settle(&mut self, until: Time) -> Ended {
        loop {
            if self.halt.is_some() {
                return Ended::Halted;
            }
            if self.given > EVENTS_MAX {
                return Ended::Endless;
            }
            match self.next_at() {
                Some(at) if at <= self.now => self.step(at),
                _ if self.is_quiet() => return Ended::Quiet,
                Some(at) if at <= until => self.step(at),
                Some(_) | None => {
                    self.now = self.now.max(until);
                    return Ended::TimeIsUp;
                }
            }
        }
    }

    /// The time it is.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The tree as it is.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// How the daemon would have ended.
    pub fn halt(&self) -> Option<&Halt> {
        self.halt.as_ref()
    }

    /// What its nodes are called.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// What has happened so far.
    pub fn story(&self) -> &[(Time, Told)] {
        &self.story
    }

    /// Which states the nodes that are watched have come into.
    pub fn states(&self) -> &[(Time, String, State)] {
        &self.states
    }

    /// Ends that were to happen and wait for a process that is ready, by service.
    pub fn waiting(&self) -> impl Iterator<Item = (&str, usize)> {
        let waits = self.habits.iter().filter(|(_, h)| !h.ends.is_empty());
        waits.map(|(name, habit)| (name.as_str(), habit.ends.len()))
    }

    /// How long things are assumed to take.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    pub(super) fn later(&mut self, at: Time, due: Due) {
        self.next += 1;
        self.due.insert((at, self.next), due);
    }

    pub(super) fn soon(&mut self, event: Event) {
        self.later(self.now, Due::Give(event));
    }

    fn next_at(&self) -> Option<Time> {
        let own = self.due.keys().next().map(|(at, _)| *at);
        let own = own.into_iter();
        own.chain(self.tree.next_deadline()).min()
    }

    fn step(&mut self, at: Time) {
        self.now = self.now.max(at);
        let own = self.due.first_entry().filter(|e| e.key().0 <= at);
        let Some(own) = own else {
            return self.give(Event::Deadline);
        };
        match own.remove() {
            Due::Give(event) => self.give(event),
            Due::End(run, status) => self.end(run, status),
            Due::Ready(run) => {
                let speaks = |p: &Process| !p.mute && !p.frozen;
                if self.processes.get(&run).is_some_and(speaks) {
                    self.give(Event::Ready { run });
                }
            }
            Due::Sign(run) => self.sign(run),
            Due::Over(words) => self.tell(Told::Remark(words)),
            Due::Act(act, words) => {
                if !words.is_empty() {
                    self.tell(Told::Done(words));
                }
                self.act(act);
            }
        }
    }

    /// Whether nothing is under way: no act to come, nobody between two states, and nobody put
    /// aside for a time.
    fn is_quiet(&self) -> bool {
        let own = self.due.values();
        let busy = own.into_iter().any(|due| match due {
            Due::Act(..) | Due::End(..) | Due::Over(_) => true,
            Due::Give(event) => !matches!(event, Event::ProbeDone { .. } | Event::Exited { .. }),
            Due::Ready(_) | Due::Sign(_) => false,
        });
        let stays = |node: &NodeView| match node.state {
            // Somebody who can answer again is asked again.
            State::Unready => {
                let process = node.run.and_then(|run| self.processes.get(&run));
                process.is_none_or(|process| process.mute || process.frozen)
            }
            // One that hangs and is watched will be found.
            State::Ready if self.hangs_watched(node) => false,
            state => is_settled(state),
        };
        !busy && self.tree.snapshot().nodes.iter().all(stays)
    }

    fn hangs_watched(&self, node: &NodeView) -> bool {
        let process = node.run.and_then(|run| self.processes.get(&run));
        process.is_some_and(|p| p.frozen && p.service.health.is_watched() && !node.pinned)
    }

    pub(super) fn give(&mut self, event: Event) {
        self.given += 1;
        if let Event::Exited { run, .. } = &event {
            self.helpers.remove(run);
            self.processes.remove(run);
        }
        for effect in self.tree.handle(self.now, event) {
            self.perform(effect);
        }
        self.look();
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Spawn { run, service } => self.spawn(run, service),
            Effect::SpawnHelper {
                run,
                service,
                command,
                about,
            } => self.help(run, (&service, &command), about),
            Effect::RunHook { run, .. } => self.fix(run),
            Effect::Signal { run, signal, .. } => self.signal(run, signal),
            Effect::Probe {
                run, about, probe, ..
            } => {
                let (after, answer) = self.asked(about, &probe);
                self.later(
                    self.now + after,
                    Due::Give(Event::ProbeDone { run, answer }),
                );
            }
            Effect::CancelProbe { .. } | Effect::Answered { .. } | Effect::Reply { .. } => {}
            Effect::Record(record) => self.record(record),
            Effect::Halt { halt } => self.halt = Some(halt),
        }
    }

    /// A hook is taken to fix what it is for, at once.
    fn fix(&mut self, run: RunId) {
        let (status, after) = (ExitStatus::Code(0), None);
        self.later(self.now, Due::Give(Event::Spawned { run }));
        let done = Event::HookDone { run, status, after };
        self.later(self.now, Due::Give(done));
    }

    fn record(&mut self, record: Box<Record>) {
        let unknown = record.node.is_some_and(|id| !self.names.knows(id));
        if unknown || matches!(record.what, What::Added) {
            self.learn_names();
        }
        let ready = matches!(record.what, What::Ready { run: Some(_), .. });
        let name = record.name.clone().filter(|_| ready);
        self.tell(Told::Record(record));
        if let Some(name) = name {
            self.end_if_due(&name);
        }
    }

    /// Somebody who was to end when it is ready does so.
    fn end_if_due(&mut self, name: &str) {
        let Some(run) = self.run_of(name) else {
            return;
        };
        let next = self.habits.get_mut(name).and_then(|h| h.ends.pop_front());
        if let Some(status) = next {
            self.end_now(run, status);
        }
    }

    fn end(&mut self, run: RunId, status: ExitStatus) {
        if self.processes.remove(&run).is_some() {
            let facts = ExitFacts::bare(status);
            self.give(Event::Exited { run, facts });
        }
    }

    fn act(&mut self, act: Act) {
        if let Some(gone) = act.node().filter(|name| self.tree.node(name).is_none()) {
            let remark = format!("there is no `{gone}` any more");
            return self.tell(Told::Remark(remark));
        }
        let order = match act {
            Act::Shutdown => {
                let by = Actor::Supd;
                let haste = Haste::Orderly;
                return self.give(Event::Shutdown { haste, by });
            }
            Act::Apply(spec) => Command::Apply(spec),
            Act::Start(name) => Command::Start(self.id(&name)),
            Act::Stop(name) => Command::Stop(self.id(&name)),
            Act::Restart(name) => Command::Restart(self.id(&name)),
            Act::Reset(name) => Command::Reset(self.id(&name)),
            Act::Pin(name) => Command::Pin(self.id(&name)),
            Act::Unpin(name) => Command::Unpin(self.id(&name)),
            Act::Scale(name, instances) => Command::Scale(self.id(&name), instances),
            Act::Fault(name, fault) => return fault::befall(self, &name, fault),
        };
        self.orders += 1;
        let (id, by, command) = (CommandId(self.orders), Actor::Supd, order);
        self.give(Event::Command { id, by, command });
    }

    fn id(&self, name: &str) -> NodeId {
        self.tree.node(name).unwrap_or(NodeId(u32::MAX))
    }

    /// The process a service has now and will have in a moment.
    pub(super) fn run_of(&self, name: &str) -> Option<RunId> {
        let own = |(_, p): &(&RunId, &Process)| *p.service.name == *name && !p.dying;
        self.processes.iter().find(own).map(|(run, _)| *run)
    }

    /// Ends a process now.
    pub(super) fn end_now(&mut self, run: RunId, status: ExitStatus) {
        if let Some(process) = self.processes.get_mut(&run) {
            process.dying = true;
        }
        self.later(self.now, Due::End(run, status));
    }

    /// Says these words at that time, when something is over.
    pub(super) fn over_at(&mut self, at: Time, words: String) {
        self.later(at, Due::Over(words));
    }

    pub(super) fn tell(&mut self, told: Told) {
        self.story.push((self.now, told));
    }

    fn learn_names(&mut self) {
        for node in self.tree.snapshot().nodes {
            let name = Name::clone(node.spec.name());
            self.names.add(node.id, name, node.parent);
        }
    }

    /// Notes the states of those who are watched, when they have changed.
    fn look(&mut self) {
        for name in &self.watched {
            let view = self.tree.node(name).and_then(|id| self.tree.view(id));
            let Some(state) = view.map(|view| view.state) else {
                continue;
            };
            let last = self.states.iter().rev().find(|(_, n, _)| n == name);
            if last.is_none_or(|(_, _, before)| *before != state) {
                self.states.push((self.now, name.clone(), state));
            }
        }
    }
}
