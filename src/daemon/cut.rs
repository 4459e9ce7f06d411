// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where lines begin and end in what a service has written.
//!
//! Decides where a line that is longer than `LOG_LINE_MAX` is cut: after that many bytes, or up to
//! three earlier where a character of UTF-8 would be torn. Counted from the beginning of the line,
//! so that everybody who cuts the same bytes gets the same pieces. It copies nothing.

use crate::spec::limits::LOG_LINE_MAX;
use memchr::{memchr, memrchr};

/// What stands at the end of a piece of a line that goes on, for people.
pub(crate) const CUT_MARK: &str = "\u{2026}";

/// A line without its newline, or a piece of one that was too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    /// Its bytes; not necessarily UTF-8.
    pub bytes: &'a [u8],
    /// The next piece goes on with the same line.
    pub cut: bool,
}

/// How much of `bytes` is complete: whole lines, and pieces of a line that is too long already.
/// They begin at the beginning of a line or of a piece; the first `known` have no newline.
pub(crate) fn complete(bytes: &[u8], known: usize) -> usize {
    let mut end = memrchr(b'\n', &bytes[known..]).map_or(0, |place| known + place + 1);
    while bytes.len() - end > LOG_LINE_MAX {
        end += piece_length(bytes.len() - end, |place| bytes[end + place]);
    }
    end
}

/// How long the first piece of a line of this length is; `byte` has its bytes by their place.
pub(crate) fn piece_length(length: usize, byte: impl Fn(usize) -> u8) -> usize {
    if length <= LOG_LINE_MAX {
        return length;
    }
    // A character has at most three bytes after its first (RFC 3629).
    let is_first = |place: &usize| byte(*place) & 0xc0 != 0x80;
    let mut places = (LOG_LINE_MAX - 3..=LOG_LINE_MAX).rev();
    places.find(is_first).unwrap_or(LOG_LINE_MAX)
}

/// The lines and pieces of what [`complete`] found.
#[derive(Debug)]
pub(crate) struct Pieces<'a>(pub &'a [u8]);

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if self.0.is_empty() {
            return None;
        }
        let near = &self.0[..self.0.len().min(LOG_LINE_MAX + 1)];
        let (bytes, cut) = match memchr(b'\n', near) {
            Some(end) => (&self.0[..end], false),
            None => (&self.0[..piece_length(self.0.len(), |p| self.0[p])], true),
        };
        self.0 = &self.0[bytes.len() + usize::from(!cut)..];
        Some(Piece { bytes, cut })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_line_is_cut_where_no_character_is_torn() {
        let text = "x".repeat(LOG_LINE_MAX - 1) + "€uro\n";
        let pieces: Vec<Piece<'_>> = Pieces(text.as_bytes()).collect();
        assert_eq!(pieces[0].bytes.len(), LOG_LINE_MAX - 1);
        assert!(pieces[0].cut);
        assert_eq!((pieces[1].bytes, pieces[1].cut), ("€uro".as_bytes(), false));
    }

    #[test]
    fn a_line_of_just_the_longest_length_is_whole() {
        let text = "x".repeat(LOG_LINE_MAX);
        assert_eq!(complete(text.as_bytes(), 0), 0, "it may still end here");
        let line = text + "\n";
        assert_eq!(complete(line.as_bytes(), 0), line.len());
        let pieces: Vec<Piece<'_>> = Pieces(line.as_bytes()).collect();
        assert_eq!((pieces.len(), pieces[0].cut), (1, false));
    }

    /// Bytes in which newlines, long stretches and torn characters are likely.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just(b"\n".to_vec()),
            Just("€".as_bytes().to_vec()),
            Just(vec![0x80; 7]),
            (1..LOG_LINE_MAX * 2).prop_map(|n| vec![b'x'; n]),
        ];
        prop::collection::vec(part, 0..9).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn however_the_bytes_arrive_the_pieces_are_the_same(
            bytes in text(), sizes in prop::collection::vec(1..70_000usize, 1..9),
        ) {
            let mut rest = bytes.as_slice();
            let (mut open, mut found) = (Vec::new(), Vec::new());
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at((*size).min(rest.len()));
                let known = open.len();
                open.extend_from_slice(now);
                let end = complete(&open, known);
                found.extend(Pieces(&open[..end]).map(|p| (p.bytes.to_vec(), p.cut)));
                open.drain(..end);
                rest = later;
            }
            let end = complete(&bytes, 0);
            prop_assert_eq!(open.as_slice(), &bytes[end..]);
            let at_once = Pieces(&bytes[..end]).map(|p| (p.bytes.to_vec(), p.cut));
            let at_once: Vec<_> = at_once.collect();
            prop_assert_eq!(found, at_once);
        }
    }
}
