// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every fuzz target does with its bytes, in one place: `fuzz/` hands them over from
//! libFuzzer, `tests/fuzz` from a corpus and its mutations. A body returns, or it panics and has
//! found something. It never looks at the clock and keeps nothing between two inputs.

use super::engine;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use supd::config::{self, Options, Source, Style};
use supd::spec::UserRef;
use supd::sys::notify::{self, Field};
use supd::sys::users::Users;
use supd::wire::{Query, Route, query, span};

/// A target: its name, and what it does.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All of them.
pub(crate) const TARGETS: [Target; 7] = [
    ("config", config),
    ("request", request),
    ("path", path),
    ("notify", notify),
    ("users", users),
    ("scalar", scalar),
    ("engine", engine::events),
];

struct One<'a>(&'a [u8]);

impl Source for One<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == Path::new("x.toml") {
            return Ok(self.0.to_vec());
        }
        Err(io::ErrorKind::NotFound.into())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

fn load(text: &[u8]) -> config::Outcome {
    let none = |_: &str| None;
    config::load(Path::new("x.toml"), &One(text), &Options::new(&none))
}

/// The text of a configuration: a tree, or diagnostics that can be drawn.
fn config(bytes: &[u8]) {
    let outcome = load(bytes);
    let picture = outcome.render(Style::PLAIN);
    assert!(!picture.contains('\u{1b}'), "a terminal would obey");
    if outcome.tree.is_none() {
        assert!(!outcome.diagnostics.is_empty(), "refused without a word");
    }
}

/// The head of a request, as it arrives: however it is cut into pieces, it means the same.
fn request(bytes: &[u8]) {
    let Some((step, head)) = bytes.split_first() else {
        return;
    };
    let whole = supd::daemon::head_in_pieces(head, usize::MAX);
    let pieces = supd::daemon::head_in_pieces(head, usize::from(*step) + 1);
    // What is hopeless may be seen earlier in pieces; what is understood is understood the same.
    if let (Some(Ok(whole)), Some(Ok(pieces))) = (&whole, &pieces) {
        assert_eq!(whole, pieces, "{head:?}");
    }
    if matches!(whole, Some(Ok(_))) {
        assert!(pieces.is_some_and(|pieces| pieces.is_ok()), "{head:?}");
    }
}

/// `METHOD path?parameters`: what is understood is written back the same way.
fn path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (method, rest) = text.split_once(' ').unwrap_or(("GET", text));
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    if let Ok(route) = Route::parse(method, path) {
        let again = Route::parse(route.method(), &route.path());
        assert_eq!(again.ok().as_ref(), Some(&route), "{text:?}");
    }
    if let Some(parsed) = Query::parse(parameters) {
        let written = parsed.to_string();
        let again = Query::parse(written.strip_prefix('?').unwrap_or_default());
        assert_eq!(again.as_ref(), Some(&parsed), "{text:?}");
    }
    assert_eq!(query::decode(&query::encode(text)).as_deref(), Some(text));
}

/// A datagram of a service.
fn notify(bytes: &[u8]) {
    let fields = notify::parse(bytes);
    assert!(fields.len() <= 32, "{} fields", fields.len());
    for field in fields {
        match field {
            Field::Status(text) | Field::Class(text) => {
                assert!(!text.chars().any(char::is_control), "{text:?}");
                assert!(text.len() <= bytes.len() * 3);
            }
            Field::MainPid(pid) => assert!(pid > 0),
            _ => {}
        }
    }
}

/// A passwd file, a group file and a name, with a zero byte between them.
fn users(bytes: &[u8]) {
    let mut parts = bytes.split(|byte| *byte == 0);
    let (passwd, group) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let name = String::from_utf8_lossy(parts.next().unwrap_or(b"root")).into_owned();
    let dir = std::env::temp_dir();
    let file = |what: &str| dir.join(format!("supd-fuzz-{}-{what}", std::process::id()));
    let (passwd_file, group_file) = (file("passwd"), file("group"));
    if std::fs::write(&passwd_file, passwd).is_err() || std::fs::write(&group_file, group).is_err()
    {
        return;
    }
    let users = Users::at(passwd_file.clone(), group_file.clone());
    let named = users.identity(&UserRef::Name(name.as_str().into()));
    if let Ok(identity) = named {
        // CVE-2017-1000082: whoever is not written down is nobody, and never root.
        let line = format!("{name}:");
        let text = String::from_utf8_lossy(passwd);
        assert!(
            text.lines().any(|found| found.starts_with(&line)),
            "{name:?} of {text:?}"
        );
        assert_ne!(identity.uid, u32::MAX);
        assert!(identity.groups.contains(&identity.gid));
    }
    for number in [0, 1000, u32::MAX - 1] {
        if let Ok(identity) = users.identity(&UserRef::Id(number)) {
            assert_eq!(identity.uid, number);
        }
    }
    assert!(users.identity(&UserRef::Id(u32::MAX)).is_err());
    let _ = users.gid(&UserRef::Name(name.as_str().into()));
    for file in [passwd_file, group_file] {
        let _ = std::fs::remove_file(file);
    }
}

/// A span, a size or a number, on the wire and in a file.
fn scalar(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Some(read) = span::parse(text) {
        let written = span::format(read);
        assert_eq!(span::parse(&written), Some(read), "{text:?} {written:?}");
    }
    let mut quoted = String::new();
    for c in text.chars() {
        let _ = write!(quoted, "\\U{:08X}", u32::from(c));
    }
    let file = format!(
        "[service.a]\ncommand = \"x\"\nstart_timeout = \"{quoted}\"\nlog = {{ ring = \"{quoted}\" }}\n\
         stop = {{ signal = \"{quoted}\", timeout = \"{quoted}\" }}\n"
    );
    let _ = load(file.as_bytes()).render(Style::PLAIN);
}
