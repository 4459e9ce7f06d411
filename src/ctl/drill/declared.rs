// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the shape of the tree declares about a fault: strategies and restart types, read as a
//! person would read the file. It is not the engine's opinion; that is asked for apart.

use crate::wire::{NodeKind, NodeView};
use std::collections::BTreeSet;

/// A fault and whom it befalls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) node: String,
    pub(super) fault: Fault,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    Kill(String),
    Hang,
    Exit(u8),
}

impl Step {
    /// `kill web`.
    pub(super) fn words(&self) -> String {
        match &self.fault {
            Fault::Kill(signal) if signal == "KILL" => format!("kill {}", self.node),
            Fault::Kill(signal) => format!("kill {} by SIG{signal}", self.node),
            Fault::Hang => format!("hang {}", self.node),
            Fault::Exit(code) => format!("exit {code} of {}", self.node),
        }
    }
}

/// Services that are to be started again because of this.
pub(super) fn restarted(root: &NodeView, step: &Step) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let Some(parent) = parent_of(root, &step.node) else {
        return found;
    };
    let Some(place) = parent
        .children
        .iter()
        .position(|child| child.name == step.node)
    else {
        return found;
    };
    let again = match (&step.fault, parent.children[place].restart.as_deref()) {
        // Nobody notices but a probe or a watchdog, and those are not part of the shape.
        (Fault::Hang, _) | (_, Some("temporary")) | (Fault::Exit(0), Some("transient")) => false,
        (Fault::Kill(_) | Fault::Exit(_), _) => true,
    };
    if !again {
        return found;
    }
    let group = match (parent.kind, parent.strategy.as_deref()) {
        (NodeKind::Pool, _) => &parent.children[place..=place],
        (_, Some("one_for_all")) => &parent.children[..],
        (_, Some("rest_for_one")) => &parent.children[place..],
        (_, _) => &parent.children[place..=place],
    };
    for child in group {
        services(child, &mut found);
    }
    found
}

/// Recursion is bounded by the depth of a tree.
fn services(node: &NodeView, found: &mut BTreeSet<String>) {
    match node.kind {
        NodeKind::Service => {
            let left_out = node.stopped_by.is_some()
                || node.pinned
                || node.restart.as_deref() == Some("temporary")
                || node.state == "stopped";
            if !left_out {
                found.insert(node.name.clone());
            }
        }
        NodeKind::Supervisor | NodeKind::Pool | NodeKind::Unknown => {
            node.children
                .iter()
                .for_each(|child| services(child, found));
        }
    }
}

pub(super) fn parent_of<'a>(at: &'a NodeView, name: &str) -> Option<&'a NodeView> {
    if at.children.iter().any(|child| child.name == name) {
        return Some(at);
    }
    at.children.iter().find_map(|child| parent_of(child, name))
}

/// A step for each service that is ready, and for each supervisor the failure of its first child
/// with a code: another class, and the same rule.
pub(super) fn auto(root: &NodeView) -> Vec<Step> {
    let mut steps = Vec::new();
    collect(root, &mut steps);
    steps
}

fn collect(at: &NodeView, steps: &mut Vec<Step>) {
    let can = |node: &&NodeView| {
        let service = node.kind == NodeKind::Service && !node.oneshot;
        service && node.state == "ready" && !node.pinned
    };
    let own = at.children.iter().filter(can);
    let kill = |node: &NodeView| Step {
        node: node.name.clone(),
        fault: Fault::Kill("KILL".to_owned()),
    };
    if at.kind == NodeKind::Pool {
        // One instance stands for all: they are the same.
        steps.extend(own.take(1).map(kill));
        return;
    }
    steps.extend(own.clone().map(kill));
    steps.extend(own.take(1).map(|node| Step {
        node: node.name.clone(),
        fault: Fault::Exit(1),
    }));
    for child in &at.children {
        collect(child, steps);
    }
}
