// SPDX-License-Identifier: MIT OR Apache-2.0
//! The body of every answer that is no success.

use super::Word;
use serde::{Deserialize, Serialize};

/// The words in [`ErrorDetail::code`], and the HTTP status that goes with each.
pub mod code {
    /// 404: nothing has this name.
    pub const NO_SUCH_NODE: &str = "no_such_node";
    /// 404: no such URL in this version.
    pub const NO_SUCH_ROUTE: &str = "no_such_route";
    /// 405: the URL exists, the method does not.
    pub const METHOD: &str = "method";
    /// 400: the request cannot be understood.
    pub const BAD_REQUEST: &str = "bad_request";
    /// 403: the client's user may not do this.
    pub const FORBIDDEN: &str = "forbidden";
    /// 409: the node's state or kind does not allow it.
    pub const CONFLICT: &str = "conflict";
    /// 413, 431: a body or a head beyond its limit.
    pub const TOO_LARGE: &str = "too_large";
    /// 422: the configuration is invalid; nothing was changed.
    pub const INVALID_CONFIG: &str = "invalid_config";
    /// 429: too many clients, streams or commands.
    pub const BUSY: &str = "busy";
    /// 408, 504: it did not happen in the time that was given.
    pub const TIMEOUT: &str = "timeout";
    /// 501: this version does not do that.
    pub const UNSUPPORTED: &str = "unsupported";
    /// 503: the daemon is going down.
    pub const STOPPING: &str = "stopping";
    /// 500: a mistake of supd's own.
    pub const INTERNAL: &str = "internal";
}

/// `{"error":{…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// One of [`code`], for programs.
    pub code: Word,
    /// One line, for people.
    pub message: String,
    /// The way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl ErrorBody {
    /// An error without a hint.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            error: ErrorDetail {
                code: Word::Borrowed(code),
                message: message.into(),
                hint: None,
            },
        }
    }

    /// The same with a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.error.hint = Some(hint.into());
        self
    }
}
