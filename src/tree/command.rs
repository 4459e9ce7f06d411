// SPDX-License-Identifier: MIT OR Apache-2.0
//! What operators and programs ask for, and when they are answered (SEMANTICS §4).
//!
//! A command is answered once, when the thing has really happened. Under `otp`, commands on
//! children wait in their supervisor's inbox like everything else. Under the default policy a stop
//! interrupts whatever the supervisor is in the middle of; other commands wait for a group to come
//! to rest, and concern one child only where children do not wait for each other.

use super::Tree;
use super::answer::Wants;
use super::effect::Effect;
use super::event::{Actor, ChildStatus, Command, CommandId, NodeId, Outcome, RunId};
use super::node::{Life, Reign, Rest};
use super::record::{StartWhy, StopWhy, What};
use super::supervisor::Message;
use super::task::{Task, TaskKind};
use super::timers::Purpose;
use crate::spec::limits::COMMANDS_QUEUED_MAX;
use crate::spec::{Policy, Scope};
use std::collections::VecDeque;

/// A command that waits in an inbox.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) id: CommandId,
    pub(super) by: Actor,
    pub(super) command: Command,
}

impl Tree {
    pub(super) fn on_command(&mut self, id: CommandId, by: Actor, command: Command) {
        let node = command.node().unwrap_or(self.root);
        if self.nodes.get(node).is_none() {
            return self.reply(id, Outcome::NotFound);
        }
        if let Some(verb) = command.verb() {
            let with = command.argument();
            self.cause = Some(self.record(node, What::Command { by, verb, with }));
        }
        let starts = matches!(
            command,
            Command::Start(_) | Command::Restart(_) | Command::RestartOnly(_)
        );
        if self.nodes[node].leaving {
            return self.reply(id, Outcome::NotFound);
        }
        if starts && self.nodes[node].pinned {
            return self.reply(id, Outcome::Pinned);
        }
        if self.comes_too_late(&command, node) {
            return self.reply(id, Outcome::SupervisorDown);
        }
        let Some(sup) = self.mailbox_of(&command, node) else {
            return self.perform(Call { id, by, command });
        };
        if self.is_going_down(sup) {
            return self.reply(id, Outcome::SupervisorDown);
        }
        let Some(state) = self.nodes[sup].sup() else {
            return;
        };
        let free = state.task.is_none() && state.inbox.is_empty() && !state.suspended;
        let call = Call { id, by, command };
        if free && matches!(state.reign, Reign::Up) {
            return self.perform_call(sup, call);
        }
        let queued = state
            .inbox
            .iter()
            .filter(|m| matches!(m, Message::Call(_)))
            .count();
        if queued >= COMMANDS_QUEUED_MAX {
            return self.reply(id, Outcome::Busy);
        }
        self.post(sup, Message::Call(call));
    }

    /// Whether it would start something below a supervisor that goes down, however far above.
    fn comes_too_late(&self, command: &Command, node: NodeId) -> bool {
        match command {
            Command::Start(_)
            | Command::Restart(_)
            | Command::RestartOnly(_)
            | Command::Scale(..)
            | Command::Add(..) => self
                .lineage(node)
                .skip(1)
                .any(|sup| self.is_going_down(sup)),
            Command::Stop(_)
            | Command::ReloadService(_)
            | Command::Signal(..)
            | Command::Reset(_)
            | Command::Pin(_)
            | Command::Unpin(_)
            | Command::Delete(_)
            | Command::Count(_)
            | Command::Which(_)
            | Command::CodeChange(..)
            | Command::Remedy(..)
            | Command::Breaker(..)
            | Command::Apply(_) => false,
        }
    }

    /// The supervisor in whose inbox a command waits; `None`: it is performed at once.
    fn mailbox_of(&self, command: &Command, node: NodeId) -> Option<NodeId> {
        let parent = self.nodes[node].parent;
        match command {
            Command::Add(..) | Command::Count(_) | Command::Which(_) | Command::CodeChange(..) => {
                Some(node).filter(|sup| self.nodes[*sup].sup().is_some())
            }
            Command::Start(_) | Command::Restart(_) | Command::RestartOnly(_) => {
                parent.filter(|sup| self.is_exclusive(*sup))
            }
            Command::Stop(_) => parent.filter(|sup| self.policy_of(*sup) == Policy::Otp),
            Command::Delete(_) => parent,
            Command::ReloadService(_)
            | Command::Signal(..)
            | Command::Reset(_)
            | Command::Pin(_)
            | Command::Unpin(_)
            | Command::Scale(..)
            | Command::Remedy(..)
            | Command::Breaker(..)
            | Command::Apply(_) => None,
        }
    }

