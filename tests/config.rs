// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configuration language from outside: files in, trees and pictures of diagnostics out.
//!
//! Every `tests/config/cases/*.toml` has a `.txt` beside it with the diagnostics it must give;
//! `BLESS=1 cargo test --test config` writes them anew, to be read before they are committed.

#[path = "config/tree_text.rs"]
mod tree_text;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use supd::config::{
    self, Charset, Color, Lints, Loaded, Options, Outcome, Platform, Severity, Source, Style,
};
use supd::spec::{self, Node};
use tree_text::tree_text;

/// Files in memory.
#[derive(Default)]
struct Memory {
    files: BTreeMap<PathBuf, Vec<u8>>,
    programs: Vec<PathBuf>,
}

impl Memory {
    fn with(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| (PathBuf::from(path), text.as_bytes().to_vec());
        Self {
            files: files.iter().map(file).collect(),
            programs: Vec::new(),
        }
    }
}

impl Source for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let found = self.files.get(path).cloned();
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let inside = |path: &&PathBuf| path.parent() == Some(directory);
        Ok(self.files.keys().filter(inside).cloned().collect())
    }

    fn executable(&self, path: &Path) -> Option<bool> {
        let known = !self.programs.is_empty();
        known.then(|| self.programs.iter().any(|p| p == path))
    }
}

fn no_env(_: &str) -> Option<String> {
    None
}

fn load_text(text: &str) -> Outcome {
    config::load(
        Path::new("supd.toml"),
        &Memory::with(&[("supd.toml", text)]),
        &Options::new(&no_env),
    )
}

fn good(text: &str) -> Loaded {
    let outcome = load_text(text);
    let picture = outcome.render(Style::PLAIN);
    outcome.tree.unwrap_or_else(|| panic!("{picture}"))
}

fn codes_of(outcome: &Outcome) -> Vec<&'static str> {
    outcome.diagnostics.iter().map(|d| d.code).collect()
}

fn service<'a>(loaded: &'a Loaded, name: &str) -> &'a spec::Service {
    find(&loaded.tree.root, name).unwrap_or_else(|| panic!("no service {name}"))
}

fn find<'a>(supervisor: &'a spec::Supervisor, name: &str) -> Option<&'a spec::Service> {
    supervisor.children.iter().find_map(|child| match child {
        Node::Service(service) => (&*service.name == name).then_some(&**service),
        Node::Supervisor(inner) => find(inner, name),
    })
}

fn cases() -> Vec<PathBuf> {
    let all = config::Disk.list(Path::new("tests/config/cases"));
    let mut cases: Vec<PathBuf> = all.expect("the directory of cases");
    cases.retain(|p| p.extension().is_some_and(|e| e == "toml"));
    cases.sort();
    cases
}

/// Knows no program but those of a real machine's `/bin` that cases use.
struct Cases;

impl Source for Cases {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        config::Disk.read(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        config::Disk.list(directory)
    }

    fn executable(&self, path: &Path) -> Option<bool> {
        Some(!path.ends_with("absent"))
    }
}

#[test]
fn every_case_gives_exactly_its_diagnostics() {
    let mut wrong = Vec::new();
    for case in cases() {
        let outcome = config::load(&case, &Cases, &Options::new(&no_env));
        let picture = outcome.render(Style::PLAIN);
        let expected = case.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&expected, &picture).expect("a writable directory of cases");
        }
        let wanted = std::fs::read_to_string(&expected).unwrap_or_default();
        if wanted != picture {
            wrong.push(format!("{}:\n{picture}\nexpected:\n{wanted}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_case_named_after_it() {
    let made_in_code = ["E0138", "E0139", "E0140", "E0141", "E0142", "L13"];
    let names: Vec<String> = cases()
        .iter()
        .map(|p| p.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    for code in config::codes() {
        let beginning = format!("{code}-");
        let case = names.iter().find(|n| n.starts_with(&beginning));
        assert!(
            case.is_some() || made_in_code.contains(&code),
            "{code} has no case"
        );
        let Some(case) = case else { continue };
        let path = Path::new("tests/config/cases").join(case);
        let picture = std::fs::read_to_string(path.with_extension("txt")).expect("its picture");
        assert!(picture.contains(&format!("[{code}]")), "{case} does not show {code}");
    }
}

#[test]
fn every_code_can_be_explained_and_no_other() {
    for code in config::codes() {
        let text = config::explain(&code.to_lowercase()).unwrap_or_default();
        assert!(text.starts_with(code) && text.len() > 40, "{code}: {text}");
    }
    assert_eq!(config::explain("E9999"), None);
}

#[test]
fn two_lines_are_a_configuration() {
    let loaded = good("[service.web]\ncommand = \"nginx -g 'daemon off;'\"\n");
    insta_like("two-lines", &tree_text(&loaded.tree));
}

#[test]
fn the_full_example_is_the_expected_tree() {
    let text = std::fs::read_to_string("tests/config/full.toml").expect("the example");
    let loaded = good(&text);
    insta_like("full", &tree_text(&loaded.tree));
}

/// Compares with `tests/config/NAME.tree.txt`.
fn insta_like(name: &str, text: &str) {
    let path = format!("tests/config/{name}.tree.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, text).expect("a writable directory");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == text, "{path}\n{text}\nexpected:\n{wanted}");
}
