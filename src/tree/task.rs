// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a supervisor is in the middle of: stop these from the last to the first, wait, start those
//! from the first to the last. Each is gone before the next is asked, and ready before the next
//! is started, unless the supervisor is parallel.
//!
//! Every change that concerns more than one child is such a task: the first start, a restart by a
//! strategy, a command that concerns a group, and the supervisor's own end. A failed start ends
//! the task; what follows depends on its kind.

use super::Tree;
use super::death::calls_for_restart;
use super::event::{CommandId, NodeId, Outcome, Time};
use super::node::{Ending, Reign, Rest};
use super::record::{StartWhy, StopWhy, What};
use super::supervisor::{Message, Notice};
use super::timers::Purpose;
use crate::spec::{Class, StartMode, SupervisorKind};
use std::collections::BTreeSet;

/// How far a task has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Children are stopped.
    Stopping,
    /// The group waits until `until`.
    Delaying,
    /// Children are started.
    Starting,
}

/// What a task is for, and so what a failed start means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TaskKind {
    /// The first start of all children.
    Boot,
    /// The restart of a child and of whom the strategy names with it.
    Recover { child: NodeId },
    /// The same by order. All children of the root: `child` is the root itself.
    Restart { child: NodeId, id: CommandId },
    /// A child is started by order.
    Start { child: NodeId, id: CommandId },
    /// A child is stopped by order.
    Stop { child: NodeId, id: CommandId },
    /// A child was added and is started; it is forgotten if that fails.
    Add { child: NodeId, id: CommandId },
    /// The configuration has changed.
    Apply,
    /// A child is put aside, and with it whom the strategy names.
    Aside,
    /// All children are stopped, then the supervisor is down.
    Terminate,
}

/// What a supervisor is in the middle of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Task {
    pub(super) kind: TaskKind,
    pub(super) stage: Stage,
    /// Still to be stopped, in start order.
    pub(super) stop: Vec<NodeId>,
    /// To be started, or what is left of them, in reverse start order.
    pub(super) start: Vec<NodeId>,
    /// Asked, and not heard of yet.
    pub(super) waiting: BTreeSet<NodeId>,
    /// The start waits until then.
    pub(super) until: Option<Time>,
    /// Starts that failed while others were under way.
    pub(super) failed: Vec<NodeId>,
    pub(super) why_stop: StopWhy,
    pub(super) why_start: StartWhy,
}

impl Task {
    pub(super) fn new(kind: TaskKind, why_stop: StopWhy, why_start: StartWhy) -> Self {
        Self {
            kind,
            stage: Stage::Stopping,
            stop: Vec::new(),
            start: Vec::new(),
            waiting: BTreeSet::new(),
            until: None,
            failed: Vec::new(),
            why_stop,
            why_start,
        }
    }

    pub(super) fn awaits(&self, child: NodeId) -> bool {
        self.waiting.contains(&child)
    }

    pub(super) fn heard(&mut self, child: NodeId) {
        self.waiting.remove(&child);
    }

    /// A child that is gone from the tree is nobody's business any more.
    pub(super) fn forget(&mut self, child: NodeId) {
        self.heard(child);
        for list in [&mut self.stop, &mut self.start, &mut self.failed] {
            list.retain(|id| *id != child);
        }
    }
}

impl Tree {
    pub(super) fn task(&self, sup: NodeId) -> Option<&Task> {
        self.nodes.get(sup)?.sup()?.task.as_deref()
    }

    pub(super) fn task_mut(&mut self, sup: NodeId) -> Option<&mut Task> {
        self.nodes.get_mut(sup)?.sup_mut()?.task.as_deref_mut()
    }

    /// Begins a task; the one before it, if any, is over.
    pub(super) fn begin(&mut self, sup: NodeId, task: Task) {
        self.timers.clear(sup, Purpose::Group);
        let Some(state) = self.nodes[sup].sup_mut() else {
            return;
        };
        if let Some(old) = state.task.replace(Box::new(task)) {
            self.task_dropped(&old, Outcome::Superseded);
        }
        self.task_step(sup);
    }

    /// A supervisor stops its children and ends. Nothing it was in the middle of goes on.
    pub(super) fn terminate(&mut self, sup: NodeId, ending: Ending) {
        let why = match &ending {
            Ending::Told(StopWhy::Shutdown) => StopWhy::Shutdown,
            Ending::Told(StopWhy::Apply) => StopWhy::Apply,
            Ending::Told(_)
            | Ending::Escalated(_)
            | Ending::AutoShutdown(_)
            | Ending::StartFailed { .. } => StopWhy::Supervisor,
        };
        let told = match &ending {
            Ending::Told(why) => *why,
            Ending::Escalated(_) | Ending::AutoShutdown(_) | Ending::StartFailed { .. } => {
                StopWhy::Supervisor
            }
        };
        self.record(
            sup,
            What::Stopping {
                run: None,
                why: told,
            },
        );
        let Some(state) = self.nodes[sup].sup_mut() else {
            return;
        };
        state.reign = Reign::Stopping(ending);
        state.boot = None;
        let calls = std::mem::take(&mut state.inbox);
        let old = state.task.take();
        let children = state.children.clone();
        for child in &children {
            self.call_off_course(*child);
        }
        for message in calls {
            if let Message::Call(call) = message {
                self.reply(call.id, Outcome::SupervisorDown);
            }
        }
        if let Some(old) = old {
            self.task_dropped(&old, Outcome::SupervisorDown);
        }
        let mut task = Task::new(TaskKind::Terminate, why, StartWhy::Boot);
        task.stop = children;
        self.begin(sup, task);
    }

