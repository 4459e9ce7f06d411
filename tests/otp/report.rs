// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the engine's records to what OTP's supervisor would have logged and to the begin and end
//! of supervisors. It reads records only; a process's end is seen by the kernel.

use super::case::{Happened, Reason, Report, ReportKind, Seen};
use std::collections::{BTreeMap, BTreeSet};
use supd::spec::{Node, Restart, SupervisorKind};
use supd::tree::{Decision, Exit, NodeId, Phase, Record, RunId, Seq, Snapshot, StartWhy, What};

/// What a record needs to be told about its node; it outlives the node.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) path: String,
    parent: Option<NodeId>,
    spec: Node,
}

/// The end of a process, or of a supervisor by itself (then without a run).
#[derive(Debug, Clone, Copy)]
struct End {
    run: Option<RunId>,
    phase: Phase,
    normal: bool,
}

/// Reads records and writes reports.
#[derive(Debug, Default)]
pub(crate) struct Reporter {
    pub(crate) reports: Vec<Report>,
    known: BTreeMap<NodeId, Known>,
    /// The id of a pool's template, by the pool's path.
    pub(crate) templates: BTreeMap<String, String>,
    reasons: BTreeMap<RunId, Reason>,
    /// Why the latest run or incarnation of a node was started.
    why: BTreeMap<NodeId, StartWhy>,
    starting: BTreeSet<NodeId>,
    up: BTreeSet<NodeId>,
    /// Ends that a supervisor has not looked at yet, by their records.
    ends: BTreeMap<Seq, End>,
    /// Stop errors of a pool that is going down: OTP reports each reason once.
    pool_errors: BTreeSet<(NodeId, Reason)>,
}

impl Reporter {
    /// Remembers every node there is.
    pub(crate) fn learn(&mut self, snapshot: &Snapshot) {
        for view in &snapshot.nodes {
            let path = match view.parent.and_then(|parent| self.known.get(&parent)) {
                Some(parent) => format!("{}.{}", parent.path, view.spec.name()),
                None => view.spec.name().to_string(),
            };
            let known = Known {
                path,
                parent: view.parent,
                spec: view.spec.clone(),
            };
            self.known.insert(view.id, known);
        }
    }

    pub(crate) fn known(&self, node: NodeId) -> Option<&Known> {
        self.known.get(&node)
    }

    /// Remembers why a process died.
    pub(crate) fn died(&mut self, run: RunId, reason: Reason) {
        self.reasons.insert(run, reason);
    }

    /// Takes one record; a supervisor's begin or end is returned.
    pub(crate) fn note(&mut self, record: &Record) -> Option<Seen> {
        let node = record.node?;
        match &record.what {
            What::Starting { why, .. } => {
                self.why.insert(node, *why);
                None
            }
            What::SupervisorStarting { why, .. } => {
                self.why.insert(node, *why);
                self.starting.insert(node);
                self.up.insert(node);
                self.seen(Happened::SupStart, node, None)
            }
            What::Ready { run: None, .. } => {
                self.starting.remove(&node);
                None
            }
            What::Exited(exit) => {
                self.exited(node, record.seq, exit);
                None
            }
            What::Decided { of, decision, .. } => {
                self.decided(node, *of, *decision);
                None
            }
            What::Exhausted { child, .. } => {
                self.report(ReportKind::MaxIntensity, *child, None);
                None
            }
            What::Stopped { .. } | What::SupervisorStopped { .. } => {
                self.down(node, Reason::Shutdown)
            }
            What::Escalated { .. } => {
                let end = End {
                    run: None,
                    phase: Phase::Ready,
                    normal: true,
                };
                self.ends.insert(record.seq, end);
                self.down(node, Reason::Shutdown)
            }
            What::StartFailed { .. } => self.start_failed(node),
            What::Ready { run: Some(_), .. }
            | What::Unready { .. }
            | What::Strategy { .. }
            | What::Stopping { .. }
            | What::Signalled { .. }
            | What::ProbeChanged { .. }
            | What::LivenessSuspended { .. }
            | What::Backoff { .. }
            | What::Parked { .. }
            | What::Held { .. }
            | What::Released
            | What::Breaker(_)
            | What::BreakerAlarm { .. }
            | What::RemedyStarted { .. }
            | What::RemedyStep { .. }
            | What::RemedyFinished { .. }
            | What::RemedySkipped { .. }
            | What::Unkillable { .. }
            | What::Added
            | What::Removed
            | What::Changed
            | What::Command { .. }
            | What::ShuttingDown { .. }
            | What::Health { .. }
            | What::Daemon { .. } => None,
        }
    }

