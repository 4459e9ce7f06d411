// SPDX-License-Identifier: MIT OR Apache-2.0
//! What will happen in a world, decided beforehand: a tree, a list of deeds, and how every run of
//! every program behaves. A world that fails is made smaller by leaving out deeds and by making
//! programs plain; nothing else changes by that.

use super::cure::cured;
use super::dice::{Dice, number_of};
use super::forest::{Forester, variant};
use super::guard::{guarded, orders, pace};
use super::ward::{stillness, watched};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use supd::spec::{ExitStatus, Name, Node, Signal, SpawnFailure, Stage, SupervisorKind, Tree};
use supd::tree::{Force, Haste};

/// A whole world to be.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) tree: Arc<Tree>,
    /// In the order of time.
    pub(crate) deeds: Vec<Deed>,
    /// Programs that do what they are told.
    pub(crate) plain: BTreeSet<Name>,
    /// Deaths are noticed in steps of this length, so that several are found together.
    pub(crate) grain: Duration,
    /// Where the clock begins.
    pub(crate) origin: Duration,
    /// When everything stands still for a while, and how late deadlines are noticed.
    pub(crate) stills: Vec<Duration>,
    pub(crate) lag: Duration,
}

/// Something somebody does, and when (since the begin of the world).
#[derive(Debug, Clone)]
pub(crate) struct Deed {
    pub(crate) at: Duration,
    pub(crate) act: Act,
}

#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// These processes end, all at one time.
    End(Vec<Name>, ExitStatus),
    /// Somebody asks something about a node.
    Ask(Name, Verb),
    /// A message about a run that is over, or never was.
    Stale(Name, Late),
    Shutdown(Haste),
    /// Somebody forces a breaker, or no longer.
    Force(Name, Force),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Late {
    Ready,
    Spawned,
    SpawnFailed,
    Probe,
    /// The end of a process nobody has started.
    Stranger,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Start,
    Stop,
    Restart,
    RestartOnly,
    Reload,
    Signal,
    Reset,
    Pin,
    Unpin,
    Scale(u64),
    Add(u64),
    Delete,
    Count,
    Which,
    Apply(u64),
}

