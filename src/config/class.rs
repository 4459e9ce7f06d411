// SPDX-License-Identifier: MIT OR Apache-2.0
//! `[class.NAME]`: names for ends, in the order of the text.
//!
//! What a class means, and which of several an end has, is decided in the engine. Patterns are
//! taken as they are written, without variables: `$` is the end of a line.

use super::breaker;
use super::diagnostic::Report;
use super::pattern::{self, Patterns};
use super::reader::Reader;
use super::value::{At, Entry, Field, Item, Table};
use super::{codes, scalar};
use crate::spec::{
    Class, Classes, Family, LogSink, Name, Node, PatternId, Phase, Supervisor, Uptime, UserClass,
    When, limits,
};
use std::collections::HashMap;
use std::sync::Arc;

/// Words that remedies are looked up by besides classes (SEMANTICS §6).
const TRIGGERS: [&str; 5] = ["flapping", "exhausted", "unhealthy", "held", "recovered"];
/// How an `uptime` is written.
const UPTIME: &str = "write it as `uptime = \">1s\"` or `uptime = \"<1s\"`";

/// What `phase` can be.
const PHASES: [(&str, Phase); 4] = [
    ("starting", Phase::Starting),
    ("ready", Phase::Ready),
    ("stopping", Phase::Stopping),
    ("trial", Phase::Trial),
];

/// The classes of a file and their patterns.
pub(super) struct Read {
    pub(super) classes: Classes,
    pub(super) patterns: Patterns,
}

/// Patterns that have a number already, and breakers that can be blamed.
#[derive(Default)]
struct Numbers {
    breakers: Vec<Name>,
    texts: Vec<Box<str>>,
    known: HashMap<Box<str>, PatternId>,
}

/// Reads every `[class.NAME]`.
pub(super) fn classes(reader: &Reader<'_>, top: &Table) -> Read {
    let empty = Table::default();
    let section = top.table("class").unwrap_or(&empty);
    let breakers = top.table("breaker").into_iter().flat_map(|t| &t.entries);
    let mut numbers = Numbers {
        breakers: breakers.map(|entry| Arc::clone(&entry.key)).collect(),
        ..Numbers::default()
    };
    let rules: Vec<Arc<UserClass>> = section
        .tables()
        .filter_map(|(entry, table)| class(reader, entry, (table, &mut numbers)))
        .map(Arc::new)
        .collect();
    let at = section.entries.first().map(|entry| entry.key_at);
    if let (Some(at), true) = (at, rules.len() > limits::CLASSES_MAX) {
        let message = format!(
            "{} classes, at most {} can be",
            rules.len(),
            limits::CLASSES_MAX
        );
        let report = Report::new(codes::CLASS, message).at(at, "");
        reader.report(report.help("a class can have many codes and patterns: of a list one holds"));
    }
    if let (Some(at), true) = (at, numbers.texts.len() > limits::PATTERNS_MAX) {
        let (there, most) = (numbers.texts.len(), limits::PATTERNS_MAX);
        let message = format!("{there} patterns in all classes, at most {most} can be");
        let report = Report::new(codes::PATTERN, message).at(at, "");
        reader.report(report.help("put alternatives into one pattern: 'closed|refused|reset'"));
    }
    let classes = Classes {
        rules: rules.into(),
        patterns: numbers.texts.into(),
    };
    let patterns = Patterns::compile(&classes).unwrap_or_else(|reason| {
        let report = Report::new(
            codes::PATTERN,
            format!("cannot use all patterns together: {reason}"),
        )
        .help("leave counted repetitions such as `{100}` out where `+` will do");
        reader.report(at.map_or(report.clone(), |at| report.at(at, "")));
        Patterns::default()
    });
    Read { classes, patterns }
}

