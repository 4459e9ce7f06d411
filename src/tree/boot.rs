// SPDX-License-Identifier: MIT OR Apache-2.0
//! The start of a supervisor: its configured children, in order.
//!
//! Under `otp`, and under the default policy for groups, it is a [`Task`](super::task::Task).
//! Under `one_for_one` and the default policy the next child is started when an attempt of the one
//! before has ended, one way or another; the supervisor counts as started when every child is
//! settled: ready, done, or meant to be down.

use super::Tree;
use super::condemn::Culls;
use super::event::{NodeId, Time};
use super::intensity::Window;
use super::node::{Body, Life, Node, Origin, Reign, Rest, Sup};
use super::record::{StartWhy, StopWhy, What};
use super::supervisor::Notice;
use super::task::{Task, TaskKind};
use crate::spec::{self, Policy, StartMode, Supervisor, SupervisorKind};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A node at rest that has never been started.
pub(super) fn seedling(id: NodeId, parent: Option<NodeId>, spec: spec::Node, now: Time) -> Node {
    let body = match &spec {
        spec::Node::Service(_) => Body::Service(Life::Rest(Rest::Fresh)),
        spec::Node::Supervisor(_) => Body::Supervisor(Box::new(Sup {
            reign: Reign::Rest(Rest::Fresh),
            children: Vec::new(),
            window: Window::default(),
            buckets: BTreeMap::new(),
            culls: Culls::new(),
            spent: None,
            told_by: None,
            refunded: BTreeMap::new(),
            restarts: 0,
            incarnation: 0,
            task: None,
            inbox: VecDeque::new(),
            boot: None,
            settled_to: 0,
            culprit: None,
            suspended: false,
        })),
    };
    let disabled = is_disabled(&spec);
    Node {
        id,
        parent,
        place: 0,
        spec,
        origin: Origin::Configured,
        body,
        stopped_by: None,
        pinned: false,
        disabled,
        leaving: false,
        replaced: false,
        again: None,
        attempts: 0,
        last_delay: Duration::ZERO,
        spared: false,
        treated: None,
        took: Duration::ZERO,
        early_ends: 0,
        starved_since: None,
        own: None,
        on_trial: false,
        believed: false,
        let_pass: false,
        starts: 0,
        restarts: 0,
        since: now,
        seq: None,
        incident: None,
        last_exit: None,
    }
}

fn is_disabled(spec: &spec::Node) -> bool {
    match spec {
        spec::Node::Service(service) => !service.enabled,
        spec::Node::Supervisor(_) => false,
    }
}

impl Tree {
    /// Starts the root.
    pub(super) fn boot(&mut self) {
        if self.nodes[self.root].rest() == Some(Rest::Fresh) && self.haste.is_none() {
            self.begin_breakers();
            self.start_supervisor(self.root, StartWhy::Boot);
        }
    }

    /// Begins a new incarnation of a supervisor that is at rest: empty history, the configured
    /// children, fresh back-off.
    pub(super) fn start_supervisor(&mut self, id: NodeId, why: StartWhy) {
        self.timers.clear(id, super::timers::Purpose::Backoff);
        self.timers.clear(id, super::timers::Purpose::Hold);
        self.refresh(id);
        self.sync_children(id);
        let now = self.now;
        let node = &mut self.nodes[id];
        node.starts += 1;
        node.again = None;
        node.since = now;
        if !matches!(why, StartWhy::Boot | StartWhy::Command | StartWhy::Apply) {
            node.restarts += 1;
        }
        let number = node.starts;
        if let Some(sup) = node.sup_mut() {
            sup.incarnation = number;
            sup.window.clear();
            sup.buckets.clear();
            sup.spent = None;
            sup.told_by = None;
            sup.refunded.clear();
            sup.restarts = 0;
            sup.inbox.clear();
            sup.reign = Reign::Starting { since: now };
            sup.settled_to = 0;
        }
        self.record(id, What::SupervisorStarting { number, why });
        for child in self.children(id) {
            let node = &mut self.nodes[child];
            node.attempts = 0;
            node.last_delay = Duration::ZERO;
            node.disabled = is_disabled(&node.spec);
            node.own = None;
            let rest = if node.stopped_by.is_some() {
                Rest::Stopped
            } else {
                Rest::Fresh
            };
            if node.rest().is_some() {
                node.set_rest(rest);
            }
        }
        self.start_children(id);
    }

