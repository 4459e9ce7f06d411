// SPDX-License-Identifier: MIT OR Apache-2.0
//! A mistake in a script: what is wrong, where, and a way out.

use crate::ctl::screen::{Style, visible};
use std::ops::Range;

/// What is wrong with a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Bytes of the text.
    pub(crate) span: Range<usize>,
    /// In one line.
    pub(crate) message: String,
    /// What is to be said at the place.
    pub(crate) label: String,
    /// What to do.
    pub(crate) help: String,
}

impl Mistake {
    /// The line it stands on and the column in characters, from 1.
    pub(crate) fn place(&self, text: &str) -> (usize, usize) {
        place(text, self.span.start)
    }

    /// Its picture, in the manner of the configuration's diagnostics.
    pub(crate) fn picture(&self, (file, text): (&str, &str), style: Style) -> String {
        let (line, column) = self.place(text);
        let (open, bar, end, stroke) = if style.unicode {
            ("╭▸", "│", "╰", "━")
        } else {
            ("-->", "|", "=", "^")
        };
        let shown = text.lines().nth(line - 1).unwrap_or_default();
        let pad = " ".repeat(line.to_string().len() + 1);
        let marked = text.get(self.span.clone()).unwrap_or_default();
        let width = marked
            .lines()
            .next()
            .map_or(1, |m| m.chars().count().max(1));
        let before: String = shown.chars().take(column - 1).collect();
        // What is made visible may be wider than it was written.
        let before = " ".repeat(visible(&before.replace('\t', "    ")).chars().count());
        [
            format!("error: {}\n", visible(&self.message)),
            format!("{pad}{open} {}:{line}:{column}\n", visible(file)),
            format!("{line} {bar} {}\n", visible(&shown.replace('\t', "    "))),
            format!(
                "{}
",
                format!(
                    "{pad}{bar} {before}{} {}",
                    stroke.repeat(width),
                    visible(&self.label)
                )
                .trim_end()
            ),
            format!("{pad}{end} help: {}\n", visible(&self.help)),
        ]
        .concat()
    }
}

/// The line and the column in characters of a byte, from 1.
pub(crate) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |n| n + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

/// The one of these words that was probably meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let near = known.into_iter().filter_map(|candidate| {
        let distance = strsim::damerau_levenshtein(&word, candidate);
        let close = distance <= 1 + candidate.len() / 4;
        close.then_some((distance, candidate))
    });
    // Of two that are as near, the one that begins like it.
    let begins = |candidate: &str| candidate.chars().next() == word.chars().next();
    near.min_by_key(|(distance, candidate)| (*distance, !begins(candidate)))
        .map(|(_, word)| word)
}
