// SPDX-License-Identifier: MIT OR Apache-2.0
//! The documents: what they show is true.
//!
//! A `toml` block is a configuration without errors and warnings, a `toml,error` block is refused.
//! A `console` block is a session: its commands run in one shell per document, in an empty
//! directory, and the lines shown after a command must come out of it in this order. Numbers,
//! times and the width of columns may differ; a line `...` stands for lines left out. A `toml` or
//! `test` block that begins with `# NAME.toml` or `# NAME.test` is that file from there on. A link
//! leads to a file.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use supd::config::{self, Charset, Color, Options, Source, Style};

/// How long one document's session may take, seconds.
const PATIENCE: &str = "60";

/// A fenced block: what stands behind the backticks, the text, and the line it begins at.
struct Block {
    word: String,
    text: String,
    line: usize,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<PathBuf> {
    let mut found = vec![];
    let mut open = vec![root().join("docs")];
    for name in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        found.push(root().join(name));
    }
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn shown(path: &Path) -> String {
    let path = path.strip_prefix(root()).unwrap_or(path);
    path.display().to_string()
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut is_open = false;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), is_open) {
            (Some(_), true) => is_open = false,
            (Some(word), false) => {
                is_open = true;
                blocks.push(Block {
                    word: word.to_owned(),
                    text: String::new(),
                    line: number + 2,
                });
            }
            (None, true) => {
                let block = blocks.last_mut().expect("a block is open");
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, false) => {}
        }
    }
    assert!(!is_open, "a block has no end");
    blocks
}

/// One file, whatever its name.
struct OneFile<'a>(&'a str);

impl Source for OneFile<'_> {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.as_bytes().to_vec())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

#[test]
fn every_configuration_shown_is_what_it_is_said_to_be() {
    let mut complaints = String::new();
    let mut seen = 0;
    for path in documents() {
        for block in blocks(&read(&path)) {
            let is_bad = block.word == "toml,error";
            if block.word != "toml" && !is_bad {
                continue;
            }
            seen += 1;
            let source = OneFile(&block.text);
            let no_env = |_: &str| None;
            let outcome = config::load(Path::new("block"), &source, &Options::new(&no_env));
            let is_refused = outcome.tree.is_none();
            if is_refused != is_bad || (!is_bad && !outcome.diagnostics.is_empty()) {
                let style = Style {
                    charset: Charset::Unicode,
                    color: Color::Never,
                };
                let place = format!("{}:{}", shown(&path), block.line);
                writeln!(complaints, "{place}: {}\n", outcome.render(style)).expect("a string");
            }
        }
    }
    assert!(seen > 5, "only {seen} blocks were found");
    assert!(complaints.is_empty(), "\n{complaints}");
}

/// A command of a session and the lines that are shown after it.
struct Shown {
    line: usize,
    expected: Vec<String>,
}

/// The script of a document, and what it is to print.
fn script(text: &str) -> (String, Vec<Shown>) {
    let mut script = String::from("exec 2>&1\ntrap 'c=$?; test $c = 0 || kill $!; exit $c' EXIT\n");
    let mut shown: Vec<Shown> = Vec::new();
    for block in blocks(text) {
        let first = block.text.lines().next().unwrap_or_default();
        let name = first.strip_prefix("# ").filter(|name| {
            let ending = Path::new(name).extension();
            ending.is_some_and(|ending| ending == "toml" || ending == "test")
        });
        if let ("toml" | "toml,error" | "test", Some(name)) = (block.word.as_str(), name) {
            write!(script, "cat >{name} <<'END OF FILE'\n{}", block.text).expect("a string");
            script.push_str("END OF FILE\n");
        }
        if block.word != "console" {
            continue;
        }
        for (number, line) in block.text.lines().enumerate() {
            if let Some(command) = line.strip_prefix("$ ") {
                writeln!(script, "echo '@@ {}'\n{command}", shown.len()).expect("a string");
                shown.push(Shown {
                    line: block.line + number,
                    expected: Vec::new(),
                });
            } else if let Some(last) = shown.last_mut()
                && line != "..."
            {
                last.expected.push(line.to_owned());
            }
        }
    }
    (script, shown)
}

