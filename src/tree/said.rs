// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a service says about itself besides that it is ready (`sd_notify(3)`).
//!
//! Decides what follows from it: one that says it is stopping serves no more, one that asks for
//! more time gets it, but not without end. What it says about its end is kept until that comes. It
//! never stops or starts anybody.

use super::Tree;
use super::event::{Haste, NodeId, RunId, Said, Time};
use super::node::{Life, Rung};
use super::record::Unready;
use super::timers::Purpose;
use crate::spec::limits::EXTENSION_MAX;
use std::time::Duration;

impl Tree {
    pub(super) fn on_said(&mut self, run: RunId, said: Said) {
        let id = run.node;
        match (self.life(id), said) {
            (
                _,
                said @ (Said::Class(_) | Said::RetryAfter(_) | Said::Errno(_) | Said::BusError(_)),
            ) => self.testify(run, said),
            (Some(Life::Up(state)), Said::Stopping) if state.life == run.life => {
                self.become_unready(id, Unready::Stopping);
            }
            (Some(Life::Starting(state)), Said::Extend(span)) if state.life == run.life => {
                let since = state.since;
                let limit = self.service(id).and_then(|service| service.start_timeout);
                if let Some(limit) = limit {
                    self.extend(id, (Purpose::Start, span), since + limit * EXTENSION_MAX);
                }
            }
            (Some(Life::Stopping(state, stopping)), Said::Extend(span))
                if state.life == run.life =>
            {
                let place = match stopping.rung {
                    Rung::Command(_) => 0,
                    Rung::Step(place) => place,
                    // It had its time.
                    Rung::Evidence | Rung::Condemned(_) | Rung::Kill => return,
                };
                self.extend_stop(id, place, span);
            }
            (Some(Life::Up(state)), Said::Alive) if state.life == run.life => {
                self.on_sign_of_life(id);
            }
            (Some(Life::Up(state)), Said::Broken) if state.life == run.life => {
                self.on_watchdog_trigger(id);
            }
            (Some(Life::Starting(state) | Life::Up(state)), Said::Watchdog(span))
                if state.life == run.life =>
            {
                self.on_watchdog_set(id, span);
            }
            // It says nothing new about a run that is starting, stopping or gone.
            (
                _,
                Said::Stopping | Said::Extend(_) | Said::Alive | Said::Broken | Said::Watchdog(_),
            ) => {}
        }
    }

    /// What it says about its end is kept until then; its last word counts.
    fn testify(&mut self, run: RunId, said: Said) {
        let Some(state) = self.run_mut(run) else {
            return self.too_late();
        };
        let testimony = state.testimony.get_or_insert_default();
        match said {
            Said::Class(name) => testimony.class = Some(name).filter(|name| !name.is_empty()),
            Said::RetryAfter(span) => testimony.retry_after = Some(span),
            Said::Errno(number) => testimony.errno = Some(number),
            Said::BusError(name) => testimony.bus_error = Some(name),
            // Not about its end.
            Said::Stopping | Said::Extend(_) | Said::Alive | Said::Broken | Said::Watchdog(_) => {}
        }
    }

    /// Once somebody is in a hurry, nobody gets more time.
    fn extend_stop(&mut self, id: NodeId, place: usize, span: Duration) {
        if self.haste.is_some_and(|haste| haste > Haste::Orderly) {
            return;
        }
        let Some(service) = self.service(id) else {
            return;
        };
        let steps = service.stop.steps.iter().take(place + 1);
        let graces: Duration = steps.filter_map(|step| step.timeout).sum();
        let end = self.nodes[id].since + graces * EXTENSION_MAX;
        self.extend(id, (Purpose::Stop, span), end);
    }

    /// Moves a deadline that is set, never to an earlier time.
    fn extend(&mut self, id: NodeId, (purpose, span): (Purpose, Duration), end: Time) {
        let wanted = (self.now + span).min(end);
        if self.timers.get(id, purpose).is_some_and(|at| at < wanted) {
            self.timers.set(id, purpose, wanted);
        }
    }
}
