// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was recorded against what was seen, for every kind of replay. Decides what counts as the
//! same, and never what a supervisor should have done.

use super::case::{Happened, Observation, Seen};
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

/// Compares results, events, reports and states; the error names each that differs.
pub(crate) fn compare(expected: &Observation, got: &Observation) -> Result<(), String> {
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
pub(crate) fn sort_pool_stops(events: &mut [Seen], skip: usize, pools: &dyn Fn(&str) -> bool) {
    let pool_of = |event: &Seen| match event.ev {
        Happened::Stop => {
            let (sup, _) = event.id.rsplit_once('.')?;
            pools(sup).then(|| sup.to_owned())
        }
        Happened::Start | Happened::StartFailed | Happened::SupStart | Happened::SupStop => None,
    };
    let skip = skip.min(events.len());
    for run in events[skip..].chunk_by_mut(|a, b| pool_of(a).is_some() && pool_of(a) == pool_of(b))
    {
        if run.len() > 1 {
            run.sort_by(|a, b| a.id.cmp(&b.id));
        }
    }
}
