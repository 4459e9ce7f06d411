// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small HTTP server over the first socket that was handed over (sd_listen_fds(3)): one thread,
//! one request a connection, the answer is its own number.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use supd::sys::bound::handed_over;

/// Serves for ever.
pub(super) fn serve() -> io::Result<()> {
    let env: Vec<_> = std::env::vars_os().collect();
    let first = handed_over(&env).into_iter().next();
    let first = first.ok_or_else(|| io::Error::other("no socket was handed over"))?;
    let listener = TcpListener::from(OwnedFd::from(first));
    for stream in listener.incoming() {
        // A client that goes away is no reason to stop.
        let _gone = answer(stream?);
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    let mut bytes = [0; 1024];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut bytes)? {
            0 => return Ok(()),
            n => head.extend_from_slice(&bytes[..n]),
        }
    }
    let body = std::process::id().to_string();
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all((head + &body).as_bytes())
}
