// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who of the dead was killed for want of memory, as far as counters tell.
//!
//! ```text
//! its own control group has counted      Oom::Own: no doubt
//! a shared counter has risen by k        Oom::Shared: the k largest of those of this pass whom
//!                                        SIGKILL ended that was not ours
//! ```
//!
//! The kernel counts first and kills then, and a large process takes its time to go: a count that
//! nobody has claimed is kept for a while. It decides nothing about what follows.

use super::graves::Grave;
use super::world::World;
use crate::spec::{ExitFacts, ExitStatus, Oom, Signal};
use crate::sys::oom::{OomCounters, Reach};
use crate::sys::reap::Reaped;
use crate::tree::Time;
use std::cmp::Reverse;
use std::time::Duration;

/// A count that nobody has claimed for this long was about somebody whom we do not know.
const KEPT: Duration = Duration::from_secs(5);

/// Counts, and what of them is not claimed yet.
#[derive(Debug)]
pub(crate) struct Oomed {
    counters: OomCounters,
    unclaimed: u64,
    until: Time,
}

impl Oomed {
    /// Nobody yet.
    pub(crate) fn new() -> Self {
        Self {
            counters: OomCounters::look(),
            unclaimed: 0,
            until: Time(0),
        }
    }

    /// The process is a zombie: whether a group of its own has counted.
    pub(super) fn at_peek(&mut self, dead: &Reaped, now: Time) -> Oom {
        // Reading the count of a whole machine takes long: only for who was killed.
        let cheap = self.counters.reach() == Some(Reach::Group);
        let looks = is_killed(&dead.facts) || (cheap && self.count(now) > 0);
        if looks && self.counters.own_has_risen(dead.pid) {
            return Oom::Own;
        }
        Oom::None
    }

    /// Looks at the shared counter.
    fn count(&mut self, now: Time) -> u64 {
        let more = self.counters.risen();
        if more > 0 {
            self.until = now + KEPT;
        } else if now > self.until {
            self.unclaimed = 0;
        }
        self.unclaimed = self.unclaimed.saturating_add(more);
        self.unclaimed
    }

    fn claim(&mut self, now: Time, killed: &mut [&mut Grave]) {
        let count = self.count(now);
        if count == 0 {
            return;
        }
        // Group counters of version 2 count for those above, too.
        let (own, mut others): (Vec<_>, Vec<_>) = killed
            .iter_mut()
            .partition(|grave| grave.facts().oom == Oom::Own);
        let left = count.saturating_sub(own.len() as u64);
        others.sort_by_key(|grave| Reverse(grave.facts().maxrss_kb));
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        let mut claimed = own.len() as u64;
        for grave in others.into_iter().take(most) {
            grave.facts_mut().oom = Oom::Shared;
            claimed += 1;
        }
        self.unclaimed = count.saturating_sub(claimed);
    }
}

impl World {
    /// Whether one of those who have just died may have been killed for want of memory, so that
    /// all of them have to be known first.
    pub(super) fn is_in_doubt(&mut self, now: Time) -> bool {
        self.graves.fresh_killed().next().is_some() && self.oom.count(now) > 0
    }

    /// Everybody who died in this pass is known: whose are the counts?
    pub(super) fn weigh(&mut self, now: Time) {
        let mut killed: Vec<&mut Grave> = self.graves.fresh_killed().collect();
        if !killed.is_empty() {
            self.oom.claim(now, &mut killed);
        }
        self.graves.age();
    }
}

/// Whether SIGKILL ended it.
pub(super) fn is_killed(facts: &ExitFacts) -> bool {
    match facts.status {
        ExitStatus::Signal { signal, .. } => signal == Signal::KILL,
        ExitStatus::Code(_) => false,
    }
}
