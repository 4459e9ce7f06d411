// SPDX-License-Identifier: MIT OR Apache-2.0
//! The URL space of version 1: one enum that both sides use, the client to write a request line
//! and the daemon to read it.
//!
//! `{name}` is one percent-encoded segment: a node's name, or its whole path with its slashes
//! encoded (`root%2Fapi%2Fweb`). Which of the two it is, is for the reader to find out.

use super::query::{decode, encode};

/// What can be asked of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `GET /v1/tree`: [`Status`](super::Status).
    Tree,
    /// `GET /v1/nodes/{name}`: [`NodeView`](super::NodeView).
    Node(String),
    /// `GET /v1/nodes/{name}/history`: the events of a node and of those below it.
    History(String),
    /// `GET /v1/nodes/{name}/why`: [`Why`](super::Why).
    Why(String),
    /// `GET /v1/nodes/{name}/logs`: a stream of [`LogItem`](super::LogItem)s; of a supervisor
    /// those of all services below it.
    Logs(String),
    /// `POST /v1/nodes/{name}/{verb}`: [`CommandReply`](super::CommandReply).
    Act(String, Verb),
    /// `POST /v1/nodes/{name}/children` with [`ChildRequest`](super::ChildRequest).
    AddChild(String),
    /// `DELETE /v1/nodes/{name}`: [`CommandReply`](super::CommandReply).
    Delete(String),
    /// `GET /v1/remediations`: [`Remediations`](super::Remediations).
    Remediations,
    /// `GET /v1/events`: a stream of [`StreamItem`](super::StreamItem)s.
    Events,
    /// `POST /v1/plan` with [`ConfigRequest`](super::ConfigRequest): [`Plan`](super::Plan).
    Plan,
    /// `POST /v1/drill` with [`DrillRequest`](super::DrillRequest): a fault on purpose;
    /// [`DrillReply`](super::DrillReply).
    Drill,
    /// `POST /v1/apply` with [`ConfigRequest`](super::ConfigRequest).
    Apply,
    /// `POST /v1/reload`: what HUP does; [`ReloadReply`](super::ReloadReply).
    Reload,
    /// `GET /v1/config`: [`ConfigText`](super::ConfigText).
    Config,
    /// `GET /v1/breakers`: [`BreakerList`](super::BreakerList).
    Breakers,
    /// `POST /v1/breakers/{name}/{verb}` with [`ForceRequest`](super::ForceRequest).
    Force(String, ForceVerb),
    /// `POST /v1/shutdown` with [`ShutdownRequest`](super::ShutdownRequest).
    Shutdown,
    /// `GET /v1/health`: [`Health`](super::Health).
    Health,
    /// `GET /v1/openapi.json`.
    OpenApi,
    /// `GET /metrics`: text in the format of Prometheus.
    Metrics,
    /// `POST /v1/test/{what}/{name}`: for replays alone, in no release.
    #[cfg(feature = "test-hooks")]
    Test(String, String),
}

/// What can be done to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Start it.
    Start,
    /// Stop it; it stays down.
    Stop,
    /// Restart what the strategy says; body [`RestartRequest`](super::RestartRequest).
    Restart,
    /// Let it read its own configuration again.
    Reload,
    /// Send it a signal; body [`SignalRequest`](super::SignalRequest).
    Signal,
    /// Change the size of a pool; body [`ScaleRequest`](super::ScaleRequest).
    Scale,
    /// Forget its back-off and its supervisor's history.
    Reset,
    /// Leave it alone.
    Pin,
    /// Supervise it again.
    Unpin,
    /// Run a oneshot; a start.
    Run,
    /// Try a remedy; body [`RemediateRequest`](super::RemediateRequest).
    Remediate,
}

impl Verb {
    /// Every one of them.
    pub const ALL: [Self; 11] = [
        Self::Start,
        Self::Stop,
        Self::Restart,
        Self::Reload,
        Self::Signal,
        Self::Scale,
        Self::Reset,
        Self::Pin,
        Self::Unpin,
        Self::Run,
        Self::Remediate,
    ];

    /// The word for it in URLs and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::Signal => "signal",
            Self::Scale => "scale",
            Self::Reset => "reset",
            Self::Pin => "pin",
            Self::Unpin => "unpin",
            Self::Run => "run",
            Self::Remediate => "remediate",
        }
    }
}

/// What can be done to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForceVerb {
    /// Force it open.
    Open,
    /// Force it closed.
    Close,
    /// Let it be as it would be by itself.
    Auto,
}

impl ForceVerb {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Open, Self::Close, Self::Auto];

    /// The word for it in URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Close => "close",
            Self::Auto => "auto",
        }
    }
}

/// Why a request line names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoute {
    /// 404: no such URL.
    NotFound,
    /// 405: it exists, for these methods (the `Allow` header).
    Method(&'static str),
    /// 400: a broken escape.
    Encoding,
}

