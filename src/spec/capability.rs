// SPDX-License-Identifier: MIT OR Apache-2.0
//! Capabilities by name (capabilities(7)), and which of them a service has.

use std::fmt;
use std::str::FromStr;

/// In the order of their numbers, from 0.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability(u8);

impl Capability {
    /// Every name, in the order of the numbers.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.into_iter()
    }
}

impl fmt::Display for Capability {
    /// The name without `CAP_`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES[usize::from(self.0)])
    }
}

impl FromStr for Capability {
    type Err = ();

    /// Reads `NET_RAW`, `CAP_NET_RAW`, `cap_net_raw`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let number = NAMES.iter().position(|known| *known == name).ok_or(())?;
        u8::try_from(number).map(Self).map_err(drop)
    }
}

/// A set of capabilities, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// The bits as the kernel has them: bit 0 is `CHOWN`.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Whether every member of this set is one of the other.
    pub fn is_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The members, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        (0_u8..41)
            .filter(move |n| self.0 & (1 << n) != 0)
            .map(Capability)
    }
}

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(all: I) -> Self {
        Self(all.into_iter().fold(0, |bits, c| bits | (1 << c.0)))
    }
}

/// What a service may have, and what it has from the start although it is not root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Whatever it executes has at most these; `None`: what supd itself may have.
    pub bounding: Option<CapabilitySet>,
    /// It has these from the start, and whatever it executes as well.
    pub ambient: CapabilitySet,
}
