// SPDX-License-Identifier: MIT OR Apache-2.0
//! `listen`: sockets that supd holds for a service.

use super::codes;
use super::diagnostic::Report;
use super::reader::Reader;
use super::value::{Field, Item, Table};
use crate::spec::{Listen, ListenAddress, limits};
use std::net::SocketAddr;
use std::sync::Arc;

/// Connections that wait when nobody says how many: what the kernel allows by default
/// (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;
/// Who may connect to a Unix socket when nobody says; systemd.socket(5) has the same.
const MODE: u16 = 0o666;
const EXAMPLE: &str = "write it as `listen = \"tcp:0.0.0.0:8080\"` or `\"unix:/run/x.sock\"`";

/// What is wrong, and the way out.
type Complaint = (String, &'static str);

/// One or a list of `"tcp:ADDRESS:PORT"`, `"unix:PATH"` and `{ tcp | unix, name, backlog, mode }`.
pub(super) fn listen(reader: &Reader<'_>, table: &Table) -> Arc<[Listen]> {
    let Some(field) = table.get("listen") else {
        return Arc::from([]);
    };
    let mut all: Vec<Listen> = Vec::new();
    let mut add = |field: Field<'_>| {
        let Some(one) = one(reader, field) else {
            return;
        };
        if all.iter().any(|known| known.address == one.address) {
            let message = format!("`{}` stands there twice", one.address);
            complain(reader, field, (message, "once is enough"));
        } else {
            all.push(one);
        }
    };
    match &field.value.item {
        Item::List(list) => list.iter().for_each(|value| add(field.with(value))),
        _ => add(field),
    }
    if all.len() > limits::LISTEN_MAX {
        let message = format!("a service has at most {} sockets", limits::LISTEN_MAX);
        complain(reader, field, (message, "split the service"));
    }
    all.into()
}

fn complain(reader: &Reader<'_>, field: Field<'_>, (message, help): Complaint) {
    let report = Report::new(codes::LISTEN, message).at(field.at(), "");
    reader.report(report.help(help));
}

fn one(reader: &Reader<'_>, field: Field<'_>) -> Option<Listen> {
    let Item::Table(table) = &field.value.item else {
        let text = reader.text(field)?;
        let address = match text.split_once(':') {
            Some(("tcp", rest)) => tcp(rest),
            Some(("unix", rest)) => unix(reader, field, rest),
            _ => Err((format!("`{text}` is no socket"), EXAMPLE)),
        };
        return of(reader, field, address, None);
    };
    let known = ["tcp", "unix", "name", "backlog", "mode"];
    for entry in &table.entries {
        if !known.contains(&&*entry.key) {
            let message = format!("a socket has no `{}`", entry.key);
            complain(
                reader,
                field,
                (message, "it has `tcp` or `unix`, `name`, `backlog`, `mode`"),
            );
            return None;
        }
    }
    let address = match (table.get("tcp"), table.get("unix")) {
        (Some(at), None) => tcp(&reader.text(at)?),
        (None, Some(at)) => unix(reader, at, &reader.text(at)?),
        _ => Err(("a socket is either `tcp` or `unix`".to_owned(), EXAMPLE)),
    };
    of(reader, field, address, Some(table))
}

fn of(
    reader: &Reader<'_>,
    field: Field<'_>,
    address: Result<ListenAddress, Complaint>,
    table: Option<&Table>,
) -> Option<Listen> {
    let address = match address {
        Ok(address) => address,
        Err(complaint) => {
            complain(reader, field, complaint);
            return None;
        }
    };
    let get = |key| table.and_then(|t| t.get(key));
    let name = match get("name") {
        Some(at) => reader.text(at)?,
        None => "unknown".into(),
    };
    // sd_listen_fds_with_names(3): names are parted by colons.
    let plain = |c: char| c.is_ascii_graphic() && c != ':';
    if name.is_empty() || name.len() > limits::NAME_MAX || !name.chars().all(plain) {
        let help = "visible ASCII without a colon";
        complain(
            reader,
            field,
            (format!("`{name}` is no name of a socket"), help),
        );
        return None;
    }
    let backlog = get("backlog").and_then(|at| reader.integer(at, 1..=65_535));
    let mode = match get("mode") {
        Some(at) => super::process::octal(reader, at)?,
        None => MODE,
    };
    Some(Listen {
        name,
        address,
        backlog: backlog
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(BACKLOG),
        mode,
    })
}

fn tcp(text: &str) -> Result<ListenAddress, Complaint> {
    // Nothing is resolved in PID 1.
    let text = text
        .strip_prefix("localhost:")
        .map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(ListenAddress::Tcp(address.to_string().into())),
        Ok(_) => Err(("a port is from 1 to 65535".to_owned(), EXAMPLE)),
        Err(_) => Err((format!("`{text}` is no IP address and port"), EXAMPLE)),
    }
}

fn unix(reader: &Reader<'_>, field: Field<'_>, text: &str) -> Result<ListenAddress, Complaint> {
    let path = reader.locate(field.value, text).unwrap_or_default();
    if path.as_os_str().len() > limits::SOCKET_PATH_MAX {
        let message = format!(
            "a socket's path has at most {} bytes",
            limits::SOCKET_PATH_MAX
        );
        return Err((message, "put it into a directory with a shorter name"));
    }
    Ok(ListenAddress::Unix(path))
}
