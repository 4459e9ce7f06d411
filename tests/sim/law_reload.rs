// SPDX-License-Identifier: MIT OR Apache-2.0
//! Law 15: a reload is all or nothing. What it changes is changed when it is answered; who is not
//! concerned keeps process, counters and history.

use super::court::Court;
use super::truth::Fact;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use supd::spec::{Name, Node, Policy, Ready, Service, Strategy, Supervisor};
use supd::tree::{CommandId, NodeView, RunId, State};

/// What the reloads so far allow and ask for.
#[derive(Debug, Default)]
pub(crate) struct Reload {
    /// The newest one, until it is answered.
    id: Option<CommandId>,
    /// Who may be stopped by a configuration; whoever stands below may, too.
    concerned: BTreeSet<Fact>,
    /// Who has a new program, and the process that has the old one.
    outdated: Vec<(Fact, RunId)>,
    /// Who is to be gone.
    leaving: Vec<Fact>,
}

/// What must not change about somebody who is not concerned.
#[derive(Debug, PartialEq)]
struct Kept {
    run: Option<RunId>,
    state: State,
    starts: u32,
    restarts: u32,
    pinned: bool,
    stopped: bool,
    /// Of a supervisor: the restarts of this incarnation.
    recorded: Option<u32>,
}

impl Court {
    /// A reload on its way to the engine. The judges learn the new specification, and whom it
    /// concerns.
    pub(crate) fn reload(&mut self, id: CommandId, root: &Supervisor) {
        if self.is_going_down(&root.name) {
            self.reload.id = None;
            return;
        }
        let before = std::mem::take(&mut self.reload);
        // What an earlier one has begun goes on.
        self.reload.concerned = before.concerned;
        self.reload.id = Some(id);
        let mut changed = Vec::new();
        let mut all = BTreeSet::new();
        names(root, &mut all);
        self.compare(root, &all, &mut changed);
        for sup in self.truth.adopt(root) {
            let reign = &mut self.files[sup].reign;
            reign.disturbed |= reign.ending || !reign.up;
        }
        self.open_files();
        for fact in changed {
            self.concern_for(fact);
        }
    }

    fn is_going_down(&self, root: &Name) -> bool {
        let fact = self.truth.find(root);
        fact.is_none_or(|fact| self.files[fact].reign.ending || !self.files[fact].reign.begun)
    }

    /// One supervisor and everything below it.
    fn compare(&mut self, new: &Supervisor, all: &BTreeSet<Name>, changed: &mut Vec<Fact>) {
        let Some(sup) = self.truth.find(&new.name) else {
            return;
        };
        self.files[sup].reign.group = None;
        // What has begun by the old rules goes on by them.
        if let Some(rules) = self.truth.rules(sup)
            && rules.strategy != new.strategy
            && (rules.children.iter().any(|child| self.is_unsettled(*child))
                || !self.files[sup].reign.up)
        {
            self.files[sup].reign.disturbed = true;
        }
        if new.policy == Policy::Otp {
            // OTP's code_change starts and stops nobody, and a restart that is tried again is one
            // by the new strategy: whoever else was stopped for the old one stays down.
            self.forget_group(sup, new.strategy);
            return;
        }
        self.compare_children(sup, new, all);
        for child in &new.children {
            match child {
                Node::Supervisor(below) => self.compare(below, all, changed),
                Node::Service(service) => {
                    self.hold_the_group(sup, service);
                    self.compare_service(sup, service, changed);
                }
            }
        }
    }

    /// A new child whose breaker is open is held at once, and its group waits for it.
    fn hold_the_group(&mut self, sup: Fact, new: &Service) {
        let known = self.truth.find(&new.name);
        let lives = known.is_some_and(|fact| self.files[fact].live.is_some());
        let children = self.truth.rules(sup).map(|rules| rules.children.clone());
        if !new.breakers.is_empty() && !lives {
            self.reload.concerned.extend(children.unwrap_or_default());
        }
    }

    fn forget_group(&mut self, sup: Fact, strategy: Strategy) {
        let rules = self.truth.rules(sup);
        let children = rules.filter(|rules| rules.strategy != strategy);
        for fact in children.map_or(Vec::new(), |rules| rules.children.clone()) {
            let file = &mut self.files[fact];
            file.owed &= !file.grouped;
            file.grouped = false;
        }
    }

