// SPDX-License-Identifier: MIT OR Apache-2.0
//! What ends a course before it has an answer, and what waits for it (SEMANTICS §6).
//!
//! A stop, a shutdown, a pin, a change of the service and the end of its supervisor call it off:
//! its program is killed, and nothing that it would have said counts. A start by order waits. Who
//! comes first is decided by who calls; what becomes of the service afterwards, too.

use super::Tree;
use super::event::{NodeId, Outcome};
use super::node::Rest;
use super::record::StartWhy;
use super::remedy::{Aim, Answer, CourseStage};
use super::task::Stage;
use super::timers::Purpose;
use crate::spec::Verdict;
use crate::spec::limits::UNKILLABLE_AFTER;
use std::sync::Arc;

impl Tree {
    /// Something else comes first: the course is called off, and its program is killed. What
    /// becomes of the service is the caller's affair.
    pub(super) fn cancel_course(&mut self, id: NodeId) {
        let Some(course) = self.clinic.courses.remove(&id) else {
            return;
        };
        self.timers.clear(id, Purpose::Remedy);
        self.clinic.queue.retain(|waiting| *waiting != id);
        let life = match course.at {
            CourseStage::Running(life) | CourseStage::Dying(life) => Some(life),
            CourseStage::Quiet
            | CourseStage::Following(_)
            | CourseStage::Queued
            | CourseStage::Pausing => None,
        };
        if let Some(life) = life {
            self.let_die(id, life);
        }
        if let (Some(since), Some(entry)) = (course.since, course.entries.front()) {
            let answer = Answer {
                life,
                ..Answer::plain(Verdict::Cancelled)
            };
            if !matches!(course.aim, Aim::Rehearsal(_)) {
                self.count_answer(entry, Verdict::Cancelled);
            }
            let outer = std::mem::replace(&mut self.incident, course.case.incident);
            let _seq = self.finished(id, entry, (since, answer));
            self.incident = outer;
        }
        if let Aim::Rehearsal(command) = course.aim {
            self.reply(command, Outcome::Superseded);
        }
        self.lead_anew(id);
        self.serve_queue();
        // Whoever waited in the group because of this one need not.
        let sup = self.nodes[id]
            .parent
            .filter(|_| course.aim.holds_the_start());
        if let Some(sup) = sup
            && let Some(task) = self.task(sup)
            && task.stage == Stage::Delaying
            && !self.waits_for_courses(sup)
        {
            let due = task.until.map_or(self.now, |until| until.max(self.now));
            self.timers.set(sup, Purpose::Group, due);
        }
    }

    /// Everything goes down: no course is begun or goes on.
    pub(super) fn cancel_courses(&mut self) {
        let all: Vec<NodeId> = self.clinic.courses.keys().copied().collect();
        for id in all {
            self.call_off_course(id);
        }
    }

    /// The course of a service that is not to be started is called off.
    pub(super) fn call_off_course(&mut self, id: NodeId) {
        self.cancel_course(id);
        self.evidence_is_there(id);
        if let Some(Rest::Remediating { .. }) = self.nodes[id].rest() {
            self.nodes[id].set_rest(Rest::Off);
        }
    }

    /// A start of a service under treatment: one by order waits for the end of the course, any
    /// other comes first. True: it may go on now.
    pub(super) fn comes_before_course(&mut self, id: NodeId, why: StartWhy) -> bool {
        if !matches!(self.nodes[id].rest(), Some(Rest::Remediating { .. })) {
            return true;
        }
        if why == StartWhy::Command
            && let Some(course) = self.clinic.courses.get_mut(&id)
        {
            course.ordered = Some(why);
            return false;
        }
        self.cancel_course(id);
        let cause = self.cause;
        self.nodes[id].set_rest(Rest::Retrying { cause });
        true
    }

    /// Whether a program of its last course has yet to die; it is started when that is gone.
    pub(super) fn waits_for_its_hook(&mut self, id: NodeId, why: StartWhy) -> bool {
        if self.clinic.dying.is_empty() || self.nodes[id].rest().is_none() {
            return false;
        }
        let name = Arc::clone(self.nodes[id].name());
        let found = self.clinic.dying.values_mut().find(|d| d.name == name);
        let Some(dying) = found else {
            return false;
        };
        dying.heir = Some(id);
        self.nodes[id].again = Some(why);
        self.nodes[id].set_rest(Rest::Waiting { sibling: id });
        // Not for ever: SIGKILL may have no effect on it.
        self.timers
            .set(id, Purpose::Remedy, self.now + UNKILLABLE_AFTER);
        true
    }

    /// It has waited long enough for a program that SIGKILL does not end.
    pub(super) fn waits_no_longer(&mut self, id: NodeId) {
        let mut dying = self.clinic.dying.iter();
        let found = dying.find(|(_, dying)| dying.heir == Some(id));
        if let Some(life) = found.map(|(life, _)| *life) {
            self.hook_is_gone(life);
        }
    }

    /// Who waited for that program to be gone has its turn.
    pub(super) fn hook_is_gone(&mut self, life: u64) {
        let Some(dying) = self.clinic.dying.remove(&life) else {
            return;
        };
        if let Some(heir) = dying.heir
            && let Some(node) = self.nodes.get_mut(heir)
            && matches!(node.rest(), Some(Rest::Waiting { .. }))
            && let Some(why) = node.again.take()
        {
            self.timers.clear(heir, Purpose::Remedy);
            self.start(heir, why);
        }
        self.serve_queue();
    }
}
