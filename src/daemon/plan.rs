// SPDX-License-Identifier: MIT OR Apache-2.0
//! `POST /v1/plan`: what a configuration would change, in the shapes of the protocol.
//!
//! Which keys differ is read off the two configurations, what follows for the processes is what the
//! engine foresees. Nothing is decided here: it only puts the two side by side, and names for each
//! node that is touched without a change of its own the one that is the reason.

use super::control::{Answer, Request};
use super::desk::{answer, body};
use super::reload::{Config, Refused};
use super::run::Daemon;
use super::told::{Places, node_kind};
use super::words;
use crate::config::{InForce, Line};
use crate::spec::diff::{Change as Need, service_change};
use crate::spec::{Node, Service, Supervisor, SupervisorKind, Tree as Spec};
use crate::tree::{Fate, Foresight};
use crate::wire::{Because, Change, ConfigRequest, KeyChange, NodeKind, Plan, Word, effect, op};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The table of names for ends.
const CLASS: &str = "class";

/// Settings that are looked at only when supd starts.
const AT_START: [&str; 3] = ["socket.path", "socket.group", "socket.read_group"];

impl Daemon {
    /// `POST /v1/plan`.
    pub(crate) fn plan(&mut self, request: Request) {
        let asked = match body::<ConfigRequest>(&request.body) {
            Ok(asked) => asked,
            Err(refused) => return answer(request.reply, refused),
        };
        let plan = match self.desk.config.read_new(asked.toml.as_deref()) {
            Ok(read) => {
                let config = self.desk.config.followed_by(read.loaded, self.tree.spec());
                let foreseen = self.tree.foresee(&config.tree());
                let warnings = Some(read.warnings).filter(|w| !w.is_empty());
                let sides = Sides::of((&self.desk.config, self.tree.spec()), &config, &foreseen);
                Plan {
                    ok: foreseen.applied.is_some(),
                    hash: config.hash(),
                    in_force: self.desk.config.hash(),
                    diagnostics: warnings.into_iter().collect(),
                    ..sides.plan(&Places::of(&config))
                }
            }
            Err(Refused(pictures)) => Plan {
                in_force: self.desk.config.hash(),
                diagnostics: vec![pictures],
                ..Plan::default()
            },
        };
        self.turn.read = super::run::Read::Lately;
        answer(request.reply, Answer::json(200, &plan));
    }
}

/// Nodes of a tree by name, and whom they stand under.
#[derive(Debug, Default)]
struct Index(BTreeMap<String, (Node, Option<Arc<Supervisor>>)>);

impl Index {
    fn of(spec: &Spec) -> Self {
        let mut index = Self::default();
        index.add(&Node::Supervisor(Arc::clone(&spec.root)), None);
        index
    }

    /// Recursion is bounded by the depth of a tree.
    fn add(&mut self, node: &Node, parent: Option<&Arc<Supervisor>>) {
        let entry = (node.clone(), parent.cloned());
        self.0.insert(node.name().to_string(), entry);
        if let Node::Supervisor(sup) = node {
            for child in &sup.children {
                self.add(child, Some(sup));
            }
        }
    }

    fn service(&self, name: &str) -> Option<&Service> {
        match &self.0.get(name)?.0 {
            Node::Service(service) => Some(service),
            Node::Supervisor(_) => None,
        }
    }

    fn parent(&self, name: &str) -> Option<&Arc<Supervisor>> {
        self.0.get(name)?.1.as_ref()
    }

    /// The services that a table of the configuration is about: one, or a pool's.
    fn services_of(&self, name: &str) -> Vec<&str> {
        match self.0.get(name) {
            Some((Node::Service(service), _)) => vec![&service.name],
            Some((Node::Supervisor(pool), _)) if pool.kind == SupervisorKind::Pool => {
                pool.children.iter().map(|child| &**child.name()).collect()
            }
            Some((Node::Supervisor(_), _)) | None => Vec::new(),
        }
    }
}

