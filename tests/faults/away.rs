// SPDX-License-Identifier: MIT OR Apache-2.0
//! supd itself in trouble: stopped, signalled, out of descriptors and memory, with a mistake of its
//! own, started without anything, and at work for long.

use super::harness::{CHILD, Dir, PATIENCE, Start, Supd, expand, kill};
use super::rig::{
    children, cpu_ticks, eventually, has_tool, init, is_missing, only_child, state, supctl,
};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// Another process's idea of how long this takes.
fn let_pass(ms: &str) {
    let waited = Command::new(CHILD).args(["sleep", ms]).status();
    assert!(waited.expect("a child").success());
}

#[test]
fn fault_10_a_stopped_process_is_shown_as_such() {
    let mut supd = Supd::start("[service.a]\ncommand = \"CHILD sleep forever\"");
    supd.event("service.ready", "a");
    assert_eq!(supd.node("a")["process"], Value::Null);
    let a = supd.pid_of("a");
    kill(a, "SIGSTOP");
    eventually("its stop", || (state(a) == Some('T')).then_some(()));
    assert_eq!(supd.node("a")["process"], "stopped (T)");
    for words in [&["why", "a"][..], &["status"]] {
        let (_, text, _) = supctl(&supd, words);
        assert!(text.contains("stopped (T)"), "{text}");
    }
    kill(a, "SIGCONT");
    eventually("its end", || (state(a) == Some('S')).then_some(()));
    assert_eq!(supd.node("a")["process"], Value::Null);
}

#[test]
fn fault_23_what_was_due_while_everything_stood_still_is_due_later_and_not_at_once() {
    let mut supd = Supd::start(
        "[service.slow]\nready = { notify = true }\nstart_timeout = \"1500ms\"\n\
         command = \"CHILD touch DIR/up sleep 1000 ready sleep forever\"\n\
         [service.one]\ncommand = \"CHILD exit 1\"\nbackoff = [\"1s\", \"10m\"]\n\
         [service.two]\ncommand = \"CHILD exit 1\"\nbackoff = [\"2500ms\", \"10m\"]\n\
         [supervisor.root]\nstart = \"parallel\"\nchildren = [\"slow\", \"one\", \"two\"]",
    );
    super::rig::all(
        &mut supd,
        [("service.backoff", "one"), ("service.backoff", "two")],
    );
    eventually("its start", || supd.dir.path("up").exists().then_some(()));
    // The machine stands still: supd and the service.
    let slow = supd.pid_of("slow");
    supd.signal("SIGSTOP");
    kill(slow, "SIGSTOP");
    let_pass("5000");
    supd.signal("SIGCONT");
    let back = supd.event("daemon.resumed", "");
    let message = back["message"].as_str().expect("a message");
    assert!(message.contains("do not count"), "{message}");
    kill(slow, "SIGCONT");
    supd.event("service.ready", "slow");
    let first = supd.until("a start", |e| e["kind"] == "service.starting");
    assert_eq!(first["node"], "one", "in their order: {}", supd.story());
    supd.event("service.starting", "two");
    let timed_out = supd.events.iter().any(|e| e["class"] == "start_timeout");
    assert!(
        !timed_out,
        "nobody is late because we slept: {}",
        supd.story()
    );
}

#[test]
fn fault_23_nobody_is_killed_for_what_was_asked_while_everything_stood_still() {
    let watched = |name: &str, how: &str| {
        format!(
            "[service.{name}]\n{how}\n\
             shell = \"while :; do : > DIR/{name}; CHILD notify WATCHDOG=1; sleep 0.1; done\"\n"
        )
    };
    let mut supd = Supd::start(&format!(
        "[supervisor.root]\nstart = \"parallel\"\n{}{}",
        watched("dog", "watchdog = \"2s\""),
        watched(
            "asked",
            "liveness = { exec = [\"CHILD\", \"sleep\", \"300\"], every = \"100ms\", \
             timeout = \"2s\", failures = 1 }"
        ),
    ));
    super::rig::all(
        &mut supd,
        [("service.ready", "dog"), ("service.ready", "asked")],
    );
    let before = ["dog", "asked"].map(|name| supd.pid_of(name));
    for round in 0..3 {
        supd.signal("SIGSTOP");
        for pid in before {
            kill(pid, "SIGSTOP");
        }
        let_pass("6000");
        supd.signal("SIGCONT");
        for pid in before {
            kill(pid, "SIGCONT");
        }
        supd.event("daemon.resumed", "");
        let_pass(if round == 1 { "2500" } else { "100" });
        let after = ["dog", "asked"].map(|name| supd.pid_of(name));
        assert_eq!(before, after, "{}", supd.story());
    }
    // And who hangs afterwards is found.
    kill(before[0], "SIGSTOP");
    let exit = supd.event("service.exited", "dog");
    assert_eq!(exit["class"], "watchdog_timeout", "{}", supd.story());
}

