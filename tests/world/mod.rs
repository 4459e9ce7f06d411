// SPDX-License-Identifier: MIT OR Apache-2.0
//! What tests of `sys` share: one test at a time in a process (children, signals and descriptors
//! belong to all threads), a directory of its own, and a child that reports its surroundings.

#![allow(dead_code, reason = "not every test program uses all of it")]

use serde_json::Value;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use supd::spec::{Command, ExitFacts, ExitStatus, LogSink, Logs, Process, Signal, SpawnFailure};
use supd::sys::init::Inherited;
use supd::sys::logpipe::{self, Chunk, LogReader};
use supd::sys::reap;
use supd::sys::spawn::{Child, Plan, Spawner, Stdio, Surroundings};

pub(crate) const TESTCHILD: &str = env!("CARGO_BIN_EXE_supd-testchild");

static ALONE: Mutex<()> = Mutex::new(());
pub(crate) static INHERITED: LazyLock<Inherited> = LazyLock::new(Inherited::observe);

/// A test with the process to itself.
pub(crate) struct World {
    pub(crate) dir: PathBuf,
    pub(crate) spawner: Spawner,
    _alone: MutexGuard<'static, ()>,
}

impl World {
    pub(crate) fn new(name: &str) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = std::env::temp_dir().join(format!("supd-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).expect("a directory");
        Self {
            dir,
            spawner: Spawner::new(&INHERITED).expect("a spawner"),
            _alone: alone,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A file with this text and mode.
    pub(crate) fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its mode");
        path
    }

    pub(crate) fn spawn(&self, process: &Process) -> Result<Child, SpawnFailure> {
        self.spawn_with(process, Stdio::default())
    }

    pub(crate) fn spawn_with(
        &self,
        process: &Process,
        io: Stdio<'_>,
    ) -> Result<Child, SpawnFailure> {
        let plan = Plan::prepare(process, &Surroundings::new(&INHERITED))?;
        self.spawner.spawn(&plan, io)
    }

    /// Runs a process to its end.
    pub(crate) fn run(&self, process: &Process) -> ExitFacts {
        let child = self.spawn(process).expect("a child");
        end_of(child.pid)
    }

    /// What the process writes to its standard output.
    pub(crate) fn output(&self, process: &Process) -> String {
        let around = Surroundings::new(&INHERITED);
        output(&self.spawner, process, &around)
    }

    /// What a test child sees in these surroundings.
    pub(crate) fn report(&self, process: &Process) -> Value {
        serde_json::from_str(&self.output(process)).expect("a report")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub(crate) fn output(spawner: &Spawner, process: &Process, around: &Surroundings<'_>) -> String {
    let (read, write) = logpipe::pair(None).expect("a pipe");
    let plan = Plan::prepare(process, around).expect("a plan");
    let stdio = Stdio {
        stdout: Some(write.as_fd()),
        ..Stdio::default()
    };
    let child = spawner.spawn(&plan, stdio).expect("a child");
    drop((plan, write));
    let text = read_all(&read);
    end_of(child.pid);
    text
}

/// Everything until the last write end is closed.
pub(crate) fn read_all(read: &LogReader) -> String {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut text = Vec::new();
    let mut buffer = [0_u8; 4096];
    loop {
        match read.read(&mut buffer).expect("a read") {
            Chunk::Bytes(n) => text.extend_from_slice(&buffer[..n]),
            Chunk::End => return String::from_utf8_lossy(&text).into_owned(),
            Chunk::Empty => {
                let mut fds = [PollFd::new(read.as_fd(), PollFlags::POLLIN)];
                let seen = poll(&mut fds, PollTimeout::from(20_000_u16)).expect("a poll");
                assert_eq!(seen, 1, "no output and no end within 20 s");
            }
        }
    }
}

/// Waits for the end of this child and reaps it.
pub(crate) fn end_of(pid: i32) -> ExitFacts {
    let mut peeked = None;
    let reaped = reap::wait_for(pid, &mut |dead| peeked = Some(dead.pid)).expect("a dead child");
    assert_eq!((reaped.pid, peeked), (pid, Some(pid)));
    reaped.facts
}

/// Whether we are the process that [`again`] made.
pub(crate) fn is_again() -> bool {
    std::env::var_os("SUPD_TEST_AGAIN").is_some()
}

/// Whether we may change users. A test that must says so and is over where we may not.
#[expect(clippy::print_stdout, reason = "who runs the tests must see it")]
pub(crate) fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root && !is_again() {
        println!("not tried: it takes root");
    }
    root
}

/// A process with nothing special about it.
pub(crate) fn process(words: &[&str]) -> Process {
    Process {
        logs: Arc::new(Logs {
            to: LogSink::Null,
            ..Logs::captured(0)
        }),
        pdeathsig: Some(Signal::KILL),
        ..Process::new(argv(words))
    }
}

pub(crate) fn argv(words: &[&str]) -> Command {
    Command::Argv(words.iter().map(|word| Box::from(*word)).collect())
}

/// A test child with this script.
pub(crate) fn script(words: &[&str]) -> Process {
    let mut all = vec![TESTCHILD];
    all.extend(words);
    process(&all)
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a path of plain letters")
}

pub(crate) fn code(code: u8) -> ExitStatus {
    ExitStatus::Code(code)
}

/// Runs the named test of this program again in a process with other rights, made by `prefix` (a
/// command that executes the rest) and `shape`. `true` in that process, where the test goes on.
pub(crate) fn again(
    world: &World,
    name: &str,
    prefix: &[&str],
    shape: impl Fn(&mut Process),
) -> bool {
    if is_again() {
        return true;
    }
    let exe = std::env::current_exe().expect("our own path");
    let mut words = prefix.to_vec();
    words.extend([text(&exe), "--exact", name, "--nocapture"]);
    let mut process = process(&words);
    process.env = Box::new([(
        "SUPD_TEST_AGAIN".into(),
        supd::spec::EnvValue::Plain("1".into()),
    )]);
    shape(&mut process);
    let (read, write) = logpipe::pair(None).expect("a pipe");
    let stdio = Stdio {
        stdout: Some(write.as_fd()),
        stderr: Some(write.as_fd()),
        ..Stdio::default()
    };
    let child = world.spawn_with(&process, stdio).expect("a child");
    drop(write);
    let said = read_all(&read);
    assert_eq!(end_of(child.pid).status, code(0), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    false
}
