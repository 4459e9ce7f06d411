// SPDX-License-Identifier: MIT OR Apache-2.0
//! The steps of a remedy, one after another until one does not answer `fixed` (SEMANTICS §6).
//!
//! A step that runs a program needs one of `hook_parallelism` slots, so that no number of hooks
//! that hang takes the machine; one that gets none within its own time is skipped. A program is a
//! run like any other, killed with its group when its time is over; its end is waited for, but not
//! longer than SIGKILL may take. It decides nothing about the service.

use super::Tree;
use super::effect::{Case, Effect, Rehearsal};
use super::event::{Actor, Command, CommandId, NodeId, Outcome, RunId};
use super::helper::{Helper, Job};
use super::node::Life;
use super::record::{HookEnd, Skip, What};
use super::remedy::{Aim, Answer, Course, CourseStage, Dying};
use super::timers::Purpose;
use crate::spec::limits::{RETRY_AFTER_MAX, UNKILLABLE_AFTER};
use crate::spec::{ExitStatus, Name, Remedy, Scope, Signal, SpawnFailure, Step, Verdict};
use std::sync::Arc;
use std::time::Duration;

impl Tree {
    /// The first entry of a course is tried, or shared with somebody who does so already.
    pub(super) fn begin_course(&mut self, id: NodeId) {
        let Some(entry) = self.entry_of(id) else {
            return;
        };
        if let Some(leader) = self.flight_of(id, &entry) {
            self.started(id, &entry, None);
            return self.set_stage(id, CourseStage::Following(leader));
        }
        if let Some(course) = self.clinic.courses.get_mut(&id) {
            course.step = 0;
        }
        self.take_step(id);
    }

    fn entry_of(&self, id: NodeId) -> Option<Arc<Remedy>> {
        self.course(id)?.entries.front().map(Arc::clone)
    }

    pub(super) fn set_stage(&mut self, id: NodeId, at: CourseStage) {
        if let Some(course) = self.clinic.courses.get_mut(&id) {
            course.at = at;
        }
    }

    /// Who shares the run of this one.
    pub(super) fn followers_of(&self, id: NodeId) -> Vec<NodeId> {
        let follows = |at: CourseStage| at == CourseStage::Following(id);
        let courses = self.clinic.courses.iter();
        let found = courses.filter(|(_, course)| follows(course.at));
        found.map(|(follower, _)| *follower).collect()
    }

    /// Nobody runs for these any more: the first of them does so for the others.
    pub(super) fn lead_anew(&mut self, gone: NodeId) {
        for follower in self.followers_of(gone) {
            self.begin_course(follower);
        }
    }

    /// Does what takes no time at once, and begins what does.
    fn take_step(&mut self, id: NodeId) {
        loop {
            let Some(entry) = self.entry_of(id) else {
                return;
            };
            let Some(course) = self.course(id) else {
                return;
            };
            let at = course.step;
            let dry = course.case.rehearsal == Rehearsal::Dry;
            let Some(step) = entry.steps.get(at).cloned() else {
                return self.entry_over(id, Answer::plain(Verdict::Fixed));
            };
            match step {
                Step::Run(_) | Step::Capture(_) | Step::RemoveStaleLock { .. } => {
                    self.set_stage(id, CourseStage::Queued);
                    let limit = entry.timeout;
                    self.timers.set(id, Purpose::Remedy, self.now + limit);
                    self.clinic.queue.push_back(id);
                    return self.serve_queue();
                }
                Step::Delay(span) if !dry => {
                    self.started(id, &entry, None);
                    self.set_stage(id, CourseStage::Pausing);
                    return self.timers.set(id, Purpose::Remedy, self.now + span);
                }
                Step::Park => return self.give_verdict(id, &entry, Verdict::Park),
                Step::Escalate => return self.give_verdict(id, &entry, Verdict::Escalate),
                // A rehearsal touches nobody.
                Step::Delay(_) => {}
                Step::Signal { .. } | Step::Restart(_) if dry => {}
                Step::Signal { service, signal } => {
                    self.started(id, &entry, None);
                    self.signal_other(&service, signal);
                }
                Step::Restart(service) => {
                    self.started(id, &entry, None);
                    self.restart_other(id, &service);
                }
            }
            if let Some(course) = self.clinic.courses.get_mut(&id) {
                course.step += 1;
            }
        }
    }

    fn give_verdict(&mut self, id: NodeId, entry: &Arc<Remedy>, verdict: Verdict) {
        self.started(id, entry, None);
        self.entry_over(id, Answer::plain(verdict));
    }

