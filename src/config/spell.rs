// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a specification back to the language: every key that is in force, defaults included.
//!
//! What comes out can be read again and means the same tree (`tests/config.rs` proves it for every
//! key); a plan compares two configurations by it, `supctl show` shows it. Every field is taken
//! apart by name, so that a new one cannot be forgotten here. Secrets are marked, and shown as
//! stars by whoever asks for text.

use super::spelling::{Flag, Line, Lines, array, path, quoted, spell};
use super::{spell_health, spell_process, spell_remedy};
use crate::spec::{
    AutoShutdown, Backoff, BackoffCurve, Breaker, Budget, ChildLines, ExitCodePolicy, HoldAfter,
    Initial, Jitter, LogFormat, LogLevel, Node, Policy, Probe, Ready, Reload, Remedy, Restart,
    Scope, Service, ServiceKind, Settings, Shutdown, SocketSpec, StartMode, Stop, StopStep,
    Strategy, Supervisor, SupervisorKind, Then,
};
use std::sync::Arc;
use std::time::Duration;

/// A service, and as the pattern of a pool the keys that an instance has.
pub(super) fn service(service: &Service, policy: Policy) -> Vec<Line> {
    let Service {
        name: _,
        kind,
        restart,
        significant,
        required,
        enabled,
        backoff,
        breakers,
        hold_after,
        success_codes,
        success_signals,
        ready,
        start_timeout,
        health,
        stop,
        reload,
        remedies,
        process,
    } = service;
    let mut lines = Lines::default();
    spell_process::program(&mut lines, &process.command);
    let oneshot = *kind == ServiceKind::Oneshot;
    lines.text("type", if oneshot { "oneshot" } else { "daemon" });
    lines.text("restart", restart_word(*restart));
    lines.flag("significant", Flag(*significant));
    lines.flag("required", Flag(*required));
    lines.flag("enabled", Flag(*enabled));
    if policy == Policy::Supd {
        spell_backoff(&mut lines, backoff);
    }
    if !breakers.is_empty() {
        lines.put("breakers", array(breakers.iter().map(|name| quoted(name))));
    }
    if let Some(own) = hold_after {
        spell_hold_after(&mut lines, *own);
    }
    let codes = success_codes.iter().map(ToString::to_string);
    lines.put("success_codes", array(codes));
    let signals = success_signals.iter().map(|s| quoted(&s.to_string()));
    lines.put("success_signals", array(signals));
    spell_ready(&mut lines, ready);
    let limit = if oneshot { "timeout" } else { "start_timeout" };
    lines.patience(limit, *start_timeout);
    spell_health::health(&mut lines, health);
    spell_stop(&mut lines, stop);
    match reload {
        None => {}
        Some(Reload::Signal(signal)) => lines.text("reload.signal", &signal.to_string()),
        Some(Reload::Command(command)) => {
            lines.put("reload.command", spell_process::command(command));
        }
    }
    spell_remedy::remedies(&mut lines, "remediation.", remedies);
    spell_process::surroundings(&mut lines, process);
    lines.0
}

fn restart_word(restart: Restart) -> &'static str {
    match restart {
        Restart::Permanent => "permanent",
        Restart::Transient => "transient",
        Restart::Temporary => "temporary",
    }
}

fn spell_backoff(lines: &mut Lines, backoff: &Backoff) {
    match backoff {
        Backoff::None => lines.text("backoff", "none"),
        // A list has no `reset_after` of its own in the language.
        Backoff::List {
            delays,
            reset_after: _,
        } => {
            let delays = delays.iter().map(|d| format!("\"{}\"", spell(*d)));
            lines.put("backoff", array(delays));
        }
        Backoff::Curve(curve) => spell_curve(lines, curve),
    }
}

fn spell_hold_after(lines: &mut Lines, own: HoldAfter) {
    let HoldAfter {
        failures,
        open_for,
        open_max,
    } = own;
    lines.put("hold_after.failures", failures.to_string());
    lines.time("hold_after.open_for", open_for);
    lines.time("hold_after.open_max", open_max);
}

fn spell_curve(lines: &mut Lines, curve: &BackoffCurve) {
    let BackoffCurve {
        initial,
        factor,
        max,
        jitter,
        reset_after,
    } = curve;
    lines.time("backoff.initial", *initial);
    lines.put("backoff.factor", factor.to_string());
    lines.time("backoff.max", *max);
    let word = match jitter {
        Jitter::None => "none",
        Jitter::Full => "full",
        Jitter::Equal => "equal",
        Jitter::Decorrelated => "decorrelated",
    };
    lines.text("backoff.jitter", word);
    if let Some(time) = reset_after {
        lines.time("backoff.reset_after", *time);
    }
}

