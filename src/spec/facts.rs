// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel says about processes: the words in which `sys` reports and by which `tree`
//! decides. They live here because neither of the two may import the other.

use super::{PatternId, Signal};
use std::time::Duration;

/// What is known about the end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitFacts {
    /// The wait status.
    pub status: ExitStatus,
    /// User CPU time, microseconds (getrusage(2)).
    pub user_us: u64,
    /// System CPU time, microseconds.
    pub system_us: u64,
    /// Largest resident set, KiB.
    pub maxrss_kb: u64,
    /// Processes of the run that were still alive at its end. After a clean end everybody is
    /// looked for, after a stop those that had left the process group, else nobody.
    pub left_behind: u32,
    /// What the counters of processes killed for want of memory say.
    pub oom: Oom,
    /// The hard limit of its CPU time, seconds (RLIMIT_CPU), where SIGKILL ended it.
    pub cpu_limit_s: Option<u64>,
}

/// What the counters of processes that the kernel killed for want of memory say about an end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Oom {
    /// None has risen, or there is none to look at.
    #[default]
    None,
    /// One that it shares with others has, and it is among the largest of those who were killed in
    /// the same pass: as many as it has risen by.
    Shared,
    /// That of its own control group has.
    Own,
}

/// What a service has said and written about its end itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Testimony {
    /// The class it says it ends with (`X_SUPD_CLASS`).
    pub class: Option<Box<str>>,
    /// The delay it asks for before it is started again (`X_SUPD_RETRY_AFTER_SEC`).
    pub retry_after: Option<Duration>,
    /// Its error number (`ERRNO`, sd_notify(3)).
    pub errno: Option<i32>,
    /// Its D-Bus error (`BUSERROR`).
    pub bus_error: Option<Box<str>>,
    /// The patterns that its last output matches, each with the last place.
    pub found: Box<[Found]>,
}

/// A pattern that the last output of a run matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which one.
    pub pattern: PatternId,
    /// Where.
    pub stream: Stream,
    /// The line, cut to what people can read. Not to be trusted by a terminal.
    pub line: Box<str>,
    /// What its named groups have matched.
    pub captures: Box<[(Box<str>, Box<str>)]>,
}

/// One of the two streams that a service writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Out, Self::Err];

    /// Its place in a pair of things.
    pub fn place(self) -> usize {
        match self {
            Self::Out => 0,
            Self::Err => 1,
        }
    }

    /// The word for it in records and files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Out => "stdout",
            Self::Err => "stderr",
        }
    }
}

impl ExitFacts {
    /// Facts of a process that used nothing worth counting.
    pub fn bare(status: ExitStatus) -> Self {
        Self {
            status,
            user_us: 0,
            system_us: 0,
            maxrss_kb: 0,
            left_behind: 0,
            oom: Oom::None,
            cpu_limit_s: None,
        }
    }
}

/// A wait status (waitid(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(u8),
    /// A signal ended it.
    Signal {
        /// Which one.
        signal: Signal,
        /// Whether a core was dumped.
        core: bool,
    },
}

/// What a service was doing when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not ready yet.
    Starting,
    /// Ready.
    Ready,
    /// Asked to stop.
    Stopping,
    /// On trial, ready or not.
    Trial,
}

/// Why a program could not be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpawnFailure {
    /// The step that failed.
    pub stage: Stage,
    /// The kernel's error number.
    pub errno: i32,
}

/// Why a probe did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeFault {
    /// No answer within its timeout.
    TimedOut,
    /// A system call failed with this error number: `ECONNREFUSED`, `ENOENT`.
    Errno(i32),
    /// The answer has this HTTP status.
    HttpStatus(u16),
    /// The answer is not HTTP.
    NotHttp,
    /// The connection was closed without an answer.
    Closed,
    /// The file has not changed since before the start of the run.
    Stale,
    /// The file that is to change again and again has not changed since the last look.
    Unchanged,
    /// The command ended like this.
    Exit(ExitStatus),
    /// The command could not be executed; this says nothing about the service.
    NotStarted(SpawnFailure),
    /// The world has no way to try it; this says nothing about the service.
    Impossible,
}

impl ProbeFault {
    /// Nobody listens (`ECONNREFUSED`).
    pub const REFUSED: Self = Self::Errno(111);

    /// Whether it says something about the service, and not about us who asked.
    pub fn is_about_the_service(self) -> bool {
        // ENOMEM, ENFILE, EMFILE, ENOBUFS: it is we who lack something.
        const SHORTAGES: [i32; 4] = [12, 23, 24, 105];
        match self {
            Self::Errno(errno) => !SHORTAGES.contains(&errno),
            Self::NotStarted(_) | Self::Impossible => false,
            Self::TimedOut
            | Self::HttpStatus(_)
            | Self::NotHttp
            | Self::Closed
            | Self::Stale
            | Self::Unchanged
            | Self::Exit(_) => true,
        }
    }
}

impl SpawnFailure {
    /// A mistake of supd itself on the way to a child (EIO stands for it): as good as no resources.
    pub fn internal() -> Self {
        Self {
            stage: Stage::Fork,
            errno: 5,
        }
    }
}

/// The steps from a specification to a running program, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Reading an environment file or a secret.
    Env,
    /// Looking up a user or a group.
    User,
    /// Looking up the program in `PATH`.
    Lookup,
    /// Pipes and sockets for its output and readiness.
    Pipe,
    /// Opening its standard input.
    Stdin,
    /// Listening on its sockets.
    Listen,
    /// clone(2), vfork(2) or fork(2).
    Fork,
    /// Arranging its descriptors.
    Descriptors,
    /// setsid(2).
    Session,
    /// setrlimit(2).
    Limits,
    /// setpriority(2).
    Nice,
    /// sched_setaffinity(2).
    Affinity,
    /// Writing /`proc/self/oom_score_adj`.
    OomScore,
    /// chroot(2).
    Chroot,
    /// setgroups(2).
    Groups,
    /// setresgid(2).
    Gid,
    /// setresuid(2), and reading back what it did.
    Uid,
    /// prctl(2) and capset(2) for its capabilities.
    Capabilities,
    /// chdir(2).
    Workdir,
    /// prctl(2).
    Prctl,
    /// execve(2).
    Exec,
}

impl Stage {
    /// The word for it in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::User => "user",
            Self::Lookup => "lookup",
            Self::Pipe => "pipe",
            Self::Stdin => "stdin",
            Self::Listen => "listen",
            Self::Fork => "fork",
            Self::Descriptors => "descriptors",
            Self::Session => "session",
            Self::Limits => "limits",
            Self::Nice => "nice",
            Self::Affinity => "cpu_affinity",
            Self::OomScore => "oom_score_adj",
            Self::Chroot => "chroot",
            Self::Groups => "groups",
            Self::Gid => "gid",
            Self::Uid => "uid",
            Self::Capabilities => "capabilities",
            Self::Workdir => "workdir",
            Self::Prctl => "prctl",
            Self::Exec => "exec",
        }
    }
}
