// SPDX-License-Identifier: MIT OR Apache-2.0
//! The trigger `unhealthy`: what is asked before a service is killed because it does not work
//! (SEMANTICS §6), so that a core or the stacks of a process that hangs can be kept.
//!
//! It never delays the kill by more than its bound, however many steps it has and whoever else has
//! hooks, and its verdict decides nothing: the service is killed whatever it says. Whoever stops
//! the tree, or pins the service, does not wait for it.

use super::Tree;
use super::condemn::Condemned;
use super::event::{NodeId, RunId};
use super::node::{Life, Rung};
use super::remedy::{Aim, CourseStage};
use super::timers::Purpose;
use crate::spec::limits::UNHEALTHY_TIMEOUT;
use crate::spec::{Class, Name, Trigger};

impl Tree {
    /// A service is unhealthy and is killed, after evidence of that was collected if somebody
    /// wants it.
    pub(super) fn collect_evidence(&mut self, id: NodeId, about: RunId, what: Condemned) {
        self.cancel_course(id);
        let course = self.course_for_trigger(id, Trigger::Unhealthy, Aim::Evidence);
        let Some(mut course) = course else {
            return self.condemned_step(id, 0);
        };
        let class = Class::of_condemned(what);
        let case = &mut course.case;
        case.class = Name::from(class.as_str());
        (case.base, case.family) = (class.as_str(), class.family());
        case.about = Some(about);
        // Its end is not there yet: what it is about is the stop that has just begun.
        (case.of, case.incident) = (self.nodes[id].seq, self.nodes[id].incident);
        self.clinic.courses.insert(id, course);
        self.set_rung(id, Rung::Evidence);
        let due = self.now + UNHEALTHY_TIMEOUT;
        self.timers.set(id, Purpose::Stop, due);
        self.begin_course(id);
    }

    /// The evidence has had its time: what collects it is killed, and has failed.
    pub(super) fn evidence_is_late(&mut self, id: NodeId) {
        match self.course(id).map(|course| course.at) {
            Some(CourseStage::Running(life) | CourseStage::Dying(life)) => {
                self.set_stage(id, CourseStage::Dying(life));
                self.on_remedy_timer(id);
            }
            Some(CourseStage::Queued) => self.on_remedy_timer(id),
            Some(CourseStage::Quiet | CourseStage::Following(_) | CourseStage::Pausing) | None => {
                self.call_off_course(id);
            }
        }
    }

    /// There is no more evidence to come: the ladder begins.
    pub(super) fn evidence_is_there(&mut self, id: NodeId) {
        if let Some(Life::Stopping(_, stopping)) = self.life(id)
            && stopping.rung == Rung::Evidence
        {
            self.condemned_step(id, 0);
        }
    }
}
