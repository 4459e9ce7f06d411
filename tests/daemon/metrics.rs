// SPDX-License-Identifier: MIT OR Apache-2.0
//! The metrics page of a daemon with real processes, read as strictly as the format is written.

use super::harness::{PATIENCE, Supd, expand};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::str::FromStr;
use std::time::Instant;

/// Values, as they stand there, by the whole text before them.
type Samples = BTreeMap<String, String>;

const TREE: &str = "[supd]\nevents_kept = 16\n[supervisor.root]\nmax_restarts = 50\n\
    children = [\"frail\", \"job\", \"sturdy\"]\n\
    [service.frail]\ncommand = \"CHILD sleep forever\"\n\
    [service.job]\ntype = \"oneshot\"\ncommand = \"CHILD exit 0\"\n\
    [service.sturdy]\ncommand = \"CHILD sleep forever\"";

fn suffixes(kind: &str) -> &'static [&'static str] {
    match kind {
        "counter" => &["_total"],
        "gauge" => &[""],
        "info" => &["_info"],
        "histogram" => &["_bucket", "_sum", "_count"],
        other => panic!("no kind of ours: {other}"),
    }
}

/// Reads a page by the rules of OpenMetrics 1.0 that a page of ours can break: families once and
/// together, suffixes of their kind, no sample twice, buckets that rise, `# EOF` at the end.
fn read(page: &str) -> Samples {
    let (body, rest) = page.split_once("# EOF\n").expect("the last line is # EOF");
    assert_eq!(rest, "", "nothing stands after it");
    let (mut families, mut samples) = (BTreeSet::new(), Samples::new());
    let (mut family, mut kind, mut bucket) = ("", "", 0.0);
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            (family, kind) = rest.split_once(' ').expect("a name and a kind");
            assert!(families.insert(family), "{family} stands there twice");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(rest.starts_with(&format!("{family} ")), "{line}");
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').expect("a sample and its value");
        let name = sample.split('{').next().expect("a name");
        let fits = suffixes(kind)
            .iter()
            .any(|s| name == format!("{family}{s}"));
        assert!(fits, "{name} is no sample of {family}, a {kind}");
        check_labels(&sample[name.len()..]);
        let number: f64 = value.parse().expect("a number");
        if name.ends_with("_bucket") {
            // Cumulative: within one histogram no bucket is below the one before.
            let first = sample.contains("le=\"0.001\"");
            assert!(
                first || number >= bucket,
                "{sample} is below the one before"
            );
            bucket = number;
        }
        assert!(
            samples
                .insert(sample.to_owned(), value.to_owned())
                .is_none(),
            "{sample}"
        );
    }
    samples
}

fn check_labels(labels: &str) {
    if labels.is_empty() {
        return;
    }
    let inner = labels.strip_prefix('{').and_then(|l| l.strip_suffix('}'));
    for pair in inner.expect("labels in braces").split("\",") {
        let (name, value) = pair.split_once("=\"").expect("name=\"value\"");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase()), "{name}");
        assert!(!value.trim_end_matches('"').contains('"'), "{value}");
    }
}

fn scrape(supd: &Supd) -> Samples {
    let (status, page) = supd.ask("GET", "/metrics", "");
    assert_eq!(status, 200);
    read(&page)
}

fn value<T: FromStr>(samples: &Samples, sample: &str) -> T {
    let known = || samples.keys().cloned().collect::<Vec<_>>().join("\n");
    let value = samples.get(sample).and_then(|text| text.parse().ok());
    value.unwrap_or_else(|| panic!("no such {sample} in\n{}", known()))
}

fn count(samples: &Samples, sample: &str) -> u64 {
    value(samples, sample)
}

#[test]
fn a_killed_service_is_counted_by_class_and_its_recovery_is_timed() {
    let mut supd = Supd::start(TREE);
    supd.event("supervisor.ready", "root");
    let before = scrape(&supd);
    assert!(
        !before
            .keys()
            .any(|k| k.starts_with("supd_service_exits_total{service=\"frail\""))
    );
    super::harness::kill(supd.pid_of("frail"), "SIGKILL");
    supd.event("service.ready", "frail");
    let after = scrape(&supd);
    let killed = "{service=\"frail\",class=\"killed\",base=\"killed\"}";
    assert_eq!(
        count(&after, &format!("supd_service_exits_total{killed}")),
        1
    );
    let starts = |cause: &str| {
        let sample = format!("supd_service_starts_total{{service=\"frail\",cause=\"{cause}\"}}");
        count(&after, &sample)
    };
    assert_eq!((starts("boot"), starts("failure")), (1, 1));
    let recovered = "supd_recovery_seconds_count{family=\"external\"}";
    assert_eq!(count(&after, recovered), 1);
    let used = "supd_budget_used{supervisor=\"root\",bucket=\"main\"}";
    assert_eq!(count(&after, used), 1);
}

#[test]
fn every_service_is_in_one_state_and_what_it_uses_is_there() {
    let mut supd = Supd::start(TREE);
    supd.event("supervisor.ready", "root");
    let page = scrape(&supd);
    for (service, state) in [("frail", "ready"), ("job", "done"), ("sturdy", "ready")] {
        let prefix = format!("supd_service_state{{service=\"{service}\"");
        let states = || {
            page.iter()
                .filter(|(sample, _)| sample.starts_with(&prefix))
        };
        assert_eq!(states().filter(|(_, v)| *v == "1").count(), 1);
        let sample = format!("{prefix},state=\"{state}\"}}");
        assert_eq!(count(&page, &sample), 1);
    }
    // The kernel counts pages per CPU: of a small process that has just begun it may see none yet.
    assert!(page.contains_key("supd_service_memory_bytes{service=\"sturdy\"}"));
    assert!(!page.contains_key("supd_service_memory_bytes{service=\"job\"}"));
    assert_eq!(count(&page, "supd_config_reload_success"), 1);
}

