// SPDX-License-Identifier: MIT OR Apache-2.0
//! TOML text to `spec::Tree`: all mistakes at once, each with its place and a way out.
//!
//! The straight line: `files` reads and merges, `keys` checks that every key means something,
//! `outline` finds out who stands under whom, `build` walks down and reads each node (`service`,
//! `process`, `timing`, `command`, by way of `reader`), `lint` looks at what came out. A tree is
//! handed out only when nothing was wrong: whoever has one need not check again.
//!
//! The module opens files only through a [`Source`] and asks for the environment only through
//! [`Options`]; it never starts anything, never looks at the clock, and knows no running tree.

mod address;
mod breaker;
mod budget;
mod build;
mod class;
mod class_check;
mod codes;
mod command;
mod describe;
mod diagnostic;
mod disk;
mod files;
mod health;
mod in_force;
mod intern;
mod interpolate;
mod json_schema;
mod keys;
mod lint;
mod lint_breakers;
mod lint_health;
mod listen;
mod log;
mod names;
mod outline;
mod page;
mod pattern;
mod privileges;
mod process;
mod reader;
mod remedy;
mod render;
mod scalar;
mod scale;
mod schema;
mod schema_breaker;
mod service;
mod settings;
mod spell;
mod spell_class;
mod spell_health;
mod spell_process;
mod spell_remedy;
mod spelling;
mod split;
mod timing;
mod value;
mod words;

pub use class_check::Judge;
pub use codes::{codes, explain};
pub use describe::{Described, Written};
pub use diagnostic::{Diagnostic, Label, Severity, Sources};
pub use disk::Disk;
pub use in_force::InForce;
pub use json_schema::json_schema;
pub use page::{KeyHelp, key_help, keys};
pub use pattern::Patterns;
pub use render::{Charset, Color, Style, render};
pub use schema::accepted_keys;
pub use spelling::Line;

use crate::spec::{self, limits};
use build::{Builder, PoolPlan};
use describe::Merged;
use diagnostic::{Report, Sink};
use files::Files;
use intern::Pools;
use names::{Frozen, Live};
use outline::{Kind, Outline};
use reader::Reader;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use value::Table;

/// Where files come from: [`Disk`], or a test's memory.
pub trait Source {
    /// The contents of a file. More than [`limits::CONFIG_FILE_MAX`] bytes need not be returned
    /// beyond the first one too many.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The paths of all files in a directory, each beginning with `directory`, in any order.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// `path` from the root of the file system. Relative paths in a file belong to its directory,
    /// and what they name is opened later, from wherever a service runs.
    fn absolute(&self, path: &Path) -> PathBuf {
        path.to_path_buf()
    }

    /// Whether there is a user or a group of this name; `None` when this source does not know.
    fn account(&self, kind: Account, name: &str) -> Option<bool> {
        let _ = (kind, name);
        None
    }

    /// Whether a program can be executed; `None` when this source does not know.
    fn executable(&self, path: &Path) -> Option<bool> {
        let _ = path;
        None
    }
}

/// Where a name of `user`, `group` or `groups` is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Account {
    /// passwd(5).
    User,
    /// group(5).
    Group,
}

/// What a configuration is read with.
pub struct Options<'a> {
    /// `--var NAME=VALUE`, which beats the environment.
    pub vars: &'a [(String, String)],
    /// The environment, which beats `[vars]`.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Whose grace the stop has to fit into.
    pub platform: Platform,
    /// What a lint is.
    pub lints: Lints,
    /// The supervisor that will stand above what is read; `None`: nobody, it is a whole tree. Its
    /// policy and its flags hold for the nodes at the top of the text.
    pub above: Option<&'a spec::Supervisor>,
    /// Whether the outcome tells where each key was written.
    pub describe: Describe,
    /// Who says which class an example has; without one examples are read and not run.
    pub judge: Option<Judge<'a>>,
}

impl<'a> Options<'a> {
    /// No variables, warnings; the platform as the environment tells it.
    pub fn new(env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            vars: &[],
            env,
            platform: match env("KUBERNETES_SERVICE_HOST") {
                Some(_) => Platform::Kubernetes,
                None => Platform::Plain,
            },
            lints: Lints::Warn,
            above: None,
            describe: Describe::No,
            judge: None,
        }
    }
}

impl fmt::Debug for Options<'_> {
    /// Values of variables may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("platform", &self.platform)
            .field("lints", &self.lints)
            .finish_non_exhaustive()
    }
}

/// Whose grace the stop has to fit into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// `docker stop` and its like give 10 s: ours are 9 s.
    Plain,
    /// A pod has 30 s: ours are 25 s.
    Kubernetes,
}

impl Platform {
    /// How long a stop may take when nobody says.
    pub fn grace(self) -> Duration {
        match self {
            Self::Plain => Duration::from_secs(9),
            Self::Kubernetes => Duration::from_secs(25),
        }
    }
}

/// What a lint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lints {
    /// A warning.
    Warn,
    /// An error (`--strict`).
    Deny,
}

/// Whether the outcome tells where each key was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Describe {
    /// Nobody wants to know: nothing is kept.
    No,
    /// [`Outcome::described`] is filled in.
    Yes,
}

