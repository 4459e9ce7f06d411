// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that can happen to the engine: a closed list.
//!
//! Every event is legal in every state. One that comes too late (a former run's exit, a probe of
//! a service that was stopped meanwhile) changes nothing and is counted.

use super::effect::Rehearsal;
use super::record::Argument;
use crate::spec::{
    ExitFacts, ExitStatus, Found, Name, Node, ProbeFault, Service, Signal, SpawnFailure,
    Supervisor, Tree as Spec, Verdict,
};
use std::fmt;
use std::ops::Add;
use std::sync::Arc;
use std::time::Duration;

/// Monotonic time in nanoseconds since an arbitrary origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(pub u64);

impl Time {
    /// The time that has passed since `earlier`; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// Saturates: a deadline beyond 584 years is never.
    fn add(self, span: Duration) -> Self {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

/// A node of the tree; never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// One fork-to-reap of a process that belongs to a node: its service, a probe, a stop command.
/// `life` is unique in the daemon's life, so that a late message never meets a later run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId {
    /// Whose process it is.
    pub node: NodeId,
    /// Which of all runs it is.
    pub life: u64,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.node.0, self.life)
    }
}

/// Names a command until it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

impl CommandId {
    /// Of an order of the engine's own, which is not answered.
    pub const NOBODY: Self = Self(0);
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The daemon is up: start the root. Once.
    Boot,
    /// There is a process for this run, which takes its time to execute its program: it can be
    /// signalled, and the time of its start runs. What came of it follows.
    Forked {
        /// Which one.
        run: RunId,
    },
    /// The program of this run was executed.
    Spawned {
        /// Which one.
        run: RunId,
    },
    /// It was not; there is no process, or one that was forked and ends by itself.
    SpawnFailed {
        /// Which one.
        run: RunId,
        /// The step that failed and why.
        failure: SpawnFailure,
    },
    /// The service said that it is ready (`READY=1`, or a newline on its descriptor).
    Ready {
        /// Which one.
        run: RunId,
    },
    /// The service said something else about itself (`sd_notify(3)`).
    Said {
        /// Which one.
        run: RunId,
        /// What.
        said: Said,
    },
    /// The last output of this run, which has ended, matches these patterns.
    Matched {
        /// Which one.
        run: RunId,
        /// What was found; at most one for each pattern and stream.
        found: Box<[Found]>,
    },
    /// The process has ended and was reaped.
    Exited {
        /// Which one.
        run: RunId,
        /// What is known about its end.
        facts: ExitFacts,
    },
    /// A probe of the daemon's own (not an exec) has an answer.
    ProbeDone {
        /// The run it was started as.
        run: RunId,
        /// The answer.
        answer: ProbeAnswer,
    },
    /// The program of a remedy has ended and was reaped, and nothing of it is left.
    HookDone {
        /// The run it was started as.
        run: RunId,
        /// How it ended.
        status: ExitStatus,
        /// The wait its last line asks for.
        after: Option<Duration>,
    },
    /// [`next_deadline`](super::Tree::next_deadline) has passed.
    Deadline,
    /// The daemon or the whole machine stood still until now: what was asked before says nothing.
    Resumed,
    /// Somebody wants something.
    Command {
        /// For the answer.
        id: CommandId,
        /// Who.
        by: Actor,
        /// What.
        command: Command,
    },
    /// Stop the whole tree and halt; a second one hastens the first.
    Shutdown {
        /// How patiently.
        haste: Haste,
        /// Who asked.
        by: Actor,
    },
}

/// What a service says about itself besides that it is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// `STOPPING=1`: it is about to end by itself.
    Stopping,
    /// `EXTEND_TIMEOUT_USEC=…`: its start or stop needs at least this time from now on.
    Extend(Duration),
    /// `WATCHDOG=1`: it is alive.
    Alive,
    /// `WATCHDOG=trigger`: it is not.
    Broken,
    /// `WATCHDOG_USEC=…`: it will say that it is alive at least this often.
    Watchdog(Duration),
    /// `X_SUPD_CLASS=…`: what its end will be called; empty: nothing, after all.
    Class(Box<str>),
    /// `X_SUPD_RETRY_AFTER_SEC=…`: when it should be started again after its end.
    RetryAfter(Duration),
    /// `ERRNO=…`.
    Errno(i32),
    /// `BUSERROR=…`.
    BusError(Box<str>),
}

