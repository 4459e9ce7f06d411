// SPDX-License-Identifier: MIT OR Apache-2.0
//! The metrics page: OpenMetrics 1.0 text, written when somebody asks for it.
//!
//! Counters come from the tally, everything else is read off the tree as it is at that moment. A
//! family stands on the page even when it has no sample yet, so that what can be asked for is
//! seen. Families appear once, samples of a family stand together, and the last line is `# EOF`,
//! as the format demands.

use super::stamp;
use super::tally::{BOUNDS, CAUSES, Histogram, Tally};
use super::world::World;
use crate::spec::{Node, Verdict};
use crate::sys::usage::{self, Usage};
use crate::tree::{NodeView, Snapshot, State, Time};
use std::fmt::{Display, Write as _};
use std::time::Duration;

/// What the page is written from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// The tree now.
    pub tree: &'a Snapshot,
    /// What was counted.
    pub tally: &'a Tally,
    /// The configuration's name.
    pub config: &'a str,
    /// The daemon's start, microseconds since 1970.
    pub started_us: i64,
    /// How late the loop was at worst since the page was written the last time.
    pub lag: Duration,
    /// Lines that readers of streams have missed.
    pub dropped: u64,
    /// Pids.
    pub world: &'a World,
}

/// The whole page.
pub(crate) fn page(facts: Facts<'_>) -> String {
    let mut page = Page::default();
    daemon(&mut page, facts);
    states(&mut page, facts);
    counters(&mut page, facts);
    used(&mut page, facts);
    recoveries(&mut page, facts.tally);
    remedies(&mut page, facts.tally);
    supervisors(&mut page, facts);
    page.text.push_str("# EOF\n");
    page.text
}

#[derive(Debug, Default)]
struct Page {
    text: String,
    name: &'static str,
}

type Labels<'a> = [(&'a str, &'a str)];

impl Page {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        let _infallible = writeln!(self.text, "# TYPE {name} {kind}\n# HELP {name} {help}");
    }

    fn sample(&mut self, suffix: &str, labels: &Labels<'_>, value: impl Display) {
        let _infallible = write!(self.text, "{}{suffix}", self.name);
        for (i, (label, text)) in labels.iter().enumerate() {
            self.text.push(if i == 0 { '{' } else { ',' });
            let _infallible = write!(self.text, "{label}=\"");
            escape(text, &mut self.text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _infallible = writeln!(self.text, " {value}");
    }
}

impl Page {
    fn histogram(&mut self, label: (&str, &str), Histogram { buckets, sum }: &Histogram) {
        let mut count = 0;
        let bounds = BOUNDS
            .iter()
            .map(|bound| format!("{bound:?}"))
            .chain(["+Inf".to_owned()]);
        for (bound, bucket) in bounds.zip(buckets) {
            count += bucket;
            self.sample("_bucket", &[label, ("le", &bound)], count);
        }
        self.sample("_sum", &[label], sum);
        self.sample("_count", &[label], count);
    }
}

/// Backslash, double quote and line feed are written as two characters (OpenMetrics, "ABNF").
fn escape(text: &str, into: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => into.push_str("\\\\"),
            '"' => into.push_str("\\\""),
            '\n' => into.push_str("\\n"),
            plain => into.push(plain),
        }
    }
}

fn daemon(page: &mut Page, facts: Facts<'_>) {
    page.family("supd_build", "info", "Version and configuration of supd.");
    let version = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("config", facts.config),
    ];
    page.sample("_info", &version, 1);
    page.family(
        "supd_start_time_seconds",
        "gauge",
        "When supd was started, since 1970.",
    );
    page.sample("", &[], stamp::seconds(facts.started_us));
    page.family(
        "supd_config_reload_success",
        "gauge",
        "Whether the configuration offered last could be used.",
    );
    page.sample("", &[], u8::from(!facts.tally.reload_refused));
    page.family(
        "supd_loop_lag_seconds",
        "gauge",
        "The longest turn of the loop since the page was asked for before.",
    );
    page.sample("", &[], facts.lag.as_secs_f64());
    page.family(
        "supd_orphans_reaped",
        "counter",
        "Processes that were nobody's run.",
    );
    page.sample("_total", &[], facts.tally.orphans);
    page.family(
        "supd_events_dropped",
        "counter",
        "Lines that slow readers of streams missed.",
    );
    page.sample("_total", &[], facts.dropped);
}

fn states(page: &mut Page, facts: Facts<'_>) {
    page.family(
        "supd_service_state",
        "gauge",
        "1 for the state that the service is in.",
    );
    for (name, seen) in services(facts) {
        for state in State::OF_SERVICES {
            let labels = [("service", name), ("state", state.as_str())];
            page.sample("", &labels, u8::from(seen.state == state));
        }
    }
    page.family(
        "supd_service_ready",
        "gauge",
        "Whether the service is ready or done.",
    );
    for (name, seen) in services(facts) {
        let ready = matches!(seen.state, State::Ready | State::Done);
        page.sample("", &[("service", name)], u8::from(ready));
    }
}

