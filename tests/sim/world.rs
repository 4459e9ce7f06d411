// SPDX-License-Identifier: MIT OR Apache-2.0
//! A world: a clock, a kernel with slow, deaf, dying and unkillable programs, operators, and the
//! engine under judgement. It performs effects and delivers events; it decides nothing about
//! supervision and judges nothing.

use super::court::{Court, Violation};
use super::cure::{self, Manner};
use super::lines::{brief, told};
use super::mutant::{Engine, Mutant, Turn};
use super::plan::{Act, Late, Plan, Start, Temper, Verb};
use super::truth::Truth;
use super::{dice::Dice, forest::Forester, ward};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use supd::spec::{
    AutoShutdown, ExitFacts, ExitStatus, Name, Node, Policy, ProbeFault, Ready, Service,
    ServiceKind, Signal, Tree,
};
use supd::tree::{
    Actor, Command, CommandId, Effect, Event, NodeId, ProbeAnswer, Question, RunId, Said, State,
    Time,
};

/// After the last deed everything must have come to its end within this time.
const PATIENCE: Duration = Duration::from_secs(120);
/// Events after which a world is called endless.
const EVENTS_MAX: u64 = 200_000;

/// What a world came to.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) events: u64,
    /// A number that stands for everything the engine said.
    pub(crate) print: u64,
    pub(crate) violations: Vec<Violation>,
    /// Empty unless asked for.
    pub(crate) trace: Vec<String>,
}

/// Whether the world keeps a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notes {
    None,
    Full,
}

#[derive(Debug)]
enum Happening {
    Deed(usize),
    Tell(Event),
    Death(RunId, ExitStatus),
    /// A watched program gives a sign of life, if it can.
    Sign(RunId),
    /// Everything stood still until now.
    Still,
}

/// What a process is.
#[derive(Debug)]
enum Kind {
    Plain,
    /// A hook, and the wait it asks for.
    Hook(Option<Duration>),
}

#[derive(Debug)]
struct Process {
    name: Option<Name>,
    temper: Temper,
    dying: bool,
    since: Time,
    /// From one sign of life to the next.
    signs: Option<Duration>,
    kind: Kind,
}

#[derive(Debug)]
pub(crate) struct World<'a> {
    plan: &'a Plan,
    engine: Engine,
    court: Court,
    now: Time,
    begin: Time,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    waiting: BTreeMap<u64, Happening>,
    order: u64,
    processes: BTreeMap<RunId, Process>,
    by_name: BTreeMap<Name, RunId>,
    former: BTreeMap<Name, RunId>,
    starts: BTreeMap<Name, u64>,
    commands: u64,
    events: u64,
    print: u64,
    notes: Notes,
    trace: Vec<String>,
}

/// Lives a plan through.
pub(crate) fn live(plan: &Plan, mutant: Option<Mutant>, notes: Notes) -> Verdict {
    let mut world = World::new(plan, mutant, notes);
    world.run();
    Verdict {
        events: world.events,
        print: world.print,
        violations: world.court.violations,
        trace: world.trace,
    }
}

impl<'a> World<'a> {
    fn new(plan: &'a Plan, mutant: Option<Mutant>, notes: Notes) -> Self {
        let begin = Time::default() + plan.origin;
        let mut world = Self {
            plan,
            engine: Engine::new(&plan.tree, plan.seed, mutant),
            court: Court::new(Truth::new(&plan.tree.root).with_breakers(&plan.tree.breakers)),
            now: begin,
            begin,
            queue: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            order: 0,
            processes: BTreeMap::new(),
            by_name: BTreeMap::new(),
            former: BTreeMap::new(),
            starts: BTreeMap::new(),
            commands: 0,
            events: 0,
            print: 0,
            notes,
            trace: Vec::new(),
        };
        world.court.learn_remedies(&plan.tree);
        for still in &plan.stills {
            world.later(begin + *still, Happening::Still);
        }
        for (number, deed) in plan.deeds.iter().enumerate() {
            world.later(begin + deed.at, Happening::Deed(number));
        }
        world
    }

