// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supctl cat` and `supctl show`: a node's configuration as it was written, and as it holds, each
//! key with where it comes from. What is printed is TOML; the places are its comments.

use super::DONE;
use super::args::NameList;
use super::client::{Client, Doing, read_json};
use super::failure::Failure;
use super::screen::{Screen, visible};
use crate::wire::{ConfigNode, ConfigText, InForceKey, Query, Route, WrittenKey, query};

/// Places of longer lines are not aligned with the others.
const ALIGNED: usize = 56;

/// What is shown of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// What somebody has written.
    Written,
    /// What holds, defaults included.
    InForce,
}

/// `supctl cat`, `supctl show`.
pub(crate) fn keys(
    client: &Client,
    screen: &mut Screen,
    (args, side): (&NameList, Side),
) -> Result<u8, Failure> {
    let mut nodes = Vec::new();
    let mut files = Vec::new();
    let all = [String::new()];
    let names = if args.names.is_empty() {
        &all[..]
    } else {
        &args.names
    };
    for name in names {
        let text = ask(client, name)?;
        files = text.files;
        nodes.extend(text.nodes);
    }
    if screen.json {
        screen.json_value(&nodes)?;
        return Ok(DONE);
    }
    let directory = files.first().and_then(|file| file.rfind('/'));
    let shared = directory.map_or("", |at| &files[0][..=at]);
    // A table that nobody wrote says nothing.
    let silent = |node: &&ConfigNode| {
        args.names.is_empty() && side == Side::Written && node.written.is_empty()
    };
    let shown: Vec<&ConfigNode> = nodes.iter().filter(|node| !silent(node)).collect();
    for (n, node) in shown.into_iter().enumerate() {
        if n > 0 {
            screen.line("")?;
        }
        let text = match side {
            Side::Written => table(node, &written(node, shared)),
            Side::InForce => table(node, &in_force(node, shared)),
        };
        screen.line(text.trim_end_matches('\n'))?;
    }
    Ok(DONE)
}

fn ask(client: &Client, name: &str) -> Result<ConfigText, Failure> {
    let parameters = if name.is_empty() {
        Query::default()
    } else {
        Query::default().with(query::NODE, name)
    };
    let doing = format!("show the configuration of `{name}`");
    let doing = if name.is_empty() {
        Doing("show the configuration")
    } else {
        Doing(&doing)
    };
    read_json(&client.get_with(&Route::Config, &parameters, doing)?)
}

/// A line of TOML and the comment behind it.
type Line = (String, String);

fn table(node: &ConfigNode, lines: &[Line]) -> String {
    let name = node.node.as_ref().map(|name| format!(".{name}"));
    let under = node
        .parent
        .as_ref()
        .map(|parent| format!("  # under {parent}"));
    let header = format!(
        "[{}{}]{}",
        node.table,
        name.unwrap_or_default(),
        under.unwrap_or_default()
    );
    let mut text = format!("{}\n", visible(&header));
    let single = lines.iter().filter(|(line, _)| !line.contains('\n'));
    let lengths = single.map(|(line, _)| line.chars().count());
    let width = lengths.filter(|n| *n <= ALIGNED).max().unwrap_or(0);
    for (line, comment) in lines {
        // A text over several lines is TOML's; nothing else in it may reach a terminal.
        let line: Vec<String> = line.split('\n').map(visible).collect();
        let line = line.join("\n");
        text.push_str(format!("{line:<width$}  # {}", visible(comment)).trim_end());
        text.push('\n');
    }
    if lines.is_empty() {
        text.push_str("# nothing is written for it\n");
    }
    text
}

fn written(node: &ConfigNode, shared: &str) -> Vec<Line> {
    let own = own_table(node);
    let line = |key: &WrittenKey| {
        let place = place((&key.file, key.line, &key.from), shared, &own);
        (format!("{} = {}", key.key, key.value), place)
    };
    node.written.iter().map(line).collect()
}

fn in_force(node: &ConfigNode, shared: &str) -> Vec<Line> {
    let own = own_table(node);
    let line = |key: &InForceKey| {
        let comment = match (&key.file, key.line, &key.from) {
            (Some(file), Some(line), from) => {
                let from = from.as_deref().unwrap_or_default();
                place((file, line, from), shared, &own)
            }
            _ => "default".to_owned(),
        };
        (format!("{} = {}", key.key, key.value), comment)
    };
    node.in_force.iter().map(line).collect()
}

fn own_table(node: &ConfigNode) -> String {
    match &node.node {
        Some(name) => format!("{}.{name}", node.table),
        None => node.table.clone(),
    }
}

/// `supd.toml:12`, and the table where it is another one's.
fn place((file, line, from): (&str, u64, &str), shared: &str, own: &str) -> String {
    let file = file.strip_prefix(shared).unwrap_or(file);
    if from.is_empty() || from == own {
        return format!("{file}:{line}");
    }
    format!("{file}:{line} [{from}]")
}