    /// A task that will not be finished: whoever ordered it hears of that.
    fn task_dropped(&mut self, task: &Task, outcome: Outcome) {
        match task.kind {
            TaskKind::Restart { id, .. }
            | TaskKind::Start { id, .. }
            | TaskKind::Stop { id, .. }
            | TaskKind::Add { id, .. } => self.reply(id, outcome),
            TaskKind::Boot
            | TaskKind::Recover { .. }
            | TaskKind::Apply
            | TaskKind::Aside
            | TaskKind::Terminate => {}
        }
    }

    /// Whether a supervisor stops, or starts, its children all at once.
    fn at_once(&self, sup: NodeId) -> bool {
        self.sup_spec(sup).is_some_and(|spec| {
            spec.start == StartMode::Parallel || spec.kind == SupervisorKind::Pool
        })
    }

    /// Goes on as far as possible.
    pub(super) fn task_step(&mut self, sup: NodeId) {
        let at_once = self.at_once(sup);
        loop {
            let Some(task) = self.task_mut(sup) else {
                return;
            };
            if !task.waiting.is_empty() {
                return;
            }
            match task.stage {
                Stage::Stopping => {
                    let count = if at_once { task.stop.len() } else { 1 };
                    let from = task.stop.len().saturating_sub(count);
                    let mut batch = task.stop.split_off(from);
                    if batch.is_empty() {
                        if self.stopped_all(sup) {
                            continue;
                        }
                        return;
                    }
                    task.waiting = batch.iter().copied().collect();
                    let why = task.why_stop;
                    batch.reverse();
                    for child in batch {
                        self.stop(child, why);
                    }
                }
                Stage::Delaying => return,
                Stage::Starting => {
                    if !self.start_next(sup, at_once) {
                        return;
                    }
                }
            }
        }
    }

    /// Everything that was to be stopped is down. True: go on.
    fn stopped_all(&mut self, sup: NodeId) -> bool {
        let now = self.now;
        let treated = self.treats_group(sup);
        let Some(task) = self.task_mut(sup) else {
            return false;
        };
        if !task.waiting.is_empty() || !task.stop.is_empty() {
            // What a remedy said at once has begun something else.
            return false;
        }
        if treated {
            task.stage = Stage::Delaying;
            // Somebody else may have failed while these were stopped: it joins.
            self.wake(sup);
            return false;
        }
        if task.kind == TaskKind::Terminate {
            let Some(state) = self.nodes[sup].sup_mut() else {
                return false;
            };
            state.task = None;
            if let Reign::Stopping(ending) = state.reign.clone() {
                self.supervisor_down(sup, ending);
            }
            return false;
        }
        if let Some(until) = task.until.filter(|until| *until > now) {
            task.stage = Stage::Delaying;
            self.group_waits(sup, until);
            // Somebody else may have failed while these were stopped: it joins.
            self.wake(sup);
            false
        } else {
            self.begin_starts(sup);
            true
        }
    }

    /// Who is started is settled only now: temporary children of the group are gone, the operator
    /// may have stopped others.
    pub(super) fn begin_starts(&mut self, sup: NodeId) {
        let Some(mut start) = self.task(sup).map(|task| task.start.clone()) else {
            return;
        };
        start.retain(|id| {
            self.nodes
                .get(*id)
                .is_some_and(|node| node.parent == Some(sup) && !node.leaving)
        });
        for id in &start {
            // Whoever the group waited for waits for nothing any more.
            if let Some(Rest::Backoff { cause, .. }) = self.nodes[*id].rest() {
                let rest = if self.group_starts(*id) {
                    Rest::Retrying { cause }
                } else {
                    Rest::Off
                };
                self.nodes[*id].set_rest(rest);
            }
        }
        start.retain(|id| self.group_starts(*id));
        let named = matches!(
            self.task(sup).map(|task| &task.kind),
            Some(TaskKind::Start { .. } | TaskKind::Add { .. })
        );
        if !named {
            self.hold_gated(sup, &start);
            self.without_blocked(sup, &mut start);
        }
        start.sort_by_key(|id| std::cmp::Reverse(self.nodes[*id].place));
        if let Some(task) = self.task_mut(sup) {
            task.stage = Stage::Starting;
            task.start = start;
        }
    }

