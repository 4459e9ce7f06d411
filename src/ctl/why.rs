// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supctl why NAME`: how a node is, what it said last, how it got there, what to try. It tells
//! what the daemon recorded, by the numbers that tie records together; it never guesses a cause.

use super::age;
use super::client::{Client, Doing};
use super::failure::Failure;
use super::look::damaged;
use super::names::resolve;
use super::screen::{Screen, visible};
use super::{DONE, picture, story};
use crate::wire::{EventLine, NodeKind, NodeView, Query, Route, StreamItem, kind};
use serde::Serialize;
use std::collections::BTreeSet;

/// Events that are told. Of a longer story the steps of stops are left out first, then its middle:
/// the beginning is the cause, the end is how things are.
const TOLD_MAX: usize = 12;
/// How many of them are the beginning.
const HEAD: usize = 4;
/// Lines of last words.
const WORDS_MAX: usize = 3;

/// The commonest first mistake.
const DAEMONIZED: &str = "  it went into the background: its process ended well and left \
     others, which were killed. Let it\n  stay in the foreground: a flag such as --foreground, \
     --nodaemon or -g 'daemon off;', no `&` at its end";

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Why<'a> {
    node: &'a NodeView,
    events: Vec<&'a EventLine>,
}

/// `supctl why NAME`.
pub(crate) fn why(client: &Client, screen: &mut Screen, name: &String) -> Result<u8, Failure> {
    let status = client.status(Doing("show the tree"))?;
    let nodes = resolve(&status.root, std::slice::from_ref(name), "explain")?;
    let events = all_events(client)?;
    for node in nodes {
        let story = story_of(node, &events);
        if screen.json {
            screen.json_value(&Why {
                node,
                events: story,
            })?;
            continue;
        }
        tell(screen, node, &story)?;
    }
    Ok(DONE)
}

fn all_events(client: &Client) -> Result<Vec<EventLine>, Failure> {
    let doing = Doing("show the events");
    let mut lines = client.lines(&Route::Events, &Query::default(), doing)?;
    let mut events = Vec::new();
    while let Some(line) = lines.next(client.deadline())? {
        if let StreamItem::Event(event) = StreamItem::parse(line).map_err(damaged)? {
            events.push(*event);
        }
    }
    Ok(events)
}

fn is_below(event: &EventLine, node: &NodeView) -> bool {
    let path = event.path.as_deref().unwrap_or_default();
    path.strip_prefix(node.path.as_str())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The events that led to how the node is: the chain of causes of its last one, and what belongs
/// to the same incident.
fn story_of<'a>(node: &NodeView, events: &'a [EventLine]) -> Vec<&'a EventLine> {
    let Some(last) = events.iter().rev().find(|event| is_below(event, node)) else {
        return Vec::new();
    };
    let at = |seq: u64| {
        let found = events.binary_search_by_key(&seq, |event| event.seq);
        found.ok().map(|at| &events[at])
    };
    let mut chain = BTreeSet::new();
    let mut next = Some(last);
    while let Some(event) = next {
        // Causes lie in the past; a number that does not would lead in a circle.
        if !chain.insert(event.seq) {
            break;
        }
        next = event.cause.filter(|cause| *cause < event.seq).and_then(at);
        if event.kind == kind::SERVICE_EXITED && event.incident.is_none() {
            // What went well before it is no part of how it got here; what somebody did is.
            let order = next.filter(|cause| cause.kind == kind::COMMAND);
            chain.extend(order.map(|cause| cause.seq));
            break;
        }
    }
    let incident = events
        .iter()
        .rev()
        .filter(|event| chain.contains(&event.seq))
        .find_map(|event| event.incident.as_ref());
    let opener = incident.and_then(|name| name.strip_prefix('i')?.parse::<u64>().ok());
    chain.extend(opener);
    events
        .iter()
        .filter(|event| {
            chain.contains(&event.seq)
                || (incident.is_some() && event.incident.as_ref() == incident)
        })
        .collect()
}

