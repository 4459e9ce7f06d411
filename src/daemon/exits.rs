// SPDX-License-Identifier: MIT OR Apache-2.0
//! The dead, found and buried: from SIGCHLD to the engine's event.
//!
//! Who is named by SIGCHLD comes first; whoever else may have ended is searched for afterwards,
//! because signals coalesce. The order of events is start order. It decides nothing about whom to
//! restart.

use super::note;
use super::orphans::{Orphans, Whose};
use super::run::Daemon;
use crate::sys::clock;
use crate::tree::{RunId, Time};
use std::time::Duration;

/// Exits taken in one turn.
const EXITS: usize = 256;
/// Beyond this many children a search for a dead one costs more than a restart's share (waitid(2)
/// with `P_ALL` walks through all of them).
const MANY: usize = 32;
/// A search that takes no longer may be made after every end.
const CHEAP: Duration = Duration::from_micros(20);
/// After a longer one there is none for this many times as long.
const PAUSE: u32 = 10;

/// Whether there may be dead children.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Exits {
    /// Not known yet, or not all taken.
    #[default]
    Perhaps,
    /// Who was named is taken; whether there are others is looked at when the search is due.
    Later,
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
            // Whose the count is can be said only when everybody is known.
            Some((_, Whose::Ours(_))) if self.world.is_in_doubt(now) => self.turn.search_at = None,
            Some((_, Whose::Ours(_))) => {
                self.close_graves(now);
                self.settle();
            }
            Some((_, Whose::Orphan(left_by))) => orphans.count(left_by),
            None => {}
        }
        if self.search_is_due() {
            self.search(&mut orphans);
        } else {
            self.turn.exits = Exits::Later;
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
        self.world.weigh(now);
        let over = self.world.take_over(now);
        if !over.is_empty() {
            self.world.logs.ears.ask();
        }
        for grave in over {
            let unread = self.world.logs.unread(grave.run.node);
            self.world.bury(grave, unread);
        }
    }

    /// In a burst of ends the named ones do not wait for searches, which are made for a tenth of
    /// the time at most; a single end, or two at once, is searched for at once.
    fn search_is_due(&self) -> bool {
        self.turn.search_at.is_none_or(|at| at <= real_now())
    }

    /// Reaps everybody who is dead, up to a number.
    fn search(&mut self, orphans: &mut Orphans) {
        let now = self.now();
        self.turn.exits = Exits::Perhaps;
        for _ in 0..EXITS {
            let before = real_now();
            let Some((_, whose)) = self.world.reap(None, now) else {
                let after = real_now();
                let cost = after.since(before);
                self.turn.search_at = (cost > CHEAP).then(|| after + cost * PAUSE);
                self.turn.exits = Exits::None;
                return;
            };
            match whose {
                Whose::Orphan(left_by) => orphans.count(left_by),
                Whose::Ours(_) => {}
            }
        }
    }

    /// When the loop is to wake up for a search.
    pub(super) fn next_search(&self) -> Option<Time> {
        let at = self
            .turn
            .search_at
            .filter(|_| self.turn.exits == Exits::Later);
        at.map(|at| self.now() + at.since(real_now()))
    }
}

/// What a search costs is not a matter of the engine's time, which a replay can hold.
fn real_now() -> Time {
    Time(clock::now_ns())
}
