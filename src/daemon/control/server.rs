// SPDX-License-Identifier: MIT OR Apache-2.0
//! Accepting clients, reading one request of each, writing one answer.
//!
//! Decides who is let in and what is too large or too slow; what the answer is, the loop decides.

use super::access::{Access, Peer, Role};
use super::io::{Answered, Clock, Io, Streamed};
use super::{Answer, Message, Patience, Request};
use crate::spec::limits::{CLIENTS_MAX, CONFIG_FILE_MAX, REQUEST_MAX, REQUEST_TIME};
use crate::wire::{
    CommandReply, ErrorBody, JSON, NDJSON, NoRoute, OPENMETRICS, Query, Route, Word,
};
use crate::wire::{code, outcome, query, span};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// How long a command waits for its effect when the client does not say.
const WAIT: Duration = Duration::from_secs(30);
/// The longest wait a client can ask for; beyond a day it has forgotten that it asked.
const WAIT_MAX: Duration = Duration::from_secs(86_400);
/// After a failed accept (no descriptors left) the next one is tried after this time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// What every client's task shares.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    /// Who may do what.
    pub access: Arc<Access>,
    /// To the loop.
    pub to_loop: mpsc::Sender<Message>,
    /// The last event's number, for heartbeats.
    pub seq: Arc<AtomicU64>,
    /// One permit for each client.
    pub clients: Arc<Semaphore>,
}

impl Gate {
    /// A gate that lets `CLIENTS_MAX` in.
    pub(crate) fn new(access: Access, to_loop: mpsc::Sender<Message>) -> Self {
        Self {
            access: Arc::new(access),
            to_loop,
            seq: Arc::new(AtomicU64::new(0)),
            clients: Arc::new(Semaphore::new(CLIENTS_MAX)),
        }
    }

    /// Waits until every client has its answer, but not longer than `at_most`.
    pub(crate) async fn drained(&self, at_most: Duration) {
        let all = u32::try_from(CLIENTS_MAX).unwrap_or(u32::MAX);
        let _late = tokio::time::timeout(at_most, self.clients.acquire_many(all)).await;
    }
}

/// Accepts clients for ever.
pub(crate) async fn serve(listener: UnixListener, gate: Gate) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        match Arc::clone(&gate.clients).try_acquire_owned() {
            Ok(permit) => {
                let gate = gate.clone();
                tokio::spawn(async move {
                    client(stream, gate).await;
                    drop(permit);
                });
            }
            Err(_) => turn_away(&stream),
        }
    }
}

/// Says that there are too many; a client that cannot take 200 bytes at once hears nothing.
fn turn_away(stream: &UnixStream) {
    let body = ErrorBody::new(code::BUSY, "too many clients are connected")
        .hint("try again, or close a `supctl events -f` or `supctl logs -f`");
    let json = serde_json::to_string(&body).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: {JSON}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        json.len()
    );
    let _gone = stream.try_write(format!("{head}{json}").as_bytes());
}

async fn client(stream: UnixStream, gate: Gate) {
    let Ok(peer) = super::peer_of(&stream) else {
        return;
    };
    let answer = service_fn(|request| {
        let (gate, peer) = (gate.clone(), peer.clone());
        async move { Ok::<_, Infallible>(respond(request, peer, gate).await) }
    });
    let _gone = http1::Builder::new()
        .timer(Clock)
        .header_read_timeout(REQUEST_TIME)
        .max_buf_size(REQUEST_MAX)
        .keep_alive(false)
        .serve_connection(Io(stream), answer)
        .await;
}

