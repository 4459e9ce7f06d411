// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo run --release --example otp_conformance -- [--real] DIR…`: replays every recorded case
//! of the directories against the engine in virtual time, or with `--real` those that processes
//! can do against the daemon with real processes. The daemon and the test program are this
//! program itself, under another first word.
//!
//! Prints each failure with what was expected and what was got, then `N passed, N failed`;
//! exits 1 when any failed or nothing was found.

#[path = "../tests/otp/mod.rs"]
mod otp;
#[path = "../tests/otp_real/mod.rs"]
mod otp_real;
#[path = "../src/bin/supd.rs"]
#[expect(dead_code, reason = "its `main` is that of another program")]
mod supd_program;
#[path = "../src/bin/supd-testchild.rs"]
#[expect(dead_code, reason = "its `main` is that of another program")]
mod testchild;

use otp_real::{Programs, Verdict};
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

/// First words under which this program is another one.
const SUPD: &str = "as-supd";
const CHILD: &str = "as-testchild";

fn main() -> std::io::Result<ExitCode> {
    let mut words = std::env::args_os().skip(1).peekable();
    match words.peek().and_then(|word| word.to_str()) {
        Some(SUPD) => Ok(supd_program::start(words.skip(1))),
        Some(CHILD) => {
            let script: Vec<String> = std::env::args().skip(2).collect();
            Ok(testchild::play(&script))
        }
        Some("--real") => replay_all(words.skip(1), real),
        _ => replay_all(words, virtually),
    }
}

/// How many passed and failed.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    passed: usize,
    failed: usize,
}

fn replay_all(
    dirs: impl Iterator<Item = OsString>,
    replay: impl Fn(&[PathBuf]) -> std::io::Result<Sum>,
) -> std::io::Result<ExitCode> {
    let mut files = Vec::new();
    for dir in dirs {
        files.extend(otp::compare::files(Path::new(&dir))?);
    }
    let mut out = std::io::stdout();
    if files.is_empty() {
        writeln!(out, "usage: otp_conformance [--real] DIR…")?;
        return Ok(ExitCode::from(64));
    }
    let Sum { passed, failed } = replay(&files)?;
    writeln!(out, "{passed} passed, {failed} failed")?;
    Ok(if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn virtually(files: &[PathBuf]) -> std::io::Result<Sum> {
    let mut out = std::io::stdout();
    let mut sum = Sum::default();
    for file in files {
        // A case that breaks an assertion of the kernel or of the engine is one failed case.
        let replayed = std::panic::catch_unwind(|| otp::replay_file(file));
        match replayed.unwrap_or_else(|_| Err("panicked, see above\n".to_owned())) {
            Ok(()) => sum.passed += 1,
            Err(text) => {
                sum.failed += 1;
                writeln!(out, "FAILED {}: {text}", file.display())?;
            }
        }
    }
    Ok(sum)
}

fn real(files: &[PathBuf]) -> std::io::Result<Sum> {
    let own = std::env::current_exe()?;
    let programs = Programs {
        child: vec![own.display().to_string(), CHILD.to_owned()],
        supd: vec![own.into(), SUPD.into()],
        room: std::env::temp_dir(),
    };
    let sum = Mutex::new(Sum::default());
    otp_real::replay_files(&programs, files, &|file, verdict| {
        let Ok(mut sum) = sum.lock() else { return };
        match verdict {
            Verdict::Passed => sum.passed += 1,
            Verdict::NotMappable => {}
            Verdict::Failed(text) => {
                sum.failed += 1;
                let _gone = writeln!(std::io::stdout(), "FAILED {}: {text}", file.display());
            }
        }
    });
    Ok(sum.into_inner().unwrap_or_default())
}
