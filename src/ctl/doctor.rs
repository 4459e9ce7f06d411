// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supctl doctor`: what stands in the way of a daemon that does all it can, in one list.
//!
//! Asks for what the daemon itself found at its start and since (`daemon.surroundings`,
//! `socket.crowded`, `log.failing`), for the health of the tree, and for the configuration in its
//! files. Decides what is a note and what is trouble; it repairs nothing.

use super::client::{Client, Doing, read_json};
use super::failure::Failure;
use super::http::Request;
use super::screen::{Screen, visible};
use super::{DONE, NO, age};
use crate::wire::{EventLine, Health, Plan, Query, Route, Status, StreamItem, query};
use serde::Serialize;

const DOING: Doing<'_> = Doing("look for trouble");
/// Kinds of events that tell of the daemon's surroundings.
const KINDS: [&str; 3] = [
    "daemon.surroundings",
    "socket.crowded",
    "daemon.reload_refused",
];
/// How many of them are shown: the newest say most.
const SHOWN: usize = 20;

/// One thing that was found.
#[derive(Debug, Serialize)]
struct Finding {
    /// ok, note, trouble.
    level: &'static str,
    what: String,
    /// What to try.
    #[serde(rename = "try", skip_serializing_if = "Option::is_none")]
    instead: Option<String>,
}

/// `supctl doctor`; exit 1 when there is trouble.
pub(crate) fn doctor(client: &Client, screen: &mut Screen) -> Result<u8, Failure> {
    let status = client.status(DOING)?;
    let mut found = vec![daemon(&status)];
    found.extend(surroundings(client)?);
    found.extend(health(client)?);
    found.push(configuration(client));
    let trouble = found.iter().any(|finding| finding.level == "trouble");
    if screen.json {
        screen.json_value(&found)?;
    } else {
        for finding in &found {
            screen.line(&format!("{:<8} {}", finding.level, visible(&finding.what)))?;
            if let Some(instead) = &finding.instead {
                screen.line(&format!("{:<8} try: {}", "", visible(instead)))?;
            }
        }
    }
    Ok(if trouble { NO } else { DONE })
}

fn daemon(status: &Status) -> Finding {
    let (theirs, ours) = (&status.daemon.version, env!("CARGO_PKG_VERSION"));
    let up = age::short(status.daemon.up_ms);
    let what = format!("supd {theirs} answers, pid {}, up {up}", status.daemon.pid);
    if theirs == ours {
        return ok(what);
    }
    Finding {
        level: "note",
        what: format!("{what}; supctl is {ours}"),
        instead: Some("install both from one release".to_owned()),
    }
}

/// What the daemon found; the same again is said once.
fn surroundings(client: &Client) -> Result<Vec<Finding>, Failure> {
    let kinds = KINDS.iter().chain(&["log.failing", "log.working"]);
    let parameters = kinds.fold(Query::default(), |all, kind| all.with(query::KIND, kind));
    let text = client.get_with(&Route::Events, &parameters, DOING)?;
    let mut events: Vec<EventLine> = Vec::new();
    for line in text.lines() {
        let Ok(StreamItem::Event(event)) = StreamItem::parse(line) else {
            continue;
        };
        // A file that can be written again is no trouble any more.
        events.retain(|old| {
            let same_file = event.kind == "log.working" && old.node == event.node;
            !(same_file && old.kind == "log.failing") && old.message != event.message
        });
        events.push(*event);
    }
    events.retain(|event| event.kind != "log.working");
    let newest = events.len().saturating_sub(SHOWN);
    Ok(events.drain(newest..).map(finding).collect())
}

fn finding(event: EventLine) -> Finding {
    let text = event.message.unwrap_or_default();
    let what = match &event.node {
        Some(node) => format!("{node}: {text}"),
        None => text,
    };
    let (level, instead) = match &*event.kind {
        "log.failing" => (
            "trouble",
            Some("make room, or give supd's user the right".to_owned()),
        ),
        "daemon.reload_refused" => ("note", Some("supctl check".to_owned())),
        _ => ("note", None),
    };
    Finding {
        level,
        what,
        instead,
    }
}

fn health(client: &Client) -> Result<Vec<Finding>, Failure> {
    let request = Request {
        method: "GET",
        target: &Route::Health.path(),
        body: None,
    };
    let (_, lines) = client.raw(&request)?;
    let health: Health = read_json(&lines.text()?)?;
    let reasons = health.reasons.iter().map(|reason| Finding {
        level: "trouble",
        what: reason.clone(),
        instead: reason
            .split(' ')
            .next()
            .map(|name| format!("supctl why {name}")),
    });
    let reasons: Vec<Finding> = reasons.collect();
    if reasons.is_empty() {
        return Ok(vec![ok(format!("the tree is {}", health.status))]);
    }
    Ok(reasons)
}

/// Whether the files say what is in force.
fn configuration(client: &Client) -> Finding {
    let plan = client.post(&Route::Plan, "{}", DOING);
    match plan.and_then(|text| read_json::<Plan>(&text)) {
        Ok(plan) if plan.changes.is_empty() => {
            ok("the configuration in the files is in force".to_owned())
        }
        Ok(plan) => Finding {
            level: "note",
            what: format!(
                "{} changes in the files are not in force",
                plan.changes.len()
            ),
            instead: Some("supctl plan".to_owned()),
        },
        Err(failure) => Finding {
            level: "trouble",
            what: format!("the configuration in the files cannot be used: {failure}"),
            instead: Some("supctl check".to_owned()),
        },
    }
}

fn ok(what: String) -> Finding {
    Finding {
        level: "ok",
        what,
        instead: None,
    }
}
