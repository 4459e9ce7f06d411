// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines that wait for one reader of a stream.
//!
//! Decides what happens to a reader that is slower than what it reads: lines it has no room for
//! are missed, and the gap is told at the place where they would have stood, as soon as the reader
//! has taken what came before them: at once on a stream that went quiet, and at its end, too.
//! While there is a gap to tell nothing is let in behind it, so that a reader has whole stretches
//! and not every other line. The writer never waits and the reader's room has a limit in bytes.
//!
//! ```text
//! open ── no room ──> behind ── reader took everything: the gap ──> open
//! ```

use crate::spec::limits::STREAM_BYTES;
use crate::wire::Gap;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// What a line costs besides its text.
const LINE_COST: usize = 64;

/// How a gap is told: in event numbers, or in how many lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// First and last number that is missing.
    Numbers,
    /// 0 and how many are missing.
    Count,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Arc<str>>,
    bytes: usize,
    /// What was missed behind the lines.
    gap: Option<(u64, u64)>,
    end: End,
    reader: Option<Waker>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    /// Nothing more will come.
    Written,
    /// Nobody reads any more.
    Gone,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It will be read.
    Taken,
    /// There was no room for it.
    Missed,
    /// Nobody reads any more.
    Gone,
}

/// The end that is written to.
#[derive(Debug)]
pub(crate) struct Inlet(Arc<Mutex<Waiting>>);

/// The end that is read.
#[derive(Debug)]
pub(crate) struct Outbox(Arc<Mutex<Waiting>>);

/// Both ends of an empty one.
pub(crate) fn outbox() -> (Inlet, Outbox) {
    let shared = Arc::new(Mutex::new(Waiting::default()));
    (Inlet(Arc::clone(&shared)), Outbox(shared))
}

/// A panic of the other side leaves lines and counts as they are: they are still sound.
fn hold(shared: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Waiting {
    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn miss(&mut self, number: u64, unit: Unit) {
        self.gap = Some(match (unit, self.gap) {
            (Unit::Numbers, None) => (number, number),
            (Unit::Numbers, Some((from, _))) => (from, number),
            (Unit::Count, before) => (0, before.map_or(1, |(_, missed)| missed + 1)),
        });
    }
}

impl Inlet {
    /// Offers line `number`.
    pub(crate) fn offer(&self, number: u64, unit: Unit, line: &Arc<str>) -> Offered {
        let mut waiting = hold(&self.0);
        if waiting.end == End::Gone {
            return Offered::Gone;
        }
        let cost = line.len() + LINE_COST;
        let offered = if waiting.gap.is_some() || waiting.bytes + cost > STREAM_BYTES {
            waiting.miss(number, unit);
            Offered::Missed
        } else {
            waiting.bytes += cost;
            waiting.lines.push_back(Arc::clone(line));
            Offered::Taken
        };
        waiting.wake();
        offered
    }

    /// Whether somebody still reads.
    pub(crate) fn has_reader(&self) -> bool {
        hold(&self.0).end != End::Gone
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        let mut waiting = hold(&self.0);
        if waiting.end == End::Open {
            waiting.end = End::Written;
        }
        waiting.wake();
    }
}

impl Outbox {
    /// The next line, or the gap where some are missing; `None` at the end.
    pub(crate) fn poll_line(&self, cx: &mut Context<'_>) -> Poll<Option<Arc<str>>> {
        let mut waiting = hold(&self.0);
        if let Some(line) = waiting.lines.pop_front() {
            waiting.bytes -= line.len() + LINE_COST;
            return Poll::Ready(Some(line));
        }
        if let Some((from, to)) = waiting.gap.take() {
            let gap = serde_json::to_string(&Gap::new(from, to)).unwrap_or_default();
            return Poll::Ready(Some(gap.into()));
        }
        if waiting.end == End::Written {
            return Poll::Ready(None);
        }
        waiting.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let mut waiting = hold(&self.0);
        waiting.end = End::Gone;
        waiting.lines = VecDeque::new();
        waiting.bytes = 0;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Everything that can be read now.
    pub(crate) fn read(from: &Outbox) -> Vec<String> {
        let mut cx = Context::from_waker(Waker::noop());
        let next = || match from.poll_line(&mut cx) {
            Poll::Ready(line) => line.map(|l| l.to_string()),
            Poll::Pending => None,
        };
        std::iter::from_fn(next).collect()
    }

    fn offer(to: &Inlet, unit: Unit, numbers: std::ops::RangeInclusive<u64>) {
        for n in numbers {
            let line = format!("{n}{}", " ".repeat(STREAM_BYTES / 4)).into();
            assert_ne!(to.offer(n, unit, &line), Offered::Gone);
        }
    }

    fn shown(lines: &[String]) -> Vec<&str> {
        lines.iter().map(|l| l.trim_end()).collect()
    }

    #[test]
    fn a_slow_reader_is_told_what_it_missed_before_the_next_line() {
        let (to, from) = outbox();
        offer(&to, Unit::Numbers, 1..=5);
        let got = read(&from);
        let gap = r#"{"kind":"gap","from":4,"to":5}"#;
        assert_eq!(shown(&got), ["1", "2", "3", gap]);
        offer(&to, Unit::Numbers, 6..=6);
        assert_eq!(shown(&read(&from)), ["6"]);
    }

    #[test]
    fn nothing_is_let_in_behind_a_gap_before_it_is_told() {
        let (to, from) = outbox();
        offer(&to, Unit::Count, 1..=4);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(from.poll_line(&mut cx).is_ready(), "there is room now");
        offer(&to, Unit::Count, 5..=5);
        let gap = r#"{"kind":"gap","from":0,"to":2}"#;
        assert_eq!(shown(&read(&from)), ["2", "3", gap]);
    }

    #[test]
    fn the_end_comes_after_the_last_line_and_the_last_gap() {
        let (to, from) = outbox();
        offer(&to, Unit::Numbers, 1..=4);
        drop(to);
        let gap = r#"{"kind":"gap","from":4,"to":4}"#;
        assert_eq!(shown(&read(&from)), ["1", "2", "3", gap]);
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(from.poll_line(&mut cx), Poll::Ready(None));
    }

    #[test]
    fn a_reader_that_is_gone_leaves_nothing_behind() {
        let (to, from) = outbox();
        offer(&to, Unit::Numbers, 1..=1);
        drop(from);
        assert_eq!(to.offer(2, Unit::Numbers, &"2".into()), Offered::Gone);
        assert!(hold(&to.0).lines.is_empty());
    }
}
