// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exits and incidents as the engine records them, over many stories of the model: every restart
//! has exactly one end with a class, and one incident that ends in ready, parked, held or
//! escalated. The same checker reads the streams of a real daemon in `tests/daemon`.

#[path = "trace/mod.rs"]
mod checker;

use checker::complaints;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use supd::config::{self, Disk, Options};
use supd::ctl::prove::{Act, Fault, Model, Told};
use supd::spec::{ExitStatus, Node, Signal};
use supd::tell::line::{Added, event_line};
use supd::tree::Time;
use supd::wire::EventLine;

fn services(node: &Node, found: &mut Vec<String>) {
    match node {
        Node::Service(service) => found.push(service.name.to_string()),
        Node::Supervisor(sup) => sup.children.iter().for_each(|c| services(c, found)),
    }
}

type Spoil = fn(&mut Vec<EventLine>, usize, usize);

/// A story of chance: which service, which fault, when, all from one number.
fn story(file: &str, seed: u64) -> Vec<EventLine> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(file);
    let env = |name: &str| (name == "DEMO").then(|| "/tmp".to_owned());
    let outcome = config::load(&path, &Disk, &Options::new(&env));
    let spec = Arc::new(outcome.tree.expect("a valid file").tree);
    let mut names = Vec::new();
    services(&Node::Supervisor(Arc::clone(&spec.root)), &mut names);
    let mut model = Model::new(&spec, seed);
    model.boot(Time::default() + Duration::from_secs(600));
    let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut roll = |sides: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        usize::try_from(dice >> 33).expect("31 bits") % sides
    };
    let mut at = model.now();
    for _ in 0..6 {
        let name = names[roll(names.len())].clone();
        let (signal, core) = (Signal::SEGV, false);
        let faults = [
            Fault::Ends(ExitStatus::Code(1)),
            Fault::Ends(ExitStatus::Code(0)),
            Fault::Ends(ExitStatus::Signal { signal, core }),
            Fault::EndsAtStart(ExitStatus::Code(78)),
            Fault::CannotStart(2),
            Fault::NeverReady,
            Fault::IgnoresSignals,
        ];
        let fault = faults[roll(faults.len())];
        let times = 1 + roll(4);
        for _ in 0..times {
            model.at(at, Act::Fault(name.clone(), fault), String::new());
        }
        let ends = Fault::Ends(ExitStatus::Code(3));
        model.at(at, Act::Fault(name.clone(), ends), String::new());
        let order = match roll(6) {
            0 => Some(Act::Stop(name)),
            1 => Some(Act::Restart(name)),
            2 => Some(Act::Start(name)),
            _ => None,
        };
        at = at + Duration::from_millis(100 * roll(200) as u64);
        if let Some(order) = order {
            model.at(at, order, String::new());
        }
    }
    model.settle(at + Duration::from_secs(7200));
    let records = model.story().iter().filter_map(|(_, told)| match told {
        Told::Record(record) => Some(event_line(record, model.names(), Added::default())),
        Told::Done(_) | Told::Remark(_) => None,
    });
    records.collect()
}

#[test]
fn every_restart_has_one_end_with_a_class_and_an_incident_that_ends() {
    let files = [
        "examples/stack.toml",
        "examples/pipeline.toml",
        "examples/adapters.toml",
        "examples/nested.toml",
        "demo/demo.toml",
    ];
    let (mut restarts, mut wrong) = (0, Vec::new());
    for file in files {
        for seed in 1..=40 {
            let events = story(file, seed);
            restarts += events
                .iter()
                .filter(|e| e.why.as_deref() == Some("restart"))
                .count();
            let found = complaints(&events);
            wrong.extend(
                found
                    .iter()
                    .map(|what| format!("{file}, seed {seed}: {what}")),
            );
        }
    }
    assert!(restarts > 1000, "only {restarts} restarts");
    wrong.truncate(20);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_checker_finds_what_is_wrong() {
    let good = story("examples/stack.toml", 1);
    assert_eq!(complaints(&good), [""; 0]);
    let end = good
        .iter()
        .position(|e| e.kind == "service.exited")
        .expect("an end");
    let start = good
        .iter()
        .position(|e| e.why.as_deref() == Some("restart"));
    let start = start.expect("a restart");
    let spoils: [(&str, Spoil); 7] = [
        ("has no end", |events, end, _| events.truncate(end + 1)),
        ("follows", |events, end, _| drop(events.remove(end))),
        ("has ended 2 times", |events, end, _| {
            let mut again = events[end].clone();
            again.seq = events.last().expect("an event").seq + 1;
            events.push(again);
        }),
        ("without its class", |events, end, _| {
            events[end].class = None;
        }),
        ("lies ahead", |events, end, _| {
            events[end].cause = Some(u64::MAX);
        }),
        ("not in the incident", |events, _, start| {
            events[start].incident = Some("i999".to_owned());
        }),
        ("is no incident", |events, _, _| {
            for event in events {
                event.incident = None;
            }
        }),
    ];
    for (what, spoil) in spoils {
        let mut events = good.clone();
        spoil(&mut events, end, start);
        let found = complaints(&events);
        assert!(found.iter().any(|c| c.contains(what)), "{what}: {found:?}");
    }
}
