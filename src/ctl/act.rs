// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands that change something: one order per node, in the order they were named, each answered
//! before the next is given.

#![expect(
    clippy::format_push_string,
    reason = "text for people, written once; a `write!` to it could only be ignored"
)]

use super::args::{Haste, RestartArgs, ScaleArgs, ShutdownArgs, SignalArgs};
use super::client::{Client, Doing, read_json};
use super::failure::Failure;
use super::names::{each, is_plain, nearest, resolve};
use super::screen::{Screen, visible};
use super::{DONE, IN_VAIN, NO};
use crate::wire::{
    CommandReply, ErrorDetail, EventLine, NodeKind, NodeView, Query, ReloadReply, RestartRequest,
    Route, ScaleRequest, ShutdownRequest, SignalRequest, StreamItem, Verb, Word, code, kind,
    outcome, query,
};
use serde::Serialize;
use std::io;
use std::time::Duration;

/// How often the end of everything is asked about.
const SAY_EVERY: Duration = Duration::from_secs(2);

/// What is to be done, and to whom.
#[derive(Debug)]
pub(crate) struct Order {
    verb: Verb,
    /// What has happened when it is done.
    done: String,
    names: Vec<String>,
    body: String,
    manner: Manner,
}

/// How several nodes get their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Each of them, whatever the others answer.
    Each,
    /// The same, and who else it touches is said before.
    Announced,
    /// The services below them, one after another, up to the first that refuses.
    Rolling,
}

/// One answer in the array of `--json`.
#[derive(Debug, Serialize)]
struct Answer {
    node: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<CommandReply>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorDetail>,
}

impl Order {
    fn new(verb: Verb, done: &str, names: &[String]) -> Self {
        Self {
            verb,
            done: done.to_owned(),
            names: names.to_vec(),
            body: "{}".to_owned(),
            manner: Manner::Each,
        }
    }

    fn with(mut self, body: &impl Serialize) -> Self {
        self.body = serde_json::to_string(body).expect("invariant: a request is plain data");
        self
    }

    pub(crate) fn start(names: &[String]) -> Self {
        Self::new(Verb::Start, "started", names)
    }

    pub(crate) fn stop(names: &[String]) -> Self {
        Self::new(Verb::Stop, "stopped", names)
    }

    pub(crate) fn restart(args: &RestartArgs) -> Self {
        let manner = match (args.rolling, args.only) {
            (true, _) => Manner::Rolling,
            (false, false) => Manner::Announced,
            (false, true) => Manner::Each,
        };
        let body = RestartRequest {
            only: args.only || args.rolling,
        };
        let order = Self::new(Verb::Restart, "restarted", &args.names).with(&body);
        Self { manner, ..order }
    }

    pub(crate) fn reload(names: &[String]) -> Self {
        Self::new(Verb::Reload, "reloaded", names)
    }

    pub(crate) fn signal(args: &SignalArgs) -> Result<Self, Failure> {
        // `signal web HUP` is the likeliest slip; the word would be refused anyway.
        let name = args.signal.to_ascii_uppercase();
        if name.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Failure::Usage {
                doing: "send a signal".to_owned(),
                reason: format!("`{}` is a number; signals go by name", args.signal),
                instead: "kill -l".to_owned(),
            });
        }
        let done = format!("sent SIG{}", name.strip_prefix("SIG").unwrap_or(&name));
        let body = SignalRequest {
            signal: args.signal.clone(),
        };
        Ok(Self::new(Verb::Signal, &done, &args.names).with(&body))
    }

    pub(crate) fn scale(args: &ScaleArgs) -> Self {
        let done = format!("scaled to {}", args.instances);
        let body = ScaleRequest {
            instances: args.instances,
        };
        Self::new(Verb::Scale, &done, std::slice::from_ref(&args.name)).with(&body)
    }

    pub(crate) fn reset(names: &[String]) -> Self {
        Self::new(Verb::Reset, "reset", names)
    }

    pub(crate) fn pin(names: &[String]) -> Self {
        Self::new(Verb::Pin, "pinned", names)
    }

    pub(crate) fn unpin(names: &[String]) -> Self {
        Self::new(Verb::Unpin, "unpinned", names)
    }

    pub(crate) fn run(names: &[String]) -> Self {
        Self::new(Verb::Run, "done", names)
    }
}

