// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the engine knows about a node, and the states it can be in.
//!
//! A node is either at [`Rest`] (no process, and a reason that says what happens next) or alive.
//! A decision that is pending, because something has to pass first, is a variant of `Rest`: a
//! delay today, a probe, a hook, a hold tomorrow. So every other part of the engine needs to know
//! one question only: is it at rest?
//!
//! ```text
//! service     Rest -> Starting -> Up -> Ended -> Rest      Ended: its supervisor has not looked
//!                        |         |                               yet (OTP: an EXIT in the
//!                        +-> Stopping -> Rest | Unkillable         mailbox)
//! supervisor  Rest -> Starting -> Up -> Stopping -> Rest | Ended
//! ```
//!
//! Who wins when two deciders disagree: a shutdown of the tree, then the operator's stop, then the
//! supervisor's own end, then a strategy, then a retry or a back-off.

use super::aside::By;
use super::circuit::Circuit;
use super::classify::{Classification, Sent};
use super::condemn::Culls;
use super::event::{Actor, NodeId, Time};
use super::intensity::Window;
use super::liveness::Vitals;
use super::qualifier::Qualifiers;
use super::record::{Budget, Culprit, Seq, StartWhy, StopWhy, Unready};
use super::refine::End;
use super::supervisor::Message;
use super::task::Task;
use crate::spec::{
    self, Classes, ExitFacts, Family, Name, Phase, ProbeFault, SpawnFailure, Testimony, limits,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A node without a process, and what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Not started in this incarnation of its supervisor; the start reaches it or it is disabled.
    Fresh,
    /// Stopped by hand; nothing but a start by hand brings it back (under `otp`: or its group).
    Stopped,
    /// Down with its supervisor.
    Off,
    /// Ended by itself and is not restarted.
    Done,
    /// A start by hand failed; nothing is tried again (`otp`).
    Failed,
    /// Not restarted until what keeps it down lets it go.
    Aside(By),
    /// A remedy is at work (SEMANTICS §6); what it says decides when it is started.
    Remediating { cause: Option<Seq> },
    /// Its group starts again and it is the turn of another one, or that one is put aside.
    Waiting { sibling: NodeId },
    /// Started again when this time has come.
    Backoff { until: Time, cause: Option<Seq> },
    /// Started again when its supervisor comes to the end of its queue (OTP's `restarting`).
    Retrying { cause: Option<Seq> },
}

/// One process of a service, from the decision to start it to its reaping.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    /// Its number among all runs.
    pub(super) life: u64,
    /// When it was decided.
    pub(super) since: Time,
    /// When it became ready.
    pub(super) ready_at: Option<Time>,
    /// Whether the world has executed it.
    pub(super) spawned: Spawned,
    /// The probe that is under way.
    pub(super) probe: Option<u64>,
    /// Why the last probe did not succeed.
    pub(super) fault: Option<ProbeFault>,
    /// Why it does not serve although it is up.
    pub(super) unready: Option<Unready>,
    /// Whether it works.
    pub(super) vitals: Vitals,
    /// The signals it was sent, other than to stop it.
    pub(super) sent: Sent,
    /// What it has said about its end; nothing is kept for who says nothing.
    pub(super) testimony: Option<Box<Testimony>>,
}

/// How far the execution of a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spawned {
    /// It waits for its turn among all starts (`start_parallelism`).
    Queued,
    /// The effect is out, the answer is not in.
    Asked,
    /// There is a process that has not come to its program yet.
    Forked,
    /// The program runs.
    Yes,
}

impl Spawned {
    /// Whether there is a process that a signal can reach.
    pub(super) fn has_process(self) -> bool {
        match self {
            Self::Forked | Self::Yes => true,
            Self::Queued | Self::Asked => false,
        }
    }
}

/// How far the stop of a run has come.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stopping {
    pub(super) why: StopWhy,
    pub(super) rung: Rung,
}

/// A rung of the stop ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rung {
    /// The stop command runs, under this life.
    Command(u64),
    /// This step's signal was sent.
    Step(usize),
    /// This step's signal of the ladder for the unhealthy was sent.
    Condemned(usize),
    /// It is unhealthy, and evidence of that is collected before it is killed.
    Evidence,
    /// SIGKILL was sent.
    Kill,
}

/// The end of a service or supervisor that its own supervisor has not judged yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) class: Classification,
    pub(super) culprit: Option<Culprit>,
    pub(super) cause: Seq,
}

/// The life of a service.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Life {
    Rest(Rest),
    Starting(Run),
    Up(Run),
    Stopping(Run, Stopping),
    Ended(Ended),
    /// SIGKILL, sent for this reason, had no effect; it is started again after its end if `again`.
    Unkillable(Run, StopWhy),
}

/// The life of a supervisor.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reign {
    Rest(Rest),
    Starting { since: Time },
    Up,
    Stopping(Ending),
    Ended(Ended),
}

/// Why a supervisor goes down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// It was told to.
    Told(StopWhy),
    /// One restart too many.
    Escalated(Option<Culprit>),
    /// A significant child ended.
    AutoShutdown(Option<Culprit>),
    /// A child could not be started (`otp`).
    StartFailed {
        child: NodeId,
        culprit: Option<Culprit>,
    },
}

