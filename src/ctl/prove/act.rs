// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be done to a tree on paper: faults of services, and the operator's orders.

use crate::spec::{ExitStatus, Service, Tree as Spec};
use std::sync::Arc;
use std::time::Duration;

/// Something that is done to the tree.
#[derive(Debug, Clone)]
pub enum Act {
    /// Something befalls a service.
    Fault(String, Fault),
    /// `start NAME`
    Start(String),
    /// `stop NAME`
    Stop(String),
    /// `restart NAME`
    Restart(String),
    /// `reset NAME`
    Reset(String),
    /// `pin NAME`
    Pin(String),
    /// `unpin NAME`
    Unpin(String),
    /// `scale NAME N`
    Scale(String, Vec<Arc<Service>>),
    /// `reload FILE`
    Apply(Arc<Spec>),
    /// `shutdown`
    Shutdown,
}

/// What can befall a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its process ends; one that is not ready does so when it is.
    Ends(ExitStatus),
    /// The processes of its next starts end at once.
    EndsAtStart(ExitStatus),
    /// Its process stops answering, as after SIGSTOP.
    Hangs,
    /// Its next start is never ready.
    NeverReady,
    /// Its next start fails with this error number.
    CannotStart(i32),
    /// Its probes fail for this long.
    ProbesFail(Duration),
    /// It ignores every signal but SIGKILL.
    IgnoresSignals,
    /// It takes this long to be ready.
    TakesToStart(Duration),
    /// It takes this long to stop.
    TakesToStop(Duration),
}

impl Act {
    /// The node it is about.
    pub(super) fn node(&self) -> Option<&str> {
        match self {
            Self::Fault(name, _)
            | Self::Start(name)
            | Self::Stop(name)
            | Self::Restart(name)
            | Self::Reset(name)
            | Self::Pin(name)
            | Self::Unpin(name)
            | Self::Scale(name, _) => Some(name),
            Self::Apply(_) | Self::Shutdown => None,
        }
    }
}
