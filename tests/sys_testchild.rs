// SPDX-License-Identifier: MIT OR Apache-2.0
//! The test child itself: other tests rely on its doing what it is told.

mod world;

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use supd::spec::{EnvValue, ExitStatus, Scope, Signal};
use supd::sys::logpipe::{self, LogReader};
use supd::sys::notify::{Field, NotifySocket};
use supd::sys::procs::Procs;
use supd::sys::spawn::Stdio;
use world::{World, code, end_of, read_all, script, text};

/// A test child whose output we read.
fn talking(world: &World, words: &[&str]) -> (i32, LogReader) {
    let (read, write) = logpipe::pair(None).expect("a pipe");
    let stdio = Stdio {
        stdout: Some(write.as_fd()),
        stderr: Some(write.as_fd()),
        ..Stdio::default()
    };
    let child = world.spawn_with(&script(words), stdio).expect("a child");
    (child.pid, read)
}

#[test]
fn words_are_obeyed_in_their_order() {
    let world = World::new("words");
    let (pid, read) = talking(&world, &["print", "a b", "print-err", "c", "exit", "9"]);
    assert_eq!(read_all(&read), "a b\nc\n");
    assert_eq!(end_of(pid).status, code(9));
    assert_eq!(world.run(&script(&[])).status, code(0));
}

#[test]
fn a_mistake_in_the_script_is_64_and_is_named() {
    let world = World::new("mistake");
    for words in [
        &["dance"][..],
        &["exit", "many"],
        &["signal", "NONE"],
        &["fork", "exit"],
    ] {
        let (pid, read) = talking(&world, words);
        let said = read_all(&read);
        assert!(said.contains(words.last().expect("a word")), "{said}");
        assert_eq!(end_of(pid).status, code(64));
    }
}

#[test]
fn it_fails_as_often_as_the_counter_says() {
    let world = World::new("counter");
    let counter = world.file("counter", "2", 0o644);
    let words = ["counter-file", text(&counter), "exit", "0"];
    for status in [code(1), code(1), code(0), code(0)] {
        assert_eq!(world.run(&script(&words)).status, status);
    }
    assert_eq!(std::fs::read_to_string(counter).expect("left"), "0");
}

#[test]
fn it_obeys_a_fifo_and_a_socket() {
    let world = World::new("obey");
    let fifo = world.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    let (pid, read) = talking(&world, &["obey", text(&fifo)]);
    let mut line = std::fs::File::options()
        .write(true)
        .open(&fifo)
        .expect("it reads");
    line.write_all(b"print one\nprint two\nexit 3\n")
        .expect("written");
    assert_eq!(read_all(&read), "one\ntwo\n");
    assert_eq!(end_of(pid).status, code(3));
    let path = world.path("socket");
    let listener = UnixListener::bind(&path).expect("listening");
    let (pid, _read) = talking(&world, &["obey", text(&path), "exit", "5"]);
    let (mut stream, _) = listener.accept().expect("it connects");
    stream.write_all(b"exit 4\n").expect("written");
    assert_eq!(end_of(pid).status, code(4));
    let (pid, _read) = talking(&world, &["obey", text(&path), "exit", "5"]);
    drop(listener.accept().expect("it connects"));
    assert_eq!(end_of(pid).status, code(5), "the end of the words");
}

#[test]
fn signals_are_ignored_or_answered_with_a_code() {
    let world = World::new("answers");
    let listener = UnixListener::bind(world.path("s")).expect("listening");
    let path = world.path("s");
    let words = [
        "ignore",
        "TERM",
        "on",
        "USR1",
        "exit",
        "8",
        "obey",
        text(&path),
    ];
    let child = world.spawn(&script(&words)).expect("a child");
    // It connects when it has done what stands before.
    let _stream = listener.accept().expect("it connects");
    let mut procs = Procs::new();
    procs.insert(child.pid, 1, child.pidfd);
    procs.signal(1, Signal::TERM, Scope::Leader).expect("sent");
    procs.signal(1, Signal::USR1, Scope::Leader).expect("sent");
    assert_eq!(end_of(child.pid).status, code(8));
}

#[test]
fn it_is_ready_after_a_while() {
    let world = World::new("ready");
    let socket = NotifySocket::new().expect("a socket");
    let mut process = script(&["ready-after", "20", "exit", "0"]);
    let address = EnvValue::Plain(socket.address().into());
    process.env = Box::new([("NOTIFY_SOCKET".into(), address)]);
    let begin = supd::sys::clock::now_ns();
    let child = world.spawn(&process).expect("a child");
    assert_eq!(end_of(child.pid).status, code(0));
    assert!(supd::sys::clock::now_ns() - begin >= 20_000_000);
    assert_eq!(socket.recv().expect("a message").fields, [Field::Ready]);
}

#[test]
fn it_writes_what_it_is_told() {
    let world = World::new("write");
    let (pid, read) = talking(&world, &["write", "2"]);
    assert_eq!(read_all(&read).len(), 2 << 20);
    end_of(pid);
    let file = world.path("file");
    let words = ["append", text(&file), "a", "append", text(&file), "b"];
    assert_eq!(world.run(&script(&words)).status, code(0));
    assert_eq!(std::fs::read_to_string(&file).expect("there"), "a\nb\n");
    let touched = world.path("touched");
    world.run(&script(&["touch", text(&touched)]));
    assert!(touched.exists());
}

#[test]
fn descendants_do_what_is_in_the_brackets() {
    let world = World::new("brackets");
    let words = [
        "fork",
        "[",
        "print",
        "child",
        "fork",
        "[",
        "print",
        "grandchild",
        "]",
        "]",
        "double-fork",
        "[",
        "setsid",
        "print",
        "orphan",
        "]",
        "exit",
        "2",
    ];
    let (pid, read) = talking(&world, &words);
    let said = read_all(&read);
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["child", "grandchild", "orphan"]);
    assert_eq!(end_of(pid).status, code(2));
}

#[test]
fn it_dies_without_a_core() {
    let world = World::new("core");
    let (signal, core) = (Signal::ABRT, false);
    let status = world.run(&script(&["signal", "ABRT"])).status;
    assert_eq!(status, ExitStatus::Signal { signal, core });
}
