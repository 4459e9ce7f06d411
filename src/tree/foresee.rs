// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a new specification would do, found out by doing it to a copy (SEMANTICS §12).
//!
//! There is no second logic that could disagree with the first: the copy gets the very command,
//! and its effects are answered by a world in which everything goes well at once: programs start,
//! are ready, and end when they are told to. Time passes from deadline to deadline, so that a plan
//! costs what the change costs. What has happened *because of* the command is read off the records,
//! along their causes. The tree itself is not touched.

use super::Tree;
use super::effect::Effect;
use super::event::{Actor, Applied, Command, CommandId, Event, NodeId, Outcome, RunId, Time};
use super::node::{Body, Life, Node, Run, Spawned};
use super::record::{Record, Seq, What};
use crate::spec::{self, ExitFacts, ExitStatus, Name, ServiceKind, Signal, Tree as Spec};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The number of the command in the copy; the desk counts from 1 and does not come here.
const ORDER: CommandId = CommandId(u64::MAX);
/// Events per node after which a change is called endless. Each node takes about six.
const EVENTS_PER_NODE: usize = 64;

/// What would follow from a new specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foresight {
    /// What is counted, as the answer to the command would have it; `None`: it would be refused.
    pub applied: Option<Applied>,
    /// Every node that it would touch, by name.
    pub fates: BTreeMap<Name, Fate>,
}

/// What would happen to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fate {
    /// It comes into the tree.
    pub added: bool,
    /// It leaves the tree.
    pub removed: bool,
    /// Its specification changes without a restart of its own.
    pub changed: bool,
    /// A process of it ends.
    pub stopped: bool,
    /// A process of it is started.
    pub started: bool,
}

/// A world without misfortune.
#[derive(Debug, Default)]
pub(super) struct Obedient {
    inbox: VecDeque<Event>,
    living: BTreeSet<RunId>,
}

impl Tree {
    /// What [`Command::Apply`] would do with this specification now.
    pub fn foresee(&self, spec: &Arc<Spec>) -> Foresight {
        let mut copy = self.clone();
        // Nobody falls ill: nobody is killed as long as everything has only just gone on.
        copy.resumed_at = Some(Time(u64::MAX));
        let mut world = Obedient::of(&copy);
        let mut watch = Watch::default();
        let order = Event::Command {
            id: ORDER,
            by: Actor::Supd,
            command: Command::Apply(Arc::clone(spec)),
        };
        let mut now = copy.now;
        let mut next = Some(order);
        let mut left = EVENTS_PER_NODE * (copy.nodes.iter().count() + count(spec) + 1);
        while let Some(event) = next.filter(|_| left > 0) {
            left -= 1;
            for effect in copy.handle(now, event) {
                watch.see(&effect);
                world.answer(effect);
            }
            next = world.inbox.pop_front();
            if next.is_none() && watch.outcome.is_none() {
                // Nothing happens by itself any more: time passes.
                next = copy.next_deadline().map(|due| {
                    now = now.max(due);
                    Event::Deadline
                });
            }
        }
        watch.compare(self, &copy);
        watch.foresight()
    }

    /// Every node that is here to stay.
    fn staying(&self) -> impl Iterator<Item = &Node> {
        let stays = |node: &&Node| self.leaver_above(node.id).is_none();
        self.nodes.iter().filter(stays)
    }
}

impl Obedient {
    /// Who lives in this tree now, and what is expected of those who are on their way.
    pub(super) fn of(tree: &Tree) -> Self {
        let mut world = Self::default();
        for node in tree.nodes.iter() {
            let (Body::Service(life), spec::Node::Service(service)) = (&node.body, &node.spec)
            else {
                continue;
            };
            match life {
                // Nothing to end, or nothing that could end it.
                Life::Rest(_) | Life::Ended(_) | Life::Unkillable(..) => {}
                Life::Starting(run) => world.starting(node.id, run, service.kind),
                Life::Up(run) => {
                    world.living.insert(id_of(node.id, run));
                }
                Life::Stopping(run, _) => match run.spawned {
                    Spawned::Queued => {}
                    Spawned::Asked => world.starting(node.id, run, service.kind),
                    Spawned::Forked | Spawned::Yes => {
                        world.living.insert(id_of(node.id, run));
                        world.end(id_of(node.id, run), ExitStatus::Code(0));
                    }
                },
            }
        }
        for (life, helper) in &tree.helpers {
            let run = RunId {
                node: helper.node,
                life: *life,
            };
            if !helper.spawned {
                world.inbox.push_back(Event::Spawned { run });
            }
            world.living.insert(run);
            world.end(run, ExitStatus::Code(0));
        }
        world
    }

    /// A start that is under way goes well.
    fn starting(&mut self, node: NodeId, run: &Run, kind: ServiceKind) {
        let id = id_of(node, run);
        match run.spawned {
            // The engine will ask for it.
            Spawned::Queued => {}
            Spawned::Asked | Spawned::Forked => self.spawned(id, kind),
            Spawned::Yes => {
                self.living.insert(id);
                self.ready(id, kind);
            }
        }
    }

    fn spawned(&mut self, run: RunId, kind: ServiceKind) {
        self.living.insert(run);
        self.inbox.push_back(Event::Spawned { run });
        self.ready(run, kind);
    }

    /// However a service says that it is ready, it does so at once.
    fn ready(&mut self, run: RunId, kind: ServiceKind) {
        match kind {
            ServiceKind::Daemon => self.inbox.push_back(Event::Ready { run }),
            ServiceKind::Oneshot => self.end(run, ExitStatus::Code(0)),
        }
    }

