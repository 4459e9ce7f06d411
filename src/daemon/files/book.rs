// SPDX-License-Identifier: MIT OR Apache-2.0
//! One log file: opened, written, rotated, and lived without while it cannot be.
//!
//! ```text
//! NAME      is written; at `size` it becomes
//! NAME.1    the newest old one, then NAME.2 … up to `keep`; the oldest is removed
//! NAME.1.gz with `compress`, once there is time
//! ```
//!
//! Decides when a file is full, and what happens when it cannot be written: what comes meanwhile is
//! dropped and counted, and after a pause that doubles up to half a minute it is opened again; the
//! file then says how much is missing. Once a second while something is written it looks whether
//! the file is still the one of that name. It never holds on to a file that was moved away, and
//! never tries again without something to write. Only the writer's thread comes here.

use super::gzip::Gzip;
use super::{Chunk, Health};
use crate::spec::Rotate;
use crate::sys::clock;
use crate::sys::logfile::{LogFile, Refused};
use std::fs;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

const SECOND: u64 = 1_000_000_000;
/// The first pause after a failure, and the longest.
const PAUSES: (u64, u64) = (SECOND, 30 * SECOND);
/// Bytes of a line that tells of a gap.
const GAP_MAX: u64 = 64;
/// Parts of one write (writev(2), `IOV_MAX`).
const PARTS: usize = 512;

/// Whether the file can be written.
#[derive(Debug)]
enum State {
    /// Nothing was written yet, or it is to be opened anew.
    Closed,
    Open {
        file: LogFile,
        size: u64,
        /// When it was last looked for by its name.
        looked: u64,
    },
    Broken {
        what: String,
        until: u64,
    },
}

/// One log file.
#[derive(Debug)]
pub(super) struct Book {
    path: Arc<Path>,
    rotate: Rotate,
    state: State,
    /// The pause after the next failure.
    pause: u64,
    /// An old file that is being compressed, and its number.
    gzip: Option<(u32, Gzip)>,
    /// There may be old files to compress.
    old: Old,
    /// It is full and cannot be turned over; until then it grows.
    stuck: Option<(String, u64)>,
    /// What is wrong, as the loop knows it.
    told: Option<String>,
}

/// Whether old files may wait to be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Old {
    Perhaps,
    None,
}

impl Book {
    pub(super) fn new(path: Arc<Path>, rotate: Rotate) -> Self {
        Self {
            path,
            rotate,
            state: State::Closed,
            pause: PAUSES.0,
            gzip: None,
            old: Old::Perhaps,
            stuck: None,
            told: None,
        }
    }

    /// These rules from now on. Opens the file, so that a mistake is known before it matters.
    pub(super) fn follow(&mut self, rotate: Rotate) {
        self.rotate = rotate;
        self.old = Old::Perhaps;
        self.reopen();
    }

    /// Opens the file anew, whatever its state.
    pub(super) fn reopen(&mut self) {
        self.state = State::Closed;
        self.pause = PAUSES.0;
        self.open();
    }

    /// Nothing is written any more.
    pub(super) fn close(&mut self) {
        if let Some((_, gzip)) = self.gzip.take() {
            gzip.discard();
        }
        self.state = State::Closed;
    }

    /// What the loop does not know yet.
    pub(super) fn news(&self) -> Option<Health> {
        let now = match &self.state {
            State::Broken { what, .. } => Some(what),
            State::Closed | State::Open { .. } => self.stuck.as_ref().map(|(what, _)| what),
        };
        let told = self.told.as_ref();
        (now != told).then(|| now.map_or(Health::Well, |what| Health::Ill(what.clone())))
    }

    /// The loop knows it now.
    pub(super) fn told(&mut self, health: Health) {
        self.told = match health {
            Health::Well => None,
            Health::Ill(what) => Some(what),
        };
    }

