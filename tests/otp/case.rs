// SPDX-License-Identifier: MIT OR Apache-2.0
//! The recorded cases, `sup-conformance/1`: what was asked of a real OTP supervisor and what it
//! did. This module reads and prints them; it never decides what is right.

use serde::Deserialize;
use serde_json::Value;
use std::fmt;

/// One recorded tree and script.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Case {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) tree: Spec,
    pub(crate) boot: Observation,
    pub(crate) steps: Vec<Step>,
}

/// What was seen after one operation.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Observation {
    pub(crate) result: Value,
    pub(crate) events: Vec<Seen>,
    #[serde(default)]
    pub(crate) reports: Vec<Report>,
    pub(crate) state: Vec<Vec<Value>>,
}

/// One operation and what was seen after it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Step {
    pub(crate) op: Op,
    result: Value,
    events: Vec<Seen>,
    #[serde(default)]
    reports: Vec<Report>,
    state: Vec<Vec<Value>>,
}

impl Step {
    pub(crate) fn observation(&self) -> Observation {
        Observation {
            result: self.result.clone(),
            events: self.events.clone(),
            reports: self.reports.clone(),
            state: self.state.clone(),
        }
    }
}

/// A specification of a worker or of a supervisor; which fields hold depends on `kind`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Spec {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    pub(crate) restart: Option<RestartType>,
    #[serde(default)]
    pub(crate) significant: bool,
    /// Milliseconds, `brutal_kill` or `infinity`.
    pub(crate) shutdown: Option<Value>,
    pub(crate) strategy: Option<StrategyName>,
    #[serde(default)]
    pub(crate) intensity: u32,
    #[serde(default)]
    pub(crate) period_ms: u64,
    pub(crate) auto_shutdown: Option<AutoShutdownName>,
    #[serde(default)]
    pub(crate) on_term: OnTerm,
    #[serde(default)]
    pub(crate) fail_next: u32,
    #[serde(default)]
    pub(crate) children: Vec<Spec>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Worker,
    Supervisor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RestartType {
    Permanent,
    Transient,
    Temporary,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StrategyName {
    OneForOne,
    OneForAll,
    RestForOne,
    SimpleOneForOne,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AutoShutdownName {
    Never,
    AnySignificant,
    AllSignificant,
}

/// How the test program answers a request to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnTerm {
    #[default]
    Exit,
    Ignore,
    Error,
}

/// Why a process is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    Normal,
    Error,
    Killed,
    Shutdown,
    StartFailed,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normal => "normal",
            Self::Error => "error",
            Self::Killed => "killed",
            Self::Shutdown => "shutdown",
            Self::StartFailed => "start_failed",
        })
    }
}

/// An operation of a script.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Op {
    Exit {
        id: String,
        reason: Reason,
    },
    Kill {
        id: String,
    },
    FailNext {
        id: String,
        count: u32,
    },
    TerminateChild {
        sup: String,
        child: String,
    },
    RestartChild {
        sup: String,
        child: String,
    },
    DeleteChild {
        sup: String,
        child: String,
    },
    StartChild {
        sup: String,
        spec: Option<Box<Spec>>,
        instance: Option<String>,
    },
    CountChildren {
        sup: String,
    },
    WhichChildren {
        sup: String,
    },
    GetChildSpec {
        sup: String,
        child: String,
    },
    Reload {
        sup: String,
        spec: Box<Spec>,
    },
    Advance {
        ms: u64,
    },
    Batch {
        sup: String,
        items: Vec<Op>,
    },
    Shutdown,
}

/// What happened to a process or a supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Seen {
    pub(crate) ev: Happened,
    pub(crate) id: String,
    pub(crate) reason: Option<Reason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Happened {
    Start,
    StartFailed,
    Stop,
    SupStart,
    SupStop,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ev = match self.ev {
            Happened::Start => "start",
            Happened::StartFailed => "start_failed",
            Happened::Stop => "stop",
            Happened::SupStart => "sup_start",
            Happened::SupStop => "sup_stop",
        };
        write!(f, "{ev} {}", self.id)?;
        self.reason.map_or(Ok(()), |reason| write!(f, " {reason}"))
    }
}

/// What the supervisor logged.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Report {
    pub(crate) kind: ReportKind,
    pub(crate) sup: String,
    pub(crate) child: String,
    pub(crate) reason: Option<Reason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReportKind {
    ChildTerminated,
    StartError,
    ShutdownError,
    MaxIntensity,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ReportKind::ChildTerminated => "child_terminated",
            ReportKind::StartError => "start_error",
            ReportKind::ShutdownError => "shutdown_error",
            ReportKind::MaxIntensity => "max_intensity",
        };
        write!(f, "{kind} {}/{}", self.sup, self.child)?;
        self.reason.map_or(Ok(()), |reason| write!(f, " {reason}"))
    }
}
