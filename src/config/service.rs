// SPDX-License-Identifier: MIT OR Apache-2.0
//! One service: its merged table becomes a `spec::Service`.
//!
//! The table has all layers in it already (defaults, the branch's, templates, its own). Which
//! keys exclude each other, and which a oneshot or a pool refuses, is decided here.

use super::diagnostic::Report;
use super::interpolate::Found;
use super::reader::{Own, Reader};
use super::value::{At, Field, Item, Table};
use super::{breaker, codes, command, health, process, remedy, timing};
use crate::spec::{
    Command, Name, Policy, Ready, Reload, Remedies, Restart, Service, ServiceKind, Shutdown,
};
use std::sync::Arc;
use std::time::Duration;

/// What a service takes from its place in the tree.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) name: Name,
    pub(super) at: At,
    pub(super) policy: Policy,
    /// How long a stop may take when nobody says.
    pub(super) stop_grace: Duration,
    /// What its remedies can speak of.
    pub(super) known: Arc<remedy::Known>,
}

/// What a start takes at most when nobody says.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The words of `restart`, with those of others that mean the same.
pub(super) const RESTARTS: [(&str, Restart); 6] = [
    ("permanent", Restart::Permanent),
    ("transient", Restart::Transient),
    ("temporary", Restart::Temporary),
    ("always", Restart::Permanent),
    ("on-failure", Restart::Transient),
    ("never", Restart::Temporary),
];

/// The kind a table says, before anything else is read.
pub(super) fn kind(reader: &Reader<'_>, table: &Table) -> ServiceKind {
    let words = [
        ("daemon", ServiceKind::Daemon),
        ("oneshot", ServiceKind::Oneshot),
    ];
    let field = table.get("type");
    field
        .and_then(|f| reader.choice(f, &words))
        .unwrap_or(ServiceKind::Daemon)
}

/// Reads a service, or the instance of a pool that is called so.
pub(super) fn service(
    outer: &Reader<'_>,
    table: &Table,
    frame: &Frame,
    instance: Option<&str>,
) -> Option<Service> {
    let name = match instance {
        None => Arc::clone(&frame.name),
        Some(n) => Arc::from(format!("{}.{n}", frame.name)),
    };
    let mut own = vec![text("NAME", &name)];
    own.extend(instance.map(|n| text("INSTANCE", n)));
    let (env, defined) = process::env(&outer.with(own.clone()), table);
    // The instance's own names beat its environment.
    let reader = outer.with(defined.into_iter().chain(own).collect());
    let kind = kind(&reader, table);
    let restart = restart(&reader, table, kind);
    let program = command::program(&reader, table, frame.at);
    let flag = |key, default| match table.get(key) {
        None => default,
        Some(field) => reader.flag(field).unwrap_or(default),
    };
    let stand_in = || Command::Argv(Box::from([Box::from("")]));
    let broken = program.is_none();
    let process = process::process(&reader, table, program.unwrap_or_else(stand_in), env);
    let service = Service {
        name,
        kind,
        restart,
        significant: instance.is_none() && flag("significant", false),
        required: flag("required", true),
        enabled: flag("enabled", true),
        backoff: timing::backoff(&reader, table, frame.policy),
        breakers: breaker::listed(
            &reader,
            table,
            (frame.policy, frame.known.breakers.as_deref()),
        ),
        hold_after: breaker::hold_after(&reader, table, frame.policy),
        success_codes: success_codes(&reader, table),
        success_signals: success_signals(&reader, table),
        ready: table
            .get("ready")
            .and_then(|f| timing::ready(&reader, f))
            .unwrap_or(Ready::Exec),
        start_timeout: start_timeout(&reader, table, frame.policy),
        health: health::health(&reader, table),
        stop: timing::stop(&reader, table, frame.stop_grace),
        reload: table.get("reload").and_then(|f| reload(&reader, f)),
        remedies: remedies(&reader, table, frame),
        process,
    };
    check_descriptors(&reader, table, &service);
    (!broken).then_some(service)
}

fn remedies(reader: &Reader<'_>, table: &Table, frame: &Frame) -> Remedies {
    let owner = remedy::Owner {
        name: Some(&frame.name),
        policy: frame.policy,
        known: &frame.known,
    };
    remedy::of_node(reader, table, owner)
}

/// The sockets have the first numbers.
fn check_descriptors(reader: &Reader<'_>, table: &Table, service: &Service) {
    let sockets = service.process.listen.len();
    let first = 3 + u32::try_from(sockets).unwrap_or(0);
    let Ready::Fd(number) = service.ready else {
        return;
    };
    if sockets > 0
        && number < first
        && let Some(field) = table.get("ready")
    {
        let message = format!("descriptor {number} is one of its {sockets} sockets");
        let report = Report::new(codes::LISTEN, message).at(field.at(), "");
        reader.report(report.help(format!("write `ready = {{ fd = {first} }}`")));
    }
}

