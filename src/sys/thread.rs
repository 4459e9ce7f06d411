// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one thread beside the main one: it writes log files, which can block.
//!
//! It takes no signal: every one is blocked in it before it does anything, so that SIGCHLD and the
//! rest arrive where they are read, and a file that grows over a limit (SIGXFSZ, setrlimit(2)) is
//! an error and not the end. It never spawns: the parent-death signal of a child is that of the
//! thread that made it (prctl(2)).

use nix::sys::signal::SigSet;
use std::io;
use std::thread::Builder;

/// Its stack, of which only what is used takes memory: a compressor's tables are made there and
/// moved (300 KiB, several times over without optimization).
const STACK: usize = 4 << 20;

/// Starts `work` in a thread of this name.
///
/// # Errors
/// There is no room for another thread (pthread_create(3)).
pub fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let all = SigSet::all();
    // Blocked here, so that there is no moment in which the new one could take a signal.
    let before = all.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)?;
    let started = Builder::new()
        .name(name.to_owned())
        .stack_size(STACK)
        .spawn(work);
    before.thread_set_mask()?;
    started.map(drop)
}
