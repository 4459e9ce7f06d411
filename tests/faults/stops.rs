// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stops: of processes that cannot or will not, in the middle of a restart, by several at once.

use super::harness::{Supd, kill};
use super::rig::{children, eventually, init, state, supctl, supctl_at};
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// The ends in the order in which they were told.
fn ends(supd: &Supd) -> Vec<(&str, &str)> {
    let text = |value: &'_ Value| -> &'static str {
        Box::leak(value.as_str().unwrap_or("").to_owned().into_boxed_str())
    };
    let exits = supd.events.iter().filter(|e| e["kind"] == "service.exited");
    exits
        .map(|e| (text(&e["node"]), text(&e["class"])))
        .collect()
}

#[test]
fn fault_10_a_stopped_process_is_continued_so_that_it_can_end() {
    let mut supd = Supd::start(
        "[service.a]\ncommand = \"CHILD on TERM exit 0 ready sleep forever\"\n\
         ready = { notify = true }\nstop = { timeout = \"10m\" }\n\
         [service.b]\ncommand = \"CHILD ignore TERM ready sleep forever\"\n\
         ready = { notify = true }\nstop = { timeout = \"100ms\" }",
    );
    supd.event("supervisor.ready", "root");
    for name in ["a", "b"] {
        let pid = supd.pid_of(name);
        kill(pid, "SIGSTOP");
        eventually("a stopped process", || {
            (state(pid) == Some('T')).then_some(())
        });
    }
    assert_eq!(supctl(&supd, &["stop", "a"]).0, 0);
    let end = supd.event("service.exited", "a");
    assert_eq!(end["class"], "requested", "TERM was enough: {end}");
    assert_eq!(end["code"], 0, "{end}");
    assert_eq!(supctl(&supd, &["stop", "b"]).0, 0);
    let end = supd.event("service.exited", "b");
    assert_eq!(end["class"], "stop_timeout", "{end}");
    assert_eq!(end["signal"], "KILL", "{end}");
}

/// `service.starting` of this node after its last stop was acknowledged.
fn started_after(supd: &Supd, seq: u64) -> Option<&Value> {
    let starts = |e: &&Value| e["kind"] == "service.starting" && e["node"] == "a";
    let mut later = supd.events.iter().filter(starts);
    later.find(|e| e["seq"].as_u64() > Some(seq))
}

#[test]
fn fault_35_a_stop_wins_against_a_restart_that_is_pending_or_under_way() {
    let mut supd = Supd::start(
        "[supervisor.root]\nmax_restarts = 100000\nchildren = [\"a\"]\n\
         [service.a]\ncommand = \"CHILD sleep forever\"\n\
         backoff = [\"0s\", \"1ms\", \"2ms\", \"5ms\"]",
    );
    supd.event("service.ready", "a");
    for round in 0..1000 {
        kill(supd.pid_of("a"), "SIGKILL");
        if round % 3 > 0 {
            // Let it come to the back-off, or into the restart.
            supd.event("service.exited", "a");
        }
        let (status, reply) = supd.post("/v1/nodes/a/stop", "");
        assert_eq!(status, 200, "{reply}");
        let view = supd.node("a");
        assert_eq!(view["state"], "stopped", "round {round}: {view}");
        assert_eq!(view["pid"], Value::Null, "round {round}: {view}");
        let stopped = view["stopped_by"].is_object();
        assert!(stopped, "it says by whom: {view}");
        let (_, health) = supd.get("/v1/health");
        assert_eq!(health["live"], true);
        let (_, reply) = supd.post("/v1/nodes/a/start", "");
        assert_eq!(reply["ok"], true, "{reply}");
    }
    let (_, reply) = supd.post("/v1/nodes/a/stop", "");
    let last = reply["seq"].as_u64().expect("a number");
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0));
    assert_eq!(started_after(&supd, last), None, "{}", supd.story());
}

