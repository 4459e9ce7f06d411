// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the daemon's events to what was recorded: begins and ends of workers and supervisors, and
//! what OTP's supervisor would have logged. It reads events only, and judges nothing.

use super::config::path_of;
use crate::otp::case::{Happened, Reason, Report, ReportKind, RestartType, Seen};
use std::collections::{BTreeMap, BTreeSet};
use supd::wire::{EventLine, kind};

/// What has to be known of a node to tell its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) restart: RestartType,
    /// Killed at once when it is to stop.
    pub(crate) brutal: bool,
}

/// The end of a process, or of a supervisor by itself.
#[derive(Debug, Clone, Copy)]
struct End {
    /// Before it was ready.
    failed_start: bool,
    normal: bool,
    reason: Reason,
}

/// Reads events.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(crate) seen: Vec<Seen>,
    pub(crate) reports: Vec<Report>,
    /// By path; filled before each step.
    pub(crate) known: BTreeMap<String, Known>,
    /// The id of a pool's template, by the pool's path.
    pub(crate) templates: BTreeMap<String, String>,
    /// Why the latest run or incarnation of a node was started.
    why: BTreeMap<String, String>,
    starting: BTreeSet<String>,
    up: BTreeSet<String>,
    /// Ends that a supervisor has not looked at yet.
    ends: BTreeMap<String, End>,
    /// Stop errors of a pool that is going down: OTP reports each reason once.
    pool_errors: BTreeSet<(String, Reason)>,
}

impl Watch {
    /// Takes one event.
    pub(crate) fn take(&mut self, line: &EventLine) {
        let Some(path) = line.node.as_deref().map(path_of) else {
            return;
        };
        match &*line.kind {
            kind::SERVICE_STARTING => self.began(path, line),
            kind::SUPERVISOR_STARTING => {
                self.began(path.clone(), line);
                self.starting.insert(path.clone());
                self.up.insert(path.clone());
                self.see(Happened::SupStart, path, None);
            }
            kind::SUPERVISOR_READY => {
                self.starting.remove(&path);
            }
            kind::SERVICE_READY => self.see(Happened::Start, path, None),
            kind::SERVICE_EXITED => self.exited(&path, line),
            kind::SERVICE_DECIDED => self.decided(&path, line),
            kind::SUPERVISOR_EXHAUSTED => {
                let child = line.child.as_deref().map(path_of).unwrap_or_default();
                self.report(ReportKind::MaxIntensity, &child, None);
            }
            kind::SERVICE_STOPPED | kind::SUPERVISOR_STOPPED => self.down(&path, Reason::Shutdown),
            kind::SUPERVISOR_ESCALATED => {
                let end = End {
                    failed_start: false,
                    normal: true,
                    reason: Reason::Shutdown,
                };
                self.ends.insert(path.clone(), end);
                self.down(&path, Reason::Shutdown);
            }
            "supervisor.start_failed" => {
                self.down(&path, Reason::StartFailed);
                self.start_error(&path);
            }
            _ => {}
        }
    }

    fn began(&mut self, path: String, line: &EventLine) {
        let why = line.why.as_deref().unwrap_or_default();
        self.why.insert(path, why.to_owned());
    }

    fn exited(&mut self, path: &str, line: &EventLine) {
        let phase = line.phase.as_deref();
        let class = line.class.as_deref().unwrap_or_default();
        let end = End {
            failed_start: phase == Some("starting"),
            normal: class == "clean",
            reason: reason_of(line),
        };
        if end.failed_start {
            self.see(Happened::StartFailed, path.to_owned(), None);
            self.start_error(path);
        } else {
            self.see(Happened::Stop, path.to_owned(), Some(end.reason));
        }
        self.ends.insert(path.to_owned(), end);
        self.decided(path, line);
    }

    /// The supervisor has looked at an end: at once, or when it came to it in its queue.
    fn decided(&mut self, path: &str, line: &EventLine) {
        let action = line.decision.as_ref().map(|decision| &*decision.action);
        let Some(end) = self.ends.get(path).copied() else {
            return;
        };
        match action {
            None | Some("queued") => return,
            Some(_) if end.failed_start => {}
            Some("expected" | "absorbed") => self.stop_error(path, end),
            Some(_) => {
                let permanent = self.known.get(path).map(|known| known.restart);
                if permanent == Some(RestartType::Permanent) || !end.normal {
                    self.report(ReportKind::ChildTerminated, path, Some(end.reason));
                }
            }
        }
        self.ends.remove(path);
    }

    /// Reported when nobody is there to be told: at boot and in automatic restarts.
    fn start_error(&mut self, path: &str) {
        let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
        let by_command = self.why.get(path).is_some_and(|why| why == "command");
        if self.starting.contains(parent) || !by_command {
            self.report(ReportKind::StartError, path, None);
        }
    }

    fn stop_error(&mut self, path: &str, end: End) {
        let Some(known) = self.known.get(path).copied() else {
            return;
        };
        let asked = if known.brutal {
            Reason::Killed
        } else {
            Reason::Shutdown
        };
        let lenient = known.restart != RestartType::Permanent
            && matches!(end.reason, Reason::Normal | Reason::Shutdown);
        if end.reason == asked || lenient {
            return;
        }
        let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
        let of_pool = (parent.to_owned(), end.reason);
        if !self.templates.contains_key(parent) || self.pool_errors.insert(of_pool) {
            self.report(ReportKind::ShutdownError, path, Some(end.reason));
        }
    }

    fn down(&mut self, path: &str, reason: Reason) {
        self.starting.remove(path);
        self.pool_errors.retain(|(pool, _)| pool != path);
        if self.up.remove(path) {
            self.see(Happened::SupStop, path.to_owned(), Some(reason));
        }
    }

    fn report(&mut self, kind: ReportKind, path: &str, reason: Option<Reason>) {
        let Some((sup, id)) = path.rsplit_once('.') else {
            return;
        };
        let template = self.templates.get(sup);
        self.reports.push(Report {
            kind,
            sup: sup.to_owned(),
            child: template.map_or(id, String::as_str).to_owned(),
            reason,
        });
    }

    fn see(&mut self, ev: Happened, id: String, reason: Option<Reason>) {
        self.seen.push(Seen { ev, id, reason });
    }
}

/// A TERM or a clean end is obedience only when it was asked for.
fn reason_of(line: &EventLine) -> Reason {
    let asked = line.phase.as_deref() == Some("stopping");
    match (line.code, line.signal.as_deref()) {
        (_, Some("KILL")) => Reason::Killed,
        (_, Some("TERM")) | (Some(0), None) if asked => Reason::Shutdown,
        (Some(0), None) => Reason::Normal,
        _ => Reason::Error,
    }
}
