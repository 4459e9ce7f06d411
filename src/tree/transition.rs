// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the records of breakers say: how one went from one state to another, and what holds a
//! service. It decides nothing.

use super::breaker::BreakerState;
use super::event::Actor;
use super::record::Budget;
use crate::spec::{Name, ProbeFault};
use std::time::Duration;

/// A breaker goes from one state to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// Which one.
    pub breaker: Name,
    /// The state before.
    pub from: BreakerState,
    /// The state now.
    pub to: BreakerState,
    /// Why.
    pub why: TransitionWhy,
    /// How long it lasts, if that is known.
    pub span: Option<Duration>,
    /// Who forced it.
    pub by: Option<Actor>,
    /// Why, in their words.
    pub reason: Option<Box<str>>,
}

/// Why a breaker goes from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransitionWhy {
    /// Ends in a row that blame it.
    Failures,
    /// Its probe did not succeed.
    Probe(ProbeFault),
    /// It has been open long enough.
    Time,
    /// The test was good.
    Test,
    /// The start that was its test has failed.
    Trial,
    /// It is to be tested before anybody is started.
    Initial,
    /// Somebody wants it so.
    Ordered,
    /// What somebody had forced has had its time.
    Expired,
}

/// What holds a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A budget that is used up.
    Budget(Budget),
    /// Its own breaker.
    Own {
        /// Abnormal ends in a row that open it.
        failures: u32,
    },
    /// Breakers that it lists and that are open.
    Breakers(Box<[Name]>),
}
