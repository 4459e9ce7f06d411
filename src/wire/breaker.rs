// SPDX-License-Identifier: MIT OR Apache-2.0
//! Breakers that services share, as they are now, and what is sent to force one.

use super::{WhoLine, Word};
use serde::{Deserialize, Serialize};

/// `GET /v1/breakers`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerList {
    /// In the order of the configuration.
    pub breakers: Vec<BreakerView>,
}

/// One of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerView {
    /// Unique among breakers.
    pub name: String,
    /// closed open `half_open` `forced_open` `forced_closed`
    pub state: Word,
    /// Time in this state.
    pub since_ms: u64,
    /// Time until that ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// Ends in a row that blame it.
    #[serde(default)]
    pub row: u32,
    /// So many open it.
    pub failures: u32,
    /// What its probe asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// Services that it holds, or has not let go yet, in tree order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<String>,
    /// The service whose start is its test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<String>,
    /// Who forced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<WhoLine>,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /v1/breakers/{name}/open` and `…/close`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForceRequest {
    /// How long it is forced: `30m`, which is also what holds without it. It always ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<String>,
    /// Why; shown with its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
