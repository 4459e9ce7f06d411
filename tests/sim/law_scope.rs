// SPDX-License-Identifier: MIT OR Apache-2.0
//! Laws about whom a decision touches: a strategy exactly whom it says (5), nobody who is pinned
//! (the rest of 8).

use super::court::{Court, Given};
use super::truth::Fact;
use supd::spec::{Name, Policy, Restart, Strategy};
use supd::tree::{Actor, Command, NodeId, RunId, StartWhy, StopWhy};

/// Whom the restart of one child concerns, until its start begins.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// Each of these has to be gone before anybody of the group is started.
    must_go: Vec<(Fact, Mark)>,
}

/// One life of a node: a run, or an incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Run(RunId),
    Reign(u32),
}

impl Court {
    /// Whom the strategy names when this node fails: itself, and these siblings.
    pub(super) fn scope(&self, fact: Fact) -> Vec<Fact> {
        let Some((_, rules)) = self.truth.rules_above(fact) else {
            return vec![fact];
        };
        let place = self.truth.entry(fact).place;
        let mut scope: Vec<Fact> = match rules.strategy {
            Strategy::OneForOne => vec![fact],
            Strategy::OneForAll => rules.children.clone(),
            Strategy::RestForOne => {
                let after = |at: &Fact| self.truth.entry(*at).place >= place;
                rules.children.iter().copied().filter(after).collect()
            }
        };
        scope.sort_by_key(|at| self.truth.entry(*at).place);
        scope
    }

    fn is_literal(&self, fact: Fact) -> bool {
        let above = self.truth.rules_above(fact);
        above.is_some_and(|(_, rules)| rules.policy == Policy::Otp)
    }

    fn mark(&self, fact: Fact) -> Option<Mark> {
        let file = &self.files[fact];
        let run = file.live.as_ref().filter(|live| !live.unkillable);
        let reign = file.reign.begun.then_some(Mark::Reign(file.reign.number));
        run.map(|live| Mark::Run(live.run)).or(reign)
    }

    /// A restart is decided: who of the others has to go?
    pub(super) fn group_decided(&mut self, fact: Fact) {
        let Some((parent, rules)) = self.truth.rules_above(fact) else {
            return;
        };
        if !rules.exclusive || rules.strategy == Strategy::OneForOne {
            return;
        }
        let literal = self.is_literal(fact);
        let mut must_go = Vec::new();
        for sibling in self.scope(fact) {
            let spared = sibling == fact || (self.files[sibling].pinned && !literal);
            if let Some(mark) = self.mark(sibling).filter(|_| !spared) {
                must_go.push((sibling, mark));
            }
        }
        let group = self.files[parent].reign.group.get_or_insert_default();
        group.must_go.extend(must_go);
    }

    /// Somebody of a group is started: everybody else of it has been stopped.
    pub(super) fn group_starts(&mut self, fact: Fact, why: StartWhy) {
        self.is_not_pinned(fact, why);
        let Some(parent) = self.truth.entry(fact).parent else {
            return;
        };
        if let StartWhy::Group(child) = why {
            self.is_in_scope(fact, child, "started");
        }
        if !matches!(
            why,
            StartWhy::Restart | StartWhy::Retry | StartWhy::Group(_)
        ) {
            return;
        }
        let Some(group) = self.files[parent].reign.group.take() else {
            return;
        };
        let left = group.must_go.iter().find(|(sibling, mark)| {
            self.truth.entry(*sibling).parent == Some(parent) && self.mark(*sibling) == Some(*mark)
        });
        if let Some((sibling, _)) = left {
            let text = format!(
                "{} starts, and {} was not stopped before",
                self.name(fact),
                self.name(*sibling)
            );
            self.accuse(5, text);
        }
    }

    /// What the record of a strategy says.
    pub(super) fn scope_recorded(&mut self, child: NodeId, recorded: &[Name]) {
        let Some(fact) = self.ids.get(&child).copied() else {
            return;
        };
        let scope = self.scope(fact);
        // Who is not in the tree any more, or not yet, is in the judges' books all the same.
        let known = recorded.iter().all(|name| {
            let found = self.truth.find(name);
            found.is_some_and(|at| scope.contains(&at))
        });
        if !known || !recorded.iter().any(|name| **name == *self.name(fact)) {
            let text = format!("the failure of {} concerns {recorded:?}", self.name(fact));
            self.accuse(5, text);
        }
    }

