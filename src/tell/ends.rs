// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a run ended, in a clause for people.

use crate::wire::LastExit;
use crate::wire::visible::visible;

/// How a run ended, in the process's own words: `exit 1`, `SIGSEGV, core`, `cannot exec`.
pub fn how(exit: &LastExit) -> String {
    let how = match (&exit.failure, &exit.signal, exit.code) {
        (Some(failure), _, _) => {
            let stage = match &failure.path {
                Some(path) => format!("{} {}", visible(&failure.stage), visible(path)),
                None => visible(&failure.stage),
            };
            match &failure.message {
                Some(message) => format!("cannot {stage}: {}", visible(message)),
                None => format!("cannot {stage} (errno {})", failure.errno),
            }
        }
        (None, Some(signal), _) => format!("SIG{}", visible(signal)),
        (None, None, Some(code)) => format!("exit {code}"),
        (None, None, None) => visible(&exit.class),
    };
    let core = if exit.core { ", core" } else { "" };
    format!("{how}{core}")
}

/// The same, with its class where that says more.
pub fn ended(exit: &LastExit) -> String {
    match &*exit.class {
        "exit_code" | "clean" | "crash" | "killed" | "terminated" | "signal" | "exec_failed"
        | "requested" => how(exit),
        class if exit.failure.is_none() && exit.signal.is_none() && exit.code.is_none() => {
            visible(class)
        }
        class => format!("{}, {}", how(exit), visible(class)),
    }
}
