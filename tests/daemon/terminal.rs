// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supd -- COMMAND` at a terminal of its own: job control, and Ctrl-C once.

use super::harness::{CHILD, Dir, PATIENCE};
use nix::pty::openpty;
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

const SUPD: &str = env!("CARGO_BIN_EXE_supd");

/// A terminal with a program at it, and everything it has shown.
struct Screen {
    keyboard: File,
    shown: Receiver<Vec<u8>>,
    text: String,
    seen: usize,
    child: Child,
}

impl Screen {
    /// The words are the leader of the terminal's session, as in `docker run -it`.
    fn open(words: &[&str]) -> Self {
        let pair = openpty(None, None).expect("a terminal");
        let end = File::from(pair.slave);
        let input = || Stdio::from(end.try_clone().expect("a descriptor"));
        let child = Command::new("setsid")
            .args(["--ctty", "--wait"])
            .args(words)
            .env("PS1", "$ ")
            .env("SUPD", SUPD)
            .env("CHILD", CHILD)
            .env_remove("PROMPT_COMMAND")
            .stdin(input())
            .stdout(input())
            .stderr(input())
            .spawn()
            .expect("setsid runs");
        let keyboard = File::from(pair.master);
        let mut screen = keyboard.try_clone().expect("a descriptor");
        let (send, shown) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = screen.read(&mut bytes) {
                if send.send(bytes[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            keyboard,
            shown,
            text: String::new(),
            seen: 0,
            child,
        }
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("typed");
    }

    /// Waits until this is shown after what was waited for before.
    fn wait_for(&mut self, wanted: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.text[self.seen..].find(wanted) {
                self.seen += at + wanted.len();
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(e) => panic!("no {wanted:?}: {e}; shown:\n{}", self.text),
            }
        }
    }

    fn end_code(&mut self) -> Option<i32> {
        self.child.wait().expect("its end").code()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const BASH: [&str; 5] = ["bash", "--norc", "--noprofile", "--noediting", "-i"];

#[test]
fn pid1_22_ctrl_c_reaches_the_command_once() {
    let dir = Dir::new();
    let script = dir.write(
        "count.sh",
        "n=0; trap 'n=$((n+1)); echo got $n' INT; echo up; \
         while :; do read -r word && { echo \"all $n\"; exit $n; }; done",
    );
    let script = script.display().to_string();
    let mut screen = Screen::open(&[SUPD, "--", "bash", &script]);
    screen.wait_for("up");
    screen.press("\x03");
    screen.wait_for("got 1");
    screen.press("x\r");
    screen.wait_for("all 1");
}

#[test]
fn pid1_22_a_busy_command_ends_by_ctrl_c_with_130() {
    let mut screen = Screen::open(&[SUPD, "--", CHILD, "print", "up", "sleep", "forever"]);
    screen.wait_for("up");
    screen.press("\x03");
    assert_eq!(screen.end_code(), Some(130));
}

#[test]
fn pid1_22_what_comes_through_a_pipe_leaves_the_terminal_to_the_command() {
    let mut screen = Screen::open(&BASH);
    screen.wait_for("$ ");
    screen.press("echo piped | $SUPD -- sh -c 'read a; read b </dev/tty; echo \"<$a $b>\"'\r");
    screen.press("typed\r");
    screen.wait_for("<piped typed>");
    screen.press("exit 0\r");
}

#[test]
fn pid1_23_a_shell_below_has_job_control() {
    let mut all = vec![SUPD, "--"];
    all.extend(BASH);
    let mut screen = Screen::open(&all);
    screen.wait_for("$ ");
    screen.press("echo flags=$-\r");
    screen.wait_for("flags=himBH");
    assert!(!screen.text.contains("no job control"), "{}", screen.text);
    screen.press("$CHILD print job=$((40 + 2)) sleep forever\r");
    screen.wait_for("job=42");
    screen.press("\x1a");
    screen.wait_for("Stopped");
    screen.press("kill -9 %1; wait; exit 7\r");
}

#[test]
fn pid1_23_ctrl_z_stops_both_and_fg_continues_both() {
    let mut screen = Screen::open(&BASH);
    screen.wait_for("$ ");
    screen.press("$SUPD -- sh -c 'echo up; while read -r l; do echo \"[$l]\"; done; echo done'\r");
    screen.wait_for("up\r\n");
    screen.press("\x1a");
    screen.wait_for("Stopped");
    screen.press("fg\r");
    screen.press("one\r");
    screen.wait_for("[one]");
    screen.press("\x04");
    screen.wait_for("done");
    screen.press("echo $((40 + 2))\r");
    screen.wait_for("42");
}

#[test]
fn pid1_23_without_a_shell_above_ctrl_z_stops_nobody() {
    let script = "echo up; while read -r l; do echo \"[$l]\"; done";
    let mut screen = Screen::open(&[SUPD, "--", "sh", "-c", script]);
    screen.wait_for("up\r\n");
    screen.press("\x1a");
    screen.press("one\r");
    screen.wait_for("[one]");
    screen.press("\x04");
    assert_eq!(screen.end_code(), Some(0));
}

#[test]
fn pid1_22_who_is_started_in_the_background_does_not_come_in_front() {
    let mut screen = Screen::open(&BASH);
    screen.wait_for("$ ");
    screen.press("$SUPD -- sh -c 'sleep 0.2; echo behind' & wait; echo $((40 + 2))\r");
    screen.wait_for("behind");
    screen.wait_for("42");
    screen.press("echo $((50 + 2))\r");
    screen.wait_for("52");
}

#[test]
fn pid1_12_a_new_size_of_the_window_is_told_to_the_command() {
    let script = "trap 'echo resized' WINCH; echo up; while :; do sleep 0.05; done";
    let mut screen = Screen::open(&[SUPD, "--", "bash", "-c", script]);
    screen.wait_for("up");
    // The size belongs to the terminal, whichever end it is set at.
    let ours = screen.keyboard.try_clone().expect("a descriptor");
    let stty = Command::new("stty")
        .args(["rows", "40", "cols", "90"])
        .stdin(ours)
        .status();
    assert!(stty.expect("stty runs").success());
    screen.wait_for("resized");
}

#[test]
fn pid1_23_a_service_with_the_terminal_has_job_control() {
    let dir = Dir::new();
    let config = dir.write(
        "supd.toml",
        "[supervisor.root]\nauto_shutdown = \"any_significant\"\nchildren = [\"shell\"]\n\
         [service.shell]\ntty = true\nrestart = \"temporary\"\nsignificant = true\n\
         command = \"bash --norc --noprofile --noediting -i\"",
    );
    let config = config.display().to_string();
    let socket = dir.path("s").display().to_string();
    let mut screen = Screen::open(&[SUPD, "-c", &config, "--socket", &socket]);
    screen.wait_for("$ ");
    screen.press("$CHILD print job=$((40 + 2)) sleep forever\r");
    screen.wait_for("job=42");
    screen.press("\x1a");
    screen.wait_for("Stopped");
}
