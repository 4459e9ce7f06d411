// SPDX-License-Identifier: MIT OR Apache-2.0
//! Remedies back in the language: each entry as one table in one line, so that what belongs
//! together is compared together.

use super::spell_process::command;
use super::spelling::{Lines, array, key, literal, path, quoted, spell};
use crate::spec::{Command, Counts, Flight, Mode, Rate, Remedy, RunsAs, Step};
use std::sync::Arc;

/// Every entry, with `prefix` before its key.
pub(super) fn remedies(lines: &mut Lines, prefix: &str, remedies: &[Arc<Remedy>]) {
    for remedy in remedies {
        let name = format!("{prefix}{}", key(&remedy.on.key()));
        lines.put(&name, entry(remedy));
    }
}

fn entry(remedy: &Remedy) -> String {
    let Remedy {
        id: _,
        on: _,
        steps,
        timeout,
        limit,
        counts,
        mode,
        runs_as,
        flight,
    } = remedy;
    let mut parts = vec![done(steps)];
    parts.push(format!("timeout = {}", quoted(&spell(*timeout))));
    if let Some(Rate { count, period }) = limit {
        parts.push(format!("limit = \"{count}/{}\"", spell(*period)));
    }
    parts.push(match counts {
        Counts::Yes => "counts = true".to_owned(),
        Counts::No => "counts = false".to_owned(),
    });
    parts.push(match mode {
        Mode::Act => "mode = \"act\"".to_owned(),
        Mode::Observe => "mode = \"observe\"".to_owned(),
    });
    parts.push(match runs_as {
        RunsAs::Service => "as = \"service\"".to_owned(),
        RunsAs::Supd => "as = \"supd\"".to_owned(),
    });
    parts.push(match flight {
        Flight::Own => "single_flight = false".to_owned(),
        Flight::Single => "single_flight = true".to_owned(),
    });
    format!("{{ {} }}", parts.join(", "))
}

fn done(steps: &[Step]) -> String {
    match steps {
        [Step::Run(Command::Shell(text))] => format!("shell = {}", literal(text)),
        [Step::Run(run)] => format!("run = {}", command(run)),
        steps => format!("steps = {}", array(steps.iter().map(step))),
    }
}

fn step(step: &Step) -> String {
    match step {
        Step::Run(Command::Shell(text)) => format!("{{ shell = {} }}", literal(text)),
        Step::Run(run) => format!("{{ run = {} }}", command(run)),
        Step::Delay(span) => format!("{{ delay = {} }}", quoted(&spell(*span))),
        Step::Signal { service, signal } => format!(
            "{{ signal = {{ service = {}, signal = \"{signal}\" }} }}",
            quoted(service)
        ),
        Step::Restart(service) => format!("{{ restart = {} }}", quoted(service)),
        Step::Capture(what) => {
            let words = what.iter().map(|evidence| quoted(evidence.as_str()));
            format!("{{ capture = {} }}", array(words))
        }
        Step::RemoveStaleLock { path: at, kind } => format!(
            "{{ remove_stale_lock = {{ path = {}, kind = \"{}\" }} }}",
            path(at),
            kind.as_str()
        ),
        Step::Park => quoted("park"),
        Step::Escalate => quoted("escalate"),
    }
}
