// SPDX-License-Identifier: MIT OR Apache-2.0
//! Laws about who is unhealthy: killed only after as many failures in a row as the configuration
//! says, or after a silence of that length, and then without fail (31); never too many of one
//! supervisor at once, and nobody while our own clock is in doubt (32); asked only while it is
//! ready, and one thing at a time (33).
//!
//! What counts as a failure is decided here a second time, from what the world has answered.

use super::court::Court;
use super::truth::Fact;
use super::ward::is_question;
use std::collections::BTreeMap;
use std::time::Duration;
use supd::spec::{ExitStatus, ProbeFault};
use supd::tree::{
    Condemned, Effect, Event, NodeId, ProbeAnswer, Question, RunId, Said, StopWhy, Suspension,
    Time, What,
};

/// No more than this part of the watched children, rounded up, in this time.
const PERCENT: usize = 34;
const WINDOW: Duration = Duration::from_secs(60);
/// A clock that is read later than this cannot be trusted.
const LAG: Duration = Duration::from_millis(250);
/// After everything stood still nobody is killed for so long.
const GRACE: Duration = Duration::from_secs(5);

/// What is known about the health of everybody.
#[derive(Debug, Default)]
pub(crate) struct Wards {
    /// Questions under way.
    open: BTreeMap<RunId, Asked>,
    of: BTreeMap<RunId, Ward>,
    /// Kills by supervisor.
    culls: BTreeMap<Fact, Vec<(Time, Fact)>>,
    still_at: Option<Time>,
    /// Who must be killed or spared before the event at hand is done with.
    due: Option<(Fact, RunId)>,
}

#[derive(Debug)]
struct Asked {
    about: RunId,
    limit: Time,
    doubtful: bool,
}

/// A run.
#[derive(Debug, Default)]
struct Ward {
    /// Failures in a row, and those since its specification changed the last time: what changed may
    /// have been its question, or not.
    failed: u32,
    since_change: u32,
    sign: Time,
    span: Option<Duration>,
    broken: bool,
    ready: bool,
    /// That it is spared was said, and it was not well since.
    spared: bool,
}

impl Court {
    /// Everything stood still: whatever is asked now says nothing.
    pub(crate) fn stood_still(&mut self, now: Time) {
        self.wards.still_at = Some(now);
        for asked in self.wards.open.values_mut() {
            asked.doubtful = true;
        }
    }

