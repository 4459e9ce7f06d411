// SPDX-License-Identifier: MIT OR Apache-2.0
//! The last output of one service, both streams apart, within a fixed number of bytes.
//!
//! What is read is kept as it came, with a mark for each reading that says whose it is and when;
//! lines are looked for when somebody asks, so that keeping costs one copy and no look at the
//! bytes. Decides what is kept when there is more than fits: the newest. Marks are bounded, too:
//! who writes a byte at a time is remembered for fewer bytes. Nothing is allocated before the
//! first byte. It never reads, writes or waits, and knows no clock: time is an argument.

use super::cut::piece_length;
pub(crate) use crate::spec::Stream;
use crate::spec::limits::LOG_LINE_MAX;
use memchr::memrchr;
use std::collections::VecDeque;

/// Whose output it is and when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The how-many-th start of the service.
    pub run: u32,
    /// Wall time, microseconds since 1970.
    pub wall_us: i64,
    /// Rises with every reading, of all services together.
    pub number: u64,
}

/// One line without its newline, or a piece of one that was too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Whose and when: of the reading that ended it.
    pub stamp: Stamp,
    /// Where it came out.
    pub stream: Stream,
    /// Its bytes; not necessarily UTF-8.
    pub bytes: Vec<u8>,
    /// The next one goes on with the same line.
    pub cut: bool,
    /// Its beginning is not kept any more: it is longer than there is room.
    pub torn: bool,
    /// It has no newline yet.
    pub open: bool,
}

/// Which lines are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted {
    /// At most this many, the newest.
    pub most: usize,
    /// Of this run; `None`: of all.
    pub run: Option<u32>,
    /// Read at this moment or later, microseconds since 1970.
    pub since: Option<i64>,
    /// Also what stands without a newline so far.
    pub open: bool,
}

/// Readings less than this apart are one, if nothing else was read between them.
const SAME_US: i64 = 1000;
/// Bytes of the ring for each mark: marks take no more room than what they are about.
const BYTES_PER_MARK: usize = size_of::<Mark>();

/// A small ring has so many marks at least.
const MARKS_MIN: usize = 8;

/// Everything up to here is of one reading.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Counted from the first byte there ever was.
    upto: u64,
    stamp: Stamp,
}

/// What is kept of one stream.
#[derive(Debug, Default)]
struct Kept {
    bytes: VecDeque<u8>,
    /// The number of its first byte.
    from: u64,
    /// The first byte stands in the middle of a line.
    torn: bool,
    marks: VecDeque<Mark>,
}

/// The last output of one service.
#[derive(Debug)]
pub(crate) struct Ring {
    limit: usize,
    kept: [Kept; 2],
}

impl Ring {
    /// An empty ring that keeps `limit` bytes of each stream.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            kept: [Kept::default(), Kept::default()],
        }
    }

    /// A new size.
    pub(crate) fn resize(&mut self, limit: usize) {
        self.limit = limit;
        for kept in &mut self.kept {
            kept.forget(kept.bytes.len().saturating_sub(limit));
            kept.bytes.shrink_to(limit);
        }
    }

    /// Bytes in it.
    pub(crate) fn len(&self) -> usize {
        self.kept.iter().map(|k| k.bytes.len()).sum()
    }

    /// Takes what was read.
    pub(crate) fn push(&mut self, stream: Stream, stamp: Stamp, bytes: &[u8]) {
        self.kept[stream.place()].push(stamp, bytes, self.limit);
    }

    /// The run has ended: what stands without a newline is its last line.
    pub(crate) fn finish(&mut self, stamp: Stamp) {
        for stream in Stream::BOTH {
            let kept = &self.kept[stream.place()];
            if kept.bytes.back().is_some_and(|last| *last != b'\n') {
                self.push(stream, stamp, b"\n");
            }
        }
    }

    /// The last bytes that a run wrote to a stream, at most so many.
    pub(crate) fn tail(&self, stream: Stream, run: u32, most: usize) -> Vec<u8> {
        let kept = &self.kept[stream.place()];
        let of_others = kept.marks.iter().rev().find(|mark| mark.stamp.run != run);
        let from = of_others.map_or(kept.from, |mark| mark.upto.max(kept.from));
        let begin = usize::try_from(from - kept.from).unwrap_or(usize::MAX);
        let begin = begin.max(kept.bytes.len().saturating_sub(most));
        kept.bytes.iter().skip(begin).copied().collect()
    }

    /// The newest lines that are wanted, oldest first.
    pub(crate) fn last(&self, wanted: Wanted) -> Vec<Line> {
        let is_wanted = |line: &Line| {
            wanted.run.is_none_or(|run| line.stamp.run == run)
                && wanted.since.is_none_or(|since| line.stamp.wall_us >= since)
        };
        let [out, err] = Stream::BOTH.map(|stream| {
            let kept = &self.kept[stream.place()];
            kept.backwards(stream, wanted.open)
                .filter(is_wanted)
                .peekable()
        });
        let (mut out, mut err) = (out, err);
        let mut found = Vec::new();
        while found.len() < wanted.most {
            let newer = match (out.peek(), err.peek()) {
                (Some(o), Some(e)) if o.stamp.number > e.stamp.number => out.next(),
                (Some(_), None) => out.next(),
                (_, Some(_)) => err.next(),
                (None, None) => None,
            };
            let Some(line) = newer else { break };
            found.push(line);
        }
        found.reverse();
        found
    }
}

