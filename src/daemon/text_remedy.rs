// SPDX-License-Identifier: MIT OR Apache-2.0
//! Records about remedies as lines for people. It decides nothing, and never shows what a hook
//! wrote.

use super::words;
use crate::spec::Verdict;
use crate::tree::{HookEnd, Record, Skip, What};

/// What happened, without the name of the service.
pub(super) fn message(record: &Record) -> String {
    match &record.what {
        What::RemedyStarted {
            remedy,
            class,
            trigger,
            ..
        } => {
            let on = trigger.map_or(&**class, |trigger| trigger.as_str());
            format!("remediation {remedy} begins, for {on}")
        }
        What::RemedyStep { remedy, step, .. } => {
            format!("remediation {remedy}: step {} is done", step + 1)
        }
        What::RemedyFinished {
            remedy,
            verdict,
            after,
            took,
            how,
            ..
        } => {
            let how = how.and_then(|how| ended(*verdict, how)).unwrap_or_default();
            let after = after.map(|after| format!(", in {}", words::span(after)));
            format!(
                "remediation {remedy} ran {}: {}{}{how}",
                words::span(*took),
                verdict.as_str(),
                after.unwrap_or_default()
            )
        }
        What::RemedySkipped { remedy, why } => skipped(remedy.as_deref(), *why, record),
        _ => String::new(),
    }
}

/// What the verdict alone does not say.
fn ended(verdict: Verdict, how: HookEnd) -> Option<String> {
    if verdict != Verdict::Failed {
        return None;
    }
    Some(match how {
        HookEnd::Status(status) => format!(" ({})", words::status(status)),
        HookEnd::NotStarted(failure) => format!(" ({})", words::failure(failure, None)),
        HookEnd::TimedOut => " (its time was over)".to_owned(),
    })
}

fn skipped(remedy: Option<&str>, why: Skip, record: &Record) -> String {
    let Some(remedy) = remedy else {
        return "no remediation is for this".to_owned();
    };
    let why = match why {
        Skip::NoEntry => "there is none".to_owned(),
        Skip::Limit => "its limit is reached".to_owned(),
        Skip::SwitchedOff { until } => format!(
            "it has failed too often and is off for {}",
            words::span(until.since(record.at))
        ),
        Skip::Observed => "it only observes".to_owned(),
        Skip::Busy => "too many are running".to_owned(),
        Skip::Refunded => "it has given this budget back already".to_owned(),
        Skip::Untrusted => "it deletes, and output alone says so (`trust_output`)".to_owned(),
    };
    format!("remediation {remedy} skipped: {why}")
}
