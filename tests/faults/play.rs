// SPDX-License-Identifier: MIT OR Apache-2.0
//! An engine with programs that obey at once, whose events are delivered one by one: a test decides
//! what comes in between. It asserts what must hold always: `audit()`, never two live runs of one
//! service, one answer per command. It decides nothing about what is right beyond that.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use supd::config::{self, Options, Source};
use supd::spec::{ExitFacts, ExitStatus, Signal};
use supd::tree::{
    Actor, Command, CommandId, Effect, Event, Halt, NodeId, NodeView, Outcome, Record, RunId, Time,
    Tree, What,
};

struct Text<'a>(&'a str);

impl Source for Text<'_> {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.as_bytes().to_vec())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

/// What the engine did, in order.
#[derive(Debug)]
pub(crate) enum Told {
    /// It wrote this down.
    Record(Record),
    /// It answered.
    Reply(CommandId, Outcome),
}

pub(crate) struct Play {
    pub(crate) tree: Tree,
    pub(crate) now: Time,
    pub(crate) inbox: VecDeque<Event>,
    /// Runs with a process, and whether it has been told to end.
    pub(crate) living: BTreeMap<RunId, bool>,
    pub(crate) told: Vec<Told>,
    pub(crate) halt: Option<Halt>,
    asked: u64,
}

impl Play {
    /// A tree that has not booted.
    pub(crate) fn new(toml: &str, seed: u64) -> Self {
        let none = |_: &str| None;
        let read = config::load(Path::new("t.toml"), &Text(toml), &Options::new(&none));
        let loaded = read
            .tree
            .unwrap_or_else(|| panic!("{:?}", read.diagnostics));
        Self {
            tree: Tree::new(&Arc::new(loaded.tree), seed),
            now: Time(1_000_000_000),
            inbox: VecDeque::from([Event::Boot]),
            living: BTreeMap::new(),
            told: Vec::new(),
            halt: None,
            asked: 0,
        }
    }

    /// A tree that is up, as far as it comes without time passing.
    pub(crate) fn up(toml: &str, seed: u64) -> Self {
        let mut play = Self::new(toml, seed);
        play.deliver();
        play.told.clear();
        play
    }

    /// Delivers the next event; `false`: there is none.
    pub(crate) fn step(&mut self) -> bool {
        let Some(event) = self.inbox.pop_front() else {
            return false;
        };
        self.give(event);
        true
    }

    pub(crate) fn deliver(&mut self) {
        for _ in 0..1_000_000 {
            if !self.step() {
                return;
            }
        }
        panic!("no end of events");
    }

    /// Lets time pass up to the next deadline, if there is one within the hour.
    pub(crate) fn tick(&mut self) -> bool {
        let within = self.now + Duration::from_secs(3600);
        let Some(due) = self.tree.next_deadline().filter(|due| *due <= within) else {
            return false;
        };
        self.now = self.now.max(due);
        self.give(Event::Deadline);
        true
    }

    /// Until nothing more happens.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            self.deliver();
            if !self.tick() {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    pub(crate) fn give(&mut self, event: Event) {
        if let Event::Exited { run, .. } = event {
            self.living.remove(&run);
        }
        if self.halt.is_some() {
            return;
        }
        for effect in self.tree.handle(self.now, event) {
            self.perform(effect);
        }
        assert_eq!(self.tree.audit(), Ok(()), "{}", self.story());
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Spawn { run, .. } => {
                let two = self.living.keys().any(|other| other.node == run.node);
                assert!(!two, "two of one service: {}", self.story());
                self.living.insert(run, false);
                self.inbox.push_back(Event::Spawned { run });
            }
            Effect::Signal { run, signal, .. } => {
                let deadly = matches!(signal, Signal::TERM | Signal::KILL);
                if let Some(told @ false) = self.living.get_mut(&run).filter(|_| deadly) {
                    *told = true;
                    let core = false;
                    self.end(run, ExitStatus::Signal { signal, core });
                }
            }
            Effect::Record(record) => self.told.push(Told::Record(*record)),
            Effect::Reply { id, outcome } => {
                let before = |t: &Told| matches!(t, Told::Reply(other, _) if *other == id);
                assert!(
                    !self.told.iter().any(before),
                    "two answers: {}",
                    self.story()
                );
                self.told.push(Told::Reply(id, outcome));
            }
            Effect::Halt { halt } => {
                assert_eq!(self.halt, None, "it halts once");
                self.halt = Some(halt);
            }
            Effect::SpawnHelper { .. }
            | Effect::RunHook { .. }
            | Effect::Probe { .. }
            | Effect::CancelProbe { .. }
            | Effect::Answered { .. } => {
                panic!("these trees have no probes: {effect:?}")
            }
        }
    }

    /// What was told, a line each, for a failed test.
    pub(crate) fn story(&self) -> String {
        let line = |told: &Told| match told {
            Told::Record(r) => format!("{} {:?} {:?}", r.at.0, r.name, r.what),
            Told::Reply(id, outcome) => format!("{id:?} is answered: {outcome:?}"),
        };
        let lines: Vec<String> = self.told.iter().map(line).collect();
        format!("what happened:\n{}", lines.join("\n"))
    }

    /// A process ends; the engine hears of it later.
    pub(crate) fn end(&mut self, run: RunId, status: ExitStatus) {
        let facts = ExitFacts::bare(status);
        self.inbox.push_back(Event::Exited { run, facts });
    }

    /// The process of this service ends with a code, if it has one that was not told to end.
    pub(crate) fn exit(&mut self, name: &str, code: u8) {
        let node = self.id(name);
        let run = self
            .living
            .iter_mut()
            .find(|(run, told)| run.node == node && !**told);
        if let Some((run, told)) = run {
            let run = *run;
            *told = true;
            self.end(run, ExitStatus::Code(code));
        }
    }

    pub(crate) fn ask(&mut self, command: Command) -> CommandId {
        self.asked += 1;
        let id = CommandId(self.asked);
        let by = Actor::Client { uid: 0, pid: 9 };
        self.give(Event::Command { id, by, command });
        id
    }

    pub(crate) fn id(&self, name: &str) -> NodeId {
        self.tree.node(name).expect("a node of the tree")
    }

    pub(crate) fn view(&self, name: &str) -> NodeView {
        self.tree.view(self.id(name)).expect("a node of the tree")
    }

    pub(crate) fn answer(&self, id: CommandId) -> Option<&Outcome> {
        self.told.iter().find_map(|told| match told {
            Told::Reply(other, outcome) if *other == id => Some(outcome),
            Told::Reply(..) | Told::Record(_) => None,
        })
    }

    /// Names of what was started after this answer.
    pub(crate) fn started_after(&self, id: CommandId) -> Vec<String> {
        let here = |told: &Told| matches!(told, Told::Reply(other, _) if *other == id);
        let at = self.told.iter().position(here).expect("an answer");
        Self::names(&self.told[at..], |what| {
            matches!(what, What::Starting { .. })
        })
    }

    /// Names of the nodes of all records of a kind.
    pub(crate) fn of(&self, wanted: impl Fn(&What) -> bool) -> Vec<String> {
        Self::names(&self.told, wanted)
    }

    fn names(told: &[Told], wanted: impl Fn(&What) -> bool) -> Vec<String> {
        let named = told.iter().filter_map(|told| match told {
            Told::Record(record) if wanted(&record.what) => record.name.as_deref(),
            Told::Record(_) | Told::Reply(..) => None,
        });
        named.map(str::to_owned).collect()
    }
}
