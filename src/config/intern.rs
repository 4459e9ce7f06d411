// SPDX-License-Identifier: MIT OR Apache-2.0
//! One `Arc` for equal values, so that a thousand services that inherit the same defaults carry
//! them once.
//!
//! Only the last few distinct values are compared: neighbours in a file are alike, and a file of
//! ten thousand different ones must not become quadratic. A miss costs memory, nothing else.

use crate::spec::{Backoff, EnvFile, Limits, Logs, Process, Stop};
use std::cell::RefCell;
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
