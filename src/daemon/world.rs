// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that runs: the processes of services and helpers, what they say, how they are
//! started and signalled.
//!
//! Performs what the engine asks for and says what came of it as events. It never decides what to
//! start or whom to signal. How runs end is in `graves`, what they leave behind in `strays`.

use super::control::Message;
use super::drill::Drill;
use super::graves::{Dead, Graves, Runaway};
use super::hook_run::Written;
use super::logs::Logs;
use super::oom::Oomed;
use super::probes::{FileMark, Probes};
use super::sockets::Sockets;
use super::start::Slow;
use super::strays::{Strays, mark};
use super::token::Token;
use crate::config::Patterns;
use crate::spec::{Command, HandOver, Probe, Scope, Service, Signal};
use crate::sys::block::Block;
use crate::sys::epoll::{Interest, Poller};
use crate::sys::init::Inherited;
use crate::sys::leftovers::may_speak;
use crate::sys::logpipe::{Chunk, LogReader, pair};
use crate::sys::notify::{Field, NotifySocket};
use crate::sys::procs::Procs;
use crate::sys::spawn::Spawner;
use crate::tree::{Event, NodeId, Question, RunId, Said};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// Datagrams of one run that are taken in one turn; a run that sends more waits for the next.
pub(crate) const DATAGRAMS: usize = 64;
/// Last lines that an exit's record carries.
pub(crate) const LAST_LINES: usize = 10;

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is the service.
    Service,
    /// It works for it: a probe, a stop or reload command.
    Helper,
    /// It is a step of a remedy.
    Hook,
}

/// A process of ours, from its spawn to its reaping.
#[derive(Debug)]
pub(super) struct Running {
    run: RunId,
    /// What it is for.
    pub role: Role,
    /// Whom a stop reaches.
    pub scope: Scope,
    /// How far its stop has reached.
    pub reach: Reach,
    /// It was sent SIGKILL by us.
    pub killed: bool,
    pub(super) notify: Option<Box<NotifySocket>>,
    ready: Option<LogReader>,
    said: Option<Box<str>>,
    /// The file that says it is ready, as it was before its start.
    before: Option<FileMark>,
    /// The file that is to change while it lives, as it was seen the last time.
    seen: Option<FileMark>,
    /// Of a hook.
    pub written: Option<Box<Written>>,
}

impl Running {
    /// A process with nothing of its own.
    pub(super) fn new(run: RunId, role: Role, scope: Scope) -> Self {
        Self {
            run,
            role,
            scope,
            reach: Reach::Group,
            killed: false,
            notify: None,
            ready: None,
            said: None,
            before: None,
            seen: None,
            written: None,
        }
    }
}

/// How far the signals of its stop have reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// At most its group.
    Group,
    /// Everything of the run: who ran away from the group is looked for at its end.
    Tree,
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
    /// The breakers it lists and their states, for its environment; empty: none.
    pub breakers: &'a str,
    /// Instead of the service's own command, and the service's process.
    pub helper: Option<(&'a Command, Option<RunId>)>,
}

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct World {
    pub(super) poller: Rc<Poller>,
    pub(super) spawner: Spawner,
    pub(super) inherited: Inherited,
    pub(super) block: Rc<Block>,
    /// Unreaped processes of ours.
    pub(super) procs: Procs<RunId>,
    /// The same by life, with what belongs to each, until its end is told.
    pub(super) running: BTreeMap<u64, Running>,
    /// What is remembered for records of ends.
    pub(super) dead: BTreeMap<RunId, Dead>,
    /// The same of hooks, until the end of the turn: not all of them are told of.
    pub(super) dead_hooks: BTreeMap<RunId, Dead>,
    /// Ends that are not told yet.
    pub graves: Graves,
    /// Children that we have not started.
    pub strays: Strays,
    /// Output of services.
    pub logs: Logs,
    /// Probes of our own.
    pub probes: Probes,
    /// What has happened and was not handed to the engine yet.
    pub events: VecDeque<Event>,
    /// A fault on purpose.
    pub drill: Drill,
    /// Who was left behind, to be told.
    pub runaways: Vec<Runaway>,
    /// What the output of services is looked at with.
    pub patterns: Rc<Patterns>,
    /// Who was killed for want of memory.
    pub(super) oom: Oomed,
    looking: Looking,
    pub(super) slow: Slow,
    pub(super) socket: Option<String>,
    /// Sockets held for services.
    pub sockets: Sockets,
    /// The life of the daemon.
    pub(super) boot: String,
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
    /// Sockets for services.
    pub sockets: Sockets,
    /// The control socket, for services that may use it.
    pub socket: Option<String>,
    /// The life of the daemon: with it a run's mark is unlike that of another daemon.
    pub boot: String,
    /// What the output of services is looked at with.
    pub patterns: Rc<Patterns>,
}

