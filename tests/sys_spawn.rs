// SPDX-License-Identifier: MIT OR Apache-2.0
//! Spawning: what a child is given, on every rung of the ladder, and why it does not run.
//! These tests need root, as does a daemon that changes users.

mod world;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use supd::spec::{
    Command, EnvInherit, EnvValue, ExitStatus, Limit, Limits, Process, Resource, Signal,
    SpawnFailure, Stage, Stdin, UserRef,
};
use supd::sys::block::Block;
use supd::sys::init::Inherited;
use supd::sys::spawn::{Pending, Plan, Rung, Session, Spawner, Started, Stdio, Surroundings};
use supd::sys::users::Users;
use supd::sys::{logpipe, own};
use world::{INHERITED, TESTCHILD, World, argv, code, end_of, process, script, text};

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

/// A process with every setting away from its default.
fn shaped(world: &World) -> Process {
    let mut process = script(&["report", "-"]);
    process.env = Box::new([("COLOUR".into(), EnvValue::Plain("green".into()))]);
    process.env_inherit = EnvInherit::Only(Box::new(["PATH".into()]));
    process.user = Some(UserRef::Id(4242));
    process.group = Some(UserRef::Id(4343));
    process.groups = Some(Box::new([UserRef::Id(4444)]));
    process.umask = Some(0o137);
    process.workdir = Some(world.dir.clone());
    process.limits = limits(Resource::Nofile, 77);
    process.nice = Some(3);
    process.oom_score_adj = Some(321);
    process.no_new_privileges = true;
    process
}

#[test]
fn every_rung_gives_the_same_surroundings() {
    if !world::is_root() {
        return;
    }
    let world = World::new("rungs");
    let process = shaped(&world);
    let mut seen: Vec<Value> = Vec::new();
    for rung in Rung::ALL {
        let spawner = Spawner::with_rung(&INHERITED, rung).expect("every rung holds here");
        assert_eq!(spawner.rung(), rung);
        let said = world::output(&spawner, &process, &Surroundings::new(&INHERITED));
        let mut report: Value = serde_json::from_str(&said).expect("a report");
        assert_eq!(report["pid"], report["sid"], "{rung:?}");
        for field in ["pid", "sid", "pgid"] {
            report[field] = Value::Null;
        }
        // The pipe has another number each time.
        report["descriptors"]["1"] = json!("a pipe");
        seen.push(report);
    }
    for report in &seen {
        assert_eq!(report, &seen[0]);
    }
}

#[test]
fn a_child_is_given_exactly_what_is_configured() {
    if !world::is_root() {
        return;
    }
    let world = World::new("given");
    let report = world.report(&shaped(&world));
    assert_eq!(report["uids"], json!([4242, 4242, 4242]));
    assert_eq!(report["gids"], json!([4343, 4343, 4343]));
    assert_eq!(report["groups"], json!([4343, 4444]));
    assert_eq!(report["umask"], json!(0o137));
    assert_eq!(report["cwd"], json!(text(&world.dir)));
    assert_eq!(report["rlimits"]["nofile"], json!([77, 77]));
    assert_eq!(report["nice"], json!(3));
    assert_eq!(report["oom_score_adj"], json!(321));
    assert_eq!(report["status"]["NoNewPrivs"], json!("1"));
    assert_eq!(report["status"]["CapEff"], json!("0000000000000000"));
    assert_eq!(report["pdeathsig"], json!(9), "set after the user changed");
    assert_eq!(report["ppid"], json!(std::process::id()));
    assert_eq!(report["env"]["COLOUR"], json!("green"));
    let names: Vec<&String> = report["env"].as_object().expect("names").keys().collect();
    assert_eq!(names, ["COLOUR", "PATH"]);
}

