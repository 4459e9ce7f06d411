// SPDX-License-Identifier: MIT OR Apache-2.0
//! Patterns for what services write: regular expressions in linear time, all of a stream in one
//! set.
//!
//! A set says in one pass over a text which of its patterns match (a lazily built automaton with a
//! bounded cache); only those are then looked at for their line and their named groups. Letters of
//! a class (`\w`, `\d`, `(?i)`) are ASCII, `^` and `$` stand at every line, and a byte that is no
//! text matches nothing but `.`. Nothing here can take more than linear time or bounded memory,
//! whatever a service writes. What follows from a match is not decided here.

use crate::spec::{Classes, Found, PatternId, Stream, UserClass, limits};
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, NFA, pikevm::PikeVM};
use regex_automata::util::{captures::Captures, syntax};
use regex_automata::{Input, MatchKind, PatternID, PatternSet};
use std::cell::{OnceCell, RefCell};
use std::fmt;

/// Bytes of the automaton of one pattern: `a{1000}{1000}` is refused, and not built.
const PATTERN_SIZE: usize = 256 << 10;
/// Bytes of the automaton of all patterns of one stream.
const SET_SIZE: usize = 16 << 20;
/// Bytes of the states that are kept between texts.
const CACHE_SIZE: usize = 1 << 20;

/// The patterns of a configuration, ready to be tried.
#[derive(Debug, Default)]
pub struct Patterns {
    out: Option<Set>,
    err: Option<Set>,
}

/// The patterns for one stream.
struct Set {
    ids: Box<[PatternId]>,
    texts: Box<[Box<str>]>,
    all: DFA,
    cache: RefCell<Cache>,
    /// Each alone, once it has matched: with its groups.
    alone: Box<[OnceCell<Option<PikeVM>>]>,
}

impl fmt::Debug for Set {
    /// Automata are long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.texts).finish()
    }
}

impl Patterns {
    /// Those that the classes name. All of them were [checked](check) alone; together they can be
    /// too large.
    pub(super) fn compile(classes: &Classes) -> Result<Self, String> {
        Ok(Self {
            out: Set::compile(classes, |class| &class.when.stdout)?,
            err: Set::compile(classes, |class| &class.when.stderr)?,
        })
    }

    /// Whether anybody wants to know what a service has written.
    pub fn is_empty(&self) -> bool {
        self.out.is_none() && self.err.is_none()
    }

    /// Whether anybody wants to know what a service has written to this stream.
    pub fn wants(&self, stream: Stream) -> bool {
        self.of(stream).is_some()
    }

    /// What the end of a text matches: its last [`limits::TAIL`] bytes are looked at.
    pub fn find(&self, stream: Stream, text: &[u8]) -> Vec<Found> {
        let tail = &text[text.len().saturating_sub(limits::TAIL)..];
        self.of(stream)
            .map_or_else(Vec::new, |set| set.find(stream, tail))
    }

    fn of(&self, stream: Stream) -> Option<&Set> {
        match stream {
            Stream::Out => self.out.as_ref(),
            Stream::Err => self.err.as_ref(),
        }
    }
}

impl Set {
    fn compile(
        classes: &Classes,
        wanted: impl Fn(&UserClass) -> &[PatternId],
    ) -> Result<Option<Self>, String> {
        let rules = classes.rules.iter();
        let mut ids: Vec<PatternId> = rules.flat_map(|rule| wanted(rule).to_vec()).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(None);
        }
        let text = |id: &PatternId| classes.patterns.get(id.0 as usize).cloned();
        let texts: Box<[Box<str>]> = ids.iter().filter_map(text).collect();
        let plain: Vec<String> = texts.iter().map(|text| in_bytes(text)).collect();
        let config = DFA::config()
            .match_kind(MatchKind::All)
            .cache_capacity(CACHE_SIZE)
            .skip_cache_capacity_check(true);
        let all = DFA::builder()
            .configure(config)
            .syntax(manner())
            .thompson(thompson::Config::new().nfa_size_limit(Some(SET_SIZE)))
            .build_many(&plain)
            .map_err(|e| reason(&e))?;
        let cache = RefCell::new(all.create_cache());
        let alone = texts.iter().map(|_| OnceCell::new()).collect();
        Ok(Some(Self {
            ids: ids.into(),
            texts,
            all,
            cache,
            alone,
        }))
    }

    fn find(&self, stream: Stream, text: &[u8]) -> Vec<Found> {
        let mut matched = PatternSet::new(self.all.pattern_len());
        let mut cache = self.cache.borrow_mut();
        let input = Input::new(text);
        let whole = self
            .all
            .try_which_overlapping_matches(&mut cache, &input, &mut matched);
        // It gives up only where it was told to, which it was not.
        debug_assert!(whole.is_ok(), "{whole:?}");
        let places = matched.iter().map(|id| id.as_usize());
        places
            .filter_map(|place| {
                let alone = self.alone[place].get_or_init(|| with_groups(&self.texts[place]).ok());
                let (line, captures) = groups(alone.as_ref()?, text);
                Some(Found {
                    pattern: self.ids[place],
                    stream,
                    line,
                    captures,
                })
            })
            .collect()
    }
}

