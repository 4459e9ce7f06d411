// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configuration in force, and taking up a new one.
//!
//! A new one is read and checked aside: a mistake in it leaves everything as it is, and is shown
//! with its place. What a valid one changes, the engine decides.

use super::control::Answer;
use super::desk::answer;
use super::run::Daemon;
use super::{note, stamp};
use crate::config::{self, Account, Disk, InForce, Loaded, Options, Patterns, Source, Style};
use crate::spec::{Name, Node, Service, Supervisor, Tree as Spec};
use crate::tree::Actor;
use crate::wire::{ConfigRequest, ConfigView, ReloadReply, code};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::oneshot::Sender;

/// Where a configuration comes from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The main file.
    pub path: PathBuf,
    /// `--var`.
    pub vars: Vec<(String, String)>,
}

/// The configuration in force.
#[derive(Debug)]
pub(crate) struct Config {
    origin: Origin,
    loaded: Loaded,
    tree: Arc<Spec>,
    /// Texts of children that were added since, by the child's name: pools are rendered from them.
    added: BTreeMap<Name, Loaded>,
    applied_us: i64,
}

/// Why a configuration cannot be used: the pictures of its mistakes.
#[derive(Debug)]
pub(crate) struct Refused(pub String);

/// A configuration and the pictures of what looks odd in it.
#[derive(Debug)]
pub(crate) struct Read {
    pub loaded: Loaded,
    pub warnings: String,
}

/// Reads and checks a configuration.
pub(crate) fn read(origin: &Origin, source: &dyn Source, style: Style) -> Result<Read, Refused> {
    read_below(None, origin, source, style)
}

fn read_below(
    above: Option<&Supervisor>,
    origin: &Origin,
    source: &dyn Source,
    style: Style,
) -> Result<Read, Refused> {
    let env = |name: &str| std::env::var(name).ok();
    let options = Options {
        vars: &origin.vars,
        above,
        judge: Some(&crate::tree::named),
        ..Options::new(&env)
    };
    let outcome = config::load(&origin.path, source, &options);
    let pictures = outcome.render(style);
    match outcome.tree {
        Some(loaded) => Ok(Read {
            loaded,
            warnings: pictures,
        }),
        None => Err(Refused(pictures)),
    }
}

/// The file system as the daemon reads it. Whether programs are there it does not ask: one may lie
/// where nobody answers, which is its service's trouble and not everybody's. `check` asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Texts;

impl Source for Texts {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Disk.read(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        Disk.list(directory)
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        Disk.absolute(path)
    }

    fn account(&self, kind: Account, name: &str) -> Option<bool> {
        Disk.account(kind, name)
    }
}

/// The file system with one file replaced by a text.
struct Instead<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source for Instead<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == self.path {
            return Ok(self.text.as_bytes().to_vec());
        }
        Disk.read(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        Disk.list(directory)
    }
}

/// A node to be added, and the text it comes from.
#[derive(Debug)]
pub(crate) struct Child {
    pub node: Node,
    loaded: Loaded,
}

impl Config {
    /// The configuration the daemon starts with.
    pub(crate) fn new(origin: Origin, loaded: Loaded) -> Self {
        Self {
            tree: Arc::new(loaded.tree.clone()),
            origin,
            loaded,
            added: BTreeMap::new(),
            applied_us: stamp::wall_us(),
        }
    }

    /// The one that comes after it; `in_force` is the tree that the engine has now, with what was
    /// ordered since.
    pub(crate) fn followed_by(&self, loaded: Loaded, in_force: &Spec) -> Self {
        let tree = loaded.keeping_scale(&self.loaded, in_force);
        Self {
            tree: Arc::new(tree),
            ..Self::new(self.origin.clone(), loaded)
        }
    }

    /// What the engine is given.
    pub(crate) fn tree(&self) -> Arc<Spec> {
        Arc::clone(&self.tree)
    }

    /// What the output of services is looked at with.
    pub(crate) fn patterns(&self) -> Rc<Patterns> {
        Rc::clone(&self.loaded.patterns)
    }

    /// Names it.
    pub(crate) fn hash(&self) -> String {
        self.loaded.hash()
    }

    /// Reads what is to come after it: what stands in its files now, or this text instead of the
    /// main one.
    pub(crate) fn read_new(&self, text: Option<&str>) -> Result<Read, Refused> {
        let path = &self.origin.path;
        match text {
            None => read(&self.origin, &Texts, Style::PLAIN),
            Some(text) => read(&self.origin, &Instead { path, text }, Style::PLAIN),
        }
    }

    /// Every table as it holds, with what was added since.
    pub(crate) fn in_force(&self) -> Vec<InForce> {
        let mut all = self.loaded.in_force();
        for loaded in self.added.values() {
            let mut child = loaded.in_force();
            // What stands above a child is not its own.
            child.retain(|table| table.parent.is_some());
            all.extend(child);
        }
        all
    }

    /// The same as one text; what was added since is not in it.
    pub(crate) fn to_toml(&self) -> String {
        self.loaded.to_toml()
    }

