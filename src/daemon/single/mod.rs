// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supd -- COMMAND`: one command under an init, and nothing else.
//!
//! ```text
//! a signal comes            it is passed on, to the command or to its group
//! somebody ends             is reaped; when it is the command:
//!                           whoever is left gets TERM, up to a second, KILL; then our end
//! a terminal stops it       we stop as well, so that the shell above sees it, and are continued
//!                           together; without a shell above it is continued at once
//! ```
//!
//! There is nothing to decide: no restart, no strategy, no tree, and so neither engine nor runtime;
//! from our exec to the command's it takes a millisecond (ADR 0061). A signal that the terminal has
//! given to the command itself is not passed on a second time.

pub(super) mod words;

use super::boot::{INTERNAL, say};
use super::pulse::now;
use super::words::errno;
use crate::spec::{Command, ExitStatus, Process, Scope, Signal, SpawnFailure, Stage, Stdin};
use crate::sys::block::Block;
use crate::sys::everybody::OwnNamespace;
use crate::sys::inbox::{Came, Inbox, Sender};
use crate::sys::init::{self, Degraded, Inherited};
use crate::sys::leftovers::{self, Leftover};
use crate::sys::procs::Procs;
use crate::sys::reap;
use crate::sys::spawn::{Plan, Session, Spawner, Stdio, Surroundings};
use crate::sys::terminal::{self, Terminal};
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;
pub use words::Single;

/// From TERM to KILL for whoever is left when the command has ended.
const GRACE: Duration = Duration::from_secs(1);
/// How long the last processes have to be reaped after their SIGKILL.
const LAST_REAPING: Duration = Duration::from_secs(2);
/// Exit codes as a shell has them.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;
const TEMPORARY: u8 = 75;

/// Runs one command to its end; the exit code.
pub fn run(single: &Single) -> u8 {
    let kept = init::descriptors_left_open();
    let inherited = match init::take_over() {
        Ok(inherited) => inherited,
        Err(e) => {
            say(&format!("supd: cannot take the process over: {e}\n"));
            return INTERNAL;
        }
    };
    let inbox = Inbox::block_all();
    for degraded in &inherited.degraded {
        if let (Degraded::Subreaper(e), true) = (degraded, single.warn || single.verbose > 0) {
            say(&format!(
                "supd: orphans go to another process: {}\n",
                errno(*e)
            ));
        }
    }
    if let Some(signal) = single.parent_death
        && let Err(e) = crate::sys::own::die_with_parent(signal)
    {
        say(&format!(
            "supd: cannot ask for {signal} at the end of our parent: {e}\n"
        ));
        return INTERNAL;
    }
    let before = our_children();
    let terminal = Terminal::find();
    match execute(single, &inherited, &kept, terminal) {
        Ok(pid) => {
            // Where we stand is nobody's business any more, and may be unmounted.
            let _stay = std::env::set_current_dir("/");
            let mut procs = Procs::new();
            procs.insert(pid, (), None);
            let mut nurse = Nurse {
                single,
                inbox,
                procs,
                pid,
                terminal: terminal.filter(|t| t.foreground() == Some(pid)),
                stop: Stop::OfTerminal,
                before,
            };
            nurse.live()
        }
        Err(failure) => {
            let name = single.command[0].to_string_lossy();
            let reason = errno(failure.errno);
            let stage = failure.stage.as_str();
            say(&format!(
                "supd: cannot execute `{name}` ({stage}): {reason}\n"
            ));
            code_of_failure(failure)
        }
    }
}

/// As a shell answers: the program is not there, or it is none.
fn code_of_failure(failure: SpawnFailure) -> u8 {
    if !matches!(failure.stage, Stage::Exec | Stage::Lookup) {
        return TEMPORARY;
    }
    match io::Error::from_raw_os_error(failure.errno).kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => NOT_FOUND,
        _ => NOT_EXECUTABLE,
    }
}

fn execute(
    single: &Single,
    inherited: &Inherited,
    kept: &[i32],
    terminal: Option<Terminal>,
) -> Result<i32, SpawnFailure> {
    let mut process = Process::new(Command::Argv(Box::default()));
    // The command must not live on when somebody kills us for good.
    process.pdeathsig = Some(Signal::KILL);
    process.stdin = Stdin::Inherit;
    let block = Rc::new(Block::whole(&inherited.env));
    let mut around = Surroundings::new(inherited);
    around.block = Some(&block);
    around.words = Some(&single.command);
    // Whoever started us, the Rust runtime has ignored SIGPIPE before `main`.
    around.ignored = inherited.ignored.without(Signal::PIPE);
    around.blocked = inherited.blocked;
    around.kept = kept;
    // Who was started in the background stays there.
    around.session = match terminal {
        Some(terminal) if terminal.is_ours() => Session::Foreground,
        Some(_) | None => Session::Group,
    };
    let plan = Plan::prepare(&process, &around)?;
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let stdio = Stdio {
        stdout: Some(stdout.as_fd()),
        stderr: Some(stderr.as_fd()),
        ..Stdio::default()
    };
    let spawner = Spawner::new(inherited)?.without_pidfds();
    Ok(spawner.spawn(&plan, stdio)?.pid)
}

fn our_children() -> Vec<Leftover> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    leftovers::children_of(own)
}

/// The command at work, and whoever comes to us on its way.
struct Nurse<'a> {
    single: &'a Single,
    inbox: Inbox,
    procs: Procs<()>,
    pid: i32,
    stop: Stop,
    /// Where the command was put in front.
    terminal: Option<Terminal>,
    /// Children that are not the command's doing: we were executed over their parent.
    before: Vec<Leftover>,
}

