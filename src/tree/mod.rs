// SPDX-License-Identifier: MIT OR Apache-2.0
//! The engine: one deterministic state machine that holds all policy.
//!
//! Events go in, effects come out, time is an argument. The engine does no I/O and cannot fail;
//! the same seed and the same events give the same effects. It never sees a pid, a clock or a
//! file. Strategies, intensity, escalation, the operator's commands and the stop ladders are
//! decided here and nowhere else.
//!
//! How it works inside: a node changes its own state and posts a *notice* to its supervisor
//! (started, start failed, stopped, ended). A supervisor that is in the middle of something (a
//! *task*: stop these in reverse, wait, start those in order) goes on with it; one that is not
//! looks into its *inbox*, one message at a time, as an OTP supervisor reads its mailbox.
//! Under `one_for_one` and the default policy no child waits for another, so there is no task
//! and no inbox: each child goes its own way.
//!
//! `handle` runs until nothing more follows from the event. Its cost is what the event changes.

mod aftermath;
mod answer;
mod applying;
mod arena;
mod aside;
mod audit;
mod backoff;
mod boot;
mod breaker;
mod breaker_ask;
mod breaker_force;
mod breaker_view;
mod breaking;
mod children;
mod circuit;
mod classify;
mod code_change;
mod command;
mod condemn;
mod death;
mod effect;
mod event;
mod foresee;
mod forked;
mod group;
mod halt;
mod helper;
mod hold;
mod intensity;
mod leaving;
mod liveness;
mod node;
mod pin;
mod probe;
mod qualifier;
mod reconfigure;
mod record;
mod recover;
mod refine;
mod remedy;
mod remedy_evidence;
mod remedy_find;
mod remedy_off;
mod remedy_refund;
mod remedy_step;
mod remedy_view;
mod said;
mod service;
mod snapshot;
mod start;
mod stop;
mod supervisor;
mod task;
mod task_end;
mod timers;
mod transition;
#[cfg(any(test, feature = "test-hooks"))]
mod under_test;

pub use aftermath::{Aftermath, Misfortune};
pub use breaker::{BreakerState, BreakerView};
pub use classify::{Classification, Grounds};
pub use condemn::{Condemned, Suspension};
pub use effect::{Case, Defeat, Effect, Effects, Halt, Rehearsal};
pub use event::{
    Actor, Applied, ChildStatus, Command, CommandId, Counts, Event, Force, Haste, NodeId, Outcome,
    ProbeAnswer, RunId, Said, Time,
};
pub use foresee::{Fate, Foresight};
pub use liveness::Question;
pub use node::LastExit;
pub use qualifier::Qualifiers;
pub use record::{
    Argument, Budget, Culprit, Decision, Exit, HookEnd, How, Record, Seq, Skip, StartWhy, StopWhy,
    Unready, What,
};
pub use refine::{End, Miss, Tried, classify, imagine, named, tried};
pub use remedy_view::RemedyView;
pub use snapshot::{HeldBy, NodeView, Snapshot, State};
pub use transition::{Holder, Transition, TransitionWhy};
#[cfg(any(test, feature = "test-hooks"))]
pub use under_test::Burden;

pub use crate::spec::{Class, Name, Phase, Tree as Spec};
use answer::{Gathering, Waiter};
use arena::Arena;
use backoff::Chance;
use helper::Helper;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use supervisor::Notice;
use timers::{Purpose, Timers};

/// A supervision tree and everything it remembers.
#[derive(Debug, Clone)]
pub struct Tree {
    spec: Arc<Spec>,
    nodes: Arena,
    root: NodeId,
    now: Time,
    effects: Vec<Effect>,
    notices: VecDeque<(NodeId, Notice)>,
    runnable: VecDeque<NodeId>,
    timers: Timers,
    chance: Chance,
    next_life: u64,
    next_seq: u64,
    cause: Option<Seq>,
    incident: Option<Seq>,
    helpers: BTreeMap<u64, Helper>,
    /// Runs whose probe is due and waits for its turn.
    probing: VecDeque<RunId>,
    /// Services whose trial is due and has to wait.
    trials: BTreeSet<NodeId>,
    /// The same for questions about life.
    checking: VecDeque<RunId>,
    /// How late the last deadline was noticed.
    lag: Duration,
    /// When everything went on after it had stood still.
    resumed_at: Option<Time>,
    breakers: breaker::Breakers,
    waiters: BTreeMap<NodeId, Vec<Waiter>>,
    /// Commands among them that wait for several nodes.
    gatherings: BTreeMap<CommandId, Gathering>,
    starts: Starts,
    /// Services that SIGKILL has not ended: a group start looks for them only if there are any.
    unkillable: usize,
    haste: Option<Haste>,
    /// When the stop of the whole tree began.
    stopping_since: Option<Time>,
    applying: Option<applying::Applying>,
    leavers: leaving::Leavers,
    clinic: remedy::Clinic,
    /// The last effect, which waits for helpers to end.
    halting: Option<Halt>,
    halted: bool,
    stale: u64,
}