    /// The begin of an entry is recorded once, with its first run if it has one.
    fn started(&mut self, id: NodeId, entry: &Arc<Remedy>, run: Option<RunId>) {
        let now = self.now;
        let Some(course) = self.clinic.courses.get_mut(&id) else {
            return;
        };
        if course.since.is_some() {
            return;
        }
        course.since = Some(now);
        let (of, incident, trigger) = (course.cause(), course.case.incident, course.case.trigger);
        let class = Arc::clone(&course.case.class);
        self.cause = of.or(self.cause);
        self.incident = incident.or(self.incident);
        self.record(
            id,
            What::RemedyStarted {
                remedy: Arc::clone(&entry.id),
                run,
                class,
                trigger,
            },
        );
    }

    fn signal_other(&mut self, service: &Name, signal: Signal) {
        let Some(node) = self.node(service) else {
            return;
        };
        if let Some(Life::Up(run) | Life::Starting(run)) = self.life(node)
            && run.spawned.has_process()
        {
            let run = RunId {
                node,
                life: run.life,
            };
            let scope = Scope::Leader;
            self.effects.push(Effect::Signal { run, signal, scope });
        }
    }

    /// Restarts another service as an operator would; nobody waits for that.
    fn restart_other(&mut self, id: NodeId, service: &Name) {
        let (cause, incident) = (self.cause, self.incident);
        if let Some(node) = self.node(service).filter(|node| *node != id) {
            self.on_command(CommandId::NOBODY, Actor::Supd, Command::Restart(node));
        }
        (self.cause, self.incident) = (cause, incident);
    }

    /// Gives free slots to those who wait for one, in their order.
    pub(super) fn serve_queue(&mut self) {
        while !self.clinic.queue.is_empty() && self.hooks_under_way() < self.slots() {
            let Some(place) = self.first_servable() else {
                return;
            };
            if let Some(id) = self.clinic.queue.remove(place) {
                self.run_hook(id);
            }
        }
    }

    /// Evidence does not wait: it has five seconds in all.
    fn first_servable(&self) -> Option<usize> {
        let name = |id: &NodeId| self.nodes.get(*id).map(super::node::Node::name);
        let free = |id: &NodeId| {
            !self
                .clinic
                .dying
                .values()
                .any(|d| Some(&d.name) == name(id))
        };
        self.clinic.queue.iter().position(free)
    }

    fn slots(&self) -> usize {
        usize::try_from(self.spec.settings.hook_parallelism).unwrap_or(usize::MAX)
    }

    /// Programs of remedies that live, the dying ones included: they hold the machine as well.
    fn hooks_under_way(&self) -> usize {
        let runs = |at: CourseStage| matches!(at, CourseStage::Running(_) | CourseStage::Dying(_));
        let living = self.clinic.courses.values().filter(|c| runs(c.at)).count();
        living + self.clinic.dying.len()
    }

    fn run_hook(&mut self, id: NodeId) {
        let (Some(entry), Some(service)) = (self.entry_of(id), self.service(id).map(Arc::clone))
        else {
            return;
        };
        let life = self.take_life();
        let run = RunId { node: id, life };
        self.started(id, &entry, Some(run));
        self.set_stage(id, CourseStage::Running(life));
        let Some(course) = self.course(id) else {
            return;
        };
        let (step, case) = (course.step, course.case.clone());
        let helper = Helper {
            node: id,
            job: Job::Hook,
            spawned: false,
            stood_still: false,
        };
        self.helpers.insert(life, helper);
        let limit = entry.timeout;
        self.timers.set(id, Purpose::Remedy, self.now + limit);
        self.effects.push(Effect::RunHook {
            run,
            service,
            remedy: entry,
            step,
            case: Box::new(case),
        });
    }

    /// The program of a step has ended.
    pub(super) fn hook_ended(
        &mut self,
        run: RunId,
        end: Result<ExitStatus, SpawnFailure>,
        after: Option<Duration>,
    ) {
        let id = run.node;
        let at = self.course(id).map(|course| course.at);
        let timed_out = at == Some(CourseStage::Dying(run.life));
        if at != Some(CourseStage::Running(run.life)) && !timed_out {
            return;
        }
        self.timers.clear(id, Purpose::Remedy);
        let how = match end {
            _ if timed_out => HookEnd::TimedOut,
            Ok(status) => HookEnd::Status(status),
            Err(failure) => HookEnd::NotStarted(failure),
        };
        let verdict = match how {
            HookEnd::Status(ExitStatus::Code(code)) => Verdict::of_code(code),
            HookEnd::Status(ExitStatus::Signal { .. })
            | HookEnd::NotStarted(_)
            | HookEnd::TimedOut => Verdict::Failed,
        };
        let after = after.filter(|_| verdict == Verdict::Retry);
        let answer = Answer {
            verdict,
            after: after.map(|after| after.min(RETRY_AFTER_MAX)),
            how: Some(how),
            life: Some(run.life),
        };
        self.step_over(id, answer);
        self.serve_queue();
    }