/// How patiently the whole tree is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Haste {
    /// In reverse order, every service with its own timeouts.
    Orderly,
    /// In reverse order, no timeout longer than a second.
    Short,
    /// SIGKILL to everybody at once.
    Kill,
}

/// Who caused something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A client of the socket (`SO_PEERCRED`).
    Client {
        /// Its user.
        uid: u32,
        /// Its process.
        pid: i32,
    },
    /// A signal sent to supd.
    Signal(Signal),
    /// supd itself.
    Supd,
}

/// What an operator, or a program, can ask of the tree (SEMANTICS §4).
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Start a node that is down; clears back-off and a stop by hand. OTP's `restart_child`.
    Start(NodeId),
    /// Stop a node; it stays down until it is started. OTP's `terminate_child`.
    Stop(NodeId),
    /// Restart what the strategy says.
    Restart(NodeId),
    /// Restart this node and no other.
    RestartOnly(NodeId),
    /// Tell a service to read its own configuration again.
    ReloadService(NodeId),
    /// Send a signal to a service's process.
    Signal(NodeId, Signal),
    /// Forget a node's back-off and its supervisor's history.
    Reset(NodeId),
    /// Leave the node as it is until it is unpinned.
    Pin(NodeId),
    /// Supervise it again.
    Unpin(NodeId),
    /// Give a pool these instances; the first ones it has are kept.
    Scale(NodeId, Vec<Arc<Service>>),
    /// Add a child at the end and start it. OTP's `start_child`.
    Add(NodeId, Node),
    /// Forget a child that is down. OTP's `delete_child`.
    Delete(NodeId),
    /// Count children as OTP's `count_children` does.
    Count(NodeId),
    /// List children as OTP's `which_children` does, in start order.
    Which(NodeId),
    /// Replace the flags and children of one supervisor as OTP's `code_change` does.
    CodeChange(NodeId, Arc<Supervisor>),
    /// Try the remedy that a service has for this class; nothing follows from its verdict.
    Remedy(NodeId, Box<str>, Rehearsal),
    /// Make the tree what this specification says.
    Apply(Arc<Spec>),
    /// Force the breaker of this name, or no longer.
    Breaker(Name, Force),
}

/// What somebody wants of a breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Force {
    /// Open, for this long.
    Open {
        /// How long.
        span: Duration,
        /// Why, in the operator's words.
        reason: Option<Box<str>>,
    },
    /// Closed, for this long.
    Closed {
        /// How long.
        span: Duration,
        /// Why, in the operator's words.
        reason: Option<Box<str>>,
    },
    /// As it would be by itself.
    Auto,
}

impl Command {
    /// The node it is about; `None`: the whole tree.
    pub fn node(&self) -> Option<NodeId> {
        match self {
            Self::Start(id)
            | Self::Stop(id)
            | Self::Restart(id)
            | Self::RestartOnly(id)
            | Self::ReloadService(id)
            | Self::Signal(id, _)
            | Self::Reset(id)
            | Self::Pin(id)
            | Self::Unpin(id)
            | Self::Scale(id, _)
            | Self::Add(id, _)
            | Self::Delete(id)
            | Self::Count(id)
            | Self::Which(id)
            | Self::Remedy(id, ..)
            | Self::CodeChange(id, _) => Some(*id),
            Self::Apply(_) | Self::Breaker(..) => None,
        }
    }

