// SPDX-License-Identifier: MIT OR Apache-2.0
//! One request of HTTP/1.1 (RFC 9112), of whose answer nothing but the status is read.
//!
//! The other side is the service's and may send anything: what is read is bounded, the body is left
//! where it is, and no name, redirection or certificate is followed.

use super::probes::fault;
use crate::spec::ProbeFault;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes of an answer that are read: interim answers (1xx) and the line with the status.
const ANSWER_MAX: usize = 8 << 10;

/// Asks for a path; a status from 200 to 399 is success.
pub(super) async fn ask(
    mut stream: TcpStream,
    (host, port): (&str, u16),
    path: &str,
) -> Result<(), ProbeFault> {
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: supd\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    );
    let sent = stream.write_all(request.as_bytes()).await;
    sent.map_err(|e| fault(&e))?;
    let mut answer = Vec::new();
    loop {
        match status(&answer) {
            Status::Is(200..=399) => return Ok(()),
            Status::Is(other) => return Err(ProbeFault::HttpStatus(other)),
            Status::Nonsense => return Err(ProbeFault::NotHttp),
            Status::Unknown if answer.len() >= ANSWER_MAX => return Err(ProbeFault::NotHttp),
            Status::Unknown => {}
        }
        let mut piece = [0; 1024];
        match stream.read(&mut piece).await {
            Ok(0) if answer.is_empty() => return Err(ProbeFault::Closed),
            Ok(0) => return Err(ProbeFault::NotHttp),
            Ok(count) => answer.extend_from_slice(&piece[..count]),
            Err(error) => return Err(fault(&error)),
        }
    }
}

/// What an answer's first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Is(u16),
    /// More has to come.
    Unknown,
    Nonsense,
}

/// The status of the final answer: interim ones (RFC 9110 section 15.2) are passed over.
fn status(answer: &[u8]) -> Status {
    const VERSION: &[u8] = b"HTTP/1.";
    let mut rest = answer;
    loop {
        let known = rest.len().min(VERSION.len());
        if rest[..known] != VERSION[..known] {
            return Status::Nonsense;
        }
        // `HTTP/1.1 200` and what ends the number.
        let Some(line) = rest.first_chunk::<13>() else {
            return Status::Unknown;
        };
        let [.., minor, b' ', a, b, c, b' ' | b'\r' | b'\n'] = line else {
            return Status::Nonsense;
        };
        if ![minor, a, b, c].iter().all(|digit| digit.is_ascii_digit()) {
            return Status::Nonsense;
        }
        let number = |digit: &u8| u16::from(digit - b'0');
        let status = number(a) * 100 + number(b) * 10 + number(c);
        if !(100..200).contains(&status) || status == 101 {
            return Status::Is(status);
        }
        let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Status::Unknown;
        };
        rest = &rest[end + 4..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_that_of_the_final_answer_and_nothing_else_is_one() {
        let cases: [(&[u8], Status); 14] = [
            (b"", Status::Unknown),
            (b"HTTP/1.1 20", Status::Unknown),
            (b"HTTP/1.1 200", Status::Unknown),
            (b"HTTP/1.1 200 OK\r\n", Status::Is(200)),
            (b"HTTP/1.0 404\r\n", Status::Is(404)),
            (b"HTTP/1.1 503\n", Status::Is(503)),
            (b"HTTP/1.1 100 Continue\r\n", Status::Unknown),
            (
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 \r\n",
                Status::Is(204),
            ),
            (b"HTTP/1.1 103 \r\nLink: x\r\n\r\nHTT", Status::Unknown),
            (b"HTTP/1.1 101 Switching\r\n", Status::Is(101)),
            (b"HTTP/1.1 2000\r\n\r\n", Status::Nonsense),
            (b"HTTP/2 200 OK\r\n\r\n", Status::Nonsense),
            (b"SSH-2.0-OpenSSH", Status::Nonsense),
            (b"\x15\x03\x01", Status::Nonsense),
        ];
        for (answer, expected) in cases {
            let shown = String::from_utf8_lossy(answer);
            assert_eq!(status(answer), expected, "{shown}");
        }
    }
}
