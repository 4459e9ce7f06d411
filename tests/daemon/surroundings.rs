// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a service's process finds around it, key by key, as it reports itself. Who is not root, or
//! lacks a right in this container, is told by the kernel at the very stage, and so are we.

use super::harness::{Dir, Start, Supd, expand};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A service with these keys: its report, or the stage at which it failed.
fn report(keys: &str) -> Result<Value, String> {
    let config = format!(
        "[supervisor.root]\nmax_restarts = 50\n[service.a]\n{keys}\nready = {{ notify = true }}\n\
         command = \"CHILD report DIR/report ready sleep forever\""
    );
    let dir = Dir::new();
    // Whoever it is may write its report.
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o777)).expect("a mode");
    dir.write("supd.toml", &expand(&config, &dir));
    let mut supd = Supd::start_in(dir, Start::default());
    let seen = supd.until("a start or a failure", |e| {
        let kind = e["kind"].as_str().unwrap_or_default();
        e["node"] == "a" && matches!(kind, "service.ready" | "service.exited")
    });
    if seen["kind"] != "service.ready" {
        return Err(seen.to_string());
    }
    let text = fs::read_to_string(supd.dir.path("report")).expect("a report");
    Ok(serde_json::from_str(&text).expect("JSON"))
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A set of capabilities that the kernel writes.
fn set(report: &Value, name: &str) -> u64 {
    let text = report["status"][name].as_str().expect("a set");
    u64::from_str_radix(text, 16).expect("hexadecimal")
}

#[test]
fn a_service_runs_on_the_processors_that_are_named() {
    let seen = report("cpu_affinity = 0").expect("it starts");
    assert_eq!(seen["status"]["Cpus_allowed_list"], "0");
    let failed = report("cpu_affinity = 1023").expect_err("there is no such processor");
    assert!(failed.contains("cpu_affinity"), "{failed}");
}

#[test]
fn the_bounding_set_is_what_is_named_and_no_more() {
    match report("capabilities = { bounding = [\"KILL\", \"CAP_NET_RAW\"] }") {
        Ok(seen) => assert_eq!(set(&seen, "CapBnd") & !(1 << 5 | 1 << 13), 0),
        Err(failed) => {
            assert!(!is_root(), "{failed}");
            assert!(failed.contains("capabilities"), "{failed}");
        }
    }
}

#[test]
fn an_ambient_capability_is_there_for_a_user_who_is_not_root() {
    let keys = "user = 65534\ncapabilities = { ambient = [\"NET_BIND_SERVICE\"] }";
    match report(&format!("{keys}\nworkdir = \"/\"")) {
        Ok(seen) => {
            assert_eq!(set(&seen, "CapAmb"), 1 << 10);
            assert_eq!(set(&seen, "CapEff"), 1 << 10);
            assert_eq!(seen["uids"], serde_json::json!([65534, 65534, 65534]));
        }
        Err(failed) => assert!(!is_root() || failed.contains("capabilities"), "{failed}"),
    }
}

#[test]
fn a_capability_we_do_not_have_is_a_failure_with_its_stage() {
    if is_root() {
        let keys = "capabilities = { bounding = [], ambient = [] }";
        let seen = report(keys).expect("nothing is left, and it starts");
        assert_eq!(set(&seen, "CapEff"), 0);
        return;
    }
    let failed = report("capabilities = { ambient = [\"SYS_ADMIN\"] }").expect_err("not ours");
    assert!(failed.contains("capabilities"), "{failed}");
}

#[test]
fn chroot_is_the_root_of_the_program_and_a_failure_names_it() {
    let missing = report("chroot = \"/does/not/exist\"").expect_err("there is no such place");
    assert!(missing.contains("chroot"), "{missing}");
    if !is_root() {
        return;
    }
    // Every program is still found: it is the same root by another name.
    let seen = report("chroot = \"/proc/1/root\"");
    let seen = seen
        .or_else(|_| report("chroot = \"/\""))
        .expect("it starts");
    assert_eq!(seen["cwd"], "/");
}
