// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each key means, in the words of the reference page, which a test keeps complete: the page
//! is the one place where a key is described, and `supctl explain` reads it aloud.

/// The reference of the language.
const PAGE: &str = include_str!("../../docs/reference/configuration.md");

/// A key of the language, as the reference has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyHelp {
    /// The table it stands in: `service`, `supervisor`, `class`, `breaker`, `supd`, `remediation`;
    /// empty at the top.
    pub table: &'static str,
    /// Dotted: `stop.timeout`.
    pub key: &'static str,
    /// What holds without it.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

/// Every key of the reference, in its order.
pub fn keys() -> impl Iterator<Item = KeyHelp> {
    let mut table = "";
    PAGE.lines().filter_map(move |line| {
        if let Some(heading) = line.strip_prefix("## ") {
            let bare = heading.trim_matches(['`', '[', ']']);
            let known = [
                "supd",
                "supervisor.NAME",
                "service.NAME",
                "class.NAME",
                "breaker.NAME",
                "remediation",
            ];
            let found = known.into_iter().find(|name| *name == bare);
            table = found.map_or("", |name| name.trim_end_matches(".NAME"));
            return None;
        }
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let key = cells.next()?.trim_end_matches('`');
        let (default, meaning) = (cells.next()?, cells.next()?);
        Some(KeyHelp {
            table,
            key,
            default,
            meaning,
        })
    })
}

/// The keys that a word means: `restart`, `service.stop`, `stop.timeout`, `service.NAME.env`. A
/// table means all that stand below it.
pub fn key_help(word: &str) -> Vec<KeyHelp> {
    let mut path = word.trim_matches(['[', ']', '`', ' ']);
    let mut wanted = None;
    for table in ["supd", "supervisor", "service", "class", "breaker"] {
        let rest = path.strip_prefix(table).and_then(|p| p.strip_prefix('.'));
        if let Some(rest) = rest {
            wanted = Some(table);
            path = rest.strip_prefix("NAME.").unwrap_or(rest);
            break;
        }
    }
    let is_below = |key: &str| key.strip_prefix(path).is_some_and(|r| r.starts_with('.'));
    // Services and supervisors have the same table of remedies in them.
    let remedies = path.starts_with("remediation.");
    let lent = |help: &KeyHelp| remedies && help.table == "remediation";
    let fits = |help: &KeyHelp| wanted.is_none_or(|table| table == help.table) || lent(help);
    let same = |help: &KeyHelp| help.key == path || is_below(help.key);
    keys().filter(|help| fits(help) && same(help)).collect()
}
