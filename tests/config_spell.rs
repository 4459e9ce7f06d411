// SPDX-License-Identifier: MIT OR Apache-2.0
//! A configuration written back: what is in force can be read again and means the same, and every
//! key that was written is found with its place.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use supd::config::{self, Describe, Loaded, Options, Outcome, Source, Style};
use supd::spec::{Backoff, Node, Supervisor};

/// Files in memory.
struct Memory(BTreeMap<PathBuf, String>);

impl Memory {
    fn with(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| (PathBuf::from(path), (*text).to_owned());
        Self(files.iter().map(file).collect())
    }
}

impl Source for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let found = self.0.get(path).map(|text| text.clone().into_bytes());
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let inside = |path: &&PathBuf| path.parent() == Some(directory);
        Ok(self.0.keys().filter(inside).cloned().collect())
    }
}

fn read(files: &[(&str, &str)]) -> Outcome {
    let no_env = |_: &str| None;
    let options = Options {
        describe: Describe::Yes,
        ..Options::new(&no_env)
    };
    config::load(Path::new("supd.toml"), &Memory::with(files), &options)
}

fn good(text: &str) -> Loaded {
    let outcome = read(&[("supd.toml", text)]);
    let picture = outcome.render(Style::PLAIN);
    outcome.tree.unwrap_or_else(|| panic!("{picture}{text}"))
}

/// What has no word of its own in a file: the back-off of supervisors is their branch's.
fn without_inherited(sup: &Supervisor) -> Supervisor {
    let children = sup.children.iter().map(|child| match child {
        Node::Supervisor(inner) => Node::Supervisor(Arc::new(without_inherited(inner))),
        Node::Service(_) => child.clone(),
    });
    Supervisor {
        backoff: Arc::new(Backoff::None),
        children: children.collect(),
        ..sup.clone()
    }
}

#[test]
fn what_is_in_force_can_be_read_again_and_means_the_same() {
    let odd = r#"
        [service.odd]
        command = ["sh", "-c", 'echo "$HOME" \ ${1} $$${X}' , "", "a b", "é\t\u0001"]
        env = { "A B" = "x", DOLLAR = "$$5 $${V}", Q = "it's \"quoted\"" }
        workdir = "/srv/a b"
        stop = { signal = "RTMIN+3", timeout = "1m1.25s" }
        start_timeout = "1500us"
        limits = { cpu = "90s", rttime = "1234us" }
        [service.script]
        shell = "echo $HOME ${X:-1} 'a'\n"
        [service.pool]
        instances = 2
        command = "run --name ${NAME} --id=${INSTANCE}"
        env = { ID = "n${INSTANCE}" }
        [vars]
        X = "x"
        "#
    .replace("${1} $$${X}", "$$ $$${X}");
    let files = ["every-key.toml", "full.toml"].map(|name| {
        let path = Path::new("tests/config").join(name);
        std::fs::read_to_string(path).expect("the file")
    });
    for text in files.iter().chain([&odd]) {
        let first = good(text);
        let written = first.to_toml();
        let second = good(&written.replace("\"***\"", "\"hunter2\""));
        assert_eq!(first.tree.settings, second.tree.settings, "{written}");
        let trees = [&first, &second].map(|l| without_inherited(&l.tree.root));
        assert_eq!(trees[0], trees[1], "{written}");
        assert_eq!(written, second.to_toml());
    }
    let written = good(&odd).to_toml();
    assert!(written.contains("command = \"run --name pool.${INSTANCE} --id=${INSTANCE}\""));
}

#[test]
fn no_secret_is_written() {
    let text = "[service.a]\ncommand = \"a\"\nenv = { TOKEN = \"hunter2\", X = \"${TOKEN}\" }\n\
        [vars]\nTOKEN = \"v\"\n";
    let outcome = read(&[("supd.toml", text)]);
    let told = format!("{:?}", outcome.described);
    let loaded = outcome.tree.expect("it is valid");
    for shown in [told, loaded.to_toml(), format!("{:?}", loaded.in_force())] {
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("***"), "{shown}");
    }
}

#[test]
fn every_key_is_told_with_its_place_and_its_layer() {
    let main = "include = [\"conf.d/*.toml\"]\n\
        [defaults]\nstop = { timeout = \"5s\" }\n\
        [supervisor.root]\nchildren = [\"g\"]\n\
        [supervisor.g]\nchildren = [\"web\", \"pool\"]\ndefaults = { nice = 3 }\n\
        [template.app]\nworkdir = \"/srv\"\nenv = { A = \"1\" }\n\
        [service.web]\nextends = \"app\"\ncommand = \"web\"\nenv.PORT = \"8080\"\n\
        [service.pool]\ncommand = \"pool\"\ninstances = 2\n";
    let more = "[service.web]\nenv.PORT = \"8081\"\n[supd]\nlog.level = \"warn\"\n";
    let outcome = read(&[("supd.toml", main), ("conf.d/a.toml", more)]);
    assert!(outcome.tree.is_some(), "{}", outcome.render(Style::PLAIN));
    let told: Vec<String> = outcome
        .described
        .iter()
        .flat_map(|d| {
            d.written.iter().map(move |w| {
                let (name, key, value) = (&d.name, &w.key, &w.value);
                let (file, line) = (w.file.display(), w.line);
                format!(
                    "{} {name}: {key} = {value} {file}:{line} {}",
                    d.table, w.from
                )
            })
        })
        .collect();
    assert_eq!(
        told,
        [
            "supd : log.level = \"warn\" conf.d/a.toml:4 supd",
            "supervisor root: children = [\"g\"] supd.toml:5 supervisor.root",
            "supervisor g: children = [\"web\", \"pool\"] supd.toml:7 supervisor.g",
            "supervisor g: defaults.nice = 3 supd.toml:8 supervisor.g.defaults",
            "service web: stop.timeout = \"5s\" supd.toml:3 defaults",
            "service web: nice = 3 supd.toml:8 supervisor.g.defaults",
            "service web: workdir = \"/srv\" supd.toml:10 template.app",
            "service web: env.A = \"1\" supd.toml:11 template.app",
            "service web: env.PORT = \"8081\" conf.d/a.toml:2 service.web",
            "service web: extends = \"app\" supd.toml:13 service.web",
            "service web: command = \"web\" supd.toml:14 service.web",
            "service pool: stop.timeout = \"5s\" supd.toml:3 defaults",
            "service pool: nice = 3 supd.toml:8 supervisor.g.defaults",
            "service pool: command = \"pool\" supd.toml:17 service.pool",
            "service pool: instances = 2 supd.toml:18 service.pool",
        ]
    );
}

#[test]
fn every_key_can_be_explained() {
    let accepted = config::accepted_keys();
    let described = ["supd.", "supervisor.NAME.", "service.NAME."];
    let keys = accepted.iter().filter(|key| {
        let layer = key.contains(".defaults.");
        !layer && described.iter().any(|table| key.starts_with(table))
    });
    let mut count = 0;
    for key in keys {
        let found = config::key_help(key);
        assert!(!found.is_empty(), "no word about `{key}`");
        assert!(found.iter().all(|help| !help.meaning.is_empty()), "{key}");
        count += 1;
    }
    assert!(count > 60, "only {count} keys");
    assert_eq!(
        config::key_help("ready")
            .iter()
            .filter(|h| h.key == "ready.exec")
            .count(),
        1
    );
    assert_eq!(config::key_help("service.restart").len(), 1);
    assert!(config::key_help("zzz").is_empty());
}
