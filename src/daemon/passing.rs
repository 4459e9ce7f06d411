// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines of services on their way out: to our own outputs, and to clients that follow them.
//!
//! Decides how a line looks there (`log.children`), and whom it is dropped for when nobody reads:
//! who has written much lately finds the buffer full at half of it, so that a service that shouts
//! takes no room from one that says something now and then. Where our output is a terminal,
//! nothing that it would obey reaches it, unless lines are asked for raw. It never waits.

use super::cut::Pieces;
use super::outbox::{Inlet, Unit};
use super::outlet::{Flow, Outlet, Room, Taken};
use super::readers::Readers;
use super::render::{Eyes, Frame};
use super::ring::{Line, Stamp, Stream};
use super::stamp;
use super::token::Token;
use crate::spec::{ChildLines, Settings};
use crate::sys::epoll::Poller;
use crate::tree::NodeId;
use crate::wire::{LogCounts, LogLine, Word};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where lines go besides the rings and the files.
#[derive(Debug)]
pub(crate) struct Passing {
    /// Our standard output.
    pub out: Outlet,
    /// Our standard error.
    pub err: Outlet,
    /// Which of the two waits for room in the set of descriptors.
    flows: [Flow; 2],
    how: ChildLines,
    stamped: Stamped,
    readers: Readers<Follow>,
    count: u64,
    passed: u64,
    /// What the lines of a reading look like.
    frame: Frame,
    /// One of them for readers.
    line: Vec<u8>,
}

/// Whether a line that is passed on carries the time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stamped {
    Yes,
    No,
}

/// Whose lines a reader follows.
#[derive(Debug, Clone)]
pub(crate) struct Follow(pub BTreeSet<NodeId>);

/// Whose lines are passed on.
#[derive(Debug)]
pub(crate) struct Speaker<'a> {
    /// The service.
    pub node: NodeId,
    /// Its name.
    pub name: &'a str,
    /// Whether our own outputs get them, too.
    pub loud: Loud,
    /// What became of them there.
    pub counts: &'a mut Counts,
}

/// Whether a service's lines go to our own outputs (`log.to` has `supd`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loud {
    /// They do.
    Yes,
    /// They are kept and followed only.
    No,
}

/// What became of a service's bytes on the way to our outputs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Handed over to be written.
    pub written: u64,
    /// Dropped, because nobody read.
    pub dropped: u64,
    /// The same in lines.
    pub dropped_lines: u64,
    /// Taken since the buffer was last empty, and which time that was.
    lately: (u64, usize),
}

impl Passing {
    /// Nothing passed on yet.
    pub(crate) fn new(outlets: [Outlet; 2]) -> Self {
        let [out, err] = outlets;
        Self {
            out,
            err,
            flows: [Flow::Clear; 2],
            how: ChildLines::Prefix,
            stamped: Stamped::No,
            readers: Readers::default(),
            count: 0,
            passed: 0,
            frame: Frame::default(),
            line: Vec::new(),
        }
    }

    /// Passes lines on in this manner from now on.
    pub(crate) fn set(&mut self, settings: &Settings) {
        self.how = settings.log_children;
        self.stamped = if settings.log_timestamps {
            Stamped::Yes
        } else {
            Stamped::No
        };
    }

    /// What became of a service's bytes here; `None`: they do not go to our outputs.
    pub(crate) fn view(&self, counts: &Counts, loud: Loud) -> Option<LogCounts> {
        if loud == Loud::No || self.how == ChildLines::Off {
            return None;
        }
        Some(LogCounts {
            written: counts.written,
            waiting: 0,
            dropped: counts.dropped,
            dropped_lines: counts.dropped_lines,
        })
    }

    /// Lets one more follow.
    pub(crate) fn follow(&mut self, whose: Follow, lines: Inlet) {
        self.readers.add(whose, lines);
    }

    /// Ends every stream.
    pub(crate) fn close(&mut self) {
        self.readers.clear();
    }

