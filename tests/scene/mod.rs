// SPDX-License-Identifier: MIT OR Apache-2.0
//! One line in, a readable trace out: `trace("rest_for_one [a b c]; exit b 1")`.
//!
//! ```text
//! script   = [ "narrow" | "named" ] tree { ";" action }      narrow: one start at a time
//!                                           named: with the classes of `parse::classes`
//! tree     = [ "otp" ] strategy { N/TIME | auto:any | auto:all | parallel | type } [ children ]
//! child    = name [ (word,word) ] | name:tree      words: see `parse::service`
//! action   = exit NAME CODE [oom] | die NAME SIGNAL [oom|shared|cpu|early-cpu] | fail NAME N
//!          | ready NAME | wait TIME | next
//!          | says NAME stopping|alive|broken|TIME (more time)|every=TIME (the watchdog's)
//!          | says NAME class=C|after=TIME|errno|buserror
//!          | wrote NAME N TEXT (its last stderr matched pattern N)
//!          | settle | start stop restart only reset pin unpin delete count which NAME
//!          | signal NAME SIGNAL | scale POOL N
//!          | add NAME CHILD | apply TREE | change NAME TREE | shutdown | hurry | kill | boot
//!          | spawned unspawned forked late NAME | probe check NAME ANSWER | helper NAME CODE
//!          | hook NAME CODE [TIME] | remedy NAME CLASS (a rehearsal)
//!          | lag TIME (the next deadline is noticed so late) | resumed
//! ```
//! Programs obey at once; `deaf` ones ignore all but SIGKILL, `stuck` ones even that. The boot is
//! not shown unless the first action is `boot`. This module performs and prints; what is right is
//! what a person has agreed to in the recorded trace.

mod parse;
mod show;
pub(crate) mod table;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use supd::spec::{
    ExitFacts, ExitStatus, Found, Node, Oom, PatternId, ProbeFault, Service, ServiceKind, Signal,
    SpawnFailure, Stage, Step, Stream,
};
use supd::tree::{
    Actor, Command, CommandId, Effect, Event, Force, Haste, NodeId, ProbeAnswer, Question,
    Rehearsal, RunId, Said, State, Time, Tree, What,
};

/// Events after which an action is called endless.
const EVENTS_MAX: u32 = 10_000;

/// The whole script as a trace, with the states at its end.
pub(crate) fn trace(script: &str) -> String {
    let (tree, actions) = script.split_once(';').unwrap_or((script, ""));
    let mut scene = Scene::new(tree);
    let mut actions: VecDeque<&str> = actions.split(';').map(str::trim).collect();
    actions.retain(|action| !action.is_empty());
    scene.give(Event::Boot);
    scene.deliver();
    if actions.front() == Some(&"boot") {
        actions.pop_front();
    } else {
        scene.lines.clear();
    }
    for action in actions {
        scene.act(action);
    }
    scene.lines.push(scene.states());
    scene.lines.join("\n")
}

/// What the last action of a script comes to.
pub(crate) struct Last {
    /// What was said; empty: nothing.
    pub(crate) told: String,
    /// The state of the node after it, in the words people see.
    pub(crate) state: String,
    /// The states the engine itself was in before it.
    pub(crate) condition: Vec<String>,
    /// The event that it was.
    pub(crate) event: Vec<String>,
}

/// Plays a script for its last action; `None`: that is about a process that is not there.
pub(crate) fn last(script: &str, node: &str) -> Option<Last> {
    let (tree, actions) = script.split_once(';').unwrap_or((script, ""));
    let mut scene = Scene::new(tree);
    scene.give(Event::Boot);
    scene.deliver();
    let actions: Vec<_> = actions
        .split(';')
        .map(str::trim)
        .filter(|a| !a.is_empty())
        .collect();
    let (last, before) = actions.split_last()?;
    for action in before {
        assert!(scene.is_possible(action), "{script}: {action}");
        scene.act(action);
    }
    if !scene.is_possible(last) {
        return None;
    }
    let id = scene.tree.node(node);
    let condition = id.map_or(Vec::new(), |id| scene.tree.condition(id));
    scene.lines.clear();
    scene.events.clear();
    scene.act(last);
    let told: Vec<_> = scene.lines.iter().skip(1).map(|line| line.trim()).collect();
    Some(Last {
        told: told.join("; "),
        state: scene.state(node),
        condition,
        event: scene.events.first().cloned().unwrap_or_default(),
    })
}

