// SPDX-License-Identifier: MIT OR Apache-2.0
//! Laws about restarts: the intensity and its escalation (6), nothing owed is forgotten (9), what
//! never restarts (10).

use super::court::Court;
use super::truth::Fact;
use supd::spec::Restart;
use supd::tree::{Budget, Class, Decision, RunId, StartWhy, StopWhy};

impl Court {
    pub(super) fn starting(&mut self, fact: Fact, run: RunId, (number, why): (u32, StartWhy)) {
        self.start_while_held(fact, why);
        let restart = self.truth.entry(fact).restart;
        // A group can be the first to start it, when it was pinned before its turn at the boot.
        let again = number > 1
            && matches!(
                why,
                StartWhy::Restart | StartWhy::Retry | StartWhy::Group(_)
            );
        if restart == Restart::Temporary && again {
            let text = format!("temporary {} starts again: {why:?}", self.name(fact));
            self.accuse(10, text);
        }
        self.no_longer_put_off(fact);
        let file = &mut self.files[fact];
        file.owed = false;
        file.grouped = false;
        file.finished = false;
        if let Some((before, _)) = file.announced.replace((run, why)) {
            self.accuse(12, format!("{run} is announced while {before} waits"));
        }
    }

    /// Which classes are a normal end for the restart type (SEMANTICS §5).
    pub(super) fn is_normal(class: Class) -> bool {
        matches!(class, Class::Clean | Class::Escalated | Class::AutoShutdown)
    }

    pub(super) fn decided(
        &mut self,
        fact: Fact,
        class: Class,
        (decision, budget): (Decision, Option<Budget>),
    ) {
        self.held_by(fact, (class, decision, budget));
        let restart = self.truth.entry(fact).restart;
        let normal = Self::is_normal(class);
        match decision {
            Decision::Restart { .. } | Decision::Remediate => {
                self.files[fact].owed = true;
                self.group_decided(fact);
                // In OTP whatever ends before it is ready is a failed start, tried again.
                let literal = self.files[fact].failed_start && !self.stop_lasts(fact);
                if normal && restart == Restart::Transient && !literal {
                    let text = format!("transient {} restarts after {class:?}", self.name(fact));
                    self.accuse(10, text);
                }
                let put_off = decision == Decision::Remediate && self.put_off(fact, class, budget);
                if !put_off {
                    self.token(fact, class, budget);
                }
            }
            Decision::Escalate => self.one_too_many(fact),
            // A breaker: no budget has anything to do with that.
            Decision::Hold { .. } if budget.is_none() => self.files[fact].owed = false,
            Decision::Park | Decision::Hold { .. } => self.put_aside(fact),
            Decision::StayDown => {
                let restarts = match restart {
                    Restart::Permanent => true,
                    Restart::Transient => !normal,
                    Restart::Temporary => false,
                };
                // A first start that fails, in OTP, and one by a command that adds a child.
                let given_up = self.files[fact].failed_start
                    && (self.files[fact].guest || !self.stop_lasts(fact));
                if restarts && !given_up {
                    let text = format!("{} stays down after {class:?}", self.name(fact));
                    self.accuse(9, text);
                }
            }
            // Whatever its probe says, something follows.
            Decision::Confirm => self.files[fact].owed = false,
            Decision::Done
            | Decision::Expected
            | Decision::Absorbed
            | Decision::LeftAlone
            | Decision::Queued => {}
        }
        if decision == Decision::Done {
            self.files[fact].finished = true;
        }
    }

    /// A restart within the limit.
    fn token(&mut self, fact: Fact, class: Class, budget: Option<Budget>) {
        match budget {
            Some(budget) => self.tokens.push((budget.used, fact)),
            None if class == Class::SpawnFailed => {}
            None => {
                let text = format!("{} restarts uncounted after {class:?}", self.name(fact));
                self.accuse(6, text);
            }
        }
    }

    /// What was decided because of one event is counted in the order of its own numbers: a decision
    /// may stand in the record of an end that was written before another one's.
    pub(super) fn count_tokens(&mut self) {
        let mut tokens = std::mem::take(&mut self.tokens);
        tokens.sort_unstable();
        for (recorded, fact) in tokens {
            let Some((parent, rules)) = self.truth.rules_above(fact) else {
                continue;
            };
            let (max, period) = (rules.max_restarts, rules.period);
            let now = self.now;
            let window = &mut self.files[parent].reign.window;
            window.retain(|at| now.since(*at) <= period);
            window.push(now);
            let used = window.len();
            if used > max || usize::try_from(recorded).ok() != Some(used) {
                let text = format!(
                    "{} restarts for the {used}th time (recorded {recorded}) of {max} under {}",
                    self.name(fact),
                    self.name(parent)
                );
                self.accuse(6, text);
            }
        }
    }

