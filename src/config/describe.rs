// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was written and where: for each node the keys that somebody wrote for it, whichever layer
//! and file they came from.
//!
//! Made only when somebody asks. It reads the merged tables that the tree is built from, so that
//! it cannot tell of a key that had no effect. Literals that look like secrets are never shown.

use super::diagnostic::Sources;
use super::spelling::key;
use super::value::{At, Item, Table, Value};
use std::collections::HashMap;
use std::path::PathBuf;

/// What a secret looks like.
const STARS: &str = "\"***\"";

/// A table and what was written for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// `service`, `supervisor` or `supd`.
    pub table: &'static str,
    /// The node's name; empty for `[supd]`.
    pub name: String,
    /// In the order of the text, the outermost layer first.
    pub written: Vec<Written>,
}

/// A key as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Dotted: `stop.timeout`.
    pub key: String,
    /// The value as it stands in the file.
    pub value: String,
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The table it was written in: `service.web`, `template.app`, `defaults`.
    pub from: String,
}

/// Whose tables are to be described, as the tree is built from them.
#[derive(Debug, Default)]
pub(super) struct Merged(pub(super) Vec<(&'static str, String, Table)>);

/// Reads everything off the merged tables.
pub(super) fn describe(top: &Table, merged: &Merged, sources: &Sources) -> Vec<Described> {
    let lines = Places::new(sources);
    let layers = layers(top);
    let one = |(table, name, merged): &(&'static str, String, Table)| {
        let mut written = Vec::new();
        let walk = Walk {
            sources,
            lines: &lines,
            layers: &layers,
        };
        walk.table(merged, "", &mut written);
        Described {
            table,
            name: name.clone(),
            written,
        }
    };
    merged.0.iter().map(one).collect()
}

/// Which table each value of the text stands in.
fn layers(top: &Table) -> HashMap<At, String> {
    let mut found = HashMap::new();
    for entry in &top.entries {
        let Item::Table(section) = &entry.value.item else {
            continue;
        };
        if matches!(&*entry.key, "supd" | "defaults" | "vars") {
            mark(section, &entry.key, &mut found);
            continue;
        }
        for (node, table) in section.tables() {
            let own = format!("{}.{}", entry.key, key(&node.key));
            mark(table, &own, &mut found);
            if let Some(defaults) = table
                .table("defaults")
                .filter(|_| &*entry.key == "supervisor")
            {
                mark(defaults, &format!("{own}.defaults"), &mut found);
            }
        }
    }
    found
}

/// Bounded by the parser's limit of depth.
fn mark(table: &Table, layer: &str, found: &mut HashMap<At, String>) {
    for entry in &table.entries {
        match &entry.value.item {
            Item::Table(below) => mark(below, layer, found),
            _ => {
                found.insert(entry.value.at, layer.to_owned());
            }
        }
    }
}

/// Where the lines of each file begin.
struct Places(Vec<Vec<usize>>);

impl Places {
    fn new(sources: &Sources) -> Self {
        let begins = |text: &str| {
            let ends = text.match_indices('\n').map(|(at, _)| at + 1);
            std::iter::once(0).chain(ends).collect()
        };
        let numbers = 0..u32::try_from(sources.paths().count()).unwrap_or(0);
        Self(numbers.map(|n| begins(sources.text(n))).collect())
    }

    fn line(&self, at: At) -> usize {
        let begins = self.0.get(at.file as usize).map_or(&[][..], Vec::as_slice);
        begins.partition_point(|begin| *begin <= at.start as usize)
    }
}

struct Walk<'a> {
    sources: &'a Sources,
    lines: &'a Places,
    layers: &'a HashMap<At, String>,
}

impl Walk<'_> {
    /// Bounded by the parser's limit of depth.
    fn table(&self, table: &Table, prefix: &str, into: &mut Vec<Written>) {
        for entry in &table.entries {
            let path = format!("{prefix}{}", key(&entry.key));
            match &entry.value.item {
                Item::Table(below) => self.table(below, &format!("{path}."), into),
                _ => into.push(self.written(path, &entry.value)),
            }
        }
    }

    fn written(&self, key: String, value: &Value) -> Written {
        let at = value.at;
        let text = self.sources.text(at.file);
        let text = text.get(at.start as usize..at.end as usize);
        let file = self.sources.paths().nth(at.file as usize);
        Written {
            key,
            value: if self.sources.is_hidden(at) {
                STARS.to_owned()
            } else {
                text.unwrap_or_default().to_owned()
            },
            file: file.unwrap_or(std::path::Path::new("")).to_path_buf(),
            line: self.lines.line(at),
            from: self.layers.get(&at).cloned().unwrap_or_default(),
        }
    }
}
