// SPDX-License-Identifier: MIT OR Apache-2.0
//! One event as one line for people: when, who, what, why, and its number. Pure.
//!
//! A kind of a later version is shown by its own word and its message.

#![expect(
    clippy::format_push_string,
    reason = "text for people, written once; a `write!` to it could only be ignored"
)]

use super::age;
use super::picture;
use super::screen::visible;
use super::story_remedy;
use crate::wire::{BudgetLine, DecisionLine, EventLine, LastExit, WhoLine, kind};

/// Room for a name; longer ones push the line to the right.
const NAME_WIDTH: usize = 12;

/// `14:01:43  ws            run 3  exit 1 after 0.3s  …  #808 because of #801`.
pub fn line(event: &EventLine) -> String {
    let who = visible(event.node.as_deref().unwrap_or("supd"));
    let mut text = format!(
        "{}  {who:NAME_WIDTH$}  {}",
        visible(age::time_of_day(&event.ts)),
        what(event)
    );
    if let Some(words) = said(event) {
        text.push_str(&format!(": {}", visible(words)));
    }
    text.push_str(&format!("  #{}", event.seq));
    if let Some(cause) = event.cause {
        text.push_str(&format!(" because of #{cause}"));
    }
    text
}

/// Words that the fields do not have: a message whose kind is told by itself, or the last line of
/// a process that did not end well. For all other kinds the fields say it better.
fn said(event: &EventLine) -> Option<&str> {
    match &*event.kind {
        kind::SERVICE_EXITED => match event.family.as_deref() {
            Some("requested" | "clean") => None,
            Some(_) | None => event.last_lines.last().map(String::as_str),
        },
        kind::REMEDIATION_FINISHED => story_remedy::said(event),
        kind::DAEMON_STARTED | kind::DAEMON_RELOADED => event.message.as_deref(),
        _ if told(event).is_some() => None,
        _ => event.message.as_deref(),
    }
}

/// What happened, in a clause.
pub fn what(event: &EventLine) -> String {
    told(event).unwrap_or_else(|| visible(&event.kind))
}

/// The same with the window of every budget, for who has no status beside it.
pub fn what_in_full(event: &EventLine) -> String {
    let text = what(event);
    let Some(budget) = &event.budget else {
        return text;
    };
    let Some(seconds) = budget.seconds else {
        return text;
    };
    let short = token(budget);
    let full = format!("{short} in {}", age::window(seconds));
    text.replacen(&short, &full, 1)
}

/// The same for the kinds that this version knows.
fn told(event: &EventLine) -> Option<String> {
    let health = || visible(event.health.as_deref().unwrap_or("unknown"));
    Some(match &*event.kind {
        kind::DAEMON_STARTED => "has started".to_owned(),
        kind::DAEMON_RELOADED => "has a new configuration".to_owned(),
        kind::SERVICE_STARTING | kind::SUPERVISOR_STARTING => starting(event),
        kind::SERVICE_READY | kind::SUPERVISOR_READY => match event.took_ms {
            Some(ms) => format!("ready after {}", age::precise(ms)),
            None => "ready".to_owned(),
        },
        kind::SERVICE_UNREADY => match (&event.probe, event.why.as_deref()) {
            (Some(probe), _) => format!("no longer ready: {}", visible(probe)),
            (None, Some("stopping")) => "no longer ready: it says that it stops".to_owned(),
            (None, _) => "no longer ready".to_owned(),
        },
        kind::PROBE_CHANGED => probed(event),
        kind::LIVENESS_SUSPENDED => match event.message.as_deref() {
            Some(why) => format!("unhealthy and not killed: {}", visible(why)),
            None => "unhealthy and not killed".to_owned(),
        },
        kind::SERVICE_EXITED => exited(event),
        kind::SERVICE_DECIDED => judged(event),
        kind::SERVICE_STOPPING | kind::SUPERVISOR_STOPPING | kind::DAEMON_STOPPING => {
            stopping(event)
        }
        kind::SERVICE_STOPPED | kind::SUPERVISOR_STOPPED => format!("stopped{}", why(event)),
        kind::SERVICE_BACKOFF => backoff(event),
        kind::SERVICE_HELD => held(event),
        kind::BREAKER_TRANSITION => breaker(event),
        kind::BREAKER_ALARM => {
            let name = visible(event.breaker.as_deref().unwrap_or_default());
            let what = visible(event.to.as_deref().unwrap_or_default());
            format!("breaker {name}: alarm {what}")
        }
        kind::SERVICE_RELEASED => "released".to_owned(),
        kind::SERVICE_PARKED => "parked until somebody acts".to_owned(),
        kind::SERVICE_UNKILLABLE => "does not end, even after SIGKILL".to_owned(),
        kind::SUPERVISOR_STRATEGY => strategy(event),
        kind::SUPERVISOR_EXHAUSTED => exhausted(event),
        kind::SUPERVISOR_ESCALATED => escalated(event),
        kind::SUPERVISOR_HEALTH => format!("is {}", health()),
        kind::NODE_ADDED => "added".to_owned(),
        kind::NODE_REMOVED => "removed".to_owned(),
        kind::NODE_CHANGED => "changed in place".to_owned(),
        kind::COMMAND => {
            let verb = visible(event.verb.as_deref().unwrap_or("command"));
            format!("{verb}{}{}", ordered(event), by(event.by.as_ref()))
        }
        kind::ORPHAN_REAPED => match event.pid {
            Some(pid) => format!("reaped orphan {pid}"),
            None => "reaped an orphan".to_owned(),
        },
        _ => return story_remedy::told(event),
    })
}

