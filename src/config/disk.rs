// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files of the file system, read so that nothing odd can hold the reader up.

use super::{Account, Source};
use crate::spec::limits;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Source for Disk {
    /// Regular files only: opening a FIFO would wait for a writer, and a device has no end.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let mut bytes = Vec::new();
        let most = limits::CONFIG_FILE_MAX as u64 + 1;
        File::open(path)?.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let here = directory.as_os_str().is_empty();
        let opened = if here { Path::new(".") } else { directory };
        let names = fs::read_dir(opened)?.map(|entry| Ok(directory.join(entry?.file_name())));
        names.collect()
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
    }

    /// The same files that the daemon looks into at a start, without NSS.
    fn account(&self, kind: Account, name: &str) -> Option<bool> {
        let file = match kind {
            Account::User => "/etc/passwd",
            Account::Group => "/etc/group",
        };
        let text = fs::read(file).ok()?;
        let of = |line: &[u8]| line.split(|b| *b == b':').next() == Some(name.as_bytes());
        Some(text.split(|b| *b == b'\n').any(of))
    }

    fn executable(&self, path: &Path) -> Option<bool> {
        let found = fs::metadata(path);
        Some(found.is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0))
    }
}
