// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that runs: the processes of services and helpers, what they say, how they are
//! started and signalled.
//!
//! Performs what the engine asks for and says what came of it as events. It never decides what to
//! start or whom to signal; the one thing it does by itself is to kill what is left of a process
//! group whose leader is dead, while the dead leader still keeps the number from others.

use super::control::Message;
use super::logs::{Handles, Logs};
use super::orphans::Whose;
use super::probes::Probes;
use super::ring::Stream;
use super::token::Token;
use crate::spec::{Command, HandOver, Scope, Service, Signal, SpawnFailure, Stage};
use crate::sys::epoll::{Interest, Poller};
use crate::sys::init::Inherited;
use crate::sys::leftovers::{self, Leftover};
use crate::sys::logpipe::{Chunk, LogReader, pair};
use crate::sys::notify::{Field, NotifySocket};
use crate::sys::procs::Procs;
use crate::sys::reap::{self, Reaped};
use crate::sys::spawn::{Child, Plan, Spawner, Stdio, Surroundings};
use crate::tree::{Event, NodeId, RunId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::mpsc::Sender;

/// Datagrams of one run that are taken in one turn; a run that sends more waits for the next.
const DATAGRAMS: usize = 64;
/// Last lines that an exit's record carries.
pub(crate) const LAST_LINES: usize = 10;

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is the service.
    Service,
    /// It works for it: a probe, a stop or reload command.
    Helper,
}

/// A process of ours, from its spawn to its reaping.
#[derive(Debug)]
struct Running {
    run: RunId,
    role: Role,
    notify: Option<Box<NotifySocket>>,
    ready: Option<LogReader>,
    said: Option<Box<str>>,
    reach: Reach,
}

/// How far the signals of its stop have reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// At most its group.
    Group,
    /// Everything of the run: who ran away from the group is looked for at its end.
    Tree,
}

/// A process that had left its service's group and was killed.
#[derive(Debug)]
pub(crate) struct Runaway {
    /// Whose it was.
    pub run: RunId,
    /// The process.
    pub found: Leftover,
}

/// Children by pid and start time that are not ours to kill.
pub(crate) type Strangers = BTreeSet<(i32, u64)>;

/// What is remembered of a run between its reaping and its record.
#[derive(Debug, Default)]
pub(crate) struct Dead {
    /// The number it had.
    pub pid: Option<i32>,
    /// Its last lines.
    pub last_lines: Box<[String]>,
}

/// What a spawn is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    /// Its name.
    pub run: RunId,
    /// The service.
    pub service: &'a Service,
    /// Its place in the tree.
    pub path: &'a str,
    /// Instead of the service's own command, and the service's process.
    pub helper: Option<(&'a Command, Option<RunId>)>,
}

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct World {
    poller: Rc<Poller>,
    spawner: Spawner,
    inherited: Inherited,
    procs: Procs<RunId>,
    running: BTreeMap<u64, Running>,
    dead: BTreeMap<RunId, Dead>,
    /// Output of services.
    pub logs: Logs,
    /// Probes of our own.
    pub probes: Probes,
    /// What has happened and was not handed to the engine yet.
    pub events: VecDeque<Event>,
    /// Who was found and killed, to be told.
    pub runaways: Vec<Runaway>,
    /// Children we had before we started any.
    pub strangers: Strangers,
    looking: Looking,
    socket: Option<String>,
    boot: String,
}

/// Whether runaways are looked for at the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looking {
    Yes,
    No,
}

/// What a world is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The loop's descriptors.
    pub poller: Rc<Poller>,
    /// The way to children.
    pub spawner: Spawner,
    /// What we were started with.
    pub inherited: Inherited,
    /// Where services' output goes.
    pub logs: Logs,
    /// To the loop, for probes.
    pub answers: Sender<Message>,
    /// The control socket, for services that may use it.
    pub socket: Option<String>,
    /// The life of the daemon: with it a run's mark is unlike that of another daemon.
    pub boot: String,
}

