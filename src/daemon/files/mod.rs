// SPDX-License-Identifier: MIT OR Apache-2.0
//! Log files: what the loop knows of them, and the queue to the thread that writes them.
//!
//! ```text
//! loop: a reading -> Feed::push -> queue (bounded) -> writer's thread: Book (one for each file)
//!                        | no room                       write, rotate, compress, try again
//!                        v                                    | trouble, and its end
//!                     dropped, counted  <- loop: record  <----+
//! ```
//!
//! A disk can block for minutes; the loop never waits for it. Decides what happens when the writer
//! cannot follow: each service has a share of the queue, beyond it its lines are dropped and
//! counted, and who has written nothing lately has room in any case. The thread exists once there
//! is a file to write. Every byte is written, waits, or is dropped and counted.

mod book;
mod gzip;
mod own;
mod queue;
mod writer;

pub(crate) use own::OwnFile;
pub(crate) use queue::Queue;

use super::control::Message;
use crate::spec::Rotate;
use crate::tree::NodeId;
use crate::wire::{LogCounts, LogFileView};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Bytes that wait for the disk in all; at 50 MB/s a third of a second.
const QUEUE_MAX: usize = 16 << 20;
/// Bytes of one service that wait.
const SHARE: usize = 4 << 20;
/// So much may wait of everybody, however full the queue is.
const ALWAYS: usize = 16 << 10;

/// What became of the bytes one service wrote to one file.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    waiting: AtomicUsize,
    written: AtomicU64,
    dropped: AtomicU64,
    dropped_lines: AtomicU64,
    /// Bytes dropped since something was last written; the file says so.
    gap: AtomicU64,
}

impl Counts {
    fn drop_bytes(&self, bytes: &[u8]) {
        self.dropped
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.gap.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let lines = memchr::memchr_iter(b'\n', bytes).count();
        self.dropped_lines
            .fetch_add(lines as u64, Ordering::Relaxed);
    }

    fn now(&self) -> LogCounts {
        LogCounts {
            written: self.written.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed) as u64,
            dropped: self.dropped.load(Ordering::Relaxed),
            dropped_lines: self.dropped_lines.load(Ordering::Relaxed),
        }
    }
}

/// Names a file among all.
type FileId = u32;

/// Lines of one service on their way to one file.
#[derive(Debug)]
struct Chunk {
    bytes: Box<[u8]>,
    counts: Arc<Counts>,
}

/// What the thread is asked to do.
#[derive(Debug)]
enum Job {
    /// There is such a file, with these rules from now on.
    Open(FileId, Arc<Path>, Rotate),
    /// Nobody writes to it any more.
    Close(FileId),
    /// Write this.
    Write(FileId, Chunk),
    /// Write this to our own output.
    Own(own::OwnChunk),
    /// Keep these files of a configuration below this directory.
    Keep(Arc<Path>, Vec<(String, Arc<str>)>),
    /// Close and open all files: somebody has moved them.
    Reopen,
    /// Write what waits, and say so.
    End(mpsc::Sender<()>),
}

/// What the thread has to say about a file.
#[derive(Debug)]
pub(crate) struct News {
    file: FileId,
    health: Health,
}

/// Whether a file can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Health {
    Well,
    /// Why not.
    Ill(String),
}

/// A file the loop knows.
#[derive(Debug)]
struct Known {
    id: FileId,
    rotate: Rotate,
    users: BTreeSet<NodeId>,
    trouble: Option<String>,
}

/// One service's way into one file.
#[derive(Debug)]
pub(crate) struct Feed {
    /// Where it is.
    pub path: Arc<Path>,
    id: FileId,
    /// Bytes a file may have: more is shared out.
    most: usize,
    counts: Arc<Counts>,
}

/// All log files.
#[derive(Debug)]
pub(crate) struct Files {
    known: BTreeMap<Arc<Path>, Known>,
    next: FileId,
    queue: Rc<Queue>,
    /// The thread does not know of all of them: it could not be started.
    untold: bool,
}

impl Files {
    /// None yet; who writes them is at the end of this queue.
    pub(crate) fn new(queue: Rc<Queue>) -> Self {
        Self {
            known: BTreeMap::new(),
            next: 0,
            queue,
            untold: false,
        }
    }

    /// The ways of a service into its files, those it has already kept.
    pub(crate) fn feeds(
        &mut self,
        node: NodeId,
        (paths, rotate): (&[Arc<Path>], Rotate),
        mut had: Vec<Feed>,
    ) -> Vec<Feed> {
        let mut feeds = Vec::new();
        for path in paths {
            let id = self.open(node, path, rotate);
            let place = had.iter().position(|feed| feed.path == *path);
            let counts = place.map(|place| had.swap_remove(place).counts);
            let size = rotate.size.and_then(|size| usize::try_from(size).ok());
            feeds.push(Feed {
                path: Arc::clone(path),
                id,
                most: size.unwrap_or(usize::MAX),
                counts: counts.unwrap_or_default(),
            });
        }
        self.leave(node, &had);
        feeds
    }

