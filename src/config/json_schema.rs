// SPDX-License-Identifier: MIT OR Apache-2.0
//! The language as a JSON Schema (draft 2020-12), for editors: which keys there are, and what their
//! values look like.
//!
//! Made from the tables of keys that the reader itself checks by, so that no key is missing and
//! none is too many. The forms of values are written here once more, as far as a schema can say
//! them; a key without one is only known by its name. What it accepts may still be wrong: only the
//! reader knows the whole file.

use super::schema::{Below, Forms, ROOT, Shape};

/// A variable stands in a string of any form.
const VARIABLE: &str = r"\\$\\{";

/// What a value looks like.
#[derive(Debug, Clone, Copy)]
enum Form {
    Flag,
    Integer,
    Number,
    Text,
    Duration,
    Size,
    /// A name of a signal.
    Signal,
    /// One of these words.
    Word(&'static [&'static str]),
    Texts,
    Numbers,
    /// One string, or several.
    TextOrTexts,
    TextOrInteger,
}

/// The whole language.
pub fn json_schema() -> String {
    let root = table(&ROOT, 1);
    let head = "{\n \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n \
                \"title\": \"supd.toml\",";
    format!("{head}{}\n", root.trim_start_matches('{'))
}

/// Bounded by the depth of the shapes, which is five.
fn table(shape: &Shape, depth: usize) -> String {
    let pad = " ".repeat(depth);
    let each = shape.each.map_or_else(
        || "false".to_owned(),
        |each| match shape.forms {
            Forms::Table => table(each, depth + 1),
            Forms::TableOrShort => or_short(&table(each, depth + 1)),
        },
    );
    let keys = shape.keys.iter().map(|key| {
        let value = below(key.name, &key.below, (shape, depth + 2));
        format!("{pad} \"{}\": {value}", key.name)
    });
    let keys: Vec<String> = keys.collect();
    let properties = if keys.is_empty() {
        String::new()
    } else {
        format!("\n{pad}\"properties\": {{\n{}\n{pad}}},", keys.join(",\n"))
    };
    let end = " ".repeat(depth - 1);
    format!(
        "{{\n{pad}\"type\": \"object\",{properties}\n{pad}\"additionalProperties\": {each}\n{end}}}"
    )
}

fn below(key: &str, below: &Below, (shape, depth): (&Shape, usize)) -> String {
    match below {
        Below::Value => form(shape.what, key).map_or_else(|| "{}".to_owned(), spelled),
        Below::Table(inner) => or_short(&table(inner, depth)),
        Below::Steps(inner, step) => {
            let steps = table(step, depth);
            let whole = table(inner, depth);
            format!(
                "{{\"anyOf\": [{whole}, {{\"type\": \"array\", \"items\": {}}}]}}",
                or_short(&steps)
            )
        }
        Below::Named(inner) => table(inner, depth),
        Below::Free => "{\"type\": \"object\"}".to_owned(),
    }
}

fn or_short(table: &str) -> String {
    let short = "{\"type\": [\"string\", \"array\", \"integer\", \"boolean\"]}";
    format!("{{\"anyOf\": [{table}, {short}]}}")
}

fn spelled(form: Form) -> String {
    let pattern =
        |text: &str| format!("{{\"type\": \"string\", \"pattern\": \"{text}|{VARIABLE}\"}}");
    match form {
        Form::Flag => "{\"type\": \"boolean\"}".to_owned(),
        Form::Integer => "{\"type\": \"integer\"}".to_owned(),
        Form::Number => "{\"type\": \"number\"}".to_owned(),
        Form::Text => "{\"type\": \"string\"}".to_owned(),
        Form::Duration => pattern(r"^0$|^infinity$|^([0-9]+(\\.[0-9]+)?(us|ms|s|min|m|h|d))+$"),
        Form::Size => pattern("^0$|^[0-9]+(B|k|[KMGT](i?B)?)$"),
        Form::Signal => pattern(r"^(SIG)?[A-Z0-9]+([+-][0-9]+)?$"),
        Form::Word(words) => pattern(&format!("^({})$", words.join("|"))),
        Form::Texts => "{\"type\": \"array\", \"items\": {\"type\": \"string\"}}".to_owned(),
        Form::Numbers => "{\"type\": \"array\", \"items\": {\"type\": \"integer\"}}".to_owned(),
        Form::TextOrTexts => "{\"type\": [\"string\", \"array\"]}".to_owned(),
        Form::TextOrInteger => "{\"type\": [\"string\", \"integer\"]}".to_owned(),
    }
}

