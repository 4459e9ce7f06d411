// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the nodes of the tree are called and where they stand, for records and answers.
//!
//! Filled from the engine's snapshot whenever a node came or went; never asked for a decision.
//! A node that is gone keeps its place until the next filling, so that its last records have one.

use crate::tree::NodeId;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Clone)]
struct Entry {
    name: Arc<str>,
    parent: Option<NodeId>,
}

/// Names and places of all nodes.
#[derive(Debug, Default, Clone)]
pub struct Names {
    nodes: BTreeMap<NodeId, Entry>,
}

impl Names {
    /// Knows a node from now on.
    pub fn add(&mut self, node: NodeId, name: Arc<str>, parent: Option<NodeId>) {
        self.nodes.insert(node, Entry { name, parent });
    }

    /// Whether it has been filled in.
    pub fn knows(&self, node: NodeId) -> bool {
        self.nodes.contains_key(&node)
    }

    /// Its name; `?` for one that never was.
    pub fn name(&self, node: NodeId) -> &str {
        self.nodes.get(&node).map_or("?", |e| &e.name)
    }

    /// The same, to be kept; `None` for one that never was.
    pub fn shared(&self, node: NodeId) -> Option<&Arc<str>> {
        self.nodes.get(&node).map(|e| &e.name)
    }

    /// Its place: `root/api/web`.
    pub fn path(&self, node: NodeId) -> String {
        let mut names = Vec::new();
        let mut at = Some(node);
        while let Some(entry) = at.and_then(|id| self.nodes.get(&id)) {
            names.push(&*entry.name);
            at = entry.parent;
        }
        names.reverse();
        names.join("/")
    }

    /// Whether `node` is `above` or below it.
    pub fn is_below(&self, node: NodeId, above: NodeId) -> bool {
        let mut at = Some(node);
        while let Some(id) = at {
            if id == above {
                return true;
            }
            at = self.nodes.get(&id).and_then(|e| e.parent);
        }
        false
    }

    /// All names, in the order of their numbers.
    pub fn all(&self) -> impl Iterator<Item = (NodeId, &str)> {
        self.nodes.iter().map(|(id, e)| (*id, &*e.name))
    }
}