fn text(name: &str, value: &str) -> Own {
    Own {
        name: Arc::from(name),
        found: Found::Text(Box::from(value)),
    }
}

fn restart(reader: &Reader<'_>, table: &Table, kind: ServiceKind) -> Restart {
    let default = match kind {
        ServiceKind::Daemon => Restart::Permanent,
        ServiceKind::Oneshot => Restart::Transient,
    };
    let Some(field) = table.get("restart") else {
        return default;
    };
    reader.choice(field, &RESTARTS).unwrap_or(default)
}

fn success_codes(reader: &Reader<'_>, table: &Table) -> Box<[u8]> {
    let read = |f: Field<'_>| u8::try_from(reader.integer(f, 0..=255)?).ok();
    let field = table.get("success_codes");
    field
        .and_then(|f| reader.list(f, "[143]", read))
        .unwrap_or_default()
        .into_boxed_slice()
}

fn success_signals(reader: &Reader<'_>, table: &Table) -> Box<[crate::spec::Signal]> {
    let field = table.get("success_signals");
    field
        .and_then(|f| reader.list(f, "[\"TERM\"]", |f| reader.signal(f)))
        .unwrap_or_default()
        .into_boxed_slice()
}

/// A oneshot's time is its `timeout`, a daemon's its `start_timeout`; OTP waits for ever.
fn start_timeout(reader: &Reader<'_>, table: &Table, policy: Policy) -> Option<Duration> {
    let (field, default) = match kind(reader, table) {
        ServiceKind::Oneshot => (table.get("timeout"), None),
        ServiceKind::Daemon => (
            table.get("start_timeout"),
            match policy {
                Policy::Supd => Some(START_TIMEOUT),
                Policy::Otp => None,
            },
        ),
    };
    match field {
        None => default,
        Some(field) => match reader.patience(field) {
            Some(Shutdown::Within(time)) => Some(time),
            Some(Shutdown::Infinity) => None,
            None => default,
        },
    }
}

fn reload(reader: &Reader<'_>, field: Field<'_>) -> Option<Reload> {
    let table = reader.table(field, "{ signal = \"HUP\" }")?;
    match (table.get("signal"), table.get("command")) {
        (Some(signal), None) => reader.signal(signal).map(Reload::Signal),
        (None, Some(hook)) => command::hook(reader, hook).map(Reload::Command),
        _ => {
            let report = Report::new(codes::RELOAD, "`reload` has a `signal` or a `command`");
            let report = report.at(field.at(), "one of them");
            reader.report(report.help("write it as `reload = { signal = \"HUP\" }`"));
            None
        }
    }
}

/// Checks what the kind of a service refuses. `written` has no defaults in it: what a branch says
/// for all its services is no mistake of one of them.
pub(super) fn check_kind(reader: &Reader<'_>, written: &Table, table: &Table) {
    let refuse = |key: &str, why: &str, help: &str| {
        if let Some(field) = written.get(key) {
            let report = Report::new(codes::KIND, format!("`{key}` is not for {why}"));
            reader.report(report.at(field.key_at, "").help(help));
        }
    };
    let pool = table.has("instances");
    match kind(reader, table) {
        ServiceKind::Daemon => {
            refuse(
                "timeout",
                "a daemon, which has no end",
                "how long a start takes is `start_timeout`",
            );
        }
        ServiceKind::Oneshot => {
            refuse("ready", "a oneshot", "it is ready when it has exited 0");
            refuse(
                "liveness",
                "a oneshot",
                "it is not ready before it has ended",
            );
            refuse("watchdog", "a oneshot", "its time is `timeout`");
            refuse("instances", "a oneshot", "write one service for each");
            refuse("start_timeout", "a oneshot", "its time is `timeout`");
            let permanent = |f: &Field<'_>| match &f.value.item {
                Item::Text(text) => matches!(&**text, "permanent" | "always"),
                _ => false,
            };
            if let Some(field) = written.get("restart").filter(permanent) {
                reader.report(
                    Report::new(
                        codes::KIND,
                        "a oneshot that is `permanent` would run for ever",
                    )
                    .at(field.at(), "")
                    .help("`transient` runs it again after a failure"),
                );
            }
        }
    }
    if pool {
        refuse("significant", "a pool", "its instances come and go");
    } else {
        let help = "the limit is its supervisor's, or that of a pool (`instances`)";
        refuse("max_restarts", "a single service", help);
        refuse("max_seconds", "a single service", help);
        refuse("pool_restart", "a single service", "write `restart`");
    }
}

/// Keys of defaults that a oneshot does not inherit: it would refuse them.
pub(super) const NOT_FOR_ONESHOT: [&str; 6] = [
    "restart",
    "ready",
    "start_timeout",
    "liveness",
    "watchdog",
    "instances",
];
/// Keys of defaults that a daemon does not inherit.
pub(super) const NOT_FOR_DAEMON: [&str; 1] = ["timeout"];
