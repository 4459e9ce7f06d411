// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our own environment, laid out once as exec wants it.
//!
//! Most of what a service gets is what we were given ourselves. Copying it string by string was
//! the largest part of preparing a spawn; a child's array can point here instead. What an outer
//! manager told us, and nobody else, stands apart: a service gets it only by asking for its name.

use std::ffi::{OsString, c_char};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

/// What an outer manager told us, and nobody else (sd_notify(3), sd_listen_fds(3),
/// systemd.exec(5)).
/// `SUPD_SOCKET` would hand our children the controls.
const OF_OUTER_MANAGER: [&str; 6] = [
    "NOTIFY_SOCKET",
    "JOURNAL_STREAM",
    "INVOCATION_ID",
    "SYSTEMD_EXEC_PID",
    "MANAGERPID",
    "SUPD_SOCKET",
];
const OF_OUTER_MANAGER_PREFIXES: [&str; 2] = ["WATCHDOG_", "LISTEN_"];

/// Variables, each once, as strings that exec can be given.
pub struct Block {
    /// `NAME=VALUE` and a NUL, one after another; never touched after the pointers exist.
    bytes: Box<[u8]>,
    entries: Box<[Entry]>,
    /// To the entries that everybody inherits: those that stand first.
    pointers: Box<[*const c_char]>,
}

struct Entry {
    /// Of the name: most searches end here.
    digest: u32,
    name: Range<usize>,
    value: Range<usize>,
}

impl std::fmt::Debug for Block {
    /// Their number only: one may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Block({})", self.entries.len())
    }
}

impl Block {
    /// Of a name that stands there twice the first counts, as in getenv(3). One that is no name
    /// cannot be handed on.
    pub fn new(env: &[(OsString, OsString)]) -> Self {
        Self::of(env, is_of_outer_manager)
    }

    /// The same for a child that stands in our place: an outer manager speaks to it.
    pub fn whole(env: &[(OsString, OsString)]) -> Self {
        Self::of(env, |_| false)
    }

    fn of(env: &[(OsString, OsString)], apart: impl Fn(&[u8]) -> bool) -> Self {
        let (told, plain): (Vec<_>, Vec<_>) = env
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .filter(|(name, value)| is_name(name) && !value.contains(&0))
            .partition(|(name, _)| apart(name));
        let mut bytes: Vec<u8> = Vec::new();
        let mut entries: Vec<Entry> = Vec::new();
        lay_out(plain, &mut bytes, &mut entries);
        let inherited = entries.len();
        lay_out(told, &mut bytes, &mut entries);
        let bytes = bytes.into_boxed_slice();
        let base: *const c_char = bytes.as_ptr().cast();
        let of = |entry: &Entry| base.wrapping_add(entry.name.start);
        let pointers = entries[..inherited].iter().map(of).collect();
        Self {
            pointers,
            entries: entries.into(),
            bytes,
        }
    }

    /// The strings that everybody inherits, for exec; they are valid as long as the block lives.
    pub(super) fn pointers(&self) -> &[*const c_char] {
        &self.pointers
    }

    /// Where among them a variable stands.
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        let digest = digest(name);
        let here = |e: &Entry| e.digest == digest && self.bytes[e.name.clone()] == *name;
        self.entries[..self.pointers.len()].iter().position(here)
    }

    /// The value of a variable that everybody inherits.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let at = self.find(name)?;
        self.bytes.get(self.entries.get(at)?.value.clone())
    }

    /// What everybody inherits, in order.
    pub fn inherited(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.all().take(self.pointers.len())
    }

    /// Everything, what an outer manager told us last.
    pub fn all(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let parts = |e: &Entry| (e.name.clone(), e.value.clone());
        let ranges = self.entries.iter().map(parts);
        ranges.map(|(name, value)| (&self.bytes[name], &self.bytes[value]))
    }
}

fn lay_out(part: Vec<(&[u8], &[u8])>, bytes: &mut Vec<u8>, entries: &mut Vec<Entry>) {
    for (name, value) in part {
        let digest = digest(name);
        let known = |e: &Entry| e.digest == digest && bytes[e.name.clone()] == *name;
        if entries.iter().any(known) {
            continue;
        }
        let start = bytes.len();
        let middle = start + name.len();
        bytes.extend_from_slice(name);
        bytes.push(b'=');
        bytes.extend_from_slice(value);
        entries.push(Entry {
            digest,
            name: start..middle,
            value: middle + 1..bytes.len(),
        });
        bytes.push(0);
    }
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && !name.contains(&b'=') && !name.contains(&0)
}

fn is_of_outer_manager(name: &[u8]) -> bool {
    OF_OUTER_MANAGER.iter().any(|n| n.as_bytes() == name)
        || OF_OUTER_MANAGER_PREFIXES
            .iter()
            .any(|p| name.starts_with(p.as_bytes()))
}

/// Fowler, Noll and Vo's; equal names have equal ones.
fn digest(name: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    name.iter().fold(0x811c_9dc5, step)
}
