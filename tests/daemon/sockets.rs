// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sockets that are held for services, with real servers that die.

use super::harness::{Dir, PATIENCE, Supd, alive, expand, kill};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// A port that was free a moment ago.
fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its number").port()
}

fn server(port: u16) -> String {
    format!(
        "[supervisor.root]\nmax_restarts = 1000\n\
         [service.web]\ncommand = \"CHILD serve\"\nlisten = \"tcp:127.0.0.1:{port}\"\n\
         backoff = \"none\"\n"
    )
}

fn send(port: u16) -> std::io::Result<TcpStream> {
    ask(TcpStream::connect(("127.0.0.1", port))?)
}

fn ask(mut stream: TcpStream) -> std::io::Result<TcpStream> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")?;
    Ok(stream)
}

fn receive(mut stream: TcpStream) -> std::io::Result<i32> {
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.parse());
    body.and_then(Result::ok)
        .ok_or_else(|| std::io::Error::other("no answer"))
}

/// Waits until this holds; it follows from what was done before, and soon.
fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        thread::yield_now();
    }
}

fn is_stopped(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| rest.trim_start().starts_with('T'))
}

#[test]
fn a_request_that_comes_while_the_server_dies_is_answered_a_hundred_times() {
    let port = port();
    let mut supd = Supd::start(&server(port));
    supd.event("service.ready", "web");
    for _ in 0..100 {
        let pid = supd.pid_of("web");
        // It takes nothing any more, so that the request is in the queue when it dies.
        kill(pid, "SIGSTOP");
        until("stopped", || is_stopped(pid));
        let waiting = send(port).expect("nobody is refused");
        kill(pid, "SIGKILL");
        let by = receive(waiting).expect("an answer");
        assert_ne!(by, pid, "the next one has answered");
    }
}

#[test]
fn no_client_is_refused_while_the_server_is_killed_under_load() {
    let port = port();
    let mut supd = Supd::start(&server(port));
    supd.event("service.ready", "web");
    let over = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
            thread::spawn(move || {
                let mut cut = 0;
                while !over.load(Ordering::Relaxed) {
                    let stream = TcpStream::connect(("127.0.0.1", port)).expect("not refused");
                    // Whom the dead one had taken already is cut off, and nobody else.
                    match ask(stream).and_then(receive) {
                        Ok(_) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Err(_) => cut += 1,
                    }
                }
                cut
            })
        })
        .collect();
    for _ in 0..100 {
        let before = answered.load(Ordering::Relaxed);
        kill(supd.pid_of("web"), "SIGKILL");
        supd.event("service.ready", "web");
        until("answers", || answered.load(Ordering::Relaxed) > before);
    }
    over.store(true, Ordering::Relaxed);
    let cut = clients
        .into_iter()
        .map(|client| client.join().expect("never refused"));
    // One request is taken at a time.
    assert!(cut.sum::<i32>() <= 100);
}

#[test]
fn a_reload_keeps_the_socket_and_gives_up_what_nobody_wants() {
    let (first, second) = (port(), port());
    let mut supd = Supd::start(&server(first));
    supd.event("service.ready", "web");
    let both = format!("tcp:127.0.0.1:{first}\", \"tcp:127.0.0.1:{second}");
    let text = server(first).replace(
        &format!("\"tcp:127.0.0.1:{first}\""),
        &format!("[\"{both}\"]"),
    );
    supd.dir.write("supd.toml", &expand(&text, &supd.dir));
    supd.signal("SIGHUP");
    supd.event("daemon.reloaded", "");
    supd.event("service.ready", "web");
    assert!(send(first).and_then(receive).is_ok());
    assert!(TcpStream::connect(("127.0.0.1", second)).is_ok());
    supd.dir
        .write("supd.toml", &expand(&server(first), &supd.dir));
    supd.signal("SIGHUP");
    supd.event("daemon.reloaded", "");
    supd.event("service.ready", "web");
    assert!(send(first).and_then(receive).is_ok());
    assert!(TcpStream::connect(("127.0.0.1", second)).is_err(), "closed");
}

#[test]
fn unix_sockets_have_their_mode_and_name_and_go_at_the_end() {
    let mut supd = Supd::start(
        "[service.web]\nlisten = [{ unix = \"DIR/w\", name = \"w\", mode = \"600\", backlog = 7 }, \
         \"unix:DIR/v\"]\nready = { fd = 5 }\n\
         command = \"CHILD report DIR/report ready-fd 5 sleep forever\"",
    );
    supd.event("service.ready", "web");
    let text = std::fs::read_to_string(supd.dir.path("report")).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let env = &report["env"];
    assert_eq!(env["LISTEN_FDS"], "2");
    assert_eq!(env["LISTEN_FDNAMES"], "w:unknown");
    assert_eq!(env["LISTEN_PID"], report["pid"].to_string());
    let numbers: Vec<_> = report["descriptors"]
        .as_object()
        .expect("them")
        .keys()
        .collect();
    assert_eq!(numbers, ["0", "1", "2", "3", "4", "5"]);
    let mode = |name: &str| {
        let found = std::fs::metadata(supd.dir.path(name)).expect("a socket");
        found.permissions().mode() & 0o777
    };
    assert_eq!((mode("w"), mode("v")), (0o600, 0o666));
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0));
    assert!(!supd.dir.path("w").exists() && !supd.dir.path("v").exists());
}

#[test]
fn an_address_that_is_taken_is_a_failed_start_that_says_so() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its number").port();
    let mut supd = Supd::start(&server(port).replace("backoff = \"none\"\n", ""));
    let failed = supd.until("a failed start", |e| {
        e["node"] == "web" && e["kind"] == "service.exited"
    });
    assert_eq!(failed["failure"]["stage"], "listen", "{failed}");
    let path = format!("tcp:127.0.0.1:{port}");
    assert_eq!(failed["failure"]["path"], *path, "{failed}");
    drop(taken);
    supd.event("service.ready", "web");
    assert!(send(port).and_then(receive).is_ok());
}

#[test]
fn a_socket_that_supd_was_given_is_handed_on() {
    let dir = Dir::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its number").port();
    dir.write("supd.toml", &expand(&server(port), &dir));
    // The shell puts it where sd_listen_fds(3) has it; the address is in use until it is handed on.
    let mut command = Command::new("sh");
    let script = "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
    let config = dir.path("supd.toml").display().to_string();
    let socket = dir.path("s").display().to_string();
    command.args([
        "-c",
        script,
        "sh",
        env!("CARGO_BIN_EXE_supd"),
        "-c",
        &config,
    ]);
    command.args(["--socket", &socket]);
    command.stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)));
    let mut supd = Supd::start_with_input(dir, command);
    supd.event("service.ready", "web");
    let pid = receive(send(port).expect("a connection")).expect("an answer");
    assert!(alive(pid));
}
