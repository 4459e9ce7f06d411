// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bodies of the fuzz targets over a committed corpus and its mutations: seeded, bounded, the
//! same in every run. `FUZZ_ROUNDS=1000000 FUZZ_SEED=2 cargo test --test fuzz` goes further; fuzz/
//! has the same bodies for libFuzzer.

mod bodies;
#[path = "../sim/dice.rs"]
#[allow(dead_code, reason = "the simulator uses more of it")]
mod dice;
mod engine;
#[path = "../sim/forest.rs"]
mod forest;
#[path = "../sim/ward.rs"]
#[allow(dead_code, reason = "the simulator uses more of it")]
mod ward;

use bodies::{TARGETS, Target};
use dice::Dice;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Mutations of an ordinary run, for each target.
const ROUNDS: u64 = 150;
/// No input is longer.
const LENGTH_MAX: usize = 4096;

/// Pieces that mean something to somebody.
const WORDS: [&[u8]; 28] = [
    b"\r\n\r\n",
    b"\n\n",
    b"HTTP/1.1",
    b"content-length: ",
    b"transfer-encoding: chunked\r\n",
    b"%2F",
    b"%",
    b"?wait=0",
    b"&since=",
    b"/v1/nodes/",
    b"POST ",
    b"DELETE ",
    b"READY=1\n",
    b"MAINPID=-1",
    b"STATUS=\x1b[2J",
    b"WATCHDOG_USEC=99999999999999999999",
    b"\0",
    b":x:0:0::/:/\n",
    b"root",
    b"18446744073709551616",
    b"ms",
    b"1d",
    b"[service.a]\n",
    b"[[",
    b"\"\"\"",
    b"${A:-",
    b"= {",
    b"\xff\xfe",
];

fn number(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok().and_then(|text| text.parse().ok());
    given.unwrap_or(otherwise)
}

/// The committed inputs of a target, in the order of their names.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(name);
    let entries = fs::read_dir(&dir).expect("every target has a corpus");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read(path).expect("an input"))
        .collect()
}

/// One to four changes to an input.
fn mutate(corpus: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = dice.pick(corpus).clone();
    for _ in 0..=dice.below(4) {
        let length = u64::try_from(bytes.len()).unwrap_or(0);
        let at = usize::try_from(dice.below(length + 1)).unwrap_or(0);
        let end = (at + usize::try_from(dice.below(9)).unwrap_or(0)).min(bytes.len());
        let any = dice.next().to_le_bytes();
        match dice.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = any[0],
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..at, any)),
            4 => drop(bytes.splice(at..end, dice.pick(&WORDS).iter().copied())),
            5 => {
                let piece = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, piece.repeat(3)));
            }
            _ => {
                let other = dice.pick(corpus);
                let from = at.min(other.len());
                drop(bytes.splice(at.., other[from..].iter().copied()));
            }
        }
    }
    bytes.truncate(LENGTH_MAX);
    bytes
}

/// Runs one input; one that fails is kept for a person.
fn run((name, body): Target, bytes: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| body(bytes))).is_err() {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
        let _ = fs::write(&path, bytes);
        let text = String::from_utf8_lossy(bytes);
        panic!(
            "{name} fails; the input is in {}:\n{text:?}",
            path.display()
        );
    }
}

fn sweep(target: Target) {
    let (name, _) = target;
    let corpus = corpus(name);
    assert!(corpus.len() >= 3, "{name} has {} inputs", corpus.len());
    for bytes in &corpus {
        run(target, bytes);
    }
    let seed = number("FUZZ_SEED", 1);
    for round in 0..number("FUZZ_ROUNDS", ROUNDS) {
        let mut dice = Dice::about(seed, &[8, round]);
        run(target, &mutate(&corpus, &mut dice));
    }
}

fn target(name: &str) -> Target {
    let found = TARGETS.into_iter().find(|(known, _)| *known == name);
    found.expect("a target of this name")
}

#[test]
fn no_configuration_text_is_too_strange() {
    sweep(target("config"));
}

#[test]
fn no_request_is_understood_in_two_ways() {
    sweep(target("request"));
}

#[test]
fn every_path_is_written_as_it_is_read() {
    sweep(target("path"));
}

#[test]
fn no_datagram_of_a_service_does_harm() {
    sweep(target("notify"));
}

#[test]
fn nobody_becomes_root_by_a_strange_file() {
    sweep(target("users"));
}

#[test]
fn no_span_and_no_size_is_too_strange() {
    sweep(target("scalar"));
}

#[test]
fn no_event_breaks_the_engine_in_any_state() {
    sweep(target("engine"));
}

#[test]
fn every_target_is_swept_and_has_its_file_for_libfuzzer() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    for (name, _) in TARGETS {
        let text = fs::read_to_string(dir.join(name).with_extension("rs")).expect("its file");
        assert!(text.contains(&format!("run(\"{name}\"")), "{name}: {text}");
        let own = include_str!("main.rs");
        assert!(
            own.contains(&format!("sweep(target(\"{name}\"))")),
            "{name} is not swept"
        );
    }
}
