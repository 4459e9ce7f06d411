// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a fault would bring about, found out by letting it befall a copy of the tree.
//!
//! As for plans (`foresee`) there is no second logic: the copy gets the very event, and a world in
//! which everything else goes well answers its effects. Only the service that hangs answers
//! nothing. The tree itself is not touched.

use super::Tree;
use super::effect::Effect;
use super::event::{Event, NodeId, ProbeAnswer, RunId, Said};
use super::foresee::Obedient;
use super::node::{Body, Life};
use super::record::What;
use super::snapshot::State;
use crate::spec::{self, Class, ExitFacts, ExitStatus, Name, ProbeFault};
use std::collections::BTreeSet;
use std::time::Duration;

/// Events after which a story is called endless.
const EVENTS_MAX: u32 = 100_000;

/// Something that befalls the process of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfortune {
    /// It ends like this.
    Ends(ExitStatus),
    /// It does nothing any more.
    Hangs,
}

/// What a misfortune would bring about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aftermath {
    /// Services that would be started.
    pub started: BTreeSet<Name>,
    /// Services of which a process would end.
    pub ended: BTreeSet<Name>,
    /// Supervisors that would give up.
    pub gave_up: BTreeSet<Name>,
    /// The class of the end of the service itself, if it ends.
    pub class: Option<Class>,
    /// Whether everybody who was up would be up again within the time.
    pub healed: bool,
}

impl Tree {
    /// What would follow within this time if this befell the process that `node` has now; `None`:
    /// it has none.
    pub fn foresee_misfortune(
        &self,
        node: NodeId,
        (what, within): (Misfortune, Duration),
    ) -> Option<Aftermath> {
        let run = self.view(node)?.run?;
        let mut copy = self.clone();
        let mut world = Obedient::of(&copy);
        let mut after = Aftermath::default();
        let mut now = copy.now;
        let until = now + within;
        let mut next = match what {
            Misfortune::Ends(status) => {
                world.forget(run);
                let facts = ExitFacts::bare(status);
                Some(Event::Exited { run, facts })
            }
            Misfortune::Hangs => None,
        };
        let frozen = (what == Misfortune::Hangs).then_some(run);
        let mut left = EVENTS_MAX;
        loop {
            let Some(event) = next.take().or_else(|| world.next()) else {
                let Some(due) = copy.next_deadline().filter(|due| *due <= until) else {
                    break;
                };
                now = now.max(due);
                for run in copy.watched().filter(|run| Some(*run) != frozen) {
                    let said = Said::Alive;
                    world.give(Event::Said { run, said });
                }
                world.give(Event::Deadline);
                continue;
            };
            left = left.saturating_sub(1);
            if left == 0 {
                break;
            }
            for effect in copy.handle(now, event) {
                after.see(&effect, node);
                respond(&mut world, effect, frozen);
            }
        }
        after.healed = !copy.is_halted() && self.is_as_well(&copy);
        Some(after)
    }

    /// Runs that have to say from time to time that they are alive, and do.
    fn watched(&self) -> impl Iterator<Item = RunId> + use<'_> {
        self.nodes.iter().filter_map(|node| {
            let (Body::Service(Life::Up(run)), spec::Node::Service(service)) =
                (&node.body, &node.spec)
            else {
                return None;
            };
            let (node, life) = (node.id, run.life);
            let watched = service.health.watchdog.is_some();
            watched.then_some(RunId { node, life })
        })
    }

    /// Whether everybody who serves here serves there.
    fn is_as_well(&self, there: &Self) -> bool {
        let serves = |state| matches!(state, State::Ready | State::Up | State::Done);
        let here = self.snapshot().nodes;
        let well = here.iter().filter(|node| serves(node.state));
        let mut names = well.map(|node| node.spec.name());
        names.all(|name| {
            let view = there.node(name).and_then(|id| there.view(id));
            view.is_some_and(|view| serves(view.state))
        })
    }
}

/// Who hangs answers no question; probes of the others succeed.
fn respond(world: &mut Obedient, effect: Effect, frozen: Option<RunId>) {
    match effect {
        Effect::Probe { run, about, .. } => {
            let answer = if Some(about) == frozen {
                ProbeAnswer::of(ProbeFault::TimedOut)
            } else {
                ProbeAnswer::Success
            };
            world.give(Event::ProbeDone { run, answer });
        }
        // A command that asks it hangs with it, until the engine has enough.
        Effect::SpawnHelper { run, about, .. } if about.is_some() && about == frozen => {
            world.hang(run);
        }
        other => world.answer(other),
    }
}

impl Aftermath {
    fn see(&mut self, effect: &Effect, about: NodeId) {
        let Effect::Record(record) = effect else {
            return;
        };
        let Some(name) = &record.name else {
            return;
        };
        match &record.what {
            What::Starting { .. } => {
                self.started.insert(Name::clone(name));
            }
            What::Exited(exit) => {
                self.ended.insert(Name::clone(name));
                if record.node == Some(about) && self.class.is_none() {
                    self.class = Some(exit.class.base);
                }
            }
            What::Exhausted { .. } => {
                self.gave_up.insert(Name::clone(name));
            }
            _other => {}
        }
    }
}
