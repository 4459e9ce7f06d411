// SPDX-License-Identifier: MIT OR Apache-2.0
//! From nothing to the running loop, and the exit code at its end.
//!
//! The order matters: the process is taken over and signals are listened to before anything else,
//! so that a TERM during the start is not lost; the configuration is read before anything is
//! touched; the lock decides before anything is started. What cannot be had is said and lived
//! without; only a bad configuration, a held lock and a mistake of our own end the start.

use super::control::Message;
use super::desk::Desk;
use super::door::ControlDoor;
use super::ears::Ears;
use super::files::{Files, Queue};
use super::journal::Journal;
use super::logs::Logs;
use super::outlet::Outlet;
use super::press::Press;
use super::pulse::now;
use super::reload::{Config, Origin, Refused, Texts, read};
use super::run::{Daemon, Turn};
use super::signals::{Orders, listened};
use super::socket::{Listening, NoSocket, open};
use super::sockets::Sockets;
use super::token::Token;
use super::upward::Upward;
use super::world::{Parts, World};
use super::{end, note, panics, stamp, trace};
use crate::config::{Charset, Color, Disk, Style};
use crate::spec::{LogFormat, Settings};
use crate::sys::ends::Ends;
use crate::sys::epoll::{Interest, Poller};
use crate::sys::init::{self, Degraded, Inherited};
use crate::sys::signals::Signals;
use crate::sys::spawn::Spawner;
use crate::tree::Tree;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::{self, Receiver};

/// Exit code: the configuration is bad (sysexits(3), `EX_DATAERR`).
pub const BAD_CONFIG: u8 = 65;
/// Exit code: a mistake of our own or of our surroundings (`EX_SOFTWARE`).
pub const INTERNAL: u8 = 70;
/// Exit code: another supd holds the lock (`EX_TEMPFAIL`).
pub const HELD: u8 = 75;

/// Questions that wait for the loop; a client beyond them waits in its own task.
const INBOX: usize = 128;

