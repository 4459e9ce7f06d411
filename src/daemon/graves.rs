// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of a run: from the death of its process to the word of it to the engine.
//!
//! ```text
//! peek    the process is dead, its number is still its own: the rest of its group is killed. At a
//!         stop and at a clean end who left the group is looked for and killed as well
//! reaped  told at once if its group is empty; else when everybody is dead who was killed, but
//!         not later than 5 s after it: then they are named as what could not be killed
//! ```
//!
//! So the next run of a service never meets a process of the last one: no port, lock or file is
//! held by somebody who is only about to die. With the scope `group` nobody is looked for outside
//! the group, with `leader` nobody but the process itself is touched. It never decides what
//! follows from an end.

use super::ears::Unread;
use super::oom::is_killed;
use super::orphans::Whose;
use super::strays::mark;
use super::world::{LAST_LINES, Reach, Role, World};
use crate::spec::limits::UNKILLABLE_AFTER;
use crate::spec::{ExitFacts, ExitStatus, Oom, Scope, Signal, Stream};
use crate::sys::leftovers::{self, Leftover};
use crate::sys::reap::{self, Reaped};
use crate::tree::{Event, RunId, Time};
use std::collections::BTreeMap;
use std::time::Duration;

/// Datagrams that are taken when a run has ended: more than a socket holds (`max_dgram_qlen`).
const LAST_DATAGRAMS: usize = 1024;
/// Who was killed is nearly always gone by then; later looks come after twice the time each.
const FIRST_LOOK: Duration = Duration::from_millis(20);

/// What is remembered of a run between its end and its record.
#[derive(Debug, Default)]
pub(crate) struct Dead {
    /// The number it had.
    pub pid: Option<i32>,
    /// Its last lines.
    pub last_lines: Box<[String]>,
    /// Who was left of it.
    pub left: Box<[String]>,
}

/// What is told about a process that a service had left behind.
#[derive(Debug)]
pub(crate) struct Runaway {
    /// Whose it was.
    pub run: RunId,
    /// The process.
    pub found: Leftover,
    /// What became of it.
    pub fate: Fate,
}

impl Runaway {
    /// One line for people; `service` had left it.
    pub(crate) fn told(&self, service: &str) -> String {
        let (name, pid) = (&self.found.name, self.found.pid);
        match self.fate {
            Fate::Killed => {
                format!("killed `{name}` (pid {pid}), which {service} had left behind")
            }
            Fate::Stayed => format!(
                "cannot end `{name}` (pid {pid}, state {}), which {service} has left behind",
                self.found.state
            ),
        }
    }
}

/// What became of a process that was left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was sent SIGKILL.
    Killed,
    /// It is still there: it belongs to somebody else, or SIGKILL had no effect.
    Stayed,
}

/// Runs whose process is reaped and whose end is not told yet.
#[derive(Debug, Default)]
pub(crate) struct Graves {
    open: Vec<Grave>,
    /// Descendants outside of the session when the stop began, by life.
    kin: BTreeMap<u64, Vec<Leftover>>,
}

/// A run whose process is reaped.
#[derive(Debug)]
pub(super) struct Grave {
    pub(super) run: RunId,
    reaped: Reaped,
    depth: Depth,
    /// Everybody who was found, for the record.
    left: Vec<Leftover>,
    /// Those of them who may live yet.
    dying: Vec<Leftover>,
    look_at: Time,
    pause: Duration,
    until: Time,
    /// We sent it SIGKILL.
    killed_by_us: bool,
    /// Nobody has looked yet at who of those who died with it was killed for want of memory.
    fresh: bool,
}

impl Grave {
    pub(super) fn facts(&self) -> &ExitFacts {
        &self.reaped.facts
    }

    pub(super) fn facts_mut(&mut self) -> &mut ExitFacts {
        &mut self.reaped.facts
    }
}

/// How far what is left of a run is pursued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Not at all.
    None,
    /// Its process group.
    Group,
    /// Wherever it is.
    Everywhere,
}

impl Graves {
    /// When somebody is to be looked at again.
    pub(crate) fn next_look(&self) -> Option<Time> {
        self.open.iter().map(|grave| grave.look_at).min()
    }

    /// Whether this run's process is reaped and something of it is left.
    pub(crate) fn holds(&self, run: RunId) -> bool {
        self.open.iter().any(|grave| grave.run == run)
    }

    /// In this order their ends are told.
    pub(crate) fn sort_by_key<K: Ord>(&mut self, mut key: impl FnMut(RunId) -> K) {
        self.open.sort_by_key(|grave| (key(grave.run), grave.run));
    }

