// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything the engine can ask of the world. The daemon performs effects in order; what comes
//! of them returns as events, never as a value.

use super::event::{CommandId, NodeId, Outcome, ProbeAnswer, RunId};
use super::liveness::Question;
use super::record::{Culprit, Record, Seq};
use crate::spec::{Command, Family, Name, Probe, Remedy, Scope, Service, Signal, Trigger};
use std::sync::Arc;
use std::time::Duration;

/// Something to be done. The consequences arrive as [`Event`](super::Event)s.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Execute the service's program. Answered by `Spawned` or `SpawnFailed`, later `Exited`.
    Spawn {
        /// Its name from now on.
        run: RunId,
        /// What to execute.
        service: Arc<Service>,
    },
    /// Execute a helper of a service (its stop or reload command, an exec probe) in the service's
    /// own context. Answered like `Spawn`. The engine bounds it with `Signal`.
    SpawnHelper {
        /// Its name from now on.
        run: RunId,
        /// The service it works for.
        service: Arc<Service>,
        /// What to execute.
        command: Command,
        /// The service's process, for `SUPD_PID`; `None` when there is none.
        about: Option<RunId>,
    },
    /// Execute a step of a remedy. Answered by `Spawned` or `SpawnFailed`, later `HookDone`. The
    /// engine bounds its time with `Signal`; whatever it leaves behind is killed.
    RunHook {
        /// Its name from now on.
        run: RunId,
        /// The service it works for.
        service: Arc<Service>,
        /// The entry.
        remedy: Arc<Remedy>,
        /// Which of its steps, from 0.
        step: usize,
        /// What it is told.
        case: Box<Case>,
    },
    /// Send a signal. A run that is gone already is no error.
    Signal {
        /// To whom.
        run: RunId,
        /// What.
        signal: Signal,
        /// How far it reaches.
        scope: Scope,
    },
    /// Try a probe that is no exec, without blocking. Answered by `ProbeDone` within its timeout.
    Probe {
        /// Its name from now on.
        run: RunId,
        /// The service it asks about.
        about: RunId,
        /// What is asked.
        question: Question,
        /// What to try.
        probe: Arc<Probe>,
    },
    /// Forget this probe; its answer is no longer of interest.
    CancelProbe {
        /// Which one.
        run: RunId,
    },
    /// A probe has this answer; for whoever counts them.
    Answered {
        /// Of this service.
        node: NodeId,
        /// What was asked.
        question: Question,
        /// The answer, as far as it was believed.
        answer: ProbeAnswer,
    },
    /// Answer a command. Exactly one per command, never before its effect.
    Reply {
        /// Which one.
        id: CommandId,
        /// The answer.
        outcome: Outcome,
    },
    /// Write down what changed.
    Record(Box<Record>),
    /// Nothing of the tree is left: end the daemon. The last effect there is.
    Halt {
        /// Why, and with which code.
        halt: Halt,
    },
}

/// What a remedy is told about what it is for.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The record of the end; `None`: the service has never ended.
    pub of: Option<Seq>,
    /// The incident it belongs to.
    pub incident: Option<Seq>,
    /// The service's supervisor.
    pub supervisor: Name,
    /// The class of the end.
    pub class: Name,
    /// Its base class.
    pub base: &'static str,
    /// Its family.
    pub family: Family,
    /// What it is for besides a class.
    pub trigger: Option<Trigger>,
    /// The how-many-th restart in a row it is about, from 1.
    pub attempt: u32,
    /// Restarts left in the budget.
    pub budget_left: Option<u32>,
    /// The process it is about, if that lives.
    pub about: Option<RunId>,
    /// Whether it is only tried.
    pub rehearsal: Rehearsal,
}

/// Whether a remedy is only tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rehearsal {
    /// It is meant.
    No,
    /// Somebody tries it, and it does what it does.
    Wet,
    /// Somebody tries it, and it is to change nothing (`SUPD_DRY_RUN`).
    Dry,
}

/// Why the daemon ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// Somebody asked for it.
    Requested,
    /// The root gave up.
    GaveUp {
        /// The code of the culprit, never 0 (SEMANTICS §2).
        code: u8,
        /// What was too much for it.
        why: Defeat,
        /// The leaf at the end of the cause chain.
        culprit: Option<Box<Culprit>>,
    },
    /// The root shut itself down because of a significant child; its code, 0 included.
    AutoShutdown {
        /// The child's code.
        code: u8,
        /// That child, or the leaf at the end of its cause chain.
        culprit: Option<Box<Culprit>>,
    },
    /// Everything was stopped but these services, which SIGKILL did not end.
    TimedOut {
        /// In no particular order.
        left: Vec<Name>,
        /// From the order to here.
        after: Duration,
    },
}

/// What the root gave up for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defeat {
    /// One restart too many.
    Exhausted {
        /// The family whose budget it was; `None`: its own window.
        bucket: Option<Family>,
        /// Restarts allowed.
        max: u32,
        /// Within this time.
        period: Duration,
    },
    /// A child could not be started (`otp`).
    StartFailed,
    /// The remedy for this service said so.
    Told(Name),
}

/// What the engine wants done, in this order.
#[must_use = "effects that are dropped are decisions that never happened"]
#[derive(Debug, Default)]
pub struct Effects(pub Vec<Effect>);

impl IntoIterator for Effects {
    type Item = Effect;
    type IntoIter = std::vec::IntoIter<Effect>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
