// SPDX-License-Identifier: MIT OR Apache-2.0
//! The only door to the operating system, and the only unsafe code.
//!
//! The module performs single acts (spawn this, reap one, send that) and says what came of them in
//! the words of `spec`. It never decides whether an act is wise, keeps no history and knows neither
//! the tree nor the configuration's text.
//!
//! Nearly all of it is meant for one thread: the reaper, the table of processes and the spawner
//! must run on the same one, so that no pid is signalled after it was reaped and no exit is lost.
//! `logfile` is for the other one, which `thread` starts.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod bell;
pub mod block;
pub mod bound;
pub mod clock;
mod dispositions;
pub mod ends;
pub mod env;
pub mod epoll;
pub mod errno;
pub mod everybody;
pub mod evidence;
#[cfg(target_feature = "crt-static")]
mod frugal;
pub mod inbox;
pub mod init;
pub mod keep;
pub mod leftovers;
pub mod listen;
pub mod lock;
pub mod logfile;
pub mod logpipe;
pub mod machine;
pub mod memfd;
pub mod memory;
pub mod notify;
pub mod oom;
pub mod output;
pub mod own;
pub mod peer;
pub mod procs;
mod raw;
pub mod reap;
#[cfg(feature = "daemon")]
pub mod signals;
pub mod spawn;
pub mod stale;
pub mod terminal;
pub mod thread;
pub mod upward;
pub mod usage;
pub mod users;
pub mod watch;

pub use dispositions::SignalSet;
