// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done about an end before the service is started again (SEMANTICS §6).
//!
//! An end that calls for a restart is looked up in the registry, its token is recorded and
//! compared, and then, if there is an entry, the service is in a *course* of treatment: it rests as
//! `Remediating` until the entry has answered. The answer decides when it is started, or that it is
//! not. A course never delays a service that is not in its group.
//!
//! ```text
//! recover --entry found--> Quiet ----group is down----> Queued --a slot--> Running --ends--.
//!    |                        (one_for_one: at once)      ^  | too long               |     |
//!    | nothing found,         Following: another service  |  v                        | kill at
//!    | or skipped             of the same flight runs it  | as if there             next its time
//!    v                                                    | were no entry           step  |
//!  back-off, start                                  Pausing (a step `delay`) <--------|     v
//!                                                                              verdict, or Dying
//!
//! fixed     start now, once per incident; then the usual back-off
//! retry     the usual back-off, or the time it asked for
//! blame     its breaker opens; without one: retry
//! park      nobody starts it until somebody acts
//! escalate  the supervisor gives up
//! declined  the next entry outward; after the last one: as if there were none
//! failed    as if there were none
//! ```
//!
//! Who wins when something else comes meanwhile: a stop, a shutdown, a pin, a change of the service
//! and the end of its supervisor call the course off, and its program is killed. A start by order
//! waits for its end, and then nothing else counts. Another failure in the group joins: the group
//! starts when the last course is over, by the latest deadline. A service is never started while a
//! program of its last course lives.
//!
//! This file has the course from its begin to what follows from it; which entry is taken is in
//! `remedy_find`, how a step is done in `remedy_step`. A token that was recorded is given back by
//! `exhausted` alone, once per window.

use super::Tree;
use super::effect::Case;
use super::event::{CommandId, NodeId, Outcome, RunId, Time};
use super::node::{Ending, Rest};
use super::record::{Budget, Decision, HookEnd, Seq, Skip, StartWhy, What};
use super::remedy_find::Account;
use super::task::Stage;
use super::timers::Purpose;
use crate::spec::{Name, Remedy, Then, Trigger, Verdict};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Everything about remedies that the tree remembers.
#[derive(Debug, Clone, Default)]
pub(super) struct Clinic {
    /// At most one for each service.
    pub(super) courses: BTreeMap<NodeId, Course>,
    /// Courses whose next step waits for a slot.
    pub(super) queue: VecDeque<NodeId>,
    /// Programs of remedies that nobody waits for any more, by life.
    pub(super) dying: BTreeMap<u64, Dying>,
    /// What is remembered of each entry.
    pub(super) accounts: BTreeMap<Name, Account>,
}

/// A program that was killed, and who is not started before it is gone.
#[derive(Debug, Clone)]
pub(super) struct Dying {
    pub(super) name: Name,
    pub(super) heir: Option<NodeId>,
}

/// A service under treatment.
#[derive(Debug, Clone)]
pub(super) struct Course {
    pub(super) aim: Aim,
    /// The entry that is tried now, and those that are asked when it declines.
    pub(super) entries: VecDeque<Arc<Remedy>>,
    pub(super) at: CourseStage,
    /// The step of the entry that is done now.
    pub(super) step: usize,
    /// Since when this entry is tried; `None`: it has not begun.
    pub(super) since: Option<Time>,
    pub(super) case: Case,
    /// The command that asked for it.
    pub(super) by: Option<Seq>,
    /// Why the service is started afterwards.
    pub(super) why: StartWhy,
    /// Whether somebody has ordered that start meanwhile.
    pub(super) ordered: Option<StartWhy>,
}

impl Course {
    /// What its records follow from.
    pub(super) fn cause(&self) -> Option<Seq> {
        self.by.or(self.case.of)
    }
}

/// What a course is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aim {
    /// An end calls for a restart.
    Restart,
    /// A budget is used up.
    Refund { budget: Budget, then: Then },
    /// A service is to be killed because it is unhealthy.
    Evidence,
    /// Nothing follows from it.
    Told,
    /// Somebody tries an entry.
    Rehearsal(CommandId),
}

