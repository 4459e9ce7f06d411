// SPDX-License-Identifier: MIT OR Apache-2.0
//! System calls without the C library's ideas about them.
//!
//! glibc's `setresuid` signals every thread of the process, its `sigaction` refuses 32 and 33, and
//! its `waitid` drops the resource usage. Between clone and exec none of that may happen, so both
//! sides of a spawn use the bare calls. The module decides nothing.

#![expect(unsafe_code, reason = "the bare system calls")]

/// A system call with at most five arguments: its result or its errno. Allocates nothing and takes
/// no lock, so that it may be used between clone and exec.
///
/// # Safety
///
/// Every argument that the call takes for a pointer must be one it may use as it will.
#[inline]
pub(super) unsafe fn syscall(number: libc::c_long, args: [usize; 5]) -> Result<usize, i32> {
    let [first, second, third, fourth, fifth] = args;
    // SAFETY: the caller vouches for the pointers; the kernel checks the rest.
    let result = unsafe { libc::syscall(number, first, second, third, fourth, fifth) };
    usize::try_from(result).map_err(|_| errno())
}

/// The error of the last failed call of this thread.
#[inline]
pub(super) fn errno() -> i32 {
    // SAFETY: the pointer is this thread's own and always valid (errno(3)).
    unsafe { *libc::__errno_location() }
}

/// The signed number as the kernel expects it in a register.
#[inline]
#[expect(
    clippy::cast_sign_loss,
    reason = "sign extension is what the kernel expects"
)]
pub(super) const fn arg(number: i32) -> usize {
    number as isize as usize
}

/// The error of a failed call as `std` puts it.
pub(super) fn io_error(errno: i32) -> std::io::Error {
    std::io::Error::from_raw_os_error(errno)
}