    /// Whoever is pinned now is spared by what is under way.
    pub(super) fn spared(&mut self, fact: Fact) {
        let parent = self
            .truth
            .entry(fact)
            .parent
            .filter(|_| !self.is_literal(fact));
        if let Some(group) = parent.and_then(|parent| self.files[parent].reign.group.as_mut()) {
            group.must_go.retain(|(sibling, _)| *sibling != fact);
        }
    }

    fn is_in_scope(&mut self, fact: Fact, child: NodeId, verb: &str) {
        let Some(failed) = self.ids.get(&child).copied() else {
            return self.accuse(5, format!("{} is {verb} for nobody", self.name(fact)));
        };
        let parent = self.truth.entry(fact).parent;
        if parent.is_some_and(|parent| self.files[parent].reign.disturbed) {
            return;
        }
        if failed == fact || !self.scope(failed).contains(&fact) {
            let text = format!(
                "{} is {verb} because of {}, whom it does not concern",
                self.name(fact),
                self.name(failed)
            );
            self.accuse(5, text);
        }
    }

    /// Somebody is to be stopped, for this reason: is it concerned?
    pub(super) fn is_concerned(&mut self, fact: Fact, why: StopWhy) {
        match why {
            StopWhy::Group(child) => {
                self.is_in_scope(fact, child, "stopped");
                if self.files[fact].pinned && !self.is_literal(fact) {
                    let text = format!("{} is pinned and stopped by a strategy", self.name(fact));
                    self.accuse(8, text);
                }
            }
            StopWhy::Supervisor | StopWhy::Shutdown => {
                let ends = |at: Fact| self.files[at].reign.ending;
                if !self.truth.lineage(fact).any(ends) {
                    let text = format!(
                        "{} is stopped with a supervisor that stays",
                        self.name(fact)
                    );
                    self.accuse(5, text);
                }
            }
            StopWhy::Command(by) => self.is_ordered(fact, by),
            StopWhy::Apply => self.is_reloaded(fact),
            StopWhy::StartTimeout | StopWhy::Unhealthy(_) => {}
        }
    }

    /// A stop by order is for whom it was ordered, and for whom the strategy names with it.
    fn is_ordered(&mut self, fact: Fact, by: Actor) {
        let ordered = |given: &&Given| given.by == by;
        let Some(given) = self.given.values().rev().find(ordered) else {
            return;
        };
        let target = given.target;
        let parent = self.truth.entry(fact).parent;
        let concerned = match (&given.command, target) {
            _ if parent.is_some_and(|parent| self.files[parent].reign.disturbed) => true,
            (_, Some(target)) if target == fact => true,
            (Command::Scale(_, kept), Some(pool)) => {
                let name = self.name(fact);
                parent == Some(pool) && kept.iter().all(|service| *service.name != *name)
            }
            (Command::Restart(_) | Command::RestartOnly(_), Some(root))
                if self.truth.entry(root).parent.is_none() =>
            {
                self.truth.entry(fact).parent == Some(root)
            }
            (Command::Restart(_), Some(target)) => {
                let above = self.truth.rules_above(target);
                let group = above.is_some_and(|(_, rules)| rules.exclusive);
                group && self.scope(target).contains(&fact)
            }
            (_, Some(_) | None) => false,
        };
        if !concerned {
            let name = self.name(fact);
            let text = format!("{name} is stopped by an order that does not concern it: {given:?}");
            self.accuse(5, text);
        }
    }

    /// The rest of law 8: no strategy, no retry and no reload starts who is pinned.
    fn is_not_pinned(&mut self, fact: Fact, why: StartWhy) {
        let moves = match why {
            StartWhy::Restart
            | StartWhy::Retry
            | StartWhy::Apply
            | StartWhy::Trial
            | StartWhy::Group(_) => true,
            StartWhy::Boot | StartWhy::Command | StartWhy::Released => false,
        };
        // OTP knows no pins: what its supervisors have begun goes on.
        if moves && self.files[fact].pinned && !self.is_literal(fact) {
            let text = format!("{} is pinned and started: {why:?}", self.name(fact));
            self.accuse(8, text);
        }
    }

    /// Whoever was stopped for its group is started with it.
    pub(super) fn group_owes(&mut self, fact: Fact, why: StopWhy) {
        let file = &self.files[fact];
        let literal = self.is_literal(fact);
        let spared = file.pinned || file.kept_down || file.wish.is_some();
        let comes_back = self.truth.entry(fact).restart != Restart::Temporary;
        if matches!(why, StopWhy::Group(_)) && comes_back && (literal || !spared) {
            let file = &mut self.files[fact];
            file.owed = true;
            file.grouped = true;
        }
    }
}
