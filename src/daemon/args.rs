// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line of `supd`, and where its configuration is.
//!
//! Written by hand: the daemon has ten words, and PID 1 stays small. Nothing is opened here but to
//! see which of the usual places has a configuration.

use super::builtin::Builtin;
use super::single::words::{self, Single};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Run the tree.
    Run(Given),
    /// Read the configuration and say what is wrong with it.
    Check(Given),
    /// Read the configuration and say what would be started.
    DryRun(Given),
    /// Do a step of a remedy: what supd executes of itself, and nobody else.
    Step(Builtin),
    /// Run one command.
    Single(Single),
    /// Print the version.
    Version,
    /// Print the help.
    Help,
}

/// What the command line gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// `-c`, `--config`, or the file of `check`.
    pub config: Option<PathBuf>,
    /// `--socket`.
    pub socket: Option<OsString>,
    /// `--var`.
    pub vars: Vec<(String, String)>,
}

/// A command line that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Usage {
    /// A word that is not known.
    #[error("`{word}` is not known\n\nhint: supd --help")]
    Unknown {
        /// The word.
        word: String,
    },
    /// A file without `-c`: the likeliest slip.
    #[error("`{word}` is no command\n\nhint: supd -c {word}")]
    File {
        /// The word.
        word: String,
    },
    /// Options of a single command, and no `--`.
    #[error(
        "`{word}` is no option of a single command\n\nhint: supd [-gswv] [-p SIG] [-e CODE] -- {word}"
    )]
    NoDashes {
        /// The word.
        word: String,
    },
    /// An option without its value.
    #[error("`{option}` needs {what}\n\nhint: supd --help")]
    Missing {
        /// The option.
        option: String,
        /// What is missing.
        what: &'static str,
    },
    /// Something of a later version.
    #[error("`supd {what}` is not in this version\n\nhint: {hint}")]
    Later {
        /// The words.
        what: &'static str,
        /// What to do instead.
        hint: &'static str,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Run,
    Check,
    DryRun,
}

/// The text of `--help`.
pub const HELP: &str = "\
supd: supervision trees for ordinary processes

Usage: supd [run] [OPTIONS]        start the tree and supervise it
       supd check [FILE]           read a configuration and say what is wrong with it
       supd [-gswv] [-p SIG] [-e CODE] -- COMMAND [ARGS]
                                   run one command: pass signals on, reap, end as it ends

Options:
  -c, --config FILE   the configuration; else $SUPD_CONFIG, /etc/supd/supd.toml,
                      $XDG_CONFIG_HOME/supd/supd.toml
      --socket PATH   the control socket; `@name` is an abstract one
      --var NAME=VAL  a variable for ${NAME}, may stand several times
      --check         the same as `supd check`
      --dry-run       say what would be started, and end
  -g                  with `--`: signals reach the command's whole process group
  -p SIG              with `--`: pass this signal on when supd's parent dies
  -e CODE             with `--`: end with 0 where the command ends with CODE; several times
  -w, -v              with `--`: say who is reaped; say what is done
  -s                  with `--`: accepted for tini's sake; orphans always come to supd
  -V, --version       print the version
  -h, --help          print this

Exit codes: 0 after an ordered stop; the culprit's code when the root gives up;
  with `--` the command's, 128 and the signal's number, 127 not found, 126 not executable;
  64 usage; 65 bad configuration; 70 internal error; 75 another supd holds the socket.
";

/// Reads the words behind the program's name.
pub fn parse(words: impl Iterator<Item = OsString>) -> Result<Asked, Usage> {
    let mut given = Given::default();
    let mut verb = Verb::Run;
    let mut words = words.peekable();
    if words.peek().is_some_and(|word| words::begins(word)) {
        return words::read(words).map(Asked::Single);
    }
    match words.peek().and_then(|w| w.to_str()) {
        Some("run") => drop(words.next()),
        Some("check") => {
            words.next();
            verb = Verb::Check;
        }
        Some(super::builtin::WORD) => {
            words.next();
            let word = super::builtin::WORD.to_owned();
            return Builtin::parse(words)
                .map(Asked::Step)
                .ok_or(Usage::Unknown { word });
        }
        Some("demo") => {
            return Err(Usage::Later {
                what: "demo",
                hint: "start with two lines: [service.web] and command = \"…\"",
            });
        }
        _ => {}
    }
    while let Some(word) = words.next() {
        let (option, value) = split(&word);
        let mut value = |what: &'static str| {
            value
                .clone()
                .or_else(|| words.next())
                .ok_or(Usage::Missing {
                    option: option.clone(),
                    what,
                })
        };
        match option.as_str() {
            "-h" | "--help" => return Ok(Asked::Help),
            "-V" | "--version" => return Ok(Asked::Version),
            "-c" | "--config" => given.config = Some(value("a file")?.into()),
            "--socket" => given.socket = Some(value("a path")?),
            "--var" => given.vars.push(var(&value("NAME=VALUE")?)?),
            "--check" => verb = Verb::Check,
            "--dry-run" => verb = Verb::DryRun,
            _ => {
                if option.starts_with('-') || given.config.is_some() {
                    return Err(Usage::Unknown { word: option });
                }
                if verb != Verb::Check {
                    return Err(Usage::File { word: option });
                }
                given.config = Some(word.into());
            }
        }
    }
    Ok(match verb {
        Verb::Run => Asked::Run(given),
        Verb::Check => Asked::Check(given),
        Verb::DryRun => Asked::DryRun(given),
    })
}

