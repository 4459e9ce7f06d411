// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faults on purpose, with real processes: what is declared, predicted and observed agrees, what
//! was done is undone, and a tree that is not well is left alone.

use super::harness::{Supd, kill};
use std::fs;
use std::process::{Command, Output};

const TREE: &str = r#"
[supervisor.root]
children = ["adapters", "pair", "stack", "once"]
[supervisor.adapters]
children = ["ares", "justice"]
[supervisor.pair]
strategy = "one_for_all"
children = ["a", "b"]
[supervisor.stack]
strategy = "rest_for_one"
children = ["db", "pool", "api"]
[defaults]
command = "CHILD sleep forever"
ready = { after = "20ms" }
[service.ares]
[service.justice]
restart = "transient"
[service.a]
[service.b]
[service.db]
[service.pool]
instances = 2
[service.api]
[service.once]
restart = "temporary"
command = "CHILD exit 0"
"#;

fn supctl(supd: &Supd, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_supctl"))
        .args(line.split(' '))
        .env("SUPD_SOCKET", supd.socket())
        .output()
        .expect("supctl runs")
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

fn start() -> Supd {
    let mut supd = Supd::start(TREE);
    supd.event("supervisor.ready", "root");
    supd
}

#[test]
fn a_drill_of_everything_goes_as_declared_and_predicted() {
    let supd = start();
    let output = supctl(&supd, "drill --auto --yes --plain");
    let told = text(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.ends_with("10 steps: 10 held, 0 deviated\n"), "{told}");
    let dry = text(&supctl(&supd, "drill --auto --dry-run --plain"));
    assert!(dry.ends_with("10 steps: nothing was done\n"), "{dry}");
    // What a step has used up is given back.
    for name in ["adapters", "pair", "stack"] {
        assert_eq!(supd.node(name)["used"].as_u64().unwrap_or(0), 0, "{name}");
    }
}

#[test]
fn an_exit_code_is_drilled_with_all_that_follows_from_it() {
    let mut supd = start();
    let report = supd.dir.path("report.xml");
    let line = format!(
        "--json drill b --exit 78 --yes --junit {}",
        report.display()
    );
    let output = supctl(&supd, &line);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told[0]["class"], "config");
    assert_eq!(told[0]["observed"], serde_json::json!(["a", "b"]));
    assert_eq!(told[0]["declared"], told[0]["predicted"]);
    let injected = supd.event("drill.injected", "");
    assert!(injected["by"]["uid"].is_u64());
    let exit = supd.event("service.exited", "b");
    assert_eq!(
        (&exit["code"], &exit["class"]),
        (&78.into(), &"config".into())
    );
    let junit = fs::read_to_string(report).expect("a report");
    assert!(junit.contains("tests=\"1\" failures=\"0\""), "{junit}");
    assert!(junit.contains("name=\"exit 78 of b\""), "{junit}");
    // A transient service that exits 0 stays down, and that is as declared.
    let output = supctl(&supd, "drill justice --exit 0 --yes --within 2s");
    assert!(
        text(&output).contains("restarted: nobody"),
        "{}",
        text(&output)
    );
}

#[test]
fn a_process_that_hangs_goes_on_when_the_time_is_over() {
    let mut supd = start();
    let body = r#"{"node":"ares","hang":true,"within_ms":300}"#;
    let (status, told) = supd.post("/v1/drill", body);
    assert_eq!(status, 200);
    assert_eq!(told["restarted"], serde_json::json!([]));
    let pid = told["pid"].as_i64().expect("a process");
    // Nobody is drilled while another drill is under way.
    let (status, refused) = supd.post("/v1/drill", r#"{"node":"a","kill":"KILL"}"#);
    assert_eq!(status, 409);
    assert!(
        refused["error"]["message"]
            .as_str()
            .is_some_and(|m| m.contains("another drill"))
    );
    supd.event("drill.undone", "");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    assert!(!stat.contains(") T "), "{stat}");
    assert_eq!(i64::from(supd.pid_of("ares")), pid);
}

#[test]
fn who_has_no_part_in_it_aborts_the_drill() {
    let mut supd = start();
    let stranger = supd.pid_of("a");
    let mut drill = Command::new(env!("CARGO_BIN_EXE_supctl"))
        .args(["drill", "ares", "--hang", "--within", "60s", "--yes"])
        .env("SUPD_SOCKET", supd.socket())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("supctl runs");
    supd.event("drill.injected", "");
    kill(stranger, "SIGKILL");
    assert_eq!(drill.wait().expect("it ends").code(), Some(2));
    let pid = supd.pid_of("ares");
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    assert!(!stat.contains(") T "), "it was let go on: {stat}");
}

#[test]
fn what_is_not_well_or_makes_no_sense_is_refused() {
    let supd = start();
    let cases = [
        (r#"{"node":"nobody","kill":"KILL"}"#, 404, "no node"),
        (r#"{"node":"root","kill":"KILL"}"#, 409, "only a service"),
        (r#"{"node":"once","kill":"KILL"}"#, 409, "not ready"),
        (r#"{"node":"ares","kill":"HUP"}"#, 400, "cannot be drilled"),
        (r#"{"node":"ares"}"#, 400, "one of kill, hang and exit"),
        (r#"{"node":"ares","hang":true,"exit":1}"#, 400, "one of"),
    ];
    for (body, wanted, words) in cases {
        let (status, told) = supd.post("/v1/drill", body);
        assert_eq!(status, wanted, "{body}: {told}");
        let message = told["error"]["message"].as_str().expect("a message");
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(supd.post("/v1/nodes/ares/pin", "{}").0, 200);
    let (status, told) = supd.post("/v1/drill", r#"{"node":"ares","exit":1}"#);
    assert_eq!(
        (status, &told["error"]["hint"]),
        (409, &"supctl unpin ares".into())
    );
    // Without a terminal nobody can agree.
    let output = supctl(&supd, "drill a");
    assert_eq!(output.status.code(), Some(64), "{}", text(&output));
}
