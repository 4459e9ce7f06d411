// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that nobody had started and that were reaped: one line for all of a turn.
//!
//! It counts and names; who ran away from whom is found out where the dead are reaped, and
//! nothing is done about it here.

use super::names::Names;
use crate::tree::{NodeId, RunId};
use std::collections::BTreeMap;

/// Services that one line names.
const NAMED: usize = 4;

/// Whose process was reaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The process of a run.
    Ours(RunId),
    /// Nobody's; if it is known, left by this run, which is still there.
    Orphan(Option<RunId>),
}

/// The orphans of one turn.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    all: u32,
    left_by: BTreeMap<NodeId, u32>,
}

impl Orphans {
    /// One more.
    pub(crate) fn count(&mut self, left_by: Option<RunId>) {
        self.all += 1;
        if let Some(run) = left_by {
            *self.left_by.entry(run.node).or_default() += 1;
        }
    }

    /// How many there were.
    pub(crate) fn number(&self) -> u64 {
        u64::from(self.all)
    }

    /// One line for all of them; `None`: there were none.
    pub(crate) fn told(&self, names: &Names) -> Option<String> {
        let all = match self.all {
            0 => return None,
            1 => "reaped 1 process that no service had started".to_owned(),
            n => format!("reaped {n} processes that no service had started"),
        };
        let by = |(node, n): (&NodeId, &u32)| format!("{n} left by {}", names.name(*node));
        let mut known: Vec<String> = self.left_by.iter().take(NAMED).map(by).collect();
        if self.left_by.len() > NAMED {
            known.push("others by more services".to_owned());
        }
        if known.is_empty() {
            return Some(all);
        }
        Some(format!("{all}: {}", known.join(", ")))
    }
}
