// SPDX-License-Identifier: MIT OR Apache-2.0
//! A changed configuration: what the plan says is what the apply does, and what is told of the one
//! in force.

use super::harness::{Supd, expand};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SHOP: &str = "[supervisor.root]\nchildren = [\"data\", \"api\", \"back\"]\n\
    [supervisor.data]\nstrategy = \"rest_for_one\"\nchildren = [\"db\", \"cache\"]\n\
    [supervisor.api]\nstrategy = \"one_for_all\"\nchildren = [\"web\", \"ws\"]\n\
    [supervisor.back]\nchildren = [\"worker\", \"report\"]\n\
    [service.db]\ncommand = \"CHILD sleep forever\"\n\
    [service.cache]\ncommand = \"CHILD sleep forever\"\n\
    [service.web]\ncommand = \"CHILD sleep forever\"\nenv = { PORT = \"1\", TOKEN = \"t0psecret\" }\n\
    [service.ws]\ncommand = \"CHILD sleep forever\"\n\
    [service.worker]\ncommand = \"CHILD sleep forever\"\ninstances = 2\n\
    [service.report]\ncommand = \"CHILD sleep forever\"\n";

fn shop() -> Supd {
    let mut supd = Supd::start(SHOP);
    supd.event("supervisor.ready", "root");
    supd
}

/// The process of every service.
fn pids(supd: &Supd) -> BTreeMap<String, i64> {
    fn add(node: &Value, into: &mut BTreeMap<String, i64>) {
        if let Some(pid) = node["pid"].as_i64() {
            let name = node["name"].as_str().expect("a name");
            into.insert(name.to_owned(), pid);
        }
        for child in node["children"].as_array().into_iter().flatten() {
            add(child, into);
        }
    }
    let mut found = BTreeMap::new();
    add(&supd.get("/v1/tree").1["root"], &mut found);
    found
}

/// Plans a change of the shop, applies it, and compares: restarted, started, stopped services.
fn plan_and_apply(supd: &Supd, change: impl Fn(&str) -> String) -> Value {
    let text = expand(&change(SHOP), &supd.dir);
    let body = json!({ "toml": text }).to_string();
    let before = pids(supd);
    let (status, plan) = supd.post("/v1/plan", &body);
    assert_eq!((status, &plan["ok"]), (200, &json!(true)), "{plan}");
    assert_eq!(pids(supd), before, "a plan changes nothing");
    let body = json!({ "toml": text, "hash": plan["hash"] }).to_string();
    let (status, reply) = supd.post("/v1/apply", &body);
    assert_eq!((status, &reply["ok"]), (200, &json!(true)), "{reply}");
    let after = pids(supd);
    let count = |these: &BTreeMap<String, i64>, test: &dyn Fn(&String, i64) -> bool| {
        these.iter().filter(|(name, pid)| test(name, **pid)).count()
    };
    let restarted = count(&after, &|name, pid| {
        before.get(name).is_some_and(|old| *old != pid)
    });
    let started = count(&after, &|name, _| !before.contains_key(name));
    let stopped = count(&before, &|name, _| !after.contains_key(name));
    let facts = json!([restarted, started, stopped]);
    let planned = ["restarted", "started", "stopped"].map(|key| &plan[key]);
    assert_eq!(json!(planned), facts, "{plan}");
    plan
}

fn entry<'a>(plan: &'a Value, node: &str) -> &'a Value {
    let changes = plan["changes"].as_array().expect("changes");
    let found = changes.iter().find(|change| change["node"] == node);
    found.unwrap_or_else(|| panic!("nothing about {node}: {plan}"))
}

