// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tree as it is now in the shapes of the protocol.
//!
//! Translates the engine's snapshot and adds what only the daemon knows: wall time and pids.
//! Whether a tree is healthy is read off the engine's words; nothing is decided here.

use super::line::millis;
use super::press::Press;
use super::world::World;
use super::{stamp, testimony, words};
use crate::spec::{Node, ProbeFault, Restart, Service, ServiceKind, SupervisorKind};
use crate::sys::{leftovers, reap};
use crate::tree::{Actor, HeldBy, NodeView as Seen, Snapshot, State, Time, Unready};
use crate::wire::{FailureLine, Health, LastExit, NodeKind, NodeView, StoppedBy, Word};
use std::collections::BTreeMap;

/// What a view is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Light<'a> {
    /// Pids and the services' own words.
    pub world: &'a World,
    /// Names and wall time.
    pub press: &'a Press,
}

/// The node at `first` and all below it; the snapshot is in pre-order.
pub(crate) fn nested(snapshot: &Snapshot, first: usize, light: Light<'_>) -> Option<NodeView> {
    let top = snapshot.nodes.get(first)?;
    // The open branch, from the top down; a node closes all that are as deep as it is.
    let mut branch: Vec<(usize, NodeView)> = Vec::new();
    for seen in &snapshot.nodes[first..] {
        if seen.depth <= top.depth && seen.id != top.id {
            break;
        }
        close(&mut branch, seen.depth);
        branch.push((seen.depth, one(seen, snapshot.at, light)));
    }
    close(&mut branch, top.depth + 1);
    branch.pop().map(|(_, view)| view)
}

fn close(branch: &mut Vec<(usize, NodeView)>, depth: usize) {
    while branch.len() > 1 && branch.last().is_some_and(|(d, _)| *d >= depth) {
        let Some((_, done)) = branch.pop() else {
            return;
        };
        if let Some((_, above)) = branch.last_mut() {
            above.children.push(done);
        }
    }
}

/// What holds it, and what its trial is about.
fn hold(view: &mut NodeView, seen: &Seen) {
    let by = seen.held_by.as_ref();
    view.held_by = by.map(|by| Word::Borrowed(words::held_by(by)));
    view.breakers = match by {
        Some(HeldBy::Breakers(names)) => names.iter().map(ToString::to_string).collect(),
        Some(HeldBy::Budget | HeldBy::Own | HeldBy::Doubt) | None => Vec::new(),
    };
    view.failures = (seen.failures > 0).then_some(seen.failures);
    view.on_trial = seen.on_trial;
}

fn one(seen: &Seen, at: Time, light: Light<'_>) -> NodeView {
    let pid = seen.run.and_then(|run| light.world.pid_of(run));
    let message = seen.run.and_then(|run| light.world.said(run.life));
    // Its process is reaped; the engine hears of it when nothing of it is left.
    let ending = seen.run.is_some_and(|run| light.world.graves.holds(run));
    let mut view = NodeView {
        name: seen.spec.name().to_string(),
        path: seen.path.clone(),
        state: Word::Borrowed(if ending {
            State::Stopping.as_str()
        } else {
            seen.state.as_str()
        }),
        since_ms: millis(at.since(seen.since)),
        ready: matches!(seen.state, State::Ready | State::Up | State::Done) && !ending,
        pid,
        restarts: u64::from(seen.restarts),
        last_exit: last_exit(seen, at, light),
        stopped_by: seen
            .stopped_by
            .map(|(by, when)| stopped_by(by, when, at, light)),
        pinned: seen.pinned,
        required: seen.spec.required(),
        restart: Some(Word::Borrowed(restart(seen.spec.restart()))),
        delay_ms: seen.next_start.map(|next| millis(next.since(at))),
        waiting_for: seen
            .waiting_for
            .map(|id| light.press.names.name(id).to_owned()),
        process: pid.and_then(|pid| unusual(pid, seen.state)),
        message: message.map(str::to_owned),
        ..NodeView::default()
    };
    hold(&mut view, seen);
    match &seen.spec {
        Node::Service(service) => {
            view.kind = NodeKind::Service;
            view.oneshot = service.kind == ServiceKind::Oneshot;
            view.run = (seen.starts > 0).then_some(u64::from(seen.starts));
            view.up_ms = seen.run_since.map(|since| millis(at.since(since)));
            if seen.state == State::Starting {
                let limit = seen.start_limit.map(|limit| limit.since(seen.since));
                view.limit_ms = limit.map(millis);
                view.awaits = awaits(service, seen.fault);
            }
            if let (State::Remediating, Some(remedy)) = (seen.state, &seen.remedy) {
                view.awaits = Some(format!("remediation {remedy}"));
            }
            view.sick = sick(service, seen.sick);
            match seen.unready {
                Some(Unready::Probe(fault)) => view.awaits = awaits(service, Some(fault)),
                Some(Unready::Stopping) => view.awaits = Some("its end, as it says".to_owned()),
                None => {}
            }
        }
        Node::Supervisor(sup) => {
            view.kind = match sup.kind {
                SupervisorKind::Tree => NodeKind::Supervisor,
                SupervisorKind::Pool => NodeKind::Pool,
            };
            view.strategy = Some(Word::Borrowed(words::strategy(sup.strategy)));
            view.max = Some(sup.max_restarts);
            view.seconds = Some(sup.period.as_secs_f64());
            view.used = seen.recorded.map(|(_, used)| used);
        }
    }
    view
}

