// SPDX-License-Identifier: MIT OR Apache-2.0
//! A leaf: one process, when it is ready, how it is stopped, how long its restarts wait.

use super::{Command, Health, HoldAfter, Name, Process, Remedies, Restart, Signal};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A leaf of the tree: one OS process at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Unique in the tree; `pool.3` for the third instance of a pool.
    pub name: Name,
    /// Runs until it is stopped, or once.
    pub kind: ServiceKind,
    /// What happens when it ends by itself.
    pub restart: Restart,
    /// Whether its end counts for its supervisor's `auto_shutdown`.
    pub significant: bool,
    /// Whether the tree is not ready while it is down.
    pub required: bool,
    /// Whether it is started with its supervisor; else only by hand.
    pub enabled: bool,
    /// How long its restarts wait.
    pub backoff: Arc<Backoff>,
    /// Breakers that hold it when they are open, each at most once.
    pub breakers: Arc<[Name]>,
    /// Its own breaker.
    pub hold_after: Option<HoldAfter>,
    /// Exit codes that are clean besides 0.
    pub success_codes: Box<[u8]>,
    /// Deaths by signal that are clean.
    pub success_signals: Box<[Signal]>,
    /// When a start is done.
    pub ready: Ready,
    /// How long a start may take; `None`: as long as it likes.
    pub start_timeout: Option<Duration>,
    /// What is asked of it while it is ready.
    pub health: Health,
    /// How it is stopped.
    pub stop: Arc<Stop>,
    /// How it is told to read its own configuration again.
    pub reload: Option<Reload>,
    /// What is done about its ends.
    pub remedies: Remedies,
    /// What is executed.
    pub process: Arc<Process>,
}

/// Whether a service goes on or comes to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceKind {
    /// Runs until it is stopped.
    Daemon,
    /// Is started when it has exited 0, and then done; its time is `start_timeout`.
    Oneshot,
}

/// When a start is done (SEMANTICS §9).
#[derive(Debug, Clone, PartialEq)]
pub enum Ready {
    /// A successful exec.
    Exec,
    /// `READY=1` over `sd_notify(3)`.
    Notify,
    /// A newline on this descriptor, s6's way; the service sees the descriptor under this number.
    Fd(u32),
    /// The service stays alive for this long.
    After(Duration),
    /// A probe succeeds.
    Probe(Arc<Probe>),
}

/// A question asked of a service from outside, again and again until it succeeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// What is tried.
    pub target: ProbeTarget,
    /// From the end of one attempt to the begin of the next.
    pub every: Duration,
    /// An attempt that takes longer has failed.
    pub timeout: Duration,
    /// From one attempt to the next once it is ready; `None`: the first success is the last word.
    pub recheck: Option<Duration>,
}

/// What a probe tries.
#[derive(Debug, Clone, PartialEq)]
pub enum ProbeTarget {
    /// A command that exits 0, in the service's own context.
    Exec(Command),
    /// A TCP connection. `host` is an IP address or `localhost`: nothing is resolved in the daemon.
    Tcp {
        /// IPv4 or IPv6 address, or `localhost`.
        host: Box<str>,
        /// 1 to 65535.
        port: u16,
    },
    /// An HTTP request (GET) that is answered with a status from 200 to 399.
    Http {
        /// As for `Tcp`.
        host: Box<str>,
        /// 1 to 65535.
        port: u16,
        /// What is asked for, from the slash on; visible ASCII only.
        path: Box<str>,
    },
    /// A connection to a Unix stream socket.
    Unix(PathBuf),
    /// A file exists, and is not as it was before the run was started.
    File(PathBuf),
}

/// The ladder of a stop: the command, then each step until the process is gone, then SIGKILL.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    /// Run first, bounded by the first step's timeout.
    pub command: Option<Command>,
    /// Empty: SIGKILL at once (OTP's `brutal_kill`).
    pub steps: Box<[StopStep]>,
    /// Whom the signals reach.
    pub scope: Scope,
}

/// One rung of the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopStep {
    /// What is sent; SIGCONT follows, so that a stopped process sees it.
    pub signal: Signal,
    /// How long until the next rung; `None`: for ever (OTP's `infinity`).
    pub timeout: Option<Duration>,
}

/// Whom the signals of a stop reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The process group and whatever else of the run is left.
    Tree,
    /// The process group.
    Group,
    /// The process alone.
    Leader,
}

/// How a service reads its own configuration again.
#[derive(Debug, Clone, PartialEq)]
pub enum Reload {
    /// It is sent this signal.
    Signal(Signal),
    /// This command is run in its context.
    Command(Command),
}

/// How long restarts wait (SEMANTICS §8).
#[derive(Debug, Clone, PartialEq)]
pub enum Backoff {
    /// Not at all.
    None,
    /// Growing from a first delay to a largest one.
    Curve(BackoffCurve),
    /// These delays, the last one repeated. Never empty.
    List {
        /// In order of the attempts.
        delays: Box<[Duration]>,
        /// As in [`BackoffCurve::reset_after`].
        reset_after: Option<Duration>,
    },
}

/// An exponential back-off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BackoffCurve {
    /// The first wait; the restart before it is immediate.
    pub initial: Duration,
    /// Each wait is this many times the one before; at least 1.
    pub factor: f64,
    /// No wait is longer.
    pub max: Duration,
    /// How chance spreads the waits.
    pub jitter: Jitter,
    /// Time of being ready after which the curve begins anew;
    /// `None`: the larger of 10 s and twice the time it took to be ready.
    pub reset_after: Option<Duration>,
}

/// How chance spreads the waits (the four kinds of the AWS architecture blog's simulator).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jitter {
    /// No chance.
    None,
    /// Between nothing and the wait.
    Full,
    /// Between half of the wait and the wait.
    Equal,
    /// Between `initial` and three times the wait before, at most `max`.
    Decorrelated,
}

impl Ready {
    /// What a process is given at its start so that it can say when it is ready.
    pub fn hands_over(&self) -> HandOver {
        match self {
            Self::Notify => HandOver::NotifySocket,
            Self::Fd(number) => HandOver::Descriptor(*number),
            Self::Exec | Self::After(_) | Self::Probe(_) => HandOver::Nothing,
        }
    }
}

impl Service {
    /// Whether it is given a socket to speak about itself.
    pub fn speaks(&self) -> bool {
        self.health.watchdog.is_some() || self.ready.hands_over() == HandOver::NotifySocket
    }
}

/// What a process is given at its start so that it can say when it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOver {
    /// Nothing: somebody else finds out.
    Nothing,
    /// `NOTIFY_SOCKET` in its environment.
    NotifySocket,
    /// An open descriptor with this number.
    Descriptor(u32),
}
