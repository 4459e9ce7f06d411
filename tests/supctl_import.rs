// SPDX-License-Identifier: MIT OR Apache-2.0
//! supctl import: what comes out, what is said about it, and that it is a valid configuration.

mod fake_daemon;

use fake_daemon::{shown, supctl};
use insta::assert_snapshot;
use std::path::{Path, PathBuf};

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ctl/import");

fn run(dir: &Path, line: &str) -> String {
    let mut command = supctl();
    command.current_dir(dir).args(line.split(' '));
    shown(line, &command.output().expect("runs"))
}

/// A directory of this test.
fn directory(name: &str) -> PathBuf {
    let name = format!("import-{name}-{}", std::process::id());
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&dir).expect("a directory");
    dir
}

#[test]
fn every_entry_of_supervisords_configuration_is_accounted_for() {
    assert_snapshot!(run(Path::new(FILES), "import supervisord supervisord.conf"));
}

#[test]
fn a_procfile_becomes_services() {
    assert_snapshot!(run(Path::new(FILES), "import procfile Procfile"));
}

#[test]
fn what_is_imported_can_be_used_as_it_is() {
    let dir = directory("use");
    for (format, file) in [
        ("supervisord", "supervisord.conf"),
        ("procfile", "Procfile"),
    ] {
        let mut command = supctl();
        let path = Path::new(FILES).join(file);
        let output = command.args(["import", format]).arg(path).output();
        let toml = output.expect("runs").stdout;
        std::fs::write(dir.join("supd.toml"), toml).expect("a file");
        let mut command = supctl();
        command.current_dir(&dir).env("HOME", "/root");
        let checked = command.args(["check", "supd.toml"]).output().expect("runs");
        assert_eq!(checked.status.code(), Some(0), "{file}: {checked:?}");
    }
    std::fs::remove_dir_all(&dir).expect("the directory is removed");
}

#[test]
fn what_cannot_be_used_says_so() {
    let dir = directory("bad");
    let bad = "[program:a]\ncommand=a | b\nstartsecs=soon\n[program:b]\n";
    std::fs::write(dir.join("bad.conf"), bad).expect("a file");
    std::fs::write(dir.join("empty"), "# nothing\n").expect("a file");
    let told = [
        "import supervisord bad.conf",
        "import procfile empty",
        "import procfile absent",
        "import procfile empty --json",
    ];
    let told = told.map(|line| run(&dir, line)).concat();
    std::fs::remove_dir_all(&dir).expect("the directory is removed");
    assert_snapshot!(told);
}
