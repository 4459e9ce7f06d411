// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the tree looks like now, for people and programs.

use super::Tree;
use super::aside::By;
use super::event::{Actor, NodeId, RunId, Time};
use super::node::{Body, LastExit, Life, Node, Reign, Rest};
use super::record::Unready;
use super::timers::Purpose;
use crate::spec::{self, Name, ProbeFault};
use std::sync::Arc;
use std::time::Duration;

/// The whole tree, in pre-order, children in start order.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// When it was taken.
    pub at: Time,
    /// The root first.
    pub nodes: Vec<NodeView>,
}

/// The state words of DESIGN.md, "Names".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// On its way up.
    Starting,
    /// A service that is ready.
    Ready,
    /// A service that runs and does not serve.
    Unready,
    /// A supervisor whose children are as they should be.
    Up,
    /// A supervisor that runs although a child does not.
    Degraded,
    /// On its way down.
    Stopping,
    /// Down, by order or with its supervisor.
    Stopped,
    /// Waits before the next start.
    Backoff,
    /// Something is done about its last end, before it is started again.
    Remediating,
    /// Its budget is used up; it is started again later.
    Held,
    /// Its budget is used up; it is not started until somebody acts.
    Parked,
    /// Waits for a sibling of its group.
    Waiting,
    /// SIGKILL has no effect.
    Unkillable,
    /// Has ended and is not restarted.
    Done,
    /// A supervisor that does not run.
    Down,
}

impl State {
    /// Every state that a service can be in.
    pub const OF_SERVICES: [Self; 9] = [
        Self::Starting,
        Self::Ready,
        Self::Stopping,
        Self::Stopped,
        Self::Backoff,
        Self::Remediating,
        Self::Waiting,
        Self::Unkillable,
        Self::Done,
    ];
    /// Every state that a supervisor can be in.
    pub const OF_SUPERVISORS: [Self; 8] = [
        Self::Starting,
        Self::Up,
        Self::Degraded,
        Self::Stopping,
        Self::Backoff,
        Self::Waiting,
        Self::Done,
        Self::Down,
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unready => "unready",
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Backoff => "backoff",
            Self::Remediating => "remediating",
            Self::Held => "held",
            Self::Parked => "parked",
            Self::Waiting => "waiting",
            Self::Unkillable => "unkillable",
            Self::Done => "done",
            Self::Down => "down",
        }
    }
}

/// What holds a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldBy {
    /// A budget that is used up.
    Budget,
    /// Its own breaker.
    Own,
    /// These breakers.
    Breakers(Box<[Name]>),
    /// Nobody yet: the probe of a breaker says whether its last end counts.
    Doubt,
}

/// One node as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeView {
    /// Its id.
    pub id: NodeId,
    /// Its supervisor.
    pub parent: Option<NodeId>,
    /// Levels below the root.
    pub depth: usize,
    /// Its specification, with its name.
    pub spec: spec::Node,
    /// Names from the root, joined by slashes.
    pub path: String,
    /// Its state.
    pub state: State,
    /// Since when.
    pub since: Time,
    /// Its process, if it has one.
    pub run: Option<RunId>,
    /// Whether a process is there, or its end is not looked at yet (OTP's `running`).
    pub alive: bool,
    /// When it is started again.
    pub next_start: Option<Time>,
    /// The sibling it waits for.
    pub waiting_for: Option<NodeId>,
    /// What holds it.
    pub held_by: Option<HeldBy>,
    /// Failures in a row that its own breaker has counted.
    pub failures: u32,
    /// Its run is a trial.
    pub on_trial: bool,
    /// Starts so far.
    pub starts: u32,
    /// Automatic restarts so far.
    pub restarts: u32,
    /// A supervisor's restarts recorded since it was started, and those in the window now.
    pub recorded: Option<(u32, u32)>,
    /// Who stopped it by hand, and when.
    pub stopped_by: Option<(Actor, Time)>,
    /// Whether it is left alone by order.
    pub pinned: bool,
    /// How it ended the last time.
    pub last_exit: Option<LastExit>,
    /// How long its last start took to be ready.
    pub took: Duration,
    /// Why its last probe did not succeed, while it is not ready.
    pub fault: Option<ProbeFault>,
    /// Why it does not serve although it is up.
    pub unready: Option<Unready>,
    /// The failures of its liveness probe in a row, and the last one.
    pub sick: Option<(u32, ProbeFault)>,
    /// When its run was started.
    pub run_since: Option<Time>,
    /// When its start has taken too long.
    pub start_limit: Option<Time>,
    /// The remedy that is at work on it.
    pub remedy: Option<Name>,
}

impl Tree {
    /// What the tree looks like now.
    pub fn snapshot(&self) -> Snapshot {
        let mut nodes = Vec::new();
        self.look(self.root, 0, "", &mut nodes);
        Snapshot {
            at: self.now,
            nodes,
        }
    }

    /// One node, without its path.
    pub fn view(&self, id: NodeId) -> Option<NodeView> {
        let node = self.nodes.get(id)?;
        Some(self.view_of(node, 0, String::new()))
    }

    /// Names from the root, joined by slashes.
    pub fn path(&self, id: NodeId) -> String {
        let Some(node) = self.nodes.get(id) else {
            return String::new();
        };
        match node.parent {
            None => node.name().to_string(),
            Some(parent) => format!("{}/{}", self.path(parent), node.name()),
        }
    }

