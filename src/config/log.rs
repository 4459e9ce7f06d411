// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the output of a service goes: its `log`.
//!
//! Whether a destination goes together with what waits for lines is checked by who reads both.

use super::codes;
use super::diagnostic::Report;
use super::reader::Reader;
use super::value::{Field, Item, Table};
use crate::spec::{LogSink, Logs, Rotate, limits};
use std::path::Path;
use std::sync::Arc;

/// A ring is memory of PID 1: more belongs into a file.
const RING_MAX: usize = 64 << 20;
/// Less would be a file for a handful of lines.
const SIZE_MIN: u64 = 4 << 10;
/// Old files of one log; each rotation renames all of them.
const KEEP_MAX: i64 = 1000;

/// Reads `log`, or what holds without one.
pub(super) fn logs(reader: &Reader<'_>, table: &Table) -> Logs {
    let mut logs = Logs::captured(limits::LOG_RING);
    let Some(field) = table.get("log") else {
        return logs;
    };
    let Some(table) = reader.table(field, "{ to = \"inherit\" }") else {
        return logs;
    };
    if let Some(field) = table.get("to") {
        destinations(reader, field, &mut logs);
    }
    if let Some(field) = table.get("rotate") {
        logs.rotate = rotate(reader, field);
    }
    for path in &logs.files {
        let other = reader.pools.log_files.name(path, logs.rotate, field.at());
        if let Some(other) = other {
            let message = format!("`{}` has two rules of rotation", path.display());
            let report = Report::new(codes::LOG, message).at(field.at(), "this one");
            reader.report(
                report
                    .at(other, "and this one")
                    .help("give both the same `rotate`"),
            );
        }
    }
    if let Some(field) = table.get("ring")
        && let Some(ring) = reader.size(field)
    {
        match usize::try_from(ring) {
            Ok(ring) if ring <= RING_MAX => logs.ring = ring,
            _ => {
                let message = format!("`ring` is at most {}M", RING_MAX >> 20);
                let report = Report::new(codes::RANGE, message).at(field.at(), "");
                reader.report(report.help("more belongs into a file: `to = \"file:PATH\"`"));
            }
        }
    }
    logs
}

/// One destination.
enum To {
    Supd,
    File(Arc<Path>),
    /// Stands alone.
    Alone(LogSink),
}

/// One word, or a list of them.
fn destinations(reader: &Reader<'_>, field: Field<'_>, logs: &mut Logs) {
    let list = match &field.value.item {
        Item::List(list) => list.as_slice(),
        _ => std::slice::from_ref(field.value),
    };
    if list.is_empty() {
        let report = Report::new(codes::LOG, "`to` names nothing").at(field.at(), "");
        return reader.report(report.help("nowhere is called `to = \"null\"`"));
    }
    let mut files: Vec<Arc<Path>> = Vec::new();
    let mut aloud = false;
    for value in list {
        let element = match field.value.item {
            Item::List(_) => field.with(value),
            _ => field,
        };
        let Some(to) = destination(reader, element) else {
            // The rest of the list says what was meant.
            aloud |= list.len() == 1;
            continue;
        };
        let twice = match &to {
            To::Supd => std::mem::replace(&mut aloud, true),
            To::File(path) => files.contains(path),
            To::Alone(_) => false,
        };
        if twice {
            let report = Report::new(codes::LOG, "one destination is named twice");
            reader.report(report.at(element.at(), "").help("take one of them out"));
        }
        match to {
            To::Supd => {}
            To::File(path) => files.push(path),
            To::Alone(sink) if list.len() == 1 => logs.to = sink,
            To::Alone(sink) => {
                let word = if sink == LogSink::Null {
                    "null"
                } else {
                    "inherit"
                };
                let why = "supd does not see the output then";
                let report = Report::new(codes::LOG, format!("`{word}` stands alone"));
                reader.report(
                    report
                        .at(element.at(), why)
                        .help("name `supd` and files together"),
                );
            }
        }
    }
    logs.aloud = aloud;
    logs.files = files.into();
}

fn destination(reader: &Reader<'_>, field: Field<'_>) -> Option<To> {
    if let Item::Text(text) = &field.value.item
        && text.starts_with("file:")
    {
        let text = reader.text(field)?;
        let path = text.strip_prefix("file:").unwrap_or(&text);
        let path = reader.locate(field.value, path)?;
        if path.file_name().is_none() || text.ends_with('/') {
            let report = Report::new(codes::PATH, "a log file has a name").at(field.at(), "");
            reader.report(report.help("write it as `file:/var/log/app.log`"));
            return None;
        }
        return Some(To::File(path.into()));
    }
    if let Item::Text(text) = &field.value.item
        && let Some(help) = foreign(text)
    {
        let message = format!("`to` cannot be `{text}`");
        let report = Report::new(codes::UNKNOWN_WORD, message).at(field.at(), "");
        reader.report(report.help(help));
        return None;
    }
    let words = [("supd", 0), ("inherit", 1), ("null", 2), ("file:PATH", 3)];
    match reader.choice(field, &words)? {
        0 => Some(To::Supd),
        1 => Some(To::Alone(LogSink::Inherit)),
        2 => Some(To::Alone(LogSink::Null)),
        // Only there to be shown: what begins with `file:` is taken above.
        _ => None,
    }
}

/// What others call their destinations.
fn foreign(word: &str) -> Option<String> {
    if word.contains('/') {
        return Some(format!("a file is `to = \"file:{word}\"`"));
    }
    Some(
        match word {
            "stdout" | "stderr" | "console" | "tty" | "inherited" | "json-file" | "local" => {
                "supd's own output is `supd` (in lines) or `inherit` (untouched)"
            }
            "journal" | "journald" | "syslog" | "kmsg" | "fluentd" | "gelf" => {
                "a collector reads supd's own output, where `supd` sends it, or a file"
            }
            "none" | "off" | "/dev/null" | "false" => "nowhere is `to = \"null\"`",
            _ => return None,
        }
        .to_owned(),
    )
}

/// When a file is put aside: a table, or "none".
fn rotate(reader: &Reader<'_>, field: Field<'_>) -> Rotate {
    let mut rotate = Rotate::default();
    match &field.value.item {
        Item::Text(text) if &**text == "none" => {
            rotate.size = None;
            return rotate;
        }
        _ => {}
    }
    let Some(table) = reader.table(field, "{ size = \"10M\", keep = 5 }") else {
        return rotate;
    };
    if let Some(field) = table.get("size")
        && let Some(size) = reader.size(field)
    {
        if size >= SIZE_MIN {
            rotate.size = Some(size);
        } else {
            let message = format!("`size` is at least {}K", SIZE_MIN >> 10);
            let report = Report::new(codes::RANGE, message).at(field.at(), "");
            reader.report(report.help("write it as `size = \"10M\"`"));
        }
    }
    if let Some(keep) = table
        .get("keep")
        .and_then(|f| reader.integer(f, 1..=KEEP_MAX))
    {
        rotate.keep = u32::try_from(keep).unwrap_or(rotate.keep);
    }
    if let Some(compress) = table.get("compress").and_then(|f| reader.flag(f)) {
        rotate.compress = compress;
    }
    rotate
}
