// SPDX-License-Identifier: MIT OR Apache-2.0
//! Performs the operations of a case on a daemon and collects what is seen after each.
//!
//! A step is over when the daemon says that it is quiet; nothing here waits for time. Paths are
//! resolved by the state before the step, as a client would resolve them.

use super::Programs;
use super::config::{Writer, name_of, path_of};
use super::daemon::{Answered, Daemon, Pending};
use super::watch::{Known, Watch};
use crate::otp::case::{Case, Kind, Observation, Op, Reason, RestartType, Spec, StrategyName};
use crate::otp::compare::sort_pool_stops;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A node as the daemon has it.
#[derive(Debug, Clone)]
struct Node {
    path: String,
    up: bool,
    pid: Option<i32>,
    /// Restarts since a supervisor was started.
    recorded: Value,
    spec: Value,
}

/// A case under way.
pub(crate) struct Script<'a> {
    programs: &'a Programs,
    dir: PathBuf,
    daemon: Daemon,
    watch: Watch,
    /// The window's use is not recorded where real time passed.
    timing: bool,
    /// The template of each pool, by path.
    templates: BTreeMap<String, Spec>,
    /// The tree after the last step; empty: the daemon is gone.
    nodes: Vec<Node>,
    /// Requests the daemon has taken.
    taken: u64,
    errors: usize,
    /// What went on, for people.
    pub(crate) trace: Vec<String>,
}

/// An answer there is already, or one to wait for.
enum Answer {
    Now(Value),
    Later(Pending),
}

/// Ends of a program that OTP would call an error.
const ERRORS: [Signal; 3] = [Signal::SIGUSR2, Signal::SIGHUP, Signal::SIGALRM];

impl<'a> Script<'a> {
    /// Starts a daemon with the tree of the case.
    pub(crate) fn new(case: &Case, programs: &'a Programs, dir: &Path) -> Result<Self, String> {
        let failed = |e: std::io::Error| format!("cannot start: {e}\n");
        let writer = Writer { programs, dir };
        let text = writer.tree(&case.tree);
        std::fs::write(dir.join("supd.toml"), text).map_err(failed)?;
        let mut watch = Watch::default();
        let mut templates = BTreeMap::new();
        learn(&mut templates, &case.tree, "root");
        know(&mut watch.known, &case.tree, "root");
        for (path, count) in failures(&case.tree, "root") {
            set_counter(dir, &path, count).map_err(failed)?;
        }
        let mut script = Self {
            programs,
            dir: dir.to_owned(),
            daemon: Daemon::start(programs, dir).map_err(failed)?,
            watch,
            timing: case.kind == "timing",
            templates,
            nodes: Vec::new(),
            taken: 0,
            errors: 0,
            trace: Vec::new(),
        };
        script.share_templates();
        Ok(script)
    }

    /// The initial start.
    pub(crate) fn boot(&mut self) -> Result<Observation, String> {
        self.daemon.serves()?;
        let mut got = self.observe(json!("ok"), 0)?;
        if self.nodes.is_empty() {
            got.result = json!("start_failed");
        }
        Ok(got)
    }

    /// One step.
    pub(crate) fn perform(&mut self, op: &Op) -> Result<Observation, String> {
        self.trace.push(format!("== {op:?}"));
        self.expect_of(op);
        if let Op::Batch { sup, items } = op {
            return self.batch(sup, items);
        }
        let own = usize::from(matches!(op, Op::Exit { .. } | Op::Kill { .. }));
        let answer = self.one(op)?;
        let result = self.take(op, answer);
        if result == "ok" {
            self.learn_from(op);
        }
        self.observe(result, own)
    }

