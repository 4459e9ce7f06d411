// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a shared breaker goes from one state to another, and what follows for whom it holds.
//!
//! The states are drawn in `breaker`. Whoever is let go is started by `aside`; who is tried by
//! `hold`. Nothing here is about a breaker that a service has for itself.

use super::Tree;
use super::aside::By;
use super::breaker::{BreakerId, BreakerState, Doubt, Question};
use super::event::NodeId;
use super::node::Rest;
use super::record::{Decision, StartWhy, What};
use super::supervisor::Message;
use super::timers::{Due, Purpose};
use super::transition::{Transition, TransitionWhy};
use crate::spec::Initial;
use std::sync::Arc;

/// How a trial went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried {
    Well,
    Badly,
}

impl Tree {
    /// The daemon is up: breakers that hold at boot are tested, others are watched.
    pub(super) fn begin_breakers(&mut self) {
        for id in self.breakers.ids() {
            self.begin_breaker(id);
        }
    }

    pub(super) fn begin_breaker(&mut self, id: BreakerId) {
        let Some(breaker) = self.breakers.get_mut(id) else {
            return;
        };
        breaker.since = self.now;
        if breaker.spec.initial == Initial::Probe {
            breaker.circuit.half_open();
            self.tell_breaker(id, BreakerState::Closed, TransitionWhy::Initial);
            return self.test(id);
        }
        self.watch_later(id);
    }

    /// The breaker that the last end of this child blames, if it lists it.
    pub(super) fn blamed(&self, child: NodeId) -> Option<BreakerId> {
        let (class, _) = self.last_end(child);
        let name = class.blames()?;
        let lists = self.service(child)?.breakers.contains(name);
        self.breakers.named(name).filter(|_| lists)
    }

    /// What the end of a child says about the breaker that it blames. `Some`: it is not restarted
    /// now.
    pub(super) fn blame_shared(&mut self, child: NodeId, why: StartWhy) -> Option<By> {
        if std::mem::take(&mut self.nodes[child].believed) {
            // The probe has said that it was not that.
            return None;
        }
        let id = self.blamed(child)?;
        let breaker = self.breakers.get_mut(id)?;
        if breaker.state() != BreakerState::Closed {
            return None;
        }
        if breaker.spec.probe.is_none() {
            return self.count_blame(id).then_some(By::Breakers);
        }
        breaker.doubts.push(Doubt { child, why });
        let confirming = matches!(breaker.asked, Some((_, Question::Confirm)));
        if !confirming {
            self.forget_question(id);
            self.ask_about(id, Question::Confirm);
        }
        Some(By::Doubt)
    }

    /// One more in a row. True: that was the last one it bears.
    pub(super) fn count_blame(&mut self, id: BreakerId) -> bool {
        let Some(breaker) = self.breakers.get_mut(id) else {
            return false;
        };
        let last = breaker.circuit.failed(breaker.spec.failures);
        if last {
            self.trip(id, TransitionWhy::Failures);
        }
        last
    }

    /// It opens, or opens again.
    pub(super) fn trip(&mut self, id: BreakerId, why: TransitionWhy) {
        let Some(breaker) = self.breakers.get_mut(id) else {
            return;
        };
        let before = breaker.state();
        if breaker.fresh {
            // Until it has been closed once, nothing has become worse.
            breaker.circuit.openings = 0;
        }
        let span = breaker
            .circuit
            .open(self.now, breaker.measures(), &mut self.chance);
        (breaker.trial, breaker.misses) = (None, 0);
        breaker.queue.clear();
        self.breakers.testing.remove(&id);
        self.forget_question(id);
        for due in [Due::Watch, Due::Release] {
            self.timers.clear(self.root, Purpose::Breaker(id, due));
        }
        let until = self.now + span;
        self.timers
            .set(self.root, Purpose::Breaker(id, Due::Open), until);
        self.tell_breaker(id, before, why);
        self.hold_doubted(id);
    }

    /// The ends that waited for a probe of it: their services are held, and nobody is counted.
    pub(super) fn hold_doubted(&mut self, id: BreakerId) {
        let doubts = self
            .breakers
            .get_mut(id)
            .map(|b| std::mem::take(&mut b.doubts));
        for doubt in doubts.unwrap_or_default() {
            let child = doubt.child;
            if !self.is_in_doubt(child) {
                continue;
            }
            let cause = self.last_end(child).1;
            let delay = self.time_left(child).unwrap_or_default();
            self.conclude(child, cause, Decision::Hold { delay }, None);
            self.hold_down(child, By::Breakers);
            if let Some(sup) = self.nodes[child]
                .parent
                .filter(|sup| !self.is_going_down(*sup))
            {
                self.others_wait(sup, child);
            }
        }
    }

    pub(super) fn is_in_doubt(&self, child: NodeId) -> bool {
        let node = self.nodes.get(child);
        node.and_then(super::node::Node::rest) == Some(Rest::Aside(By::Doubt))
    }

