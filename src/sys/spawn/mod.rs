// SPDX-License-Identifier: MIT OR Apache-2.0
//! Spawning: from a prepared plan to a running program, or to the step that failed and its errno.
//!
//! The child borrows our memory while we stand still (clone(2) with `CLONE_VM | CLONE_VFORK`), so
//! that a spawn costs the same whatever our size; when the call returns, exec has succeeded or the
//! child is reaped already and nobody else ever sees it. It borrows our table of descriptors, too,
//! and leaves it with one call: copying a table with two pipes per service would make bring-up
//! quadratic. What is to be the child's is put into low slots of our table first, so that only
//! these few are copied.
//!
//! Where the kernel, or a filter that answers `EPERM` or `ENOSYS`, lacks one of these, a lower rung
//! of the ladder gives the child the same surroundings for more. Which rung holds is tried once.
//!
//! The legacy clone(2) is used on purpose: it has everything needed here (`CLONE_PIDFD` since
//! Linux 5.2), and filters that know no clone3(2) let it pass.
//!
//! A spawner belongs to one thread, and to one that lives as long as the daemon: the parent-death
//! signal is tied to it.

#![expect(unsafe_code, reason = "clone(2), mmap(2) and descriptors by number")]

mod child;
mod plan;

pub use plan::{Plan, Session, Surroundings};

use super::dispositions::{noted, scan, set_mask};
use super::init::Inherited;
use super::leftovers::pidfd_open;
use super::raw::{errno, io_error};
use super::reap::wait_for;
use crate::spec::{SpawnFailure, Stage};
use child::{Order, Report, Slots, Table};
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use plan::Input;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::null_mut;

/// The ways to a child, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// Memory and table of descriptors shared, a pidfd from clone(2). Linux 5.9.
    SharedTable,
    /// Memory shared, a copy of the table, a pidfd from clone(2). Linux 5.2.
    OwnTable,
    /// Memory shared, a copy of the table.
    NoPidfd,
    /// A copy of everything, as fork(2).
    Fork,
}

impl Rung {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::SharedTable, Self::OwnTable, Self::NoPidfd, Self::Fork];

    fn flags(self) -> i32 {
        let way = match self {
            Self::SharedTable => libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_PIDFD,
            Self::OwnTable => libc::CLONE_VM | libc::CLONE_PIDFD,
            Self::NoPidfd => libc::CLONE_VM,
            Self::Fork => 0,
        };
        way | libc::CLONE_VFORK | libc::SIGCHLD
    }

    fn table(self) -> Table {
        match self {
            Self::SharedTable => Table::Shared,
            Self::OwnTable | Self::NoPidfd | Self::Fork => Table::Own,
        }
    }
}

/// A running program.
#[derive(Debug)]
pub struct Child {
    /// Its number, until it is reaped.
    pub pid: i32,
    /// A descriptor for signalling it, unless the spawner makes none.
    pub pidfd: Option<OwnedFd>,
}

/// The descriptors a child gets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stdio<'a> {
    /// `None`: what the process's `stdin` says.
    pub stdin: Option<BorrowedFd<'a>>,
    /// `None`: /dev/null.
    pub stdout: Option<BorrowedFd<'a>>,
    /// `None`: /dev/null.
    pub stderr: Option<BorrowedFd<'a>>,
    /// One more, and the number under which the child sees it (3 or more).
    pub ready: Option<(u32, BorrowedFd<'a>)>,
}

/// Whether a child comes with a descriptor for signalling it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pidfds {
    Opened,
    None,
}

/// Spawns children. Not to be moved to another thread.
#[derive(Debug)]
pub struct Spawner {
    rung: Rung,
    pidfds: Pidfds,
    null: OwnedFd,
    /// Low descriptors of ours that stand for 0, 1, 2 and the readiness descriptor of the next
    /// child, and are /dev/null between two spawns.
    hold: [OwnedFd; 4],
    cwd: Option<OwnedFd>,
    own_pid: i32,
    stack: Mapping,
    report: Mapping,
}

