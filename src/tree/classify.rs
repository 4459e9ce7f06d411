// SPDX-License-Identifier: MIT OR Apache-2.0
//! From facts to a class: the table of SEMANTICS §5, first row that holds.
//!
//! Total and exclusive: every end has exactly one class. The facts stay beside it.

use super::condemn::Condemned;
use super::record::Culprit;
use crate::spec::{
    Class, ExitFacts, ExitStatus, Family, Name, Oom, Service, Signal, SpawnFailure, Stage,
    UserClass,
};
use std::sync::Arc;

/// fork(2), clone(2): too many processes, no memory; pipe(2), open(2): no descriptors.
const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
/// execve(2).
const ENOENT: i32 = 2;

impl Class {
    /// The class of a process that ended while nobody had asked it to; `sent` is what it had been
    /// sent before, by order or to make it read its configuration.
    pub(super) fn of_exit(facts: &ExitFacts, service: Option<&Service>, sent: Sent) -> Self {
        let shell = || service.is_some_and(|service| service.process.command.is_shell());
        let codes = service.map_or(&[][..], |service| &service.success_codes);
        let signals = service.map_or(&[][..], |service| &service.success_signals);
        match facts.status {
            // The shell's own words for what it could not execute: no code of the program's.
            ExitStatus::Code(126 | 127) if shell() => Self::ExecFailed,
            ExitStatus::Code(0) => Self::Clean,
            ExitStatus::Code(code) if codes.contains(&code) => Self::Clean,
            ExitStatus::Signal { signal, .. } if signals.contains(&signal) => Self::Clean,
            ExitStatus::Signal { signal, .. } => Self::of_signal(signal, facts, sent),
            ExitStatus::Code(code) => Self::of_code(code, shell),
        }
    }

    /// The class of one that we killed for this.
    pub(super) fn of_condemned(what: Condemned) -> Self {
        match what {
            Condemned::Liveness => Self::LivenessFailed,
            Condemned::Watchdog => Self::WatchdogTimeout,
        }
    }

    fn of_signal(signal: Signal, facts: &ExitFacts, sent: Sent) -> Self {
        let ours = sent.contains(signal);
        match signal {
            Signal::KILL if !ours && facts.oom != Oom::None => Self::OomKill,
            Signal::KILL if !ours && has_used_up_its_cpu(facts) => Self::Rlimit,
            Signal::XCPU | Signal::XFSZ => Self::Rlimit,
            Signal::SYS => Self::Sandbox,
            Signal::KILL => Self::Killed,
            Signal::TERM | Signal::INT | Signal::HUP | Signal::PIPE if !ours => Self::Terminated,
            fault if fault.is_fault() => Self::Crash,
            _other => Self::Signal,
        }
    }

    /// `sh` says 128+n when a signal ended its child.
    fn of_code(code: u8, shell: impl Fn() -> bool) -> Self {
        match code {
            68 | 69 => Self::Unavailable,
            75 => Self::Tempfail,
            64 | 78 => Self::Config,
            129..=192 if shell() => match Signal::from_number(i32::from(code) - 128) {
                Some(fault) if fault.is_fault() => Self::Crash,
                Some(_) | None => Self::ExitCode,
            },
            _any => Self::ExitCode,
        }
    }

    /// The class of a process that could not be started.
    pub(super) fn of_spawn_failure(failure: SpawnFailure) -> Self {
        let starved = matches!(failure.errno, EAGAIN | ENOMEM | EMFILE | ENFILE);
        let ours = matches!(failure.stage, Stage::Fork | Stage::Pipe | Stage::Stdin);
        if starved && ours {
            Self::SpawnFailed
        } else {
            Self::ExecFailed
        }
    }

    /// Whether the program itself chose to end so: only then its own word about the end counts.
    pub(super) fn is_chosen(self) -> bool {
        match self {
            Self::Clean | Self::Unavailable | Self::Tempfail | Self::Config | Self::ExitCode => {
                true
            }
            Self::Requested
            | Self::StopTimeout
            | Self::Recycled
            | Self::Escalated
            | Self::AutoShutdown
            | Self::StartTimeout
            | Self::LivenessFailed
            | Self::WatchdogTimeout
            | Self::SpawnFailed
            | Self::ExecFailed
            | Self::OomKill
            | Self::Rlimit
            | Self::Sandbox
            | Self::Crash
            | Self::Killed
            | Self::Terminated
            | Self::Signal => false,
        }
    }

