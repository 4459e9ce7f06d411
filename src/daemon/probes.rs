// SPDX-License-Identifier: MIT OR Apache-2.0
//! Probes that the daemon makes itself: a connection, or the look at a file.
//!
//! Each connection is tried by a task of its own within the probe's timeout, and never resolves a
//! name: `localhost` is 127.0.0.1, then ::1. What an answer means is the engine's affair.

use super::control::Message;
use crate::spec::{Probe, ProbeTarget};
use crate::tree::{ProbeAnswer, RunId};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
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
    pub(crate) fn begin(&mut self, run: RunId, probe: Arc<Probe>) {
        let answers = self.answers.clone();
        let task = tokio::spawn(async move {
            let tried = tokio::time::timeout(probe.timeout, attempt(&probe.target)).await;
            let answer = tried.unwrap_or(ProbeAnswer::Failure);
            let _ending = answers.send(Message::Probed { run, answer }).await;
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

async fn attempt(target: &ProbeTarget) -> ProbeAnswer {
    let there = match target {
        ProbeTarget::Tcp { host, port } => return connect(host, *port).await,
        ProbeTarget::Unix(path) => UnixStream::connect(path).await.is_ok(),
        ProbeTarget::File(path) => path.exists(),
        // The engine asks for these as helpers.
        ProbeTarget::Exec(_) => return ProbeAnswer::Unknown,
    };
    if there {
        ProbeAnswer::Success
    } else {
        ProbeAnswer::Failure
    }
}

async fn connect(host: &str, port: u16) -> ProbeAnswer {
    let addresses: Vec<IpAddr> = if host == "localhost" {
        vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
    } else {
        host.parse().into_iter().collect()
    };
    if addresses.is_empty() {
        return ProbeAnswer::Unknown;
    }
    for address in addresses {
        if TcpStream::connect((address, port)).await.is_ok() {
            return ProbeAnswer::Success;
        }
    }
    ProbeAnswer::Failure
}
