// SPDX-License-Identifier: MIT OR Apache-2.0
//! A record of the engine as a line of the protocol.
//!
//! Translates and adds what only the daemon knows: wall time, pids, last words. It decides
//! nothing, and leaves out what a record does not have.

use super::names::Names;
use super::{line_remedy, testimony, words};
use crate::spec::{ExitStatus, Name, Strategy};
use crate::tree::{
    Actor, Argument, Budget, Classification, Culprit, Decision, Exit, Holder, ProbeAnswer,
    Question, Record, StartWhy, StopWhy, Suspension, Transition, Unready, What,
};
use crate::wire::{
    BudgetLine, CulpritLine, DecisionLine, EventLine, FailureLine, RusageLine, VERSION, WhoLine,
    Word, kind,
};
use std::time::Duration;

/// What the daemon adds to a record.
#[derive(Debug, Default, Clone)]
pub struct Added {
    /// When, RFC 3339.
    pub ts: String,
    /// The process it is about.
    pub pid: Option<i32>,
    /// What it wrote last.
    pub last_lines: Vec<String>,
    /// Who was left of it.
    pub leftovers: Vec<String>,
    /// The life of the daemon.
    pub boot: String,
}

/// The line for `record`.
pub fn event_line(record: &Record, names: &Names, added: Added) -> EventLine {
    let mut line = EventLine {
        v: VERSION,
        seq: record.seq.0,
        ts: added.ts,
        boot: added.boot,
        pid: added.pid,
        last_lines: added.last_lines,
        leftovers: added.leftovers,
        incident: record.incident.map(|i| format!("i{}", i.0)),
        cause: record.cause.map(|c| c.0),
        node: record.name.as_ref().map(ToString::to_string),
        path: record.node.map(|n| names.path(n)),
        message: match &record.what {
            What::Daemon { detail, .. } => Some(detail.to_string()),
            _ => None,
        },
        ..EventLine::default()
    };
    line.kind = Word::Borrowed(kind_of(record));
    fill(&mut line, &record.what, names);
    line
}

/// The event's kind.
pub fn kind_of(record: &Record) -> &'static str {
    match &record.what {
        What::Starting { .. } => kind::SERVICE_STARTING,
        What::Ready { run: Some(_), .. } => kind::SERVICE_READY,
        What::Ready { run: None, .. } => kind::SUPERVISOR_READY,
        What::Unready { .. } => kind::SERVICE_UNREADY,
        What::ProbeChanged { .. } => kind::PROBE_CHANGED,
        What::LivenessSuspended { .. } => kind::LIVENESS_SUSPENDED,
        What::Exited(_) => kind::SERVICE_EXITED,
        What::Decided { .. } => kind::SERVICE_DECIDED,
        What::Stopping { run: None, .. } => kind::SUPERVISOR_STOPPING,
        What::Stopping { run: Some(_), .. } | What::Signalled { .. } => kind::SERVICE_STOPPING,
        What::Stopped { .. } => kind::SERVICE_STOPPED,
        What::SupervisorStopped { .. } => kind::SUPERVISOR_STOPPED,
        What::Backoff { .. } => kind::SERVICE_BACKOFF,
        What::Parked { .. } => kind::SERVICE_PARKED,
        What::Held { .. } => kind::SERVICE_HELD,
        What::Breaker(_) => kind::BREAKER_TRANSITION,
        What::BreakerAlarm { .. } => kind::BREAKER_ALARM,
        What::Released => kind::SERVICE_RELEASED,
        What::RemedyStarted { .. } => kind::REMEDIATION_STARTED,
        What::RemedyStep { .. } => kind::REMEDIATION_STEP,
        What::RemedyFinished { .. } => kind::REMEDIATION_FINISHED,
        What::RemedySkipped { .. } => kind::REMEDIATION_SKIPPED,
        What::Unkillable { .. } => kind::SERVICE_UNKILLABLE,
        What::SupervisorStarting { .. } => kind::SUPERVISOR_STARTING,
        What::Strategy { .. } => kind::SUPERVISOR_STRATEGY,
        What::Exhausted { .. } => kind::SUPERVISOR_EXHAUSTED,
        What::Escalated { .. } => kind::SUPERVISOR_ESCALATED,
        What::StartFailed { .. } => "supervisor.start_failed",
        What::Added => kind::NODE_ADDED,
        What::Removed => kind::NODE_REMOVED,
        What::Changed => kind::NODE_CHANGED,
        What::Command { .. } => kind::COMMAND,
        What::ShuttingDown { .. } => kind::DAEMON_STOPPING,
        What::Health { .. } => kind::SUPERVISOR_HEALTH,
        What::Daemon { kind, .. } => kind,
    }
}

