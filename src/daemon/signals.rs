// SPDX-License-Identifier: MIT OR Apache-2.0
//! What signals sent to supd mean (SEMANTICS §10).
//!
//! ```text
//! TERM QUIT PWR RTMIN+3   stop everything in order
//! INT                     the same; a second one shortens all graces, a third kills
//! HUP                     read the configuration again; a hang-up of our own terminal stops
//! USR1                    close all log files and open them anew
//!                         and make the control socket again, if its file is gone
//! USR2                    nothing yet, and never the end of the daemon
//! ```

use super::note;
use super::run::Daemon;
use crate::spec::Signal;
use crate::tree::{Actor, Event, Haste};
use std::fs::File;

/// Signals we listen to; the ends of children are told elsewhere, if they can be.
pub(crate) fn listened() -> Vec<Signal> {
    let mut all = vec![
        Signal::TERM,
        Signal::INT,
        Signal::QUIT,
        Signal::HUP,
        Signal::PWR,
        Signal::USR1,
        Signal::USR2,
    ];
    all.extend(stop_of_systemd());
    all
}

/// SIGRTMIN+3, by which systemd and container managers ask an init to halt.
fn stop_of_systemd() -> Option<Signal> {
    Signal::from_number(37)
}

/// What the signals so far add up to.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    interrupts: u32,
    terminal: Terminal,
}

/// Whether we had a terminal of our own at the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Terminal {
    #[default]
    None,
    Ours,
}

impl Orders {
    /// Looks whether there is a terminal that can hang up.
    pub(crate) fn at_start() -> Self {
        Self {
            interrupts: 0,
            terminal: if has_terminal() {
                Terminal::Ours
            } else {
                Terminal::None
            },
        }
    }
}

fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

impl Daemon {
    /// Obeys a signal.
    pub(crate) fn on_signal(&mut self, signal: Signal) {
        let haste = match signal {
            Signal::INT => {
                self.orders.interrupts += 1;
                match self.orders.interrupts {
                    1 => Haste::Orderly,
                    2 => Haste::Short,
                    _ => Haste::Kill,
                }
            }
            Signal::HUP if self.orders.terminal == Terminal::Ours && !has_terminal() => {
                Haste::Orderly
            }
            Signal::HUP => return self.reload(Actor::Signal(signal)),
            Signal::USR1 => {
                self.reopen_log_files();
                return self.mend_socket();
            }
            Signal::USR2 => return,
            _ => Haste::Orderly,
        };
        let by = Actor::Signal(signal);
        self.world.events.push_back(Event::Shutdown { haste, by });
    }

    /// Somebody else rotates: what is written from now on goes to the files of these names.
    fn reopen_log_files(&mut self) {
        let count = self.world.logs.files.reopen();
        self.note(note::LOG_REOPENED, format!("opened {count} log files anew"));
    }
}
