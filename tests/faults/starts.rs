// SPDX-License-Identifier: MIT OR Apache-2.0
//! Starts: in whatever state supd was started itself, and of programs that cannot be executed.

use super::harness::{Start, Supd, alive, kill};
use super::rig::{eventually, report, supctl};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

fn wrapped(wrapper: &[&str], config: &str) -> Supd {
    Supd::start_with(Start {
        config,
        wrapper,
        stdout: Stdio::null(),
    })
}

#[test]
fn fault_02_blocked_and_ignored_signals_at_the_start_do_not_matter() {
    let mut supd = wrapped(
        &[
            "env",
            "--block-signal=CHLD,TERM,USR1",
            "--ignore-signal=PIPE,HUP",
        ],
        "[service.a]\nrestart = \"temporary\"\ncommand = \"CHILD exit 6\"\n\
         [service.b]\ncommand = \"CHILD sleep forever\"",
    );
    assert_eq!(supd.event("service.exited", "a")["code"], 6);
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0), "TERM is heard and b obeys");
    let b = supd
        .events
        .iter()
        .find(|e| e["kind"] == "service.exited" && e["node"] == "b");
    assert_eq!(b.expect("its end")["class"], "requested");
}

#[test]
fn fault_03_children_from_before_are_strangers_dead_or_alive() {
    // With outputs of their own: the test reads the daemon's to their end.
    let text = "for name in a b; do \"$0\" report \"$1.$name\" sleep forever \
                < /dev/null > /dev/null 2>&1 & done; shift; exec \"$@\"";
    let place = super::harness::Dir::new();
    let prefix = place.path("stranger").display().to_string();
    let child = super::harness::CHILD;
    let mut supd = wrapped(
        &["sh", "-c", text, child, &prefix],
        "[supd]\nlog = { level = \"debug\" }\n[service.a]\ncommand = \"CHILD sleep forever\"",
    );
    supd.event("supervisor.ready", "root");
    let pid_of = |letter: &str| {
        let path = place.path(&format!("stranger.{letter}"));
        let text = eventually("a report", || fs::read_to_string(&path).ok());
        let report: Value = serde_json::from_str(&text).expect("a report");
        assert_eq!(report["ppid"], supd.pid(), "they are its children");
        i32::try_from(report["pid"].as_i64().expect("a pid")).expect("a pid")
    };
    let (first, second) = (pid_of("a"), pid_of("b"));
    kill(first, "SIGKILL");
    let reaped = supd.event("orphan.reaped", "");
    assert!(
        !reaped["message"].to_string().contains("left by"),
        "{reaped}"
    );
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0));
    assert!(alive(second), "who was there before us is not ours to kill");
    kill(second, "SIGKILL");
    let ended = |e: &&Value| e["kind"] == "service.exited";
    let names: Vec<_> = supd
        .events
        .iter()
        .filter(ended)
        .map(|e| &e["node"])
        .collect();
    assert_eq!(names, ["a"]);
}

/// A file in the daemon's directory.
fn file(dir: &super::harness::Dir, name: &str, text: &str, mode: u32) {
    let path = dir.write(name, text);
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its mode");
}

/// What cannot be executed, and the error number of each.
const REFUSED: [(&str, i32); 8] = [
    ("absent", libc::ENOENT),
    ("plain", libc::EACCES),
    ("folder", libc::EACCES),
    ("headless", libc::ENOEXEC),
    ("orphan", libc::ENOENT),
    ("plain/below", libc::ENOTDIR),
    ("loop", libc::ELOOP),
    ("busy", libc::ETXTBSY),
];

