// SPDX-License-Identifier: MIT OR Apache-2.0
//! What really follows a fault: read off the stream of events, from the fault on.

use crate::ctl::client::{Client, Doing};
use crate::ctl::clock::Deadline;
use crate::ctl::failure::Failure;
use crate::ctl::look::damaged;
use crate::wire::{DrillReply, EventLine, Query, Route, StreamItem, kind, query};
use std::collections::BTreeSet;
use std::io;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Observed {
    pub(super) restarted: BTreeSet<String>,
    /// The class of the first end of the service itself.
    pub(super) class: Option<String>,
    /// From the fault until everybody served again.
    pub(super) healed_ms: Option<u64>,
    /// Who moved that nobody had named.
    pub(super) stranger: Option<String>,
}

/// What is waited for.
#[derive(Debug)]
pub(super) struct Watch {
    node: String,
    since: u64,
    named: BTreeSet<String>,
    /// Who is to be ready again.
    expected: BTreeSet<String>,
    /// Who is on the way.
    down: BTreeSet<String>,
    /// The whole time has to pass: something is stopped until then.
    waits: bool,
    first_ms: Option<i64>,
    seen: Observed,
}

impl Watch {
    pub(super) fn new(declared: &BTreeSet<String>, foreseen: &DrillReply) -> Self {
        let predicted = foreseen.restarted.iter().chain(&foreseen.ended);
        let named = declared.iter().chain(predicted).cloned();
        Self {
            node: foreseen.node.clone(),
            since: foreseen.seq,
            named: named.chain([foreseen.node.clone()]).collect(),
            expected: foreseen.restarted.iter().cloned().collect(),
            down: BTreeSet::new(),
            waits: foreseen.ended.is_empty(),
            first_ms: None,
            seen: Observed::default(),
        }
    }

    /// Reads until everybody is back, or the time is over, or somebody moves whom nobody named.
    pub(super) fn until(
        &mut self,
        client: &Client,
        deadline: Deadline,
    ) -> Result<Observed, Failure> {
        let parameters = Query::default()
            .with(query::SINCE, self.since)
            .with(query::FOLLOW, 1);
        let doing = Doing("watch what happens");
        let mut lines = client.lines(&Route::Events, &parameters, doing)?;
        loop {
            let line = match lines.next(deadline) {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(failure) if is_over(&failure, deadline) => break,
                Err(failure) => return Err(failure),
            };
            if let StreamItem::Event(event) = StreamItem::parse(line).map_err(damaged)?
                && self.take(&event)
            {
                break;
            }
        }
        if self.waits && self.down.is_empty() && self.seen.stranger.is_none() {
            // Nothing was to happen, and nothing has.
            self.seen.healed_ms = self.seen.healed_ms.or(Some(0));
        }
        Ok(std::mem::take(&mut self.seen))
    }

    /// `true`: there is nothing more to wait for.
    fn take(&mut self, event: &EventLine) -> bool {
        let at = event.ts.parse::<jiff::Timestamp>().ok();
        let at = at.map(jiff::Timestamp::as_millisecond);
        self.first_ms = self.first_ms.or(at);
        let Some(name) = event.node.clone() else {
            return false;
        };
        let moves = matches!(
            &*event.kind,
            kind::SERVICE_STARTING | kind::SERVICE_EXITED | kind::SERVICE_STOPPED
        );
        if moves && !self.named.contains(&name) {
            let what = event.kind.strip_prefix("service.").unwrap_or(&event.kind);
            self.seen.stranger = Some(format!("{name} was {what}"));
            return true;
        }
        match &*event.kind {
            kind::SERVICE_STARTING => {
                self.seen.restarted.insert(name.clone());
                self.down.insert(name);
            }
            kind::SERVICE_EXITED => {
                if name == self.node && self.seen.class.is_none() {
                    let class = event.base.as_deref().or(event.class.as_deref());
                    self.seen.class = class.map(str::to_owned);
                }
                let done = event.decision.as_ref().is_some_and(|d| d.action == "done");
                if done {
                    self.down.remove(&name);
                } else {
                    self.down.insert(name);
                }
            }
            kind::SERVICE_READY => {
                self.down.remove(&name);
            }
            _ => return false,
        }
        let back = self.expected.is_subset(&self.seen.restarted);
        let over = !self.waits && back && self.is_up();
        if over {
            let took = at.zip(self.first_ms).map(|(at, first)| at - first);
            self.seen.healed_ms = took.and_then(|took| u64::try_from(took).ok());
        }
        over
    }

    /// Whether everybody who is to be up is; who ends for good is not.
    fn is_up(&self) -> bool {
        self.down.iter().all(|name| !self.expected.contains(name))
    }
}

fn is_over(failure: &Failure, deadline: Deadline) -> bool {
    let waited = match failure {
        Failure::InVain { .. } => true,
        Failure::Connection { source, .. } => matches!(
            source.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
        ),
        _ => false,
    };
    waited || deadline.left().is_some_and(|left| left.is_zero())
}
