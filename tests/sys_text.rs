// SPDX-License-Identifier: MIT OR Apache-2.0
//! Users, environments and notify messages: what is read from files and strangers.

mod world;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use std::ffi::{OsStr, OsString};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::rc::Rc;
use supd::spec::{EnvInherit, EnvValue, UserRef};
use supd::sys::block::Block;
use supd::sys::env::{self, EnvError, Problem};
use supd::sys::listen::{Folder, Links};
use supd::sys::logpipe::{self, Chunk};
use supd::sys::notify::{Field, MESSAGE_MAX, NotifySocket, parse};
use supd::sys::users::{Users, UsersError};
use supd::sys::{clock, listen, lock, peer};
use world::{World, end_of, process, script};

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh
+nis:x:
shop:x:1500:1501:Shop,,,:/srv/shop:/usr/sbin/nologin
negative:x:-1:0::/:/bin/sh
reserved:x:4294967295:0::/:/bin/sh
hex:x:0x0:0::/:/bin/sh
plus:x:+0:0::/:/bin/sh
blank:x: 0:0::/:/bin/sh
shop:x:9:9::/second:/bin/sh
0day:x:0:0::/:/bin/sh
";
const GROUP: &str =
    "root:x:0:\nadm:x:4:root,shop\nshop:x:1501:\nsaid-twice:x:4:shop\nbad:x:z:shop\n";

fn users(world: &World) -> Users {
    let passwd = world.file("passwd", PASSWD, 0o644);
    Users::at(passwd, world.file("group", GROUP, 0o644))
}

fn named(name: &str) -> UserRef {
    UserRef::Name(name.into())
}

#[test]
fn a_user_is_found_with_its_groups() {
    let world = World::new("users");
    let who = users(&world).identity(&named("shop")).expect("known");
    assert_eq!((who.uid, who.gid), (1500, 1501), "the first line counts");
    assert_eq!(who.groups, [1501, 4]);
    let account = who.account.expect("a line");
    assert_eq!(account.home.to_str(), Some("/srv/shop"));
    assert_eq!(account.shell.to_str(), Some("/usr/sbin/nologin"));
    let by_number = users(&world).identity(&UserRef::Id(1500)).expect("known");
    assert_eq!(by_number.groups, [1501, 4]);
    assert_eq!(users(&world).gid(&named("adm")).expect("known"), 4);
    assert_eq!(users(&world).gid(&UserRef::Id(77)).expect("a number"), 77);
}

#[test]
fn fault_28_what_only_looks_like_a_user_is_none() {
    let world = World::new("fault-28");
    let users = users(&world);
    for name in [
        "0day", "0x0", " 0", "-1", "0", "", "1500", "a:b", "ro ot", "root\n",
    ] {
        for error in [
            users.identity(&named(name)).map(drop),
            users.gid(&named(name)).map(drop),
        ] {
            let error = error.expect_err("refused");
            assert!(matches!(error, UsersError::BadName(_)), "`{name}`: {error}");
        }
    }
    for name in [
        "nobody-here",
        "negative",
        "reserved",
        "hex",
        "plus",
        "blank",
        "roo",
        "Root",
    ] {
        let error = users.identity(&named(name)).expect_err("refused");
        assert!(
            matches!(error, UsersError::Unknown { .. }),
            "`{name}`: {error}"
        );
        assert_eq!(error.errno(), libc::ENOENT);
    }
    let error = users.identity(&UserRef::Id(u32::MAX)).expect_err("refused");
    assert!(matches!(error, UsersError::Reserved));
    let error = users.gid(&UserRef::Id(u32::MAX)).expect_err("refused");
    assert!(matches!(error, UsersError::Reserved));
}

#[test]
fn fault_28_numbers_work_without_any_file() {
    let world = World::new("no-files");
    let users = Users::at(world.path("none"), world.path("none"));
    let who = users
        .identity(&UserRef::Id(4_000_000_000))
        .expect("a number");
    assert_eq!((who.uid, who.gid), (4_000_000_000, 4_000_000_000));
    assert_eq!((who.groups, who.account), (vec![4_000_000_000], None));
    let error = users.identity(&named("root")).expect_err("no file");
    assert!(matches!(error, UsersError::Unknown { .. }));
    let users = Users::at(world.dir.clone(), world.dir.clone());
    let error = users.identity(&named("root")).expect_err("a directory");
    assert_eq!(error.errno(), libc::EISDIR);
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let found = env::parse(text.as_bytes()).expect("an environment file");
    let plain = |value: OsString| value.into_string().expect("text");
    found.into_iter().map(|(n, v)| (n, plain(v))).collect()
}

