// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must hold after every event (QUALITY §3), as far as the engine's own state can tell.
//!
//! Runs in tests and in the simulator after every event; it looks at everything, so it is not for
//! the daemon's loop.

use super::Tree;
use super::aside::By;
use super::event::NodeId;
use super::node::{Body, Life, Node, Reign, Rest, Run, Spawned};
use super::timers::Purpose;
use crate::spec::limits::WINDOW_MAX;
use crate::spec::{Policy, Ready};

/// A sentence about what does not hold.
type Complaint = String;

impl Tree {
    /// Checks the invariants of the engine's own state.
    ///
    /// # Errors
    /// The first one that does not hold, as a sentence.
    pub fn audit(&self) -> Result<(), Complaint> {
        if !self.notices.is_empty() || !self.runnable.is_empty() {
            return Err("a consequence was left unhandled".into());
        }
        for node in self.nodes.iter() {
            self.audit_place(node)?;
            match &node.body {
                Body::Service(life) => self.audit_service(node, life)?,
                Body::Supervisor(_) => self.audit_supervisor(node.id)?,
            }
        }
        self.audit_courses()?;
        self.audit_breakers()?;
        self.audit_starts()
    }

    fn audit_place(&self, node: &Node) -> Result<(), Complaint> {
        let Some(parent) = node.parent else {
            return Ok(());
        };
        let siblings = self.children(parent);
        if siblings.get(node.place) != Some(&node.id) {
            return Err(format!("{} is not where its place says", node.name()));
        }
        // Invariant 7: a supervisor is down only when all below it are.
        let down = self.nodes[parent].rest().is_some() || self.nodes[parent].ended().is_some();
        let alive = node.rest().is_none() && node.ended().is_none() && !node.is_unkillable();
        if down && alive {
            return Err(format!(
                "{} is alive under a supervisor that is down",
                node.name()
            ));
        }
        Ok(())
    }

    /// Invariant 9: what waits for time has a timer, what waits for its supervisor is known there.
    fn audit_service(&self, node: &Node, life: &Life) -> Result<(), Complaint> {
        let name = node.name();
        match life {
            Life::Rest(Rest::Backoff { until, .. }) => self.audit_backoff(node, *until)?,
            Life::Stopping(run, stopping) => {
                let timed = self.timers.get(node.id, Purpose::Stop).is_some();
                let endless = self.service(node.id).is_some_and(|service| {
                    service.stop.steps.iter().any(|step| step.timeout.is_none())
                });
                if run.spawned.has_process() && !timed && !endless {
                    return Err(format!(
                        "{name} is stopping ({stopping:?}) without a deadline"
                    ));
                }
            }
            Life::Starting(run) => self.audit_probes(node, run)?,
            Life::Up(run) => {
                self.audit_probes(node, run)?;
                self.audit_checks(node, run)?;
            }
            Life::Unkillable(..) | Life::Rest(_) => {}
            Life::Ended(_) => {
                let sup = node.parent.and_then(|id| self.nodes[id].sup());
                let known = sup.is_some_and(|sup| !sup.inbox.is_empty() || sup.task.is_some());
                if !known {
                    return Err(format!("{name} has ended and nobody will look"));
                }
            }
        }
        Ok(())
    }

    /// Invariant 9 for probes: one that has to come is under way, in the queue or has a time.
    fn audit_probes(&self, node: &Node, run: &Run) -> Result<(), Complaint> {
        let Some(Ready::Probe(probe)) = self.service(node.id).map(|service| &service.ready) else {
            return Ok(());
        };
        let up = run.ready_at.is_some();
        let wanted = run.spawned == Spawned::Yes && (!up || probe.recheck.is_some());
        let queued = || self.probing.iter().any(|waiting| waiting.life == run.life);
        let timed = self.timers.get(node.id, Purpose::Probe).is_some();
        if wanted && run.probe.is_none() && !timed && !queued() {
            return Err(format!("{} is to be asked and nobody does it", node.name()));
        }
        Ok(())
    }

    /// The same for whoever is watched.
    fn audit_checks(&self, node: &Node, run: &Run) -> Result<(), Complaint> {
        let Some(service) = self.service(node.id) else {
            return Ok(());
        };
        let set = |purpose| self.timers.get(node.id, purpose).is_some();
        let queued = || self.checking.iter().any(|waiting| waiting.life == run.life);
        let asked = run.vitals.probe.is_some() && set(Purpose::HealthLimit);
        if service.health.liveness.is_some() && !asked && !set(Purpose::Health) && !queued() {
            return Err(format!("nobody asks whether {} works", node.name()));
        }
        if service.health.watchdog.is_some() && !set(Purpose::Watchdog) {
            return Err(format!("nobody waits for signs of {}", node.name()));
        }
        Ok(())
    }

    fn audit_backoff(&self, node: &Node, until: super::event::Time) -> Result<(), Complaint> {
        let own = self.timers.get(node.id, Purpose::Backoff) == Some(until);
        let group = node
            .parent
            .and_then(|sup| self.timers.get(sup, Purpose::Group))
            .is_some();
        let in_task = node
            .parent
            .and_then(|sup| self.task(sup))
            .is_some_and(|task| task.until.is_some() && task.start.contains(&node.id));
        // One whose supervisor goes down is stopped in its turn.
        let ending = node.parent.is_some_and(|sup| self.is_going_down(sup));
        if own || group || in_task || ending {
            return Ok(());
        }
        Err(format!(
            "{} waits for a time that nobody watches",
            node.name()
        ))
    }

