// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make soak MINUTES=20`: a real daemon for a while, with a tree that dies in many ways, clients
//! that command, read and misbehave, and a configuration that changes; and what it costs, sampled.
//!
//! It fails on memory or descriptors that grow after the warm-up, on a zombie, on an event number
//! that is lost, on a steady service that was touched or is not up, on a wrong answer, and on an
//! end that leaves something behind. It measures no speed. Not part of `make test`.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "it starts the daemon, its clients are threads, and a person reads the figures"
)]

mod clients;
mod sample;
mod wire;

use clients::Crowd;
use sample::{Sample, Samples};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use wire::Socket;

/// How often the daemon is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long everything may take to calm down when nobody asks any more.
const CALM: Duration = Duration::from_secs(30);
/// Grown by less than this, memory has not grown: pages are given back late.
const OWN_SLACK_KB: u64 = 768;
/// Services that may be between two lives at a look: each has one descriptor more or less.
const FD_SLACK: u64 = 14;

/// A daemon, its directory and its configuration.
struct Soak {
    dir: PathBuf,
    child: Child,
    socket: Socket,
}

/// What was found wrong, a sentence each.
type Complaints = Vec<String>;

fn main() -> ExitCode {
    let given = std::env::args().nth(1).unwrap_or_else(|| "1".to_owned());
    let Ok(minutes) = given.parse::<f64>() else {
        println!("usage: soak MINUTES");
        return ExitCode::from(64);
    };
    let span = Duration::from_secs_f64((minutes * 60.0).clamp(20.0, 7.0 * 86_400.0));
    let mut soak = Soak::start();
    let complaints = soak.run(span);
    for complaint in &complaints {
        println!("soak: {complaint}");
    }
    println!(
        "soak: {}",
        if complaints.is_empty() {
            "ok"
        } else {
            "failed"
        }
    );
    if complaints.is_empty() {
        let _ = fs::remove_dir_all(&soak.dir);
        return ExitCode::SUCCESS;
    }
    println!("soak: what the daemon said is in {}", soak.dir.display());
    ExitCode::FAILURE
}

