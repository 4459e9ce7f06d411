// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supctl explain WORD`: what a diagnostic, a word of the protocol, a class, a state, an exit code
//! or a key of a configuration means, and what to do about it. Needs no daemon.

use super::DONE;
use super::failure::Failure;
use super::screen::Screen;
use crate::config;
use serde::Serialize;

/// One word.
#[derive(Debug, Serialize)]
struct Entry {
    code: &'static str,
    kind: &'static str,
    meaning: &'static str,
    try_this: &'static str,
}

/// One code of `supctl check`.
#[derive(Debug, Serialize)]
struct Rule<'a> {
    code: &'a str,
    kind: &'static str,
    title: &'a str,
    meaning: &'a str,
}

/// One key of a configuration.
#[derive(Debug, Serialize)]
struct KeyEntry {
    code: &'static str,
    kind: &'static str,
    table: &'static str,
    default: &'static str,
    meaning: &'static str,
}

const fn entry(
    code: &'static str,
    kind: &'static str,
    meaning: &'static str,
    try_this: &'static str,
) -> Entry {
    Entry {
        code,
        kind,
        meaning,
        try_this,
    }
}

const CLASS: &str = "class of an exit";
const STATE: &str = "state of a service";
const UPPER: &str = "state of a supervisor";
const EXIT: &str = "exit code of supctl";
const DIAGNOSTIC: &str = "diagnostic of a configuration";
const KEY: &str = "key of a configuration";
const ERROR: &str = "error of the daemon";

