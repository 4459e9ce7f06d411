// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supctl plan` and `supctl apply`: what a configuration would change, and changing it.
//!
//! The daemon says what would happen; here it is laid out for people, one line per key, the
//! effect on a process at the end of a node's first line. A question is asked only of somebody who
//! can answer it.

#![expect(
    clippy::format_push_string,
    reason = "text for people, written once; a `write!` to it could only be ignored"
)]

use super::act::{TakenUp, report_take_up, take_up};
use super::args::{ApplyArgs, PlanArgs};
use super::client::{Client, Doing, read_json};
use super::failure::Failure;
use super::mark::{Mark, paint};
use super::screen::{Screen, Style, visible};
use super::{BUSY, DONE, INVALID_CONFIG, NO, PENDING};
use crate::wire::{Change, ConfigRequest, KeyChange, Plan, Route, effect, op};
use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

/// A value is shown up to this many characters.
const VALUE_MAX: usize = 40;
/// Names in a list before the rest is counted.
const NAMES_MAX: usize = 4;
/// Columns of a line before the effect.
const COLUMNS: usize = 3;

/// `supctl plan`.
pub(crate) fn plan(client: &Client, screen: &mut Screen, args: &PlanArgs) -> Result<u8, Failure> {
    let request = request(args.file.as_ref())?;
    let (plan, text) = ask(client, &request)?;
    if screen.json {
        screen.json_line(text.trim_end())?;
    } else {
        show(screen, &plan)?;
    }
    let changes = !plan.changes.is_empty();
    Ok(match refusal(&plan) {
        Some(code) => code,
        None if args.exit_code && changes => PENDING,
        None => DONE,
    })
}

/// `supctl apply`.
pub(crate) fn apply(client: &Client, screen: &mut Screen, args: &ApplyArgs) -> Result<u8, Failure> {
    let mut request = request(args.file.as_ref())?;
    let (plan, text) = ask(client, &request)?;
    if let Some(code) = refusal(&plan) {
        if screen.json {
            screen.json_line(text.trim_end())?;
        } else {
            show(screen, &plan)?;
        }
        return Ok(code);
    }
    if !screen.json {
        show(screen, &plan)?;
        screen.flush()?;
    }
    let somebody = io::stdin().is_terminal() && io::stderr().is_terminal();
    if somebody && !args.yes && !plan.changes.is_empty() && !confirmed()? {
        screen.talk("nothing was changed")?;
        return Ok(NO);
    }
    // What was planned is what is applied, or nothing.
    request.hash = Some(plan.hash.clone());
    let body = serde_json::to_string(&request).expect("invariant: a request is plain data");
    let doing = Doing("apply the configuration");
    let mut taken = take_up(client, (&Route::Apply, &body), doing)?;
    if let TakenUp::Done(reply) = &mut taken
        && reply.ok
        && !screen.json
    {
        // They were counted with the plan.
        reply.diagnostics.clear();
    }
    report_take_up(screen, &taken)
}

/// The daemon reads its own files unless it is given a text.
fn request(file: Option<&PathBuf>) -> Result<ConfigRequest, Failure> {
    let Some(file) = file else {
        return Ok(ConfigRequest::default());
    };
    let text = fs::read_to_string(file).map_err(|error| Failure::Usage {
        doing: format!("read {}", file.display()),
        reason: error.to_string(),
        instead: "supctl plan".to_owned(),
    })?;
    Ok(ConfigRequest {
        toml: Some(text),
        hash: None,
    })
}

fn ask(client: &Client, request: &ConfigRequest) -> Result<(Plan, String), Failure> {
    let body = serde_json::to_string(request).expect("invariant: a request is plain data");
    let text = client.post(&Route::Plan, &body, Doing("plan a change"))?;
    Ok((read_json(&text)?, text))
}

/// The exit code of a plan that cannot be carried out.
fn refusal(plan: &Plan) -> Option<u8> {
    match (plan.ok, plan.hash.is_empty()) {
        (true, _) => None,
        (false, true) => Some(INVALID_CONFIG),
        (false, false) => Some(BUSY),
    }
}

