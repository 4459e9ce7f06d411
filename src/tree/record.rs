// SPDX-License-Identifier: MIT OR Apache-2.0
//! The line that says what changed: the single source of logs, events, `why` and test traces.
//!
//! Records are numbered densely by the engine; `cause` is the number of the record that led to
//! this one. They hold facts of the engine only: the daemon adds wall time, pids and last lines.

use super::classify::Classification;
use super::condemn::{Condemned, Suspension};
use super::event::{Actor, NodeId, ProbeAnswer, RunId, Time};
use super::liveness::Question;
use super::qualifier::Qualifiers;
use super::transition::{Holder, Transition};
use crate::spec::{
    ExitFacts, ExitStatus, Family, Name, Phase, ProbeFault, Process, Signal, SpawnFailure,
    Strategy, Testimony, Trigger, Verdict,
};
use std::sync::Arc;
use std::time::Duration;

/// A record's number: dense, rising, never reused while the daemon lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its number.
    pub seq: Seq,
    /// When, monotonic.
    pub at: Time,
    /// Of which node; `None`: of the daemon.
    pub node: Option<NodeId>,
    /// Its name, so that a record outlives the node.
    pub name: Option<Name>,
    /// The record that caused it.
    pub cause: Option<Seq>,
    /// The incident it belongs to, named after the record that opened it.
    pub incident: Option<Seq>,
    /// What changed.
    pub what: What,
}

