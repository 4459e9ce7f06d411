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

use super::outlet::{Flow, Outlet};
use super::readers::{Readers, Unit};
use super::ring::{CUT_MARK, Line, Ring, Stamp, Stream};
use super::stamp;
use super::token::Token;
use crate::spec::{ChildLines, LogSink, Logs as Spec, Settings, SpawnFailure, Stage};
use crate::sys::epoll::{Interest, Poller};
use crate::sys::logpipe::{Chunk, LogReader, pair};
use crate::tree::NodeId;
use crate::wire::{LogLine, Word};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use tokio::sync::mpsc::Sender;

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
    ring: Option<Box<Ring>>,
}

/// Where lines go besides the rings.
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
    buffer: Box<[u8]>,
    /// Where lines are passed on to.
    pub passing: Passing,
}

impl Logs {
    /// Nothing captured yet.
    pub(crate) fn new(outlets: [Outlet; 2], settings: &Settings, descriptors: u64) -> Self {
        let [out, err] = outlets;
        let mut logs = Self {
            sources: BTreeMap::new(),
            descriptors: usize::try_from(descriptors).unwrap_or(usize::MAX),
            keep_below: 0,
            buffer: vec![0; BUDGET].into(),
            passing: Passing {
                out,
                err,
                flows: [Flow::Clear; 2],
                how: ChildLines::Prefix,
                stamped: Stamped::No,
                readers: Readers::default(),
                count: 0,
            },
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
        self.passing.how = settings.log_children;
        self.passing.stamped = if settings.log_timestamps {
            Stamped::Yes
        } else {
            Stamped::No
        };
    }

    /// The service's output from now on belongs to its run with this number.
    pub(crate) fn begin(&mut self, node: NodeId, name: &Arc<str>, run: u32) {
        let source = self.sources.entry(node).or_insert_with(|| Source {
            name: Arc::clone(name),
            run,
            limit: 0,
            pipes: [None, None],
            ring: None,
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
        if let Some(ring) = &mut source.ring {
            ring.resize(spec.ring);
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
        let Some(source) = self.sources.get_mut(&node) else {
            return;
        };
        source.read_once(node, stream, &mut self.buffer, &mut self.passing);
    }

    /// The run has ended: takes the rest of its output, its last line included.
    pub(crate) fn finish(&mut self, node: NodeId) {
        let Some(source) = self.sources.get_mut(&node) else {
            return;
        };
        for stream in [Stream::Out, Stream::Err] {
            for _ in 0..LAST_READS {
                if source.read_once(node, stream, &mut self.buffer, &mut self.passing) == 0 {
                    break;
                }
            }
        }
        let stamp = source.stamp();
        let (name, passing) = (&source.name, &mut self.passing);
        if let Some(ring) = &mut source.ring {
            ring.finish(stamp, &mut |line| passing.pass(node, name, line));
        }
    }

    /// The last lines of a service's present or last run.
    pub(crate) fn last_words(&self, node: NodeId, most: usize) -> Box<[String]> {
        let Some(source) = self.sources.get(&node) else {
            return Box::default();
        };
        let Some(ring) = &source.ring else {
            return Box::default();
        };
        let lines = ring.last(most, Some(source.run));
        lines.into_iter().map(Line::text).collect()
    }

    /// The last lines of one service for the protocol.
    pub(crate) fn last(&self, node: NodeId, most: usize, run: Option<u32>) -> Vec<LogLine> {
        let Some(source) = self.sources.get(&node) else {
            return Vec::new();
        };
        let lines = source.ring.as_ref().map(|r| r.last(most, run));
        let lines = lines.into_iter().flatten();
        lines.map(|l| log_line(&source.name, l)).collect()
    }

    /// Lets one more follow; `false`: there are too many.
    pub(crate) fn follow(&mut self, whose: Follow, lines: Sender<Arc<str>>) -> bool {
        self.passing.readers.add(whose, lines)
    }

    /// How many follow.
    pub(crate) fn followers(&mut self) -> usize {
        self.passing.readers.count()
    }

    /// Ends every stream.
    pub(crate) fn close(&mut self) {
        self.passing.readers.clear();
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
    fn stamp(&self) -> Stamp {
        Stamp {
            run: self.run,
            wall_us: stamp::wall_us(),
        }
    }

    /// How many bytes there were.
    fn read_once(
        &mut self,
        node: NodeId,
        stream: Stream,
        buffer: &mut [u8],
        passing: &mut Passing,
    ) -> usize {
        let pipe = &mut self.pipes[match stream {
            Stream::Out => 0,
            Stream::Err => 1,
        }];
        let bytes = match pipe.as_ref().map(|p| p.read.read(buffer)) {
            Some(Ok(Chunk::Bytes(bytes))) => bytes,
            // Everybody who could write is gone; an open end would wake us for ever.
            Some(Ok(Chunk::End) | Err(_)) => {
                *pipe = None;
                return 0;
            }
            Some(Ok(Chunk::Empty)) | None => return 0,
        };
        let stamp = self.stamp();
        let name = &self.name;
        let ring = self
            .ring
            .get_or_insert_with(|| Box::new(Ring::new(self.limit)));
        ring.feed(stream, stamp, &buffer[..bytes], &mut |line| {
            passing.pass(node, name, line);
        });
        bytes
    }
}

impl Passing {
    fn pass(&mut self, node: NodeId, name: &str, line: &Line) {
        self.count += 1;
        let json: Option<Arc<str>> = (!self.readers.is_empty() || self.how == ChildLines::Json)
            .then(|| {
                let line = log_line(name, line);
                serde_json::to_string(&line).unwrap_or_default().into()
            });
        if let Some(json) = &json {
            let wanted = |f: &Follow| f.0.contains(&node);
            self.readers.offer(self.count, Unit::Count, wanted, json);
        }
        let outlet = match line.stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        };
        let time = match self.stamped {
            Stamped::Yes => stamp::of_day(line.stamp.wall_us) + " ",
            Stamped::No => String::new(),
        };
        match self.how {
            ChildLines::Off => {}
            ChildLines::Raw => outlet.line(&[time.as_bytes(), &line.bytes]),
            ChildLines::Prefix => {
                outlet.line(&[time.as_bytes(), name.as_bytes(), b" | ", &line.bytes]);
            }
            ChildLines::Json => outlet.line(&[json.as_deref().unwrap_or_default().as_bytes()]),
        }
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
            let Some(output) = outlet.output().filter(|_| changed) else {
                continue;
            };
            match after {
                Flow::Clear => poller.remove(output),
                Flow::Stuck => {
                    let token = Token::Outlet(stream).encode();
                    // A regular file cannot be waited for and is never stuck (EPERM).
                    let _file = poller.add(output, token, Interest::Write);
                }
            }
        }
    }
}

fn log_line(name: &str, line: &Line) -> LogLine {
    let mut text = line.text();
    let cut = text.len() > crate::spec::limits::LOG_LINE_MAX && text.ends_with(CUT_MARK);
    if cut {
        text.truncate(text.len() - CUT_MARK.len());
    }
    LogLine {
        node: name.to_owned(),
        run: u64::from(line.stamp.run),
        stream: Word::Borrowed(line.stream.as_str()),
        ts: stamp::rfc3339(line.stamp.wall_us),
        text,
        cut,
    }
}
