// SPDX-License-Identifier: MIT OR Apache-2.0
//! Accepting clients, reading one request of each, writing one answer.
//!
//! Decides who is let in and what is too large or too slow; what the answer is, the loop decides.
//!
//! ```text
//! accept ─> seat ─> head ─> role ─> (seat of a stream) ─> hyper: body ─> the loop ─> answer
//!            429     4xx     403         429                 4xx
//! ```
//! Up to the body, a client that is silent may be asked out (`seats`).
//!
//! One request a connection: there is no idle connection to keep a seat, and nothing to be said
//! about the order of answers.

use super::access::{Access, Peer, Role};
use super::crowd::Crowd;
use super::head::{self, Asked, Heard, Refusal, bad, too_large};
use super::io::{Answered, Io, Mood, Streamed};
use super::seats::{Guest, Seat, Seats};
use super::{Answer, Message, Patience, Request};
use crate::spec::limits::{CLIENTS_MAX, REQUEST_MAX, REQUEST_TIME, STREAMS_MAX};
use crate::wire::{CommandReply, ErrorBody, JSON, NDJSON, OPENMETRICS, Route, Word};
use crate::wire::{code, outcome, query, span};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use std::convert::Infallible;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

/// After a failed accept (no descriptors left) the next one is tried after this time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);
/// How long a client that was refused may go on sending, so that it comes to read why; closing on
/// what is unread would break its connection.
const LINGER: Duration = Duration::from_secs(1);
/// And how much.
const LINGER_MAX: u64 = 1 << 20;

/// What every client's task shares.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    /// Who may do what.
    pub access: Arc<Access>,
    /// To the loop.
    pub to_loop: mpsc::Sender<Message>,
    /// The last event's number, for heartbeats.
    pub seq: Arc<AtomicU64>,
    clients: Seats,
    streams: Seats,
    /// For those who are turned away, until they have heard why.
    porch: Seats,
    crowd: Arc<Crowd>,
}

impl Gate {
    /// A gate that lets `CLIENTS_MAX` in.
    pub(crate) fn new(access: Access, to_loop: mpsc::Sender<Message>, seq: Arc<AtomicU64>) -> Self {
        Self {
            access: Arc::new(access),
            to_loop,
            seq,
            clients: Seats::new(CLIENTS_MAX),
            streams: Seats::new(STREAMS_MAX),
            porch: Seats::new(CLIENTS_MAX),
            crowd: Arc::default(),
        }
    }

    /// Tells the loop of a crowd; in the worst of it the loop has enough.
    fn tell(&self, told: Option<String>) {
        if let Some(told) = told {
            let _enough = self.to_loop.try_send(Message::Crowd(told));
        }
    }

    /// A seat for a client. Whether there is one or not, a crowd is noticed.
    fn welcome(&self, guest: Guest) -> Option<Seat> {
        let now = Instant::now();
        let found = self.clients.welcome(guest, now);
        self.tell(match &found {
            Some((_, false)) => self.crowd.lets_in(now),
            Some((_, true)) | None => self.crowd.turns_away(now, self.clients.crowd()),
        });
        found.map(|(seat, _)| seat)
    }

    /// Waits until every client has its answer, but not longer than `at_most`.
    pub(crate) async fn drained(&self, at_most: Duration) {
        let _late = timeout(at_most, self.clients.empty()).await;
    }
}

/// Accepts clients for ever.
pub(crate) async fn serve(listener: UnixListener, gate: Gate) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(peer) = super::peer_of(&stream) else {
            continue;
        };
        let guest = Guest::of(&gate.access, &peer);
        let Some(seat) = gate.welcome(guest) else {
            turn_away(stream, &gate.porch);
            continue;
        };
        let visit = Visit {
            peer,
            guest,
            gate: gate.clone(),
            until: Instant::now() + REQUEST_TIME,
        };
        tokio::spawn(client(stream, visit, Arc::new(seat)));
    }
}

/// A client, from the connection to its answer.
#[derive(Debug)]
struct Visit {
    peer: Peer,
    guest: Guest,
    gate: Gate,
    /// When its request must be here.
    until: Instant,
}

/// The seats of a client.
#[derive(Debug)]
struct Held {
    place: Arc<Seat>,
    /// Among the streams, if it follows one.
    stream: Option<Seat>,
}

/// Says that there are too many. In a flood some only hear it if they listen at once.
fn turn_away(stream: UnixStream, porch: &Seats) {
    let refusal = crowded();
    let Some(seat) = porch.take(Guest::Root) else {
        let _gone = stream.try_write(&whole(&refusal));
        return;
    };
    tokio::spawn(async move {
        refuse(stream, &refusal).await;
        drop(seat);
    });
}

fn crowded() -> Refusal {
    let answer = Answer::error(429, code::BUSY, "too many clients are connected")
        .hint("try again, or close a `supctl events -f` or `supctl logs -f`");
    Refusal::from(answer)
}