async fn respond(request: hyper::Request<Incoming>, peer: Peer, gate: Gate) -> Response<Answered> {
    let seq = Arc::clone(&gate.seq);
    let answer = match ask(request, peer, gate).await {
        Ok(answer) => answer,
        Err(refused) => refused,
    };
    let (status, media, body) = match answer {
        Answer::Json { status, json } => (status, JSON, Answered::Whole(Some(json.into()))),
        Answer::List(text) => (200, NDJSON, Answered::Whole(Some(text.into()))),
        Answer::Metrics(text) => (200, OPENMETRICS, Answered::Whole(Some(text.into()))),
        Answer::Stream(lines) => {
            let stream = Streamed::new(lines, seq);
            (200, NDJSON, Answered::Stream(Box::new(stream)))
        }
        Answer::Error { status, body } => {
            let json = serde_json::to_string(&body).unwrap_or_default();
            (status, JSON, Answered::Whole(Some(Bytes::from(json))))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    if status == 405 {
        headers.insert(ALLOW, HeaderValue::from_static("GET, POST, DELETE"));
    }
    response
}

/// One question to the loop, and its answer in time.
async fn ask(request: hyper::Request<Incoming>, peer: Peer, gate: Gate) -> Result<Answer, Answer> {
    let route = route_of(&request)?;
    allowed(&gate.access, &peer, &route)?;
    let query = Query::parse(request.uri().query().unwrap_or_default())
        .ok_or_else(|| bad("the parameters hold a broken escape"))?;
    let wait = wait_of(&query)?;
    let body = body_of(request, &route).await?;
    let (reply, answered) = oneshot::channel();
    let patience = if wait.is_zero() {
        Patience::None
    } else {
        Patience::UntilDone
    };
    let is_read = route.is_read();
    let request = Request {
        peer,
        route,
        query,
        body,
        patience,
        reply,
    };
    let stopping = || Answer::error(503, code::STOPPING, "supd is going down");
    gate.to_loop
        .send(Message::Request(request))
        .await
        .map_err(|_| stopping())?;
    // Reads and `wait=0` are answered in the loop's next turn.
    if is_read || wait.is_zero() {
        return answered.await.map_err(|_| stopping());
    }
    match tokio::time::timeout(wait, answered).await {
        Ok(answer) => answer.map_err(|_| stopping()),
        Err(_) => Ok(Answer::json(
            202,
            &CommandReply {
                ok: false,
                outcome: Word::Borrowed(outcome::PENDING),
                message: Some(format!("not done after {}; it goes on", span::format(wait))),
                ..CommandReply::default()
            },
        )),
    }
}

fn route_of(request: &hyper::Request<Incoming>) -> Result<Route, Answer> {
    let method = match request.method().as_str() {
        "HEAD" => "GET",
        other => other,
    };
    let path = request.uri().path();
    Route::parse(method, path).map_err(|e| match e {
        NoRoute::NotFound => {
            Answer::error(404, code::NO_SUCH_ROUTE, format!("there is no `{path}`"))
                .hint("GET /v1/openapi.json lists what there is")
        }
        NoRoute::Method(allow) => {
            let message = format!("`{path}` cannot be asked with {method}");
            Answer::error(405, code::METHOD, message).hint(format!("it takes {allow}"))
        }
        NoRoute::Encoding => bad("the path holds a broken escape"),
    })
}

fn allowed(access: &Access, peer: &Peer, route: &Route) -> Result<(), Answer> {
    let needed = if route.is_read() {
        Role::Reader
    } else {
        Role::Operator
    };
    if access.role(peer) >= needed {
        return Ok(());
    }
    let what = if route.is_read() { "read" } else { "do" };
    let message = format!("uid {} may not {what} this", peer.uid);
    let hint = "be root, supd's own user, or a member of `[supd] socket.group`";
    Err(Answer::error(403, code::FORBIDDEN, message).hint(hint))
}

fn wait_of(query: &Query) -> Result<Duration, Answer> {
    let Some(text) = query.get(query::WAIT) else {
        return Ok(WAIT);
    };
    let wait = span::parse(text).ok_or_else(|| {
        bad("`wait` is no span of time").hint("write it as `?wait=30s`, or `?wait=0`")
    })?;
    Ok(wait.min(WAIT_MAX))
}

async fn body_of(request: hyper::Request<Incoming>, route: &Route) -> Result<Vec<u8>, Answer> {
    let most = match route {
        Route::Plan | Route::Apply | Route::AddChild(_) => CONFIG_FILE_MAX,
        _ => REQUEST_MAX,
    };
    let collected = Limited::new(request.into_body(), most).collect();
    match tokio::time::timeout(REQUEST_TIME, collected).await {
        Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
        Ok(Err(e)) if e.is::<http_body_util::LengthLimitError>() => {
            let message = format!("the body is larger than {most} bytes");
            Err(Answer::error(413, code::TOO_LARGE, message))
        }
        Ok(Err(e)) => Err(bad(format!("the body cannot be read: {e}"))),
        Err(_) => Err(Answer::error(
            408,
            code::TIMEOUT,
            "the body did not come in time",
        )),
    }
}

fn bad(message: impl Into<String>) -> Answer {
    Answer::error(400, code::BAD_REQUEST, message)
}
