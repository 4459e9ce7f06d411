// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our own standard output or error where it is a regular file.
//!
//! A disk can block as long as it likes (DESIGN, runtime choices), so what goes there is written by
//! the thread that writes log files. Decides how much may wait: beyond it the outlet before it is
//! stuck, as before a pipe that nobody reads, and is woken when there is room again. What the disk
//! would not take is counted.

use super::Job;
use super::queue::Queue;
use crate::sys::bell::Bell;
use crate::sys::output::Output;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};

/// Bytes that wait for the disk.
const WAITING_MAX: usize = 4 << 20;

/// The loop's end.
#[derive(Debug)]
pub(crate) struct OwnFile {
    queue: Rc<Queue>,
    file: Arc<Shared>,
}

/// What loop and thread know of the file.
#[derive(Debug)]
struct Shared {
    output: Output,
    waiting: AtomicUsize,
    lost_lines: AtomicU64,
    /// Somebody waits for the bell.
    stuck: AtomicBool,
    bell: Bell,
}

/// Bytes on their way.
#[derive(Debug)]
pub(super) struct OwnChunk {
    bytes: Box<[u8]>,
    file: Arc<Shared>,
}

impl OwnFile {
    /// Before this file.
    ///
    /// # Errors
    /// There is no descriptor left for the bell.
    pub(crate) fn new(output: Output, queue: &Rc<Queue>) -> io::Result<Self> {
        let file = Shared {
            output,
            waiting: AtomicUsize::new(0),
            lost_lines: AtomicU64::new(0),
            stuck: AtomicBool::new(false),
            bell: Bell::new()?,
        };
        Ok(Self {
            queue: Rc::clone(queue),
            file: Arc::new(file),
        })
    }

    /// Leaves all of it for the thread.
    ///
    /// # Errors
    /// `WouldBlock` when too much waits: the bell rings when there is room. Others when there is
    /// nobody to write.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let has_room = || self.file.waiting.load(SeqCst) + bytes.len() <= WAITING_MAX;
        if !has_room() {
            self.file.bell.hush();
            self.file.stuck.store(true, SeqCst);
            // The thread may have written everything in between, and not have rung.
            if !has_room() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        self.file.waiting.fetch_add(bytes.len(), SeqCst);
        let chunk = OwnChunk {
            bytes: bytes.into(),
            file: Arc::clone(&self.file),
        };
        if self.queue.send(Job::Own(chunk)) {
            return Ok(bytes.len());
        }
        self.file.waiting.fetch_sub(bytes.len(), SeqCst);
        Err(io::ErrorKind::BrokenPipe.into())
    }

    /// Lines that the disk has not taken since this was asked for.
    pub(crate) fn take_lost(&self) -> u64 {
        self.file.lost_lines.swap(0, SeqCst)
    }
}

impl AsFd for OwnFile {
    /// The bell.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.bell.as_fd()
    }
}

impl OwnChunk {
    /// Waits for the disk; on the thread.
    pub(super) fn write(self) {
        let mut rest = &self.bytes[..];
        while !rest.is_empty() {
            match self.file.output.write(rest) {
                Ok(written) if written > 0 => rest = &rest[written..],
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // A full disk: these lines are lost, the next may not be.
                Ok(_) | Err(_) => {
                    let lines = memchr::memchr_iter(b'\n', rest).count() as u64;
                    self.file.lost_lines.fetch_add(lines, SeqCst);
                    break;
                }
            }
        }
        self.file.waiting.fetch_sub(self.bytes.len(), SeqCst);
        if self.file.stuck.swap(false, SeqCst) {
            self.file.bell.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::Duration;

    fn over(file: &File) -> (OwnFile, Rc<Queue>) {
        let (news, _) = tokio::sync::mpsc::channel(1);
        let queue = Rc::new(Queue::new(news));
        let output = Output::new(file.as_fd()).expect("an output");
        assert!(output.can_block(), "it is a file");
        (OwnFile::new(output, &queue).expect("a bell"), queue)
    }

    #[test]
    fn what_is_left_for_the_thread_is_there_in_its_order_at_the_end() {
        let path = std::env::temp_dir().join(format!("supd-own-{}", std::process::id()));
        let file = File::create_new(&path).expect("a file");
        let (own, queue) = over(&file);
        let mut expected = String::new();
        for n in 0..1000 {
            let line = format!("line {n}\n");
            assert_eq!(own.write(line.as_bytes()).ok(), Some(line.len()));
            expected += &line;
        }
        queue.end(Duration::from_secs(60));
        let there = std::fs::read_to_string(&path);
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(there.expect("the file"), expected);
        assert!(own.write(b"late\n").is_err(), "nobody is there any more");
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_counted_in_lines() {
        // A device that is always full (full(4)) stands for the disk.
        let file = File::options().write(true).open("/dev/full");
        let output = Output::blocking(file.expect("the device").as_fd()).expect("an output");
        let (news, _) = tokio::sync::mpsc::channel(1);
        let queue = Rc::new(Queue::new(news));
        let own = OwnFile::new(output, &queue).expect("a bell");
        own.write(b"one\ntwo\n").expect("taken");
        queue.end(Duration::from_secs(60));
        assert_eq!((own.take_lost(), own.take_lost()), (2, 0));
    }

    #[test]
    fn who_writes_more_than_may_wait_is_stuck_until_the_bell_rings() {
        let file = File::options().write(true).open("/dev/null").expect("it");
        let output = Output::blocking(file.as_fd()).expect("an output");
        let (news, _) = tokio::sync::mpsc::channel(1);
        let queue = Rc::new(Queue::new(news));
        let own = OwnFile::new(output, &queue).expect("a bell");
        own.file.waiting.store(WAITING_MAX, SeqCst);
        let late = own.write(b"x\n").expect_err("no room");
        assert_eq!(late.kind(), io::ErrorKind::WouldBlock);
        own.file.waiting.store(0, SeqCst);
        own.file.stuck.store(true, SeqCst);
        own.write(b"x\n").expect("there is room");
        queue.end(Duration::from_secs(60));
        let poller = crate::sys::epoll::Poller::new().expect("a set");
        let read = crate::sys::epoll::Interest::Read;
        poller.add(own.as_fd(), 7, read).expect("added");
        let mut tokens = Vec::new();
        poller.ready(&mut tokens).expect("asked");
        assert_eq!(tokens, [7], "it has rung");
    }
}
