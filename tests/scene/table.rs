// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table: what every event does in every state, on one page for a person. States are reached
//! by scripts, events are actions; events with one and the same outcome share a line.
//!
//! It is complete: the variants of the engine's own enums are read from its source, and one that
//! no script reaches, or no action is, has to be added here. This module decides nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use supd::tree::Event;

/// A state: its title, and how the node gets into it.
type State = (&'static str, &'static str);

/// How `a` gets into each state; the tree has siblings, so that waiting can be seen.
const SERVICE_STATES: &[State] = &[
    ("not enabled", "one_for_one [a(disabled) b];"),
    ("its turn has not come", "one_for_one [b(notify) a];"),
    (
        "starting, queued",
        "narrow one_for_one parallel [b(notify) a];",
    ),
    ("starting, asked for", "one_for_one [a(silent) b];"),
    ("starting, forked", "one_for_one [a(silent) b]; forked a;"),
    ("starting", "one_for_one [a(notify) b];"),
    ("starting, looked for", "one_for_one [a(looked_for) b];"),
    (
        "starting, probed by a command",
        "one_for_one [a(probed,slow_command) b];",
    ),
    ("starting, ready after a while", "one_for_one [a(after) b];"),
    ("starting, a oneshot", "one_for_one [a(oneshot,slow) b];"),
    ("ready", "one_for_one [a b];"),
    (
        "ready, asked again",
        "one_for_one [a(rechecked) b]; probe a success; next;",
    ),
    (
        "unready",
        "one_for_one [a(rechecked) b]; probe a success; next; probe a failure;",
    ),
    (
        "ready, asked whether it works",
        "one_for_one [a(lived) b]; next;",
    ),
    (
        "ready, asked by a command whether it works",
        "one_for_one [a(touched,slow_command) b]; next;",
    ),
    (
        "ready, answers no more",
        "one_for_one [a(lived) b]; next; check a failure; next; check a failure; next;",
    ),
    (
        "unhealthy, evidence is collected",
        "one_for_one [a(lived,fix=unhealthy) b]; next; check a failure; next; check a failure; \
         next; check a failure;",
    ),
    ("ready, gives signs of life", "one_for_one [a(watched) b];"),
    ("ready, temporary", "one_for_one [a(temporary) b];"),
    ("ready, added at run time", "one_for_one [b]; add root a;"),
    ("parked", "one_for_one 0/9s park [a b]; exit a 1;"),
    ("held", "one_for_one 0/9s hold=9s [a b]; exit a 1;"),
    (
        "held by its own breaker",
        "one_for_one [a(hold:1/9s) b]; exit a 1;",
    ),
    (
        "held by a breaker",
        "breaker:db:2/9s+probe one_for_one [a(!db) b]; force db open 1m; exit a 1;",
    ),
    (
        "held, a probe is asked whether its end counts",
        "named breaker:db:2/9s+probe one_for_one [a(!db) b]; exit a 42;",
    ),
    (
        "on trial for a breaker",
        "breaker:db:2/9s one_for_one [a(!db) b]; force db open 1m; exit a 1; next;",
    ),
    (
        "held, its trial is due and its supervisor is busy",
        "rest_for_one [b(deaf) a(hold:1/2s)]; exit a 1; restart b; wait 3s;",
    ),
    (
        "on trial, not ready yet",
        "one_for_one [a(hold:1/9s,notify) b]; exit a 1; next;",
    ),
    ("on trial", "one_for_one [a(hold:1/9s) b]; exit a 1; next;"),
    (
        "waiting for one that is on trial",
        "rest_for_one [b(hold:1/9s) a]; exit b 1; next;",
    ),
    (
        "waiting for one that is parked",
        "rest_for_one 0/9s park [b a]; exit b 1;",
    ),
    ("ready, pinned", "one_for_one [a b]; pin a;"),
    (
        "ready, its command to reload runs",
        "one_for_one [a(reloads,slow_command) b]; reload a;",
    ),
    (
        "ready, its command to reload does not end",
        "one_for_one [a(reloads,slow_command,stuck) b]; reload a; wait 30s;",
    ),
    (
        "stopping, not executed yet",
        "one_for_one [a(silent) b]; stop a;",
    ),
    (
        "stopping, its command runs",
        "one_for_one [a(polite,slow_command) b]; stop a;",
    ),
    ("stopping, asked", "one_for_one [a(deaf) b]; stop a;"),
    (
        "stopping, killed",
        "one_for_one [a(stuck,brutal) b]; stop a;",
    ),
    (
        "stopping, too slow to start",
        "one_for_one [a(notify,stuck) b]; wait 10s;",
    ),
    (
        "stopping, gives no sign of life",
        "one_for_one [a(watched,deaf) b]; wait 5s;",
    ),
    (
        "stopping, to be started again",
        "one_for_one [a(deaf) b]; restart a;",
    ),
    (
        "stopping for its group",
        "rest_for_one [b a(deaf)]; exit b 1;",
    ),
    (
        "stopping, leaves",
        "one_for_one [a(deaf) b]; apply one_for_one [b];",
    ),
    ("stopped by hand", "one_for_one [a b]; stop a;"),
    (
        "down with its supervisor",
        "one_for_one [g: one_for_one [a] b]; stop g;",
    ),
    ("down and pinned", "one_for_one [a b]; pin a; exit a 1;"),
    ("back-off", "one_for_one [a b]; exit a 78;"),
    ("to be tried again", "one_for_all [a b(deaf)]; exit a 1;"),
    ("waits for its group", "rest_for_one [b a]; exit b 78;"),
    (
        "waits for its name",
        "one_for_one [a(deaf) b]; apply one_for_one [b]; apply one_for_one [a b];",
    ),
    ("a hook runs", "one_for_one [a(fix=exit_code) b]; exit a 1;"),
    (
        "a hook has had its time",
        "one_for_one [a(fix=exit_code+stuck_hook) b]; exit a 1; wait 10s;",
    ),
    (
        "treated, a step passes time",
        "one_for_one [a(fix=exit_code+delay=5s+run) b]; exit a 1;",
    ),
    (
        "its remedy waits for its group",
        "rest_for_one [a(fix=exit_code) b(deaf)]; exit a 1;",
    ),
    (
        "ready, once fixed",
        "one_for_one [a(fix=config) b]; exit a 78; hook a 0;",
    ),
    (
        "parked by its remedy",
        "one_for_one [a(fix=exit_code+park) b]; exit a 1;",
    ),
    ("done", "one_for_one [a(transient) b]; exit a 0;"),
    (
        "could not be started by hand, otp",
        "otp one_for_one [a b]; stop a; fail a 1; start a;",
    ),
    (
        "ended, not looked at",
        "rest_for_one [a c b(deaf)]; exit c 1; exit a 1;",
    ),
    ("unkillable", "one_for_one [a(stuck) b]; stop a; wait 1m;"),
    (
        "unkillable, to be started again",
        "one_for_one [a(stuck) b]; stop a; wait 1m; start a;",
    ),
    (
        "unkillable, gives no sign of life",
        "one_for_one [a(watched,stuck) b]; wait 16s;",
    ),
    (
        "unkillable, too slow to start",
        "one_for_one [a(notify,stuck) b]; wait 16s;",
    ),
];

