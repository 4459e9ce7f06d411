// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs of remedies: what they are given, what they write, and how their end is told.
//!
//! A hook is a run like any other: spawned, signalled and reaped on the same paths. Its input is
//! the event of the end it is for, in a file in memory; what it writes is read without ever making
//! it wait, the last part is kept for the record, and the last line of its output may ask for a
//! wait. Whatever it leaves behind is killed at its end. It decides nothing: the engine makes a
//! verdict of the exit code.

use super::builtin::{Builtin, WORD};
use super::graves::Dead;
use super::ring::Stream;
use super::strays::mark;
use super::token::Token;
use super::world::{Role, Running, World};
use crate::spec::limits::HOOK_TAIL_MAX;
use crate::spec::{Command, Process, Remedy, RunsAs, Scope, Service, SpawnFailure, Stage, Step};
use crate::sys::epoll::Interest;
use crate::sys::logpipe::{Chunk, LogReader, pair};
use crate::sys::memfd;
use crate::sys::spawn::{Plan, Stdio, Surroundings};
use crate::tree::{Case, Event, Rehearsal, RunId};
use crate::wire::{EventLine, span};
use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

/// The descriptor under which a hook sees what the service wrote last.
const STDERR_FD: u32 = 3;
/// Bytes read from one pipe in one turn.
const TURN: usize = 64 << 10;

/// A step that is to be run.
#[derive(Debug)]
pub(crate) struct HookOrder<'a> {
    pub run: RunId,
    pub service: &'a Service,
    pub path: &'a str,
    pub remedy: &'a Remedy,
    pub step: usize,
    pub case: &'a Case,
    /// The event of the end it is for.
    pub about: EventLine,
}

/// What a hook writes.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pipes: [Option<LogReader>; 2],
    /// The last bytes of both, in the order they were read.
    tail: Vec<u8>,
    /// The last complete line of its output, and what came after it.
    last: Vec<u8>,
    open: Vec<u8>,
    /// Bytes that are not kept.
    dropped: u64,
}

impl Written {
    fn take(&mut self, stream: Stream, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        let over = self.tail.len().saturating_sub(HOOK_TAIL_MAX);
        self.tail.drain(..over);
        self.dropped += over as u64;
        if stream == Stream::Err {
            return;
        }
        for byte in bytes {
            if *byte == b'\n' {
                if !self.open.is_empty() {
                    self.last = std::mem::take(&mut self.open);
                }
            } else if self.open.len() < HOOK_TAIL_MAX {
                self.open.push(*byte);
            }
        }
    }

    /// The wait that its last line asks for: `{"after": "120s"}`.
    fn after(&self) -> Option<Duration> {
        let line = if self.open.is_empty() {
            &self.last
        } else {
            &self.open
        };
        let asked: serde_json::Value = serde_json::from_slice(line).ok()?;
        span::parse(asked.get("after")?.as_str()?)
    }

    /// The lines that are kept.
    fn lines(&self) -> Box<[String]> {
        let text = String::from_utf8_lossy(&self.tail);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if self.dropped > 0 {
            lines.insert(
                0,
                format!("({} bytes before this are not kept)", self.dropped),
            );
        }
        lines.into()
    }
}

impl World {
    /// Executes a step of a remedy; the answer is in `events` afterwards.
    pub(crate) fn run_hook(&mut self, order: &HookOrder<'_>) {
        let run = order.run;
        let event = self.try_hook(order);
        let event = event.unwrap_or_else(|failure| Event::SpawnFailed { run, failure });
        self.events.push_back(event);
    }

