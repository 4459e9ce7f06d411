// SPDX-License-Identifier: MIT OR Apache-2.0
//! Load on the control socket and beside it: nobody is refused, nothing is lost, and what
//! supervises goes on. How fast that is, benches measure; here the machine is shared with others.

use super::harness::{PATIENCE, Supd, kill};
use super::rig::eventually;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// The status of one answer, `None` when the connection did not last.
fn ask(socket: &Path, path: &str) -> Option<u16> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

/// Clients that read the whole tree as fast as they can, until told to stop.
struct Readers {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Result<(), String>>>,
}

impl Readers {
    fn start(socket: &Path, count: usize) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let one = |_| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let socket: PathBuf = socket.to_owned();
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    match ask(&socket, "/v1/tree") {
                        Some(200) => AtomicUsize::fetch_add(&answered, 1, Ordering::Relaxed),
                        other => return Err(format!("{other:?}")),
                    };
                }
                Ok(())
            })
        };
        let threads = (0..count).map(one).collect();
        Self {
            stop,
            answered,
            threads,
        }
    }

    /// How many answers there were; every one of them was good.
    fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let ended = thread.join().expect("no panic");
            assert_eq!(ended, Ok(()), "a reader was refused");
        }
        self.answered.load(Ordering::Relaxed)
    }
}

#[test]
fn fault_89_restarts_go_on_while_many_read_the_status_all_the_time() {
    let mut supd = Supd::start(
        "[defaults]\nbackoff = \"none\"\n[supervisor.root]\nmax_restarts = 1000\n\
         children = [\"a\", \"b\"]\n\
         [service.a]\ncommand = \"CHILD sleep forever\"\n\
         [service.b]\ncommand = \"CHILD sleep forever\"",
    );
    supd.event("supervisor.ready", "root");
    let readers = Readers::start(&supd.socket(), 8);
    let answered = Arc::clone(&readers.answered);
    eventually("they read", || {
        (answered.load(Ordering::Relaxed) > 100).then_some(())
    });
    for _ in 0..20 {
        let pid = supd.pid_of("a");
        kill(pid, "SIGKILL");
        supd.event("service.ready", "a");
    }
    let before = answered.load(Ordering::Relaxed);
    eventually("they still read", || {
        (answered.load(Ordering::Relaxed) > before + 100).then_some(())
    });
    assert!(readers.stop() > 200);
    assert_eq!(supd.node("b")["restarts"].as_u64().unwrap_or(0), 0);
}

#[test]
fn fault_59_ten_thousand_connections_leave_a_daemon_that_answers() {
    let mut supd = Supd::start("[service.a]\ncommand = \"CHILD sleep forever\"");
    supd.event("supervisor.ready", "root");
    let pid = supd.pid();
    let descriptors = || {
        std::fs::read_dir(format!("/proc/{pid}/fd"))
            .expect("its descriptors")
            .count()
    };
    let before = descriptors();
    let mut held = Vec::new();
    for n in 0..10_000 {
        let Ok(mut stream) = UnixStream::connect(supd.socket()) else {
            continue;
        };
        // Some say nothing, some half of something, some go at once, some wait in vain.
        match n % 4 {
            0 => drop(stream),
            1 => {
                let _ = stream.write_all(b"GET /v1/tr");
            }
            2 => {
                let _ = stream.write_all(b"GET /v1/tree HTTP/1.1\r\n\r\n");
            }
            _ => held.push(stream),
        }
        held.truncate(40);
    }
    // What belongs to the last of them is still on its way through the backlog.
    eventually("it answers", || {
        (ask(&supd.socket(), "/v1/health") == Some(200)).then_some(())
    });
    drop(held);
    eventually("every connection is closed", || {
        (descriptors() <= before).then_some(())
    });
    assert_eq!(supd.node("a")["restarts"].as_u64().unwrap_or(0), 0);
}
