// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tree as people see it: one line per node, columns aligned. Pure: a status in, a text out.
//!
//! A supervisor's columns are strategy, budget, state; a service's are state, process, age, memory,
//! and what is worth knowing about it. A pool whose instances are all ready is one line.

#![expect(
    clippy::format_push_string,
    reason = "text for people, written once; a `write!` to it could only be ignored"
)]

use super::age;
use super::mark::{Mark, paint};
use super::screen::{Style, visible};
pub(crate) use crate::tell::ends::{ended, how};
use crate::wire::{LastExit, NodeKind, NodeView, Status};

/// How much of the tree is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Instances only where they differ from `ready`.
    Short,
    /// Every node.
    Full,
}

/// Columns of a line behind the name.
const COLUMNS: usize = 5;

/// One line, before it is aligned.
struct Row<'a> {
    /// Tree and name.
    name: String,
    cells: [String; COLUMNS],
    node: &'a NodeView,
}

/// The headline and the tree below it.
pub fn whole(status: &Status, style: Style, detail: Detail) -> String {
    let mut text = headline(status, style);
    text.push('\n');
    text.push_str(&nodes(&[&status.root], style, detail));
    text
}

/// These nodes and what is below them, one tree each.
pub fn nodes(roots: &[&NodeView], style: Style, detail: Detail) -> String {
    let mut rows = Vec::new();
    for root in roots {
        add_rows(root, &mut Lines::new(style, detail), &mut rows);
    }
    align(&rows, style)
}

/// `supd 0.1.0  pid 1  up 3d  config a41f9c2 (supd.toml + 2, applied 2h ago)  7 ready · 1 held`.
pub fn headline(status: &Status, style: Style) -> String {
    let daemon = &status.daemon;
    let mut text = format!(
        "supd {}  pid {}  up {}",
        visible(&daemon.version),
        daemon.pid,
        age::short(daemon.up_ms)
    );
    if let Some(config) = &daemon.config {
        let mut about: Vec<String> = Vec::new();
        if let Some(first) = config.files.first() {
            let name = first.rsplit('/').next().unwrap_or(first);
            about.push(match config.files.len() - 1 {
                0 => visible(name),
                more => format!("{} + {more}", visible(name)),
            });
        }
        if let Some(ms) = config.applied_ms {
            about.push(format!("applied {} ago", age::short(ms)));
        }
        let hash: String = config.hash.chars().take(7).collect();
        text.push_str(&format!("  config {}", visible(&hash)));
        if !about.is_empty() {
            text.push_str(&format!(" ({})", about.join(", ")));
        }
    }
    let mut counts: Vec<(&str, u64)> = status.counts.iter().map(|(k, n)| (&**k, *n)).collect();
    counts.sort_by_key(|(state, _)| Mark::of(state).rank());
    let counts: Vec<String> = counts
        .iter()
        .map(|(state, n)| paint(&format!("{n} {}", visible(state)), Mark::of(state), style))
        .collect();
    if !counts.is_empty() {
        let dot = if style.unicode { " · " } else { ", " };
        text.push_str("      ");
        text.push_str(&counts.join(dot));
    }
    text
}

/// The lines left of a name, and how they go on below.
struct Lines {
    style: Style,
    detail: Detail,
    indent: String,
    /// What stands before the next name: nothing for the root.
    before: &'static str,
}

impl Lines {
    fn new(style: Style, detail: Detail) -> Self {
        Self {
            style,
            detail,
            indent: String::new(),
            before: "",
        }
    }

    /// The lines of a child: the last one of its parent, or one of those before it.
    fn child(&self, below: &str, is_last: bool) -> Self {
        let before = match (self.style.unicode, is_last) {
            (true, false) => "├─ ",
            (true, true) => "└─ ",
            (false, false) => "|- ",
            (false, true) => "`- ",
        };
        Self {
            style: self.style,
            detail: self.detail,
            indent: format!("{}{below}", self.indent),
            before,
        }
    }

    /// What goes on below a node with this before it.
    fn below(&self) -> &'static str {
        match self.before {
            "" => "",
            "├─ " => "│  ",
            "|- " => "|  ",
            _ => "   ",
        }
    }
}

