// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo run --release --example simulate_worlds -- [--seeds COUNT | SEED |
//! FIRST..LAST]`: lives the worlds of these seeds and judges them by the invariants.
//!
//! `--mutants` instead plants each known bug and says which invariants catch it.
//! Prints the first failing seeds, shrunk, with their traces, then `N worlds, N events, N failed`;
//! exits 1 when any failed.

#[path = "../tests/sim/mod.rs"]
mod sim;

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;
use std::process::ExitCode;

/// Traces printed at most; after a few, the next one says nothing new.
const TOLD_MAX: usize = 3;

fn main() -> std::io::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let range = match words[..] {
        ["--mutants"] => return mutants(&mut out),
        [] => Some(0..2000),
        ["--seeds", count] => count.parse().map(|count| 0..count).ok(),
        [seeds] => range(seeds),
        _ => None,
    };
    let Some(range) = range else {
        writeln!(
            out,
            "usage: simulate_worlds [--seeds COUNT | SEED | FIRST..LAST | --mutants]"
        )?;
        return Ok(ExitCode::from(64));
    };
    let worlds = range.end - range.start;
    let (mut events, mut failed) = (0, 0);
    let mut laws: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
    // Every fourth is lived with remedies, too.
    let cured = range.clone().filter(|seed| seed.is_multiple_of(4));
    let cured = cured.map(|seed| seed | sim::cure::CURED);
    for seed in range.chain(cured) {
        let verdict = sim::judge(seed, None);
        events += verdict.events;
        let Some(violation) = verdict.violations.first() else {
            continue;
        };
        failed += 1;
        let seen = laws.get(&violation.law).map_or(0, Vec::len);
        if seen == 0 && laws.len() < TOLD_MAX {
            writeln!(out, "{}", sim::tell(seed, violation.law))?;
        } else if seen < 5 {
            writeln!(out, "seed {seed}: {violation}")?;
        }
        laws.entry(violation.law).or_default().push(seed);
    }
    for (law, seeds) in &laws {
        writeln!(
            out,
            "invariant {law}: {} seeds, first {}",
            seeds.len(),
            seeds[0]
        )?;
    }
    writeln!(out, "{worlds} worlds, {events} events, {failed} failed")?;
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// `7` or `0..5000`.
fn range(text: &str) -> Option<Range<u64>> {
    match text.split_once("..") {
        Some((first, last)) => Some(first.parse().ok()?..last.parse().ok()?),
        None => text.parse().map(|seed| seed..seed + 1).ok(),
    }
}

/// Plants each bug in a few hundred worlds.
fn mutants(out: &mut impl Write) -> std::io::Result<ExitCode> {
    let mut blind = 0;
    for (mutant, law) in sim::mutant::MUTANTS {
        let mut caught: BTreeMap<u8, u32> = BTreeMap::new();
        for seed in 0..300 {
            if let Some(first) = sim::judge(mutant.world(seed), Some(mutant))
                .violations
                .first()
            {
                *caught.entry(first.law).or_default() += 1;
            }
        }
        blind += u32::from(!caught.contains_key(&law));
        writeln!(
            out,
            "{mutant:?}: invariant {law}; caught first by {caught:?}"
        )?;
    }
    Ok(if blind == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