    /// The supervisor looks only after everything has been delivered.
    fn batch(&mut self, sup: &str, items: &[Op]) -> Result<Observation, String> {
        let name = self.name(sup);
        let held = self.node(sup).is_some();
        self.taken = self.taken_now();
        if held {
            self.test(&format!("hold/{name}"), "");
        }
        let mut answers = Vec::new();
        let mut own = 0;
        for item in items {
            own += usize::from(matches!(item, Op::Exit { .. } | Op::Kill { .. }));
            let answer = self.one(item)?;
            if let Answer::Later(_) = answer {
                self.await_taken()?;
            }
            answers.push(answer);
        }
        if held {
            self.test(&format!("release/{name}"), "");
        }
        let mut results = Vec::new();
        for (item, answer) in items.iter().zip(answers) {
            let result = self.take(item, answer);
            if result == "ok" {
                self.learn_from(item);
            }
            results.push(result);
        }
        self.observe(Value::from(results), own)
    }

    fn one(&mut self, op: &Op) -> Result<Answer, String> {
        let done = match op {
            Op::Exit { id, reason } => {
                let signal = self.signal_for(*reason);
                self.send_signal(id, signal)?
            }
            Op::Kill { id } => self.send_signal(id, Signal::SIGKILL)?,
            Op::FailNext { id, count } => {
                let name = self.name(id);
                set_counter(&self.dir, &name, *count).map_err(|e| format!("no counter: {e}\n"))?;
                true
            }
            Op::Advance { ms } => {
                self.test(&format!("advance?ms={ms}"), "");
                true
            }
            Op::Shutdown => return self.later("POST /v1/shutdown?wait=60s", ""),
            Op::TerminateChild { .. }
            | Op::RestartChild { .. }
            | Op::DeleteChild { .. }
            | Op::StartChild { .. }
            | Op::CountChildren { .. }
            | Op::WhichChildren { .. }
            | Op::GetChildSpec { .. }
            | Op::Reload { .. }
            | Op::Batch { .. } => return self.call(op),
        };
        Ok(Answer::Now(json!(if done {
            "ok"
        } else {
            "no such process"
        })))
    }

    /// A call to a supervisor.
    fn call(&mut self, op: &Op) -> Result<Answer, String> {
        let Some(sup) = sup_of(op) else {
            return Ok(Answer::Now(json!("not a call")));
        };
        if !self.node(sup).is_some_and(|node| node.up) {
            return Ok(Answer::Now(json!("supervisor_down")));
        }
        let name = self.name(sup);
        match op {
            Op::TerminateChild { child, .. } => self.on_child(sup, child, ("POST", "/stop")),
            Op::RestartChild { child, .. } => self.on_child(sup, child, ("POST", "/start")),
            Op::DeleteChild { child, .. } => self.on_child(sup, child, ("DELETE", "")),
            Op::GetChildSpec { child, .. } => {
                let spec = self.node(&format!("{sup}.{child}")).map(|n| n.spec.clone());
                Ok(Answer::Now(spec.unwrap_or_else(|| json!("not_found"))))
            }
            Op::StartChild { spec, instance, .. } => {
                let body = match (spec, instance) {
                    (Some(spec), _) => {
                        let path = format!("{sup}.{}", spec.id);
                        json!({ "toml": self.writer().node(spec, &path) })
                    }
                    (None, name) => json!({ "instance": name }),
                };
                let line = format!("POST /v1/nodes/{name}/children?wait=60s");
                self.later(&line, &body.to_string())
            }
            Op::CountChildren { .. } => self.later(&format!("POST /v1/test/count/{name}"), ""),
            Op::WhichChildren { .. } => self.later(&format!("POST /v1/test/which/{name}"), ""),
            Op::Reload { spec, .. } => {
                let body = json!({ "toml": self.writer().node(spec, sup) });
                self.later(
                    &format!("POST /v1/test/code_change/{name}"),
                    &body.to_string(),
                )
            }
            _ => Ok(Answer::Now(json!("not a call"))),
        }
    }

