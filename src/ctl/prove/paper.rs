// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes on paper, and what is assumed about them.

use crate::spec::{ExitStatus, Probe, Ready, Reload, Service, Signal};
use crate::tree::{State, Time};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How long things take that a configuration does not say. None of it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From the start of a program to its being ready, where it says so or is asked.
    pub start: Duration,
    /// From a signal to the end of the program.
    pub stop: Duration,
    /// The work of a oneshot.
    pub oneshot: Duration,
    /// A stop or reload command.
    pub command: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(1),
            stop: Duration::from_millis(100),
            oneshot: Duration::from_secs(1),
            command: Duration::from_millis(100),
        }
    }
}

/// What is said about a service's programs, beyond that they behave.
#[derive(Debug, Clone, Default)]
pub(super) struct Habit {
    /// Starts that fail, and with which error number.
    pub(super) unstartable: (u32, i32),
    /// Starts that are never ready.
    pub(super) mute: u32,
    /// Its probes fail until then.
    pub(super) unwell_until: Time,
    /// It ignores every signal but SIGKILL.
    pub(super) deaf: bool,
    pub(super) start: Option<Duration>,
    pub(super) stop: Option<Duration>,
    /// Ends that wait until it is ready.
    pub(super) ends: VecDeque<ExitStatus>,
    /// Ends of the next processes, at once.
    pub(super) stillborn: VecDeque<ExitStatus>,
}

/// A process on paper.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) service: Arc<Service>,
    pub(super) since: Time,
    pub(super) mute: bool,
    /// Stopped by SIGSTOP: what is sent to it waits.
    pub(super) frozen: bool,
    /// Its end is on its way.
    pub(super) dying: bool,
    pub(super) waiting: Option<Signal>,
}

/// A command that runs for a service.
#[derive(Debug, Clone)]
pub(super) struct Helper {
    pub(super) status: ExitStatus,
}

/// What asks whether it is ready.
pub(super) fn probe_of(service: &Service) -> Option<&Probe> {
    match &service.ready {
        Ready::Probe(probe) => Some(probe),
        Ready::Exec | Ready::Notify | Ready::Fd(_) | Ready::After(_) => None,
    }
}

/// Signals that a program is assumed to live with: those by which it reads its configuration
/// again, and those that ask nobody to end.
pub(super) fn is_handled(service: &Service, signal: Signal) -> bool {
    let stops = service.stop.steps.iter().any(|step| step.signal == signal);
    let harmless = [Signal::HUP, Signal::USR1, Signal::USR2, Signal::CHLD];
    let reloads = service.reload == Some(Reload::Signal(signal));
    !stops && (reloads || harmless.contains(&signal))
}

/// Whether a node in this state stays in it unless something happens.
pub(super) fn is_settled(state: State) -> bool {
    match state {
        State::Starting | State::Stopping | State::Backoff | State::Remediating | State::Held => {
            false
        }
        State::Ready
        | State::Unready
        | State::Up
        | State::Degraded
        | State::Stopped
        | State::Parked
        | State::Waiting
        | State::Unkillable
        | State::Done
        | State::Down => true,
    }
}
