// SPDX-License-Identifier: MIT OR Apache-2.0
//! One `Arc` for equal values, so that a thousand services that inherit the same defaults carry
//! them once.
//!
//! Only the last few distinct values are compared: neighbours in a file are alike, and a file of
//! ten thousand different ones must not become quadratic. A miss costs memory, nothing else.

use super::value::At;
use crate::spec::{Backoff, EnvFile, Limits, Logs, Process, Rotate, Stop};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Distinct values that are compared.
const COMPARED: usize = 8;

/// The shared parts of services.
#[derive(Debug, Default)]
pub(super) struct Pools {
    pub(super) stops: Pool<Stop>,
    pub(super) backoffs: Pool<Backoff>,
    pub(super) logs: Pool<Logs>,
    pub(super) limits: Pool<Limits>,
    pub(super) env_files: Pool<[EnvFile]>,
    pub(super) processes: Pool<Process>,
    pub(super) log_files: LogFiles,
}

/// Log files that were named, with the rule of rotation of who named each first and where.
///
/// It stands here because all services of a configuration share it, too.
#[derive(Debug, Default)]
pub(super) struct LogFiles(RefCell<BTreeMap<Arc<Path>, (Rotate, At)>>);

impl LogFiles {
    /// Takes note of a file; where another rule stands for it, if one does.
    pub(super) fn name(&self, path: &Arc<Path>, rotate: Rotate, at: At) -> Option<At> {
        let mut known = self.0.borrow_mut();
        let (first, place) = known.entry(Arc::clone(path)).or_insert((rotate, at));
        (*first != rotate).then_some(*place)
    }
}

/// The last distinct values of one type.
#[derive(Debug)]
pub(super) struct Pool<T: ?Sized>(RefCell<Vec<Arc<T>>>);

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Self(RefCell::new(Vec::new()))
    }
}

impl<T: ?Sized + PartialEq> Pool<T> {
    pub(super) fn share(&self, value: impl Into<Arc<T>>) -> Arc<T> {
        let value = value.into();
        let mut known = self.0.borrow_mut();
        if let Some(at) = known.iter().position(|k| **k == *value) {
            let found = Arc::clone(&known[at]);
            known[..=at].rotate_right(1);
            return found;
        }
        known.truncate(COMPARED - 1);
        known.insert(0, Arc::clone(&value));
        value
    }
}
