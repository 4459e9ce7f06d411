// SPDX-License-Identifier: MIT OR Apache-2.0
//! One event: the schema of `GET /v1/events`, the journal file, a hook's stdin and the log in json
//! format (INTERFACES.md, "Events").
//!
//! One flat shape for all kinds: a reader with `jq` needs no table of variants, and a field that
//! one kind has today another may gain tomorrow. What a kind does not have is absent.

use super::{Word, is_false, seconds};
use serde::{Deserialize, Serialize};

/// The words in [`EventLine::kind`].
pub mod kind {
    /// The daemon has booted the tree.
    pub const DAEMON_STARTED: &str = "daemon.started";
    /// A new configuration is in force.
    pub const DAEMON_RELOADED: &str = "daemon.reloaded";
    /// The whole tree is being stopped.
    pub const DAEMON_STOPPING: &str = "daemon.stopping";
    /// A program is about to be executed.
    pub const SERVICE_STARTING: &str = "service.starting";
    /// A start is done.
    pub const SERVICE_READY: &str = "service.ready";
    /// It runs and does not serve.
    pub const SERVICE_UNREADY: &str = "service.unready";
    /// The answers about a service that is up are other ones than before.
    pub const PROBE_CHANGED: &str = "probe.changed";
    /// A service was to be killed for being unhealthy and is not, for now.
    pub const LIVENESS_SUSPENDED: &str = "liveness.suspended";
    /// The process is gone, or never was.
    pub const SERVICE_EXITED: &str = "service.exited";
    /// What is decided about an end whose own event could not say it yet.
    pub const SERVICE_DECIDED: &str = "service.decided";
    /// It was asked to stop, or sent the next signal of its ladder.
    pub const SERVICE_STOPPING: &str = "service.stopping";
    /// It is down because it was stopped.
    pub const SERVICE_STOPPED: &str = "service.stopped";
    /// It waits before the next start.
    pub const SERVICE_BACKOFF: &str = "service.backoff";
    /// It waits for a breaker or a budget.
    pub const SERVICE_HELD: &str = "service.held";
    /// A breaker is in another state.
    pub const BREAKER_TRANSITION: &str = "breaker.transition";
    /// A breaker has opened, or is as it should be again.
    pub const BREAKER_ALARM: &str = "breaker.alarm";
    /// It no longer does.
    pub const SERVICE_RELEASED: &str = "service.released";
    /// It is not restarted until somebody acts.
    pub const SERVICE_PARKED: &str = "service.parked";
    /// What is done about an end has begun.
    pub const REMEDIATION_STARTED: &str = "remediation.started";
    /// A step of it is done, and another one follows.
    pub const REMEDIATION_STEP: &str = "remediation.step";
    /// It has answered.
    pub const REMEDIATION_FINISHED: &str = "remediation.finished";
    /// Nothing is done about an end.
    pub const REMEDIATION_SKIPPED: &str = "remediation.skipped";
    /// SIGKILL had no effect.
    pub const SERVICE_UNKILLABLE: &str = "service.unkillable";
    /// A supervisor begins to start its children.
    pub const SUPERVISOR_STARTING: &str = "supervisor.starting";
    /// Every child of it is started.
    pub const SUPERVISOR_READY: &str = "supervisor.ready";
    /// It was asked to stop.
    pub const SUPERVISOR_STOPPING: &str = "supervisor.stopping";
    /// It and all below it are down.
    pub const SUPERVISOR_STOPPED: &str = "supervisor.stopped";
    /// Who is stopped and started because of one child.
    pub const SUPERVISOR_STRATEGY: &str = "supervisor.strategy";
    /// One restart too many.
    pub const SUPERVISOR_EXHAUSTED: &str = "supervisor.exhausted";
    /// It ended by itself; its own supervisor decides.
    pub const SUPERVISOR_ESCALATED: &str = "supervisor.escalated";
    /// Its state as people see it has changed.
    pub const SUPERVISOR_HEALTH: &str = "supervisor.health";
    /// A node is now in the tree.
    pub const NODE_ADDED: &str = "node.added";
    /// A node is no longer in the tree.
    pub const NODE_REMOVED: &str = "node.removed";
    /// A node's specification changed in place.
    pub const NODE_CHANGED: &str = "node.changed";
    /// A client or a signal asked for something.
    pub const COMMAND: &str = "command";
    /// A child that was not ours ended.
    pub const ORPHAN_REAPED: &str = "orphan.reaped";
    /// Not an event: the first line of a stream.
    pub const SNAPSHOT: &str = "snapshot";
    /// Not an event: the stream lives.
    pub const HEARTBEAT: &str = "heartbeat";
    /// Not an event: what the reader has missed.
    pub const GAP: &str = "gap";
}

