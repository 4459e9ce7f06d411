// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signals by name, without a system header: the numbers are Linux's on `x86_64` and aarch64
//! (signal(7)), which are the same.

use std::fmt;
use std::str::FromStr;

/// A signal number, 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// The first real-time signal a program can use: the C library keeps 32 and 33 (signal(7)).
const RTMIN: u8 = 34;
const RTMAX: u8 = 64;

impl Signal {
    /// SIGHUP.
    pub const HUP: Self = Self(1);
    /// SIGINT.
    pub const INT: Self = Self(2);
    /// SIGQUIT.
    pub const QUIT: Self = Self(3);
    /// SIGILL.
    pub const ILL: Self = Self(4);
    /// SIGTRAP.
    pub const TRAP: Self = Self(5);
    /// SIGABRT.
    pub const ABRT: Self = Self(6);
    /// SIGBUS.
    pub const BUS: Self = Self(7);
    /// SIGFPE.
    pub const FPE: Self = Self(8);
    /// SIGKILL.
    pub const KILL: Self = Self(9);
    /// SIGUSR1.
    pub const USR1: Self = Self(10);
    /// SIGSEGV.
    pub const SEGV: Self = Self(11);
    /// SIGUSR2.
    pub const USR2: Self = Self(12);
    /// SIGPIPE.
    pub const PIPE: Self = Self(13);
    /// SIGTERM.
    pub const TERM: Self = Self(15);
    /// SIGCHLD.
    pub const CHLD: Self = Self(17);
    /// SIGCONT.
    pub const CONT: Self = Self(18);
    /// SIGSTOP.
    pub const STOP: Self = Self(19);
    /// SIGXCPU.
    pub const XCPU: Self = Self(24);
    /// SIGXFSZ.
    pub const XFSZ: Self = Self(25);
    /// SIGPWR.
    pub const PWR: Self = Self(30);
    /// SIGSYS.
    pub const SYS: Self = Self(31);

    /// The signal with this number, if there is one.
    pub fn from_number(number: i32) -> Option<Self> {
        u8::try_from(number)
            .ok()
            .filter(|n| (1..=RTMAX).contains(n))
            .map(Self)
    }

    /// The kernel's number.
    pub fn number(self) -> i32 {
        i32::from(self.0)
    }

    /// Whether the kernel sends it for a fault of the program itself, or the program to itself.
    pub fn is_fault(self) -> bool {
        let faults = [
            Self::SEGV,
            Self::BUS,
            Self::ILL,
            Self::FPE,
            Self::ABRT,
            Self::TRAP,
        ];
        faults.contains(&self) || self == Self::QUIT
    }

    /// The code a shell would report for a death by this signal: 128 + its number.
    pub fn exit_code(self) -> u8 {
        128 + self.0
    }
}

impl fmt::Display for Signal {
    /// The name without `SIG`: `TERM`, `RTMIN+3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n @ 1..=31 => f.write_str(NAMES[usize::from(n) - 1]),
            RTMIN => f.write_str("RTMIN"),
            n if n > RTMIN => write!(f, "RTMIN+{}", n - RTMIN),
            n => write!(f, "{n}"),
        }
    }
}

/// The text names no signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownSignal;

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// Reads `TERM`, `SIGTERM`, `sigterm`, `RTMIN+3`, `RTMAX-1`; never a bare number, whose
    /// meaning the reader of a file would have to look up.
    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some(at) = NAMES.iter().position(|n| *n == name) {
            return u8::try_from(at + 1).map(Self).map_err(|_| UnknownSignal);
        }
        match name {
            "POLL" => return Ok(Self(29)),
            "CLD" => return Ok(Self::CHLD),
            "IOT" => return Ok(Self::ABRT),
            "RTMIN" => return Ok(Self(RTMIN)),
            "RTMAX" => return Ok(Self(RTMAX)),
            _ => {}
        }
        let offset = |digits: &str| digits.parse::<u8>().ok().filter(|n| *n <= RTMAX - RTMIN);
        if let Some(n) = name.strip_prefix("RTMIN+").and_then(offset) {
            return Ok(Self(RTMIN + n));
        }
        if let Some(n) = name.strip_prefix("RTMAX-").and_then(offset) {
            return Ok(Self(RTMAX - n));
        }
        Err(UnknownSignal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_reads_back_what_it_prints() {
        for number in (1..=31).chain(34..=64) {
            let signal = Signal::from_number(number).expect("a signal number");
            assert_eq!(signal.to_string().parse(), Ok(signal), "{signal}");
            assert_eq!(format!("SIG{signal}").parse(), Ok(signal), "SIG{signal}");
        }
    }

    #[test]
    fn numbers_outside_the_kernels_range_are_no_signals() {
        for number in [-1, 0, 65, 300] {
            assert_eq!(Signal::from_number(number), None);
        }
        for text in ["", "SIG", "15", "TERMINATE", "RTMIN+31", "RTMAX-31"] {
            assert_eq!(text.parse::<Signal>(), Err(UnknownSignal), "{text}");
        }
    }
}