/// The line without what differs from run to run: numbers with their units, and room.
fn masked(line: &str) -> String {
    let mut text = String::new();
    let mut before = "";
    for word in line.split_whitespace() {
        let mut rest = if before == "config" { "0" } else { word };
        before = word;
        while let Some(first) = rest.chars().next() {
            let number = rest.len()
                - rest
                    .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
                    .len();
            if first.is_ascii_digit() {
                text.push('N');
                rest = rest[number..].trim_start_matches(['m', 's', 'h', 'd']);
            } else {
                text.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        text.push(' ');
    }
    // `1m20s` is one span of time.
    text.replace("NN", "N").trim_end().to_owned()
}

#[expect(clippy::disallowed_methods, reason = "a test has no PID 1 to protect")]
fn run(script: &str, dir: &Path) -> (ExitStatus, String) {
    let programs = Path::new(env!("CARGO_BIN_EXE_supd"));
    let folder = programs.parent().expect("a program is in a folder");
    let output = Command::new("timeout")
        .args(["-k", "5", PATIENCE, "sh", "-e", "-c", script])
        .current_dir(dir)
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output()
        .expect("timeout(1) runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status, text)
}

/// What is missing in the output of a session.
fn missing(printed: &str, shown: &[Shown]) -> Option<String> {
    for (number, command) in shown.iter().enumerate() {
        let begin = format!("@@ {number}\n");
        let end = format!("@@ {}\n", number + 1);
        let after = printed.split(&begin).nth(1).unwrap_or_default();
        let own = after.split(&end).next().unwrap_or_default();
        let mut lines = own.lines().map(masked);
        for expected in &command.expected {
            if !lines.any(|line| line == masked(expected)) {
                return Some(format!(
                    "line {}: not printed:\n{expected}\n\nprinted:\n{own}",
                    command.line
                ));
            }
        }
    }
    None
}

#[test]
fn every_session_shown_goes_as_shown() {
    let mut sessions = 0;
    for (number, path) in documents().iter().enumerate() {
        let (script, shown_lines) = script(&read(path));
        if shown_lines.is_empty() {
            continue;
        }
        sessions += 1;
        // In a short path: a socket's may have no more than 107 bytes (unix(7)).
        let name = format!("supd-docs-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).expect("a directory");
        let (status, printed) = run(&script, &dir);
        fs::remove_dir_all(&dir).expect("the directory is removed");
        let place = shown(path);
        assert!(
            status.success(),
            "{place}: a command failed: {status}:\n{printed}"
        );
        if let Some(text) = missing(&printed, &shown_lines) {
            panic!("{place}: {text}");
        }
    }
    assert!(sessions >= 3, "only {sessions} documents have a session");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test has no PID 1 to protect")]
fn the_demo_goes_as_told() {
    let programs = Path::new(env!("CARGO_BIN_EXE_supd")).parent();
    let output = Command::new("timeout")
        .args(["-k", "5", PATIENCE, "sh", "config/demo/run.sh"])
        .current_dir(root())
        .env("SUPD_BIN_DIR", programs.expect("a program is in a folder"))
        .stdin(Stdio::null())
        .output()
        .expect("timeout(1) runs");
    let told = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{complaints}");
    assert!(told.contains("== Healed"), "{told}");
}

#[test]
fn numbers_and_room_may_differ_and_words_may_not() {
    assert_eq!(
        masked("├─ web   ● ready  pid 12  1m20s"),
        masked("├─ web ● ready pid 4711 0.3s")
    );
    assert_eq!(masked("config d3ca10b (x"), masked("config 1111111 (x"));
    assert_ne!(masked("web is READY"), masked("web is HELD"));
}

#[test]
fn every_link_leads_to_a_file() {
    let mut complaints = Vec::new();
    let mut seen = 0;
    for path in documents() {
        let folder = path.parent().expect("a file is in a folder");
        for (number, line) in read(&path).lines().enumerate() {
            for part in line.split("](").skip(1) {
                let target = part.split([')', '#']).next().unwrap_or_default();
                if target.is_empty() || target.contains("://") {
                    continue;
                }
                seen += 1;
                if !folder.join(target).exists() {
                    complaints.push(format!("{}:{}: {target}", shown(&path), number + 1));
                }
            }
        }
    }
    assert!(seen > 10, "only {seen} links were found");
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

fn manual(name: &str) -> String {
    // A hyphen that is typed is `\-` in roff (man-pages(7)).
    read(&root().join("packaging/man").join(name)).replace("\\-", "-")
}

#[expect(clippy::disallowed_methods, reason = "a test has no PID 1 to protect")]
fn printed(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let output = output.expect("the program runs");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn supd_8_has_every_option_and_exit_code() {
    let page = manual("supd.8");
    let help = printed(env!("CARGO_BIN_EXE_supd"), "--help");
    let mut options = 0;
    for word in help.split([' ', '\n', ',', '[', ']']) {
        if word.starts_with('-') && word.len() > 1 {
            options += 1;
            assert!(page.contains(word), "supd(8) has no `{word}`");
        }
    }
    assert!(options > 5, "--help has only {options} options");
    for code in ["0", "64", "65", "70", "75"] {
        assert!(page.contains(&format!("\n.B {code}\n")), "no code {code}");
    }
}

#[test]
fn supctl_1_is_what_supctl_prints() {
    let page = read(&root().join("packaging/man/supctl.1"));
    let printed = printed(env!("CARGO_BIN_EXE_supctl"), "man");
    assert!(
        page == printed,
        "make it again: supctl man > packaging/man/supctl.1"
    );
}

#[test]
fn supd_toml_5_has_every_key_of_the_reference() {
    let page = manual("supd.toml.5");
    let mut keys = 0;
    for line in read(&root().join("docs/reference/configuration.md")).lines() {
        let Some(key) = line.strip_prefix("| `").and_then(|l| l.split('`').next()) else {
            continue;
        };
        keys += 1;
        assert!(
            page.contains(&format!("\n.B {key}\n")),
            "supd.toml(5) has no `{key}`"
        );
    }
    assert!(keys > 80, "the reference has only {keys} keys");
}

#[test]
fn supd_protocol_7_has_every_path() {
    let page = manual("supd-protocol.7");
    let text = read(&root().join("docs/reference/openapi.json"));
    let api: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let paths = api["paths"].as_object().expect("paths");
    assert!(paths.len() > 20);
    for path in paths.keys() {
        assert!(page.contains(path.as_str()), "no `{path}`");
    }
}