/// What is wrong with a pattern, in one clause; nothing: it can be used.
pub(super) fn check(text: &str) -> Result<(), String> {
    let vm = with_groups(text)?;
    let names = vm
        .get_nfa()
        .group_info()
        .pattern_names(PatternID::ZERO)
        .flatten();
    if names.count() > limits::GROUPS_MAX {
        return Err(format!(
            "it has more than {} named groups",
            limits::GROUPS_MAX
        ));
    }
    // An empty text holds every beginning and end: whoever matches it matches anything.
    if vm.is_match(&mut vm.create_cache(), "") {
        return Err("it matches an empty text, so it matches everything".to_owned());
    }
    Ok(())
}

/// Whether no text whatever matches it.
pub(super) fn is_impossible(text: &str) -> bool {
    let config = DFA::config().skip_cache_capacity_check(true);
    let built = DFA::builder()
        .configure(config)
        .syntax(manner())
        .build(&in_bytes(text));
    built.is_ok_and(|dfa| never_matches(&dfa))
}

/// Follows every byte from the beginning until nothing new is met, at most for a time.
fn never_matches(dfa: &DFA) -> bool {
    const STATES_MAX: usize = 2000;
    let mut cache = dfa.create_cache();
    let begin = dfa.start_state_forward(&mut cache, &Input::new(""));
    let Ok(begin) = begin else {
        return false;
    };
    let (mut known, mut open) = (vec![begin], vec![begin]);
    while let Some(state) = open.pop() {
        let end = dfa.next_eoi_state(&mut cache, state);
        if end.is_ok_and(|end| end.is_match()) {
            return false;
        }
        for byte in 0..=u8::MAX {
            let Ok(next) = dfa.next_state(&mut cache, state, byte) else {
                return false;
            };
            if next.is_match() || known.len() > STATES_MAX {
                return false;
            }
            if !next.is_dead() && !known.contains(&next) {
                known.push(next);
                open.push(next);
            }
        }
    }
    true
}

fn manner() -> syntax::Config {
    syntax::Config::new()
        .unicode(false)
        .utf8(false)
        .multi_line(true)
}

fn with_groups(text: &str) -> Result<PikeVM, String> {
    let nfa = NFA::compiler()
        .configure(thompson::Config::new().nfa_size_limit(Some(PATTERN_SIZE)))
        .syntax(manner())
        .build(&in_bytes(text))
        .map_err(|e| reason(&e))?;
    PikeVM::new_from_nfa(nfa).map_err(|e| reason(&e))
}

/// The innermost reason, on one line.
fn reason(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    let text = inner.to_string();
    if text.contains("exceeded limit") {
        return "it is too large".to_owned();
    }
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

/// Letters beyond ASCII as the bytes they are: outside of brackets each is a group of its own, so
/// that what follows repeats all of it.
fn in_bytes(text: &str) -> String {
    use std::fmt::Write as _;
    let mut bytes = String::with_capacity(text.len());
    let (mut inside, mut escaped) = (false, false);
    for letter in text.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
        if letter.is_ascii() || inside {
            bytes.push(letter);
            continue;
        }
        bytes.push_str("(?:");
        for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
            // Writing to a string cannot fail.
            let _ = write!(bytes, "\\x{byte:02X}");
        }
        bytes.push(')');
    }
    bytes
}

type Groups = Box<[(Box<str>, Box<str>)]>;

/// The last line that matches alone, and what the named groups are there; a pattern that goes over
/// several lines is shown by its first place.
fn groups(vm: &PikeVM, text: &[u8]) -> (Box<str>, Groups) {
    let mut cache = vm.create_cache();
    let mut found = vm.create_captures();
    for line in text.split(|byte| *byte == b'\n').rev() {
        vm.captures(&mut cache, line, &mut found);
        if found.is_match() {
            return (cut(line), named(&found, line));
        }
    }
    vm.captures(&mut cache, text, &mut found);
    let place = found.get_match().map_or(0..0, |found| found.range());
    let begin = text[..place.start].iter().rposition(|byte| *byte == b'\n');
    let line = &text[begin.map_or(0, |newline| newline + 1)..];
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    (cut(line), named(&found, text))
}

