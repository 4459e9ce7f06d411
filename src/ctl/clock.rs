// SPDX-License-Identifier: MIT OR Apache-2.0
//! The client's own deadline: how much of `--timeout` is left. It decides nothing about a service.

use std::time::{Duration, Instant};

/// The moment by which a command has to be over; none: never.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// This long from now.
    pub(crate) fn after(span: Option<Duration>) -> Self {
        Self(span.and_then(|span| now().checked_add(span)))
    }

    /// The time that is left; `Some(ZERO)` when it is over, `None` when there is no end.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0.map(|end| end.saturating_duration_since(now()))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the client has no engine and no simulator; only its own patience is measured"
)]
fn now() -> Instant {
    Instant::now()
}
