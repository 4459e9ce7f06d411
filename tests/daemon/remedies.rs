// SPDX-License-Identifier: MIT OR Apache-2.0
//! Remedies with real hooks: what they are given, what their answers do, and that nothing of them
//! outlives them or holds up anybody else.

use super::harness::{Supd, alive, kill};
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::time::Instant;

/// A service that lives until somebody kills it, with this entry for that.
fn cured(entry: &str) -> String {
    format!(
        "[service.a]\ncommand = \"CHILD sleep forever\"\nbackoff = \"none\"\n\
         [service.a.remediation]\nkilled = {entry}\n[service.b]\ncommand = \"CHILD sleep forever\"\n"
    )
}

/// Starts it and kills the service.
fn killed(entry: &str) -> Supd {
    let mut supd = Supd::start(&cured(entry));
    supd.event("supervisor.ready", "root");
    kill(supd.pid_of("a"), "SIGKILL");
    supd
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn output(event: &Value) -> Vec<String> {
    let lines = event["output"].as_array().cloned().unwrap_or_default();
    lines.iter().map(|line| text(line).to_owned()).collect()
}

#[test]
fn a_hook_is_told_what_has_happened_and_the_service_starts_after_it() {
    let mut supd = killed(
        "{ shell = \"env | grep ^SUPD_ | sort; cat; echo; cat $SUPD_STDERR_FILE; test ! -e DIR/no\" }",
    );
    let exit = supd.event("service.exited", "a");
    assert_eq!(exit["decision"]["action"], "remediate");
    assert_eq!(exit["budget"]["used"], 1, "the token is taken first");
    let started = supd.event("remediation.started", "a");
    let done = supd.event("remediation.finished", "a");
    let start = supd.event("service.starting", "a");
    assert_eq!(done["verdict"], "fixed", "{done}");
    assert_eq!(started["cause"], exit["seq"]);
    assert_eq!(start["cause"], done["seq"]);
    assert_eq!(
        done["incident"],
        exit["incident"]
            .as_str()
            .map_or(done["incident"].clone(), Value::from)
    );
    let lines = output(&done).join("\n");
    for wanted in [
        "SUPD_HOOK_API=1",
        "SUPD_NAME=a",
        "SUPD_PATH=root/a",
        "SUPD_SUPERVISOR=root",
        "SUPD_CLASS=killed",
        "SUPD_BASE=killed",
        "SUPD_FAMILY=external",
        "SUPD_PHASE=ready",
        "SUPD_EXIT_SIGNAL=KILL",
        "SUPD_CORE=0",
        "SUPD_ATTEMPT=1",
        "SUPD_BUDGET_LEFT=4",
        "SUPD_DRY_RUN=0",
        "SUPD_REMEDIATION=a/killed",
        "\"kind\":\"service.exited\"",
    ] {
        assert!(lines.contains(wanted), "no {wanted} in {lines}");
    }
    let pid = format!("SUPD_PID={}", exit["pid"]);
    assert!(lines.contains(&pid), "{lines}");
    assert!(!lines.contains("SUPD_EXIT_CODE"), "{lines}");
}

#[test]
fn every_exit_code_has_its_verdict() {
    for (code, verdict) in [
        (0, "fixed"),
        (75, "retry"),
        (69, "blame"),
        (78, "park"),
        (125, "park"),
        (64, "declined"),
        (1, "failed"),
        (200, "failed"),
    ] {
        let mut supd = killed(&format!("\"CHILD exit {code}\""));
        let done = supd.event("remediation.finished", "a");
        assert_eq!(done["verdict"], verdict, "exit {code}: {done}");
        assert_eq!(done["code"], code);
        let next = if verdict == "park" {
            "service.parked"
        } else {
            "service.starting"
        };
        supd.event(next, "a");
    }
}

#[test]
fn escalation_by_a_remedy_ends_the_tree_with_the_code_of_the_service() {
    let mut supd = killed("\"CHILD exit 70\"");
    assert_eq!(supd.wait().code(), Some(137));
    let last = supd.talk.last().cloned().unwrap_or_default();
    assert_eq!(
        last,
        "supd: root gave up, as the remedy of a says, because of a: signal KILL"
    );
}

#[test]
fn the_last_line_of_the_output_says_how_long_to_wait() {
    let mut supd =
        killed("{ shell = \"echo trying; echo '{\\\"after\\\": \\\"300ms\\\"}'; exit 75\" }");
    let done = supd.event("remediation.finished", "a");
    assert_eq!(done["after_ms"], 300, "{done}");
    let wait = supd.event("service.backoff", "a");
    assert_eq!(wait["delay_ms"], 300);
    supd.event("service.ready", "a");
}

#[test]
fn fault_42_a_hook_that_hangs_is_killed_with_everything_it_has_started() {
    let mut supd = killed(
        "{ shell = \"sleep 1000 & echo $!; setsid sleep 1001 & echo $!; wait\", timeout = \"300ms\" }",
    );
    let done = supd.event("remediation.finished", "a");
    assert_eq!(
        (text(&done["verdict"]), text(&done["why"])),
        ("failed", "timeout")
    );
    for line in output(&done) {
        let pid: i32 = line.parse().expect("a pid");
        assert!(!alive(pid), "{pid} lives");
    }
    supd.event("service.ready", "a");
}

#[test]
fn fault_42_a_hook_that_goes_into_the_background_leaves_nobody() {
    let mut supd = killed(
        "{ shell = \"setsid sh -c 'echo $$ >DIR/one; exec sleep 1000' & \
         (setsid setsid sh -c 'echo $$ >DIR/two; exec sleep 1001' &) ; \
         while [ ! -s DIR/one ] || [ ! -s DIR/two ]; do :; done\" }",
    );
    let done = supd.event("remediation.finished", "a");
    assert_eq!(done["verdict"], "fixed");
    supd.event("service.starting", "a");
    for name in ["one", "two"] {
        let pid = fs::read_to_string(supd.dir.path(name)).expect("it was there");
        let pid: i32 = pid.trim().parse().expect("a pid");
        assert!(!alive(pid), "{name} ({pid}) lives");
    }
}

#[test]
fn fault_42_what_a_hook_writes_is_bounded() {
    let mut supd =
        killed("{ shell = \"head -c 20000000 /dev/zero | tr '\\\\0' x; echo; echo end\" }");
    let done = supd.event("remediation.finished", "a");
    assert_eq!(done["verdict"], "fixed", "{done}");
    let lines = output(&done);
    let kept: usize = lines.iter().map(String::len).sum();
    assert!(kept < 5000, "{kept} bytes are kept");
    assert_eq!(lines.last().map(String::as_str), Some("end"));
    assert!(lines[0].starts_with("(1999"), "{}", lines[0]);
}

#[test]
fn fault_42_a_hook_that_asks_for_its_own_restart_is_refused() {
    let supctl = env!("CARGO_BIN_EXE_supctl");
    let entry = format!("{{ shell = \"{supctl} restart a; {supctl} status b; exit 0\" }}");
    let mut supd = killed(&entry);
    let done = supd.event("remediation.finished", "a");
    let lines = output(&done).join("\n");
    assert!(
        lines.contains("a is remediating, and this is its hook"),
        "{lines}"
    );
    assert!(lines.contains("end with exit code 0"), "{lines}");
    assert!(lines.contains("b  "), "it may ask about others: {lines}");
    supd.event("service.ready", "a");
}

#[test]
fn fault_44_what_a_name_or_an_output_says_is_never_executed() {
    let mut supd = Supd::start(
        "[service.a]\nshell = \"echo ';$(touch DIR/canary)' >&2; exit 3\"\n\
         remediation = { exit_code = { shell = \"echo \\\"$SUPD_CLASS\\\"; cat >DIR/told; exit 78\" } }\n",
    );
    supd.event("service.parked", "a");
    let told = fs::read_to_string(supd.dir.path("told")).expect("it was told");
    assert!(told.contains(";$(touch"), "{told}");
    assert!(!supd.dir.path("canary").exists(), "somebody executed it");
}

#[test]
fn fault_71_no_secret_is_told_to_a_hook_but_in_its_environment() {
    let mut supd = Supd::start(
        "[service.a]\nshell = \"exit 3\"\nenv = { KEY = { file = \"DIR/supd.toml\" } }\n\
         # canary-71\n\
         remediation = { exit_code = { shell = \"cat; exit 78\" } }\n",
    );
    let done = supd.event("remediation.finished", "a");
    assert!(!output(&done).join("\n").contains("canary-71"), "{done}");
    supd.event("service.parked", "a");
}

#[test]
fn a_stop_calls_it_off_and_nothing_of_it_is_left() {
    let mut supd = killed("{ shell = \"echo $$ >DIR/pid; exec sleep 1000\" }");
    supd.event("remediation.started", "a");
    let file = supd.dir.path("pid");
    let pid = loop {
        if let Ok(pid) = fs::read_to_string(&file)
            .unwrap_or_default()
            .trim()
            .parse::<i32>()
        {
            break pid;
        }
    };
    assert_eq!(supd.node("a")["state"], "remediating");
    let (status, reply) = supd.post("/v1/nodes/a/stop", "");
    assert_eq!((status, &reply["ok"]), (200, &Value::Bool(true)));
    let (_, reply) = supd.post("/v1/nodes/a/start", "");
    assert_eq!(reply["ok"], true, "{reply}");
    assert!(!alive(pid), "it was started beside its hook");
}

#[test]
fn fifty_hooks_that_hang_delay_no_other_service() {
    use std::fmt::Write as _;
    let mut config = String::from("[supervisor.root]\nmax_restarts = 1000\n");
    config += "[remediation]\nkilled = { run = \"CHILD sleep forever\", timeout = \"1h\" }\n";
    for number in 0..50 {
        write!(
            config,
            "[service.s{number}]\ncommand = \"CHILD sleep forever\"\n"
        )
        .expect("a string");
    }
    config += "[service.free]\ncommand = \"CHILD sleep forever\"\n";
    config += "remediation = { killed = { run = \"CHILD exit 0\", mode = \"observe\" } }\n";
    let mut supd = Supd::start(&config);
    supd.event("supervisor.ready", "root");
    let before = restart_of_free(&mut supd);
    for number in 0..50 {
        kill(supd.pid_of(&format!("s{number}")), "SIGKILL");
    }
    for _ in 0..4 {
        supd.event("remediation.started", "");
    }
    let during = restart_of_free(&mut supd);
    let treated = (0..50).filter(|n| supd.node(&format!("s{n}"))["state"] == "remediating");
    assert_eq!(treated.count(), 50);
    // A bound for a machine that is shared; the point is that it is not the hooks' hour.
    assert!(
        during.as_secs() < 20 + before.as_secs(),
        "{before:?} before, {during:?} now"
    );
}

fn restart_of_free(supd: &mut Supd) -> std::time::Duration {
    let begin = Instant::now();
    kill(supd.pid_of("free"), "SIGKILL");
    supd.event("service.ready", "free");
    begin.elapsed()
}

#[test]
fn a_stale_pid_file_is_removed_and_that_of_a_living_owner_is_not() {
    let lock = "{ steps = [{ remove_stale_lock = { path = \"DIR/pid\", kind = \"pidfile\" } }] }";
    for (owner, verdict, left) in [("1", "retry", true), ("2147483647", "fixed", false)] {
        let mut supd = Supd::start(&cured(lock));
        supd.event("supervisor.ready", "root");
        supd.dir.write("pid", &format!("{owner}\nmore\n"));
        kill(supd.pid_of("a"), "SIGKILL");
        let done = supd.event("remediation.finished", "a");
        assert_eq!(done["verdict"], verdict, "{done}");
        assert_eq!(supd.dir.path("pid").exists(), left, "{done}");
        supd.event("service.ready", "a");
    }
}

#[test]
fn evidence_is_kept_in_the_record() {
    let mut supd = Supd::start(
        "[service.a]\nshell = \"echo first >&2; echo last words >&2; exit 3\"\n\
         remediation = { exit_code = { steps = [{ capture = [\"stderr\", \"status\"] }, \"park\"] } }\n",
    );
    let step = supd.event("remediation.step", "a");
    let lines = output(&step).join("\n");
    assert!(lines.contains("first\nlast words"), "{lines}");
    let done = supd.event("remediation.finished", "a");
    assert_eq!(done["verdict"], "park");
}

#[test]
fn evidence_is_collected_from_what_hangs_before_it_is_killed() {
    let mut supd = Supd::start(
        "[service.a]\nshell = \"while :; do : > DIR/a; sleep 0.2; done\"\n\
         liveness = { file = \"DIR/a\", every = \"400ms\", failures = 2 }\n\
         remediation = { unhealthy = { steps = [{ capture = [\"status\"] }, { run = \"CHILD exit 78\" }] } }\n",
    );
    supd.event("service.ready", "a");
    let pid = supd.pid_of("a");
    kill(pid, "SIGSTOP");
    let stopping = supd.event("service.stopping", "a");
    let step = supd.event("remediation.step", "a");
    assert_eq!(stopping["why"], "liveness_failed");
    let status = output(&step).join("\n");
    assert!(status.contains(&format!("Pid:\t{pid}")), "{status}");
    let done = supd.event("remediation.finished", "a");
    assert_eq!(
        done["verdict"], "park",
        "it says so, and nothing follows: {done}"
    );
    let exit = supd.event("service.exited", "a");
    assert_eq!(exit["class"], "liveness_failed", "{exit}");
    assert_eq!(exit["signal"], "ABRT");
    supd.event("service.ready", "a");
}

#[test]
fn what_a_stranger_may_have_written_reaches_no_command_and_deletes_nothing() {
    for (trust, kept) in [("", true), ("trust_output = true\n", false)] {
        let mut supd = Supd::start(&format!(
            "[supervisor.root]\nmax_restarts = 100\nchildren = [\"a\", \"b\"]\n\
             [class.taken]\nfamily = \"resource\"\nstderr = ['port (?P<port>\\S+) taken']\n\
             [class.owned]\nfamily = \"resource\"\nstderr = ['owned by']\n{trust}\
             [service.a]\nshell = \"echo 'port $(touch~no) taken' >&2; exit 3\"\n\
             remediation = {{ taken = {{ shell = \"echo got $SUPD_M_port; exit 78\" }} }}\n\
             [service.b]\nshell = \"echo 2147483647 > DIR/pid; echo 'owned by x' >&2; exit 4\"\n\
             [service.b.remediation]\nowned = {{ steps = [\
             {{ remove_stale_lock = {{ path = \"DIR/pid\", kind = \"pidfile\" }} }}, \"park\"] }}\n"
        ));
        let done = supd.event("remediation.finished", "a");
        assert_eq!(output(&done), ["got $(touch~no)"]);
        if kept {
            let skipped = supd.event("remediation.skipped", "b");
            assert_eq!(skipped["why"], "untrusted", "{skipped}");
        } else {
            let done = supd.event("remediation.finished", "b");
            assert_eq!(done["verdict"], "park", "{done}");
        }
        assert_eq!(supd.dir.path("pid").exists(), kept);
    }
}

fn supctl(supd: &Supd, line: &str) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_supctl"))
        .args(line.split(' '))
        .env("SUPD_SOCKET", supd.socket())
        .output()
        .expect("supctl runs");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[test]
fn an_entry_is_listed_counted_and_tried() {
    let mut supd = killed(
        "{ shell = \"echo dry=$SUPD_DRY_RUN; test $SUPD_DRY_RUN = 1 || touch DIR/done\", limit = \"3/10m\" }",
    );
    supd.event("remediation.finished", "a");
    supd.event("service.ready", "a");
    let (status, all) = supd.get("/v1/remediations");
    let entry = &all["remediations"][0];
    assert_eq!(status, 200);
    assert_eq!(entry["name"], "a/killed", "{entry}");
    assert_eq!(entry["verdicts"]["fixed"], 1, "{entry}");
    assert_eq!(
        (&entry["limit"], &entry["used"]),
        (&"3/10m".into(), &1.into())
    );
    let (code, text) = supctl(&supd, "remediation ls");
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("a/killed") && text.contains("used 1 of 3/10m"),
        "{text}"
    );
    let (_, page) = supd.ask("GET", "/metrics", "");
    for wanted in [
        "supd_remediation_runs_total{remediation=\"a/killed\",verdict=\"fixed\"} 1\n",
        "supd_remediation_duration_seconds_count{remediation=\"a/killed\"} 1\n",
    ] {
        assert!(page.contains(wanted), "no {wanted} in {page}");
    }
    fs::remove_file(supd.dir.path("done")).expect("the hook has run");
    let run = supd.node("a")["run"].clone();
    let (code, text) = supctl(&supd, "remediation test a --class killed --dry-run");
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("dry=1") && text.contains("a: fixed"),
        "{text}"
    );
    assert!(!supd.dir.path("done").exists(), "it was to change nothing");
    let (code, text) = supctl(&supd, "remediation test a --class killed");
    assert_eq!(code, Some(0), "{text}");
    assert!(supd.dir.path("done").exists(), "{text}");
    let (code, text) = supctl(&supd, "remediation test b --class killed");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("b has no remediation for `killed`"), "{text}");
    assert_eq!(supd.node("a")["run"], run, "nothing follows from it");
    let (_, all) = supd.get("/v1/remediations");
    let entry = &all["remediations"][0];
    assert_eq!(
        entry["verdicts"]["fixed"], 1,
        "a try is not counted: {entry}"
    );
    assert_eq!(entry["used"], 1, "{entry}");
}
