// SPDX-License-Identifier: MIT OR Apache-2.0
//! A child for tests: it does what its arguments say, one word after the other.
//!
//! ```text
//! exit N | signal SIG | stop               end, die by a signal (no core), stop itself
//! ignore SIG | on SIG exit N               what a signal does; `on` acts in sleep and obey
//! sleep MS | sleep forever                 wait
//! ready | ready-after MS | notify TEXT     over NOTIFY_SOCKET
//! ready-fd N                               a newline on descriptor N
//! fork [ … ] | double-fork [ … ] | setsid  descendants do what is in the brackets, then exit 0
//! in-thread [ … ]                          a second thread does it, the first one ends
//! await-dead | exec WORD …                 a dead child, left unreaped; become another program
//! exec-bare PATH                           the same without any argument, not even a name
//! serve                                    HTTP over the socket handed over, for ever
//! print TEXT | print-err TEXT | write MB   output
//! eat MB | touch PATH | append PATH TEXT   memory, files
//! await PATH | lock PATH                   until it exists; flock(2) until the end, held: exit 73
//! counter-file PATH                        a number above 0 in it: count it down, exit 1
//! report PATH                              a JSON object about itself; `-` is standard output
//! obey PATH                                read such words line by line from a FIFO or a socket
//! ```
//!
//! A mistake in the script is exit code 64, an error of the system 71. The Rust runtime ignores
//! SIGPIPE and catches SIGSEGV and SIGBUS before `main`: a report shows these three as it left
//! them, whatever they were before.

#[path = "supd-testchild/serve.rs"]
mod serve;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getgroups, getpgrp, getpid, getppid, getresgid, getresuid, getsid};
use serde_json::{Map, Value, json};
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::process::ExitCode;
use supd::spec::Signal;
use supd::sys::own::{self, Forked};
use supd::sys::signals::Signals;

/// Why a script ends early.
enum End {
    Exit(u8),
    Mistake(String),
    System(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<nix::Error> for End {
    fn from(error: nix::Error) -> Self {
        Self::System(error.into())
    }
}

type Done = Result<(), End>;

/// Signals that end the program with a code.
#[derive(Default)]
struct Reactions(Vec<(Signal, u8, Signals)>);

fn main() -> ExitCode {
    play(&std::env::args().skip(1).collect::<Vec<_>>())
}

/// Does what the words say; the replay of recorded cases has this program in it.
pub(crate) fn play(words: &[String]) -> ExitCode {
    let mut reactions = Reactions::default();
    ExitCode::from(code_of(run(words, &mut reactions)))
}

fn code_of(done: Done) -> u8 {
    let talk = |text: String| drop(io::stderr().write_all(text.as_bytes()));
    match done {
        Ok(()) => 0,
        Err(End::Exit(code)) => code,
        Err(End::Mistake(word)) => {
            talk(format!("supd-testchild: cannot understand `{word}`\n"));
            64
        }
        Err(End::System(error)) => {
            talk(format!("supd-testchild: {error}\n"));
            71
        }
    }
}

/// A script being read.
struct Script<'a>(std::slice::Iter<'a, String>);

impl<'a> Script<'a> {
    fn word(&mut self) -> Result<&'a str, End> {
        let next = self.0.next().map(String::as_str);
        next.ok_or_else(|| End::Mistake("the end of the script".to_owned()))
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T, End> {
        let word = self.word()?;
        word.parse().map_err(|_| End::Mistake(word.to_owned()))
    }

    fn signal(&mut self) -> Result<Signal, End> {
        let word = self.word()?;
        let by_number = word.parse().ok().and_then(Signal::from_number);
        let signal = by_number.or_else(|| word.parse().ok());
        signal.ok_or_else(|| End::Mistake(word.to_owned()))
    }

