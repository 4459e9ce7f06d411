// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands that read a stream: logs, events, history.

use super::args::{EventsArgs, LogsArgs};
use super::client::{Client, Doing, Lines};
use super::failure::Failure;
use super::look::damaged;
use super::names::{each, resolve};
use super::screen::{Screen, visible};
use super::{DONE, IN_VAIN, story};
use crate::wire::{
    EventLine, Gap, LogItem, LogLine, NodeKind, NodeView, Query, Route, StreamItem, query, span,
};
use std::cell::Cell;
use std::collections::BTreeSet;

/// The services whose lines are shown, and how.
struct Selection {
    /// `None`: all of them.
    names: Option<BTreeSet<String>>,
    /// Whether a line says whose it is, and in how much room.
    prefix: Option<usize>,
}

/// `supctl logs`.
pub(crate) fn logs(client: &Client, screen: &mut Screen, args: &LogsArgs) -> Result<u8, Failure> {
    let doing = Doing("show the logs");
    let status = client.status(doing)?;
    let nodes = if args.names.is_empty() {
        vec![&status.root]
    } else {
        resolve(&status.root, &args.names, "show the logs of")?
    };
    let parameters = log_parameters(args);
    // Several at a time are one stream of what is above them all, in the order it was read.
    let (source, selection) = match nodes.as_slice() {
        [one] => (one.path.clone(), Selection::of_one(one)),
        many => (status.root.path.clone(), Selection::of_many(many)),
    };
    let mut lines = client.lines(&Route::Logs(source), &parameters, doing)?;
    while let Some(line) = lines.next(client.deadline())? {
        match LogItem::parse(line).map_err(damaged)? {
            LogItem::Gap(gap) => log_gap(screen, line, &gap)?,
            LogItem::Line(log) if selection.has(&log.node) => {
                if screen.json {
                    screen.json_line(line)?;
                } else {
                    let text = shown(&log, &selection, screen);
                    screen.line(&text)?;
                }
            }
            LogItem::Line(_) | LogItem::Heartbeat(_) => {}
        }
        flush_if_last(screen, &lines)?;
    }
    Ok(DONE)
}

fn log_parameters(args: &LogsArgs) -> Query {
    let mut parameters = Query::default().with(query::LINES, args.lines);
    if args.follow {
        parameters = parameters.with(query::FOLLOW, 1);
    }
    if let Some(since) = args.since {
        parameters = parameters.with(query::SINCE, span::format(since));
    }
    if let Some(run) = args.run {
        parameters = parameters.with(query::RUN, run);
    }
    parameters
}

fn log_gap(screen: &mut Screen, line: &str, gap: &Gap) -> Result<(), Failure> {
    if screen.json {
        return screen.json_line(line);
    }
    screen.talk(&format!("({} lines are missing here)", gap.to))
}

/// The line, with whose it is before it. A pipe gets the text as the service wrote it.
fn shown(log: &LogLine, selection: &Selection, screen: &Screen) -> String {
    let text = if screen.terminal {
        visible(&log.text)
    } else {
        log.text.clone()
    };
    match selection.prefix {
        None => text,
        Some(room) => {
            let who = format!("{}#{}", visible(&log.node), log.run);
            format!("{who:room$} | {text}")
        }
    }
}

impl Selection {
    fn of_one(node: &NodeView) -> Self {
        let several = node.kind != NodeKind::Service;
        Self {
            names: None,
            prefix: several.then(|| room(&[node])),
        }
    }

    fn of_many(nodes: &[&NodeView]) -> Self {
        let mut names = BTreeSet::new();
        for node in nodes {
            each(node, &mut |below| {
                names.insert(below.name.clone());
            });
        }
        Self {
            names: Some(names),
            prefix: Some(room(nodes)),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.contains(name))
    }
}

/// Room for the longest `name#run`.
fn room(nodes: &[&NodeView]) -> usize {
    let mut room = 0;
    for node in nodes {
        each(node, &mut |below| {
            if below.children.is_empty() {
                let run = below.run.unwrap_or(1).to_string();
                room = room.max(visible(&below.name).chars().count() + 1 + run.len());
            }
        });
    }
    room
}

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
    let Some(until) = &args.until else {
        show_events(client, screen, (&parameters, &|_| Told::Shown))?;
        return Ok(DONE);
    };
    let seen = Cell::new(false);
    let told = |event: &EventLine| {
        seen.set(is_awaited(until, event));
        if seen.get() { Told::Last } else { Told::Shown }
    };
    show_events(client, screen, (&parameters, &told))?;
    Ok(if seen.get() { DONE } else { IN_VAIN })
}

/// What is done with an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// It is not shown.
    Skipped,
    /// It is shown.
    Shown,
    /// It is shown, and nothing after it.
    Last,
}

/// Whether this is the event that `--until KIND[:NODE]` names.
fn is_awaited(until: &str, event: &EventLine) -> bool {
    match until.split_once(':') {
        Some((kind, node)) => event.kind == kind && event.node.as_deref() == Some(node),
        None => event.kind == until,
    }
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
    let is_below = |event: &EventLine| {
        let path = event.path.as_deref().unwrap_or_default();
        nodes.iter().any(|node| {
            path.strip_prefix(node.path.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    let told = |event: &EventLine| {
        if is_below(event) {
            Told::Shown
        } else {
            Told::Skipped
        }
    };
    let shown = show_events(client, screen, (&Query::default(), &told))?;
    if shown == 0 && !screen.json {
        screen.talk(&format!(
            "nothing has happened to {name} since supd keeps events"
        ))?;
    }
    Ok(DONE)
}

/// Shows the events that are wanted and returns how many there were.
fn show_events(
    client: &Client,
    screen: &mut Screen,
    (parameters, told): (&Query, &dyn Fn(&EventLine) -> Told),
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
                let told = told(&event);
                if told == Told::Skipped {
                    continue;
                }
                shown += 1;
                if screen.json {
                    screen.json_line(line)?;
                } else {
                    screen.line(&story::line(&event))?;
                }
                if told == Told::Last {
                    screen.flush()?;
                    break;
                }
            }
            StreamItem::Snapshot(_) | StreamItem::Heartbeat(_) => {}
        }
        flush_if_last(screen, &lines)?;
    }
    Ok(shown)
}
