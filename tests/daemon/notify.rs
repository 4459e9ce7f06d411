// SPDX-License-Identifier: MIT OR Apache-2.0
//! What services say over sd_notify(3), and who else tries to.

use super::harness::{Dir, PATIENCE, Start, Supd, expand, kill};
use nix::sys::stat::Mode;
use std::fs;
use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// A daemon with a service that does what is written to the FIFO.
fn with_puppet(more: &str) -> (Supd, fs::File) {
    let dir = Dir::new();
    let config = format!(
        "[service.a]\ncommand = \"CHILD obey DIR/fifo\"\nready = {{ notify = true }}\n{more}"
    );
    dir.write("supd.toml", &expand(&config, &dir));
    let fifo = dir.path("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).expect("a FIFO");
    let mut supd = Supd::start_in(dir, Start::default());
    supd.event("service.starting", "a");
    let puppet = fs::OpenOptions::new().read(true).write(true).open(fifo);
    (supd, puppet.expect("it is there"))
}

/// The socket of a service, as everybody of the same user can see it.
fn address_of(pid: i32) -> SocketAddr {
    let end = Instant::now() + PATIENCE;
    loop {
        let environ = fs::read(format!("/proc/{pid}/environ")).expect("it lives");
        let mut strings = environ.split(|b| *b == 0);
        if let Some(name) = strings.find_map(|v| v.strip_prefix(b"NOTIFY_SOCKET=@")) {
            return SocketAddr::from_abstract_name(name).expect("a name");
        }
        // The new program's environment is in place a moment after its exec has let us go.
        assert!(Instant::now() < end, "no address in {environ:?}");
    }
}

fn until_message(supd: &Supd, wanted: &str) {
    let end = Instant::now() + PATIENCE;
    while supd.node("a")["message"] != wanted {
        assert!(Instant::now() < end, "never `{wanted}`: {}", supd.node("a"));
    }
}

#[test]
fn fault_30_a_stranger_who_knows_the_address_is_not_heard() {
    let (mut supd, mut puppet) = with_puppet("");
    let stranger = UnixDatagram::unbound().expect("a socket");
    let address = address_of(supd.pid_of("a"));
    let sent = stranger.send_to_addr(b"READY=1\nSTATUS=evil", &address);
    sent.expect("it is open to everybody");
    // What comes later was heard, so what came before was not.
    writeln!(puppet, "notify STATUS=own").expect("told");
    until_message(&supd, "own");
    assert_eq!(supd.node("a")["state"], "starting");
    // One that left the session carries the mark; one that is gone at once is believed.
    writeln!(puppet, "double-fork [ setsid notify STATUS=far ]").expect("told");
    until_message(&supd, "far");
    writeln!(puppet, "fork [ ready ]").expect("told");
    supd.event("service.ready", "a");
}

#[test]
fn fault_30_a_storm_of_datagrams_starves_nobody() {
    let (mut supd, mut puppet) = with_puppet("[service.b]\ncommand = \"CHILD sleep forever\"");
    supd.event("service.ready", "b");
    let address = address_of(supd.pid_of("a"));
    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicU64::new(0));
    let (stopped, count) = (Arc::clone(&stop), Arc::clone(&sent));
    let storm = std::thread::spawn(move || {
        let socket = UnixDatagram::unbound().expect("a socket");
        while !stopped.load(Ordering::Relaxed) && socket.send_to_addr(b"X=1", &address).is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    for _ in 0..5 {
        let before = sent.load(Ordering::Relaxed);
        kill(supd.pid_of("b"), "SIGKILL");
        supd.event("service.ready", "b");
        let end = Instant::now() + PATIENCE;
        while sent.load(Ordering::Relaxed) == before {
            assert!(Instant::now() < end, "the storm is over");
        }
        supd.post("/v1/nodes/b/reset", "{}");
    }
    writeln!(puppet, "ready").expect("told");
    supd.event("service.ready", "a");
    stop.store(true, Ordering::Relaxed);
    storm.join().expect("it ends");
}

#[test]
fn one_that_says_it_stops_is_unready_until_it_changes_its_mind() {
    let (mut supd, mut puppet) = with_puppet("");
    writeln!(puppet, "ready notify STOPPING=1").expect("told");
    let told = supd.event("service.unready", "a");
    assert_eq!(told["why"], "stopping");
    assert_eq!(supd.node("a")["state"], "unready");
    writeln!(puppet, "ready").expect("told");
    supd.event("service.ready", "a");
}

#[test]
fn a_start_that_asks_for_more_time_gets_it() {
    let (mut supd, mut puppet) = with_puppet("start_timeout = \"4s\"");
    let before = supd.node("a")["limit_ms"].as_u64().expect("a limit");
    writeln!(puppet, "notify EXTEND_TIMEOUT_USEC=20000000\\nSTATUS=asked").expect("told");
    until_message(&supd, "asked");
    let after = supd.node("a")["limit_ms"].as_u64().expect("a limit");
    assert!(after >= 20_000 && before < 6_000, "{before} {after}");
    writeln!(
        puppet,
        "notify EXTEND_TIMEOUT_USEC=18446744073709551615\\nSTATUS=greedy"
    )
    .expect("told");
    until_message(&supd, "greedy");
    let most = supd.node("a")["limit_ms"].as_u64().expect("a limit");
    assert!((40_000..41_000).contains(&most), "{most}");
    writeln!(puppet, "ready").expect("told");
    supd.event("service.ready", "a");
}
