// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking a process over: whatever state it was started in, and without what may be missing.
//! Each case runs in a process of its own.

mod world;

use supd::spec::{Scope, Signal};
use supd::sys::init::Degraded::{Nofile, Subreaper};
use supd::sys::init::{Inherited, take_over};
use supd::sys::procs::Procs;
use supd::sys::spawn::{Rung, Spawner, Stdio, Surroundings};
use supd::sys::{own, reap};
use world::{World, again, code, process, script};

/// A line of our own /proc/self/status.
fn status(field: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/status").expect("our own state");
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    u64::from_str_radix(line.expect("the field").trim_matches([':', '\t']), 16).expect("a mask")
}

#[test]
fn fault_2_ignored_signals_are_taken_back_and_remembered() {
    let world = World::new("fault-2");
    let name = "fault_2_ignored_signals_are_taken_back_and_remembered";
    let prefix = ["env", "--ignore-signal=CHLD,HUP,PIPE"];
    if !again(&world, name, &prefix, |_| {}) {
        return;
    }
    let inherited = take_over().expect("taken over");
    assert!(inherited.ignored.contains(Signal::CHLD));
    assert!(inherited.ignored.contains(Signal::HUP));
    assert!(!inherited.ignored.contains(Signal::TERM));
    let ours = 1 << 12 | 1 << 20 | 1 << 21;
    assert_eq!(status("SigIgn"), ours, "PIPE, TTIN and TTOU");
    // With SIGCHLD ignored the kernel would have thrown the status away.
    let child = world.spawn(&script(&["exit", "6"])).expect("a child");
    let reaped = reap::wait_for(child.pid, &mut |_| {}).expect("kept for us");
    assert_eq!(reaped.facts.status, code(6));
}

#[test]
fn fault_2_a_blocked_sigchld_is_unblocked_and_remembered() {
    let world = World::new("fault-2-blocked");
    let name = "fault_2_a_blocked_sigchld_is_unblocked_and_remembered";
    if !again(&world, name, &[], |_| {}) {
        return;
    }
    let mut blocked = nix::sys::signal::SigSet::empty();
    blocked.add(nix::sys::signal::Signal::SIGCHLD);
    blocked.thread_block().expect("blocked");
    let inherited = take_over().expect("taken over");
    assert!(inherited.blocked.contains(Signal::CHLD));
    assert_eq!(status("SigBlk"), 0);
}

#[test]
fn umask_limits_and_directory_are_those_we_were_started_with() {
    let world = World::new("observed");
    let name = "umask_limits_and_directory_are_those_we_were_started_with";
    let prefix = [
        "/bin/sh",
        "-c",
        "umask 027; ulimit -S -n 99; exec \"$0\" \"$@\"",
    ];
    let dir = world.dir.clone();
    if !again(&world, name, &prefix, |p| p.workdir = Some(dir.clone())) {
        return;
    }
    let inherited = take_over().expect("taken over");
    assert_eq!(inherited.umask, 0o027);
    assert_eq!(inherited.nofile.0, 99);
    assert!(inherited.cwd.is_some());
    assert!(inherited.degraded.is_empty(), "{:?}", inherited.degraded);
    assert!(!inherited.is_pid1);
    let now = Inherited::observe();
    assert_eq!(now.umask, 0o077, "our own files are ours");
    assert_eq!(now.nofile, (inherited.nofile.1, inherited.nofile.1));
    assert_eq!(nix::sys::prctl::get_child_subreaper(), Ok(true));
}

#[test]
fn fault_24_what_was_left_open_for_us_is_not_for_a_program_we_become() {
    let world = World::new("marked");
    let name = "fault_24_what_was_left_open_for_us_is_not_for_a_program_we_become";
    let prefix = ["/bin/sh", "-c", "exec 7</dev/zero; exec \"$0\" \"$@\""];
    if !again(&world, name, &prefix, |_| {}) {
        return;
    }
    let seven = std::fs::read_link("/proc/self/fd/7").expect("open");
    assert_eq!(seven.to_str(), Some("/dev/zero"));
    take_over().expect("taken over");
    let info = std::fs::read_to_string("/proc/self/fdinfo/7").expect("still open");
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:\t"));
    let flags = u32::from_str_radix(flags.expect("flags"), 8).expect("a number");
    assert_ne!(flags & libc::O_CLOEXEC.cast_unsigned(), 0);
}

#[test]
fn fault_82_a_directory_that_was_removed_is_still_the_childrens() {
    let world = World::new("removed");
    let name = "fault_82_a_directory_that_was_removed_is_still_the_childrens";
    let gone = format!("/tmp/supd-gone-{}", std::process::id());
    let text = format!("mkdir {gone}; cd {gone}; rmdir {gone}; exec \"$0\" \"$@\"");
    if !again(&world, name, &["/bin/sh", "-c", &text], |_| {}) {
        return;
    }
    let inherited = take_over().expect("taken over");
    assert!(inherited.cwd.is_some());
    std::env::set_current_dir("/").expect("elsewhere");
    let spawner = Spawner::new(&inherited).expect("a spawner");
    let around = Surroundings::new(&inherited);
    let link = process(&["readlink", "/proc/self/cwd"]);
    let said = world::output(&spawner, &link, &around);
    assert!(said.ends_with(" (deleted)\n"), "{said}");
}