    fn run(&mut self) {
        let last = self
            .plan
            .deeds
            .last()
            .map_or(Duration::ZERO, |deed| deed.at);
        let end = self.begin + last + PATIENCE;
        self.give(Event::Boot);
        while self.court.violations.is_empty() && !self.court.halted {
            let deadline = self.engine.next_deadline();
            if deadline.is_none() {
                self.look_for_forgotten();
            }
            let next = self.queue.peek().map(|Reverse((at, _))| *at);
            match (next, deadline) {
                (None, None) => break,
                (Some(at), Some(due)) if due <= at => self.pass(due),
                (None, Some(due)) => self.pass(due),
                (Some(at), _) => self.happen(at),
            }
            if self.now > end || self.events > EVENTS_MAX {
                self.court.accuse(9, "the tree was to stop and does not");
            }
        }
        let asked = self.court.shutdown_at.is_some();
        if self.court.violations.is_empty() && asked && !self.court.halted {
            self.court
                .accuse(9, "the tree was to stop, and everything is silent");
        }
    }

    fn pass(&mut self, due: Time) {
        let lag = self.plan.lag;
        let late = !lag.is_zero() && Dice::about(nanos(due.since(self.begin)), &[15]).percent(10);
        self.now = self.now.max(if late { due + lag } else { due });
        self.give(Event::Deadline);
    }

    fn later(&mut self, at: Time, what: Happening) {
        self.order += 1;
        self.queue.push(Reverse((at.max(self.now), self.order)));
        self.waiting.insert(self.order, what);
    }

    fn after(&mut self, span: Duration, what: Happening) {
        self.later(self.now + span, what);
    }

    /// Everything that was planned for this moment; deaths are found together, in start order.
    fn happen(&mut self, at: Time) {
        self.now = self.now.max(at);
        let Some(Reverse((_, number))) = self.queue.pop() else {
            return;
        };
        match self.waiting.remove(&number) {
            Some(Happening::Deed(number)) => {
                let act = self.plan.deeds[number].act.clone();
                self.note(|| format!("== {act:?}"));
                self.act(&act);
            }
            Some(Happening::Tell(event)) => self.give(event),
            Some(Happening::Death(run, status)) => self.reap(at, (run, status)),
            Some(Happening::Sign(run)) => self.sign(run),
            Some(Happening::Still) => {
                self.court.stood_still(self.now);
                self.give(Event::Resumed);
            }
            None => {}
        }
    }

    fn reap(&mut self, at: Time, first: (RunId, ExitStatus)) {
        let mut found = vec![first];
        while let Some(Reverse((time, number))) = self.queue.peek().copied() {
            let Some(Happening::Death(run, status)) = self.waiting.get(&number) else {
                break;
            };
            if time > at {
                break;
            }
            found.push((*run, *status));
            self.queue.pop();
            self.waiting.remove(&number);
        }
        found.sort_by_key(|(run, _)| (self.engine.tree.start_order(run.node), run.life));
        for (run, status) in found {
            let Some(process) = self.processes.remove(&run) else {
                continue;
            };
            if let Some(name) = process.name {
                self.by_name.remove(&name);
                self.former.insert(name, run);
            }
            if let Kind::Hook(asked) = process.kind {
                let after = asked.filter(|_| matches!(status, ExitStatus::Code(_)));
                self.give(Event::HookDone { run, status, after });
                continue;
            }
            let facts = ExitFacts::bare(status);
            self.give(Event::Exited { run, facts });
        }
    }

    /// Gives the engine an event and performs what follows, before the court.
    fn give(&mut self, event: Event) {
        for (event, effects) in self.handle(event) {
            self.court.event(self.now, &event);
            self.follow(&event, effects);
        }
    }

    /// An engine that panics has broken its own law: it cannot fail.
    fn handle(&mut self, event: Event) -> Vec<Turn> {
        let told = told(&event);
        let (engine, now) = (&mut self.engine, self.now);
        let outcome = catch_unwind(AssertUnwindSafe(|| engine.handle(now, event)));
        outcome.unwrap_or_else(|_| {
            self.court.accuse(0, format!("panics at {told}"));
            Vec::new()
        })
    }

    /// The same for a message about nobody, which the court need not hear.
    fn give_unheard(&mut self, event: Event) {
        for (event, effects) in self.handle(event) {
            self.follow(&event, effects);
        }
    }

