// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records about remedies as lines of the protocol. It decides nothing.

use super::line::millis;
use super::words;
use crate::spec::ExitStatus;
use crate::tree::{HookEnd, What};
use crate::wire::{EventLine, FailureLine, Word};

pub(super) fn fill(line: &mut EventLine, what: &What) {
    match what {
        What::RemedyStarted {
            remedy,
            class,
            trigger,
            ..
        } => {
            line.remediation = Some(remedy.to_string());
            line.class = Some(Word::Owned(class.to_string()));
            line.trigger = trigger.map(|trigger| Word::Borrowed(trigger.as_str()));
        }
        What::RemedyStep { remedy, step, .. } => {
            line.remediation = Some(remedy.to_string());
            line.step = Some(*step as u64 + 1);
            line.output = std::mem::take(&mut line.last_lines);
        }
        What::RemedyFinished {
            remedy,
            verdict,
            after,
            took,
            how,
            ..
        } => {
            line.remediation = Some(remedy.to_string());
            line.verdict = Some(Word::Borrowed(verdict.as_str()));
            line.after_ms = after.map(millis);
            line.took_ms = Some(millis(*took));
            line.output = std::mem::take(&mut line.last_lines);
            if let Some(how) = how {
                ended(line, *how);
            }
        }
        What::RemedySkipped { remedy, why } => {
            line.remediation = remedy.as_ref().map(ToString::to_string);
            line.why = Some(Word::Borrowed(words::skip(*why)));
        }
        // Only what is about remedies comes here.
        _ => {}
    }
}

fn ended(line: &mut EventLine, how: HookEnd) {
    match how {
        HookEnd::Status(ExitStatus::Code(code)) => line.code = Some(code),
        HookEnd::Status(ExitStatus::Signal { signal, core }) => {
            line.signal = Some(Word::Owned(signal.to_string()));
            line.core = core;
        }
        HookEnd::NotStarted(failure) => {
            line.failure = Some(FailureLine {
                stage: Word::Borrowed(failure.stage.as_str()),
                errno: failure.errno,
                message: Some(words::errno(failure.errno)),
                ..FailureLine::default()
            });
        }
        HookEnd::TimedOut => line.why = Some(Word::Borrowed("timeout")),
    }
}
