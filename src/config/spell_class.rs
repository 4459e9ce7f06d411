// SPDX-License-Identifier: MIT OR Apache-2.0
//! A class as a file would write it. Patterns stand as they are: they have no variables.

use super::spelling::{Flag, Line, Lines, array, literal, quoted, spell};
use crate::spec::{Classes, PatternId, Phase, Uptime, UserClass, When};

/// Every key of a class that asks for something.
pub(super) fn class(class: &UserClass, classes: &Classes) -> Vec<Line> {
    let UserClass {
        name: _,
        family,
        when,
        blames,
        trust_output,
    } = class;
    let mut lines = Lines::default();
    if let Some(family) = family {
        lines.text("family", family.as_str());
    }
    if let Some(breaker) = blames {
        lines.text("blames", breaker);
    }
    conditions(&mut lines, when, classes);
    if !when.stderr.is_empty() || !when.stdout.is_empty() {
        lines.flag("trust_output", Flag(*trust_output));
    }
    lines.0
}

fn conditions(lines: &mut Lines, when: &When, classes: &Classes) {
    let When {
        base,
        codes,
        signals,
        stderr,
        stdout,
        uptime,
        phase,
        early,
    } = when;
    let mut put = |key: &str, values: Vec<String>| {
        if !values.is_empty() {
            lines.put(key, array(values));
        }
    };
    let pattern = |id: &PatternId| {
        let text = classes.patterns.get(id.0 as usize);
        text.map_or_else(String::new, |text| literal(text))
    };
    put("base", base.iter().map(|c| quoted(c.as_str())).collect());
    put("codes", codes.iter().map(ToString::to_string).collect());
    let names = signals.iter().map(|signal| quoted(&signal.to_string()));
    put("signals", names.collect());
    put("stderr", stderr.iter().map(pattern).collect());
    put("stdout", stdout.iter().map(pattern).collect());
    put("phase", phase.iter().map(|p| quoted(word(*p))).collect());
    match uptime {
        Some(Uptime::Above(least)) => lines.text("uptime", &format!(">{}", spell(*least))),
        Some(Uptime::Below(most)) => lines.text("uptime", &format!("<{}", spell(*most))),
        None => {}
    }
    if let Some(early) = early {
        lines.flag("early", Flag(*early));
    }
}

fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Ready => "ready",
        Phase::Stopping => "stopping",
        Phase::Trial => "trial",
    }
}
