// SPDX-License-Identifier: MIT OR Apache-2.0
//! OTP's `code_change`: a new specification for a supervisor whose children go on as they are.

use super::Tree;
use super::boot::as_child;
use super::children::significance_holds;
use super::event::{CommandId, NodeId, Outcome};
use super::node::Origin;
use super::record::What;
use crate::spec::{Node, Supervisor};
use std::sync::Arc;

impl Tree {
    /// OTP's `code_change`: an invalid specification changes nothing at all.
    pub(super) fn code_change(&mut self, id: CommandId, sup: NodeId, new: &Arc<Supervisor>) {
        let valid = new
            .children
            .iter()
            .all(|child| significance_holds(child, new.auto_shutdown));
        if !valid {
            return self.reply(id, Outcome::InvalidSpec);
        }
        self.change_code(sup, new);
        self.nodes[sup].replaced = true;
        self.reply(id, Outcome::Done);
    }

    /// Flags and specifications are replaced, histories and processes are not. New children are
    /// added stopped; those that are not named any more are kept, after the others, until
    /// somebody deletes them or their supervisor starts again.
    pub(super) fn change_code(&mut self, sup: NodeId, new: &Arc<Supervisor>) {
        let Some(old) = self.sup_spec(sup).cloned() else {
            return;
        };
        let kept = Supervisor {
            name: Arc::clone(&old.name),
            ..as_child(new, &old)
        };
        self.nodes[sup].spec = Node::Supervisor(Arc::new(kept));
        self.record(sup, What::Changed);
        let before = self.children(sup);
        let mut order = Vec::new();
        for spec in &new.children {
            let known = before
                .iter()
                .copied()
                .find(|id| self.nodes[*id].name() == spec.name());
            let child = match known {
                Some(child) => {
                    self.change_child(child, spec);
                    child
                }
                None => self.plant(Some(sup), spec.clone()),
            };
            self.nodes[child].origin = Origin::Configured;
            order.push(child);
        }
        for child in before {
            if !order.contains(&child) {
                self.nodes[child].origin = Origin::Dynamic;
                order.push(child);
            }
        }
        if let Some(state) = self.nodes[sup].sup_mut() {
            state.children = order;
        }
        self.renumber(sup);
    }
}

impl Tree {
    /// A child that runs goes on as it is. Of a supervisor only what it is to its supervisor
    /// changes now; the rest holds from its next start.
    fn change_child(&mut self, child: NodeId, new: &Node) {
        let spec = match (&self.nodes[child].spec, new) {
            (Node::Supervisor(own), Node::Supervisor(new)) => {
                Node::Supervisor(Arc::new(as_child(own, new)))
            }
            (Node::Service(_) | Node::Supervisor(_), Node::Service(_))
            | (Node::Service(_), Node::Supervisor(_)) => new.clone(),
        };
        let before = self.service(child).map(Arc::clone);
        self.nodes[child].spec = spec;
        if let Some(before) = before {
            self.climb_anew(child, &before.stop);
            self.check_anew(child, &before.health);
            self.ask_anew(child, &before.ready);
        }
    }
}
