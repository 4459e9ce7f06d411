// SPDX-License-Identifier: MIT OR Apache-2.0
//! A process that has not come to its program: on a file system that does not answer it may be
//! like this for ever.
//!
//! From here on it is like any process: it can be stopped, and its start has its time. Whether the
//! program runs is told later, by `Spawned` or `SpawnFailed`; its end decides what a start that
//! was killed for its time has been.

use super::Tree;
use super::event::RunId;
use super::node::{Body, Life, Spawned};
use super::timers::Purpose;

impl Tree {
    /// There is a process, though not yet its program.
    pub(super) fn on_forked(&mut self, run: RunId) {
        if self.helpers.contains_key(&run.life) {
            return self.helper_spawned(run);
        }
        let limit = self.service(run.node).and_then(|s| s.start_timeout);
        let Some(node) = self.nodes.get_mut(run.node) else {
            return self.too_late();
        };
        match &mut node.body {
            Body::Service(Life::Starting(state))
                if state.life == run.life && state.spawned == Spawned::Asked =>
            {
                state.spawned = Spawned::Forked;
                if let Some(limit) = limit {
                    self.timers.set(run.node, Purpose::Start, self.now + limit);
                }
            }
            Body::Service(Life::Stopping(state, _))
                if state.life == run.life && state.spawned == Spawned::Asked =>
            {
                state.spawned = Spawned::Forked;
                self.first_rung(run.node);
            }
            Body::Service(_) | Body::Supervisor(_) => self.too_late(),
        }
    }
}
