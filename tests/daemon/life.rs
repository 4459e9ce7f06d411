// SPDX-License-Identifier: MIT OR Apache-2.0
//! Services: started, restarted, stopped, given up.

use super::harness::{PATIENCE, Supd, alive, kill, line};
use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

#[test]
fn a_service_that_is_killed_runs_again_and_its_end_is_told_first() {
    let mut supd = Supd::start("[service.web]\ncommand = \"CHILD sleep forever\"");
    supd.event("supervisor.ready", "root");
    let first = supd.pid_of("web");
    kill(first, "SIGKILL");
    let exit = supd.event("service.exited", "web");
    assert_eq!(exit["class"], "killed");
    assert_eq!(exit["signal"], "KILL");
    assert_eq!(exit["pid"], first);
    assert_eq!(exit["path"], "root/web");
    assert_eq!(exit["decision"]["action"], "restart");
    assert_eq!(exit["budget"]["used"], 1);
    let again = supd.event("service.starting", "web");
    assert_eq!(again["cause"], exit["seq"], "{}", supd.story());
    supd.event("service.ready", "web");
    let second = supd.pid_of("web");
    assert_ne!(first, second);
    let view = supd.node("web");
    assert_eq!(view["state"], "ready");
    assert_eq!(view["restarts"], 1);
    assert_eq!(view["last_exit"]["class"], "killed");
    let numbers: Vec<u64> = supd
        .events
        .iter()
        .filter_map(|e| e["seq"].as_u64())
        .collect();
    let dense: Vec<u64> = (1..=numbers.len() as u64).collect();
    assert_eq!(numbers, dense, "every record is told, once and in order");
}

#[test]
fn term_stops_everything_in_reverse_and_leaves_nothing() {
    let mut supd = Supd::start(
        "[supervisor.root]\nstrategy = \"rest_for_one\"\nchildren = [\"a\", \"b\"]\n\
         [service.a]\ncommand = \"CHILD sleep forever\"\n\
         [service.b]\ncommand = \"CHILD sleep forever\"",
    );
    supd.event("supervisor.ready", "root");
    let pids = [supd.pid_of("a"), supd.pid_of("b")];
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0));
    let ends: Vec<_> = supd
        .events
        .iter()
        .filter(|e| e["kind"] == "service.exited")
        .map(|e| {
            (
                e["node"].as_str().unwrap_or(""),
                e["class"].as_str().unwrap_or(""),
            )
        })
        .collect();
    assert_eq!(ends, [("b", "requested"), ("a", "requested")]);
    assert!(pids.iter().all(|p| !alive(*p)));
    assert!(!supd.socket().exists(), "the socket's file is removed");
}

#[test]
fn the_exit_code_after_a_term_can_be_chosen() {
    let mut supd =
        Supd::start("[supd]\nexit_on_term = 143\n[service.a]\ncommand = \"CHILD sleep forever\"");
    supd.event("supervisor.ready", "root");
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(143));
}

#[test]
fn when_the_root_gives_up_the_code_is_the_culprits_and_the_reason_is_said() {
    let mut supd = Supd::start(
        "[supd]\nexit_delay = \"0s\"\n[supervisor.root]\nmax_restarts = 1\n\
         [service.bad]\ncommand = \"CHILD exit 37\"\nbackoff = \"none\"\n\
         [service.good]\ncommand = \"CHILD sleep forever\"",
    );
    assert_eq!(supd.wait().code(), Some(37), "{}", supd.story());
    let told = supd.talk.iter().any(|l| {
        l.ends_with("root gave up: one restart more than 1 in 1m, because of bad: exit 37")
    });
    assert!(told, "{}", supd.story());
    let exits = |name: &str| {
        let of = |e: &&serde_json::Value| e["kind"] == "service.exited" && e["node"] == name;
        supd.events.iter().filter(of).count()
    };
    assert_eq!(exits("bad"), 2);
    assert_eq!(exits("good"), 1);
}

#[test]
fn fault_14_a_program_that_is_not_there_is_a_failed_start_with_its_step() {
    let mut supd = Supd::start(
        "[supd]\nexit_delay = \"0s\"\n[supervisor.root]\nmax_restarts = 0\n\
         [service.bad]\ncommand = \"/does/not/exist\"",
    );
    let exit = supd.event("service.exited", "bad");
    assert_eq!(exit["class"], "exec_failed");
    assert_eq!(exit["failure"]["errno"], 2);
    assert_eq!(exit["failure"]["path"], "/does/not/exist");
    assert_eq!(exit["pid"], serde_json::Value::Null);
    assert_eq!(supd.wait().code(), Some(127));
}