#[test]
fn a_child_without_settings_is_as_supd_was_started() {
    let world = World::new("plain");
    let report = world.report(&script(&["report", "-"]));
    let (soft, hard) = INHERITED.nofile;
    assert_eq!(report["rlimits"]["nofile"], json!([soft, hard]));
    assert_eq!(report["umask"], json!(INHERITED.umask));
    assert_eq!(report["oom_score_adj"], json!(INHERITED.oom_score_adj));
    let cwd = std::env::current_dir().expect("a directory");
    assert_eq!(report["cwd"], json!(text(&cwd)));
    let stat = std::fs::read_to_string("/proc/self/stat").expect("our own state");
    let nice = stat.split_whitespace().nth(18);
    assert_eq!(nice, Some(report["nice"].to_string().as_str()));
}

#[test]
fn the_limit_of_open_files_is_the_original_one_though_supd_raised_its_own() {
    let world = World::new("nofile");
    let mut inherited = Inherited::observe();
    inherited.nofile = (60, inherited.nofile.1);
    let around = Surroundings::new(&inherited);
    let said = world::output(&world.spawner, &script(&["report", "-"]), &around);
    let report: Value = serde_json::from_str(&said).expect("a report");
    assert_eq!(report["rlimits"]["nofile"], json!([60, INHERITED.nofile.1]));
}

#[test]
fn a_child_gets_each_variable_once_whoever_sets_it() {
    let world = World::new("variables");
    let own = [("A", "own"), ("B", "own"), ("PATH", "/none"), ("E", "own")];
    let mut inherited = Inherited::observe();
    inherited.env = own.map(|(n, v)| (n.into(), v.into())).into();
    let block = Rc::new(Block::new(&inherited.env));
    let mut process = process(&["/usr/bin/env"]);
    let plain = |text: &str| EnvValue::Plain(text.into());
    process.env = Box::new([("B".into(), plain("set")), ("C".into(), plain("set"))]);
    let extra = [("C", "supd"), ("D", "supd")];
    let mut around = Surroundings::new(&inherited);
    around.env = &extra;
    for block in [None, Some(&block)] {
        around.block = block;
        let said = world::output(&world.spawner, &process, &around);
        assert_eq!(said, "A=own\nB=set\nPATH=/none\nE=own\nC=supd\nD=supd\n");
    }
    process.command = argv(&["env"]);
    let plan = Plan::prepare(&process, &around).expect("a plan");
    let failed = world.spawner.spawn(&plan, Stdio::default());
    let wanted = failure(Stage::Lookup, libc::ENOENT);
    assert_eq!(failed.expect_err("not in the inherited PATH"), wanted);
}

#[test]
fn fault_24_a_child_sees_0_1_2_and_nothing_else() {
    let _world = World::new("descriptors");
    let open: Vec<_> = (0..100)
        .map(|_| {
            let file = std::fs::File::open("/dev/zero").expect("a file");
            fcntl(&file, FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).expect("no mark");
            file
        })
        .collect();
    for rung in Rung::ALL {
        let spawner = Spawner::with_rung(&INHERITED, rung).expect("every rung holds here");
        let around = Surroundings::new(&INHERITED);
        let said = world::output(&spawner, &script(&["report", "-"]), &around);
        let report: Value = serde_json::from_str(&said).expect("a report");
        let found = report["descriptors"].as_object().expect("descriptors");
        let numbers: Vec<&String> = found.keys().collect();
        assert_eq!(numbers, ["0", "1", "2"], "{rung:?}");
        assert_eq!(found["0"], json!("/dev/null"));
        assert_eq!(found["2"], json!("/dev/null"));
    }
    drop(open);
}

