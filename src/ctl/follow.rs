// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands that read the stream of events: events, history.

use super::args::{EventsArgs, Happening};
use super::client::{Client, Doing, Lines};
use super::clock::Deadline;
use super::failure::Failure;
use super::look::damaged;
use super::names::resolve;
use super::screen::Screen;
use super::{DONE, story};
use crate::wire::{ErrorBody, EventLine, Query, Route, StreamItem, code, query};

/// Shows what there is before waiting for more; a burst is written at once.
fn flush_if_last(screen: &mut Screen, lines: &Lines) -> Result<(), Failure> {
    if lines.has_next() {
        return Ok(());
    }
    screen.flush()
}

/// `supctl events`.
pub(crate) fn events(
    client: &Client,
    screen: &mut Screen,
    args: &EventsArgs,
) -> Result<u8, Failure> {
    let mut parameters = Query::default();
    if args.follow || args.until.is_some() {
        parameters = parameters.with(query::FOLLOW, 1);
    }
    if let Some(since) = &args.since {
        parameters = parameters.with(query::SINCE, since);
    }
    for kind in &args.kind {
        parameters = parameters.with(query::KIND, kind);
    }
    let deadline = client.deadline();
    let mut happened = false;
    let mut next = |event: &EventLine| {
        happened = args.until.as_ref().is_some_and(|end| is(event, end));
        if happened {
            Next::ShowAndEnd
        } else {
            Next::Show
        }
    };
    show_events(client, screen, (&parameters, &mut next))?;
    match &args.until {
        Some(end) if !happened => {
            let whose = end.node.as_ref().map(|node| format!(" of `{node}`"));
            let doing = format!("wait for `{}`{}", end.kind, whose.unwrap_or_default());
            Err(in_vain(doing, deadline))
        }
        Some(_) | None => Ok(DONE),
    }
}

/// A stream has ended without what was waited for: the time was over, or the daemon is.
pub(crate) fn in_vain(doing: String, deadline: Deadline) -> Failure {
    if deadline.left().is_some_and(|left| left.is_zero()) {
        return Failure::InVain { doing };
    }
    let detail = ErrorBody::new(code::STOPPING, "supd has ended the stream").error;
    Failure::Refused { doing, detail }
}

/// Whether this is what `--until` names.
fn is(event: &EventLine, end: &Happening) -> bool {
    let kind: &str = &event.kind;
    let last = kind.rsplit('.').next();
    let whose =
        |node: &String| event.node.as_ref() == Some(node) || event.path.as_ref() == Some(node);
    (kind == end.kind || last == Some(end.kind.as_str())) && end.node.as_ref().is_none_or(whose)
}

/// What becomes of an event, and of the stream after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Show,
    Skip,
    ShowAndEnd,
}

/// `supctl history NAME`: the events of a node and of those below it.
pub(crate) fn history(client: &Client, screen: &mut Screen, name: &String) -> Result<u8, Failure> {
    let doing = Doing("show the history");
    let status = client.status(doing)?;
    let nodes = resolve(
        &status.root,
        std::slice::from_ref(name),
        "show the history of",
    )?;
    let mut next = |event: &EventLine| {
        let path = event.path.as_deref().unwrap_or_default();
        let is_below = nodes.iter().any(|node| {
            path.strip_prefix(node.path.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        if is_below { Next::Show } else { Next::Skip }
    };
    let shown = show_events(client, screen, (&Query::default(), &mut next))?;
    if shown == 0 && !screen.json {
        screen.talk(&format!(
            "nothing has happened to {name} since supd keeps events"
        ))?;
    }
    Ok(DONE)
}

/// Shows the events that are wanted, until one of them is the end, and returns how many there were.
fn show_events(
    client: &Client,
    screen: &mut Screen,
    (parameters, next): (&Query, &mut dyn FnMut(&EventLine) -> Next),
) -> Result<u64, Failure> {
    let mut shown = 0;
    let deadline = client.deadline();
    let mut lines = client.lines(&Route::Events, parameters, Doing("show the events"))?;
    while let Some(line) = lines.next(deadline)? {
        match StreamItem::parse(line).map_err(damaged)? {
            StreamItem::Gap(_) if screen.json => screen.json_line(line)?,
            StreamItem::Gap(gap) => {
                screen.talk(&format!(
                    "(events #{} to #{} are missing here)",
                    gap.from, gap.to
                ))?;
            }
            StreamItem::Event(event) => {
                let next = next(&event);
                if next != Next::Skip {
                    shown += 1;
                    show_event(screen, line, &event)?;
                }
                if next == Next::ShowAndEnd {
                    return Ok(shown);
                }
            }
            StreamItem::Snapshot(_) | StreamItem::Heartbeat(_) => {}
        }
        flush_if_last(screen, &lines)?;
    }
    Ok(shown)
}

fn show_event(screen: &mut Screen, line: &str, event: &EventLine) -> Result<(), Failure> {
    if screen.json {
        screen.json_line(line)
    } else {
        screen.line(&story::line(event))
    }
}
