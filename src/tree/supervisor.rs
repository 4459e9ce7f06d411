// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a supervisor does about what happens to its children: OTP's `handle_info` and
//! `do_restart`.
//!
//! A child that ended by itself is judged: does its restart type call for a restart? If so it is
//! recorded in the window and compared, and only then is anybody touched. One too many: the
//! supervisor stops its children and ends, and its own supervisor judges it in turn.

use super::Tree;
use super::classify::Classification;
use super::command::Call;
use super::death::calls_for_restart;
use super::effect::Effect;
use super::event::NodeId;
use super::node::{Ended, Ending, LastExit, Node, Reign, Rest};
use super::record::{Budget, Culprit, Decision, Seq, StartWhy, What};
use super::task::{Stage, TaskKind};
use super::timers::Purpose;
use crate::spec::{
    self, AutoShutdown, Class, Policy, Restart, Strategy, Supervisor, SupervisorKind,
};
use std::sync::Arc;

/// What a node tells its supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// Its start is done.
    Started,
    /// Its start has failed; it has no process.
    StartFailed,
    /// A supervisor has tried each of its children once; some are not ready yet.
    Attempted,
    /// It was stopped.
    Stopped,
    /// It ended by itself.
    Ended,
    /// A process that SIGKILL had not ended is gone after all.
    Released,
    /// A breaker holds it: its start was not made.
    Held,
}

/// What waits in a supervisor's inbox (OTP's mailbox).
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Message {
    /// A child has ended; the record of its end tells this one from a later one.
    Exit(NodeId, Seq),
    /// The start of a child failed and is to be tried again.
    Retry(NodeId),
    /// Children that wait are to be started.
    Resume,
    /// A child was put aside: whom the strategy names waits with it.
    Clear(NodeId),
    /// Somebody wants something.
    Call(Call),
}

impl Tree {
    pub(super) fn sup_spec(&self, id: NodeId) -> Option<&Arc<Supervisor>> {
        match &self.nodes.get(id)?.spec {
            spec::Node::Supervisor(spec) => Some(spec),
            spec::Node::Service(_) => None,
        }
    }

    pub(super) fn policy_of(&self, sup: NodeId) -> Policy {
        self.sup_spec(sup).map_or(Policy::Supd, |spec| spec.policy)
    }

    /// The policy of a node's supervisor.
    pub(super) fn policy_above(&self, id: NodeId) -> Policy {
        self.nodes[id]
            .parent
            .map_or(Policy::Supd, |parent| self.policy_of(parent))
    }

    /// Whether it does one thing at a time. Under the default policy `one_for_one` never lets one
    /// child wait for another.
    pub(super) fn is_exclusive(&self, sup: NodeId) -> bool {
        self.sup_spec(sup).is_some_and(|spec| {
            spec.policy == Policy::Otp
                || (spec.strategy != Strategy::OneForOne && spec.kind == SupervisorKind::Tree)
        })
    }

    pub(super) fn wake(&mut self, sup: NodeId) {
        self.runnable.push_back(sup);
    }

    pub(super) fn post(&mut self, sup: NodeId, message: Message) {
        if let Some(state) = self.nodes[sup].sup_mut() {
            state.inbox.push_back(message);
        }
        self.wake(sup);
    }

    /// A child has something to say.
    pub(super) fn on_notice(&mut self, child: NodeId, notice: Notice) {
        let Some(node) = self.nodes.get(child) else {
            return;
        };
        let Some(parent) = node.parent else {
            return self.on_root_notice(notice);
        };
        if self.depart(child) {
            return;
        }
        self.answer_waiters(child, notice);
        if notice == Notice::Released {
            return self.on_released(parent, child);
        }
        if notice == Notice::Held {
            return self.on_held(parent, child);
        }
        let awaited = self.nodes[parent]
            .sup()
            .and_then(|sup| sup.task.as_ref())
            .is_some_and(|task| task.awaits(child));
        if awaited {
            return self.task_heard(parent, child, notice);
        }
        match notice {
            Notice::Started => self.settle_all(parent),
            Notice::Attempted | Notice::Released | Notice::Held => {}
            Notice::Stopped => self.stopped_child(parent, child),
            Notice::StartFailed => self.failed_child(parent, child),
            Notice::Ended => self.ended_child(parent, child),
        }
        self.boot_heard(parent, child);
    }

    /// A start that nobody in particular waited for has failed.
    pub(super) fn failed_child(&mut self, sup: NodeId, child: NodeId) {
        if self.is_going_down(sup) || self.nodes[child].rest().is_none() {
            return;
        }
        if self.nodes[child].spec.restart() == Restart::Temporary {
            // It had its chance.
            self.nodes[child].set_rest(Rest::Done);
            self.forget_if_temporary(sup, child);
            return self.settle_all(sup);
        }
        let cause = self.nodes[child]
            .last_exit
            .as_deref()
            .map(|last| last.seq)
            .or(self.cause);
        if self.is_exclusive(sup) {
            self.nodes[child].set_rest(Rest::Retrying { cause });
            return self.post(sup, Message::Retry(child));
        }
        self.recover(sup, child, StartWhy::Retry);
    }

