// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an event costs, counted in looks at nodes and never in time: one in a tree of ten thousand
//! as one in a tree of ten, and one that concerns a group in proportion to the group.

#[path = "scene/parse.rs"]
#[expect(dead_code, reason = "scenarios use more of it")]
mod parse;

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use supd::spec::{ExitFacts, ExitStatus, Node, Service, Signal};
use supd::tree::{Actor, Command, CommandId, Effect, Event, Haste, RunId, Time, Tree};

/// Small and large; the large one is the largest tree there may be.
const SIZES: [usize; 2] = [10, 10_000];
/// Sizes of groups: a group of ten thousand is nobody's.
const GROUPS: [usize; 2] = [10, 1000];

/// A tree whose programs obey.
struct Play {
    tree: Tree,
    now: Time,
    living: BTreeSet<RunId>,
}

impl Play {
    fn new(text: &str) -> Self {
        Self {
            tree: Tree::new(&Arc::new(parse::tree(text)), 1),
            now: Time::default(),
            living: BTreeSet::new(),
        }
    }

    fn up(text: &str) -> Self {
        let mut play = Self::new(text);
        play.looks(Event::Boot);
        play
    }

    /// How often the engine looks at a node because of this and of all that follows.
    fn looks(&mut self, event: Event) -> u64 {
        let before = self.tree.visits();
        self.now = self.now + Duration::from_secs(61);
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.tree.handle(self.now, event) {
                match effect {
                    Effect::Spawn { run, .. } => {
                        self.living.insert(run);
                        events.push_back(Event::Spawned { run });
                    }
                    Effect::Signal { run, signal, .. } => {
                        if signal == Signal::TERM && self.living.remove(&run) {
                            events.push_back(ended(run));
                        }
                    }
                    Effect::SpawnHelper { .. }
                    | Effect::RunHook { .. }
                    | Effect::Probe { .. }
                    | Effect::CancelProbe { .. }
                    | Effect::Answered { .. }
                    | Effect::Reply { .. }
                    | Effect::Record(_)
                    | Effect::Halt { .. } => {}
                }
            }
        }
        self.tree.visits() - before
    }

    /// Whoever stands in the middle ends and is restarted, with whom the strategy names.
    fn crash(&mut self) -> u64 {
        let middle = self.living.len() / 2;
        let run = *self.living.iter().nth(middle).expect("it runs");
        self.living.remove(&run);
        let size = self.living.len() + 1;
        let looks = self.looks(ended(run));
        assert_eq!(self.living.len(), size, "all run again");
        looks
    }

    fn order(&mut self, command: Command) -> u64 {
        let (id, by) = (CommandId(1), Actor::Supd);
        self.looks(Event::Command { id, by, command })
    }
}

fn ended(run: RunId) -> Event {
    let facts = ExitFacts::bare(ExitStatus::Code(1));
    Event::Exited { run, facts }
}

fn tree(head: &str, services: std::ops::Range<usize>) -> String {
    let mut text = format!("{head} [");
    for number in services {
        let _ = write!(text, " s{number}(at_once)");
    }
    text + " ]"
}

/// At most 15 % more, and a look or two for what is rounded.
fn same(what: &str, small: u64, large: u64) {
    assert!(
        large <= small + small * 15 / 100 + 2,
        "{what}: {small} looks when it is small, {large} when it is large"
    );
}

#[test]
fn a_crash_costs_the_same_in_a_tree_of_any_size() {
    for head in ["one_for_one", "parallel one_for_one"] {
        let [small, large] = SIZES.map(|size| Play::up(&tree(head, 0..size)).crash());
        assert!(small > 0, "nobody looked");
        same(head, small, large);
    }
    let nested = |below: usize| {
        let branch = tree("g: one_for_one", 0..10);
        let more = |number: usize| format!(" h{number}: one_for_one [ x{number} ]");
        let others: String = (0..below).map(more).collect();
        Play::up(&format!("one_for_one [ {branch} {others} ]")).crash()
    };
    same("beside other supervisors", nested(1), nested(3000));
}

