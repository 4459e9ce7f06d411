// SPDX-License-Identifier: MIT OR Apache-2.0
//! Worlds with breakers: the trees of other worlds, whose services are given some. Their seeds are
//! those of the others, and this bit: a world that is remembered stays what it was.

use super::dice::{Dice, number_of};
use super::plan::Act;
use std::sync::Arc;
use std::time::Duration;
use supd::spec::{
    AutoShutdown, Breaker, BreakerProbe, Command, HoldAfter, Initial, Node, Policy, Probe,
    ProbeTarget, Release, Service, Supervisor, Tree,
};
use supd::tree::Force;

/// The seeds of worlds with breakers.
pub(crate) const GUARDED: u64 = 1 << 40;

/// The tree with breakers, if its world is to have them. A service keeps its own in every variant
/// of its tree, but for a few that lose theirs.
pub(crate) fn guarded(tree: Tree, seed: u64, variant: u64) -> Tree {
    if seed & GUARDED == 0 {
        return tree;
    }
    let breakers = breakers(seed);
    let root = Arc::new(guard(&tree.root, (seed, variant)));
    let breakers = breakers.into();
    Tree {
        root,
        breakers,
        ..tree
    }
}

/// None, one or two; a reload leaves them as they are.
fn breakers(seed: u64) -> Vec<Arc<Breaker>> {
    let mut dice = Dice::about(seed, &[12]);
    let count = dice.below(3);
    let one = |number: u64| {
        let mut dice = Dice::about(seed, &[13, number]);
        let open_for = Duration::from_millis(50 + dice.below(3000));
        let probed = dice.percent(60);
        let asked = Probe {
            target: if dice.percent(50) {
                ProbeTarget::Exec(Command::Shell(Box::from("probe")))
            } else {
                ProbeTarget::File("/run/there".into())
            },
            every: Duration::from_millis(50),
            timeout: Duration::from_millis(50),
            recheck: None,
        };
        let context = super::forest::Forester::new(&mut dice).service(AutoShutdown::Never);
        let probe = BreakerProbe {
            probe: Arc::new(asked),
            context: Arc::new(context),
        };
        Arc::new(Breaker {
            name: Arc::from(format!("b{number}")),
            failures: 1 + u32::try_from(dice.below(3)).unwrap_or(0),
            open_for,
            open_max: open_for * *dice.pick(&[1, 2, 8]),
            probe: probed.then_some(probe),
            watch: (probed && dice.percent(30)).then(|| Duration::from_millis(700)),
            initial: if probed && dice.percent(70) {
                Initial::Probe
            } else {
                Initial::Closed
            },
            release: Release {
                batch: 1 + u32::try_from(dice.below(2)).unwrap_or(0),
                every: Duration::from_millis(100 + dice.below(600)),
            },
        })
    };
    (0..count).map(one).collect()
}

/// What people do about breakers, and when.
pub(crate) fn orders(seed: u64, end: Duration) -> Vec<(Duration, Act)> {
    let breakers = if seed & GUARDED == 0 {
        Vec::new()
    } else {
        breakers(seed)
    };
    let mut dice = Dice::about(seed, &[14]);
    let mut found = Vec::new();
    for breaker in breakers {
        for _ in 0..dice.below(12) {
            let millis = u64::try_from(end.as_millis()).unwrap_or(0);
            let at = Duration::from_millis(dice.below(millis.max(1)));
            let span = Duration::from_millis(50 + dice.below(8000));
            let reason = None;
            let force = match dice.below(3) {
                0 => Force::Open { span, reason },
                1 => Force::Closed { span, reason },
                _ => Force::Auto,
            };
            found.push((at, Act::Force(Arc::clone(&breaker.name), force)));
        }
    }
    found
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
    let all = breakers(seed);
    let listed = all.iter().filter(|_| dice.percent(60));
    copy.breakers = listed.map(|breaker| Arc::clone(&breaker.name)).collect();
    copy.hold_after = dice
        .percent(60)
        .then_some(own)
        .filter(|_| !loses || variant == 0);
    copy
}
