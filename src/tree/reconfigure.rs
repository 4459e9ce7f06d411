// SPDX-License-Identifier: MIT OR Apache-2.0
//! A new specification for a living tree (SEMANTICS §12).
//!
//! Under the default policy the difference is applied as one transaction: what is unchanged keeps
//! its process, what can change in place does, a service whose program changed is restarted as by
//! command, what is new is started and what is gone is stopped, in order. Under `otp` the rules of
//! OTP's `code_change` hold: nothing is started or stopped.

use super::Tree;
use super::aside::By;
use super::event::{CommandId, NodeId, Outcome};
use super::node::{Origin, Rest};
use super::record::{StartWhy, StopWhy, What};
use super::supervisor::Message;
use super::task::{Task, TaskKind};
use crate::spec::diff::{Change, service_change};
use crate::spec::{Name, Node, Policy, Ready, Strategy, Supervisor, Tree as Spec};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A comparison of the tree with its new specification, from the root down.
#[derive(Debug)]
struct Comparison {
    /// Services that were there before, by name: one of them may have moved.
    there: BTreeMap<Name, NodeId>,
    works: Vec<(NodeId, Work)>,
}

/// What one supervisor has to do.
#[derive(Debug, Default)]
struct Work {
    added: Vec<NodeId>,
    changed: Vec<NodeId>,
    gone: Vec<NodeId>,
    /// Whose start had failed in a group that is none any more.
    failed: Vec<NodeId>,
    /// Those that stay do so in their order and under their strategy.
    same_group: bool,
}

impl Tree {
    /// Makes the tree what the specification says: first everything is compared and brought into
    /// its place, then what follows from that is stopped and started.
    pub(super) fn apply(&mut self, id: CommandId, spec: &Arc<Spec>) {
        if self.is_going_down(self.root) {
            self.end_apply();
            return self.reply(id, Outcome::SupervisorDown);
        }
        self.begin_apply(id);
        self.spec = Arc::clone(spec);
        self.apply_breakers(spec);
        let services = self.nodes.iter().filter(|node| node.sup().is_none());
        let stay = services.filter(|node| !node.leaving);
        let mut comparison = Comparison {
            there: stay
                .map(|node| (Arc::clone(node.name()), node.id))
                .collect(),
            works: Vec::new(),
        };
        self.compare(self.root, &spec.root, &mut comparison);
        // Only now is it known who has moved, and who leaves.
        for (sup, work) in &mut comparison.works {
            work.gone
                .retain(|child| self.nodes[*child].parent == Some(*sup));
            for child in &work.gone {
                self.leave(*child);
                self.await_applied(*child);
                self.count_applied(|done| done.removed += 1);
            }
        }
        for (sup, work) in comparison.works {
            self.carry_out(sup, work);
        }
        self.forget_accounts();
    }

    /// One supervisor and everything below it; those below come first.
    fn compare(&mut self, sup: NodeId, new: &Arc<Supervisor>, whole: &mut Comparison) {
        let Some(old) = self.sup_spec(sup).cloned() else {
            return;
        };
        if old == *new && self.is_as_specified(sup) {
            return;
        }
        self.nodes[sup].replaced = false;
        if new.policy == Policy::Otp {
            if !same_flags(&old, new) || old.children != new.children {
                self.count_applied(|done| done.in_place += 1);
            }
            return self.change_code(sup, new);
        }
        if !same_flags(&old, new) {
            self.count_applied(|done| done.in_place += 1);
            self.record(sup, What::Changed);
        }
        let (together, before) = (self.is_exclusive(sup), self.children(sup));
        self.nodes[sup].spec = Node::Supervisor(Arc::clone(new));
        let mut work = self.match_children(sup, new, whole);
        work.same_group = old.strategy == new.strategy && self.is_in_order(sup, &before);
        match (together, self.is_exclusive(sup)) {
            (false, true) => self.start_together(sup, &mut work),
            (true, false) => self.start_apart(sup, &mut work),
            (true, true) | (false, false) => {}
        }
        whole.works.push((sup, work));
    }

