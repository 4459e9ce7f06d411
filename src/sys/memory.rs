// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that was needed once goes back to the kernel.
//!
//! Reading a configuration takes several times what is kept of it, in small pieces between those
//! that stay. The C library returns only what is free at the end of its heap unless it is asked.
//! The module never decides when that is worth it.

#![expect(unsafe_code, reason = "malloc_trim(3) has no safe wrapper")]

/// Gives every free page back. Takes about a millisecond for a large configuration.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time and touches free memory only (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}