impl Aim {
    /// Whether the service rests until the course is over.
    pub(super) fn holds_the_start(self) -> bool {
        match self {
            Self::Restart | Self::Refund { .. } => true,
            Self::Evidence | Self::Told | Self::Rehearsal(_) => false,
        }
    }
}

/// How far a course has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CourseStage {
    /// Its group is being stopped.
    Quiet,
    /// Another service's run decides for it, too.
    Following(NodeId),
    /// It waits for a slot.
    Queued,
    /// A program runs, under this life.
    Running(u64),
    /// A program has had its time and was killed.
    Dying(u64),
    /// A step passes time.
    Pausing,
}

/// What a course has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) verdict: Verdict,
    /// The wait it has asked for.
    pub(super) after: Option<Duration>,
    pub(super) how: Option<HookEnd>,
    /// The life of the run that said so.
    pub(super) life: Option<u64>,
}

impl Answer {
    pub(super) fn plain(verdict: Verdict) -> Self {
        Self {
            verdict,
            after: None,
            how: None,
            life: None,
        }
    }
}

impl Tree {
    pub(super) fn course(&self, id: NodeId) -> Option<&Course> {
        self.clinic.courses.get(&id)
    }

    /// A restart is called for and an entry was found: the service is treated first. With a group
    /// its siblings are stopped before that.
    pub(super) fn treat(&mut self, sup: NodeId, child: NodeId, course: Course) {
        self.cancel_course(child);
        let (why, cause) = (course.why, self.cause);
        self.clinic.courses.insert(child, course);
        if self.is_exclusive(sup) {
            return self.recover_group(sup, child, Duration::ZERO, why);
        }
        self.nodes[child].set_rest(Rest::Remediating { cause });
        self.nodes[child].since = self.now;
        self.begin_course(child);
    }

    /// Whether somebody of whom this supervisor starts next is under treatment; who was waiting for
    /// the group to be down begins now.
    pub(super) fn treats_group(&mut self, sup: NodeId) -> bool {
        if self.clinic.courses.is_empty() {
            return false;
        }
        for child in self.treated_in(sup) {
            if self
                .course(child)
                .is_some_and(|c| c.at == CourseStage::Quiet)
            {
                self.begin_course(child);
            }
        }
        !self.treated_in(sup).is_empty()
    }

    /// Those of a task's starts whose course is not over.
    fn treated_in(&self, sup: NodeId) -> Vec<NodeId> {
        let Some(task) = self.task(sup) else {
            return Vec::new();
        };
        let treated = |id: &NodeId| self.course(*id).is_some_and(|c| c.aim.holds_the_start());
        task.start.iter().copied().filter(treated).collect()
    }

    /// Whether a group waits for nothing but courses.
    pub(super) fn waits_for_courses(&self, sup: NodeId) -> bool {
        !self.clinic.courses.is_empty() && !self.treated_in(sup).is_empty()
    }

    /// The last step is done, or one has said something else than `fixed`.
    pub(super) fn entry_over(&mut self, id: NodeId, answer: Answer) {
        self.timers.clear(id, Purpose::Remedy);
        self.clinic.queue.retain(|waiting| *waiting != id);
        let followers = self.followers_of(id);
        let Some(course) = self.clinic.courses.get_mut(&id) else {
            return;
        };
        let Some(entry) = course.entries.pop_front() else {
            return;
        };
        let leads = !matches!(course.at, CourseStage::Following(_));
        let rehearsed = matches!(course.aim, Aim::Rehearsal(_));
        let (since, of, incident) = (course.since.take(), course.cause(), course.case.incident);
        (self.cause, self.incident) = (of.or(self.cause), incident);
        if leads && !rehearsed {
            self.remember_answer(&entry, answer.verdict);
        }
        if let Some(since) = since {
            self.cause = Some(self.finished(id, &entry, (since, answer)));
        }
        for follower in followers {
            self.follow_answer(follower, answer);
        }
        if answer.verdict == Verdict::Declined && self.next_entry(id) {
            return;
        }
        self.course_over(id, answer);
    }

