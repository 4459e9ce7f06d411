// SPDX-License-Identifier: MIT OR Apache-2.0
//! The examples that heal what restarting does not, as they stand in `config/examples`, with real
//! processes and their real hooks.

use super::harness::{Dir, PATIENCE, Supd, kill};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// What stands before the command, and the variables it is given.
struct Around<'a> {
    wrapper: &'a [&'a str],
    env: &'a [(&'a str, &'a str)],
}

fn place(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let place = root.join(format!("story-{name}-{}", std::process::id()));
    let _none = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).expect("a directory");
    place
}

fn start(example: &str, around: &Around<'_>) -> Supd {
    let dir = Dir::new();
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config/examples")
        .join(example);
    let mut words: Vec<String> = around.wrapper.iter().map(ToString::to_string).collect();
    words.push(env!("CARGO_BIN_EXE_supd").to_owned());
    words.extend(["-c".to_owned(), file.display().to_string()]);
    words.extend(["--socket".to_owned(), dir.path("s").display().to_string()]);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdout(Stdio::null());
    command.envs(around.env.iter().copied());
    let mut supd = Supd::start_as(dir, command);
    supd.event("daemon.started", "");
    supd
}

/// Waits until this file holds this number: what a service writes at its start.
fn until_file(path: &Path, number: i32) {
    let end = Instant::now() + PATIENCE;
    let wanted = number.to_string();
    while !fs::read_to_string(path).is_ok_and(|text| text.trim() == wanted) {
        assert!(Instant::now() < end, "no {wanted} in {}", path.display());
        std::thread::yield_now();
    }
}

#[test]
fn a_pid_file_that_a_kill_left_behind_is_removed_before_the_restart() {
    let run = place("stale-pid");
    let run_text = run.display().to_string();
    let env = [("RUN", &*run_text)];
    let mut supd = start(
        "stale-pid.toml",
        &Around {
            wrapper: &[],
            env: &env,
        },
    );
    supd.event("service.ready", "neighbour");
    let neighbour = supd.pid_of("neighbour");
    let first = supd.pid_of("server");
    until_file(&run.join("server.pid"), first);
    kill(first, "SIGKILL");
    let refused = supd.until("the end because of the file", |e| {
        e["kind"] == "service.exited" && e["code"] == 3
    });
    assert_eq!(
        refused["decision"]["action"],
        "remediate",
        "{}",
        supd.story()
    );
    assert_eq!(
        supd.event("remediation.finished", "server")["verdict"],
        "fixed"
    );
    supd.event("service.ready", "server");
    until_file(&run.join("server.pid"), supd.pid_of("server"));
    assert_eq!(supd.pid_of("neighbour"), neighbour);
    fs::remove_dir_all(run).expect("it is removed");
}

#[test]
fn an_adapter_that_is_turned_away_waits_as_long_as_it_was_told() {
    let run = place("rate-limit");
    let run_text = run.display().to_string();
    let env = [("RUN", &*run_text), ("WAIT", "1")];
    let mut supd = start(
        "rate-limit.toml",
        &Around {
            wrapper: &[],
            env: &env,
        },
    );
    supd.event("service.ready", "shodan");
    let ares = supd.pid_of("ares");
    fs::write(run.join("busy"), "").expect("a file");
    kill(supd.pid_of("shodan"), "SIGKILL");
    supd.until("the end with 75", |e| {
        e["kind"] == "service.exited" && e["code"] == 75
    });
    let asked = supd.event("remediation.finished", "shodan");
    assert_eq!(asked["verdict"], "retry", "{}", supd.story());
    let waits = supd.event("service.backoff", "shodan");
    assert_eq!(waits["delay_ms"], 1000);
    supd.event("service.ready", "shodan");
    let node = supd.node("adapters");
    assert_eq!(
        node["used"], 1,
        "the kill counts, being turned away does not"
    );
    assert_eq!(supd.pid_of("ares"), ares);
    fs::remove_dir_all(run).expect("it is removed");
}

#[test]
fn a_full_disk_is_made_room_on_before_the_restart() {
    let data = place("full-disk");
    let data_text = data.display().to_string();
    let fill = "mount -t tmpfs -o size=64k none \"$DATA\" && mkdir \"$DATA/cache\" && \
         { dd if=/dev/zero of=\"$DATA/cache/old\" bs=4k 2>/dev/null || true; } && exec \"$@\"";
    let wrapper = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "sh",
        "-c",
        fill,
        "sh",
    ];
    let env = [("DATA", &*data_text)];
    let mut supd = start(
        "full-disk.toml",
        &Around {
            wrapper: &wrapper,
            env: &env,
        },
    );
    let full = supd.event("service.exited", "writer");
    assert_eq!(full["code"], 74, "{}", supd.story());
    let lines = full["last_lines"].to_string();
    assert!(lines.contains("No space left on device"), "{lines}");
    assert_eq!(
        supd.event("remediation.finished", "writer")["verdict"],
        "fixed"
    );
    supd.event("service.ready", "writer");
    assert_eq!(supd.node("store")["used"], 1);
    assert_eq!(supd.post("/v1/shutdown", "{}").0, 200);
    supd.wait();
    fs::remove_dir_all(data).expect("it is removed");
}
