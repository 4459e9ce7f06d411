// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo +nightly fuzz run scalar`: the body is in tests/fuzz.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| supd_fuzz::run("scalar", bytes));