/// Whose answer it is that an action gives.
fn work_of(verb: &str) -> Work {
    match verb {
        "probe" => Work::Probe(Question::Readiness),
        "check" => Work::Probe(Question::Liveness),
        "hook" => Work::Hook,
        _command => Work::Command,
    }
}

struct Process {
    service: Arc<Service>,
}

/// A probe, a command or a hook that works for a service.
struct Helper {
    service: Arc<Service>,
    work: Work,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Probe(Question),
    Command,
    Hook,
    /// One that SIGKILL does not end.
    StuckHook,
}

struct Scene {
    tree: Tree,
    now: Time,
    inbox: VecDeque<Event>,
    living: BTreeMap<RunId, Process>,
    /// Processes that were asked for, and of which nothing is known yet.
    asked: BTreeMap<RunId, Process>,
    helpers: BTreeMap<RunId, Helper>,
    /// The names of the events so far, and of what is in them.
    events: Vec<Vec<String>>,
    former: BTreeMap<String, RunId>,
    fail: BTreeMap<String, u32>,
    recorded: Vec<RunId>,
    commands: u64,
    halted: bool,
    lines: Vec<String>,
}

impl Scene {
    fn new(tree: &str) -> Self {
        let spec = Arc::new(parse::tree(tree));
        let mut fail = BTreeMap::new();
        parse::failures(&Node::Supervisor(Arc::clone(&spec.root)), &mut fail);
        Self {
            tree: Tree::new(&spec, 1),
            now: Time::default() + Duration::from_secs(1000),
            inbox: VecDeque::new(),
            living: BTreeMap::new(),
            asked: BTreeMap::new(),
            helpers: BTreeMap::new(),
            events: Vec::new(),
            former: BTreeMap::new(),
            fail,
            recorded: Vec::new(),
            commands: 0,
            halted: false,
            lines: Vec::new(),
        }
    }

    fn is_possible(&self, action: &str) -> bool {
        let words: Vec<&str> = action.split_whitespace().collect();
        match words[..] {
            ["exit" | "die" | "ready" | "says" | "wrote", name, ..] => {
                self.living.values().any(|p| *p.service.name == *name)
            }
            ["spawned" | "unspawned" | "forked", name] => {
                self.asked.values().any(|p| *p.service.name == *name)
            }
            ["late", name] => self.former.contains_key(name),
            [verb @ ("probe" | "check" | "helper" | "hook"), name, ..] => {
                self.helper(name, work_of(verb)).is_some()
            }
            _ => true,
        }
    }

