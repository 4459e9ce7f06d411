// SPDX-License-Identifier: MIT OR Apache-2.0
//! The children of a supervisor at run time: adding, deleting, counting, scaling. Answers are
//! those of supervisor(3).

use super::Tree;
use super::answer::Wants;
use super::event::{Actor, ChildStatus, CommandId, Counts, NodeId, Outcome};
use super::node::{Origin, Rest};
use super::record::{StartWhy, StopWhy, What};
use super::task::{Task, TaskKind};
use crate::spec::{
    AutoShutdown, Name, Node, Policy, Restart, Service, Supervisor, SupervisorKind, Tree as Spec,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Tree {
    /// OTP's `start_child`.
    pub(super) fn add_child(&mut self, id: CommandId, sup: NodeId, node: Node) {
        let auto = self
            .sup_spec(sup)
            .map_or(AutoShutdown::Never, |spec| spec.auto_shutdown);
        if !significance_holds(&node, auto) {
            return self.reply(id, Outcome::InvalidSpec);
        }
        let known = self.child(sup, node.name());
        if let Some(known) = known.filter(|known| !self.nodes[*known].leaving) {
            return self.reply(
                id,
                match self.child_status(known) {
                    ChildStatus::Running => Outcome::AlreadyStarted,
                    ChildStatus::Restarting | ChildStatus::Stopped => Outcome::AlreadyPresent,
                },
            );
        }
        let child = self.plant(Some(sup), node);
        self.nodes[child].origin = Origin::Dynamic;
        self.append(sup, child);
        self.record(child, What::Added);
        if !self.is_exclusive(sup) {
            self.wait(child, id, Wants::Up);
            return self.start(child, StartWhy::Command);
        }
        let kind = TaskKind::Add { child, id };
        let mut task = Task::new(kind, StopWhy::Supervisor, StartWhy::Command);
        task.start = vec![child];
        self.begin(sup, task);
    }

    /// OTP's `delete_child`.
    pub(super) fn delete_child(&mut self, id: CommandId, sup: NodeId, child: NodeId) {
        if self.is_pool(sup) && self.policy_of(sup) == Policy::Otp {
            return self.reply(id, Outcome::Unsupported);
        }
        match self.child_status(child) {
            ChildStatus::Running => self.reply(id, Outcome::Running),
            ChildStatus::Restarting => self.reply(id, Outcome::Restarting),
            ChildStatus::Stopped => {
                self.leave_aside(child);
                self.uproot(child);
                self.settle_all(sup);
                self.reply(id, Outcome::Done);
            }
        }
    }

    /// Gives a pool these instances: those it has are kept, the others go, the last one first.
    /// It is done when the new ones are ready and the others gone.
    pub(super) fn scale(
        &mut self,
        (id, by): (CommandId, Actor),
        pool: NodeId,
        instances: &[Arc<Service>],
    ) {
        if !self.is_pool(pool) {
            return self.reply(id, Outcome::Unsupported);
        }
        if self.nodes[pool].pinned {
            return self.reply(id, Outcome::Pinned);
        }
        if self.is_going_down(pool) {
            return self.reply(id, Outcome::SupervisorDown);
        }
        let wanted: BTreeSet<&Name> = instances.iter().map(|service| &service.name).collect();
        let mut present = BTreeMap::new();
        let mut concerned = Vec::new();
        for child in self.children(pool).into_iter().rev() {
            let name = Arc::clone(self.nodes[child].name());
            if !wanted.contains(&name) {
                concerned.push((child, Wants::Down));
            } else if !self.nodes[child].leaving {
                present.insert(name, self.nodes[child].spec.clone());
            }
        }
        let as_it_is = |service: &Arc<Service>| present.get(&service.name).cloned();
        let specs = instances
            .iter()
            .map(|new| as_it_is(new).unwrap_or_else(|| Node::Service(Arc::clone(new))));
        self.specify_instances(pool, &specs.collect::<Vec<_>>());
        for service in instances {
            if present.contains_key(&service.name) {
                continue;
            }
            let child = self.plant(Some(pool), Node::Service(Arc::clone(service)));
            self.append(pool, child);
            self.record(child, What::Added);
            concerned.push((child, Wants::Up));
        }
        self.wait_for_all(id, &concerned);
        for (child, wants) in concerned {
            match wants {
                Wants::Up => self.start(child, StartWhy::Command),
                Wants::Down => self.retire(child, StopWhy::Command(by)),
            }
        }
    }

    /// From now on the specification has these instances: whoever restarts the pool, however far
    /// above, restarts as many.
    fn specify_instances(&mut self, pool: NodeId, instances: &[Node]) {
        let mut path = Vec::new();
        let lineage: Vec<NodeId> = self.lineage(pool).collect();
        for sup in lineage {
            let Some(spec) = self.sup_spec(sup) else {
                return;
            };
            let Some(new) = with_instances(spec, &path, instances) else {
                // It was added at run time: no specification above has it.
                return;
            };
            path.insert(0, Arc::clone(&spec.name));
            let new = Arc::new(new);
            if sup == self.root {
                let mut whole = Spec::clone(&self.spec);
                whole.root = Arc::clone(&new);
                self.spec = Arc::new(whole);
            }
            self.nodes[sup].spec = Node::Supervisor(new);
        }
    }

    /// OTP's `count_children`: a child that is dead but not looked at is not active.
    pub(super) fn count_children(&self, sup: NodeId) -> Counts {
        let children = self.children(sup);
        let mut counts = Counts {
            specs: children.len(),
            ..Counts::default()
        };
        for child in children {
            let node = &self.nodes[child];
            counts.active += usize::from(node.rest().is_none() && node.ended().is_none());
            if node.sup().is_some() {
                counts.supervisors += 1;
            } else {
                counts.workers += 1;
            }
        }
        if self.is_pool(sup) && self.policy_of(sup) == Policy::Otp {
            counts.specs = 1;
        }
        counts
    }

    pub(super) fn child_status(&self, child: NodeId) -> ChildStatus {
        match self.nodes[child].rest() {
            None => ChildStatus::Running,
            Some(Rest::Backoff { .. } | Rest::Remediating { .. } | Rest::Retrying { .. }) => {
                ChildStatus::Restarting
            }
            Some(
                Rest::Fresh
                | Rest::Stopped
                | Rest::Off
                | Rest::Done
                | Rest::Failed
                | Rest::Aside(_)
                | Rest::Waiting { .. },
            ) => ChildStatus::Stopped,
        }
    }

    pub(super) fn is_pool(&self, sup: NodeId) -> bool {
        self.sup_spec(sup)
            .is_some_and(|spec| spec.kind == SupervisorKind::Pool)
    }

    /// Places follow the order of the children.
    pub(super) fn renumber(&mut self, sup: NodeId) {
        self.renumber_from(sup, 0);
    }

    /// The same, when nothing has changed before this place.
    pub(super) fn renumber_from(&mut self, sup: NodeId, from: usize) {
        let Some(state) = self.nodes[sup].sup_mut() else {
            return;
        };
        state.settled_to = state.settled_to.min(from);
        let moved: Vec<NodeId> = state.children.iter().skip(from).copied().collect();
        for (place, child) in moved.into_iter().enumerate() {
            self.nodes[child].place = from + place;
        }
    }

    /// Puts a new child after all others.
    fn append(&mut self, sup: NodeId, child: NodeId) {
        let Some(state) = self.nodes[sup].sup_mut() else {
            return;
        };
        state.children.push(child);
        let last = state.children.len() - 1;
        self.renumber_from(sup, last);
    }

    /// Builds a node and everything below it, at rest.
    pub(super) fn plant(&mut self, parent: Option<NodeId>, spec: Node) -> NodeId {
        let now = self.now;
        let id = self
            .nodes
            .insert(|id| super::boot::seedling(id, parent, spec, now));
        let pinned = parent.is_some_and(|sup| self.is_pool(sup) && self.nodes[sup].pinned);
        self.nodes[id].pinned = pinned;
        self.sync_children(id);
        id
    }
}

/// A supervisor whose pool at the end of this path has these instances.
fn with_instances(sup: &Supervisor, path: &[Name], instances: &[Node]) -> Option<Supervisor> {
    let mut new = sup.clone();
    let Some((name, rest)) = path.split_first() else {
        new.children = instances.to_vec();
        return Some(new);
    };
    let below = new.children.iter_mut().find(|child| child.name() == name)?;
    let Node::Supervisor(old) = below else {
        return None;
    };
    *below = Node::Supervisor(Arc::new(with_instances(old, rest, instances)?));
    Some(new)
}

/// OTP's `validSignificant`: a significant child needs a supervisor that looks at it, and must be
/// able to end for good.
pub(super) fn significance_holds(node: &Node, auto: AutoShutdown) -> bool {
    !node.significant() || (auto != AutoShutdown::Never && node.restart() != Restart::Permanent)
}
