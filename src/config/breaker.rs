// SPDX-License-Identifier: MIT OR Apache-2.0
//! Breakers: a service's `hold_after`.
//!
//! What they do is decided in the engine; here are the forms and the defaults.

use super::codes;
use super::diagnostic::Report;
use super::reader::Reader;
use super::scalar::spell;
use super::value::{At, Field, Table};
use crate::spec::{HoldAfter, Policy};
use std::time::Duration;

/// Failures in a row that open a breaker: as many as a supervisor bears restarts.
const FAILURES: u32 = 5;
const OPEN_FOR: Duration = Duration::from_secs(30);
const OPEN_MAX: Duration = Duration::from_secs(300);

/// How it is written.
const HOLD_AFTER: &str = "{ failures = 3, open_for = \"1m\" }";

/// A service's own breaker. One that comes from its defaults is not for a branch under `otp`.
pub(super) fn hold_after(reader: &Reader<'_>, table: &Table, policy: Policy) -> Option<HoldAfter> {
    let field = table.get("hold_after")?;
    let inner = reader.table(field, HOLD_AFTER)?;
    let failures = failures(reader, inner);
    let (open_for, open_max) = times(reader, inner, field)?;
    (policy == Policy::Supd).then_some(HoldAfter {
        failures,
        open_for,
        open_max,
    })
}

/// Refuses what somebody wrote for a service itself, and what would be ignored there.
pub(super) fn check_policy(reader: &Reader<'_>, written: &Table, policy: Policy) {
    let Some(field) = written.get("hold_after").filter(|_| policy == Policy::Otp) else {
        return;
    };
    let message = format!("there is no `{}` under `policy = \"otp\"`", field.key);
    let report = Report::new(codes::OTP, message).at(field.key_at, "it would be ignored");
    reader.report(report.help("take it out, or leave out `policy`"));
}

fn failures(reader: &Reader<'_>, table: &Table) -> u32 {
    let read = |field| reader.integer(field, 1..=1_000_000);
    let count = table.get("failures").and_then(read);
    count
        .and_then(|n| u32::try_from(n).ok())
        .unwrap_or(FAILURES)
}

/// `open_for` and `open_max`: a short one is not raised by a default that is longer, and a long one
/// is not cut by a default that is shorter.
fn times(reader: &Reader<'_>, table: &Table, of: Field<'_>) -> Option<(Duration, Duration)> {
    let time = |key| match table.get(key) {
        None => Some(None),
        Some(field) => reader.duration(field).map(Some),
    };
    let (open_for, open_max) = (time("open_for")?, time("open_max")?);
    let first = open_for.unwrap_or(OPEN_FOR.min(open_max.unwrap_or(OPEN_FOR)));
    let last = open_max.unwrap_or(OPEN_MAX.max(first));
    let at = |key| table.get(key).map_or(of.key_at, Field::at);
    if first.is_zero() {
        let message = "a breaker that is open for no time holds nobody".to_owned();
        return refuse(reader, (message, at("open_for")), "write it as \"30s\"");
    }
    if last < first {
        let (one, other) = (spell(first), spell(last));
        let message = format!("`open_for` is {one}, and `open_max` is only {other}");
        let help = "the time grows from the one to the other";
        return refuse(reader, (message, at("open_max")), help);
    }
    Some((first, last))
}

fn refuse<T>(reader: &Reader<'_>, (message, at): (String, At), help: &str) -> Option<T> {
    let report = Report::new(codes::BREAKER, message).at(at, "");
    reader.report(report.help(help));
    None
}
