// SPDX-License-Identifier: MIT OR Apache-2.0
//! Spans of time as they stand in URLs and on the command line: `200ms`, `5s`, `1m30s`, `1d`; the
//! spelling of the configuration. A bare number is refused, for its unit would be a guess; only
//! `0` needs none.

use std::time::Duration;

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Reads a span; `None` when it is none or longer than 584 million years.
pub fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut millis = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let (_, factor) = UNITS.iter().find(|(unit, _)| *unit == &rest[..letters])?;
        millis = number.checked_mul(*factor)?.checked_add(millis)?;
        rest = &rest[letters..];
    }
    (!text.is_empty()).then(|| Duration::from_millis(millis))
}

/// Writes a span so that [`parse`] reads the same: whole milliseconds, the largest exact unit.
pub fn format(span: Duration) -> String {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let (unit, factor) = UNITS
        .iter()
        .rev()
        .find(|(_, factor)| millis > 0 && millis.is_multiple_of(*factor))
        .unwrap_or(&UNITS[0]);
    format!("{}{unit}", millis / factor)
}
