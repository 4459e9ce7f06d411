// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether an unhealthy service is killed, and by which signals (SEMANTICS §9).
//!
//! A kill is an exit like any other to its supervisor: class, budget, strategy, back-off. Before it
//! stand three doubts, for a supervisor that kills what is well does more harm than none:
//!
//! - What fails in many children at once is probably not theirs: of the watched children of a
//!   supervisor at most [`CULL_PERCENT`] % are killed within [`CULL_WINDOW`]; a child that is the
//!   only one is nobody's epidemic, and its supervisor's intensity bounds its restarts.
//! - Our own clock may be wrong: nobody is killed while we are slow or shortly after everything
//!   stood still.
//! - Somebody else may have said what is to become of it: one that is pinned is left alone, one
//!   whose supervisor goes down has its turn.
//!
//! Who is spared is asked on, and killed at a later failure if the doubt has gone.

use super::Tree;
use super::event::{NodeId, ProbeAnswer, RunId, Time};
use super::node::{Life, Node, Rest, Run, Rung};
use super::record::{StopWhy, What};
use super::timers::Purpose;
use crate::spec::limits::{CULL_PERCENT, CULL_WINDOW, LAG_MAX, RESUME_GRACE};
use crate::spec::{self, Signal, StopStep};
use std::collections::VecDeque;
use std::time::Duration;

/// What a service is killed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condemned {
    /// Too many wrong answers in a row.
    Liveness,
    /// No sign of life, or its own word.
    Watchdog,
}

/// Why nobody is killed for being unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspension {
    /// Too many of its siblings were.
    Quorum {
        /// So many in the last minute.
        killed: usize,
        /// Of so many that are watched.
        watched: usize,
    },
    /// We ourselves are late by this much.
    Lag(Duration),
    /// Everything stood still a moment ago.
    Resumed,
}

/// When which children of a supervisor were killed for being unhealthy, as far as it matters.
pub(super) type Culls = VecDeque<(Time, NodeId)>;

impl Tree {
    /// Kills a service that does not seem to work, unless there is a doubt; whether it is killed.
    pub(super) fn condemn(&mut self, id: NodeId, what: Condemned) -> bool {
        let Some(Life::Up(run)) = self.life(id) else {
            return false;
        };
        let run = run.clone();
        if self.is_out_of_bounds(id) {
            return false;
        }
        if let Some(why) = self.suspension(id) {
            self.spare(id, &run, why);
            return false;
        }
        let now = self.now;
        if let Some(sup) = self.nodes[id].parent
            && let Some(sup) = self.nodes[sup].sup_mut()
        {
            sup.culls.push_back((now, id));
        }
        self.end_unhealthy(id, run, what);
        true
    }

    /// The same for one that says so itself: about its own word there is no doubt.
    pub(super) fn take_at_its_word(&mut self, id: NodeId) {
        if let Some(Life::Up(run)) = self.life(id)
            && !self.is_out_of_bounds(id)
        {
            let run = run.clone();
            self.end_unhealthy(id, run, Condemned::Watchdog);
        }
    }

    fn end_unhealthy(&mut self, id: NodeId, mut run: Run, what: Condemned) {
        if let Some(ProbeAnswer::Failure(fault)) = run.vitals.last
            && what == Condemned::Liveness
        {
            run.fault = Some(fault);
        }
        self.begin_ladder(id, run, StopWhy::Unhealthy(what));
    }

    /// Whether somebody else has said what is to become of it.
    fn is_out_of_bounds(&self, id: NodeId) -> bool {
        let node = &self.nodes[id];
        let mut above = std::iter::successors(node.parent, |id| self.nodes[*id].parent);
        node.pinned || self.haste.is_some() || above.any(|sup| self.is_going_down(sup))
    }

    /// Why nobody is killed for being unhealthy now.
    fn suspension(&mut self, id: NodeId) -> Option<Suspension> {
        if self.lag > LAG_MAX {
            return Some(Suspension::Lag(self.lag));
        }
        let resumed = self.resumed_at.map(|at| self.now.since(at));
        if resumed.is_some_and(|span| span < RESUME_GRACE) {
            return Some(Suspension::Resumed);
        }
        let parent = self.nodes[id].parent?;
        let now = self.now;
        let culls = &mut self.nodes[parent].sup_mut()?.culls;
        culls.retain(|(at, _)| now.since(*at) <= CULL_WINDOW);
        let killed = culls.len();
        // One child may always be killed: what it alone suffers from is its own, however often.
        if culls.iter().all(|(_, child)| *child == id) {
            return None;
        }
        let children = self.nodes[parent].sup()?.children.iter();
        let watched = children.filter(|child| is_watched(&self.nodes[**child]));
        let watched = watched.count();
        (killed >= (watched * CULL_PERCENT).div_ceil(100))
            .then_some(Suspension::Quorum { killed, watched })
    }

    /// Its kill is put off. Said once, until it is well again.
    fn spare(&mut self, id: NodeId, run: &Run, why: Suspension) {
        if run.vitals.spared {
            return;
        }
        if let Some(state) = self.asked(id) {
            state.vitals.spared = true;
        }
        let run = RunId {
            node: id,
            life: run.life,
        };
        self.record(id, What::LivenessSuspended { run, why });
    }

    /// The step of the ladder for the unhealthy, or SIGKILL after the last one.
    pub(super) fn condemned_step(&mut self, id: NodeId, place: usize) {
        let steps = self.service(id).map(|service| &service.health.kill);
        let step = steps.and_then(|steps| steps.get(place)).copied();
        let Some(StopStep { signal, timeout }) = step else {
            return self.kill(id);
        };
        self.set_rung(id, Rung::Condemned(place));
        self.signal_run(id, signal);
        if signal != Signal::KILL && signal != Signal::CONT {
            self.signal_run(id, Signal::CONT);
        }
        // A checked ladder has no step without an end.
        let grace = timeout.unwrap_or_default();
        self.timers.set(id, Purpose::Stop, self.now + grace);
    }
}

/// Whether a child is to be up and is watched then.
fn is_watched(node: &Node) -> bool {
    let spec::Node::Service(service) = &node.spec else {
        return false;
    };
    let there = match node.rest() {
        None
        | Some(
            Rest::Backoff { .. }
            | Rest::Retrying { .. }
            | Rest::Waiting { .. }
            | Rest::Remediating { .. },
        ) => true,
        Some(
            Rest::Fresh
            | Rest::Stopped
            | Rest::Off
            | Rest::Done
            | Rest::Failed
            | Rest::Aside { .. },
        ) => false,
    };
    service.health.is_watched() && there
}
