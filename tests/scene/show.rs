// SPDX-License-Identifier: MIT OR Apache-2.0
//! Effects and records in few words.

use super::Scene;
use std::time::Duration;
use supd::spec::{ExitFacts, ExitStatus, Signal, SpawnFailure, Strategy};
use supd::tree::{
    Budget, Class, Condemned, Culprit, Decision, Defeat, Effect, Exit, Halt, Holder, How, NodeId,
    Outcome, Phase, Question, Record, StartWhy, StopWhy, Suspension, Transition, Unready, What,
};

/// One effect; `None`: it says nothing new.
pub(super) fn effect(effect: &Effect, scene: &Scene) -> Option<String> {
    match effect {
        Effect::Record(record) => record_line(record, scene),
        Effect::Reply { outcome, .. } => Some(format!("= {}", answer(outcome, scene))),
        Effect::Halt { halt } => Some(match halt {
            Halt::Requested => "halt".to_owned(),
            Halt::GaveUp { code, why, culprit } => {
                format!(
                    "halt {code}: root {}{}",
                    defeat(why),
                    because(culprit.as_deref())
                )
            }
            Halt::AutoShutdown { code, culprit } => {
                format!("halt {code}: root shut down{}", because(culprit.as_deref()))
            }
            Halt::TimedOut { left, after } => {
                format!("halt, {} left after {after:?}", left.join(" "))
            }
        }),
        Effect::Signal { run, signal, .. } => {
            let ladder = scene.recorded.contains(run) || *signal == Signal::CONT;
            (!ladder).then(|| format!("{} <- {signal}", name(run.node, scene)))
        }
        Effect::SpawnHelper { run, .. } => {
            Some(format!("{} runs a command", name(run.node, scene)))
        }
        Effect::RunHook { run, remedy, .. } => Some(format!(
            "{} runs the hook {}",
            name(run.node, scene),
            remedy.id
        )),
        Effect::Probe { run, .. } if scene.tree.breaker_asked(run.life).is_some() => {
            let breaker = scene.tree.breaker_asked(run.life);
            breaker.map(|breaker| format!("{} is probed", breaker.name))
        }
        Effect::Probe {
            about, question, ..
        } => {
            let what = match question {
                Question::Readiness => "",
                Question::Liveness => " whether it works",
            };
            Some(format!("{} is asked{what}", name(about.node, scene)))
        }
        Effect::Spawn { .. } | Effect::CancelProbe { .. } | Effect::Answered { .. } => None,
    }
}

fn defeat(why: &Defeat) -> String {
    match why {
        Defeat::Exhausted {
            bucket,
            max,
            period,
        } => {
            let of = bucket.map_or(String::new(), |family| format!("{} ", family.as_str()));
            format!("gave up, {of}more than {max} in {}", short(*period))
        }
        Defeat::Told(child) => format!("gave up, as the remedy of {child} says"),
        Defeat::StartFailed => "could not be started".to_owned(),
    }
}

fn because(culprit: Option<&Culprit>) -> String {
    let Some(culprit) = culprit else {
        return ", nobody is to blame".to_owned();
    };
    let how = match culprit.how {
        How::Status(status_of) => status(ExitFacts::bare(status_of)),
        How::Spawn(failure) => failed(failure),
        How::StartTimeout => "not ready in time".to_owned(),
        How::Unhealthy(_) => "it did not work".to_owned(),
    };
    format!(", because of {} ({how})", culprit.name)
}

fn name(node: NodeId, scene: &Scene) -> String {
    scene
        .tree
        .name(node)
        .map_or_else(|| "?".to_owned(), ToString::to_string)
}