    /// A step is done: the next one follows, or the entry has answered.
    fn step_over(&mut self, id: NodeId, answer: Answer) {
        let Some(entry) = self.entry_of(id) else {
            return;
        };
        let Some(course) = self.clinic.courses.get_mut(&id) else {
            return;
        };
        let last = course.step + 1 >= entry.steps.len();
        if answer.verdict != Verdict::Fixed || last {
            return self.entry_over(id, answer);
        }
        let step = course.step;
        course.step += 1;
        if let Some(life) = answer.life {
            let run = RunId { node: id, life };
            let remedy = Arc::clone(&entry.id);
            self.cause = self.course(id).and_then(Course::cause).or(self.cause);
            self.record(id, What::RemedyStep { remedy, run, step });
        }
        self.take_step(id);
    }

    /// The time of a course's stage is over.
    pub(super) fn on_remedy_timer(&mut self, id: NodeId) {
        let Some(at) = self.course(id).map(|course| course.at) else {
            return self.waits_no_longer(id);
        };
        match at {
            CourseStage::Pausing => self.step_over(id, Answer::plain(Verdict::Fixed)),
            CourseStage::Queued => {
                let entry = self.entry_of(id);
                self.clinic.queue.retain(|waiting| *waiting != id);
                self.skipped(id, entry.as_ref(), Skip::Busy);
                self.nothing_said(id);
            }
            CourseStage::Running(life) => {
                let run = RunId { node: id, life };
                self.set_stage(id, CourseStage::Dying(life));
                if self.helpers.get(&life).is_some_and(|helper| helper.spawned) {
                    self.kill_hook(run);
                }
                self.timers
                    .set(id, Purpose::Remedy, self.now + UNKILLABLE_AFTER);
            }
            CourseStage::Dying(life) => {
                self.let_die(id, life);
                let answer = Answer {
                    how: Some(HookEnd::TimedOut),
                    life: Some(life),
                    ..Answer::plain(Verdict::Failed)
                };
                self.entry_over(id, answer);
                // SIGKILL has no effect on it: whoever waits for its end would wait for ever.
                self.hook_is_gone(life);
            }
            CourseStage::Quiet | CourseStage::Following(_) => {}
        }
    }

    /// There was no room for it: the service and whoever follows it go on as without an entry.
    fn nothing_said(&mut self, id: NodeId) {
        self.entry_over(id, Answer::plain(Verdict::Cancelled));
    }

    /// Whether the time of this program was over before it had begun.
    pub(super) fn is_overdue(&self, run: RunId) -> bool {
        let course = self.course(run.node);
        course.is_some_and(|course| course.at == CourseStage::Dying(run.life))
    }

    pub(super) fn kill_hook(&mut self, run: RunId) {
        self.effects.push(Effect::Signal {
            run,
            signal: Signal::KILL,
            scope: Scope::Tree,
        });
    }

    /// Nobody waits for this program any more: it is killed, and its service is not started before
    /// it is gone.
    pub(super) fn let_die(&mut self, id: NodeId, life: u64) {
        let Some(helper) = self.helpers.get_mut(&life) else {
            return;
        };
        helper.job = Job::Abandoned;
        let spawned = helper.spawned;
        let name = Arc::clone(self.nodes[id].name());
        self.clinic.dying.insert(life, Dying { name, heir: None });
        if spawned {
            self.kill_hook(RunId { node: id, life });
        }
    }

    /// Somebody wants to see what an entry does.
    pub(super) fn try_remedy(
        &mut self,
        id: CommandId,
        node: NodeId,
        (class, dry): (&str, Rehearsal),
    ) {
        if self.service(node).is_none() {
            return self.reply(id, Outcome::Unsupported);
        }
        if self.course(node).is_some() {
            return self.reply(id, Outcome::Busy);
        }
        let Some(mut course) = self.rehearsal(node, class, Aim::Rehearsal(id)) else {
            return self.reply(id, Outcome::NoRemedy);
        };
        course.case.rehearsal = dry;
        course.by = self.cause;
        self.clinic.courses.insert(node, course);
        self.begin_course(node);
    }
}

impl Case {
    /// What is left of a budget after the token was taken.
    pub(super) fn set_budget(&mut self, budget: Option<super::record::Budget>) {
        self.budget_left = budget.map(|budget| budget.max.saturating_sub(budget.used));
    }
}