    fn end(&mut self, run: RunId, status: ExitStatus) {
        if self.living.remove(&run) {
            let facts = ExitFacts::bare(status);
            self.inbox.push_back(Event::Exited { run, facts });
        }
    }

    /// The next thing that happens.
    pub(super) fn next(&mut self) -> Option<Event> {
        self.inbox.pop_front()
    }

    /// This happens, too.
    pub(super) fn give(&mut self, event: Event) {
        self.inbox.push_back(event);
    }

    /// This process is gone already.
    pub(super) fn forget(&mut self, run: RunId) {
        self.living.remove(&run);
    }

    /// A command runs, and does not end by itself.
    pub(super) fn hang(&mut self, run: RunId) {
        self.living.insert(run);
        self.inbox.push_back(Event::Spawned { run });
    }

    pub(super) fn answer(&mut self, effect: Effect) {
        match effect {
            Effect::Spawn { run, service } => self.spawned(run, service.kind),
            Effect::SpawnHelper { run, .. } | Effect::RunHook { run, .. } => {
                self.living.insert(run);
                self.inbox.push_back(Event::Spawned { run });
                self.end(run, ExitStatus::Code(0));
            }
            Effect::Signal { run, signal, .. } if signal != Signal::CONT => {
                let core = false;
                self.end(run, ExitStatus::Signal { signal, core });
            }
            // Readiness came before the probe's answer; the rest asks for nothing.
            Effect::Signal { .. }
            | Effect::Probe { .. }
            | Effect::CancelProbe { .. }
            | Effect::Answered { .. }
            | Effect::Reply { .. }
            | Effect::Record(_)
            | Effect::Halt { .. } => {}
        }
    }
}

fn id_of(node: NodeId, run: &Run) -> RunId {
    RunId {
        node,
        life: run.life,
    }
}

/// Nodes of a specification.
fn count(spec: &Spec) -> usize {
    fn below(sup: &spec::Supervisor) -> usize {
        let nodes = sup.children.iter().map(|child| match child {
            spec::Node::Service(_) => 1,
            spec::Node::Supervisor(sup) => 1 + below(sup),
        });
        nodes.sum()
    }
    below(&spec.root)
}

/// Reads off the records what the command has caused.
#[derive(Debug, Default)]
struct Watch {
    outcome: Option<Outcome>,
    causes: BTreeSet<Seq>,
    fates: BTreeMap<Name, Fate>,
}

impl Watch {
    fn see(&mut self, effect: &Effect) {
        match effect {
            Effect::Record(record) => self.record(record),
            Effect::Reply { id: ORDER, outcome } => self.outcome = Some(outcome.clone()),
            Effect::Reply { .. }
            | Effect::Spawn { .. }
            | Effect::SpawnHelper { .. }
            | Effect::RunHook { .. }
            | Effect::Signal { .. }
            | Effect::Probe { .. }
            | Effect::CancelProbe { .. }
            | Effect::Answered { .. }
            | Effect::Halt { .. } => {}
        }
    }

    fn record(&mut self, record: &Record) {
        let first = self.causes.is_empty() && matches!(record.what, What::Command { .. });
        let caused = record.cause.is_some_and(|seq| self.causes.contains(&seq));
        if !first && !caused {
            return;
        }
        self.causes.insert(record.seq);
        let Some(name) = record.name.as_ref().filter(|_| !first) else {
            return;
        };
        match &record.what {
            What::Changed => self.fate(name).changed = true,
            What::Starting { .. } => self.fate(name).started = true,
            What::Exited(_) => self.fate(name).stopped = true,
            What::Added
            | What::Removed
            | What::Stopping { .. }
            | What::Signalled { .. }
            | What::Stopped { .. }
            | What::Ready { .. }
            | What::Unready { .. }
            | What::ProbeChanged { .. }
            | What::LivenessSuspended { .. }
            | What::Decided { .. }
            | What::Backoff { .. }
            | What::Parked { .. }
            | What::Held { .. }
            | What::Released
            | What::Breaker(_)
            | What::BreakerAlarm { .. }
            | What::RemedyStarted { .. }
            | What::RemedyStep { .. }
            | What::RemedyFinished { .. }
            | What::RemedySkipped { .. }
            | What::Unkillable { .. }
            | What::SupervisorStarting { .. }
            | What::SupervisorStopped { .. }
            | What::Strategy { .. }
            | What::Exhausted { .. }
            | What::Escalated { .. }
            | What::StartFailed { .. }
            | What::Command { .. }
            | What::ShuttingDown { .. }
            | What::Health { .. }
            | What::Daemon { .. } => {}
        }
    }

    /// Who has come and who has gone. Not everybody leaves a record of it: what OTP's `code_change`
    /// adds is not started.
    fn compare(&mut self, before: &Tree, after: &Tree) {
        for node in before.staying() {
            let left = |id| after.leaver_above(id).is_some();
            if after.nodes.get(node.id).is_none_or(|n| left(n.id)) {
                self.fate(node.name()).removed = true;
            }
        }
        for node in after.staying() {
            if before.nodes.get(node.id).is_none() {
                self.fate(node.name()).added = true;
            }
        }
    }

    fn fate(&mut self, name: &Name) -> &mut Fate {
        self.fates.entry(Arc::clone(name)).or_default()
    }

    fn foresight(self) -> Foresight {
        Foresight {
            applied: match self.outcome {
                Some(Outcome::Applied(done)) => Some(done),
                _other => None,
            },
            fates: self.fates,
        }
    }
}
