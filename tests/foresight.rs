// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is foreseen of a change is what the change then does: for many trees and many changes the
//! foresight is compared with the processes that really lived before and after.

mod sim {
    #![allow(dead_code, reason = "the simulator uses all of it")]
    pub(crate) mod dice;
    pub(crate) mod forest;
}

use sim::dice::Dice;
use sim::forest::{Forester, process, variant};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use supd::spec::{
    ExitFacts, ExitStatus, Node, Policy, ProbeFault, ProbeTarget, Ready, ServiceKind, Signal,
    StartMode, Strategy, Supervisor, SupervisorKind, Tree as Spec,
};
use supd::tree::{
    Actor, Applied, Command, CommandId, Effect, Event, Fate, NodeId, Outcome, ProbeAnswer, RunId,
    State, Time, Tree,
};

const WORLDS: u64 = 3000;
/// The command whose answer is compared.
const CHANGE: CommandId = CommandId(77);

/// A world where every program obeys after a while, and some probes fail once.
struct World {
    tree: Tree,
    now: Time,
    inbox: VecDeque<Event>,
    living: BTreeMap<RunId, Arc<str>>,
    applied: Option<Applied>,
    answered: bool,
}

impl World {
    fn new(spec: &Arc<Spec>, seed: u64) -> Self {
        let mut world = Self {
            tree: Tree::new(spec, seed),
            now: Time::default() + Duration::from_secs(100),
            inbox: VecDeque::new(),
            living: BTreeMap::new(),
            applied: None,
            answered: false,
        };
        world.give(Event::Boot);
        world.quiet();
        world
    }

    fn give(&mut self, event: Event) {
        self.inbox.push_back(event);
        while let Some(event) = self.inbox.pop_front() {
            for effect in self.tree.handle(self.now, event) {
                self.perform(effect);
            }
        }
    }

