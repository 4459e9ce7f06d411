// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines of a stream: a snapshot, then events or log lines, heartbeats, and gaps.
//!
//! Which shape a line has is decided by its `kind` alone, read first; never by trying one shape
//! after another, which would turn a damaged line into a wrong one.

use super::Word;
use super::event::{EventLine, kind};
use super::log::LogLine;
use super::status::Status;
use serde::{Deserialize, Serialize};

/// The first line of `GET /v1/events?follow=1`: the tree, and the event it is true at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// `snapshot`.
    pub kind: Word,
    /// The events that follow begin after it.
    pub seq: u64,
    /// The tree.
    pub status: Status,
}

/// Every 15 s, so that a reader can tell a quiet tree from a dead daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// `heartbeat`.
    pub kind: Word,
    /// The last event there was.
    pub seq: u64,
    /// When.
    pub ts: String,
}

/// The reader was too slow, or asked for what is no longer kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// `gap`.
    pub kind: Word,
    /// The first that is missing: an event's `seq`, or 0 in a stream of log lines.
    pub from: u64,
    /// The last that is missing; in a stream of log lines how many there are.
    pub to: u64,
}

impl Snapshot {
    /// The first line of a stream.
    pub fn new(status: Status) -> Self {
        Self {
            kind: Word::Borrowed(kind::SNAPSHOT),
            seq: status.seq,
            status,
        }
    }
}

impl Heartbeat {
    /// A sign of life.
    pub fn new(seq: u64, ts: String) -> Self {
        Self {
            kind: Word::Borrowed(kind::HEARTBEAT),
            seq,
            ts,
        }
    }
}

impl Gap {
    /// What is missing, both ends included.
    pub fn new(from: u64, to: u64) -> Self {
        Self {
            kind: Word::Borrowed(kind::GAP),
            from,
            to,
        }
    }
}

/// A line of `GET /v1/events`.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamItem {
    /// The tree to begin with.
    Snapshot(Box<Snapshot>),
    /// Something changed.
    Event(Box<EventLine>),
    /// Nothing did.
    Heartbeat(Heartbeat),
    /// Something is missing.
    Gap(Gap),
}

/// A line of `GET /v1/nodes/{name}/logs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogItem {
    /// A service wrote it.
    Line(LogLine),
    /// Nobody wrote anything.
    Heartbeat(Heartbeat),
    /// Something is missing.
    Gap(Gap),
}

/// The one field that decides.
#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    kind: Option<String>,
}

impl StreamItem {
    /// Reads one line.
    pub fn parse(line: &str) -> Result<Self, serde_json::Error> {
        let Kind { kind } = serde_json::from_str(line)?;
        match kind.as_deref() {
            Some(kind::SNAPSHOT) => serde_json::from_str(line).map(Self::Snapshot),
            Some(kind::HEARTBEAT) => serde_json::from_str(line).map(Self::Heartbeat),
            Some(kind::GAP) => serde_json::from_str(line).map(Self::Gap),
            Some(_) | None => serde_json::from_str(line).map(Self::Event),
        }
    }
}

impl LogItem {
    /// Reads one line.
    pub fn parse(line: &str) -> Result<Self, serde_json::Error> {
        let Kind { kind } = serde_json::from_str(line)?;
        match kind.as_deref() {
            Some(kind::HEARTBEAT) => serde_json::from_str(line).map(Self::Heartbeat),
            Some(kind::GAP) => serde_json::from_str(line).map(Self::Gap),
            Some(_) | None => serde_json::from_str(line).map(Self::Line),
        }
    }
}