/// The inner side of a supervisor.
#[derive(Debug, Clone)]
pub(super) struct Sup {
    pub(super) reign: Reign,
    /// In start order.
    pub(super) children: Vec<NodeId>,
    pub(super) window: Window,
    /// The windows of families that have a budget of their own.
    pub(super) buckets: BTreeMap<Family, Window>,
    /// Kills of children that were unhealthy.
    pub(super) culls: Culls,
    /// The budget it gave up for.
    pub(super) spent: Option<Budget>,
    /// The child whose remedy told it to give up.
    pub(super) told_by: Option<NodeId>,
    /// When a remedy last gave a budget back.
    pub(super) refunded: BTreeMap<Option<Family>, Time>,
    /// Restarts recorded since this incarnation began.
    pub(super) restarts: u32,
    /// How many times it was started.
    pub(super) incarnation: u32,
    /// What it is in the middle of; nothing else is handled meanwhile.
    pub(super) task: Option<Box<Task>>,
    /// What waits for it (OTP's mailbox).
    pub(super) inbox: VecDeque<Message>,
    /// `One_for_one` under the default policy: the child whose first start is under way;
    /// the next one has its turn when that has ended, one way or another.
    pub(super) boot: Option<NodeId>,
    /// The first child that was seen not settled; those before it need no second look.
    pub(super) settled_to: usize,
    /// The last failure that was counted, for the exit code.
    pub(super) culprit: Option<Culprit>,
    /// Held by a test: it queues and does nothing.
    pub(super) suspended: bool,
}

/// The two kinds of node.
#[derive(Debug, Clone)]
pub(super) enum Body {
    Service(Life),
    Supervisor(Box<Sup>),
}

/// Where a node comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The specification of its supervisor.
    Configured,
    /// A command; lost when its supervisor is started again.
    Dynamic,
}

/// What a node did when it ended the last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastExit {
    /// When.
    pub at: Time,
    /// Its class.
    pub class: Classification,
    /// What else is to be said about it.
    pub qualifiers: Qualifiers,
    /// The kernel's facts, if there was a process.
    pub facts: Option<ExitFacts>,
    /// The failed step, if there was none.
    pub failure: Option<SpawnFailure>,
    /// Why it was not ready: its last probe.
    pub probe: Option<ProbeFault>,
    /// What it was doing.
    pub phase: Phase,
    /// From its start to its end.
    pub uptime: Duration,
    /// What it said and wrote about its end itself.
    pub testimony: Option<Arc<Testimony>>,
    /// The rules its class was derived by.
    pub rules: Arc<Classes>,
    /// The record of it.
    pub seq: Seq,
}

impl LastExit {
    /// A supervisor's own end: there was no process.
    pub(super) fn of_supervisor(at: Time, class: Classification, seq: Seq) -> Self {
        Self {
            at,
            class,
            qualifiers: Qualifiers::default(),
            facts: None,
            failure: None,
            probe: None,
            phase: Phase::Ready,
            uptime: Duration::ZERO,
            testimony: None,
            rules: Arc::default(),
            seq,
        }
    }

    /// What its class was derived from.
    pub fn end(&self) -> End<'_> {
        End {
            base: self.class.base,
            status: self.facts.map(|facts| facts.status),
            phase: self.phase,
            uptime: self.uptime,
            testimony: self.testimony.as_deref(),
        }
    }

    /// When the service wants to be started again, where its word counts.
    pub fn retry_after(&self) -> Option<Duration> {
        let asked = self.testimony.as_ref()?.retry_after?;
        let counts = self.class.base.is_chosen();
        counts.then(|| asked.min(limits::RETRY_AFTER_MAX))
    }
}

/// A node of the tree.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) parent: Option<NodeId>,
    /// Its place among its siblings.
    pub(super) place: usize,
    pub(super) spec: spec::Node,
    pub(super) origin: Origin,
    pub(super) body: Body,
    /// Who stopped it by hand, and when; it stays down until started.
    pub(super) stopped_by: Option<(Actor, Time)>,
    pub(super) pinned: bool,
    /// Not started with its supervisor (`enabled = false`), and nobody has started it by hand.
    pub(super) disabled: bool,
    /// It leaves the tree as soon as it is down.
    pub(super) leaving: bool,
    /// A supervisor whose specification was replaced in place keeps it when its own supervisor
    /// starts again (`otp`, `code_change`).
    pub(super) replaced: bool,
    /// Start again as soon as it is down.
    pub(super) again: Option<StartWhy>,
    /// Restarts in a row without a stable time between them.
    pub(super) attempts: u32,
    /// The last delay drawn.
    pub(super) last_delay: Duration,
    /// Whether a remedy has skipped a back-off in this row of restarts.
    pub(super) spared: bool,
    /// The record of the last end that something was done about.
    pub(super) treated: Option<Seq>,
    /// How long the last start took to be ready.
    pub(super) took: Duration,
    /// Early ends in a row.
    pub(super) early_ends: u32,
    /// Since when its spawn has failed for want of resources.
    pub(super) starved_since: Option<Time>,
    /// Its own breaker, once it has counted something.
    pub(super) own: Option<Box<Circuit>>,
    /// Its run is a trial: whether it may go on is decided by how that goes.
    pub(super) on_trial: bool,
    /// A probe has said that a breaker is not to blame for its last end.
    pub(super) believed: bool,
    /// Its next start passes its breakers: somebody wants it.
    pub(super) let_pass: bool,
    /// Starts so far.
    pub(super) starts: u32,
    /// Automatic restarts so far, its own and those of its group.
    pub(super) restarts: u32,
    /// When its state changed last.
    pub(super) since: Time,
    /// Its last record.
    pub(super) seq: Option<Seq>,
    /// The incident it is part of.
    pub(super) incident: Option<Seq>,
    pub(super) last_exit: Option<Box<LastExit>>,
}

