// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a script says, as it was read. `docs/reference/simulate.md` is the same for people.
//!
//! ```text
//! file      = { "config" FILE | "seed" N | "test" NAME | statement }
//! statement = fault | order | "wait" D | "reload" FILE | "expect" claim
//! fault     = NAME ( "exits" N | "is killed" [ "by" SIG ] | "hangs" | "is not ready"
//!                  | "cannot start" [ ERRNO ] | "ignores signals"
//!                  | "takes" D "to" ( "start" | "stop" ) ) { modifier }
//!           | "probe of" NAME "fails for" D { modifier }
//! modifier  = "xN" | "in" D | "every" D | "after" D | "at" D | "while starting"
//! order     = ( "start" | "stop" | "restart" | "reset" | "pin" | "unpin" ) NAME
//!           | "scale" NAME N | "shutdown"
//! claim     = NAME "restarted" [ "xN" ] | NAME "untouched" | NAME [ "finally" ] STATE
//!           | NAME "gives up" [ "with" N ] | "class of" NAME CLASS
//!           | ( "at most" | "at least" | "exactly" ) N "restarts of" NAME
//!           | "no restarts of" NAME                                     [ "within" D ]
//! ```

use super::act::Fault;
use crate::tree::State;
use std::ops::Range;
use std::time::Duration;

/// A whole file, or what stood on the command line.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Script {
    /// The configuration it is about, as written.
    pub(crate) config: Option<(String, Range<usize>)>,
    pub(crate) seed: Option<u64>,
    pub(crate) tests: Vec<Test>,
}

/// A story that begins with a tree of its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Test {
    /// `None`: what stands before the first `test`.
    pub(crate) name: Option<String>,
    pub(crate) statements: Vec<Statement>,
}

/// One statement and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    /// As it was written, with single spaces.
    pub(crate) words: String,
    pub(crate) span: Range<usize>,
    pub(crate) what: What,
}

/// What a statement asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    Fault(Noun, Fault, Times),
    Order(Order, Noun, When),
    Scale(Noun, u32, When),
    Shutdown(When),
    Wait(Duration),
    Reload(String, Range<usize>, When),
    Expect(Claim, Option<Duration>),
}

/// The name of a node and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Noun {
    pub(crate) name: String,
    pub(crate) span: Range<usize>,
}

/// An order about one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Start,
    Stop,
    Restart,
    Reset,
    Pin,
    Unpin,
}

/// When something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// This long after what stands before it.
    After(Duration),
    /// This long after the tree is up.
    At(Duration),
}

/// How often something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) when: When,
    pub(crate) count: u32,
    /// From one to the next; zero: again as soon as that is possible.
    pub(crate) every: Duration,
}

/// What is expected.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Claim {
    /// It was started again, this often if a number is given, and is ready.
    Restarted(Noun, Option<u32>),
    /// Nothing was started, stopped or ended in it.
    Untouched(Noun),
    /// It came into this state.
    Reaches(Noun, State),
    /// It is in this state at the end.
    Finally(Noun, State),
    /// The supervisor gives up; for the root: with this exit code.
    GivesUp(Noun, Option<u8>),
    /// The last end that nobody had asked for is of this class.
    Class(Noun, String),
    /// It was started again this often.
    Restarts(Noun, Bound, u32),
}

/// How a number is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    AtMost,
    AtLeast,
    Exactly,
}

impl Claim {
    /// The node it is about.
    pub(crate) fn noun(&self) -> &Noun {
        match self {
            Self::Restarted(noun, _)
            | Self::Untouched(noun)
            | Self::Reaches(noun, _)
            | Self::Finally(noun, _)
            | Self::GivesUp(noun, _)
            | Self::Class(noun, _)
            | Self::Restarts(noun, ..) => noun,
        }
    }
}

impl What {
    /// The node it is about.
    pub(crate) fn noun(&self) -> Option<&Noun> {
        match self {
            Self::Fault(noun, ..) | Self::Order(_, noun, _) | Self::Scale(noun, ..) => Some(noun),
            Self::Expect(claim, _) => Some(claim.noun()),
            Self::Shutdown(_) | Self::Wait(_) | Self::Reload(..) => None,
        }
    }
}
