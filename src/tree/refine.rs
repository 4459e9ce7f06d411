// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a base class to the class that a configuration, or the service itself, calls it
//! (SEMANTICS §5).
//!
//! ```text
//! requested, recycled         no other name
//! the service's own word      where it chose its end itself: an exit code, and a class there is
//! the rules, in their order   the first that holds
//! else                        the base class alone
//! ```
//!
//! The base class stays beside it, whatever the rules say. It never looks at a pattern: which ones
//! have matched is a fact.

use super::classify::{Classification, Grounds, Sent};
use crate::spec::{
    Class, Classes, ExitFacts, ExitStatus, Found, Name, PatternId, Phase, Sample, Service, Stream,
    Testimony, Uptime, UserClass, When, limits,
};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What the rules look at.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// What the kernel and supd know.
    pub base: Class,
    /// The wait status; `None`: there was no process.
    pub status: Option<ExitStatus>,
    /// What the service was doing.
    pub phase: Phase,
    /// From the start to the end.
    pub uptime: Duration,
    /// What it said and wrote itself.
    pub testimony: Option<&'a Testimony>,
}

/// Why a rule does not hold: its first condition that is not fulfilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// Another base class.
    Base,
    /// Another exit code, or none.
    Code,
    /// Another signal, or none.
    Signal,
    /// Ran too long, or not long enough.
    Uptime,
    /// It was doing something else.
    Phase,
    /// It was early, or was not.
    Early,
    /// No pattern matches.
    Stderr,
    /// No pattern matches.
    Stdout,
    /// It has no condition: only a service's own word leads to it.
    Word,
    /// A rule before it held, or the service's own word.
    Later,
    /// Nothing but its base class is said about such an end.
    Fixed,
}

impl fmt::Display for Miss {
    /// After "no: ".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base => "another base class",
            Self::Code => "another exit code",
            Self::Signal => "another signal",
            Self::Uptime => "uptime",
            Self::Phase => "another phase",
            Self::Early => "early",
            Self::Stderr => "no pattern matches stderr",
            Self::Stdout => "no pattern matches stdout",
            Self::Word => "the service did not say so",
            Self::Later => "decided before",
            Self::Fixed => "an end that was asked for has no other class",
        })
    }
}

/// A rule and what came of it; `None`: it is the class.
pub type Tried<'a> = (&'a Arc<UserClass>, Option<Miss>);

/// The class of an end. Total: there is always one.
pub fn classify(classes: &Classes, end: End<'_>) -> Classification {
    let plain = Classification::of_base(end.base);
    if classes.rules.is_empty() || is_fixed(end.base) {
        return plain;
    }
    let (rule, grounds) = match own_word(classes, end) {
        Some(rule) => (rule, Grounds::Word),
        None => match classes.rules.iter().find(|rule| miss(rule, end).is_none()) {
            Some(rule) if rule.when.is_output_alone() => (rule, Grounds::Output),
            Some(rule) => (rule, Grounds::Facts),
            None => return plain,
        },
    };
    Classification {
        family: rule.family.unwrap_or(plain.family),
        user: Some(Arc::clone(rule)),
        grounds,
        ..plain
    }
}

/// Every rule and why it holds or not, in their order: for who asks why.
pub fn tried<'a>(classes: &'a Classes, end: End<'_>) -> Vec<Tried<'a>> {
    let found = classify(classes, end).user;
    let mut over = false;
    let rules = classes.rules.iter();
    rules
        .map(|rule| {
            let is_it = found.as_ref().is_some_and(|found| Arc::ptr_eq(found, rule));
            let miss = match miss(rule, end) {
                _ if is_it => None,
                _ if is_fixed(end.base) => Some(Miss::Fixed),
                None => Some(Miss::Later),
                Some(_) if over => Some(Miss::Later),
                Some(miss) => Some(miss),
            };
            over = over || is_it;
            (rule, miss)
        })
        .collect()
}

