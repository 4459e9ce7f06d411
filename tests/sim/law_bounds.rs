// SPDX-License-Identifier: MIT OR Apache-2.0
//! Laws about what must not grow: helpers end in time and are few (16), and so is everything the
//! engine holds on to (22).

use super::court::Court;
use std::time::Duration;
use supd::spec::Signal;
use supd::tree::{Burden, RunId, Time};

/// The longest time anybody allows a helper: `reload` has 30 s.
const HELPER_LIMIT: Duration = Duration::from_secs(30);
/// One service has at most these at a time: a probe for each question, or its command to stop, and
/// its command to reload.
const HELPERS_MAX: usize = 3;

/// A process that works for a service.
#[derive(Debug)]
pub(crate) struct Helper {
    since: Time,
    /// It was told to end and cannot refuse.
    pub(crate) killed: bool,
}

impl Court {
    pub(super) fn helper_begins(&mut self, run: RunId) {
        let same = |(other, helper): &(&RunId, &Helper)| other.node == run.node && !helper.killed;
        let others = self.helpers.iter().filter(same).count();
        if others >= HELPERS_MAX {
            let text = format!("{run} is one helper too many, {others} are at work");
            self.accuse(16, text);
        }
        let since = self.now;
        let killed = false;
        self.helpers.insert(run, Helper { since, killed });
    }

    /// Whether this was one; what it did is known from here on.
    pub(super) fn helper_signalled(&mut self, run: RunId, signal: Signal) -> bool {
        let Some(helper) = self.helpers.get_mut(&run) else {
            return false;
        };
        helper.killed |= signal == Signal::KILL;
        true
    }

    pub(super) fn helpers_in_time(&mut self) {
        let late = self
            .helpers
            .iter()
            .find(|(_, helper)| !helper.killed && self.now.since(helper.since) > HELPER_LIMIT);
        if let Some((run, _)) = late {
            let text = format!("nobody ended the helper {run} in its time");
            self.accuse(16, text);
        }
    }

    /// Law 22. What is allowed follows from the size of the tree and from who waits for an answer.
    pub(crate) fn is_bounded(&mut self, burden: Burden) {
        let Burden { nodes, .. } = burden;
        let killed = self.helpers.values().filter(|helper| helper.killed).count();
        let limits = [
            ("deadlines", burden.timers, 5 * nodes),
            ("messages", burden.messages, 3 * nodes + self.unanswered),
            ("queued starts", burden.queued, 2 * nodes),
            (
                "helpers",
                burden.helpers,
                HELPERS_MAX * nodes + killed + self.hooks(),
            ),
            ("waiters", burden.waiters, self.unanswered),
            ("taken names", burden.taken, 2 * nodes),
            ("restarts", burden.restarts, 64 * nodes),
        ];
        for (what, is, most) in limits {
            if is > most {
                return self.accuse(22, format!("{is} {what}, at most {most} are needed"));
            }
        }
    }
}
