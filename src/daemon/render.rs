// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the lines of one reading look on their way out.
//!
//! What stands before and behind each of them is made once for a reading; a line costs a look for
//! bytes that have to be written in another way, and a copy. Nothing is allocated for a line. The
//! JSON is byte for byte that of [`LogLine`](crate::wire::LogLine). It decides nothing about where
//! lines go or whether there is room for them.

use super::cut::{CUT_MARK, Piece};
use super::ring::{Stamp, Stream};
use super::stamp;
use crate::wire::visible;
use memchr::{memchr_iter, memrchr};
use std::io::Write;

/// What the lines of a reading look like.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    before: Vec<u8>,
    body: Body,
}

/// What becomes of a line's own bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Body {
    /// As they are.
    #[default]
    Raw,
    /// As they are, without what a terminal would obey.
    Visible,
    /// A string of JSON.
    Json,
    /// The same without what a terminal would obey.
    VisibleJson,
}

/// Bytes that are rendered at one go if there is room for them, lines that are dropped together
/// otherwise: shorter than any line that is cut.
const STRETCH: usize = 2 << 10;

/// A few whole lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch<'a> {
    /// With their newlines.
    pub bytes: &'a [u8],
    /// What they take when they are rendered, at most.
    pub most: usize,
}

/// Whether a terminal shows what is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Eyes {
    /// What it would obey is written out.
    Terminal,
    /// Bytes are bytes.
    Program,
}

impl Frame {
    /// Lines with the time of day before them, if there is one, and nothing else.
    pub(crate) fn raw(&mut self, time: Option<i64>) {
        self.begin(Body::Raw, time);
    }

    /// `name | line`, with the time of day before it, if there is one.
    pub(crate) fn prefixed(&mut self, name: &str, time: Option<i64>, eyes: Eyes) {
        self.begin(
            match eyes {
                Eyes::Terminal => Body::Visible,
                Eyes::Program => Body::Raw,
            },
            time,
        );
        self.before.extend_from_slice(name.as_bytes());
        self.before.extend_from_slice(b" | ");
    }

    /// One object of the protocol for each line.
    pub(crate) fn json(&mut self, name: &str, (stream, stamp): (Stream, Stamp), eyes: Eyes) {
        self.begin(
            match eyes {
                Eyes::Terminal => Body::VisibleJson,
                Eyes::Program => Body::Json,
            },
            None,
        );
        self.before.extend_from_slice(b"{\"node\":\"");
        push_escaped(&mut self.before, name.as_bytes());
        // Writing to a vector cannot fail.
        let _infallible = write!(
            self.before,
            "\",\"run\":{},\"stream\":\"{}\",\"ts\":\"{}\",\"text\":\"",
            stamp.run,
            stream.as_str(),
            stamp::rfc3339(stamp.wall_us)
        );
    }

    fn begin(&mut self, body: Body, time: Option<i64>) {
        self.body = body;
        self.before.clear();
        if let Some(wall_us) = time {
            self.before
                .extend_from_slice(stamp::of_day(wall_us).as_bytes());
            self.before.push(b' ');
        }
    }

    /// Bytes that a line of this length takes at least.
    pub(crate) fn at_least(&self, piece: Piece<'_>) -> usize {
        self.before.len() + piece.bytes.len() + 1
    }