    /// Who has waited for the same run hears the same.
    fn follow_answer(&mut self, follower: NodeId, answer: Answer) {
        let answer = Answer {
            life: None,
            ..answer
        };
        let (cause, incident) = (self.cause, self.incident);
        self.entry_over(follower, answer);
        (self.cause, self.incident) = (cause, incident);
    }

    pub(super) fn finished(
        &mut self,
        id: NodeId,
        entry: &Arc<Remedy>,
        (since, answer): (Time, Answer),
    ) -> Seq {
        let took = self.now.since(since);
        let run = answer.life.map(|life| RunId { node: id, life });
        self.record(
            id,
            What::RemedyFinished {
                remedy: Arc::clone(&entry.id),
                run,
                verdict: answer.verdict,
                after: answer.after,
                took,
                how: answer.how,
            },
        )
    }

    /// An entry has declined: the next one outward is tried. False: there is none, or it is
    /// skipped.
    fn next_entry(&mut self, id: NodeId) -> bool {
        let Some(next) = self
            .course(id)
            .and_then(|course| course.entries.front())
            .map(Arc::clone)
        else {
            return false;
        };
        if let Some(why) = self.reason_to_skip(id, &next) {
            self.skipped(id, Some(&next), why);
            return false;
        }
        self.begin_course(id);
        true
    }

    /// What follows from the verdict.
    fn course_over(&mut self, id: NodeId, answer: Answer) {
        let Some(course) = self.clinic.courses.remove(&id) else {
            return;
        };
        match course.aim {
            Aim::Restart => self.restart_after(id, &course, answer),
            Aim::Refund { budget, then } => self.refund_after(id, &course, (budget, then, answer)),
            Aim::Evidence => self.evidence_is_there(id),
            Aim::Told => {}
            Aim::Rehearsal(command) => {
                let (verdict, after) = (answer.verdict, answer.after);
                self.reply(command, Outcome::Remedied { verdict, after });
            }
        }
        self.serve_queue();
    }

    fn restart_after(&mut self, id: NodeId, course: &Course, answer: Answer) {
        if let Some(why) = course.ordered {
            return self.go_on(id, why, Duration::ZERO);
        }
        match answer.verdict {
            Verdict::Park => self.park_by_remedy(id),
            Verdict::Escalate => self.escalate_by_remedy(id),
            Verdict::Fixed => {
                let usual = self.draw_usual(id);
                let skips = usual.is_zero() || self.is_spared(id);
                let delay = if skips { Duration::ZERO } else { usual };
                self.go_on(id, course.why, delay);
            }
            Verdict::Retry => {
                let usual = self.draw_usual(id);
                self.go_on(id, course.why, answer.after.unwrap_or(usual));
            }
            Verdict::Blame | Verdict::Declined | Verdict::Failed | Verdict::Cancelled => {
                let usual = self.draw_usual(id);
                self.go_on(id, course.why, usual);
            }
        }
    }

    /// The delay that would have come without a remedy.
    pub(super) fn draw_usual(&mut self, id: NodeId) -> Duration {
        let Some(sup) = self.nodes[id].parent else {
            return Duration::ZERO;
        };
        if self.nodes[id].attempts == 0 {
            // A new row of failures.
            self.nodes[id].spared = false;
        }
        let class = self.last_end(id).0;
        self.draw_delay(sup, id, &class)
    }

    /// Whether `fixed` may skip the back-off: once in a row of failures.
    fn is_spared(&mut self, id: NodeId) -> bool {
        !std::mem::replace(&mut self.nodes[id].spared, true)
    }

