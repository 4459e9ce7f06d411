// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses that the daemon itself connects to. The host is a number or `localhost`, because PID 1
//! must not wait for a resolver; whoever needs a name or a certificate asks by a command.

use super::codes;
use super::diagnostic::Report;
use super::reader::Reader;
use super::value::Field;
use crate::spec::{Address, ProbeTarget};
use std::net::IpAddr;

const HTTP: &str = "write it as `http = \"http://127.0.0.1:8080/healthz\"`";

/// What is wrong with an address, and the way out.
type Complaint = (String, &'static str);

/// `ADDRESS:PORT`.
pub(super) fn tcp(reader: &Reader<'_>, field: Field<'_>) -> Option<ProbeTarget> {
    let text = reader.text(field)?;
    let example = "write it as `tcp = \"127.0.0.1:8080\"`";
    let read = || {
        let (host, port) = text.rsplit_once(':').ok_or_else(|| {
            let message = "`tcp` is an address and a port".to_owned();
            (message, example)
        })?;
        let port = port_of(port, example)?;
        let host = host_of(host)?;
        Ok(ProbeTarget::Tcp { host, port })
    };
    told(reader, field, read())
}

/// `ADDRESS:PORT` to listen at.
pub(super) fn listen(reader: &Reader<'_>, field: Field<'_>) -> Option<Address> {
    const EXAMPLE: &str = "write it as `listen = \"127.0.0.1:9464\"`";
    let text = reader.text(field)?;
    let read = || {
        let (host, port) = text.rsplit_once(':').ok_or_else(|| {
            let message = "`listen` is an address and a port".to_owned();
            (message, EXAMPLE)
        })?;
        let port = port_of(port, EXAMPLE)?;
        let host = host_of(host).map_err(|(message, _)| (message, EXAMPLE))?;
        Ok(Address { host, port })
    };
    told(reader, field, read())
}

/// `http://ADDRESS[:PORT][/PATH]`.
pub(super) fn http(reader: &Reader<'_>, field: Field<'_>) -> Option<ProbeTarget> {
    let text = reader.text(field)?;
    told(reader, field, read_http(&text))
}

fn read_http(text: &str) -> Result<ProbeTarget, Complaint> {
    if text.starts_with("https:") {
        let message = "`https` is not spoken here".to_owned();
        return Err((message, "ask by `exec`, with curl for instance"));
    }
    let Some(rest) = text.strip_prefix("http://") else {
        return Err((
            "`http` is an URL that begins with `http://`".to_owned(),
            HTTP,
        ));
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if !path.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        let message = "a path has visible ASCII letters and no `#`".to_owned();
        return Err((message, "write other letters as `%XX`"));
    }
    if authority.contains('@') {
        let message = "no user and no password stand in an URL here".to_owned();
        return Err((message, "ask by `exec`, with curl for instance"));
    }
    // A colon inside of brackets belongs to the address.
    let colon = authority
        .rfind(':')
        .filter(|at| !authority[*at..].contains(']'));
    let (host, port) = match colon {
        Some(at) => (&authority[..at], port_of(&authority[at + 1..], HTTP)?),
        None => (authority, 80),
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok(ProbeTarget::Http {
        host: host_of(host)?,
        port,
        path: format!("{slash}{path}").into(),
    })
}

fn told<T>(reader: &Reader<'_>, field: Field<'_>, read: Result<T, Complaint>) -> Option<T> {
    match read {
        Ok(target) => Some(target),
        Err((message, help)) => {
            let report = Report::new(codes::ADDRESS, message).at(field.at(), "");
            reader.report(report.help(help));
            None
        }
    }
}

fn port_of(text: &str, example: &'static str) -> Result<u16, Complaint> {
    let port = text.parse::<u16>().ok().filter(|port| *port > 0);
    port.ok_or_else(|| ("a port is a number from 1 to 65535".to_owned(), example))
}

fn host_of(host: &str) -> Result<Box<str>, Complaint> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    match bare.unwrap_or(host).parse::<IpAddr>() {
        Ok(ip) if ip.is_ipv6() == bare.is_some() => Ok(ip.to_string().into()),
        Ok(_) => Err((
            "an IPv6 address stands in brackets".to_owned(),
            "[::1]:8080",
        )),
        Err(_) if host == "localhost" => Ok(host.into()),
        Err(_) => Err((
            format!("`{host}` is no IP address, and supd resolves no names"),
            "use an address, `localhost`, or a probe by `exec`",
        )),
    }
}
