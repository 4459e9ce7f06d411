// SPDX-License-Identifier: MIT OR Apache-2.0
//! From an order to a running program, and the starts that take their time on the way.
//!
//! A program may lie on a file system that does not answer, now or ever. Such a start is left to
//! itself, can be signalled like any run, and is heard of when its program runs; one that fails
//! counts as failed when its process is reaped, so that there are never two of one service. It
//! decides nothing.

use super::pipes::Handles;
use super::sockets::told;
use super::strays::mark;
use super::token::Token;
use super::world::{Order, Running, World};
use crate::spec::{HandOver, Signal, SpawnFailure, Stage};
use crate::sys::epoll::{Interest, Poller};
use crate::sys::spawn::{Pending, Plan, Session, Started, Stdio, Surroundings};
use crate::tree::{Event, RunId};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Starts that are not done, by life.
#[derive(Debug, Default)]
pub(crate) struct Slow(BTreeMap<u64, (RunId, Box<Pending>)>);

impl Slow {
    /// One more. Where it cannot be waited for, it is heard of at its end.
    pub(crate) fn add(&mut self, run: RunId, pending: Box<Pending>, poller: &Poller) {
        let token = Token::Start(run.life).encode();
        let _unheard = poller.add(&pending, token, Interest::Read);
        self.0.insert(run.life, (run, pending));
    }

    /// What to send to a run instead of this signal. One that dumps core ends, on Linux before
    /// 5.17, everybody who shares its memory, and that is us as long as its program does not run.
    pub(crate) fn instead_of(&self, signal: Signal, run: RunId) -> Signal {
        if dumps_core(signal) && self.0.contains_key(&run.life) {
            Signal::KILL
        } else {
            signal
        }
    }

    /// The kernel says that something has come of it.
    pub(crate) fn hear(&mut self, life: u64, poller: &Poller) -> Option<Event> {
        let (run, pending) = self.0.get(&life)?;
        let run = *run;
        if pending.outcome()?.is_ok() {
            self.0.remove(&life);
            return Some(Event::Spawned { run });
        }
        // Its end follows.
        poller.remove(pending);
        None
    }

    /// Its process is reaped: what the engine has yet to be told before that.
    pub(crate) fn end(&mut self, life: u64) -> Option<Event> {
        let (run, pending) = self.0.remove(&life)?;
        let outcome = pending.outcome().unwrap_or(Ok(()));
        Some(match outcome {
            Ok(()) => Event::Spawned { run },
            Err(failure) => Event::SpawnFailed { run, failure },
        })
    }
}

/// Who has the terminal stays in our session: there it can be in the foreground.
fn session(order: Order<'_>) -> Session {
    if order.service.process.tty && order.helper.is_none() {
        Session::Foreground
    } else {
        Session::Own
    }
}

/// signal(7), "Standard signals": those whose default is `Core`.
fn dumps_core(signal: Signal) -> bool {
    [
        Signal::QUIT,
        Signal::ILL,
        Signal::TRAP,
        Signal::ABRT,
        Signal::BUS,
        Signal::FPE,
        Signal::SEGV,
        Signal::XCPU,
        Signal::XFSZ,
        Signal::SYS,
    ]
    .contains(&signal)
}

impl World {
    /// Executes a program; the answer is in `events` afterwards.
    pub(crate) fn spawn(&mut self, order: Order<'_>) {
        let run = order.run;
        let event = self.try_spawn(order);
        let event = event.unwrap_or_else(|failure| Event::SpawnFailed { run, failure });
        self.events.push_back(event);
    }

    fn try_spawn(&mut self, order: Order<'_>) -> Result<Event, SpawnFailure> {
        let run = order.run;
        let (running, ready_end) = self.prepare(order).map_err(|e| SpawnFailure {
            stage: Stage::Pipe,
            errno: e.raw_os_error().unwrap_or(0),
        })?;
        let started = self.execute(order, &running, ready_end.as_ref())?;
        self.strays.know(run.node, running.scope);
        self.running.insert(run.life, running);
        Ok(self.enter(run, started))
    }

    /// Takes a new process into the tables: whether its program runs already, or is waited for.
    pub(super) fn enter(&mut self, run: RunId, started: Started) -> Event {
        match started {
            Started::Running(child) => {
                self.procs.insert(child.pid, run, child.pidfd);
                Event::Spawned { run }
            }
            Started::Pending(pending) => {
                self.procs.insert(pending.pid(), run, None);
                self.slow.add(run, pending, &self.poller);
                Event::Forked { run }
            }
        }
    }

    pub(super) fn execute(
        &mut self,
        order: Order<'_>,
        running: &Running,
        ready_end: Option<&OwnedFd>,
    ) -> Result<Started, SpawnFailure> {
        let service = order.service;
        let name = &*service.name;
        let (mark, pid) = (mark(&self.boot, order.run), self.about(order));
        let run = mark.strip_prefix("SUPD_RUN=").unwrap_or_default();
        let instance = name.rsplit_once('.').map_or("1", |(_, number)| number);
        let mut env = vec![
            ("SUPD_NAME", name),
            ("SUPD_PATH", order.path),
            ("SUPD_INSTANCE", instance),
            ("SUPD_RUN", run),
        ];
        if let Some(socket) = &running.notify {
            env.push(("NOTIFY_SOCKET", socket.address()));
        }
        if !order.breakers.is_empty() {
            env.push(("SUPD_BREAKERS", order.breakers));
        }
        let watchdog = service.health.watchdog.filter(|_| order.helper.is_none());
        let watchdog = watchdog.map(|span| span.as_micros().to_string());
        if let Some(span) = &watchdog {
            env.push(("WATCHDOG_USEC", span));
        }
        if let Some(pid) = &pid {
            env.push(("SUPD_PID", pid));
        }
        if let Some(socket) = self.socket.as_deref().filter(|_| service.process.control) {
            env.push(("SUPD_SOCKET", socket));
        }
        let listen: &[_] = match order.helper {
            None => &service.process.listen,
            Some(_) => &[],
        };
        self.sockets.open(listen)?;
        let (count, names) = told(listen);
        if !listen.is_empty() {
            env.extend([("LISTEN_FDS", &*count), ("LISTEN_FDNAMES", &*names)]);
        }
        let sockets = self.sockets.get(listen);
        let around = Surroundings {
            listen: &sockets,
            session: session(order),
            env: &env,
            block: Some(&self.block),
            command: order.helper.map(|(command, _)| command),
            ..Surroundings::new(&self.inherited)
        };
        let plan = Plan::prepare(&service.process, &around)?;
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let (node, logs) = (order.run.node, &service.process.logs);
        let handles = match order.helper {
            Some(_) => self.logs.helper_handles(node, logs),
            None => self.logs.handles(node, logs)?,
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
        self.spawner.start(plan, stdio)
    }

    /// The number of the process a helper works for.
    fn about(&self, order: Order<'_>) -> Option<String> {
        let (_, about) = order.helper?;
        about
            .and_then(|run| self.procs.pid_of(run))
            .map(|pid| pid.to_string())
    }

    /// Something has come of a start that took its time.
    pub(crate) fn hear_start(&mut self, life: u64) {
        self.events.extend(self.slow.hear(life, &self.poller));
    }
}