    fn open(&mut self, node: NodeId, path: &Arc<Path>, rotate: Rotate) -> FileId {
        if let Some(known) = self.known.get_mut(path) {
            known.users.insert(node);
            if known.rotate == rotate && known.trouble.is_none() {
                return known.id;
            }
            known.rotate = rotate;
            let id = known.id;
            self.ask(Job::Open(id, Arc::clone(path), rotate));
            return id;
        }
        let id = self.next;
        self.next += 1;
        let known = Known {
            id,
            rotate,
            users: BTreeSet::from([node]),
            trouble: None,
        };
        self.known.insert(Arc::clone(path), known);
        self.ask(Job::Open(id, Arc::clone(path), rotate));
        id
    }

    /// The service writes to these no longer.
    pub(crate) fn leave(&mut self, node: NodeId, feeds: &[Feed]) {
        for feed in feeds {
            let Some(known) = self.known.get_mut(&feed.path) else {
                continue;
            };
            known.users.remove(&node);
            if known.users.is_empty() {
                self.known.remove(&feed.path);
                self.ask(Job::Close(feed.id));
            }
        }
    }

    /// Takes complete lines of a service.
    pub(crate) fn push(&mut self, feed: &Feed, bytes: &[u8]) {
        let mut rest = bytes;
        while rest.len() > feed.most {
            let newline = memchr::memrchr(b'\n', &rest[..feed.most]);
            let (now, later) = rest.split_at(newline.map_or(feed.most, |place| place + 1));
            self.push_chunk(feed, now);
            rest = later;
        }
        self.push_chunk(feed, rest);
    }

    fn push_chunk(&mut self, feed: &Feed, bytes: &[u8]) {
        let (counts, length) = (&feed.counts, bytes.len());
        let own = counts.waiting.load(Ordering::Relaxed) + length;
        let all = self.queue.bytes.load(Ordering::Relaxed) + length;
        if own > ALWAYS && (own > SHARE || all > QUEUE_MAX) {
            return counts.drop_bytes(bytes);
        }
        counts.waiting.fetch_add(length, Ordering::Relaxed);
        self.queue.bytes.fetch_add(length, Ordering::Relaxed);
        let chunk = Chunk {
            bytes: bytes.into(),
            counts: Arc::clone(counts),
        };
        if !self.ask(Job::Write(feed.id, chunk)) {
            counts.waiting.fetch_sub(length, Ordering::Relaxed);
            self.queue.bytes.fetch_sub(length, Ordering::Relaxed);
            counts.drop_bytes(bytes);
        }
    }

    /// What became of a service's bytes, and what is wrong with the file.
    pub(crate) fn view(&self, feed: &Feed) -> LogFileView {
        let known = self.known.get(&feed.path);
        LogFileView {
            path: feed.path.display().to_string(),
            counts: feed.counts.now(),
            trouble: known.and_then(|known| known.trouble.clone()),
        }
    }

    /// Keeps the files of a configuration below this directory, in the place of those before.
    pub(crate) fn keep(&mut self, dir: Arc<Path>, texts: Vec<(String, Arc<str>)>) {
        // With nobody to do it the next one is kept.
        self.ask(Job::Keep(dir, texts));
    }

    /// Somebody has moved the files: they are opened anew. How many there are.
    pub(crate) fn reopen(&mut self) -> usize {
        if !self.known.is_empty() {
            self.ask(Job::Reopen);
        }
        self.known.len()
    }

    /// Remembers what the thread has said; one line about it for people, and whose lines go there.
    pub(crate) fn hear(&mut self, news: News) -> Option<(Trouble, String, Vec<NodeId>)> {
        let (path, known) = self.known.iter_mut().find(|(_, k)| k.id == news.file)?;
        let path = path.display();
        let users = known.users.iter().copied().collect();
        let (trouble, line) = match news.health {
            Health::Ill(what) => {
                let line = format!("log file `{path}`: {what}");
                known.trouble = Some(what);
                (Trouble::Began, line)
            }
            Health::Well => {
                known.trouble = None;
                (
                    Trouble::Ended,
                    format!("log file `{path}` is written again"),
                )
            }
        };
        Some((trouble, line, users))
    }

    /// Everything that waits is written, or the time is over.
    pub(crate) fn end(&self, at_most: Duration) {
        self.queue.end(at_most);
    }

    /// `false`: there is nobody to do it.
    fn ask(&mut self, job: Job) -> bool {
        if std::mem::take(&mut self.untold) {
            for (path, known) in &self.known {
                let open = Job::Open(known.id, Arc::clone(path), known.rotate);
                self.untold |= !self.queue.send(open);
            }
        }
        let sent = self.queue.send(job);
        self.untold |= !sent;
        sent
    }
}

/// What is told about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It cannot be written.
    Began,
    /// It can be again.
    Ended,
}
