// SPDX-License-Identifier: MIT OR Apache-2.0
//! From an order to a running program, and the starts that take their time on the way.
//!
//! A program may lie on a file system that does not answer, now or ever. Such a start is left to
//! itself, can be signalled like any run, and is heard of when its program runs; one that fails
//! counts as failed when its process is reaped, so that there are never two of one service. It
//! decides nothing.

use super::token::Token;
use super::world::{Order, World};
use crate::spec::{Signal, SpawnFailure, Stage};
use crate::sys::epoll::{Interest, Poller};
use crate::sys::spawn::{Pending, Started};
use crate::tree::{Event, RunId};
use std::collections::BTreeMap;

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
        Ok(match started {
            Started::Running(child) => {
                self.procs.insert(child.pid, run, child.pidfd);
                Event::Spawned { run }
            }
            Started::Pending(pending) => {
                self.procs.insert(pending.pid(), run, None);
                self.slow.add(run, pending, &self.poller);
                Event::Forked { run }
            }
        })
    }

    /// Something has come of a start that took its time.
    pub(crate) fn hear_start(&mut self, life: u64) {
        self.events.extend(self.slow.hear(life, &self.poller));
    }
}