    fn follow(&mut self, event: &Event, effects: Vec<Effect>) {
        self.events += 1;
        let at = self.now.since(self.begin);
        self.note(|| format!("{at:>12?} <- {}", told(event)));
        for effect in effects {
            self.note(|| format!("             -> {}", brief(&effect)));
            self.imprint(&effect);
            self.court.effect(&effect);
            self.perform(effect);
        }
        self.court.adjourn();
        if let Err(complaint) = self.engine.tree.audit() {
            self.court.accuse(0, complaint);
        }
        if self.events.is_multiple_of(16) {
            self.court.is_bounded(self.engine.tree.burden());
            self.compare_status();
        }
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if self.notes == Notes::Full {
            self.trace.push(line());
        }
    }

    /// Folds an effect into the world's finger print; times count from the begin.
    fn imprint(&mut self, effect: &Effect) {
        let (kind, number) = match effect {
            Effect::Spawn { run, .. } => (1, run.life),
            Effect::SpawnHelper { run, .. } | Effect::RunHook { run, .. } => (2, run.life),
            Effect::Signal { run, signal, .. } => (3, run.life ^ number(*signal)),
            Effect::Probe { run, .. } => (4, run.life),
            Effect::CancelProbe { run } => (5, run.life),
            Effect::Answered { node, .. } => (9, u64::from(node.0)),
            Effect::Reply { id, outcome } => (6, id.0 ^ u64::from(Court::outcome_is_done(outcome))),
            Effect::Record(record) => (7, record.seq.0 ^ nanos(record.at.since(self.begin))),
            Effect::Halt { .. } => (8, nanos(self.now.since(self.begin))),
        };
        let mixed = self.print.rotate_left(7) ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.print = mixed.wrapping_add(kind);
    }

    /// Law 23: what people are shown is true.
    fn compare_status(&mut self) {
        for view in self.engine.tree.snapshot().nodes {
            let Node::Service(service) = &view.spec else {
                continue;
            };
            if !matches!(view.state, State::Ready | State::Unready) {
                continue;
            }
            if let Some(fact) = self.court.truth.find(&service.name) {
                let there = view.run.filter(|run| self.processes.contains_key(run));
                self.court.called_up(fact, there);
            }
        }
    }

    /// Law 9, when no time is waited for: whoever is not at rest must have something under way.
    fn look_for_forgotten(&mut self) {
        if self.court.shutdown_at.is_some() || !self.court.is_quiet() {
            return;
        }
        self.court.rest();
        for view in self.engine.tree.snapshot().nodes {
            let literal = view.parent.is_some_and(|sup| self.is_literal(sup));
            match view.state {
                // In OTP it is simply stopped: the retry it waited for was called off.
                State::Waiting if literal => {}
                State::Waiting if self.is_parked(view.waiting_for) => {}
                State::Backoff
                | State::Remediating
                | State::Held
                | State::Waiting
                | State::Starting
                | State::Stopping => {
                    if !view.pinned {
                        let text = format!("{} is {:?} for ever", view.path, view.state);
                        self.court.accuse(9, text);
                        return;
                    }
                }
                State::Ready
                | State::Unready
                | State::Up
                | State::Degraded
                | State::Stopped
                | State::Unkillable
                | State::Parked
                | State::Done
                | State::Down => {}
            }
        }
    }

    fn is_parked(&self, node: Option<NodeId>) -> bool {
        let view = node.and_then(|node| self.engine.tree.view(node));
        view.is_some_and(|view| view.state == State::Parked)
    }

