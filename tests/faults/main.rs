// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faults, by the number they have in `docs/reference/faults.md`: each through the real daemon and
//! the real kernel, or, where time and order decide, through the engine alone. Nothing sleeps:
//! everything waits for an event, an answer or an end, each with a deadline.

#![allow(
    clippy::disallowed_methods,
    reason = "tests start the daemon and read its log in a thread"
)]

mod away;
mod client;
mod ends;
mod engine;
mod files;
#[path = "../daemon/harness.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests of the daemon, which use all of it"
)]
mod harness;
mod init;
mod kernel;
mod limits;
mod load;
mod logs;
mod matrix;
mod memory;
mod places;
mod play;
mod rig;
mod slow;
mod starts;
mod stops;
mod strangers;
mod users;