/// What came out of reading a configuration.
#[derive(Debug)]
pub struct Outcome {
    /// The tree, only when there are no errors.
    pub tree: Option<Loaded>,
    /// What was written for each node, if [`Options::describe`] asked: `[supd]`, then the tree from
    /// the top.
    pub described: Vec<Described>,
    /// Errors first, then warnings, in the order of the text; the first twenty.
    pub diagnostics: Vec<Diagnostic>,
    /// How many more there are.
    pub omitted: usize,
    /// The texts, for [`render`].
    pub sources: Sources,
}

impl Outcome {
    /// All diagnostics as pictures, and a line that counts those not shown.
    pub fn render(&self, style: Style) -> String {
        let mut text = render(&self.diagnostics, &self.sources, style);
        if self.omitted > 0 {
            text.extend(["and ", &self.omitted.to_string(), " more\n"]);
        }
        text
    }
}

/// A configuration without mistakes.
pub struct Loaded {
    /// What the file says.
    pub tree: spec::Tree,
    /// Every file that was read, the main one first.
    pub files: Vec<PathBuf>,
    /// What the output of services is looked at with.
    pub patterns: Rc<Patterns>,
    plans: BTreeMap<String, PoolPlan>,
    names: Frozen,
    sources: Sources,
    hash: u64,
}

impl fmt::Debug for Loaded {
    /// Never shows what pools are rendered from: it may have literal secrets in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("tree", &self.tree)
            .field("files", &self.files)
            .field("hash", &self.hash())
            .finish_non_exhaustive()
    }
}

impl Loaded {
    /// Seven hex digits that change when a file or a `--var` does.
    pub fn hash(&self) -> String {
        let folded = (self.hash >> 32) ^ self.hash;
        format!("{:07x}", folded & 0x0fff_ffff)
    }

    /// Every file that was read, the main one first, and its text.
    pub fn texts(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.sources.texts()
    }

    /// The names of all pools.
    pub fn pools(&self) -> impl Iterator<Item = &str> {
        self.plans.keys().map(String::as_str)
    }

    /// Instances 1 to `count` of a pool, as the file would give them; `None` when there is no such
    /// pool or `count` is beyond the limit of services.
    pub fn instances(&self, pool: &str, count: u32) -> Option<Vec<Arc<spec::Service>>> {
        let plan = self.plans.get(pool)?;
        if count as usize > limits::SERVICES_MAX {
            return None;
        }
        self.with_reader(|reader| plan.render(reader, count))
    }

    /// The instance of a pool that is called so (`worker.blue` for `blue`); `None` when there is no
    /// such pool or a name cannot have this form.
    pub fn instance(&self, pool: &str, name: &str) -> Option<Arc<spec::Service>> {
        let plan = self.plans.get(pool)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let fits = pool.len() + 1 + name.len() <= limits::NAME_MAX;
        if name.is_empty() || !fits || !name.chars().all(plain) {
            return None;
        }
        self.with_reader(|reader| plan.instance(reader, name))
    }

    /// This tree, with the instances that were ordered in the tree in force: a number lasts until
    /// the one in the file changes. `before` is what that tree was loaded from.
    pub fn keeping_scale(&self, before: &Self, in_force: &spec::Tree) -> spec::Tree {
        let mut ordered = BTreeMap::new();
        scale::numbers(&in_force.root, &mut ordered);
        ordered.retain(|pool, count| {
            let number = |loaded: &Self| loaded.plans.get(*pool).map(|plan| plan.count);
            number(self).is_some_and(|now| now != *count && number(before) == Some(now))
        });
        let instances = |pool: &str| self.instances(pool, *ordered.get(pool)?);
        spec::Tree {
            settings: Arc::clone(&self.tree.settings),
            root: scale::with_instances(&self.tree.root, &instances),
            classes: Arc::clone(&self.tree.classes),
            remedies: Arc::clone(&self.tree.remedies),
            breakers: Arc::clone(&self.tree.breakers),
        }
    }

