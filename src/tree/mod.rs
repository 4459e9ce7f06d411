// SPDX-License-Identifier: MIT OR Apache-2.0
//! The engine: one deterministic state machine that holds all policy.

mod effect;
mod event;
mod record;

pub use effect::{Effect, Effects, Halt};
pub use event::{
    Actor, Applied, ChildStatus, Command, CommandId, Counts, Event, Haste, NodeId, Outcome,
    ProbeAnswer, RunId, Time,
};
pub use record::{
    Budget, Class, Culprit, Decision, Exit, How, Phase, Record, Seq, StartWhy, StopWhy, What,
};
