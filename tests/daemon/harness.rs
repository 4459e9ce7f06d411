// SPDX-License-Identifier: MIT OR Apache-2.0
//! A daemon under test: started in a directory of its own, read and asked, killed at the end.

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long anything may take before a test fails. Long: other tests share the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program that obeys its arguments.
pub(crate) const CHILD: &str = env!("CARGO_BIN_EXE_supd-testchild");

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A directory that is removed at the end.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("d{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file");
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running daemon. `CHILD` and `DIR` in its configuration stand for the program that obeys and
/// for its directory.
pub(crate) struct Supd {
    pub(crate) dir: Dir,
    pub(crate) child: Child,
    lines: Receiver<String>,
    /// Every event so far, in order.
    pub(crate) events: Vec<Value>,
    /// Every other line of its standard error.
    pub(crate) talk: Vec<String>,
    next: usize,
    /// Whether a mistake of its own is what the test is about.
    pub(crate) panics_wanted: bool,
    pub(crate) out: Option<Receiver<String>>,
    _input: Option<ChildStdin>,
}

/// How a daemon is started.
pub(crate) struct Start<'a> {
    pub(crate) config: &'a str,
    /// Words before `supd`.
    pub(crate) wrapper: &'a [&'a str],
    pub(crate) stdout: Stdio,
}

impl Default for Start<'_> {
    fn default() -> Self {
        Self {
            config: "",
            wrapper: &[],
            stdout: Stdio::null(),
        }
    }
}

impl Supd {
    /// Starts a daemon with this configuration.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_with(Start {
            config,
            ..Start::default()
        })
    }

    pub(crate) fn start_with(how: Start<'_>) -> Self {
        let dir = Dir::new();
        dir.write("supd.toml", &expand(how.config, &dir));
        Self::start_in(dir, how)
    }

    pub(crate) fn start_in(dir: Dir, how: Start<'_>) -> Self {
        let mut words: Vec<String> = how.wrapper.iter().map(ToString::to_string).collect();
        words.push(env!("CARGO_BIN_EXE_supd").to_owned());
        for (option, file) in [("-c", "supd.toml"), ("--socket", "s")] {
            words.push(option.to_owned());
            words.push(dir.path(file).display().to_string());
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdout(how.stdout);
        Self::start_as(dir, command)
    }

    /// Starts whatever this command is.
    pub(crate) fn start_as(dir: Dir, mut command: Command) -> Self {
        command.stdin(Stdio::piped());
        Self::start_with_input(dir, command)
    }

    /// The same with an input of its own.
    pub(crate) fn start_with_input(dir: Dir, mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("supd starts");
        let lines = follow(child.stderr.take().expect("its standard error"));
        let out = child.stdout.take().map(follow);
        let input = child.stdin.take();
        Self {
            dir,
            child,
            lines,
            events: Vec::new(),
            talk: Vec::new(),
            next: 0,
            panics_wanted: false,
            out,
            _input: input,
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path("s")
    }

    /// The next event that is wanted; those before it are passed over.
    pub(crate) fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            while self.next < self.events.len() {
                self.next += 1;
                if wanted(&self.events[self.next - 1]) {
                    return self.events[self.next - 1].clone();
                }
            }
            assert!(self.read_line(end), "no {what}; {}", self.story());
        }
    }

    /// The next event of this kind about this node.
    pub(crate) fn event(&mut self, kind: &str, node: &str) -> Value {
        self.until(&format!("{kind} of {node}"), |e| {
            e["kind"] == kind && (node.is_empty() || e["node"] == node)
        })
    }

    /// An event of each kind, in any order.
    pub(crate) fn all(&mut self, kinds: &[&str]) {
        let mut waiting = kinds.to_vec();
        while !waiting.is_empty() {
            let seen = self.until(&kinds.join(" and "), |e| e["kind"].is_string());
            waiting.retain(|kind| seen["kind"] != *kind);
        }
    }

    /// `false`: there is nothing more to read, or it took too long.
    fn read_line(&mut self, end: Instant) -> bool {
        match self
            .lines
            .recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            Ok(line) => {
                match serde_json::from_str::<Value>(&line) {
                    Ok(event) if event["seq"].is_u64() => {
                        let kind = event["kind"].clone();
                        self.events.push(event);
                        let mistake = kind == "daemon.internal_error" && !self.panics_wanted;
                        assert!(!mistake, "{}", self.story());
                    }
                    _ => self.talk.push(line),
                }
                true
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => false,
        }
    }

    /// The end of the daemon, everything it said read.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        while self.read_line(end) {}
        assert!(Instant::now() < end, "it does not end; {}", self.story());
        self.child.wait().expect("its end")
    }

    /// What happened so far, for a failed test.
    pub(crate) fn story(&self) -> String {
        let mut text = String::from("what happened:\n");
        for e in &self.events {
            let node = e["node"].as_str().unwrap_or("supd");
            let rest = [&e["class"], &e["decision"]["action"], &e["message"]];
            let rest: Vec<&str> = rest.iter().filter_map(|v| v.as_str()).collect();
            let line = format!("  {} {node} {} {}\n", e["seq"], e["kind"], rest.join(" "));
            text.push_str(&line);
        }
        text + &self.talk.join("\n")
    }

    pub(crate) fn signal(&self, signal: &str) {
        kill(self.pid(), signal);
    }

    /// Sends a request; status and body.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = self.connect();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: supd\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        parse_answer(&answer)
    }

    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.ask("GET", path, "");
        let value = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}"));
        (status, value)
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.ask("POST", path, body);
        let value = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}"));
        (status, value)
    }

    /// The node as the socket shows it.
    pub(crate) fn node(&self, name: &str) -> Value {
        let (status, view) = self.get(&format!("/v1/nodes/{name}"));
        assert_eq!(status, 200, "{view}");
        view
    }

    pub(crate) fn pid_of(&self, name: &str) -> i32 {
        let view = self.node(name);
        let pid = view["pid"].as_i64();
        let pid = pid.unwrap_or_else(|| panic!("{name} has no process: {view}"));
        i32::try_from(pid).expect("a pid")
    }

    /// Opens a stream; its lines.
    pub(crate) fn stream(&self, path: &str) -> Receiver<String> {
        let mut stream = self.connect();
        let request = format!("GET {path} HTTP/1.1\r\nHost: supd\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        follow(stream)
    }
}

