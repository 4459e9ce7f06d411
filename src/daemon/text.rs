// SPDX-License-Identifier: MIT OR Apache-2.0
//! A record of the engine as one line for people, and how important it is.
//!
//! The node's name is not part of the message: who prints it puts it in front. Nothing is decided
//! here, and a line never holds what a child wrote.

use super::names::Names;
use super::{text_remedy, words};
use crate::spec::{LogLevel, Verdict};
use crate::tree::{
    Actor, Budget, Class, Culprit, Decision, Exit, Holder, ProbeAnswer, Question, Record, StartWhy,
    StopWhy, Suspension, Transition, Unready, What,
};
use std::time::Duration;

/// How important a record is.
pub(crate) fn level(what: &What) -> LogLevel {
    match what {
        What::Exited(exit) => level_of_end(exit.class.base),
        What::RemedyFinished {
            verdict: Verdict::Failed,
            ..
        }
        | What::Strategy { .. }
        | What::Breaker(_)
        | What::Unready { .. }
        | What::ProbeChanged { .. }
        | What::LivenessSuspended { .. }
        | What::Stopping {
            why: StopWhy::Unhealthy(_),
            ..
        }
        | What::Decided {
            decision: Decision::Escalate,
            ..
        } => LogLevel::Warn,
        What::Parked { .. }
        | What::Held { .. }
        | What::BreakerAlarm { raised: true, .. }
        | What::Exhausted { .. }
        | What::Escalated { .. }
        | What::Unkillable { .. }
        | What::StartFailed { .. } => LogLevel::Error,
        What::Signalled { .. } | What::Health { .. } | What::Stopping { .. } => LogLevel::Debug,
        What::Daemon { kind, .. } if *kind == super::note::PANIC => LogLevel::Error,
        What::Daemon { kind, .. } if *kind == super::note::RELOAD_REFUSED => LogLevel::Error,
        What::Daemon { kind, .. } if *kind == super::note::LOG_FAILING => LogLevel::Error,
        What::Daemon { kind, .. } if *kind == super::note::REFUSED => LogLevel::Warn,
        What::Daemon { kind, .. } if *kind == super::note::ORPHAN => LogLevel::Debug,
        What::RemedyStarted { .. }
        | What::RemedyStep { .. }
        | What::RemedyFinished { .. }
        | What::RemedySkipped { .. }
        | What::Decided { .. }
        | What::Starting { .. }
        | What::Ready { .. }
        | What::Stopped { .. }
        | What::SupervisorStopped { .. }
        | What::Backoff { .. }
        | What::Released
        | What::BreakerAlarm { raised: false, .. }
        | What::SupervisorStarting { .. }
        | What::Added
        | What::Removed
        | What::Changed
        | What::Command { .. }
        | What::ShuttingDown { .. }
        | What::Daemon { .. } => LogLevel::Info,
    }
}

fn level_of_end(base: Class) -> LogLevel {
    match base {
        Class::Requested | Class::Recycled | Class::Clean => LogLevel::Info,
        Class::StopTimeout
        | Class::Escalated
        | Class::AutoShutdown
        | Class::StartTimeout
        | Class::LivenessFailed
        | Class::WatchdogTimeout
        | Class::SpawnFailed
        | Class::ExecFailed
        | Class::OomKill
        | Class::Rlimit
        | Class::Sandbox
        | Class::Crash
        | Class::Killed
        | Class::Terminated
        | Class::Signal
        | Class::Unavailable
        | Class::Tempfail
        | Class::Config
        | Class::ExitCode => LogLevel::Warn,
    }
}

