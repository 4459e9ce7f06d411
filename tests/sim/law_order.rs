// SPDX-License-Identifier: MIT OR Apache-2.0
//! Laws about order: starts one after another and stops in reverse (4), a supervisor is down only
//! when everything below it is (7), the operator's word wins (8).

use super::court::Court;
use super::truth::Fact;
use std::time::Duration;
use supd::spec::Policy;
use supd::tree::{Haste, RunId, StartWhy, StopWhy};

/// `shutdown_timeout` of every simulated tree; what comes after it is no order any more.
const PATIENCE: Duration = Duration::from_secs(9);

impl Court {
    /// Law 8: who was stopped by hand stays down.
    pub(super) fn may_start(&mut self, fact: Fact, run: RunId) {
        for at in self.truth.lineage(fact).collect::<Vec<_>>() {
            if self.files[at].kept_down {
                let text = format!("{run} starts though {} was stopped by hand", self.name(at));
                self.accuse(8, text);
            }
        }
    }

    /// The rest of law 6: those further below go on until it is their turn to be stopped.
    pub(super) fn may_start_below(&mut self, fact: Fact) {
        let parent = self.truth.entry(fact).parent;
        if let Some(parent) = parent.filter(|parent| self.files[*parent].reign.exhausted) {
            let text = format!(
                "{} starts though {} gave up",
                self.name(fact),
                self.name(parent)
            );
            self.accuse(6, text);
        }
    }

    /// Law 4, starting.
    pub(super) fn in_start_order(&mut self, fact: Fact, why: StartWhy) {
        let Some((parent, rules)) = self.truth.rules_above(fact) else {
            return;
        };
        // Who is killed before its turn leaves gaps in the order.
        if self.haste == Some(Haste::Kill) {
            return;
        }
        // A reload puts a new child before one that is on its way already.
        if !rules.ordered || self.files[parent].reign.disturbed || why == StartWhy::Apply {
            return;
        }
        let exclusive = rules.exclusive;
        let place = self.truth.entry(fact).place;
        let blocking = rules.children.iter().copied().find(|sibling| {
            let earlier = self.truth.entry(*sibling).place < place;
            let tried = self.files[*sibling].hold.trial && why == StartWhy::Command;
            if tried {
                // Whoever acts need not wait for a trial.
                false
            } else if exclusive {
                // A later one may be on its way already when an earlier one is let go.
                let before = self.files[*sibling].live.as_ref();
                let starting = before.is_some_and(|live| live.stopping.is_none());
                *sibling != fact && self.is_in_motion(*sibling) && (earlier || !starting)
            } else {
                why == StartWhy::Boot && earlier && self.is_in_first_start(*sibling)
            }
        });
        if let Some(sibling) = blocking {
            let text = format!(
                "{} starts while {} is under way",
                self.name(fact),
                self.name(sibling)
            );
            self.accuse(4, text);
        }
    }

    fn is_in_motion(&self, fact: Fact) -> bool {
        let file = &self.files[fact];
        if file.pinned {
            return false;
        }
        let moving = file.live.as_ref().is_some_and(|live| match live.stopping {
            // A stop by hand interrupts: the group goes on without that child.
            // The end of one that is killed because it does not work is judged later.
            Some(StopWhy::Command(_) | StopWhy::Unhealthy(_)) => false,
            Some(_) => !live.unkillable,
            None => !live.ready,
        });
        // One that goes down by itself is nobody's business until it is down.
        let reign = &file.reign;
        moving || (reign.begun && !reign.up && !reign.ending)
    }

    fn is_in_first_start(&self, fact: Fact) -> bool {
        let live = self.files[fact].live.as_ref();
        live.is_some_and(|live| live.first && !live.ready && live.stopping.is_none())
    }

    /// Law 4, stopping.
    pub(super) fn in_stop_order(&mut self, fact: Fact, run: RunId, why: StopWhy) {
        let successor = self.files[fact].successor;
        if successor.is_some_and(|node| node != run.node) {
            // It leaves, and stands after all others.
            return;
        }
        let group = match why {
            StopWhy::Group(_) => true,
            StopWhy::Supervisor | StopWhy::Shutdown => false,
            StopWhy::Command(_)
            | StopWhy::Apply
            | StopWhy::StartTimeout
            | StopWhy::Unhealthy(_) => return,
        };
        let Some((parent, rules)) = self.truth.rules_above(fact) else {
            return;
        };
        let late = self
            .shutdown_at
            .is_some_and(|at| self.now.since(at) >= PATIENCE);
        let reckless = late || self.haste == Some(Haste::Kill) || self.truth.may_be_cut_short(fact);
        if !rules.ordered || reckless || self.files[parent].reign.disturbed {
            return;
        }
        let place = self.truth.entry(fact).place;
        let later = rules.children.iter().copied().find(|sibling| {
            self.truth.entry(*sibling).place > place
                && !(group && self.files[*sibling].pinned)
                && self.alive_below(*sibling).is_some()
        });
        if let Some(sibling) = later {
            let text = format!(
                "{} is stopped before {}",
                self.name(fact),
                self.name(sibling)
            );
            self.accuse(4, text);
        }
    }

    /// Law 7.
    pub(super) fn all_down_below(&mut self, fact: Fact) {
        if let Some(run) = self.alive_below(fact) {
            let text = format!("{} counts as down while {run} lives", self.name(fact));
            self.accuse(7, text);
        }
    }

    /// Whether an acknowledged stop of this node has to last.
    pub(super) fn stop_lasts(&self, fact: Fact) -> bool {
        self.truth
            .rules_above(fact)
            .is_some_and(|(_, rules)| rules.policy == Policy::Supd)
    }
}
