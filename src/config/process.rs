// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is executed and in which surroundings: the keys of a service that become its process.

use super::diagnostic::Report;
use super::interpolate::Found;
use super::reader::{Own, Reader};
use super::{codes, listen, log, privileges};

use super::value::{At, Field, Item, Table};
use crate::spec::{
    Command, EnvFile, EnvInherit, EnvValue, Limit, Limits, LogSink, Logs, Process, Resource,
    Signal, Stdin,
};
use std::sync::Arc;

/// Reads everything but the program and the environment, which come first.
pub(super) fn process(
    reader: &Reader<'_>,
    table: &Table,
    command: Command,
    env: Env,
) -> Arc<Process> {
    let get = |key| table.get(key);
    let small = |key, low: i64, high: i64| get(key).and_then(|f| reader.integer(f, low..=high));
    let tty = has_terminal(reader, table);
    let process = Process {
        command,
        env,
        env_inherit: get("env_inherit")
            .and_then(|f| env_inherit(reader, f))
            .unwrap_or(EnvInherit::All),
        env_files: env_files(reader, table),
        user: get("user").and_then(|f| reader.user(f)),
        group: get("group").and_then(|f| reader.user(f)),
        groups: get("groups")
            .and_then(|f| reader.list(f, "[\"adm\"]", |f| reader.user(f)))
            .map(Vec::into_boxed_slice),
        umask: get("umask").and_then(|f| octal(reader, f)),
        workdir: get("workdir").and_then(|f| reader.path(f)),
        chroot: get("chroot").and_then(|f| reader.path(f)),
        limits: reader.pools.limits.share(rlimits(reader, table)),
        nice: small("nice", -20, 19).and_then(|n| i8::try_from(n).ok()),
        oom_score_adj: small("oom_score_adj", -1000, 1000).and_then(|n| i16::try_from(n).ok()),
        cpu_affinity: get("cpu_affinity").and_then(|f| privileges::cpu_affinity(reader, f)),
        capabilities: privileges::capabilities(reader, table),
        no_new_privileges: flag(reader, table, "no_new_privileges"),
        stdin: get("stdin")
            .and_then(|f| stdin(reader, f))
            .unwrap_or(if tty { Stdin::Inherit } else { Stdin::Null }),
        tty,
        listen: listen::listen(reader, table),
        logs: reader.pools.logs.share(logs(reader, table, tty)),
        pdeathsig: match get("pdeathsig") {
            None => Some(Signal::KILL),
            Some(field) if is_word(field, "none") => None,
            Some(field) => reader.signal(field),
        },
        control: flag(reader, table, "control"),
    };
    reader.pools.processes.share(process)
}

/// `tty`: the service's three descriptors are the terminal, and nothing else says what they are.
fn has_terminal(reader: &Reader<'_>, table: &Table) -> bool {
    let tty = flag(reader, table, "tty");
    let to = table.table("log").and_then(|log| log.get("to"));
    let others = table.get("stdin").filter(|f| !is_word(*f, "inherit"));
    let others = others.or(to.filter(|f| !is_word(*f, "inherit")));
    if let Some(field) = others.filter(|_| tty) {
        let message = format!(
            "`tty` and `{}` name two things for one descriptor",
            field.key
        );
        let report = Report::new(codes::TTY, message).at(field.at(), "");
        reader.report(report.help(format!("leave out `{}`, or write \"inherit\"", field.key)));
    }
    tty
}

fn logs(reader: &Reader<'_>, table: &Table, tty: bool) -> Logs {
    let logs = log::logs(reader, table);
    if !tty {
        return logs;
    }
    Logs {
        to: LogSink::Inherit,
        aloud: false,
        ..logs
    }
}

type Env = Box<[(Box<str>, EnvValue)]>;

fn flag(reader: &Reader<'_>, table: &Table, key: &str) -> bool {
    let field = table.get(key);
    field.and_then(|f| reader.flag(f)).unwrap_or(false)
}

fn is_word(field: Field<'_>, word: &str) -> bool {
    matches!(&field.value.item, Item::Text(text) if &**text == word)
}

