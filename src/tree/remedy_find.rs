// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which entry of the registry is for an end, and whether it may be used (SEMANTICS §6).
//!
//! The look-up is pure: the service's own entries, then those of its supervisors up to the root,
//! then the registry; in each place `flapping` if that is what it does, its class, its base class,
//! its family, everything. An entry that declines hands on to the next of this list; one that may
//! not be used now (its limit, three failures in a row, `observe`) ends the look-up, as if there
//! were none: a more general fix was not meant for what a particular one is there for.

use super::Tree;
use super::effect::{Case, Rehearsal};
use super::event::{NodeId, Time};
use super::intensity::Window;
use super::node::Node;
use super::qualifier::Qualifiers;
use super::record::{Budget, Skip, StartWhy};
use super::remedy::{Aim, Course, CourseStage};
use crate::spec::limits::{REMEDY_FAILURES, REMEDY_OFF};
use crate::spec::{
    Class, Counts, Family, Flight, Mode, Name, Occasion, Policy, Remedies, Remedy, Step, Trigger,
    Verdict,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// What is remembered of an entry, as long as it is in the configuration.
#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    /// Uses within its limit's period.
    pub(super) window: Window,
    /// Failures in a row.
    pub(super) failures: u32,
    /// It is switched off until then.
    pub(super) off_until: Option<Time>,
    /// Answers since the daemon began, in the order of [`Verdict::ALL`].
    pub(super) answers: [u64; Verdict::ALL.len()],
    /// How often it was skipped.
    pub(super) skipped: u64,
    /// Its last answer, and when.
    pub(super) last: Option<(Time, Verdict)>,
}

/// What an entry is looked up for.
#[derive(Debug, Clone)]
pub(super) struct Signs {
    pub(super) class: Name,
    pub(super) base: &'static str,
    pub(super) family: Family,
    /// Besides its class, or instead of it.
    pub(super) trigger: Option<Trigger>,
}

/// What the look-up for an end has come to.
#[derive(Debug)]
pub(super) enum Found {
    /// Nobody has any entries, or nothing is to be done.
    Nothing,
    /// This course; whether its restart takes a token.
    Course(Box<Course>, Counts),
}

impl Tree {
    /// The class of a node's last end, in the words of the registry.
    pub(super) fn signs_of(&self, id: NodeId) -> Signs {
        let (class, _) = self.last_end(id);
        let last = self.nodes[id].last_exit.as_deref();
        let flaps = last.is_some_and(|last| last.qualifiers.has(Qualifiers::FLAPPING));
        Signs {
            class: Name::from(class.as_str()),
            base: class.base.as_str(),
            family: class.family,
            trigger: flaps.then_some(Trigger::Flapping),
        }
    }

    /// The look-up for an end that calls for a restart. What is skipped is recorded.
    pub(super) fn find_remedy(&mut self, child: NodeId, why: StartWhy) -> Found {
        let end = self.last_end(child).1;
        // At most once for an end (invariant 16), whatever brings us here.
        let again = end.is_some() && self.nodes[child].treated == end;
        if again || !self.can_be_treated(child) {
            return Found::Nothing;
        }
        let signs = self.signs_of(child);
        let entries = self.entries_for(child, &signs);
        let Some(first) = entries.front().map(Arc::clone) else {
            if self.has_any_entry(child) {
                self.skipped(child, None, Skip::NoEntry);
            }
            return Found::Nothing;
        };
        if let Some(why) = self.reason_to_skip(child, &first) {
            self.skipped(child, Some(&first), why);
            return Found::Nothing;
        }
        let counts = first.counts;
        let mut course = self.course_with(child, Aim::Restart, (signs, entries));
        course.why = why;
        Found::Course(Box::new(course), counts)
    }

    /// The course for something besides an end that calls for a restart.
    pub(super) fn course_for_trigger(
        &mut self,
        id: NodeId,
        trigger: Trigger,
        aim: Aim,
    ) -> Option<Course> {
        if !self.can_be_treated(id) {
            return None;
        }
        let signs = Signs {
            trigger: Some(trigger),
            ..self.signs_of(id)
        };
        let mut entries = VecDeque::new();
        for remedies in self.scopes(id) {
            let wanted = Occasion::Trigger(trigger);
            entries.extend(remedies.iter().filter(|r| r.on == wanted).map(Arc::clone));
        }
        let first = entries.front().map(Arc::clone)?;
        let refunded = match aim {
            Aim::Refund { budget, .. } if !self.may_refund(&budget) => Some(Skip::Refunded),
            _ => None,
        };
        if let Some(why) = refunded.or_else(|| self.reason_to_skip(id, &first)) {
            self.skipped(id, Some(&first), why);
            return None;
        }
        Some(self.course_with(id, aim, (signs, entries)))
    }

