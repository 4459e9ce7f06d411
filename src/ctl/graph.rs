// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supctl graph`: the tree as a picture, for Graphviz and Mermaid, or drawn already. The running
//! tree with its states, or a file's without a daemon. Pure but for asking: nodes in, a text out.

#![expect(
    clippy::format_push_string,
    reason = "text for programs, written once; a `write!` to it could only be ignored"
)]

mod svg;

use super::DONE;
use super::args::{GraphArgs, GraphFormat};
use super::client::{Client, Doing};
use super::failure::Failure;
use super::mark::Mark;
use super::screen::{Screen, visible};
use crate::config::{self, Disk, InForce, Options};
use crate::wire::{NodeKind, NodeView};
use std::collections::BTreeMap;
use std::env;
use std::path::Path;

/// A node of the picture.
#[derive(Debug)]
struct Item {
    /// Its name and what is worth knowing, a line each.
    lines: Vec<String>,
    /// Its place in the list of whom it stands under, and that one's start order.
    parent: Option<usize>,
    /// Which of its siblings it is, from 1.
    number: usize,
    inner: Inner,
    mark: Mark,
}

/// What a node is to those below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inner {
    /// A leaf, or a pool.
    Service,
    /// Its children start in their order.
    Ordered,
    /// Their order is not shown: they start all at once, or nobody knows.
    Parallel,
}

/// `supctl graph`.
pub(crate) fn graph(client: &Client, screen: &mut Screen, args: &GraphArgs) -> Result<u8, Failure> {
    let mut items = Vec::new();
    if let Some(file) = &args.config {
        of_file(file, screen, &mut items);
    } else {
        let status = client.status(Doing("show the tree"))?;
        of_tree(&status.root, (None, 1), &mut items);
    }
    if items.is_empty() {
        return Ok(super::INVALID_CONFIG);
    }
    let text = match args.format {
        GraphFormat::Dot => dot(&items),
        GraphFormat::Mermaid => mermaid(&items),
        GraphFormat::Svg => svg::svg(&items),
        GraphFormat::Html => svg::html(&items),
    };
    screen.line(text.trim_end_matches('\n'))?;
    Ok(DONE)
}

/// Recursion is bounded by the depth of a tree.
fn of_tree(node: &NodeView, (parent, number): (Option<usize>, usize), items: &mut Vec<Item>) {
    let mut lines = vec![visible(&node.name)];
    let supervises = matches!(node.kind, NodeKind::Supervisor);
    if let (Some(strategy), true) = (&node.strategy, supervises) {
        lines.push(visible(strategy));
    }
    lines.push(match node.kind {
        NodeKind::Pool => {
            let ready = node.children.iter().filter(|child| child.ready).count();
            format!("{ready}/{} {}", node.children.len(), visible(&node.state))
        }
        NodeKind::Service | NodeKind::Supervisor | NodeKind::Unknown => visible(&node.state),
    });
    let place = items.len();
    items.push(Item {
        lines,
        parent,
        number,
        // A running tree does not tell how its children start; here their order decides more.
        inner: match (supervises, node.strategy.as_deref()) {
            (false, _) => Inner::Service,
            (true, Some("rest_for_one")) => Inner::Ordered,
            (true, _) => Inner::Parallel,
        },
        mark: Mark::of(&node.state),
    });
    if supervises {
        for (n, child) in node.children.iter().enumerate() {
            of_tree(child, (Some(place), n + 1), items);
        }
    }
}

fn of_file(file: &Path, screen: &mut Screen, items: &mut Vec<Item>) {
    let from_env = |name: &str| env::var(name).ok();
    let outcome = config::load(file, &Disk, &Options::new(&from_env));
    let Some(loaded) = &outcome.tree else {
        let text = outcome.render(config::Style::PLAIN);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.push(format!("{}: invalid", file.display()));
        screen.complain_lines(&lines, &format!("supctl check {}", file.display()));
        return;
    };
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut children: BTreeMap<usize, usize> = BTreeMap::new();
    for table in loaded
        .in_force()
        .iter()
        .filter(|table| table.table != "supd")
    {
        let parent = table
            .parent
            .as_ref()
            .and_then(|name| places.get(name))
            .copied();
        let number = parent.map_or(1, |parent| {
            let count = children.entry(parent).or_default();
            *count += 1;
            *count
        });
        places.insert(table.name.clone(), items.len());
        items.push(of_table(table, (parent, number)));
    }
}

