// SPDX-License-Identifier: MIT OR Apache-2.0
//! The last act of an init: a signal to everybody who is left in its pid name space.
//!
//! kill(2) with -1 from the first pid name space, or from anybody who is not an init, would end
//! strangers' processes. So it is possible only for PID 1 of a name space that is certainly not
//! the initial one; without /proc nothing is certain.

use crate::spec::Signal;
use nix::errno::Errno;
use nix::unistd::{Pid, getpid};
use std::os::linux::fs::MetadataExt;

/// `PROC_PID_INIT_INO`: the number of the initial pid name space (linux/proc_ns.h).
const INITIAL: u64 = 0xEFFF_FFFC;

/// A pid name space that is ours alone. Only [`find`](Self::find) makes one.
#[derive(Debug)]
pub struct OwnNamespace(());

impl OwnNamespace {
    /// Whether we are PID 1 of a name space that is not the initial one.
    pub fn find() -> Option<Self> {
        if getpid().as_raw() != 1 {
            return None;
        }
        let space = std::fs::metadata("/proc/self/ns/pid").ok()?;
        (space.st_ino() != INITIAL).then_some(Self(()))
    }

    /// Whether anybody is left but ourselves, the dead who are not reaped included.
    pub fn has_anybody(&self) -> bool {
        nix::sys::signal::kill(Pid::from_raw(-1), None) != Err(Errno::ESRCH)
    }

    /// Signals everybody but ourselves; `false` when nobody is left.
    pub fn signal(&self, signal: Signal) -> bool {
        let Ok(signal) = nix::sys::signal::Signal::try_from(signal.number()) else {
            return true;
        };
        nix::sys::signal::kill(Pid::from_raw(-1), signal) != Err(Errno::ESRCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_an_init_has_no_name_space_of_its_own() {
        assert_ne!(getpid().as_raw(), 1, "tests do not run as PID 1");
        assert!(OwnNamespace::find().is_none());
    }
}
