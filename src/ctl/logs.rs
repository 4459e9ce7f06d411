// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supctl logs`: what services wrote, from the daemon's memory and, where that does not reach
//! back far enough, from the log file of the one service that is asked for.
//!
//! Lines of several services come in the order in which the daemon read them, each with whose it
//! is; where another run of a service begins, a remark stands between. What a terminal would obey
//! never reaches it.

use super::DONE;
use super::args::LogsArgs;
use super::client::{Client, Doing, Lines, read_json};
use super::failure::Failure;
use super::logfile::{self, Older};
use super::look::damaged;
use super::names::{each, resolve};
use super::screen::{Screen, visible};
use crate::wire::visible::in_log;
use crate::wire::{Gap, LogItem, LogLine, NodeKind, NodeView, Query, Route, query, span};
use regex_lite::Regex;
use std::collections::BTreeMap;

const DOING: Doing<'_> = Doing("show the logs");
/// Lines that are looked through for `--grep`.
const LOOKED_THROUGH: u32 = 10_000;
/// Colours of names (ECMA-48, SGR): none of those that mean good or bad.
const COLOURS: [u8; 6] = [36, 33, 35, 34, 96, 95];

/// How lines are shown, and what was shown last.
struct View<'a> {
    screen: &'a mut Screen,
    /// Whether a line says whose it is, and in how much room.
    prefix: Option<usize>,
    grep: Option<&'a Regex>,
    /// The run whose line was the last one of a service.
    runs: BTreeMap<String, u64>,
}

/// `supctl logs`.
pub(crate) fn logs(client: &Client, screen: &mut Screen, args: &LogsArgs) -> Result<u8, Failure> {
    let status = client.status(DOING)?;
    let nodes = if args.names.is_empty() {
        vec![&status.root]
    } else {
        resolve(&status.root, &args.names, "show the logs of")?
    };
    let mut view = View {
        prefix: prefix(&nodes),
        screen,
        grep: args.grep.as_ref(),
        runs: BTreeMap::new(),
    };
    if let Some(run) = args.crash {
        for service in services(&nodes) {
            last_words(client, &mut view, (service, run, args))?;
        }
        return Ok(DONE);
    }
    let (route, whose) = match nodes.as_slice() {
        [one] => (Route::Logs(one.path.clone()), Query::default()),
        many => {
            // One stream of what is above them all, in the order it was read.
            let names = many.iter().map(|node| &node.name);
            let only = |query: Query, name| query.with(query::ONLY, name);
            let query = names.fold(Query::default(), only);
            (Route::Logs(status.root.path.clone()), query)
        }
    };
    let older = older(client, (&nodes, &route), args)?;
    for text in older.lines {
        let line = LogLine {
            node: nodes[0].name.clone(),
            stream: "file".into(),
            text,
            ..LogLine::default()
        };
        view.line(&line, None)?;
    }
    let mut asked = parameters(args, whose);
    if let Some(kept) = older.kept {
        asked = asked.instead(query::LINES, kept);
    }
    if args.follow {
        let mut lines = client.lines(&route, &asked.with(query::FOLLOW, 1), DOING)?;
        return view.stream(&mut lines, client);
    }
    let found = read(client, &route, &asked)?;
    view.newest(found, args.lines)?;
    Ok(DONE)
}

/// Room for whose a line is, when there can be several.
fn prefix(nodes: &[&NodeView]) -> Option<usize> {
    let several = !matches!(nodes, [one] if one.kind == NodeKind::Service);
    several.then(|| room(nodes))
}

fn parameters(args: &LogsArgs, mut asked: Query) -> Query {
    let lines = match args.grep {
        Some(_) => LOOKED_THROUGH.max(args.lines),
        None => args.lines,
    };
    asked = asked.with(query::LINES, lines);
    if let Some(since) = args.since {
        asked = asked.with(query::SINCE, span::format(since));
    }
    if let Some(run) = args.run {
        asked = asked.with(query::RUN, run);
    }
    asked
}

/// One item of an answer with its text as it came.
type Item = (LogItem, String);

fn read(client: &Client, route: &Route, asked: &Query) -> Result<Vec<Item>, Failure> {
    let mut lines = client.lines(route, asked, DOING)?;
    let mut found = Vec::new();
    while let Some(line) = lines.next(client.deadline())? {
        found.push((LogItem::parse(line).map_err(damaged)?, line.to_owned()));
    }
    Ok(found)
}

/// What the file of a service has before the lines in memory. Only of one service, without a
/// limit of time or run: a file knows neither.
fn older(
    client: &Client,
    (nodes, route): (&[&NodeView], &Route),
    args: &LogsArgs,
) -> Result<Older, Failure> {
    let limited = args.since.is_some() || args.run.is_some() || args.lines == 0;
    let [node] = nodes else {
        return Ok(Older::default());
    };
    if node.kind != NodeKind::Service || limited {
        return Ok(Older::default());
    }
    let path = node.path.clone();
    let view: NodeView = read_json(&client.get(&Route::Node(path), DOING)?)?;
    let Some((log, file)) = view
        .log
        .and_then(|mut log| log.files.pop().map(|file| (log, file)))
    else {
        return Ok(Older::default());
    };
    let asked = parameters(args, Query::default());
    let mut kept: Vec<LogLine> = read(client, route, &asked)?
        .into_iter()
        .filter_map(|(item, _)| match item {
            LogItem::Line(line) => Some(line),
            LogItem::Gap(_) | LogItem::Heartbeat(_) => None,
        })
        .collect();
    // What is not finished yet stands in no file.
    let all = kept.len();
    kept.retain(|line| !line.open);
    let open = all - kept.len();
    let is_wanted = |text: &str| args.grep.as_ref().is_none_or(|re| re.is_match(text));
    let here = open + kept.iter().filter(|line| is_wanted(&line.text)).count();
    let most = args.lines as usize;
    // Nothing is forgotten and there is enough: nobody has to look at a file.
    if here >= most && log.kept == log.read + log.ended {
        return Ok(Older::default());
    }
    let older = logfile::before(&file.path, &kept, (most.saturating_sub(open), &is_wanted))?;
    Ok(Older {
        kept: older.kept.map(|kept| kept + open),
        ..older
    })
}

