// SPDX-License-Identifier: MIT OR Apache-2.0
//! Output of services and the files it goes to: full disks, moved files, traps where the file
//! should be, lines without end, readers that are gone.

use super::harness::{Dir, Start, Supd, expand, follow, line};
use super::rig::{eventually, supctl, unshare_mounts};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What became of a service's bytes in its only file, all of it looked at: none is unaccounted for.
fn balanced(supd: &Supd, name: &str) -> Value {
    let mut log = Value::Null;
    until_so("nothing waits for the disk", || {
        log = supd.node(name)["log"].take();
        log["files"][0]["counts"]["waiting"].is_null()
    });
    let counts = &log["files"][0]["counts"];
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let (there, went) = (
        number(&log["read"]) + number(&log["ended"]),
        number(&counts["written"]) + number(&counts["dropped"]),
    );
    assert_eq!(there, went, "{log}");
    log
}

fn until_so(what: &str, mut is_so: impl FnMut() -> bool) {
    eventually(what, || is_so().then_some(()));
}

/// The memory of a process that is there now, in KiB.
fn resident_kb(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find(|l| l.starts_with("VmRSS:"));
    let number = line.and_then(|l| l.split_whitespace().nth(1)?.parse().ok());
    number.expect("a number")
}

/// A service that writes a numbered line of 100 bytes every few milliseconds.
const TICKER: &str = "[service.ticker]\n\
    shell = 'i=0; while :; do printf \"%099d\\n\" $i; i=$((i+1)); sleep 0.01; done'\n\
    log = { to = \"file:DIR/logs/t.log\" }\n";

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn fault_49_a_full_or_read_only_disk_costs_lines_and_nothing_else() {
    let dir = Dir::new();
    fs::create_dir(dir.path("logs")).expect("a directory");
    let logs = dir.path("logs").display().to_string();
    let frozen = dir.path("frozen").display().to_string();
    fs::create_dir(&frozen).expect("a directory");
    let mount = format!(
        "mount -t tmpfs -o size=256k none {logs} && mount -t tmpfs -o ro none {frozen} && \
         exec \"$@\""
    );
    let mut wrapper = unshare_mounts();
    wrapper.extend(["sh", "-c", &mount, "sh"]);
    let act = |name: &str, what: &str| {
        format!("[service.{name}]\ntype = \"oneshot\"\nenabled = false\nshell = '{what}'\n")
    };
    let config = [
        TICKER.to_owned(),
        act("fill", "head -c 1M /dev/zero > DIR/logs/fill; true"),
        act("empty", "rm DIR/logs/fill"),
        act("thaw", "mount -o remount,rw DIR/frozen"),
        TICKER.replace("ticker", "frozen").replace("logs", "frozen"),
    ];
    let config = config.concat();
    dir.write("supd.toml", &expand(&config, &dir));
    let mut supd = Supd::start_in(
        dir,
        Start {
            wrapper: &wrapper,
            ..Start::default()
        },
    );
    let failing = supd.event("log.failing", "frozen");
    let message = failing["message"].as_str().expect("a message");
    assert!(
        message.contains("frozen") && message.contains("Read-only"),
        "{message}"
    );
    supd.post("/v1/nodes/thaw/start", "");
    supd.event("log.working", "frozen");

    supd.post("/v1/nodes/fill/start", "");
    let failing = supd.event("log.failing", "ticker");
    let message = failing["message"].as_str().expect("a message");
    assert!(
        message.contains("t.log") && message.contains("No space left"),
        "{message}"
    );
    let view = supd.node("ticker");
    assert_eq!(view["state"], "ready");
    let trouble = view["log"]["files"][0]["trouble"].as_str();
    assert!(
        trouble.is_some_and(|t| t.contains("No space left")),
        "{view}"
    );
    supd.post("/v1/nodes/empty/start", "");
    supd.event("log.working", "ticker");
    supd.post("/v1/nodes/ticker/stop", "");
    let log = balanced(&supd, "ticker");
    let counts = &log["files"][0]["counts"];
    assert!(counts["dropped_lines"].as_u64() > Some(0), "{log}");
    let there = supd.pid();
    let file = PathBuf::from(format!("/proc/{there}/root{logs}/t.log"));
    assert!(text(&file).contains(" bytes are missing here]"));
}