/// An imagined end of a service, or of one without particulars.
pub fn imagine<'a>(service: Option<&Service>, sample: &'a Sample) -> End<'a> {
    let facts = ExitFacts::bare(sample.status);
    End {
        base: Class::of_exit(&facts, service, Sent::default()),
        status: Some(sample.status),
        phase: sample.phase,
        uptime: sample.uptime,
        testimony: Some(&sample.testimony),
    }
}

/// The name of the class that an imagined end has, if it is one of the configuration's.
pub fn named(classes: &Classes, sample: &Sample) -> Option<Name> {
    let found = classify(classes, imagine(None, sample));
    found.user.map(|class| Arc::clone(&class.name))
}

impl End<'_> {
    /// Before it was ready, or within a second.
    pub fn is_early(&self) -> bool {
        self.phase == Phase::Starting || self.uptime < limits::EARLY
    }
}

/// An end that we asked for has no other name than that.
fn is_fixed(base: Class) -> bool {
    matches!(base, Class::Requested | Class::Recycled)
}

/// The class that the service itself has named, where its word counts.
fn own_word<'a>(classes: &'a Classes, end: End<'_>) -> Option<&'a Arc<UserClass>> {
    let word = end.testimony?.class.as_deref()?;
    let named = |rule: &&Arc<UserClass>| &*rule.name == word;
    classes
        .rules
        .iter()
        .find(named)
        .filter(|_| end.base.is_chosen())
}

/// The first condition of a rule that does not hold, the cheap ones first.
fn miss(rule: &UserClass, end: End<'_>) -> Option<Miss> {
    let When {
        base,
        codes,
        signals,
        stderr,
        stdout,
        uptime,
        phase,
        early,
    } = &rule.when;
    if rule.when.is_empty() {
        return Some(Miss::Word);
    }
    let code_is = |codes: &[u8]| match end.status {
        Some(ExitStatus::Code(code)) => codes.contains(&code),
        Some(ExitStatus::Signal { .. }) | None => false,
    };
    let signal_is = |signals: &[_]| match end.status {
        Some(ExitStatus::Signal { signal, .. }) => signals.contains(&signal),
        Some(ExitStatus::Code(_)) | None => false,
    };
    let uptime_is = |uptime: &Uptime| match uptime {
        Uptime::Above(least) => end.uptime > *least,
        Uptime::Below(most) => end.uptime < *most,
    };
    let found = end.testimony.map_or(&[][..], |t| &t.found);
    let conditions = [
        (base.is_empty() || base.contains(&end.base), Miss::Base),
        (codes.is_empty() || code_is(codes), Miss::Code),
        (signals.is_empty() || signal_is(signals), Miss::Signal),
        (uptime.as_ref().is_none_or(uptime_is), Miss::Uptime),
        (phase.is_empty() || phase.contains(&end.phase), Miss::Phase),
        (early.is_none_or(|it| it == end.is_early()), Miss::Early),
        (wrote(found, stderr, Stream::Err), Miss::Stderr),
        (wrote(found, stdout, Stream::Out), Miss::Stdout),
    ];
    let missed = conditions.into_iter().find(|(holds, _)| !holds);
    missed.map(|(_, miss)| miss)
}

fn wrote(found: &[Found], wanted: &[PatternId], stream: Stream) -> bool {
    let is_one = |f: &Found| f.stream == stream && wanted.contains(&f.pattern);
    wanted.is_empty() || found.iter().any(is_one)
}

impl Classification {
    /// What the patterns of its class have found, and nobody else's: named groups go to hooks.
    pub fn evidence<'a>(&'a self, testimony: &'a Testimony) -> impl Iterator<Item = &'a Found> {
        let when = self.user.as_ref().map(|class| &class.when);
        let of_class = move |found: &&Found| {
            when.is_some_and(|when| match found.stream {
                Stream::Out => when.stdout.contains(&found.pattern),
                Stream::Err => when.stderr.contains(&found.pattern),
            })
        };
        let found = match self.grounds {
            Grounds::Facts | Grounds::Output => &testimony.found[..],
            Grounds::Word => &[],
        };
        found.iter().filter(of_class)
    }
}