    fn on_child(
        &self,
        sup: &str,
        child: &str,
        (method, rest): (&str, &str),
    ) -> Result<Answer, String> {
        let path = format!("{sup}.{child}");
        if self.node(&path).is_none() {
            return Ok(Answer::Now(json!(self.unknown(sup))));
        }
        let name = self.name(&path);
        self.later(&format!("{method} /v1/nodes/{name}{rest}?wait=60s"), "")
    }

    fn unknown(&self, sup: &str) -> &'static str {
        if self.templates.contains_key(sup) {
            "simple_one_for_one"
        } else {
            "not_found"
        }
    }

    fn later(&self, line: &str, body: &str) -> Result<Answer, String> {
        let sent = self.daemon.send(line, body);
        sent.map(Answer::Later)
            .map_err(|e| format!("cannot send `{line}`: {e}\n"))
    }

    /// Waits until the daemon has taken one request more.
    fn await_taken(&mut self) -> Result<(), String> {
        let line = format!("wait?taken={}", self.taken + 1);
        self.taken = match self.test(&line, "") {
            Answered::With(200, value) => value["taken"].as_u64().unwrap_or_default(),
            Answered::With(status, value) => return Err(format!("{status} {value}\n")),
            Answered::Nobody => return Err("the daemon ended in a batch\n".to_owned()),
        };
        Ok(())
    }

    fn test(&self, what: &str, body: &str) -> Answered {
        self.daemon.ask(&format!("POST /v1/test/{what}"), body)
    }

    fn signal_for(&mut self, reason: Reason) -> Signal {
        match reason {
            Reason::Normal | Reason::Shutdown | Reason::StartFailed => Signal::SIGUSR1,
            Reason::Killed => Signal::SIGKILL,
            Reason::Error => {
                self.errors += 1;
                ERRORS[self.errors % ERRORS.len()]
            }
        }
    }

    /// Ends the process of a worker and waits until the daemon has noticed.
    fn send_signal(&mut self, path: &str, signal: Signal) -> Result<bool, String> {
        let Some(pid) = self.node(path).and_then(|node| node.pid) else {
            return Ok(false);
        };
        kill(Pid::from_raw(pid), signal).map_err(|e| format!("cannot end {path}: {e}\n"))?;
        match self.test(&format!("wait?gone={pid}"), "") {
            Answered::With(200, _) | Answered::Nobody => Ok(true),
            Answered::With(status, value) => {
                Err(format!("{path} does not end: {status} {value}\n"))
            }
        }
    }

    fn take(&self, op: &Op, answer: Answer) -> Value {
        let answered = match answer {
            Answer::Now(value) => return value,
            Answer::Later(pending) => pending.answer(),
        };
        let (status, value) = match answered {
            Answered::With(status, value) => (status, value),
            Answered::Nobody if matches!(op, Op::Shutdown) => return json!("ok"),
            Answered::Nobody => return json!("supervisor_down"),
        };
        if let (Op::WhichChildren { .. }, Value::Array(rows)) = (op, &value) {
            let id = |row: &Value| {
                let path = path_of(row[0].as_str().unwrap_or_default());
                let id = path.rsplit('.').next().unwrap_or_default().to_owned();
                json!([id, row[1]])
            };
            return rows.iter().map(id).collect();
        }
        match (status, value["outcome"].as_str()) {
            (200, None) => value,
            (200, Some("done")) => json!("ok"),
            (200, Some("unsupported")) => json!("simple_one_for_one"),
            (200, Some(word)) => json!(word),
            (404, _) => json!(sup_of(op).map_or("not_found", |sup| self.unknown(sup))),
            (422, _) => json!("invalid_spec"),
            _ => json!(format!("{status} {value}")),
        }
    }

    /// Waits until nothing more happens, and says what is the case then.
    fn observe(&mut self, result: Value, own: usize) -> Result<Observation, String> {
        let until = match self.test("wait?quiet=1", "") {
            Answered::With(200, value) => value["seq"].as_u64(),
            Answered::With(status, value) => return Err(format!("{status} {value}\n")),
            Answered::Nobody => None,
        };
        for event in self.daemon.events(until)? {
            let line = serde_json::to_string(&event).unwrap_or_default();
            self.trace.push(line);
            self.watch.take(&event);
        }
        if until.is_some() {
            self.nodes = self.look()?;
        } else {
            self.daemon.ended().map_err(|e| format!("{e}\n"))?;
            self.nodes.clear();
        }
        let mut events = std::mem::take(&mut self.watch.seen);
        let templates = &self.templates;
        sort_pool_stops(&mut events, own, &|sup| templates.contains_key(sup));
        Ok(Observation {
            result,
            events,
            reports: std::mem::take(&mut self.watch.reports),
            state: self.state(),
        })
    }

    fn taken_now(&self) -> u64 {
        match self.test("wait?taken=0", "") {
            Answered::With(_, value) => value["taken"].as_u64().unwrap_or_default(),
            Answered::Nobody => 0,
        }
    }

    /// The tree as the status shows it, with what a specification says.
    fn look(&self) -> Result<Vec<Node>, String> {
        let (Answered::With(200, status), Answered::With(200, specs)) =
            (self.daemon.ask("GET /v1/tree", ""), self.test("nodes", ""))
        else {
            return Err("no status\n".to_owned());
        };
        let mut nodes = Vec::new();
        flatten(&status["root"], &mut nodes);
        let specs = specs.as_array().map(Vec::as_slice).unwrap_or_default();
        for (node, spec) in nodes.iter_mut().zip(specs) {
            node.recorded = spec["recorded"].clone();
            node.spec = json!({
                "id": node.path.rsplit('.').next(),
                "type": spec["type"],
                "restart": spec["restart"],
                "significant": spec["significant"],
                "shutdown": spec["shutdown"],
            });
        }
        Ok(nodes)
    }

    /// The tree as the recordings show it: nothing below a supervisor that is down.
    fn state(&self) -> Vec<Vec<Value>> {
        if self.nodes.is_empty() {
            return vec![vec![json!("root"), json!("stopped")]];
        }
        let mut rows: Vec<Vec<Value>> = Vec::new();
        let mut down: Option<String> = None;
        for node in &self.nodes {
            if down.as_ref().is_some_and(|top| node.path.starts_with(top)) {
                continue;
            }
            let mut row = vec![json!(node.path), json!(word(node.up))];
            if !node.recorded.is_null() {
                if node.up && !self.timing {
                    row.push(node.recorded.clone());
                }
                down = (!node.up).then(|| format!("{}.", node.path));
            }
            rows.push(row);
        }
        let pool = |row: &Vec<Value>| -> Option<String> {
            let (sup, _) = row.first()?.as_str()?.rsplit_once('.')?;
            self.templates.contains_key(sup).then(|| sup.to_owned())
        };
        for run in rows.chunk_by_mut(|a, b| pool(a).is_some() && pool(a) == pool(b)) {
            run.sort_by_key(|row| row.first().map(ToString::to_string));
        }
        rows
    }

    fn node(&self, path: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.path == path)
    }

    fn name(&self, path: &str) -> String {
        match path.rsplit_once('.') {
            Some((sup, id)) if self.templates.contains_key(sup) => {
                format!("{}.{id}", name_of(sup))
            }
            _ => name_of(path),
        }
    }

    fn writer(&self) -> Writer<'_> {
        Writer {
            programs: self.programs,
            dir: &self.dir,
        }
    }

    /// What is known of the nodes before a step: the daemon's word, and that of the step for nodes
    /// that come with it.
    fn expect_of(&mut self, op: &Op) {
        match op {
            Op::StartChild {
                sup,
                spec: Some(spec),
                ..
            } => know(&mut self.watch.known, spec, &format!("{sup}.{}", spec.id)),
            Op::StartChild {
                sup,
                instance: Some(instance),
                ..
            } => {
                if let Some(template) = self.templates.get(sup) {
                    let path = format!("{sup}.{instance}");
                    know(&mut self.watch.known, template, &path);
                }
            }
            Op::Batch { items, .. } => items.iter().for_each(|item| self.expect_of(item)),
            _ => {}
        }
        for node in &self.nodes {
            let restart = match node.spec["restart"].as_str() {
                Some("transient") => RestartType::Transient,
                Some("temporary") => RestartType::Temporary,
                _ => RestartType::Permanent,
            };
            let brutal = node.spec["shutdown"] == "brutal_kill";
            let known = Known { restart, brutal };
            self.watch.known.insert(node.path.clone(), known);
        }
    }

    /// A specification that was accepted counts from then on.
    fn learn_from(&mut self, op: &Op) {
        match op {
            Op::StartChild {
                sup,
                spec: Some(spec),
                ..
            } => learn(&mut self.templates, spec, &format!("{sup}.{}", spec.id)),
            Op::Reload { sup, spec } => {
                learn(&mut self.templates, spec, sup);
                know(&mut self.watch.known, spec, sup);
            }
            _ => {}
        }
        self.share_templates();
    }

    fn share_templates(&mut self) {
        let ids = self.templates.iter();
        self.watch.templates = ids
            .map(|(sup, spec)| (sup.clone(), spec.id.clone()))
            .collect();
    }
}