#[test]
fn what_is_planned_is_what_apply_then_does() {
    let supd = shop();
    let plan = plan_and_apply(&supd, |text| {
        text.replace("PORT = \"1\"", "PORT = \"2\"")
            .replace("[service.ws]\n", "[service.ws]\nstart_timeout = \"5s\"\n")
            .replace("instances = 2", "instances = 3")
            .replace(", \"report\"]", ", \"mail\"]")
            .replace("[service.report]", "[service.mail]")
    });
    let web = entry(&plan, "web");
    assert_eq!(web["effect"], "restart");
    assert_eq!(web["keys"][0]["key"], "env.PORT");
    assert_eq!(web["keys"][0]["old"], "\"1\"");
    assert_eq!(web["keys"][0]["line"], 17);
    let ws = entry(&plan, "ws");
    assert_eq!(ws["effect"], "restart", "because of web: {ws}");
    assert_eq!(
        ws["because"],
        json!({ "node": "web", "supervisor": "api", "strategy": "one_for_all" })
    );
    assert_eq!(entry(&plan, "worker")["instances"], json!(["worker.3"]));
    assert_eq!(entry(&plan, "mail")["op"], "add");
    assert_eq!(entry(&plan, "report")["effect"], "stop");
    assert_eq!(plan["restarted_with"], 1);
    assert_eq!(plan["untouched"], 4, "db, cache and two workers");
    // What comes first in a rest_for_one restarts what comes after it, and the other way not.
    let of = |name: &str, command: &str| format!("[service.{name}]\n{command}");
    plan_and_apply(&supd, |text| {
        text.replace(&of("cache", "command"), &of("cache", "nice = 1\ncommand"))
    });
    let plan = plan_and_apply(&supd, |text| {
        text.replace(&of("cache", "command"), &of("cache", "nice = 1\ncommand"))
            .replace(&of("db", "command"), &of("db", "nice = 2\ncommand"))
    });
    assert_eq!(entry(&plan, "cache")["op"], "touch");
}

#[test]
fn a_service_that_is_down_by_order_is_not_planned_to_start() {
    let supd = shop();
    supd.post("/v1/nodes/report/stop", "");
    let plan = plan_and_apply(&supd, |text| {
        text.replace("[service.report]\n", "[service.report]\nnice = 3\n")
    });
    assert_eq!(entry(&plan, "report")["effect"], "next_start");
    assert_eq!(plan["untouched"], 6);
}

#[test]
fn an_invalid_or_another_configuration_than_planned_changes_nothing() {
    let supd = shop();
    let before = pids(&supd);
    let (status, plan) = supd.post("/v1/plan", "{\"toml\":\"[service.x]\\ncomand = 1\"}");
    assert_eq!((status, &plan["ok"]), (200, &json!(false)));
    assert!(
        plan["diagnostics"][0]
            .as_str()
            .is_some_and(|d| d.contains("did you mean"))
    );
    let (_, plan) = supd.post("/v1/plan", "");
    assert_eq!(plan["changes"], json!([]));
    supd.dir
        .write("supd.toml", "[service.other]\ncommand = \"true\"\n");
    let body = json!({ "hash": plan["hash"] }).to_string();
    let (status, refused) = supd.post("/v1/apply", &body);
    assert_eq!(
        (status, &refused["error"]["code"]),
        (409, &json!("conflict"))
    );
    assert_eq!(pids(&supd), before);
}

#[test]
fn the_configuration_in_force_is_told_without_secrets_and_with_its_places() {
    let supd = shop();
    // What the files say by now is not in force.
    supd.dir
        .write("supd.toml", "[service.other]\ncommand = \"true\"\n");
    let (status, config) = supd.get("/v1/config");
    assert_eq!(status, 200);
    assert!(!config.to_string().contains("t0psecret"), "{config}");
    let (_, web) = supd.get("/v1/config?node=web");
    let node = &web["nodes"][0];
    assert_eq!(node["parent"], "api");
    assert_eq!(node["written"][1]["key"], "env.PORT");
    assert_eq!(node["written"][1]["line"], 17);
    let keys = node["in_force"].as_array().expect("keys");
    let timeout = keys.iter().find(|key| key["key"] == "start_timeout");
    let timeout = timeout.expect("a default");
    assert_eq!(
        (&timeout["value"], timeout.get("file")),
        (&json!("\"1m\""), None)
    );
    assert_eq!(
        supd.get("/v1/config?node=worker.2").1["nodes"][0]["node"],
        "worker"
    );
    assert_eq!(
        supd.get("/v1/config?node=supd").1["nodes"][0]["table"],
        "supd"
    );
    assert_eq!(supd.get("/v1/config?node=nobody").0, 404);
    // A child that was added has a text of its own.
    let child = expand(
        "[service.extra]\ncommand = \"CHILD sleep forever\"\n",
        &supd.dir,
    );
    let (_, added) = supd.post(
        "/v1/nodes/back/children",
        &json!({ "toml": child }).to_string(),
    );
    assert_eq!(added["ok"], true, "{added}");
    let (_, extra) = supd.get("/v1/config?node=extra");
    assert_eq!(extra["nodes"][0]["written"][0]["file"], "child.toml");
}
