// SPDX-License-Identifier: MIT OR Apache-2.0
//! `GET /v1/remediations`: the registry as the engine has it, in the protocol's words.

use super::control::Answer;
use super::run::Daemon;
use super::words;
use crate::spec::{Command, Counts, Flight, Mode, RunsAs, Step, Verdict};
use crate::tell::line::millis;
use crate::tree::{RemedyView, Time};
use crate::wire::{Remediation, Remediations, Word};

impl Daemon {
    /// Every entry, and how it went so far.
    pub(crate) fn remediations(&self) -> Answer {
        let now = self.now();
        let all = self.tree.remedies();
        let remediations = all.iter().map(|view| shape(view, now)).collect();
        Answer::json(200, &Remediations { remediations })
    }
}

fn shape(view: &RemedyView, now: Time) -> Remediation {
    let remedy = &view.remedy;
    let answers = Verdict::ALL.iter().zip(view.answers);
    let given = answers.filter(|(_, count)| *count > 0);
    let limit = remedy.limit.map(|rate| {
        let time = words::span(rate.period);
        format!("{}/{time}", rate.count)
    });
    Remediation {
        name: remedy.id.to_string(),
        of: view.of.as_ref().map(ToString::to_string),
        on: remedy.on.key(),
        does: remedy.steps.iter().map(step).collect(),
        timeout_ms: millis(remedy.timeout),
        limit,
        used: view.used,
        free: remedy.counts == Counts::No,
        mode: Word::Borrowed(match remedy.mode {
            Mode::Act => "act",
            Mode::Observe => "observe",
        }),
        runs_as: Word::Borrowed(match remedy.runs_as {
            RunsAs::Service => "service",
            RunsAs::Supd => "supd",
        }),
        single_flight: remedy.flight == Flight::Single,
        verdicts: given
            .map(|(verdict, count)| (Word::Borrowed(verdict.as_str()), count))
            .collect(),
        skipped: view.skipped,
        last: view
            .last
            .map(|(_, verdict)| Word::Borrowed(verdict.as_str())),
        last_ago_ms: view.last.map(|(at, _)| millis(now.since(at))),
        off_ms: view.off_until.map(|until| millis(until.since(now))),
        at_work: view.at_work.iter().map(ToString::to_string).collect(),
    }
}

/// What a step does. The words of a shell may hold anything and are not shown.
fn step(step: &Step) -> String {
    match step {
        Step::Run(Command::Argv(words)) => words.join(" "),
        Step::Run(Command::Shell(_)) => "a shell script".to_owned(),
        Step::Delay(span) => format!("wait {}", words::span(*span)),
        Step::Signal { service, signal } => format!("send SIG{signal} to {service}"),
        Step::Restart(service) => format!("restart {service}"),
        Step::Capture(what) => {
            let words: Vec<&str> = what.iter().map(|evidence| evidence.as_str()).collect();
            format!("capture {}", words.join(", "))
        }
        Step::RemoveStaleLock { path, .. } => format!("remove {} if stale", path.display()),
        Step::Park => "park".to_owned(),
        Step::Escalate => "escalate".to_owned(),
    }
}
