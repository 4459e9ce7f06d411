// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands that look once: status, tree, health, is-up, is-ready.

use super::args::{HealthArgs, NameList, StatusArgs};
use super::client::{Client, Doing, read_json, refused};
use super::clock::Deadline;
use super::failure::Failure;
use super::http::Request;
use super::names::{each, is_plain, resolve};
use super::picture::{self, Detail};
use super::screen::{Screen, visible};
use super::{DONE, NOT_READY};
use crate::wire::{Health, NodeKind, NodeView, Query, Route, Status, StreamItem, code, query};

const DOING: Doing<'_> = Doing("show the tree");

/// `supctl status`.
pub(crate) fn status(
    client: &Client,
    screen: &mut Screen,
    args: &StatusArgs,
) -> Result<u8, Failure> {
    if args.watch {
        return watch(client, screen, &args.names);
    }
    if let [name] = args.names.as_slice()
        && let Some(node) = one(client, name)?
    {
        show_nodes(screen, &[&node])?;
        let ready = !args.check || is_all_ready(&[&node]);
        return Ok(if ready { DONE } else { NOT_READY });
    }
    let text = client.get(&Route::Tree, DOING)?;
    let status: Status = read_json(&text)?;
    show(screen, (&status, Some(&text)), &args.names)?;
    if args.check && !is_all_ready(&selected(&status, &args.names)?) {
        return Ok(NOT_READY);
    }
    Ok(DONE)
}

/// `supctl tree`.
pub(crate) fn tree(client: &Client, screen: &mut Screen, args: &NameList) -> Result<u8, Failure> {
    let status = client.status(DOING)?;
    let roots = selected(&status, &args.names)?;
    if screen.json {
        screen.json_value(&roots)?;
        return Ok(DONE);
    }
    let text = picture::nodes(&roots, screen.style, Detail::Full);
    screen.line(text.trim_end_matches('\n'))?;
    Ok(DONE)
}

fn selected<'a>(status: &'a Status, names: &[String]) -> Result<Vec<&'a NodeView>, Failure> {
    if names.is_empty() {
        return Ok(vec![&status.root]);
    }
    resolve(&status.root, names, "show")
}

/// The picture, or the JSON: the server's own text where it is at hand and whole.
fn show(
    screen: &mut Screen,
    (status, text): (&Status, Option<&str>),
    names: &[String],
) -> Result<(), Failure> {
    match (names.is_empty(), screen.json, text) {
        (false, ..) => show_nodes(screen, &selected(status, names)?),
        (true, true, Some(text)) => screen.json_line(text.trim_end()),
        (true, true, None) => screen.json_value(status),
        (true, false, _) => {
            let text = picture::whole(status, screen.style, Detail::Short);
            screen.line(text.trim_end_matches('\n'))
        }
    }
}

fn show_nodes(screen: &mut Screen, roots: &[&NodeView]) -> Result<(), Failure> {
    if screen.json {
        return screen.json_value(&roots);
    }
    let text = picture::nodes(roots, screen.style, Detail::Short);
    screen.line(text.trim_end_matches('\n'))
}

/// The node that a name alone means, without the rest of the tree; nothing when it is a pattern,
/// or when nobody is called so: who is meant then is found out in the whole tree.
fn one(client: &Client, name: &str) -> Result<Option<NodeView>, Failure> {
    if !is_plain(name) {
        return Ok(None);
    }
    match client.get(&Route::Node(name.to_owned()), DOING) {
        Ok(text) => read_json(&text).map(Some),
        Err(Failure::Refused { detail, .. }) if detail.code == code::NO_SUCH_NODE => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Again after every change; a burst of changes is one picture.
fn watch(client: &Client, screen: &mut Screen, names: &[String]) -> Result<u8, Failure> {
    let deadline = client.deadline();
    let follow = Query::default().with(query::FOLLOW, 1);
    let mut lines = client.lines(&Route::Events, &follow, DOING)?;
    while let Some(line) = lines.next(deadline)? {
        let item = StreamItem::parse(line).map_err(damaged)?;
        if lines.has_next() {
            continue;
        }
        let status = match item {
            StreamItem::Snapshot(snapshot) => snapshot.status,
            StreamItem::Event(_) | StreamItem::Heartbeat(_) | StreamItem::Gap(_) => {
                client.status(DOING)?
            }
        };
        screen.new_page()?;
        show(screen, (&status, None), names)?;
        screen.flush()?;
    }
    Ok(DONE)
}

/// A line that is none of the protocol's.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it stands in map_err, which hands the error over"
)]
pub(crate) fn damaged(error: serde_json::Error) -> Failure {
    Failure::Answer {
        what: error.to_string(),
    }
}

