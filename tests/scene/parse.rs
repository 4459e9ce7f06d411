// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads the trees of scenarios. The words of a service: transient temporary significant oneshot
//! disabled notify probed (by a command) looked_for (a file) rechecked (the same, for ever)
//! after (ready after a second) lived (asked every 10s, by a file) touched (by a command) watched
//! (it gives a sign of life every 5s) brutal
//! hold:N/TIME (its `hold_after`)
//! patient (no limit to its stop) polite (stopped by a command) reloads (by a command) at_once (no
//! back-off), and for the program: deaf stuck slow (a oneshot that takes its time) broken (its
//! first start fails) silent (nothing is known of its start) slow_command (its commands take their
//! time). A word `fix=KEY` is an entry of the registry, `fix=KEY+limit=1/60s+free+run+park` what it
//! says and its steps: run, broken_hook, stuck_hook, delay=TIME, restart=NAME, hup=NAME, park,
//! escalate; a supervisor has such words before its `[`, the registry before the tree.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use supd::spec::{
    AutoShutdown, Backoff, BackoffCurve, Breaker, BreakerProbe, Budget, ChildLines, Class, Classes,
    Command, Counts, ExitCodePolicy, Family, Flight, Health, HoldAfter, Initial, Jitter, Liveness,
    LogLevel, Mode, Node, Occasion, PatternId, Phase, Policy, Probe, ProbeTarget, Process, Rate,
    Ready, Release, Reload, Remedies, Remedy, Restart, RunsAs, Scope, Service, ServiceKind,
    Settings, Shutdown, Signal, SocketSpec, StartMode, Step, Stop, StopStep, Strategy, Supervisor,
    SupervisorKind, Then, Tree, Trigger, Uptime, UserClass, When,
};

/// The whole tree; its root is called `root`.
pub(super) fn tree(text: &str) -> Tree {
    let (text, parallelism) = match text.trim().strip_prefix("narrow ") {
        Some(rest) => (rest, 1),
        None => (text, 64),
    };
    let (text, classes) = match text.trim().strip_prefix("named ") {
        Some(rest) => (rest, classes()),
        None => (text, Classes::default()),
    };
    let (mut text, mut registry) = (text, Vec::new());
    while let Some(rest) = text.strip_prefix("registry:") {
        let (word, rest) = rest.split_once(' ').expect("a tree follows");
        registry.push(Arc::new(remedy("", word)));
        text = rest;
    }
    let mut breakers = Vec::new();
    while let Some(rest) = text.strip_prefix("breaker:") {
        let (word, rest) = rest.split_once(' ').expect("a tree follows");
        breakers.push(Arc::new(breaker(word)));
        text = rest;
    }
    let spaced = text.replace('[', " [ ").replace(']', " ] ");
    let mut words: Vec<&str> = spaced.split_whitespace().rev().collect();
    let root = supervisor("root", &mut words, Policy::Supd);
    assert!(words.is_empty(), "left over: {words:?}");
    Tree {
        settings: Arc::new(settings(parallelism)),
        root: Arc::new(root),
        classes: Arc::new(classes),
        remedies: registry.into(),
        breakers: breakers.into(),
    }
}

/// `db:2/5s+probe+initial+watch=1s+batch=2`: so many failures, so long, at most a minute.
fn breaker(word: &str) -> Breaker {
    let mut parts = word.split('+');
    let (name, limits) = parts
        .next()
        .and_then(|p| p.split_once(':'))
        .expect("NAME:N/TIME");
    let (failures, time) = limits.split_once('/').expect("N/TIME");
    let mut breaker = Breaker {
        name: Arc::from(name),
        failures: failures.parse().expect("a number"),
        open_for: span(time),
        open_max: Duration::from_secs(60),
        probe: None,
        watch: None,
        initial: Initial::Closed,
        release: Release {
            batch: 1,
            every: Duration::from_millis(500),
        },
    };
    for part in parts {
        match part.split_once('=') {
            None if part == "initial" => breaker.initial = Initial::Probe,
            None => {
                let probe = Probe {
                    target: ProbeTarget::File("/run/there".into()),
                    every: Duration::from_secs(3),
                    timeout: Duration::from_secs(3),
                    recheck: None,
                };
                let context = service(name);
                breaker.probe = Some(BreakerProbe {
                    probe: Arc::new(probe),
                    context: Arc::new(context),
                });
            }
            Some(("watch", time)) => breaker.watch = Some(span(time)),
            Some((_, batch)) => breaker.release.batch = batch.parse().expect("a number"),
        }
    }
    breaker
}

