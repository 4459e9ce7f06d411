// SPDX-License-Identifier: MIT OR Apache-2.0
//! When commands are answered: once each, when the thing has really happened, or when it is
//! certain that it will not (SEMANTICS §4).
//!
//! This module decides no more than that; what a command does is decided where it is performed.

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

/// How a command that was a task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommandEnd {
    Done,
    StartFailed,
    Superseded,
}

impl Tree {
    pub(super) fn reply(&mut self, id: CommandId, outcome: Outcome) {
        self.effects.push(Effect::Reply { id, outcome });
    }

    pub(super) fn end_command(&mut self, id: CommandId, end: CommandEnd) {
        self.reply(
            id,
            match end {
                CommandEnd::Done => Outcome::Done,
                CommandEnd::StartFailed => Outcome::StartFailed,
                CommandEnd::Superseded => Outcome::Superseded,
            },
        );
    }

    pub(super) fn wait(&mut self, node: NodeId, id: CommandId, wants: Wants) {
        self.waiters
            .entry(node)
            .or_default()
            .push(Waiter { id, wants });
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
                (Notice::StartFailed | Notice::Ended, Wants::Up) => Outcome::StartFailed,
                (Notice::Started, Wants::Down) => Outcome::Superseded,
                (Notice::Stopped | Notice::Released, Wants::Up) if !again => Outcome::Superseded,
                (Notice::Stopped | Notice::Released, Wants::Up)
                | (Notice::Attempted, Wants::Up | Wants::Down)
                | (Notice::StartFailed | Notice::Ended, Wants::Down) => {
                    self.waiters.entry(node).or_default().push(waiter);
                    continue;
                }
            };
            self.reply(waiter.id, outcome);
        }
    }

    /// A node leaves the tree: a stop of it is done, a start of it will not be.
    pub(super) fn answer_removed(&mut self, node: NodeId) {
        for waiter in self.waiters.remove(&node).unwrap_or_default() {
            let outcome = match waiter.wants {
                Wants::Up => Outcome::Superseded,
                Wants::Down => Outcome::Done,
            };
            self.reply(waiter.id, outcome);
        }
    }
}