#[test]
fn a_group_costs_what_its_size_is() {
    for head in [
        "one_for_all",
        "rest_for_one",
        "parallel one_for_all",
        "otp one_for_all",
    ] {
        let [small, large] = GROUPS.map(|size| {
            let size_told = u64::try_from(size).expect("a size");
            10 * Play::up(&tree(head, 0..size)).crash() / size_told
        });
        same(head, small, large);
    }
}

#[test]
fn starting_and_stopping_everything_cost_what_the_size_of_the_tree_is() {
    for head in [
        "one_for_one",
        "parallel one_for_one",
        "one_for_all",
        "otp one_for_one",
    ] {
        let of = |size: usize| {
            let mut play = Play::new(&tree(head, 0..size));
            let start = play.looks(Event::Boot);
            assert_eq!(play.living.len(), size);
            let (haste, by) = (Haste::Orderly, Actor::Supd);
            let stop = play.looks(Event::Shutdown { haste, by });
            assert!(play.living.is_empty() && play.tree.is_halted());
            let size = u64::try_from(size).expect("a size");
            [start, stop].map(|looks| 10 * looks / size)
        };
        let [small, large] = SIZES.map(of);
        same(&format!("start of {head}"), small[0], large[0]);
        same(&format!("stop of {head}"), small[1], large[1]);
    }
}

#[test]
fn a_new_configuration_costs_what_the_size_of_the_tree_is() {
    let of = |size: usize| {
        let mut play = Play::up(&tree("one_for_one", 0..size));
        let apply =
            |play: &mut Play, text: &str| play.order(Command::Apply(Arc::new(parse::tree(text))));
        let moved = tree("one_for_one [ a ] x: one_for_one", 0..size);
        let moved = format!(
            "one_for_one [ a g: {} ]",
            &moved["one_for_one [ a ] x: ".len()..]
        );
        let costs = [
            apply(&mut play, &tree("one_for_one", 0..size + size / 2)),
            apply(&mut play, &tree("one_for_one", size / 2..size + size / 2)),
            apply(&mut play, &moved),
            apply(&mut play, "one_for_one [ a ]"),
        ];
        assert_eq!(play.living.len(), 1);
        let size = u64::try_from(size).expect("a size");
        costs.map(|looks| 10 * looks / size)
    };
    let [small, large] = GROUPS.map(of);
    for (what, (small, large)) in ["half more", "half less", "moved", "all gone"]
        .into_iter()
        .zip(small.into_iter().zip(large))
    {
        same(what, small, large);
    }
}

#[test]
fn a_pool_grows_and_shrinks_at_the_cost_of_its_instances() {
    let of = |size: usize| {
        let mut play = Play::up("one_for_one [ p: pool [ p.1(at_once) ] ]");
        let pool = play.tree.node("p").expect("the pool");
        let view = play.tree.view(pool).expect("the pool");
        let Node::Supervisor(spec) = &view.spec else {
            panic!("a pool is a supervisor");
        };
        let Some(Node::Service(first)) = spec.children.first() else {
            panic!("it has an instance");
        };
        let instance = |number: usize| Service {
            name: Arc::from(format!("p.{number}")),
            ..(**first).clone()
        };
        let instances: Vec<_> = (1..=size).map(|n| Arc::new(instance(n))).collect();
        let more = play.order(Command::Scale(pool, instances.clone()));
        assert_eq!(play.living.len(), size);
        let less = play.order(Command::Scale(pool, instances[..1].to_vec()));
        assert_eq!(play.living.len(), 1);
        let size = u64::try_from(size).expect("a size");
        [more, less].map(|looks| 10 * looks / size)
    };
    let [small, large] = GROUPS.map(of);
    same("more", small[0], large[0]);
    same("less", small[1], large[1]);
}