fn fill(line: &mut EventLine, what: &What, names: &Names) {
    match what {
        What::Starting { number, why, .. } => {
            line.run = Some(u64::from(*number));
            started(line, *why, names);
        }
        What::SupervisorStarting { number, why } => {
            line.number = Some(u64::from(*number));
            started(line, *why, names);
        }
        What::Ready { took, .. } => line.took_ms = Some(millis(*took)),
        What::Unready { why, .. } => unready(line, *why),
        What::ProbeChanged {
            question, answer, ..
        } => asked(line, *question, *answer),
        What::LivenessSuspended { why, .. } => suspended(line, *why),
        What::Exited(exit) => exited(line, exit, names),
        What::Stopping { why, .. } | What::Stopped { why } | What::SupervisorStopped { why } => {
            stopped(line, *why, names);
        }
        What::Signalled { signal, .. } => line.signal = Some(Word::Owned(signal.to_string())),
        What::Backoff { delay, attempt } => {
            line.delay_ms = Some(millis(*delay));
            line.attempt = Some(*attempt);
        }
        What::Strategy {
            strategy,
            child,
            scope,
        } => {
            line.child = Some(names.name(*child).to_owned());
            ruled(line, *strategy, scope);
        }
        What::Parked { budget } => line.budget = budget.map(|b| self::budget(b, names)),
        What::Held { by, span } => held(line, by, (*span, names)),
        What::Breaker(transition) => moved(line, transition),
        What::BreakerAlarm { breaker, raised } => alarm(line, breaker, *raised),
        What::Exhausted {
            child_name, budget, ..
        } => {
            line.child = Some(child_name.to_string());
            spend(line, *budget, names);
        }
        What::Escalated { class, culprit } => {
            classed(line, class);
            line.culprit = culprit.as_ref().map(culprit_line);
        }
        What::StartFailed { child_name, .. } => line.child = Some(child_name.to_string()),
        What::Decided {
            class,
            decision,
            budget: spent,
            ..
        } => {
            classed(line, class);
            judged(line, (*decision, *spent), names);
        }
        What::Command { by, verb, with } => commanded(line, *by, verb, *with),
        What::ShuttingDown { by, waiting_for } => {
            line.by = who(*by);
            line.waiting_for = waiting_for.as_ref().map(ToString::to_string);
        }
        What::RemedyStarted { .. }
        | What::RemedyStep { .. }
        | What::RemedyFinished { .. }
        | What::RemedySkipped { .. } => line_remedy::fill(line, what),
        What::Health { health } => line.health = Some(Word::Borrowed(health)),
        What::Unkillable { .. } | What::Released | What::Added | What::Removed | What::Changed => {}
        What::Daemon { by, .. } => line.by = by.and_then(who),
    }
}

fn unready(line: &mut EventLine, why: Unready) {
    match why {
        Unready::Probe(fault) => {
            line.why = Some(Word::Borrowed("probe"));
            line.probe = Some(words::fault(fault));
        }
        Unready::Stopping => line.why = Some(Word::Borrowed("stopping")),
    }
}

fn alarm(line: &mut EventLine, breaker: &Name, raised: bool) {
    line.breaker = Some(breaker.to_string());
    line.to = Some(Word::Borrowed(if raised { "raised" } else { "cleared" }));
}

fn moved(line: &mut EventLine, transition: &Transition) {
    line.breaker = Some(transition.breaker.to_string());
    line.from = Some(Word::Borrowed(transition.from.as_str()));
    line.to = Some(Word::Borrowed(transition.to.as_str()));
    line.why = Some(Word::Borrowed(words::transition_why(transition.why)));
    line.probe = words::transition_fault(transition.why);
    line.delay_ms = transition.span.map(millis);
    line.by = transition.by.and_then(who);
    line.reason = transition.reason.as_deref().map(str::to_owned);
}

fn held(line: &mut EventLine, by: &Holder, (span, names): (Option<Duration>, &Names)) {
    line.delay_ms = span.map(millis);
    match by {
        Holder::Budget(budget) => {
            line.held_by = Some(Word::Borrowed("budget"));
            spend(line, *budget, names);
        }
        Holder::Breakers(names) => {
            line.held_by = Some(Word::Borrowed("breaker"));
            line.breaker = names.first().map(ToString::to_string);
        }
        Holder::Own { failures } => {
            line.held_by = Some(Word::Borrowed("hold_after"));
            line.failures = Some(*failures);
        }
    }
}

fn asked(line: &mut EventLine, question: Question, answer: ProbeAnswer) {
    line.question = Some(Word::Borrowed(question.as_str()));
    line.result = Some(Word::Borrowed(answer.as_str()));
    line.probe = answer.fault().map(words::fault);
}

fn suspended(line: &mut EventLine, why: Suspension) {
    line.why = Some(Word::Borrowed(match why {
        Suspension::Quorum { .. } => "quorum",
        Suspension::Lag(_) => "lag",
        Suspension::Resumed => "resumed",
    }));
    line.message = Some(words::suspension(why));
}

fn started(line: &mut EventLine, why: StartWhy, names: &Names) {
    line.why = Some(Word::Borrowed(words::start_why(why)));
    if let StartWhy::Group(child) = why {
        line.child = Some(names.name(child).to_owned());
    }
}

