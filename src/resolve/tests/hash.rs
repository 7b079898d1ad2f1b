use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// A spec that says much, in short forms.
const RICH: &str = include_str!("../../crd/compose/hash/golden.yaml");

fn hash(lines: &str) -> String {
    app(lines).spec_hash
}

fn hashes(desired: &Desired) -> Vec<(&str, &str)> {
    desired.services.values().map(|service| (service.name.as_str(), service.spec_hash.as_str())).collect()
}

#[test]
fn a_hash_is_sixteen_hex_digits_and_stays_what_it_is() {
    // A change here replaces every container at an upgrade: it must be meant.
    insta::assert_snapshot!(lines(hashes(&desired(&format!("{RICH}\nprofiles: ['*']")))), @r#"
    ("bare", "2c6644a4eb76d6bb")
    ("deployed", "25e97d076c9ae735")
    ("gated", "8e301f41f1af14c4")
    ("limits", "6f0ff5f83c947c41")
    ("modes", "f2b132de0999cdd6")
    ("mounts", "a01570349917d49f")
    ("nets", "1c74355bd900d8ec")
    ("nothing", "6f0659f00ffff945")
    ("ports", "d15c3228cedce9d6")
    ("probeless", "6ca03bc936776024")
    ("words", "6f47e04801620528")
    "#);
}

#[test]
fn what_containers_do_not_show_does_not_change_the_hash() {
    let plain = hash("");
    for lines in [
        "scale: 3",
        "deploy: {replicas: 3}",
        "deploy: {mode: replicated}",
        "restart: always",
        "deploy: {restart_policy: {condition: on-failure}}",
        "depends_on: [other]\n---\n  other: {image: i}",
        "profiles: [x]\n---\nprofiles: [x]",
        "pull_policy: never",
        "---\nstate: Stopped",
        "---\nrecovery: {mode: Observe, maxAttempts: 2}",
        "---\nnetworks: {default: {driver: bridge}}",
    ] {
        assert_eq!(hash(lines), plain, "{lines}");
    }
}

#[test]
fn every_key_that_containers_show_changes_the_hash() {
    let mut seen = std::collections::BTreeMap::from([(hash(""), "")]);
    for lines in [
        "platform: linux/amd64",
        "command: []",
        "command: a b",
        "entrypoint: []",
        "entrypoint: a b",
        "environment: {A: '1'}",
        "environment: {A: ''}",
        "environment: [A]",
        "labels: {a: b}",
        "annotations: {a: b}",
        "user: '1'",
        "working_dir: /w",
        "hostname: h",
        "domainname: d",
        "tty: true",
        "stdin_open: true",
        "stop_signal: SIGINT",
        "stop_grace_period: 3s",
        "expose: ['1']",
        "ports: ['1']",
        "ports: ['1:1']",
        "ports: ['1:1/udp']",
        "ports: ['127.0.0.1:1:1']",
        "healthcheck: {test: a}",
        "healthcheck: {test: a, interval: 1s}",
        "healthcheck: {disable: true}",
        "volumes: ['/a']",
        "volumes: ['/a:/a']",
        "volumes: ['/a:/a:ro']",
        "volumes: ['v:/a']\n---\nvolumes: {v: {}}",
        "volumes: ['v:/a']\n---\nvolumes: {v: {name: real}}",
        "tmpfs: /t",
        "networks: {default: {aliases: [a]}}",
        "networks: [n]\n---\nnetworks: {n: {}}",
        "networks: [n]\n---\nnetworks: {n: {name: real}}",
        "network_mode: host",
        "network_mode: none",
        "ipc: host",
        "pid: host",
        "uts: host",
        "cgroup: host",
        "userns_mode: host",
        "cgroup_parent: /p",
        "cap_add: [A]",
        "cap_drop: [A]",
        "privileged: true",
        "read_only: true",
        "init: true",
        "init: false",
        "security_opt: ['no-new-privileges:true']",
        "group_add: [g]",
        "devices: ['/dev/null']",
        "gpus: all",
        "sysctls: {a: '1'}",
        "ulimits: {nofile: 1}",
        "ulimits: {nofile: {soft: 1, hard: 2}}",
        "extra_hosts: ['a:1.1.1.1']",
        "dns: 1.1.1.1",
        "dns_search: a",
        "dns_opt: [a]",
        "external_links: [a]",
        "links: [other]\n---\n  other: {image: i}",
        "volumes_from: [other]\n---\n  other: {image: i}",
        "runtime: r",
        "logging: {driver: none}",
        "shm_size: 1m",
        "mem_limit: 10m",
        "mem_reservation: 10m",
        "memswap_limit: 10m",
        "cpus: 0.5",
        "deploy: {resources: {limits: {memory: 10m}}}",
        "deploy: {resources: {limits: {cpus: '0.5'}}}",
        "cpu_shares: 5",
        "cpuset: '0'",
        "pids_limit: 5",
        "oom_kill_disable: true",
        "oom_score_adj: 5",
        "storage_opt: {size: 1G}",
        "mac_address: 02:42:ac:11:65:43",
        "container_name: n",
        "secrets: [s]\n---\nsecrets: {s: {file: /a}}",
        "secrets: [s]\n---\nsecrets: {s: {file: /b}}",
    ] {
        let hash = hash(lines);
        if let Some(same) = seen.insert(hash, lines) {
            panic!("{lines:?} hashes as {same:?}");
        }
    }
}

#[test]
fn short_and_long_forms_of_the_same_thing_hash_alike() {
    for (short, long) in [
        (
            "ports: ['127.0.0.1:8080:80']",
            "ports: [{target: 80, published: '8080', host_ip: 127.0.0.1, protocol: tcp, mode: ingress}]",
        ),
        ("ports: ['80-81']", "ports: ['80', 81]"),
        (
            "volumes: ['/a:/b:ro']",
            "volumes: [{type: bind, source: /a, target: /b, read_only: true, bind: {create_host_path: true}}]",
        ),
        ("volumes: ['/b']", "volumes: [{type: volume, target: /b, volume: {}}]"),
        ("environment: [A=1, B]", "environment: {B: null, A: 1}"),
        ("labels: [a=1]", "labels: {a: '1'}"),
        ("command: a 'b c'", "command: [a, b c]"),
        ("healthcheck: {test: x y, interval: 90s}", "healthcheck: {test: [CMD-SHELL, x y], interval: 1m30s}"),
        ("networks: [default]", "networks: {default: null}"),
        ("networks: [default]", ""),
        ("dns: 1.1.1.1", "dns: [1.1.1.1]"),
        ("shm_size: 1m", "shm_size: 1048576"),
        ("devices: [/dev/null]", "devices: [{source: /dev/null, target: /dev/null, permissions: rwm}]"),
        ("extra_hosts: ['a:1.1.1.1']", "extra_hosts: {a: 1.1.1.1}"),
    ] {
        assert_eq!(hash(short), hash(long), "{short} | {long}");
    }
}

#[test]
fn a_hold_an_annotation_and_a_claim_change_no_hash() {
    let mut object = deployment(RICH);
    let before = desired_of(&object).unwrap();
    object.metadata.annotations = Some([("evenkeel.dev/restartedAt".to_owned(), "2026-01-01T00:00:00Z".to_owned())].into());
    object.metadata.labels = Some([("team".to_owned(), "a".to_owned())].into());
    object.metadata.generation = Some(99);
    assert_eq!(hashes(&before), hashes(&desired_of(&object).unwrap()));
}

/// Puts the keys of all maps into another order.
fn shuffle(value: &mut Value, seed: &mut u64) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = std::mem::take(map).into_iter().collect();
            for last in (1..entries.len()).rev() {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                entries.swap(last, usize::try_from(*seed >> 33).unwrap() % (last + 1));
            }
            for (key, mut value) in entries {
                shuffle(&mut value, seed);
                map.insert(key, value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shuffle(item, seed)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_keys_changes_nothing_at_all(mut seed in any::<u64>()) {
        let mut object = deployment(RICH);
        let before = desired_of(&object).unwrap();
        for service in object.spec.services.values_mut() {
            shuffle(service, &mut seed);
        }
        for shared in object.spec.networks.values_mut().chain(object.spec.volumes.values_mut()) {
            shuffle(shared, &mut seed);
        }
        prop_assert_eq!(before, desired_of(&object).unwrap());
    }
}
