// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supctl edit NAME`: opens the file that names a node, at its line, in the editor of whoever
//! asks, and then goes on as `supctl apply` does: shows what would change, asks, applies.
//!
//! The file is the daemon's own; an editor that is left without a change changes nothing.

use super::args::{ApplyArgs, OneName};
use super::client::{Client, Doing, read_json};
use super::failure::Failure;
use super::screen::Screen;
use super::{DONE, plan};
use crate::wire::{ConfigText, Query, Route, query};
use std::process::Command;
use std::{env, fs};

/// `supctl edit`.
pub(crate) fn edit(client: &Client, screen: &mut Screen, args: &OneName) -> Result<u8, Failure> {
    let doing = format!("edit `{}`", args.name);
    let asked = Query::default().with(query::NODE, &args.name);
    let text = client.get_with(&Route::Config, &asked, Doing(&doing))?;
    let config: ConfigText = read_json(&text)?;
    let written = config.nodes.iter().flat_map(|node| &node.written);
    // Its own table before what it has from a template or from defaults.
    let own = |from: &str| from.rsplit('.').next() == Some(args.name.as_str());
    let place = written
        .min_by_key(|key| (!own(&key.from), key.line))
        .map(|key| (key.file.clone(), key.line));
    let place = place.or_else(|| config.files.first().map(|file| (file.clone(), 1)));
    let Some((file, line)) = place else {
        return Err(refused(doing, "no file says anything about it"));
    };
    let before = fs::read(&file).map_err(|error| refused(doing.clone(), &error.to_string()))?;
    open(&file, line).map_err(|why| refused(doing, &why))?;
    if fs::read(&file).is_ok_and(|after| after == before) {
        screen.talk("nothing was changed")?;
        return Ok(DONE);
    }
    let args = ApplyArgs {
        file: None,
        yes: false,
    };
    plan::apply(client, screen, &args)
}

/// Runs the editor until it is left. Its words may have arguments: `code --wait`.
#[expect(
    clippy::disallowed_methods,
    reason = "the client supervises nobody: this is the user's own program, waited for here"
)]
fn open(file: &str, line: u64) -> Result<(), String> {
    let chosen = ["VISUAL", "EDITOR"].iter().find_map(|name| {
        let value = env::var(name).ok()?;
        (!value.trim().is_empty()).then_some(value)
    });
    let editor = chosen.unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let mut command = Command::new(program);
    command.args(words);
    // The line is an option that all of these know, and that others might take for a file.
    let name = program.rsplit('/').next().unwrap_or(program);
    if ["vi", "vim", "nvim", "nano", "emacs", "micro", "kak"].contains(&name) {
        command.arg(format!("+{line}"));
    }
    match command.arg(file).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{editor}` ended with {status}")),
        Err(error) => Err(format!("cannot run `{editor}`: {error}")),
    }
}

fn refused(doing: String, reason: &str) -> Failure {
    Failure::Usage {
        doing,
        reason: reason.to_owned(),
        instead: "EDITOR=vi supctl edit NAME, as a user who may write the file".to_owned(),
    }
}
