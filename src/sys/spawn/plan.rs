// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything of a spawn that can be done before there is a child: names looked up, files read,
//! strings laid out as exec wants them.
//!
//! A plan is made for one spawn: secrets and environment files are read anew each time. It decides
//! nothing that the specification leaves open but the defaults named here.

use super::super::block::Block;
use super::super::dispositions::SignalSet;
use super::super::env::{self, Environment};
use super::super::init::Inherited;
use super::super::users::{Identity, Users};
use super::privileges::{PidText, Privileges};
use crate::spec::{Command, Limits, Process, Resource, SpawnFailure, Stage, Stdin};
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::Mode;
use nix::unistd::{getresgid, getresuid};
use std::ffi::{CString, OsString, c_char};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr::null;
use std::rc::Rc;

/// Where programs are looked for when the child has no `PATH`.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a spawn needs besides the specification.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// What supd was started with.
    pub inherited: &'a Inherited,
    /// What supd was started with as variables; `None`: it is laid out for this spawn.
    pub block: Option<&'a Rc<Block>>,
    /// Variables that supd adds; they replace configured ones.
    pub env: &'a [(&'a str, &'a str)],
    /// Executed instead of the service's own command, in the same context.
    pub command: Option<&'a Command>,
    /// The same, in bytes of any kind; never empty.
    pub words: Option<&'a [OsString]>,
    /// Where users are looked up; `None`: /etc.
    pub users: Option<&'a Users>,
    /// Session and process group of the child.
    pub session: Session,
    /// Signals that the child ignores; all others are at their default.
    pub ignored: SignalSet,
    /// Signals that are blocked in the child.
    pub blocked: SignalSet,
    /// Descriptors above 2 that the child keeps under their numbers; all others are closed.
    pub kept: &'a [i32],
    /// Sockets that the child gets from descriptor 3 on.
    pub listen: &'a [BorrowedFd<'a>],
}

impl<'a> Surroundings<'a> {
    /// A service of a tree: nothing added, its own session, no signal ignored.
    pub fn new(inherited: &'a Inherited) -> Self {
        Self {
            inherited,
            block: None,
            env: &[],
            command: None,
            words: None,
            users: None,
            session: Session::Own,
            ignored: SignalSet::EMPTY,
            blocked: SignalSet::EMPTY,
            kept: &[],
            listen: &[],
        }
    }
}

/// Session and process group of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// A session of its own, without a terminal.
    Own,
    /// Our session, a group of its own.
    Group,
    /// The same, in the foreground of the terminal on descriptor 0, 1 or 2, if one of them is ours.
    Foreground,
}

/// A spawn, prepared.
#[derive(Debug)]
pub struct Plan {
    /// Where it stands it stays: a child may read it while the plan is moved.
    pub(super) prepared: Box<Prepared>,
    pub(super) stdin: Input,
}

/// Where standard input comes from unless the caller of the spawn says.
#[derive(Debug)]
pub(super) enum Input {
    Null,
    Inherit,
    Opened(OwnedFd),
}

/// The part of a plan that the child reads.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) argv: CArray,
    pub(super) envp: CArray,
    /// Paths to try, in order.
    pub(super) candidates: CArray,
    /// Whether they come from a search of `PATH`.
    pub(super) searched: bool,
    pub(super) session: Session,
    pub(super) ignored: u64,
    pub(super) blocked: u64,
    pub(super) kept: Box<[i32]>,
    pub(super) privileges: Privileges,
    pub(super) listen: Box<[i32]>,
    /// `LISTEN_PID=` and room for a number that only the child knows.
    pub(super) listen_pid: Option<Box<PidText>>,
    pub(super) limits: Vec<RawLimit>,
    pub(super) nice: Option<i32>,
    pub(super) oom_score: Option<String>,
    pub(super) umask: u32,
    pub(super) groups: Option<Vec<u32>>,
    pub(super) gid: Option<u32>,
    pub(super) uid: Option<u32>,
    pub(super) workdir: Option<CString>,
    pub(super) workdir_is_absolute: bool,
    pub(super) no_new_privileges: bool,
    pub(super) pdeathsig: Option<i32>,
}