    /// Those who died since the last look and whom SIGKILL ended that was not ours.
    pub(super) fn fresh_killed(&mut self) -> impl Iterator<Item = &mut Grave> {
        let open = self.open.iter_mut();
        open.filter(|grave| grave.fresh && !grave.killed_by_us && is_killed(grave.facts()))
    }

    /// Everybody was looked at.
    pub(super) fn age(&mut self) {
        for grave in &mut self.open {
            grave.fresh = false;
        }
    }

    /// Whose session or group this number names: that of a run whose process is reaped.
    fn led_by(&self, leader: i32) -> Option<RunId> {
        let grave = self.open.iter().find(|grave| grave.reaped.pid == leader)?;
        Some(grave.run)
    }
}

impl World {
    /// Reaps one dead child: this one if a number is given, else whichever there is. The end of a
    /// run is told when nothing is left of it ([`take_over`](Self::take_over)).
    pub(crate) fn reap(&mut self, hint: Option<i32>, now: Time) -> Option<(Reaped, Whose)> {
        let mut peeked = Peeked::default();
        let mut at_peek = |dead: &Reaped| {
            peeked = self.at_peek(dead);
            peeked.oom = self.oom.at_peek(dead, now);
        };
        let mut reaped = match hint {
            Some(pid) => reap::one(pid, &mut at_peek),
            None => reap::next(&mut at_peek),
        }?;
        reaped.facts.oom = peeked.oom;
        let Some(run) = self.procs.take(reaped.pid) else {
            let known = self.strays.reaped(reaped.pid);
            return Some((reaped, Whose::Orphan(peeked.left_by.or(known))));
        };
        for found in &peeked.left {
            self.kill_runaway(run, found);
        }
        self.graves.kin.remove(&run.life);
        self.graves.open.push(Grave {
            run,
            reaped,
            depth: peeked.depth,
            dying: peeked.left.clone(),
            left: peeked.left,
            look_at: now + FIRST_LOOK,
            pause: FIRST_LOOK,
            until: now + UNKILLABLE_AFTER,
            killed_by_us: self.running.get(&run.life).is_some_and(|r| r.killed),
            fresh: true,
        });
        Some((reaped, Whose::Ours(run)))
    }

    /// The process is a zombie now, and its number cannot be given to another one.
    fn at_peek(&self, dead: &Reaped) -> Peeked {
        let mut peeked = Peeked::default();
        let Some(run) = self.procs.run_of(dead.pid) else {
            // A service leads a session, and who leaves it mostly stays in there.
            let leader = leftovers::session_of(dead.pid);
            peeked.left_by = leader.and_then(|leader| {
                let running = self.procs.run_of(leader);
                running.or_else(|| self.graves.led_by(leader))
            });
            return peeked;
        };
        let Some(running) = self.running.get(&run.life) else {
            return peeked;
        };
        let scope = match running.role {
            Role::Service | Role::Hook => running.scope,
            Role::Helper => Scope::Group,
        };
        let stopped = running.reach == Reach::Tree;
        let clean = match running.role {
            Role::Service => dead.facts.status == ExitStatus::Code(0),
            // A hook leaves nobody behind, whatever it says.
            Role::Hook => true,
            Role::Helper => false,
        };
        peeked.depth = match scope {
            Scope::Leader => return peeked,
            Scope::Tree if (stopped || clean) && self.is_looking() => Depth::Everywhere,
            Scope::Group | Scope::Tree => Depth::Group,
        };
        if peeked.depth == Depth::Everywhere && self.has_unknown_child() {
            peeked.left = leftovers::of_run(dead.pid, &mark(&self.boot, run));
        }
        // Usually only the dead leader is there.
        let _group = self.procs.signal(run, Signal::KILL, Scope::Group);
        if stopped {
            // Who was told to end with its leader and is not quite there is no runaway.
            peeked.left.retain(|p| p.pgid != dead.pid);
        }
        for kin in self.graves.kin.get(&run.life).into_iter().flatten() {
            if kin.lives_on() && peeked.left.iter().all(|p| p.pid != kin.pid) {
                peeked.left.push(kin.clone());
            }
        }
        peeked
    }

    fn kill_runaway(&mut self, run: RunId, found: &Leftover) {
        let fate = match leftovers::signal(found, Signal::KILL) {
            Ok(()) => Fate::Killed,
            Err(_) if found.lives_on() => Fate::Stayed,
            Err(_gone) => return,
        };
        let found = found.clone();
        self.runaways.push(Runaway { run, found, fate });
    }

