// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a process may do beyond its user, which processors it runs on, and who has the terminal.

use super::codes;
use super::diagnostic::Report;
use super::outline::Outline;
use super::reader::Reader;
use super::value::{Field, Item, Table};
use super::words;
use crate::spec::{Capabilities, Capability, CapabilitySet, Node, Supervisor, limits};

/// `capabilities = { bounding = […], ambient = […] }`.
pub(super) fn capabilities(reader: &Reader<'_>, table: &Table) -> Capabilities {
    let Some(field) = table.get("capabilities") else {
        return Capabilities::default();
    };
    let Some(table) = reader.table(field, "{ ambient = [\"NET_BIND_SERVICE\"] }") else {
        return Capabilities::default();
    };
    let read = |key| table.get(key).and_then(|f| set(reader, f));
    let capabilities = Capabilities {
        bounding: read("bounding"),
        ambient: read("ambient").unwrap_or_default(),
    };
    let within = |all| capabilities.ambient.is_within(all);
    if !capabilities.bounding.is_none_or(within) {
        let message = "`ambient` has what `bounding` forbids";
        let report = Report::new(codes::CAPABILITY, message).at(field.at(), "");
        reader.report(report.help("whatever is ambient stands in `bounding` as well"));
    }
    capabilities
}

fn set(reader: &Reader<'_>, field: Field<'_>) -> Option<CapabilitySet> {
    let read = |field: Field<'_>| {
        let text = reader.text(field)?;
        if let Ok(capability) = text.parse::<Capability>() {
            return Some(capability);
        }
        let known: Vec<&str> = Capability::names().collect();
        let message = format!("there is no capability `{text}`");
        let report = Report::new(codes::CAPABILITY, message).at(field.at(), "");
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let help = words::nearest(name, known).map_or_else(
            || "capabilities(7) has their names".to_owned(),
            |name| format!("did you mean `{name}`?"),
        );
        reader.report(report.help(help));
        None
    };
    let all = reader.list(field, "[\"NET_BIND_SERVICE\"]", read)?;
    Some(all.into_iter().collect())
}

/// `"0-3,8"`, a number, or a list of both.
pub(super) fn cpu_affinity(reader: &Reader<'_>, field: Field<'_>) -> Option<Box<[u16]>> {
    let mut all = Vec::new();
    match &field.value.item {
        Item::List(list) => {
            for value in list {
                all.extend(cpus(reader, field.with(value))?);
            }
        }
        _ => all.extend(cpus(reader, field)?),
    }
    all.sort_unstable();
    all.dedup();
    if all.is_empty() {
        return refused(reader, field);
    }
    Some(all.into())
}

fn cpus(reader: &Reader<'_>, field: Field<'_>) -> Option<Vec<u16>> {
    if let Item::Integer(_) = &field.value.item {
        let cpu = reader.integer(field, 0..=i64::from(limits::CPU_MAX))?;
        return u16::try_from(cpu).ok().map(|cpu| vec![cpu]);
    }
    let text = reader.text(field)?;
    let mut all = Vec::new();
    for part in text.split(',') {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| {
            text.trim()
                .parse::<u16>()
                .ok()
                .filter(|n| *n <= limits::CPU_MAX)
        };
        match (number(low), number(high)) {
            (Some(low), Some(high)) if low <= high => all.extend(low..=high),
            _ => return refused(reader, field),
        }
    }
    Some(all)
}

fn refused<T>(reader: &Reader<'_>, field: Field<'_>) -> Option<T> {
    let message = format!("`cpu_affinity` is processors from 0 to {}", limits::CPU_MAX);
    let report = Report::new(codes::CPUS, message).at(field.at(), "");
    reader.report(report.help("write it as `cpu_affinity = \"0-3,8\"` or `[0, 1]`"));
    None
}

/// There is one terminal, and one foreground in it.
pub(super) fn check_terminal(reader: &Reader<'_>, outline: &Outline<'_>, root: &Supervisor) {
    let mut owners = Vec::new();
    terminal_owners(root, &mut owners);
    let [first, others @ ..] = owners.as_slice() else {
        return;
    };
    for other in others {
        let place = outline.find(other).or_else(|| outline.find(first));
        let message = format!("`{other}` and `{first}` both want the terminal");
        let report = Report::new(codes::TTY, message);
        let report = match place {
            Some(node) => report.at(node.at, ""),
            None => report,
        };
        reader.report(report.help("give `tty = true` to one service, without instances"));
    }
}

/// Bounded by the depth of a tree.
fn terminal_owners<'a>(supervisor: &'a Supervisor, owners: &mut Vec<&'a str>) {
    for child in &supervisor.children {
        match child {
            Node::Supervisor(below) => terminal_owners(below, owners),
            Node::Service(service) if service.process.tty => owners.push(&service.name),
            Node::Service(_) => {}
        }
    }
}
