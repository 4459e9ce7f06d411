// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is said about a configuration: severity, code, message, places, a way out.
//!
//! Reports are collected while reading, each of them once, and become [`Diagnostic`]s with lines
//! and columns at the end. Nothing here decides what is wrong.

use super::value::At;
use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, and will probably not do what was meant.
    Warning,
}

impl Severity {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing to say about a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// `E0107` or `L1`; stable, explained by [`super::explain`].
    pub code: &'static str,
    /// What is wrong, in one line.
    pub message: String,
    /// Where; the first one is the place to change.
    pub labels: Vec<Label>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// The line of its first label, from 1.
    pub fn line(&self) -> Option<usize> {
        self.labels.first().map(|l| l.line)
    }

    /// The column of its first label in characters, from 1.
    pub fn column(&self) -> Option<usize> {
        self.labels.first().map(|l| l.column)
    }

    /// The file of its first label.
    pub fn file(&self) -> Option<&Path> {
        self.labels.first().map(|l| &*l.file)
    }
}

/// A place in a file and what is to be said there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The file, as it was opened.
    pub file: PathBuf,
    /// Bytes of the file.
    pub span: Range<usize>,
    /// What is to be said, possibly nothing.
    pub text: String,
    /// The line the span begins on, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// The texts that were read, in the order of their numbers.
#[derive(Clone, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
    /// Bytes that must not be shown: literals that look like secrets.
    hidden: Vec<At>,
}

#[derive(Clone)]
struct SourceFile {
    path: PathBuf,
    text: Arc<str>,
    /// Where its relative paths begin.
    directory: PathBuf,
}

impl std::fmt::Debug for Sources {
    /// Paths; a text may have literal secrets in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.paths()).finish()
    }
}

impl Sources {
    /// Takes a file in and numbers it.
    pub(super) fn add(&mut self, path: &Path, text: Arc<str>, absolute: &Path) -> u32 {
        self.files.push(SourceFile {
            path: path.to_path_buf(),
            text,
            directory: absolute.parent().unwrap_or(absolute).to_path_buf(),
        });
        u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX)
    }

    /// Whether this value is a literal that looks like a secret.
    pub(super) fn is_hidden(&self, at: At) -> bool {
        self.hidden.contains(&at)
    }

    /// Every file and its text.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.files.iter().map(|f| (&*f.path, &*f.text))
    }

    pub(super) fn hide(&mut self, at: At) {
        self.hidden.push(at);
    }

    fn path(&self, file: u32) -> &Path {
        self.files
            .get(file as usize)
            .map_or(Path::new(""), |f| &f.path)
    }

    pub(super) fn directory(&self, file: u32) -> &Path {
        let file = self.files.get(file as usize);
        file.map_or(Path::new(""), |f| &f.directory)
    }

    pub(super) fn text(&self, file: u32) -> &str {
        self.files.get(file as usize).map_or("", |f| &f.text)
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|f| &*f.path)
    }

    /// The text of a file by its path, and what is hidden in it.
    pub(super) fn shown(&self, path: &Path) -> Option<(&str, Vec<Range<usize>>)> {
        let number = self.files.iter().position(|f| f.path == path)?;
        let here = |at: &&At| at.file as usize == number;
        let hidden = self.hidden.iter().filter(here);
        let hidden = hidden.map(|at| at.start as usize..at.end as usize);
        Some((&self.files[number].text, hidden.collect()))
    }

    fn label(&self, at: At, text: &str) -> Label {
        let source = self.text(at.file);
        let clamp = |n: u32| floor_char(source, n as usize);
        let (start, end) = (clamp(at.start), clamp(at.end));
        let line_start = source[..start].rfind('\n').map_or(0, |n| n + 1);
        Label {
            file: self.path(at.file).to_path_buf(),
            span: start..end.max(start),
            text: text.to_owned(),
            line: source[..start].matches('\n').count() + 1,
            column: source[line_start..start].chars().count() + 1,
        }
    }
}

/// The largest character boundary that is not beyond `at`.
pub(super) fn floor_char(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A diagnostic in the making.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Report {
    code: &'static str,
    message: String,
    labels: Vec<(At, String)>,
    help: Option<String>,
}

impl Report {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            labels: Vec::new(),
            help: None,
        }
    }

    pub(super) fn at(mut self, at: At, text: impl Into<String>) -> Self {
        self.labels.push((at, text.into()));
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Lints are warnings unless the caller is strict; `E` codes are errors.
    fn severity(&self) -> Severity {
        if self.code.starts_with('L') {
            Severity::Warning
        } else {
            Severity::Error
        }
    }
}

/// Reports kept at most; twenty are shown, the rest is counted.
const REPORTS_MAX: usize = 1000;

/// Where reports go, each once.
#[derive(Debug, Default)]
pub(super) struct Sink {
    reports: RefCell<Vec<Report>>,
    seen: RefCell<HashSet<(&'static str, Option<At>, String)>>,
}

impl Sink {
    /// A value inherited by a thousand services is wrong once.
    pub(super) fn push(&self, report: Report) {
        let at = report.labels.first().map(|(at, _)| *at);
        let key = (report.code, at, report.message.clone());
        if self.seen.borrow().len() >= REPORTS_MAX || !self.seen.borrow_mut().insert(key) {
            return;
        }
        self.reports.borrow_mut().push(report);
    }

    /// Passes those reports on whose code and first place the caller wants.
    pub(super) fn hand_on(self, other: &Self, wanted: impl Fn(&'static str, At) -> bool) {
        for report in self.reports.into_inner() {
            let place = report.labels.first().map(|(at, _)| *at);
            if place.is_some_and(|at| wanted(report.code, at)) {
                other.push(report);
            }
        }
    }

    /// Enough is shown: further reports are only counted, and need no guesses.
    pub(super) fn is_full(&self) -> bool {
        self.reports.borrow().len() >= crate::spec::limits::DIAGNOSTICS_MAX
    }

    pub(super) fn has_errors(&self) -> bool {
        let reports = self.reports.borrow();
        reports.iter().any(|r| r.severity() == Severity::Error)
    }

    /// Errors first, then in the order of the text.
    pub(super) fn finish(self, sources: &Sources, lints: super::Lints) -> Vec<Diagnostic> {
        let mut reports = self.reports.into_inner();
        reports.sort_by_key(|r| (r.severity(), r.labels.first().map(|(at, _)| *at)));
        let diagnostic = |r: Report| Diagnostic {
            severity: match lints {
                super::Lints::Deny => Severity::Error,
                super::Lints::Warn => r.severity(),
            },
            code: r.code,
            message: r.message,
            labels: r
                .labels
                .iter()
                .map(|(at, text)| sources.label(*at, text))
                .collect(),
            help: r.help,
        };
        reports.into_iter().map(diagnostic).collect()
    }
}
