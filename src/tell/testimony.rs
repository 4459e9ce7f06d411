// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an end's class rests on, as shapes of the protocol. It decides nothing.

use super::line::millis;
use crate::spec::{Class, ExitFacts, Oom, Testimony};
use crate::tree::{Classification, LastExit, tried};
use crate::wire::{CaptureLine, MatchLine, RuleLine, SaidLine, Word};

/// How sure the base class is, where that is a question.
pub fn certainty(class: &Classification, facts: Option<&ExitFacts>) -> Option<Word> {
    if class.base != Class::OomKill {
        return None;
    }
    match facts?.oom {
        Oom::None => None,
        Oom::Shared => Some(Word::Borrowed("likely")),
        Oom::Own => Some(Word::Borrowed("certain")),
    }
}

/// The line that the class was derived from, if it was a line.
pub fn matched(class: &Classification, testimony: &Testimony) -> Option<MatchLine> {
    let found = class.evidence(testimony).next()?;
    Some(MatchLine {
        stream: Word::Borrowed(found.stream.as_str()),
        line: found.line.to_string(),
        captures: found
            .captures
            .iter()
            .map(|(name, text)| CaptureLine {
                name: name.to_string(),
                text: text.to_string(),
            })
            .collect(),
    })
}

/// What the service said itself.
pub fn said(testimony: &Testimony) -> Option<SaidLine> {
    let said = SaidLine {
        class: testimony.class.as_deref().map(str::to_owned),
        retry_after_ms: testimony.retry_after.map(millis),
        errno: testimony.errno,
        bus_error: testimony.bus_error.as_deref().map(str::to_owned),
    };
    (said != SaidLine::default()).then_some(said)
}

/// Every class of the configuration and what came of it.
pub fn rules(last: &LastExit) -> Vec<RuleLine> {
    let lines = tried(&last.rules, last.end()).into_iter();
    lines
        .map(|(rule, miss)| RuleLine {
            class: rule.name.to_string(),
            miss: miss.map(|miss| Word::Owned(miss.to_string())),
        })
        .collect()
}