/// What can happen to a service; those that need a process are left out where there is none.
const SERVICE_EVENTS: &[&str] = &[
    "exit a 0",
    "exit a 1",
    "exit a 78",
    "ready a",
    "says a stopping",
    "says a 30s",
    "says a alive",
    "says a broken",
    "says a every=30s",
    "says a class=x",
    "says a after=7s",
    "says a errno",
    "says a buserror",
    "wrote a 0 x",
    "spawned a",
    "unspawned a",
    "forked a",
    "probe a success",
    "probe a failure",
    "probe a unknown",
    "check a success",
    "check a failure",
    "check a unknown",
    "helper a 0",
    "helper a 1",
    "hook a 0",
    "hook a 75 9s",
    "hook a 78",
    "hook a 70",
    "hook a 64",
    "hook a 1",
    "remedy a exit_code",
    "late a",
    "next",
    "resumed",
    "exit b 1",
    "start a",
    "stop a",
    "restart a",
    "only a",
    "reset a",
    "pin a",
    "unpin a",
    "signal a USR1",
    "reload a",
    "delete a",
    "force db open 1m",
    "auto db",
    "boot",
    "shutdown",
    "hurry",
    "kill",
];

/// How `g` gets into each state.
const SUPERVISOR_STATES: &[State] = &[
    (
        "its turn has not come",
        "one_for_one [b(notify) g: one_for_all [a c]];",
    ),
    (
        "starting, as a group",
        "one_for_one [g: one_for_all [a(notify) c] b];",
    ),
    (
        "starting, one after another",
        "one_for_one [g: one_for_one [a(notify) c] b];",
    ),
    ("up", "one_for_one [g: one_for_all [a c] b];"),
    ("up, otp", "otp one_for_one [g: one_for_all [a c] b];"),
    ("up, a pool", "one_for_one [g: pool [g.1 g.2] b];"),
    ("up, pinned", "one_for_one [g: one_for_all [a c] b]; pin g;"),
    (
        "up, no restart left",
        "one_for_one [g: one_for_all 0/60s [a c] b];",
    ),
    (
        "up, transient, no restart left",
        "one_for_one [g: transient one_for_all 0/60s [a c] b];",
    ),
    (
        "up, changed by code_change, otp",
        "otp one_for_one [g: one_for_all [a c] b]; change g otp one_for_one [a c];",
    ),
    (
        "recovers: stops",
        "one_for_one [g: one_for_all [a c(deaf)] b]; exit a 1;",
    ),
    (
        "recovers: waits",
        "one_for_one [g: one_for_all [a c] b]; exit a 78;",
    ),
    (
        "recovers: starts",
        "one_for_one [g: one_for_all [a(notify) c] b]; ready a; exit a 1;",
    ),
    (
        "recovers, another end waits",
        "one_for_one [g: rest_for_one [c a x(deaf)] b]; exit a 1; exit c 1;",
    ),
    (
        "recovers, an order waits",
        "one_for_one [g: one_for_all [a c(deaf)] b]; exit a 1; start a;",
    ),
    (
        "recovers, somebody was unpinned",
        "one_for_one [g: one_for_all [a x c(deaf)] b]; pin x; exit x 1; exit a 1; unpin x;",
    ),
    (
        "restarts by order",
        "one_for_one [g: one_for_all [a c(deaf)] b]; restart a;",
    ),
    (
        "starts a child by order",
        "one_for_one [g: one_for_all [a(notify) c] b]; ready a; stop a; start a;",
    ),
    (
        "stops a child by order, otp",
        "otp one_for_one [g: one_for_all [a(deaf) c] b]; stop a;",
    ),
    (
        "adds a child",
        "one_for_one [g: one_for_all [a c] b]; add g x(notify);",
    ),
    (
        "applies a configuration",
        "one_for_one [g: one_for_all [a c(deaf)] b]; \
         apply one_for_one [g: one_for_all [a c(deaf,v2)] b];",
    ),
    (
        "stopping, told to",
        "one_for_one [g: one_for_all [a(deaf) c] b]; stop g;",
    ),
    (
        "stopping, to be started again",
        "one_for_one [g: one_for_all [a(deaf) c] b]; restart g;",
    ),
    (
        "stopping, gave up",
        "one_for_one [g: one_for_all 0/60s [a(deaf) c] b]; exit c 1;",
    ),
    (
        "stopping, shuts itself down",
        "one_for_one [g: auto:any [c(transient,significant) a(deaf)] b]; exit c 0;",
    ),
    (
        "stopping, could not start, otp",
        "otp one_for_one [g: one_for_one [a(deaf) c] b]; stop g; wait 5s; fail c 1; start g;",
    ),
    (
        "stopping the others of one that is held",
        "one_for_one [g: one_for_all 0/9s hold=9s [a c(deaf)] b]; exit a 1;",
    ),
    (
        "stopping, leaves",
        "one_for_one [g: one_for_all [a(deaf) c] b]; apply one_for_one [b];",
    ),
    (
        "stopped by hand",
        "one_for_one [g: one_for_all [a c] b]; stop g;",
    ),
    (
        "down with its supervisor",
        "one_for_one [h: one_for_one [g: one_for_all [a c]] b]; stop h;",
    ),
    (
        "back-off",
        "one_for_one [g: one_for_all 0/60s [a c] b]; exit a 1; exit a 1;",
    ),
    (
        "to be tried again",
        "one_for_all [g: one_for_all 0/60s [a c] b(deaf)]; exit a 1;",
    ),
    (
        "waits for its group",
        "rest_for_one [b g: one_for_all [a c]]; exit b 78;",
    ),
    (
        "done",
        "one_for_one [g: transient one_for_all 0/60s [a c] b]; exit a 1;",
    ),
    (
        "could not be started by hand, otp",
        "otp one_for_one [g: one_for_all [a c] b]; stop g; fail a 1; start g;",
    ),
    (
        "ended, not looked at",
        "rest_for_one [g: one_for_all 0/60s [a c] d b(deaf)]; exit d 1; exit a 1;",
    ),
];

