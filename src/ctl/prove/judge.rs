// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether what was expected has happened. Judged from the records of the step, never from what
//! the script wanted to bring about.

use super::model::{Model, Told};
use super::script::{Bound, Claim, Noun, Statement};
use crate::tell::words;
use crate::tree::{Class, Halt, NodeId, Record, State, Time, What};
use std::ops::Range;
use std::time::Duration;

/// What came of an expectation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Check {
    /// As it was written.
    pub(crate) words: String,
    pub(crate) span: Range<usize>,
    pub(crate) held: bool,
    /// What was found.
    pub(crate) found: String,
}

/// Where a step begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    story: usize,
    states: usize,
}

impl Step {
    /// One that begins now.
    pub(crate) fn beginning(model: &Model) -> Self {
        Self {
            story: model.story().len(),
            states: model.states().len(),
        }
    }
}

/// What a claim is judged by.
struct Bench<'a> {
    model: &'a Model,
    step: Step,
    /// From where `within` counts, and until when.
    from: Time,
    limit: Option<Time>,
}

type Verdict = (bool, String);

/// Judges a claim.
pub(crate) fn judge(
    (model, step): (&Model, &Step),
    (claim, from, limit): (&Claim, Time, Option<Time>),
    statement: Statement,
) -> Check {
    let bench = Bench {
        model,
        step: *step,
        from,
        limit,
    };
    let (held, found) = match claim {
        Claim::Restarted(noun, times) => bench.restarted(noun, *times),
        Claim::Untouched(noun) => bench.untouched(noun),
        Claim::Reaches(noun, state) => bench.reaches(noun, *state),
        Claim::Finally(noun, state) => bench.finally(noun, *state),
        Claim::GivesUp(noun, code) => bench.gives_up(noun, *code),
        Claim::Class(noun, class) => bench.class(noun, class),
        Claim::Restarts(noun, bound, count) => bench.counts(noun, *bound, *count),
    };
    Check {
        words: statement.words,
        span: statement.span,
        held,
        found,
    }
}