fn spell_ready(lines: &mut Lines, ready: &Ready) {
    match ready {
        // A successful exec has no word: it is what holds without `ready`.
        Ready::Exec => {}
        Ready::Notify => lines.flag("ready.notify", Flag(true)),
        Ready::Fd(number) => lines.put("ready.fd", number.to_string()),
        Ready::After(time) => lines.time("ready.after", *time),
        Ready::Probe(probe) => {
            let Probe {
                target,
                every,
                timeout,
                recheck,
            } = &**probe;
            spell_health::target(lines, "ready", target);
            lines.time("ready.every", *every);
            lines.time("ready.timeout", *timeout);
            if let Some(time) = recheck {
                lines.time("ready.recheck", *time);
            }
        }
    }
}

fn spell_stop(lines: &mut Lines, stop: &Stop) {
    let Stop {
        command,
        steps,
        scope,
    } = stop;
    match &**steps {
        [] => lines.text("stop.signal", "KILL"),
        [StopStep { signal, timeout }] => {
            lines.text("stop.signal", &signal.to_string());
            lines.patience("stop.timeout", *timeout);
        }
        // Only a list has several steps, and a list has neither a command nor a scope.
        steps => return lines.put("stop", spell_health::steps(steps)),
    }
    if let Some(command) = command {
        lines.put("stop.command", spell_process::command(command));
    }
    let word = match scope {
        Scope::Tree => "tree",
        Scope::Group => "group",
        Scope::Leader => "leader",
    };
    lines.text("stop.scope", word);
}

/// A supervisor that is no pool; the root has nobody above it.
pub(super) fn supervisor(supervisor: &Supervisor, place: Place) -> Vec<Line> {
    let Supervisor {
        name: _,
        restart,
        significant,
        required,
        shutdown,
        strategy,
        start,
        policy,
        max_restarts,
        period,
        budgets,
        on_exhausted,
        auto_shutdown,
        backoff,
        kind: _,
        children,
        remedies,
    } = supervisor;
    let mut lines = Lines::default();
    let word = match strategy {
        Strategy::OneForOne => "one_for_one",
        Strategy::OneForAll => "one_for_all",
        Strategy::RestForOne => "rest_for_one",
    };
    lines.text("strategy", word);
    intensity(&mut lines, (*max_restarts, *period));
    spell_budgets(&mut lines, budgets);
    spell_remedy::remedies(&mut lines, "remediation.", remedies);
    if *policy == Policy::Supd {
        lines.put("on_exhausted", then(*on_exhausted));
    }
    let names = children.iter().map(|child| quoted(child.name()));
    lines.put("children", array(names));
    let word = match start {
        StartMode::Ordered => "ordered",
        StartMode::Parallel => "parallel",
    };
    lines.text("start", word);
    let word = match policy {
        Policy::Supd => "supd",
        Policy::Otp => "otp",
    };
    lines.text("policy", word);
    let word = match auto_shutdown {
        AutoShutdown::Never => "never",
        AutoShutdown::AnySignificant => "any_significant",
        AutoShutdown::AllSignificant => "all_significant",
    };
    lines.text("auto_shutdown", word);
    if place == Place::Root {
        return lines.0;
    }
    lines.text("restart", restart_word(*restart));
    lines.flag("significant", Flag(*significant));
    lines.flag("required", Flag(*required));
    let within = match shutdown {
        Shutdown::Infinity => None,
        Shutdown::Within(time) => Some(*time),
    };
    lines.patience("shutdown", within);
    let own = lines.0.len();
    spell_backoff(&mut lines, backoff);
    lines.inherited(own);
    lines.0
}

/// Where a supervisor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// At the top.
    Root,
    /// Below another one.
    Inside,
}

/// A pool: what its instances have, and what the pool has of its own.
pub(super) fn pool(pool: &Supervisor, pattern: &Service) -> Vec<Line> {
    let pool_only = ["significant"];
    let mut lines = Lines(service(pattern, pool.policy));
    lines.0.retain(|line| !pool_only.contains(&&*line.key));
    lines.put("instances", pool.children.len().to_string());
    lines.text("pool_restart", restart_word(pool.restart));
    intensity(&mut lines, (pool.max_restarts, pool.period));
    lines.0
}

