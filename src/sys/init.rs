// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first thing in `main`: take over the process as whoever started us left it, and write down
//! what children must get back.
//!
//! Nothing here can be refused by a poor surrounding: what cannot be had is listed in
//! [`Inherited::degraded`] and lived without. The only error is a process without any descriptor
//! to stand on.

#![expect(unsafe_code, reason = "close_range(2), and descriptors by number")]

use super::dispositions::{DEFAULT, IGNORE, SignalSet, note, scan, set, set_mask};
use super::raw::{arg, syscall};
use crate::spec::Signal;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{dup2_raw, getpid};
use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};

/// Where the marking of inherited descriptors ends when close_range(2) is missing.
const DESCRIPTORS_LOOKED_AT: i32 = 65_536;

/// Where the search for inherited descriptors ends when there is no /proc.
const DESCRIPTORS_TRIED: i32 = 1024;

/// A reader that went away is an error where we write; and a terminal in whose background we are
/// must not stop us.
const IGNORED_BY_US: [i32; 3] = [libc::SIGPIPE, libc::SIGTTIN, libc::SIGTTOU];

/// What we found at our start.
#[derive(Debug)]
pub struct Inherited {
    /// The file mode creation mask.
    pub umask: u32,
    /// The working directory, even if it is moved or removed later; `None`: it cannot be opened.
    pub cwd: Option<OwnedFd>,
    /// Soft and hard limit of open files; `u64::MAX` is unlimited.
    pub nofile: (u64, u64),
    /// /proc/self/oom_score_adj, where there is a /proc.
    pub oom_score_adj: Option<i16>,
    /// Signals that were ignored. SIGPIPE tells nothing: the Rust runtime ignores it before us.
    pub ignored: SignalSet,
    /// Signals that were blocked.
    pub blocked: SignalSet,
    /// Our environment.
    pub env: Vec<(OsString, OsString)>,
    /// Whether we are the init of a pid name space.
    pub is_pid1: bool,
    /// What could not be had.
    pub degraded: Vec<Degraded>,
}

/// Something we do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Degraded {
    /// No /dev/null: a closed standard descriptor is the end of a pipe instead.
    DevNull,
    /// No sub-reaper: orphans of services go to somebody else.
    Subreaper(i32),
    /// The limit of open files cannot be raised.
    Nofile(i32),
    /// The working directory cannot be opened.
    Cwd(i32),
    /// No readable /proc/self.
    Proc,
}

/// We cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InitError {
    /// One of the descriptors 0 to 2 is closed and nothing can be opened in its place.
    #[error("cannot open anything for standard descriptor {number}: errno {errno}")]
    Descriptor {
        /// 0, 1 or 2.
        number: i32,
        /// Why.
        errno: i32,
    },
}

/// Takes the process over. Once, before anything else, on the only thread.
pub fn take_over() -> Result<Inherited, InitError> {
    let mut degraded = Vec::new();
    stand_on_descriptors(&mut degraded)?;
    mark_inherited_descriptors();
    let (ignored, _) = scan();
    for signal in ignored.iter() {
        // KILL and STOP are never ignored; nothing else can be refused.
        let _ = set(signal.number(), &DEFAULT);
    }
    for number in IGNORED_BY_US {
        if let Some(signal) = Signal::from_number(number) {
            note(signal);
        }
        let _ = set(number, &IGNORE);
    }
    let blocked = SignalSet::from_bits(set_mask(0));
    let found = umask(Mode::S_IRWXG | Mode::S_IRWXO);
    let is_pid1 = getpid().as_raw() == 1;
    if !is_pid1 && let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
        degraded.push(Degraded::Subreaper(error as i32));
    }
    let nofile = raise_nofile(&mut degraded);
    let mut inherited = observe(nofile);
    inherited.umask = found.bits();
    inherited.ignored = ignored;
    inherited.blocked = blocked;
    inherited.is_pid1 = is_pid1;
    inherited.degraded.splice(0..0, degraded);
    Ok(inherited)
}

impl Inherited {
    /// What the process is like now, changing nothing but for a moment the umask; for tests and
    /// one-shot tools.
    pub fn observe() -> Self {
        let nofile = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
        observe(nofile)
    }

    /// How many descriptors we may have ourselves.
    pub fn descriptors(&self) -> u64 {
        let not_raised = |d: &Degraded| matches!(d, Degraded::Nofile(_));
        if self.degraded.iter().any(not_raised) {
            self.nofile.0
        } else {
            self.nofile.1
        }
    }
}

