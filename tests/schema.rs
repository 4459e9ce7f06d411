// SPDX-License-Identifier: MIT OR Apache-2.0
//! The JSON Schema of the language against its reader: what the reader takes the schema takes, no
//! key is missing or too many, and a value of the wrong kind is refused by both.

use regex_lite::Regex;
use serde_json::Value;
use std::path::{Path, PathBuf};
use supd::config::{self, Disk, Options};

/// As much of draft 2020-12 as the schema uses: nothing unknown passes.
fn fits(value: &Value, schema: &Value) -> bool {
    let Some(rules) = schema.as_object() else {
        return schema != &Value::Bool(false);
    };
    rules.iter().all(|(rule, wanted)| match rule.as_str() {
        "$schema" | "title" | "properties" => true,
        "type" => match wanted {
            Value::Array(kinds) => kinds.iter().any(|kind| is(value, kind)),
            kind => is(value, kind),
        },
        "pattern" => value.as_str().is_none_or(|text| {
            let pattern = Regex::new(wanted.as_str().expect("a pattern"));
            pattern.expect("a regular expression").is_match(text)
        }),
        "items" => value
            .as_array()
            .is_none_or(|all| all.iter().all(|one| fits(one, wanted))),
        "anyOf" => wanted
            .as_array()
            .is_some_and(|all| all.iter().any(|one| fits(value, one))),
        "additionalProperties" => value.as_object().is_none_or(|table| {
            let known = rules.get("properties");
            table.iter().all(|(key, inner)| {
                let own = known.and_then(|known| known.get(key));
                fits(inner, own.unwrap_or(wanted))
            })
        }),
        other => panic!("the schema uses `{other}`, which is not judged here"),
    })
}

fn is(value: &Value, kind: &Value) -> bool {
    match kind.as_str().expect("the name of a type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("no type of JSON: {other}"),
    }
}

fn schema() -> Value {
    serde_json::from_str(&config::json_schema()).expect("the schema is JSON")
}

fn document(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    let table: toml::Table = toml::from_str(&text).expect("TOML");
    serde_json::to_value(table).expect("JSON")
}

fn files(directory: &str) -> Vec<PathBuf> {
    let found = std::fs::read_dir(directory).expect("a directory");
    let paths = found.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect()
}

#[test]
fn what_the_reader_takes_the_schema_takes() {
    let schema = schema();
    let mut all = files("config/examples");
    all.push("tests/config/every-key.toml".into());
    all.push("tests/config/full.toml".into());
    assert!(all.len() > 5, "{all:?}");
    for path in all {
        assert!(fits(&document(&path), &schema), "{}", path.display());
    }
}

#[test]
fn a_key_that_is_none_and_a_value_of_the_wrong_kind_are_refused_by_both() {
    let schema = schema();
    let no_env = |_: &str| None;
    for name in [
        "E0102-unknown-key",
        "E0103-foreign-words",
        "E0104-not-yet",
        "E0113-wrong-type",
        "E0114-unknown-word",
        "E0115-duration",
    ] {
        let path = PathBuf::from(format!("tests/config/cases/{name}.toml"));
        assert!(!fits(&document(&path), &schema), "the schema takes {name}");
        let read = config::load(&path, &Disk, &Options::new(&no_env));
        assert!(read.tree.is_none(), "the reader takes {name}");
    }
}

#[test]
fn every_key_of_the_reader_is_in_the_schema() {
    let schema = schema();
    for key in config::accepted_keys() {
        let mut at = vec![&schema];
        for word in key.split('.') {
            at = at.iter().flat_map(|inner| below(inner, word)).collect();
            assert!(!at.is_empty(), "`{key}` is not in the schema");
        }
    }
}

/// What stands under a key, in whichever of its forms.
fn below<'a>(schema: &'a Value, word: &str) -> Vec<&'a Value> {
    let here = match word {
        "NAME" => schema
            .get("additionalProperties")
            .filter(|inner| inner.is_object()),
        key => schema.get("properties").and_then(|known| known.get(key)),
    };
    let forms = schema.get("anyOf").and_then(Value::as_array);
    let items = schema.get("items");
    let inner = forms.into_iter().flatten().chain(items);
    here.into_iter()
        .chain(inner.flat_map(|inner| below(inner, word)))
        .collect()
}