/// Names for ends, in their order: `lost` by code and output, `limited` by the service's own word
/// alone, `young` and `doubtful` by how they came, `talk` by output alone, `leak` whatever it is.
fn classes() -> Classes {
    let class = |name: &str, family, when| {
        Arc::new(UserClass {
            name: name.into(),
            family,
            when,
            blames: None,
            trust_output: false,
        })
    };
    let when = When::default;
    let lost = When {
        codes: [1, 2].into(),
        stderr: [PatternId(0)].into(),
        ..when()
    };
    let young = When {
        codes: [4].into(),
        early: Some(true),
        ..when()
    };
    let doubtful = When {
        phase: [Phase::Stopping].into(),
        ..when()
    };
    let talk = When {
        stderr: [PatternId(1)].into(),
        ..when()
    };
    let leak = When {
        base: [Class::OomKill].into(),
        uptime: Some(Uptime::Above(Duration::from_secs(10))),
        ..when()
    };
    Classes {
        rules: Box::new([
            class("lost", Some(Family::Transient), lost),
            class("limited", Some(Family::Transient), when()),
            class("young", Some(Family::Config), young),
            class("doubtful", None, doubtful),
            class("talk", Some(Family::External), talk),
            class("leak", Some(Family::Fault), leak),
            Arc::new(UserClass {
                name: "away".into(),
                family: Some(Family::Transient),
                when: When {
                    codes: [42].into(),
                    ..when()
                },
                blames: Some("db".into()),
                trust_output: false,
            }),
        ]),
        patterns: Box::new(["closed".into(), "talk".into()]),
    }
}

/// A child that is added later.
pub(super) fn child(text: &str) -> Node {
    Node::Service(Arc::new(service(text)))
}

/// `200ms`, `5s`, `1m`.
pub(super) fn span(text: &str) -> Duration {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let number: u64 = digits.parse().expect("a number with a unit");
    match &text[digits.len()..] {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number * 60),
        unit => panic!("unknown unit {unit}"),
    }
}

/// Whether the program was given this word.
pub(super) fn has(service: &Service, word: &str) -> bool {
    let Command::Argv(words) = &service.process.command else {
        return false;
    };
    words.iter().any(|known| **known == *word)
}

/// Words that say from outside when a program is ready.
const ASKED: [&str; 6] = [
    "probed",
    "looked_for",
    "rechecked",
    "lived",
    "touched",
    "watched",
];

/// Programs whose first start fails.
pub(super) fn failures(node: &Node, into: &mut BTreeMap<String, u32>) {
    match node {
        Node::Supervisor(sup) => sup.children.iter().for_each(|child| failures(child, into)),
        Node::Service(service) if has(service, "broken") => {
            into.insert(service.name.to_string(), 1);
        }
        Node::Service(_) => {}
    }
}

fn supervisor(name: &str, words: &mut Vec<&str>, above: Policy) -> Supervisor {
    let mut sup = Supervisor {
        name: Arc::from(name),
        restart: Restart::Permanent,
        significant: false,
        required: true,
        shutdown: Shutdown::Infinity,
        strategy: Strategy::OneForOne,
        start: StartMode::Ordered,
        policy: above,
        max_restarts: 5,
        period: Duration::from_secs(60),
        auto_shutdown: AutoShutdown::Never,
        backoff: backoff(),
        budgets: Arc::from([]),
        on_exhausted: Then::Escalate,
        remedies: Arc::from([]),
        kind: SupervisorKind::Tree,
        children: Vec::new(),
    };
    loop {
        match words.pop().expect("a tree ends with ]") {
            "[" => break,
            "otp" => sup.policy = Policy::Otp,
            "one_for_one" => sup.strategy = Strategy::OneForOne,
            "one_for_all" => sup.strategy = Strategy::OneForAll,
            "rest_for_one" => sup.strategy = Strategy::RestForOne,
            "pool" => sup.kind = SupervisorKind::Pool,
            "parallel" => sup.start = StartMode::Parallel,
            "auto:any" => sup.auto_shutdown = AutoShutdown::AnySignificant,
            "auto:all" => sup.auto_shutdown = AutoShutdown::AllSignificant,
            "transient" => sup.restart = Restart::Transient,
            "temporary" => sup.restart = Restart::Temporary,
            "significant" => sup.significant = true,
            fix if fix.starts_with("fix=") => {
                let more = remedies(name, [fix]);
                sup.remedies = sup.remedies.iter().chain(more.iter()).cloned().collect();
            }
            "park" => sup.on_exhausted = Then::Park,
            hold if hold.starts_with("hold=") => sup.on_exhausted = then(hold),
            budget if budget.starts_with("budget:") => {
                let more = own_budget(budget);
                sup.budgets = sup.budgets.iter().copied().chain([more]).collect();
            }
            "at_once" => sup.backoff = Arc::new(Backoff::None),
            limit => {
                let (max, period) = limit.split_once('/').expect("N/TIME");
                sup.max_restarts = max.parse().expect("a number");
                sup.period = span(period);
            }
        }
    }
    while let Some(word) = words.pop().filter(|word| *word != "]") {
        sup.children.push(match word.strip_suffix(':') {
            Some(name) => Node::Supervisor(Arc::new(supervisor(name, words, sup.policy))),
            None => Node::Service(Arc::new(service(word))),
        });
    }
    sup
}

