// SPDX-License-Identifier: MIT OR Apache-2.0
//! The remediation registry: `[remediation]`, and `remediation` of services and supervisors.
//!
//! Decides what an entry is and for which ends it can be; which one is taken, and what follows from
//! its answer, is decided in the engine.

use super::diagnostic::Report;
use super::reader::Reader;
use super::value::{At, Entry, Field, Item, Table};
use super::{budget, codes, command, words};
use crate::spec::{
    Counts, Evidence, Family, Flight, LockKind, Mode, Name, Occasion, Policy, Rate, Remedies,
    Remedy, RunsAs, Step, Trigger, limits,
};
use std::sync::Arc;
use std::time::Duration;

const FORM: &str = "it is a command, or a table with `run`, `shell` or `steps`";
const STEPS: &str = "a step is \"park\", \"escalate\", or a table with one of `run`, `delay`, \
                     `signal`, `restart`, `capture`, `remove_stale_lock`";

/// The names that entries can speak of.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Of classes.
    pub(super) classes: Vec<Name>,
    /// Of services; `None`: a child that is added cannot know all of them.
    pub(super) services: Option<Vec<Name>>,
    /// Of breakers; `None`: as for services.
    pub(super) breakers: Option<Vec<Name>>,
}

/// Whose entries they are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'a> {
    /// `None`: the registry.
    pub(super) name: Option<&'a str>,
    pub(super) policy: Policy,
    pub(super) known: &'a Known,
}

impl Owner<'_> {
    fn id(&self, on: &Occasion) -> Name {
        match self.name {
            None => on.key().into(),
            // The instances of a pool share what the pool says.
            Some(name) => format!("{}/{}", name.split('.').next().unwrap_or(name), on.key()).into(),
        }
    }
}

/// The entries of a node's `remediation`.
pub(super) fn of_node(reader: &Reader<'_>, table: &Table, owner: Owner<'_>) -> Remedies {
    let Some(field) = table.get("remediation") else {
        return Arc::from([]);
    };
    if owner.policy == Policy::Otp {
        let message = "there is no `remediation` under `policy = \"otp\"`";
        let report = Report::new(codes::OTP, message);
        let report = report.at(field.key_at, "it would be ignored");
        reader.report(report.help("take it out, or the policy"));
    }
    let entries = reader.table(field, "{ oom_kill = \"bin/shrink-cache\" }");
    entries.map_or_else(|| Arc::from([]), |entries| remedies(reader, entries, owner))
}

/// The entries of a table.
pub(super) fn remedies(reader: &Reader<'_>, table: &Table, owner: Owner<'_>) -> Remedies {
    let read = table.entries.iter().filter_map(|entry| {
        let on = occasion(reader, entry, owner.known);
        let remedy = remedy(reader, entry, owner);
        let (on, remedy) = (on?, remedy?);
        let id = owner.id(&on);
        Some(Arc::new(Remedy { id, on, ..remedy }))
    });
    read.collect()
}

