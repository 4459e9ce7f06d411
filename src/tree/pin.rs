// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pins: a node is left as it is, until it is unpinned (SEMANTICS §4).
//!
//! No strategy, no retry and no reload touches who is pinned, and nobody waits for it. The pin of a
//! pool is one of each of its instances, of those that a reload adds meanwhile, too; that of any
//! other supervisor is about itself alone, and those below it are supervised as ever. What happens
//! to a pinned node is decided where it happens; this module puts the pin on and takes it off.

use super::Tree;
use super::event::NodeId;
use super::node::{Body, Ending, Life, Reign, Rest};
use super::record::{StartWhy, StopWhy};
use super::supervisor::{Message, Notice};
use super::task::{Stage, Task, TaskKind};
use super::timers::Purpose;
use crate::spec::{Policy, Restart};

impl Tree {
    /// Who is pinned and unpinned with a node: itself, and of a pool the instances.
    pub(super) fn of_one_pin(&self, node: NodeId) -> Vec<NodeId> {
        let mut all = vec![node];
        if self.is_pool(node) {
            all.extend(self.children(node));
        }
        all
    }

    pub(super) fn pin(&mut self, node: NodeId) {
        self.leave_aside(node);
        self.forget_trial(node);
        self.nodes[node].pinned = true;
        self.nodes[node].again = None;
        self.spare_from_task(node);
        self.timers.clear(node, Purpose::Backoff);
        self.call_off_course(node);
        let pending = matches!(
            self.nodes[node].rest(),
            Some(Rest::Backoff { .. } | Rest::Retrying { .. } | Rest::Waiting { .. })
        );
        let waits = matches!(self.nodes[node].rest(), Some(Rest::Waiting { .. }));
        if pending {
            self.nodes[node].set_rest(Rest::Off);
        }
        if self.nodes[node].rest().is_some() {
            // Nobody starts it now.
            self.answer_waiters(node, Notice::Stopped);
        }
        if let Some(sup) = self.nodes[node].parent {
            if waits {
                self.start_was_put_off(sup, node);
            }
            self.settle_all(sup);
        }
    }

    /// A group waits for the start of a child that waits itself, for the end of its hook or for its
    /// name: there is no start now.
    fn start_was_put_off(&mut self, sup: NodeId, child: NodeId) {
        let starts = |task: &&mut Task| task.stage == Stage::Starting && task.awaits(child);
        if let Some(task) = self.task_mut(sup).filter(starts) {
            task.heard(child);
            self.task_go_on(sup);
        }
    }

    /// What a group has begun goes on without a child that is pinned now (default policy).
    fn spare_from_task(&mut self, child: NodeId) {
        let Some(sup) = self.nodes[child].parent else {
            return;
        };
        if self.policy_of(sup) == Policy::Otp {
            return;
        }
        if let Some(task) = self.task_mut(sup)
            && task.kind != TaskKind::Terminate
        {
            task.stop.retain(|id| *id != child);
            task.start.retain(|id| *id != child);
        }
    }

    pub(super) fn unpin(&mut self, node: NodeId) {
        if !self.nodes[node].pinned {
            return;
        }
        self.nodes[node].pinned = false;
        self.rejoin_group(node);
        let entry = &mut self.nodes[node];
        if entry.spec.restart() == Restart::Temporary
            && entry.starts > 0
            && entry.rest() == Some(Rest::Off)
        {
            // It had its chance, and went down with a group.
            entry.set_rest(Rest::Done);
        }
        let ended = self.nodes[node].rest() == Some(Rest::Done)
            && self.nodes[node].spec.restart() == Restart::Permanent;
        let owed = ended || matches!(self.nodes[node].rest(), Some(Rest::Off | Rest::Fresh));
        let parent = self.nodes[node]
            .parent
            .filter(|sup| !self.is_going_down(*sup));
        if let Some(sup) = parent.filter(|_| owed && self.is_wanted(node)) {
            self.nodes[node].set_rest(Rest::Waiting { sibling: node });
            if self.is_exclusive(sup) {
                self.post(sup, Message::Resume);
            } else {
                self.start(node, StartWhy::Command);
            }
        }
    }

    /// A child that was pinned while it was stopped to be started again, and is not any more, is
    /// started again: with its group, if it has one.
    fn rejoin_group(&mut self, child: NodeId) {
        let why = match &self.nodes[child].body {
            Body::Service(Life::Stopping(_, stopping)) => Some(stopping.why),
            Body::Service(_) => None,
            Body::Supervisor(sup) => match &sup.reign {
                Reign::Stopping(Ending::Told(why)) => Some(*why),
                Reign::Stopping(_)
                | Reign::Rest(_)
                | Reign::Starting { .. }
                | Reign::Up
                | Reign::Ended(_) => None,
            },
        };
        let again = match why {
            Some(StopWhy::Group(_) | StopWhy::Apply | StopWhy::Command(_)) => true,
            Some(
                StopWhy::Supervisor
                | StopWhy::Shutdown
                | StopWhy::StartTimeout
                | StopWhy::Unhealthy(_),
            )
            | None => false,
        };
        let literal = self.policy_above(child) == Policy::Otp;
        let Some(sup) = self.nodes[child].parent.filter(|_| again && !literal) else {
            return;
        };
        if self.is_wanted(child) && self.is_exclusive(sup) {
            self.join_starts(sup, child);
        } else if self.is_wanted(child) {
            self.nodes[child].again = Some(StartWhy::Command);
        }
    }
}
