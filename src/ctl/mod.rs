// SPDX-License-Identifier: MIT OR Apache-2.0
//! supctl: asks the daemon, and shows what it answers.
//!
//! It decides how things look and which exit code they have (INTERFACES.md, "supctl"), never what
//! happens to a service: that is the daemon's. Data goes to stdout, talk and errors to stderr.
//! Every error ends in one command to try. What a child wrote never reaches a terminal as it is.
//! One blocking connection at a time, no runtime and no pager: a status is over in a millisecond.
//!
//! ```text
//! args (clap) -> look | act | follow -> client -> http over the socket -> wire's types
//!                   -> picture | story -> screen
//! ```

mod act;
mod age;
mod api;
mod args;
mod blame;
mod breaker;
mod check;
mod client;
mod clock;
mod doctor;
mod drill;
mod edit;
mod explain;
mod failure;
mod follow;
mod graph;
mod http;
mod import;
mod init;
mod keys;
mod logfile;
mod logs;
mod look;
mod mark;
mod names;
pub mod picture;
mod plan;
pub mod prove;
mod reference;
mod remediation;
mod schema;
mod screen;
pub mod story;
mod story_remedy;
mod wait;
mod why;

use args::{Cli, Command};
use clap::Parser;
use client::Client;
use failure::Failure;
use screen::Screen;
pub use screen::{Style, visible};
use std::ffi::OsString;

/// Done, or yes.
pub const DONE: u8 = 0;
/// No, or failed.
pub const NO: u8 = 1;
/// Changes are pending (`plan --exit-code`).
pub const PENDING: u8 = 2;
/// Not running or not ready.
pub const NOT_READY: u8 = 3;
/// No such name.
pub const NO_SUCH_NAME: u8 = 4;
/// Waited in vain.
pub const IN_VAIN: u8 = 5;
/// The command line makes no sense.
pub const USAGE: u8 = 64;
/// Invalid configuration.
pub const INVALID_CONFIG: u8 = 65;
/// No daemon.
pub const NO_DAEMON: u8 = 69;
/// Busy; try again.
pub const BUSY: u8 = 75;
/// Not permitted.
pub const NOT_PERMITTED: u8 = 77;

/// Runs supctl with these arguments, the program's name first, and returns its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let asked_for = !error.use_stderr();
            // Nobody is left to tell when even this cannot be written.
            let _ = error.print();
            return if asked_for { DONE } else { USAGE };
        }
    };
    let mut screen = Screen::new(&cli.global);
    let result = dispatch(&cli, &mut screen).and_then(|code| {
        screen.flush()?;
        Ok(code)
    });
    match result {
        Ok(code) => code,
        Err(failure) => screen.fail(&failure),
    }
}

fn dispatch(cli: &Cli, screen: &mut Screen) -> Result<u8, Failure> {
    let client = Client::new(&cli.global);
    let none = Command::Status(args::StatusArgs::default());
    match cli.command.as_ref().unwrap_or(&none) {
        Command::Status(a) => look::status(&client, screen, a),
        Command::Tree(a) => look::tree(&client, screen, a),
        Command::Health(a) => look::health(&client, screen, a),
        Command::IsUp(a) => look::is(&client, screen, (&a.name, look::Question::Up)),
        Command::IsReady(a) => look::is(&client, screen, (&a.name, look::Question::Ready)),
        Command::Why(a) => why::why(&client, screen, &a.name),
        Command::Logs(a) => logs::logs(&client, screen, a),
        Command::Events(a) => follow::events(&client, screen, a),
        Command::History(a) => follow::history(&client, screen, &a.name),
        Command::Start(a) => act::on_all(&client, screen, &act::Order::start(&a.names)),
        Command::Stop(a) => act::on_all(&client, screen, &act::Order::stop(&a.names)),
        Command::Restart(a) => act::on_all(&client, screen, &act::Order::restart(a)),
        Command::Reload(a) if a.names.is_empty() => act::reload(&client, screen),
        Command::Reload(a) => act::on_all(&client, screen, &act::Order::reload(&a.names)),
        Command::Signal(a) => act::on_all(&client, screen, &act::Order::signal(a)?),
        Command::Scale(a) => act::on_all(&client, screen, &act::Order::scale(a)),
        Command::Reset(a) => act::on_all(&client, screen, &act::Order::reset(&a.names)),
        Command::Pin(a) => act::on_all(&client, screen, &act::Order::pin(&a.names)),
        Command::Unpin(a) => act::on_all(&client, screen, &act::Order::unpin(&a.names)),
        Command::Run(a) => act::on_all(&client, screen, &act::Order::run(&a.names)),
        Command::Remediation(a) => remediation::remediation(&client, screen, a),
        Command::Wait(a) => wait::wait(&client, screen, a),
        Command::Shutdown(a) => act::shutdown(&client, screen, a),
        Command::Check(a) => check::check(screen, a),
        Command::Simulate(a) => prove::simulate(screen, a),
        Command::Test(a) => prove::test(screen, a),
        Command::Drill(a) => drill::drill(&client, screen, a),
        Command::Metrics => api::metrics(&client, screen),
        Command::Schema => schema::schema(screen),
        Command::Breaker(a) => breaker::breaker(&client, screen, a),
        Command::Doctor => doctor::doctor(&client, screen),
        Command::Edit(a) => edit::edit(&client, screen, a),
        Command::Plan(a) => plan::plan(&client, screen, a),
        Command::Apply(a) => plan::apply(&client, screen, a),
        Command::Cat(a) => keys::keys(&client, screen, (a, keys::Side::Written)),
        Command::Show(a) => keys::keys(&client, screen, (a, keys::Side::InForce)),
        Command::Graph(a) => graph::graph(&client, screen, a),
        Command::Blame => blame::blame(&client, screen),
        Command::Init(a) => init::init(screen, a),
        Command::Import(a) => import::import(screen, a),
        Command::Api(a) => api::api(&client, screen, a),
        Command::Explain(a) => explain::explain(screen, &a.word),
        Command::Completions(a) => reference::completions(screen, a.shell),
        Command::Man(a) => reference::man(screen, a.format),
    }
}

/// The reference of the command line, `docs/reference/supctl.md`.
pub fn reference_markdown() -> String {
    reference::markdown()
}