    fn with_reader<T>(&self, render: impl FnOnce(&Reader<'_>) -> T) -> T {
        let sink = Sink::default();
        render(&Reader {
            sink: &sink,
            sources: &self.sources,
            names: &self.names,
            pools: &Pools::default(),
            own: Vec::new(),
        })
    }
}

/// Reads a configuration and everything it includes.
pub fn load(path: &Path, source: &dyn Source, options: &Options<'_>) -> Outcome {
    let sink = Sink::default();
    let mut files = Files::new(source, &sink);
    let read = read(path, &mut files, options);
    for (name, value) in options.vars {
        files.digest(name.as_bytes());
        files.digest(value.as_bytes());
    }
    let (sources, hash) = (files.sources, files.hash);
    let mut described = Vec::new();
    let loaded = read.and_then(|(top, names)| {
        let built = assemble(&top, &names, (source, options), (&sink, &sources));
        let (tree, patterns, plans, merged) = built;
        if options.describe == Describe::Yes {
            described = describe::describe(&top, &merged, &sources);
        }
        let errors = sink.has_errors();
        (!errors).then(|| Loaded {
            tree,
            files: sources.paths().map(Path::to_path_buf).collect(),
            patterns: Rc::new(patterns),
            plans,
            names: names.freeze(),
            sources: sources.clone(),
            hash,
        })
    });
    let mut diagnostics = sink.finish(&sources, options.lints);
    let omitted = diagnostics.len().saturating_sub(limits::DIAGNOSTICS_MAX);
    diagnostics.truncate(limits::DIAGNOSTICS_MAX);
    let refused = diagnostics.iter().any(|d| d.severity == Severity::Error);
    Outcome {
        tree: loaded.filter(|_| !refused),
        described,
        diagnostics,
        omitted,
        sources,
    }
}

/// The merged text and what its variables mean; nothing when a file is no TOML.
fn read<'e>(
    path: &Path,
    files: &mut Files<'_>,
    options: &Options<'e>,
) -> Option<(Table, Live<'e>)> {
    let main = files.main(path)?;
    files.version(&main);
    let empty = Table::default();
    let first = Live::new(options.vars, options.env);
    let first = first.with_vars(main.table("vars").unwrap_or(&empty), files);
    let top = files.includes(&main, path, &first)?;
    let names = Live::new(options.vars, options.env);
    let names = names.with_vars(top.table("vars").unwrap_or(&empty), files);
    Some((top, names))
}

type Plans = BTreeMap<String, PoolPlan>;
type Built = (spec::Tree, Patterns, Plans, Merged);

fn assemble(
    top: &Table,
    names: &Live<'_>,
    (source, options): (&dyn Source, &Options<'_>),
    (sink, sources): (&Sink, &Sources),
) -> Built {
    let pools = Pools::default();
    let reader = Reader {
        sink,
        sources,
        names,
        pools: &pools,
        own: Vec::new(),
    };
    let empty = Table::default();
    let grace = options.platform.grace();
    let settings = settings::settings(&reader, top.table("supd").unwrap_or(&empty), grace);
    let outline = outline::outline(&reader, top, &empty);
    check_exit_code(&reader, top, (&settings, &outline));
    let builder = Builder {
        reader: &reader,
        outline: &outline,
        top,
        lint: lint::Lint::new(sink, source, options.env),
        above: options.above,
        grace,
        known: Arc::new(known(top, &outline, options)),
        pools: RefCell::default(),
        services: Cell::new(0),
        extended: RefCell::default(),
        merged: RefCell::default(),
        describe: options.describe,
    };
    builder.describe(|| ("supd", "", top.table("supd").unwrap_or(&empty)));
    let remedies = builder.registry();
    let breakers = builder.breakers();
    let root = builder.root();
    builder.unused_templates();
    privileges::check_terminal(&reader, &outline, &root);
    // What is wrong is left out of the tree: sums over it would mislead.
    if !sink.has_errors() {
        builder.lint.tree(top, &settings, &root);
    }
    let read = class_check::classes(&builder, &root, options);
    let tree = spec::Tree {
        settings: Arc::new(settings),
        root: Arc::new(root),
        classes: Arc::new(read.classes),
        remedies,
        breakers: breakers.into(),
    };
    (
        tree,
        read.patterns,
        builder.pools.into_inner(),
        builder.merged.into_inner(),
    )
}

/// What remedies can speak of: every class, and the services of this text.
fn known(top: &Table, outline: &Outline<'_>, options: &Options<'_>) -> remedy::Known {
    let own = top.table("class").into_iter().flat_map(|t| &t.entries);
    let base = spec::Class::ALL
        .into_iter()
        .map(|class| class.as_str().into());
    let services = outline.nodes.iter().filter(|n| n.kind == Kind::Service);
    let services = services.map(|node| Arc::clone(&node.name));
    let breakers = top.table("breaker").into_iter().flat_map(|t| &t.entries);
    let breakers = breakers.map(|entry| Arc::clone(&entry.key));
    remedy::Known {
        classes: base.chain(own.map(|e| Arc::clone(&e.key))).collect(),
        services: options.above.is_none().then(|| services.collect()),
        breakers: options.above.is_none().then(|| breakers.collect()),
    }
}

fn check_exit_code(
    reader: &Reader<'_>,
    top: &Table,
    (settings, outline): (&spec::Settings, &Outline<'_>),
) {
    let spec::ExitCodePolicy::Service(name) = &settings.exit_code else {
        return;
    };
    let node = outline.find(name);
    if node.is_some_and(|n| n.kind == Kind::Service && !n.table.has("instances")) {
        return;
    }
    let Some(field) = top.table("supd").and_then(|t| t.get("exit_code")) else {
        return;
    };
    let services = outline.nodes.iter().filter(|n| n.kind == Kind::Service);
    let near = words::nearest(name, services.map(|n| &*n.name));
    let help = match (node, near) {
        (None, Some(near)) => format!("did you mean `{near}`?"),
        _ => "it is \"cause\", a service's name, or 1 to 255".to_owned(),
    };
    let report = Report::new(
        codes::EXIT_CODE,
        format!("there is no service named `{name}`"),
    );
    reader.report(report.at(field.at(), "").help(help));
}