    fn try_hook(&mut self, order: &HookOrder<'_>) -> Result<Event, SpawnFailure> {
        let run = order.run;
        let failed = |error: io::Error| SpawnFailure {
            stage: Stage::Pipe,
            errno: error.raw_os_error().unwrap_or(0),
        };
        let command = command_of(order);
        let own;
        let process = match order.remedy.runs_as {
            RunsAs::Service => &*order.service.process,
            RunsAs::Supd => {
                own = Process::new(command.clone());
                &own
            }
        };
        let words = self.logs.last_words(run.node, usize::MAX);
        let words: String = words.iter().flat_map(|line| [&**line, "\n"]).collect();
        let stderr = memfd::with_text(words.as_bytes()).map_err(failed)?;
        let mut told = serde_json::to_vec(&order.about).unwrap_or_default();
        told.push(b'\n');
        let input = memfd::with_text(&told).map_err(failed)?;
        let mut written = Written::default();
        let (out, err) = self.pipes_of(run, &mut written).map_err(failed)?;
        let env = self.hook_env(order);
        let env: Vec<(&str, &str)> = env.iter().map(|(k, v)| (&**k, &**v)).collect();
        let around = Surroundings {
            env: &env,
            block: Some(&self.block),
            command: Some(&command),
            ..Surroundings::new(&self.inherited)
        };
        let plan = Plan::prepare(process, &around)?;
        let stdio = Stdio {
            stdin: Some(input.as_fd()),
            stdout: Some(out.as_fd()),
            stderr: Some(err.as_fd()),
            ready: Some((STDERR_FD, stderr.as_fd())),
        };
        let started = self.spawner.start(plan, stdio)?;
        let mut running = Running::new(run, Role::Hook, Scope::Tree);
        running.written = Some(Box::new(written));
        self.running.insert(run.life, running);
        Ok(self.enter(run, started))
    }

    fn pipes_of(
        &self,
        run: RunId,
        written: &mut Written,
    ) -> io::Result<(std::os::fd::OwnedFd, std::os::fd::OwnedFd)> {
        let one = |stream: Stream| {
            let (read, write) = pair(None)?;
            let token = Token::Hook(run.life, stream).encode();
            self.poller.add(&read, token, Interest::Read)?;
            Ok::<_, io::Error>((read, write))
        };
        let (out, err) = (one(Stream::Out)?, one(Stream::Err)?);
        written.pipes = [Some(out.0), Some(err.0)];
        Ok((out.1, err.1))
    }

    /// SEMANTICS §6 has the list.
    fn hook_env(&self, order: &HookOrder<'_>) -> Vec<(String, String)> {
        let HookOrder { case, about, .. } = order;
        let mut env: Vec<(String, String)> = Vec::new();
        let mut put = |name: &str, value: String| env.push((name.to_owned(), value));
        put("SUPD_HOOK_API", "1".to_owned());
        put("SUPD_NAME", order.service.name.to_string());
        put("SUPD_PATH", order.path.to_owned());
        put("SUPD_SUPERVISOR", case.supervisor.to_string());
        put("SUPD_CLASS", case.class.to_string());
        put("SUPD_BASE", case.base.to_owned());
        put("SUPD_FAMILY", case.family.as_str().to_owned());
        put("SUPD_ATTEMPT", case.attempt.to_string());
        put("SUPD_REMEDIATION", order.remedy.id.to_string());
        put("SUPD_STDERR_FILE", format!("/proc/self/fd/{STDERR_FD}"));
        let dry = case.rehearsal == Rehearsal::Dry;
        put("SUPD_DRY_RUN", if dry { "1" } else { "0" }.to_owned());
        let pid = case
            .about
            .and_then(|run| self.procs.pid_of(run))
            .or(about.pid);
        let mut maybe = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                env.push((name.to_owned(), value));
            }
        };
        maybe("SUPD_TRIGGER", case.trigger.map(|t| t.as_str().to_owned()));
        maybe("SUPD_PHASE", about.phase.as_ref().map(ToString::to_string));
        maybe("SUPD_PID", pid.map(|pid| pid.to_string()));
        maybe("SUPD_EXIT_CODE", about.code.map(|code| code.to_string()));
        maybe(
            "SUPD_EXIT_SIGNAL",
            about.signal.as_ref().map(ToString::to_string),
        );
        let core = about
            .signal
            .as_ref()
            .map(|_| u8::from(about.core).to_string());
        maybe("SUPD_CORE", core);
        maybe("SUPD_UPTIME_MS", about.uptime_ms.map(|ms| ms.to_string()));
        maybe(
            "SUPD_BUDGET_LEFT",
            case.budget_left.map(|left| left.to_string()),
        );
        maybe(
            "SUPD_INCIDENT",
            case.incident.map(|incident| format!("i{}", incident.0)),
        );
        for group in about.matched.iter().flat_map(|found| &found.captures) {
            // The configuration names the group; its value may be anything.
            let name = format!("SUPD_M_{}", group.name);
            maybe(&name, Some(group.text.replace('\0', "")));
        }
        maybe("SUPD_SOCKET", self.socket.clone());
        let mark = mark(&self.boot, order.run);
        maybe(
            "SUPD_RUN",
            mark.strip_prefix("SUPD_RUN=").map(str::to_owned),
        );
        env
    }

    /// Takes what a hook has written.
    pub(crate) fn read_hook(&mut self, life: u64, stream: Stream) {
        if let Some(running) = self.running.get_mut(&life)
            && let Some(written) = &mut running.written
        {
            read(written, stream, TURN);
        }
    }

    /// A hook has ended: what is left in its pipes, then the word of it to the engine.
    pub(super) fn bury_hook(&mut self, run: RunId, (dead, facts): (Dead, crate::spec::ExitFacts)) {
        let written = self.running.remove(&run.life).and_then(|r| r.written);
        let mut written = written.unwrap_or_default();
        for stream in [Stream::Out, Stream::Err] {
            read(&mut written, stream, TURN);
        }
        let last_lines = written.lines();
        let dead = Dead { last_lines, ..dead };
        self.dead_hooks.insert(run, dead);
        let after = written.after();
        let status = facts.status;
        self.events
            .push_back(Event::HookDone { run, status, after });
    }

    /// The hook that this process belongs to: it leads its session, or is in it.
    pub(crate) fn hook_of(&self, pid: i32) -> Option<RunId> {
        let leader = crate::sys::leftovers::session_of(pid)?;
        let run = self
            .procs
            .run_of(pid)
            .or_else(|| self.procs.run_of(leader))?;
        let role = self.running.get(&run.life).map(|running| running.role);
        (role == Some(Role::Hook)).then_some(run)
    }
}

