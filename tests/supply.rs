// SPDX-License-Identifier: MIT OR Apache-2.0
//! What we depend on: licences that deny.toml allows, the registry alone, and a PID 1 that stays
//! small. cargo-deny checks the same and more where it is installed; this needs only cargo.

use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

/// Crates that `supd` may carry (DESIGN, "Dependencies").
const CRATES_MAX: usize = 80;

#[expect(clippy::disallowed_methods, reason = "a test may run programs")]
fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("cargo speaks UTF-8")
}

fn packages() -> Vec<Value> {
    let text = cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--all-features",
    ]);
    let metadata: Value = serde_json::from_str(&text).expect("metadata is JSON");
    metadata["packages"]
        .as_array()
        .expect("metadata lists packages")
        .clone()
}

fn allowed() -> BTreeSet<String> {
    let deny: toml::Table = include_str!("../deny.toml")
        .parse()
        .expect("deny.toml is TOML");
    let list = deny["licenses"]["allow"]
        .as_array()
        .expect("deny.toml lists licences");
    list.iter()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}

/// Whether a licence expression can be satisfied. Expressions in the field are alternatives of
/// conjunctions; brackets stand only round one of them.
fn satisfies(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let bare = expression.replace(['(', ')'], "").replace('/', " OR ");
    bare.split(" OR ")
        .any(|all| all.split(" AND ").all(|name| allowed.contains(name.trim())))
}

#[test]
fn every_dependency_has_a_licence_that_deny_toml_allows() {
    let allowed = allowed();
    let mut complaints = Vec::new();
    for package in packages() {
        let (name, licence) = (
            &package["name"],
            package["license"].as_str().unwrap_or("none"),
        );
        if !satisfies(licence, &allowed) {
            complaints.push(format!("{name}: {licence}"));
        }
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn a_licence_nobody_allowed_is_refused() {
    let allowed = allowed();
    assert!(satisfies("MIT OR GPL-3.0", &allowed));
    assert!(!satisfies("GPL-3.0", &allowed));
    assert!(!satisfies("MIT AND GPL-3.0", &allowed));
}

#[test]
fn every_dependency_comes_from_the_registry() {
    for package in packages() {
        let source = package["source"].as_str();
        let ours = package["name"] == "supd";
        let registry = source.is_some_and(|source| source.starts_with("registry+"));
        assert!(ours || registry, "{}: {source:?}", package["name"]);
    }
}

#[test]
fn pid_1_stays_small() {
    let tree = cargo(&[
        "tree",
        "--edges",
        "normal",
        "--no-default-features",
        "--features",
        "daemon",
        "--prefix",
        "none",
        "--locked",
    ]);
    let crates: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(crates.len() > 10, "cargo tree lists crates:\n{tree}");
    assert!(
        crates.len() <= CRATES_MAX,
        "{} crates in supd, at most {CRATES_MAX}",
        crates.len()
    );
    // A second owner of SIGCHLD, of threads or of names would not be ours to control.
    for unwanted in ["clap", "rayon", "async-process", "openssl-sys", "ratatui"] {
        assert!(!crates.contains(unwanted), "{unwanted} has come into supd");
    }
}