    /// Passes on what is complete: whole lines, or pieces of one that is too long.
    pub(crate) fn pass(
        &mut self,
        speaker: &mut Speaker<'_>,
        (stream, stamp): (Stream, Stamp),
        bytes: &[u8],
    ) {
        if !self.readers.is_empty() {
            self.tell_readers(speaker, (stream, stamp), bytes);
        }
        if speaker.loud == Loud::No || self.how == ChildLines::Off {
            return;
        }
        let outlet = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        let time = match self.stamped {
            Stamped::Yes => Some(stamp.wall_us),
            Stamped::No => None,
        };
        if self.how == ChildLines::Raw && time.is_none() {
            let room = speaker.counts.room(outlet);
            let taken = outlet.block(bytes, room);
            speaker.counts.add(taken, (bytes.len(), bytes));
            return;
        }
        let eyes = outlet.eyes();
        match self.how {
            ChildLines::Off => return,
            ChildLines::Raw => self.frame.raw(time),
            ChildLines::Prefix => self.frame.prefixed(speaker.name, time, eyes),
            ChildLines::Json => self.frame.json(speaker.name, (stream, stamp), eyes),
        }
        let mut rest = bytes;
        while let Some(stretch) = self.frame.stretch(rest) {
            let room = speaker.counts.room(outlet);
            if !outlet.has_room(stretch.most, room) {
                break;
            }
            let frame = &self.frame;
            let taken = outlet.append(stretch.most, room, |buffer| {
                frame.add_all(stretch, buffer);
            });
            self.passed += stretch.most as u64;
            speaker
                .counts
                .add(taken, (stretch.bytes.len(), stretch.bytes));
            rest = &rest[stretch.bytes.len()..];
        }
        // Where there is little room, or a long line, each is looked at by itself.
        for piece in Pieces(rest) {
            let room = speaker.counts.room(outlet);
            let frame = &self.frame;
            self.passed += frame.at_least(piece) as u64;
            let taken = outlet.append(frame.at_least(piece), room, |buffer| {
                frame.add(piece, buffer);
            });
            let length = piece.bytes.len() + usize::from(!piece.cut);
            speaker.counts.add(taken, (length, b"\n"));
        }
    }

    fn tell_readers(
        &mut self,
        speaker: &Speaker<'_>,
        (stream, stamp): (Stream, Stamp),
        bytes: &[u8],
    ) {
        let wanted = |f: &Follow| f.0.contains(&speaker.node);
        if !self.readers.any(wanted) {
            return;
        }
        self.frame
            .json(speaker.name, (stream, stamp), Eyes::Program);
        for piece in Pieces(bytes) {
            self.count += 1;
            self.line.clear();
            self.passed += self.frame.at_least(piece) as u64;
            self.frame.add(piece, &mut self.line);
            self.line.pop();
            // What is rendered is UTF-8, whatever was written.
            let line: Arc<str> = String::from_utf8_lossy(&self.line).into();
            self.readers.offer(self.count, Unit::Count, wanted, &line);
        }
        self.line.shrink_to(4096);
    }

    /// Bytes that were written out for somebody so far, whether there was room or not.
    pub(crate) fn passed(&self) -> u64 {
        self.passed
    }

    /// Whether something waits for a reader of ours.
    pub(crate) fn is_stuck(&self) -> bool {
        self.flows.contains(&Flow::Stuck)
    }

    /// Writes what waits, and waits for room where there is none.
    pub(crate) fn flush(&mut self, poller: &Poller) {
        let outlets = [(&mut self.out, Stream::Out), (&mut self.err, Stream::Err)];
        for ((outlet, stream), before) in outlets.into_iter().zip(&mut self.flows) {
            let after = outlet.flush();
            let changed = std::mem::replace(before, after) != after;
            let Some(sink) = outlet.sink().filter(|_| changed) else {
                continue;
            };
            let (room, interest) = sink.room();
            match after {
                Flow::Clear => poller.remove(room),
                Flow::Stuck => {
                    let token = Token::Outlet(stream).encode();
                    // What cannot be waited for is tried again in the next turn.
                    let _unheard = poller.add(room, token, interest);
                }
            }
        }
    }
}

impl Counts {
    /// How much of the buffer this service may fill.
    fn room(&self, outlet: &Outlet) -> Room {
        let (when, bytes) = self.lately;
        if when == outlet.emptied() && bytes > Outlet::MUCH {
            Room::Half
        } else {
            Room::All
        }
    }

    fn add(&mut self, taken: Taken, (length, lines): (usize, &[u8])) {
        match taken {
            Taken::Yes { emptied } => {
                self.written += length as u64;
                let before = Some(self.lately).filter(|(when, _)| *when == emptied);
                self.lately = (emptied, before.map_or(0, |(_, bytes)| bytes) + length);
            }
            Taken::No => {
                self.dropped += length as u64;
                self.dropped_lines += memchr::memchr_iter(b'\n', lines).count() as u64;
            }
        }
    }
}

/// A line for the protocol.
pub(crate) fn log_line(name: &str, line: &Line) -> LogLine {
    LogLine {
        node: name.to_owned(),
        run: u64::from(line.stamp.run),
        stream: Word::Borrowed(line.stream.as_str()),
        ts: stamp::rfc3339(line.stamp.wall_us),
        text: String::from_utf8_lossy(&line.bytes).into_owned(),
        cut: line.cut,
        torn: line.torn,
        open: line.open,
    }
}
