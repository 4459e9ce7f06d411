// SPDX-License-Identifier: MIT OR Apache-2.0
//! `POST /v1/drill`: a fault on purpose, one at a time, in a tree that is well.
//!
//! What would follow is foreseen by the engine on a copy, before anything is done. What was done is
//! undone here and not by the client, which may be gone by then: a process that was stopped goes on
//! when the time is over. It decides nothing about services: the engine hears of the end of a
//! process as of any other.

use super::control::{Answer, Request};
use super::desk::{actor, answer, body};
use super::run::Daemon;
use super::{line, note};
use crate::spec::{ExitFacts, ExitStatus, Node, Scope, Signal};
use crate::tree::{Misfortune, NodeId, RunId, State, Time};
use crate::wire::{DrillReply, DrillRequest, Word, code};
use std::time::Duration;

/// How long a fault may take when nobody says.
const WITHIN: Duration = Duration::from_secs(30);
/// And at most.
const WITHIN_MAX: Duration = Duration::from_secs(600);
/// Signals that end a process, and say nothing else.
const KILLS: [Signal; 4] = [Signal::KILL, Signal::ABRT, Signal::SEGV, Signal::TERM];

/// The fault that is under way.
#[derive(Debug, Default)]
pub(crate) struct Drill {
    /// Whose process was stopped, and until when.
    frozen: Option<(RunId, Time)>,
    /// Whose end is to be taken as an exit with this code.
    exits: Option<(RunId, u8)>,
}

impl Drill {
    /// What is told of the end of a run.
    pub(crate) fn told(&mut self, run: RunId, facts: ExitFacts) -> ExitFacts {
        let own = self.exits.take_if(|(whose, _)| *whose == run);
        let killed = matches!(facts.status, ExitStatus::Signal { .. });
        match own {
            Some((_, code)) if killed => ExitFacts {
                status: ExitStatus::Code(code),
                ..facts
            },
            Some(_) | None => facts,
        }
    }

    /// When something is to be undone.
    pub(crate) fn due(&self) -> Option<Time> {
        self.frozen.map(|(_, until)| until)
    }
}

/// A fault that can be brought about.
struct Order {
    node: NodeId,
    run: RunId,
    what: Misfortune,
    signal: Signal,
    within: Duration,
}

impl Daemon {
    /// `POST /v1/drill`.
    pub(crate) fn drill(&mut self, request: Request) {
        let asked = match body::<DrillRequest>(&request.body) {
            Ok(asked) => asked,
            Err(refused) => return answer(request.reply, refused),
        };
        let done = self.drill_order(&asked).and_then(|order| {
            let seen = self
                .tree
                .foresee_misfortune(order.node, (order.what, order.within))
                .ok_or_else(|| conflict("it has no process now", "supctl status"))?;
            let words = |names: std::collections::BTreeSet<crate::spec::Name>| {
                names.iter().map(ToString::to_string).collect()
            };
            let mut reply = DrillReply {
                node: self.press.names.name(order.node).to_owned(),
                pid: None,
                seq: self.press.journal.last(),
                restarted: words(seen.started),
                ended: words(seen.ended),
                gave_up: words(seen.gave_up),
                class: seen.class.map(|class| Word::Borrowed(class.as_str())),
                healed: seen.healed,
            };
            if !asked.dry {
                reply.pid = self.world.pid_of(order.run);
                self.befall(&order, &request);
            }
            Ok(Answer::json(200, &reply))
        });
        answer(request.reply, done.unwrap_or_else(|refused| refused));
    }

    fn drill_order(&self, asked: &DrillRequest) -> Result<Order, Answer> {
        let node = self.named(&asked.node)?;
        let (what, signal) = match (&asked.kill, asked.hang, asked.exit) {
            (Some(name), false, None) => {
                let signal = name.parse().ok().filter(|s| KILLS.contains(s));
                let signal = signal.ok_or_else(|| {
                    Answer::error(
                        400,
                        code::BAD_REQUEST,
                        format!("`{name}` cannot be drilled"),
                    )
                    .hint("KILL, ABRT, SEGV or TERM")
                })?;
                let core = false;
                (
                    Misfortune::Ends(ExitStatus::Signal { signal, core }),
                    signal,
                )
            }
            (None, true, None) => (Misfortune::Hangs, Signal::STOP),
            (None, false, Some(code)) => (Misfortune::Ends(ExitStatus::Code(code)), Signal::KILL),
            _ => {
                let message = "it has to be one of kill, hang and exit";
                return Err(
                    Answer::error(400, code::BAD_REQUEST, message).hint("supctl drill web --kill")
                );
            }
        };
        let view = self.tree.view(node);
        let view = view.ok_or_else(|| conflict("the node is gone", "supctl status"))?;
        if matches!(view.spec, Node::Supervisor(_)) {
            return Err(conflict("only a service has a process", "supctl tree"));
        }
        if view.pinned {
            return Err(conflict(
                "it is pinned",
                &format!("supctl unpin {}", view.spec.name()),
            ));
        }
        let run = view.run.filter(|_| matches!(view.state, State::Ready));
        let run = run.ok_or_else(|| {
            conflict(
                "it is not ready",
                &format!("supctl why {}", view.spec.name()),
            )
        })?;
        if let Some(ill) = self.not_steady() {
            return Err(conflict(
                &format!("the tree is not steady: {ill}"),
                "supctl status shows who is not well",
            ));
        }
        let within = asked.within_ms.map_or(WITHIN, Duration::from_millis);
        Ok(Order {
            node,
            run,
            what,
            signal,
            within: within.min(WITHIN_MAX),
        })
    }

    /// Who is not as it should be; whoever was stopped by hand is.
    fn not_steady(&self) -> Option<String> {
        if self.world.drill.frozen.is_some() || self.world.drill.exits.is_some() {
            return Some("another drill is under way".to_owned());
        }
        let nodes = self.tree.snapshot().nodes;
        let ill = nodes.iter().find(|node| match node.state {
            // Of a supervisor that is degraded, the child that is ill is named.
            State::Ready | State::Up | State::Done | State::Degraded => false,
            State::Stopped => node.stopped_by.is_none() && node.alive,
            _other => true,
        })?;
        Some(format!("{} is {}", ill.spec.name(), ill.state.as_str()))
    }

    fn befall(&mut self, order: &Order, request: &Request) {
        let name = self.press.names.name(order.node).to_owned();
        let until = self.now() + order.within;
        let words = match order.what {
            Misfortune::Hangs => {
                self.world.drill.frozen = Some((order.run, until));
                format!("{name} hangs for {} ms", line::millis(order.within))
            }
            Misfortune::Ends(ExitStatus::Code(code)) => {
                self.world.drill.exits = Some((order.run, code));
                format!("{name} exits {code}")
            }
            Misfortune::Ends(ExitStatus::Signal { signal, .. }) => {
                format!("{name} is killed by SIG{signal}")
            }
        };
        self.note_by(note::DRILL_INJECTED, words, Some(actor(request)));
        self.world.signal(order.run, order.signal, Scope::Leader);
    }

    /// What was done for a time is undone.
    pub(crate) fn end_drill(&mut self, now: Time) {
        let drill = &mut self.world.drill;
        let over = drill.frozen.take_if(|(_, until)| *until <= now);
        if let Some((run, _)) = over {
            self.world.signal(run, Signal::CONT, Scope::Leader);
            let name = self.press.names.name(run.node).to_owned();
            self.note(note::DRILL_UNDONE, format!("{name} goes on"));
        }
    }
}

fn conflict(message: &str, hint: &str) -> Answer {
    Answer::error(409, code::CONFLICT, message).hint(hint)
}
