// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sign, the colour and the rank of a state: what somebody sees who only glances. A state of a
//! later version has a sign of its own; no state is left out.

use super::screen::Style;

/// What a state means to somebody who glances at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Good,
    Done,
    Going,
    Waiting,
    Bad,
    Off,
    Other,
}

impl Mark {
    /// What this word means.
    pub(crate) fn of(state: &str) -> Self {
        match state {
            "ready" | "up" => Self::Good,
            "done" => Self::Done,
            "starting" | "stopping" | "remediating" => Self::Going,
            "backoff" | "waiting" | "unready" | "degraded" => Self::Waiting,
            "held" | "parked" | "unkillable" | "down" => Self::Bad,
            "stopped" => Self::Off,
            _ => Self::Other,
        }
    }

    /// The sign before the word.
    pub(crate) fn sign(self) -> char {
        match self {
            Self::Good => '●',
            Self::Done => '✔',
            Self::Going => '◐',
            Self::Waiting => '○',
            Self::Bad => '⊘',
            Self::Off => '◌',
            Self::Other => '?',
        }
    }

    /// The same where only ASCII is spoken.
    pub(crate) fn ascii(self) -> char {
        match self {
            Self::Good => '*',
            Self::Done => '=',
            Self::Going => '+',
            Self::Waiting => 'o',
            Self::Bad => '!',
            Self::Off => '.',
            Self::Other => '?',
        }
    }

    /// What works comes first, then what does not.
    pub(crate) fn rank(self) -> u8 {
        match self {
            Self::Good => 0,
            Self::Going => 1,
            Self::Bad => 2,
            Self::Waiting => 3,
            Self::Off => 4,
            Self::Done => 5,
            Self::Other => 6,
        }
    }

    /// The colour of it (ECMA-48 SGR).
    fn colour(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Done | Self::Off => "2",
            Self::Going => "36",
            Self::Waiting => "33",
            Self::Bad => "31",
            Self::Other => "35",
        }
    }
}

/// The text in the mark's colour, where colours are shown.
pub(crate) fn paint(text: &str, mark: Mark, style: Style) -> String {
    if !style.colour || text.trim().is_empty() {
        return text.to_owned();
    }
    format!("\x1b[{}m{text}\x1b[0m", mark.colour())
}
