// SPDX-License-Identifier: MIT OR Apache-2.0
//! Planted bugs about who is unhealthy: what such an engine is told, and what it wants.

use super::mutant::Mutant;
use std::sync::Arc;
use supd::spec::{Node, ProbeFault};
use supd::tree::{
    Condemned, Effect, Event, ProbeAnswer, Question, RunId, StopWhy, Suspension, What,
};

/// An event as it is misunderstood.
pub(super) fn told(mutant: Mutant, event: Event) -> Event {
    let Event::ProbeDone { run, answer } = event else {
        return event;
    };
    let answer = match (mutant, answer) {
        (Mutant::CountsTheUnknown, ProbeAnswer::Unknown(_)) => ProbeAnswer::of(ProbeFault::REFUSED),
        (Mutant::IsBlindToFailures, ProbeAnswer::Failure(fault)) => ProbeAnswer::Unknown(fault),
        (_, answer) => answer,
    };
    Event::ProbeDone { run, answer }
}

/// An effect as it should not be, and one more before it.
pub(super) fn altered(mutant: Mutant, effect: &mut Effect, hidden: &mut u64) -> Option<Effect> {
    match (mutant, &mut *effect) {
        (
            Mutant::AsksTwice,
            Effect::Probe {
                run,
                question: Question::Liveness,
                ..
            },
        ) => {
            *hidden += 1;
            let (node, life) = (run.node, *hidden);
            let mut twin = effect.clone();
            if let Effect::Probe { run, .. } = &mut twin {
                *run = RunId { node, life };
            }
            Some(twin)
        }
        (Mutant::KillsAllAtOnce, Effect::Record(record)) => {
            if let What::LivenessSuspended {
                run,
                why: Suspension::Quorum { .. },
            } = record.what
            {
                let (run, why) = (Some(run), StopWhy::Unhealthy(Condemned::Liveness));
                record.what = What::Stopping { run, why };
            }
            None
        }
        _ => None,
    }
}

/// One failure less condemns it.
pub(super) fn less_patient(child: &mut Node) {
    let Node::Service(service) = child else {
        return;
    };
    if let Some(liveness) = service.health.liveness.clone() {
        let mut other = (**service).clone();
        let mut liveness = (*liveness).clone();
        liveness.failures = liveness.failures.saturating_sub(1).max(1);
        other.health.liveness = Some(Arc::new(liveness));
        *service = Arc::new(other);
    }
}
