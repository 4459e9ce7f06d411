// SPDX-License-Identifier: MIT OR Apache-2.0
//! supctl: the client of supd. Everything is in `supd::ctl`; this only hands over the arguments and
//! the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(supd::ctl::run(std::env::args_os()))
}
