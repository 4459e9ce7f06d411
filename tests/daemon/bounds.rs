// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the control socket bears from a client of its own user: too much, too slow, half of it,
//! nonsense. Each is answered in words, and costs nobody else anything.

use super::harness::{PATIENCE, Supd, line};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const ONE: &str = "[service.web]\ncommand = \"CHILD sleep forever\"";

fn one() -> Supd {
    let mut supd = Supd::start(ONE);
    supd.event("supervisor.ready", "root");
    supd
}

/// Everything the daemon says to these bytes, sent in one go.
fn say(supd: &Supd, bytes: &[u8]) -> String {
    let mut stream = supd.connect();
    // It may be answered before everything is sent.
    let _ = stream.write_all(bytes);
    read(stream)
}

fn read(mut stream: UnixStream) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).expect("UTF-8")
}

/// Status and code of an error; an answer in any other shape fails.
fn refusal(answer: &str, asked: &str) -> (u16, String) {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{asked}: {answer:?}"));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    let length = format!("content-length: {}", body.len());
    assert!(head.contains(&length), "{asked}: {head}");
    assert!(head.contains("application/json"), "{asked}: {head}");
    let value: Value = serde_json::from_str(body).expect("JSON");
    let text = |name: &str| value["error"][name].as_str().map(str::to_owned);
    assert!(text("message").is_some_and(|m| !m.is_empty()), "{asked}");
    assert!(text("hint").is_some(), "{asked}: {body} has no way out");
    (status.expect("a status"), text("code").expect("a code"))
}

