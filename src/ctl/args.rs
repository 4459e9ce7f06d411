// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line: words, flags and their help, nothing else. What stands here is also the man
//! page and `docs/reference/supctl.md`.

use super::drill::args::DrillArgs;
use super::prove::args::{SimulateArgs, TestArgs};
use super::remediation::RemediationArgs;
use crate::wire::span;
use clap::{Args, Parser, Subcommand, ValueEnum};
use regex_lite::Regex;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

const EXIT_CODES: &str = "\
Exit codes, below 64 about the tree, from 64 about the tool:
  0 done, yes   1 no, failed   2 changes are pending (plan --exit-code)
  3 not running or not ready   4 no such name   5 waited in vain
  64 usage   65 invalid configuration   69 no daemon
  75 busy   77 not permitted";

/// Show and drive a tree of services that supd supervises
///
/// NAME is a name (web), a path or its end (root/api/web, api/web), or a glob (w*, api/*).
/// Without a command: status.
#[derive(Debug, Parser)]
#[command(name = "supctl", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What every command knows.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The daemon's socket: a path, or @name for an abstract one (`SUPD_SOCKET`)
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<OsString>,
    /// Print JSON, as the daemon sends it
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// ASCII only, and no colour
    #[arg(long, global = true)]
    pub(crate) plain: bool,
    /// No colour, even on a terminal (`NO_COLOR`)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Say nothing but data and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Give up after this long: 500ms, 30s, 1m30s
    #[arg(long, global = true, value_name = "D", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Return when it has really happened (the default)
    #[arg(long = "wait", global = true, overrides_with = "no_wait")]
    pub(crate) _wait: bool,
    /// Return when the daemon has taken the order
    #[arg(long, global = true, overrides_with = "_wait")]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the tree, or these nodes, and how they are
    Status(StatusArgs),
    /// Show the shape of the tree, every instance of every pool
    Tree(NameList),
    /// Show how a node is, how it got there, and what to try
    Why(OneName),
    /// Show what services wrote
    Logs(LogsArgs),
    /// Show what happened
    Events(EventsArgs),
    /// Show what happened to a node and to those below it
    History(OneName),
    /// Show what the boot waited for, and how long each of it took
    Blame,
    /// Print the tree as a picture, drawn or for other programs
    Graph(GraphArgs),
    /// Ask whether the tree is ok, degraded or failed; exit 3 when it is not what was asked for
    Health(HealthArgs),
    /// Look for what stands in the way: surroundings, health, configuration; exit 1 for trouble
    Doctor,
    /// Print the metrics page, as a monitor scrapes it (OpenMetrics)
    Metrics,
    /// Start nodes; clears their back-off and a stop by hand
    Start(Names),
    /// Stop nodes and what is below them; they stay down until they are started
    Stop(Names),
    /// Restart nodes, and with them whom the strategy names
    Restart(RestartArgs),
    /// Let services read their own configuration again; without NAME: let supd read its files
    Reload(NameList),
    /// Send a signal to a service's process
    Signal(SignalArgs),
    /// Change the number of a pool's instances
    Scale(ScaleArgs),
    /// Forget the back-off, holds and the used-up budget of nodes
    Reset(Names),
    /// Leave nodes as they are: no restart, no strategy, until they are unpinned
    Pin(Names),
    /// Supervise nodes again
    Unpin(Names),
    /// Show the breakers, or force one: ls, open, close, auto
    Breaker(super::breaker::BreakerArgs),
    /// Run oneshots
    Run(Names),
    /// Show what is done about which ends, or try it
    Remediation(RemediationArgs),
    /// Wait until nodes are ready, stopped, or have exited; exit 5 when --timeout comes first
    ///
    /// With --timeout it waits for the daemon, too, when there is none yet.
    Wait(WaitArgs),
    /// Stop the whole tree, and supd
    Shutdown(ShutdownArgs),
    /// Exit 0 when a node runs, 3 when it does not
    IsUp(OneName),
    /// Exit 0 when a node is ready, 3 when it is not
    IsReady(OneName),
    /// Check a configuration, without a daemon; exit 65 when it is invalid
    Check(CheckArgs),
    /// Tell what would happen: a script played on a configuration in virtual time
    ///
    /// No daemon, no processes: the engine of the daemon decides, and every decision is shown. A
    /// script is statements, separated by semicolons or lines: web exits 1 x6 in 30s; wait 10s;
    /// start web. With `expect` in it, exit 1 when that does not hold.
    Simulate(SimulateArgs),
    /// Play scripts with expectations on a configuration; exit 1 when one does not hold
    Test(TestArgs),
    /// Break the tree that runs on purpose, and compare what follows with what is declared
    ///
    /// It asks first, and refuses a tree that is not well. Exit 0 when it went as declared and as
    /// the engine predicted, 1 when it deviated, 2 when it was aborted because somebody moved who
    /// had no part in it.
    Drill(DrillArgs),
    /// Show what a new configuration would change, and which restarts follow from it
    Plan(PlanArgs),
    /// Show what a new configuration would change, ask, and put it in force
    ///
    /// All of it or nothing. On a terminal it asks first; elsewhere it does not.
    Apply(ApplyArgs),
    /// Show what is written for nodes, and where
    Cat(NameList),
    /// Show what is in force for nodes, defaults included, and where it comes from
    Show(NameList),
    /// Open the file that names a node in $EDITOR, then plan and apply what was changed
    Edit(OneName),
    /// Write a configuration to begin with
    Init(InitArgs),
    /// Print a configuration made from that of another supervisor, and account for every entry
    Import(ImportArgs),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Send one request to the daemon and print the answer
    Api(ApiArgs),
    /// Explain a diagnostic, a class, a state, an exit code, an error code or a key
    Explain(ExplainArgs),
    /// Print a shell's completion script
    Completions(CompletionsArgs),
    /// Print the manual page
    Man(ManArgs),
}

