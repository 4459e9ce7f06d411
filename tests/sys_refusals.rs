// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a program does not run: every step from a plan to exec fails once, by a missing right or by
//! a filter, and is named with its errno.

mod world;

use std::os::fd::AsFd;
use std::sync::Arc;
use supd::spec::{
    EnvFile, EnvValue, Limit, Limits, Process, Resource, Signal, SpawnFailure, Stage, UserRef,
};
use supd::sys::spawn::{Plan, Rung, Spawner, Stdio, Surroundings};
use supd::sys::{logpipe, own};
use world::{INHERITED, World, again, code, end_of, process, script, text};

fn failure(stage: Stage, errno: i32) -> SpawnFailure {
    SpawnFailure { stage, errno }
}

fn limits(resource: Resource, value: u64) -> Arc<Limits> {
    let (soft, hard) = (Some(value), Some(value));
    Arc::new(Limits(Box::new([Limit {
        resource,
        soft,
        hard,
    }])))
}

/// The failure of a program anybody may execute.
fn spawn_refused(world: &World, shape: &dyn Fn(&mut Process)) -> SpawnFailure {
    let mut process = process(&["/bin/true"]);
    shape(&mut process);
    world.spawn(&process).expect_err("refused")
}

#[test]
fn fault_14_why_a_program_cannot_be_executed() {
    let world = World::new("exec");
    let script_text = "echo no interpreter named\n";
    let plain = world.file("plain", script_text, 0o644);
    let headless = world.file("headless", script_text, 0o755);
    let orphan = world.file("orphan", "#!/no/such/interpreter\n", 0o755);
    let busy = world.file("busy", "#!/bin/sh\n", 0o755);
    let writer = std::fs::File::options().write(true).open(&busy);
    let writer = writer.expect("open for writing");
    let around = world.path("loop");
    std::os::unix::fs::symlink(&around, &around).expect("a link");
    let below = plain.join("below");
    for (path, errno) in [
        (text(&world.path("none")), libc::ENOENT),
        (text(&plain), libc::EACCES),
        (text(&world.dir), libc::EACCES),
        (text(&headless), libc::ENOEXEC),
        (text(&orphan), libc::ENOENT),
        (text(&below), libc::ENOTDIR),
        (text(&around), libc::ELOOP),
        (text(&busy), libc::ETXTBSY),
        ("", libc::ENOENT),
    ] {
        for rung in Rung::ALL {
            let spawner = Spawner::with_rung(&INHERITED, rung).expect("every rung holds here");
            let plan = Plan::prepare(&process(&[path]), &Surroundings::new(&INHERITED));
            let failed = spawner.spawn(&plan.expect("a plan"), Stdio::default());
            let wanted = failure(Stage::Exec, errno);
            assert_eq!(failed.expect_err("refused"), wanted, "{rung:?} `{path}`");
        }
    }
    drop(writer);
    let long = "x".repeat(200_000);
    let failed = world
        .spawn(&script(&["print", &long]))
        .expect_err("refused");
    assert_eq!(failed, failure(Stage::Exec, libc::E2BIG));
    let failed = world.spawn(&process(&["a\0b"])).expect_err("refused");
    assert_eq!(failed, failure(Stage::Exec, libc::EINVAL));
}

