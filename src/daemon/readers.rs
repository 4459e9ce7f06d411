// SPDX-License-Identifier: MIT OR Apache-2.0
//! Readers of streams: who follows events or log lines, and what they have missed.
//!
//! Decides what happens to a reader that is slower than what it reads: lines it has no room for
//! are counted, and the next one that fits is preceded by a gap. A reader never slows the loop;
//! one that is gone is forgotten at the next line or count.

use crate::spec::limits::STREAMS_MAX;
use crate::wire::Gap;
use std::sync::Arc;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

/// What a reader has missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Missed {
    from: u64,
    to: u64,
}

/// One reader; `F` says what it wants to read.
#[derive(Debug)]
struct Reader<F> {
    wants: F,
    lines: Sender<Arc<str>>,
    missed: Option<Missed>,
}

/// All readers of one kind of stream.
#[derive(Debug)]
pub(crate) struct Readers<F> {
    all: Vec<Reader<F>>,
    missed: u64,
}

/// How a gap is told: in event numbers, or in how many lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// First and last number that is missing.
    Numbers,
    /// 0 and how many are missing.
    Count,
}

impl<F> Default for Readers<F> {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            missed: 0,
        }
    }
}

impl<F> Readers<F> {
    /// How many there are now.
    pub(crate) fn count(&mut self) -> usize {
        self.all.retain(|r| !r.lines.is_closed());
        self.all.len()
    }

    /// Whether nobody reads; one that has just gone may still count.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether somebody wants this.
    pub(crate) fn any(&self, wanted: impl Fn(&F) -> bool) -> bool {
        self.all.iter().any(|r| wanted(&r.wants))
    }

    /// Lets one more read; `false` when there are too many of this kind.
    pub(crate) fn add(&mut self, wants: F, lines: Sender<Arc<str>>) -> bool {
        if self.count() >= STREAMS_MAX {
            return false;
        }
        self.all.push(Reader {
            wants,
            lines,
            missed: None,
        });
        true
    }

    /// Offers line `number` to everybody who wants it.
    pub(crate) fn offer(
        &mut self,
        number: u64,
        unit: Unit,
        wanted: impl Fn(&F) -> bool,
        line: &Arc<str>,
    ) {
        let missed = &mut self.missed;
        self.all.retain_mut(|r| {
            if !wanted(&r.wants) {
                return true;
            }
            let stays = r.offer(number, unit, line);
            *missed += u64::from(r.missed.is_some());
            stays
        });
    }

    /// Lines that readers had no room for, since the daemon began.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }

    /// Ends every stream.
    pub(crate) fn clear(&mut self) {
        self.all.clear();
    }
}

impl<F> Reader<F> {
    /// `false`: it is gone.
    fn offer(&mut self, number: u64, unit: Unit, line: &Arc<str>) -> bool {
        if let Some(missed) = self.missed {
            // Room for the gap and for the line, or another line would be missed at once.
            if self.lines.capacity() < 2 {
                self.miss(number, unit);
                return !self.lines.is_closed();
            }
            let gap = Gap::new(missed.from, missed.to);
            let text = serde_json::to_string(&gap).unwrap_or_default();
            if self.lines.try_send(text.into()).is_err() {
                return false;
            }
            self.missed = None;
        }
        match self.lines.try_send(Arc::clone(line)) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.miss(number, unit);
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }

    fn miss(&mut self, number: u64, unit: Unit) {
        let before = self.missed;
        self.missed = Some(match unit {
            Unit::Numbers => Missed {
                from: before.map_or(number, |m| m.from),
                to: number,
            },
            Unit::Count => Missed {
                from: 0,
                to: before.map_or(1, |m| m.to + 1),
            },
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    fn read(from: &mut mpsc::Receiver<Arc<str>>) -> Vec<String> {
        let mut lines = Vec::new();
        while let Ok(line) = from.try_recv() {
            lines.push(line.to_string());
        }
        lines
    }

    #[test]
    fn a_slow_reader_is_told_what_it_missed_before_the_next_line() {
        let (send, mut receive) = mpsc::channel(3);
        let mut readers = Readers::default();
        assert!(readers.add((), send));
        for n in 1..=5 {
            readers.offer(n, Unit::Numbers, |()| true, &n.to_string().into());
        }
        assert_eq!(read(&mut receive), ["1", "2", "3"]);
        readers.offer(6, Unit::Numbers, |()| true, &"6".into());
        assert_eq!(
            read(&mut receive),
            [r#"{"kind":"gap","from":4,"to":5}"#, "6"]
        );
        drop(receive);
        readers.offer(7, Unit::Numbers, |()| true, &"7".into());
        assert!(readers.is_empty(), "who is gone is forgotten");
    }

    #[test]
    fn a_reader_gets_only_what_it_wants_and_the_seventeenth_nothing() {
        let mut readers = Readers::default();
        let mut kept = Vec::new();
        for n in 0..STREAMS_MAX {
            let (send, receive) = mpsc::channel(3);
            assert!(readers.add(n, send));
            kept.push(receive);
        }
        let (send, _receive) = mpsc::channel(3);
        assert!(!readers.add(99, send));
        readers.offer(1, Unit::Count, |n| *n == 3, &"line".into());
        let got: Vec<usize> = kept.iter_mut().map(|r| read(r).len()).collect();
        assert_eq!(got.iter().sum::<usize>(), 1);
        assert_eq!(got[3], 1);
    }
}