#[test]
fn fault_14_every_way_not_to_be_executable_is_a_failed_start_that_says_why() {
    let dir = super::harness::Dir::new();
    file(&dir, "plain", "echo\n", 0o644);
    file(&dir, "headless", "echo\n", 0o755);
    file(&dir, "orphan", "#!/no/such/interpreter\n", 0o755);
    file(&dir, "busy", "#!/bin/sh\n", 0o755);
    fs::create_dir(dir.path("folder")).expect("a directory");
    symlink(dir.path("loop"), dir.path("loop")).expect("a link");
    let writer = fs::File::options().write(true).open(dir.path("busy"));
    let writer = writer.expect("open for writing");
    let mut config = String::from("[defaults]\nrestart = \"temporary\"\n");
    for (n, (path, _)) in REFUSED.iter().enumerate() {
        let _ = writeln!(config, "[service.s{n}]\ncommand = [\"DIR/{path}\"]");
    }
    let long = "x".repeat(200_000);
    let _ = writeln!(
        config,
        "[service.long]\ncommand = [\"CHILD\", \"print\", \"{long}\"]"
    );
    config += "[service.good]\nrestart = \"permanent\"\ncommand = \"CHILD sleep forever\"\n";
    dir.write("supd.toml", &super::harness::expand(&config, &dir));
    let mut supd = Supd::start_in(dir, Start::default());
    let mut left: Vec<String> = (0..REFUSED.len()).map(|n| format!("s{n}")).collect();
    left.push("long".to_owned());
    while !left.is_empty() {
        let exit = supd.event("service.exited", "");
        let name = exit["node"].as_str().expect("a name").to_owned();
        let errno = match name.strip_prefix('s') {
            Some(n) => REFUSED[n.parse::<usize>().expect("a number")].1,
            None => libc::E2BIG,
        };
        assert_eq!(exit["class"], "exec_failed", "{exit}");
        assert_eq!(exit["family"], "config", "{exit}");
        assert_eq!(exit["failure"]["stage"], "exec", "{exit}");
        assert_eq!(exit["failure"]["errno"], errno, "{exit}");
        assert_eq!(exit["phase"], "starting", "{exit}");
        assert_eq!(exit["code"], Value::Null, "never exit 127: {exit}");
        left.retain(|other| *other != name);
    }
    drop(writer);
    supd.event("supervisor.ready", "root");
    assert_eq!(supd.node("good")["state"], "ready", "the others go on");
    let (code, text, _) = supctl(&supd, &["why", "s7"]);
    assert_eq!(code, 0);
    assert!(text.contains("Text file busy"), "{text}");
}

#[test]
fn fault_24_a_child_of_the_daemon_has_0_1_2_and_what_was_declared() {
    let open: Vec<_> = (0..90)
        .map(|_| {
            let file = fs::File::open("/dev/zero").expect("a file");
            fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty())).expect("no mark");
            file
        })
        .collect();
    assert!(open.iter().any(|file| file.as_raw_fd() > 90));
    let mut supd = Supd::start(
        "[service.a]\ncommand = \"CHILD report DIR/a sleep forever\"\n\
         [service.b]\ncommand = \"CHILD report DIR/b ready-fd 7 sleep forever\"\n\
         ready = { fd = 7 }",
    );
    drop(open);
    supd.event("supervisor.ready", "root");
    for (name, wanted) in [("a", &["0", "1", "2"][..]), ("b", &["0", "1", "2", "7"])] {
        let report = report(&supd, name);
        let found = report["descriptors"].as_object().expect("descriptors");
        let numbers: Vec<&String> = found.keys().collect();
        assert_eq!(numbers, wanted, "{report}");
        assert_eq!(found["0"], json!("/dev/null"));
        for number in &wanted[1..] {
            let to = found[*number].as_str().expect("a target");
            assert!(to.starts_with("pipe:"), "{number} is {to}");
        }
    }
}

/// Everything about supd's own start that must not reach a service, and what must.
const ODD: &[&str] = &[
    "env",
    "--block-signal=CHLD,USR1,TERM",
    "--ignore-signal=HUP,INT,CHLD,USR2",
    "NOTIFY_SOCKET=/nowhere",
    "WATCHDOG_USEC=1",
    "WATCHDOG_PID=1",
    "LISTEN_FDS=1",
    "LISTEN_PID=1",
    "JOURNAL_STREAM=1:2",
    "INVOCATION_ID=abc",
    "KEPT=yes",
    "sh",
    "-c",
    "umask 027; ulimit -S -n 200; exec \"$@\"",
    "sh",
];