fn counters(page: &mut Page, facts: Facts<'_>) {
    let tally = facts.tally;
    page.family(
        "supd_service_starts",
        "counter",
        "Starts by what caused them.",
    );
    for (name, _) in services(facts) {
        let starts = tally.service(name).map(|s| s.starts).unwrap_or_default();
        for (cause, count) in CAUSES.iter().zip(starts) {
            page.sample("_total", &[("service", name), ("cause", cause)], count);
        }
    }
    page.family("supd_service_exits", "counter", "Ends by class.");
    for (name, _) in services(facts) {
        for (base, user, count) in tally.service(name).map_or(&[][..], |s| &s.exits) {
            let base = base.as_str();
            let class = user.as_deref().unwrap_or(base);
            let labels = [("service", name), ("class", class), ("base", base)];
            page.sample("_total", &labels, count);
        }
    }
    page.family("supd_probe_results", "counter", "Answers of probes.");
    for (name, _) in services(facts) {
        for ((question, result), count) in tally.service(name).map_or(&[][..], |s| &s.answers) {
            let probe = question.as_str();
            let labels = [("service", name), ("probe", probe), ("result", *result)];
            page.sample("_total", &labels, count);
        }
    }
    page.family(
        "supd_liveness_kills_suppressed",
        "counter",
        "Services that were to be killed for being unhealthy and were not.",
    );
    page.sample("_total", &[], tally.spared);
    page.family(
        "supd_service_last_exit_timestamp_seconds",
        "gauge",
        "When the service ended the last time, since 1970.",
    );
    for (name, _) in services(facts) {
        if let Some(at) = tally.service(name).and_then(|s| s.last_exit_us) {
            page.sample("", &[("service", name)], stamp::seconds(at));
        }
    }
}

fn used(page: &mut Page, facts: Facts<'_>) {
    let now: Vec<Option<Usage>> = services(facts)
        .map(|(_, seen)| facts.world.pid_of(seen.run?).and_then(usage::of))
        .collect();
    page.family(
        "supd_service_cpu_seconds",
        "counter",
        "CPU time of all its processes.",
    );
    for ((name, _), usage) in services(facts).zip(&now) {
        let before = facts.tally.service(name).map(|s| s.cpu).unwrap_or_default();
        let all = before + usage.map(|u| u.cpu).unwrap_or_default();
        page.sample("_total", &[("service", name)], all.as_secs_f64());
    }
    page.family(
        "supd_service_memory_bytes",
        "gauge",
        "Resident memory of its process.",
    );
    for ((name, _), usage) in services(facts).zip(&now) {
        if let Some(usage) = usage {
            page.sample("", &[("service", name)], usage.resident);
        }
    }
}

fn recoveries(page: &mut Page, tally: &Tally) {
    page.family(
        "supd_recovery_seconds",
        "histogram",
        "From the end of a process to its replacement being ready, by the family of the end.",
    );
    for (family, histogram) in &tally.recovery {
        page.histogram(("family", family), histogram);
    }
}

fn remedies(page: &mut Page, tally: &Tally) {
    page.family(
        "supd_remediation_runs",
        "counter",
        "Runs of the entries of the registry by their verdict.",
    );
    for (name, answers) in &tally.remedies {
        for (verdict, count) in Verdict::ALL.iter().zip(answers) {
            let labels = [("remediation", &**name), ("verdict", verdict.as_str())];
            page.sample("_total", &labels, count);
        }
    }
    page.family(
        "supd_remediation_duration_seconds",
        "histogram",
        "How long they took.",
    );
    for (name, histogram) in &tally.treatment {
        page.histogram(("remediation", name), histogram);
    }
}

fn supervisors(page: &mut Page, facts: Facts<'_>) {
    let all = || {
        facts.tree.nodes.iter().filter_map(|seen| match &seen.spec {
            Node::Supervisor(spec) => Some((&*spec.name, spec, seen)),
            Node::Service(_) => None,
        })
    };
    page.family("supd_budget_used", "gauge", "Restarts in the window now.");
    for (name, _, seen) in all() {
        let used = seen.recorded.map_or(0, |(_, used)| used);
        page.sample("", &[("supervisor", name), ("bucket", "main")], used);
    }
    page.family(
        "supd_budget_limit",
        "gauge",
        "Restarts allowed in the window.",
    );
    for (name, spec, _) in all() {
        let labels = [("supervisor", name), ("bucket", "main")];
        page.sample("", &labels, spec.max_restarts);
    }
    page.family(
        "supd_escalations",
        "counter",
        "How often the supervisor gave up.",
    );
    for (name, ..) in all() {
        let count = facts.tally.escalations.get(name).copied().unwrap_or(0);
        page.sample("_total", &[("supervisor", name)], count);
    }
    page.family(
        "supd_health",
        "gauge",
        "1 for the state that the supervisor is in.",
    );
    for (name, _, seen) in all() {
        for health in State::OF_SUPERVISORS {
            let labels = [("supervisor", name), ("health", health.as_str())];
            page.sample("", &labels, u8::from(seen.state == health));
        }
    }
}

fn services(facts: Facts<'_>) -> impl Iterator<Item = (&str, &NodeView)> {
    facts.tree.nodes.iter().filter_map(|seen| match &seen.spec {
        Node::Service(service) => Some((&*service.name, seen)),
        Node::Supervisor(_) => None,
    })
}

/// The longest turn since somebody asked.
#[derive(Debug, Default)]
pub(crate) struct Lag(Duration);

impl Lag {
    /// A turn has ended.
    pub(crate) fn turn(&mut self, begun: Time, ended: Time) {
        self.0 = self.0.max(ended.since(begun));
    }

    /// The longest one, and begins anew.
    pub(crate) fn take(&mut self) -> Duration {
        std::mem::take(&mut self.0)
    }
}
