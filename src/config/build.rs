// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the outline to `spec::Supervisor` and `spec::Service`, top down.
//!
//! A branch hands its policy and its defaults down; a service lays its templates and its own
//! table on top of them. Recursion is bounded by the depth of the outline, which is checked.

use super::Describe;
use super::describe::Merged;
use super::diagnostic::{Report, Sink};
use super::lint::{self, Lint};
use super::outline::{self, Kind, NodeSource, Outline};
use super::reader::{Names, Reader};
use super::schema::{DEFAULTS, SERVICE};
use super::service::{self, Frame, NOT_FOR_DAEMON, NOT_FOR_ONESHOT, RESTARTS};
use super::value::{Item, Table};
use super::{breaker, budget, codes, remedy, timing, words};
use crate::spec::{
    AutoShutdown, Backoff, Node, Policy, Remedies, Restart, Service, ServiceKind, Shutdown,
    StartMode, Strategy, Supervisor, SupervisorKind, Then, limits,
};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// What a pool's instances are rendered from, at start and when it is scaled.
#[derive(Debug, Clone)]
pub(super) struct PoolPlan {
    /// The number in the file.
    pub(super) count: u32,
    table: Table,
    frame: Frame,
}

impl PoolPlan {
    /// Instances 1 to `count`.
    pub(super) fn render(&self, reader: &Reader<'_>, count: u32) -> Option<Vec<Arc<Service>>> {
        (1..=count)
            .map(|n| self.instance(reader, &n.to_string()))
            .collect()
    }

    /// The instance that is called so.
    pub(super) fn instance(&self, reader: &Reader<'_>, name: &str) -> Option<Arc<Service>> {
        service::service(reader, &self.table, &self.frame, Some(name)).map(Arc::new)
    }
}

/// Builds one tree.
pub(super) struct Builder<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) outline: &'a Outline<'a>,
    /// All files.
    pub(super) top: &'a Table,
    pub(super) lint: Lint<'a>,
    /// Who will stand above the tree.
    pub(super) above: Option<&'a Supervisor>,
    /// How long a stop may take when nobody says.
    pub(super) grace: Duration,
    /// What remedies can speak of.
    pub(super) known: Arc<remedy::Known>,
    pub(super) pools: RefCell<BTreeMap<String, PoolPlan>>,
    pub(super) services: Cell<usize>,
    pub(super) extended: RefCell<HashSet<Box<str>>>,
    /// The tables that nodes are built from, for who wants to know what was written where.
    pub(super) merged: RefCell<Merged>,
    pub(super) describe: Describe,
}

/// Every name means something, to those who cannot know what.
struct Anything;

impl Names for Anything {
    fn find(&self, _: &str) -> Option<Box<str>> {
        Some(Box::from("1"))
    }

    fn known(&self) -> Vec<Box<str>> {
        Vec::new()
    }
}

/// What a branch hands down.
struct Branch {
    policy: Policy,
    defaults: Table,
}