#[test]
fn the_readiness_descriptor_has_the_number_that_was_asked_for() {
    let _world = World::new("ready");
    for rung in Rung::ALL {
        let spawner = Spawner::with_rung(&INHERITED, rung).expect("every rung holds here");
        for number in [3_u32, 4, 5, 6, 7, 8, 20, 59] {
            let (read, write) = logpipe::pair(None).expect("a pipe");
            let (out, out_end) = logpipe::pair(None).expect("a pipe");
            let process = script(&["ready-fd", &number.to_string(), "report", "-"]);
            let plan = Plan::prepare(&process, &Surroundings::new(&INHERITED)).expect("a plan");
            let stdio = Stdio {
                stdout: Some(out_end.as_fd()),
                ready: Some((number, write.as_fd())),
                ..Stdio::default()
            };
            let child = spawner.spawn(&plan, stdio).expect("a child");
            drop((write, out_end));
            assert_eq!(world::read_all(&read), "\n", "{rung:?} {number}");
            let report: Value = serde_json::from_str(&world::read_all(&out)).expect("a report");
            let mut numbers: Vec<u32> = report["descriptors"]
                .as_object()
                .expect("descriptors")
                .keys()
                .map(|key| key.parse().expect("a number"))
                .collect();
            numbers.sort_unstable();
            assert_eq!(numbers, [0, 1, 2, number], "{rung:?}");
            assert_eq!(end_of(child.pid).status, code(0));
        }
    }
}

#[test]
fn spawning_leaves_no_descriptor_and_no_child_behind() {
    let world = World::new("leaks");
    let count = || std::fs::read_dir("/proc/self/fd").expect("a list").count();
    for rung in Rung::ALL {
        let spawner = Spawner::with_rung(&INHERITED, rung).expect("every rung holds here");
        let before = count();
        for words in [&[TESTCHILD, "exit", "0"][..], &["/nowhere"], &["no-such"]] {
            let plan = Plan::prepare(&process(words), &Surroundings::new(&INHERITED));
            if let Ok(child) = spawner.spawn(&plan.expect("a plan"), Stdio::default()) {
                end_of(child.pid);
            }
        }
        assert_eq!(count(), before, "{rung:?}");
    }
    let nobody = nix::sys::wait::waitpid(None, Some(nix::sys::wait::WaitPidFlag::WNOHANG));
    assert_eq!(
        nobody,
        Err(nix::Error::ECHILD),
        "failed children are reaped"
    );
    drop(world);
}

#[test]
fn descriptors_high_in_our_table_reach_the_child() {
    let world = World::new("high");
    let low: Vec<_> = (0..500)
        .map(|_| std::fs::File::open("/dev/null").expect("a file"))
        .collect();
    let (read, write) = logpipe::pair(None).expect("a pipe");
    assert!(write.as_raw_fd() > 500);
    drop(low);
    let stdio = Stdio {
        stdout: Some(write.as_fd()),
        ..Stdio::default()
    };
    let child = world.spawn_with(&script(&["print", "hello"]), stdio);
    let child = child.expect("a child");
    drop(write);
    assert_eq!(world::read_all(&read), "hello\n");
    end_of(child.pid);
}

#[test]
fn fault_25_signals_are_clean_whatever_ours_are() {
    let _world = World::new("signals");
    own::ignore(Signal::USR1).expect("ignored");
    own::ignore(Signal::HUP).expect("ignored");
    let signals = supd::sys::signals::Signals::install(&[Signal::USR2, Signal::CHLD]);
    let signals = signals.expect("installed");
    let mut blocked = nix::sys::signal::SigSet::empty();
    blocked.add(nix::sys::signal::Signal::SIGWINCH);
    blocked.thread_block().expect("blocked");
    for rung in Rung::ALL {
        let spawner = Spawner::with_rung(&INHERITED, rung).expect("every rung holds here");
        // A C program: a Rust one would have changed some of them before main.
        let status = process(&["cat", "/proc/self/status"]);
        let said = world::output(&spawner, &status, &Surroundings::new(&INHERITED));
        for field in ["SigBlk:", "SigIgn:", "SigCgt:", "SigPnd:"] {
            let line = said.lines().find(|line| line.starts_with(field));
            let bits = line.expect("the line").split_whitespace().nth(1);
            assert_eq!(bits, Some("0000000000000000"), "{rung:?} {field}");
        }
    }
    own::reset(Signal::USR1).expect("reset");
    own::reset(Signal::HUP).expect("reset");
    blocked.thread_unblock().expect("unblocked");
    drop(signals);
}