#[test]
fn environment_files_are_read_as_sh_would_without_expansion() {
    for (line, value) in [
        ("A=plain", "plain"),
        ("A=", ""),
        ("export A=b", "b"),
        ("  A=indented", "indented"),
        ("A='single $X `y` \\n'", "single $X `y` \\n"),
        (
            "A=\"double \\\" \\\\ \\$X $Y \\n\"",
            "double \" \\ $X $Y \\n",
        ),
        ("A=a'b c'\"d e\"f", "ab cd ef"),
        ("A=a\\ b", "a b"),
        ("A=x#y", "x#y"),
        ("A=x # a comment", "x"),
        ("A=windows\r\n", "windows"),
        ("A='two\nlines'", "two\nlines"),
        ("A=joi\\\nned", "joined"),
        ("A=$HOME", "$HOME"),
        ("A=key=value", "key=value"),
        ("\n# a comment\n\nA=last", "last"),
    ] {
        assert_eq!(pairs(line), [("A".to_owned(), value.to_owned())], "{line}");
    }
    let two = pairs("A=1\nB=2\n");
    assert_eq!(two.len(), 2);
    assert_eq!(pairs("\n\n# nothing\n"), []);
}

#[test]
fn a_bad_line_is_named() {
    for (text, line, problem) in [
        ("A=1\nB", 2, Problem::NoEquals),
        ("A=1\n\n#\n1B=x", 4, Problem::Name),
        ("=x", 1, Problem::Name),
        ("A-B=x", 1, Problem::Name),
        ("A='open\nmore", 1, Problem::Quote),
        ("A=\"open", 1, Problem::Quote),
        ("A=one two", 1, Problem::Blank),
        ("A =x", 1, Problem::Name),
    ] {
        assert_eq!(env::parse(text.as_bytes()), Err((line, problem)), "{text}");
    }
}

#[test]
fn bytes_that_are_no_text_are_kept() {
    let found = env::parse(b"A=\xff\xfe").expect("an environment file");
    assert_eq!(found[0].1.clone().into_vec(), b"\xff\xfe");
}

#[test]
fn the_outer_managers_variables_are_not_handed_on() {
    let own: Vec<(OsString, OsString)> = [
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
        "JOURNAL_STREAM",
        "INVOCATION_ID",
        "SUPD_SOCKET",
        "KEPT",
    ]
    .map(|name| (name.into(), "x".into()))
    .into();
    let own = Rc::new(Block::new(&own));
    let mut process = process(&["true"]);
    let names = |process: &supd::spec::Process| -> Vec<String> {
        let env = env::build(process, &own, None, &[]).expect("an environment");
        env.iter()
            .map(|(n, _)| String::from_utf8_lossy(n).into())
            .collect()
    };
    assert_eq!(names(&process), ["KEPT"]);
    process.env_inherit = EnvInherit::Only(Box::new([]));
    assert_eq!(names(&process), Vec::<String>::new());
    process.env_inherit = EnvInherit::Only(Box::new(["KEPT".into(), "LISTEN_FDS".into()]));
    assert_eq!(names(&process), ["KEPT", "LISTEN_FDS"], "named is wanted");
}

#[test]
fn what_is_no_variable_is_not_handed_on_and_harms_nobody() {
    let own = [("=C", "x"), ("A", "first"), ("A", "second"), ("", "x")];
    let own: Vec<(OsString, OsString)> = own.map(|(n, v)| (n.into(), v.into())).into();
    let own = Rc::new(Block::new(&own));
    let process = process(&["true"]);
    let env = env::build(&process, &own, None, &[]).expect("an environment");
    let all: Vec<_> = env.iter().collect();
    assert_eq!(all, [(b"A".as_slice(), b"first".as_slice())]);
}