#[test]
fn fault_50_a_file_that_was_moved_cut_or_removed_is_made_anew() {
    let mut supd = Supd::start(TICKER);
    let file = supd.dir.path("logs/t.log");
    let grows = || until_so("the file grows", || text(&file).lines().count() > 2);
    grows();
    fs::rename(&file, supd.dir.path("logs/moved.log")).expect("renamed");
    grows();
    let moved = text(&supd.dir.path("logs/moved.log"));
    let now = text(&file);
    let (last, first) = (moved.lines().last(), now.lines().next());
    let number = |l: Option<&str>| l.and_then(|l| l.parse::<u64>().ok()).expect("a number");
    assert_eq!(number(last) + 1, number(first), "no line is lost");
    fs::write(&file, "").expect("cut");
    grows();
    assert!(
        !text(&file).contains('\0'),
        "it is written from its new end"
    );
    fs::remove_dir_all(supd.dir.path("logs")).expect("removed");
    grows();
    fs::remove_dir_all(supd.dir.path("logs")).expect("removed");
    fs::write(supd.dir.path("logs"), "not a directory").expect("a file");
    let failing = supd.event("log.failing", "ticker");
    let message = failing["message"].as_str().expect("a message");
    assert!(message.contains("directory"), "{message}");
    fs::remove_file(supd.dir.path("logs")).expect("removed");
    supd.event("log.working", "ticker");
    grows();
    supd.post("/v1/nodes/ticker/stop", "");
    balanced(&supd, "ticker");
}

#[test]
fn fault_50_usr1_opens_all_files_anew_at_once() {
    let mut supd = Supd::start(TICKER);
    let file = supd.dir.path("logs/t.log");
    until_so("the file is there", || !text(&file).is_empty());
    fs::rename(&file, supd.dir.path("logs/t.log.1")).expect("renamed");
    supd.signal("SIGUSR1");
    let said = supd.event("log.reopened", "");
    assert_eq!(said["message"], "opened 1 log files anew");
    until_so("it is written again", || !text(&file).is_empty());
    supd.post("/v1/nodes/ticker/stop", "");
    let both = text(&supd.dir.path("logs/t.log.1")) + &text(&file);
    let numbers: Vec<u64> = both.lines().filter_map(|l| l.parse().ok()).collect();
    assert!(numbers.windows(2).all(|w| w[0] + 1 == w[1]), "{numbers:?}");
}

/// All files of a log, the oldest first, unpacked.
fn all_of(file: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for number in (1..300).rev() {
        let old = PathBuf::from(format!("{}.{number}", file.display()));
        let packed = PathBuf::from(format!("{}.gz", old.display()));
        all.extend(fs::read(&old).unwrap_or_default());
        if packed.exists() {
            let out = Command::new("gzip").args(["-dc"]).arg(&packed).output();
            let out = out.expect("gzip runs");
            assert!(out.status.success(), "{}", packed.display());
            all.extend(out.stdout);
        }
    }
    all.extend(fs::read(file).expect("the file"));
    all
}

#[test]
fn fault_51_no_byte_is_lost_uncounted_while_files_rotate_under_a_flood() {
    let mut supd = Supd::start(
        "[service.loud]\nrestart = \"temporary\"\n\
         shell = 'seq -f %0100.0f 1 200000; echo end'\n\
         log = { to = [\"file:DIR/l.log\"], \
                 rotate = { size = \"256K\", keep = 200, compress = true } }\n",
    );
    supd.event("service.exited", "loud");
    let log = balanced(&supd, "loud");
    let last = format!("{}.1.gz", supd.dir.path("l.log").display());
    until_so("old files are compressed", || {
        Path::new(&last).exists() && !supd.dir.path("l.log.1").exists()
    });
    let all = all_of(&supd.dir.path("l.log"));
    let is_ours = |l: &&[u8]| !l.starts_with(b"[supd: ");
    let lines = all.split_inclusive(|b| *b == b'\n').filter(is_ours);
    let bytes: usize = lines.clone().map(<[u8]>::len).sum();
    let written = log["files"][0]["counts"]["written"].as_u64();
    assert_eq!(Some(bytes as u64), written, "{log}");
    let numbers = lines.filter_map(|l| std::str::from_utf8(l).ok()?.trim().parse::<u64>().ok());
    let numbers: Vec<u64> = numbers.collect();
    assert!(numbers.is_sorted(), "and all of it in its order");
    let sizes = fs::read_dir(&supd.dir.0).expect("the directory").flatten();
    let sizes = sizes.filter(|e| e.path().display().to_string().contains("l.log"));
    let most = sizes
        .filter_map(|e| e.metadata().ok().map(|m| m.len()))
        .max();
    assert!(most <= Some(256 << 10), "{most:?} bytes in one file");
}