    /// A stretch of whole lines at the beginning of these, so short that none of them is cut, and
    /// the bytes that it takes at most.
    pub(crate) fn stretch<'a>(&self, bytes: &'a [u8]) -> Option<Stretch<'a>> {
        // What JSON makes of a byte has six at most.
        let (by_line, by_byte) = match self.body {
            Body::Raw => (1, 1),
            Body::Json => (4, 6),
            Body::Visible | Body::VisibleJson => return None,
        };
        let near = &bytes[..bytes.len().min(STRETCH)];
        let end = memrchr(b'\n', near)? + 1;
        let lines = memchr_iter(b'\n', &near[..end]).count();
        Some(Stretch {
            bytes: &near[..end],
            most: lines * (self.before.len() + by_line) + end * by_byte,
        })
    }

    /// Adds all lines of a stretch.
    pub(crate) fn add_all(&self, stretch: Stretch<'_>, into: &mut Vec<u8>) {
        let mut begin = 0;
        for end in memchr_iter(b'\n', stretch.bytes) {
            into.extend_from_slice(&self.before);
            if self.body == Body::Json {
                push_escaped(into, &stretch.bytes[begin..end]);
                into.extend_from_slice(b"\"}\n");
            } else {
                into.extend_from_slice(&stretch.bytes[begin..=end]);
            }
            begin = end + 1;
        }
    }

    /// Adds a line and its newline.
    pub(crate) fn add(&self, piece: Piece<'_>, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.before);
        match self.body {
            Body::Raw => into.extend_from_slice(piece.bytes),
            Body::Visible => {
                let text = String::from_utf8_lossy(piece.bytes);
                into.extend_from_slice(visible::in_log(&text).as_bytes());
            }
            Body::Json => push_escaped(into, piece.bytes),
            Body::VisibleJson => {
                let mut json = Vec::new();
                push_escaped(&mut json, piece.bytes);
                let json = String::from_utf8_lossy(&json);
                into.extend_from_slice(visible::in_json(&json).as_bytes());
            }
        }
        let end: &[u8] = match (self.body, piece.cut) {
            (Body::Raw | Body::Visible, true) => CUT_MARK.as_bytes(),
            (Body::Raw | Body::Visible, false) => b"",
            (Body::Json | Body::VisibleJson, true) => b"\",\"cut\":true}",
            (Body::Json | Body::VisibleJson, false) => b"\"}",
        };
        into.extend_from_slice(end);
        into.push(b'\n');
    }
}

