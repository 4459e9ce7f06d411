// SPDX-License-Identifier: MIT OR Apache-2.0
//! When a service is ready: asked from outside, with real sockets, files and commands.

use super::harness::{PATIENCE, Supd};
use serde_json::Value;
use std::net::TcpListener;
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
