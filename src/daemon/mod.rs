// SPDX-License-Identifier: MIT OR Apache-2.0
//! The daemon: glue between the engine and the world, and the only user of tokio.
//!
//! One task owns the tree and everything that runs. In each turn it takes what the kernel has
//! (signals, exits, output, readiness), hands it to the engine as events, and performs the
//! effects at once and in order; then it publishes the records and waits for the next event or
//! the next deadline. Clients are tasks of their own that can only send it questions.
//!
//! Never policy: an `if` on a service's state belongs in `tree`. Never a poll by time or a wait
//! inside a turn, and no second thread but the one that writes log files (`files`).

mod answers;
mod args;
mod boot;
mod breakers;
mod builtin;
mod control;
mod cut;
mod desk;
mod door;
mod drill;
mod ears;
mod end;
mod exits;
mod exposition;
mod files;
mod graves;
mod heed;
mod hook_run;
#[cfg(feature = "test-hooks")]
mod hooks;
mod http_probe;
mod journal;
mod logs;
mod note;
mod oom;
mod orphans;
mod outbox;
mod outlet;
mod panics;
mod passing;
mod pipes;
mod plan;
mod press;
mod probes;
mod pulse;
mod readers;
mod refusals;
mod registry;
mod reload;
mod render;
mod ring;
mod run;
mod scrape;
mod shelf;
mod signals;
mod single;
mod socket;
mod sockets;
mod stamp;
mod start;
mod strays;
mod tally;
mod text;
mod text_remedy;
mod token;
mod told;
mod trace;
mod upward;
mod view;
mod world;

use crate::tell::{line, names, testimony, words};
pub use args::{Asked, Given, HELP, Usage, find_config, parse};
pub use boot::{BAD_CONFIG, HELD, INTERNAL, Options, check, run};
pub use builtin::Builtin;
#[cfg(feature = "test-hooks")]
pub use control::head::head_in_pieces;
pub use single::{Single, run as run_single};
