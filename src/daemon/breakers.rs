// SPDX-License-Identifier: MIT OR Apache-2.0
//! Breakers for clients: how they are, and orders to force one.
//!
//! What a forced breaker does, and that it ends, is decided in the engine.

use super::control::head::echo;
use super::control::{Answer, Request};
use super::desk::{answer, body};
use super::line::{millis, who};
use super::run::Daemon;
use super::words;
use crate::spec::Name;
use crate::spec::limits::FORCED_FOR;
use crate::tree::{Command, Force, NodeId};
use crate::wire::{BreakerList, BreakerView, ForceRequest, ForceVerb, Word, code, span};

impl Daemon {
    /// `GET /v1/breakers`.
    pub(super) fn breakers(&self) -> BreakerList {
        let at = self.now();
        let name = |id| self.press.names.name(id).to_owned();
        let one = |seen: crate::tree::BreakerView| BreakerView {
            name: seen.spec.name.to_string(),
            state: Word::Borrowed(seen.state.as_str()),
            since_ms: millis(at.since(seen.since)),
            delay_ms: seen.until.map(|until| millis(until.since(at))),
            row: seen.row,
            failures: seen.spec.failures,
            probe: seen
                .spec
                .probe
                .as_ref()
                .map(|asked| words::target(&asked.probe.target)),
            held: seen.held.into_iter().map(name).collect(),
            trial: seen.trial.map(name),
            by: seen.by.and_then(who),
            reason: seen.reason.map(String::from),
        };
        BreakerList {
            breakers: self.tree.breakers().into_iter().map(one).collect(),
        }
    }

    /// `postgres:open,cache:closed`: what a service is told about the breakers that it lists.
    pub(super) fn breakers_in_environment(&self, node: NodeId) -> String {
        let all = self.tree.breakers_of(node).into_iter();
        let words = all.map(|(name, state)| format!("{name}:{}", state.as_str()));
        words.collect::<Vec<_>>().join(",")
    }

    /// `POST /v1/breakers/{name}/{verb}`.
    pub(super) fn force(&mut self, request: Request, name: &str, verb: ForceVerb) {
        match self.force_of(&request, name, verb) {
            Ok(command) => self.order_for(request, command),
            Err(refused) => answer(request.reply, refused),
        }
    }

    fn force_of(&self, request: &Request, name: &str, verb: ForceVerb) -> Result<Command, Answer> {
        let known = self.tree.breakers();
        if !known.iter().any(|breaker| *breaker.spec.name == *name) {
            let message = format!("no breaker `{}`", echo(name));
            let refused = Answer::error(404, code::NO_SUCH_NODE, message);
            return Err(refused.hint("supctl breaker shows all of them"));
        }
        let asked = body::<ForceRequest>(&request.body)?;
        let span = match asked.span.as_deref() {
            None => FORCED_FOR,
            Some(text) => span::parse(text)
                .filter(|span| !span.is_zero())
                .ok_or_else(|| {
                    let message = format!("`{}` is no time", echo(text));
                    Answer::error(400, code::BAD_REQUEST, message).hint("write it as 30m, 2h or 1d")
                })?,
        };
        let reason = asked.reason.map(String::into_boxed_str);
        let force = match verb {
            ForceVerb::Open => Force::Open { span, reason },
            ForceVerb::Close => Force::Closed { span, reason },
            ForceVerb::Auto => Force::Auto,
        };
        Ok(Command::Breaker(Name::from(name), force))
    }
}
