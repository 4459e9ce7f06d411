// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page of faults, `docs/reference/faults.md`: what can go wrong, what supd does about it, and
//! the tests that show it, found by their names. It is written by
//! `UPDATE=1 cargo test --test faults page`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// A number, what happens, and what must come of it.
type Row = (u32, &'static str, &'static str);

const ROWS: &[Row] = &[
    (
        1,
        "hundreds of children die in one scheduler tick",
        "every end is told once, with its own code and pid",
    ),
    (
        2,
        "supd is started with SIGCHLD ignored or blocked, SIGPIPE ignored",
        "dispositions and mask are taken back before the first program; no status is lost",
    ),
    (
        3,
        "supd is executed over children, dead or alive, that it does not know",
        "they are reaped as strangers when they end, and never signalled or taken for a service",
    ),
    (
        4,
        "a grandchild is left behind and becomes supd's child, as PID 1 and as sub-reaper",
        "it is reaped and counted, the service that left it is named, nothing else changes",
    ),
    (
        5,
        "a stranger is dead before the loop runs, and no SIGCHLD will come for it",
        "it is reaped in the first pass",
    ),
    (
        6,
        "a child ends before anything about it is written down",
        "its end is charged to its own run, once",
    ),
    (
        8,
        "a child is killed while a stuck debugger holds it",
        "it is unkillable and says who traces it, nothing spins, no second one is started; it ends when \
         the debugger lets go",
    ),
    (
        9,
        "the first thread of a service ends, others go on (state Z in /proc)",
        "it runs, and is stopped like any other",
    ),
    (
        10,
        "a child is stopped (SIGSTOP) and then to be stopped for good",
        "it is shown as stopped (T); TERM and CONT let it end in order; a deaf one is killed at its \
         deadline",
    ),
    (
        11,
        "a service in a frozen control group is stopped",
        "its deadline is kept",
    ),
    (
        12,
        "a child is in a system call that does not return (state D)",
        "it is unkillable and says so; nothing waits for it but its own start; it ends when the call \
         returns",
    ),
    (
        13,
        "the kernel gives the pid of a dead child to a stranger",
        "the stranger is not signalled",
    ),
    (
        14,
        "a program cannot be executed: ENOENT, EACCES, ENOEXEC, ETXTBSY, ELOOP, E2BIG, …",
        "`exec_failed` with the step and the error, never \"exit 127\"; a failed start",
    ),
    (
        15,
        "every exit code, every deadly signal, a core",
        "told exactly, with the class of the table",
    ),
    (
        16,
        "the process of a service ends, and a copy of it in the background, or a worker, stays",
        "it is killed and named, and its end awaited before the service is started again",
    ),
    (
        17,
        "a descendant leaves the session and the group, and perhaps cleans its environment",
        "it is found by its mark or its ancestry and gone before the stop counts as done",
    ),
    (
        18,
        "a service multiplies while it is being stopped, every copy in a session of its own",
        "all of them are gone, in bounded time",
    ),
    (
        20,
        "clone fails with EAGAIN",
        "`spawn_failed`, family resource, with back-off; it recovers by itself",
    ),
    (
        21,
        "any system call of a start, a restart or a stop fails once",
        "at the start it is an error that says which; later it costs a try and nothing else",
    ),
    (
        22,
        "supd has no descriptors left",
        "starts fail with their step and are tried again; restarts that need none go on, accept(2) is \
         paused and does not spin",
    ),
    (
        23,
        "supd is stopped for long, or everything is (SIGSTOP, a paused machine)",
        "what was due is due later, in its order; nobody is late because of it",
    ),
    (
        24,
        "supd was started with descriptors open",
        "a child has 0, 1, 2 and what its configuration declares",
    ),
    (
        25,
        "supd was started with odd signals, umask, limits, environment",
        "a service starts clean, and with exactly what its configuration says",
    ),
    (
        26,
        "programs are started with a parent-death signal",
        "the daemon has one thread, and it is the parent of all",
    ),
    (
        27,
        "a lock is held by another thread at the time of a fork",
        "nothing is allocated between clone and exec",
    ),
    (
        28,
        "users that only look like one; no passwd",
        "refused where they stand, or a failed start of that service; never root; numbers work",
    ),
    (
        29,
        "setgroups, setresgid, setresuid, prctl or another step fails",
        "the program is never executed; the step is named",
    ),
    (
        30,
        "datagrams of nonsense on the readiness socket",
        "each costs itself only",
    ),
    (31, "ready and dead at once", "told in this order"),
    (
        32,
        "a service ends as soon as it is started, for ever",
        "the restart limit is met exactly, and supd needs less than 5 % of a processor until then",
    ),
    (
        34,
        "a limit is exceeded below an enabled parent",
        "every level gives up in turn, and the root names the leaf",
    ),
    (
        35,
        "a stop arrives while a restart is pending or under way",
        "the stop wins, at every point",
    ),
    (
        36,
        "three clients start, stop and restart one service in any order",
        "never two processes of it; every order is answered; the last one holds",
    ),
    (
        37,
        "a second child dies while one_for_all stops its siblings",
        "one round, one token, the right order",
    ),
    (
        39,
        "the root gives up",
        "the code of the culprit (n, 128 + signal, 126, 127; never 0) and one line that says why, \
         also in /dev/termination-log",
    ),
    (
        41,
        "a thousand children die together",
        "no more than `start_parallelism` start at a time, and the second time not in step",
    ),
    (
        42,
        "a hook hangs, goes into the background, writes without end, or orders its own service",
        "its whole group is killed at its timeout, what it writes is bounded, nobody waits for it",
    ),
    (
        44,
        "a command in the name of a service or in what it wrote",
        "it is data in the environment and on standard input of a hook, and never executed",
    ),
    (
        48,
        "nobody reads supd's output while a service writes",
        "the service is not blocked; lines are dropped whole, and counted",
    ),
    (
        49,
        "the disk of a log file is full or read-only",
        "the service is not blocked; drops are counted and told, it is tried again with a pause",
    ),
    (
        50,
        "a log file or its directory is renamed, removed or cut",
        "noticed within a second, at USR1 at once, and made anew",
    ),
    (
        51,
        "log files rotate and are compressed while a service writes as fast as it can",
        "bytes read = written + dropped, in order, and no file is larger than asked for",
    ),
    (
        52,
        "lines without end, NUL, bytes that are no UTF-8",
        "every byte is in the file; elsewhere long lines are cut with a mark; memory is bounded",
    ),
    (
        53,
        "escape sequences in what a service writes",
        "a terminal gets them as text",
    ),
    (
        54,
        "in place of a log file: a link, a FIFO, a device, a directory, a second name",
        "refused without waiting for it and told; the service runs",
    ),
    (
        55,
        "supd's own outputs are closed, or their terminal hangs up",
        "it goes on",
    ),
    (
        56,
        "a grandchild keeps the output pipe of a service that is stopped",
        "the stop does not wait for it",
    ),
    (
        57,
        "many services write as fast as they can",
        "one that says little is heard, and clients are answered",
    ),
    (
        58,
        "nonsense on the control socket",
        "it is answered in words, and ends that connection alone",
    ),
    (
        59,
        "a flood of clients that say nothing, or half of something",
        "those beyond the limit are told so; restarts go on; afterwards there is room again. A \
         reader that never reads is told what it missed",
    ),
    (
        60,
        "clients die before their answer, in it, or with a command under way",
        "their seats are free at once, nothing else changes",
    ),
    (
        61,
        "a user without a role, a reader who wants to change something, root of another user name \
         space, uids beyond INT_MAX, a group without a number",
        "refused in words; who tried to change something is written down",
    ),
    (
        62,
        "a second supd over the same socket",
        "the lock decides; the second one goes away and removes nothing",
    ),
    (
        63,
        "the lock, the socket or its directory is a symbolic link, a FIFO, a file, somebody else's, \
         open to everybody, or swapped",
        "refused, and nothing behind it is touched; the next place is tried",
    ),
    (
        64,
        "the file of the socket, of its lock, or both are removed",
        "made again at once, unless another daemon has taken the place; SIGUSR1 looks again, too",
    ),
    (
        65,
        "a daemon that is stopped when a second one starts",
        "it is not taken for dead: the second one goes away",
    ),
    (
        67,
        "the file is absent, a directory, a FIFO, endless, half-written, too deep, no UTF-8",
        "exit 65 with place and reason and nothing started; a running tree is not touched",
    ),
    (
        71,
        "a secret in the configuration of a service with a hook",
        "only the environment of the processes that it is for has it",
    ),
    (
        74,
        "a mistake of supd itself (a panic)",
        "it is recorded and costs what was being done; restarts go on, no client is left waiting",
    ),
    (
        79,
        "a child kills everybody it can",
        "PID 1 lives on, and the tree is started again",
    ),
    (
        80,
        "any signal to supd: during the start, during a stop, twice, from inside its name space",
        "a reload never cancels a stop; those without a meaning do nothing to PID 1",
    ),
    (
        82,
        "no /proc, no /dev, a removed working directory",
        "it starts, and says what it does without",
    ),
    (
        83,
        "a filter answers the newer system calls with EPERM or ENOSYS",
        "slower, and otherwise the same",
    ),
    (
        85,
        "descriptors 0 to 2 are closed at the start; there are no arguments at all",
        "it starts; it says how it is to be used",
    ),
    (
        86,
        "services that are deaf to TERM and fork at it, five levels deep",
        "killed at their deadlines in reverse order; nobody is left",
    ),
    (
        89,
        "clients read the status without a pause",
        "each is answered; a child that dies waits for one answer at most, not for all of them",
    ),
    (
        90,
        "thousands of restarts",
        "memory and descriptors stay as they are",
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder, in order.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Names and files of the tests of each row.
fn tests() -> BTreeMap<u32, Vec<(String, String)>> {
    let mut found: BTreeMap<u32, Vec<_>> = BTreeMap::new();
    for path in sources(&root().join("tests")) {
        let text = fs::read_to_string(&path).expect("a text");
        let file = path.strip_prefix(root()).expect("below the root");
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for pair in lines.windows(2) {
            let Some(name) = pair[1].strip_prefix("fn fault_") else {
                continue;
            };
            assert_eq!(pair[0], "#[test]", "fault_{name} is no test");
            let name = name.split('(').next().expect("a name");
            let number = name.split('_').next().and_then(|n| n.parse().ok());
            let number = number.unwrap_or_else(|| panic!("fault_{name} has no number"));
            let place = (format!("fault_{name}"), file.display().to_string());
            found.entry(number).or_default().push(place);
        }
    }
    found
}

fn page() -> String {
    let mut tests = tests();
    let mut page = String::from(
        "# Faults\n\n\
         What can go wrong around a supervisor, what supd does about it, and the tests that show\n\
         it with real processes (`_engine_`: with the engine alone, in virtual time). Numbers are\n\
         stable; those that are missing have no test yet. This page is written by\n\
         `UPDATE=1 cargo test --test faults page`.\n\n\
         | # | fault | what comes of it | tests |\n|---|---|---|---|\n",
    );
    for (number, fault, outcome) in ROWS {
        let found = tests.remove(number).unwrap_or_default();
        assert!(!found.is_empty(), "row {number} has no test");
        let links = found
            .iter()
            .map(|(name, file)| format!("[`{name}`](../../{file})"));
        let links: Vec<String> = links.collect();
        let _ = writeln!(
            page,
            "| {number} | {fault} | {outcome} | {} |",
            links.join("<br>")
        );
    }
    assert!(tests.is_empty(), "add a row to {} for {tests:?}", file!());
    page
}

#[test]
fn the_page_of_faults_is_what_the_tests_show() {
    let now = page();
    let path = root().join("docs/reference/faults.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &now).expect("written");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    let stale = there.lines().zip(now.lines()).find(|(a, b)| a != b);
    assert!(
        there == now,
        "write it anew; the first difference is {stale:?}"
    );
}
