// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nodes that leave the tree, and those that take their names.
//!
//! A node leaves when a new configuration or a smaller pool does not have it any more. It is
//! stopped in its turn and is gone as soon as nothing of it is left: neither it nor anything below
//! it has a process, not even one that SIGKILL does not end. Until then its name, and every name
//! below it, is taken: whatever is to start under one of them waits. So there are never two runs
//! of one name, wherever in the tree the new one stands.

use super::Tree;
use super::event::NodeId;
use super::node::Rest;
use super::record::{Decision, StartWhy, StopWhy, What};
use crate::spec::Name;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The names of all that leaves.
#[derive(Debug, Clone, Default)]
pub(super) struct Leavers(BTreeMap<Name, Taken>);

/// A name that is not free yet.
#[derive(Debug, Clone, Default)]
struct Taken {
    /// By these, which leave.
    by: Vec<NodeId>,
    /// Who waits for it.
    heirs: Vec<NodeId>,
}

impl Leavers {
    /// The node that has this name until it is gone, if that is not the one who asks.
    fn ahead_of(&mut self, heir: NodeId, name: &Name) -> Option<NodeId> {
        if self.0.is_empty() {
            return None;
        }
        let taken = self.0.get_mut(name)?;
        if taken.by.contains(&heir) {
            return None;
        }
        if !taken.heirs.contains(&heir) {
            taken.heirs.push(heir);
        }
        taken.by.first().copied()
    }

    /// Names that are taken, and who waits for one.
    #[cfg(any(test, feature = "test-hooks"))]
    pub(super) fn len(&self) -> usize {
        let entries = self.0.values();
        entries
            .map(|taken| taken.by.len() + taken.heirs.len())
            .sum()
    }

    /// This node is gone. Who may have its name now?
    fn gone(&mut self, id: NodeId, name: &Name) -> Vec<NodeId> {
        let Some(taken) = self.0.get_mut(name) else {
            return Vec::new();
        };
        taken.by.retain(|other| *other != id);
        taken.heirs.retain(|other| *other != id);
        if !taken.by.is_empty() {
            return Vec::new();
        }
        self.0.remove(name).map_or(Vec::new(), |taken| taken.heirs)
    }
}

impl Tree {
    /// From now on the node only waits to be gone.
    pub(super) fn leave(&mut self, id: NodeId) {
        if self.nodes[id].leaving {
            return;
        }
        self.leave_aside(id);
        self.nodes[id].leaving = true;
        self.nodes[id].again = None;
        self.take_names(id);
    }

    fn take_names(&mut self, id: NodeId) {
        let name = Arc::clone(self.nodes[id].name());
        let taken = self.leavers.0.entry(name).or_default();
        if !taken.by.contains(&id) {
            taken.by.push(id);
        }
        for child in self.children(id) {
            self.take_names(child);
        }
    }

    /// Stops a node, which leaves.
    pub(super) fn retire(&mut self, id: NodeId, why: StopWhy) {
        self.leave(id);
        self.stop(id, why);
    }

    /// Takes a node that leaves out of the tree, if nothing of it is left. True: it is gone.
    pub(super) fn depart(&mut self, id: NodeId) -> bool {
        let node = &self.nodes[id];
        let Some(parent) = node.parent.filter(|_| node.leaving) else {
            return false;
        };
        if let Some(ended) = node.ended().cloned() {
            self.decided(id, ended.cause, Decision::Absorbed, None);
            self.nodes[id].set_rest(Rest::Off);
        }
        if self.nodes[id].rest().is_none() || self.is_haunted(id) {
            return false;
        }
        self.uproot(id);
        self.task_go_on(parent);
        self.settle_all(parent);
        true
    }

    /// Whether a process that SIGKILL did not end is still there, in it or below it.
    pub(super) fn is_haunted(&self, id: NodeId) -> bool {
        let node = &self.nodes[id];
        node.is_unkillable()
            || node
                .sup()
                .is_some_and(|sup| sup.children.iter().any(|child| self.is_haunted(*child)))
    }

    /// The highest node that leaves, from here to the root.
    pub(super) fn leaver_above(&self, id: NodeId) -> Option<NodeId> {
        self.lineage(id).filter(|at| self.nodes[*at].leaving).last()
    }

    /// The node and everything above it.
    pub(super) fn lineage(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        std::iter::successors(Some(id), |at| self.nodes[*at].parent)
    }

    /// Takes a node and everything below it out of the tree: at once if it has no process, else
    /// as soon as that is so.
    pub(super) fn uproot(&mut self, id: NodeId) {
        if self.is_haunted(id) {
            return self.leave(id);
        }
        let below = self.nodes[id].sup_mut();
        let below = below.map(|sup| std::mem::take(&mut sup.children));
        for child in below.unwrap_or_default() {
            self.uproot(child);
        }
        self.cancel_course(id);
        self.record(id, What::Removed);
        self.answer_removed(id);
        self.end_reload(id);
        self.timers.clear_all(id);
        let name = Arc::clone(self.nodes[id].name());
        let parent = self.nodes[id].parent;
        let mut booting_from = None;
        if let Some(parent) = parent {
            let place = self.nodes[id].place;
            if let Some(state) = self.nodes[parent].sup_mut() {
                if state.children.get(place) == Some(&id) {
                    state.children.remove(place);
                } else {
                    state.children.retain(|child| *child != id);
                }
                booting_from = state.boot.filter(|at| *at == id).map(|_| place);
            }
            if let Some(task) = self.task_mut(parent) {
                task.forget(id);
            }
            self.renumber_from(parent, place);
        }
        self.nodes.remove(id);
        for heir in self.leavers.gone(id, &name) {
            self.inherit(heir);
        }
        if let (Some(parent), Some(place)) = (parent, booting_from) {
            self.boot_from(parent, place);
        }
    }

    /// Whether the node has to wait for its name; it is started when that is free.
    pub(super) fn waits_for_its_name(&mut self, id: NodeId, why: StartWhy) -> bool {
        if self.nodes[id].rest().is_none() {
            return false;
        }
        let Some(sibling) = self.leavers.ahead_of(id, self.nodes[id].name()) else {
            return false;
        };
        self.nodes[id].again = Some(why);
        self.nodes[id].set_rest(Rest::Waiting { sibling });
        true
    }

    /// The node of this name that still lives and leaves, or else this one: a stop is done when
    /// nothing of that name runs.
    pub(super) fn run_of_this_name(&self, id: NodeId) -> NodeId {
        let taken = self.leavers.0.get(self.nodes[id].name());
        let by = taken.map_or(&[][..], |taken| &taken.by);
        let lives = |old: &&NodeId| {
            let node = &self.nodes[**old];
            node.rest().is_none() && !node.is_unkillable()
        };
        by.iter().find(lives).copied().unwrap_or(id)
    }

    /// Its name is free: its start, if it is still wanted, has its turn.
    fn inherit(&mut self, heir: NodeId) {
        let Some(node) = self.nodes.get_mut(heir) else {
            return;
        };
        let waits = matches!(node.rest(), Some(Rest::Waiting { .. }));
        if let Some(why) = node.again.take_if(|_| waits) {
            self.start(heir, why);
        }
    }
}
