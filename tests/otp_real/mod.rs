// SPDX-License-Identifier: MIT OR Apache-2.0
//! Replays recorded OTP behaviour with the daemon and real processes.
//!
//! Each case has a daemon and a directory of its own. Its tree becomes a configuration file, its
//! operations requests over the socket and signals to the processes; what was seen is read from
//! the daemon's events and its status. Cases run two at a time. Whether a case can be replayed
//! this way stands in it (`os_mappable`).

#![allow(
    clippy::disallowed_methods,
    reason = "a replay starts the daemon and reads its log in a thread; it is nobody's PID 1"
)]

mod config;
mod daemon;
mod script;
mod watch;

use crate::otp::case::{Case, Observation};
use crate::otp::compare::compare;
use script::Script;
use serde::Deserialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How the daemon and the test program are called.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) supd: Vec<OsString>,
    pub(crate) child: Vec<String>,
    /// Where cases get their directories.
    pub(crate) room: PathBuf,
}

/// What came of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    /// No process can do what it asks for.
    NotMappable,
    /// With a text for people.
    Failed(String),
}

#[derive(Deserialize)]
struct Mappable {
    os_mappable: bool,
}

/// Tells the directories of one process apart.
static NEXT: AtomicUsize = AtomicUsize::new(0);
/// Cases at one time.
const AT_ONCE: usize = 2;

/// Replays all files, each followed by `tell`; in no particular order.
pub(crate) fn replay_files(
    programs: &Programs,
    files: &[PathBuf],
    tell: &(dyn Fn(&Path, &Verdict) + Sync),
) {
    let next = AtomicUsize::new(0);
    let telling = Mutex::new(());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = replay_file(programs, file);
                    let _one_at_a_time = telling.lock();
                    tell(file, &verdict);
                }
            });
        }
    });
}

fn replay_file(programs: &Programs, path: &Path) -> Verdict {
    let failed = |text: String| Verdict::Failed(format!("{text}\n"));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) => return failed(format!("cannot read: {e}")),
    };
    match serde_json::from_str::<Mappable>(&text) {
        Ok(Mappable { os_mappable: true }) => {}
        Ok(Mappable { os_mappable: false }) => return Verdict::NotMappable,
        Err(e) => return failed(format!("cannot parse: {e}")),
    }
    let case: Case = match serde_json::from_str(&text) {
        Ok(case) => case,
        Err(e) => return failed(format!("cannot parse: {e}")),
    };
    if case.schema != "sup-conformance/1" {
        return failed(format!("unknown schema `{}`", case.schema));
    }
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = programs
        .room
        .join(format!("o{}-{number}", std::process::id()));
    if let Err(e) = std::fs::create_dir_all(&dir) {
        return failed(format!("cannot make a directory: {e}"));
    }
    let replayed = replay(&case, programs, &dir);
    let _left = std::fs::remove_dir_all(&dir);
    replayed.map_or_else(Verdict::Failed, |()| Verdict::Passed)
}

/// Replays one case; stops at the first step that differs, as everything after it would.
fn replay(case: &Case, programs: &Programs, dir: &Path) -> Result<(), String> {
    let mut script = Script::new(case, programs, dir)?;
    let check = |title: String,
                 expected: &Observation,
                 got: Result<Observation, String>,
                 script: &Script<'_>| {
        let result = got.and_then(|got| compare(expected, &got));
        result.map_err(|text| {
            let trace = script.trace.join("\n    ");
            format!("{}, {title}\n{text}  trace:\n    {trace}\n", case.name)
        })
    };
    let got = script.boot();
    check("boot".to_owned(), &case.boot, got, &script)?;
    for (number, step) in case.steps.iter().enumerate() {
        let got = script.perform(&step.op);
        let title = format!("step {} {:?}", number + 1, step.op);
        check(title, &step.observation(), got, &script)?;
    }
    Ok(())
}