impl Kept {
    fn end(&self) -> u64 {
        self.from + self.bytes.len() as u64
    }

    fn push(&mut self, stamp: Stamp, bytes: &[u8], limit: usize) {
        let over = (self.bytes.len() + bytes.len()).saturating_sub(limit);
        let old = over.min(self.bytes.len());
        self.forget(old);
        let (lost, kept) = bytes.split_at(over - old);
        if let Some(last) = lost.last() {
            self.from += lost.len() as u64;
            self.torn = *last != b'\n';
        }
        self.bytes.extend(kept);
        let upto = self.end();
        match self.marks.back_mut() {
            Some(mark) if mark.is_followed_by(stamp) => *mark = Mark { upto, stamp },
            Some(_) | None => self.marks.push_back(Mark { upto, stamp }),
        }
        while self.marks.len() > (limit / BYTES_PER_MARK).max(MARKS_MIN) {
            let past = self.marks.front().map_or(0, |mark| mark.upto - self.from);
            self.forget(usize::try_from(past).unwrap_or(usize::MAX));
        }
    }

    /// Forgets this many of the oldest bytes.
    fn forget(&mut self, count: usize) {
        if let Some(last) = count.checked_sub(1).and_then(|n| self.bytes.get(n)) {
            self.torn = *last != b'\n';
            self.bytes.drain(..count);
            self.from += count as u64;
        }
        while self.marks.front().is_some_and(|m| m.upto <= self.from) {
            self.marks.pop_front();
        }
    }

    /// The place of the last newline before `end`.
    fn newline_before(&self, end: usize) -> Option<usize> {
        let (first, second) = self.bytes.as_slices();
        let later = end.checked_sub(first.len());
        let later = later.and_then(|end| memrchr(b'\n', &second[..end]));
        later
            .map(|place| first.len() + place)
            .or_else(|| memrchr(b'\n', &first[..end.min(first.len())]))
    }

    fn backwards(&self, stream: Stream, open: bool) -> Backwards<'_> {
        let unfinished = open && self.bytes.back().is_some_and(|last| *last != b'\n');
        Backwards {
            kept: self,
            stream,
            end: if unfinished {
                Some(self.bytes.len())
            } else {
                self.newline_before(self.bytes.len())
            },
            mark: self.marks.len(),
            pieces: Vec::new(),
        }
    }
}

impl Mark {
    /// Whether the reading after this one belongs to it.
    fn is_followed_by(&self, next: Stamp) -> bool {
        self.stamp.run == next.run
            && self.stamp.number + 1 == next.number
            && (0..SAME_US).contains(&(next.wall_us - self.stamp.wall_us))
    }
}

/// The lines of one stream, the newest first.
struct Backwards<'a> {
    kept: &'a Kept,
    stream: Stream,
    /// The newline that ends the next line; beyond the last byte: it is not finished.
    end: Option<usize>,
    /// The next line is not newer than this mark.
    mark: usize,
    /// What is left of a line in pieces, in its order.
    pieces: Vec<Line>,
}