#[test]
fn fault_31_ready_and_then_the_end_are_told_in_that_order() {
    let mut supd = Supd::start(
        "[service.web]\ncommand = \"CHILD ready exit 3\"\nready = { notify = true }\n\
         restart = \"temporary\"",
    );
    let exit = supd.event("service.exited", "web");
    assert_eq!(exit["phase"], "ready", "{}", supd.story());
    let ready = supd.events.iter().find(|e| e["kind"] == "service.ready");
    assert!(ready.is_some(), "{}", supd.story());
}

#[test]
fn readiness_by_a_descriptor_by_a_file_and_by_a_port() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let mut supd = Supd::start(&format!(
        "[service.fd]\ncommand = \"CHILD ready-fd 5 sleep forever\"\nready = {{ fd = 5 }}\n\
         [service.file]\ncommand = \"CHILD touch DIR/there sleep forever\"\n\
         ready = {{ file = \"DIR/there\", every = \"20ms\" }}\n\
         [service.port]\ncommand = \"CHILD sleep forever\"\n\
         ready = {{ tcp = \"127.0.0.1:{port}\", every = \"20ms\" }}\n\
         [service.exec]\ncommand = \"CHILD sleep forever\"\n\
         ready = {{ exec = [\"CHILD\", \"exit\", \"0\"], every = \"20ms\" }}"
    ));
    let mut waiting = BTreeSet::from(["fd", "file", "port", "exec"]);
    while !waiting.is_empty() {
        let ready = supd.event("service.ready", "");
        waiting.remove(ready["node"].as_str().expect("a name"));
    }
    supd.event("supervisor.ready", "root");
}

#[test]
fn a_start_that_takes_too_long_is_ended() {
    let mut supd = Supd::start(
        "[service.slow]\ncommand = \"CHILD sleep forever\"\nready = { notify = true }\n\
         start_timeout = \"100ms\"\nrestart = \"temporary\"",
    );
    let exit = supd.event("service.exited", "slow");
    assert_eq!(exit["class"], "start_timeout", "{}", supd.story());
}

#[test]
fn fault_1_all_of_many_that_die_at_once_are_noticed() {
    let mut supd = Supd::start(
        "[supervisor.root]\nmax_restarts = 1000\n[service.many]\n\
         command = \"CHILD sleep forever\"\ninstances = 100\n[supervisor.x]\nchildren = []",
    );
    supd.event("supervisor.ready", "many");
    let (_, tree) = supd.get("/v1/nodes/many");
    let pids: Vec<i32> = tree["children"]
        .as_array()
        .expect("instances")
        .iter()
        .map(|c| i32::try_from(c["pid"].as_i64().expect("a pid")).expect("a pid"))
        .collect();
    assert_eq!(pids.len(), 100);
    for pid in &pids {
        kill(*pid, "SIGKILL");
    }
    // The pool gives up meanwhile and starts again: instances of then are none of these.
    let mut waiting: BTreeSet<i64> = pids.iter().map(|p| i64::from(*p)).collect();
    while !waiting.is_empty() {
        let exit = supd.event("service.exited", "");
        waiting.remove(&exit["pid"].as_i64().expect("a pid"));
    }
    let told = |pid: i32| {
        let of = |e: &&serde_json::Value| e["kind"] == "service.exited" && e["pid"] == pid;
        supd.events.iter().filter(of).count()
    };
    assert!(pids.iter().all(|p| told(*p) == 1), "each end is told once");
}

#[test]
fn what_a_dead_service_left_in_its_group_is_killed() {
    let mut supd = Supd::start(
        "[supd]\nlog = { level = \"debug\" }\n[service.web]\nrestart = \"temporary\"\n\
         command = \"CHILD fork [ report DIR/left append DIR/fifo x sleep forever ] sleep forever\"",
    );
    supd.event("supervisor.ready", "root");
    let end = Instant::now() + PATIENCE;
    let left = loop {
        // The report is written before the line is appended to the second file.
        if supd.dir.path("fifo").exists() {
            let text = fs::read_to_string(supd.dir.path("left")).expect("a report");
            let report: serde_json::Value = serde_json::from_str(&text).expect("a report");
            break i32::try_from(report["pid"].as_i64().expect("a pid")).expect("a pid");
        }
        assert!(Instant::now() < end, "the child does not report");
        std::thread::yield_now();
    };
    kill(supd.pid_of("web"), "SIGKILL");
    supd.all(&["service.exited", "orphan.reaped"]);
    assert!(!alive(left));
}

#[test]
fn a_runaway_does_not_outlive_the_daemon() {
    let mut supd = Supd::start(
        "[service.web]\nlog = { to = \"inherit\" }\n\
         command = \"CHILD double-fork [ setsid print-err away sleep forever ] sleep forever\"",
    );
    supd.event("supervisor.ready", "root");
    // Its own words come to our ear through the descriptor it has inherited.
    supd.until_talk("away");
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0), "its end closes the last copy");
}

