// SPDX-License-Identifier: MIT OR Apache-2.0
//! The thread that writes files: one queue in, one book for each log file.
//!
//! Decides the order of its work: what services write first, compressing old files when nothing
//! else is there to do, a piece at a time. It sleeps in the queue and looks at no clock while
//! nothing is written. It waits for the disk and for nothing else: news that the loop has no room
//! for are told later.

use super::book::Book;
use super::{Chunk, FileId, Job, News};
use crate::daemon::control::Message;
use crate::sys::keep;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError};

/// The name of the configuration that was taken up last.
const GOOD: &str = "good";
/// Bytes written together at most; what else is asked for waits so long.
const BATCH: usize = 1 << 20;

/// The writer at work.
#[derive(Debug)]
pub(super) struct Writer {
    books: BTreeMap<FileId, Book>,
    queued: Arc<AtomicUsize>,
    news: tokio::sync::mpsc::Sender<Message>,
}

/// What comes next.
enum Next {
    Job(Job),
    Nothing,
    End,
}

impl Writer {
    pub(super) fn new(queued: Arc<AtomicUsize>, news: tokio::sync::mpsc::Sender<Message>) -> Self {
        Self {
            books: BTreeMap::new(),
            queued,
            news,
        }
    }

    /// Works until it is told to end, or until the loop is gone.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        let mut put_back = None;
        loop {
            let next = match put_back.take() {
                Some(job) => Next::Job(job),
                None => self.next(jobs),
            };
            match next {
                Next::Job(Job::Open(id, path, rotate)) => {
                    let books = &mut self.books;
                    let book = books.entry(id).or_insert_with(|| Book::new(path, rotate));
                    book.follow(rotate);
                }
                Next::Job(Job::Close(id)) => {
                    if let Some(mut book) = self.books.remove(&id) {
                        book.close();
                    }
                }
                Next::Job(Job::Write(id, chunk)) => {
                    let mut batch = vec![chunk];
                    put_back = more_of(id, jobs, &mut batch);
                    self.write(id, &batch);
                }
                Next::Job(Job::Own(chunk)) => chunk.write(),
                Next::Job(Job::Keep(dir, texts)) => self.keep(&dir, &texts),
                Next::Job(Job::Reopen) => self.books.values_mut().for_each(Book::reopen),
                Next::Job(Job::End(done)) => {
                    self.books.values_mut().for_each(Book::close);
                    // Nobody waits for it any more if this fails.
                    let _late = done.send(());
                    return;
                }
                Next::Nothing => self.compress_a_little(),
                Next::End => return,
            }
            self.tell();
        }
    }

    fn next(&self, jobs: &Receiver<Job>) -> Next {
        if !self.books.values().any(Book::has_something_to_compress) {
            return jobs.recv().map_or(Next::End, Next::Job);
        }
        match jobs.try_recv() {
            Ok(job) => Next::Job(job),
            Err(TryRecvError::Empty) => Next::Nothing,
            Err(TryRecvError::Disconnected) => Next::End,
        }
    }

    fn write(&mut self, id: FileId, batch: &[Chunk]) {
        match self.books.get_mut(&id) {
            Some(book) => book.write(batch),
            None => batch.iter().for_each(|c| c.counts.drop_bytes(&c.bytes)),
        }
        for chunk in batch {
            let length = chunk.bytes.len();
            chunk.counts.waiting.fetch_sub(length, Ordering::Relaxed);
            self.queued.fetch_sub(length, Ordering::Relaxed);
        }
    }

    fn keep(&mut self, dir: &Path, texts: &[(String, Arc<str>)]) {
        let texts = texts.iter().map(|(name, text)| (&**name, text.as_bytes()));
        let files: Vec<_> = texts.collect();
        if let Err(e) = keep::replace(dir, GOOD, &files) {
            let place = dir.join(GOOD);
            let told = format!(
                "the configuration cannot be kept in `{}`: {e}",
                place.display()
            );
            // In a crowd of messages this one is the least.
            let _no_room = self.news.try_send(Message::NotKept(told));
        }
    }

    fn compress_a_little(&mut self) {
        let mut books = self.books.values_mut();
        if let Some(book) = books.find(|b| b.has_something_to_compress()) {
            book.compress_a_little();
        }
    }

    /// What has changed; what the loop has no room for is told the next time.
    fn tell(&mut self) {
        for (file, book) in &mut self.books {
            let Some(health) = book.news() else {
                continue;
            };
            let news = News {
                file: *file,
                health: health.clone(),
            };
            if self.news.try_send(Message::LogFile(news)).is_ok() {
                book.told(health);
            }
        }
    }
}

/// What else is for this file already; the first job that is not comes back.
fn more_of(id: FileId, jobs: &Receiver<Job>, batch: &mut Vec<Chunk>) -> Option<Job> {
    let mut bytes = batch.iter().map(|c| c.bytes.len()).sum::<usize>();
    while bytes < BATCH {
        match jobs.try_recv().ok()? {
            Job::Write(other, chunk) if other == id => {
                bytes += chunk.bytes.len();
                batch.push(chunk);
            }
            other => return Some(other),
        }
    }
    None
}
