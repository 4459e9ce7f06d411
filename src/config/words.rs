// SPDX-License-Identifier: MIT OR Apache-2.0
//! Words of other supervisors, and what they are called here; and the nearest word to a typo.
//!
//! Only keys that stand for something of ours are listed: the answer must be something to write.

/// A key of somebody else's language.
pub(super) struct Foreign {
    pub(super) word: &'static str,
    pub(super) whose: &'static str,
    /// What to write, after "here it is".
    pub(super) ours: &'static str,
}

const fn of(whose: &'static str, word: &'static str, ours: &'static str) -> Foreign {
    Foreign { word, whose, ours }
}

const SUPERVISORD: &str = "supervisord";
const SYSTEMD: &str = "systemd";
const COMPOSE: &str = "compose";
const HORUST: &str = "Horust";
const PM2: &str = "pm2";
const OTP: &str = "Erlang and Elixir";

const FOREIGN: &[Foreign] = &[
    of("circus", "cmd", "`command`"),
    of(SUPERVISORD, "program", "`[service.NAME]`"),
    of(SUPERVISORD, "autorestart", "`restart`"),
    of(SUPERVISORD, "autostart", "`enabled`"),
    of(SUPERVISORD, "startsecs", "`ready = { after = \"1s\" }`"),
    of(
        SUPERVISORD,
        "startretries",
        "`max_restarts` of the supervisor",
    ),
    of(SUPERVISORD, "exitcodes", "`success_codes`"),
    of(SUPERVISORD, "stopsignal", "`stop = { signal = \"TERM\" }`"),
    of(
        SUPERVISORD,
        "stopwaitsecs",
        "`stop = { timeout = \"10s\" }`",
    ),
    of(SUPERVISORD, "stopasgroup", "`stop = { scope = \"group\" }`"),
    of(SUPERVISORD, "killasgroup", "`stop = { scope = \"group\" }`"),
    of(SUPERVISORD, "numprocs", "`instances`"),
    of(SUPERVISORD, "directory", "`workdir`"),
    of(SUPERVISORD, "environment", "`env = { NAME = \"value\" }`"),
    of(
        SUPERVISORD,
        "priority",
        "the order of the supervisor's `children`",
    ),
    of(
        SUPERVISORD,
        "redirect_stderr",
        "nothing to say: both streams are kept apart",
    ),
    of(
        SUPERVISORD,
        "stdout_logfile",
        "`log = { to = \"file:PATH\" }`",
    ),
    of(
        SUPERVISORD,
        "stderr_logfile",
        "`log = { to = \"file:PATH\" }`",
    ),
    of(
        SUPERVISORD,
        "stdout_logfile_maxbytes",
        "`log = { rotate = { size = \"10M\" } }`",
    ),
    of(
        SUPERVISORD,
        "stderr_logfile_maxbytes",
        "`log = { rotate = { size = \"10M\" } }`",
    ),
    of(
        SUPERVISORD,
        "stdout_logfile_backups",
        "`log = { rotate = { keep = 5 } }`",
    ),
    of(
        SUPERVISORD,
        "stderr_logfile_backups",
        "`log = { rotate = { keep = 5 } }`",
    ),
    of(
        SUPERVISORD,
        "stdout_capture_maxbytes",
        "`log = { ring = \"64K\" }`",
    ),
    of(
        SUPERVISORD,
        "logfile",
        "nothing to say: supd writes to its own output",
    ),
    of(SUPERVISORD, "minfds", "`limits = { nofile = 65536 }`"),
    of(SUPERVISORD, "group", "`[supervisor.NAME]` with `children`"),
    of(SYSTEMD, "unit", "`[service.NAME]`"),
    of(SYSTEMD, "execstart", "`command`"),
    of(SYSTEMD, "execstop", "`stop = { command = … }`"),
    of(SYSTEMD, "execreload", "`reload = { command = … }`"),
    of(
        SYSTEMD,
        "execstartpre",
        "a `type = \"oneshot\"` service before it in `children`",
    ),
    of(SYSTEMD, "restartsec", "`backoff = { initial = \"1s\" }`"),
    of(SYSTEMD, "restartsteps", "`backoff = { factor = 2.0 }`"),
    of(
        SYSTEMD,
        "restartmaxdelaysec",
        "`backoff = { max = \"30s\" }`",
    ),
    of(
        SYSTEMD,
        "startlimitburst",
        "`max_restarts` of the supervisor",
    ),
    of(
        SYSTEMD,
        "startlimitintervalsec",
        "`max_seconds` of the supervisor",
    ),
    of(SYSTEMD, "timeoutstartsec", "`start_timeout`"),
    of(SYSTEMD, "timeoutstopsec", "`stop = { timeout = \"10s\" }`"),
    of(SYSTEMD, "killsignal", "`stop = { signal = \"TERM\" }`"),
    of(SYSTEMD, "killmode", "`stop = { scope = \"tree\" }`"),
    of(SYSTEMD, "workingdirectory", "`workdir`"),
    of(SYSTEMD, "environmentfile", "`env_file`"),
    of(
        SYSTEMD,
        "successexitstatus",
        "`success_codes` and `success_signals`",
    ),
    of(SYSTEMD, "limitnofile", "`limits = { nofile = 65536 }`"),
    of(SYSTEMD, "limitcore", "`limits = { core = \"0\" }`"),
    of(SYSTEMD, "oomscoreadjust", "`oom_score_adj`"),
    of(SYSTEMD, "nonewprivileges", "`no_new_privileges`"),
    of(SYSTEMD, "supplementarygroups", "`groups`"),
    of(SYSTEMD, "standardinput", "`stdin`"),
    of(SYSTEMD, "standardoutput", "`log = { to = … }`"),
    of(SYSTEMD, "standarderror", "`log = { to = … }`"),
    of(SYSTEMD, "syslogidentifier", "the name of the service"),
    of(
        SYSTEMD,
        "logratelimitburst",
        "nothing to say: what nobody can keep is dropped and counted",
    ),
    of(
        SYSTEMD,
        "watchdogsec",
        "`watchdog`, which is not in this version yet",
    ),
    of(SYSTEMD, "after", "the order of the supervisor's `children`"),
    of(
        SYSTEMD,
        "before",
        "the order of the supervisor's `children`",
    ),
    of(
        SYSTEMD,
        "requires",
        "`strategy = \"rest_for_one\"` of the supervisor",
    ),
    of(
        SYSTEMD,
        "bindsto",
        "`strategy = \"rest_for_one\"` of the supervisor",
    ),
    of(SYSTEMD, "wants", "the order of the supervisor's `children`"),
    of(
        SYSTEMD,
        "wantedby",
        "`under`, or the supervisor's `children`",
    ),
    of(COMPOSE, "services", "`[service.NAME]`"),
    of(
        COMPOSE,
        "depends_on",
        "the order of the supervisor's `children`",
    ),
    of(COMPOSE, "working_dir", "`workdir`"),
    of(COMPOSE, "entrypoint", "`command`"),
    of(COMPOSE, "restart_policy", "`restart`"),
    of(COMPOSE, "healthcheck", "`ready`"),
    of(
        COMPOSE,
        "stop_grace_period",
        "`stop = { timeout = \"10s\" }`",
    ),
    of(COMPOSE, "stop_signal", "`stop = { signal = \"TERM\" }`"),
    of(COMPOSE, "ulimits", "`limits`"),
    of(COMPOSE, "logging", "`log = { to = … }`"),
    of(COMPOSE, "max_size", "`rotate = { size = \"10M\" }`"),
    of(COMPOSE, "max_file", "`rotate = { keep = 5 }`"),
    of(COMPOSE, "log_location", "`log = { to = \"file:PATH\" }`"),
    of(COMPOSE, "scale", "`instances`"),
    of(COMPOSE, "replicas", "`instances`"),
    of(
        COMPOSE,
        "cap_add",
        "`capabilities`, which is not in this version yet",
    ),
    of(COMPOSE, "stdin_open", "`stdin = \"inherit\"`"),
    of(COMPOSE, "ports", "nothing: the service opens its own ports"),
    of(COMPOSE, "availability", "`[supervisor.NAME]` and `restart`"),
    of(COMPOSE, "readiness_probe", "`ready`"),
    of(
        COMPOSE,
        "liveness_probe",
        "`liveness`, which is not in this version yet",
    ),
    of(COMPOSE, "processes", "`[service.NAME]`"),
    of(
        HORUST,
        "start-after",
        "the order of the supervisor's `children`",
    ),
    of(
        HORUST,
        "start-delay",
        "`ready = { after = \"1s\" }` of the one before",
    ),
    of(HORUST, "working-directory", "`workdir`"),
    of(HORUST, "healthiness", "`ready`"),
    of(
        HORUST,
        "failure",
        "`success_codes`, and `strategy` of the supervisor",
    ),
    of(HORUST, "termination", "`stop`"),
    of(HORUST, "attempts", "`max_restarts` of the supervisor"),
    of(HORUST, "stdout", "`log = { to = \"file:PATH\" }`"),
    of(HORUST, "stderr", "`log = { to = \"file:PATH\" }`"),
    of(
        HORUST,
        "stdout_rotate_size",
        "`log = { rotate = { size = \"10M\" } }`",
    ),
    of(PM2, "out_file", "`log = { to = \"file:PATH\" }`"),
    of(PM2, "error_file", "`log = { to = \"file:PATH\" }`"),
    of(PM2, "log_file", "`log = { to = \"file:PATH\" }`"),
    of(
        PM2,
        "log_date_format",
        "`log = { timestamps = true }` in [supd]",
    ),
    of(PM2, "apps", "`[service.NAME]`"),
    of(PM2, "script", "`command`"),
    of(PM2, "cwd", "`workdir`"),
    of(PM2, "exec_mode", "`instances`"),
    of(PM2, "min_uptime", "`ready = { after = \"1s\" }`"),
    of(PM2, "restart_delay", "`backoff = { initial = \"1s\" }`"),
    of(PM2, "exp_backoff_restart_delay", "`backoff`"),
    of(PM2, "kill_timeout", "`stop = { timeout = \"10s\" }`"),
    of(
        PM2,
        "max_memory_restart",
        "`recycle`, which is not in this version yet",
    ),
    of(PM2, "wait_ready", "`ready = { notify = true }`"),
    of(PM2, "listen_timeout", "`start_timeout`"),
    of(PM2, "stop_exit_codes", "`success_codes`"),
    of(OTP, "intensity", "`max_restarts`"),
    of(OTP, "period", "`max_seconds`"),
    of(OTP, "child_spec", "`[service.NAME]`"),
    of(OTP, "shutdown", "`stop = { timeout = \"5s\" }`"),
];

/// Whose word `key` is; case, `-` and `_` do not matter.
pub(super) fn foreign(key: &str) -> Option<&'static Foreign> {
    let key = plain(key);
    FOREIGN.iter().find(|f| plain(f.word) == key)
}

/// A word without the differences that are no difference: case, `-`, `_`.
pub(super) fn plain(word: &str) -> String {
    word.chars()
        .filter(|c| !matches!(c, '-' | '_'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// The word that was probably meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > super::scalar::WORD_MAX {
        return None;
    }
    let wanted = plain(word);
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&wanted, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The help for a word that is none of `known`.
pub(super) fn one_of(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it is one of {}", enumerate(known)),
    }
}

/// `a`, `b` and `c`, each in back-ticks.
pub(super) fn enumerate(words: &[&str]) -> String {
    let ticked: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
    match ticked.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}
