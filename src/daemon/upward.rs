// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the manager that runs supd is told (sd_notify(3)): podman, systemd, another supd.
//!
//! ```text
//! READY=1       the root is ready for the first time, and again after each reload
//! RELOADING=1   a new configuration is being put in force
//! STOPPING=1    everything is going down
//! WATCHDOG=1    the loop turns, twice in the time that the manager allows
//! STATUS=…      what the root is like
//! ```
//!
//! Without `NOTIFY_SOCKET` it does nothing and wakes nobody up. It decides nothing.

use crate::sys::upward::Manager;
use crate::tree::Time;
use std::time::Duration;

/// The way up, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Upward {
    manager: Option<Manager>,
    stage: Stage,
    /// When the watchdog is to be told.
    pub due: Option<Time>,
}

/// How far we have come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Starting,
    Ready,
    Stopping,
}

impl Upward {
    /// To this manager; the first beat of the watchdog is due at once.
    pub(crate) fn to(manager: Option<Manager>, now: Time) -> Self {
        let watched = manager.as_ref().and_then(Manager::watchdog);
        Self {
            stage: Stage::Starting,
            due: watched.map(|_| now),
            manager,
        }
    }

    /// The root is ready.
    pub(crate) fn ready(&mut self) {
        if self.stage != Stage::Stopping {
            self.stage = Stage::Ready;
            self.tell("READY=1\nSTATUS=ready");
        }
    }

    /// Another configuration is in force, and was put there in one go.
    pub(crate) fn reloaded(&mut self, now: Time, hash: &str) {
        if self.stage == Stage::Ready {
            let usec = now.since(Time::default()).as_micros();
            self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={usec}"));
            self.tell(&format!("READY=1\nSTATUS=ready, configuration {hash}"));
        }
    }

    /// Everything goes down.
    pub(crate) fn stopping(&mut self) {
        if self.stage != Stage::Stopping {
            self.stage = Stage::Stopping;
            self.tell("STOPPING=1\nSTATUS=stopping");
        }
    }

    /// In words, while nothing else changes.
    pub(crate) fn status(&self, text: &str) {
        self.tell(&format!("STATUS={text}"));
    }

    /// The loop turns.
    pub(crate) fn beat(&mut self, now: Time) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        let span = self.manager.as_ref().and_then(Manager::watchdog);
        self.due = span.map(|span| now + half(span));
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, message: &str) {
        if let Some(manager) = &self.manager {
            manager.tell(message);
        }
    }
}

/// sd_watchdog_enabled(3) recommends it.
fn half(span: Duration) -> Duration {
    span / 2
}
