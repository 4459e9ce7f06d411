// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is said about classes that could be read: examples that do not hold (E0159), and classes
//! that no end can have (L16).
//!
//! Which class an example has is asked of whoever loads the configuration ([`Judge`]): this module
//! knows no more of it than the answer.

use super::build::Builder;
use super::class::{self, Read};
use super::diagnostic::Report;
use super::pattern::{self, Patterns};
use super::reader::Reader;
use super::value::{At, Field, Item, Table};
use super::{Options, codes, words};
use crate::spec::{
    Class, Classes, ExitStatus, Found, Name, PatternId, Phase, Sample, Stream, Supervisor,
    Testimony, Uptime, UserClass, When,
};
use std::sync::Arc;
use std::time::Duration;

/// Says which class an end has, if it has one of the configuration's.
pub type Judge<'a> = &'a dyn Fn(&Classes, &Sample) -> Option<Name>;

/// Names for ends, and what is to be said about them.
pub(super) fn classes(builder: &Builder<'_>, root: &Supervisor, options: &Options<'_>) -> Read {
    let (reader, top) = (builder.reader, builder.top);
    let read = class::classes(reader, top);
    if let Some(field) = top.get("class").filter(|_| options.above.is_some()) {
        let report = Report::new(codes::CLASS, "classes are for the whole tree");
        let report = report.at(field.key_at, "");
        reader.report(report.help("write them into the configuration: supctl apply"));
        return read;
    }
    for (entry, table) in top.table("class").into_iter().flat_map(Table::tables) {
        builder.describe(|| ("class", &entry.key, table));
    }
    let place = |name: &str| {
        let pool = name.rsplit_once('.').map_or(name, |(pool, _)| pool);
        builder.outline.find(pool).map(|node| node.at)
    };
    class::unseen(reader, &read.classes, (root, &place));
    if let Some(judge) = options.judge {
        examples(reader, top, (&read, judge));
    }
    unreachable(reader, top, &read.classes);
    read
}

/// Runs every `[[class.NAME.example]]`.
fn examples(reader: &Reader<'_>, top: &Table, (read, judge): (&Read, Judge<'_>)) {
    for (rule, table) in with_tables(top, &read.classes) {
        for (field, example) in table.get("example").map(all).unwrap_or_default() {
            one(reader, (rule, field, example), (read, judge));
        }
    }
}

