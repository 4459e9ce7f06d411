// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events about remedies as a clause for people. Pure.

use super::age;
use super::screen::visible;
use crate::wire::{EventLine, kind};

/// What happened; `None`: it is not about a remedy.
pub(super) fn told(event: &EventLine) -> Option<String> {
    let remedy = event.remediation.as_deref();
    let name = remedy.map_or_else(
        || "remediation".to_owned(),
        |n| format!("remediation {}", visible(n)),
    );
    Some(match &*event.kind {
        kind::REMEDIATION_STARTED => {
            let on = event.trigger.as_deref().or(event.class.as_deref());
            format!("{name} begins, for {}", visible(on.unwrap_or("this")))
        }
        kind::REMEDIATION_STEP => format!("{name}: step {} is done", event.step.unwrap_or(0)),
        kind::REMEDIATION_FINISHED => finished(&name, event),
        kind::REMEDIATION_SKIPPED => skipped(&name, remedy.is_some(), event),
        _ => return None,
    })
}

/// `remediation oom_kill ran 1.2s: fixed`.
fn finished(name: &str, event: &EventLine) -> String {
    let ran = event
        .took_ms
        .map_or_else(String::new, |ms| format!(" ran {}", age::precise(ms)));
    let verdict = visible(event.verdict.as_deref().unwrap_or("unknown"));
    let after = event.after_ms.map(|ms| format!(", in {}", age::short(ms)));
    let how = match (
        &*verdict,
        event.why.as_deref(),
        event.code,
        &event.signal,
        &event.failure,
    ) {
        ("failed", Some("timeout"), ..) => " (its time was over)".to_owned(),
        ("failed", _, Some(code), ..) => format!(" (exit {code})"),
        ("failed", _, None, Some(signal), _) => format!(" (SIG{})", visible(signal)),
        ("failed", _, None, None, Some(failure)) => {
            let why = failure
                .message
                .as_deref()
                .unwrap_or("it could not be executed");
            format!(" ({}: {})", visible(&failure.stage), visible(why))
        }
        _ => String::new(),
    };
    format!("{name}{ran}: {verdict}{}{how}", after.unwrap_or_default())
}

fn skipped(name: &str, known: bool, event: &EventLine) -> String {
    if !known {
        return "no remediation is for this".to_owned();
    }
    let why = match event.why.as_deref().unwrap_or_default() {
        "limit" => "its limit is reached".to_owned(),
        "switched_off" => "it has failed too often".to_owned(),
        "observe" => "it only observes".to_owned(),
        "busy" => "too many are running".to_owned(),
        "refunded" => "it has given this budget back already".to_owned(),
        "untrusted" => "it deletes, and output alone says so".to_owned(),
        other => visible(other),
    };
    format!("{name} skipped: {why}")
}

/// The last line of what it wrote, where it says more than the verdict.
pub(super) fn said(event: &EventLine) -> Option<&str> {
    let shown = match &*event.kind {
        kind::REMEDIATION_FINISHED => event.verdict.as_deref() != Some("fixed"),
        _ => false,
    };
    let last = event.output.last().filter(|_| shown);
    last.map(String::as_str)
}