#[test]
fn three_interrupts_end_what_will_not_listen() {
    let mut supd = Supd::start(
        "[service.deaf]\ncommand = \"CHILD ignore TERM ready sleep forever\"\n\
         ready = { notify = true }\nstop = { timeout = \"10m\" }\n\
         [supd]\nshutdown_timeout = \"20m\"",
    );
    supd.event("supervisor.ready", "root");
    supd.signal("SIGINT");
    supd.event("daemon.stopping", "root");
    supd.signal("SIGINT");
    supd.event("daemon.stopping", "root");
    supd.signal("SIGINT");
    let exit = supd.event("service.exited", "deaf");
    assert_eq!(exit["signal"], "KILL");
    supd.wait();
}

#[test]
fn hup_takes_up_a_new_configuration_and_refuses_a_bad_one() {
    let two = "[service.a]\ncommand = \"CHILD sleep forever\"\n\
               [service.b]\ncommand = \"CHILD sleep forever\"\n";
    let mut supd = Supd::start(two);
    supd.event("supervisor.ready", "root");
    let (a, b) = (supd.pid_of("a"), supd.pid_of("b"));
    supd.dir.write("supd.toml", "[service.a]\ncommnd = \"x\"\n");
    supd.signal("SIGHUP");
    let refused = supd.event("daemon.reload_refused", "");
    let message = refused["message"].as_str().expect("a message");
    assert!(message.contains("commnd"), "{message}");
    assert_eq!((supd.pid_of("a"), supd.pid_of("b")), (a, b));
    let changed = super::harness::expand(
        &two.replace("b]\ncommand = \"CHILD", "b]\ncommand = \"CHILD ignore USR1"),
        &supd.dir,
    );
    supd.dir.write(
        "supd.toml",
        &(changed
            + &super::harness::expand(
                "[service.c]\ncommand = \"CHILD sleep forever\"\n",
                &supd.dir,
            )),
    );
    supd.signal("SIGHUP");
    supd.event("daemon.reloaded", "");
    supd.event("service.ready", "c");
    supd.until("b again", |e| {
        e["kind"] == "service.ready" && e["node"] == "b"
    });
    assert_eq!(supd.pid_of("a"), a, "untouched");
    assert_ne!(supd.pid_of("b"), b);
}

#[test]
fn restarts_leave_no_descriptor_open() {
    let mut supd = Supd::start(
        "[supervisor.root]\nmax_restarts = 1000\n[service.web]\nbackoff = \"none\"\n\
         command = \"CHILD ready sleep forever\"\nready = { notify = true }",
    );
    supd.event("service.ready", "web");
    let fds = format!("/proc/{}/fd", supd.pid());
    let count = || fs::read_dir(&fds).expect("its descriptors").count();
    let before = count();
    for _ in 0..50 {
        kill(supd.pid_of("web"), "SIGKILL");
        supd.event("service.exited", "web");
        supd.event("service.ready", "web");
    }
    // A question's connection may still be closing; asking once more brings the loop round.
    supd.pid_of("web");
    assert!(
        count() <= before + 1,
        "{} before, {} after",
        before,
        count()
    );
}

#[test]
fn nothing_to_do_means_no_wake_up() {
    let mut supd = Supd::start("[service.web]\ncommand = \"CHILD sleep forever\"");
    supd.event("supervisor.ready", "root");
    let status = format!("/proc/{}/status", supd.pid());
    let switches = || {
        let text = fs::read_to_string(&status).expect("its status");
        let line = text.lines().find(|l| l.starts_with("voluntary_ctxt"));
        line.expect("a count").to_owned()
    };
    assert!(supd.is_quiet(), "the last lines are out");
    let before = switches();
    assert!(supd.is_quiet());
    assert_eq!(before, switches());
}

#[test]
fn the_environment_says_who_a_service_is() {
    let mut supd = Supd::start_with(super::harness::Start {
        config: "[service.web]\nshell = 'echo \"$SUPD_NAME $SUPD_PATH $SUPD_INSTANCE\"; \
                 echo \"${SUPD_SOCKET:-none}\"; exec sleep 1000'",
        stdout: std::process::Stdio::piped(),
        ..super::harness::Start::default()
    });
    let out = supd.out.take().expect("its output");
    line(&out, |l| l == "web | web root/web 1");
    line(&out, |l| l == "web | none");
}