/// The last lines of a run that is over; 0 is the last one.
fn last_words(
    client: &Client,
    view: &mut View<'_>,
    (node, run, args): (&NodeView, u64, &LogsArgs),
) -> Result<(), Failure> {
    let name = &node.name;
    // The run that is running is not over.
    let last = node.run.unwrap_or(0) - u64::from(node.pid.is_some() && node.run.is_some());
    let run = if run == 0 { last } else { run };
    if run == 0 {
        return view.remark(&format!("{name} has not ended yet"));
    }
    let asked = parameters(args, Query::default()).with(query::RUN, run);
    let found = read(client, &Route::Logs(node.path.clone()), &asked)?;
    if found.is_empty() {
        let text = format!("nothing is kept of run {run} of {name}; see: supctl why {name}");
        return view.remark(&text);
    }
    view.runs.insert(name.clone(), 0);
    view.newest(found, args.lines)
}

/// Every service at or below these nodes.
fn services<'a>(nodes: &[&'a NodeView]) -> Vec<&'a NodeView> {
    let mut found: Vec<&NodeView> = Vec::new();
    for node in nodes {
        each(node, &mut |below| {
            let known = found.iter().any(|other| other.path == below.path);
            if below.kind == NodeKind::Service && !known {
                found.push(below);
            }
        });
    }
    found
}

impl View<'_> {
    /// The last `most` lines that are wanted.
    fn newest(&mut self, mut items: Vec<Item>, most: u32) -> Result<(), Failure> {
        items.retain(|(item, _)| match item {
            LogItem::Line(line) => self.wants(line),
            LogItem::Gap(_) => true,
            LogItem::Heartbeat(_) => false,
        });
        let first = items.len().saturating_sub(most as usize);
        for (item, text) in &items[first..] {
            self.item(item, text)?;
        }
        self.screen.flush()
    }

    fn stream(&mut self, lines: &mut Lines, client: &Client) -> Result<u8, Failure> {
        let deadline = client.deadline();
        while let Some(line) = lines.next(deadline)? {
            let item = LogItem::parse(line).map_err(damaged)?;
            let text = line.to_owned();
            self.item(&item, &text)?;
            // Shows what there is before waiting for more; a burst is written at once.
            if !lines.has_next() {
                self.screen.flush()?;
            }
        }
        Ok(DONE)
    }

    fn item(&mut self, item: &LogItem, text: &str) -> Result<(), Failure> {
        match item {
            LogItem::Gap(gap) => self.gap(text, gap),
            LogItem::Line(line) if self.wants(line) => self.line(line, Some(text)),
            LogItem::Line(_) | LogItem::Heartbeat(_) => Ok(()),
        }
    }

    fn wants(&self, line: &LogLine) -> bool {
        self.grep.is_none_or(|re| re.is_match(&line.text))
    }

    fn gap(&mut self, text: &str, gap: &Gap) -> Result<(), Failure> {
        if self.screen.json {
            return self.screen.json_line(text);
        }
        self.screen
            .talk(&format!("({} lines are missing here)", gap.to))
    }

    fn line(&mut self, line: &LogLine, json: Option<&str>) -> Result<(), Failure> {
        if self.screen.json {
            return match json {
                Some(json) => self.screen.json_line(json),
                None => self.screen.json_value(line),
            };
        }
        let before = self.runs.insert(line.node.clone(), line.run);
        if before.is_some_and(|run| run != line.run) {
            self.remark(&format!("{} begins run {}", line.node, line.run))?;
        }
        let text = self.shown(line);
        self.screen.line(&text)
    }

    /// The line, with whose it is before it. A pipe gets the text as the service wrote it.
    fn shown(&self, line: &LogLine) -> String {
        let mut text = if self.screen.terminal {
            in_log(&line.text)
        } else {
            line.text.clone()
        };
        if line.torn {
            text.insert(0, '\u{2026}');
        }
        if line.cut {
            text.push('\u{2026}');
        }
        let Some(room) = self.prefix else {
            return text;
        };
        let who = format!("{}#{}", visible(&line.node), line.run);
        if !self.screen.style.colour {
            return format!("{who:room$} | {text}");
        }
        let sum: usize = line.node.bytes().map(usize::from).sum();
        let colour = COLOURS[sum % COLOURS.len()];
        format!("\u{1b}[{colour}m{who:room$}\u{1b}[0m | {text}")
    }

    /// Something about the lines: between them for who looks at a terminal, else beside them.
    fn remark(&mut self, text: &str) -> Result<(), Failure> {
        if !self.screen.terminal || self.screen.json {
            return self.screen.talk(&format!("({text})"));
        }
        let text = visible(text);
        let rule = if self.screen.style.unicode {
            "\u{2500}\u{2500}"
        } else {
            "--"
        };
        self.screen.line(&format!("{rule} {text} {rule}"))
    }
}

/// Room for the longest `name#run`.
fn room(nodes: &[&NodeView]) -> usize {
    let mut room = 0;
    for service in services(nodes) {
        let run = service.run.unwrap_or(1).to_string();
        room = room.max(visible(&service.name).chars().count() + 1 + run.len());
    }
    room
}
