// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads a script. Every mistake has its place, what could stand there, and a way out; the first
//! one of each statement is reported, and reading goes on with the next statement.

use super::act::Fault;
use super::mistake::{Mistake, nearest};
use super::script::{Noun, Order, Script, Statement, Test, Times, What, When};
use super::words::{ERRNOS, Words, cut, mistake, wrong};
use crate::spec::{ExitStatus, Signal};
use std::ops::Range;
use std::time::Duration;

/// Faults that one statement can ask for: a bound for who writes `x1000000`.
const TIMES_MAX: u32 = 10_000;

/// What can follow the name of a service.
const VERBS: [&str; 6] = ["exits", "is", "hangs", "cannot", "ignores", "takes"];
/// What can begin a statement besides a name.
const STARTERS: [&str; 12] = [
    "start", "stop", "restart", "reset", "pin", "unpin", "scale", "shutdown", "wait", "reload",
    "expect", "probe",
];

/// Reads a whole script; all mistakes at once.
pub(crate) fn parse(text: &str) -> Result<Script, Vec<Mistake>> {
    let mut script = Script::default();
    let mut mistakes = Vec::new();
    for words in cut(text) {
        match words {
            Ok(mut words) => {
                if let Err(mistake) = line(&mut script, &mut words) {
                    mistakes.push(mistake);
                }
            }
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() {
        Ok(script)
    } else {
        Err(mistakes)
    }
}

fn line(script: &mut Script, words: &mut Words<'_>) -> Result<(), Mistake> {
    match words.peek() {
        Some("config") => {
            let first = words.next();
            let (file, span) = words.text("a file: config supd.toml")?;
            if !script.tests.is_empty() || script.config.is_some() {
                let help = "there is one for the whole file; put it on top, once";
                return Err(wrong(first, "`config` does not belong here", help));
            }
            script.config = Some((file, span));
        }
        Some("seed") => {
            words.next();
            script.seed = Some(words.number("a number: seed 7")?);
        }
        Some("test") => {
            words.next();
            let (name, _) = words.text("a name: test \"a crash touches nobody\"")?;
            let name = Some(name);
            let statements = Vec::new();
            script.tests.push(Test { name, statements });
        }
        Some(_) | None => {
            let statement = statement(words)?;
            if script.tests.is_empty() {
                script.tests.push(Test::default());
            }
            if let Some(test) = script.tests.last_mut() {
                test.statements.push(statement);
            }
        }
    }
    words.end()
}

fn statement(words: &mut Words<'_>) -> Result<Statement, Mistake> {
    let what = match words.peek() {
        Some("wait") => {
            words.next();
            What::Wait(words.span("how long: wait 10s")?)
        }
        Some("reload") => {
            words.next();
            let (file, span) = words.text("a file: reload new.toml")?;
            What::Reload(file, span, when(words)?)
        }
        Some("shutdown") => {
            words.next();
            What::Shutdown(when(words)?)
        }
        Some("scale") => {
            words.next();
            let noun = words.noun("the name of a pool: scale worker 4")?;
            let count = words.number("a number: scale worker 4")?;
            What::Scale(noun, count, when(words)?)
        }
        Some("expect") => {
            words.next();
            super::claims::expect(words)?
        }
        Some("probe") => {
            words.next();
            words.must("of")?;
            let noun = words.noun("the name of a service: probe of web fails for 40s")?;
            words.must("fails")?;
            words.must("for")?;
            let span = words.span("how long: probe of web fails for 40s")?;
            What::Fault(noun, Fault::ProbesFail(span), times(words)?.0)
        }
        Some(word) => match order(word) {
            Some(order) => {
                words.next();
                let noun = words.noun("the name of a node")?;
                What::Order(order, noun, when(words)?)
            }
            None => fault(words)?,
        },
        None => fault(words)?,
    };
    Ok(Statement {
        words: words.all(),
        span: words.whole(),
        what,
    })
}

fn order(word: &str) -> Option<Order> {
    Some(match word {
        "start" => Order::Start,
        "stop" => Order::Stop,
        "restart" => Order::Restart,
        "reset" => Order::Reset,
        "pin" => Order::Pin,
        "unpin" => Order::Unpin,
        _ => return None,
    })
}

fn fault(words: &mut Words<'_>) -> Result<What, Mistake> {
    let noun = words.noun("the name of a service, or an order")?;
    let at = words.here();
    let fault = match words.next_word() {
        Some("exits") => {
            let code: u32 = words.number("an exit code: web exits 1")?;
            let code = u8::try_from(code)
                .map_err(|_| wrong(words.last(), "an exit code is 0 to 255", "web exits 1"))?;
            Fault::Ends(ExitStatus::Code(code))
        }
        Some("is") => is(words)?,
        Some("hangs") => Fault::Hangs,
        Some("cannot") => {
            words.must("start")?;
            Fault::CannotStart(errno(words)?)
        }
        Some("ignores") => {
            words.must("signals")?;
            Fault::IgnoresSignals
        }
        Some("takes") => {
            let span = words.span("how long: web takes 3s to start")?;
            words.must("to")?;
            match words.one_of(&["start", "stop"])? {
                "start" => Fault::TakesToStart(span),
                _ => Fault::TakesToStop(span),
            }
        }
        other => return Err(no_verb((&noun, at), other)),
    };
    let (times, starting) = times(words)?;
    let fault = match (fault, starting) {
        (fault, None) => fault,
        (Fault::Ends(status), Some(_)) => Fault::EndsAtStart(status),
        (_, Some(place)) => {
            let help = "web exits 1 while starting";
            return Err(wrong(place, "`while starting` is for ends", help));
        }
    };
    Ok(What::Fault(noun, fault, times))
}

fn no_verb((noun, at): (&Noun, Range<usize>), verb: Option<&str>) -> Mistake {
    let can = format!("expected {}", VERBS.join(", "));
    // A name in the place of an order, or an order in the place of a name.
    let first = nearest(&noun.name, STARTERS).filter(|near| *near != noun.name);
    let Some(verb) = verb else {
        let help = format!("say what happens to `{}`: {} exits 1", noun.name, noun.name);
        return mistake(at, "this statement has no verb", &can, &help);
    };
    let help = match (nearest(verb, VERBS), first) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, Some(near)) => format!("did you mean `{near} {verb}`?"),
        (None, None) => "write it as: web exits 1, web is killed, web hangs".to_owned(),
    };
    mistake(at, &format!("`{verb}` is no verb"), &can, &help)
}

