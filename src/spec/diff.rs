// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a change of a specification asks for: nothing, a change in place, or a restart.

use super::Service;
use std::sync::Arc;

/// What has to be done to a running service so that a new specification holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing differs.
    None,
    /// It holds from the next decision on; the process is not touched.
    InPlace,
    /// The process was started from what has changed.
    Restart,
}

/// Compares two specifications of one service.
///
/// Only what the process was started with asks for a restart: the program and its surroundings,
/// whether it is a oneshot, a readiness that hands something to the process, and the watchdog's
/// time, of which it was told.
pub fn service_change(old: &Service, new: &Service) -> Change {
    if old == new {
        return Change::None;
    }
    let started_with = |s: &Service| {
        let told = (s.ready.hands_over(), s.health.watchdog);
        (Arc::clone(&s.process), s.kind, told)
    };
    if started_with(old) == started_with(new) {
        Change::InPlace
    } else {
        Change::Restart
    }
}
