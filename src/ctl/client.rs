// SPDX-License-Identifier: MIT OR Apache-2.0
//! One connection per request: finds the socket, checks whose it is, sends, and turns an answer
//! that is no success into a [`Failure`].

use super::args::Global;
use super::clock::Deadline;
use super::failure::Failure;
use super::http::{Answer, Request};
use crate::wire::socket_path::{DirFacts, PATH_MAX, Place, Surroundings, ladder};
use crate::wire::{ErrorBody, Query, Route, Status, code, query, span};
use serde::de::DeserializeOwned;
use std::env;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::time::Duration;

/// How long an answer may take that waits for nothing.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an effect is waited for without `--timeout`: more than the default `start_timeout` and
/// the default stop together.
const EFFECT: Duration = Duration::from_secs(120);
/// How much longer than the daemon we wait, so that its own answer about the time comes first.
const GRACE: Duration = Duration::from_secs(2);
/// A stream that is silent for this long is dead: a heartbeat comes every 15 s.
const SILENCE: Duration = Duration::from_secs(40);

/// Knows where the daemon is.
#[derive(Debug)]
pub(crate) struct Client {
    around: Surroundings,
    timeout: Option<Duration>,
    no_wait: bool,
}

/// A stream of lines, and its patience.
#[derive(Debug)]
pub(crate) struct Lines {
    answer: Answer<UnixStream>,
    stream: UnixStream,
    place: String,
    line: String,
}

/// What a request is about, for the text of its errors: `stop web`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doing<'a>(pub(crate) &'a str);

impl Client {
    /// Looks at the flags and the environment; connects to nothing.
    pub(crate) fn new(flags: &Global) -> Self {
        let around = Surroundings {
            asked: flags.socket.clone(),
            supd_socket: env::var_os("SUPD_SOCKET"),
            xdg_runtime_dir: env::var_os("XDG_RUNTIME_DIR"),
            tmpdir: env::var_os("TMPDIR"),
            uid: own_uid(),
            other_uid: fs::metadata("/proc/1").ok().map(|meta| meta.uid()),
        };
        Self {
            around,
            timeout: flags.timeout,
            no_wait: flags.no_wait,
        }
    }

