// SPDX-License-Identifier: MIT OR Apache-2.0
//! What of a plan is seldom asked for: a root directory, processors, capabilities, and the text of
//! `LISTEN_PID`; prepared here, set by the child (`child`, whose rules hold for `set_*` here).

#![expect(unsafe_code, reason = "bare system calls between clone and exec")]

use super::super::raw::{arg, syscall};
use crate::spec::{CapabilitySet, Process, SpawnFailure, Stage};
use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU8, Ordering};

type Done = Result<(), SpawnFailure>;

/// `_LINUX_CAPABILITY_VERSION_3` (capget(2)).
const VERSION: u32 = 0x2008_0522;
const WORDS: usize = 16;

#[derive(Debug)]
pub(super) struct Privileges {
    chroot: Option<CString>,
    affinity: Option<[u64; WORDS]>,
    /// Capabilities that are left in the bounding set.
    bounding: Option<u64>,
    ambient: u64,
}

impl Privileges {
    pub(super) fn of(process: &Process) -> Result<Self, SpawnFailure> {
        let bad = |_| SpawnFailure {
            stage: Stage::Chroot,
            errno: libc::EINVAL,
        };
        let chroot = process.chroot.as_ref();
        let chroot = chroot.map(|path| CString::new(path.as_os_str().as_bytes()).map_err(bad));
        Ok(Self {
            chroot: chroot.transpose()?,
            affinity: process.cpu_affinity.as_deref().map(mask),
            bounding: process.capabilities.bounding.map(CapabilitySet::bits),
            ambient: process.capabilities.ambient.bits(),
        })
    }

    pub(super) fn has_root(&self) -> bool {
        self.chroot.is_some()
    }

    #[inline]
    pub(super) fn set_affinity(&self) -> Done {
        let Some(mask) = &self.affinity else {
            return Ok(());
        };
        let at = std::ptr::from_ref(mask).expose_provenance();
        let args = [0, size_of::<[u64; WORDS]>(), at, 0, 0];
        call(Stage::Affinity, libc::SYS_sched_setaffinity, args)
    }

    /// As supd: the service's user may not. Whoever stands outside of it could climb out.
    #[inline]
    pub(super) fn set_root(&self) -> Done {
        let Some(path) = &self.chroot else {
            return Ok(());
        };
        let at = path.as_ptr().expose_provenance();
        call(Stage::Chroot, libc::SYS_chroot, [at, 0, 0, 0, 0])?;
        let root = c"/".as_ptr().expose_provenance();
        call(Stage::Chroot, libc::SYS_chdir, [root, 0, 0, 0, 0])
    }

    /// Before the user changes: the bounding set is root's to reduce, and what the user shall have
    /// must survive the change.
    #[inline]
    pub(super) fn set_bounds(&self) -> Done {
        if let Some(kept) = self.bounding {
            let mut number = 0;
            while number < 64 {
                let read = [arg(libc::PR_CAPBSET_READ), number, 0, 0, 0];
                match prctl(read) {
                    // One that is not there needs no right to be dropped.
                    Ok(0) => {}
                    Ok(_) if kept & (1_u64 << number) != 0 => {}
                    Ok(_) => {
                        let drop = [arg(libc::PR_CAPBSET_DROP), number, 0, 0, 0];
                        prctl(drop).map_err(failed)?;
                    }
                    // Beyond the last one of this kernel.
                    Err(_) => break,
                }
                number = number.wrapping_add(1);
            }
        }
        if self.ambient != 0 {
            prctl([arg(libc::PR_SET_KEEPCAPS), 1, 0, 0, 0]).map_err(failed)?;
        }
        Ok(())
    }

    /// After the user has changed: an ambient capability is one that is permitted and inheritable.
    #[inline]
    pub(super) fn set_ambient(&self) -> Done {
        if self.ambient == 0 {
            return Ok(());
        }
        let header = [VERSION, 0];
        // Effective, permitted, inheritable; then the same for those from 32 on.
        let mut sets = [0_u32; 6];
        let header_at = std::ptr::from_ref(&header).expose_provenance();
        let sets_at = std::ptr::from_mut(&mut sets).expose_provenance();
        let both = [header_at, sets_at, 0, 0, 0];
        call(Stage::Capabilities, libc::SYS_capget, both)?;
        let [_, _, low, _, _, high] = &mut sets;
        #[expect(clippy::cast_possible_truncation, reason = "the halves of a set")]
        let halves = [self.ambient as u32, (self.ambient >> 32) as u32];
        *low |= halves[0];
        *high |= halves[1];
        call(Stage::Capabilities, libc::SYS_capset, both)?;
        let mut left = self.ambient;
        while left != 0 {
            let number = left.trailing_zeros() as usize;
            let raise = libc::PR_CAP_AMBIENT_RAISE as usize;
            prctl([arg(libc::PR_CAP_AMBIENT), raise, number, 0, 0]).map_err(failed)?;
            left &= left.wrapping_sub(1);
        }
        Ok(())
    }
}

#[inline]
fn prctl(args: [usize; 5]) -> Result<usize, i32> {
    // SAFETY: these calls take numbers only.
    unsafe { syscall(libc::SYS_prctl, args) }
}

#[inline]
fn failed(errno: i32) -> SpawnFailure {
    SpawnFailure {
        stage: Stage::Capabilities,
        errno,
    }
}

#[inline]
fn call(stage: Stage, number: libc::c_long, args: [usize; 5]) -> Done {
    // SAFETY: callers pass numbers, or pointers to what lives as long as the call.
    match unsafe { syscall(number, args) } {
        Ok(_) => Ok(()),
        Err(errno) => Err(SpawnFailure { stage, errno }),
    }
}

fn mask(cpus: &[u16]) -> [u64; WORDS] {
    let mut mask = [0; WORDS];
    for cpu in cpus {
        if let Some(word) = mask.get_mut(usize::from(*cpu) / 64) {
            *word |= 1 << (cpu % 64);
        }
    }
    mask
}

const LISTEN_PID: &[u8; 11] = b"LISTEN_PID=";
const TEXT: usize = 24;

/// A string of the child's environment that the child completes itself.
#[derive(Debug)]
pub(super) struct PidText([AtomicU8; TEXT]);

impl PidText {
    pub(super) fn new() -> Self {
        let byte = |at: usize| AtomicU8::new(LISTEN_PID.get(at).copied().unwrap_or(0));
        Self(std::array::from_fn(byte))
    }

    pub(super) fn pointer(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }

    /// Ten digits at most, and the NULs behind them stay.
    #[inline]
    pub(super) fn write(&self, pid: usize) {
        let mut digits = 1;
        let mut rest = pid / 10;
        while rest != 0 {
            digits += 1;
            rest /= 10;
        }
        let mut left = pid;
        let mut at = LISTEN_PID.len() + digits;
        while at > LISTEN_PID.len() {
            at -= 1;
            #[expect(clippy::cast_possible_truncation, reason = "a digit")]
            let digit = b'0' + (left % 10) as u8;
            if let Some(byte) = self.0.get(at) {
                byte.store(digit, Ordering::Relaxed);
            }
            left /= 10;
        }
    }
}
