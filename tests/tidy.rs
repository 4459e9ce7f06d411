// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rules of the house that a compiler does not know: who may import whom, how long a file and
//! a function may be, which words are not used. A rule that turns out wrong is changed here and in
//! ARCHITECTURE.md, in a commit that says why.

use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES: usize = 500;
const TEST_LINES: usize = 800;
const LINE_COLUMNS: usize = 100;

/// A module and the crates and sibling modules it may name. `std` is always allowed.
const IMPORTS: &[(&str, &[&str])] = &[
    ("spec", &[]),
    ("tree", &["spec"]),
    (
        "config",
        &[
            "spec",
            "toml",
            "serde",
            "thiserror",
            "miette",
            "strsim",
            "regex_automata",
        ],
    ),
    (
        "sys",
        &[
            "spec",
            "nix",
            "signal_hook",
            "signal_hook_registry",
            "libc",
            "thiserror",
        ],
    ),
    ("wire", &["serde", "serde_json", "thiserror"]),
    ("tell", &["tree", "spec", "wire", "sys"]),
    (
        "daemon",
        &[
            "tree",
            "spec",
            "config",
            "sys",
            "wire",
            "tell",
            "tokio",
            "hyper",
            "http_body_util",
            "httparse",
            "serde",
            "serde_json",
            "tracing",
            "tracing_subscriber",
            "thiserror",
            "jiff",
            "memchr",
            "miette",
            "miniz_oxide",
            "strsim",
        ],
    ),
    (
        "ctl",
        &[
            "wire",
            "tell",
            "config",
            "spec",
            "clap",
            "clap_complete",
            "clap_mangen",
            "serde",
            "serde_json",
            "thiserror",
            "strsim",
            "jiff",
            "tree",
            "miette",
            "miniz_oxide",
            "regex_lite",
        ],
    ),
];

/// Everything a module could name; what is not in its row above is forbidden to it.
const KNOWN: &[&str] = &[
    "regex_automata",
    "spec",
    "tree",
    "config",
    "sys",
    "wire",
    "tell",
    "daemon",
    "ctl",
    "tokio",
    "nix",
    "serde",
    "serde_json",
    "tracing",
    "tracing_subscriber",
    "hyper",
    "http_body_util",
    "libc",
    "signal_hook",
    "signal_hook_registry",
    "clap",
    "clap_complete",
    "clap_mangen",
    "miette",
    "thiserror",
    "toml",
    "strsim",
    "jiff",
    "memchr",
    "miniz_oxide",
    "regex_lite",
];

