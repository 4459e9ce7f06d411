// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random trees: every strategy, restart type, policy, readiness and stop ladder, one to four
//! levels deep, pools and oneshots among them. Whatever it builds, `config` would accept.

use super::dice::Dice;
use std::sync::Arc;
use std::time::Duration;
use supd::spec::{
    AutoShutdown, Backoff, BackoffCurve, ChildLines, Command, ExitCodePolicy, Health, Jitter,
    LogLevel, Node, Policy, Probe, ProbeTarget, Process, Ready, Reload, Restart, Scope, Service,
    ServiceKind, Settings, Shutdown, Signal, SocketSpec, StartMode, Stop, StopStep, Strategy,
    Supervisor, SupervisorKind, Then, Tree,
};

/// Supervisors nest at most this deep below the root.
const DEPTH: u32 = 3;

/// Builds one tree; names are numbered in the order of building.
#[derive(Debug)]
pub(crate) struct Forester<'a> {
    dice: &'a mut Dice,
    services: u32,
    supervisors: u32,
    room: u32,
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

impl<'a> Forester<'a> {
    pub(crate) fn new(dice: &'a mut Dice) -> Self {
        let room = 3 + u32::try_from(dice.below(18)).unwrap_or(0);
        Self {
            dice,
            services: 0,
            supervisors: 0,
            room,
        }
    }

    pub(crate) fn tree(&mut self) -> Tree {
        let policy = if self.dice.percent(25) {
            Policy::Otp
        } else {
            Policy::Supd
        };
        let mut root = self.supervisor(0, policy);
        root.name = Arc::from("root");
        root.restart = Restart::Permanent;
        root.significant = false;
        root.max_restarts = root.max_restarts.max(2) * 4;
        let parallelism = *self.dice.pick(&[1, 2, 64, 64, 64]);
        Tree {
            settings: Arc::new(settings(parallelism)),
            root: Arc::new(root),
            classes: Arc::default(),
            remedies: Arc::from([]),
            breakers: Arc::from([]),
        }
    }

    fn supervisor(&mut self, depth: u32, policy: Policy) -> Supervisor {
        self.supervisors += 1;
        let name: Arc<str> = Arc::from(format!("g{}", self.supervisors));
        let strategy = *self.dice.pick(&[
            Strategy::OneForOne,
            Strategy::OneForAll,
            Strategy::RestForOne,
        ]);
        let pool = depth > 0 && self.dice.percent(15);
        let parallel = strategy != Strategy::RestForOne && self.dice.percent(25);
        let auto_shutdown = *self.dice.pick(&[
            AutoShutdown::Never,
            AutoShutdown::Never,
            AutoShutdown::Never,
            AutoShutdown::AnySignificant,
            AutoShutdown::AllSignificant,
        ]);
        let auto_shutdown = if pool {
            AutoShutdown::Never
        } else {
            auto_shutdown
        };
        let mut sup = Supervisor {
            name,
            restart: *self.dice.pick(&[
                Restart::Permanent,
                Restart::Permanent,
                Restart::Transient,
                Restart::Temporary,
            ]),
            significant: false,
            required: true,
            shutdown: if self.dice.percent(80) {
                Shutdown::Infinity
            } else {
                Shutdown::Within(ms(self.dice.below(4000)))
            },
            strategy: if pool { Strategy::OneForOne } else { strategy },
            start: if parallel || pool {
                StartMode::Parallel
            } else {
                StartMode::Ordered
            },
            policy,
            max_restarts: u32::try_from(self.dice.below(6)).unwrap_or(3),
            period: ms(*self.dice.pick(&[200, 1000, 5000, 60_000])),
            auto_shutdown,
            backoff: self.backoff(),
            budgets: Arc::from([]),
            on_exhausted: Then::Escalate,
            remedies: Arc::from([]),
            kind: if pool {
                SupervisorKind::Pool
            } else {
                SupervisorKind::Tree
            },
            children: Vec::new(),
        };
        sup.children = if pool {
            self.instances(&sup.name)
        } else {
            self.children(depth, &sup)
        };
        sup
    }

    fn instances(&mut self, pool: &str) -> Vec<Node> {
        let mut template = self.service(AutoShutdown::Never);
        template.kind = ServiceKind::Daemon;
        template.enabled = true;
        let count = 1 + self.dice.below(4);
        (1..=count)
            .map(|number| {
                let mut service = template.clone();
                service.name = Arc::from(format!("{pool}.{number}"));
                Node::Service(Arc::new(service))
            })
            .collect()
    }

    fn children(&mut self, depth: u32, sup: &Supervisor) -> Vec<Node> {
        let mut children = Vec::new();
        for _ in 0..=self.dice.below(4) {
            if self.room == 0 {
                break;
            }
            self.room -= 1;
            let inner = depth < DEPTH && self.dice.percent(35);
            children.push(if inner {
                // OTP in the middle of a tree of our own is allowed; the other way round is not.
                let otp = sup.policy == Policy::Otp || self.dice.percent(15);
                let policy = if otp { Policy::Otp } else { Policy::Supd };
                let mut child = self.supervisor(depth + 1, policy);
                child.significant = self.significant(child.restart, sup.auto_shutdown);
                Node::Supervisor(Arc::new(child))
            } else {
                Node::Service(Arc::new(self.service(sup.auto_shutdown)))
            });
        }
        children
    }

