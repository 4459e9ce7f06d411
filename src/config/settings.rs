// SPDX-License-Identifier: MIT OR Apache-2.0
//! The `[supd]` table.

use super::diagnostic::Report;
use super::reader::Reader;
use super::value::{Field, Item, Table};
use super::{address, codes};
use crate::spec::{
    Address, ChildLines, ExitCodePolicy, LogFormat, LogLevel, Settings, SocketSpec, limits,
};
use std::path::PathBuf;
use std::time::Duration;

/// Reads `[supd]`. Whether `exit_code` names a service is checked by who knows them.
pub(super) fn settings(reader: &Reader<'_>, table: &Table, grace: Duration) -> Settings {
    let duration = |key| table.get(key).and_then(|f| reader.duration(f));
    let count = |key, most: i64| {
        let field = table.get(key)?;
        reader.integer(field, 1..=most)
    };
    let log = table
        .get("log")
        .and_then(|f| reader.table(f, "{ level = \"info\" }"));
    let log = log.cloned().unwrap_or_default();
    let on_term = table
        .get("exit_on_term")
        .and_then(|f| reader.integer(f, 0..=255));
    Settings {
        socket: table
            .get("socket")
            .and_then(|f| socket(reader, f))
            .unwrap_or_default(),
        metrics: table.get("metrics").and_then(|f| metrics(reader, f)),
        state_dir: table.get("state_dir").and_then(|f| state_dir(reader, f)),
        log_format: log_format(reader, &log),
        log_level: log_level(reader, &log),
        log_children: log_children(reader, &log),
        log_timestamps: log
            .get("timestamps")
            .and_then(|f| reader.flag(f))
            .unwrap_or(false),
        shutdown_timeout: duration("shutdown_timeout").unwrap_or(grace),
        exit_code: table
            .get("exit_code")
            .and_then(|f| exit_code(reader, f))
            .unwrap_or(ExitCodePolicy::Cause),
        exit_delay: duration("exit_delay").unwrap_or(Duration::from_secs(1)),
        exit_on_term: on_term.and_then(|n| u8::try_from(n).ok()).unwrap_or(0),
        start_parallelism: count("start_parallelism", 10_000)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(limits::START_PARALLELISM),
        hook_parallelism: count("hook_parallelism", 1000)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(limits::HOOK_PARALLELISM),
        events_kept: count("events_kept", 1 << 20)
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(limits::EVENTS_KEPT),
    }
}

fn log_format(reader: &Reader<'_>, log: &Table) -> Option<LogFormat> {
    let words = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    reader.choice(log.get("format")?, &words)
}

fn log_level(reader: &Reader<'_>, log: &Table) -> LogLevel {
    let words = [
        ("debug", LogLevel::Debug),
        ("info", LogLevel::Info),
        ("warn", LogLevel::Warn),
        ("error", LogLevel::Error),
    ];
    let given = log.get("level").and_then(|f| reader.choice(f, &words));
    given.unwrap_or(LogLevel::Info)
}

fn log_children(reader: &Reader<'_>, log: &Table) -> ChildLines {
    let words = [
        ("prefix", ChildLines::Prefix),
        ("raw", ChildLines::Raw),
        ("json", ChildLines::Json),
        ("off", ChildLines::Off),
    ];
    let given = log.get("children").and_then(|f| reader.choice(f, &words));
    given.unwrap_or(ChildLines::Prefix)
}

/// `"PATH"`, or a table.
fn socket(reader: &Reader<'_>, field: Field<'_>) -> Option<SocketSpec> {
    if matches!(field.value.item, Item::Text(_)) {
        return Some(SocketSpec {
            path: socket_path(reader, field),
            ..SocketSpec::default()
        });
    }
    let table = reader.table(field, "{ path = \"/run/supd/supd.sock\" }")?;
    Some(SocketSpec {
        path: table.get("path").and_then(|f| socket_path(reader, f)),
        group: table.get("group").and_then(|f| reader.user(f)),
        read_group: table.get("read_group").and_then(|f| reader.user(f)),
    })
}

/// A directory; the empty string is memory alone.
fn state_dir(reader: &Reader<'_>, field: Field<'_>) -> Option<PathBuf> {
    let text = reader.text(field)?;
    (!text.is_empty()).then(|| reader.path(field)).flatten()
}

/// The address and the port that scrapers connect to.
fn metrics(reader: &Reader<'_>, field: Field<'_>) -> Option<Address> {
    let table = reader.table(field, "{ listen = \"127.0.0.1:9464\" }")?;
    address::listen(reader, table.get("listen")?)
}

/// `@name` is abstract, a path with a slash is one; unix(7) allows 107 bytes of either.
fn socket_path(reader: &Reader<'_>, field: Field<'_>) -> Option<PathBuf> {
    let text = reader.text(field)?;
    let path = match text.strip_prefix('@') {
        Some("") => None,
        Some(_) => Some(PathBuf::from(&*text)),
        None if text.contains('/') => reader.path(field),
        None => None,
    };
    if let Some(path) = path.filter(|p| p.as_os_str().len() <= 107) {
        return Some(path);
    }
    reader.report(
        Report::new(
            codes::PATH,
            "a socket is a path of at most 107 bytes, or `@name`",
        )
        .at(field.at(), "")
        .help("write it as `path = \"/run/supd/supd.sock\"`"),
    );
    None
}

fn exit_code(reader: &Reader<'_>, field: Field<'_>) -> Option<ExitCodePolicy> {
    if let Item::Integer(_) = field.value.item {
        let code = u8::try_from(reader.integer(field, 1..=255)?).ok()?;
        return Some(ExitCodePolicy::Fixed(code));
    }
    let text = reader.text(field)?;
    Some(match &*text {
        "cause" => ExitCodePolicy::Cause,
        name => ExitCodePolicy::Service(name.into()),
    })
}
