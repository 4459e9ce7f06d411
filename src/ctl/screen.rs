// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where output goes and how it may look: data to stdout, talk to stderr, colour only for a
//! terminal, box-drawing only where UTF-8 is spoken. No pager, ever.
//!
//! Names, messages and log lines come from programs that nobody vouches for. What a terminal would
//! obey in them is made visible (`wire::visible`).

use super::args::Global;
use super::failure::Failure;
use crate::wire::visible;
pub use crate::wire::visible::visible;
use serde::Serialize;
use std::env;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

/// How output may look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// With colours.
    pub colour: bool,
    /// With characters beyond ASCII.
    pub unicode: bool,
}

/// Where output goes.
#[derive(Debug)]
pub(crate) struct Screen {
    out: BufWriter<Stdout>,
    pub(crate) style: Style,
    /// Whether somebody looks at it.
    pub(crate) terminal: bool,
    pub(crate) json: bool,
    quiet: bool,
}

impl Screen {
    /// Looks at the flags, the environment and stdout.
    pub(crate) fn new(flags: &Global) -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            style: Style {
                colour: terminal && !dumb && !flags.plain && !flags.no_color && !set("NO_COLOR"),
                unicode: !flags.plain && speaks_utf8(),
            },
            terminal,
            json: flags.json,
            quiet: flags.quiet,
            out: BufWriter::new(stdout),
        }
    }

    /// One line of data, already fit to be shown.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes())?;
        self.out.write_all(b"\n")?;
        Ok(())
    }

    /// One JSON value on a line; what a terminal would obey is escaped, which JSON allows.
    pub(crate) fn json_line(&mut self, text: &str) -> Result<(), Failure> {
        self.line(&visible::in_json(text))
    }

    /// The same from a value.
    pub(crate) fn json_value(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(|error| Failure::Answer {
            what: error.to_string(),
        })?;
        self.json_line(&text)
    }

    /// Bytes as they are, for other programs.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes)?;
        Ok(())
    }

    /// A remark to the person at the keyboard.
    pub(crate) fn talk(&mut self, text: &str) -> Result<(), Failure> {
        if self.quiet {
            return Ok(());
        }
        self.out.flush()?;
        writeln!(io::stderr(), "{}", visible(text))?;
        Ok(())
    }

    /// Begins an empty page when somebody looks at it.
    pub(crate) fn new_page(&mut self) -> Result<(), Failure> {
        if self.terminal && !self.json {
            self.out.write_all(b"\x1b[H\x1b[2J\x1b[3J")?;
        }
        Ok(())
    }

    /// Shows what was written so far.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush()?;
        Ok(())
    }

    /// Says why it did not work, and returns the exit code.
    pub(crate) fn fail(&mut self, failure: &Failure) -> u8 {
        let code = failure.exit_code();
        if code == super::DONE {
            return code; // the reader has seen enough and left
        }
        // An error while reporting an error has nobody to go to; the exit code still says it.
        if self.json {
            let _ = self.json_value(&failure.to_body());
        }
        self.complain(failure);
        code
    }

    /// Says what went wrong, what may help, and one command to try.
    pub(crate) fn complain(&mut self, failure: &Failure) {
        let mut lines = vec![failure.to_string()];
        lines.extend(failure.hint().map(|hint| format!("hint: {hint}")));
        self.complain_lines(&lines, &failure.instead());
    }

    /// The same for an answer that is no failure of ours.
    pub(crate) fn complain_lines(&mut self, lines: &[String], instead: &str) {
        let _ = self.flush();
        let mut shown = String::new();
        for line in lines {
            shown.push_str(&visible(line));
            shown.push('\n');
        }
        let _ = writeln!(io::stderr(), "{shown}Try: {}", visible(instead));
    }
}

/// The first of these that is set decides (setlocale(3)).
fn speaks_utf8() -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .filter_map(env::var_os)
        .find(|value| !value.is_empty())
        .is_some_and(|value| {
            let name = value.to_string_lossy().to_ascii_lowercase();
            name.ends_with("utf-8") || name.ends_with("utf8")
        })
}
