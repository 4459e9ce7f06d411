// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supctl breaker`: how the breakers are, and how somebody forces one.

use super::age;
use super::client::{Client, Doing};
use super::failure::Failure;
use super::screen::Screen;
use crate::wire::visible::visible;
use crate::wire::{BreakerList, BreakerView, ForceRequest, ForceVerb, Route};
use clap::{Args, Subcommand};

/// The command line.
#[derive(Debug, Args)]
pub(crate) struct BreakerArgs {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List all breakers, their states, and whom they hold
    Ls,
    /// Force one open: its services are held when they go down
    Open(ForceArgs),
    /// Force one closed: its services are started whatever it would say
    Close(ForceArgs),
    /// Let it be as it would be by itself
    Auto {
        /// Which one
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[derive(Debug, Args)]
struct ForceArgs {
    /// Which one
    #[arg(value_name = "NAME")]
    name: String,
    /// How long; it always ends
    #[arg(long = "for", value_name = "D", default_value = "30m")]
    span: String,
    /// Why; everybody sees it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// `supctl breaker …`.
pub(crate) fn breaker(
    client: &Client,
    screen: &mut Screen,
    args: &BreakerArgs,
) -> Result<u8, Failure> {
    match &args.what {
        None | Some(What::Ls) => list(client, screen),
        Some(What::Open(force)) => forced(client, screen, (force, ForceVerb::Open)),
        Some(What::Close(force)) => forced(client, screen, (force, ForceVerb::Close)),
        Some(What::Auto { name }) => {
            let doing = format!("let breaker `{name}` be by itself");
            order(client, (name, ForceVerb::Auto), ("{}", &doing))?;
            screen.talk(&format!("{}: by itself", visible(name)))?;
            Ok(super::DONE)
        }
    }
}

fn forced(
    client: &Client,
    screen: &mut Screen,
    (force, verb): (&ForceArgs, ForceVerb),
) -> Result<u8, Failure> {
    let body = ForceRequest {
        span: Some(force.span.clone()),
        reason: force.reason.clone(),
    };
    let body = serde_json::to_string(&body).unwrap_or_default();
    let doing = format!("{} breaker `{}`", verb.as_str(), force.name);
    order(client, (&force.name, verb), (&body, &doing))?;
    let state = match verb {
        ForceVerb::Open => "open",
        ForceVerb::Close | ForceVerb::Auto => "closed",
    };
    let name = visible(&force.name);
    screen.talk(&format!(
        "{name}: forced {state} for {}",
        visible(&force.span)
    ))?;
    Ok(super::DONE)
}

fn order(
    client: &Client,
    (name, verb): (&str, ForceVerb),
    (body, doing): (&str, &str),
) -> Result<(), Failure> {
    client.post(&Route::Force(name.to_owned(), verb), body, Doing(doing))?;
    Ok(())
}

fn list(client: &Client, screen: &mut Screen) -> Result<u8, Failure> {
    let text = client.get(&Route::Breakers, Doing("show the breakers"))?;
    if screen.json {
        screen.line(text.trim_end())?;
        return Ok(super::DONE);
    }
    let all: BreakerList = super::client::read_json(&text)?;
    if all.breakers.is_empty() {
        screen.talk("the configuration has no breakers")?;
    }
    let width = all.breakers.iter().map(|b| b.name.len()).max().unwrap_or(0);
    for one in &all.breakers {
        screen.line(&line(one, width))?;
    }
    Ok(super::DONE)
}

/// `postgres  open 22s, 8s left  0/5  holds api, worker  tcp 127.0.0.1:5432`.
fn line(one: &BreakerView, width: usize) -> String {
    let (name, state) = (visible(&one.name), visible(&one.state));
    let left = one.delay_ms.map(age::short);
    let left = left.map_or_else(String::new, |left| format!(", {left} left"));
    let since = age::short(one.since_ms);
    let mut parts = vec![
        format!("{name:width$}"),
        format!("{state} {since}{left}"),
        format!("{}/{}", one.row, one.failures),
    ];
    if !one.held.is_empty() {
        let held: Vec<String> = one.held.iter().map(|name| visible(name)).collect();
        parts.push(format!("holds {}", held.join(", ")));
    }
    let trial = one.trial.as_deref();
    parts.extend(trial.map(|trial| format!("tries {}", visible(trial))));
    parts.extend(one.probe.as_deref().map(visible));
    let uid = one.by.as_ref().and_then(|by| by.uid);
    parts.extend(uid.map(|uid| format!("by uid {uid}")));
    let reason = one.reason.as_deref();
    parts.extend(reason.map(|reason| format!("\"{}\"", visible(reason))));
    parts.join("  ")
}
