// SPDX-License-Identifier: MIT OR Apache-2.0
//! The clients of the soak: one that commands, one that follows the events and counts, one that
//! follows logs, one that asks for pictures, and several that misbehave.

use super::wire::Socket;
use serde_json::Value;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Services nobody touches.
pub(crate) const STEADY: u32 = 4;
/// Services that are told what to do.
pub(crate) const COMMANDED: &[&str] = &["told_a", "told_b", "told_c"];

/// What clients share.
#[derive(Debug, Default)]
struct Shared {
    paused: AtomicBool,
    over: AtomicBool,
    commands: AtomicU64,
    answers: AtomicU64,
    events: AtomicU64,
    restarts: AtomicU64,
    reloads: AtomicU64,
    misdeeds: AtomicU64,
    /// Answers 429: those who misbehave take the places of others.
    turned_away: AtomicU64,
    complaints: Mutex<Vec<String>>,
    turn: (Mutex<()>, Condvar),
}

impl Shared {
    fn complain(&self, text: String) {
        let mut complaints = self
            .complaints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if complaints.len() < 10 {
            complaints.push(text);
        }
    }

    fn turn_away(&self) {
        self.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits while all are to be silent, and this long at least. False: it is over.
    fn next(&self, span: Duration) -> bool {
        let guard = self.turn.0.lock().unwrap_or_else(PoisonError::into_inner);
        let nobody = |(): &mut ()| !self.over.load(Ordering::Relaxed);
        let waited = self.turn.1.wait_timeout_while(guard, span, nobody);
        drop(waited);
        while self.paused.load(Ordering::Relaxed) && !self.over.load(Ordering::Relaxed) {
            let guard = self.turn.0.lock().unwrap_or_else(PoisonError::into_inner);
            drop(self.turn.1.wait_timeout(guard, Duration::from_millis(50)));
        }
        !self.over.load(Ordering::Relaxed)
    }
}

/// All clients.
#[derive(Debug)]
pub(crate) struct Crowd {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    _keep: Sender<()>,
    pause: Receiver<()>,
}

/// What the clients did and found.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) commands: u64,
    pub(crate) restarts: u64,
    pub(crate) reloads: u64,
    answers: u64,
    events: u64,
    misdeeds: u64,
    turned_away: u64,
    pub(crate) complaints: Vec<String>,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            commands,
            restarts,
            reloads,
            answers,
            events,
            misdeeds,
            turned_away,
            ..
        } = self;
        write!(
            f,
            "{restarts} starts, {events} events, {commands} commands, {reloads} reloads, \
             {answers} other answers, {misdeeds} misdeeds of clients, \
             {turned_away} turned away"
        )
    }
}

impl Crowd {
    pub(crate) fn gather(dir: &Path) -> Self {
        let shared = Arc::new(Shared::default());
        let socket = Socket::new(dir.join("s"));
        let roles: [fn(&Socket, &Shared); 7] = [
            command,
            follow_events,
            follow_logs,
            look,
            shout,
            leave_early,
            ask_nonsense,
        ];
        let threads = roles.into_iter().map(|role| {
            let (socket, shared) = (socket.clone(), Arc::clone(&shared));
            std::thread::spawn(move || role(&socket, &shared))
        });
        let threads = threads.collect();
        let (keep, pause) = channel();
        Self {
            shared,
            threads,
            _keep: keep,
            pause,
        }
    }

    pub(crate) fn wait(&self, span: Duration) {
        // Nobody sends: it is a deadline.
        let _ = self.pause.recv_timeout(span);
    }

    pub(crate) fn pause(&self) {
        self.shared.paused.store(true, Ordering::Relaxed);
    }

    pub(crate) fn go_on(&self) {
        self.shared.paused.store(false, Ordering::Relaxed);
    }

    pub(crate) fn reloaded(&self, answer: Option<&(u16, String)>) {
        self.shared.reloads.fetch_add(1, Ordering::Relaxed);
        match answer {
            Some((200, _)) => {}
            Some((429, _)) => self.shared.turn_away(),
            other => self
                .shared
                .complain(format!("a reload was answered {other:?}")),
        }
    }