    /// Whether the children that stand here still stand as they stood before.
    fn is_in_order(&self, sup: NodeId, before: &[NodeId]) -> bool {
        let places: BTreeMap<NodeId, usize> = before.iter().copied().zip(0..).collect();
        let now = self.children(sup);
        now.iter().filter_map(|child| places.get(child)).is_sorted()
    }

    /// Children that went their own ways are a group from now on: a boot that was under way goes on
    /// as a part of what the group does.
    fn start_together(&mut self, sup: NodeId, work: &mut Work) {
        let Some(under_way) = self.nodes[sup]
            .sup_mut()
            .and_then(|state| state.boot.take())
        else {
            return;
        };
        for child in self.children(sup) {
            let waits = self.nodes[child].rest() == Some(Rest::Fresh);
            if (waits || child == under_way) && !work.added.contains(&child) {
                work.added.push(child);
            }
        }
    }

    /// Children that were a group go their own ways from now on: nobody waits for another, and a
    /// start that has failed is not tried again by the group.
    fn start_apart(&mut self, sup: NodeId, work: &mut Work) {
        if let Some(task) = self.task(sup) {
            work.failed.clone_from(&task.failed);
        }
        for child in self.children(sup) {
            let node = &self.nodes[child];
            let waits = matches!(node.rest(), Some(Rest::Waiting { .. })) && node.again.is_none();
            if waits && !work.added.contains(&child) {
                work.added.push(child);
            }
        }
    }

    /// Whether nothing was added or deleted by command, here and below. OTP's `code_change` does
    /// not ask for what is missing: a temporary child that has ended is forgotten.
    fn is_as_specified(&self, sup: NodeId) -> bool {
        let children = self.children(sup);
        let own = |id: &NodeId| self.nodes[*id].origin == Origin::Configured;
        let below = |id: &NodeId| self.nodes[*id].sup().is_none() || self.is_as_specified(*id);
        let named = self.sup_spec(sup).map_or(0, |spec| spec.children.len());
        let stays = children.iter().filter(|id| !self.nodes[**id].leaving);
        let complete = self.policy_of(sup) == Policy::Otp || stays.count() == named;
        complete && children.iter().all(|id| own(id) && below(id))
    }

    /// Brings the list of children in line and says what has to be done about it.
    fn match_children(
        &mut self,
        sup: NodeId,
        new: &Arc<Supervisor>,
        whole: &mut Comparison,
    ) -> Work {
        let mut work = Work::default();
        let before = self.children(sup);
        let stays = before.iter().filter(|id| !self.nodes[**id].leaving);
        let by_name: BTreeMap<Name, NodeId> = stays
            .map(|id| (Arc::clone(self.nodes[*id].name()), *id))
            .collect();
        let mut order = Vec::with_capacity(new.children.len());
        for spec in &new.children {
            let known = by_name.get(spec.name()).copied();
            let known = known.filter(|id| self.nodes[*id].sup().is_some() == is_supervisor(spec));
            let known = known.or_else(|| self.moved_here(sup, spec, whole));
            let Some(child) = known else {
                let child = self.plant(Some(sup), spec.clone());
                self.record(child, What::Added);
                self.count_applied(|done| done.added += 1);
                work.added.push(child);
                order.push(child);
                continue;
            };
            self.nodes[child].origin = Origin::Configured;
            order.push(child);
            if let (Node::Supervisor(_), Node::Supervisor(new)) = (&self.nodes[child].spec, spec) {
                self.compare(child, new, whole);
            } else {
                self.match_service(child, spec, &mut work);
            }
        }
        let kept: BTreeSet<_> = order.iter().copied().collect();
        let before = self.children(sup);
        work.gone = before
            .into_iter()
            .filter(|child| !kept.contains(child))
            .collect();
        // Those that leave stand last until they are gone.
        order.extend(work.gone.iter().copied());
        if let Some(state) = self.nodes[sup].sup_mut() {
            state.children = order;
        }
        self.renumber(sup);
        work
    }

