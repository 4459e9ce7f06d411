// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests over the daemon's socket, plain and bounded in time. It judges nothing.

use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// No answer takes longer.
const LIMIT: Duration = Duration::from_secs(40);

/// Where the daemon listens.
#[derive(Debug, Clone)]
pub(crate) struct Socket(PathBuf);

impl Socket {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn connect(&self) -> Option<UnixStream> {
        let stream = UnixStream::connect(&self.0).ok()?;
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        stream.set_write_timeout(Some(LIMIT)).ok()?;
        Some(stream)
    }

    /// Status and body; `None`: no answer at all.
    fn ask(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let mut stream = self.connect()?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: supd\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let code = answer.split(' ').nth(1)?.parse().ok()?;
        let body = answer.split_once("\r\n\r\n")?.1.to_owned();
        Some((code, body))
    }

    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        self.ask("GET", path, "")
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Option<(u16, String)> {
        self.ask("POST", path, body)
    }

    fn node(&self, name: &str) -> Option<Value> {
        let (_, body) = self.get(&format!("/v1/nodes/{name}"))?;
        // A chunked answer has its length before it.
        let from = body.find('{')?;
        let to = body.rfind('}')?;
        serde_json::from_str(&body[from..=to]).ok()
    }

    pub(crate) fn state(&self, name: &str) -> Option<String> {
        Some(self.node(name)?.get("state")?.as_str()?.to_owned())
    }

    pub(crate) fn number(&self, name: &str, field: &str) -> Option<i64> {
        self.node(name)?.get(field)?.as_i64()
    }
}

/// Asks until it is so, or the time is over.
pub(crate) fn eventually(span: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let (never, pause): (_, Receiver<()>) = channel();
    let until = Instant::now() + span;
    loop {
        if is_so() {
            drop(never);
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        let waited = pause.recv_timeout(Duration::from_millis(50));
        assert_eq!(waited, Err(RecvTimeoutError::Timeout));
    }
}