    fn act(&mut self, action: &str) {
        self.lines.push(format!("> {action}"));
        if !self.is_possible(action) {
            return self.lines.push("  (it has no process)".to_owned());
        }
        let words: Vec<&str> = action.split_whitespace().collect();
        match words[..] {
            ["boot"] => self.give(Event::Boot),
            ["exit", name, code] => {
                let code = code.parse().expect("an exit code");
                self.end(name, ExitStatus::Code(code));
            }
            ["die", name, signal] => self.end(name, by_signal(signal)),
            ["die", name, "KILL", why] => self.end_with(name, killed(why)),
            ["exit", name, code, "oom"] => self.end_with(name, bereaved(code)),
            ["wrote", name, number, ref line @ ..] => self.write(name, number, &line.join(" ")),
            ["fail", name, count] => {
                let count = count.parse().expect("a number");
                self.fail.insert(name.into(), count);
            }
            ["ready", name] => self.give(Event::Ready {
                run: self.run(name),
            }),
            ["says", name, what] => self.say(name, what),
            ["late", name] => {
                let run = self.former.get(name).copied().expect("it ran before");
                self.give(Event::Ready { run });
                let facts = ExitFacts::bare(ExitStatus::Code(1));
                self.give(Event::Exited { run, facts });
            }
            ["spawned" | "unspawned" | "forked", name] => self.answer_spawn(name, words[0]),
            [verb @ ("probe" | "check"), name, answer] => self.answer_probe(verb, name, answer),
            ["helper", name, code] => {
                let run = self
                    .helper(name, Work::Command)
                    .expect("a command of it runs");
                self.helpers.remove(&run);
                let code = code.parse().expect("an exit code");
                let facts = ExitFacts::bare(ExitStatus::Code(code));
                self.give(Event::Exited { run, facts });
            }
            ["hook", name, code, ref after @ ..] => self.answer_hook(name, code, after),
            ["remedy", name, class] => {
                let node = self.tree.node(name).unwrap_or(NodeId(u32::MAX));
                self.order(Command::Remedy(node, class.into(), Rehearsal::Dry));
            }
            ["wait", span] => self.wait(parse::span(span)),
            ["next"] => match self.tree.next_deadline() {
                Some(due) => self.wait(due.since(self.now)),
                None => self.give(Event::Deadline),
            },
            ["lag", span] => self.lag(parse::span(span)),
            ["resumed"] => self.give(Event::Resumed),
            ["settle"] => self.wait(Duration::from_secs(3600)),
            ["shutdown"] => self.shutdown(Haste::Orderly),
            ["hurry"] => self.shutdown(Haste::Short),
            ["kill"] => self.shutdown(Haste::Kill),
            ["apply", ref tree @ ..] => {
                let tree = parse::tree(&tree.join(" "));
                self.order(Command::Apply(Arc::new(tree)));
            }
            ["change", name, ref tree @ ..] => {
                let node = self.tree.node(name).unwrap_or(NodeId(u32::MAX));
                let root = parse::tree(&tree.join(" ")).root;
                self.order(Command::CodeChange(node, root));
            }
            _ => self.command(&words),
        }
        self.deliver();
    }

    fn write(&mut self, name: &str, number: &str, line: &str) {
        let run = self.run(name);
        let found = Found {
            pattern: PatternId(number.parse().expect("a pattern")),
            stream: Stream::Err,
            line: line.into(),
            captures: Box::default(),
        };
        let found = Box::new([found]);
        self.give(Event::Matched { run, found });
    }

    fn answer_hook(&mut self, name: &str, code: &str, after: &[&str]) {
        let run = self.helper(name, Work::Hook).expect("a hook of it runs");
        self.helpers.remove(&run);
        let status = ExitStatus::Code(code.parse().expect("an exit code"));
        let after = after.first().map(|span| parse::span(span));
        self.give(Event::HookDone { run, status, after });
    }

    fn answer_probe(&mut self, verb: &str, name: &str, answer: &str) {
        let run = self.helper(name, work_of(verb)).expect("it is probed");
        self.helpers.remove(&run);
        let answer = match answer {
            "success" => ProbeAnswer::Success,
            "failure" => ProbeAnswer::of(ProbeFault::REFUSED),
            "unknown" => ProbeAnswer::of(ProbeFault::Impossible),
            other => panic!("no such answer: {other}"),
        };
        self.give(Event::ProbeDone { run, answer });
    }

    /// The run of a helper of this service, if one is under way.
    fn helper(&self, name: &str, work: Work) -> Option<RunId> {
        let is = |helper: &Helper| *helper.service.name == *name && helper.work == work;
        let found = self.helpers.iter().find(|(_, helper)| is(helper));
        found.map(|(run, _)| *run)
    }

    fn asked_for(&self, name: &str) -> RunId {
        let is = |process: &Process| *process.service.name == *name;
        let found = self.asked.iter().find(|(_, process)| is(process));
        *found.expect("it was asked for").0
    }

    fn answer_spawn(&mut self, name: &str, answer: &str) {
        let run = self.asked_for(name);
        if answer == "forked" {
            return self.give(Event::Forked { run });
        }
        let process = self.asked.remove(&run);
        if let Some(process) = process.filter(|_| answer == "spawned") {
            self.living.insert(run, process);
            return self.give(Event::Spawned { run });
        }
        let (stage, errno) = (Stage::Exec, 2);
        let failure = SpawnFailure { stage, errno };
        self.give(Event::SpawnFailed { run, failure });
    }

