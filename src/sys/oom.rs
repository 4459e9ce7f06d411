// SPDX-License-Identifier: MIT OR Apache-2.0
//! Counters of processes that the kernel killed for want of memory.
//!
//! The kernel counts before it sends the signal, so that whoever reaps the process sees the count
//! already. In a control group of version 2 it counts for every group above as well; in one of
//! version 1 only for the one that the process was in; where neither is to be seen there is a
//! count of the whole machine (`vmstat`). Which end a count belongs to is not decided here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Groups of services whose count is remembered; what is beyond it is forgotten first.
const GROUPS_MAX: usize = 4096;
/// Bytes of a counter's file that are read: `vmstat` is the longest.
const FILE_MAX: usize = 16 << 10;

/// The counters that concern the processes we start.
#[derive(Debug)]
pub struct OomCounters {
    shared: Option<Counter>,
    /// What the shared one said when it was looked at last.
    seen: u64,
    unified: Option<Unified>,
    groups: BTreeMap<String, u64>,
}

/// How far a counter reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Our own control group and, in version 2, those below it.
    Group,
    /// The whole machine: reading it takes long.
    Machine,
}

/// A file with a line `oom_kill N`.
#[derive(Debug)]
struct Counter {
    file: File,
    reach: Reach,
}

/// Where groups of version 2 are to be seen.
#[derive(Debug)]
struct Unified {
    mount: PathBuf,
    /// What of a group's path is not below `mount`.
    root: String,
    /// Our own group.
    own: String,
}

impl OomCounters {
    /// The counters as they are now.
    pub fn look() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let unified = Unified::find(&groups, &mounts);
        let version_2 = unified
            .as_ref()
            .and_then(|unified| unified.events_of(&unified.own));
        let shared = version_1(&groups, &mounts)
            .or(version_2)
            .map(|file| (file, Reach::Group))
            .or_else(|| Some((PathBuf::from("/proc/vmstat"), Reach::Machine)))
            .and_then(|(path, reach)| {
                let file = File::open(path).ok()?;
                Some(Counter { file, reach })
            });
        let seen = shared.as_ref().and_then(Counter::read).unwrap_or(0);
        Self {
            shared,
            seen,
            unified,
            groups: BTreeMap::new(),
        }
    }

    /// How far the shared counter reaches; `None`: there is none.
    pub fn reach(&self) -> Option<Reach> {
        self.shared.as_ref().map(|counter| counter.reach)
    }

    /// By how much the shared counter has risen since it was asked last.
    pub fn risen(&mut self) -> u64 {
        let Some(now) = self.shared.as_ref().and_then(Counter::read) else {
            return 0;
        };
        now.saturating_sub(std::mem::replace(&mut self.seen, now))
    }

    /// Whether the counter of a group of its own has risen in which this process is, or was until
    /// it ended: `pid` is an unreaped child of ours. In version 1 a dead process has no group.
    pub fn own_has_risen(&mut self, pid: i32) -> bool {
        let Some(unified) = &self.unified else {
            return false;
        };
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let Some(path) = unified_path(&groups).filter(|path| *path != unified.own) else {
            return false;
        };
        let counter = unified.events_of(path).and_then(|path| {
            let file = File::open(path).ok()?;
            let reach = Reach::Group;
            Counter { file, reach }.read()
        });
        let Some(now) = counter else {
            return false;
        };
        while self.groups.len() >= GROUPS_MAX {
            self.groups.pop_first();
        }
        let before = self.groups.insert(path.to_owned(), now);
        now > before.unwrap_or(0)
    }
}

impl Counter {
    fn read(&self) -> Option<u64> {
        let mut bytes = [0; FILE_MAX];
        let mut length = 0;
        loop {
            match self.file.read_at(&mut bytes[length..], length as u64) {
                Ok(0) | Err(_) => break,
                Ok(more) => length += more,
            }
        }
        count(std::str::from_utf8(&bytes[..length]).ok()?)
    }
}

