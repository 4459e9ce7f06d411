// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the control socket is put, and who owns it.
//!
//! Walks the ladder of CONFIG.md: the first place that can be used is used. A lock file beside the
//! socket decides between two daemons, so that one that is slow is never taken for dead and nobody
//! removes another's socket. With no place at all the daemon runs without a socket. A file that is
//! removed under us is made again, unless another daemon has the lock by then.
//!
//! A directory in which others could put a socket of their own in place of ours is refused.

use super::control::access::{Access, Door};
use crate::spec::{SocketSpec, UserRef};
use crate::sys::listen::{self, Folder, Inode, Links};
use crate::sys::lock::{self, Lock};
use crate::sys::users::Users;
use crate::sys::watch::Watch;
use crate::wire::socket_path::{DirFacts, PATH_MAX, Place, Surroundings, ladder};
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

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
    /// What is ours of it.
    pub ours: Ours,
}

/// The file of the socket and its lock, as long as they are ours; removed at the end.
#[derive(Debug)]
pub(crate) struct Ours {
    place: Place,
    uid: u32,
    /// Mode and group of the file.
    look: (u32, Option<u32>),
    /// An abstract name has no file.
    file: Option<File>,
    /// Tells when the file may be gone.
    pub watch: Option<Watch>,
}

/// A socket's file.
#[derive(Debug)]
struct File {
    folder: Folder,
    inode: Inode,
    lock: Lock,
}

