// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that was needed once goes back to the kernel.
//!
//! Reading a configuration takes several times what is kept of it, in small pieces between those
//! that stay; the C library returns only what is free at the end of its heap unless it is asked.
//! And it takes code and tables that are not needed again until the next one is read: they stay
//! mapped, and count as ours, for as long as the kernel has room. The module never decides when
//! giving back is worth it.

#![expect(
    unsafe_code,
    reason = "malloc_trim(3), dl_iterate_phdr(3) and madvise(2)"
)]

use std::ffi::{c_int, c_void};

/// Gives every free page and every page of the program back. Takes about a millisecond for a large
/// configuration; what is needed of the program comes back by itself, 64 KiB with each fault.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time and touches free memory only (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
    // SAFETY: the function is called during the call only, and takes no data.
    unsafe {
        libc::dl_iterate_phdr(Some(give_back_program), std::ptr::null_mut());
    }
}

/// Asks the kernel to forget the mapped pages of the first object, the program itself, that are
/// never written: they are read from its file again. Returns 1, to be called once.
unsafe extern "C" fn give_back_program(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    _data: *mut c_void,
) -> c_int {
    // SAFETY: it is valid during the call (dl_iterate_phdr(3)).
    let Some(info) = (unsafe { info.as_ref() }) else {
        return 1;
    };
    let count = usize::from(info.dlpi_phnum);
    if info.dlpi_phdr.is_null() {
        return 1;
    }
    // SAFETY: so many headers stand there.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, count) };
    let page = usize::try_from(super::usage::page_size()).unwrap_or(4096);
    for header in headers {
        // What is writable, or was while the program was relocated, exists nowhere else.
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        let (Ok(from), Ok(size)) = (
            usize::try_from(info.dlpi_addr + header.p_vaddr),
            usize::try_from(header.p_memsz),
        ) else {
            continue;
        };
        let begin = from & !(page - 1);
        let length = (from + size).next_multiple_of(page) - begin;
        // SAFETY: these pages are a private mapping of a file that nobody has written to: whoever
        // reads or executes them next finds the same (madvise(2), MADV_DONTNEED).
        unsafe {
            libc::madvise(begin as *mut c_void, length, libc::MADV_DONTNEED);
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_is_there_when_it_is_needed() {
        static TABLE: [u8; 4] = *b"here";
        for _ in 0..3 {
            give_back();
            assert_eq!(std::hint::black_box(&TABLE), b"here");
            assert_eq!(format!("{}", 17), "17");
        }
    }
}