/// Gives the order to every node; all of them get it, and the first that refuses decides the exit
/// code.
pub(crate) fn on_all(client: &Client, screen: &mut Screen, order: &Order) -> Result<u8, Failure> {
    let names = targets(client, order)?;
    let mut answers = Vec::new();
    let mut exit = DONE;
    for name in names {
        if order.manner == Manner::Rolling && exit != DONE {
            screen.talk(&format!("{name}: left as it is"))?;
            continue;
        }
        if order.manner == Manner::Announced {
            announce(client, screen, &name)?;
        }
        let code = match give(client, order, &name) {
            Ok(reply) => {
                let code = exit_code(&reply);
                if !screen.json {
                    report(screen, (order, &name), &reply)?;
                }
                answers.push(Answer {
                    node: name,
                    reply: Some(reply),
                    error: None,
                });
                code
            }
            // Without a daemon there is no point in asking it for the next one.
            Err(failure @ (Failure::NoDaemon { .. } | Failure::Connection { .. })) => {
                return Err(failure);
            }
            Err(failure) => {
                answers.push(Answer {
                    node: name,
                    reply: None,
                    error: Some(failure.to_body().error),
                });
                screen.complain(&failure);
                failure.exit_code()
            }
        };
        if exit == DONE {
            exit = code;
        }
    }
    if screen.json {
        screen.json_value(&answers)?;
    }
    Ok(exit)
}

/// Whom a restart touches besides, before it does. A daemon that does not say it is not asked
/// again: its answer comes with the order.
fn announce(client: &Client, screen: &mut Screen, name: &str) -> Result<(), Failure> {
    let doing = format!("restart `{name}`");
    let Ok(text) = client.get(&Route::Node(name.to_owned()), Doing(&doing)) else {
        return Ok(());
    };
    let node: NodeView = read_json(&text)?;
    let others: Vec<&str> = node.restarts_with.iter().map(String::as_str).collect();
    if others.is_empty() || screen.json {
        return Ok(());
    }
    screen.talk(&format!(
        "{name}: restarting, and with it {}",
        others.join(", ")
    ))
}

/// A plain name goes to the daemon as it is; everything else is looked up in the tree.
fn targets(client: &Client, order: &Order) -> Result<Vec<String>, Failure> {
    if order.manner == Manner::Rolling {
        let status = client.status(Doing("restart"))?;
        let nodes = resolve(&status.root, &order.names, "restart")?;
        let mut services: Vec<String> = Vec::new();
        for node in nodes {
            each(node, &mut |below| {
                let runs = below.kind == NodeKind::Service && below.pid.is_some();
                if runs && !services.contains(&below.name) {
                    services.push(below.name.clone());
                }
            });
        }
        return Ok(services);
    }
    if order.names.iter().all(|name| is_plain(name)) {
        let mut names = order.names.clone();
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        return Ok(names);
    }
    let verb = order.verb.as_str();
    let status = client.status(Doing(verb))?;
    let nodes = resolve(&status.root, &order.names, verb)?;
    Ok(nodes.iter().map(|node| node.name.clone()).collect())
}

fn give(client: &Client, order: &Order, name: &str) -> Result<CommandReply, Failure> {
    let doing = format!("{} `{name}`", order.verb.as_str());
    let route = Route::Act(name.to_owned(), order.verb);
    let answer = client.order(&route, &order.body, Doing(&doing));
    let Err(Failure::Refused { detail, .. }) = &answer else {
        return answer;
    };
    if detail.code != code::NO_SUCH_NODE {
        return answer;
    }
    // The daemon may not have a suggestion; the tree has.
    let near = client
        .status(Doing("show the tree"))
        .ok()
        .and_then(|status| nearest(&status.root, name).map(str::to_owned));
    Err(Failure::NoSuchName { doing, near })
}