/// A refusal as hyper would write it.
fn whole(refusal: &Refusal) -> Vec<u8> {
    let Answer::Error { status, body } = &refusal.answer else {
        return Vec::new();
    };
    let json = serde_json::to_string(body).unwrap_or_default();
    let reason = StatusCode::from_u16(*status).ok();
    let reason = reason.and_then(|s| s.canonical_reason()).unwrap_or("Error");
    let allow = refusal.allow.as_ref();
    let allow = allow.map_or_else(String::new, |a| format!("allow: {a}\r\n"));
    let length = json.len();
    format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: {JSON}\r\ncontent-length: {length}\r\n\
         {allow}connection: close\r\n\r\n{json}"
    )
    .into_bytes()
}

async fn client(stream: UnixStream, visit: Visit, place: Arc<Seat>) {
    let heard = tokio::select! {
        heard = head::hear(&stream, visit.until) => heard,
        () = place.asked_out() => Heard::Refused(crowded()),
    };
    let (asked, head) = match heard {
        Heard::Asked(asked, head) => (asked, head),
        Heard::Refused(refusal) => return refuse(stream, &refusal).await,
        Heard::Nothing => return,
    };
    let seat = match visit.admit(&asked) {
        Ok(seat) => seat,
        Err(refused) => {
            visit.report(&asked, &refused);
            return refuse(stream, &refused.into()).await;
        }
    };
    let (stream, mood) = (Arc::new(stream), Arc::new(Mood::default()));
    let io = Io::new(Arc::clone(&stream), Arc::clone(&mood), head);
    let held = Held {
        place: Arc::clone(&place),
        stream: seat,
    };
    // One request: whoever asks twice on one connection finds nothing here.
    let todo = Mutex::new(Some((visit, asked, held)));
    let answer = service_fn(|request| {
        let todo = todo.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mood = Arc::clone(&mood);
        async move { Ok::<_, Infallible>(respond(request, todo, &mood).await) }
    });
    let served = http1::Builder::new()
        .half_close(true)
        .keep_alive(false)
        // The head was measured; hyper measures what it holds at a time.
        .max_buf_size(REQUEST_MAX * 2)
        .serve_connection(io, answer);
    tokio::select! {
        _served = served => {}
        () = gone(&stream, &mood) => return,
        () = place.asked_out() => return,
    }
    if mood.unread.load(Ordering::Relaxed)
        && let Some(stream) = Arc::into_inner(stream)
    {
        linger(stream).await;
    }
}

/// Says why not, even to a client that is still talking.
async fn refuse(mut stream: UnixStream, refusal: &Refusal) {
    let said = timeout(LINGER, stream.write_all(&whole(refusal))).await;
    if let Ok(Ok(())) = said {
        linger(stream).await;
    }
}

/// Hears a client out that was answered before it had finished.
async fn linger(mut stream: UnixStream) {
    let _gone = stream.shutdown().await;
    let mut rest = stream.take(LINGER_MAX);
    let hear = async {
        let mut bytes = [0; 4096];
        while rest.read(&mut bytes).await.is_ok_and(|n| n > 0) {}
    };
    let _late = timeout(LINGER, hear).await;
}

/// Returns when the client has closed both directions while it waits for its answer. One that has
/// only said that it will send no more still wants it; the two look the same to who reads.
async fn gone(stream: &UnixStream, mood: &Mood) {
    mood.asked.notified().await;
    let unchanged = || Err::<(), _>(std::io::ErrorKind::WouldBlock.into());
    while let Ok(ready) = stream.ready(Interest::READABLE).await {
        if ready.is_read_closed() {
            break;
        }
        let _until_more_comes = stream.try_io(Interest::READABLE, unchanged);
    }
    let twin = stream.as_fd().try_clone_to_owned();
    let twin = twin.map(std::os::unix::net::UnixStream::from);
    // A second look at the same connection, so that what is taken here is not missed by the writer.
    let Ok(twin) = twin.and_then(UnixStream::from_std) else {
        return std::future::pending().await;
    };
    while let Ok(ready) = twin.ready(Interest::WRITABLE).await {
        if ready.is_write_closed() {
            return;
        }
        let _until_it_changes = twin.try_io(Interest::WRITABLE, unchanged);
    }
}

impl Visit {
    /// Whether the request is let through; a stream takes a seat of its own.
    fn admit(&self, asked: &Asked) -> Result<Option<Seat>, Answer> {
        let route = &asked.route;
        let needed = if route.is_read() {
            Role::Reader
        } else {
            Role::Operator
        };
        let role = self.gate.access.role(&self.peer);
        if role < needed {
            return Err(forbidden(&self.peer, role, route));
        }
        let streams = matches!(route, Route::Events | Route::Logs(_));
        if !streams || !asked.query.is_on(query::FOLLOW) {
            return Ok(None);
        }
        let seat = self.gate.streams.take(self.guest);
        seat.map(Some).ok_or_else(|| {
            Answer::error(429, code::BUSY, "too many streams are open")
                .hint("close a `supctl events -f` or `supctl logs -f`")
        })
    }
}