#[test]
fn fault_74_a_mistake_of_our_own_is_recorded_and_survived() {
    let dir = Dir::new();
    let config = "[service.a]\ncommand = \"CHILD sleep forever\"\nbackoff = \"none\"\n\
                  [supervisor.root]\nmax_restarts = 100\nchildren = [\"a\"]";
    dir.write("supd.toml", &expand(config, &dir));
    let mut command = Command::new(env!("CARGO_BIN_EXE_supd"));
    command.arg("-c").arg(dir.path("supd.toml"));
    command.arg("--socket").arg(dir.path("s"));
    command.env("SUPD_TEST_HOOKS", "1").stdout(Stdio::null());
    let mut supd = Supd::start_as(dir, command);
    supd.panics_wanted = true;
    supd.event("service.ready", "a");
    let mut last = supd.pid_of("a");
    for _ in 0..3 {
        let (status, _) = supd.ask("POST", "/v1/test/panic/a", "");
        assert_eq!(status, 503, "who has asked for it is not left waiting");
        let told = supd.event("daemon.internal_error", "");
        let message = told["message"].as_str().expect("a message");
        assert!(message.contains("somebody has asked for it"), "{message}");
        kill(last, "SIGKILL");
        supd.event("service.exited", "a");
        supd.event("service.ready", "a");
        last = supd.pid_of("a");
    }
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0));
}

#[test]
fn fault_22_without_a_descriptor_clients_wait_and_services_do_not() {
    if is_missing("prlimit", has_tool("prlimit")) {
        return;
    }
    let mut supd = Supd::start(
        "[service.a]\ncommand = \"CHILD sleep forever\"\nbackoff = \"none\"\n\
         [supervisor.root]\nmax_restarts = 1000\nchildren = [\"a\"]",
    );
    supd.event("service.ready", "a");
    let pid = supd.pid().to_string();
    let limit = |to: &str| {
        let asked = Command::new("prlimit")
            .args(["--pid", &pid, &format!("--nofile={to}:")])
            .status();
        assert!(asked.expect("prlimit").success());
    };
    // None is free below this number.
    let is_free = |n: &u32| !fs::exists(format!("/proc/{pid}/fd/{n}")).unwrap_or(true);
    let first_free = (0..4096).find(is_free).expect("a number");
    limit(&first_free.to_string());
    let before = cpu_ticks(supd.pid());
    let mut client = supd.connect();
    client
        .write_all(b"GET /v1/health HTTP/1.1\r\nHost: supd\r\n\r\n")
        .expect("it is in the kernel's queue");
    for _ in 0..20 {
        let a = children(supd.pid())[0];
        kill(a, "SIGKILL");
        supd.event("service.exited", "a");
        supd.event("service.starting", "a");
        supd.event("service.ready", "a");
    }
    let_pass("500");
    let spent = cpu_ticks(supd.pid()) - before;
    assert!(spent < 60, "accept(2) is paused, it does not spin: {spent}");
    limit("4096");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Which call fails how, and when: what restarts and stops need. Counted for each process alone, so
/// that only supd comes to these numbers. Only what the kernel really answers: a self-pipe whose
/// write(2) fails is full, and an epoll_wait(2) that fails was called by mistake.
const SWEEP: &[(&str, &str, &[u32])] = &[
    ("clone", "EAGAIN", &[2, 3, 5]),
    ("clone", "ENOMEM", &[3, 4]),
    ("pipe2", "EMFILE", &[3, 2, 4, 5]),
    ("openat", "ENFILE", &[13, 11, 14, 15, 16]),
    ("read", "EIO", &[20, 24, 28]),
    ("epoll_ctl", "ENOMEM", &[6, 7, 8, 9]),
    ("accept4", "ENFILE", &[1, 2]),
    ("fcntl", "EMFILE", &[30, 20, 40]),
    ("dup3", "EBUSY", &[9, 5, 12, 14]),
    ("waitid", "EINTR", &[4, 2, 6, 8]),
    ("kill", "EPERM", &[2, 1, 3]),
];

/// Calls of the start: without them there is nothing to go on with.
const BOOT: &[(&str, &str)] = &[("epoll_create1", "EMFILE"), ("pipe2", "EMFILE")];

#[test]
fn fault_21_a_start_that_cannot_be_made_says_what_is_missing() {
    if is_missing("strace", has_tool("strace")) {
        return;
    }
    for (call, error) in BOOT {
        let (trace, fault) = (
            format!("trace={call}"),
            format!("inject={call}:error={error}"),
        );
        let mut supd = Supd::start_with(Start {
            config: "[service.a]\ncommand = \"CHILD sleep forever\"",
            wrapper: &[
                "strace",
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                &trace,
                "-e",
                &fault,
            ],
            stdout: Stdio::null(),
        });
        assert_eq!(supd.wait().code(), Some(70), "{call}: {}", supd.story());
        assert!(
            supd.story().contains("supd: cannot"),
            "{call}: {}",
            supd.story()
        );
        assert!(
            !supd.story().contains("panicked"),
            "{call}: {}",
            supd.story()
        );
    }
}

fn is_supd(pid: i32) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm"));
    name.is_ok_and(|name| name == "supd\n")
}

