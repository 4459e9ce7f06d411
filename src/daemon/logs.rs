// SPDX-License-Identifier: MIT OR Apache-2.0
//! What services write: their pipes, the rings it is kept in, and who it is passed on to.
//!
//! A captured service has two pipes. While descriptors are plenty we hold both ends of them, so
//! that a restart opens nothing and an exit does not wake us once for each pipe before it wakes us
//! for itself. Beyond that each run has pipes of its own, of which we keep the ends we read: two
//! descriptors for each service, and none when all who could write are gone. Reading is bounded
//! per turn, so that one service that shouts delays nobody; what nobody can keep is dropped and
//! counted, and a child is never made to wait for a reader of ours. It never decides anything
//! about a service.

use super::cut::complete;
use super::outbox::Inlet;
use super::outlet::Outlet;
use super::passing::{Counts, Follow, Loud, Passing, Speaker, log_line};
use super::ring::{Ring, Stamp, Stream, Wanted};
use super::stamp;
use super::token::Token;
use crate::spec::limits::LOG_LINE_MAX;
use crate::spec::{LogSink, Logs as Spec, Settings, SpawnFailure, Stage};
use crate::sys::epoll::{Interest, Poller};
use crate::sys::logpipe::{Chunk, LogReader, pair};
use crate::tree::NodeId;
use crate::wire::LogLine;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Bytes read from one pipe in one turn: what a pipe holds by default (pipe(7)).
const BUDGET: usize = 64 << 10;
/// Reads of one pipe when its run has ended; a pipe that is still full then has another writer.
const LAST_READS: usize = 16;

/// Descriptors that are not for output: clients, streams, readiness, our own.
const OTHERS: usize = 512;

/// One of a service's two pipes.
#[derive(Debug)]
struct Pipe {
    read: LogReader,
    /// The end for the next run, too; `None`: this pipe is of one run only.
    write: Option<OwnedFd>,
}

/// One service's output.
#[derive(Debug)]
struct Source {
    name: Arc<str>,
    run: u32,
    limit: usize,
    pipes: [Option<Pipe>; 2],
    /// Only once there is something to keep.
    heard: Option<Box<Heard>>,
}

/// What a service has written.
#[derive(Debug)]
struct Heard {
    ring: Ring,
    /// The beginning of a line that is not complete yet, of each stream.
    open: [Vec<u8>; 2],
    counts: Counts,
}

/// What is known about the pipes of a run that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// There may be something in them.
    Perhaps,
    /// They are empty.
    Nothing,
}

/// The end of a pipe that a child writes to.
#[derive(Debug)]
pub(crate) enum End<'a> {
    /// Ours, for the runs to come.
    Kept(BorrowedFd<'a>),
    /// The child's alone.
    Given(OwnedFd),
}

impl AsFd for End<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Kept(fd) => *fd,
            Self::Given(fd) => fd.as_fd(),
        }
    }
}

/// The descriptors of a child's output.
#[derive(Debug)]
pub(crate) enum Handles<'a> {
    /// Captured: the ends for the child.
    Pipes(End<'a>, End<'a>),
    /// Our own.
    Inherit,
    /// /dev/null.
    Null,
}

/// All output of all services.
#[derive(Debug)]
pub(crate) struct Logs {
    sources: BTreeMap<NodeId, Source>,
    /// How many descriptors we may have.
    descriptors: usize,
    /// Write ends with a number below this are kept: numbers are given from below.
    keep_below: i32,
    desk: Desk,
    /// Where lines are passed on to.
    pub passing: Passing,
}

/// Where what was read is looked at.
#[derive(Debug)]
struct Desk {
    /// A line that is not complete yet, and behind it what is read.
    buffer: Box<[u8]>,
    /// How often something was read.
    readings: u64,
}

impl Logs {
    /// Nothing captured yet.
    pub(crate) fn new(outlets: [Outlet; 2], settings: &Settings, descriptors: u64) -> Self {
        let mut logs = Self {
            sources: BTreeMap::new(),
            descriptors: usize::try_from(descriptors).unwrap_or(usize::MAX),
            keep_below: 0,
            desk: Desk {
                buffer: vec![0; LOG_LINE_MAX + BUDGET].into(),
                readings: 0,
            },
            passing: Passing::new(outlets),
        };
        logs.set(settings);
        logs
    }

    /// There may be this many services from now on: each can have the two descriptors it needs,
    /// and what is left over keeps write ends.
    pub(crate) fn share_out(&mut self, services: usize) {
        let needed = services.saturating_mul(2).saturating_add(OTHERS);
        let kept = self.descriptors.saturating_sub(needed) / 2;
        self.keep_below = i32::try_from(kept.saturating_mul(4)).unwrap_or(i32::MAX);
    }

