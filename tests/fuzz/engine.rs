// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes as events for the engine: any event in any state, about any run, in any order, at any
//! time. The engine neither panics nor breaks its own audit.

use super::dice::Dice;
use super::forest::{Forester, variant};
use super::ward::watched;
use std::sync::Arc;
use std::time::Duration;
use supd::spec::{
    AutoShutdown, ExitFacts, ExitStatus, Node, ProbeFault, Service, Signal, SpawnFailure, Stage,
    Tree as Spec,
};
use supd::tree::{
    Actor, Command, CommandId, Effect, Event, Haste, NodeId, ProbeAnswer, RunId, Said, Time, Tree,
};

/// Events of one input at most.
const EVENTS_MAX: usize = 400;

/// The bytes that are left.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let at = usize::from(self.next());
        from.get(at % from.len().max(1))
    }
}

/// A tree and what it has said so far.
struct Play {
    tree: Tree,
    spec: Arc<Spec>,
    now: Time,
    runs: Vec<RunId>,
    asked: Vec<RunId>,
    commands: u64,
}

/// Plays the events that these bytes are.
pub(crate) fn events(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let seed = u64::from(bytes.next());
    let spec = Forester::new(&mut Dice::about(seed, &[1])).tree();
    let spec = Arc::new(watched(&spec, seed));
    let mut play = Play {
        tree: Tree::new(&spec, seed),
        spec,
        now: Time(1_000_000_000),
        runs: Vec::new(),
        asked: Vec::new(),
        commands: 0,
    };
    play.give(Event::Boot);
    for _ in 0..EVENTS_MAX {
        if bytes.0.is_empty() {
            return;
        }
        let event = play.event(&mut bytes);
        play.give(event);
    }
}

impl Play {
    fn give(&mut self, event: Event) {
        let told = format!("{event:?}");
        for effect in self.tree.handle(self.now, event) {
            match effect {
                Effect::Spawn { run, .. }
                | Effect::SpawnHelper { run, .. }
                | Effect::RunHook { run, .. }
                | Effect::Probe { run, .. } => {
                    self.runs.push(run);
                    self.asked.push(run);
                }
                Effect::Signal { .. }
                | Effect::CancelProbe { .. }
                | Effect::Answered { .. }
                | Effect::Reply { .. }
                | Effect::Record(_)
                | Effect::Halt { .. } => {}
            }
        }
        assert_eq!(self.tree.audit(), Ok(()), "after {told}");
        assert!(
            self.tree.next_deadline().is_none_or(|due| due.0 > 0),
            "a deadline before all time"
        );
    }

    fn run(&mut self, bytes: &mut Bytes<'_>) -> RunId {
        let stranger = RunId {
            node: NodeId(u32::from(bytes.next()) << (bytes.next() % 17)),
            life: u64::from(bytes.next()),
        };
        bytes.pick(&self.runs).copied().unwrap_or(stranger)
    }

    fn event(&mut self, bytes: &mut Bytes<'_>) -> Event {
        match bytes.next() % 24 {
            // What the world owes for a start is likely.
            0..8 => match self.asked.pop() {
                Some(run) => Event::Spawned { run },
                None => self.deadline(),
            },
            8 | 9 => self.deadline(),
            10 => self.later(bytes),
            11 => Event::Spawned {
                run: self.run(bytes),
            },
            12 => Event::SpawnFailed {
                run: self.run(bytes),
                failure: failure(bytes),
            },
            13 => Event::Ready {
                run: self.run(bytes),
            },
            14..17 => Event::Exited {
                run: self.run(bytes),
                facts: ExitFacts::bare(status(bytes)),
            },
            17 => Event::ProbeDone {
                run: self.run(bytes),
                answer: *bytes.pick(&ANSWERS).unwrap_or(&ProbeAnswer::Success),
            },
            18 if bytes.next() < 8 => Event::Shutdown {
                haste: *bytes
                    .pick(&[Haste::Orderly, Haste::Short, Haste::Kill])
                    .unwrap_or(&Haste::Kill),
                by: Actor::Supd,
            },
            19 if bytes.next() < 8 => Event::Boot,
            20 if bytes.next() < 8 => Event::Resumed,
            20 => Event::Said {
                run: self.run(bytes),
                said: Self::says(bytes),
            },
            _ => self.command(bytes),
        }
    }

