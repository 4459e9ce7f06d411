// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one loop: everything that has happened goes to the engine, everything it wants is done.
//!
//! ```text
//! a turn:  signals -> exits -> output, readiness -> clients -> deadlines     each followed by
//!          events -> tree.handle -> effects, performed in order -> events …  until quiet
//!          then: records published, outputs flushed, commands answered
//! ```
//!
//! Between the end of a process and its replacement nothing is awaited. A turn is bounded (exits,
//! spawns, bytes): what is left is the next turn's, after clients had theirs. With nothing to do
//! the loop sleeps until a descriptor, a client or the engine's next deadline. It decides nothing
//! about services.

use super::control::Message;
use super::desk::Desk;
use super::door::ControlDoor;
use super::exits::Exits;
use super::exposition::Lag;
use super::hook_run::HookOrder;
use super::press::Press;
use super::pulse::{self, now};
use super::refusals::Refusals;
use super::signals::Orders;
use super::upward::Upward;
use super::world::{Order, World};
use super::{note, stamp, words};
use crate::sys::ends::Ends;
use crate::sys::epoll::Poller;
use crate::sys::signals::Signals;
use crate::tree::{
    Actor, CommandId, Effect, Event, Halt, NodeId, Outcome, Record, Time, Tree, What,
};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::Receiver;

/// Programs executed in one turn: about 10 ms.
const SPAWNS: usize = 64;
/// Clients' questions taken in one turn.
const REQUESTS: usize = 64;
/// From one line that says whom the stop waits for to the next (SEMANTICS §10).
const SAY_EVERY: Duration = Duration::from_secs(2);

/// The daemon at work.
#[derive(Debug)]
pub(crate) struct Daemon {
    /// All policy.
    pub tree: Tree,
    /// Everything that runs.
    pub world: World,
    /// Where records go.
    pub press: Press,
    /// Clients' questions.
    pub desk: Desk,
    /// The control socket.
    pub door: ControlDoor,
    /// What signals to us mean.
    pub orders: Orders,
    /// Signals to us.
    pub signals: Signals,
    /// The ends of children; without it they are signals like the others.
    pub ends: Option<Ends>,
    /// The loop's descriptors.
    pub poller: Rc<Poller>,
    /// What the engine wants and is not done yet.
    pub effects: VecDeque<Effect>,
    /// Answers that go out when the records are.
    pub replies: Vec<(CommandId, Outcome)>,
    /// What the manager above is told.
    pub upward: Upward,
    /// How it ends.
    pub halt: Option<Halt>,
    /// Clients that were refused.
    pub refusals: Refusals,
    /// The turn's state.
    pub turn: Turn,
    /// When it began, by both clocks (the second in microseconds since 1970).
    pub born: (Time, i64),
    /// What replays ask for.
    #[cfg(feature = "test-hooks")]
    pub hooks: super::hooks::Hooks,
}

/// What a turn knows.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    now: Time,
    /// Whether somebody may have ended.
    pub exits: Exits,
    /// No search for the dead before this time, by the real clock.
    pub search_at: Option<Time>,
    /// A child that SIGCHLD has named.
    pub hint: Option<i32>,
    spawns: usize,
    /// No deadline before this time.
    pub(super) not_before: Time,
    /// Turns that have failed in a row.
    pub(super) panics: u32,
    /// When the next line about a stop is due.
    say_at: Option<Time>,
    /// Descriptors that are ready.
    pub tokens: Vec<u64>,
    /// What has ended the wait.
    message: Option<Message>,
    /// Whether a configuration was read since there was nothing to do.
    pub read: Read,
    /// The longest turn since somebody asked for metrics.
    pub lag: Lag,
    /// Who has asked for the end.
    pub asked_by: Option<Actor>,
}

/// Whether what a configuration was read with is still there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Read {
    /// It is: at the start.
    #[default]
    Lately,
    /// It was given back.
    Before,
}

/// What follows a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Another one, after the other tasks.
    Turn,
    /// Nothing until something happens, or until this time.
    Wait(Option<Time>),
    /// Nothing for this long, whatever happens.
    Pause(Duration),
    /// Nothing ever.
    End,
}

impl Daemon {
    /// Runs until the engine halts.
    pub(crate) async fn run(&mut self, mut inbox: Receiver<Message>, ready: &AsyncFd<Rc<Poller>>) {
        self.world.events.push_back(Event::Boot);
        loop {
            // A panic costs what was being done and nothing else: PID 1 goes on.
            let turned = catch_unwind(AssertUnwindSafe(|| self.turn(&mut inbox)));
            match turned.unwrap_or_else(|_| self.after_panic()) {
                Next::Turn => tokio::task::yield_now().await,
                Next::Pause(span) => tokio::time::sleep(span).await,
                Next::Wait(until) => {
                    self.tidy_up();
                    self.wait(until, &mut inbox, ready).await;
                }
                Next::End => return,
            }
        }
    }