/// The starts that are under way in the whole tree.
#[derive(Debug, Clone, Default)]
struct Starts {
    in_flight: u32,
    queue: VecDeque<RunId>,
}

impl Tree {
    /// A tree at rest. `seed` decides the jitter of back-offs and nothing else.
    pub fn new(spec: &Arc<Spec>, seed: u64) -> Self {
        let mut tree = Self {
            nodes: Arena::default(),
            root: NodeId(0),
            now: Time::default(),
            effects: Vec::new(),
            notices: VecDeque::new(),
            runnable: VecDeque::new(),
            timers: Timers::default(),
            chance: Chance::new(seed),
            next_life: 1,
            next_seq: 1,
            cause: None,
            incident: None,
            helpers: BTreeMap::new(),
            probing: VecDeque::new(),
            trials: BTreeSet::new(),
            checking: VecDeque::new(),
            lag: Duration::ZERO,
            resumed_at: None,
            breakers: breaker::Breakers::default(),
            waiters: BTreeMap::new(),
            gatherings: BTreeMap::new(),
            starts: Starts::default(),
            unkillable: 0,
            haste: None,
            stopping_since: None,
            applying: None,
            leavers: leaving::Leavers::default(),
            clinic: remedy::Clinic::default(),
            halting: None,
            halted: false,
            stale: 0,
            spec: Arc::clone(spec),
        };
        for new in spec.breakers.iter() {
            tree.breakers.enter(new, Time::default());
        }
        tree.root = tree.plant(None, crate::spec::Node::Supervisor(Arc::clone(&spec.root)));
        tree
    }

