// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kills for want of memory, by the kernel itself.

use super::harness::{Start, Supd, kill};
use super::rig::is_not_here;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A control group of version 1 with a limit of memory, below the hierarchy's root.
struct Group(PathBuf);

impl Group {
    fn new(name: &str, bytes: u64) -> Option<Self> {
        let path =
            Path::new("/sys/fs/cgroup/memory").join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&path).ok()?;
        let group = Self(path);
        let limit = group.0.join("memory.limit_in_bytes");
        fs::write(limit, bytes.to_string()).ok()?;
        // With swap there would be no end to it; where there is none the file is not there.
        let swap = group.0.join("memory.memsw.limit_in_bytes");
        let _none = fs::write(swap, bytes.to_string());
        Some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _busy = fs::remove_dir(&self.0);
    }
}

#[test]
fn whom_the_kernel_kills_for_memory_is_told_from_who_is_killed_from_outside() {
    let group = Group::new("supd-oom", 96 << 20);
    if is_not_here("cgroup v1 memory that can be written", group.is_some()) {
        return;
    }
    let group = group.expect("it is there");
    let enter = format!("echo $$ > {}/cgroup.procs; exec \"$@\"", group.0.display());
    let mut supd = Supd::start_with(Start {
        config: "[service.glutton]\nbackoff = [\"10m\"]\ncommand = \"CHILD eat 400 sleep forever\"\n\
                 oom_score_adj = 1000\n[service.modest]\ncommand = \"CHILD sleep forever\"",
        wrapper: &["sh", "-c", &enter, "sh"],
        stdout: Stdio::null(),
    });
    let end = supd.event("service.exited", "glutton");
    assert_eq!(end["class"], "oom_kill", "{end}");
    assert_eq!(end["certainty"], "likely", "the group is shared: {end}");
    assert_eq!(end["family"], "resource", "{end}");
    kill(supd.pid_of("modest"), "SIGKILL");
    let end = supd.event("service.exited", "modest");
    assert_eq!(end["class"], "killed", "{end}");
    drop(supd);
}