fn is_all_ready(roots: &[&NodeView]) -> bool {
    let mut all = true;
    for root in roots {
        each(root, &mut |node| all &= is_ready(node));
    }
    all
}

/// What a script wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// Does it run?
    Up,
    /// Is it ready?
    Ready,
}

/// `supctl is-up`, `supctl is-ready`.
pub(crate) fn is(
    client: &Client,
    screen: &mut Screen,
    (name, question): (&String, Question),
) -> Result<u8, Failure> {
    let single = one(client, name)?;
    let status;
    let nodes = if let Some(node) = &single {
        vec![node]
    } else {
        status = client.status(Doing("ask for it"))?;
        resolve(&status.root, std::slice::from_ref(name), "find")?
    };
    let yes = nodes.iter().all(|node| match question {
        Question::Up => is_up(node),
        Question::Ready => is_ready(node),
    });
    if screen.json {
        screen.json_value(&nodes)?;
    } else {
        for node in nodes {
            screen.talk(&format!("{} is {}", node.name, node.state))?;
        }
    }
    Ok(if yes { DONE } else { NOT_READY })
}

/// It has a process that is not on its way out; a supervisor has something that runs.
fn is_up(node: &NodeView) -> bool {
    match node.kind {
        NodeKind::Supervisor | NodeKind::Pool => matches!(&*node.state, "up" | "degraded"),
        NodeKind::Service | NodeKind::Unknown => node.pid.is_some() && node.state != "stopping",
    }
}

/// It serves, or has done what it was for.
pub(crate) fn is_ready(node: &NodeView) -> bool {
    node.ready || node.state == "done"
}

/// `supctl health`.
pub(crate) fn health(
    client: &Client,
    screen: &mut Screen,
    args: &HealthArgs,
) -> Result<u8, Failure> {
    let doing = Doing("ask for the health");
    let level = match (args.ready, args.live) {
        (true, _) => Query::default().with(query::LEVEL, "ready"),
        (false, true) => Query::default().with(query::LEVEL, "live"),
        (false, false) => Query::default(),
    };
    let target = format!("{}{level}", Route::Health.path());
    let request = Request {
        method: "GET",
        target: &target,
        body: None,
    };
    let (status, lines) = client.raw(&request)?;
    let text = lines.text()?;
    if !matches!(status, 200 | 503) {
        return Err(refused(&text, doing));
    }
    // The daemon that is going down answers 503, too, but with an error.
    let Ok(health) = serde_json::from_str::<Health>(&text) else {
        return Err(refused(&text, doing));
    };
    if screen.json {
        screen.json_line(text.trim_end())?;
    } else {
        screen.line(&visible(&health.status))?;
        for reason in &health.reasons {
            screen.line(&format!("  {}", visible(reason)))?;
        }
    }
    Ok(if status == 200 { DONE } else { NOT_READY })
}

/// The tree again, for those who wait for a change in it.
pub(crate) fn fresh(client: &Client, deadline: Deadline) -> Result<Option<Status>, Failure> {
    if deadline.left().is_some_and(|left| left.is_zero()) {
        return Ok(None);
    }
    client.status(DOING).map(Some)
}
