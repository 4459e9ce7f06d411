// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel of obedient test programs in virtual time: it performs the engine's effects and
//! delivers what comes of them, first come, first served. It decides nothing about supervision.

use super::case::{Happened, OnTerm, Reason, Seen};
use super::report::{Known, Reporter};
use super::specs;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use supd::spec::{ExitFacts, ExitStatus, Ready, Service, Signal, SpawnFailure, Stage};
use supd::tree::{CommandId, Effect, Effects, Event, NodeId, Outcome, RunId, Time, Tree};

/// Events after which a step is called endless. The longest recorded step has 124.
const EVENTS_MAX: usize = 100_000;

/// How programs start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Ready when executed; a failed start is a failed execution.
    AtOnce,
    /// They say when they are ready; a failed start is a failed execution or an early end.
    SaysSo,
}

impl Manner {
    pub(crate) fn ready(self) -> Ready {
        match self {
            Self::AtOnce => Ready::Exec,
            Self::SaysSo => Ready::Notify,
        }
    }
}

/// A process that lives.
#[derive(Debug)]
struct Process {
    path: String,
    on_term: OnTerm,
}

/// The kernel, the engine on it, and what was seen.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) tree: Tree,
    now: Time,
    manner: Manner,
    inbox: VecDeque<Event>,
    living: BTreeMap<RunId, Process>,
    /// Start attempts that will fail, by path.
    pub(crate) fail_next: BTreeMap<String, u32>,
    failed_starts: usize,
    errors: usize,
    pub(crate) seen: Vec<Seen>,
    pub(crate) reporter: Reporter,
    replies: BTreeMap<CommandId, Outcome>,
    pub(crate) halted: bool,
    /// What went on, for people.
    pub(crate) trace: Vec<String>,
}

impl Kernel {
    pub(crate) fn new(tree: Tree, manner: Manner) -> Self {
        Self {
            tree,
            now: Time(1_000_000_000),
            manner,
            inbox: VecDeque::new(),
            living: BTreeMap::new(),
            fail_next: BTreeMap::new(),
            failed_starts: 0,
            errors: 0,
            seen: Vec::new(),
            reporter: Reporter::default(),
            replies: BTreeMap::new(),
            halted: false,
            trace: Vec::new(),
        }
    }

    /// Gives the engine one event and performs what it wants.
    pub(crate) fn give(&mut self, event: Event) {
        self.trace
            .push(format!("{:>8} ms <- {event:?}", self.now.0 / 1_000_000));
        let effects = self.tree.handle(self.now, event);
        self.follow(effects);
    }

    /// From now on this supervisor only queues.
    pub(crate) fn hold(&mut self, sup: NodeId) {
        self.trace.push(format!("            hold {sup:?}"));
        self.tree.hold(sup);
    }

    /// It looks at what has come in.
    pub(crate) fn release(&mut self, sup: NodeId) {
        self.trace.push(format!("            release {sup:?}"));
        let effects = self.tree.release(self.now, sup);
        self.follow(effects);
    }

    fn follow(&mut self, effects: Effects) {
        self.reporter.learn(&self.tree.snapshot());
        for effect in effects {
            self.trace
                .push(format!("            -> {}", brief(&effect)));
            self.perform(effect);
        }
        if let Err(complaint) = self.tree.audit() {
            panic!("{complaint:?} after:\n{}", self.trace.join("\n"));
        }
    }

    /// Delivers events, and lets time pass while somebody is slow to stop, until nothing happens
    /// any more.
    pub(crate) fn settle(&mut self) {
        for _ in 0..EVENTS_MAX {
            if self.halted {
                return;
            }
            if let Some(event) = self.inbox.pop_front() {
                self.give(event);
                continue;
            }
            let Some(deadline) = self.tree.next_deadline() else {
                return;
            };
            self.now = self.now.max(deadline);
            self.give(Event::Deadline);
        }
        panic!("no end of events:\n{}", self.trace[..200].join("\n"));
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, span: Duration) {
        let until = self.now + span;
        self.settle();
        self.now = self.now.max(until);
    }

    /// Ends the process at this path.
    pub(crate) fn end(&mut self, path: &str, reason: Reason) -> bool {
        let found = self.living.iter().find(|(_, p)| p.path == path);
        let Some(run) = found.map(|(run, _)| *run) else {
            return false;
        };
        let facts = self.facts(reason);
        self.die(run, reason, facts);
        true
    }

    /// Hands over what has come in, without letting anything else pass.
    pub(crate) fn deliver(&mut self) {
        while let Some(event) = self.inbox.pop_front() {
            self.give(event);
        }
    }

