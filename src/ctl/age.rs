// SPDX-License-Identifier: MIT OR Apache-2.0
//! Times and sizes for people: `0.3s`, `22s`, `3d`, `612M`. Programs get the JSON.

use crate::wire::span;
use std::time::Duration;

/// A span of time in its largest unit: `3d`.
pub(crate) fn short(ms: u64) -> String {
    const SECOND: u64 = 1_000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match ms {
        0 => "0s".to_owned(),
        1..100 => format!("{ms}ms"),
        100..10_000 => tenths(ms),
        10_000..MINUTE => format!("{}s", ms / SECOND),
        MINUTE..HOUR => format!("{}m", ms / MINUTE),
        HOUR..DAY => format!("{}h", ms / HOUR),
        DAY.. => format!("{}d", ms / DAY),
    }
}

/// A span of time in its two largest units: `1m21s`.
pub(crate) fn precise(ms: u64) -> String {
    let seconds = ms / 1_000;
    let pair = |large: u64, unit: &str, small: u64, part: &str| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit}{small}{part}"),
    };
    match seconds {
        ..60 => short(ms),
        60..3_600 => pair(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => pair(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        86_400.. => pair(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// `0.3s`; whole when the tenths are none.
fn tenths(ms: u64) -> String {
    match (ms / 1_000, ms % 1_000 / 100) {
        (whole, 0) => format!("{whole}s"),
        (whole, tenth) => format!("{whole}.{tenth}s"),
    }
}

/// A window as it is configured, never rounded: `1m`, `90s`, `500ms`.
pub(crate) fn window(seconds: f64) -> String {
    match Duration::try_from_secs_f64(seconds) {
        Ok(span) => span::format(span),
        Err(_) => format!("{seconds}s"),
    }
}

/// A size in its largest unit, from KiB: `612M`.
pub(crate) fn size(kb: u64) -> String {
    const MIB: u64 = 1 << 10;
    const GIB: u64 = 1 << 20;
    match kb {
        ..MIB => format!("{kb}K"),
        MIB..GIB => format!("{}M", kb / MIB),
        GIB.. => format!("{}.{}G", kb / GIB, kb % GIB * 10 / GIB),
    }
}

/// The time of day of an RFC 3339 stamp: `14:01:40`; the text itself when it is none.
pub(crate) fn time_of_day(ts: &str) -> &str {
    match (ts.as_bytes().get(10), ts.get(11..19)) {
        (Some(b'T'), Some(time)) => time,
        _ => ts,
    }
}

/// `1 restart`, `2 restarts`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{s}")
}
