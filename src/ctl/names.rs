// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which nodes a NAME means: a name, a path or its end, or a glob.
//!
//! A pattern is compared segment by segment with the end of each path, so that `web`, `api/web` and
//! `root/api/web` are one rule. `*` and `?` stay within a segment. A glob never means the root, and
//! of two nodes of which one is above the other it means the upper one: what is done to it is done
//! to those below.

use super::failure::Failure;
use crate::wire::NodeView;

/// Whether somebody wrote a name that stands for itself, to be sent as it is.
pub(crate) fn is_plain(pattern: &str) -> bool {
    !pattern.is_empty() && !pattern.contains(['*', '?', '/'])
}

/// The nodes that these patterns mean, in the order of the patterns, each once; `doing` is the verb
/// in an error's text.
pub(crate) fn resolve<'a>(
    root: &'a NodeView,
    patterns: &[String],
    doing: &str,
) -> Result<Vec<&'a NodeView>, Failure> {
    let mut found: Vec<&NodeView> = Vec::new();
    for pattern in patterns {
        let before = found.len();
        let mut seen = false;
        collect(root, pattern, &mut |node| {
            seen = true;
            if !found.iter().any(|other| other.path == node.path) {
                found.push(node);
            }
        });
        if !seen && found.len() == before {
            return Err(Failure::NoSuchName {
                doing: format!("{doing} `{pattern}`"),
                near: nearest(root, pattern).map(str::to_owned),
            });
        }
    }
    Ok(found)
}

fn collect<'a>(node: &'a NodeView, pattern: &str, take: &mut dyn FnMut(&'a NodeView)) {
    let glob = pattern.contains(['*', '?']);
    let is_root = !node.path.contains('/');
    if !(glob && is_root) && matches(pattern, &node.path) {
        take(node);
        if glob {
            return;
        }
    }
    for child in &node.children {
        collect(child, pattern, take);
    }
}

/// Whether the pattern's segments are the path's last ones.
fn matches(pattern: &str, path: &str) -> bool {
    let mut segments = path.rsplit('/');
    !pattern.is_empty()
        && pattern
            .trim_start_matches('/')
            .rsplit('/')
            .all(|wanted| segments.next().is_some_and(|have| glob(wanted, have)))
}

/// `*` is any number of characters, `?` exactly one. Linear but for the last `*`, which is where
/// it goes back to; names have 64 bytes.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            Some(_) | None => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// The name that was probably meant.
pub(crate) fn nearest<'a>(root: &'a NodeView, name: &str) -> Option<&'a str> {
    let wanted = name.rsplit('/').next().unwrap_or(name);
    let limit = (wanted.chars().count() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    let mut look = |node: &'a NodeView| {
        let distance = strsim::damerau_levenshtein(wanted, &node.name);
        if distance <= limit && best.is_none_or(|(other, _)| distance < other) {
            best = Some((distance, &node.name));
        }
    };
    each(root, &mut look);
    best.map(|(_, name)| name)
}

/// Every node of a tree, from the top.
pub(crate) fn each<'a>(node: &'a NodeView, visit: &mut dyn FnMut(&'a NodeView)) {
    visit(node);
    for child in &node.children {
        each(child, visit);
    }
}