    /// Whether somebody who is to be started still has a process that SIGKILL did not end: the
    /// whole group waits for that.
    fn is_blocked(&self, sup: NodeId) -> bool {
        let haunted = |id: &NodeId| self.nodes[*id].is_unkillable();
        self.unkillable > 0
            && self
                .task(sup)
                .is_some_and(|task| task.start.iter().any(haunted))
    }

    /// Starts the next child, or all of them. False: nothing to do but wait.
    fn start_next(&mut self, sup: NodeId, at_once: bool) -> bool {
        if self.is_blocked(sup) {
            return false;
        }
        let Some(task) = self.task_mut(sup) else {
            return false;
        };
        if task.start.is_empty() {
            self.task_done(sup);
            return false;
        }
        let count = if at_once { task.start.len() } else { 1 };
        let from = task.start.len() - count;
        let batch: Vec<_> = task.start.split_off(from).into_iter().rev().collect();
        task.waiting = batch.iter().copied().collect();
        let (why, kind) = (task.why_start, task.kind.clone());
        for child in batch {
            let why = match kind {
                TaskKind::Recover { child: failed } if failed != child => StartWhy::Group(failed),
                TaskKind::Recover { .. }
                | TaskKind::Boot
                | TaskKind::Restart { .. }
                | TaskKind::Start { .. }
                | TaskKind::Stop { .. }
                | TaskKind::Add { .. }
                | TaskKind::Apply
                | TaskKind::Aside
                | TaskKind::Terminate => why,
            };
            self.start(child, why);
        }
        self.unkillable > 0
    }

    /// A child the task was waiting for has answered.
    pub(super) fn task_heard(&mut self, sup: NodeId, child: NodeId, notice: Notice) {
        let Some(stage) = self.task(sup).map(|task| task.stage) else {
            return;
        };
        match (stage, notice) {
            // A supervisor below is still at it: the group waits (SEMANTICS §1).
            (Stage::Starting, Notice::Attempted) | (_, Notice::Released | Notice::Held) => return,
            (Stage::Starting, Notice::StartFailed) => return self.task_failed(sup, child),
            (Stage::Starting, Notice::Ended) => {
                if !self.ended_instead_of_starting(sup, child) {
                    return;
                }
            }
            // What it had said before it was asked to stop.
            (Stage::Stopping | Stage::Delaying, _) if !self.is_down(child) => return,
            (Stage::Starting, Notice::Started) if !self.has_got_somewhere(child) => return,
            (Stage::Stopping | Stage::Delaying, _) => {
                if self.nodes[child].again.is_some() {
                    // Somebody wants it started anew: it is, with those of this task.
                    self.join_starts(sup, child);
                }
                self.forget_if_temporary(sup, child);
            }
            (Stage::Starting, Notice::Stopped) => {
                // It was stopped only to be started anew: that is still awaited.
                if let Some(why) = self.nodes[child].again.take() {
                    return self.start(child, why);
                }
                self.forget_if_temporary(sup, child);
            }
            (Stage::Starting, Notice::Started) => {}
        }
        if let Some(task) = self.task_mut(sup) {
            task.heard(child);
        }
        self.task_go_on(sup);
    }

    /// Whether nothing of it can be waited for.
    fn is_down(&self, child: NodeId) -> bool {
        let node = &self.nodes[child];
        node.rest().is_some() || node.is_unkillable()
    }

    /// Whether its start has come to an end.
    fn has_got_somewhere(&self, child: NodeId) -> bool {
        let node = &self.nodes[child];
        node.is_up() || node.rest().is_some() || node.ended().is_some()
    }

    pub(super) fn join_starts(&mut self, sup: NodeId, child: NodeId) {
        if let Some(task) = self.task_mut(sup)
            && !task.start.contains(&child)
        {
            task.start.push(child);
        }
    }

    pub(super) fn task_go_on(&mut self, sup: NodeId) {
        let exclusive = self.is_exclusive(sup);
        let Some(task) = self.task_mut(sup) else {
            return;
        };
        if exclusive && task.waiting.is_empty() && !task.failed.is_empty() {
            return self.task_gives_way(sup);
        }
        self.task_step(sup);
    }

    /// A child ended before its start was done. True: it stays down and the start goes on.
    fn ended_instead_of_starting(&mut self, sup: NodeId, child: NodeId) -> bool {
        let class = self.nodes[child]
            .ended()
            .map_or(Class::Escalated, |ended| ended.class.base);
        if calls_for_restart(self.nodes[child].spec.restart(), class) {
            let cause = self.nodes[child].ended().map(|ended| ended.cause);
            self.nodes[child].set_rest(Rest::Retrying { cause });
            self.task_failed(sup, child);
            return false;
        }
        self.judge(sup, child);
        // The judgement may have ended the supervisor itself.
        self.task(sup)
            .is_some_and(|task| task.stage == Stage::Starting)
    }
}
