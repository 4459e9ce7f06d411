// SPDX-License-Identifier: MIT OR Apache-2.0
//! Users: what only looks like one, and what happens when the kernel will not change to one.

use super::harness::{Dir, Start, Supd, expand};
use super::rig::{all, has_tool, is_missing, is_no_root, report};
use serde_json::json;
use std::process::{Command, Stdio};

#[test]
fn fault_28_what_only_looks_like_a_user_is_refused_where_it_stands() {
    for user in [
        "\"\"",
        "\"-1\"",
        "-1",
        "4294967295",
        "\"4294967295\"",
        "\" 0\"",
        "\"a b\"",
    ] {
        let dir = Dir::new();
        let toml = format!("[service.a]\ncommand = \"CHILD touch DIR/ran\"\nuser = {user}\n");
        let config = dir.write("supd.toml", &expand(&toml, &dir));
        let output = Command::new(env!("CARGO_BIN_EXE_supd"))
            .arg("-c")
            .arg(&config)
            .output()
            .expect("supd runs");
        assert_eq!(output.status.code(), Some(65), "{user}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("supd.toml:3:8"), "{user}: {text}");
        assert!(text.contains("`user`"), "{user}: {text}");
        assert!(!dir.path("ran").exists(), "{user}");
    }
}

#[test]
fn fault_28_a_user_that_is_nobody_never_becomes_root() {
    let mut supd = Supd::start(
        "[defaults]\nrestart = \"temporary\"\n\
         [service.a]\ncommand = \"CHILD touch DIR/ran\"\nuser = \"0day\"\n\
         [service.b]\ncommand = \"CHILD touch DIR/ran\"\nuser = \"0x0\"\n\
         [service.c]\ncommand = \"CHILD touch DIR/ran\"\nuser = \"no-such-user\"",
    );
    for _ in 0..3 {
        let exit = supd.event("service.exited", "");
        assert_eq!(exit["class"], "exec_failed", "{exit}");
        assert_eq!(exit["failure"]["stage"], "user", "{exit}");
    }
    assert!(!supd.dir.path("ran").exists());
}

#[test]
fn fault_28_numbers_work_where_there_is_no_passwd() {
    if is_no_root() {
        return;
    }
    let hide = "mount -t tmpfs none /etc && exec \"$@\"";
    let mut supd = Supd::start_with(Start {
        config: "[service.a]\ncommand = \"CHILD sleep forever\"\nuser = 4000000000\n\
                 [service.b]\nrestart = \"temporary\"\ncommand = \"CHILD exit 0\"\nuser = \"adm\"",
        wrapper: &["unshare", "--mount", "sh", "-c", hide, "sh"],
        stdout: Stdio::null(),
    });
    let [_, exit] = all(&mut supd, [("service.ready", "a"), ("service.exited", "b")]);
    assert_eq!(exit["failure"]["stage"], "user", "{exit}");
}

/// Every call by which a child becomes another user, and the step that is named for it.
const STEPS: [(&str, &str); 3] = [
    ("setgroups", "groups"),
    ("setresgid", "gid"),
    ("setresuid", "uid"),
];

#[test]
fn fault_29_a_child_that_cannot_change_its_user_never_executes_anything() {
    if is_no_root() || is_missing("strace", has_tool("strace")) {
        return;
    }
    for (call, stage) in STEPS {
        let inject = format!("inject={call}:error=EIO");
        let mut supd = Supd::start_with(Start {
            // It gives up by itself: a signal would only reach strace.
            config: "[supd]\nexit_delay = \"0s\"\n[supervisor.root]\nmax_restarts = 0\n\
                     [service.a]\ncommand = \"CHILD touch DIR/ran\"\nuser = 4242\ngroups = [7]",
            wrapper: &[
                "strace",
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                &inject,
                "--",
            ],
            stdout: Stdio::null(),
        });
        let exit = supd.event("service.exited", "a");
        assert_eq!(exit["class"], "exec_failed", "{exit}");
        assert_eq!(exit["failure"]["stage"], stage, "{exit}");
        assert_eq!(exit["failure"]["errno"], libc::EIO, "{exit}");
        assert_eq!(supd.wait().code(), Some(126), "{}", supd.story());
        assert!(!supd.dir.path("ran").exists(), "{call}");
    }
}

#[test]
fn fault_29_without_the_right_to_change_users_only_that_service_fails() {
    if is_no_root() {
        return;
    }
    let dir = Dir::new();
    let config = "[defaults]\nrestart = \"temporary\"\n\
         [service.other]\ncommand = \"CHILD touch DIR/ran\"\nuser = 4242\n\
         [service.zero]\ncommand = \"CHILD touch DIR/ran\"\nuser = 0\n\
         [service.same]\nrestart = \"permanent\"\nuser = 65534\n\
         command = \"CHILD report DIR/same sleep forever\"";
    dir.write("supd.toml", &expand(config, &dir));
    std::os::unix::fs::chown(&dir.0, Some(65534), Some(65534)).expect("its owner");
    let mut supd = Supd::start_in(
        dir,
        Start {
            config: "",
            wrapper: &[
                "setpriv",
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--",
            ],
            stdout: Stdio::null(),
        },
    );
    for _ in 0..2 {
        let exit = supd.event("service.exited", "");
        assert_eq!(exit["class"], "exec_failed", "{exit}");
        assert_eq!(exit["failure"]["errno"], libc::EPERM, "{exit}");
    }
    let report = report(&supd, "same");
    assert_eq!(report["uids"], json!([65534, 65534, 65534]), "no change");
    assert!(!supd.dir.path("ran").exists());
}
