// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs on a file system that does not answer: a mount that nobody serves.

use super::harness::{Dir, Start, Supd};
use super::rig::{is_missing, is_root, supctl};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::process::Stdio;

/// A daemon that sees a file system at `DIR/dead` which answers nothing as long as the file is
/// open, and everything with an error afterwards.
fn with_a_dead_file_system(config: &str) -> Option<(Supd, File)> {
    let fuse = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    if is_missing(
        "/dev/fuse and the right to mount",
        fuse.is_ok() && is_root(),
    ) {
        return None;
    }
    let fuse = fuse.expect("it is there");
    let dir = Dir::new();
    dir.write("supd.toml", &super::harness::expand(config, &dir));
    let place = dir.path("dead");
    std::fs::create_dir(&place).expect("a directory");
    let supd = std::thread::scope(|scope| {
        let started = scope.spawn(|| {
            // The mounts of this thread and its children are their own.
            unshare(CloneFlags::CLONE_NEWNS).expect("mounts of our own");
            let none: Option<&str> = None;
            let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
            mount(none, "/", none, private, none).expect("private");
            let how = format!(
                "fd={},rootmode=40000,user_id=0,group_id=0",
                fuse.as_raw_fd()
            );
            let (what, kind) = (Some("dead"), Some("fuse"));
            mount(what, &place, kind, MsFlags::empty(), Some(how.as_str())).expect("mounted");
            Supd::start_in(
                dir,
                Start {
                    stdout: Stdio::null(),
                    ..Start::default()
                },
            )
        });
        started.join().expect("started")
    });
    Some((supd, fuse))
}

#[test]
fn a_program_that_cannot_be_reached_holds_nobody_up() {
    let config = "[defaults]\nbackoff = { initial = \"10ms\" }\n\
         [service.far]\ncommand = \"DIR/dead/program\"\nstop = { signal = \"QUIT\" }\n\
         [service.home]\nworkdir = \"DIR/dead\"\ncommand = \"CHILD sleep forever\"\n\
         [service.near]\ncommand = \"CHILD sleep forever\"";
    let Some((mut supd, fuse)) = with_a_dead_file_system(config) else {
        return;
    };
    supd.event("service.ready", "near");
    for name in ["far", "home"] {
        assert_eq!(supd.node(name)["state"], "starting", "{}", supd.story());
    }
    let first = supd.pid_of("far");
    let (code, _, talk) = supctl(&supd, &["stop", "far"]);
    assert_eq!(code, 0, "it is stopped like any other: {talk}");
    let exit = supd.event("service.exited", "far");
    assert_eq!(exit["pid"], first);
    assert_eq!(
        exit["signal"], "KILL",
        "a core would be that of all who share its memory"
    );
    assert_eq!(supctl(&supd, &["start", "--no-wait", "far"]).0, 0);
    supd.event("service.starting", "far");
    // Now it answers, with an error.
    drop(fuse);
    for (name, stage) in [("far", "exec"), ("home", "workdir")] {
        let exit = supd.event("service.exited", name);
        assert_eq!(exit["class"], "exec_failed", "{exit}");
        assert_eq!(exit["failure"]["stage"], stage);
        assert_eq!(exit["phase"], "starting");
    }
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0));
}

#[test]
fn a_program_that_cannot_be_reached_has_no_more_than_its_time() {
    let config = "[service.far]\ncommand = \"DIR/dead/program\"\nstart_timeout = \"300ms\"\n\
         restart = \"temporary\"";
    let Some((mut supd, _fuse)) = with_a_dead_file_system(config) else {
        return;
    };
    let exit = supd.event("service.exited", "far");
    assert_eq!(exit["class"], "start_timeout", "{exit}");
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0));
}