/// `liveness probe fails: connection refused`.
fn probed(event: &EventLine) -> String {
    let question = visible(event.question.as_deref().unwrap_or("a"));
    let why = event.probe.as_deref().map(visible);
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    match event.result.as_deref() {
        Some("success") => format!("{question} probe succeeds again"),
        Some("unknown") => format!("{question} probe could not be made{why}"),
        Some(_) | None => format!("{question} probe fails{why}"),
    }
}

/// What an order was given besides its node.
fn ordered(event: &EventLine) -> String {
    match (&event.signal, event.instances) {
        (Some(signal), _) => format!(" {}", visible(signal)),
        (None, Some(count)) => format!(" to {count}"),
        (None, None) => String::new(),
    }
}

fn starting(event: &EventLine) -> String {
    let mut text = match event.run {
        Some(run) => format!("run {run} starts"),
        None => "starts".to_owned(),
    };
    text.push_str(&why(event));
    text
}

fn stopping(event: &EventLine) -> String {
    let mut text = match &event.signal {
        Some(signal) => format!("SIG{} sent", visible(signal)),
        None => format!("stops{}{}", why(event), by(event.by.as_ref())),
    };
    if let Some(name) = &event.waiting_for {
        text.push_str(&format!(", waits for {}", visible(name)));
    }
    text
}

fn exited(event: &EventLine) -> String {
    let exit = LastExit {
        class: event.class.clone().unwrap_or_default(),
        code: event.code,
        signal: event.signal.clone(),
        core: event.core,
        failure: event.failure.clone(),
        ..LastExit::default()
    };
    let mut text = match event.run {
        Some(run) => format!("run {run}  {}", picture::how(&exit)),
        None => picture::how(&exit),
    };
    if let Some(ms) = event.uptime_ms {
        text.push_str(&format!(" after {}", age::precise(ms)));
    }
    if let Some(class) = &event.class {
        text.push_str(&format!("  {}", visible(class)));
    }
    // How long it ran says that already.
    for qualifier in event.qualifiers.iter().filter(|word| **word != "early") {
        text.push_str(&format!(", {}", visible(qualifier)));
    }
    if !event.leftovers.is_empty() {
        text.push_str(&format!("  left {}", names(&event.leftovers)));
    }
    if let Some(probe) = &event.probe {
        text.push_str(&format!("  last probe: {}", visible(probe)));
    }
    text.push_str(&consequence(event));
    text
}

/// An end that was recorded before it was decided about.
fn judged(event: &EventLine) -> String {
    let class = visible(event.class.as_deref().unwrap_or("unknown"));
    format!("its end ({class}) is judged{}", consequence(event))
}

/// The token an end took, and what follows.
fn consequence(event: &EventLine) -> String {
    let token = event.budget.as_ref().map_or_else(String::new, token);
    token + &event.decision.as_ref().map_or_else(String::new, decided)
}

/// `  api 3/5`.
fn token(budget: &BudgetLine) -> String {
    let supervisor = visible(&budget.supervisor);
    format!("  {supervisor} {}/{}", budget.used, budget.max)
}