    /// The service is started after this time, with its group if it has one.
    pub(super) fn go_on(&mut self, id: NodeId, why: StartWhy, delay: Duration) {
        let cause = self.cause;
        let Some(sup) = self.nodes[id].parent else {
            return;
        };
        if self.is_going_down(sup) {
            return self.nodes[id].set_rest(Rest::Off);
        }
        self.nodes[id].set_rest(Rest::Retrying { cause });
        let until = (!delay.is_zero()).then(|| self.now + delay);
        match self.task_mut(sup) {
            Some(task) if task.start.contains(&id) => {
                task.until = task.until.max(until);
                self.group_goes_on(sup);
            }
            Some(_) if until.is_none() => self.join_starts(sup, id),
            Some(_) | None if until.is_none() => self.start(id, why),
            Some(_) | None => self.wait_backoff(id, delay),
        }
    }

    /// A course of a group is over: the group waits for the others, for its time, or starts.
    fn group_goes_on(&mut self, sup: NodeId) {
        let now = self.now;
        let Some(task) = self.task(sup) else { return };
        let (stage, until) = (task.stage, task.until);
        if stage != Stage::Delaying || self.waits_for_courses(sup) {
            return;
        }
        if let Some(until) = until.filter(|until| *until > now) {
            return self.group_waits(sup, until);
        }
        self.begin_starts(sup);
        self.task_step(sup);
    }

    /// It is not started with what its supervisor is in the middle of, if that is not a group's
    /// affair any more.
    pub(super) fn leave_task(&mut self, sup: NodeId, id: NodeId) {
        if self.is_exclusive(sup) {
            return;
        }
        if let Some(task) = self.task_mut(sup) {
            task.start.retain(|other| *other != id);
        }
    }

    /// Those who were stopped for it when they were a group do not wait for it.
    pub(super) fn others_go_on(&mut self, sup: NodeId) {
        if !self.is_exclusive(sup) && !self.is_going_down(sup) {
            self.group_goes_on(sup);
        }
    }

    /// Nobody restarts it until somebody acts; its budget is not the reason.
    pub(super) fn park_by_remedy(&mut self, id: NodeId) {
        let Some(sup) = self.nodes[id]
            .parent
            .filter(|sup| !self.is_going_down(*sup))
        else {
            return self.nodes[id].set_rest(Rest::Off);
        };
        self.leave_task(sup, id);
        self.park(sup, id);
        self.others_go_on(sup);
    }

    pub(super) fn escalate_by_remedy(&mut self, id: NodeId) {
        let Some(sup) = self.nodes[id]
            .parent
            .filter(|sup| !self.is_going_down(*sup))
        else {
            return self.nodes[id].set_rest(Rest::Off);
        };
        let culprit = self.culprit_of(id);
        if let Some(state) = self.nodes[sup].sup_mut() {
            state.culprit.clone_from(&culprit);
            state.spent = None;
            state.told_by = Some(id);
        }
        self.nodes[id].set_rest(Rest::Off);
        self.terminate(sup, Ending::Escalated(culprit));
    }

    pub(super) fn skipped(&mut self, id: NodeId, entry: Option<&Arc<Remedy>>, why: Skip) {
        if let Some(entry) = entry {
            self.account(&entry.id).skipped += 1;
        }
        let remedy = entry.map(|entry| Arc::clone(&entry.id));
        self.record(id, What::RemedySkipped { remedy, why });
    }

    /// A course that nothing follows from, for something besides an end. One that holds a start
    /// comes first.
    pub(super) fn tell_remedy(&mut self, id: NodeId, trigger: Trigger) {
        if self.course(id).is_some() {
            return;
        }
        let Some(course) = self.course_for_trigger(id, trigger, Aim::Told) else {
            return;
        };
        self.clinic.courses.insert(id, course);
        self.begin_course(id);
    }

    /// An end was counted, or spared that, and an entry is for it.
    pub(super) fn begin_treatment(
        &mut self,
        sup: NodeId,
        child: NodeId,
        (mut course, budget): (Course, Option<Budget>),
    ) {
        let cause = self.last_end(child).1;
        course.case.set_budget(budget);
        self.conclude(child, cause, Decision::Remediate, budget);
        self.nodes[child].treated = cause;
        self.treat(sup, child, course);
    }
}
