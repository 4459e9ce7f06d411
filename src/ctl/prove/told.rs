// SPDX-License-Identifier: MIT OR Apache-2.0
//! The story of a script for people and for programs: what was done, what the engine recorded, how
//! it ends. Pure: a played test in, text out.

use super::model::{Ended, Model, Told};
use super::play::Played;
use crate::ctl::age;
use crate::ctl::screen::{Style, visible};
use crate::ctl::story;
use crate::spec::{Node, SupervisorKind};
use crate::tell::line::{Added, event_line, millis};
use crate::tell::words;
use crate::tree::{Halt, Record, Time, What};
use crate::wire::EventLine;
use serde::Serialize;

/// Whether the boot is part of the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boot {
    Told,
    Summed,
}

/// One line of `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    /// Since the tree was up; negative: before.
    at_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<EventLine>,
}

/// A node at the end.
#[derive(Debug, Serialize)]
pub(crate) struct NodeEnd {
    node: String,
    path: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    restarts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u32>,
}

/// The story, a line each.
pub(crate) fn story(played: &Played, boot: Boot, style: Style) -> Vec<String> {
    let from = match boot {
        Boot::Summed if played.ended.0 == Ended::Quiet => played.booted,
        // A tree that does not come up is the story.
        Boot::Summed | Boot::Told => 0,
    };
    let lines = played.model.story().iter().skip(from);
    let arrow = if style.unicode { "▸" } else { ">" };
    lines
        .filter_map(|(at, told)| {
            let stamp = stamp(*at, played.zero);
            match told {
                Told::Done(words) => Some(format!("{stamp:>8}  {arrow} {}", visible(words))),
                Told::Remark(words) => Some(format!("{stamp:>8}  ({})", visible(words))),
                Told::Record(record) => {
                    let event = event(record, &played.model);
                    let what = shown(record).then(|| story::what_in_full(&event))?;
                    let who = visible(event.node.as_deref().unwrap_or("supd"));
                    Some(format!("{stamp:>8}  {who:12}  {what}"))
                }
            }
        })
        .collect()
}

/// That a supervisor is degraded follows from what was told before.
fn shown(record: &Record) -> bool {
    !matches!(record.what, What::Health { .. })
}

fn event(record: &Record, model: &Model) -> EventLine {
    let ms = i64::try_from(millis(record.at.since(Time::default()))).unwrap_or(i64::MAX);
    let ts = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let added = Added {
        ts: format!("{ts:.3}"),
        boot: "simulated".to_owned(),
        ..Added::default()
    };
    event_line(record, model.names(), added)
}

/// `+3.2s`; before the tree was up: `-1s`.
fn stamp(at: Time, zero: Time) -> String {
    let since = at.since(zero);
    if at < zero {
        format!("-{}", words::span(zero.since(at)))
    } else if since.is_zero() {
        "+0s".to_owned()
    } else {
        format!("+{}", words::span(since))
    }
}

/// The whole story for programs.
pub(crate) fn lines(played: &Played) -> Vec<Line> {
    let ms = |span| i64::try_from(millis(span)).unwrap_or(i64::MAX);
    let lines = played.model.story().iter().map(|(at, told)| {
        let mut line = Line {
            at_ms: ms(at.since(played.zero)) - ms(played.zero.since(*at)),
            done: None,
            remark: None,
            event: None,
        };
        match told {
            Told::Done(words) => line.done = Some(words.clone()),
            Told::Remark(words) => line.remark = Some(words.clone()),
            Told::Record(record) => line.event = Some(event(record, &played.model)),
        }
        line
    });
    lines.collect()
}

/// What is assumed about processes.
pub(crate) fn assumed(model: &Model) -> String {
    let pace = model.pace();
    format!(
        "assumed: a program is ready {} after its start where it says so or is asked, stops within \
         {}, a oneshot takes {}",
        words::span(pace.start),
        words::span(pace.stop),
        words::span(pace.oneshot)
    )
}

/// How it ends: one clause, and the code supd would exit with if it does.
pub(crate) fn ending(played: &Played) -> (String, Option<u8>) {
    let model = &played.model;
    let root = model.names().name(model.tree().root()).to_owned();
    let at = stamp(model.now(), played.zero);
    match model.halt() {
        Some(Halt::GaveUp { code, culprit, .. }) => {
            let because = culprit.as_ref().map_or_else(String::new, |culprit| {
                let how = words::how(culprit.how, None);
                format!(" because of {}: {how}", visible(&culprit.name))
            });
            let text = format!("{root} gives up{because}; supd exits with {code}");
            (text, Some(*code))
        }
        Some(Halt::AutoShutdown { code, .. }) => (
            format!("{root} has shut down; supd exits with {code}"),
            Some(*code),
        ),
        Some(Halt::Requested) => (
            "everything is stopped; supd exits with 0".to_owned(),
            Some(0),
        ),
        Some(Halt::TimedOut { left, .. }) => {
            (format!("the stop did not end {}", left.join(", ")), None)
        }
        None => match played.ended.1 {
            Ended::Quiet => (format!("{at}: nothing more happens"), None),
            Ended::TimeIsUp | Ended::Halted => (format!("{at}: the time is over"), None),
            Ended::Endless => (format!("{at}: this has no end; it is cut off here"), None),
        },
    }
}

/// Every node as it is at the end, for people.
pub(crate) fn picture(model: &Model) -> Vec<String> {
    let nodes = model.tree().snapshot().nodes;
    let width = |depth: usize, name: &str| 2 * depth + visible(name).chars().count();
    let widest = nodes.iter().map(|n| width(n.depth, n.spec.name())).max();
    let widest = widest.unwrap_or(0);
    let lines = nodes.iter().map(|node| {
        let name = format!("{}{}", "  ".repeat(node.depth), visible(node.spec.name()));
        let mut text = format!("{name:widest$}  {:10}", node.state.as_str());
        if let (Some((_, used)), Node::Supervisor(sup)) = (node.recorded, &node.spec) {
            let window = age::window(sup.period.as_secs_f64());
            text.push_str(&["  ", &used.to_string(), "/"].concat());
            text.push_str(&[&sup.max_restarts.to_string(), " in ", &window].concat());
        }
        if let Node::Service(_) = &node.spec
            && node.restarts > 0
        {
            let restarts = age::count(node.restarts.into(), "restart");
            text.push_str(&["  ", &restarts].concat());
        }
        text.trim_end().to_owned()
    });
    lines.collect()
}

/// The same for programs.
pub(crate) fn ends(model: &Model) -> Vec<NodeEnd> {
    let nodes = model.tree().snapshot().nodes;
    let ends = nodes.into_iter().map(|node| {
        let sup = match &node.spec {
            Node::Supervisor(sup) => Some(sup),
            Node::Service(_) => None,
        };
        let pool = sup.is_some_and(|sup| sup.kind == SupervisorKind::Pool);
        NodeEnd {
            node: node.spec.name().to_string(),
            path: node.path.clone(),
            state: node.state.as_str(),
            restarts: (sup.is_none() && !pool).then_some(node.restarts),
            used: node.recorded.map(|(_, used)| used),
            max: sup.map(|sup| sup.max_restarts),
        }
    });
    ends.collect()
}