/// What follows `is`.
fn is(words: &mut Words<'_>) -> Result<Fault, Mistake> {
    if words.one_of(&["killed", "not"])? == "not" {
        words.must("ready")?;
        return Ok(Fault::NeverReady);
    }
    let core = false;
    let signal = if words.take("by") {
        signal(words)?
    } else {
        Signal::KILL
    };
    Ok(Fault::Ends(ExitStatus::Signal { signal, core }))
}

fn signal(words: &mut Words<'_>) -> Result<Signal, Mistake> {
    let at = words.here();
    let (word, _) = words.text("a signal: web is killed by SEGV")?;
    word.parse().map_err(|_| {
        let help = "signals go by name: TERM, SIGSEGV, RTMIN+3";
        mistake(at, &format!("`{word}` is no signal"), "", help)
    })
}

/// The error of a failed start; none is `ENOENT`.
fn errno(words: &mut Words<'_>) -> Result<i32, Mistake> {
    let Some(word) = words.peek().filter(|word| word.starts_with('E')) else {
        return Ok(ERRNOS[0].1);
    };
    let at = words.next();
    let found = ERRNOS.iter().find(|(name, _)| *name == word);
    found.map(|(_, number)| *number).ok_or_else(|| {
        let known = ERRNOS.map(|(name, _)| name).join(", ");
        let label = format!("expected {known}");
        mistake(
            at,
            &format!("`{word}` is no error known here"),
            &label,
            "web cannot start ENOENT",
        )
    })
}

/// How often and when; and the place of `while starting`.
fn times(words: &mut Words<'_>) -> Result<(Times, Option<Range<usize>>), Mistake> {
    let mut times = Times {
        when: When::After(Duration::ZERO),
        count: 1,
        every: Duration::ZERO,
    };
    let (mut over, mut starting) = (None, None);
    let mut every = None;
    while let Some(word) = words.peek() {
        match word {
            "in" => {
                let at = words.next();
                over = Some((words.span("how long: web exits 1 x6 in 30s")?, at));
            }
            "every" => {
                let at = words.next();
                every = Some((words.span("how long: web exits 1 x6 every 5s")?, at));
            }
            "after" => {
                words.next();
                times.when = When::After(words.span("how long: web exits 1 after 10s")?);
            }
            "at" => {
                words.next();
                times.when = When::At(words.span("a time: web exits 1 at 1m30s")?);
            }
            "while" => {
                starting = Some(words.next());
                words.must("starting")?;
            }
            _ if word.starts_with('x') => times.count = often(words)?,
            _ => break,
        }
    }
    match (over, every) {
        (Some(_), Some((_, at))) => {
            let help = "x6 in 30s spreads six over 30s; x6 every 5s has 5s between them";
            return Err(wrong(at, "`in` and `every` both say how far apart", help));
        }
        (Some((_, at)), None) | (None, Some((_, at))) if times.count == 1 => {
            return Err(wrong(
                at,
                "it does not say how often",
                "web exits 1 x6 in 30s",
            ));
        }
        (Some((over, _)), None) => times.every = over / times.count,
        (None, Some((every, _))) => times.every = every,
        (None, None) => {}
    }
    Ok((times, starting))
}

/// `x6`.
fn often(words: &mut Words<'_>) -> Result<u32, Mistake> {
    let word = words.peek().unwrap_or_default();
    let at = words.next();
    let count = word[1..].parse().ok();
    count
        .filter(|n| (1..=TIMES_MAX).contains(n))
        .ok_or_else(|| {
            let help = format!("x1 to x{TIMES_MAX}: web exits 1 x6");
            mistake(at, &format!("`{word}` is no number of times"), "", &help)
        })
}

/// When an order is given.
fn when(words: &mut Words<'_>) -> Result<When, Mistake> {
    match words.peek() {
        Some("after") => {
            words.next();
            Ok(When::After(words.span("how long: stop web after 10s")?))
        }
        Some("at") => {
            words.next();
            Ok(When::At(words.span("a time: stop web at 1m30s")?))
        }
        Some(_) | None => Ok(When::After(Duration::ZERO)),
    }
}
