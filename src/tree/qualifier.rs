// SPDX-License-Identifier: MIT OR Apache-2.0
//! What else is to be said about an end, beside its class (SEMANTICS §5).
//!
//! A qualifier changes nothing: it is for who reads the record.

use super::Tree;
use super::event::NodeId;
use super::node::{Life, Rung};
use crate::spec::{Class, ExitFacts, ExitStatus, Oom, Service, Signal};

/// A set of qualifiers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Qualifiers(u8);

impl Qualifiers {
    /// A clean end that left living processes: it went into the background.
    pub const DAEMONIZED: Self = Self(1);
    /// It ended while it was stopped, but neither well nor by what it had been sent.
    pub const UNCLEAN: Self = Self(2);

    /// It ended before it was ready, or within a second.
    pub const EARLY: Self = Self(4);
    /// The third early end in a row, or one more.
    pub const FLAPPING: Self = Self(8);
    /// A process below it was killed for want of memory.
    pub const DESCENDANT_OOM: Self = Self(16);

    const WORDS: [(Self, &'static str); 5] = [
        (Self::DAEMONIZED, "daemonized"),
        (Self::UNCLEAN, "unclean"),
        (Self::EARLY, "early"),
        (Self::FLAPPING, "flapping"),
        (Self::DESCENDANT_OOM, "descendant_oom"),
    ];

    /// The words for them in records.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let has = move |one: Self| self.0 & one.0 != 0;
        let all = Self::WORDS.into_iter();
        all.filter_map(move |(one, word)| has(one).then_some(word))
    }

    /// Whether all of these are said.
    pub fn has(self, some: Self) -> bool {
        self.0 & some.0 == some.0
    }

    /// What both say.
    pub(super) fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// Of the end of a process; `sent` is what it had been sent while it was stopped.
    pub(super) fn of(class: Class, facts: &ExitFacts, service: &Service, sent: &[Signal]) -> Self {
        let mut all = Self::default();
        if class == Class::Clean && facts.left_behind > 0 {
            all = all.and(Self::DAEMONIZED);
        }
        if class == Class::Requested && !is_orderly(facts.status, service, sent) {
            all = all.and(Self::UNCLEAN);
        }
        // Its own counter has risen, and it was not itself that was killed.
        if facts.oom == Oom::Own && class != Class::OomKill {
            all = all.and(Self::DESCENDANT_OOM);
        }
        all
    }
}

impl Tree {
    /// What is to be said about the end of this service's process; asked while its life still says
    /// what it was doing.
    pub(super) fn qualify(
        &self,
        id: NodeId,
        class: Class,
        facts: Option<&ExitFacts>,
    ) -> Qualifiers {
        let Some((service, facts)) = self.service(id).zip(facts) else {
            return Qualifiers::default();
        };
        let steps = &service.stop.steps;
        let taken = match self.life(id) {
            Some(Life::Stopping(_, stopping)) => match stopping.rung {
                Rung::Command(_) | Rung::Evidence => 0,
                Rung::Step(place) => steps.len().min(place + 1),
                Rung::Condemned(place) => {
                    let steps = &service.health.kill;
                    let sent = steps.iter().take(place + 1).map(|step| step.signal);
                    let sent: Vec<Signal> = sent.collect();
                    return Qualifiers::of(class, facts, service, &sent);
                }
                // Only who is never asked has requested this; it was no step that was sent.
                Rung::Kill => return Qualifiers::of(class, facts, service, &[Signal::KILL]),
            },
            Some(_) | None => 0,
        };
        let sent: Vec<Signal> = steps[..taken].iter().map(|step| step.signal).collect();
        Qualifiers::of(class, facts, service, &sent)
    }
}

fn is_orderly(status: ExitStatus, service: &Service, sent: &[Signal]) -> bool {
    match status {
        ExitStatus::Signal { signal, .. } => {
            sent.contains(&signal) || service.success_signals.contains(&signal)
        }
        ExitStatus::Code(code) => {
            code == 0
                || service.success_codes.contains(&code)
                || sent.iter().any(|signal| signal.exit_code() == code)
        }
    }
}
