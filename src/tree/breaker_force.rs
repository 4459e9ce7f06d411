// SPDX-License-Identifier: MIT OR Apache-2.0
//! What people do about breakers: they force one, and change what the configuration says about it.
//!
//! What is forced always ends. A reload never forgets the state of a breaker that it keeps.

use super::Tree;
use super::breaker::{BreakerId, BreakerState, Forced};
use super::event::{Actor, CommandId, Force, Outcome};
use super::timers::{Due, Purpose};
use super::transition::TransitionWhy;
use crate::spec::{Breaker as Spec, Name, Tree as WholeSpec};
use std::sync::Arc;
use std::time::Duration;

impl Tree {
    /// Somebody wants a breaker in this state, or as it would be by itself.
    pub(super) fn force(&mut self, (id, by): (CommandId, Actor), name: &Name, force: Force) {
        let Some(breaker_id) = self.breakers.named(name) else {
            return self.reply(id, Outcome::NotFound);
        };
        match force {
            Force::Auto => self.unforce(breaker_id, TransitionWhy::Ordered),
            Force::Open { span, reason } => self.force_to(breaker_id, (true, span), (by, reason)),
            Force::Closed { span, reason } => {
                self.force_to(breaker_id, (false, span), (by, reason));
            }
        }
        self.reply(id, Outcome::Done);
    }

    pub(super) fn force_to(
        &mut self,
        id: BreakerId,
        (open, span): (bool, Duration),
        (by, reason): (Actor, Option<Box<str>>),
    ) {
        let Some(breaker) = self.breakers.get_mut(id) else {
            return;
        };
        let before = breaker.state();
        let until = self.now + span;
        breaker.forced = Some(Forced {
            open,
            until,
            by,
            reason,
        });
        (breaker.trial, breaker.misses) = (None, 0);
        breaker.queue.clear();
        if !open {
            breaker.circuit.close();
        }
        self.breakers.testing.remove(&id);
        for due in [Due::Open, Due::Watch, Due::Release] {
            self.timers.clear(self.root, Purpose::Breaker(id, due));
        }
        self.forget_question(id);
        self.timers
            .set(self.root, Purpose::Breaker(id, Due::Forced), until);
        self.tell_breaker(id, before, TransitionWhy::Ordered);
        if open {
            self.hold_doubted(id);
        } else {
            self.believe(id);
            self.let_go(id);
        }
    }

    /// It is by itself again. One that was open is tested first: nobody knows.
    pub(super) fn unforce(&mut self, id: BreakerId, why: TransitionWhy) {
        self.timers
            .clear(self.root, Purpose::Breaker(id, Due::Forced));
        let Some(breaker) = self.breakers.get_mut(id) else {
            return;
        };
        let before = breaker.state();
        let Some(forced) = breaker.forced.take() else {
            return;
        };
        if forced.open {
            breaker.circuit.half_open();
            self.tell_breaker(id, before, why);
            return self.test(id);
        }
        breaker.circuit.close();
        self.tell_breaker(id, before, why);
        self.watch_later(id);
    }

    /// A new configuration: breakers keep what they know, whatever else is said about them.
    pub(super) fn apply_breakers(&mut self, spec: &Arc<WholeSpec>) {
        for new in spec.breakers.iter() {
            match self.breakers.named(&new.name) {
                None => {
                    let id = self.breakers.enter(new, self.now);
                    self.begin_breaker(id);
                }
                Some(id) => self.respecify_breaker(id, new),
            }
        }
        for id in self.breakers.ids() {
            let gone = self.breakers.get(id).is_some_and(|breaker| {
                let name = &breaker.spec.name;
                !spec.breakers.iter().any(|new| new.name == *name)
            });
            if gone {
                self.drop_breaker(id);
            }
        }
    }

    pub(super) fn respecify_breaker(&mut self, id: BreakerId, new: &Arc<Spec>) {
        let Some(breaker) = self.breakers.get_mut(id) else {
            return;
        };
        if breaker.spec == *new {
            return;
        }
        breaker.spec = Arc::clone(new);
        let tested = breaker.state() == BreakerState::HalfOpen;
        breaker.trial = None;
        self.forget_question(id);
        self.timers
            .clear(self.root, Purpose::Breaker(id, Due::Watch));
        self.breakers.testing.remove(&id);
        self.believe(id);
        if tested {
            self.test(id);
        }
        self.watch_later(id);
    }

    pub(super) fn drop_breaker(&mut self, id: BreakerId) {
        self.forget_question(id);
        for due in Due::ALL {
            self.timers.clear(self.root, Purpose::Breaker(id, due));
        }
        self.believe(id);
        let gone = self.breakers.forget(id);
        self.trials
            .extend(gone.map(|breaker| breaker.held).unwrap_or_default());
    }
}
