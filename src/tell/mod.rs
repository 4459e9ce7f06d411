// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the engine's values to the protocol's words: records as event lines, and what nodes are
//! called.
//!
//! The daemon tells what happened, `supctl simulate` what would happen; both with these words, so
//! that a story reads the same whether it was lived or foreseen. It translates and decides nothing,
//! and knows no clock, no socket and no process: stamps and pids come from whoever tells.

pub mod ends;
pub mod line;
mod line_remedy;
pub mod names;
pub mod testimony;
mod tries;
pub mod why;
pub mod words;
