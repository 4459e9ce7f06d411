// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our own standard output and error: a bounded buffer before a descriptor that never waits.
//!
//! Decides what happens when nobody reads: whole lines are dropped and counted, and the count is
//! written as soon as there is room. It never waits and never cuts a line in two; a reader that
//! is gone for good (EPIPE) is no reason to end.

use crate::sys::output::Output;
use std::io;

/// Bytes that wait for a slow reader; a burst of a few hundred services' last words.
const BUFFER_MAX: usize = 256 << 10;

/// Whether everything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Nothing waits.
    Clear,
    /// Something waits until the reader reads.
    Stuck,
}

/// One of our two outputs.
#[derive(Debug)]
pub(crate) struct Outlet {
    output: Option<Output>,
    buffer: Vec<u8>,
    dropped: u64,
}

impl Outlet {
    /// Before `output`; without one everything is dropped.
    pub(crate) fn new(output: Option<Output>) -> Self {
        Self {
            output,
            buffer: Vec::new(),
            dropped: 0,
        }
    }

    /// Takes one line made of `parts`, and ends it.
    pub(crate) fn line(&mut self, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|p| p.len()).sum();
        if self.output.is_none() || self.buffer.len() + length + 1 > BUFFER_MAX {
            self.dropped += 1;
            return;
        }
        self.report_dropped();
        for part in parts {
            self.buffer.extend_from_slice(part);
        }
        self.buffer.push(b'\n');
    }

    /// The descriptor to wait for when it is stuck.
    pub(crate) fn output(&self) -> Option<&Output> {
        self.output.as_ref()
    }

    /// Writes as much as the descriptor takes now.
    pub(crate) fn flush(&mut self) -> Flow {
        let Some(output) = &self.output else {
            return Flow::Clear;
        };
        let mut written = 0;
        let mut flow = Flow::Clear;
        while written < self.buffer.len() {
            match output.write(&self.buffer[written..]) {
                Ok(n) => written += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    flow = Flow::Stuck;
                    break;
                }
                // Closed, full disk, a console that hung up: these lines are lost, the next may
                // not be.
                Err(_) => {
                    let lost = self.buffer[written..].split(|b| *b == b'\n').count() - 1;
                    self.dropped += lost as u64;
                    written = self.buffer.len();
                }
            }
        }
        self.buffer.drain(..written);
        if self.buffer.capacity() > 4096 && self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
        flow
    }

    fn report_dropped(&mut self) {
        if self.dropped == 0 {
            return;
        }
        let text = format!("supd: {} lines dropped: nobody read them\n", self.dropped);
        self.dropped = 0;
        self.buffer.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    fn outlet() -> (UnixStream, Outlet) {
        let (near, far) = UnixStream::pair().expect("a pair");
        near.set_nonblocking(true).expect("non-blocking");
        let output = Output::new(far.as_fd()).expect("an output");
        (near, Outlet::new(Some(output)))
    }

    fn read_all(from: &mut UnixStream) -> String {
        let mut text = Vec::new();
        let mut some = [0; 4096];
        while let Ok(n) = from.read(&mut some) {
            if n == 0 {
                break;
            }
            text.extend_from_slice(&some[..n]);
        }
        String::from_utf8(text).expect("text")
    }

    #[test]
    fn lines_nobody_reads_are_dropped_whole_counted_and_reported() {
        let (mut reader, mut outlet) = outlet();
        let word = [b'w'; 999];
        let mut sent = 0;
        while outlet.dropped < 3 {
            outlet.line(&[&word]);
            outlet.flush();
            sent += 1;
        }
        assert_eq!(outlet.flush(), Flow::Stuck);
        let mut text = read_all(&mut reader);
        while outlet.flush() == Flow::Stuck {
            text += &read_all(&mut reader);
        }
        text += &read_all(&mut reader);
        outlet.line(&[b"name", b" | ", b"again"]);
        assert_eq!(outlet.flush(), Flow::Clear);
        assert_eq!(
            read_all(&mut reader),
            "supd: 3 lines dropped: nobody read them\nname | again\n"
        );
        assert_eq!(text.lines().count(), sent - 3);
        assert!(text.lines().all(|l| l.len() == 999), "a line was cut");
    }

    #[test]
    fn a_reader_that_is_gone_costs_lines_and_nothing_else() {
        let (reader, mut outlet) = outlet();
        drop(reader);
        outlet.line(&[b"lost"]);
        assert_eq!(outlet.flush(), Flow::Clear);
        assert_eq!(outlet.dropped, 1);
    }
}
