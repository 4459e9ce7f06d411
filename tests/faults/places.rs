// SPDX-License-Identifier: MIT OR Apache-2.0
//! The place of the control socket: two that want it, one that is slow, one that is removed, one
//! that somebody has laid a trap in, and none at all.

use super::harness::{CHILD, Dir, Start, Supd, alive, expand, kill};
use super::rig::{eventually, is_no_root, supctl_at};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const ONE: &str = "[service.a]\ncommand = \"CHILD sleep forever\"";

fn one() -> Supd {
    let mut supd = Supd::start(ONE);
    supd.event("supervisor.ready", "root");
    supd
}

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).expect("a file").ino()
}

/// A daemon in this directory, as it is, without waiting for anything.
fn bare(dir: &Dir) -> Child {
    Command::new(env!("CARGO_BIN_EXE_supd"))
        .arg("-c")
        .arg(dir.path("supd.toml"))
        .arg("--socket")
        .arg(dir.path("s"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("supd starts")
}

/// `Some`: it was answered.
fn asked(socket: &Path) -> Option<()> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream
        .write_all(b"GET /v1/health?level=live HTTP/1.1\r\n\r\n")
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(())
}

fn answers(socket: &Path) -> bool {
    supctl_at(socket, &["health", "--live"]).0 == 0
}

#[test]
fn fault_62_two_that_start_over_a_stale_socket_leave_one_that_answers() {
    let dir = Dir::new();
    dir.write("supd.toml", "[supervisor.root]\nchildren = []\n");
    for round in 0..200 {
        // What a daemon leaves that was killed.
        let _ = fs::remove_file(dir.path("s"));
        drop(UnixListener::bind(dir.path("s")).expect("a stale socket"));
        let mut both = [bare(&dir), bare(&dir)];
        let (loser, code) = eventually("one goes away", || {
            let ended = both.iter_mut().enumerate();
            let mut ended = ended.filter_map(|(n, d)| Some((n, d.try_wait().ok()??.code())));
            ended.next()
        });
        assert_eq!(code, Some(75), "round {round}");
        let winner = &mut both[1 - loser];
        // Answered by its loop: nothing it may be forking then holds a copy of the lock when it is
        // killed.
        eventually("the other one answers", || asked(&dir.path("s")));
        assert_eq!(winner.try_wait().expect("its state"), None, "round {round}");
        winner.kill().expect("killed");
        winner.wait().expect("its end");
    }
}

#[test]
fn fault_65_one_that_is_stopped_is_not_taken_for_dead() {
    let mut supd = one();
    let before = inode(&supd.socket());
    supd.signal("SIGSTOP");
    let mut second = bare(&supd.dir);
    assert_eq!(second.wait().expect("its end").code(), Some(75));
    supd.signal("SIGCONT");
    assert_eq!(supd.get("/v1/health").0, 200);
    assert_eq!(inode(&supd.socket()), before, "nobody has touched it");
    supd.signal("SIGTERM");
    supd.wait();
    assert!(!supd.socket().exists(), "the end removes it");
}

#[test]
fn fault_64_a_socket_that_a_cleaner_removes_is_there_again() {
    let mut supd = one();
    let stream = supd.stream("/v1/events?follow=1");
    for left in [&["s"][..], &["s", "s.lock"], &["s.lock"]] {
        let before = inode(&supd.socket());
        for name in left {
            fs::remove_file(supd.dir.path(name)).expect("removed");
        }
        let told = supd.event("daemon.surroundings", "");
        let message = told["message"].as_str().expect("a message");
        assert!(message.contains("it is there again"), "{message}");
        assert_ne!(inode(&supd.socket()), before);
        assert_eq!(supd.get("/v1/health").0, 200);
        // The lock is ours, too: a second one still goes away.
        assert_eq!(bare(&supd.dir).wait().expect("its end").code(), Some(75));
    }
    // Who was connected before noticed nothing.
    supd.post("/v1/nodes/a/restart", "");
    super::harness::line(&stream, |l| l.contains("\"verb\":\"restart\""));
}

#[test]
fn fault_64_a_place_that_another_one_has_taken_is_left_to_it() {
    let mut supd = one();
    // Stopped, so that it cannot notice before the other one is there.
    supd.signal("SIGSTOP");
    fs::remove_file(supd.dir.path("s.lock")).expect("removed");
    let before = inode(&supd.socket());
    let mut second = bare(&supd.dir);
    eventually("the other one takes the place", || {
        let now = fs::symlink_metadata(supd.socket()).ok()?.ino();
        (now != before).then_some(())
    });
    supd.signal("SIGCONT");
    let told = supd.event("daemon.surroundings", "");
    let message = told["message"].as_str().expect("a message");
    assert!(
        message.contains("another supd has taken its place"),
        "{message}"
    );
    let theirs = inode(&supd.socket());
    supd.signal("SIGTERM");
    supd.wait();
    assert_eq!(inode(&supd.socket()), theirs, "it is not ours to remove");
    assert!(answers(&supd.socket()));
    second.kill().expect("killed");
    second.wait().expect("its end");
}

#[test]
fn fault_64_usr1_looks_again_for_a_place_there_was_none_for() {
    let dir = Dir::new();
    dir.write("s", "precious");
    dir.write("supd.toml", &expand(ONE, &dir));
    let mut supd = Supd::start_in(dir, Start::default());
    supd.event("daemon.surroundings", "");
    supd.event("supervisor.ready", "root");
    supd.signal("SIGUSR1");
    let told = supd.event("daemon.surroundings", "");
    let message = told["message"].as_str().expect("a message");
    assert!(message.contains("still no control socket"), "{message}");
    fs::remove_file(supd.socket()).expect("removed");
    supd.signal("SIGUSR1");
    let told = supd.event("daemon.surroundings", "");
    let message = told["message"].as_str().expect("a message");
    assert!(
        message.contains("there is a control socket now"),
        "{message}"
    );
    assert_eq!(supd.get("/v1/health").0, 200);
}

/// Puts something where our directory would be; another directory for it to lead to.
type Trap = fn(&Path, &Path);

/// Starts a daemon that finds its place by the ladder, with this as `$TMPDIR`, and says where it
/// is. Nothing else can be
/// written to, so that what runs on this machine is not disturbed.
fn by_the_ladder(dir: Dir, tmpdir: &Path) -> (Supd, String) {
    dir.write("supd.toml", &expand(ONE, &dir));
    let mut command = Command::new("unshare");
    command
        .args(super::rig::unshare_mounts().split_first().expect("words").1)
        .args(["sh", "-c"])
        .arg(
            // TMPDIR is a mount of its own, so that it stays writable when it lies below /tmp.
            "mount -t tmpfs -o ro none /run && mount -t tmpfs -o ro none /dev/shm && \
             mount --bind \"$TMPDIR\" \"$TMPDIR\" && mount --rbind /tmp /tmp && \
             mount -o remount,bind,ro /tmp && exec \"$@\"",
        )
        .args(["sh", env!("CARGO_BIN_EXE_supd"), "-c"])
        .arg(dir.path("supd.toml"))
        .env("TMPDIR", tmpdir)
        .env_remove("XDG_RUNTIME_DIR")
        .env_remove("SUPD_SOCKET")
        .stdout(Stdio::null());
    let mut supd = Supd::start_as(dir, command);
    supd.event("supervisor.ready", "root");
    let pid = supd.pid();
    // Who listens is asked of the kernel, in the daemon's own view.
    let text = fs::read_to_string(format!("/proc/{pid}/net/unix")).expect("sockets");
    let place = text
        .lines()
        .filter_map(|l| l.split_whitespace().last())
        .find(|path| path.starts_with(&*tmpdir.display().to_string()))
        .unwrap_or_default()
        .to_owned();
    (supd, place)
}

#[test]
fn the_directory_of_our_own_is_made_for_us_alone() {
    if is_no_root() {
        return;
    }
    let dir = Dir::new();
    let tmpdir = dir.path("tmp");
    fs::create_dir(&tmpdir).expect("a directory");
    let (supd, place) = by_the_ladder(dir, &tmpdir);
    let own = tmpdir.join("supd-0");
    assert_eq!(fs::metadata(&own).expect("made").mode() & 0o7777, 0o700);
    assert!(answers(&own.join("supd.sock")), "{place} {}", supd.story());
}

#[test]
fn fault_63_a_trap_where_our_directory_should_be_is_not_walked_into() {
    if is_no_root() {
        return;
    }
    let traps: [(&str, Trap); 4] = [
        ("a link", |own, other| symlink(other, own).expect("a link")),
        ("open to others", |own, _| {
            fs::create_dir(own).expect("a directory");
            fs::set_permissions(own, fs::Permissions::from_mode(0o777)).expect("open");
        }),
        ("somebody else's", |own, _| {
            fs::create_dir(own).expect("a directory");
            fs::set_permissions(own, fs::Permissions::from_mode(0o700)).expect("closed");
            std::os::unix::fs::chown(own, Some(50_001), None).expect("given away");
        }),
        ("a file", |own, _| {
            fs::write(own, "precious").expect("a file");
        }),
    ];
    for (what, lay) in traps {
        let dir = Dir::new();
        let (tmpdir, other) = (dir.path("tmp"), dir.path("other"));
        fs::create_dir(&tmpdir).expect("a directory");
        fs::create_dir(&other).expect("a directory");
        lay(&tmpdir.join("supd-0"), &other);
        let (_supd, place) = by_the_ladder(dir, &tmpdir);
        assert!(
            !place.starts_with(&*tmpdir.display().to_string()),
            "{what}: {place}"
        );
        assert_eq!(fs::read_dir(&other).expect("there").count(), 0, "{what}");
        // The client does not walk into it either.
        let said = Command::new(env!("CARGO_BIN_EXE_supctl"))
            .arg("status")
            .env("TMPDIR", &tmpdir)
            .env_remove("SUPD_SOCKET")
            .env_remove("XDG_RUNTIME_DIR")
            .output()
            .expect("supctl runs");
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        // Another daemon further down the ladder may answer.
        if what != "a file" && !said.status.success() {
            assert!(text.contains("cannot trust"), "{what}: {text}");
        }
    }
}

#[test]
fn fault_63_an_asked_place_that_everybody_can_write_to_is_refused() {
    let dir = Dir::new();
    let open: PathBuf = dir.path("open");
    fs::create_dir(&open).expect("a directory");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("open");
    dir.write("supd.toml", &expand(ONE, &dir));
    let mut command = Command::new(env!("CARGO_BIN_EXE_supd"));
    command
        .arg("-c")
        .arg(dir.path("supd.toml"))
        .arg("--socket")
        .arg(open.join("s"));
    let mut supd = Supd::start_as(dir, command);
    let told = supd.event("daemon.surroundings", "");
    let message = told["message"].as_str().expect("a message");
    assert!(
        message.contains("everybody may write to its directory"),
        "{message}"
    );
    supd.event("supervisor.ready", "root");
    assert!(!open.join("s").exists());
    // With the sticky bit nobody can replace what is ours.
    fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).expect("sticky");
    supd.signal("SIGUSR1");
    supd.event("daemon.surroundings", "");
    assert!(answers(&open.join("s")));
}

#[test]
fn an_abstract_socket_is_had_by_asking_for_it() {
    let dir = Dir::new();
    let name = format!("@supd-test-{}", std::process::id());
    dir.write("supd.toml", &expand(ONE, &dir));
    let mut command = Command::new(env!("CARGO_BIN_EXE_supd"));
    command
        .arg("-c")
        .arg(dir.path("supd.toml"))
        .args(["--socket", &name]);
    let mut supd = Supd::start_as(dir, command);
    supd.event("supervisor.ready", "root");
    assert!(answers(Path::new(&name)));
    let (code, out, _) = supctl_at(Path::new(&name), &["status", "a"]);
    assert_eq!((code, out.contains("ready")), (0, true), "{out}");
    let mut second = bare_at(&supd.dir, &name);
    assert_eq!(second.wait().expect("its end").code(), Some(75));
    let pid = supd.pid();
    kill(pid, "SIGTERM");
    supd.wait();
    assert!(!alive(pid) && !CHILD.is_empty());
}

fn bare_at(dir: &Dir, socket: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_supd"))
        .arg("-c")
        .arg(dir.path("supd.toml"))
        .args(["--socket", socket])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("supd starts")
}