    /// The words between brackets, which may contain brackets.
    fn bracketed(&mut self) -> Result<Vec<String>, End> {
        let open = self.word()?;
        if open != "[" {
            return Err(End::Mistake(open.to_owned()));
        }
        let mut words = Vec::new();
        let mut depth = 1;
        loop {
            let word = self.word()?;
            match word {
                "[" => depth += 1,
                "]" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(words);
            }
            words.push(word.to_owned());
        }
    }
}

fn run(words: &[String], reactions: &mut Reactions) -> Done {
    let mut script = Script(words.iter());
    while !script.0.as_slice().is_empty() {
        step(&mut script, reactions)?;
    }
    Ok(())
}

fn step(script: &mut Script<'_>, reactions: &mut Reactions) -> Done {
    let verb = script.word()?;
    match verb {
        "exit" => Err(End::Exit(script.number()?)),
        "signal" => {
            setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
            Ok(own::die_by(script.signal()?)?)
        }
        "stop" => Ok(own::die_by(Signal::STOP)?),
        "ignore" => Ok(own::ignore(script.signal()?)?),
        "on" => react(script, reactions),
        "sleep" => match script.word()? {
            "forever" => wait(None, reactions),
            word => match word.parse() {
                Ok(ms) => wait(Some(ms), reactions),
                Err(_) => Err(End::Mistake(word.to_owned())),
            },
        },
        "obey" => obey(script.word()?, reactions),
        "fork" | "double-fork" => descend(verb, &script.bracketed()?, reactions),
        // A dead one stays as it is (WNOWAIT), for whoever we become.
        "await-dead" => Ok(waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).map(drop)?),
        "exec" => become_another(script),
        "exec-bare" => {
            let path = CString::new(script.word()?).map_err(|e| End::Mistake(e.to_string()))?;
            match nix::unistd::execv::<CString>(&path, &[])? {}
        }
        "in-thread" => go_on_in_a_thread(script.bracketed()?),
        "setsid" => Ok(nix::unistd::setsid().map(drop)?),
        _ => speak(verb, script, reactions),
    }
}

fn speak(verb: &str, script: &mut Script<'_>, reactions: &Reactions) -> Done {
    match verb {
        "ready" => notify("READY=1"),
        "ready-after" => {
            wait(Some(script.number()?), reactions)?;
            notify("READY=1")
        }
        "notify" => notify(&script.word()?.replace("\\n", "\n")),
        "ready-fd" => Ok(own::write_to(script.number()?, b"\n").map(drop)?),
        "print" => Ok(writeln!(io::stdout(), "{}", script.word()?)?),
        "print-err" => Ok(writeln!(io::stderr(), "{}", script.word()?)?),
        "write" => write_out(script.number()?),
        "eat" => {
            eat(script.number()?);
            Ok(())
        }
        "touch" => Ok(std::fs::write(script.word()?, "")?),
        "append" => append(script.word()?, script.word()?),
        "await" => await_file(script.word()?, reactions),
        "lock" => lock(script.word()?),
        "counter-file" => count_down(script.word()?),
        "serve" => Ok(serve::serve()?),
        "report" => report(script.word()?),
        _ => Err(End::Mistake(verb.to_owned())),
    }
}

fn react(script: &mut Script<'_>, reactions: &mut Reactions) -> Done {
    let signal = script.signal()?;
    let exit = script.word()?;
    if exit != "exit" {
        return Err(End::Mistake(exit.to_owned()));
    }
    let code = script.number()?;
    let signals = Signals::install(&[signal])?;
    reactions.0.push((signal, code, signals));
    Ok(())
}

/// Waits until a reaction is due or the time is over.
fn wait(ms: Option<u64>, reactions: &Reactions) -> Done {
    let deadline = ms.map(|ms| supd::sys::clock::now_ns().saturating_add(ms * 1_000_000));
    loop {
        let timeout = match deadline {
            None => PollTimeout::NONE,
            Some(at) => {
                let left = at.saturating_sub(supd::sys::clock::now_ns());
                if left == 0 {
                    return Ok(());
                }
                let ms = i32::try_from(left.div_ceil(1_000_000)).unwrap_or(i32::MAX);
                PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX)
            }
        };
        await_any(None, timeout, reactions)?;
    }
}