impl Route {
    /// The method of its request.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Tree
            | Self::Node(_)
            | Self::History(_)
            | Self::Why(_)
            | Self::Logs(_)
            | Self::Events
            | Self::Remediations
            | Self::Config
            | Self::Breakers
            | Self::Health
            | Self::OpenApi
            | Self::Metrics => "GET",
            Self::Act(..)
            | Self::Force(..)
            | Self::AddChild(_)
            | Self::Plan
            | Self::Drill
            | Self::Apply
            | Self::Reload
            | Self::Shutdown => "POST",
            Self::Delete(_) => "DELETE",
            #[cfg(feature = "test-hooks")]
            Self::Test(..) => "POST",
        }
    }

    /// Whether it only reads; the roles of the socket are checked by it. `plan` changes nothing,
    /// but it reads files and the environment in supd's name, as the text it is given asks for.
    pub fn is_read(&self) -> bool {
        self.method() == "GET"
    }

    /// The path of its request, without parameters.
    pub fn path(&self) -> String {
        let node = |name: &str, rest: &str| format!("/v1/nodes/{}{rest}", encode(name));
        match self {
            Self::Tree => "/v1/tree".to_owned(),
            Self::Node(name) | Self::Delete(name) => node(name, ""),
            Self::History(name) => node(name, "/history"),
            Self::Why(name) => node(name, "/why"),
            Self::Logs(name) => node(name, "/logs"),
            Self::Act(name, verb) => format!("{}/{}", node(name, ""), verb.as_str()),
            Self::AddChild(name) => node(name, "/children"),
            Self::Events => "/v1/events".to_owned(),
            Self::Remediations => "/v1/remediations".to_owned(),
            Self::Plan => "/v1/plan".to_owned(),
            Self::Drill => "/v1/drill".to_owned(),
            Self::Apply => "/v1/apply".to_owned(),
            Self::Reload => "/v1/reload".to_owned(),
            Self::Config => "/v1/config".to_owned(),
            Self::Breakers => "/v1/breakers".to_owned(),
            Self::Force(name, verb) => {
                format!("/v1/breakers/{}/{}", encode(name), verb.as_str())
            }
            Self::Shutdown => "/v1/shutdown".to_owned(),
            Self::Health => "/v1/health".to_owned(),
            Self::OpenApi => "/v1/openapi.json".to_owned(),
            Self::Metrics => "/metrics".to_owned(),
            #[cfg(feature = "test-hooks")]
            Self::Test(what, name) => format!("/v1/test/{what}/{}", encode(name)),
        }
    }

    /// Reads a request line; `path` without parameters. `HEAD` is for the caller to map to `GET`.
    pub fn parse(method: &str, path: &str) -> Result<Self, NoRoute> {
        let mut segments = path.strip_prefix('/').ok_or(NoRoute::NotFound)?.split('/');
        let found = match (segments.next(), segments.next(), segments.next()) {
            (Some("metrics"), None, None) => vec![Self::Metrics],
            (Some("v1"), Some("nodes"), Some(name)) if !name.is_empty() => {
                let rest: Vec<&str> = segments.collect();
                Self::below_node(decode(name).ok_or(NoRoute::Encoding)?, &rest)
            }
            (Some("v1"), Some("breakers"), Some(name)) if !name.is_empty() => {
                let rest: Vec<&str> = segments.collect();
                let name = decode(name).ok_or(NoRoute::Encoding)?;
                let verb = ForceVerb::ALL
                    .into_iter()
                    .find(|verb| rest == [verb.as_str()]);
                verb.map(|verb| Self::Force(name, verb))
                    .into_iter()
                    .collect()
            }
            #[cfg(feature = "test-hooks")]
            (Some("v1"), Some("test"), Some(what)) => {
                let name = decode(segments.next().unwrap_or_default()).ok_or(NoRoute::Encoding)?;
                vec![Self::Test(what.to_owned(), name)]
            }
            (Some("v1"), Some(word), None) => Self::at_top(word).into_iter().collect(),
            _ => Vec::new(),
        };
        let allow = match found.as_slice() {
            [] => return Err(NoRoute::NotFound),
            [one] => one.method(),
            [..] => "GET, DELETE",
        };
        found
            .into_iter()
            .find(|route| route.method() == method)
            .ok_or(NoRoute::Method(allow))
    }

    fn at_top(word: &str) -> Option<Self> {
        Some(match word {
            "tree" => Self::Tree,
            "events" => Self::Events,
            "remediations" => Self::Remediations,
            "plan" => Self::Plan,
            "drill" => Self::Drill,
            "apply" => Self::Apply,
            "reload" => Self::Reload,
            "config" => Self::Config,
            "breakers" => Self::Breakers,
            "shutdown" => Self::Shutdown,
            "health" => Self::Health,
            "openapi.json" => Self::OpenApi,
            _ => return None,
        })
    }

    /// Every route below `/v1/nodes/{name}` with this rest of the path, one for each method.
    fn below_node(name: String, rest: &[&str]) -> Vec<Self> {
        match rest {
            [] => vec![Self::Node(name.clone()), Self::Delete(name)],
            ["history"] => vec![Self::History(name)],
            ["why"] => vec![Self::Why(name)],
            ["logs"] => vec![Self::Logs(name)],
            ["children"] => vec![Self::AddChild(name)],
            [word] => Verb::ALL
                .into_iter()
                .find(|verb| verb.as_str() == *word)
                .map(|verb| Self::Act(name, verb))
                .into_iter()
                .collect(),
            [..] => Vec::new(),
        }
    }
}