    /// Writes what services have written, each chunk whole lines, or drops it.
    pub(super) fn write(&mut self, batch: &[Chunk]) {
        self.look();
        let mut rest = batch;
        while !rest.is_empty() {
            let Some(room) = self.room() else {
                return drop_all(rest);
            };
            let mut count = 0;
            let mut length = 0;
            while count < rest.len().min(PARTS / 2) {
                length += room_for(&rest[count]);
                if length > room && count > 0 {
                    break;
                }
                count += 1;
            }
            // What does not fit into what is left of this file begins the next one.
            if room_for(&rest[0]) > room && self.size() > 0 {
                self.turn_over();
                continue;
            }
            let (now, later) = rest.split_at(count);
            self.write_some(now);
            rest = later;
        }
    }

    /// How much more this file may hold; `None`: it cannot be written now.
    fn room(&mut self) -> Option<u64> {
        if let State::Broken { until, .. } = &self.state
            && clock::now_ns() < *until
        {
            return None;
        }
        if !matches!(self.state, State::Open { .. }) {
            self.open();
        }
        let State::Open { size, .. } = &self.state else {
            return None;
        };
        let stuck = self.stuck.as_ref();
        if stuck.is_some_and(|(_, until)| clock::now_ns() < *until) {
            return Some(u64::MAX);
        }
        let most = self.rotate.size.unwrap_or(u64::MAX);
        Some(most.saturating_sub(*size))
    }

    fn size(&self) -> u64 {
        match &self.state {
            State::Open { size, .. } => *size,
            State::Closed | State::Broken { .. } => 0,
        }
    }

    fn open(&mut self) {
        let opened = LogFile::open(&self.path)
            .and_then(|file| file.size().map(|size| (file, size)).map_err(Refused::Open));
        match opened {
            Ok((file, size)) => {
                let looked = clock::now_ns();
                self.state = State::Open { file, size, looked };
            }
            Err(refused) => self.fail(refused.to_string()),
        }
    }

    /// Once a second: is it still the file of this name, and as long as we think?
    fn look(&mut self) {
        let now = clock::now_ns();
        let State::Open { file, size, looked } = &mut self.state else {
            return;
        };
        if now.saturating_sub(*looked) < SECOND {
            return;
        }
        *looked = now;
        match file.size() {
            Ok(found) if file.is_at(&self.path) => *size = found,
            Ok(_) | Err(_) => self.state = State::Closed,
        }
    }

    fn fail(&mut self, what: String) {
        let until = clock::now_ns().saturating_add(self.pause);
        self.pause = (self.pause * 2).min(PAUSES.1);
        self.state = State::Broken { what, until };
    }

    fn write_some(&mut self, chunks: &[Chunk]) {
        let State::Open { file, size, .. } = &mut self.state else {
            return drop_all(chunks);
        };
        let gaps: Vec<String> = chunks.iter().map(gap).collect();
        let parts = gaps.iter().zip(chunks);
        let parts = parts.flat_map(|(gap, chunk)| [gap.as_bytes(), &chunk.bytes]);
        let (written, result) = write_all(file, parts.collect());
        *size += written;
        let mut left = usize::try_from(written).unwrap_or(usize::MAX);
        for (gap, chunk) in gaps.iter().zip(chunks) {
            left = left.saturating_sub(gap.len());
            let here = left.min(chunk.bytes.len());
            left -= here;
            let counts = &chunk.counts;
            counts.written.fetch_add(here as u64, Ordering::Relaxed);
            if here < chunk.bytes.len() {
                counts.drop_bytes(&chunk.bytes[here..]);
            }
        }
        match result {
            Ok(()) => self.pause = PAUSES.0,
            Err(e) => self.fail(format!("cannot write to it: {e}")),
        }
    }