    /// The end of the patience of a command that waits by itself; none without `--timeout`.
    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::after(self.timeout)
    }

    /// The whole tree.
    pub(crate) fn status(&self, doing: Doing<'_>) -> Result<Status, Failure> {
        read_json(&self.get(&Route::Tree, doing)?)
    }

    /// The text of an answer to a `GET`.
    pub(crate) fn get(&self, route: &Route, doing: Doing<'_>) -> Result<String, Failure> {
        self.get_with(route, &Query::default(), doing)
    }

    /// The same with parameters.
    pub(crate) fn get_with(
        &self,
        route: &Route,
        parameters: &Query,
        doing: Doing<'_>,
    ) -> Result<String, Failure> {
        let target = format!("{}{parameters}", route.path());
        let request = Request {
            method: route.method(),
            target: &target,
            body: None,
        };
        self.answered(&request, doing)
    }

    /// The text of an answer to a `POST` that waits for nothing.
    pub(crate) fn post(
        &self,
        route: &Route,
        body: &str,
        doing: Doing<'_>,
    ) -> Result<String, Failure> {
        let request = Request {
            method: route.method(),
            target: &route.path(),
            body: Some(body),
        };
        self.answered(&request, doing)
    }

    fn answered(&self, request: &Request<'_>, doing: Doing<'_>) -> Result<String, Failure> {
        let (place, stream) = self.connect()?;
        let patience = self.timeout.unwrap_or(PATIENCE);
        let answer = send((&place, stream), request, patience)?;
        let success = answer.is_success();
        let text = answer.text().map_err(|source| lost(&place, source))?;
        if success {
            return Ok(text);
        }
        Err(refused(&text, doing))
    }

    /// The answer to a request whose status is an answer, too.
    pub(crate) fn raw(&self, request: &Request<'_>) -> Result<(u16, Lines), Failure> {
        let (place, stream) = self.connect()?;
        let twin = stream.try_clone().map_err(|source| lost(&place, source))?;
        let usual = match request.method {
            "GET" => PATIENCE,
            _ => EFFECT + GRACE,
        };
        let answer = send((&place, stream), request, self.timeout.unwrap_or(usual))?;
        let lines = Lines {
            answer,
            stream: twin,
            place,
            line: String::new(),
        };
        Ok((lines.answer.status, lines))
    }

    /// Sends an order and waits for its effect, unless nobody wants to.
    pub(crate) fn order<T: DeserializeOwned>(
        &self,
        route: &Route,
        body: &str,
        doing: Doing<'_>,
    ) -> Result<T, Failure> {
        self.order_within(self.patience(), (route, body), doing)
    }

    /// How long an effect is waited for.
    pub(crate) fn patience(&self) -> Duration {
        if self.no_wait {
            Duration::ZERO
        } else {
            self.timeout.unwrap_or(EFFECT)
        }
    }

    /// Sends an order and waits so long for its effect.
    pub(crate) fn order_within<T: DeserializeOwned>(
        &self,
        wait: Duration,
        (route, body): (&Route, &str),
        doing: Doing<'_>,
    ) -> Result<T, Failure> {
        let target = format!(
            "{}{}",
            route.path(),
            Query::default().with(query::WAIT, span::format(wait))
        );
        let (place, stream) = self.connect()?;
        let answer = send(
            (&place, stream),
            &Request {
                method: route.method(),
                target: &target,
                body: Some(body),
            },
            wait.max(PATIENCE) + GRACE,
        )?;
        let success = answer.is_success();
        let text = answer.text().map_err(|source| lost(&place, source))?;
        if success {
            return read_json(&text);
        }
        Err(refused(&text, doing))
    }

    /// Opens a stream.
    pub(crate) fn lines(
        &self,
        route: &Route,
        parameters: &Query,
        doing: Doing<'_>,
    ) -> Result<Lines, Failure> {
        let target = format!("{}{parameters}", route.path());
        let (status, lines) = self.raw(&Request {
            method: route.method(),
            target: &target,
            body: None,
        })?;
        if (200..300).contains(&status) {
            return Ok(lines);
        }
        Err(refused(&lines.text()?, doing))
    }

    /// Walks the ladder: the first socket that answers is the daemon's.
    fn connect(&self) -> Result<(String, UnixStream), Failure> {
        let places = ladder(&self.around);
        let mut not_ours = None;
        for place in &places {
            let shown = place.display();
            match self.try_place(place) {
                Ok(Ok(stream)) => return Ok((shown, stream)),
                Ok(Err(error)) if is_absent(&error) => {}
                Ok(Err(source)) => return Err(lost(&shown, source)),
                // Somebody's trap must not hide a daemon further down.
                Err(failure @ Failure::NotOurs { .. }) => not_ours = Some(failure),
                Err(failure) => return Err(failure),
            }
        }
        Err(not_ours.unwrap_or_else(|| Failure::NoDaemon {
            places: places.iter().map(Place::display).collect(),
        }))
    }

    fn try_place(&self, place: &Place) -> Result<io::Result<UnixStream>, Failure> {
        match place {
            Place::Abstract(name) => {
                let address = SocketAddr::from_abstract_name(name);
                Ok(address.and_then(|address| UnixStream::connect_addr(&address)))
            }
            Place::Asked(path) if path.as_os_str().len() > PATH_MAX => Err(Failure::Usage {
                doing: "use this socket".to_owned(),
                reason: format!("its path is longer than {PATH_MAX} bytes"),
                instead: "cd to its directory and use --socket ./supd.sock".to_owned(),
            }),
            Place::Asked(path) | Place::System(path) | Place::Session(path) => {
                Ok(UnixStream::connect(path))
            }
            Place::Own { dir, path, .. } => match facts(dir) {
                Err(error) => Ok(Err(error)),
                Ok(found) => match place.check(found, self.around.uid) {
                    Ok(()) => Ok(UnixStream::connect(path)),
                    Err(why) => Err(Failure::NotOurs {
                        dir: dir.display().to_string(),
                        why,
                    }),
                },
            },
        }
    }
}