/// One failing call: it is up in the end, does what it is told, and goes down in order.
fn survives(call: &str, error: &str, when: u32) {
    let fault = format!("inject={call}:error={error}:when={when}");
    let trace = format!("trace={call}");
    let wrapper = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &trace,
        "-e",
        &fault,
    ];
    let mut supd = Supd::start_with(Start {
        config: "[supervisor.root]\nmax_restarts = 1000\nchildren = [\"a\", \"b\"]\n\
                 [defaults]\nbackoff = [\"1ms\"]\n\
                 [service.a]\ncommand = \"CHILD sleep forever\"\n\
                 [service.b]\ncommand = [\"/bin/sleep\", \"1000\"]",
        wrapper: &wrapper,
        stdout: Stdio::null(),
    });
    supd.panics_wanted = true;
    let what = format!("{call} {error} {when}");
    let strace = supd.pid();
    // It has tried its tools on children of its own before.
    let daemon = eventually(&what, || {
        children(strace).into_iter().find(|pid| is_supd(*pid))
    });
    let both = |supd: &mut Supd| {
        eventually(&what, || {
            let (_, health) = supd.ask_for("/v1/health")?;
            (health["ready"] == true).then_some(())
        });
    };
    both(&mut supd);
    // Their ends may come between the list and the signal.
    for child in children(daemon) {
        let child = nix::unistd::Pid::from_raw(child);
        let _gone = nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL);
    }
    supd.until(&what, |e| e["kind"] == "service.exited");
    both(&mut supd);
    kill(daemon, "SIGTERM");
    assert_eq!(supd.wait().code(), Some(0), "{what}: {}", supd.story());
    assert_eq!(state(daemon), None);
}

#[test]
fn fault_21_a_system_call_that_fails_once_costs_a_try_and_nothing_else() {
    if is_missing("strace", has_tool("strace")) {
        return;
    }
    for (call, error, moments) in SWEEP {
        for when in *moments {
            survives(call, error, *when);
        }
    }
}

