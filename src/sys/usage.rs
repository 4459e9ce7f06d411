// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a living process uses, as `/proc` says (`proc_pid_stat(5)`).
//!
//! Asked for only when somebody looks; nothing is kept. A process that has ended meanwhile, or a
//! `/proc` that is not there, is no answer and no error.

#![expect(
    unsafe_code,
    reason = "sysconf(3) has no safe wrapper without an allocation"
)]

use std::fs;
use std::time::Duration;

/// What a process has used and uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of it and of the children it has waited for, user and system.
    pub cpu: Duration,
    /// Resident memory of it alone, bytes.
    pub resident: u64,
}

/// What the process uses now; `pid` is an unreaped child of ours.
pub fn of(pid: i32) -> Option<Usage> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    read(&text, ticks_per_second(), page_size())
}

/// Fields are counted from 1 in the manual page. The second one is a name in parentheses that may
/// itself hold spaces and parentheses: everything is counted from the last `)`.
fn read(text: &str, ticks: u64, page: u64) -> Option<Usage> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let spent = [14, 15, 16, 17]
        .into_iter()
        .try_fold(0_u64, |sum, n| Some(sum.saturating_add(field(n)?)))?;
    let nanos = spent.saturating_mul(1_000_000_000 / ticks.max(1));
    Some(Usage {
        cpu: Duration::from_nanos(nanos),
        resident: field(24)?.saturating_mul(page),
    })
}

fn ticks_per_second() -> u64 {
    // SAFETY: sysconf(3) takes a number and touches no memory of ours.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).unwrap_or(100)
}

pub(super) fn page_size() -> u64 {
    // SAFETY: sysconf(3) takes a number and touches no memory of ours.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_shifts_no_field() {
        let text = "7 (a) b) (c) S 1 7 7 0 -1 4194304 0 0 0 0 100 50 25 25 20 0 1 0 9 9 300 1";
        let usage = read(text, 100, 4096).expect("a line of stat");
        assert_eq!(usage.cpu, Duration::from_secs(2));
        assert_eq!(usage.resident, 300 * 4096);
    }

    #[test]
    fn what_is_cut_off_is_no_answer() {
        assert_eq!(read("7 (a) S 1 7 7 0 -1", 100, 4096), None);
        assert_eq!(read("", 100, 4096), None);
    }

    #[test]
    fn this_process_uses_something() {
        let me = i32::try_from(std::process::id()).expect("a pid");
        assert!(of(me).expect("there is a /proc here").resident > 0);
    }
}
