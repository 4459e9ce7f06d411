// SPDX-License-Identifier: MIT OR Apache-2.0
//! A process back in the language: the program and its surroundings. The other half of `spell`.

use super::process::{RESOURCES, Unit, looks_secret};
use super::spelling::{Flag, Lines, array, key, literal, path, quoted, size, spell};
use super::split;
use crate::spec::{
    Capabilities, CapabilitySet, Command, EnvFile, EnvInherit, EnvValue, Limit, Listen,
    ListenAddress, LogSink, Logs, Process, Rotate, Signal, Stdin, UserRef,
};
use std::time::Duration;

/// The program of a service.
pub(super) fn program(lines: &mut Lines, program: &Command) {
    match program {
        Command::Argv(_) => lines.put("command", command(program)),
        // A shell's text is never interpolated.
        Command::Shell(text) => lines.put("shell", literal(text)),
    }
}

/// A command as people write it: one string if it can be one.
pub(super) fn command(command: &Command) -> String {
    match command {
        Command::Argv(words) => {
            let line = words.join(" ");
            let same = split::words(&line).is_ok_and(|split| {
                let split = split.iter().map(|word| &**word);
                split.eq(words.iter().map(|word| &**word))
            });
            let assigns = words.first().is_some_and(|word| word.contains('='));
            if same && !assigns {
                quoted(&line)
            } else {
                array(words.iter().map(|word| quoted(word)))
            }
        }
        // No probe or hook is one: the language has `["sh", "-c", …]` for them.
        Command::Shell(text) => array(["sh", "-c", text].map(quoted)),
    }
}

/// A user or a group.
pub(super) fn user(user: &UserRef) -> String {
    match user {
        UserRef::Name(name) => quoted(name),
        UserRef::Id(id) => id.to_string(),
    }
}

/// Everything but the program.
pub(super) fn surroundings(lines: &mut Lines, process: &Process) {
    let Process {
        command: _,
        env,
        env_inherit,
        env_files,
        user: runs_as,
        group,
        groups,
        umask,
        workdir,
        chroot,
        limits,
        nice,
        oom_score_adj,
        cpu_affinity,
        capabilities,
        no_new_privileges,
        stdin,
        tty,
        listen,
        logs,
        pdeathsig,
        control,
    } = process;
    identity(lines, [runs_as.as_ref(), group.as_ref()], groups.as_deref());
    if let Some(umask) = umask {
        lines.put("umask", format!("\"{umask:03o}\""));
    }
    if let Some(workdir) = workdir {
        lines.put("workdir", path(workdir));
    }
    if let Some(chroot) = chroot {
        lines.put("chroot", path(chroot));
    }
    environment(lines, env);
    inherited(lines, env_inherit, env_files);
    for limit in &limits.0 {
        rlimit(lines, *limit);
    }
    let number = |n: Option<i32>| n.map(|n| n.to_string());
    for (name, value) in [
        ("nice", number(nice.map(i32::from))),
        ("oom_score_adj", number(oom_score_adj.map(i32::from))),
    ] {
        if let Some(value) = value {
            lines.put(name, value);
        }
    }
    privileges(lines, capabilities, cpu_affinity.as_deref());
    lines.put("no_new_privileges", no_new_privileges.to_string());
    match stdin {
        Stdin::Null => lines.text("stdin", "null"),
        Stdin::Inherit => lines.text("stdin", "inherit"),
        Stdin::Path(at) => lines.put("stdin", path(at)),
    }
    lines.put("tty", tty.to_string());
    sockets(lines, listen);
    spell_logs(lines, logs);
    let signal = pdeathsig.map(|s: Signal| s.to_string());
    lines.text("pdeathsig", signal.as_deref().unwrap_or("none"));
    lines.put("control", control.to_string());
}

fn identity(lines: &mut Lines, who: [Option<&UserRef>; 2], groups: Option<&[UserRef]>) {
    for (name, who) in ["user", "group"].into_iter().zip(who) {
        if let Some(who) = who {
            lines.put(name, user(who));
        }
    }
    if let Some(groups) = groups {
        lines.put("groups", array(groups.iter().map(user)));
    }
}

