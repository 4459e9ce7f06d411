// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reaping and signalling: every end is seen once, with the right facts, and no signal goes astray.

mod world;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use supd::spec::{ExitStatus, Scope, Signal};
use supd::sys::leftovers;
use supd::sys::logpipe;
use supd::sys::procs::Procs;
use supd::sys::reap;
use supd::sys::signals::{Arrived, Signals};
use supd::sys::spawn::Stdio;
use world::{World, again, code, end_of, script};

fn died_by(signal: Signal) -> ExitStatus {
    let core = false;
    ExitStatus::Signal { signal, core }
}

/// Waits until a signal has arrived.
fn arrival(signals: &mut Signals) -> Arrived {
    let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::from(20_000_u16)) {
        Ok(seen) => assert_eq!(seen, 1, "no signal within 20 s"),
        Err(error) => assert_eq!(error, nix::Error::EINTR),
    }
    signals.drain()
}

#[test]
fn fault_1_five_hundred_children_that_die_at_once_are_all_told_apart() {
    let world = World::new("mass");
    let mut procs = Procs::new();
    let mut wanted = BTreeMap::new();
    for run in 0..500_u32 {
        let n = u8::try_from(run % 256).expect("a byte");
        let child = world.spawn(&script(&[
            "on",
            "TERM",
            "exit",
            &n.to_string(),
            "sleep",
            "forever",
        ]));
        let child = child.expect("a child");
        procs.insert(child.pid, run, child.pidfd);
        wanted.insert(run, n);
    }
    // A test child may be told before it listens; then the signal itself is its end.
    let all: Vec<u32> = procs.iter().map(|(_, run)| run).collect();
    for run in &all {
        procs
            .signal(*run, Signal::TERM, Scope::Group)
            .expect("sent");
    }
    loop {
        let left = procs.iter().next().map(|(pid, _)| pid);
        let Some(pid) = left else { break };
        // Whoever is dead by now, and at least this one.
        let first = reap::wait_for(pid, &mut |_| {}).into_iter();
        for reaped in first.chain(std::iter::from_fn(|| reap::next(&mut |_| {}))) {
            let run = procs.take(reaped.pid).expect("one of ours, once");
            let n = wanted.remove(&run).expect("not seen before");
            let status = reaped.facts.status;
            assert!(
                status == code(n) || status == died_by(Signal::TERM),
                "{status:?}"
            );
        }
    }
    assert!(wanted.is_empty() && procs.is_empty());
}

#[test]
fn a_child_is_still_a_zombie_when_it_is_peeked_at() {
    let world = World::new("zombie");
    let child = world.spawn(&script(&["exit", "7"])).expect("a child");
    let mut state = None;
    let look =
        &mut |dead: &reap::Reaped| state = leftovers::look_at(dead.pid).map(|seen| seen.state);
    let reaped = reap::wait_for(child.pid, look).expect("a dead child");
    assert_eq!(state, Some('Z'));
    assert_eq!(reaped.facts.status, code(7));
    assert_eq!(reap::one(child.pid, &mut |_| {}), None, "only once");
    assert_eq!(reap::next(&mut |_| {}), None);
}

#[test]
fn the_rest_of_a_group_can_be_killed_while_the_leader_is_a_zombie() {
    let world = World::new("rest");
    let (read, write) = logpipe::pair(None).expect("a pipe");
    let stdio = Stdio {
        stdout: Some(write.as_fd()),
        ..Stdio::default()
    };
    let words = [
        "fork", "[", "print", "here", "sleep", "forever", "]", "exit", "0",
    ];
    let child = world.spawn_with(&script(&words), stdio).expect("a child");
    drop(write);
    let mut procs = Procs::new();
    procs.insert(child.pid, 1, child.pidfd);
    let kill = &mut |_: &reap::Reaped| {
        procs.signal(1, Signal::KILL, Scope::Group).expect("sent");
    };
    reap::wait_for(child.pid, kill).expect("a dead child");
    // The end comes only when the descendant, which has the pipe, is gone.
    let said = world::read_all(&read);
    assert!(said.is_empty() || said == "here\n", "{said}");
}

#[test]
fn sigchld_wakes_and_hints_at_who_it_was() {
    let world = World::new("hint");
    let mut signals = Signals::install(&[Signal::CHLD, Signal::TERM]).expect("installed");
    let child = world.spawn(&script(&["exit", "3"])).expect("a child");
    let arrived = arrival(&mut signals);
    assert!(arrived.signals.contains(Signal::CHLD));
    assert_eq!(arrived.child, Some(child.pid));
    let reaped = reap::one(child.pid, &mut |_| {}).expect("it is dead");
    assert_eq!(reaped.facts.status, code(3));
    assert!(signals.drain().signals.is_empty(), "told once");
}

#[test]
fn a_storm_of_signals_is_one_arrival_of_each() {
    let _world = World::new("storm");
    let mut signals = Signals::install(&[Signal::USR1, Signal::USR2]).expect("installed");
    for _ in 0..100_000 {
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGUSR1).expect("raised");
    }
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGUSR2).expect("raised");
    let mut seen = arrival(&mut signals).signals;
    // raise(3) may give another thread's time: both are here now, nothing is left later.
    assert!(seen.contains(Signal::USR1) && seen.contains(Signal::USR2));
    seen = signals.drain().signals;
    assert!(seen.is_empty());
    let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    assert_eq!(
        poll(&mut fds, PollTimeout::ZERO),
        Ok(0),
        "the pipe is empty"
    );
}