#[test]
fn fault_36_three_clients_never_make_two_of_one_service() {
    let mut supd = Supd::start(
        "[service.a]\ncommand = \"CHILD sleep forever\"\nbackoff = \"none\"\n\
         [supervisor.root]\nmax_restarts = 100000\nchildren = [\"a\"]",
    );
    supd.event("service.ready", "a");
    let (pid, socket) = (supd.pid(), supd.socket());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let now = children(pid);
                assert!(now.len() <= 1, "two at a time: {now:?}");
            }
        });
        let clients: Vec<_> = [7_u32, 11, 13]
            .into_iter()
            .map(|seed| {
                let socket = &socket;
                scope.spawn(move || {
                    let mut dice = seed;
                    for _ in 0..25 {
                        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        let verb = ["start", "stop", "restart"][(dice >> 16) as usize % 3];
                        let (code, out, err) = supctl_at(socket, &[verb, "a"]);
                        // 1: another one's order came in between and took its place.
                        assert!(code == 0 || code == 1, "{verb} is {code}: {out}{err}");
                    }
                })
            })
            .collect();
        let ended: Vec<bool> = clients.into_iter().map(|c| c.join().is_ok()).collect();
        done.store(true, Ordering::Relaxed);
        assert_eq!(ended, [true; 3], "every order was answered");
    });
    let (_, reply) = supd.post("/v1/nodes/a/start", "");
    assert!(reply["outcome"].is_string(), "{reply}");
    assert_eq!(supd.node("a")["state"], "ready");
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0));
    let mut living = 0;
    for e in supd.events.iter().filter(|e| e["node"] == "a") {
        if e["kind"] == "service.starting" {
            living += 1;
        } else if e["kind"] == "service.exited" {
            living -= 1;
        }
        assert!((0..=1).contains(&living), "{e}: {}", supd.story());
    }
    assert_eq!(living, 0);
}

#[test]
fn fault_37_who_dies_while_its_group_is_stopped_is_part_of_the_same_round() {
    let mut supd = Supd::start(
        "[supd]\nlog = { level = \"debug\" }\n[supervisor.root]\nstrategy = \"one_for_all\"\nchildren = [\"a\", \"slow\", \"c\"]\n\
         [service.a]\ncommand = \"CHILD sleep forever\"\n\
         [service.slow]\ncommand = \"CHILD ignore TERM ready sleep forever\"\n\
         ready = { notify = true }\nstop = { timeout = \"10m\" }\n\
         [service.c]\ncommand = \"CHILD sleep forever\"",
    );
    supd.event("supervisor.ready", "root");
    let (a, slow, c) = (supd.pid_of("a"), supd.pid_of("slow"), supd.pid_of("c"));
    kill(c, "SIGKILL");
    supd.event("service.stopping", "slow");
    kill(a, "SIGUSR2");
    let end = supd.event("service.exited", "a");
    assert_eq!(end["decision"]["action"], "queued", "{end}");
    kill(slow, "SIGKILL");
    for name in ["a", "slow", "c"] {
        supd.event("service.starting", name);
        supd.event("service.ready", name);
    }
    let root = supd.node("root");
    assert_eq!(root["used"], 1, "one round is one restart: {root}");
    let rounds = supd
        .events
        .iter()
        .filter(|e| e["kind"] == "supervisor.strategy");
    assert_eq!(rounds.count(), 1, "{}", supd.story());
}

/// Five levels, each with a service that is deaf to TERM and forks when it hears it.
fn five_levels() -> String {
    let mut config = String::from("[supd]\nshutdown_timeout = \"5m\"\n");
    for level in 1..=5 {
        let below = if level < 5 {
            format!(", \"l{}\"", level + 1)
        } else {
            String::new()
        };
        let _ = writeln!(
            config,
            "[supervisor.l{level}]\nchildren = [\"s{level}\"{below}]"
        );
        let _ = write!(
            config,
            "[service.s{level}]\nready = {{ file = \"DIR/up{level}\", every = \"20ms\" }}\n\
             stop = {{ timeout = \"500ms\" }}\n\
             shell = '''\ntrap 'CHILD sleep forever & : > DIR/forked{level}' TERM\n\
             : > DIR/up{level}\nwhile :; do CHILD sleep 60000; done\n'''\n"
        );
    }
    config
}