#[test]
fn signals_to_be_ignored_are_ignored_and_no_others() {
    let world = World::new("ignored");
    let mut around = Surroundings::new(&INHERITED);
    around.ignored = around.ignored.with(Signal::HUP).with(Signal::XFSZ);
    let status = process(&["cat", "/proc/self/status"]);
    let said = world::output(&world.spawner, &status, &around);
    let wanted = format!("SigIgn:\t{:016x}", 1_u64 | 1 << 24);
    assert!(said.lines().any(|line| line == wanted), "{said}");
}

#[test]
fn the_foreground_child_keeps_our_session_and_leads_a_group() {
    let world = World::new("foreground");
    let mut around = Surroundings::new(&INHERITED);
    around.session = Session::Foreground;
    let said = world::output(&world.spawner, &script(&["report", "-"]), &around);
    let report: Value = serde_json::from_str(&said).expect("a report");
    let ours = nix::unistd::getsid(None).expect("a session").as_raw();
    assert_eq!(report["sid"], json!(ours));
    assert_eq!(report["pgid"], report["pid"]);
}

#[test]
fn fault_15_every_exit_code_is_exact() {
    let world = World::new("codes");
    for n in 0..=255_u8 {
        let facts = world.run(&script(&["exit", &n.to_string()]));
        assert_eq!(facts.status, code(n));
    }
}

#[test]
fn fault_15_every_deadly_signal_is_exact() {
    let world = World::new("deaths");
    // CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG, WINCH: their default is not death (signal(7)).
    let harmless = [17, 18, 19, 20, 21, 22, 23, 28];
    for n in (1..=64).filter(|n| !harmless.contains(n)) {
        let facts = world.run(&script(&["signal", &n.to_string()]));
        let signal = Signal::from_number(n).expect("a signal");
        let wanted = ExitStatus::Signal {
            signal,
            core: false,
        };
        assert_eq!(facts.status, wanted, "signal {n}");
    }
}

#[test]
fn fault_15_a_dumped_core_is_seen() {
    let world = World::new("core");
    let mut process = process(&["/bin/sh", "-c", "kill -SEGV $$"]);
    process.workdir = Some(world.dir.clone());
    process.limits = limits(Resource::Core, 1 << 20);
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern");
    let to_file = pattern.is_ok_and(|text| text.starts_with("core"));
    let facts = world.run(&process);
    let signal = Signal::SEGV;
    let dumped = std::fs::read_dir(&world.dir).expect("a list").count() == 1;
    let (core, piped) = match facts.status {
        ExitStatus::Signal { signal: s, core } if s == signal => (core, !to_file),
        other => panic!("{other:?}"),
    };
    assert!(core == dumped || piped, "core {core}, a file {dumped}");
}

#[test]
fn what_a_process_used_is_told() {
    let world = World::new("usage");
    let facts = world.run(&script(&["eat", "64"]));
    assert!(facts.maxrss_kb > 64 << 10, "{facts:?}");
    assert!(facts.user_us + facts.system_us > 0, "{facts:?}");
}

#[test]
fn the_end_of_the_output_is_seen_when_the_child_is_gone() {
    let world = World::new("end");
    assert_eq!(
        world.output(&script(&["print", "a", "print", "b"])),
        "a\nb\n"
    );
}

#[test]
fn standard_input_is_null_a_file_or_ours() {
    let world = World::new("stdin");
    let mut cat = process(&["cat"]);
    assert_eq!(world.output(&cat), "");
    let file = world.file("in", "from a file", 0o600);
    cat.stdin = Stdin::Path(file);
    assert_eq!(world.output(&cat), "from a file");
    let fifo = world.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    let mut quiet = script(&["report", "-"]);
    quiet.stdin = Stdin::Path(fifo.clone());
    let report = world.report(&quiet);
    assert_eq!(
        report["descriptors"]["0"],
        json!(text(&fifo)),
        "without a writer"
    );
    quiet.stdin = Stdin::Inherit;
    let ours = std::fs::read_link("/proc/self/fd/0").expect("ours");
    let report = world.report(&quiet);
    assert_eq!(report["descriptors"]["0"], json!(text(&ours)));
    quiet.stdin = Stdin::Path(world.path("none"));
    let failed = world.spawn(&quiet).expect_err("no such file");
    assert_eq!(failed, failure(Stage::Stdin, libc::ENOENT));
}

