// SPDX-License-Identifier: MIT OR Apache-2.0
//! What tests may see and do that nobody else can. Never in a release.
//!
//! It shows the engine's own states by their names, and what the engine holds on to; it can hold a
//! supervisor still, as a test of OTP suspends a process. It changes nothing else and decides
//! nothing.

use super::event::{NodeId, Time};
use super::node::{Body, Life, Node, Reign, Rest};
use super::{Effects, Tree};
use std::sync::Arc;

/// How much an engine holds on to (invariant 22).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burden {
    /// Nodes of the tree, those that leave included.
    pub nodes: usize,
    /// Deadlines.
    pub timers: usize,
    /// Messages in all inboxes.
    pub messages: usize,
    /// Starts that wait for their turn.
    pub queued: usize,
    /// Probes and commands of services.
    pub helpers: usize,
    /// Commands that wait for something to happen.
    pub waiters: usize,
    /// Names that are taken by nodes that leave, and nodes that wait for one.
    pub taken: usize,
    /// Restarts remembered.
    pub restarts: usize,
}

impl Tree {
    /// The breaker whose probe runs under this number.
    pub fn breaker_asked(&self, life: u64) -> Option<Arc<crate::spec::Breaker>> {
        let asked = |view: &super::BreakerView| {
            let id = self.breakers.named(&view.spec.name);
            let breaker = id.and_then(|id| self.breakers.get(id));
            breaker.is_some_and(|b| b.asked.is_some_and(|(known, _)| known == life))
        };
        self.breakers()
            .into_iter()
            .find(asked)
            .map(|view| view.spec)
    }

    /// What the engine holds on to now.
    pub fn burden(&self) -> Burden {
        let sups = || self.nodes.iter().filter_map(Node::sup);
        Burden {
            nodes: self.nodes.iter().count(),
            timers: self.timers.len(),
            messages: sups().map(|sup| sup.inbox.len()).sum(),
            queued: self.starts.queue.len(),
            helpers: self.helpers.len(),
            waiters: self.commands_waiting(),
            taken: self.leavers.len(),
            restarts: sups().map(|sup| sup.window.len()).sum(),
        }
    }
}

impl Tree {
    fn commands_waiting(&self) -> usize {
        let nodes: usize = self.waiters.values().map(Vec::len).sum();
        let several: usize = self.gatherings.values().map(|all| all.left).sum();
        nodes - several + self.gatherings.len()
    }
}

/// The name of an enum's variant, as the source has it.
fn variant(of: &str, value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let end = text
        .find(|c: char| !c.is_alphanumeric())
        .unwrap_or(text.len());
    format!("{of}::{}", &text[..end])
}

/// What the table of all states asks: it must show each of them.
impl Tree {
    /// The engine's own states that this node is in, as their enums write them: `Life::Stopping`,
    /// `Rung::Kill`; a flag that is set is written as its field: `Node::pinned`.
    pub fn condition(&self, id: NodeId) -> Vec<String> {
        let Some(node) = self.nodes.get(id) else {
            return Vec::new();
        };
        let mut found = match &node.body {
            Body::Service(life) => service_condition(life),
            Body::Supervisor(sup) => {
                let mut found = vec![variant("Reign", &sup.reign)];
                if let Reign::Stopping(ending) = &sup.reign {
                    found.push(variant("Ending", ending));
                }
                if let Some(task) = &sup.task {
                    found.push(variant("TaskKind", &task.kind));
                    found.push(variant("Stage", &task.stage));
                }
                found.extend(sup.inbox.iter().map(|message| variant("Message", message)));
                found.extend(sup.boot.map(|_| "Sup::boot".to_owned()));
                found
            }
        };
        found.extend(node.rest().map(|rest| variant("Rest", &rest)));
        if let Some(Rest::Aside(by)) = node.rest() {
            found.push(variant("By", &by));
        }
        let flags = [
            (node.on_trial, "on_trial"),
            (node.pinned, "pinned"),
            (node.disabled, "disabled"),
            (node.leaving, "leaving"),
            (node.replaced, "replaced"),
            (node.again.is_some(), "again"),
            (node.spared, "spared"),
            (node.stopped_by.is_some(), "stopped_by"),
        ];
        found.extend(
            flags
                .iter()
                .filter(|(set, _)| *set)
                .map(|(_, flag)| format!("Node::{flag}")),
        );
        found.push(variant("Origin", &node.origin));
        let helpers = self.helpers.values().filter(|helper| helper.node == id);
        found.extend(helpers.map(|helper| variant("Job", &helper.job)));
        found.dedup();
        found
    }
}

fn service_condition(life: &Life) -> Vec<String> {
    let mut found = vec![variant("Life", life)];
    match life {
        Life::Starting(run) => found.push(variant("Spawned", &run.spawned)),
        Life::Stopping(run, stopping) => {
            found.push(variant("Spawned", &run.spawned));
            found.push(variant("Rung", &stopping.rung));
        }
        Life::Rest(_) | Life::Up(_) | Life::Ended(_) | Life::Unkillable(..) => {}
    }
    found
}

/// Tests hold a supervisor to let several things happen before it looks, as a test of OTP
/// suspends a process.
impl Tree {
    /// From now on the supervisor only queues.
    pub fn hold(&mut self, sup: NodeId) {
        if let Some(state) = self.nodes.get_mut(sup).and_then(Node::sup_mut) {
            state.suspended = true;
        }
    }

    /// How often the engine has looked at a node so far.
    pub fn visits(&self) -> u64 {
        self.nodes.visits.get()
    }

    /// It looks again.
    pub fn release(&mut self, now: Time, sup: NodeId) -> Effects {
        self.now = self.now.max(now);
        self.cause = None;
        self.incident = None;
        if let Some(state) = self.nodes.get_mut(sup).and_then(Node::sup_mut) {
            state.suspended = false;
        }
        self.wake(sup);
        self.settle();
        Effects(std::mem::take(&mut self.effects))
    }
}