#[test]
fn what_cannot_be_prepared_names_its_stage() {
    let world = World::new("stages");
    let refused = |shape: &dyn Fn(&mut Process)| {
        let mut process = script(&["exit", "0"]);
        shape(&mut process);
        world.spawn(&process).expect_err("refused")
    };
    let env_file = |name: &str, optional| {
        let path = world.path(name);
        Arc::from([EnvFile { path, optional }])
    };
    world.file("bad.env", "A=1\nB\n", 0o600);
    let failed = refused(&|p| p.env_files = env_file("none", false));
    assert_eq!(failed, failure(Stage::Env, libc::ENOENT));
    let failed = refused(&|p| p.env_files = env_file("bad.env", true));
    assert_eq!(failed, failure(Stage::Env, libc::EINVAL));
    let secret = EnvValue::File(world.path("none"));
    let failed = refused(&|p| p.env = Box::new([("S".into(), secret.clone())]));
    assert_eq!(failed, failure(Stage::Env, libc::ENOENT));
    let failed = refused(&|p| p.user = Some(UserRef::Name("no-such-user".into())));
    assert_eq!(failed, failure(Stage::User, libc::ENOENT));
    let failed = refused(&|p| p.group = Some(UserRef::Name("no-such-group".into())));
    assert_eq!(failed, failure(Stage::User, libc::ENOENT));
    let failed = refused(&|p| p.limits = limits(Resource::Nofile, u64::MAX - 1));
    assert_eq!(failed, failure(Stage::Limits, libc::EPERM));
    let failed = refused(&|p| p.workdir = Some(world.path("none")));
    assert_eq!(failed, failure(Stage::Workdir, libc::ENOENT));
    let optional = world.spawn(&Process {
        env_files: env_file("none", true),
        ..script(&["exit", "5"])
    });
    assert_eq!(end_of(optional.expect("a child").pid).status, code(5));
}

#[test]
fn fault_29_without_the_right_every_step_is_fatal_and_named() {
    if !world::is_root() && !world::is_again() {
        return;
    }
    let world = World::new("unprivileged");
    let name = "fault_29_without_the_right_every_step_is_fatal_and_named";
    if !again(&world, name, &[], |p| p.user = Some(UserRef::Id(65534))) {
        return;
    }
    let failed = spawn_refused(&world, &|p| p.user = Some(UserRef::Id(4242)));
    assert_eq!(failed, failure(Stage::Groups, libc::EPERM));
    let failed = spawn_refused(&world, &|p| p.user = Some(UserRef::Id(0)));
    assert_eq!(failed, failure(Stage::Groups, libc::EPERM));
    let failed = spawn_refused(&world, &|p| p.group = Some(UserRef::Id(0)));
    assert_eq!(failed, failure(Stage::Gid, libc::EPERM));
    let failed = spawn_refused(&world, &|p| p.nice = Some(-5));
    assert_eq!(failed, failure(Stage::Nice, libc::EACCES));
    let failed = spawn_refused(&world, &|p| p.oom_score_adj = Some(-500));
    assert_eq!(failed, failure(Stage::OomScore, libc::EACCES));
    let mut same = process(&["/usr/bin/id", "-u"]);
    same.user = Some(UserRef::Id(65534));
    assert_eq!(world.output(&same), "65534\n", "the same user is no change");
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NPROC, 0, 0)
        .expect("lowered");
    let failed = spawn_refused(&world, &|_| {});
    assert_eq!(failed, failure(Stage::Fork, libc::EAGAIN), "fault 20");
}

#[test]
fn fault_29_setuid_that_fails_is_fatal() {
    if !world::is_root() {
        return;
    }
    let world = World::new("no-setuid");
    let name = "fault_29_setuid_that_fails_is_fatal";
    let prefix = ["setpriv", "--bounding-set", "-setuid", "--"];
    if again(&world, name, &prefix, |_| {}) {
        let failed = spawn_refused(&world, &|p| p.user = Some(UserRef::Id(4242)));
        assert_eq!(failed, failure(Stage::Uid, libc::EPERM));
    }
}

#[test]
fn fault_29_a_step_that_a_filter_forbids_is_fatal_and_named() {
    if !world::is_root() {
        return;
    }
    let world = World::new("forbidden");
    let name = "fault_29_a_step_that_a_filter_forbids_is_fatal_and_named";
    if !again(&world, name, &[], |_| {}) {
        return;
    }
    // Filters add up, so the last step comes first.
    let user = |p: &mut Process| p.user = Some(UserRef::Id(4242));
    let limited = |p: &mut Process| p.limits = limits(Resource::Core, 0);
    let settled = |p: &mut Process| p.workdir = Some("/".into());
    for (call, stage, shape) in [
        (
            libc::SYS_execve,
            Stage::Exec,
            &user as &dyn Fn(&mut Process),
        ),
        (libc::SYS_chdir, Stage::Workdir, &settled),
        (libc::SYS_getresuid, Stage::Uid, &user),
        (libc::SYS_setresuid, Stage::Uid, &user),
        (libc::SYS_getresgid, Stage::Gid, &user),
        (libc::SYS_setresgid, Stage::Gid, &user),
        (libc::SYS_setgroups, Stage::Groups, &user),
        (libc::SYS_prlimit64, Stage::Limits, &limited),
        (libc::SYS_setsid, Stage::Session, &user),
        (libc::SYS_fchdir, Stage::Workdir, &user),
        (libc::SYS_clone, Stage::Fork, &user),
    ] {
        own::forbid(&[call], libc::EIO).expect("forbidden");
        assert_eq!(spawn_refused(&world, shape), failure(stage, libc::EIO));
    }
}