    /// Whether the restart type `transient` leaves the node down after it.
    pub fn is_normal(self) -> bool {
        match self {
            Self::Clean | Self::Escalated | Self::AutoShutdown => true,
            Self::Requested
            | Self::StopTimeout
            | Self::Recycled
            | Self::StartTimeout
            | Self::LivenessFailed
            | Self::WatchdogTimeout
            | Self::SpawnFailed
            | Self::ExecFailed
            | Self::OomKill
            | Self::Rlimit
            | Self::Sandbox
            | Self::Crash
            | Self::Killed
            | Self::Terminated
            | Self::Signal
            | Self::Unavailable
            | Self::Tempfail
            | Self::Config
            | Self::ExitCode => false,
        }
    }
}

/// SIGKILL comes from the kernel when the hard limit is reached (setrlimit(2)). What wait(2) says
/// was used is a little less than what the kernel has counted.
fn has_used_up_its_cpu(facts: &ExitFacts) -> bool {
    const SLACK_US: u64 = 100_000;
    let used = facts.user_us.saturating_add(facts.system_us);
    let limit = facts.cpu_limit_s.map(|s| s.saturating_mul(1_000_000));
    limit.is_some_and(|limit| used.saturating_add(SLACK_US) >= limit)
}

/// The signals that a run was sent, other than to stop it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sent(u64);

impl Sent {
    pub(super) fn add(&mut self, signal: Signal) {
        self.0 |= Self::bit(signal);
    }

    fn contains(self, signal: Signal) -> bool {
        self.0 & Self::bit(signal) != 0
    }

    /// Signals are numbered from 1 to 64 (signal(7)).
    fn bit(signal: Signal) -> u64 {
        1 << (signal.number() - 1).clamp(0, 63)
    }
}

/// What an end is called: derived once, and changed by nobody.
///
/// Look-ups go from the class to the base class to the family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classification {
    /// What the kernel and supd know.
    pub base: Class,
    /// What the configuration or the service itself calls it.
    pub user: Option<Arc<UserClass>>,
    /// The family it belongs to: that of its own class, else of its base class, and for the end of
    /// a supervisor that of its cause.
    pub family: Family,
    /// What its class rests on.
    pub grounds: Grounds,
}

/// What a class rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grounds {
    /// On what the kernel or supd knows, at least in part.
    Facts,
    /// On nothing but what the service wrote, which strangers may have a hand in.
    Output,
    /// On the service's own word (`sd_notify(3)`).
    Word,
}

impl Classification {
    /// An end that the configuration has no name for.
    pub fn of_base(base: Class) -> Self {
        Self {
            base,
            user: None,
            family: base.family(),
            grounds: Grounds::Facts,
        }
    }

    /// The end of a supervisor by itself.
    pub(super) fn of_supervisor(base: Class, culprit: Option<&Culprit>) -> Self {
        Self {
            family: culprit.map_or(base.family(), |culprit| culprit.class.family),
            ..Self::of_base(base)
        }
    }

    /// The name of its class: `database_lost`, or that of its base class.
    pub fn as_str(&self) -> &str {
        self.user
            .as_ref()
            .map_or(self.base.as_str(), |class| &class.name)
    }

    /// The breaker that it counts for.
    pub fn blames(&self) -> Option<&Name> {
        self.user.as_ref()?.blames.as_ref()
    }

    /// Whether it is sure enough for what cannot be undone.
    pub fn is_trusted(&self) -> bool {
        match self.grounds {
            Grounds::Facts | Grounds::Word => true,
            Grounds::Output => self.user.as_ref().is_none_or(|class| class.trust_output),
        }
    }

    /// Whether the first restart after it waits, too: what is short or wrong now is so still in
    /// the next moment. Whatever ended below a supervisor, that has waited already.
    pub(super) fn never_at_once(&self) -> bool {
        if matches!(self.base, Class::Escalated | Class::AutoShutdown) {
            return false;
        }
        match self.family {
            Family::Config | Family::Resource => true,
            Family::Requested
            | Family::Clean
            | Family::Transient
            | Family::Hang
            | Family::Fault
            | Family::External => false,
        }
    }
}

/// The exit code that stands for a failed start (SEMANTICS §2).
pub(super) fn spawn_failure_code(failure: SpawnFailure) -> u8 {
    match (Class::of_spawn_failure(failure), failure.errno) {
        (Class::SpawnFailed, _) => 75,
        (_, ENOENT) => 127,
        (_, _) => 126,
    }
}

/// The exit code that stands for a wait status.
pub(super) fn status_code(status: ExitStatus) -> u8 {
    match status {
        ExitStatus::Code(code) => code,
        ExitStatus::Signal { signal, .. } => signal.exit_code(),
    }
}
