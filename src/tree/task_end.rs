// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a task ends: with its last start, or because of a start that failed; and what whoever
//! ordered it hears.
//!
//! A failed start ends the task of a supervisor that does one thing at a time. Whom it had started
//! stays up, those after it wait, and what follows depends on what the task was for. It never
//! decides whether a child is restarted: that is the supervisor's judgement.

use super::Tree;
use super::answer::CommandEnd;
use super::event::NodeId;
use super::node::{Ending, LastExit, Rest};
use super::record::Decision;
use super::supervisor::Message;
use super::task::{Task, TaskKind};
use crate::spec::{Class, Policy, Restart, ServiceKind};

impl Tree {
    /// A start failed in the middle of a task.
    pub(super) fn task_failed(&mut self, sup: NodeId, child: NodeId) {
        let one_chance = self.nodes[child].spec.restart() == Restart::Temporary;
        if one_chance && self.policy_of(sup) == Policy::Supd && self.nodes[child].rest().is_some() {
            self.nodes[child].set_rest(Rest::Done);
            self.forget_if_temporary(sup, child);
            if let Some(task) = self.task_mut(sup) {
                task.heard(child);
            }
            return self.task_go_on(sup);
        }
        if let Some(task) = self.task_mut(sup) {
            task.heard(child);
            task.failed.push(child);
        }
        if !self.is_exclusive(sup) {
            // No child waits for another here: it goes its own way, and the task goes on.
            self.failed_child(sup, child);
        }
        self.task_go_on(sup);
    }

    /// The task ends because of failed starts. Those it had started stay up, those after it down.
    pub(super) fn task_gives_way(&mut self, sup: NodeId) {
        let Some(state) = self.nodes[sup].sup_mut() else {
            return;
        };
        let Some(task) = state.task.take() else {
            return;
        };
        let strict = self.policy_of(sup) == Policy::Otp;
        let first = task.failed[0];
        match task.kind {
            TaskKind::Boot if strict => {
                self.nothing_follows(first);
                let culprit = self.culprit_of(first);
                return self.terminate(
                    sup,
                    Ending::StartFailed {
                        child: first,
                        culprit,
                    },
                );
            }
            TaskKind::Add { child, id } => {
                self.nothing_follows(child);
                self.uproot(child);
                self.end_command(id, CommandEnd::StartFailed);
                return self.task_over(sup);
            }
            TaskKind::Start { child, id } if strict => {
                self.nothing_follows(child);
                if !self.nodes[child].is_unkillable() {
                    self.nodes[child].set_rest(Rest::Failed);
                }
                self.end_command(id, CommandEnd::StartFailed);
                return self.task_over(sup);
            }
            TaskKind::Start { id, .. } | TaskKind::Restart { id, .. } => {
                self.end_command(id, CommandEnd::StartFailed);
            }
            TaskKind::Boot
            | TaskKind::Recover { .. }
            | TaskKind::Stop { .. }
            | TaskKind::Apply
            | TaskKind::Aside
            | TaskKind::Terminate => {}
        }
        for child in task.start.iter().rev() {
            if self.nodes[*child].rest().is_some() && self.group_starts(*child) {
                self.nodes[*child].set_rest(Rest::Waiting { sibling: first });
            }
        }
        for child in task.failed {
            if let Some(rest) = self.nodes[child].rest()
                && !matches!(rest, Rest::Retrying { .. })
            {
                self.nodes[child].set_rest(Rest::Retrying { cause: self.cause });
            }
            self.post(sup, Message::Retry(child));
        }
    }

    /// A start has failed and is not tried again: its record says so.
    fn nothing_follows(&mut self, child: NodeId) {
        if self.nodes[child].is_unkillable() {
            // Its end is still to come; the last one is that of another run.
            return;
        }
        let of = self.nodes[child].last_exit.as_deref().map(|last| last.seq);
        self.conclude(child, of, Decision::StayDown, None);
    }

    fn has_started(&self, child: NodeId) -> bool {
        let Some(node) = self.nodes.get(child) else {
            return false;
        };
        let oneshot = self
            .service(child)
            .is_some_and(|service| service.kind == ServiceKind::Oneshot);
        let clean = |last: &LastExit| last.class.base == Class::Clean;
        let done = oneshot
            && node.rest() == Some(Rest::Done)
            && node.last_exit.as_deref().is_some_and(clean);
        node.is_up() || node.ended().is_some() || done
    }

    /// The sibling that is put aside and for which this child waits.
    fn keeps_down(&self, child: NodeId) -> Option<NodeId> {
        match self.nodes.get(child)?.rest()? {
            Rest::Waiting { sibling } => {
                let there = self.nodes.get(sibling)?;
                there.is_aside().then_some(sibling)
            }
            Rest::Fresh
            | Rest::Stopped
            | Rest::Off
            | Rest::Done
            | Rest::Failed
            | Rest::Aside(_)
            | Rest::Backoff { .. }
            | Rest::Remediating { .. }
            | Rest::Retrying { .. } => None,
        }
    }

    /// What is answered to whoever ordered a task that is done.
    fn end_of(&self, task: &Task) -> CommandEnd {
        if let TaskKind::Restart { child, .. } = task.kind
            && let Some(sibling) = self.keeps_down(child)
        {
            return CommandEnd::Waits(sibling);
        }
        let (TaskKind::Start { child, .. } | TaskKind::Add { child, .. }) = task.kind else {
            return if task.failed.is_empty() {
                CommandEnd::Done
            } else {
                CommandEnd::StartFailed
            };
        };
        let ended = self
            .nodes
            .get(child)
            .is_some_and(|node| node.rest() == Some(Rest::Done));
        if self.has_started(child) {
            CommandEnd::Done
        } else if ended || !task.failed.is_empty() {
            CommandEnd::StartFailed
        } else {
            CommandEnd::Superseded
        }
    }

    /// The last child of a task is started.
    pub(super) fn task_done(&mut self, sup: NodeId) {
        let Some(state) = self.nodes[sup].sup_mut() else {
            return;
        };
        let Some(task) = state.task.take() else {
            return;
        };
        let end = self.end_of(&task);
        match task.kind {
            TaskKind::Restart { id, .. }
            | TaskKind::Start { id, .. }
            | TaskKind::Stop { id, .. }
            | TaskKind::Add { id, .. } => self.end_command(id, end),
            TaskKind::Boot
            | TaskKind::Recover { .. }
            | TaskKind::Apply
            | TaskKind::Aside
            | TaskKind::Terminate => {}
        }
        self.task_over(sup);
    }

    /// Nothing is under way any more: perhaps the supervisor is up, perhaps somebody waits for it.
    fn task_over(&mut self, sup: NodeId) {
        self.settle_all(sup);
        self.wake(sup);
    }
}
