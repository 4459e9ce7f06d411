// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads what a script expects.

use super::mistake::Mistake;
use super::script::{Bound, Claim, What};
use super::words::{Words, unexpected, wrong};
use crate::tree::State;

/// States that can be expected.
pub(super) const STATES: [State; 14] = [
    State::Starting,
    State::Ready,
    State::Unready,
    State::Up,
    State::Degraded,
    State::Stopping,
    State::Stopped,
    State::Backoff,
    State::Held,
    State::Parked,
    State::Waiting,
    State::Unkillable,
    State::Done,
    State::Down,
];

/// What follows `expect`.
pub(super) fn expect(words: &mut Words<'_>) -> Result<What, Mistake> {
    let claim = match words.peek() {
        Some("at") => {
            words.next();
            let bound = match words.one_of(&["most", "least"])? {
                "most" => Bound::AtMost,
                _ => Bound::AtLeast,
            };
            restarts(words, bound)?
        }
        Some("exactly") => {
            words.next();
            restarts(words, Bound::Exactly)?
        }
        Some("no") => {
            words.next();
            words.one_of(&["restarts", "restart"])?;
            words.must("of")?;
            let noun = words.noun("a name: expect no restarts of web")?;
            Claim::Restarts(noun, Bound::Exactly, 0)
        }
        Some("class") => {
            words.next();
            words.must("of")?;
            let noun = words.noun("a name: expect class of web killed")?;
            let (class, _) = words.text("a class: expect class of web killed")?;
            Claim::Class(noun, class)
        }
        Some(_) | None => of_node(words)?,
    };
    let within = if words.take("within") {
        Some(words.span("how long: expect web restarted within 5s")?)
    } else {
        None
    };
    Ok(What::Expect(claim, within))
}

fn restarts(words: &mut Words<'_>, bound: Bound) -> Result<Claim, Mistake> {
    let count = words.number("a number: expect at most 3 restarts of web")?;
    words.one_of(&["restarts", "restart"])?;
    words.must("of")?;
    let noun = words.noun("a name: expect at most 3 restarts of web")?;
    Ok(Claim::Restarts(noun, bound, count))
}

fn of_node(words: &mut Words<'_>) -> Result<Claim, Mistake> {
    let noun = words.noun("a name: expect web restarted within 5s")?;
    words.take("is");
    let at = words.here();
    Ok(match words.next_word() {
        Some("restarted") => Claim::Restarted(noun, often(words)?),
        Some("untouched") => Claim::Untouched(noun),
        Some("gives") => {
            words.must("up")?;
            let code = if words.take("with") {
                Some(words.number("an exit code: expect root gives up with 3")?)
            } else {
                None
            };
            Claim::GivesUp(noun, code)
        }
        Some("finally") => Claim::Finally(noun, state(words)?),
        Some(word) if state_of(word).is_some() => {
            Claim::Reaches(noun, state_of(word).unwrap_or(State::Ready))
        }
        word => {
            let mut known = vec!["restarted", "untouched", "gives up", "finally"];
            known.extend(STATES.map(State::as_str));
            return Err(unexpected(at, word, &known));
        }
    })
}

/// `x3` behind `restarted`.
fn often(words: &mut Words<'_>) -> Result<Option<u32>, Mistake> {
    let Some(word) = words.peek().filter(|word| word.starts_with('x')) else {
        return Ok(None);
    };
    let at = words.next();
    word[1..].parse().map(Some).map_err(|_| {
        let message = format!("`{word}` is no number of times");
        wrong(at, &message, "expect web restarted x3")
    })
}

fn state(words: &mut Words<'_>) -> Result<State, Mistake> {
    let at = words.here();
    let word = words.next_word();
    word.and_then(state_of)
        .ok_or_else(|| unexpected(at, word, &STATES.map(State::as_str)))
}

fn state_of(word: &str) -> Option<State> {
    STATES.into_iter().find(|state| state.as_str() == word)
}