impl Iterator for Backwards<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        if let Some(piece) = self.pieces.pop() {
            return Some(piece);
        }
        let end = self.end?;
        self.end = self.kept.newline_before(end);
        let begin = self.end.map_or(0, |newline| newline + 1);
        // A line whose beginning is lost is shown only if it is a long one, or there is no other.
        let mut torn = self.end.is_none() && self.kept.torn;
        if torn && end <= LOG_LINE_MAX && !self.is_newest(end) {
            return None;
        }
        let stamp = self.stamp_of(end);
        let open = end == self.kept.bytes.len();
        let mut rest = begin..end;
        loop {
            let byte = |place: usize| self.kept.bytes[rest.start + place];
            let length = piece_length(rest.len(), byte);
            let here = rest.start..rest.start + length;
            rest.start += length;
            self.pieces.push(Line {
                stamp,
                stream: self.stream,
                bytes: self.kept.bytes.range(here).copied().collect(),
                cut: !rest.is_empty(),
                torn: std::mem::take(&mut torn),
                open: open && rest.is_empty(),
            });
            if rest.is_empty() {
                return self.pieces.pop();
            }
        }
    }
}

impl Backwards<'_> {
    fn is_newest(&self, end: usize) -> bool {
        let last = self.kept.newline_before(self.kept.bytes.len());
        last.is_none_or(|newline| newline == end)
    }

    /// Of the reading that this byte came with.
    fn stamp_of(&mut self, place: usize) -> Stamp {
        let number = self.kept.from + place as u64;
        let marks = &self.kept.marks;
        while self.mark > 1 && marks[self.mark - 2].upto > number {
            self.mark -= 1;
        }
        marks[self.mark - 1].stamp
    }
}

#[cfg(test)]
mod tests {
    use super::super::cut::{Pieces, complete};
    use super::*;
    use proptest::prelude::*;

    fn stamp(run: u32, number: u64) -> Stamp {
        Stamp {
            run,
            wall_us: i64::try_from(number).expect("small") * 2000,
            number,
        }
    }

    fn texts(ring: &Ring, most: usize, run: Option<u32>) -> Vec<String> {
        let wanted = Wanted {
            most,
            run,
            ..Wanted::default()
        };
        let lines = ring.last(wanted).into_iter();
        lines
            .map(|l| String::from_utf8_lossy(&l.bytes).into_owned())
            .collect()
    }

    #[test]
    fn lines_are_put_together_from_pieces_and_told_in_the_order_of_their_ends() {
        let mut ring = Ring::new(1000);
        ring.push(Stream::Out, stamp(1, 1), b"a\nhal");
        ring.push(Stream::Err, stamp(1, 2), b"oops\n");
        ring.push(Stream::Out, stamp(1, 3), b"f\n\nunfinished");
        assert_eq!(texts(&ring, 10, None), ["a", "oops", "half", ""]);
        assert_eq!(texts(&ring, 2, None), ["half", ""]);
    }

    #[test]
    fn the_oldest_lines_make_room_and_a_torn_one_is_not_shown() {
        let mut ring = Ring::new(15);
        for i in 0..10 {
            let line = format!("line{i}\n");
            ring.push(Stream::Out, stamp(1, i), line.as_bytes());
        }
        assert_eq!(texts(&ring, 100, None), ["line8", "line9"]);
        assert_eq!(ring.len(), 15);
    }

    #[test]
    fn empty_lines_and_single_bytes_take_no_more_room_than_others() {
        let mut ring = Ring::new(4096);
        for i in 0..100_000 {
            ring.push(Stream::Out, stamp(1, i), b"\n");
        }
        let kept = &ring.kept[0];
        assert!(kept.bytes.len() <= 4096, "{} bytes", kept.bytes.len());
        let marks = kept.marks.len() * size_of::<Mark>();
        assert!(marks <= 4096, "{marks} bytes of marks");
        assert_eq!(texts(&ring, usize::MAX, None).len(), kept.bytes.len());
    }

    #[test]
    fn what_a_run_wrote_last_is_its_own_even_without_a_newline() {
        let mut ring = Ring::new(1000);
        ring.push(Stream::Err, stamp(1, 1), b"no newline");
        ring.finish(stamp(1, 2));
        ring.finish(stamp(1, 3));
        ring.push(Stream::Out, stamp(2, 4), b"next\n");
        assert_eq!(texts(&ring, 10, Some(1)), ["no newline"]);
        assert_eq!(texts(&ring, 10, Some(2)), ["next"]);
    }

    #[test]
    fn the_tail_of_a_stream_is_that_of_one_run() {
        let mut ring = Ring::new(1000);
        ring.push(Stream::Err, stamp(1, 1), b"of the first\n");
        ring.push(Stream::Err, stamp(2, 2), b"of the second\n");
        ring.push(Stream::Out, stamp(2, 3), b"elsewhere\n");
        assert_eq!(ring.tail(Stream::Err, 2, 100), b"of the second\n");
        assert_eq!(ring.tail(Stream::Err, 2, 7), b"second\n");
        assert_eq!(ring.tail(Stream::Out, 2, 100), b"elsewhere\n");
        assert_eq!(ring.tail(Stream::Err, 3, 100), b"");
    }