    /// A child ended by itself: judge it now, or when the supervisor is done with what it does.
    fn ended_child(&mut self, sup: NodeId, child: NodeId) {
        let Some(seq) = self.nodes[child].ended().map(|ended| ended.cause) else {
            return;
        };
        if self.is_going_down(sup) {
            // It is found dead when its turn to be stopped comes.
            return;
        }
        let busy = self.nodes[sup].sup().is_some_and(|s| {
            s.suspended || (self.is_exclusive(sup) && (s.task.is_some() || !s.inbox.is_empty()))
        });
        if busy || self.is_booting(sup) {
            return self.post(sup, Message::Exit(child, seq));
        }
        self.judge(sup, child);
    }

    /// In OTP a supervisor that starts handles nothing else.
    fn is_booting(&self, sup: NodeId) -> bool {
        let starting = matches!(
            self.nodes[sup].sup().map(|s| &s.reign),
            Some(Reign::Starting { .. })
        );
        starting && self.policy_of(sup) == Policy::Otp
    }

    pub(super) fn is_going_down(&self, sup: NodeId) -> bool {
        match self.nodes[sup].sup().map(|s| &s.reign) {
            Some(Reign::Starting { .. } | Reign::Up) | None => false,
            Some(Reign::Stopping(_) | Reign::Rest(_) | Reign::Ended(_)) => true,
        }
    }

    /// A child of a supervisor that is free to go on was stopped.
    fn stopped_child(&mut self, sup: NodeId, child: NodeId) {
        if let Some(why) = self.nodes[child].again.take()
            && !self.is_going_down(sup)
        {
            return self.start(child, why);
        }
        self.forget_if_temporary(sup, child);
        self.settle_all(sup);
    }

    /// One message of the inbox, if the supervisor is free.
    pub(super) fn turn(&mut self, sup: NodeId) {
        let Some(state) = self.nodes.get(sup).and_then(|node| node.sup()) else {
            return;
        };
        let delaying = state.task.as_ref().is_some_and(|task| {
            matches!(task.stage, Stage::Delaying) && matches!(task.kind, TaskKind::Recover { .. })
        });
        let busy = state.suspended || (state.task.is_some() && !delaying) || self.is_booting(sup);
        if busy || self.is_going_down(sup) {
            return;
        }
        let Some(state) = self.nodes[sup].sup_mut() else {
            return;
        };
        if delaying && matches!(state.inbox.front(), Some(Message::Call(_))) {
            return;
        }
        let Some(message) = state.inbox.pop_front() else {
            return;
        };
        if !state.inbox.is_empty() {
            self.wake(sup);
        }
        match message {
            Message::Exit(child, seq) => {
                let current = self
                    .nodes
                    .get(child)
                    .and_then(|n| n.ended())
                    .map(|e| e.cause);
                if current == Some(seq) {
                    self.cause = Some(seq);
                    self.judge(sup, child);
                }
            }
            Message::Retry(child) => self.retry(sup, child),
            Message::Resume => self.resume_group(sup, StartWhy::Released),
            Message::Clear(child) => {
                if self.nodes.get(child).is_some_and(Node::is_aside) {
                    self.clear_group(sup, child);
                }
            }
            Message::Call(call) => self.perform_call(sup, call),
        }
    }

    /// OTP's `try_again_restart`: matched by the child, whatever else happened to it meanwhile.
    fn retry(&mut self, sup: NodeId, child: NodeId) {
        let rest = self.nodes.get(child).and_then(Node::rest);
        let Some(Rest::Retrying { cause }) = rest else {
            if self.policy_of(sup) == Policy::Supd {
                self.resume_group(sup, StartWhy::Boot);
            }
            return;
        };
        self.cause = cause;
        self.recover(sup, child, StartWhy::Retry);
    }

    /// OTP's `do_restart`: what does the end of this child call for?
    pub(super) fn judge(&mut self, sup: NodeId, child: NodeId) {
        let Some(ended) = self.nodes[child].ended().cloned() else {
            return;
        };
        self.cause = Some(ended.cause);
        self.incident = self.nodes[child].incident;
        if self.nodes[child].pinned {
            self.nodes[child].set_rest(Rest::Done);
            return self.decided(child, ended.cause, Decision::LeftAlone, None);
        }
        if calls_for_restart(self.nodes[child].spec.restart(), ended.class.base) {
            return self.recover(sup, child, StartWhy::Restart);
        }
        self.judge_trial(child);
        self.decided(child, ended.cause, Decision::StayDown, None);
        self.nodes[child].set_rest(Rest::Done);
        self.nodes[child].incident = None;
        let ends = self.auto_shutdown(sup, child);
        self.forget_if_temporary(sup, child);
        if ends {
            return self.terminate(sup, Ending::AutoShutdown(ended.culprit));
        }
        self.settle_all(sup);
    }

