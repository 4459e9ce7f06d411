// SPDX-License-Identifier: MIT OR Apache-2.0
//! Readers of streams: who follows events or log lines.
//!
//! A line is offered to everybody who wants it. What becomes of a reader that has no room for it
//! is decided by its [`outbox`](super::outbox); one that is gone is forgotten at the next line. How
//! many there may be the control socket decides.

use super::outbox::{Inlet, Offered, Unit};
use std::sync::Arc;

/// All readers of one kind of stream; `F` says what one wants to read.
#[derive(Debug)]
pub(crate) struct Readers<F> {
    all: Vec<(F, Inlet)>,
    missed: u64,
}

impl<F> Default for Readers<F> {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            missed: 0,
        }
    }
}

impl<F> Readers<F> {
    /// Whether nobody reads; one that has just gone may still count.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether somebody wants this.
    pub(crate) fn any(&self, wanted: impl Fn(&F) -> bool) -> bool {
        self.all.iter().any(|(wants, _)| wanted(wants))
    }

    /// Lets one more read.
    pub(crate) fn add(&mut self, wants: F, lines: Inlet) {
        self.all.retain(|(_, lines)| lines.has_reader());
        self.all.push((wants, lines));
    }

    /// Offers line `number` to everybody who wants it.
    pub(crate) fn offer(
        &mut self,
        number: u64,
        unit: Unit,
        wanted: impl Fn(&F) -> bool,
        line: &Arc<str>,
    ) {
        let missed = &mut self.missed;
        self.all.retain(|(wants, lines)| {
            if !wanted(wants) {
                return true;
            }
            let offered = lines.offer(number, unit, line);
            *missed += u64::from(offered == Offered::Missed);
            offered != Offered::Gone
        });
    }

    /// Lines that readers had no room for, since the daemon began.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }

    /// Ends every stream.
    pub(crate) fn clear(&mut self) {
        self.all.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::outbox::{outbox, tests::read};
    use super::*;

    #[test]
    fn a_reader_gets_only_what_it_wants_and_one_that_is_gone_nothing() {
        let mut readers = Readers::default();
        let mut kept = Vec::new();
        for n in 0..4 {
            let (to, from) = outbox();
            readers.add(n, to);
            kept.push(from);
        }
        readers.offer(1, Unit::Count, |n| *n == 3, &"line".into());
        let got: Vec<usize> = kept.iter().map(|r| read(r).len()).collect();
        assert_eq!(got, [0, 0, 0, 1]);
        kept.clear();
        let (to, from) = outbox();
        readers.add(9, to);
        assert_eq!(
            readers.all.len(),
            1,
            "who is gone is forgotten by who comes"
        );
        drop(from);
        readers.offer(2, Unit::Count, |_| true, &"line".into());
        assert!(readers.is_empty(), "and by the next line");
    }
}
