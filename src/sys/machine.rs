// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the machine says of itself. Nothing is decided by it here.

/// Its host name (gethostname(2)); empty if it has none that is text.
pub fn host_name() -> String {
    let name = nix::unistd::gethostname().ok();
    name.and_then(|n| n.into_string().ok()).unwrap_or_default()
}