fn word(up: bool) -> &'static str {
    if up { "running" } else { "stopped" }
}

fn sup_of(op: &Op) -> Option<&str> {
    match op {
        Op::TerminateChild { sup, .. }
        | Op::RestartChild { sup, .. }
        | Op::DeleteChild { sup, .. }
        | Op::StartChild { sup, .. }
        | Op::CountChildren { sup }
        | Op::WhichChildren { sup }
        | Op::GetChildSpec { sup, .. }
        | Op::Reload { sup, .. } => Some(sup),
        Op::Exit { .. }
        | Op::Kill { .. }
        | Op::FailNext { .. }
        | Op::Advance { .. }
        | Op::Batch { .. }
        | Op::Shutdown => None,
    }
}

fn flatten(view: &Value, into: &mut Vec<Node>) {
    let state = view["state"].as_str().unwrap_or_default();
    into.push(Node {
        path: path_of(view["name"].as_str().unwrap_or_default()),
        up: matches!(state, "ready" | "up" | "degraded"),
        pid: view["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()),
        recorded: Value::Null,
        spec: Value::Null,
    });
    for child in view["children"].as_array().into_iter().flatten() {
        flatten(child, into);
    }
}

/// Remembers the templates of pools.
fn learn(templates: &mut BTreeMap<String, Spec>, spec: &Spec, path: &str) {
    let pool = spec.strategy == Some(StrategyName::SimpleOneForOne);
    match spec.children.first().filter(|_| pool) {
        Some(template) => {
            templates.insert(path.to_owned(), template.clone());
        }
        None => {
            templates.remove(path);
        }
    }
    for child in &spec.children {
        learn(templates, child, &format!("{path}.{}", child.id));
    }
}

fn know(known: &mut BTreeMap<String, Known>, spec: &Spec, path: &str) {
    let word = Known {
        restart: spec.restart.unwrap_or(RestartType::Permanent),
        brutal: spec.kind == Kind::Worker && spec.shutdown == Some(json!("brutal_kill")),
    };
    known.insert(path.to_owned(), word);
    for child in &spec.children {
        know(known, child, &format!("{path}.{}", child.id));
    }
}

/// Start attempts that will fail from the beginning, by name.
fn failures(spec: &Spec, path: &str) -> Vec<(String, u32)> {
    let below = spec.children.iter();
    let below = below.flat_map(|child| failures(child, &format!("{path}.{}", child.id)));
    let own = (spec.fail_next > 0).then(|| (name_of(path), spec.fail_next));
    own.into_iter().chain(below).collect()
}

fn set_counter(dir: &Path, name: &str, count: u32) -> std::io::Result<()> {
    std::fs::write(dir.join(name), count.to_string())
}
