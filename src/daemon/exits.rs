// SPDX-License-Identifier: MIT OR Apache-2.0
//! The dead, found and buried: from SIGCHLD to the engine's event.
//!
//! Who is named by SIGCHLD comes first; whoever else may have ended is searched for afterwards,
//! because signals coalesce. The order of events is start order. It decides nothing about whom to
//! restart.

use super::logs::Unread;
use super::note;
use super::orphans::{Orphans, Whose};
use super::ring::Stream;
use super::run::{Asked, Daemon};
use super::token::Token;
use crate::tree::{NodeId, RunId, Time};

/// Exits taken in one turn.
const EXITS: usize = 256;
/// Beyond this many children a search for a dead one costs more than a restart's share (waitid(2)
/// with `P_ALL` walks through all of them).
const MANY: usize = 32;

/// Whether there may be dead children.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Exits {
    /// Not known yet, or not all taken.
    #[default]
    Perhaps,
    /// None since the last look.
    None,
}

impl Daemon {
    /// Reaps who is dead and posts their ends in start order.
    pub(super) fn take_exits(&mut self) {
        let now = self.now();
        if self.turn.exits == Exits::None {
            if self.world.graves.next_look().is_some_and(|at| at <= now) {
                self.close_graves(now);
                self.tell_who_was_left();
            }
            return;
        }
        let mut orphans = Orphans::default();
        // With many children the kernel takes long to find a dead one unless it is named:
        // the named one is replaced first.
        let named = self.turn.hint.take().filter(|_| self.world.count() > MANY);
        match named.and_then(|pid| self.world.reap(Some(pid), now)) {
            Some((_, Whose::Ours(_))) => {
                self.close_graves(now);
                self.settle();
            }
            Some((_, Whose::Orphan(left_by))) => orphans.count(left_by),
            None => {}
        }
        self.turn.exits = Exits::Perhaps;
        for _ in 0..EXITS {
            match self.world.reap(None, now) {
                None => {
                    self.turn.exits = Exits::None;
                    break;
                }
                Some((_, Whose::Orphan(left_by))) => orphans.count(left_by),
                Some((_, Whose::Ours(_))) => {}
            }
        }
        let tree = &self.tree;
        let order = |run: RunId| tree.start_order(run.node);
        self.world.graves.sort_by_key(order);
        self.close_graves(now);
        self.world.strays.expect(now);
        self.tell_who_was_left();
        self.press.tally.orphans += orphans.number();
        if let Some(detail) = orphans.told(&self.press.names) {
            self.note(note::ORPHAN, detail);
        }
    }

    pub(super) fn tell_who_was_left(&mut self) {
        for runaway in std::mem::take(&mut self.world.runaways) {
            let detail = runaway.told(self.press.names.name(runaway.run.node));
            self.note(note::LEFTOVER, detail);
        }
    }

    /// Tells the ends of those of whom nothing is left. What they have written is asked for once
    /// for all of them, after they are gone: the set of descriptors knows without touching each
    /// pipe.
    fn close_graves(&mut self, now: Time) {
        let over = self.world.take_over(now);
        if !over.is_empty() {
            self.ask();
        }
        for grave in over {
            let unread = self.unread(grave.run.node);
            self.world.bury(grave, unread);
        }
    }

    fn unread(&self, node: NodeId) -> Unread {
        let of = |stream| Token::Log(node, stream).encode();
        let (out, err) = (of(Stream::Out), of(Stream::Err));
        let told = self.turn.tokens.iter().any(|t| *t == out || *t == err);
        if told || self.turn.asked != Asked::All {
            Unread::Perhaps
        } else {
            Unread::Nothing
        }
    }
}