fn class(
    reader: &Reader<'_>,
    entry: &Entry,
    (table, numbers): (&Table, &mut Numbers),
) -> Option<UserClass> {
    let name = name(reader, entry)?;
    let family = table.get("family").and_then(|field| family(reader, field));
    let when = When {
        base: some(reader, table, "base", &|field| base(reader, field)),
        codes: some(reader, table, "codes", &|field| {
            let code = reader.integer(field, 0..=255)?;
            u8::try_from(code).ok()
        }),
        signals: some(reader, table, "signals", &|field| reader.signal(field)),
        stderr: patterns(reader, table, ("stderr", numbers)),
        stdout: patterns(reader, table, ("stdout", numbers)),
        uptime: table.get("uptime").and_then(|field| uptime(reader, field)),
        phase: some(reader, table, "phase", &|field| {
            reader.choice(field, &PHASES)
        }),
        early: table.get("early").and_then(|field| reader.flag(field)),
    };
    let trust_output = table.get("trust_output");
    let trusted = trust_output.and_then(|field| reader.flag(field));
    if let Some(field) = trust_output.filter(|_| when.stderr.is_empty() && when.stdout.is_empty()) {
        let message = format!("class `{name}` looks at no output that could be trusted");
        reader.report(
            Report::new(codes::CLASS, message)
                .at(field.key_at, "it would mean nothing")
                .help("take it out, or give the class `stderr` or `stdout`"),
        );
    }
    Some(UserClass {
        name,
        family,
        when,
        blames: table
            .get("blames")
            .and_then(|field| breaker::blamed(reader, field, &numbers.breakers)),
        trust_output: trusted.unwrap_or(false),
    })
}

/// A name is one space with base classes, families and the words of look-ups.
fn name(reader: &Reader<'_>, entry: &Entry) -> Option<Name> {
    let name = &*entry.key;
    if let Some(fault) = scalar::name_fault(name) {
        let report = Report::new(codes::NAME, fault).at(entry.key_at, "");
        reader.report(report.help("write it as `[class.database_lost]`"));
        return None;
    }
    let bases = Class::ALL.iter().map(|class| class.as_str());
    let families = Family::ALL.iter().map(|family| family.as_str());
    let what = if bases.into_iter().any(|base| base == name) {
        "a base class"
    } else if families.into_iter().any(|family| family == name) {
        "a family"
    } else if TRIGGERS.contains(&name) {
        "a trigger of remedies"
    } else {
        return Some(Name::from(name));
    };
    let message = format!("`{name}` is {what}, which no class of yours can be");
    reader.report(
        Report::new(codes::CLASS, message)
            .at(entry.key_at, "taken")
            .help("give it a name of its own; the base class stays beside it"),
    );
    None
}

fn family(reader: &Reader<'_>, field: Field<'_>) -> Option<Family> {
    let all = Family::ALL.map(|family| (family.as_str(), family));
    let family = reader.choice(field, &all)?;
    let help = match family {
        Family::Requested => "what was asked for has no other class than that",
        Family::Clean => "an end that is as it should be is named by `success_codes` of a service",
        Family::Transient
        | Family::Config
        | Family::Resource
        | Family::Hang
        | Family::Fault
        | Family::External => return Some(family),
    };
    let message = format!("no class of yours is of the family `{}`", family.as_str());
    let report = Report::new(codes::CLASS, message).at(field.at(), "");
    reader.report(report.help(help));
    None
}

fn base(reader: &Reader<'_>, field: Field<'_>) -> Option<Class> {
    let all = Class::ALL.map(|class| (class.as_str(), class));
    let class = reader.choice(field, &all)?;
    let why = match class {
        Class::Requested | Class::Recycled => "an end that was asked for has no other class",
        Class::Escalated | Class::AutoShutdown => "a supervisor's end has no other class",
        _ => return Some(class),
    };
    let message = format!("no class can be for `{}`", class.as_str());
    let report = Report::new(codes::CLASS, message).at(field.at(), "");
    reader.report(report.help(why));
    None
}