/// A configuration and the one that would follow it.
struct Sides<'a> {
    old: &'a Config,
    new: &'a Config,
    before: Index,
    after: Index,
    foreseen: &'a Foresight,
    /// Nodes that are restarted for their own change.
    renewed: BTreeSet<String>,
}

impl<'a> Sides<'a> {
    fn of((old, in_force): (&'a Config, &Spec), new: &'a Config, foreseen: &'a Foresight) -> Self {
        let mut sides = Self {
            old,
            new,
            before: Index::of(in_force),
            after: Index::of(&new.tree()),
            foreseen,
            renewed: BTreeSet::new(),
        };
        let all = sides.after.0.keys();
        let renewed = all.filter(|name| sides.is_renewed(name)).cloned();
        sides.renewed = renewed.collect();
        sides
    }

    fn is_renewed(&self, name: &str) -> bool {
        let services = self.after.services_of(name);
        let restarted = services.iter().any(|service| self.fate(service).started);
        restarted && self.need(name) == Need::Restart
    }

    fn plan(&self, places: &Places) -> Plan {
        let old: Vec<InForce> = self.old.in_force();
        let new: Vec<InForce> = self.new.in_force();
        let key = |table: &'_ InForce| (table.name.clone(), table.table);
        let there: BTreeMap<_, _> = old.iter().map(|t| (key(t), t)).collect();
        let here: BTreeSet<_> = new.iter().map(key).collect();
        let mut plan = Plan::default();
        for table in &new {
            let change = match there.get(&key(table)) {
                None => Some(self.added(table)),
                Some(before) => self.changed(before, table, places),
            };
            plan.changes.extend(change.into_iter().flat_map(apart));
        }
        for table in &old {
            if !here.contains(&key(table)) {
                plan.changes.push(self.removed(table));
            }
        }
        self.count(&mut plan);
        plan
    }

    fn fate(&self, name: &str) -> Fate {
        self.foreseen.fates.get(name).copied().unwrap_or_default()
    }

    fn added(&self, table: &InForce) -> Change {
        let sup = self.after.parent(&table.name);
        let place = sup.filter(|_| table.table != CLASS).and_then(|sup| {
            let mut names = sup.children.iter().map(|child| &**child.name());
            let at = names.position(|name| name == table.name)?;
            Some(match at {
                _ if at + 1 == sup.children.len() => "last".to_owned(),
                0 => "first".to_owned(),
                at => sup.children[at - 1].name().to_string(),
            })
        });
        let (found, instances) = self.effect_of(table);
        Change {
            after: place,
            effect: found.or(Some(effect::NEXT_START)).map(Word::Borrowed),
            instances,
            ..self.about(table, op::ADD)
        }
    }

    fn removed(&self, table: &InForce) -> Change {
        let (found, _) = self.effect_of(table);
        Change {
            effect: found.map(Word::Borrowed),
            ..self.about(table, op::REMOVE)
        }
    }

    fn about(&self, table: &InForce, op: &'static str) -> Change {
        let gone = op == op::REMOVE;
        let index = if gone { &self.before } else { &self.after };
        let found = index.0.get(&table.name).map(|(node, _)| node);
        let found = found.filter(|_| table.table != CLASS);
        let name = match table.table {
            CLASS => format!("{CLASS}.{}", table.name),
            _ => table.name.clone(),
        };
        Change {
            op: Word::Borrowed(op),
            node: Some(name).filter(|name| !name.is_empty()),
            kind: found.map_or(NodeKind::Supervisor, node_kind),
            parent: table.parent.clone(),
            ..Change::default()
        }
    }

    /// A table that is there before and after; nothing when nothing happens to it.
    fn changed(&self, before: &InForce, after: &InForce, places: &Places) -> Option<Change> {
        if after.table == CLASS {
            return self.changed_class(before, after, places);
        }
        let mut keys = differing(&before.lines, &after.lines);
        if !self.is_reordered(&after.name) {
            keys.retain(|key| key.key != "children");
        }
        if before.parent != after.parent {
            keys.push(KeyChange {
                key: "under".to_owned(),
                old: before.parent.clone(),
                new: after.parent.clone(),
                ..KeyChange::default()
            });
        }
        for key in &mut keys {
            if let Some((file, line)) = places.find((after.table, &after.name), &key.key) {
                key.file = Some(file);
                key.line = Some(line);
            }
        }
        let need = self.need(&after.name);
        let (found, instances) = self.effect_of(after);
        let found = match found {
            Some(found) => Some(found),
            None if keys.is_empty() => return None,
            None if need == Need::Restart => Some(effect::NEXT_START),
            None => Some(effect::IN_PLACE),
        };
        let is_own = need == Need::Restart;
        let because = match found {
            Some(effect::RESTART) if !is_own => self.because(&after.name),
            _ => None,
        };
        let op = if keys.is_empty() {
            op::TOUCH
        } else {
            op::CHANGE
        };
        Some(Change {
            keys,
            effect: found.map(Word::Borrowed),
            instances,
            because,
            ..self.about(after, op)
        })
    }

    /// Whether those who stay under a supervisor come to stand in another order.
    fn is_reordered(&self, name: &str) -> bool {
        let children = |index: &Index| -> Vec<String> {
            match index.0.get(name) {
                Some((Node::Supervisor(sup), _)) => {
                    sup.children.iter().map(|c| c.name().to_string()).collect()
                }
                Some((Node::Service(_), _)) | None => Vec::new(),
            }
        };
        let (old, new) = (children(&self.before), children(&self.after));
        let stay = |these: &[String], those: &[String]| -> Vec<String> {
            let both = |name: &&String| those.contains(name);
            these.iter().filter(both).cloned().collect()
        };
        stay(&old, &new) != stay(&new, &old)
    }

    /// What the services of a table need so that their own change holds.
    fn need(&self, name: &str) -> Need {
        let mut need = Need::None;
        for service in self.after.services_of(name) {
            let (old, new) = (self.before.service(service), self.after.service(service));
            if let (Some(old), Some(new)) = (old, new) {
                need = match (need, service_change(old, new)) {
                    (Need::Restart, _) | (_, Need::Restart) => Need::Restart,
                    (Need::InPlace, _) | (_, Need::InPlace) => Need::InPlace,
                    (Need::None, Need::None) => Need::None,
                };
            }
        }
        need
    }

    /// A class is nobody's process: it holds from the next end on.
    fn changed_class(&self, before: &InForce, after: &InForce, places: &Places) -> Option<Change> {
        let mut keys = differing(&before.lines, &after.lines);
        for key in &mut keys {
            if let Some((file, line)) = places.find((after.table, &after.name), &key.key) {
                key.file = Some(file);
                key.line = Some(line);
            }
        }
        (!keys.is_empty()).then(|| Change {
            keys,
            effect: Some(Word::Borrowed(effect::IN_PLACE)),
            ..self.about(after, op::CHANGE)
        })
    }

    /// What happens to the processes of a table, and to which instances if not to all.
    fn effect_of(&self, table: &InForce) -> (Option<&'static str>, Vec<String>) {
        if table.table == CLASS {
            return (Some(effect::IN_PLACE), Vec::new());
        }
        if table.table == "supervisor" {
            let fate = self.fate(&table.name);
            let found = match (fate.added, fate.removed) {
                (true, _) => Some(effect::START),
                (false, true) => Some(effect::STOP),
                (false, false) => None,
            };
            return (found, Vec::new());
        }
        let mut names: BTreeSet<&str> = self.after.services_of(&table.name).into_iter().collect();
        names.extend(self.before.services_of(&table.name));
        let mut by_effect: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        for name in &names {
            let fate = self.fate(name);
            let found = match (fate.stopped, fate.started) {
                (true, true) => effect::RESTART,
                (false, true) => effect::START,
                (true, false) => effect::STOP,
                (false, false) => continue,
            };
            by_effect.entry(found).or_default().push((*name).to_owned());
        }
        // A pool that is both renewed and resized is renewed; the numbers are counted apart.
        let order = [effect::RESTART, effect::START, effect::STOP];
        let found = order.into_iter().find(|e| by_effect.contains_key(e));
        let whom = found.and_then(|e| by_effect.remove(e)).unwrap_or_default();
        let all = whom.len() == names.len();
        (found, if all { Vec::new() } else { whom })
    }

    /// The neighbour for whose change a strategy restarts this node, or what stands above it.
    fn because(&self, name: &str) -> Option<Because> {
        let mut at = name.to_owned();
        while let Some(sup) = self.after.parent(&at) {
            let mut others = sup.children.iter().map(|child| &**child.name());
            let found = others.find(|other| *other != at && self.renewed.contains(*other));
            if let Some(node) = found {
                return Some(Because {
                    node: node.to_owned(),
                    supervisor: sup.name.to_string(),
                    strategy: Word::Borrowed(words::strategy(sup.strategy)),
                });
            }
            at = sup.name.to_string();
        }
        None
    }

    fn count(&self, plan: &mut Plan) {
        let mut names: BTreeSet<&String> = self.before.0.keys().collect();
        names.extend(self.after.0.keys());
        for name in names {
            let service = self.after.service(name).or(self.before.service(name));
            if service.is_none() {
                continue;
            }
            let fate = self.fate(name);
            match (fate.stopped, fate.started) {
                (true, true) => {
                    plan.restarted += 1;
                    let own = self.need(name) == Need::Restart;
                    plan.restarted_with += u64::from(!own);
                }
                (false, true) => plan.started += 1,
                (true, false) => plan.stopped += 1,
                (false, false) => {
                    let stays = self.after.service(name).is_some();
                    let same = fate == Fate::default() && self.need(name) == Need::None;
                    plan.untouched += u64::from(stays && same);
                }
            }
        }
        let in_place = |c: &&Change| c.effect.as_deref() == Some(effect::IN_PLACE);
        plan.in_place = plan.changes.iter().filter(in_place).count() as u64;
    }
}

/// What of `[supd]` holds at once, and what holds only when supd starts again.
fn apart(change: Change) -> Vec<Change> {
    if change.node.is_some() {
        return vec![change];
    }
    let (later, now): (Vec<_>, Vec<_>) = change
        .keys
        .iter()
        .cloned()
        .partition(|key| AT_START.contains(&&*key.key));
    let parts = [(now, effect::IN_PLACE), (later, effect::NEXT_SUPD)];
    let some = parts.into_iter().filter(|(keys, _)| !keys.is_empty());
    some.map(|(keys, effect)| Change {
        keys,
        effect: Some(Word::Borrowed(effect)),
        ..change.clone()
    })
    .collect()
}

/// What differs between two lists of keys, in the order of the new one.
fn differing(old: &[Line], new: &[Line]) -> Vec<KeyChange> {
    let value = |lines: &[Line], key: &str| {
        let found = lines.iter().find(|line| line.key == key);
        found.map(|line| line.shown().to_owned())
    };
    let mut keys = Vec::new();
    for line in new {
        if !old.contains(line) {
            keys.push(KeyChange {
                key: line.key.clone(),
                old: value(old, &line.key),
                new: Some(line.shown().to_owned()),
                ..KeyChange::default()
            });
        }
    }
    for line in old {
        if value(new, &line.key).is_none() {
            keys.push(KeyChange {
                key: line.key.clone(),
                old: Some(line.shown().to_owned()),
                ..KeyChange::default()
            });
        }
    }
    keys
}
