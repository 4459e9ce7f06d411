// SPDX-License-Identifier: MIT OR Apache-2.0
//! Limits that are reached: below an enabled parent, and at the root.

use super::harness::{Dir, PATIENCE, Start, Supd, expand};
use super::rig::{all, init, supctl, unshare, unshare_mounts};
use std::fs;
use std::io::Read;
use std::process::Stdio;

#[test]
fn fault_34_a_limit_below_goes_up_the_whole_path() {
    let mut supd = Supd::start(
        "[supd]\nexit_delay = \"0s\"\n[defaults]\nbackoff = \"none\"\n\
         [supervisor.root]\nmax_restarts = 0\nchildren = [\"good\", \"top\"]\n\
         [supervisor.top]\nmax_restarts = 1\nchildren = [\"middle\"]\n\
         [supervisor.middle]\nmax_restarts = 1\nchildren = [\"leaf\"]\n\
         [service.leaf]\ncommand = \"CHILD exit 9\"\n\
         [service.good]\ncommand = \"CHILD sleep forever\"",
    );
    assert_eq!(supd.wait().code(), Some(9), "{}", supd.story());
    let told = |kind: &str, node: &str| {
        let same = |e: &&serde_json::Value| e["kind"] == kind && e["node"] == node;
        supd.events.iter().filter(same).count()
    };
    assert_eq!(told("service.exited", "leaf"), 4, "{}", supd.story());
    assert_eq!(told("supervisor.escalated", "middle"), 2);
    assert_eq!(told("supervisor.escalated", "top"), 1);
    assert_eq!(told("supervisor.escalated", "root"), 1);
    assert_eq!(told("service.exited", "good"), 1, "stopped, once");
    let last = supd.events.iter().rev();
    let mut given_up = last.filter(|e| e["kind"] == "supervisor.escalated");
    let culprit = &given_up.next().expect("the root")["culprit"];
    assert_eq!(culprit["node"], "leaf");
    assert_eq!(culprit["code"], 9);
}

/// How the root's culprit ends, the exit code of the whole, and a word of the reason.
const CULPRITS: [(&str, i32, &str); 9] = [
    ("command = \"CHILD exit 3\"", 3, "bad: exit 3"),
    ("command = \"CHILD signal TERM\"", 143, "bad: signal TERM"),
    ("command = \"CHILD signal KILL\"", 137, "bad: signal KILL"),
    (
        "command = \"/does/not/exist --fast\"",
        127,
        "bad: cannot execute /does/not/exist: No such file or directory (ENOENT)",
    ),
    (
        "command = \"does-not-exist\"",
        127,
        "bad: cannot execute does-not-exist: No such file or directory (ENOENT)",
    ),
    (
        "command = \"DIR/supd.toml\"",
        126,
        "/supd.toml: Permission denied (EACCES)",
    ),
    (
        "command = \"CHILD exit 0\"\nworkdir = \"/does/not/exist\"",
        127,
        "bad: cannot enter its working directory /does/not/exist: No such file or directory (ENOENT)",
    ),
    (
        "command = \"CHILD sleep forever\"\nready = { notify = true }\nstart_timeout = \"50ms\"",
        137,
        "bad: not ready in time",
    ),
    ("command = \"CHILD exit 0\"", 1, "bad: exit 0"),
];

#[test]
fn fault_39_the_exit_code_of_pid_1_is_the_culprits_and_one_line_says_why() {
    for (command, code, word) in CULPRITS {
        let mut supd = init(&format!(
            "[supd]\nexit_delay = \"0s\"\n[supervisor.root]\nmax_restarts = 0\n\
             [service.bad]\n{command}\n[service.good]\ncommand = \"CHILD sleep forever\""
        ));
        assert_eq!(
            supd.wait().code(),
            Some(code),
            "{command}: {}",
            supd.story()
        );
        let lines = supd.talk.iter().filter(|l| l.starts_with("supd: "));
        let lines: Vec<_> = lines.collect();
        assert_eq!(lines.len(), 1, "one line: {lines:?}");
        let line = lines[0];
        assert!(line.contains("gave up") && line.contains("bad"), "{line}");
        assert!(line.contains(word), "{command}: {line}");
    }
}

#[test]
fn fault_39_the_reason_is_written_where_kubernetes_looks_for_it() {
    let dir = Dir::new();
    dir.write(
        "supd.toml",
        &expand(
            "[supd]\nexit_delay = \"0s\"\n[supervisor.root]\nmax_restarts = 0\n\
             [service.bad]\ncommand = \"CHILD exit 12\"",
            &dir,
        ),
    );
    let log = dir.write("message", "").display().to_string();
    let mount = "mount -t tmpfs none /dev && : > /dev/termination-log && \
                 mount --bind \"$0\" /dev/termination-log && exec \"$@\"";
    let mut wrapper = unshare();
    wrapper.extend(["sh", "-c", mount, &log]);
    let how = Start {
        config: "",
        wrapper: &wrapper,
        stdout: Stdio::null(),
    };
    let mut supd = Supd::start_in(dir, how);
    assert_eq!(supd.wait().code(), Some(12), "{}", supd.story());
    let message = fs::read_to_string(supd.dir.path("message")).expect("a message");
    let told = supd.talk.iter().find_map(|l| l.strip_prefix("supd: "));
    assert_eq!(Some(message.as_str()), told, "{}", supd.story());
    assert!(message.contains("bad"), "{message}");
}