    /// A service that stood elsewhere keeps its process when it moves; one that was stopped by hand
    /// or has finished its work stays down.
    fn moved_here(&mut self, sup: NodeId, spec: &Node, whole: &Comparison) -> Option<NodeId> {
        if is_supervisor(spec) {
            return None;
        }
        let child = *whole.there.get(spec.name())?;
        let node = self.nodes.get(child).filter(|node| !node.leaving)?;
        let from = node.parent?;
        let busy = self.task(from).is_some_and(|task| task.awaits(child));
        let node = &self.nodes[child];
        let rests = match node.rest() {
            Some(Rest::Done) => true,
            Some(_) => node.stopped_by.is_some() || node.pinned,
            None => false,
        };
        // A process below a supervisor that is down would be nobody's.
        let runs = node.is_up() && !self.is_going_down(sup);
        if from == sup || busy || !(runs || rests) {
            return None;
        }
        if let Some(state) = self.nodes[from].sup_mut() {
            state.children.retain(|id| *id != child);
        }
        if let Some(task) = self.task_mut(from) {
            task.forget(child);
        }
        self.renumber(from);
        self.nodes[child].parent = Some(sup);
        if let (Node::Service(old), Node::Service(new)) = (&self.nodes[child].spec, spec)
            && service_change(old, new) == Change::None
        {
            self.count_applied(|done| done.in_place += 1);
            self.record(child, What::Changed);
        }
        Some(child)
    }

    fn match_service(&mut self, child: NodeId, spec: &Node, work: &mut Work) {
        let (Node::Service(old), Node::Service(new)) = (&self.nodes[child].spec, spec) else {
            return;
        };
        let change = service_change(old, new);
        let (ready, stop) = (old.ready.clone(), Arc::clone(&old.stop));
        let health = old.health.clone();
        let new_ready = new.ready.clone();
        self.nodes[child].spec = spec.clone();
        self.climb_anew(child, &stop);
        self.hold_anew(child);
        self.check_anew(child, &health);
        match change {
            Change::None => {}
            Change::InPlace => {
                self.count_applied(|done| done.in_place += 1);
                self.record(child, What::Changed);
                self.ask_anew(child, &ready);
            }
            Change::Restart => {
                // Until its turn comes, or for as long as it is pinned, it is asked as is said now;
                // nothing but an answer makes a start of the old program a good one.
                let asks = matches!(new_ready, Ready::Probe(_));
                if asks || self.nodes[child].is_up() {
                    self.ask_anew(child, &ready);
                }
                work.changed.push(child);
            }
        }
    }

    /// Stops, restarts and starts what the difference asks for.
    fn carry_out(&mut self, sup: NodeId, work: Work) {
        if self.is_going_down(sup) {
            return work
                .gone
                .iter()
                .for_each(|child| self.retire(*child, StopWhy::Apply));
        }
        let mut freed = false;
        for child in &work.changed {
            // Somebody has acted; what others need as well is not theirs to change.
            let rest = self.nodes[*child].rest();
            let shared = matches!(rest, Some(Rest::Aside(By::Breakers | By::Doubt)));
            freed |= !shared && self.forget_aside(*child);
        }
        let restarted = self.restart_set(sup, &work.changed);
        for child in restarted.iter().chain(&work.added) {
            if self.is_wanted(*child) {
                self.await_applied(*child);
            }
        }
        let count = restarted
            .iter()
            .filter(|child| self.is_wanted(**child))
            .count();
        self.count_applied(|done| done.restarted += count);
        if self.is_exclusive(sup) {
            self.carry_out_in_order(sup, work, restarted);
            if freed {
                // Whoever waited for it by another strategy comes after that.
                self.post(sup, Message::Resume);
            }
            return;
        }
        for child in work.gone.into_iter().rev() {
            self.retire(child, StopWhy::Apply);
        }
        for child in restarted {
            if self.nodes[child].rest().is_none() {
                self.stop(child, StopWhy::Apply);
                self.nodes[child].again = Some(StartWhy::Apply);
            } else if self.is_wanted(child) {
                self.start(child, StartWhy::Apply);
            }
        }
        let booting = self.nodes[sup]
            .sup()
            .is_some_and(|state| state.boot.is_some());
        for child in work.added {
            if self.is_wanted(child) && !booting {
                self.start(child, StartWhy::Apply);
            }
        }
        self.retry_apart(sup, &work.failed);
        self.settle_all(sup);
    }

