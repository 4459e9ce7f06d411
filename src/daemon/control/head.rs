// SPDX-License-Identifier: MIT OR Apache-2.0
//! The head of a request: taken within its bounds, understood, or refused in words.
//!
//! hyper answers what it cannot read with a bare number. So everything that can be refused by the
//! head alone is refused here, before hyper sees it: what is no HTTP, what is too long or too slow,
//! what announces a body that is too large, what names nothing. What comes through is what hyper
//! reads the same way.

use super::Answer;
use crate::spec::limits::{CONFIG_FILE_MAX, REQUEST_MAX};
use crate::wire::{NoRoute, Query, Route, code, query, span};
use httparse::{EMPTY_HEADER, Error, Header, Status};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

/// How long a command waits for its effect when the client does not say.
const WAIT: Duration = Duration::from_secs(30);
/// The longest wait a client can ask for; beyond a day it has forgotten that it asked.
const WAIT_MAX: Duration = Duration::from_secs(86_400);
/// Fields of a head; hyper takes no more.
const FIELDS_MAX: usize = 100;
/// Characters of what a client sent that are sent back to it.
const ECHO_MAX: usize = 100;

/// A head that asks something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// What.
    pub route: Route,
    /// Its parameters.
    pub query: Query,
    /// How long its effect is waited for.
    pub wait: Duration,
    /// Bytes its body may have.
    pub body_max: usize,
}

/// A head that is not answered by the loop.
#[derive(Debug)]
pub(super) struct Refusal {
    /// What is said.
    pub answer: Answer,
    /// The `Allow` field of a 405.
    pub allow: Option<String>,
}

/// What came of listening.
#[derive(Debug)]
pub(super) enum Heard {
    /// A head, with everything that was read so far.
    Asked(Asked, Vec<u8>),
    /// No use.
    Refused(Refusal),
    /// The client went away without a word.
    Nothing,
}

/// Takes the head of a request.
pub(super) async fn hear(stream: &UnixStream, until: Instant) -> Heard {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = match stream.try_read(&mut chunk) {
            Ok(read) => read,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                match timeout_at(until, stream.readable()).await {
                    Ok(Ok(())) => continue,
                    Ok(Err(_)) => return Heard::Nothing,
                    Err(_) => return Heard::Refused(late(bytes.len())),
                }
            }
            Err(_) => return Heard::Nothing,
        };
        if read == 0 {
            return match bytes.len() {
                0 => Heard::Nothing,
                _ => Heard::Refused(bad("the request ends in the middle of its head").into()),
            };
        }
        let before = bytes.len();
        bytes.extend_from_slice(&chunk[..read]);
        match progress(&bytes, before) {
            Progress::Half => {}
            Progress::Whole(end) => {
                return match understand(&bytes[..end]) {
                    Ok(asked) => Heard::Asked(asked, bytes),
                    Err(refusal) => Heard::Refused(refusal),
                };
            }
            Progress::Hopeless(refusal) => return Heard::Refused(refusal),
        }
    }
}

enum Progress {
    /// More must come.
    Half,
    /// The head ends here.
    Whole(usize),
    /// Whatever comes, it will not do.
    Hopeless(Refusal),
}

/// What a head asks for that arrives in pieces of this size, or the status it is refused with;
/// `None`: more must come. For tests with arbitrary bytes.
#[cfg(feature = "test-hooks")]
pub fn head_in_pieces(bytes: &[u8], step: usize) -> Option<Result<Route, u16>> {
    let status = |refusal: Refusal| match refusal.answer {
        Answer::Error { status, .. } => status,
        _other => 0,
    };
    let mut end = 0;
    while end < bytes.len() {
        let before = end;
        end = end.saturating_add(step).min(bytes.len());
        match progress(&bytes[..end], before) {
            Progress::Half => {}
            Progress::Whole(at) => {
                let asked = understand(&bytes[..at]);
                return Some(asked.map(|asked| asked.route).map_err(status));
            }
            Progress::Hopeless(refusal) => return Some(Err(status(refusal))),
        }
    }
    None
}

/// Looks at what is new; the old was looked at before, so that a byte at a time costs no more than
/// all at once.
fn progress(bytes: &[u8], before: usize) -> Progress {
    let had_line = bytes[..before].contains(&b'\n');
    if let Some(end) = end_of_head(bytes, before) {
        if end > REQUEST_MAX {
            return Progress::Hopeless(too_long());
        }
        return Progress::Whole(end);
    }
    if bytes.len() > REQUEST_MAX {
        return Progress::Hopeless(too_long());
    }
    // Nobody who does not speak HTTP is waited for.
    let starts = bytes.iter().find(|b| !b"\r\n".contains(b));
    let alien = starts.is_some_and(|b| !b.is_ascii_alphabetic());
    let has_line = !had_line && bytes[before..].contains(&b'\n');
    if (alien || has_line)
        && let Err(refusal) = parse(bytes, |_| ())
    {
        return Progress::Hopeless(refusal);
    }
    Progress::Half
}