#[test]
fn fault_29_no_new_privileges_that_fails_is_fatal() {
    let world = World::new("prctl");
    let name = "fault_29_no_new_privileges_that_fails_is_fatal";
    if again(&world, name, &[], |_| {}) {
        own::forbid(&[libc::SYS_prctl], libc::EIO).expect("forbidden");
        let privileges = |p: &mut Process| {
            p.no_new_privileges = true;
            p.pdeathsig = None;
        };
        let failed = spawn_refused(&world, &privileges);
        assert_eq!(failed, failure(Stage::Prctl, libc::EIO));
        let failed = spawn_refused(&world, &|p| p.pdeathsig = Some(Signal::TERM));
        assert_eq!(failed, failure(Stage::Prctl, libc::EIO));
        let without = |p: &mut Process| p.pdeathsig = None;
        let mut free = process(&["/bin/true"]);
        without(&mut free);
        assert_eq!(world.run(&free).status, code(0));
    }
}

#[test]
fn a_user_from_whom_there_is_a_way_back_to_root_is_refused() {
    if !world::is_root() && !world::is_again() {
        return;
    }
    let world = World::new("way-back");
    let name = "a_user_from_whom_there_is_a_way_back_to_root_is_refused";
    let prefix = [
        "setpriv",
        "--reuid",
        "4141",
        "--inh-caps",
        "+setuid,+setgid",
    ];
    let mut words = prefix.to_vec();
    words.extend(["--ambient-caps", "+setuid,+setgid", "--clear-groups", "--"]);
    if again(&world, name, &words, |_| {}) {
        let failed = spawn_refused(&world, &|p| p.user = Some(UserRef::Id(4242)));
        assert_eq!(failed, failure(Stage::Uid, libc::EPERM));
    }
}

#[test]
fn a_readiness_descriptor_cannot_take_a_standard_number() {
    let world = World::new("ready-standard");
    let (_read, write) = logpipe::pair(None).expect("a pipe");
    for number in [0, 1, 2, u32::MAX] {
        let stdio = Stdio {
            ready: Some((number, write.as_fd())),
            ..Stdio::default()
        };
        let failed = world.spawn_with(&script(&["exit", "0"]), stdio);
        let failed = failed.expect_err("refused");
        assert_eq!(failed, failure(Stage::Descriptors, libc::EINVAL));
    }
    let stdio = Stdio {
        ready: Some((1 << 30, write.as_fd())),
        ..Stdio::default()
    };
    let failed = world.spawn_with(&script(&["exit", "0"]), stdio);
    assert_eq!(
        failed.expect_err("no such number"),
        failure(Stage::Descriptors, libc::EBADF)
    );
}

#[test]
fn the_working_directory_is_entered_as_the_services_user() {
    if !world::is_root() {
        return;
    }
    let world = World::new("workdir");
    let closed = world.path("closed");
    std::fs::create_dir(&closed).expect("a directory");
    std::fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("its mode");
    let mut process = script(&["exit", "0"]);
    process.workdir = Some(closed);
    assert_eq!(world.run(&process).status, code(0));
    process.user = Some(UserRef::Id(4242));
    let failed = world.spawn(&process).expect_err("no permission");
    assert_eq!(failed, failure(Stage::Workdir, libc::EACCES));
}