fn add_rows<'a>(node: &'a NodeView, lines: &mut Lines, rows: &mut Vec<Row<'a>>) {
    rows.push(Row {
        name: format!("{}{}{}", lines.indent, lines.before, title(node)),
        cells: cells(node, lines.style),
        node,
    });
    let hide_ready = node.kind == NodeKind::Pool && lines.detail == Detail::Short;
    let shown: Vec<&NodeView> = node
        .children
        .iter()
        .filter(|child| !(hide_ready && child.state == "ready"))
        .collect();
    let below = lines.below();
    for (i, child) in shown.iter().enumerate() {
        let mut next = lines.child(below, i + 1 == shown.len());
        add_rows(child, &mut next, rows);
    }
}

fn title(node: &NodeView) -> String {
    let name = visible(&node.name);
    if node.kind != NodeKind::Pool {
        return name;
    }
    let ready = node.children.iter().filter(|c| c.ready).count();
    format!("{name} {ready}/{}", node.children.len())
}

fn cells(node: &NodeView, style: Style) -> [String; COLUMNS] {
    match node.kind {
        NodeKind::Supervisor => [
            node.strategy.as_deref().map(visible).unwrap_or_default(),
            budget(node),
            format!("{} {}", visible(&node.state), age::short(node.since_ms)),
            String::new(),
            supervisor_notes(node),
        ],
        NodeKind::Pool => [
            state(node, style),
            budget(node),
            age::short(node.since_ms),
            String::new(),
            pool_notes(node),
        ],
        NodeKind::Service | NodeKind::Unknown => [
            state(node, style),
            process(node),
            service_age(node),
            node.rss_kb.map(age::size).unwrap_or_default(),
            service_notes(node, style),
        ],
    }
}

fn state(node: &NodeView, style: Style) -> String {
    let mark = Mark::of(&node.state);
    let sign = if style.unicode {
        mark.sign()
    } else {
        mark.ascii()
    };
    format!("{sign} {}", visible(&node.state))
}

/// `3/5 in 1m`.
fn budget(node: &NodeView) -> String {
    match (node.used, node.max, node.seconds) {
        (Some(used), Some(max), Some(seconds)) => {
            format!("{used}/{max} in {}", age::window(seconds))
        }
        (Some(used), Some(max), None) => format!("{used}/{max}"),
        _ => String::new(),
    }
}

/// Its process, or how the last one ended.
fn process(node: &NodeView) -> String {
    match (node.pid, &node.last_exit) {
        (Some(pid), _) => format!("pid {pid}"),
        (None, Some(exit)) => ended(exit),
        (None, None) => String::new(),
    }
}

fn service_age(node: &NodeView) -> String {
    match (node.pid, &node.last_exit) {
        (Some(_), _) if node.state == "starting" => start_age(node),
        (Some(_), _) => age::short(node.up_ms.unwrap_or(node.since_ms)),
        (None, Some(exit)) => match exit.ago_ms {
            Some(ms) => format!("{} ago", age::short(ms)),
            None => String::new(),
        },
        (None, None) => age::short(node.since_ms),
    }
}

/// How long a start has taken, and may take: `12s of 1m`.
pub(crate) fn start_age(node: &NodeView) -> String {
    let limit = node.limit_ms.map(|ms| format!(" of {}", age::short(ms)));
    age::short(node.since_ms) + &limit.unwrap_or_default()
}

fn supervisor_notes(node: &NodeView) -> String {
    let mut notes = Vec::new();
    add_common(node, &mut notes);
    add_restarts(node, &mut notes);
    notes.join(", ")
}

fn pool_notes(node: &NodeView) -> String {
    let mut notes = Vec::new();
    let pids: Vec<i32> = node.children.iter().filter_map(|c| c.pid).collect();
    if let (Some(first), Some(last)) = (pids.iter().min(), pids.iter().max()) {
        notes.push(match pids.len() {
            1 => format!("pid {first}"),
            _ => format!("pids {first}-{last}"),
        });
    }
    let restarts: u64 = node
        .children
        .iter()
        .fold(0, |sum, c| sum.saturating_add(c.restarts));
    if restarts > 0 {
        let latest = node
            .children
            .iter()
            .filter_map(|c| Some((c, c.last_exit.as_ref()?)))
            .min_by_key(|(_, exit)| exit.ago_ms.unwrap_or(u64::MAX));
        let mut note = age::count(restarts, "restart");
        if let Some((child, exit)) = latest {
            note.push_str(&format!(
                " ({} {})",
                visible(&child.name),
                how_long_ago(exit)
            ));
        }
        notes.push(note);
    }
    add_common(node, &mut notes);
    notes.join(", ")
}

