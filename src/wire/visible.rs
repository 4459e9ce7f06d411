// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text of strangers for a terminal: names, messages and lines that nobody vouches for.
//!
//! What a terminal would obey, or what would show the text around it in another order, is written
//! out. Daemon and client show such text, so it is here, in one place; it never shortens anything.

use std::fmt::Write as _;

/// Whether a terminal obeys this character, or shows the text around it in another order.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Printable ASCII and nothing else, as nearly every text is: looked at a byte at a time.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// The text with everything that a terminal would obey written out: ESC becomes `\u{1b}`.
pub fn visible(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// The same for a line of a log, in which tabs are columns and nothing to be afraid of.
pub fn in_log(line: &str) -> String {
    if is_plain(line) {
        return line.to_owned();
    }
    let parts: Vec<String> = line.split('\t').map(visible).collect();
    parts.join("\t")
}

/// JSON with the same characters escaped its own way. Outside of strings JSON has none of them
/// but white space, which stays.
pub fn in_json(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) && !matches!(c, '\n' | '\t' | '\r') {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}
