// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scenarios: one line in, a readable trace out, agreed to by a person; and the table of every
//! (state, event) pair, which is complete. `UPDATE=1 cargo test --test scenarios` writes what the
//! engine does now into the files, so that a change of policy is a diff.

mod scene;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// Compares a file with what it should be now, or writes it.
fn agree(path: &Path, now: &str) -> Result<(), String> {
    if std::env::var_os("UPDATE").is_some() {
        return fs::write(path, now).map_err(|e| e.to_string());
    }
    let agreed = fs::read_to_string(path).unwrap_or_default();
    if agreed == now {
        return Ok(());
    }
    let mut text = format!("{}:\n", path.display());
    let longest = agreed.lines().count().max(now.lines().count());
    for at in 0..longest {
        let (old, new) = (agreed.lines().nth(at), now.lines().nth(at));
        if old != new {
            let _ = writeln!(text, "line {}", at + 1);
            let _ = writeln!(text, "  agreed {}", old.unwrap_or("(nothing)"));
            let _ = writeln!(text, "  now    {}", new.unwrap_or("(nothing)"));
        }
    }
    Err(text)
}

/// A scenario file again, with the traces of now: titles begin with `#`, scripts stand at the
/// margin, traces are indented.
fn played(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines().filter(|line| !line.starts_with("    ")) {
        let _ = writeln!(out, "{line}");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        for told in scene::trace(line).lines() {
            let _ = writeln!(out, "    {told}");
        }
    }
    out
}

#[test]
fn every_scenario_goes_as_agreed() {
    let dir = tests().join("scenarios");
    let files = fs::read_dir(&dir).expect("the scenarios are there");
    let mut scripts = 0;
    let mut wrong = Vec::new();
    for entry in files {
        let path = entry.expect("a file").path();
        let text = fs::read_to_string(&path).expect("a text");
        let now = played(&text);
        scripts += now.lines().filter(|line| line.contains('[')).count();
        wrong.extend(agree(&path, &now).err());
    }
    assert!(scripts > 100, "only {scripts} scenarios");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_more_probes_are_under_way_than_there_is_room_for() {
    let names: Vec<String> = (0..200).map(|n| format!("s{n}")).collect();
    let trees: Vec<String> = names.iter().map(|n| format!("{n}(rechecked)")).collect();
    let answers: Vec<String> = names.iter().map(|n| format!("probe {n} success")).collect();
    // Nobody answers, a question lasts three seconds, and nobody is asked twice in this time.
    let (trees, answers) = (trees.join(" "), answers.join("; "));
    let script = format!("one_for_one parallel [{trees}]; {answers}; wait 17s");
    let told = scene::trace(&script);
    let (mut open, mut most, mut asked) = (0_usize, 0, 0);
    for line in told.lines().skip_while(|line| *line != "> wait 17s") {
        if line.ends_with(" is asked") {
            (open, asked) = (open + 1, asked + 1);
        } else if line.ends_with(" unready: a probe") {
            open -= 1;
        }
        most = most.max(open);
    }
    assert_eq!(most, 64);
    assert!(asked == 200, "everybody has a turn: {asked}");
}

#[test]
fn the_table_of_states_and_events_is_agreed() {
    let agreed = agree(&tests().join("snapshots/table.txt"), &scene::table::page());
    assert_eq!(agreed, Ok(()));
}

#[test]
fn no_state_and_no_event_is_missing_in_the_table() {
    let missing = scene::table::missing();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
