// SPDX-License-Identifier: MIT OR Apache-2.0
//! Laws about what is held: it burns no restart and starts only on trial or by hand (25); while it
//! is on trial nobody follows (26).

use super::court::Court;
use super::truth::Fact;
use std::sync::Arc;
use std::time::Duration;
use supd::spec::{Backoff, Name};
use supd::tree::{
    BreakerState, Budget, Class, Command, Decision, Exit, Holder, Phase, StartWhy, StopWhy, Time,
    What,
};

/// What the judges know about a shared breaker.
#[derive(Debug)]
pub(crate) struct Watched {
    state: BreakerState,
    forced_until: Option<Time>,
    /// When it let services go, since it is in this state.
    released: Vec<Time>,
}

/// What the judges know about a service's breaker.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    /// A breaker holds it, and it has not passed a trial since.
    pub(crate) held: bool,
    /// It is a breaker that others list, too.
    shared: bool,
    /// When it was let go, until it starts.
    let_go: Option<Time>,
    /// Its run is a trial.
    pub(crate) trial: bool,
    /// Its run is a test of these breakers.
    tests: Vec<Name>,
    /// Ends in a row that were certainly failures, none of them after a steady time.
    row: u32,
    /// Its last end is one more, once somebody decides about it.
    failed: bool,
}

impl Court {
    pub(super) fn held(&mut self, fact: Fact, by: &Holder) {
        self.files[fact].aside = true;
        self.files[fact].owed = false;
        match by {
            Holder::Budget(_) => self.files[fact].spent = true,
            Holder::Breakers(_) => {
                let hold = &mut self.files[fact].hold;
                (hold.held, hold.shared, hold.trial) = (true, true, false);
            }
            Holder::Own { .. } => {
                let hold = &mut self.files[fact].hold;
                (hold.held, hold.shared) = (true, false);
                (hold.trial, hold.row) = (false, 0);
            }
        }
    }

    /// What a breaker says about itself: from state to state it goes only where it may (12), and a
    /// forced one is one that somebody has forced (20).
    pub(super) fn breaker_recorded(&mut self, what: &What) {
        let What::Breaker(to) = what else { return };
        let forced_until = to.by.and(to.span).map(|span| self.now + span);
        let now = Watched {
            state: to.to,
            forced_until,
            released: Vec::new(),
        };
        let known = self.breakers.insert(Arc::clone(&to.breaker), now);
        let known = known.map(|known| known.state);
        if known.is_some_and(|known| known != to.from) {
            let text = format!("breaker {} was {known:?}, not {:?}", to.breaker, to.from);
            self.accuse(12, text);
        }
        let forced = matches!(to.to, BreakerState::ForcedOpen | BreakerState::ForcedClosed);
        if forced != to.by.is_some() || (forced && to.span.is_none()) {
            let text = format!("breaker {} is forced by nobody, or for ever", to.breaker);
            self.accuse(28, text);
        }
        if to.to == BreakerState::Closed && to.from == BreakerState::Open {
            let text = format!("breaker {} closes without a test", to.breaker);
            self.accuse(26, text);
        }
    }

    /// It is no longer held: whatever was counted is forgotten.
    pub(super) fn unheld(&mut self, fact: Fact) {
        let hold = &self.files[fact].hold;
        let let_go = (hold.held && hold.shared && !hold.trial).then_some(self.now);
        self.files[fact].hold = Holding {
            let_go,
            ..Holding::default()
        };
    }

    /// A new incarnation of their supervisor: nobody is put aside, and nothing is counted.
    pub(super) fn holds_begin(&mut self, sup: Fact) {
        let children = self.truth.rules(sup).map(|rules| rules.children.clone());
        for child in children.unwrap_or_default() {
            self.files[child].aside = false;
            self.files[child].hold = Holding::default();
        }
    }

