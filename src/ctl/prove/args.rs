// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line of `simulate` and `test`.

use crate::ctl::args::{duration, variable};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// What is done to the tree; the pages in docs/reference have the language
    #[arg(value_name = "SCRIPT")]
    pub(crate) script: Vec<String>,
    /// The configuration; where supd looks for its own when there is none
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What decides the jitter of back-offs
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Stop when this much time has passed, whatever is under way
    #[arg(long, value_name = "D", value_parser = duration, default_value = "1h")]
    pub(crate) until: Duration,
    /// Tell how the tree comes up, too
    #[arg(long)]
    pub(crate) boot: bool,
    /// A variable, which beats the environment
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) vars: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Which scripts
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The configuration, instead of the one the script names
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A variable, which beats the environment
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) vars: Vec<(String, String)>,
    /// Write the report as JUnit XML, too
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Tell the story of every test, not only of those that fail
    #[arg(long)]
    pub(crate) story: bool,
}