impl<'a> Bench<'a> {
    /// The records of the step, up to the limit.
    fn records(&self) -> impl Iterator<Item = &'a Record> {
        let limit = self.limit;
        let told = self.model.story().iter().skip(self.step.story);
        told.filter_map(move |(at, told)| match told {
            Told::Record(record) if limit.is_none_or(|limit| *at <= limit) => Some(&**record),
            Told::Record(_) | Told::Done(_) | Told::Remark(_) => None,
        })
    }

    fn of(&self, noun: &Noun) -> impl Iterator<Item = &'a Record> {
        let name = noun.name.clone();
        self.records()
            .filter(move |r| r.name.as_deref() == Some(&*name))
    }

    /// Its starts; those of a supervisor are its incarnations.
    fn starts(&self, noun: &Noun) -> Vec<&'a Record> {
        let is_start = |r: &&Record| {
            matches!(
                r.what,
                What::Starting { .. } | What::SupervisorStarting { .. }
            )
        };
        self.of(noun).filter(is_start).collect()
    }

    fn restarted(&self, noun: &Noun, times: Option<u32>) -> Verdict {
        let starts = self.starts(noun);
        let Some(last) = starts.last() else {
            return (false, "it was not started again".to_owned());
        };
        let ready = self
            .of(noun)
            .find(|r| r.seq > last.seq && matches!(r.what, What::Ready { .. }));
        let count = starts.len();
        let often = times_of(count);
        let Some(ready) = ready else {
            let how = self.state_now(noun).map_or("gone", State::as_str);
            let within = self.within();
            return (false, format!("{often} and is {how}{within}"));
        };
        let after = self.after(ready.at);
        let right = times.is_none_or(|times| times as usize == count);
        let found = format!("{often} and is ready after {after}");
        (right, found)
    }

    fn untouched(&self, noun: &Noun) -> Verdict {
        let Some(above) = self.id(noun) else {
            return (false, "it is gone".to_owned());
        };
        let names = self.model.names();
        let below = |r: &&Record| r.node.is_some_and(|id| names.is_below(id, above));
        match self.records().filter(below).find(|r| touches(&r.what)) {
            None => (true, "nothing happened to it".to_owned()),
            Some(record) => {
                let who = record.name.as_deref().unwrap_or("it");
                let kind = crate::tell::line::kind_of(record);
                let after = self.after(record.at);
                (false, format!("{kind} of {who} after {after}"))
            }
        }
    }

    fn reaches(&self, noun: &Noun, state: State) -> Verdict {
        let states = self.model.states();
        let entered = states[self.step.states.min(states.len())..]
            .iter()
            .find(|(at, name, s)| {
                *name == noun.name && *s == state && self.limit.is_none_or(|limit| *at <= limit)
            });
        if let Some((at, ..)) = entered {
            return (
                true,
                format!("it is {} after {}", state.as_str(), self.after(*at)),
            );
        }
        let last = states.iter().rev().find(|(_, name, _)| *name == noun.name);
        let (held, now) = match last {
            // It was so before the step, and nothing has changed it.
            Some((at, _, now)) => (*now == state && *at <= self.from, now.as_str()),
            None => (false, "gone"),
        };
        let words = if held { "it stays" } else { "it is" };
        (held, format!("{words} {now}{}", self.within()))
    }

    fn finally(&self, noun: &Noun, state: State) -> Verdict {
        match self.state_now(noun) {
            Some(now) => (now == state, format!("it is {}", now.as_str())),
            None => (false, "it is gone".to_owned()),
        }
    }

    fn gives_up(&self, noun: &Noun, code: Option<u8>) -> Verdict {
        let root = self.id(noun) == Some(self.model.tree().root());
        if let (true, Some(Halt::GaveUp { code: found, .. })) = (root, self.model.halt()) {
            let right = code.is_none_or(|code| code == *found);
            return (right, format!("it gives up with {found}"));
        }
        let gave_up = self.of(noun).find_map(|r| match &r.what {
            What::Escalated { class, culprit } if class.base == Class::Escalated => {
                Some((r, culprit))
            }
            _ => None,
        });
        let Some((record, culprit)) = gave_up else {
            let how = self.state_now(noun).map_or("gone", State::as_str);
            return (
                false,
                format!("it has not given up{}; it is {how}", self.within()),
            );
        };
        let after = self.after(record.at);
        let found = culprit.as_ref().map(|culprit| culprit.code);
        let right = code.is_none() || code == found;
        let with = found.map_or_else(String::new, |found| format!(" with {found}"));
        (right, format!("it gives up{with} after {after}"))
    }

    fn class(&self, noun: &Noun, class: &str) -> Verdict {
        let ends = self.of(noun).filter_map(|r| match &r.what {
            What::Exited(exit) => Some(&exit.class),
            What::Escalated { class, .. } => Some(class),
            _ => None,
        });
        let asked_for = [Class::Requested, Class::StopTimeout];
        let ends: Vec<_> = ends.collect();
        let own = ends.iter().rev().find(|end| !asked_for.contains(&end.base));
        match own.or(ends.last()) {
            Some(found) => {
                let base = found.base.as_str();
                let right = found.as_str() == class || base == class;
                (right, format!("its last end is {}", found.as_str()))
            }
            None => (false, "it has not ended".to_owned()),
        }
    }

    fn counts(&self, noun: &Noun, bound: Bound, count: u32) -> Verdict {
        let found = self.starts(noun).len();
        let count = count as usize;
        let held = match bound {
            Bound::AtMost => found <= count,
            Bound::AtLeast => found >= count,
            Bound::Exactly => found == count,
        };
        (held, times_of(found))
    }

    fn id(&self, noun: &Noun) -> Option<NodeId> {
        self.model.tree().node(&noun.name)
    }

    fn state_now(&self, noun: &Noun) -> Option<State> {
        let tree = self.model.tree();
        tree.view(self.id(noun)?).map(|view| view.state)
    }

    /// How long after the point that `within` counts from.
    fn after(&self, at: Time) -> String {
        words::span(at.since(self.from))
    }

    fn within(&self) -> String {
        let limit = self.limit.map(|limit| limit.since(self.from));
        let limit: Option<Duration> = limit;
        limit.map_or_else(String::new, |limit| {
            format!(" after {}", words::span(limit))
        })
    }
}

/// Whether it happens to a process, or to who has none because of it.
fn touches(what: &What) -> bool {
    match what {
        What::Starting { .. }
        | What::SupervisorStarting { .. }
        | What::Exited(_)
        | What::Decided { .. }
        | What::Stopping { .. }
        | What::Signalled { .. }
        | What::Stopped { .. }
        | What::SupervisorStopped { .. }
        | What::Unready { .. }
        | What::Backoff { .. }
        | What::Parked { .. }
        | What::Held { .. }
        | What::Unkillable { .. }
        | What::Escalated { .. }
        | What::StartFailed { .. }
        | What::Removed => true,
        What::Ready { .. }
        | What::ProbeChanged { .. }
        | What::LivenessSuspended { .. }
        | What::Strategy { .. }
        | What::Exhausted { .. }
        | What::Released
        | What::Breaker(_)
        | What::BreakerAlarm { .. }
        | What::RemedyStarted { .. }
        | What::RemedyStep { .. }
        | What::RemedyFinished { .. }
        | What::RemedySkipped { .. }
        | What::Added
        | What::Changed
        | What::Command { .. }
        | What::ShuttingDown { .. }
        | What::Health { .. }
        | What::Daemon { .. } => false,
    }
}

fn times_of(count: usize) -> String {
    match count {
        0 => "it was not started again".to_owned(),
        1 => "it was started once".to_owned(),
        2 => "it was started twice".to_owned(),
        more => format!("it was started {more} times"),
    }
}
