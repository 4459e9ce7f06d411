// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands of clients between their arrival and their answer.
//!
//! Each becomes one event for the engine and gets one answer, when the engine says what came of
//! it and the records of it are published. It decides nothing: what the engine refuses is refused.

use super::control::{Answer, Patience, Request};
use super::reload::Config;
use super::run::Daemon;
use super::words;
use crate::spec::{Name, Node, Signal, Verdict};
use crate::tree::{Actor, Command, CommandId, Event, Haste, NodeId, Outcome, Rehearsal};
use crate::wire::{
    ChildRequest, CommandReply, ReloadReply, RemediateRequest, RestartRequest, ScaleRequest,
    ShutdownRequest, SignalRequest, Verb, Word, code, outcome,
};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot::Sender;

/// Commands that may wait for their answer at one time, all clients together.
const WAITING_MAX: usize = 1024;

/// Commands under way.
#[derive(Debug)]
pub(crate) struct Desk {
    next: u64,
    waiting: BTreeMap<CommandId, Waiting>,
    /// Who waits for the end of everything.
    pub leaving: Vec<Sender<Answer>>,
    /// The configuration in force.
    pub config: Config,
}

/// A command that is not answered yet.
#[derive(Debug)]
struct Waiting {
    reply: Option<Sender<Answer>>,
    /// The last record before it.
    since: u64,
    kind: Kind,
}

/// What its answer looks like.
#[derive(Debug)]
enum Kind {
    /// A `CommandReply`.
    Command,
    /// The same about a child that is to be forgotten: one that runs is not.
    Delete,
    /// A `ReloadReply` with these diagnostics.
    Reload(Vec<String>),
    /// What a replay reads.
    #[cfg(feature = "test-hooks")]
    Test,
}

impl Desk {
    /// No command yet.
    pub(crate) fn new(config: Config) -> Self {
        Self {
            next: 1,
            waiting: BTreeMap::new(),
            leaving: Vec::new(),
            config,
        }
    }
}

/// Who a client is, for records.
pub(crate) fn actor(request: &Request) -> Actor {
    Actor::Client {
        uid: request.peer.uid,
        pid: request.peer.pid,
    }
}

impl Daemon {
    /// Hands a command to the engine.
    fn order(&mut self, command: Command, by: Actor, waiting: Waiting) {
        let id = CommandId(self.desk.next);
        self.desk.next += 1;
        self.desk.waiting.insert(id, waiting);
        self.world
            .events
            .push_back(Event::Command { id, by, command });
    }

    /// Makes the engine's tree what this configuration says; the answer is a `ReloadReply`.
    pub(crate) fn order_apply(
        &mut self,
        by: Actor,
        reply: Option<Sender<Answer>>,
        warnings: Vec<String>,
    ) {
        let tree = self.desk.config.tree();
        let waiting = Waiting {
            reply,
            since: self.press.journal.last(),
            kind: Kind::Reload(warnings),
        };
        self.order(Command::Apply(tree), by, waiting);
    }

    /// Hands a command of a replay to the engine.
    #[cfg(feature = "test-hooks")]
    pub(super) fn order_for_test(&mut self, request: Request, command: Command) {
        let waiting = Waiting {
            reply: Some(request.reply),
            since: 0,
            kind: Kind::Test,
        };
        let by = Actor::Client { uid: 0, pid: 0 };
        self.order(command, by, waiting);
    }

    pub(super) fn order_for(&mut self, request: Request, command: Command) {
        let by = actor(&request);
        if self.desk.waiting.len() >= WAITING_MAX {
            let busy = Answer::error(429, code::BUSY, "too many commands are under way");
            return answer(request.reply, busy.hint("try again: supctl status"));
        }
        let reply = match request.patience {
            Patience::UntilDone => Some(request.reply),
            Patience::None => {
                answer(request.reply, accepted());
                None
            }
        };
        let kind = match &command {
            Command::Delete(_) => Kind::Delete,
            _ => Kind::Command,
        };
        let since = self.press.journal.last();
        let waiting = Waiting { reply, since, kind };
        self.order(command, by, waiting);
    }

    /// `POST /v1/nodes/{name}/{verb}`.
    pub(crate) fn act(&mut self, request: Request, node: NodeId, verb: Verb) {
        if let Some(refused) = self.asks_for_itself(&request, node, verb) {
            return answer(request.reply, refused);
        }
        match self.command_of(&request, node, verb) {
            Ok(command) => self.order_for(request, command),
            Err(refused) => answer(request.reply, refused),
        }
    }

