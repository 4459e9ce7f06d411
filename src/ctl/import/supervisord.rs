// SPDX-License-Identifier: MIT OR Apache-2.0
//! supervisord's configuration (supervisord.org/configuration.html): INI sections, `%(ENV_X)s` and
//! its like, `;` comments.

use super::{Fate, Import, Table, key, name, quoted};
use std::collections::BTreeMap;

/// `[program:web]` and what stands below it.
#[derive(Debug)]
struct Section {
    line: usize,
    kind: String,
    name: String,
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    line: usize,
    name: String,
    value: String,
}

/// Keys that need no word here, and why.
const NEEDLESS: &[(&str, &str)] = &[
    ("process_name", "instances are called NAME.1, NAME.2 …"),
    ("redirect_stderr", "both streams are kept, apart"),
    (
        "stdout_logfile",
        "supd keeps the last lines and passes them on",
    ),
    (
        "stderr_logfile",
        "supd keeps the last lines and passes them on",
    ),
    ("stdout_logfile_maxbytes", "see `log.ring`"),
    ("stderr_logfile_maxbytes", "see `log.ring`"),
    ("stdout_logfile_backups", "supd writes no files of its own"),
    ("stderr_logfile_backups", "supd writes no files of its own"),
    ("stdout_capture_maxbytes", "there are no capture modes"),
    ("stderr_capture_maxbytes", "there are no capture modes"),
    ("stdout_events_enabled", "see `supctl events`"),
    ("stderr_events_enabled", "see `supctl events`"),
    (
        "stdout_syslog",
        "supd's own output goes where its starter sends it",
    ),
    (
        "stderr_syslog",
        "supd's own output goes where its starter sends it",
    ),
    ("numprocs_start", "instances are numbered from 1"),
];

/// Sections of the daemon itself.
const OWN: &[&str] = &[
    "supervisord",
    "supervisorctl",
    "unix_http_server",
    "inet_http_server",
    "rpcinterface",
];

pub(super) fn import(text: &str) -> Import {
    let mut import = Import::default();
    let sections = sections(text, &mut import);
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    let mut programs: Vec<(i64, usize, String)> = Vec::new();
    for section in &sections {
        let what = format!("[{}:{}]", section.kind, section.name);
        match section.kind.as_str() {
            "program" | "fcgi-program" => {
                let (priority, fit) = program(section, &mut import);
                programs.push((priority, programs.len(), fit));
            }
            "group" => {
                let members = section.keys.iter().find(|key| key.name == "programs");
                let members = members.map_or("", |key| &key.value).split(',');
                let members = members.map(|m| name(m.trim()).0).collect();
                groups.push((name(&section.name).0, members));
                import.converted(section.line, &what);
            }
            "include" => {
                let remark = "import each of its files, then `include = [\"conf.d/*.toml\"]`";
                import.note(section.line, "[include]", (Fate::Todo, remark));
            }
            "eventlistener" => {
                let remark = "not needed to quit when something is dead: the root gives up; \
                              else see `supctl events -f --json`";
                import.note(section.line, &what, (Fate::Todo, remark));
            }
            own if OWN.contains(&own) => {
                let remark = "supd's own settings stand in [supd], and none is needed";
                import.note(
                    section.line,
                    &format!("[{own}]"),
                    (Fate::Approximated, remark),
                );
            }
            other => {
                let what = format!("[{other}]");
                import.note(
                    section.line,
                    &what,
                    (Fate::Todo, "no such section is known"),
                );
            }
        }
    }
    tree(&mut import, programs, &groups);
    import
}