#[test]
fn fault_51_only_so_many_old_files_are_kept() {
    let mut supd = Supd::start(
        "[service.loud]\nrestart = \"temporary\"\nshell = 'seq -f %0100.0f 1 3000'\n\
         log = { to = [\"file:DIR/l.log\"], rotate = { size = \"16K\", keep = 3 } }\n",
    );
    supd.event("service.exited", "loud");
    balanced(&supd, "loud");
    let names = fs::read_dir(&supd.dir.0).expect("the directory").flatten();
    let mut names: Vec<String> = names
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|n| n.starts_with("l.log"))
        .collect();
    names.sort();
    assert_eq!(names, ["l.log", "l.log.1", "l.log.2", "l.log.3"]);
    for name in names {
        let size = fs::metadata(supd.dir.path(&name)).expect("a file").len();
        assert!(size <= 16 << 10, "{name} has {size} bytes");
    }
    let all = all_of(&supd.dir.path("l.log"));
    assert!(all.ends_with(b"03000\n"), "the newest are kept");
}

#[test]
fn fault_52_every_byte_is_in_the_file_and_a_line_without_end_is_cut_elsewhere() {
    let mut supd = Supd::start(
        "[supd]\nlog = { children = \"off\" }\n\
         [service.odd]\nrestart = \"temporary\"\n\
         shell = 'cat DIR/bytes; printf \"the end\"'\nlog = { to = [\"supd\", \"file:DIR/o.log\"] }\n\
         [service.endless]\nenabled = false\nrestart = \"temporary\"\n\
         shell = 'head -c 64M /dev/zero'\nlog = { to = \"file:/dev/null\" }\n",
    );
    let mut bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    bytes.extend(vec![b'x'; 100_000]);
    bytes.extend(b"\xff\xfe\0\x1b[31m\r\n");
    bytes.extend("é".repeat(30_000).bytes());
    bytes.push(b'\n');
    fs::write(supd.dir.path("bytes"), &bytes).expect("written");
    supd.event("service.ready", "odd");
    supd.post("/v1/nodes/odd/restart", "");
    supd.until("an end with all bytes there", |e| {
        e["kind"] == "service.exited" && e["node"] == "odd" && e["code"] == 0
    });
    let log = balanced(&supd, "odd");
    assert_eq!(log["files"][0]["counts"]["dropped"], Value::Null, "{log}");
    let file = fs::read(supd.dir.path("o.log")).expect("the file");
    bytes.extend(b"the end\n");
    assert!(file.ends_with(&bytes), "{} of {}", file.len(), bytes.len());
    let (_, lines) = supd.ask("GET", "/v1/nodes/odd/logs?lines=1000", "");
    let lines = lines.lines().map(serde_json::from_str::<Value>);
    let lines: Vec<Value> = lines.map(|l| l.expect("JSON")).collect();
    assert!(lines.iter().any(|l| l["cut"] == true));
    let long = lines
        .iter()
        .filter_map(|l| l["text"].as_str())
        .map(str::len)
        .max();
    assert!(
        long <= Some(3 * (16 << 10)),
        "replaced bytes take three: {long:?}"
    );
    supd.post("/v1/nodes/endless/start?wait=0", "");
    supd.event("service.exited", "endless");
    let kb = resident_kb(supd.pid());
    assert!(kb < 60_000, "{kb} KiB resident");
}

#[test]
fn fault_53_a_terminal_obeys_nothing_that_a_service_writes() {
    let pty = nix::pty::openpty(None, None).expect("a terminal");
    let mut supd = Supd::start_with(Start {
        config: "[service.evil]\nrestart = \"temporary\"\nshell = 'printf \"a\\033]0;title\\007b\
                 \\033[2Jc\\rd\\302\\233e\\tf\\n\"'\n",
        stdout: Stdio::from(pty.slave),
        ..Start::default()
    });
    let out = follow(fs::File::from(pty.master));
    let seen = line(&out, |l| l.contains("evil"));
    assert_eq!(
        seen, "evil | a\\u{1b}]0;title\\u{7}b\\u{1b}[2Jc\\rd\\u{9b}e\tf",
        "nothing but text"
    );
    supd.event("service.exited", "evil");
}

