// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the loop is woken by: signals, and descriptors that have something to be read.
//!
//! Signals and ends are taken whatever the set of descriptors says; what services write comes last,
//! and only so much of it. It decides nothing about services.

use super::exits::Exits;
use super::run::Daemon;
use super::token::Token;
use super::world::DATAGRAMS;
use crate::sys::ends::{Ended, Ends};

impl Daemon {
    /// Whether a descriptor is ready, or still is: then the next turn begins with these. Asking
    /// costs less than another turn, which usually finds nothing.
    pub(super) fn has_more_tokens(&mut self) -> bool {
        if self.turn.tokens.is_empty() {
            return false;
        }
        let asked = self.poller.ready(&mut self.turn.tokens);
        asked.is_ok() && !self.turn.tokens.is_empty()
    }

    /// Hears whoever has something to say.
    pub(super) fn take_tokens(&mut self) {
        if self.turn.tokens.is_empty() && self.poller.ready(&mut self.turn.tokens).is_err() {
            self.turn.tokens.clear();
        }
        let mut written = self.world.logs.is_waiting();
        let tokens = std::mem::take(&mut self.turn.tokens);
        for token in tokens.iter().filter_map(|t| Token::decode(*t)) {
            match token {
                Token::Signals => {
                    self.signals.clear();
                    self.listen();
                }
                Token::Logs => written = true,
                Token::Notify(life) => self.world.hear(life, DATAGRAMS),
                Token::Ready(life) => self.world.hear_ready(life),
                Token::Start(life) => self.world.hear_start(life),
                Token::Hook(life, stream) => self.world.read_hook(life, stream),
                Token::Door => self.mend_socket(),
                // The end of the turn flushes; a pipe stands in another set.
                Token::Outlet(_) | Token::Log(..) => {}
            }
        }
        self.turn.tokens = tokens;
        // What services write comes last, and only so much of it.
        if written {
            self.world.logs.read_some();
        }
    }

    /// Takes the signals that have come, whatever the set of descriptors says.
    pub(super) fn listen(&mut self) {
        if let Some(Ended { child }) = self.ends.as_ref().and_then(Ends::take) {
            self.turn.exits = Exits::Perhaps;
            self.turn.hint = child;
        }
        let arrived = self.signals.take();
        for signal in arrived.signals.iter() {
            if signal == crate::spec::Signal::CHLD {
                self.turn.exits = Exits::Perhaps;
                self.turn.hint = arrived.child;
            } else {
                self.on_signal(signal);
            }
        }
    }
}