/// What the daemon is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The configuration's main file.
    pub config: std::path::PathBuf,
    /// `--socket`.
    pub socket: Option<OsString>,
    /// `--var`.
    pub vars: Vec<(String, String)>,
}

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Config(String),
    #[error(transparent)]
    Socket(#[from] NoSocket),
    #[error("cannot take the process over: {0}")]
    Init(#[from] init::InitError),
    #[error("cannot {doing}: {source}")]
    System {
        doing: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("cannot spawn anything here ({}): {}", .0.stage.as_str(), super::words::errno(.0.errno))]
    Spawn(crate::spec::SpawnFailure),
}

/// Runs the daemon until its tree is gone; the exit code.
pub fn run(options: Options) -> u8 {
    panics::install();
    match prepare(options) {
        Ok(ready) => ready.run(),
        Err(Failure::Config(pictures)) => {
            say(&pictures);
            BAD_CONFIG
        }
        Err(failure @ Failure::Socket(_)) => {
            say(&format!(
                "supd: {failure}\n\nhint: use another one with `--socket PATH`, or: supctl status\n"
            ));
            HELD
        }
        Err(failure) => {
            say(&format!("supd: {failure}\n"));
            INTERNAL
        }
    }
}

/// Reads and checks a configuration and says what is wrong with it.
pub fn check(options: &Options) -> Result<crate::config::Loaded, u8> {
    match read(&origin(options), &Disk, style()) {
        Ok(read) => {
            say(&read.warnings);
            Ok(read.loaded)
        }
        Err(Refused(pictures)) => {
            say(&pictures);
            Err(BAD_CONFIG)
        }
    }
}

/// Before and after the loop there is nobody whom a slow standard error could hold up.
pub(super) fn say(text: &str) {
    let _closed = io::stderr().write_all(text.as_bytes());
}

fn origin(options: &Options) -> Origin {
    Origin {
        path: options.config.clone(),
        vars: options.vars.clone(),
    }
}

fn style() -> Style {
    let terminal = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    Style {
        color: if terminal { Color::Ansi } else { Color::Never },
        charset: Charset::Unicode,
    }
}

/// How records are written: what the file says, else text for a terminal.
pub(super) fn format_of(settings: &Settings) -> LogFormat {
    settings.log_format.unwrap_or_else(|| {
        if io::stderr().is_terminal() {
            LogFormat::Text
        } else {
            LogFormat::Json
        }
    })
}

/// Everything that is needed, before the first program.
struct Prepared {
    inherited: Inherited,
    sockets: Sockets,
    signals: Signals,
    ends: Option<Ends>,
    spawner: Spawner,
    poller: Poller,
    ears: Ears,
    config: Config,
    socket: Result<Listening, NoSocket>,
    asked: Option<OsString>,
}

fn prepare(options: Options) -> Result<Prepared, Failure> {
    let system = |doing| move |source| Failure::System { doing, source };
    let mut inherited = init::take_over()?;
    let given = crate::sys::bound::handed_over(&inherited.env);
    // What an outer supd has told us is not for our services: its controls are not theirs.
    inherited
        .env
        .retain(|(name, _)| name != "SUPD_SOCKET" && name != "SUPD_PID");
    let ends = Ends::watch().ok();
    let mut listened = listened();
    if ends.is_none() {
        // A filter may forbid signalfd(2); a handler does, for more.
        listened.push(crate::spec::Signal::CHLD);
    }
    let signals = Signals::install(&listened).map_err(system("listen to signals"))?;
    let origin = origin(&options);
    let read = match read(&origin, &Texts, style()) {
        Ok(read) => read,
        Err(Refused(pictures)) => return Err(Failure::Config(pictures)),
    };
    say(&read.warnings);
    let config = Config::new(origin, read.loaded);
    let socket = match open(options.socket.clone(), &config.tree().settings.socket) {
        Err(held @ NoSocket::Held { .. }) => return Err(held.into()),
        other => other,
    };
    // A pid of ours is signalled only while it is unreaped, and reaped on this thread only.
    let spawner = Spawner::new(&inherited).map_err(Failure::Spawn)?;
    let spawner = spawner.without_pidfds();
    let poller = Poller::new().map_err(system("wait for descriptors"))?;
    poller
        .add(&signals, Token::Signals.encode(), Interest::Read)
        .map_err(system("wait for signals"))?;
    if let Some(ends) = &ends {
        poller
            .add(ends, Token::Signals.encode(), Interest::Read)
            .map_err(system("wait for the ends of children"))?;
    }
    let ears = Ears::new(Poller::new().map_err(system("wait for descriptors"))?);
    poller
        .add(&ears, Token::Logs.encode(), Interest::Read)
        .map_err(system("wait for output of services"))?;
    Ok(Prepared {
        inherited,
        sockets: Sockets::new(given),
        signals,
        ends,
        spawner,
        poller,
        ears,
        config,
        socket,
        asked: options.socket,
    })
}

impl Prepared {
    fn run(self) -> u8 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build();
        match runtime {
            Ok(runtime) => {
                let lived = catch_unwind(AssertUnwindSafe(|| runtime.block_on(self.live())));
                lived.unwrap_or_else(|_| {
                    say(&format!("supd: internal error: {}\n", panics::last()));
                    INTERNAL
                })
            }
            Err(e) => {
                say(&format!("supd: cannot start the loop: {e}\n"));
                INTERNAL
            }
        }
    }

    async fn live(self) -> u8 {
        let poller = Rc::new(self.poller);
        let said =
            |e: &io::Error| say(&format!("supd: cannot watch the loop's descriptors: {e}\n"));
        let Ok(ready) = watch(&poller).inspect_err(said) else {
            return INTERNAL;
        };
        let (to_loop, inbox) = mpsc::channel(INBOX);
        let mut degraded = remarks(&self.inherited, self.socket.as_ref());
        let address = self.socket.as_ref().ok().map(|s| s.address.clone());
        let settings = self.config.tree().settings.clone();
        let mut press = press_for(&settings);
        let tree = Tree::new(&self.config.tree(), RandomState::new().hash_one(0));
        press.learn_names(&tree);
        let mut door = ControlDoor::new(self.asked, to_loop.clone(), press.journal.seq());
        let served = self.socket.ok().map(|socket| door.serve(socket, &poller));
        if let Some(Err(e)) = served {
            degraded.push(format!("no control socket, supctl cannot be used: {e}"));
        }
        if door.served.is_none() {
            door.look_later(now());
        }
        let mut logs = Logs::new(self.ears, ways_out(&to_loop), &settings);
        logs.allow(self.inherited.descriptors());
        logs.share_out(press.names.all().count());
        let manager = crate::sys::upward::Manager::of(&self.inherited.env);
        let world = World::new(Parts {
            poller: Rc::clone(&poller),
            spawner: self.spawner,
            inherited: self.inherited,
            logs,
            patterns: self.config.patterns(),
            answers: to_loop,
            socket: address,
            sockets: self.sockets,
            boot: press.journal.boot().to_owned(),
        });
        let mut daemon = Daemon {
            tree,
            world,
            press,
            desk: Desk::new(self.config),
            door,
            orders: Orders::at_start(),
            signals: self.signals,
            ends: self.ends,
            poller,
            effects: VecDeque::new(),
            replies: Vec::new(),
            upward: Upward::to(manager, now()),
            halt: None,
            refusals: super::refusals::Refusals::default(),
            turn: Turn::default(),
            born: (now(), stamp::wall_us()),
            #[cfg(feature = "test-hooks")]
            hooks: super::hooks::Hooks::at_start(),
        };
        daemon.keep_on_disk();
        for remark in degraded {
            daemon.note_at_start(note::SURROUNDINGS, remark);
        }
        Box::pin(daemon.live(inbox, ready)).await
    }
}

