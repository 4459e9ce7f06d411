// SPDX-License-Identifier: MIT OR Apache-2.0
//! The remediation registry: what is done about an end before the service is started again
//! (SEMANTICS §6).
//!
//! An entry belongs to a service, to a supervisor or to the whole tree, and is for a class, a
//! family, everything, or a trigger. Which one is taken, and what follows from its answer, is
//! decided in the engine.

use super::{Command, Family, Name, Signal};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The entries of one place, none of them for the same thing.
pub type Remedies = Arc<[Arc<Remedy>]>;

/// One entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Remedy {
    /// What it is called in records, unique in a configuration: `oom_kill` for one of the registry,
    /// `web/oom_kill` for one of the service or supervisor `web`.
    pub id: Name,
    /// What it is for.
    pub on: Occasion,
    /// What is done, in this order, until a step does not answer `fixed`. Never empty.
    pub steps: Box<[Step]>,
    /// How long a step may take that runs something or waits for somebody.
    pub timeout: Duration,
    /// How often it may be used; beyond that it is skipped.
    pub limit: Option<Rate>,
    /// Whether the restart that follows takes a token.
    pub counts: Counts,
    /// Whether anything is done at all.
    pub mode: Mode,
    /// In whose surroundings its programs run.
    pub runs_as: RunsAs,
    /// Whether services that fail for it at one time share one run and its verdict.
    pub flight: Flight,
}

/// What an entry is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occasion {
    /// Ends of this class, or of this base class.
    Class(Name),
    /// Ends of this family.
    Family(Family),
    /// Every end.
    Any,
    /// Something besides an end.
    Trigger(Trigger),
}

impl Occasion {
    /// How it is written as a key.
    pub fn key(&self) -> String {
        match self {
            Self::Class(name) => name.to_string(),
            Self::Family(family) => format!("family:{}", family.as_str()),
            Self::Any => "*".to_owned(),
            Self::Trigger(trigger) => trigger.as_str().to_owned(),
        }
    }
}

/// What a remedy can be for besides the class of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trigger {
    /// The third early end in a row.
    Flapping,
    /// A budget is used up; asked before what follows from that.
    Exhausted,
    /// A service is about to be killed for its liveness.
    Unhealthy,
    /// A service is held.
    Held,
    /// A service that was held is let go.
    Recovered,
}

impl Trigger {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Flapping,
        Self::Exhausted,
        Self::Unhealthy,
        Self::Held,
        Self::Recovered,
    ];

    /// The word for it in files and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Flapping => "flapping",
            Self::Exhausted => "exhausted",
            Self::Unhealthy => "unhealthy",
            Self::Held => "held",
            Self::Recovered => "recovered",
        }
    }
}

/// One thing that is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A program is run; its exit code is the verdict.
    Run(Command),
    /// Time passes.
    Delay(Duration),
    /// A service gets a signal.
    Signal {
        /// Which one.
        service: Name,
        /// What.
        signal: Signal,
    },
    /// A service, not the one that has failed, is restarted, and nobody waits for it.
    Restart(Name),
    /// Evidence is collected into the record.
    Capture(Box<[Evidence]>),
    /// A lock whose owner is dead is removed.
    RemoveStaleLock {
        /// The file.
        path: PathBuf,
        /// How it is a lock.
        kind: LockKind,
    },
    /// The service is not started until somebody acts.
    Park,
    /// The supervisor gives up.
    Escalate,
}

/// What `capture` collects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Where the process stands in the kernel, and what it waits for.
    Stack,
    /// /proc/PID/status.
    Status,
    /// Its last words on stderr.
    Stderr,
}

impl Evidence {
    /// The word for it in files and on a command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stack => "stack",
            Self::Status => "status",
            Self::Stderr => "stderr",
        }
    }
}

/// How a file is a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// Its first line is the number of its owner's process.
    Pidfile,
    /// Its owner holds it with flock(2) or fcntl(2).
    Flock,
}

impl LockKind {
    /// The word for it in files and on a command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pidfile => "pidfile",
            Self::Flock => "flock",
        }
    }
}

/// So many in a sliding window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In which time.
    pub period: Duration,
}

/// Whether the restart after a remedy takes a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// As any restart.
    Yes,
    /// Not as long as the remedy's own limit holds.
    No,
}

/// Whether a remedy does anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It does.
    Act,
    /// That it would have is recorded, and nothing else.
    Observe,
}

/// In whose surroundings a remedy's programs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunsAs {
    /// The service's: its user, directory, limits and environment.
    Service,
    /// Those of supd.
    Supd,
}

/// Whether services that fail for one cause share a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flight {
    /// Each has its own.
    Own,
    /// They share one and its verdict.
    Single,
}

/// What a remedy has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The cause is gone: the service is started now.
    Fixed,
    /// The usual back-off, or the time it asked for.
    Retry,
    /// It is the fault of what the service depends on.
    Blame,
    /// No restart until somebody acts.
    Park,
    /// The supervisor gives up.
    Escalate,
    /// Nothing for this entry: the next one outward is asked.
    Declined,
    /// It could not say.
    Failed,
    /// It was called off by something that came first.
    Cancelled,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Fixed,
        Self::Retry,
        Self::Blame,
        Self::Park,
        Self::Escalate,
        Self::Declined,
        Self::Failed,
        Self::Cancelled,
    ];

    /// What an exit code of a hook means (SEMANTICS §6; the numbers are those of sysexits(3), and
    /// s6's 125).
    pub fn of_code(code: u8) -> Self {
        match code {
            0 => Self::Fixed,
            64 => Self::Declined,
            69 => Self::Blame,
            70 => Self::Escalate,
            75 => Self::Retry,
            78 | 125 => Self::Park,
            _other => Self::Failed,
        }
    }

    /// The word for it in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Retry => "retry",
            Self::Blame => "blame",
            Self::Park => "park",
            Self::Escalate => "escalate",
            Self::Declined => "declined",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}
