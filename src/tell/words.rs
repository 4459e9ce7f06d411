// SPDX-License-Identifier: MIT OR Apache-2.0
//! The engine's values as words: for the protocol (snake case, never changed) and for people.
//!
//! Nothing is decided here. Every word of the protocol that stands for a value of the engine is
//! written in this file and nowhere else in the daemon.

use crate::spec::{
    Command, ExitStatus, Family, ProbeFault, ProbeTarget, Process, Ready, SpawnFailure, Stage,
    Stdin, Strategy, UserRef,
};
use crate::tree::{
    Actor, Argument, Classification, Condemned, Decision, HeldBy, How, Phase, Skip, StartWhy,
    StopWhy, Suspension, TransitionWhy,
};
use crate::wire::Word;
use std::time::Duration;

/// The word of a strategy.
pub fn strategy(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::OneForOne => "one_for_one",
        Strategy::OneForAll => "one_for_all",
        Strategy::RestForOne => "rest_for_one",
    }
}

/// The word of a class.
pub(crate) fn class(class: &Classification) -> Word {
    match &class.user {
        Some(own) => Word::Owned(own.name.to_string()),
        None => Word::Borrowed(class.base.as_str()),
    }
}

/// The word of a phase.
pub fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Ready => "ready",
        Phase::Stopping => "stopping",
        Phase::Trial => "trial",
    }
}

/// The word of a decision.
pub fn decision(decision: Decision) -> &'static str {
    match decision {
        Decision::Restart { .. } => "restart",
        Decision::Remediate => "remediate",
        Decision::StayDown => "stay_down",
        Decision::Escalate => "escalate",
        Decision::Park => "park",
        Decision::Hold { .. } => "hold",
        Decision::Confirm => "confirm",
        Decision::Expected => "expected",
        Decision::Absorbed => "absorbed",
        Decision::LeftAlone => "left_alone",
        Decision::Queued => "queued",
        Decision::Done => "done",
    }
}

/// The word of a reason to do nothing.
pub fn skip(why: Skip) -> &'static str {
    match why {
        Skip::NoEntry => "no_entry",
        Skip::Limit => "limit",
        Skip::SwitchedOff { .. } => "switched_off",
        Skip::Observed => "observe",
        Skip::Busy => "busy",
        Skip::Refunded => "refunded",
        Skip::Untrusted => "untrusted",
    }
}

/// The word of a start's reason.
/// What holds a service.
pub fn held_by(by: &HeldBy) -> &'static str {
    match by {
        HeldBy::Budget => "budget",
        HeldBy::Own => "hold_after",
        HeldBy::Breakers(_) => "breaker",
        HeldBy::Doubt => "probe",
    }
}

/// Why a breaker is in another state.
pub fn transition_why(why: TransitionWhy) -> &'static str {
    match why {
        TransitionWhy::Failures => "failures",
        TransitionWhy::Probe(_) => "probe",
        TransitionWhy::Time => "time",
        TransitionWhy::Test => "test",
        TransitionWhy::Trial => "trial",
        TransitionWhy::Initial => "initial",
        TransitionWhy::Ordered => "order",
        TransitionWhy::Expired => "expired",
    }
}

/// What its probe has found.
pub fn transition_fault(why: TransitionWhy) -> Option<String> {
    match why {
        TransitionWhy::Probe(found) => Some(fault(found)),
        TransitionWhy::Failures
        | TransitionWhy::Time
        | TransitionWhy::Test
        | TransitionWhy::Trial
        | TransitionWhy::Initial
        | TransitionWhy::Ordered
        | TransitionWhy::Expired => None,
    }
}

/// Why something is started.
pub fn start_why(why: StartWhy) -> &'static str {
    match why {
        StartWhy::Boot => "boot",
        StartWhy::Restart => "restart",
        StartWhy::Group(_) => "group",
        StartWhy::Retry => "retry",
        StartWhy::Released => "released",
        StartWhy::Trial => "trial",
        StartWhy::Command => "command",
        StartWhy::Apply => "apply",
    }
}

/// The word of a stop's reason.
pub fn stop_why(why: StopWhy) -> &'static str {
    match why {
        StopWhy::Group(_) => "group",
        StopWhy::Supervisor => "supervisor",
        StopWhy::Shutdown => "shutdown",
        StopWhy::Command(_) => "command",
        StopWhy::Apply => "apply",
        StopWhy::StartTimeout => "start_timeout",
        StopWhy::Unhealthy(Condemned::Liveness) => "liveness_failed",
        StopWhy::Unhealthy(Condemned::Watchdog) => "watchdog_timeout",
    }
}