impl Lines {
    /// The next line; `None` at the end of the stream, or when the deadline has passed first.
    pub(crate) fn next(&mut self, deadline: Deadline) -> Result<Option<&str>, Failure> {
        let patience = deadline.left().map_or(SILENCE, |left| left.min(SILENCE));
        if patience.is_zero() {
            return Ok(None);
        }
        let read = self
            .stream
            .set_read_timeout(Some(patience))
            .and_then(|()| self.answer.next_line(&mut self.line));
        match read {
            Ok(true) => Ok(Some(&self.line)),
            Ok(false) => Ok(None),
            Err(error) if is_timeout(&error) && deadline.left() == Some(Duration::ZERO) => Ok(None),
            Err(source) => Err(lost(&self.place, source)),
        }
    }

    /// Whether the next line is here already.
    pub(crate) fn has_next(&self) -> bool {
        self.answer.has_line()
    }

    /// All that is left, as one text.
    pub(crate) fn text(self) -> Result<String, Failure> {
        let place = self.place;
        self.answer.text().map_err(|source| lost(&place, source))
    }
}

/// Sends a request and reads the head of its answer.
fn send(
    (place, mut stream): (&str, UnixStream),
    request: &Request<'_>,
    patience: Duration,
) -> Result<Answer<UnixStream>, Failure> {
    let patience = Some(patience.max(Duration::from_millis(1)));
    stream
        .set_read_timeout(patience)
        .and_then(|()| stream.set_write_timeout(patience))
        .and_then(|()| match request.send(&mut stream) {
            // It may have answered, and closed, before it had read all of it.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            sent => sent,
        })
        .and_then(|()| Answer::read(stream))
        .map_err(|source| lost(place, source))
}

/// Reads an answer's body.
pub(crate) fn read_json<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::Answer {
        what: error.to_string(),
    })
}

/// An answer that is no success, in the daemon's own words if it has any.
pub(crate) fn refused(text: &str, Doing(doing): Doing<'_>) -> Failure {
    match serde_json::from_str::<ErrorBody>(text) {
        Ok(body) => Failure::Refused {
            doing: doing.to_owned(),
            detail: body.error,
        },
        Err(_) => Failure::Refused {
            doing: doing.to_owned(),
            detail: ErrorBody::new(code::INTERNAL, "the daemon does not say why").error,
        },
    }
}

/// The effective user: what a pipe of ours belongs to (pipe(7), fstat(2)). It needs no /proc, which
/// may not be there. Without descriptors nothing else will work either, and nobody's id is right.
fn own_uid() -> u32 {
    const NOBODY: u32 = 65_534;
    io::pipe()
        .and_then(|(end, _)| File::from(OwnedFd::from(end)).metadata())
        .map_or(NOBODY, |meta| meta.uid())
}

fn lost(place: &str, source: io::Error) -> Failure {
    if source.kind() == io::ErrorKind::InvalidData {
        let what = source.to_string();
        return Failure::Answer { what };
    }
    let source = if is_timeout(&source) {
        io::Error::new(io::ErrorKind::TimedOut, "no answer within the time")
    } else {
        source
    };
    Failure::Connection {
        place: place.to_owned(),
        source,
    }
}

/// No daemon here: nothing of this name, or a socket that nobody listens on any more.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory
    )
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn facts(dir: &Path) -> io::Result<DirFacts> {
    let meta = fs::symlink_metadata(dir)?;
    Ok(DirFacts {
        is_dir: meta.is_dir(),
        uid: meta.uid(),
        mode: meta.mode(),
    })
}
