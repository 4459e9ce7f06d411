// SPDX-License-Identifier: MIT OR Apache-2.0
//! A log file: opened so that nobody can turn it into something else, and written to its end.
//!
//! Log directories often belong to the service and supd to root: whoever may write there could put
//! a symbolic link, a hard link, a FIFO or a device where the file was (CVE-2016-1247). So nothing
//! is followed in the last part of the path, nothing is waited for, and what was opened must be a
//! regular file of root's or our own that has no second name. All of it may block (a network file
//! system, a stalled disk): it is called from the writer's thread and never from the loop. It
//! decides nothing about rotation and keeps no counts.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Owner writes, group reads; where a umask would leave less.
const FILE_MODE: u32 = 0o640;
/// The same for directories that are made on the way.
const DIR_MODE: u32 = 0o750;

/// Why a file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A directory on the way could not be made.
    #[error("cannot make the directory `{}`: {source}", dir.display())]
    Directory {
        /// Which.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused.
    #[error("cannot open it: {0}")]
    Open(#[source] io::Error),
    /// There is something, and it is no file.
    #[error("it is {0}, not a regular file; remove it, or name another file")]
    Kind(&'static str),
    /// The file has another name elsewhere.
    #[error("it has {0} names (hard links); remove it, or name another file")]
    Linked(u64),
    /// Somebody else's.
    #[error("it belongs to user {0}; give it to root or to supd's own user, or name another file")]
    Foreign(u32),
}

/// An open log file.
#[derive(Debug)]
pub struct LogFile {
    file: File,
    /// Device and number: what it is, whatever it is called.
    is: (u64, u64),
}

impl LogFile {
    /// Opens the file for writing at its end; makes it, and the directories above it, if need be.
    pub fn open(path: &Path) -> Result<Self, Refused> {
        match Self::open_existing(path) {
            Err(Refused::Open(e)) if e.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        if let Some(dir) = path.parent() {
            let made = DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir);
            made.map_err(|source| Refused::Directory {
                dir: dir.to_owned(),
                source,
            })?;
        }
        match create(path) {
            Ok(file) => Self::checked(file),
            // Somebody was faster.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Self::open_existing(path),
            Err(e) => Err(Refused::Open(e)),
        }
    }

    fn open_existing(path: &Path) -> Result<Self, Refused> {
        // Looked at first: opening a device can already do something.
        let found = fs::symlink_metadata(path).map_err(Refused::Open)?;
        check_kind(&found)?;
        let file = OpenOptions::new()
            .append(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)
            .map_err(Refused::Open)?;
        Self::checked(file)
    }

    fn checked(file: File) -> Result<Self, Refused> {
        let found = file.metadata().map_err(Refused::Open)?;
        check_kind(&found)?;
        if found.nlink() > 1 {
            return Err(Refused::Linked(found.nlink()));
        }
        let own = nix::unistd::geteuid().as_raw();
        if found.uid() != own && found.uid() != 0 {
            return Err(Refused::Foreign(found.uid()));
        }
        Ok(Self {
            file,
            is: (found.dev(), found.ino()),
        })
    }

    /// Its size now, which somebody else may have cut.
    pub fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Whether this is still the file of that name.
    pub fn is_at(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == self.is)
    }

    /// Writes as much as there is room for.
    pub fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            match (&self.file).write_vectored(parts) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

/// A new file that only we have. What stands there already is an error.
pub fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(FILE_MODE)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    // The umask may have taken the group's right to read.
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    Ok(file)
}

/// A file that is only read; nothing is followed or waited for.
pub fn read(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
}

fn check_kind(found: &fs::Metadata) -> Result<(), Refused> {
    use std::os::unix::fs::FileTypeExt;
    let kind = found.file_type();
    let is = if kind.is_file() {
        return Ok(());
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(Refused::Kind(is))
}