impl Prepared {
    /// Whether the child keeps descriptors with numbers of their own.
    pub(super) fn keeps(&self) -> bool {
        !self.kept.is_empty() || !self.listen.is_empty()
    }
}

/// A resource limit as prlimit(2) wants it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawLimit {
    pub(super) resource: u32,
    /// Soft, hard.
    pub(super) values: [u64; 2],
}

/// An array of C strings that ends with a null pointer, as execve(2) wants it.
pub(super) struct CArray {
    /// The strings one after another, each with its NUL; never touched after the pointers exist.
    bytes: Vec<u8>,
    /// Where other strings of the array stand.
    #[expect(dead_code, reason = "and here")]
    block: Option<Rc<Block>>,
    pointers: Vec<*const c_char>,
}

impl std::fmt::Debug for CArray {
    /// Their number only: one may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CArray({})", self.pointers.len() - 1)
    }
}

impl CArray {
    /// Each item is a string in pieces. `None`: a piece contains NUL.
    fn new<const N: usize>(items: &[[&[u8]; N]]) -> Option<Self> {
        let size = items.iter().flatten().map(|p| p.len() + 1).sum();
        let mut bytes: Vec<u8> = Vec::with_capacity(size);
        let base: *const c_char = bytes.as_ptr().cast();
        let mut pointers = Vec::with_capacity(items.len() + 1);
        for pieces in items {
            pointers.push(base.wrapping_add(bytes.len()));
            for piece in pieces {
                if piece.contains(&0) {
                    return None;
                }
                bytes.extend_from_slice(piece);
            }
            bytes.push(0);
        }
        debug_assert_eq!(base.cast(), bytes.as_ptr(), "there was room for all");
        pointers.push(null());
        Some(Self {
            bytes,
            block: None,
            pointers,
        })
    }

    /// The same strings in another array, after those of a block or in their place.
    fn within(self, block: &Rc<Block>, places: impl Iterator<Item = Option<usize>>) -> Self {
        let (last, own) = self.pointers.split_last().map_or((&null(), &[][..]), |p| p);
        let mut pointers = Vec::with_capacity(block.pointers().len() + self.pointers.len());
        pointers.extend_from_slice(block.pointers());
        for (pointer, place) in own.iter().zip(places) {
            match place.and_then(|at| pointers.get_mut(at)) {
                Some(replaced) => *replaced = *pointer,
                None => pointers.push(*pointer),
            }
        }
        pointers.push(*last);
        Self {
            bytes: self.bytes,
            block: Some(Rc::clone(block)),
            pointers,
        }
    }

    /// One more string, which lives as long as the array.
    fn push(&mut self, string: *const c_char) {
        let end = self.pointers.len().saturating_sub(1);
        self.pointers.insert(end, string);
    }

