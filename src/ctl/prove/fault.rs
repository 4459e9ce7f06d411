// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a fault befalls a service of the model.

use super::act::Fault;
use super::model::{Model, Told};
use crate::tree::State;

/// Lets a fault befall a service. An end that finds no process that is ready waits for one: what
/// runs into a back-off happens after it.
pub(super) fn befall(model: &mut Model, name: &str, fault: Fault) {
    let now = model.now();
    let view = model.tree().node(name).and_then(|id| model.tree().view(id));
    let state = view.map(|view| view.state);
    let run = model.run_of(name);
    let habit = model.habits.entry(name.to_owned()).or_default();
    match fault {
        Fault::Ends(status) => {
            let serves = matches!(state, Some(State::Ready | State::Unready));
            match run.filter(|_| serves && habit.ends.is_empty()) {
                Some(run) => model.end_now(run, status),
                None => habit.ends.push_back(status),
            }
        }
        Fault::EndsAtStart(status) => habit.stillborn.push_back(status),
        Fault::Hangs => {
            let process = run.and_then(|run| model.processes.get_mut(&run));
            match process {
                Some(process) => process.frozen = true,
                None => model.tell(Told::Remark(format!("{name} has no process to hang"))),
            }
        }
        Fault::NeverReady => habit.mute += 1,
        Fault::CannotStart(errno) => habit.unstartable = (habit.unstartable.0 + 1, errno),
        Fault::ProbesFail(span) => {
            habit.unwell_until = now + span;
            model.over_at(now + span, format!("who asks {name} gets an answer again"));
        }
        Fault::IgnoresSignals => habit.deaf = true,
        Fault::TakesToStart(span) => habit.start = Some(span),
        Fault::TakesToStop(span) => habit.stop = Some(span),
    }
}
