// SPDX-License-Identifier: MIT OR Apache-2.0
//! System calls without the C library's ideas about them.
//!
//! glibc's `setresuid` signals every thread of the process, its `sigaction` refuses 32 and 33, and
//! its `waitid` drops the resource usage. Between clone and exec none of that may happen, so both
//! sides of a spawn use the bare calls. The module decides nothing.

#![expect(unsafe_code, reason = "the bare system calls")]

/// A system call with at most five arguments: its result or its errno. Allocates nothing, takes no
/// lock and writes no `errno`, which a child that shares our memory would share with us: so it may
/// be used between clone and exec.
///
/// # Safety
///
/// Every argument that the call takes for a pointer must be one it may use as it will.
#[inline]
pub(super) unsafe fn syscall(number: libc::c_long, args: [usize; 5]) -> Result<usize, i32> {
    // SAFETY: the caller vouches for the pointers; the kernel checks the rest.
    let result = unsafe { trap(number, args) };
    // The last 4095 numbers are errors (syscall(2)).
    match i32::try_from(result) {
        Ok(error @ -4095..0) => Err(-error),
        Ok(_) | Err(_) => Ok(result.cast_unsigned()),
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
unsafe fn trap(number: libc::c_long, args: [usize; 5]) -> isize {
    let [first, second, third, fourth, fifth] = args;
    let result: isize;
    // SAFETY: the registers are those of syscall(2); the kernel destroys rcx and r11 besides.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            in("r8") fifth,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

#[cfg(target_arch = "aarch64")]
#[inline]
unsafe fn trap(number: libc::c_long, args: [usize; 5]) -> isize {
    let [first, second, third, fourth, fifth] = args;
    let result: isize;
    // SAFETY: the registers are those of syscall(2).
    unsafe {
        std::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") first => result,
            in("x1") second,
            in("x2") third,
            in("x3") fourth,
            in("x4") fifth,
            options(nostack),
        );
    }
    result
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