/// Who stands under whom: groups are supervisors, `priority` is the start order.
fn tree(
    import: &mut Import,
    mut programs: Vec<(i64, usize, String)>,
    groups: &[(String, Vec<String>)],
) {
    programs.sort();
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    let known = |member: &String| programs.iter().any(|(_, _, name)| name == member);
    for (group, members) in groups {
        for member in members.iter().filter(|m| known(m)) {
            taken.entry(member.clone()).or_insert(group.clone());
        }
    }
    let mut top: Vec<String> = Vec::new();
    for (_, _, program) in &programs {
        let place = taken.get(program).unwrap_or(program);
        if !top.contains(place) {
            top.push(place.clone());
        }
    }
    let list = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        format!("children = [{}]", names.join(", "))
    };
    let ordered = programs.iter().any(|(priority, _, _)| *priority != 999);
    for (group, _) in groups {
        let mine = |(_, _, name): &&(i64, usize, String)| taken.get(name) == Some(group);
        let names: Vec<String> = programs.iter().filter(mine).map(|p| p.2.clone()).collect();
        import.tables.push(Table {
            header: format!("[supervisor.{group}]"),
            lines: vec![list(&names)],
        });
    }
    if ordered || !groups.is_empty() {
        import.tables.push(Table {
            header: "[supervisor.root]".to_owned(),
            lines: vec![list(&top)],
        });
    }
}

fn sections(text: &str, import: &mut Import) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for (n, raw) in text.lines().enumerate() {
        let line = without_comment(raw);
        if line.trim().is_empty() {
            continue;
        }
        if let Some(header) = line
            .trim()
            .strip_prefix('[')
            .and_then(|l| l.strip_suffix(']'))
        {
            let (kind, name) = header.split_once(':').unwrap_or((header, ""));
            sections.push(Section {
                line: n + 1,
                kind: kind.trim().to_owned(),
                name: name.trim().to_owned(),
                keys: Vec::new(),
            });
            continue;
        }
        let Some(section) = sections.last_mut() else {
            import.note(n + 1, line.trim(), (Fate::Todo, "stands under no section"));
            continue;
        };
        // A line that is indented goes on with the value before it (configparser).
        if raw.starts_with([' ', '\t'])
            && let Some(last) = section.keys.last_mut()
        {
            last.value = format!("{} {}", last.value, line.trim());
            continue;
        }
        let Some((name, value)) = line.split_once(['=', ':']) else {
            import.note(n + 1, line.trim(), (Fate::Todo, "no `key = value`"));
            continue;
        };
        section.keys.push(Key {
            line: n + 1,
            name: name.trim().to_ascii_lowercase(),
            value: value.trim().to_owned(),
        });
    }
    sections
}

/// A comment begins a line, or stands behind a blank and `;`.
fn without_comment(line: &str) -> &str {
    if line.starts_with([';', '#']) {
        return "";
    }
    let cut = line.find(" ;").or_else(|| line.find("\t;"));
    cut.map_or(line, |at| &line[..at])
}

/// One program; its priority and its name here.
fn program(section: &Section, import: &mut Import) -> (i64, String) {
    let (fit, changed) = name(&section.name);
    let what = format!("[{}:{}]", section.kind, section.name);
    match changed {
        None => import.converted(section.line, &what),
        Some(remark) => import.note(section.line, &what, (Fate::Approximated, &remark)),
    }
    let mut lines = Vec::new();
    let mut stop = Vec::new();
    let mut priority = 999;
    for key in &section.keys {
        let value = expanded(&key.value);
        let taken = match key.name.as_str() {
            "priority" => {
                priority = value.parse().unwrap_or(999);
                Some(Taken::Whole(String::new()))
            }
            "stopsignal" => {
                stop.push(format!("signal = {}", quoted(&value)));
                Some(Taken::Whole(String::new()))
            }
            "stopwaitsecs" => {
                stop.push(format!("timeout = \"{value}s\""));
                Some(Taken::Whole(String::new()))
            }
            _ => translated(&key.name, &value),
        };
        let what = format!("{} = {}", key.name, key.value);
        match taken {
            Some(Taken::Whole(line)) => {
                lines.extend(Some(line).filter(|line| !line.is_empty()));
                import.converted(key.line, &what);
            }
            Some(Taken::Nearly(line, remark)) => {
                lines.extend(Some(line).filter(|line| !line.is_empty()));
                import.note(key.line, &what, (Fate::Approximated, remark));
            }
            None => import.note(key.line, &what, (Fate::Todo, "no such key is known")),
        }
    }
    if !stop.is_empty() {
        lines.push(format!("stop = {{ {} }}", stop.join(", ")));
    }
    import.tables.push(Table {
        header: format!("[service.{fit}]"),
        lines,
    });
    (priority, fit)
}