impl World {
    /// Nothing runs yet.
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            poller: parts.poller,
            spawner: parts.spawner,
            inherited: parts.inherited,
            procs: Procs::new(),
            running: BTreeMap::new(),
            dead: BTreeMap::new(),
            logs: parts.logs,
            probes: Probes::new(parts.answers),
            events: VecDeque::new(),
            runaways: Vec::new(),
            strangers: children(),
            looking: Looking::Yes,
            socket: parts.socket,
            boot: parts.boot,
        }
    }

    /// Executes a program; the answer is in `events` afterwards.
    pub(crate) fn spawn(&mut self, order: Order<'_>) {
        let run = order.run;
        let event = match self.try_spawn(order) {
            Ok(()) => Event::Spawned { run },
            Err(failure) => Event::SpawnFailed { run, failure },
        };
        self.events.push_back(event);
    }

    fn try_spawn(&mut self, order: Order<'_>) -> Result<(), SpawnFailure> {
        let (running, ready_end) = self.prepare(order).map_err(|e| SpawnFailure {
            stage: Stage::Pipe,
            errno: e.raw_os_error().unwrap_or(0),
        })?;
        let child = self.execute(order, &running, ready_end.as_ref())?;
        self.procs.insert(child.pid, order.run, child.pidfd);
        self.running.insert(order.run.life, running);
        Ok(())
    }

    /// What the child is given so that it can say when it is ready. Everything that can fail is
    /// done before there is a child.
    fn prepare(&self, order: Order<'_>) -> io::Result<(Running, Option<OwnedFd>)> {
        let life = order.run.life;
        let mut running = Running {
            run: order.run,
            role: Role::Service,
            notify: None,
            ready: None,
            said: None,
            reach: Reach::Group,
        };
        if order.helper.is_some() {
            running.role = Role::Helper;
            return Ok((running, None));
        }
        match order.service.ready.hands_over() {
            HandOver::Nothing => Ok((running, None)),
            HandOver::NotifySocket => {
                let socket = NotifySocket::new()?;
                let token = Token::Notify(life).encode();
                self.poller.add(&socket, token, Interest::Read)?;
                running.notify = Some(Box::new(socket));
                Ok((running, None))
            }
            HandOver::Descriptor(_) => {
                let (read, write) = pair(None)?;
                let token = Token::Ready(life).encode();
                self.poller.add(&read, token, Interest::Read)?;
                running.ready = Some(read);
                Ok((running, Some(write)))
            }
        }
    }

    fn execute(
        &mut self,
        order: Order<'_>,
        running: &Running,
        ready_end: Option<&OwnedFd>,
    ) -> Result<Child, SpawnFailure> {
        let service = order.service;
        let name = &*service.name;
        let (run, pid) = (mark(&self.boot, order.run), self.about(order));
        let instance = name.rsplit_once('.').map_or("1", |(_, number)| number);
        let mut env = vec![
            ("SUPD_NAME", name),
            ("SUPD_PATH", order.path),
            ("SUPD_INSTANCE", instance),
            ("SUPD_RUN", &run),
        ];
        if let Some(socket) = &running.notify {
            env.push(("NOTIFY_SOCKET", socket.address()));
        }
        if let Some(pid) = &pid {
            env.push(("SUPD_PID", pid));
        }
        if let Some(socket) = self.socket.as_deref().filter(|_| service.process.control) {
            env.push(("SUPD_SOCKET", socket));
        }
        let around = Surroundings {
            env: &env,
            command: order.helper.map(|(command, _)| command),
            ..Surroundings::new(&self.inherited)
        };
        let plan = Plan::prepare(&service.process, &around)?;
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let (node, logs) = (order.run.node, &service.process.logs);
        let handles = match order.helper {
            Some(_) => self.logs.helper_handles(node, logs),
            None => self.logs.handles(node, logs, &self.poller)?,
        };
        let (out, err) = match &handles {
            Handles::Pipes(out, err) => (Some(out.as_fd()), Some(err.as_fd())),
            Handles::Inherit => (Some(stdout.as_fd()), Some(stderr.as_fd())),
            Handles::Null => (None, None),
        };
        let ready = match service.ready.hands_over() {
            HandOver::Descriptor(number) => ready_end.map(|fd| (number, fd.as_fd())),
            HandOver::Nothing | HandOver::NotifySocket => None,
        };
        let stdio = Stdio {
            stdin: None,
            stdout: out,
            stderr: err,
            ready,
        };
        self.spawner.spawn(&plan, stdio)
    }

    /// The number of the process a helper works for.
    fn about(&self, order: Order<'_>) -> Option<String> {
        let (_, about) = order.helper?;
        about
            .and_then(|run| self.procs.pid_of(run))
            .map(|pid| pid.to_string())
    }

    /// Sends a signal. A run that is gone is no error, and any other failure shows in that the
    /// process does not end.
    pub(crate) fn signal(&mut self, run: RunId, signal: Signal, scope: Scope) {
        if let (Scope::Tree, Looking::Yes, Some(running)) =
            (scope, self.looking, self.running.get_mut(&run.life))
        {
            running.reach = Reach::Tree;
        }
        let _gone = self.procs.signal(run, signal, scope);
    }

    /// The process of a run while it is unreaped.
    pub(crate) fn pid_of(&self, run: RunId) -> Option<i32> {
        self.procs.pid_of(run)
    }

    /// Whether this is the number of an unreaped process of ours.
    #[cfg(feature = "test-hooks")]
    pub(crate) fn has_pid(&self, pid: i32) -> bool {
        self.procs.run_of(pid).is_some()
    }

    /// The service's own words about itself (`STATUS=`).
    pub(crate) fn said(&self, life: u64) -> Option<&str> {
        self.running.get(&life).and_then(|r| r.said.as_deref())
    }

    /// What is remembered of a dead run; once.
    pub(crate) fn take_dead(&mut self, run: RunId) -> Dead {
        self.dead.remove(&run).unwrap_or_default()
    }

    /// How many processes of ours there are.
    pub(crate) fn count(&self) -> usize {
        self.procs.len()
    }

    /// Reaps one dead child: this one if a number is given, else whichever there is. The rest of
    /// its process group is killed while the dead leader still keeps the number from strangers.
    pub(crate) fn reap(&mut self, hint: Option<i32>) -> Option<(Reaped, Whose)> {
        let (mut peeked, mut left_by) = (None, None);
        let (procs, running, strangers) = (&self.procs, &self.running, &self.strangers);
        let boot = &self.boot;
        let mut at_peek = |pid: i32| {
            let Some(run) = procs.run_of(pid) else {
                // A service leads a session, and who leaves it mostly stays in there.
                left_by = leftovers::session_of(pid).and_then(|leader| procs.run_of(leader));
                return;
            };
            // Usually nobody is left: ESRCH.
            let _nobody = procs.signal(run, Signal::KILL, Scope::Group);
            let far = running.get(&run.life).map(|r| r.reach) == Some(Reach::Tree);
            if far && has_unknown_child(procs, strangers) {
                let mark = format!("SUPD_RUN={}", mark(boot, run));
                peeked = Some((run, leftovers::of_run(pid, &mark)));
            }
        };
        let reaped = match hint {
            Some(pid) => reap::one(pid, &mut at_peek),
            None => reap::next(&mut at_peek),
        }?;
        if let Some((run, found)) = peeked {
            self.kill_runaways(run, found);
        }
        let run = self.procs.take(reaped.pid);
        Some((reaped, run.map_or(Whose::Orphan(left_by), Whose::Ours)))
    }

    /// Whether there may be a child that no spawn of ours made.
    pub(crate) fn has_unknown_child(&self) -> bool {
        has_unknown_child(&self.procs, &self.strangers)
    }

    fn kill_runaways(&mut self, run: RunId, found: Vec<Leftover>) {
        for found in found {
            if leftovers::signal(&found, Signal::KILL).is_ok() {
                self.runaways.push(Runaway { run, found });
            }
        }
    }

    /// From now on nobody is looked for at the end of a run: everything goes down, and the end of
    /// the daemon looks for all of them at once.
    pub(crate) fn look_no_more(&mut self) {
        for running in self.running.values_mut() {
            running.reach = Reach::Group;
        }
        self.looking = Looking::No;
    }

    /// A run has ended: what it said before comes first, then its end.
    pub(crate) fn bury(&mut self, run: RunId, reaped: Reaped) {
        self.hear(run.life);
        self.hear_ready(run.life);
        let role = self.running.remove(&run.life).map(|r| r.role);
        self.logs.finish(run.node);
        if role == Some(Role::Service) {
            let last_lines = self.logs.last_words(run.node, LAST_LINES);
            let pid = Some(reaped.pid);
            self.dead.insert(run, Dead { pid, last_lines });
        }
        let facts = reaped.facts;
        self.events.push_back(Event::Exited { run, facts });
    }

    /// Takes the datagrams of a run. Who else may know the address, only the run's own process
    /// group and its children were given it.
    pub(crate) fn hear(&mut self, life: u64) {
        let Some(running) = self.running.get_mut(&life) else {
            return;
        };
        let Some(socket) = &running.notify else {
            return;
        };
        for message in std::iter::from_fn(|| socket.recv()).take(DATAGRAMS) {
            for field in message.fields {
                match field {
                    Field::Ready => self.events.push_back(Event::Ready { run: running.run }),
                    Field::Status(text) => running.said = Some(text.into()),
                    // Not in this version.
                    Field::Stopping
                    | Field::Reloading
                    | Field::Errno(_)
                    | Field::MainPid(_)
                    | Field::ExtendTimeoutUsec(_)
                    | Field::Watchdog
                    | Field::WatchdogTrigger
                    | Field::WatchdogUsec(_)
                    | Field::Barrier
                    | Field::Class(_)
                    | Field::RetryAfterSec(_) => {}
                }
            }
        }
    }

    /// Looks for the newline on a run's readiness descriptor.
    pub(crate) fn hear_ready(&mut self, life: u64) {
        let Some(running) = self.running.get_mut(&life) else {
            return;
        };
        let Some(pipe) = &running.ready else {
            return;
        };
        let mut bytes = [0; 512];
        match pipe.read(&mut bytes) {
            Ok(Chunk::Bytes(n)) if bytes[..n].contains(&b'\n') => {
                running.ready = None;
                self.events.push_back(Event::Ready { run: running.run });
            }
            Ok(Chunk::Bytes(_) | Chunk::Empty) => {}
            // Closed without a newline: it will not say anything any more.
            Ok(Chunk::End) | Err(_) => running.ready = None,
        }
    }

    /// Takes what a service has written.
    pub(crate) fn read_log(&mut self, node: NodeId, stream: Stream) {
        self.logs.read(node, stream);
    }

    /// Writes what waits for our own outputs.
    pub(crate) fn flush(&mut self) {
        self.logs.passing.flush(&self.poller);
    }

    /// The service's output belongs to this run from now on.
    pub(crate) fn begin_run(&mut self, node: NodeId, name: &Arc<str>, number: u32) {
        self.logs.begin(node, name, number);
    }
}

/// What a run's processes carry in their environment.
fn mark(boot: &str, run: RunId) -> String {
    format!("{boot}.{run}")
}

/// Every child of ours now, by pid and start time.
fn children() -> Strangers {
    if child_pids().is_some_and(|pids| pids.is_empty()) {
        return Strangers::new();
    }
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let found = leftovers::children_of(own);
    found.iter().map(|p| (p.pid, p.started)).collect()
}

/// Our children from one short file instead of a walk through all of /proc; `None` where the
/// kernel has no such file (`CONFIG_PROC_CHILDREN`).
fn child_pids() -> Option<Vec<i32>> {
    let text = std::fs::read_to_string("/proc/thread-self/children").ok()?;
    let words = text.split_ascii_whitespace();
    Some(words.filter_map(|w| w.parse().ok()).collect())
}

/// Whether we have a child that no spawn of ours made: who runs away from a dead leader becomes
/// one. Where it cannot be known cheaply it is assumed.
fn has_unknown_child(procs: &Procs<RunId>, strangers: &Strangers) -> bool {
    let known = |pid: i32| procs.run_of(pid).is_some() || strangers.iter().any(|(p, _)| *p == pid);
    child_pids().is_none_or(|pids| !pids.into_iter().all(known))
}