    /// A stop of everything that belongs to this run begins: who has left its session and has
    /// cleaned its environment is known only as long as its parents live.
    pub(super) fn remember_kin(&mut self, run: RunId) {
        let Some(pid) = self.procs.pid_of(run) else {
            return;
        };
        let kin = leftovers::far_descendants(pid);
        if !kin.is_empty() {
            self.graves.kin.insert(run.life, kin);
        }
    }

    /// Takes out those of whom nothing is left: they are to be buried.
    pub(super) fn take_over(&mut self, now: Time) -> Vec<Grave> {
        let mut over = Vec::new();
        for mut grave in std::mem::take(&mut self.graves.open) {
            if self.is_over(&mut grave, now) {
                over.push(grave);
            } else {
                self.graves.open.push(grave);
            }
        }
        over
    }

    fn is_over(&mut self, grave: &mut Grave, now: Time) -> bool {
        grave.dying.retain(Leftover::lives_on);
        let gone = || leftovers::is_group_gone(grave.reaped.pid);
        if grave.dying.is_empty() && (grave.depth == Depth::None || gone()) {
            return true;
        }
        if now < grave.look_at {
            return false;
        }
        self.look_again(grave);
        if now >= grave.until {
            let stayed = grave.dying.drain(..).map(|found| Runaway {
                run: grave.run,
                found,
                fate: Fate::Stayed,
            });
            self.runaways.extend(stayed);
        }
        grave.pause *= 2;
        grave.look_at = (now + grave.pause).min(grave.until);
        grave.dying.is_empty()
    }

    /// Who is still there, besides dead ones whose parents do not look: they hold nothing.
    fn look_again(&mut self, grave: &mut Grave) {
        let mark = match grave.depth {
            Depth::None | Depth::Group => String::new(),
            Depth::Everywhere => mark(&self.boot, grave.run),
        };
        for found in leftovers::of_run(grave.reaped.pid, &mark) {
            let known = grave.left.iter().any(|p| p.pid == found.pid);
            let sent = leftovers::signal(&found, Signal::KILL);
            if known {
                continue;
            }
            if sent.is_ok() {
                grave.dying.push(found.clone());
            }
            grave.left.push(found);
        }
    }

    /// What a run has written last is tried on the patterns of classes, if there are any.
    fn match_output(&mut self, run: RunId) {
        let mut found = Vec::new();
        for stream in Stream::BOTH {
            if self.patterns.wants(stream) {
                let tail = self.logs.tail(run.node, stream);
                found.extend(self.patterns.find(stream, &tail));
            }
        }
        if !found.is_empty() {
            let found = found.into();
            self.events.push_back(Event::Matched { run, found });
        }
    }

    /// A run has ended: what it said before comes first, then its end.
    pub(super) fn bury(&mut self, grave: Grave, unread: Unread) {
        let Grave {
            run,
            mut reaped,
            left,
            ..
        } = grave;
        self.events.extend(self.slow.end(run.life));
        self.hear(run.life, LAST_DATAGRAMS);
        self.hear_ready(run.life);
        let role = self.running.get(&run.life).map(|r| r.role);
        reaped.facts.left_behind = u32::try_from(left.len()).unwrap_or(u32::MAX);
        let named = left.iter().map(|p| format!("{} (pid {})", p.name, p.pid));
        let left: Box<[String]> = named.collect();
        if role == Some(Role::Hook) {
            let dead = Dead {
                pid: Some(reaped.pid),
                left,
                ..Dead::default()
            };
            return self.bury_hook(run, (dead, reaped.facts));
        }
        self.running.remove(&run.life);
        self.logs.finish(run.node, unread);
        if role == Some(Role::Service) {
            let last_lines = self.logs.last_words(run.node, LAST_LINES);
            let pid = Some(reaped.pid);
            let dead = Dead {
                pid,
                last_lines,
                left,
            };
            self.dead.insert(run, dead);
        }
        if role == Some(Role::Service) {
            self.match_output(run);
        }
        let facts = self.drill.told(run, reaped.facts);
        self.events.push_back(Event::Exited { run, facts });
    }
}

/// What was seen of a dead process before it was reaped.
#[derive(Debug)]
struct Peeked {
    /// If it was nobody's: the run it had come from.
    left_by: Option<RunId>,
    depth: Depth,
    left: Vec<Leftover>,
    oom: Oom,
}

impl Default for Peeked {
    fn default() -> Self {
        Self {
            left_by: None,
            depth: Depth::None,
            left: Vec::new(),
            oom: Oom::None,
        }
    }
}
