// SPDX-License-Identifier: MIT OR Apache-2.0
//! supctl simulate and supctl test: the story of a configuration, expectations about it, and every
//! mistake one can make in a script. No daemon, no process.

mod fake_daemon;

use fake_daemon::{shown, supctl};
use insta::assert_snapshot;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;
use supd::config::{self, Disk, Options};
use supd::ctl::prove::{Act, Ended, Fault, Model, Told};
use supd::spec::ExitStatus;
use supd::tree::{State, Time, What};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Every kind of node that a script can be about.
const SHOP: &str = r#"
[supervisor.root]
strategy = "rest_for_one"
max_restarts = 3
children = ["db", "migrate", "site", "jobs"]
[supervisor.site]
strategy = "one_for_all"
on_exhausted = { hold = "2m" }
max_restarts = 2
children = ["api", "web"]
[defaults]
command = "true"
backoff = { initial = "200ms", jitter = "none" }
[service.db]
ready = { notify = true }
start_timeout = "5s"
[service.migrate]
type = "oneshot"
[service.api]
ready = { tcp = "127.0.0.1:80", recheck = "10s" }
[service.web]
ready = { exec = ["check"] }
stop = { command = "true", timeout = "2s" }
[service.jobs]
instances = 2
"#;

fn directory(name: &str) -> PathBuf {
    let name = format!("prove-{name}-{}", std::process::id());
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(dir.join("shop.toml"), SHOP).expect("a file");
    dir
}

fn run(dir: &Path, args: &[&str]) -> Output {
    let mut command = supctl();
    command.current_dir(dir).args(args);
    command.output().expect("runs")
}

/// Scripts on the shop, one after another, as a person sees them.
fn told(name: &str, scripts: &[&str]) -> String {
    let dir = directory(name);
    let told = scripts.iter().map(|script| {
        let output = run(&dir, &["simulate", "-c", "shop.toml", script]);
        shown(&format!("simulate '{script}'"), &output)
    });
    let told = told.collect();
    fs::remove_dir_all(&dir).expect("the directory is removed");
    told
}

#[test]
fn every_decision_is_part_of_the_story() {
    assert_snapshot!(told(
        "story",
        &[
            "",
            "web is killed",
            "jobs.1 exits 3 x6",
            "api exits 1 x3 in 6s; expect api held; expect db untouched",
            "probe of api fails for 25s",
            "web is not ready; restart web",
            "web cannot start EACCES x2; web exits 1",
            "web hangs; wait 1s; stop web",
            "web ignores signals; web takes 1s to start; api is killed by SEGV",
            "jobs.2 exits 1 x2 every 1s; scale jobs 3 after 2s; shutdown after 4s",
            "stop api; web exits 1; wait 1m; start api at 5s",
        ],
    ));
}

#[test]
fn a_mistake_is_shown_where_it_is_with_a_way_out() {
    assert_snapshot!(told(
        "mistakes",
        &[
            "web exist 1",
            "wb exits 1",
            "web",
            "web exits",
            "web exits 400",
            "web exits one",
            "web exits 1 x0",
            "web exits 1 x6 in 30",
            "web exits 1 in 30s",
            "web exits 1 x2 in 3s every 4s",
            "web exits 1 afterwards",
            "web is dead",
            "web is killed by 9",
            "web cannot start ENOTHING",
            "web takes 3s to sing",
            "web hangs while starting",
            "jobs exits 1",
            "site exits 1",
            "strt web",
            "scale web 3",
            "wait",
            "reload absent.toml",
            "probe of web fails",
            "expect web restarte",
            "expect web gives up",
            "expect site held; expect site ready",
            "expect web up",
            "expect at most many restarts of web",
            "expect class of web",
            "web exits \"1",
            "web exits 1; wb exits 1; api exist; web",
        ],
    ));
}

#[test]
fn the_examples_do_what_their_tests_say() {
    let folder = Path::new(ROOT).join("config/examples");
    let entries = fs::read_dir(&folder).expect("the examples");
    let files = entries.map(|entry| entry.expect("a file").path());
    let mut files: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "test"))
        .collect();
    files.sort();
    assert!(files.len() >= 4, "{files:?}");
    let mut command = supctl();
    let output = command.arg("test").args(&files).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.ends_with("all held\n"), "{text}");
}