    fn start_failed(&mut self, node: NodeId) -> Option<Seen> {
        let seen = self.down(node, Reason::StartFailed);
        self.start_error(node);
        seen
    }

    fn exited(&mut self, node: NodeId, seq: Seq, exit: &Exit) {
        let end = End {
            run: Some(exit.run),
            phase: exit.phase,
            normal: exit.class.base.is_normal(),
        };
        if exit.phase == Phase::Starting {
            self.start_error(node);
        }
        self.ends.insert(seq, end);
        self.decided(node, seq, exit.decision);
    }

    /// The supervisor has looked at an end: at once, or when it came to it in its queue.
    fn decided(&mut self, node: NodeId, of: Seq, decision: Decision) {
        let Some(end) = self.ends.get(&of).copied() else {
            return;
        };
        match (decision, end.phase) {
            (Decision::Queued, _) => return,
            (_, Phase::Starting) => {}
            (Decision::Expected | Decision::Absorbed, _) => self.stop_error(node, end),
            (
                Decision::Restart { .. }
                | Decision::Remediate
                | Decision::StayDown
                | Decision::Escalate
                | Decision::Park
                | Decision::Hold { .. }
                | Decision::LeftAlone
                | Decision::Confirm
                | Decision::Done,
                Phase::Ready | Phase::Stopping | Phase::Trial,
            ) => self.terminated(node, end),
        }
        self.ends.remove(&of);
    }

    fn terminated(&mut self, node: NodeId, end: End) {
        if self.restart_of(node) == Some(Restart::Permanent) || !end.normal {
            let reason = end.run.map_or(Some(Reason::Shutdown), |run| {
                self.reasons.get(&run).copied()
            });
            self.report(ReportKind::ChildTerminated, node, reason);
        }
    }

    /// Reported when nobody is there to be told: at boot and in automatic restarts.
    fn start_error(&mut self, node: NodeId) {
        let Some(parent) = self.known.get(&node).and_then(|known| known.parent) else {
            return;
        };
        let by_command = self.why.get(&node) == Some(&StartWhy::Command);
        if self.starting.contains(&parent) || !by_command {
            self.report(ReportKind::StartError, node, None);
        }
    }

    fn stop_error(&mut self, node: NodeId, end: End) {
        let reason = end.run.and_then(|run| self.reasons.get(&run).copied());
        let (Some(known), Some(reason)) = (self.known.get(&node), reason) else {
            return;
        };
        let Node::Service(service) = &known.spec else {
            return;
        };
        let asked = if service.stop.steps.is_empty() {
            Reason::Killed
        } else {
            Reason::Shutdown
        };
        let lenient = service.restart != Restart::Permanent
            && matches!(reason, Reason::Normal | Reason::Shutdown);
        if reason == asked || lenient {
            return;
        }
        let pool = known.parent.filter(|parent| self.is_pool(*parent));
        if pool.is_none_or(|pool| self.pool_errors.insert((pool, reason))) {
            self.report(ReportKind::ShutdownError, node, Some(reason));
        }
    }

    fn down(&mut self, node: NodeId, reason: Reason) -> Option<Seen> {
        self.starting.remove(&node);
        self.pool_errors.retain(|(pool, _)| *pool != node);
        if !self.up.remove(&node) {
            return None;
        }
        self.seen(Happened::SupStop, node, Some(reason))
    }

    fn report(&mut self, kind: ReportKind, node: NodeId, reason: Option<Reason>) {
        let Some(known) = self.known.get(&node) else {
            return;
        };
        let Some(sup) = known.parent.and_then(|parent| self.known.get(&parent)) else {
            return;
        };
        let template = self.templates.get(&sup.path).cloned();
        self.reports.push(Report {
            kind,
            sup: sup.path.clone(),
            child: template.unwrap_or_else(|| known.spec.name().to_string()),
            reason,
        });
    }

    fn seen(&self, ev: Happened, node: NodeId, reason: Option<Reason>) -> Option<Seen> {
        let id = self.known.get(&node)?.path.clone();
        Some(Seen { ev, id, reason })
    }

    fn restart_of(&self, node: NodeId) -> Option<Restart> {
        self.known.get(&node).map(|known| known.spec.restart())
    }

    fn is_pool(&self, node: NodeId) -> bool {
        let spec = self.known.get(&node).map(|known| &known.spec);
        matches!(spec, Some(Node::Supervisor(sup)) if sup.kind == SupervisorKind::Pool)
    }
}
