// SPDX-License-Identifier: MIT OR Apache-2.0
//! A Procfile (`name: command` lines, as foreman, overmind and honcho run them). Its commands are a
//! shell's, and `PORT` is 5000 for the first process and 100 more for each further one.

use super::{Fate, Import, Table, name, quoted};

/// What a shell alone understands; `$` too, because it is put in at run time.
const SHELL: &[char] = &[
    '|', '&', ';', '<', '>', '$', '`', '(', ')', '*', '?', '[', '~', '#', '{', '\\', '!',
];

pub(super) fn import(text: &str) -> Import {
    let mut import = Import::default();
    let mut seen: Vec<String> = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let (number, line) = (n + 1, line.trim());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((process, command)) = line.split_once(':') else {
            import.note(number, line, (Fate::Todo, "no `name: command`"));
            continue;
        };
        let (process, command) = (process.trim(), command.trim());
        let (fit, changed) = name(process);
        if command.is_empty() || seen.contains(&fit) {
            let why = if command.is_empty() {
                "nothing to run"
            } else {
                "the name is taken"
            };
            import.note(number, process, (Fate::Todo, why));
            continue;
        }
        import.tables.push(service(&fit, command, seen.len()));
        seen.push(fit);
        match changed {
            None => import.converted(number, process),
            Some(remark) => import.note(number, process, (Fate::Approximated, &remark)),
        }
    }
    if !seen.is_empty() {
        // foreman reads it beside the Procfile, when it is there.
        let lines = vec!["env_file = \"-.env\"".to_owned()];
        let header = "[defaults]".to_owned();
        import.tables.insert(0, Table { header, lines });
    }
    import
}

fn service(process: &str, command: &str, place: usize) -> Table {
    let mut lines = Vec::new();
    let assigns = command
        .split(' ')
        .next()
        .is_some_and(|word| word.contains('='));
    if assigns || command.contains(SHELL) {
        lines.push(format!("shell = {}", quoted(command)));
    } else {
        lines.push(format!("command = {}", quoted(command)));
    }
    if command.contains("PORT") {
        lines.push(format!("env = {{ PORT = \"{}\" }}", 5000 + 100 * place));
    }
    Table {
        header: format!("[service.{process}]"),
        lines,
    }
}
