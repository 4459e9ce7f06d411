// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happened in a world, a line each, for whoever reads its trace.

use supd::tree::{Command, Effect, Event};

/// One event on one line.
pub(crate) fn told(event: &Event) -> String {
    match event {
        Event::Command {
            id,
            command: Command::Apply(_),
            ..
        } => format!("{id:?}: Apply"),
        other => format!("{other:?}"),
    }
}

/// One effect on one line.
pub(crate) fn brief(effect: &Effect) -> String {
    match effect {
        Effect::Spawn { run, service } => format!("Spawn {run} {}", service.name),
        Effect::SpawnHelper { run, service, .. } => format!("SpawnHelper {run} {}", service.name),
        Effect::RunHook {
            run, remedy, step, ..
        } => {
            format!("RunHook {run} {} {step}", remedy.id)
        }
        Effect::Record(record) => {
            let name = record.name.as_deref().unwrap_or("-");
            format!("#{} {name} {:?}", record.seq.0, record.what)
        }
        Effect::Signal { .. }
        | Effect::Reply { .. }
        | Effect::Halt { .. }
        | Effect::Probe { .. }
        | Effect::Answered { .. }
        | Effect::CancelProbe { .. } => format!("{effect:?}"),
    }
}
