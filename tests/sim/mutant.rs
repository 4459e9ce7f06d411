// SPDX-License-Identifier: MIT OR Apache-2.0
//! Planted bugs. Each stands between the engine and the world, or lies to the engine about the
//! specification, so that the whole looks like an engine with one mistake. The simulator is worth
//! something only if each of them is caught, by the law it breaks.

use super::malady;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use supd::spec::{
    Breaker, Counts, ExitFacts, ExitStatus, HoldAfter, Node, Process, Remedies, Remedy, Restart,
    Scope, Service, Signal, StartMode, Strategy, Supervisor, Tree as Spec, Verdict,
};
use supd::tree::{
    Actor, Budget, Command, CommandId, Effect, Event, Force, Halt, NodeId, NodeView, Outcome,
    Phase, RunId, StartWhy, State, Time, Tree, What,
};

/// A planted bug, named by what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    SpawnsTwice,
    ReapsTwice,
    SignalsTheDead,
    StartsAllAtOnce,
    AllowsOneRestartMore,
    IsDownTooSoon,
    StartsWhatWasStopped,
    LosesDeadlines,
    RestartsTemporaries,
    ChangesFacts,
    SkipsAnEdge,
    DropsASignal,
    ReadsTheWallClock,
    AnswersEarly,
    ScalesInWordsOnly,
    AnswersTwice,
    LeavesAGap,
    ForgetsWho,
    RollsItsOwnDice,
    LosesAnExit,
    HaltsEarly,
    TouchesTooMany,
    TouchesTooFew,
    TouchesThePinned,
    ReloadsTheUntouched,
    ForgetsTheReload,
    LetsHelpersRun,
    HoardsWaiters,
    BearsOneFailureMore,
    CountsTrials,
    FollowsTooSoon,
    ReleasesAllAtOnce,
    ForcesForEver,
    KillsTooSoon,
    CountsTheUnknown,
    IsBlindToFailures,
    ForgetsTheStandstill,
    KillsAllAtOnce,
    AsksTwice,
    RunsHooksTwice,
    LetsHooksRun,
    RunsAllHooks,
    StartsBesideHooks,
    ChangesVerdicts,
    IgnoresLimits,
    RestartsForFree,
    ForgetsHooksAtAStop,
}

/// Every mutant and the invariant that catches it.
pub(crate) const MUTANTS: [(Mutant, u8); 47] = [
    (Mutant::SpawnsTwice, 1),
    (Mutant::ReapsTwice, 2),
    (Mutant::SignalsTheDead, 3),
    (Mutant::StartsAllAtOnce, 4),
    (Mutant::TouchesTooMany, 5),
    (Mutant::TouchesTooFew, 5),
    (Mutant::AllowsOneRestartMore, 6),
    (Mutant::IsDownTooSoon, 7),
    (Mutant::StartsWhatWasStopped, 8),
    (Mutant::TouchesThePinned, 8),
    (Mutant::LosesDeadlines, 9),
    (Mutant::RestartsTemporaries, 10),
    (Mutant::ChangesFacts, 11),
    (Mutant::SkipsAnEdge, 12),
    (Mutant::DropsASignal, 12),
    (Mutant::ReadsTheWallClock, 13),
    (Mutant::RollsItsOwnDice, 14),
    (Mutant::ReloadsTheUntouched, 15),
    (Mutant::ForgetsTheReload, 15),
    (Mutant::LetsHelpersRun, 16),
    (Mutant::RunsHooksTwice, 16),
    (Mutant::LetsHooksRun, 16),
    (Mutant::RunsAllHooks, 16),
    (Mutant::StartsBesideHooks, 16),
    (Mutant::ChangesVerdicts, 16),
    (Mutant::IgnoresLimits, 16),
    (Mutant::RestartsForFree, 6),
    (Mutant::ForgetsHooksAtAStop, 8),
    (Mutant::AnswersEarly, 18),
    (Mutant::ScalesInWordsOnly, 18),
    (Mutant::AnswersTwice, 18),
    (Mutant::LeavesAGap, 19),
    (Mutant::ForgetsWho, 20),
    (Mutant::HoardsWaiters, 22),
    (Mutant::LosesAnExit, 23),
    (Mutant::HaltsEarly, 24),
    (Mutant::BearsOneFailureMore, 25),
    (Mutant::CountsTrials, 25),
    (Mutant::FollowsTooSoon, 26),
    (Mutant::ReleasesAllAtOnce, 27),
    (Mutant::ForcesForEver, 28),
    (Mutant::KillsTooSoon, 31),
    (Mutant::CountsTheUnknown, 31),
    (Mutant::IsBlindToFailures, 31),
    (Mutant::ForgetsTheStandstill, 32),
    (Mutant::KillsAllAtOnce, 32),
    (Mutant::AsksTwice, 33),
];