    /// A course for this class by order, whatever the entry's limits say.
    pub(super) fn rehearsal(&self, id: NodeId, class: &str, aim: Aim) -> Option<Course> {
        let trigger = Trigger::ALL.into_iter().find(|t| t.as_str() == class);
        let base = Class::ALL.into_iter().find(|base| base.as_str() == class);
        let own = self
            .spec
            .classes
            .rules
            .iter()
            .find(|own| *own.name == *class);
        let family = own.and_then(|own| own.family);
        let signs = Signs {
            class: Name::from(class),
            base: base.map_or("", Class::as_str),
            family: family.or(base.map(Class::family)).unwrap_or(Family::Fault),
            trigger,
        };
        let mut entries = self.entries_for(id, &signs);
        if let Some(trigger) = trigger {
            entries.retain(|entry| entry.on == Occasion::Trigger(trigger));
        }
        (!entries.is_empty()).then(|| self.course_with(id, aim, (signs, entries)))
    }

    pub(super) fn course_with(
        &self,
        id: NodeId,
        aim: Aim,
        (signs, entries): (Signs, VecDeque<Arc<Remedy>>),
    ) -> Course {
        let node = &self.nodes[id];
        let above = node.parent.and_then(|sup| self.nodes.get(sup));
        let case = Case {
            of: node.last_exit.as_deref().map(|last| last.seq),
            incident: node.incident,
            supervisor: above.map_or_else(|| Name::from(""), |sup| Arc::clone(sup.name())),
            class: signs.class,
            base: signs.base,
            family: signs.family,
            trigger: signs.trigger,
            attempt: node.attempts.saturating_add(1),
            budget_left: None,
            about: None,
            rehearsal: Rehearsal::No,
        };
        Course {
            aim,
            entries,
            at: CourseStage::Quiet,
            step: 0,
            since: None,
            case,
            by: None,
            why: StartWhy::Restart,
            ordered: None,
        }
    }

    /// Only services are treated, and not under `otp`, where nothing was added.
    fn can_be_treated(&self, id: NodeId) -> bool {
        self.haste.is_none()
            && self.service(id).is_some()
            && !self.nodes[id].is_unkillable()
            && self.policy_above(id) == Policy::Supd
    }

    /// The places of entries for a node, the nearest first.
    fn scopes(&self, id: NodeId) -> Vec<Remedies> {
        let mut found = Vec::new();
        for at in self.lineage(id) {
            found.push(match &self.nodes[at].spec {
                crate::spec::Node::Service(service) => Arc::clone(&service.remedies),
                crate::spec::Node::Supervisor(sup) => Arc::clone(&sup.remedies),
            });
        }
        found.push(Arc::clone(&self.spec.remedies));
        found.retain(|remedies| !remedies.is_empty());
        found
    }

    fn has_any_entry(&self, id: NodeId) -> bool {
        !self.scopes(id).is_empty()
    }

    /// All entries for an end, the first to be asked first.
    pub(super) fn entries_for(&self, id: NodeId, signs: &Signs) -> VecDeque<Arc<Remedy>> {
        let mut wanted: Vec<Occasion> = Vec::new();
        wanted.extend(signs.trigger.map(Occasion::Trigger));
        wanted.push(Occasion::Class(Arc::clone(&signs.class)));
        if *signs.class != *signs.base {
            wanted.push(Occasion::Class(Name::from(signs.base)));
        }
        wanted.extend([Occasion::Family(signs.family), Occasion::Any]);
        let mut found = VecDeque::new();
        for remedies in self.scopes(id) {
            for on in &wanted {
                found.extend(remedies.iter().filter(|r| r.on == *on).map(Arc::clone));
            }
        }
        found
    }