    pub(crate) fn disperse(self) -> Done {
        self.shared.over.store(true, Ordering::Relaxed);
        self.shared.turn.1.notify_all();
        for thread in self.threads {
            if thread.join().is_err() {
                self.shared.complain("a client panicked".to_owned());
            }
        }
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let shared = &self.shared;
        let complaints = shared
            .complaints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Done {
            commands: count(&shared.commands),
            restarts: count(&shared.restarts),
            reloads: count(&shared.reloads),
            answers: count(&shared.answers),
            events: count(&shared.events),
            misdeeds: count(&shared.misdeeds),
            turned_away: count(&shared.turned_away),
            complaints: complaints.clone(),
        }
    }
}

/// A stream of numbers (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n.max(1)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let n = u64::try_from(from.len()).unwrap_or(1);
        from[usize::try_from(self.below(n)).unwrap_or(0)]
    }
}

/// Tells services what to do; every answer is one that a command may have.
fn command(socket: &Socket, shared: &Shared) {
    let mut dice = Dice(1);
    while shared.next(Duration::from_millis(20)) {
        let name = dice.pick(COMMANDED);
        let (path, body) = match dice.below(12) {
            0 | 1 => (format!("{name}/stop"), String::new()),
            2..5 => (format!("{name}/start"), String::new()),
            5 => (format!("{name}/restart"), String::new()),
            6 => (format!("{name}/restart"), r#"{"only":true}"#.to_owned()),
            7 => (format!("{name}/signal"), r#"{"signal":"KILL"}"#.to_owned()),
            8 => (format!("{name}/pin"), String::new()),
            9 => (format!("{name}/unpin"), String::new()),
            10 => (format!("{name}/reset"), String::new()),
            _ => {
                let instances = 1 + dice.below(5);
                (
                    "pool/scale".to_owned(),
                    format!("{{\"instances\":{instances}}}"),
                )
            }
        };
        shared.commands.fetch_add(1, Ordering::Relaxed);
        match socket.post(&format!("/v1/nodes/{path}?wait=5s"), &body) {
            // 404: an instance that has left; 409: pinned, not running, superseded.
            Some((200 | 202 | 404 | 409 | 503 | 504, _)) => {}
            Some((429, _)) => shared.turn_away(),
            other => shared.complain(format!("{path} was answered {other:?}")),
        }
    }
}

/// Follows the events: their numbers are dense, or a gap says so.
fn follow_events(socket: &Socket, shared: &Shared) {
    let mut last: Option<u64> = None;
    while shared.next(Duration::from_millis(1)) {
        let since = last.map_or(String::new(), |seq| format!("&since={seq}"));
        let Some(stream) = open(socket, &format!("/v1/events?follow=1{since}")) else {
            shared.complain("the events cannot be followed".to_owned());
            return;
        };
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            if let Some(item) = line.starts_with('{').then(|| serde_json::from_str(&line)) {
                match item {
                    Ok(item) => counted(&item, &mut last, shared),
                    Err(error) => shared.complain(format!("no event: {error}: {line}")),
                }
            }
            let silent =
                shared.paused.load(Ordering::Relaxed) || shared.over.load(Ordering::Relaxed);
            if silent {
                break;
            }
        }
    }
}

fn counted(item: &Value, last: &mut Option<u64>, shared: &Shared) {
    let number = |name: &str| item.get(name).and_then(Value::as_u64);
    let kind = item.get("kind").and_then(Value::as_str).unwrap_or_default();
    if kind == "gap" {
        *last = number("to").or(*last);
        return;
    }
    if kind == "heartbeat" {
        return;
    }
    let Some(seq) = number("seq") else { return };
    if item.get("root").is_some() || kind.is_empty() || kind == "snapshot" {
        // The picture a stream begins with: what is part of it does not come again.
        *last = Some(last.unwrap_or(seq).max(seq));
        return;
    }
    shared.events.fetch_add(1, Ordering::Relaxed);
    if kind == "service.starting" {
        shared.restarts.fetch_add(1, Ordering::Relaxed);
    }
    if let Some(before) = last.filter(|before| seq != before + 1) {
        shared.complain(format!("event {seq} follows {before} without a gap"));
    }
    *last = Some(seq);
}

fn open(socket: &Socket, path: &str) -> Option<std::os::unix::net::UnixStream> {
    let mut stream = socket.connect()?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: supd\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    Some(stream)
}

fn follow_logs(socket: &Socket, shared: &Shared) {
    let mut dice = Dice(2);
    while shared.next(Duration::from_millis(100)) {
        let name = dice.pick(&["writes", "signal", "changed", "crashing", "pool"]);
        let lines = dice.below(200);
        let path = format!("/v1/nodes/{name}/logs?lines={lines}&follow=1");
        let Some(stream) = open(socket, &path) else {
            continue;
        };
        shared.answers.fetch_add(1, Ordering::Relaxed);
        let some = BufReader::new(stream).take(64 * 1024);
        for line in some.lines() {
            let silent =
                shared.paused.load(Ordering::Relaxed) || shared.over.load(Ordering::Relaxed);
            if line.is_err() || silent {
                break;
            }
        }
    }
}

/// Asks for every picture there is.
fn look(socket: &Socket, shared: &Shared) {
    let mut dice = Dice(3);
    while shared.next(Duration::from_millis(30)) {
        let path = dice.pick(&[
            "/v1/tree",
            "/v1/nodes/steady0",
            "/v1/nodes/chain/history",
            "/v1/events?since=10s",
            "/metrics",
            "/v1/health?level=live",
        ]);
        shared.answers.fetch_add(1, Ordering::Relaxed);
        match socket.get(path) {
            Some((200, _)) => {}
            Some((429, _)) => shared.turn_away(),
            other => shared.complain(format!("{path} was answered {other:?}")),
        }
    }
}

/// A reader that never reads.
fn shout(socket: &Socket, shared: &Shared) {
    while shared.next(Duration::from_millis(10)) {
        let held = open(socket, "/v1/events?follow=1");
        shared.misdeeds.fetch_add(1, Ordering::Relaxed);
        let busy =
            || !shared.paused.load(Ordering::Relaxed) && !shared.over.load(Ordering::Relaxed);
        super::wire::eventually(Duration::from_secs(3), || !busy());
        drop(held);
    }
}

/// Goes away in the middle of everything.
fn leave_early(socket: &Socket, shared: &Shared) {
    let mut dice = Dice(4);
    while shared.next(Duration::from_millis(15)) {
        let Some(mut stream) = socket.connect() else {
            continue;
        };
        shared.misdeeds.fetch_add(1, Ordering::Relaxed);
        let head =
            "POST /v1/nodes/told_b/restart HTTP/1.1\r\nhost: s\r\ncontent-length: 2\r\n\r\n{}";
        let length = usize::try_from(dice.below(120))
            .unwrap_or(0)
            .min(head.len());
        let _ = stream.write_all(&head.as_bytes()[..length]);
    }
}

/// Says what nobody understands.
fn ask_nonsense(socket: &Socket, shared: &Shared) {
    let mut dice = Dice(5);
    while shared.next(Duration::from_millis(25)) {
        let Some(mut stream) = socket.connect() else {
            continue;
        };
        shared.misdeeds.fetch_add(1, Ordering::Relaxed);
        let bytes: Vec<u8> = match dice.below(5) {
            0 => (0..200).map(|_| dice.below(256).to_le_bytes()[0]).collect(),
            1 => b"GET /v1/nodes/%zz HTTP/1.1\r\nhost: s\r\n\r\n".to_vec(),
            2 => b"DELETE /v1/tree HTTP/1.1\r\nhost: s\r\n\r\n".to_vec(),
            3 => {
                let mut long = b"GET /v1/tree HTTP/1.1\r\nx: ".to_vec();
                long.resize(70_000, b'a');
                long
            }
            _ => b"POST /v1/nodes/pool/scale HTTP/1.1\r\nhost: s\r\ncontent-length: 9\r\n\r\n{\"instanc".to_vec(),
        };
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        if answer.starts_with(b"HTTP/1.1 5") {
            let told = String::from_utf8_lossy(&answer).into_owned();
            shared.complain(format!("nonsense was answered {told}"));
        }
    }
}