/// What the value of a key looks like, where one form says it: that of its table before any's.
fn form(of: &str, key: &str) -> Option<Form> {
    if of == "`limits`" {
        // One value, a word, or a table of two.
        return None;
    }
    let entry = |place: &str| {
        let found =
            |(table, keys, _): &&(&str, &[&str], Form)| *table == place && keys.contains(&key);
        FORMS.iter().find(found).map(|(_, _, form)| *form)
    };
    entry(of).or_else(|| entry(ANY))
}

/// Any table.
const ANY: &str = "";

/// Tables, keys in them, and what these look like.
const FORMS: &[(&str, &[&str], Form)] = &[
    ("[supd]", &["exit_code"], Form::TextOrInteger),
    (
        "`log` of [supd]",
        &["format"],
        Form::Word(&["text", "json"]),
    ),
    (
        "a supervisor",
        &["start"],
        Form::Word(&["ordered", "parallel"]),
    ),
    ("a supervisor", &["children"], Form::Texts),
    ("a supervisor", &["shutdown"], Form::Text),
    (
        "`backoff`",
        &["initial", "max", "reset_after"],
        Form::Duration,
    ),
    (
        "`backoff`",
        &["jitter"],
        Form::Word(&["none", "full", "equal", "decorrelated"]),
    ),
    (
        "`ready`",
        &["every", "timeout", "recheck", "after"],
        Form::Duration,
    ),
    ("`ready`", &["notify"], Form::Flag),
    ("`ready`", &["fd"], Form::Integer),
    ("`stop`", &["signal"], Form::Signal),
    (
        "`stop`",
        &["scope"],
        Form::Word(&["tree", "group", "leader"]),
    ),
    ("`stop`", &["timeout"], Form::Text),
    ("a step of `stop`", &["signal"], Form::Signal),
    ("a step of `stop`", &["timeout"], Form::Text),
    ("`reload`", &["signal"], Form::Signal),
    ("`log`", &["ring"], Form::Size),
    ("`rotate`", &["size"], Form::Size),
    ("`rotate`", &["keep"], Form::Integer),
    ("`rotate`", &["compress"], Form::Flag),
    (ANY, &["command", "env_file"], Form::TextOrTexts),
    (ANY, &["type"], Form::Word(&["daemon", "oneshot"])),
    (
        ANY,
        &["strategy"],
        Form::Word(&["one_for_one", "one_for_all", "rest_for_one"]),
    ),
    (ANY, &["policy"], Form::Word(&["supd", "otp"])),
    (
        ANY,
        &["auto_shutdown"],
        Form::Word(&["never", "any_significant", "all_significant"]),
    ),
    (
        ANY,
        &[
            "enabled",
            "significant",
            "required",
            "no_new_privileges",
            "control",
        ],
        Form::Flag,
    ),
    (
        ANY,
        &[
            "version",
            "nice",
            "oom_score_adj",
            "instances",
            "max_restarts",
            "start_parallelism",
            "hook_parallelism",
            "events_kept",
            "exit_on_term",
        ],
        Form::Integer,
    ),
    (ANY, &["max_seconds", "factor"], Form::Number),
    (
        ANY,
        &[
            "start_timeout",
            "shutdown_timeout",
            "exit_delay",
            "open_for",
            "open_max",
        ],
        Form::Duration,
    ),
    (ANY, &["success_codes"], Form::Numbers),
    (ANY, &["success_signals"], Form::Texts),
    (
        ANY,
        &["shell", "workdir", "umask", "extends", "under"],
        Form::Text,
    ),
    (ANY, &["user", "group"], Form::TextOrInteger),
];