impl Mutant {
    /// A world in which the bug can show.
    pub(crate) fn world(self, seed: u64) -> u64 {
        match self {
            Self::RunsHooksTwice
            | Self::LetsHooksRun
            | Self::RunsAllHooks
            | Self::StartsBesideHooks
            | Self::ChangesVerdicts
            | Self::IgnoresLimits
            | Self::RestartsForFree
            | Self::ForgetsHooksAtAStop => seed | super::cure::CURED,
            _ => seed,
        }
    }
}

/// Commands and runs from here on are a mutant's own.
const HIDDEN: u64 = 1 << 40;

/// What no engine may have: something that is outside of its arguments.
static THROWS: AtomicU64 = AtomicU64::new(1);

/// The engine, perhaps with a planted bug.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) tree: Tree,
    mutant: Option<Mutant>,
    count: u64,
    next_seq: u64,
    hidden: u64,
    silent: Option<CommandId>,
    /// Probes and commands of services.
    helpers: BTreeSet<RunId>,
    /// Hooks that live.
    hooks: BTreeSet<RunId>,
    /// Nodes that somebody stops by this event.
    stops: BTreeSet<NodeId>,
}

/// An event as the engine was given it, and what it wants.
pub(crate) type Turn = (Event, Vec<Effect>);

impl Engine {
    pub(crate) fn new(spec: &Arc<Spec>, seed: u64, mutant: Option<Mutant>) -> Self {
        let seed = match mutant {
            Some(Mutant::RollsItsOwnDice) => seed ^ THROWS.fetch_add(1, Ordering::Relaxed),
            Some(_) | None => seed,
        };
        let spec = mutant.map_or_else(|| Arc::clone(spec), |mutant| Arc::new(lie(spec, mutant)));
        Self {
            tree: Tree::new(&spec, seed),
            mutant,
            count: 0,
            next_seq: 1,
            hidden: HIDDEN,
            silent: None,
            helpers: BTreeSet::new(),
            hooks: BTreeSet::new(),
            stops: BTreeSet::new(),
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        let lost = self.mutant == Some(Mutant::LosesDeadlines) && self.count > 20;
        if lost {
            None
        } else {
            self.tree.next_deadline()
        }
    }

    /// One event of the world; a mutant may make none or several of it.
    pub(crate) fn handle(&mut self, now: Time, event: Event) -> Vec<Turn> {
        let Some(mutant) = self.mutant else {
            let effects = self.tree.handle(now, event.clone()).0;
            return vec![(event, effects)];
        };
        self.count += 1;
        let now = match mutant {
            // An hour is put on the clock, as ntpd does; only who asks the wall notices.
            Mutant::ReadsTheWallClock if now > Time::default() + Duration::from_secs(3600) => {
                now + Duration::from_secs(self.count)
            }
            _ => now,
        };
        self.stops.clear();
        if let Event::Command {
            command: Command::Stop(node),
            ..
        } = &event
        {
            self.stops.insert(*node);
        }
        let mut turns = Vec::new();
        // What somebody wants is known to the judges, however the engine misunderstands it.
        let meant = event.clone();
        for event in self.told(mutant, event) {
            let effects = self.tree.handle(now, event.clone()).0;
            let effects = self.wanted(mutant, &event, effects);
            let asked = matches!(event, Event::Command { .. } | Event::ProbeDone { .. });
            let heard = match mutant {
                Mutant::StartsBesideHooks => meant.clone(),
                _ if asked => meant.clone(),
                _ => event,
            };
            turns.push((heard, effects));
        }
        if mutant == Mutant::HoardsWaiters {
            self.ask_behind_the_back(now, &mut turns);
        }
        if mutant == Mutant::FollowsTooSoon {
            self.follow_behind_the_back(now, &mut turns);
        }
        if mutant == Mutant::StartsWhatWasStopped {
            self.start_behind_the_back(now, &mut turns);
        }
        turns
    }

    fn told(&mut self, mutant: Mutant, event: Event) -> Vec<Event> {
        match (mutant, forced(mutant, malady::told(mutant, event))) {
            (Mutant::ForgetsTheStandstill, Event::Resumed) => Vec::new(),
            // It takes a hook that has begun for one that is done.
            (Mutant::StartsBesideHooks, Event::Spawned { run }) if self.hooks.contains(&run) => {
                let (status, after) = (ExitStatus::Code(0), None);
                let done = Event::HookDone { run, status, after };
                vec![Event::Spawned { run }, done]
            }
            (Mutant::ReapsTwice, event @ Event::Exited { .. }) => vec![event.clone(), event],
            (Mutant::LosesAnExit, Event::Exited { run, .. })
                if self.count.is_multiple_of(3)
                    && self.tree.view(run.node).is_some_and(|view| {
                        view.run == Some(run) && view.state == State::Ready
                    }) =>
            {
                Vec::new()
            }
            (
                Mutant::TouchesThePinned,
                Event::Command {
                    id,
                    by,
                    command: Command::Pin(node),
                },
            ) => {
                let command = Command::Unpin(node);
                vec![Event::Command { id, by, command }]
            }
            (
                Mutant::ForgetsTheReload,
                Event::Command {
                    id,
                    by,
                    command: Command::Apply(_),
                },
            ) => {
                let command = Command::Apply(Arc::clone(self.tree.spec()));
                vec![Event::Command { id, by, command }]
            }
            (
                Mutant::ReloadsTheUntouched,
                Event::Command {
                    id,
                    by,
                    command: Command::Apply(spec),
                },
            ) => {
                let spec = Arc::new(with_another_program(&spec, self.count));
                let command = Command::Apply(spec);
                vec![Event::Command { id, by, command }]
            }
            (
                _,
                Event::Command {
                    id,
                    by,
                    command: Command::Apply(spec),
                },
            ) => {
                let command = Command::Apply(Arc::new(lie(&spec, mutant)));
                vec![Event::Command { id, by, command }]
            }
            (_, event) => vec![event],
        }
    }

    fn wanted(&mut self, mutant: Mutant, event: &Event, effects: Vec<Effect>) -> Vec<Effect> {
        let mut out = Vec::with_capacity(effects.len() + 1);
        for effect in effects {
            self.alter(mutant, effect, &mut out);
        }
        match (mutant, event) {
            (Mutant::SignalsTheDead, Event::Exited { run, .. }) => {
                let (run, signal, scope) = (*run, Signal::CONT, Scope::Group);
                out.push(Effect::Signal { run, signal, scope });
            }
            (Mutant::AnswersEarly, Event::Command { id, command, .. })
                if matches!(command, Command::Stop(_)) && !answers(&out, *id) =>
            {
                let outcome = Outcome::Done;
                out.push(Effect::Reply { id: *id, outcome });
                self.silent = Some(*id);
            }
            (Mutant::ScalesInWordsOnly, Event::Command { id, command, .. })
                if matches!(command, Command::Scale(..)) && !answers(&out, *id) =>
            {
                let outcome = Outcome::Done;
                out.push(Effect::Reply { id: *id, outcome });
                self.silent = Some(*id);
            }
            (Mutant::HaltsEarly, Event::Shutdown { .. }) => {
                out.push(Effect::Halt {
                    halt: Halt::Requested,
                });
            }
            _ => {}
        }
        self.renumber(&mut out);
        out
    }

    fn alter(&mut self, mutant: Mutant, mut effect: Effect, out: &mut Vec<Effect>) {
        misreport(mutant, &mut effect);
        out.extend(malady::altered(mutant, &mut effect, &mut self.hidden));
        match (mutant, &mut effect) {
            (Mutant::SpawnsTwice, Effect::Spawn { run, service }) => {
                self.hidden += 1;
                let twin = RunId {
                    node: run.node,
                    life: self.hidden,
                };
                out.push(Effect::Spawn {
                    run: *run,
                    service: Arc::clone(service),
                });
                out.push(Effect::Spawn {
                    run: twin,
                    service: Arc::clone(service),
                });
                return;
            }
            (Mutant::DropsASignal, Effect::Signal { signal, .. }) if *signal == Signal::TERM => {
                return;
            }
            (_, Effect::Reply { id, .. }) if id.0 > HIDDEN => return,
            (_, Effect::RunHook { run, .. }) => {
                self.hooks.insert(*run);
                self.twin(mutant, &effect, out);
            }
            (_, Effect::Signal { run, .. }) if self.hook_goes_on(mutant, *run) => return,
            (Mutant::LetsHelpersRun, Effect::SpawnHelper { run, .. }) => {
                self.helpers.insert(*run);
            }
            (Mutant::AnswersEarly | Mutant::ScalesInWordsOnly, Effect::Reply { id, .. })
                if self.silent == Some(*id) =>
            {
                return;
            }
            (Mutant::AnswersTwice, Effect::Reply { .. }) => out.push(effect.clone()),
            (_, Effect::Record(record)) => match (mutant, &mut record.what) {
                (Mutant::SkipsAnEdge, What::Stopping { run: Some(_), .. })
                | (Mutant::LeavesAGap, What::Backoff { .. }) => return,
                (Mutant::ChangesFacts, What::Exited(exit)) if exit.facts.is_some() => {
                    exit.facts = Some(ExitFacts::bare(ExitStatus::Code(42)));
                }
                (Mutant::ForgetsWho, What::Command { by, .. }) => *by = Actor::Supd,
                (Mutant::ChangesVerdicts, What::RemedyFinished { verdict, .. })
                    if *verdict == Verdict::Retry =>
                {
                    *verdict = Verdict::Blame;
                }
                (Mutant::IsDownTooSoon, What::Stopping { run: None, why }) => {
                    let why = *why;
                    let mut early = record.clone();
                    early.what = What::SupervisorStopped { why };
                    out.push(effect);
                    out.push(Effect::Record(early));
                    return;
                }
                _ => {}
            },
            _ => {}
        }
        out.push(effect);
    }

    fn twin(&mut self, mutant: Mutant, effect: &Effect, out: &mut Vec<Effect>) {
        let mut twin = effect.clone();
        if let (Mutant::RunsHooksTwice, Effect::RunHook { run, .. }) = (mutant, &mut twin) {
            self.hidden += 1;
            run.life = self.hidden;
            out.push(twin);
        }
    }

    /// Whether a signal is kept from whoever works for a service.
    fn hook_goes_on(&self, mutant: Mutant, run: RunId) -> bool {
        let hook = self.hooks.contains(&run);
        let stopped = self.stops.contains(&run.node);
        let helper = mutant == Mutant::LetsHelpersRun && self.helpers.contains(&run);
        helper
            || hook
                && (mutant == Mutant::LetsHooksRun
                    || (mutant == Mutant::ForgetsHooksAtAStop && stopped))
    }

    /// Mutants that add or leave out a record hide it well, but for the one that does not.
    fn renumber(&mut self, effects: &mut [Effect]) {
        if self.mutant == Some(Mutant::LeavesAGap) {
            return;
        }
        for effect in effects {
            if let Effect::Record(record) = effect {
                record.seq.0 = self.next_seq;
                record.cause = None;
                self.next_seq += 1;
            }
        }
    }

    /// Somebody nobody knows waits for whatever is starting.
    fn ask_behind_the_back(&mut self, now: Time, turns: &mut [Turn]) {
        let nodes = self.tree.snapshot().nodes;
        let Some(view) = nodes.iter().find(|view| view.state == State::Starting) else {
            return;
        };
        for _ in 0..4 {
            self.hidden += 1;
            let id = CommandId(self.hidden);
            let by = Actor::Supd;
            let command = Command::Start(view.id);
            let event = Event::Command { id, by, command };
            let effects = self.tree.handle(now, event.clone()).0;
            let unknown = |effect: &Effect| match effect {
                Effect::Record(record) => !matches!(record.what, What::Command { .. }),
                _ => true,
            };
            let effects = effects.into_iter().filter(unknown).collect();
            let effects = self.wanted(Mutant::HoardsWaiters, &event, effects);
            if let Some((_, last)) = turns.last_mut() {
                last.extend(effects);
            }
        }
    }

    /// Whoever waits for a trial is started with it, as if that were over.
    fn follow_behind_the_back(&mut self, now: Time, turns: &mut [Turn]) {
        let nodes = self.tree.snapshot().nodes;
        let tried: Vec<_> = nodes.iter().filter(|view| view.on_trial).collect();
        let waits = |view: &&NodeView| tried.iter().any(|at| view.waiting_for == Some(at.id));
        let Some(view) = nodes.iter().find(waits) else {
            return;
        };
        self.hidden += 1;
        let (id, by, command) = (CommandId(self.hidden), Actor::Supd, Command::Start(view.id));
        let effects = self.tree.handle(now, Event::Command { id, by, command }).0;
        let mut effects: Vec<_> = effects
            .into_iter()
            .filter(|effect| match effect {
                Effect::Reply { id: other, .. } => *other != id,
                Effect::Record(record) => !matches!(record.what, What::Command { .. }),
                _ => true,
            })
            .collect();
        for effect in &mut effects {
            if let Effect::Record(record) = effect
                && let What::Starting { why, .. } = &mut record.what
            {
                *why = StartWhy::Released;
            }
        }
        self.renumber(&mut effects);
        if let Some((_, last)) = turns.last_mut() {
            last.extend(effects);
        }
    }

    /// After a stop by hand was acknowledged, the node is started, and nobody hears of it.
    fn start_behind_the_back(&mut self, now: Time, turns: &mut [Turn]) {
        let stopped = turns.iter().find_map(|(event, effects)| match event {
            Event::Exited { run, .. } => effects
                .iter()
                .any(|e| {
                    matches!(
                        e,
                        Effect::Reply {
                            outcome: Outcome::Done,
                            ..
                        }
                    )
                })
                .then_some(run.node),
            _ => None,
        });
        let Some(node) = stopped else { return };
        self.hidden += 1;
        let id = CommandId(self.hidden);
        let command = Command::Start(node);
        let event = Event::Command {
            id,
            by: Actor::Supd,
            command,
        };
        let effects = self.tree.handle(now, event).0;
        let mut effects: Vec<_> = effects
            .into_iter()
            .filter(|effect| match effect {
                Effect::Reply { id: other, .. } => *other != id,
                Effect::Record(record) => !matches!(record.what, What::Command { .. }),
                _ => true,
            })
            .collect();
        self.renumber(&mut effects);
        if let Some((_, last)) = turns.last_mut() {
            last.extend(effects);
        }
    }
}

/// The specification as a mutant's engine understands it.
fn lie(spec: &Spec, mutant: Mutant) -> Spec {
    let mut settings = (*spec.settings).clone();
    if mutant == Mutant::RunsAllHooks {
        settings.hook_parallelism = 1000;
    }
    Spec {
        settings: Arc::new(settings),
        root: Arc::new(lie_about(&spec.root, mutant)),
        classes: Arc::clone(&spec.classes),
        remedies: lie_about_remedies(&spec.remedies, mutant),
        breakers: lie_about_breakers(&spec.breakers, mutant),
    }
}

/// The registry as a mutant's engine understands it.
fn lie_about_remedies(remedies: &Remedies, mutant: Mutant) -> Remedies {
    let free = |remedy: &Arc<Remedy>| match mutant {
        Mutant::RestartsForFree => Arc::new(Remedy {
            counts: Counts::No,
            ..(**remedy).clone()
        }),
        Mutant::IgnoresLimits => Arc::new(Remedy {
            limit: None,
            ..(**remedy).clone()
        }),
        _ => Arc::clone(remedy),
    };
    remedies.iter().map(free).collect()
}

fn lie_about_breakers(all: &Arc<[Arc<Breaker>]>, mutant: Mutant) -> Arc<[Arc<Breaker>]> {
    if mutant != Mutant::ReleasesAllAtOnce {
        return Arc::clone(all);
    }
    let at_once = |breaker: &Arc<Breaker>| {
        let mut other = (**breaker).clone();
        other.release.batch = 1000;
        Arc::new(other)
    };
    all.iter().map(at_once).collect()
}

fn lie_about(sup: &Supervisor, mutant: Mutant) -> Supervisor {
    let mut copy = sup.clone();
    match mutant {
        Mutant::StartsAllAtOnce => copy.start = StartMode::Parallel,
        Mutant::AllowsOneRestartMore => copy.max_restarts += 1,
        Mutant::KillsTooSoon => copy.children.iter_mut().for_each(malady::less_patient),
        Mutant::TouchesTooMany if copy.strategy == Strategy::RestForOne => {
            copy.strategy = Strategy::OneForAll;
        }
        Mutant::TouchesTooFew if copy.strategy == Strategy::OneForAll => {
            copy.strategy = Strategy::RestForOne;
        }
        _ => {}
    }
    copy.remedies = lie_about_remedies(&copy.remedies, mutant);
    for child in &mut copy.children {
        match child {
            Node::Supervisor(inner) => *inner = Arc::new(lie_about(inner, mutant)),
            Node::Service(service)
                if mutant == Mutant::RestartsTemporaries
                    && service.restart == Restart::Temporary
                    && !service.significant =>
            {
                let mut other = (**service).clone();
                other.restart = Restart::Permanent;
                *service = Arc::new(other);
            }
            Node::Service(service)
                if mutant == Mutant::BearsOneFailureMore && service.hold_after.is_some() =>
            {
                let mut other = (**service).clone();
                other.hold_after = other.hold_after.map(|own| HoldAfter {
                    failures: own.failures + 1,
                    ..own
                });
                *service = Arc::new(other);
            }
            Node::Service(_) => {}
        }
    }
    copy
}

/// What a mutant's engine hears of an order to a breaker: a force a thousand times as long.
fn forced(mutant: Mutant, event: Event) -> Event {
    match event {
        Event::Command {
            id,
            by,
            command: Command::Breaker(name, Force::Open { span, reason }),
        } if mutant == Mutant::ForcesForEver => {
            let span = span * 1000;
            let command = Command::Breaker(name, Force::Open { span, reason });
            Event::Command { id, by, command }
        }
        event => event,
    }
}

/// What a mutant's engine says of trials and of forced breakers.
fn misreport(mutant: Mutant, effect: &mut Effect) {
    let Effect::Record(record) = effect else {
        return;
    };
    match (mutant, &mut record.what) {
        (Mutant::CountsTrials, What::Exited(exit)) if exit.phase == Phase::Trial => {
            exit.budget = exit.budget.or(Some(Budget {
                supervisor: exit.run.node,
                bucket: None,
                used: 1,
                max: 1,
                period: Duration::ZERO,
            }));
        }
        (Mutant::ForcesForEver, What::Breaker(to)) if to.by.is_some() => {
            to.span = to.span.map(|span| span / 1000);
        }
        _ => {}
    }
}

/// The specification of a reload, where a service nobody has touched has another program.
fn with_another_program(spec: &Spec, number: u64) -> Spec {
    fn change(sup: &Supervisor, program: &Arc<Process>) -> Supervisor {
        let mut copy = sup.clone();
        if let Some(child) = copy.children.first_mut() {
            match child {
                Node::Supervisor(inner) => *inner = Arc::new(change(inner, program)),
                Node::Service(service) => {
                    let process = Arc::clone(program);
                    let changed = Service {
                        process,
                        ..(**service).clone()
                    };
                    *service = Arc::new(changed);
                }
            }
        }
        copy
    }
    let program = Arc::new(super::forest::process(&format!("mutant {number}")));
    Spec {
        settings: Arc::clone(&spec.settings),
        root: Arc::new(change(&spec.root, &program)),
        classes: Arc::clone(&spec.classes),
        remedies: Arc::clone(&spec.remedies),
        breakers: Arc::clone(&spec.breakers),
    }
}

fn answers(effects: &[Effect], command: CommandId) -> bool {
    let is_it = |effect: &Effect| matches!(effect, Effect::Reply { id, .. } if *id == command);
    effects.iter().any(is_it)
}
