// SPDX-License-Identifier: MIT OR Apache-2.0
//! Breakers: `[breaker.NAME]`, and `breakers` and `hold_after` of a service.
//!
//! What they do is decided in the engine; here are the forms and the defaults.

use super::build::Builder;
use super::diagnostic::Report;
use super::reader::Reader;
use super::scalar::spell;
use super::service::{self, Frame};
use super::value::{At, Entry, Field, Item, Table, Value};
use super::{address, codes, command, timing, words};
use crate::spec::{
    Breaker, BreakerProbe, HoldAfter, Initial, Name, Policy, Probe, ProbeTarget, Release, Service,
    limits,
};
use std::sync::Arc;
use std::time::Duration;

/// Failures in a row that open a breaker: as many as a supervisor bears restarts.
const FAILURES: u32 = 5;
const OPEN_FOR: Duration = Duration::from_secs(30);
const OPEN_MAX: Duration = Duration::from_secs(300);

/// How it is written.
const HOLD_AFTER: &str = "{ failures = 3, open_for = \"1m\" }";

/// A service's own breaker. One that comes from its defaults is not for a branch under `otp`.
pub(super) fn hold_after(reader: &Reader<'_>, table: &Table, policy: Policy) -> Option<HoldAfter> {
    let field = table.get("hold_after")?;
    let inner = reader.table(field, HOLD_AFTER)?;
    let failures = failures(reader, inner);
    let (open_for, open_max) = times(reader, inner, field)?;
    (policy == Policy::Supd).then_some(HoldAfter {
        failures,
        open_for,
        open_max,
    })
}

/// Refuses what somebody wrote for a service itself, and what would be ignored there.
pub(super) fn check_policy(reader: &Reader<'_>, written: &Table, policy: Policy) {
    let fields = ["hold_after", "breakers"].map(|key| written.get(key));
    for field in fields
        .into_iter()
        .flatten()
        .filter(|_| policy == Policy::Otp)
    {
        let message = format!("there is no `{}` under `policy = \"otp\"`", field.key);
        let report = Report::new(codes::OTP, message).at(field.key_at, "it would be ignored");
        reader.report(report.help("take it out, or leave out `policy`"));
    }
}

fn failures(reader: &Reader<'_>, table: &Table) -> u32 {
    let read = |field| reader.integer(field, 1..=1_000_000);
    let count = table.get("failures").and_then(read);
    count
        .and_then(|n| u32::try_from(n).ok())
        .unwrap_or(FAILURES)
}

/// `open_for` and `open_max`: a short one is not raised by a default that is longer, and a long one
/// is not cut by a default that is shorter.
fn times(reader: &Reader<'_>, table: &Table, of: Field<'_>) -> Option<(Duration, Duration)> {
    let time = |key| match table.get(key) {
        None => Some(None),
        Some(field) => reader.duration(field).map(Some),
    };
    let (open_for, open_max) = (time("open_for")?, time("open_max")?);
    let first = open_for.unwrap_or(OPEN_FOR.min(open_max.unwrap_or(OPEN_FOR)));
    let last = open_max.unwrap_or(OPEN_MAX.max(first));
    let at = |key| table.get(key).map_or(of.key_at, Field::at);
    if first.is_zero() {
        let message = "a breaker that is open for no time holds nobody".to_owned();
        return refuse(reader, (message, at("open_for")), "write it as \"30s\"");
    }
    if last < first {
        let (one, other) = (spell(first), spell(last));
        let message = format!("`open_for` is {one}, and `open_max` is only {other}");
        let help = "the time grows from the one to the other";
        return refuse(reader, (message, at("open_max")), help);
    }
    Some((first, last))
}

fn refuse<T>(reader: &Reader<'_>, (message, at): (String, At), help: &str) -> Option<T> {
    let report = Report::new(codes::BREAKER, message).at(at, "");
    reader.report(report.help(help));
    None
}

/// The breakers that a service lists.
pub(super) fn listed(
    reader: &Reader<'_>,
    table: &Table,
    (policy, known): (Policy, Option<&[Name]>),
) -> Arc<[Name]> {
    let Some(field) = table.get("breakers") else {
        return Arc::from([]);
    };
    let read = |field: Field<'_>| match known {
        Some(known) => blamed(reader, field, known),
        // A child that is added cannot know all of them.
        None => reader.text(field).map(Name::from),
    };
    let mut names = reader
        .list(field, "[\"postgres\"]", read)
        .unwrap_or_default();
    let mut seen = Vec::new();
    names.retain(|name: &Name| {
        let new = !seen.contains(name);
        seen.push(Arc::clone(name));
        new
    });
    if policy == Policy::Otp {
        names.clear();
    }
    names.into()
}

/// A breaker by its name.
pub(super) fn blamed(reader: &Reader<'_>, field: Field<'_>, known: &[Name]) -> Option<Name> {
    let name = reader.text(field)?;
    let found = known.iter().find(|breaker| ***breaker == *name);
    if found.is_none() {
        let names: Vec<&str> = known.iter().map(|name| &**name).collect();
        let help = if names.is_empty() {
            format!("define it: `[breaker.{name}]`")
        } else {
            words::one_of(&name, &names)
        };
        let message = format!("there is no breaker `{name}`");
        let report = Report::new(codes::NO_BREAKER, message).at(field.at(), "not defined");
        reader.report(report.help(help));
    }
    found.map(Arc::clone)
}