/// Who has stopped the command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// A terminal, as far as we know.
    OfTerminal,
    /// Somebody who has sent us the signal, and will send CONT.
    Ordered,
}

impl Nurse<'_> {
    fn live(&mut self) -> u8 {
        // Who ended before we listened is told by nobody.
        let mut ended = self.reap();
        let status = loop {
            if let Some(status) = ended {
                break status;
            }
            let Some(came) = self.inbox.next(None) else {
                continue;
            };
            ended = match came.signal {
                Signal::CHLD => self.reap(),
                Signal::CONT => self.on_continue(came),
                _ => self.pass_on(came),
            };
        };
        if let Some(terminal) = self.terminal {
            terminal.take_back();
        }
        self.leave_nobody();
        let code = match status {
            ExitStatus::Code(code) => code,
            ExitStatus::Signal { signal, .. } => signal.exit_code(),
        };
        if self.single.as_zero.contains(&code) {
            return 0;
        }
        code
    }

    /// Reaps everybody who has ended; how the command has, if it is among them.
    fn reap(&mut self) -> Option<ExitStatus> {
        let mut command = None;
        while let Some(reaped) = reap::next(&mut |_| {}) {
            if self.procs.take(reaped.pid).is_some() {
                command = Some(reaped.facts.status);
            } else if self.single.warn {
                say(&format!("supd: reaped an orphan, pid {}\n", reaped.pid));
            }
        }
        if !self.procs.is_empty() {
            self.look_whether_it_stands();
        }
        command
    }

    /// A job that its terminal has stopped: the shell above must see it.
    fn look_whether_it_stands(&mut self) {
        let Some(signal) = reap::take_stop(self.pid) else {
            return;
        };
        if !terminal::is_stop_of_terminal(signal) {
            return;
        }
        self.tell(2, &format!("the command was stopped by {signal}"));
        if !terminal::has_shell_above() {
            // Nobody could continue it; without us in between it would not have stopped.
            if self.stop == Stop::OfTerminal {
                self.send(Signal::CONT);
            }
            return;
        }
        if let Some(terminal) = self.terminal {
            terminal.take_back();
        }
        terminal::stop_here();
        // Here we are again, in front or not; CONT has come as well.
    }

    fn on_continue(&mut self, came: Came) -> Option<ExitStatus> {
        self.stop = Stop::OfTerminal;
        if let Some(terminal) = self.terminal
            && terminal.is_ours()
        {
            terminal.put_in_front(self.pid);
        }
        self.pass_on(came)
    }

    /// To the command, unless its terminal has told it already.
    fn pass_on(&mut self, came: Came) -> Option<ExitStatus> {
        let told = self.terminal.is_some()
            && came.from == Sender::Kernel
            && matches!(came.signal, Signal::HUP);
        if told {
            return None;
        }
        if terminal::is_stop_of_terminal(came.signal) && came.from != Sender::Kernel {
            self.stop = Stop::Ordered;
        }
        self.tell(1, &format!("passing {} on", came.signal));
        self.send(came.signal);
        None
    }

    fn send(&self, signal: Signal) {
        // The group of a stopped job goes on as a whole.
        let scope = if self.single.group || signal == Signal::CONT {
            Scope::Group
        } else {
            Scope::Leader
        };
        let _gone = self.procs.signal((), signal, scope);
    }

    /// TERM, up to a second, KILL; another signal to us cuts it short.
    fn leave_nobody(&mut self) {
        let space = OwnNamespace::find();
        let mut signal = Signal::TERM;
        let mut until = now() + GRACE;
        let mut asked: Vec<(i32, u64)> = Vec::new();
        loop {
            self.reap();
            if !self.ask_to_end(space.as_ref(), signal, &mut asked) {
                return;
            }
            let left = until.since(now());
            let came = if left.is_zero() {
                None
            } else {
                self.inbox.next(Some(left))
            };
            match came {
                Some(Came {
                    signal: Signal::CHLD,
                    ..
                }) => {}
                None if signal == Signal::KILL => return,
                Some(_) | None => {
                    signal = Signal::KILL;
                    until = now() + LAST_REAPING;
                    asked.clear();
                }
            }
        }
    }

    /// Sends a signal to everybody who is left and did not get it; `false`: nobody is left.
    fn ask_to_end(
        &self,
        space: Option<&OwnNamespace>,
        signal: Signal,
        asked: &mut Vec<(i32, u64)>,
    ) -> bool {
        if let Some(space) = space {
            // Everybody at once, the first time.
            if asked.is_empty() {
                asked.push((0, 0));
                return space.signal(signal);
            }
            return space.has_anybody();
        }
        let mut left = our_children();
        left.retain(|p| {
            !self
                .before
                .iter()
                .any(|b| (b.pid, b.started) == (p.pid, p.started))
        });
        for process in &left {
            let who = (process.pid, process.started);
            if asked.contains(&who) {
                continue;
            }
            asked.push(who);
            self.tell(
                1,
                &format!(
                    "{signal} to `{}` (pid {}), left over",
                    process.name, process.pid
                ),
            );
            let _gone = leftovers::signal(process, signal);
        }
        !left.is_empty()
    }

    fn tell(&self, from: u8, text: &str) {
        if self.single.verbose >= from {
            say(&format!("supd: {text}\n"));
        }
    }
}