fn exit_code(reply: &CommandReply) -> u8 {
    match (&*reply.outcome, reply.ok) {
        (outcome::PENDING, _) => IN_VAIN,
        (_, true) => DONE,
        (_, false) => NO,
    }
}

/// `web: restarted, and with it ws`.
fn report(
    screen: &mut Screen,
    (order, name): (&Order, &str),
    reply: &CommandReply,
) -> Result<(), Failure> {
    let mut text = match (&*reply.outcome, reply.ok) {
        (outcome::ACCEPTED, _) => format!("{name}: {} ordered", order.verb.as_str()),
        (outcome::RUNNING, _) => format!("{name}: runs already"),
        (outcome::PENDING, _) => format!("{name}: not yet; it goes on"),
        (outcome::DONE, true) => format!("{name}: {}", order.done),
        (word, true) => format!("{name}: {}", word.replace('_', " ")),
        (word, false) => format!(
            "cannot {} `{name}`: {}",
            order.verb.as_str(),
            word.replace('_', " ")
        ),
    };
    let others = others(&reply.events, name);
    if reply.ok && !others.is_empty() {
        text.push_str(&format!(", and with it {}", others.join(", ")));
    }
    if let Some(message) = &reply.message {
        text.push_str(&format!(" ({message})"));
    }
    if exit_code(reply) == DONE {
        return screen.talk(&text);
    }
    screen.complain_lines(&[text], &format!("supctl history {name}"));
    Ok(())
}

/// Services that the order has started or stopped and that are no part of its node.
fn others<'a>(events: &'a [EventLine], name: &str) -> Vec<&'a str> {
    let mut others: Vec<&str> = Vec::new();
    for event in events {
        let moved = matches!(
            &*event.kind,
            kind::SERVICE_STARTING | kind::SERVICE_STOPPED | kind::SERVICE_EXITED
        );
        let Some(node) = event.node.as_deref() else {
            continue;
        };
        let path = event.path.as_deref().unwrap_or_default();
        let is_part = path.split('/').any(|segment| segment == name);
        if moved && node != name && !is_part && !others.contains(&node) {
            others.push(node);
        }
    }
    others
}

/// `supctl reload` without a name: the configuration.
pub(crate) fn reload(client: &Client, screen: &mut Screen) -> Result<u8, Failure> {
    let doing = Doing("reload the configuration");
    let reply = take_up(client, (&Route::Reload, "{}"), doing)?;
    report_take_up(screen, &reply)
}

/// What came of an order to take up a configuration.
#[derive(Debug)]
pub(crate) enum TakenUp {
    /// It has happened, or was refused.
    Done(ReloadReply),
    /// It was taken (`--no-wait`), or goes on longer than we waited.
    GoesOn(CommandReply),
}

/// Orders a configuration to be taken up; whoever does not wait gets another answer.
pub(crate) fn take_up(
    client: &Client,
    (route, body): (&Route, &str),
    doing: Doing<'_>,
) -> Result<TakenUp, Failure> {
    let value: serde_json::Value = client.order(route, body, doing)?;
    let goes_on = value.get("outcome").is_some();
    let read = if goes_on {
        serde_json::from_value(value).map(TakenUp::GoesOn)
    } else {
        serde_json::from_value(value).map(TakenUp::Done)
    };
    read.map_err(super::look::damaged)
}

/// The exit code, and what people are told.
pub(crate) fn report_take_up(screen: &mut Screen, taken: &TakenUp) -> Result<u8, Failure> {
    let reply = match taken {
        TakenUp::Done(reply) => return report_reload(screen, reply),
        TakenUp::GoesOn(reply) => reply,
    };
    let code = exit_code(reply);
    match (screen.json, code) {
        (true, _) => screen.json_value(reply)?,
        (false, DONE) => screen.talk("supd: ordered to take up its configuration")?,
        (false, _) => screen.talk("supd: not yet; it goes on")?,
    }
    Ok(code)
}