/// What publishes records, with this boot's journal.
fn press_for(settings: &Settings) -> Press {
    let lines = trace::Lines::default();
    trace::install(&lines);
    let journal = Journal::new(random(), settings.events_kept, lines.clone());
    let mut press = Press::new(journal, lines);
    press.set(settings, format_of(settings));
    press
}

/// Our own outputs and log files.
fn ways_out(news: &mpsc::Sender<Message>) -> ([Outlet; 2], Files) {
    let (out, err) = (io::stdout(), io::stderr());
    let queue = Rc::new(Queue::new(news.clone()));
    let outlets = [out.as_fd(), err.as_fd()].map(|fd| Outlet::over(fd, &queue));
    (outlets, Files::new(queue))
}

#[expect(
    deprecated,
    reason = "its successor is unsafe, and unsafe code stands in sys, which knows no tokio; what \
              it asks for holds: the Rc keeps the descriptor open as long as it is watched"
)]
fn watch(poller: &Rc<Poller>) -> io::Result<AsyncFd<Rc<Poller>>> {
    AsyncFd::with_interest(Rc::clone(poller), tokio::io::Interest::READABLE)
}

impl Daemon {
    async fn live(mut self, inbox: Receiver<Message>, ready: AsyncFd<Rc<Poller>>) -> u8 {
        let version = env!("CARGO_PKG_VERSION");
        let hash = self.desk.config.hash();
        let pid = std::process::id();
        let detail = format!("supd {version} started, pid {pid}, configuration {hash}");
        self.note_at_start(crate::wire::kind::DAEMON_STARTED, detail);
        self.follow_scrapers();
        self.run(inbox, &ready).await;
        end::end(self, &ready).await
    }

    fn note_at_start(&mut self, kind: &'static str, detail: String) {
        self.begin_turn();
        self.note(kind, detail);
    }
}

fn random() -> String {
    format!("{:08x}", RandomState::new().hash_one(0) >> 32)
}

/// One line for each thing that is not as it should be, and what follows.
fn remarks(inherited: &Inherited, socket: Result<&Listening, &NoSocket>) -> Vec<String> {
    let mut remarks: Vec<String> = inherited
        .degraded
        .iter()
        .map(|d| match d {
            Degraded::DevNull => "there is no /dev/null; a pipe stands for it".to_owned(),
            Degraded::Subreaper(e) => format!(
                "orphans of services go to another process: {}",
                super::words::errno(*e)
            ),
            Degraded::Nofile(e) => format!(
                "the limit of open files cannot be raised: {}",
                super::words::errno(*e)
            ),
            Degraded::Cwd(e) => format!(
                "the working directory cannot be opened: {}",
                super::words::errno(*e)
            ),
            Degraded::Proc => "there is no /proc; leftovers cannot be found".to_owned(),
        })
        .collect();
    match socket {
        Ok(listening) => remarks.extend(listening.remarks.iter().cloned()),
        Err(e) => remarks.push(format!("no control socket, supctl cannot be used: {e}")),
    }
    remarks
}