    fn compare_children(&mut self, sup: Fact, new: &Supervisor, all: &BTreeSet<Name>) {
        let Some(rules) = self.truth.rules(sup) else {
            return;
        };
        let children = rules.children.clone();
        // The root is restarted child by child, whatever its strategy.
        let root = self.truth.entry(sup).parent.is_none();
        let together = rules.exclusive || rules.strategy != new.strategy || root;
        let stays = |fact: &Fact| {
            // Here, or below another supervisor.
            let entry = self.truth.entry(*fact);
            let moves = all.contains(&entry.name) && self.truth.service(*fact).is_some();
            moves || new.children.iter().any(|child| *child.name() == entry.name)
        };
        let gone: Vec<Fact> = children.iter().copied().filter(|f| !stays(f)).collect();
        // A supervisor that is in the middle of something takes the rest of it along.
        let busy = children.iter().any(|fact| self.is_unsettled(*fact));
        if together && (busy || !self.files[sup].reign.up) {
            self.reload.concerned.extend(&children);
        }
        self.reload.concerned.extend(&gone);
        // One that a command is to add later is added after this, and not by it.
        let here = |at: &Fact| self.files[*at].live.is_some() || self.files[*at].reign.begun;
        let gone = gone.into_iter().filter(here).collect::<Vec<_>>();
        self.reload.leaving.extend(gone);
    }

    fn is_unsettled(&self, fact: Fact) -> bool {
        let file = &self.files[fact];
        let moving = |live: &super::court::Live| !live.ready || live.stopping.is_some();
        let reign = &file.reign;
        let reigning = reign.begun && (!reign.up || reign.ending);
        file.owed || file.live.as_ref().is_some_and(moving) || reigning
    }

    fn compare_service(&mut self, sup: Fact, new: &Arc<Service>, changed: &mut Vec<Fact>) {
        let Some(fact) = self.truth.find(&new.name) else {
            return;
        };
        let moved = self.truth.entry(fact).parent != Some(sup);
        // It cannot be moved as it is: the old one leaves, or a new one begins.
        let down = !self.files[sup].reign.begun || self.files[sup].reign.ending;
        let rests = self.files[fact].live.is_none();
        if moved && (self.is_unsettled(fact) || down || rests) {
            self.reload.concerned.insert(fact);
        }
        let Some(old) = self.truth.service(fact).map(Arc::clone) else {
            return;
        };
        if old.hold_after.is_some() && new.hold_after.is_none() {
            // If that held it, nothing does any more.
            self.concern_for(fact);
        }
        let old = &old;
        if started_with(old) == started_with(new) {
            return;
        }
        changed.push(fact);
        let file = &self.files[fact];
        let at_rest = !file.pinned && !self.is_unsettled(fact);
        if let Some(live) = file.live.as_ref().filter(|_| at_rest && !moved) {
            self.reload.outdated.push((fact, live.run));
        }
    }

    /// A service with another program is restarted as by order: with whom the strategy names.
    fn concern_for(&mut self, fact: Fact) {
        self.reload.concerned.insert(fact);
        let group = self
            .truth
            .rules_above(fact)
            .is_some_and(|(_, rules)| rules.exclusive && rules.strategy != Strategy::OneForOne);
        if group {
            let scope = self.scope(fact);
            self.reload.concerned.extend(scope);
        }
    }

    /// A pool is made smaller: these may go.
    pub(super) fn scaled(&mut self, pool: Fact, kept: &[Arc<Service>]) {
        let children = self.truth.rules(pool).map(|rules| rules.children.clone());
        for fact in children.unwrap_or_default() {
            let name = &self.truth.entry(fact).name;
            if kept.iter().all(|service| service.name != *name) {
                self.reload.concerned.insert(fact);
            }
        }
    }

    /// Whether it concerns this node, or one above it.
    fn is_reload_about(&self, fact: Fact) -> bool {
        let mut above = self.truth.lineage(fact);
        above.any(|at| self.reload.concerned.contains(&at))
    }

    /// Somebody is stopped by the configuration.
    pub(super) fn is_reloaded(&mut self, fact: Fact) {
        if !self.is_reload_about(fact) {
            let text = format!(
                "{} is stopped by a reload that changed nothing of it",
                self.name(fact)
            );
            self.accuse(15, text);
        }
    }

    /// A reload is answered: all of it has happened.
    pub(super) fn reload_is_done(&mut self, id: CommandId) {
        if self.reload.id != Some(id) || self.halted || self.haste.is_some() {
            return;
        }
        let reload = std::mem::take(&mut self.reload);
        for (fact, run) in reload.outdated {
            let file = &self.files[fact];
            let same = file.live.as_ref().filter(|live| live.run == run);
            // Whoever goes down with its supervisor is waited for by nobody.
            let above = |at: Fact| self.files[at].reign.ending || !self.files[at].reign.begun;
            let goes = file.wish.is_some() || self.truth.lineage(fact).skip(1).any(above);
            if same.is_some_and(|live| !live.unkillable) && !file.pinned && !goes {
                let text = format!("{} still runs its old program", self.name(fact));
                self.accuse(15, text);
            }
        }
        for fact in reload.leaving {
            // Its supervisor may leave, too, and its name be another one's by now.
            if let Some(run) = self.alive_below(fact) {
                let text = format!("{} was to leave, and {run} lives", self.name(fact));
                self.accuse(15, text);
            }
        }
        self.reload.concerned = reload.concerned;
    }

