// SPDX-License-Identifier: MIT OR Apache-2.0
//! supctl against a daemon that runs: what takes several questions, or another program.

use super::harness::Supd;
use super::rig::{eventually, supctl};
use std::process::{Command, Output};

const GROUP: &str = "[supervisor.root]\nchildren = [\"api\", \"pool\"]\n\
     [supervisor.api]\nstrategy = \"rest_for_one\"\nchildren = [\"db\", \"web\"]\n\
     [service.db]\ncommand = \"CHILD sleep forever\"\n\
     [service.web]\ncommand = \"CHILD sleep forever\"\n\
     [service.pool]\ncommand = \"CHILD ready-after 20 sleep forever\"\ninstances = 3\n\
     ready = { notify = true }\n";

#[test]
fn a_restart_says_first_whom_it_will_touch() {
    let mut supd = Supd::start(GROUP);
    supd.event("supervisor.ready", "root");
    let (_, _, said) = supctl(&supd, &["restart", "db"]);
    let expected = "db: restarting, and with it web\ndb: restarted, and with it web\n";
    assert_eq!(said, expected);
    let strategy = supd.event("supervisor.strategy", "api");
    assert_eq!(strategy["scope"], serde_json::json!(["db", "web"]));
    let (_, _, said) = supctl(&supd, &["restart", "web"]);
    assert_eq!(said, "web: restarted\n");
}

#[test]
fn a_rolling_restart_waits_for_each_and_stops_at_the_first_that_fails() {
    let mut supd = Supd::start(GROUP);
    supd.event("supervisor.ready", "root");
    let (code, _, said) = supctl(&supd, &["restart", "--rolling", "pool"]);
    let order = [
        "pool.1: restarted",
        "pool.2: restarted",
        "pool.3: restarted",
    ];
    assert_eq!(
        (code, said.lines().collect::<Vec<_>>()),
        (0, order.to_vec())
    );
    let all = ["pool.1", "pool.2", "pool.3"].map(|name| supd.node(name)["state"].clone());
    assert_eq!(all, ["ready", "ready", "ready"]);
    supd.post("/v1/nodes/pool.2/pin", "");
    let (code, _, said) = supctl(&supd, &["restart", "--rolling", "pool"]);
    assert_eq!(code, 1);
    assert!(said.ends_with("pool.3: left as it is\n"), "{said}");
}

#[test]
fn the_end_says_who_is_waited_for() {
    let mut supd = Supd::start(
        "[service.deaf]\ncommand = \"CHILD ignore TERM sleep forever\"\n\
         stop = { timeout = \"4s\" }",
    );
    supd.event("service.ready", "deaf");
    let (code, _, said) = supctl(&supd, &["shutdown"]);
    assert_eq!(code, 0);
    assert!(said.contains("waiting for deaf"), "{said}");
    assert!(
        said.ends_with("supd: the whole tree is stopped\n"),
        "{said}"
    );
}

#[test]
fn an_edit_is_planned_and_applied_and_no_edit_changes_nothing() {
    let mut supd = Supd::start(GROUP);
    supd.event("supervisor.ready", "root");
    let now = std::fs::read_to_string(supd.dir.path("supd.toml")).expect("the configuration");
    supd.dir.write(
        "wrong.toml",
        &now.replace("\"db\", \"web\"", "\"db\", \"wbe\""),
    );
    supd.dir.write(
        "more.toml",
        &format!("{now}[service.more]\nshell = \"exec sleep 1000\"\n"),
    );
    let edit = |supd: &Supd, editor: &str| -> Output {
        Command::new(env!("CARGO_BIN_EXE_supctl"))
            .arg("--socket")
            .arg(supd.socket())
            .args(["edit", "web"])
            .env_remove("VISUAL")
            .env("EDITOR", editor)
            .output()
            .expect("supctl runs")
    };
    let told = edit(&supd, "true");
    assert_eq!(
        String::from_utf8_lossy(&told.stderr),
        "nothing was changed\n"
    );
    let copy = |name: &str, supd: &Supd| format!("cp {}", supd.dir.path(name).display());
    let refused = edit(&supd, &copy("wrong.toml", &supd));
    assert_eq!(refused.status.code(), Some(65));
    assert_eq!(supd.node("web")["state"], "ready");
    let applied = edit(&supd, &copy("more.toml", &supd));
    assert_eq!(applied.status.code(), Some(0));
    assert_eq!(supd.node("more")["state"], "ready");
}

#[test]
fn the_doctor_finds_what_is_down_and_what_is_not_in_force() {
    let mut supd = Supd::start(GROUP);
    supd.event("supervisor.ready", "root");
    let (code, found, _) = supctl(&supd, &["doctor"]);
    assert_eq!(code, 0, "{found}");
    supd.post("/v1/nodes/web/stop", "");
    let file = supd.dir.path("supd.toml");
    let now = std::fs::read_to_string(&file).expect("the configuration");
    std::fs::write(&file, now + "[service.more]\nshell = \"exec sleep 1000\"\n").expect("written");
    eventually("both are found", || {
        let (code, found, _) = supctl(&supd, &["doctor"]);
        let both = found.contains("trouble  web is stopped\n         try: supctl why web")
            && found.contains("1 changes in the files are not in force");
        (code == 1 && both).then_some(())
    });
}

#[test]
fn a_picture_of_the_tree_needs_no_other_program() {
    let mut supd = Supd::start(GROUP);
    supd.event("supervisor.ready", "root");
    let svg = supctl(&supd, &["graph", "--format", "svg"]).1;
    assert!(
        svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"),
        "{svg}"
    );
    assert!(svg.contains("1. db · ready"), "{svg}");
    let page = supctl(&supd, &["graph", "--format", "html"]).1;
    assert!(page.contains(&svg) && page.starts_with("<!DOCTYPE html>"));
}
