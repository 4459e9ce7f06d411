// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values as TOML writes them: strings, durations, sizes, lists, and lines of key and value.
//!
//! It knows the form of a value and no key's meaning. What a line hides it never prints.

#![expect(
    clippy::format_push_string,
    reason = "text for people, written once; a `write!` to it could only be ignored"
)]

use super::scalar::spell_size;
use std::path::Path;
use std::time::Duration;

/// What a secret looks like.
const STARS: &str = "\"***\"";

/// One key and its value, as they can be written.
#[derive(Clone, PartialEq, Eq)]
pub struct Line {
    /// Dotted: `stop.timeout`.
    pub key: String,
    value: String,
    hidden: bool,
    /// Whether the key can be written in this table; else the value comes from above.
    pub inherited: bool,
}

impl Line {
    /// The value in TOML; stars when it is nobody's business.
    pub fn shown(&self) -> &str {
        if self.hidden { STARS } else { &self.value }
    }

    /// Takes the value of the same key in a pattern, if that varies, with `word` for `mark`.
    pub(super) fn vary(&mut self, pattern: &Self, (mark, word): (&str, &str)) {
        if pattern.value.contains(mark) {
            self.value = pattern.value.replace(mark, word);
        }
    }

    /// Whether the value is nobody's business.
    pub fn is_secret(&self) -> bool {
        self.hidden
    }
}

impl std::fmt::Debug for Line {
    /// Never shows a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} = {}", self.key, self.shown())
    }
}

/// Lines in the making.
#[derive(Debug, Default)]
pub(super) struct Lines(pub(super) Vec<Line>);

impl Lines {
    pub(super) fn put(&mut self, key: &str, value: impl Into<String>) {
        self.0.push(Line {
            key: key.to_owned(),
            value: value.into(),
            hidden: false,
            inherited: false,
        });
    }

    pub(super) fn secret(&mut self, key: &str, value: String) {
        self.put(key, value);
        if let Some(last) = self.0.last_mut() {
            last.hidden = true;
        }
    }

    pub(super) fn inherited(&mut self, from: usize) {
        for line in &mut self.0[from..] {
            line.inherited = true;
        }
    }

    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.put(key, quoted(text));
    }

    pub(super) fn flag(&mut self, key: &str, flag: Flag) {
        self.put(key, if flag.0 { "true" } else { "false" });
    }

    pub(super) fn time(&mut self, key: &str, time: Duration) {
        self.put(key, format!("\"{}\"", spell(time)));
    }

    pub(super) fn patience(&mut self, key: &str, time: Option<Duration>) {
        match time {
            Some(time) => self.time(key, time),
            None => self.put(key, "\"infinity\""),
        }
    }
}

/// A key that is on or off.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag(pub(super) bool);

/// A TOML string whose `$` means itself.
pub(super) fn quoted(text: &str) -> String {
    literal(&text.replace('$', "$$"))
}

/// A TOML string as it stands (TOML 1.0, "Basic strings").
pub(super) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let number = u32::from(c);
                out.push_str(&format!("\\u{number:04X}"));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A path; what is not UTF-8 could not have been written.
pub(super) fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// `[a, b]` of values that are TOML already.
pub(super) fn array(values: impl IntoIterator<Item = String>) -> String {
    let values: Vec<String> = values.into_iter().collect();
    format!("[{}]", values.join(", "))
}

/// A key, in quotes where TOML wants them.
pub(super) fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else {
        literal(name)
    }
}

/// A duration to the nanosecond: `1m30s`, `1m1.5s`, `200ms`.
pub(super) fn spell(time: Duration) -> String {
    let (whole, nanos) = (time.as_secs(), time.subsec_nanos());
    let mut text = String::new();
    for (unit, size) in [("h", 3600), ("m", 60)] {
        let count = if unit == "h" {
            whole / size
        } else {
            whole % 3600 / size
        };
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    let seconds = whole % 60;
    let fraction = |part: u32, digits: usize| {
        let padded = format!("{part:0digits$}");
        let kept = padded.trim_end_matches('0');
        if kept.is_empty() {
            String::new()
        } else {
            format!(".{kept}")
        }
    };
    match (seconds, nanos) {
        (0, 0) if text.is_empty() => "0s".to_owned(),
        (0, 0) => text,
        (0, nanos) if text.is_empty() => {
            format!("{}{}ms", nanos / 1_000_000, fraction(nanos % 1_000_000, 6))
        }
        (seconds, nanos) => format!("{text}{seconds}{}s", fraction(nanos, 9)),
    }
}

/// A size of memory.
pub(super) fn size(bytes: u64) -> String {
    format!("\"{}\"", spell_size(bytes))
}