#[test]
fn fault_25_a_service_starts_clean_however_the_daemon_was_started() {
    let mut supd = wrapped(
        ODD,
        "[service.plain]\ncommand = \"CHILD report DIR/plain sleep forever\"\n\
         [service.own]\nrestart = \"temporary\"\n\
         shell = \"cat /proc/self/stat > DIR/stat; exec cat /proc/self/status > DIR/status\"",
    );
    supd.event("service.exited", "own");
    let status = fs::read_to_string(supd.dir.path("status")).expect("its status");
    for field in ["SigBlk", "SigIgn", "SigCgt"] {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        assert_eq!(line.map(str::trim), Some(":\t0000000000000000"), "{field}");
    }
    let stat = fs::read_to_string(supd.dir.path("stat")).expect("its state");
    let (_, tail) = stat.rsplit_once(')').expect("a name");
    let terminal = tail.split_whitespace().nth(4);
    assert_eq!(terminal, Some("0"), "no controlling terminal: {stat}");
    let plain = report(&supd, "plain");
    assert_eq!(plain["ppid"], supd.pid());
    assert_eq!(plain["sid"], plain["pid"], "a session of its own");
    assert_eq!(plain["pgid"], plain["pid"]);
    assert_eq!(plain["umask"], 0o027);
    assert_eq!(plain["rlimits"]["nofile"][0], 200, "supd's own is raised");
    assert_eq!(plain["pdeathsig"], 9);
    let env = plain["env"].as_object().expect("an environment");
    assert_eq!(env["KEPT"], "yes");
    assert_eq!(env["SUPD_NAME"], "plain");
    for gone in ODD.iter().filter_map(|word| word.split_once('=')) {
        let (name, _) = gone;
        let leaked = env.contains_key(name) && name != "KEPT";
        assert!(!leaked, "{name} belongs to the outer manager");
    }
}

#[test]
fn fault_25_what_the_file_says_is_what_the_service_gets() {
    let mut supd = Supd::start(
        "[service.a]\ncommand = \"CHILD report DIR/a sleep forever\"\numask = \"0137\"\n\
         workdir = \"DIR\"\nnice = 3\noom_score_adj = 321\nno_new_privileges = true\n\
         env_inherit = [\"PATH\"]\nenv = { COLOUR = \"green\" }\npdeathsig = \"TERM\"\n\
         limits = { nofile = 77, core = \"0\" }",
    );
    supd.event("supervisor.ready", "root");
    let report = report(&supd, "a");
    assert_eq!(report["umask"], 0o137);
    let dir = fs::canonicalize(&supd.dir.0).expect("its directory");
    assert_eq!(report["cwd"], json!(dir.to_str()));
    assert_eq!(report["nice"], 3);
    assert_eq!(report["oom_score_adj"], 321);
    assert_eq!(report["status"]["NoNewPrivs"], "1");
    assert_eq!(report["rlimits"]["nofile"], json!([77, 77]));
    assert_eq!(report["rlimits"]["core"], json!([0, 0]));
    assert_eq!(report["pdeathsig"], 15);
    let env = report["env"].as_object().expect("an environment");
    let names: Vec<&String> = env.keys().collect();
    let told = ["SUPD_INSTANCE", "SUPD_NAME", "SUPD_PATH", "SUPD_RUN"];
    assert_eq!(names[..2], ["COLOUR", "PATH"]);
    assert_eq!(names[2..], told);
}

/// A daemon from a thread that may not use this system call: it and its children may not either.
fn without(call: libc::c_long, config: &str) -> Supd {
    std::thread::scope(|scope| {
        let started = scope.spawn(|| {
            supd::sys::own::forbid(&[call], libc::EPERM).expect("forbidden");
            Supd::start(config)
        });
        started.join().expect("started")
    })
}

#[test]
fn fault_83_without_signalfd_every_end_is_noticed_all_the_same() {
    let mut supd = without(
        libc::SYS_signalfd4,
        "[service.a]\ncommand = \"CHILD sleep forever\"\n\
         [service.b]\ncommand = \"CHILD sleep forever\"",
    );
    supd.event("supervisor.ready", "root");
    for name in ["a", "b"] {
        kill(supd.pid_of(name), "SIGKILL");
        assert_eq!(supd.event("service.exited", name)["class"], "killed");
        supd.event("service.ready", name);
    }
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0));
}
