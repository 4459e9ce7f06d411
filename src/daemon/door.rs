// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control socket while the daemon lives: served, and put back where it was removed.
//!
//! A cleaner of /tmp may remove the file of a socket; clients would then find nobody until the next
//! start. The kernel says so (inotify), or somebody does (SIGUSR1): the file is made again, unless
//! another daemon has taken the place. Where there was no place at the start, it is looked for a
//! few times more, for what was in the way may have been a shortage that passes, and on SIGUSR1.
//! Clients that are connected notice nothing.

use super::control::Message;
use super::control::server::{Gate, serve};
use super::note;
use super::run::Daemon;
use super::scrape::Scrape;
use super::socket::{Listening, Mended, NoSocket, Ours, open};
use super::token::Token;
use crate::spec::SocketSpec;
use crate::sys::epoll::{Interest, Poller};
use crate::tree::Time;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;

/// Seconds from one look for a place to the next, where there was none at the start. A few looks:
/// where nothing can be written there never will be one, and nothing to do means no wake-up.
const LOOKS: [u64; 5] = [1, 2, 4, 8, 16];

/// The control socket, if there is one.
#[derive(Debug)]
pub(crate) struct ControlDoor {
    asked: Option<OsString>,
    to_loop: Sender<Message>,
    seq: Arc<AtomicU64>,
    looks: usize,
    /// Metrics over TCP.
    pub scrape: Scrape,
    /// When a place is looked for again.
    pub look_at: Option<Time>,
    /// What is served.
    pub served: Option<Served>,
}

/// What keeps the server alive.
#[derive(Debug)]
pub(crate) struct Served {
    /// Who is let in.
    pub gate: Gate,
    /// The socket's file.
    pub ours: Ours,
    accepting: AbortHandle,
    /// Who had knocked at the file that is gone is still let in.
    accepting_before: Option<AbortHandle>,
}

impl ControlDoor {
    /// Nothing is served yet.
    pub(crate) fn new(
        asked: Option<OsString>,
        to_loop: Sender<Message>,
        seq: Arc<AtomicU64>,
    ) -> Self {
        Self {
            asked,
            scrape: Scrape::new(to_loop.clone()),
            to_loop,
            seq,
            looks: 0,
            look_at: None,
            served: None,
        }
    }

    /// There is no socket: when it is looked for again.
    pub(crate) fn look_later(&mut self, now: Time) {
        let wait = LOOKS.get(self.looks).copied().map(Duration::from_secs);
        self.look_at = wait.map(|wait| now + wait);
        self.looks += 1;
    }

    /// Lets clients in from now on.
    pub(crate) fn serve(&mut self, socket: Listening, poller: &Poller) -> io::Result<()> {
        let gate = Gate::new(socket.access, self.to_loop.clone(), Arc::clone(&self.seq));
        watch(&socket.ours, poller);
        self.served = Some(Served {
            accepting: accept(socket.fd, &gate)?,
            accepting_before: None,
            gate,
            ours: socket.ours,
        });
        Ok(())
    }

    fn open(&self, spec: &SocketSpec) -> Result<Listening, NoSocket> {
        open(self.asked.clone(), spec)
    }
}

fn accept(fd: OwnedFd, gate: &Gate) -> io::Result<AbortHandle> {
    let listener = std::os::unix::net::UnixListener::from(fd);
    listener.set_nonblocking(true)?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    Ok(tokio::spawn(serve(listener, gate.clone())).abort_handle())
}

/// Without a watch the file is made again on SIGUSR1 alone.
fn watch(ours: &Ours, poller: &Poller) {
    if let Some(watch) = &ours.watch {
        let _only_by_hand = poller.add(watch, Token::Door.encode(), Interest::Read);
    }
}

impl Daemon {
    /// Looks after the file of the socket, and makes it again.
    pub(crate) fn mend_socket(&mut self) {
        let Some(served) = &mut self.door.served else {
            let told = self.look_for_a_socket();
            let told = told.unwrap_or_else(|why| format!("still no control socket: {why}"));
            return self.note(note::SURROUNDINGS, told);
        };
        let told = match served.ours.mend() {
            Mended::Sound => return,
            Mended::Again(fd) => match accept(fd, &served.gate) {
                Ok(accepting) => {
                    let before = std::mem::replace(&mut served.accepting, accepting);
                    if let Some(oldest) = served.accepting_before.replace(before) {
                        oldest.abort();
                    }
                    watch(&served.ours, &self.poller);
                    "the control socket was removed; it is there again".to_owned()
                }
                Err(e) => format!("the control socket was removed and cannot be served: {e}"),
            },
            Mended::Gone(why) => {
                format!("the control socket was removed and cannot be made again: {why}")
            }
        };
        self.note(note::SURROUNDINGS, told);
    }

    /// Looks for a place again when it is time to.
    pub(crate) fn look_in_time(&mut self) {
        if self.door.look_at.is_none_or(|at| at > self.now()) {
            return;
        }
        self.door.look_at = None;
        if self.door.served.is_some() {
            return;
        }
        match self.look_for_a_socket() {
            Ok(told) => self.note(note::SURROUNDINGS, told),
            Err(_as_before) => self.door.look_later(self.now()),
        }
    }

    fn look_for_a_socket(&mut self) -> Result<String, String> {
        let spec = self.tree.spec().settings.socket.clone();
        let listening = self.door.open(&spec).map_err(|e| e.to_string())?;
        let address = listening.address.clone();
        let served = self.door.serve(listening, &self.poller);
        served.map_err(|e| e.to_string())?;
        let told = format!("there is a control socket now: {address}");
        self.world.set_socket(address);
        Ok(told)
    }
}
