// SPDX-License-Identifier: MIT OR Apache-2.0
//! The remediation registry as clients see it: what is done about which ends, and how it went.

use super::{Word, is_false};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /v1/remediations`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remediations {
    /// The registry first, then the entries of nodes in tree order.
    pub remediations: Vec<Remediation>,
}

/// An entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remediation {
    /// `oom_kill`, or `web/oom_kill` of a service or supervisor.
    pub name: String,
    /// The service or supervisor it belongs to; absent: the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The class, `family:NAME`, `*` or trigger it is for.
    pub on: String,
    /// What it does, a clause for each step.
    pub does: Vec<String>,
    /// How long a step may take.
    pub timeout_ms: u64,
    /// How often it may be used: `3/10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// Uses within the time of its limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u32>,
    /// Whether restarts after it take no token.
    #[serde(default, skip_serializing_if = "is_false")]
    pub free: bool,
    /// act or observe.
    pub mode: Word,
    /// service or supd.
    #[serde(rename = "as")]
    pub runs_as: Word,
    /// Whether services that fail for it at one time share one run.
    #[serde(default, skip_serializing_if = "is_false")]
    pub single_flight: bool,
    /// How often each verdict was given since the daemon began.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub verdicts: BTreeMap<Word, u64>,
    /// How often it was skipped.
    pub skipped: u64,
    /// Its last verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Word>,
    /// How long ago that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_ago_ms: Option<u64>,
    /// It is switched off for this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off_ms: Option<u64>,
    /// The services it is at work for now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_work: Vec<String>,
}

/// `POST /v1/nodes/{name}/remediate`: tries the entry that the service has for a class; nothing
/// follows from its verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemediateRequest {
    /// The class or trigger.
    pub class: String,
    /// `SUPD_DRY_RUN=1` for hooks; built-in steps only say what they would do.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
}