/// `park`, `escalate`, `hold=5s`.
fn then(word: &str) -> Then {
    match word.split_once('=') {
        Some(("hold", time)) => Then::Hold(span(time)),
        _ if word == "park" => Then::Park,
        _ => Then::Escalate,
    }
}

/// `budget:config:2/60s:park`.
fn own_budget(word: &str) -> Budget {
    let parts: Vec<&str> = word.split(':').collect();
    let family = Family::ALL.into_iter().find(|f| f.as_str() == parts[1]);
    let (limit, period) = parts[2].split_once('/').expect("N/TIME");
    Budget {
        family: family.expect("a family"),
        limit: limit.parse().expect("a number"),
        period: span(period),
        then: then(parts.get(3).unwrap_or(&"escalate")),
    }
}

fn service(text: &str) -> Service {
    let (name, words) = text.split_once('(').unwrap_or((text, ")"));
    let words: Vec<&str> = words.trim_end_matches(')').split(',').collect();
    let is = |word: &str| words.contains(&word);
    let restart = if is("temporary") {
        Restart::Temporary
    } else if is("transient") || is("oneshot") {
        Restart::Transient
    } else {
        Restart::Permanent
    };
    let term = |timeout| {
        Box::from([StopStep {
            signal: Signal::TERM,
            timeout,
        }])
    };
    Service {
        name: Arc::from(name),
        kind: if is("oneshot") {
            ServiceKind::Oneshot
        } else {
            ServiceKind::Daemon
        },
        restart,
        significant: is("significant"),
        required: true,
        enabled: !is("disabled"),
        backoff: if is("at_once") {
            Arc::new(Backoff::None)
        } else {
            backoff()
        },
        breakers: words
            .iter()
            .filter_map(|word| word.strip_prefix('!').map(Arc::from))
            .collect(),
        hold_after: words.iter().find_map(|word| hold_after(word)),
        success_codes: Box::default(),
        success_signals: Box::default(),
        ready: readiness(&words),
        start_timeout: Some(Duration::from_secs(10)),
        health: health(&words),
        stop: Arc::new(Stop {
            command: is("polite").then(|| Command::Shell(Box::from("stop"))),
            steps: if is("brutal") {
                Box::default()
            } else if is("patient") {
                term(None)
            } else {
                term(Some(Duration::from_secs(5)))
            },
            scope: Scope::Tree,
        }),
        reload: is("reloads").then(|| Reload::Command(Command::Shell(Box::from("reload")))),
        remedies: remedies(
            name,
            words.iter().copied().filter(|w| w.starts_with("fix=")),
        ),
        process: Arc::new(process(&words)),
    }
}

/// `hold:3/5s`: so many failures in a row hold it for so long, and for a minute at most.
fn hold_after(word: &str) -> Option<HoldAfter> {
    let (failures, time) = word.strip_prefix("hold:")?.split_once('/').expect("N/TIME");
    Some(HoldAfter {
        failures: failures.parse().expect("a number"),
        open_for: span(time),
        open_max: Duration::from_secs(60),
    })
}

/// `fix=exit_code+limit=1/60s+free`: an entry and what it says; without a step it runs one hook.
fn remedies<'w>(owner: &str, words: impl IntoIterator<Item = &'w str>) -> Remedies {
    let read = words.into_iter().map(|word| Arc::new(remedy(owner, word)));
    read.collect()
}

