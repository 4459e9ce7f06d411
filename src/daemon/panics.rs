// SPDX-License-Identifier: MIT OR Apache-2.0
//! A panic is a mistake of ours and must not end PID 1: it costs what was being done, is recorded,
//! and the loop goes on.
//!
//! ```text
//! over an event      the event is lost; at a deadline, deadlines pause for a second
//! over an effect     the effect is lost; a spawn counts as failed
//! elsewhere          the turn ends there; the next ones come after a pause that grows to a second
//! in a client        that client is lost (the runtime sees to it)
//! ```
//!
//! What it said is kept for the record. Nothing is printed: our standard error may be a pipe
//! nobody reads, and a write there could wait for ever.

use super::note;
use super::run::{Daemon, Next};
use crate::spec::SpawnFailure;
use crate::tree::{Effect, Event};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// So long nothing is done, or no deadline is looked at, after a panic that may come again.
const PAUSE: Duration = Duration::from_secs(1);

static LAST: Mutex<String> = Mutex::new(String::new());

/// Remembers panics instead of printing them.
pub(crate) fn install() {
    std::panic::set_hook(Box::new(|info| {
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        *last = info.to_string().replace('\n', " ");
    }));
}

/// The last one.
pub(crate) fn last() -> String {
    let last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    last.clone()
}

impl Daemon {
    /// What has made a turn fail may be there in the next one as well: that must not be a spin.
    pub(super) fn after_panic(&mut self) -> Next {
        self.tell_of_panic();
        self.turn.panics = self.turn.panics.saturating_add(1);
        let pause = PAUSE / 64 * (1 << self.turn.panics.min(6));
        Next::Pause(pause)
    }

    /// A panic in the engine costs this event and nothing else: PID 1 goes on.
    pub(super) fn hand_over(&mut self, event: Event) {
        let at_deadline = event == Event::Deadline;
        let now = self.now();
        let tree = &mut self.tree;
        if let Ok(effects) = catch_unwind(AssertUnwindSafe(|| tree.handle(now, event))) {
            self.effects.extend(effects);
            return self.audit();
        }
        if at_deadline {
            self.turn.not_before = now + PAUSE;
        }
        self.tell_of_panic();
    }

    /// A debug build looks after every event whether the engine is still sound; the look costs as
    /// much as the tree is large.
    fn audit(&mut self) {
        if cfg!(debug_assertions)
            && let Err(complaint) = self.tree.audit()
        {
            self.note(note::PANIC, format!("internal error: {complaint}"));
        }
    }

    /// A panic over an effect costs this effect. The engine waits for the answer to a spawn.
    pub(super) fn perform_guarded(&mut self, effect: Effect) {
        let spawned = match &effect {
            Effect::Spawn { run, .. } | Effect::SpawnHelper { run, .. } => Some(*run),
            _ => None,
        };
        if catch_unwind(AssertUnwindSafe(|| self.perform(effect))).is_ok() {
            return;
        }
        self.tell_of_panic();
        if let Some(run) = spawned {
            let failure = SpawnFailure::internal();
            let event = Event::SpawnFailed { run, failure };
            self.world.events.push_back(event);
        }
    }

    fn tell_of_panic(&mut self) {
        self.note(note::PANIC, format!("internal error: {}", last()));
    }
}
