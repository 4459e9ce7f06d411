// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of the daemon: nothing of ours is left behind, and the exit code says why.
//!
//! The engine has halted: every service is reaped or cannot be killed. What is left are processes
//! that ran away from their services and are our children now. As init of a pid name space of our
//! own they are killed with everybody else; else only those that came after us, by name. Every
//! wait here has an end.

use super::boot::say;
use super::exits::Exits;
use super::pulse::now;
use super::run::Daemon;
use super::words;
use crate::spec::{Node, Signal};
use crate::sys::epoll::Poller;
use crate::sys::everybody::OwnNamespace;
use crate::sys::leftovers::{self, Leftover};
use crate::tree::{Actor, Culprit, Defeat, Halt, What};
use std::fs::OpenOptions;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// How long the last processes have to be reaped after their SIGKILL.
const LAST_REAPING: Duration = Duration::from_secs(2);
/// How long the last lines wait for a slow reader of our outputs, and clients for their answers.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long a disk may take for the last lines of log files.
const LAST_WRITES: Duration = Duration::from_secs(2);
/// Bytes Kubernetes reads of a termination message.
const TERMINATION_MAX: usize = 4096;
/// The exit code when something would not end.
const LEFT_BEHIND: u8 = 1;

fn our_children() -> Vec<Leftover> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    leftovers::children_of(own)
}

/// Ends; the exit code.
pub(super) async fn end(mut daemon: Daemon, ready: &AsyncFd<Rc<Poller>>) -> u8 {
    let halt = daemon.halt.take().unwrap_or(Halt::Requested);
    daemon.upward.stopping();
    if let Halt::GaveUp { .. } = halt {
        daemon.exit_delay(ready).await;
    }
    daemon.leave_nobody(ready).await;
    daemon.press.publish(&daemon.tree, &mut daemon.world);
    daemon.answer_all();
    daemon.press.journal.close();
    daemon.world.logs.close();
    if let Some(served) = daemon.door.served.take() {
        served.gate.drained(LAST_WORDS).await;
        drop(served.ours);
    }
    daemon.last_words(ready).await;
    daemon.world.logs.files.end(LAST_WRITES);
    let (code, reason) = daemon.verdict(&halt);
    if let Some(reason) = reason {
        say(&format!("supd: {reason}\n"));
        termination_message(&reason);
    }
    code
}

impl Daemon {
    fn verdict(&self, halt: &Halt) -> (u8, Option<String>) {
        match halt {
            Halt::Requested => {
                let code = match self.turn.asked_by {
                    Some(Actor::Signal(_)) => self.tree.spec().settings.exit_on_term,
                    Some(Actor::Client { .. } | Actor::Supd) | None => 0,
                };
                (code, None)
            }
            Halt::GaveUp { code, why, culprit } => {
                let because = self.because(culprit.as_deref());
                let reason = match why {
                    Defeat::Exhausted {
                        bucket,
                        max,
                        period,
                    } => format!(
                        "gave up: one restart{} more than {max} in {},{because}",
                        words::of_bucket(*bucket),
                        words::span(*period)
                    ),
                    Defeat::Told(child) => {
                        format!("gave up, as the remedy of {child} says,{because}")
                    }
                    Defeat::StartFailed => format!("could not be started{because}"),
                };
                (*code, Some(self.of_root(&reason)))
            }
            Halt::AutoShutdown { code, culprit } => {
                let because = self.because(culprit.as_deref());
                (*code, Some(self.of_root(&format!("shut down{because}"))))
            }
            Halt::TimedOut { left, after } => {
                let reason = format!(
                    "the stop took {}, and not even SIGKILL has ended {}; see the state in `ps`",
                    words::span(*after),
                    left.join(", ")
                );
                (LEFT_BEHIND, Some(reason))
            }
        }
    }

    fn of_root(&self, what: &str) -> String {
        let root = self.tree.name(self.tree.root());
        format!("{} {what}", root.map_or("root", |name| name))
    }

