// SPDX-License-Identifier: MIT OR Apache-2.0
//! `supctl api`: one request as it is, for images that have no curl.

use super::DONE;
use super::args::ApiArgs;
use super::client::{Client, Doing, refused};
use super::failure::Failure;
use super::http::Request;
use super::screen::Screen;
use crate::wire::Route;
use std::io::{self, Read};

/// The daemon takes at most a configuration of 4 MiB; JSON may double it.
const BODY_MAX: u64 = 8 << 20;

/// `supctl api METHOD PATH [BODY]`.
pub(crate) fn api(client: &Client, screen: &mut Screen, args: &ApiArgs) -> Result<u8, Failure> {
    let method = args.method.to_ascii_uppercase();
    let doing = format!("{method} {}", args.path);
    let is_token = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
    if !args.path.starts_with('/') || !is_token(&args.path) || !is_token(&method) {
        return Err(Failure::Usage {
            doing,
            reason: "a path begins with / and has its other characters escaped".to_owned(),
            instead: "supctl api GET /v1/tree".to_owned(),
        });
    }
    let body = match args.body.as_deref() {
        Some("-") => Some(stdin()?),
        other => other.map(str::to_owned),
    };
    let request = Request {
        method: &method,
        target: &args.path,
        body: body.as_deref(),
    };
    let (status, mut lines) = client.raw(&request)?;
    if !(200..300).contains(&status) {
        let text = lines.text()?;
        return match status {
            // An unhealthy tree is an answer, and not an error of the request.
            503 if !text.starts_with("{\"error\"") => {
                screen.json_line(text.trim_end())?;
                Ok(super::NOT_READY)
            }
            _ => Err(refused(&text, Doing(&doing))),
        };
    }
    while let Some(line) = lines.next(client.deadline())? {
        let line = line.to_owned();
        screen.json_line(&line)?;
        if !lines.has_next() {
            screen.flush()?;
        }
    }
    Ok(DONE)
}

/// `supctl metrics`.
pub(crate) fn metrics(client: &Client, screen: &mut Screen) -> Result<u8, Failure> {
    let page = ApiArgs {
        method: Route::Metrics.method().to_owned(),
        path: Route::Metrics.path(),
        body: None,
    };
    api(client, screen, &page)
}

fn stdin() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin()
        .take(BODY_MAX)
        .read_to_string(&mut text)
        .map_err(|error| Failure::Usage {
            doing: "read the body".to_owned(),
            reason: error.to_string(),
            instead: "supctl api GET /v1/tree".to_owned(),
        })?;
    Ok(text)
}