/// `tcp 127.0.0.1:6379: connection refused`.
fn awaits(service: &Service, fault: Option<ProbeFault>) -> Option<String> {
    let what = words::ready(&service.ready).filter(|_| service.kind == ServiceKind::Daemon)?;
    Some(match fault {
        Some(fault) => format!("{what}: {}", words::fault(fault)),
        None => what,
    })
}

/// `2 of 3 liveness probes in a row: connection refused`.
fn sick(service: &Service, sick: Option<(u32, ProbeFault)>) -> Option<String> {
    let (failed, fault) = sick?;
    let of = service.health.liveness.as_ref()?.failures;
    let fault = words::fault(fault);
    Some(format!(
        "{failed} of {of} liveness probes in a row: {fault}"
    ))
}

/// Looked up when somebody asks: one system call for a process that is as it should be.
fn unusual(pid: i32, state: State) -> Option<String> {
    if reap::is_stopped(pid) {
        return Some("stopped (T)".to_owned());
    }
    if !matches!(state, State::Stopping | State::Unkillable) {
        return None;
    }
    if let Some(tracer) = leftovers::tracer_of(pid) {
        let name = leftovers::look_at(tracer).map_or_else(String::new, |p| format!("{} ", p.name));
        return Some(format!("traced by {name}(pid {tracer})"));
    }
    match leftovers::look_at(pid)?.state {
        'D' => Some("uninterruptible (D)".to_owned()),
        'Z' => Some("its first thread has ended, others have not (Z)".to_owned()),
        _ => None,
    }
}

fn restart(restart: Restart) -> &'static str {
    match restart {
        Restart::Permanent => "permanent",
        Restart::Transient => "transient",
        Restart::Temporary => "temporary",
    }
}

fn last_exit(seen: &Seen, at: Time, light: Light<'_>) -> Option<LastExit> {
    let last = seen.last_exit.as_ref()?;
    let mut exit = LastExit {
        class: words::class(&last.class),
        base: Some(Word::Borrowed(last.class.base.as_str())),
        family: Some(Word::Borrowed(last.class.family.as_str())),
        qualifiers: last.qualifiers.words().map(Word::Borrowed).collect(),
        ago_ms: Some(millis(at.since(last.at))),
        ts: Some(stamp::rfc3339(light.press.wall_of(last.at))),
        seq: Some(last.seq.0),
        ..LastExit::default()
    };
    match last.facts.map(|f| f.status) {
        Some(crate::spec::ExitStatus::Code(code)) => exit.code = Some(code),
        Some(crate::spec::ExitStatus::Signal { signal, core }) => {
            exit.signal = Some(Word::Owned(signal.to_string()));
            exit.core = core;
        }
        None => {}
    }
    exit.certainty = testimony::certainty(&last.class, last.facts.as_ref());
    if let Some(told) = &last.testimony {
        exit.matched = testimony::matched(&last.class, told);
        exit.said = testimony::said(told);
    }
    exit.probe = last.probe.map(words::fault);
    let process = match &seen.spec {
        Node::Service(service) => Some(&*service.process),
        Node::Supervisor(_) => None,
    };
    exit.failure = last.failure.map(|f| FailureLine {
        stage: Word::Borrowed(f.stage.as_str()),
        errno: f.errno,
        message: Some(words::errno(f.errno)),
        path: process.and_then(|process| words::object(f.stage, process)),
    });
    Some(exit)
}

fn stopped_by(by: Actor, when: Time, at: Time, light: Light<'_>) -> StoppedBy {
    let (uid, pid) = match by {
        Actor::Client { uid, pid } => (Some(uid), Some(pid)),
        Actor::Signal(_) | Actor::Supd => (None, None),
    };
    StoppedBy {
        uid,
        pid,
        ago_ms: Some(millis(at.since(when))),
        ts: Some(stamp::rfc3339(light.press.wall_of(when))),
    }
}

/// Services by their state's word.
pub(crate) fn counts(snapshot: &Snapshot) -> BTreeMap<Word, u64> {
    let mut counts = BTreeMap::new();
    for seen in &snapshot.nodes {
        if matches!(seen.spec, Node::Service(_)) {
            *counts
                .entry(Word::Borrowed(seen.state.as_str()))
                .or_default() += 1;
        }
    }
    counts
}

/// Whether everything that is required is up, with a line for each node that is not as it should
/// be (SEMANTICS §7: partial availability).
pub(crate) fn health(snapshot: &Snapshot) -> Health {
    let mut reasons = Vec::new();
    let mut ready = true;
    for seen in &snapshot.nodes {
        let Node::Service(service) = &seen.spec else {
            continue;
        };
        let well = match seen.state {
            State::Ready | State::Up | State::Done => true,
            State::Stopped => !service.enabled,
            State::Starting
            | State::Unready
            | State::Degraded
            | State::Stopping
            | State::Backoff
            | State::Remediating
            | State::Held
            | State::Parked
            | State::Waiting
            | State::Unkillable
            | State::Down => false,
        };
        if !well {
            reasons.push(format!("{} is {}", service.name, seen.state.as_str()));
            ready &= !service.required;
        }
    }
    let root_down = snapshot
        .nodes
        .first()
        .is_none_or(|root| matches!(root.state, State::Down | State::Stopping));
    let status = match (root_down, reasons.is_empty()) {
        (true, _) => "failed",
        (false, true) => "ok",
        (false, false) => "degraded",
    };
    Health {
        status: Word::Borrowed(status),
        ready: ready && !root_down,
        live: true,
        reasons,
    }
}