/// The service's `env`, and the names it defines for its other keys.
///
/// A value is completed from outside only, never from its neighbours: `PATH = "${PATH}:/x"` means
/// the inherited one, and the order of keys decides nothing.
pub(super) fn env(reader: &Reader<'_>, table: &Table) -> (Env, Vec<Own>) {
    let mut pairs = Vec::new();
    let mut own = Vec::new();
    let Some(env) = table.get("env") else {
        return (Box::default(), own);
    };
    let Some(table) = reader.table(env, "{ NAME = \"value\" }") else {
        return (Box::default(), own);
    };
    for entry in &table.entries {
        let field = entry.field();
        if entry.key.is_empty() || entry.key.contains(['=', '\0']) {
            let report = Report::new(codes::ENV_NAME, "a variable's name has no `=` in it");
            let report = report.at(entry.key_at, "");
            reader.report(report.help("write it as `env = { NAME = \"value\" }`"));
            continue;
        }
        let Some(value) = env_value(reader, field) else {
            // Known, so that those who use it are not wrong, too.
            own.push(Own {
                name: Arc::clone(&entry.key),
                found: Found::Text(Box::default()),
            });
            continue;
        };
        own.push(Own {
            name: Arc::clone(&entry.key),
            found: match &value {
                EnvValue::Plain(text) => Found::Text(text.clone()),
                EnvValue::File(_) => Found::Secret,
            },
        });
        pairs.push((Box::from(field.key), value));
    }
    (pairs.into_boxed_slice(), own)
}

fn env_value(reader: &Reader<'_>, field: Field<'_>) -> Option<EnvValue> {
    let Item::Table(table) = &field.value.item else {
        return reader.text(field).map(EnvValue::Plain);
    };
    match table.entries.as_slice() {
        [entry] if &*entry.key == "file" => reader.path(entry.field()).map(EnvValue::File),
        _ => {
            let message = format!("`{}` is a string or `{{ file = \"…\" }}`", field.key);
            let report = Report::new(codes::WRONG_TYPE, message).at(field.at(), "");
            let help = "a file's content is `{ file = \"/run/secrets/NAME\" }`, and nothing else";
            reader.report(report.help(help));
            None
        }
    }
}

fn env_inherit(reader: &Reader<'_>, field: Field<'_>) -> Option<EnvInherit> {
    match &field.value.item {
        Item::Flag(true) => Some(EnvInherit::All),
        Item::Flag(false) => Some(EnvInherit::Only(Box::default())),
        _ => reader
            .list(field, "[\"PATH\", \"LANG\"]", |f| reader.text(f))
            .map(|names| EnvInherit::Only(names.into_boxed_slice())),
    }
}

fn env_files(reader: &Reader<'_>, table: &Table) -> Arc<[EnvFile]> {
    let read = |field: Field<'_>| {
        let text = reader.text(field)?;
        let (optional, path) = match text.strip_prefix('-') {
            Some(path) => (true, path),
            None => (false, &*text),
        };
        let path = reader.locate(field.value, path)?;
        Some(EnvFile { path, optional })
    };
    let files = match table.get("env_file") {
        None => Vec::new(),
        Some(field) if matches!(field.value.item, Item::Text(_)) => {
            read(field).into_iter().collect()
        }
        Some(field) => reader
            .list(field, "[\"/etc/app/env\"]", read)
            .unwrap_or_default(),
    };
    reader.pools.env_files.share(files)
}

/// Octal digits in a string: TOML has no octal like C's, and 22 would not be 022.
pub(super) fn octal(reader: &Reader<'_>, field: Field<'_>) -> Option<u16> {
    let mask = match &field.value.item {
        Item::Text(_) => {
            let text = reader.text(field)?;
            let digits = !text.is_empty() && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
            digits.then(|| u16::from_str_radix(&text, 8).ok()).flatten()
        }
        _ => None,
    };
    if let Some(mask) = mask.filter(|mask| *mask <= 0o777) {
        return Some(mask);
    }
    let message = format!("`{}` is octal digits in a string", field.key);
    let report = Report::new(codes::UMASK, message);
    reader.report(
        report
            .at(field.at(), "")
            .help(format!("write it as `{} = \"022\"`", field.key)),
    );
    None
}

fn stdin(reader: &Reader<'_>, field: Field<'_>) -> Option<Stdin> {
    if let Item::Text(text) = &field.value.item
        && (text.contains('/') || text.contains("${"))
    {
        return reader.path(field).map(Stdin::Path);
    }
    let words = [("null", 0), ("inherit", 1), ("/a/path", 2)];
    reader.choice(field, &words).map(|choice| match choice {
        0 => Stdin::Null,
        _ => Stdin::Inherit,
    })
}

/// What a resource is counted in.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Bytes,
    Count,
    Seconds,
    Microseconds,
}

pub(super) const RESOURCES: [(&str, Resource, Unit); 14] = [
    ("as", Resource::As, Unit::Bytes),
    ("core", Resource::Core, Unit::Bytes),
    ("cpu", Resource::Cpu, Unit::Seconds),
    ("data", Resource::Data, Unit::Bytes),
    ("fsize", Resource::Fsize, Unit::Bytes),
    ("memlock", Resource::Memlock, Unit::Bytes),
    ("msgqueue", Resource::Msgqueue, Unit::Bytes),
    ("nice", Resource::Nice, Unit::Count),
    ("nofile", Resource::Nofile, Unit::Count),
    ("nproc", Resource::Nproc, Unit::Count),
    ("rtprio", Resource::Rtprio, Unit::Count),
    ("rttime", Resource::Rttime, Unit::Microseconds),
    ("sigpending", Resource::Sigpending, Unit::Count),
    ("stack", Resource::Stack, Unit::Bytes),
];

