// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whom an apply still waits for (SEMANTICS §12).
//!
//! An apply is answered when all of it has happened: what it removes is gone, what it starts or
//! restarts has been tried once. Whether that is so is read from the state of the tree after every
//! event, never from what happened on the way: a node that is pinned, stopped by hand, given up
//! with its supervisor or removed by the next command needs no special case.

use super::Tree;
use super::event::{Applied, CommandId, NodeId, Outcome};
use super::node::{Body, Ending, Life, Reign, Rest, Stopping};
use super::record::StopWhy;
use super::task::TaskKind;
use std::collections::BTreeMap;

/// An apply whose effects are not all there yet.
#[derive(Debug, Clone)]
pub(super) struct Applying {
    id: CommandId,
    /// Nodes that are to be gone, and services that are to be started, each with the starts it
    /// had had.
    pending: BTreeMap<NodeId, u32>,
    done: Applied,
}

impl Tree {
    /// A new apply; the one before is answered as far as it has come, and what is left of it is
    /// waited for by this one.
    pub(super) fn begin_apply(&mut self, id: CommandId) {
        let before = self.applying.take();
        let pending = before.map_or_else(BTreeMap::new, |before| {
            self.reply(before.id, Outcome::Applied(before.done));
            before.pending
        });
        self.applying = Some(Applying {
            id,
            pending,
            done: Applied::default(),
        });
    }

    pub(super) fn count_applied(&mut self, count: impl FnOnce(&mut Applied)) {
        if let Some(applying) = &mut self.applying {
            count(&mut applying.done);
        }
    }

    /// A node is to be gone, or every service in it to be started.
    pub(super) fn await_applied(&mut self, id: NodeId) {
        let node = &self.nodes[id];
        if node.sup().is_some() && !node.leaving {
            for child in self.children(id) {
                self.await_applied(child);
            }
        } else if let Some(applying) = &mut self.applying {
            applying.pending.insert(id, node.starts);
        }
    }

    /// Answers an apply when nobody is waited for any more. Only the first one is looked at, so
    /// that an event costs the same however many there are.
    pub(super) fn look_at_apply(&mut self) {
        loop {
            let Some(applying) = &self.applying else {
                return;
            };
            let Some((id, starts)) = applying.pending.first_key_value() else {
                return self.end_apply();
            };
            if self.is_awaited(*id, *starts) {
                return;
            }
            if let Some(applying) = &mut self.applying {
                applying.pending.pop_first();
            }
        }
    }

    /// Answers an apply as far as it has come.
    pub(super) fn end_apply(&mut self) {
        if let Some(Applying { id, done, .. }) = self.applying.take() {
            self.reply(id, Outcome::Applied(done));
        }
    }

    fn is_awaited(&self, id: NodeId, starts_before: u32) -> bool {
        let Some(node) = self.nodes.get(id) else {
            return false;
        };
        if node.leaving {
            // At rest it is still here only because of something that SIGKILL does not end.
            return node.rest().is_none() && !node.is_unkillable();
        }
        let Body::Service(life) = &node.body else {
            return false;
        };
        let up_to_here = self.lineage(id).skip(1).all(|sup| self.comes_up(sup));
        if node.is_unkillable() || !self.is_wanted(id) || !up_to_here {
            return false;
        }
        if node.starts == starts_before {
            return self.is_about_to_start(id);
        }
        let trying = match life {
            Life::Starting(_) => true,
            Life::Stopping(_, Stopping { why, .. }) => *why == StopWhy::StartTimeout,
            Life::Rest(_) | Life::Up(_) | Life::Ended(_) | Life::Unkillable(..) => false,
        };
        trying && node.starts == starts_before + 1
    }

    /// Whether something is under way that will start this node, which was not tried yet.
    fn is_about_to_start(&self, id: NodeId) -> bool {
        let node = &self.nodes[id];
        let in_turn = node
            .parent
            .and_then(|sup| self.task(sup))
            .is_some_and(|task| task.kind == TaskKind::Apply || task.start.contains(&id));
        let due = matches!(node.rest(), Some(Rest::Fresh | Rest::Off));
        node.again.is_some() || in_turn || due
    }

    /// Whether a supervisor runs, or is down only to be started.
    fn comes_up(&self, id: NodeId) -> bool {
        let node = &self.nodes[id];
        let Some(sup) = node.sup() else {
            return false;
        };
        match &sup.reign {
            Reign::Starting { .. }
            | Reign::Up
            | Reign::Stopping(Ending::Told(StopWhy::Group(_))) => true,
            Reign::Rest(_)
            | Reign::Stopping(Ending::Told(StopWhy::Apply | StopWhy::Command(_))) => {
                self.is_wanted(id) && self.is_about_to_start(id)
            }
            Reign::Stopping(
                Ending::Told(
                    StopWhy::Supervisor
                    | StopWhy::Shutdown
                    | StopWhy::StartTimeout
                    | StopWhy::Unhealthy(_),
                )
                | Ending::Escalated(_)
                | Ending::AutoShutdown(_)
                | Ending::StartFailed { .. },
            )
            | Reign::Ended(_) => false,
        }
    }
}