#[test]
fn fault_20_without_room_for_a_process_starts_fail_as_such_until_there_is_room() {
    if is_missing("strace", has_tool("strace")) {
        return;
    }
    // From the second clone on, six in a row.
    let fault = "inject=clone:error=EAGAIN:when=2..7";
    let mut supd = Supd::start_with(Start {
        config: "[service.a]\ncommand = \"CHILD sleep forever\"\nbackoff = [\"1ms\"]",
        wrapper: &[
            "strace",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=clone",
            "-e",
            fault,
        ],
        stdout: Stdio::null(),
    });
    let failed = supd.event("service.exited", "a");
    assert_eq!(failed["class"], "spawn_failed", "{failed}");
    assert_eq!(failed["family"], "resource", "{failed}");
    assert_eq!(failed["failure"]["stage"], "fork", "{failed}");
    supd.event("service.ready", "a");
    let daemon = children(supd.pid()).into_iter().find(|pid| is_supd(*pid));
    let root = supd.node("root");
    assert!(
        root["used"].as_u64() <= Some(1),
        "counted once at most: {root}"
    );
    // Who traces it would leave it behind.
    kill(daemon.expect("the daemon"), "SIGTERM");
    assert_eq!(supd.wait().code(), Some(0));
}

#[test]
fn fault_26_all_children_belong_to_the_only_thread() {
    let mut supd = Supd::start(
        "[service.a]\ncommand = \"CHILD sleep forever\"\nbackoff = \"none\"\n\
         [service.many]\ncommand = \"CHILD sleep forever\"\ninstances = 20",
    );
    supd.event("supervisor.ready", "root");
    kill(supd.pid_of("a"), "SIGKILL");
    supd.event("service.exited", "a");
    supd.event("service.ready", "a");
    assert_eq!(supctl(&supd, &["status"]).0, 0);
    let pid = supd.pid();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
    let names: Vec<_> = tasks.flatten().map(|task| task.file_name()).collect();
    assert_eq!(names, [pid.to_string().as_str()]);
    // The list of this thread's own children: the parent-death signal is tied to it.
    assert_eq!(children(pid).len(), 21);
}

#[test]
fn fault_32_a_crash_loop_escalates_at_its_limit_and_costs_next_to_nothing() {
    let mut supd = Supd::start(
        "[service.a]\ncommand = [\"/bin/false\"]\n[supervisor.root]\nmax_restarts = 4\nchildren = [\"a\"]\n\
         [supd]\nexit_delay = \"0s\"",
    );
    supd.event("service.exited", "a");
    let (begun, before) = (std::time::Instant::now(), cpu_ticks(supd.pid()));
    for n in 2..=4 {
        let end = supd.event("service.exited", "a");
        assert_eq!(end["budget"]["used"], n, "{end}");
        assert_eq!(end["decision"]["action"], "restart", "{end}");
    }
    let (spent, wall) = (cpu_ticks(supd.pid()) - before, begun.elapsed());
    // A tick is 10 ms; two of them are the clock's own grain.
    let most = u128::from(spent.saturating_sub(2)) * 10;
    assert!(most * 20 <= wall.as_millis(), "{spent} ticks in {wall:?}");
    let end = supd.event("service.exited", "a");
    assert_eq!(
        end["decision"]["action"], "escalate",
        "the fifth is one too many: {end}"
    );
    assert_eq!(supd.wait().code(), Some(1));
    let starts = supd
        .events
        .iter()
        .filter(|e| e["kind"] == "service.starting");
    assert_eq!(starts.count(), 5);
}

#[test]
fn fault_80_signals_stop_reload_or_do_nothing_whenever_they_come() {
    let deaf = "[supd]\nshutdown_timeout = \"20m\"\n[service.deaf]\nready = { notify = true }\n\
                stop = { timeout = \"10m\" }\ncommand = \"CHILD ignore TERM ready sleep forever\"";
    let mut supd = Supd::start(deaf);
    supd.event("supervisor.ready", "root");
    for harmless in [
        "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGTTIN", "SIGTTOU", "SIGCHLD",
    ] {
        supd.signal(harmless);
    }
    supd.signal("SIGHUP");
    supd.event("daemon.reloaded", "");
    supd.signal("SIGTERM");
    supd.event("daemon.stopping", "root");
    // Neither a second TERM nor a reload changes what is under way.
    supd.signal("SIGTERM");
    supd.signal("SIGHUP");
    let waits = supd.until("whom it waits for", |e| {
        let message = e["message"].as_str().unwrap_or_default();
        message.contains("waiting for deaf")
    });
    assert_eq!(waits["kind"], "daemon.stopping");
    let deaf = supd.pid_of("deaf");
    kill(deaf, "SIGKILL");
    assert_eq!(supd.wait().code(), Some(0), "{}", supd.story());
    let starts = supd
        .events
        .iter()
        .filter(|e| e["kind"] == "service.starting");
    assert_eq!(starts.count(), 1, "a reload starts nothing any more");
}

