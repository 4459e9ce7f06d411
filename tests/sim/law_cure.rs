// SPDX-License-Identifier: MIT OR Apache-2.0
//! Laws about remedies (16): a hook runs at most once for a step of an entry for one end, within
//! its time, and no more of them than there are slots; a verdict is what its exit code means; an
//! entry that is switched off or at its limit is not used; no service starts beside its own hook.
//! What a remedy spares is counted as its entry says (6), and a stop calls it off (8).

use super::court::Court;
use super::truth::Fact;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use supd::spec::{
    Class, Counts, ExitStatus, Flight, Name, Occasion, Remedy, SpawnFailure, Trigger, Verdict,
};
use supd::tree::{Budget, Case, HookEnd, RunId, Seq, Time, What};

/// After a SIGKILL nobody is waited for longer than this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Failures in a row that switch an entry off, and for how long (SEMANTICS §6).
const FAILURES: usize = 3;
const OFF: Duration = Duration::from_secs(600);

/// A hook that lives.
#[derive(Debug)]
struct Hook {
    since: Time,
    limit: Duration,
    killed: Option<Time>,
    /// Whether its start was reported: nobody can be killed before that.
    begun: bool,
    /// Whether its service waits for it.
    awaited: bool,
}

/// What the stream says about remedies.
#[derive(Debug, Default)]
pub(crate) struct Cures {
    /// The configuration's entries, by name.
    pub(crate) entries: BTreeMap<Name, Arc<Remedy>>,
    pub(crate) slots: usize,
    living: BTreeMap<RunId, Hook>,
    /// What was run already: node, end, entry, step.
    done: BTreeSet<(u32, Option<Seq>, Name, usize)>,
    /// How the hooks that have ended did.
    ends: BTreeMap<RunId, HookEnd>,
    /// Restarts that were decided and not counted, by service.
    uncounted: BTreeSet<Fact>,
    /// Failures in a row of each entry, and until when it is off.
    failed: BTreeMap<Name, usize>,
    off: BTreeMap<Name, (Time, Time)>,
    /// When an entry's turns were decided, for its limit.
    uses: BTreeMap<Name, Vec<Time>>,
    /// When the restart of a service was put off for a remedy.
    decided: BTreeMap<Fact, Time>,
    /// Services whose budget may be given back.
    refunds: BTreeSet<Fact>,
    /// Supervisors that a remedy may have told to give up.
    told: BTreeSet<Fact>,
}

impl Court {
    pub(super) fn hook_begins(&mut self, run: RunId, entry: &Remedy, (step, case): (usize, &Case)) {
        let now = self.now;
        let key = (run.node.0, case.of, Arc::clone(&entry.id), step);
        if case.of.is_some() && !self.cures.done.insert(key) {
            let text = format!("{run}: {} runs twice for {:?}", entry.id, case.of);
            self.accuse(16, text);
        }
        let gone = |hook: &Hook| hook.killed.is_some_and(|at| now.since(at) >= PATIENCE);
        let living = self
            .cures
            .living
            .values()
            .filter(|hook| !gone(hook))
            .count();
        if living >= self.cures.slots {
            let text = format!("{run} is one hook too many, {living} live");
            self.accuse(16, text);
        }
        let awaited = !matches!(case.trigger, Some(Trigger::Held | Trigger::Recovered));
        let hook = Hook {
            since: now,
            limit: entry.timeout,
            killed: None,
            begun: false,
            awaited,
        };
        self.cures.living.insert(run, hook);
    }

    /// The start of a hook is reported.
    pub(super) fn hook_begun(&mut self, run: RunId) {
        if let Some(hook) = self.cures.living.get_mut(&run) {
            hook.begun = true;
        }
    }

    /// A hook has ended, or never was; false: it was none.
    pub(super) fn hook_ends(&mut self, run: RunId, end: HookEnd) -> bool {
        if self.cures.living.remove(&run).is_none() {
            return false;
        }
        self.cures.ends.insert(run, end);
        true
    }

    /// It could not be executed: a hook, or anything else.
    pub(super) fn never_was(&mut self, run: RunId, failure: SpawnFailure) {
        if !self.hook_ends(run, HookEnd::NotStarted(failure)) {
            self.gone(run, None);
        }
    }

    pub(super) fn hook_killed(&mut self, run: RunId) -> bool {
        let now = self.now;
        let Some(hook) = self.cures.living.get_mut(&run) else {
            return false;
        };
        hook.killed.get_or_insert(now);
        true
    }

    pub(super) fn hooks_in_time(&mut self) {
        let now = self.now;
        let late =
            |hook: &Hook| hook.begun && hook.killed.is_none() && now.since(hook.since) > hook.limit;
        let found = self.cures.living.iter().find(|(_, hook)| late(hook));
        if let Some((run, _)) = found {
            let text = format!("nobody ended the hook {run} in its time");
            self.accuse(16, text);
        }
    }

