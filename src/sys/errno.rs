// SPDX-License-Identifier: MIT OR Apache-2.0
//! The names of error numbers, as errno(3) lists them. It decides nothing.

use nix::errno::Errno;

/// `ENOENT` for 2; `None`: no error has this number here.
pub fn name(number: i32) -> Option<String> {
    let known = Errno::from_raw(number);
    (known != Errno::UnknownErrno).then(|| format!("{known:?}"))
}