#[test]
fn fault_86_the_deaf_that_fork_at_term_five_levels_deep_are_gone_in_reverse_order() {
    let mut supd = init(&five_levels());
    supd.event("supervisor.ready", "root");
    let outer = super::rig::only_child(supd.pid());
    kill(outer, "SIGTERM");
    assert_eq!(supd.wait().code(), Some(0), "{}", supd.story());
    let wanted = ["s5", "s4", "s3", "s2", "s1"].map(|name| (name, "stop_timeout"));
    assert_eq!(ends(&supd), wanted, "{}", supd.story());
    // A busy machine may kill one of them before it comes to that.
    let mut forked = (1..=5).map(|n| supd.dir.path(&format!("forked{n}")));
    assert!(forked.any(|mark| mark.exists()), "they fork at TERM");
}

/// A service that goes into the background, as most daemons do when nobody tells them not to.
const DAEMONIZES: &str = "[service.web]\nbackoff = [\"10m\"]\n\
     command = \"CHILD double-fork [ setsid append DIR/up x sleep forever ] await DIR/up exit 0\"\n\
     [service.good]\ncommand = \"CHILD sleep forever\"";

#[test]
fn fault_16_a_daemonized_copy_is_killed_and_named_in_the_record_of_the_end() {
    let mut supd = Supd::start(DAEMONIZES);
    let killed = supd.event("orphan.killed", "");
    let message = killed["message"].as_str().expect("a message");
    assert!(message.contains("which web had left behind"), "{message}");
    let end = supd.event("service.exited", "web");
    assert_eq!(end["class"], "clean", "{end}");
    let said = end["qualifiers"].as_array().expect("what else is said");
    assert!(said.contains(&json!("daemonized")), "{end}");
    let left = end["leftovers"].as_array().expect("who was left");
    assert_eq!(left.len(), 1, "{end}");
    let left = left[0].as_str().expect("a name");
    let pid = left.strip_prefix("supd-testchild (pid ").expect("its name");
    let pid: i32 = pid.trim_end_matches(')').parse().expect("its number");
    assert_eq!(state(pid), None, "it is gone before the end is told: {end}");
    let (_, text, _) = supctl(&supd, &["why", "web"]);
    assert!(text.contains("clean, daemonized"), "{text}");
    assert!(text.contains("foreground"), "{text}");
    assert_eq!(supd.node("good")["restarts"], Value::Null);
}

#[test]
fn an_end_at_a_stop_that_is_neither_well_nor_by_its_signal_is_unclean() {
    let stop = "ready = { notify = true }\nstop = { signal = \"USR1\" }\ncommand = \"CHILD ";
    let mut supd = Supd::start(&format!(
        "[service.well]\n{stop}on USR1 exit 0 ready sleep forever\"\n\
         [service.sent]\n{stop}ready sleep forever\"\n\
         [service.told]\n{stop}on USR1 exit 138 ready sleep forever\"\n\
         [service.listed]\nsuccess_codes = [3]\n{stop}on USR1 exit 3 ready sleep forever\"\n\
         [service.badly]\n{stop}on USR1 exit 3 ready sleep forever\""
    ));
    supd.event("supervisor.ready", "root");
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0));
    for end in supd.events.iter().filter(|e| e["kind"] == "service.exited") {
        let unclean = end["qualifiers"] == json!(["unclean"]);
        assert_eq!(end["class"], "requested", "{end}");
        assert_eq!(unclean, end["node"] == "badly", "{end}");
    }
}

