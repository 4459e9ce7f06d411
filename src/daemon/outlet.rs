// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our own standard output and error: a bounded buffer before a descriptor that never waits, or
//! before the thread that waits for a disk.
//!
//! Decides what happens when nobody reads: whole lines are dropped and counted, and the count is
//! written as soon as there is room. What supd says itself has room that no service can fill. It
//! never waits and never cuts a line in two; a reader that is gone for good (EPIPE) is no reason
//! to end.

use super::files::{OwnFile, Queue};
use super::render::Eyes;
use crate::sys::epoll::Interest;
use crate::sys::output::Output;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

/// Bytes that wait for a slow reader; a burst of a few hundred services' last words.
const BUFFER_MAX: usize = 256 << 10;
/// Beyond it only what supd says itself is taken.
const OWN_ROOM: usize = 64 << 10;
/// So much is written without waiting for the end of the turn: what a pipe holds (pipe(7)).
const WRITE_AT: usize = 64 << 10;

/// Whether everything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Nothing waits.
    Clear,
    /// Something waits until the reader reads.
    Stuck,
}

/// How much of the buffer a line may find full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// Half: somebody who has had a good deal of it already.
    Half,
    /// All that is for services.
    All,
    /// What is for supd itself, too.
    Own,
}

impl Room {
    /// Bytes that the buffer may have with the line.
    fn most(self) -> usize {
        match self {
            Self::Half => (BUFFER_MAX - OWN_ROOM) / 2,
            Self::All => BUFFER_MAX - OWN_ROOM,
            Self::Own => BUFFER_MAX,
        }
    }
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It will be written; the buffer was empty so often before.
    Yes {
        /// See [`Outlet::emptied`].
        emptied: u64,
    },
    /// There is no room, or nowhere to write.
    No,
}

/// Where it goes.
#[derive(Debug)]
pub(crate) enum Sink {
    /// To a descriptor that says when it can be written.
    Ready(Output),
    /// To a file, by way of the thread that may wait for it.
    File(OwnFile),
}

impl Sink {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Ready(output) => output.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    /// What to wait for when it is stuck.
    pub(crate) fn room(&self) -> (BorrowedFd<'_>, Interest) {
        match self {
            Self::Ready(output) => (output.as_fd(), Interest::Write),
            Self::File(file) => (file.as_fd(), Interest::Read),
        }
    }
}

/// One of our two outputs.
#[derive(Debug)]
pub(crate) struct Outlet {
    sink: Option<Sink>,
    eyes: Eyes,
    buffer: Vec<u8>,
    dropped: u64,
    emptied: u64,
    flow: Flow,
}

impl Outlet {
    /// Bytes of one service in the buffer that are a good deal of it.
    pub(crate) const MUCH: usize = BUFFER_MAX / 8;

    /// Before `sink`; without one everything is dropped.
    fn new(sink: Option<Sink>, eyes: Eyes) -> Self {
        Self {
            sink,
            eyes,
            buffer: Vec::new(),
            dropped: 0,
            emptied: 0,
            flow: Flow::Clear,
        }
    }

    /// Before one of our own descriptors; a regular one is written at the end of the queue.
    pub(crate) fn over(fd: BorrowedFd<'_>, queue: &Rc<Queue>) -> Self {
        let eyes = if fd.is_terminal() {
            Eyes::Terminal
        } else {
            Eyes::Program
        };
        let sink = match Output::new(fd) {
            Ok(output) if output.can_block() => OwnFile::new(output, queue).ok().map(Sink::File),
            Ok(output) => Some(Sink::Ready(output)),
            Err(_) => None,
        };
        Self::new(sink, eyes)
    }

    /// Who looks at it.
    pub(crate) fn eyes(&self) -> Eyes {
        self.eyes
    }

    /// How often the buffer was empty after something was written.
    pub(crate) fn emptied(&self) -> u64 {
        self.emptied
    }

    /// A line of supd's own.
    pub(crate) fn say(&mut self, line: &[u8]) {
        self.line(line, Room::Own);
    }

    /// Takes one line, and ends it.
    fn line(&mut self, line: &[u8], room: Room) -> Taken {
        self.append(line.len() + 1, room, |buffer| {
            buffer.extend_from_slice(line);
            buffer.push(b'\n');
        })
    }

