// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who stands under whom: from flat tables and `children` arrays to one tree.
//!
//! Order comes from `children`; a node that nobody lists is appended to the root in the order of
//! the text. Every way in which lists fail to be a tree is found here, before a node is read:
//! unknown children, two parents, circles, names used twice, too deep a tree.

use super::codes;
use super::diagnostic::Report;
use super::reader::Reader;
use super::scalar;
use super::value::{At, Entry, Field, Table};
use super::words;
use crate::spec::{Strategy, limits};
use std::collections::HashMap;
use std::sync::Arc;

/// The name of the root, whether it is written or not.
pub(super) const ROOT: &str = "root";

/// A node as written.
#[derive(Debug)]
pub(super) struct NodeSource<'a> {
    pub(super) name: Arc<str>,
    pub(super) at: At,
    pub(super) table: &'a Table,
    pub(super) kind: Kind,
    /// Numbers of nodes, in start order.
    pub(super) children: Vec<usize>,
    /// Where it is listed.
    listed: Option<At>,
    parent: Option<usize>,
}

/// Which table a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Service,
    Supervisor,
    /// The root, when the file does not have it.
    ImplicitRoot,
}

/// All nodes; the first one is the root.
#[derive(Debug)]
pub(super) struct Outline<'a> {
    pub(super) nodes: Vec<NodeSource<'a>>,
    index: HashMap<Arc<str>, usize>,
}

/// The words of `strategy`.
pub(super) const STRATEGIES: [(&str, Strategy); 3] = [
    ("one_for_one", Strategy::OneForOne),
    ("one_for_all", Strategy::OneForAll),
    ("rest_for_one", Strategy::RestForOne),
];

/// The strategy a table says.
pub(super) fn strategy(reader: &Reader<'_>, table: &Table) -> Strategy {
    let field = table.get("strategy");
    field
        .and_then(|f| reader.choice(f, &STRATEGIES))
        .unwrap_or(Strategy::OneForOne)
}

/// Finds out who stands under whom. `empty` is the table of a root that is not written.
pub(super) fn outline<'a>(reader: &Reader<'_>, top: &'a Table, empty: &'a Table) -> Outline<'a> {
    let mut outline = Outline::collect(reader, top, empty);
    outline.list_children(reader);
    outline.attach_unders(reader);
    outline.attach_unlisted(reader);
    outline.refuse_circles(reader);
    outline
}

