// SPDX-License-Identifier: MIT OR Apache-2.0
//! The codes of diagnostics, and what `supctl explain` says about each.
//!
//! A code never changes its meaning and is never used again for another one.

macro_rules! rules {
    ($($name:ident = $code:literal: $title:literal, $text:expr;)+) => {
        $(pub(super) const $name: &str = $code;)+
        const RULES: &[(&str, &str, &str)] = &[$(($code, $title, $text)),+];
    };
}

rules! {
    UNREADABLE = "E0100": "a file cannot be read",
        "The configuration or a file it includes by name is absent or not readable for this \
         user. A pattern that matches nothing is no error.";
    SYNTAX = "E0101": "the text is not TOML",
        "The file is not valid TOML 1.0, or not UTF-8. The first error of a file may hide \
         others behind it; keys and values are checked once it parses.";
    UNKNOWN_KEY = "E0102": "an unknown key",
        "Every key must mean something where it stands, so that a typo never turns a setting \
         off silently.";
    FOREIGN_KEY = "E0103": "a key of another supervisor",
        "The key is known from supervisord, systemd, compose, Horust, pm2, Erlang or Elixir; \
         the help says what it is called here.";
    NOT_YET = "E0104": "a key that this version does not support",
        "The key belongs to the language, and this version of supd does not act on it. It is \
         refused and not ignored, so that nobody relies on what does not happen.";
    TWO_SPELLINGS = "E0105": "two spellings of one key",
        "Two keys of one table differ only in case, `-` or `_`. Keep the one this language \
         uses.";
    MISPLACED = "E0106": "a key in the wrong place",
        "`version` and `include` stand at the top of the main file: after a `[table]` header \
         TOML counts them to that table. `extends`, `under`, `pool_restart`, `max_restarts` and \
         `max_seconds` belong to a node, not to defaults.";
    UNKNOWN_CHILD = "E0107": "a child that is not defined",
        "A name in `children` has neither a `[service.NAME]` nor a `[supervisor.NAME]`.";
    TWO_PARENTS = "E0108": "a node listed twice",
        "A tree is a tree: every node stands under one supervisor, once. `under` counts like an \
         entry of `children`.";
    CIRCLE = "E0109": "supervisors that stand under each other",
        "Following `children` upward must end at the root.";
    DUPLICATE = "E0110": "one name used twice",
        "Services and supervisors share one space of names, because commands take bare names. \
         `root` is the supervisor at the top.";
    UNLISTED = "E0111": "a node without a place",
        "Under a rest_for_one or one_for_all root the order decides who is restarted, so every \
         node must be listed. Under a one_for_one root what nobody lists is appended.";
    NAME = "E0112": "a name that is none",
        "Names have 1 to 64 of the characters a-z, A-Z, 0-9, `_` and `-`, and do not begin with \
         `-`: they stand in paths, columns and command lines.";
    WRONG_TYPE = "E0113": "a value of the wrong type",
        "The help shows how the value is written.";
    UNKNOWN_WORD = "E0114": "a word that is none of the choices",
        "The key takes one of a few words.";
    DURATION = "E0115": "a duration without its unit",
        "Durations are strings such as \"200ms\", \"5s\", \"1m30s\", \"1d\". A bare number is \
         refused, because nobody can see its unit.";
    SIZE = "E0116": "a size without its unit",
        "Sizes are strings such as \"64K\", \"512M\", \"100B\"; K is 1024. A bare number is \
         refused, because nobody can see its unit.";
    SIGNAL = "E0117": "a signal that is none",
        "Signals have names, with or without SIG: \"TERM\", \"SIGHUP\", \"RTMIN+3\". Numbers \
         are refused.";
    RANGE = "E0118": "a number out of range",
        "The message says the range.";
    UNDEFINED = "E0119": "a variable that is not defined",
        "`${V}` is looked up in the instance's own names, the service's `env`, `--var`, the \
         environment and `[vars]`. A value of `env` or `[vars]` does not see its neighbours. \
         `${V:-default}` has a way out.";
    INTERPOLATION = "E0120": "braces that are no variable",
        "The forms are `${V}`, `${V:-default}`, `${V:?message}` and `$$`; a default has no \
         variable in it.";
    SECRET = "E0121": "a secret where it could be read",
        "A variable with `{ file = … }` is only ever in the environment of the service: command \
         lines and paths are visible to everybody on the machine.";
    SHELL_SYNTAX = "E0122": "shell syntax without a shell",
        "A string `command` is split into words and executed without a shell, so `|`, `&&`, \
         `>`, `$X` and the like would be arguments. Use `shell`, quote them, or write `${X}` \
         for a variable of supd.";
    QUOTE = "E0123": "a quote that is not closed",
        "A string `command` is split as a shell would: quotes come in pairs, a backslash quotes \
         what follows.";
    EMPTY_COMMAND = "E0124": "a command without a program",
        "The first word names the program.";
    COMMAND_AND_SHELL = "E0125": "both `command` and `shell`",
        "`command` is executed as it stands, `shell` is given to /bin/sh -c: a service has one \
         of them. A later layer's choice replaces an earlier one's.";
    NO_COMMAND = "E0126": "neither `command` nor `shell`",
        "A service executes something; a template or defaults may say what.";
    TEMPLATE = "E0127": "a template that is not defined",
        "`extends` names a `[template.NAME]`.";
    TEMPLATE_CIRCLE = "E0128": "templates that extend each other",
        "Following `extends` must come to an end.";
    ROOT_KEY = "E0129": "a key that says nothing about the root",
        "Nobody stands above the root, so how it would be restarted or stopped by its \
         supervisor is no question.";
    KIND = "E0130": "a key that this kind of service refuses",
        "A oneshot has no `ready`, `instances` or `start_timeout` and is not permanent; a \
         daemon has no `timeout`; a pool is not significant; only pools have `pool_restart`, \
         `max_restarts` and `max_seconds`.";
    OTP = "E0131": "back-off under `policy = \"otp\"`",
        "OTP restarts at once; under this policy a back-off written for a service would be \
         ignored.";
    PARALLEL = "E0132": "rest_for_one in parallel",
        "rest_for_one means the order of the children; starting them all at once has none.";
    SIGNIFICANT = "E0133": "a significant child without `auto_shutdown`",
        "OTP refuses it, too: `significant` only means something to a supervisor whose \
         `auto_shutdown` is not `never`.";
    SIGNIFICANT_PERMANENT = "E0134": "a significant child that is permanent",
        "OTP refuses it, too: a permanent child never ends for good, so its end cannot end its \
         supervisor.";
    READY = "E0135": "a `ready` that is not one thing",
        "`ready` has one of `exec`, `notify`, `fd`, `tcp`, `http`, `unix`, `file` and `after`; `every`, \
         `timeout` and `recheck` belong to those that are tried again.";
    ADDRESS = "E0136": "an address that is none",
        "`tcp` takes an IP address or `localhost`, and a port; `http` an URL of such an address, \
         without TLS. Names are not resolved: PID 1 \
         must not wait for a resolver.";
    UNDER = "E0137": "an `under` that cannot be followed",
        "`under` names a supervisor of this file that is not rest_for_one, whose order must be \
         seen in one place.";
    DEPTH = "E0138": "too deep a tree",
        "Sixteen levels of supervisors are enough for anybody; the limit bounds recursion.";
    SERVICES = "E0139": "too many services",
        "A tree has at most 10 000 services, instances counted.";
    INCLUDES = "E0140": "too many includes",
        "At most 64 files can be included.";
    FILE_SIZE = "E0141": "too large a file",
        "A file has at most 4 MiB.";
    STRING_SIZE = "E0142": "too long a string",
        "A string has at most 1 MiB.";
    VERSION = "E0143": "a version of the language that is not known",
        "This supd reads version 1.";
    NUL = "E0144": "a string with a NUL character",
        "The kernel ends strings at NUL; what stands behind it would be lost.";
    ENV_NAME = "E0145": "a variable whose name is none",
        "The name of a variable is not empty and has neither `=` nor NUL.";
    BACKOFF = "E0146": "a back-off that is none",
        "A back-off is a table, a list of delays that is not empty, or \"none\"; `max` is not \
         below `initial`.";
    USER = "E0147": "a user or group that is none",
        "A name, or a number below 4294967295, which means \"unchanged\" to the kernel. \
         `user:group` is two keys here.";
    INCLUDE = "E0148": "a pattern that is none",
        "`include` takes paths whose last part may have `*` and `?`.";
    EXIT_CODE = "E0149": "an `exit_code` of nobody",
        "`exit_code` is \"cause\", the name of a service that is not a pool, or a number from 1 \
         to 255.";
    UMASK = "E0150": "a umask that is not octal",
        "`umask` is octal digits in a string, \"022\": TOML reads 22 as twenty-two.";
    RLIMIT = "E0151": "a resource limit that is none",
        "One value for both limits, or `{ soft = …, hard = … }` with soft not above hard.";
    RELOAD = "E0152": "a `reload` that is not one thing",
        "`reload` has a `signal` or a `command`.";
    STOP = "E0153": "a `stop` that cannot be followed",
        "SIGKILL comes after the last step in any case, so nothing can come after KILL or after \
         a step that waits for ever.";
    PATH = "E0154": "a path that is none",
        "A path is not empty; a socket's has at most 107 bytes (unix(7)), and an abstract one \
         begins with `@`.";
    LOG = "E0155": "a `log` that cannot be followed",
        "`to` names `supd`, files, or both; `inherit` and `null` stand alone, because supd does \
         not see the output then. A file has one rule of rotation, whoever writes to it.";
    BUDGET = "E0156": "a budget that is none",
        "A budget is \"10/30s\" or `{ limit = \"10/30s\", then = \"park\" }`: restarts allowed, \
         the time they are counted in, and what follows one more: \"escalate\", \"park\" or \
         `{ hold = \"5m\" }`.";
    CLASS = "E0157": "a class that cannot be",
        "`[class.NAME]` gives ends a name. It is none of the base classes, families or triggers; \
         it is for ends that nobody asked for; and each of its keys asks for something.";
    PATTERN = "E0158": "a pattern that cannot be used",
        "Patterns are regular expressions in linear time, without look-around and \
         back-references; `\\w` and `(?i)` are ASCII, `^` and `$` stand at every line. One that \
         matches an empty text would match everything.";
    EXAMPLE = "E0159": "an example that does not hold",
        "`[[class.NAME.example]]` is an end with a `code` or a `signal` and some output, and says \
         whether it is of that class (`expect`, true when absent). The first class that holds \
         is it, so an earlier one may have taken it.";
    BREAKER = "E0165": "a breaker that is none",
        "A breaker is open for some time, `open_for`, which grows to `open_max`. It opens after \
         so many `failures` in a row.";
    NO_BREAKER = "E0166": "a breaker that is not defined",
        "A name in `breakers`, or in `blames` of a class, has no `[breaker.NAME]`.";
    REMEDY = "E0170": "a remedy that is none",
        "An entry of `remediation` is a command, or a table with one of `run`, `shell` and \
         `steps`. `counts = false` needs a `limit`, or nothing would bound the restarts that it \
         spares.";
    REMEDY_CLASS = "E0171": "a remedy for what is no class",
        "The keys of `remediation` are classes (base classes such as `oom_kill`, and those of \
         `[class.NAME]`), `family:NAME`, `*` for every end, and the triggers `flapping`, \
         `exhausted`, `unhealthy`, `held` and `recovered`.";
    CAPABILITY = "E0161": "a capability that is none",
        "`capabilities` has names of capabilities(7), with or without `CAP_`: `bounding` is what \
         the service may have at most, `ambient` what it has from the start although it is not \
         root, and whatever is ambient is in `bounding` as well.";
    LISTEN = "E0162": "a `listen` that cannot be followed",
        "A socket is `tcp:ADDRESS:PORT` or `unix:PATH`, or a table with `tcp` or `unix`, `name`, \
         `backlog` and `mode`. The address is a number or `localhost`: nothing is resolved in \
         PID 1. The descriptors begin with 3, so that `ready.fd` is a number behind them.";
    TTY = "E0163": "a terminal that is shared",
        "With `tty = true` a service's standard descriptors are supd's terminal, and it is in \
         the foreground there: one service can have that, no pool, and nothing else names its \
         `stdin` or `log.to`.";
    CPUS = "E0164": "processors that are none",
        "`cpu_affinity` is numbers of processors and ranges of them, `\"0-3,8\"` or `[0, 1]`.";
}

