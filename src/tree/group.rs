// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whom a strategy names, and the restart of a group: stop in reverse, wait as long as the failed
//! child's back-off says, start in order.

use super::Tree;
use super::event::{NodeId, Time};
use super::node::Rest;
use super::record::{StartWhy, StopWhy, What};
use super::task::{Stage, Task, TaskKind};
use super::timers::Purpose;
use crate::spec::{Policy, Restart, Strategy};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

impl Tree {
    /// Whom the strategy names when this child fails, in start order.
    pub(super) fn scope_of(&self, sup: NodeId, child: NodeId) -> Vec<NodeId> {
        let Some(state) = self.nodes[sup].sup() else {
            return Vec::new();
        };
        let place = self.nodes[child].place.min(state.children.len());
        match self.sup_spec(sup).map(|spec| spec.strategy) {
            Some(Strategy::OneForAll) => state.children.clone(),
            Some(Strategy::RestForOne) => state.children[place..].to_vec(),
            Some(Strategy::OneForOne) | None => vec![child],
        }
    }

    /// Whether the restart of its group starts this child: under `otp` always, else unless it is
    /// meant to be down.
    pub(super) fn group_starts(&self, id: NodeId) -> bool {
        self.policy_above(id) == Policy::Otp || self.is_wanted(id)
    }

    /// Whether the restart of its group stops this child. What is down already is not touched.
    pub(super) fn group_stops(&self, id: NodeId) -> bool {
        self.policy_above(id) == Policy::Otp || !self.nodes[id].pinned
    }

    /// Whether nothing says that it is to be down: neither the operator nor the configuration, nor
    /// that it had its one chance.
    pub(super) fn is_wanted(&self, id: NodeId) -> bool {
        let node = &self.nodes[id];
        let kept_down = node.stopped_by.is_some() || node.pinned || node.disabled || node.leaving;
        let finished = node.spec.restart() == Restart::Temporary && node.rest() == Some(Rest::Done);
        !kept_down && !finished
    }

    /// The restart of a child under a supervisor that does one thing at a time.
    pub(super) fn recover_group(
        &mut self,
        sup: NodeId,
        child: NodeId,
        delay: Duration,
        why: StartWhy,
    ) {
        let scope = self.scope_of(sup, child);
        self.announce_scope(sup, child, &scope);
        let cause = self.cause;
        let rest = match self.course(child) {
            Some(_) => Rest::Remediating { cause },
            None => Rest::Retrying { cause },
        };
        self.nodes[child].set_rest(rest);
        let mut task = Task::new(TaskKind::Recover { child }, StopWhy::Group(child), why);
        let others = scope.iter().copied().filter(|id| *id != child);
        task.stop = others.filter(|id| self.group_stops(*id)).collect();
        task.start = scope;
        // A failure while another group waits joins it, with the later deadline.
        let before = self.task(sup).and_then(|old| old.until);
        let until = (!delay.is_zero()).then(|| self.now + delay);
        if let Some(old) = self.task(sup) {
            let named: BTreeSet<NodeId> = task.start.iter().copied().collect();
            let also = old.start.iter().filter(|id| !named.contains(id));
            task.start.extend(also);
        }
        task.until = until.max(before);
        self.begin(sup, task);
    }

    pub(super) fn announce_scope(&mut self, sup: NodeId, child: NodeId, scope: &[NodeId]) {
        let Some(strategy) = self.sup_spec(sup).map(|spec| spec.strategy) else {
            return;
        };
        if strategy == Strategy::OneForOne {
            return;
        }
        // Who leaves has another place already, or none.
        let stays = scope.iter().filter(|id| !self.nodes[**id].leaving);
        let scope = stays.map(|id| Arc::clone(self.nodes[*id].name())).collect();
        self.record(
            sup,
            What::Strategy {
                strategy,
                child,
                scope,
            },
        );
    }

