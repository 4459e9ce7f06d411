// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of a script: its text, its configuration, and those that `reload` names.

use super::script::{Script, What};
use crate::config::{Disk, Loaded, Options, load};
use crate::ctl::check::style;
use crate::ctl::failure::Failure;
use crate::ctl::screen::Screen;
use std::collections::BTreeMap;
use std::env;
use std::path::Path;

/// Bytes of a script; a person writes a few thousand.
const SCRIPT_MAX: u64 = 1 << 20;

/// What a script is played on.
#[derive(Debug)]
pub(super) struct Configs {
    pub(super) main: Loaded,
    /// By the name in the script.
    pub(super) others: BTreeMap<String, Loaded>,
}

impl Configs {
    /// Reads them; `None`: one of them is invalid, and that was said.
    pub(super) fn read(
        screen: &mut Screen,
        (file, script): (&Path, &Script),
        (beside, vars): (&Path, &[(String, String)]),
    ) -> Option<Self> {
        let main = read_one(screen, file, vars)?;
        let mut others = BTreeMap::new();
        let statements = script.tests.iter().flat_map(|test| &test.statements);
        for statement in statements {
            let What::Reload(name, ..) = &statement.what else {
                continue;
            };
            let loaded = read_one(screen, &beside.join(name), vars)?;
            others.insert(name.clone(), loaded);
        }
        Some(Self { main, others })
    }
}

fn read_one(screen: &mut Screen, file: &Path, vars: &[(String, String)]) -> Option<Loaded> {
    let from_env = |name: &str| env::var(name).ok();
    let mut options = Options::new(&from_env);
    options.vars = vars;
    let outcome = load(file, &Disk, &options);
    if outcome.tree.is_none() {
        let picture = outcome.render(style(screen));
        let lines: Vec<String> = picture.lines().map(str::to_owned).collect();
        screen.complain_lines(&lines, &format!("supctl check {}", file.display()));
    }
    outcome.tree
}

/// The text of a script.
pub(super) fn read(file: &Path) -> Result<String, Failure> {
    let unreadable = |reason: String| Failure::Usage {
        doing: format!("read {}", file.display()),
        reason,
        instead: format!("ls -l {}", file.display()),
    };
    let about = std::fs::metadata(file).map_err(|e| unreadable(e.to_string()))?;
    if !about.is_file() || about.len() > SCRIPT_MAX {
        return Err(unreadable("it is no file of at most 1 MiB".to_owned()));
    }
    std::fs::read_to_string(file).map_err(|e| unreadable(e.to_string()))
}
