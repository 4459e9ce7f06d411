// SPDX-License-Identifier: MIT OR Apache-2.0
//! `GET /v1/config`: the configuration in force and where each key of it was written.
//!
//! Where is found out by reading the kept texts again, when somebody asks and not before. It shows
//! no secret, and it decides nothing.

use super::control::Answer;
use super::reload::{Config, Origin};
use super::run::Daemon;
use crate::config::{
    self, Account, Describe, Described, Disk, InForce, Loaded, Options, Source, Written,
};
use crate::spec::{Node, SupervisorKind};
use crate::wire::{ConfigNode, ConfigText, InForceKey, NodeKind, Query, WrittenKey, code, query};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The files as they were when they were read.
struct Kept<'a>(&'a Loaded);

impl Source for Kept<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut texts = self.0.texts();
        let found = texts.find(|(kept, _)| *kept == path);
        let text = found.map(|(_, text)| text.as_bytes().to_vec());
        text.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let inside = |path: &&Path| path.parent() == Some(directory);
        let paths = self.0.texts().map(|(path, _)| path);
        Ok(paths.filter(inside).map(Path::to_path_buf).collect())
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        Disk.absolute(path)
    }

    fn account(&self, _: Account, _: &str) -> Option<bool> {
        None
    }
}

/// What was written, by table and name.
#[derive(Debug, Default)]
pub(crate) struct Places(BTreeMap<(&'static str, String), Vec<Written>>);

impl Places {
    /// Reads the texts of a configuration again.
    pub(crate) fn of(config: &Config) -> Self {
        let mut places = Self::default();
        for (loaded, origin) in config.all() {
            places.add(loaded, &origin);
        }
        places
    }

    fn add(&mut self, loaded: &Loaded, origin: &Origin) {
        let env = |name: &str| std::env::var(name).ok();
        let options = Options {
            vars: &origin.vars,
            describe: Describe::Yes,
            ..Options::new(&env)
        };
        let outcome = config::load(&origin.path, &Kept(loaded), &options);
        for Described {
            table,
            name,
            written,
        } in outcome.described
        {
            self.0.entry((table, name)).or_insert(written);
        }
    }

    fn of_table(&self, table: &InForce) -> &[Written] {
        let found = self.0.get(&(table.table, table.name.clone()));
        found.map_or(&[], Vec::as_slice)
    }

    /// Where a key of a table comes from.
    pub(crate) fn find(&self, at: (&'static str, &str), key: &str) -> Option<(String, u64)> {
        let written = self.0.get(&(at.0, at.1.to_owned()))?;
        let found = origin_of(written, key)?;
        Some((found.file.display().to_string(), found.line as u64))
    }
}

/// The written key that a key in force comes from: itself, a short form above it (`socket`), or a
/// part below it (`env.S.file`); the last one written counts.
fn origin_of<'a>(written: &'a [Written], key: &str) -> Option<&'a Written> {
    let below = |long: &str, short: &str| {
        let rest = long.strip_prefix(short);
        rest.is_some_and(|rest| rest.starts_with('.'))
    };
    let mut latest_first = written.iter().rev();
    let exact = latest_first.clone().find(|w| w.key == key);
    exact.or_else(|| latest_first.find(|w| below(&w.key, key) || below(key, &w.key)))
}

/// What the protocol calls it.
pub(crate) fn node_kind(node: &Node) -> NodeKind {
    match node {
        Node::Service(_) => NodeKind::Service,
        Node::Supervisor(sup) => match sup.kind {
            SupervisorKind::Tree => NodeKind::Supervisor,
            SupervisorKind::Pool => NodeKind::Pool,
        },
    }
}

impl Daemon {
    /// `GET /v1/config`.
    pub(crate) fn told(&self, query: &Query) -> Answer {
        let config = &self.desk.config;
        let places = Places::of(config);
        let mut nodes: Vec<ConfigNode> = config
            .in_force()
            .iter()
            .map(|table| shape(table, &places))
            .collect();
        let mut toml = config.to_toml();
        if let Some(name) = query.get(query::NODE) {
            let wanted = match self.named(name) {
                Ok(id) => self.press.names.name(id).to_owned(),
                // The daemon's own table has no node's name.
                Err(_) if name == "supd" => String::new(),
                Err(unknown) => return unknown,
            };
            // An instance is what its pool is.
            let pool = wanted.rsplit_once('.').map(|(pool, _)| pool.to_owned());
            let is = |node: &ConfigNode, name: &str| match &node.node {
                Some(own) => own == name,
                None => name.is_empty() && node.table == "supd",
            };
            let exact = nodes.iter().any(|node| is(node, &wanted));
            let wanted = if exact { Some(wanted) } else { pool };
            nodes.retain(|node| wanted.as_deref().is_some_and(|name| is(node, name)));
            if nodes.is_empty() {
                let message = format!("`{name}` is in no configuration");
                return Answer::error(404, code::NO_SUCH_NODE, message)
                    .hint("it was added while supd ran: supctl history shows when");
            }
            toml = nodes.iter().map(table_text).collect();
        }
        Answer::json(
            200,
            &ConfigText {
                hash: config.hash(),
                files: config.files(),
                toml,
                nodes,
            },
        )
    }
}

fn shape(table: &InForce, places: &Places) -> ConfigNode {
    let written = places.of_table(table);
    ConfigNode {
        table: table.table.to_owned(),
        node: Some(table.name.clone()).filter(|name| !name.is_empty()),
        parent: table.parent.clone(),
        written: written.iter().map(written_key).collect(),
        in_force: table
            .lines
            .iter()
            .filter(|line| !line.inherited)
            .map(|line| {
                let origin = origin_of(written, &line.key);
                InForceKey {
                    key: line.key.clone(),
                    value: line.shown().to_owned(),
                    file: origin.map(|o| o.file.display().to_string()),
                    line: origin.map(|o| o.line as u64),
                    from: origin.map(|o| o.from.clone()),
                }
            })
            .collect(),
    }
}

fn written_key(written: &Written) -> WrittenKey {
    WrittenKey {
        key: written.key.clone(),
        value: written.value.clone(),
        file: written.file.display().to_string(),
        line: written.line as u64,
        from: written.from.clone(),
    }
}

/// One table as a file would have it.
fn table_text(node: &ConfigNode) -> String {
    let name = node.node.as_ref().map(|name| format!(".{name}"));
    let mut text = format!("[{}{}]\n", node.table, name.unwrap_or_default());
    for key in &node.in_force {
        text.extend([&key.key, " = ", &key.value, "\n"]);
    }
    text
}