    /// Takes one line of `at_least` so many bytes that `write` adds, its newline included.
    pub(crate) fn append(
        &mut self,
        at_least: usize,
        room: Room,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Taken {
        if !self.makes_room(at_least, room) {
            self.dropped += 1;
            return Taken::No;
        }
        let before = self.buffer.len();
        write(&mut self.buffer);
        if self.buffer.len() > room.most() {
            self.buffer.truncate(before);
            self.dropped += 1;
            return Taken::No;
        }
        Taken::Yes {
            emptied: self.emptied,
        }
    }

    /// Takes lines as they are.
    pub(crate) fn block(&mut self, lines: &[u8], room: Room) -> Taken {
        if !self.makes_room(lines.len(), room) {
            self.dropped += memchr::memchr_iter(b'\n', lines).count() as u64;
            return Taken::No;
        }
        self.buffer.extend_from_slice(lines);
        Taken::Yes {
            emptied: self.emptied,
        }
    }

    /// Whether there is room for so many bytes; nothing is counted.
    pub(crate) fn has_room(&mut self, length: usize, room: Room) -> bool {
        self.makes_room(length, room)
    }

    /// Whether there is room for so many bytes, written out meanwhile if need be.
    fn makes_room(&mut self, length: usize, room: Room) -> bool {
        if self.sink.is_none() {
            return false;
        }
        if self.buffer.len() >= WRITE_AT && self.flow == Flow::Clear {
            self.flush();
        }
        let fits = self.buffer.len() + length <= room.most();
        if fits && self.dropped > 0 {
            self.report_dropped();
        }
        fits
    }

    /// Where it goes.
    pub(crate) fn sink(&self) -> Option<&Sink> {
        self.sink.as_ref()
    }

    /// Writes as much as the descriptor takes now.
    pub(crate) fn flush(&mut self) -> Flow {
        self.flow = Flow::Clear;
        let Some(sink) = &self.sink else {
            return Flow::Clear;
        };
        if let Sink::File(file) = sink {
            self.dropped += file.take_lost();
        }
        let mut written = 0;
        while written < self.buffer.len() {
            match sink.write(&self.buffer[written..]) {
                Ok(n) => written += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.flow = Flow::Stuck;
                    break;
                }
                // Closed, full disk, a console that hung up: these lines are lost, the next may
                // not be.
                Err(_) => {
                    let rest = &self.buffer[written..];
                    self.dropped += memchr::memchr_iter(b'\n', rest).count() as u64;
                    written = self.buffer.len();
                }
            }
        }
        self.buffer.drain(..written);
        if self.buffer.is_empty() {
            self.emptied += u64::from(written > 0);
            if self.buffer.capacity() > 4096 {
                self.buffer = Vec::new();
            }
        }
        self.flow
    }

    fn report_dropped(&mut self) {
        let text = format!("supd: {} lines dropped: nobody read them\n", self.dropped);
        self.dropped = 0;
        self.buffer.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    fn outlet() -> (UnixStream, Outlet) {
        let (near, far) = UnixStream::pair().expect("a pair");
        near.set_nonblocking(true).expect("non-blocking");
        let output = Output::new(far.as_fd()).expect("an output");
        (near, Outlet::new(Some(Sink::Ready(output)), Eyes::Program))
    }

    fn read_all(from: &mut UnixStream) -> String {
        let mut text = Vec::new();
        let mut some = [0; 4096];
        while let Ok(n) = from.read(&mut some) {
            if n == 0 {
                break;
            }
            text.extend_from_slice(&some[..n]);
        }
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn lines_nobody_reads_are_dropped_whole_counted_and_reported() {
        let (mut reader, mut outlet) = outlet();
        let word = [b'w'; 999];
        let mut sent = 0;
        while outlet.dropped < 3 {
            outlet.line(&word, Room::All);
            outlet.flush();
            sent += 1;
        }
        assert_eq!(outlet.flush(), Flow::Stuck);
        let mut text = read_all(&mut reader);
        while outlet.flush() == Flow::Stuck {
            text += &read_all(&mut reader);
        }
        text += &read_all(&mut reader);
        outlet.line(b"name | again", Room::All);
        assert_eq!(outlet.flush(), Flow::Clear);
        assert_eq!(
            read_all(&mut reader),
            "supd: 3 lines dropped: nobody read them\nname | again\n"
        );
        assert_eq!(text.lines().count(), sent - 3);
        assert!(text.lines().all(|l| l.len() == 999), "a line was cut");
    }

    #[test]
    fn a_reader_that_is_gone_costs_lines_and_nothing_else() {
        let (reader, mut outlet) = outlet();
        drop(reader);
        outlet.line(b"lost", Room::All);
        assert_eq!(outlet.flush(), Flow::Clear);
        assert_eq!(outlet.dropped, 1);
    }

    #[test]
    fn who_has_had_a_good_deal_leaves_room_for_others_and_services_for_supd() {
        let (_reader, mut outlet) = outlet();
        let block = [b'x'; 1023];
        let mut fill = |room| {
            let mut taken = 0;
            while outlet.line(&block, room) != Taken::No {
                taken += 1;
            }
            taken
        };
        assert!(fill(Room::Half) > 0);
        assert!(fill(Room::All) >= 90, "the other half is there");
        assert!(fill(Room::Own) >= 60, "supd itself is heard");
    }
}
