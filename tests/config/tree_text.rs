// SPDX-License-Identifier: MIT OR Apache-2.0
//! A tree as text for people: what the snapshots of `tests/config.rs` show.

use std::fmt::Write as _;
use supd::spec::{EnvValue, Node, Remedy, Service, Supervisor, Then, Tree};

/// The settings and the tree, one fact a line.
pub(crate) fn tree_text(tree: &Tree) -> String {
    let mut out = String::new();
    writeln!(out, "{:#?}", tree.settings).expect("a string");
    remedies(&mut out, &tree.remedies, "");
    supervisor(&mut out, &tree.root, 0);
    for rule in &tree.classes.rules {
        writeln!(out, "class {rule:?}").expect("a string");
    }
    if !tree.classes.patterns.is_empty() {
        writeln!(out, "patterns {:?}", tree.classes.patterns).expect("a string");
    }
    out
}

fn supervisor(out: &mut String, s: &Supervisor, depth: usize) {
    let pad = "  ".repeat(depth);
    writeln!(
        out,
        "{pad}{} ({:?}) {:?} {:?} {:?} {}/{:?} restart {:?} shutdown {:?} auto {:?} \
         significant {} required {}",
        s.name,
        s.kind,
        s.strategy,
        s.start,
        s.policy,
        s.max_restarts,
        s.period,
        s.restart,
        s.shutdown,
        s.auto_shutdown,
        s.significant,
        s.required,
    )
    .expect("a string");
    writeln!(out, "{pad}  backoff {:?}", s.backoff).expect("a string");
    if !s.budgets.is_empty() || s.on_exhausted != Then::Escalate {
        writeln!(out, "{pad}  then {:?}", s.on_exhausted).expect("a string");
    }
    for own in s.budgets.iter() {
        let family = own.family.as_str();
        let (limit, period, then) = (own.limit, own.period, own.then);
        writeln!(out, "{pad}  {family} {limit}/{period:?} {then:?}").expect("a string");
    }
    remedies(out, &s.remedies, &format!("{pad}  "));
    for child in &s.children {
        match child {
            Node::Supervisor(inner) => supervisor(out, inner, depth + 1),
            Node::Service(leaf) => service(out, leaf, depth + 1),
        }
    }
}

fn remedies(out: &mut String, remedies: &[std::sync::Arc<Remedy>], pad: &str) {
    for remedy in remedies {
        writeln!(out, "{pad}{remedy:?}").expect("a string");
    }
}

fn service(out: &mut String, s: &Service, depth: usize) {
    let pad = "  ".repeat(depth);
    let mut line = |text: String| writeln!(out, "{pad}{text}").expect("a string");
    line(format!(
        "{} {:?} restart {:?} significant {} required {} enabled {}",
        s.name, s.kind, s.restart, s.significant, s.required, s.enabled
    ));
    line(format!("  {:?}", s.process.command));
    line(format!(
        "  ready {:?} within {:?}",
        s.ready, s.start_timeout
    ));
    if s.health.is_watched() {
        line(format!("  health {:?}", s.health));
    }
    line(format!("  stop {:?}", s.stop));
    line(format!("  backoff {:?}", s.backoff));
    if !s.breakers.is_empty() {
        line(format!("  breakers {:?}", s.breakers));
    }
    if let Some(own) = s.hold_after {
        line(format!("  {own:?}"));
    }
    line(format!(
        "  success {:?} {:?}",
        s.success_codes, s.success_signals
    ));
    line(format!("  reload {:?}", s.reload));
    let p = &s.process;
    line(format!(
        "  chroot {:?} cpus {:?} bounding {:?} ambient {:?} tty {} listen {:?}",
        p.chroot, p.cpu_affinity, p.capabilities.bounding, p.capabilities.ambient, p.tty, p.listen
    ));
    for (name, value) in &p.env {
        match value {
            EnvValue::Plain(text) => line(format!("  env {name}={text}")),
            EnvValue::File(path) => line(format!("  env {name} from {}", path.display())),
        }
    }
    line(format!(
        "  inherit {:?} files {:?}",
        p.env_inherit, p.env_files
    ));
    line(format!(
        "  user {:?} group {:?} groups {:?} umask {:?} workdir {:?}",
        p.user, p.group, p.groups, p.umask, p.workdir
    ));
    line(format!(
        "  limits {:?} nice {:?} oom {:?} nnp {} stdin {:?} pdeathsig {:?} control {} logs {:?}",
        p.limits,
        p.nice,
        p.oom_score_adj,
        p.no_new_privileges,
        p.stdin,
        p.pdeathsig,
        p.control,
        p.logs
    ));
    remedies(out, &s.remedies, &format!("{pad}  "));
}
