// SPDX-License-Identifier: MIT OR Apache-2.0
//! Performs the operations of a case and collects what is seen after each.
//!
//! Paths are resolved here, as a client would resolve them: an operation on a child that nobody
//! knows, or on a supervisor that does not run, is answered without asking the engine.

use super::case::{Case, Kind, Observation, Op, Reason, RestartType, Spec, StrategyName};
use super::compare::sort_pool_stops;
use super::kernel::{Kernel, Manner};
use super::specs;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use supd::spec::{Node, Restart, Signal};
use supd::tree::{
    Actor, ChildStatus, Command, CommandId, Event, Haste, NodeId, NodeView, Outcome, State, Tree,
};

/// A case under way.
#[derive(Debug)]
pub(crate) struct Script {
    kernel: Kernel,
    manner: Manner,
    root: String,
    /// The window's use is not recorded where real time passed.
    timing: bool,
    /// The template of each pool, by path.
    templates: BTreeMap<String, Spec>,
    last_command: u64,
}

/// An answer there is already, or one to wait for.
enum Answer {
    Now(Value),
    Later(CommandId),
}

/// Who asks; no case depends on it.
const CLIENT: Actor = Actor::Client { uid: 0, pid: 1000 };

impl Script {
    pub(crate) fn new(case: &Case, manner: Manner) -> Self {
        let tree = specs::tree(&case.tree, &manner.ready());
        let mut script = Self {
            kernel: Kernel::new(Tree::new(&Arc::new(tree), 1), manner),
            manner,
            root: case.tree.id.clone(),
            timing: case.kind == "timing",
            templates: BTreeMap::new(),
            last_command: 0,
        };
        script.learn(&case.tree, &case.tree.id);
        script.count_failures(&case.tree, &case.tree.id);
        script
    }

    pub(crate) fn boot(&mut self) -> Observation {
        self.kernel.give(Event::Boot);
        self.kernel.settle();
        let up = self.view(&self.root).is_some_and(|view| is_up(&view));
        self.observe(json!(if up { "ok" } else { "start_failed" }), 0)
    }

    pub(crate) fn perform(&mut self, op: &Op) -> Observation {
        self.kernel.trace.push(format!("== {op:?}"));
        let (answer, own) = match op {
            Op::Batch { sup, items } => return self.batch(sup, items),
            Op::Exit { .. } | Op::Kill { .. } => (self.stimulus(op), 1),
            Op::FailNext { .. } | Op::Advance { .. } | Op::Shutdown => (self.stimulus(op), 0),
            Op::TerminateChild { .. }
            | Op::RestartChild { .. }
            | Op::DeleteChild { .. }
            | Op::StartChild { .. }
            | Op::CountChildren { .. }
            | Op::WhichChildren { .. }
            | Op::GetChildSpec { .. }
            | Op::Reload { .. } => (self.call(op), 0),
        };
        self.kernel.settle();
        let result = self.take(answer);
        if result == "ok" {
            self.learn_from(op);
        }
        self.observe(result, own)
    }

    pub(crate) fn trace(&self) -> &[String] {
        &self.kernel.trace
    }

    /// The supervisor looks only after everything has been delivered.
    fn batch(&mut self, sup: &str, items: &[Op]) -> Observation {
        let held = self.view(sup).map(|view| view.id);
        if let Some(id) = held {
            self.kernel.hold(id);
        }
        let mut answers = Vec::new();
        let mut own = 0;
        for item in items {
            own += usize::from(matches!(item, Op::Exit { .. } | Op::Kill { .. }));
            let answer = match item {
                Op::Exit { .. } | Op::Kill { .. } | Op::FailNext { .. } => self.stimulus(item),
                _ => self.call(item),
            };
            self.kernel.deliver();
            answers.push(answer);
        }
        if let Some(id) = held {
            self.kernel.release(id);
        }
        self.kernel.settle();
        let mut results = Vec::new();
        for (item, answer) in items.iter().zip(answers) {
            let result = self.take(answer);
            if result == "ok" {
                self.learn_from(item);
            }
            results.push(result);
        }
        self.observe(Value::from(results), own)
    }

    /// What happens to the processes or to the clock, without anybody being asked.
    fn stimulus(&mut self, op: &Op) -> Answer {
        let done = match op {
            Op::Exit { id, reason } => self.kernel.end(id, *reason),
            Op::Kill { id } => self.kernel.end(id, Reason::Killed),
            Op::FailNext { id, count } => {
                self.kernel.fail_next.insert(id.clone(), *count);
                true
            }
            Op::Advance { ms } => {
                self.kernel.advance(Duration::from_millis(*ms));
                true
            }
            Op::Shutdown => {
                self.kernel.give(Event::Shutdown {
                    haste: Haste::Orderly,
                    by: Actor::Signal(Signal::TERM),
                });
                true
            }
            _ => false,
        };
        Answer::Now(json!(if done { "ok" } else { "no such process" }))
    }