    /// A question is asked, or given up.
    pub(super) fn ward_effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Probe {
                run,
                about,
                question: Question::Liveness,
                ..
            } => self.asked_about(*run, *about),
            Effect::SpawnHelper {
                run,
                command,
                about: Some(about),
                ..
            } if is_question(command) => self.asked_about(*run, *about),
            Effect::CancelProbe { run } | Effect::Signal { run, .. } => self.given_up(*run),
            _ => {}
        }
    }

    /// What is written down about somebody.
    pub(super) fn ward_record(&mut self, (fact, node): (Fact, NodeId), what: &What) {
        match what {
            What::Ready { run: Some(run), .. } => self.ward_ready(*run),
            What::Stopping {
                run: Some(run),
                why,
            } => self.ward_condemned(fact, *run, *why),
            What::LivenessSuspended { run, why } => self.ward_spared(*run, *why),
            What::Changed => self.ward_changed(node),
            // A supervisor is gone; another one of its name remembers nothing.
            What::Removed => drop(self.wards.culls.remove(&fact)),
            _ => {}
        }
    }

    fn asked_about(&mut self, run: RunId, about: RunId) {
        let fact = self.ids.get(&about.node).copied();
        let service = fact.and_then(|fact| self.truth.service(fact));
        let timeout = service.and_then(|s| Some(s.health.liveness.as_ref()?.probe.timeout));
        let ready = self
            .live_of(about)
            .is_some_and(|live| live.ready && live.stopping.is_none());
        if !ready || timeout.is_none() {
            let text = format!("{about} is asked whether it works, and is not to be");
            self.accuse(33, text);
        }
        if self.wards.open.values().any(|asked| asked.about == about) {
            self.accuse(33, format!("{about} is asked twice at a time"));
        }
        let asked = Asked {
            about,
            limit: self.now + timeout.unwrap_or_default(),
            doubtful: false,
        };
        self.wards.open.insert(run, asked);
    }

    /// A question without an answer: a failure if its time has passed on a clock one can trust.
    fn given_up(&mut self, run: RunId) {
        let Some(asked) = self.wards.open.remove(&run) else {
            return;
        };
        let passed = self.now >= asked.limit;
        let late = self.now.since(asked.limit) > LAG;
        if passed && !late && !asked.doubtful {
            self.failed(asked.about);
        }
    }

    /// What the world has told.
    pub(super) fn ward_event(&mut self, event: &Event) {
        match event {
            Event::ProbeDone { run, answer } => self.answered(*run, *answer),
            Event::Exited { run, facts } => {
                let well = facts.status == ExitStatus::Code(0);
                let answer = if well {
                    ProbeAnswer::Success
                } else {
                    ProbeAnswer::Failure(ProbeFault::Exit(facts.status))
                };
                self.answered(*run, answer);
                self.wards.of.remove(run);
            }
            Event::SpawnFailed { run, .. } => {
                self.wards.open.remove(run);
            }
            Event::Said { run, said } => self.ward_says(*run, said),
            _ => {}
        }
    }

    fn ward_says(&mut self, run: RunId, said: &Said) {
        let ward = self.wards.of.entry(run).or_default();
        match said {
            Said::Alive => {
                ward.sign = self.now;
                ward.spared &= ward.failed > 0;
            }
            Said::Watchdog(span) => (ward.sign, ward.span) = (self.now, Some(*span)),
            Said::Broken => ward.broken = true,
            Said::Stopping
            | Said::Extend(_)
            | Said::Class(_)
            | Said::RetryAfter(_)
            | Said::Errno(_)
            | Said::BusError(_) => {}
        }
    }

    fn answered(&mut self, run: RunId, answer: ProbeAnswer) {
        let Some(asked) = self.wards.open.remove(&run) else {
            return;
        };
        match answer {
            ProbeAnswer::Success => {
                let ward = self.wards.of.entry(asked.about).or_default();
                (ward.failed, ward.since_change, ward.spared) = (0, 0, false);
            }
            ProbeAnswer::Failure(_) if !asked.doubtful => self.failed(asked.about),
            ProbeAnswer::Failure(_) | ProbeAnswer::Unknown(_) => {}
        }
    }

    fn failed(&mut self, about: RunId) {
        let ward = self.wards.of.entry(about).or_default();
        ward.failed += 1;
        ward.since_change += 1;
        let (failed, spared) = (ward.since_change, ward.spared);
        let Some(fact) = self.ids.get(&about.node).copied() else {
            return;
        };
        let limit = self.failures(fact);
        let serves = self
            .live_of(about)
            .is_some_and(|live| live.stopping.is_none());
        if limit.is_some_and(|limit| failed == limit) && serves && !spared {
            self.wards.due = Some((fact, about));
        }
    }

    fn failures(&self, fact: Fact) -> Option<u32> {
        let service = self.truth.service(fact)?;
        service.health.liveness.as_ref().map(|l| l.failures)
    }

    /// It is ready for the first time: signs of life count from here.
    fn ward_ready(&mut self, run: RunId) {
        let ward = self.wards.of.entry(run).or_default();
        if !std::mem::replace(&mut ward.ready, true) {
            ward.sign = self.now;
        }
    }

    /// Its questions may be other ones from now on.
    fn ward_changed(&mut self, node: NodeId) {
        for (run, ward) in &mut self.wards.of {
            if run.node == node {
                ward.since_change = 0;
            }
        }
    }

    /// A service is killed because it does not work.
    fn ward_condemned(&mut self, fact: Fact, run: RunId, why: StopWhy) {
        // Whatever it is stopped for, nobody need look after it any more.
        self.wards.due = self.wards.due.filter(|(_, due)| *due != run);
        let StopWhy::Unhealthy(what) = why else {
            return;
        };
        let ward = self.wards.of.remove(&run).unwrap_or_default();
        let guilty = match what {
            Condemned::Liveness => {
                let limit = self.failures(fact);
                limit.is_some_and(|limit| ward.failed >= limit)
            }
            Condemned::Watchdog => {
                let service = self.truth.service(fact);
                let span = service.and_then(|service| service.health.watchdog);
                let silent = self.now.since(ward.sign);
                span.is_some_and(|span| ward.broken || silent >= ward.span.unwrap_or(span))
            }
        };
        if !guilty {
            let text = format!("{run} is killed for {what:?}: {ward:?}");
            self.accuse(31, text);
        }
        if ward.broken {
            // Its own word is not in doubt.
            return;
        }
        let still = self.wards.still_at.map(|at| self.now.since(at));
        if still.is_some_and(|span| span < GRACE) {
            self.accuse(32, format!("{run} is killed right after a standstill"));
        }
        self.is_no_epidemic(fact);
    }

    fn is_no_epidemic(&mut self, fact: Fact) {
        let Some((parent, rules)) = self.truth.rules_above(fact) else {
            return;
        };
        let watched = rules.children.iter().filter(|child| {
            let service = self.truth.service(**child);
            service.is_some_and(|service| service.health.is_watched())
        });
        let most = (watched.count() * PERCENT).div_ceil(100).max(1);
        let now = self.now;
        let culls = self.wards.culls.entry(parent).or_default();
        culls.retain(|(at, _)| now.since(*at) <= WINDOW);
        culls.push((now, fact));
        let alone = culls.iter().all(|(_, other)| *other == fact);
        let count = culls.len();
        if count > most && !alone {
            let text = format!("{count} children of one supervisor are killed in a minute");
            self.accuse(32, text);
        }
    }

    /// A kill is put off.
    fn ward_spared(&mut self, run: RunId, why: Suspension) {
        self.wards.due = self.wards.due.filter(|(_, due)| *due != run);
        self.wards.of.entry(run).or_default().spared = true;
        let known = match why {
            Suspension::Resumed => self.wards.still_at.is_some(),
            Suspension::Lag(late) => late > LAG,
            Suspension::Quorum { killed, watched } => killed * 100 >= watched * PERCENT,
        };
        if !known {
            self.accuse(32, format!("{run} is spared for no reason: {why:?}"));
        }
    }

    /// Everything that follows from one event has been done.
    pub(super) fn ward_adjourn(&mut self) {
        let Some((fact, run)) = self.wards.due.take() else {
            return;
        };
        let spared = |at: Fact| self.files[at].reign.ending || self.files[at].pinned;
        let excused = self.truth.lineage(fact).any(spared) || self.haste.is_some();
        if !excused && self.files[fact].live.is_some() {
            self.accuse(31, format!("{run} does not work and is left alone"));
        }
    }
}
