// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line of `drill`.

use crate::ctl::args::duration;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    /// Which service
    #[arg(value_name = "NAME", required_unless_present = "auto")]
    pub(crate) name: Option<String>,
    /// End its process by a signal (the default): KILL, ABRT, SEGV, TERM
    #[arg(
        long, value_name = "SIG", num_args = 0..=1, require_equals = true,
        default_missing_value = "KILL", group = "fault"
    )]
    pub(crate) kill: Option<String>,
    /// Stop its process (SIGSTOP) until the time is over
    #[arg(long, group = "fault")]
    pub(crate) hang: bool,
    /// End its process, and take it as an exit with this code
    #[arg(long, value_name = "N", group = "fault")]
    pub(crate) exit: Option<u8>,
    /// A step for every service that is ready, and one for every supervisor
    #[arg(long, conflicts_with_all = ["name", "fault"])]
    pub(crate) auto: bool,
    /// Everything has to be as before within this time; 30s, of a hang 5s
    #[arg(long, value_name = "D", value_parser = duration)]
    pub(crate) within: Option<Duration>,
    /// Only say what would follow
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Write the report as JUnit XML, too
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}
