// SPDX-License-Identifier: MIT OR Apache-2.0
//! The last lines of one service's output, both streams apart, within a fixed number of bytes.
//!
//! Decides what is kept when there is more than fits: the newest lines. A line longer than
//! `LOG_LINE_MAX` is cut in pieces that end in a mark. Nothing is allocated before the first
//! byte. It never reads, writes or waits, and knows no clock: time is an argument.

use crate::spec::limits::LOG_LINE_MAX;
use std::collections::VecDeque;

/// One of a process's two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// The word for it in the protocol.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Out => "stdout",
            Self::Err => "stderr",
        }
    }
}

/// Whose output it is and when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The how-many-th start of the service.
    pub run: u32,
    /// Wall time, microseconds since 1970.
    pub wall_us: i64,
}

/// What stands at the end of a piece of a line that was too long.
pub(crate) const CUT_MARK: &str = "\u{2026}";

/// One line without its newline.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// Rises with every line of the service, both streams together.
    pub number: u64,
    /// Whose and when.
    pub stamp: Stamp,
    /// Where it came out.
    pub stream: Stream,
    /// Its bytes; not necessarily UTF-8.
    pub bytes: Box<[u8]>,
}

impl Line {
    /// The line for people and JSON: what is not UTF-8 becomes U+FFFD.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Kept lines of one stream, and the line that is not complete yet.
#[derive(Debug, Default)]
struct Kept {
    partial: Vec<u8>,
    lines: VecDeque<Line>,
    bytes: usize,
}

/// The last output of one service.
#[derive(Debug)]
pub(crate) struct Ring {
    limit: usize,
    next: u64,
    out: Kept,
    err: Kept,
}

impl Ring {
    /// An empty ring that keeps `limit` bytes of each stream.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            next: 0,
            out: Kept::default(),
            err: Kept::default(),
        }
    }

    /// A new size; what no longer fits is dropped with the next line.
    pub(crate) fn resize(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Takes what was read from `stream` and shows `each` the lines that are complete with it.
    pub(crate) fn feed(
        &mut self,
        stream: Stream,
        stamp: Stamp,
        mut bytes: &[u8],
        each: &mut dyn FnMut(&Line),
    ) {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            let (head, tail) = (&bytes[..end], &bytes[end + 1..]);
            self.grow(stream, stamp, head, each);
            self.complete(stream, stamp, each);
            bytes = tail;
        }
        self.grow(stream, stamp, bytes, each);
    }

    /// The run has ended: what stands without a newline is its last line.
    pub(crate) fn finish(&mut self, stamp: Stamp, each: &mut dyn FnMut(&Line)) {
        for stream in [Stream::Out, Stream::Err] {
            if !self.kept(stream).partial.is_empty() {
                self.complete(stream, stamp, each);
            }
        }
    }

    /// The newest `most` lines, oldest first; of one run or of all.
    pub(crate) fn last(&self, most: usize, run: Option<u32>) -> Vec<&Line> {
        let wanted = |l: &&Line| run.is_none_or(|r| l.stamp.run == r);
        let mut out = self.out.lines.iter().rev().filter(wanted).peekable();
        let mut err = self.err.lines.iter().rev().filter(wanted).peekable();
        let mut found = Vec::new();
        while found.len() < most {
            let newer = match (out.peek(), err.peek()) {
                (Some(o), Some(e)) if o.number > e.number => out.next(),
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

    fn kept(&mut self, stream: Stream) -> &mut Kept {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }

    fn grow(
        &mut self,
        stream: Stream,
        stamp: Stamp,
        mut bytes: &[u8],
        each: &mut dyn FnMut(&Line),
    ) {
        loop {
            let partial = &mut self.kept(stream).partial;
            let room = LOG_LINE_MAX - partial.len();
            if bytes.len() <= room {
                partial.extend_from_slice(bytes);
                return;
            }
            partial.extend_from_slice(&bytes[..room]);
            partial.extend_from_slice(CUT_MARK.as_bytes());
            bytes = &bytes[room..];
            self.complete(stream, stamp, each);
        }
    }

    fn complete(&mut self, stream: Stream, stamp: Stamp, each: &mut dyn FnMut(&Line)) {
        let (number, limit) = (self.next, self.limit);
        self.next += 1;
        let kept = self.kept(stream);
        let line = Line {
            number,
            stamp,
            stream,
            bytes: kept.partial.as_slice().into(),
        };
        kept.partial.clear();
        each(&line);
        kept.bytes += line.bytes.len();
        kept.lines.push_back(line);
        while kept.bytes > limit {
            let Some(oldest) = kept.lines.pop_front() else {
                break;
            };
            kept.bytes -= oldest.bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(run: u32) -> Stamp {
        Stamp { run, wall_us: 0 }
    }

    fn texts(ring: &Ring, most: usize, run: Option<u32>) -> Vec<String> {
        ring.last(most, run).into_iter().map(Line::text).collect()
    }

    #[test]
    fn lines_are_put_together_from_pieces_and_kept_in_the_order_of_their_ends() {
        let mut ring = Ring::new(1000);
        let mut seen = Vec::new();
        let mut each = |l: &Line| seen.push(l.text());
        ring.feed(Stream::Out, stamp(1), b"a\nhal", &mut each);
        ring.feed(Stream::Err, stamp(1), b"oops\n", &mut each);
        ring.feed(Stream::Out, stamp(1), b"f\n\n", &mut each);
        assert_eq!(seen, ["a", "oops", "half", ""]);
        assert_eq!(texts(&ring, 10, None), ["a", "oops", "half", ""]);
        assert_eq!(texts(&ring, 2, None), ["half", ""]);
    }

    #[test]
    fn the_oldest_lines_make_room() {
        let mut ring = Ring::new(10);
        for i in 0..10 {
            let line = format!("line{i}\n");
            ring.feed(Stream::Out, stamp(1), line.as_bytes(), &mut |_| {});
        }
        assert_eq!(texts(&ring, 100, None), ["line8", "line9"]);
    }

    #[test]
    fn a_line_without_end_is_cut_with_a_mark() {
        let mut ring = Ring::new(1 << 20);
        let mut lengths = Vec::new();
        let long = vec![b'x'; LOG_LINE_MAX * 2 + 5];
        let mut each = |l: &Line| lengths.push((l.bytes.len(), l.bytes.ends_with("…".as_bytes())));
        ring.feed(Stream::Err, stamp(1), &long, &mut each);
        ring.feed(Stream::Err, stamp(1), b"\n", &mut each);
        let cut = LOG_LINE_MAX + CUT_MARK.len();
        assert_eq!(lengths, [(cut, true), (cut, true), (5, false)]);
    }

    #[test]
    fn what_a_run_wrote_last_is_its_own_even_without_a_newline() {
        let mut ring = Ring::new(1000);
        ring.feed(Stream::Err, stamp(1), b"no newline", &mut |_| {});
        ring.finish(stamp(1), &mut |_| {});
        ring.finish(stamp(1), &mut |_| {});
        ring.feed(Stream::Out, stamp(2), b"next\n", &mut |_| {});
        assert_eq!(texts(&ring, 10, Some(1)), ["no newline"]);
        assert_eq!(texts(&ring, 10, Some(2)), ["next"]);
    }
}