/// What changed (INTERFACES, "Events").
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// `service.starting`: its program is about to be executed.
    Starting {
        /// Its new run.
        run: RunId,
        /// The how-many-th start of this service it is, from 1.
        number: u32,
        /// Why.
        why: StartWhy,
    },
    /// `service.ready`: the start is done, or a service that was unready serves again.
    Ready {
        /// Its run; `None`: a supervisor.
        run: Option<RunId>,
        /// From the start, or from the record of `Unready`, to here.
        took: Duration,
    },
    /// `service.unready`: it runs and does not serve any more.
    Unready {
        /// Its run.
        run: RunId,
        /// Who says so.
        why: Unready,
    },
    /// `probe.changed`: the answers about a service that is up are other ones than before.
    ProbeChanged {
        /// Its run.
        run: RunId,
        /// What is asked.
        question: Question,
        /// The answer from now on.
        answer: ProbeAnswer,
    },
    /// `liveness.suspended`: it was to be killed for being unhealthy and is not, for now.
    LivenessSuspended {
        /// Its run.
        run: RunId,
        /// Why not.
        why: Suspension,
    },
    /// `service.exited`: the process is gone, or never was.
    Exited(Box<Exit>),
    /// What is decided about an exit whose record could not say it yet, or about the end of a
    /// supervisor.
    Decided {
        /// The record of the end.
        of: Seq,
        /// Its class.
        class: Classification,
        /// What is done about it.
        decision: Decision,
        /// The budget after it, when it took a token.
        budget: Option<Budget>,
    },
    /// `service.stopping`: it was asked to stop.
    Stopping {
        /// Its run; `None`: a supervisor.
        run: Option<RunId>,
        /// Why.
        why: StopWhy,
    },
    /// A rung of the stop ladder: `service.stopping` again.
    Signalled {
        /// Its run.
        run: RunId,
        /// What was sent.
        signal: Signal,
    },
    /// `service.stopped`: it is down because it was stopped.
    Stopped {
        /// Why it had been.
        why: StopWhy,
    },
    /// `supervisor.stopped`: it and all below it are down, because it was stopped.
    SupervisorStopped {
        /// Why it had been.
        why: StopWhy,
    },
    /// `service.backoff`: it waits before the next start.
    Backoff {
        /// For this long.
        delay: Duration,
        /// Starts that failed in a row.
        attempt: u32,
    },
    /// `service.unkillable`: SIGKILL had no effect for 5 s.
    Unkillable {
        /// Its run.
        run: RunId,
    },
    /// `supervisor.starting`: a supervisor begins to start its children.
    SupervisorStarting {
        /// Which incarnation it is, from 1.
        number: u32,
        /// Why.
        why: StartWhy,
    },
    /// `supervisor.strategy`: who is stopped and started because of one child.
    Strategy {
        /// The rule.
        strategy: Strategy,
        /// The child it is about.
        child: NodeId,
        /// Whom it touches, in start order.
        scope: Vec<Name>,
    },
    /// `supervisor.exhausted`: one restart too many.
    Exhausted {
        /// The child whose restart it was.
        child: NodeId,
        /// Its name.
        child_name: Name,
        /// The budget.
        budget: Budget,
    },
    /// `service.parked`: it is not restarted until somebody acts.
    Parked {
        /// The budget that is used up; `None`: a remedy said so.
        budget: Option<Budget>,
    },
    /// `service.held`: it is not restarted for a time, or until a breaker lets it go.
    Held {
        /// What holds it.
        by: Holder,
        /// For this long; `None`: nobody knows.
        span: Option<Duration>,
    },
    /// `service.released`: it is no longer parked or held; a budget that was used up is empty
    /// again, its own breaker is closed.
    Released,
    /// `remediation.started`: what is done about an end has begun.
    RemedyStarted {
        /// The entry.
        remedy: Name,
        /// Its first program, if it has one.
        run: Option<RunId>,
        /// What it is for.
        class: Name,
        /// Or besides a class.
        trigger: Option<Trigger>,
    },
    /// `remediation.step`: a step of an entry is done, and another one follows.
    RemedyStep {
        /// The entry.
        remedy: Name,
        /// The step's program.
        run: RunId,
        /// Which one, from 0.
        step: usize,
    },
    /// `remediation.finished`: the entry has answered.
    RemedyFinished {
        /// The entry.
        remedy: Name,
        /// The program that said so, if it was one of this service.
        run: Option<RunId>,
        /// Its verdict.
        verdict: Verdict,
        /// The wait it asks for.
        after: Option<Duration>,
        /// From its begin to here.
        took: Duration,
        /// How that program ended.
        how: Option<HookEnd>,
    },
    /// `remediation.skipped`: nothing is done about an end.
    RemedySkipped {
        /// The entry that would have been for it; `None`: there is none.
        remedy: Option<Name>,
        /// Why.
        why: Skip,
    },
    /// `breaker.transition`: a breaker is in another state. About no node.
    Breaker(Box<Transition>),
    /// `breaker.alarm`: a breaker has opened, or has been closed and its services steady.
    BreakerAlarm {
        /// Which one.
        breaker: Name,
        /// Whether it begins.
        raised: bool,
    },
    /// `supervisor.escalated`: a supervisor ended by itself; its own supervisor decides.
    Escalated {
        /// `escalated` or `auto_shutdown`, of the family of its cause.
        class: Classification,
        /// The leaf at the end of the cause chain.
        culprit: Option<Culprit>,
    },
    /// A supervisor could not be started, because one of its children could not (`otp`).
    StartFailed {
        /// That child.
        child: NodeId,
        /// Its name.
        child_name: Name,
    },
    /// A node is now in the tree.
    Added,
    /// A node is no longer in the tree.
    Removed,
    /// A node's specification changed in place.
    Changed,
    /// `command`: a client or a signal asked for something.
    Command {
        /// Who.
        by: Actor,
        /// The verb.
        verb: &'static str,
        /// What it was to be done with.
        with: Option<Argument>,
    },
    /// `daemon.stopping`: the whole tree is being stopped.
    ShuttingDown {
        /// Who asked.
        by: Actor,
        /// Whom the stop waits for first.
        waiting_for: Option<Name>,
    },
    /// `supervisor.health`: a supervisor's state as people see it has changed.
    Health {
        /// The state's word.
        health: &'static str,
    },
    /// `daemon.*`, `orphan.reaped`: something about the daemon itself; the engine numbers it
    /// (`Tree::note`) and has no part in it.
    Daemon {
        /// The event's kind.
        kind: &'static str,
        /// One line for people.
        detail: Box<str>,
        /// Who brought it about, when somebody did.
        by: Option<Actor>,
    },
}

/// What a command was given besides its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// What is to be sent (`signal`).
    Signal(Signal),
    /// How many there are to be (`scale`).
    Instances(usize),
}

/// How the program of a remedy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookEnd {
    /// By itself, or by a signal of somebody else.
    Status(ExitStatus),
    /// It could not be executed.
    NotStarted(SpawnFailure),
    /// It was killed because its time was over.
    TimedOut,
}

/// Why nothing is done about an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// No entry is for it.
    NoEntry,
    /// The entry was used as often as its `limit` allows.
    Limit,
    /// It has failed too often in a row.
    SwitchedOff {
        /// Until then.
        until: Time,
    },
    /// It only looks (`mode = "observe"`).
    Observed,
    /// No slot was free in its time (`hook_parallelism`).
    Busy,
    /// It has given this budget back already, within its window.
    Refunded,
    /// It deletes, and its class was found by output alone, which may come from strangers.
    Untrusted,
}