impl Soak {
    fn start() -> Self {
        let name = format!("soak-{}", std::process::id());
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&dir).expect("a directory");
        configure(&dir, 0);
        let log = fs::File::create(dir.join("log")).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_supd"))
            .arg("-c")
            .arg(dir.join("supd.toml"))
            .arg("--socket")
            .arg(dir.join("s"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("supd starts");
        let socket = Socket::new(dir.join("s"));
        assert!(
            wire::eventually(CALM, || socket.get("/v1/health").is_some()),
            "it answers"
        );
        Self { dir, child, socket }
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    /// Warm-up, a look at rest, the long run, another look at rest, the end.
    fn run(&mut self, span: Duration) -> Complaints {
        let begin = Instant::now();
        let warm_up = span / 4;
        let crowd = Crowd::gather(&self.dir);
        let mut complaints = Vec::new();
        let mut samples = Samples::default();
        let steady = self.steady();
        println!(
            "soak: {span:?}, of which {warm_up:?} to warm up; daemon {}",
            self.pid()
        );
        self.watch(begin + warm_up, &crowd, &mut samples, &mut complaints);
        let warm = self.at_rest(&crowd, &mut complaints);
        println!("soak: warm   {warm}");
        samples.clear();
        crowd.go_on();
        self.watch(begin + span, &crowd, &mut samples, &mut complaints);
        let last = self.at_rest(&crowd, &mut complaints);
        println!("soak: last   {last}");
        println!("soak: between them {samples}");
        complaints.extend(grown(&warm, &last));
        complaints.extend(samples.complaints());
        self.compare_steady(&steady, &mut complaints);
        let done = crowd.disperse();
        println!("soak: {done}");
        complaints.extend(done.complaints);
        if done.restarts == 0 || done.commands == 0 || done.reloads == 0 {
            complaints.push("nothing has happened: the soak is empty".to_owned());
        }
        complaints.extend(self.end());
        complaints
    }

    /// Looks at the daemon until this moment, and changes its configuration now and then.
    fn watch(
        &mut self,
        until: Instant,
        crowd: &Crowd,
        samples: &mut Samples,
        complaints: &mut Complaints,
    ) {
        let mut looks = 0_u64;
        while Instant::now() < until && complaints.len() < 20 {
            if let Some(status) = self.child.try_wait().expect("our child") {
                complaints.push(format!("the daemon ended: {status}"));
                return;
            }
            looks += 1;
            if looks.is_multiple_of(4) {
                configure(&self.dir, looks);
                let outcome = self.socket.post("/v1/reload", "");
                crowd.reloaded(outcome.as_ref());
            }
            match Sample::take(self.pid()) {
                Some(sample) => samples.add(sample),
                None => complaints.push("the daemon cannot be looked at".to_owned()),
            }
            crowd.wait(LOOK_EVERY);
        }
    }

    /// Everybody is silent, the first configuration holds: what does it cost now?
    fn at_rest(&self, crowd: &Crowd, complaints: &mut Complaints) -> Sample {
        crowd.pause();
        configure(&self.dir, 0);
        if self
            .socket
            .post("/v1/reload", "")
            .is_none_or(|(code, _)| code != 200)
        {
            complaints.push("the first configuration is refused".to_owned());
        }
        for name in clients::COMMANDED {
            for verb in ["unpin", "start"] {
                self.socket
                    .post(&format!("/v1/nodes/{name}/{verb}?wait=0"), "");
            }
        }
        self.socket
            .post("/v1/nodes/pool/scale?wait=0", r#"{"instances":3}"#);
        let ready = wire::eventually(CALM, || self.are_up(clients::COMMANDED));
        if !ready {
            complaints.push(format!("not up again: {}", self.states(clients::COMMANDED)));
        }
        // Connections that clients dropped are closed when the loop has seen it.
        let pid = self.pid();
        let mut lowest = Sample::take(pid).unwrap_or_default();
        wire::eventually(Duration::from_secs(3), || {
            lowest = lowest.lower(&Sample::take(pid).unwrap_or_default());
            false
        });
        lowest
    }

    fn are_up(&self, names: &[&str]) -> bool {
        names
            .iter()
            .all(|name| self.socket.state(name).as_deref() == Some("ready"))
    }

    fn states(&self, names: &[&str]) -> String {
        let told = names.iter().map(|name| {
            let state = self.socket.state(name).unwrap_or_default();
            format!("{name} {state}")
        });
        told.collect::<Vec<_>>().join(", ")
    }

    /// Services nobody has a reason to touch: their processes.
    fn steady(&self) -> Vec<(String, Option<i64>)> {
        let names: Vec<String> = (0..clients::STEADY).map(|n| format!("steady{n}")).collect();
        wire::eventually(CALM, || {
            names
                .iter()
                .all(|name| self.socket.state(name).as_deref() == Some("ready"))
        });
        let pid = |name: String| {
            let pid = self.socket.number(&name, "pid");
            (name, pid)
        };
        names.into_iter().map(pid).collect()
    }

    fn compare_steady(&self, before: &[(String, Option<i64>)], complaints: &mut Complaints) {
        for (name, pid) in before {
            let now = self.socket.number(name, "pid");
            if now.is_none() || now != *pid {
                complaints.push(format!("{name} had process {pid:?}, has {now:?}"));
            }
        }
    }

    /// TERM, and nothing is left.
    fn end(&mut self) -> Complaints {
        let mut complaints = Vec::new();
        let children = sample::descendants(self.pid());
        sample::signal(self.pid(), 15);
        let mut status = None;
        wire::eventually(CALM, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        if !status.is_some_and(|status| status.success()) {
            complaints.push(format!("the daemon did not end well: {status:?}"));
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let gone = || {
            children
                .iter()
                .all(|(pid, start)| sample::started(*pid) != Some(*start))
        };
        if !wire::eventually(Duration::from_secs(5), gone) {
            complaints.push("processes are left after the end".to_owned());
        }
        complaints
    }
}

impl Drop for Soak {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What has grown between two looks at rest.
fn grown(warm: &Sample, last: &Sample) -> Complaints {
    let mut complaints = Vec::new();
    let allowed = warm.own_kb + OWN_SLACK_KB.max(warm.own_kb / 10);
    if last.own_kb > allowed {
        complaints.push(format!(
            "memory grew from {} to {} kB",
            warm.own_kb, last.own_kb
        ));
    }
    if last.descriptors > warm.descriptors + FD_SLACK {
        let (was, is) = (warm.descriptors, last.descriptors);
        complaints.push(format!("descriptors grew from {was} to {is}"));
    }
    if last.threads > warm.threads.max(2) {
        complaints.push(format!(
            "threads grew from {} to {}",
            warm.threads, last.threads
        ));
    }
    complaints
}

/// Writes the configuration, in one of its forms.
fn configure(dir: &Path, form: u64) {
    let text = include_str!("tree.toml")
        .replace("CHILD", env!("CARGO_BIN_EXE_supd-testchild"))
        .replace("DIR", &dir.display().to_string())
        .replace("FORM", &(form % 5).to_string());
    let mut text = text;
    if form.is_multiple_of(2) {
        text.push_str("\n[service.comes_and_goes]\nunder = \"changing\"\ncommand = [\"");
        text.push_str(env!("CARGO_BIN_EXE_supd-testchild"));
        text.push_str("\", \"sleep\", \"forever\"]\n");
    }
    let new = dir.join("supd.toml.new");
    fs::write(&new, text).expect("a file");
    fs::rename(&new, dir.join("supd.toml")).expect("its name");
}