    fn because(&self, culprit: Option<&Culprit>) -> String {
        let Some(culprit) = culprit else {
            return " because of nobody in particular".to_owned();
        };
        let view = self.tree.view(culprit.node);
        let process = view.as_ref().and_then(|view| match &view.spec {
            Node::Service(service) => Some(&*service.process),
            Node::Supervisor(_) => None,
        });
        let how = words::how(culprit.how, process);
        format!(" because of {}: {how}", culprit.name)
    }

    /// A container that gives up at once would be restarted in a spin; a signal cuts it short.
    async fn exit_delay(&mut self, ready: &AsyncFd<Rc<Poller>>) {
        let until = self.born.0 + self.tree.spec().settings.exit_delay;
        loop {
            let left = until.since(now());
            if left.is_zero() {
                return;
            }
            self.settle_outputs();
            wait_for_any(ready, left).await;
            self.forget_ends();
            let arrived = self.signals.drain().signals;
            if arrived.iter().any(|s| s != Signal::CHLD) {
                return;
            }
        }
    }

    /// Who waits for something else is not to be woken by these for ever; everybody who may have
    /// ended is looked for afterwards.
    fn forget_ends(&mut self) {
        if let Some(ends) = &self.ends {
            ends.take();
        }
        self.turn.exits = Exits::Perhaps;
    }

    fn settle_outputs(&mut self) {
        self.press.publish(&self.tree, &mut self.world);
        self.world.flush();
    }

    /// Kills and reaps whoever is left.
    async fn leave_nobody(&mut self, ready: &AsyncFd<Rc<Poller>>) {
        self.begin_turn();
        let until = now() + LAST_REAPING;
        let space = OwnNamespace::find();
        loop {
            while self.world.reap(None, now()).is_some() {}
            let left = match &space {
                Some(space) => space.signal(Signal::KILL),
                None => self.kill_leftovers(),
            };
            let time = until.since(now());
            if !left || time.is_zero() {
                return;
            }
            wait_for_any(ready, time).await;
            self.signals.drain();
            self.forget_ends();
        }
    }

    /// `false`: nobody is left.
    fn kill_leftovers(&mut self) -> bool {
        if self.world.count() == 0 && !self.world.has_unknown_child() {
            return false;
        }
        let mut found = our_children();
        found.retain(|p| !self.world.strays.strangers.contains(&(p.pid, p.started)));
        for p in found.iter().filter(|p| p.state != 'Z') {
            if leftovers::signal(p, Signal::KILL).is_ok() {
                let detail = format!("killed `{}` (pid {}), left by a service", p.name, p.pid);
                self.note(super::note::LEFTOVER, detail);
            }
        }
        !found.is_empty()
    }

    async fn last_words(&mut self, ready: &AsyncFd<Rc<Poller>>) {
        let until = now() + LAST_WORDS;
        loop {
            self.world.flush();
            let left = until.since(now());
            if !self.world.logs.passing.is_stuck() || left.is_zero() {
                return;
            }
            wait_for_any(ready, left).await;
        }
    }

    /// Remembers who asked for the end.
    pub(super) fn remember_who_asked(&mut self, what: &What) {
        if let What::ShuttingDown { by, .. } = what {
            self.turn.asked_by = Some(*by);
            self.world.look_no_more();
        }
    }
}

async fn wait_for_any(ready: &AsyncFd<Rc<Poller>>, at_most: Duration) {
    if let Ok(Ok(mut guard)) = tokio::time::timeout(at_most, ready.readable()).await {
        guard.clear_ready();
    }
}

/// Kubernetes shows it in the pod's status.
fn termination_message(reason: &str) {
    let Ok(mut file) = OpenOptions::new().write(true).open("/dev/termination-log") else {
        return;
    };
    let bytes = reason.as_bytes();
    let _full = file.write_all(&bytes[..bytes.len().min(TERMINATION_MAX)]);
}