/// A line of ours for a key of theirs.
enum Taken {
    Whole(String),
    Nearly(String, &'static str),
}

fn translated(key: &str, value: &str) -> Option<Taken> {
    use Taken::{Nearly, Whole};
    let is_on = matches!(
        value.to_ascii_lowercase().as_str(),
        "true" | "1" | "yes" | "on"
    );
    if let Some((_, remark)) = NEEDLESS.iter().find(|(known, _)| *known == key) {
        return Some(Nearly(String::new(), remark));
    }
    Some(match key {
        "command" => Whole(format!("command = {}", quoted(value))),
        "directory" => Whole(format!("workdir = {}", quoted(value))),
        "user" => Whole(format!("user = {}", quoted(value))),
        "umask" => Whole(format!("umask = {}", quoted(value))),
        "autostart" if is_on => Whole(String::new()),
        "autostart" => Whole("enabled = false".to_owned()),
        "autorestart" => match value.to_ascii_lowercase().as_str() {
            "unexpected" => Whole("restart = \"on-failure\"".to_owned()),
            _ if is_on => Whole("restart = \"always\"".to_owned()),
            _ => Whole("restart = \"never\"".to_owned()),
        },
        "startsecs" if value == "0" => Whole(String::new()),
        "startsecs" => Whole(format!("ready = {{ after = \"{value}s\" }}")),
        "startretries" => Nearly(
            String::new(),
            "the limit is the supervisor's: `max_restarts` in `max_seconds`",
        ),
        "exitcodes" => {
            let codes = value.split(',').map(str::trim);
            let codes: Vec<&str> = codes.filter(|c| !c.is_empty() && *c != "0").collect();
            let line =
                (!codes.is_empty()).then(|| format!("success_codes = [{}]", codes.join(", ")));
            Whole(line.unwrap_or_default())
        }
        "stopasgroup" | "killasgroup" => {
            Nearly(String::new(), "supd stops the whole process group anyway")
        }
        "numprocs" if value == "1" => Whole(String::new()),
        "numprocs" => Whole(format!("instances = {value}")),
        "environment" => Whole(environment(value)),
        _ => return None,
    })
}

/// `A="1",B=2` as a table.
fn environment(value: &str) -> String {
    let mut pairs = Vec::new();
    let mut rest = value.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, tail) = match quote {
            Some(quote) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        pairs.push(format!("{} = {}", key(name.trim()), quoted(value.trim())));
        rest = tail.trim_start().trim_start_matches(',').trim_start();
    }
    format!("env = {{ {} }}", pairs.join(", "))
}

/// `%(ENV_X)s`, `%(program_name)s`, `%(process_num)02d`, `%%`; a `$` means itself.
fn expanded(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some(at) = rest.find(['%', '$']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(tail) = rest.strip_prefix('$') {
            out.push_str("$$");
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix("%%") {
            out.push('%');
            rest = tail;
        } else if let Some((word, tail)) = rest.strip_prefix("%(").and_then(|r| r.split_once(')')) {
            let word = match word {
                "program_name" | "group_name" => "NAME",
                "process_num" => "INSTANCE",
                "host_node_name" => "HOSTNAME",
                other => other.strip_prefix("ENV_").unwrap_or(other),
            };
            out.extend(["${", word, "}"]);
            // A printf conversion: digits and one letter.
            let tail = tail.trim_start_matches(|c: char| c.is_ascii_digit());
            rest = tail.strip_prefix(['s', 'd']).unwrap_or(tail);
        } else {
            out.push('%');
            rest = &rest[1..];
        }
    }
    out + rest
}
