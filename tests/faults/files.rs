// SPDX-License-Identifier: MIT OR Apache-2.0
//! A wrong file starts nothing, says where and what, and is exit code 65; for `supd` and for
//! `supctl check` alike.

use super::harness::{Dir, PATIENCE, Supd, expand};
use super::rig::eventually;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

/// The service that would run if anything did.
const CANARY: &str = "[service.canary]\ncommand = \"CHILD touch DIR/ran\"\n";

/// Waits for the end of a program that must not hang.
fn output(mut command: Command) -> Output {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let begun = Instant::now();
    eventually("its end", || {
        if begun.elapsed() > PATIENCE / 2 {
            child.kill().expect("killed");
        }
        child.try_wait().expect("its state")
    });
    child.wait_with_output().expect("its output")
}

fn refused(dir: &Dir, file: &Path, wanted: &[&str]) {
    let mut supd = Command::new(env!("CARGO_BIN_EXE_supd"));
    supd.arg("-c").arg(file);
    supd.arg("--socket").arg(dir.path("s"));
    let mut supctl = Command::new(env!("CARGO_BIN_EXE_supctl"));
    supctl.arg("check").arg(file);
    for command in [supd, supctl] {
        let said = output(command);
        let text = String::from_utf8_lossy(&said.stdout).into_owned()
            + &String::from_utf8_lossy(&said.stderr);
        assert_eq!(said.status.code(), Some(65), "{}: {text}", file.display());
        for word in wanted {
            assert!(text.contains(word), "no `{word}`: {text}");
        }
        assert!(!dir.path("ran").exists(), "nothing is started");
    }
}

/// A mistake after the canary, and what is said about it.
const MISTAKES: [(&str, &[&str]); 10] = [
    ("[service.b\n", &["E0101", "f.toml:3:"]),
    ("[service.b]\ncommnd = \"x\"\n", &["f.toml:4:1", "command"]),
    (
        "[service.b]\nautorestart = true\n",
        &["f.toml:4:1", "supervisord"],
    ),
    ("[service.b]\ncommand = 7\n", &["f.toml:4:11"]),
    (
        "[service.canary]\ncommand = \"x\"\n",
        &["E0101", "f.toml:3:", "canary"],
    ),
    (
        "[supervisor.s]\nchildren = [\"x\"]\n",
        &["f.toml:4:13", "`x`"],
    ),
    ("[supervisor.s]\nchildren = [\"s\"]\n", &["f.toml:", "`s`"]),
    ("[supervisor.s]\nmax_seconds = 0\n", &["f.toml:4:15"]),
    (
        "[service.b]\ncommand = \"x\"\nstart_timeout = 5\n",
        &["f.toml:5:17", "5s"],
    ),
    (
        "[service.b]\ncommand = \"a | b\"\n",
        &["f.toml:4:", "shell"],
    ),
];

#[test]
fn a_wrong_file_starts_nothing_and_says_where_and_what() {
    for (mistake, wanted) in MISTAKES {
        let dir = Dir::new();
        let file = dir.write("f.toml", &(expand(CANARY, &dir) + mistake));
        refused(&dir, &file, wanted);
    }
}

#[test]
fn fault_67_what_is_no_file_of_ours_is_refused_without_waiting_for_it() {
    let dir = Dir::new();
    let canary = expand(CANARY, &dir);
    refused(&dir, &dir.path("absent.toml"), &["absent.toml"]);
    fs::create_dir(dir.path("folder.toml")).expect("a directory");
    refused(&dir, &dir.path("folder.toml"), &["folder.toml"]);
    let fifo = dir.path("fifo.toml");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    refused(&dir, &fifo, &["fifo.toml"]);
    refused(&dir, Path::new("/dev/zero"), &["/dev/zero"]);
    let large = dir.write("large.toml", &(canary.clone() + &"#\n".repeat(3 << 20)));
    refused(&dir, &large, &["large.toml", "4 MiB"]);
    let bytes = [canary.as_bytes(), b"# \xff\xfe\n"].concat();
    fs::write(dir.path("latin.toml"), bytes).expect("a file");
    refused(&dir, &dir.path("latin.toml"), &["latin.toml", "UTF-8"]);
    let deep = "[".repeat(10_000);
    let deep = dir.write("deep.toml", &format!("{canary}[vars]\nx = {deep}\n"));
    refused(&dir, &deep, &["deep.toml"]);
    let half = &canary[..canary.len() - 3];
    refused(&dir, &dir.write("half.toml", half), &["half.toml:2:"]);
}

#[test]
fn fault_67_a_running_tree_is_not_touched_by_any_of_these() {
    let good = "[service.a]\ncommand = \"CHILD sleep forever\"\n";
    let mut supd = Supd::start(good);
    supd.event("supervisor.ready", "root");
    let pid = supd.pid_of("a");
    let deep = format!("[vars]\nx = {}\n", "[".repeat(10_000));
    for text in ["[service.a", "", &deep, "[service.a]\ncommand = 1\n"] {
        supd.dir.write("supd.toml", text);
        let (status, body) = supd.post("/v1/reload", "");
        if text.is_empty() {
            // An empty file is a tree without services: that is no mistake.
            assert_eq!(status, 200, "{body}");
            let again = expand(good, &supd.dir);
            supd.dir.write("supd.toml", &again);
            assert_eq!(supd.post("/v1/reload", "").0, 200);
            supd.event("service.ready", "a");
            continue;
        }
        assert_eq!((status, &body["ok"]), (200, &Value::Bool(false)), "{body}");
        assert_eq!(supd.node("a")["state"], "ready");
    }
    assert_ne!(supd.pid_of("a"), pid, "the empty tree has stopped it");
    fs::remove_file(supd.dir.path("supd.toml")).expect("removed");
    let pid = supd.pid_of("a");
    assert_eq!(supd.post("/v1/reload", "").1["ok"], false);
    assert_eq!(supd.pid_of("a"), pid);
}
