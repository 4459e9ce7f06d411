// SPDX-License-Identifier: MIT OR Apache-2.0
//! What came of tests, for people and for programs.

use super::judge::Check;
use super::mistake::place;
use super::play::Played;
use super::script::Test;
use super::told::{self, Boot};
use crate::ctl::age;
use crate::ctl::failure::Failure;
use crate::ctl::screen::{Screen, Style, visible};
use serde::Serialize;

/// Lines of the story of a test that has failed: its beginning and its end.
const STORY_MAX: usize = 60;
/// How many of them are the beginning.
const STORY_HEAD: usize = 20;

/// Whose stories are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Everybody's, whole.
    All,
    /// Of tests that have failed, so much that it can be read.
    OfFailed,
}

/// What came of a file.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) file: String,
    #[serde(rename = "tests")]
    pub(super) results: Vec<Tested>,
}

/// What came of a test.
#[derive(Debug, Serialize)]
pub(super) struct Tested {
    pub(super) name: String,
    pub(super) held: bool,
    pub(super) expectations: Vec<Found>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) story: Vec<String>,
    pub(super) ending: String,
}

/// What came of an expectation of a file.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    pub(super) line: usize,
    pub(super) expectation: String,
    pub(super) held: bool,
    #[serde(rename = "found")]
    pub(super) instead: String,
}

/// What came of an expectation of the command line.
#[derive(Debug, Serialize)]
pub(super) struct Expectation<'a> {
    #[serde(rename = "expectation")]
    words: &'a str,
    held: bool,
    found: &'a str,
}

impl Report {
    /// Whether everything was as expected.
    pub(super) fn held(&self) -> bool {
        self.results.iter().all(|result| result.held)
    }
}

impl Tested {
    /// With its story when it is wanted, or needed.
    pub(super) fn of(
        test: &Test,
        played: &Played,
        (text, told): (&str, Told),
        style: Style,
    ) -> Self {
        let held = played.checks.iter().all(|check| check.held);
        let expectations = played.checks.iter().map(|check| Found {
            line: place(text, check.span.start).0,
            expectation: check.words.clone(),
            held: check.held,
            instead: check.found.clone(),
        });
        let story = if told == Told::All || !held {
            told::story(played, Boot::Summed, style)
        } else {
            Vec::new()
        };
        Self {
            name: test.name.clone().unwrap_or_else(|| "(unnamed)".to_owned()),
            held,
            expectations: expectations.collect(),
            story,
            ending: told::ending(played).0,
        }
    }
}

/// The same for a script of the command line.
pub(super) fn expectations(checks: &[Check]) -> Vec<Expectation<'_>> {
    let one = |check| {
        let Check {
            words, held, found, ..
        }: &Check = check;
        Expectation {
            words,
            held: *held,
            found,
        }
    };
    checks.iter().map(one).collect()
}

/// An expectation on a line.
pub(super) fn line(check: &Check, style: Style) -> String {
    let words = visible(&check.words);
    format!(
        "{} {words}: {}",
        sign(check.held, style),
        visible(&check.found)
    )
}

fn sign(held: bool, style: Style) -> &'static str {
    match (held, style.unicode) {
        (true, true) => "✔",
        (true, false) => "ok  ",
        (false, true) => "✘",
        (false, false) => "FAIL",
    }
}

/// Shows all of it.
pub(super) fn show(screen: &mut Screen, reports: &[Report], told: Told) -> Result<(), Failure> {
    if screen.json {
        return screen.json_value(&reports);
    }
    if reports.is_empty() {
        // What is wrong with the files was said.
        return Ok(());
    }
    let (mut tests, mut held, mut failed) = (0, 0, 0);
    for report in reports {
        screen.line(&visible(&report.file))?;
        for result in &report.results {
            tests += 1;
            let sign = sign(result.held, screen.style);
            screen.line(&format!("  {sign} {}", visible(&result.name)))?;
            for found in &result.expectations {
                held += u64::from(found.held);
                failed += u64::from(!found.held);
                if !found.held {
                    let at = format!("{}:{}", visible(&report.file), found.line);
                    screen.line(&format!("      {at}: {}", visible(&found.expectation)))?;
                    screen.line(&format!("      but {}", visible(&found.instead)))?;
                }
            }
            let cut = match told {
                Told::All => 0,
                Told::OfFailed => result.story.len().saturating_sub(STORY_MAX),
            };
            for (number, line) in result.story.iter().enumerate() {
                if cut == 0 || number < STORY_HEAD || number >= STORY_HEAD + cut {
                    screen.line(&format!("      {line}"))?;
                } else if number == STORY_HEAD {
                    let count = age::count(cut as u64, "line");
                    screen.line(&format!("      ... ({count} left out; all: --story)"))?;
                }
            }
            if !result.story.is_empty() {
                screen.line(&format!("      {}", visible(&result.ending)))?;
            }
        }
    }
    let tests = age::count(tests, "test");
    let count = age::count(held + failed, "expectation");
    screen.line(&match failed {
        0 => format!("{tests}, {count}: all held"),
        failed => format!("{tests}, {count}: {held} held, {failed} failed"),
    })
}
