// SPDX-License-Identifier: MIT OR Apache-2.0
//! Between clone and exec nobody may ask the allocator for anything (fault 27): another thread may
//! hold its lock, and in the child of a fork it is then held for ever.

#![expect(unsafe_code, reason = "an allocator is unsafe to implement")]

mod world;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::os::fd::AsFd;
use supd::spec::UserRef;
use supd::sys::logpipe;
use supd::sys::spawn::{Plan, Rung, Spawner, Stdio, Surroundings};
use world::{INHERITED, World, end_of, process};

/// Counts what this thread asks for; a child that shares our memory is this thread.
struct Counting;

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: the caller's word is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        ASKED.set(ASKED.get() + 1);
        // SAFETY: the caller's word is handed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn fault_27_a_spawn_allocates_nothing_in_parent_or_child() {
    let world = World::new("alloc");
    let mut process = process(&["true"]);
    process.umask = Some(0o22);
    process.workdir = Some("/".into());
    process.oom_score_adj = Some(500);
    process.nice = Some(19);
    if nix::unistd::geteuid().is_root() {
        process.user = Some(UserRef::Id(4242));
    }
    let mut absent = process.clone();
    absent.command = world::argv(&["no-such-program"]);
    let (_read, write) = logpipe::pair(None).expect("a pipe");
    let stdio = Stdio {
        stdout: Some(write.as_fd()),
        ready: Some((9, write.as_fd())),
        ..Stdio::default()
    };
    for rung in Rung::ALL {
        let spawner = Spawner::with_rung(&INHERITED, rung).expect("every rung holds here");
        for (process, runs) in [(&process, true), (&absent, false)] {
            let plan = Plan::prepare(process, &Surroundings::new(&INHERITED)).expect("a plan");
            let before = ASKED.get();
            let spawned = spawner.spawn(&plan, stdio);
            assert_eq!(ASKED.get(), before, "{rung:?}");
            assert_eq!(spawned.is_ok(), runs, "{spawned:?}");
            if let Ok(child) = spawned {
                end_of(child.pid);
            }
        }
    }
    assert!(ASKED.get() > 0, "it counts");
    drop(world);
}
