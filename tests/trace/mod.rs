// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads a whole stream of events and says what in it contradicts what is promised about exits and
//! incidents. It shares no code with the engine: it knows the protocol alone.

use std::collections::BTreeMap;
use supd::wire::EventLine;

/// What is wrong with a stream that begins with the boot; `[]`: nothing.
pub(crate) fn complaints(events: &[EventLine]) -> Vec<String> {
    let mut wrong = Vec::new();
    numbers(events, &mut wrong);
    exits(events, &mut wrong);
    restarts(events, &mut wrong);
    incidents(events, &mut wrong);
    wrong
}

/// Numbers are dense, causes lie in the past.
fn numbers(events: &[EventLine], wrong: &mut Vec<String>) {
    for pair in events.windows(2) {
        if pair[1].seq != pair[0].seq + 1 {
            wrong.push(format!("#{} follows #{}", pair[1].seq, pair[0].seq));
        }
    }
    for event in events {
        if event
            .cause
            .is_some_and(|cause| cause >= event.seq || cause == 0)
        {
            wrong.push(format!("#{} has a cause that lies ahead", event.seq));
        }
    }
}

/// A run that was started and is followed by another one, or by nothing that lives, has exactly
/// one exit, and every exit has a class, a base class, a family and a decision.
fn exits(events: &[EventLine], wrong: &mut Vec<String>) {
    let mut ended: BTreeMap<(&str, u64), u32> = BTreeMap::new();
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for event in events {
        let (Some(node), Some(run)) = (event.node.as_deref(), event.run) else {
            continue;
        };
        match &*event.kind {
            "service.starting" => {
                if let Some(before) = last.insert(node, run)
                    && ended.get(&(node, before)) != Some(&1)
                {
                    wrong.push(format!(
                        "#{}: {node} starts, and run {before} has no one end",
                        event.seq
                    ));
                }
            }
            "service.exited" => {
                *ended.entry((node, run)).or_default() += 1;
                let said = |word: &Option<_>| {
                    word.as_ref()
                        .is_some_and(|w: &supd::wire::Word| !w.is_empty())
                };
                let whole = said(&event.class) && said(&event.base) && said(&event.family);
                if !whole || event.decision.is_none() {
                    wrong.push(format!(
                        "#{}: an end without its class or decision",
                        event.seq
                    ));
                }
            }
            _ => {}
        }
    }
    for ((node, run), count) in ended {
        if count != 1 {
            wrong.push(format!("{node}: run {run} has ended {count} times"));
        }
    }
}

/// An automatic restart follows an end, in the incident of that end; an end that is clean or was
/// asked for opens none (SEMANTICS §8).
fn restarts(events: &[EventLine], wrong: &mut Vec<String>) {
    let mut ends: BTreeMap<&str, &EventLine> = BTreeMap::new();
    for event in events {
        let Some(node) = event.node.as_deref() else {
            continue;
        };
        let again = matches!(event.why.as_deref(), Some("restart" | "retry"));
        if event.kind == "service.exited" {
            ends.insert(node, event);
        }
        if event.kind != "service.starting" || !again {
            continue;
        }
        let seq = event.seq;
        let Some(end) = ends.get(node) else {
            wrong.push(format!("#{seq}: a restart without an end"));
            continue;
        };
        let failed = !matches!(end.family.as_deref(), Some("clean" | "requested"));
        match (&end.incident, failed) {
            (None, true) => wrong.push(format!(
                "#{seq}: restarted, and #{} is no incident",
                end.seq
            )),
            (Some(of), true) if Some(of) != event.incident.as_ref() => {
                wrong.push(format!("#{seq}: not in the incident of #{}", end.seq));
            }
            (_, _) => {}
        }
    }
}

/// An incident ends in ready, parked, held or escalated; or nothing was to follow, somebody has
/// given an order, or what happens to that service belongs to a wider incident from there on.
fn incidents(events: &[EventLine], wrong: &mut Vec<String>) {
    let mut open: BTreeMap<&str, &EventLine> = BTreeMap::new();
    for event in events {
        // Who failed last in an incident, and goes on in another, has taken it along.
        open.retain(|incident, last| {
            let moved = last.node == event.node && event.incident.as_deref() != Some(*incident);
            !moved
        });
        let Some(incident) = event.incident.as_deref() else {
            continue;
        };
        let action = event.decision.as_ref().map(|d| &*d.action);
        let stays = matches!(action, Some("stay_down" | "done" | "left_alone"));
        let failed = !matches!(event.family.as_deref(), Some("requested"));
        match &*event.kind {
            "service.exited" if failed && !stays => {
                open.insert(incident, event);
            }
            "service.exited" | "service.decided" if stays => {
                open.remove(incident);
            }
            "service.ready"
            | "supervisor.ready"
            | "service.parked"
            | "service.held"
            | "supervisor.escalated"
            | "service.stopped"
            | "supervisor.stopped"
            | "command" => {
                open.remove(incident);
            }
            _ => {}
        }
    }
    for (incident, last) in open {
        let seq = last.seq;
        wrong.push(format!("{incident} has no end; its last failure is #{seq}"));
    }
}