    #[test]
    fn only_lines_of_a_span_of_time_are_told_when_it_is_asked_for() {
        let mut ring = Ring::new(1000);
        for (number, text) in [(1, b"old\n"), (2, b"mid\n"), (3, b"new\n")] {
            ring.push(Stream::Out, stamp(1, number), text);
        }
        let wanted = Wanted {
            most: 10,
            since: Some(4000),
            ..Wanted::default()
        };
        let lines = ring.last(wanted);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].bytes, b"mid");
    }

    #[test]
    fn what_is_not_finished_is_told_to_whoever_asks_for_it() {
        let mut ring = Ring::new(1000);
        ring.push(Stream::Out, stamp(1, 1), b"whole\nhalf");
        ring.push(Stream::Err, stamp(1, 2), b"alone");
        let (most, open) = (10, true);
        let lines = ring.last(Wanted {
            most,
            open,
            ..Wanted::default()
        });
        let told: Vec<_> = lines.iter().map(|l| (l.bytes.len(), l.open)).collect();
        assert_eq!(told, [(5, false), (4, true), (5, true)]);
        assert_eq!(texts(&ring, 10, None), ["whole"]);
    }

    #[test]
    fn a_line_longer_than_the_ring_is_told_without_its_beginning() {
        let mut ring = Ring::new(40_000);
        ring.push(Stream::Out, stamp(1, 1), "x".repeat(50_000).as_bytes());
        ring.push(Stream::Out, stamp(1, 2), b"\nshort\n");
        let wanted = Wanted {
            most: 10,
            ..Wanted::default()
        };
        let lines = ring.last(wanted);
        let told = lines.iter().map(|l| (l.bytes.len(), l.torn, l.cut));
        let (piece, rest) = (LOG_LINE_MAX, 40_000 - 7 - 2 * LOG_LINE_MAX);
        let torn = [
            (piece, true, true),
            (piece, false, true),
            (rest, false, false),
        ];
        let expected = torn.into_iter().chain([(5, false, false)]);
        assert!(told.eq(expected));
    }

    #[test]
    fn a_ring_without_room_keeps_nothing() {
        let mut ring = Ring::new(0);
        ring.push(Stream::Out, stamp(1, 1), b"a\nb\n");
        ring.finish(stamp(1, 2));
        assert_eq!((ring.len(), texts(&ring, 10, None).len()), (0, 0));
    }

    proptest! {
        /// The ring shows the pieces that a follower of the same bytes was shown.
        #[test]
        fn what_is_kept_is_told_as_it_was_passed_on(
            parts in prop::collection::vec(
                prop_oneof![
                    Just(b"\n".to_vec()),
                    "[ -~]{0,40}\n".prop_map(String::into_bytes),
                    (1..LOG_LINE_MAX * 2).prop_map(|n| "é".repeat(n).into_bytes()),
                ],
                0..30,
            ),
            limit in 1..200_000usize,
        ) {
            let mut ring = Ring::new(limit);
            for (number, part) in (1..).zip(&parts) {
                ring.push(Stream::Out, stamp(1, number), part);
            }
            let all = parts.concat();
            let last = memrchr(b'\n', &all).map_or(0, |n| n + 1);
            let whole = &all[..complete(&all[..last], 0)];
            let expected: Vec<_> = Pieces(whole).map(|p| (p.bytes.to_vec(), p.cut)).collect();
            let wanted = Wanted { most: usize::MAX, ..Wanted::default() };
            let mut told = ring.last(wanted);
            // Of a line whose beginning is lost the pieces are others.
            if told.first().is_some_and(|line| line.torn) {
                let rest = told.iter().position(|line| !line.cut).map_or(told.len(), |n| n + 1);
                told.drain(..rest);
            }
            let got: Vec<_> = told.into_iter().map(|l| (l.bytes, l.cut)).collect();
            let kept = &ring.kept[0];
            let newline = kept.newline_before(kept.bytes.len());
            let is_only = newline.is_some_and(|n| kept.newline_before(n).is_none());
            prop_assert!((kept.torn && is_only) || expected.ends_with(&got));
            prop_assert!(ring.len() <= limit);
            if all.len() <= limit && parts.len() <= limit / BYTES_PER_MARK {
                prop_assert_eq!(got, expected);
            }
        }
    }
}
