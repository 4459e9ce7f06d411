// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every key of the language, in one place: what exists, what stands below it, what excludes what,
//! and which keys of CONFIG.md this version does not know yet.
//!
//! The check of keys, the merge of layers and the reference page all read these tables. They say
//! nothing about the form of a value: that is decided where it is read.

use super::schema_breaker::{BREAKERS, HOLD_AFTER};

/// One kind of table.
#[derive(Debug)]
pub(super) struct Shape {
    /// How messages call it.
    pub(super) what: &'static str,
    pub(super) keys: &'static [Key],
    /// Groups of which a later layer's choice replaces an earlier one's.
    pub(super) rivals: &'static [&'static [&'static str]],
    /// Keys of the language that this version refuses.
    pub(super) later: &'static [&'static str],
    /// Any other key has such a table: `[service.NAME]`.
    pub(super) each: Option<&'static Shape>,
    /// What may stand there instead of such a table.
    pub(super) forms: Forms,
}

/// What the tables under names may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forms {
    /// Tables.
    Table,
    /// Tables, or short forms of them.
    TableOrShort,
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) below: Below,
}

/// What stands under a key.
#[derive(Debug)]
pub(super) enum Below {
    /// A value.
    Value,
    /// A table, or a short form of it.
    Table(&'static Shape),
    /// A table, or a list of smaller tables.
    Steps(&'static Shape, &'static Shape),
    /// Tables by name.
    Named(&'static Shape),
    /// Keys of the reader's own choice.
    Free,
}

pub(super) const fn value(name: &'static str) -> Key {
    Key {
        name,
        below: Below::Value,
    }
}

pub(super) const fn table(name: &'static str, shape: &'static Shape) -> Key {
    Key {
        name,
        below: Below::Table(shape),
    }
}

const fn named(name: &'static str, shape: &'static Shape) -> Key {
    Key {
        name,
        below: Below::Named(shape),
    }
}

const fn free(name: &'static str) -> Key {
    Key {
        name,
        below: Below::Free,
    }
}

pub(super) const fn shape(what: &'static str, keys: &'static [Key]) -> Shape {
    Shape {
        what,
        keys,
        rivals: &[],
        later: &[],
        each: None,
        forms: Forms::Table,
    }
}

/// Every key this version accepts, as dotted paths: `supd.log.level`, `service.NAME.ready.tcp`.
pub fn accepted_keys() -> Vec<String> {
    let mut paths = Vec::new();
    collect(&ROOT, "", &mut paths);
    paths
}

/// Bounded by the depth of the shapes above, which is five.
fn collect(shape: &Shape, prefix: &str, paths: &mut Vec<String>) {
    if let Some(each) = shape.each {
        collect(each, &format!("{prefix}NAME."), paths);
    }
    for key in shape.keys {
        let path = format!("{prefix}{}", key.name);
        match &key.below {
            Below::Value | Below::Free => paths.push(path),
            Below::Table(below) | Below::Steps(below, _) | Below::Named(below) => {
                collect(below, &format!("{path}."), paths);
            }
        }
    }
}

/// Keys of the reader's own choice: `env`, `[vars]`.
pub(super) static FREE: Shape = shape("this table", &[]);

/// The top of a file.
pub(super) static ROOT: Shape = Shape {
    ..shape(
        "the outermost table",
        &[
            value("version"),
            value("include"),
            free("vars"),
            table("supd", &SUPD),
            table("defaults", &DEFAULTS),
            named("template", &TEMPLATES),
            named("supervisor", &SUPERVISORS),
            named("service", &SERVICES),
            named("class", &CLASSES),
            named("breaker", &BREAKERS),
            named("remediation", &REMEDIES),
        ],
    )
};

static SUPD: Shape = shape(
    "[supd]",
    &[
        table("socket", &SOCKET),
        table("metrics", &METRICS),
        value("state_dir"),
        table("log", &SUPD_LOG),
        value("shutdown_timeout"),
        value("exit_code"),
        value("exit_delay"),
        value("exit_on_term"),
        value("start_parallelism"),
        value("hook_parallelism"),
        value("events_kept"),
    ],
);

static METRICS: Shape = shape("`metrics`", &[value("listen")]);
static SOCKET: Shape = shape(
    "`socket`",
    &[value("path"), value("group"), value("read_group")],
);
static SUPD_LOG: Shape = shape(
    "`log` of [supd]",
    &[
        value("format"),
        value("level"),
        value("children"),
        value("timestamps"),
    ],
);

static SERVICES: Shape = Shape {
    each: Some(&SERVICE),
    ..shape("[service]", &[])
};
static TEMPLATES: Shape = Shape {
    each: Some(&TEMPLATE),
    ..shape("[template]", &[])
};
static CLASSES: Shape = Shape {
    each: Some(&CLASS),
    ..shape("[class]", &[])
};
static CLASS: Shape = shape(
    "a class",
    &[
        value("family"),
        value("blames"),
        value("base"),
        value("codes"),
        value("signals"),
        value("stderr"),
        value("stdout"),
        value("uptime"),
        value("phase"),
        value("early"),
        value("trust_output"),
        Key {
            name: "example",
            below: Below::Steps(&EXAMPLE, &EXAMPLE),
        },
    ],
);
static EXAMPLE: Shape = shape(
    "an example of a class",
    &[
        value("code"),
        value("signal"),
        value("stderr"),
        value("stdout"),
        value("expect"),
    ],
);
static SUPERVISORS: Shape = Shape {
    each: Some(&SUPERVISOR),
    ..shape("[supervisor]", &[])
};

const SERVICE_LATER: &[&str] = &["recycle"];
/// What is run: two ways to say it.
const PROGRAM: &[&str] = &["command", "shell"];

/// `[service.x]`. The keys of a template and of defaults are its first ones.
pub(super) static SERVICE: Shape = Shape {
    rivals: &[PROGRAM],
    later: SERVICE_LATER,
    ..shape("a service", &SERVICE_KEYS)
};
static TEMPLATE: Shape = Shape {
    rivals: &[PROGRAM],
    later: SERVICE_LATER,
    ..shape(
        "a template",
        SERVICE_KEYS.split_at(SERVICE_KEYS.len() - 1).0,
    )
};
/// `[defaults]` and a branch's `defaults`.
pub(super) static DEFAULTS: Shape = Shape {
    rivals: &[PROGRAM],
    later: SERVICE_LATER,
    ..shape("defaults", SERVICE_KEYS.split_at(SERVICE_KEYS.len() - 5).0)
};

static SERVICE_KEYS: [Key; 47] = [
    value("command"),
    value("shell"),
    value("type"),
    value("timeout"),
    value("enabled"),
    value("instances"),
    value("restart"),
    value("significant"),
    table("backoff", &BACKOFF),
    value("breakers"),
    table("hold_after", &HOLD_AFTER),
    value("success_codes"),
    value("success_signals"),
    table("ready", &READY),
    value("start_timeout"),
    table("liveness", &LIVENESS),
    value("watchdog"),
    value("required"),
    Key {
        name: "stop",
        below: Below::Steps(&STOP, &STOP_STEP),
    },
    table("reload", &RELOAD),
    named("remediation", &REMEDIES),
    value("user"),
    value("group"),
    value("groups"),
    value("umask"),
    value("workdir"),
    value("chroot"),
    free("env"),
    value("env_inherit"),
    value("env_file"),
    table("limits", &LIMITS),
    value("nice"),
    value("oom_score_adj"),
    value("cpu_affinity"),
    table("capabilities", &CAPABILITIES),
    value("no_new_privileges"),
    value("stdin"),
    value("tty"),
    value("listen"),
    value("pdeathsig"),
    value("control"),
    table("log", &LOG),
    // The last five are not for `[defaults]`, the last one not for a template.
    value("pool_restart"),
    value("max_restarts"),
    value("max_seconds"),
    value("extends"),
    value("under"),
];

static BACKOFF: Shape = shape(
    "`backoff`",
    &[
        value("initial"),
        value("factor"),
        value("max"),
        value("jitter"),
        value("reset_after"),
    ],
);
static READY: Shape = Shape {
    rivals: &[&[
        "exec", "notify", "fd", "tcp", "unix", "file", "after", "http", "log",
    ]],
    later: &["log"],
    ..shape(
        "`ready`",
        &[
            value("exec"),
            value("notify"),
            value("fd"),
            value("tcp"),
            value("http"),
            value("unix"),
            value("file"),
            value("after"),
            value("every"),
            value("timeout"),
            value("recheck"),
        ],
    )
};
static LIVENESS: Shape = Shape {
    rivals: &[&["exec", "tcp", "http", "unix", "file", "log"]],
    ..shape(
        "`liveness`",
        &[
            value("exec"),
            value("tcp"),
            value("http"),
            value("unix"),
            value("file"),
            value("every"),
            value("timeout"),
            value("failures"),
            Key {
                name: "kill",
                below: Below::Steps(&STOP_STEP, &STOP_STEP),
            },
        ],
    )
};
static STOP: Shape = shape(
    "`stop`",
    &[
        value("signal"),
        value("timeout"),
        value("command"),
        value("scope"),
    ],
);
static STOP_STEP: Shape = shape("a step of `stop`", &[value("signal"), value("timeout")]);
static RELOAD: Shape = Shape {
    rivals: &[&["signal", "command"]],
    ..shape("`reload`", &[value("signal"), value("command")])
};
static LIMITS: Shape = Shape {
    later: &["memory", "pids", "cpu_max"],
    ..shape(
        "`limits`",
        &[
            value("as"),
            value("core"),
            value("cpu"),
            value("data"),
            value("fsize"),
            value("memlock"),
            value("msgqueue"),
            value("nice"),
            value("nofile"),
            value("nproc"),
            value("rtprio"),
            value("rttime"),
            value("sigpending"),
            value("stack"),
        ],
    )
};
static CAPABILITIES: Shape = shape("`capabilities`", &[value("bounding"), value("ambient")]);
static LOG: Shape = shape(
    "`log`",
    &[value("to"), value("ring"), table("rotate", &ROTATE)],
);
static ROTATE: Shape = shape(
    "`rotate`",
    &[value("size"), value("keep"), value("compress")],
);

/// `[remediation]` and `remediation` of a node: by class, each a command or a table.
static REMEDIES: Shape = Shape {
    each: Some(&REMEDY),
    forms: Forms::TableOrShort,
    ..shape("`remediation`", &[])
};
static REMEDY: Shape = Shape {
    rivals: &[&["run", "shell", "steps"]],
    ..shape(
        "a remedy",
        &[
            value("run"),
            value("shell"),
            Key {
                name: "steps",
                below: Below::Steps(&NO_TABLE, &REMEDY_STEP),
            },
            value("timeout"),
            value("limit"),
            value("counts"),
            value("mode"),
            value("as"),
            value("single_flight"),
        ],
    )
};
static NO_TABLE: Shape = shape("`steps`", &[]);
static REMEDY_STEP: Shape = Shape {
    later: &["wait_for", "open_breaker"],
    ..shape(
        "a step of a remedy",
        &[
            value("run"),
            value("shell"),
            value("delay"),
            table("signal", &SIGNAL_STEP),
            value("restart"),
            value("capture"),
            table("remove_stale_lock", &LOCK_STEP),
        ],
    )
};
static SIGNAL_STEP: Shape = shape("`signal`", &[value("service"), value("signal")]);
static LOCK_STEP: Shape = shape("`remove_stale_lock`", &[value("path"), value("kind")]);

static BUDGETS: Shape = shape(
    "`budgets`",
    &[
        value("clean"),
        value("transient"),
        value("config"),
        value("resource"),
        value("hang"),
        value("fault"),
        value("external"),
    ],
);
static SUPERVISOR: Shape = shape(
    "a supervisor",
    &[
        value("strategy"),
        value("max_restarts"),
        value("max_seconds"),
        table("budgets", &BUDGETS),
        value("on_exhausted"),
        value("children"),
        value("start"),
        value("policy"),
        value("restart"),
        value("significant"),
        value("auto_shutdown"),
        value("shutdown"),
        value("required"),
        value("under"),
        named("remediation", &REMEDIES),
        table("defaults", &DEFAULTS),
    ],
);
