// SPDX-License-Identifier: MIT OR Apache-2.0
//! The words of a script: statements end with the line or a semicolon, `#` begins a comment, and
//! what has spaces in it stands between double quotes.

use super::mistake::{Mistake, nearest};
use super::script::Noun;
use crate::wire::span;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

/// The errors of a start that can be asked for; Linux's numbers (errno(3)).
pub(super) const ERRNOS: [(&str, i32); 9] = [
    ("ENOENT", 2),
    ("EACCES", 13),
    ("ENOEXEC", 8),
    ("EPERM", 1),
    ("EAGAIN", 11),
    ("ENOMEM", 12),
    ("ENOTDIR", 20),
    ("EMFILE", 24),
    ("ETXTBSY", 26),
];

/// The words of one statement, read from the left.
#[derive(Debug)]
pub(super) struct Words<'a> {
    text: &'a str,
    places: Vec<Range<usize>>,
    at: usize,
}

/// A script's statements, each as its words.
pub(super) fn cut(text: &str) -> Vec<Result<Words<'_>, Mistake>> {
    let mut statements = Vec::new();
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut rest = 0;
    let mut broken = None;
    while rest < text.len() {
        let next = text[rest..].chars().next().unwrap_or(' ');
        match next {
            '\n' | ';' => {
                statements.extend(finished(text, &mut words, broken.take()));
                rest += 1;
            }
            '#' => rest = text[rest..].find('\n').map_or(text.len(), |n| rest + n),
            '"' => {
                let end = text[rest + 1..].find(['"', '\n']).map(|n| rest + 1 + n);
                let closed = end.filter(|end| text[*end..].starts_with('"'));
                let Some(end) = closed else {
                    let end = end.unwrap_or(text.len());
                    broken = broken.or(Some(rest..end));
                    rest = end;
                    continue;
                };
                words.push(rest..end + 1);
                rest = end + 1;
            }
            c if c.is_whitespace() => rest += c.len_utf8(),
            _ => {
                let ends = |c: char| c.is_whitespace() || matches!(c, ';' | '#' | '"');
                let end = text[rest..].find(ends).map_or(text.len(), |n| rest + n);
                words.push(rest..end);
                rest = end;
            }
        }
    }
    statements.extend(finished(text, &mut words, broken));
    statements
}

fn finished<'a>(
    text: &'a str,
    words: &mut Vec<Range<usize>>,
    broken: Option<Range<usize>>,
) -> Option<Result<Words<'a>, Mistake>> {
    let words = std::mem::take(words);
    if let Some(span) = broken {
        return Some(Err(Mistake {
            span,
            message: "this quote has no end".to_owned(),
            label: String::new(),
            help: "close it with \" on the same line".to_owned(),
        }));
    }
    let at = 0;
    (!words.is_empty()).then_some(Ok(Words {
        text,
        places: words,
        at,
    }))
}

/// A word without its quotes.
pub(super) fn unquoted(word: &str) -> &str {
    let inner = word.strip_prefix('"').and_then(|w| w.strip_suffix('"'));
    inner.unwrap_or(word)
}