#[test]
fn fault_16_the_next_run_never_meets_a_process_of_the_last_one() {
    // Each run holds a lock by a worker that is deaf to everything but SIGKILL.
    let mut supd = Supd::start(
        "[supervisor.root]\nmax_restarts = 1000\nchildren = [\"web\"]\n[service.web]\n\
         backoff = \"none\"\ncommand = \"CHILD lock DIR/lock fork [ ignore TERM eat 64 sleep forever ] \
         sleep forever\"",
    );
    for _ in 0..50 {
        supd.event("service.ready", "web");
        kill(supd.pid_of("web"), "SIGKILL");
        let end = supd.event("service.exited", "web");
        assert_eq!(end["signal"], "KILL", "the lock was free: {end}");
    }
}

#[test]
fn fault_17_who_left_the_session_and_its_environment_is_gone_at_the_stop() {
    let mut supd = Supd::start(
        "[service.web]\nready = { file = \"DIR/up\", every = \"20ms\" }\n\
         command = \"CHILD fork [ setsid exec env -i CHILD touch DIR/up sleep forever ] sleep forever\"",
    );
    supd.event("service.ready", "web");
    let web = supd.pid_of("web");
    let [far] = children(web)[..] else {
        panic!("one child of {web}")
    };
    assert_eq!(supctl(&supd, &["stop", "web"]).0, 0);
    let end = supd.event("service.exited", "web");
    assert_eq!(end["leftovers"][0], format!("supd-testchild (pid {far})"));
    assert_eq!(state(far), None, "gone before the stop is answered");
}

#[test]
fn a_scope_says_who_is_left_alone() {
    let mut supd = Supd::start(
        "[service.leader]\nstop = { scope = \"leader\" }\nready = { file = \"DIR/l\", every = \"20ms\" }\n\
         command = \"CHILD fork [ touch DIR/l sleep forever ] sleep forever\"\n\
         [service.group]\nstop = { scope = \"group\" }\nready = { file = \"DIR/g\", every = \"20ms\" }\n\
         command = \"CHILD fork [ setsid touch DIR/g sleep forever ] fork [ sleep forever ] sleep forever\"",
    );
    supd.event("supervisor.ready", "root");
    let worker = children(supd.pid_of("leader"))[0];
    let group = children(supd.pid_of("group"));
    assert_eq!(supctl(&supd, &["stop", "leader", "group"]).0, 0);
    // Twice: what is left over is looked for after each end, a second apart.
    for _ in 0..2 {
        assert_eq!(supctl(&supd, &["start", "leader", "group"]).0, 0);
        assert_eq!(supctl(&supd, &["stop", "leader", "group"]).0, 0);
    }
    assert_eq!(state(worker), Some('S'), "only the leader was meant");
    assert_eq!(state(group[0]), Some('S'), "it had left the group");
    assert_eq!(state(group[1]), None, "it was in the group");
    // At the end of everything nobody is left alone.
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0));
    eventually("the end of both", || {
        [worker, group[0]]
            .iter()
            .all(|pid| state(*pid).is_none())
            .then_some(())
    });
}

#[test]
fn fault_04_who_left_a_run_that_crashed_is_killed_soon_after() {
    let mut supd = Supd::start(
        "[service.web]\nbackoff = [\"10m\"]\nready = { file = \"DIR/up\", every = \"20ms\" }\n\
         command = \"CHILD fork [ setsid touch DIR/up sleep forever ] sleep forever\"",
    );
    supd.event("service.ready", "web");
    let web = supd.pid_of("web");
    let far = children(web)[0];
    kill(web, "SIGKILL");
    let killed = supd.event("orphan.killed", "");
    let wanted = format!("killed `supd-testchild` (pid {far}), which web had left behind");
    assert_eq!(killed["message"], wanted);
    eventually("its end", || state(far).is_none().then_some(()));
}
