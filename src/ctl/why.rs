// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supctl why NAME`: how a node is, what happens next, what it said last, how it got there, what
//! to try. The daemon finds out (`tell::why`); here it is laid out.

use super::age;
use super::client::{Client, Doing, read_json};
use super::failure::Failure;
use super::names::resolve;
use super::screen::{Screen, Style, visible};
use super::{DONE, story};
use crate::wire::{EventLine, FailuresLine, Route, RuleLine, Why, kind};

/// Events that are told. Of a longer story the steps of stops are left out first, then its middle:
/// the beginning is the cause, the end is how things are.
const TOLD_MAX: usize = 12;
/// How many of them are the beginning.
const HEAD: usize = 4;
/// Columns of a line of advice.
const ADVICE_WIDTH: usize = 96;

/// `supctl why NAME`.
pub(crate) fn why(client: &Client, screen: &mut Screen, name: &String) -> Result<u8, Failure> {
    let doing = format!("explain `{name}`");
    for name in named(client, name)? {
        let why: Why = read_json(&client.get(&Route::Why(name), Doing(&doing))?)?;
        if screen.json {
            screen.json_value(&why)?;
            continue;
        }
        tell(screen, &why)?;
    }
    Ok(DONE)
}

/// A name that is none of the tree's is looked for there, for what comes near it.
fn named(client: &Client, name: &String) -> Result<Vec<String>, Failure> {
    let status = client.status(Doing("show the tree"))?;
    let nodes = resolve(&status.root, std::slice::from_ref(name), "explain")?;
    Ok(nodes.iter().map(|node| node.name.clone()).collect())
}

fn tell(screen: &mut Screen, why: &Why) -> Result<(), Failure> {
    screen.line(&visible(&why.sentence))?;
    if let Some(failures) = &why.failures {
        screen.line(&format!("  {}", failed(failures, &why.node.name)))?;
    }
    if let Some(words) = &why.last_words {
        let who = if words.node == why.node.name {
            String::new()
        } else {
            format!(" of {}", visible(&words.node))
        };
        for line in &words.lines {
            screen.line(&format!("  last words{who}: {}", visible(line)))?;
        }
    }
    let rules = why.node.last_exit.iter().flat_map(|exit| &exit.rules);
    let rules: Vec<String> = rules.map(tried).collect();
    if !rules.is_empty() {
        for line in wrapped(&format!("classes tried: {}", rules.join(", "))) {
            screen.line(&format!("  {line}"))?;
        }
    }
    if let Some(advice) = &why.advice {
        for line in wrapped(&visible(advice)) {
            screen.line(&format!("  {line}"))?;
        }
    }
    if !why.events.is_empty() {
        screen.line("How it got here")?;
        tell_events(screen, &why.events)?;
    }
    if !why.tries.is_empty() {
        screen.line(&tries(&why.tries, screen.style))?;
    }
    Ok(())
}

/// `lost (another exit code)`; the one that holds says so.
fn tried(rule: &RuleLine) -> String {
    let class = visible(&rule.class);
    match &rule.miss {
        Some(miss) => format!("{class} ({})", visible(miss)),
        None => format!("{class} (this one)"),
    }
}

fn tries(tries: &[String], style: Style) -> String {
    let shown: Vec<String> = tries.iter().map(|line| visible(line)).collect();
    let between = if style.unicode { " · " } else { "; " };
    format!("Try: {}", shown.join(between))
}

/// `failed 3 times, all alike: exit 1 about 0.3s after its start, class exit_code`.
fn failed(failures: &FailuresLine, name: &str) -> String {
    let who = if failures.node == name {
        String::new()
    } else {
        format!("{} ", visible(&failures.node))
    };
    let times = age::count(failures.count, "time");
    if let (true, Some(kind)) = (failures.alike, failures.kinds.first()) {
        let after = kind.uptime_ms.map_or_else(String::new, |ms| {
            format!(" about {} after its start", age::precise(ms))
        });
        let (how, class) = (visible(&kind.how), visible(&kind.class));
        return format!("{who}failed {times}, all alike: {how}{after}, class {class}");
    }
    let kinds = failures.kinds.iter().map(|kind| {
        let (how, class) = (visible(&kind.how), visible(&kind.class));
        format!("{how} ({class}) x{}", kind.count)
    });
    let kinds: Vec<String> = kinds.collect();
    format!("{who}failed {times}: {}", kinds.join(", "))
}

/// A paragraph in lines.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("invariant: there is a first line");
        let fits = line.is_empty() || line.chars().count() + word.chars().count() < ADVICE_WIDTH;
        if !fits {
            lines.push(word.to_owned());
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines
}

fn tell_events(screen: &mut Screen, story: &[EventLine]) -> Result<(), Failure> {
    let mut told: Vec<&EventLine> = story.iter().collect();
    if told.len() > TOLD_MAX {
        told.retain(|event| !is_step(event));
    }
    let cut = told.len().saturating_sub(TOLD_MAX);
    for (number, event) in told.iter().enumerate() {
        if number == HEAD && cut > 0 {
            screen.line("  ...")?;
        }
        if cut == 0 || number < HEAD || number >= HEAD + cut {
            screen.line(&format!("  {}", story::line(event)))?;
        }
    }
    let missing = story.len() - told.len() + cut;
    if missing > 0 {
        let count = age::count(missing as u64, "event");
        screen.line(&format!("  ({count} left out; all of them: supctl events)"))?;
    }
    Ok(())
}

/// A step of a stop: what came of it says the same.
fn is_step(event: &EventLine) -> bool {
    matches!(
        &*event.kind,
        kind::SERVICE_STOPPING | kind::SUPERVISOR_STOPPING
    )
}
