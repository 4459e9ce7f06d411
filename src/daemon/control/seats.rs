// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many may be connected, and how many streams may be open: in all, and by whom.
//!
//! root may take every seat, supd's own user all but the last few: the doctor gets in when the
//! house is full. Any other user may hold no more seats than are still free, so that none of them
//! can shut the rest out: the first to try stops at half. Who has no role only comes to be told so:
//! all of them together have a handful.
//!
//! Who sits there and says nothing is asked out when the house is full and somebody comes who holds
//! fewer seats than the silent one's user, or is the same user: a client that has something to ask
//! asks it as soon as it is in.

use super::access::{Access, Peer, Role};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// One seat in so many is for root alone.
const FOR_ROOT: usize = 16;
/// Seats that users without a role may hold together.
const FOR_STRANGERS: usize = 8;
/// Nobody is called silent before this: its words may still be on their way.
const SILENT_AFTER: Duration = Duration::from_millis(200);

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
    house: Mutex<House>,
    left: Notify,
}

#[derive(Debug, Default)]
struct House {
    taken: BTreeMap<Guest, usize>,
    /// Who has not said anything yet, in the order of coming.
    silent: BTreeMap<u64, Silent>,
    guests: u64,
}

#[derive(Debug)]
struct Silent {
    guest: Guest,
    since: Instant,
    way: Arc<Way>,
}

/// How somebody is asked out.
#[derive(Debug, Default)]
struct Way {
    out: Notify,
    /// Its seat is another one's by now.
    is_out: AtomicBool,
}

/// A seat; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    guest: Guest,
    number: u64,
    room: Arc<Room>,
    way: Arc<Way>,
}

impl Seats {
    /// An empty room.
    pub(crate) fn new(seats: usize) -> Self {
        Self {
            room: Arc::new(Room {
                seats,
                house: Mutex::default(),
                left: Notify::new(),
            }),
        }
    }

    /// A seat, if there is one for this guest.
    pub(crate) fn take(&self, guest: Guest) -> Option<Seat> {
        let mut house = self.room.house();
        house.has_room(guest, self.room.seats).then(|| {
            house.sit(guest);
            self.seat(guest, 0, Arc::default())
        })
    }

    /// A seat for somebody who has yet to say what it wants, if need be that of another one who
    /// has been silent for a while. And whether somebody was asked out for it.
    pub(crate) fn welcome(&self, guest: Guest, now: Instant) -> Option<(Seat, bool)> {
        let mut house = self.room.house();
        let room = house.has_room(guest, self.room.seats);
        if !room && !house.ask_out(guest, now) {
            return None;
        }
        house.sit(guest);
        let way = Arc::<Way>::default();
        let number = house.listen_to(Silent {
            guest,
            since: now,
            way: Arc::clone(&way),
        });
        Some((self.seat(guest, number, way), !room))
    }

    fn seat(&self, guest: Guest, number: u64, way: Arc<Way>) -> Seat {
        let room = Arc::clone(&self.room);
        Seat {
            guest,
            number,
            room,
            way,
        }
    }

    /// How many are there, and who holds the most seats, and how many.
    pub(crate) fn crowd(&self) -> (usize, Option<(Guest, usize)>) {
        let house = self.room.house();
        let most = house.taken.iter().max_by_key(|(_, count)| **count);
        (house.all(), most.map(|(guest, count)| (*guest, *count)))
    }

    /// Waits until nobody is left.
    pub(crate) async fn empty(&self) {
        while !self.room.house().taken.is_empty() {
            self.room.left.notified().await;
        }
    }
}

impl Room {
    /// A panic elsewhere leaves the counts sound: each is changed in one step.
    fn house(&self) -> MutexGuard<'_, House> {
        self.house.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl House {
    fn all(&self) -> usize {
        self.taken.values().sum()
    }

    fn held_by(&self, guest: Guest) -> usize {
        self.taken.get(&guest).copied().unwrap_or_default()
    }

    fn has_room(&self, guest: Guest, seats: usize) -> bool {
        let (all, own) = (self.all(), self.held_by(guest));
        let free = (seats - seats / FOR_ROOT).saturating_sub(all);
        match guest {
            Guest::Root => all < seats,
            Guest::Owner => free > 0,
            Guest::Member(_) => own < free,
            Guest::Stranger => own < free.min(FOR_STRANGERS),
        }
    }

    fn sit(&mut self, guest: Guest) {
        *self.taken.entry(guest).or_default() += 1;
    }

    fn stand_up(&mut self, guest: Guest) {
        if let Some(count) = self.taken.get_mut(&guest) {
            *count -= 1;
            if *count == 0 {
                self.taken.remove(&guest);
            }
        }
    }

    fn listen_to(&mut self, silent: Silent) -> u64 {
        self.guests += 1;
        self.silent.insert(self.guests, silent);
        self.guests
    }

    /// Asks out whoever has been silent for longest, for this guest's sake.
    fn ask_out(&mut self, guest: Guest, now: Instant) -> bool {
        let own = self.held_by(guest);
        let gives_way = |silent: &Silent| {
            let greedy = guest != Guest::Stranger && self.held_by(silent.guest) > own;
            (silent.guest == guest || greedy) && now - silent.since >= SILENT_AFTER
        };
        let found = self.silent.iter().find(|(_, silent)| gives_way(silent));
        let Some(number) = found.map(|(number, _)| *number) else {
            return false;
        };
        if let Some(silent) = self.silent.remove(&number) {
            self.stand_up(silent.guest);
            silent.way.is_out.store(true, Ordering::Relaxed);
            silent.way.out.notify_one();
        }
        true
    }
}

impl Seat {
    /// It has said what it wants, and stays until that is answered.
    pub(crate) fn has_spoken(&self) {
        self.room.house().silent.remove(&self.number);
    }

    /// Returns when it is asked out.
    pub(crate) async fn asked_out(&self) {
        self.way.out.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut house = self.room.house();
        house.silent.remove(&self.number);
        if !self.way.is_out.load(Ordering::Relaxed) {
            house.stand_up(self.guest);
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
        assert!(
            seats.room.house().taken.is_empty(),
            "every seat is given back"
        );
        assert_eq!(fill(&seats, Guest::Owner).len(), 60);
    }

    #[test]
    fn who_sits_in_silence_gives_way_to_others_and_who_has_spoken_does_not() {
        let seats = Seats::new(16);
        let begin = Instant::now();
        let mut held: Vec<Seat> = Vec::new();
        let come = |guest, at| seats.welcome(guest, begin + Duration::from_millis(at));
        while let Some((seat, asked_out)) = come(Guest::Root, 0) {
            assert!(!asked_out);
            held.push(seat);
        }
        assert_eq!(held.len(), 16);
        held[0].has_spoken();
        assert!(
            come(Guest::Owner, 199).is_none(),
            "it may still say something"
        );
        let (owner, asked_out) = come(Guest::Owner, 200).expect("one gives way");
        assert!(asked_out);
        let is_out = |seat: &Seat| seat.way.is_out.load(Ordering::Relaxed);
        let out: Vec<bool> = held.iter().map(is_out).collect();
        assert_eq!(
            out.iter().position(|out| *out),
            Some(1),
            "the oldest silent one"
        );
        assert!(come(Guest::Stranger, 300).is_none(), "not for a stranger");
        assert!(come(Guest::Root, 300).is_some(), "for its own user's next");
        held.clear();
        drop(owner);
        assert!(seats.room.house().taken.is_empty(), "counted once");
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
