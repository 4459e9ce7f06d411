// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the replay of recorded OTP behaviour needs beyond the interface, in no release: the module
//! exists with the feature `test-hooks` alone, and answers only a daemon that was started with
//! `SUPD_TEST_HOOKS` in its environment.
//!
//! Requests are `POST /v1/test/{what}/{name}`: `hold` and `release` a supervisor, `count`, `which`
//! and `code_change` as OTP has them, `nodes` with what a status does not show, `advance?ms=` the
//! clock, `panic`, `wait?gone=PID&taken=N&quiet=1` until all of these hold. The engine's clock
//! stands still while nothing waits for time, so that only `advance` and a slow stop use up a
//! window.
//! It hands on and looks; it decides nothing about the tree.

use super::control::{Answer, Request};
use super::desk::{answer, body, word_of};
use super::run::Daemon;
use crate::spec::{Node, Restart, Stop, StopStep, Supervisor, SupervisorKind};
use crate::tree::{ChildStatus, Command, NodeId, NodeView, Outcome, State, Time};
use crate::wire::{ChildRequest, Query, Route, code};
use serde_json::{Value, json};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot::Sender;

/// The daemon's clock against the kernel's.
#[derive(Debug, Clone, Copy)]
enum Flow {
    /// It goes on, this much ahead.
    Ahead(i128),
    /// It stands at this moment.
    Still(u64),
}

thread_local! {
    static FLOW: Cell<Flow> = const { Cell::new(Flow::Ahead(0)) };
}

/// The engine's time when the kernel's is this.
pub(crate) fn moved(kernel_ns: u64) -> Time {
    Time(match FLOW.get() {
        Flow::Ahead(by) => u64::try_from(i128::from(kernel_ns) + by).unwrap_or(kernel_ns),
        Flow::Still(at) => at,
    })
}

fn stand_still(at: Time) {
    if let Flow::Ahead(_) = FLOW.get() {
        FLOW.set(Flow::Still(at.0));
    }
}

fn go_on() {
    if let Flow::Still(at) = FLOW.get() {
        let kernel = crate::sys::clock::now_ns();
        FLOW.set(Flow::Ahead(i128::from(at) - i128::from(kernel)));
    }
}

fn advance(span: Duration) {
    let more = span.as_nanos();
    FLOW.set(match FLOW.get() {
        Flow::Ahead(by) => Flow::Ahead(by + i128::try_from(more).unwrap_or(0)),
        Flow::Still(at) => Flow::Still(at + u64::try_from(more).unwrap_or(0)),
    });
}

/// Whether there is anything to be asked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    Closed,
}

/// What somebody waits for.
#[derive(Debug)]
struct Wanted {
    gone: Option<i32>,
    taken: u64,
    quiet: bool,
    reply: Sender<Answer>,
}

/// The replay's side of the daemon.
#[derive(Debug)]
pub(crate) struct Hooks {
    door: Door,
    /// Requests taken so far, without those of this module.
    taken: u64,
    waiting: Vec<Wanted>,
}

impl Hooks {
    /// Open when the environment says so.
    pub(crate) fn at_start() -> Self {
        let open = std::env::var_os("SUPD_TEST_HOOKS").is_some();
        Self {
            door: if open { Door::Open } else { Door::Closed },
            taken: 0,
            waiting: Vec::new(),
        }
    }

    /// Counts a request; a replay knows by the number that its own was taken.
    pub(crate) fn count(&mut self, route: &Route) {
        let ours = matches!(route, Route::Test(what, _) if !is_call(what));
        self.taken += u64::from(!ours);
    }
}

/// Whether it waits in a supervisor's inbox.
fn is_call(what: &str) -> bool {
    matches!(what, "count" | "which" | "code_change")
}

impl Daemon {
    /// Answers a request of a replay.
    pub(crate) fn take_test(&mut self, request: Request, what: &str, name: &str) {
        let path = request.route.path();
        let unknown = || {
            let message = format!("there is no `{path}`");
            Answer::error(404, code::NO_SUCH_ROUTE, message)
        };
        if self.hooks.door == Door::Closed {
            return answer(request.reply, unknown());
        }
        let reply = match what {
            "wait" => return self.wait_for(request),
            "panic" => panic!("somebody has asked for it"),
            "nodes" => Answer::json(200, &self.nodes()),
            "advance" => {
                let ms = number(&request.query, "ms").unwrap_or(0);
                advance(Duration::from_millis(ms));
                Answer::json(200, &json!({}))
            }
            _ => match self.named(name) {
                Err(unknown) => unknown,
                Ok(node) if is_call(what) => return self.call(request, what, node),
                Ok(node) => match what {
                    "hold" => {
                        self.tree.hold(node);
                        Answer::json(200, &json!({}))
                    }
                    "release" => {
                        let effects = self.tree.release(self.now(), node);
                        self.effects.extend(effects);
                        Answer::json(200, &json!({}))
                    }
                    _ => unknown(),
                },
            },
        };
        answer(request.reply, reply);
    }

    fn call(&mut self, request: Request, what: &str, node: NodeId) {
        let command = match what {
            "count" => Command::Count(node),
            "which" => Command::Which(node),
            _ => match self.new_code(&request, node) {
                Ok(new) => Command::CodeChange(node, new),
                Err(refused) => return answer(request.reply, refused),
            },
        };
        self.order_for_test(request, command);
    }