fn record_line(record: &Record, scene: &Scene) -> Option<String> {
    let who = record.name.as_deref().unwrap_or("supd");
    let text = match &record.what {
        What::Starting { why, .. } => format!("starts{}", start_why(*why, scene)),
        What::SupervisorStarting { why, .. } => format!("begins{}", start_why(*why, scene)),
        What::Ready { run: Some(_), .. } => "ready".to_owned(),
        What::Ready { run: None, .. } => "up".to_owned(),
        What::Unready { why, .. } => match why {
            Unready::Probe(_) => "unready: a probe".to_owned(),
            Unready::Stopping => "unready: it is stopping".to_owned(),
        },
        What::ProbeChanged { answer, .. } => format!("works: {}", answer.as_str()),
        What::LivenessSuspended { why, .. } => spared(*why),
        What::Exited(exit) => exit_text(exit)?,
        What::Decided {
            class,
            decision,
            budget,
            ..
        } => {
            format!("({}): {}", class.as_str(), decided(*decision, *budget)?)
        }
        What::Stopping { why, .. } => format!("stopping{}", stop_why(*why, scene)),
        What::Signalled { signal, .. } => format!("<- {signal}"),
        What::Stopped { .. } | What::SupervisorStopped { .. } => "down".to_owned(),
        What::Backoff { delay, .. } => format!("waits {}", short(*delay)),
        What::Unkillable { .. } => "unkillable".to_owned(),
        What::Strategy {
            strategy, scope, ..
        } => {
            let scope: Vec<&str> = scope.iter().map(|name| &**name).collect();
            let strategy = match strategy {
                Strategy::OneForOne => "one_for_one",
                Strategy::OneForAll => "one_for_all",
                Strategy::RestForOne => "rest_for_one",
            };
            format!("{strategy}: {}", scope.join(" "))
        }
        What::Exhausted {
            child_name, budget, ..
        } => {
            format!(
                "gives up: {child_name}, more than {} in {}",
                budget.max,
                short(budget.period)
            )
        }
        What::Parked { .. } => "is parked".to_owned(),
        What::Held { by, span } => held(by, *span),
        What::Released => "is released".to_owned(),
        What::Breaker(to) => return Some(moved(to)),
        What::BreakerAlarm { breaker, raised } => return Some(alarm(breaker, *raised)),
        What::Escalated { class, culprit } => {
            let culprit = culprit.as_ref();
            let of = culprit.map_or(String::new(), |c| format!(", because of {}", c.name));
            format!("ended ({}{of})", class.as_str())
        }
        What::StartFailed { child_name, .. } => format!("could not start: {child_name}"),
        What::RemedyStarted { .. }
        | What::RemedyStep { .. }
        | What::RemedyFinished { .. }
        | What::RemedySkipped { .. } => remedy_line(&record.what),
        What::Added => "added".to_owned(),
        What::Removed => "removed".to_owned(),
        What::Changed => "changed".to_owned(),
        What::Command { .. }
        | What::ShuttingDown { .. }
        | What::Health { .. }
        | What::Daemon { .. } => return None,
    };
    Some(format!("{who} {text}"))
}

fn alarm(breaker: &str, raised: bool) -> String {
    format!(
        "{breaker}: alarm {}",
        if raised { "raised" } else { "over" }
    )
}

fn moved(to: &Transition) -> String {
    let span = to
        .span
        .map_or(String::new(), |span| format!(" for {}", short(span)));
    let why = supd::tell::words::transition_why(to.why);
    let (from, to, name) = (to.from.as_str(), to.to.as_str(), &to.breaker);
    format!("{name}: {from} -> {to}{span} ({why})")
}

fn held(by: &Holder, span: Option<Duration>) -> String {
    let span = span.map_or(String::new(), |span| format!(" for {}", short(span)));
    let by = match by {
        Holder::Budget(_) => String::new(),
        Holder::Own { .. } => " by itself".to_owned(),
        Holder::Breakers(names) => format!(" by {}", names.join(" ")),
    };
    format!("is held{span}{by}")
}

fn remedy_line(what: &What) -> String {
    match what {
        What::RemedyStarted { remedy, .. } => format!("is treated by {remedy}"),
        What::RemedyStep { remedy, step, .. } => format!("{remedy}: step {} done", step + 1),
        What::RemedyFinished {
            remedy,
            verdict,
            after,
            ..
        } => {
            let after = after.map_or(String::new(), |after| format!(" in {}", short(after)));
            format!("{remedy}: {}{after}", verdict.as_str())
        }
        What::RemedySkipped { remedy, why } => {
            let remedy = remedy.as_deref().unwrap_or("a remedy");
            format!("skips {remedy}: {}", supd::tell::words::skip(*why))
        }
        _ => String::new(),
    }
}

fn exit_text(exit: &Exit) -> Option<String> {
    let how = match (exit.facts, exit.failure) {
        (Some(facts), _) => status(facts),
        (None, Some(failure)) => failed(failure),
        (None, None) => "?".to_owned(),
    };
    let phase = match exit.phase {
        Phase::Starting => " while starting",
        Phase::Ready => "",
        Phase::Trial => " on trial",
        Phase::Stopping => {
            return (exit.class.base != Class::Requested).then(|| "killed".to_owned());
        }
    };
    let class = class(exit);
    let then = decided(exit.decision, exit.budget).unwrap_or_default();
    Some(format!("{how}{phase} ({class}): {then}"))
}

