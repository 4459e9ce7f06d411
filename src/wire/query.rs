// SPDX-License-Identifier: MIT OR Apache-2.0
//! The part of a URL behind `?`, and the percent-encoding of URLs (RFC 3986 §2.1).
//!
//! `+` is an ordinary character here: a signal may be called `RTMIN+3`.

use std::fmt;

/// How long a command may wait for its effect: a [`span`](super::span), `0` not at all.
pub const WAIT: &str = "wait";
/// `1`: go on with what happens from now on.
pub const FOLLOW: &str = "follow";
/// How many log lines to begin with.
pub const LINES: &str = "lines";
/// Only log lines of this service, or of those below this node; may stand several times.
pub const ONLY: &str = "only";
/// Only this run's log lines.
pub const RUN: &str = "run";
/// Events after this `seq`, or log lines and events of this [`span`](super::span).
pub const SINCE: &str = "since";
/// Only events whose kind is this or begins with this and a dot; may stand several times.
pub const KIND: &str = "kind";
/// Which question `GET /v1/health` answers with its status: `live` or `ready`.
pub const LEVEL: &str = "level";

/// Only this node's configuration.
pub const NODE: &str = "node";

/// The parameters of a request, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what stands behind `?`; `None` when an escape in it is none.
    pub fn parse(text: &str) -> Option<Self> {
        text.split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                Some((decode(key)?, decode(value)?))
            })
            .collect::<Option<_>>()
            .map(Self)
    }

    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.0.push((key.to_owned(), value.to_string()));
        self
    }

    /// Adds a parameter in place of those of that name.
    #[must_use]
    pub fn instead(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.0.retain(|(k, _)| k != key);
        self.with(key, value)
    }

    /// The first value of a parameter.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }

    /// Every value of a parameter.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }

    /// Whether a parameter is switched on: there, and neither `0` nor `false`.
    pub fn is_on(&self, key: &str) -> bool {
        self.get(key).is_some_and(|v| v != "0" && v != "false")
    }
}

impl fmt::Display for Query {
    /// With its `?`, or nothing at all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (key, value)) in self.0.iter().enumerate() {
            let before = if i == 0 { '?' } else { '&' };
            write!(f, "{before}{}={}", encode(key), encode(value))?;
        }
        Ok(())
    }
}

/// Escapes everything that is not an unreserved character, `/` included.
pub fn encode(text: &str) -> String {
    const HEX: [u8; 16] = *b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

/// Undoes [`encode`]; `None` for a broken escape or bytes that are no UTF-8.
pub fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}