fn of_table(table: &InForce, (parent, number): (Option<usize>, usize)) -> Item {
    let value = |key: &str| {
        let line = table.lines.iter().find(|line| line.key == key);
        line.map(|line| line.shown().trim_matches('"').to_owned())
    };
    let mut lines = vec![visible(&table.name)];
    let inner = match (table.table, value("start").as_deref()) {
        ("supervisor", Some("parallel")) => Inner::Parallel,
        ("supervisor", _) => Inner::Ordered,
        _ => Inner::Service,
    };
    lines.extend(value("strategy"));
    lines.extend(value("instances").map(|count| format!("{count} instances")));
    if value("type").as_deref() == Some("oneshot") {
        lines.push("oneshot".to_owned());
    }
    Item {
        lines,
        parent,
        number,
        inner,
        mark: Mark::Other,
    }
}

/// The colour of a mark's shape.
fn fill(mark: Mark) -> &'static str {
    match mark {
        Mark::Good => "#d5f0d5",
        Mark::Going => "#d5ecf5",
        Mark::Waiting => "#fbeec4",
        Mark::Bad => "#f8d0d0",
        Mark::Done | Mark::Off => "#e8e8e8",
        Mark::Other => "#ffffff",
    }
}

/// Graphviz: a supervisor is rounded, an edge has the place in the start order.
fn dot(items: &[Item]) -> String {
    let mut text = String::from(
        "digraph supd {\n  node [shape=box, style=filled, fontname=\"sans-serif\"];\n",
    );
    for (n, item) in items.iter().enumerate() {
        let label: Vec<String> = item.lines.iter().map(|line| escaped(line)).collect();
        let style = match item.inner {
            Inner::Service => "filled",
            Inner::Ordered | Inner::Parallel => "\"rounded,filled\"",
        };
        text.push_str(&format!(
            "  n{n} [label=\"{}\", style={style}, fillcolor=\"{}\"];\n",
            label.join("\\n"),
            fill(item.mark)
        ));
    }
    for (n, item) in items.iter().enumerate() {
        if let Some(parent) = item.parent {
            let order = order(items, item).map(|number| format!(" [label=\"{number}\"]"));
            text.push_str(&format!(
                "  n{parent} -> n{n}{};\n",
                order.unwrap_or_default()
            ));
        }
    }
    text.push_str("}\n");
    text
}

/// Which of its siblings a node is, where their order means something.
fn order(items: &[Item], item: &Item) -> Option<usize> {
    let parent = items.get(item.parent?)?;
    (parent.inner == Inner::Ordered).then_some(item.number)
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Mermaid: a supervisor is a stadium.
fn mermaid(items: &[Item]) -> String {
    let mut text = String::from("flowchart TD\n");
    for (n, item) in items.iter().enumerate() {
        let label: Vec<String> = item.lines.iter().map(|line| entity(line)).collect();
        let label = label.join("<br/>");
        let (open, close) = match item.inner {
            Inner::Service => ("[", "]"),
            Inner::Ordered | Inner::Parallel => ("([", "])"),
        };
        text.push_str(&format!("  n{n}{open}\"{label}\"{close}\n"));
        if item.mark != Mark::Other {
            text.push_str(&format!("  style n{n} fill:{}\n", fill(item.mark)));
        }
    }
    for (n, item) in items.iter().enumerate() {
        if let Some(parent) = item.parent {
            let order = order(items, item).map(|number| format!("|{number}|"));
            text.push_str(&format!(
                "  n{parent} -->{} n{n}\n",
                order.unwrap_or_default()
            ));
        }
    }
    text
}

/// Text that Mermaid shows as it is.
fn entity(text: &str) -> String {
    text.replace('#', "#35;")
        .replace('"', "#quot;")
        .replace('<', "#lt;")
}
