// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configuration in force, and one that is to be compared or put in force.

use serde::{Deserialize, Serialize};

/// `POST /v1/plan` and `POST /v1/apply`: the configuration to compare or to put in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigRequest {
    /// Its text, in place of the main file's; absent: what stands in the daemon's files now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toml: Option<String>,
    /// Apply it only if it is still the one that was planned: [`Plan::hash`](super::Plan::hash).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// What `GET /v1/config` answers; with `?node=NAME` about that node alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigText {
    /// Names this configuration.
    pub hash: String,
    /// The files it was read from, the main one first.
    #[serde(default)]
    pub files: Vec<String>,
    /// Everything in force, defaults included, as one file; secrets are stars.
    pub toml: String,
    /// The same table by table, with what was written for it and where.
    #[serde(default)]
    pub nodes: Vec<ConfigNode>,
}

/// One table: `[supd]`, or a node's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigNode {
    /// supd, supervisor or service.
    pub table: String,
    /// The node; absent for `[supd]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its supervisor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What somebody has written, the outermost layer first.
    #[serde(default)]
    pub written: Vec<WrittenKey>,
    /// What holds.
    #[serde(default)]
    pub in_force: Vec<InForceKey>,
}

/// A key as it stands in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenKey {
    /// Dotted: `stop.timeout`.
    pub key: String,
    /// The value's text, before variables are put in.
    pub value: String,
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The table it stands in: `service.web`, `template.app`, `defaults`.
    pub from: String,
}

/// A key as it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForceKey {
    /// Dotted: `stop.timeout`.
    pub key: String,
    /// The value in TOML.
    pub value: String,
    /// The file that says so; absent: nobody does, it is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Its line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The table it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}