    /// The next deadline is noticed late.
    fn lag(&mut self, late: Duration) {
        let due = self.tree.next_deadline().expect("something is due");
        self.now = self.now.max(due) + late;
        self.give(Event::Deadline);
    }

    fn say(&mut self, name: &str, what: &str) {
        let run = self.run(name);
        let said = match what {
            "stopping" => Said::Stopping,
            "alive" => Said::Alive,
            "broken" => Said::Broken,
            every if every.starts_with("every=") => Said::Watchdog(parse::span(&every[6..])),
            "errno" => Said::Errno(5),
            "buserror" => Said::BusError("org.example.Lost".into()),
            word if word.starts_with("class=") => Said::Class(word[6..].into()),
            word if word.starts_with("after=") => Said::RetryAfter(parse::span(&word[6..])),
            span => Said::Extend(parse::span(span)),
        };
        self.give(Event::Said { run, said });
    }

    fn shutdown(&mut self, haste: Haste) {
        let by = Actor::Signal(Signal::TERM);
        self.give(Event::Shutdown { haste, by });
    }

    fn command(&mut self, words: &[&str]) {
        let node = self.tree.node(words[1]).unwrap_or(NodeId(u32::MAX));
        let command = match *words {
            ["start", _] => Command::Start(node),
            ["stop", _] => Command::Stop(node),
            ["restart", _] => Command::Restart(node),
            ["only", _] => Command::RestartOnly(node),
            ["reset", _] => Command::Reset(node),
            ["pin", _] => Command::Pin(node),
            ["unpin", _] => Command::Unpin(node),
            ["delete", _] => Command::Delete(node),
            ["count", _] => Command::Count(node),
            ["which", _] => Command::Which(node),
            ["force", name, state, span] => {
                let (span, reason) = (parse::span(span), Some(Box::from("a test")));
                let force = match state {
                    "open" => Force::Open { span, reason },
                    _ => Force::Closed { span, reason },
                };
                Command::Breaker(Arc::from(name), force)
            }
            ["auto", name] => Command::Breaker(Arc::from(name), Force::Auto),
            ["reload", _] => Command::ReloadService(node),
            ["signal", _, signal] => Command::Signal(node, signal.parse().expect("a signal")),
            ["scale", _, count] => {
                let count = count.parse().expect("a number");
                Command::Scale(node, self.instances(node, count))
            }
            ["add", _, child] => Command::Add(node, parse::child(child)),
            _ => panic!("no such action: {words:?}"),
        };
        self.order(command);
    }

    /// The pool's first instance under these numbers.
    fn instances(&self, pool: NodeId, count: u32) -> Vec<Arc<Service>> {
        let view = self.tree.view(pool).expect("a pool of this name");
        let Node::Supervisor(spec) = &view.spec else {
            panic!("a pool");
        };
        let Some(Node::Service(first)) = spec.children.first() else {
            panic!("a pool with instances");
        };
        let name = |number| Arc::from(format!("{}.{number}", spec.name));
        let like_it = |number| Service {
            name: name(number),
            ..(**first).clone()
        };
        (1..=count).map(|n| Arc::new(like_it(n))).collect()
    }

    fn order(&mut self, command: Command) {
        self.commands += 1;
        let id = CommandId(self.commands);
        let by = Actor::Client { uid: 0, pid: 7 };
        self.give(Event::Command { id, by, command });
    }

    /// Delivers what has come in.
    fn deliver(&mut self) {
        for _ in 0..EVENTS_MAX {
            let Some(event) = self.inbox.pop_front() else {
                return;
            };
            self.give(event);
        }
        panic!("no end of events:\n{}", self.lines[..50].join("\n"));
    }

    /// Lets time pass, from deadline to deadline.
    fn wait(&mut self, span: Duration) {
        let until = self.now + span;
        self.deliver();
        while let Some(due) = self.tree.next_deadline().filter(|due| *due <= until) {
            let passed = due.since(self.now);
            if !passed.is_zero() {
                self.lines.push(format!("+ {passed:?}"));
            }
            self.now = self.now.max(due);
            self.give(Event::Deadline);
            self.deliver();
        }
        self.now = until;
    }

