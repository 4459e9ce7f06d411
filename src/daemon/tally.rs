// SPDX-License-Identifier: MIT OR Apache-2.0
//! What has been counted since the daemon began: starts, ends, recoveries.
//!
//! Fed with every record, in order, and read when somebody asks for metrics. Counters belong to
//! names, so that they go on when a service is removed and comes back with a later
//! configuration, and never go down. It decides nothing.

use super::names::Names;
use super::note;
use crate::spec::limits::SERVICES_MAX;
use crate::spec::{Family, Name, Verdict};
use crate::tree::{
    Class, Decision, Exit, ProbeAnswer, Question, Record, StartWhy, StopWhy, Time, What,
};
use crate::wire::kind;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Names beyond the largest tree whose counters are kept after they have left it.
const FORMER_MAX: usize = 1024;
/// Entries of the registry that are counted, those of former configurations included.
const REMEDIES_MAX: usize = 1024;
/// Upper bounds of the recovery histogram, seconds: from a restart at once to the longest back-off.
pub(crate) const BOUNDS: [f64; 14] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];

/// Why services were started, as the label `cause` says it.
pub(crate) const CAUSES: [&str; 5] = ["boot", "failure", "strategy", "operator", "reload"];

/// What was counted of one service.
#[derive(Debug, Default)]
pub(crate) struct OfService {
    /// Starts, in the order of [`CAUSES`].
    pub starts: [u32; CAUSES.len()],
    /// Ends by class: the base class, and the name that the configuration has for it.
    pub exits: Vec<(Class, Option<Name>, u32)>,
    /// Answers of probes by what was asked.
    pub answers: Vec<((Question, &'static str), u64)>,
    /// The wall time of the last end, microseconds since 1970.
    pub last_exit_us: Option<i64>,
    /// CPU time of all processes that have ended.
    pub cpu: Duration,
    /// The end that is being recovered from.
    down: Option<(Time, Family)>,
}

/// A histogram over [`BOUNDS`].
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// Not cumulative; the last one is beyond all bounds.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// Of everything observed, seconds.
    pub sum: f64,
}

impl Histogram {
    fn observe(&mut self, span: Duration) {
        let seconds = span.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound);
        self.buckets[bucket.unwrap_or(BOUNDS.len())] += 1;
        self.sum += seconds;
    }
}

/// Everything that was counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    services: BTreeMap<Name, OfService>,
    /// From the end of a process to its replacement being ready, by the family of the end.
    pub recovery: BTreeMap<&'static str, Histogram>,
    /// How often each entry of the registry gave which verdict, in the order of
    /// [`Verdict::ALL`].
    pub remedies: BTreeMap<Name, [u64; Verdict::ALL.len()]>,
    /// How long the runs of entries took.
    pub treatment: BTreeMap<Name, Histogram>,
    /// How many times each supervisor gave up.
    pub escalations: BTreeMap<Name, u64>,
    /// Services that were to be killed for being unhealthy and were spared.
    pub spared: u64,
    /// Processes that were nobody's run.
    pub orphans: u64,
    /// Whether the last new configuration could be used.
    pub reload_refused: bool,
}

impl Tally {
    /// Takes a record into account; `wall_us` is its time in microseconds since 1970.
    pub(crate) fn take(&mut self, record: &Record, wall_us: i64) {
        if let What::Daemon { kind, .. } = record.what {
            self.reload_refused = match kind {
                note::RELOAD_REFUSED => true,
                kind::DAEMON_RELOADED => false,
                _ => self.reload_refused,
            };
        }
        let Some(name) = &record.name else {
            return;
        };
        match &record.what {
            What::Starting { why, .. } => self.of(name).starts[cause(*why)] += 1,
            What::Exited(exit) => self.exited(name, (exit, record.at, wall_us)),
            What::Decided {
                class,
                decision: Decision::Restart { .. } | Decision::Remediate,
                ..
            } => {
                if let Some(service) = self.services.get_mut(name) {
                    service.down = service.down.or(Some((record.at, class.family)));
                }
            }
            What::Decided { .. }
            | What::Stopping {
                why: StopWhy::Command(_) | StopWhy::Shutdown | StopWhy::Supervisor,
                ..
            }
            | What::Removed => self.give_up(name),
            What::RemedyFinished {
                remedy,
                verdict,
                took,
                ..
            } => self.treated(remedy, (*verdict, *took)),
            What::Ready { run: Some(_), .. } => self.recovered(name, record.at),
            What::LivenessSuspended { .. } => self.spared += 1,
            What::Escalated { class, .. } if class.base == Class::Escalated => {
                *self.escalations.entry(Name::clone(name)).or_default() += 1;
            }
            _ => {}
        }
    }

