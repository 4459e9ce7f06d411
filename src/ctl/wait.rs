// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supctl wait`: returns when every node is what one waits for. It listens and never polls a
//! daemon: the tree is asked again only when something happened to one of the nodes.

use super::args::WaitArgs;
use super::client::{Client, Doing, Lines};
use super::clock::Deadline;
use super::failure::Failure;
use super::follow::in_vain;
use super::look::{damaged, fresh, is_ready};
use super::names::resolve;
use super::picture;
use super::screen::Screen;
use super::{DONE, NO};
use crate::wire::{LastExit, NodeKind, NodeView, Query, Route, Status, StreamItem, query};
use std::time::Duration;

/// How often a daemon that is not there yet is looked for.
const AGAIN: Duration = Duration::from_millis(20);

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Ready,
    Stopped,
    Exit,
}

/// A node, and the run it had when the waiting began.
struct Target {
    path: String,
    run: Option<u64>,
}

/// `supctl wait`.
pub(crate) fn wait(client: &Client, screen: &mut Screen, args: &WaitArgs) -> Result<u8, Failure> {
    let goal = match (args.stopped, args.exit) {
        (true, _) => Goal::Stopped,
        (false, true) => Goal::Exit,
        (false, false) => Goal::Ready,
    };
    let deadline = client.deadline();
    let mut lines = listen(client, deadline)?;
    let mut targets: Vec<Target> = Vec::new();
    let mut stale = false;
    while let Some(line) = lines.next(deadline)? {
        let status = match StreamItem::parse(line).map_err(damaged)? {
            StreamItem::Snapshot(snapshot) => {
                targets = begin(&snapshot.status, args)?;
                Some(snapshot.status)
            }
            StreamItem::Event(event) => {
                let path = event.path.as_deref().unwrap_or_default();
                stale |= targets.iter().any(|t| concerns(path, &t.path));
                None
            }
            StreamItem::Gap(_) => {
                stale = true;
                None
            }
            StreamItem::Heartbeat(_) => None,
        };
        let status = match status {
            None if stale && !lines.has_next() => {
                stale = false;
                fresh(client, deadline)?
            }
            known => known,
        };
        let Some(status) = status else { continue };
        if let Some(code) = judge(screen, (goal, &targets), &status)? {
            return Ok(code);
        }
    }
    let doing = format!("wait for {}", args.names.join(", "));
    Err(in_vain(doing, deadline))
}

/// The stream of events. With a deadline a daemon that is not there yet is waited for: whoever
/// starts it in the background has nothing to listen to before its socket is there.
fn listen(client: &Client, deadline: Deadline) -> Result<Lines, Failure> {
    let follow = Query::default().with(query::FOLLOW, 1);
    loop {
        match client.lines(&Route::Events, &follow, Doing("wait")) {
            Err(Failure::NoDaemon { .. })
                if deadline.left().is_some_and(|left| !left.is_zero()) =>
            {
                pause();
            }
            answer => return answer,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the client blocks nobody, and the daemon it waits for cannot tell it anything yet"
)]
fn pause() {
    std::thread::sleep(AGAIN);
}

fn begin(status: &Status, args: &WaitArgs) -> Result<Vec<Target>, Failure> {
    let nodes = resolve(&status.root, &args.names, "wait for")?;
    Ok(nodes
        .iter()
        .map(|node| Target {
            path: node.path.clone(),
            run: node.run,
        })
        .collect())
}

/// Whether an event of the one can change the other: itself, above or below.
fn concerns(event: &str, target: &str) -> bool {
    let (short, long) = if event.len() < target.len() {
        (event, target)
    } else {
        (target, event)
    };
    long.strip_prefix(short)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The exit code when every node is there.
fn judge(
    screen: &mut Screen,
    (goal, targets): (Goal, &[Target]),
    status: &Status,
) -> Result<Option<u8>, Failure> {
    let found: Vec<(&Target, Option<&NodeView>)> = targets
        .iter()
        .map(|target| (target, at(&status.root, &target.path)))
        .collect();
    let reached = found.iter().all(|(target, node)| match (goal, node) {
        // What was taken out of the tree is down for good, and never ready.
        (Goal::Ready, None) => false,
        (Goal::Stopped | Goal::Exit, None) => true,
        (Goal::Ready, Some(node)) => is_ready(node),
        (Goal::Stopped, Some(node)) => is_down(node),
        (Goal::Exit, Some(node)) => is_down(node) || node.run != target.run,
    });
    if !reached {
        return Ok(None);
    }
    let nodes: Vec<&NodeView> = found.iter().filter_map(|(_, node)| *node).collect();
    if screen.json {
        screen.json_value(&nodes)?;
    } else {
        for node in &nodes {
            screen.talk(&said(goal, node))?;
        }
    }
    let failed = goal == Goal::Exit && nodes.iter().any(|node| !ended_well(node));
    Ok(Some(if failed { NO } else { DONE }))
}

fn said(goal: Goal, node: &NodeView) -> String {
    match (goal, &node.last_exit) {
        (Goal::Exit, Some(exit)) => format!("{}: {}", node.name, picture::ended(exit)),
        _ => format!("{} is {}", node.name, node.state),
    }
}

fn ended_well(node: &NodeView) -> bool {
    // A class of the configuration stands beside its base class, whatever its family.
    let base = |exit: &LastExit| exit.base.clone().unwrap_or_else(|| exit.class.clone());
    let clean = |exit: &LastExit| matches!(&*base(exit), "clean" | "requested" | "recycled");
    node.state == "done" || node.last_exit.as_ref().is_none_or(clean)
}

fn is_down(node: &NodeView) -> bool {
    match node.kind {
        NodeKind::Supervisor | NodeKind::Pool => node.state == "down",
        NodeKind::Service | NodeKind::Unknown => node.pid.is_none(),
    }
}

fn at<'a>(node: &'a NodeView, path: &str) -> Option<&'a NodeView> {
    if node.path == path {
        return Some(node);
    }
    node.children
        .iter()
        .filter(|child| concerns(&child.path, path))
        .find_map(|child| at(child, path))
}
