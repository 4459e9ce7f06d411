// SPDX-License-Identifier: MIT OR Apache-2.0
//! The built-in steps of remedies that touch files: `supd remedy-step …`, a program like any hook.
//!
//! They are not done in the daemon, because a file can block it, and a file that is removed is
//! removed with the rights of the service and no others. The answer is an exit code, as a hook's,
//! and a line that says what was seen. The words are for supd alone and may change.

use crate::spec::{Evidence, LockKind, Verdict};
use crate::sys::evidence;
use crate::sys::stale::{self, Outcome, Touch};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The first word of such a command line.
pub(crate) const WORD: &str = "remedy-step";

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Builtin {
    /// `remove-stale-lock KIND PATH`
    RemoveStaleLock(LockKind, PathBuf),
    /// `capture WORD…`
    Capture(Vec<Evidence>),
}

impl Builtin {
    /// Reads the words behind [`WORD`].
    pub(crate) fn parse(mut words: impl Iterator<Item = OsString>) -> Option<Self> {
        let first = words.next()?;
        match first.to_str()? {
            "remove-stale-lock" => {
                let kind = words.next()?;
                let kinds = [LockKind::Pidfile, LockKind::Flock];
                let kind = kinds.into_iter().find(|k| kind == *k.as_str())?;
                let path = words.next()?.into();
                words
                    .next()
                    .is_none()
                    .then_some(Self::RemoveStaleLock(kind, path))
            }
            "capture" => {
                let all = [Evidence::Stack, Evidence::Status, Evidence::Stderr];
                let read = words.map(|word| all.into_iter().find(|e| word == *e.as_str()));
                read.collect::<Option<_>>().map(Self::Capture)
            }
            _ => None,
        }
    }

    /// The words, as they are executed.
    pub(crate) fn words(&self) -> Vec<String> {
        match self {
            Self::RemoveStaleLock(kind, path) => {
                let path = path.to_string_lossy().into_owned();
                vec![
                    "remove-stale-lock".to_owned(),
                    kind.as_str().to_owned(),
                    path,
                ]
            }
            Self::Capture(what) => {
                let words = what.iter().map(|evidence| evidence.as_str().to_owned());
                std::iter::once("capture".to_owned()).chain(words).collect()
            }
        }
    }

    /// Does it: what was seen, and the exit code that is the verdict.
    pub fn perform(&self) -> (String, u8) {
        let pid = std::env::var("SUPD_PID").ok();
        let pid = pid.and_then(|pid| pid.parse().ok());
        match self {
            Self::RemoveStaleLock(kind, path) => remove(path, *kind, pid),
            Self::Capture(what) => (capture(what, pid), code(Verdict::Fixed)),
        }
    }
}

fn remove(path: &Path, kind: LockKind, ended: Option<i32>) -> (String, u8) {
    let dry = std::env::var_os("SUPD_DRY_RUN").is_some_and(|dry| dry == "1");
    let touch = if dry { Touch::Look } else { Touch::Remove };
    let shown = path.display();
    match stale::remove(path, kind, (ended, touch)) {
        Ok(Outcome::Removed) => (
            format!("removed {shown}: its owner is dead\n"),
            code(Verdict::Fixed),
        ),
        Ok(Outcome::WouldRemove) => {
            let text = format!("would remove {shown}: its owner is dead\n");
            (text, code(Verdict::Fixed))
        }
        Ok(Outcome::Absent) => (format!("there is no {shown}\n"), code(Verdict::Declined)),
        Ok(Outcome::Owned(pid)) => {
            let text = format!("left {shown} alone: process {pid} lives\n");
            (text, code(Verdict::Retry))
        }
        Ok(Outcome::Held) => (
            format!("left {shown} alone: somebody holds it\n"),
            code(Verdict::Retry),
        ),
        Ok(Outcome::Unclear(why)) => (
            format!("left {shown} alone: {why}\n"),
            code(Verdict::Declined),
        ),
        Err(error) => (format!("cannot look at {shown}: {error}\n"), 1),
    }
}

fn capture(what: &[Evidence], pid: Option<i32>) -> String {
    let mut text = String::new();
    for evidence in what {
        match (evidence, pid) {
            (Evidence::Stderr, _) => text.push_str(&last_words()),
            (_, Some(pid)) => text.push_str(&evidence::of_process(pid, *evidence)),
            (_, None) => {
                let _ = writeln!(text, "there is no process to see its {}", evidence.as_str());
            }
        }
    }
    text
}

fn last_words() -> String {
    let file = std::env::var_os("SUPD_STDERR_FILE");
    let text = file.and_then(|path| std::fs::read(path).ok());
    let text = text.unwrap_or_default();
    format!("stderr:\n{}\n", String::from_utf8_lossy(&text).trim_end())
}

/// The exit code that means a verdict (SEMANTICS §6).
fn code(verdict: Verdict) -> u8 {
    let mut codes = 0..=u8::MAX;
    codes
        .find(|code| Verdict::of_code(*code) == verdict)
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_is_read_as_it_is_executed() {
        for builtin in [
            Builtin::RemoveStaleLock(LockKind::Flock, "/run/a b".into()),
            Builtin::RemoveStaleLock(LockKind::Pidfile, "x".into()),
            Builtin::Capture(vec![Evidence::Stack, Evidence::Stderr]),
        ] {
            let words = builtin.words().into_iter().map(OsString::from);
            assert_eq!(Builtin::parse(words), Some(builtin));
        }
        assert_eq!(
            Builtin::parse(["rm", "/"].map(OsString::from).into_iter()),
            None
        );
    }

    #[test]
    fn verdicts_have_the_codes_of_the_table() {
        let codes = [Verdict::Fixed, Verdict::Declined, Verdict::Retry].map(code);
        assert_eq!(codes, [0, 64, 75]);
    }
}
