// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long an incident lasts: from the first end until the service has been ready for
//! `reset_after`, and what somebody does long after that belongs to no incident.

#[path = "scene/parse.rs"]
#[expect(dead_code, reason = "scenarios use more of it")]
mod parse;

use std::sync::Arc;
use std::time::Duration;
use supd::spec::{ExitFacts, ExitStatus};
use supd::tree::{Actor, Command, CommandId, Effect, Event, RunId, Seq, Time, Tree};

/// A service whose program is executed at once, and what was recorded about it last.
struct Play {
    tree: Tree,
    now: Time,
    run: Option<RunId>,
    incidents: Vec<Option<Seq>>,
}

impl Play {
    fn new(text: &str) -> Self {
        let mut play = Self {
            tree: Tree::new(&Arc::new(parse::tree(text)), 1),
            now: Time::default(),
            run: None,
            incidents: Vec::new(),
        };
        play.tell(Event::Boot);
        play
    }

    fn tell(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            for effect in self.tree.handle(self.now, event) {
                match effect {
                    Effect::Spawn { run, .. } => {
                        self.run = Some(run);
                        next = Some(Event::Spawned { run });
                    }
                    Effect::Record(record) => self.incidents.push(record.incident),
                    Effect::SpawnHelper { .. }
                    | Effect::RunHook { .. }
                    | Effect::Signal { .. }
                    | Effect::Probe { .. }
                    | Effect::CancelProbe { .. }
                    | Effect::Answered { .. }
                    | Effect::Reply { .. }
                    | Effect::Halt { .. } => {}
                }
            }
        }
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.tell(Event::Deadline);
    }

    /// The service ends by itself and is ready again at once; the incident of its last record.
    fn crash(&mut self) -> Option<Seq> {
        let run = self.run.expect("it runs");
        let facts = ExitFacts::bare(ExitStatus::Code(1));
        self.tell(Event::Exited { run, facts });
        self.last()
    }

    fn last(&self) -> Option<Seq> {
        *self.incidents.last().expect("something was recorded")
    }
}

#[test]
fn an_incident_lasts_until_the_service_is_stable() {
    let mut play = Play::new("one_for_one [ a(at_once) ]");
    let first = play.crash();
    assert!(first.is_some(), "an end by itself opens one");
    play.wait(9);
    assert_eq!(play.crash(), first, "it was not stable yet");
    play.wait(11);
    let second = play.crash();
    assert!(second.is_some() && second != first, "this is another one");
}

#[test]
fn what_is_done_to_a_stable_service_belongs_to_no_incident() {
    let mut play = Play::new("one_for_one [ a(at_once) ]");
    play.crash();
    play.wait(3600);
    let node = play.tree.node("a").expect("it is in the tree");
    let (id, by) = (CommandId(1), Actor::Supd);
    let command = Command::Reset(node);
    play.tell(Event::Command { id, by, command });
    assert_eq!(play.last(), None);
}
