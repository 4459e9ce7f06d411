// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line of `supd [OPTIONS] -- COMMAND`: tini's options, in the spellings of getopt(3).

use super::super::args::Usage;
use crate::spec::Signal;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// One command, and what is done for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Single {
    /// The program and its arguments; never empty.
    pub command: Vec<OsString>,
    /// `-g`: signals reach its process group.
    pub group: bool,
    /// `-p`: sent to us when our parent dies.
    pub parent_death: Option<Signal>,
    /// `-e`: exit codes that become 0.
    pub as_zero: Vec<u8>,
    /// `-w`: a line for each stranger that is reaped.
    pub warn: bool,
    /// `-v`, how often: what is done is said.
    pub verbose: u8,
}

/// The letters that begin such a command line.
const LETTERS: &[u8] = b"gspewv";

/// Whether this word is the first one of such a command line.
pub(crate) fn begins(word: &OsStr) -> bool {
    let bytes = word.as_bytes();
    let first = bytes.get(1).is_some_and(|letter| LETTERS.contains(letter));
    bytes == b"--" || (bytes.starts_with(b"-") && first)
}

/// Reads the words from the first option on.
pub(crate) fn read(mut words: impl Iterator<Item = OsString>) -> Result<Single, Usage> {
    let mut single = Single::default();
    while let Some(word) = words.next() {
        if word.as_bytes() == b"--" {
            single.command = words.collect();
            if single.command.is_empty() {
                return Err(missing("--", "a command"));
            }
            return Ok(single);
        }
        if !begins(&word) {
            return Err(Usage::NoDashes {
                word: word.to_string_lossy().into_owned(),
            });
        }
        let mut letters = word.as_bytes()[1..].iter();
        while let Some(letter) = letters.next() {
            match letter {
                b'g' => single.group = true,
                // We always are the one to whom orphans go.
                b's' => {}
                b'w' => single.warn = true,
                b'v' => single.verbose = single.verbose.saturating_add(1),
                b'p' | b'e' => {
                    let rest = letters.as_slice();
                    let value = if rest.is_empty() {
                        words.next()
                    } else {
                        Some(OsStr::from_bytes(rest).to_owned())
                    };
                    single.option(*letter, value)?;
                    break;
                }
                other => {
                    let word = format!("-{}", char::from(*other));
                    return Err(Usage::Unknown { word });
                }
            }
        }
    }
    Err(missing("-- COMMAND", "to stand behind these options"))
}

impl Single {
    fn option(&mut self, letter: u8, value: Option<OsString>) -> Result<(), Usage> {
        let text = value.unwrap_or_default();
        let text = text.to_string_lossy();
        if letter == b'p' {
            let signal = text
                .parse()
                .map_err(|_| missing("-p", "a signal: -p TERM"))?;
            self.parent_death = Some(signal);
            return Ok(());
        }
        let code = text
            .parse()
            .map_err(|_| missing("-e", "an exit code from 0 to 255"))?;
        self.as_zero.push(code);
        Ok(())
    }
}

fn missing(option: &str, what: &'static str) -> Usage {
    Usage::Missing {
        option: option.to_owned(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Single, Usage> {
        read(text.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_are_read_in_the_spellings_of_getopt() {
        let plain = parsed("-- -h -- x").expect("a command");
        assert_eq!(plain.command, ["-h", "--", "x"]);
        let all = parsed("-gw -s -pSIGTERM -e 143 -e3 -vvv -- true").expect("a command");
        let wanted = Single {
            command: vec!["true".into()],
            group: true,
            parent_death: Some(Signal::TERM),
            as_zero: vec![143, 3],
            warn: true,
            verbose: 3,
        };
        assert_eq!(all, wanted);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_way_out() {
        let texts = [
            "--",
            "-g",
            "-g true",
            "-p",
            "-p NOPE -- x",
            "-e 256 -- x",
            "-gz -- x",
        ];
        for text in texts {
            let error = parsed(text).expect_err(text);
            assert!(error.to_string().contains("\n\nhint: "), "{error}");
        }
    }
}
