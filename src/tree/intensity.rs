// SPDX-License-Identifier: MIT OR Apache-2.0
//! The restart window: at most N restarts in any P (supervisor(3), "Maximum Restart Intensity").

use super::event::Time;
use crate::spec::limits::WINDOW_MAX;
use std::collections::VecDeque;
use std::time::Duration;

/// Whether a restart was still allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Allowed; so many were used, this one included.
    Within(u32),
    /// One too many.
    Exceeded(u32),
}

/// The restarts of one incarnation of a supervisor, oldest first. Sliding and inclusive: two
/// restarts count together if they are at most P apart. At most N + 1 are remembered.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Window {
    restarts: VecDeque<Time>,
}

impl Window {
    /// Records a restart and compares. N restarts are allowed, the one after them is not.
    pub(super) fn record(&mut self, now: Time, max: u32, period: Duration) -> Verdict {
        self.forget(now, period);
        self.restarts.push_back(now);
        let used = u32::try_from(self.restarts.len()).unwrap_or(u32::MAX);
        let kept = usize::try_from(max)
            .unwrap_or(WINDOW_MAX)
            .min(WINDOW_MAX)
            .saturating_add(1);
        while self.restarts.len() > kept {
            self.restarts.pop_front();
        }
        if used <= max {
            Verdict::Within(used)
        } else {
            Verdict::Exceeded(used)
        }
    }

    /// How many are in the window now.
    pub(super) fn used(&self, now: Time, period: Duration) -> u32 {
        let inside = self
            .restarts
            .iter()
            .filter(|at| now.since(**at) <= period)
            .count();
        u32::try_from(inside).unwrap_or(u32::MAX)
    }

    /// Drops what has left the window.
    fn forget(&mut self, now: Time, period: Duration) {
        while self
            .restarts
            .front()
            .is_some_and(|at| now.since(*at) > period)
        {
            self.restarts.pop_front();
        }
    }

    /// An empty history, as a new incarnation has.
    pub(super) fn clear(&mut self) {
        self.restarts = VecDeque::new();
    }

    /// Restarts remembered, whether or not they are still in the window.
    pub(super) fn len(&self) -> usize {
        self.restarts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(ms: u64) -> Time {
        Time(ms * 1_000_000)
    }

    #[test]
    fn n_are_allowed_and_the_next_is_not() {
        let mut window = Window::default();
        assert_eq!(window.record(at(0), 2, SECOND), Verdict::Within(1));
        assert_eq!(window.record(at(10), 2, SECOND), Verdict::Within(2));
        assert_eq!(window.record(at(20), 2, SECOND), Verdict::Exceeded(3));
    }

    #[test]
    fn the_window_is_inclusive_and_slides() {
        let mut window = Window::default();
        assert_eq!(window.record(at(0), 1, SECOND), Verdict::Within(1));
        assert_eq!(window.record(at(1000), 1, SECOND), Verdict::Exceeded(2));
        let mut window = Window::default();
        assert_eq!(window.record(at(0), 1, SECOND), Verdict::Within(1));
        assert_eq!(window.record(at(1001), 1, SECOND), Verdict::Within(1));
        assert_eq!(window.record(at(2000), 1, SECOND), Verdict::Exceeded(2));
    }

    #[test]
    fn none_allowed_means_the_first_is_fatal() {
        assert_eq!(
            Window::default().record(at(0), 0, SECOND),
            Verdict::Exceeded(1)
        );
    }
}