/// `exit 1 ×3, trial in 38s`: what opened its breaker, and when it is tried.
fn held_notes(node: &NodeView) -> Vec<String> {
    let mut notes = Vec::new();
    let budget = node.held_by.as_deref() == Some("budget");
    if let Some(exit) = node.last_exit.as_ref().filter(|_| node.failures.is_some()) {
        let count = node.failures.filter(|count| *count > 1);
        let times = count.map_or_else(String::new, |count| format!(" ×{count}"));
        notes.push(format!("{}{times}", ended(exit)));
    }
    let next = if budget { "next start" } else { "trial" };
    let delay = node.delay_ms;
    notes.extend(delay.map(|ms| format!("{next} in {}", age::short(ms))));
    notes
}

fn service_notes(node: &NodeView, style: Style) -> String {
    let mut notes = Vec::new();
    match &*node.state {
        "backoff" => notes.extend(
            node.delay_ms
                .map(|ms| format!("next start in {}", age::short(ms))),
        ),
        "held" => notes.extend(held_notes(node)),
        "waiting" | "stopping" | "starting" => {
            notes.extend(
                node.waiting_for
                    .as_ref()
                    .map(|name| format!("for {}", visible(name))),
            );
        }
        _ => {}
    }
    if node.on_trial {
        notes.push("on trial".to_owned());
    }
    notes.extend(node.awaits.as_deref().map(visible));
    notes.extend(node.sick.as_deref().map(visible));
    if node.oneshot && node.pid.is_none() {
        let took = node.last_exit.as_ref().and_then(|exit| exit.uptime_ms);
        notes.extend(took.map(|ms| format!("took {}", age::short(ms))));
    }
    add_common(node, &mut notes);
    add_restarts(node, &mut notes);
    if let Some(exit) = node
        .last_exit
        .as_ref()
        .filter(|_| node.pid.is_some() && node.restarts > 0)
    {
        notes.push(format!("last {}", how_long_ago(exit)));
    }
    notes.extend(node.process.as_deref().map(visible));
    if let Some(message) = &node.message {
        notes.push(format!("\"{}\"", visible(message)));
    }
    if Mark::of(&node.state) == Mark::Bad {
        let arrow = if style.unicode { "→" } else { "->" };
        return format!(
            "{}  {arrow} supctl why {}",
            notes.join(", "),
            visible(&node.name)
        );
    }
    notes.join(", ")
}

fn add_common(node: &NodeView, notes: &mut Vec<String>) {
    if let Some(by) = &node.stopped_by {
        let mut note = match by.uid {
            Some(uid) => format!("by uid {uid}"),
            None => "by hand".to_owned(),
        };
        if let Some(ms) = by.ago_ms {
            note.push_str(&format!(" {} ago", age::short(ms)));
        }
        notes.push(note);
    }
    if node.pinned {
        notes.push("pinned".to_owned());
    }
}

/// `3 restarts (2 because of ws)`.
fn add_restarts(node: &NodeView, notes: &mut Vec<String>) {
    if node.restarts == 0 {
        return;
    }
    let mut note = age::count(node.restarts, "restart");
    if node.restarts_by_group > 0 {
        let because = node.restarts_because.as_deref().map_or_else(
            || "of a sibling".to_owned(),
            |name| format!("of {}", visible(name)),
        );
        note.push_str(&format!(" ({} because {because})", node.restarts_by_group));
    }
    notes.push(note);
}

fn how_long_ago(exit: &LastExit) -> String {
    match exit.ago_ms {
        Some(ms) => format!("{} {} ago", ended(exit), age::short(ms)),
        None => ended(exit),
    }
}

fn align(rows: &[Row<'_>], style: Style) -> String {
    let width = |text: &str| text.chars().count();
    let names = rows.iter().map(|row| width(&row.name)).max().unwrap_or(0);
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (column, cell) in widths.iter_mut().zip(&row.cells) {
            *column = width(cell).max(*column);
        }
    }
    let mut text = String::new();
    for row in rows {
        let used = row.cells.iter().rposition(|cell| !cell.is_empty());
        let end = used.map_or(0, |at| at + 1);
        let stated = if row.node.kind == NodeKind::Supervisor {
            2
        } else {
            0
        };
        text.push_str(&row.name);
        let mut gap = names - width(&row.name);
        for (i, cell) in row.cells[..end].iter().enumerate() {
            text.push_str(&" ".repeat(gap + if widths[i] == 0 { 0 } else { 2 }));
            if i == stated {
                text.push_str(&paint(cell, Mark::of(&row.node.state), style));
            } else {
                text.push_str(cell);
            }
            gap = widths[i] - width(cell);
        }
        text.push('\n');
    }
    text
}
