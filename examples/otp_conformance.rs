// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo run --release --example otp_conformance -- DIR…`: replays every recorded case of the
//! directories against the engine in virtual time.
//!
//! Prints each failure with what was expected and what was got, then `N passed, N failed`;
//! exits 1 when any failed or nothing was found.

#[path = "../tests/otp/mod.rs"]
mod otp;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> std::io::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let dirs: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if dirs.is_empty() {
        writeln!(out, "usage: otp_conformance DIR…")?;
        return Ok(ExitCode::from(64));
    }
    let (mut passed, mut failed) = (0, 0);
    for dir in &dirs {
        for file in otp::files(dir)? {
            // A case that breaks an assertion of the kernel or of the engine is one failed case.
            let replayed = std::panic::catch_unwind(|| otp::replay_file(&file));
            match replayed.unwrap_or_else(|_| Err("panicked, see above\n".to_owned())) {
                Ok(()) => passed += 1,
                Err(text) => {
                    failed += 1;
                    writeln!(out, "FAILED {}: {text}", file.display())?;
                }
            }
        }
    }
    writeln!(out, "{passed} passed, {failed} failed")?;
    Ok(if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