impl<'a> Outline<'a> {
    pub(super) fn find(&self, name: &str) -> Option<&NodeSource<'a>> {
        self.index.get(name).map(|i| &self.nodes[*i])
    }

    fn collect(reader: &Reader<'_>, top: &'a Table, empty: &'a Table) -> Self {
        let root_at = At {
            file: 0,
            start: 0,
            end: 0,
        };
        let mut outline = Self {
            nodes: vec![NodeSource {
                name: Arc::from(ROOT),
                at: root_at,
                table: empty,
                kind: Kind::ImplicitRoot,
                children: Vec::new(),
                listed: None,
                parent: None,
            }],
            index: HashMap::from([(Arc::from(ROOT), 0)]),
        };
        let of = |key: &str, kind: Kind| {
            let tables = top.table(key).into_iter().flat_map(Table::tables);
            tables.map(move |(entry, table)| (entry, table, kind))
        };
        let supervisors = of("supervisor", Kind::Supervisor);
        let mut all: Vec<_> = supervisors.chain(of("service", Kind::Service)).collect();
        all.sort_by_key(|(entry, _, _)| entry.key_at);
        for (entry, table, kind) in all {
            outline.add(reader, entry, (table, kind));
        }
        outline
    }

    fn add(&mut self, reader: &Reader<'_>, entry: &Entry, (table, kind): (&'a Table, Kind)) {
        if let Some(fault) = scalar::name_fault(&entry.key) {
            let header = match kind {
                Kind::Service => "service",
                Kind::Supervisor | Kind::ImplicitRoot => "supervisor",
            };
            let name = scalar::name_like(&entry.key).unwrap_or_else(|| "web".to_owned());
            let report = Report::new(codes::NAME, fault).at(entry.key_at, "");
            reader.report(report.help(format!("write it as `[{header}.{name}]`")));
        }
        if &*entry.key == ROOT
            && kind == Kind::Supervisor
            && self.nodes[0].kind == Kind::ImplicitRoot
        {
            self.nodes[0].table = table;
            self.nodes[0].kind = kind;
            self.nodes[0].at = entry.key_at;
            return;
        }
        if let Some(first) = self.index.get(&entry.key) {
            let first = &self.nodes[*first];
            let report = Report::new(codes::DUPLICATE, format!("`{}` is two nodes", entry.key));
            let report = report.at(entry.key_at, "second use of the name");
            reader.report(match first.kind {
                Kind::ImplicitRoot => report.help("`root` is the supervisor at the top"),
                _ => report
                    .at(first.at, "first use")
                    .help("services and supervisors share one space of names"),
            });
            return;
        }
        self.index.insert(Arc::clone(&entry.key), self.nodes.len());
        self.nodes.push(NodeSource {
            name: Arc::clone(&entry.key),
            at: entry.key_at,
            table,
            kind,
            children: Vec::new(),
            listed: None,
            parent: None,
        });
    }

    fn list_children(&mut self, reader: &Reader<'_>) {
        for parent in 0..self.nodes.len() {
            if self.nodes[parent].kind == Kind::Service {
                continue;
            }
            let Some(field) = self.nodes[parent].table.get("children") else {
                continue;
            };
            let names = reader.list(field, "[\"first\", \"second\"]", |f| {
                reader.text(f).map(|name| (name, f.at()))
            });
            for (name, at) in names.unwrap_or_default() {
                self.list(reader, parent, (&name, at));
            }
        }
    }

    fn list(&mut self, reader: &Reader<'_>, parent: usize, (name, at): (&str, At)) {
        let owner = &self.nodes[parent].name;
        let Some(&child) = self.index.get(name) else {
            let known = self.nodes[1..].iter().filter(|n| n.parent.is_none());
            let all = || self.nodes[1..].iter().map(|n| &*n.name);
            let near = if reader.sink.is_full() {
                None
            } else {
                words::nearest(name, known.map(|n| &*n.name))
                    .or_else(|| words::nearest(name, all()))
            };
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add `[service.{name}]`, or take it out"),
            };
            let message = format!("supervisor `{owner}` has no child named `{name}`");
            let report = Report::new(codes::UNKNOWN_CHILD, message);
            reader.report(report.at(at, "not defined anywhere").help(help));
            return;
        };
        if child == 0 {
            let report = Report::new(codes::CIRCLE, "`root` stands under nobody");
            reader.report(report.at(at, "").help("it is the top of the tree"));
            return;
        }
        self.adopt(reader, parent, (child, at));
    }

    fn adopt(&mut self, reader: &Reader<'_>, parent: usize, (child, at): (usize, At)) {
        if let Some(first) = self.nodes[child].listed {
            let owner = self.nodes[child].parent.unwrap_or(0);
            let name = &self.nodes[child].name;
            let message = if owner == parent {
                format!(
                    "`{name}` is listed twice under `{}`",
                    self.nodes[parent].name
                )
            } else {
                let (one, other) = (&self.nodes[owner].name, &self.nodes[parent].name);
                format!("`{name}` stands under two supervisors, `{one}` and `{other}`")
            };
            reader.report(
                Report::new(codes::TWO_PARENTS, message)
                    .at(at, "and here")
                    .at(first, "here")
                    .help("take it out of one of them"),
            );
            return;
        }
        self.nodes[child].listed = Some(at);
        self.nodes[child].parent = Some(parent);
        self.nodes[parent].children.push(child);
    }

    /// `under` appends, in the order of the text.
    fn attach_unders(&mut self, reader: &Reader<'_>) {
        for child in 1..self.nodes.len() {
            let Some(field) = self.nodes[child].table.get("under") else {
                continue;
            };
            let Some(name) = reader.text(field) else {
                continue;
            };
            let Some(parent) = self.supervisor(reader, field, &name) else {
                continue;
            };
            if strategy(reader, self.nodes[parent].table) == Strategy::RestForOne {
                let message = format!("`under` cannot join `{name}`, which is rest_for_one");
                reader.report(
                    Report::new(codes::UNDER, message)
                        .at(field.at(), "")
                        .help(format!(
                            "its order is its meaning: list the child in [supervisor.{name}]"
                        )),
                );
                // It has a parent: no second report about a node that nobody lists.
                self.nodes[child].listed.get_or_insert(field.at());
                self.nodes[child].parent.get_or_insert(parent);
                continue;
            }
            self.adopt(reader, parent, (child, field.at()));
        }
    }

    fn supervisor(&self, reader: &Reader<'_>, field: Field<'_>, name: &str) -> Option<usize> {
        let found = self.index.get(name).copied();
        if let Some(at) = found.filter(|i| self.nodes[*i].kind != Kind::Service) {
            return Some(at);
        }
        let supervisors = self.nodes.iter().filter(|n| n.kind != Kind::Service);
        let help = match words::nearest(name, supervisors.map(|n| &*n.name)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add `[supervisor.{name}]`"),
        };
        let message = format!("there is no supervisor named `{name}`");
        reader.report(
            Report::new(codes::UNDER, message)
                .at(field.at(), "")
                .help(help),
        );
        None
    }

    fn attach_unlisted(&mut self, reader: &Reader<'_>) {
        let strategy = strategy(reader, self.nodes[0].table);
        for child in 1..self.nodes.len() {
            if self.nodes[child].parent.is_some() {
                continue;
            }
            if strategy == Strategy::OneForOne {
                self.nodes[child].parent = Some(0);
                self.nodes[0].children.push(child);
                continue;
            }
            let (name, at) = (&self.nodes[child].name, self.nodes[child].at);
            let word = STRATEGIES.iter().find(|(_, s)| *s == strategy);
            let word = word.map_or("", |(word, _)| word);
            reader.report(
                Report::new(codes::UNLISTED, format!("nobody lists `{name}`"))
                    .at(at, "")
                    .help(format!(
                        "the root is {word}, so it must know its place: add it to some `children`"
                    )),
            );
        }
    }

    /// What the root does not reach stands in a circle or below one.
    fn refuse_circles(&mut self, reader: &Reader<'_>) {
        let mut reached = vec![false; self.nodes.len()];
        let mut next = vec![(0_usize, 1_usize)];
        while let Some((node, depth)) = next.pop() {
            reached[node] = true;
            let inner = self.nodes[node].kind != Kind::Service;
            if inner && depth > limits::DEPTH_MAX {
                let message = format!("supervisors stand {} deep at most", limits::DEPTH_MAX);
                let report = Report::new(codes::DEPTH, message);
                let report = report.at(self.nodes[node].at, "one level too many");
                reader.report(report.help("list its children in a supervisor above it"));
                self.nodes[node].children.clear();
            }
            next.extend(self.nodes[node].children.iter().map(|c| (*c, depth + 1)));
        }
        for start in 1..self.nodes.len() {
            if self.nodes[start].kind == Kind::Supervisor && !reached[start] {
                self.circle(reader, start, &mut reached);
            }
        }
    }

    /// Goes up until a node comes again; reports each circle once.
    fn circle(&self, reader: &Reader<'_>, start: usize, reached: &mut [bool]) {
        let mut chain = Vec::new();
        let mut node = start;
        while !reached[node] {
            reached[node] = true;
            chain.push(node);
            let Some(parent) = self.nodes[node].parent else {
                return;
            };
            node = parent;
        }
        let Some(from) = chain.iter().position(|n| *n == node) else {
            return;
        };
        let ring = &chain[from..];
        let names: Vec<&str> = ring.iter().map(|n| &*self.nodes[*n].name).collect();
        let message = match names.as_slice() {
            [only] => format!("`{only}` is its own child"),
            names => format!("{} stand under each other", words::enumerate(names)),
        };
        let mut report = Report::new(codes::CIRCLE, message);
        for node in ring {
            if let Some(at) = self.nodes[*node].listed {
                report = report.at(at, "");
            }
        }
        reader.report(report.help("one of them must be listed by somebody else"));
    }
}