    pub(super) fn pointers(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

impl Plan {
    /// Prepares the spawn of `process` (or of another command in its context).
    pub fn prepare(process: &Process, around: &Surroundings<'_>) -> Result<Self, SpawnFailure> {
        let who = identity(process, around)?;
        let made;
        let own = if let Some(block) = around.block {
            block
        } else {
            made = Rc::new(Block::new(&around.inherited.env));
            &made
        };
        let env = env::build(process, own, who.as_ref(), around.env)
            .map_err(|error| fail(Stage::Env, error.errno()))?;
        let ids = Ids::of(process, around, who.as_ref())?;
        let command = around.command.unwrap_or(&process.command);
        let words = match around.words {
            Some(words) => words.iter().map(|word| word.as_bytes()).collect(),
            None => words(command),
        };
        let program = words.first().copied().unwrap_or_default();
        let searched = !program.contains(&b'/') && !program.is_empty();
        let workdir = match &process.workdir {
            None => None,
            Some(path) => Some(
                CString::new(path.as_os_str().as_bytes())
                    .map_err(|_| fail(Stage::Workdir, libc::EINVAL))?,
            ),
        };
        let absolute = process.workdir.as_ref().is_some_and(|p| p.is_absolute());
        let bad_word = || fail(Stage::Exec, libc::EINVAL);
        let argv: Vec<_> = words.iter().map(|word| [*word]).collect();
        let umask = process.umask.map_or(around.inherited.umask, u32::from);
        let mut envp = envp(&env).ok_or_else(|| fail(Stage::Env, libc::EINVAL))?;
        let listen_pid = (!around.listen.is_empty()).then(|| Box::new(PidText::new()));
        if let Some(text) = &listen_pid {
            envp.push(text.pointer());
        }
        let prepared = Prepared {
            argv: CArray::new(&argv).ok_or_else(bad_word)?,
            envp,
            candidates: candidates(program, &env).ok_or_else(bad_word)?,
            searched,
            session: around.session,
            ignored: around.ignored.bits(),
            blocked: around.blocked.bits(),
            kept: around.kept.into(),
            privileges: Privileges::of(process)?,
            listen: around.listen.iter().map(AsRawFd::as_raw_fd).collect(),
            listen_pid,
            limits: limits(&process.limits, around.inherited.nofile),
            nice: process.nice.map(i32::from),
            oom_score: process.oom_score_adj.map(|score| score.to_string()),
            umask,
            groups: ids.groups,
            gid: ids.gid,
            uid: ids.uid,
            workdir,
            workdir_is_absolute: absolute,
            no_new_privileges: process.no_new_privileges,
            pdeathsig: process.pdeathsig.map(crate::spec::Signal::number),
        };
        Ok(Self {
            prepared: Box::new(prepared),
            stdin: input(&process.stdin)?,
        })
    }
}

fn fail(stage: Stage, errno: i32) -> SpawnFailure {
    SpawnFailure { stage, errno }
}

fn words(command: &Command) -> Vec<&[u8]> {
    match command {
        Command::Argv(words) => words.iter().map(|word| word.as_bytes()).collect(),
        Command::Shell(text) => vec![b"/bin/sh", b"-c", text.as_bytes()],
    }
}

fn envp(env: &Environment<'_>) -> Option<CArray> {
    let changes = env.changes().map(|(n, v)| [n, b"=".as_slice(), v]);
    let own = CArray::new(&changes.collect::<Vec<_>>())?;
    let Some(block) = env.block() else {
        return Some(own);
    };
    let places = env.changes().map(|(name, _)| block.find(name));
    Some(own.within(block, places))
}

/// A program with a slash stands for itself; else every directory of the child's own `PATH`, where
/// an empty one means the working directory.
fn candidates(program: &[u8], env: &Environment<'_>) -> Option<CArray> {
    if program.contains(&b'/') || program.is_empty() {
        return CArray::new(&[[program]]);
    }
    let path = env.get(b"PATH").unwrap_or(DEFAULT_PATH);
    let directories = path.split(|byte| *byte == b':');
    let items: Vec<_> = directories
        .map(|dir| if dir.is_empty() { b"." } else { dir })
        .map(|dir| [dir, b"/".as_slice(), program])
        .collect();
    CArray::new(&items)
}

fn input(stdin: &Stdin) -> Result<Input, SpawnFailure> {
    let path = match stdin {
        Stdin::Null => return Ok(Input::Null),
        Stdin::Inherit => return Ok(Input::Inherit),
        Stdin::Path(path) => path,
    };
    // Without waiting for the writer of a FIFO, and without taking a terminal for our own; the
    // child then reads as usual.
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let opened = open(path, flags, Mode::empty()).and_then(|fd| {
        fcntl(&fd, FcntlArg::F_SETFL(OFlag::empty()))?;
        Ok(fd)
    });
    match opened {
        Ok(fd) => Ok(Input::Opened(fd)),
        Err(error) => Err(fail(Stage::Stdin, error as i32)),
    }
}

/// The limits of the configuration, and the original limit of open files, which supd raises for
/// itself.
fn limits(limits: &Limits, nofile: (u64, u64)) -> Vec<RawLimit> {
    let mut raw: Vec<RawLimit> = Vec::with_capacity(limits.0.len() + 1);
    if !limits.0.iter().any(|l| l.resource == Resource::Nofile) {
        raw.push(RawLimit {
            resource: number(Resource::Nofile),
            values: [nofile.0, nofile.1],
        });
    }
    raw.extend(limits.0.iter().map(|limit| RawLimit {
        resource: number(limit.resource),
        values: [limit.soft, limit.hard].map(|value| value.unwrap_or(u64::MAX)),
    }));
    raw
}

/// The kernel's number (getrlimit(2)).
#[allow(clippy::unnecessary_cast, reason = "its type differs by C library")]
fn number(resource: Resource) -> u32 {
    (match resource {
        Resource::As => libc::RLIMIT_AS,
        Resource::Core => libc::RLIMIT_CORE,
        Resource::Cpu => libc::RLIMIT_CPU,
        Resource::Data => libc::RLIMIT_DATA,
        Resource::Fsize => libc::RLIMIT_FSIZE,
        Resource::Memlock => libc::RLIMIT_MEMLOCK,
        Resource::Msgqueue => libc::RLIMIT_MSGQUEUE,
        Resource::Nice => libc::RLIMIT_NICE,
        Resource::Nofile => libc::RLIMIT_NOFILE,
        Resource::Nproc => libc::RLIMIT_NPROC,
        Resource::Rtprio => libc::RLIMIT_RTPRIO,
        Resource::Rttime => libc::RLIMIT_RTTIME,
        Resource::Sigpending => libc::RLIMIT_SIGPENDING,
        Resource::Stack => libc::RLIMIT_STACK,
    }) as u32
}

fn identity(
    process: &Process,
    around: &Surroundings<'_>,
) -> Result<Option<Identity>, SpawnFailure> {
    let Some(user) = &process.user else {
        return Ok(None);
    };
    let found = match around.users {
        Some(users) => users.identity(user),
        None => Users::default().identity(user),
    };
    match found {
        Ok(who) => Ok(Some(who)),
        Err(error) => Err(fail(Stage::User, error.errno())),
    }
}

/// What is changed, and only that: `None` stays as it is.
struct Ids {
    groups: Option<Vec<u32>>,
    gid: Option<u32>,
    uid: Option<u32>,
}

impl Ids {
    /// A user whose ids are ours already is no change, so that a configuration with `user` works
    /// for that user without any right, and for root in a user name space without setgroups(2).
    fn of(
        process: &Process,
        around: &Surroundings<'_>,
        who: Option<&Identity>,
    ) -> Result<Self, SpawnFailure> {
        let default = Users::default();
        let users = around.users.unwrap_or(&default);
        let gid_of = |group| {
            let found = users.gid(group);
            found.map_err(|error| fail(Stage::User, error.errno()))
        };
        let group = process.group.as_ref().map(gid_of).transpose()?;
        let listed = match &process.groups {
            None => None,
            Some(list) => Some(list.iter().map(gid_of).collect::<Result<Vec<_>, _>>()?),
        };
        let untold = group.is_none() && listed.is_none();
        let Some(who) = who else {
            return Ok(Self {
                groups: listed,
                gid: group,
                uid: None,
            });
        };
        if untold && is_ours(who) {
            return Ok(Self {
                groups: None,
                gid: None,
                uid: None,
            });
        }
        let gid = group.unwrap_or(who.gid);
        let mut groups = listed.unwrap_or_else(|| who.groups.clone());
        if !groups.contains(&gid) {
            groups.push(gid);
        }
        Ok(Self {
            groups: Some(groups),
            gid: Some(gid),
            uid: Some(who.uid),
        })
    }
}

/// Whether this is who we are: the same user; and the same group, unless nobody but the number
/// itself told us the group, or we could not change it anyway.
fn is_ours(who: &Identity) -> bool {
    let (Ok(uids), Ok(gids)) = (getresuid(), getresgid()) else {
        return false;
    };
    let same_user = [uids.real, uids.effective, uids.saved]
        .iter()
        .all(|uid| uid.as_raw() == who.uid);
    let same_group = [gids.real, gids.effective, gids.saved]
        .iter()
        .all(|gid| gid.as_raw() == who.gid);
    same_user && (same_group || who.account.is_none() || !uids.effective.is_root())
}
