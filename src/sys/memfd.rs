// SPDX-License-Identifier: MIT OR Apache-2.0
//! A text for a child to read, in a file that is in memory only: nobody waits for it to be read,
//! and it is gone with its last reader.

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

/// A file with this text, to be read from its beginning; it cannot be changed any more.
///
/// # Errors
/// There is no memory or no descriptor for it (memfd_create(2)).
pub fn with_text(text: &[u8]) -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create(c"supd", flags)?);
    file.write_all(text)?;
    file.rewind()?;
    fcntl(file.as_fd(), FcntlArg::F_ADD_SEALS(SealFlag::all()))?;
    Ok(file.into())
}