    /// Lets time pass until nothing is due.
    fn quiet(&mut self) {
        for _ in 0..10_000 {
            let Some(due) = self.tree.next_deadline() else {
                return;
            };
            self.now = self.now.max(due);
            self.give(Event::Deadline);
        }
        panic!("no end of deadlines");
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Spawn { run, service } => {
                self.inbox.push_back(Event::Spawned { run });
                self.living.insert(run, Arc::clone(&service.name));
                match (service.kind, &service.ready) {
                    (ServiceKind::Oneshot, _) => self.end(run, ExitStatus::Code(0)),
                    (_, Ready::Notify | Ready::Fd(_)) => {
                        self.inbox.push_back(Event::Ready { run });
                    }
                    _ => {}
                }
            }
            Effect::SpawnHelper { run, command, .. } => {
                self.inbox.push_back(Event::Spawned { run });
                self.living
                    .insert(run, Arc::from(format!("helper {command:?}")));
                self.end(run, ExitStatus::Code(0));
            }
            Effect::Probe { run, probe, .. } => {
                assert!(!matches!(probe.target, ProbeTarget::Exec(_)), "a helper");
                let answer = if run.life % 3 == 0 {
                    ProbeAnswer::Failure(ProbeFault::TimedOut)
                } else {
                    ProbeAnswer::Success
                };
                self.inbox.push_back(Event::ProbeDone { run, answer });
            }
            Effect::Signal { run, signal, .. } if signal != Signal::CONT => {
                let core = false;
                self.end(run, ExitStatus::Signal { signal, core });
            }
            Effect::Reply {
                id: CHANGE,
                outcome,
            } => {
                self.answered = true;
                if let Outcome::Applied(done) = outcome {
                    self.applied = Some(done);
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, run: RunId, status: ExitStatus) {
        if self.living.remove(&run).is_some() {
            let facts = ExitFacts::bare(status);
            self.inbox.push_back(Event::Exited { run, facts });
        }
    }

    fn order(&mut self, id: CommandId, command: Command) {
        let by = Actor::Client { uid: 0, pid: 1 };
        self.give(Event::Command { id, by, command });
    }

    /// Every node by name: how often it was started, and the process it has.
    fn nodes(&self) -> BTreeMap<Arc<str>, (NodeId, u32, Option<RunId>)> {
        let nodes = self.tree.snapshot().nodes.into_iter();
        nodes
            .map(|n| {
                let service = matches!(n.spec, Node::Service(_));
                let starts = if service { n.starts } else { 0 };
                (Arc::clone(n.spec.name()), (n.id, starts, n.run))
            })
            .collect()
    }
}

/// A change as people make them: other programs, other limits, one more, one less, another
/// strategy, another size of a pool, another place.
fn changed(spec: &Spec, dice: &mut Dice) -> Spec {
    let mut new = variant(spec, dice);
    let mut root = (*new.root).clone();
    let mut moving = Vec::new();
    shape(&mut root, dice, &mut moving);
    root.children.extend(moving);
    new.root = Arc::new(root);
    new
}

fn shape(sup: &mut Supervisor, dice: &mut Dice, moving: &mut Vec<Node>) {
    for child in &mut sup.children {
        if let Node::Supervisor(inner) = child {
            let mut copy = (**inner).clone();
            shape(&mut copy, dice, moving);
            *inner = Arc::new(copy);
        }
    }
    let service = sup.children.iter().find_map(|child| match child {
        Node::Service(service) => Some(service),
        Node::Supervisor(_) => None,
    });
    if let (Some(service), true) = (service, dice.percent(20)) {
        let mut new = (**service).clone();
        new.name = match sup.kind {
            SupervisorKind::Pool => Arc::from(format!("{}.9", sup.name)),
            SupervisorKind::Tree => Arc::from(format!("new-{}", sup.name)),
        };
        new.significant = false;
        new.process = Arc::new(process("new"));
        sup.children.push(Node::Service(Arc::new(new)));
    }
    if sup.kind == SupervisorKind::Tree && dice.percent(15) {
        sup.strategy = *dice.pick(&[Strategy::OneForOne, Strategy::OneForAll]);
        sup.max_restarts += 1;
    }
    if sup.start == StartMode::Ordered && dice.percent(10) {
        sup.children.reverse();
    }
    // OTP's code_change keeps what is no longer named: it would stand in two places.
    let moves = sup.kind == SupervisorKind::Tree && sup.policy == Policy::Supd;
    if moves && sup.children.len() > 1 && dice.percent(10) {
        let movable = |n: &Node| matches!(n, Node::Service(_)) && !n.significant();
        if let Some(place) = sup.children.iter().position(movable) {
            moving.push(sup.children.remove(place));
        }
    }
}

/// The same tree without probes that go on: time has to come to a rest here.
fn at_rest(spec: Spec) -> Spec {
    let mut root = (*spec.root).clone();
    calm(&mut root);
    Spec {
        root: Arc::new(root),
        ..spec
    }
}

fn calm(sup: &mut Supervisor) {
    for child in &mut sup.children {
        match child {
            Node::Supervisor(inner) => {
                let mut copy = (**inner).clone();
                calm(&mut copy);
                *inner = Arc::new(copy);
            }
            Node::Service(service) => {
                let mut copy = (**service).clone();
                if let Ready::Probe(probe) = &copy.ready {
                    let mut probe = (**probe).clone();
                    probe.recheck = None;
                    copy.ready = Ready::Probe(Arc::new(probe));
                }
                *service = Arc::new(copy);
            }
        }
    }
}

#[test]
fn what_is_foreseen_is_what_then_happens() {
    let (mut touched, mut bystanders) = (0, 0);
    for seed in 0..WORLDS {
        let mut dice = Dice::about(seed, &[4711]);
        let spec = Arc::new(at_rest(Forester::new(&mut dice).tree()));
        let mut world = World::new(&spec, seed);
        if world.tree.is_halted() {
            continue;
        }
        // Some are down by order, some are nobody's business.
        for (n, (name, (id, ..))) in world.nodes().into_iter().enumerate() {
            let _ = name;
            let word = CommandId(n as u64 + 1000);
            match dice.below(12) {
                0 if id != world.tree.root() => world.order(word, Command::Stop(id)),
                1 => world.order(word, Command::Pin(id)),
                _ => {}
            }
            world.quiet();
        }
        let new = Arc::new(at_rest(changed(&spec, &mut dice)));
        let before = world.nodes();
        let snapshot = world.tree.snapshot();
        let foreseen = world.tree.foresee(&new);
        assert_eq!(
            snapshot,
            world.tree.snapshot(),
            "seed {seed}: it was touched"
        );
        world.order(CHANGE, Command::Apply(Arc::clone(&new)));
        world.quiet();
        assert!(world.answered, "seed {seed}: no answer");
        assert_eq!(foreseen.applied, world.applied, "seed {seed}");
        let after = world.nodes();
        let names = before.keys().chain(after.keys());
        for name in names {
            let (old, new) = (before.get(name), after.get(name));
            let is = foreseen.fates.get(name).copied().unwrap_or_default();
            let same_node = old.map(|o| o.0) == new.map(|n| n.0);
            let lost = old
                .and_then(|o| o.2)
                .filter(|run| new.and_then(|n| n.2) != Some(*run));
            let starts = |seen: Option<&(NodeId, u32, Option<RunId>)>| seen.map_or(0, |s| s.1);
            let begun = if same_node {
                starts(new) > starts(old)
            } else {
                starts(new) > 0
            };
            let fact = Fate {
                added: new.is_some() && !same_node,
                removed: old.is_some() && !same_node,
                changed: is.changed,
                stopped: is.stopped,
                started: begun,
            };
            assert_eq!(is, fact, "seed {seed}: {name}");
            assert!(
                is.stopped || lost.is_none(),
                "seed {seed}: {name} lost its process"
            );
            // What it started may have come to its end as well: a oneshot, a group that shut down.
            assert!(
                !is.stopped || lost.is_some() || begun,
                "seed {seed}: {name}"
            );
            touched += u32::from(is.started || is.stopped);
            bystanders += u32::from(is == Fate::default());
        }
    }
    assert!(
        touched > 2000 && bystanders > 2000,
        "{touched} {bystanders}: nothing was compared"
    );
}

#[test]
fn a_tree_that_goes_down_foresees_nothing() {
    let mut dice = Dice::about(3, &[1]);
    let spec = Arc::new(Forester::new(&mut dice).tree());
    let mut tree = Tree::new(&spec, 1);
    let boot = tree.handle(Time(1), Event::Boot);
    assert!(!boot.0.is_empty());
    let haste = supd::tree::Haste::Orderly;
    let by = Actor::Supd;
    let _stopping = tree.handle(Time(2), Event::Shutdown { haste, by });
    assert_ne!(tree.snapshot().nodes[0].state, State::Up);
    assert_eq!(tree.foresee(&spec).applied, None);
}
