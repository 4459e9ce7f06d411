// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the engine's records to everybody who reads them, once per turn.
//!
//! Records are collected while effects are performed and published after them, in their order, so
//! that a restart does not wait for its own description. Names of nodes are kept up to date here.

use super::graves::Dead;
use super::journal::{Journal, Kept};
use super::names::Names;
use super::tally::Tally;
use super::trace;
use super::world::World;
use crate::spec::{LogFormat, Settings};
use crate::tree::{Case, NodeId, ProbeAnswer, Question, Record, RunId, Seq, Time, Tree, What};
use crate::wire::EventLine;

/// Where records go.
#[derive(Debug)]
pub(crate) struct Press {
    /// What is kept, and its readers.
    pub journal: Journal,
    /// What nodes are called.
    pub names: Names,
    /// What was counted since the daemon began.
    pub tally: Tally,
    waiting: Vec<Kept>,
    lines: trace::Lines,
    now: Time,
    wall_us: i64,
}

impl Press {
    /// Nothing published yet.
    pub(crate) fn new(journal: Journal, lines: trace::Lines) -> Self {
        Self {
            journal,
            names: Names::default(),
            tally: Tally::default(),
            waiting: Vec::new(),
            lines,
            now: Time::default(),
            wall_us: 0,
        }
    }

    /// Both clocks, read once a turn: a record's wall time follows from its own.
    pub(crate) fn begin_turn(&mut self, now: Time, wall_us: i64) {
        self.now = now;
        self.wall_us = wall_us;
    }

    /// Writes in this manner from now on.
    pub(crate) fn set(&mut self, settings: &Settings, format: LogFormat) {
        self.lines.set(format, settings.log_level);
        self.journal.set(settings.events_kept, format);
    }

    /// The wall time of a moment, microseconds since 1970.
    pub(crate) fn wall_of(&self, at: Time) -> i64 {
        let ago = i64::try_from(self.now.since(at).as_micros()).unwrap_or(i64::MAX);
        let ahead = i64::try_from(at.since(self.now).as_micros()).unwrap_or(i64::MAX);
        self.wall_us.saturating_sub(ago).saturating_add(ahead)
    }

    /// Takes a record with what is known about its process now.
    pub(crate) fn take(&mut self, record: Record, world: &mut World) {
        let Dead {
            pid,
            last_lines,
            left,
        } = match &record.what {
            What::Exited(exit) => {
                let mut dead = world.take_dead(exit.run);
                // What never came to its program was no process of the service.
                dead.pid = dead.pid.filter(|_| exit.facts.is_some());
                dead
            }
            What::RemedyFinished { run: Some(run), .. } | What::RemedyStep { run, .. } => {
                world.take_dead(*run)
            }
            what => Dead {
                pid: run_of(what).and_then(|run| world.pid_of(run)),
                ..Dead::default()
            },
        };
        self.waiting.push(Kept {
            wall_us: self.wall_of(record.at),
            record,
            pid,
            last_lines,
            left,
        });
    }

    /// The event that a remedy is for, as it is told to it: that of the end, or where there is none
    /// any more, what is known without it.
    pub(crate) fn event_of(&self, node: NodeId, case: &Case) -> EventLine {
        let waiting = |seq: Seq| self.waiting.iter().find(move |kept| kept.record.seq == seq);
        let found = case.of.and_then(|seq| match waiting(seq) {
            Some(kept) => Some(self.journal.line(kept, &self.names)),
            None => self.journal.find(seq, &self.names),
        });
        found.unwrap_or_else(|| EventLine {
            v: crate::wire::VERSION,
            ts: super::stamp::rfc3339(self.wall_us),
            boot: self.journal.boot().to_owned(),
            node: Some(self.names.name(node).to_owned()),
            path: Some(self.names.path(node)),
            class: Some(case.class.to_string().into()),
            base: Some(case.base.into()),
            family: Some(case.family.as_str().into()),
            ..EventLine::default()
        })
    }

    /// A probe of a node has an answer.
    pub(crate) fn count_answer(&mut self, node: NodeId, question: Question, answer: ProbeAnswer) {
        if let Some(name) = self.names.shared(node) {
            self.tally.answered(name, question, answer);
        }
    }

    /// Tells everybody, and hands the lines of the log to our standard error.
    pub(crate) fn publish(&mut self, tree: &Tree, world: &mut World) {
        let moved = |k: &Kept| matches!(k.record.what, What::Added | What::Changed);
        // A supervisor that starts again plants children anew without a record of it.
        let unknown = |k: &Kept| k.record.node.is_some_and(|id| !self.names.knows(id));
        if self.waiting.iter().any(|k| moved(k) || unknown(k)) {
            self.learn_names(tree);
            world.logs.share_out(self.names.all().count());
        }
        for kept in self.waiting.drain(..) {
            if let (What::Removed, Some(node)) = (&kept.record.what, kept.record.node) {
                world.logs.forget(node);
            }
            self.tally.take(&kept.record, kept.wall_us);
            self.journal.push(kept, &self.names);
        }
        self.journal.shelf.flush(&mut world.logs.files);
        let (lines, lost) = self.lines.take();
        let err = &mut world.logs.passing.err;
        for line in lines {
            err.say(line.as_bytes());
        }
        if lost > 0 {
            err.say(format!("supd: {lost} records were not written here").as_bytes());
        }
    }

    /// Learns the names of all nodes; those that are gone keep theirs for their last records.
    pub(crate) fn learn_names(&mut self, tree: &Tree) {
        for node in tree.snapshot().nodes {
            let name = std::sync::Arc::clone(node.spec.name());
            self.names.add(node.id, name, node.parent);
        }
        self.tally.forget_former(&self.names);
    }
}

fn run_of(what: &What) -> Option<RunId> {
    match what {
        What::Starting { run, .. }
        | What::Unready { run, .. }
        | What::Signalled { run, .. }
        | What::RemedyStep { run, .. }
        | What::ProbeChanged { run, .. }
        | What::LivenessSuspended { run, .. }
        | What::Unkillable { run } => Some(*run),
        What::Ready { run, .. }
        | What::Stopping { run, .. }
        | What::RemedyStarted { run, .. }
        | What::RemedyFinished { run, .. } => *run,
        What::Exited(exit) => Some(exit.run),
        What::Decided { .. }
        | What::Stopped { .. }
        | What::SupervisorStopped { .. }
        | What::Backoff { .. }
        | What::Parked { .. }
        | What::Held { .. }
        | What::Released
        | What::Breaker(_)
        | What::BreakerAlarm { .. }
        | What::RemedySkipped { .. }
        | What::SupervisorStarting { .. }
        | What::Strategy { .. }
        | What::Exhausted { .. }
        | What::Escalated { .. }
        | What::StartFailed { .. }
        | What::Added
        | What::Removed
        | What::Changed
        | What::Command { .. }
        | What::ShuttingDown { .. }
        | What::Health { .. }
        | What::Daemon { .. } => None,
    }
}
