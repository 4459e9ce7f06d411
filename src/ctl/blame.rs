// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supctl blame`: what the boot waited for. Read off the recorded times: below each supervisor the
//! child that was ready last, before it the one that its start had waited for, and so on.
//!
//! It asks for what happened and computes nothing but differences of recorded times.

use super::age;
use super::client::{Client, Doing};
use super::failure::Failure;
use super::screen::{Screen, visible};
use super::{DONE, NO};
use crate::wire::{EventLine, NodeView, Query, Route, StreamItem, kind};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// When the first start of a node began, and when it was done; milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    begin: i64,
    end: i64,
}

/// A node on the chain.
#[derive(Debug, Serialize)]
struct Link {
    node: String,
    depth: usize,
    /// From the start of the tree to the begin of its start.
    offset_ms: i64,
    /// How long its start took.
    took_ms: i64,
}

/// `supctl blame`.
pub(crate) fn blame(client: &Client, screen: &mut Screen) -> Result<u8, Failure> {
    let doing = Doing("tell what the boot waited for");
    let status = client.status(doing)?;
    let spans = spans(client, doing)?;
    let Some(whole) = spans.get(&status.root.name) else {
        let text = "cannot tell what the boot waited for: the tree was never ready, or its boot \
                    is no longer among the kept events";
        screen.complain_lines(&[text.to_owned()], "supctl status");
        return Ok(NO);
    };
    let mut links = Vec::new();
    follow(&status.root, (&spans, whole.begin), 0, &mut links);
    if screen.json {
        screen.json_value(&links)?;
        return Ok(DONE);
    }
    let names: Vec<String> = links.iter().map(drawn).collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or_default();
    for (name, link) in names.iter().zip(&links) {
        let (offset, took) = (time(link.offset_ms), time(link.took_ms));
        screen.line(&format!("{name:<width$}  @{offset:<6} +{took}"))?;
    }
    Ok(DONE)
}

fn drawn(link: &Link) -> String {
    format!("{}{}", "  ".repeat(link.depth), visible(&link.node))
}

fn time(ms: i64) -> String {
    age::precise(u64::try_from(ms).unwrap_or(0))
}

/// The first start of each node that was done.
fn spans(client: &Client, doing: Doing<'_>) -> Result<BTreeMap<String, Span>, Failure> {
    let mut lines = client.lines(&Route::Events, &Query::default(), doing)?;
    let mut spans = BTreeMap::new();
    while let Some(line) = lines.next(client.deadline())? {
        let item = StreamItem::parse(line).map_err(super::look::damaged)?;
        if let StreamItem::Event(event) = item
            && let (Some(node), Some(span)) = (event.node.clone(), span(&event))
        {
            spans.entry(node).or_insert(span);
        }
    }
    Ok(spans)
}

/// The start that this event ends: a readiness, or a oneshot that is done.
fn span(event: &EventLine) -> Option<Span> {
    let done = || {
        let decision = event.decision.as_ref();
        decision.is_some_and(|decision| decision.action == "done")
    };
    let took = match &*event.kind {
        kind::SERVICE_READY if event.run.is_none_or(|run| run == 1) => event.took_ms,
        kind::SUPERVISOR_READY => event.took_ms,
        kind::SERVICE_EXITED if event.run.is_none_or(|run| run == 1) && done() => event.uptime_ms,
        _ => None,
    };
    let end: Timestamp = event.ts.parse().ok()?;
    let end = end.as_millisecond();
    let took = i64::try_from(took?).ok()?;
    Some(Span {
        begin: end - took,
        end,
    })
}

/// The node, then the chain of those below it that its readiness waited for, the first one first.
/// Recursion is bounded by the depth of a tree.
fn follow(
    node: &NodeView,
    (spans, origin): (&BTreeMap<String, Span>, i64),
    depth: usize,
    links: &mut Vec<Link>,
) {
    let Some(own) = spans.get(&node.name) else {
        return;
    };
    links.push(Link {
        node: node.name.clone(),
        depth,
        offset_ms: own.begin - origin,
        took_ms: own.end - own.begin,
    });
    let mut chain: Vec<&NodeView> = Vec::new();
    // What was started later, after the tree was up, delayed nothing.
    let mut until = own.end;
    loop {
        let before = |child: &&NodeView| {
            let fits = spans.get(&child.name).is_some_and(|span| span.end <= until);
            fits && !chain.iter().any(|link| link.name == child.name)
        };
        let end = |child: &&NodeView| spans.get(&child.name).map_or(0, |span| span.end);
        let Some(last) = node.children.iter().filter(before).max_by_key(end) else {
            break;
        };
        until = spans.get(&last.name).map_or(0, |span| span.begin);
        chain.push(last);
        if until <= own.begin {
            break;
        }
    }
    for child in chain.into_iter().rev() {
        follow(child, (spans, origin), depth + 1, links);
    }
}
