// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records as tracing events, and tracing events as lines on our standard error.
//!
//! Every record of importance becomes one event of the target `supd` with the fields `node`,
//! `kind`, `line` (for people) and `json` (the event of the protocol). The subscriber writes one
//! of the two; it never waits: lines go to a bounded buffer that the loop writes out.

use crate::spec::{LogFormat, LogLevel};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Lines that wait for the loop; it takes them at the end of every turn.
const LINES_MAX: usize = 4096;

/// Where the subscriber leaves its lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    lines: Vec<String>,
    format: Option<LogFormat>,
    level: Option<LogLevel>,
    lost: u64,
}

impl Lines {
    /// Writes this much, in this manner, from now on.
    pub(crate) fn set(&self, format: LogFormat, level: LogLevel) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.format = Some(format);
        held.level = Some(level);
    }

    /// Takes what has come, and how many lines had no room.
    pub(crate) fn take(&self) -> (Vec<String>, u64) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = std::mem::take(&mut held.lost);
        (std::mem::take(&mut held.lines), lost)
    }

    /// Whether an event of this importance would be written.
    pub(crate) fn wants(&self, level: LogLevel) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.level.is_none_or(|least| level >= least)
    }
}

/// Makes `lines` the destination of all tracing events. Once; a second call changes nothing.
pub(crate) fn install(lines: &Lines) {
    let subscriber = tracing_subscriber::registry().with(ToLines(lines.clone()));
    let _already_set = tracing::subscriber::set_global_default(subscriber);
}

/// Emits one record.
pub(crate) fn emit(level: LogLevel, node: &str, kind: &str, line: &str, json: &str) {
    match level {
        LogLevel::Debug => tracing::debug!(target: "supd", node, kind, line, json),
        LogLevel::Info => tracing::info!(target: "supd", node, kind, line, json),
        LogLevel::Warn => tracing::warn!(target: "supd", node, kind, line, json),
        LogLevel::Error => tracing::error!(target: "supd", node, kind, line, json),
    }
}

struct ToLines(Lines);

impl<S: Subscriber> Layer<S> for ToLines {
    /// The level can change with a reload, so no answer of [`enabled`](Self::enabled) is kept.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with("supd") && self.0.wants(level_of(*metadata.level()))
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut held = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.lines.len() >= LINES_MAX {
            held.lost += 1;
            return;
        }
        let line = match held.format {
            Some(LogFormat::Json) if !fields.json.is_empty() => fields.json,
            Some(LogFormat::Json | LogFormat::Text) | None => fields.line,
        };
        held.lines.push(line);
    }
}

fn level_of(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        _ => LogLevel::Debug,
    }
}

#[derive(Default)]
struct Fields {
    line: String,
    json: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "line" => value.clone_into(&mut self.line),
            "json" => value.clone_into(&mut self.json),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _infallible = write!(self.line, "{value:?}");
        }
    }
}
