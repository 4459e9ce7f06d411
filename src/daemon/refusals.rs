// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clients that asked for what their user may not do: told of, but not as often as they like.
//!
//! Decides which refusals get a record of their own; the others are counted in the next one, so
//! that nobody without a role can push everything else out of the history.

use super::control::access::Peer;
use super::note;
use super::run::Daemon;
use crate::tree::{Actor, Time};
use crate::wire::Route;
use std::time::Duration;

/// Records in one stretch of time.
const TOLD: u32 = 10;
/// The stretch.
const STRETCH: Duration = Duration::from_secs(60);

/// What was told lately.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    since: Option<Time>,
    told: u32,
    untold: u64,
}

impl Refusals {
    /// How many before this one were not told, when this one is to be.
    fn count(&mut self, now: Time) -> Option<u64> {
        if self.since.is_none_or(|since| now.since(since) >= STRETCH) {
            self.since = Some(now);
            self.told = 0;
        }
        if self.told == TOLD {
            self.untold += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

impl Daemon {
    /// Tells of a client that may not do what it asked for.
    pub(crate) fn take_refusal(&mut self, peer: &Peer, route: &Route) {
        let Some(untold) = self.refusals.count(self.now()) else {
            return;
        };
        let (uid, pid) = (peer.uid, peer.pid);
        let what = format!("{} {}", route.method(), route.path());
        let mut detail = format!("uid {uid} (pid {pid}) may not: {what:.200}");
        if untold > 0 {
            detail = format!("{detail}; {untold} more were refused before");
        }
        let by = Actor::Client { uid, pid };
        self.note_by(note::REFUSED, detail, Some(by));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_told_when_it_is_over() {
        let mut refusals = Refusals::default();
        let at = |s: u64| Time(s * 1_000_000_000);
        let told: Vec<_> = (0..15).filter_map(|_| refusals.count(at(5))).collect();
        assert_eq!(told, [0; 10]);
        assert_eq!(refusals.count(at(64)), None);
        assert_eq!(refusals.count(at(65)), Some(6));
        assert_eq!(refusals.count(at(66)), Some(0));
    }
}
