// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sockets that are held for services: made at a service's first start, kept through its
//! restarts and through reloads, given up when no configuration names them any more.
//!
//! Whoever connects while the service is down waits in the queue of the kernel.

use crate::spec::{Listen, ListenAddress, Node, SpawnFailure, Stage, Supervisor};
use crate::sys::bound::{Bound, Given};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd};

/// All of them, by their address.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    held: BTreeMap<ListenAddress, Held>,
    /// From who started us, and not asked for yet.
    given: Vec<Given>,
    review: Review,
}

/// Whether a new configuration may want fewer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Review {
    #[default]
    No,
    Due,
}

#[derive(Debug)]
struct Held {
    bound: Bound,
    backlog: u32,
}

impl Sockets {
    /// Nothing but what we were given.
    pub(crate) fn new(given: Vec<Given>) -> Self {
        Self {
            held: BTreeMap::new(),
            given,
            review: Review::No,
        }
    }

    /// Sees to it that all of these are there.
    pub(crate) fn open(&mut self, wanted: &[Listen]) -> Result<(), SpawnFailure> {
        wanted
            .iter()
            .try_for_each(|one| self.open_one(one))
            .map_err(|error| SpawnFailure {
                stage: Stage::Listen,
                errno: error.raw_os_error().unwrap_or(0),
            })
    }

    fn open_one(&mut self, wanted: &Listen) -> std::io::Result<()> {
        if let Some(held) = self.held.get_mut(&wanted.address) {
            if held.backlog != wanted.backlog {
                held.bound.wait_for(wanted.backlog)?;
                held.backlog = wanted.backlog;
            }
            return held.bound.make_blocking();
        }
        let fits = |given: &Given| {
            given.address.as_ref() == Some(&wanted.address) || given.name == *wanted.name
        };
        let bound = match self.given.iter().position(fits) {
            Some(at) => Bound::given(self.given.swap_remove(at)),
            None => Bound::make(wanted)?,
        };
        bound.make_blocking()?;
        let held = Held {
            bound,
            backlog: wanted.backlog,
        };
        self.held.insert(wanted.address.clone(), held);
        Ok(())
    }

    /// The descriptors of these, in their order; all of them are there.
    pub(crate) fn get(&self, wanted: &[Listen]) -> Vec<BorrowedFd<'_>> {
        let held = wanted.iter().filter_map(|one| self.held.get(&one.address));
        held.map(|held| held.bound.as_fd()).collect()
    }

    /// A new configuration is in force: at the end of the turn the tree is the new one.
    pub(crate) fn review(&mut self) {
        self.review = Review::Due;
    }

    /// Gives up what no service of this tree wants, if it may have changed.
    pub(crate) fn keep_for(&mut self, root: &Supervisor) {
        if std::mem::take(&mut self.review) == Review::No || self.held.is_empty() {
            return;
        }
        let mut wanted = BTreeSet::new();
        gather(root, &mut wanted);
        self.held.retain(|address, _| wanted.contains(address));
    }
}

/// What a service is told of its sockets: their number and their names.
pub(super) fn told(listen: &[Listen]) -> (String, String) {
    let names: Vec<&str> = listen.iter().map(|one| &*one.name).collect();
    (listen.len().to_string(), names.join(":"))
}

/// Bounded by the depth of a tree (`spec::limits`).
fn gather<'a>(supervisor: &'a Supervisor, wanted: &mut BTreeSet<&'a ListenAddress>) {
    for child in &supervisor.children {
        match child {
            Node::Supervisor(below) => gather(below, wanted),
            Node::Service(service) => {
                wanted.extend(service.process.listen.iter().map(|one| &one.address));
            }
        }
    }
}
