// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that are not what they seem: traced, frozen, in a system call without end, dead by
//! half, multiplied, and numbers that are given out again.

use super::harness::{CHILD, Start, Supd, alive, kill};
use super::rig::{
    children, cpu_ticks, eventually, has_tool, init, is_missing, is_not_here, is_root, only_child,
    report_at, state, supctl,
};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A tool that works in the background until it is dropped.
struct Tool(Child);

impl Tool {
    fn start(words: &[&str]) -> Self {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("a tool"))
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a pid")
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

/// The service is down by its supervisor's words, and says so until it really ends.
fn is_unkillable(supd: &mut Supd, name: &str, words: &str) {
    let before = cpu_ticks(supd.pid());
    let told = supd.event("service.unkillable", name);
    let spent = cpu_ticks(supd.pid()) - before;
    assert!(spent < 50, "it waits, it does not spin: {spent} ticks");
    let view = supd.node(name);
    assert_eq!(view["state"], "unkillable", "{told}");
    let process = view["process"].as_str().unwrap_or_default();
    assert!(process.contains(words), "{view}");
    let (_, text, _) = supctl(supd, &["why", name]);
    assert!(text.contains(process), "{text}");
    // No second one beside it: the order waits for its end.
    let (_, reply) = supd.post(&format!("/v1/nodes/{name}/start?wait=100ms"), "");
    assert_ne!(reply["ok"], true, "{reply}");
    let runs = |e: &&Value| e["kind"] == "service.starting" && e["node"] == name;
    assert_eq!(supd.events.iter().filter(runs).count(), 1);
}

const TWO: &str = "[service.a]\ncommand = \"CHILD ignore TERM ready sleep forever\"\n\
     ready = { notify = true }\nstop = { timeout = \"50ms\" }\n\
     [service.good]\ncommand = \"CHILD sleep forever\"";

#[test]
fn fault_08_a_child_that_a_stuck_debugger_holds_is_unkillable_until_it_lets_go() {
    if is_missing("strace", has_tool("strace")) {
        return;
    }
    let mut supd = Supd::start(TWO);
    supd.event("supervisor.ready", "root");
    let (a, good) = (supd.pid_of("a"), supd.pid_of("good"));
    let strace = Tool::start(&["strace", "-o", "/dev/null", "-p", &a.to_string()]);
    let tracer = strace.pid();
    eventually("a tracer", || {
        let status = fs::read_to_string(format!("/proc/{a}/status")).ok()?;
        status
            .contains(&format!("TracerPid:\t{tracer}"))
            .then_some(())
    });
    kill(tracer, "SIGSTOP");
    eventually("its stop", || (state(tracer) == Some('T')).then_some(()));
    supd.post("/v1/nodes/a/stop?wait=0", "");
    is_unkillable(&mut supd, "a", "traced by strace");
    assert_eq!(supd.pid_of("good"), good, "nobody else is touched");
    kill(tracer, "SIGCONT");
    let end = supd.event("service.exited", "a");
    assert_eq!(end["class"], "stop_timeout", "{end}");
    supd.event("service.starting", "a");
    supd.event("service.ready", "a");
}

#[test]
fn fault_09_a_service_whose_first_thread_has_ended_runs_on() {
    let mut supd = Supd::start(
        "[service.a]\nready = { notify = true }\n\
         command = \"CHILD in-thread [ ready sleep forever ]\"",
    );
    supd.event("service.ready", "a");
    let a = supd.pid_of("a");
    eventually("the end of a thread", || {
        (state(a) == Some('Z')).then_some(())
    });
    let (_, health) = supd.get("/v1/health");
    assert_eq!(health["ready"], true, "{health}");
    assert_eq!(
        supd.pid_of("a"),
        a,
        "for /proc it is a zombie, for us it runs"
    );
    assert_eq!(supctl(&supd, &["stop", "a"]).0, 0);
    let end = supd.event("service.exited", "a");
    assert_eq!(end["class"], "requested", "{end}");
}

/// A cgroup v2 of our own, below ours.
struct Group(PathBuf);

impl Group {
    fn new() -> Option<Self> {
        let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
        let root = roots.map(Path::new).into_iter().find(|root| {
            let text = fs::read_to_string(root.join("cgroup.controllers"));
            text.is_ok()
        })?;
        let path = root.join(format!("supd-test-{}", std::process::id()));
        fs::create_dir(&path).ok()?;
        Some(Self(path))
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("a cgroup's file");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.0.join("cgroup.freeze"), "0");
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn fault_11_a_frozen_service_is_stopped_by_its_deadline() {
    let group = is_root().then(Group::new).flatten();
    if is_not_here("cgroup v2 that can be written", group.is_some()) {
        return;
    }
    let group = group.expect("looked at above");
    let mut supd = Supd::start(TWO);
    supd.event("supervisor.ready", "root");
    let a = supd.pid_of("a");
    group.write("cgroup.procs", &a.to_string());
    group.write("cgroup.freeze", "1");
    eventually("the frost", || {
        let events = fs::read_to_string(group.0.join("cgroup.events")).ok()?;
        events.contains("frozen 1").then_some(())
    });
    assert_eq!(supctl(&supd, &["stop", "a"]).0, 0);
    let end = supd.event("service.exited", "a");
    assert_eq!(end["class"], "stop_timeout", "{end}");
    assert!(!alive(a));
}

/// A file system that is frozen as long as this lives; in the name space of a process.
struct Frost(i32, String);

fn within(pid: i32, words: &[&str]) -> bool {
    let mut command = Command::new("nsenter");
    command.args(["-t", &pid.to_string(), "-m"]).args(words);
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

impl Drop for Frost {
    fn drop(&mut self) {
        within(self.0, &["fsfreeze", "-u", &self.1]);
    }
}

/// A daemon with a file system of its own at DIR/disk, where `$1` is; how it is executed there, a
/// shell says. `None`, loudly: this machine cannot do that.
fn on_a_disk(config: &str, exec: &str) -> Option<(Supd, String)> {
    let tools = ["fsfreeze", "nsenter"];
    let there = is_root() && tools.iter().all(|tool| has_tool(tool));
    if is_not_here("right to mount", there) {
        return None;
    }
    let dir = super::harness::Dir::new();
    let (image, place) = (dir.path("image"), dir.path("disk"));
    fs::create_dir(&place).expect("a directory");
    let (image, place) = (image.display().to_string(), place.display().to_string());
    dir.write("supd.toml", &super::harness::expand(config, &dir));
    let mount = format!(
        "truncate -s 16M \"$0\" && mkfs.ext4 -q \"$0\" && mount -o loop \"$0\" \"$1\" || \
         exit 77; disk=$1; shift; exec \"$@\" {exec}"
    );
    let mut wrapper = super::rig::unshare_mounts();
    wrapper.extend(["sh", "-c", &mount, &image, &place]);
    let how = Start {
        config: "",
        wrapper: &wrapper,
        stdout: Stdio::null(),
    };
    let mut supd = Supd::start_in(dir, how);
    let up = super::rig::ready_or_over(&mut supd, "root");
    (!is_not_here("loop device", up)).then_some((supd, place))
}

#[test]
fn fault_12_a_child_in_a_system_call_without_end_is_unkillable_until_it_returns() {
    let config = TWO.replace("ready sleep", "ready await DIR/go touch DIR/disk/x sleep");
    let Some((mut supd, place)) = on_a_disk(&config, "") else {
        return;
    };
    let a = supd.pid_of("a");
    assert!(within(supd.pid(), &["fsfreeze", "-f", &place]));
    let frost = Frost(supd.pid(), place);
    supd.dir.write("go", "");
    eventually("no return", || (state(a) == Some('D')).then_some(()));
    supd.post("/v1/nodes/a/stop?wait=0", "");
    is_unkillable(&mut supd, "a", "uninterruptible (D)");
    drop(frost);
    let end = supd.event("service.exited", "a");
    assert_eq!(end["class"], "stop_timeout", "{end}");
    supd.event("service.starting", "a");
}

#[test]
fn fault_49_a_disk_that_does_not_answer_holds_up_nobody_who_writes_to_our_own_output() {
    let config = "[service.a]\nrestart = \"temporary\"\n\
         command = \"CHILD await DIR/go print one await DIR/on print two sleep forever\"\n\
         [service.b]\ncommand = \"CHILD sleep forever\"";
    let Some((mut supd, place)) = on_a_disk(config, ">\"$disk/out\"") else {
        return;
    };
    let pid = supd.pid();
    let writer = || {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
        let mut names = tasks.map(|t| fs::read_to_string(t.path().join("stat")).ok());
        names.find_map(|stat| stat.filter(|s| s.contains("(supd-logs)")))
    };
    assert_eq!(writer(), None, "nobody has written anything");
    assert!(within(pid, &["fsfreeze", "-f", &place]));
    let frost = Frost(pid, place.clone());
    supd.dir.write("go", "");
    eventually("a write that does not return", || {
        writer()?.contains(") D ").then_some(())
    });
    let b = supd.pid_of("b");
    kill(b, "SIGKILL");
    supd.event("service.exited", "b");
    supd.event("service.ready", "b");
    supd.dir.write("on", "");
    eventually("the second line", || {
        (supd.node("a")["log"]["read"] == 8).then_some(())
    });
    drop(frost);
    let out = format!("/proc/{pid}/root{place}/out");
    eventually("both lines", || {
        let text = fs::read_to_string(&out).ok()?;
        (text == "a | one\na | two\n").then_some(())
    });
}

#[test]
fn fault_13_a_stranger_with_the_number_of_a_dead_service_is_left_alone() {
    let mut supd = init(
        "[service.a]\ncommand = \"CHILD sleep forever\"\nbackoff = [\"10m\"]\n\
         stop = { signal = \"KILL\" }",
    );
    supd.event("service.ready", "a");
    let number = supd.pid_of("a");
    let outer = only_child(supd.pid());
    kill(children(outer)[0], "SIGKILL");
    supd.event("service.exited", "a");
    let path = supd.dir.path("stranger");
    let report = path.display().to_string();
    let text = "echo $(($0 - 1)) > /proc/sys/kernel/ns_last_pid || exit 1; \
                \"$1\" report \"$2\" sleep forever";
    let (number, target) = (number.to_string(), outer.to_string());
    let enter = ["nsenter", "-t", &target, "-p", "-m", "sh", "-c", text];
    let words = [&enter[..], &[&number, CHILD, &report]].concat();
    let stranger = Tool::start(&words);
    let report = report_at(&path);
    let chosen = report["pid"].as_i64() == number.parse().ok();
    if is_not_here("choice of numbers", chosen) {
        return;
    }
    assert_ne!(supctl(&supd, &["signal", "KILL", "a"]).0, 0);
    assert_eq!(supctl(&supd, &["stop", "a"]).0, 0);
    let inside = only_child(only_child(stranger.pid()));
    assert_eq!(state(inside), Some('S'), "it was not meant");
    supd.post("/v1/nodes/a/start", "");
    supd.event("service.ready", "a");
    assert_eq!(state(inside), Some('S'));
}

#[test]
fn fault_18_a_service_that_multiplies_when_it_is_stopped_is_gone_in_bounded_time() {
    // Each in a session of its own; what is forked until SIGKILL comes must not stay.
    let mut supd = init(
        "[service.a]\nready = { file = \"DIR/up\", every = \"20ms\" }\n\
         stop = { timeout = \"400ms\" }\nshell = '''\n\
         trap 'n=0; while [ $n -lt 500 ]; do setsid CHILD sleep forever & n=$((n+1)); done' TERM\n\
         : > DIR/up\nwhile :; do CHILD sleep 60000; done\n'''\n\
         [service.good]\ncommand = \"CHILD sleep forever\"",
    );
    supd.event("supervisor.ready", "root");
    assert_eq!(supctl(&supd, &["--timeout", "30s", "stop", "a"]).0, 0);
    let outer = only_child(supd.pid());
    eventually("only the good one", || {
        (children(outer).len() == 1).then_some(())
    });
    assert_eq!(supd.node("good")["restarts"], Value::Null);
    let end = supd.event("service.exited", "a");
    assert_eq!(end["class"], "stop_timeout", "{end}");
}
