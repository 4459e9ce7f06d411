// SPDX-License-Identifier: MIT OR Apache-2.0
//! The start of a node of either kind: whether it is made now, and what whoever wanted it hears.
//!
//! Who goes down starts nobody; a name that is taken is waited for; a breaker that is open holds
//! it. How a service or a supervisor starts is decided by themselves.

use super::Tree;
use super::event::NodeId;
use super::node::{Life, Reign, Rest};
use super::record::StartWhy;
use super::supervisor::Notice;

impl Tree {
    /// Starts a node of either kind that is at rest. A notice follows, unless its supervisor goes
    /// down: whatever would have started it there has lost to that.
    pub(super) fn start(&mut self, id: NodeId, why: StartWhy) {
        let parent = self.nodes[id].parent;
        if parent.is_some_and(|sup| self.is_going_down(sup)) {
            return self.call_off(id);
        }
        if self.waits_for_its_name(id, why)
            || !self.comes_before_course(id, why)
            || self.waits_for_its_hook(id, why)
            || self.is_held_back(id, why)
        {
            return;
        }
        let node = &mut self.nodes[id];
        if node.rest().is_none() {
            return self.start_alive(id, why);
        }
        if node.sup().is_some() {
            self.start_supervisor(id, why);
        } else {
            self.start_service(id, why);
        }
    }

    /// The next start of a node, which waits for something, will not be.
    fn call_off(&mut self, id: NodeId) {
        self.nodes[id].again = None;
        self.call_off_course(id);
        if let Some(Rest::Backoff { .. } | Rest::Retrying { .. } | Rest::Waiting { .. }) =
            self.nodes[id].rest()
        {
            self.nodes[id].set_rest(Rest::Off);
        }
    }

    /// A start of something that is alive: there is nothing to do, or it has to end first.
    fn start_alive(&mut self, id: NodeId, why: StartWhy) {
        if self.nodes[id].is_up() {
            return self.notify(id, Notice::Started);
        }
        if self.nodes[id].ended().is_some() {
            // It is started when its end was judged, if that calls for it.
            return self.notify(id, Notice::Ended);
        }
        let starting = self.nodes[id]
            .sup()
            .is_some_and(|s| matches!(s.reign, Reign::Starting { .. }))
            || matches!(self.life(id), Some(Life::Starting(_)));
        if !starting {
            self.nodes[id].again = Some(why);
        }
    }
}