#[test]
fn fault_54_what_is_no_file_of_ours_is_neither_written_nor_waited_for() {
    let dir = Dir::new();
    let target = dir.write("target", "precious\n");
    symlink(&target, dir.path("symlink")).expect("a link");
    symlink(dir.path("absent"), dir.path("dangling")).expect("a link");
    fs::hard_link(&target, dir.path("hardlink")).expect("a link");
    fs::create_dir(dir.path("folder")).expect("a directory");
    let mode = nix::sys::stat::Mode::S_IRWXU;
    nix::unistd::mkfifo(&dir.path("fifo"), mode).expect("a FIFO");
    let _socket = std::os::unix::net::UnixListener::bind(dir.path("socket")).expect("a socket");
    let places = [
        ("DIR/symlink", "symbolic link"),
        ("DIR/dangling", "symbolic link"),
        ("DIR/hardlink", "hard links"),
        ("DIR/folder", "a directory"),
        ("DIR/fifo", "a FIFO"),
        ("DIR/socket", "a socket"),
        ("/dev/tty", "a device"),
        ("/dev/full", "a device"),
        ("DIR/target/below", "cannot"),
    ];
    let services = (0..).zip(places).map(|(n, (path, _))| {
        format!(
            "[service.s{n}]\ncommand = \"CHILD print x sleep forever\"\n\
             log = {{ to = \"file:{path}\" }}\n"
        )
    });
    let config = services.collect::<Vec<_>>().concat();
    dir.write("supd.toml", &expand(&config, &dir));
    let mut supd = Supd::start_in(dir, Start::default());
    for (path, why) in places {
        let file = format!("`{}`", expand(path, &supd.dir));
        let failing = supd.until(&file, |e| {
            let message = e["message"].as_str().unwrap_or_default();
            e["kind"] == "log.failing" && message.contains(&file)
        });
        let message = failing["message"].as_str().expect("a message");
        assert!(message.contains(why), "{message}");
    }
    for n in 0..places.len() {
        let name = format!("s{n}");
        until_so("its line is there", || supd.node(&name)["log"]["read"] == 2);
        let log = balanced(&supd, &name);
        assert_eq!(log["files"][0]["counts"]["dropped"], 2, "{log}");
        assert_eq!(supd.node(&name)["state"], "ready");
    }
    assert_eq!(text(&supd.dir.path("target")), "precious\n");
    assert!(!supd.dir.path("absent").exists());
}

#[test]
fn fault_54_a_new_file_is_for_its_owner_and_group_alone() {
    let mut supd = Supd::start(
        "[service.a]\ncommand = \"CHILD print x sleep forever\"\n\
         log = { to = \"file:DIR/new/deep/a.log\" }\n",
    );
    supd.event("service.ready", "a");
    balanced(&supd, "a");
    let meta = fs::metadata(supd.dir.path("new/deep/a.log")).expect("the file");
    assert_eq!(meta.mode() & 0o777, 0o640);
    let folder = fs::metadata(supd.dir.path("new/deep")).expect("the directory");
    assert_eq!(folder.mode() & 0o027, 0);
}

#[test]
fn fault_55_a_terminal_that_hangs_up_takes_nobody_along() {
    let pty = nix::pty::openpty(None, None).expect("a terminal");
    let mut supd = Supd::start_with(Start {
        config: &TICKER.replace(
            "\"file:DIR/logs/t.log\"",
            "[\"supd\", \"file:DIR/logs/t.log\"]",
        ),
        stdout: Stdio::from(pty.slave),
        ..Start::default()
    });
    supd.event("service.ready", "ticker");
    drop(pty.master);
    let file = supd.dir.path("logs/t.log");
    let before = text(&file).lines().count();
    until_so("it goes on", || text(&file).lines().count() > before + 20);
    supd.signal("SIGTERM");
    assert_eq!(supd.wait().code(), Some(0));
}

