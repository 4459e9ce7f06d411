// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other users at the control socket, who are what the kernel says they are. Only root can be
//! several users, so these tests are for root.

use super::harness::{Start, Supd};
use super::rig::{is_no_root, supctl_at};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

const WRITERS: u32 = 50_101;
const READERS: u32 = 50_102;
const UID: u32 = 50_001;

/// A daemon whose socket everybody can come near.
fn open_to_all() -> Supd {
    let config = format!(
        "[supd]\nsocket = {{ group = {WRITERS}, read_group = {READERS} }}\n\
         [service.web]\ncommand = \"CHILD sleep forever\""
    );
    let mut supd = Supd::start_with(Start {
        config: &config,
        ..Start::default()
    });
    supd.event("supervisor.ready", "root");
    supd
}

/// What the client of this user, with these supplementary groups, says: exit code and text.
fn as_user(supd: &Supd, uid: u32, groups: &str, words: &[&str]) -> (i32, String) {
    let (uid, groups) = (format!("--reuid={uid}"), groups_of(groups));
    run_behind(
        &["setpriv", &uid, "--regid=50000", &groups],
        &supd.socket(),
        words,
    )
}

fn groups_of(groups: &str) -> String {
    match groups {
        "" => "--clear-groups".to_owned(),
        groups => format!("--groups={groups}"),
    }
}

/// The client with words before it that make it somebody else.
fn run_behind(prefix: &[&str], socket: &Path, words: &[&str]) -> (i32, String) {
    let mut command = Command::new(prefix[0]);
    command.args(&prefix[1..]);
    // The binary may stand where others cannot come: it is handed over open.
    let binary = fs::File::open(env!("CARGO_BIN_EXE_supctl")).expect("the client");
    command
        .args(["/proc/self/fd/0", "--socket"])
        .arg(socket)
        .args(words);
    let output = command
        .stdin(Stdio::from(binary))
        .output()
        .expect("setpriv runs");
    let text = [output.stdout, output.stderr].concat();
    let code = output.status.code().expect("an exit code");
    (code, String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn fault_61_every_user_may_do_what_its_groups_say_and_no_more() {
    if is_no_root() {
        return;
    }
    let mut supd = open_to_all();
    let (writers, readers) = (WRITERS.to_string(), READERS.to_string());
    let both = format!("{writers},{readers}");
    let mode = fs::metadata(supd.socket()).expect("a socket").permissions();
    assert_eq!(mode.mode() & 0o777, 0o666, "two groups can come near");
    for (groups, may_read, may_write) in [
        (&*writers, true, true),
        (&*readers, true, false),
        (&*both, true, true),
        ("", false, false),
        ("50999", false, false),
        ("65534", false, false),
    ] {
        for uid in [UID, 65_534, 2_147_483_648, 4_294_967_294] {
            // The user without a number is nobody, whatever its groups.
            let somebody = uid != 65_534;
            let (code, text) = as_user(&supd, uid, groups, &["status", "web"]);
            let wanted = if may_read && somebody { 0 } else { 77 };
            assert_eq!(code, wanted, "{uid} {groups} status: {text}");
            let (code, text) = as_user(&supd, uid, groups, &["restart", "web"]);
            let wanted = if may_write && somebody { 0 } else { 77 };
            assert_eq!(code, wanted, "{uid} {groups} restart: {text}");
            if wanted == 77 {
                assert!(text.contains(&format!("uid {uid} may not")), "{text}");
            }
        }
    }
    // Who did it and who tried to is written down.
    let done = supd.until("a restart", |e| {
        e["kind"] == "command" && e["verb"] == "restart" && e["by"]["uid"] == UID
    });
    assert!(
        done["by"]["pid"].as_i64().is_some_and(|pid| pid > 0),
        "{done}"
    );
    let refused = supd.until("a refusal", |e| {
        e["kind"] == "command.refused" && e["by"]["uid"] == UID
    });
    let message = refused["message"].as_str().expect("a message");
    assert!(message.contains("POST /v1/nodes/"), "{message}");
}

#[test]
fn fault_61_root_of_another_user_namespace_is_not_root() {
    if is_no_root() {
        return;
    }
    let supd = open_to_all();
    let uid_word = format!("--reuid={UID}");
    let inside = [
        "setpriv",
        &uid_word,
        "--regid=50000",
        "--clear-groups",
        "unshare",
        "--user",
        "--map-root-user",
    ];
    let (code, text) = run_behind(&inside, &supd.socket(), &["stop", "web"]);
    if text.contains("unshare") {
        let missing = super::rig::is_missing("user name space", false);
        assert!(missing, "{text}");
        return;
    }
    assert_eq!(code, 77, "{text}");
    assert!(
        text.contains(&format!("uid {UID} may not do this")),
        "{text}"
    );
    assert_eq!(supd.node("web")["state"], "ready");
}

#[test]
fn fault_61_the_root_of_a_container_does_not_know_users_outside() {
    if is_no_root() {
        return;
    }
    // supd in a user name space where nobody but its own user has a number.
    let wrapper = [
        "setpriv",
        "--reuid=50009",
        "--regid=50000",
        "--clear-groups",
        "unshare",
        "--user",
        "--map-root-user",
    ];
    let probe = Command::new(wrapper[0])
        .args(&wrapper[1..])
        .arg("true")
        .status();
    if super::rig::is_missing("user name space", probe.is_ok_and(|s| s.success())) {
        return;
    }
    let dir = super::harness::Dir::new();
    let config = "[supd]\nsocket = { path = \"/tmp/supd-test-PID.sock\", group = 0, read_group = 65534 }\n\
                  [service.web]\ncommand = \"sleep 1000\"";
    let socket = format!("/tmp/supd-test-{}.sock", std::process::id());
    let config = config.replace("/tmp/supd-test-PID.sock", &socket);
    // What stands below /root cannot be read by that user: everything comes by descriptor.
    dir.write("supd.toml", &config);
    let shared = format!("/tmp/supd-test-{}.toml", std::process::id());
    fs::copy(dir.path("supd.toml"), &shared).expect("a copy");
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o644)).expect("readable");
    let binary = format!("/tmp/supd-test-{}", std::process::id());
    fs::copy(env!("CARGO_BIN_EXE_supd"), &binary).expect("a copy");
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).expect("executable");
    let mut command = Command::new(wrapper[0]);
    command
        .args(&wrapper[1..])
        .args([&binary, "-c", &shared])
        .stdout(Stdio::null());
    let mut supd = Supd::start_as(dir, command);
    supd.event("supervisor.ready", "root");
    // Root outside has no number inside, and neither has anybody else; the group without a number
    // makes nobody a reader.
    let (code, _, text) = supctl_at(Path::new(&socket), &["status"]);
    assert_eq!(code, 77, "{text}");
    assert!(text.contains("uid 65534 may not read this"), "{text}");
    let own = [
        "setpriv",
        "--reuid=50009",
        "--regid=50000",
        "--clear-groups",
    ];
    let (code, text) = run_behind(&own, Path::new(&socket), &["status"]);
    assert_eq!(code, 0, "{text}");
    drop(supd);
    for left in [&socket, &shared, &binary, &format!("{socket}.lock")] {
        let _ = fs::remove_file(left);
    }
}
