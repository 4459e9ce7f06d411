// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who is watched in a world, and how programs answer: liveness probes, signs of life, and times in
//! which everything stands still. What is drawn here is drawn apart from everything else, so that a
//! world without it is the same world.

use super::dice::{Dice, number_of};
use std::sync::Arc;
use std::time::Duration;
use supd::spec::{
    Command, Health, Liveness, Node, Probe, ProbeFault, ProbeTarget, ServiceKind, Signal, StopStep,
    Supervisor, Tree,
};
use supd::tree::ProbeAnswer;

/// The command of a question about life; any other probe asks about readiness.
pub(crate) const QUESTION: &str = "check";

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The same tree with questions in it: in every third world.
pub(crate) fn watched(tree: &Tree, seed: u64) -> Tree {
    let asks = Dice::about(seed, &[10]).percent(33);
    Tree {
        root: if asks {
            Arc::new(below(&tree.root, seed))
        } else {
            Arc::clone(&tree.root)
        },
        ..tree.clone()
    }
}

fn below(sup: &Supervisor, seed: u64) -> Supervisor {
    let mut copy = sup.clone();
    for child in &mut copy.children {
        match child {
            Node::Supervisor(inner) => *inner = Arc::new(below(inner, seed)),
            Node::Service(service) if service.kind == ServiceKind::Daemon => {
                let mut other = (**service).clone();
                // Instances of a pool are alike.
                let family = other.name.split('.').next().unwrap_or_default();
                other.health = health(&mut Dice::about(seed, &[11, number_of(family)]));
                *service = Arc::new(other);
            }
            Node::Service(_) => {}
        }
    }
    copy
}

fn health(dice: &mut Dice) -> Health {
    let liveness = dice.percent(70).then(|| {
        let target = if dice.percent(40) {
            ProbeTarget::Exec(Command::Shell(Box::from(QUESTION)))
        } else {
            ProbeTarget::File("/run/alive".into())
        };
        Arc::new(Liveness {
            probe: Probe {
                target,
                every: ms(100 + dice.below(300)),
                timeout: ms(50),
                recheck: None,
            },
            failures: u32::try_from(1 + dice.below(3)).unwrap_or(3),
        })
    });
    let step = |signal, timeout| StopStep {
        signal,
        timeout: Some(timeout),
    };
    Health {
        liveness,
        watchdog: dice.percent(30).then(|| ms(200 + dice.below(400))),
        kill: match dice.below(3) {
            0 => Box::default(),
            1 => Box::from([step(Signal::ABRT, ms(100))]),
            _ => Box::from([step(Signal::QUIT, ms(30)), step(Signal::TERM, ms(60))]),
        },
    }
}

/// When everything stands still: in every fifth world, once or twice.
pub(crate) fn stillness(seed: u64) -> Vec<Duration> {
    let mut dice = Dice::about(seed, &[13]);
    if !dice.percent(20) {
        return Vec::new();
    }
    let count = 1 + dice.below(2);
    (0..count).map(|_| ms(dice.below(8000))).collect()
}

/// Whether a command is a question about life.
pub(crate) fn is_question(command: &Command) -> bool {
    *command == Command::Shell(Box::from(QUESTION))
}

/// What a probe finds out about a program that works, or does not, and when.
pub(crate) fn answer(seed: u64, probe: u64, works: bool) -> Option<(Duration, ProbeAnswer)> {
    let mut dice = Dice::about(seed, &[14, probe]);
    let span = ms(dice.below(45));
    if !works && dice.percent(60) {
        // It hangs, and so does whoever asks.
        return None;
    }
    let refused = ProbeAnswer::of(ProbeFault::REFUSED);
    let answer = match dice.below(10) {
        0 => ProbeAnswer::of(ProbeFault::Impossible),
        1 => refused,
        _ if works => ProbeAnswer::Success,
        _ => refused,
    };
    Some((span, answer))
}
