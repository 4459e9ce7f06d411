// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two clocks. Decisions use the monotonic one; the wall clock is only ever shown
//! (invariant 13: it changes nothing).

use nix::time::{ClockId, clock_gettime};

/// A moment of the wall clock, since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wall {
    /// Whole seconds; negative before 1970.
    pub secs: i64,
    /// The rest, 0 to 999 999 999.
    pub nanos: u32,
}

/// Nanoseconds of `CLOCK_MONOTONIC`: never goes back, stands still while the machine sleeps.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)
        .expect("invariant: CLOCK_MONOTONIC exists on every Linux (clock_gettime(2))");
    let secs = u64::try_from(now.tv_sec()).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec()).unwrap_or(0);
    secs.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// The wall clock, for showing.
pub fn wall() -> Wall {
    let now = clock_gettime(ClockId::CLOCK_REALTIME)
        .expect("invariant: CLOCK_REALTIME exists on every Linux (clock_gettime(2))");
    Wall {
        secs: now.tv_sec(),
        nanos: u32::try_from(now.tv_nsec()).unwrap_or(0),
    }
}