    /// A command that waits for nobody.
    fn perform(&mut self, call: Call) {
        let Call { id, by, command } = call;
        match command {
            Command::Start(node) => self.start_now(id, node),
            Command::Stop(node) => self.stop_now(id, by, node),
            Command::Restart(node) | Command::RestartOnly(node) => self.restart_now(id, by, node),
            Command::ReloadService(node) => self.reload_service(id, node),
            Command::Signal(node, signal) => {
                let run = match self.life(node) {
                    Some(Life::Up(run) | Life::Starting(run) | Life::Stopping(run, _))
                        if run.spawned.has_process() =>
                    {
                        run.life
                    }
                    Some(_) | None => return self.reply(id, Outcome::NotRunning),
                };
                let run = RunId { node, life: run };
                self.note_sent(run, signal);
                self.effects.push(Effect::Signal {
                    run,
                    signal,
                    scope: Scope::Leader,
                });
                self.reply(id, Outcome::Done);
            }
            Command::Reset(node) => self.reset(id, node),
            Command::Pin(node) => {
                self.of_one_pin(node)
                    .into_iter()
                    .for_each(|one| self.pin(one));
                self.reply(id, Outcome::Done);
            }
            Command::Unpin(node) => {
                let below = self.of_one_pin(node);
                for one in below {
                    self.unpin(one);
                }
                self.reply(id, Outcome::Done);
            }
            Command::Scale(node, instances) => self.scale((id, by), node, &instances),
            Command::Remedy(node, class, dry) => self.try_remedy(id, node, (&class, dry)),
            Command::Apply(spec) => self.apply(id, &spec),
            Command::Breaker(name, force) => self.force((id, by), &name, force),
            Command::Delete(_)
            | Command::Add(..)
            | Command::Count(_)
            | Command::Which(_)
            | Command::CodeChange(..) => self.reply(id, Outcome::Unsupported),
        }
    }

    /// A command on a child, in its turn.
    pub(super) fn perform_call(&mut self, sup: NodeId, call: Call) {
        let Call { id, by, command } = call;
        let gone = command
            .node()
            .is_none_or(|node| self.nodes.get(node).is_none());
        if gone {
            return self.reply(id, Outcome::NotFound);
        }
        match command {
            Command::Add(_, node) => self.add_child(id, sup, node),
            Command::Delete(child) => self.delete_child(id, sup, child),
            Command::Count(_) => {
                let counts = self.count_children(sup);
                self.reply(id, Outcome::Counts(counts));
            }
            Command::Which(_) => {
                let list = self
                    .children(sup)
                    .into_iter()
                    .map(|c| (c, self.child_status(c)));
                let list = list.collect();
                self.reply(id, Outcome::Children(list));
            }
            Command::CodeChange(_, spec) => self.code_change(id, sup, &spec),
            Command::Start(child) => self.start_child(id, sup, child),
            Command::Stop(child) => self.stop_child(id, by, child),
            Command::Restart(child) | Command::RestartOnly(child)
                if self.policy_of(sup) == Policy::Otp
                    && self.child_status(child) == ChildStatus::Restarting =>
            {
                // As `restart_child` says in OTP: it is about to be.
                self.reply(id, Outcome::Restarting);
            }
            Command::Restart(child) => {
                self.welcome(child);
                let scope = self.scope_of(sup, child);
                self.restart_scope((id, by), child, scope);
            }
            Command::RestartOnly(child) => {
                let aside = self.nodes[child].is_aside();
                self.welcome(child);
                self.restart_scope((id, by), child, vec![child]);
                if aside {
                    // Whoever waits for it comes after it.
                    self.post(sup, Message::Resume);
                }
            }
            Command::ReloadService(_)
            | Command::Signal(..)
            | Command::Reset(_)
            | Command::Pin(_)
            | Command::Unpin(_)
            | Command::Scale(..)
            | Command::Remedy(..)
            | Command::Breaker(..)
            | Command::Apply(_) => self.reply(id, Outcome::Unsupported),
        }
    }

