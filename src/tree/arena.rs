// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the nodes live.
//!
//! An id is a slot and the slot's generation, so that an id that somebody kept never names another
//! node, and adding and removing for ever does not grow the arena. Nodes stand in their slots, one
//! beside the other: in a wide tree an event finds its node with one look at memory that no cache
//! has, not with two.

use super::event::NodeId;
use super::node::Node;
use std::ops::{Index, IndexMut};

const SLOT_BITS: u32 = 16;
const SLOT_MASK: u32 = (1 << SLOT_BITS) - 1;

#[derive(Debug, Clone, Default)]
struct Slot {
    generation: u16,
    node: Option<Node>,
}

/// All nodes of a tree. At most 65 536 at a time (`limits::SERVICES_MAX` and their supervisors
/// are far below).
#[derive(Debug, Clone, Default)]
pub(super) struct Arena {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// How often somebody looked at a node: what an event costs, in a number that does not depend
    /// on the machine.
    #[cfg(any(test, feature = "test-hooks"))]
    pub(super) visits: std::cell::Cell<u64>,
}

impl Arena {
    /// Adds the node that `make` builds for its new id.
    pub(super) fn insert(&mut self, make: impl FnOnce(NodeId) -> Node) -> NodeId {
        let slot = self.free.pop().unwrap_or_else(|| {
            if self.slots.len() == self.slots.capacity() {
                // By a quarter: whoever supervises thousands does not pay for twice as many.
                self.slots.reserve_exact((self.slots.len() / 4).max(8));
            }
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).unwrap_or(SLOT_MASK)
        });
        let entry = &mut self.slots[slot as usize];
        let id = NodeId(slot | (u32::from(entry.generation) << SLOT_BITS));
        entry.node = Some(make(id));
        id
    }

    /// Forgets a node; its id never comes back in the next 65 535 uses of the slot.
    pub(super) fn remove(&mut self, id: NodeId) {
        if self.get(id).is_none() {
            return;
        }
        let slot = id.0 & SLOT_MASK;
        let entry = &mut self.slots[slot as usize];
        entry.node = None;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot);
    }

    #[cfg(any(test, feature = "test-hooks"))]
    fn count_visit(&self) {
        self.visits.set(self.visits.get() + 1);
    }

    pub(super) fn get(&self, id: NodeId) -> Option<&Node> {
        #[cfg(any(test, feature = "test-hooks"))]
        self.count_visit();
        let slot = self.slots.get((id.0 & SLOT_MASK) as usize)?;
        if u32::from(slot.generation) != id.0 >> SLOT_BITS {
            return None;
        }
        slot.node.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        #[cfg(any(test, feature = "test-hooks"))]
        self.count_visit();
        let slot = self.slots.get_mut((id.0 & SLOT_MASK) as usize)?;
        if u32::from(slot.generation) != id.0 >> SLOT_BITS {
            return None;
        }
        slot.node.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Node> {
        let nodes = self.slots.iter().filter_map(|slot| slot.node.as_ref());
        #[cfg(any(test, feature = "test-hooks"))]
        let nodes = nodes.inspect(|_| self.count_visit());
        nodes
    }
}

impl Index<NodeId> for Arena {
    type Output = Node;

    fn index(&self, id: NodeId) -> &Node {
        self.get(id)
            .expect("invariant: ids inside the engine name living nodes")
    }
}

impl IndexMut<NodeId> for Arena {
    fn index_mut(&mut self, id: NodeId) -> &mut Node {
        self.get_mut(id)
            .expect("invariant: ids inside the engine name living nodes")
    }
}
