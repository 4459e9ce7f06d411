// SPDX-License-Identifier: MIT OR Apache-2.0
//! Wall time, for showing. Nothing is ever decided by it.

use crate::sys::clock;

/// Microseconds since 1970.
pub(crate) fn wall_us() -> i64 {
    let wall = clock::wall();
    wall.secs
        .saturating_mul(1_000_000)
        .saturating_add(i64::from(wall.nanos / 1000))
}

/// Seconds since 1970, for programs: `1700000000.123456`.
pub(crate) fn seconds(wall_us: i64) -> String {
    let (seconds, micros) = (wall_us.div_euclid(1_000_000), wall_us.rem_euclid(1_000_000));
    format!("{seconds}.{micros:06}")
}

/// RFC 3339 with milliseconds, UTC. A clock set beyond the year 9999 shows the epoch.
pub(crate) fn rfc3339(wall_us: i64) -> String {
    let stamp = jiff::Timestamp::from_microsecond(wall_us).unwrap_or_default();
    format!("{stamp:.3}")
}

/// The time of day in UTC: `12:00:03`.
pub(crate) fn of_day(wall_us: i64) -> String {
    let seconds = wall_us.div_euclid(1_000_000).rem_euclid(86_400);
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{h:02}:{m:02}:{s:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_utc_with_three_digits() {
        assert_eq!(rfc3339(1_700_000_000_123_456), "2023-11-14T22:13:20.123Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(i64::MAX), "1970-01-01T00:00:00.000Z");
        assert_eq!(of_day(1_700_000_000_123_456), "22:13:20");
        assert_eq!(of_day(-1), "23:59:59");
    }
}
