// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a recorded specification to ours, under `policy = "otp"`, and back for
//! `get_child_spec`. How the test program behaves travels in its command line, so that a worker
//! that was started from an old specification keeps its old manner, as a real process does.

use super::case::{AutoShutdownName, Kind, OnTerm, RestartType, Spec, StrategyName};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use supd::spec::{
    AutoShutdown, Backoff, ChildLines, Command, ExitCodePolicy, LogLevel, Node, Policy, Process,
    Ready, Restart, Scope, Service, ServiceKind, Settings, Shutdown, Signal, SocketSpec, StartMode,
    Stop, StopStep, Strategy, Supervisor, SupervisorKind, Then, Tree,
};

/// A whole tree.
pub(crate) fn tree(root: &Spec, ready: &Ready) -> Tree {
    Tree {
        settings: Arc::new(settings()),
        root: Arc::new(supervisor(root, ready)),
        classes: Arc::default(),
        remedies: Arc::from([]),
        breakers: Arc::from([]),
    }
}

/// A child of either kind.
pub(crate) fn node(spec: &Spec, ready: &Ready) -> Node {
    match spec.kind {
        Kind::Worker => Node::Service(Arc::new(service(spec, ready))),
        Kind::Supervisor => Node::Supervisor(Arc::new(supervisor(spec, ready))),
    }
}

/// A supervisor; a pool has no instances until somebody starts them.
pub(crate) fn supervisor(spec: &Spec, ready: &Ready) -> Supervisor {
    let strategy = spec.strategy.unwrap_or(StrategyName::OneForOne);
    let pool = strategy == StrategyName::SimpleOneForOne;
    let children = spec.children.iter().map(|child| node(child, ready));
    Supervisor {
        name: Arc::from(spec.id.as_str()),
        restart: restart(spec),
        significant: spec.significant,
        required: true,
        shutdown: Shutdown::Infinity,
        strategy: match strategy {
            StrategyName::OneForOne | StrategyName::SimpleOneForOne => Strategy::OneForOne,
            StrategyName::OneForAll => Strategy::OneForAll,
            StrategyName::RestForOne => Strategy::RestForOne,
        },
        start: StartMode::Ordered,
        policy: Policy::Otp,
        max_restarts: spec.intensity,
        period: Duration::from_millis(spec.period_ms),
        budgets: Arc::from([]),
        on_exhausted: Then::Escalate,
        remedies: Arc::from([]),
        auto_shutdown: match spec.auto_shutdown.unwrap_or(AutoShutdownName::Never) {
            AutoShutdownName::Never => AutoShutdown::Never,
            AutoShutdownName::AnySignificant => AutoShutdown::AnySignificant,
            AutoShutdownName::AllSignificant => AutoShutdown::AllSignificant,
        },
        backoff: Arc::new(Backoff::None),
        kind: if pool {
            SupervisorKind::Pool
        } else {
            SupervisorKind::Tree
        },
        children: children.filter(|_| !pool).collect(),
    }
}

/// A worker whose command line says how it answers a request to stop.
pub(crate) fn service(spec: &Spec, ready: &Ready) -> Service {
    Service {
        name: Arc::from(spec.id.as_str()),
        kind: ServiceKind::Daemon,
        restart: restart(spec),
        significant: spec.significant,
        required: true,
        enabled: true,
        backoff: Arc::new(Backoff::None),
        hold_after: None,
        success_codes: Box::default(),
        success_signals: Box::default(),
        ready: ready.clone(),
        start_timeout: None,
        health: supd::spec::Health::default(),
        stop: Arc::new(Stop {
            command: None,
            steps: stop_steps(spec.shutdown.as_ref()),
            scope: Scope::Tree,
        }),
        reload: None,
        remedies: Arc::from([]),
        breakers: Arc::from([]),
        process: Arc::new(process(spec.on_term)),
    }
}

/// How the program started from this specification answers a request to stop.
pub(crate) fn on_term(service: &Service) -> OnTerm {
    let Command::Argv(words) = &service.process.command else {
        return OnTerm::Exit;
    };
    [OnTerm::Ignore, OnTerm::Error]
        .into_iter()
        .find(|manner| {
            words
                .last()
                .is_some_and(|word| **word == *word_for(*manner))
        })
        .unwrap_or_default()
}

/// The effective specification, as `get_child_spec` shows it.
pub(crate) fn shown(node: &Node) -> Value {
    let (kind, shutdown) = match node {
        Node::Supervisor(_) => ("supervisor", json!("infinity")),
        Node::Service(service) => ("worker", shown_shutdown(&service.stop)),
    };
    let restart = match node.restart() {
        Restart::Permanent => "permanent",
        Restart::Transient => "transient",
        Restart::Temporary => "temporary",
    };
    json!({
        "id": &**node.name(),
        "type": kind,
        "restart": restart,
        "significant": node.significant(),
        "shutdown": shutdown,
    })
}

fn shown_shutdown(stop: &Stop) -> Value {
    match stop.steps.first() {
        None => json!("brutal_kill"),
        Some(StopStep { timeout: None, .. }) => json!("infinity"),
        Some(StopStep {
            timeout: Some(time),
            ..
        }) => json!(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
    }
}

fn stop_steps(shutdown: Option<&Value>) -> Box<[StopStep]> {
    let term = |timeout| {
        Box::from([StopStep {
            signal: Signal::TERM,
            timeout,
        }])
    };
    match shutdown {
        Some(Value::String(word)) if word == "brutal_kill" => Box::default(),
        Some(Value::Number(ms)) => term(ms.as_u64().map(Duration::from_millis)),
        _ => term(None),
    }
}

fn restart(spec: &Spec) -> Restart {
    match spec.restart.unwrap_or(RestartType::Permanent) {
        RestartType::Permanent => Restart::Permanent,
        RestartType::Transient => Restart::Transient,
        RestartType::Temporary => Restart::Temporary,
    }
}

fn process(on_term: OnTerm) -> Process {
    let words = ["testchild", "--on-term", word_for(on_term)];
    Process::new(Command::Argv(words.into_iter().map(Box::from).collect()))
}

fn settings() -> Settings {
    Settings {
        socket: SocketSpec::default(),
        metrics: None,
        state_dir: None,
        log_format: None,
        log_level: LogLevel::Info,
        log_children: ChildLines::Prefix,
        log_timestamps: false,
        // No case ends before its slowest program: the tree's own deadline is not what is tested.
        shutdown_timeout: Duration::from_secs(100_000),
        exit_code: ExitCodePolicy::Cause,
        exit_delay: Duration::ZERO,
        exit_on_term: 0,
        start_parallelism: 64,
        hook_parallelism: 4,
        events_kept: 4096,
    }
}

/// The word for it in a command line.
fn word_for(on_term: OnTerm) -> &'static str {
    match on_term {
        OnTerm::Exit => "exit",
        OnTerm::Ignore => "ignore",
        OnTerm::Error => "error",
    }
}