    /// A service is started: none of its own hooks may be at work.
    pub(super) fn starts_beside_a_hook(&mut self, run: RunId) {
        let now = self.now;
        let given_up = |hook: &Hook| hook.killed.is_some_and(|at| now.since(at) >= PATIENCE);
        let beside = self
            .cures
            .living
            .iter()
            .find(|(other, hook)| other.node == run.node && hook.awaited && !given_up(hook));
        if let Some((hook, _)) = beside {
            let text = format!("{run} is started while its hook {hook} lives");
            self.accuse(16, text);
        }
    }

    /// A restart is put off for a remedy. True: its token is a matter of this court.
    pub(super) fn put_off(&mut self, fact: Fact, class: Class, budget: Option<Budget>) -> bool {
        self.cures.decided.insert(fact, self.now);
        match budget {
            None => {
                // A host without resources is not the service's fault.
                if class != Class::SpawnFailed {
                    self.cures.uncounted.insert(fact);
                }
                true
            }
            // One too many: only a remedy for that can save it.
            Some(budget) if budget.used > budget.max => {
                self.cures.refunds.insert(fact);
                self.count_tokens();
                let now = self.now;
                if let Some((parent, _)) = self.truth.rules_above(fact) {
                    let window = &mut self.files[parent].reign.window;
                    window.push(now);
                    // More than one too many are not remembered, whatever the limit is later.
                    let kept = usize::try_from(budget.max).unwrap_or(usize::MAX) + 1;
                    window.drain(..window.len().saturating_sub(kept));
                }
                true
            }
            Some(_) => false,
        }
    }

    pub(super) fn remedy_recorded(&mut self, fact: Fact, what: &What) {
        match what {
            What::RemedyStarted {
                remedy, trigger, ..
            } => self.remedy_started(fact, remedy, *trigger),
            What::RemedyFinished {
                remedy,
                run,
                verdict,
                how,
                ..
            } => {
                self.is_the_verdict(*run, (*verdict, *how));
                self.remedy_finished(fact, remedy, (*run, *verdict));
            }
            _ => {}
        }
    }

    fn remedy_started(&mut self, fact: Fact, remedy: &Name, trigger: Option<Trigger>) {
        let now = self.now;
        let Some(entry) = self.cures.entries.get(remedy).map(Arc::clone) else {
            return self.accuse(16, format!("{remedy} is no entry"));
        };
        if self.cures.uncounted.remove(&fact) && entry.counts == Counts::Yes {
            let text = format!("{} restarts uncounted for {remedy}", self.name(fact));
            self.accuse(6, text);
        }
        if self.files[fact].kept_down && trigger.is_none() {
            let text = format!("{} is treated though stopped by hand", self.name(fact));
            self.accuse(8, text);
        }
        let at = self.cures.decided.remove(&fact).unwrap_or(now);
        let off = self.cures.off.get(remedy);
        if off.is_some_and(|(from, until)| *from < at && at < *until) {
            self.accuse(16, format!("{remedy} is used though switched off"));
        }
        if let Some(rate) = entry.limit.filter(|_| entry.flight == Flight::Own) {
            let uses = self.cures.uses.entry(Arc::clone(remedy)).or_default();
            uses.push(at);
            uses.sort();
            let most = usize::try_from(rate.count).unwrap_or(usize::MAX);
            let crowded = uses.windows(most + 1).any(|window| {
                let (first, last) = (window.first(), window.last());
                first
                    .zip(last)
                    .is_some_and(|(a, b)| b.since(*a) <= rate.period)
            });
            if crowded {
                self.accuse(16, format!("{remedy} is used beyond its limit"));
            }
        }
    }

    /// The table of SEMANTICS §6, written a second time.
    fn is_the_verdict(&mut self, run: Option<RunId>, (verdict, how): (Verdict, Option<HookEnd>)) {
        let Some(end) = run.and_then(|run| self.cures.ends.get(&run)).copied() else {
            return;
        };
        let meant = match end {
            _ if verdict == Verdict::Cancelled || how == Some(HookEnd::TimedOut) => return,
            HookEnd::Status(ExitStatus::Code(0)) => Verdict::Fixed,
            HookEnd::Status(ExitStatus::Code(75)) => Verdict::Retry,
            HookEnd::Status(ExitStatus::Code(69)) => Verdict::Blame,
            HookEnd::Status(ExitStatus::Code(78 | 125)) => Verdict::Park,
            HookEnd::Status(ExitStatus::Code(70)) => Verdict::Escalate,
            HookEnd::Status(ExitStatus::Code(64)) => Verdict::Declined,
            HookEnd::Status(_) | HookEnd::NotStarted(_) | HookEnd::TimedOut => Verdict::Failed,
        };
        if meant != verdict {
            self.accuse(16, format!("{end:?} is {verdict:?}, not {meant:?}"));
        }
    }

