// SPDX-License-Identifier: MIT OR Apache-2.0
//! The records that are kept, and everybody they are told to: the log, readers of the stream, and
//! who asks later.
//!
//! Records are kept as they are and rendered when somebody wants to read them, so that a restart
//! nobody watches costs no JSON. The oldest are forgotten; what is missing is said as a gap.

use super::line::{Added, event_line, kind_of};
use super::names::Names;
use super::outbox::{Inlet, Unit};
use super::readers::Readers;
use super::shelf::Shelf;
use super::{stamp, text, trace};
use crate::spec::LogFormat;
use crate::tree::{NodeId, Record, Seq};
use crate::wire::EventLine;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A record and what only the daemon knew when it was made.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The engine's part.
    pub record: Record,
    /// Wall time, microseconds since 1970.
    pub wall_us: i64,
    /// The process it is about.
    pub pid: Option<i32>,
    /// What it wrote last.
    pub last_lines: Box<[String]>,
    /// Who was left of it.
    pub left: Box<[String]>,
}

/// Which events a reader wants: kinds by their beginnings, or all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kinds(pub Vec<String>);

impl Kinds {
    fn want(&self, kind: &str) -> bool {
        let begins = |k: &String| {
            let rest = kind.strip_prefix(k.as_str());
            rest.is_some_and(|r| r.is_empty() || r.starts_with('.'))
        };
        self.0.is_empty() || self.0.iter().any(begins)
    }
}

/// The records that are kept.
#[derive(Debug)]
pub(crate) struct Journal {
    boot: String,
    most: usize,
    kept: VecDeque<Kept>,
    readers: Readers<Kinds>,
    seq: Arc<AtomicU64>,
    log: trace::Lines,
    format: LogFormat,
    /// What is kept on disk.
    pub shelf: Shelf,
}

impl Journal {
    /// An empty one; `seq` is told the number of every record.
    pub(crate) fn new(boot: String, most: usize, log: trace::Lines) -> Self {
        Self {
            boot,
            most: most.max(1),
            kept: VecDeque::new(),
            readers: Readers::default(),
            seq: Arc::new(AtomicU64::new(0)),
            log,
            format: LogFormat::Text,
            shelf: Shelf::default(),
        }
    }

    /// The life of the daemon.
    pub(crate) fn boot(&self) -> &str {
        &self.boot
    }

    /// The number of the last record, for who lives in another task.
    pub(crate) fn seq(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.seq)
    }

    /// The number of the last record.
    pub(crate) fn last(&self) -> u64 {
        self.seq.load(Ordering::Relaxed)
    }

    /// Keeps this many, and writes in this manner, from now on.
    pub(crate) fn set(&mut self, most: usize, format: LogFormat) {
        self.most = most.max(1);
        self.format = format;
    }

    /// Takes a record in: to the log, to the readers, to what is kept.
    pub(crate) fn push(&mut self, kept: Kept, names: &Names) {
        self.seq.store(kept.record.seq.0, Ordering::Relaxed);
        let level = text::level(&kept.record.what);
        let logged = self.log.wants(level);
        let as_json = logged && self.format == LogFormat::Json;
        let json: Arc<str> = if as_json || !self.readers.is_empty() || self.shelf.is_open() {
            let line = self.line(&kept, names);
            serde_json::to_string(&line).unwrap_or_default().into()
        } else {
            Arc::default()
        };
        let kind = kind_of(&kept.record);
        if logged {
            let node = kept.record.name.as_deref().unwrap_or("supd");
            // One of the two is written: the other is not made.
            let line = if as_json {
                String::new()
            } else {
                let message = text::message(&kept.record, names);
                format!("{} {node} {message}", stamp::of_day(kept.wall_us))
            };
            trace::emit(level, node, kind, &line, &json);
        }
        self.shelf.take(&kept.record.what, &json);
        self.readers
            .offer(kept.record.seq.0, Unit::Numbers, |k| k.want(kind), &json);
        self.kept.push_back(kept);
        while self.kept.len() > self.most {
            self.kept.pop_front();
        }
    }

    /// Lets one more follow.
    pub(crate) fn follow(&mut self, kinds: Kinds, lines: Inlet) {
        self.readers.add(kinds, lines);
    }

    /// Ends every stream.
    pub(crate) fn close(&mut self) {
        self.readers.clear();
    }

    /// Lines that readers had no room for.
    pub(crate) fn missed(&self) -> u64 {
        self.readers.missed()
    }

    /// What came after `seq` and is of these kinds; first the numbers that are no longer kept.
    pub(crate) fn since(
        &self,
        seq: u64,
        kinds: &Kinds,
        names: &Names,
    ) -> (Option<(u64, u64)>, Vec<EventLine>) {
        let first = self.kept.front().map_or(seq + 1, |k| k.record.seq.0);
        let gap = (first > seq + 1).then_some((seq + 1, first.saturating_sub(1)));
        let lines = self
            .kept
            .iter()
            .filter(|k| k.record.seq.0 > seq && kinds.want(kind_of(&k.record)))
            .map(|k| self.line(k, names))
            .collect();
        (gap, lines)
    }

    /// The last number that was given before a moment, microseconds since 1970.
    pub(crate) fn before(&self, wall_us: i64) -> u64 {
        let newer = self.kept.iter().find(|k| k.wall_us >= wall_us);
        newer.map_or(self.last(), |k| k.record.seq.0.saturating_sub(1))
    }

    /// What happened to `node` and to those below it.
    pub(crate) fn history(&self, node: NodeId, names: &Names) -> Vec<EventLine> {
        self.kept
            .iter()
            .filter(|k| k.record.node.is_some_and(|n| names.is_below(n, node)))
            .map(|k| self.line(k, names))
            .collect()
    }

    /// The number of the first `command` record after `seq`, and everything it caused.
    pub(crate) fn caused_after(&self, seq: u64, names: &Names) -> (Option<u64>, Vec<EventLine>) {
        let is_command =
            |k: &&Kept| k.record.seq.0 > seq && kind_of(&k.record) == crate::wire::kind::COMMAND;
        let Some(command) = self.kept.iter().find(is_command) else {
            return (None, Vec::new());
        };
        let mut causes = BTreeSet::from([command.record.seq]);
        let mut lines = Vec::new();
        for kept in &self.kept {
            let caused = |c: Option<Seq>| c.is_some_and(|c| causes.contains(&c));
            if caused(kept.record.cause) {
                causes.insert(kept.record.seq);
                lines.push(self.line(kept, names));
            }
        }
        (Some(command.record.seq.0), lines)
    }

    /// The record of this number, if it is kept.
    pub(crate) fn find(&self, seq: Seq, names: &Names) -> Option<EventLine> {
        let place = self.kept.binary_search_by_key(&seq, |kept| kept.record.seq);
        let kept = self.kept.get(place.ok()?)?;
        Some(self.line(kept, names))
    }

    /// A record as an event.
    pub(crate) fn line(&self, kept: &Kept, names: &Names) -> EventLine {
        let added = Added {
            ts: stamp::rfc3339(kept.wall_us),
            pid: kept.pid,
            last_lines: kept.last_lines.to_vec(),
            leftovers: kept.left.to_vec(),
            boot: self.boot.clone(),
        };
        event_line(&kept.record, names, added)
    }
}