#[test]
fn later_sources_replace_earlier_ones() {
    let world = World::new("order");
    let path = world.file("env", "A=file\nB=file\nC=file\n", 0o600);
    let secret = world.file("secret", "hidden\n\n", 0o600);
    let mut process = process(&["true"]);
    process.env_files = [supd::spec::EnvFile {
        path,
        optional: false,
    }]
    .into();
    process.env = Box::new([
        ("B".into(), EnvValue::Plain("set".into())),
        ("C".into(), EnvValue::Plain("set".into())),
        ("S".into(), EnvValue::File(secret)),
    ]);
    let own = [("A".into(), "own".into()), ("D".into(), "own".into())];
    let own = Rc::new(Block::new(&own));
    let built = env::build(&process, &own, None, &[("C", "supd")]).expect("an environment");
    for (name, value) in [("A", "file"), ("B", "set"), ("C", "supd"), ("D", "own")] {
        assert_eq!(built.get(name.as_bytes()), Some(value.as_bytes()), "{name}");
    }
    assert_eq!(
        built.get(b"S"),
        Some(b"hidden\n".as_slice()),
        "one newline less"
    );
    let shown = format!("{built:?}");
    assert!(
        shown.contains("\"S\"") && !shown.contains("hidden"),
        "{shown}"
    );
}

#[test]
fn a_secret_or_a_file_that_would_block_or_never_end_is_refused() {
    let world = World::new("blocking");
    let fifo = world.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    for (path, errno) in [
        (fifo.as_path(), libc::EINVAL),
        ("/dev/zero".as_ref(), libc::EINVAL),
        (world.dir.as_path(), libc::EISDIR),
    ] {
        let error = env::load_file(path, true).expect_err("refused");
        assert!(matches!(error, EnvError::Read { .. }));
        assert_eq!(error.errno(), errno, "{}", path.display());
    }
    let large = std::fs::File::create(world.path("large")).expect("a file");
    large.set_len(2 << 20).expect("its length");
    let error = env::load_file(&world.path("large"), true).expect_err("refused");
    assert_eq!(error.errno(), libc::EFBIG);
}

fn send(socket: &NotifySocket, bytes: &[u8]) -> std::io::Result<usize> {
    let name = socket.address().strip_prefix('@').expect("abstract");
    let address = SocketAddr::from_abstract_name(name).expect("a name");
    UnixDatagram::unbound()?.send_to_addr(bytes, &address)
}

#[test]
fn a_child_says_that_it_is_ready() {
    if !world::is_root() {
        return;
    }
    let world = World::new("notify");
    let socket = NotifySocket::new().expect("a socket");
    let mut process = script(&["notify", "READY=1\\nSTATUS=up and running\\nMAINPID=12"]);
    let address = EnvValue::Plain(socket.address().into());
    process.env = Box::new([("NOTIFY_SOCKET".into(), address)]);
    process.user = Some(UserRef::Id(4242));
    let child = world.spawn(&process).expect("a child");
    end_of(child.pid);
    let message = socket.recv().expect("a message");
    assert_eq!((message.pid, message.uid), (child.pid, 4242));
    let status = Field::Status("up and running".into());
    assert_eq!(message.fields, [Field::Ready, status, Field::MainPid(12)]);
    assert_eq!(socket.recv(), None);
}

#[test]
fn fault_30_a_bad_datagram_costs_itself_only() {
    let _world = World::new("fault-30");
    let socket = NotifySocket::new().expect("a socket");
    let huge = vec![b'A'; MESSAGE_MAX + 1];
    let bad: [&[u8]; 6] = [b"", &huge, b"\0\0", b"READY", b"READY=2\n=\n=1", b"\xff=1"];
    for bytes in bad {
        send(&socket, bytes).expect("sent");
    }
    send(&socket, b"READY=1").expect("sent");
    for bytes in bad {
        let message = socket.recv().expect("it counts as one");
        assert_eq!(message.fields, [], "{:?}", bytes.get(..8));
    }
    assert_eq!(socket.recv().expect("the good one").fields, [Field::Ready]);
    assert_eq!(socket.recv(), None);
}