/// How one run of a program behaves.
#[derive(Debug, Clone)]
pub(crate) struct Temper {
    pub(crate) start: Start,
    /// From being ready to its own end.
    pub(crate) life: Option<(Duration, ExitStatus)>,
    /// From a request to its end; `None`: deaf.
    pub(crate) obeys: Option<(Duration, ExitStatus)>,
    /// From SIGKILL to its end: long when it sits in the kernel.
    pub(crate) killed: Duration,
    /// From its start to when it stops working without an end.
    pub(crate) hangs: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Start {
    /// Ready after this time.
    Well(Duration),
    Fails(SpawnFailure),
    /// Ends before it is ready.
    Early(Duration, ExitStatus),
    /// Is never ready.
    Never,
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn by_signal(signal: Signal) -> ExitStatus {
    ExitStatus::Signal {
        signal,
        core: false,
    }
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::about(seed, &[1]);
        let tree = Forester::new(&mut dice).tree();
        let tree = watched(&guarded(tree, seed, 0), seed);
        let tree = Arc::new(cured(tree, seed));
        let mut names = Vec::new();
        let mut supervisors = Vec::new();
        collect(
            &Node::Supervisor(Arc::clone(&tree.root)),
            &mut names,
            &mut supervisors,
        );
        let busy = 5 + dice.below(60);
        let mut at = Duration::ZERO;
        let mut deeds = Vec::new();
        for number in 0..busy {
            at += pace(seed) * ms(dice.below(*dice.clone().pick(&[5, 50, 400, 1500])));
            let act = act(&mut dice, &names, (number, busy));
            deeds.push(Deed { at, act });
        }
        deeds.extend(
            orders(seed, at)
                .into_iter()
                .map(|(at, act)| Deed { at, act }),
        );
        deeds.sort_by_key(|deed| deed.at);
        let mut end = at + ms(dice.below(5000));
        for haste in [Haste::Orderly, Haste::Short, Haste::Kill] {
            deeds.push(Deed {
                at: end,
                act: Act::Shutdown(haste),
            });
            if dice.percent(60) {
                break;
            }
            end += ms(dice.below(3000));
        }
        let plain = names.iter().filter(|_| dice.percent(40)).cloned().collect();
        Self {
            seed,
            tree,
            deeds,
            plain,
            grain: ms(*dice.pick(&[0, 0, 5, 50])),
            origin: Duration::from_secs(1),
            stills: stillness(seed),
            lag: ms(if Dice::about(seed, &[12]).percent(10) {
                400
            } else {
                0
            }),
        }
    }

    /// The tree a reload would find.
    pub(crate) fn variant(&self, number: u64) -> Tree {
        let tree = variant(&self.tree, &mut Dice::about(self.seed, &[2, number]));
        // Every other configuration asks other questions.
        let tree = watched(
            &guarded(tree, self.seed, number + 1),
            self.seed ^ (number % 2),
        );
        cured(tree, self.seed)
    }

    /// How this run of this program behaves.
    pub(crate) fn temper(&self, name: &Name, number: u64) -> Temper {
        let plain = Temper {
            start: Start::Well(ms(1)),
            life: None,
            obeys: Some((ms(1), by_signal(Signal::TERM))),
            killed: Duration::ZERO,
            hangs: None,
        };
        if self.plain.contains(name) {
            return plain;
        }
        let mut dice = Dice::about(self.seed, &[3, number_of(name), number]);
        let nature = Dice::about(self.seed, &[4, number_of(name)]).below(10);
        let bad = match nature {
            0..3 => 2,
            3..7 => 15,
            _ => 50,
        };
        Temper {
            start: start(&mut dice, bad),
            life: dice
                .percent(bad + 20)
                .then(|| (ms(dice.below(3000)), end(&mut dice))),
            obeys: match dice.below(100) {
                n if n < bad / 2 => None,
                n if n < bad => Some((ms(dice.below(600)), ExitStatus::Code(1))),
                _ => Some((
                    ms(dice.below(30)),
                    *dice.pick(&[
                        by_signal(Signal::TERM),
                        ExitStatus::Code(0),
                        ExitStatus::Code(143),
                    ]),
                )),
            },
            killed: if dice.percent(bad / 10) {
                ms(3000 + dice.below(9000))
            } else {
                ms(0)
            },
            hangs: self.hangs(name, number),
        }
    }

    /// In some worlds everything hangs at once.
    fn hangs(&self, name: &Name, number: u64) -> Option<Duration> {
        let epidemic = Dice::about(self.seed, &[8]).percent(25);
        let mut dice = Dice::about(self.seed, &[9, number_of(name), number]);
        let sick = dice.percent(if epidemic { 90 } else { 20 });
        sick.then(|| ms(dice.below(1500)))
    }
}

fn start(dice: &mut Dice, bad: u64) -> Start {
    if !dice.percent(bad) {
        return Start::Well(ms(dice.below(60)));
    }
    match dice.below(5) {
        0 => Start::Fails(SpawnFailure {
            stage: Stage::Exec,
            errno: 2,
        }),
        1 => Start::Fails(SpawnFailure {
            stage: Stage::Fork,
            errno: 11,
        }),
        2 => Start::Never,
        _ => Start::Early(ms(dice.below(80)), end(dice)),
    }
}

fn end(dice: &mut Dice) -> ExitStatus {
    *dice.pick(&[
        ExitStatus::Code(0),
        ExitStatus::Code(0),
        ExitStatus::Code(1),
        ExitStatus::Code(3),
        ExitStatus::Code(69),
        ExitStatus::Code(75),
        ExitStatus::Code(78),
        by_signal(Signal::SEGV),
        by_signal(Signal::KILL),
        by_signal(Signal::HUP),
        by_signal(Signal::XCPU),
        by_signal(Signal::SYS),
        by_signal(Signal::USR2),
    ])
}

fn act(dice: &mut Dice, names: &[Name], (number, of): (u64, u64)) -> Act {
    let name = dice.pick(names).clone();
    match dice.below(100) {
        0..35 => {
            let count = if dice.percent(25) {
                1 + dice.below(5)
            } else {
                1
            };
            let victims = (0..count).map(|_| dice.pick(names).clone()).collect();
            Act::End(victims, end(dice))
        }
        35..43 => Act::Stale(
            name,
            *dice.pick(&[
                Late::Ready,
                Late::Spawned,
                Late::SpawnFailed,
                Late::Probe,
                Late::Stranger,
            ]),
        ),
        43..44 if number > of / 2 => Act::Shutdown(*dice.pick(&[Haste::Orderly, Haste::Kill])),
        _ => Act::Ask(name, verb(dice, number)),
    }
}

fn verb(dice: &mut Dice, number: u64) -> Verb {
    match dice.below(100) {
        0..16 => Verb::Start,
        16..34 => Verb::Stop,
        34..44 => Verb::Restart,
        44..50 => Verb::RestartOnly,
        50..54 => Verb::Reload,
        54..58 => Verb::Signal,
        58..62 => Verb::Reset,
        62..67 => Verb::Pin,
        67..73 => Verb::Unpin,
        73..78 => Verb::Scale(dice.below(6)),
        78..84 => Verb::Add(number),
        84..89 => Verb::Delete,
        89..91 => Verb::Count,
        91..93 => Verb::Which,
        _ => Verb::Apply(dice.below(4)),
    }
}

fn collect(node: &Node, names: &mut Vec<Name>, pools: &mut Vec<Name>) {
    names.push(Arc::clone(node.name()));
    if let Node::Supervisor(sup) = node {
        if sup.kind == SupervisorKind::Pool {
            pools.push(Arc::clone(&sup.name));
        }
        for child in &sup.children {
            collect(child, names, pools);
        }
    }
}