    /// A supervisor starts from what its own supervisor's specification says now.
    fn refresh(&mut self, id: NodeId) {
        let node = &self.nodes[id];
        let Some(parent) = node.parent.filter(|_| node.origin == Origin::Configured) else {
            return;
        };
        let found = self.sup_spec(parent).and_then(|spec| {
            spec.children
                .iter()
                .find(|child| child.name() == node.name())
                .cloned()
        });
        if let Some(spec) = found {
            self.respecify(id, &spec);
        }
    }

    /// Gives a node a new specification. A supervisor that was given one of its own in place
    /// (`otp`, `code_change`) keeps that, but for what it is to its supervisor.
    pub(super) fn respecify(&mut self, id: NodeId, new: &spec::Node) {
        let node = &mut self.nodes[id];
        node.spec = match (&node.spec, new) {
            (spec::Node::Supervisor(own), spec::Node::Supervisor(new)) if node.replaced => {
                spec::Node::Supervisor(Arc::new(as_child(own, new)))
            }
            _other => new.clone(),
        };
    }

    pub(super) fn children(&self, id: NodeId) -> Vec<NodeId> {
        self.nodes[id]
            .sup()
            .map(|sup| sup.children.clone())
            .unwrap_or_default()
    }

    fn start_children(&mut self, id: NodeId) {
        let Some(spec) = self.sup_spec(id) else {
            return;
        };
        let at_once = spec.start == StartMode::Parallel || spec.kind == SupervisorKind::Pool;
        if self.is_exclusive(id) {
            let mut task = Task::new(TaskKind::Boot, StopWhy::Supervisor, StartWhy::Boot);
            task.start = self.children(id);
            return self.begin(id, task);
        }
        if at_once {
            for child in self.children(id) {
                self.start_if_wanted(child);
            }
            self.attempted(id);
            return self.settle_all(id);
        }
        self.boot_from(id, 0);
    }

    fn start_if_wanted(&mut self, child: NodeId) -> bool {
        if let Some(Life::Unkillable(_, why)) = self.life(child) {
            // Its start waits for the end of the last run; nobody waits for its start. A start
            // that was too slow is judged when that end has come.
            if why.is_asked_for() && self.is_wanted(child) {
                self.nodes[child].again = Some(StartWhy::Boot);
            }
            return false;
        }
        let wanted = self.is_wanted(child) && self.nodes[child].rest() == Some(Rest::Fresh);
        if wanted {
            self.start(child, StartWhy::Boot);
        }
        wanted
    }

    /// Starts the next child that was never started, from this place on; after the last one,
    /// whoever came to stand before it meanwhile.
    pub(super) fn boot_from(&mut self, id: NodeId, from: usize) {
        let next = self
            .start_first_from(id, from)
            .or_else(|| self.start_first_from(id, 0));
        if let Some(sup) = self.nodes[id].sup_mut() {
            sup.boot = next;
        }
        if next.is_none() {
            self.attempted(id);
            self.settle_all(id);
        }
    }

    fn start_first_from(&mut self, id: NodeId, from: usize) -> Option<NodeId> {
        let mut place = from;
        loop {
            let child = *self.nodes[id].sup()?.children.get(place)?;
            if self.start_if_wanted(child) {
                return Some(child);
            }
            place += 1;
        }
    }

    /// An attempt of a child has ended: if it was its turn, the boot goes on.
    pub(super) fn boot_heard(&mut self, id: NodeId, child: NodeId) {
        let place = self.nodes.get(child).map(|node| node.place);
        let boot = self.nodes[id].sup().and_then(|sup| sup.boot);
        if let Some(place) = place.filter(|_| boot == Some(child)) {
            self.boot_from(id, place + 1);
        }
    }

    /// Every child was tried once. Its own supervisor may go on, if it waits for no more.
    fn attempted(&mut self, id: NodeId) {
        let starting = self.nodes[id]
            .sup()
            .is_some_and(|s| matches!(s.reign, Reign::Starting { .. }));
        if starting {
            self.notify(id, Notice::Attempted);
        }
    }

