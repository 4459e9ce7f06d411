// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configuration language from outside: files in, trees and pictures of diagnostics out.
//!
//! Every `tests/config/cases/*.toml` has a `.txt` beside it with the diagnostics it must give;
//! `BLESS=1 cargo test --test config` writes them anew, to be read before they are committed.

#[path = "config/tree_text.rs"]
mod tree_text;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use supd::config::{
    self, Charset, Color, Lints, Loaded, Options, Outcome, Platform, Severity, Source, Style,
};
use supd::spec::{self, Node};
use tree_text::tree_text;

/// Files in memory.
#[derive(Default)]
struct Memory {
    files: BTreeMap<PathBuf, Vec<u8>>,
    programs: Vec<PathBuf>,
}

impl Memory {
    fn with(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| (PathBuf::from(path), text.as_bytes().to_vec());
        Self {
            files: files.iter().map(file).collect(),
            programs: Vec::new(),
        }
    }
}

impl Source for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let found = self.files.get(path).cloned();
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let inside = |path: &&PathBuf| path.parent() == Some(directory);
        Ok(self.files.keys().filter(inside).cloned().collect())
    }

    fn executable(&self, path: &Path) -> Option<bool> {
        let known = !self.programs.is_empty();
        known.then(|| self.programs.iter().any(|p| p == path))
    }
}

fn no_env(_: &str) -> Option<String> {
    None
}

fn load_text(text: &str) -> Outcome {
    config::load(
        Path::new("supd.toml"),
        &Memory::with(&[("supd.toml", text)]),
        &Options::new(&no_env),
    )
}

fn good(text: &str) -> Loaded {
    let outcome = load_text(text);
    let picture = outcome.render(Style::PLAIN);
    outcome.tree.unwrap_or_else(|| panic!("{picture}"))
}

fn codes_of(outcome: &Outcome) -> Vec<&'static str> {
    outcome.diagnostics.iter().map(|d| d.code).collect()
}

fn service<'a>(loaded: &'a Loaded, name: &str) -> &'a spec::Service {
    find(&loaded.tree.root, name).unwrap_or_else(|| panic!("no service {name}"))
}

fn find<'a>(supervisor: &'a spec::Supervisor, name: &str) -> Option<&'a spec::Service> {
    supervisor.children.iter().find_map(|child| match child {
        Node::Service(service) => (&*service.name == name).then_some(&**service),
        Node::Supervisor(inner) => find(inner, name),
    })
}

fn cases() -> Vec<PathBuf> {
    let all = config::Disk.list(Path::new("tests/config/cases"));
    let mut cases: Vec<PathBuf> = all.expect("the directory of cases");
    cases.retain(|p| p.extension().is_some_and(|e| e == "toml"));
    cases.sort();
    cases
}

/// Knows no program but those of a real machine's `/bin` that cases use.
struct Cases;

impl Source for Cases {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        config::Disk.read(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        config::Disk.list(directory)
    }

    fn executable(&self, path: &Path) -> Option<bool> {
        Some(!path.ends_with("absent"))
    }

    fn account(&self, _: config::Account, name: &str) -> Option<bool> {
        Some(name != "nobody-here")
    }
}

fn with_examples() -> Options<'static> {
    Options {
        judge: Some(&supd::tree::named),
        ..Options::new(&no_env)
    }
}

#[test]
fn every_diagnostic_has_a_place_and_a_way_out() {
    let options = Options::new(&no_env);
    let mut lacking = Vec::new();
    for case in cases() {
        for found in config::load(&case, &Cases, &options).diagnostics {
            if found.help.as_deref().is_none_or(str::is_empty) {
                lacking.push(format!("{}: no help: {}", case.display(), found.message));
            }
            if found.line().is_none() || found.column().is_none() {
                lacking.push(format!("{}: no place: {}", case.display(), found.message));
            }
        }
    }
    assert!(lacking.is_empty(), "{}", lacking.join("\n"));
}