    /// A call to a supervisor.
    fn call(&mut self, op: &Op) -> Answer {
        let (Op::TerminateChild { sup, .. }
        | Op::RestartChild { sup, .. }
        | Op::DeleteChild { sup, .. }
        | Op::StartChild { sup, .. }
        | Op::CountChildren { sup }
        | Op::WhichChildren { sup }
        | Op::GetChildSpec { sup, .. }
        | Op::Reload { sup, .. }) = op
        else {
            return Answer::Now(json!("not a call"));
        };
        let Some(view) = self.view(sup).filter(is_up) else {
            return Answer::Now(json!("supervisor_down"));
        };
        let id = view.id;
        let command = match op {
            Op::TerminateChild { child, .. } => self.child(id, child).map(Command::Stop),
            Op::RestartChild { child, .. } => self.child(id, child).map(Command::Start),
            Op::DeleteChild { child, .. } => self.child(id, child).map(Command::Delete),
            Op::GetChildSpec { child, .. } => return Answer::Now(self.child_spec(sup, child)),
            Op::StartChild { spec, instance, .. } => {
                let child = self.to_start(sup, spec.as_deref(), instance.as_deref());
                child.map(|child| Command::Add(id, child))
            }
            Op::CountChildren { .. } => Some(Command::Count(id)),
            Op::WhichChildren { .. } => Some(Command::Which(id)),
            Op::Reload { spec, .. } => {
                let spec = reloaded(&view, spec);
                let new = specs::supervisor(&spec, &self.manner.ready());
                Some(Command::CodeChange(id, Arc::new(new)))
            }
            _ => None,
        };
        let Some(command) = command else {
            let pool = self.templates.contains_key(sup);
            let unknown = if pool {
                "simple_one_for_one"
            } else {
                "not_found"
            };
            return Answer::Now(json!(unknown));
        };
        self.last_command += 1;
        let id = CommandId(self.last_command);
        let by = CLIENT;
        self.kernel.give(Event::Command { id, by, command });
        Answer::Later(id)
    }

    fn to_start(&self, sup: &str, spec: Option<&Spec>, instance: Option<&str>) -> Option<Node> {
        let ready = self.manner.ready();
        if let Some(spec) = spec {
            return Some(specs::node(spec, &ready));
        }
        let mut template = self.templates.get(sup)?.clone();
        instance?.clone_into(&mut template.id);
        Some(specs::node(&template, &ready))
    }

    fn take(&mut self, answer: Answer) -> Value {
        let id = match answer {
            Answer::Now(value) => return value,
            Answer::Later(id) => id,
        };
        match self.kernel.take_reply(id) {
            None => json!("no answer"),
            Some(outcome) => self.value(outcome),
        }
    }

    fn value(&self, outcome: Outcome) -> Value {
        json!(match outcome {
            Outcome::Done => "ok",
            Outcome::Running => "running",
            Outcome::Restarting => "restarting",
            Outcome::NotFound => "not_found",
            Outcome::StartFailed => "start_failed",
            Outcome::AlreadyStarted => "already_started",
            Outcome::AlreadyPresent => "already_present",
            Outcome::InvalidSpec => "invalid_spec",
            Outcome::SupervisorDown => "supervisor_down",
            Outcome::Unsupported => "simple_one_for_one",
            Outcome::Counts(counts) => {
                return json!({
                    "specs": counts.specs,
                    "active": counts.active,
                    "supervisors": counts.supervisors,
                    "workers": counts.workers,
                });
            }
            Outcome::Children(children) => {
                let shown = children.iter().map(|(id, status)| {
                    let status = match status {
                        ChildStatus::Running => "running",
                        ChildStatus::Restarting => "restarting",
                        ChildStatus::Stopped => "stopped",
                    };
                    let path = self.kernel.reporter.known(*id).map(|known| &known.path);
                    let name = path.and_then(|path| path.rsplit('.').next());
                    json!([name, status])
                });
                return shown.collect();
            }
            other => return json!(format!("{other:?}")),
        })
    }

    fn observe(&mut self, result: Value, own: usize) -> Observation {
        let mut events = std::mem::take(&mut self.kernel.seen);
        let templates = &self.templates;
        sort_pool_stops(&mut events, own, &|sup| templates.contains_key(sup));
        Observation {
            result,
            events,
            reports: std::mem::take(&mut self.kernel.reporter.reports),
            state: self.state(),
        }
    }

