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
use super::ears::{Ears, Unread};
use super::files::{Feed, Files, News, Trouble};
use super::note;
use super::outbox::Inlet;
use super::outlet::Outlet;
use super::passing::{Counts, Follow, Loud, Passing, Speaker, log_line};
use super::pipes::{Handles, Pipe, write_end};
use super::ring::{Ring, Stamp, Stream, Wanted};
use super::stamp;
use crate::spec::limits::{self, LOG_LINE_MAX};
use crate::spec::{LogSink, Logs as Spec, Settings, SpawnFailure, Stage};
use crate::sys::logpipe::Chunk;
use crate::tree::NodeId;
use crate::wire::{LogCounts, LogFileView, LogLine, LogView};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes read from one pipe in one turn: what a pipe holds by default (pipe(7)).
const BUDGET: usize = 64 << 10;
/// What may be taken and passed on in one turn, in bytes: about a millisecond.
const TURN: usize = 256 << 10;
/// Reads of one pipe when its run has ended; a pipe that is still full then has another writer.
const LAST_READS: usize = 16;

/// Bytes of last words in the record of an end: the record is a line itself, and must find room.
const LAST_BYTES: usize = 8 << 10;
/// Descriptors that are not for output: clients, streams, readiness, our own.
const OTHERS: usize = 512;

/// One service's output.
#[derive(Debug)]
struct Source {
    name: Arc<str>,
    run: u32,
    pipes: [Option<Pipe>; 2],
    /// What its present pipes were made for.
    spec: Option<Arc<Spec>>,
    files: Vec<Feed>,
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
    /// Bytes there were.
    read: u64,
    /// Newlines that were missing at the end of a run.
    ended: u64,
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
    /// Who has something to be read.
    pub ears: Ears,
    /// Where lines are passed on to.
    pub passing: Passing,
    /// Files that get them, too.
    pub files: Files,
}

/// Where what was read is looked at.
#[derive(Debug)]
struct Desk {
    /// A line that is not complete yet, and behind it what is read.
    buffer: Box<[u8]>,
    /// How often something was read.
    readings: u64,
}

/// Where a reading goes.
#[derive(Debug)]
struct Ways<'a> {
    desk: &'a mut Desk,
    passing: &'a mut Passing,
    files: &'a mut Files,
}

impl Logs {
    /// Nothing captured yet.
    pub(crate) fn new(
        ears: Ears,
        (outlets, files): ([Outlet; 2], Files),
        settings: &Settings,
    ) -> Self {
        let mut logs = Self {
            sources: BTreeMap::new(),
            descriptors: 0,
            keep_below: 0,
            desk: Desk {
                buffer: vec![0; LOG_LINE_MAX + BUDGET].into(),
                readings: 0,
            },
            ears,
            passing: Passing::new(outlets),
            files,
        };
        logs.set(settings);
        logs
    }

