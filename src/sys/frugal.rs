// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the static programs do without.
//!
//! The standard library asks where the main thread's stack ends, to tell an overflow from another
//! bad access in its last words. The C library reads /proc/self/maps for that, with the scanner of
//! formatted text: 97 KB of a static program, six system calls and 50 µs of every start. An
//! overflow is a SIGSEGV without these words then.

#![expect(
    unsafe_code,
    reason = "a function of the C library's is replaced by name"
)]

use std::ffi::{c_int, c_void};

/// pthread_getattr_np(3), which knows nothing. In the place of the C library's in programs that
/// are linked with it statically; both are looked for by this name.
// SAFETY: it has the type of the one it replaces, touches nothing, and may fail in this way.
#[unsafe(no_mangle)]
extern "C" fn pthread_getattr_np(_thread: libc::pthread_t, _attributes: *mut c_void) -> c_int {
    libc::ENOSYS
}
