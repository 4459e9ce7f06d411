// SPDX-License-Identifier: MIT OR Apache-2.0
//! Circuit breakers: what a service is held by when starting it again makes no sense (SEMANTICS
//! §7).

use std::time::Duration;

/// A service's own breaker: it is held when its ends do not stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldAfter {
    /// Abnormal ends in a row that open it; at least 1.
    pub failures: u32,
    /// How long it is open the first time; each time after that twice as long.
    pub open_for: Duration,
    /// It is never open for longer.
    pub open_max: Duration,
}