/// Where the empty line ends.
fn end_of_head(bytes: &[u8], before: usize) -> Option<usize> {
    // A request may begin after empty lines, which do not end it (RFC 9112 §2.2).
    let begin = bytes.iter().position(|b| !b"\r\n".contains(b))?;
    let from = before.saturating_sub(3).max(begin);
    let new = &bytes[from..];
    let line_feeds = new.iter().enumerate().filter(|(_, b)| **b == b'\n');
    line_feeds.map(|(at, _)| at + 1).find_map(|at| {
        let rest = &new[at..];
        if rest.starts_with(b"\n") {
            Some(from + at + 1)
        } else {
            rest.starts_with(b"\r\n").then_some(from + at + 2)
        }
    })
}

/// Hands the parsed head on, whole or half.
fn parse<T>(
    bytes: &[u8],
    then: impl FnOnce(&httparse::Request<'_, '_>) -> T,
) -> Result<T, Refusal> {
    let mut fields = [EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(Status::Complete(_) | Status::Partial) => Ok(then(&request)),
        Err(Error::TooManyHeaders) => {
            let message = format!("the head has more than {FIELDS_MAX} fields");
            let refused = Answer::error(431, code::TOO_LARGE, message);
            Err(refused.hint("leave out what supd does not read").into())
        }
        Err(e) => Err(bad(format!("this is no HTTP/1.1 request: {e}"))
            .hint("try: curl --unix-socket SOCKET http://supd/v1/tree")
            .into()),
    }
}

/// What a whole head asks for.
pub(super) fn understand(head: &[u8]) -> Result<Asked, Refusal> {
    let (method, target, length) = parse(head, |request| {
        let word = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let length = length(request.headers, request.version);
        (word(request.method), word(request.path), length)
    })?;
    let uri: hyper::Uri = target
        .parse()
        .map_err(|_| Refusal::from(bad(format!("`{}` is no address", echo(&target)))))?;
    let route = route(&method, uri.path())?;
    let query = Query::parse(uri.query().unwrap_or_default())
        .ok_or_else(|| bad("the parameters hold a broken escape").hint("write % as %25"))?;
    let body_max = match route {
        Route::Plan | Route::Apply | Route::AddChild(_) => CONFIG_FILE_MAX,
        _ => REQUEST_MAX,
    };
    if length? > body_max as u64 {
        return Err(too_large(body_max).into());
    }
    Ok(Asked {
        wait: wait(&query)?,
        route,
        query,
        body_max,
    })
}

/// The announced length of the body. Whatever two readers could understand in two ways is refused
/// (RFC 9112 §6.3).
fn length(fields: &[Header<'_>], version: Option<u8>) -> Result<u64, Answer> {
    let values = |name: &'static str| {
        let named = move |f: &&Header<'_>| f.name.eq_ignore_ascii_case(name);
        fields.iter().filter(named).map(|f| f.value.trim_ascii())
    };
    let lengths: Vec<&[u8]> = values("content-length").collect();
    let codings: Vec<&[u8]> = values("transfer-encoding").collect();
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Ok(0),
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && version == Some(1) => Ok(0),
        ([first, others @ ..], []) if others.iter().all(|o| o == first) => {
            let digits = first.iter().all(u8::is_ascii_digit) && !first.is_empty();
            let text = str::from_utf8(first).ok().filter(|_| digits);
            // More digits than a number has are a number that is too large.
            text.map(|t| t.parse().unwrap_or(u64::MAX))
                .ok_or_else(|| bad("`content-length` is no number"))
        }
        _ => Err(bad("the length of the body is not clear")
            .hint("send one `content-length`, or `transfer-encoding: chunked` with HTTP/1.1")),
    }
}

fn route(method: &str, path: &str) -> Result<Route, Refusal> {
    let as_get = if method == "HEAD" { "GET" } else { method };
    Route::parse(as_get, path).map_err(|e| match e {
        NoRoute::NotFound => {
            let message = format!("there is no `{}`", echo(path));
            Answer::error(404, code::NO_SUCH_ROUTE, message)
                .hint("GET /v1/openapi.json lists what there is")
                .into()
        }
        NoRoute::Method(takes) => {
            let message = format!("`{}` cannot be asked with {}", echo(path), echo(method));
            let allow = takes.replace("GET", "GET, HEAD");
            Refusal {
                answer: Answer::error(405, code::METHOD, message).hint(format!("it takes {allow}")),
                allow: Some(allow),
            }
        }
        NoRoute::Encoding => bad("the path holds a broken escape")
            .hint("write % as %25, and bytes of UTF-8 only")
            .into(),
    })
}

fn wait(query: &Query) -> Result<Duration, Answer> {
    let Some(text) = query.get(query::WAIT) else {
        return Ok(WAIT);
    };
    let wait = span::parse(text).ok_or_else(|| {
        bad("`wait` is no span of time").hint("write it as `?wait=30s`, or `?wait=0`")
    })?;
    Ok(wait.min(WAIT_MAX))
}