#[test]
fn every_case_gives_exactly_its_diagnostics() {
    let mut wrong = Vec::new();
    for case in cases() {
        let outcome = config::load(&case, &Cases, &with_examples());
        let picture = outcome.render(Style::PLAIN);
        let expected = case.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&expected, &picture).expect("a writable directory of cases");
        }
        let wanted = std::fs::read_to_string(&expected).unwrap_or_default();
        if wanted != picture {
            wrong.push(format!(
                "{}:\n{picture}\nexpected:\n{wanted}",
                case.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_case_named_after_it() {
    let made_in_code = ["E0138", "E0139", "E0140", "E0141", "E0142", "L13"];
    let names: Vec<String> = cases()
        .iter()
        .map(|p| {
            p.file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    for code in config::codes() {
        let beginning = format!("{code}-");
        let case = names.iter().find(|n| n.starts_with(&beginning));
        assert!(
            case.is_some() || made_in_code.contains(&code),
            "{code} has no case"
        );
        let Some(case) = case else { continue };
        let path = Path::new("tests/config/cases").join(case);
        let outcome = config::load(&path, &Cases, &with_examples());
        assert!(
            codes_of(&outcome).contains(&code),
            "{case} does not show {code}"
        );
    }
}

#[test]
fn every_code_can_be_explained_and_no_other() {
    for code in config::codes() {
        let text = config::explain(&code.to_lowercase()).unwrap_or_default();
        assert!(text.starts_with(code) && text.len() > 40, "{code}: {text}");
    }
    assert_eq!(config::explain("E9999"), None);
}

#[test]
fn two_lines_are_a_configuration() {
    let loaded = good("[service.web]\ncommand = \"nginx -g 'daemon off;'\"\n");
    insta_like("two-lines", &tree_text(&loaded.tree));
}

#[test]
fn the_full_example_is_the_expected_tree() {
    let text = std::fs::read_to_string("tests/config/full.toml").expect("the example");
    let loaded = good(&text);
    insta_like("full", &tree_text(&loaded.tree));
}

/// Compares with `tests/config/NAME.tree.txt`.
fn insta_like(name: &str, text: &str) {
    let path = format!("tests/config/{name}.tree.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, text).expect("a writable directory");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == text, "{path}\n{text}\nexpected:\n{wanted}");
}

#[test]
fn nodes_nobody_lists_stand_under_the_root_in_text_order() {
    let loaded =
        good("[service.b]\ncommand = \"b\"\n[supervisor.z]\n[service.a]\ncommand = \"a\"\n");
    assert_eq!(names(&loaded.tree.root), ["b", "z", "a"]);
    let loaded = good(
        "[service.b]\ncommand = \"b\"\n[service.a]\ncommand = \"a\"\n[supervisor.root]\n\
         children = [\"a\"]\n",
    );
    assert_eq!(names(&loaded.tree.root), ["a", "b"]);
    assert_eq!(loaded.tree.root.start, spec::StartMode::Ordered);
}

fn names(supervisor: &spec::Supervisor) -> Vec<&str> {
    supervisor.children.iter().map(|c| &**c.name()).collect()
}

#[test]
fn under_appends_to_the_list_of_a_supervisor() {
    let loaded = good(
        "[service.c]\ncommand = \"c\"\nunder = \"s\"\n[supervisor.s]\nchildren = [\"a\"]\n\
         [service.a]\ncommand = \"a\"\n",
    );
    let Node::Supervisor(s) = &loaded.tree.root.children[0] else {
        panic!("a supervisor");
    };
    assert_eq!(names(s), ["a", "c"]);
}

#[test]
fn includes_come_sorted_and_override_single_keys() {
    let source = Memory::with(&[
        (
            "etc/supd.toml",
            "include = [\"conf.d/*.toml\"]\n[service.web]\ncommand = \"web\"\nuser = \"a\"\n\
             env = { A = \"1\", B = \"2\" }\nready = { notify = true }\nsuccess_codes = [1, 2]\n",
        ),
        (
            "etc/conf.d/20-b.toml",
            "[service.web]\nuser = \"c\"\n[service.later]\ncommand = \"later\"\n",
        ),
        (
            "etc/conf.d/10-a.toml",
            "[service.web]\nuser = \"b\"\nnice = 5\nready = { after = \"1s\" }\n\
             success_codes = [3]\n[service.web.env]\nB = \"3\"\n",
        ),
        ("etc/conf.d/.hidden.toml", "nonsense"),
        ("etc/conf.d/readme.md", "nonsense"),
    ]);
    let outcome = config::load(Path::new("etc/supd.toml"), &source, &Options::new(&no_env));
    let loaded = outcome.tree.expect("a good configuration");
    let files: Vec<&Path> = loaded.files.iter().map(PathBuf::as_path).collect();
    let expected = [
        "etc/supd.toml",
        "etc/conf.d/10-a.toml",
        "etc/conf.d/20-b.toml",
    ];
    assert_eq!(files, expected.map(Path::new));
    assert_eq!(names(&loaded.tree.root), ["web", "later"]);
    let web = service(&loaded, "web");
    assert_eq!(web.process.user, Some(spec::UserRef::Name("c".into())));
    assert_eq!(web.process.nice, Some(5));
    assert_eq!(web.ready, spec::Ready::After(Duration::from_secs(1)));
    assert_eq!(*web.success_codes, [3]);
    let env: Vec<&str> = web.process.env.iter().map(|(name, _)| &**name).collect();
    assert_eq!(env, ["A", "B"]);
    assert_eq!(web.process.env[1].1, spec::EnvValue::Plain("3".into()));
}

#[test]
fn a_relative_path_belongs_to_the_file_that_names_it() {
    let source = Memory::with(&[
        (
            "/etc/supd.toml",
            "include = [\"d/a.toml\"]\n[service.web]\ncommand = \"bin/web x/y\"\n\
          workdir = \"srv\"\nready = { exec = \"hooks/ready x/y\" }\n",
        ),
        (
            "/etc/d/a.toml",
            "[service.web]\nenv_file = \"-env\"\nstdin = \"./in\"\n\
          env = { S = { file = \"s\" } }\nreload = { command = \"reload\" }\n",
        ),
    ]);
    let outcome = config::load(Path::new("/etc/supd.toml"), &source, &Options::new(&no_env));
    let loaded = outcome.tree.expect("a good configuration");
    let web = service(&loaded, "web");
    let argv = |words: &[&str]| spec::Command::Argv(words.iter().map(|w| Box::from(*w)).collect());
    assert_eq!(
        web.process.command,
        argv(&["bin/web", "x/y"]),
        "found from workdir"
    );
    assert_eq!(web.process.workdir.as_deref(), Some(Path::new("/etc/srv")));
    assert_eq!(web.process.env_files[0].path, Path::new("/etc/d/env"));
    assert_eq!(
        web.process.env[0].1,
        spec::EnvValue::File("/etc/d/s".into())
    );
    assert_eq!(web.process.stdin, spec::Stdin::Path("/etc/d/./in".into()));
    assert_eq!(
        web.reload,
        Some(spec::Reload::Command(argv(&["reload"]))),
        "found in PATH"
    );
    let spec::Ready::Probe(probe) = &web.ready else {
        panic!("a probe");
    };
    let target = spec::ProbeTarget::Exec(argv(&["/etc/hooks/ready", "x/y"]));
    assert_eq!(probe.target, target);
}

#[test]
fn a_template_that_nobody_extends_has_its_mistakes_found() {
    let outcome = load_text(
        "[template.a]\nextends = \"nobody\"\nstart_timeout = 5\nuser = \"${WHO}\"\n\
         stop = { timeout = \"${T}\" }\n[template.b]\nnice = 1\n[service.web]\n\
         command = \"web\"\n",
    );
    assert_eq!(codes_of(&outcome), ["E0127", "E0115"]);
}

#[test]
fn the_disk_gives_regular_files_and_absolute_paths() {
    let error = config::Disk
        .read(Path::new("tests"))
        .expect_err("a directory");
    assert_eq!(error.to_string(), "not a regular file");
    let known = |kind, name| config::Disk.account(kind, name);
    assert_ne!(known(config::Account::User, "root"), Some(false));
    assert_ne!(known(config::Account::Group, "no such group"), Some(true));
    assert!(config::Disk.absolute(Path::new("x")).is_absolute());
    assert_eq!(
        config::Disk.executable(Path::new("Cargo.toml")),
        Some(false)
    );
    assert_eq!(config::Disk.executable(Path::new("/bin/sh")), Some(true));
}

#[test]
fn what_was_loaded_shows_no_secret_when_it_is_debugged() {
    let outcome = load_text(
        "[service.web]\ncommand = \"web\"\nenv = { API_TOKEN = \"hunter2\" }\ninstances = 2\n",
    );
    let shown = format!("{outcome:?} {}", outcome.render(Style::PLAIN));
    assert!(
        shown.contains("API_TOKEN") && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn the_hash_changes_with_every_file_and_variable() {
    let hash = |included: &str, vars: &[(String, String)]| {
        let main = "include = [\"b.toml\"]\n[service.web]\ncommand = \"web\"\n";
        let source = Memory::with(&[("a.toml", main), ("b.toml", included)]);
        let options = Options {
            vars,
            ..Options::new(&no_env)
        };
        let outcome = config::load(Path::new("a.toml"), &source, &options);
        outcome.tree.expect("a good configuration").hash()
    };
    let first = hash("", &[]);
    assert_eq!(first.len(), 7);
    assert_eq!(first, hash("", &[]));
    assert_ne!(first, hash("# more\n", &[]));
    assert_ne!(first, hash("", &[("A".into(), "1".into())]));
}

#[test]
fn var_beats_the_environment_which_beats_the_file() {
    let text = "[vars]\nA = \"file\"\nB = \"file\"\nC = \"file\"\n[service.web]\n\
                command = [\"web\", \"${A}${B}${C}${OWN}\", \"${NAME}\"]\n\
                env = { OWN = \"own\", A2 = \"${A}\" }\n";
    let env = |name: &str| matches!(name, "B" | "C" | "OWN").then(|| "env".to_owned());
    let vars = [("C".to_owned(), "var".to_owned())];
    let options = Options {
        vars: &vars,
        ..Options::new(&env)
    };
    let source = Memory::with(&[("supd.toml", text)]);
    let outcome = config::load(Path::new("supd.toml"), &source, &options);
    let loaded = outcome.tree.expect("a good configuration");
    let spec::Command::Argv(words) = &service(&loaded, "web").process.command else {
        panic!("no shell");
    };
    assert_eq!(&*words[1], "fileenvvarown");
    assert_eq!(&*words[2], "web");
}

#[test]
fn a_value_never_becomes_two_arguments() {
    let loaded = good(
        "[vars]\nV = \"a b; c\"\n[service.web]\ncommand = \"web --x=${V} '$$HOME' ${N:-d e}\"\n",
    );
    let argv = ["web", "--x=a b; c", "$HOME", "d e"].map(Box::from);
    let command = spec::Command::Argv(argv.into());
    assert_eq!(service(&loaded, "web").process.command, command);
}

#[test]
fn a_shell_text_is_never_touched() {
    let loaded = good("[service.web]\nshell = 'echo ${HOME} $$ | cat'\n");
    let command = spec::Command::Shell("echo ${HOME} $$ | cat".into());
    assert_eq!(service(&loaded, "web").process.command, command);
}

#[test]
fn a_pool_can_be_rendered_for_any_number() {
    let text = "[service.w]\ncommand = [\"w\", \"${INSTANCE}\", \"${HOST}\"]\ninstances = 2\n\
                max_restarts = 7\nmax_seconds = 2.5\n";
    let env = |name: &str| (name == "HOST").then(|| "box".to_owned());
    let source = Memory::with(&[("supd.toml", text)]);
    let outcome = config::load(Path::new("supd.toml"), &source, &Options::new(&env));
    let loaded = outcome.tree.expect("a good configuration");
    let Node::Supervisor(pool) = &loaded.tree.root.children[0] else {
        panic!("a pool is a supervisor");
    };
    assert_eq!(pool.kind, spec::SupervisorKind::Pool);
    assert_eq!(
        (pool.max_restarts, pool.period),
        (7, Duration::from_millis(2500))
    );
    assert_eq!(names(pool), ["w.1", "w.2"]);
    let three = loaded.instances("w", 3).expect("a pool");
    assert_eq!(Node::Service(three[1].clone()), pool.children[1]);
    let spec::Command::Argv(words) = &three[2].process.command else {
        panic!("no shell");
    };
    assert_eq!(**words, ["w", "3", "box"].map(Box::from));
    assert_eq!(loaded.instances("nobody", 1), None);
    assert_eq!(loaded.instances("w", 10_001), None);
    assert_eq!(loaded.pools().collect::<Vec<_>>(), ["w"]);
    let blue = loaded.instance("w", "blue").expect("a pool");
    assert_eq!(&*blue.name, "w.blue");
    let spec::Command::Argv(words) = &blue.process.command else {
        panic!("no shell");
    };
    assert_eq!(**words, ["w", "blue", "box"].map(Box::from));
    let long = "x".repeat(63);
    for bad in ["", "a.b", "a b", "a/b", &long] {
        assert_eq!(loaded.instance("w", bad), None, "{bad}");
    }
    assert_eq!(loaded.instance("nobody", "blue"), None);
}

#[test]
fn children_are_read_as_those_of_who_will_stand_above_them() {
    let above = |flags: &str| {
        let text = format!("[supervisor.root]\nchildren = []\n{flags}");
        spec::Supervisor::clone(&good(&text).tree.root)
    };
    let read = |above: &spec::Supervisor| {
        let text = "[service.a]\ncommand = \"a\"\nrestart = \"transient\"\nsignificant = true\n";
        let source = Memory::with(&[("child.toml", text)]);
        let options = Options {
            above: Some(above),
            ..Options::new(&no_env)
        };
        config::load(Path::new("child.toml"), &source, &options)
    };
    let refused = read(&above(""));
    assert_eq!(codes_of(&refused)[0], "E0133");
    assert!(refused.tree.is_none());
    let loaded = read(&above(
        "auto_shutdown = \"any_significant\"\npolicy = \"otp\"\n",
    ));
    let loaded = loaded.tree.expect("it is significant to somebody");
    let child = service(&loaded, "a");
    assert_eq!(*child.backoff, spec::Backoff::None);
    assert_eq!(child.start_timeout, None);
}

#[test]
fn a_pool_says_itself_when_it_is_restarted() {
    let restart = |line: &str| {
        let text = format!("[service.w]\ncommand = \"w\"\ninstances = 2\n{line}\n");
        good(&text).tree.root.children[0].restart()
    };
    assert_eq!(restart(""), spec::Restart::Permanent);
    assert_eq!(restart("restart = \"temporary\""), spec::Restart::Permanent);
    let own = restart("pool_restart = \"transient\"");
    assert_eq!(own, spec::Restart::Transient);
    let single = load_text("[service.w]\ncommand = \"w\"\npool_restart = \"transient\"\n");
    assert_eq!(codes_of(&single)[0], "E0130");
    let defaults =
        load_text("[defaults]\npool_restart = \"transient\"\n[service.w]\ncommand = \"w\"\n");
    assert_eq!(codes_of(&defaults)[0], "E0106");
}

#[test]
fn equal_parts_are_shared_between_services() {
    let loaded = good(
        "[defaults]\nenv_file = [\"/e\"]\nlimits = { nofile = 9 }\n[service.a]\ncommand = \"a\"\n\
         [service.b]\ncommand = \"b\"\n[service.p]\ncommand = \"p\"\ninstances = 2\n",
    );
    let (a, b) = (service(&loaded, "a"), service(&loaded, "b"));
    assert!(std::sync::Arc::ptr_eq(&a.stop, &b.stop));
    assert!(std::sync::Arc::ptr_eq(&a.backoff, &b.backoff));
    assert!(std::sync::Arc::ptr_eq(&a.process.logs, &b.process.logs));
    assert!(std::sync::Arc::ptr_eq(&a.process.limits, &b.process.limits));
    assert!(std::sync::Arc::ptr_eq(
        &a.process.env_files,
        &b.process.env_files
    ));
    let (one, two) = (service(&loaded, "p.1"), service(&loaded, "p.2"));
    assert!(std::sync::Arc::ptr_eq(&one.process, &two.process));
}

#[test]
fn otp_has_no_back_off_and_no_start_timeout_below_it() {
    let loaded = good(
        "[defaults]\nbackoff = { initial = \"1s\" }\n[supervisor.s]\npolicy = \"otp\"\n\
         children = [\"t\"]\n[supervisor.t]\nchildren = [\"a\", \"b\"]\n[service.a]\n\
         command = \"a\"\n[service.b]\ncommand = \"b\"\nstart_timeout = \"5s\"\n[service.c]\n\
         command = \"c\"\n",
    );
    let (a, b, c) = (
        service(&loaded, "a"),
        service(&loaded, "b"),
        service(&loaded, "c"),
    );
    assert_eq!((&*a.backoff, a.start_timeout), (&spec::Backoff::None, None));
    assert_eq!(b.start_timeout, Some(Duration::from_secs(5)));
    assert_ne!(*c.backoff, spec::Backoff::None);
}

#[test]
fn defaults_of_a_branch_lie_between_the_defaults_and_the_template() {
    let loaded = good(
        "[defaults]\nnice = 1\nuser = \"x\"\ntimeout = \"3s\"\nready = { after = \"1s\" }\n\
         [template.t]\nnice = 3\n[supervisor.s]\nchildren = [\"a\", \"b\", \"o\"]\n\
         defaults = { nice = 2, group = \"g\" }\n[service.a]\ncommand = \"a\"\n[service.b]\n\
         extends = \"t\"\nshell = \"b\"\n[service.o]\ntype = \"oneshot\"\ncommand = \"o\"\n",
    );
    let (a, b, o) = (
        service(&loaded, "a"),
        service(&loaded, "b"),
        service(&loaded, "o"),
    );
    assert_eq!((a.process.nice, b.process.nice), (Some(2), Some(3)));
    assert_eq!(b.process.group, Some(spec::UserRef::Name("g".into())));
    assert_eq!(a.process.user, Some(spec::UserRef::Name("x".into())));
    assert_eq!(a.start_timeout, Some(Duration::from_secs(60)));
    assert_eq!(o.start_timeout, Some(Duration::from_secs(3)));
    assert_eq!(
        (&o.ready, o.restart),
        (&spec::Ready::Exec, spec::Restart::Transient)
    );
}

#[test]
fn every_key_of_a_service_reaches_its_specification() {
    let text = std::fs::read_to_string("tests/config/every-key.toml").expect("the file");
    insta_like("every-key", &tree_text(&good(&text).tree));
    for key in config::accepted_keys() {
        let last = key.rsplit('.').next().expect("a word");
        assert!(text.contains(last), "`{key}` is not in the file");
    }
}

#[test]
fn kubernetes_gives_a_stop_more_time() {
    let text = "[service.web]\ncommand = \"web\"\n";
    let env = |name: &str| (name == "KUBERNETES_SERVICE_HOST").then(|| "10.0.0.1".to_owned());
    let source = Memory::with(&[("supd.toml", text)]);
    let options = Options::new(&env);
    assert_eq!(options.platform, Platform::Kubernetes);
    let outcome = config::load(Path::new("supd.toml"), &source, &options);
    let loaded = outcome.tree.expect("a good configuration");
    let stop = service(&loaded, "web").stop.steps[0].timeout;
    assert_eq!(stop, Some(Duration::from_secs(25)));
    assert_eq!(
        loaded.tree.settings.shutdown_timeout,
        Duration::from_secs(25)
    );
}

fn repeat(range: std::ops::Range<usize>, text: impl Fn(usize) -> String) -> String {
    range.map(text).collect::<Vec<_>>().concat()
}

#[test]
fn every_limit_is_an_error_that_names_it() {
    let deep: String = repeat(0..17, |n| {
        format!("[supervisor.s{n}]\nchildren = [\"s{}\"]\n", n + 1)
    });
    let deep = load_text(&format!("{deep}[supervisor.s17]\n"));
    assert!(codes_of(&deep).contains(&"E0138"), "{:?}", codes_of(&deep));
    let fits: String = repeat(0..14, |n| {
        format!("[supervisor.s{n}]\nchildren = [\"s{}\"]\n", n + 1)
    });
    let web = "[service.web]\ncommand = \"web\"\n";
    good(&format!("{fits}[supervisor.s14]\n{web}"));

    let many = load_text(
        "[service.a]\ncommand = \"a\"\ninstances = 10000\n[service.b]\ncommand = \"b\"\n",
    );
    assert_eq!(codes_of(&many), ["E0139", "L13"]);
    let one_less = load_text("[service.a]\ncommand = \"a\"\ninstances = 10000\n");
    assert_eq!(codes_of(&one_less), ["L13"]);

    let string = load_text(&format!(
        "{web}env = {{ A = \"{}\" }}\n",
        "x".repeat((1 << 20) + 1)
    ));
    assert_eq!(codes_of(&string), ["E0142"]);
    let file = load_text(&format!("{web}#{}\n", "x".repeat(4 << 20)));
    assert_eq!(codes_of(&file), ["E0141"]);

    let mut source = Memory::with(&[("d/supd.toml", "include = [\"c/*\"]\n")]);
    for n in 0..65 {
        let text = format!("[service.s{n}]\ncommand = \"s\"\n");
        source
            .files
            .insert(format!("d/c/{n}.toml").into(), text.into_bytes());
    }
    let files = config::load(Path::new("d/supd.toml"), &source, &Options::new(&no_env));
    assert!(
        codes_of(&files).contains(&"E0140"),
        "{:?}",
        codes_of(&files)
    );
}

#[test]
fn twenty_diagnostics_are_shown_and_the_rest_is_counted() {
    let text: String = repeat(0..30, |n| {
        format!("[service.s{n}]\ncommand = \"s\"\nfoo{n} = 1\n")
    });
    let outcome = load_text(&text);
    assert_eq!((outcome.diagnostics.len(), outcome.omitted), (20, 11));
    assert!(outcome.render(Style::PLAIN).ends_with("and 11 more\n"));
    assert!(outcome.tree.is_none());
}

#[test]
fn an_inherited_mistake_is_reported_once() {
    let services: String = repeat(0..9, |n| format!("[service.s{n}]\ncommand = \"s\"\n"));
    let outcome = load_text(&format!("[defaults]\nstart_timeout = 5\n{services}"));
    assert_eq!(codes_of(&outcome), ["E0115"]);
}

#[test]
fn strict_makes_a_lint_an_error() {
    let text = "[service.once]\ntype = \"oneshot\"\ncommand = \"once\"\n";
    let source = Memory::with(&[("supd.toml", text)]);
    let load = |lints| {
        let options = Options {
            lints,
            ..Options::new(&no_env)
        };
        config::load(Path::new("supd.toml"), &source, &options)
    };
    let (warned, denied) = (load(Lints::Warn), load(Lints::Deny));
    assert_eq!(warned.diagnostics[0].severity, Severity::Warning);
    assert!(warned.tree.is_some());
    assert_eq!(denied.diagnostics[0].severity, Severity::Error);
    assert!(denied.tree.is_none());
}

#[test]
fn the_default_configuration_of_any_size_has_no_warning() {
    let services: String = repeat(0..16, |n| format!("[service.s{n}]\ncommand = \"s\"\n"));
    let outcome = load_text(&format!(
        "{services}[supervisor.s]\nchildren = [\"s1\", \"s2\"]\n"
    ));
    assert_eq!(codes_of(&outcome), [""; 0]);
    let crowded = load_text(&format!("{services}[service.more]\ncommand = \"s\"\n"));
    assert_eq!(codes_of(&crowded), ["L13"]);
}

#[test]
fn programs_are_looked_up_where_the_service_would() {
    let text = "[service.a]\ncommand = \"a\"\n[service.b]\ncommand = \"b\"\n\
                env = { PATH = \"/own\" }\n[service.c]\ncommand = \"bin/c\"\nworkdir = \"/srv\"\n\
                [service.d]\ncommand = \"bin/d\"\n[service.e]\ncommand = \"a\"\n\
                env_inherit = false\n";
    let env = |name: &str| (name == "PATH").then(|| "/x:/y".to_owned());
    let mut source = Memory::with(&[("supd.toml", text)]);
    source.programs = ["/y/a", "/own/b", "/srv/bin/c"].map(PathBuf::from).into();
    let outcome = config::load(Path::new("supd.toml"), &source, &Options::new(&env));
    assert_eq!(
        codes_of(&outcome),
        ["L7"],
        "only `e`, whose PATH is the default one"
    );
    assert_eq!(outcome.diagnostics[0].line(), Some(12));
}

#[test]
fn pictures_can_be_coloured_or_plain_and_drive_no_terminal() {
    let outcome = load_text("[service.web]\ncommand = \"web\"\n\"\u{1b}]0;x\u{7}\" = 1\nfoo = 1\n");
    let ascii = Style {
        color: Color::Never,
        charset: Charset::Ascii,
    };
    assert!(outcome.render(ascii).is_ascii());
    let plain = outcome.render(Style::PLAIN);
    assert!(
        !plain.contains('\u{1b}') && !plain.contains('\u{7}'),
        "{plain}"
    );
    let ansi = Style {
        color: Color::Ansi,
        charset: Charset::Unicode,
    };
    assert!(outcome.render(ansi).starts_with("\u{1b}[1;31merror[E010"));
}

#[test]
fn lines_and_columns_count_from_one_and_in_characters() {
    let outcome =
        load_text("[service.web]\ncommand = \"web\"\nenv = { Ä = \"ä\", B = \"${NO}\" }\n");
    let diagnostic = &outcome.diagnostics[0];
    assert_eq!(diagnostic.code, "E0101", "a bare key is ASCII");
    let outcome = load_text("[service.web]\ncommand = [\"ä\", \"${NO}\"]\n");
    let diagnostic = &outcome.diagnostics[0];
    assert_eq!(
        (diagnostic.line(), diagnostic.column()),
        (Some(2), Some(18))
    );
    assert_eq!(diagnostic.file(), Some(Path::new("supd.toml")));
    assert_eq!(diagnostic.labels[0].span, 32..37);
}

#[test]
fn the_reference_page_has_every_key_and_every_code_of_lints() {
    let page = std::fs::read_to_string("docs/reference/configuration.md").expect("the page");
    for key in config::accepted_keys() {
        let parts: Vec<&str> = key.split('.').collect();
        let top = parts[0];
        // Templates and defaults take the keys of services.
        if matches!(top, "template" | "defaults") || parts.contains(&"defaults") {
            continue;
        }
        let row = match parts.as_slice() {
            [
                "service" | "supervisor" | "class" | "breaker",
                "NAME",
                rest @ ..,
            ]
            | ["supd", rest @ ..] => rest.join("."),
            _ => key.clone(),
        };
        assert!(
            page.contains(&format!("| `{row}` |")),
            "no row for `{row}` ({key})"
        );
    }
}

#[test]
fn the_examples_that_come_with_supd_have_nothing_to_complain_about() {
    for directory in ["config/examples", "config/demo"] {
        let files = config::Disk
            .list(Path::new(directory))
            .expect("a directory");
        let is_toml = |p: &PathBuf| p.extension().is_some_and(|e| e == "toml");
        for file in files.into_iter().filter(is_toml) {
            let env = |name: &str| (name == "DEMO").then(|| "/tmp/demo".to_owned());
            let outcome = config::load(&file, &Cases, &Options::new(&env));
            assert_eq!(outcome.render(Style::PLAIN), "");
            assert!(outcome.tree.is_some());
        }
    }
}