    /// If a supervisor is starting and every child is settled, its start is done.
    pub(super) fn settle_all(&mut self, id: NodeId) {
        let Some(sup) = self.nodes[id].sup() else {
            return;
        };
        let Reign::Starting { since } = sup.reign else {
            return;
        };
        if sup.boot.is_some() || sup.task.is_some() {
            return;
        }
        if !self.all_settled(id) {
            return;
        }
        let took = self.now.since(since);
        let now = self.now;
        let node = &mut self.nodes[id];
        node.took = took;
        node.since = now;
        if let Some(sup) = node.sup_mut() {
            sup.reign = Reign::Up;
        }
        self.record(id, What::Ready { run: None, took });
        self.notify(id, Notice::Started);
        self.wake(id);
    }

    /// Whether its supervisor need not wait for it: whoever waits for one that is put aside comes
    /// when that comes.
    fn is_settled(&self, child: NodeId) -> bool {
        let node = &self.nodes[child];
        let aside = |id| self.nodes.get(id).is_some_and(Node::keeps_others_down);
        node.is_settled()
            || matches!(node.rest(), Some(Rest::Waiting { sibling }) if aside(sibling))
    }

    /// Looks from where the last look ended, and at all of them before it says yes.
    fn all_settled(&mut self, id: NodeId) -> bool {
        let strict = self.policy_of(id) == Policy::Otp;
        let Some(sup) = self.nodes[id].sup() else {
            return false;
        };
        let unsettled = |from: usize| {
            let rest = sup.children.iter().enumerate().skip(from);
            let mut open = rest.filter(|(_, child)| !strict && !self.is_settled(**child));
            open.next().map(|(place, _)| place)
        };
        let found = unsettled(sup.settled_to).or_else(|| unsettled(0));
        if let Some(sup) = self.nodes[id].sup_mut() {
            sup.settled_to = found.unwrap_or(0);
        }
        found.is_none()
    }

    /// Makes the children of a supervisor those of its specification: what was added at run time
    /// is gone, what was deleted is back, in the configured order.
    pub(super) fn sync_children(&mut self, id: NodeId) {
        let Some(spec) = self.sup_spec(id).cloned() else {
            return;
        };
        let before = self.children(id);
        let mut wanted = Vec::with_capacity(spec.children.len());
        for (place, child) in spec.children.iter().enumerate() {
            // Nearly always it stands where it stood: a wide supervisor is not searched.
            let here = before
                .get(place)
                .copied()
                .filter(|old| self.is_same(*old, child));
            let known =
                here.or_else(|| before.iter().copied().find(|old| self.is_same(*old, child)));
            wanted.push(match known {
                Some(old) => {
                    self.respecify(old, child);
                    old
                }
                None => self.plant(Some(id), child.clone()),
            });
        }
        let kept: BTreeSet<_> = wanted.iter().copied().collect();
        for old in before {
            if kept.contains(&old) {
                continue;
            }
            self.uproot(old);
            if self.nodes.get(old).is_some() {
                // It has a process that does not end: it stays, last, until that is gone.
                wanted.push(old);
            }
        }
        if let Some(sup) = self.nodes[id].sup_mut() {
            sup.children = wanted;
        }
        self.renumber(id);
    }
}

impl Tree {
    /// Whether this configured node is the one the specification means.
    fn is_same(&self, id: NodeId, spec: &spec::Node) -> bool {
        let node = &self.nodes[id];
        node.origin == Origin::Configured
            && !node.leaving
            && node.name() == spec.name()
            && same_kind(&node.spec, spec)
    }
}

/// The one supervisor's inside with the other's outside.
pub(super) fn as_child(inside: &Supervisor, outside: &Supervisor) -> Supervisor {
    Supervisor {
        restart: outside.restart,
        significant: outside.significant,
        required: outside.required,
        shutdown: outside.shutdown,
        backoff: Arc::clone(&outside.backoff),
        ..inside.clone()
    }
}

fn same_kind(one: &spec::Node, other: &spec::Node) -> bool {
    match (one, other) {
        (spec::Node::Service(_), spec::Node::Service(_))
        | (spec::Node::Supervisor(_), spec::Node::Supervisor(_)) => true,
        (spec::Node::Service(_), spec::Node::Supervisor(_))
        | (spec::Node::Supervisor(_), spec::Node::Service(_)) => false,
    }
}