/// Why a service that is up does not serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unready {
    /// A probe after the first success says so.
    Probe(ProbeFault),
    /// It has said that it is stopping (`STOPPING=1`).
    Stopping,
}

/// The end of a process, or of the attempt to start one.
#[derive(Debug, Clone, PartialEq)]
pub struct Exit {
    /// Which run.
    pub run: RunId,
    /// Which start of the service it was, from 1.
    pub number: u32,
    /// Its class (SEMANTICS §5).
    pub class: Classification,
    /// What the service was doing.
    pub phase: Phase,
    /// From the start to the end.
    pub uptime: Duration,
    /// What else is to be said about it.
    pub qualifiers: Qualifiers,
    /// The kernel's facts; `None` when there was no process.
    pub facts: Option<ExitFacts>,
    /// What failed when there was no process.
    pub failure: Option<SpawnFailure>,
    /// And what was to be executed.
    pub attempted: Option<Arc<Process>>,
    /// Why it was not ready: its last probe.
    pub probe: Option<ProbeFault>,
    /// What it said and wrote about its end itself.
    pub testimony: Option<Arc<Testimony>>,
    /// What is done about it.
    pub decision: Decision,
    /// The budget after it, when it took a token.
    pub budget: Option<Budget>,
}

/// What is done about an exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is restarted, and whom the strategy names with it.
    Restart {
        /// After this time.
        delay: Duration,
    },
    /// It stays down.
    StayDown,
    /// Something is done about it first (SEMANTICS §6).
    Remediate,
    /// It was one too many: the supervisor gives up.
    Escalate,
    /// It was one too many: it is parked.
    Park,
    /// It was one too many, or a breaker is open: it is held.
    Hold {
        /// For this long.
        delay: Duration,
    },
    /// The probe of a breaker says whether it counts.
    Confirm,
    /// It was asked for.
    Expected,
    /// It was found dead when it was to be stopped: part of what is already under way.
    Absorbed,
    /// It is pinned: nobody touches it.
    LeftAlone,
    /// Its supervisor is busy; it decides when it is done.
    Queued,
    /// The start is done: a oneshot that exited 0.
    Done,
}

/// A supervisor's restart budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Whose.
    pub supervisor: NodeId,
    /// The family it is for; `None`: the supervisor's own window.
    pub bucket: Option<Family>,
    /// Restarts in the window, this one included.
    pub used: u32,
    /// Restarts allowed.
    pub max: u32,
    /// The window.
    pub period: Duration,
}

/// The leaf at the end of a cause chain, and the code supd would end with because of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprit {
    /// Its node.
    pub node: NodeId,
    /// Its name.
    pub name: Name,
    /// How it ended.
    pub class: Classification,
    /// The process's own words: exit code, signal or spawn failure, as an exit code
    /// (SEMANTICS §2).
    pub code: u8,
    /// One clause for people: `exit 3`, `signal SEGV`, `cannot exec: No such file …` as errno.
    pub how: How,
}

/// How a culprit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// By itself or by a signal.
    Status(ExitStatus),
    /// Never started.
    Spawn(SpawnFailure),
    /// Killed by us, because it was not ready in time.
    StartTimeout,
    /// Killed by us, because it did not work.
    Unhealthy(Condemned),
}

/// Why something is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartWhy {
    /// Its supervisor starts.
    Boot,
    /// It ended and is restarted.
    Restart,
    /// A sibling's restart includes it.
    Group(NodeId),
    /// A failed start is tried again.
    Retry,
    /// It is no longer parked, held or pinned, or was waiting for one that was.
    Released,
    /// It was held: whether it may go on is decided by how this one goes.
    Trial,
    /// By order.
    Command,
    /// The configuration asks for it.
    Apply,
}

impl StopWhy {
    /// Whether somebody wants it down, and it is no failure of its own.
    pub fn is_asked_for(self) -> bool {
        match self {
            Self::Group(_) | Self::Supervisor | Self::Shutdown | Self::Command(_) | Self::Apply => {
                true
            }
            Self::StartTimeout | Self::Unhealthy(_) => false,
        }
    }
}

/// Why something is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopWhy {
    /// A sibling's restart includes it.
    Group(NodeId),
    /// Its supervisor goes down.
    Supervisor,
    /// The whole tree goes down.
    Shutdown,
    /// By order.
    Command(Actor),
    /// The configuration asks for it.
    Apply,
    /// It was not ready in time.
    StartTimeout,
    /// It does not work any more.
    Unhealthy(Condemned),
}