#[test]
fn a_missing_program_is_a_clear_record_and_the_rest_of_the_tree_goes_on() {
    let mut supd = Supd::start(
        "[supervisor.root]\nmax_restarts = 1000\n\
         [service.bad]\ncommand = \"/does/not/exist --fast\"\n\
         backoff = { initial = \"1h\", max = \"1h\" }\n\
         [service.lost]\ncommand = \"CHILD sleep forever\"\nworkdir = \"/does/not/exist\"\n\
         backoff = { initial = \"1h\", max = \"1h\" }\n\
         [service.good]\ncommand = \"CHILD sleep forever\"",
    );
    let wanted = [
        ("service.backoff", "bad"),
        ("service.backoff", "lost"),
        ("service.ready", "good"),
    ];
    let [bad, ..] = all(&mut supd, wanted);
    assert!(bad["delay_ms"].as_u64() > Some(1_000_000), "{bad}");
    let (code, text, _) = supctl(&supd, &["why", "bad"]);
    assert_eq!(code, 0);
    assert!(text.contains("No such file or directory"), "{text}");
    let (_, text, _) = supctl(&supd, &["why", "lost"]);
    assert!(text.contains("workdir"), "{text}");
    assert_eq!(supctl(&supd, &["is-ready", "good"]).0, 0);
    let (code, text, _) = supctl(&supd, &["health"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("bad") && text.contains("lost"), "{text}");
    assert!(!text.contains("good"), "{text}");
}

#[test]
fn directories_that_cannot_be_written_cost_the_socket_and_nothing_else() {
    let dir = Dir::new();
    let config = "[service.a]\ncommand = \"CHILD sleep forever\"\n\
                  [service.b]\nrestart = \"temporary\"\ncommand = \"CHILD touch DIR/no\"";
    dir.write("supd.toml", &expand(config, &dir));
    let here = dir.0.display().to_string();
    let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    let mut wrapper = unshare_mounts();
    wrapper.extend(["sh", "-c", mount, &here]);
    let how = Start {
        config: "",
        wrapper: &wrapper,
        stdout: Stdio::null(),
    };
    let mut supd = Supd::start_in(dir, how);
    let remark = supd.event("daemon.surroundings", "");
    let message = remark["message"].as_str().expect("a message");
    assert!(message.contains("no control socket"), "{message}");
    assert!(message.contains("Read-only file system"), "{message}");
    let [_, end] = all(&mut supd, [("service.ready", "a"), ("service.exited", "b")]);
    assert_eq!(end["code"], 71, "the child's own trouble: {end}");
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0), "{}", supd.story());
}

#[test]
fn fault_59_a_flood_of_clients_holds_no_restart_up_and_ends_with_them() {
    let mut supd = Supd::start(
        "[supervisor.root]\nmax_restarts = 1000\n\
         [service.a]\ncommand = \"CHILD sleep forever\"\nbackoff = \"none\"",
    );
    supd.event("service.ready", "a");
    let pid = supd.pid_of("a");
    // They connect and say half of a request, or nothing at all.
    let mut flood = Vec::new();
    for n in 0..200 {
        let mut client = supd.connect();
        if n % 2 == 0 {
            let _turned_away = std::io::Write::write_all(&mut client, b"GET /v1/tr");
        }
        flood.push(client);
    }
    super::harness::kill(pid, "SIGKILL");
    // The flood is told of before or after that.
    let told_before = std::cell::RefCell::new(None);
    supd.until("the next run of a", |event| {
        if event["kind"] == "socket.crowded" {
            *told_before.borrow_mut() = Some(event.clone());
        }
        event["kind"] == "service.ready" && event["node"] == "a"
    });
    let mut turned_away = 0;
    for mut client in flood.drain(64..) {
        client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut answer = String::new();
        let _reset = client.read_to_string(&mut answer);
        turned_away += usize::from(answer.starts_with("HTTP/1.1 429"));
    }
    assert!(turned_away > 100, "{turned_away} were told why");
    let crowded = told_before.into_inner();
    let crowded = crowded.unwrap_or_else(|| supd.event("socket.crowded", ""));
    let told = crowded["message"].as_str().expect("a line");
    assert!(
        told.starts_with("too many clients: 64 are connected, 64 of them of "),
        "{told}"
    );
    // Those who hold the seats say nothing: one of them makes room, and nobody waits for 10 s.
    super::rig::eventually("room beside who says nothing", || {
        (supd.ask_once("/v1/health") == Some(200)).then_some(())
    });
    super::rig::eventually("the number of those who were turned away", || {
        let _lets_it_be_seen = supd.ask_once("/v1/health");
        let events = supd.ask("GET", "/v1/events?kind=socket.crowded", "").1;
        let over = events
            .lines()
            .filter(|line| line.contains("there is room again"));
        (over.count() == 1).then_some(())
    });
    // The others are thrown out when they do not finish in time, or here by their own end.
    flood.clear();
    super::rig::eventually("room for a client", || {
        (supd.ask_once("/v1/health") == Some(200)).then_some(())
    });
    assert_eq!(supd.node("a")["restarts"], 1);
}
