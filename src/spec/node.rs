// SPDX-License-Identifier: MIT OR Apache-2.0
//! Supervisors and what they say about their children, in OTP's words (supervisor(3)).

use super::{Backoff, Budget, Name, Remedies, Service, Then};
use std::sync::Arc;
use std::time::Duration;

/// A child: an inner node or a leaf.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// An inner node.
    Supervisor(Arc<Supervisor>),
    /// A leaf.
    Service(Arc<Service>),
}

impl Node {
    /// Its name.
    pub fn name(&self) -> &Name {
        match self {
            Self::Supervisor(s) => &s.name,
            Self::Service(s) => &s.name,
        }
    }

    /// When it is restarted after it ended by itself.
    pub fn restart(&self) -> Restart {
        match self {
            Self::Supervisor(s) => s.restart,
            Self::Service(s) => s.restart,
        }
    }

    /// Whether its end counts for its supervisor's `auto_shutdown`.
    pub fn significant(&self) -> bool {
        match self {
            Self::Supervisor(s) => s.significant,
            Self::Service(s) => s.significant,
        }
    }

    /// Whether the tree is not ready while it is down.
    pub fn required(&self) -> bool {
        match self {
            Self::Supervisor(s) => s.required,
            Self::Service(s) => s.required,
        }
    }

    /// How long its restarts wait.
    pub fn backoff(&self) -> &Arc<Backoff> {
        match self {
            Self::Supervisor(s) => &s.backoff,
            Self::Service(s) => &s.backoff,
        }
    }
}

/// An inner node of the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Supervisor {
    /// Unique in the tree.
    pub name: Name,
    /// What its own supervisor does when it ends by itself.
    pub restart: Restart,
    /// Whether its end counts for its supervisor's `auto_shutdown`.
    pub significant: bool,
    /// Whether the tree is not ready while it is down.
    pub required: bool,
    /// How long its supervisor waits for it to stop.
    pub shutdown: Shutdown,
    /// Whom the failure of one child concerns.
    pub strategy: Strategy,
    /// Whether children wait for each other.
    pub start: StartMode,
    /// OTP to the letter, or with supd's additions.
    pub policy: Policy,
    /// Restarts allowed in `period`; one more and it gives up (SEMANTICS §2).
    pub max_restarts: u32,
    /// Families of failures that have a budget of their own, each at most once.
    pub budgets: Arc<[Budget]>,
    /// What follows one restart too many in the supervisor's own window.
    pub on_exhausted: Then,
    /// The sliding window of `max_restarts`.
    pub period: Duration,
    /// What is done about the ends of services below it, unless they say so themselves.
    pub remedies: Remedies,
    /// Whether it ends when significant children have ended.
    pub auto_shutdown: AutoShutdown,
    /// How long its own restarts wait at its supervisor.
    pub backoff: Arc<Backoff>,
    /// Distinct children, or identical ones.
    pub kind: SupervisorKind,
    /// In start order; a pool's are its instances.
    pub children: Vec<Node>,
}

/// What a supervisor's children are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SupervisorKind {
    /// Distinct children, each with its own specification.
    Tree,
    /// Identical instances of one service (OTP's `simple_one_for_one`): started and stopped all
    /// at once, finished ones are forgotten, always `one_for_one`.
    Pool,
}

/// Whom the failure of one child concerns (supervisor(3), "Restart strategy").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Only itself.
    OneForOne,
    /// All its siblings.
    OneForAll,
    /// Itself and those started after it.
    RestForOne,
}

/// When a child is restarted after it ended by itself (supervisor(3), "Restart type").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Permanent,
    /// After an abnormal exit.
    Transient,
    /// Never.
    Temporary,
}

/// Whether children wait for each other when they start and stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartMode {
    /// One after another, the next when the one before is ready; stopped in reverse.
    Ordered,
    /// All at once.
    Parallel,
}

/// Which rules a supervisor follows where OTP and supd differ (SEMANTICS, introduction).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// supd's additions: back-off, retried first starts, lasting manual stops.
    Supd,
    /// OTP to the letter.
    Otp,
}

/// Whether a supervisor ends when significant children have ended by themselves
/// (supervisor(3), "Automatic shutdown").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoShutdown {
    /// It does not.
    Never,
    /// With the first of them.
    AnySignificant,
    /// With the last of them.
    AllSignificant,
}

/// How long a stop may take before it becomes a kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// As long as it takes.
    Infinity,
    /// Killed after this time.
    Within(Duration),
}
