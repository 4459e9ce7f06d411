// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the control socket is put, and who owns it.
//!
//! Walks the ladder of CONFIG.md: the first place that can be used is used. A lock file beside the
//! socket decides between two daemons, so that one that is slow is never taken for dead and nobody
//! removes another's socket. With no place at all the daemon runs without a socket.

use super::control::access::{Access, Door};
use crate::spec::{SocketSpec, UserRef};
use crate::sys::listen;
use crate::sys::lock::{self, Lock};
use crate::sys::users::Users;
use crate::wire::socket_path::{DirFacts, Place, Surroundings, ladder};
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A socket that is listened to.
#[derive(Debug)]
pub(crate) struct Listening {
    /// The socket.
    pub fd: OwnedFd,
    /// How it is reached, for people and `SUPD_SOCKET`.
    pub address: String,
    /// Who may use it.
    pub access: Access,
    /// What could not be had.
    pub remarks: Vec<String>,
    file: Option<File>,
}

/// A socket's file; removed at the end if it is still ours.
#[derive(Debug)]
struct File {
    path: PathBuf,
    inode: (u64, u64),
    _lock: Lock,
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoSocket {
    /// Another daemon owns the place.
    #[error("another supd holds `{place}`")]
    Held {
        /// Where.
        place: String,
    },
    /// No place can be used.
    #[error("no place for a control socket: {}", tried.join("; "))]
    Nowhere {
        /// Each place and why not.
        tried: Vec<String>,
    },
}

/// Listens at the first place that can be used.
pub(crate) fn open(asked: Option<OsString>, spec: &SocketSpec) -> Result<Listening, NoSocket> {
    let uid = nix_uid();
    let var = |name: &str| std::env::var_os(name);
    let around = Surroundings {
        asked: asked.or_else(|| spec.path.clone().map(Into::into)),
        supd_socket: var("SUPD_SOCKET"),
        xdg_runtime_dir: var("XDG_RUNTIME_DIR"),
        tmpdir: var("TMPDIR"),
        uid,
    };
    let mut tried = Vec::new();
    for place in ladder(&around) {
        match at(&place, spec, uid) {
            Ok(Some(listening)) => return Ok(listening),
            Ok(None) => {
                return Err(NoSocket::Held {
                    place: place.display(),
                });
            }
            Err(e) => tried.push(format!("{}: {e}", place.display())),
        }
    }
    Err(NoSocket::Nowhere { tried })
}

fn nix_uid() -> u32 {
    // The owner of our own process; /proc may be absent, our own socket pair is not.
    std::os::unix::net::UnixStream::pair()
        .and_then(|(near, _far)| crate::sys::peer::of(&near))
        .map_or(u32::MAX, |peer| peer.uid)
}

/// `None`: somebody else holds it.
fn at(place: &Place, spec: &SocketSpec, uid: u32) -> io::Result<Option<Listening>> {
    let mut remarks = Vec::new();
    let access = Access {
        own: uid,
        overflow: overflow("uid"),
        overflow_gid: overflow("gid"),
        door: Door::Path,
        group: gid(spec.group.as_ref(), &mut remarks),
        read_group: gid(spec.read_group.as_ref(), &mut remarks),
    };
    if let Place::Abstract(name) = place {
        let fd = match listen::abstract_name(name) {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => return Ok(None),
            other => other?,
        };
        return Ok(Some(Listening {
            fd,
            address: place.display(),
            access: Access {
                door: Door::Abstract,
                ..access
            },
            remarks,
            file: None,
        }));
    }
    let mode = mode(&access);
    let access = Access {
        door: if mode == 0o600 {
            Door::Path
        } else {
            Door::Shared
        },
        ..access
    };
    make_directory(place, uid)?;
    let Some(path) = place.path() else {
        return Ok(None);
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let Some(lock) = lock::take(Path::new(&beside))? else {
        return Ok(None);
    };
    let fd = listen::at_path(path, mode, &lock)?;
    if let (Some(gid), None) | (None, Some(gid)) = (access.group, access.read_group)
        && let Err(e) = listen::give_to_group(path, gid)
    {
        remarks.push(format!("the socket cannot be given to group {gid}: {e}"));
    }
    let made = fs::symlink_metadata(path)?;
    Ok(Some(Listening {
        fd,
        address: place.display(),
        access,
        remarks,
        file: Some(File {
            path: path.to_path_buf(),
            inode: (made.dev(), made.ino()),
            _lock: lock,
        }),
    }))
}

/// A file has one group: with two that may connect, everybody may and the roles decide.
fn mode(access: &Access) -> u32 {
    match (access.group, access.read_group) {
        (None, None) => 0o600,
        (Some(_), None) | (None, Some(_)) => 0o660,
        (Some(a), Some(b)) if a == b => 0o660,
        (Some(_), Some(_)) => 0o666,
    }
}

fn make_directory(place: &Place, uid: u32) -> io::Result<()> {
    let made = |dir: &Path, mode: u32| match DirBuilder::new().mode(mode).create(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    match place {
        Place::Asked(_) | Place::Abstract(_) => Ok(()),
        Place::System(path) => match path.parent() {
            // Our umask takes what others need to come through to the socket.
            Some(dir) if !dir.exists() => {
                made(dir, 0o755)?;
                let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
                fs::set_permissions(dir, open)
            }
            Some(_) | None => Ok(()),
        },
        Place::Own { dir, .. } => {
            made(dir, 0o700)?;
            let there = fs::symlink_metadata(dir)?;
            let facts = DirFacts {
                is_dir: there.is_dir(),
                uid: there.uid(),
                mode: there.mode(),
            };
            if Place::is_safe(facts, uid) {
                return Ok(());
            }
            let what = "not a directory of our own with mode 0700";
            Err(io::Error::other(what))
        }
    }
}

/// The number of users, or of groups, that have none here (proc(5)).
fn overflow(whose: &str) -> u32 {
    let text = fs::read_to_string(format!("/proc/sys/kernel/overflow{whose}"));
    let number = text.ok().and_then(|t| t.trim().parse().ok());
    number.unwrap_or(65_534)
}

fn gid(group: Option<&UserRef>, remarks: &mut Vec<String>) -> Option<u32> {
    match Users::default().gid(group?) {
        Ok(gid) => Some(gid),
        Err(e) => {
            remarks.push(format!("the socket's group is unknown: {e}"));
            None
        }
    }
}

impl Listening {
    /// What is left of it when the descriptor is given away.
    pub(crate) fn into_parts(self) -> (OwnedFd, Ours) {
        (self.fd, Ours(self.file))
    }
}

/// The file of the socket and its lock, as long as they are ours.
#[derive(Debug)]
pub(crate) struct Ours(Option<File>);

impl Drop for Ours {
    /// Removes the file if it is still the one we made.
    fn drop(&mut self) {
        let Some(file) = &self.0 else { return };
        let there = fs::symlink_metadata(&file.path).map(|m| (m.dev(), m.ino()));
        if there.is_ok_and(|inode| inode == file.inode) {
            let _gone = fs::remove_file(&file.path);
        }
    }
}