/// What happened, without the name of the node it happened to.
pub(crate) fn message(record: &Record, names: &Names) -> String {
    match &record.what {
        What::Starting { number, why, .. } => {
            format!("starting, run {number}{}", start_why(*why, names))
        }
        What::SupervisorStarting { number, why } => begins(*number, *why, names),
        What::Ready { took, .. } => format!("ready after {}", words::span(*took)),
        What::Unready { why, .. } => format!("no longer ready: {}", unready(*why)),
        What::ProbeChanged {
            question, answer, ..
        } => answered(*question, *answer),
        What::LivenessSuspended { why, .. } => spared(*why),
        What::Exited(exit) => exited(exit, names),
        What::Stopping { why, .. } => format!("stopping: {}", stop_why(*why, names)),
        What::Signalled { signal, .. } => format!("sent SIG{signal}"),
        What::Stopped { why } | What::SupervisorStopped { why } => {
            format!("stopped: {}", stop_why(*why, names))
        }
        What::Backoff { delay, attempt } => {
            format!("waits {} before attempt {attempt}", words::span(*delay))
        }
        What::Unkillable { .. } => {
            "does not end although it was killed; see its state in `ps`".to_owned()
        }
        What::Strategy {
            strategy,
            child,
            scope,
        } => {
            let (rule, child) = (words::strategy(*strategy), names.name(*child));
            format!("{rule} because of {child}: {}", scope.join(", "))
        }
        What::Parked { budget } => parked(*budget),
        What::Held { by, span } => held(by, *span),
        What::Breaker(transition) => moved(transition),
        What::BreakerAlarm { breaker, raised } => alarm(breaker, *raised),
        What::Released => "released".to_owned(),
        What::RemedyStarted { .. }
        | What::RemedyStep { .. }
        | What::RemedyFinished { .. }
        | What::RemedySkipped { .. } => text_remedy::message(record),
        What::Exhausted {
            child_name, budget, ..
        } => format!("gives up: {child_name} needed {}", exhausted(*budget)),
        What::Escalated { class, culprit } => escalated(class.base, culprit.as_ref()),
        What::StartFailed { child_name, .. } => {
            format!("cannot start: {child_name} could not be started")
        }
        What::Decided {
            class,
            decision,
            budget,
            ..
        } => format!(
            "end ({}) judged{}",
            class.as_str(),
            next(*decision, *budget, names)
        ),
        What::Added => "added to the tree".to_owned(),
        What::Removed => "removed from the tree".to_owned(),
        What::Changed => "changed in place".to_owned(),
        What::Command { by, verb, with } => {
            let with = with.map(words::argument).unwrap_or_default();
            format!("{verb}{with} asked for by {}", words::actor(*by))
        }
        What::ShuttingDown { by, waiting_for } => going_down(*by, waiting_for.as_deref()),
        What::Health { health } => format!("is {health}"),
        What::Daemon { detail, .. } => detail.to_string(),
    }
}

/// An incarnation of a supervisor.
fn begins(number: u32, why: StartWhy, names: &Names) -> String {
    let why = start_why(why, names);
    match number {
        1 => format!("starting{why}"),
        number => format!("starting again{why}, incarnation {number}"),
    }
}

fn spared(why: Suspension) -> String {
    format!("is unhealthy and not killed: {}", words::suspension(why))
}

fn answered(question: Question, answer: ProbeAnswer) -> String {
    let asked = question.as_str();
    match answer {
        ProbeAnswer::Success => format!("{asked} probe succeeds again"),
        ProbeAnswer::Failure(fault) => format!("{asked} probe fails: {}", words::fault(fault)),
        ProbeAnswer::Unknown(fault) => format!(
            "{asked} probe could not be made, which counts as nothing: {}",
            words::fault(fault)
        ),
    }
}

fn unready(why: Unready) -> String {
    match why {
        Unready::Probe(fault) => words::fault(fault),
        Unready::Stopping => "it says that it stops".to_owned(),
    }
}

fn parked(budget: Option<Budget>) -> String {
    let why = budget.map_or_else(|| "its remedy says so".to_owned(), exhausted);
    format!("parked until somebody acts: {why}; supctl start brings it back")
}

/// `one restart more than 5 in 1m`.
fn exhausted(budget: Budget) -> String {
    format!(
        "one restart{} more than {} in {}",
        words::of_bucket(budget.bucket),
        budget.max,
        words::span(budget.period)
    )
}