#[test]
fn fault_17_a_runaway_is_gone_when_its_service_is_stopped() {
    let mut supd = Supd::start(
        "[service.web]\nready = { notify = true }\n\
         command = \"CHILD double-fork [ setsid ready sleep forever ] sleep forever\"\n\
         [service.other]\ncommand = \"CHILD sleep forever\"",
    );
    supd.event("service.ready", "web");
    let other = supd.pid_of("other");
    let (_, reply) = supd.post("/v1/nodes/web/stop", "");
    assert_eq!(reply["ok"], true);
    let killed = supd.event("orphan.killed", "");
    let message = killed["message"].as_str().expect("a message");
    assert!(message.contains("which web had left behind"), "{message}");
    assert_eq!(supd.pid_of("other"), other);
}

#[test]
fn the_end_of_a_service_leaves_other_daemons_services_alone() {
    let config = "[service.web]\nready = { notify = true }\n\
                  command = \"CHILD double-fork [ setsid ready sleep forever ] sleep forever\"";
    let (mut one, mut two) = (Supd::start(config), Supd::start(config));
    one.event("service.ready", "web");
    two.event("service.ready", "web");
    let kept = two.pid_of("web");
    one.post("/v1/nodes/web/stop", "");
    one.event("orphan.killed", "");
    one.signal("SIGTERM");
    assert_eq!(one.wait().code(), Some(0));
    assert_eq!(two.pid_of("web"), kept);
    two.signal("SIGTERM");
    assert_eq!(two.wait().code(), Some(0));
}

#[test]
fn fault_22_without_descriptors_starts_fail_and_the_daemon_lives() {
    let mut supd = Supd::start_with(super::harness::Start {
        config: "[supervisor.root]\nmax_restarts = 1000000\n[service.many]\n\
                 command = \"CHILD sleep forever\"\ninstances = 30\nbackoff = [\"10m\"]",
        wrapper: &["sh", "-c", "ulimit -n 60; exec \"$@\"", "sh"],
        ..super::harness::Start::default()
    });
    let failed = supd.until("a failed start", |e| e["failure"]["errno"] == 24);
    assert_eq!(failed["class"], "spawn_failed", "{}", supd.story());
    supd.signal("SIGTERM");
    assert!(supd.wait().code().is_some());
}

#[test]
fn a_budget_parks_and_holds_and_says_so() {
    let mut supd = Supd::start(
        "[supervisor.root]\nchildren = [\"g\", \"h\", \"good\"]\n\
         [supervisor.g]\nbudgets = { config = { limit = \"1/60s\", then = \"park\" } }\n\
         children = [\"bad\"]\n\
         [supervisor.h]\nmax_restarts = 0\non_exhausted = { hold = \"1h\" }\n\
         children = [\"weak\"]\n\
         [service.bad]\ncommand = \"CHILD exit 78\"\nbackoff = \"none\"\n\
         [service.weak]\ncommand = \"CHILD exit 1\"\n\
         [service.good]\ncommand = \"CHILD sleep forever\"",
    );
    supd.all(&["service.parked", "service.held"]);
    let told = |kind: &str| {
        let found = supd.events.iter().find(|e| e["kind"] == kind);
        found.expect("it was told").clone()
    };
    let (parked, held) = (told("service.parked"), told("service.held"));
    let budget = &parked["budget"];
    assert_eq!(
        (&parked["node"], &budget["bucket"], &budget["used"]),
        (&"bad".into(), &"config".into(), &2.into())
    );
    assert_eq!(
        (&held["node"], &held["delay_ms"]),
        (&"weak".into(), &3_600_000.into())
    );
    assert_eq!(supd.node("bad")["state"], "parked");
    let weak = supd.node("weak");
    assert_eq!(weak["state"], "held");
    assert!(weak["delay_ms"].as_u64() > Some(3_500_000), "{weak}");
    assert_eq!(supd.node("good")["state"], "ready");
    assert_eq!(supd.get("/v1/health").1["status"], "degraded");
    let (_, reply) = supd.post("/v1/nodes/weak/reset", "");
    assert_eq!(reply["ok"], true, "{reply}");
    assert_eq!(supd.event("service.released", "weak")["node"], "weak");
    assert_eq!(supd.event("service.starting", "weak")["why"], "released");
}

#[test]
fn fault_35_a_stop_wins_over_a_restart_that_waits() {
    let mut supd = Supd::start(
        "[supervisor.root]\nmax_restarts = 1000\n\
         [service.web]\ncommand = \"CHILD exit 1\"\nbackoff = [\"1ms\"]",
    );
    for _ in 0..20 {
        supd.event("service.starting", "web");
        let (_, reply) = supd.post("/v1/nodes/web/stop", "");
        assert_eq!(reply["ok"], true, "{reply}");
        let view = supd.node("web");
        assert_eq!(view["state"], "stopped", "{view}");
        assert!(view["pid"].is_null(), "{view}");
        supd.post("/v1/nodes/web/start?wait=0", "");
    }
}
