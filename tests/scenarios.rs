// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scenarios: one line in, a readable trace out, agreed to by a person; and the table of every
//! (state, event) pair. `UPDATE=1 cargo test --test scenarios` writes what the engine does now
//! into the files, so that a change of policy is a diff.

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

/// How `a` gets into each state; the tree has siblings, so that waiting can be seen.
const SERVICE_STATES: &[(&str, &str)] = &[
    ("fresh", "one_for_one [a(disabled) b];"),
    ("starting", "one_for_one [a(notify) b];"),
    ("ready", "one_for_one [a b];"),
    ("stopping", "one_for_one [a(deaf) b]; stop a;"),
    ("stopped", "one_for_one [a b]; stop a;"),
    ("backoff", "one_for_one [a b]; exit a 78;"),
    ("waiting", "rest_for_one [b a]; exit b 78;"),
    ("done", "one_for_one [a(transient) b]; exit a 0;"),
    ("unkillable", "one_for_one [a(stuck) b]; stop a; wait 1m;"),
    ("pinned", "one_for_one [a b]; pin a;"),
];

/// What can happen to a service; those that need a process are left out where there is none.
const SERVICE_EVENTS: &[&str] = &[
    "exit a 0",
    "exit a 1",
    "exit a 78",
    "die a KILL",
    "die a TERM",
    "ready a",
    "next",
    "exit b 1",
    "start a",
    "stop a",
    "restart a",
    "only a",
    "reset a",
    "pin a",
    "unpin a",
    "signal a USR1",
    "reload a",
    "delete a",
    "shutdown",
];

/// How `g` gets into each state.
const SUPERVISOR_STATES: &[(&str, &str)] = &[
    ("starting", "one_for_one [g: one_for_all [a(notify) c] b];"),
    ("up", "one_for_one [g: one_for_all [a c] b];"),
    (
        "one below its limit",
        "one_for_one [g: one_for_all 0/60s [a c] b];",
    ),
    (
        "transient, no restart left",
        "one_for_one [g: transient one_for_all 0/60s [a c] b];",
    ),
    (
        "recovering",
        "one_for_one [g: one_for_all [a c(deaf)] b]; exit a 1;",
    ),
    (
        "waiting to recover",
        "one_for_one [g: one_for_all [a c] b]; exit a 78;",
    ),
    (
        "stopping",
        "one_for_one [g: one_for_all [a(deaf) c] b]; stop g;",
    ),
    ("stopped", "one_for_one [g: one_for_all [a c] b]; stop g;"),
    (
        "in back-off",
        "one_for_one [g: one_for_all 0/60s [a c] b]; exit a 1; exit a 1;",
    ),
    ("up, otp", "otp one_for_one [g: one_for_all [a c] b];"),
];

const SUPERVISOR_EVENTS: &[&str] = &[
    "exit a 0",
    "exit a 1",
    "exit a 78",
    "exit c 1",
    "ready a",
    "next",
    "start g",
    "stop g",
    "restart g",
    "only g",
    "reset g",
    "pin g",
    "unpin g",
    "start a",
    "stop a",
    "restart a",
    "add g x",
    "delete g",
    "delete a",
    "count g",
    "which g",
    "shutdown",
];

fn table(states: &[(&str, &str)], events: &[&str], node: &str) -> String {
    let mut page = String::new();
    for (title, script) in states {
        let _ = writeln!(page, "\n## {title}: {}", script.trim_end_matches(';'));
        for event in events {
            let whole = format!("{script} {event}");
            // A program that is not there cannot end; that is no event.
            let Some((told, state)) = scene::last(&whole, node) else {
                continue;
            };
            let told = if told.is_empty() {
                "nothing".to_owned()
            } else {
                told
            };
            let _ = writeln!(page, "{event:<14} -> {state:<10} {told}");
        }
    }
    page
}

#[test]
fn the_table_of_states_and_events_is_agreed() {
    let service = table(SERVICE_STATES, SERVICE_EVENTS, "a");
    let supervisor = table(SUPERVISOR_STATES, SUPERVISOR_EVENTS, "g");
    let page = format!("# A service\n{service}\n# A supervisor\n{supervisor}");
    assert!(page.lines().count() > 250, "the table is too short");
    let agreed = agree(&tests().join("snapshots/table.txt"), &page);
    assert_eq!(agreed, Ok(()));
}