fn exited(exit: &Exit, names: &Names) -> String {
    let class = class(exit);
    let how = match (&exit.facts, exit.failure) {
        (Some(facts), _) => format!(
            "exited: {} after {} ({class})",
            words::status(facts.status),
            words::span(exit.uptime),
        ),
        (None, Some(failure)) => {
            let object = exit.attempted.as_deref();
            let object = object.and_then(|process| words::object(failure.stage, process));
            let why = words::failure(failure, object.as_deref());
            format!("not started: {why} ({class})")
        }
        (None, None) => format!("ended ({class})"),
    };
    let probe = exit
        .probe
        .map(|fault| format!(", last probe: {}", words::fault(fault)));
    let probe = probe.unwrap_or_default();
    format!("{how}{probe}{}", next(exit.decision, exit.budget, names))
}

/// `database_lost, exit_code, flapping`: its class, its base class where that is another one, and
/// what else is to be said about it.
fn class(exit: &Exit) -> String {
    let mut words = vec![exit.class.as_str()];
    if exit.class.user.is_some() {
        words.push(exit.class.base.as_str());
    }
    // How long it ran says that it was early.
    for word in exit.qualifiers.words().filter(|word| *word != "early") {
        words.push(word);
    }
    words.join(", ")
}

fn alarm(breaker: &str, raised: bool) -> String {
    let what = if raised { "alarm" } else { "alarm is over" };
    format!("breaker {breaker}: {what}")
}

/// `breaker postgres: closed -> open for 30s (probe: connection refused)`.
fn moved(transition: &Transition) -> String {
    let span = transition.span;
    let span = span.map_or(String::new(), |span| format!(" for {}", words::span(span)));
    let why = words::transition_why(transition.why);
    let found = words::transition_fault(transition.why);
    let found = found.map_or(String::new(), |found| format!(": {found}"));
    let by = transition
        .by
        .map_or(String::new(), |by| format!(" by {}", words::actor(by)));
    let reason = transition.reason.as_ref();
    let reason = reason.map_or(String::new(), |reason| {
        format!(", \"{}\"", reason.escape_debug())
    });
    format!(
        "breaker {}: {} -> {}{span} ({why}{found}{by}{reason})",
        transition.breaker,
        transition.from.as_str(),
        transition.to.as_str()
    )
}

fn held(by: &Holder, span: Option<Duration>) -> String {
    let span = span.map_or(String::new(), |span| format!(" for {}", words::span(span)));
    match by {
        Holder::Budget(budget) => format!("held{span}: {}", exhausted(*budget)),
        Holder::Breakers(names) => format!("held{span} by breaker {}", names.join(", ")),
        Holder::Own { failures: 1 } => format!("held{span} by its hold_after"),
        Holder::Own { failures } => {
            format!("held{span} by its hold_after: {failures} failures in a row")
        }
    }
}

fn next(decision: Decision, budget: Option<Budget>, names: &Names) -> String {
    let next = match decision {
        Decision::Restart { delay } if delay.is_zero() => " -> restart now".to_owned(),
        Decision::Restart { delay } => format!(" -> restart in {}", words::span(delay)),
        Decision::Remediate => " -> remediate".to_owned(),
        Decision::StayDown => " -> stays down".to_owned(),
        Decision::Escalate => " -> one restart too many".to_owned(),
        Decision::Park => " -> one restart too many, parked".to_owned(),
        Decision::Hold { delay } if budget.is_some() => {
            format!(" -> one restart too many, held for {}", words::span(delay))
        }
        Decision::Hold { delay } => {
            format!(" -> held for {}, no restart counted", words::span(delay))
        }
        Decision::Confirm => " -> a probe says whether it counts".to_owned(),
        Decision::Queued => " -> its supervisor is busy and decides later".to_owned(),
        Decision::Absorbed => " -> part of what is under way".to_owned(),
        Decision::LeftAlone => " -> left alone, it is pinned".to_owned(),
        Decision::Expected | Decision::Done => String::new(),
    };
    let spent = budget.map(|b| spent(b, names)).unwrap_or_default();
    format!("{next}{spent}")
}