    /// What was counted of the service of this name.
    pub(crate) fn service(&self, name: &str) -> Option<&OfService> {
        self.services.get(name)
    }

    /// A probe has an answer.
    pub(crate) fn answered(&mut self, name: &Name, question: Question, answer: ProbeAnswer) {
        let key = (question, answer.as_str());
        let answers = &mut self.of(name).answers;
        match answers.iter_mut().find(|(known, _)| *known == key) {
            Some((_, count)) => *count += 1,
            None => answers.push((key, 1)),
        }
    }

    /// Forgets names that are no longer in the tree when there are far too many of them.
    pub(crate) fn forget_former(&mut self, names: &Names) {
        if self.services.len() + self.escalations.len() <= SERVICES_MAX + FORMER_MAX {
            return;
        }
        let there: BTreeSet<&str> = names.all().map(|(_, name)| name).collect();
        self.services.retain(|name, _| there.contains(&**name));
        self.escalations.retain(|name, _| there.contains(&**name));
    }

    fn of(&mut self, name: &Name) -> &mut OfService {
        self.services.entry(Name::clone(name)).or_default()
    }

    fn exited(&mut self, name: &Name, (exit, at, wall_us): (&Exit, Time, i64)) {
        let service = self.of(name);
        let base = exit.class.base;
        let user = exit.class.user.as_ref().map(|class| &class.name);
        let same = |(b, u, _): &&mut (Class, Option<Name>, u32)| *b == base && u.as_ref() == user;
        match service.exits.iter_mut().find(same) {
            Some((.., count)) => *count += 1,
            None => service.exits.push((base, user.cloned(), 1)),
        }
        service.last_exit_us = Some(wall_us);
        if let Some(facts) = exit.facts {
            let spent = facts.user_us.saturating_add(facts.system_us);
            service.cpu += Duration::from_micros(spent);
        }
        match exit.decision {
            // A failed restart goes on with the recovery that it belongs to.
            Decision::Restart { .. }
            | Decision::Remediate
            | Decision::Confirm
            | Decision::Queued => {
                service.down = service.down.or(Some((at, exit.class.family)));
            }
            Decision::StayDown
            | Decision::Escalate
            | Decision::Park
            | Decision::Hold { .. }
            | Decision::Expected
            | Decision::LeftAlone
            | Decision::Done => service.down = None,
            Decision::Absorbed => {}
        }
    }

    fn treated(&mut self, remedy: &Name, (verdict, took): (Verdict, Duration)) {
        let known = self.remedies.contains_key(remedy);
        if !known && self.remedies.len() >= REMEDIES_MAX {
            return;
        }
        let answers = self.remedies.entry(Name::clone(remedy)).or_default();
        let place = Verdict::ALL.iter().position(|other| *other == verdict);
        answers[place.unwrap_or_default()] += 1;
        let histogram = self.treatment.entry(Name::clone(remedy)).or_default();
        histogram.observe(took);
    }

    fn recovered(&mut self, name: &Name, at: Time) {
        if let Some((down, family)) = self.of(name).down.take() {
            let histogram = self.recovery.entry(family.as_str()).or_default();
            histogram.observe(at.since(down));
        }
    }

    fn give_up(&mut self, name: &Name) {
        if let Some(service) = self.services.get_mut(name) {
            service.down = None;
        }
    }
}

/// The place of a reason in [`CAUSES`].
fn cause(why: StartWhy) -> usize {
    match why {
        StartWhy::Boot => 0,
        StartWhy::Restart | StartWhy::Retry | StartWhy::Released | StartWhy::Trial => 1,
        StartWhy::Group(_) => 2,
        StartWhy::Command => 3,
        StartWhy::Apply => 4,
    }
}