/// Waits for a descriptor or a reaction; the latter ends the program. Whether the former is ready:
/// a signal ends the wait before anything is known.
fn await_any(
    fd: Option<BorrowedFd<'_>>,
    timeout: PollTimeout,
    reactions: &Reactions,
) -> Result<bool, End> {
    let own = reactions.0.iter().map(|(_, _, signals)| signals.as_fd());
    let mut fds: Vec<PollFd<'_>> = own
        .chain(fd)
        .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
        .collect();
    match poll(&mut fds, timeout) {
        Ok(_) => {}
        Err(nix::Error::EINTR) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    for (polled, (_, code, _)) in fds.iter().zip(&reactions.0) {
        if polled.any() == Some(true) {
            return Err(End::Exit(*code));
        }
    }
    let ours = fds.get(reactions.0.len());
    Ok(ours.is_some_and(|polled| polled.any() == Some(true)))
}

/// A FIFO is opened for writing as well, so that it never ends; a socket is connected to.
fn obey(path: &str, reactions: &mut Reactions) -> Done {
    let mut from: Box<dyn Source> = match UnixStream::connect(path) {
        Ok(stream) => Box::new(stream),
        Err(_) => Box::new(OpenOptions::new().read(true).write(true).open(path)?),
    };
    let mut line = Vec::new();
    loop {
        if !await_any(Some(from.as_fd()), PollTimeout::NONE, reactions)? {
            continue;
        }
        let mut byte = [0_u8];
        if from.read(&mut byte)? == 0 {
            return Ok(());
        }
        if byte != [b'\n'] {
            line.extend(byte);
            continue;
        }
        let text = String::from_utf8_lossy(&line).into_owned();
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        line.clear();
        run(&words, reactions)?;
    }
}

trait Source: Read + AsFd {}
impl<T: Read + AsFd> Source for T {}

/// Everything that is left of the script is its command line.
fn become_another(script: &mut Script<'_>) -> Done {
    let words = script.0.by_ref().map(|word| CString::new(word.as_str()));
    let words: Result<Vec<CString>, _> = words.collect();
    let words = words.map_err(|e| End::Mistake(e.to_string()))?;
    let Some(program) = words.first() else {
        return Err(End::Mistake("the end of the script".to_owned()));
    };
    match nix::unistd::execvp(program, &words)? {}
}

/// For /proc the process is a zombie then.
#[expect(
    clippy::disallowed_methods,
    reason = "a program of many threads is played"
)]
fn go_on_in_a_thread(words: Vec<String>) -> Done {
    std::thread::spawn(move || {
        own::exit_at_once(code_of(run(&words, &mut Reactions::default())));
    });
    own::end_thread()
}

/// A descendant has its parent's ignored signals, but none of its reactions.
fn descend(verb: &str, words: &[String], reactions: &mut Reactions) -> Done {
    match own::fork_copy()? {
        Forked::Parent(pid) if verb == "double-fork" => {
            nix::sys::wait::waitpid(Pid::from_raw(pid), None)?;
            return Ok(());
        }
        Forked::Parent(_) => return Ok(()),
        Forked::Child => reactions.0.clear(),
    }
    if verb == "double-fork" && matches!(own::fork_copy()?, Forked::Parent(_)) {
        own::exit_at_once(0);
    }
    own::exit_at_once(code_of(run(words, reactions)))
}

fn notify(text: &str) -> Done {
    let missing = || End::Mistake("NOTIFY_SOCKET is not set".to_owned());
    let address = std::env::var("NOTIFY_SOCKET").map_err(|_| missing())?;
    let address = match address.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&address)?,
    };
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address)?;
    Ok(())
}

fn write_out(megabytes: usize) -> Done {
    let block = [b'x'; 1 << 14];
    let mut out = io::stdout().lock();
    for _ in 0..megabytes * 64 {
        out.write_all(&block)?;
    }
    Ok(out.flush()?)
}

/// Touches every page, and keeps it until the end.
fn eat(megabytes: usize) {
    let food = vec![1_u8; megabytes << 20];
    std::hint::black_box(Box::leak(food.into_boxed_slice()));
}

fn append(path: &str, text: &str) -> Done {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    Ok(file.write_all(format!("{text}\n").as_bytes())?)
}

fn await_file(path: &str, reactions: &Reactions) -> Done {
    while !std::path::Path::new(path).exists() {
        wait(Some(2), reactions)?;
    }
    Ok(())
}