    /// What was needed to read a configuration goes back when there is nothing else to do.
    fn tidy_up(&mut self) {
        if std::mem::replace(&mut self.turn.read, Read::Before) == Read::Lately {
            crate::sys::memory::give_back();
        }
    }

    async fn wait(
        &mut self,
        until: Option<Time>,
        inbox: &mut Receiver<Message>,
        ready: &AsyncFd<Rc<Poller>>,
    ) {
        let message = tokio::select! {
            biased;
            guard = ready.readable() => {
                // Cleared before the set is emptied: what comes meanwhile wakes us again.
                if let Ok(mut guard) = guard {
                    guard.clear_ready();
                }
                None
            }
            // The next turn takes it, where a panic over it is caught.
            message = inbox.recv() => message,
            () = pulse::passed(until) => None,
        };
        if message.is_some() {
            self.turn.message = message;
        }
    }

    /// Reads both clocks, once a turn.
    pub(crate) fn begin_turn(&mut self) {
        let due = self.tree.next_deadline();
        let due = due.map(|t| t.max(self.turn.not_before));
        let away = pulse::catch_up(self.turn.now, due);
        self.turn.now = now();
        self.turn.spawns = 0;
        self.press.begin_turn(self.turn.now, stamp::wall_us());
        if let Some(away) = away {
            let away = words::span(away);
            let detail = format!(
                "was stopped or asleep: {away} do not count, and everything due is due later"
            );
            self.note(note::RESUMED, detail);
            self.world.events.push_back(Event::Resumed);
        }
    }

    fn turn(&mut self, inbox: &mut Receiver<Message>) -> Next {
        self.begin_turn();
        // Whoever is dead is replaced before anything else is looked at.
        self.listen();
        self.take_exits();
        self.settle();
        self.take_tokens();
        self.take_exits();
        self.settle();
        for _ in 0..REQUESTS {
            let first = self.turn.message.take();
            let Some(message) = first.or_else(|| inbox.try_recv().ok()) else {
                break;
            };
            self.take_message(message);
            self.settle();
            // Who dies meanwhile does not wait for the other questions.
            self.listen();
            self.take_exits();
            self.settle();
        }
        self.take_deadline();
        self.settle();
        self.upward.beat(self.turn.now);
        self.say_whom_we_wait_for();
        self.look_in_time();
        self.turn.panics = 0;
        self.world.look_for_strays(self.turn.now);
        self.tell_who_was_left();
        self.finish_turn();
        let more_tokens = self.has_more_tokens();
        #[cfg(feature = "test-hooks")]
        self.finish_turn_for_tests();
        let undone = !self.effects.is_empty() || !self.world.events.is_empty();
        if self.halt.is_some() {
            Next::End
        } else if more_tokens || undone || self.has_more_to_do() {
            Next::Turn
        } else {
            Next::Wait(self.next_deadline())
        }
    }

    /// Publishes what has changed, then answers who asked for it.
    fn finish_turn(&mut self) {
        self.world.sockets.keep_for(&self.tree.spec().root);
        self.press.publish(&self.tree, &mut self.world);
        self.answer_replies();
        if self.effects.is_empty() && self.world.events.is_empty() {
            self.world.dead_hooks.clear();
        }
        self.world.flush();
        self.turn.lag.turn(self.turn.now, now());
    }

    /// Whether everything that has happened was handed to the engine and everything it wants is
    /// done.
    #[cfg(feature = "test-hooks")]
    pub(super) fn is_idle(&self) -> bool {
        let taken = self.effects.is_empty() && self.world.events.is_empty();
        taken && self.turn.exits == Exits::None && self.turn.tokens.is_empty()
    }

    /// Whether something is left that no descriptor will tell of.
    fn has_more_to_do(&self) -> bool {
        self.turn.exits == Exits::Perhaps || self.world.logs.is_waiting()
    }