impl Spawner {
    /// A spawner on the best rung that holds here.
    pub fn new(inherited: &Inherited) -> Result<Self, SpawnFailure> {
        let mut failure = None;
        for rung in Rung::ALL {
            match Self::with_rung(inherited, rung) {
                Ok(spawner) => return Ok(spawner),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.expect("invariant: there is at least one rung"))
    }

    /// A spawner on this rung, if it holds.
    pub fn with_rung(inherited: &Inherited, rung: Rung) -> Result<Self, SpawnFailure> {
        let made = Self::make(inherited, rung);
        let spawner = made.map_err(|error| fail(Stage::Fork, &error))?;
        // What is at its default now is noted when it is changed.
        scan();
        spawner.launch(None, None)?;
        Ok(spawner)
    }

    fn make(inherited: &Inherited, rung: Rung) -> io::Result<Self> {
        let null = null()?;
        let low = |fd: BorrowedFd<'_>| -> io::Result<OwnedFd> {
            let number = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(3))?;
            // SAFETY: the kernel has just made this descriptor for us alone.
            Ok(unsafe { OwnedFd::from_raw_fd(number) })
        };
        let one = || low(null.as_fd());
        let hold = [one()?, one()?, one()?, one()?];
        let cwd = match &inherited.cwd {
            Some(fd) => Some(low(fd.as_fd())?),
            None => None,
        };
        Ok(Self {
            rung,
            pidfds: Pidfds::Opened,
            hold,
            cwd,
            null,
            own_pid: nix::unistd::getpid().as_raw(),
            stack: Mapping::stack()?,
            report: Mapping::report()?,
        })
    }

    /// Children come without a pidfd from now on: for who signals and reaps on one thread, where it
    /// would be made and closed for nothing.
    #[must_use]
    pub fn without_pidfds(self) -> Self {
        Self {
            pidfds: Pidfds::None,
            ..self
        }
    }

    /// The way children take.
    pub fn rung(&self) -> Rung {
        self.rung
    }

    /// Spawns a child and returns when its program runs, or when it is known why it does not.
    pub fn spawn(&self, plan: &Plan, stdio: Stdio<'_>) -> Result<Child, SpawnFailure> {
        let stdin = match &plan.stdin {
            Input::Null => None,
            // SAFETY: 0 is open as long as we live (`init` sees to it), and never owned.
            Input::Inherit => Some(unsafe { BorrowedFd::borrow_raw(0) }),
            Input::Opened(fd) => Some(fd.as_fd()),
        };
        let ready = match stdio.ready {
            None => None,
            Some((number, fd)) => match i32::try_from(number) {
                Ok(number @ 3..) => Some((number, fd)),
                Ok(_) | Err(_) => return Err(fail(Stage::Descriptors, &io_error(libc::EINVAL))),
            },
        };
        let given = [
            stdio.stdin.or(stdin),
            stdio.stdout,
            stdio.stderr,
            ready.map(|(_, fd)| fd),
        ];
        let placed = self.place(given);
        let launched = match placed {
            Ok(()) => self.launch(Some(plan), ready.map(|(number, _)| number)),
            Err(error) => Err(fail(Stage::Descriptors, &error)),
        };
        // Ours must not stay open here, or the reader of a log never sees its end.
        let null = Some(self.null.as_fd());
        let back = given.map(|fd| fd.and(null));
        self.place(back)
            .expect("invariant: /dev/null is open, and so is every slot");
        launched
    }

    /// Puts descriptors into the slots; `None` leaves a slot alone.
    fn place(&self, given: [Option<BorrowedFd<'_>>; 4]) -> io::Result<()> {
        for (slot, fd) in self.hold.iter().zip(given) {
            let Some(fd) = fd else { continue };
            // SAFETY: the slot is ours and stays open: what it stood for is replaced.
            let done = unsafe { libc::dup3(fd.as_raw_fd(), slot.as_raw_fd(), libc::O_CLOEXEC) };
            if done < 0 {
                return Err(io_error(errno()));
            }
        }
        Ok(())
    }

    fn slots(&self) -> Slots {
        let [input, output, error, ready] = self.hold.each_ref().map(AsRawFd::as_raw_fd);
        let cwd = self.cwd.as_ref().map(AsRawFd::as_raw_fd);
        let held = [input, output, error, ready];
        Slots {
            standard: [input, output, error],
            ready,
            cwd,
            top: held.into_iter().chain(cwd).max().unwrap_or(ready),
        }
    }

    fn launch(&self, plan: Option<&Plan>, ready: Option<i32>) -> Result<Child, SpawnFailure> {
        let report: *mut Report = self.report.base.cast();
        // SAFETY: the page is ours, zeroed by the kernel, and large enough.
        unsafe { report.write_volatile(None) };
        let mut order = Order {
            report,
            table: self.rung.table(),
            slots: self.slots(),
            ready_number: ready,
            reset: noted(),
            parent: self.own_pid,
            prepared: plan.map(|plan| std::ptr::from_ref(&plan.prepared)),
        };
        let (pid, pidfd) = self
            .clone_child(&mut order)
            .map_err(|error| fail(Stage::Fork, &error))?;
        // SAFETY: as above; the child has executed or ended, so that nobody writes any more.
        let failed = unsafe { report.read_volatile() };
        if plan.is_some() && failed.is_none() {
            let pidfd = match self.pidfds {
                Pidfds::Opened => pidfd.or_else(|| pidfd_open(pid).ok()),
                Pidfds::None => None,
            };
            return Ok(Child { pid, pidfd });
        }
        wait_for(pid, &mut |_| {});
        match failed {
            Some(failure) => Err(failure),
            None => Ok(Child { pid, pidfd: None }),
        }
    }

    /// Clones with every signal blocked, so that no handler of ours runs in the child.
    fn clone_child(&self, order: &mut Order) -> io::Result<(i32, Option<OwnedFd>)> {
        let mut pidfd: i32 = -1;
        let flags = match self.pidfds {
            Pidfds::Opened => self.rung.flags(),
            Pidfds::None => self.rung.flags() & !libc::CLONE_PIDFD,
        };
        let mask = set_mask(u64::MAX);
        // SAFETY: the stack is the child's alone until it has executed; the order outlives that,
        // because we stand still; the child's function keeps to bare system calls.
        let pid = unsafe {
            libc::clone(
                child::main,
                self.stack.top(),
                flags,
                std::ptr::from_mut(order).cast(),
                &raw mut pidfd,
            )
        };
        let error = errno();
        set_mask(mask);
        if pid < 0 {
            return Err(io_error(error));
        }
        // SAFETY: the kernel has made this descriptor for us alone, if it made one.
        let pidfd = (pidfd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) });
        Ok((pid, pidfd))
    }
}