/// Every word; the first column is unique.
const WORDS: &[Entry] = &[
    entry(
        "requested",
        CLASS,
        "it ended in time while supd was stopping it; nothing is counted",
        "supctl history NAME",
    ),
    entry(
        "stop_timeout",
        CLASS,
        "it was asked to stop and had to be killed: its `stop.timeout` is too short, or it ignores `stop.signal`",
        "supctl logs NAME",
    ),
    entry(
        "recycled",
        CLASS,
        "a planned restart; nothing is counted",
        "supctl history NAME",
    ),
    entry(
        "escalated",
        CLASS,
        "a supervisor below gave up: more restarts than `max_restarts` in `max_seconds`",
        "supctl history NAME",
    ),
    entry(
        "auto_shutdown",
        CLASS,
        "a supervisor below shut itself down because of a significant child",
        "supctl history NAME",
    ),
    entry(
        "start_timeout",
        CLASS,
        "it was not ready within `start_timeout` and was killed",
        "supctl logs NAME",
    ),
    entry(
        "liveness_failed",
        CLASS,
        "its liveness probe failed too often, and it was killed",
        "supctl logs NAME",
    ),
    entry(
        "watchdog_timeout",
        CLASS,
        "it did not say WATCHDOG=1 in time, and was killed",
        "supctl logs NAME",
    ),
    entry(
        "spawn_failed",
        CLASS,
        "the system could not make a process: no memory or no process left",
        "cat /proc/sys/kernel/pid_max",
    ),
    entry(
        "exec_failed",
        CLASS,
        "its program could not be executed; the event names the step and the errno",
        "supctl history NAME",
    ),
    entry(
        "clean",
        CLASS,
        "exit 0, or a code or signal that counts as such",
        "supctl history NAME",
    ),
    entry(
        "oom_kill",
        CLASS,
        "the kernel killed it for want of memory",
        "supctl history NAME",
    ),
    entry(
        "rlimit",
        CLASS,
        "it hit a limit of CPU time or file size",
        "supctl history NAME",
    ),
    entry(
        "sandbox",
        CLASS,
        "SIGSYS: a system call that a filter forbids",
        "supctl logs NAME",
    ),
    entry(
        "crash",
        CLASS,
        "a signal of a program fault: SEGV BUS ILL FPE ABRT TRAP QUIT",
        "supctl logs NAME",
    ),
    entry(
        "killed",
        CLASS,
        "SIGKILL that supd did not send",
        "supctl history NAME",
    ),
    entry(
        "terminated",
        CLASS,
        "TERM, INT, HUP or PIPE that supd did not send",
        "supctl history NAME",
    ),
    entry("signal", CLASS, "any other signal", "supctl history NAME"),
    entry(
        "unavailable",
        CLASS,
        "exit 69 or 68: something it needs is not there",
        "supctl logs NAME",
    ),
    entry(
        "tempfail",
        CLASS,
        "exit 75: it asks to be tried again later",
        "supctl logs NAME",
    ),
    entry(
        "config",
        CLASS,
        "exit 78 or 64: it does not accept its own configuration",
        "supctl logs NAME",
    ),
    entry(
        "exit_code",
        CLASS,
        "any other exit code",
        "supctl logs NAME",
    ),
    entry(
        "ready",
        STATE,
        "its start is done and it serves",
        "supctl status",
    ),
    entry(
        "unready",
        STATE,
        "it runs, but its readiness probe fails",
        "supctl logs NAME",
    ),
    entry(
        "starting",
        STATE,
        "it runs and is not ready yet; a supervisor starts its children",
        "supctl wait --ready NAME",
    ),
    entry(
        "stopping",
        STATE,
        "it was asked to stop and has not ended",
        "supctl wait --stopped NAME",
    ),
    entry(
        "stopped",
        STATE,
        "somebody stopped it; it stays down until somebody starts it",
        "supctl start NAME",
    ),
    entry(
        "backoff",
        STATE,
        "it failed and waits before its next start",
        "supctl reset NAME",
    ),
    entry(
        "remediating",
        STATE,
        "its fix is running; it starts afterwards",
        "supctl history NAME",
    ),
    entry(
        "held",
        STATE,
        "it waits for a breaker or a budget; no restart is counted",
        "supctl start NAME",
    ),
    entry(
        "waiting",
        STATE,
        "a sibling of its group is held or parked",
        "supctl status",
    ),
    entry(
        "parked",
        STATE,
        "it is not restarted until somebody acts",
        "supctl start NAME",
    ),
    entry(
        "unkillable",
        STATE,
        "it is still there after SIGKILL, usually in a system call on a dead disk or network",
        "supctl history NAME",
    ),
    entry(
        "done",
        STATE,
        "it has run and need not run again",
        "supctl run NAME",
    ),
    entry("up", UPPER, "every child is ready or done", "supctl status"),
    entry(
        "degraded",
        UPPER,
        "it runs, and not every child of it is ready",
        "supctl status",
    ),
    entry("down", UPPER, "nothing below it runs", "supctl start NAME"),
    entry("0", EXIT, "done, or yes", "supctl status"),
    entry("1", EXIT, "no, or failed", "supctl history NAME"),
    entry("2", EXIT, "changes are pending", "supctl reload"),
    entry("3", EXIT, "not running or not ready", "supctl status"),
    entry("4", EXIT, "no node has this name", "supctl tree"),
    entry(
        "5",
        EXIT,
        "waited in vain: --timeout came first",
        "supctl status",
    ),
    entry(
        "64",
        EXIT,
        "the command line makes no sense",
        "supctl --help",
    ),
    entry(
        "65",
        EXIT,
        "the configuration is invalid; nothing was changed",
        "supctl status",
    ),
    entry(
        "69",
        EXIT,
        "no daemon answers at the socket",
        "supctl --socket PATH status",
    ),
    entry(
        "75",
        EXIT,
        "the daemon is busy, or going down",
        "supctl status",
    ),
    entry("77", EXIT, "this user may not do this", "id"),
    entry(
        "no_such_node",
        ERROR,
        "no node has this name",
        "supctl tree",
    ),
    entry(
        "no_such_route",
        ERROR,
        "no such URL in this version",
        "supctl api GET /v1/openapi.json",
    ),
    entry(
        "method",
        ERROR,
        "the URL exists for another method",
        "supctl api GET /v1/openapi.json",
    ),
    entry(
        "bad_request",
        ERROR,
        "the request cannot be understood",
        "supctl --help",
    ),
    entry(
        "forbidden",
        ERROR,
        "this user may not do this; root, the daemon's user and `socket.group` may do everything, `socket.read_group` may look",
        "id",
    ),
    entry(
        "conflict",
        ERROR,
        "the node's state or kind does not allow it",
        "supctl status NAME",
    ),
    entry(
        "too_large",
        ERROR,
        "the request is beyond its limit: 64 KiB, a configuration 4 MiB",
        "supctl --help",
    ),
    entry(
        "invalid_config",
        ERROR,
        "the configuration is invalid; nothing was changed",
        "supctl status",
    ),
    entry(
        "busy",
        ERROR,
        "too many clients, streams or commands at one time",
        "supctl status",
    ),
    entry(
        "timeout",
        ERROR,
        "it did not happen in the time that was given; it goes on",
        "supctl status",
    ),
    entry(
        "unsupported",
        ERROR,
        "this version does not do that",
        "supctl --version",
    ),
    entry(
        "internal",
        ERROR,
        "a mistake of supd's own; please report it with its log",
        "supctl logs",
    ),
];