    fn is_literal(&self, sup: NodeId) -> bool {
        let view = self.engine.tree.view(sup);
        view.is_some_and(
            |view| matches!(&view.spec, Node::Supervisor(spec) if spec.policy == Policy::Otp),
        )
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Spawn { run, service } => self.spawn(run, &service),
            Effect::SpawnHelper {
                run,
                command,
                about: Some(about),
                ..
            } if ward::is_question(&command) => self.check_by_command(run, about),
            Effect::SpawnHelper { run, .. } => self.spawn_helper(run),
            Effect::RunHook { run, .. } => self.run_hook(run),
            Effect::Signal { run, signal, .. } => self.signal(run, signal),
            Effect::Probe {
                run,
                about,
                question: Question::Liveness,
                ..
            } => {
                let found = ward::answer(self.plan.seed, run.life, self.works(about));
                if let Some((span, answer)) = found {
                    self.after(span, Happening::Tell(Event::ProbeDone { run, answer }));
                }
            }
            Effect::Probe { run, .. } => {
                let mut dice = Dice::about(self.plan.seed, &[5, run.life]);
                let answer = *dice.pick(&[
                    ProbeAnswer::Success,
                    ProbeAnswer::Success,
                    ProbeAnswer::of(ProbeFault::REFUSED),
                    ProbeAnswer::of(ProbeFault::Impossible),
                ]);
                let span = Duration::from_millis(dice.below(70));
                self.after(span, Happening::Tell(Event::ProbeDone { run, answer }));
            }
            Effect::CancelProbe { .. }
            | Effect::Answered { .. }
            | Effect::Reply { .. }
            | Effect::Record(_)
            | Effect::Halt { .. } => {}
        }
    }

    /// Whether a program does what it is for.
    fn works(&self, run: RunId) -> bool {
        self.processes.get(&run).is_some_and(|process| {
            let hangs = process.temper.hangs;
            hangs.is_none_or(|after| self.now.since(process.since) < after)
        })
    }

    /// A question about life that is a process.
    fn check_by_command(&mut self, run: RunId, about: RunId) {
        let found = ward::answer(self.plan.seed, run.life, self.works(about));
        let status = match found {
            None => None,
            Some((_, ProbeAnswer::Unknown(_))) => {
                let failure = supd::spec::SpawnFailure {
                    stage: supd::spec::Stage::Fork,
                    errno: 11,
                };
                let event = Event::SpawnFailed { run, failure };
                return self.after(Duration::ZERO, Happening::Tell(event));
            }
            Some((span, ProbeAnswer::Success)) => Some((span, 0)),
            Some((span, ProbeAnswer::Failure(_))) => Some((span, 1)),
        };
        self.after(Duration::ZERO, Happening::Tell(Event::Spawned { run }));
        if let Some((span, code)) = status {
            self.die_in(run, span, ExitStatus::Code(code));
        }
        let process = Process {
            name: None,
            temper: patient(Duration::ZERO),
            dying: false,
            since: self.now,
            signs: None,
            kind: Kind::Plain,
        };
        self.processes.insert(run, process);
    }

    fn sign(&mut self, run: RunId) {
        let Some(span) = self.processes.get(&run).and_then(|p| p.signs) else {
            return;
        };
        if self.works(run) {
            let said = Said::Alive;
            self.give(Event::Said { run, said });
        }
        // Now and then a sign comes too late.
        let mut dice = Dice::about(self.plan.seed, &[16, run.life]);
        let pause = if dice.percent(4) { span * 3 } else { span / 2 };
        self.after(pause, Happening::Sign(run));
    }

    fn spawn(&mut self, run: RunId, service: &Arc<Service>) {
        let name = Arc::clone(&service.name);
        let number = self.starts.entry(Arc::clone(&name)).or_default();
        *number += 1;
        let mut temper = self.plan.temper(&name, *number);
        if let Start::Fails(failure) = temper.start {
            let event = Event::SpawnFailed { run, failure };
            return self.after(Duration::ZERO, Happening::Tell(event));
        }
        self.after(Duration::ZERO, Happening::Tell(Event::Spawned { run }));
        let oneshot = service.kind == ServiceKind::Oneshot;
        let says_so = matches!(service.ready, Ready::Notify | Ready::Fd(_));
        match temper.start {
            Start::Well(span) if oneshot => self.die_in(run, span, ExitStatus::Code(0)),
            Start::Well(span) if says_so => {
                self.after(span, Happening::Tell(Event::Ready { run }));
            }
            Start::Early(span, status) => self.die_in(run, span, status),
            Start::Well(_) | Start::Never | Start::Fails(_) => {}
        }
        if let Some((span, status)) = temper.life.filter(|_| !oneshot) {
            let ready = if let Start::Well(ready) = temper.start {
                ready
            } else {
                span
            };
            self.die_in(run, ready + span, status);
        }
        if matches!(temper.start, Start::Never) && temper.obeys.is_none() {
            temper.obeys = Some((Duration::ZERO, ExitStatus::Code(0)));
        }
        let name = Some(name);
        if let Some(name) = &name {
            self.by_name.insert(Arc::clone(name), run);
        }
        let signs = service.health.watchdog;
        if let Some(span) = signs {
            self.after(span / 4, Happening::Sign(run));
        }
        let process = Process {
            name,
            temper,
            dying: false,
            since: self.now,
            signs,
            kind: Kind::Plain,
        };
        self.processes.insert(run, process);
    }

    fn spawn_helper(&mut self, run: RunId) {
        let mut dice = Dice::about(self.plan.seed, &[6, run.life]);
        let temper = patient(Duration::from_millis(dice.below(3)));
        if dice.percent(8) {
            let failure = supd::spec::SpawnFailure {
                stage: supd::spec::Stage::Exec,
                errno: 2,
            };
            return self.after(
                Duration::ZERO,
                Happening::Tell(Event::SpawnFailed { run, failure }),
            );
        }
        self.after(Duration::ZERO, Happening::Tell(Event::Spawned { run }));
        if !dice.percent(8) {
            let code = *dice.pick(&[0, 0, 0, 1]);
            let span = Duration::from_millis(dice.below(60));
            self.die_in(run, span, ExitStatus::Code(code));
        }
        let process = Process {
            name: None,
            temper,
            dying: false,
            since: self.now,
            signs: None,
            kind: Kind::Plain,
        };
        self.processes.insert(run, process);
    }

    /// What a hook does follows from its number.
    fn run_hook(&mut self, run: RunId) {
        let seed = self.plan.seed;
        let manner = cure::manner(seed, run.life);
        if let Manner::Fails(failure) = manner {
            let event = Event::SpawnFailed { run, failure };
            return self.after(Duration::ZERO, Happening::Tell(event));
        }
        self.after(Duration::ZERO, Happening::Tell(Event::Spawned { run }));
        let mut asked = None;
        if let Manner::Answers(span, code, after) = manner {
            self.die_in(run, span, ExitStatus::Code(code));
            asked = after;
        }
        let process = Process {
            name: None,
            temper: patient(cure::killed(seed, run.life).0),
            dying: false,
            since: self.now,
            signs: None,
            kind: Kind::Hook(asked),
        };
        self.processes.insert(run, process);
    }

    /// A process ends after a while; when that is noticed is the world's grain.
    fn die_in(&mut self, run: RunId, span: Duration, status: ExitStatus) {
        let mut at = self.now + span;
        let grain = nanos(self.plan.grain);
        if grain > 0 {
            at.0 = at.0.div_ceil(grain) * grain;
        }
        self.later(at, Happening::Death(run, status));
    }

    fn signal(&mut self, run: RunId, signal: Signal) {
        let Some(process) = self.processes.get_mut(&run) else {
            return;
        };
        if process.dying {
            return;
        }
        let harmless = [Signal::CONT, Signal::HUP, Signal::USR1].contains(&signal);
        let (span, status) = if signal == Signal::KILL {
            (
                process.temper.killed,
                ExitStatus::Signal {
                    signal,
                    core: false,
                },
            )
        } else if harmless {
            return;
        } else {
            match process.temper.obeys {
                Some(end) => end,
                None => return,
            }
        };
        process.dying = signal == Signal::KILL;
        self.die_in(run, span, status);
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::End(names, status) => {
                for name in names {
                    if let Some(run) = self.by_name.get(name).copied() {
                        self.die_in(run, Duration::ZERO, *status);
                    }
                }
            }
            Act::Ask(name, verb) => self.ask(name, *verb),
            Act::Stale(name, late) => self.stale(name, *late),
            Act::Force(name, force) => {
                self.say(Command::Breaker(Arc::clone(name), force.clone()));
            }
            Act::Shutdown(haste) => {
                let by = self.somebody();
                self.give(Event::Shutdown { haste: *haste, by });
            }
        }
    }

    fn stale(&mut self, name: &Name, late: Late) {
        let run = match self.former.get(name) {
            Some(run) if late != Late::Stranger => *run,
            _ => RunId {
                node: NodeId(3),
                life: u64::MAX,
            },
        };
        self.give_unheard(match late {
            Late::Ready => Event::Ready { run },
            Late::Spawned => Event::Spawned { run },
            Late::SpawnFailed => Event::SpawnFailed {
                run,
                failure: supd::spec::SpawnFailure {
                    stage: supd::spec::Stage::Exec,
                    errno: 2,
                },
            },
            Late::Probe => Event::ProbeDone {
                run,
                answer: ProbeAnswer::Success,
            },
            Late::Stranger => Event::Exited {
                run,
                facts: ExitFacts::bare(ExitStatus::Code(1)),
            },
        });
    }

    fn somebody(&mut self) -> Actor {
        self.commands += 1;
        let pid = i32::try_from(self.commands).unwrap_or(i32::MAX);
        Actor::Client { uid: 1000, pid }
    }

    fn ask(&mut self, name: &Name, verb: Verb) {
        let found = self.engine.tree.node(name);
        if let (Some(node), Some(fact)) = (found, self.court.truth.find(name)) {
            self.court.ids.insert(node, fact);
        }
        let node = found.unwrap_or(NodeId(u32::MAX));
        let command = match verb {
            Verb::Start => Command::Start(node),
            Verb::Stop => Command::Stop(node),
            Verb::Restart => Command::Restart(node),
            Verb::RestartOnly => Command::RestartOnly(node),
            Verb::Reload => Command::ReloadService(node),
            Verb::Signal => Command::Signal(node, Signal::USR1),
            Verb::Reset => Command::Reset(node),
            Verb::Pin => Command::Pin(node),
            Verb::Unpin => Command::Unpin(node),
            Verb::Delete => Command::Delete(node),
            Verb::Count => Command::Count(node),
            Verb::Which => Command::Which(node),
            Verb::Scale(count) => Command::Scale(node, self.instances(name, count)),
            Verb::Add(number) => match self.addition(name, number) {
                Some(child) => Command::Add(node, child),
                None => return,
            },
            Verb::Apply(number) => return self.apply(&Arc::new(self.plan.variant(number))),
        };
        self.say(command);
    }

    /// Somebody orders this.
    fn say(&mut self, command: Command) {
        let by = self.somebody();
        let id = CommandId(self.commands);
        self.give(Event::Command { id, by, command });
    }

    /// A reload; what people are shown before and after it is compared.
    fn apply(&mut self, tree: &Arc<Tree>) {
        let before = self.engine.tree.snapshot().nodes;
        let by = self.somebody();
        let id = CommandId(self.commands);
        let command = Command::Apply(Arc::clone(tree));
        self.court.reload(id, &tree.root);
        self.court.learn_remedies(tree);
        self.give(Event::Command { id, by, command });
        if !self.court.halted && self.court.violations.is_empty() {
            let after = self.engine.tree.snapshot().nodes;
            self.court.reload_keeps(&before, &after, &tree.root);
        }
    }

    /// The pool's first instance under these numbers.
    fn instances(&mut self, pool: &Name, count: u64) -> Vec<Arc<Service>> {
        let first = self.court.truth.find(&format!("{pool}.1"));
        let Some(first) = first
            .and_then(|fact| self.court.truth.service(fact))
            .cloned()
        else {
            return Vec::new();
        };
        let made = (1..=count.max(1)).map(|number| {
            let mut service = (*first).clone();
            service.name = Arc::from(format!("{pool}.{number}"));
            Arc::new(service)
        });
        let made: Vec<_> = made.collect();
        if let Some(fact) = self.court.truth.find(pool) {
            for service in &made {
                let truth = &mut self.court.truth;
                truth.learn(fact, &Node::Service(Arc::clone(service)));
                // One that is there goes on as it is.
                let there = truth
                    .find(&service.name)
                    .and_then(|at| self.court.files.get(at));
                if there.is_none_or(|file| file.live.is_none()) {
                    truth.renew(service);
                }
            }
            self.court.open_files();
        }
        made
    }

    /// A service nobody has heard of, for a supervisor that is no pool.
    fn addition(&mut self, sup: &Name, number: u64) -> Option<Node> {
        let fact = self.court.truth.find(sup)?;
        if self.court.truth.rules(fact)?.pool {
            return None;
        }
        let mut dice = Dice::about(self.plan.seed, &[7, number]);
        let mut service = Forester::new(&mut dice).service(AutoShutdown::Never);
        service.name = Arc::from(format!("x{number}"));
        let node = Node::Service(Arc::new(service));
        self.court.truth.learn(fact, &node);
        self.court.open_files();
        Some(node)
    }
}

/// A helper: it ends when it is done, or after SIGKILL in this time.
fn patient(killed: Duration) -> Temper {
    Temper {
        start: Start::Never,
        life: None,
        obeys: None,
        killed,
        hangs: None,
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn number(signal: Signal) -> u64 {
    u64::try_from(signal.number()).unwrap_or(0)
}