    /// OTP's `do_auto_shutdown`: whether the end of this child ends its supervisor.
    fn auto_shutdown(&self, sup: NodeId, child: NodeId) -> bool {
        if !self.nodes[child].spec.significant() {
            return false;
        }
        match self
            .sup_spec(sup)
            .map_or(AutoShutdown::Never, |spec| spec.auto_shutdown)
        {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => true,
            AutoShutdown::AllSignificant => {
                let Some(state) = self.nodes[sup].sup() else {
                    return false;
                };
                let mut others = state.children.iter().filter(|id| **id != child);
                !others.any(|id| self.nodes[*id].spec.significant() && self.nodes[*id].is_active())
            }
        }
    }

    /// All children of a supervisor are down: so is it.
    pub(super) fn supervisor_down(&mut self, sup: NodeId, ending: Ending) {
        self.timers.clear(sup, Purpose::Supervisor);
        self.timers.clear(sup, Purpose::Group);
        let since = self.now;
        self.nodes[sup].since = since;
        match ending {
            Ending::Told(why) => {
                let rest = self.rest_after(sup, why);
                self.nodes[sup].set_rest(rest);
                self.record(sup, What::SupervisorStopped { why });
                self.notify(sup, Notice::Stopped);
            }
            Ending::Escalated(culprit) => self.ended_by_itself(sup, Class::Escalated, culprit),
            Ending::AutoShutdown(culprit) => {
                self.ended_by_itself(sup, Class::AutoShutdown, culprit);
            }
            Ending::StartFailed { child, culprit } => {
                let child_name = self.name(child).map_or_else(|| "".into(), Arc::clone);
                let seq = self.record(sup, What::StartFailed { child, child_name });
                // A failed start is abnormal, whatever the child at fault exited with.
                let class = culprit.as_ref().map(|culprit| culprit.class.clone());
                let class = class
                    .filter(|class| !class.base.is_normal())
                    .unwrap_or_else(|| Classification::of_base(Class::ExitCode));
                self.remember_end(sup, class, seq);
                if let Some(state) = self.nodes[sup].sup_mut() {
                    state.culprit = culprit;
                }
                let rest = match self.nodes[sup].parent {
                    Some(_) => Rest::Retrying { cause: Some(seq) },
                    // There is nobody who would try again.
                    None => Rest::Failed,
                };
                self.nodes[sup].set_rest(rest);
                self.notify(sup, Notice::StartFailed);
            }
        }
    }

    fn remember_end(&mut self, sup: NodeId, class: Classification, seq: Seq) {
        let last = LastExit::of_supervisor(self.now, class, seq);
        self.nodes[sup].remember(last);
    }

    fn ended_by_itself(&mut self, sup: NodeId, base: Class, culprit: Option<Culprit>) {
        let class = Classification::of_supervisor(base, culprit.as_ref());
        let seq = self.record(
            sup,
            What::Escalated {
                class: class.clone(),
                culprit: culprit.clone(),
            },
        );
        self.remember_end(sup, class.clone(), seq);
        if let Some(state) = self.nodes[sup].sup_mut() {
            state.culprit.clone_from(&culprit);
            state.reign = Reign::Ended(Ended {
                class,
                culprit,
                cause: seq,
            });
        }
        self.notify(sup, Notice::Ended);
    }

    /// OTP forgets a temporary child that is down. Under the default policy a configured one
    /// stays visible as done.
    pub(super) fn forget_if_temporary(&mut self, sup: NodeId, child: NodeId) {
        let node = &self.nodes[child];
        let forgets = match self.sup_spec(sup) {
            Some(spec) if spec.kind == SupervisorKind::Pool => {
                // An instance has no specification of its own that could be kept.
                self.policy_of(sup) == Policy::Otp
            }
            Some(_) | None => {
                node.spec.restart() == Restart::Temporary
                    && (self.policy_of(sup) == Policy::Otp
                        || node.origin == super::node::Origin::Dynamic)
            }
        };
        if forgets && node.rest().is_some() {
            return self.uproot(child);
        }
        if node.spec.restart() == Restart::Temporary
            && node.stopped_by.is_none()
            && node.again.is_none()
            && matches!(node.rest(), Some(Rest::Waiting { .. }))
        {
            self.nodes[child].set_rest(Rest::Done);
        }
    }

    /// Writes what is decided about an end: into its record if that has not left yet, else into
    /// one of its own.
    pub(super) fn decided(
        &mut self,
        id: NodeId,
        of: Seq,
        decision: Decision,
        budget: Option<Budget>,
    ) {
        for effect in self.effects.iter_mut().rev() {
            if let Effect::Record(record) = effect
                && record.seq == of
                && let What::Exited(exit) = &mut record.what
            {
                exit.decision = decision;
                exit.budget = budget;
                return;
            }
        }
        let class = self.last_end(id).0;
        self.record(
            id,
            What::Decided {
                of,
                class,
                decision,
                budget,
            },
        );
    }
}
