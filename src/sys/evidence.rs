// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel shows about a process, as text, for a process of its own that may block on it.

use crate::spec::Evidence;
use std::fs;

/// Bytes of one file of /proc: a stack has a few kilobytes at most.
const FILE_MAX: usize = 16 << 10;

/// What is to be seen of this process; nothing of what needs none.
pub fn of_process(pid: i32, what: Evidence) -> String {
    match what {
        // /proc/PID/stack is root's alone; what it waits for, and in which call, everybody's own.
        Evidence::Stack => ["wchan", "syscall", "stack"]
            .map(|name| section(pid, name))
            .concat(),
        Evidence::Status => section(pid, "status"),
        Evidence::Stderr => String::new(),
    }
}

fn section(pid: i32, name: &str) -> String {
    let path = format!("/proc/{pid}/{name}");
    let text = match fs::read(&path) {
        Ok(mut bytes) => {
            bytes.truncate(FILE_MAX);
            String::from_utf8_lossy(&bytes).into_owned()
        }
        Err(error) => format!("cannot be read: {error}"),
    };
    format!("{path}:\n{}\n", text.trim_end())
}