/// Reads at most so much; a pipe at its end is closed.
fn read(written: &mut Written, stream: Stream, most: usize) {
    let place = usize::from(stream == Stream::Err);
    let mut left = most;
    let mut bytes = [0; 4096];
    while left > 0 {
        let Some(pipe) = &written.pipes[place] else {
            return;
        };
        match pipe.read(&mut bytes) {
            Ok(Chunk::Bytes(n)) => {
                left = left.saturating_sub(n);
                written.take(stream, &bytes[..n]);
            }
            Ok(Chunk::Empty) => return,
            Ok(Chunk::End) | Err(_) => written.pipes[place] = None,
        }
    }
}

/// What a step executes; built-in ones are done by a copy of ourselves.
fn command_of(order: &HookOrder<'_>) -> Command {
    let builtin = match order.remedy.steps.get(order.step) {
        Some(Step::Run(command)) => return command.clone(),
        Some(Step::RemoveStaleLock { path, kind }) => Builtin::RemoveStaleLock(*kind, path.clone()),
        Some(Step::Capture(what)) => Builtin::Capture(what.to_vec()),
        Some(
            Step::Delay(_) | Step::Signal { .. } | Step::Restart(_) | Step::Park | Step::Escalate,
        )
        | None => Builtin::Capture(Vec::new()),
    };
    let own = ["/proc/self/exe".to_owned(), WORD.to_owned()];
    let words = own.into_iter().chain(builtin.words());
    Command::Argv(words.map(String::into_boxed_str).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_the_output_may_ask_for_a_wait() {
        let mut written = Written::default();
        written.take(Stream::Out, b"trying\n{\"after\": \"120s\"}\n");
        assert_eq!(written.after(), Some(Duration::from_secs(120)));
        written.take(Stream::Err, b"{\"after\": \"5s\"}\n");
        assert_eq!(
            written.after(),
            Some(Duration::from_secs(120)),
            "stderr is talk"
        );
        written.take(Stream::Out, b"never mind");
        assert_eq!(written.after(), None);
    }

    #[test]
    fn of_much_output_the_last_part_is_kept_and_the_rest_is_counted() {
        let mut written = Written::default();
        for _ in 0..100 {
            written.take(Stream::Out, &[b'x'; 1000]);
        }
        written.take(Stream::Out, b"\nthe end\n");
        let lines = written.lines();
        assert_eq!(lines.last().map(String::as_str), Some("the end"));
        assert!(lines[0].starts_with("(95"), "{}", lines[0]);
        assert!(written.tail.len() <= HOOK_TAIL_MAX);
        assert!(written.open.len() <= HOOK_TAIL_MAX);
    }
}
