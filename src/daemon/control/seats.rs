// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many may be connected, and how many streams may be open: in all, and by whom.
//!
//! root may take every seat, supd's own user all but the last few: the doctor gets in when the
//! house is full. Any other user may hold no more seats than are still free, so that none of them
//! can shut the rest out: the first to try stops at half. Who has no role only comes to be told so:
//! all of them together have a handful.

use super::access::{Access, Peer, Role};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// One seat in so many is for root alone.
const FOR_ROOT: usize = 16;
/// Seats that users without a role may hold together.
const FOR_STRANGERS: usize = 8;

/// Who takes a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Guest {
    /// uid 0.
    Root,
    /// supd's own user.
    Owner,
    /// Somebody with a role.
    Member(u32),
    /// Anybody else.
    Stranger,
}

impl Guest {
    /// What `peer` is to this daemon.
    pub(crate) fn of(access: &Access, peer: &Peer) -> Self {
        match access.role(peer) {
            Role::Nobody => Self::Stranger,
            Role::Reader | Role::Operator if peer.uid == 0 => Self::Root,
            Role::Reader | Role::Operator if peer.uid == access.own => Self::Owner,
            Role::Reader | Role::Operator => Self::Member(peer.uid),
        }
    }
}

/// A room with so many seats.
#[derive(Debug, Clone)]
pub(crate) struct Seats {
    room: Arc<Room>,
}

#[derive(Debug)]
struct Room {
    seats: usize,
    taken: Mutex<BTreeMap<Guest, usize>>,
    left: Notify,
}

/// A seat; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    guest: Guest,
    room: Arc<Room>,
}

impl Seats {
    /// An empty room.
    pub(crate) fn new(seats: usize) -> Self {
        Self {
            room: Arc::new(Room {
                seats,
                taken: Mutex::default(),
                left: Notify::new(),
            }),
        }
    }

    /// A seat, if there is one for this guest.
    pub(crate) fn take(&self, guest: Guest) -> Option<Seat> {
        let mut taken = self.room.taken();
        let all: usize = taken.values().sum();
        let own = taken.get(&guest).copied().unwrap_or_default();
        let seats = self.room.seats;
        let free = (seats - seats / FOR_ROOT).saturating_sub(all);
        let may = match guest {
            Guest::Root => all < seats,
            Guest::Owner => free > 0,
            Guest::Member(_) => own < free,
            Guest::Stranger => own < free.min(FOR_STRANGERS),
        };
        may.then(|| {
            *taken.entry(guest).or_default() += 1;
            Seat {
                guest,
                room: Arc::clone(&self.room),
            }
        })
    }

    /// Waits until nobody is left.
    pub(crate) async fn empty(&self) {
        while !self.room.taken().is_empty() {
            self.room.left.notified().await;
        }
    }
}

impl Room {
    /// A panic elsewhere leaves the counts sound: each is changed in one step.
    fn taken(&self) -> MutexGuard<'_, BTreeMap<Guest, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        if let Some(count) = taken.get_mut(&self.guest) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.guest);
            }
        }
        self.room.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many as there are for this guest.
    fn fill(seats: &Seats, guest: Guest) -> Vec<Seat> {
        std::iter::from_fn(|| seats.take(guest)).collect()
    }

    #[test]
    fn one_user_cannot_take_all_seats_and_all_of_them_leave_some_to_root() {
        let seats = Seats::new(64);
        let mut held = Vec::new();
        for (guest, wanted) in [
            (Guest::Stranger, 8),
            (Guest::Member(1), 26),
            (Guest::Member(2), 13),
            (Guest::Member(3), 7),
            (Guest::Owner, 6),
            (Guest::Owner, 0),
            (Guest::Member(4), 0),
            (Guest::Stranger, 0),
            (Guest::Root, 4),
        ] {
            let got = fill(&seats, guest);
            assert_eq!(got.len(), wanted, "{guest:?}");
            held.push(got);
        }
        held.truncate(1);
        assert_eq!(fill(&seats, Guest::Root).len(), 56);
        held.clear();
        assert!(seats.room.taken().is_empty(), "every seat is given back");
        assert_eq!(fill(&seats, Guest::Owner).len(), 60);
    }

    #[test]
    fn who_has_no_role_is_a_stranger_whoever_it_is() {
        use super::super::access::Door;
        let access = Access {
            own: 1000,
            overflow: 65534,
            overflow_gid: 65534,
            door: Door::Path,
            group: None,
            read_group: Some(60),
        };
        let guest = |uid, gid| {
            let gids = vec![gid];
            Guest::of(&access, &Peer { uid, pid: 1, gids })
        };
        assert_eq!(guest(0, 0), Guest::Root);
        assert_eq!(guest(1000, 9), Guest::Owner);
        assert_eq!(guest(7, 60), Guest::Member(7));
        assert_eq!(guest(7, 9), Guest::Stranger);
        assert_eq!(guest(65534, 60), Guest::Stranger);
    }
}