    /// The dependency is there: the ends that waited count now.
    pub(super) fn believe(&mut self, id: BreakerId) {
        let doubts = self
            .breakers
            .get_mut(id)
            .map(|b| std::mem::take(&mut b.doubts));
        let mut doubts = doubts.unwrap_or_default().into_iter();
        while let Some(doubt) = doubts.next() {
            let child = doubt.child;
            if !self.is_in_doubt(child) {
                continue;
            }
            self.cause = self.last_end(child).1;
            if self.count_blame(id) {
                if let Some(breaker) = self.breakers.get_mut(id) {
                    breaker.doubts = std::iter::once(doubt).chain(doubts).collect();
                }
                return self.hold_doubted(id);
            }
            self.go_on_counted(doubt);
        }
    }

    pub(super) fn go_on_counted(&mut self, doubt: Doubt) {
        let Doubt { child, why } = doubt;
        let cause = self.cause;
        self.nodes[child].believed = true;
        self.nodes[child].set_rest(Rest::Retrying { cause });
        let Some(sup) = self.nodes[child]
            .parent
            .filter(|sup| !self.is_going_down(*sup))
        else {
            return;
        };
        if self.is_exclusive(sup) {
            return self.post(sup, Message::Retry(child));
        }
        self.recover(sup, child, why);
    }

    /// The test was good: those that it holds are let go, one after another.
    pub(super) fn close(&mut self, id: BreakerId, why: TransitionWhy) {
        let Some(breaker) = self.breakers.get_mut(id) else {
            return;
        };
        let before = breaker.state();
        breaker.circuit.close();
        (breaker.trial, breaker.fresh) = (None, false);
        self.breakers.testing.remove(&id);
        self.timers
            .clear(self.root, Purpose::Breaker(id, Due::Open));
        self.tell_breaker(id, before, why);
        self.let_go(id);
        self.watch_later(id);
    }

    pub(super) fn let_go(&mut self, id: BreakerId) {
        let held = self.held_by_breaker(id);
        if let Some(breaker) = self.breakers.get_mut(id) {
            breaker.queue = held.into();
        }
        self.release_next(id);
    }

    pub(super) fn release_next(&mut self, id: BreakerId) {
        let Some(breaker) = self.breakers.get_mut(id) else {
            return;
        };
        let release = breaker.spec.release;
        let mut left = release.batch;
        while left > 0 {
            let next = self.breakers.get_mut(id).and_then(|b| b.queue.pop_front());
            let Some(child) = next else { return };
            let node = self.nodes.get(child);
            let aside = node.and_then(super::node::Node::rest) == Some(Rest::Aside(By::Breakers));
            // One that another breaker holds is let go by that.
            if aside && self.gate(child) != Some(By::Breakers) {
                left -= 1;
                self.bring_back(child);
            }
        }
        if self.breakers.get(id).is_some_and(|b| !b.queue.is_empty()) {
            let due = self.now + release.every;
            self.timers
                .set(self.root, Purpose::Breaker(id, Due::Release), due);
        }
    }

    /// A trial has come to an end: what is it to the breakers whose test it was?
    pub(super) fn tried(&mut self, child: NodeId, how: Tried) {
        let ids: Vec<BreakerId> = self.listed(child).collect();
        for id in ids {
            if self.breakers.get(id).is_none_or(|b| b.trial != Some(child)) {
                continue;
            }
            if how == Tried::Well {
                self.close(id, TransitionWhy::Test);
            } else {
                self.trip(id, TransitionWhy::Trial);
            }
        }
    }

    /// A service that lists them has been ready for a while.
    pub(super) fn steady_breakers(&mut self, child: NodeId) {
        let ids: Vec<BreakerId> = self.listed(child).collect();
        for id in ids {
            let Some(breaker) = self.breakers.get_mut(id) else {
                continue;
            };
            breaker.circuit.steady();
            if breaker.state() == BreakerState::Closed && std::mem::take(&mut breaker.alarmed) {
                let name = Arc::clone(&breaker.spec.name);
                let raised = false;
                self.record_breaker(
                    id,
                    What::BreakerAlarm {
                        breaker: name,
                        raised,
                    },
                );
            }
        }
    }

    /// Writes down that a breaker is in another state.
    pub(super) fn tell_breaker(&mut self, id: BreakerId, from: BreakerState, why: TransitionWhy) {
        let Some(breaker) = self.breakers.get_mut(id) else {
            return;
        };
        breaker.since = self.now;
        let to = breaker.state();
        let breaker_name = Arc::clone(&breaker.spec.name);
        let forced = breaker.forced.as_ref();
        let transition = Transition {
            breaker: Arc::clone(&breaker_name),
            from,
            to,
            why,
            span: breaker.until().map(|until| until.since(self.now)),
            by: forced.map(|forced| forced.by),
            reason: forced.and_then(|forced| forced.reason.clone()),
        };
        let raised = to == BreakerState::Open && !std::mem::replace(&mut breaker.alarmed, true);
        if to != BreakerState::Open {
            breaker.alarmed &= !raised;
        }
        self.cause = Some(self.record_breaker(id, What::Breaker(Box::new(transition))));
        if raised {
            let breaker = breaker_name;
            self.record_breaker(id, What::BreakerAlarm { breaker, raised });
        }
    }
}
