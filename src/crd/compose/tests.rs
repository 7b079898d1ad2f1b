//! Each key in each of its forms, and what is said when it is wrong.

mod build;
mod forms;
mod refusals;

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Project, keys};
use crate::crd::DeploymentSpec;

/// A spec from YAML.
fn spec(yaml: &str) -> DeploymentSpec {
    let value: Value = serde_yaml::from_str(yaml).expect("the test's YAML is sound");
    let part = |key: &str| value[key].as_object().cloned().unwrap_or_default().into_iter().collect::<BTreeMap<String, Value>>();
    DeploymentSpec {
        services: part("services"),
        networks: part("networks"),
        volumes: part("volumes"),
        secrets: part("secrets"),
        ..Default::default()
    }
}

/// One service `web` with these keys.
fn service(keys: &str) -> DeploymentSpec {
    let value: Value = serde_yaml::from_str(keys).expect("the test's YAML is sound");
    DeploymentSpec { services: BTreeMap::from([("web".to_owned(), value)]), ..Default::default() }
}

/// What is wrong with a spec, a line each.
fn errors(spec: &DeploymentSpec) -> Vec<String> {
    Project::read("proj", spec).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn every_key_of_the_specification_is_supported_or_refused() {
    let of_compose = keys::SERVICE.iter().map(|key| key.name).filter(|name| *name != "x-evenkeel");
    let mut names: Vec<&str> = of_compose.collect();
    names.sort_unstable();
    assert_eq!(names, SPECIFICATION);
}

#[test]
fn the_reader_knows_the_keys_of_the_table_and_no_others() {
    let nulls: Map<String, Value> = keys::SERVICE.iter().map(|key| (key.name.to_owned(), Value::Null)).collect();
    let spec = DeploymentSpec { services: BTreeMap::from([("web".to_owned(), Value::Object(nulls))]), ..Default::default() };
    assert_eq!(errors(&spec), Vec::<String>::new());
    let written = serde_json::to_value(super::Service { command: Some(vec![]), entrypoint: Some(vec![]), ..full() }).unwrap();
    for name in written.as_object().unwrap().keys() {
        assert!(keys::SERVICE.iter().any(|key| key.name == name), "{name} is read and not in the table");
    }
}

/// A service with a few keys of each kind.
fn full() -> super::Service {
    let spec =
        service("{image: a, tty: true, ports: ['80'], environment: {A: b}, healthcheck: {test: b}, deploy: {replicas: 2}}");
    Project::read("proj", &spec).unwrap().services["web"].clone()
}

#[test]
fn extensions_are_let_pass_everywhere() {
    let spec = service("{image: a, x-own: {any: thing}, healthcheck: {test: b, x-note: c}, deploy: {x-d: 1}}");
    assert_eq!(errors(&spec), Vec::<String>::new());
}

#[test]
fn a_project_says_what_its_parts_imply() {
    let spec = spec(
        "
        services:
          web: {image: a, links: ['db:base'], depends_on: [cache]}
          db: {image: b, network_mode: 'service:cache'}
          cache: {image: c, networks: [back], volumes_from: ['data:ro', 'container:x']}
          data: {image: d, volumes: ['data:/d'], networks: {back: {aliases: [store]}}}
        networks: {back: , outer: {external: true}, old: {external: {name: legacy}}, own: {name: mine, internal: true}}
        volumes: {data: , far: {external: true, name: nfs}}
        secrets: {key: {file: /etc/key}}
        ",
    );
    let project = serde_json::to_value(Project::read("proj", &spec).unwrap()).unwrap();
    let started = |restart: bool| {
        if restart {
            json!({"condition": "service_started", "restart": true, "required": true})
        } else {
            json!({"condition": "service_started", "required": true})
        }
    };
    assert_eq!(project["services"]["web"]["depends_on"], json!({"cache": started(false), "db": started(true)}));
    assert_eq!(project["services"]["db"]["depends_on"], json!({"cache": started(true)}));
    assert_eq!(project["services"]["cache"]["depends_on"], json!({"data": started(false)}));
    assert_eq!(project["services"]["web"]["networks"], json!({"default": null}));
    assert_eq!(project["services"]["db"].get("networks"), None);
    assert_eq!(project["services"]["data"]["networks"], json!({"back": {"aliases": ["store"]}}));
    assert_eq!(
        project["networks"],
        json!({
            "back": {"name": "proj_back", "ipam": {}},
            "default": {"name": "proj_default", "ipam": {}},
            "old": {"name": "legacy", "ipam": {}, "external": true},
            "outer": {"name": "outer", "ipam": {}, "external": true},
            "own": {"name": "mine", "ipam": {}, "internal": true},
        })
    );
    assert_eq!(project["volumes"], json!({"data": {"name": "proj_data"}, "far": {"name": "nfs", "external": true}}));
    assert_eq!(project["secrets"], json!({"key": {"name": "proj_key", "file": "/etc/key"}}));
}

/// Any JSON.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9:/.\\-= ]{0,12}".prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let known: Vec<&str> =
            keys::SERVICE.iter().map(|key| key.name).chain(["target", "source", "type", "soft", "resources"]).collect();
        let key = prop_oneof![proptest::sample::select(known).prop_map(str::to_owned), "[a-z_]{1,6}"];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((key, inner), 0..6).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_value_of_a_known_key_makes_the_reader_panic(index in 0..keys::SERVICE.len(), value in any_json()) {
        let map = Map::from_iter([(keys::SERVICE[index].name.to_owned(), value)]);
        let spec = DeploymentSpec { services: BTreeMap::from([("web".to_owned(), Value::Object(map))]), ..Default::default() };
        drop(Project::read("proj", &spec));
    }

    #[test]
    fn no_network_volume_or_secret_makes_the_reader_panic(value in any_json()) {
        let part = BTreeMap::from([("a".to_owned(), value)]);
        let spec = DeploymentSpec { services: part.clone(), networks: part.clone(), volumes: part.clone(), secrets: part.clone(), configs: part, ..Default::default() };
        drop(Project::read("proj", &spec));
    }
}

/// The 92 service keys of the Compose Specification's schema.
#[rustfmt::skip]
const SPECIFICATION: [&str; 92] = [
    "annotations", "attach", "blkio_config", "build", "cap_add", "cap_drop", "cgroup", "cgroup_parent", "command", "configs",
    "container_name", "cpu_count", "cpu_percent", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpus",
    "cpuset", "credential_spec", "depends_on", "deploy", "develop", "device_cgroup_rules", "devices", "dns", "dns_opt", "dns_search",
    "domainname", "entrypoint", "env_file", "environment", "expose", "extends", "external_links", "extra_hosts", "gpus", "group_add",
    "healthcheck", "hostname", "image", "init", "ipc", "isolation", "label_file", "labels", "links", "logging", "mac_address",
    "mem_limit", "mem_reservation", "mem_swappiness", "memswap_limit", "models", "network_mode", "networks", "oom_kill_disable",
    "oom_score_adj", "pid", "pids_limit", "platform", "ports", "post_start", "pre_stop", "privileged", "profiles", "provider",
    "pull_policy", "pull_refresh_after", "read_only", "restart", "runtime", "scale", "secrets", "security_opt", "shm_size",
    "stdin_open", "stop_grace_period", "stop_signal", "storage_opt", "sysctls", "tmpfs", "tty", "ulimits", "use_api_socket", "user",
    "userns_mode", "uts", "volumes", "volumes_from", "working_dir",
];
