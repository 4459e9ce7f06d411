// SPDX-License-Identifier: MIT OR Apache-2.0
//! Children of ours that we have not started: who they come from, and what becomes of them.
//!
//! Orphans become our children without a word. After ends and orphans the list of our children is
//! looked at, at most once a second and never on the way to a restart: a stray is remembered with
//! the run whose mark it carries, so that its end can be told with a name; one whose run is over
//! is killed. Nothing is done about a stray of nobody, of a service that leaves its own alone
//! (`scope`), or of a run that goes on.

use super::graves::{Fate, Runaway};
use super::world::World;
use crate::spec::{Scope, Signal};
use crate::sys::leftovers::{self, Leftover};
use crate::tree::{NodeId, RunId, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// From one look at our children to the next.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What we know about children that no spawn of ours made.
#[derive(Debug)]
pub(crate) struct Strays {
    /// Children from before our start, by pid and start time: not ours to kill.
    pub strangers: BTreeSet<(i32, u64)>,
    known: BTreeMap<i32, Option<RunId>>,
    /// Services whose processes are left alone when they have left the group.
    loose: BTreeSet<NodeId>,
    due: Option<Time>,
    last: Option<Time>,
}

impl Strays {
    /// Whoever is our child now was so before us.
    pub(crate) fn at_start() -> Self {
        Self {
            strangers: strangers(),
            known: BTreeMap::new(),
            loose: BTreeSet::new(),
            due: None,
            last: None,
        }
    }

    /// A service is started whose stop reaches so far.
    pub(crate) fn know(&mut self, node: NodeId, scope: Scope) {
        match scope {
            Scope::Tree if self.loose.is_empty() => {}
            Scope::Tree => drop(self.loose.remove(&node)),
            Scope::Group | Scope::Leader => drop(self.loose.insert(node)),
        }
    }

    /// Somebody has ended who may have left others: they are looked for soon.
    pub(crate) fn expect(&mut self, now: Time) {
        let soonest = self.last.map_or(now, |last| now.max(last + LOOK_EVERY));
        self.due.get_or_insert(soonest);
    }

    /// When the next look is due.
    pub(crate) fn due(&self) -> Option<Time> {
        self.due
    }

    /// A child of nobody was reaped: whose it was, if it was ever looked at.
    pub(crate) fn reaped(&mut self, pid: i32) -> Option<RunId> {
        self.known.remove(&pid).flatten()
    }

    fn is_stranger(&self, pid: i32) -> bool {
        self.strangers.iter().any(|(p, _)| *p == pid)
    }
}

impl World {
    /// Whether there may be a child that no spawn of ours made: who runs away from a dead leader
    /// becomes one. Where it cannot be known cheaply it is assumed.
    pub(crate) fn has_unknown_child(&self) -> bool {
        leftovers::own_children().is_none_or(|pids| pids.into_iter().any(|pid| self.is_stray(pid)))
    }

    fn is_stray(&self, pid: i32) -> bool {
        self.procs.run_of(pid).is_none() && !self.strays.is_stranger(pid)
    }

    /// Looks at children of ours that are new, if it is time.
    pub(crate) fn look_for_strays(&mut self, now: Time) {
        if self.strays.due.is_none_or(|due| due > now) {
            return;
        }
        self.strays.due = None;
        self.strays.last = Some(now);
        let Some(mut pids) = leftovers::own_children() else {
            return;
        };
        pids.retain(|pid| self.is_stray(*pid));
        self.strays.known.retain(|pid, _| pids.contains(pid));
        for pid in pids {
            if self.strays.known.contains_key(&pid) {
                continue;
            }
            let Some(found) = leftovers::look_at(pid).filter(Leftover::is_alive) else {
                continue;
            };
            let whose = self.whose(&found);
            self.strays.known.insert(pid, whose);
            let over = whose.filter(|run| self.is_over_for_good(*run));
            let killed = |_: &RunId| leftovers::signal(&found, Signal::KILL).is_ok();
            if let Some(run) = over.filter(killed) {
                let fate = Fate::Killed;
                self.runaways.push(Runaway { run, found, fate });
            }
        }
    }

    /// The run that a stray comes from: whose session it is in, or whose mark it carries.
    fn whose(&self, found: &Leftover) -> Option<RunId> {
        let leads = |leader: i32| self.procs.run_of(leader);
        let run = leads(found.sid).or_else(|| leads(found.pgid));
        run.or_else(|| run_of(&leftovers::mark_of(found.pid)?, &self.boot))
    }

    /// Whether nothing of this run is to be left. Until its end is told, that is seen to elsewhere.
    fn is_over_for_good(&self, run: RunId) -> bool {
        let loose = self.strays.loose.contains(&run.node);
        self.is_looking() && !self.running.contains_key(&run.life) && !loose
    }
}

/// What a run's processes carry in their environment.
pub(crate) fn mark(boot: &str, run: RunId) -> String {
    format!("SUPD_RUN={boot}.{run}")
}

/// The run that a mark names, if it is of this life of the daemon.
fn run_of(mark: &str, boot: &str) -> Option<RunId> {
    let tail = mark.strip_prefix("SUPD_RUN=")?.strip_prefix(boot)?;
    let (node, life) = tail.strip_prefix('.')?.split_once('.')?;
    let node = NodeId(node.parse().ok()?);
    Some(RunId {
        node,
        life: life.parse().ok()?,
    })
}

/// Every child of ours now, by pid and start time.
fn strangers() -> BTreeSet<(i32, u64)> {
    if leftovers::own_children().is_some_and(|pids| pids.is_empty()) {
        return BTreeSet::new();
    }
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let found = leftovers::children_of(own);
    found.iter().map(|p| (p.pid, p.started)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_names_its_run_in_this_life_only() {
        let run = RunId {
            node: NodeId(3),
            life: 17,
        };
        let mark = mark("7f3a", run);
        assert_eq!(mark, "SUPD_RUN=7f3a.3.17");
        assert_eq!(run_of(&mark, "7f3a"), Some(run));
        assert_eq!(run_of(&mark, "7f3"), None, "another life");
        assert_eq!(run_of("SUPD_RUN=7f3a.3", "7f3a"), None);
        assert_eq!(run_of("SUPD_RUN=7f3a.3.x", "7f3a"), None);
        assert_eq!(run_of("SUPD_RUN=", "7f3a"), None);
    }

    #[test]
    fn looks_are_a_second_apart_and_the_first_is_at_once() {
        let mut strays = Strays::at_start();
        assert_eq!(strays.due(), None, "nothing has happened");
        strays.expect(Time(5));
        assert_eq!(strays.due(), Some(Time(5)));
        strays.due = None;
        strays.last = Some(Time(5));
        strays.expect(Time(7));
        strays.expect(Time(9));
        assert_eq!(strays.due(), Some(Time(5) + LOOK_EVERY));
    }
}