fn inherited(lines: &mut Lines, env_inherit: &EnvInherit, env_files: &[EnvFile]) {
    match env_inherit {
        EnvInherit::All => lines.put("env_inherit", "true"),
        EnvInherit::Only(names) if names.is_empty() => lines.put("env_inherit", "false"),
        EnvInherit::Only(names) => {
            lines.put("env_inherit", array(names.iter().map(|n| quoted(n))));
        }
    }
    if !env_files.is_empty() {
        let files = env_files.iter().map(|EnvFile { path, optional }| {
            let dash = if *optional { "-" } else { "" };
            quoted(&format!("{dash}{}", path.display()))
        });
        lines.put("env_file", array(files));
    }
}

fn privileges(lines: &mut Lines, capabilities: &Capabilities, cpus: Option<&[u16]>) {
    if let Some(cpus) = cpus {
        lines.put("cpu_affinity", array(cpus.iter().map(u16::to_string)));
    }
    let Capabilities { bounding, ambient } = capabilities;
    let names = |set: &CapabilitySet| array(set.iter().map(|c| quoted(&c.to_string())));
    if let Some(bounding) = bounding {
        lines.put("capabilities.bounding", names(bounding));
    }
    if *ambient != CapabilitySet::default() {
        lines.put("capabilities.ambient", names(ambient));
    }
}

fn sockets(lines: &mut Lines, listen: &[Listen]) {
    if listen.is_empty() {
        return;
    }
    let all = listen.iter().map(|one| {
        let Listen {
            name,
            address,
            backlog,
            mode,
        } = one;
        let (key, at, mode) = match address {
            ListenAddress::Tcp(at) => ("tcp", quoted(at), String::new()),
            ListenAddress::Unix(at) => ("unix", path(at), format!(", mode = \"{mode:03o}\"")),
        };
        let name = quoted(name);
        format!("{{ {key} = {at}, name = {name}, backlog = {backlog}{mode} }}")
    });
    lines.put("listen", array(all));
}

fn environment(lines: &mut Lines, env: &[(Box<str>, EnvValue)]) {
    for (name, value) in env {
        let place = format!("env.{}", key(name));
        match value {
            EnvValue::Plain(text) if looks_secret(name) && !text.is_empty() => {
                lines.secret(&place, quoted(text));
            }
            EnvValue::Plain(text) => lines.text(&place, text),
            EnvValue::File(at) => lines.put(&place, format!("{{ file = {} }}", path(at))),
        }
    }
}

fn spell_logs(lines: &mut Lines, logs: &Logs) {
    let Logs {
        to,
        aloud,
        files,
        rotate,
        ring,
    } = logs;
    match (to, files.as_ref()) {
        (LogSink::Inherit, _) => lines.text("log.to", "inherit"),
        (LogSink::Null, _) => lines.text("log.to", "null"),
        (LogSink::Captured, []) => lines.text("log.to", "supd"),
        (LogSink::Captured, files) => {
            let supd = aloud.then(|| quoted("supd"));
            let files = files
                .iter()
                .map(|file| quoted(&format!("file:{}", file.display())));
            lines.put("log.to", array(supd.into_iter().chain(files)));
        }
    }
    let Rotate {
        size: at,
        keep,
        compress,
    } = rotate;
    match at {
        _ if files.is_empty() && *rotate == Rotate::default() => {}
        None => lines.text("log.rotate", "none"),
        Some(at) => {
            lines.put("log.rotate.size", size(*at));
            lines.put("log.rotate.keep", keep.to_string());
            lines.flag("log.rotate.compress", Flag(*compress));
        }
    }
    lines.put("log.ring", size(*ring as u64));
}

fn rlimit(lines: &mut Lines, limit: Limit) {
    let Limit {
        resource,
        soft,
        hard,
    } = limit;
    let Some((name, _, unit)) = RESOURCES.iter().find(|(_, known, _)| *known == resource) else {
        return;
    };
    let amount = |value: Option<u64>| match (value, unit) {
        (None, _) => "\"unlimited\"".to_owned(),
        (Some(n), Unit::Bytes) => size(n),
        (Some(n), Unit::Count) => n.to_string(),
        (Some(n), Unit::Seconds) => format!("\"{}\"", spell(Duration::from_secs(n))),
        (Some(n), Unit::Microseconds) => {
            format!("\"{}\"", spell(Duration::from_micros(n)))
        }
    };
    let value = if soft == hard {
        amount(soft)
    } else {
        format!("{{ soft = {}, hard = {} }}", amount(soft), amount(hard))
    };
    lines.put(&format!("limits.{name}"), value);
}
