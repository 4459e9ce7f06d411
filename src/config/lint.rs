// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lints: configurations that can be used and will probably not do what was meant.
//!
//! A lint never changes the tree. Each says the numbers it was computed from. Their names, L1 to
//! L14, are those of the language's description, L15 is its unknown user; those of keys not
//! supported yet are absent.

use super::diagnostic::{Report, Sink};
use super::lint_breakers::out_of_reach;
use super::outline::{Kind, NodeSource, Outline};
use super::process;
use super::scalar::spell;
use super::value::{At, Field, Item, Table};
use super::{Account, Source};
use crate::spec::{
    AutoShutdown, Backoff, Command, EnvInherit, EnvValue, Jitter, Name, Node, ProbeTarget, Ready,
    Restart, Service, ServiceKind, Settings, Shutdown, StartMode, Strategy, Supervisor,
    SupervisorKind, UserRef,
};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// `max_restarts` when nobody says.
pub(super) const MAX_RESTARTS: u32 = 5;
/// More children than this on the default limit is probably forgetfulness (L13).
const CHILDREN_OF_DEFAULT: usize = 16;
/// Waits that are summed up at most: who grows that slowly is not told anything.
const STEPS_MAX: u32 = 10_000;
/// execvp(3)'s search path when there is none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is known about names of users and groups.
type Accounts = HashMap<(Account, Box<str>), Option<bool>>;

/// Looks at what was built.
pub(super) struct Lint<'a> {
    sink: &'a Sink,
    source: &'a dyn Source,
    env: &'a dyn Fn(&str) -> Option<String>,
    stops_written: RefCell<HashSet<Name>>,
    programs: RefCell<HashMap<PathBuf, Option<bool>>>,
    accounts: RefCell<Accounts>,
}

impl<'a> Lint<'a> {
    pub(super) fn new(
        sink: &'a Sink,
        source: &'a dyn Source,
        env: &'a dyn Fn(&str) -> Option<String>,
    ) -> Self {
        Self {
            sink,
            source,
            env,
            stops_written: RefCell::default(),
            programs: RefCell::default(),
            accounts: RefCell::default(),
        }
    }

    pub(super) fn push(
        &self,
        code: &'static str,
        message: String,
        (at, text): (At, String),
    ) -> Report {
        let _ = self;
        Report::new(code, message).at(at, text)
    }

    pub(super) fn say(&self, report: Report) {
        self.sink.push(report);
    }

    /// L1, L2, L9, L10, L12, L13 of one supervisor.
    pub(super) fn supervisor(&self, node: &NodeSource<'_>, built: &Supervisor, all: &Outline<'_>) {
        let at = node.table.get("max_restarts").map_or(node.at, Field::at);
        let budgets = node.table.get("budgets").map_or(at, |f| f.key_at);
        self.reachable(built, (at, budgets));
        let grouped = built.strategy != Strategy::OneForOne;
        let waits = built.children.len().saturating_sub(1);
        for (n, child) in built.children.iter().enumerate() {
            let Node::Service(service) = child else {
                continue;
            };
            let place = all.find(&service.name).map_or(node.at, |c| c.at);
            out_of_reach(self.sink, built, (service, place));
            let blind = service.kind == ServiceKind::Daemon && service.ready == Ready::Exec;
            if grouped && n < waits && blind && built.start == StartMode::Ordered {
                let message = format!("those after `{}` start before it can serve", service.name);
                let report = self.push("L2", message, (place, "no `ready`".to_owned()));
                self.sink
                    .push(report.help("order then only means spawned; add `ready`"));
            }
            if built.strategy == Strategy::OneForAll && service.restart == Restart::Temporary {
                let message = format!("`{}` is temporary in a one_for_all", service.name);
                let report = self.push("L9", message, (place, String::new()));
                self.sink
                    .push(report.help("the next group restart ends it for good"));
            }
        }
        if let Some(field) = node.table.get("restart")
            && built.restart == Restart::Transient
        {
            let message = format!("`{}` stays down after it has given up", built.name);
            let report = self.push("L12", message, (field.at(), String::new()));
            self.sink
                .push(report.help("as in OTP, giving up is a normal exit; `permanent` comes back"));
        }
        if node.kind == Kind::Supervisor || node.kind == Kind::ImplicitRoot {
            self.crowded(node.table, built, node.at);
        }
    }

    /// L1 and L13 of a pool.
    pub(super) fn pool(&self, table: &Table, built: &Supervisor, at: At) {
        let place = table.get("max_restarts").map_or(at, Field::at);
        self.reachable(built, (place, place));
        self.crowded(table, built, at);
    }