fn stopped(line: &mut EventLine, why: StopWhy, names: &Names) {
    line.why = Some(Word::Borrowed(words::stop_why(why)));
    match why {
        StopWhy::Group(child) => line.child = Some(names.name(child).to_owned()),
        StopWhy::Command(by) => line.by = who(by),
        StopWhy::Supervisor
        | StopWhy::Shutdown
        | StopWhy::Apply
        | StopWhy::StartTimeout
        | StopWhy::Unhealthy(_) => {}
    }
}

fn exited(line: &mut EventLine, exit: &Exit, names: &Names) {
    line.run = Some(u64::from(exit.number));
    classed(line, &exit.class);
    line.qualifiers = exit.qualifiers.words().map(Word::Borrowed).collect();
    line.phase = Some(Word::Borrowed(words::phase(exit.phase)));
    line.uptime_ms = Some(millis(exit.uptime));
    if let Some(facts) = &exit.facts {
        match facts.status {
            ExitStatus::Code(code) => line.code = Some(code),
            ExitStatus::Signal { signal, core } => {
                line.signal = Some(Word::Owned(signal.to_string()));
                line.core = core;
            }
        }
        line.rusage = Some(RusageLine {
            utime_ms: facts.user_us / 1000,
            stime_ms: facts.system_us / 1000,
            maxrss_kb: facts.maxrss_kb,
        });
    }
    line.failure = exit.failure.map(|f| FailureLine {
        stage: Word::Borrowed(f.stage.as_str()),
        errno: f.errno,
        message: Some(words::errno(f.errno)),
        path: exit
            .attempted
            .as_deref()
            .and_then(|process| words::object(f.stage, process)),
    });
    line.certainty = testimony::certainty(&exit.class, exit.facts.as_ref());
    if let Some(told) = &exit.testimony {
        line.matched = testimony::matched(&exit.class, told);
        line.said = testimony::said(told);
    }
    line.probe = exit.probe.map(words::fault);
    judged(line, (exit.decision, exit.budget), names);
}

fn judged(line: &mut EventLine, (decision, spent): (Decision, Option<Budget>), names: &Names) {
    line.budget = spent.map(|b| budget(b, names));
    line.decision = Some(decided(decision));
}

fn decided(decision: Decision) -> DecisionLine {
    let delay_ms = match decision {
        Decision::Restart { delay } | Decision::Hold { delay } => Some(millis(delay)),
        Decision::Remediate
        | Decision::Confirm
        | Decision::StayDown
        | Decision::Escalate
        | Decision::Park
        | Decision::Expected
        | Decision::Absorbed
        | Decision::LeftAlone
        | Decision::Queued
        | Decision::Done => None,
    };
    DecisionLine {
        action: Word::Borrowed(words::decision(decision)),
        scope: Vec::new(),
        delay_ms,
    }
}

fn classed(line: &mut EventLine, class: &Classification) {
    line.class = Some(words::class(class));
    line.base = Some(Word::Borrowed(class.base.as_str()));
    line.family = Some(Word::Borrowed(class.family.as_str()));
}

fn commanded(line: &mut EventLine, by: Actor, verb: &'static str, with: Option<Argument>) {
    line.by = who(by);
    line.verb = Some(Word::Borrowed(verb));
    match with {
        Some(Argument::Signal(signal)) => line.signal = Some(Word::Owned(signal.to_string())),
        Some(Argument::Instances(count)) => line.instances = u32::try_from(count).ok(),
        None => {}
    }
}

fn ruled(line: &mut EventLine, strategy: Strategy, scope: &[Name]) {
    line.strategy = Some(Word::Borrowed(words::strategy(strategy)));
    line.scope = scope.iter().map(ToString::to_string).collect();
}

fn spend(line: &mut EventLine, spent: Budget, names: &Names) {
    line.budget = Some(budget(spent, names));
}

fn budget(budget: Budget, names: &Names) -> BudgetLine {
    BudgetLine {
        supervisor: names.name(budget.supervisor).to_owned(),
        bucket: Word::Borrowed(words::bucket(budget.bucket)),
        used: budget.used,
        max: budget.max,
        seconds: Some(budget.period.as_secs_f64()),
    }
}

fn culprit_line(culprit: &Culprit) -> CulpritLine {
    CulpritLine {
        node: culprit.name.to_string(),
        class: words::class(&culprit.class),
        code: culprit.code,
        how: Some(words::how(culprit.how, None)),
    }
}

/// A client or a signal; nobody for supd itself.
pub fn who(by: Actor) -> Option<WhoLine> {
    match by {
        Actor::Client { uid, pid } => Some(WhoLine {
            uid: Some(uid),
            pid: Some(pid),
            signal: None,
        }),
        Actor::Signal(signal) => Some(WhoLine {
            signal: Some(Word::Owned(signal.to_string())),
            ..WhoLine::default()
        }),
        Actor::Supd => None,
    }
}

/// Whole milliseconds; a span beyond 584 million years is as long as can be said.
pub fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
