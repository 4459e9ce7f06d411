// SPDX-License-Identifier: MIT OR Apache-2.0
//! The daemon with real processes. Nothing sleeps: everything waits for an event of the daemon's
//! own log, for an answer of its socket, or for its end, each with a deadline.

#![allow(
    clippy::disallowed_methods,
    reason = "tests start the daemon and read its log in a thread"
)]

mod bounds;
mod breakers;
mod change;
mod classes;
mod control;
mod drill;
mod harness;
mod health;
mod incidents;
mod life;
mod metrics;
mod notify;
mod output;
mod pid1;
mod readiness;
mod remedies;
mod single;
mod socket;
mod sockets;
mod state;
mod stories;
mod surroundings;
mod terminal;
mod upward;
