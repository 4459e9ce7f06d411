// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo run --release --example simulate_worlds -- FIRST[..LAST]`: lives the worlds of these
//! seeds and judges them by the invariants (`make sim SEEDS=…`).
//!
//! `--mutants` instead plants each known bug and says which invariants catch it.
//! Prints the first failing seeds, shrunk, with their traces, then `N worlds, N events, N failed`;
//! exits 1 when any failed.

#[path = "../tests/sim/mod.rs"]
mod sim;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

/// Traces printed at most; after a few, the next one says nothing new.
const TOLD_MAX: usize = 3;

fn main() -> std::io::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let seeds = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "0..2000".to_owned());
    if seeds == "--mutants" {
        return mutants(&mut out);
    }
    let (first, last) = seeds.split_once("..").unwrap_or((&seeds, ""));
    let Ok(first) = first.parse::<u64>() else {
        writeln!(out, "usage: simulate_worlds FIRST[..LAST]")?;
        return Ok(ExitCode::from(64));
    };
    let last = last.parse::<u64>().unwrap_or(first + 1);
    let (mut events, mut failed) = (0, 0);
    let mut laws: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
    for seed in first..last {
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
    writeln!(
        out,
        "{} worlds, {events} events, {failed} failed",
        last - first
    )?;
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Plants each bug in a few hundred worlds.
fn mutants(out: &mut impl Write) -> std::io::Result<ExitCode> {
    let mut blind = 0;
    for (mutant, law) in sim::mutant::MUTANTS {
        let mut caught: BTreeMap<u8, u32> = BTreeMap::new();
        for seed in 0..300 {
            if let Some(first) = sim::judge(seed, Some(mutant)).violations.first() {
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