fn tell(screen: &mut Screen, node: &NodeView, story: &[&EventLine]) -> Result<(), Failure> {
    screen.line(&headline(node))?;
    let failed = story
        .iter()
        .rev()
        .find(|event| event.kind == kind::SERVICE_EXITED && !event.last_lines.is_empty());
    if let Some(event) = failed {
        let from = event.last_lines.len().saturating_sub(WORDS_MAX);
        let who = match event.node.as_deref() {
            Some(other) if other != node.name => format!(" of {}", visible(other)),
            Some(_) | None => String::new(),
        };
        for words in &event.last_lines[from..] {
            screen.line(&format!("  last words{who}: {}", visible(words)))?;
        }
    }
    let exit = node.last_exit.as_ref();
    if exit.is_some_and(|exit| exit.qualifiers.iter().any(|q| *q == "daemonized")) {
        screen.line(DAEMONIZED)?;
    }
    if !story.is_empty() {
        screen.line("How it got here")?;
        tell_events(screen, story)?;
    }
    let name = visible(&node.name);
    screen.line(&match &*node.state {
        "stopped" | "down" | "held" | "parked" => {
            format!("Try: supctl start {name}, supctl logs {name}")
        }
        "remediating" => format!("Try: supctl history {name}, supctl stop {name}"),
        "backoff" => format!("Try: supctl logs {name}, supctl reset {name}"),
        "waiting" => match &node.waiting_for {
            Some(other) => format!("Try: supctl why {}", visible(other)),
            None => "Try: supctl status".to_owned(),
        },
        _ => format!("Try: supctl logs {name}"),
    })
}

fn tell_events(screen: &mut Screen, story: &[&EventLine]) -> Result<(), Failure> {
    let mut told = story.to_vec();
    if told.len() > TOLD_MAX {
        told.retain(|event| !is_step(event));
    }
    let cut = told.len().saturating_sub(TOLD_MAX);
    for (number, event) in told.iter().enumerate() {
        if number == HEAD && cut > 0 {
            screen.line("  ...")?;
        }
        if cut == 0 || number < HEAD || number >= HEAD + cut {
            screen.line(&format!("  {}", story::line(event)))?;
        }
    }
    let missing = story.len() - told.len() + cut;
    if missing > 0 {
        let count = age::count(missing as u64, "event");
        screen.line(&format!("  ({count} left out; all of them: supctl events)"))?;
    }
    Ok(())
}

/// A step of a stop: what came of it says the same.
fn is_step(event: &EventLine) -> bool {
    matches!(
        &*event.kind,
        kind::SERVICE_STOPPING | kind::SUPERVISOR_STOPPING
    )
}

/// `ws is HELD (22s), next try in 38s; exit 1 22s ago`.
fn headline(node: &NodeView) -> String {
    let mut parts = vec![format!(
        "{} is {} ({})",
        visible(&node.name),
        visible(&node.state).to_uppercase(),
        picture::start_age(node)
    )];
    parts.extend(
        node.delay_ms
            .map(|ms| format!("next try in {}", age::short(ms))),
    );
    let waits = node.waiting_for.as_ref();
    parts.extend(waits.map(|name| format!("waits for {}", visible(name))));
    let awaits = node.awaits.as_ref();
    parts.extend(awaits.map(|what| format!("waits for {}", visible(what))));
    if let Some(by) = &node.stopped_by {
        parts.push(match by.uid {
            Some(uid) => format!("stopped by uid {uid}"),
            None => "stopped by hand".to_owned(),
        });
    }
    let unusual = node.process.as_deref();
    parts.extend(unusual.map(|words| format!("its process is {}", visible(words))));
    if node.pinned {
        parts.push("pinned".to_owned());
    }
    if let Some(exit) = &node.last_exit {
        let ago = exit
            .ago_ms
            .map_or_else(String::new, |ms| format!(" {} ago", age::short(ms)));
        parts.push(format!("last end {}{ago}", picture::ended(exit)));
    }
    if node.restarts > 0 {
        parts.push(age::count(node.restarts, "restart"));
    }
    let is_supervisor = matches!(node.kind, NodeKind::Supervisor | NodeKind::Pool);
    if let (true, Some(used), Some(max)) = (is_supervisor, node.used, node.max) {
        parts.push(format!("budget {used}/{max}"));
    }
    parts.join(", ")
}