    fn run(&self, name: &str) -> RunId {
        let found = self.living.iter().find(|(_, p)| *p.service.name == *name);
        let living: Vec<_> = self.living.values().map(|p| &p.service.name).collect();
        *found
            .unwrap_or_else(|| panic!("{name} has no process, {living:?} have"))
            .0
    }

    fn end(&mut self, name: &str, status: ExitStatus) {
        self.end_with(name, ExitFacts::bare(status));
    }

    fn end_with(&mut self, name: &str, facts: ExitFacts) {
        let run = self.run(name);
        self.living.remove(&run);
        self.former.insert(name.into(), run);
        self.give(Event::Exited { run, facts });
    }

    fn give(&mut self, event: Event) {
        if self.halted {
            return;
        }
        self.events.push(table::names_in(&event));
        for effect in self.tree.handle(self.now, event) {
            self.perform(effect);
        }
        self.recorded.clear();
        assert_eq!(
            self.tree.audit(),
            Ok(()),
            "after:\n{}",
            self.lines.join("\n")
        );
    }

    fn perform(&mut self, effect: Effect) {
        if let Effect::Record(record) = &effect
            && let What::Signalled { run, .. } = &record.what
        {
            self.recorded.push(*run);
        }
        if let Some(line) = show::effect(&effect, self) {
            self.lines.push(format!("  {line}"));
        }
        match effect {
            Effect::Spawn { run, service } => self.spawn(run, service),
            Effect::Signal { run, signal, .. } => self.signal(run, signal),
            Effect::Halt { .. } => self.halted = true,
            Effect::SpawnHelper { run, service, .. } => self.help(run, service),
            Effect::RunHook {
                run,
                service,
                remedy,
                step,
                ..
            } => self.run_hook(run, service, &remedy.steps[step]),
            Effect::Probe {
                run,
                about,
                question,
                ..
            } => {
                let asked = self.living.get(&about).map(|p| Arc::clone(&p.service));
                // One of a breaker is about nobody.
                let asked = asked.or_else(|| self.guard(run));
                if let Some(service) = asked {
                    let work = Work::Probe(question);
                    self.helpers.insert(run, Helper { service, work });
                }
            }
            Effect::CancelProbe { run } => {
                self.helpers.remove(&run);
            }
            Effect::Answered { .. } | Effect::Reply { .. } | Effect::Record(_) => {}
        }
    }

    /// What stands for the breaker whose probe this is.
    fn guard(&self, run: RunId) -> Option<Arc<Service>> {
        let asked = self.tree.breaker_asked(run.life)?;
        Some(Arc::clone(&asked.probe.as_ref()?.context))
    }

    /// A command of a service: done at once, unless it takes its time.
    fn help(&mut self, run: RunId, service: Arc<Service>) {
        self.inbox.push_back(Event::Spawned { run });
        if parse::has(&service, "slow_command") {
            let work = Work::Command;
            self.helpers.insert(run, Helper { service, work });
            return;
        }
        let facts = ExitFacts::bare(ExitStatus::Code(0));
        self.inbox.push_back(Event::Exited { run, facts });
    }

    /// A hook answers when the script says so.
    fn run_hook(&mut self, run: RunId, service: Arc<Service>, step: &Step) {
        let runs = |word: &str| match step {
            Step::Run(supd::spec::Command::Argv(words)) => *words[0] == *word,
            _ => false,
        };
        if runs("broken_hook") {
            let (stage, errno) = (Stage::Exec, 2);
            let failure = SpawnFailure { stage, errno };
            return self.inbox.push_back(Event::SpawnFailed { run, failure });
        }
        self.inbox.push_back(Event::Spawned { run });
        let work = if runs("stuck_hook") {
            Work::StuckHook
        } else {
            Work::Hook
        };
        self.helpers.insert(run, Helper { service, work });
    }