    /// Passes lines on in this manner from now on.
    pub(crate) fn set(&mut self, settings: &Settings) {
        self.passing.set(settings);
    }

    /// The service's output from now on belongs to its run with this number.
    pub(crate) fn begin(&mut self, node: NodeId, name: &Arc<str>, run: u32) {
        let source = self.sources.entry(node).or_insert_with(|| Source {
            name: Arc::clone(name),
            run,
            limit: 0,
            pipes: [None, None],
            heard: None,
        });
        source.run = run;
    }

    /// The descriptors for the output of a new run. Whoever of the run before still writes to a
    /// pipe of that run has left it, and is read no longer; to a kept one, as part of the new run.
    pub(crate) fn handles(
        &mut self,
        node: NodeId,
        spec: &Spec,
        poller: &Poller,
    ) -> Result<Handles<'_>, SpawnFailure> {
        match spec.to {
            LogSink::Inherit => return Ok(Handles::Inherit),
            LogSink::Null => return Ok(Handles::Null),
            LogSink::Supd => {}
        }
        let Some(source) = self.sources.get_mut(&node) else {
            return Ok(Handles::Null);
        };
        source.limit = spec.ring;
        if let Some(heard) = &mut source.heard {
            heard.ring.resize(spec.ring);
        }
        if !source.pipes.iter().flatten().all(|p| p.write.is_some()) {
            source.pipes = [None, None];
        }
        let keep_below = self.keep_below;
        let [out, err] = &mut source.pipes;
        let end = |pipe, stream| {
            write_end(pipe, stream, (node, poller, keep_below)).map_err(|e| SpawnFailure {
                stage: Stage::Pipe,
                errno: e.raw_os_error().unwrap_or(0),
            })
        };
        Ok(Handles::Pipes(
            end(out, Stream::Out)?,
            end(err, Stream::Err)?,
        ))
    }

    /// The descriptors for the output of a helper: the service's own pipes, opened once more. With
    /// nobody to read them, or without /proc, what it writes is lost.
    pub(crate) fn helper_handles(&self, node: NodeId, spec: &Spec) -> Handles<'_> {
        if spec.to == LogSink::Inherit {
            return Handles::Inherit;
        }
        let ends = self
            .sources
            .get(&node)
            .map(|s| s.pipes.each_ref().map(|p| p.as_ref().and_then(Pipe::again)));
        match ends {
            Some([Some(out), Some(err)]) => Handles::Pipes(out, err),
            Some([_, _]) | None => Handles::Null,
        }
    }

    /// Takes what a service has written, at most a budget.
    pub(crate) fn read(&mut self, node: NodeId, stream: Stream) {
        if let Some(source) = self.sources.get_mut(&node) {
            source.read_once((node, stream), &mut self.desk, &mut self.passing);
        }
    }

    /// The run has ended: takes the rest of its output, its last line included.
    pub(crate) fn finish(&mut self, node: NodeId, unread: Unread) {
        let Some(source) = self.sources.get_mut(&node) else {
            return;
        };
        let reads = match unread {
            Unread::Perhaps => LAST_READS,
            Unread::Nothing => 0,
        };
        for stream in Stream::BOTH {
            for _ in 0..reads {
                if source.read_once((node, stream), &mut self.desk, &mut self.passing) == 0 {
                    break;
                }
            }
        }
        source.finish(node, &mut self.desk, &mut self.passing);
    }

    /// The last lines of a service's present or last run.
    pub(crate) fn last_words(&self, node: NodeId, most: usize) -> Box<[String]> {
        let Some((source, heard)) = self.heard(node) else {
            return Box::default();
        };
        let lines = heard.ring.last(Wanted {
            most,
            run: Some(source.run),
            since: None,
        });
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        lines.into_iter().map(|line| text(line.bytes)).collect()
    }

    /// The last lines of one service for the protocol, each with the number of its reading.
    pub(crate) fn last(&self, node: NodeId, wanted: Wanted) -> Vec<(u64, LogLine)> {
        let Some((source, heard)) = self.heard(node) else {
            return Vec::new();
        };
        let lines = heard.ring.last(wanted).into_iter();
        lines
            .map(|line| (line.stamp.number, log_line(&source.name, &line)))
            .collect()
    }

    fn heard(&self, node: NodeId) -> Option<(&Source, &Heard)> {
        let source = self.sources.get(&node)?;
        Some((source, source.heard.as_deref()?))
    }

    /// Lets one more follow.
    pub(crate) fn follow(&mut self, whose: Follow, lines: Inlet) {
        self.passing.follow(whose, lines);
    }

    /// Ends every stream.
    pub(crate) fn close(&mut self) {
        self.passing.close();
    }

    /// The node is gone from the tree: so are its pipes and its lines.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.sources.remove(&node);
    }
}