impl<'a> Words<'a> {
    /// The next word, as it is written.
    pub(super) fn peek(&self) -> Option<&'a str> {
        let span = self.places.get(self.at)?;
        Some(&self.text[span.clone()])
    }

    /// Goes on, and returns the place of the word.
    pub(super) fn next(&mut self) -> Range<usize> {
        let here = self.here();
        self.at += 1;
        here
    }

    /// The next word; goes on.
    pub(super) fn next_word(&mut self) -> Option<&'a str> {
        let word = self.peek();
        self.at += 1;
        word
    }

    /// The place of the next word, or behind the last one.
    pub(super) fn here(&self) -> Range<usize> {
        match (self.places.get(self.at), self.places.last()) {
            (Some(span), _) => span.clone(),
            (None, Some(last)) => last.end..last.end,
            (None, None) => 0..0,
        }
    }

    /// The place of the word that was read last.
    pub(super) fn last(&self) -> Range<usize> {
        let before = self.at.checked_sub(1).and_then(|at| self.places.get(at));
        before.cloned().unwrap_or_else(|| self.here())
    }

    /// The whole statement's place.
    pub(super) fn whole(&self) -> Range<usize> {
        let start = self.places.first().map_or(0, |w| w.start);
        start..self.places.last().map_or(start, |w| w.end)
    }

    /// The whole statement with single spaces.
    pub(super) fn all(&self) -> String {
        let words: Vec<&str> = self.places.iter().map(|w| &self.text[w.clone()]).collect();
        words.join(" ")
    }

    /// Takes the next word if it is this one.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let is = self.peek() == Some(word);
        self.at += usize::from(is);
        is
    }

    /// The next word is this one.
    pub(super) fn must(&mut self, word: &'a str) -> Result<(), Mistake> {
        self.one_of(&[word]).map(|_| ())
    }

    /// The next word is one of these.
    pub(super) fn one_of(&mut self, known: &[&'a str]) -> Result<&'a str, Mistake> {
        let at = self.here();
        let word = self.next_word();
        let found = known.iter().find(|k| Some(**k) == word);
        found.copied().ok_or_else(|| unexpected(at, word, known))
    }

    /// A name.
    pub(super) fn noun(&mut self, what: &str) -> Result<Noun, Mistake> {
        let (name, span) = self.text(what)?;
        Ok(Noun { name, span })
    }

    /// Any word, without its quotes.
    pub(super) fn text(&mut self, what: &str) -> Result<(String, Range<usize>), Mistake> {
        let at = self.here();
        let (label, help) = apart(what);
        let message = match self.next_word().map(unquoted) {
            Some(word) if !word.is_empty() => return Ok((word.to_owned(), at)),
            Some(_) => "there is nothing between the quotes",
            None => "this statement ends too early",
        };
        Err(mistake(at, message, &label, help))
    }

    /// A number.
    pub(super) fn number<T: FromStr>(&mut self, what: &str) -> Result<T, Mistake> {
        let at = self.here();
        let (word, _) = self.text(what)?;
        word.parse().map_err(|_| {
            let message = format!("`{word}` is no number that fits here");
            let (label, help) = apart(what);
            mistake(at, &message, &label, help)
        })
    }

    /// A span of time.
    pub(super) fn span(&mut self, what: &str) -> Result<Duration, Mistake> {
        let at = self.here();
        let (word, _) = self.text(what)?;
        span::parse(&word).ok_or_else(|| {
            let help = if word.bytes().all(|b| b.is_ascii_digit()) {
                format!("say the unit: {word}s")
            } else {
                "write it with its unit: 500ms, 30s, 1m30s, 1d".to_owned()
            };
            let message = format!("`{word}` is no span of time");
            mistake(at, &message, &apart(what).0, &help)
        })
    }

    /// Nothing follows.
    pub(super) fn end(&self) -> Result<(), Mistake> {
        match self.peek() {
            None => Ok(()),
            Some(word) => {
                let at = self.here();
                let message = format!("`{word}` does not belong to this statement");
                let help = "statements end with the line or with `;`";
                Err(mistake(at, &message, "", help))
            }
        }
    }
}

/// `an exit code: web exits 1` as what is expected and what to write.
fn apart(what: &str) -> (String, &str) {
    let (noun, example) = what.split_once(": ").unwrap_or((what, what));
    (format!("expected {noun}"), example)
}

/// There is none of these words here.
pub(super) fn unexpected(at: Range<usize>, word: Option<&str>, known: &[&str]) -> Mistake {
    let message = match word {
        Some(word) => format!("`{word}` cannot stand here"),
        None => "this statement ends too early".to_owned(),
    };
    let near = word.and_then(|word| nearest(word, known.iter().copied()));
    let help = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "see docs/reference/simulate.md, or `supctl help simulate`".to_owned(),
    };
    let label = format!("expected {}", known.join(", "));
    mistake(at, &message, &label, &help)
}

/// A mistake at this place.
pub(super) fn mistake(span: Range<usize>, message: &str, label: &str, help: &str) -> Mistake {
    Mistake {
        span,
        message: message.to_owned(),
        label: label.to_owned(),
        help: help.to_owned(),
    }
}

/// The same, where the place says enough.
pub(super) fn wrong(span: Range<usize>, message: &str, help: &str) -> Mistake {
    mistake(span, message, "", help)
}