fn rlimits(reader: &Reader<'_>, table: &Table) -> Limits {
    let Some(field) = table.get("limits") else {
        return Limits::default();
    };
    let Some(table) = reader.table(field, "{ nofile = 65536 }") else {
        return Limits::default();
    };
    let mut all = Vec::new();
    for (name, resource, unit) in RESOURCES {
        let Some(field) = table.get(name) else {
            continue;
        };
        let Some((soft, hard)) = rlimit(reader, field, unit) else {
            continue;
        };
        if soft.unwrap_or(u64::MAX) > hard.unwrap_or(u64::MAX) {
            let message = format!("the soft limit of `{name}` is above the hard one");
            let report = Report::new(codes::RLIMIT, message).at(field.at(), "");
            reader.report(report.help("raise `hard`, or lower `soft`"));
            continue;
        }
        all.push(Limit {
            resource,
            soft,
            hard,
        });
    }
    Limits(all.into_boxed_slice())
}

type Pair = (Option<u64>, Option<u64>);

/// One value for both, or `{ soft = …, hard = … }`.
fn rlimit(reader: &Reader<'_>, field: Field<'_>, unit: Unit) -> Option<Pair> {
    let Item::Table(table) = &field.value.item else {
        let Bound(value) = amount(reader, field, unit)?;
        return Some((value, value));
    };
    let (Some(soft), Some(hard), 2) = (table.get("soft"), table.get("hard"), table.entries.len())
    else {
        let message = format!("`{}` is one value or `{{ soft = …, hard = … }}`", field.key);
        let report = Report::new(codes::RLIMIT, message).at(field.at(), "");
        reader.report(report.help("name both, or write one value for both"));
        return None;
    };
    Some((amount(reader, soft, unit)?.0, amount(reader, hard, unit)?.0))
}

/// One of the two limits; nothing is no limit.
struct Bound(Option<u64>);

fn amount(reader: &Reader<'_>, field: Field<'_>, unit: Unit) -> Option<Bound> {
    if is_word(field, "unlimited") || is_word(field, "infinity") {
        return Some(Bound(None));
    }
    let amount = match unit {
        Unit::Bytes => reader.size(field)?,
        Unit::Count => u64::try_from(reader.integer(field, 0..=i64::MAX)?).ok()?,
        // A part of a second is rounded up: nought would be no time at all.
        Unit::Seconds => reader
            .duration(field)?
            .as_millis()
            .div_ceil(1000)
            .try_into()
            .ok()?,
        Unit::Microseconds => u64::try_from(reader.duration(field)?.as_micros()).ok()?,
    };
    Some(Bound(Some(amount)))
}

/// Whether a name suggests that its value is nobody's business.
pub(super) fn looks_secret(name: &str) -> bool {
    let plain = name.to_ascii_uppercase();
    let words = [
        "PASSWORD",
        "PASSWD",
        "SECRET",
        "TOKEN",
        "API_KEY",
        "APIKEY",
        "PRIVATE_KEY",
    ];
    let elsewhere = ["_FILE", "_PATH", "_URL", "_TTL", "_EXPIRY"];
    words.iter().any(|w| plain.contains(w)) && !elsewhere.iter().any(|e| plain.ends_with(e))
}

/// Marks literals that look like secrets, so that no picture shows them.
pub(super) fn secret_literals(table: &Table) -> impl Iterator<Item = (Field<'_>, At)> {
    let env = table.table("env").into_iter();
    env.flat_map(|env| &env.entries).filter_map(|entry| {
        let Item::Text(text) = &entry.value.item else {
            return None;
        };
        let literal = !text.is_empty() && !text.contains("${");
        (literal && looks_secret(&entry.key)).then(|| (entry.field(), entry.value.at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_point_elsewhere_are_no_secrets() {
        for (name, secret) in [
            ("DB_PASSWORD", true),
            ("GITHUB_TOKEN", true),
            ("DB_PASSWORD_FILE", false),
            ("PORT", false),
        ] {
            assert_eq!(looks_secret(name), secret, "{name}");
        }
    }

    #[test]
    fn every_resource_has_one_name() {
        let names: std::collections::BTreeSet<&str> = RESOURCES.iter().map(|r| r.0).collect();
        assert_eq!(names.len(), RESOURCES.len());
        assert!(names.iter().all(|n| super::super::scalar::is_variable(n)));
    }
}