    /// A hook that orders the start or restart of what it works for would wait for itself.
    fn asks_for_itself(&self, request: &Request, node: NodeId, verb: Verb) -> Option<Answer> {
        let orders = matches!(verb, Verb::Start | Verb::Restart | Verb::Run);
        let hook = self.world.hook_of(request.peer.pid).filter(|_| orders)?;
        if !self.press.names.is_below(hook.node, node) {
            return None;
        }
        let name = self.press.names.name(hook.node);
        let message = format!("{name} is remediating, and this is its hook");
        let refused = Answer::error(409, code::CONFLICT, message);
        Some(refused.hint("end with exit code 0: then it is started at once"))
    }

    fn command_of(&self, request: &Request, node: NodeId, verb: Verb) -> Result<Command, Answer> {
        Ok(match verb {
            Verb::Start | Verb::Run => Command::Start(node),
            Verb::Stop if node == self.tree.root() => {
                let message = "the root is not stopped by itself";
                return Err(Answer::error(409, code::CONFLICT, message)
                    .hint("to stop everything: supctl shutdown"));
            }
            Verb::Stop => Command::Stop(node),
            Verb::Restart if body::<RestartRequest>(&request.body)?.only => {
                Command::RestartOnly(node)
            }
            Verb::Restart => Command::Restart(node),
            Verb::Reload => Command::ReloadService(node),
            Verb::Reset => Command::Reset(node),
            Verb::Pin => Command::Pin(node),
            Verb::Unpin => Command::Unpin(node),
            Verb::Remediate => {
                let asked = body::<RemediateRequest>(&request.body)?;
                let how = if asked.dry_run {
                    Rehearsal::Dry
                } else {
                    Rehearsal::Wet
                };
                Command::Remedy(node, asked.class.into(), how)
            }
            Verb::Signal => {
                let asked = body::<SignalRequest>(&request.body)?.signal;
                let signal: Signal = asked.parse().map_err(|_| {
                    let message = format!("`{asked}` is no signal");
                    Answer::error(400, code::BAD_REQUEST, message)
                        .hint("write a name: HUP, SIGUSR1, RTMIN+3")
                })?;
                Command::Signal(node, signal)
            }
            Verb::Scale => {
                let count = body::<ScaleRequest>(&request.body)?.instances;
                let name = self.press.names.name(node);
                let instances = self.desk.config.instances(name, count).ok_or_else(|| {
                    let message = format!("`{name}` cannot have {count} instances");
                    Answer::error(409, code::CONFLICT, message)
                        .hint("only a service with `instances` is a pool: supctl status")
                })?;
                Command::Scale(node, instances)
            }
        })
    }

    /// `DELETE /v1/nodes/{name}`.
    pub(crate) fn delete(&mut self, request: Request, node: NodeId) {
        self.order_for(request, Command::Delete(node));
    }

    /// `POST /v1/nodes/{supervisor}/children`.
    pub(crate) fn add_child(&mut self, request: Request, node: NodeId) {
        match self.child_of(&request, node) {
            Ok(child) => self.order_for(request, Command::Add(node, child)),
            Err(refused) => answer(request.reply, refused),
        }
    }

    fn child_of(&mut self, request: &Request, node: NodeId) -> Result<Node, Answer> {
        let asked = body::<ChildRequest>(&request.body)?;
        let Some(Node::Supervisor(above)) = self.tree.view(node).map(|view| view.spec) else {
            let message = format!("`{}` is no supervisor", self.press.names.name(node));
            return Err(Answer::error(409, code::CONFLICT, message).hint("supctl tree"));
        };
        let text = match (asked.toml, asked.instance) {
            (Some(text), None) => text,
            (None, Some(name)) => return self.instance_of(&above.name, &name),
            (Some(_), Some(_)) | (None, None) => {
                let message = "a child is given by `toml` or, in a pool, by `instance`";
                return Err(Answer::error(400, code::BAD_REQUEST, message)
                    .hint("GET /v1/openapi.json shows what is expected"));
            }
        };
        let child = self.desk.config.child(&text, &above)?;
        if self.tree.child(node, child.node.name()).is_some() {
            // The engine says what is there already.
            return Ok(child.node);
        }
        if let Some(name) = self.taken(&child.node) {
            let message = format!("there is a node named `{name}` elsewhere in the tree");
            return Err(Answer::error(409, code::CONFLICT, message)
                .hint(format!("choose another name, or: supctl status {name}")));
        }
        let tree = &self.tree;
        Ok(self
            .desk
            .config
            .remember(child, |name| tree.node(name).is_some()))
    }