const SUPERVISOR_EVENTS: &[&str] = &[
    "exit a 0",
    "exit a 1",
    "exit a 78",
    "exit c 1",
    "exit b 1",
    "ready a",
    "next",
    "start g",
    "stop g",
    "restart g",
    "only g",
    "reset g",
    "pin g",
    "unpin g",
    "start a",
    "stop a",
    "restart a",
    "only a",
    "add g y",
    "delete g",
    "delete a",
    "count g",
    "which g",
    "scale g 1",
    "scale g 3",
    "change g one_for_one [c y]",
    "apply one_for_one [b]",
    "boot",
    "shutdown",
    "hurry",
    "kill",
];

/// The enums of the engine whose variants a node can be in, and the file that has them.
const CONDITIONS: &[(&str, &[&str])] = &[
    (
        "node",
        &[
            "Rest", "Spawned", "Rung", "Life", "Reign", "Ending", "Origin",
        ],
    ),
    ("aside", &["By"]),
    ("task", &["Stage", "TaskKind"]),
    ("supervisor", &["Message"]),
    ("helper", &["Job"]),
];

/// The enums of what can happen.
const EVENTS: &[&str] = &["Event", "Command", "Haste", "ProbeAnswer", "Said"];

/// What no state of the table can show, each with its reason.
const NEVER_SEEN: &[(&str, &str)] = &[
    ("Life::Rest", "shown as its `Rest`"),
    ("Reign::Rest", "shown as its `Rest`"),
    (
        "Message::Retry",
        "taken from the inbox in the turn that put it there",
    ),
    (
        "Message::Clear",
        "taken from the inbox in the turn that put it there",
    ),
    ("Node::believed", "taken in the turn that has set it"),
    ("Node::let_pass", "taken in the turn that has set it"),
    ("Job::BreakerExec", "it works for no node"),
    ("Job::BreakerOwn", "it works for no node"),
    ("TaskKind::Terminate", "shown as its `Ending`"),
];

