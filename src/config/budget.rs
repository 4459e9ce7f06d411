// SPDX-License-Identifier: MIT OR Apache-2.0
//! Restart budgets of a supervisor: `budgets` and `on_exhausted`.
//!
//! What a limit means and when it is used up is decided in the engine.

use super::diagnostic::Report;
use super::reader::Reader;
use super::value::{At, Field, Item, Table};
use super::{codes, scalar, words};
use crate::spec::{Budget, Family, Policy, Then};
use std::sync::Arc;
use std::time::Duration;

/// How they are written.
const LIMIT: &str = "write it as \"10/30s\": restarts allowed, and the time they are counted in";
const THEN: &str = "it is \"escalate\", \"park\" or `{ hold = \"5m\" }`";

/// What a supervisor's table says about budgets.
pub(super) fn budgets(reader: &Reader<'_>, table: &Table, policy: Policy) -> (Arc<[Budget]>, Then) {
    let fields = ["budgets", "on_exhausted"].map(|key| table.get(key));
    for field in fields
        .into_iter()
        .flatten()
        .filter(|_| policy == Policy::Otp)
    {
        let message = format!("there is no `{}` under `policy = \"otp\"`", field.key);
        let report = Report::new(codes::OTP, message);
        let report = report.at(field.key_at, "it would be ignored");
        reader.report(report.help("take it out, or take `policy` out"));
    }
    let [families, main] = fields;
    let then = main.and_then(|field| then(reader, field));
    let families = families.and_then(|f| reader.table(f, "{ transient = \"10/30s\" }"));
    let mut found = Vec::new();
    for family in Family::ALL {
        let field = families.and_then(|table| table.get(family.as_str()));
        if let Some(field) = field
            && let Some(budget) = budget(reader, family, field)
        {
            found.push(budget);
        }
    }
    (found.into(), then.unwrap_or(Then::Escalate))
}

fn budget(reader: &Reader<'_>, family: Family, field: Field<'_>) -> Option<Budget> {
    let (limit, then) = match &field.value.item {
        Item::Table(table) => {
            known(reader, table, &["limit", "then"])?;
            let Some(limit) = table.get("limit") else {
                let message = format!("the budget of `{}` has no `limit`", field.key);
                return refuse(reader, (message, field.at()), LIMIT);
            };
            let then = table.get("then").map(|field| then(reader, field));
            (limit, then.unwrap_or(Some(Then::Escalate))?)
        }
        _ => (field, Then::Escalate),
    };
    let text = reader.text(limit)?;
    let Some((limit, period)) = rate(&text) else {
        let message = format!("`{text}` is no limit of restarts");
        return refuse(reader, (message, limit.at()), LIMIT);
    };
    Some(Budget {
        family,
        limit,
        period,
        then,
    })
}

/// `10/30s`.
pub(super) fn rate(text: &str) -> Option<(u32, Duration)> {
    let (count, time) = text.split_once('/')?;
    let digits = !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
    let count = count.parse().ok().filter(|_| digits)?;
    let time = scalar::duration(time).filter(|time| !time.is_zero())?;
    (count <= 1_000_000_000).then_some((count, time))
}

fn then(reader: &Reader<'_>, field: Field<'_>) -> Option<Then> {
    match &field.value.item {
        Item::Table(table) => {
            known(reader, table, &["hold"])?;
            let Some(hold) = table.get("hold") else {
                let message = format!("`{}` does not say what follows", field.key);
                return refuse(reader, (message, field.at()), THEN);
            };
            reader.duration(hold).map(Then::Hold)
        }
        Item::Text(text) if &**text == "hold" => {
            let message = format!("`{}` does not say for how long", field.key);
            refuse(reader, (message, field.at()), THEN)
        }
        _ => reader.choice(field, &[("escalate", Then::Escalate), ("park", Then::Park)]),
    }
}

fn known(reader: &Reader<'_>, table: &Table, keys: &[&str]) -> Option<()> {
    let strange = table.entries.iter().find(|e| !keys.contains(&&*e.key));
    let Some(entry) = strange else {
        return Some(());
    };
    let message = format!("a budget has no `{}`", entry.key);
    refuse(
        reader,
        (message, entry.key_at),
        &words::one_of(&entry.key, keys),
    )
}

fn refuse<T>(reader: &Reader<'_>, (message, at): (String, At), help: &str) -> Option<T> {
    reader.report(Report::new(codes::BUDGET, message).at(at, "").help(help));
    None
}
