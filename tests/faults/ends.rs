// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ends of processes: many at once, of all kinds, and those that nobody had started.

use super::harness::{CHILD, Start, Supd, kill};
use super::rig::{eventually, init, orphans, state, supctl};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::process::Stdio;
use supd::spec::Signal;

/// Reads ends until there are so many; the first one of each node.
fn ends(supd: &mut Supd, count: usize) -> BTreeMap<String, Value> {
    let mut ended = BTreeMap::new();
    while ended.len() < count {
        let exit = supd.event("service.exited", "");
        let name = exit["node"].as_str().expect("a name").to_owned();
        ended.insert(name, exit);
    }
    ended
}

/// Names and pids of everything that runs.
fn pids(view: &Value, found: &mut BTreeMap<String, i32>) {
    if let Some(pid) = view["pid"].as_i64() {
        let name = view["name"].as_str().expect("a name").to_owned();
        found.insert(name, i32::try_from(pid).expect("a pid"));
    }
    for child in view["children"].as_array().into_iter().flatten() {
        pids(child, found);
    }
}

#[test]
fn fault_01_five_hundred_that_die_in_one_tick_are_each_told_right() {
    let mut config = String::from("[defaults]\nrestart = \"temporary\"\n");
    config += "ready = { notify = true }\n";
    for n in 0..500 {
        let code = n % 256;
        let _ = writeln!(
            config,
            "[service.s{n}]\ncommand = \"CHILD on USR1 exit {code} ready sleep forever\""
        );
    }
    let mut supd = Supd::start(&config);
    supd.event("supervisor.ready", "root");
    let mut running = BTreeMap::new();
    pids(&supd.node("root"), &mut running);
    assert_eq!(running.len(), 500);
    // For the daemon it is one tick: it is stopped until the last one is dead.
    supd.signal("SIGSTOP");
    for pid in running.values() {
        kill(*pid, "SIGUSR1");
    }
    for pid in running.values() {
        eventually("its end", || (state(*pid) == Some('Z')).then_some(()));
    }
    supd.signal("SIGCONT");
    let ended = ends(&mut supd, 500);
    for (name, exit) in &ended {
        let n: u64 = name[1..].parse().expect("a number");
        assert_eq!(exit["code"], n % 256, "{exit}");
        assert_eq!(exit["pid"], running[name], "{exit}");
    }
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0));
    let told = supd.events.iter().filter(|e| e["kind"] == "service.exited");
    assert_eq!(told.count(), 500, "each once");
}

/// Takes what is said about orphans until there were so many; the messages.
fn orphans_until(supd: &mut Supd, count: u32) -> String {
    let (mut seen, mut said) = (0, String::new());
    while seen < count {
        let event = supd.event("orphan.reaped", "");
        let message = event["message"].as_str().expect("a message").to_owned();
        seen += orphans(&message);
        let _ = writeln!(said, "{message}");
    }
    assert_eq!(seen, count, "{said}");
    said
}

const LEAVES_TWO: &str = "[supd]\nlog = { level = \"debug\" }\n\
     [service.quiet]\ncommand = \"CHILD sleep forever\"\n\
     [service.web]\nready = { notify = true }\n\
     command = \"CHILD double-fork [ exit 3 ] double-fork [ exit 4 ] ready sleep forever\"";

fn left_behind_is_reaped_and_named(mut supd: Supd) {
    let said = orphans_until(&mut supd, 2);
    assert!(said.contains("web"), "it says whose they were: {said}");
    assert!(!said.contains("quiet"), "{said}");
    let (code, _, text) = supctl(&supd, &["--timeout", "60s", "wait", "--ready", "web"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(supd.node("web")["restarts"], Value::Null);
    let charged = supd.events.iter().any(|e| e["kind"] == "service.exited");
    assert!(!charged, "no end is charged to a service: {}", supd.story());
}

#[test]
fn fault_04_a_grandchild_left_behind_is_reaped_and_its_service_named() {
    left_behind_is_reaped_and_named(Supd::start(LEAVES_TWO));
}

#[test]
fn fault_04_as_pid_1_too() {
    left_behind_is_reaped_and_named(init(LEAVES_TWO));
}

#[test]
fn fault_05_a_stranger_that_was_dead_before_the_loop_ran_is_reaped_in_the_first_pass() {
    // It becomes supd when its child is dead for certain; no SIGCHLD comes any more.
    let mut supd = Supd::start_with(Start {
        config: "[supd]\nlog = { level = \"debug\" }\n\
                 [service.a]\ncommand = \"CHILD sleep forever\"",
        wrapper: &[CHILD, "fork", "[", "exit", "3", "]", "await-dead", "exec"],
        stdout: Stdio::null(),
    });
    orphans_until(&mut supd, 1);
    supd.event("supervisor.ready", "root");
    let first = |kind: &str| supd.events.iter().position(|e| e["kind"] == kind);
    assert!(
        first("orphan.reaped") < first("service.starting"),
        "{}",
        supd.story()
    );
}

#[test]
fn fault_06_who_ends_before_anything_is_written_down_is_attributed_all_the_same() {
    let mut supd = Supd::start(
        "[supd]\nlog = { level = \"debug\" }\n\
         [service.short]\ncommand = [\"/bin/true\"]\ninstances = 8\n\
         max_restarts = 100000\nmax_seconds = 3600\nbackoff = \"none\"",
    );
    let mut runs: BTreeMap<String, u64> = BTreeMap::new();
    for _ in 0..10_000 {
        let exit = supd.event("service.exited", "");
        assert_eq!(exit["code"], 0, "{exit}");
        assert!(exit["pid"].as_i64().is_some_and(|pid| pid > 1), "{exit}");
        let name = exit["node"].as_str().expect("a name").to_owned();
        let run = exit["run"].as_u64().expect("a run");
        let last = runs.insert(name, run).unwrap_or_default();
        assert_eq!(run, last + 1, "none lost, none twice: {exit}");
    }
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0));
    let stray = supd.events.iter().find(|e| e["kind"] == "orphan.reaped");
    assert_eq!(stray, None, "all of them were ours");
}

