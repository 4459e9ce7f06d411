// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a panic said, for the record of it. Nothing is printed: our standard error may be a pipe
//! nobody reads, and a write there could wait for ever.

use std::sync::{Mutex, PoisonError};

static LAST: Mutex<String> = Mutex::new(String::new());

/// Remembers panics instead of printing them.
pub(crate) fn install() {
    std::panic::set_hook(Box::new(|info| {
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        *last = info.to_string().replace('\n', " ");
    }));
}

/// The last one.
pub(crate) fn last() -> String {
    let last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    last.clone()
}
