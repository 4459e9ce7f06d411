// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the specification says, in the judges' own words. It is read from the tree the world
//! meant, never from the engine: an engine that forgets a rule cannot make the judges forget it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use supd::spec::{
    Breaker, Name, Node, Policy, Release, Restart, Service, Shutdown, StartMode, Strategy,
    Supervisor, SupervisorKind,
};

/// A node's number among all facts; names come and go in the engine, facts stay.
pub(crate) type Fact = usize;

/// What is known about one node.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: Name,
    pub(crate) parent: Option<Fact>,
    /// Its place in start order among all siblings there ever were.
    pub(crate) place: usize,
    pub(crate) restart: Restart,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Service(Arc<Service>),
    Supervisor(Rules),
}

/// The rules of a supervisor.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) policy: Policy,
    pub(crate) strategy: Strategy,
    pub(crate) max_restarts: usize,
    pub(crate) period: Duration,
    /// Its children start and stop one after another.
    pub(crate) ordered: bool,
    /// It does one thing at a time.
    pub(crate) exclusive: bool,
    pub(crate) pool: bool,
    /// Its stop is cut short after a time.
    pub(crate) hasty: bool,
    pub(crate) children: Vec<Fact>,
}

/// All facts.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    entries: Vec<Entry>,
    by_name: BTreeMap<Name, Fact>,
    releases: BTreeMap<Name, Release>,
    /// Specifications that hold from the next start on (OTP's `code_change`).
    later: BTreeMap<Fact, Arc<Supervisor>>,
}

impl Truth {
    pub(crate) fn new(root: &Supervisor) -> Self {
        let mut truth = Self::default();
        truth.learn_supervisor(None, root);
        truth
    }

    /// Its breakers are those of this tree, which no reload changes.
    pub(crate) fn with_breakers(mut self, all: &[Arc<Breaker>]) -> Self {
        let release = |breaker: &Arc<Breaker>| (Arc::clone(&breaker.name), breaker.release);
        self.releases = all.iter().map(release).collect();
        self
    }

    pub(crate) fn release(&self, name: &str) -> Option<Release> {
        self.releases.get(name).copied()
    }

