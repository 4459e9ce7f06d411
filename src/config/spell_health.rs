// SPDX-License-Identifier: MIT OR Apache-2.0
//! The part of [`spell`](super::spell) about what is asked of a service: probes, signs of life, and
//! lists of signals.

use super::spell_process;
use super::spelling::{Lines, array, path, spell};
use crate::spec::{Health, Liveness, Probe, ProbeTarget, StopStep};
use std::time::Duration;

/// What is asked of a service while it is ready.
pub(super) fn health(lines: &mut Lines, health: &Health) {
    let Health {
        liveness,
        watchdog,
        kill,
    } = health;
    if let Some(liveness) = liveness {
        let Liveness { probe, failures } = &**liveness;
        let Probe {
            target: asked,
            every,
            timeout,
            recheck: _,
        } = probe;
        target(lines, "liveness", asked);
        lines.time("liveness.every", *every);
        lines.time("liveness.timeout", *timeout);
        lines.put("liveness.failures", failures.to_string());
        lines.put("liveness.kill", ladder(kill));
    }
    if let Some(time) = watchdog {
        lines.time("watchdog", *time);
    }
}

/// Nothing before SIGKILL is written as that.
fn ladder(kill: &[StopStep]) -> String {
    match kill {
        [] => "{ signal = \"KILL\" }".to_owned(),
        [step] => one(step),
        steps => self::steps(steps),
    }
}

/// What a probe tries.
pub(super) fn target(lines: &mut Lines, of: &str, target: &ProbeTarget) {
    let key = |kind: &str| format!("{of}.{kind}");
    match target {
        ProbeTarget::Exec(command) => {
            lines.put(&key("exec"), spell_process::command(command));
        }
        ProbeTarget::Tcp { host, port } if host.contains(':') => {
            lines.text(&key("tcp"), &format!("[{host}]:{port}"));
        }
        ProbeTarget::Tcp { host, port } => lines.text(&key("tcp"), &format!("{host}:{port}")),
        ProbeTarget::Http { host, port, path } if host.contains(':') => {
            lines.text(&key("http"), &format!("http://[{host}]:{port}{path}"));
        }
        ProbeTarget::Http { host, port, path } => {
            lines.text(&key("http"), &format!("http://{host}:{port}{path}"));
        }
        ProbeTarget::Unix(at) => lines.put(&key("unix"), path(at)),
        ProbeTarget::File(at) => lines.put(&key("file"), path(at)),
    }
}

/// A list of signals, each with its time.
pub(super) fn steps(steps: &[StopStep]) -> String {
    array(steps.iter().map(one))
}

fn one(step: &StopStep) -> String {
    let StopStep { signal, timeout } = step;
    let patience = |time: Option<Duration>| time.map_or("infinity".to_owned(), spell);
    let timeout = patience(*timeout);
    format!("{{ signal = \"{signal}\", timeout = \"{timeout}\" }}")
}