    /// The tree as the recordings show it: nothing below a supervisor that is down.
    fn state(&self) -> Vec<Vec<Value>> {
        let mut rows: Vec<Vec<Value>> = Vec::new();
        let mut down: Option<u16> = None;
        for view in self.kernel.tree.snapshot().nodes {
            let depth = u16::try_from(view.depth).unwrap_or(u16::MAX);
            if down.is_some_and(|top| depth > top) {
                continue;
            }
            let up = is_up(&view);
            let supervisor = matches!(view.spec, Node::Supervisor(_));
            down = (supervisor && !up).then_some(depth);
            let path = self.kernel.reporter.known(view.id).map(|known| &known.path);
            let mut row = vec![json!(path), json!(if up { "running" } else { "stopped" })];
            if supervisor && up && !self.timing {
                row.push(json!(view.recorded.map(|(since_start, _)| since_start)));
            }
            rows.push(row);
        }
        self.sort_instances(&mut rows);
        rows
    }

    fn sort_instances(&self, rows: &mut [Vec<Value>]) {
        let pool = |row: &Vec<Value>| -> Option<String> {
            let (sup, _) = row.first()?.as_str()?.rsplit_once('.')?;
            self.templates.contains_key(sup).then(|| sup.to_owned())
        };
        for run in rows.chunk_by_mut(|a, b| pool(a).is_some() && pool(a) == pool(b)) {
            run.sort_by_key(|row| row.first().map(ToString::to_string));
        }
    }

    fn child_spec(&self, sup: &str, child: &str) -> Value {
        let view = self.view(&format!("{sup}.{child}"));
        view.map_or_else(|| json!("not_found"), |view| specs::shown(&view.spec))
    }

    fn child(&self, sup: NodeId, name: &str) -> Option<NodeId> {
        self.kernel.tree.child(sup, name)
    }

    fn view(&self, path: &str) -> Option<NodeView> {
        let known = |id| {
            self.kernel
                .reporter
                .known(id)
                .map(|known| known.path.as_str())
        };
        let snapshot = self.kernel.tree.snapshot();
        snapshot
            .nodes
            .into_iter()
            .find(|view| known(view.id) == Some(path))
    }

    /// A specification that was accepted counts from then on.
    fn learn_from(&mut self, op: &Op) {
        match op {
            Op::StartChild {
                sup,
                spec: Some(spec),
                ..
            } => {
                self.learn(spec, &format!("{sup}.{}", spec.id));
            }
            Op::Reload { sup, spec } => self.learn(spec, sup),
            _ => {}
        }
    }

    /// Remembers the templates of pools.
    fn learn(&mut self, spec: &Spec, path: &str) {
        if spec.kind == Kind::Supervisor && spec.strategy == Some(StrategyName::SimpleOneForOne) {
            if let Some(template) = spec.children.first() {
                let id = template.id.clone();
                self.kernel.reporter.templates.insert(path.to_owned(), id);
                self.templates.insert(path.to_owned(), template.clone());
            }
        } else {
            self.templates.remove(path);
            self.kernel.reporter.templates.remove(path);
        }
        for child in &spec.children {
            self.learn(child, &format!("{path}.{}", child.id));
        }
    }

    fn count_failures(&mut self, spec: &Spec, path: &str) {
        if spec.fail_next > 0 {
            self.kernel
                .fail_next
                .insert(path.to_owned(), spec.fail_next);
        }
        for child in &spec.children {
            self.count_failures(child, &format!("{path}.{}", child.id));
        }
    }
}

/// What a supervisor says to its own supervisor is not part of the flags that are replaced.
fn reloaded(view: &NodeView, spec: &Spec) -> Spec {
    let mut spec = spec.clone();
    spec.restart = Some(match view.spec.restart() {
        Restart::Permanent => RestartType::Permanent,
        Restart::Transient => RestartType::Transient,
        Restart::Temporary => RestartType::Temporary,
    });
    spec.significant = view.spec.significant();
    spec
}

/// OTP's "running": a process, or a supervisor that is not going down.
fn is_up(view: &NodeView) -> bool {
    match view.state {
        State::Ready | State::Unready | State::Up | State::Degraded => true,
        State::Starting
        | State::Stopping
        | State::Stopped
        | State::Backoff
        | State::Remediating
        | State::Held
        | State::Parked
        | State::Waiting
        | State::Unkillable
        | State::Done
        | State::Down => false,
    }
}