impl Builder<'_> {
    /// Keeps a table, if anybody wants to know.
    pub(super) fn describe<'t>(&self, what: impl FnOnce() -> (&'static str, &'t str, &'t Table)) {
        if self.describe == Describe::Yes {
            let (kind, name, table) = what();
            let kept = (kind, name.to_owned(), table.clone());
            self.merged.borrow_mut().0.push(kept);
        }
    }

    /// The whole tree; complete only when nothing was reported.
    pub(super) fn root(&self) -> Supervisor {
        let branch = Branch {
            policy: self.above.map_or(Policy::Supd, |above| above.policy),
            defaults: self.top.table("defaults").cloned().unwrap_or_default(),
        };
        let root = &self.outline.nodes[0];
        for key in ["restart", "significant", "required", "shutdown", "under"] {
            if let Some(field) = root.table.get(key) {
                let message = format!("`{key}` says nothing about the root");
                let report = Report::new(codes::ROOT_KEY, message).at(field.key_at, "");
                self.reader.report(report.help("nobody stands above it"));
            }
        }
        self.supervisor(root, &branch)
    }

    /// A template that nobody extends has mistakes, too. What hangs on a variable, or on the
    /// program that only a service has, cannot be judged.
    pub(super) fn unused_templates(&self) {
        let templates = self.top.table("template").into_iter();
        for (entry, template) in templates.flat_map(Table::tables) {
            if self.extended.borrow().contains(&*entry.key) {
                continue;
            }
            let aside = Sink::default();
            let reader = Reader {
                sink: &aside,
                names: &Anything,
                own: Vec::new(),
                ..*self.reader
            };
            let frame = Frame {
                name: Arc::clone(&entry.key),
                at: entry.key_at,
                policy: Policy::Supd,
                stop_grace: self.grace,
                known: Arc::clone(&self.known),
            };
            // The service is of no use: reading it reports.
            let whole = self.extended(template);
            let _unused = service::service(&reader, &whole, &frame, Some("1"));
            aside.hand_on(self.reader.sink, |code, at| {
                let text = self.reader.sources.text(at.file);
                let text = text.get(at.start as usize..at.end as usize);
                code != codes::NO_COMMAND && text.is_some_and(|t| !t.contains("${"))
            });
        }
    }

    fn supervisor(&self, node: &NodeSource<'_>, outer: &Branch) -> Supervisor {
        let branch = self.branch(node, outer);
        self.describe(|| ("supervisor", &node.name, node.table));
        let mut supervisor = self.bare(node, outer, branch.policy);
        if let (Kind::ImplicitRoot, Some(above)) = (node.kind, self.above) {
            // It stands for the supervisor that gets these children.
            supervisor.auto_shutdown = above.auto_shutdown;
        }
        for child in &node.children {
            let child = &self.outline.nodes[*child];
            let built = match child.kind {
                Kind::Service => self.leaf(child, &branch),
                Kind::Supervisor | Kind::ImplicitRoot => {
                    Some(Node::Supervisor(Arc::new(self.supervisor(child, &branch))))
                }
            };
            if let Some(built) = built {
                self.check_significant(child, &built, supervisor.auto_shutdown);
                supervisor.children.push(built);
            }
        }
        self.lint.supervisor(node, &supervisor, self.outline);
        supervisor
    }

    fn branch(&self, node: &NodeSource<'_>, outer: &Branch) -> Branch {
        let policies = [("supd", Policy::Supd), ("otp", Policy::Otp)];
        let mut defaults = outer.defaults.clone();
        if let Some(field) = node.table.get("defaults")
            && let Some(own) = self.reader.table(field, "{ user = \"app\" }")
        {
            defaults.merge(own, &DEFAULTS);
        }
        let policy = node.table.get("policy");
        let policy = policy.and_then(|f| self.reader.choice(f, &policies));
        Branch {
            policy: policy.unwrap_or(outer.policy),
            defaults,
        }
    }

    /// A supervisor without its children.
    fn bare(&self, node: &NodeSource<'_>, outer: &Branch, policy: Policy) -> Supervisor {
        let (reader, table) = (self.reader, node.table);
        let restart = table
            .get("restart")
            .and_then(|f| reader.choice(f, &RESTARTS));
        let autos = [
            ("never", AutoShutdown::Never),
            ("any_significant", AutoShutdown::AnySignificant),
            ("all_significant", AutoShutdown::AllSignificant),
        ];
        let auto = table.get("auto_shutdown");
        let flag = |key, default| match table.get(key) {
            None => default,
            Some(field) => reader.flag(field).unwrap_or(default),
        };
        let shutdown = table.get("shutdown").and_then(|f| reader.patience(f));
        let (max_restarts, period) = self.intensity(table);
        let strategy = outline::strategy(reader, table);
        let (budgets, on_exhausted) = budget::budgets(reader, table, policy);
        Supervisor {
            name: Arc::clone(&node.name),
            restart: restart.unwrap_or(Restart::Permanent),
            significant: flag("significant", false),
            required: flag("required", true),
            shutdown: shutdown.unwrap_or(Shutdown::Infinity),
            strategy,
            start: self.start(node, strategy),
            policy,
            max_restarts,
            period,
            budgets,
            on_exhausted,
            remedies: self.remedies_of(node, policy),
            auto_shutdown: auto
                .and_then(|f| reader.choice(f, &autos))
                .unwrap_or(AutoShutdown::Never),
            backoff: self.branch_backoff(outer),
            kind: SupervisorKind::Tree,
            children: Vec::new(),
        }
    }

    fn remedies_of(&self, node: &NodeSource<'_>, policy: Policy) -> Remedies {
        let owner = remedy::Owner {
            name: Some(&node.name),
            policy,
            known: &self.known,
        };
        remedy::of_node(self.reader, node.table, owner)
    }

    /// `[remediation]`.
    pub(super) fn registry(&self) -> Remedies {
        let Some(table) = self.top.table("remediation") else {
            return Arc::from([]);
        };
        self.describe(|| ("remediation", "", table));
        let owner = remedy::Owner {
            name: None,
            policy: Policy::Supd,
            known: &self.known,
        };
        remedy::remedies(self.reader, table, owner)
    }

    /// Supervisors wait by the curve of the branch they stand in.
    fn branch_backoff(&self, outer: &Branch) -> Arc<Backoff> {
        timing::backoff(self.reader, &outer.defaults, outer.policy)
    }

    fn start(&self, node: &NodeSource<'_>, strategy: Strategy) -> StartMode {
        let modes = [
            ("ordered", StartMode::Ordered),
            ("parallel", StartMode::Parallel),
        ];
        let Some(field) = node.table.get("start") else {
            return match node.kind {
                Kind::ImplicitRoot => StartMode::Parallel,
                Kind::Supervisor | Kind::Service => StartMode::Ordered,
            };
        };
        let mode = self.reader.choice(field, &modes);
        if mode == Some(StartMode::Parallel) && strategy == Strategy::RestForOne {
            self.reader.report(
                Report::new(codes::PARALLEL, "rest_for_one cannot start in parallel")
                    .at(field.at(), "")
                    .help("its meaning is the order of its children; take `start` out"),
            );
        }
        mode.unwrap_or(StartMode::Ordered)
    }

    /// OTP's intensity and period: `max_restarts` in `max_seconds`.
    fn intensity(&self, table: &Table) -> (u32, Duration) {
        let max = table.get("max_restarts");
        let max = max.and_then(|f| self.reader.integer(f, 0..=1_000_000_000));
        let seconds = table.get("max_seconds").and_then(|field| {
            if let Item::Text(text) = &field.value.item {
                let meant = super::scalar::duration(text).map(|span| span.as_secs_f64());
                let meant = meant.or_else(|| text.trim().parse().ok());
                let meant = meant.filter(|seconds| *seconds >= 0.001).unwrap_or(60.0);
                self.reader.report(
                    Report::new(
                        codes::WRONG_TYPE,
                        "`max_seconds` is a number; its unit is its name",
                    )
                    .at(field.at(), "")
                    .help(format!("write it as `max_seconds = {meant}`")),
                );
                return None;
            }
            self.reader.number(field, 0.001, "60")
        });
        (
            max.and_then(|n| u32::try_from(n).ok())
                .unwrap_or(lint::MAX_RESTARTS),
            Duration::from_secs_f64(seconds.unwrap_or(60.0)),
        )
    }

    /// OTP refuses these combinations, too (supervisor(3), "Automatic shutdown").
    fn check_significant(&self, child: &NodeSource<'_>, built: &Node, auto: AutoShutdown) {
        if !built.significant() {
            return;
        }
        let at = child
            .table
            .get("significant")
            .map_or(child.at, |f| f.key_at);
        if auto == AutoShutdown::Never {
            let message = "`significant` needs a supervisor with `auto_shutdown`";
            let report = Report::new(codes::SIGNIFICANT, message).at(at, "it would mean nothing");
            self.reader
                .report(report.help("set `auto_shutdown = \"any_significant\"` there"));
        }
        if built.restart() == Restart::Permanent {
            let message = "a significant child cannot be permanent: it never ends for good";
            let report = Report::new(codes::SIGNIFICANT_PERMANENT, message).at(at, "");
            self.reader
                .report(report.help("set `restart` to `transient` or `temporary`"));
        }
    }

    /// A service or a pool.
    fn leaf(&self, node: &NodeSource<'_>, branch: &Branch) -> Option<Node> {
        let written = self.extended(node.table);
        self.lint.secrets(&written);
        let mut whole = branch.defaults.clone();
        whole.merge(&written, &SERVICE);
        let refused: &[&str] = match service::kind(self.reader, &whole) {
            ServiceKind::Oneshot => &NOT_FOR_ONESHOT,
            ServiceKind::Daemon => &NOT_FOR_DAEMON,
        };
        let mut table = branch.defaults.without(refused);
        table.merge(&written, &SERVICE);
        service::check_kind(self.reader, &written, &table);
        breaker::check_policy(self.reader, &written, branch.policy);
        if branch.policy == Policy::Otp
            && let Some(field) = written.get("backoff")
        {
            let report = Report::new(codes::OTP, "there is no back-off under `policy = \"otp\"`");
            let report = report.at(field.key_at, "it would be ignored");
            self.reader
                .report(report.help("take it out, or take `policy` out"));
        }
        let frame = Frame {
            name: Arc::clone(&node.name),
            at: node.at,
            policy: branch.policy,
            stop_grace: self.grace,
            known: Arc::clone(&self.known),
        };
        self.describe(|| ("service", &node.name, &table));
        self.lint.written_stop(&node.name, &table);
        if table.has("instances") {
            return self
                .pool(&table, frame)
                .map(|p| Node::Supervisor(Arc::new(p)));
        }
        self.count(&frame, 1)?;
        let service = service::service(self.reader, &table, &frame, None)?;
        self.lint.program(&service, &table);
        self.lint.liveness(&service, &table);
        self.lint.accounts(&service, &table);
        Some(Node::Service(Arc::new(service)))
    }

    /// Nothing is rendered beyond the limit.
    fn count(&self, frame: &Frame, more: usize) -> Option<()> {
        let sum = self.services.get() + more;
        if sum <= limits::SERVICES_MAX {
            self.services.set(sum);
            return Some(());
        }
        let message = format!("a tree has at most {} services", limits::SERVICES_MAX);
        self.reader.report(
            Report::new(codes::SERVICES, message)
                .at(frame.at, "one too many")
                .help("take some out, or run a second supd for them"),
        );
        self.services.set(limits::SERVICES_MAX);
        None
    }

    fn pool(&self, table: &Table, frame: Frame) -> Option<Supervisor> {
        let field = table.get("instances")?;
        let most = i64::try_from(limits::SERVICES_MAX).unwrap_or(i64::MAX);
        let count = self.reader.integer(field, 0..=most).unwrap_or(0);
        let count = u32::try_from(count).ok()?;
        self.count(&frame, count as usize)?;
        let plan = PoolPlan {
            count,
            table: table.clone(),
            frame,
        };
        // One is rendered in any case: a pool of none has mistakes, too, and its variables are
        // needed when it is scaled.
        let first = plan.render(self.reader, 1)?;
        let instances = plan.render(self.reader, count)?;
        let first = first.into_iter().next()?;
        self.lint.program(&first, table);
        self.lint.liveness(&first, table);
        self.lint.accounts(&first, table);
        if let [one, other, ..] = instances.as_slice() {
            self.lint.fixed_port(table, &one.ready, &other.ready);
        }
        let (max_restarts, period) = self.intensity(table);
        let restart = table.get("pool_restart");
        let restart = restart.and_then(|f| self.reader.choice(f, &RESTARTS));
        let pool = Supervisor {
            name: Arc::clone(&plan.frame.name),
            // Its giving up is an incident of its supervisor, whatever its instances are.
            restart: restart.unwrap_or(Restart::Permanent),
            significant: false,
            required: first.required,
            shutdown: Shutdown::Infinity,
            strategy: Strategy::OneForOne,
            start: StartMode::Parallel,
            policy: plan.frame.policy,
            max_restarts,
            period,
            budgets: Arc::from([]),
            on_exhausted: Then::Escalate,
            remedies: Arc::from([]),
            auto_shutdown: AutoShutdown::Never,
            backoff: Arc::clone(&first.backoff),
            kind: SupervisorKind::Pool,
            children: instances.into_iter().map(Node::Service).collect(),
        };
        self.lint.pool(table, &pool, plan.frame.at);
        self.pools.borrow_mut().insert(pool.name.to_string(), plan);
        Some(pool)
    }

    /// A service's own table on top of the templates it extends, the outermost first.
    fn extended(&self, table: &Table) -> Table {
        let mut layers = vec![table];
        let mut seen: Vec<Box<str>> = Vec::new();
        let mut last = table;
        while let Some(field) = last.get("extends") {
            let Some(name) = self.reader.text(field) else {
                break;
            };
            if seen.contains(&name) {
                let message = format!("template `{name}` extends itself");
                let report = Report::new(codes::TEMPLATE_CIRCLE, message).at(field.at(), "");
                self.reader.report(report.help("take one `extends` out"));
                break;
            }
            let templates = self.top.table("template");
            let Some(template) = templates.and_then(|t| t.table(&name)) else {
                let known = templates
                    .into_iter()
                    .flat_map(|t| &t.entries)
                    .map(|e| &*e.key);
                let help = words::nearest(&name, known)
                    .map_or(format!("add `[template.{name}]`"), |n| {
                        format!("did you mean `{n}`?")
                    });
                let report = Report::new(codes::TEMPLATE, format!("there is no template `{name}`"));
                self.reader.report(report.at(field.at(), "").help(help));
                break;
            };
            self.extended.borrow_mut().insert(name.clone());
            seen.push(name);
            layers.push(template);
            last = template;
        }
        let mut whole = Table::default();
        for layer in layers.iter().rev() {
            whole.merge(layer, &SERVICE);
        }
        whole
    }
}