    fn spawn(&mut self, run: RunId, service: Arc<Service>) {
        if let Some(left) = self.fail.get_mut(&*service.name).filter(|left| **left > 0) {
            *left -= 1;
            let (stage, errno) = (Stage::Exec, 2);
            let failure = SpawnFailure { stage, errno };
            return self.inbox.push_back(Event::SpawnFailed { run, failure });
        }
        if parse::has(&service, "silent") {
            self.asked.insert(run, Process { service });
            return;
        }
        self.inbox.push_back(Event::Spawned { run });
        if service.kind == ServiceKind::Oneshot && !parse::has(&service, "slow") {
            let facts = ExitFacts::bare(ExitStatus::Code(0));
            return self.inbox.push_back(Event::Exited { run, facts });
        }
        self.living.insert(run, Process { service });
    }

    fn signal(&mut self, run: RunId, signal: Signal) {
        if let Some(helper) = self.helpers.get(&run) {
            let hook = helper.work == Work::Hook;
            let stuck = parse::has(&helper.service, "stuck") && !hook;
            if signal == Signal::KILL && !stuck && helper.work != Work::StuckHook {
                self.helpers.remove(&run);
                let core = false;
                let status = ExitStatus::Signal { signal, core };
                let facts = ExitFacts::bare(status);
                let after = None;
                self.inbox.push_back(if hook {
                    Event::HookDone { run, status, after }
                } else {
                    Event::Exited { run, facts }
                });
            }
            return;
        }
        if signal == Signal::KILL && self.asked.remove(&run).is_some() {
            // It has not come to its program, and all other signals are blocked until then.
            let core = false;
            let facts = ExitFacts::bare(ExitStatus::Signal { signal, core });
            return self.inbox.push_back(Event::Exited { run, facts });
        }
        let Some(process) = self.living.get(&run) else {
            return;
        };
        let kill = signal == Signal::KILL;
        let deaf = parse::has(&process.service, "deaf") && !kill;
        let harmless = [Signal::CONT, Signal::USR1, Signal::HUP].contains(&signal);
        if deaf || harmless || parse::has(&process.service, "stuck") {
            return;
        }
        let name = process.service.name.to_string();
        self.living.remove(&run);
        self.former.insert(name, run);
        let core = false;
        let facts = ExitFacts::bare(ExitStatus::Signal { signal, core });
        self.inbox.push_back(Event::Exited { run, facts });
    }

    fn state(&self, name: &str) -> String {
        let view = self.tree.node(name).and_then(|id| self.tree.view(id));
        let Some(view) = view else {
            return "gone".to_owned();
        };
        let pinned = if view.pinned { " pinned" } else { "" };
        format!("{}{pinned}", view.state.as_str())
    }

    /// All states on one line.
    fn states(&self) -> String {
        let mut words = Vec::new();
        for view in self.tree.snapshot().nodes {
            let name = view.spec.name();
            let plain = matches!(view.state, State::Ready | State::Up);
            let recorded = view.recorded.filter(|(used, _)| *used > 0);
            let used = recorded.map_or(String::new(), |(used, _)| format!(" {used}"));
            if plain && used.is_empty() && !view.pinned {
                words.push(name.to_string());
            } else {
                words.push(format!("{name} {}{used}", self.state(name)));
            }
        }
        format!("= {}", words.join(", "))
    }
}

fn by_signal(name: &str) -> ExitStatus {
    let signal = name.parse().expect("a signal");
    let core = false;
    ExitStatus::Signal { signal, core }
}

/// An exit after a process below it was killed for want of memory.
fn bereaved(code: &str) -> ExitFacts {
    let code = code.parse().expect("an exit code");
    let facts = ExitFacts::bare(ExitStatus::Code(code));
    ExitFacts {
        oom: Oom::Own,
        ..facts
    }
}

/// SIGKILL, and what else the kernel knows about it.
fn killed(why: &str) -> ExitFacts {
    let (signal, core) = (Signal::KILL, false);
    let mut facts = ExitFacts::bare(ExitStatus::Signal { signal, core });
    match why {
        "oom" => facts.oom = Oom::Own,
        "shared" => facts.oom = Oom::Shared,
        "cpu" => (facts.user_us, facts.cpu_limit_s) = (1_970_000, Some(2)),
        "early-cpu" => (facts.user_us, facts.cpu_limit_s) = (900_000, Some(2)),
        other => panic!("no such reason: {other}"),
    }
    facts
}
