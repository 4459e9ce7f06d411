// SPDX-License-Identifier: MIT OR Apache-2.0
//! Probes that the daemon makes itself: a connection, a request, or the look at a file.
//!
//! Each connection is tried by a task of its own within the probe's timeout, and never resolves a
//! name: `localhost` is 127.0.0.1, then ::1. What an answer means is the engine's affair.

use super::control::Message;
use super::http_probe;
use crate::spec::{Probe, ProbeFault, ProbeTarget, Ready};
use crate::tree::{ProbeAnswer, Question, RunId};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;

/// The probes under way.
#[derive(Debug)]
pub(crate) struct Probes {
    tasks: BTreeMap<RunId, AbortHandle>,
    answers: Sender<Message>,
}

impl Probes {
    /// None under way; answers go to the loop.
    pub(crate) fn new(answers: Sender<Message>) -> Self {
        Self {
            tasks: BTreeMap::new(),
            answers,
        }
    }

    /// Begins one. Its answer comes as a message.
    pub(crate) fn begin(
        &mut self,
        (run, asked): (RunId, (RunId, Question)),
        probe: Arc<Probe>,
        before: Option<FileMark>,
    ) {
        let answers = self.answers.clone();
        let task = tokio::spawn(async move {
            let asked_for = attempt(&probe.target, (asked.1, before));
            let tried = tokio::time::timeout(probe.timeout, asked_for).await;
            let (answer, seen) = match tried.unwrap_or(Err(ProbeFault::TimedOut)) {
                Ok(seen) => (ProbeAnswer::Success, seen),
                Err(fault) => (ProbeAnswer::of(fault), None),
            };
            let seen = (asked.0, seen.filter(|_| asked.1 == Question::Liveness));
            let _ending = answers.send(Message::Probed { run, answer, seen }).await;
        });
        self.tasks.insert(run, task.abort_handle());
    }

    /// It is over: answered, or of no interest any more.
    pub(crate) fn end(&mut self, run: RunId) {
        if let Some(task) = self.tasks.remove(&run) {
            task.abort();
        }
    }
}

/// A file as it was at some time: one that was written or replaced since has another mark. No
/// clock is in it: the time of day may be set while a service starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileMark {
    file: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileMark {
    /// The file that will say that a service is ready, if it is there before its start.
    pub(crate) fn before(ready: &Ready) -> Option<Self> {
        let Ready::Probe(probe) = ready else {
            return None;
        };
        match &probe.target {
            ProbeTarget::File(path) => Self::of(path).ok(),
            ProbeTarget::Exec(_)
            | ProbeTarget::Tcp { .. }
            | ProbeTarget::Http { .. }
            | ProbeTarget::Unix(_) => None,
        }
    }

    fn of(path: &Path) -> io::Result<Self> {
        let seen = std::fs::metadata(path)?;
        Ok(Self {
            file: (seen.dev(), seen.ino()),
            modified: (seen.mtime(), seen.mtime_nsec()),
            changed: (seen.ctime(), seen.ctime_nsec()),
        })
    }
}

/// What a file was like that was looked at.
type Sight = Option<FileMark>;

async fn attempt(
    target: &ProbeTarget,
    (question, before): (Question, Sight),
) -> Result<Sight, ProbeFault> {
    match target {
        ProbeTarget::Tcp { host, port } => connect(host, *port).await.map(|_| None),
        ProbeTarget::Http { host, port, path } => {
            let stream = connect(host, *port).await?;
            http_probe::ask(stream, (host, *port), path).await?;
            Ok(None)
        }
        ProbeTarget::Unix(path) => {
            let connected = UnixStream::connect(path).await;
            connected.map(|_| None).map_err(|e| fault(&e))
        }
        ProbeTarget::File(path) => match FileMark::of(path) {
            Ok(now) if before == Some(now) => Err(match question {
                Question::Readiness => ProbeFault::Stale,
                Question::Liveness => ProbeFault::Unchanged,
            }),
            Ok(now) => Ok(Some(now)),
            Err(error) => Err(fault(&error)),
        },
        // The engine asks for these as helpers.
        ProbeTarget::Exec(_) => Err(ProbeFault::Impossible),
    }
}

pub(super) fn fault(error: &io::Error) -> ProbeFault {
    let errno = error.raw_os_error();
    errno.map_or(ProbeFault::Impossible, ProbeFault::Errno)
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, ProbeFault> {
    let addresses: Vec<IpAddr> = if host == "localhost" {
        vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
    } else {
        host.parse().into_iter().collect()
    };
    let mut first = None;
    for address in addresses {
        match TcpStream::connect((address, port)).await {
            // Where nobody listens, the kernel may have given our own end this very port, and we
            // talk to ourselves (a simultaneous open, RFC 9293 section 3.5).
            Ok(stream) if stream.local_addr().ok() == stream.peer_addr().ok() => {
                first.get_or_insert(ProbeFault::REFUSED);
            }
            Ok(stream) => return Ok(stream),
            Err(error) => {
                first.get_or_insert(fault(&error));
            }
        }
    }
    Err(first.unwrap_or(ProbeFault::Impossible))
}