    /// OTP's `restart_child`, or the operator's start of a child of a group.
    fn start_child(&mut self, id: CommandId, sup: NodeId, child: NodeId) {
        let strict = self.policy_of(sup) == Policy::Otp;
        if strict && self.is_pool(sup) {
            return self.reply(id, Outcome::Unsupported);
        }
        match self.child_status(child) {
            ChildStatus::Running => return self.reply(id, Outcome::Running),
            ChildStatus::Restarting if strict => return self.reply(id, Outcome::Restarting),
            ChildStatus::Restarting | ChildStatus::Stopped => {}
        }
        let aside = self.nodes[child].is_aside();
        self.welcome(child);
        let kind = TaskKind::Start { child, id };
        let mut task = Task::new(kind, StopWhy::Supervisor, StartWhy::Command);
        task.start = vec![child];
        self.begin(sup, task);
        if aside {
            // Whoever waits for it comes after it.
            self.post(sup, Message::Resume);
        }
    }

    /// OTP's `terminate_child`.
    fn stop_child(&mut self, id: CommandId, by: Actor, child: NodeId) {
        let Some(sup) = self.nodes[child].parent else {
            return;
        };
        let mut task = Task::new(
            TaskKind::Stop { child, id },
            StopWhy::Command(by),
            StartWhy::Command,
        );
        task.stop = vec![child];
        self.begin(sup, task);
    }

    /// Whatever kept a node down is forgotten.
    fn welcome(&mut self, node: NodeId) {
        self.drop_trial(node);
        self.forget_aside(node);
        let entry = &mut self.nodes[node];
        entry.stopped_by = None;
        entry.disabled = false;
        entry.own = None;
        entry.attempts = 0;
        if matches!(entry.rest(), Some(Rest::Done | Rest::Stopped)) {
            entry.set_rest(Rest::Fresh);
        }
        self.timers.clear(node, Purpose::Backoff);
    }

    /// The operator's start where children do not wait for each other.
    fn start_now(&mut self, id: CommandId, node: NodeId) {
        let down = self.nodes[node]
            .parent
            .is_none_or(|parent| self.is_going_down(parent));
        if down {
            return self.reply(id, Outcome::SupervisorDown);
        }
        if self.nodes[node].is_up() {
            return self.reply(id, Outcome::Running);
        }
        self.welcome(node);
        self.wait(node, id, Wants::Up);
        self.start(node, StartWhy::Command);
    }

    /// The operator's stop: it interrupts whatever is under way.
    fn stop_now(&mut self, id: CommandId, by: Actor, node: NodeId) {
        let Some(sup) = self.nodes[node].parent else {
            return self.reply(id, Outcome::Unsupported);
        };
        let now = self.now;
        self.nodes[node].stopped_by = Some((by, now));
        self.nodes[node].again = None;
        self.withdraw_calls(sup, node);
        self.wait(self.run_of_this_name(node), id, Wants::Down);
        if self.is_going_down(sup) && self.nodes[node].rest().is_none() {
            // It is stopped with its supervisor, in its turn.
            return;
        }
        self.interrupt_task(sup, node);
        self.leave_aside(node);
        self.stop(node, StopWhy::Command(by));
    }

    /// Starts of this child that still wait were ordered before the stop: the stop wins.
    fn withdraw_calls(&mut self, sup: NodeId, child: NodeId) {
        let Some(state) = self.nodes[sup].sup_mut() else {
            return;
        };
        let starts = |message: &Message| match message {
            Message::Call(call) => match call.command {
                Command::Start(id) | Command::Restart(id) | Command::RestartOnly(id) => id == child,
                Command::Stop(_)
                | Command::ReloadService(_)
                | Command::Signal(..)
                | Command::Reset(_)
                | Command::Pin(_)
                | Command::Unpin(_)
                | Command::Scale(..)
                | Command::Add(..)
                | Command::Delete(_)
                | Command::Count(_)
                | Command::Which(_)
                | Command::CodeChange(..)
                | Command::Remedy(..)
                | Command::Breaker(..)
                | Command::Apply(_) => false,
            },
            Message::Exit(..) | Message::Retry(_) | Message::Resume | Message::Clear(_) => false,
        };
        let (gone, kept): (VecDeque<_>, _) = state.inbox.drain(..).partition(starts);
        state.inbox = kept;
        for message in gone {
            if let Message::Call(call) = message {
                self.reply(call.id, Outcome::Superseded);
            }
        }
    }

