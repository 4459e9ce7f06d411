// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a configuration would do, told and tested before it has to: `supctl simulate` and
//! `supctl test`.
//!
//! ```text
//! text -> words -> parse -> script -> play (statements into time) -> model (engine + paper world)
//!                                       -> judge (expectations)  -> told, report
//! ```
//! There is no second policy: the engine is the daemon's, the words are the daemon's. What is not
//! the engine's is said to be assumed. No socket, no process, no clock.

mod act;
pub(super) mod args;
mod claims;
mod fault;
mod judge;
mod junit;
mod mistake;
mod model;
mod paper;
mod parse;
mod play;
mod report;
mod script;
mod source;
mod told;
mod words;
mod world;

pub(super) use junit::of as junit_of;

pub use act::{Act, Fault};
pub use model::{Ended, Model, Told};
pub use paper::Pace;

use super::failure::Failure;
use super::screen::Screen;
use super::{DONE, INVALID_CONFIG, NO, USAGE};
use crate::tell::words::span;
use args::{SimulateArgs, TestArgs};
use play::{Played, Stage};
use report::{Report, Tested};
use script::Script;
use serde::Serialize;
use source::Configs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use told::{Boot, Line, NodeEnd};

/// A step of a test takes at most this long; it bounds what never comes to rest.
const STEP_MAX: Duration = Duration::from_secs(3600);

/// What `simulate --json` prints.
#[derive(Debug, Serialize)]
struct Simulation<'a> {
    seed: u64,
    assumed: String,
    story: Vec<Line>,
    states: Vec<NodeEnd>,
    ending: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u8>,
    expectations: Vec<report::Expectation<'a>>,
}

/// `supctl simulate SCRIPT`.
pub(crate) fn simulate(screen: &mut Screen, args: &SimulateArgs) -> Result<u8, Failure> {
    let text = args.script.join("\n");
    let script = match parse::parse(&text) {
        Ok(script) => script,
        Err(mistakes) => return Ok(refuse(screen, ("script", &text), (&mistakes, USAGE))),
    };
    let file = match (&args.config, &script.config) {
        (Some(file), _) => file.clone(),
        (None, Some((file, _))) => PathBuf::from(file),
        (None, None) => super::check::usual_place()?,
    };
    let Some(configs) = Configs::read(screen, (&file, &script), (Path::new(""), &args.vars)) else {
        return Ok(INVALID_CONFIG);
    };
    let stage = Stage {
        loaded: &configs.main,
        others: &configs.others,
        seed: script.seed.unwrap_or(args.seed),
        until: args.until,
    };
    let mut exit = DONE;
    let none = script::Test::default();
    let tests = if script.tests.is_empty() {
        std::slice::from_ref(&none)
    } else {
        &script.tests
    };
    for test in tests {
        let played = match play::play(&stage, test) {
            Ok(played) => played,
            Err(mistakes) => return Ok(refuse(screen, ("script", &text), (&mistakes, USAGE))),
        };
        let boot = if args.boot { Boot::Told } else { Boot::Summed };
        show(screen, &played, (boot, stage.seed))?;
        if played.checks.iter().any(|check| !check.held) {
            exit = NO;
        }
    }
    Ok(exit)
}

fn show(screen: &mut Screen, played: &Played, (boot, seed): (Boot, u64)) -> Result<(), Failure> {
    let (ending, exit_code) = told::ending(played);
    if screen.json {
        return screen.json_value(&Simulation {
            seed,
            assumed: told::assumed(&played.model),
            story: told::lines(played),
            states: told::ends(&played.model),
            ending,
            exit_code,
            expectations: report::expectations(&played.checks),
        });
    }
    screen.talk(&format!("{}; seed {seed}", told::assumed(&played.model)))?;
    if played.ended.0 == Ended::Quiet {
        let up = span(played.zero.since(crate::tree::Time::default()));
        screen.line(&format!("the tree is up {up} after its start"))?;
    }
    for line in told::story(played, boot, screen.style) {
        screen.line(&line)?;
    }
    for (name, count) in played.model.waiting() {
        let times = super::age::count(count as u64, "end");
        screen.line(&format!(
            "({times} of {name} did not happen: it was not ready any more)"
        ))?;
    }
    screen.line(&ending)?;
    if exit_code.is_none() {
        for line in told::picture(&played.model) {
            screen.line(&line)?;
        }
    }
    for check in &played.checks {
        screen.line(&report::line(check, screen.style))?;
    }
    Ok(())
}

/// Shows what is wrong with a script.
fn refuse(
    screen: &mut Screen,
    (name, text): (&str, &str),
    (mistakes, code): (&[mistake::Mistake], u8),
) -> u8 {
    let pictures = mistakes
        .iter()
        .map(|m| m.picture((name, text), screen.style));
    let mut lines: Vec<String> = Vec::new();
    for picture in pictures {
        lines.extend(picture.lines().map(str::to_owned));
    }
    screen.complain_lines(&lines, "supctl help simulate");
    code
}

/// `supctl test FILE…`.
pub(crate) fn test(screen: &mut Screen, args: &TestArgs) -> Result<u8, Failure> {
    let mut reports = Vec::new();
    let mut exit = DONE;
    for file in &args.files {
        let name = file.display().to_string();
        let text = source::read(file)?;
        let script = match parse::parse(&text) {
            Ok(script) => script,
            Err(mistakes) => {
                exit = refuse(screen, (&name, &text), (&mistakes, INVALID_CONFIG));
                continue;
            }
        };
        match one_file(screen, (file, &text), (&script, args)) {
            Ok(report) => reports.push(report),
            Err(code) => exit = code,
        }
    }
    if let Some(path) = &args.junit {
        std::fs::write(path, junit::xml(&reports))?;
    }
    report::show(screen, &reports, wanted(args))?;
    if exit == DONE && reports.iter().any(|report| !report.held()) {
        exit = NO;
    }
    Ok(exit)
}

fn wanted(args: &TestArgs) -> report::Told {
    if args.story {
        report::Told::All
    } else {
        report::Told::OfFailed
    }
}

/// Plays the tests of one file; an exit code when it cannot be played.
fn one_file(
    screen: &mut Screen,
    (file, text): (&Path, &str),
    (script, args): (&Script, &TestArgs),
) -> Result<Report, u8> {
    let name = file.display().to_string();
    let beside = file.parent().unwrap_or(Path::new(""));
    let config = match (&args.config, &script.config) {
        (Some(config), _) => config.clone(),
        (None, Some((config, _))) => beside.join(config),
        (None, None) => {
            let help = "put `config supd.toml` on top, or use --config";
            let mistake = words::wrong(0..0, "it does not say which configuration it is for", help);
            return Err(refuse(screen, (&name, text), (&[mistake], INVALID_CONFIG)));
        }
    };
    let Some(configs) = Configs::read(screen, (&config, script), (beside, &args.vars)) else {
        return Err(INVALID_CONFIG);
    };
    let stage = Stage {
        loaded: &configs.main,
        others: &configs.others,
        seed: script.seed.unwrap_or(1),
        until: STEP_MAX,
    };
    let mut results = Vec::new();
    for test in &script.tests {
        let played = match play::play(&stage, test) {
            Ok(played) => played,
            Err(mistakes) => {
                return Err(refuse(screen, (&name, text), (&mistakes, INVALID_CONFIG)));
            }
        };
        results.push(Tested::of(
            test,
            &played,
            (text, wanted(args)),
            screen.style,
        ));
    }
    Ok(Report {
        file: name,
        results,
    })
}