fn named(found: &Captures, text: &[u8]) -> Groups {
    let names = found
        .group_info()
        .pattern_names(PatternID::ZERO)
        .enumerate();
    names
        .filter_map(|(place, name)| {
            let span = found.get_group(place)?;
            Some((name?.into(), cut(&text[span.start..span.end])))
        })
        .collect()
}

/// For people: control characters and what is no text are replaced.
fn cut(bytes: &[u8]) -> Box<str> {
    let end = bytes.len().min(limits::MATCH_MAX);
    let text = String::from_utf8_lossy(&bytes[..end]);
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let text: String = text.trim_end().chars().map(visible).collect();
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::When;
    use std::sync::Arc;

    fn patterns(texts: &[&str]) -> Patterns {
        let ids = (0..).take(texts.len()).map(PatternId);
        let when = When {
            stderr: ids.collect(),
            ..When::default()
        };
        let rule = UserClass {
            name: "x".into(),
            family: None,
            when,
            blames: None,
            trust_output: false,
        };
        let classes = Classes {
            rules: Box::new([Arc::new(rule)]),
            patterns: texts.iter().map(|text| (*text).into()).collect(),
        };
        Patterns::compile(&classes).expect("good patterns")
    }

    fn found(texts: &[&str], text: &[u8]) -> Vec<(u32, String)> {
        let found = patterns(texts).find(Stream::Err, text);
        let told = found.into_iter();
        told.map(|f| (f.pattern.0, f.line.into())).collect()
    }

    #[test]
    fn every_pattern_that_matches_is_found_with_its_last_line() {
        let text = b"one: 1\ntwo: 2\none: 3\nrest";
        let got = found(&[r"^one: \d$", "three", "tw[o]"], text);
        assert_eq!(got, [(0, "one: 3".to_owned()), (2, "two: 2".to_owned())]);
    }

    #[test]
    fn named_groups_are_kept_and_a_pattern_may_go_over_lines() {
        let patterns = patterns(&[r"begin (?P<what>\w+)\s+end (?P<code>\d+)"]);
        let found = patterns.find(Stream::Err, b"x\nbegin here\nend 12\n");
        assert_eq!(&*found[0].line, "begin here");
        let captures: Vec<(&str, &str)> = found[0]
            .captures
            .iter()
            .map(|(name, text)| (&**name, &**text))
            .collect();
        assert_eq!(captures, [("what", "here"), ("code", "12")]);
    }

    #[test]
    fn letters_beyond_ascii_are_whole_letters() {
        assert_eq!(found(&["für+ é+!"], "für éé!".as_bytes()).len(), 1);
        assert_eq!(found(&["é{3}"], "éé".as_bytes()).len(), 0);
    }

    #[test]
    fn only_the_end_of_a_text_is_looked_at_and_no_byte_is_an_error() {
        let mut text = b"needle\n".to_vec();
        text.extend(vec![0xff; limits::TAIL]);
        assert_eq!(found(&["needle"], &text).len(), 0);
        text.extend(b"needle");
        assert_eq!(found(&["needle"], &text).len(), 1);
    }

    #[test]
    fn bad_patterns_are_refused_with_a_reason() {
        for (pattern, reason) in [
            ("(", "unclosed group"),
            ("a{1000}{1000}{1000}", "too large"),
            (".*", "matches everything"),
            ("(?P<a>x)(?P<a>y)", "duplicate"),
        ] {
            let error = check(pattern).expect_err(pattern);
            assert!(error.contains(reason), "{pattern}: {error}");
        }
        assert_eq!(check(r"SQLSTATE 08\w{3}"), Ok(()));
    }

    #[test]
    fn what_no_text_can_match_is_known() {
        for pattern in [r"a\b\Bb", "[^\\s\\S]", r"x\Ay", "a$b"] {
            assert!(is_impossible(pattern), "{pattern}");
        }
        for pattern in ["a", "a$\nb", "^x", r"\bword\b", "[0-9]+ left"] {
            assert!(!is_impossible(pattern), "{pattern}");
        }
    }

    #[test]
    fn a_long_text_against_evil_patterns_takes_linear_time() {
        let evil: Vec<String> = (0..50).map(|n| format!("(a+)+(a|b)*c{n}x")).collect();
        let evil: Vec<&str> = evil.iter().map(String::as_str).collect();
        assert_eq!(found(&evil, &vec![b'a'; 1 << 20]).len(), 0);
    }
}