/// Lints are named where they are found.
const LINTS: &[(&str, &str, &str)] = &[
    (
        "L1",
        "a limit that cannot be reached",
        "One child that fails at once, again and again, is slowed down by its back-off so much \
         that `max_restarts` in `max_seconds` is never used up: it loops for ever and nobody \
         hears of it. Computed with the luckiest jitter.",
    ),
    (
        "L2",
        "an order without readiness",
        "Under rest_for_one and one_for_all children start one after another, the next when the \
         one before is ready. Without `ready` that is when it was executed, long before it can \
         serve.",
    ),
    (
        "L3",
        "stops longer than the shutdown",
        "The stop timeouts along the order of the tree add up to more than `shutdown_timeout`, \
         which cuts them off. Only times that were written count.",
    ),
    (
        "L4",
        "killed while it starts",
        "Without `ready` a service counts as ready once it was executed, and its liveness probe \
         may fail often enough to kill it before `start_timeout` is over.",
    ),
    (
        "L6",
        "a secret in the file",
        "A literal in `env` whose name says password, secret, token or key. `{ file = … }` is \
         read at spawn and never shown.",
    ),
    (
        "L7",
        "a program that cannot be found",
        "No executable file of this name where the service will look for it.",
    ),
    (
        "L8",
        "one port for all instances",
        "A pool whose `ready` asks the same port for every instance cannot have them all bound \
         to it.",
    ),
    (
        "L9",
        "temporary in one_for_all",
        "A group restart stops a temporary child and forgets it.",
    ),
    (
        "L10",
        "a breaker that opens too late",
        "Every failure but the one that opens the breaker takes a restart. When these are more than \
         the supervisor allows, it gives up first, and nobody is ever held.",
    ),
    (
        "L11",
        "killed for what is far away",
        "A liveness probe of an address that is not this machine's: when that does not answer, the \
         service is restarted, which does not help. Ask the service itself; for what it depends \
         on there are breakers.",
    ),
    (
        "L12",
        "a transient supervisor",
        "In OTP giving up is an exit with reason shutdown, which is normal: a transient \
         supervisor stays down after it.",
    ),
    (
        "L13",
        "many children on the default limit",
        "More than 16 children share 5 restarts in 60 s: independent failures add up to an \
         escalation.",
    ),
    (
        "L15",
        "a user or group that is not here",
        "No such name in /etc/passwd or /etc/group, which is where a start looks; it fails with \
         exec_failed until there is one. Numbers need no entry.",
    ),
    (
        "L16",
        "a class that no end can have",
        "All keys of a class must hold, and the first class that holds is it. Two keys exclude \
         each other, an earlier class always holds as well, or a pattern matches no text.",
    ),
    (
        "L14",
        "nothing to wait for",
        "When every oneshot is done nothing is left, and supd stays up until it is told to end.",
    ),
];

/// What a code means: a title, an empty line, and an explanation.
pub fn explain(code: &str) -> Option<String> {
    let code = code.trim().to_ascii_uppercase();
    let mut all = RULES.iter().chain(LINTS);
    let (code, title, text) = all.find(|(known, _, _)| *known == code)?;
    Some(format!("{code}: {title}\n\n{text}\n"))
}

/// Every code there is.
pub fn codes() -> impl Iterator<Item = &'static str> {
    RULES.iter().chain(LINTS).map(|(code, _, _)| *code)
}
