// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is executed and in which surroundings.

use super::{Capabilities, Listen, Signal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Executed as it stands; the first word is looked up in the service's `PATH` unless it has a
    /// slash. Never empty.
    Argv(Box<[Box<str>]>),
    /// Given to `/bin/sh -c`.
    Shell(Box<str>),
}

impl Command {
    /// Whether a shell stands between us and the program, so that 126, 127 and 128+n are its words.
    pub fn is_shell(&self) -> bool {
        matches!(self, Self::Shell(_))
    }

    /// What is executed, as it is written.
    pub fn program(&self) -> &str {
        match self {
            Self::Argv(words) => words.first().map_or("", |word| word),
            Self::Shell(_) => "/bin/sh",
        }
    }
}

/// What is executed and in which surroundings.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    /// The program.
    pub command: Command,
    /// `NAME=VALUE` pairs set last, in the order of the file.
    pub env: Box<[(Box<str>, EnvValue)]>,
    /// What is inherited from supd's environment.
    pub env_inherit: EnvInherit,
    /// Read at spawn, between the inherited environment and `env`.
    pub env_files: Arc<[EnvFile]>,
    /// Who runs it; `None`: supd's own user.
    pub user: Option<UserRef>,
    /// Its primary group; `None`: the user's.
    pub group: Option<UserRef>,
    /// Its supplementary groups; `None`: those /etc/group gives the user.
    pub groups: Option<Box<[UserRef]>>,
    /// File mode creation mask; `None`: supd's own at start.
    pub umask: Option<u16>,
    /// Working directory; `None`: supd's own at start.
    pub workdir: Option<PathBuf>,
    /// What it sees as `/`; the program and the working directory are looked for in there.
    pub chroot: Option<PathBuf>,
    /// Resource limits, each set only when given.
    pub limits: Arc<Limits>,
    /// -20 to 19; `None`: unchanged.
    pub nice: Option<i8>,
    /// -1000 to 1000; `None`: what supd was started with.
    pub oom_score_adj: Option<i16>,
    /// Processors it runs on, in order; `None`: unchanged.
    pub cpu_affinity: Option<Box<[u16]>>,
    /// What it may do beyond its user.
    pub capabilities: Capabilities,
    /// prctl(2), `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privileges: bool,
    /// Standard input.
    pub stdin: Stdin,
    /// Whether it has our terminal, and the foreground there.
    pub tty: bool,
    /// Sockets that supd holds for it.
    pub listen: Arc<[Listen]>,
    /// Standard output and error.
    pub logs: Arc<Logs>,
    /// Sent to it when supd dies (`PR_SET_PDEATHSIG`); `None`: it lives on.
    pub pdeathsig: Option<Signal>,
    /// Whether it is told where the control socket is (`SUPD_SOCKET`).
    pub control: bool,
}

impl Process {
    /// This command in supd's own surroundings, with nothing configured: no input, output
    /// captured but not kept, and no signal when supd dies.
    pub fn new(command: Command) -> Self {
        Self {
            command,
            env: Box::default(),
            env_inherit: EnvInherit::All,
            env_files: Arc::from([]),
            user: None,
            group: None,
            groups: None,
            umask: None,
            workdir: None,
            chroot: None,
            limits: Arc::default(),
            nice: None,
            oom_score_adj: None,
            cpu_affinity: None,
            capabilities: Capabilities::default(),
            no_new_privileges: false,
            stdin: Stdin::Null,
            tty: false,
            listen: Arc::from([]),
            logs: Arc::new(Logs::captured(0)),
            pdeathsig: None,
            control: false,
        }
    }
}

/// The value of an environment variable.
#[derive(Clone, PartialEq, Eq)]
pub enum EnvValue {
    /// As it stands.
    Plain(Box<str>),
    /// The contents of a file, read at spawn, without its last newline; a secret.
    File(PathBuf),
}

impl std::fmt::Debug for EnvValue {
    /// Never shows a value: this text may end up in a log (invariant 21).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("Plain(***)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// What a service inherits of supd's own environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvInherit {
    /// All of it but what belongs to an outer manager.
    All,
    /// These names; empty: nothing.
    Only(Box<[Box<str>]>),
}

/// A file of `NAME=VALUE` lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it may be absent.
    pub optional: bool,
}

/// A user or a group, by name or by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserRef {
    /// Looked up in /etc/passwd or /etc/group, without NSS.
    Name(Box<str>),
    /// A number; never 4294967295, which means "unchanged" to the kernel.
    Id(u32),
}

/// Where standard input comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stdin {
    /// /dev/null.
    Null,
    /// supd's own.
    Inherit,
    /// A file, opened for reading.
    Path(PathBuf),
}

/// Where standard output and error go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logs {
    /// Who gets the two descriptors.
    pub to: LogSink,
    /// Whether what is captured is passed on to supd's own output.
    pub aloud: bool,
    /// Files that get what is captured.
    pub files: Box<[Arc<Path>]>,
    /// When these files are put aside.
    pub rotate: Rotate,
    /// Bytes of what is captured kept in memory, of each stream.
    pub ring: usize,
}

impl Logs {
    /// Captured, passed on, and kept in a ring of this many bytes.
    pub fn captured(ring: usize) -> Self {
        Self {
            to: LogSink::Captured,
            aloud: true,
            files: Box::default(),
            rotate: Rotate::default(),
            ring,
        }
    }
}

/// Who gets a service's standard output and error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogSink {
    /// supd, through pipes.
    Captured,
    /// supd's own descriptors, untouched.
    Inherit,
    /// /dev/null.
    Null,
}

/// When a log file is put aside, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotate {
    /// At this many bytes; `None`: never.
    pub size: Option<u64>,
    /// Old files kept, at least one.
    pub keep: u32,
    /// Whether they are compressed.
    pub compress: bool,
}

impl Default for Rotate {
    /// 60 MiB of a service at most: nobody finds the disk full of what nobody has asked for.
    fn default() -> Self {
        Self {
            size: Some(super::limits::LOG_FILE),
            keep: super::limits::LOG_FILES_KEPT,
            compress: false,
        }
    }
}

/// Resource limits (setrlimit(2)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits(pub Box<[Limit]>);

/// One resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What is limited.
    pub resource: Resource,
    /// The soft limit; `None`: unlimited.
    pub soft: Option<u64>,
    /// The hard limit; `None`: unlimited.
    pub hard: Option<u64>,
}

/// A resource of setrlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Address space, bytes.
    As,
    /// Core file, bytes.
    Core,
    /// CPU time, seconds.
    Cpu,
    /// Data segment, bytes.
    Data,
    /// Largest file, bytes.
    Fsize,
    /// Locked memory, bytes.
    Memlock,
    /// Message queues, bytes.
    Msgqueue,
    /// Ceiling of nice, 1 to 40.
    Nice,
    /// Open files.
    Nofile,
    /// Processes of the user.
    Nproc,
    /// Ceiling of the real-time priority.
    Rtprio,
    /// Real-time CPU, microseconds.
    Rttime,
    /// Pending signals.
    Sigpending,
    /// Stack, bytes.
    Stack,
}
