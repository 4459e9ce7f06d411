// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who owns the socket, what the command line says, how a start is refused.

use super::harness::{Dir, Start, Supd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output};

const ONE: &str = "[service.a]\ncommand = \"CHILD sleep forever\"";

fn supd(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_supd"))
        .args(words)
        .output()
        .expect("supd runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn fault_62_a_second_daemon_goes_away_and_leaves_the_socket_alone() {
    let mut first = Supd::start(ONE);
    first.event("supervisor.ready", "root");
    let config = first.dir.path("supd.toml").display().to_string();
    let socket = first.socket().display().to_string();
    for _ in 0..3 {
        let second = supd(&["-c", &config, "--socket", &socket]);
        assert_eq!(second.status.code(), Some(75));
        assert!(text(&second.stderr).contains("another supd holds"));
    }
    assert_eq!(first.get("/v1/health").0, 200);
}

#[test]
fn a_stale_socket_is_replaced_and_something_else_is_not() {
    let dir = Dir::new();
    drop(UnixListener::bind(dir.path("s")).expect("a socket"));
    dir.write("supd.toml", &super::harness::expand(ONE, &dir));
    let mut replaced = Supd::start_in(dir, Start::default());
    replaced.event("supervisor.ready", "root");
    assert_eq!(replaced.get("/v1/health").0, 200);
    let mode = std::fs::metadata(replaced.socket())
        .expect("a socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let dir = Dir::new();
    dir.write("s", "precious");
    dir.write("supd.toml", &super::harness::expand(ONE, &dir));
    let mut without = Supd::start_in(dir, Start::default());
    let remark = without.event("daemon.surroundings", "");
    let message = remark["message"].as_str().expect("a message");
    assert!(message.contains("no control socket"), "{message}");
    without.event("supervisor.ready", "root");
    let kept = std::fs::read_to_string(without.socket()).expect("the file");
    assert_eq!(kept, "precious");
}

#[test]
fn a_bad_configuration_is_65_with_its_place_and_nothing_is_started() {
    let dir = Dir::new();
    let config = dir.write("supd.toml", "[service.a]\ncommnd = \"true\"\n");
    let config = config.display().to_string();
    for words in [
        vec!["-c", &config],
        vec!["check", &config],
        vec!["--check", "-c", &config],
    ] {
        let refused = supd(&words);
        assert_eq!(refused.status.code(), Some(65), "{words:?}");
        let text = text(&refused.stderr);
        assert!(
            text.contains("commnd") && text.contains("supd.toml:2"),
            "{text}"
        );
    }
}

#[test]
fn the_command_line_has_the_usual_exit_codes() {
    let cases: [(&[&str], i32, &str); 5] = [
        (&["--version"], 0, env!("CARGO_PKG_VERSION")),
        (&["--help"], 0, "Usage: supd"),
        (&["--nonsense"], 64, "--nonsense"),
        (&["-g", "true"], 64, "supd [-gswv]"),
        (&["-c"], 64, "needs a file"),
    ];
    for (words, code, wanted) in cases {
        let output = supd(words);
        assert_eq!(output.status.code(), Some(code), "{words:?}");
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(said.contains(wanted), "{words:?}: {said}");
    }
}

#[test]
fn a_dry_run_shows_the_tree_and_starts_nothing() {
    let dir = Dir::new();
    let toml = "[service.b]\ncommand = \"touch DIR/started\"\n[service.a]\ncommand = \"true\"\n";
    let config = dir.write("supd.toml", &super::harness::expand(toml, &dir));
    let output = supd(&["--dry-run", "-c", &config.display().to_string()]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), "root\n  b\n  a\n");
    let checked = supd(&["check", &config.display().to_string()]);
    assert_eq!(checked.status.code(), Some(0));
    assert!(text(&checked.stdout).contains("supd.toml: valid, config "));
    assert!(!dir.path("started").exists());
}
