// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo bench --bench engine`: what an event costs the engine alone (QUALITY §1: at least two
//! million events per second on one core; an event in a tree of 10 000 nodes costs as in one of
//! 10). Prints one line per tree; it never judges, machines differ too much.
//!
//! One round is a crash and its restart: `Exited`, then `Spawned`. Services take turns in an order
//! that is no memory order, and virtual time passes, so that no limit is reached.

#[path = "../tests/scene/parse.rs"]
#[expect(dead_code, reason = "scenarios use more of it")]
mod parse;

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use supd::spec::{ExitFacts, ExitStatus};
use supd::tree::{Effect, Effects, Event, RunId, Time, Tree};

/// Rounds per measurement; each is two events.
const ROUNDS: u32 = 500_000;
/// Between two crashes: long enough that every restart is the first one in its window.
const STEP: Duration = Duration::from_secs(61);
/// Prime to every number of services, so that all have their turn.
const STRIDE: usize = 7919;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let shapes = [
        ("10 services", flat(10)),
        ("10 000 services", flat(10_000)),
        ("100 supervisors of 100", nested(100, 100)),
    ];
    for (name, text) in shapes {
        let (events, took) = measure(&text);
        let each = took.as_nanos() / u128::from(events);
        let rate = f64::from(events) / took.as_secs_f64() / 1e6;
        writeln!(out, "{name:>24}: {each:>5} ns/event, {rate:.2} M events/s")?;
    }
    Ok(())
}

fn flat(services: usize) -> String {
    let mut text = String::from("one_for_one [");
    for number in 0..services {
        let _ = write!(text, " s{number}(at_once)");
    }
    text + " ]"
}

fn nested(supervisors: usize, services: usize) -> String {
    let mut text = String::from("one_for_one [");
    for above in 0..supervisors {
        let _ = write!(text, " g{above}: [");
        for number in 0..services {
            let _ = write!(text, " s{above}-{number}(at_once)");
        }
        text.push_str(" ]");
    }
    text + " ]"
}

/// The runs that these effects start.
fn spawned(effects: Effects) -> impl Iterator<Item = RunId> {
    effects.into_iter().filter_map(|effect| match effect {
        Effect::Spawn { run, .. } => Some(run),
        Effect::SpawnHelper { .. }
        | Effect::RunHook { .. }
        | Effect::Signal { .. }
        | Effect::Probe { .. }
        | Effect::CancelProbe { .. }
        | Effect::Answered { .. }
        | Effect::Reply { .. }
        | Effect::Record(_)
        | Effect::Halt { .. } => None,
    })
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn measure(text: &str) -> (u32, Duration) {
    let mut tree = Tree::new(&Arc::new(parse::tree(text)), 1);
    let mut now = Time::default();
    let mut runs = Vec::new();
    let mut asked: Vec<RunId> = spawned(tree.handle(now, Event::Boot)).collect();
    while let Some(run) = asked.pop() {
        runs.push(run);
        asked.extend(spawned(tree.handle(now, Event::Spawned { run })));
    }
    let facts = ExitFacts::bare(ExitStatus::Code(1));
    let begin = Instant::now();
    for round in 0..ROUNDS as usize {
        now = now + STEP;
        let place = round.wrapping_mul(STRIDE) % runs.len();
        let run = runs[place];
        let next = spawned(tree.handle(now, Event::Exited { run, facts })).next();
        let run = next.expect("invariant: the first restart in a window comes at once");
        runs[place] = run;
        drop(tree.handle(now, Event::Spawned { run }));
    }
    (2 * ROUNDS, begin.elapsed())
}
