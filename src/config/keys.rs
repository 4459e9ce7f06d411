// SPDX-License-Identifier: MIT OR Apache-2.0
//! The check of keys: is every key that was written one that means something there?
//!
//! It runs over each file as written, before layers are merged, so that a typo is found once and
//! where it stands. Nothing unknown passes: a key that would be ignored is an error.

use super::codes;
use super::diagnostic::{Report, Sink};
use super::schema::{Below, Forms, ROOT, Shape};
use super::value::{Entry, Field, Item, Table, Value};
use super::words::{self, plain};

/// Checks one file.
pub(super) fn check(table: &Table, sink: &Sink) {
    Check { sink }.table(table, &ROOT);
}

struct Check<'a> {
    sink: &'a Sink,
}

impl Check<'_> {
    /// The depth is that of the shapes, not that of the file.
    fn table(&self, table: &Table, shape: &'static Shape) {
        for entry in &table.entries {
            let known = shape.keys.iter().find(|k| k.name == &*entry.key);
            match (known, shape.each) {
                (Some(key), _) => self.below(entry, &key.below),
                (None, Some(each)) => self.node(entry, each, shape.forms),
                (None, None) => self.sink.push(unknown(entry, table, shape)),
            }
        }
    }

    fn below(&self, entry: &Entry, below: &Below) {
        match (&entry.value.item, below) {
            (Item::Table(table), Below::Table(shape) | Below::Steps(shape, _)) => {
                self.table(table, shape);
            }
            (Item::List(list), Below::Steps(_, step)) => self.steps(list, step),
            (Item::Table(table), Below::Named(shape)) => self.table(table, shape),
            // A short form; whoever reads it says whether there is one.
            (_, Below::Value | Below::Table(_) | Below::Steps(..))
            | (Item::Table(_), Below::Free) => {}
            (_, Below::Named(_) | Below::Free) => self.not_a_table(entry.field()),
        }
    }

    fn steps(&self, list: &[Value], step: &'static Shape) {
        for value in list {
            if let Item::Table(table) = &value.item {
                self.table(table, step);
            }
        }
    }

    fn node(&self, entry: &Entry, shape: &'static Shape, forms: Forms) {
        if let Item::Table(table) = &entry.value.item {
            return self.table(table, shape);
        }
        if forms == Forms::TableOrShort {
            // Whoever reads it says whether it is one.
            return;
        }
        let message = format!("`{}` stands where a name is expected", entry.key);
        let help = format!(
            "{} has a name in its header, as `[service.NAME]`",
            shape.what
        );
        let report = Report::new(codes::WRONG_TYPE, message).at(entry.key_at, "");
        self.sink.push(report.help(help));
    }

    fn not_a_table(&self, field: Field<'_>) {
        let message = format!("`{}` is a table", field.key);
        self.sink.push(
            Report::new(codes::WRONG_TYPE, message)
                .at(field.at(), "not a table")
                .help(format!(
                    "write `{} = {{ key = value }}`, or a `[…]` header",
                    field.key
                )),
        );
    }
}

fn unknown(entry: &Entry, table: &Table, shape: &'static Shape) -> Report {
    let key = &*entry.key;
    if shape.later.contains(&key) {
        return Report::new(
            codes::NOT_YET,
            format!("`{key}` is not in this version yet"),
        )
        .at(entry.key_at, "known, not supported")
        .help("take it out; nothing is ignored silently");
    }
    let own = matches!(
        key,
        "extends" | "under" | "max_restarts" | "max_seconds" | "pool_restart"
    );
    let silence = key == "log" && shape.what == "`liveness`";
    if own || silence || matches!(key, "version" | "include") {
        return misplaced(entry, shape);
    }
    let same = shape.keys.iter().find(|k| plain(k.name) == plain(key));
    if let Some(ours) = same {
        let Some(twin) = table.get(ours.name) else {
            let message = format!("`{key}` is spelled `{}`", ours.name);
            return Report::new(codes::UNKNOWN_KEY, message)
                .at(entry.key_at, "")
                .help(format!("write `{}`", ours.name));
        };
        let message = format!("`{key}` and `{}` are two spellings of one key", ours.name);
        return Report::new(codes::TWO_SPELLINGS, message)
            .at(entry.key_at, "this one is not a key")
            .at(twin.key_at, "")
            .help(format!("keep `{}`", ours.name));
    }
    if let Some(foreign) = words::foreign(key) {
        let help = format!(
            "`{key}` is {}'s word; here it is {}",
            foreign.whose, foreign.ours
        );
        return Report::new(codes::FOREIGN_KEY, format!("unknown key `{key}`"))
            .at(entry.key_at, "")
            .help(help);
    }
    let names: Vec<&str> = shape.keys.iter().map(|k| k.name).collect();
    let help = words::nearest(key, names.iter().copied()).map_or_else(
        || {
            let lines: Vec<String> = names.chunks(8).map(words::enumerate).collect();
            format!("the keys of {} are\n{}", shape.what, lines.join("\n"))
        },
        |near| format!("did you mean `{near}`?"),
    );
    Report::new(
        codes::UNKNOWN_KEY,
        format!("unknown key `{key}` in {}", shape.what),
    )
    .at(entry.key_at, "")
    .help(help)
}

fn misplaced(entry: &Entry, shape: &'static Shape) -> Report {
    let key = &*entry.key;
    let help = match key {
        "version" | "include" => {
            format!("`{key}` stands at the top of the file, before the first `[table]`")
        }
        "extends" => "a service or a template extends a template".to_owned(),
        "max_restarts" | "max_seconds" => {
            "a supervisor or a pool has a limit of its own".to_owned()
        }
        "log" => {
            "silence is no proof of death: let it touch a `file`, or use `watchdog`".to_owned()
        }
        "pool_restart" => "only a pool is restarted as a whole".to_owned(),
        _ => "a service or a supervisor says itself under whom it is".to_owned(),
    };
    let message = format!("`{key}` has no meaning in {}", shape.what);
    Report::new(codes::MISPLACED, message)
        .at(entry.key_at, "")
        .help(help)
}