    fn look(&self, id: NodeId, depth: usize, above: &str, into: &mut Vec<NodeView>) {
        let node = &self.nodes[id];
        let name = node.name();
        let path = if above.is_empty() {
            name.to_string()
        } else {
            format!("{above}/{name}")
        };
        into.push(self.view_of(node, depth, path.clone()));
        for child in node
            .sup()
            .map(|sup| sup.children.as_slice())
            .unwrap_or_default()
        {
            self.look(*child, depth + 1, &path, into);
        }
    }

    fn view_of(&self, node: &Node, depth: usize, path: String) -> NodeView {
        let (run, state) = match &node.body {
            Body::Service(
                Life::Starting(run)
                | Life::Up(run)
                | Life::Stopping(run, _)
                | Life::Unkillable(run, _),
            ) => {
                let (node, life) = (node.id, run.life);
                (Some(RunId { node, life }), Some(run))
            }
            Body::Service(Life::Rest(_) | Life::Ended(_)) | Body::Supervisor(_) => (None, None),
        };
        let recorded = node
            .sup()
            .zip(self.sup_spec(node.id))
            .map(|(sup, spec)| (sup.restarts, sup.window.used(self.now, spec.period)));
        let (next_start, waiting_for) = match node.rest() {
            Some(Rest::Backoff { until, .. }) => (Some(until), None),
            Some(Rest::Aside(By::Budget { until, .. })) => (until, None),
            Some(Rest::Aside(By::Own | By::Breakers)) => (self.next_trial_of(node.id), None),
            Some(Rest::Waiting { sibling }) => (None, Some(sibling)),
            Some(
                Rest::Aside(By::Doubt)
                | Rest::Fresh
                | Rest::Stopped
                | Rest::Off
                | Rest::Done
                | Rest::Failed
                | Rest::Remediating { .. }
                | Rest::Retrying { .. },
            )
            | None => (None, None),
        };
        let held_by = match node.rest() {
            Some(Rest::Aside(By::Budget { until: Some(_), .. })) => Some(HeldBy::Budget),
            Some(Rest::Aside(By::Own)) => Some(HeldBy::Own),
            Some(Rest::Aside(By::Breakers)) => Some(HeldBy::Breakers(self.holding(node.id))),
            Some(Rest::Aside(By::Doubt)) => Some(HeldBy::Doubt),
            Some(_) | None => None,
        };
        NodeView {
            id: node.id,
            parent: node.parent,
            depth,
            spec: node.spec.clone(),
            path,
            state: self.state_of(node),
            since: node.since,
            run,
            alive: node.rest().is_none(),
            next_start,
            waiting_for,
            held_by,
            failures: node.own.as_deref().map_or(0, |own| own.row),
            on_trial: node.on_trial && node.rest().is_none(),
            starts: node.starts,
            restarts: node.restarts,
            recorded,
            stopped_by: node.stopped_by,
            pinned: node.pinned,
            last_exit: node.last_exit.as_deref().cloned(),
            took: node.took,
            fault: state.and_then(|run| run.fault),
            unready: state.and_then(|run| run.unready),
            sick: state.and_then(|run| run.vitals.sick()),
            run_since: state.map(|run| run.since),
            start_limit: self.timers.get(node.id, Purpose::Start),
            remedy: self.remedy_at_work(node.id),
        }
    }

    fn state_of(&self, node: &Node) -> State {
        match &node.body {
            Body::Service(life) => match life {
                Life::Rest(rest) => state_at_rest(*rest, State::Stopped),
                Life::Starting(_) => State::Starting,
                Life::Up(run) if run.unready.is_some() => State::Unready,
                Life::Up(_) => State::Ready,
                Life::Stopping(..) => State::Stopping,
                // Its supervisor has not looked yet: it will start again, or stay down.
                Life::Ended(_) => State::Waiting,
                Life::Unkillable(..) => State::Unkillable,
            },
            Body::Supervisor(sup) => match &sup.reign {
                Reign::Rest(rest) => state_at_rest(*rest, State::Down),
                Reign::Starting { .. } => State::Starting,
                Reign::Up if sup.children.iter().all(|id| self.is_well(*id)) => State::Up,
                Reign::Up => State::Degraded,
                Reign::Stopping(_) => State::Stopping,
                Reign::Ended(_) => State::Down,
            },
        }
    }

    /// Whether a child does not make its supervisor degraded.
    fn is_well(&self, id: NodeId) -> bool {
        let node = &self.nodes[id];
        let state = self.state_of(node);
        match state {
            State::Ready | State::Up | State::Done => true,
            State::Stopped => node.disabled,
            State::Starting
            | State::Unready
            | State::Degraded
            | State::Stopping
            | State::Backoff
            | State::Remediating
            | State::Held
            | State::Parked
            | State::Waiting
            | State::Unkillable
            | State::Down => false,
        }
    }

    /// The specification the tree has now.
    pub fn spec(&self) -> &Arc<spec::Tree> {
        &self.spec
    }
}

fn state_at_rest(rest: Rest, down: State) -> State {
    match rest {
        Rest::Fresh | Rest::Stopped | Rest::Off | Rest::Failed => down,
        Rest::Done => State::Done,
        Rest::Aside(By::Budget { until: None, .. }) => State::Parked,
        Rest::Aside(By::Budget { until: Some(_), .. } | By::Own | By::Breakers | By::Doubt) => {
            State::Held
        }
        Rest::Waiting { .. } => State::Waiting,
        Rest::Backoff { .. } | Rest::Retrying { .. } => State::Backoff,
        Rest::Remediating { .. } => State::Remediating,
    }
}