/// SEMANTICS §5, written down a second time.
fn class_of_code(code: i32) -> &'static str {
    match code {
        0 => "clean",
        68 | 69 => "unavailable",
        75 => "tempfail",
        64 | 78 => "config",
        _ => "exit_code",
    }
}

fn class_of_signal(number: i32) -> &'static str {
    match number {
        24 | 25 => "rlimit",
        31 => "sandbox",
        3 | 4 | 5 | 6 | 7 | 8 | 11 => "crash",
        9 => "killed",
        1 | 2 | 13 | 15 => "terminated",
        _ => "signal",
    }
}

#[test]
fn fault_15_every_exit_code_has_its_class() {
    let mut supd = Supd::start(
        "[defaults]\nrestart = \"temporary\"\n\
         [service.c0]\ncommand = \"CHILD exit 0\"\n\
         [service.c]\ninstances = 255\ncommand = \"CHILD exit ${INSTANCE}\"",
    );
    for (name, exit) in ends(&mut supd, 256) {
        let code = name.trim_start_matches(['c', '.']).parse().expect("a code");
        assert_eq!(exit["code"], code, "{exit}");
        assert_eq!(exit["class"], class_of_code(code), "{exit}");
        assert_eq!(exit["signal"], Value::Null, "{exit}");
    }
}

#[test]
fn fault_15_every_deadly_signal_has_its_class() {
    // CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG, WINCH: their default is not death (signal(7)).
    let harmless = [17, 18, 19, 20, 21, 22, 23, 28];
    let deadly: Vec<i32> = (1..=64).filter(|n| !harmless.contains(n)).collect();
    let mut config = String::from("[defaults]\nrestart = \"temporary\"\n");
    for n in &deadly {
        let _ = writeln!(config, "[service.s{n}]\ncommand = \"CHILD signal {n}\"");
    }
    let mut supd = Supd::start(&config);
    for (name, exit) in ends(&mut supd, deadly.len()) {
        let number = name[1..].parse().expect("a number");
        let signal = Signal::from_number(number).expect("a signal");
        assert_eq!(exit["signal"], signal.to_string(), "{exit}");
        assert_eq!(exit["class"], class_of_signal(number), "{exit}");
        assert_eq!(exit["code"], Value::Null, "{exit}");
        assert_ne!(exit["core"], true, "{exit}");
    }
    let (code, text, _) = supctl(&supd, &["why", "s11"]);
    assert_eq!(code, 0);
    assert!(text.contains("SEGV") && text.contains("crash"), "{text}");
}

#[test]
fn fault_41_all_that_die_together_come_back_a_few_at_a_time() {
    let mut supd = Supd::start(
        "[supd]\nstart_parallelism = 6\n\
         [service.many]\ninstances = 200\nmax_restarts = 1000\nready = { notify = true }\n\
         command = \"CHILD append DIR/starts x ready sleep forever\"",
    );
    supd.event("supervisor.ready", "many");
    let mut running = BTreeMap::new();
    pids(&supd.node("many"), &mut running);
    assert_eq!(running.len(), 200);
    supd.signal("SIGSTOP");
    for pid in running.values() {
        kill(*pid, "SIGKILL");
    }
    supd.signal("SIGCONT");
    let mut back = BTreeSet::new();
    while back.len() < 200 {
        let ready = supd.event("service.ready", "");
        back.insert(ready["node"].as_str().expect("a name").to_owned());
    }
    let many = supd.node("many");
    let mut again = BTreeMap::new();
    pids(&many, &mut again);
    let old: BTreeSet<_> = running.values().collect();
    assert!(again.values().all(|pid| !old.contains(pid)), "all are new");
    assert_eq!(again.len(), 200);
    assert_eq!(many["used"], 200, "one token each: {many}");
}

#[test]
fn fault_41_no_more_start_at_a_time_than_may() {
    let mut supd = Supd::start(
        "[supd]\nstart_parallelism = 3\nshutdown_timeout = \"1s\"\n\
         [service.many]\ninstances = 20\nready = { fd = 5 }\nstop = { signal = \"KILL\" }\n\
         command = \"CHILD touch DIR/up.${INSTANCE} sleep forever\"",
    );
    // Those that have begun never become ready: no fourth one may begin.
    let begun = || (1..=20).filter(|n| supd.dir.path(&format!("up.{n}")).exists());
    eventually("three", || (begun().count() == 3).then_some(()));
    let states: Vec<Value> = (1..=20).map(|n| supd.node(&format!("many.{n}"))).collect();
    let with_process = states.iter().filter(|view| view["pid"].is_i64());
    assert_eq!(with_process.count(), 3);
    assert_eq!(begun().count(), 3);
    supd.signal("SIGTERM");
    supd.wait();
}