    fn crowded(&self, table: &Table, built: &Supervisor, at: At) {
        let count = built.children.len();
        if count > CHILDREN_OF_DEFAULT && !table.has("max_restarts") {
            let message = format!(
                "{count} children of `{}` share the default of {MAX_RESTARTS} restarts in 60s",
                built.name
            );
            let report = self.push("L13", message, (at, String::new()));
            self.sink
                .push(report.help("set `max_restarts`, or make groups"));
        }
    }

    /// L1: whether one failing child alone can use up the limit, and each budget of a family.
    fn reachable(&self, built: &Supervisor, (at, budgets): (At, At)) {
        let failing =
            |node: &&Node| matches!(node, Node::Service(_)) && node.restart() != Restart::Temporary;
        let own = built.budgets.iter().map(|own| {
            let of = format!("`budgets.{}` of `{}`", own.family.as_str(), built.name);
            (of, own.limit, own.period, budgets)
        });
        let name = format!("`{}`", built.name);
        let main = (name, built.max_restarts, built.period, at);
        for (of, limit, period, at) in std::iter::once(main).chain(own) {
            let mut last: Option<&Arc<Backoff>> = None;
            for child in built.children.iter().filter(failing) {
                // Neighbours share their back-off, and what was found about it.
                if last.is_some_and(|b| Arc::ptr_eq(b, child.backoff())) {
                    continue;
                }
                last = Some(child.backoff());
                let fits = restarts_within(child.backoff(), period, limit);
                if fits < limit {
                    self.out_of_reach((of, child.name(), at), (limit, period, fits));
                    break;
                }
            }
        }
    }

    fn out_of_reach(
        &self,
        (of, child, at): (String, &Name, At),
        (limit, period, fits): (u32, Duration, u32),
    ) {
        let window = spell(period);
        let is_budget = of.starts_with("`budgets.");
        let message = if is_budget {
            format!("{of} is never used up by a child that fails at once, such as `{child}`")
        } else {
            format!("{of} never gives up on a child that fails at once, such as `{child}`")
        };
        let text =
            format!("{limit} restarts in {window}, and its back-off lets at most {fits} happen");
        let key = if is_budget {
            "the limit"
        } else {
            "`max_restarts`"
        };
        let help = format!("set {key} to {fits} or less, or shorten its back-off");
        self.sink
            .push(self.push("L1", message, (at, text)).help(help));
    }

    /// L6: literals that look like secrets.
    pub(super) fn secrets(&self, table: &Table) {
        for (field, _) in process::secret_literals(table) {
            let message = format!("`{}` looks like a secret written into the file", field.key);
            let report = self.push("L6", message, (field.key_at, String::new()));
            let help = format!("read it at spawn: `{} = {{ file = \"…\" }}`", field.key);
            self.sink.push(report.help(help));
        }
    }

    /// L8: instances that cannot all have one port.
    pub(super) fn fixed_port(&self, table: &Table, one: &Ready, other: &Ready) {
        let (Ready::Probe(probe), Some(field)) = (one, table.get("ready")) else {
            return;
        };
        if one == other
            && let ProbeTarget::Tcp { port, .. } | ProbeTarget::Http { port, .. } = probe.target
        {
            let message = format!("all instances are asked at port {port}");
            let report = self.push("L8", message, (field.at(), String::new()));
            self.sink
                .push(report.help("use `${INSTANCE}` in the port, or `notify`"));
        }
    }

    /// L7: a program that is not there.
    pub(super) fn program(&self, service: &Service, table: &Table) {
        let Command::Argv(words) = &service.process.command else {
            return;
        };
        let Some(field) = table.get("command") else {
            return;
        };
        let program = &*words[0];
        let found = if program.contains('/') {
            let path = match (&service.process.workdir, Path::new(program)) {
                (_, path) if path.is_absolute() => path.to_path_buf(),
                (Some(directory), path) => directory.join(path),
                (None, _) => return,
            };
            self.executable(path)
        } else {
            let path = self.search_path(service);
            let all = path.split(':').filter(|d| !d.is_empty());
            let all: Vec<Option<bool>> = all
                .map(|directory| self.executable(Path::new(directory).join(program)))
                .collect();
            if all.contains(&Some(true)) {
                Some(true)
            } else {
                all.into_iter().flatten().next()
            }
        };
        if found == Some(false) {
            let message = format!("cannot find an executable `{program}`");
            let report = self.push("L7", message, (field.at(), String::new()));
            self.sink
                .push(report.help("install it, or name it by its whole path"));
        }
    }

