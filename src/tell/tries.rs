// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands to try, by the state of a node and the class of its end. A table: nothing is run.

use crate::wire::{LastExit, LastWords, NodeView};

/// What is known.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) node: &'a NodeView,
    /// Whom it waits for.
    pub(super) blocker: Option<&'a NodeView>,
    /// Its last end, or that of whom it waits for.
    pub(super) exit: Option<&'a LastExit>,
    pub(super) words: Option<&'a LastWords>,
}

/// At most four, the one that tells most first.
pub(super) fn of(case: &Case<'_>) -> Vec<String> {
    let name = &case.node.name;
    let culprit = case.blocker.map_or(name, |other| &other.name);
    let mut tries = Vec::new();
    tries.extend(
        case.blocker
            .map(|other| format!("supctl why {}", other.name)),
    );
    let is_well = matches!(&*case.node.state, "ready" | "up" | "done");
    let asked_for = |exit: &&LastExit| exit.family.as_deref() == Some("requested");
    if let Some(exit) = case.exit.filter(|exit| !is_well && !asked_for(exit)) {
        let base = exit.base.as_deref().unwrap_or(&exit.class);
        let words = case.words.map_or(&[][..], |words| &words.lines);
        tries.extend(by_words(words, culprit));
        tries.extend(by_class(base, culprit));
    } else if case.blocker.is_none() {
        tries.push(format!("supctl logs {culprit}"));
    }
    match &*case.node.state {
        "stopped" | "down" | "held" | "parked" | "backoff" => {
            tries.push(format!("supctl start {name}"));
        }
        "remediating" => tries.push(format!("supctl stop {name}")),
        "degraded" => tries.push(format!("supctl status {name}")),
        _ => {}
    }
    if case.node.pinned {
        tries.push(format!("supctl unpin {name}"));
    }
    let mut seen = std::collections::BTreeSet::new();
    tries.retain(|line| seen.insert(line.clone()));
    tries.truncate(4);
    tries
}

/// What the class asks one to look at.
fn by_class(base: &str, name: &str) -> Vec<String> {
    let last_words = format!("supctl logs {name} --crash");
    match base {
        "exec_failed" | "spawn_failed" | "sandbox" => vec![format!("supctl show {name}")],
        "start_timeout" => vec![format!("supctl logs {name}"), format!("supctl show {name}")],
        "config" => vec![last_words, format!("supctl cat {name}")],
        "oom_kill" | "rlimit" => vec![last_words, format!("supctl show {name}")],
        "killed" | "terminated" => vec![last_words, format!("supctl history {name}")],
        "liveness_failed" | "watchdog_timeout" => {
            vec![
                format!("supctl logs {name}"),
                format!("supctl history {name}"),
            ]
        }
        "unavailable" | "tempfail" => vec![last_words, "supctl status".to_owned()],
        "stop_timeout" => vec![
            format!("supctl explain {base}"),
            format!("supctl show {name}"),
        ],
        _ => vec![last_words],
    }
}

/// What last words that everybody knows ask one to look at.
fn by_words(lines: &[String], name: &str) -> Option<String> {
    let lines: Vec<String> = lines.iter().map(|line| line.to_ascii_lowercase()).collect();
    let said = |words: &str| lines.iter().find(|line| line.contains(words));
    if let Some(line) = said("address already in use") {
        return Some(match port_of(line) {
            Some(port) => format!("ss -ltnp 'sport = :{port}'"),
            None => "ss -ltnp".to_owned(),
        });
    }
    if said("no space left on device").is_some() {
        return Some("df -h".to_owned());
    }
    if said("permission denied").is_some() {
        return Some(format!("supctl show {name}"));
    }
    None
}

/// The last number behind a colon: `127.0.0.1:8090`.
fn port_of(line: &str) -> Option<u16> {
    let numbers = line.rsplit(':').filter_map(|part| {
        let digits = part
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(part.len());
        part[..digits].parse::<u16>().ok()
    });
    numbers.into_iter().find(|port| *port > 0)
}
