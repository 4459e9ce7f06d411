// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pools with another number of instances than their file has: which ones they are, and a tree
//! that has them so.
//!
//! It never decides which number counts: `Loaded::keeping_scale` does.

use crate::spec::{Node, Service, Supervisor, SupervisorKind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The number of instances of every pool, by its name.
pub(super) fn numbers<'t>(sup: &'t Supervisor, into: &mut BTreeMap<&'t str, u32>) {
    if sup.kind == SupervisorKind::Pool {
        let count = u32::try_from(sup.children.len()).unwrap_or(u32::MAX);
        into.insert(&sup.name, count);
        return;
    }
    for child in &sup.children {
        if let Node::Supervisor(below) = child {
            numbers(below, into);
        }
    }
}

/// The supervisor with the instances that `instances` has for its pools; what is not changed is
/// shared.
pub(super) fn with_instances(
    sup: &Arc<Supervisor>,
    instances: &dyn Fn(&str) -> Option<Vec<Arc<Service>>>,
) -> Arc<Supervisor> {
    if sup.kind == SupervisorKind::Pool {
        return instances(&sup.name).map_or_else(|| Arc::clone(sup), |all| of(sup, all));
    }
    let mut children = Vec::with_capacity(sup.children.len());
    let mut same = true;
    for child in &sup.children {
        children.push(match child {
            Node::Supervisor(old) => {
                let new = with_instances(old, instances);
                same &= Arc::ptr_eq(old, &new);
                Node::Supervisor(new)
            }
            Node::Service(_) => child.clone(),
        });
    }
    if same {
        return Arc::clone(sup);
    }
    let bare = (**sup).clone();
    Arc::new(Supervisor { children, ..bare })
}

fn of(pool: &Supervisor, instances: Vec<Arc<Service>>) -> Arc<Supervisor> {
    Arc::new(Supervisor {
        children: instances.into_iter().map(Node::Service).collect(),
        ..pool.clone()
    })
}
