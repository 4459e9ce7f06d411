// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rows where time and order decide, through the engine alone: the trace is what was agreed, and
//! `audit()` holds after every event.

use super::scene::trace;

/// A trace as it stands in a test: indented by its own margin.
fn agreed(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.strip_prefix("        ").unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[test]
fn fault_34_engine_a_limit_below_goes_up_the_whole_path() {
    let told = trace(
        "one_for_one 0/60s [top: one_for_one 0/60s [leaf(at_once) x] good]; exit leaf 9; wait 1s; \
         exit leaf 9",
    );
    assert_eq!(told, agreed(""), "\n{told}");
}
