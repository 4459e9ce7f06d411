// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every limit on a queue, a name, a file or a tree, each with its reason.
//!
//! A limit that is reached is always an error or a count somebody can see, never silence.

use std::time::Duration;

/// Services in one tree. Twice the largest installation we measure (5000).
pub const SERVICES_MAX: usize = 10_000;
/// Levels of supervisors; recursion over the tree is bounded by it.
pub const DEPTH_MAX: usize = 16;
/// Bytes of one configuration file; a parser's worst case stays in milliseconds.
pub const CONFIG_FILE_MAX: usize = 4 << 20;
/// Files one configuration may include.
pub const INCLUDES_MAX: usize = 64;
/// Bytes of a node's name; it stands in paths, columns and socket addresses.
pub const NAME_MAX: usize = 64;
/// Sockets that are held for one service: their descriptors are moved on the stack of a child.
pub const LISTEN_MAX: usize = 32;
/// Bytes of a Unix socket's path (unix(7), `sun_path` and its NUL).
pub const SOCKET_PATH_MAX: usize = 107;
/// The highest number of a processor (`CPU_SETSIZE`).
pub const CPU_MAX: u16 = 1023;
/// Bytes of one string in a configuration.
pub const STRING_MAX: usize = 1 << 20;
/// Diagnostics shown for one configuration; more would hide the first cause.
pub const DIAGNOSTICS_MAX: usize = 20;
/// Entries in a supervisor's inbox of one kind: an exit, a retry per child, and commands.
/// A supervisor that is busy answers further commands with `busy`.
pub const COMMANDS_QUEUED_MAX: usize = 256;
/// Time a service has to end after SIGKILL before it is called unkillable (SEMANTICS §10).
pub const UNKILLABLE_AFTER: Duration = Duration::from_secs(5);
/// Time a service on trial has to stay alive after it is ready (SEMANTICS §7): what dies soon after
/// its start has not shown that it works.
pub const TRIAL_TIME: Duration = Duration::from_secs(10);
/// Probes of a closed breaker that fail in a row and open it (`watch`): one can be lost.
pub const WATCH_FAILURES: u32 = 3;
/// Breakers in one tree: each may have a probe under way.
pub const BREAKERS_MAX: usize = 64;
/// How long a breaker stays forced when nobody says: what nobody remembers must end.
pub const FORCED_FOR: Duration = Duration::from_secs(30 * 60);
/// Services that may be starting at one time when `start_parallelism` is absent.
pub const START_PARALLELISM: u32 = 64;
/// Restarts a window remembers at most; a larger `max_restarts` counts as this many.
/// At 2^20 restarts in one window the limit is a formality and memory is not.
pub const WINDOW_MAX: usize = 1 << 20;
/// A start or a stop that asks for more time gets at most this many times what is configured: one
/// that asks for ever hangs like any other.
pub const EXTENSION_MAX: u32 = 10;
/// Probes under way at one time; those that are due beyond it wait for their turn. Each is a
/// descriptor or a process of ours.
pub const PROBES_MAX: usize = 64;
/// Of the watched children of a supervisor, so many percent (rounded up) are killed for being
/// unhealthy within [`CULL_WINDOW`] at most: what fails everywhere at once is not theirs.
pub const CULL_PERCENT: usize = 34;
/// The time in which kills for being unhealthy are counted.
pub const CULL_WINDOW: Duration = Duration::from_secs(60);
/// A deadline that we notice later than this says that we ourselves are slow, and nobody is killed
/// for what was measured with such a clock.
pub const LAG_MAX: Duration = Duration::from_millis(250);
/// After everything stood still nobody is killed for being unhealthy for so long.
pub const RESUME_GRACE: Duration = Duration::from_secs(5);
/// The shortest time between two signs of life that a service may ask to be held to; a bug that
/// asks for less would kill it.
pub const WATCHDOG_MIN: Duration = Duration::from_millis(10);
/// Bytes at the end of each stream that patterns of classes are tried on.
pub const TAIL: usize = 8 << 10;
/// Classes of a configuration. Each is looked at in turn at an end.
pub const CLASSES_MAX: usize = 256;
/// Patterns of all classes: they are tried together on every end.
pub const PATTERNS_MAX: usize = 512;
/// Bytes of a pattern.
pub const PATTERN_MAX: usize = 1 << 10;
/// Bytes of a matched line, or of what a group has matched, that are kept.
pub const MATCH_MAX: usize = 256;
/// Named groups of one pattern.
pub const GROUPS_MAX: usize = 8;
/// Early ends in a row that are called flapping.
pub const FLAPPING: u32 = 3;
/// Who has ended before that was ready, or within this time, has ended early.
pub const EARLY: Duration = Duration::from_secs(1);
/// Records the daemon keeps for `events` and `history` when `events_kept` is absent.
pub const EVENTS_KEPT: usize = 4096;
/// Bytes of the ring of a captured stream when `log.ring` is absent.
pub const LOG_RING: usize = 64 << 10;
/// Bytes of a log file before it is put aside when `log.rotate` is absent.
pub const LOG_FILE: u64 = 10 << 20;
/// Old log files kept when `log.rotate` is absent.
pub const LOG_FILES_KEPT: u32 = 5;
/// Bytes of a line before it is cut in two with a mark.
pub const LOG_LINE_MAX: usize = 16 << 10;
/// Bytes of one request's head, and of its body unless it carries a configuration.
pub const REQUEST_MAX: usize = 64 << 10;
/// Clients connected at one time.
pub const CLIENTS_MAX: usize = 64;
/// Bytes that wait for one reader of a stream; what does not fit is missed, and told as a gap. A
/// thousand events, or what a shouting service writes while a reader is away for a moment.
pub const STREAM_BYTES: usize = 1 << 20;
/// Clients of `metrics.listen` at one time; whoever is beyond it waits.
pub const SCRAPERS_MAX: usize = 16;
/// Streams (events, logs) open at one time.
pub const STREAMS_MAX: usize = 16;
/// Time a client has to send its request, head and body.
pub const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Time in which a client must take something of its answer.
pub const ANSWER_TIME: Duration = Duration::from_secs(30);
/// Remedies whose programs may run at one time when `hook_parallelism` is absent.
pub const HOOK_PARALLELISM: u32 = 4;
/// Time a step of a remedy has when `timeout` is absent.
pub const HOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// Time evidence may be collected before a service is killed for its liveness (SEMANTICS §6).
pub const UNHEALTHY_TIMEOUT: Duration = Duration::from_secs(5);
/// Steps of one remedy; more is a program.
pub const REMEDY_STEPS_MAX: usize = 16;
/// Bytes that are read of what a hook writes; what comes after them is counted and thrown away.
pub const HOOK_OUTPUT_MAX: usize = 64 << 10;
/// Bytes of it that a record keeps, the last ones: there are thousands of records.
pub const HOOK_TAIL_MAX: usize = 4 << 10;
/// A hook, or a service, that asks for a longer wait before the restart gets this one.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// Failures in a row that switch a remedy off, and for how long (SEMANTICS §6).
pub const REMEDY_FAILURES: u32 = 3;
/// See [`REMEDY_FAILURES`].
pub const REMEDY_OFF: Duration = Duration::from_secs(600);