    fn significant(&mut self, restart: Restart, auto: AutoShutdown) -> bool {
        auto != AutoShutdown::Never && restart != Restart::Permanent && self.dice.percent(60)
    }

    pub(crate) fn service(&mut self, auto: AutoShutdown) -> Service {
        self.services += 1;
        let name = format!("s{}", self.services);
        let oneshot = self.dice.percent(12);
        let restart = if oneshot {
            Restart::Transient
        } else {
            *self.dice.pick(&[
                Restart::Permanent,
                Restart::Permanent,
                Restart::Permanent,
                Restart::Transient,
                Restart::Temporary,
            ])
        };
        Service {
            name: Arc::from(name),
            kind: if oneshot {
                ServiceKind::Oneshot
            } else {
                ServiceKind::Daemon
            },
            restart,
            significant: self.significant(restart, auto),
            required: true,
            enabled: self.dice.percent(94),
            backoff: self.backoff(),
            hold_after: None,
            success_codes: if self.dice.percent(10) {
                Box::from([3])
            } else {
                Box::default()
            },
            success_signals: Box::default(),
            ready: if oneshot { Ready::Exec } else { self.ready() },
            start_timeout: Some(ms(100 + self.dice.below(900))),
            health: Health::default(),
            stop: Arc::new(self.stop()),
            reload: self.reload(),
            remedies: Arc::from([]),
            breakers: Arc::from([]),
            process: Arc::new(process("v1")),
        }
    }

    fn backoff(&mut self) -> Arc<Backoff> {
        Arc::new(match self.dice.below(4) {
            0 => Backoff::None,
            1 => Backoff::List {
                delays: Box::from([ms(0), ms(20), ms(100)]),
                reset_after: None,
            },
            _ => Backoff::Curve(BackoffCurve {
                initial: ms(10 + self.dice.below(90)),
                factor: 2.0,
                max: ms(800),
                jitter: *self.dice.pick(&[
                    Jitter::None,
                    Jitter::Full,
                    Jitter::Equal,
                    Jitter::Decorrelated,
                ]),
                reset_after: Some(ms(500)),
            }),
        })
    }

    fn ready(&mut self) -> Ready {
        match self.dice.below(9) {
            0..4 => Ready::Exec,
            4 => Ready::Notify,
            5 => Ready::Fd(3),
            6 => Ready::After(ms(self.dice.below(60))),
            _ => Ready::Probe(Arc::new(Probe {
                target: if self.dice.percent(50) {
                    ProbeTarget::Exec(Command::Shell(Box::from("probe")))
                } else {
                    ProbeTarget::File("/run/ready".into())
                },
                every: ms(20),
                timeout: ms(50),
                recheck: self.dice.percent(15).then(|| ms(40)),
            })),
        }
    }

    fn stop(&mut self) -> Stop {
        let step = |signal, timeout| StopStep {
            signal,
            timeout: Some(timeout),
        };
        Stop {
            command: self
                .dice
                .percent(10)
                .then(|| Command::Shell(Box::from("stop"))),
            steps: match self.dice.below(6) {
                0 => Box::default(),
                1 => Box::from([step(Signal::INT, ms(50)), step(Signal::TERM, ms(200))]),
                2 => Box::from([StopStep {
                    signal: Signal::TERM,
                    timeout: None,
                }]),
                3 => Box::from([step(Signal::TERM, ms(0))]),
                _ => Box::from([step(Signal::TERM, ms(300))]),
            },
            scope: *self.dice.pick(&[Scope::Tree, Scope::Group, Scope::Leader]),
        }
    }

    fn reload(&mut self) -> Option<Reload> {
        match self.dice.below(4) {
            0 => Some(Reload::Signal(Signal::HUP)),
            1 => Some(Reload::Command(Command::Shell(Box::from("reload")))),
            _ => None,
        }
    }
}

/// What a reload finds: the same tree, where programs and rules have changed, children are new,
/// gone, in another order or below another supervisor, and pools have another size.
pub(crate) fn variant(tree: &Tree, dice: &mut Dice) -> Tree {
    let version = format!("v{}", dice.below(1000));
    let mut root = (*tree.root).clone();
    let mut altering = Altering {
        version: &version,
        moving: Vec::new(),
        new: 0,
        dice,
    };
    altering.alter(&mut root);
    altering.settle_down(&mut root);
    Tree {
        settings: Arc::clone(&tree.settings),
        root: Arc::new(root),
        classes: Arc::clone(&tree.classes),
        remedies: Arc::clone(&tree.remedies),
        breakers: Arc::clone(&tree.breakers),
    }
}

/// A tree that is being altered.
struct Altering<'a> {
    version: &'a str,
    /// Taken out of one place, not yet put into another.
    moving: Vec<Arc<Service>>,
    new: u32,
    dice: &'a mut Dice,
}