    /// A supervisor's new specification, read as a child of the one it has above.
    fn new_code(&self, request: &Request, node: NodeId) -> Result<Arc<Supervisor>, Answer> {
        let text = body::<ChildRequest>(&request.body)?
            .toml
            .unwrap_or_default();
        let above = self.tree.view(node).and_then(|view| view.parent);
        let above = above
            .and_then(|id| self.tree.view(id))
            .map(|view| view.spec);
        let new = match above {
            Some(Node::Supervisor(above)) => self.desk.config.child(&text, &above)?.node,
            Some(Node::Service(_)) | None => Node::Supervisor(self.desk.config.root(&text)?),
        };
        match new {
            Node::Supervisor(new) => Ok(new),
            Node::Service(service) => {
                let message = format!("`{}` is no supervisor", service.name);
                Err(Answer::error(422, code::INVALID_CONFIG, message))
            }
        }
    }

    /// What the engine answered to a call.
    pub(crate) fn test_reply(&self, outcome: &Outcome) -> Answer {
        let value = match outcome {
            Outcome::Counts(counts) => json!({
                "specs": counts.specs,
                "active": counts.active,
                "supervisors": counts.supervisors,
                "workers": counts.workers,
            }),
            Outcome::Children(children) => children
                .iter()
                .map(|(id, status)| json!([self.press.names.name(*id), status_word(*status)]))
                .collect(),
            other => json!({ "outcome": word_of(other).1 }),
        };
        Answer::json(200, &value)
    }

    fn wait_for(&mut self, request: Request) {
        let query = &request.query;
        let gone = number(query, "gone").and_then(|pid| i32::try_from(pid).ok());
        self.hooks.waiting.push(Wanted {
            gone,
            taken: number(query, "taken").unwrap_or(0),
            quiet: query.is_on("quiet"),
            reply: request.reply,
        });
    }

    /// The end of a turn: the clock goes on while something waits for time, and who waits is
    /// answered when what it waits for is the case.
    pub(crate) fn finish_turn_for_tests(&mut self) {
        if self.hooks.door == Door::Closed {
            return;
        }
        if self.tree.next_deadline().is_some() || self.halt.is_some() {
            go_on();
        } else {
            stand_still(super::pulse::now());
        }
        if self.halt.is_some() {
            // Who waits is told at once that there is nobody any more.
            return self.hooks.waiting.clear();
        }
        if self.hooks.waiting.is_empty() || !self.is_idle() {
            return;
        }
        let quiet = self.is_quiet();
        for wanted in std::mem::take(&mut self.hooks.waiting) {
            let gone = wanted.gone.is_none_or(|pid| !self.world.has_pid(pid));
            let taken = self.hooks.taken >= wanted.taken;
            if gone && taken && (quiet || !wanted.quiet) {
                let value = json!({
                    "taken": self.hooks.taken,
                    "seq": self.press.journal.last(),
                });
                answer(wanted.reply, Answer::json(200, &value));
            } else {
                self.hooks.waiting.push(wanted);
            }
        }
    }

    /// Whether nothing more happens by itself.
    fn is_quiet(&self) -> bool {
        let moving = |view: &NodeView| match view.state {
            State::Starting
            | State::Stopping
            | State::Backoff
            | State::Remediating
            | State::Held => true,
            // Its end is not looked at yet; who waits for a sibling goes on when that one does.
            State::Waiting => view.waiting_for.is_none(),
            State::Ready
            | State::Unready
            | State::Up
            | State::Degraded
            | State::Stopped
            | State::Unkillable
            | State::Parked
            | State::Done
            | State::Down => false,
        };
        self.tree.next_deadline().is_none() && !self.tree.snapshot().nodes.iter().any(moving)
    }

    /// Every node in pre-order with its effective specification, in OTP's words.
    fn nodes(&self) -> Value {
        let nodes = self.tree.snapshot().nodes;
        nodes.iter().map(node_line).collect()
    }
}

fn node_line(view: &NodeView) -> Value {
    let (kind, shutdown, pool) = match &view.spec {
        Node::Service(service) => ("worker", shutdown_of(&service.stop), false),
        Node::Supervisor(sup) => (
            "supervisor",
            json!("infinity"),
            sup.kind == SupervisorKind::Pool,
        ),
    };
    let restart = match view.spec.restart() {
        Restart::Permanent => "permanent",
        Restart::Transient => "transient",
        Restart::Temporary => "temporary",
    };
    json!({
        "name": &**view.spec.name(),
        "type": kind,
        "restart": restart,
        "significant": view.spec.significant(),
        "shutdown": shutdown,
        "pool": pool,
        "recorded": view.recorded.map(|(since_start, _)| since_start),
    })
}

fn shutdown_of(stop: &Stop) -> Value {
    match stop.steps.first() {
        None => json!("brutal_kill"),
        Some(StopStep { timeout: None, .. }) => json!("infinity"),
        Some(StopStep {
            timeout: Some(time),
            ..
        }) => json!(super::line::millis(*time)),
    }
}

fn status_word(status: ChildStatus) -> &'static str {
    match status {
        ChildStatus::Running => "running",
        ChildStatus::Restarting => "restarting",
        ChildStatus::Stopped => "stopped",
    }
}

fn number(query: &Query, key: &str) -> Option<u64> {
    query.get(key).and_then(|text| text.parse().ok())
}
