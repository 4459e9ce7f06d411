// SPDX-License-Identifier: MIT OR Apache-2.0
//! Replays recorded OTP behaviour against the engine in virtual time.
//!
//! Each case runs twice: once with programs that are ready as soon as they run and whose failed
//! starts are failed executions, once with programs that say when they are ready and whose failed
//! starts are either failed executions or early ends. Both must do what OTP did. This module
//! compares; what a supervisor does is decided by the engine alone, what a program does by
//! [`kernel`].

pub(crate) mod case;
mod kernel;
mod report;
mod script;
mod specs;

use case::{Case, Observation, Seen};
use kernel::Manner;
use script::Script;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Every case of a directory, sorted by name.
pub(crate) fn files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "json") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Replays the case in this file; the error is a text for people.
pub(crate) fn replay_file(path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read: {e}"))?;
    let case: Case = serde_json::from_str(&text).map_err(|e| format!("cannot parse: {e}"))?;
    if case.schema != "sup-conformance/1" {
        return Err(format!("unknown schema `{}`", case.schema));
    }
    replay(&case, Manner::AtOnce)?;
    replay(&case, Manner::SaysSo)
}

/// Replays one case; stops at the first step that differs, as everything after it would.
fn replay(case: &Case, manner: Manner) -> Result<(), String> {
    let mut script = Script::new(case, manner);
    let got = script.boot();
    compare(&case.boot, &got).map_err(|text| tell(case, manner, "boot", &text, &script))?;
    for (number, step) in case.steps.iter().enumerate() {
        let got = script.perform(&step.op);
        compare(&step.observation(), &got).map_err(|text| {
            let title = format!("step {} {:?}", number + 1, step.op);
            tell(case, manner, &title, &text, &script)
        })?;
    }
    Ok(())
}

/// The failure with what led to it.
fn tell(case: &Case, manner: Manner, title: &str, text: &str, script: &Script) -> String {
    let trace = script.trace().join("\n    ");
    format!(
        "{} ({manner:?}), {title}\n{text}  trace:\n    {trace}\n",
        case.name
    )
}

/// Compares results, events, reports and states; the error names each that differs.
fn compare(expected: &Observation, got: &Observation) -> Result<(), String> {
    let mut text = String::new();
    let mut differ = |what: &str, expected: Vec<String>, got: Vec<String>| {
        if expected != got {
            let _ = writeln!(
                text,
                "  {what}\n    expected {expected:?}\n    got      {got:?}"
            );
        }
    };
    differ(
        "result",
        vec![expected.result.to_string()],
        vec![got.result.to_string()],
    );
    differ("events", lines(&expected.events), lines(&got.events));
    differ("reports", lines(&expected.reports), lines(&got.reports));
    let rows = |o: &Observation| -> Vec<String> {
        let row = |row: &Vec<_>| serde_json::Value::from(row.clone()).to_string();
        o.state.iter().map(row).collect()
    };
    differ("state", rows(expected), rows(got));
    if text.is_empty() { Ok(()) } else { Err(text) }
}

fn lines<T: ToString>(of: &[T]) -> Vec<String> {
    of.iter().map(ToString::to_string).collect()
}

/// Sorts each run of consecutive stops of one pool by id: a pool stops all its instances at once
/// and nobody can tell in which order they end. `skip` leading events are the operation's own.
fn sort_pool_stops(events: &mut [Seen], skip: usize, pools: &dyn Fn(&str) -> bool) {
    let pool_of = |event: &Seen| match event.ev {
        case::Happened::Stop => {
            let (sup, _) = event.id.rsplit_once('.')?;
            pools(sup).then(|| sup.to_owned())
        }
        case::Happened::Start
        | case::Happened::StartFailed
        | case::Happened::SupStart
        | case::Happened::SupStop => None,
    };
    let skip = skip.min(events.len());
    for run in events[skip..].chunk_by_mut(|a, b| pool_of(a).is_some() && pool_of(a) == pool_of(b))
    {
        if run.len() > 1 {
            run.sort_by(|a, b| a.id.cmp(&b.id));
        }
    }
}