impl Altering<'_> {
    fn alter(&mut self, sup: &mut Supervisor) {
        for child in &mut sup.children {
            match child {
                Node::Supervisor(inner) => {
                    let mut copy = (**inner).clone();
                    self.alter(&mut copy);
                    *inner = Arc::new(copy);
                }
                Node::Service(service) if self.dice.percent(25) => {
                    *service = Arc::new(self.alter_service(service));
                }
                Node::Service(_) => {}
            }
        }
        self.alter_rules(sup);
        self.alter_children(sup);
    }

    fn alter_service(&mut self, service: &Service) -> Service {
        let mut copy = service.clone();
        match self.dice.below(8) {
            0..4 => copy.process = Arc::new(process(self.version)),
            4 if copy.restart != Restart::Temporary && !copy.significant => {
                let daemon = copy.kind == ServiceKind::Daemon;
                copy.restart = if daemon && self.dice.percent(50) {
                    Restart::Permanent
                } else {
                    Restart::Transient
                };
            }
            _ => copy.start_timeout = Some(ms(100 + self.dice.below(900))),
        }
        copy
    }

    fn alter_rules(&mut self, sup: &mut Supervisor) {
        if self.dice.percent(15) {
            sup.max_restarts = u32::try_from(self.dice.below(6)).unwrap_or(3).max(1);
        }
        let unordered = sup.start == StartMode::Parallel;
        if sup.kind == SupervisorKind::Tree && self.dice.percent(10) {
            sup.strategy = *self.dice.pick(&[Strategy::OneForOne, Strategy::OneForAll]);
        }
        if sup.kind == SupervisorKind::Tree && !unordered && self.dice.percent(10) {
            sup.strategy = Strategy::RestForOne;
        }
    }

    fn alter_children(&mut self, sup: &mut Supervisor) {
        // OTP's code_change never removes a child, it puts it last: an order the judges do not
        // follow.
        if sup.policy == Policy::Otp {
            return;
        }
        if sup.kind == SupervisorKind::Pool {
            return self.resize(sup);
        }
        if sup.children.len() > 1 && self.dice.percent(15) {
            let at = self.place(sup.children.len() - 1);
            let taken = sup.children.remove(at);
            if let Node::Service(service) = taken
                && !service.significant
                && self.dice.percent(50)
            {
                self.moving.push(service);
            }
        }
        if sup.children.len() > 1 && self.dice.percent(8) {
            let at = self.place(sup.children.len() - 1);
            sup.children[at..].rotate_left(1);
        }
        if self.dice.percent(12) {
            self.new += 1;
            let mut service = Forester::new(self.dice).service(AutoShutdown::Never);
            service.name = Arc::from(format!("n{}", self.new));
            let at = self.place(sup.children.len());
            sup.children.insert(at, Node::Service(Arc::new(service)));
        }
    }

    fn resize(&mut self, pool: &mut Supervisor) {
        let Some(Node::Service(first)) = pool.children.first().cloned() else {
            return;
        };
        if !self.dice.percent(20) {
            return;
        }
        let count = 1 + self.dice.below(5);
        let mut children = std::mem::take(&mut pool.children);
        children.truncate(usize::try_from(count).unwrap_or(1));
        for number in children.len() + 1..=usize::try_from(count).unwrap_or(1) {
            let mut service = (*first).clone();
            service.name = Arc::from(format!("{}.{number}", pool.name));
            children.push(Node::Service(Arc::new(service)));
        }
        pool.children = children;
    }

    /// Those that move find a place below whoever takes them.
    fn settle_down(&mut self, sup: &mut Supervisor) {
        let takes = sup.kind == SupervisorKind::Tree && sup.policy == Policy::Supd;
        if takes && self.dice.percent(50) {
            for service in self.moving.drain(..) {
                sup.children.push(Node::Service(service));
            }
        }
        for child in &mut sup.children {
            if let Node::Supervisor(inner) = child {
                let mut copy = (**inner).clone();
                self.settle_down(&mut copy);
                *inner = Arc::new(copy);
            }
        }
    }

    /// 0 to `last`.
    fn place(&mut self, last: usize) -> usize {
        let last = u64::try_from(last).unwrap_or(0);
        usize::try_from(self.dice.below(last + 1)).unwrap_or(0)
    }
}

pub(crate) fn process(version: &str) -> Process {
    let command = Command::Argv(["program", version].into_iter().map(Box::from).collect());
    Process {
        pdeathsig: Some(Signal::KILL),
        ..Process::new(command)
    }
}

pub(crate) fn settings(start_parallelism: u32) -> Settings {
    Settings {
        socket: SocketSpec::default(),
        metrics: None,
        state_dir: None,
        log_format: None,
        log_level: LogLevel::Info,
        log_children: ChildLines::Prefix,
        log_timestamps: false,
        shutdown_timeout: Duration::from_secs(9),
        exit_code: ExitCodePolicy::Cause,
        exit_delay: Duration::ZERO,
        exit_on_term: 0,
        start_parallelism,
        hook_parallelism: 4,
        events_kept: 64,
    }
}
