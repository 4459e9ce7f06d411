// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a child does between clone and exec.
//!
//! It shares our memory, mostly while we stand still, and in most rungs of the ladder also our
//! table of descriptors until its first call has given it one of its own. So: bare system calls
//! only, in this order and no other; no allocation, no lock, no C library function that has ideas
//! of its own, nothing of the thread's (`errno`), nothing with a destructor, no panic. Everything
//! it needs was prepared in [`Order`].
//! It ends by exec, or by writing where it failed into the report and exiting.

#![expect(unsafe_code, reason = "bare system calls between clone and exec")]

use super::super::dispositions::{DEFAULT, IGNORE, set, set_mask};
use super::super::raw::{arg, syscall};
use super::plan::{Prepared, Session};
use super::room::{Page, YES};
use crate::spec::limits::LISTEN_MAX;
use crate::spec::{SpawnFailure, Stage};
use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the child writes why it failed; shared memory in every rung.
pub(super) type Report = Option<SpawnFailure>;

/// Descriptors of ours that the child arranges under their final numbers. Never below 3.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slots {
    pub(super) standard: [i32; 3],
    pub(super) ready: i32,
    /// Open until exec: who waits for that has the other end.
    pub(super) news: i32,
    pub(super) cwd: Option<i32>,
    /// The highest of them.
    pub(super) top: i32,
}

/// Everything a child needs to know.
#[derive(Debug)]
pub(super) struct Order {
    /// Whether the table of descriptors is still the parent's.
    pub(super) table: Table,
    pub(super) slots: Slots,
    /// The number under which the child sees its readiness descriptor.
    pub(super) ready_number: Option<i32>,
    /// Dispositions to be reset, one bit a signal.
    pub(super) reset: u64,
    /// Our own pid, which the child must see as its parent.
    pub(super) parent: i32,
    /// `None`: only try whether the way works.
    pub(super) prepared: Option<*const Prepared>,
}

/// Whose table of descriptors the child begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// The parent's: it must be left before anything else.
    Shared,
    /// A copy.
    Own,
}

type Done = Result<(), SpawnFailure>;

/// The child's main function.
pub(super) extern "C" fn main(page: *mut c_void) -> c_int {
    let page = page.cast::<Page>();
    // SAFETY: the page stays and the order in it does not change until we have executed or ended.
    let order = unsafe { &(*page).order };
    // SAFETY: the word is atomic, and there as long as the page.
    let left = unsafe { &(*page).left };
    let done = order.as_ref().map_or(Ok(()), |order| run(order, left));
    if let Err(failure) = done {
        // SAFETY: nobody reads the report before we have ended.
        unsafe { (&raw mut (*page).report).write_volatile(Some(failure)) };
    }
    let code = arg(c_int::from(done.is_err()));
    loop {
        // SAFETY: no pointer is passed.
        let _ = unsafe { syscall(libc::SYS_exit_group, [code, 0, 0, 0, 0]) };
    }
}

fn run(order: &Order, left: &AtomicU32) -> Done {
    leave_shared_table(order)?;
    left.store(YES, Ordering::Release);
    let Some(prepared) = order.prepared else {
        return Ok(());
    };
    // SAFETY: as for the order itself.
    let plan = unsafe { &*prepared };
    return_to_cwd(order, plan)?;
    arrange_descriptors(order, plan)?;
    begin_session(plan)?;
    reset_dispositions(order, plan);
    set_limits(plan)?;
    set_nice(plan)?;
    plan.privileges.set_affinity()?;
    set_oom_score(plan)?;
    // SAFETY: no pointer is passed; umask(2) cannot fail.
    let _ = unsafe { syscall(libc::SYS_umask, [plan.umask as usize, 0, 0, 0, 0]) };
    plan.privileges.set_root()?;
    change_groups(plan)?;
    plan.privileges.set_bounds()?;
    change_user(plan)?;
    plan.privileges.set_ambient()?;
    change_directory(plan)?;
    last_words(order, plan)?;
    set_mask(plan.blocked);
    execute(plan)
}

/// One call whose arguments are numbers only.
#[inline]
fn call(stage: Stage, number: libc::c_long, args: [usize; 5]) -> Result<usize, SpawnFailure> {
    // SAFETY: callers pass numbers, or pointers of the plan to what lives as long as it.
    unsafe { syscall(number, args) }.map_err(|errno| SpawnFailure { stage, errno })
}