#[test]
fn fault_80_a_stop_during_the_start_stops_what_has_begun_and_begins_nothing_else() {
    let mut supd = Supd::start(
        "[supervisor.root]\nstrategy = \"rest_for_one\"\nchildren = [\"first\", \"second\"]\n\
         [service.first]\nready = { notify = true }\ncommand = \"CHILD sleep forever\"\n\
         [service.second]\ncommand = \"CHILD sleep forever\"",
    );
    supd.event("service.starting", "first");
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0), "{}", supd.story());
    let second = supd
        .events
        .iter()
        .any(|e| e["kind"] == "service.starting" && e["node"] == "second");
    assert!(!second, "{}", supd.story());
}

#[test]
fn fault_80_no_signal_from_inside_ends_pid_1() {
    let mut supd = init("[service.a]\ncommand = \"CHILD sleep forever\"");
    supd.event("supervisor.ready", "root");
    let outer = only_child(supd.pid()).to_string();
    for signal in [
        "SEGV", "ABRT", "SEGV", "ILL", "BUS", "FPE", "ALRM", "KILL", "STOP", "42",
    ] {
        let sent = Command::new("nsenter")
            .args(["-t", &outer, "-p", "-m", "sh", "-c", "kill -s $0 1", signal])
            .status();
        assert!(sent.expect("nsenter").success(), "{signal}");
    }
    kill(children(only_child(supd.pid()))[0], "SIGKILL");
    supd.event("service.exited", "a");
    supd.event("service.ready", "a");
}

#[test]
fn fault_85_it_starts_without_standard_descriptors_and_without_arguments() {
    let dir = Dir::new();
    let config = "[service.a]\ncommand = \"CHILD report DIR/a sleep forever\"";
    dir.write("supd.toml", &expand(config, &dir));
    let how = Start {
        wrapper: &["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"],
        ..Start::default()
    };
    let supd = Supd::start_in(dir, how);
    let a = super::rig::report(&supd, "a");
    let open: Vec<&String> = a["descriptors"]
        .as_object()
        .expect("a table")
        .keys()
        .collect();
    assert_eq!(open, ["0", "1", "2"], "{a}");
    assert_eq!(supd.node("a")["state"], "ready");
    supd.signal("SIGTERM");
    eventually("its end", || (state(supd.pid()) != Some('S')).then_some(()));
    let bare = Command::new(CHILD)
        .args(["exec-bare", env!("CARGO_BIN_EXE_supd")])
        .env("XDG_CONFIG_HOME", &supd.dir.0)
        .env_remove("SUPD_CONFIG")
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&bare.stderr);
    assert!(
        matches!(bare.status.code(), Some(64 | 65)),
        "{:?} {text}",
        bare.status
    );
    assert!(text.contains("hint") || text.contains("help"), "{text}");
}

#[test]
fn fault_90_thousands_of_restarts_leave_nothing_behind() {
    let mut supd = Supd::start(
        "[supd]\nevents_kept = 64\n[service.short]\ncommand = [\"/bin/true\"]\ninstances = 8\n\
         max_restarts = 100000\nmax_seconds = 3600\nbackoff = \"none\"",
    );
    let mut look = |ends: usize| {
        for _ in 0..ends {
            supd.event("service.exited", "");
        }
        let pid = supd.pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
        let rss = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let rss = rss.and_then(|l| l.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors");
        (rss.expect("its memory"), open.count())
    };
    let (memory, descriptors) = look(1000);
    let (more, open) = look(2500);
    // The window of the restart limit keeps its times; everything else is as it was.
    assert!(more <= memory + 512, "{memory} kB, then {more} kB");
    assert!(open <= descriptors + 4, "{descriptors}, then {open}");
}