/// What is done about an exit: `  then restart web, ws in 0.2s`.
fn decided(decision: &DecisionLine) -> String {
    let mut text = match &*decision.action {
        // It was asked for, or the start is done: nothing follows.
        "expected" | "done" => return String::new(),
        "stay_down" => "  stays down".to_owned(),
        "escalate" => "  its supervisor gives up".to_owned(),
        "queued" => "  waits for its supervisor".to_owned(),
        action => format!("  then {}", visible(action).replace('_', " ")),
    };
    if !decision.scope.is_empty() {
        text.push_str(&format!(" {}", names(&decision.scope)));
    }
    if let Some(ms) = decision.delay_ms.filter(|ms| *ms > 0) {
        text.push_str(&format!(" in {}", age::short(ms)));
    }
    text
}

/// `breaker postgres: closed -> open for 30s, probe: connection refused`.
fn breaker(event: &EventLine) -> String {
    let word = |word: Option<&str>| visible(word.unwrap_or_default());
    let mut text = format!(
        "breaker {}: {} -> {}",
        word(event.breaker.as_deref()),
        word(event.from.as_deref()),
        word(event.to.as_deref())
    );
    if let Some(ms) = event.delay_ms {
        text.push_str(&format!(" for {}", age::short(ms)));
    }
    text.push_str(&format!(", {}", word(event.why.as_deref())));
    if let Some(probe) = &event.probe {
        text.push_str(&format!(": {}", visible(probe)));
    }
    text.push_str(&by(event.by.as_ref()));
    if let Some(reason) = &event.reason {
        text.push_str(&format!(", \"{}\"", visible(reason)));
    }
    text
}

/// `held by its hold_after for 38s, 3 failures in a row`.
fn held(event: &EventLine) -> String {
    let mut text = "held".to_owned();
    if let Some(breaker) = &event.breaker {
        text.push_str(&format!(" by breaker {}", visible(breaker)));
    } else if let Some(by) = &event.held_by {
        text.push_str(&format!(" by its {}", visible(by)));
    }
    if let Some(ms) = event.delay_ms {
        text.push_str(&format!(" for {}", age::short(ms)));
    }
    if let Some(count) = event.failures.filter(|count| *count > 1) {
        text.push_str(&format!(", {count} failures in a row"));
    }
    text
}

fn backoff(event: &EventLine) -> String {
    let delay = event.delay_ms.map_or_else(String::new, age::short);
    match event.attempt {
        Some(attempt) => format!(
            "next start in {delay}, {} failed",
            age::count(attempt.into(), "start")
        ),
        None => format!("next start in {delay}"),
    }
}

fn strategy(event: &EventLine) -> String {
    let rule = visible(event.strategy.as_deref().unwrap_or("strategy"));
    let child = event
        .child
        .as_deref()
        .map_or_else(String::new, |name| format!(" because of {}", visible(name)));
    format!("{rule}{child}: {}", names(&event.scope))
}

fn exhausted(event: &EventLine) -> String {
    let child = visible(event.child.as_deref().unwrap_or("a child"));
    match &event.budget {
        Some(budget) => {
            let window = budget
                .seconds
                .map_or_else(String::new, |s| format!(" in {}", age::window(s)));
            let limit = age::count(budget.max.into(), "restart");
            format!("gives up: {child} needed more than {limit}{window}")
        }
        None => format!("gives up because of {child}"),
    }
}

fn escalated(event: &EventLine) -> String {
    let Some(culprit) = &event.culprit else {
        return "ended by itself".to_owned();
    };
    let how = culprit
        .how
        .as_deref()
        .map_or_else(|| visible(&culprit.class), visible);
    format!("ended because of {}: {how}", visible(&culprit.node))
}

/// ` (group, because of web)`.
fn why(event: &EventLine) -> String {
    // That it is started with its supervisor is nothing special, at boot and later.
    let Some(why) = event.why.as_deref().filter(|why| *why != "boot") else {
        return String::new();
    };
    let why = visible(why).replace('_', " ");
    match &event.child {
        Some(child) => format!(" ({why}, because of {})", visible(child)),
        None => format!(" ({why})"),
    }
}

fn by(who: Option<&WhoLine>) -> String {
    match who {
        Some(WhoLine {
            signal: Some(signal),
            ..
        }) => format!(" by SIG{}", visible(signal)),
        Some(WhoLine {
            uid: Some(uid),
            pid: Some(pid),
            ..
        }) => format!(" by uid {uid}, pid {pid}"),
        Some(WhoLine { uid: Some(uid), .. }) => format!(" by uid {uid}"),
        Some(_) | None => String::new(),
    }
}

fn names(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().map(|name| visible(name)).collect();
    shown.join(", ")
}