#[test]
fn signals_the_program_raises_against_itself_cannot_be_listened_to() {
    let _world = World::new("forbidden");
    for signal in [
        Signal::KILL,
        Signal::STOP,
        Signal::SEGV,
        Signal::ILL,
        Signal::FPE,
    ] {
        let refused = Signals::install(&[signal]).expect_err("refused");
        assert_eq!(refused.raw_os_error(), Some(libc::EINVAL));
    }
}

#[test]
fn fault_4_an_orphan_is_reaped_and_is_nobodys_run() {
    let world = World::new("orphan");
    if !again(
        &world,
        "fault_4_an_orphan_is_reaped_and_is_nobodys_run",
        &[],
        |_| {},
    ) {
        return;
    }
    supd::sys::init::take_over().expect("taken over");
    let mut procs = Procs::new();
    let words = ["double-fork", "[", "exit", "9", "]", "sleep", "forever"];
    let child = world.spawn(&script(&words)).expect("a child");
    procs.insert(child.pid, 1, child.pidfd);
    let mut signals = Signals::install(&[Signal::CHLD]).expect("installed");
    let orphan = loop {
        if let Some(reaped) = reap::next(&mut |_| {}) {
            break reaped;
        }
        arrival(&mut signals);
    };
    assert_eq!(orphan.facts.status, code(9));
    assert_eq!(procs.take(orphan.pid), None);
    assert_eq!(procs.pid_of(1), Some(child.pid));
    procs.signal(1, Signal::KILL, Scope::Leader).expect("sent");
    assert_eq!(end_of(child.pid).status, died_by(Signal::KILL));
}

#[test]
fn a_run_that_is_gone_cannot_be_signalled() {
    let world = World::new("gone");
    let child = world.spawn(&script(&["exit", "0"])).expect("a child");
    let mut procs = Procs::new();
    procs.insert(child.pid, 'r', child.pidfd);
    assert_eq!((procs.len(), procs.run_of(child.pid)), (1, Some('r')));
    end_of(child.pid);
    assert_eq!(procs.take(child.pid), Some('r'));
    assert_eq!(procs.take(child.pid), None);
    for scope in [Scope::Leader, Scope::Group, Scope::Tree] {
        let refused = procs.signal('r', Signal::TERM, scope).expect_err("gone");
        assert_eq!(refused.raw_os_error(), Some(libc::ESRCH));
    }
}

#[test]
fn a_group_is_signalled_through_its_zombie_leader_and_a_stopped_child_continues() {
    let world = World::new("stopped");
    let child = world
        .spawn(&script(&["stop", "exit", "4"]))
        .expect("a child");
    let mut procs = Procs::new();
    procs.insert(child.pid, 1, child.pidfd);
    procs.signal(1, Signal::CONT, Scope::Group).expect("sent");
    // Sent before it stopped, the first one is lost.
    let stopped = || leftovers::look_at(child.pid).is_some_and(|seen| seen.state == 'T');
    while reap::one(child.pid, &mut |_| {}).is_none() {
        if stopped() {
            procs.signal(1, Signal::CONT, Scope::Group).expect("sent");
            assert_eq!(end_of(child.pid).status, code(4));
            return;
        }
        std::thread::yield_now();
    }
}

#[test]
fn fault_17_who_left_the_session_is_found_by_its_mark() {
    let world = World::new("escapee");
    let mark = format!("SUPD_RUN=escapee.{}", std::process::id());
    let (read, write) = logpipe::pair(None).expect("a pipe");
    let stdio = Stdio {
        stdout: Some(write.as_fd()),
        ..Stdio::default()
    };
    let words = [
        "double-fork",
        "[",
        "setsid",
        "print",
        "out",
        "sleep",
        "forever",
        "]",
        "exit",
        "0",
    ];
    let mut process = script(&words);
    let (name, value) = mark.split_once('=').expect("a variable");
    let value = supd::spec::EnvValue::Plain(value.into());
    process.env = Box::new([(name.into(), value)]);
    process.pdeathsig = None;
    let child = world.spawn_with(&process, stdio).expect("a child");
    drop(write);
    end_of(child.pid);
    let found = leftovers::of_run(child.pid, &mark);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].name, "supd-testchild");
    leftovers::signal(&found[0], Signal::KILL).expect("sent");
    world::read_all(&read);
}

#[test]
fn fault_13_another_process_with_the_same_number_is_not_signalled() {
    let world = World::new("reuse");
    let child = world
        .spawn(&script(&["sleep", "forever"]))
        .expect("a child");
    let mut found = leftovers::look_at(child.pid).expect("it lives");
    assert_eq!(found.ppid, nix::unistd::getpid().as_raw());
    assert_eq!((found.pgid, found.sid), (child.pid, child.pid));
    found.started += 1;
    let refused = leftovers::signal(&found, Signal::KILL).expect_err("another one");
    assert_eq!(refused.raw_os_error(), Some(libc::ESRCH));
    found.started -= 1;
    leftovers::signal(&found, Signal::TERM).expect("the one");
    assert_eq!(end_of(child.pid).status, died_by(Signal::TERM));
}
