// SPDX-License-Identifier: MIT OR Apache-2.0
//! From facts to a class: the table of SEMANTICS §5, first row that holds.
//!
//! Total and exclusive: every end has exactly one class. The facts stay beside it.

use super::record::Class;
use crate::spec::{ExitStatus, Family, Service, Signal, SpawnFailure, Stage};

/// fork(2), clone(2): too many processes, no memory; pipe(2), open(2): no descriptors.
const EAGAIN: i32 = 11;
const ENOMEM: i32 = 12;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
/// execve(2).
const ENOENT: i32 = 2;

impl Class {
    /// The class of a process that ended while nobody had asked it to.
    pub(super) fn of_exit(status: ExitStatus, service: &Service) -> Self {
        match status {
            ExitStatus::Code(0) => Self::Clean,
            ExitStatus::Code(code) if service.success_codes.contains(&code) => Self::Clean,
            ExitStatus::Signal { signal, .. } if service.success_signals.contains(&signal) => {
                Self::Clean
            }
            ExitStatus::Signal { signal, .. } => Self::of_signal(signal),
            ExitStatus::Code(code) => Self::of_code(code, service.process.command.is_shell()),
        }
    }

    fn of_signal(signal: Signal) -> Self {
        match signal {
            Signal::XCPU | Signal::XFSZ => Self::Rlimit,
            Signal::SYS => Self::Sandbox,
            Signal::KILL => Self::Killed,
            Signal::TERM | Signal::INT | Signal::HUP | Signal::PIPE => Self::Terminated,
            fault if fault.is_fault() => Self::Crash,
            _other => Self::Signal,
        }
    }

    /// `sh` says 126 and 127 when it could not execute, and 128+n when a signal ended its child.
    fn of_code(code: u8, shell: bool) -> Self {
        match code {
            126 | 127 if shell => Self::ExecFailed,
            68 | 69 => Self::Unavailable,
            75 => Self::Tempfail,
            64 | 78 => Self::Config,
            129..=192 if shell => {
                match Signal::from_number(i32::from(code) - 128).map(Self::of_signal) {
                    Some(Self::Crash) => Self::Crash,
                    _not_a_fault => Self::ExitCode,
                }
            }
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

    /// Whether the restart type `transient` leaves the node down after it.
    pub fn is_normal(self) -> bool {
        match self {
            Self::Clean | Self::Escalated | Self::AutoShutdown => true,
            Self::Requested
            | Self::StopTimeout
            | Self::StartTimeout
            | Self::SpawnFailed
            | Self::ExecFailed
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

    /// Whether the first restart after it waits, too.
    pub(super) fn never_at_once(self) -> bool {
        match self {
            Self::SpawnFailed | Self::ExecFailed | Self::Rlimit | Self::Sandbox | Self::Config => {
                true
            }
            Self::Requested
            | Self::StopTimeout
            | Self::Escalated
            | Self::AutoShutdown
            | Self::StartTimeout
            | Self::Clean
            | Self::Crash
            | Self::Killed
            | Self::Terminated
            | Self::Signal
            | Self::Unavailable
            | Self::Tempfail
            | Self::ExitCode => false,
        }
    }

    /// The word for it in records and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::StopTimeout => "stop_timeout",
            Self::Escalated => "escalated",
            Self::AutoShutdown => "auto_shutdown",
            Self::StartTimeout => "start_timeout",
            Self::SpawnFailed => "spawn_failed",
            Self::ExecFailed => "exec_failed",
            Self::Clean => "clean",
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

    /// The family it belongs to, a closed set (SEMANTICS §5).
    pub fn family(self) -> Family {
        match self {
            Self::Requested | Self::StopTimeout => Family::Requested,
            Self::Clean | Self::AutoShutdown => Family::Clean,
            Self::StartTimeout => Family::Hang,
            Self::SpawnFailed | Self::Rlimit => Family::Resource,
            Self::ExecFailed | Self::Sandbox | Self::Config => Family::Config,
            Self::Escalated | Self::Crash | Self::Signal | Self::ExitCode => Family::Fault,
            Self::Killed | Self::Terminated => Family::External,
            Self::Unavailable | Self::Tempfail => Family::Transient,
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
