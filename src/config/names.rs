// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a variable means outside a node: `--var` beats the environment, which beats `[vars]`.
//!
//! Whatever was asked for while loading is remembered, so that a pool scaled later is rendered
//! from the same values although nobody keeps the environment.

use super::codes;
use super::diagnostic::Report;
use super::files::Files;
use super::interpolate::{self, Found};
use super::reader::Names;
use super::value::{Item, Table};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Names while loading.
pub(super) struct Live<'e> {
    given: BTreeMap<Box<str>, Box<str>>,
    env: &'e dyn Fn(&str) -> Option<String>,
    vars: BTreeMap<Box<str>, Box<str>>,
    asked: RefCell<BTreeMap<Box<str>, Box<str>>>,
}

/// Names after loading: those that were asked for.
#[derive(Clone, Default)]
pub(super) struct Frozen(BTreeMap<Box<str>, Box<str>>);

impl std::fmt::Debug for Frozen {
    /// Names only; values may come from a secretive environment.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl<'e> Live<'e> {
    pub(super) fn new(given: &[(String, String)], env: &'e dyn Fn(&str) -> Option<String>) -> Self {
        let boxed = |(name, value): &(String, String)| (Box::from(&**name), Box::from(&**value));
        Self {
            given: given.iter().map(boxed).collect(),
            env,
            vars: BTreeMap::new(),
            asked: RefCell::default(),
        }
    }

    /// Takes `[vars]` in. A value sees `--var` and the environment, never its neighbours: the
    /// order of keys must not matter.
    pub(super) fn with_vars(mut self, vars: &Table, files: &Files<'_>) -> Self {
        let mut read = BTreeMap::new();
        for entry in &vars.entries {
            let Item::Text(text) = &entry.value.item else {
                let message = format!("the variable `{}` is a string", entry.key);
                let report = Report::new(codes::WRONG_TYPE, message).at(entry.value.at, "");
                let help = format!("write it as `{} = \"…\"`", entry.key);
                files.sink.push(report.help(help));
                continue;
            };
            let completed = interpolate::complete(text, &mut |name| {
                self.find(name).map_or(Found::Nothing, Found::Text)
            });
            let value = completed.unwrap_or_else(|_| {
                files.sink.push(
                    Report::new(codes::UNDEFINED, "a variable in `[vars]` is not defined")
                        .at(entry.value.at, "")
                        .help("values here see `--var` and the environment, not each other"),
                );
                Box::default()
            });
            read.insert(Box::from(&*entry.key), value);
        }
        self.vars = read;
        self
    }

    pub(super) fn freeze(self) -> Frozen {
        Frozen(self.asked.into_inner())
    }
}

impl Names for Live<'_> {
    fn find(&self, name: &str) -> Option<Box<str>> {
        let given = self.given.get(name).cloned();
        let found = given
            .or_else(|| (self.env)(name).map(String::into_boxed_str))
            .or_else(|| self.vars.get(name).cloned())?;
        let mut asked = self.asked.borrow_mut();
        asked.insert(Box::from(name), found.clone());
        Some(found)
    }

    fn known(&self) -> Vec<Box<str>> {
        self.given.keys().chain(self.vars.keys()).cloned().collect()
    }
}

impl Names for Frozen {
    fn find(&self, name: &str) -> Option<Box<str>> {
        self.0.get(name).cloned()
    }

    fn known(&self) -> Vec<Box<str>> {
        self.0.keys().cloned().collect()
    }
}