    fn one_too_many(&mut self, fact: Fact) {
        self.count_tokens();
        let Some((parent, rules)) = self.truth.rules_above(fact) else {
            return;
        };
        let (max, period) = (rules.max_restarts, rules.period);
        let now = self.now;
        let reign = &mut self.files[parent].reign;
        reign.to_exhaust = true;
        reign.window.retain(|at| now.since(*at) <= period);
        if reign.window.len() < max {
            let used = reign.window.len();
            let text = format!("{} gives up with {used} of {max} used", self.name(parent));
            self.accuse(6, text);
        }
    }

    /// One too many, and nobody gives up: its supervisor's window is used up.
    fn put_aside(&mut self, fact: Fact) {
        self.one_too_many(fact);
        let now = self.now;
        if let Some((parent, _)) = self.truth.rules_above(fact) {
            let reign = &mut self.files[parent].reign;
            reign.to_exhaust = false;
            reign.window.push(now);
        }
        self.files[fact].owed = false;
    }

    /// It is no longer put aside, and the budget it had used up is empty.
    pub(super) fn released(&mut self, fact: Fact) {
        self.files[fact].aside = false;
        self.unheld(fact);
        if !std::mem::take(&mut self.files[fact].spent) {
            return;
        }
        if let Some((parent, _)) = self.truth.rules_above(fact) {
            self.count_tokens();
            self.files[parent].reign.window.clear();
        }
    }

    /// Whether a sibling that is put aside keeps it down.
    pub(super) fn waits_for_aside(&self, fact: Fact) -> bool {
        let Some((_, rules)) = self.truth.rules_above(fact) else {
            return false;
        };
        let aside = |at: &&Fact| self.files[**at].aside;
        let names = |at: &Fact| self.scope(*at).contains(&fact);
        rules.children.iter().filter(aside).any(names)
    }

    pub(super) fn exhausted(&mut self, sup: Fact) {
        self.nobody_refunds(sup);
        let reign = &mut self.files[sup].reign;
        let again = reign.exhausted;
        let expected = std::mem::take(&mut reign.to_exhaust);
        reign.exhausted = true;
        if again || !expected {
            let text = format!("{} gives up twice or for nothing", self.name(sup));
            self.accuse(6, text);
        }
        self.forgive_debts(sup);
    }

    pub(super) fn escalated(&mut self, sup: Fact, class: Class) {
        let told = self.was_told_to(sup);
        if class == Class::Escalated && !self.files[sup].reign.exhausted && !told {
            let text = format!("{} escalates without having given up", self.name(sup));
            self.accuse(6, text);
        }
        self.reign_ends(sup);
    }

    /// Whoever goes down owes nothing to those below.
    pub(super) fn forgive_debts(&mut self, sup: Fact) {
        for fact in self.below(sup).into_iter().skip(1) {
            self.files[fact].owed = false;
        }
    }

    pub(super) fn reign_begins(&mut self, sup: Fact) {
        self.count_tokens();
        let begun = self.files[sup].reign.begun;
        if begun {
            let text = format!("{} starts though it runs", self.name(sup));
            self.accuse(12, text);
        }
        self.truth.begin(sup);
        self.open_files();
        let file = &mut self.files[sup];
        file.owed = false;
        file.grouped = false;
        file.reign.number += 1;
        file.reign.group = None;
        file.failed_start = false;
        file.reign.begun = true;
        file.reign.up = false;
        file.reign.ending = false;
        file.reign.window.clear();
        file.reign.exhausted = false;
        file.reign.to_exhaust = false;
        self.holds_begin(sup);
        self.may_begin(sup);
        self.may_start_below(sup);
    }

    fn may_begin(&mut self, sup: Fact) {
        for at in self.truth.lineage(sup).collect::<Vec<_>>() {
            if self.files[at].kept_down {
                let text = format!("{} starts though stopped by hand", self.name(sup));
                self.accuse(8, text);
            }
        }
    }

    pub(super) fn ending(&mut self, sup: Fact, why: StopWhy) {
        // One that ends by itself gives the same reason as one that goes with its supervisor.
        if why != StopWhy::Supervisor && self.truth.entry(sup).parent.is_some() {
            self.is_concerned(sup, why);
        }
        self.files[sup].reign.group = None;
        self.files[sup].reign.ending = true;
        self.forgive_debts(sup);
    }

    pub(super) fn reign_ends(&mut self, sup: Fact) {
        self.all_down_below(sup);
        self.forgive_debts(sup);
        let file = &mut self.files[sup];
        if !file.reign.begun {
            self.accuse(
                12,
                format!("{} ends though it does not run", self.name(sup)),
            );
        }
        let file = &mut self.files[sup];
        file.reign.begun = false;
        file.reign.up = false;
        file.reign.ending = false;
    }
}
