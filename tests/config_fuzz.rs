// SPDX-License-Identifier: MIT OR Apache-2.0
//! No input makes the reader of configurations panic, and what it accepts is a tree.

use proptest::prelude::*;
use std::io;
use std::path::{Path, PathBuf};
use supd::config::{self, Options, Source, Style};
use supd::spec::{Command, Node, Supervisor};

struct One(Vec<u8>);

impl Source for One {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.clone())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}

/// Loads, draws, and checks what an accepted tree promises.
fn survives(text: Vec<u8>) {
    let none = |_: &str| None;
    let outcome = config::load(Path::new("x.toml"), &One(text), &Options::new(&none));
    let picture = outcome.render(Style::PLAIN);
    assert!(!picture.contains('\u{1b}'));
    match &outcome.tree {
        None => assert!(!outcome.diagnostics.is_empty(), "refused without a word"),
        Some(loaded) => checked(&loaded.tree.root, 1),
    }
}

fn checked(supervisor: &Supervisor, depth: usize) {
    assert!(depth <= 17, "a pool may stand below the deepest supervisor");
    for child in &supervisor.children {
        match child {
            Node::Supervisor(inner) => checked(inner, depth + 1),
            Node::Service(service) => match &service.process.command {
                Command::Argv(words) => assert!(!words.is_empty() && !words[0].is_empty()),
                Command::Shell(text) => assert!(!text.is_empty()),
            },
        }
    }
}

/// Pieces that are likely to mean something together.
fn piece() -> impl Strategy<Value = String> {
    let keys: Vec<String> = config::accepted_keys()
        .into_iter()
        .filter_map(|path| path.rsplit('.').next().map(str::to_owned))
        .collect();
    let values = [
        "1",
        "-1",
        "0.5",
        "nan",
        "true",
        "\"5s\"",
        "\"a\"",
        "[]",
        "{}",
        "[\"a\", \"b\"]",
        "[[]]",
        "\"${A}\"",
        "\"${A:-b}\"",
        "\"$\"",
        "'a | b'",
        "\"a 'b'\"",
        "{ file = \"x\" }",
        "\"\"",
        "{ signal = \"KILL\" }",
        "[{ signal = \"INT\" }]",
        "{ tcp = \"[::1]:1\" }",
        "\"\\u0000\"",
        "{ exec = \"a\", every = \"1s\" }",
        "9223372036854775807",
        "1979-05-27",
        "\"infinity\"",
        "{ initial = \"0\", max = \"0\" }",
        "[\"0\"]",
        "\"rest_for_one\"",
        "\"oneshot\"",
        "\"otp\"",
    ];
    let heads = [
        "[supd]",
        "[vars]",
        "[defaults]",
        "[service.a]",
        "[service.b]",
        "[supervisor.a]",
        "[supervisor.root]",
        "[supervisor.s]",
        "[template.a]",
        "[service.a.env]",
        "[class.x]",
        "[service.\"\\u001b\"]",
        "[supervisor.s.defaults]",
        "[[service.a]]",
        "[service]",
    ];
    prop_oneof![
        (
            prop::sample::select(keys),
            prop::sample::select(values.to_vec())
        )
            .prop_map(|(key, value)| format!("{key} = {value}\n")),
        prop::sample::select(heads.to_vec()).prop_map(|head| format!("{head}\n")),
        Just("command = \"a\"\n".to_owned()),
        "\\PC{0,12}\n",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survives(bytes);
    }

    #[test]
    fn no_tables_make_it_panic(pieces in prop::collection::vec(piece(), 0..30)) {
        survives(pieces.concat().into_bytes());
    }

    #[test]
    fn no_cut_or_changed_example_makes_it_panic(
        at in 0_usize..3000,
        byte in any::<u8>(),
        cut in any::<bool>(),
    ) {
        let mut text = std::fs::read("tests/config/every-key.toml").expect("the example");
        let at = at % text.len();
        if cut {
            text.truncate(at);
        } else {
            text[at] = byte;
        }
        survives(text);
    }
}

#[test]
fn ten_thousand_services_are_read_in_linear_time() {
    use std::fmt::Write as _;
    let mut text = String::from("[defaults]\nuser = \"x\"\nstop = { timeout = \"1s\" }\n");
    for n in 0..10_000 {
        writeln!(
            text,
            "[service.s{n}]\ncommand = \"s {n}\"\nenv = {{ N = \"{n}\" }}"
        )
        .expect("ok");
    }
    let none = |_: &str| None;
    let outcome = config::load(
        Path::new("x.toml"),
        &One(text.into_bytes()),
        &Options::new(&none),
    );
    let loaded = outcome.tree.expect("a good configuration");
    assert_eq!(loaded.tree.root.children.len(), 10_000);
}

#[test]
fn no_depth_of_the_text_exhausts_the_stack() {
    let deep = |open: &str, close: &str| {
        let (open, close) = (open.repeat(50_000), close.repeat(50_000));
        format!("[vars]\na = {open}{close}\n").into_bytes()
    };
    survives(deep("[", "]"));
    survives(deep("{a=", "}"));
    survives(format!("{}b = 1\n", "a.".repeat(50_000)).into_bytes());
    survives(format!("[{}b]\n", "a.".repeat(50_000)).into_bytes());
    survives(format!("[[{}b]]\n", "a.".repeat(50_000)).into_bytes());
    survives(format!("[service.a]\nenv.{}b = 1\n", "a.".repeat(50_000)).into_bytes());
}