    /// The word for it in records; `None`: it changes nothing.
    pub fn verb(&self) -> Option<&'static str> {
        match self {
            Self::Start(_) => Some("start"),
            Self::Stop(_) => Some("stop"),
            Self::Restart(_) | Self::RestartOnly(_) => Some("restart"),
            Self::ReloadService(_) => Some("reload"),
            Self::Signal(..) => Some("signal"),
            Self::Reset(_) => Some("reset"),
            Self::Pin(_) => Some("pin"),
            Self::Unpin(_) => Some("unpin"),
            Self::Scale(..) => Some("scale"),
            Self::Add(..) => Some("add"),
            Self::Delete(_) => Some("delete"),
            Self::CodeChange(..) => Some("code_change"),
            Self::Remedy(..) => Some("remediation test"),
            Self::Apply(_) => Some("apply"),
            Self::Breaker(..) => Some("breaker"),
            Self::Count(_) | Self::Which(_) => None,
        }
    }

    /// What it was given besides its node, for records.
    pub fn argument(&self) -> Option<Argument> {
        match self {
            Self::Signal(_, signal) => Some(Argument::Signal(*signal)),
            Self::Scale(_, instances) => Some(Argument::Instances(instances.len())),
            Self::Start(_)
            | Self::Stop(_)
            | Self::Restart(_)
            | Self::RestartOnly(_)
            | Self::ReloadService(_)
            | Self::Reset(_)
            | Self::Pin(_)
            | Self::Unpin(_)
            | Self::Add(..)
            | Self::Delete(_)
            | Self::Count(_)
            | Self::Which(_)
            | Self::CodeChange(..)
            | Self::Remedy(..)
            | Self::Breaker(..)
            | Self::Apply(_) => None,
        }
    }
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done, with all its effects.
    Done,
    /// Nothing to do: it runs already.
    Running,
    /// It is about to be restarted.
    Restarting,
    /// No such node, or no longer.
    NotFound,
    /// The start failed; `String` has no place here: the failure is in the record.
    StartFailed,
    /// A running child has this name.
    AlreadyStarted,
    /// A child that does not run has this name.
    AlreadyPresent,
    /// The specification contradicts the supervisor's flags.
    InvalidSpec,
    /// Its supervisor does not run.
    SupervisorDown,
    /// It has no process.
    NotRunning,
    /// A pool has no such operation.
    Unsupported,
    /// Another command took its place, or the operator stopped the node meanwhile.
    Superseded,
    /// The node is pinned.
    Pinned,
    /// It is not started: it waits for this sibling, which is held or parked.
    Waits(NodeId),
    /// The supervisor has too many commands waiting, or the node something else to do.
    Busy,
    /// No entry of the registry is for that class.
    NoRemedy,
    /// What a remedy that was tried has answered.
    Remedied {
        /// Its verdict.
        verdict: Verdict,
        /// The wait it asks for.
        after: Option<Duration>,
    },
    /// The answer to [`Command::Count`].
    Counts(Counts),
    /// The answer to [`Command::Which`].
    Children(Vec<(NodeId, ChildStatus)>),
    /// What [`Command::Apply`] did.
    Applied(Applied),
}

/// What `count_children` counts (supervisor(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Specifications, running or not.
    pub specs: usize,
    /// Children that run.
    pub active: usize,
    /// Specifications of supervisors.
    pub supervisors: usize,
    /// Specifications of services.
    pub workers: usize,
}

/// A child as `which_children` sees it (supervisor(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildStatus {
    /// It has a process, or is a supervisor that runs.
    Running,
    /// A failed restart will be tried again.
    Restarting,
    /// Neither.
    Stopped,
}

/// How many nodes an apply touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// New nodes.
    pub added: usize,
    /// Nodes that are gone.
    pub removed: usize,
    /// Services whose process was replaced because of themselves or a sibling.
    pub restarted: usize,
    /// Nodes changed without touching a process.
    pub in_place: usize,
}

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeAnswer {
    /// It is there.
    Success,
    /// It is not, because of this.
    Failure(ProbeFault),
    /// The probe could not be made; this says nothing about the service.
    Unknown(ProbeFault),
}

impl ProbeAnswer {
    /// The word for it in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure(_) => "failure",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Why it is no success.
    pub fn fault(self) -> Option<ProbeFault> {
        match self {
            Self::Success => None,
            Self::Failure(fault) | Self::Unknown(fault) => Some(fault),
        }
    }

    /// The answer of a probe that did not succeed.
    pub fn of(fault: ProbeFault) -> Self {
        if fault.is_about_the_service() {
            Self::Failure(fault)
        } else {
            Self::Unknown(fault)
        }
    }
}
