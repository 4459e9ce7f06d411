// SPDX-License-Identifier: MIT OR Apache-2.0
//! When a service is ready, how it is stopped, how long its restarts wait.

use super::diagnostic::Report;
use super::reader::Reader;
use super::value::{Field, Item, Table, Value};
use super::{address, codes, command, words};
use crate::spec::{
    Backoff, BackoffCurve, Jitter, Policy, Probe, ProbeTarget, Ready, Scope, Shutdown, Signal,
    Stop, StopStep,
};
use std::sync::Arc;
use std::time::Duration;

const CURVE: BackoffCurve = BackoffCurve {
    initial: Duration::from_millis(200),
    factor: 2.0,
    max: Duration::from_secs(30),
    jitter: Jitter::Equal,
    reset_after: None,
};

/// The back-off of a service, or of the supervisors of a branch whose defaults `table` holds.
pub(super) fn backoff(reader: &Reader<'_>, table: &Table, policy: Policy) -> Arc<Backoff> {
    let read = table.get("backoff").and_then(|f| read_backoff(reader, f));
    let value = match policy {
        Policy::Supd => read.unwrap_or(Backoff::Curve(CURVE)),
        Policy::Otp => Backoff::None,
    };
    reader.pools.backoffs.share(value)
}

fn read_backoff(reader: &Reader<'_>, field: Field<'_>) -> Option<Backoff> {
    match &field.value.item {
        Item::Text(text) if &**text == "none" => Some(Backoff::None),
        Item::List(list) => delays(reader, field, list),
        Item::Table(table) => Some(Backoff::Curve(curve(reader, field, table))),
        _ => {
            reader.report(
                Report::new(
                    codes::BACKOFF,
                    "`backoff` is a table, a list of delays or \"none\"",
                )
                .at(field.at(), "")
                .help("write it as `backoff = { initial = \"200ms\", max = \"30s\" }`"),
            );
            None
        }
    }
}

fn delays(reader: &Reader<'_>, field: Field<'_>, list: &[Value]) -> Option<Backoff> {
    if list.is_empty() {
        let report = Report::new(codes::BACKOFF, "a list of delays is not empty");
        reader.report(report.at(field.at(), "").help("no back-off is `\"none\"`"));
        return None;
    }
    let delays: Vec<Duration> = list
        .iter()
        .filter_map(|v| reader.duration(field.with(v)))
        .collect();
    (!delays.is_empty()).then(|| Backoff::List {
        delays: delays.into_boxed_slice(),
        reset_after: None,
    })
}

fn curve(reader: &Reader<'_>, field: Field<'_>, table: &Table) -> BackoffCurve {
    let jitters = [
        ("none", Jitter::None),
        ("full", Jitter::Full),
        ("equal", Jitter::Equal),
        ("decorrelated", Jitter::Decorrelated),
    ];
    let duration = |key| table.get(key).and_then(|f| reader.duration(f));
    let initial = duration("initial").unwrap_or(CURVE.initial);
    // Who only lengthens the first wait does not want an error about the last one.
    let max = duration("max").unwrap_or(CURVE.max.max(initial));
    if max < initial {
        let report = Report::new(codes::BACKOFF, "`max` of a back-off is not below `initial`");
        let at = table.get("max").map_or(field.at(), Field::at);
        let initial = super::scalar::spell(initial);
        reader.report(
            report
                .at(at, "")
                .help(format!("write it as `max = \"{initial}\"` or more")),
        );
    }
    BackoffCurve {
        initial,
        factor: table
            .get("factor")
            .and_then(|f| reader.number(f, 1.0, "2.0"))
            .unwrap_or(CURVE.factor),
        max: max.max(initial),
        jitter: table
            .get("jitter")
            .and_then(|f| reader.choice(f, &jitters))
            .unwrap_or(CURVE.jitter),
        reset_after: duration("reset_after"),
    }
}

/// What one attempt of a probe may take when nobody says.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

const KINDS: [&str; 8] = [
    "exec", "notify", "fd", "tcp", "http", "unix", "file", "after",
];

/// When a start is done.
pub(super) fn ready(reader: &Reader<'_>, field: Field<'_>) -> Option<Ready> {
    let table = reader.table(field, "{ notify = true }")?;
    if table.has("log") {
        // Refused where keys are checked.
        return None;
    }
    let mut given = KINDS.iter().filter_map(|kind| table.get(kind));
    let (Some(kind), None) = (given.next(), given.next()) else {
        reader.report(
            Report::new(codes::READY, "`ready` says one thing to wait for")
                .at(field.at(), "")
                .help(format!("it is one of {}", words::enumerate(&KINDS))),
        );
        return None;
    };
    let (every, timeout) = (table.get("every"), table.get("timeout"));
    let recheck = table.get("recheck");
    let probed = matches!(kind.key, "exec" | "tcp" | "http" | "unix" | "file");
    if let Some(unused) = every.or(timeout).or(recheck).filter(|_| !probed) {
        let message = format!("`{}` has no meaning with `{}`", unused.key, kind.key);
        let report = Report::new(codes::READY, message).at(unused.key_at, "");
        reader.report(report.help("nothing is tried again and again; see `start_timeout`"));
    }
    let target = match kind.key {
        "notify" => return notify(reader, kind),
        "fd" => {
            let number = reader.integer(kind, 3..=1023)?;
            return u32::try_from(number).ok().map(Ready::Fd);
        }
        "after" => return reader.duration(kind).map(Ready::After),
        _ => target(reader, kind)?,
    };
    let time = |field: Option<Field<'_>>| field.and_then(|f| positive(reader, f));
    Some(Ready::Probe(Arc::new(Probe {
        target,
        every: time(every).unwrap_or(Duration::from_secs(1)),
        timeout: time(timeout).unwrap_or(PROBE_TIMEOUT),
        recheck: time(recheck),
    })))
}

