// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the registry looks like now, for people and programs, and what must hold of courses.
//!
//! Decides nothing.

use super::Tree;
use super::event::{NodeId, Time};
use super::node::{Node, Rest};
use super::remedy::{Course, CourseStage};
use super::remedy_find::Account;
use super::timers::Purpose;
use crate::spec::{self, Name, Remedy, Verdict};
use std::collections::BTreeSet;
use std::sync::Arc;

/// An entry and what is remembered of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RemedyView {
    /// The entry.
    pub remedy: Arc<Remedy>,
    /// The service or supervisor it belongs to; `None`: the registry.
    pub of: Option<Name>,
    /// Answers since the daemon began, in the order of [`Verdict::ALL`].
    pub answers: [u64; Verdict::ALL.len()],
    /// How often it was skipped.
    pub skipped: u64,
    /// Its last answer, and when.
    pub last: Option<(Time, Verdict)>,
    /// It is switched off until then.
    pub off_until: Option<Time>,
    /// Uses within its limit's period.
    pub used: Option<u32>,
    /// The services that are treated by it now.
    pub at_work: Vec<Name>,
}

impl Tree {
    /// Every entry of the configuration: the registry first, then those of nodes in tree order.
    pub fn remedies(&self) -> Vec<RemedyView> {
        let mut found: Vec<RemedyView> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut add = |remedy: &Arc<Remedy>, of: Option<&Name>| {
            // The instances of a pool share what the pool says.
            if seen.insert(Arc::clone(&remedy.id)) {
                found.push(self.remedy_view(remedy, of));
            }
        };
        for remedy in self.spec.remedies.iter() {
            add(remedy, None);
        }
        for view in self.snapshot().nodes {
            let own = match &view.spec {
                spec::Node::Service(service) => &service.remedies,
                spec::Node::Supervisor(sup) => &sup.remedies,
            };
            for remedy in own.iter() {
                add(remedy, Some(view.spec.name()));
            }
        }
        found
    }

    fn remedy_view(&self, remedy: &Arc<Remedy>, of: Option<&Name>) -> RemedyView {
        let fresh = Account::default();
        let account = self.clinic.accounts.get(&remedy.id).unwrap_or(&fresh);
        let tries = |course: &Course| course.entries.front().is_some_and(|e| e.id == remedy.id);
        let courses = self.clinic.courses.iter();
        let at_work = courses.filter(|(_, course)| tries(course));
        let used = |rate: spec::Rate| account.window.used(self.now, rate.period);
        RemedyView {
            remedy: Arc::clone(remedy),
            of: of.map(Arc::clone),
            answers: account.answers,
            skipped: account.skipped,
            last: account.last,
            off_until: account.off_until.filter(|until| *until > self.now),
            used: remedy.limit.map(used),
            at_work: at_work
                .filter_map(|(id, _)| self.name(*id).map(Arc::clone))
                .collect(),
        }
    }

    /// Whose remedy is at work on this node, and which one.
    pub(super) fn remedy_at_work(&self, id: NodeId) -> Option<Name> {
        let entry = self.course(id)?.entries.front()?;
        Some(Arc::clone(&entry.id))
    }

    /// Invariants 9 and 16 for courses: who rests because of one has it, and each goes on by
    /// itself: it has a deadline, a place in the queue, a group that is being stopped, or somebody
    /// who runs for it.
    pub(super) fn audit_courses(&self) -> Result<(), String> {
        for node in self.nodes.iter() {
            let rests = matches!(node.rest(), Some(Rest::Remediating { .. }));
            let course = self.course(node.id);
            let treated = course.is_some_and(|course| course.aim.holds_the_start());
            if rests != treated {
                return Err(format!(
                    "{} rests for a remedy: {rests}, has one: {treated}",
                    node.name()
                ));
            }
            if let Some(course) = course {
                self.audit_course(node, course)?;
            }
        }
        if self
            .clinic
            .courses
            .keys()
            .any(|id| self.nodes.get(*id).is_none())
        {
            return Err("a remedy is at work on nobody".to_owned());
        }
        Ok(())
    }

    fn audit_course(&self, node: &Node, course: &Course) -> Result<(), String> {
        let timed = self.timers.get(node.id, Purpose::Remedy).is_some();
        let goes_on = match course.at {
            CourseStage::Quiet => node.parent.is_some_and(|sup| self.task(sup).is_some()),
            CourseStage::Following(leader) => self.course(leader).is_some(),
            CourseStage::Queued => timed && self.clinic.queue.contains(&node.id),
            CourseStage::Running(life) | CourseStage::Dying(life) => {
                timed && self.helpers.contains_key(&life)
            }
            CourseStage::Pausing => timed,
        };
        if goes_on {
            return Ok(());
        }
        Err(format!(
            "{} waits for a remedy that nobody runs",
            node.name()
        ))
    }
}
