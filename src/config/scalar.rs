// SPDX-License-Identifier: MIT OR Apache-2.0
//! Durations, sizes and names: how they are spelled, and how they are spelled back.
//!
//! Pure functions over text; nothing here reports, so that every caller can say where it stood.

use crate::spec::limits;
use std::time::Duration;

/// No word is guessed at beyond this length: the edit distance is quadratic.
pub(super) const WORD_MAX: usize = 64;
/// No duration is longer: a hundred years, far inside what 64 bits of nanoseconds hold.
const DURATION_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Reads `200ms`, `5s`, `1m30s`, `1d`, `1.5s`, `0`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text == "0" {
        return Some(Duration::ZERO);
    }
    if text.is_empty() {
        return None;
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    // From large to small, each unit once: `1s1s` is a slip, and `30s1m` another.
    let mut last = u64::MAX;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(unit_at);
        let unit_end = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let unit = nanoseconds(unit)?;
        if unit >= last {
            return None;
        }
        last = unit;
        total = total.checked_add(times(number, unit)?)?;
        rest = tail;
    }
    (total <= DURATION_MAX).then_some(total)
}

fn nanoseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" | "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        _ => return None,
    })
}

/// `number` may have up to nine decimals.
fn times(number: &str, unit_ns: u64) -> Option<Duration> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || decimals.is_empty() || decimals.len() > 9 {
        return None;
    }
    let whole: u128 = whole.parse().ok()?;
    let part: u128 = decimals.parse().ok()?;
    let scale = 10_u128.pow(u32::try_from(decimals.len()).ok()?);
    let ns = whole
        .checked_mul(u128::from(unit_ns))?
        .checked_add(part * u128::from(unit_ns) / scale)?;
    u64::try_from(ns).ok().map(Duration::from_nanos)
}

/// Reads `64K`, `512M`, `2G`, `512MiB`, `100B`, `0`; K is 1024.
pub(super) fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    if text == "0" {
        return Some(0);
    }
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let shift = match unit {
        "B" => 0,
        "K" | "KB" | "KiB" | "k" => 10,
        "M" | "MB" | "MiB" => 20,
        "G" | "GB" | "GiB" => 30,
        "T" | "TB" | "TiB" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// A size as a person would write it, exactly: `64K`, `100B`.
pub(super) fn spell_size(bytes: u64) -> String {
    let units = [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
    let even = |(shift, _): &&(u32, char)| bytes > 0 && bytes.is_multiple_of(1 << shift);
    match units.iter().find(even) {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None if bytes == 0 => "0".to_owned(),
        None => format!("{bytes}B"),
    }
}

/// A duration as a person would write it: `1m30s`, `40.5s`, `200ms`.
pub(super) fn spell(duration: Duration) -> String {
    let ms = duration.as_millis();
    match (ms / 60_000, ms % 60_000) {
        (0, 0) => "0s".to_owned(),
        (0, ms) if ms < 1000 => format!("{ms}ms"),
        (0, ms) => spell_seconds(ms),
        (minutes, rest) if minutes < 60 => {
            let rest = Some(rest).filter(|ms| *ms > 0);
            format!("{minutes}m{}", rest.map_or(String::new(), spell_seconds))
        }
        (minutes, _) => {
            let rest = Some(minutes % 60).filter(|m| *m > 0);
            let rest = rest.map_or(String::new(), |m| format!("{m}m"));
            format!("{}h{rest}", minutes / 60)
        }
    }
}

fn spell_seconds(ms: u128) -> String {
    let tenths = ms / 100;
    match tenths % 10 {
        0 => format!("{}s", tenths / 10),
        part => format!("{}.{part}s", tenths / 10),
    }
}

/// What is wrong with a node's name, if anything is.
pub(super) fn name_fault(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("a name has at least one character".to_owned());
    }
    if name.len() > limits::NAME_MAX {
        return Some(format!("a name has at most {} bytes", limits::NAME_MAX));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if let Some(c) = name.chars().find(|c| !allowed(*c)) {
        let shown = c.escape_debug();
        return Some(format!(
            "`{shown}` cannot stand in a name: letters, digits, `_`, `-`"
        ));
    }
    let dash = name.starts_with('-');
    dash.then(|| "a name begins with a letter, a digit or `_`".to_owned())
}

/// The name that was probably meant.
pub(super) fn name_like(name: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let plain = name.chars().map(|c| if allowed(c) { c } else { '-' });
    let plain: String = plain.take(limits::NAME_MAX).collect();
    let plain = plain.trim_matches('-');
    (!plain.is_empty()).then(|| plain.to_owned())
}

/// Whether `name` can be the name of a variable.
pub(super) fn is_variable(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units_and_never_without() {
        let ms = |text| duration(text).map(|d| d.as_millis());
        for (text, expected) in [
            ("200ms", 200),
            ("5s", 5_000),
            ("1m30s", 90_000),
            ("1d", 86_400_000),
            ("1.5s", 1_500),
            ("0", 0),
        ] {
            assert_eq!(ms(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "1..5s",
            "5x",
            "99999999999d",
            "1s1",
            "1s1s",
            "30s1m",
        ] {
            assert_eq!(ms(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_binary_and_do_not_overflow() {
        assert_eq!(size("64K"), Some(65_536));
        assert_eq!(size("512M"), Some(512 << 20));
        assert_eq!(size("100B"), Some(100));
        for text in ["", "64", "K", "64X", "99999999999T", "-1K"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_spelled_as_a_person_would() {
        for text in ["200ms", "5s", "1m30s", "40.5s", "2h", "1h5m", "1m"] {
            assert_eq!(duration(text).map(spell).as_deref(), Some(text));
        }
    }
}
