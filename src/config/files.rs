// SPDX-License-Identifier: MIT OR Apache-2.0
//! From paths to one merged table: reading, parsing, including.
//!
//! The main file comes first, then what it includes, sorted by path. Every limit on files is kept
//! here, before anything is parsed.

use super::diagnostic::{Report, Sink, Sources};
use super::interpolate::{self, Found};
use super::reader::Names;
use super::schema::ROOT;
use super::value::{self, At, Item, Table, Value};
use super::{Source, codes, keys};
use crate::spec::limits;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::de::DeTable;

/// All files in one table, or nothing when one of them is no TOML.
pub(super) struct Files<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) sink: &'a Sink,
    pub(super) sources: Sources,
    /// FNV-1a over every path and text: changes when the configuration does.
    pub(super) hash: u64,
}

impl<'a> Files<'a> {
    pub(super) fn new(source: &'a dyn Source, sink: &'a Sink) -> Self {
        Self {
            source,
            sink,
            sources: Sources::default(),
            hash: 0xcbf2_9ce4_8422_2325,
        }
    }

    /// Reads the main file; `names` gives the variables in include patterns.
    pub(super) fn main(&mut self, path: &Path) -> Option<Table> {
        self.file(path, None)
    }

    /// Reads what the main file includes and lays it on top.
    pub(super) fn includes(
        &mut self,
        main: &Table,
        path: &Path,
        names: &dyn Names,
    ) -> Option<Table> {
        let mut merged = main.clone();
        let mut complete = true;
        for (file, at) in self.included(main, path, names) {
            let Some(table) = self.file(&file, Some(at)) else {
                complete = false;
                continue;
            };
            if let Some(include) = table.get("include") {
                self.sink.push(
                    Report::new(codes::MISPLACED, "`include` is for the main file only")
                        .at(include.key_at, "")
                        .help(format!("name the file in {}", path.display())),
                );
            }
            self.version(&table);
            merged.merge(&table, &ROOT);
        }
        complete.then_some(merged)
    }

    /// Refuses versions that were not written yet.
    pub(super) fn version(&self, table: &Table) {
        let Some(field) = table.get("version") else {
            return;
        };
        if !matches!(field.value.item, Item::Integer(1)) {
            self.sink.push(
                Report::new(codes::VERSION, "this supd reads version 1 of the language")
                    .at(field.at(), "")
                    .help("write `version = 1`, or upgrade supd"),
            );
        }
    }