    /// L15: users and groups that a start will not find.
    pub(super) fn accounts(&self, service: &Service, table: &Table) {
        let process = &service.process;
        let ids = process.user.iter().map(|id| ("user", Account::User, id));
        let group = process.group.iter().map(|id| ("group", Account::Group, id));
        let more = process.groups.iter().flatten();
        let more = more.map(|id| ("groups", Account::Group, id));
        for (key, kind, id) in ids.chain(group).chain(more) {
            let (UserRef::Name(name), Some(field)) = (id, table.get(key)) else {
                continue;
            };
            let mut known = self.accounts.borrow_mut();
            let found = known
                .entry((kind, name.clone()))
                .or_insert_with(|| self.source.account(kind, name));
            if *found == Some(false) {
                let word = match kind {
                    Account::User => "user",
                    Account::Group => "group",
                };
                let message = format!("there is no {word} `{name}` here");
                let report = self.push("L15", message, (field.at(), String::new()));
                self.sink
                    .push(report.help("the service cannot start without it; create it first"));
            }
        }
    }

    fn executable(&self, path: PathBuf) -> Option<bool> {
        let mut known = self.programs.borrow_mut();
        let ask = |path: &PathBuf| self.source.executable(path);
        *known.entry(path).or_insert_with_key(ask)
    }

    fn search_path(&self, service: &Service) -> String {
        let process = &service.process;
        let own = process.env.iter().find(|(name, _)| &**name == "PATH");
        if let Some((_, EnvValue::Plain(path))) = own {
            return path.to_string();
        }
        let inherited = match &process.env_inherit {
            EnvInherit::All => true,
            EnvInherit::Only(names) => names.iter().any(|n| &**n == "PATH"),
        };
        let path = if inherited { (self.env)("PATH") } else { None };
        path.unwrap_or_else(|| DEFAULT_PATH.to_owned())
    }

    /// Remembers who said how long its stop takes; L3 is not about defaults.
    pub(super) fn written_stop(&self, name: &Name, table: &Table) {
        let timed = match table.get("stop").map(|f| &f.value.item) {
            None => false,
            Some(Item::Table(stop)) => stop.has("timeout"),
            Some(_) => true,
        };
        if timed {
            self.stops_written.borrow_mut().insert(Arc::clone(name));
        }
    }

    /// L3 and L14: what only the whole tree tells.
    pub(super) fn tree(&self, top: &Table, settings: &Settings, root: &Supervisor) {
        let written = top.table("supd").and_then(|t| t.get("shutdown_timeout"));
        // What is about all of them is shown at the first.
        let tables = ["supervisor", "service"].map(|kind| top.table(kind));
        let nodes = tables
            .into_iter()
            .flatten()
            .flat_map(|table| &table.entries);
        let first = nodes.map(|entry| entry.key_at).min();
        let longest = stop_time(root, &self.stops_written.borrow());
        let allowed = settings.shutdown_timeout;
        if longest.is_none_or(|time| time > allowed) {
            let time = longest.map_or("for ever".to_owned(), spell);
            let message = format!(
                "stopping all can take {time}, and is cut off after {}",
                spell(allowed)
            );
            let report = Report::new("L3", message);
            let report = match written.map(Field::at).or(first) {
                Some(at) => report.at(at, ""),
                None => report,
            };
            let help = "raise `shutdown_timeout`, or lower `stop.timeout` along the order";
            self.sink.push(report.help(help));
        }
        if root.auto_shutdown == AutoShutdown::Never && !goes_on(root) {
            let report = Report::new("L14", "nothing will be left running, and nothing ends supd");
            let report = match first {
                Some(at) => report.at(at, "all of them end"),
                None => report,
            };
            let help = "add a service, or `auto_shutdown` to the root";
            self.sink.push(report.help(help));
        }
    }
}

/// Whether something below is meant to go on.
fn goes_on(supervisor: &Supervisor) -> bool {
    supervisor.children.iter().any(|child| match child {
        Node::Service(service) => service.kind == ServiceKind::Daemon,
        // A pool of none can be scaled.
        Node::Supervisor(inner) => inner.kind == SupervisorKind::Pool || goes_on(inner),
    })
}

