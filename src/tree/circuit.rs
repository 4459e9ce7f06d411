// SPDX-License-Identifier: MIT OR Apache-2.0
//! A circuit: closed, open, half open. It counts failures and says when it opens and for how long;
//! it knows no service, and decides nothing about one.
//!
//! ```text
//! closed --as many failures in a row as it takes--> open --its time--> half open
//!   ^                                                ^                    |    |
//!   |                                                `--the test failed---'    |
//!   `-------------------------------the test succeeded-------------------------'
//! ```
//!
//! Each time it opens without steadiness in between it stays open twice as long, up to a limit. A
//! circuit that closes and opens again at once is no better than one that stays open: only
//! steadiness makes it forget, never the closing alone.

use super::backoff::Chance;
use super::event::Time;
use std::time::Duration;

/// Where a circuit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Closed,
    Open { until: Time },
    HalfOpen,
}

/// When a circuit opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measures {
    /// Failures in a row that open it.
    pub(super) failures: u32,
    pub(super) open_for: Duration,
    pub(super) open_max: Duration,
}

/// A circuit and what it remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Circuit {
    pub(super) phase: Phase,
    /// Failures in a row, while it is closed.
    pub(super) row: u32,
    /// How often it has opened since it was steady.
    pub(super) openings: u32,
}

impl Default for Circuit {
    fn default() -> Self {
        Self {
            phase: Phase::Closed,
            row: 0,
            openings: 0,
        }
    }
}

impl Circuit {
    pub(super) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Counts a failure. True: that was the last one it bears.
    pub(super) fn failed(&mut self, limit: u32) -> bool {
        self.row = self.row.saturating_add(1);
        self.row >= limit
    }

    /// Opens it: for so long.
    pub(super) fn open(&mut self, now: Time, measures: Measures, chance: &mut Chance) -> Duration {
        self.openings = self.openings.saturating_add(1);
        let span = span_of(self.openings, measures, chance);
        self.phase = Phase::Open { until: now + span };
        span
    }

    pub(super) fn half_open(&mut self) {
        self.phase = Phase::HalfOpen;
    }

    /// The test was good.
    pub(super) fn close(&mut self) {
        self.phase = Phase::Closed;
        self.row = 0;
    }

    /// All is as it should be, and has been for a while.
    pub(super) fn steady(&mut self) {
        if self.is_closed() {
            *self = Self::default();
        }
    }
}

/// How long it stays open the how-many-th time: ten per cent more or less, so that those that
/// opened together are not tested together, and never longer than the limit.
fn span_of(openings: u32, measures: Measures, chance: &mut Chance) -> Duration {
    let Measures {
        open_for, open_max, ..
    } = measures;
    let doublings = openings.saturating_sub(1).min(31);
    let grown = open_for.saturating_mul(1 << doublings).min(open_max);
    let tenth = grown / 10;
    let spread = chance.between(grown.saturating_sub(tenth), grown + tenth);
    spread.min(open_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn measures() -> Measures {
        Measures {
            failures: 3,
            open_for: SECOND * 30,
            open_max: SECOND * 300,
        }
    }

    #[test]
    fn it_opens_with_the_last_failure_that_it_bears() {
        let mut circuit = Circuit::default();
        let told: Vec<bool> = (0..3).map(|_| circuit.failed(3)).collect();
        assert_eq!(told, [false, false, true]);
    }

    #[test]
    fn each_opening_lasts_twice_as_long_up_to_the_limit_give_or_take_a_tenth() {
        for seed in 0..100 {
            let (mut circuit, mut chance) = (Circuit::default(), Chance::new(seed));
            for whole in [30, 60, 120, 240, 300, 300] {
                let span = circuit.open(Time(0), measures(), &mut chance);
                let least = SECOND * (whole - whole / 10);
                let most = (SECOND * (whole + whole / 10)).min(SECOND * 300);
                assert!((least..=most).contains(&span), "{whole}: {span:?}");
            }
        }
    }

    #[test]
    fn only_steadiness_makes_it_forget_how_often_it_opened() {
        let (mut circuit, mut chance) = (Circuit::default(), Chance::new(1));
        let _first = circuit.open(Time(0), measures(), &mut chance);
        circuit.close();
        let again = circuit.open(Time(0), measures(), &mut chance);
        assert!(again > SECOND * 50, "{again:?}");
        circuit.close();
        circuit.steady();
        let anew = circuit.open(Time(0), measures(), &mut chance);
        assert!(anew < SECOND * 40, "{anew:?}");
    }

    #[test]
    fn a_thousand_openings_do_not_overflow() {
        let (mut circuit, mut chance) = (Circuit::default(), Chance::new(1));
        circuit.openings = u32::MAX;
        let span = circuit.open(Time(0), measures(), &mut chance);
        assert!(span <= SECOND * 300);
    }
}