    fn file(&mut self, path: &Path, from: Option<At>) -> Option<Table> {
        let text = self.read(path, from)?;
        let absolute = self.source.absolute(path);
        let number = self.sources.add(path, Arc::clone(&text), &absolute);
        let (table, errors) = DeTable::parse_recoverable(&text);
        let broken = !errors.is_empty();
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let at = value::place(number, &span);
            let found = text.get(span).unwrap_or_default();
            self.sink.push(syntax(error.message(), found, at));
        }
        if broken {
            return None;
        }
        let table = value::from_toml(table.get_ref(), number);
        self.long_strings(&table);
        for (_, service) in nodes(&table) {
            for (_, at) in super::process::secret_literals(service) {
                self.sources.hide(at);
            }
        }
        keys::check(&table, self.sink);
        Some(table)
    }

    fn read(&mut self, path: &Path, from: Option<At>) -> Option<Arc<str>> {
        let place = |report: Report| match from {
            Some(at) => report.at(at, ""),
            None => report,
        };
        let shown = path.display();
        let bytes = match self.source.read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let message = format!("cannot read {shown}: {error}");
                let help = match (error.kind(), from) {
                    (io::ErrorKind::NotFound, Some(_)) => "create it, or take it out of `include`",
                    (io::ErrorKind::NotFound, None) => "name a file that is there",
                    (io::ErrorKind::PermissionDenied, _) => "let supd's user read it",
                    (_, _) => "name a regular file that can be read",
                };
                let report = Report::new(codes::UNREADABLE, message).help(help);
                self.sink.push(place(report));
                return None;
            }
        };
        if bytes.len() > limits::CONFIG_FILE_MAX {
            let most = limits::CONFIG_FILE_MAX >> 20;
            let message = format!("{shown} is larger than {most} MiB");
            let report = Report::new(codes::FILE_SIZE, message);
            self.sink.push(place(
                report.help("divide it, and name the parts in `include`"),
            ));
            return None;
        }
        self.digest(path.as_os_str().as_encoded_bytes());
        self.digest(&bytes);
        match String::from_utf8(bytes) {
            Ok(text) => Some(Arc::from(text.strip_prefix('\u{feff}').unwrap_or(&text))),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let before = String::from_utf8_lossy(&error.as_bytes()[..good]);
                let line = before.matches('\n').count() + 1;
                let message = format!("{shown} is not UTF-8 (line {line})");
                let report = Report::new(codes::SYNTAX, message);
                self.sink
                    .push(place(report.help("save it as UTF-8, or: iconv -t UTF-8")));
                None
            }
        }
    }

    pub(super) fn digest(&mut self, bytes: &[u8]) {
        // The length separates neighbours.
        let length = bytes.len().to_le_bytes();
        for byte in length.iter().chain(bytes) {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn long_strings(&self, table: &Table) {
        for entry in &table.entries {
            self.long_string(&entry.value);
        }
    }

    /// The parser limits the depth of arrays and tables.
    fn long_string(&self, value: &Value) {
        match &value.item {
            Item::Text(text) if text.len() > limits::STRING_MAX => {
                let message = format!("a string has at most {} MiB", limits::STRING_MAX >> 20);
                let report = Report::new(codes::STRING_SIZE, message).at(value.at, "");
                let help = "let the program read it from a file";
                self.sink.push(report.help(help));
            }
            Item::List(list) => list.iter().for_each(|v| self.long_string(v)),
            Item::Table(table) => self.long_strings(table),
            _ => {}
        }
    }

    /// The paths of all includes, sorted, each with the pattern that named it.
    fn included(&self, main: &Table, path: &Path, names: &dyn Names) -> Vec<(PathBuf, At)> {
        let Some(include) = main.get("include") else {
            return Vec::new();
        };
        let Item::List(list) = &include.value.item else {
            self.sink.push(
                Report::new(codes::WRONG_TYPE, "`include` is an array of patterns")
                    .at(include.at(), "")
                    .help("write it as `include = [\"conf.d/*.toml\"]`"),
            );
            return Vec::new();
        };
        let directory = path.parent().unwrap_or(path);
        let mut found = BTreeSet::new();
        for pattern in list {
            let files = self.pattern(pattern, directory, names).unwrap_or_default();
            found.extend(files.into_iter().map(|file| (file, pattern.at)));
        }
        let mut files: Vec<(PathBuf, At)> = found.into_iter().collect();
        files.dedup_by(|a, b| a.0 == b.0);
        files.retain(|(file, _)| file != path);
        if files.len() > limits::INCLUDES_MAX {
            let (found, most) = (files.len(), limits::INCLUDES_MAX);
            let message = format!("{found} files are included, at most {most} can be");
            let report = Report::new(codes::INCLUDES, message).at(include.at(), "");
            self.sink
                .push(report.help("put several tables into one file"));
            files.truncate(limits::INCLUDES_MAX);
        }
        files
    }

    fn pattern(&self, value: &Value, directory: &Path, names: &dyn Names) -> Option<Vec<PathBuf>> {
        let fault = |message: &str| {
            let report = Report::new(codes::INCLUDE, message).at(value.at, "");
            self.sink
                .push(report.help("wildcards are `*` and `?`, in the last part of a path"));
        };
        let Item::Text(text) = &value.item else {
            fault("a pattern is a string");
            return None;
        };
        let mut find = |name: &str| names.find(name).map_or(Found::Nothing, Found::Text);
        let Ok(text) = interpolate::complete(text, &mut find) else {
            fault("this pattern has a variable that is not defined");
            return None;
        };
        let full = directory.join(&*text);
        let (Some(last), parent) = (full.file_name().and_then(|n| n.to_str()), full.parent())
        else {
            fault("a pattern ends in the name of a file");
            return None;
        };
        let parent = parent.unwrap_or(Path::new(""));
        if parent.to_string_lossy().contains(['*', '?']) {
            fault("a directory is named without wildcards");
            return None;
        }
        if !last.contains(['*', '?']) {
            return Some(vec![full]);
        }
        // A directory that is not there has no files: drop-ins are optional.
        let all = self.source.list(parent).unwrap_or_default();
        let matched = |file: &PathBuf| {
            let name = file.file_name().and_then(|n| n.to_str());
            name.is_some_and(|n| !n.starts_with('.') && matches(last.as_bytes(), n.as_bytes()))
        };
        Some(all.into_iter().filter(matched).collect())
    }
}

/// The parser takes a word without quotes for a number that went wrong.
fn syntax(message: &str, found: &str, at: At) -> Report {
    let bare = found.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    if bare && (message.starts_with("invalid") || message.starts_with("string values")) {
        let report = Report::new(codes::SYNTAX, "a string stands in quotes").at(at, "");
        return report.help(format!("write `\"{found}\"`"));
    }
    Report::new(codes::SYNTAX, message)
        .at(at, "")
        .help(way_out(message))
}

/// What to do about a mistake that the parser has named.
fn way_out(message: &str) -> &'static str {
    let says = |word: &str| message.contains(word);
    if says("duplicate key") {
        "a table and a key are written once; put both together"
    } else if says("leading zero") {
        "write the number without it, or as a string: \"022\""
    } else if says("missing comma") {
        "put a comma between the two"
    } else if says("inline table element") {
        "close the table before it: `key = { … }`"
    } else if says("unclosed table") {
        "close the header: `[service.web]`"
    } else if says("unclosed") {
        "close it, and look at the lines before for a bracket too many"
    } else if says("escaped") {
        "write `\\\\` for a backslash, or use 'single quotes'"
    } else if says("string values must be quoted") {
        "write the value, a string in quotes: `key = \"value\"`"
    } else if says("string, expected") {
        "close the quote, or use three of them for a text of several lines"
    } else if says("newline") {
        "one `key = value` stands on one line"
    } else if says("key with no value") {
        "write `key = value`, or `[table]`; TOML is neither YAML nor JSON"
    } else {
        "write `key = value`, one a line, below its `[table]`"
    }
}

/// Tables that can have an `env`.
fn nodes(table: &Table) -> impl Iterator<Item = (&str, &Table)> {
    let named = ["service", "template"].into_iter();
    let named = named
        .filter_map(|key| table.table(key))
        .flat_map(Table::tables);
    let named = named.map(|(entry, table)| (&*entry.key, table));
    let branches = table
        .table("supervisor")
        .into_iter()
        .flat_map(Table::tables);
    let branches = branches.filter_map(|(e, t)| Some((&*e.key, t.table("defaults")?)));
    let defaults = table.table("defaults").map(|t| ("", t));
    named.chain(branches).chain(defaults)
}

/// `*` and `?` against a file's name, in linear time but for the last `*`.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                None => return false,
                Some((at, taken)) => {
                    p = at + 1;
                    n = taken + 1;
                    star = Some((at, taken + 1));
                }
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_a_shell_would() {
        for (pattern, name, expected) in [
            ("*.toml", "a.toml", true),
            ("*.toml", "a.tom", false),
            ("a?c*", "abcd", true),
            ("*a*b", "xayab", true),
            ("*a*b", "xaya", false),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                expected,
                "{pattern} {name}"
            );
        }
    }
}