/// `--option=value` in two; short options and values stay whole.
fn split(word: &OsStr) -> (String, Option<OsString>) {
    let text = word.to_string_lossy();
    if let (Some(whole), true) = (word.to_str(), text.starts_with("--"))
        && let Some((option, value)) = whole.split_once('=')
    {
        return (option.to_owned(), Some(value.into()));
    }
    (text.into_owned(), None)
}

fn var(text: &OsStr) -> Result<(String, String), Usage> {
    let pair = text.to_str().and_then(|t| t.split_once('='));
    match pair {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Usage::Missing {
            option: "--var".to_owned(),
            what: "NAME=VALUE",
        }),
    }
}

/// The configuration to read: the one that is named, else the first of the usual places that has
/// one (CONFIG.md, "Where is it"). The error holds the places that were looked at.
pub fn find_config(
    given: Option<&Path>,
    env: &dyn Fn(&str) -> Option<OsString>,
    exists: &dyn Fn(&Path) -> bool,
) -> Result<PathBuf, Vec<PathBuf>> {
    let named = given
        .map(Path::to_path_buf)
        .or_else(|| env("SUPD_CONFIG").filter(|c| !c.is_empty()).map(Into::into));
    if let Some(path) = named {
        return Ok(path);
    }
    let mut places = vec![PathBuf::from("/etc/supd/supd.toml")];
    if let Some(home) = env("XDG_CONFIG_HOME").filter(|h| !h.is_empty()) {
        places.push(Path::new(&home).join("supd/supd.toml"));
    }
    match places.iter().find(|p| exists(p)) {
        Some(found) => Ok(found.clone()),
        None => Err(places),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Asked, Usage> {
        parse(text.split_whitespace().map(OsString::from))
    }

    fn given(config: &str) -> Given {
        Given {
            config: Some(config.into()),
            ..Given::default()
        }
    }

    #[test]
    fn words_are_read_in_every_usual_spelling() {
        assert_eq!(parsed(""), Ok(Asked::Run(Given::default())));
        assert_eq!(parsed("run -c a"), Ok(Asked::Run(given("a"))));
        assert_eq!(parsed("--config=a"), Ok(Asked::Run(given("a"))));
        assert_eq!(parsed("check a"), Ok(Asked::Check(given("a"))));
        assert_eq!(parsed("-c a --check"), Ok(Asked::Check(given("a"))));
        assert_eq!(parsed("--dry-run -c a"), Ok(Asked::DryRun(given("a"))));
        assert_eq!(parsed("run --version"), Ok(Asked::Version));
        let all = Given {
            config: None,
            socket: Some("@s".into()),
            vars: vec![("A".into(), "b=c".into()), ("D".into(), String::new())],
        };
        let text = "--socket @s --var A=b=c --var=D=";
        assert_eq!(parsed(text), Ok(Asked::Run(all)));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_way_out() {
        for text in [
            "-x",
            "file",
            "check a b",
            "--socket",
            "--var A",
            "--var =x",
            "-c file -- true",
        ] {
            let error = parsed(text).expect_err(text);
            assert!(error.to_string().contains("\n\nhint: "), "{error}");
        }
    }

    #[test]
    fn a_file_alone_is_told_where_it_belongs() {
        let error = parsed("shop.toml").expect_err("a word too many");
        assert!(error.to_string().ends_with("\n\nhint: supd -c shop.toml"));
    }

    #[test]
    fn the_configuration_is_looked_for_in_the_usual_order() {
        let env = |name: &str| (name == "XDG_CONFIG_HOME").then(|| OsString::from("/h"));
        let none = |_: &Path| false;
        let places = find_config(None, &env, &none).expect_err("nowhere");
        let texts: Vec<_> = places.iter().map(|p| p.display().to_string()).collect();
        assert_eq!(texts, ["/etc/supd/supd.toml", "/h/supd/supd.toml"]);
        let home = |p: &Path| p.starts_with("/h");
        assert_eq!(find_config(None, &env, &home), Ok(places[1].clone()));
        let named = |name: &str| (name == "SUPD_CONFIG").then(|| OsString::from("c"));
        assert_eq!(find_config(None, &named, &none), Ok("c".into()));
        assert_eq!(
            find_config(Some(Path::new("d")), &named, &none),
            Ok("d".into())
        );
    }
}