#[derive(Debug, Default, Args)]
pub(crate) struct StatusArgs {
    /// Which nodes; all of them when there is none
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Show it again whenever something changes
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Exit 3 when one of them is not ready
    #[arg(long, conflicts_with = "watch")]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Names {
    /// Which nodes
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct NameList {
    /// Which nodes
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct OneName {
    /// Which node
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct RestartArgs {
    /// Which nodes
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
    /// These alone, whatever the strategy says
    #[arg(long)]
    pub(crate) only: bool,
    /// One service after another, the next when the one before is ready; the first that is not
    /// ends it
    #[arg(long)]
    pub(crate) rolling: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SignalArgs {
    /// HUP, SIGUSR1, RTMIN+3
    #[arg(value_name = "SIG")]
    pub(crate) signal: String,
    /// Which services
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ScaleArgs {
    /// Which pool
    pub(crate) name: String,
    /// How many instances
    #[arg(value_name = "N")]
    pub(crate) instances: u32,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Which services; all of them when there is none
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Go on with what is written from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Begin with at most this many lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub(crate) lines: u32,
    /// Only lines of this span of time: 10m
    #[arg(long, value_name = "D", value_parser = duration)]
    pub(crate) since: Option<Duration>,
    /// Only lines of this run
    #[arg(long, value_name = "R")]
    pub(crate) run: Option<u64>,
    /// The last words of the run that ended last, or of this one
    #[arg(
        long, value_name = "RUN", num_args = 0..=1, require_equals = true,
        default_missing_value = "0", conflicts_with_all = ["run", "follow", "since"]
    )]
    pub(crate) crash: Option<u64>,
    /// Only lines in which this regular expression is found
    #[arg(long, value_name = "RE", value_parser = pattern)]
    pub(crate) grep: Option<Regex>,
}

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Go on with what happens from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only events after this number, or of this span of time: 801, 10m
    #[arg(long, value_name = "SEQ|D", value_parser = since)]
    pub(crate) since: Option<String>,
    /// Only events of this kind: service.exited, supervisor; may stand several times
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Vec<String>,
    /// Follow until this has happened: ready:web, escalated; exit 5 when --timeout comes first
    #[arg(long, value_name = "KIND[:NODE]", value_parser = happening, conflicts_with = "kind")]
    pub(crate) until: Option<Happening>,
}

/// What `events --until` ends with: the last word of a kind (or all of it), and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Happening {
    pub(crate) kind: String,
    /// A name or a path; `None`: anybody's.
    pub(crate) node: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// Ask whether every required service is up
    #[arg(long)]
    pub(crate) ready: bool,
    /// Ask only whether the daemon is alive
    #[arg(long, conflicts_with = "ready")]
    pub(crate) live: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Which nodes, all of them
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
    /// Until they are ready or done (the default)
    #[arg(long, group = "what")]
    pub(crate) ready: bool,
    /// Until they are down
    #[arg(long, group = "what")]
    pub(crate) stopped: bool,
    /// Until the runs they have now are over; exit 1 when one of them did not end cleanly
    #[arg(long, group = "what")]
    pub(crate) exit: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShutdownArgs {
    /// How patiently: in order; in order with at most 1 s each; SIGKILL at once
    #[arg(long, value_enum, default_value_t = Haste::Orderly)]
    pub(crate) haste: Haste,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Haste {
    Orderly,
    Short,
    Kill,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Which files; where supd looks for its own when there is none
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Refuse what is only doubtful, too
    #[arg(long)]
    pub(crate) strict: bool,
    /// A variable, which beats the environment
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) vars: Vec<(String, String)>,
    /// For people, or for the checks of a forge
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    pub(crate) format: CheckFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    Text,
    Github,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Take this text instead of the daemon's main file
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Exit 2 when something would change
    #[arg(long)]
    pub(crate) exit_code: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// Take this text instead of the daemon's main file
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// For which program
    #[arg(long, value_enum, default_value_t = GraphFormat::Dot)]
    pub(crate) format: GraphFormat,
    /// The tree of this file instead of the one that runs; needs no daemon
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    Dot,
    Mermaid,
    Svg,
    Html,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Where to; supd.toml when there is none, - for the standard output
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Whose
    #[arg(value_enum, value_name = "FORMAT")]
    pub(crate) from: ImportFormat,
    /// Its file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportFormat {
    Supervisord,
    Procfile,
}

#[derive(Debug, Args)]
pub(crate) struct ApiArgs {
    /// GET, POST, DELETE
    pub(crate) method: String,
    /// /v1/tree; `docs/reference` has the whole list
    pub(crate) path: String,
    /// JSON; - reads it from stdin
    pub(crate) body: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// E0107, `oom_kill`, held, 69, `no_such_node`, `service.stop`
    #[arg(value_name = "WORD")]
    pub(crate) word: String,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// For man(1), or the page in docs/reference
    #[arg(long, value_enum, default_value_t = ManFormat::Roff)]
    pub(crate) format: ManFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ManFormat {
    Roff,
    Markdown,
}

fn pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| format!("{error}; a backslash makes a character literal"))
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    span::parse(text).ok_or_else(|| "write it with its unit: 500ms, 30s, 1m30s, 1d".to_owned())
}

pub(crate) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("write it as NAME=VALUE".to_owned()),
    }
}

fn happening(text: &str) -> Result<Happening, String> {
    let (kind, node) = match text.split_once(':') {
        Some((kind, node)) => (kind, Some(node.to_owned())),
        None => (text, None),
    };
    if kind.is_empty() || node.as_deref() == Some("") {
        return Err("write it as KIND or KIND:NODE (ready:web)".to_owned());
    }
    Ok(Happening {
        kind: kind.to_owned(),
        node,
    })
}

fn since(text: &str) -> Result<String, String> {
    if text.parse::<u64>().is_ok() || span::parse(text).is_some() {
        return Ok(text.to_owned());
    }
    Err("write an event's number (801) or a span of time (10m)".to_owned())
}
