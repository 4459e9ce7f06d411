// SPDX-License-Identifier: MIT OR Apache-2.0
//! An old log file, compressed a piece at a time (RFC 1952), so that writing never waits long.
//!
//! The result is built under another name and takes its place when it is complete: who looks sees
//! the plain file or the packed one, never half of one.

use crate::sys::logfile::{create, read};
use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::{MZFlush, MZStatus};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes of the file that are compressed in one step: about a millisecond.
const STEP: usize = 64 << 10;
/// Fast, and still a tenth of what a log is: most of it is repetition.
const LEVEL: i32 = 3;
/// Magic, deflate, no name and no time, unknown system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// A file on its way.
pub(super) struct Gzip {
    from: File,
    to: File,
    part: PathBuf,
    state: Box<CompressorOxide>,
    sum: Crc32,
    length: u32,
    input: Vec<u8>,
    output: Vec<u8>,
}

/// A file that is compressed, under its other name.
#[derive(Debug)]
pub(super) struct Packed(PathBuf);

impl std::fmt::Debug for Gzip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Gzip").field(&self.part).finish()
    }
}

impl Gzip {
    /// Begins with `plain`; `part` is the name while it is not complete.
    pub(super) fn new(plain: &Path, part: PathBuf) -> io::Result<Self> {
        let from = read(plain)?;
        // Left by somebody who did not come to an end.
        let _absent = fs::remove_file(&part);
        let mut to = create(&part)?;
        to.write_all(&HEAD)?;
        // Negative: the format without a frame of its own (zlib.h, deflateInit2).
        let flags = create_comp_flags_from_zip_params(LEVEL, -15, 0);
        Ok(Self {
            from,
            to,
            part,
            state: Box::new(CompressorOxide::new(flags)),
            sum: Crc32::default(),
            length: 0,
            input: vec![0; STEP],
            output: vec![0; STEP],
        })
    }

    /// Goes on; the end, when it is reached. After an error nothing is left of it.
    pub(super) fn step(&mut self) -> io::Result<Option<Packed>> {
        let done = self.try_step();
        if done.is_err() {
            let _full = fs::remove_file(&self.part);
        }
        done
    }

    /// Nothing is left of it.
    pub(super) fn discard(self) {
        let _absent = fs::remove_file(&self.part);
    }

    fn try_step(&mut self) -> io::Result<Option<Packed>> {
        let bytes = self.from.read(&mut self.input)?;
        let mut rest = &self.input[..bytes];
        self.sum.add(rest);
        // The length counts modulo 2^32 (RFC 1952 §2.3.1).
        self.length = self.length.wrapping_add(u32::try_from(bytes).unwrap_or(0));
        let flush = if bytes == 0 {
            MZFlush::Finish
        } else {
            MZFlush::None
        };
        loop {
            let did = deflate(&mut self.state, rest, &mut self.output, flush);
            rest = &rest[did.bytes_consumed..];
            self.to.write_all(&self.output[..did.bytes_written])?;
            match did.status {
                Ok(MZStatus::StreamEnd) => break,
                Ok(_) if bytes > 0 && rest.is_empty() && did.bytes_written < STEP => {
                    return Ok(None);
                }
                Ok(_) => {}
                Err(_) if bytes > 0 && rest.is_empty() => return Ok(None),
                Err(_) => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        self.to.write_all(&self.sum.value().to_le_bytes())?;
        self.to.write_all(&self.length.to_le_bytes())?;
        Ok(Some(Packed(self.part.clone())))
    }
}

impl Packed {
    /// Gives it its name.
    pub(super) fn finish(self, name: &Path) -> io::Result<()> {
        fs::rename(&self.0, name)
    }

    /// It is too old by now.
    pub(super) fn discard(self) {
        let _absent = fs::remove_file(self.0);
    }
}

/// The check sum of gzip (RFC 1952 §8), a byte at a time from a table made at compile time.
struct Crc32(u32);

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let (mut n, mut first) = (0, 0_u32);
    while n < 256 {
        let mut c = first;
        let mut bit = 0;
        while bit < 8 {
            c = if c & 1 == 1 {
                0xedb8_8320 ^ (c >> 1)
            } else {
                c >> 1
            };
            bit += 1;
        }
        table[n] = c;
        n += 1;
        first += 1;
    }
    table
};

impl Default for Crc32 {
    fn default() -> Self {
        Self(u32::MAX)
    }
}

impl Crc32 {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let place = (self.0 ^ u32::from(*byte)) & 0xff;
            self.0 = TABLE[place as usize] ^ (self.0 >> 8);
        }
    }

    fn value(&self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sum_is_that_of_the_standard() {
        let mut sum = Crc32::default();
        sum.add(b"1234");
        sum.add(b"56789");
        assert_eq!(sum.value(), 0xcbf4_3926);
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let dir = std::env::temp_dir().join(format!("supd-gzip-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        for length in [0, 1, STEP, STEP * 3 + 7] {
            let text = (0..length).map(|n| u8::try_from(n * n / 7 % 251).expect("a byte"));
            let text: Vec<u8> = text.collect();
            let plain = dir.join("plain");
            fs::write(&plain, &text).expect("written");
            let mut gzip = Gzip::new(&plain, dir.join("part")).expect("begun");
            let packed = loop {
                if let Some(packed) = gzip.step().expect("a step") {
                    break packed;
                }
            };
            packed.finish(&dir.join("gz")).expect("renamed");
            let bytes = fs::read(dir.join("gz")).expect("read");
            assert_eq!(bytes[..10], HEAD);
            let (body, tail) = bytes[10..].split_at(bytes.len() - 18);
            let out = miniz_oxide::inflate::decompress_to_vec(body).expect("deflate");
            assert!(out == text, "{length} bytes");
            let mut sum = Crc32::default();
            sum.add(&text);
            assert_eq!(tail[..4], sum.value().to_le_bytes());
            assert_eq!(
                tail[4..],
                u32::try_from(length).expect("small").to_le_bytes()
            );
        }
        fs::remove_dir_all(&dir).expect("removed");
    }
}