#[test]
fn a_report_says_what_was_found_instead() {
    let dir = directory("report");
    let script = "config shop.toml\n\
        test \"what holds\"\n\
        web exits 1\n\
        expect web restarted x1 within 5s; expect api restarted\n\
        expect class of web exit_code; expect exactly 1 restart of web\n\
        expect db untouched; expect web ready; expect site finally up\n\
        expect no restarts of db; expect db ready within 1s\n\
        test \"what does <not> hold\"\n\
        web exits 1\n\
        expect web restarted x2; expect web restarted within 100ms\n\
        expect api untouched; expect db restarted; expect class of web killed\n\
        expect class of db killed; expect web parked; expect web finally held\n\
        expect root gives up with 3; expect at most 0 restarts of web\n\
        expect at least 2 restarts of web; expect no restarts of api\n\
        test \"steps follow each other\"\n\
        web exits 1 x3\n\
        expect web held within 10s\n\
        start web\n\
        expect site up within 5s\n\
        wait 1m; web exits 1\n\
        expect exactly 1 restart of web\n";
    fs::write(dir.join("shop.test"), script).expect("a file");
    let told = shown(
        "test",
        &run(&dir, &["test", "shop.test", "--junit", "out.xml"]),
    );
    let junit = fs::read_to_string(dir.join("out.xml")).expect("a report");
    let json = shown("--json", &run(&dir, &["--json", "test", "shop.test"]));
    let bad = [
        ("empty.test", "web exits 1\n"),
        ("absent.test", "config absent.toml\nweb exits 1\n"),
        ("late.test", "web exits 1\nconfig shop.toml\n"),
        (
            "wrong.test",
            "config shop.toml\ntest \"a\"\n\tweb exist\n\n  wb exits 1 # so\n",
        ),
        ("names.test", "config shop.toml\ntest\n"),
        ("broken.test", "config broken.toml\nweb exits 1"),
    ];
    fs::write(dir.join("broken.toml"), "[service.web]\ncommnd = 'a'\n").expect("a file");
    let bad = bad.map(|(name, text)| {
        fs::write(dir.join(name), text).expect("a file");
        shown(name, &run(&dir, &["test", name]))
    });
    let missing = shown("no file", &run(&dir, &["test", "none.test"]));
    fs::remove_dir_all(&dir).expect("the directory is removed");
    let bad = bad.concat();
    assert_snapshot!([&*told, &*junit, &*json, &*bad, &*missing].join("\n"));
}

#[test]
fn a_reload_is_played_as_the_daemon_would_do_it() {
    let dir = directory("reload");
    let new = SHOP.replace("max_restarts = 2", "max_restarts = 9");
    let new = new.replace("[service.web]", "[service.web]\nenv = { A = \"1\" }");
    fs::write(dir.join("new.toml"), new).expect("a file");
    let script = "scale jobs 3; wait 1s; reload new.toml; expect jobs.3 untouched within 1m; \
        web exits 1 x3 in 6s; expect site up; expect web finally ready";
    let output = run(&dir, &["simulate", "-c", "shop.toml", script]);
    let told = shown("simulate", &output);
    fs::remove_dir_all(&dir).expect("the directory is removed");
    assert_snapshot!(told);
}

#[test]
fn the_same_seed_gives_the_same_story_and_another_another() {
    let dir = directory("seed");
    let jittered = SHOP.replace("none", "full");
    fs::write(dir.join("shop.toml"), jittered).expect("a file");
    let story = |seed: &str| {
        let script = "db exits 1 x4 in 20s";
        let output = run(
            &dir,
            &[
                "--json",
                "simulate",
                "-c",
                "shop.toml",
                "--seed",
                seed,
                script,
            ],
        );
        assert_eq!(output.status.code(), Some(0));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")["story"].take()
    };
    let (first, again, other) = (story("1"), story("1"), story("2"));
    fs::remove_dir_all(&dir).expect("the directory is removed");
    assert_eq!(first, again);
    assert_ne!(first, other);
    // The events are those of the protocol.
    for line in first.as_array().expect("a list") {
        if let Some(event) = line.get("event") {
            let event: supd::wire::EventLine =
                serde_json::from_value(event.clone()).expect("an event");
            assert!(event.seq > 0 && event.ts.starts_with("1970-01-01T"));
        }
    }
}

