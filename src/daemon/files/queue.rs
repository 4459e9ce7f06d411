// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way to the one thread that writes files. It exists from the first job on.

use super::writer::Writer;
use super::{Job, Message};
use crate::sys::thread;
use std::cell::RefCell;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Where jobs are left.
#[derive(Debug)]
pub(crate) struct Queue {
    worker: RefCell<Worker>,
    /// Bytes of services that wait.
    pub(super) bytes: Arc<AtomicUsize>,
    news: tokio::sync::mpsc::Sender<Message>,
}

#[derive(Debug)]
enum Worker {
    /// Nobody has anything to write, or there was no room for a thread.
    None,
    Works(mpsc::Sender<Job>),
    /// It was told to end.
    Ended,
}

impl Queue {
    /// No thread yet; it tells its news here.
    pub(crate) fn new(news: tokio::sync::mpsc::Sender<Message>) -> Self {
        Self {
            worker: RefCell::new(Worker::None),
            bytes: Arc::default(),
            news,
        }
    }

    /// Leaves a job. `false`: there is nobody to do it.
    pub(super) fn send(&self, job: Job) -> bool {
        let mut worker = self.worker.borrow_mut();
        if let Worker::None = *worker {
            let (send, receive) = mpsc::channel();
            let writer = Writer::new(Arc::clone(&self.bytes), self.news.clone());
            if thread::start("supd-logs", move || writer.run(&receive)).is_err() {
                return false;
            }
            *worker = Worker::Works(send);
        }
        match &*worker {
            Worker::Works(jobs) => jobs.send(job).is_ok(),
            Worker::None | Worker::Ended => false,
        }
    }

    /// Everything that waits is written, or the time is over; nothing is taken any more.
    pub(super) fn end(&self, at_most: Duration) {
        let Worker::Works(jobs) = self.worker.replace(Worker::Ended) else {
            return;
        };
        let (done, wait) = mpsc::channel();
        if jobs.send(Job::End(done)).is_ok() {
            let _too_late = wait.recv_timeout(at_most);
        }
    }
}