#[test]
fn a_fifo_as_standard_input_blocks_as_programs_expect() {
    let world = World::new("fifo");
    let fifo = world.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    let mut cat = process(&["cat"]);
    cat.stdin = Stdin::Path(fifo.clone());
    let plan = Plan::prepare(&cat, &Surroundings::new(&INHERITED)).expect("a plan");
    let writer = std::fs::File::options().write(true).open(&fifo);
    let mut writer = writer.expect("the plan holds the other end");
    let (read, write) = logpipe::pair(None).expect("a pipe");
    let stdio = Stdio {
        stdout: Some(write.as_fd()),
        ..Stdio::default()
    };
    let child = world.spawner.spawn(&plan, stdio).expect("a child");
    drop((plan, write));
    std::io::Write::write_all(&mut writer, b"late").expect("written");
    drop(writer);
    assert_eq!(world::read_all(&read), "late");
    assert_eq!(end_of(child.pid).status, code(0));
}

#[test]
fn a_shell_is_given_its_text() {
    let world = World::new("shell");
    let mut process = process(&["-"]);
    process.command = Command::Shell("echo \"a  b\"; exit 3".into());
    assert_eq!(world.output(&process), "a  b\n");
    assert_eq!(world.run(&process).status, code(3));
}

#[test]
fn another_command_runs_in_the_context_of_the_service() {
    if !world::is_root() {
        return;
    }
    let world = World::new("helper");
    let command = argv(&["printenv", "COLOUR", "SUPD_PID"]);
    let mut around = Surroundings::new(&INHERITED);
    around.command = Some(&command);
    around.env = &[("SUPD_PID", "17")];
    let said = world::output(&world.spawner, &shaped(&world), &around);
    assert_eq!(said, "green\n17\n");
}

#[test]
fn a_word_is_looked_up_in_the_childs_own_path() {
    let world = World::new("path");
    for (dir, mode) in [("first", 0o644), ("second", 0o755), ("third", 0o755)] {
        std::fs::create_dir(world.path(dir)).expect("a directory");
        world.file(
            &format!("{dir}/tool"),
            &format!("#!/bin/sh\necho {dir}\n"),
            mode,
        );
    }
    let path = |dirs: &[&str]| {
        let dirs: Vec<String> = dirs
            .iter()
            .map(|dir| {
                if dir.is_empty() {
                    String::new()
                } else {
                    world.path(dir).display().to_string()
                }
            })
            .collect();
        let mut tool = process(&["tool"]);
        let value = EnvValue::Plain(dirs.join(":").into());
        tool.env = Box::new([("PATH".into(), value)]);
        tool.workdir = Some(world.path("third"));
        tool
    };
    assert_eq!(
        world.output(&path(&["none", "second", "third"])),
        "second\n"
    );
    assert_eq!(
        world.output(&path(&["first", "third", "second"])),
        "third\n"
    );
    assert_eq!(world.output(&path(&["none", ""])), "third\n", "empty: here");
    let failed = world.spawn(&path(&["none"])).expect_err("not there");
    assert_eq!(failed, failure(Stage::Lookup, libc::ENOENT));
    let failed = world
        .spawn(&path(&["first", "none"]))
        .expect_err("not executable");
    assert_eq!(failed, failure(Stage::Lookup, libc::EACCES));
}

