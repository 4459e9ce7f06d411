// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a daemon costs, as the kernel tells it in /proc.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;

/// A zombie seen in this many looks in a row is one that nobody reaps: ten seconds, for a daemon
/// on a busy machine does not run all the time.
const ZOMBIE_LOOKS: u32 = 20;

/// One look.
#[derive(Debug, Default, Clone)]
pub(crate) struct Sample {
    pub(crate) rss_kb: u64,
    /// What is nobody else's and in no file: pages of the program come and go with what is used.
    pub(crate) own_kb: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    /// Children that are dead and not reaped: pid and start time.
    zombies: Vec<(i32, u64)>,
    children: usize,
}

impl Sample {
    pub(crate) fn take(pid: i32) -> Option<Self> {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
        let children = descendants(pid);
        let zombie = |(pid, start): &(i32, u64)| state(*pid) == Some(('Z', *start));
        Some(Self {
            rss_kb: field(&rollup, "Rss:")?,
            own_kb: field(&rollup, "Pss_Anon:")?,
            descriptors: u64::try_from(descriptors).ok()?,
            threads: field(&status, "Threads:")?,
            zombies: children.iter().copied().filter(zombie).collect(),
            children: children.len(),
        })
    }

    /// The lower of each.
    pub(crate) fn lower(&self, other: &Self) -> Self {
        Self {
            rss_kb: self.rss_kb.min(other.rss_kb),
            own_kb: self.own_kb.min(other.own_kb),
            descriptors: self.descriptors.min(other.descriptors),
            threads: self.threads.min(other.threads),
            zombies: Vec::new(),
            children: self.children,
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rss_kb,
            own_kb,
            descriptors,
            threads,
            ..
        } = self;
        write!(
            f,
            "rss {rss_kb} kB, own {own_kb} kB, {descriptors} descriptors, {threads} thread(s)"
        )
    }
}

/// All looks of a stretch of time.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    looks: u64,
    highest: Sample,
    zombies: BTreeMap<(i32, u64), u32>,
    stuck: Vec<i32>,
    /// The most looks in a row a dead process was there.
    longest: u32,
}

impl Samples {
    pub(crate) fn add(&mut self, sample: Sample) {
        self.looks += 1;
        self.highest.rss_kb = self.highest.rss_kb.max(sample.rss_kb);
        self.highest.own_kb = self.highest.own_kb.max(sample.own_kb);
        self.highest.descriptors = self.highest.descriptors.max(sample.descriptors);
        self.highest.threads = self.highest.threads.max(sample.threads);
        let before = std::mem::take(&mut self.zombies);
        for zombie in sample.zombies {
            let seen = before.get(&zombie).map_or(1, |seen| seen + 1);
            self.longest = self.longest.max(seen);
            if seen == ZOMBIE_LOOKS {
                self.stuck.push(zombie.0);
            }
            self.zombies.insert(zombie, seen);
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn complaints(&self) -> Vec<String> {
        let stuck = self.stuck.iter();
        stuck
            .map(|pid| format!("{pid} is a zombie that nobody reaps"))
            .collect()
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            looks,
            highest,
            longest,
            ..
        } = self;
        write!(
            f,
            "{looks} looks, at most {highest}; a dead child was seen in {longest} looks in a row"
        )
    }
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// State and start time (proc(5), `stat`).
fn state(pid: i32) -> Option<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut rest = text.rsplit_once(") ")?.1.split(' ');
    let state = rest.next()?.chars().next()?;
    Some((state, rest.nth(18)?.parse().ok()?))
}

/// When it was started; `None`: it is gone.
pub(crate) fn started(pid: i32) -> Option<u64> {
    state(pid).map(|(_, start)| start)
}

/// Its children, with their start times.
pub(crate) fn descendants(pid: i32) -> Vec<(i32, u64)> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let pids = list.split_whitespace().filter_map(|word| word.parse().ok());
    pids.filter_map(|pid| Some((pid, started(pid)?))).collect()
}

pub(crate) fn signal(pid: i32, number: i32) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    if let Ok(signal) = Signal::try_from(number) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}