/// What became of the socket's file.
#[derive(Debug)]
pub(crate) enum Mended {
    /// It is there.
    Sound,
    /// It was gone, and is there again.
    Again(OwnedFd),
    /// It is gone, and this is why.
    Gone(String),
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
    let uid = own_uid();
    let var = |name: &str| std::env::var_os(name);
    let around = Surroundings {
        asked: asked.or_else(|| spec.path.clone().map(Into::into)),
        supd_socket: var("SUPD_SOCKET"),
        xdg_runtime_dir: var("XDG_RUNTIME_DIR"),
        tmpdir: var("TMPDIR"),
        uid,
        other_uid: None,
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

fn own_uid() -> u32 {
    // The owner of our own process; /proc may be absent, our own socket pair is not.
    std::os::unix::net::UnixStream::pair()
        .and_then(|(near, _far)| crate::sys::peer::of(&near))
        .map_or(u32::MAX, |peer| peer.uid)
}

/// `None`: somebody else holds it.
fn at(place: &Place, spec: &SocketSpec, uid: u32) -> io::Result<Option<Listening>> {
    let mut remarks = Vec::new();
    let overflow_gid = overflow("gid");
    let mut group = |group: Option<&UserRef>| gid(group, overflow_gid, &mut remarks);
    let (group, read_group) = (group(spec.group.as_ref()), group(spec.read_group.as_ref()));
    let look = look(group, read_group);
    let mut ours = Ours {
        place: place.clone(),
        uid,
        look,
        file: None,
        watch: None,
    };
    let (fd, door) = if let Place::Abstract(name) = place {
        match listen::abstract_name(name) {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => return Ok(None),
            other => (other?, Door::Abstract),
        }
    } else {
        let Some((fd, refused)) = ours.make()? else {
            return Ok(None);
        };
        if let (Some(e), Some(gid)) = (refused, look.1) {
            remarks.push(format!("the socket cannot be given to group {gid}: {e}"));
        }
        remarks.extend(ours.remark());
        let private = look.0 == 0o600;
        (fd, if private { Door::Path } else { Door::Shared })
    };
    let access = Access {
        own: uid,
        overflow: overflow("uid"),
        overflow_gid,
        door,
        group,
        read_group,
    };
    Ok(Some(Listening {
        fd,
        address: place.display(),
        access,
        remarks,
        ours,
    }))
}

/// Mode and group. A file has one group: with two that may connect, everybody may and the roles
/// decide.
fn look(group: Option<u32>, read_group: Option<u32>) -> (u32, Option<u32>) {
    match (group, read_group) {
        (None, None) => (0o600, None),
        (Some(a), Some(b)) if a != b => (0o666, None),
        (Some(one), _) | (None, Some(one)) => (0o660, Some(one)),
    }
}

/// Makes the directory where that is ours to do, and opens it if nobody else can play with it.
fn folder(place: &Place, uid: u32) -> io::Result<Folder> {
    let Some(dir) = place.path().map(parent) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let make = |mode: u32| match DirBuilder::new().mode(mode).create(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    match place {
        // Our umask takes what others need to come through to the socket.
        Place::System(_) if !dir.exists() => {
            make(0o755)?;
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(dir, open)?;
        }
        Place::Asked(_) | Place::Abstract(_) | Place::System(_) | Place::Session(_) => {}
        Place::Own { .. } => make(0o700)?,
    }
    let links = match place {
        Place::Own { .. } => Links::Refuse,
        Place::Asked(_) | Place::Abstract(_) | Place::System(_) | Place::Session(_) => {
            Links::Follow
        }
    };
    let folder = Folder::open(dir, links)?;
    let (owner, mode) = folder.owner()?;
    let facts = DirFacts {
        is_dir: true,
        uid: owner,
        mode,
    };
    place.check(facts, uid).map_err(io::Error::other)?;
    Ok(folder)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        Some(_) | None => Path::new("."),
    }
}

fn name(path: &Path) -> io::Result<&OsStr> {
    let named = path
        .file_name()
        .filter(|_| path.as_os_str().len() <= PATH_MAX);
    named.ok_or_else(|| io::Error::other(format!("no name of a file within {PATH_MAX} bytes")))
}

fn lock_name(name: &OsStr) -> OsString {
    let mut beside = name.to_owned();
    beside.push(".lock");
    beside
}

/// The number of users, or of groups, that have none here (proc(5)).
fn overflow(whose: &str) -> u32 {
    let text = fs::read_to_string(format!("/proc/sys/kernel/overflow{whose}"));
    let number = text.ok().and_then(|t| t.trim().parse().ok());
    number.unwrap_or(65_534)
}

fn gid(group: Option<&UserRef>, overflow: u32, remarks: &mut Vec<String>) -> Option<u32> {
    match Users::default().gid(group?) {
        Ok(gid) if gid == overflow => {
            remarks.push(format!(
                "group {gid} of the socket stands for groups without a number: nobody is in it"
            ));
            None
        }
        Ok(gid) => Some(gid),
        Err(e) => {
            remarks.push(format!("the socket's group is unknown: {e}"));
            None
        }
    }
}

impl Ours {
    /// Makes the file; `None`: another daemon owns the place. A group that could not be given to it
    /// comes back as an error of its own.
    fn make(&mut self) -> io::Result<Option<(OwnedFd, Option<io::Error>)>> {
        let folder = folder(&self.place, self.uid)?;
        let path = self.place.path().ok_or(io::ErrorKind::InvalidInput)?;
        let name = name(path)?;
        let beside = lock_name(name);
        let held = self.file.take().map(|file| file.lock);
        let lock = match held.filter(|lock| lock.is(&folder, &beside)) {
            Some(lock) => lock,
            None => match lock::take(&folder, &beside)? {
                Some(lock) => lock,
                None => return Ok(None),
            },
        };
        let (fd, refused) = folder.listen(name, self.look, &lock)?;
        let inode = folder.inode(name)?;
        self.file = Some(File {
            folder,
            inode,
            lock,
        });
        self.watch();
        Ok(Some((fd, refused)))
    }

    fn watch(&mut self) {
        let Some(path) = self.place.path() else {
            return;
        };
        let lock = parent(path).join(lock_name(path.file_name().unwrap_or_default()));
        self.watch = Watch::on(&[path, &lock]).ok();
    }

    /// Makes the file again if it is gone.
    pub(crate) fn mend(&mut self) -> Mended {
        if matches!(self.place, Place::Abstract(_)) || self.is_sound() {
            if let Some(watch) = &self.watch {
                watch.drain();
            }
            return Mended::Sound;
        }
        self.watch = None;
        match self.make() {
            Ok(Some((fd, _))) => Mended::Again(fd),
            Ok(None) => Mended::Gone("another supd has taken its place".to_owned()),
            Err(e) => Mended::Gone(e.to_string()),
        }
    }

    /// Whether a client that looks for us finds us, and a second daemon the lock.
    fn is_sound(&self) -> bool {
        let (Some(file), Some(path)) = (&self.file, self.place.path()) else {
            return false;
        };
        // The directory may be another one by now.
        let Ok(folder) = Folder::open(parent(path), Links::Follow) else {
            return false;
        };
        let name = path.file_name().unwrap_or_default();
        let there = folder.inode(name).is_ok_and(|inode| inode == file.inode);
        there && file.lock.is(&folder, &lock_name(name))
    }

    /// What somebody should know who has chosen this place.
    fn remark(&self) -> Option<String> {
        let (owner, _) = self.file.as_ref()?.folder.owner().ok()?;
        let foreign = owner != self.uid && owner != 0;
        foreign.then(|| {
            let place = self.place.display();
            format!("the directory of {place} belongs to uid {owner}, who can replace the socket")
        })
    }
}

impl Drop for Ours {
    /// Removes the file if it is still the one we made.
    fn drop(&mut self) {
        let (Some(file), Some(path)) = (&self.file, self.place.path()) else {
            return;
        };
        let _gone = file
            .folder
            .remove(path.file_name().unwrap_or_default(), file.inode);
    }
}
