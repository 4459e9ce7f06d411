// SPDX-License-Identifier: MIT OR Apache-2.0
//! Spawning: from a prepared plan to a running program, or to the step that failed and its errno.
//!
//! The child borrows our memory (clone(2) with `CLONE_VM`), so that a spawn costs the same whatever
//! our size. We stand still until exec has succeeded, or the child is reaped already and nobody
//! else ever sees it; but not for longer than our patience: a program on a file system that does
//! not answer must not hold up everybody else. Then the child goes on with the memory it has
//! ([`Pending`]), and we hear of it later. It borrows our table of descriptors, too,
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

#![expect(unsafe_code, reason = "clone(2) and descriptors by number")]

mod child;
mod plan;
mod privileges;
mod room;

pub use plan::{Plan, Session, Surroundings};
pub use room::Pending;

use super::dispositions::{noted, scan, set_mask};
use super::init::Inherited;
use super::leftovers::pidfd_open;
use super::raw::{errno, io_error};
use super::reap::wait_for;
use crate::spec::{SpawnFailure, Stage};
use child::{Order, Slots, Table};
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use nix::unistd::pipe2;
use plan::Input;
use room::{Room, Wait};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::null_mut;
use std::sync::atomic::Ordering;
use std::time::Duration;

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

    fn flags(self, stand: Stand) -> i32 {
        let way = match self {
            Self::SharedTable => libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_PIDFD,
            Self::OwnTable => libc::CLONE_VM | libc::CLONE_PIDFD,
            Self::NoPidfd => libc::CLONE_VM,
            Self::Fork => 0,
        };
        let told = match stand {
            Stand::Watching => libc::CLONE_CHILD_CLEARTID,
            Stand::Still => libc::CLONE_VFORK,
        };
        way | told | libc::SIGCHLD
    }

    fn stand(self, plan: Option<&Plan>) -> Stand {
        let tells = plan.is_some_and(|plan| plan.prepared.oom_score.is_some());
        match self {
            Self::SharedTable | Self::OwnTable | Self::NoPidfd if !tells => Stand::Watching,
            Self::SharedTable | Self::OwnTable | Self::NoPidfd | Self::Fork => Stand::Still,
        }
    }

    fn table(self) -> Table {
        match self {
            Self::SharedTable => Table::Shared,
            Self::OwnTable | Self::NoPidfd | Self::Fork => Table::Own,
        }
    }
}

/// What we do until the child has executed or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// We watch a word that the kernel clears, for as long as we like.
    Watching,
    /// We stand still (`CLONE_VFORK`). Needed where no memory is shared, since the word is then
    /// the child's; and where the child sets its `oom_score_adj`, which the kernel sets for all who
    /// share its memory unless they stand still (`__set_oom_adj`): it would be ours, too.
    Still,
}

/// A running program.
#[derive(Debug)]
pub struct Child {
    /// Its number, until it is reaped.
    pub pid: i32,
    /// A descriptor for signalling it, unless the spawner makes none.
    pub pidfd: Option<OwnedFd>,
}

/// What came of a start.
#[derive(Debug)]
pub enum Started {
    /// Its program runs.
    Running(Child),
    /// It has not come to its program yet.
    Pending(Box<Pending>),
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
    /// Whoever has the second end open has not executed yet; it has a low number.
    news: (OwnedFd, OwnedFd),
    patience: Duration,
    room: Room,
}