/// Words that make the engine depend on the world.
const IMPURE: &[&str] = &[
    "Instant",
    "SystemTime",
    "std::fs",
    "std::env",
    "std::thread",
    "std::process",
    "std::net",
    "HashMap",
    "HashSet",
    "async fn",
    "unsafe",
    "RefCell",
    "static mut",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder with this ending, in order.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<PathBuf> {
    let mut all = files("src", "rs");
    for folder in ["tests", "examples", "benches"] {
        all.extend(files(folder, "rs"));
    }
    all
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a source file is readable UTF-8")
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// A line without its comment. Good enough for rules about words: our strings hold no `//`
/// followed by code.
fn code_of(line: &str) -> &str {
    let trimmed = line.trim_start();
    if trimmed.starts_with("//") {
        ""
    } else {
        line.split(" // ").next().unwrap_or(line)
    }
}

fn complain(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn modules_import_only_what_their_row_allows() {
    let mut complaints = Vec::new();
    for (module, allowed) in IMPORTS {
        let mut paths = files(&format!("src/{module}"), "rs");
        paths.push(root().join(format!("src/{module}.rs")));
        for path in paths.iter().filter(|path| path.exists()) {
            let text = read(path);
            let code = text
                .split("#[cfg(test)]\nmod tests")
                .next()
                .unwrap_or(&text);
            for (number, line) in code.lines().enumerate() {
                let line = code_of(line);
                for name in KNOWN
                    .iter()
                    .filter(|name| *name != module && !allowed.contains(name))
                {
                    if names(line, name) {
                        let place = format!("{}:{}", shown(path), number + 1);
                        complaints.push(format!("{place}: `{module}` must not name `{name}`"));
                    }
                }
            }
        }
    }
    complain(&complaints);
}

/// Whether a line of code names a crate or a module of ours: `name::`, `crate::name`, `use name`.
fn names(line: &str, name: &str) -> bool {
    let ours = format!("crate::{name}");
    if let Some(at) = line.find(&ours) {
        let next = line[at + ours.len()..].chars().next();
        if !next.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            return true;
        }
    }
    let local = [
        "spec", "tree", "config", "sys", "wire", "tell", "daemon", "ctl",
    ]
    .contains(&name);
    if local {
        return false;
    }
    let path = format!("{name}::");
    line.match_indices(&path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

#[test]
fn the_engine_and_the_specification_know_nothing_of_the_world() {
    let mut complaints = Vec::new();
    for folder in ["src/spec", "src/tree"] {
        for path in files(folder, "rs") {
            for (number, line) in read(&path).lines().enumerate() {
                for word in IMPURE.iter().filter(|word| code_of(line).contains(**word)) {
                    complaints.push(format!("{}:{}: `{word}`", shown(&path), number + 1));
                }
            }
        }
    }
    complain(&complaints);
}

#[test]
fn only_sys_is_unsafe_and_only_the_daemon_is_async() {
    let mut complaints = Vec::new();
    for path in files("src", "rs") {
        let place = shown(&path);
        for (number, line) in read(&path).lines().enumerate() {
            let code = code_of(line);
            let unsafe_here = code.contains("unsafe {") || code.contains("unsafe fn");
            if unsafe_here && !place.starts_with("src/sys/") {
                complaints.push(format!("{place}:{}: unsafe outside sys", number + 1));
            }
            if code.contains("async fn") && !place.starts_with("src/daemon/") {
                complaints.push(format!("{place}:{}: async outside daemon", number + 1));
            }
        }
    }
    complain(&complaints);
}

#[test]
fn files_lines_and_functions_have_a_length() {
    let mut complaints = Vec::new();
    for path in sources() {
        let text = read(&path);
        let place = shown(&path);
        let most = if place.starts_with("src/") {
            FILE_LINES
        } else {
            TEST_LINES
        };
        let count = text.lines().count();
        if count > most {
            complaints.push(format!("{place}: {count} lines, at most {most}"));
        }
        for (number, line) in text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > LINE_COLUMNS && !line.contains("http") && !line.contains('"') {
                complaints.push(format!("{place}:{}: {columns} columns", number + 1));
            }
            if line.ends_with(' ') || line.contains('\t') {
                complaints.push(format!(
                    "{place}:{}: space at the end, or a tab",
                    number + 1
                ));
            }
        }
    }
    complain(&complaints);
}

#[test]
fn every_source_file_says_its_licence_and_what_it_is_for() {
    let mut complaints = Vec::new();
    for path in sources() {
        let text = read(&path);
        let place = shown(&path);
        if !text.starts_with("// SPDX-License-Identifier: MIT OR Apache-2.0\n") {
            complaints.push(format!("{place}: no licence line"));
        }
        if !text.contains("\n//! ") {
            complaints.push(format!("{place}: no header"));
        }
    }
    complain(&complaints);
}

#[test]
fn words_that_hide_what_a_thing_is_are_not_used() {
    let mut complaints = Vec::new();
    for path in sources() {
        let place = shown(&path);
        if place == "tests/tidy.rs" {
            continue;
        }
        let name = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        if [
            "utils", "util", "helpers", "common", "manager", "core", "misc",
        ]
        .contains(&name)
        {
            complaints.push(format!("{place}: a file of this name has no subject"));
        }
        for (number, line) in read(&path).lines().enumerate() {
            let banned = [
                "todo!(",
                "unimplemented!(",
                "#[ignore",
                "TODO",
                "FIXME",
                "XXX",
                "HACK",
            ];
            for word in banned.iter().filter(|word| line.contains(**word)) {
                complaints.push(format!("{place}:{}: `{word}`", number + 1));
            }
            let slept = line.contains("thread::sleep(") || line.contains("tokio::time::sleep(");
            if slept && !line.trim_start().starts_with("//") && place.starts_with("tests/") {
                complaints.push(format!(
                    "{place}:{}: wait for an event, not for time",
                    number + 1
                ));
            }
        }
    }
    complain(&complaints);
}

#[test]
fn serde_never_swallows_typos() {
    let mut complaints = Vec::new();
    for path in files("src", "rs") {
        for (number, line) in read(&path).lines().enumerate() {
            let code = code_of(line);
            let swallows = code.contains("serde(flatten") || code.contains("serde(untagged");
            if swallows {
                complaints.push(format!("{}:{}: {}", shown(&path), number + 1, code.trim()));
            }
        }
    }
    complain(&complaints);
}

#[test]
fn the_architecture_names_only_tests_that_exist() {
    let text = read(&root().join("ARCHITECTURE.md"));
    let mut tests = String::new();
    for path in sources() {
        tests.push_str(&read(&path));
    }
    let mut complaints = Vec::new();
    let mut named = 0;
    for line in text.lines().filter(|line| line.contains("Guard: ")) {
        let guards = line.split("Guard: ").nth(1).unwrap_or_default();
        for guard in guards.split('`').skip(1).step_by(2) {
            named += 1;
            let function = guard.rsplit("::").next().unwrap_or(guard);
            if !tests.contains(&format!("fn {function}(")) {
                complaints.push(format!("no test is called `{guard}`"));
            }
        }
    }
    assert!(named > 0, "ARCHITECTURE.md names no guard at all");
    complain(&complaints);
}
