// SPDX-License-Identifier: MIT OR Apache-2.0
//! hyper's traits over tokio's types: a client's connection, and the body of an answer.
//!
//! A client that does not take its answer is given up after a while; the reader of a stream is
//! not, because its lines wait for it in a bounded place of their own. Nothing else is decided
//! here.

use super::Lines;
use super::seats::Seat;
use crate::daemon::stamp;
use crate::spec::limits::ANSWER_TIME;
use crate::wire::Heartbeat;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};

/// From one sign of life on a stream to the next (INTERFACES, "The socket").
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Bytes taken from a client at one time.
const READ: usize = 8 << 10;

/// What the two sides of a connection know about each other.
#[derive(Debug, Default)]
pub(super) struct Mood {
    /// The whole request was read; nobody reads any more.
    pub asked: Notify,
    /// The answer is a stream, whose reader may be slow.
    pub streams: AtomicBool,
    /// Something the client sends will not be read.
    pub unread: AtomicBool,
}

/// A client's connection; what was read from it before comes first.
#[derive(Debug)]
pub(super) struct Io {
    stream: Arc<UnixStream>,
    mood: Arc<Mood>,
    begun: Bytes,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Io {
    /// The connection after its head was read.
    pub(super) fn new(stream: Arc<UnixStream>, mood: Arc<Mood>, head: Vec<u8>) -> Self {
        Self {
            stream,
            mood,
            begun: head.into(),
            stalled: None,
        }
    }

    /// Whether nothing was taken for too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.mood.streams.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(ANSWER_TIME)));
        stalled.as_mut().poll(cx)
    }
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let most = into.remaining().min(READ);
        if !self.begun.is_empty() {
            let most = most.min(self.begun.len());
            into.put_slice(&self.begun.split_to(most));
            return Poll::Ready(Ok(()));
        }
        let mut bytes = [0; READ];
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read(&mut bytes[..most]) {
                Ok(read) => {
                    into.put_slice(&bytes[..read]);
                    return Poll::Ready(Ok(()));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }
}

impl Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.poll_write_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => {
                    ready!(self.poll_stalled(cx));
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
            match self.stream.try_write(bytes) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => {
                    self.stalled = None;
                    return Poll::Ready(done);
                }
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The server shuts the connection down, after it has read what is still to come.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Answered {
    /// All of it.
    Whole(Option<Bytes>),
    /// Lines as they come.
    Stream(Box<Streamed>),
}

/// A stream of lines.
#[derive(Debug)]
pub(super) struct Streamed {
    lines: Lines,
    beat: Pin<Box<Sleep>>,
    seq: Arc<AtomicU64>,
    _seat: Option<Seat>,
}

impl Streamed {
    /// The lines, with a sign of life whenever there is none for 15 s.
    pub(super) fn new(lines: Lines, seq: Arc<AtomicU64>, seat: Option<Seat>) -> Self {
        Self {
            lines,
            beat: Box::pin(sleep(HEARTBEAT)),
            seq,
            _seat: seat,
        }
    }

    fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let line = match self.lines.first.pop_front() {
            Some(line) => Poll::Ready(Some(line)),
            None => self.lines.rest.poll_line(cx),
        };
        match line {
            Poll::Ready(Some(line)) => {
                self.beat.as_mut().reset(Instant::now() + HEARTBEAT);
                Poll::Ready(Some(with_newline(&line)))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if self.beat.as_mut().poll(cx).is_ready() => {
                self.beat.as_mut().reset(Instant::now() + HEARTBEAT);
                let now = stamp::rfc3339(stamp::wall_us());
                let beat = Heartbeat::new(self.seq.load(Ordering::Relaxed), now);
                let line = serde_json::to_string(&beat).unwrap_or_default();
                Poll::Ready(Some(with_newline(&line)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

fn with_newline(line: &str) -> Bytes {
    let mut bytes = Vec::with_capacity(line.len() + 1);
    bytes.extend_from_slice(line.as_bytes());
    bytes.push(b'\n');
    bytes.into()
}

impl Body for Answered {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Stream(stream) => stream.poll_line(cx).map(|l| l.map(|b| Ok(Frame::data(b)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(Some(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            Self::Whole(None) => SizeHint::with_exact(0),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