    /// What the new configuration has not started of these is tried again, each by itself.
    fn retry_apart(&mut self, sup: NodeId, failed: &[NodeId]) {
        for child in failed {
            let node = self.nodes.get(*child);
            let node = node.filter(|node| node.parent == Some(sup) && !node.leaving);
            if let Some(Rest::Retrying { .. }) = node.and_then(super::node::Node::rest) {
                self.failed_child(sup, *child);
            }
        }
    }

    /// Whom the strategy names when these are restarted, in start order, without those that stay
    /// down: what has changed about one of them restarts nobody.
    fn restart_set(&self, sup: NodeId, changed: &[NodeId]) -> Vec<NodeId> {
        let touched = |id: &NodeId| {
            let node = &self.nodes[*id];
            self.is_wanted(*id) && !node.leaving && !node.is_aside()
        };
        let changed: Vec<NodeId> = changed.iter().copied().filter(touched).collect();
        let strategy = self.sup_spec(sup).map(|spec| spec.strategy);
        let mut set = match strategy {
            Some(Strategy::OneForOne) | None => changed,
            // The first one names all that the others name.
            Some(Strategy::OneForAll | Strategy::RestForOne) => {
                let first = changed.iter().min_by_key(|id| self.nodes[**id].place);
                first.map_or_else(Vec::new, |first| self.scope_of(sup, *first))
            }
        };
        set.retain(touched);
        set.sort_by_key(|id| self.nodes[*id].place);
        set
    }

    fn carry_out_in_order(&mut self, sup: NodeId, work: Work, restarted: Vec<NodeId>) {
        let changes = !(restarted.is_empty() && work.added.is_empty() && work.gone.is_empty());
        if work.same_group && !changes {
            // Nothing for it to do: what it is in the middle of goes on as what it is.
            return;
        }
        let work_is_same = work.same_group;
        let mut task = Task::new(TaskKind::Apply, StopWhy::Apply, StartWhy::Apply);
        task.stop.clone_from(&restarted);
        task.stop.extend(work.gone);
        task.stop.sort_by_key(|id| self.nodes[*id].place);
        task.start = restarted;
        task.start.extend(work.added);
        // What was under way is not forgotten: it goes on as a part of this.
        let mut clear = None;
        if let Some(old) = self.task(sup) {
            let mut starts: BTreeSet<NodeId> = task.start.iter().copied().collect();
            let unfinished = old.start.iter().chain(&old.waiting).chain(&old.failed);
            task.start
                .extend(unfinished.filter(|id| starts.insert(**id)));
            let mut stops: BTreeSet<NodeId> = task.stop.iter().copied().collect();
            if old.kind == TaskKind::Aside {
                // Whom another strategy does not name any more is not stopped, or comes back.
                task.waiting.clone_from(&old.waiting);
                clear = self.blocked_from(sup).map(|(_, child)| child);
            } else if old.stage == super::task::Stage::Stopping {
                let unfinished = old.stop.iter().chain(&old.waiting);
                task.stop.extend(unfinished.filter(|id| stops.insert(**id)));
            }
            task.until = old.until;
        }
        if !work_is_same {
            // Whoever waits for one that is put aside may not have to under this strategy.
            let waits = |id: &NodeId| matches!(self.nodes[*id].rest(), Some(Rest::Waiting { .. }));
            let free = |id: &NodeId| waits(id) && self.nodes[*id].again.is_none();
            let also = self.children(sup).into_iter().filter(free);
            task.start.extend(also);
        }
        if task.stop.is_empty() && task.start.is_empty() && task.waiting.is_empty() {
            return;
        }
        self.begin(sup, task);
        if let Some(child) = clear {
            self.post(sup, Message::Clear(child));
        }
    }
}

fn is_supervisor(node: &Node) -> bool {
    match node {
        Node::Supervisor(_) => true,
        Node::Service(_) => false,
    }
}

/// Whether two supervisors differ at most in their children.
fn same_flags(old: &Supervisor, new: &Supervisor) -> bool {
    let bare = |sup: &Supervisor| Supervisor {
        children: Vec::new(),
        ..sup.clone()
    };
    bare(old) == bare(new)
}
