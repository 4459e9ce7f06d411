// SPDX-License-Identifier: MIT OR Apache-2.0
//! As much of HTTP/1.1 (RFC 9112) as one request over a Unix socket needs: a status line, headers,
//! and a body by length, in chunks, or up to the end. One request per connection.
//!
//! Everything has a limit: the other side is root's daemon, or somebody who only claims to be.

#![expect(
    clippy::format_push_string,
    reason = "text for people, written once; a `write!` to it could only be ignored"
)]

use std::io::{self, BufRead, BufReader, Read, Write};

/// Bytes of an answer's head.
const HEAD_MAX: u64 = 64 << 10;
/// Bytes of a body, or of one line of a stream: ten times a tree of 10 000 services.
pub(crate) const BODY_MAX: u64 = 64 << 20;
/// Headers of an answer; a daemon sends four.
const HEADERS_MAX: usize = 64;

/// What is asked.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// `GET`.
    pub(crate) method: &'a str,
    /// Path and parameters.
    pub(crate) target: &'a str,
    /// JSON.
    pub(crate) body: Option<&'a str>,
}

/// What is answered; its body is still to be read.
#[derive(Debug)]
pub(crate) struct Answer<R: Read> {
    /// 200.
    pub(crate) status: u16,
    /// The rest.
    pub(crate) body: BufReader<Body<R>>,
}

/// How the end of a body is known.
#[derive(Debug)]
enum Framing {
    /// So many bytes are left.
    Length(u64),
    /// So many bytes of this chunk are left; 0: a chunk's head comes next.
    Chunk(u64),
    /// The first chunk's head comes next: no line end before it.
    FirstChunk,
    /// When the other side closes.
    Close,
    /// It was there.
    Over,
}

/// A body without its framing.
#[derive(Debug)]
pub(crate) struct Body<R: Read> {
    stream: BufReader<R>,
    framing: Framing,
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Request<'_> {
    /// Sends it in one write.
    pub(crate) fn send(&self, to: &mut impl Write) -> io::Result<()> {
        let Self { method, target, .. } = self;
        let body = self.body.unwrap_or_default();
        let mut text = format!("{method} {target} HTTP/1.1\r\nhost: supd\r\nconnection: close\r\n");
        if self.body.is_some() {
            text.push_str("content-type: application/json\r\n");
        }
        if self.body.is_some() || *method != "GET" {
            text.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(body);
        to.write_all(text.as_bytes())
    }
}

impl<R: Read> Answer<R> {
    /// Reads the head; an interim answer (1xx) is passed over.
    pub(crate) fn read(stream: R) -> io::Result<Self> {
        let mut stream = BufReader::new(stream);
        let mut left = HEAD_MAX;
        loop {
            let (status, framing) = read_head(&mut stream, &mut left)?;
            if status >= 200 {
                let body = BufReader::new(Body { stream, framing });
                return Ok(Self { status, body });
            }
        }
    }

    /// Whether the request was carried out.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Reads all of the body.
    pub(crate) fn text(self) -> io::Result<String> {
        let mut text = String::new();
        self.body.take(BODY_MAX + 1).read_to_string(&mut text)?;
        if text.len() as u64 > BODY_MAX {
            return Err(bad("the answer is longer than 64 MiB"));
        }
        Ok(text)
    }

    /// Reads one line of a stream into `line`, without its end; `false` when there is none left.
    pub(crate) fn next_line(&mut self, line: &mut String) -> io::Result<bool> {
        line.clear();
        (&mut self.body).take(BODY_MAX).read_line(line)?;
        if line.is_empty() {
            return Ok(false);
        }
        if !line.pop_if_newline() && line.len() as u64 >= BODY_MAX {
            return Err(bad("a line is longer than 64 MiB"));
        }
        // A body that breaks off is an error of its framing; the last line may have no end.
        Ok(true)
    }

    /// Whether another whole line is here already.
    pub(crate) fn has_line(&self) -> bool {
        self.body.buffer().contains(&b'\n')
    }
}

/// Takes the line end off.
trait PopNewline {
    /// Whether there was one.
    fn pop_if_newline(&mut self) -> bool;
}

impl PopNewline for String {
    fn pop_if_newline(&mut self) -> bool {
        let ended = self.ends_with('\n');
        if ended {
            self.pop();
            if self.ends_with('\r') {
                self.pop();
            }
        }
        ended
    }
}

fn head_line(stream: &mut impl BufRead, left: &mut u64) -> io::Result<String> {
    let mut line = String::new();
    let read = stream.by_ref().take(*left).read_line(&mut line)?;
    *left = left.saturating_sub(read as u64);
    if line.pop_if_newline() {
        return Ok(line);
    }
    match (read, *left) {
        (_, 0) => Err(bad("the answer's head is longer than 64 KiB")),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn read_head(stream: &mut impl BufRead, left: &mut u64) -> io::Result<(u16, Framing)> {
    let line = head_line(stream, left)?;
    let status: u16 = line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .filter(|code| code.len() == 3)
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| bad("this is not HTTP"))?;
    let mut framing = match status {
        100..200 | 204 | 304 => Framing::Over,
        _ => Framing::Close,
    };
    for _ in 0..HEADERS_MAX {
        let line = head_line(stream, left)?;
        if line.is_empty() {
            return Ok((status, framing));
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| bad("a header has no colon"))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(bad("an unknown transfer-encoding"));
            }
            framing = Framing::FirstChunk;
        } else if name.eq_ignore_ascii_case("content-length") && matches!(framing, Framing::Close) {
            let length = value
                .parse()
                .map_err(|_| bad("a content-length that is none"))?;
            framing = Framing::Length(length);
        }
    }
    Err(bad("the answer has more than 64 headers"))
}

impl<R: Read> Body<R> {
    /// The size of the next chunk; after the last one the trailers are read, too.
    fn next_chunk(&mut self) -> io::Result<u64> {
        let mut left = HEAD_MAX;
        if !matches!(self.framing, Framing::FirstChunk)
            && !head_line(&mut self.stream, &mut left)?.is_empty()
        {
            return Err(bad("a chunk does not end where it says"));
        }
        let line = head_line(&mut self.stream, &mut left)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(|_| bad("a chunk without a size"))?;
        if size == 0 {
            while !head_line(&mut self.stream, &mut left)?.is_empty() {}
        }
        Ok(size)
    }

    /// Reads at most `limit` bytes; the end of the stream is too early here.
    fn read_some(&mut self, into: &mut [u8], limit: u64) -> io::Result<usize> {
        let room = usize::try_from(limit).unwrap_or(usize::MAX).min(into.len());
        match self.stream.read(&mut into[..room])? {
            0 if room > 0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

impl<R: Read> Read for Body<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.framing {
                Framing::Over | Framing::Length(0) => return Ok(0),
                Framing::Close => return self.stream.read(into),
                Framing::Length(left) => {
                    let read = self.read_some(into, left)?;
                    self.framing = Framing::Length(left - read as u64);
                    return Ok(read);
                }
                Framing::FirstChunk | Framing::Chunk(0) => {
                    self.framing = match self.next_chunk()? {
                        0 => Framing::Over,
                        size => Framing::Chunk(size),
                    };
                }
                Framing::Chunk(left) => {
                    let read = self.read_some(into, left)?;
                    self.framing = Framing::Chunk(left - read as u64);
                    return Ok(read);
                }
            }
        }
    }
}
