// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading single values: the right type, the right spelling, variables put in.
//!
//! Every method answers `None` when it has reported; the caller goes on with the default, so that
//! all mistakes of a file come at once and no mistake becomes a second one.

use super::diagnostic::{Report, Sink, Sources};
use super::intern::Pools;
use super::interpolate::{self, Found, Problem};
use super::scalar;
use super::value::{At, Field, Item, Table, Value};
use super::{codes, words};
use crate::spec::{Shutdown, Signal, UserRef};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Where names that a node does not define itself are looked up.
pub(super) trait Names {
    fn find(&self, name: &str) -> Option<Box<str>>;
    /// Names a typo may have meant.
    fn known(&self) -> Vec<Box<str>>;
}

/// A name that a node defines itself: `NAME`, `INSTANCE`, its `env`.
#[derive(Debug, Clone)]
pub(super) struct Own {
    pub(super) name: Arc<str>,
    pub(super) found: Found,
}

/// How a value is written where it stands.
fn write_as(field: Field<'_>, example: &str) -> String {
    if field.element {
        return format!("write it as `{example}`");
    }
    format!("write it as `{} = {example}`", field.key)
}

/// What somebody might write there: a number says most when it is a likely one.
fn example_of(key: &str, range: &RangeInclusive<i64>) -> i64 {
    let likely = match key {
        "nofile" => 65_536,
        "nproc" => 512,
        "max_restarts" => 5,
        "instances" => 4,
        "oom_score_adj" => 500,
        "nice" => 10,
        _ => 1,
    };
    likely.clamp(*range.start(), *range.end())
}

/// Reads values of one node.
pub(super) struct Reader<'a> {
    pub(super) sink: &'a Sink,
    pub(super) sources: &'a Sources,
    pub(super) names: &'a dyn Names,
    pub(super) pools: &'a Pools,
    pub(super) own: Vec<Own>,
}

