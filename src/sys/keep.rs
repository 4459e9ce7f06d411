// SPDX-License-Identifier: MIT OR Apache-2.0
//! A directory of a few files, replaced as a whole.
//!
//! The new one is written beside the old one, brought to the disk, and takes its name: whoever
//! looks at any moment, and after a loss of power, finds one of the two whole. What is kept may
//! hold secrets: nobody but the owner may look into it, and a place that others can write to is
//! refused. All of it may block: it is called from the writer's thread and never from the loop.

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

/// Replaces `name` in `dir` by a directory with these files; their names may have directories.
pub fn replace(dir: &Path, name: &str, files: &[(&str, &[u8])]) -> io::Result<()> {
    let private = || {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder
    };
    private().create(dir)?;
    let found = fs::symlink_metadata(dir)?;
    let own = nix::unistd::geteuid().as_raw();
    let is_ours = found.uid() == own || found.uid() == 0;
    if !found.is_dir() || !is_ours || found.mode() & 0o022 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it is no directory of root's or our own that only its owner can write to",
        ));
    }
    let (place, new) = (dir.join(name), dir.join(format!(".{name}.new")));
    remove(&new)?;
    private().create(&new)?;
    for (path, bytes) in files {
        let path = new.join(within(path)?);
        if let Some(above) = path.parent() {
            private().create(above)?;
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
    }
    if place.exists() {
        renameat2(
            AT_FDCWD,
            &new,
            AT_FDCWD,
            &place,
            RenameFlags::RENAME_EXCHANGE,
        )?;
        remove(&new)?;
    } else {
        fs::rename(&new, &place)?;
    }
    File::open(dir)?.sync_all()
}

/// A name that leads nowhere else.
fn within(path: &str) -> io::Result<PathBuf> {
    let path = PathBuf::from(path);
    let is_plain = path.components().all(|c| matches!(c, Component::Normal(_)));
    if path.as_os_str().is_empty() || !is_plain {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(path)
}

/// Removes a directory without following links; one that is not there is no error.
fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place(PathBuf);

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn place(name: &str) -> Place {
        let name = format!("supd-keep-{name}-{}", std::process::id());
        Place(std::env::temp_dir().join(name))
    }

    #[test]
    fn the_new_one_takes_the_place_of_the_old_one_as_a_whole() {
        let place = place("whole");
        let files: [(&str, &[u8]); 2] = [("a.toml", b"one"), ("conf.d/b.toml", b"two")];
        replace(&place.0, "good", &files).expect("kept");
        replace(&place.0, "good", &[("a.toml", b"three")]).expect("kept");
        let good = place.0.join("good");
        assert_eq!(fs::read(good.join("a.toml")).expect("it"), b"three");
        assert!(
            !good.join("conf.d").exists(),
            "nothing of the old one is left"
        );
        assert_eq!(fs::read_dir(&place.0).expect("the place").count(), 1);
        let mode = fs::metadata(good.join("a.toml")).expect("it").mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_leads_elsewhere_or_is_open_to_others_is_refused() {
        let place = place("refused");
        assert!(replace(&place.0, "good", &[("../x", b"")]).is_err());
        assert!(replace(&place.0, "good", &[("/x", b"")]).is_err());
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(&place.0, open).expect("opened");
        assert!(replace(&place.0, "good", &[("x", b"")]).is_err());
    }
}