#[test]
fn what_never_comes_to_rest_is_cut_off() {
    let dir = directory("endless");
    let args = [
        "simulate",
        "-c",
        "shop.toml",
        "--until",
        "90s",
        "web takes 2h to start; restart web",
    ];
    let output = run(&dir, &args);
    fs::remove_dir_all(&dir).expect("the directory is removed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("+1m30s: the time is over"), "{text}");
}

/// The driver itself: for tests that want the engine and a world, and no script.
#[test]
fn the_model_drives_a_tree_through_virtual_time() {
    let dir = directory("model");
    let no_env = |_: &str| None;
    let outcome = config::load(&dir.join("shop.toml"), &Disk, &Options::new(&no_env));
    fs::remove_dir_all(&dir).expect("the directory is removed");
    let spec = Arc::new(outcome.tree.expect("a valid file").tree);
    let mut model = Model::new(&spec, 1);
    model.watch(["db".to_owned()]);
    assert_eq!(
        model.boot(Time::default() + Duration::from_secs(60)),
        Ended::Quiet
    );
    let up = model.now();
    let fault = Fault::Ends(ExitStatus::Code(3));
    let act = Act::Fault("db".to_owned(), fault);
    model.at(up + Duration::from_secs(5), act, "db exits 3".to_owned());
    assert_eq!(model.settle(up + Duration::from_secs(600)), Ended::Quiet);
    let states: Vec<State> = model.states().iter().map(|(_, _, state)| *state).collect();
    let way = [
        State::Stopped,
        State::Starting,
        State::Ready,
        State::Backoff,
    ];
    assert_eq!(states[..4], way);
    assert_eq!(states.last(), Some(&State::Ready));
    let exits = model.story().iter().filter_map(|(_, told)| match told {
        Told::Record(record) => match &record.what {
            What::Exited(exit) if record.name.as_deref() == Some("db") => Some(exit.class.base),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(
        exits.map(supd::tree::Class::as_str).collect::<Vec<_>>(),
        ["exit_code"]
    );
    assert!(model.tree().audit().is_ok());
}

#[test]
fn what_the_engine_foresees_of_a_misfortune_is_what_happens() {
    use supd::tree::Misfortune;
    let mut compared = 0;
    for file in [
        "examples/stack.toml",
        "examples/pipeline.toml",
        "examples/nested.toml",
    ] {
        let no_env = |_: &str| None;
        let path = Path::new(ROOT).join("config").join(file);
        let outcome = config::load(&path, &Disk, &Options::new(&no_env));
        let spec = Arc::new(outcome.tree.expect("a valid file").tree);
        let mut up = Model::new(&spec, 1);
        assert_eq!(
            up.boot(Time::default() + Duration::from_secs(600)),
            Ended::Quiet
        );
        let before = up.tree().snapshot();
        let services = up
            .tree()
            .snapshot()
            .nodes
            .into_iter()
            .filter(|n| n.run.is_some());
        for node in services {
            let name = node.spec.name().to_string();
            for code in [0, 1, 78] {
                let status = ExitStatus::Code(code);
                let within = Duration::from_secs(60);
                let foreseen = up
                    .tree()
                    .foresee_misfortune(node.id, (Misfortune::Ends(status), within))
                    .expect("it has a process");
                let mut model = up.clone();
                let told = model.story().len();
                let act = Act::Fault(name.clone(), Fault::Ends(status));
                model.at(model.now(), act, String::new());
                assert_eq!(model.settle(model.now() + within), Ended::Quiet);
                let started = model.story()[told..]
                    .iter()
                    .filter_map(|(_, told)| match told {
                        Told::Record(r) if matches!(r.what, What::Starting { .. }) => {
                            r.name.clone()
                        }
                        _ => None,
                    });
                assert_eq!(
                    foreseen.started,
                    started.collect(),
                    "{file}: {name} exits {code}"
                );
                assert!(foreseen.healed, "{file}: {name} exits {code}");
                compared += 1;
            }
        }
        assert_eq!(
            before,
            up.tree().snapshot(),
            "the tree itself is not touched"
        );
    }
    assert!(compared > 30, "{compared}");
}

#[test]
fn who_hangs_is_found_by_liveness_and_watchdog_on_paper_and_in_foresight() {
    use supd::tree::Misfortune;
    let dir = directory("hang");
    let tree = "[service.web]\ncommand = \"true\"\n\
        liveness = { tcp = \"127.0.0.1:80\", every = \"2s\", timeout = \"1s\", failures = 2 }\n\
        [service.db]\ncommand = \"true\"\nready = { notify = true }\nwatchdog = \"5s\"\n\
        [service.deaf]\ncommand = \"true\"\n";
    fs::write(dir.join("shop.toml"), tree).expect("a file");
    let no_env = |_: &str| None;
    let outcome = config::load(&dir.join("shop.toml"), &Disk, &Options::new(&no_env));
    let spec = Arc::new(outcome.tree.expect("a valid file").tree);
    let mut up = Model::new(&spec, 1);
    up.boot(Time::default() + Duration::from_secs(60));
    let within = Duration::from_secs(120);
    for (name, class) in [
        ("web", Some("liveness_failed")),
        ("db", Some("watchdog_timeout")),
        ("deaf", None),
    ] {
        let id = up.tree().node(name).expect("a node");
        let foreseen = up
            .tree()
            .foresee_misfortune(id, (Misfortune::Hangs, within));
        let foreseen = foreseen.expect("it has a process");
        assert_eq!(
            foreseen.class.map(supd::spec::Class::as_str),
            class,
            "{name}"
        );
        let started: Vec<_> = foreseen.started.iter().map(ToString::to_string).collect();
        assert_eq!(
            started,
            class
                .map(|_| name.to_owned())
                .into_iter()
                .collect::<Vec<_>>()
        );
        let expected = match class {
            Some(class) => format!("expect class of {name} {class}; expect {name} restarted"),
            None => format!("expect {name} untouched"),
        };
        let script = format!("{name} hangs; {expected}");
        let output = run(&dir, &["simulate", "-c", "shop.toml", &script]);
        assert_eq!(output.status.code(), Some(0), "{}", shown(&script, &output));
    }
    fs::remove_dir_all(&dir).expect("the directory is removed");
}