    fn take_deadline(&mut self) {
        let now = self.turn.now;
        self.end_drill(now);
        let due = self.tree.next_deadline().is_some_and(|t| t <= now);
        if due && self.turn.not_before <= now {
            self.world.events.push_back(Event::Deadline);
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        let engine = self.tree.next_deadline();
        let engine = engine.map(|t| t.max(self.turn.not_before));
        let looks = [
            self.world.graves.next_look(),
            self.world.strays.due(),
            self.world.drill.due(),
        ];
        let ours = [
            engine,
            self.turn.say_at,
            self.next_search(),
            self.door.look_at,
            self.upward.due,
        ];
        ours.into_iter().chain(looks).flatten().min()
    }

    fn take_message(&mut self, message: Message) {
        match message {
            Message::Request(request) => self.take_request(request),
            Message::Refused { peer, route } => self.take_refusal(&peer, &route),
            Message::Crowd(told) => self.note(note::CROWD, told),
            Message::Probed { run, answer, seen } => {
                self.world.probes.end(run);
                self.world.saw(seen.0, seen.1);
                self.world
                    .events
                    .push_back(Event::ProbeDone { run, answer });
            }
            Message::NotKept(why) => self.note(note::LOG_FAILING, why),
            Message::LogFile(news) => {
                if let Some((kind, detail, whose)) = self.world.logs.hear(news) {
                    self.note_of(whose, kind, &detail);
                }
            }
        }
    }

    /// Hands events to the engine and performs what it wants, until nothing more follows or the
    /// turn has executed enough programs.
    pub(crate) fn settle(&mut self) {
        loop {
            if let Some(effect) = self.effects.pop_front() {
                self.perform_guarded(effect);
            } else if let Some(event) = self.world.events.pop_front() {
                self.hand_over(event);
            } else {
                return;
            }
            if self.turn.spawns >= SPAWNS {
                return;
            }
        }
    }

    /// Does what the engine wants.
    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Spawn { run, service } => {
                self.turn.spawns += 1;
                let path = self.press.names.path(run.node);
                let breakers = self.breakers_in_environment(run.node);
                self.world.spawn(Order {
                    run,
                    service: &service,
                    path: &path,
                    breakers: &breakers,
                    helper: None,
                });
            }
            Effect::SpawnHelper {
                run,
                service,
                command,
                about,
            } => {
                self.turn.spawns += 1;
                let path = self.press.names.path(run.node);
                self.world.spawn(Order {
                    run,
                    service: &service,
                    path: &path,
                    breakers: "",
                    helper: Some((&command, about)),
                });
            }
            Effect::RunHook {
                run,
                service,
                remedy,
                step,
                case,
            } => {
                self.turn.spawns += 1;
                let path = self.press.names.path(run.node);
                self.world.run_hook(&HookOrder {
                    run,
                    service: &service,
                    path: &path,
                    remedy: &remedy,
                    step,
                    about: self.press.event_of(run.node, &case),
                    case: &case,
                });
            }
            Effect::Signal { run, signal, scope } => self.world.signal(run, signal, scope),
            Effect::Probe {
                run,
                about,
                question,
                probe,
            } => self.world.probe(run, (about, question), probe),
            Effect::Answered {
                node,
                question,
                answer,
            } => self.press.count_answer(node, question, answer),
            Effect::CancelProbe { run } => self.world.probes.end(run),
            Effect::Reply { id, outcome } => self.replies.push((id, outcome)),
            Effect::Record(record) => self.take_record(*record),
            Effect::Halt { halt } => self.halt = Some(halt),
        }
    }

    fn take_record(&mut self, record: Record) {
        if let (What::Starting { run, number, .. }, Some(name)) = (&record.what, &record.name) {
            self.world.begin_run(run.node, &Arc::clone(name), *number);
        }
        if matches!(record.what, What::Ready { run: None, .. })
            && record.node == Some(self.tree.root())
        {
            self.upward.ready();
        }
        if let What::ShuttingDown { .. } = record.what {
            self.upward.stopping();
            let next = self.turn.now + SAY_EVERY;
            self.turn.say_at = Some(self.turn.say_at.unwrap_or(next));
        }
        self.remember_who_asked(&record.what);
        self.press.take(record, &mut self.world);
    }

    /// Writes a record of the daemon's own.
    pub(crate) fn note(&mut self, kind: &'static str, detail: impl Into<Box<str>>) {
        self.note_by(kind, detail, None);
    }

    /// The same about these nodes: a record of each, so that the history of each has it.
    fn note_of(&mut self, whose: Vec<NodeId>, kind: &'static str, detail: &str) {
        for node in whose {
            let detail = detail.into();
            let what = What::Daemon {
                kind,
                detail,
                by: None,
            };
            let name = self.tree.name(node).map(Arc::clone);
            let mut record = self.tree.note(self.turn.now, what);
            (record.node, record.name) = (name.as_ref().map(|_| node), name);
            self.press.take(record, &mut self.world);
        }
    }

    /// The same about something that somebody has brought about.
    pub(crate) fn note_by(
        &mut self,
        kind: &'static str,
        detail: impl Into<Box<str>>,
        by: Option<Actor>,
    ) {
        let detail = detail.into();
        let what = What::Daemon { kind, detail, by };
        let record = self.tree.note(self.turn.now, what);
        self.press.take(record, &mut self.world);
    }

    /// While everything goes down: every two seconds, whom it waits for.
    fn say_whom_we_wait_for(&mut self) {
        if self.turn.say_at.is_none_or(|at| at > self.turn.now) {
            return;
        }
        self.turn.say_at = Some(self.turn.now + SAY_EVERY);
        if let Some(name) = self.tree.waiting_for() {
            let count = self.world.count();
            let detail = format!("still stopping: waiting for {name} ({count} processes left)");
            self.upward.status(&detail);
            self.note(crate::wire::kind::DAEMON_STOPPING, detail);
        }
    }

    /// The turn's time.
    pub(crate) fn now(&self) -> Time {
        self.turn.now
    }
}
