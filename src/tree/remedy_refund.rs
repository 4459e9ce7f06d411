// SPDX-License-Identifier: MIT OR Apache-2.0
//! The trigger `exhausted`: a remedy that is asked before a budget that is used up has its
//! consequence, and may give it back, once per window (SEMANTICS §6).
//!
//! `fixed` gives the budget back but for the restart it is about; any other verdict changes nothing
//! about what the budget says, except that `park` and `escalate` hold whatever that is.

use super::Tree;
use super::event::NodeId;
use super::record::{Budget, StartWhy};
use super::remedy::{Aim, Answer, Course};
use crate::spec::{Then, Trigger, Verdict};
use std::time::Duration;

impl Tree {
    /// A budget is used up: is there a remedy for that? It may give it back once per window.
    pub(super) fn asks_for_refund(
        &mut self,
        child: NodeId,
        (budget, then): (Budget, Then),
        why: StartWhy,
    ) -> bool {
        let aim = Aim::Refund { budget, then };
        let course = self.course_for_trigger(child, Trigger::Exhausted, aim);
        let Some(mut course) = course else {
            return false;
        };
        course.why = why;
        self.begin_treatment(budget.supervisor, child, (course, Some(budget)));
        true
    }

    pub(super) fn refund_after(
        &mut self,
        id: NodeId,
        course: &Course,
        (budget, then, answer): (Budget, Then, Answer),
    ) {
        if let Some(why) = course.ordered {
            return self.go_on(id, why, Duration::ZERO);
        }
        match answer.verdict {
            Verdict::Fixed => {
                self.refund(budget);
                let _usual = self.draw_usual(id);
                self.go_on(id, course.why, Duration::ZERO);
            }
            Verdict::Park => self.park_by_remedy(id),
            Verdict::Escalate => self.escalate_by_remedy(id),
            Verdict::Retry
            | Verdict::Blame
            | Verdict::Declined
            | Verdict::Failed
            | Verdict::Cancelled => self.out_of_budget(id, budget, then),
        }
    }

    /// The budget is empty again, but for this restart.
    fn refund(&mut self, budget: Budget) {
        let now = self.now;
        let Some(sup) = self.nodes[budget.supervisor].sup_mut() else {
            return;
        };
        sup.refunded.insert(budget.bucket, now);
        let window = match budget.bucket {
            None => &mut sup.window,
            Some(family) => sup.buckets.entry(family).or_default(),
        };
        window.clear();
        let _first = window.record(now, budget.max, budget.period);
    }

    /// As if the budget were used up without a remedy for that.
    fn out_of_budget(&mut self, id: NodeId, budget: Budget, then: Then) {
        match then {
            Then::Escalate => self.give_up(budget.supervisor, id, budget),
            Then::Park => self.put_aside_after_all(id, budget, None),
            Then::Hold(span) => self.put_aside_after_all(id, budget, Some(span)),
        }
    }

    fn put_aside_after_all(&mut self, id: NodeId, budget: Budget, span: Option<Duration>) {
        self.leave_task(budget.supervisor, id);
        self.put_aside(id, budget, span);
        self.others_go_on(budget.supervisor);
    }
}
