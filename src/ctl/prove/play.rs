// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plays a script on a tree of paper, step by step.
//!
//! A step is what is done, and the expectations behind it. Statements are laid into time where the
//! script's own clock stands; only `wait` moves it. Then the model runs: until nothing is under way
//! any more, or, when every expectation of the step has a `within`, until the last of these is
//! over. The next step begins there.

use super::act::{Act, Fault};
use super::judge::{self, Check, Step};
use super::mistake::{Mistake, nearest};
use super::model::{Ended, Model};
use super::script::{Claim, Noun, Order, Statement, Test, Times, What, When};
use super::words::{mistake, wrong};
use crate::config::Loaded;
use crate::spec::{self, Node, SupervisorKind};
use crate::tree::{State, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What a test is played with.
pub(crate) struct Stage<'a> {
    pub(crate) loaded: &'a Loaded,
    /// The configurations that `reload` names, by that name.
    pub(crate) others: &'a BTreeMap<String, Loaded>,
    pub(crate) seed: u64,
    /// A step takes at most this long.
    pub(crate) until: Duration,
}

/// What came of a test.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) model: Model,
    /// When the tree was up: the zero of the story.
    pub(crate) zero: Time,
    /// Lines of the story before it.
    pub(crate) booted: usize,
    /// How the boot ended, and the last step.
    pub(crate) ended: (Ended, Ended),
    pub(crate) checks: Vec<Check>,
}

/// Plays a test; all names that mean nothing are found before it begins.
pub(crate) fn play(stage: &Stage<'_>, test: &Test) -> Result<Played, Vec<Mistake>> {
    let known = known(stage);
    let mistakes: Vec<Mistake> = test
        .statements
        .iter()
        .filter_map(|statement| unknown(&known, statement))
        .collect();
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let spec = Arc::new(stage.loaded.tree.clone());
    let mut model = Model::new(&spec, stage.seed);
    let watched = test.statements.iter().filter_map(watched);
    model.watch(watched.map(|noun| noun.name.clone()));
    let booted = model.boot(Time::default() + stage.until);
    let zero = model.now();
    let mut player = Player {
        stage,
        in_force: stage.loaded,
        step: Step::beginning(&model),
        clock: zero,
        zero,
        claims: Vec::new(),
        checks: Vec::new(),
        ended: booted,
        model,
    };
    let lines = player.model.story().len();
    let mut mistakes = Vec::new();
    for statement in &test.statements {
        mistakes.extend(player.take(statement).err());
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    player.finish();
    Ok(Played {
        model: player.model,
        zero,
        booted: lines,
        ended: (booted, player.ended),
        checks: player.checks,
    })
}

struct Player<'a> {
    stage: &'a Stage<'a>,
    /// What the last `reload` has read.
    in_force: &'a Loaded,
    model: Model,
    step: Step,
    /// Where the script's own clock stands.
    clock: Time,
    zero: Time,
    claims: Vec<(Claim, Option<Duration>, Statement, Time)>,
    checks: Vec<Check>,
    ended: Ended,
}

impl Player<'_> {
    fn take(&mut self, statement: &Statement) -> Result<(), Mistake> {
        if let What::Expect(claim, within) = &statement.what {
            let claim = (claim.clone(), *within, statement.clone(), self.clock);
            self.claims.push(claim);
            return Ok(());
        }
        if !self.claims.is_empty() {
            self.finish();
            self.step = Step::beginning(&self.model);
            self.clock = self.model.now();
        }
        let words = statement.words.clone();
        match &statement.what {
            What::Fault(noun, fault, times) => self.faults(noun, *fault, (*times, &words)),
            What::Order(order, noun, when) => {
                let name = noun.name.clone();
                let act = match order {
                    Order::Start => Act::Start(name),
                    Order::Stop => Act::Stop(name),
                    Order::Restart => Act::Restart(name),
                    Order::Reset => Act::Reset(name),
                    Order::Pin => Act::Pin(name),
                    Order::Unpin => Act::Unpin(name),
                };
                self.model.at(self.when(*when), act, words);
            }
            What::Scale(noun, count, when) => {
                let instances = self.in_force.instances(&noun.name, *count);
                let Some(instances) = instances else {
                    let help = "only a service with `instances` can be scaled";
                    return Err(wrong(noun.span.clone(), "this is no pool", help));
                };
                let act = Act::Scale(noun.name.clone(), instances);
                self.model.at(self.when(*when), act, words);
            }
            What::Shutdown(when) => self.model.at(self.when(*when), Act::Shutdown, words),
            What::Wait(span) => self.clock = self.clock + *span,
            What::Reload(file, span, when) => {
                let Some(loaded) = self.stage.others.get(file) else {
                    let help = "a path from where the script is";
                    return Err(wrong(span.clone(), "this file was not read", help));
                };
                let spec = loaded.keeping_scale(self.in_force, self.model.tree().spec());
                self.in_force = loaded;
                let act = Act::Apply(Arc::new(spec));
                self.model.at(self.when(*when), act, words);
            }
            What::Expect(..) => {}
        }
        Ok(())
    }

    fn faults(&mut self, noun: &Noun, fault: Fault, (times, words): (Times, &str)) {
        let first = self.when(times.when);
        for number in 0..times.count {
            let words = match times.count {
                1 => words.to_owned(),
                // All at once: said once.
                _ if times.every.is_zero() && number > 0 => String::new(),
                _ if times.every.is_zero() => words.to_owned(),
                count => format!("{words} ({} of {count})", number + 1),
            };
            let act = Act::Fault(noun.name.clone(), fault);
            self.model.at(first + times.every * number, act, words);
        }
    }

    fn when(&self, when: When) -> Time {
        match when {
            When::After(span) => self.clock + span,
            When::At(span) => self.zero + span,
        }
    }

    /// Lets the step happen, and judges it.
    fn finish(&mut self) {
        let limits = self.claims.iter().map(|(_, within, _, from)| {
            let within = (*within)?;
            Some(*from + within)
        });
        let last: Option<Vec<Time>> = limits.collect();
        let last = last.and_then(|limits| limits.into_iter().max());
        // What the script waits for happens, too.
        let end = self.model.now().max(self.clock) + self.stage.until;
        self.ended = if let Some(last) = last {
            self.model.run_until(last.max(self.clock))
        } else {
            self.model.run_until(self.clock);
            self.model.settle(end)
        };
        for (claim, within, statement, from) in self.claims.drain(..) {
            let limit = within.map(|within| from + within);
            let check = judge::judge((&self.model, &self.step), (&claim, from, limit), statement);
            self.checks.push(check);
        }
    }
}