/// What a service would be whose surroundings are those of the defaults. It is never started: its
/// program stands for whatever a probe runs.
pub(super) fn helper(defaults: &Table, at: At) -> Table {
    let mut table = defaults.without(&[
        "instances",
        "breakers",
        "hold_after",
        "ready",
        "shell",
        "command",
    ]);
    table.entries.push(Entry {
        key: Arc::from("command"),
        key_at: at,
        value: Value {
            item: Item::Text(Arc::from("true")),
            at,
        },
    });
    table
}

/// `[breaker.NAME]`, in the order of the text. `context` is in whose surroundings their commands
/// run.
pub(super) fn breakers(
    reader: &Reader<'_>,
    table: Option<&Table>,
    context: &dyn Fn(Name, At) -> Option<Service>,
) -> Vec<Arc<Breaker>> {
    let tables = table.into_iter().flat_map(Table::tables);
    let mut found = Vec::new();
    for (entry, table) in tables {
        if found.len() == limits::BREAKERS_MAX {
            let message = format!("there are more than {} breakers", limits::BREAKERS_MAX);
            let report = Report::new(codes::BREAKER, message).at(entry.key_at, "");
            reader.report(report.help("let services share them"));
            break;
        }
        found.extend(breaker(reader, (entry.field(), table), context).map(Arc::new));
    }
    found
}

fn breaker(
    reader: &Reader<'_>,
    (of, table): (Field<'_>, &Table),
    context: &dyn Fn(Name, At) -> Option<Service>,
) -> Option<Breaker> {
    let name: Name = Arc::from(of.key);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || name.len() > limits::NAME_MAX || !name.chars().all(fits) {
        let message = format!("`{name}` is no name of a breaker");
        return refuse(
            reader,
            (message, of.key_at),
            "use letters, digits, `_` and `-`",
        );
    }
    let failures = failures(reader, table);
    let (open_for, open_max) = times(reader, table, of)?;
    let probe = match table.get("probe") {
        None => None,
        Some(field) => Some(probe(reader, (field, &name), context)?),
    };
    let initial = table.get("initial").and_then(|field| {
        let words = [("closed", Initial::Closed), ("probe", Initial::Probe)];
        reader.choice(field, &words)
    });
    let watch = match table.get("watch") {
        None => None,
        Some(field) => Some(timing::positive(reader, field)?),
    };
    let initial = initial.unwrap_or(Initial::Closed);
    let asks = table.get("watch").or_else(|| table.get("initial"));
    let wants = watch.is_some() || initial == Initial::Probe;
    if let Some(field) = asks.filter(|_| wants && probe.is_none()) {
        let message = format!("`{}` of breaker `{name}` has no probe to ask", field.key);
        let help = "add `probe = { tcp = \"127.0.0.1:5432\" }`";
        return refuse(reader, (message, field.key_at), help);
    }
    Some(Breaker {
        failures,
        open_for,
        open_max,
        probe,
        watch,
        initial,
        release: release(reader, table)?,
        name,
    })
}

fn release(reader: &Reader<'_>, table: &Table) -> Option<Release> {
    let mut release = Release {
        batch: 1,
        every: Duration::from_millis(500),
    };
    let Some(field) = table.get("release") else {
        return Some(release);
    };
    let inner = reader.table(field, "{ batch = 1, every = \"500ms\" }")?;
    if let Some(field) = inner.get("batch") {
        release.batch = u32::try_from(reader.integer(field, 1..=10_000)?).ok()?;
    }
    if let Some(field) = inner.get("every") {
        release.every = timing::positive(reader, field)?;
    }
    Some(release)
}

const PROBES: [&str; 5] = ["exec", "tcp", "http", "unix", "file"];

fn probe(
    reader: &Reader<'_>,
    (field, name): (Field<'_>, &Name),
    context: &dyn Fn(Name, At) -> Option<Service>,
) -> Option<BreakerProbe> {
    let table = reader.table(field, "{ exec = [\"pg_isready\", \"-q\"] }")?;
    let mut given = PROBES.iter().filter_map(|kind| table.get(kind));
    let (Some(kind), None) = (given.next(), given.next()) else {
        let message = format!("the probe of breaker `{name}` asks one thing");
        let help = format!("it is one of {}", words::enumerate(&PROBES));
        return refuse(reader, (message, field.at()), &help);
    };
    let target = match kind.key {
        "exec" => ProbeTarget::Exec(command::hook(reader, kind)?),
        "tcp" => address::tcp(reader, kind)?,
        "http" => address::http(reader, kind)?,
        "unix" => ProbeTarget::Unix(reader.path(kind)?),
        _ => ProbeTarget::File(reader.path(kind)?),
    };
    let timeout = match table.get("timeout") {
        None => Duration::from_secs(3),
        Some(field) => timing::positive(reader, field)?,
    };
    let probe = Probe {
        target,
        every: timeout,
        timeout,
        recheck: None,
    };
    Some(BreakerProbe {
        probe: Arc::new(probe),
        context: Arc::new(context(Arc::clone(name), field.at())?),
    })
}

impl Builder<'_> {
    /// `[breaker.NAME]`. Their commands run in the surroundings that `[defaults]` give.
    pub(super) fn breakers(&self) -> Vec<Arc<Breaker>> {
        let defaults = self.top.table("defaults").cloned().unwrap_or_default();
        let context = |name: Name, at: At| {
            let frame = Frame {
                name,
                at,
                policy: Policy::Supd,
                stop_grace: self.grace,
                known: Arc::clone(&self.known),
            };
            service::service(self.reader, &helper(&defaults, at), &frame, None)
        };
        let tables = self.top.table("breaker");
        for (entry, table) in tables.into_iter().flat_map(Table::tables) {
            self.describe(|| ("breaker", &entry.key, table));
        }
        breakers(self.reader, tables, &context)
    }
}
