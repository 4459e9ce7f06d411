// SPDX-License-Identifier: MIT OR Apache-2.0
//! The engine's time: monotonic, without the time in which we were not there.
//!
//! Stopped (SIGSTOP, a debugger, a frozen group, a paused machine) we cannot see who became ready
//! and cannot ask; and who should have become ready has mostly been stopped with us. So a wait
//! that ended long after the deadline it was for does not count: what was due is due a little
//! later, in its order and at its distances, after everything has been heard that is waiting.
//! Nobody is killed for what was due only because we slept, and nothing comes in a burst.
//!
//! It decides nothing about services. The wall clock is not looked at.

#[cfg(not(feature = "test-hooks"))]
use crate::sys::clock;
use crate::tree::Time;
use std::cell::Cell;
use std::time::Duration;

/// So late a busy machine wakes us at most. Nothing is lost if that is wrong: deadlines move by it.
const LATE: Duration = Duration::from_secs(1);
/// From the end of a long absence to what was due in it.
const GRACE: Duration = Duration::from_secs(2);

thread_local! {
    static MISSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The engine's time now.
pub(crate) fn now() -> Time {
    let missed = u64::try_from(MISSED.get().as_nanos()).unwrap_or(u64::MAX);
    Time(present().0.saturating_sub(missed))
}

#[cfg(not(feature = "test-hooks"))]
fn present() -> Time {
    Time(clock::now_ns())
}

/// A replay can hold it and move it.
#[cfg(feature = "test-hooks")]
fn present() -> Time {
    super::hooks::moved(crate::sys::clock::now_ns())
}

/// We are back, from a wait that began at `began` and should have ended at `due`: how long we were
/// away, if that was long. The engine's time has gone on since `began` as if we had not been.
pub(crate) fn catch_up(began: Time, due: Option<Time>) -> Option<Duration> {
    let now = now();
    let away = absence(began, due?, now)?;
    MISSED.set(MISSED.get().saturating_add(away));
    Some(away)
}

/// Waits for a time; `None` is never. A timer is made only when there is something to wait for.
pub(crate) async fn passed(until: Option<Time>) {
    match until {
        Some(time) => tokio::time::sleep(time.since(now())).await,
        None => std::future::pending().await,
    }
}

/// What does not count of the time until `now`.
fn absence(began: Time, due: Time, now: Time) -> Option<Duration> {
    if now.since(due) < LATE {
        return None;
    }
    let grace = u64::try_from(GRACE.as_nanos()).unwrap_or(u64::MAX);
    let resumed = Time(due.0.saturating_sub(grace)).max(began);
    Some(now.since(resumed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time(ms * 1_000_000)
    }

    #[test]
    fn who_comes_in_time_or_a_little_late_was_not_away() {
        assert_eq!(absence(at(0), at(5_000), at(4_000)), None, "woken earlier");
        assert_eq!(absence(at(0), at(5_000), at(5_000)), None);
        assert_eq!(absence(at(0), at(5_000), at(5_999)), None, "a busy machine");
    }

    #[test]
    fn after_an_absence_what_was_due_is_due_a_little_later() {
        let away = absence(at(0), at(60_000), at(120_000));
        assert_eq!(away, Some(Duration::from_secs(62)), "2 s before it was due");
        let away = absence(at(59_000), at(60_000), at(120_000));
        assert_eq!(away, Some(Duration::from_secs(61)), "never back in time");
    }
}