    pub(crate) fn take_reply(&mut self, id: CommandId) -> Option<Outcome> {
        self.replies.remove(&id)
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Spawn { run, service } => self.spawn(run, &service),
            Effect::Signal { run, signal, .. } => self.signal(run, signal),
            Effect::Reply { id, outcome } => {
                let before = self.replies.insert(id, outcome);
                assert_eq!(before, None, "two answers to {id:?}");
            }
            Effect::Record(record) => {
                if let Some(seen) = self.reporter.note(&record) {
                    self.seen.push(seen);
                }
            }
            Effect::Halt { .. } => {
                assert!(self.living.is_empty(), "halted over {:?}", self.living);
                self.halted = true;
            }
            Effect::SpawnHelper { .. }
            | Effect::RunHook { .. }
            | Effect::Probe { .. }
            | Effect::CancelProbe { .. }
            | Effect::Answered { .. } => {
                panic!("no case asks for {effect:?}");
            }
        }
    }

    fn spawn(&mut self, run: RunId, service: &Arc<Service>) {
        let twin = self.living.keys().find(|r| r.node == run.node);
        assert_eq!(twin, None, "{run} is a second process of a service");
        let path = self.path(run.node);
        if self.fails(&path) {
            self.see(Happened::StartFailed, path, None);
            self.fail_start(run);
            return;
        }
        self.see(Happened::Start, path.clone(), None);
        let on_term = specs::on_term(service);
        self.living.insert(run, Process { path, on_term });
        self.inbox.push_back(Event::Spawned { run });
        if self.manner == Manner::SaysSo {
            self.inbox.push_back(Event::Ready { run });
        }
    }

    fn fails(&mut self, path: &str) -> bool {
        let Some(left) = self.fail_next.get_mut(path).filter(|left| **left > 0) else {
            return false;
        };
        *left -= 1;
        true
    }

    /// A start that fails: there never is a process, or it ends before it is ready.
    fn fail_start(&mut self, run: RunId) {
        self.failed_starts += 1;
        let early = [None, Some(1), None, Some(0)][self.failed_starts % 4];
        match early.filter(|_| self.manner == Manner::SaysSo) {
            None => {
                let failure = SpawnFailure {
                    stage: Stage::Exec,
                    errno: 2,
                };
                self.inbox.push_back(Event::SpawnFailed { run, failure });
            }
            Some(code) => {
                let facts = ExitFacts::bare(ExitStatus::Code(code));
                self.inbox.push_back(Event::Spawned { run });
                self.inbox.push_back(Event::Exited { run, facts });
            }
        }
    }

    fn signal(&mut self, run: RunId, signal: Signal) {
        let Some(process) = self.living.get(&run) else {
            return;
        };
        let by_signal = |signal| {
            ExitFacts::bare(ExitStatus::Signal {
                signal,
                core: false,
            })
        };
        match (signal, process.on_term) {
            (Signal::KILL, _) => self.die(run, Reason::Killed, by_signal(Signal::KILL)),
            (Signal::TERM, OnTerm::Exit) => {
                self.die(run, Reason::Shutdown, by_signal(Signal::TERM));
            }
            (Signal::TERM, OnTerm::Error) => {
                let facts = self.facts(Reason::Error);
                self.die(run, Reason::Error, facts);
            }
            _ => {}
        }
    }

    fn die(&mut self, run: RunId, reason: Reason, facts: ExitFacts) {
        let Some(process) = self.living.remove(&run) else {
            return;
        };
        self.see(Happened::Stop, process.path, Some(reason));
        self.reporter.died(run, reason);
        self.inbox.push_back(Event::Exited { run, facts });
    }

    /// Facts for a reason; there are many kinds of error, and they are taken in turn.
    fn facts(&mut self, reason: Reason) -> ExitFacts {
        let signal = |signal| ExitStatus::Signal {
            signal,
            core: false,
        };
        let errors = [
            ExitStatus::Code(1),
            ExitStatus::Code(78),
            signal(Signal::SEGV),
            signal(Signal::TERM),
            ExitStatus::Code(75),
        ];
        ExitFacts::bare(match reason {
            Reason::Normal | Reason::Shutdown | Reason::StartFailed => ExitStatus::Code(0),
            Reason::Killed => signal(Signal::KILL),
            Reason::Error => {
                self.errors += 1;
                errors[self.errors % errors.len()]
            }
        })
    }

    fn path(&self, node: NodeId) -> String {
        self.reporter.known(node).map_or_else(
            || format!("unknown node {}", node.0),
            |Known { path, .. }| path.clone(),
        )
    }

    fn see(&mut self, ev: Happened, id: String, reason: Option<Reason>) {
        self.seen.push(Seen { ev, id, reason });
    }
}

/// One effect on one line.
fn brief(effect: &Effect) -> String {
    match effect {
        Effect::Spawn { run, service } => format!("Spawn {run} {}", service.name),
        Effect::Record(record) => {
            let name = record.name.as_deref().unwrap_or("-");
            format!("#{} {name} {:?}", record.seq.0, record.what)
        }
        Effect::Signal { .. }
        | Effect::Reply { .. }
        | Effect::Halt { .. }
        | Effect::SpawnHelper { .. }
        | Effect::RunHook { .. }
        | Effect::Probe { .. }
        | Effect::CancelProbe { .. }
        | Effect::Answered { .. } => format!("{effect:?}"),
    }
}