#[test]
fn descriptors_that_come_with_a_message_are_closed() {
    use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
    use std::io::{IoSlice, Read};
    use std::os::fd::AsRawFd;
    let _world = World::new("barrier");
    let socket = NotifySocket::new().expect("a socket");
    let (mut waiting, passed) = UnixStream::pair().expect("a pair");
    let name = socket.address().strip_prefix('@').expect("abstract");
    let to = UnixAddr::new_abstract(name.as_bytes()).expect("a name");
    let from = UnixDatagram::unbound().expect("a socket");
    let fds = [passed.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    let text = [IoSlice::new(b"BARRIER=1")];
    sendmsg(
        from.as_raw_fd(),
        &text,
        &rights,
        MsgFlags::empty(),
        Some(&to),
    )
    .expect("sent");
    drop(passed);
    assert_eq!(socket.recv().expect("a message").fields, [Field::Barrier]);
    assert_eq!(
        waiting.read(&mut [0]).expect("the end"),
        0,
        "the last copy is closed"
    );
}

#[test]
fn fields_are_read_and_text_is_made_fit_to_be_shown() {
    let text = "STOPPING=1\nRELOADING=1\nSTATUS=a\u{1b}[2Jb\nERRNO=5\nMAINPID=-4\nWATCHDOG=1\n\
                WATCHDOG=trigger\nWATCHDOG_USEC=7\nEXTEND_TIMEOUT_USEC=8\nX_SUPD_CLASS=full\n\
                X_SUPD_RETRY_AFTER_SEC=9\nFDSTORE=1\nNEVER_HEARD=1";
    let wanted = [
        Field::Stopping,
        Field::Reloading,
        Field::Status("a\u{fffd}[2Jb".into()),
        Field::Errno(5),
        Field::Watchdog,
        Field::WatchdogTrigger,
        Field::WatchdogUsec(7),
        Field::ExtendTimeoutUsec(8),
        Field::Class("full".into()),
        Field::RetryAfterSec(9),
    ];
    assert_eq!(parse(text.as_bytes()), wanted);
    assert_eq!(
        parse("READY=1\n".repeat(4000).as_bytes()).len(),
        32,
        "bounded"
    );
}

#[test]
fn notify_addresses_differ_and_cannot_be_guessed() {
    let _world = World::new("names");
    let (one, two) = (NotifySocket::new(), NotifySocket::new());
    let (one, two) = (one.expect("a socket"), two.expect("a socket"));
    assert_ne!(one.address(), two.address());
    assert!(one.address().len() >= 32);
}

fn folder(world: &World) -> Folder {
    Folder::open(&world.dir, Links::Refuse).expect("a directory")
}

#[test]
fn fault_62_one_of_two_holds_the_lock_and_the_socket() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new("lock");
    let folder = folder(&world);
    let name = |text| OsStr::new(text);
    let take = || lock::take(&folder, name("s.lock")).expect("an answer");
    let held = take().expect("free");
    assert!(take().is_none(), "taken");
    let listen = |mode, held: &lock::Lock| folder.listen(name("s"), (mode, None), held);
    let (first, _) = listen(0o660, &held).expect("listening");
    let mode = std::fs::metadata(world.path("s"))
        .expect("there")
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o660);
    drop(first);
    let second = listen(0o600, &held).expect("a stale one is replaced");
    UnixStream::connect(world.path("s")).expect("it listens");
    drop((second, held));
    let held = take().expect("free again");
    let occupied = world.file("file", "mine", 0o600);
    let refused = folder.listen(name("file"), (0o600, None), &held);
    let refused = refused.expect_err("no socket");
    assert_eq!(refused.raw_os_error(), Some(libc::EADDRINUSE));
    assert_eq!(std::fs::read(&occupied).expect("untouched"), b"mine");
    std::fs::remove_file(world.path("s.lock")).expect("removed");
    assert!(!held.is(&folder, name("s.lock")), "it has lost its name");
    assert!(take().is_some(), "and another one can be taken");
}