    pub(crate) fn find(&self, name: &str) -> Option<Fact> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn entry(&self, fact: Fact) -> &Entry {
        &self.entries[fact]
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn rules(&self, fact: Fact) -> Option<&Rules> {
        match &self.entries[fact].kind {
            Kind::Supervisor(rules) => Some(rules),
            Kind::Service(_) => None,
        }
    }

    pub(crate) fn service(&self, fact: Fact) -> Option<&Arc<Service>> {
        match &self.entries[fact].kind {
            Kind::Service(service) => Some(service),
            Kind::Supervisor(_) => None,
        }
    }

    /// The rules a node is subject to.
    pub(crate) fn rules_above(&self, fact: Fact) -> Option<(Fact, &Rules)> {
        let parent = self.entries[fact].parent?;
        Some((parent, self.rules(parent)?))
    }

    /// The node and everything above it.
    pub(crate) fn lineage(&self, fact: Fact) -> impl Iterator<Item = Fact> {
        std::iter::successors(Some(fact), |at| self.entries[*at].parent)
    }

    /// Whether everything below may be killed at once by somebody's time limit.
    pub(crate) fn may_be_cut_short(&self, fact: Fact) -> bool {
        self.lineage(fact)
            .any(|at| self.rules(at).is_some_and(|rules| rules.hasty))
    }

    /// A child that is new to the world.
    pub(crate) fn learn(&mut self, parent: Fact, node: &Node) {
        if self.find(node.name()).is_some() {
            return;
        }
        match node {
            Node::Supervisor(sup) => {
                self.learn_supervisor(Some(parent), sup);
            }
            Node::Service(service) => {
                let kind = Kind::Service(Arc::clone(service));
                self.enter(Some(parent), node.name(), service.restart, kind);
            }
        }
    }

    /// A new specification of a supervisor and of everything below it. Returns the supervisors
    /// whose order is another one now.
    pub(crate) fn adopt(&mut self, new: &Supervisor) -> Vec<Fact> {
        let Some(sup) = self.find(&new.name) else {
            return Vec::new();
        };
        let mut changed = Vec::new();
        if let Kind::Supervisor(rules) = &mut self.entries[sup].kind {
            let children = std::mem::take(&mut rules.children);
            *rules = rules_of(new, children);
        }
        for child in &new.children {
            let Some(fact) = self.find(child.name()) else {
                self.learn(sup, child);
                continue;
            };
            if self.entries[fact].parent != Some(sup) {
                self.move_below(fact, sup);
                changed.push(sup);
            }
            self.entries[fact].restart = child.restart();
            match child {
                Node::Service(service) => {
                    self.entries[fact].kind = Kind::Service(Arc::clone(service));
                }
                Node::Supervisor(below) if new.policy == Policy::Otp => {
                    self.later.insert(fact, Arc::clone(below));
                }
                Node::Supervisor(below) => changed.extend(self.adopt(below)),
            }
        }
        changed.extend(self.reorder(sup, new));
        changed
    }

    /// A supervisor starts: whatever was to hold from here on does.
    pub(crate) fn begin(&mut self, sup: Fact) {
        if let Some(new) = self.later.remove(&sup) {
            self.adopt(&new);
        }
    }

    /// A node of a name that was there before: what is said of it now holds.
    pub(crate) fn renew(&mut self, service: &Arc<Service>) {
        if let Some(fact) = self.find(&service.name)
            && let Kind::Service(known) = &mut self.entries[fact].kind
        {
            *known = Arc::clone(service);
        }
    }

    fn move_below(&mut self, fact: Fact, sup: Fact) {
        let before = self.entries[fact].parent.replace(sup);
        for (at, here) in [(before, false), (Some(sup), true)] {
            let Some(Kind::Supervisor(rules)) = at.map(|at| &mut self.entries[at].kind) else {
                continue;
            };
            rules.children.retain(|child| *child != fact);
            if here {
                rules.children.push(fact);
            }
        }
    }

    /// Takes over the order of the children; those that are not named stand last.
    fn reorder(&mut self, fact: Fact, sup: &Supervisor) -> Option<Fact> {
        let all = self.rules(fact)?.children.clone();
        let named = sup
            .children
            .iter()
            .filter_map(|child| self.find(child.name()));
        let mut order: Vec<Fact> = named.filter(|child| all.contains(child)).collect();
        let rest: Vec<Fact> = all.iter().copied().filter(|f| !order.contains(f)).collect();
        order.extend(rest);
        let mut changed = None;
        for (place, child) in order.into_iter().enumerate() {
            if self.entries[child].place != place {
                self.entries[child].place = place;
                changed = Some(fact);
            }
        }
        changed
    }

    fn learn_supervisor(&mut self, parent: Option<Fact>, sup: &Supervisor) {
        let rules = rules_of(sup, Vec::new());
        let fact = self.enter(parent, &sup.name, sup.restart, Kind::Supervisor(rules));
        for child in &sup.children {
            self.learn(fact, child);
        }
    }

    fn enter(&mut self, parent: Option<Fact>, name: &Name, restart: Restart, kind: Kind) -> Fact {
        let fact = self.entries.len();
        let mut place = 0;
        if let Some(Kind::Supervisor(rules)) = parent.map(|p| &mut self.entries[p].kind) {
            place = rules.children.len();
            rules.children.push(fact);
        }
        self.by_name.insert(Arc::clone(name), fact);
        let name = Arc::clone(name);
        self.entries.push(Entry {
            name,
            parent,
            place,
            restart,
            kind,
        });
        fact
    }
}

fn rules_of(sup: &Supervisor, children: Vec<Fact>) -> Rules {
    let pool = sup.kind == SupervisorKind::Pool;
    Rules {
        policy: sup.policy,
        strategy: sup.strategy,
        max_restarts: usize::try_from(sup.max_restarts).unwrap_or(usize::MAX),
        period: sup.period,
        ordered: sup.start == StartMode::Ordered && !pool,
        exclusive: sup.policy == Policy::Otp || (sup.strategy != Strategy::OneForOne && !pool),
        pool,
        hasty: sup.shutdown != Shutdown::Infinity,
        children,
    }
}
