// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the control socket is: the ladder that daemon and client both walk (CONFIG.md, "Rules").
//!
//! Pure: the environment comes in as a value, a list of places goes out; who tries them, in which
//! way, is the caller's affair. [`Place::check`] is the rule about a directory's owner, over
//! facts the caller has read.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The place of a system's own daemon.
pub const SYSTEM: &str = "/run/supd/supd.sock";
/// The longest path of a socket: `sun_path` holds 108 bytes with the final 0 (unix(7)).
pub const PATH_MAX: usize = 107;

/// What the ladder depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `--socket`, or `[supd] socket` for the daemon.
    pub asked: Option<OsString>,
    /// `$SUPD_SOCKET`.
    pub supd_socket: Option<OsString>,
    /// `$XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<OsString>,
    /// `$TMPDIR`.
    pub tmpdir: Option<OsString>,
    /// The effective user.
    pub uid: u32,
    /// For a client: the user of process 1, who may be the daemon.
    pub other_uid: Option<u32>,
}

/// A place where the socket may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Named by somebody: used as it is, and no other place is tried.
    Asked(PathBuf),
    /// The same, without its `@`: an abstract socket (unix(7)).
    Abstract(Vec<u8>),
    /// In a directory that the system looks after.
    System(PathBuf),
    /// In the user's own directory of this session.
    Session(PathBuf),
    /// In a directory of our own, below one that everybody may write to: to be made with mode
    /// 0700, and trusted only when [`check`](Self::check) says so.
    Own {
        /// The directory.
        dir: PathBuf,
        /// The socket in it.
        path: PathBuf,
        /// The user whose it must be.
        uid: u32,
    },
}

/// What lstat(2) says about a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirFacts {
    /// A directory, not a symbolic link to one.
    pub is_dir: bool,
    /// Its owner.
    pub uid: u32,
    /// Its mode bits.
    pub mode: u32,
}

impl Place {
    /// The socket's path; an abstract one has none.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Asked(path)
            | Self::System(path)
            | Self::Session(path)
            | Self::Own { path, .. } => Some(path),
            Self::Abstract(_) => None,
        }
    }

    /// How to write it for people: what `--socket` would take.
    pub fn display(&self) -> String {
        match self {
            Self::Asked(path)
            | Self::System(path)
            | Self::Session(path)
            | Self::Own { path, .. } => path.display().to_string(),
            Self::Abstract(name) => format!("@{}", String::from_utf8_lossy(name)),
        }
    }

    /// Whether nobody else can have put this directory, or anything in it, in our way; else what
    /// is wrong with it. `uid` is who looks.
    pub fn check(&self, dir: DirFacts, uid: u32) -> Result<(), &'static str> {
        const OTHERS: u32 = 0o077;
        let open = dir.mode & 0o002 != 0 && dir.mode & 0o1000 == 0;
        match self {
            Self::Abstract(_) => Ok(()),
            _ if !dir.is_dir => Err("its directory is none"),
            Self::Own { uid, .. } if dir.uid != *uid => {
                Err("its directory belongs to somebody else")
            }
            Self::Own { .. } if dir.mode & OTHERS != 0 => {
                Err("its directory is open to others: it must have mode 0700")
            }
            Self::Asked(_) | Self::System(_) | Self::Session(_) if open => {
                Err("everybody may write to its directory, and replace it there")
            }
            Self::System(_) if dir.uid != uid && dir.uid != 0 => {
                Err("its directory belongs to somebody else")
            }
            Self::Session(_) if dir.uid != uid => Err("its directory belongs to somebody else"),
            Self::Asked(_) | Self::System(_) | Self::Session(_) | Self::Own { .. } => Ok(()),
        }
    }
}

/// The places to try, in order; exactly one when somebody named it.
pub fn ladder(around: &Surroundings) -> Vec<Place> {
    let named = [&around.asked, &around.supd_socket]
        .into_iter()
        .flatten()
        .find(|text| !text.is_empty());
    if let Some(text) = named {
        return vec![asked(text)];
    }
    let mut places = vec![Place::System(PathBuf::from(SYSTEM))];
    if let Some(dir) = absolute(around.xdg_runtime_dir.as_ref()) {
        places.push(Place::Session(dir.join("supd.sock")));
    }
    let shared = absolute(around.tmpdir.as_ref())
        .into_iter()
        .chain(["/tmp", "/dev/shm"].map(PathBuf::from));
    let shared: Vec<PathBuf> = shared.collect();
    // In a container the daemon is process 1, and who looks for it may be another user there.
    for uid in [Some(around.uid), around.other_uid].into_iter().flatten() {
        for above in &shared {
            let dir = above.join(format!("supd-{uid}"));
            let path = dir.join("supd.sock");
            let place = Place::Own { dir, path, uid };
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places.retain(|place| {
        place
            .path()
            .is_none_or(|path| path.as_os_str().len() <= PATH_MAX)
    });
    places
}

fn asked(text: &OsString) -> Place {
    match text.as_bytes().strip_prefix(b"@") {
        Some(name) => Place::Abstract(name.to_vec()),
        None => Place::Asked(PathBuf::from(OsString::from_vec(text.as_bytes().to_vec()))),
    }
}

/// A relative directory in the environment would mean another one to every reader.
fn absolute(text: Option<&OsString>) -> Option<PathBuf> {
    text.map(PathBuf::from).filter(|path| path.is_absolute())
}
