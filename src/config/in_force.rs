// SPDX-License-Identifier: MIT OR Apache-2.0
//! A whole configuration as it holds: every table with every key, in tree order. It adds nothing to
//! what `spell` says of one node but the shape of the tree.

use super::Loaded;
use super::spell::{self, Place};
use super::spell_class;
use super::spelling::{Line, key};
use crate::spec::{Node, Policy, Service, Supervisor, SupervisorKind};
use std::sync::Arc;

/// Stands for the instance in the pattern of a pool. No file can hold it as a name, and TOML needs
/// no escape for it.
const SOME_INSTANCE: &str = "\u{e000}";

/// A table as it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// `service`, `supervisor`, `supd`, `class`, `breaker` or `remediation`.
    pub table: &'static str,
    /// The node's or the class's name; empty for `[supd]` and `[remediation]`.
    pub name: String,
    /// Its supervisor; nothing for `[supd]`, the root and classes.
    pub parent: Option<String>,
    /// Every key.
    pub lines: Vec<Line>,
}

impl InForce {
    /// `[service.web]`.
    pub fn header(&self) -> String {
        if self.name.is_empty() {
            return format!("[{}]", self.table);
        }
        format!("[{}.{}]", self.table, key(&self.name))
    }
}

impl Loaded {
    /// `[supd]`, then every node from the top, children in their order, then classes in theirs.
    pub fn in_force(&self) -> Vec<InForce> {
        let mut all = vec![InForce {
            table: "supd",
            name: String::new(),
            parent: None,
            lines: spell::settings(&self.tree.settings),
        }];
        if !self.tree.remedies.is_empty() {
            all.push(InForce {
                table: "remediation",
                name: String::new(),
                parent: None,
                lines: spell::registry(&self.tree.remedies),
            });
        }
        all.extend(self.tree.breakers.iter().map(|breaker| InForce {
            table: "breaker",
            name: breaker.name.to_string(),
            parent: None,
            lines: spell::breaker(breaker),
        }));
        let root = &self.tree.root;
        all.push(InForce {
            table: "supervisor",
            name: root.name.to_string(),
            parent: None,
            lines: spell::supervisor(root, Place::Root),
        });
        self.below(root, &mut all);
        let classes = &self.tree.classes;
        all.extend(classes.rules.iter().map(|class| InForce {
            table: "class",
            name: class.name.to_string(),
            parent: None,
            lines: spell_class::class(class, classes),
        }));
        all
    }

    /// Recursion is bounded by the depth of a tree.
    fn below(&self, sup: &Supervisor, all: &mut Vec<InForce>) {
        for child in &sup.children {
            all.push(InForce {
                table: spell::table_of(child),
                name: child.name().to_string(),
                parent: Some(sup.name.to_string()),
                lines: self.lines_of(child, sup.policy),
            });
            if let Node::Supervisor(inner) = child
                && inner.kind == SupervisorKind::Tree
            {
                self.below(inner, all);
            }
        }
    }

    fn lines_of(&self, node: &Node, policy: Policy) -> Vec<Line> {
        match node {
            Node::Service(service) => spell::service(service, policy),
            Node::Supervisor(sup) => match sup.kind {
                SupervisorKind::Tree => spell::supervisor(sup, Place::Inside),
                SupervisorKind::Pool => self.pool_lines(sup),
            },
        }
    }

    /// What all instances have in common, with `${INSTANCE}` where they differ.
    fn pool_lines(&self, pool: &Supervisor) -> Vec<Line> {
        let Some(one) = self.instance(&pool.name, "1") else {
            return Vec::new();
        };
        let mut lines = spell::pool(pool, &one);
        let Some(any) = self.some_instance(&pool.name) else {
            return lines;
        };
        let pattern = spell::pool(pool, &any);
        for line in &mut lines {
            let same = |other: &&Line| other.key == line.key;
            if let Some(varying) = pattern.iter().find(same) {
                line.vary(varying, (SOME_INSTANCE, "${INSTANCE}"));
            }
        }
        lines
    }

    /// An instance that is called nothing in particular; `None` where its name decides more than a
    /// text: a port.
    fn some_instance(&self, pool: &str) -> Option<Arc<Service>> {
        let plan = self.plans.get(pool)?;
        self.with_reader(|reader| plan.instance(reader, SOME_INSTANCE))
    }

    /// All of it as one file. Secrets are stars: what comes out is for reading.
    pub fn to_toml(&self) -> String {
        let mut text = String::from("version = 1\n");
        for table in self.in_force() {
            text.push('\n');
            text.push_str(&table.header());
            text.push('\n');
            for line in table.lines.iter().filter(|line| !line.inherited) {
                text.push_str(&line.key);
                text.push_str(" = ");
                text.push_str(line.shown());
                text.push('\n');
            }
        }
        text
    }
}