#[test]
fn a_relative_working_directory_begins_where_supd_was_started() {
    let world = World::new("relative");
    let mut inherited = Inherited::observe();
    let at = nix::fcntl::open(&world.dir, OFlag::O_PATH, nix::sys::stat::Mode::empty());
    inherited.cwd = Some(at.expect("the directory"));
    std::fs::create_dir(world.path("below")).expect("a directory");
    let spawner = Spawner::new(&inherited).expect("a spawner");
    let mut process = script(&["report", "-"]);
    for (workdir, wanted) in [
        (None, world.dir.clone()),
        (Some("below"), world.path("below")),
    ] {
        process.workdir = workdir.map(Into::into);
        let said = world::output(&spawner, &process, &Surroundings::new(&inherited));
        let report: Value = serde_json::from_str(&said).expect("a report");
        assert_eq!(report["cwd"], json!(text(&wanted)));
    }
}

#[test]
fn a_named_user_gets_its_groups_and_its_home() {
    if !world::is_root() {
        return;
    }
    let world = World::new("user");
    let passwd = world.file("passwd", "shop:x:1500:1501::/srv/shop:/bin/sh\n", 0o644);
    let group = world.file(
        "group",
        "shop:x:1501:\nadm:x:1502:root,shop\nx:x:9:\n",
        0o644,
    );
    let users = Users::at(passwd, group);
    let mut around = Surroundings::new(&INHERITED);
    around.users = Some(&users);
    let mut process = script(&["report", "-"]);
    process.user = Some(UserRef::Name("shop".into()));
    let said = world::output(&world.spawner, &process, &around);
    let report: Value = serde_json::from_str(&said).expect("a report");
    assert_eq!(report["uids"], json!([1500, 1500, 1500]));
    assert_eq!(report["gids"], json!([1501, 1501, 1501]));
    assert_eq!(report["groups"], json!([1501, 1502]));
    assert_eq!(report["env"]["HOME"], json!("/srv/shop"));
    assert_eq!(report["env"]["USER"], json!("shop"));
    assert_eq!(report["env"]["LOGNAME"], json!("shop"));
}

#[test]
fn a_number_without_an_account_never_gets_group_0() {
    if !world::is_root() {
        return;
    }
    let world = World::new("number");
    let mut process = script(&["report", "-"]);
    process.user = Some(UserRef::Id(4242));
    let report = world.report(&process);
    assert_eq!(report["gids"], json!([4242, 4242, 4242]));
    assert_eq!(report["groups"], json!([4242]));
}

#[test]
fn pidfds_are_of_the_child_and_signal_it() {
    let world = World::new("pidfd");
    for rung in Rung::ALL {
        let spawner = Spawner::with_rung(&INHERITED, rung).expect("every rung holds here");
        let process = script(&["sleep", "forever"]);
        let plan = Plan::prepare(&process, &Surroundings::new(&INHERITED)).expect("a plan");
        let child = spawner.spawn(&plan, Stdio::default()).expect("a child");
        let pidfd = child.pidfd.as_ref().expect("a pidfd");
        let info = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
        let info = std::fs::read_to_string(info).expect("its facts");
        assert!(
            info.contains(&format!("Pid:\t{}\n", child.pid)),
            "{rung:?} {info}"
        );
        let mut procs = supd::sys::procs::Procs::new();
        procs.insert(child.pid, 7, child.pidfd);
        procs
            .signal(7, Signal::TERM, supd::spec::Scope::Leader)
            .expect("sent");
        let status = end_of(child.pid).status;
        let signal = Signal::TERM;
        assert_eq!(
            status,
            ExitStatus::Signal {
                signal,
                core: false
            },
            "{rung:?}"
        );
    }
    drop(world);
}

#[test]
fn a_spawner_without_pidfds_opens_no_descriptor_for_a_child() {
    for rung in Rung::ALL {
        let spawner = Spawner::with_rung(&INHERITED, rung).expect("every rung holds here");
        let spawner = spawner.without_pidfds();
        let process = script(&["sleep", "forever"]);
        let plan = Plan::prepare(&process, &Surroundings::new(&INHERITED)).expect("a plan");
        let child = spawner.spawn(&plan, Stdio::default()).expect("a child");
        assert!(child.pidfd.is_none(), "{rung:?}");
        let mut procs = supd::sys::procs::Procs::new();
        procs.insert(child.pid, 7, child.pidfd);
        procs
            .signal(7, Signal::KILL, supd::spec::Scope::Leader)
            .expect("sent by its pid");
        let signal = Signal::KILL;
        let core = false;
        assert_eq!(
            end_of(child.pid).status,
            ExitStatus::Signal { signal, core }
        );
    }
}