/// Who asked, for people.
pub fn actor(by: Actor) -> String {
    match by {
        Actor::Client { uid, pid } => format!("uid {uid}, pid {pid}"),
        Actor::Signal(signal) => format!("SIG{signal}"),
        Actor::Supd => "supd".to_owned(),
    }
}

/// Whose budget it was, for people: nothing for a supervisor's own window.
pub fn of_bucket(bucket: Option<Family>) -> String {
    bucket.map_or_else(String::new, |family| {
        format!(" of the budget `{}`", family.as_str())
    })
}

/// The word of a budget.
pub fn bucket(bucket: Option<Family>) -> &'static str {
    bucket.map_or("main", Family::as_str)
}

/// What an order was given, for people, after its verb.
pub fn argument(with: Argument) -> String {
    match with {
        Argument::Signal(signal) => format!(" {signal}"),
        Argument::Instances(count) => format!(" to {count}"),
    }
}

/// How a process ended, for people: `exit 3`, `signal SEGV`.
pub fn status(status: ExitStatus) -> String {
    match status {
        ExitStatus::Code(code) => format!("exit {code}"),
        ExitStatus::Signal {
            signal,
            core: false,
        } => format!("signal {signal}"),
        ExitStatus::Signal { signal, core: true } => format!("signal {signal} (core dumped)"),
    }
}

/// What the step that failed was about: the program, the directory, the user.
pub fn object(stage: Stage, process: &Process) -> Option<String> {
    let user = |who: &UserRef| match who {
        UserRef::Name(name) => name.to_string(),
        UserRef::Id(id) => id.to_string(),
    };
    match stage {
        Stage::Lookup | Stage::Exec => Some(process.command.program().to_owned()),
        Stage::Chroot => process.chroot.as_ref().map(|dir| dir.display().to_string()),
        Stage::Listen => {
            let all: Vec<_> = process
                .listen
                .iter()
                .map(|one| one.address.to_string())
                .collect();
            Some(all.join(", "))
        }
        Stage::Workdir => process
            .workdir
            .as_ref()
            .map(|dir| dir.display().to_string()),
        Stage::Stdin => match &process.stdin {
            Stdin::Path(path) => Some(path.display().to_string()),
            Stdin::Null | Stdin::Inherit => None,
        },
        Stage::User | Stage::Uid => process.user.as_ref().map(user),
        Stage::Gid => process.group.as_ref().map(user),
        Stage::Env
        | Stage::Pipe
        | Stage::Fork
        | Stage::Descriptors
        | Stage::Session
        | Stage::Limits
        | Stage::Nice
        | Stage::Affinity
        | Stage::Capabilities
        | Stage::OomScore
        | Stage::Groups
        | Stage::Prctl => None,
    }
}

/// Why there never was a process, for people: `cannot execute bin/web: No such file or directory
/// (ENOENT)`. `object` is what the step was about, where that is known.
pub fn failure(failure: SpawnFailure, object: Option<&str>) -> String {
    let text = errno(failure.errno);
    let name = crate::sys::errno::name(failure.errno);
    let name = name.map_or_else(String::new, |name| format!(" ({name})"));
    format!("cannot {}: {text}{name}", step(failure.stage, object))
}

fn step(stage: Stage, object: Option<&str>) -> String {
    let step = match stage {
        Stage::Env => "read its environment",
        Stage::User => "look up its user or group",
        Stage::Lookup | Stage::Exec => {
            return format!("execute {}", object.unwrap_or("its program"));
        }
        Stage::Pipe => "make its pipes",
        Stage::Stdin => "open its standard input",
        Stage::Fork => "fork",
        Stage::Descriptors => "arrange its descriptors",
        Stage::Listen => "listen on",
        Stage::Affinity => "choose its processors",
        Stage::Chroot => "change its root directory to",
        Stage::Capabilities => "set its capabilities",
        Stage::Session => "begin its session",
        Stage::Limits => "set its limits",
        Stage::Nice => "set its nice value",
        Stage::OomScore => "set its oom_score_adj",
        Stage::Groups => "take its supplementary groups",
        Stage::Gid => "take its group",
        Stage::Uid => "become its user",
        Stage::Workdir => "enter its working directory",
        Stage::Prctl => "set its parent-death signal",
    };
    object.map_or_else(|| step.to_owned(), |object| format!("{step} {object}"))
}

/// How a culprit ended, for people; `process` is what it was to execute, where that is known.
pub fn how(how: How, process: Option<&Process>) -> String {
    match how {
        How::Status(s) => status(s),
        How::Spawn(f) => {
            let object = process.and_then(|process| object(f.stage, process));
            failure(f, object.as_deref())
        }
        How::StartTimeout => "not ready in time".to_owned(),
        How::Unhealthy(what) => unhealthy(what).to_owned(),
    }
}