#[test]
fn pid_1_of_a_name_space_knows_it_and_is_no_sub_reaper() {
    if !world::is_root() {
        return;
    }
    let world = World::new("pid1");
    let name = "pid_1_of_a_name_space_knows_it_and_is_no_sub_reaper";
    let prefix = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    if !again(&world, name, &prefix, |_| {}) {
        return;
    }
    let inherited = take_over().expect("taken over");
    assert!(inherited.is_pid1);
    assert_eq!(nix::sys::prctl::get_child_subreaper(), Ok(false));
}

#[test]
fn fault_82_without_proc_and_dev_it_still_starts_and_spawns() {
    if !world::is_root() {
        return;
    }
    let world = World::new("bare");
    let name = "fault_82_without_proc_and_dev_it_still_starts_and_spawns";
    let hide = "mount -t tmpfs none /proc; mount -t tmpfs none /dev; exec \"$0\" \"$@\"";
    let prefix = ["unshare", "--mount", "--", "/bin/sh", "-c", hide];
    if !again(&world, name, &prefix, |_| {}) {
        return;
    }
    let inherited = take_over().expect("taken over");
    assert_eq!(inherited.oom_score_adj, None);
    assert!(!inherited.degraded.is_empty());
    let spawner = Spawner::new(&inherited).expect("a spawner");
    let around = Surroundings::new(&inherited);
    let mut words = process(&["echo", "alive"]);
    assert_eq!(world::output(&spawner, &words, &around), "alive\n");
    words = process(&["cat"]);
    assert_eq!(
        world::output(&spawner, &words, &around),
        "",
        "an empty standard input"
    );
}

/// With a filter that answers like this, everything works, on a lower rung.
fn works_without_newer_calls(errno: i32) {
    let calls = [
        libc::SYS_clone3,
        libc::SYS_close_range,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_send_signal,
    ];
    own::forbid(&calls, errno).expect("forbidden");
    let inherited = take_over().expect("taken over");
    let spawner = Spawner::new(&inherited).expect("a spawner");
    assert_eq!(spawner.rung(), Rung::OwnTable);
    let around = Surroundings::new(&inherited);
    let said = world::output(&spawner, &script(&["report", "-"]), &around);
    let report: serde_json::Value = serde_json::from_str(&said).expect("a report");
    let numbers = report["descriptors"].as_object().expect("descriptors");
    assert_eq!(numbers.keys().collect::<Vec<_>>(), ["0", "1", "2"]);
    assert_eq!(report["pid"], report["sid"]);
    let plan = supd::sys::spawn::Plan::prepare(&script(&["sleep", "forever"]), &around);
    let child = spawner.spawn(&plan.expect("a plan"), Stdio::default());
    let child = child.expect("a child");
    let mut procs = Procs::new();
    procs.insert(child.pid, 1, child.pidfd);
    procs.signal(1, Signal::KILL, Scope::Leader).expect("sent");
    assert!(reap::wait_for(child.pid, &mut |_| {}).is_some());
}

const LEAVE_7_OPEN: [&str; 3] = ["/bin/sh", "-c", "exec 7</dev/zero; exec \"$0\" \"$@\""];

#[test]
fn fault_83_a_filter_that_answers_eperm_costs_speed_only() {
    let world = World::new("eperm");
    let name = "fault_83_a_filter_that_answers_eperm_costs_speed_only";
    if again(&world, name, &LEAVE_7_OPEN, |_| {}) {
        works_without_newer_calls(libc::EPERM);
    }
}

#[test]
fn fault_83_a_filter_that_answers_enosys_costs_speed_only() {
    let world = World::new("enosys");
    let name = "fault_83_a_filter_that_answers_enosys_costs_speed_only";
    if again(&world, name, &LEAVE_7_OPEN, |_| {}) {
        works_without_newer_calls(libc::ENOSYS);
    }
}

#[test]
fn where_nothing_may_be_raised_it_goes_on_and_says_so() {
    let world = World::new("degraded");
    let name = "where_nothing_may_be_raised_it_goes_on_and_says_so";
    let prefix = ["/bin/sh", "-c", "ulimit -S -n 99; exec \"$0\" \"$@\""];
    if !again(&world, name, &prefix, |_| {}) {
        return;
    }
    own::forbid(&[libc::SYS_prctl, libc::SYS_prlimit64], libc::EPERM).expect("forbidden");
    let inherited = take_over().expect("taken over");
    assert!(inherited.degraded.contains(&Subreaper(libc::EPERM)));
    // Without the call even the old limit cannot be read.
    assert!(
        inherited
            .degraded
            .iter()
            .all(|d| matches!(d, Subreaper(_) | Nofile(_)))
    );
}
