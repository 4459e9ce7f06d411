// SPDX-License-Identifier: MIT OR Apache-2.0
//! The environment of a child, put together before it exists.
//!
//! In this order, a later value replacing an earlier one: what is inherited, who the user is, the
//! environment files, the values of the configuration, what supd adds. Secrets are read here and
//! shown nowhere. Nothing is expanded: `$` is a character.

use super::block::Block;
use super::users::Identity;
use crate::spec::{EnvInherit, EnvValue, Process};
use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;

/// Bytes of one environment file or one secret.
const FILE_MAX: u64 = 1 << 20;

/// Variables, each once: those of the block that are not replaced, and those set here in the order
/// they were first set. Borrows what it can: a restart should not copy what has not changed.
#[derive(Clone)]
pub struct Environment<'a> {
    /// Inherited as a whole.
    block: Option<&'a Rc<Block>>,
    set: Vec<(Bytes<'a>, Bytes<'a>)>,
}

type Bytes<'a> = Cow<'a, [u8]>;

impl std::fmt::Debug for Environment<'_> {
    /// Names only: a value may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.iter().map(|(name, _)| String::from_utf8_lossy(name));
        f.debug_list().entries(names).finish()
    }
}

/// Why an environment cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// A file or a secret cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// Which one.
        path: Box<Path>,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line of a file is not `NAME=VALUE`.
    #[error("cannot read `{path}`: line {line}: {problem}")]
    Syntax {
        /// Which file.
        path: Box<Path>,
        /// From 1.
        line: usize,
        /// What is wrong.
        problem: Problem,
    },
    /// A name or a value with a NUL byte, or a name with `=`.
    #[error("cannot set an environment variable: its name or value has a forbidden byte")]
    Byte,
}

/// What is wrong with a line of an environment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No `=`.
    #[error("`=` is missing")]
    NoEquals,
    /// The name is not letters, digits and `_`, not beginning with a digit.
    #[error("the name is not made of letters, digits and `_`")]
    Name,
    /// A quote that is never closed.
    #[error("a quote is not closed")]
    Quote,
    /// Something after the end of an unquoted value.
    #[error("a value with blanks needs quotes")]
    Blank,
}

impl EnvError {
    /// The nearest error number, for [`SpawnFailure`](crate::spec::SpawnFailure).
    pub fn errno(&self) -> i32 {
        match self {
            Self::Read { source, .. } => source.raw_os_error().unwrap_or(libc::EIO),
            Self::Syntax { .. } | Self::Byte => libc::EINVAL,
        }
    }
}

impl<'a> Environment<'a> {
    fn inherit(block: &'a Rc<Block>, which: &EnvInherit) -> Self {
        let names = match which {
            EnvInherit::All => {
                return Self {
                    block: Some(block),
                    set: Vec::new(),
                };
            }
            EnvInherit::Only(names) => names,
        };
        let wanted = |name: &[u8]| names.iter().any(|n| n.as_bytes() == name);
        let chosen = block.all().filter(|(name, _)| wanted(name));
        Self {
            block: None,
            set: chosen.map(|(n, v)| (n.into(), v.into())).collect(),
        }
    }

    /// Sets a variable, replacing an earlier value.
    pub fn set(&mut self, name: impl Into<Bytes<'a>>, value: impl Into<Bytes<'a>>) {
        let (name, value) = (name.into(), value.into());
        match self.set.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.set.push((name, value)),
        }
    }

    /// The value of a variable.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let found = self.set.iter().find(|(known, _)| **known == *name);
        let block = || self.block?.get(name);
        found.map(|(_, value)| &**value).or_else(block)
    }

    /// What is inherited as a whole; single variables of it may be replaced.
    pub(super) fn block(&self) -> Option<&'a Rc<Block>> {
        self.block
    }

    /// Names and values that are not those of the block.
    pub(super) fn changes(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.set.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let replaced = |name: &[u8]| self.set.iter().any(|(known, _)| **known == *name);
        let block = self.block.into_iter().flat_map(|block| block.inherited());
        block
            .filter(move |(name, _)| !replaced(name))
            .chain(self.changes())
    }
}

/// Puts the environment of a process together. `own` is supd's, `identity` the user it changes to,
/// `extra` what supd adds.
pub fn build<'a>(
    process: &'a Process,
    own: &'a Rc<Block>,
    identity: Option<&'a Identity>,
    extra: &'a [(&'a str, &'a str)],
) -> Result<Environment<'a>, EnvError> {
    let mut env = Environment::inherit(own, &process.env_inherit);
    if let Some(account) = identity.and_then(|who| who.account.as_ref()) {
        env.set(b"HOME".as_slice(), account.home.as_os_str().as_bytes());
        env.set(b"USER".as_slice(), account.name.as_bytes());
        env.set(b"LOGNAME".as_slice(), account.name.as_bytes());
    }
    for file in process.env_files.iter() {
        for (name, value) in load_file(&file.path, file.optional)? {
            env.set(name.into_bytes(), value.into_vec());
        }
    }
    for (name, value) in &process.env {
        match value {
            EnvValue::Plain(text) => env.set(name.as_bytes(), text.as_bytes()),
            EnvValue::File(path) => env.set(name.as_bytes(), secret(path)?),
        }
    }
    for (name, value) in extra {
        env.set(name.as_bytes(), value.as_bytes());
    }
    let bad = |(name, value): (&[u8], &[u8])| {
        name.is_empty() || name.contains(&b'=') || name.contains(&0) || value.contains(&0)
    };
    if env.changes().any(bad) {
        return Err(EnvError::Byte);
    }
    Ok(env)
}

