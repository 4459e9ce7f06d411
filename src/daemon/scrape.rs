// SPDX-License-Identifier: MIT OR Apache-2.0
//! Metrics and health over TCP, where `[supd] metrics.listen` says so (INTERFACES, "The socket").
//!
//! Whoever reaches the address may read these two pages and nothing else: no other path, no other
//! method, no body, no parameter but `level`. What is asked for is the name of nobody's page in a
//! browser: a request whose `Host` is neither a number, nor `localhost`, nor this machine's name
//! is turned away, so that a page of a stranger's cannot read them through its reader (DNS
//! rebinding). Bounds: 16 clients, 4 KiB of head, 10 s for the request, 10 s for the answer. A
//! client costs a task of its own and one question to the loop.

use super::control::access::Peer;
use super::control::{Answer, Message, Patience, Request};
use super::note;
use super::run::Daemon;
use crate::spec::Address;
use crate::spec::limits::{REQUEST_TIME, SCRAPERS_MAX};
use crate::wire::{OPENMETRICS, Query, Route};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Sender;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// Bytes of a request's head: a scraper sends a few hundred.
const HEAD_MAX: usize = 4 << 10;
/// Lines of a head.
const FIELDS_MAX: usize = 32;
/// After a failed accept (no descriptors left) the next one is tried after this time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// The listener, if there is one.
#[derive(Debug)]
pub(crate) struct Scrape {
    to_loop: Sender<Message>,
    open: Option<(SocketAddr, AbortHandle)>,
}

impl Scrape {
    /// Nobody listens yet.
    pub(crate) fn new(to_loop: Sender<Message>) -> Self {
        Self {
            to_loop,
            open: None,
        }
    }

    /// Listens here from now on, and nowhere else. An error is for people.
    fn follow(&mut self, wanted: Option<SocketAddr>) -> Result<(), String> {
        if self.open.as_ref().map(|(at, _)| *at) == wanted {
            return Ok(());
        }
        if let Some((_, accepting)) = self.open.take() {
            accepting.abort();
        }
        let Some(at) = wanted else {
            return Ok(());
        };
        let listener = listen(at).map_err(|e| format!("cannot listen at {at} for metrics: {e}"))?;
        let accepting = tokio::spawn(serve(listener, self.to_loop.clone())).abort_handle();
        self.open = Some((at, accepting));
        Ok(())
    }
}

impl Daemon {
    /// Listens for scrapers where the configuration says. What cannot be had costs metrics alone,
    /// and is tried again at the next reload.
    pub(super) fn follow_scrapers(&mut self) {
        let config = self.desk.config.tree();
        let wanted = config.settings.metrics.as_ref().map(socket_address);
        if let Err(why) = self.door.scrape.follow(wanted) {
            self.note(note::SURROUNDINGS, why);
        }
    }
}

/// `localhost` is the one name there is.
fn socket_address(at: &Address) -> SocketAddr {
    let ip = at.host.parse();
    SocketAddr::new(ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), at.port)
}

fn listen(at: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(at)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn serve(listener: TcpListener, to_loop: Sender<Message>) {
    let seats = Arc::new(Semaphore::new(SCRAPERS_MAX));
    loop {
        // Who comes when all seats are taken waits in the kernel's queue.
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let to_loop = to_loop.clone();
        tokio::spawn(async move {
            let _too_slow = client(stream, to_loop).await;
            drop(seat);
        });
    }
}

async fn client(mut stream: TcpStream, to_loop: Sender<Message>) -> Option<()> {
    let head = timeout(REQUEST_TIME, hear(&mut stream)).await.ok()??;
    let (status, kind, body) = match understand(&head, &machine()) {
        Ok((route, query)) => answer(route, query, &to_loop).await?,
        Err((status, why)) => (status, "text/plain", format!("{why}\n")),
    };
    let reason = hyper::StatusCode::from_u16(status).ok()?;
    let reason = reason.canonical_reason().unwrap_or("Error");
    let length = body.len();
    let allow = if status == 405 { "allow: GET\r\n" } else { "" };
    let whole = format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
         {allow}connection: close\r\n\r\n{body}"
    );
    let said = timeout(REQUEST_TIME, stream.write_all(whole.as_bytes())).await;
    said.ok()?.ok()?;
    stream.shutdown().await.ok()
}

/// The head of a request; `None` if it is none.
async fn hear(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    let mut some = [0; 1024];
    loop {
        let n = stream.read(&mut some).await.ok().filter(|n| *n > 0)?;
        head.extend_from_slice(&some[..n]);
        if head.len() > HEAD_MAX || head.windows(4).any(|w| w == b"\r\n\r\n") {
            return Some(head);
        }
    }
}

