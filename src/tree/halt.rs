// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of the root, and the exit code that follows from it (SEMANTICS §2).

use super::Tree;
use super::classify::status_code;
use super::effect::{Defeat, Effect, Halt};
use super::event::NodeId;
use super::node::{Life, Reign};
use super::record::{Culprit, How};
use super::supervisor::Notice;
use super::timers::Purpose;
use crate::spec::limits::UNKILLABLE_AFTER;
use crate::spec::{Class, ExitCodePolicy, Name};
use std::sync::Arc;

impl Tree {
    /// The root has nobody above it: its end is the end of the daemon.
    pub(super) fn on_root_notice(&mut self, notice: Notice) {
        let root = self.root;
        match notice {
            Notice::Started | Notice::Attempted | Notice::Released | Notice::Held => {}
            Notice::Stopped => {
                let left = self.unkillable_below();
                let since = self.stopping_since.unwrap_or(self.now);
                let after = self.now.since(since);
                self.halt(if left.is_empty() {
                    Halt::Requested
                } else {
                    Halt::TimedOut { left, after }
                });
            }
            Notice::StartFailed => {
                let culprit = self.nodes[root].sup().and_then(|sup| sup.culprit.clone());
                self.gave_up(Defeat::StartFailed, culprit);
            }
            Notice::Ended => self.root_ended(),
        }
    }

    fn root_ended(&mut self) {
        let root = self.root;
        let Some(sup) = self.nodes[root].sup() else {
            return;
        };
        let Reign::Ended(ended) = &sup.reign else {
            return;
        };
        let culprit = ended.culprit.clone();
        if ended.class.base == Class::AutoShutdown {
            let code = culprit.as_ref().map_or(0, own_code);
            let culprit = culprit.map(Box::new);
            return self.halt(Halt::AutoShutdown { code, culprit });
        }
        if let Some(name) = sup.told_by.and_then(|child| self.name(child)) {
            let why = Defeat::Told(Arc::clone(name));
            return self.gave_up(why, culprit);
        }
        let (bucket, max, period) = match sup.spent {
            Some(spent) => (spent.bucket, spent.max, spent.period),
            None => (None, self.spec.root.max_restarts, self.spec.root.period),
        };
        let why = Defeat::Exhausted {
            bucket,
            max,
            period,
        };
        self.gave_up(why, culprit);
    }

    fn gave_up(&mut self, why: Defeat, culprit: Option<Culprit>) {
        let code = self.exit_code(culprit.as_ref());
        let culprit = culprit.map(Box::new);
        self.halt(Halt::GaveUp { code, why, culprit });
    }

    /// Halts as soon as the last helper is gone, too.
    fn halt(&mut self, halt: Halt) {
        self.refuse_all();
        self.halting = Some(halt);
        self.timers
            .set(self.root, Purpose::Shutdown, self.now + UNKILLABLE_AFTER);
        self.halt_if_due();
    }

    pub(super) fn halt_if_due(&mut self) {
        if self.halting.is_some() && self.helpers_are_gone() {
            self.halt_now();
        }
    }

    /// A helper that SIGKILL does not end does not keep the daemon alive.
    pub(super) fn halt_now(&mut self) {
        if let Some(halt) = self.halting.take() {
            self.halted = true;
            self.effects.push(Effect::Halt { halt });
        }
    }

    /// Nobody waits for ever: whoever is not answered yet hears that the tree is down.
    fn refuse_all(&mut self) {
        let waiting: Vec<NodeId> = self.waiters.keys().copied().collect();
        for node in waiting {
            self.answer_removed(node);
        }
        self.end_apply();
    }

    fn unkillable_below(&self) -> Vec<Name> {
        let left = self.nodes.iter().filter(|node| node.is_unkillable());
        left.map(|node| Arc::clone(node.name())).collect()
    }

    /// Never 0: a container whose tree gave up must not look as if it had done its work.
    fn exit_code(&self, culprit: Option<&Culprit>) -> u8 {
        let cause = || culprit.map_or(1, |culprit| culprit.code.max(1));
        match &self.spec.settings.exit_code {
            ExitCodePolicy::Cause => cause(),
            ExitCodePolicy::Fixed(code) => *code,
            ExitCodePolicy::Service(name) => {
                let node = self.nodes.iter().find(|node| node.name() == name);
                let own = node.and_then(|node| self.culprit_of(node.id));
                own.map_or_else(cause, |culprit| culprit.code.max(1))
            }
        }
    }

    /// The last node, in start order, that is still alive: whom a stop waits for first.
    pub(super) fn last_alive(&self, id: NodeId) -> Option<Name> {
        let node = self.nodes.get(id)?;
        let Some(sup) = node.sup() else {
            let alive = matches!(
                self.life(id),
                Some(Life::Starting(_) | Life::Up(_) | Life::Stopping(..))
            );
            return alive.then(|| Arc::clone(node.name()));
        };
        sup.children
            .iter()
            .rev()
            .find_map(|child| self.last_alive(*child))
    }

    /// Whom a stop of the whole tree waits for now.
    pub fn waiting_for(&self) -> Option<Name> {
        self.last_alive(self.root)
    }
}

/// A child that shut its supervisor down passes its own code on, 0 included.
fn own_code(culprit: &Culprit) -> u8 {
    match culprit.how {
        How::Status(status) => status_code(status),
        How::Spawn(_) | How::StartTimeout | How::Unhealthy(_) => culprit.code,
    }
}
