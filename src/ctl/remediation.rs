// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supctl remediation`: what is done about which ends, and a try of it.

use super::age;
use super::client::{Client, Doing, read_json};
use super::failure::Failure;
use super::names::resolve;
use super::screen::{Screen, visible};
use super::story;
use super::{DONE, NO};
use crate::wire::{CommandReply, RemediateRequest, Remediation, Remediations, Route, Verb, kind};
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct RemediationArgs {
    #[command(subcommand)]
    pub(crate) command: Option<RemediationCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RemediationCommand {
    /// Show every entry of the registry and how it went (the default)
    Ls,
    /// Run what a service has for a class, and show what it answers; nothing follows from it
    Test(TryArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TryArgs {
    /// Whose remedy
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The class or trigger it is for
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: String,
    /// Tell hooks to change nothing (`SUPD_DRY_RUN=1`); built-in steps only say what they would do
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `supctl remediation [ls]` and `supctl remediation test`.
pub(crate) fn remediation(
    client: &Client,
    screen: &mut Screen,
    args: &RemediationArgs,
) -> Result<u8, Failure> {
    match args.command.as_ref().unwrap_or(&RemediationCommand::Ls) {
        RemediationCommand::Ls => list(client, screen),
        RemediationCommand::Test(args) => attempt(client, screen, args),
    }
}

fn list(client: &Client, screen: &mut Screen) -> Result<u8, Failure> {
    let doing = Doing("list the remediations");
    let text = client.get(&Route::Remediations, doing)?;
    let all: Remediations = read_json(&text)?;
    if screen.json {
        screen.json_value(&all)?;
        return Ok(DONE);
    }
    if all.remediations.is_empty() {
        screen.line("there is no [remediation], and no service or supervisor has one")?;
        return Ok(DONE);
    }
    let rows: Vec<[String; 4]> = all.remediations.iter().map(row).collect();
    let head = ["NAME", "DOES", "RUNS", "LAST"].map(str::to_owned);
    let width = |at: usize| {
        let cells = rows
            .iter()
            .chain([&head])
            .map(|row| row[at].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths = [width(0), width(1), width(2)];
    for row in std::iter::once(&head).chain(&rows) {
        let [name, does, runs, last] = row;
        let [a, b, c] = widths;
        let line = format!("{name:<a$}  {does:<b$}  {runs:>c$}  {last}");
        screen.line(line.trim_end())?;
    }
    Ok(DONE)
}

fn row(entry: &Remediation) -> [String; 4] {
    let does: Vec<String> = entry.does.iter().map(|step| visible(step)).collect();
    let runs: u64 = entry.verdicts.values().sum();
    [
        visible(&entry.name),
        does.join(", then "),
        runs.to_string(),
        state(entry),
    ]
}

/// `fixed 2m ago, 1/3 used of 3/10m`.
fn state(entry: &Remediation) -> String {
    let mut parts = Vec::new();
    if let Some(last) = &entry.last {
        let ago = entry
            .last_ago_ms
            .map_or_else(String::new, |ms| format!(" {} ago", age::short(ms)));
        parts.push(format!("{}{ago}", visible(last)));
    }
    if !entry.at_work.is_empty() {
        let names: Vec<String> = entry.at_work.iter().map(|name| visible(name)).collect();
        parts.push(format!("at work for {}", names.join(", ")));
    }
    if let Some(ms) = entry.off_ms {
        parts.push(format!("off for {}", age::short(ms)));
    }
    if let (Some(limit), Some(used)) = (&entry.limit, entry.used) {
        parts.push(format!("used {used} of {}", visible(limit)));
    }
    if entry.skipped > 0 {
        parts.push(format!("skipped {}", age::count(entry.skipped, "time")));
    }
    if entry.mode == "observe" {
        parts.push("only observes".to_owned());
    }
    parts.join(", ")
}

fn attempt(client: &Client, screen: &mut Screen, args: &TryArgs) -> Result<u8, Failure> {
    let what = "try a remediation of".to_owned();
    let whose = format!("{what} {}", args.name);
    let doing = Doing(&whose);
    let status = client.status(doing)?;
    let found = resolve(&status.root, std::slice::from_ref(&args.name), &what)?;
    let [node] = found.as_slice() else {
        return Err(Failure::Usage {
            doing: what,
            reason: "that means several nodes".to_owned(),
            instead: "supctl status".to_owned(),
        });
    };
    let body = RemediateRequest {
        class: args.class.clone(),
        dry_run: args.dry_run,
    };
    let body = serde_json::to_string(&body).expect("invariant: a request is plain data");
    let route = Route::Act(node.path.clone(), Verb::Remediate);
    let reply: CommandReply = client.order(&route, &body, doing)?;
    if screen.json {
        screen.json_value(&reply)?;
        return Ok(if reply.ok { DONE } else { NO });
    }
    for event in &reply.events {
        for line in &event.output {
            screen.line(&format!("  {}", visible(line)))?;
        }
        if event.kind == kind::REMEDIATION_FINISHED {
            screen.line(&story::what(event))?;
        }
    }
    let name = visible(&args.name);
    match &*reply.outcome {
        "no_remedy" => {
            let text = format!("{name} has no remediation for `{}`", visible(&args.class));
            screen.complain_lines(&[text], "supctl remediation ls");
            Ok(NO)
        }
        verdict => {
            let more = reply
                .message
                .as_deref()
                .map(|words| format!(": {}", visible(words)));
            let verdict = visible(verdict);
            screen.line(&format!("{name}: {verdict}{}", more.unwrap_or_default()))?;
            Ok(if reply.ok { DONE } else { NO })
        }
    }
}