/// The end for a child, of the pipe that is there or of a new one.
fn write_end<'a>(
    place: &'a mut Option<Pipe>,
    stream: Stream,
    (node, poller, keep_below): (NodeId, &Poller, i32),
) -> io::Result<End<'a>> {
    let mut given = None;
    if place.is_none() {
        let (read, write) = pair(None)?;
        poller.add(&read, Token::Log(node, stream).encode(), Interest::Read)?;
        let write = if write.as_raw_fd() < keep_below {
            Some(write)
        } else {
            given = Some(write);
            None
        };
        *place = Some(Pipe { read, write });
    }
    let kept = place.as_ref().and_then(|pipe| pipe.write.as_ref());
    match (given, kept) {
        (Some(fd), _) => Ok(End::Given(fd)),
        (None, Some(fd)) => Ok(End::Kept(fd.as_fd())),
        (None, None) => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

impl Pipe {
    /// One more end to write to.
    fn again(&self) -> Option<End<'_>> {
        if let Some(kept) = &self.write {
            return Some(End::Kept(kept.as_fd()));
        }
        let path = format!("/proc/self/fd/{}", self.read.as_raw_fd());
        let opened = OpenOptions::new().write(true).open(path).ok()?;
        Some(End::Given(opened.into()))
    }
}

impl Source {
    fn stamp(&self, desk: &mut Desk) -> Stamp {
        desk.readings += 1;
        Stamp {
            run: self.run,
            wall_us: stamp::wall_us(),
            number: desk.readings,
        }
    }

    /// How many bytes there were.
    fn read_once(
        &mut self,
        (node, stream): (NodeId, Stream),
        desk: &mut Desk,
        passing: &mut Passing,
    ) -> usize {
        let pipe = &mut self.pipes[stream.place()];
        let open = self.heard.as_deref().map(|h| &h.open[stream.place()]);
        let known = open.map_or(0, Vec::len);
        if let Some(open) = open {
            desk.buffer[..known].copy_from_slice(open);
        }
        let place = &mut desk.buffer[known..known + BUDGET];
        let bytes = match pipe.as_ref().map(|p| p.read.read(place)) {
            Some(Ok(Chunk::Bytes(bytes))) => bytes,
            // Everybody who could write is gone; an open end would wake us for ever.
            Some(Ok(Chunk::End) | Err(_)) => {
                *pipe = None;
                return 0;
            }
            Some(Ok(Chunk::Empty)) | None => return 0,
        };
        let stamp = self.stamp(desk);
        let heard = self.heard.get_or_insert_with(|| Heard::new(self.limit));
        let all = &desk.buffer[..known + bytes];
        heard.ring.push(stream, stamp, &all[known..]);
        let whole = complete(all, known);
        heard.keep_open(stream, &all[whole..]);
        let speaker = &mut Speaker {
            node,
            name: &self.name,
            loud: Loud::Yes,
            counts: &mut heard.counts,
        };
        passing.pass(speaker, (stream, stamp), &all[..whole]);
        bytes
    }

    /// What stands without a newline is the run's last line.
    fn finish(&mut self, node: NodeId, desk: &mut Desk, passing: &mut Passing) {
        let stamp = self.stamp(desk);
        let Some(heard) = &mut self.heard else {
            return;
        };
        heard.ring.finish(stamp);
        for stream in Stream::BOTH {
            let mut last = std::mem::take(&mut heard.open[stream.place()]);
            if last.is_empty() {
                continue;
            }
            last.push(b'\n');
            let speaker = &mut Speaker {
                node,
                name: &self.name,
                loud: Loud::Yes,
                counts: &mut heard.counts,
            };
            passing.pass(speaker, (stream, stamp), &last);
        }
    }
}

impl Heard {
    fn new(limit: usize) -> Box<Self> {
        Box::new(Self {
            ring: Ring::new(limit),
            open: [Vec::new(), Vec::new()],
            counts: Counts::default(),
        })
    }

    /// Remembers the beginning of a line; the room of a long one is given back.
    fn keep_open(&mut self, stream: Stream, bytes: &[u8]) {
        let open = &mut self.open[stream.place()];
        open.clear();
        open.extend_from_slice(bytes);
        open.shrink_to(bytes.len().max(256));
    }
}