    /// Takes an event and returns what it asks for, in order. Time never goes back: an earlier
    /// `now` counts as the latest one seen.
    pub fn handle(&mut self, now: Time, event: Event) -> Effects {
        self.now = self.now.max(now);
        self.cause = None;
        self.incident = None;
        if !self.halted {
            self.dispatch(event);
            self.settle();
        }
        Effects(std::mem::take(&mut self.effects))
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Boot => self.boot(),
            Event::Forked { run } => self.on_forked(run),
            Event::Spawned { run } => self.on_spawned(run),
            Event::SpawnFailed { run, failure } => self.on_spawn_failed(run, failure),
            Event::Ready { run } => self.on_ready(run),
            Event::Said { run, said } => self.on_said(run, said),
            Event::Matched { run, found } => self.on_matched(run, found),
            Event::Exited { run, facts } => self.on_exited(run, facts),
            Event::ProbeDone { run, answer } => self.on_probe_done(run, answer),
            Event::HookDone { run, status, after } => self.on_hook_done(run, status, after),
            Event::Deadline => self.on_deadline(),
            Event::Resumed => self.on_resumed(),
            Event::Command { id, by, command } => self.on_command(id, by, command),
            Event::Shutdown { haste, by } => self.on_shutdown(haste, by),
        }
    }

    /// Follows every consequence until nothing more happens by itself.
    fn settle(&mut self) {
        loop {
            if let Some((node, notice)) = self.notices.pop_front() {
                // What follows for its neighbours follows from what happened to this node.
                let last = self.nodes.get(node).and_then(|node| node.seq);
                self.cause = self.cause.or(last);
                self.on_notice(node, notice);
            } else if let Some(sup) = self.runnable.pop_front() {
                self.turn(sup);
            } else if !self.next_probe() && !self.next_check() && !self.next_trial() {
                return self.look_at_apply();
            }
        }
    }

    /// Every deadline that has passed, the earliest first.
    fn on_deadline(&mut self) {
        while let Some((node, purpose, due)) = self.timers.pop(self.now) {
            self.lag = self.now.since(due);
            self.cause = None;
            self.incident = None;
            self.on_timer(node, purpose);
            self.settle();
        }
    }

    /// A deadline of a node has passed.
    fn on_timer(&mut self, node: NodeId, purpose: Purpose) {
        match purpose {
            Purpose::Backoff => self.on_backoff_timer(node),
            Purpose::Hold => self.on_hold_timer(node),
            Purpose::Trial => self.on_trial_timer(node),
            Purpose::Breaker(id, due) => self.on_breaker_timer(id, due),
            Purpose::Steady => self.on_steady_timer(node),
            Purpose::Group => self.on_group_timer(node),
            Purpose::Start => self.on_start_timer(node),
            Purpose::After => self.become_ready(node),
            Purpose::Probe => self.probe_readiness(node),
            Purpose::ProbeLimit => self.on_probe_limit(node),
            Purpose::Health => self.check_liveness(node),
            Purpose::HealthLimit => self.on_health_limit(node),
            Purpose::Watchdog => self.on_watchdog(node),
            Purpose::Stop => self.on_stop_timer(node),
            Purpose::Supervisor => self.kill_below(node),
            Purpose::Reload => self.on_reload_limit(node),
            Purpose::Remedy => self.on_remedy_timer(node),
            Purpose::Shutdown => self.on_shutdown_timer(),
        }
    }

    /// When `Event::Deadline` is due; `None`: nothing waits for time.
    pub fn next_deadline(&self) -> Option<Time> {
        if self.halted {
            None
        } else {
            self.timers.next()
        }
    }

    /// The root supervisor.
    pub fn root(&self) -> NodeId {
        self.root
    }

    /// The child of this name.
    pub fn child(&self, parent: NodeId, name: &str) -> Option<NodeId> {
        let sup = self.nodes.get(parent)?.sup()?;
        sup.children
            .iter()
            .copied()
            .find(|id| &**self.nodes[*id].name() == name)
    }

    /// The node of this name: names are unique in a checked file. While one of that name leaves,
    /// it is the one that stays.
    pub fn node(&self, name: &str) -> Option<NodeId> {
        let named = || self.nodes.iter().filter(|node| &**node.name() == name);
        let stays = |node: &&node::Node| self.leaver_above(node.id).is_none();
        let found = named().find(stays).or_else(|| named().next());
        found.map(|node| node.id)
    }

    /// Its name, while it is in the tree.
    pub fn name(&self, id: NodeId) -> Option<&Name> {
        self.nodes.get(id).map(node::Node::name)
    }

    /// The node's place in start order among its siblings; exits that are found together are
    /// posted in this order (SEMANTICS §3).
    pub fn start_order(&self, id: NodeId) -> (NodeId, usize) {
        self.nodes.get(id).map_or((id, usize::MAX), |node| {
            (node.parent.unwrap_or(id), node.place)
        })
    }

    /// Whether the last effect was a halt.
    pub fn is_halted(&self) -> bool {
        self.halted
    }

    /// Events that came too late and changed nothing.
    pub fn stale_events(&self) -> u64 {
        self.stale
    }

    /// A record of the daemon's own, numbered among the engine's.
    pub fn note(&mut self, now: Time, what: What) -> Record {
        self.now = self.now.max(now);
        let seq = self.take_seq();
        Record {
            seq,
            at: self.now,
            node: None,
            name: None,
            cause: None,
            incident: None,
            what,
        }
    }

    fn take_seq(&mut self) -> Seq {
        let seq = Seq(self.next_seq);
        self.next_seq += 1;
        seq
    }

    fn take_life(&mut self) -> u64 {
        let life = self.next_life;
        self.next_life += 1;
        life
    }

    /// Writes a record about a node. Its cause is what is being handled, else the node's own last
    /// record.
    fn record(&mut self, id: NodeId, what: What) -> Seq {
        let seq = self.take_seq();
        self.close_incident(id);
        let (cause, incident) = (self.cause, self.incident);
        let at = self.now;
        let node = &mut self.nodes[id];
        let cause = cause.or(node.seq);
        node.seq = Some(seq);
        node.incident = incident.or(node.incident);
        let record = Record {
            seq,
            at,
            node: Some(id),
            name: Some(Arc::clone(node.name())),
            cause,
            incident: node.incident,
            what,
        };
        self.effects.push(Effect::Record(Box::new(record)));
        seq
    }

    /// Writes a record about a breaker; what happened before to it is its cause, unless something
    /// else is.
    fn record_breaker(&mut self, id: breaker::BreakerId, what: What) -> Seq {
        let seq = self.take_seq();
        let before = self.breakers.get_mut(id).and_then(|b| b.seq.replace(seq));
        let record = Record {
            seq,
            at: self.now,
            node: None,
            name: None,
            cause: self.cause.or(before),
            incident: self.incident,
            what,
        };
        self.effects.push(Effect::Record(Box::new(record)));
        seq
    }

    fn notify(&mut self, id: NodeId, notice: Notice) {
        self.notices.push_back((id, notice));
    }
}
