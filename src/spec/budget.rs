// SPDX-License-Identifier: MIT OR Apache-2.0
//! Restart budgets: families of failures that have one of their own, and what follows when one is
//! used up (SEMANTICS §8).

use std::time::Duration;

/// What kind of failure an end was: a closed set (SEMANTICS §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// We had asked for it.
    Requested,
    /// As it should be.
    Clean,
    /// Something outside was not there, and may come back.
    Transient,
    /// It cannot work as it is configured.
    Config,
    /// The host or a limit has too little of something.
    Resource,
    /// It did nothing in time.
    Hang,
    /// A mistake in the program.
    Fault,
    /// Somebody else ended it.
    External,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Requested,
        Self::Clean,
        Self::Transient,
        Self::Config,
        Self::Resource,
        Self::Hang,
        Self::Fault,
        Self::External,
    ];

    /// The word for it in files and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Clean => "clean",
            Self::Transient => "transient",
            Self::Config => "config",
            Self::Resource => "resource",
            Self::Hang => "hang",
            Self::Fault => "fault",
            Self::External => "external",
        }
    }
}

/// What follows when a budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The supervisor gives up.
    Escalate,
    /// The child is not restarted until somebody acts.
    Park,
    /// The child is not restarted for this long.
    Hold(Duration),
}

/// The budget of one family of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Whose restarts it counts, in place of the supervisor's own window.
    pub family: Family,
    /// Restarts allowed in `period`.
    pub limit: u32,
    /// The sliding window.
    pub period: Duration,
    /// What follows one more.
    pub then: Then,
}