    /// A start: may it be?
    pub(super) fn start_while_held(&mut self, fact: Fact, why: StartWhy) {
        let ordered = match why {
            StartWhy::Command | StartWhy::Trial => true,
            StartWhy::Boot
            | StartWhy::Restart
            | StartWhy::Retry
            | StartWhy::Group(_)
            | StartWhy::Released
            | StartWhy::Apply => false,
        };
        if self.files[fact].hold.held && !ordered {
            let text = format!("{} is held and starts: {why:?}", self.name(fact));
            self.accuse(25, text);
        }
        self.nobody_follows(fact, why);
        self.one_test(fact, why);
        self.released_in_turn(fact, why);
        let hold = &mut self.files[fact].hold;
        hold.trial = why == StartWhy::Trial;
        if why != StartWhy::Trial {
            hold.held = false;
        }
        if !matches!(
            why,
            StartWhy::Restart | StartWhy::Retry | StartWhy::Group(_) | StartWhy::Trial
        ) {
            hold.row = 0;
        }
    }

    /// The rest of law 26: a breaker that is half open has one test, and none if it has a probe.
    fn one_test(&mut self, fact: Fact, why: StartWhy) {
        self.files[fact].hold.tests.clear();
        let Some(service) = self.truth.service(fact).filter(|_| why == StartWhy::Trial) else {
            return;
        };
        let half_open = |name: &&Name| {
            let known = self.breakers.get(*name);
            known.is_some_and(|known| known.state == BreakerState::HalfOpen)
        };
        let tests: Vec<Name> = service.breakers.iter().filter(half_open).cloned().collect();
        let other = (0..self.files.len()).find(|at| {
            let file = &self.files[*at];
            let stays = |live: &super::court::Live| live.stopping.is_none();
            let on = file.hold.trial && file.live.as_ref().is_some_and(stays);
            *at != fact && on && file.hold.tests.iter().any(|name| tests.contains(name))
        });
        if let Some(other) = other {
            let text = format!("{} and {} are one test", self.name(fact), self.name(other));
            self.accuse(26, text);
        }
        self.files[fact].hold.tests = tests;
    }

    /// Law 28: what was forced ends in its time.
    pub(super) fn forced_in_time(&mut self) {
        let now = self.now;
        let late = |known: &Watched| known.forced_until.is_some_and(|until| until < now);
        let late = self.breakers.iter().find(|(_, known)| late(known));
        if let Some((name, _)) = late {
            let text = format!("breaker {name} is forced for ever");
            self.accuse(28, text);
        }
    }

    /// Law 27: a breaker lets no more go than is said, and not faster. Whoever was ordered to start
    /// is not let go.
    fn released_in_turn(&mut self, fact: Fact, why: StartWhy) {
        let at = self.files[fact].hold.let_go.take();
        let Some(at) = at.filter(|_| why == StartWhy::Released) else {
            return;
        };
        let service = self.truth.service(fact);
        let name = match service.map(|service| &*service.breakers) {
            Some([name]) => Arc::clone(name),
            Some(_) | None => return,
        };
        let release = self.truth.release(&name);
        let (Some(release), Some(known)) = (release, self.breakers.get_mut(&name)) else {
            return;
        };
        known.released.push(at);
        let near = |other: &&Time| at.since(**other).max(other.since(at)) < release.every;
        let count = known.released.iter().filter(near).count();
        if count > usize::try_from(release.batch).unwrap_or(usize::MAX) {
            let text = format!("breaker {name} lets {count} go within {:?}", release.every);
            self.accuse(27, text);
        }
    }

    /// Law 26: in a group whoever waits for a trial waits for its end.
    fn nobody_follows(&mut self, fact: Fact, why: StartWhy) {
        if matches!(why, StartWhy::Command | StartWhy::Apply) {
            return;
        }
        let Some((_, rules)) = self.truth.rules_above(fact) else {
            return;
        };
        let on_trial = |at: &&Fact| {
            let file = &self.files[**at];
            let stays = |live: &super::court::Live| live.stopping.is_none();
            **at != fact && file.hold.trial && file.live.as_ref().is_some_and(stays)
        };
        let tried = rules.children.iter().filter(on_trial).copied();
        let blocking = tried.filter(|_| rules.exclusive).collect::<Vec<_>>();
        let named = blocking
            .into_iter()
            .find(|at| self.scope(*at).contains(&fact));
        if let Some(at) = named {
            let text = format!(
                "{} starts while {} is on trial",
                self.name(fact),
                self.name(at)
            );
            self.accuse(26, text);
        }
    }