    fn instance_of(&self, pool: &str, name: &str) -> Result<Node, Answer> {
        let service = self.desk.config.instance(pool, name);
        service.map(Node::Service).ok_or_else(|| {
            let message = format!("`{pool}` cannot have an instance `{name}`");
            Answer::error(409, code::CONFLICT, message)
                .hint("only a service with `instances` is a pool: supctl status")
        })
    }

    /// The first name in a node and below it that the tree has already.
    fn taken(&self, node: &Node) -> Option<Name> {
        if self.tree.node(node.name()).is_some() {
            return Some(Arc::clone(node.name()));
        }
        match node {
            Node::Service(_) => None,
            Node::Supervisor(sup) => sup.children.iter().find_map(|child| self.taken(child)),
        }
    }

    /// `POST /v1/shutdown`: answered when nothing is left, just before the end.
    pub(crate) fn shut_down(&mut self, request: Request) {
        let asked = match body::<ShutdownRequest>(&request.body) {
            Ok(asked) => asked,
            Err(refused) => return answer(request.reply, refused),
        };
        let haste = match asked.haste.as_deref() {
            None | Some("orderly") => Haste::Orderly,
            Some("short") => Haste::Short,
            Some("kill") => Haste::Kill,
            Some(other) => {
                let message = format!("`{other}` is no haste");
                let refused = Answer::error(400, code::BAD_REQUEST, message)
                    .hint("write orderly, short or kill");
                return answer(request.reply, refused);
            }
        };
        let by = actor(&request);
        match request.patience {
            Patience::UntilDone => self.desk.leaving.push(request.reply),
            Patience::None => answer(request.reply, accepted()),
        }
        self.world.events.push_back(Event::Shutdown { haste, by });
    }

    /// Answers what the engine has answered in this turn; its records are published by now.
    pub(crate) fn answer_replies(&mut self) {
        for (id, outcome) in std::mem::take(&mut self.replies) {
            let Some(waiting) = self.desk.waiting.remove(&id) else {
                continue;
            };
            let reply = match waiting.kind {
                Kind::Command => self.command_reply(&outcome, waiting.since),
                Kind::Delete => self.delete_reply(&outcome, waiting.since),
                Kind::Reload(diagnostics) => {
                    self.reload_reply(&outcome, waiting.since, diagnostics)
                }
                #[cfg(feature = "test-hooks")]
                Kind::Test => self.test_reply(&outcome),
            };
            if let Some(to) = waiting.reply {
                answer(to, reply);
            }
        }
    }

    fn command_reply(&self, outcome: &Outcome, since: u64) -> Answer {
        let (ok, word) = match outcome {
            Outcome::NotFound => {
                return Answer::error(404, code::NO_SUCH_NODE, "the node is gone meanwhile")
                    .hint("supctl status");
            }
            Outcome::Busy => {
                let message = "its supervisor has too many commands waiting";
                return Answer::error(429, code::BUSY, message).hint("try again: supctl status");
            }
            other => word_of(other),
        };
        let message = self.message_of(outcome);
        self.reply_with(since, (ok, word), message)
    }

    /// Only what is down can be forgotten (supervisor(3), `delete_child`).
    fn delete_reply(&self, outcome: &Outcome, since: u64) -> Answer {
        let why = match outcome {
            Outcome::Running => "it runs; stop it first",
            Outcome::Restarting => "it is about to be restarted; stop it first",
            _no_reason_of_its_own => return self.command_reply(outcome, since),
        };
        let word = word_of(outcome).1;
        self.reply_with(since, (false, word), Some(why.to_owned()))
    }