    /// Compares what people are shown before and after the reload was given.
    pub(crate) fn reload_keeps(
        &mut self,
        before: &[NodeView],
        after: &[NodeView],
        new: &Supervisor,
    ) {
        let after = by_name(after);
        let before = by_name(before);
        for (name, old) in &before {
            let name = *name;
            let Some(fact) = self.truth.find(name) else {
                continue;
            };
            if self.is_reload_about(fact) || self.is_unsettled(fact) {
                continue;
            }
            if self.begins_with_a_supervisor(fact, &before, &after) {
                continue;
            }
            // By another strategy, what it was in the middle of is a failure to be counted.
            // An end that was in the queue may have had its turn.
            let below = self.below(fact);
            let queued = below.into_iter().any(|child| self.files[child].owed);
            let disturbed = self.files[fact].reign.disturbed || queued;
            let kept = |view: &&NodeView| match kept(view) {
                is if disturbed => Kept {
                    recorded: None,
                    ..is
                },
                is => is,
            };
            let kept = |views: &[&NodeView]| views.iter().map(kept).collect();
            let was: Vec<Kept> = kept(old);
            let is: Vec<Kept> = after.get(name).map_or(Vec::new(), |views| kept(views));
            if was != is {
                let text = format!("{name} was not concerned: it was {was:?}, is {is:?}");
                return self.accuse(15, text);
            }
        }
        if self.reload.id.is_some() {
            self.reload_arrives(new, &after);
        }
    }

    /// Whether a supervisor above it was waiting and has begun: its children begin with it.
    fn begins_with_a_supervisor(
        &self,
        fact: Fact,
        before: &ByName<'_>,
        after: &ByName<'_>,
    ) -> bool {
        let reigns = |views: &ByName<'_>, at: Fact| {
            let views = views.get(&self.truth.entry(at).name);
            views.is_some_and(|views| views.iter().any(|view| reigns(view.state)))
        };
        let mut above = self.truth.lineage(fact).skip(1);
        above.any(|at| !reigns(before, at) && reigns(after, at))
    }

    /// Whatever the new specification names is there, as it says.
    fn reload_arrives(&mut self, sup: &Supervisor, after: &ByName<'_>) {
        for child in &sup.children {
            let is_it = |view: &&NodeView| match (&view.spec, child) {
                (Node::Service(is), Node::Service(new)) => is.process == new.process,
                (Node::Supervisor(_), Node::Supervisor(_)) => true,
                (Node::Service(_), Node::Supervisor(_))
                | (Node::Supervisor(_), Node::Service(_)) => false,
            };
            let there = after.get(child.name());
            if !there.is_some_and(|views| views.iter().any(is_it)) {
                let text = format!("{} is not what the configuration says", child.name());
                return self.accuse(15, text);
            }
            match child {
                Node::Supervisor(below) if below.policy == Policy::Supd => {
                    self.reload_arrives(below, after);
                }
                Node::Supervisor(_) | Node::Service(_) => {}
            }
        }
    }
}

/// Every name there is.
fn names(sup: &Supervisor, into: &mut BTreeSet<Name>) {
    for child in &sup.children {
        into.insert(Arc::clone(child.name()));
        if let Node::Supervisor(below) = child {
            names(below, into);
        }
    }
}

/// What a process was started with.
fn started_with(service: &Service) -> impl PartialEq {
    let handed = match &service.ready {
        Ready::Notify => Some(None),
        Ready::Fd(fd) => Some(Some(*fd)),
        Ready::Exec | Ready::After(_) | Ready::Probe(_) => None,
    };
    let told = (handed, service.health.watchdog);
    (Arc::clone(&service.process), service.kind, told)
}

fn kept(view: &NodeView) -> Kept {
    Kept {
        run: view.run,
        state: match view.state {
            // A supervisor's own state follows from those below.
            State::Degraded | State::Starting if view.recorded.is_some() => State::Up,
            // So does whether a service is asked again.
            State::Unready => State::Ready,
            other => other,
        },
        starts: view.starts,
        restarts: view.restarts,
        pinned: view.pinned,
        stopped: view.stopped_by.is_some(),
        recorded: view.recorded.map(|(restarts, _)| restarts),
    }
}

/// There may be several nodes of one name: those that leave, and the one that stays.
type ByName<'a> = BTreeMap<&'a Name, Vec<&'a NodeView>>;

/// Whether a supervisor in this state has begun and not ended.
fn reigns(state: State) -> bool {
    matches!(
        state,
        State::Starting | State::Up | State::Degraded | State::Stopping
    )
}

fn by_name(views: &[NodeView]) -> ByName<'_> {
    let mut found = ByName::new();
    for view in views {
        found.entry(view.spec.name()).or_default().push(view);
    }
    found
}
