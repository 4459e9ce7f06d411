// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kinds of the daemon's own records, beside those of the protocol.

/// A handler of the engine panicked; the event was dropped and supervision goes on.
pub(crate) const PANIC: &str = "daemon.internal_error";
/// A new configuration was refused; the old one stays in force.
pub(crate) const RELOAD_REFUSED: &str = "daemon.reload_refused";
/// A client asked for what its user may not do.
pub(crate) const REFUSED: &str = "command.refused";
/// More clients came than there is room for.
pub(crate) const CROWD: &str = "socket.crowded";
/// A process that no service of ours had started was reaped.
pub(crate) const ORPHAN: &str = "orphan.reaped";
/// What is degraded or noteworthy about our surroundings.
pub(crate) const SURROUNDINGS: &str = "daemon.surroundings";
/// A process that ran away from its service was killed at the end.
pub(crate) const LEFTOVER: &str = "orphan.killed";
/// A log file cannot be written; what comes meanwhile is dropped and counted.
pub(crate) const LOG_FAILING: &str = "log.failing";
/// A log file can be written again.
pub(crate) const LOG_WORKING: &str = "log.working";
/// Log files were closed and opened anew, as somebody has asked.
pub(crate) const LOG_REOPENED: &str = "log.reopened";
/// A fault was brought about on purpose.
pub(crate) const DRILL_INJECTED: &str = "drill.injected";
/// What a drill had done for a time is undone.
pub(crate) const DRILL_UNDONE: &str = "drill.undone";
/// We were away: stopped, or the machine was asleep.
pub(crate) const RESUMED: &str = "daemon.resumed";
