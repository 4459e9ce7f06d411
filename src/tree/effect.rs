// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything the engine can ask of the world. The daemon performs effects in order; what comes
//! of them returns as events, never as a value.

use super::event::{CommandId, Outcome, RunId};
use super::record::{Culprit, Record};
use crate::spec::{Command, Family, Name, Probe, Scope, Service, Signal};
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
        /// What to try.
        probe: Arc<Probe>,
    },
    /// Forget this probe; its answer is no longer of interest.
    CancelProbe {
        /// Which one.
        run: RunId,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