/// How long everybody else waits for one program. Mostly it is a tenth of a millisecond.
const PATIENCE: Duration = Duration::from_millis(20);
/// How long it may take to see whether a rung holds, on however slow a machine.
const PROBE: Duration = Duration::from_secs(10);
/// When the one before was not there in time.
const IMPATIENCE: Duration = Duration::from_millis(1);

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
        let (pid, _) = spawner.clone_child(None, None)?;
        let told = spawner.room.wait(Wait::AtMost(PROBE));
        wait_for(pid, &mut |_| {});
        match spawner.room.report() {
            Some(failure) => return Err(failure),
            // A way whose end the kernel does not tell is none.
            None if !told => return Err(fail(Stage::Fork, &io_error(libc::ENOSYS))),
            None => {}
        }
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
        let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
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
            news: (read, low(write.as_fd())?),
            patience: PATIENCE,
            room: Room::new()?,
        })
    }

    /// Waits this long for a program from now on.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
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
        let (pid, pidfd) = self.launch(plan, stdio, Wait::Endless)?;
        self.conclude(pid, pidfd)
    }

    /// Spawns a child and returns when its program runs, when it is known why it does not, or when
    /// it takes too long.
    pub fn start(&mut self, plan: Plan, stdio: Stdio<'_>) -> Result<Started, SpawnFailure> {
        let (pid, pidfd) = self.launch(&plan, stdio, Wait::AtMost(self.patience))?;
        if !self.room.is_free() {
            match self.part_with(pid, plan) {
                Ok(pending) => {
                    self.patience = self.patience.min(IMPATIENCE);
                    return Ok(Started::Pending(Box::new(pending)));
                }
                // Without room for another child there is nothing but to wait for this one.
                Err(_plan) => drop(self.room.wait(Wait::Endless)),
            }
        }
        self.patience = self.patience.max(PATIENCE);
        self.conclude(pid, pidfd).map(Started::Running)
    }

    /// Leaves the room to the child in it. The plan comes back where that cannot be.
    fn part_with(&mut self, pid: i32, plan: Plan) -> Result<Pending, Plan> {
        let Ok(room) = Room::new() else {
            return Err(plan);
        };
        let Ok((read, write)) = pipe2(OFlag::O_CLOEXEC) else {
            return Err(plan);
        };
        // The old end closes with it: from now on the child alone has it.
        if replace(&self.news.1, write.as_fd()).is_err() {
            return Err(plan);
        }
        Ok(Pending {
            pid,
            news: std::mem::replace(&mut self.news.0, read),
            room: ManuallyDrop::new(std::mem::replace(&mut self.room, room)),
            plan: ManuallyDrop::new(plan),
        })
    }

    /// The child that was in the room: its program runs, or it has failed and is reaped.
    fn conclude(&self, pid: i32, pidfd: Option<OwnedFd>) -> Result<Child, SpawnFailure> {
        if let Some(failure) = self.room.report() {
            wait_for(pid, &mut |_| {});
            return Err(failure);
        }
        let pidfd = match self.pidfds {
            Pidfds::Opened => pidfd.or_else(|| pidfd_open(pid).ok()),
            Pidfds::None => None,
        };
        Ok(Child { pid, pidfd })
    }

    fn launch(
        &self,
        plan: &Plan,
        stdio: Stdio<'_>,
        wait: Wait,
    ) -> Result<(i32, Option<OwnedFd>), SpawnFailure> {
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
        let launched = match self.place(given) {
            Ok(()) => self.clone_child(Some(plan), ready.map(|(number, _)| number)),
            Err(error) => Err(fail(Stage::Descriptors, &error)),
        };
        if launched.is_ok() {
            self.room.wait(wait);
        }
        // Ours must not stay open here, or the reader of a log never sees its end.
        let null = Some(self.null.as_fd());
        let back = given.map(|fd| fd.and(null));
        // Only somebody who lowers our limit of descriptors below them (prlimit(2)) makes that
        // fail; the slot then keeps the child's end until the next spawn.
        let _stuck = self.place(back);
        launched
    }

    /// Puts descriptors into the slots; `None` leaves a slot alone.
    fn place(&self, given: [Option<BorrowedFd<'_>>; 4]) -> io::Result<()> {
        for (slot, fd) in self.hold.iter().zip(given) {
            let Some(fd) = fd else { continue };
            replace(slot, fd)?;
        }
        Ok(())
    }

    fn slots(&self) -> Slots {
        let [input, output, error, ready] = self.hold.each_ref().map(AsRawFd::as_raw_fd);
        let cwd = self.cwd.as_ref().map(AsRawFd::as_raw_fd);
        let news = self.news.1.as_raw_fd();
        let held = [input, output, error, ready, news];
        Slots {
            standard: [input, output, error],
            ready,
            news,
            cwd,
            top: held.into_iter().chain(cwd).max().unwrap_or(ready),
        }
    }

    /// Clones with every signal blocked, so that no handler of ours runs in the child.
    fn clone_child(
        &self,
        plan: Option<&Plan>,
        ready_number: Option<i32>,
    ) -> Result<(i32, Option<OwnedFd>), SpawnFailure> {
        // What is kept may have any number, and leaving a shared table closes the high ones.
        let keeps = plan.is_some_and(|plan| plan.prepared.keeps());
        let rung = if keeps {
            self.rung.max(Rung::OwnTable)
        } else {
            self.rung
        };
        let order = Order {
            table: rung.table(),
            slots: self.slots(),
            ready_number,
            reset: noted(),
            parent: self.own_pid,
            prepared: plan.map(|plan| std::ptr::from_ref(&*plan.prepared)),
        };
        self.room.prepare(Some(order));
        let mut pidfd: i32 = -1;
        let stand = rung.stand(plan);
        let flags = match self.pidfds {
            Pidfds::Opened => rung.flags(stand),
            Pidfds::None => rung.flags(stand) & !libc::CLONE_PIDFD,
        };
        let mask = set_mask(u64::MAX);
        // SAFETY: stack, page and plan are the child's as long as it uses them: we wait for its
        // end or part with them; the child's function keeps to bare system calls.
        let pid = unsafe {
            libc::clone(
                child::main,
                self.room.stack(),
                flags,
                self.room.page().cast(),
                &raw mut pidfd,
                null_mut::<libc::c_void>(),
                self.room.busy().as_ptr(),
            )
        };
        let error = errno();
        set_mask(mask);
        if pid < 0 || stand == Stand::Still {
            self.room.busy().store(0, Ordering::Release);
        }
        if pid < 0 {
            return Err(fail(Stage::Fork, &io_error(error)));
        }
        // SAFETY: the kernel has made this descriptor for us alone, if it made one.
        let pidfd = (pidfd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) });
        Ok((pid, pidfd))
    }
}

/// Lets a descriptor of ours stand for something else.
fn replace(slot: &OwnedFd, fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the slot is ours and stays open: what it stood for is replaced.
    let done = unsafe { libc::dup3(fd.as_raw_fd(), slot.as_raw_fd(), libc::O_CLOEXEC) };
    if done < 0 {
        return Err(io_error(errno()));
    }
    Ok(())
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