fn confirmed() -> Result<bool, Failure> {
    let mut line = String::new();
    write!(io::stderr(), "Apply this? [y/N] ")?;
    io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

fn show(screen: &mut Screen, plan: &Plan) -> Result<(), Failure> {
    match refusal(plan) {
        None => {
            let text = picture(plan, screen.style);
            screen.line(text.trim_end_matches('\n'))?;
            // They were the same before; who wants to read them knows where.
            let count: usize = plan.diagnostics.iter().map(|d| warnings(d)).sum();
            match count {
                0 => Ok(()),
                1 => screen.talk("1 warning; to read it: supctl check"),
                n => screen.talk(&format!("{n} warnings; to read them: supctl check")),
            }
        }
        Some(INVALID_CONFIG) => {
            let lines = plan.diagnostics.iter().flat_map(|d| d.lines());
            let mut lines: Vec<String> = lines.map(str::to_owned).collect();
            lines.push("cannot plan a change: the new configuration is invalid".to_owned());
            screen.complain_lines(&lines, &explaining(&plan.diagnostics));
            Ok(())
        }
        Some(_) => {
            let text = "cannot plan a change: the tree is going down".to_owned();
            screen.complain_lines(&[text], "supctl status");
            Ok(())
        }
    }
}

fn warnings(diagnostics: &str) -> usize {
    let begins = |line: &&str| line.starts_with("warning[");
    diagnostics.lines().filter(begins).count()
}

/// What explains the first error: `supctl explain E0107`.
fn explaining(diagnostics: &[String]) -> String {
    let mut lines = diagnostics.iter().flat_map(|d| d.lines());
    let code = lines.find_map(|line| line.strip_prefix("error[")?.split(']').next());
    match code {
        Some(code) => format!("supctl explain {code}"),
        None => "supctl check".to_owned(),
    }
}

/// One line, before it is aligned.
struct Row {
    cells: [String; COLUMNS],
    effect: String,
    mark: Mark,
}

/// The whole plan as people see it.
pub(crate) fn picture(plan: &Plan, style: Style) -> String {
    if plan.changes.is_empty() {
        return "nothing would change\n".to_owned();
    }
    let shared = shared_directory(plan);
    let mut rows = Vec::new();
    for change in &plan.changes {
        add_rows(change, plan, (&shared, style), &mut rows);
    }
    let mut text = String::new();
    let width = |column: usize| {
        let cells = rows
            .iter()
            .map(|row: &Row| row.cells[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.cells.iter().zip(widths) {
            if width > 0 {
                line.push_str(&format!("{cell:<width$}  "));
            }
        }
        line.push_str(&row.effect);
        text.push_str(&paint(line.trim_end(), row.mark, style));
        text.push('\n');
    }
    text.push_str(&summary(plan, style));
    text.push('\n');
    text
}

fn add_rows(change: &Change, plan: &Plan, (shared, style): (&str, Style), rows: &mut Vec<Row>) {
    // Who is only touched because of somebody is named there.
    if change.op == op::TOUCH && change.because.is_some() {
        return;
    }
    let (sign, mark) = match &*change.op {
        op::ADD => ('+', Mark::Good),
        op::REMOVE => ('-', Mark::Bad),
        _ => ('~', Mark::Waiting),
    };
    let name = visible(change.node.as_deref().unwrap_or("[supd]"));
    let mut first = Row {
        cells: [format!("{sign} {name}"), String::new(), String::new()],
        effect: effect_text(change, plan),
        mark,
    };
    if change.op == op::ADD {
        let parent = visible(change.parent.as_deref().unwrap_or_default());
        first.cells[1] = match change.after.as_deref() {
            Some(word @ ("first" | "last")) => format!("in {parent}, {word}"),
            Some(other) => format!("in {parent}, after {}", visible(other)),
            None => format!("in {parent}"),
        };
    }
    let mut rows_of_keys = change.keys.iter().map(|key| Row {
        cells: [String::new(), key_text(key, style), place_text(key, shared)],
        effect: String::new(),
        mark,
    });
    if let Some(key) = rows_of_keys.next() {
        let [_, what, place] = key.cells;
        first.cells[1] = what;
        first.cells[2] = place;
    }
    rows.push(first);
    rows.extend(rows_of_keys);
}

/// `env.PORT "8080" -> "8081"`.
fn key_text(key: &KeyChange, style: Style) -> String {
    let arrow = if style.unicode { "→" } else { "->" };
    let value = |value: &Option<String>| match value {
        Some(value) => shortened(value),
        None => "(unset)".to_owned(),
    };
    format!(
        "{} {} {arrow} {}",
        visible(&key.key),
        value(&key.old),
        value(&key.new)
    )
}

fn shortened(value: &str) -> String {
    let value = visible(value);
    if value.chars().count() <= VALUE_MAX {
        return value;
    }
    let head: String = value.chars().take(VALUE_MAX - 3).collect();
    format!("{head}...")
}

fn place_text(key: &KeyChange, shared: &str) -> String {
    let (Some(file), Some(line)) = (&key.file, key.line) else {
        return String::new();
    };
    let file = file.strip_prefix(shared).unwrap_or(file);
    format!("{}:{line}", visible(file))
}

/// The directory that all places of a plan have in common, with its last slash.
fn shared_directory(plan: &Plan) -> String {
    let keys = plan.changes.iter().flat_map(|change| &change.keys);
    let mut files = keys.filter_map(|key| key.file.as_deref());
    let directory = |file: &str| file.rfind('/').map_or(0, |at| at + 1);
    let Some(first) = files.next() else {
        return String::new();
    };
    let mut shared = &first[..directory(first)];
    for file in files {
        while !file.starts_with(shared) {
            let shorter = shared.trim_end_matches('/');
            shared = &shared[..directory(shorter)];
        }
    }
    shared.to_owned()
}

fn effect_text(change: &Change, plan: &Plan) -> String {
    let word = match change.effect.as_deref() {
        Some(effect::RESTART) => "restart",
        Some(effect::START) => "start",
        Some(effect::STOP) => "stop",
        Some(effect::IN_PLACE) => "in place",
        Some(effect::NEXT_START) => "at its next start",
        Some(effect::NEXT_SUPD) => "when supd is started again",
        Some(other) => other,
        None => "",
    };
    let mut text = visible(word);
    if !change.instances.is_empty() {
        text.push_str(&format!(" {}", listed(&change.instances)));
    }
    if let Some(because) = &change.because {
        let (node, sup) = (visible(&because.node), visible(&because.supervisor));
        let strategy = visible(&because.strategy);
        text.push_str(&format!(" with {node} ({sup} is {strategy})"));
        return text;
    }
    let mine = |other: &&Change| {
        let because = other.because.as_ref();
        because.is_some_and(|because| Some(&because.node) == change.node.as_ref())
    };
    let with: Vec<&Change> = plan.changes.iter().filter(mine).collect();
    if let Some(because) = with.first().and_then(|other| other.because.as_ref()) {
        let names: Vec<String> = with.iter().filter_map(|c| c.node.clone()).collect();
        let (sup, strategy) = (visible(&because.supervisor), visible(&because.strategy));
        let names = listed(&names);
        text.push_str(&format!(", and {names} with it ({sup} is {strategy})"));
    }
    text
}

/// `a, b, c, d and 3 more`.
fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(NAMES_MAX).map(|n| visible(n)).collect();
    let text = shown.join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

fn summary(plan: &Plan, style: Style) -> String {
    let dot = if style.unicode { " · " } else { ", " };
    let mut parts = Vec::new();
    if plan.restarted > 0 {
        let with = match plan.restarted_with {
            0 => String::new(),
            1 => " (1 only because of its supervisor)".to_owned(),
            n => format!(" ({n} only because of their supervisors)"),
        };
        parts.push(format!("{} restarted{with}", plan.restarted));
    }
    for (count, word) in [
        (plan.started, "started"),
        (plan.stopped, "stopped"),
        (plan.in_place, "in place"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    parts.push(format!("{} untouched", plan.untouched));
    parts.join(dot)
}
