// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control socket: HTTP/1.1 and JSON over a Unix socket (INTERFACES, "The socket").
//!
//! Each client is a task of its own that reads one request within its bounds, sends the loop one
//! question and writes one answer. It has no part in the tree: a client that is slow, silent or
//! gone costs its own task and nothing else. Bounds: 64 clients, 16 streams, 64 KiB of head and of
//! body, 10 s for both, 30 s for a client that takes nothing of its answer.

pub(crate) mod access;
mod crowd;
pub(crate) mod head;
mod io;
mod seats;
pub(crate) mod server;

use super::outbox::Outbox;
use super::probes::FileMark;
use crate::tree::{ProbeAnswer, RunId};
use crate::wire::{ErrorBody, Query, Route};
use access::Peer;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What reaches the loop from other tasks.
#[derive(Debug)]
pub(crate) enum Message {
    /// A client asks something.
    Request(Request),
    /// A client was refused what its user may not do.
    Refused {
        /// Who.
        peer: Peer,
        /// What.
        route: Route,
    },
    /// More clients than there is room for; one line about it.
    Crowd(String),
    /// A probe has an answer.
    Probed {
        /// Which one.
        run: RunId,
        /// The answer.
        answer: ProbeAnswer,
        /// About which run it was, and what its file was like.
        seen: (RunId, Option<FileMark>),
    },
    /// The writer of log files has something to say.
    LogFile(super::files::News),
    /// The configuration that was taken up could not be kept on disk, and why.
    NotKept(String),
}

/// A question that is allowed and well-formed.
#[derive(Debug)]
pub(crate) struct Request {
    /// Who asks.
    pub peer: Peer,
    /// What.
    pub route: Route,
    /// Its parameters.
    pub query: Query,
    /// Its body.
    pub body: Vec<u8>,
    /// Whether to answer before the effect.
    pub patience: Patience,
    /// Where the answer goes; closed when the client no longer waits.
    pub reply: oneshot::Sender<Answer>,
}

/// When a command is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As soon as it is taken (`?wait=0`).
    None,
    /// When the engine says what came of it.
    UntilDone,
}

/// The lines of a stream.
#[derive(Debug)]
pub(crate) struct Lines {
    /// To begin with.
    pub first: VecDeque<Arc<str>>,
    /// As they come.
    pub rest: Outbox,
}

/// An answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// One JSON value.
    Json {
        /// The HTTP status.
        status: u16,
        /// The value.
        json: String,
    },
    /// One JSON value a line, until the client goes.
    Stream(Lines),
    /// One JSON value a line.
    List(String),
    /// The metrics page.
    Metrics(String),
    /// What went wrong.
    Error {
        /// The HTTP status.
        status: u16,
        /// The error.
        body: ErrorBody,
    },
}

/// Who is at the other end, as the kernel says.
fn peer_of(stream: &tokio::net::UnixStream) -> std::io::Result<Peer> {
    let peer = crate::sys::peer::of(stream)?;
    let mut gids = peer.groups;
    gids.push(peer.gid);
    Ok(Peer {
        uid: peer.uid,
        pid: peer.pid,
        gids,
    })
}

impl Answer {
    /// 200 with a value.
    pub(crate) fn json<T: serde::Serialize>(status: u16, value: &T) -> Self {
        match serde_json::to_string(value) {
            Ok(json) => Self::Json { status, json },
            Err(e) => Self::error(500, crate::wire::code::INTERNAL, e.to_string()),
        }
    }

    /// An error without a hint.
    pub(crate) fn error(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        let body = ErrorBody::new(code, message);
        Self::Error { status, body }
    }

    /// An error with a way out.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        match self {
            Self::Error { status, body } => Self::Error {
                status,
                body: body.hint(hint),
            },
            other => other,
        }
    }
}