fn occasion(reader: &Reader<'_>, entry: &Entry, known: &Known) -> Option<Occasion> {
    let key = &*entry.key;
    if key == "*" {
        return Some(Occasion::Any);
    }
    if let Some(word) = key.strip_prefix("family:") {
        let family = Family::ALL.into_iter().find(|f| f.as_str() == word);
        if let Some(family) = family {
            return Some(Occasion::Family(family));
        }
        let families = Family::ALL.map(Family::as_str);
        let message = format!("there is no family `{word}`");
        return refuse(
            reader,
            (message, entry.key_at),
            &words::one_of(word, &families),
        );
    }
    if key == "recovered" {
        let message = format!("the trigger `{key}` is not in this version yet");
        let report = Report::new(codes::NOT_YET, message);
        let report = report.at(entry.key_at, "known, not supported");
        reader.report(report.help("take it out; nothing is ignored silently"));
        return None;
    }
    if let Some(trigger) = Trigger::ALL.into_iter().find(|t| t.as_str() == key) {
        return Some(Occasion::Trigger(trigger));
    }
    if known.classes.iter().any(|class| **class == *key) {
        return Some(Occasion::Class(Arc::clone(&entry.key)));
    }
    let triggers = Trigger::ALL.map(Trigger::as_str);
    let families = Family::ALL.map(|family| format!("family:{}", family.as_str()));
    let all = known.classes.iter().map(|class| &**class);
    let all = all
        .chain(triggers)
        .chain(families.iter().map(String::as_str));
    let help = words::nearest(key, all).map_or_else(
        || "`supctl explain remediation` lists classes and triggers".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    let message = format!("there is no class `{key}`");
    let report = Report::new(codes::REMEDY_CLASS, message).at(entry.key_at, "");
    reader.report(report.help(help));
    None
}

/// What an entry says, but for whom and for what it is.
fn remedy(reader: &Reader<'_>, entry: &Entry, owner: Owner<'_>) -> Option<Remedy> {
    let field = entry.field();
    let empty = Table::default();
    let table = match &field.value.item {
        Item::Table(table) => table,
        _ => &empty,
    };
    let steps = match &field.value.item {
        Item::Table(table) => long_form(reader, (entry, table), owner),
        Item::Text(_) | Item::List(_) => {
            command::hook(reader, field).map(|command| Box::from([Step::Run(command)]))
        }
        _ => refuse(
            reader,
            (format!("`{}` is no remedy", entry.key), field.at()),
            FORM,
        ),
    };
    let limit = table.get("limit").map(|field| rate(reader, field));
    let counts = table
        .get("counts")
        .and_then(|f| reader.flag(f))
        .unwrap_or(true);
    if !counts && limit.is_none() {
        let at = table.get("counts").map_or(entry.key_at, Field::at);
        let message = "`counts = false` needs a `limit`";
        let report = Report::new(codes::REMEDY, message);
        let report = report.at(at, "nothing would bound its restarts");
        reader.report(report.help("add `limit = \"3/10m\"`: beyond it every restart counts"));
    }
    let flag = table.get("single_flight").and_then(|f| reader.flag(f));
    let modes = [("act", Mode::Act), ("observe", Mode::Observe)];
    let whose = [("service", RunsAs::Service), ("supd", RunsAs::Supd)];
    Some(Remedy {
        id: Name::from(""),
        on: Occasion::Any,
        steps: steps?,
        timeout: timeout(reader, table)?,
        limit: limit.flatten(),
        counts: if counts { Counts::Yes } else { Counts::No },
        mode: table
            .get("mode")
            .and_then(|f| reader.choice(f, &modes))
            .unwrap_or(Mode::Act),
        runs_as: table
            .get("as")
            .and_then(|f| reader.choice(f, &whose))
            .unwrap_or(RunsAs::Service),
        flight: match flag {
            Some(true) => Flight::Single,
            Some(false) | None => Flight::Own,
        },
    })
}

fn timeout(reader: &Reader<'_>, table: &Table) -> Option<Duration> {
    let Some(field) = table.get("timeout") else {
        return Some(limits::HOOK_TIMEOUT);
    };
    let time = reader.duration(field)?;
    if !time.is_zero() {
        return Some(time);
    }
    let message = "a remedy has some time".to_owned();
    refuse(
        reader,
        (message, field.at()),
        "write it as `timeout = \"10s\"`",
    )
}

fn rate(reader: &Reader<'_>, field: Field<'_>) -> Option<Rate> {
    let text = reader.text(field)?;
    if let Some((count, period)) = budget::rate(&text).filter(|(count, _)| *count > 0) {
        return Some(Rate { count, period });
    }
    let message = format!("`{text}` is no limit of a remedy");
    let help = "write it as \"3/10m\": how often it may be used, and the time it is counted in";
    refuse(reader, (message, field.at()), help)
}

fn long_form(
    reader: &Reader<'_>,
    (entry, table): (&Entry, &Table),
    owner: Owner<'_>,
) -> Option<Box<[Step]>> {
    let ways = ["run", "shell", "steps"].map(|key| table.get(key));
    match ways {
        [Some(run), None, None] => {
            command::hook(reader, run).map(|command| Box::from([Step::Run(command)]))
        }
        [None, Some(shell), None] => shell_of(reader, shell).map(|run| Box::from([run])),
        [None, None, Some(steps)] => steps_of(reader, steps, owner),
        [None, None, None] => {
            let message = format!("`{}` does not say what is done", entry.key);
            refuse(reader, (message, entry.key_at), FORM)
        }
        [..] => {
            let message = "`run`, `shell` and `steps` exclude each other".to_owned();
            refuse(reader, (message, entry.key_at), FORM)
        }
    }
}

fn shell_of(reader: &Reader<'_>, field: Field<'_>) -> Option<Step> {
    command::script(reader, field).map(Step::Run)
}

fn steps_of(reader: &Reader<'_>, field: Field<'_>, owner: Owner<'_>) -> Option<Box<[Step]>> {
    let Item::List(list) = &field.value.item else {
        reader.list(field, "[{ run = \"bin/fix\" }]", |_| None::<()>);
        return None;
    };
    if list.is_empty() || list.len() > limits::REMEDY_STEPS_MAX {
        let most = limits::REMEDY_STEPS_MAX;
        let message = format!("`steps` has 1 to {most} steps");
        return refuse(
            reader,
            (message, field.at()),
            "more than that is a program: `run` it",
        );
    }
    let read: Vec<Option<Step>> = list
        .iter()
        .map(|value| step(reader, field.with(value), owner))
        .collect();
    let steps: Vec<Step> = read.into_iter().collect::<Option<_>>()?;
    let ends = |step: &Step| matches!(step, Step::Park | Step::Escalate);
    let early = steps
        .iter()
        .position(ends)
        .filter(|at| at + 1 < steps.len());
    if let Some(early) = early {
        let at = list.get(early + 1).map_or(field.at(), |value| value.at);
        let message = "nothing comes after \"park\" or \"escalate\"".to_owned();
        return refuse(reader, (message, at), "take it out");
    }
    Some(steps.into())
}

fn step(reader: &Reader<'_>, field: Field<'_>, owner: Owner<'_>) -> Option<Step> {
    let table = match &field.value.item {
        Item::Text(_) => {
            let words = [("park", Step::Park), ("escalate", Step::Escalate)];
            let text = reader.text(field)?;
            let found = words.into_iter().find(|(word, _)| *word == &*text);
            if let Some((_, step)) = found {
                return Some(step);
            }
            return refuse(reader, (format!("`{text}` is no step"), field.at()), STEPS);
        }
        Item::Table(table) => table,
        _ => return refuse(reader, ("this is no step".to_owned(), field.at()), STEPS),
    };
    let [entry] = table.entries.as_slice() else {
        let message = "a step does one thing".to_owned();
        return refuse(reader, (message, field.at()), STEPS);
    };
    let inner = entry.field();
    match &*entry.key {
        "run" => command::hook(reader, inner).map(Step::Run),
        "shell" => shell_of(reader, inner),
        "delay" => reader.duration(inner).map(Step::Delay),
        "signal" => signal_step(reader, inner, owner),
        "restart" => restart_step(reader, inner, owner),
        "capture" => capture(reader, inner),
        "remove_stale_lock" => lock(reader, inner),
        // The check of keys has said what is wrong.
        _ => None,
    }
}

fn signal_step(reader: &Reader<'_>, field: Field<'_>, owner: Owner<'_>) -> Option<Step> {
    let table = reader.table(field, "{ service = \"cache\", signal = \"HUP\" }")?;
    let service = table.get("service");
    let service = service.and_then(|f| service_name(reader, f, owner));
    let signal = table.get("signal").and_then(|f| reader.signal(f));
    if !table.has("service") || !table.has("signal") {
        let message = "`signal` has a `service` and a `signal`".to_owned();
        let help = "write it as `signal = { service = \"cache\", signal = \"HUP\" }`";
        return refuse(reader, (message, field.at()), help);
    }
    Some(Step::Signal {
        service: service?,
        signal: signal?,
    })
}

fn restart_step(reader: &Reader<'_>, field: Field<'_>, owner: Owner<'_>) -> Option<Step> {
    let service = service_name(reader, field, owner)?;
    if owner.name == Some(&*service) {
        let message = format!("`{service}` is restarted after its remedy in any case");
        return refuse(reader, (message, field.at()), "take this step out");
    }
    Some(Step::Restart(service))
}

fn service_name(reader: &Reader<'_>, field: Field<'_>, owner: Owner<'_>) -> Option<Name> {
    let text = reader.text(field)?;
    let Some(services) = &owner.known.services else {
        return Some(Name::from(&*text));
    };
    if let Some(name) = services.iter().find(|name| ***name == *text) {
        return Some(Arc::clone(name));
    }
    let near = words::nearest(&text, services.iter().map(|name| &**name));
    let help = near.map_or_else(
        || "name a service of this configuration".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    let message = format!("there is no service named `{text}`");
    refuse(reader, (message, field.at()), &help)
}

fn capture(reader: &Reader<'_>, field: Field<'_>) -> Option<Step> {
    let words = [Evidence::Stack, Evidence::Status, Evidence::Stderr].map(|e| (e.as_str(), e));
    let example = "[\"stack\", \"status\", \"stderr\"]";
    let found = reader.list(field, example, |f| reader.choice(f, &words))?;
    if found.is_empty() {
        let message = "`capture` collects something".to_owned();
        return refuse(
            reader,
            (message, field.at()),
            &format!("write it as `{example}`"),
        );
    }
    Some(Step::Capture(found.into()))
}

fn lock(reader: &Reader<'_>, field: Field<'_>) -> Option<Step> {
    let example = "{ path = \"/run/app.pid\", kind = \"pidfile\" }";
    let table = reader.table(field, example)?;
    let (Some(path), Some(kind)) = (table.get("path"), table.get("kind")) else {
        let message = "`remove_stale_lock` has a `path` and a `kind`".to_owned();
        return refuse(
            reader,
            (message, field.at()),
            &format!("write it as `{example}`"),
        );
    };
    let kinds = [LockKind::Pidfile, LockKind::Flock].map(|kind| (kind.as_str(), kind));
    let (path, kind) = (reader.path(path), reader.choice(kind, &kinds));
    Some(Step::RemoveStaleLock {
        path: path?,
        kind: kind?,
    })
}

fn refuse<T>(reader: &Reader<'_>, (message, at): (String, At), help: &str) -> Option<T> {
    reader.report(Report::new(codes::REMEDY, message).at(at, "").help(help));
    None
}
