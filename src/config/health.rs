// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether a service that is ready still works: `liveness`, `watchdog`, and the signals that end
//! one that does not.

use super::diagnostic::Report;
use super::reader::Reader;
use super::timing::{self, positive, step};
use super::value::{Field, Item, Table};
use super::{codes, words};
use crate::spec::{Health, Liveness, Probe, Signal, StopStep};
use std::sync::Arc;
use std::time::Duration;

/// What `liveness` can ask.
const KINDS: [&str; 5] = ["exec", "tcp", "http", "unix", "file"];

/// What is asked of a service while it is ready.
pub(super) fn health(reader: &Reader<'_>, table: &Table) -> Health {
    let field = table.get("liveness");
    let asked = field.and_then(|f| {
        reader
            .table(f, "{ tcp = \"127.0.0.1:8080\" }")
            .map(|t| (f, t))
    });
    let liveness = asked.and_then(|(field, table)| liveness(reader, field, table));
    let kill = asked.and_then(|(_, table)| table.get("kill"));
    let mut health = Health {
        liveness: liveness.map(Arc::new),
        watchdog: table.get("watchdog").and_then(|f| watchdog(reader, f)),
        kill: Box::default(),
    };
    if health.is_watched() {
        let written = kill.map(|field| ladder(reader, field));
        health.kill = written.unwrap_or_else(|| Box::from([Health::KILL]));
    }
    health
}

fn liveness(reader: &Reader<'_>, field: Field<'_>, table: &Table) -> Option<Liveness> {
    if table.has("log") {
        // Refused where keys are checked.
        return None;
    }
    let mut given = KINDS.iter().filter_map(|kind| table.get(kind));
    let (Some(kind), None) = (given.next(), given.next()) else {
        let report = Report::new(codes::READY, "`liveness` asks one thing").at(field.at(), "");
        reader.report(report.help(format!("it is one of {}", words::enumerate(&KINDS))));
        return None;
    };
    let time = |key: &str| table.get(key).and_then(|f| positive(reader, f));
    let every = time("every").unwrap_or(Health::EVERY);
    let failures = table
        .get("failures")
        .and_then(|f| reader.integer(f, 1..=1000));
    Some(Liveness {
        probe: Probe {
            target: timing::target(reader, kind)?,
            every,
            timeout: time("timeout").unwrap_or(timing::PROBE_TIMEOUT),
            recheck: None,
        },
        failures: failures
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(Health::FAILURES),
    })
}

fn watchdog(reader: &Reader<'_>, field: Field<'_>) -> Option<Duration> {
    let span = reader.duration(field)?;
    if span >= Duration::from_millis(100) {
        return Some(span);
    }
    let report = Report::new(codes::RANGE, "`watchdog` is at least 100ms").at(field.at(), "");
    reader.report(report.help("a healthy service gives a sign of life twice in that time"));
    None
}

/// The signals before SIGKILL; none of them may take for ever.
fn ladder(reader: &Reader<'_>, field: Field<'_>) -> Box<[StopStep]> {
    let grace = Health::KILL.timeout.unwrap_or_default();
    let mut steps = match &field.value.item {
        Item::List(list) => timing::steps(reader, field, list, grace),
        _ => match reader.table(field, "{ signal = \"ABRT\", timeout = \"5s\" }") {
            Some(table) => vec![step(reader, table, (Signal::ABRT, grace))],
            None => Vec::new(),
        },
    };
    if steps.iter().any(|step| step.timeout.is_none()) {
        let report = Report::new(codes::STOP, "a kill does not take for ever").at(field.at(), "");
        reader.report(report.help("who hangs does not end by itself; say how long it may take"));
    }
    if steps.last().is_some_and(|step| step.signal == Signal::KILL) {
        steps.pop();
    }
    steps.into_boxed_slice()
}