/// The whole page.
pub(crate) fn page() -> String {
    let mut page = String::from(
        "Every state of a service and of a supervisor, and what every event does in it.\n\
         A state is reached by the script beside its title; below it are its names in the engine.\n\
         Events on one line do the same; those that take a process are left out where there is\n\
         none. `=` is the answer to a command, `..` means: nothing.\n",
    );
    for (title, states, events, node) in [
        ("A service", SERVICE_STATES, SERVICE_EVENTS, "a"),
        ("A supervisor", SUPERVISOR_STATES, SUPERVISOR_EVENTS, "g"),
    ] {
        let _ = writeln!(page, "\n# {title}");
        for (title, script) in states {
            section((title, script), events, node, &mut page);
        }
    }
    page
}

/// A state and all events.
fn section((title, script): State, events: &[&str], node: &str, page: &mut String) {
    let _ = writeln!(page, "\n## {title}: {}", script.trim_end_matches(';'));
    let mut outcomes: Vec<((String, String), Vec<&str>)> = Vec::new();
    for event in events {
        let Some(last) = super::last(&format!("{script} {event}"), node) else {
            // A program that is not there cannot end; that is no event.
            continue;
        };
        if outcomes.is_empty() {
            let _ = writeln!(page, "   {}", shown(&last.condition).join(" "));
        }
        let outcome = (last.state, last.told);
        match outcomes.iter_mut().find(|(known, _)| *known == outcome) {
            Some((_, same)) => same.push(event),
            None => outcomes.push((outcome, vec![event])),
        }
    }
    for ((state, told), events) in outcomes {
        let told = if told.is_empty() { ".." } else { &told };
        let _ = writeln!(page, "{} -> {state}: {told}", events.join(", "));
    }
}