/// The beginning of what a client sent.
pub(crate) fn echo(text: &str) -> String {
    match text.char_indices().nth(ECHO_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// 413.
pub(super) fn too_large(most: usize) -> Answer {
    let message = format!("the body is larger than {most} bytes");
    Answer::error(413, code::TOO_LARGE, message).hint("GET /v1/openapi.json says what is expected")
}

fn too_long() -> Refusal {
    let message = format!("the head is larger than {REQUEST_MAX} bytes");
    Answer::error(431, code::TOO_LARGE, message)
        .hint("what is long belongs into the body")
        .into()
}

fn late(read: usize) -> Refusal {
    let message = match read {
        0 => "no request came in time",
        _ => "the request did not come in time",
    };
    Answer::error(408, code::TIMEOUT, message)
        .hint("send it within 10 s of the connection")
        .into()
}

pub(super) fn bad(message: impl Into<String>) -> Answer {
    Answer::error(400, code::BAD_REQUEST, message)
}

impl From<Answer> for Refusal {
    fn from(answer: Answer) -> Self {
        Self {
            answer,
            allow: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &str) -> u16 {
        match understand(head.as_bytes()) {
            Ok(_) => 200,
            Err(refusal) => match refusal.answer {
                Answer::Error { status, .. } => status,
                other => panic!("{head:?}: {other:?}"),
            },
        }
    }

    #[test]
    fn a_head_is_understood_or_refused_for_what_is_wrong_with_it() {
        let post = |fields: &str| format!("POST /v1/reload HTTP/1.1\r\n{fields}\r\n\r\n");
        let cases = [
            ("GET /v1/tree HTTP/1.1\r\n\r\n".to_owned(), 200),
            ("HEAD /v1/tree HTTP/1.0\n\n".to_owned(), 200),
            ("GET http://supd/v1/tree HTTP/1.1\r\n\r\n".to_owned(), 200),
            ("GET * HTTP/1.1\r\n\r\n".to_owned(), 404),
            ("OPTIONS /v1/tree HTTP/1.1\r\n\r\n".to_owned(), 405),
            ("CONNECT x:1 HTTP/1.1\r\n\r\n".to_owned(), 404),
            ("PRI * HTTP/2.0\r\n\r\n".to_owned(), 400),
            ("GET /v1/tree\r\n\r\n".to_owned(), 400),
            ("GET /v1/nodes/%zz HTTP/1.1\r\n\r\n".to_owned(), 400),
            ("POST /v1/reload?wait=5 HTTP/1.1\r\n\r\n".to_owned(), 400),
            (post("Content-Length: 65536"), 200),
            (post("Content-Length: 65537"), 413),
            (post("Content-Length: 4294967296"), 413),
            (post("Content-Length: 99999999999999999999999"), 413),
            (post("Content-Length: -1"), 400),
            (post("Content-Length: +1"), 400),
            (post("Content-Length:"), 400),
            (post("Content-Length: 1\r\nContent-Length: 1"), 200),
            (post("Content-Length: 1\r\nContent-Length: 2"), 400),
            (post("Transfer-Encoding: chunked"), 200),
            (post("Transfer-Encoding: gzip, chunked"), 400),
            (post("Transfer-Encoding: chunked\r\nContent-Length: 1"), 400),
            (post(&"x: y\r\n".repeat(101)), 431),
        ];
        for (head, wanted) in cases {
            assert_eq!(status(&head), wanted, "{head:.80?}");
        }
        let config = "POST /v1/apply HTTP/1.1\r\nContent-Length: 4194304\r\n\r\n";
        assert_eq!(status(config), 200);
    }

    #[test]
    fn the_end_of_a_head_is_found_however_it_comes() {
        for text in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\n\n",
            "\r\n\r\nGET / HTTP/1.1\r\nx: y\r\n\n",
        ] {
            let bytes = text.as_bytes();
            for len in 1..bytes.len() {
                let early = matches!(progress(&bytes[..len], len - 1), Progress::Half);
                assert!(early, "{text:?} {len}");
            }
            let whole = progress(bytes, bytes.len() - 1);
            assert!(matches!(whole, Progress::Whole(n) if n == bytes.len()));
            let more = format!("{text}GET /");
            let whole = progress(more.as_bytes(), 0);
            assert!(matches!(whole, Progress::Whole(n) if n == bytes.len()));
        }
    }

    #[test]
    fn what_is_no_http_is_not_waited_for() {
        for bytes in [
            &b"\x16\x03\x01"[..],
            b"\0",
            b"SSH-2.0-x\r\n",
            b"GET /\0\r\n",
        ] {
            let seen = progress(bytes, 0);
            assert!(matches!(seen, Progress::Hopeless(_)), "{bytes:?}");
        }
        let long = vec![b'A'; REQUEST_MAX + 1];
        assert!(matches!(
            progress(&long, REQUEST_MAX),
            Progress::Hopeless(_)
        ));
    }
}