/// What a head asks for, or why it is refused.
fn understand(head: &[u8], machine: &str) -> Result<(Route, Query), (u16, &'static str)> {
    const NONE: (u16, &str) = (400, "this is no HTTP/1.1 request");
    if head.len() > HEAD_MAX {
        return Err((431, "the head is too large"));
    }
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(status) if status.is_complete() => {}
        Ok(_) | Err(_) => return Err(NONE),
    }
    let (Some(method), Some(target)) = (request.method, request.path) else {
        return Err(NONE);
    };
    let mut hosts = request.headers.iter();
    let mut hosts = hosts
        .by_ref()
        .filter(|f| f.name.eq_ignore_ascii_case("host"));
    let host = hosts.next().and_then(|f| str::from_utf8(f.value).ok());
    match (host, hosts.next()) {
        (Some(host), None) if is_ours(host.trim(), machine) => {}
        (Some(_), None) => {
            return Err((
                421,
                "this host is not served here: use an address, localhost, or the machine's name",
            ));
        }
        (None, _) | (Some(_), Some(_)) => return Err((400, "there is not one Host")),
    }
    if method != "GET" {
        return Err((405, "only GET is answered here"));
    }
    let (path, parameters) = target.split_once('?').unwrap_or((target, ""));
    let query = Query::parse(parameters).ok_or((400, "the parameters hold a broken escape"))?;
    match path {
        "/metrics" => Ok((Route::Metrics, query)),
        "/v1/health" => Ok((Route::Health, query)),
        _ => Err((404, "there is /metrics and /v1/health")),
    }
}

/// Whether a request for this host can be meant for us.
fn is_ours(host: &str, machine: &str) -> bool {
    // A colon inside of brackets belongs to the address.
    let colon = host.rfind(':').filter(|at| !host[*at..].contains(']'));
    let name = &host[..colon.unwrap_or(host.len())];
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    let is_machine = |name: &str| !machine.is_empty() && name.eq_ignore_ascii_case(machine);
    let short = |name: &str| name.split('.').next().is_some_and(is_machine);
    bare.unwrap_or(name).parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || is_machine(name)
        || short(name)
}

/// What this machine is called, without its domain.
fn machine() -> String {
    let name = crate::sys::machine::host_name();
    name.split('.').next().unwrap_or_default().to_owned()
}

async fn answer(
    route: Route,
    query: Query,
    to_loop: &Sender<Message>,
) -> Option<(u16, &'static str, String)> {
    let (reply, answered) = oneshot::channel();
    let request = Request {
        peer: Peer::default(),
        route,
        query,
        body: Vec::new(),
        patience: Patience::None,
        reply,
    };
    to_loop.send(Message::Request(request)).await.ok()?;
    Some(match answered.await.ok()? {
        Answer::Metrics(page) => (200, OPENMETRICS, page),
        Answer::Json { status, json } => (status, crate::wire::JSON, json),
        Answer::Error { status, body } => {
            let json = serde_json::to_string(&body).unwrap_or_default();
            (status, crate::wire::JSON, json)
        }
        // Neither page is one of these.
        Answer::Stream(_) | Answer::List(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &str) -> u16 {
        understand(head.as_bytes(), "node1").map_or_else(|(status, _)| status, |_| 200)
    }

    #[test]
    fn only_this_machine_is_asked_for_by_its_names() {
        for host in [
            "127.0.0.1:9464",
            "[::1]:9464",
            "10.0.0.7",
            "LOCALHOST:1",
            "node1",
            "Node1.example.com:9464",
        ] {
            assert!(is_ours(host, "node1"), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil",
            "node2",
            "127.0.0.1.evil.example",
        ] {
            assert!(!is_ours(host, "node1"), "{host}");
        }
        assert!(!is_ours("", ""));
    }

    #[test]
    fn two_pages_are_answered_and_nothing_else() {
        let of = |line: &str| status(&format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(of("GET /metrics"), 200);
        assert_eq!(of("GET /v1/health?level=live"), 200);
        assert_eq!(of("GET /v1/tree"), 404);
        assert_eq!(of("POST /v1/shutdown"), 405);
        assert_eq!(of("GET /metrics?level=%zz"), 400);
        assert_eq!(status("GET /metrics HTTP/1.1\r\n\r\n"), 400);
        let two = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n";
        assert_eq!(status(two), 400);
        let other = "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n";
        assert_eq!(status(other), 421);
        assert_eq!(status("\u{16}\u{3}\u{1}\r\n\r\n"), 400);
        assert_eq!(status(&format!("GET /{}", "x".repeat(HEAD_MAX))), 431);
    }
}