/// Until this has happened every call on descriptors would be one on the parent's.
fn leave_shared_table(order: &Order) -> Done {
    match order.table {
        Table::Own => Ok(()),
        Table::Shared => {
            let first = arg(order.slots.top.wrapping_add(1));
            let args = [first, MAX_FD, libc::CLOSE_RANGE_UNSHARE as usize, 0, 0];
            call(Stage::Descriptors, libc::SYS_close_range, args).map(drop)
        }
    }
}

/// `SD_LISTEN_FDS_START` (sd_listen_fds(3)).
const FIRST_SOCKET: i32 = 3;
const MAX_FD: usize = u32::MAX as usize;
#[expect(
    clippy::cast_possible_truncation,
    reason = "ioctl numbers have 32 bits"
)]
const TIOCSPGRP: usize = libc::TIOCSPGRP as usize;

/// To where supd was started, as supd: the service's user need not be able to walk there.
fn return_to_cwd(order: &Order, plan: &Prepared) -> Done {
    match order.slots.cwd {
        Some(fd) if !plan.workdir_is_absolute && !plan.privileges.has_root() => {
            call(Stage::Workdir, libc::SYS_fchdir, [arg(fd), 0, 0, 0, 0]).map(drop)
        }
        Some(_) | None => Ok(()),
    }
}

/// 0, 1, 2 and the readiness descriptor, in this order: the slots are above 2, so that none is
/// overwritten before it is used. All else is closed, but for the one that exec closes.
fn arrange_descriptors(order: &Order, plan: &Prepared) -> Done {
    let stage = Stage::Descriptors;
    let [input, output, error] = order.slots.standard;
    call(stage, libc::SYS_dup3, [arg(input), 0, 0, 0, 0])?;
    call(stage, libc::SYS_dup3, [arg(output), 1, 0, 0, 0])?;
    call(stage, libc::SYS_dup3, [arg(error), 2, 0, 0, 0])?;
    if !plan.kept.is_empty() {
        return keep(&plan.kept);
    }
    if !plan.listen.is_empty() {
        return hand_over(order, plan);
    }
    let mut news = order.slots.news;
    let Some(number) = order.ready_number else {
        close_between(2, news);
        close_between(news, i32::MAX);
        return Ok(());
    };
    if number == news {
        let above = arg(order.slots.top.wrapping_add(1));
        let args = [arg(news), arg(libc::F_DUPFD_CLOEXEC), above, 0, 0];
        let moved = call(stage, libc::SYS_fcntl, args)?;
        news = i32::try_from(moved).unwrap_or(news);
    }
    if number == order.slots.ready {
        let args = [arg(number), arg(libc::F_SETFD), 0, 0, 0];
        call(stage, libc::SYS_fcntl, args)?;
    } else {
        let args = [arg(order.slots.ready), arg(number), 0, 0, 0];
        call(stage, libc::SYS_dup3, args)?;
    }
    let (low, high) = (number.min(news), number.max(news));
    close_between(2, low);
    close_between(low, high);
    close_between(high, i32::MAX);
    Ok(())
}

/// Takes the marks off that `init` has put on what was open at our start; exec closes the rest.
fn keep(kept: &[i32]) -> Done {
    for number in kept {
        let args = [arg(*number), arg(libc::F_SETFD), 0, 0, 0];
        call(Stage::Descriptors, libc::SYS_fcntl, args)?;
    }
    Ok(())
}

/// The sockets from 3 on, and the readiness descriptor. Whatever stands at those numbers is moved
/// away first; exec closes all that is not put there now.
fn hand_over(order: &Order, plan: &Prepared) -> Done {
    let stage = Stage::Descriptors;
    let count = i32::try_from(plan.listen.len()).unwrap_or(0);
    let first = FIRST_SOCKET.wrapping_add(count);
    let above = order
        .slots
        .top
        .max(first)
        .max(order.ready_number.unwrap_or(0));
    let above = arg(above.wrapping_add(1));
    let up = |fd: i32| {
        let args = [arg(fd), arg(libc::F_DUPFD_CLOEXEC), above, 0, 0];
        call(stage, libc::SYS_fcntl, args)
    };
    let mut moved = [0_usize; LISTEN_MAX];
    for (place, socket) in moved.iter_mut().zip(&plan.listen) {
        *place = up(*socket)?;
    }
    // Who waits for our exec must not see the end of this one when its number is taken.
    up(order.slots.news)?;
    let ready = up(order.slots.ready)?;
    let marks = libc::CLOSE_RANGE_CLOEXEC as usize;
    let _ = call(stage, libc::SYS_close_range, [3, MAX_FD, marks, 0, 0]);
    let mut number = arg(FIRST_SOCKET);
    for (from, _) in moved.iter().zip(&plan.listen) {
        call(stage, libc::SYS_dup3, [*from, number, 0, 0, 0])?;
        number = number.wrapping_add(1);
    }
    if let Some(number) = order.ready_number {
        call(stage, libc::SYS_dup3, [ready, arg(number), 0, 0, 0])?;
    }
    if let Some(text) = &plan.listen_pid {
        text.write(call(stage, libc::SYS_getpid, [0; 5])?);
    }
    Ok(())
}