#[test]
fn fault_57_who_says_little_is_heard_among_many_who_shout() {
    let mut supd = Supd::start(
        "[supd]\nlog = { children = \"off\" }\n\
         [service.shout]\ninstances = 30\nshell = 'exec yes shouting'\n\
         log = { to = \"file:DIR/${NAME}.log\", rotate = { size = \"64K\", keep = 1 } }\n\
         [service.quiet]\nrestart = \"temporary\"\n\
         shell = 'i=0; while [ $i -lt 40 ]; do echo $i; i=$((i+1)); sleep 0.02; done'\n\
         log = { to = \"file:DIR/quiet.log\" }\n",
    );
    supd.event("service.ready", "quiet");
    let stream = supd.stream("/v1/nodes/quiet/logs?follow=1");
    supd.event("service.exited", "quiet");
    for n in 0..40 {
        line(&stream, |l| l.contains(&format!("\"text\":\"{n}\"")));
    }
    let log = balanced(&supd, "quiet");
    assert_eq!(log["files"][0]["counts"]["dropped"], Value::Null, "{log}");
    assert_eq!(text(&supd.dir.path("quiet.log")).lines().count(), 40);
    supd.post("/v1/nodes/shout/stop", "");
    for n in 1..=30 {
        balanced(&supd, &format!("shout.{n}"));
    }
}

/// Bytes that a process has read so far (proc_pid_io(5)).
fn has_read(pid: i32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).expect("its counters");
    let line = io.lines().find_map(|l| l.strip_prefix("rchar: "));
    line.and_then(|n| n.parse().ok()).expect("a number")
}

/// Not how long it takes, which is the machine's affair, but what is taken in before it.
#[test]
fn fault_57_a_client_is_answered_after_a_small_part_of_a_flood() {
    const SHOUTERS: u64 = 60;
    let mut supd = Supd::start(&format!(
        "[supd]\nlog = {{ children = \"off\" }}\n\
         [service.shout]\ninstances = {SHOUTERS}\nshell = 'exec yes shouting'\n"
    ));
    supd.event("service.ready", "shout.60");
    let pid = supd.pid();
    eventually("everybody shouts", || {
        (has_read(pid) > SHOUTERS << 18).then_some(())
    });
    let answer = |_| {
        let before = has_read(pid);
        assert_eq!(supd.get("/v1/nodes/shout.1").0, 200);
        has_read(pid) - before
    };
    // Who shares a processor with sixty shouters sleeps between its two looks now and then.
    let least = (0..100).map(answer).min().expect("some");
    let all = SHOUTERS << 16;
    assert!(
        least < all / 2,
        "{least} bytes of {all} that wait were read before an answer"
    );
}

#[test]
fn the_client_shows_last_words_and_reads_on_in_files_where_memory_ends() {
    let mut supd = Supd::start(
        "[supd]\nlog = { children = \"off\" }\n\
         [service.web]\nbackoff = [\"10m\"]\n\
         shell = 'seq -f \"line %04.0f\" 1 2000; echo boom >&2; exit 3'\n\
         log = { to = [\"supd\", \"file:DIR/w.log\"], ring = \"4K\", \
                 rotate = { size = \"8K\", keep = 9, compress = true } }\n",
    );
    supd.event("service.exited", "web");
    balanced(&supd, "web");
    let last = supd.dir.path("w.log.2.gz");
    until_so("old files are compressed", || last.exists());
    let (code, words, _) = supctl(&supd, &["logs", "web", "--crash", "-n", "2"]);
    assert_eq!((code, words.as_str()), (0, "line 2000\nboom\n"));
    let (_, all, _) = supctl(&supd, &["logs", "web", "-n", "1500"]);
    let all: Vec<&str> = all.lines().collect();
    assert_eq!((all.len(), all[0]), (1500, "line 0502"));
    assert_eq!(all.last(), Some(&"boom"));
    assert!(all[..1499].is_sorted(), "each line once, in its order");
    let (_, found, _) = supctl(&supd, &["logs", "web", "--grep", "9[0-9]$", "-n", "15"]);
    let found: Vec<&str> = found.lines().collect();
    assert_eq!(
        (found.len(), found[0], found[14]),
        (15, "line 1895", "line 1999")
    );
    let (_, json, _) = supctl(&supd, &["logs", "web", "--json", "-n", "1000"]);
    let first: Value = serde_json::from_str(json.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["stream"], "file");
}
