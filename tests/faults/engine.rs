// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rows where time and order decide, through the engine alone, in virtual time: every order that
//! matters is tried.

use super::play::{Play, Told};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;
use supd::spec::{ExitFacts, ExitStatus};
use supd::tree::{
    Class, Command, Decision, Defeat, Event, Halt, NodeId, Outcome, RunId, State, Time, What,
};

fn many(count: usize, more: &str) -> String {
    let mut toml = format!("[supervisor.root]\nmax_restarts = 100000\n{more}\n");
    for n in 0..count {
        let _ = writeln!(toml, "[service.s{n}]\ncommand = \"x\"");
    }
    toml
}

#[test]
fn fault_01_engine_five_hundred_ends_at_one_time_are_five_hundred_restarts() {
    let mut play = Play::up(&many(500, ""), 1);
    for n in 0..500_u32 {
        play.exit(&format!("s{n}"), u8::try_from(n % 256).expect("small"));
    }
    play.deliver();
    let ended = play.of(|what| matches!(what, What::Exited(_)));
    assert_eq!(ended.len(), 500);
    play.settle();
    for n in 0..500 {
        let view = play.view(&format!("s{n}"));
        assert_eq!((view.starts, view.state), (2, State::Ready), "s{n}");
        let last = view.last_exit.expect("its end");
        let code = u8::try_from(n % 256).expect("small");
        assert_eq!(last.facts.expect("facts").status, ExitStatus::Code(code));
    }
    assert_eq!(play.view("root").recorded, Some((500, 500)));
}

#[test]
fn fault_05_engine_the_end_of_a_stranger_changes_nothing_even_before_the_boot() {
    let mut play = Play::new(&many(2, ""), 1);
    let run = RunId {
        node: NodeId(1),
        life: 777,
    };
    let facts = ExitFacts::bare(ExitStatus::Code(1));
    for event in [
        Event::Exited { run, facts },
        Event::Spawned { run },
        Event::Ready { run },
    ] {
        play.give(event);
    }
    assert!(play.told.is_empty(), "{:?}", play.told);
    assert_eq!(play.tree.stale_events(), 3);
    play.deliver();
    assert_eq!(play.view("s0").state, State::Ready);
    assert_eq!(play.view("s0").starts, 1);
}

#[test]
fn fault_06_engine_an_end_that_comes_before_the_word_of_the_start_counts_the_same() {
    let toml = many(1, "");
    let last = |early: bool| {
        let mut play = Play::new(&toml, 1);
        play.step();
        let run = *play.living.keys().next().expect("it is being started");
        play.end(run, ExitStatus::Code(3));
        if early {
            play.inbox.rotate_right(1);
        }
        play.settle();
        let view = play.view("s0");
        assert_eq!((view.starts, view.state), (2, State::Ready));
        let exits = play.of(|what| matches!(what, What::Exited(_)));
        assert_eq!(exits, ["s0"], "charged once");
        view.last_exit.expect("its end").facts
    };
    assert_eq!(last(false), last(true));
}

#[test]
fn fault_34_engine_every_level_gives_up_once_and_the_root_names_the_leaf() {
    for depth in 1..=6_u32 {
        let mut toml = String::from("[defaults]\nbackoff = \"none\"\n");
        for level in 0..depth {
            let name = if level == 0 {
                "root".into()
            } else {
                format!("l{level}")
            };
            let below = if level + 1 == depth {
                "leaf".into()
            } else {
                format!("l{}", level + 1)
            };
            let _ = writeln!(
                toml,
                "[supervisor.{name}]\nmax_restarts = 1\nchildren = [\"side{level}\", \"{below}\"]\n\
                 [service.side{level}]\ncommand = \"x\""
            );
        }
        toml += "[service.leaf]\ncommand = \"x\"\n";
        let mut play = Play::up(&toml, 1);
        for _ in 0..1_u32 << depth {
            assert_eq!(play.halt, None, "not before its time");
            play.exit("leaf", 9);
            play.deliver();
            while play.halt.is_none() && play.view("leaf").state != State::Ready {
                assert!(play.tick(), "the leaf is forgotten");
                play.deliver();
            }
        }
        let Some(Halt::GaveUp {
            code: 9,
            why: Defeat::Exhausted { max: 1, .. },
            culprit: Some(culprit),
        }) = &play.halt
        else {
            panic!("depth {depth}: {:?}", play.halt);
        };
        assert_eq!(&*culprit.name, "leaf");
        let gave_up = play.of(|what| matches!(what, What::Escalated { .. }));
        let of_root = gave_up.iter().filter(|name| **name == "root");
        assert_eq!(of_root.count(), 1);
        assert_eq!(gave_up.len(), (1 << depth) - 1, "each level twice as often");
        assert!(play.living.is_empty(), "nobody is left");
    }
}