/// Adds text as it stands in a string of JSON (RFC 8259 §7); what is no UTF-8 is replaced.
pub(crate) fn push_escaped(into: &mut Vec<u8>, bytes: &[u8]) {
    if is_plain(bytes) {
        return into.extend_from_slice(bytes);
    }
    for chunk in bytes.utf8_chunks() {
        escape(into, chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            into.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

const ONES: u64 = u64::MAX / 255;
const HIGH: u64 = ONES << 7;

/// Whether these are ASCII and nothing that JSON writes in another way: eight at a time.
fn is_plain(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    // The highest bit of a byte is set where a byte is below 0x20, is `"`, is `\`, or is no ASCII.
    // A borrow can set it in the byte above such a one, too, never where there is none.
    let odd = |word: u64| {
        let quote = word ^ (ONES * u64::from(b'"'));
        let slash = word ^ (ONES * u64::from(b'\\'));
        let low = word.wrapping_sub(ONES * 0x20);
        (word | low | quote.wrapping_sub(ONES) | slash.wrapping_sub(ONES)) & HIGH
    };
    let mut found = 0;
    for word in words {
        found |= odd(u64::from_le_bytes(*word));
    }
    found == 0
        && rest
            .iter()
            .all(|byte| !is_escaped(*byte) && byte.is_ascii())
}

fn is_escaped(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

fn escape(into: &mut Vec<u8>, mut text: &[u8]) {
    while let Some(place) = text.iter().position(|byte| is_escaped(*byte)) {
        into.extend_from_slice(&text[..place]);
        let short = match text[place] {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\t' => b't',
            b'\r' => b'r',
            0x08 => b'b',
            0x0c => b'f',
            other => {
                // Writing to a vector cannot fail.
                let _infallible = write!(into, "\\u{other:04x}");
                text = &text[place + 1..];
                continue;
            }
        };
        into.extend_from_slice(&[b'\\', short]);
        text = &text[place + 1..];
    }
    into.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::super::cut::Pieces;
    use super::*;
    use crate::wire::{LogLine, Word};
    use proptest::prelude::*;

    fn json(bytes: &[u8], cut: bool, eyes: Eyes) -> String {
        let mut frame = Frame::default();
        let stamp = Stamp {
            run: 7,
            wall_us: 1_700_000_000_123_456,
            number: 1,
        };
        frame.json("web.1", (Stream::Err, stamp), eyes);
        let mut line = Vec::new();
        frame.add(Piece { bytes, cut }, &mut line);
        String::from_utf8(line).expect("text")
    }

    fn by_the_types(bytes: &[u8], cut: bool) -> String {
        let line = LogLine {
            node: "web.1".to_owned(),
            run: 7,
            stream: Word::Borrowed("stderr"),
            ts: "2023-11-14T22:13:20.123Z".to_owned(),
            text: String::from_utf8_lossy(bytes).into_owned(),
            cut,
            ..LogLine::default()
        };
        serde_json::to_string(&line).expect("JSON")
    }

    proptest! {
        #[test]
        fn a_stretch_is_what_its_lines_are_one_by_one(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..3000),
                "([a-z\"\t]{0,9}\n){0,500}".prop_map(String::into_bytes),
            ],
            as_json in any::<bool>(),
        ) {
            let mut frame = Frame::default();
            let stamp = Stamp { run: 1, wall_us: 0, number: 1 };
            if as_json {
                frame.json("web", (Stream::Out, stamp), Eyes::Program);
            } else {
                frame.prefixed("web", None, Eyes::Program);
            }
            let Some(stretch) = frame.stretch(&bytes) else {
                prop_assert!(!bytes[..bytes.len().min(STRETCH)].contains(&b'\n'));
                return Ok(());
            };
            let (mut at_once, mut one_by_one) = (Vec::new(), Vec::new());
            frame.add_all(stretch, &mut at_once);
            for piece in Pieces(stretch.bytes) {
                prop_assert!(!piece.cut);
                frame.add(piece, &mut one_by_one);
            }
            prop_assert_eq!(&at_once, &one_by_one);
            prop_assert!(at_once.len() <= stretch.most);
        }
    }

    #[test]
    fn a_line_is_what_the_manner_says() {
        let mut frame = Frame::default();
        let (bytes, mut out) = (b"a\x1b".as_slice(), Vec::new());
        frame.raw(None);
        frame.add(Piece { bytes, cut: false }, &mut out);
        frame.prefixed("web", Some(0), Eyes::Program);
        frame.add(Piece { bytes, cut: true }, &mut out);
        frame.prefixed("web", None, Eyes::Terminal);
        frame.add(Piece { bytes, cut: false }, &mut out);
        let expected = "a\u{1b}\n00:00:00 web | a\u{1b}…\nweb | a\\u{1b}\n";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
    }

    proptest! {
        #[test]
        fn any_bytes_are_the_json_that_the_types_make(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..80),
                "[ -~\\t\\u{7f}é€😀\\n\\u{202e}]{0,80}".prop_map(String::into_bytes),
            ],
            cut in any::<bool>(),
        ) {
            let expected = by_the_types(&bytes, cut);
            prop_assert_eq!(json(&bytes, cut, Eyes::Program), expected.clone() + "\n");
            let seen = json(&bytes, cut, Eyes::Terminal);
            prop_assert_eq!(seen, visible::in_json(&expected) + "\n");
        }

        #[test]
        fn eight_bytes_at_a_time_find_what_one_at_a_time_finds(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            plain in "[ !#-Z]{0,40}",
        ) {
            let by_one = bytes.iter().all(|b| !is_escaped(*b) && b.is_ascii());
            prop_assert_eq!(is_plain(&bytes), by_one);
            prop_assert!(is_plain(plain.as_bytes()));
            for place in 0..plain.len() {
                let mut marred = plain.clone().into_bytes();
                marred[place] = bytes.first().copied().unwrap_or(b'"');
                let odd = is_escaped(marred[place]) || !marred[place].is_ascii();
                prop_assert_eq!(is_plain(&marred), !odd);
            }
        }
    }
}