impl Visit {
    /// Who tries to change what it may not is told of. In a flood of them the loop has enough.
    fn report(&self, asked: &Asked, refused: &Answer) {
        let forbidden = matches!(refused, Answer::Error { status: 403, .. });
        if forbidden && !asked.route.is_read() {
            let _enough = self.gate.to_loop.try_send(Message::Refused {
                peer: self.peer.clone(),
                route: asked.route.clone(),
            });
        }
    }
}

fn forbidden(peer: &Peer, role: Role, route: &Route) -> Answer {
    let what = if route.is_read() { "read" } else { "do" };
    let message = format!("uid {} may not {what} this", peer.uid);
    let hint = match role {
        Role::Reader => {
            "`[supd] socket.read_group` only reads: be root, supd's own user, or a \
                         member of `socket.group`"
        }
        Role::Nobody | Role::Operator => {
            "be root, supd's own user, or a member of `[supd] socket.group`"
        }
    };
    Answer::error(403, code::FORBIDDEN, message).hint(hint)
}

async fn respond(
    request: hyper::Request<Incoming>,
    todo: Option<(Visit, Asked, Held)>,
    mood: &Mood,
) -> Response<Answered> {
    let Some((visit, asked, held)) = todo else {
        return response(400, JSON, Answered::Whole(None));
    };
    let seq = Arc::clone(&visit.gate.seq);
    let answer = match body_of(request, &asked, visit.until).await {
        Ok(body) => {
            held.place.has_spoken();
            mood.asked.notify_one();
            ask(visit, asked, body).await
        }
        Err(refused) => {
            mood.unread.store(true, Ordering::Relaxed);
            refused
        }
    };
    match answer {
        Answer::Json { status, json } => response(status, JSON, Answered::Whole(Some(json.into()))),
        Answer::List(text) => response(200, NDJSON, Answered::Whole(Some(text.into()))),
        Answer::Metrics(text) => response(200, OPENMETRICS, Answered::Whole(Some(text.into()))),
        Answer::Stream(lines) => {
            mood.streams.store(true, Ordering::Relaxed);
            let stream = Streamed::new(lines, seq, held.stream);
            response(200, NDJSON, Answered::Stream(Box::new(stream)))
        }
        Answer::Error { status, body } => response(status, JSON, error(&body)),
    }
}

fn error(body: &ErrorBody) -> Answered {
    let json = serde_json::to_string(body).unwrap_or_default();
    Answered::Whole(Some(Bytes::from(json)))
}

fn response(status: u16, media: &'static str, body: Answered) -> Response<Answered> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let media = HeaderValue::from_static(media);
    response.headers_mut().insert(CONTENT_TYPE, media);
    response
}

/// One question to the loop, and its answer in time.
async fn ask(visit: Visit, asked: Asked, body: Vec<u8>) -> Answer {
    let (reply, answered) = oneshot::channel();
    let patience = if asked.wait.is_zero() {
        Patience::None
    } else {
        Patience::UntilDone
    };
    let is_read = asked.route.is_read();
    let request = Request {
        peer: visit.peer,
        route: asked.route,
        query: asked.query,
        body,
        patience,
        reply,
    };
    let stopping = || {
        Answer::error(503, code::STOPPING, "supd is going down")
            .hint("wait for its end; what runs supd decides whether it comes back")
    };
    let sent = visit.gate.to_loop.send(Message::Request(request)).await;
    if sent.is_err() {
        return stopping();
    }
    // Reads and `wait=0` are answered in the loop's next turn.
    if is_read || asked.wait.is_zero() {
        return answered.await.unwrap_or_else(|_| stopping());
    }
    match timeout(asked.wait, answered).await {
        Ok(answer) => answer.unwrap_or_else(|_| stopping()),
        Err(_) => Answer::json(
            202,
            &CommandReply {
                ok: false,
                outcome: Word::Borrowed(outcome::PENDING),
                message: Some(format!(
                    "not done after {}; it goes on",
                    span::format(asked.wait)
                )),
                ..CommandReply::default()
            },
        ),
    }
}

async fn body_of(
    request: hyper::Request<Incoming>,
    asked: &Asked,
    until: Instant,
) -> Result<Vec<u8>, Answer> {
    let collected = Limited::new(request.into_body(), asked.body_max).collect();
    match timeout_at(until, collected).await {
        Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
        Ok(Err(e)) if e.is::<LengthLimitError>() => Err(too_large(asked.body_max)),
        Ok(Err(e)) => Err(bad(format!("the body cannot be read: {e}"))
            .hint("send as many bytes as `content-length` says")),
        Err(_) => Err(
            Answer::error(408, code::TIMEOUT, "the body did not come in time")
                .hint("send it within 10 s of the connection"),
        ),
    }
}
