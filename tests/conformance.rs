// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recorded behaviour of real OTP supervisors, replayed against the engine in virtual time: one
//! case per rule of OTP. `examples/otp_conformance.rs` replays any directory of such cases.

mod otp;

use std::path::Path;

#[test]
fn the_engine_does_what_otp_did() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let files = otp::compare::files(&dir).expect("the directory of cases can be read");
    assert!(files.len() >= 98, "only {} cases found", files.len());
    let failed: Vec<String> = files
        .iter()
        .filter_map(|file| otp::replay_file(file).err())
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