fn spell_budgets(lines: &mut Lines, budgets: &[Budget]) {
    for budget in budgets {
        let key = format!("budgets.{}", budget.family.as_str());
        let (limit, time) = (budget.limit, spell(budget.period));
        let then = then(budget.then);
        lines.put(
            &key,
            format!("{{ limit = \"{limit}/{time}\", then = {then} }}"),
        );
    }
}

fn then(then: Then) -> String {
    match then {
        Then::Escalate => quoted("escalate"),
        Then::Park => quoted("park"),
        Then::Hold(time) => format!("{{ hold = {} }}", quoted(&spell(time))),
    }
}

fn intensity(lines: &mut Lines, (max, period): (u32, Duration)) {
    lines.put("max_restarts", max.to_string());
    lines.put("max_seconds", period.as_secs_f64().to_string());
}

/// Which of the two a node is in the language: a pool is a service.
pub(super) fn table_of(node: &Node) -> &'static str {
    match node {
        Node::Service(_) => "service",
        Node::Supervisor(sup) => match sup.kind {
            SupervisorKind::Pool => "service",
            SupervisorKind::Tree => "supervisor",
        },
    }
}

/// `[breaker.NAME]`.
pub(super) fn breaker(breaker: &Breaker) -> Vec<Line> {
    let Breaker {
        name: _,
        failures,
        open_for,
        open_max,
        probe,
        watch,
        initial,
        release,
    } = breaker;
    let mut lines = Lines::default();
    lines.put("failures", failures.to_string());
    lines.time("open_for", *open_for);
    lines.time("open_max", *open_max);
    if let Some(asked) = probe {
        spell_health::target(&mut lines, "probe", &asked.probe.target);
        lines.time("probe.timeout", asked.probe.timeout);
    }
    if let Some(span) = watch {
        lines.time("watch", *span);
    }
    let word = match initial {
        Initial::Closed => "closed",
        Initial::Probe => "probe",
    };
    lines.text("initial", word);
    lines.put("release.batch", release.batch.to_string());
    lines.time("release.every", release.every);
    lines.0
}

/// `[remediation]`.
pub(super) fn registry(remedies: &[Arc<Remedy>]) -> Vec<Line> {
    let mut lines = Lines::default();
    spell_remedy::remedies(&mut lines, "", remedies);
    lines.0
}

/// `[supd]`.
pub(super) fn settings(settings: &Settings) -> Vec<Line> {
    let Settings {
        socket,
        metrics,
        state_dir,
        log_format,
        log_level,
        log_children,
        log_timestamps,
        shutdown_timeout,
        exit_code,
        exit_delay,
        exit_on_term,
        start_parallelism,
        hook_parallelism,
        events_kept,
    } = settings;
    let mut lines = Lines::default();
    let SocketSpec {
        path: at,
        group,
        read_group,
    } = socket;
    if let Some(at) = at {
        lines.put("socket.path", path(at));
    }
    for (key, who) in [("socket.group", group), ("socket.read_group", read_group)] {
        if let Some(who) = who {
            lines.put(key, spell_process::user(who));
        }
    }
    if let Some(at) = metrics {
        lines.text("metrics.listen", &at.to_string());
    }
    if let Some(dir) = state_dir {
        lines.put("state_dir", path(dir));
    }
    match log_format {
        None => {}
        Some(LogFormat::Text) => lines.text("log.format", "text"),
        Some(LogFormat::Json) => lines.text("log.format", "json"),
    }
    let word = match log_level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    lines.text("log.level", word);
    let word = match log_children {
        ChildLines::Prefix => "prefix",
        ChildLines::Raw => "raw",
        ChildLines::Json => "json",
        ChildLines::Off => "off",
    };
    lines.text("log.children", word);
    lines.flag("log.timestamps", Flag(*log_timestamps));
    lines.time("shutdown_timeout", *shutdown_timeout);
    match exit_code {
        ExitCodePolicy::Cause => lines.text("exit_code", "cause"),
        ExitCodePolicy::Service(name) => lines.text("exit_code", name),
        ExitCodePolicy::Fixed(code) => lines.put("exit_code", code.to_string()),
    }
    lines.time("exit_delay", *exit_delay);
    lines.put("exit_on_term", exit_on_term.to_string());
    lines.put("start_parallelism", start_parallelism.to_string());
    lines.put("hook_parallelism", hook_parallelism.to_string());
    lines.put("events_kept", events_kept.to_string());
    lines.0
}