    /// A trial was ended by somebody else: it says nothing.
    pub(super) fn trial_stopped(&mut self, fact: Fact, why: StopWhy) {
        if why != StopWhy::StartTimeout && std::mem::take(&mut self.files[fact].hold.trial) {
            self.files[fact].aside = false;
            self.files[fact].hold.held = false;
        }
    }

    /// What is decided about an end of a service that has a breaker.
    pub(super) fn held_by(&mut self, fact: Fact, exit: (Class, Decision, Option<Budget>)) {
        let (class, decision, budget) = exit;
        let trial = self.files[fact].hold.trial;
        let restarts = matches!(decision, Decision::Restart { .. } | Decision::Escalate);
        if trial && (restarts || budget.is_some()) {
            let text = format!("a trial of {} is counted: {decision:?}", self.name(fact));
            self.accuse(25, text);
        }
        if decision == Decision::StayDown {
            self.files[fact].aside = false;
            self.files[fact].hold = Holding::default();
        }
        let Some(own) = self
            .truth
            .service(fact)
            .and_then(|service| service.hold_after)
        else {
            return;
        };
        let hold = &mut self.files[fact].hold;
        hold.row += u32::from(std::mem::take(&mut hold.failed) && restarts);
        if restarts && !Self::is_normal(class) && hold.row >= own.failures {
            let text = format!("{} is not held by its breaker", self.name(fact));
            self.accuse(25, text);
        }
    }

    /// An end by itself, before anything is decided about it: is it certainly one more in a row?
    pub(super) fn count_in_row(&mut self, fact: Fact, exit: &Exit) {
        let Some(service) = self.truth.service(fact) else {
            return;
        };
        let steady = match &*service.backoff {
            Backoff::Curve(curve) => curve.reset_after,
            Backoff::None | Backoff::List { .. } => None,
        };
        let steady = steady.unwrap_or(Duration::from_secs(10));
        let counts = !Self::is_normal(exit.class.base) && exit.uptime < steady;
        match exit.phase {
            Phase::Stopping if exit.uptime >= steady => self.files[fact].hold.row = 0,
            Phase::Stopping | Phase::Trial => {}
            Phase::Starting | Phase::Ready if counts => self.files[fact].hold.failed = true,
            Phase::Starting | Phase::Ready => self.files[fact].hold.row = 0,
        }
    }

    /// What people do about a service makes its breaker forget.
    pub(super) fn forgotten_by(&mut self, command: &Command, target: Option<Fact>) {
        match (command, target) {
            (Command::Start(_), Some(fact)) => {
                // Once it is ready, or in a group, there is nothing to start.
                let file = &self.files[fact];
                let ready = file.live.as_ref().is_some_and(|live| live.ready);
                let above = self.truth.rules_above(fact);
                let group = above.is_some_and(|(_, rules)| rules.exclusive);
                let file = &mut self.files[fact];
                file.hold.row = 0;
                if file.hold.trial && !ready && !group {
                    // What was a trial is a start by hand from here on.
                    (file.aside, file.hold) = (false, Holding::default());
                }
            }
            (Command::Pin(_), Some(fact)) if self.files[fact].hold.trial => {
                let file = &mut self.files[fact];
                (file.aside, file.hold) = (false, Holding::default());
            }
            (Command::Reset(_) | Command::Restart(_) | Command::RestartOnly(_), Some(fact)) => {
                self.files[fact].hold.row = 0;
            }
            // A new specification may have another limit, or a new program.
            (Command::Apply(_) | Command::CodeChange(..), _) => {
                for file in &mut self.files {
                    file.hold.row = 0;
                }
            }
            (_, Some(_) | None) => {}
        }
    }
}
