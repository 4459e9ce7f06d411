// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recorded behaviour of real OTP supervisors, replayed with the daemon and real processes: the
//! committed cases. `examples/otp_conformance.rs --real` replays any directory of such cases.

#![allow(
    clippy::disallowed_methods,
    reason = "tests start the daemon and are nobody's PID 1"
)]

mod otp {
    pub(crate) mod case;
    pub(crate) mod compare;
}
mod otp_real;

use otp_real::{Programs, Verdict};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

fn programs() -> Programs {
    Programs {
        supd: vec![env!("CARGO_BIN_EXE_supd").into()],
        child: vec![env!("CARGO_BIN_EXE_supd-testchild").to_owned()],
        room: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
    }
}

fn cases() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    otp::compare::files(&dir).expect("the directory of cases can be read")
}

fn replayed(files: &[PathBuf]) -> Vec<Verdict> {
    let verdicts = Mutex::new(Vec::new());
    otp_real::replay_files(&programs(), files, &|_, verdict| {
        let mut verdicts = verdicts.lock().expect("invariant: nobody panics with it");
        verdicts.push(verdict.clone());
    });
    verdicts
        .into_inner()
        .expect("invariant: nobody panics with it")
}

#[test]
fn the_daemon_does_with_processes_what_otp_did() {
    let verdicts = replayed(&cases());
    let failed: String = verdicts
        .iter()
        .filter_map(|verdict| match verdict {
            Verdict::Failed(text) => Some(text.as_str()),
            Verdict::Passed | Verdict::NotMappable => None,
        })
        .collect();
    assert!(failed.is_empty(), "{failed}");
    let passed = verdicts.iter().filter(|v| **v == Verdict::Passed).count();
    assert!(passed >= 96, "only {passed} cases can be replayed");
}

#[test]
fn a_replay_notices_what_is_different() {
    let name = "hand-one_for_one_only_the_crashed_child.json";
    let file = cases().into_iter().find(|file| file.ends_with(name));
    let text = std::fs::read_to_string(file.expect("the case")).expect("its text");
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("wrong-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let mut wrong = Vec::new();
    for (what, right, other) in [
        ("strategy", "\"one_for_one\"", "\"one_for_all\""),
        (
            "reason",
            "\"reason\":\"error\"}]",
            "\"reason\":\"normal\"}]",
        ),
        (
            "state",
            "[\"root\",\"running\",1]",
            "[\"root\",\"running\",2]",
        ),
    ] {
        let text = text.replace(": ", ":").replace(", ", ",");
        assert!(text.contains(right), "no {what} in {text}");
        let path = dir.join(format!("{what}.json"));
        let text = text.replace(right, other);
        std::fs::write(&path, text).expect("a file");
        wrong.push(path);
    }
    let verdicts = replayed(&wrong);
    std::fs::remove_dir_all(&dir).expect("the directory is ours");
    assert_eq!(verdicts.len(), wrong.len());
    for verdict in verdicts {
        let Verdict::Failed(text) = verdict else {
            panic!("{verdict:?}");
        };
        assert!(text.contains("expected") && text.contains("got"), "{text}");
    }
}

/// The status of one request to a daemon with an empty tree.
fn status_of(request: &str) -> String {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("shut-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let config = dir.join("supd.toml");
    std::fs::write(&config, "[supervisor.root]\nchildren = []\n").expect("a file");
    let mut child = Command::new(env!("CARGO_BIN_EXE_supd"))
        .arg("-c")
        .arg(&config)
        .arg("--socket")
        .arg(dir.join("s"))
        .env_remove("SUPD_TEST_HOOKS")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("supd starts");
    let err = child.stderr.take().expect("its standard error");
    // It serves before it says this.
    let started = |line: &String| line.contains("daemon.started");
    let mut lines = BufReader::new(err).lines().map_while(Result::ok);
    assert!(lines.any(|line| started(&line)), "it does not start");
    let mut stream = UnixStream::connect(dir.join("s")).expect("a connection");
    let request = format!("{request} HTTP/1.1\r\nHost: supd\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    child.kill().expect("it was there");
    child.wait().expect("its end");
    std::fs::remove_dir_all(&dir).expect("the directory is ours");
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn what_replays_need_is_refused_to_everybody_else() {
    for what in ["hold/root", "nodes", "wait?quiet=1", "advance?ms=1000"] {
        let status = status_of(&format!("POST /v1/test/{what}"));
        assert_eq!(status, "404", "{what}");
    }
    let manifest = include_str!("../Cargo.toml");
    let features = manifest.split("[features]").nth(1).expect("features");
    for line in features.lines().filter(|l| l.contains("= [")) {
        let (name, list) = line.split_once('=').expect("a list");
        assert!(!list.contains("test-hooks"), "`{name}` carries the hooks");
        if line.starts_with("ctl") {
            break;
        }
    }
}