/// What is wrong with a service that is killed for it, for people.
pub fn unhealthy(what: Condemned) -> &'static str {
    match what {
        Condemned::Liveness => "its liveness probe fails",
        Condemned::Watchdog => "no sign of life in time",
    }
}

/// Why nobody is killed for being unhealthy, for people.
pub fn suspension(why: Suspension) -> String {
    match why {
        Suspension::Quorum { killed, watched } => format!(
            "{killed} of {watched} watched children of its supervisor were killed in the last \
             minute; what fails everywhere at once is probably not theirs"
        ),
        Suspension::Lag(late) => format!("supd itself is {} late", span(late)),
        Suspension::Resumed => "everything stood still a moment ago".to_owned(),
    }
}

/// Why a probe did not succeed, for people: `connection refused`.
pub fn fault(fault: ProbeFault) -> String {
    match fault {
        ProbeFault::TimedOut => "no answer in time".to_owned(),
        ProbeFault::Errno(number) => lower(errno(number)),
        ProbeFault::HttpStatus(status) => format!("HTTP status {status}"),
        ProbeFault::NotHttp => "the answer is not HTTP".to_owned(),
        ProbeFault::Closed => "closed without an answer".to_owned(),
        ProbeFault::Stale => "unchanged since before the start".to_owned(),
        ProbeFault::Unchanged => "unchanged since the last look".to_owned(),
        ProbeFault::Exit(ended) => status(ended),
        ProbeFault::NotStarted(failed) => failure(failed, None),
        ProbeFault::Impossible => "could not be tried".to_owned(),
    }
}

/// What decides that a service is ready, for people: `tcp 127.0.0.1:6379`.
pub fn ready(ready: &Ready) -> Option<String> {
    Some(match ready {
        Ready::Exec => return None,
        Ready::Notify => "READY=1".to_owned(),
        Ready::Fd(number) => format!("a newline on descriptor {number}"),
        Ready::After(time) => format!("{} to pass", span(*time)),
        Ready::Probe(probe) => target(&probe.target),
    })
}

/// What a probe asks.
pub fn target(target: &ProbeTarget) -> String {
    match target {
        ProbeTarget::Exec(command) => format!("exec {}", program(command)),
        ProbeTarget::Tcp { host, port } if host.contains(':') => format!("tcp [{host}]:{port}"),
        ProbeTarget::Tcp { host, port } => format!("tcp {host}:{port}"),
        ProbeTarget::Http { host, port, path } if host.contains(':') => {
            format!("http://[{host}]:{port}{path}")
        }
        ProbeTarget::Http { host, port, path } => format!("http://{host}:{port}{path}"),
        ProbeTarget::Unix(path) => format!("unix {}", path.display()),
        ProbeTarget::File(path) => format!("file {}", path.display()),
    }
}

fn program(command: &Command) -> &str {
    match command {
        Command::Argv(words) => words.first().map_or("", |word| word),
        Command::Shell(_) => "a shell",
    }
}

fn lower(text: String) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => text,
    }
}

/// The C library's words for an error number, without Rust's addition.
pub fn errno(number: i32) -> String {
    let text = std::io::Error::from_raw_os_error(number).to_string();
    match text.rfind(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// A span for people, two units at most: `350ms`, `3.2s`, `1m30s`, `2h5m`, `3d`.
pub fn span(span: Duration) -> String {
    let two = |big: u64, unit: &str, small: u64, rest: &str| {
        if small == 0 {
            format!("{big}{unit}")
        } else {
            format!("{big}{unit}{small}{rest}")
        }
    };
    let (secs, millis) = (span.as_secs(), span.subsec_millis());
    match secs {
        0 => format!("{millis}ms"),
        1..60 if millis < 100 => format!("{secs}s"),
        1..60 => format!("{secs}.{}s", millis / 100),
        60..3600 => two(secs / 60, "m", secs % 60, "s"),
        3600..86_400 => two(secs / 3600, "h", secs % 3600 / 60, "m"),
        _ => two(secs / 86_400, "d", secs % 86_400 / 3600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        let cases = [
            (0, "0ms"),
            (350, "350ms"),
            (3_000, "3s"),
            (3_299, "3.2s"),
            (59_999, "59.9s"),
            (90_000, "1m30s"),
            (120_000, "2m"),
            (7_500_000, "2h5m"),
            (259_200_000, "3d"),
        ];
        for (millis, text) in cases {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn an_error_number_reads_as_the_c_library_says() {
        assert_eq!(errno(2), "No such file or directory");
    }
}