/// `supctl explain WORD`: a code, a word of the protocol, a key of a configuration; `ready` is two
/// of them.
pub(crate) fn explain(screen: &mut Screen, word: &str) -> Result<u8, Failure> {
    if let Some(text) = config::explain(word) {
        return diagnostic(screen, &text);
    }
    let wanted = word.trim().to_ascii_lowercase().replace('-', "_");
    let found = WORDS.iter().find(|entry| entry.code == wanted);
    let keys = config::key_help(word);
    if found.is_none() && keys.is_empty() {
        return Err(unknown(word, &wanted));
    }
    if let Some(found) = found {
        if screen.json {
            screen.json_value(found)?;
        } else {
            screen.line(&format!("{}: {}", found.code, found.kind))?;
            screen.line(&format!("  {}", found.meaning))?;
            screen.line(&format!("Try: {}", found.try_this))?;
        }
    }
    for key in keys {
        show_key(screen, &key)?;
    }
    Ok(DONE)
}

fn show_key(screen: &mut Screen, key: &config::KeyHelp) -> Result<(), Failure> {
    let place = match key.table {
        "" => "the top of a file".to_owned(),
        "supd" => "[supd]".to_owned(),
        table => format!("[{table}.NAME]"),
    };
    if screen.json {
        return screen.json_value(&KeyEntry {
            code: key.key,
            kind: KEY,
            table: key.table,
            default: key.default,
            meaning: key.meaning,
        });
    }
    screen.line(&format!("{}: key of {place}", key.key))?;
    screen.line(&format!("  {}", key.meaning))?;
    if !key.default.is_empty() {
        screen.line(&format!("  default: {}", key.default))?;
    }
    Ok(())
}

/// A code of `supctl check`, in the words of `config`: a line, an empty one, and the rest.
fn diagnostic(screen: &mut Screen, text: &str) -> Result<u8, Failure> {
    let (title, meaning) = text.split_once("\n\n").unwrap_or((text, ""));
    let (code, title) = title.split_once(": ").unwrap_or((title, ""));
    if screen.json {
        screen.json_value(&Rule {
            code,
            kind: DIAGNOSTIC,
            title,
            meaning: meaning.trim_end(),
        })?;
        return Ok(DONE);
    }
    screen.line(&format!("{code}: {DIAGNOSTIC}: {title}"))?;
    screen.line(&format!("  {}", meaning.trim_end()))?;
    screen.line("Try: supctl check")?;
    Ok(DONE)
}

fn unknown(word: &str, wanted: &str) -> Failure {
    let keys: Vec<&str> = config::keys().map(|key| key.key).collect();
    let near = WORDS
        .iter()
        .map(|entry| entry.code)
        .chain(keys.iter().copied())
        .map(|code| (strsim::damerau_levenshtein(wanted, code), code))
        .filter(|(distance, _)| *distance <= (wanted.len() / 3).max(1))
        .min();
    Failure::Usage {
        doing: format!("explain `{word}`"),
        reason: "it is no diagnostic, class, state, exit code, error code or key".to_owned(),
        instead: match near {
            Some((_, near)) => format!("supctl explain {near}"),
            None => "supctl explain held".to_owned(),
        },
    }
}