    fn deadline(&mut self) -> Event {
        if let Some(due) = self.tree.next_deadline() {
            self.now = self.now.max(due);
        }
        Event::Deadline
    }

    /// Time passes, or is said to have gone back.
    fn later(&mut self, bytes: &mut Bytes<'_>) -> Event {
        let span = Duration::from_millis(1 << (bytes.next() % 20));
        if bytes.next() < 16 {
            self.now = Time(self.now.0 / 2);
        } else {
            self.now = self.now + span;
        }
        Event::Deadline
    }

    /// A service says something about itself.
    fn says(bytes: &mut Bytes<'_>) -> Said {
        let span = Duration::from_millis(1 << (bytes.next() % 40));
        match bytes.next() % 5 {
            0 => Said::Stopping,
            1 => Said::Extend(span),
            2 => Said::Alive,
            3 => Said::Broken,
            _ => Said::Watchdog(span),
        }
    }

    fn command(&mut self, bytes: &mut Bytes<'_>) -> Event {
        self.commands += 1;
        let nodes = self.tree.snapshot().nodes;
        let view = bytes.pick(&nodes);
        let node = view.map_or(NodeId(9), |view| view.id);
        let version = u64::from(bytes.next() % 6);
        let mut dice = Dice::about(version, &[2]);
        let command = match bytes.next() % 18 {
            0 | 1 => Command::Start(node),
            2 | 3 => Command::Stop(node),
            4 => Command::Restart(node),
            5 => Command::RestartOnly(node),
            6 => Command::ReloadService(node),
            7 => Command::Signal(node, Signal::KILL),
            8 => Command::Reset(node),
            9 => Command::Pin(node),
            10 => Command::Unpin(node),
            11 => Command::Scale(node, instances(view.map(|view| &view.spec), version)),
            12 => {
                let mut service = Forester::new(&mut dice).service(AutoShutdown::Never);
                service.name = Arc::from(format!("x{version}"));
                Command::Add(node, Node::Service(Arc::new(service)))
            }
            13 => Command::Delete(node),
            14 => Command::Count(node),
            15 => Command::Which(node),
            _ => Command::Apply(Arc::new(variant(&self.spec, &mut dice))),
        };
        let id = CommandId(self.commands);
        let by = Actor::Client { uid: 0, pid: 1 };
        Event::Command { id, by, command }
    }
}

const ANSWERS: [ProbeAnswer; 3] = [
    ProbeAnswer::Success,
    ProbeAnswer::Failure(ProbeFault::REFUSED),
    ProbeAnswer::Unknown(ProbeFault::Impossible),
];

fn status(bytes: &mut Bytes<'_>) -> ExitStatus {
    match bytes.next() {
        n @ 0..128 => ExitStatus::Code(n % 80),
        n => {
            let signal = Signal::from_number(i32::from(n % 64)).unwrap_or(Signal::KILL);
            let core = n % 2 == 0;
            ExitStatus::Signal { signal, core }
        }
    }
}

fn failure(bytes: &mut Bytes<'_>) -> SpawnFailure {
    SpawnFailure {
        stage: *bytes
            .pick(&[Stage::Fork, Stage::Exec, Stage::Pipe])
            .unwrap_or(&Stage::Exec),
        errno: i32::from(bytes.next() % 40),
    }
}

/// Instances of a pool, if it is one.
fn instances(spec: Option<&Node>, count: u64) -> Vec<Arc<Service>> {
    let Some(Node::Supervisor(sup)) = spec else {
        return Vec::new();
    };
    let Some(Node::Service(first)) = sup.children.first() else {
        return Vec::new();
    };
    let named = |number| Service {
        name: Arc::from(format!("{}.{number}", sup.name)),
        ..(**first).clone()
    };
    (1..=count).map(|number| Arc::new(named(number))).collect()
}
