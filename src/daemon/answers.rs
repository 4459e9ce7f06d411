// SPDX-License-Identifier: MIT OR Apache-2.0
//! Questions of clients: which are answered at once, which become commands.
//!
//! Reads are answered from the tree as it is at that moment. It decides nothing about the tree.

use super::control::head::echo;
use super::control::{Answer, Lines, Patience, Request};
use super::desk::{actor, answer, body};
use super::exposition::{self, Facts};
use super::journal::Kinds;
use super::outbox::outbox;
use super::passing::Follow;
use super::ring::Wanted;
use super::run::Daemon;
use super::view::{Light, counts, health, nested};
use super::{line, stamp};
use crate::spec::Node;
use crate::spec::limits::NAME_MAX;
use crate::tree::NodeId;
use crate::wire::{
    CommandReply, ConfigRequest, DaemonView, EventLine, Gap, Query, Route, Snapshot, Status,
    VERSION, Word, code, outcome, query, span,
};
use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;

/// Lines of a service's log when the client does not say how many.
const LOG_LINES: usize = 100;
/// The description of the interface, written by hand.
const OPENAPI: &str = include_str!("../../docs/reference/openapi.json");

impl Daemon {
    /// Answers a question, or hands it to the engine.
    pub(crate) fn take_request(&mut self, request: Request) {
        #[cfg(feature = "test-hooks")]
        self.hooks.count(&request.route);
        let reply = match request.route.clone() {
            #[cfg(feature = "test-hooks")]
            Route::Test(what, name) => return self.take_test(request, &what, &name),
            Route::Act(name, verb) => return self.with_node(request, &name, verb_of(verb)),
            Route::Delete(name) => return self.with_node(request, &name, Self::delete),
            Route::AddChild(name) => return self.with_node(request, &name, Self::add_child),
            Route::Force(name, verb) => return self.force(request, &name, verb),
            Route::Shutdown => return self.shut_down(request),
            Route::Reload => return self.configure(request, &ConfigRequest::default()),
            Route::Apply => match body::<ConfigRequest>(&request.body) {
                Ok(asked) => return self.configure(request, &asked),
                Err(refused) => refused,
            },
            Route::Tree => self
                .status()
                .map_or_else(no_tree, |s| Answer::json(200, &s)),
            Route::Node(name) => self
                .named(&name)
                .map_or_else(|e| e, |id| self.node_view(id)),
            Route::History(name) => self.named(&name).map_or_else(|e| e, |id| self.history(id)),
            Route::Why(name) => self.named(&name).map_or_else(|e| e, |id| self.why(id)),
            Route::Logs(name) => {
                let node = self.named(&name);
                node.and_then(|id| self.logs(id, &request.query))
                    .unwrap_or_else(|e| e)
            }
            Route::Events => self.events(&request.query).unwrap_or_else(|e| e),
            Route::Breakers => Answer::json(200, &self.breakers()),
            Route::Remediations => self.remediations(),
            Route::Health => self.health(&request.query),
            Route::OpenApi => Answer::Json {
                status: 200,
                json: OPENAPI.to_owned(),
            },
            Route::Metrics => Answer::Metrics(self.metrics()),
            Route::Plan => return self.plan(request),
            Route::Drill => return self.drill(request),
            Route::Config => self.told(&request.query),
        };
        answer(request.reply, reply);
    }

    fn with_node(
        &mut self,
        request: Request,
        name: &str,
        act: impl FnOnce(&mut Self, Request, NodeId),
    ) {
        match self.named(name) {
            Ok(node) => act(self, request, node),
            Err(unknown) => answer(request.reply, unknown),
        }
    }

    fn configure(&mut self, request: Request, asked: &ConfigRequest) {
        let by = actor(&request);
        let reply = match request.patience {
            Patience::UntilDone => Some(request.reply),
            Patience::None => {
                let accepted = CommandReply {
                    ok: true,
                    outcome: Word::Borrowed(outcome::ACCEPTED),
                    ..CommandReply::default()
                };
                answer(request.reply, Answer::json(202, &accepted));
                None
            }
        };
        self.take_up(by, asked, reply);
    }

