// SPDX-License-Identifier: MIT OR Apache-2.0
//! Worlds with remedies: the same trees with entries of the registry here and there, and what each
//! hook does, decided beforehand. A world has them if a bit of its seed says so, so that all other
//! worlds stay what they were.

use super::dice::{Dice, number_of};
use std::sync::Arc;
use std::time::Duration;
use supd::spec::{
    Command, Counts, ExitStatus, Family, Flight, Mode, Name, Node, Occasion, Rate, Remedies,
    Remedy, RunsAs, Signal, SpawnFailure, Stage, Step, Supervisor, Tree, Trigger,
};

/// The bit of a seed whose world has remedies.
pub(crate) const CURED: u64 = 1 << 41;

/// What a hook does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    Fails(SpawnFailure),
    /// It ends after this time, and may ask for a wait.
    Answers(Duration, u8, Option<Duration>),
    Hangs,
}

/// The tree with remedies, if the seed says so.
pub(crate) fn cured(mut tree: Tree, seed: u64) -> Tree {
    if seed & CURED == 0 {
        return tree;
    }
    let mut dice = Dice::about(seed, &[41]);
    let mut settings = (*tree.settings).clone();
    settings.hook_parallelism = *dice.pick(&[1, 2, 4, 64]);
    tree.settings = Arc::new(settings);
    tree.remedies = entries(&mut dice, "", 50);
    tree.root = Arc::new(supervisor(&tree.root, seed));
    tree
}

/// A node keeps its entries whatever becomes of the tree: they follow from its name.
fn supervisor(sup: &Supervisor, seed: u64) -> Supervisor {
    let mut copy = sup.clone();
    let mut dice = Dice::about(seed, &[42, number_of(&sup.name)]);
    copy.remedies = entries(&mut dice, &sup.name, 15);
    for child in &mut copy.children {
        *child = match child {
            Node::Supervisor(below) => Node::Supervisor(Arc::new(supervisor(below, seed))),
            Node::Service(service) => {
                let mut service = (**service).clone();
                let mut dice = Dice::about(seed, &[42, number_of(&service.name)]);
                service.remedies = entries(&mut dice, &service.name, 25);
                Node::Service(Arc::new(service))
            }
        };
    }
    copy
}

fn entries(dice: &mut Dice, owner: &str, percent: u64) -> Remedies {
    let occasions = [
        Occasion::Class(Name::from("exit_code")),
        Occasion::Class(Name::from("killed")),
        Occasion::Class(Name::from("start_timeout")),
        Occasion::Family(Family::Fault),
        Occasion::Family(Family::Config),
        Occasion::Any,
        Occasion::Trigger(Trigger::Exhausted),
        Occasion::Trigger(Trigger::Held),
        Occasion::Trigger(Trigger::Unhealthy),
        Occasion::Trigger(Trigger::Flapping),
    ];
    let mut found = Vec::new();
    for on in occasions {
        if dice.percent(percent) {
            found.push(Arc::new(remedy(dice, owner, on)));
        }
    }
    found.into()
}

fn remedy(dice: &mut Dice, owner: &str, on: Occasion) -> Remedy {
    let id = match owner {
        "" => on.key(),
        owner => format!("{owner}/{}", on.key()),
    };
    let limit = dice.percent(30).then(|| Rate {
        count: 1 + u32::try_from(dice.below(3)).unwrap_or(0),
        period: Duration::from_secs(1 + dice.below(60)),
    });
    let free = limit.is_some() && dice.percent(50);
    let run = || Step::Run(Command::Argv(Box::from([Box::from("hook")])));
    let mut steps = vec![run()];
    match dice.below(10) {
        0 => steps.push(run()),
        1 => steps.insert(0, Step::Delay(Duration::from_millis(dice.below(200)))),
        2 => steps = vec![Step::Park],
        3 => steps.push(Step::Park),
        4 if dice.percent(30) => steps = vec![Step::Escalate],
        _ => {}
    }
    Remedy {
        id: Name::from(id),
        on,
        steps: steps.into(),
        timeout: Duration::from_millis(20 + dice.below(400)),
        limit,
        counts: if free { Counts::No } else { Counts::Yes },
        mode: if dice.percent(8) {
            Mode::Observe
        } else {
            Mode::Act
        },
        runs_as: RunsAs::Service,
        flight: if dice.percent(25) {
            Flight::Single
        } else {
            Flight::Own
        },
    }
}

/// What the hook of this life does.
pub(crate) fn manner(seed: u64, life: u64) -> Manner {
    let mut dice = Dice::about(seed, &[43, life]);
    if dice.percent(6) {
        let (stage, errno) = (Stage::Exec, 2);
        return Manner::Fails(SpawnFailure { stage, errno });
    }
    if dice.percent(10) {
        return Manner::Hangs;
    }
    let code = *dice.pick(&[0, 0, 0, 0, 75, 75, 69, 78, 64, 64, 1, 1, 70]);
    let after = dice
        .percent(30)
        .then(|| Duration::from_millis(dice.below(3000)));
    Manner::Answers(Duration::from_millis(dice.below(90)), code, after)
}

/// From SIGKILL to the end of a hook: long when it sits in the kernel.
pub(crate) fn killed(seed: u64, life: u64) -> (Duration, ExitStatus) {
    let mut dice = Dice::about(seed, &[44, life]);
    let span = if dice.percent(4) {
        Duration::from_millis(3000 + dice.below(6000))
    } else {
        Duration::from_millis(dice.below(3))
    };
    let (signal, core) = (Signal::KILL, false);
    (span, ExitStatus::Signal { signal, core })
}

/// Every entry of a tree.
pub(crate) fn all(tree: &Tree) -> Vec<Arc<Remedy>> {
    fn below(sup: &Supervisor, into: &mut Vec<Arc<Remedy>>) {
        into.extend(sup.remedies.iter().cloned());
        for child in &sup.children {
            match child {
                Node::Supervisor(inner) => below(inner, into),
                Node::Service(service) => into.extend(service.remedies.iter().cloned()),
            }
        }
    }
    let mut found: Vec<Arc<Remedy>> = tree.remedies.to_vec();
    below(&tree.root, &mut found);
    found
}
