// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an outer manager hears from supd.

use super::harness::{Dir, PATIENCE, Supd, expand};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

struct Manager {
    socket: UnixDatagram,
    heard: String,
}

impl Manager {
    /// Listens in this directory, and a daemon that tells it.
    fn start(config: &str, env: &[(&str, &str)]) -> (Self, Supd) {
        let dir = Dir::new();
        let path = dir.path("n");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let config = dir.write("supd.toml", &expand(config, &dir));
        let mut command = Command::new(env!("CARGO_BIN_EXE_supd"));
        command
            .arg("-c")
            .arg(config)
            .arg("--socket")
            .arg(dir.path("s"));
        command.env("NOTIFY_SOCKET", &path).stdout(Stdio::null());
        command.envs(env.iter().copied());
        let manager = Self {
            socket,
            heard: String::new(),
        };
        (manager, Supd::start_as(dir, command))
    }

    /// Waits for a line that begins so.
    fn hears(&mut self, wanted: &str) {
        let mut bytes = [0; 4096];
        loop {
            let length = self.socket.recv(&mut bytes);
            let length = length.unwrap_or_else(|e| panic!("no {wanted}: {e}; {}", self.heard));
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            self.heard.push_str(&text);
            self.heard.push('\n');
            if text.lines().any(|line| line.starts_with(wanted)) {
                return;
            }
        }
    }
}

#[test]
fn an_outer_manager_hears_when_the_tree_is_ready_reloaded_and_going_down() {
    let config = "[service.a]\ncommand = \"CHILD await DIR/go ready sleep forever\"\n\
                  ready = { notify = true }";
    let (mut manager, mut supd) = Manager::start(config, &[]);
    supd.event("service.starting", "a");
    assert!(!manager.heard.contains("READY"), "{}", manager.heard);
    supd.dir.write("go", "");
    manager.hears("READY=1");
    supd.signal("SIGHUP");
    manager.hears("RELOADING=1");
    manager.hears("READY=1");
    supd.signal("SIGTERM");
    manager.hears("STOPPING=1");
    assert_eq!(supd.wait().code(), Some(0));
}

#[test]
fn an_outer_watchdog_is_fed_twice_in_its_time_and_not_by_another_pid() {
    let config = "[service.a]\ncommand = \"CHILD sleep forever\"";
    let (mut manager, _supd) = Manager::start(config, &[("WATCHDOG_USEC", "100000")]);
    for _ in 0..3 {
        manager.hears("WATCHDOG=1");
    }
    let others = [("WATCHDOG_USEC", "100000"), ("WATCHDOG_PID", "1")];
    let (mut manager, supd) = Manager::start(config, &others);
    manager.hears("READY=1");
    supd.signal("SIGTERM");
    manager.hears("STOPPING=1");
    assert!(!manager.heard.contains("WATCHDOG"), "{}", manager.heard);
}
