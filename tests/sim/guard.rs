// SPDX-License-Identifier: MIT OR Apache-2.0
//! Worlds with breakers: the trees of other worlds, whose services are given some. Their seeds are
//! those of the others, and this bit: a world that is remembered stays what it was.

use super::dice::{Dice, number_of};
use std::sync::Arc;
use std::time::Duration;
use supd::spec::{HoldAfter, Node, Policy, Service, Supervisor, Tree};

/// The seeds of worlds with breakers.
pub(crate) const GUARDED: u64 = 1 << 40;

/// The tree with breakers, if its world is to have them. A service keeps its own in every variant
/// of its tree, but for a few that lose theirs.
pub(crate) fn guarded(tree: Tree, seed: u64, variant: u64) -> Tree {
    if seed & GUARDED == 0 {
        return tree;
    }
    let root = Arc::new(guard(&tree.root, (seed, variant)));
    Tree { root, ..tree }
}

/// How much slower than in other worlds people act: a trial takes ten seconds.
pub(crate) fn pace(seed: u64) -> u32 {
    if seed & GUARDED == 0 {
        return 1;
    }
    *Dice::about(seed, &[9]).pick(&[1, 5, 20])
}

fn guard(sup: &Supervisor, world: (u64, u64)) -> Supervisor {
    let mut copy = sup.clone();
    let guards = copy.policy == Policy::Supd;
    for child in &mut copy.children {
        match child {
            Node::Supervisor(inner) => *inner = Arc::new(guard(inner, world)),
            Node::Service(service) if guards => *service = Arc::new(held(service, world)),
            Node::Service(_) => {}
        }
    }
    copy
}

fn held(service: &Service, (seed, variant): (u64, u64)) -> Service {
    let mut copy = service.clone();
    // Instances of a pool are alike.
    let name = copy.name.split('.').next().unwrap_or_default();
    let mut dice = Dice::about(seed, &[10, number_of(name)]);
    let loses = Dice::about(seed, &[11, number_of(name), variant]).percent(10);
    let open_for = Duration::from_millis(50 + dice.below(2000));
    let own = HoldAfter {
        failures: 1 + u32::try_from(dice.below(3)).unwrap_or(0),
        open_for,
        open_max: open_for * *dice.pick(&[1, 2, 8]),
    };
    copy.hold_after = dice
        .percent(60)
        .then_some(own)
        .filter(|_| !loses || variant == 0);
    copy
}