/// What a new configuration has changed.
fn report_reload(screen: &mut Screen, reply: &ReloadReply) -> Result<u8, Failure> {
    if screen.json {
        screen.json_value(reply)?;
    } else {
        for diagnostic in &reply.diagnostics {
            for line in diagnostic.lines() {
                screen.talk(line)?;
            }
        }
        if reply.ok {
            let ReloadReply {
                added,
                removed,
                restarted,
                in_place,
                ..
            } = reply;
            screen.talk(&format!(
                "{added} added, {removed} removed, {restarted} restarted, {in_place} in place"
            ))?;
        } else {
            let text = "cannot reload the configuration: it is invalid; the old one stays";
            screen.complain_lines(&[text.to_owned()], "supctl status");
        }
    }
    Ok(if reply.ok {
        DONE
    } else {
        super::INVALID_CONFIG
    })
}

/// `supctl shutdown`.
pub(crate) fn shutdown(
    client: &Client,
    screen: &mut Screen,
    args: &ShutdownArgs,
) -> Result<u8, Failure> {
    let haste = match args.haste {
        Haste::Orderly => None,
        Haste::Short => Some(Word::Borrowed("short")),
        Haste::Kill => Some(Word::Borrowed("kill")),
    };
    let body = serde_json::to_string(&ShutdownRequest { haste })
        .expect("invariant: a request is plain data");
    let reply = until_gone(client, screen, &body)?;
    let code = exit_code(&reply);
    match (screen.json, code, &*reply.outcome) {
        (true, ..) => screen.json_value(&reply)?,
        (false, DONE, outcome::DONE) => screen.talk("supd: the whole tree is stopped")?,
        (false, DONE, _) => screen.talk("supd: stopping")?,
        (false, _, word) => {
            let text = format!("cannot shut down: {}", word.replace('_', " "));
            screen.complain_lines(&[text], "supctl shutdown --haste short");
        }
    }
    Ok(code)
}

/// Orders the end and waits for it; meanwhile says who is being waited for.
fn until_gone(client: &Client, screen: &mut Screen, body: &str) -> Result<CommandReply, Failure> {
    let (all, mut waited, mut told) = (client.patience(), Duration::ZERO, 0);
    loop {
        let span = SAY_EVERY.min(all.saturating_sub(waited));
        waited += span;
        let order = (&Route::Shutdown, body);
        let reply = client.order_within::<CommandReply>(span, order, Doing("shut down"));
        let reply = match reply {
            // It may be gone before its answer is through, and being gone is what was asked for.
            Err(Failure::Connection { source, .. }) if is_hang_up(&source) => return Ok(gone()),
            Err(Failure::NoDaemon { .. }) if told > 0 => return Ok(gone()),
            reply => reply?,
        };
        if reply.outcome != outcome::PENDING || waited >= all {
            return Ok(reply);
        }
        told = say_whom(client, screen, told).unwrap_or(told);
    }
}

fn gone() -> CommandReply {
    CommandReply {
        ok: true,
        outcome: Word::Borrowed(outcome::DONE),
        ..CommandReply::default()
    }
}

/// What the daemon says about its end since the event of this number; the number of the last one.
fn say_whom(client: &Client, screen: &mut Screen, told: u64) -> Result<u64, Failure> {
    let asked = Query::default().with(query::KIND, kind::DAEMON_STOPPING);
    let doing = Doing("ask who is waited for");
    let text = client.get_with(&Route::Events, &asked.with(query::SINCE, told), doing)?;
    let mut last = told.max(1);
    for line in text.lines() {
        let Ok(StreamItem::Event(event)) = StreamItem::parse(line) else {
            continue;
        };
        last = event.seq;
        if let (Some(message), false) = (&event.message, screen.json) {
            screen.talk(&visible(message))?;
        }
    }
    Ok(last)
}

fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
    )
}