#[test]
fn counters_never_go_back_over_reloads_removals_and_a_full_journal() {
    let mut supd = Supd::start(TREE);
    supd.event("supervisor.ready", "root");
    for _ in 0..4 {
        super::harness::kill(supd.pid_of("frail"), "SIGKILL");
        supd.event("service.ready", "frail");
    }
    let counted = scrape(&supd);
    let sample = "supd_service_exits_total{service=\"frail\",class=\"killed\",base=\"killed\"}";
    assert_eq!(count(&counted, sample), 4);
    let without = "[service.sturdy]\ncommand = \"true\"\nrestart = \"temporary\"";
    let body = serde_json::json!({ "toml": without }).to_string();
    assert_eq!(supd.post("/v1/apply", &body).0, 200);
    assert!(!scrape(&supd).contains_key(sample));
    let body = serde_json::json!({ "toml": "[service.oops" }).to_string();
    assert_eq!(supd.post("/v1/apply", &body).1["ok"], false);
    assert_eq!(count(&scrape(&supd), "supd_config_reload_success"), 0);
    assert_eq!(supd.post("/v1/reload", "").0, 200);
    let back = scrape(&supd);
    assert_eq!(count(&back, "supd_config_reload_success"), 1);
    assert!(count(&back, sample) >= 4);
    for name in counted.keys().filter(|name| name.contains("_total")) {
        let (before, now): (f64, f64) = (value(&counted, name), value(&back, name));
        assert!(now >= before, "{name} went back");
    }
}

/// Names of families and their kinds, in the order of the text.
fn families(page: &str) -> Vec<(String, String)> {
    page.lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect()
}

fn file(path: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(root.join(path)).expect("a file of ours")
}

#[test]
fn the_reference_page_has_every_family_in_order() {
    let mut supd = Supd::start(TREE);
    supd.event("supervisor.ready", "root");
    let (_, page) = supd.ask("GET", "/metrics", "");
    let reference = file("docs/reference/metrics.md");
    let rows: Vec<(String, String)> = reference
        .lines()
        .filter_map(|line| line.strip_prefix("| `supd_")?.split_once("` | "))
        .map(|(name, rest)| {
            let kind = rest.split(' ').next().expect("a kind");
            (format!("supd_{name}"), kind.to_owned())
        })
        .collect();
    assert_eq!(rows, families(&page));
}

#[test]
fn alerts_and_dashboard_use_what_there_is() {
    let reference = file("docs/reference/metrics.md");
    for path in [
        "packaging/prometheus/alerts.yml",
        "packaging/grafana/supd.json",
    ] {
        let text = file(path);
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let used: BTreeSet<&str> = text
            .split(|c| !is_word(c))
            .filter(|word| word.starts_with("supd_"))
            .collect();
        assert!(used.len() > 5, "{path} uses hardly anything");
        for word in used {
            let family = ["_total", "_info", "_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| word.strip_suffix(suffix))
                .unwrap_or(word);
            let row = format!("| `{family}` | ");
            assert!(reference.contains(&row), "{path}: there is no {word}");
        }
    }
}

/// One request over TCP, and the whole answer.
fn over_tcp(port: u16, head: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a listener");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn metrics_and_health_can_be_read_over_tcp_and_nothing_else() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = |l: &TcpListener| l.local_addr().expect("its address").port();
    let (busy, open) = (port(&taken), port(&free));
    drop(free);
    let at = |port: u16| format!("[supd]\nmetrics = {{ listen = \"127.0.0.1:{port}\" }}\n{TREE}");
    let config = |port: u16| at(port).replace("[supd]\nevents_kept = 16\n", "");
    let mut supd = Supd::start(&config(busy));
    let told = supd.event("daemon.surroundings", "");
    let message = told["message"].as_str().expect("a message");
    assert!(message.contains(&format!("127.0.0.1:{busy}")), "{message}");
    supd.event("supervisor.ready", "root");

    supd.dir
        .write("supd.toml", &expand(&config(open), &supd.dir));
    assert_eq!(supd.post("/v1/reload", "").0, 200);
    let get = |line: &str, host: &str| {
        over_tcp(open, &format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    };
    let page = get("GET /metrics", "localhost:9464");
    let (head, page) = page.split_once("\r\n\r\n").expect("a body");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\ncontent-type: application/openmetrics-text"));
    read(page);
    let health = get("GET /v1/health?level=live", "127.0.0.1");
    assert!(health.starts_with("HTTP/1.1 200 OK\r\n"), "{health}");
    for (line, host, status) in [
        ("GET /metrics", "evil.example", 421),
        ("GET /v1/tree", "localhost", 404),
        ("POST /v1/shutdown", "localhost", 405),
        ("GET /v1/health?level=odd", "localhost", 400),
        ("nonsense", "localhost", 400),
    ] {
        let answer = get(line, host);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{line} {host}: {answer}"
        );
    }

    supd.dir.write("supd.toml", &expand(TREE, &supd.dir));
    assert_eq!(supd.post("/v1/reload", "").0, 200);
    let patience = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", open)).is_ok() {
        assert!(Instant::now() < patience, "somebody still listens");
    }
}