/// What a name can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Service,
    Supervisor,
    Pool,
}

fn known(stage: &Stage<'_>) -> BTreeMap<String, Is> {
    let mut known = BTreeMap::new();
    for loaded in std::iter::once(stage.loaded).chain(stage.others.values()) {
        add(&Node::Supervisor(Arc::clone(&loaded.tree.root)), &mut known);
    }
    known
}

/// Recursion is bounded by the depth of a tree.
fn add(node: &Node, known: &mut BTreeMap<String, Is>) {
    let is = match node {
        Node::Service(_) => Is::Service,
        Node::Supervisor(sup) => {
            sup.children.iter().for_each(|child| add(child, known));
            match sup.kind {
                SupervisorKind::Tree => Is::Supervisor,
                SupervisorKind::Pool => Is::Pool,
            }
        }
    };
    known.insert(spec::Name::clone(node.name()).to_string(), is);
}

/// Whether a node of this kind can be in this state.
fn fits(is: Is, state: State) -> bool {
    match state {
        State::Ready | State::Unready | State::Stopped | State::Unkillable => is == Is::Service,
        State::Up | State::Degraded | State::Down => is != Is::Service,
        State::Starting
        | State::Stopping
        | State::Backoff
        | State::Remediating
        | State::Held
        | State::Parked
        | State::Waiting
        | State::Done => true,
    }
}

fn watched(statement: &Statement) -> Option<&Noun> {
    match &statement.what {
        What::Expect(claim, _) => Some(claim.noun()),
        What::Fault(..)
        | What::Order(..)
        | What::Scale(..)
        | What::Shutdown(_)
        | What::Wait(_)
        | What::Reload(..) => None,
    }
}

/// A name that means nothing, or not what the statement needs. Instances that a `scale` brings are
/// known by their pool.
fn unknown(known: &BTreeMap<String, Is>, statement: &Statement) -> Option<Mistake> {
    let noun = statement.what.noun()?;
    let pool = noun.name.rsplit_once('.').map(|(pool, _)| pool);
    let is = known.get(&noun.name).copied();
    let is = is.or_else(|| pool.and_then(|p| known.get(p)).map(|_| Is::Service));
    let name = &noun.name;
    let place = noun.span.clone();
    match (is, &statement.what) {
        (None, _) => {
            let near = nearest(name, known.keys().map(String::as_str));
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`supctl graph -c FILE` shows the names of the tree".to_owned(),
            };
            Some(mistake(
                place,
                &format!("there is no node named `{name}`"),
                "",
                &help,
            ))
        }
        (Some(Is::Pool), What::Fault(..)) => {
            let help = format!("name an instance: {name}.1");
            Some(mistake(
                place,
                &format!("`{name}` is a pool"),
                "it has no process",
                &help,
            ))
        }
        (Some(Is::Supervisor), What::Fault(..)) => {
            let help = "name one of the services below it";
            Some(mistake(
                place,
                &format!("`{name}` is a supervisor"),
                "it has no process",
                help,
            ))
        }
        (Some(is), What::Expect(Claim::Reaches(_, state) | Claim::Finally(_, state), _))
            if !fits(is, *state) =>
        {
            let (of, word) = match is {
                Is::Service => ("a service", "ready"),
                Is::Supervisor | Is::Pool => ("a supervisor", "up"),
            };
            let message = format!("{of} is never {}", state.as_str());
            let help = format!("`{name}` is {of}: expect {name} {word}");
            Some(mistake(place, &message, "", &help))
        }
        (Some(Is::Service), What::Expect(Claim::GivesUp(..), _)) => {
            let help = format!("a service ends: expect class of {name} exit_code");
            Some(mistake(
                place,
                &format!("`{name}` is a service"),
                "it cannot give up",
                &help,
            ))
        }
        (Some(_), _) => None,
    }
}