/// Its class, its base class where that is another one, and what people have to be told besides.
fn class(exit: &Exit) -> String {
    let mut words = vec![exit.class.as_str()];
    if exit.class.user.is_some() {
        words.push(exit.class.base.as_str());
        words.push(exit.class.family.as_str());
    }
    if !exit.class.is_trusted() {
        words.push("untrusted");
    }
    for word in exit.qualifiers.words().filter(|word| *word != "early") {
        words.push(word);
    }
    words.join(", ")
}

fn status(facts: ExitFacts) -> String {
    match facts.status {
        ExitStatus::Code(code) => format!("exit {code}"),
        ExitStatus::Signal { signal, .. } => format!("SIG{signal}"),
    }
}

fn failed(failure: SpawnFailure) -> String {
    format!(
        "failed at {}, errno {}",
        failure.stage.as_str(),
        failure.errno
    )
}

fn decided(decision: Decision, budget: Option<Budget>) -> Option<String> {
    let used = budget.map_or(String::new(), |b| {
        let of = b
            .bucket
            .map_or(String::new(), |f| format!(" {}", f.as_str()));
        format!("{of} {}/{}", b.used, b.max)
    });
    Some(match decision {
        Decision::Restart { delay } if delay.is_zero() => format!("restart{used}"),
        Decision::Restart { delay } => format!("restart in {}{used}", short(delay)),
        Decision::Remediate => format!("remediate{used}"),
        Decision::StayDown => "stays down".to_owned(),
        Decision::Escalate => format!("one too many{used}"),
        Decision::Park => format!("one too many{used}: park"),
        Decision::Hold { delay } if budget.is_some() => {
            format!("one too many{used}: hold for {}", short(delay))
        }
        Decision::Confirm => "the probe decides".to_owned(),
        Decision::Hold { delay } => format!("hold for {}", short(delay)),
        Decision::Expected => return None,
        Decision::Absorbed => "part of what is under way".to_owned(),
        Decision::LeftAlone => "left alone".to_owned(),
        Decision::Queued => "queued".to_owned(),
        Decision::Done => "done".to_owned(),
    })
}

fn start_why(why: StartWhy, scene: &Scene) -> String {
    match why {
        StartWhy::Boot => String::new(),
        StartWhy::Restart => " again".to_owned(),
        StartWhy::Group(child) => format!(" because of {}", name(child, scene)),
        StartWhy::Retry => ", another try".to_owned(),
        StartWhy::Released => ", released".to_owned(),
        StartWhy::Trial => " on trial".to_owned(),
        StartWhy::Command => " by order".to_owned(),
        StartWhy::Apply => " by the configuration".to_owned(),
    }
}

fn spared(why: Suspension) -> String {
    match why {
        Suspension::Quorum { killed, watched } => {
            format!("is spared: {killed} of {watched} were killed")
        }
        Suspension::Lag(late) => format!("is spared: we are {} late", short(late)),
        Suspension::Resumed => "is spared: everything stood still".to_owned(),
    }
}

fn stop_why(why: StopWhy, scene: &Scene) -> String {
    match why {
        StopWhy::Group(child) => format!(" because of {}", name(child, scene)),
        StopWhy::Supervisor | StopWhy::Shutdown => String::new(),
        StopWhy::Command(_) => " by order".to_owned(),
        StopWhy::Apply => " by the configuration".to_owned(),
        StopWhy::StartTimeout => ": not ready in time".to_owned(),
        StopWhy::Unhealthy(Condemned::Liveness) => ": it does not answer".to_owned(),
        StopWhy::Unhealthy(Condemned::Watchdog) => ": it gives no sign of life".to_owned(),
    }
}

fn answer(outcome: &Outcome, scene: &Scene) -> String {
    match outcome {
        Outcome::Counts(c) => format!(
            "{} specs, {} active, {} supervisors, {} workers",
            c.specs, c.active, c.supervisors, c.workers
        ),
        Outcome::Children(children) => {
            let shown = children.iter().map(|(id, status)| {
                format!(
                    "{} {}",
                    name(*id, scene),
                    format!("{status:?}").to_lowercase()
                )
            });
            shown.collect::<Vec<_>>().join(", ")
        }
        Outcome::Waits(sibling) => format!("waits for {}", name(*sibling, scene)),
        other => format!("{other:?}"),
    }
}

fn short(span: Duration) -> String {
    format!("{span:?}")
}
