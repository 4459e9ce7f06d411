// SPDX-License-Identifier: MIT OR Apache-2.0
//! The description of the protocol, `docs/reference/openapi.json`, against the code: every route
//! and no other, every field of every shape, every golden file, every code of an error.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use supd::wire::{ForceVerb, NoRoute, Route, Verb};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn described() -> Value {
    let text = fs::read_to_string(format!("{ROOT}/docs/reference/openapi.json"));
    serde_json::from_str(&text.expect("the description")).expect("JSON")
}

/// The sources of the protocol's types, one after the other.
fn sources() -> String {
    let folder = fs::read_dir(format!("{ROOT}/src/wire")).expect("the sources");
    let paths = folder.map(|entry| entry.expect("an entry").path());
    paths
        .map(|path| fs::read_to_string(path).expect("a text"))
        .collect()
}

/// The fields of a structure as they stand in the JSON.
fn fields(source: &str, name: &str) -> BTreeSet<String> {
    let body = source
        .split_once(&format!("pub struct {name} {{"))
        .and_then(|(_, rest)| rest.split_once("\n}"))
        .unwrap_or_else(|| panic!("no structure {name}"))
        .0;
    let mut renamed = None;
    let mut found = BTreeSet::new();
    for line in body.lines().map(str::trim) {
        if let Some((_, rest)) = line.split_once("rename = \"") {
            renamed = rest.split('"').next().map(str::to_owned);
        } else if let Some((field, _)) = line.strip_prefix("pub ").and_then(|l| l.split_once(':')) {
            found.insert(renamed.take().unwrap_or_else(|| field.to_owned()));
        }
    }
    assert!(!found.is_empty(), "{name} has no fields");
    found
}

fn properties(api: &Value, schema: &str) -> BTreeSet<String> {
    let schema = &api["components"]["schemas"][schema];
    let properties = schema["properties"].as_object();
    properties
        .map(|p| p.keys().cloned().collect())
        .unwrap_or_default()
}

#[test]
fn every_route_is_described_and_no_other() {
    let name = || "x".to_owned();
    let mut routes = vec![
        Route::Tree,
        Route::Breakers,
        Route::Node(name()),
        Route::History(name()),
        Route::Why(name()),
        Route::Logs(name()),
        Route::AddChild(name()),
        Route::Delete(name()),
        Route::Events,
        Route::Remediations,
        Route::Plan,
        Route::Drill,
        Route::Apply,
        Route::Reload,
        Route::Config,
        Route::Shutdown,
        Route::Health,
        Route::OpenApi,
        Route::Metrics,
    ];
    routes.extend(ForceVerb::ALL.map(|verb| Route::Force(name(), verb)));
    routes.extend(Verb::ALL.map(|verb| Route::Act(name(), verb)));
    let wanted: BTreeSet<String> = routes
        .iter()
        .map(|r| format!("{} {}", r.method(), r.path()))
        .collect();
    let api = described();
    let mut there = BTreeSet::new();
    for (path, item) in api["paths"].as_object().expect("paths") {
        let path = path.replace("{name}", "x");
        for (method, operation) in item.as_object().expect("methods") {
            if method == "parameters" {
                continue;
            }
            let method = method.to_uppercase();
            assert!(
                operation["summary"].is_string(),
                "{method} {path} says nothing"
            );
            let answers = operation["responses"].as_object().expect("answers");
            assert!(
                answers.contains_key("default"),
                "{method} {path} has no error"
            );
            there.insert(format!("{method} {path}"));
        }
        assert_eq!(
            Route::parse("BREW", &path).map_err(is_method),
            Err(true),
            "{path}"
        );
    }
    assert_eq!(there, wanted);
}

fn is_method(no: NoRoute) -> bool {
    matches!(no, NoRoute::Method(_))
}

#[test]
fn every_field_of_every_shape_is_described() {
    let (api, source) = (described(), sources());
    let shapes = [
        ("Status", "Status"),
        ("Daemon", "DaemonView"),
        ("Node", "NodeView"),
        ("Failure", "FailureLine"),
        ("Match", "MatchLine"),
        ("Capture", "CaptureLine"),
        ("Said", "SaidLine"),
        ("Rule", "RuleLine"),
        ("Event", "EventLine"),
        ("Snapshot", "Snapshot"),
        ("Heartbeat", "Heartbeat"),
        ("Gap", "Gap"),
        ("LogLine", "LogLine"),
        ("CommandReply", "CommandReply"),
        ("ReloadReply", "ReloadReply"),
        ("Health", "Health"),
        ("RestartRequest", "RestartRequest"),
        ("SignalRequest", "SignalRequest"),
        ("ScaleRequest", "ScaleRequest"),
        ("RemediateRequest", "RemediateRequest"),
        ("Remediations", "Remediations"),
        ("Remediation", "Remediation"),
        ("ChildRequest", "ChildRequest"),
        ("ConfigRequest", "ConfigRequest"),
        ("ShutdownRequest", "ShutdownRequest"),
        ("Error", "ErrorBody"),
        ("ConfigText", "ConfigText"),
        ("BreakerList", "BreakerList"),
        ("Breaker", "BreakerView"),
        ("ForceRequest", "ForceRequest"),
        ("Why", "Why"),
        ("DrillRequest", "DrillRequest"),
        ("DrillReply", "DrillReply"),
        ("FailuresLine", "FailuresLine"),
        ("FailureKind", "FailureKind"),
        ("LastWords", "LastWords"),
    ];
    for (schema, structure) in shapes {
        let wanted = fields(&source, structure);
        assert_eq!(properties(&api, schema), wanted, "{schema} and {structure}");
    }
}

