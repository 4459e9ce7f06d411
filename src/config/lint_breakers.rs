// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lints about breakers: one that can never open, because something else comes first.

use super::diagnostic::{Report, Sink};
use super::scalar::spell;
use super::value::At;
use crate::spec::{Service, Supervisor, Then};

/// L10: a breaker that opens later than the budget is used up. Each failure before the one that
/// opens it takes one restart.
pub(super) fn out_of_reach(sink: &Sink, built: &Supervisor, (service, at): (&Service, At)) {
    let Some(own) = service.hold_after else {
        return;
    };
    let main = (built.max_restarts, built.period, built.on_exhausted);
    let budgets = built.budgets.iter().map(|b| (b.limit, b.period, b.then));
    let all = std::iter::once(main).chain(budgets);
    let escalates = all.filter(|(_, _, then)| *then == Then::Escalate);
    let Some((limit, period, _)) = escalates.min_by_key(|(limit, ..)| *limit) else {
        return;
    };
    let before = own.failures - 1;
    if before <= limit {
        return;
    }
    let message = format!(
        "`{}` gives up before `hold_after` of `{}` can hold it",
        built.name, service.name
    );
    let window = spell(period);
    let text = format!("{before} restarts come before it holds, {limit} in {window} are allowed");
    let most = limit.saturating_add(1);
    let help = format!("set `failures` to {most} or less, or allow more restarts");
    sink.push(Report::new("L10", message).at(at, text).help(help));
}