/// One change, numbered densely by `seq` within one `boot`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EventLine {
    /// [`VERSION`](super::VERSION).
    pub v: u32,
    /// Its number.
    pub seq: u64,
    /// When, RFC 3339 with milliseconds, UTC.
    pub ts: String,
    /// The life of the daemon it belongs to.
    pub boot: String,
    /// One of [`kind`], or a word of a later version.
    pub kind: Word,
    /// Ties exit, remedy, restart and ready together: `i91`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<String>,
    /// The node's name; absent: the daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its path: `root/api/web`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The how-many-th start of the service it is about, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// Its process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The class of an end (SEMANTICS §5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Word>,
    /// Its base class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Word>,
    /// requested clean transient config resource hang fault external.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Word>,
    /// certain or likely, where that is a question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certainty: Option<Word>,
    /// The pattern of its class that the output matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<MatchLine>,
    /// What the service said about its end itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<SaidLine>,
    /// What the service was doing: starting, ready, stopping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Word>,
    /// The exit code, when it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    /// The signal that ended it, that was sent (`service.stopping`), or that was asked for
    /// (`command`); without `SIG`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Word>,
    /// Whether it left a core.
    #[serde(default, skip_serializing_if = "is_false")]
    pub core: bool,
    /// What failed, when there never was a process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureLine>,
    /// What was asked (`probe.changed`): ready or liveness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Word>,
    /// The answer (`probe.changed`): success, failure, or unknown, which counts as nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Word>,
    /// What its last probe said when it was not well: `connection refused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// From the start to the end of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// What it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rusage: Option<RusageLine>,
    /// The last lines it wrote to its stderr. Not to be trusted by a terminal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_lines: Vec<String>,
    /// Processes of the run that were alive at its end: `name (pid N)`. They were killed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<String>,
    /// `daemonized`, `unclean`, `early`, `flapping`, `descendant_oom`: what else is to be said
    /// about an end (SEMANTICS §5).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub qualifiers: Vec<Word>,
    /// The `seq` of what caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<u64>,
    /// The restart budget after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetLine>,
    /// What is done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionLine>,
    /// Why something is started (boot, restart, group, retry, command, apply) or stopped (group,
    /// supervisor, shutdown, command, apply, `start_timeout`, `liveness_failed`,
    /// `watchdog_timeout`), or why nobody is killed (quorum, lag, resumed).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Word>,
    /// The sibling a group restart is about, or the child of a `supervisor.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<String>,
    /// Which incarnation of a supervisor, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// From the start to here (`ready`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// The time a back-off waits, or a service is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// What holds it: budget, `hold_after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<Word>,
    /// The breaker it is about, or that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<String>,
    /// The state a breaker was in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Word>,
    /// The state it is in now; of an alarm: raised, cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Word>,
    /// Why somebody forced a breaker, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Failures in a row after which a breaker opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// Starts that failed in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// A supervisor's rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Word>,
    /// Whom it touches, in start order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
    /// The leaf at the end of the cause chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub culprit: Option<CulpritLine>,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<WhoLine>,
    /// What was asked for: `stop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verb: Option<Word>,
    /// How many instances were asked for (`scale`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<u32>,
    /// Whom a stop waits for first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// A supervisor's new state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Word>,
    /// The entry of the registry: `oom_kill`, or `web/oom_kill` of a service or supervisor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<String>,
    /// What it is for besides a class: flapping, exhausted, unhealthy, held, recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Word>,
    /// What it answered: fixed, retry, blame, park, escalate, declined, failed, cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Word>,
    /// Which of its steps is done, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// The wait it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,
    /// The last lines of its output. Not to be trusted by a terminal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<String>,
    /// The same for people, in one clause. Not to be trusted by a terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Output that a pattern of the class matched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchLine {
    /// `stdout`, `stderr`.
    pub stream: Word,
    /// The line. Not to be trusted by a terminal.
    pub line: String,
    /// What the named groups of the pattern have matched. Not to be trusted by anybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub captures: Vec<CaptureLine>,
}

/// What a named group of a pattern has matched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaptureLine {
    /// Its name.
    pub name: String,
    /// What was there.
    pub text: String,
}

/// What a service says about its end over `sd_notify(3)`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaidLine {
    /// `X_SUPD_CLASS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// `X_SUPD_RETRY_AFTER_SEC`: when it wants to be started again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// `ERRNO`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
    /// `BUSERROR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus_error: Option<String>,
}

/// A class of the configuration and whether an end fulfilled its conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleLine {
    /// Its name.
    pub class: String,
    /// Why it does not hold: the first condition that is not fulfilled. Absent: it is the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub miss: Option<Word>,
}

/// A step before exec that failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureLine {
    /// Which step: `exec`, `workdir`, `uid`.
    pub stage: Word,
    /// The kernel's error number.
    pub errno: i32,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the step was about: the program, the directory, the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// What a process used (getrusage(2)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RusageLine {
    /// User CPU time.
    pub utime_ms: u64,
    /// System CPU time.
    pub stime_ms: u64,
    /// Largest resident set, KiB.
    pub maxrss_kb: u64,
}

/// A restart budget.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BudgetLine {
    /// Whose.
    pub supervisor: String,
    /// `main`, or the family it is for.
    pub bucket: Word,
    /// Restarts in the window, this one included.
    pub used: u32,
    /// Restarts allowed.
    pub max: u32,
    /// The window.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "seconds"
    )]
    pub seconds: Option<f64>,
}

/// What is done about an exit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionLine {
    /// restart, `stay_down`, escalate, expected, queued, done, remediate, hold, park.
    pub action: Word,
    /// Whom it touches, in start order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
    /// After this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
}

/// The leaf at the end of a cause chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CulpritLine {
    /// Its name.
    pub node: String,
    /// How it ended.
    pub class: Word,
    /// The code supd would end with because of it.
    pub code: u8,
    /// One clause for people: `exit 3`, `signal SEGV`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<String>,
}

/// Who asked for something: a client of the socket, or a signal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhoLine {
    /// The client's user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The client's process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The signal that supd got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<Word>,
}