    /// Takes a child out of what its supervisor is in the middle of: it is only waited for.
    fn interrupt_task(&mut self, sup: NodeId, child: NodeId) {
        let now = self.now;
        let Some(task) = self.task_mut(sup) else {
            return;
        };
        task.start.retain(|id| *id != child);
        task.failed.retain(|id| *id != child);
        if task.stop.contains(&child) {
            task.stop.retain(|id| *id != child);
            task.waiting.insert(child);
        }
        if task.until.is_some() && task.kind == (TaskKind::Recover { child }) {
            // The others waited because of this one.
            task.until = None;
            self.timers.set(sup, Purpose::Group, now);
        }
    }

    /// The operator's restart where children do not wait for each other.
    fn restart_now(&mut self, id: CommandId, by: Actor, node: NodeId) {
        let Some(parent) = self.nodes[node].parent else {
            return self.restart_root(id, by);
        };
        if self.is_going_down(parent) {
            return self.reply(id, Outcome::SupervisorDown);
        }
        self.welcome(node);
        self.wait(node, id, Wants::Up);
        if self.nodes[node].rest().is_some() {
            return self.start(node, StartWhy::Command);
        }
        self.stop(node, StopWhy::Command(by));
        self.nodes[node].again = Some(StartWhy::Command);
    }

    /// All children of the root, in order.
    fn restart_root(&mut self, id: CommandId, by: Actor) {
        let root = self.root;
        if !self.nodes[root].is_up() || self.task(root).is_some() {
            return self.reply(id, Outcome::Busy);
        }
        let children = self.children(root);
        self.restart_scope((id, by), root, children);
    }

    fn restart_scope(&mut self, (id, by): (CommandId, Actor), child: NodeId, scope: Vec<NodeId>) {
        let Some(sup) = scope.first().and_then(|child| self.nodes[*child].parent) else {
            return self.reply(id, Outcome::Done);
        };
        for child in &scope {
            self.nodes[*child].attempts = 0;
        }
        let mut task = Task::new(
            TaskKind::Restart { child, id },
            StopWhy::Command(by),
            StartWhy::Command,
        );
        // Those that are to stay down are not touched, unless they were named.
        let touched: Vec<_> = scope
            .into_iter()
            .filter(|child| self.is_wanted(*child) && !self.nodes[*child].is_aside())
            .collect();
        let concerned = self.without_kept_down(sup, &touched);
        if concerned.len() > 1 && concerned.contains(&child) {
            self.announce_scope(sup, child, &concerned);
        }
        task.stop.clone_from(&touched);
        task.start = touched;
        self.begin(sup, task);
    }

    /// Those of them that nobody who is put aside keeps down.
    fn without_kept_down(&self, sup: NodeId, children: &[NodeId]) -> Vec<NodeId> {
        let open = self.blocked_from(sup).map_or(usize::MAX, |(from, _)| from);
        let stands = |id: &NodeId| self.nodes[*id].place < open;
        children.iter().copied().filter(stands).collect()
    }

    /// Whom [`Command::Restart`] of this node would touch now, in start order.
    pub fn touched_by_restart(&self, node: NodeId) -> Vec<NodeId> {
        let Some(entry) = self.nodes.get(node) else {
            return Vec::new();
        };
        let (sup, scope) = match entry.parent {
            Some(sup) if self.is_exclusive(sup) => (sup, self.scope_of(sup, node)),
            Some(_) => return vec![node],
            None => (node, self.children(node)),
        };
        let named =
            |id: &NodeId| *id == node || (self.is_wanted(*id) && !self.nodes[*id].is_aside());
        let touched: Vec<NodeId> = scope.into_iter().filter(named).collect();
        self.without_kept_down(sup, &touched)
    }

    fn reset(&mut self, id: CommandId, node: NodeId) {
        let waits = matches!(self.nodes[node].rest(), Some(Rest::Backoff { .. }));
        let entry = &mut self.nodes[node];
        entry.attempts = 0;
        entry.own = entry.own.take().filter(|own| !own.is_closed());
        let parent = entry.parent;
        for sup in [Some(node), parent].into_iter().flatten() {
            if let Some(state) = self.nodes[sup].sup_mut() {
                state.window.clear();
                state.buckets.clear();
            }
        }
        if self.nodes[node].is_aside() {
            self.nodes[node].let_pass = true;
            self.bring_back(node);
        }
        if waits {
            if let Some(sup) = parent.filter(|sup| self.task(*sup).is_some()) {
                self.on_group_timer(sup);
            } else {
                self.timers.clear(node, Purpose::Backoff);
                self.start(node, StartWhy::Command);
            }
        }
        self.reply(id, Outcome::Done);
    }
}
