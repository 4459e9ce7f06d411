// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a command could not be carried out: its text, its exit code, and one command to try.
//!
//! A tree that is not as one would wish is no failure; that is an answer, with its own exit code.

use crate::wire::{ErrorBody, ErrorDetail, Word, code};
use std::io;
use thiserror::Error;

/// Why a command could not be carried out.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("cannot find the daemon: nothing answers at {}", places.join(", "))]
    NoDaemon { places: Vec<String> },
    #[error("cannot talk to the daemon at {place}: {source}")]
    Connection {
        place: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot trust the socket in {dir}: {why}")]
    NotOurs { dir: String, why: &'static str },
    #[error("cannot understand the daemon's answer: {what}")]
    Answer { what: String },
    #[error("cannot {doing}: {}", detail.message)]
    Refused { doing: String, detail: ErrorDetail },
    #[error("cannot {doing}: no node has this name")]
    NoSuchName { doing: String, near: Option<String> },
    #[error("cannot {doing}: not done within the time")]
    InVain { doing: String },
    #[error("cannot {doing}: {reason}")]
    Usage {
        doing: String,
        reason: String,
        instead: String,
    },
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// The exit code (INTERFACES.md, "Exit codes").
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NoDaemon { .. } | Self::Answer { .. } => super::NO_DAEMON,
            Self::Connection { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => super::NOT_PERMITTED,
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => super::IN_VAIN,
                _ => super::NO_DAEMON,
            },
            Self::NotOurs { .. } => super::NOT_PERMITTED,
            Self::Refused { detail, .. } => of_code(&detail.code),
            Self::NoSuchName { .. } => super::NO_SUCH_NAME,
            Self::InVain { .. } => super::IN_VAIN,
            Self::Usage { .. } => super::USAGE,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => super::DONE,
            Self::Output(_) => super::NO,
        }
    }

    /// What may help, when that is more than a command.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NoDaemon { .. } => {
                Some("start it with `supd`, or name its socket with --socket".to_owned())
            }
            Self::Connection { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("the daemon's user, root and `[supd] socket.group` may connect".to_owned())
            }
            Self::NoSuchName { near, .. } => {
                near.as_ref().map(|near| format!("did you mean `{near}`?"))
            }
            Self::Refused { detail, .. } => detail.hint.clone(),
            Self::Connection { .. }
            | Self::NotOurs { .. }
            | Self::Answer { .. }
            | Self::InVain { .. }
            | Self::Usage { .. }
            | Self::Output(_) => None,
        }
    }

    /// One command to try.
    pub(crate) fn instead(&self) -> String {
        match self {
            Self::NoDaemon { .. } => "supctl --socket PATH status".to_owned(),
            Self::Connection { .. } => format!("supctl explain {}", self.exit_code()),
            Self::NotOurs { dir, .. } => format!("ls -ld {dir}"),
            Self::Answer { .. } => "supctl --version".to_owned(),
            Self::NoSuchName { near, .. } => match near {
                Some(near) => format!("supctl status {near}"),
                None => "supctl tree".to_owned(),
            },
            Self::Refused { detail, .. } => format!("supctl explain {}", detail.code),
            Self::InVain { .. } => "supctl status".to_owned(),
            Self::Usage { instead, .. } => instead.clone(),
            Self::Output(_) => "df -h".to_owned(),
        }
    }

    /// The same for a program.
    pub(crate) fn to_body(&self) -> ErrorBody {
        if let Self::Refused { detail, .. } = self {
            return ErrorBody {
                error: detail.clone(),
            };
        }
        let word = match self {
            Self::NoSuchName { .. } => code::NO_SUCH_NODE,
            Self::InVain { .. } => code::TIMEOUT,
            Self::Usage { .. } => code::BAD_REQUEST,
            Self::NotOurs { .. } => code::FORBIDDEN,
            Self::NoDaemon { .. }
            | Self::Connection { .. }
            | Self::Answer { .. }
            | Self::Refused { .. }
            | Self::Output(_) => "no_daemon",
        };
        ErrorBody {
            error: ErrorDetail {
                code: Word::Borrowed(word),
                message: self.to_string(),
                hint: self.hint(),
            },
        }
    }
}

/// The exit code for a code of the protocol.
fn of_code(word: &str) -> u8 {
    match word {
        code::NO_SUCH_NODE => super::NO_SUCH_NAME,
        code::FORBIDDEN => super::NOT_PERMITTED,
        code::BUSY | code::STOPPING => super::BUSY,
        code::TIMEOUT => super::IN_VAIN,
        code::INVALID_CONFIG => super::INVALID_CONFIG,
        code::BAD_REQUEST | code::NO_SUCH_ROUTE | code::METHOD | code::TOO_LARGE => super::USAGE,
        _ => super::NO,
    }
}
