// SPDX-License-Identifier: MIT OR Apache-2.0
//! When a service is ready: asked from outside, with real sockets, files and commands.

use super::harness::{PATIENCE, Supd};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

/// An address where nobody listens, and will not while the listener is kept: its port is taken
/// for all of this machine.
fn refusing() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    (listener, format!("127.0.0.2:{port}"))
}

/// Asks for the node until it looks like this.
fn until(supd: &Supd, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let view = supd.node(name);
        if wanted(&view) {
            return view;
        }
        assert!(Instant::now() < end, "never as wanted: {view}");
    }
}

#[test]
fn a_start_that_waits_says_for_what_and_its_end_what_the_last_probe_said() {
    let (_kept, address) = refusing();
    let mut supd = Supd::start(&format!(
        "[service.db]\ncommand = \"CHILD sleep forever\"\nrestart = \"temporary\"\n\
         ready = {{ tcp = \"{address}\", every = \"50ms\" }}\nstart_timeout = \"2s\""
    ));
    supd.event("service.starting", "db");
    let awaited = format!("tcp {address}: connection refused");
    let view = until(&supd, "db", |view| view["awaits"] == *awaited);
    assert_eq!(view["state"], "starting");
    let limit = view["limit_ms"].as_u64().expect("a limit");
    assert!((2000..2500).contains(&limit), "{view}");
    let exit = supd.event("service.exited", "db");
    assert_eq!(exit["class"], "start_timeout");
    assert_eq!(exit["probe"], "connection refused");
    assert_eq!(exit["signal"], "KILL");
    let view = supd.node("db");
    assert_eq!(view["last_exit"]["probe"], "connection refused");
    assert_eq!(view["awaits"], Value::Null);
}

#[test]
fn a_probe_that_succeeds_leaves_no_complaint_behind() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let mut supd = Supd::start(&format!(
        "[service.db]\ncommand = \"CHILD sleep forever\"\nready = {{ tcp = \"localhost:{port}\" }}"
    ));
    supd.event("service.ready", "db");
    let view = supd.node("db");
    assert_eq!(view["awaits"], Value::Null, "{view}");
    let pid = supd.pid_of("db");
    super::harness::kill(pid, "SIGKILL");
    let exit = supd.event("service.exited", "db");
    assert_eq!(exit["probe"], Value::Null, "{exit}");
}

#[test]
fn recheck_makes_it_unready_and_ready_and_kills_nobody() {
    let mut supd = Supd::start(
        "[supervisor.root]\nstrategy = \"rest_for_one\"\nchildren = [\"a\", \"b\"]\n\
         [service.a]\ncommand = \"CHILD touch DIR/ready sleep forever\"\n\
         ready = { file = \"DIR/ready\", every = \"20ms\", recheck = \"50ms\" }\n\
         [service.b]\ncommand = \"CHILD sleep forever\"",
    );
    supd.event("service.ready", "b");
    let pids = [supd.pid_of("a"), supd.pid_of("b")];
    assert_eq!(supd.get("/v1/health?level=ready").0, 200);
    let file = supd.dir.path("ready");
    std::fs::remove_file(&file).expect("it was there");
    let told = supd.event("service.unready", "a");
    assert_eq!(told["probe"], "no such file or directory", "{told}");
    assert_eq!(told["why"], "probe");
    assert_eq!(told["pid"], pids[0]);
    let view = supd.node("a");
    assert_eq!(
        (&view["state"], &view["ready"]),
        (&"unready".into(), &false.into())
    );
    let awaited = format!("file {}: no such file or directory", file.display());
    assert_eq!(view["awaits"], *awaited);
    assert_eq!(supd.node("root")["state"], "degraded");
    let (status, health) = supd.get("/v1/health?level=ready");
    assert_eq!(
        (status, &health["reasons"][0]),
        (503, &"a is unready".into())
    );
    supd.dir.write("ready", "");
    let told = supd.event("service.ready", "a");
    assert!(told["took_ms"].is_u64(), "{told}");
    assert_eq!(supd.get("/v1/health?level=ready").0, 200);
    assert_eq!(pids, [supd.pid_of("a"), supd.pid_of("b")]);
    assert_eq!(
        supd.node("a")["restarts"],
        Value::Null,
        "nobody was restarted"
    );
}