/// Starts that are not waited for at all, on every way that can be left alone.
fn impatient(rung: Rung) -> Spawner {
    let mut spawner = Spawner::with_rung(&INHERITED, rung).expect("every rung holds here");
    spawner.set_patience(Duration::ZERO);
    spawner
}

/// A process whose program is looked for in so many places that it takes its time.
fn slow(words: &[&str]) -> Process {
    let mut process = process(words);
    let (place, _) = TESTCHILD.rsplit_once('/').expect("a path");
    let path = format!("{}{place}", "/n:".repeat(40_000));
    process.env = Box::new([("PATH".into(), EnvValue::Plain(path.into()))]);
    process
}

/// What came of a start, however long it took.
fn came_of(started: Result<Started, SpawnFailure>) -> Result<(i32, Option<Pending>), SpawnFailure> {
    match started? {
        Started::Running(child) => Ok((child.pid, None)),
        Started::Pending(pending) => Ok((pending.pid(), Some(*pending))),
    }
}

#[test]
fn a_start_that_takes_its_time_is_heard_of_later() {
    let world = World::new("later");
    for rung in [Rung::SharedTable, Rung::OwnTable, Rung::NoPidfd] {
        let mut spawner = impatient(rung);
        let mut pendings = 0;
        for number in 0..8 {
            let (read, write) = logpipe::pair(None).expect("a pipe");
            let word = format!("{number}");
            let process = match number % 2 {
                0 => slow(&["supd-testchild", "print", &word]),
                _ => slow(&["no-such-program"]),
            };
            let stdio = Stdio {
                stdout: Some(write.as_fd()),
                ready: (number % 4 == 0).then_some((3, write.as_fd())),
                ..Stdio::default()
            };
            let plan = Plan::prepare(&process, &Surroundings::new(&INHERITED)).expect("a plan");
            let started = came_of(spawner.start(plan, stdio));
            drop(write);
            let outcome = started.map(|(pid, pending)| {
                let told = pending.map_or(Ok(()), |pending| {
                    pendings += 1;
                    let mut fds = [PollFd::new(pending.as_fd(), PollFlags::POLLIN)];
                    poll(&mut fds, PollTimeout::NONE).expect("news");
                    pending.outcome().expect("it is known")
                });
                (told, end_of(pid).status)
            });
            if number % 2 == 0 {
                assert_eq!(outcome, Ok((Ok(()), code(0))), "{rung:?}");
                assert_eq!(world::read_all(&read), format!("{word}\n"), "{rung:?}");
            } else {
                let wanted = failure(Stage::Lookup, libc::ENOENT);
                let told = outcome.and_then(|(told, _)| told);
                assert_eq!(told, Err(wanted), "{rung:?}");
            }
        }
        assert_eq!(pendings, 8, "{rung:?}");
    }
    drop(world);
}

#[test]
fn a_start_nobody_waits_for_goes_on_all_the_same() {
    let world = World::new("alone");
    let mut spawner = impatient(Rung::SharedTable);
    let (read, write) = logpipe::pair(None).expect("a pipe");
    let mut pids = Vec::new();
    for _ in 0..8 {
        let stdio = Stdio {
            stdout: Some(write.as_fd()),
            ..Stdio::default()
        };
        let process = slow(&["supd-testchild", "print", "x"]);
        let plan = Plan::prepare(&process, &Surroundings::new(&INHERITED));
        // What it shares with us must outlive our interest in it.
        let (pid, _) = came_of(spawner.start(plan.expect("a plan"), stdio)).expect("a child");
        pids.push(pid);
    }
    drop((write, spawner));
    assert_eq!(world::read_all(&read), "x\n".repeat(8));
    for pid in pids {
        assert_eq!(end_of(pid).status, code(0));
    }
    drop(world);
}