#[cfg(test)]
mod tests {
    use super::super::outbox::{outbox, tests::read};
    use super::*;
    use crate::tree::{Time, What};

    fn kept(seq: u64, cause: Option<u64>, what: What) -> Kept {
        Kept {
            record: Record {
                seq: Seq(seq),
                at: Time(0),
                node: Some(NodeId(1)),
                name: Some("web".into()),
                cause: cause.map(Seq),
                incident: None,
                what,
            },
            wall_us: i64::try_from(seq).expect("small") * 1_000_000,
            pid: None,
            last_lines: Box::default(),
            left: Box::default(),
        }
    }

    fn journal(most: usize) -> Journal {
        Journal::new("b".to_owned(), most, trace::Lines::default())
    }

    #[test]
    fn who_asks_for_what_is_forgotten_is_told_which_numbers_are_missing() {
        let names = Names::default();
        let mut journal = journal(3);
        for seq in 1..=5 {
            journal.push(kept(seq, None, What::Added), &names);
        }
        let (gap, lines) = journal.since(1, &Kinds::default(), &names);
        assert_eq!(gap, Some((2, 2)));
        let numbers: Vec<u64> = lines.iter().map(|l| l.seq).collect();
        assert_eq!(numbers, [3, 4, 5]);
        assert_eq!(journal.since(4, &Kinds::default(), &names).0, None);
        assert_eq!(journal.before(4_000_000), 3);
        assert_eq!(journal.before(9_000_000), 5);
    }

    #[test]
    fn a_reader_of_one_kind_gets_nothing_else() {
        let names = Names::default();
        let mut journal = journal(10);
        let (to, from) = outbox();
        let kinds = Kinds(vec!["node".to_owned(), "command".to_owned()]);
        journal.follow(kinds, to);
        journal.push(kept(1, None, What::Added), &names);
        journal.push(kept(2, None, What::Health { health: "up" }), &names);
        journal.push(kept(3, None, What::Removed), &names);
        let seqs: Vec<u64> = read(&from)
            .iter()
            .map(|l| serde_json::from_str::<EventLine>(l).expect("a line").seq)
            .collect();
        assert_eq!(seqs, [1, 3]);
    }

    #[test]
    fn what_a_command_caused_is_found_along_the_causes() {
        let names = Names::default();
        let mut journal = journal(10);
        let command = What::Command {
            by: crate::tree::Actor::Supd,
            verb: "stop",
            with: None,
        };
        journal.push(kept(1, None, What::Added), &names);
        journal.push(kept(2, None, command), &names);
        journal.push(kept(3, Some(2), What::Changed), &names);
        journal.push(kept(4, Some(1), What::Changed), &names);
        journal.push(kept(5, Some(3), What::Removed), &names);
        let (seq, lines) = journal.caused_after(1, &names);
        assert_eq!(seq, Some(2));
        let numbers: Vec<u64> = lines.iter().map(|l| l.seq).collect();
        assert_eq!(numbers, [3, 5]);
    }
}