/// Where the call is missing or forbidden, the marks of `init` and of every descriptor of ours
/// close them at exec.
fn close_between(low: i32, high: i32) {
    let (first, last) = (low.wrapping_add(1), high.wrapping_sub(1));
    if first > last {
        return;
    }
    let args = [arg(first), arg(last), 0, 0, 0];
    let _ = call(Stage::Descriptors, libc::SYS_close_range, args);
}

fn begin_session(plan: &Prepared) -> Done {
    match plan.session {
        Session::Own => call(Stage::Session, libc::SYS_setsid, [0; 5]).map(drop),
        Session::Group => call(Stage::Session, libc::SYS_setpgid, [0; 5]).map(drop),
        Session::Foreground => {
            call(Stage::Session, libc::SYS_setpgid, [0; 5])?;
            let pid = call(Stage::Session, libc::SYS_getpid, [0; 5])?;
            let pid = u32::try_from(pid).unwrap_or(0);
            let at = std::ptr::from_ref(&pid).expose_provenance();
            // Without a terminal there is no foreground. TTOU is blocked: it cannot stop us.
            for number in 0..3 {
                let args = [number, TIOCSPGRP, at, 0, 0];
                if call(Stage::Session, libc::SYS_ioctl, args).is_ok() {
                    break;
                }
            }
            Ok(())
        }
    }
}

/// Exec resets handlers, but not what is ignored; and once the mask is empty no handler of ours
/// may run on memory that is not ours alone.
fn reset_dispositions(order: &Order, plan: &Prepared) {
    let mut left = order.reset;
    while left != 0 {
        // Cannot fail for a signal the parent could set.
        let _ = set(signal_of(left), &DEFAULT);
        left &= left.wrapping_sub(1);
    }
    let mut ignored = plan.ignored;
    while ignored != 0 {
        let _ = set(signal_of(ignored), &IGNORE);
        ignored &= ignored.wrapping_sub(1);
    }
}

/// The signal of the lowest bit.
fn signal_of(bits: u64) -> i32 {
    bits.trailing_zeros().cast_signed().wrapping_add(1)
}

fn set_limits(plan: &Prepared) -> Done {
    for limit in &plan.limits {
        let at = std::ptr::from_ref(&limit.values).expose_provenance();
        let args = [0, limit.resource as usize, at, 0, 0];
        call(Stage::Limits, libc::SYS_prlimit64, args)?;
    }
    Ok(())
}

fn set_nice(plan: &Prepared) -> Done {
    let Some(nice) = plan.nice else { return Ok(()) };
    let args = [libc::PRIO_PROCESS as usize, 0, arg(nice), 0, 0];
    call(Stage::Nice, libc::SYS_setpriority, args).map(drop)
}

fn set_oom_score(plan: &Prepared) -> Done {
    let Some(text) = &plan.oom_score else {
        return Ok(());
    };
    let stage = Stage::OomScore;
    let path = c"/proc/self/oom_score_adj".as_ptr().expose_provenance();
    let flags = arg(libc::O_WRONLY | libc::O_CLOEXEC);
    let fd = call(
        stage,
        libc::SYS_openat,
        [arg(libc::AT_FDCWD), path, flags, 0, 0],
    )?;
    let bytes = text.as_ptr().expose_provenance();
    let written = call(stage, libc::SYS_write, [fd, bytes, text.len(), 0, 0]);
    let _ = call(stage, libc::SYS_close, [fd, 0, 0, 0, 0]);
    written.map(drop)
}