/// The tables under `example`: one, or a list of them. Whatever is none has been reported.
fn all(field: Field<'_>) -> Vec<(At, &Table)> {
    match &field.value.item {
        Item::Table(table) => vec![(field.key_at, table)],
        Item::List(list) => list
            .iter()
            .filter_map(|value| match &value.item {
                Item::Table(table) => Some((value.at, table)),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn with_tables<'a>(
    top: &'a Table,
    classes: &'a Classes,
) -> impl Iterator<Item = (&'a Arc<UserClass>, &'a Table)> {
    let section = top.table("class");
    classes.rules.iter().filter_map(move |rule| {
        let table = section?.table(&rule.name)?;
        Some((rule, table))
    })
}

fn one(
    reader: &Reader<'_>,
    (rule, at, example): (&Arc<UserClass>, At, &Table),
    (read, judge): (&Read, Judge<'_>),
) -> Option<()> {
    let expect = match example.get("expect") {
        Some(field) => reader.flag(field)?,
        None => true,
    };
    let sample = Sample {
        status: status(reader, at, example)?,
        testimony: testimony(reader, example, &read.patterns)?,
        ..fitting(&rule.when)
    };
    let got = judge(&read.classes, &sample);
    if (got.as_ref() == Some(&rule.name)) == expect {
        return Some(());
    }
    let name = &rule.name;
    let (message, text) = match (&got, expect) {
        (_, false) => (
            format!("this example is of class `{name}`"),
            "expected not to be",
        ),
        (Some(other), true) => (
            format!("this example is of class `{other}`, not `{name}`"),
            "an earlier class holds",
        ),
        (None, true) => (
            format!("this example is not of class `{name}`"),
            "expected to be",
        ),
    };
    let report = Report::new(codes::EXAMPLE, message).at(at, text);
    reader.report(report.help("supctl classify shows which condition decides"));
    Some(())
}

/// How long it ran and what it was doing is as the class wants it: an example is about the rest.
fn fitting(when: &When) -> Sample {
    let moment = Duration::from_millis(1);
    let early = when.early == Some(true);
    let uptime = match when.uptime {
        Some(Uptime::Above(least)) => least + moment,
        Some(Uptime::Below(most)) => most / 2,
        None if early => Duration::ZERO,
        None => Duration::from_secs(3600),
    };
    let phase = when.phase.first().copied();
    let default = if early { Phase::Starting } else { Phase::Ready };
    Sample {
        status: ExitStatus::Code(1),
        phase: phase.unwrap_or(default),
        uptime,
        testimony: Testimony::default(),
    }
}

fn status(reader: &Reader<'_>, at: At, example: &Table) -> Option<ExitStatus> {
    match (example.get("code"), example.get("signal")) {
        (Some(code), None) => {
            let code = reader.integer(code, 0..=255)?;
            Some(ExitStatus::Code(u8::try_from(code).ok()?))
        }
        (None, Some(signal)) => Some(ExitStatus::Signal {
            signal: reader.signal(signal)?,
            core: false,
        }),
        (Some(_), Some(_)) | (None, None) => {
            let report = Report::new(codes::EXAMPLE, "an example has a `code` or a `signal`");
            reader.report(report.at(at, "").help("an end has exactly one of them"));
            None
        }
    }
}

fn testimony(reader: &Reader<'_>, example: &Table, patterns: &Patterns) -> Option<Testimony> {
    let mut found: Vec<Found> = Vec::new();
    for stream in [Stream::Out, Stream::Err] {
        let Some(field) = example.get(stream.as_str()) else {
            continue;
        };
        let Item::Text(text) = &field.value.item else {
            reader.text(field)?;
            continue;
        };
        found.extend(patterns.find(stream, text.as_bytes()));
    }
    Some(Testimony {
        found: found.into(),
        ..Testimony::default()
    })
}

/// L16: classes that no end can have.
fn unreachable(reader: &Reader<'_>, top: &Table, classes: &Classes) {
    let mut earlier: Vec<&Arc<UserClass>> = Vec::new();
    for (rule, table) in with_tables(top, classes) {
        let key = |key: &str| table.get(key).map(Field::at);
        let name = &rule.name;
        if let Some((why, at)) = contradiction(&rule.when, &key) {
            let message = format!("no end can be of class `{name}`: {why}");
            let report = Report::new("L16", message).at(at, "");
            reader.report(report.help("all keys of a class must hold; make two classes of it"));
        } else if let Some(over) = earlier.iter().find(|one| covers(&one.when, &rule.when)) {
            let at = top.table("class").and_then(|t| t.get(name));
            let message = format!(
                "`{}` is looked at first and holds whenever `{name}` would",
                over.name
            );
            let report = Report::new("L16", message);
            let report = at.map_or(report.clone(), |f| report.at(f.key_at, "never reached"));
            reader
                .report(report.help("the first class that holds is it: put the narrow one first"));
        }
        impossible(reader, classes, (&rule.when, table));
        earlier.push(rule);
    }
}

/// Patterns that no text matches.
fn impossible(reader: &Reader<'_>, classes: &Classes, (when, table): (&When, &Table)) {
    for (key, ids) in [("stderr", &when.stderr), ("stdout", &when.stdout)] {
        let Some(field) = table.get(key) else {
            continue;
        };
        let text = |id: &PatternId| classes.patterns.get(id.0 as usize);
        let bad = ids.iter().filter_map(text);
        for text in bad.filter(|text| pattern::is_impossible(text)) {
            let message = format!("no text matches the pattern `{text}`");
            let place = match &field.value.item {
                Item::List(list) => list
                    .iter()
                    .find(|v| matches!(&v.item, Item::Text(t) if **t == **text)),
                _ => Some(field.value),
            };
            let report = Report::new("L16", message).at(place.map_or(field.at(), |v| v.at), "");
            reader
                .report(report.help("`^` and `$` stand at the ends of a line, `.` is no newline"));
        }
    }
}

type Place<'a> = &'a dyn Fn(&str) -> Option<At>;

/// Conditions that exclude each other, and where the later one stands.
fn contradiction(when: &When, at: Place<'_>) -> Option<(String, At)> {
    let has_output = !when.stderr.is_empty() || !when.stdout.is_empty();
    let never_ran = |class: &Class| *class == Class::SpawnFailed;
    if !when.codes.is_empty() && !when.signals.is_empty() {
        return Some(("it has a code or a signal".to_owned(), at("signals")?));
    }
    if !when.base.is_empty() {
        let asks = has_output || !when.codes.is_empty() || !when.signals.is_empty();
        if asks && when.base.iter().all(never_ran) {
            return Some(("there was no process".to_owned(), at("base")?));
        }
        let base = |of: &dyn Fn(Class) -> bool| when.base.iter().all(|class| !of(*class));
        if !when.codes.is_empty() && base(&by_code) {
            return Some((words_of(&when.base, "have no exit code"), at("codes")?));
        }
        if !when.signals.is_empty() && base(&by_signal) {
            return Some((words_of(&when.base, "end by no signal"), at("signals")?));
        }
    }
    if when.early == Some(false) && when.phase.iter().all(|p| *p == Phase::Starting) {
        let starting = !when.phase.is_empty();
        return starting.then_some(()).and_then(|()| {
            Some((
                "whoever ends while starting is early".to_owned(),
                at("early")?,
            ))
        });
    }
    None
}

fn words_of(base: &[Class], what: &str) -> String {
    let all: Vec<&str> = base.iter().map(|class| class.as_str()).collect();
    format!("{} {what}", words::enumerate(&all))
}

/// Whether an end of this base class can have an exit code.
fn by_code(class: Class) -> bool {
    match class {
        Class::Clean
        | Class::Unavailable
        | Class::Tempfail
        | Class::Config
        | Class::ExitCode
        | Class::Crash
        | Class::ExecFailed
        | Class::StartTimeout
        | Class::LivenessFailed
        | Class::WatchdogTimeout
        | Class::StopTimeout
        | Class::Requested
        | Class::Recycled => true,
        Class::Escalated
        | Class::AutoShutdown
        | Class::SpawnFailed
        | Class::OomKill
        | Class::Rlimit
        | Class::Sandbox
        | Class::Killed
        | Class::Terminated
        | Class::Signal => false,
    }
}

/// Whether an end of this base class can be by a signal.
fn by_signal(class: Class) -> bool {
    match class {
        Class::Unavailable
        | Class::Tempfail
        | Class::Config
        | Class::ExitCode
        | Class::ExecFailed
        | Class::SpawnFailed
        | Class::Escalated
        | Class::AutoShutdown => false,
        Class::Requested
        | Class::StopTimeout
        | Class::Recycled
        | Class::StartTimeout
        | Class::LivenessFailed
        | Class::WatchdogTimeout
        | Class::Clean
        | Class::OomKill
        | Class::Rlimit
        | Class::Sandbox
        | Class::Crash
        | Class::Killed
        | Class::Terminated
        | Class::Signal => true,
    }
}

/// Whether every end that fulfils `narrow` fulfils `wide`, as far as that is written plainly.
fn covers(wide: &When, narrow: &When) -> bool {
    fn within<T: PartialEq>(wide: &[T], narrow: &[T]) -> bool {
        let all = || narrow.iter().all(|one| wide.contains(one));
        wide.is_empty() || (!narrow.is_empty() && all())
    }
    !wide.is_empty()
        && !narrow.is_empty()
        && within(&wide.base, &narrow.base)
        && within(&wide.codes, &narrow.codes)
        && within(&wide.signals, &narrow.signals)
        && within(&wide.stderr, &narrow.stderr)
        && within(&wide.stdout, &narrow.stdout)
        && within(&wide.phase, &narrow.phase)
        && (wide.uptime.is_none() || wide.uptime == narrow.uptime)
        && (wide.early.is_none() || wide.early == narrow.early)
}
