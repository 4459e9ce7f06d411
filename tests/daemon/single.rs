// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supd -- COMMAND`, with real processes and no terminal. The numbers are those of the list of
//! what an init of a container must do (docs/how-to/run-as-pid1.md has the short form).

use super::harness::{CHILD, Dir, PATIENCE, follow, kill, line};
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};

const SUPD: &str = env!("CARGO_BIN_EXE_supd");
const UNSHARE: &[&str] = &["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];

fn supd(words: &[&str]) -> Command {
    let mut command = Command::new(SUPD);
    command.args(words).stdin(Stdio::null());
    command
}

fn code(words: &[&str]) -> Option<i32> {
    supd(words)
        .stderr(Stdio::null())
        .status()
        .expect("supd runs")
        .code()
}

fn output(words: &[&str]) -> Output {
    supd(words).output().expect("supd runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One that runs.
struct One {
    child: Child,
    out: Receiver<String>,
}

impl One {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("supd starts");
        let out = follow(child.stdout.take().expect("its output"));
        Self { child, out }
    }

    fn signal(&self, signal: &str) {
        kill(i32::try_from(self.child.id()).expect("a pid"), signal);
    }

    fn says(&self, wanted: &str) {
        line(&self.out, |l| l == wanted);
    }

    /// Its end, which is there when nobody holds its output open.
    fn end(mut self) -> ExitStatus {
        loop {
            match self.out.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("somebody is left"),
            }
        }
        self.child.wait().expect("its end")
    }
}

impl Drop for One {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As init of a pid name space of its own.
fn in_namespace(words: &[&str]) -> Command {
    let mut all = UNSHARE.to_vec();
    if !nix::unistd::geteuid().is_root() {
        all.extend(["--user", "--map-root-user"]);
    }
    all.push(SUPD);
    all.extend(words);
    let mut command = Command::new(all[0]);
    command.args(&all[1..]).stdin(Stdio::null());
    command
}

#[test]
fn pid1_01_every_exit_code_is_passed_on() {
    for wanted in [0, 1, 2, 32, 64, 127, 254, 255] {
        let script = format!("exit {wanted}");
        assert_eq!(code(&["--", "sh", "-c", &script]), Some(wanted));
    }
}

#[test]
fn pid1_01_a_death_by_signal_is_128_and_its_number() {
    for (signal, wanted) in [
        ("HUP", 129),
        ("KILL", 137),
        ("SEGV", 139),
        ("TERM", 143),
        ("37", 165),
    ] {
        let script = format!("ulimit -c 0; kill -{signal} $$");
        assert_eq!(code(&["--", "sh", "-c", &script]), Some(wanted), "{signal}");
    }
}

#[test]
fn pid1_01_what_cannot_be_executed_is_126_and_what_is_not_there_127() {
    let dir = Dir::new();
    let plain = dir.write("plain", "no program\n");
    let plain = plain.display().to_string();
    assert_eq!(code(&["--", "/does/not/exist"]), Some(127));
    assert_eq!(code(&["--", "does-not-exist"]), Some(127));
    assert_eq!(code(&["--", "/etc"]), Some(126));
    assert_eq!(code(&["--", &plain]), Some(126));
    fs::set_permissions(&plain, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("mode");
    assert_eq!(code(&["--", &plain]), Some(126), "no shell is guessed");
    let said = text(&output(&["--", "does-not-exist"]).stderr);
    assert!(said.contains("cannot execute `does-not-exist`"), "{said}");
}

#[test]
fn pid1_02_chosen_codes_become_zero_and_others_stay() {
    assert_eq!(
        code(&["-e", "143", "--", "sh", "-c", "kill -TERM $$"]),
        Some(0)
    );
    assert_eq!(code(&["-e3", "-e4", "--", "sh", "-c", "exit 4"]), Some(0));
    assert_eq!(code(&["-e", "3", "--", "sh", "-c", "exit 5"]), Some(5));
}

#[test]
fn pid1_03_whoever_is_left_gets_term_and_then_kill() {
    let dir = Dir::new();
    let here = dir.0.display();
    // One that obeys and one that is deaf, both away from the command's session.
    let script = format!(
        "cd {here}
         setsid sh -c 'trap \"echo term >asked; exit\" TERM; >one; while :; do sleep 0.01; done' &
         setsid sh -c 'trap \"\" TERM; >two; while :; do sleep 0.01; done' &
         until [ -e one ] && [ -e two ]; do sleep 0.01; done; exit 3"
    );
    let command = supd(&["--", "sh", "-c", &script]);
    assert_eq!(One::start(command).end().code(), Some(3));
    assert!(dir.path("asked").exists());
}

#[test]
fn pid1_03_in_a_name_space_of_its_own_nobody_is_left_either() {
    let dir = Dir::new();
    let here = dir.0.display();
    let script = format!(
        "cd {here}; setsid sh -c 'trap \"\" TERM; >two; while :; do sleep 0.01; done' &
         until [ -e {here}/two ]; do sleep 0.01; done; exit 3"
    );
    let command = in_namespace(&["--", "sh", "-c", &script]);
    assert_eq!(One::start(command).end().code(), Some(3));
}

#[test]
fn pid1_05_children_from_before_are_reaped_and_left_alone() {
    let words = [CHILD, "fork", "[", "exit", "0", "]", "await-dead", "exec"];
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .args([SUPD, "-w", "--", "sleep", "0.05"]);
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    assert!(output.status.success());
    let said = text(&output.stderr);
    assert!(said.contains("reaped an orphan"), "{said}");
}

#[test]
fn pid1_06_orphans_are_reaped_and_told_when_asked() {
    let script = "for i in 1 2 3 4 5 6 7 8; do (sleep 0 &); done; sleep 0.2; cat /proc/$PPID/task/$PPID/children";
    let output = output(&["-w", "-s", "--", "sh", "-c", script]);
    let children = text(&output.stdout);
    assert_eq!(children.split_whitespace().count(), 1, "{children}");
    let told = text(&output.stderr).matches("reaped an orphan").count();
    assert_eq!(told, 8, "{}", text(&output.stderr));
}

#[test]
fn pid1_07_thousands_of_orphans_do_not_delay_a_signal() {
    let script = "i=0; while [ $i -lt 2000 ]; do (: &); i=$((i+1)); done; echo up; sleep 1000";
    let one = One::start(supd(&["-g", "--", "sh", "-c", script]));
    one.says("up");
    one.signal("SIGTERM");
    assert_eq!(one.end().code(), Some(143));
}

#[test]
fn pid1_14_every_signal_that_can_be_caught_is_passed_on_one_by_one() {
    for number in (1..=64).filter(|n| ![9, 17, 18, 19, 32, 33].contains(n)) {
        let wanted = number + 100;
        let script =
            format!("trap 'exit {wanted}' {number}; echo up; while :; do sleep 0.01; done");
        let one = One::start(supd(&["--", "sh", "-c", &script]));
        one.says("up");
        let send = format!("kill -{number} {}", one.child.id());
        let sent = Command::new("sh").args(["-c", &send]).status();
        assert!(sent.expect("sh runs").success());
        let code = one.end().code();
        assert_eq!(code, Some(wanted), "signal {number}");
    }
}

#[test]
fn pid1_14_with_g_the_whole_group_is_told() {
    let dir = Dir::new();
    let here = dir.0.display();
    let script = format!(
        "trap : USR1; {CHILD} on USR1 exit 7 print up sleep forever; echo $? >{here}/code; exit 6"
    );
    let one = One::start(supd(&["-g", "--", "sh", "-c", &script]));
    one.says("up");
    one.signal("SIGUSR1");
    assert_eq!(one.end().code(), Some(6));
    let code = fs::read_to_string(dir.path("code"));
    assert_eq!(code.expect("its code"), "7\n");
}

#[test]
fn pid1_15_a_term_in_the_first_moment_is_not_lost() {
    let one = One::start(supd(&["--", "sleep", "1000"]));
    one.signal("SIGTERM");
    let status = one.end();
    // Before our first call it is the default action; never nothing.
    let ended = status.code() == Some(143) || status.signal() == Some(15);
    assert!(ended, "{status}");
}

#[test]
fn pid1_16_ignored_and_blocked_signals_are_as_they_were() {
    let show = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"];
    let set = ["--ignore-signal=TTOU,INT,USR2", "--block-signal=TTIN,TERM"];
    let run = |words: &[&str]| {
        let mut command = Command::new("env");
        command.args(set).args(words).stdin(Stdio::null());
        text(&command.output().expect("it runs").stdout)
    };
    let plain = run(&show);
    let ours = run(&[&[SUPD, "--"], &show[..]].concat());
    assert_eq!(ours, plain);
    assert!(plain.contains("SigBlk:\t0000000000104000"), "{plain}");
}

#[test]
fn pid1_18_descriptors_and_environment_are_passed_on_and_none_of_ours() {
    let look = "ls /proc/self/fd; echo N=$NOTIFY_SOCKET";
    let run = |words: &[&str]| {
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec 5</etc/passwd; exec \"$@\"", "sh"])
            .args(words);
        command.env("NOTIFY_SOCKET", "/run/n").stdin(Stdio::null());
        text(&command.output().expect("it runs").stdout)
    };
    let plain = run(&["sh", "-c", look]);
    assert!(
        plain.contains("\n5\n") && plain.contains("N=/run/n"),
        "{plain}"
    );
    assert_eq!(run(&[SUPD, "--", "sh", "-c", look]), plain);
}

#[test]
fn pid1_19_standard_input_reaches_the_command() {
    let mut command = supd(&["--", "sh"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("supd starts");
    child
        .stdin
        .take()
        .expect("its input")
        .write_all(b"exit 9\n")
        .expect("written");
    assert_eq!(child.wait().expect("its end").code(), Some(9));
}

#[test]
fn pid1_20_the_command_stays_where_it_was_started_and_supd_leaves() {
    let dir = Dir::new();
    let mut command = supd(&["--", "sh", "-c", "pwd; readlink /proc/$PPID/cwd; umask"]);
    command.current_dir(&dir.0);
    // The command may be faster than our step to the root: it is told by our end.
    let said = text(&command.output().expect("it runs").stdout);
    let mut lines = said.lines();
    let here = fs::canonicalize(&dir.0)
        .expect("a place")
        .display()
        .to_string();
    assert_eq!(lines.next(), Some(&*here));
    assert!(
        matches!(lines.next(), Some("/")) || said.contains(&here),
        "{said}"
    );
    let plain = Command::new("sh")
        .args(["-c", "umask"])
        .output()
        .expect("it runs");
    assert_eq!(lines.next(), Some(text(&plain.stdout).trim()));
}

#[test]
fn pid1_20_the_command_does_not_outlive_a_killed_supd() {
    let one = One::start(supd(&["--", "sh", "-c", "echo up; exec sleep 1000"]));
    one.says("up");
    one.signal("SIGKILL");
    assert_eq!(one.end().signal(), Some(9));
}

#[test]
fn pid1_24_closed_standard_descriptors_do_no_harm() {
    let script = "exec 0<&- 1>&- 2>&-; exec \"$0\" -- sh -c 'exit 8'";
    let status = Command::new("sh")
        .args(["-c", script, SUPD])
        .status()
        .expect("it runs");
    assert_eq!(status.code(), Some(8));
}

#[test]
fn pid1_34_tinis_options_are_understood_and_mistakes_are_64() {
    assert_eq!(
        code(&["-gswv", "-p", "SIGKILL", "-e", "1", "--", "true"]),
        Some(0)
    );
    assert_eq!(code(&["-g", "true"]), Some(64));
    assert_eq!(code(&["--"]), Some(64));
}

#[test]
fn pid1_34_with_p_the_end_of_the_parent_is_passed_on() {
    let mut command = Command::new("sh");
    let script = "\"$0\" -p TERM -- \"$1\" on TERM exit 0 print up sleep forever & exec sleep 1000";
    command
        .args(["-c", script, SUPD, CHILD])
        .stdin(Stdio::null());
    let one = One::start(command);
    line(&one.out, |l| l.starts_with("up"));
    one.signal("SIGKILL");
    // Only when supd and its command are gone as well does the pipe end.
    assert_eq!(one.end().signal(), Some(9));
}