/// The contents of a secret without its last newline.
fn secret(path: &Path) -> Result<Vec<u8>, EnvError> {
    let mut bytes = read(path).map_err(|source| EnvError::Read {
        path: path.into(),
        source,
    })?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    Ok(bytes)
}

/// Reads an environment file (CONFIG.md, "Rules").
pub fn load_file(path: &Path, optional: bool) -> Result<Vec<(String, OsString)>, EnvError> {
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(error) if optional && error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            return Err(EnvError::Read {
                path: path.into(),
                source,
            });
        }
    };
    parse(&bytes).map_err(|(line, problem)| EnvError::Syntax {
        path: path.into(),
        line,
        problem,
    })
}

/// Reads a regular file of bounded size, never waiting for a FIFO or a terminal.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)?;
    let kind = file.metadata()?;
    if kind.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    if !kind.is_file() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    Ok(bytes)
}

/// `NAME=VALUE` lines, `#` comments, quotes as in sh, no expansion; the line of an error is that in
/// which the assignment begins.
pub fn parse(bytes: &[u8]) -> Result<Vec<(String, OsString)>, (usize, Problem)> {
    let mut rest = Cursor { bytes, line: 1 };
    let mut found = Vec::new();
    while rest.skip_to_assignment() {
        let line = rest.line;
        let name = rest.name().map_err(|problem| (line, problem))?;
        let value = rest.value().map_err(|problem| (line, problem))?;
        found.push((name, OsString::from_vec(value)));
    }
    Ok(found)
}

struct Cursor<'a> {
    bytes: &'a [u8],
    line: usize,
}

impl Cursor<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        if *first == b'\n' {
            self.line += 1;
        }
        Some(*first)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.first().copied()
    }

    fn skip_comment(&mut self) {
        while self.peek().is_some_and(|b| b != b'\n') {
            self.next();
        }
    }

    /// Whether there is one: blank lines and comments are skipped.
    fn skip_to_assignment(&mut self) -> bool {
        loop {
            match self.peek() {
                None => return false,
                Some(b'#') => self.skip_comment(),
                Some(b) if b.is_ascii_whitespace() => drop(self.next()),
                Some(_) => return true,
            }
        }
    }

    fn name(&mut self) -> Result<String, Problem> {
        if let Some(rest) = self.bytes.strip_prefix(b"export ") {
            self.bytes = rest;
            while matches!(self.peek(), Some(b' ' | b'\t')) {
                self.next();
            }
        }
        let mut name = String::new();
        loop {
            match self.next() {
                Some(b'=') => break,
                None | Some(b'\n') => return Err(Problem::NoEquals),
                Some(b) if b == b'_' || b.is_ascii_alphanumeric() => name.push(char::from(b)),
                Some(_) => return Err(Problem::Name),
            }
        }
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(Problem::Name);
        }
        Ok(name)
    }

    fn value(&mut self) -> Result<Vec<u8>, Problem> {
        let mut value = Vec::new();
        loop {
            match self.next() {
                None | Some(b'\n') => return Ok(value),
                Some(b'\'') => self.single_quoted(&mut value)?,
                Some(b'"') => self.double_quoted(&mut value)?,
                Some(b'\\') => match self.next() {
                    None | Some(b'\n') => {}
                    Some(byte) => value.push(byte),
                },
                Some(b' ' | b'\t' | b'\r') => return self.end_of_line().map(|()| value),
                Some(byte) => value.push(byte),
            }
        }
    }

    /// After the value: blanks and a comment, nothing else.
    fn end_of_line(&mut self) -> Result<(), Problem> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r') => drop(self.next()),
                Some(b'#') => self.skip_comment(),
                None | Some(b'\n') => return Ok(()),
                Some(_) => return Err(Problem::Blank),
            }
        }
    }

    fn single_quoted(&mut self, value: &mut Vec<u8>) -> Result<(), Problem> {
        loop {
            match self.next().ok_or(Problem::Quote)? {
                b'\'' => return Ok(()),
                byte => value.push(byte),
            }
        }
    }

    /// A backslash protects `"`, `\`, `$`, `` ` `` and a newline, and is itself otherwise.
    fn double_quoted(&mut self, value: &mut Vec<u8>) -> Result<(), Problem> {
        loop {
            match self.next().ok_or(Problem::Quote)? {
                b'"' => return Ok(()),
                b'\\' => match self.next().ok_or(Problem::Quote)? {
                    b'\n' => {}
                    byte @ (b'"' | b'\\' | b'$' | b'`') => value.push(byte),
                    byte => value.extend([b'\\', byte]),
                },
                byte => value.push(byte),
            }
        }
    }
}