/// Kinds of a service whose restart can be interrupted at different points.
const RESTARTS: [&str; 4] = [
    "backoff = \"none\"",
    "backoff = [\"1s\"]",
    "ready = { notify = true }",
    "backoff = [\"1s\"]\nready = { notify = true }\nstart_timeout = \"2s\"",
];

#[test]
fn fault_35_engine_a_stop_wins_at_every_point_of_a_restart() {
    let strategies = ["one_for_one", "one_for_all", "rest_for_one"];
    for (kind, strategy) in RESTARTS.iter().flat_map(|k| strategies.map(|s| (k, s))) {
        for (before, ticks) in (0..12).flat_map(|steps| [(steps, 0), (steps, 1), (steps, 2)]) {
            let mut play = Play::up(
                &format!(
                    "[supervisor.root]\nstrategy = \"{strategy}\"\nmax_restarts = 1000\n\
                     children = [\"a\", \"b\"]\n[service.a]\ncommand = \"x\"\n{kind}\n\
                     [service.b]\ncommand = \"x\""
                ),
                1,
            );
            play.exit("a", 1);
            for _ in 0..before {
                play.step();
            }
            for _ in 0..ticks {
                play.tick();
            }
            let a = play.id("a");
            let id = play.ask(Command::Stop(a));
            play.settle();
            let place = format!("{strategy}, {kind}, {before} steps, {ticks} ticks");
            assert_eq!(play.answer(id), Some(&Outcome::Done), "{place}");
            assert_eq!(play.view("a").state, State::Stopped, "{place}");
            let started = play.started_after(id);
            assert!(
                !started.contains(&"a".to_owned()),
                "{place}: {}",
                play.story()
            );
            let alive = play.living.keys().any(|run| run.node == a);
            assert!(!alive, "{place}");
        }
    }
}

#[test]
fn fault_36_engine_three_clients_in_any_order_never_make_two() {
    for seed in 0..400_u64 {
        let mut dice = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut roll = |sides: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice % sides
        };
        let kind = RESTARTS[usize::try_from(roll(4)).expect("small")];
        let toml = format!(
            "[supervisor.root]\nmax_restarts = 100000\nchildren = [\"a\"]\n\
             [service.a]\ncommand = \"x\"\n{kind}"
        );
        let mut play = Play::up(&toml, seed);
        let a = play.id("a");
        let mut asked = Vec::new();
        for _ in 0..60 {
            match roll(9) {
                0 => asked.push(play.ask(Command::Start(a))),
                1 => asked.push(play.ask(Command::Stop(a))),
                2 => asked.push(play.ask(Command::Restart(a))),
                3 => play.exit("a", 1),
                // Time passes when every process that was told to end has ended.
                4 if play.inbox.is_empty() => drop(play.tick()),
                _ => drop(play.step()),
            }
        }
        asked.push(play.ask(Command::Stop(a)));
        play.settle();
        for id in &asked {
            assert!(
                play.answer(*id).is_some(),
                "seed {seed}: {id:?} has no answer"
            );
        }
        let last = asked[asked.len() - 1];
        assert_eq!(play.answer(last), Some(&Outcome::Done), "seed {seed}");
        assert!(
            play.started_after(last).is_empty(),
            "seed {seed}: the last word holds"
        );
        assert!(play.living.is_empty(), "seed {seed}");
    }
}

