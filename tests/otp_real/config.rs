// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a recorded specification to a configuration file under `policy = "otp"`.
//!
//! Names are unique in a file and ids of the recordings are not: a node is called by the ids from
//! below the root to itself, joined by dashes (`s-w`), an instance of a pool behind a dot (`p.i1`).
//! How the test program behaves stands in its command, as for any program.

use super::Programs;
use crate::otp::case::{AutoShutdownName, Kind, OnTerm, RestartType, Spec, StrategyName};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;

/// The name in the file of what the recordings call `root.s.w`, outside pools.
pub(crate) fn name_of(path: &str) -> String {
    let below = path.strip_prefix("root.").unwrap_or(path);
    below.replace('.', "-")
}

/// What the recordings call the node of this name.
pub(crate) fn path_of(name: &str) -> String {
    if name == "root" {
        return name.to_owned();
    }
    format!("root.{}", name.replace('-', "."))
}

/// Writes configurations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) programs: &'a Programs,
    /// Where the counters of failing starts are.
    pub(crate) dir: &'a Path,
}

impl Writer<'_> {
    /// A whole configuration.
    pub(crate) fn tree(&self, root: &Spec) -> String {
        let settings = "[supd]\nshutdown_timeout = \"1d\"\nexit_delay = \"0s\"\n\
                        log = { format = \"json\", level = \"debug\" }\n";
        format!("{settings}{}", self.node(root, &root.id))
    }

    /// A node and everything below it.
    pub(crate) fn node(&self, spec: &Spec, path: &str) -> String {
        match spec.kind {
            Kind::Worker => self.worker(spec, &name_of(path), ""),
            Kind::Supervisor if spec.strategy == Some(StrategyName::SimpleOneForOne) => {
                self.pool(spec, &name_of(path))
            }
            Kind::Supervisor => self.supervisor(spec, path),
        }
    }

    fn supervisor(&self, spec: &Spec, path: &str) -> String {
        let below = |child: &Spec| format!("{path}.{}", child.id);
        let names: Vec<String> = spec.children.iter().map(|c| name_of(&below(c))).collect();
        let auto = match spec.auto_shutdown.unwrap_or(AutoShutdownName::Never) {
            AutoShutdownName::Never => "never",
            AutoShutdownName::AnySignificant => "any_significant",
            AutoShutdownName::AllSignificant => "all_significant",
        };
        let strategy = match spec.strategy {
            None | Some(StrategyName::OneForOne | StrategyName::SimpleOneForOne) => "one_for_one",
            Some(StrategyName::OneForAll) => "one_for_all",
            Some(StrategyName::RestForOne) => "rest_for_one",
        };
        let mut text = format!(
            "[supervisor.{}]\nstrategy = \"{strategy}\"\nauto_shutdown = \"{auto}\"\n\
             children = {names:?}\n{}",
            name_of(path),
            limit(spec),
        );
        if path == "root" {
            text.push_str("policy = \"otp\"\n");
        } else {
            let significant = spec.significant;
            let _ = writeln!(text, "restart = \"{}\"", restart(spec));
            let _ = writeln!(text, "significant = {significant}");
        }
        for child in &spec.children {
            text.push_str(&self.node(child, &below(child)));
        }
        text
    }

    /// A pool has no instances until somebody starts them.
    fn pool(&self, spec: &Spec, name: &str) -> String {
        let own = format!(
            "instances = 0\npool_restart = \"{}\"\n{}",
            restart(spec),
            limit(spec)
        );
        let template = spec.children.first();
        template.map_or_else(String::new, |template| self.worker(template, name, &own))
    }

    fn worker(&self, spec: &Spec, name: &str, pool: &str) -> String {
        let stop = match &spec.shutdown {
            Some(Value::String(word)) if word == "brutal_kill" => {
                "{ signal = \"KILL\" }".to_owned()
            }
            Some(Value::Number(ms)) => format!("{{ signal = \"TERM\", timeout = \"{ms}ms\" }}"),
            _ => "{ signal = \"TERM\", timeout = \"infinity\" }".to_owned(),
        };
        let significant = if spec.significant {
            "significant = true\n"
        } else {
            ""
        };
        format!(
            "[service.{name}]\ncommand = {:?}\nrestart = \"{}\"\nready = {{ notify = true }}\n\
             stop = {stop}\n{significant}{pool}",
            self.command(spec.on_term),
            restart(spec),
        )
    }

    /// The program ends by USR1 with 0 and by USR2 with 1; what a TERM does it has decided before
    /// it says that it is ready.
    fn command(&self, on_term: OnTerm) -> Vec<String> {
        let manner = match on_term {
            OnTerm::Exit => "",
            OnTerm::Ignore => "ignore TERM",
            OnTerm::Error => "on TERM exit 1",
        };
        let mut words = self.programs.child.clone();
        let script = format!("{manner} on USR1 exit 0 on USR2 exit 1 counter-file");
        words.extend(script.split_whitespace().map(str::to_owned));
        words.push(format!("{}/${{NAME}}", self.dir.display()));
        words.extend(["ready", "sleep", "forever"].map(str::to_owned));
        words
    }
}

fn limit(spec: &Spec) -> String {
    format!(
        "max_restarts = {}\nmax_seconds = {}.{:03}\n",
        spec.intensity,
        spec.period_ms / 1000,
        spec.period_ms % 1000
    )
}

fn restart(spec: &Spec) -> &'static str {
    match spec.restart.unwrap_or(RestartType::Permanent) {
        RestartType::Permanent => "permanent",
        RestartType::Transient => "transient",
        RestartType::Temporary => "temporary",
    }
}
