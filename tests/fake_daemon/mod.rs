// SPDX-License-Identifier: MIT OR Apache-2.0
//! A daemon that is none: a thread behind a Unix socket that gives prepared answers and remembers
//! what it was asked. One connection at a time, in order, as supctl uses them.

#![allow(dead_code, reason = "not every test program uses all of it")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The answers to one request line; the last one is given again and again.
type Answers = BTreeMap<String, Vec<Vec<u8>>>;

pub(crate) struct FakeDaemon {
    pub(crate) dir: PathBuf,
    pub(crate) socket: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Answers by `METHOD /target`.
#[derive(Default)]
pub(crate) struct Script {
    answers: Answers,
    keeps_open: bool,
}

impl Script {
    /// A JSON answer with a length.
    pub(crate) fn json(self, request: &str, status: u16, body: &str) -> Self {
        let answer = format!(
            "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.raw(request, answer.into_bytes())
    }

    /// A stream in chunks, one per line and one in the middle of a line.
    pub(crate) fn stream(self, request: &str, lines: &[String]) -> Self {
        let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for line in lines {
            let line = format!("{line}\n");
            let (a, b) = line.as_bytes().split_at(line.len() / 2);
            for part in [a, b].into_iter().filter(|part| !part.is_empty()) {
                answer.extend(format!("{:x};ext=1\r\n", part.len()).bytes());
                answer.extend(part);
                answer.extend(b"\r\n");
            }
        }
        answer.extend(b"0\r\nTrailer: 1\r\n\r\n");
        self.raw(request, answer)
    }

    /// No connection is closed from this side: what was sent may be all there ever is.
    pub(crate) fn keeping_open(mut self) -> Self {
        self.keeps_open = true;
        self
    }

    /// Whatever bytes.
    pub(crate) fn raw(mut self, request: &str, answer: Vec<u8>) -> Self {
        self.answers
            .entry(request.to_owned())
            .or_default()
            .push(answer);
        self
    }
}

impl FakeDaemon {
    #[expect(clippy::disallowed_methods, reason = "a test has no PID 1 to protect")]
    pub(crate) fn new(script: Script) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("supctl-test-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).expect("a directory for the socket");
        let socket = dir.join("supd.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let thread = {
            let (asked, over) = (Arc::clone(&asked), Arc::clone(&over));
            std::thread::spawn(move || serve(&listener, script, (&asked, &over)))
        };
        Self {
            dir,
            socket,
            asked,
            over,
            thread: Some(thread),
        }
    }

    /// What was asked since the last time: `POST /v1/… {body}`.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().expect("the list"))
    }

    /// Runs supctl against it, in an environment of nothing but what matters.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        supctl()
            .env("SUPD_SOCKET", &self.socket)
            .args(args)
            .output()
            .expect("supctl runs")
    }

    /// Runs it with arguments separated by spaces, and shows what came of it.
    pub(crate) fn transcript(&self, line: &str) -> String {
        shown(line, &self.run(line.split(' ')))
    }
}

/// supctl, in an environment of nothing but what matters.
#[expect(clippy::disallowed_methods, reason = "a test has no PID 1 to protect")]
pub(crate) fn supctl() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_supctl"));
    command.env_clear().env("LC_ALL", "C.UTF-8");
    command
}

/// A session as one would copy it from a terminal; stderr has a bar before it.
pub(crate) fn shown(line: &str, output: &Output) -> String {
    let mut text = format!("$ supctl {line}\n");
    text.push_str(&String::from_utf8_lossy(&output.stdout));
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        text.push_str("| ");
        text.push_str(line);
        text.push('\n');
    }
    let code = output.status.code().expect("an exit code");
    text + &format!("[exit {code}]\n")
}

fn serve(
    listener: &UnixListener,
    mut script: Script,
    (asked, over): (&Mutex<Vec<String>>, &AtomicBool),
) {
    let mut kept = Vec::new();
    for stream in listener.incoming() {
        if over.load(Ordering::Acquire) {
            return;
        }
        let mut stream = stream.expect("a connection");
        let Some((request, body)) = read_request(&stream) else {
            continue;
        };
        let space = if body.is_empty() { "" } else { " " };
        asked
            .lock()
            .expect("the list")
            .push(format!("{request}{space}{body}"));
        let answer = match script.answers.get_mut(&request) {
            Some(list) if list.len() > 1 => list.remove(0),
            Some(list) => list[0].clone(),
            None => {
                let body = r#"{"error":{"code":"no_such_route","message":"not in the script"}}"#;
                format!(
                    "HTTP/1.1 404 No\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                )
                .into_bytes()
            }
        };
        // A client that has seen enough may be gone.
        let _ = stream.write_all(&answer);
        if script.keeps_open {
            kept.push(stream);
        }
    }
}

fn read_request(stream: &UnixStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let request = first.trim_end().strip_suffix(" HTTP/1.1")?.to_owned();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            None => break,
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(_) => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((request, String::from_utf8(body).ok()?))
}

impl Drop for FakeDaemon {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        // Wakes the thread from its accept.
        let _ = UnixStream::connect(&self.socket);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the fake daemon did not panic");
            }
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}