#[test]
fn fault_37_engine_who_dies_while_its_group_is_stopped_makes_no_second_round() {
    let names = ["a", "b", "c", "d"];
    for (first, second) in (0..4).flat_map(|f| (0..4).map(move |s| (f, s))) {
        for steps in 0..8 {
            let mut play = Play::up(
                "[supervisor.root]\nstrategy = \"one_for_all\"\nchildren = [\"a\", \"b\", \"c\", \"d\"]\n\
                 [defaults]\ncommand = \"x\"\n[service.a]\n[service.b]\n[service.c]\n[service.d]",
                1,
            );
            play.exit(names[first], 1);
            // The second one dies at any point up to its own stop.
            for _ in 0..steps {
                play.step();
            }
            let is_old = play.view(names[second]).starts == 1;
            if first == second || !is_old {
                continue;
            }
            play.exit(names[second], 1);
            play.settle();
            let place = format!("{} then {} after {steps}", names[first], names[second]);
            let rounds = play.of(|what| matches!(what, What::Strategy { .. }));
            assert_eq!(rounds.len(), 1, "{place}: {}", play.story());
            let started = play.of(|what| matches!(what, What::Starting { .. }));
            assert_eq!(started, names, "{place}: all, in order, once");
            assert_eq!(play.view("root").recorded.map(|r| r.1), Some(1), "{place}");
        }
    }
}

#[test]
fn fault_39_engine_the_root_halts_once_with_the_code_of_the_culprit() {
    for (status, code) in (0..=255).map(|c: u8| (ExitStatus::Code(c), c.max(1))) {
        let mut play = Play::up(
            "[supervisor.root]\nmax_restarts = 0\n[service.a]\ncommand = \"x\"",
            1,
        );
        let run = *play.living.keys().next().expect("it runs");
        play.end(run, status);
        play.settle();
        let Some(Halt::GaveUp { code: told, .. }) = play.halt else {
            panic!("{:?}", play.halt);
        };
        assert_eq!(told, code);
        let escalated = play.told.iter().any(|told| {
            matches!(told, Told::Record(r) if matches!(&r.what,
                What::Escalated { class, .. } if class.base == Class::Escalated))
        });
        assert!(escalated);
    }
}

#[test]
fn fault_41_engine_a_thousand_that_die_together_start_a_few_at_a_time_and_not_in_step() {
    let mut toml = many(1000, "start = \"parallel\"\n[supd]\nstart_parallelism = 16");
    toml += "[defaults]\nready = { notify = true }\nrestart = \"permanent\"\n";
    let mut play = Play::up(&toml, 7);
    let ready = |play: &mut Play| {
        let mut most = 0;
        loop {
            play.deliver();
            let waiting: Vec<RunId> = play.living.keys().copied().collect();
            let starting = waiting.iter().filter(|run| {
                let view = play.tree.view(run.node).expect("a node");
                view.state == State::Starting
            });
            let starting: Vec<RunId> = starting.copied().collect();
            most = most.max(starting.len());
            let Some(run) = starting.first() else {
                return most;
            };
            play.give(Event::Ready { run: *run });
        }
    };
    assert_eq!(ready(&mut play), 16, "at the boot");
    for n in 0..1000 {
        play.exit(&format!("s{n}"), 1);
    }
    assert_eq!(ready(&mut play), 16, "and after all of them have died");
    assert_eq!(play.living.len(), 1000);
    play.told.clear();
    for n in 0..1000 {
        play.exit(&format!("s{n}"), 1);
    }
    play.deliver();
    let delays: BTreeSet<Duration> = play
        .told
        .iter()
        .filter_map(|told| match told {
            Told::Record(record) => match &record.what {
                What::Exited(exit) => match exit.decision {
                    Decision::Restart { delay } => Some(delay),
                    _ => None,
                },
                _ => None,
            },
            Told::Reply(..) => None,
        })
        .collect();
    assert!(delays.len() > 900, "only {} different delays", delays.len());
    let Time(first) = play.tree.next_deadline().expect("the first of them");
    assert!(first > play.now.0);
}