impl World {
    /// Nothing runs yet.
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            poller: parts.poller,
            spawner: parts.spawner,
            block: Rc::new(Block::new(&parts.inherited.env)),
            inherited: parts.inherited,
            procs: Procs::new(),
            running: BTreeMap::new(),
            dead: BTreeMap::new(),
            dead_hooks: BTreeMap::new(),
            graves: Graves::default(),
            strays: Strays::at_start(),
            logs: parts.logs,
            probes: Probes::new(parts.answers),
            events: VecDeque::new(),
            drill: Drill::default(),
            runaways: Vec::new(),
            patterns: parts.patterns,
            oom: Oomed::new(),
            looking: Looking::Yes,
            slow: Slow::default(),
            sockets: parts.sockets,
            socket: parts.socket,
            boot: parts.boot,
        }
    }

    /// The control socket that services with `control` are told of.
    pub(crate) fn set_socket(&mut self, address: String) {
        self.socket = Some(address);
    }

    /// What the child is given so that it can say when it is ready. Everything that can fail is
    /// done before there is a child.
    pub(super) fn prepare(&self, order: Order<'_>) -> io::Result<(Running, Option<OwnedFd>)> {
        let life = order.run.life;
        let scope = order.service.stop.scope;
        let mut running = Running::new(order.run, Role::Service, scope);
        if order.helper.is_some() {
            running.role = Role::Helper;
            return Ok((running, None));
        }
        running.before = FileMark::before(&order.service.ready);
        if order.service.speaks() {
            let socket = NotifySocket::new()?;
            let token = Token::Notify(life).encode();
            self.poller.add(&socket, token, Interest::Read)?;
            running.notify = Some(Box::new(socket));
        }
        match order.service.ready.hands_over() {
            HandOver::Nothing | HandOver::NotifySocket => Ok((running, None)),
            HandOver::Descriptor(_) => {
                let (read, write) = pair(None)?;
                let token = Token::Ready(life).encode();
                self.poller.add(&read, token, Interest::Read)?;
                running.ready = Some(read);
                Ok((running, Some(write)))
            }
        }
    }

    /// Begins a probe of our own.
    pub(crate) fn probe(&mut self, run: RunId, asked: (RunId, Question), probe: Arc<Probe>) {
        let (about, question) = asked;
        let running = self.running.get(&about.life);
        let before = running.and_then(|running| match question {
            Question::Readiness => running.before,
            Question::Liveness => running.seen,
        });
        self.probes.begin((run, asked), probe, before);
    }

    /// The file that a service touches as a sign of life looked like this the last time.
    pub(crate) fn saw(&mut self, about: RunId, mark: Option<FileMark>) {
        if let (Some(running), Some(_)) = (self.running.get_mut(&about.life), mark) {
            running.seen = mark;
        }
    }

    /// Sends a signal. A run that is gone is no error, and any other failure shows in that the
    /// process does not end.
    pub(crate) fn signal(&mut self, run: RunId, signal: Signal, scope: Scope) {
        if let (Scope::Tree, Looking::Yes, Some(running)) =
            (scope, self.looking, self.running.get_mut(&run.life))
            && running.reach == Reach::Group
        {
            running.reach = Reach::Tree;
            self.remember_kin(run);
        }
        if let Some(running) = self.running.get_mut(&run.life) {
            running.killed |= signal == Signal::KILL;
        }
        let signal = self.slow.instead_of(signal, run);
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
        let dead = self.dead.remove(&run);
        dead.or_else(|| self.dead_hooks.remove(&run))
            .unwrap_or_default()
    }

    /// How many processes of ours there are.
    pub(crate) fn count(&self) -> usize {
        self.procs.len()
    }

    /// Whether who runs away is looked for.
    pub(super) fn is_looking(&self) -> bool {
        self.looking == Looking::Yes
    }

    /// From now on nobody is looked for at the end of a run: everything goes down, and the end of
    /// the daemon looks for all of them at once.
    pub(crate) fn look_no_more(&mut self) {
        for running in self.running.values_mut() {
            running.reach = Reach::Group;
        }
        self.looking = Looking::No;
    }

    /// Takes the datagrams of a run, at most so many.
    pub(crate) fn hear(&mut self, life: u64, most: usize) {
        let Some(running) = self.running.get_mut(&life) else {
            return;
        };
        let Some(socket) = &running.notify else {
            return;
        };
        let run = running.run;
        let leader = self.procs.pid_of(run);
        for message in std::iter::from_fn(|| socket.recv()).take(most) {
            // The leader is known by its number; who else speaks is looked at.
            let own = leader == Some(message.pid);
            if !own && !may_speak(message.pid, leader, &mark(&self.boot, run)) {
                continue;
            }
            for field in message.fields {
                let said = match field {
                    Field::Ready => Event::Ready { run },
                    Field::Stopping => Event::Said {
                        run,
                        said: Said::Stopping,
                    },
                    Field::ExtendTimeoutUsec(span) => Event::Said {
                        run,
                        said: Said::Extend(Duration::from_micros(span)),
                    },
                    Field::Watchdog => Event::Said {
                        run,
                        said: Said::Alive,
                    },
                    Field::WatchdogTrigger => Event::Said {
                        run,
                        said: Said::Broken,
                    },
                    Field::WatchdogUsec(span) => Event::Said {
                        run,
                        said: Said::Watchdog(Duration::from_micros(span)),
                    },
                    Field::Status(text) => {
                        running.said = Some(text.into());
                        continue;
                    }
                    Field::Class(name) => Event::Said {
                        run,
                        said: Said::Class(name.into()),
                    },
                    Field::RetryAfterSec(seconds) => Event::Said {
                        run,
                        said: Said::RetryAfter(Duration::from_secs(seconds)),
                    },
                    Field::Errno(number) => Event::Said {
                        run,
                        said: Said::Errno(number),
                    },
                    Field::BusError(name) => Event::Said {
                        run,
                        said: Said::BusError(name.into()),
                    },
                    // Whom we supervise is who we started. The rest has no meaning here yet.
                    Field::MainPid(_) | Field::Reloading | Field::Barrier => continue,
                };
                self.events.push_back(said);
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

    /// Writes what waits for our own outputs.
    pub(crate) fn flush(&mut self) {
        self.logs.passing.flush(&self.poller);
    }

    /// The service's output belongs to this run from now on.
    pub(crate) fn begin_run(&mut self, node: NodeId, name: &Arc<str>, number: u32) {
        self.logs.begin(node, name, number);
    }
}
