// SPDX-License-Identifier: MIT OR Apache-2.0
//! hyper's traits over tokio's types: a stream, a timer, and the body of an answer.
//!
//! A streamed body never waits for its reader: the loop offers lines, those that find no room are
//! counted as a gap. Nothing is decided here.

use super::Lines;
use crate::daemon::stamp;
use crate::wire::Heartbeat;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Sleep, Timer, Write};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// From one sign of life on a stream to the next (INTERFACES, "The socket").
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Bytes taken from a client at one time.
const READ: usize = 8 << 10;

/// A client's connection.
#[derive(Debug)]
pub(super) struct Io(pub UnixStream);

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; READ];
        let most = into.remaining().min(READ);
        let mut buffer = ReadBuf::new(&mut bytes[..most]);
        match Pin::new(&mut self.0).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) => {
                into.put_slice(buffer.filled());
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }
}

impl Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// hyper's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock;

#[derive(Debug)]
struct Nap(Pin<Box<tokio::time::Sleep>>);

impl Future for Nap {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl Sleep for Nap {}

impl Timer for Clock {
    fn sleep(&self, span: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Nap(Box::pin(tokio::time::sleep(span))))
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Nap(Box::pin(tokio::time::sleep_until(at.into()))))
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
    beat: Pin<Box<tokio::time::Sleep>>,
    seq: Arc<AtomicU64>,
}

impl Streamed {
    /// The lines, with a sign of life whenever there is none for 15 s.
    pub(super) fn new(lines: Lines, seq: Arc<AtomicU64>) -> Self {
        Self {
            lines,
            beat: Box::pin(tokio::time::sleep(HEARTBEAT)),
            seq,
        }
    }

    fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let line = match self.lines.first.pop_front() {
            Some(line) => Poll::Ready(Some(line)),
            None => self.lines.rest.poll_recv(cx),
        };
        let deadline = tokio::time::Instant::now() + HEARTBEAT;
        match line {
            Poll::Ready(Some(line)) => {
                self.beat.as_mut().reset(deadline);
                Poll::Ready(Some(with_newline(&line)))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if self.beat.as_mut().poll(cx).is_ready() => {
                self.beat.as_mut().reset(deadline);
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
