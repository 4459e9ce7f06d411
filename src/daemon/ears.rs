// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which pipes of services have something to be read.
//!
//! They are a set of their own within the loop's: however many have something, a signal, a client
//! or a word of readiness does not stand in line behind them. Decides who is next: whoever the
//! kernel names is read once before it is asked again, so that everybody has a turn. It never
//! reads a pipe.

use super::ring::Stream;
use super::token::Token;
use crate::sys::epoll::{Batch, Interest, Poller};
use crate::tree::NodeId;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// What is known about the pipes of a run that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// There may be something in them.
    Perhaps,
    /// They are empty.
    Nothing,
}

/// The set, and who of it is not read yet.
#[derive(Debug)]
pub(crate) struct Ears {
    set: Poller,
    next: VecDeque<u64>,
    told: Vec<u64>,
    batch: Batch,
}

impl Ears {
    /// Over a set that is empty.
    pub(crate) fn new(set: Poller) -> Self {
        Self {
            set,
            next: VecDeque::new(),
            told: Vec::new(),
            batch: Batch::Some,
        }
    }

    /// One more pipe, until it is closed.
    pub(super) fn add(&self, pipe: impl AsFd, node: NodeId, stream: Stream) -> io::Result<()> {
        let token = Token::Log(node, stream).encode();
        self.set.add(pipe, token, Interest::Read)
    }

    /// Asks who has something now, unless somebody is still in line.
    pub(crate) fn ask(&mut self) {
        self.batch = Batch::Some;
        if self.next.is_empty() {
            if let Ok(batch) = self.set.ready(&mut self.told) {
                self.batch = batch;
            }
            self.next.extend(self.told.drain(..));
        }
    }

    /// Whose turn it is.
    pub(super) fn pop(&mut self) -> Option<(NodeId, Stream)> {
        while let Some(number) = self.next.pop_front() {
            if let Some(Token::Log(node, stream)) = Token::decode(number) {
                return Some((node, stream));
            }
        }
        None
    }

    /// Whether somebody is in line.
    pub(super) fn is_waiting(&self) -> bool {
        !self.next.is_empty()
    }

    /// Whether there may be something in the pipes of somebody who was dead when the set was asked
    /// last: it knows without touching each pipe.
    pub(super) fn unread(&self, node: NodeId) -> Unread {
        let of = |stream| Token::Log(node, stream).encode();
        let (out, err) = (of(Stream::Out), of(Stream::Err));
        if self.batch != Batch::All || self.next.iter().any(|t| *t == out || *t == err) {
            Unread::Perhaps
        } else {
            Unread::Nothing
        }
    }
}

impl AsFd for Ears {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.set.as_fd()
    }
}
