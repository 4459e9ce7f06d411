// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long the next restart waits (SEMANTICS §8).

use super::classify::Classification;
use crate::spec::{Backoff, BackoffCurve, Jitter};
use std::time::Duration;

/// A seeded generator (splitmix64): the only chance in the engine, so that the same seed gives
/// the same trace.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number in [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit into the mantissa")]
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A span between the two, evenly.
    pub(super) fn between(&mut self, low: Duration, high: Duration) -> Duration {
        low + high.saturating_sub(low).mul_f64(self.unit())
    }
}

/// The wait before restart number `attempt` of a row (from 1), after a failure of this class.
///
/// The first restart is immediate, unless the class says "never at once".
pub(super) fn delay(
    backoff: &Backoff,
    attempt: u32,
    class: &Classification,
    last: Duration,
    chance: &mut Chance,
) -> Duration {
    let first = attempt <= 1;
    match backoff {
        Backoff::None => Duration::ZERO,
        Backoff::List { delays, .. } => {
            let place = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
            delays
                .get(place)
                .or(delays.last())
                .copied()
                .unwrap_or(Duration::ZERO)
        }
        Backoff::Curve(_) if first && !class.never_at_once() => Duration::ZERO,
        Backoff::Curve(curve) => {
            // Attempt 1 of a class that is never at once waits as attempt 2 of another one.
            let step = if class.never_at_once() {
                attempt
            } else {
                attempt - 1
            };
            spread(curve, step.max(1), last, chance)
        }
    }
}

/// Step `step` (from 1) of the curve, with its jitter.
fn spread(curve: &BackoffCurve, step: u32, last: Duration, chance: &mut Chance) -> Duration {
    let exponent = i32::try_from(step - 1).unwrap_or(i32::MAX);
    let grown = curve.initial.as_secs_f64() * curve.factor.powi(exponent);
    let plain = if grown.is_finite() && grown < curve.max.as_secs_f64() {
        Duration::from_secs_f64(grown)
    } else {
        curve.max
    };
    match curve.jitter {
        Jitter::None => plain,
        Jitter::Full => chance.between(Duration::ZERO, plain),
        Jitter::Equal => chance.between(plain / 2, plain),
        Jitter::Decorrelated => {
            let high = last.max(curve.initial).saturating_mul(3).min(curve.max);
            chance.between(curve.initial.min(curve.max), high)
        }
    }
}

/// How long a node has to be ready until its curve begins anew: as configured, or the larger of
/// 10 s and twice the time it took to be ready.
pub(super) fn reset_after(backoff: &Backoff, took: Duration) -> Duration {
    let configured = match backoff {
        Backoff::None => None,
        Backoff::Curve(curve) => curve.reset_after,
        Backoff::List { reset_after, .. } => *reset_after,
    };
    configured.unwrap_or_else(|| Duration::from_secs(10).max(took.saturating_mul(2)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Class;

    fn curve(jitter: Jitter) -> Backoff {
        Backoff::Curve(BackoffCurve {
            initial: Duration::from_millis(200),
            factor: 2.0,
            max: Duration::from_secs(30),
            jitter,
            reset_after: None,
        })
    }

    fn waits(backoff: &Backoff, base: Class, count: u32) -> Vec<u128> {
        let mut chance = Chance::new(1);
        let class = Classification::of_base(base);
        let mut last = Duration::ZERO;
        (1..=count)
            .map(|attempt| {
                last = delay(backoff, attempt, &class, last, &mut chance);
                last.as_millis()
            })
            .collect()
    }

    #[test]
    fn the_first_restart_is_at_once_and_the_others_grow_to_the_largest() {
        let got = waits(&curve(Jitter::None), Class::ExitCode, 11);
        assert_eq!(
            got,
            [
                0, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000
            ]
        );
    }

    #[test]
    fn classes_never_at_once_wait_before_the_first_restart_too() {
        assert_eq!(
            waits(&curve(Jitter::None), Class::ExecFailed, 3),
            [200, 400, 800]
        );
    }

    #[test]
    fn equal_jitter_stays_between_half_and_whole() {
        for seed in 0..200 {
            let mut chance = Chance::new(seed);
            let wait = delay(
                &curve(Jitter::Equal),
                3,
                &Classification::of_base(Class::ExitCode),
                Duration::ZERO,
                &mut chance,
            );
            assert!((200..=400).contains(&wait.as_millis()), "{wait:?}");
        }
    }

    #[test]
    fn a_list_repeats_its_last_delay() {
        let list = Backoff::List {
            delays: [1, 2, 5].map(Duration::from_secs).into(),
            reset_after: None,
        };
        assert_eq!(
            waits(&list, Class::ExitCode, 5),
            [1000, 2000, 5000, 5000, 5000]
        );
    }

    #[test]
    fn a_thousand_attempts_do_not_overflow() {
        let mut chance = Chance::new(7);
        let wait = delay(
            &curve(Jitter::Equal),
            u32::MAX,
            &Classification::of_base(Class::ExitCode),
            Duration::ZERO,
            &mut chance,
        );
        assert!(wait <= Duration::from_secs(30));
    }
}