    fn reply_with(
        &self,
        since: u64,
        (ok, word): (bool, &'static str),
        message: Option<String>,
    ) -> Answer {
        let (seq, events) = self.press.journal.caused_after(since, &self.press.names);
        let reply = CommandReply {
            ok,
            outcome: Word::Borrowed(word),
            seq,
            events,
            message,
        };
        Answer::json(200, &reply)
    }

    /// One clause where the word alone leaves people without a next step.
    fn message_of(&self, outcome: &Outcome) -> Option<String> {
        let text = match outcome {
            Outcome::Waits(sibling) => {
                let name = self.press.names.name(*sibling);
                return Some(format!("it waits for `{name}`; supctl why {name}"));
            }
            Outcome::StartFailed => "see its history and its logs",
            Outcome::SupervisorDown => "start its supervisor first",
            Outcome::NotRunning => "it has no process now",
            Outcome::Unsupported => "this kind of node has no such operation",
            Outcome::Superseded => "another command came after it",
            Outcome::Pinned => "unpin it first",
            Outcome::NoRemedy => "no entry is for this class; supctl remediation ls",
            Outcome::Remedied { after, .. } => {
                return after.map(|after| format!("it asks for a wait of {}", words::span(after)));
            }
            Outcome::Done
            | Outcome::Running
            | Outcome::Restarting
            | Outcome::NotFound
            | Outcome::AlreadyStarted
            | Outcome::AlreadyPresent
            | Outcome::InvalidSpec
            | Outcome::Busy
            | Outcome::Counts(_)
            | Outcome::Children(_)
            | Outcome::Applied(_) => return None,
        };
        Some(text.to_owned())
    }

    fn reload_reply(&self, outcome: &Outcome, since: u64, diagnostics: Vec<String>) -> Answer {
        let mut reply = ReloadReply {
            hash: self.desk.config.hash(),
            diagnostics,
            ..ReloadReply::default()
        };
        if let Outcome::Applied(done) = outcome {
            reply.ok = true;
            reply.added = done.added as u64;
            reply.removed = done.removed as u64;
            reply.restarted = done.restarted as u64;
            reply.in_place = done.in_place as u64;
        }
        reply.seq = self.press.journal.caused_after(since, &self.press.names).0;
        Answer::json(200, &reply)
    }

    /// The end: everybody who still waits is told.
    pub(crate) fn answer_all(&mut self) {
        for to in std::mem::take(&mut self.desk.leaving) {
            let reply = CommandReply {
                ok: true,
                outcome: Word::Borrowed(outcome::DONE),
                ..CommandReply::default()
            };
            answer(to, Answer::json(200, &reply));
        }
        for (_, waiting) in std::mem::take(&mut self.desk.waiting) {
            if let Some(to) = waiting.reply {
                let stopping = Answer::error(503, code::STOPPING, "supd is going down");
                answer(to, stopping);
            }
        }
    }
}

/// Sends an answer; a client that is gone no longer wants it.
pub(crate) fn answer(to: Sender<Answer>, answer: Answer) {
    let _gone = to.send(answer);
}

fn accepted() -> Answer {
    Answer::json(
        202,
        &CommandReply {
            ok: true,
            outcome: Word::Borrowed(outcome::ACCEPTED),
            ..CommandReply::default()
        },
    )
}

/// Reads a body; an empty one is `{}`.
pub(crate) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Answer> {
    let bytes = if bytes.trim_ascii().is_empty() {
        b"{}"
    } else {
        bytes
    };
    serde_json::from_slice(bytes).map_err(|e| {
        Answer::error(
            400,
            code::BAD_REQUEST,
            format!("the body is not as it should be: {e}"),
        )
        .hint("GET /v1/openapi.json shows what is expected")
    })
}

pub(super) fn word_of(outcome: &Outcome) -> (bool, &'static str) {
    match outcome {
        Outcome::Done | Outcome::Applied(_) | Outcome::Counts(_) | Outcome::Children(_) => {
            (true, outcome::DONE)
        }
        Outcome::Running => (true, outcome::RUNNING),
        Outcome::Restarting => (true, outcome::RESTARTING),
        Outcome::StartFailed => (false, outcome::START_FAILED),
        Outcome::AlreadyStarted => (false, outcome::ALREADY_STARTED),
        Outcome::AlreadyPresent => (false, outcome::ALREADY_PRESENT),
        Outcome::InvalidSpec => (false, outcome::INVALID_SPEC),
        Outcome::SupervisorDown => (false, outcome::SUPERVISOR_DOWN),
        Outcome::NotRunning => (false, "not_running"),
        Outcome::Unsupported => (false, outcome::UNSUPPORTED),
        Outcome::Superseded => (false, outcome::SUPERSEDED),
        Outcome::Pinned => (false, outcome::PINNED),
        Outcome::Waits(_) => (false, outcome::WAITING),
        Outcome::NotFound => (false, code::NO_SUCH_NODE),
        Outcome::Busy => (false, code::BUSY),
        Outcome::NoRemedy => (false, outcome::NO_REMEDY),
        Outcome::Remedied { verdict, .. } => (*verdict == Verdict::Fixed, verdict.as_str()),
    }
}
