// SPDX-License-Identifier: MIT OR Apache-2.0
//! Laws about processes: never two of one service (1), each reaped once (2), signals to living
//! processes only (3), the status tells the truth (23), nothing is left at the end (24).

use super::court::{Court, Live};
use super::truth::Fact;
use supd::spec::{ExitFacts, Signal};
use supd::tree::{Halt, RunId, StartWhy};

impl Court {
    pub(super) fn spawn(&mut self, run: RunId) {
        let Some(fact) = self.ids.get(&run.node).copied() else {
            return self.accuse(12, format!("{run} is started without a record"));
        };
        if let Some(live) = &self.files[fact].live {
            let text = format!("{run} is started while {} lives", live.run);
            return self.accuse(1, text);
        }
        let why = match self.files[fact].announced.take() {
            Some((announced, why)) if announced == run => why,
            other => {
                return self.accuse(12, format!("{run} is started, announced was {other:?}"));
            }
        };
        self.starts_beside_a_hook(run);
        self.may_start(fact, run);
        self.may_start_below(fact);
        self.in_start_order(fact, why);
        self.files[fact].live = Some(Live {
            run,
            spawned: false,
            ready: false,
            serves: None,
            stopping: None,
            unkillable: false,
            first: why == StartWhy::Boot,
            sent: Vec::new(),
        });
    }

    pub(super) fn spawned(&mut self, run: RunId) {
        self.hook_begun(run);
        if let Some(live) = self.live_of(run) {
            live.spawned = true;
        }
    }

    /// The world tells the engine that a process is gone, or never was.
    pub(super) fn gone(&mut self, run: RunId, facts: Option<ExitFacts>) {
        if self.helpers.remove(&run).is_some() {
            return;
        }
        let Some(live) = self.live_of(run) else {
            if facts.is_some() {
                self.accuse(2, format!("{run} is reaped, but it does not live"));
            }
            return;
        };
        let live = live.clone();
        let fact = self.ids[&run.node];
        self.files[fact].live = None;
        if facts.is_some() != live.spawned {
            self.accuse(
                2,
                format!("{run} is reaped without a process, or the reverse"),
            );
        }
        self.told = Some((live, facts));
    }

    pub(super) fn live_of(&mut self, run: RunId) -> Option<&mut Live> {
        let fact = *self.ids.get(&run.node)?;
        self.files[fact]
            .live
            .as_mut()
            .filter(|live| live.run == run)
    }

    pub(super) fn signal(&mut self, run: RunId, signal: Signal) {
        if let Some(at) = self.signals.iter().position(|recorded| *recorded == run)
            && signal != Signal::CONT
        {
            self.signals.remove(at);
        }
        // Effects are performed in order: what was to be executed is there for a later signal,
        // though its start is reported afterwards.
        let helper = self.helper_signalled(run, signal) || self.hook_killed(run);
        if let Some(live) = self.live_of(run).filter(|live| live.stopping.is_none()) {
            live.sent.push(signal);
        }
        if !helper && self.live_of(run).is_none() {
            self.accuse(3, format!("{signal} goes to {run}, which has no process"));
        }
    }

    pub(super) fn halt(&mut self, halt: &Halt) {
        self.halted = true;
        if matches!(halt, Halt::TimedOut { .. }) {
            return;
        }
        let left = self.files.iter().find_map(|file| file.live.as_ref());
        if let Some(live) = left.filter(|live| !live.unkillable) {
            let text = format!("{halt:?} while {} lives", live.run);
            self.accuse(24, text);
        }
        // One that was killed is reaped by whoever ends the daemon.
        let helper = self.helpers.iter().find(|(_, helper)| !helper.killed);
        if let Some((run, _)) = helper {
            self.accuse(24, format!("{halt:?} while the helper {run} lives"));
        }
        if let Some(run) = self.hook_left() {
            self.accuse(24, format!("{halt:?} while the hook {run} lives"));
        }
        if self.unanswered > 0 {
            let text = format!("halted, never answered: {}", self.open_command());
            self.accuse(18, text);
        }
    }

    /// The status calls this run up: the world must have a process for it.
    pub(crate) fn called_up(&mut self, fact: Fact, run: Option<RunId>) {
        let live = self.files[fact].live.as_ref();
        let true_run = live.filter(|live| live.spawned).map(|live| live.run);
        if run.is_none() || run != true_run {
            let text = format!("{} is called up with {run:?}", self.name(fact));
            self.accuse(23, text);
        }
    }
}