    /// The file becomes the newest old one; if it cannot, it is written on for a while.
    fn turn_over(&mut self) {
        let keep = self.rotate.keep;
        for number in keep.. {
            let plain = fs::remove_file(self.name_of(number, Form::Plain));
            let packed = fs::remove_file(self.name_of(number, Form::Packed));
            if plain.is_err() && packed.is_err() && number > keep {
                break;
            }
        }
        for number in (1..keep).rev() {
            for form in [Form::Plain, Form::Packed] {
                let _absent =
                    fs::rename(self.name_of(number, form), self.name_of(number + 1, form));
            }
        }
        if let Some((number, _)) = &mut self.gzip {
            *number += 1;
        }
        if let Err(e) = fs::rename(&self.path, self.name_of(1, Form::Plain)) {
            // Moved away by somebody else: then there is nothing to rotate.
            if e.kind() != io::ErrorKind::NotFound {
                let until = clock::now_ns().saturating_add(PAUSES.1);
                self.stuck = Some((format!("cannot rotate it, so it grows: {e}"), until));
                return;
            }
        }
        self.stuck = None;
        self.old = Old::Perhaps;
        self.state = State::Closed;
    }

    fn name_of(&self, number: u32, form: Form) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        if form == Form::Packed {
            name.push(".gz");
        }
        name.into()
    }

    /// Whether there is something to do when nothing is written.
    pub(super) fn has_something_to_compress(&self) -> bool {
        self.rotate.compress && (self.gzip.is_some() || self.old == Old::Perhaps)
    }

    /// Compresses a piece of an old file, or looks for one.
    pub(super) fn compress_a_little(&mut self) {
        let Some((number, gzip)) = &mut self.gzip else {
            return self.find_old();
        };
        match gzip.step() {
            Ok(None) => {}
            Ok(Some(done)) => {
                let number = *number;
                self.gzip = None;
                if number > self.rotate.keep {
                    return done.discard();
                }
                let _unpacked = done
                    .finish(&self.name_of(number, Form::Packed))
                    .and_then(|()| fs::remove_file(self.name_of(number, Form::Plain)));
            }
            // A full disk, most likely: it stays as it is until the next one is full.
            Err(_) => {
                self.gzip = None;
                self.old = Old::None;
            }
        }
    }

    fn find_old(&mut self) {
        self.old = Old::None;
        for number in 1..=self.rotate.keep {
            let plain = self.name_of(number, Form::Plain);
            if !plain.exists() {
                continue;
            }
            let mut packing = self.path.as_os_str().to_owned();
            packing.push(".gz.part");
            self.gzip = Gzip::new(&plain, packing.into())
                .ok()
                .map(|gzip| (number, gzip));
            self.old = if self.gzip.is_some() {
                Old::Perhaps
            } else {
                Old::None
            };
            return;
        }
    }
}

fn drop_all(chunks: &[Chunk]) {
    for chunk in chunks {
        chunk.counts.drop_bytes(&chunk.bytes);
    }
}

/// How an old file is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Packed,
}

/// Bytes that a chunk takes at most, with what is said before it.
fn room_for(chunk: &Chunk) -> u64 {
    let gap = chunk.counts.gap.load(Ordering::Relaxed) > 0;
    chunk.bytes.len() as u64 + if gap { GAP_MAX } else { 0 }
}

/// What the file says about bytes that are missing before this chunk.
fn gap(chunk: &Chunk) -> String {
    match chunk.counts.gap.swap(0, Ordering::Relaxed) {
        0 => String::new(),
        bytes => format!("[supd: {bytes} bytes are missing here]\n"),
    }
}

/// Writes all parts; how many bytes were written, also when it failed.
fn write_all(file: &LogFile, parts: Vec<&[u8]>) -> (u64, io::Result<()>) {
    let mut slices: Vec<IoSlice<'_>> = parts.into_iter().map(IoSlice::new).collect();
    let mut rest = slices.as_mut_slice();
    let mut written = 0;
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => {
                written += n as u64;
                IoSlice::advance_slices(&mut rest, n);
            }
            Err(e) => return (written, Err(e)),
        }
    }
    (written, Ok(()))
}
