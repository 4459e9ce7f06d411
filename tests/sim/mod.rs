// SPDX-License-Identifier: MIT OR Apache-2.0
//! The simulator: seeded worlds in virtual time, judged by the invariants of QUALITY §3.
//!
//! ```text
//! plan (tree, deeds, tempers) -> world (clock, kernel, operators) <-> engine [mutant]
//!                                   |                                   |
//!                                   +----- events, effects, records ----+--> court (laws)
//! ```
//!
//! A world that breaks a law is lived again with fewer deeds and plainer programs as long as the
//! same law is broken; what is left is printed with its trace.

mod court;
pub(crate) mod cure;
mod dice;
mod forest;
pub(crate) mod guard;
mod law_bounds;
mod law_cure;
mod law_health;
mod law_hold;
mod law_order;
mod law_processes;
mod law_records;
mod law_reload;
mod law_restart;
mod law_scope;
mod lines;
mod malady;
pub(crate) mod mutant;
pub(crate) mod plan;
mod truth;
mod ward;
pub(crate) mod world;

use mutant::Mutant;
use plan::Plan;
use std::fmt::Write as _;
use std::time::Duration;
use world::{Notes, Verdict, live};

/// Lives the world of a seed: twice with the clock elsewhere once in a while, for laws 13 and 14.
pub(crate) fn judge(seed: u64, mutant: Option<Mutant>) -> Verdict {
    let plan = Plan::new(seed);
    let mut verdict = live(&plan, mutant, Notes::None);
    let elsewhere = [
        Some(Mutant::ReadsTheWallClock),
        Some(Mutant::RollsItsOwnDice),
    ];
    let twice = seed.is_multiple_of(16) || elsewhere.contains(&mutant);
    if !twice || !verdict.violations.is_empty() {
        return verdict;
    }
    for (law, origin) in [
        (14, plan.origin),
        (13, plan.origin + Duration::from_secs(86_400)),
    ] {
        let mut other = plan.clone();
        other.origin = origin;
        let again = live(&other, mutant, Notes::None);
        if again.print != verdict.print || !again.violations.is_empty() {
            let text = format!("the same world with its origin at {origin:?} went another way");
            verdict.violations.push(court::Violation { law, text });
            return verdict;
        }
    }
    verdict
}

/// The smallest plan we can find that still breaks the same law.
pub(crate) fn shrink(seed: u64, law: u8) -> Plan {
    let breaks = |plan: &Plan| {
        let found = live(plan, None, Notes::None).violations;
        found.first().is_some_and(|violation| violation.law == law)
    };
    let mut plan = Plan::new(seed);
    let mut chunk = plan.deeds.len().div_ceil(2);
    while chunk > 0 {
        let mut at = 0;
        while at < plan.deeds.len() {
            let mut smaller = plan.clone();
            let end = (at + chunk).min(smaller.deeds.len());
            smaller.deeds.drain(at..end);
            if breaks(&smaller) {
                plan = smaller;
            } else {
                at += chunk;
            }
        }
        chunk /= 2;
    }
    let names: Vec<_> = names(&plan);
    for name in names {
        let mut smaller = plan.clone();
        if smaller.plain.insert(name) && breaks(&smaller) {
            plan = smaller;
        }
    }
    plan
}

/// A failing seed as a person wants to read it: what is left of its world, and the trace.
pub(crate) fn tell(seed: u64, law: u8) -> String {
    let plan = shrink(seed, law);
    let verdict = live(&plan, None, Notes::Full);
    let mut text = String::new();
    let _ = writeln!(text, "seed {seed}, shrunk to {} deeds", plan.deeds.len());
    outline(
        &supd::spec::Node::Supervisor(plan.tree.root.clone()),
        1,
        &mut text,
    );
    for deed in &plan.deeds {
        let _ = writeln!(text, "  {:>12?} {:?}", deed.at, deed.act);
    }
    for line in &verdict.trace {
        let _ = writeln!(text, "{line}");
    }
    for violation in &verdict.violations {
        let _ = writeln!(text, "broken: {violation}");
    }
    text
}

fn outline(node: &supd::spec::Node, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match node {
        supd::spec::Node::Supervisor(sup) => {
            let _ = writeln!(
                text,
                "{indent}{} {:?} {:?} {:?} {:?} {:?} {}/{:?} auto {:?} shutdown {:?}",
                sup.name,
                sup.kind,
                sup.strategy,
                sup.start,
                sup.policy,
                sup.restart,
                sup.max_restarts,
                sup.period,
                sup.auto_shutdown,
                sup.shutdown
            );
            for child in &sup.children {
                outline(child, depth + 1, text);
            }
        }
        supd::spec::Node::Service(service) => {
            let _ = writeln!(
                text,
                "{indent}{} {:?} {:?} {:?} {:?} {:?} {:?}",
                service.name,
                service.kind,
                service.restart,
                service.ready,
                service.start_timeout,
                service.stop.steps,
                service.stop.command
            );
        }
    }
}

fn names(plan: &Plan) -> Vec<supd::spec::Name> {
    fn walk(node: &supd::spec::Node, into: &mut Vec<supd::spec::Name>) {
        into.push(node.name().clone());
        if let supd::spec::Node::Supervisor(sup) = node {
            for child in &sup.children {
                walk(child, into);
            }
        }
    }
    let mut found = Vec::new();
    walk(
        &supd::spec::Node::Supervisor(plan.tree.root.clone()),
        &mut found,
    );
    found
}
