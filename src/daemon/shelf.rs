// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is kept on disk, below `[supd] state_dir`.
//!
//! ```text
//! events.ndjson  every record, a line each, as `supctl events --json` has it
//! audit.ndjson   those that somebody has brought about: orders, refusals, reloads, our own start
//! good/          the files of the configuration that was taken up last, as they were read
//! ```
//!
//! The two are log files like those of services: rotated, compressed, written by the other thread
//! behind a bounded queue, and opened so that nobody can turn them into something else. A flood of
//! restarts pushes no order out of `audit.ndjson`. Nothing here is read by supd: whoever wants to
//! boot the last good configuration names it (SEMANTICS §12). Decides what is kept, not how.

use super::files::{Feed, Files};
use crate::config::Loaded;
use crate::spec::Rotate;
use crate::tree::{NodeId, What};
use crate::wire::kind;
use std::path::Path;
use std::sync::Arc;

/// Nobody's node: these files are supd's own.
const OURS: NodeId = NodeId(u32::MAX);
/// A month of an ordinary machine, a quarter of an hour of a crash loop.
const ROTATE: Rotate = Rotate {
    size: Some(8 << 20),
    keep: 4,
    compress: true,
};

/// What waits to be written, and where it goes.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    dir: Option<Arc<Path>>,
    feeds: Vec<Feed>,
    events: Vec<u8>,
    audit: Vec<u8>,
}

impl Shelf {
    /// Keeps records here from now on; `None`: nowhere.
    pub(crate) fn follow(&mut self, dir: Option<&Path>, files: &mut Files) {
        if self.dir.as_deref() == dir {
            return;
        }
        self.flush(files);
        let had = std::mem::take(&mut self.feeds);
        let names = ["events.ndjson", "audit.ndjson"];
        let paths: Vec<Arc<Path>> = match dir {
            Some(dir) => names.iter().map(|name| dir.join(name).into()).collect(),
            None => Vec::new(),
        };
        self.feeds = files.feeds(OURS, (&paths, ROTATE), had);
        self.dir = dir.map(Arc::from);
    }

    /// Whether records are kept.
    pub(crate) fn is_open(&self) -> bool {
        self.dir.is_some()
    }

    /// Takes a record.
    pub(crate) fn take(&mut self, what: &What, json: &str) {
        if !self.is_open() {
            return;
        }
        let line = |into: &mut Vec<u8>| {
            into.extend_from_slice(json.as_bytes());
            into.push(b'\n');
        };
        line(&mut self.events);
        if is_brought_about(what) {
            line(&mut self.audit);
        }
    }

    /// Hands what was taken to the thread.
    pub(crate) fn flush(&mut self, files: &mut Files) {
        for (feed, bytes) in self.feeds.iter().zip([&mut self.events, &mut self.audit]) {
            if !bytes.is_empty() {
                files.push(feed, bytes);
                bytes.clear();
                bytes.shrink_to(4096);
            }
        }
    }

    /// Keeps this configuration in the place of the one before.
    pub(crate) fn keep(&self, loaded: &Loaded, files: &mut Files) {
        if let Some(dir) = &self.dir {
            files.keep(Arc::clone(dir), named(loaded));
        }
    }
}

/// Every file of a configuration as it was read, named as seen from the directory of the main one;
/// what lies elsewhere, below `elsewhere`.
fn named(loaded: &Loaded) -> Vec<(String, Arc<str>)> {
    let main = loaded.files.first().and_then(|file| file.parent());
    let name = |path: &Path| {
        let near = main.and_then(|main| path.strip_prefix(main).ok());
        let far = || Path::new("elsewhere").join(path.strip_prefix("/").unwrap_or(path));
        let name = near.map_or_else(far, Path::to_path_buf);
        name.to_string_lossy().into_owned()
    };
    let texts = loaded.texts();
    texts
        .map(|(path, text)| (name(path), Arc::from(text)))
        .collect()
}

/// Whether somebody has brought it about, or everything begins or ends with it.
fn is_brought_about(what: &What) -> bool {
    match what {
        What::Command { .. } | What::ShuttingDown { .. } => true,
        What::Daemon { kind, by, .. } => {
            let marks = [
                kind::DAEMON_STARTED,
                kind::DAEMON_RELOADED,
                super::note::RELOAD_REFUSED,
                super::note::REFUSED,
            ];
            by.is_some() || marks.contains(kind)
        }
        _ => false,
    }
}
