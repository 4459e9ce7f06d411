// SPDX-License-Identifier: MIT OR Apache-2.0
//! The merged text: TOML values that remember where each of them was written.
//!
//! Several files become one table here: tables merge by key, everything else replaces. Order is
//! the order of the text, file by file, never the order of keys. This module knows no key's
//! meaning but one: which keys exclude each other, so that a later layer replaces what it rivals.

use super::schema::{Below, Shape};
use std::collections::HashMap;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A place: a file's number and a range of bytes in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct At {
    pub(super) file: u32,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) at: At,
    pub(super) item: Item,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Item {
    Text(Arc<str>),
    Integer(i64),
    Float(f64),
    Flag(bool),
    Date,
    List(Vec<Value>),
    Table(Table),
}

/// A table in text order.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<Entry>,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Arc<str>,
    /// The first place that mentions the key: it decides the order.
    pub(super) key_at: At,
    pub(super) value: Value,
}

/// A value together with the key it stands under, for messages that show how to write it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) key: &'a str,
    pub(super) key_at: At,
    pub(super) value: &'a Value,
    /// Whether the value is an element of the list that stands under the key.
    pub(super) element: bool,
}

impl<'a> Field<'a> {
    /// The same key, another value: an element of its list.
    pub(super) fn with(self, value: &'a Value) -> Self {
        Self {
            value,
            element: true,
            ..self
        }
    }

    pub(super) fn at(self) -> At {
        self.value.at
    }
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<Field<'_>> {
        self.entries
            .iter()
            .find(|entry| &*entry.key == key)
            .map(Entry::field)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The table under `key`; nothing when it is absent or not a table.
    pub(super) fn table(&self, key: &str) -> Option<&Self> {
        match &self.get(key)?.value.item {
            Item::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Every key that has a table, in text order: the nodes of `[service.x]`.
    pub(super) fn tables(&self) -> impl Iterator<Item = (&Entry, &Self)> {
        self.entries.iter().filter_map(|e| match &e.value.item {
            Item::Table(table) => Some((e, table)),
            _ => None,
        })
    }

    pub(super) fn without(&self, keys: &[&str]) -> Self {
        let kept = |e: &&Entry| !keys.contains(&&*e.key);
        Self {
            entries: self.entries.iter().filter(kept).cloned().collect(),
        }
    }

    /// Lays `over` on top: tables merge, all else replaces, a rival of what `over` says goes.
    pub(super) fn merge(&mut self, over: &Self, shape: &'static Shape) {
        for group in shape.rivals {
            if group.iter().any(|key| over.has(key)) {
                let rival = |e: &Entry| group.contains(&&*e.key) && !over.has(&e.key);
                self.entries.retain(|e| !rival(e));
            }
        }
        let index: HashMap<Arc<str>, usize> = if self.entries.len() > 32 {
            let numbered = self.entries.iter().enumerate();
            numbered.map(|(i, e)| (Arc::clone(&e.key), i)).collect()
        } else {
            HashMap::new()
        };
        let known = self.entries.len();
        for entry in &over.entries {
            let place = if index.is_empty() {
                let of_base = &self.entries[..known];
                of_base.iter().position(|e| e.key == entry.key)
            } else {
                index.get(&entry.key).copied()
            };
            match place {
                None => self.entries.push(entry.clone()),
                Some(place) => self.entries[place].overlay(entry, shape),
            }
        }
    }
}

impl Entry {
    pub(super) fn field(&self) -> Field<'_> {
        Field {
            key: &self.key,
            key_at: self.key_at,
            value: &self.value,
            element: false,
        }
    }

    fn overlay(&mut self, over: &Self, shape: &'static Shape) {
        match (&mut self.value.item, &over.value.item) {
            (Item::Table(mine), Item::Table(theirs)) => {
                mine.merge(theirs, shape.below(&over.key));
            }
            _ => self.value = over.value.clone(),
        }
    }
}

impl Shape {
    /// What stands under `key`, as far as merging is concerned.
    fn below(&'static self, key: &str) -> &'static Shape {
        let found = self.keys.iter().find(|k| k.name == key);
        match found.map(|k| &k.below) {
            Some(Below::Table(shape) | Below::Steps(shape, _)) => shape,
            Some(Below::Named(nodes)) => nodes,
            _ => self.each.unwrap_or(&super::schema::FREE),
        }
    }
}

/// Converts what the TOML parser found in file number `file`.
pub(super) fn from_toml(table: &DeTable<'_>, file: u32) -> Table {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: Arc::from(key.get_ref().as_ref()),
            key_at: place(file, &key.span()),
            value: convert(value, file),
        })
        .collect();
    entries.sort_by_key(|e| e.key_at);
    Table { entries }
}

fn convert(value: &Spanned<DeValue<'_>>, file: u32) -> Value {
    let at = place(file, &value.span());
    let item = match value.get_ref() {
        DeValue::String(text) => Item::Text(Arc::from(text.as_ref())),
        DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix())
            .map_or(Item::Float(f64::INFINITY), Item::Integer),
        DeValue::Float(n) => Item::Float(n.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Item::Flag(*flag),
        DeValue::Datetime(_) => Item::Date,
        DeValue::Array(list) => Item::List(list.iter().map(|v| convert(v, file)).collect()),
        DeValue::Table(table) => Item::Table(from_toml(table, file)),
    };
    Value { at, item }
}

/// Files are limited to 4 MiB, so offsets fit.
pub(super) fn place(file: u32, span: &std::ops::Range<usize>) -> At {
    let offset = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    At {
        file,
        start: offset(span.start),
        end: offset(span.end),
    }
}