impl Drop for Supd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `CHILD` and `DIR` in a configuration.
pub(crate) fn expand(config: &str, dir: &Dir) -> String {
    let here = dir.0.display().to_string();
    config.replace("CHILD", CHILD).replace("DIR", &here)
}

/// Status and body of an answer, chunked or not.
pub(crate) fn parse_answer(answer: &str) -> (u16, String) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    (status.expect("a status"), body.to_owned())
}

/// The lines of a reader as they come.
pub(crate) fn follow(from: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}

/// The next line that is wanted.
pub(crate) fn line(from: &Receiver<String>, wanted: impl Fn(&str) -> bool) -> String {
    let end = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match from.recv_timeout(left) {
            Ok(line) if wanted(&line) => return line,
            Ok(line) => seen.push(line),
            Err(e) => panic!("{e}; read so far:\n{}", seen.join("\n")),
        }
    }
}

pub(crate) fn kill(pid: i32, signal: &str) {
    let signal = signal
        .parse::<nix::sys::signal::Signal>()
        .expect("a signal");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("sent");
}

pub(crate) fn alive(pid: i32) -> bool {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok()
}

impl Supd {
    /// Reads on until this line came that is no event.
    pub(crate) fn until_talk(&mut self, wanted: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.talk.iter().any(|l| l == wanted) {
            assert!(self.read_line(end), "no `{wanted}`; {}", self.story());
        }
    }

    /// Listens for half a second: nothing is said.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let end = Instant::now() + Duration::from_millis(500);
        let mut quiet = true;
        while self.read_line(end) {
            quiet = false;
        }
        quiet || {
            let end = Instant::now() + Duration::from_millis(500);
            !self.read_line(end)
        }
    }
}

impl Supd {
    /// The status of a request, if it was answered at all.
    pub(crate) fn ask_once(&self, path: &str) -> Option<u16> {
        self.ask_for(path).map(|(status, _)| status)
    }

    /// Status and body of a request, if it was answered at all.
    pub(crate) fn ask_for(&self, path: &str) -> Option<(u16, Value)> {
        let mut stream = UnixStream::connect(self.socket()).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: supd\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        if answer.is_empty() {
            return None;
        }
        let (status, body) = parse_answer(&answer);
        Some((status, serde_json::from_str(&body).unwrap_or_default()))
    }
}
