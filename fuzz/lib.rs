// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bodies of the targets, which the ordinary tests run as well.

#[path = "../tests/fuzz/bodies.rs"]
mod bodies;
#[path = "../tests/sim/dice.rs"]
mod dice;
#[path = "../tests/fuzz/engine.rs"]
mod engine;
#[path = "../tests/sim/forest.rs"]
mod forest;
#[path = "../tests/sim/ward.rs"]
#[allow(dead_code, reason = "the simulator uses more of it")]
mod ward;

/// Runs the body of a target.
pub fn run(name: &str, bytes: &[u8]) {
    let found = bodies::TARGETS.into_iter().find(|(known, _)| *known == name);
    let (_, body) = found.expect("a target of this name");
    body(bytes);
}