    /// Why this entry is not used now; a use is counted against its limit.
    pub(super) fn reason_to_skip(&mut self, id: NodeId, entry: &Arc<Remedy>) -> Option<Skip> {
        let now = self.now;
        if self.is_hearsay(id, entry) {
            return Some(Skip::Untrusted);
        }
        let joins = self.flight_of(id, entry).is_some();
        let account = self.account(&entry.id);
        if let Some(until) = account.off_until.filter(|until| *until > now) {
            return Some(Skip::SwitchedOff { until });
        }
        if let Some(rate) = entry.limit.filter(|_| !joins) {
            if account.window.used(now, rate.period) >= rate.count {
                return Some(Skip::Limit);
            }
            if entry.mode == Mode::Act {
                let _used = account.window.record(now, rate.count, rate.period);
            }
        }
        (entry.mode == Mode::Observe).then_some(Skip::Observed)
    }

    /// Whether this entry would delete something because of what a stranger may have made the
    /// service write: its class, or the family of that, was found by output alone.
    fn is_hearsay(&self, id: NodeId, entry: &Remedy) -> bool {
        let deletes = |step: &Step| matches!(step, Step::RemoveStaleLock { .. });
        if !entry.steps.iter().any(deletes) {
            return false;
        }
        let (class, _) = self.last_end(id);
        let by_output = match &entry.on {
            Occasion::Class(name) => **name != *class.base.as_str(),
            Occasion::Family(family) => *family != class.base.family(),
            Occasion::Any | Occasion::Trigger(_) => false,
        };
        by_output && !class.is_trusted()
    }

    /// The service whose run this one would share.
    pub(super) fn flight_of(&self, id: NodeId, entry: &Arc<Remedy>) -> Option<NodeId> {
        if entry.flight == Flight::Own {
            return None;
        }
        let leads = |(other, course): &(&NodeId, &Course)| {
            let under_way = match course.at {
                CourseStage::Queued
                | CourseStage::Running(_)
                | CourseStage::Dying(_)
                | CourseStage::Pausing => true,
                CourseStage::Quiet | CourseStage::Following(_) => false,
            };
            let same = course.entries.front().is_some_and(|e| e.id == entry.id);
            **other != id && under_way && same && course.aim.holds_the_start()
        };
        let found = self.clinic.courses.iter().find(leads);
        found.map(|(other, _)| *other)
    }

    pub(super) fn account(&mut self, id: &Name) -> &mut Account {
        self.clinic.accounts.entry(Arc::clone(id)).or_default()
    }

    pub(super) fn count_answer(&mut self, entry: &Arc<Remedy>, verdict: Verdict) {
        let now = self.now;
        let account = self.account(&entry.id);
        let place = Verdict::ALL.iter().position(|v| *v == verdict);
        if let Some(count) = place.and_then(|at| account.answers.get_mut(at)) {
            *count += 1;
        }
        account.last = Some((now, verdict));
    }

    /// Three failures in a row switch an entry off for a while.
    pub(super) fn remember_answer(&mut self, entry: &Arc<Remedy>, verdict: Verdict) {
        self.count_answer(entry, verdict);
        let now = self.now;
        let account = self.account(&entry.id);
        if verdict == Verdict::Cancelled {
            // It has said nothing.
            return;
        }
        if verdict != Verdict::Failed {
            account.failures = 0;
            return;
        }
        account.failures += 1;
        if account.failures >= REMEDY_FAILURES {
            account.failures = 0;
            account.off_until = Some(now + REMEDY_OFF);
        }
    }

    /// Whether a budget may be given back by a remedy now: once in its window.
    pub(super) fn may_refund(&self, budget: &Budget) -> bool {
        let sup = self.nodes.get(budget.supervisor).and_then(Node::sup);
        let last = sup.and_then(|sup| sup.refunded.get(&budget.bucket));
        last.is_none_or(|at| self.now.since(*at) > budget.period)
    }

    /// What is remembered of entries that are in no configuration any more is forgotten.
    pub(super) fn forget_accounts(&mut self) {
        if self.clinic.accounts.is_empty() {
            return;
        }
        let mut kept: Vec<Name> = self
            .spec
            .remedies
            .iter()
            .map(|r| Arc::clone(&r.id))
            .collect();
        for node in self.nodes.iter() {
            let own = match &node.spec {
                crate::spec::Node::Service(service) => &service.remedies,
                crate::spec::Node::Supervisor(sup) => &sup.remedies,
            };
            kept.extend(own.iter().map(|r| Arc::clone(&r.id)));
        }
        kept.sort();
        self.clinic
            .accounts
            .retain(|id, _| kept.binary_search(id).is_ok());
    }
}