    pub(super) fn group_waits(&mut self, sup: NodeId, until: Time) {
        self.timers.set(sup, Purpose::Group, until);
        let Some(TaskKind::Recover { child }) = self.task(sup).map(|task| task.kind.clone()) else {
            return;
        };
        // A reload may have started it already, or taken it out of the tree.
        let rests = self
            .nodes
            .get(child)
            .is_some_and(|node| node.rest().is_some());
        if !rests || !self.group_starts(child) {
            return;
        }
        let delay = until.since(self.now);
        let attempt = self.nodes[child].attempts;
        let cause = Some(self.record(child, What::Backoff { delay, attempt }));
        self.nodes[child].set_rest(Rest::Backoff { until, cause });
    }

    /// The group has waited long enough.
    pub(super) fn on_group_timer(&mut self, sup: NodeId) {
        let Some(task) = self.task(sup) else { return };
        if task.stage == Stage::Delaying && !self.waits_for_courses(sup) {
            if let TaskKind::Recover { child } = task.kind
                && let Some(node) = self.nodes.get(child)
                && let Some(Rest::Backoff { cause, .. }) = node.rest()
            {
                // It may have left the tree meanwhile; the others wait all the same.
                self.cause = cause;
            }
            self.begin_starts(sup);
            self.task_step(sup);
        }
    }

    /// A process that SIGKILL had not ended is gone: whoever waited for it goes on.
    pub(super) fn on_released(&mut self, sup: NodeId, child: NodeId) {
        if let Some(leaver) = self.leaver_above(child)
            && self.depart(leaver)
        {
            return;
        }
        if self.is_going_down(sup) {
            return;
        }
        if !self.is_ordered(sup, child) {
            // What it would have been when its group was down, it is now.
            self.forget_if_temporary(sup, child);
            if self.nodes.get(child).is_none() {
                return self.task_step(sup);
            }
            if !self.group_starts(child)
                && let Some(task) = self.task_mut(sup)
            {
                task.start.retain(|id| *id != child);
            }
        }
        if let Some(why) = self.nodes[child].again.take()
            && !self
                .task(sup)
                .is_some_and(|task| task.start.contains(&child))
        {
            self.start(child, why);
        }
        self.waits_if_blocked(sup, child);
        self.task_step(sup);
    }

    /// Whether somebody has ordered the start that this child is to have.
    fn is_ordered(&self, sup: NodeId, child: NodeId) -> bool {
        let Some(task) = self.task(sup).filter(|task| task.start.contains(&child)) else {
            return false;
        };
        match task.kind {
            TaskKind::Restart { .. } | TaskKind::Start { .. } | TaskKind::Add { .. } => true,
            TaskKind::Boot
            | TaskKind::Recover { .. }
            | TaskKind::Stop { .. }
            | TaskKind::Apply
            | TaskKind::Aside
            | TaskKind::Terminate => false,
        }
    }

    /// The operator has called a retry off, or somebody is no longer put aside: the rest of the
    /// group need not wait for it (default policy).
    pub(super) fn resume_group(&mut self, sup: NodeId, why: StartWhy) {
        let retries = |id: &NodeId| matches!(self.nodes[*id].rest(), Some(Rest::Retrying { .. }));
        if self.children(sup).iter().any(retries) {
            // Whoever waits is started with that one.
            return;
        }
        let waiting = |id: &NodeId| matches!(self.nodes[*id].rest(), Some(Rest::Waiting { .. }));
        let start: Vec<_> = self.children(sup).into_iter().filter(waiting).collect();
        if self.task(sup).is_some() {
            // Another group waits: they are started with it.
            return start
                .into_iter()
                .for_each(|child| self.join_starts(sup, child));
        }
        if start.is_empty() {
            return;
        }
        let mut task = Task::new(TaskKind::Boot, StopWhy::Supervisor, why);
        task.start = start;
        self.begin(sup, task);
    }
}