    /// The node of this name or path; else who has a similar one.
    pub(super) fn named(&self, name: &str) -> Result<NodeId, Answer> {
        // Names are unique, so a path is looked up by its end.
        let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
        let found = self.tree.node(last);
        let found = found.filter(|id| last == name || self.press.names.path(*id) == name);
        found.ok_or_else(|| {
            let known = self.press.names.all().map(|(_, known)| known);
            let hint = match similar(last, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "supctl status shows all names".to_owned(),
            };
            let message = format!("no node `{}`", echo(name));
            Answer::error(404, code::NO_SUCH_NODE, message).hint(hint)
        })
    }

    fn light(&self) -> Light<'_> {
        Light {
            world: &self.world,
            press: &self.press,
        }
    }

    fn status(&self) -> Option<Status> {
        let mut snapshot = self.tree.snapshot();
        snapshot.at = self.now();
        let root = nested(&snapshot, 0, self.light())?;
        Some(Status {
            v: VERSION,
            seq: self.press.journal.last(),
            daemon: DaemonView {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: i32::try_from(std::process::id()).unwrap_or_default(),
                up_ms: line::millis(self.now().since(self.born.0)),
                boot: self.press.journal.boot().to_owned(),
                started: Some(stamp::rfc3339(self.born.1)),
                config: Some(self.desk.config.view()),
            },
            counts: counts(&snapshot),
            root,
        })
    }

    fn node_view(&self, node: NodeId) -> Answer {
        let restarts = self.tree.touched_by_restart(node);
        let others = restarts.into_iter().filter(|id| *id != node);
        let others = others.map(|id| self.press.names.name(id).to_owned());
        let others: Vec<String> = others.collect();
        if let Some(mut view) = self.service_view(node) {
            view.restarts_with = others;
            return Answer::json(200, &view);
        }
        let mut snapshot = self.tree.snapshot();
        snapshot.at = self.now();
        let place = snapshot.nodes.iter().position(|n| n.id == node);
        let view = place.and_then(|place| nested(&snapshot, place, self.light()));
        let view = view.map(|view| crate::wire::NodeView {
            restarts_with: others,
            ..view
        });
        view.map_or_else(no_tree, |view| Answer::json(200, &view))
    }

    /// A service alone, without a look at the rest of the tree.
    fn service_view(&self, node: NodeId) -> Option<crate::wire::NodeView> {
        let seen = self.tree.view(node)?;
        let Node::Service(_) = seen.spec else {
            return None;
        };
        let nodes = vec![crate::tree::NodeView {
            path: self.press.names.path(node),
            ..seen
        }];
        let at = self.now();
        let mut view = nested(&crate::tree::Snapshot { at, nodes }, 0, self.light())?;
        view.log = self.world.logs.view(node);
        if let (Some(exit), Some(seen)) = (&mut view.last_exit, self.tree.view(node))
            && let Some(last) = &seen.last_exit
        {
            exit.rules = super::testimony::rules(last);
        }
        Some(view)
    }

    fn metrics(&mut self) -> String {
        let mut tree = self.tree.snapshot();
        tree.at = self.now();
        exposition::page(Facts {
            tree: &tree,
            tally: &self.press.tally,
            config: &self.desk.config.hash(),
            started_us: self.born.1,
            lag: self.turn.lag.take(),
            dropped: self.press.journal.missed(),
            world: &self.world,
        })
    }

    fn health(&self, query: &Query) -> Answer {
        let health = health(&self.tree.snapshot());
        let holds = match query.get(query::LEVEL) {
            Some("live") => health.live,
            Some("ready") => health.ready,
            Some(other) => {
                let message = format!("`{other}` is no level of health");
                return Answer::error(400, code::BAD_REQUEST, message)
                    .hint("write ?level=live or ?level=ready");
            }
            None => health.status == "ok",
        };
        Answer::json(if holds { 200 } else { 503 }, &health)
    }

    fn why(&self, node: NodeId) -> Answer {
        let mut snapshot = self.tree.snapshot();
        snapshot.at = self.now();
        let place = snapshot.nodes.iter().position(|n| n.id == node);
        let view = |place| nested(&snapshot, place, self.light());
        let (Some(root), Some(seen)) = (view(0), place.and_then(view)) else {
            return no_tree();
        };
        let names = &self.press.names;
        let (_, events) = self.press.journal.since(0, &Kinds::default(), names);
        let wall_us = self.press.wall_of(self.now());
        let day_ms = u64::try_from(wall_us / 1000).unwrap_or_default() % 86_400_000;
        let mut why = crate::tell::why::why(&root, &seen, (&events, day_ms));
        let last = self.tree.view(node).and_then(|view| view.last_exit);
        if let (Some(exit), Some(last)) = (&mut why.node.last_exit, last) {
            exit.rules = super::testimony::rules(&last);
        }
        Answer::json(200, &why)
    }

    fn history(&self, node: NodeId) -> Answer {
        let events = self.press.journal.history(node, &self.press.names);
        Answer::List(ndjson(&events))
    }

    fn events(&mut self, query: &Query) -> Result<Answer, Answer> {
        let kinds = Kinds(query.all(query::KIND).map(str::to_owned).collect());
        let since = self.since(query)?;
        let follow = query.is_on(query::FOLLOW);
        let mut first: VecDeque<Arc<str>> = VecDeque::new();
        if follow && let Some(status) = self.status() {
            first.push_back(json(&Snapshot::new(status)));
        }
        let from = match since {
            Some(seq) => seq,
            None if follow => self.press.journal.last(),
            None => 0,
        };
        let (gap, lines) = self.press.journal.since(from, &kinds, &self.press.names);
        // Without `since` nobody has asked for what is forgotten.
        if let (Some((a, b)), Some(_)) = (gap, since) {
            first.push_back(json(&Gap::new(a, b)));
        }
        first.extend(lines.iter().map(json));
        if !follow {
            return Ok(Answer::List(joined(&first)));
        }
        let (to, rest) = outbox();
        self.press.journal.follow(kinds, to);
        Ok(Answer::Stream(Lines { first, rest }))
    }

    /// `?since=` as the number of the last event not wanted.
    fn since(&self, query: &Query) -> Result<Option<u64>, Answer> {
        let Some(text) = query.get(query::SINCE) else {
            return Ok(None);
        };
        if let Ok(seq) = text.parse() {
            return Ok(Some(seq));
        }
        let ago = span::parse(text).ok_or_else(|| {
            let message = format!("`{text}` is neither an event's number nor a span of time");
            Answer::error(400, code::BAD_REQUEST, message).hint("write ?since=801 or ?since=10m")
        })?;
        let ago = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
        let moment = stamp::wall_us().saturating_sub(ago);
        Ok(Some(self.press.journal.before(moment)))
    }

    fn logs(&mut self, node: NodeId, query: &Query) -> Result<Answer, Answer> {
        let most = number(query, query::LINES)?.unwrap_or(LOG_LINES);
        let wanted = Wanted {
            most,
            run: number(query, query::RUN)?,
            since: self.log_since(query)?,
            // Who follows is told of it when it is whole.
            open: !query.is_on(query::FOLLOW),
        };
        let mut whose = self.services_below(node);
        let mut only = BTreeSet::new();
        for name in query.all(query::ONLY) {
            only.append(&mut self.services_below(self.named(name)?));
        }
        if query.get(query::ONLY).is_some() {
            whose.retain(|id| only.contains(id));
        }
        let mut lines: Vec<_> = whose
            .iter()
            .flat_map(|id| self.world.logs.last(*id, wanted))
            .collect();
        if whose.len() > 1 {
            // In the order in which they were read.
            lines.sort_by_key(|(number, _)| *number);
            lines.drain(..lines.len().saturating_sub(most));
        }
        let first: VecDeque<Arc<str>> = lines.iter().map(|(_, line)| json(line)).collect();
        if !query.is_on(query::FOLLOW) {
            return Ok(Answer::List(joined(&first)));
        }
        let (to, rest) = outbox();
        self.world.logs.follow(Follow(whose), to);
        Ok(Answer::Stream(Lines { first, rest }))
    }

    /// `?since=` as a moment, microseconds since 1970.
    fn log_since(&self, query: &Query) -> Result<Option<i64>, Answer> {
        let Some(text) = query.get(query::SINCE) else {
            return Ok(None);
        };
        let ago = span::parse(text).ok_or_else(|| {
            let message = format!("`{text}` is no span of time");
            Answer::error(400, code::BAD_REQUEST, message).hint("write ?since=10m")
        })?;
        let ago = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
        Ok(Some(self.press.wall_of(self.now()).saturating_sub(ago)))
    }

    fn services_below(&self, node: NodeId) -> BTreeSet<NodeId> {
        let nodes = self.tree.snapshot().nodes;
        let services = nodes.iter().filter(|n| matches!(n.spec, Node::Service(_)));
        services
            .map(|n| n.id)
            .filter(|id| self.press.names.is_below(*id, node))
            .collect()
    }
}