/// The number behind `oom_kill`, which is one line among others.
fn count(text: &str) -> Option<u64> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// `9:memory:/path` (cgroups(7)): the file with our own count.
fn version_1(groups: &str, mounts: &str) -> Option<PathBuf> {
    let path = groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_memory = controllers.split(',').any(|name| name == "memory");
        is_memory.then_some(path)
    })?;
    let mut mounts = mounts.lines().filter_map(Mount::read);
    let mount = mounts.find(|mount| {
        mount.kind == "cgroup" && mount.options.split(',').any(|option| option == "memory")
    })?;
    Some(mount.join(path)?.join("memory.oom_control"))
}

/// `0::/path`: a group that was removed says so behind its path.
fn unified_path(groups: &str) -> Option<&str> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(path.strip_suffix(" (deleted)").unwrap_or(path))
}

impl Unified {
    fn find(groups: &str, mounts: &str) -> Option<Self> {
        let own = unified_path(groups)?.to_owned();
        let mut mounts = mounts.lines().filter_map(Mount::read);
        let mount = mounts.find(|mount| mount.kind == "cgroup2")?;
        Some(Self {
            mount: PathBuf::from(mount.place),
            root: mount.root.to_owned(),
            own,
        })
    }

    /// The file with the count of a group, if it can be seen from here.
    fn events_of(&self, path: &str) -> Option<PathBuf> {
        let file = join(&self.mount, &self.root, path)?.join("memory.events");
        file.exists().then_some(file)
    }
}

/// A line of `mountinfo` (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, Copy)]
struct Mount<'a> {
    root: &'a str,
    place: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ').skip(3);
        let (root, place) = (front.next()?, front.next()?);
        let mut back = back.split(' ');
        let kind = back.next()?;
        let options = back.nth(1)?;
        Some(Self {
            root,
            place,
            kind,
            options,
        })
    }

    fn join(&self, path: &str) -> Option<PathBuf> {
        join(Path::new(self.place), self.root, path)
    }
}

/// Where a group is to be seen: below the mount, without what is above its root.
fn join(mount: &Path, root: &str, path: &str) -> Option<PathBuf> {
    if path.split('/').any(|part| part == "..") {
        // It is outside of our name space of groups.
        return None;
    }
    let inside = if root == "/" {
        path
    } else {
        path.strip_prefix(root)?
    };
    Some(mount.join(inside.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_every_kind_of_file() {
        let version_1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        let version_2 = "low 0\nhigh 0\nmax 7\noom 2\noom_kill 2\noom_group_kill 1\n";
        assert_eq!(count(version_1), Some(3));
        assert_eq!(count(version_2), Some(2));
        assert_eq!(count("nr_free_pages 1\noom_kill 9\nx 1\n"), Some(9));
        assert_eq!(count("oom_kill_disable 0\n"), None);
    }

    #[test]
    fn our_own_group_is_found_below_its_mount() {
        let groups = "4:memory:/pod/one\n1:cpu,cpuacct:/\n0::/\n";
        let mounts = "30 25 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let inside = "30 25 0:26 /pod /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let at = |mounts| version_1(groups, mounts).map(|path| path.display().to_string());
        assert_eq!(
            at(mounts).as_deref(),
            Some("/sys/fs/cgroup/memory/pod/one/memory.oom_control")
        );
        assert_eq!(
            at(inside).as_deref(),
            Some("/sys/fs/cgroup/memory/one/memory.oom_control")
        );
        assert_eq!(at("1 1 0:1 / / rw - tmpfs tmpfs rw\n"), None);
    }

    #[test]
    fn a_group_outside_of_our_name_space_is_not_looked_for() {
        assert_eq!(join(Path::new("/sys/fs/cgroup"), "/", "/../x"), None);
        assert_eq!(join(Path::new("/sys/fs/cgroup"), "/a", "/b"), None);
        assert_eq!(unified_path("0::/x (deleted)\n"), Some("/x"));
    }
}