/// What a probe tries.
pub(super) fn target(reader: &Reader<'_>, kind: Field<'_>) -> Option<ProbeTarget> {
    Some(match kind.key {
        "exec" => ProbeTarget::Exec(command::hook(reader, kind)?),
        "tcp" => address::tcp(reader, kind)?,
        "http" => address::http(reader, kind)?,
        "unix" => ProbeTarget::Unix(reader.path(kind)?),
        _ => ProbeTarget::File(reader.path(kind)?),
    })
}

/// A probe every 0 s would be a busy loop.
pub(super) fn positive(reader: &Reader<'_>, field: Field<'_>) -> Option<Duration> {
    let duration = reader.duration(field)?;
    if duration >= Duration::from_millis(10) {
        return Some(duration);
    }
    let message = format!("`{}` is at least 10ms", field.key);
    let report = Report::new(codes::RANGE, message).at(field.at(), "too short");
    reader.report(report.help(format!("write it as `{} = \"1s\"`", field.key)));
    None
}

fn notify(reader: &Reader<'_>, field: Field<'_>) -> Option<Ready> {
    if reader.flag(field)? {
        return Some(Ready::Notify);
    }
    let report = Report::new(codes::READY, "`notify` can only be `true`");
    reader.report(report.at(field.at(), "").help("leave `ready` out"));
    None
}

/// How a service is stopped; SIGKILL comes after the last step in any case.
pub(super) fn stop(reader: &Reader<'_>, table: &Table, grace: Duration) -> Arc<Stop> {
    let field = table.get("stop");
    let stop = match field.map(|f| (f, &f.value.item)) {
        None => ladder(vec![term(grace)]),
        Some((field, Item::List(list))) => ladder(steps(reader, field, list, grace)),
        Some((field, _)) => match reader.table(field, "{ signal = \"TERM\", timeout = \"10s\" }") {
            Some(table) => stop_table(reader, table, grace),
            None => ladder(vec![term(grace)]),
        },
    };
    reader.pools.stops.share(stop)
}

fn term(grace: Duration) -> StopStep {
    StopStep {
        signal: Signal::TERM,
        timeout: Some(grace),
    }
}

/// A KILL at the end is what follows anyway.
fn ladder(mut steps: Vec<StopStep>) -> Stop {
    if steps.last().is_some_and(|s| s.signal == Signal::KILL) {
        steps.pop();
    }
    Stop {
        command: None,
        steps: steps.into_boxed_slice(),
        scope: Scope::Tree,
    }
}

fn stop_table(reader: &Reader<'_>, table: &Table, grace: Duration) -> Stop {
    let scopes = [
        ("tree", Scope::Tree),
        ("group", Scope::Group),
        ("leader", Scope::Leader),
    ];
    let mut stop = ladder(vec![step(reader, table, (Signal::TERM, grace))]);
    stop.command = table.get("command").and_then(|f| command::hook(reader, f));
    if let (Some(field), true) = (table.get("command"), stop.steps.is_empty()) {
        reader.report(
            Report::new(codes::STOP, "`command` has no time when `signal` is KILL")
                .at(field.key_at, "")
                .help("the command is bounded by the first signal's `timeout`"),
        );
    }
    if let Some(scope) = table.get("scope").and_then(|f| reader.choice(f, &scopes)) {
        stop.scope = scope;
    }
    stop
}

pub(super) fn step(
    reader: &Reader<'_>,
    table: &Table,
    (default, grace): (Signal, Duration),
) -> StopStep {
    let signal = table.get("signal").and_then(|f| reader.signal(f));
    let timeout = table.get("timeout").and_then(|f| reader.patience(f));
    StopStep {
        signal: signal.unwrap_or(default),
        timeout: match timeout {
            Some(Shutdown::Infinity) => None,
            Some(Shutdown::Within(time)) => Some(time),
            None => Some(grace),
        },
    }
}

pub(super) fn steps(
    reader: &Reader<'_>,
    field: Field<'_>,
    list: &[Value],
    grace: Duration,
) -> Vec<StopStep> {
    let example = "{ signal = \"TERM\", timeout = \"10s\" }";
    let mut steps: Vec<StopStep> = Vec::new();
    for value in list {
        let Some(table) = reader.table(field.with(value), example) else {
            continue;
        };
        if let Some(last) = steps.last()
            && (last.signal == Signal::KILL || last.timeout.is_none())
        {
            let report = Report::new(codes::STOP, "this step is never reached");
            let help = "nothing comes after KILL or a step without an end";
            reader.report(report.at(value.at, "").help(help));
        }
        steps.push(step(reader, table, (Signal::TERM, grace)));
    }
    if list.is_empty() {
        let report = Report::new(codes::STOP, "a list of steps is not empty");
        reader.report(
            report
                .at(field.at(), "")
                .help("at once is `{ signal = \"KILL\" }`"),
        );
    }
    steps
}
