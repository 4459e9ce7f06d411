// SPDX-License-Identifier: MIT OR Apache-2.0
//! The daemon: reads its command line, finds its configuration, runs; errors become exit codes.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use supd::config::Loaded;
use supd::daemon::{self, Asked, Given, Options};
use supd::spec::{Node, Supervisor};

/// Exit code: the command line makes no sense (sysexits(3), `EX_USAGE`).
const USAGE: u8 = 64;

fn main() -> ExitCode {
    start(std::env::args_os().skip(1))
}

/// Does what the command line says; the replay of recorded cases has this program in it.
pub(crate) fn start(words: impl Iterator<Item = OsString>) -> ExitCode {
    match daemon::parse(words) {
        Ok(asked) => obey(asked),
        Err(usage) => {
            complain(&format!("supd: {usage}"));
            USAGE.into()
        }
    }
}

fn obey(asked: Asked) -> ExitCode {
    let code = match asked {
        Asked::Version => tell(&format!("supd {}\n", env!("CARGO_PKG_VERSION"))),
        Asked::Help => tell(daemon::HELP),
        Asked::Step(step) => {
            let (seen, code) = step.perform();
            tell(&seen);
            code
        }
        Asked::Run(given) => options(given).map_or_else(|code| code, daemon::run),
        Asked::Single(single) => daemon::run_single(&single),
        Asked::Check(given) => options(given).map_or_else(|code| code, |o| check(&o)),
        Asked::DryRun(given) => match options(given).and_then(|o| daemon::check(&o)) {
            Ok(loaded) => tell(&plan(&loaded)),
            Err(code) => code,
        },
    };
    code.into()
}

fn options(given: Given) -> Result<Options, u8> {
    let env = |name: &str| std::env::var_os(name);
    let exists = |path: &Path| path.exists();
    match daemon::find_config(given.config.as_deref(), &env, &exists) {
        Ok(config) => Ok(Options {
            config,
            socket: given.socket,
            vars: given.vars,
        }),
        Err(places) => {
            let places: Vec<_> = places.iter().map(|p| p.display().to_string()).collect();
            let places = places.join(", ");
            complain(&format!(
                "supd: there is no configuration; looked at {places}\n\nhint: supd -c FILE"
            ));
            Err(daemon::BAD_CONFIG)
        }
    }
}

/// `supd check`: what is wrong goes to standard error, that nothing is wrong is an answer, too.
fn check(options: &Options) -> u8 {
    match daemon::check(options) {
        Ok(loaded) => tell(&format!(
            "{}: valid, config {}\n",
            options.config.display(),
            loaded.hash()
        )),
        Err(code) => code,
    }
}

/// The tree as it would be started, one node a line.
fn plan(loaded: &Loaded) -> String {
    let mut text = String::new();
    outline(&loaded.tree.root, 0, &mut text);
    text
}

fn outline(supervisor: &Supervisor, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    text.extend([&*indent, &*supervisor.name, "\n"]);
    for child in &supervisor.children {
        match child {
            Node::Supervisor(below) => outline(below, depth + 1, text),
            Node::Service(service) if service.enabled => {
                text.extend([&*indent, "  ", &*service.name, "\n"]);
            }
            Node::Service(service) => {
                text.extend([&*indent, "  ", &*service.name, " (not enabled)\n"]);
            }
        }
    }
}

/// A reader that is gone is no error of ours.
fn tell(text: &str) -> u8 {
    let _gone = std::io::stdout().write_all(text.as_bytes());
    0
}

fn complain(text: &str) {
    let _gone = writeln!(std::io::stderr(), "{text}");
}