/// Finds every reference below a value.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|v| references(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| references(v, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_shape_is_used() {
    let api = described();
    let mut used = BTreeSet::new();
    references(&api, &mut used);
    let schemas = api["components"]["schemas"].as_object().expect("schemas");
    let there: BTreeSet<String> = schemas
        .keys()
        .map(|name| format!("#/components/schemas/{name}"))
        .collect();
    let used: BTreeSet<String> = used.into_iter().map(str::to_owned).collect();
    assert_eq!(used, there);
}

/// What is wrong with `value` as the schema has it.
fn complaints(api: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.rsplit('/').next().unwrap_or_default();
        return complaints(api, &api["components"]["schemas"][name], value, at);
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(some) => some.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = |k: &&str| *k == kind || (*k == "number" && kind == "integer");
    let mut wrong = Vec::new();
    if !kinds.is_empty() && !kinds.iter().any(fits) {
        wrong.push(format!("{at} is {kind}, not {kinds:?}"));
    }
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let at = format!("{at}.{name}");
                let known = &schema["properties"][name];
                let rest = &schema["additionalProperties"];
                if !known.is_null() {
                    wrong.extend(complaints(api, known, field, &at));
                } else if rest.is_object() {
                    wrong.extend(complaints(api, rest, field, &at));
                } else if schema["properties"].is_object() {
                    wrong.push(format!("{at} is not described"));
                }
            }
            let needed = schema["required"].as_array().into_iter().flatten();
            let missing = needed
                .filter_map(Value::as_str)
                .filter(|n| !fields.contains_key(*n));
            wrong.extend(missing.map(|n| format!("{at}.{n} is missing")));
        }
        Value::Array(items) => {
            let each = items.iter().enumerate();
            wrong.extend(
                each.flat_map(|(n, v)| complaints(api, &schema["items"], v, &format!("{at}[{n}]"))),
            );
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    wrong
}

#[test]
fn every_golden_file_is_as_described() {
    let api = described();
    // Three events and the errors stand in files of other names than their shape.
    let named = BTreeMap::from([
        ("event_exited", "Event"),
        ("event_spawn_failed", "Event"),
        ("event_words", "Event"),
    ]);
    let mut seen = 0;
    for entry in fs::read_dir(format!("{ROOT}/tests/wire")).expect("the golden files") {
        let path = entry.expect("an entry").path();
        let stem = path
            .file_stem()
            .and_then(|s| s.to_str())
            .expect("a name")
            .to_owned();
        let words = stem.split('_').map(|w| w[..1].to_uppercase() + &w[1..]);
        let schema = match named.get(&*stem) {
            Some(schema) => (*schema).to_owned(),
            None => words.collect::<String>(),
        };
        let text = fs::read_to_string(&path).expect("a golden file");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let schema = &api["components"]["schemas"][&schema];
        assert!(schema.is_object(), "{stem} is not described");
        let wrong = complaints(&api, schema, &value, &stem);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        seen += 1;
    }
    assert!(seen >= 20, "{seen} golden files");
    let odd = serde_json::json!({"error": {"code": 7, "extra": 1}});
    let wrong = complaints(&api, &api["components"]["schemas"]["Error"], &odd, "odd");
    assert_eq!(wrong.len(), 3, "it finds what is wrong: {wrong:?}");
}

#[test]
fn every_code_of_an_error_is_described_with_its_status() {
    let source = fs::read_to_string(format!("{ROOT}/src/wire/error.rs")).expect("the source");
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let api = described();
    let detail = &api["components"]["schemas"]["Error"]["properties"]["error"]["properties"];
    let text = detail["code"]["description"]
        .as_str()
        .expect("a description");
    let page = fs::read_to_string(format!("{ROOT}/packaging/man/supd-protocol.7"));
    let page = page.expect("the manual");
    let mut codes = 0;
    for pair in lines.windows(2) {
        let Some((_, word)) = pair[1].split_once(": &str = \"") else {
            continue;
        };
        let word = word.trim_end_matches("\";");
        let (statuses, _) = pair[0]
            .trim_start_matches("/// ")
            .split_once(": ")
            .expect("a status");
        let wanted = format!("`{word}` ({statuses})");
        assert!(text.contains(&wanted), "no {wanted} in {text}");
        assert!(page.contains(word), "supd-protocol(7) does not know {word}");
        codes += 1;
    }
    assert_eq!(
        text.matches('`').count(),
        codes * 2,
        "no other code: {text}"
    );
}