    fn remedy_finished(
        &mut self,
        fact: Fact,
        remedy: &Name,
        (run, verdict): (Option<RunId>, Verdict),
    ) {
        let now = self.now;
        let failed = self.cures.failed.entry(Arc::clone(remedy)).or_default();
        match verdict {
            // Who shares a run says what another one has said.
            Verdict::Failed if run.is_none() => {}
            Verdict::Failed => *failed += 1,
            Verdict::Cancelled => {}
            _ => *failed = 0,
        }
        if *failed >= FAILURES {
            *failed = 0;
            self.cures.off.insert(Arc::clone(remedy), (now, now + OFF));
        }
        let last = verdict != Verdict::Declined;
        if last && self.cures.refunds.remove(&fact) {
            self.refund_ends(fact, verdict);
        }
        // What is said about evidence decides nothing.
        let entry = self.cures.entries.get(remedy);
        let evidence = entry.is_some_and(|e| e.on == Occasion::Trigger(Trigger::Unhealthy));
        if verdict == Verdict::Escalate
            && !evidence
            && let Some((parent, _)) = self.truth.rules_above(fact)
        {
            self.cures.told.insert(parent);
        }
    }

    fn refund_ends(&mut self, fact: Fact, verdict: Verdict) {
        let now = self.now;
        let Some((parent, _)) = self.truth.rules_above(fact) else {
            return;
        };
        let reign = &mut self.files[parent].reign;
        if verdict == Verdict::Fixed {
            reign.window.clear();
            reign.window.push(now);
        } else if !matches!(
            verdict,
            Verdict::Cancelled | Verdict::Park | Verdict::Escalate
        ) {
            reign.to_exhaust = true;
        }
    }

    /// The last entry for a used-up budget has declined: as if there were none.
    pub(super) fn nobody_refunds(&mut self, sup: Fact) {
        let below = self.below(sup);
        for fact in below {
            if self.cures.refunds.remove(&fact) {
                self.files[sup].reign.to_exhaust = true;
            }
        }
    }

    pub(super) fn parked(&mut self, fact: Fact, budget: Option<Budget>) {
        self.files[fact].aside = true;
        self.files[fact].owed = false;
        self.files[fact].spent = budget.is_some();
        if let Some((parent, _)) = self.truth.rules_above(fact) {
            self.files[parent].reign.to_exhaust = false;
        }
    }

    /// Whether a remedy of somebody below has said that it gives up.
    pub(super) fn was_told_to(&mut self, sup: Fact) -> bool {
        self.cures.told.remove(&sup)
    }

    /// What was owed to a remedy is nobody's business any more.
    pub(super) fn no_longer_put_off(&mut self, fact: Fact) {
        self.cures.uncounted.remove(&fact);
        self.cures.decided.remove(&fact);
    }

    /// Another configuration: what is in none any more begins anew when it comes back.
    pub(crate) fn learn_remedies(&mut self, tree: &supd::spec::Tree) {
        self.cures.slots = usize::try_from(tree.settings.hook_parallelism).unwrap_or(usize::MAX);
        let known: BTreeSet<Name> = super::cure::all(tree)
            .into_iter()
            .map(|entry| {
                let id = Arc::clone(&entry.id);
                self.cures.entries.insert(Arc::clone(&id), entry);
                id
            })
            .collect();
        self.cures.off.retain(|id, _| known.contains(id));
        self.cures.failed.retain(|id, _| known.contains(id));
        self.cures.uses.retain(|id, _| known.contains(id));
    }

    pub(super) fn hooks(&self) -> usize {
        self.cures.living.len()
    }

    /// A hook that lives and that nobody has killed.
    pub(super) fn hook_left(&self) -> Option<RunId> {
        let mut living = self.cures.living.iter();
        let found = living.find(|(_, hook)| hook.killed.is_none());
        found.map(|(run, _)| *run)
    }

    /// An acknowledged stop: nothing of its remedy is left.
    pub(super) fn stop_called_off(&mut self, fact: Fact) {
        let ids = self.ids.iter().filter(|(_, at)| **at == fact);
        let nodes: Vec<_> = ids.map(|(id, _)| *id).collect();
        let left = self.cures.living.iter().find(|(run, hook)| {
            let own = nodes.contains(&run.node) && hook.awaited;
            own && hook.begun && hook.killed.is_none()
        });
        if let Some((run, _)) = left {
            let text = format!("{} is stopped and its hook {run} goes on", self.name(fact));
            self.accuse(8, text);
        }
    }
}