fn remedy(owner: &str, word: &str) -> Remedy {
    let word = word.trim_start_matches("fix=");
    let mut parts = word.split('+');
    let key = parts.next().expect("a key");
    let trigger = Trigger::ALL.into_iter().find(|t| t.as_str() == key);
    let family = |f: &Family| key.strip_prefix("family:") == Some(f.as_str());
    let on = match (trigger, Family::ALL.into_iter().find(family)) {
        (Some(trigger), _) => Occasion::Trigger(trigger),
        (_, Some(family)) => Occasion::Family(family),
        _ if key == "*" => Occasion::Any,
        _ => Occasion::Class(Arc::from(key)),
    };
    let id = match owner {
        "" => Arc::from(key),
        owner => Arc::from(format!("{owner}/{key}")),
    };
    let mut remedy = Remedy {
        id,
        on,
        steps: Box::default(),
        timeout: Duration::from_secs(10),
        limit: None,
        counts: Counts::Yes,
        mode: Mode::Act,
        runs_as: RunsAs::Service,
        flight: Flight::Own,
    };
    let mut steps = Vec::new();
    let run = |word: &str| Step::Run(Command::Argv(Box::from([Box::from(word)])));
    for part in parts {
        match part {
            "free" => remedy.counts = Counts::No,
            "observe" => remedy.mode = Mode::Observe,
            "single" => remedy.flight = Flight::Single,
            "park" => steps.push(Step::Park),
            "escalate" => steps.push(Step::Escalate),
            "run" | "broken_hook" | "stuck_hook" => steps.push(run(part)),
            other => match other.split_once('=') {
                Some(("limit", rate)) => {
                    let (count, period) = rate.split_once('/').expect("N/TIME");
                    let (count, period) = (count.parse().expect("a number"), span(period));
                    remedy.limit = Some(Rate { count, period });
                }
                Some(("delay", time)) => steps.push(Step::Delay(span(time))),
                Some(("restart", name)) => steps.push(Step::Restart(Arc::from(name))),
                Some(("hup", name)) => steps.push(Step::Signal {
                    service: Arc::from(name),
                    signal: Signal::HUP,
                }),
                _ => panic!("no such word of a remedy: {other}"),
            },
        }
    }
    if steps.is_empty() {
        steps.push(run("run"));
    }
    Remedy {
        steps: steps.into(),
        ..remedy
    }
}

fn readiness(words: &[&str]) -> Ready {
    let probe = |target| {
        Ready::Probe(Arc::new(Probe {
            target,
            every: Duration::from_secs(1),
            timeout: Duration::from_secs(3),
            recheck: words
                .contains(&"rechecked")
                .then_some(Duration::from_secs(10)),
        }))
    };
    if words.contains(&"notify") {
        Ready::Notify
    } else if words.contains(&"probed") {
        probe(ProbeTarget::Exec(Command::Shell(Box::from("probe"))))
    } else if words.contains(&"looked_for") || words.contains(&"rechecked") {
        probe(ProbeTarget::File("/run/ready".into()))
    } else if words.contains(&"after") {
        Ready::After(Duration::from_secs(1))
    } else {
        Ready::Exec
    }
}

fn health(words: &[&str]) -> Health {
    let target = if words.contains(&"touched") {
        Some(ProbeTarget::Exec(Command::Shell(Box::from("check"))))
    } else if words.contains(&"lived") {
        Some(ProbeTarget::File("/run/alive".into()))
    } else {
        None
    };
    let liveness = |target| {
        Arc::new(Liveness {
            probe: Probe {
                target,
                every: Health::EVERY,
                timeout: Duration::from_secs(3),
                recheck: None,
            },
            failures: Health::FAILURES,
        })
    };
    Health {
        liveness: target.map(liveness),
        watchdog: words.contains(&"watched").then_some(Duration::from_secs(5)),
        kill: Box::from([Health::KILL]),
    }
}

fn backoff() -> Arc<Backoff> {
    Arc::new(Backoff::Curve(BackoffCurve {
        initial: Duration::from_millis(200),
        factor: 2.0,
        max: Duration::from_secs(30),
        jitter: Jitter::None,
        reset_after: None,
    }))
}

fn process(words: &[&str]) -> Process {
    // How it is asked is no word for the program: a change of that leaves it alone.
    let said = |word: &&str| {
        let asked = word.is_empty() || ASKED.contains(word) || word.starts_with(['!']);
        let asked = asked || word.starts_with("fix=");
        !asked && hold_after(word).is_none()
    };
    let own = words.iter().copied().filter(said);
    let words = std::iter::once("program").chain(own);
    Process::new(Command::Argv(words.map(Box::from).collect()))
}

fn settings(start_parallelism: u32) -> Settings {
    Settings {
        socket: SocketSpec::default(),
        metrics: None,
        state_dir: None,
        log_format: None,
        log_level: LogLevel::Info,
        log_children: ChildLines::Prefix,
        log_timestamps: false,
        shutdown_timeout: Duration::from_secs(30),
        exit_code: ExitCodePolicy::Cause,
        exit_delay: Duration::ZERO,
        exit_on_term: 0,
        start_parallelism,
        hook_parallelism: 4,
        events_kept: 64,
    }
}