#[test]
fn fault_63_what_a_link_points_to_is_not_touched() {
    let world = World::new("link");
    let target = world.file("target", "mine", 0o640);
    let link = |name| std::os::unix::fs::symlink(&target, world.path(name)).expect("a link");
    let (folder, lock) = (folder(&world), OsStr::new("l"));
    link("l");
    let refused = lock::take(&folder, lock).expect_err("refused");
    assert_eq!(refused.raw_os_error(), Some(libc::ELOOP));
    std::fs::create_dir(world.path("d")).expect("a directory");
    let refused = lock::take(&folder, OsStr::new("d")).expect_err("a directory");
    assert_eq!(refused.raw_os_error(), Some(libc::EISDIR));
    nix::unistd::mkfifo(&world.path("f"), nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let refused = lock::take(&folder, OsStr::new("f")).expect_err("a FIFO");
    assert_eq!(refused.raw_os_error(), Some(libc::EINVAL));
    let held = lock::take(&folder, OsStr::new("h"))
        .expect("a lock")
        .expect("free");
    link("s");
    let refused = folder.listen(OsStr::new("s"), (0o666, None), &held);
    assert_eq!(
        refused.expect_err("a link").raw_os_error(),
        Some(libc::EADDRINUSE)
    );
    std::os::unix::fs::symlink(&world.dir, world.path("there")).expect("a link");
    assert!(Folder::open(&world.path("there"), Links::Refuse).is_err());
    Folder::open(&world.path("there"), Links::Follow).expect("followed");
    let facts = std::fs::metadata(&target).expect("there");
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&facts) & 0o777, 0o640);
}

#[test]
fn a_directory_that_is_swapped_is_not_the_one_that_was_looked_at() {
    let world = World::new("swap");
    std::fs::create_dir(world.path("d")).expect("a directory");
    let folder = Folder::open(&world.path("d"), Links::Refuse).expect("open");
    std::fs::rename(world.path("d"), world.path("away")).expect("swapped");
    std::fs::create_dir(world.path("d")).expect("another one");
    let held = lock::take(&folder, OsStr::new("l"))
        .expect("a lock")
        .expect("free");
    let made = folder.listen(OsStr::new("s"), (0o600, None), &held);
    let _listening = made.expect("listening");
    assert!(world.path("away/s").exists() && !world.path("d/s").exists());
}

#[test]
fn a_peer_is_who_the_kernel_says() {
    let _world = World::new("peer");
    let (ours, _theirs) = UnixStream::pair().expect("a pair");
    let who = peer::of(&ours).expect("a peer");
    assert_eq!(who.pid, nix::unistd::getpid().as_raw());
    assert_eq!(who.uid, nix::unistd::geteuid().as_raw());
    assert_eq!(who.gid, nix::unistd::getegid().as_raw());
    let groups = nix::unistd::getgroups().expect("our groups");
    let groups: Vec<u32> = groups.iter().map(|gid| gid.as_raw()).collect();
    assert_eq!(who.groups, groups);
}

#[test]
fn an_abstract_name_can_be_listened_to_once() {
    let _world = World::new("abstract");
    let name = format!("supd-test-{}", std::process::id());
    let fd = listen::abstract_name(name.as_bytes()).expect("listening");
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    UnixStream::connect_addr(&address).expect("connected");
    let refused = listen::abstract_name(name.as_bytes()).expect_err("taken");
    assert_eq!(refused.raw_os_error(), Some(libc::EADDRINUSE));
    drop(fd);
}

#[test]
fn the_monotonic_clock_never_goes_back() {
    let mut last = clock::now_ns();
    for _ in 0..10_000 {
        let now = clock::now_ns();
        assert!(now >= last);
        last = now;
    }
    assert!(clock::wall().secs > 1_700_000_000, "some time after 2023");
}

#[test]
fn our_end_of_a_log_pipe_never_waits_and_the_childs_does() {
    let (read, write) = logpipe::pair(Some(1 << 16)).expect("a pipe");
    let mut buffer = [0_u8; 8];
    assert_eq!(read.read(&mut buffer).expect("a read"), Chunk::Empty);
    nix::unistd::write(&write, b"0123456789").expect("written");
    assert_eq!(read.read(&mut buffer).expect("a read"), Chunk::Bytes(8));
    assert_eq!(read.read(&mut buffer).expect("a read"), Chunk::Bytes(2));
    let flags = fcntl(&write, FcntlArg::F_GETFL).expect("flags");
    assert!(!OFlag::from_bits_retain(flags).contains(OFlag::O_NONBLOCK));
    let marked = FdFlag::FD_CLOEXEC.bits();
    assert_eq!(fcntl(&read, FcntlArg::F_GETFD), Ok(marked));
    assert_eq!(fcntl(&write, FcntlArg::F_GETFD), Ok(marked));
    drop(write);
    assert_eq!(read.read(&mut buffer).expect("a read"), Chunk::End);
}