/// Bytes, and what is said to them.
type Case = (String, u16, &'static str);

/// What is wrong in the head.
fn heads() -> Vec<Case> {
    let short = [
        ("\0\0\0\0", 400, "bad_request"),
        ("GET\r\n\r\n", 400, "bad_request"),
        ("SSH-2.0-x\r\n", 400, "bad_request"),
        ("\u{16}\u{3}\u{1}", 400, "bad_request"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request"),
        ("{\"method\":\"status\"}\n", 400, "bad_request"),
        ("BREW /v1/tree HTTP/1.1\r\n\r\n", 405, "method"),
        ("OPTIONS /v1/tree HTTP/1.1\r\n\r\n", 405, "method"),
        ("GET /v1/nodes/%00 HTTP/1.1\r\n\r\n", 404, "no_such_node"),
        ("GET /v1/nodes/a%2Fb HTTP/1.1\r\n\r\n", 404, "no_such_node"),
        ("GET /../etc/passwd HTTP/1.1\r\n\r\n", 404, "no_such_route"),
    ];
    let long = "y".repeat(200_000);
    let fields = "x: y\r\n".repeat(200);
    let mut cases: Vec<Case> = short.map(|(bytes, s, c)| (bytes.to_owned(), s, c)).into();
    for head in [
        format!("GET /{long} HTTP/1.1\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{fields}\r\n"),
    ] {
        cases.push((head, 431, "too_large"));
    }
    cases
}

/// What is wrong with the body.
fn bodies() -> Vec<Case> {
    let reload = [
        ("Content-Length: 4294967296\r\n\r\nx", 413, "too_large"),
        (
            "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx",
            400,
            "bad_request",
        ),
        (
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
            400,
            "bad_request",
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
            "bad_request",
        ),
    ];
    let signal = [
        "[".repeat(60_000),
        "{\"signal\":".repeat(6_000),
        "{\"signal\":\"\\u0000\"}".to_owned(),
        "{\"signal\":\"\u{0}\"}".to_owned(),
        "[1,2".to_owned(),
    ];
    let reload = reload
        .map(|(rest, status, code)| (format!("POST /v1/reload HTTP/1.1\r\n{rest}"), status, code));
    let signal = signal.map(|body| {
        let head = format!(
            "POST /v1/nodes/web/signal HTTP/1.1\r\nContent-Length: {}",
            body.len()
        );
        (format!("{head}\r\n\r\n{body}"), 400, "bad_request")
    });
    reload.into_iter().chain(signal).collect()
}

#[test]
fn fault_58_nonsense_is_answered_in_words_on_that_connection_alone() {
    let supd = one();
    for (bytes, status, code) in heads().into_iter().chain(bodies()) {
        let asked: String = bytes.chars().take(60).collect();
        let got = refusal(&say(&supd, bytes.as_bytes()), &asked);
        assert_eq!(got, (status, code.to_owned()), "{asked}");
    }
    assert_eq!(supd.get("/v1/health").0, 200);
}

#[test]
fn a_chunked_body_without_an_end_is_cut_off_at_its_bound() {
    let supd = one();
    let mut stream = supd.connect();
    stream
        .write_all(b"POST /v1/reload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        .expect("sent");
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let mut sent = 0;
    while sent < 64 << 20 && stream.write_all(chunk.as_bytes()).is_ok() {
        sent += chunk.len();
    }
    assert!(sent < 2 << 20, "it went on reading: {sent} bytes");
    assert_eq!(refusal(&read(stream), "endless").0, 413);
}

#[test]
fn a_request_that_takes_too_long_is_told_so_and_others_do_not_notice() {
    let supd = one();
    let begun = Instant::now();
    let mut slow = [
        ("", "nothing"),
        ("GET /v1/tr", "half a head"),
        (
            "POST /v1/reload HTTP/1.1\r\nContent-Length: 9\r\n\r\n{",
            "half a body",
        ),
    ]
    .map(|(bytes, what)| {
        let mut stream = supd.connect();
        stream.write_all(bytes.as_bytes()).expect("sent");
        (stream, what)
    });
    // A byte now and then is no reason to wait longer.
    let mut trickle = slow[1].0.try_clone().expect("a clone");
    let dripping = std::thread::spawn(move || {
        while trickle.write_all(b"e").is_ok() {
            std::thread::park_timeout(Duration::from_millis(200));
        }
    });
    assert_eq!(supd.get("/v1/health").0, 200);
    for (stream, what) in &mut slow {
        let answer = read(stream.try_clone().expect("a clone"));
        let got = refusal(&answer, what);
        assert_eq!(got, (408, "timeout".to_owned()), "{what}");
    }
    assert!(begun.elapsed() >= Duration::from_secs(9), "it was patient");
    drop(slow);
    dripping.join().expect("the end");
}

#[test]
fn a_byte_at_a_time_is_a_request_too() {
    let supd = one();
    let mut stream = supd.connect();
    for byte in b"GET /v1/health HTTP/1.1\r\nHost: supd\r\n\r\n" {
        stream.write_all(&[*byte]).expect("sent");
    }
    assert!(read(stream).starts_with("HTTP/1.1 200"));
}

#[test]
fn one_request_a_connection_whatever_comes_after_it() {
    let supd = one();
    let twice = b"GET /v1/health HTTP/1.1\r\nConnection: keep-alive\r\n\r\n\
                  POST /v1/nodes/web/stop HTTP/1.1\r\n\r\n";
    let answer = say(&supd, twice);
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(supd.node("web")["state"], "ready");
}

#[test]
fn head_is_get_without_a_body() {
    let supd = one();
    for path in ["/v1/tree", "/v1/events?follow=1"] {
        let answer = say(&supd, format!("HEAD {path} HTTP/1.1\r\n\r\n").as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(
            head.starts_with("HTTP/1.1 200") && body.is_empty(),
            "{answer}"
        );
    }
    let answer = say(&supd, b"PUT /v1/nodes/web HTTP/1.1\r\n\r\n");
    assert!(
        answer.contains("\r\nallow: GET, HEAD, DELETE\r\n"),
        "{answer}"
    );
}

#[test]
fn who_sends_no_more_still_gets_the_answer() {
    let supd = one();
    let mut stream = supd.connect();
    stream
        .write_all(b"POST /v1/nodes/web/restart HTTP/1.1\r\n\r\n")
        .expect("sent");
    stream.shutdown(Shutdown::Write).expect("shut");
    let answer = read(stream);
    assert!(answer.contains("\"outcome\":\"done\""), "{answer}");
}

#[test]
fn fault_60_clients_that_die_before_their_answer_leave_their_seats() {
    let mut supd = Supd::start(
        "[service.deaf]\ncommand = \"CHILD ignore TERM ready sleep forever\"\n\
         ready = { notify = true }\nstop = { timeout = \"10m\" }",
    );
    supd.event("supervisor.ready", "root");
    supd.post("/v1/nodes/deaf/stop?wait=0", "");
    for round in 0..4 {
        let clients: Vec<_> = (0..60)
            .map(|n| {
                let mut stream = supd.connect();
                let asked = match n % 4 {
                    0 => "POST /v1/nodes/deaf/stop?wait=1d HTTP/1.1\r\n\r\n",
                    1 => "GET /v1/openapi.json HTTP/1.1\r\n\r\n",
                    2 => "GET /v1/tree HTT",
                    _ => "",
                };
                stream.write_all(asked.as_bytes()).expect("sent");
                if n % 8 == 0 {
                    // It says that it sends no more, and dies later.
                    stream.shutdown(Shutdown::Write).expect("shut");
                }
                stream
            })
            .collect();
        drop(clients);
        let end = Instant::now() + PATIENCE;
        while supd.ask_once("/v1/health?level=live") != Some(200) {
            assert!(Instant::now() < end, "round {round}: no seat is free");
        }
    }
    // All seats are there again, and not only one.
    let end = Instant::now() + PATIENCE;
    loop {
        let _many: Vec<_> = (0..50).map(|_| supd.connect()).collect();
        if supd.get("/v1/health?level=live").0 == 200 {
            return;
        }
        assert!(Instant::now() < end, "some seats are not given back");
    }
}

#[test]
fn streams_have_their_own_bound_and_a_closed_one_makes_room() {
    let supd = one();
    let mut open = Vec::new();
    let mut refused = None;
    for _ in 0..17 {
        let mut stream = supd.connect();
        stream
            .write_all(b"GET /v1/nodes/web/logs?follow=1 HTTP/1.1\r\n\r\n")
            .expect("sent");
        let mut first = [0; 12];
        stream.read_exact(&mut first).expect("an answer");
        if &first == b"HTTP/1.1 200" {
            open.push(stream);
        } else {
            let first = String::from_utf8_lossy(&first);
            refused = Some(format!("{first}{}", read(stream)));
        }
    }
    let refused = refused.expect("one is refused");
    assert_eq!(refusal(&refused, "a stream").1, "busy");
    // Root has the last one to itself.
    let wanted = if nix::unistd::geteuid().is_root() {
        16
    } else {
        15
    };
    assert_eq!(open.len(), wanted);
    drop(open);
    let end = Instant::now() + PATIENCE;
    loop {
        let again = supd.stream("/v1/events?follow=1");
        if line(&again, |l| l.starts_with('{')).contains("snapshot") {
            return;
        }
        assert!(Instant::now() < end, "no seat is given back");
    }
}

#[test]
fn fault_59_a_reader_that_never_reads_is_told_what_it_missed() {
    let supd = one();
    let mut stream = supd.connect();
    stream
        .write_all(b"GET /v1/events?follow=1 HTTP/1.1\r\n\r\n")
        .expect("sent");
    let mut reader = std::io::BufReader::new(stream);
    let mut next = move || -> Value {
        let mut text = String::new();
        loop {
            text.clear();
            let read = std::io::BufRead::read_line(&mut reader, &mut text).expect("a line");
            assert!(read > 0, "the stream ends");
            if text.starts_with('{') {
                return serde_json::from_str(&text).expect("JSON");
            }
        }
    };
    let mut seq = next()["seq"].as_u64().expect("a number");
    // Far more than waits for a reader: nobody reads meanwhile, and nobody waits for that.
    let last = loop {
        let (status, reply) = supd.post("/v1/nodes/web/restart", "");
        assert_eq!(status, 200, "{reply}");
        let last = reply["events"]
            .as_array()
            .and_then(|e| e.last())
            .expect("events")["seq"]
            .as_u64()
            .expect("a number");
        if last > seq + 6000 {
            break last;
        }
    };
    let mut gaps = 0;
    while seq < last {
        let item = next();
        if item["kind"] == "gap" {
            assert_eq!(item["from"], seq + 1, "{item}");
            seq = item["to"].as_u64().expect("a number");
            gaps += 1;
        } else {
            assert_eq!(item["seq"], seq + 1, "{item}");
            seq += 1;
        }
    }
    assert_eq!(
        gaps, 1,
        "one stretch is missing, and it is told without a later line"
    );
}

#[test]
fn a_stream_ends_with_the_end_of_everything() {
    let mut supd = one();
    let stream = supd.stream("/v1/events?follow=1");
    line(&stream, |l| l.contains("snapshot"));
    supd.signal("SIGTERM");
    supd.wait();
    let last = supd.events.iter().filter_map(|e| e["seq"].as_u64()).max();
    let told: Vec<Value> = stream
        .iter()
        .filter_map(|l| serde_json::from_str(&l).ok())
        .filter(|v: &Value| v.is_object())
        .collect();
    let told_last = told.iter().filter_map(|e| e["seq"].as_u64()).max();
    assert_eq!(told_last, last, "{}", supd.story());
}