fn spent(budget: Budget, names: &Names) -> String {
    format!(
        ", {}{} {}/{} in {}",
        names.name(budget.supervisor),
        words::of_bucket(budget.bucket),
        budget.used,
        budget.max,
        words::span(budget.period)
    )
}

fn escalated(class: Class, culprit: Option<&Culprit>) -> String {
    let what = if class == Class::AutoShutdown {
        "shut itself down"
    } else {
        "gave up"
    };
    match culprit {
        Some(c) => format!(
            "{what} because of {}: {} ({})",
            c.name,
            words::how(c.how, None),
            c.class.as_str()
        ),
        None => what.to_owned(),
    }
}

fn going_down(by: Actor, waiting_for: Option<&str>) -> String {
    let waiting = waiting_for.map(|name| format!("; waiting for {name}"));
    let by = words::actor(by);
    format!(
        "stopping everything, asked for by {by}{}",
        waiting.unwrap_or_default()
    )
}

fn start_why(why: StartWhy, names: &Names) -> String {
    match why {
        StartWhy::Boot => String::new(),
        StartWhy::Restart => " (restart)".to_owned(),
        StartWhy::Group(child) => format!(" (because of {})", names.name(child)),
        StartWhy::Retry => " (another try)".to_owned(),
        StartWhy::Released => " (released)".to_owned(),
        StartWhy::Trial => " (trial)".to_owned(),
        StartWhy::Command => " (by order)".to_owned(),
        StartWhy::Apply => " (new configuration)".to_owned(),
    }
}

fn stop_why(why: StopWhy, names: &Names) -> String {
    match why {
        StopWhy::Group(child) => format!("because of {}", names.name(child)),
        StopWhy::Supervisor => "its supervisor goes down".to_owned(),
        StopWhy::Shutdown => "everything goes down".to_owned(),
        StopWhy::Command(by) => format!("by order of {}", words::actor(by)),
        StopWhy::Apply => "new configuration".to_owned(),
        StopWhy::StartTimeout => "not ready in time".to_owned(),
        StopWhy::Unhealthy(what) => words::unhealthy(what).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{ExitFacts, ExitStatus, Signal};
    use crate::tree::{Classification, NodeId, Phase, Qualifiers, RunId, Seq, Time};
    use std::time::Duration;

    #[test]
    fn an_exit_says_how_why_and_what_is_done_in_one_line() {
        let mut names = Names::default();
        names.add(NodeId(1), "api".into(), None);
        let exit = Exit {
            run: RunId {
                node: NodeId(2),
                life: 9,
            },
            number: 3,
            class: Classification::of_base(Class::Crash),
            qualifiers: Qualifiers::default(),
            phase: Phase::Ready,
            uptime: Duration::from_millis(3210),
            facts: Some(ExitFacts::bare(ExitStatus::Signal {
                signal: Signal::SEGV,
                core: false,
            })),
            failure: None,
            attempted: None,
            probe: None,
            testimony: None,
            decision: Decision::Restart {
                delay: Duration::ZERO,
            },
            budget: Some(Budget {
                supervisor: NodeId(1),
                bucket: None,
                used: 1,
                max: 5,
                period: Duration::from_secs(60),
            }),
        };
        let record = Record {
            seq: Seq(1),
            at: Time(0),
            node: Some(NodeId(2)),
            name: Some("web".into()),
            cause: None,
            incident: None,
            what: What::Exited(Box::new(exit)),
        };
        assert_eq!(
            message(&record, &names),
            "exited: signal SEGV after 3.2s (crash) -> restart now, api 1/5 in 1m"
        );
        assert_eq!(level(&record.what), LogLevel::Warn);
    }
}
