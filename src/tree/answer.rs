// SPDX-License-Identifier: MIT OR Apache-2.0
//! When commands are answered: once each, when the thing has really happened, or when it is
//! certain that it will not (SEMANTICS §4).
//!
//! This module decides no more than that; what a command does is decided where it is performed.
//! One that is about several nodes is answered when each of them has come to its end: done if all
//! are, else with the first thing that stood against it.

use super::Tree;
use super::effect::Effect;
use super::event::{CommandId, NodeId, Outcome};
use super::supervisor::Notice;

/// Somebody who waits for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiter {
    id: CommandId,
    wants: Wants,
}

/// What a waiter waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    Up,
    Down,
}

/// A command that waits for several nodes.
#[derive(Debug, Clone)]
pub(super) struct Gathering {
    /// Nodes that are not heard of yet.
    pub(super) left: usize,
    outcome: Outcome,
}

/// How a command that was a task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommandEnd {
    Done,
    StartFailed,
    Superseded,
    /// It waits for this sibling, which is put aside.
    Waits(NodeId),
}

impl Tree {
    pub(super) fn reply(&mut self, id: CommandId, outcome: Outcome) {
        if id != CommandId::NOBODY {
            self.effects.push(Effect::Reply { id, outcome });
        }
    }

    pub(super) fn end_command(&mut self, id: CommandId, end: CommandEnd) {
        self.reply(
            id,
            match end {
                CommandEnd::Done => Outcome::Done,
                CommandEnd::StartFailed => Outcome::StartFailed,
                CommandEnd::Superseded => Outcome::Superseded,
                CommandEnd::Waits(sibling) => Outcome::Waits(sibling),
            },
        );
    }

    pub(super) fn wait(&mut self, node: NodeId, id: CommandId, wants: Wants) {
        self.waiters
            .entry(node)
            .or_default()
            .push(Waiter { id, wants });
    }

    /// Waits for all of these; for nobody: it is done.
    pub(super) fn wait_for_all(&mut self, id: CommandId, nodes: &[(NodeId, Wants)]) {
        if nodes.is_empty() {
            return self.reply(id, Outcome::Done);
        }
        let (left, outcome) = (nodes.len(), Outcome::Done);
        self.gatherings.insert(id, Gathering { left, outcome });
        for (node, wants) in nodes {
            self.wait(*node, id, *wants);
        }
    }

    /// One of the nodes that a command waits for, perhaps the only one, has come to its end.
    fn heard_for(&mut self, id: CommandId, outcome: Outcome) {
        let Some(gathering) = self.gatherings.get_mut(&id) else {
            return self.reply(id, outcome);
        };
        gathering.left = gathering.left.saturating_sub(1);
        if gathering.outcome == Outcome::Done {
            gathering.outcome = outcome;
        }
        if gathering.left == 0
            && let Some(whole) = self.gatherings.remove(&id)
        {
            self.reply(id, whole.outcome);
        }
    }

    /// A node has changed: who waited for that is answered.
    pub(super) fn answer_waiters(&mut self, node: NodeId, notice: Notice) {
        let Some(waiting) = self.waiters.remove(&node) else {
            return;
        };
        let again = self.nodes[node].again.is_some();
        for waiter in waiting {
            let outcome = match (notice, waiter.wants) {
                (Notice::Started, Wants::Up)
                | (Notice::Stopped | Notice::Released, Wants::Down) => Outcome::Done,
                (Notice::StartFailed | Notice::Ended | Notice::Held, Wants::Up) => {
                    Outcome::StartFailed
                }
                (Notice::Started, Wants::Down) => Outcome::Superseded,
                (Notice::Stopped | Notice::Released, Wants::Up) if !again => Outcome::Superseded,
                (Notice::Stopped | Notice::Released, Wants::Up)
                | (Notice::Attempted, Wants::Up | Wants::Down)
                | (Notice::StartFailed | Notice::Ended | Notice::Held, Wants::Down) => {
                    self.waiters.entry(node).or_default().push(waiter);
                    continue;
                }
            };
            self.heard_for(waiter.id, outcome);
        }
    }

    /// A node leaves the tree: a stop of it is done, a start of it will not be.
    pub(super) fn answer_removed(&mut self, node: NodeId) {
        for waiter in self.waiters.remove(&node).unwrap_or_default() {
            let outcome = match waiter.wants {
                Wants::Up => Outcome::Superseded,
                Wants::Down => Outcome::Done,
            };
            self.heard_for(waiter.id, outcome);
        }
    }
}