impl Node {
    pub(super) fn name(&self) -> &Name {
        self.spec.name()
    }

    /// Remembers its last end, in the place of the one before.
    pub(super) fn remember(&mut self, last: LastExit) {
        match &mut self.last_exit {
            Some(place) => **place = last,
            place @ None => *place = Some(Box::new(last)),
        }
    }

    /// Why it has no process, if it has none and nothing about it is unsettled.
    pub(super) fn rest(&self) -> Option<Rest> {
        match &self.body {
            Body::Service(Life::Rest(rest)) => Some(*rest),
            Body::Supervisor(sup) => match &sup.reign {
                Reign::Rest(rest) => Some(*rest),
                Reign::Starting { .. } | Reign::Up | Reign::Stopping(_) | Reign::Ended(_) => None,
            },
            Body::Service(
                Life::Starting(_)
                | Life::Up(_)
                | Life::Stopping(..)
                | Life::Ended(_)
                | Life::Unkillable(..),
            ) => None,
        }
    }

    pub(super) fn set_rest(&mut self, rest: Rest) {
        match &mut self.body {
            Body::Service(life) => *life = Life::Rest(rest),
            Body::Supervisor(sup) => sup.reign = Reign::Rest(rest),
        }
    }

    /// The end its supervisor has not judged yet.
    pub(super) fn ended(&self) -> Option<&Ended> {
        match &self.body {
            Body::Service(Life::Ended(ended)) => Some(ended),
            Body::Supervisor(sup) => match &sup.reign {
                Reign::Ended(ended) => Some(ended),
                Reign::Rest(_) | Reign::Starting { .. } | Reign::Up | Reign::Stopping(_) => None,
            },
            Body::Service(
                Life::Rest(_)
                | Life::Starting(_)
                | Life::Up(_)
                | Life::Stopping(..)
                | Life::Unkillable(..),
            ) => None,
        }
    }

    /// Whether it is parked or held.
    pub(super) fn is_aside(&self) -> bool {
        matches!(self.rest(), Some(Rest::Aside(_)))
    }

    /// Whether those of its group whom it keeps down have to wait: for it, or for its trial.
    pub(super) fn keeps_others_down(&self) -> bool {
        self.is_aside() || (self.on_trial && self.rest().is_none())
    }

    pub(super) fn is_up(&self) -> bool {
        match &self.body {
            Body::Service(life) => matches!(life, Life::Up(_)),
            Body::Supervisor(sup) => sup.reign == Reign::Up,
        }
    }

    /// Whether a start would have to wait for a process that SIGKILL did not end.
    pub(super) fn is_unkillable(&self) -> bool {
        matches!(self.body, Body::Service(Life::Unkillable(..)))
    }

    /// Whether it counts as active for `all_significant`: not stopped, in OTP's sense.
    pub(super) fn is_active(&self) -> bool {
        match self.rest() {
            None
            | Some(
                Rest::Backoff { .. }
                | Rest::Retrying { .. }
                | Rest::Waiting { .. }
                | Rest::Remediating { .. }
                | Rest::Aside(_),
            ) => true,
            Some(Rest::Fresh | Rest::Stopped | Rest::Off | Rest::Done | Rest::Failed) => false,
        }
    }

    /// Whether its supervisor need not wait for it: ready, done, or meant to be down.
    pub(super) fn is_settled(&self) -> bool {
        if self.is_up() || self.pinned || self.stopped_by.is_some() {
            return true;
        }
        match self.rest() {
            Some(Rest::Done | Rest::Stopped | Rest::Aside(_)) => true,
            Some(Rest::Fresh) => self.disabled,
            Some(
                Rest::Off
                | Rest::Failed
                | Rest::Waiting { .. }
                | Rest::Backoff { .. }
                | Rest::Remediating { .. }
                | Rest::Retrying { .. },
            )
            | None => false,
        }
    }

    pub(super) fn sup(&self) -> Option<&Sup> {
        match &self.body {
            Body::Supervisor(sup) => Some(sup),
            Body::Service(_) => None,
        }
    }

    pub(super) fn sup_mut(&mut self) -> Option<&mut Sup> {
        match &mut self.body {
            Body::Supervisor(sup) => Some(sup),
            Body::Service(_) => None,
        }
    }
}
