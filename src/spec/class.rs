// SPDX-License-Identifier: MIT OR Apache-2.0
//! What ends are called: the base classes, a closed set, and the classes of a configuration that
//! refine them (SEMANTICS §5).
//!
//! Which class an end has is derived in the engine; here are the words and the conditions only.

use super::{ExitStatus, Family, Name, Phase, Signal, Testimony};
use std::sync::Arc;
use std::time::Duration;

/// The base class of an end: what the kernel and supd know. Total and exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Ended while we were stopping it, in time.
    Requested,
    /// We asked, and had to kill.
    StopTimeout,
    /// A planned restart.
    Recycled,
    /// A supervisor gave up.
    Escalated,
    /// A supervisor shut itself down because of a significant child.
    AutoShutdown,
    /// Not ready in time, killed by us.
    StartTimeout,
    /// Its liveness probe failed, killed by us.
    LivenessFailed,
    /// It did not say in time that it lives, killed by us.
    WatchdogTimeout,
    /// fork or clone failed for want of resources.
    SpawnFailed,
    /// A step up to exec failed.
    ExecFailed,
    /// Code 0, or one that counts as such.
    Clean,
    /// SIGKILL by the kernel, for want of memory.
    OomKill,
    /// SIGXCPU, SIGXFSZ, or SIGKILL with the CPU limit used up.
    Rlimit,
    /// SIGSYS.
    Sandbox,
    /// SEGV BUS ILL FPE ABRT TRAP QUIT.
    Crash,
    /// SIGKILL that we did not send.
    Killed,
    /// TERM INT HUP PIPE that we did not send.
    Terminated,
    /// Any other signal.
    Signal,
    /// Exit 69, 68.
    Unavailable,
    /// Exit 75.
    Tempfail,
    /// Exit 78, 64.
    Config,
    /// Any other code.
    ExitCode,
}

impl Class {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 22] = [
        Self::Requested,
        Self::StopTimeout,
        Self::Recycled,
        Self::Escalated,
        Self::AutoShutdown,
        Self::StartTimeout,
        Self::LivenessFailed,
        Self::WatchdogTimeout,
        Self::SpawnFailed,
        Self::ExecFailed,
        Self::Clean,
        Self::OomKill,
        Self::Rlimit,
        Self::Sandbox,
        Self::Crash,
        Self::Killed,
        Self::Terminated,
        Self::Signal,
        Self::Unavailable,
        Self::Tempfail,
        Self::Config,
        Self::ExitCode,
    ];

    /// The word for it in records and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::StopTimeout => "stop_timeout",
            Self::Recycled => "recycled",
            Self::Escalated => "escalated",
            Self::AutoShutdown => "auto_shutdown",
            Self::StartTimeout => "start_timeout",
            Self::LivenessFailed => "liveness_failed",
            Self::WatchdogTimeout => "watchdog_timeout",
            Self::SpawnFailed => "spawn_failed",
            Self::ExecFailed => "exec_failed",
            Self::Clean => "clean",
            Self::OomKill => "oom_kill",
            Self::Rlimit => "rlimit",
            Self::Sandbox => "sandbox",
            Self::Crash => "crash",
            Self::Killed => "killed",
            Self::Terminated => "terminated",
            Self::Signal => "signal",
            Self::Unavailable => "unavailable",
            Self::Tempfail => "tempfail",
            Self::Config => "config",
            Self::ExitCode => "exit_code",
        }
    }

    /// The family it belongs to. The ends of supervisors belong to that of their cause; what is
    /// said here holds for those without one.
    pub fn family(self) -> Family {
        match self {
            Self::Requested | Self::StopTimeout | Self::Recycled => Family::Requested,
            Self::Clean | Self::AutoShutdown => Family::Clean,
            Self::StartTimeout | Self::LivenessFailed | Self::WatchdogTimeout => Family::Hang,
            Self::SpawnFailed | Self::OomKill | Self::Rlimit => Family::Resource,
            Self::ExecFailed | Self::Sandbox | Self::Config => Family::Config,
            Self::Escalated | Self::Crash | Self::Signal | Self::ExitCode => Family::Fault,
            Self::Killed | Self::Terminated => Family::External,
            Self::Unavailable | Self::Tempfail => Family::Transient,
        }
    }
}

/// The classes of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Classes {
    /// In the order in which they are tried: the first one that holds is it.
    pub rules: Box<[Arc<UserClass>]>,
    /// Every pattern that they name, as written: regular expressions.
    pub patterns: Box<[Box<str>]>,
}

/// A pattern for what services write: its place in [`Classes::patterns`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PatternId(pub u32);

/// A class of the configuration: a name for ends that fulfil its conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserClass {
    /// Unique among classes, and no base class or family has it.
    pub name: Name,
    /// The family its ends belong to; `None`: that of their base class.
    pub family: Option<Family>,
    /// Which ends it is for. Without any condition: those whose service says so itself.
    pub when: When,
    /// The breaker that its ends count for.
    pub blames: Option<Name>,
    /// Whether output alone is enough for what cannot be undone: log text can come from strangers.
    pub trust_output: bool,
}

/// The conditions of a class. All of them must hold; an empty list asks for nothing, of the entries
/// of another one is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct When {
    /// Base classes.
    pub base: Box<[Class]>,
    /// Exit codes.
    pub codes: Box<[u8]>,
    /// Signals that ended it.
    pub signals: Box<[Signal]>,
    /// Patterns for its last stderr.
    pub stderr: Box<[PatternId]>,
    /// Patterns for its last stdout.
    pub stdout: Box<[PatternId]>,
    /// How long it ran.
    pub uptime: Option<Uptime>,
    /// What it was doing.
    pub phase: Box<[Phase]>,
    /// Whether it was early: before it was ready, or within a second.
    pub early: Option<bool>,
}

/// A condition on the time from the start of a run to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uptime {
    /// `">1s"`
    Above(Duration),
    /// `"<1s"`
    Below(Duration),
}

/// An end as somebody imagines it, to see which class it would have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The wait status.
    pub status: ExitStatus,
    /// What the service was doing.
    pub phase: Phase,
    /// How long it ran.
    pub uptime: Duration,
    /// What it said and wrote.
    pub testimony: Testimony,
}

impl When {
    /// Whether what a service wrote is the only condition, apart from when it did.
    pub fn is_output_alone(&self) -> bool {
        let asks_output = !self.stderr.is_empty() || !self.stdout.is_empty();
        let asks_facts =
            !self.base.is_empty() || !self.codes.is_empty() || !self.signals.is_empty();
        asks_output && !asks_facts
    }

    /// Whether it asks for nothing at all: no end fulfils it by itself.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