fn number<T: std::str::FromStr>(query: &Query, key: &str) -> Result<Option<T>, Answer> {
    let Some(text) = query.get(key) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        let message = format!("`{key}` is no number: `{text}`");
        Answer::error(400, code::BAD_REQUEST, message)
            .hint("write ?lines=100, or ?run=3 for one run")
    })
}

fn verb_of(verb: crate::wire::Verb) -> impl FnOnce(&mut Daemon, Request, NodeId) {
    move |daemon, request, node| daemon.act(request, node, verb)
}

/// The name that is most like this one. Most names are told apart by their letters alone, which
/// takes a hundredth of the time: a stranger's nonsense must not cost a large tree much.
fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > NAME_MAX {
        return None;
    }
    let letters = |text: &str| {
        let mut counts = [0_i16; 32];
        for byte in text.bytes() {
            counts[usize::from(byte % 32)] += 1;
        }
        counts
    };
    let wanted = letters(name);
    let apart = |known: &str| {
        let other = letters(known);
        let apart = wanted.iter().zip(other).map(|(a, b)| a.abs_diff(b));
        usize::from(apart.sum::<u16>()).div_ceil(2)
    };
    known
        .filter(|known| apart(known) <= slips(known))
        .map(|known| (strsim::damerau_levenshtein(known, name), known))
        .filter(|(found, known)| *found <= slips(known))
        .min()
        .map(|(_, known)| known)
}

/// How many slips of the pen a name may have.
fn slips(name: &str) -> usize {
    (name.len() / 3).max(1)
}

fn no_tree() -> Answer {
    Answer::error(500, code::INTERNAL, "the tree has no such node any more").hint("supctl status")
}

fn json<T: serde::Serialize>(value: &T) -> Arc<str> {
    serde_json::to_string(value).unwrap_or_default().into()
}

fn joined(lines: &VecDeque<Arc<str>>) -> String {
    lines.iter().fold(String::new(), |mut text, line| {
        let _infallible = writeln!(text, "{line}");
        text
    })
}

fn ndjson(events: &[EventLine]) -> String {
    joined(&events.iter().map(json).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_found_and_nonsense_is_not() {
        let known = ["web", "api", "worker.1", "database"];
        let near = |name| similar(name, known.into_iter());
        assert_eq!(near("wbe"), Some("web"));
        assert_eq!(near("databse"), Some("database"));
        assert_eq!(near("worker.7"), Some("worker.1"));
        assert_eq!(near("datenbank"), None);
        assert_eq!(near(""), None);
        assert_eq!(near(&"web".repeat(20_000)), None);
    }
}