fn fail(stage: Stage, error: &io::Error) -> SpawnFailure {
    let errno = error.raw_os_error().unwrap_or(libc::EIO);
    SpawnFailure { stage, errno }
}

/// /dev/null, or where there is none a file that is always at its end and cannot be written.
fn null() -> io::Result<OwnedFd> {
    if let Ok(fd) = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()) {
        return Ok(fd);
    }
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a C string.
    let number = unsafe { libc::memfd_create(c"null".as_ptr(), flags) };
    if number < 0 {
        return Err(io_error(errno()));
    }
    // SAFETY: the kernel has just made this descriptor for us alone.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl(&fd, FcntlArg::F_ADD_SEALS(nix::fcntl::SealFlag::all()))?;
    Ok(fd)
}

/// Memory from mmap(2).
#[derive(Debug)]
struct Mapping {
    base: *mut libc::c_void,
    length: usize,
}

/// Bytes of a child's stack: it calls a few small functions, in a debug build larger ones.
const STACK: usize = 128 << 10;
/// At least a page.
const GUARD: usize = 64 << 10;

impl Mapping {
    /// A stack with an inaccessible end.
    fn stack() -> io::Result<Self> {
        let made = Self::new(STACK + GUARD, libc::MAP_PRIVATE | libc::MAP_STACK)?;
        // SAFETY: the range is the lower end of our own mapping.
        if unsafe { libc::mprotect(made.base, GUARD, libc::PROT_NONE) } < 0 {
            return Err(io_error(errno()));
        }
        Ok(made)
    }

    /// A page that parent and child share whatever the rung.
    fn report() -> io::Result<Self> {
        Self::new(4096, libc::MAP_SHARED)
    }

    fn new(length: usize, flags: i32) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = flags | libc::MAP_ANONYMOUS;
        // SAFETY: an anonymous mapping at a place of the kernel's choice touches nothing of ours.
        let base = unsafe { libc::mmap(null_mut(), length, access, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io_error(errno()));
        }
        Ok(Self { base, length })
    }

    /// Where a stack begins: its upper end.
    fn top(&self) -> *mut libc::c_void {
        self.base.wrapping_byte_add(self.length)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nobody uses it any more.
        unsafe { libc::munmap(self.base, self.length) };
    }
}