fn change_groups(plan: &Prepared) -> Done {
    if let Some(groups) = &plan.groups {
        let at = groups.as_ptr().expose_provenance();
        call(
            Stage::Groups,
            libc::SYS_setgroups,
            [groups.len(), at, 0, 0, 0],
        )?;
    }
    if let Some(gid) = plan.gid {
        let gid = gid as usize;
        call(Stage::Gid, libc::SYS_setresgid, [gid, gid, gid, 0, 0])?;
        read_back(Stage::Gid, libc::SYS_getresgid, gid)?;
    }
    Ok(())
}

/// Every step is fatal and read back (CVE-2026-35535), and there must be no way back to root.
fn change_user(plan: &Prepared) -> Done {
    let Some(uid) = plan.uid else { return Ok(()) };
    let uid = uid as usize;
    call(Stage::Uid, libc::SYS_setresuid, [uid, uid, uid, 0, 0])?;
    read_back(Stage::Uid, libc::SYS_getresuid, uid)?;
    if uid != 0 && call(Stage::Uid, libc::SYS_setuid, [0; 5]).is_ok() {
        return Err(SpawnFailure {
            stage: Stage::Uid,
            errno: libc::EPERM,
        });
    }
    Ok(())
}

fn read_back(stage: Stage, number: libc::c_long, wanted: usize) -> Done {
    let mut ids = [u32::MAX; 3];
    let [real, effective, saved] = &mut ids;
    let real = std::ptr::from_mut(real).expose_provenance();
    let effective = std::ptr::from_mut(effective).expose_provenance();
    let saved = std::ptr::from_mut(saved).expose_provenance();
    call(stage, number, [real, effective, saved, 0, 0])?;
    let [real, effective, saved] = ids;
    let same = real as usize == wanted && effective as usize == wanted && saved as usize == wanted;
    if same {
        return Ok(());
    }
    Err(SpawnFailure {
        stage,
        errno: libc::EPERM,
    })
}

/// As the service's user, so that it is no way round its permissions.
fn change_directory(plan: &Prepared) -> Done {
    let Some(path) = &plan.workdir else {
        return Ok(());
    };
    let at = path.as_ptr().expose_provenance();
    call(Stage::Workdir, libc::SYS_chdir, [at, 0, 0, 0, 0]).map(drop)
}

/// A change of the user clears the parent-death signal (prctl(2)), so it comes after; and the
/// parent may have died before it was set.
fn last_words(order: &Order, plan: &Prepared) -> Done {
    if plan.no_new_privileges {
        let option = arg(libc::PR_SET_NO_NEW_PRIVS);
        call(Stage::Prctl, libc::SYS_prctl, [option, 1, 0, 0, 0])?;
    }
    let Some(signal) = plan.pdeathsig else {
        return Ok(());
    };
    let args = [arg(libc::PR_SET_PDEATHSIG), arg(signal), 0, 0, 0];
    call(Stage::Prctl, libc::SYS_prctl, args)?;
    if call(Stage::Prctl, libc::SYS_getppid, [0; 5])? == arg(order.parent) {
        return Ok(());
    }
    Err(SpawnFailure {
        stage: Stage::Prctl,
        errno: libc::ESRCH,
    })
}

/// Tries the candidates as execvp(3) does: what is not there is passed over, what may not be
/// executed is remembered. Never falls back to a shell.
fn execute(plan: &Prepared) -> Done {
    let stage = Stage::Exec;
    let argv = plan.argv.pointers().expose_provenance();
    let envp = plan.envp.pointers().expose_provenance();
    let mut errno = libc::ENOENT;
    let mut at = plan.candidates.pointers();
    loop {
        // SAFETY: the array ends with a null pointer, which is not passed over.
        let path: *const c_char = unsafe { *at };
        if path.is_null() {
            break;
        }
        let path = path.expose_provenance();
        let Err(failure) = call(stage, libc::SYS_execve, [path, argv, envp, 0, 0]) else {
            continue;
        };
        match failure.errno {
            libc::EACCES => errno = libc::EACCES,
            other if plan.searched && is_absence(other) => {}
            _ => return Err(failure),
        }
        // SAFETY: the pointer before was not the null at the end.
        at = unsafe { at.add(1) };
    }
    let stage = if plan.searched { Stage::Lookup } else { stage };
    Err(SpawnFailure { stage, errno })
}

/// What execvp(3) takes for "not in this directory".
fn is_absence(errno: i32) -> bool {
    let plain = matches!(errno, libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG);
    plain || matches!(errno, libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT)
}
