// SPDX-License-Identifier: MIT OR Apache-2.0
//! A daemon in a directory of its own: started, asked over its socket, its events read from its
//! standard error. Killed, with its children, when it is dropped.

use super::Programs;
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use supd::wire::{EventLine, kind};

/// How long anything may take before a case has failed. Long: others share the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running daemon.
pub(crate) struct Daemon {
    child: Child,
    lines: Receiver<String>,
    socket: PathBuf,
    /// The last event that was read.
    seq: u64,
    /// Events nobody has asked for yet.
    read: Vec<EventLine>,
    /// What it said that is no event.
    pub(crate) talk: Vec<String>,
}

/// A request that is not answered yet.
#[derive(Debug)]
pub(crate) struct Pending(UnixStream);

/// What came of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answered {
    /// A status and a value.
    With(u16, Value),
    /// There is nobody to answer.
    Nobody,
}

impl Daemon {
    /// Starts a daemon with the configuration that stands in its directory.
    pub(crate) fn start(programs: &Programs, dir: &Path) -> io::Result<Self> {
        let socket = dir.join("s");
        let mut words = programs.supd.iter();
        let program = words.next().ok_or(io::ErrorKind::NotFound)?;
        let mut child = Command::new(program)
            .args(words)
            .arg("-c")
            .arg(dir.join("supd.toml"))
            .arg("--socket")
            .arg(&socket)
            .env("SUPD_TEST_HOOKS", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let (send, lines) = channel();
        let err = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        std::thread::spawn(move || {
            let lines = BufReader::new(err).lines().map_while(Result::ok);
            for line in lines {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            child,
            lines,
            socket,
            seq: 0,
            read: Vec::new(),
            talk: Vec::new(),
        })
    }

    /// Reads events up to this one; `None`: to the last one there will ever be.
    pub(crate) fn events(&mut self, until: Option<u64>) -> Result<Vec<EventLine>, String> {
        if until.is_none_or(|seq| self.seq < seq) {
            self.read(|event| until.is_some_and(|seq| event.seq >= seq))?;
        }
        Ok(std::mem::take(&mut self.read))
    }

    fn read(&mut self, is_last: impl Fn(&EventLine) -> bool) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => return Err("an event is missing\n".to_owned()),
            };
            let Ok(event) = serde_json::from_str::<EventLine>(&line) else {
                self.talk.push(line);
                continue;
            };
            self.seq = event.seq;
            let last = is_last(&event);
            self.read.push(event);
            if last {
                return Ok(());
            }
        }
    }

    /// Reads until it serves, or has ended before.
    pub(crate) fn serves(&mut self) -> Result<(), String> {
        self.read(|event| event.kind == kind::DAEMON_STARTED)
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> io::Result<()> {
        self.child.wait().map(drop)
    }

    /// Sends a request.
    pub(crate) fn send(&self, line: &str, body: &str) -> io::Result<Pending> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        let request =
            format!("{line} HTTP/1.1\r\nHost: supd\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes())?;
        Ok(Pending(stream))
    }

    /// Sends a request and waits for the answer.
    pub(crate) fn ask(&self, line: &str, body: &str) -> Answered {
        self.send(line, body)
            .map_or(Answered::Nobody, Pending::answer)
    }
}

impl Pending {
    /// Waits for the answer.
    pub(crate) fn answer(mut self) -> Answered {
        let mut text = String::new();
        if self.0.read_to_string(&mut text).is_err() && text.is_empty() {
            return Answered::Nobody;
        }
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            return Answered::Nobody;
        };
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        match (status, serde_json::from_str(body)) {
            (Some(503), Ok(_)) => Answered::Nobody,
            (Some(status), Ok(value)) => Answered::With(status, value),
            _ => Answered::Nobody,
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