fn observe(nofile: (u64, u64)) -> Inherited {
    let mut degraded = Vec::new();
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let cwd = match open(".", flags, Mode::empty()) {
        Ok(fd) => Some(fd),
        Err(error) => {
            degraded.push(Degraded::Cwd(error as i32));
            None
        }
    };
    let score = std::fs::read_to_string("/proc/self/oom_score_adj");
    let oom_score_adj = score.ok().and_then(|text| text.trim().parse().ok());
    if oom_score_adj.is_none() {
        degraded.push(Degraded::Proc);
    }
    let (ignored, _) = scan();
    let mask = umask(Mode::S_IRWXG | Mode::S_IRWXO);
    umask(mask);
    Inherited {
        umask: mask.bits(),
        cwd,
        nofile,
        oom_score_adj,
        ignored,
        blocked: SignalSet::EMPTY,
        env: std::env::vars_os().collect(),
        is_pid1: getpid().as_raw() == 1,
        degraded,
    }
}

/// A closed 0, 1 or 2 would be given to the next file that is opened; what was meant for the log
/// would then end in it.
fn stand_on_descriptors(degraded: &mut Vec<Degraded>) -> Result<(), InitError> {
    for number in 0..=2 {
        if is_open(number) {
            continue;
        }
        let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let opened = open("/dev/null", flags, Mode::empty()).or_else(|_| {
            degraded.push(Degraded::DevNull);
            nix::unistd::pipe2(OFlag::O_CLOEXEC).map(|(read, _)| read)
        });
        let opened = opened.map_err(|error| InitError::Descriptor {
            number,
            errno: error as i32,
        })?;
        // The lowest free number is the closed one, or one below it that was closed as well.
        if opened.as_raw_fd() == number {
            let _ = fcntl(
                opened.as_fd(),
                FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
            );
            let _ = opened.into_raw_fd();
            continue;
        }
        // SAFETY: the number is closed, so that nobody owns what is put there.
        let placed = unsafe { dup2_raw(&opened, number) };
        match placed {
            Ok(fd) => drop(fd.into_raw_fd()),
            Err(error) => {
                let errno = error as i32;
                return Err(InitError::Descriptor { number, errno });
            }
        }
    }
    Ok(())
}

/// What is open above 2 and would survive an exec. To be asked before [`take_over`], which marks
/// all of it.
pub fn descriptors_left_open() -> Vec<i32> {
    let listed = std::fs::read_dir("/proc/self/fd").map(|entries| {
        let names = entries.filter_map(Result::ok).map(|e| e.file_name());
        names
            .filter_map(|name| name.to_str()?.parse().ok())
            .collect()
    });
    let mut numbers: Vec<i32> = listed.unwrap_or_else(|_| (3..DESCRIPTORS_TRIED).collect());
    numbers.sort_unstable();
    numbers.retain(|number| *number > 2 && survives_exec(*number));
    numbers
}

fn survives_exec(number: i32) -> bool {
    // SAFETY: the descriptor is only asked about, and only during this call.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(fd, FcntlArg::F_GETFD).is_ok_and(|flags| flags & libc::FD_CLOEXEC == 0)
}

fn is_open(number: i32) -> bool {
    // SAFETY: the descriptor is only asked about, and only during this call.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    !matches!(fcntl(fd, FcntlArg::F_GETFD), Err(Errno::EBADF))
}

/// What the one who started us left open is not for our children (CVE-2024-21626). It stays open
/// for us: it may be a socket we were given.
fn mark_inherited_descriptors() {
    let flags = libc::CLOSE_RANGE_CLOEXEC as usize;
    let all = [3, u32::MAX as usize, flags, 0, 0];
    // SAFETY: no pointer is passed, and nothing is closed before an exec.
    if unsafe { syscall(libc::SYS_close_range, all) }.is_ok() {
        return;
    }
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    let end = i32::try_from(soft).unwrap_or(DESCRIPTORS_LOOKED_AT);
    for number in 3..end.min(DESCRIPTORS_LOOKED_AT) {
        let cloexec = arg(libc::FD_CLOEXEC);
        // SAFETY: no pointer is passed; a closed number is EBADF.
        let _ = unsafe {
            syscall(
                libc::SYS_fcntl,
                [arg(number), arg(libc::F_SETFD), cloexec, 0, 0],
            )
        };
    }
}

fn raise_nofile(degraded: &mut Vec<Degraded>) -> (u64, u64) {
    let found = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    if found.0 < found.1
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, found.1, found.1)
    {
        degraded.push(Degraded::Nofile(error as i32));
    }
    found
}
