// SPDX-License-Identifier: MIT OR Apache-2.0
//! More clients than there is room for: told of when it begins, while it goes on, and with the
//! number of those who were turned away when it is over. However many come, that is one line at
//! each end and one a minute between them.
//!
//! Decides when something is told, and in which words; it lets nobody in and turns nobody away.

use super::seats::Guest;
use crate::wire::span;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// While it goes on, it is told of this often.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// It is over when nobody had to be turned away for this long.
const OVER_AFTER: Duration = Duration::from_secs(1);

/// A crowd before the door, or none.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    now: Mutex<Option<Rush>>,
}

#[derive(Debug)]
struct Rush {
    since: Instant,
    last: Instant,
    told: Instant,
    turned_away: u64,
}

impl Crowd {
    /// Somebody is turned away, or asked out, because all these are there: what is to be told.
    pub(crate) fn turns_away(
        &self,
        now: Instant,
        (clients, most): (usize, Option<(Guest, usize)>),
    ) -> Option<String> {
        let mut rush = self.rush();
        if let Some(rush) = rush.as_mut() {
            rush.last = now;
            rush.turned_away += 1;
            if now - rush.told < AGAIN_AFTER {
                return None;
            }
            rush.told = now;
            let (count, span) = (rush.turned_away, rounded(now - rush.since));
            return Some(format!("{count} clients were turned away in {span} so far"));
        }
        *rush = Some(Rush {
            since: now,
            last: now,
            told: now,
            turned_away: 1,
        });
        let most = most.map_or_else(String::new, |(guest, count)| {
            format!(", {count} of them of {}", name_of(guest))
        });
        Some(format!(
            "too many clients: {clients} are connected{most}; others are turned away"
        ))
    }

    /// Somebody was let in: what is to be told if that is the end of it.
    pub(crate) fn lets_in(&self, now: Instant) -> Option<String> {
        let mut rush = self.rush();
        let over = rush.take_if(|rush| now - rush.last >= OVER_AFTER)?;
        let (count, span) = (over.turned_away, rounded(over.last - over.since));
        let clients = if count == 1 {
            "client was"
        } else {
            "clients were"
        };
        Some(format!(
            "{count} {clients} turned away within {span}; there is room again"
        ))
    }

    fn rush(&self) -> MutexGuard<'_, Option<Rush>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_of(guest: Guest) -> String {
    match guest {
        Guest::Root => "uid 0".to_owned(),
        Guest::Owner => "supd's own user".to_owned(),
        Guest::Member(uid) => format!("uid {uid}"),
        Guest::Stranger => "users who may not ask anything".to_owned(),
    }
}

/// In whole seconds, at least one.
fn rounded(span: Duration) -> String {
    span::format(Duration::from_secs(span.as_secs().max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_at_its_ends_and_once_a_minute() {
        let crowd = Crowd::default();
        let begin = Instant::now();
        let at = |s: u64| begin + Duration::from_secs(s);
        let here = (64, Some((Guest::Member(7), 60)));
        let told: Vec<_> = (0..=60_000)
            .filter_map(|n| crowd.turns_away(at(n / 1000), here))
            .collect();
        assert_eq!(
            told,
            [
                "too many clients: 64 are connected, 60 of them of uid 7; others are turned away",
                "60001 clients were turned away in 1m so far",
            ]
        );
        assert_eq!(crowd.lets_in(at(60)), None, "it may go on");
        let end = "60001 clients were turned away within 1m; there is room again";
        assert_eq!(crowd.lets_in(at(62)).as_deref(), Some(end));
        assert_eq!(crowd.lets_in(at(63)), None);
    }
}