    fn audit_supervisor(&self, id: NodeId) -> Result<(), Complaint> {
        let node = &self.nodes[id];
        let name = node.name();
        let Some(sup) = node.sup() else {
            return Ok(());
        };
        if let Some(Rest::Backoff { until, .. }) = node.rest() {
            self.audit_backoff(node, until)?;
        }
        // Invariant 22: a limit may have been made lower since, but none is higher than this.
        if sup.window.len() > WINDOW_MAX + 1 {
            let len = sup.window.len();
            return Err(format!("{name} remembers {len} restarts"));
        }
        let active = matches!(sup.reign, Reign::Starting { .. } | Reign::Up);
        let idle = sup.task.is_none() && sup.inbox.is_empty() && sup.boot.is_none();
        if active && idle && !sup.suspended {
            self.audit_idle(id)?;
        }
        if let Some(task) = &sup.task
            && task.waiting.is_empty()
            && self.timers.get(id, Purpose::Group).is_none()
            && !self.waits_for_courses(id)
            && !sup
                .children
                .iter()
                .any(|child| self.nodes[*child].is_unkillable())
        {
            return Err(format!(
                "{name} is in the middle of {:?} and waits for nobody",
                task.kind
            ));
        }
        if !active && sup.task.is_some() && !matches!(sup.reign, Reign::Stopping(_)) {
            return Err(format!("{name} is down and in the middle of something"));
        }
        Ok(())
    }

    /// Invariant 9, for a supervisor with nothing to do: every child that should be up is up or
    /// on its way, and no child waits for it.
    fn audit_idle(&self, id: NodeId) -> Result<(), Complaint> {
        // What stands below a supervisor that goes down may have been killed before its turn.
        let above = std::iter::successors(Some(id), |id| self.nodes[*id].parent);
        if above.into_iter().any(|sup| self.is_going_down(sup)) {
            return Ok(());
        }
        // Under `otp` the rest of a group stays down when a retry is called off.
        let strict = self.policy_of(id) == Policy::Otp;
        let blocked = self.blocked_from(id).is_some();
        for child in self.children(id) {
            let node = &self.nodes[child];
            let name = node.name();
            if node.leaving {
                // It is here for a process below it that does not end.
                continue;
            }
            match node.rest() {
                Some(Rest::Waiting { .. }) if strict || blocked || node.again.is_some() => {}
                Some(Rest::Aside(By::Own)) => self.audit_hold(child)?,
                Some(Rest::Aside(By::Breakers | By::Doubt)) => self.audit_shared(child)?,
                Some(Rest::Aside(By::Budget { until, .. })) => {
                    if until != self.timers.get(child, Purpose::Hold) {
                        return Err(format!("{name} is held and nobody watches the time"));
                    }
                }
                Some(Rest::Waiting { .. }) => {
                    return Err(format!(
                        "{name} waits for a sibling and nothing is under way"
                    ));
                }
                Some(Rest::Retrying { .. }) => {
                    return Err(format!("{name} is to be started again and nobody does it"));
                }
                Some(Rest::Off) if !node.disabled && node.stopped_by.is_none() && !node.pinned => {
                    return Err(format!("{name} is off although its supervisor runs"));
                }
                Some(
                    Rest::Off
                    | Rest::Fresh
                    | Rest::Stopped
                    | Rest::Done
                    | Rest::Failed
                    | Rest::Remediating { .. }
                    | Rest::Backoff { .. },
                )
                | None => {}
            }
        }
        Ok(())
    }

    /// Invariant 9 for what a breaker holds: it has a time, or its trial waits for its turn.
    fn audit_hold(&self, child: NodeId) -> Result<(), Complaint> {
        let timed = self.timers.get(child, Purpose::Hold).is_some();
        if timed || self.trials.contains(&child) {
            return Ok(());
        }
        let name = self.nodes[child].name();
        Err(format!("{name} is held and nobody will try it"))
    }

    /// The same for what shared breakers hold: one of them is open, or lets it go in its turn.
    fn audit_shared(&self, child: NodeId) -> Result<(), Complaint> {
        let name = self.nodes[child].name();
        if self.nodes[child].rest() == Some(Rest::Aside(By::Doubt)) {
            if self.is_doubted(child) {
                return Ok(());
            }
            return Err(format!("{name} waits for a probe that nobody makes"));
        }
        let blocked = self.gate(child) == Some(By::Breakers);
        if blocked || self.is_queued(child) {
            return Ok(());
        }
        Err(format!("{name} is held and no breaker is open"))
    }

    /// Invariant 22: starts in flight are those that are, and deadlines are bounded.
    fn audit_starts(&self) -> Result<(), Complaint> {
        let asked = self.nodes.iter().filter(|node| match &node.body {
            Body::Service(Life::Starting(run)) => run.spawned != Spawned::Queued,
            Body::Service(_) | Body::Supervisor(_) => false,
        });
        let asked = u32::try_from(asked.count()).unwrap_or(u32::MAX);
        if asked != self.starts.in_flight {
            let counted = self.starts.in_flight;
            return Err(format!(
                "{counted} starts are counted and {asked} are in flight"
            ));
        }
        let unkillable = self.nodes.iter().filter(|node| node.is_unkillable());
        if unkillable.count() != self.unkillable {
            return Err(format!("{} unkillables are counted", self.unkillable));
        }
        let most = (self.nodes.iter().count() + self.breakers.len()) * 5;
        if self.timers.len() > most {
            return Err(format!("{} deadlines for {most}", self.timers.len()));
        }
        Ok(())
    }
}