    /// We may have this many descriptors.
    pub(crate) fn allow(&mut self, descriptors: u64) {
        self.descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
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
            pipes: [None, None],
            spec: None,
            files: Vec::new(),
            heard: None,
        });
        source.run = run;
    }

    /// The descriptors for the output of a new run. Whoever of the run before still writes to a
    /// pipe of that run has left it, and is read no longer; to a kept one, as part of the new run.
    pub(crate) fn handles(
        &mut self,
        node: NodeId,
        spec: &Arc<Spec>,
    ) -> Result<Handles<'_>, SpawnFailure> {
        match spec.to {
            LogSink::Inherit => return Ok(Handles::Inherit),
            LogSink::Null => return Ok(Handles::Null),
            LogSink::Captured => {}
        }
        let Some(source) = self.sources.get_mut(&node) else {
            return Ok(Handles::Null);
        };
        if !source.spec.as_ref().is_some_and(|s| Arc::ptr_eq(s, spec)) {
            source.follow(node, spec, &mut self.files);
        }
        if !source.pipes.iter().flatten().all(|p| p.write.is_some()) {
            source.pipes = [None, None];
        }
        let (ears, keep_below) = (&self.ears, self.keep_below);
        let [out, err] = &mut source.pipes;
        let end = |pipe, stream| {
            write_end(pipe, stream, (node, ears, keep_below)).map_err(|e| SpawnFailure {
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

    /// Whether somebody has something that no descriptor will tell of again.
    pub(crate) fn is_waiting(&self) -> bool {
        self.ears.is_waiting()
    }

    /// Whether a run that has just ended may have left something in its pipes.
    pub(crate) fn unread(&self, node: NodeId) -> Unread {
        self.ears.unread(node)
    }

    /// Takes what services have written, one reading of each pipe in turn, until it is enough for
    /// a turn of the loop.
    pub(crate) fn read_some(&mut self) {
        self.ears.ask();
        let enough = self.passing.passed() + TURN as u64;
        let mut bytes = 0;
        while self.passing.passed() + bytes < enough {
            let Some((node, stream)) = self.ears.pop() else {
                return;
            };
            if let Some((source, mut ways)) = self.ways(node) {
                bytes += source.read_once((node, stream), &mut ways) as u64;
            }
        }
    }

    /// The run has ended: takes the rest of its output, its last line included.
    pub(crate) fn finish(&mut self, node: NodeId, unread: Unread) {
        let Some((source, mut ways)) = self.ways(node) else {
            return;
        };
        let reads = match unread {
            Unread::Perhaps => LAST_READS,
            Unread::Nothing => 0,
        };
        for stream in Stream::BOTH {
            for _ in 0..reads {
                if source.read_once((node, stream), &mut ways) == 0 {
                    break;
                }
            }
        }
        source.finish(node, &mut ways);
    }

    fn ways(&mut self, node: NodeId) -> Option<(&mut Source, Ways<'_>)> {
        let source = self.sources.get_mut(&node)?;
        let ways = Ways {
            desk: &mut self.desk,
            passing: &mut self.passing,
            files: &mut self.files,
        };
        Some((source, ways))
    }

    /// The last lines of a service's present or last run.
    pub(crate) fn last_words(&self, node: NodeId, most: usize) -> Box<[String]> {
        let Some((source, heard)) = self.heard(node) else {
            return Box::default();
        };
        let lines = heard.ring.last(Wanted {
            most,
            run: Some(source.run),
            ..Wanted::default()
        });
        let mut left = LAST_BYTES;
        let newest = lines.into_iter().rev().map_while(|mut line| {
            let fits = left > 0;
            line.bytes.truncate(left);
            left -= line.bytes.len();
            fits.then(|| String::from_utf8_lossy(&line.bytes).into_owned())
        });
        let mut words: Vec<String> = newest.collect();
        words.reverse();
        words.into()
    }

    /// The last bytes that a service's present or last run wrote to a stream. A ring that is
    /// configured smaller than what is wanted has no more.
    pub(crate) fn tail(&self, node: NodeId, stream: Stream) -> Vec<u8> {
        self.heard(node).map_or_else(Vec::new, |(source, heard)| {
            heard.ring.tail(stream, source.run, limits::TAIL)
        })
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

    /// What became of everything a service has written.
    pub(crate) fn view(&self, node: NodeId) -> Option<LogView> {
        let source = self.sources.get(&node)?;
        let Some(heard) = &source.heard else {
            // Nothing yet: but where it would go can be asked.
            let files: Vec<_> = source.files.iter().map(|f| self.files.view(f)).collect();
            return (!files.is_empty()).then(|| LogView {
                files,
                ..LogView::default()
            });
        };
        let open = heard.open.iter().map(|open| open.len() as u64).sum::<u64>();
        let with_open = |counts: LogCounts| LogCounts {
            waiting: counts.waiting + open,
            ..counts
        };
        let loud = loudness(source.spec.as_deref());
        let files = source.files.iter().map(|feed| {
            let view = self.files.view(feed);
            LogFileView {
                counts: with_open(view.counts),
                ..view
            }
        });
        Some(LogView {
            read: heard.read,
            ended: heard.ended,
            kept: heard.ring.len() as u64,
            passed: self.passing.view(&heard.counts, loud).map(with_open),
            files: files.collect(),
        })
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
        if let Some(source) = self.sources.remove(&node) {
            self.files.leave(node, &source.files);
        }
    }

    /// The writer of log files has something to say: the kind of its records, a line, and about
    /// whom.
    pub(crate) fn hear(&mut self, news: News) -> Option<(&'static str, String, Vec<NodeId>)> {
        let (trouble, detail, whose) = self.files.hear(news)?;
        let kind = match trouble {
            Trouble::Began => note::LOG_FAILING,
            Trouble::Ended => note::LOG_WORKING,
        };
        Some((kind, detail, whose))
    }
}

impl Source {
    /// Lines go where this says from now on.
    fn follow(&mut self, node: NodeId, spec: &Arc<Spec>, files: &mut Files) {
        let had = std::mem::take(&mut self.files);
        self.files = files.feeds(node, (&spec.files, spec.rotate), had);
        if let Some(heard) = &mut self.heard {
            heard.ring.resize(spec.ring);
        }
        self.spec = Some(Arc::clone(spec));
    }

    fn stamp(&self, desk: &mut Desk) -> Stamp {
        desk.readings += 1;
        Stamp {
            run: self.run,
            wall_us: stamp::wall_us(),
            number: desk.readings,
        }
    }

    /// How many bytes there were.
    fn read_once(&mut self, (node, stream): (NodeId, Stream), ways: &mut Ways<'_>) -> usize {
        let Ways {
            desk,
            passing,
            files,
        } = ways;
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
        let limit = self.spec.as_ref().map_or(0, |spec| spec.ring);
        let heard = self.heard.get_or_insert_with(|| Heard::new(limit));
        let all = &desk.buffer[..known + bytes];
        heard.read += bytes as u64;
        heard.ring.push(stream, stamp, &all[known..]);
        let whole = complete(all, known);
        heard.keep_open(stream, &all[whole..]);
        self.pass_on((node, stream, stamp), &all[..whole], (passing, files));
        bytes
    }

    /// What stands without a newline is the run's last line.
    fn finish(&mut self, node: NodeId, ways: &mut Ways<'_>) {
        let stamp = self.stamp(ways.desk);
        let Some(heard) = &mut self.heard else {
            return;
        };
        heard.ring.finish(stamp);
        for stream in Stream::BOTH {
            let Some(heard) = &mut self.heard else {
                return;
            };
            let mut last = std::mem::take(&mut heard.open[stream.place()]);
            if !last.is_empty() {
                last.push(b'\n');
                heard.ended += 1;
                let ways = (&mut *ways.passing, &mut *ways.files);
                self.pass_on((node, stream, stamp), &last, ways);
            }
        }
    }

    fn pass_on(
        &mut self,
        (node, stream, stamp): (NodeId, Stream, Stamp),
        bytes: &[u8],
        (passing, files): (&mut Passing, &mut Files),
    ) {
        let Some(heard) = self.heard.as_deref_mut().filter(|_| !bytes.is_empty()) else {
            return;
        };
        for feed in &self.files {
            files.push(feed, bytes);
        }
        let speaker = &mut Speaker {
            node,
            name: &self.name,
            loud: loudness(self.spec.as_deref()),
            counts: &mut heard.counts,
        };
        passing.pass(speaker, (stream, stamp), bytes);
    }
}

fn loudness(spec: Option<&Spec>) -> Loud {
    if spec.is_some_and(|spec| spec.aloud) {
        Loud::Yes
    } else {
        Loud::No
    }
}

impl Heard {
    fn new(limit: usize) -> Box<Self> {
        Box::new(Self {
            ring: Ring::new(limit),
            open: [Vec::new(), Vec::new()],
            counts: Counts::default(),
            read: 0,
            ended: 0,
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