impl<'a> Reader<'a> {
    /// The same surroundings, other names of its own.
    pub(super) fn with(&self, own: Vec<Own>) -> Reader<'a> {
        Reader { own, ..*self }
    }

    pub(super) fn report(&self, report: Report) {
        self.sink.push(report);
    }

    /// "`key` is a …", at the value.
    fn wrong<T>(&self, field: Field<'_>, wanted: &str, example: &str) -> Option<T> {
        let is = match &field.value.item {
            Item::Text(_) => "a string",
            Item::Integer(_) => "an integer",
            Item::Float(_) => "a fraction",
            Item::Flag(_) => "a boolean",
            Item::Date => "a date",
            Item::List(_) => "an array",
            Item::Table(_) => "a table",
        };
        let subject = if field.element { "an element of " } else { "" };
        let message = format!("{subject}`{}` is {wanted}, not {is}", field.key);
        self.report(
            Report::new(codes::WRONG_TYPE, message)
                .at(field.at(), "")
                .help(write_as(field, example)),
        );
        None
    }

    /// A string, variables put in.
    pub(super) fn text(&self, field: Field<'_>) -> Option<Box<str>> {
        let Item::Text(text) = &field.value.item else {
            let example = match &field.value.item {
                Item::Integer(n) => format!("\"{n}\""),
                Item::Float(n) => format!("\"{n}\""),
                Item::Flag(flag) => format!("\"{flag}\""),
                _ => "\"…\"".to_owned(),
            };
            return self.wrong(field, "a string", &example);
        };
        self.complete(field.at(), text)
    }

    /// Puts variables into a piece of the string at `at`.
    pub(super) fn complete(&self, at: At, text: &str) -> Option<Box<str>> {
        let completed = interpolate::complete(text, &mut |name| self.find(name));
        match completed {
            Ok(text) if text.contains('\0') => {
                self.report(
                    Report::new(codes::NUL, "a string has no NUL character")
                        .at(at, "the kernel would cut it there")
                        .help("take it out, or let the program read it from a file"),
                );
                None
            }
            Ok(text) => Some(text),
            Err(problems) => {
                for problem in problems {
                    self.problem(at, problem);
                }
                None
            }
        }
    }

    fn find(&self, name: &str) -> Found {
        let own = self.own.iter().rev().find(|own| &*own.name == name);
        match own {
            Some(own) => own.found.clone(),
            None => self.names.find(name).map_or(Found::Nothing, Found::Text),
        }
    }

    fn problem(&self, at: At, problem: Problem) {
        let report = match problem {
            Problem::Open => Report::new(codes::INTERPOLATION, "`${` is not closed")
                .at(self.caret(at, "${"), "")
                .help("write `$${` for a literal `${`"),
            Problem::Form(inside) => {
                let caret = self.caret(at, &format!("${{{inside}}}"));
                Report::new(
                    codes::INTERPOLATION,
                    format!("`${{{inside}}}` is no variable"),
                )
                .at(caret, "")
                .help("the forms are `${V}`, `${V:-default}`, `${V:?message}` and `$$`")
            }
            Problem::Undefined(name) => {
                let known = self.names.known();
                let own = self.own.iter().map(|own| &*own.name);
                let candidates = known.iter().map(|name| &**name).chain(own);
                let help = match words::nearest(&name, candidates) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if name == "INSTANCE" => "only a pool has it: `instances = 2`".to_owned(),
                    None => format!("define it in `[vars]` or write `${{{name}:-default}}`"),
                };
                Report::new(codes::UNDEFINED, format!("`{name}` is not defined"))
                    .at(self.caret(at, &format!("${{{name}")), "")
                    .help(help)
            }
            Problem::Required(name, message) => {
                Report::new(codes::UNDEFINED, format!("`{name}` is required: {message}"))
                    .at(self.caret(at, &format!("${{{name}")), "")
                    .help(format!(
                        "define it in `[vars]`, in the environment, or by `--var {name}=…`"
                    ))
            }
            Problem::Secret(name) => {
                let message = format!("`{name}` is a secret and can only be in the environment");
                Report::new(codes::SECRET, message)
                    .at(
                        self.caret(at, &format!("${{{name}")),
                        "anybody could read it here",
                    )
                    .help(format!(
                        "let the program read `{name}` from its environment"
                    ))
            }
        };
        self.report(report);
    }

    /// The place of `part`, when it occurs once: an earlier one might be quoted.
    pub(super) fn single(&self, at: At, part: &str) -> At {
        let text = self.sources.text(at.file);
        let string = text.get(at.start as usize..at.end as usize).unwrap_or("");
        let Some(offset) = string
            .find(part)
            .filter(|_| string.matches(part).count() == 1)
        else {
            return at;
        };
        let start = at.start + u32::try_from(offset).unwrap_or(0);
        let end = (start + u32::try_from(part.len()).unwrap_or(0)).min(at.end);
        At { start, end, ..at }
    }

    /// The place of `part` within the string, as far as escapes let it be found.
    fn caret(&self, at: At, part: &str) -> At {
        let text = self.sources.text(at.file);
        let found = text.get(at.start as usize..at.end as usize).and_then(|s| {
            s.find(part)
                .map(|n| (n, s[n..].find('}').map_or(part.len(), |e| e + 1)))
        });
        let Some((offset, length)) = found else {
            return at;
        };
        let start = at.start + u32::try_from(offset).unwrap_or(0);
        let length = u32::try_from(length.max(part.len())).unwrap_or(0);
        let end = (start + length).min(at.end);
        At { start, end, ..at }
    }

    pub(super) fn flag(&self, field: Field<'_>) -> Option<bool> {
        match &field.value.item {
            Item::Flag(flag) => Some(*flag),
            _ => self.wrong(field, "a boolean", "true"),
        }
    }

    pub(super) fn integer(&self, field: Field<'_>, range: RangeInclusive<i64>) -> Option<i64> {
        let Item::Integer(n) = &field.value.item else {
            let meant = match &field.value.item {
                Item::Text(text) => text.trim().parse().ok(),
                #[expect(clippy::cast_possible_truncation, reason = "an example, checked below")]
                Item::Float(n) => Some(*n as i64),
                _ => None,
            };
            let meant = meant.filter(|n| range.contains(n));
            let example = meant.unwrap_or_else(|| example_of(field.key, &range));
            return self.wrong(field, "an integer", &example.to_string());
        };
        if range.contains(n) {
            return Some(*n);
        }
        let message = format!(
            "`{}` is from {} to {}",
            field.key,
            range.start(),
            range.end()
        );
        let nearest = match (*n < 0, *range.start()) {
            // Whoever writes a number below zero means none that is near to it.
            (true, 0) => example_of(field.key, &range),
            _ => (*n).clamp(*range.start(), *range.end()),
        };
        let report = Report::new(codes::RANGE, message).at(field.at(), "out of range");
        self.report(report.help(write_as(field, &nearest.to_string())));
        None
    }

    /// A number with or without decimals, at least `least`.
    pub(super) fn number(&self, field: Field<'_>, least: f64, example: &str) -> Option<f64> {
        let number = match &field.value.item {
            #[expect(clippy::cast_precision_loss, reason = "the limits are far below 2^52")]
            Item::Integer(n) => *n as f64,
            Item::Float(n) => *n,
            Item::Text(text) if text.trim().parse::<f64>().is_ok_and(|n| n >= least) => {
                return self.wrong(field, "a number", text.trim());
            }
            _ => return self.wrong(field, "a number", example),
        };
        if number.is_finite() && number >= least && number <= 1e9 {
            return Some(number);
        }
        let message = format!("`{}` is a number from {least} on", field.key);
        let report = Report::new(codes::RANGE, message).at(field.at(), "out of range");
        self.report(report.help(write_as(field, example)));
        None
    }

    pub(super) fn duration(&self, field: Field<'_>) -> Option<Duration> {
        let help = match &field.value.item {
            Item::Text(_) => {
                let text = self.text(field)?;
                match scalar::duration(&text) {
                    Some(duration) => return Some(duration),
                    None if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() => {
                        format!("did you mean `{} = \"{text}s\"`?", field.key)
                    }
                    None => format!("write it as `{} = \"1m30s\"`; units: ms s m h d", field.key),
                }
            }
            Item::Integer(n) => format!("did you mean `{} = \"{n}s\"`?", field.key),
            Item::Float(n) => format!("did you mean `{} = \"{n}s\"`?", field.key),
            _ => return self.wrong(field, "a duration", "\"5s\""),
        };
        let message = format!("`{}` is a duration with its unit", field.key);
        self.report(
            Report::new(codes::DURATION, message)
                .at(field.at(), "")
                .help(help),
        );
        None
    }

    /// A duration or `"infinity"`.
    pub(super) fn patience(&self, field: Field<'_>) -> Option<Shutdown> {
        match &field.value.item {
            Item::Text(text) if &**text == "infinity" => Some(Shutdown::Infinity),
            _ => self.duration(field).map(Shutdown::Within),
        }
    }

    pub(super) fn size(&self, field: Field<'_>) -> Option<u64> {
        let help = match &field.value.item {
            Item::Text(_) => {
                let text = self.text(field)?;
                match scalar::size(&text) {
                    Some(size) => return Some(size),
                    None => format!("write it as `{} = \"64M\"`; units: B K M G T", field.key),
                }
            }
            Item::Integer(n) => {
                let size = scalar::spell_size(u64::try_from(*n).unwrap_or(0));
                format!("did you mean `{} = \"{size}\"`?", field.key)
            }
            _ => return self.wrong(field, "a size", "\"64M\""),
        };
        let message = format!("`{}` is a size with its unit", field.key);
        self.report(
            Report::new(codes::SIZE, message)
                .at(field.at(), "")
                .help(help),
        );
        None
    }

    pub(super) fn signal(&self, field: Field<'_>) -> Option<Signal> {
        let help = match &field.value.item {
            Item::Text(_) => {
                let text = self.text(field)?;
                if let Ok(signal) = Signal::from_str(&text) {
                    return Some(signal);
                }
                let names = (1..=31).filter_map(Signal::from_number);
                let names: Vec<String> = names.map(|s| s.to_string()).collect();
                let bare = text.trim_start_matches("SIG");
                match words::nearest(bare, names.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "`kill -l` lists them; RTMIN+1 and the like are known, too".to_owned(),
                }
            }
            Item::Integer(n) => {
                let signal = i32::try_from(*n).ok().and_then(Signal::from_number);
                let signal = signal.unwrap_or(Signal::TERM);
                format!("signals have names: \"{signal}\"")
            }
            _ => return self.wrong(field, "a signal", "\"TERM\""),
        };
        let message = format!("`{}` is the name of a signal", field.key);
        let report = Report::new(codes::SIGNAL, message).at(field.at(), "no such name");
        self.report(report.help(help));
        None
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(&self, field: Field<'_>, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(field)?;
        if let Some((_, choice)) = words.iter().find(|(word, _)| *word == &*text) {
            return Some(*choice);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let help = match &*text {
            "simple_one_for_one" => "OTP's word for a pool; here it is `instances`".to_owned(),
            "brutal_kill" => "OTP's word; here it is `stop = { signal = \"KILL\" }`".to_owned(),
            "unless-stopped" => "compose's word; here it is `always`".to_owned(),
            "unexpected" => "supervisord's word; here it is `on-failure`".to_owned(),
            "no" => "here it is `never`".to_owned(),
            text => words::one_of(text, &known),
        };
        let message = format!("`{}` cannot be `{text}`", field.key);
        self.report(
            Report::new(codes::UNKNOWN_WORD, message)
                .at(field.at(), "")
                .help(help),
        );
        None
    }

    /// Every element; those that are wrong are reported and left out.
    pub(super) fn list<T>(
        &self,
        field: Field<'_>,
        example: &str,
        read: impl Fn(Field<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Item::List(list) = &field.value.item else {
            return self.wrong(field, "an array", example);
        };
        Some(list.iter().filter_map(|v| read(field.with(v))).collect())
    }

    pub(super) fn table<'v>(&self, field: Field<'v>, example: &str) -> Option<&'v Table> {
        match &field.value.item {
            Item::Table(table) => Some(table),
            _ => self.wrong(field, "a table", example),
        }
    }

    /// A path; a relative one belongs to the directory of the file that names it.
    pub(super) fn path(&self, field: Field<'_>) -> Option<PathBuf> {
        let text = self.text(field)?;
        self.locate(field.value, &text)
    }

    pub(super) fn locate(&self, value: &Value, text: &str) -> Option<PathBuf> {
        if text.is_empty() {
            let report = Report::new(codes::PATH, "a path is not empty").at(value.at, "");
            self.report(report.help("name a file or a directory, or leave the key out"));
            return None;
        }
        let directory = self.sources.directory(value.at.file);
        Some(directory.join(text))
    }

    /// A user or a group, by name or number.
    pub(super) fn user(&self, field: Field<'_>) -> Option<UserRef> {
        let id = if let Item::Integer(n) = &field.value.item {
            u32::try_from(*n).ok()
        } else {
            let text = self.text(field)?;
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let odd = text.starts_with('-') || text.contains([':', '/', ' ', '\n']);
            if !digits && !text.is_empty() && !odd {
                return Some(UserRef::Name(text));
            }
            text.parse().ok()
        };
        // The largest number means "unchanged" to setresuid(2).
        if let Some(id) = id.filter(|id| *id != u32::MAX) {
            return Some(UserRef::Id(id));
        }
        let message = format!("`{}` is a name or a number below {}", field.key, u32::MAX);
        let report = Report::new(codes::USER, message).at(field.at(), "");
        self.report(report.help("the group has a key of its own: `group`"));
        None
    }
}