/// The names that say most about a state.
fn shown(condition: &[String]) -> Vec<&str> {
    let dull = |name: &&str| *name == "Origin::Configured" || is_never_seen(name);
    condition
        .iter()
        .map(String::as_str)
        .filter(|name| !dull(name))
        .collect()
}

fn is_never_seen(name: &str) -> bool {
    NEVER_SEEN.iter().any(|(known, _)| *known == name)
}

/// States that no script reaches and events that no action is.
pub(crate) fn missing() -> Vec<String> {
    let mut seen: BTreeSet<String> = NEVER_SEEN
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    for (states, events, node) in [
        (SERVICE_STATES, SERVICE_EVENTS, "a"),
        (SUPERVISOR_STATES, SUPERVISOR_EVENTS, "g"),
    ] {
        for (_, script) in states {
            for event in events {
                if let Some(last) = super::last(&format!("{script} {event}"), node) {
                    seen.extend(last.condition);
                    seen.extend(last.event);
                }
            }
        }
    }
    let mut missing = Vec::new();
    for (file, enums) in CONDITIONS {
        let source = source(file);
        for name in *enums {
            missing.extend(look_for(&source, name, "a state that reaches it", &seen));
        }
    }
    for flag in flags(&source("node")) {
        if !seen.contains(&flag) {
            missing.push(format!("{flag}: add a state that sets it to the table"));
        }
    }
    let source = source("event");
    for name in EVENTS {
        missing.extend(look_for(&source, name, "an event that is one", &seen));
    }
    missing
}

fn look_for(source: &str, of: &str, what: &str, seen: &BTreeSet<String>) -> Vec<String> {
    let all = variants(source, of);
    assert!(!all.is_empty(), "enum {of} is not where it was");
    let unseen = all.into_iter().filter(|name| !seen.contains(name));
    unseen
        .map(|name| format!("{name}: add {what} to the table"))
        .collect()
}

fn source(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/tree")
        .join(file)
        .with_extension("rs");
    std::fs::read_to_string(&path).expect("the engine's source")
}

/// The lines of a definition, without comments and attributes.
fn body<'a>(source: &'a str, head: &str) -> Vec<&'a str> {
    let mut lines = source.lines().skip_while(|line| !line.contains(head));
    let mut found = Vec::new();
    lines.next();
    for line in lines.take_while(|line| *line != "}") {
        // What stands deeper belongs to a variant.
        let own = line.starts_with("    ") && !line.starts_with("     ");
        if own && !line.trim().starts_with(['/', '#', '}', ')']) {
            found.push(line.trim());
        }
    }
    found
}

fn variants(source: &str, of: &str) -> Vec<String> {
    let name = |line: &str| {
        let end = line.find(|c: char| !c.is_alphanumeric());
        format!("{of}::{}", &line[..end.unwrap_or(line.len())])
    };
    let lines = body(source, &format!("enum {of} {{"));
    lines.into_iter().map(name).collect()
}

/// The flags of a node.
fn flags(source: &str) -> Vec<String> {
    let lines = body(source, "struct Node {");
    let flags = lines.into_iter().filter_map(|line| {
        let (name, kind) = line.trim_start_matches("pub(super) ").split_once(": ")?;
        (kind == "bool,").then(|| format!("Node::{name}"))
    });
    flags.collect()
}

/// What an event is, and what is in it, as the source has it.
pub(crate) fn names_in(event: &Event) -> Vec<String> {
    let head = |of: &str, text: String| {
        let end = text.find(|c: char| !c.is_alphanumeric());
        format!("{of}::{}", &text[..end.unwrap_or(text.len())])
    };
    let mut names = vec![head("Event", format!("{event:?}"))];
    match event {
        Event::Command { command, .. } => names.push(head("Command", format!("{command:?}"))),
        Event::Shutdown { haste, .. } => names.push(head("Haste", format!("{haste:?}"))),
        Event::Said { said, .. } => names.push(head("Said", format!("{said:?}"))),
        Event::ProbeDone { answer, .. } => names.push(head("ProbeAnswer", format!("{answer:?}"))),
        _ => {}
    }
    names
}