    /// Everything that was read, the file first, each with where it is from.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Loaded, Origin)> {
        let child = |loaded: &'_ Loaded| Origin {
            path: loaded.files.first().cloned().unwrap_or_default(),
            vars: self.origin.vars.clone(),
        };
        let first = std::iter::once((&self.loaded, self.origin.clone()));
        first.chain(self.added.values().map(move |l| (l, child(l))))
    }

    /// Instances 1 to `count` of a pool.
    pub(crate) fn instances(&self, pool: &str, count: u32) -> Option<Vec<Arc<Service>>> {
        let mut all = self.texts();
        all.find_map(|loaded| loaded.instances(pool, count))
    }

    /// The instance of a pool that is called so.
    pub(crate) fn instance(&self, pool: &str, name: &str) -> Option<Arc<Service>> {
        self.texts().find_map(|loaded| loaded.instance(pool, name))
    }

    /// Everything that pools are rendered from, the latest word on a name first.
    fn texts(&self) -> impl Iterator<Item = &Loaded> {
        self.added.values().chain([&self.loaded])
    }

    /// Remembers the text of a child that is about to be added, and forgets those of children that
    /// are no longer there.
    pub(crate) fn remember(&mut self, child: Child, is_there: impl Fn(&str) -> bool) -> Node {
        self.added.retain(|name, _| is_there(name));
        self.added
            .insert(Arc::clone(child.node.name()), child.loaded);
        child.node
    }

    /// For the status.
    pub(crate) fn view(&self) -> ConfigView {
        let ago = stamp::wall_us().saturating_sub(self.applied_us) / 1000;
        ConfigView {
            hash: self.hash(),
            files: self.files(),
            applied: Some(stamp::rfc3339(self.applied_us)),
            applied_ms: u64::try_from(ago).ok(),
        }
    }

    /// The files it was read from.
    pub(crate) fn files(&self) -> Vec<String> {
        let files = self.loaded.files.iter();
        files.map(|f| f.display().to_string()).collect()
    }

    /// The root that a text defines.
    #[cfg(feature = "test-hooks")]
    pub(crate) fn root(&self, text: &str) -> Result<Arc<Supervisor>, Answer> {
        let origin = Origin {
            path: PathBuf::from("root.toml"),
            vars: self.origin.vars.clone(),
        };
        let source = Instead {
            path: &origin.path,
            text,
        };
        let read = read(&origin, &source, Style::PLAIN);
        read.map(|read| read.loaded.tree.root)
            .map_err(|refused| Answer::error(422, code::INVALID_CONFIG, refused.0))
    }

    /// The only node that a text defines, as a child of `above`.
    pub(crate) fn child(&self, text: &str, above: &Supervisor) -> Result<Child, Answer> {
        let origin = Origin {
            path: PathBuf::from("child.toml"),
            vars: self.origin.vars.clone(),
        };
        let source = Instead {
            path: &origin.path,
            text,
        };
        let read = read_below(Some(above), &origin, &source, Style::PLAIN).map_err(|refused| {
            Answer::error(422, code::INVALID_CONFIG, refused.0)
                .hint("write one [service.x] or one [supervisor.x] with what stands below it")
        })?;
        match read.loaded.tree.root.children.as_slice() {
            [only] => Ok(Child {
                node: only.clone(),
                loaded: read.loaded,
            }),
            nodes => {
                let message = format!("the text defines {} children instead of one", nodes.len());
                Err(Answer::error(422, code::INVALID_CONFIG, message)
                    .hint("add one child at a time"))
            }
        }
    }
}

impl Daemon {
    /// Reads the configuration again, by order of a signal.
    pub(crate) fn reload(&mut self, by: Actor) {
        self.take_up(by, &ConfigRequest::default(), None);
    }

    /// Reads the configuration again, or takes the one that is asked for.
    pub(crate) fn take_up(
        &mut self,
        by: Actor,
        asked: &ConfigRequest,
        reply: Option<Sender<Answer>>,
    ) {
        match self.desk.config.read_new(asked.toml.as_deref()) {
            Ok(read) => {
                let planned = asked.hash.as_ref();
                if planned.is_some_and(|hash| *hash != read.loaded.hash()) {
                    let message = "the configuration has changed since it was planned";
                    let stale = Answer::error(409, code::CONFLICT, message);
                    let stale = stale.hint("look at the new plan: supctl plan");
                    if let Some(to) = reply {
                        answer(to, stale);
                    }
                    return;
                }
                self.put_in_force(read.loaded, &read.warnings);
                let warnings = Some(read.warnings).filter(|w| !w.is_empty());
                self.order_apply(by, reply, warnings.into_iter().collect());
            }
            Err(Refused(pictures)) => {
                let detail = format!("configuration refused, the old one stays:\n{pictures}");
                self.note_by(note::RELOAD_REFUSED, detail, Some(by));
                if let Some(to) = reply {
                    let refused = ReloadReply {
                        ok: false,
                        hash: self.desk.config.hash(),
                        diagnostics: vec![pictures],
                        ..ReloadReply::default()
                    };
                    answer(to, Answer::json(200, &refused));
                }
            }
        }
    }

    /// Keeps records where the configuration says, and the configuration with them.
    pub(super) fn keep_on_disk(&mut self) {
        let config = self.desk.config.tree();
        let dir = config.settings.state_dir.as_deref();
        let files = &mut self.world.logs.files;
        self.press.journal.shelf.follow(dir, files);
        let loaded = &self.desk.config.loaded;
        self.press.journal.shelf.keep(loaded, files);
    }

    fn put_in_force(&mut self, loaded: Loaded, warnings: &str) {
        self.desk.config = self.desk.config.followed_by(loaded, self.tree.spec());
        let tree = self.desk.config.tree();
        let settings = &tree.settings;
        self.world.logs.set(settings);
        self.world.patterns = self.desk.config.patterns();
        self.world.sockets.review();
        self.press.set(settings, super::boot::format_of(settings));
        self.follow_scrapers();
        self.keep_on_disk();
        let hash = self.desk.config.hash();
        let mut detail = format!("configuration {hash} is in force");
        if !warnings.is_empty() {
            detail = format!("{detail}, with warnings:\n{warnings}");
        }
        self.upward.reloaded(self.now(), &hash);
        self.note(crate::wire::kind::DAEMON_RELOADED, detail);
        self.turn.read = super::run::Read::Lately;
    }
}
