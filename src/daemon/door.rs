// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control socket while the daemon lives: served, and put back where it was removed.
//!
//! A cleaner of /tmp may remove the file of a socket; clients would then find nobody until the next
//! start. The kernel says so (inotify), or somebody does (SIGUSR1): the file is made again, unless
//! another daemon has taken the place. Where there was no place at the start, SIGUSR1 looks again.
//! Clients that are connected notice nothing.

use super::control::Message;
use super::control::server::{Gate, serve};
use super::note;
use super::run::Daemon;
use super::socket::{Listening, Mended, NoSocket, Ours, open};
use super::token::Token;
use crate::spec::SocketSpec;
use crate::sys::epoll::{Interest, Poller};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::mpsc::Sender;
use tokio::task::AbortHandle;

/// The control socket, if there is one.
#[derive(Debug)]
pub(crate) struct ControlDoor {
    asked: Option<OsString>,
    to_loop: Sender<Message>,
    seq: Arc<AtomicU64>,
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
            to_loop,
            seq,
            served: None,
        }
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
            return self.look_for_a_socket_again();
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

    fn look_for_a_socket_again(&mut self) {
        let spec = self.tree.spec().settings.socket.clone();
        let told = match self.door.open(&spec) {
            Ok(listening) => {
                let address = listening.address.clone();
                match self.door.serve(listening, &self.poller) {
                    Ok(()) => {
                        let told = format!("there is a control socket now: {address}");
                        self.world.set_socket(address);
                        told
                    }
                    Err(e) => format!("still no control socket: {e}"),
                }
            }
            Err(e) => format!("still no control socket: {e}"),
        };
        self.note(note::SURROUNDINGS, told);
    }
}
