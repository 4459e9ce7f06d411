// SPDX-License-Identifier: MIT OR Apache-2.0
//! supd: Erlang/OTP supervision trees for ordinary processes.
//!
//! The straight line of one exit:
//!
//! ```text
//! SIGCHLD -> sys::ends (signalfd, coalesced)           -> the loop wakes
//!         -> sys::reap: peek, facts, then reap, until none is left
//!         -> sys::procs takes the pid                  -> a run | an orphan (counted)
//!         -> tree.handle(now, Event::Exited{run, facts})
//!              classify(facts, what we had asked)      -> class
//!              decide(restart type, class)             -> stay down | recover
//!              window.record(now)                      -> within | exceeded: one level up
//!              strategy                                -> which siblings stop, in which order
//!              back-off                                -> now | at a deadline
//!         -> Effects, performed in order: Signal | Spawn | Probe | Reply | Record | Halt
//! results come back as events (Spawned, SpawnFailed{stage, errno}, Ready, ProbeDone)
//! ```
//!
//! All on one thread, so that a pid can never be signalled after it was reaped.

pub mod config;
#[cfg(feature = "ctl")]
pub mod ctl;
#[cfg(feature = "daemon")]
pub mod daemon;
pub mod spec;
pub mod sys;
pub mod tell;
pub mod tree;
pub mod wire;
