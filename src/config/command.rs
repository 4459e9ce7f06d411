// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands: of services, of probes, of stops and reloads.
//!
//! A string is split first and completed word by word, so that no value becomes two arguments; an
//! array is taken as it stands. `shell` is never touched: its `$` belongs to the shell.

use super::codes;
use super::diagnostic::Report;
use super::reader::Reader;
use super::scalar;
use super::split::{self, Fault};
use super::value::{At, Field, Item, Table};
use super::words;
use crate::spec::Command;
use std::path::Path;

/// The program of a service: `command` or `shell`, and one of them.
pub(super) fn program(reader: &Reader<'_>, table: &Table, node_at: At) -> Option<Command> {
    match (table.get("command"), table.get("shell")) {
        (Some(command), None) => argv(reader, command).map(Command::Argv),
        (None, Some(shell)) => script(reader, shell),
        (Some(command), Some(shell)) => {
            reader.report(
                Report::new(
                    codes::COMMAND_AND_SHELL,
                    "`command` and `shell` exclude each other",
                )
                .at(shell.key_at, "")
                .at(command.key_at, "")
                .help("`command` is executed as it stands, `shell` is given to /bin/sh -c"),
            );
            None
        }
        // What was meant is told where the key stands.
        (None, None) if table.entries.iter().any(|e| is_meant(&e.key)) => None,
        (None, None) => {
            reader.report(
                Report::new(codes::NO_COMMAND, "a service has a `command` or a `shell`")
                    .at(node_at, "nothing to execute")
                    .help("add `command = \"…\"`"),
            );
            None
        }
    }
}

/// Whether an unknown key was probably meant to say what is run.
fn is_meant(key: &str) -> bool {
    let known = super::schema::SERVICE.keys.iter().any(|k| k.name == key);
    let foreign = words::foreign(key).is_some_and(|f| f.ours == "`command`");
    let near = || words::nearest(key, super::schema::SERVICE.keys.iter().map(|k| k.name));
    !known && (foreign || matches!(near(), Some("command" | "shell")))
}

/// A text for a shell, as it stands.
pub(super) fn script(reader: &Reader<'_>, field: Field<'_>) -> Option<Command> {
    let Item::Text(text) = &field.value.item else {
        // Reports the type; a string never comes here, so nothing is put in.
        reader.text(field)?;
        return None;
    };
    if text.trim().is_empty() {
        empty(reader, field.at());
        return None;
    }
    if text.contains('\0') {
        let report = Report::new(codes::NUL, "a string has no NUL character");
        let report = report.at(field.at(), "the kernel would cut it there");
        reader.report(report.help("take it out, or let the program read it from a file"));
        return None;
    }
    Some(Command::Shell(Box::from(&**text)))
}

/// A string or an array of strings, never empty.
pub(super) fn argv(reader: &Reader<'_>, field: Field<'_>) -> Option<Box<[Box<str>]>> {
    let words: Vec<Box<str>> = match &field.value.item {
        Item::List(list) => {
            let read = list.iter().map(|v| reader.text(field.with(v)));
            // All words are read, so that all mistakes are found.
            let read: Vec<Option<Box<str>>> = read.collect();
            read.into_iter().collect::<Option<_>>()?
        }
        Item::Text(text) => from_string(reader, field, text)?,
        _ => {
            reader.list(field, "[\"program\", \"argument\"]", |_| None::<()>);
            return None;
        }
    };
    if words.first().is_none_or(|program| program.is_empty()) {
        empty(reader, field.at());
        return None;
    }
    Some(words.into_boxed_slice())
}

fn empty(reader: &Reader<'_>, at: At) {
    let report = Report::new(codes::EMPTY_COMMAND, "a command names a program").at(at, "empty");
    reader.report(report.help("write it as `[\"program\", \"argument\"]` or \"program argument\""));
}

fn from_string(reader: &Reader<'_>, field: Field<'_>, text: &str) -> Option<Vec<Box<str>>> {
    let at = field.at();
    let report = match split::words(text) {
        Ok(words) => {
            if let Some(name) = assignment(&words[0]) {
                let message = format!("`{name}=` in front of a program is the shell's");
                let report = Report::new(codes::SHELL_SYNTAX, message).at(at, "");
                let help = format!("write `env = {{ {name} = \"…\" }}`, or use `shell`");
                reader.report(report.help(help));
                return None;
            }
            let read = words.iter().map(|word| reader.complete(at, word));
            let read: Vec<Option<Box<str>>> = read.collect();
            return read.into_iter().collect();
        }
        Err(Fault::Shell(what)) => {
            let message = format!("`{what}` needs a shell, and `{}` has none", field.key);
            let report = Report::new(codes::SHELL_SYNTAX, message).at(reader.single(at, &what), "");
            let help = match (field.key, what.strip_prefix('$')) {
                ("command", Some(name)) if scalar::is_variable(name) => {
                    format!("write `${{{name}}}` for supd to fill in, or use `shell = …`")
                }
                ("command", _) => {
                    "use `shell = …` instead of `command = …`, or quote it".to_owned()
                }
                _ => format!(
                    "write `{} = [\"sh\", \"-c\", \"…\"]`, or quote it",
                    field.key
                ),
            };
            report.help(help)
        }
        Err(Fault::Quote(quote)) => {
            Report::new(codes::QUOTE, format!("the quote {quote} is not closed"))
                .at(at, "")
                .help(format!(
                    "close it, or write \\{quote} for the character itself"
                ))
        }
        Err(Fault::Backslash) => Report::new(codes::QUOTE, "a backslash at the end quotes nothing")
            .at(at, "")
            .help("take it out, or write `\\\\` for the character itself"),
        Err(Fault::Empty) => {
            empty(reader, at);
            return None;
        }
    };
    reader.report(report);
    None
}

fn assignment(word: &str) -> Option<&str> {
    let (name, _) = word.split_once('=')?;
    scalar::is_variable(name).then_some(name)
}

/// The command of a probe or a hook: a relative path belongs to the file that names it.
pub(super) fn hook(reader: &Reader<'_>, field: Field<'_>) -> Option<Command> {
    let mut words = argv(reader, field)?;
    if words[0].contains('/') && !Path::new(&*words[0]).is_absolute() {
        let path = reader.locate(field.value, &words[0])?;
        words[0] = path.to_string_lossy().into();
    }
    Some(Command::Argv(words))
}
