// SPDX-License-Identifier: MIT OR Apache-2.0
//! Replays recorded OTP behaviour against the engine in virtual time.
//!
//! Each case runs twice: once with programs that are ready as soon as they run and whose failed
//! starts are failed executions, once with programs that say when they are ready and whose failed
//! starts are either failed executions or early ends. Both must do what OTP did. This module
//! compares; what a supervisor does is decided by the engine alone, what a program does by
//! [`kernel`].

pub(crate) mod case;
pub(crate) mod compare;
mod kernel;
mod report;
mod script;
mod specs;

use case::Case;
use compare::compare;
use kernel::Manner;
use script::Script;
use std::path::Path;

/// Replays the case in this file; the error is a text for people.
pub(crate) fn replay_file(path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read: {e}"))?;
    let case: Case = serde_json::from_str(&text).map_err(|e| format!("cannot parse: {e}"))?;
    if case.schema != "sup-conformance/1" {
        return Err(format!("unknown schema `{}`", case.schema));
    }
    replay(&case, Manner::AtOnce)?;
    replay(&case, Manner::SaysSo)
}

/// Replays one case; stops at the first step that differs, as everything after it would.
fn replay(case: &Case, manner: Manner) -> Result<(), String> {
    let mut script = Script::new(case, manner);
    let got = script.boot();
    compare(&case.boot, &got).map_err(|text| tell(case, manner, "boot", &text, &script))?;
    for (number, step) in case.steps.iter().enumerate() {
        let got = script.perform(&step.op);
        compare(&step.observation(), &got).map_err(|text| {
            let title = format!("step {} {:?}", number + 1, step.op);
            tell(case, manner, &title, &text, &script)
        })?;
    }
    Ok(())
}

/// The failure with what led to it.
fn tell(case: &Case, manner: Manner, title: &str, text: &str, script: &Script) -> String {
    let trace = script.trace().join("\n    ");
    format!(
        "{} ({manner:?}), {title}\n{text}  trace:\n    {trace}\n",
        case.name
    )
}
