// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supctl import`: a configuration for supd from that of another supervisor.
//!
//! Every line of the other file is accounted for: taken over, taken over nearly, or left to do with
//! the reason. The result goes to stdout and is checked as any configuration before it is shown;
//! the account goes to stderr. It proposes the plainest tree, and never guesses a strategy.

mod procfile;
mod supervisord;

use super::args::{ImportArgs, ImportFormat};
use super::failure::Failure;
use super::screen::{Screen, visible};
use super::{DONE, INVALID_CONFIG, NO};
use crate::config::{self, Options, Severity, Source};
use serde::Serialize;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file to import is at most this long.
const FILE_MAX: u64 = 4 << 20;

/// What became of a part of the other file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Fate {
    /// It means the same here, or nothing has to be said for it.
    Converted,
    /// It means nearly the same.
    Approximated,
    /// Somebody has to look at it.
    Todo,
}

/// One line of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Entry {
    line: usize,
    what: String,
    fate: Fate,
    #[serde(skip_serializing_if = "String::is_empty")]
    remark: String,
}

/// A table of the result, in the making.
#[derive(Debug, Default)]
struct Table {
    header: String,
    lines: Vec<String>,
}

/// The result, in the making.
#[derive(Debug, Default)]
struct Import {
    tables: Vec<Table>,
    account: Vec<Entry>,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    toml: &'a str,
    account: &'a [Entry],
}

impl Import {
    fn note(&mut self, line: usize, what: &str, (fate, remark): (Fate, &str)) {
        self.account.push(Entry {
            line,
            what: what.to_owned(),
            fate,
            remark: remark.to_owned(),
        });
    }

    fn converted(&mut self, line: usize, what: &str) {
        self.note(line, what, (Fate::Converted, ""));
    }

    fn text(&self) -> String {
        let tables = self.tables.iter().map(|table| {
            let lines: Vec<String> = table.lines.iter().map(|line| format!("{line}\n")).collect();
            format!("{}\n{}", table.header, lines.concat())
        });
        let tables: Vec<String> = tables.collect();
        tables.join("\n")
    }
}

/// `supctl import`.
pub(crate) fn import(screen: &mut Screen, args: &ImportArgs) -> Result<u8, Failure> {
    let text = read(&args.file)?;
    let import = match args.from {
        ImportFormat::Procfile => procfile::import(&text),
        ImportFormat::Supervisord => supervisord::import(&text),
    };
    let toml = import.text();
    if import.tables.is_empty() && !screen.json {
        account(screen, &import)?;
        let text = format!("{}: nothing to import", args.file.display());
        screen.complain_lines(&[text], "supctl init");
        return Ok(NO);
    }
    if screen.json {
        screen.json_value(&Report {
            toml: &toml,
            account: &import.account,
        })?;
    } else {
        screen.line(toml.trim_end_matches('\n'))?;
        account(screen, &import)?;
    }
    if import.tables.is_empty() {
        return Ok(NO);
    }
    Ok(judged(screen, &toml))
}

fn read(file: &Path) -> Result<String, Failure> {
    let failed = |reason: String| Failure::Usage {
        doing: format!("read {}", file.display()),
        reason,
        instead: format!("ls -l {}", file.display()),
    };
    let meta = fs::metadata(file).map_err(|error| failed(error.to_string()))?;
    if meta.len() > FILE_MAX {
        return Err(failed("it is larger than 4 MiB".to_owned()));
    }
    fs::read_to_string(file).map_err(|error| failed(error.to_string()))
}

/// What needs no attention is counted, the rest is named.
fn account(screen: &mut Screen, import: &Import) -> Result<(), Failure> {
    let count = |fate: Fate| import.account.iter().filter(|e| e.fate == fate).count();
    for entry in &import.account {
        let sign = match entry.fate {
            Fate::Converted => continue,
            Fate::Approximated => '~',
            Fate::Todo => '!',
        };
        let (line, what) = (entry.line, visible(&entry.what));
        screen.talk(&format!("{sign} line {line}: {what}: {}", entry.remark))?;
    }
    let (all, converted) = (import.account.len(), count(Fate::Converted));
    let (nearly, open) = (count(Fate::Approximated), count(Fate::Todo));
    screen.talk(&format!(
        "{all} entries: {converted} taken over, {nearly} nearly, {open} to do"
    ))
}

/// One text and no other file.
struct Text<'a>(&'a str);

impl Source for Text<'_> {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.as_bytes().to_vec())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

/// Whether what came out can be used as it is.
fn judged(screen: &mut Screen, toml: &str) -> u8 {
    // Variables are looked up where supd will run, which is not here.
    let anything = |_: &str| Some("1".to_owned());
    let outcome = config::load(
        Path::new("supd.toml"),
        &Text(toml),
        &Options::new(&anything),
    );
    let mut errors = outcome.diagnostics;
    errors.retain(|diagnostic| diagnostic.severity == Severity::Error);
    if errors.is_empty() {
        return DONE;
    }
    let lines: Vec<String> = errors
        .iter()
        .map(|e| format!("supd.toml:{}: {}", e.line().unwrap_or(1), e.message))
        .collect();
    let code = errors.first().map_or("E0126", |error| error.code);
    screen.complain_lines(&lines, &format!("supctl explain {code}"));
    INVALID_CONFIG
}

/// A TOML string whose `$` is put in by supd: `${X}` stays a variable.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A key, in quotes where TOML wants them.
fn key(text: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !text.is_empty() && text.chars().all(bare) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// A name that supd takes, and whether it had to be another one.
fn name(text: &str) -> (String, Option<String>) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let mut fit: String = text
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .take(64)
        .collect();
    if fit.is_empty() || fit.starts_with('-') {
        fit.insert(0, 'x');
    }
    let changed = (fit != text).then(|| format!("`{text}` is called `{fit}` here"));
    (fit, changed)
}