fn uptime(reader: &Reader<'_>, field: Field<'_>) -> Option<Uptime> {
    let text = reader.text(field)?;
    let text = text.trim();
    let of = |sign| scalar::duration(text.strip_prefix(sign)?.trim());
    if let Some(least) = of('>') {
        return Some(Uptime::Above(least));
    }
    if let Some(most) = of('<').filter(|most| !most.is_zero()) {
        return Some(Uptime::Below(most));
    }
    let message = format!("`{text}` is no condition on the time a service ran");
    let report = Report::new(codes::CLASS, message).at(field.at(), "");
    reader.report(report.help(UPTIME));
    None
}

/// One value or a list of them.
fn some<T>(
    reader: &Reader<'_>,
    table: &Table,
    key: &str,
    read: &dyn Fn(Field<'_>) -> Option<T>,
) -> Box<[T]> {
    let Some(field) = table.get(key) else {
        return Box::default();
    };
    let Item::List(list) = &field.value.item else {
        return read(field).into_iter().collect();
    };
    if list.is_empty() {
        let message = format!("`{key}` names nothing");
        let report = Report::new(codes::CLASS, message).at(field.at(), "");
        reader.report(report.help("take it out: what is absent is not asked for"));
    }
    list.iter().filter_map(|v| read(field.with(v))).collect()
}

fn patterns(
    reader: &Reader<'_>,
    table: &Table,
    (key, numbers): (&str, &mut Numbers),
) -> Box<[PatternId]> {
    let texts = some(reader, table, key, &|field| regex(reader, field));
    let number = |text: Box<str>| numbers.of(text);
    texts.into_iter().map(number).collect()
}

fn regex(reader: &Reader<'_>, field: Field<'_>) -> Option<Box<str>> {
    let Item::Text(text) = &field.value.item else {
        // It says what is expected.
        return reader.text(field).filter(|_| false);
    };
    let fault = if text.len() > limits::PATTERN_MAX {
        Err(format!("it has more than {} bytes", limits::PATTERN_MAX))
    } else {
        pattern::check(text)
    };
    let Err(reason) = fault else {
        return Some(Box::from(&**text));
    };
    reader.report(
        Report::new(codes::PATTERN, format!("cannot use this pattern: {reason}"))
            .at(field.at(), "")
            .help("a regular expression in single quotes: 'SQLSTATE 08\\w{3}'"),
    );
    None
}

impl Numbers {
    fn of(&mut self, text: Box<str>) -> PatternId {
        let next = PatternId(u32::try_from(self.texts.len()).unwrap_or(u32::MAX));
        if let Some(known) = self.known.get(&text) {
            return *known;
        }
        self.texts.push(text.clone());
        self.known.insert(text, next);
        next
    }
}

/// Output that supd does not see matches no pattern: a class that looks at it would silently never
/// hold for that service.
pub(super) fn unseen(reader: &Reader<'_>, classes: &Classes, (root, at): Tree<'_>) {
    let looks =
        |rule: &&Arc<UserClass>| !rule.when.stderr.is_empty() || !rule.when.stdout.is_empty();
    if let Some(rule) = classes.rules.iter().find(looks) {
        below(root, &mut |name, sink| {
            if sink != LogSink::Inherit {
                return;
            }
            let message = format!("supd does not see what `{name}` writes");
            let help = format!(
                "class `{}` looks at output: leave `log.to` out, or take its patterns out",
                rule.name
            );
            let report = Report::new(codes::LOG, message);
            let report = at(name).map_or(report.clone(), |at| report.at(at, "inherited"));
            reader.report(report.help(help));
        });
    }
}

/// The built tree, and where a node of it was written.
type Tree<'a> = (&'a Supervisor, &'a dyn Fn(&str) -> Option<At>);

/// Recursion is bounded by the depth of a tree.
fn below(sup: &Supervisor, look: &mut dyn FnMut(&str, LogSink)) {
    for child in &sup.children {
        match child {
            Node::Service(service) => look(&service.name, service.process.logs.to),
            Node::Supervisor(inner) => below(inner, look),
        }
    }
}