/// The longest time the stops that were written can take; `None`: for ever.
fn stop_time(supervisor: &Supervisor, written: &HashSet<Name>) -> Option<Duration> {
    let of_child = |child: &Node| match child {
        Node::Supervisor(inner) => stop_time(inner, written),
        Node::Service(service) => {
            // An instance's stop is written in its pool.
            let told = written.contains(&service.name) || written.contains(&supervisor.name);
            let steps = service.stop.steps.iter().filter(|_| told);
            steps.map(|s| s.timeout).sum()
        }
    };
    let times: Option<Vec<Duration>> = supervisor.children.iter().map(of_child).collect();
    let whole = times.map(|times| match supervisor.start {
        StartMode::Ordered => times.iter().sum(),
        StartMode::Parallel => times.into_iter().max().unwrap_or_default(),
    });
    match (supervisor.shutdown, whole) {
        (Shutdown::Infinity, whole) => whole,
        (Shutdown::Within(limit), whole) => Some(whole.map_or(limit, |w| w.min(limit))),
    }
}

/// How many restarts of a child that fails at once fit into `period` with the luckiest chance.
///
/// The first restart of a curve is immediate; counting stops at `enough`.
pub(super) fn restarts_within(backoff: &Backoff, period: Duration, enough: u32) -> u32 {
    let (mut wait, factor, max, luck) = match backoff {
        Backoff::None => return enough,
        Backoff::List { delays, .. } => return listed_within(delays, period, enough),
        // It begins anew whenever the child was ready: with a successful exec, for all we know.
        Backoff::Curve(curve) if curve.reset_after == Some(Duration::ZERO) => return enough,
        Backoff::Curve(curve) => match curve.jitter {
            Jitter::Full => return enough,
            Jitter::None => (curve.initial, curve.factor, curve.max, 1.0),
            Jitter::Equal => (curve.initial, curve.factor, curve.max, 0.5),
            Jitter::Decorrelated => (curve.initial, 1.0, curve.max, 1.0),
        },
    };
    let window = period.as_secs_f64();
    let (mut spent, mut count) = (0.0, enough.min(1));
    while count < enough {
        if count > STEPS_MAX {
            return enough;
        }
        let shortest = wait.as_secs_f64() * luck;
        // Nothing grows any more: the rest can be divided.
        if factor <= 1.0 || wait >= max {
            return count.saturating_add(even_within(window - spent, shortest, enough - count));
        }
        spent += shortest;
        if spent > window {
            break;
        }
        count += 1;
        wait = Duration::try_from_secs_f64(wait.as_secs_f64() * factor).map_or(max, |w| w.min(max));
        if wait.is_zero() {
            return enough;
        }
    }
    count
}

fn listed_within(delays: &[Duration], period: Duration, enough: u32) -> u32 {
    let window = period.as_secs_f64();
    let (mut spent, mut count) = (0.0, 0);
    for delay in delays {
        spent += delay.as_secs_f64();
        if count >= enough || spent > window {
            return count;
        }
        count += 1;
    }
    let last = delays.last().map_or(0.0, Duration::as_secs_f64);
    count.saturating_add(even_within(
        window - spent,
        last,
        enough.saturating_sub(count),
    ))
}

fn even_within(left: f64, each: f64, enough: u32) -> u32 {
    if each <= 0.0 {
        return enough;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the range of a count before"
    )]
    let fit = (left / each).floor().clamp(0.0, f64::from(enough)) as u32;
    fit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::BackoffCurve;

    fn fits(jitter: Jitter, seconds: u64, enough: u32) -> u32 {
        let curve = BackoffCurve {
            initial: Duration::from_millis(200),
            factor: 2.0,
            max: Duration::from_secs(30),
            jitter,
            reset_after: None,
        };
        restarts_within(&Backoff::Curve(curve), Duration::from_secs(seconds), enough)
    }

    #[test]
    fn the_default_back_off_fits_the_default_limit_and_not_twenty() {
        assert_eq!(fits(Jitter::Equal, 60, 5), 5);
        // 0 .2 .4 .8 1.6 3.2 6.4 12.8 25.6 sum up to 51 s, the next 30 s are too many.
        assert_eq!(fits(Jitter::None, 60, 20), 9);
        assert_eq!(fits(Jitter::Full, 60, 20), 20);
        assert_eq!(fits(Jitter::Equal, 30, 10), 9);
    }

    #[test]
    fn a_list_repeats_its_last_delay() {
        let delays = [1, 2].map(Duration::from_secs).into();
        let list = Backoff::List {
            delays,
            reset_after: None,
        };
        assert_eq!(restarts_within(&list, Duration::from_secs(9), 100), 5);
        assert_eq!(restarts_within(&list, Duration::from_millis(900), 100), 0);
        assert_eq!(restarts_within(&list, Duration::from_secs(9), 3), 3);
        assert_eq!(restarts_within(&list, Duration::from_secs(9), 0), 0);
    }
}