#[test]
fn a_probe_by_exec_that_cannot_run_or_hangs_says_nothing_and_is_killed() {
    let mut supd = Supd::start(
        "[service.a]\ncommand = \"CHILD sleep forever\"\nstart_timeout = \"10m\"\n\
         ready = { exec = [\"DIR/probe\"], every = \"20ms\", timeout = \"100ms\", recheck = \"20ms\" }",
    );
    supd.event("service.starting", "a");
    let dir = supd.dir.0.clone();
    let wanted = |text: &str| format!("exec {}/probe: {text}", dir.display());
    let absent = wanted("cannot execute its program: No such file or directory (ENOENT)");
    until(&supd, "a", |view| view["awaits"] == *absent);
    // It hangs, with a child of its own in its group, which must not survive it either.
    let script = |text: &str| {
        use std::os::unix::fs::PermissionsExt;
        let path = dir.join("probe.new");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("its mode");
        std::fs::rename(path, dir.join("probe")).expect("in place");
    };
    script(&format!(
        "echo $$ >> {}/pids; sleep 1000 & wait",
        supd.dir.0.display()
    ));
    let late = wanted("no answer in time");
    until(&supd, "a", |view| view["awaits"] == *late);
    script("exit 3");
    let failed = wanted("exit 3");
    until(&supd, "a", |view| view["awaits"] == *failed);
    script("test \"$SUPD_NAME\" = a && test -d /proc/$SUPD_PID");
    supd.event("service.ready", "a");
    let pids = std::fs::read_to_string(dir.join("pids")).expect("it ran");
    for pid in pids.lines() {
        let group: i32 = pid.parse().expect("a pid");
        let gone = || nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), None).is_err();
        let end = Instant::now() + PATIENCE;
        while !gone() {
            assert!(Instant::now() < end, "group {group} is still there");
        }
    }
    // Once it is ready, what cannot be tried changes nothing; what fails does.
    std::fs::remove_file(dir.join("probe")).expect("it was there");
    script("exit 4");
    assert_eq!(supd.event("service.unready", "a")["probe"], "exit 4");
}

/// Answers one connection after the other with what comes in here, and hands on what was asked.
fn serve(listener: TcpListener) -> (Sender<&'static str>, Receiver<String>) {
    let (send, receive) = channel();
    let (answers, wanted) = channel::<&str>();
    std::thread::spawn(move || {
        for answer in wanted {
            let Ok((mut stream, _)) = listener.accept() else {
                return;
            };
            let mut asked = Vec::new();
            let mut piece = [0; 512];
            while !asked.ends_with(b"\r\n\r\n") {
                match stream.read(&mut piece) {
                    Ok(count) if count > 0 => asked.extend_from_slice(&piece[..count]),
                    _ => break,
                }
            }
            let _ = send.send(String::from_utf8_lossy(&asked).into_owned());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (answers, receive)
}

#[test]
fn readiness_by_http_takes_the_status_and_nothing_else() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let (answers, asked) = serve(listener);
    let answer = |bytes| answers.send(bytes).expect("it serves");
    let mut supd = Supd::start(&format!(
        "[service.web]\ncommand = \"CHILD sleep forever\"\n[service.web.ready]\n\
         http = \"http://{address}/healthz?x=1\"\nevery = \"20ms\"\ntimeout = \"50s\"\n\
         recheck = \"50ms\""
    ));
    supd.event("service.starting", "web");
    let failures = [
        ("", "closed without an answer"),
        ("SSH-2.0-OpenSSH_9.6\r\n", "the answer is not HTTP"),
        ("HTTP/1.1 503 Not yet\r\n\r\n", "HTTP status 503"),
    ];
    for (bytes, said) in failures {
        answer(bytes);
        let awaited = format!("http://{address}/healthz?x=1: {said}");
        until(&supd, "web", |view| view["awaits"] == *awaited);
    }
    answer("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    supd.event("service.ready", "web");
    let request = asked.recv_timeout(PATIENCE).expect("a request");
    let lines: Vec<&str> = request.lines().collect();
    assert_eq!(lines[0], "GET /healthz?x=1 HTTP/1.1");
    assert!(lines.contains(&&*format!("Host: {address}")), "{request}");
    answer("HTTP/1.1 500 Oh\r\n\r\n");
    let told = supd.event("service.unready", "web");
    assert_eq!(told["probe"], "HTTP status 500");
}

#[test]
fn a_file_of_the_run_before_says_nothing_about_this_one() {
    let dir = super::harness::Dir::new();
    dir.write("ready", "of yesterday");
    let config = "[service.a]\ncommand = \"CHILD sleep forever\"\n\
                  ready = { file = \"DIR/ready\", every = \"20ms\" }";
    dir.write("supd.toml", &super::harness::expand(config, &dir));
    let mut supd = Supd::start_in(dir, super::harness::Start::default());
    supd.event("service.starting", "a");
    let file = supd.dir.path("ready");
    let awaited = format!("file {}: unchanged since before the start", file.display());
    until(&supd, "a", |view| view["awaits"] == *awaited);
    supd.dir.write("ready", "of today");
    supd.event("service.ready", "a");
}