/// Whoever comes from us has the lock as well.
fn lock(path: &str) -> Done {
    let kind = nix::fcntl::FlockArg::LockExclusiveNonblock;
    let Ok(lock) = nix::fcntl::Flock::lock(File::create(path)?, kind) else {
        return Err(End::Exit(73));
    };
    Box::leak(Box::new(lock));
    Ok(())
}

fn count_down(path: &str) -> Done {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read?,
    };
    let Ok(left) = text.trim().parse::<u32>() else {
        return Err(End::Mistake(text));
    };
    let Some(fewer) = left.checked_sub(1) else {
        return Ok(());
    };
    std::fs::write(path, fewer.to_string())?;
    Err(End::Exit(1))
}

fn report(path: &str) -> Done {
    let uids = getresuid()?;
    let gids = getresgid()?;
    let groups: Vec<u32> = getgroups()?.iter().map(|gid| gid.as_raw()).collect();
    let mask = umask(Mode::empty());
    umask(mask);
    let env: Map<String, Value> = std::env::vars_os()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into(),
                json!(value.to_string_lossy()),
            )
        })
        .collect();
    let score = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    let object = json!({
        "args": std::env::args().collect::<Vec<_>>(),
        "pid": getpid().as_raw(),
        "ppid": getppid().as_raw(),
        "pgid": getpgrp().as_raw(),
        "sid": getsid(None)?.as_raw(),
        "uids": [uids.real.as_raw(), uids.effective.as_raw(), uids.saved.as_raw()],
        "gids": [gids.real.as_raw(), gids.effective.as_raw(), gids.saved.as_raw()],
        "groups": groups,
        "cwd": std::env::current_dir().ok(),
        "umask": mask.bits(),
        "nice": nice(),
        "oom_score_adj": score.trim().parse::<i32>().ok(),
        "rlimits": limits(),
        "descriptors": descriptors(),
        "status": status(),
        "pdeathsig": nix::sys::prctl::get_pdeathsig()?.map(|signal| signal as i32),
        "env": env,
    });
    let text = format!("{object}\n");
    if path == "-" {
        return Ok(io::stdout().write_all(text.as_bytes())?);
    }
    // All of it or nothing, for who waits for the file.
    let draft = format!("{path}.draft");
    File::create(&draft)?.write_all(text.as_bytes())?;
    Ok(std::fs::rename(draft, path)?)
}

/// The 19th field of proc_pid_stat(5), counted from the third, which follows the name.
fn nice() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, tail) = text.rsplit_once(')')?;
    tail.split_whitespace().nth(16)?.parse().ok()
}

fn limits() -> Value {
    let mut found = Map::new();
    for (name, resource) in [
        ("as", Resource::RLIMIT_AS),
        ("core", Resource::RLIMIT_CORE),
        ("cpu", Resource::RLIMIT_CPU),
        ("fsize", Resource::RLIMIT_FSIZE),
        ("memlock", Resource::RLIMIT_MEMLOCK),
        ("nofile", Resource::RLIMIT_NOFILE),
        ("nproc", Resource::RLIMIT_NPROC),
        ("stack", Resource::RLIMIT_STACK),
    ] {
        if let Ok((soft, hard)) = getrlimit(resource) {
            found.insert(name.to_owned(), json!([soft, hard]));
        }
    }
    Value::Object(found)
}

/// Open descriptors and what they are, without the one that looks.
fn descriptors() -> Value {
    let own = format!("/proc/{}/fd", getpid());
    let mut found = Map::new();
    for entry in std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten()
    {
        let target = std::fs::read_link(entry.path()).unwrap_or_default();
        let target = target.to_string_lossy();
        if target != own {
            found.insert(entry.file_name().to_string_lossy().into(), json!(target));
        }
    }
    Value::Object(found)
}

/// The lines of /proc/self/status that tests ask about.
fn status() -> Value {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let wanted = "SigBlk SigIgn SigCgt NoNewPrivs CapEff CapBnd CapAmb Cpus_allowed_list Threads";
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let kept = lines.filter(|(name, _)| wanted.split(' ').any(|w| w == *name));
    Value::Object(
        kept.map(|(name, value)| (name.to_owned(), json!(value.trim())))
            .collect(),
    )
}
