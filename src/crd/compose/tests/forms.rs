//! What each key reads as.

use serde_json::{Value, json};

use super::{Project, service};

/// Key, what is written, what `docker compose config` prints.
fn check(table: &[(&str, &str, Value)]) {
    for (key, yaml, expected) in table {
        let spec = service(&format!("image: a\n{key}: {yaml}"));
        match Project::read("proj", &spec) {
            Ok(project) => {
                let web = serde_json::to_value(&project.services["web"]).unwrap();
                assert_eq!(web.get(key).unwrap_or(&Value::Null), expected, "{key}: {yaml}");
            }
            Err(errors) => panic!("{key}: {yaml}: {errors:?}"),
        }
    }
}

/// A published port with these fields beside the usual ones.
fn port(target: u16, published: Option<&str>, host_ip: Option<&str>, protocol: &str) -> Value {
    let mut port = json!({"mode": "ingress", "target": target, "protocol": protocol});
    published.into_iter().for_each(|published| port["published"] = json!(published));
    host_ip.into_iter().for_each(|ip| port["host_ip"] = json!(ip));
    port
}

#[test]
fn ports_are_expanded() {
    check(&[
        ("ports", "[80]", json!([port(80, None, None, "tcp")])),
        ("ports", "['8080:80']", json!([port(80, Some("8080"), None, "tcp")])),
        ("ports", "['127.0.0.1:8080:80/udp']", json!([port(80, Some("8080"), Some("127.0.0.1"), "udp")])),
        ("ports", "['127.0.0.1::80']", json!([port(80, None, Some("127.0.0.1"), "tcp")])),
        ("ports", "['[::1]:53:53/UDP']", json!([port(53, Some("53"), Some("::1"), "udp")])),
        ("ports", "['9-11']", json!([port(10, None, None, "tcp"), port(11, None, None, "tcp"), port(9, None, None, "tcp")])),
        ("ports", "['18-19:8-9']", json!([port(8, Some("18"), None, "tcp"), port(9, Some("19"), None, "tcp")])),
        ("ports", "['3000-3010:80']", json!([port(80, Some("3000-3010"), None, "tcp")])),
        ("ports", "['80:80', '80:80']", json!([port(80, Some("80"), None, "tcp")])),
        ("ports", "[22:22]", json!([port(22, Some("22"), None, "tcp")])),
        (
            "ports",
            "[{target: 80, published: 8080, host_ip: 10.0.0.1, mode: host, name: web, app_protocol: http}]",
            json!([{"name": "web", "mode": "host", "host_ip": "10.0.0.1", "target": 80, "published": "8080", "protocol": "tcp", "app_protocol": "http"}]),
        ),
        ("ports", "[{target: '80'}]", json!([port(80, None, None, "tcp")])),
        ("expose", "[80, '90-91/udp']", json!(["80", "90-91/udp"])),
    ]);
}

#[test]
fn mounts_are_expanded() {
    let bind = |source: &str, target: &str| json!({"type": "bind", "source": source, "target": target, "bind": {"create_host_path": true}});
    check(&[
        ("volumes", "['/d']", json!([{"type": "volume", "target": "/d", "volume": {}}])),
        ("volumes", "['data:/d/']", json!([{"type": "volume", "source": "data", "target": "/d", "volume": {}}])),
        (
            "volumes",
            "['data:/d:ro,nocopy']",
            json!([{"type": "volume", "source": "data", "target": "/d", "read_only": true, "volume": {"nocopy": true}}]),
        ),
        ("volumes", "['/h/x:/c//y/../z']", json!([bind("/h/x", "/c/z")])),
        (
            "volumes",
            "['/h:/c:Z,rslave,rw']",
            json!([{"type": "bind", "source": "/h", "target": "/c", "bind": {"selinux": "Z", "propagation": "rslave", "create_host_path": true}}]),
        ),
        (
            "volumes",
            "[{type: bind, source: /h, target: /c, read_only: true, bind: {propagation: shared}}]",
            json!([{"type": "bind", "source": "/h", "target": "/c", "read_only": true, "bind": {"propagation": "shared"}}]),
        ),
        (
            "volumes",
            "[{type: tmpfs, target: /t, tmpfs: {size: 64m, mode: '1777'}}]",
            json!([{"type": "tmpfs", "target": "/t", "tmpfs": {"size": "67108864", "mode": 0o1777}}]),
        ),
        (
            "volumes",
            "[{type: volume, source: data, target: /d, volume: {subpath: a/b}}]",
            json!([{"type": "volume", "source": "data", "target": "/d", "volume": {"subpath": "a/b"}}]),
        ),
        ("tmpfs", "/run", json!(["/run"])),
        ("tmpfs", "['/run:size=64m', /tmp]", json!(["/run:size=64m", "/tmp"])),
        ("devices", "[/dev/dri]", json!([{"source": "/dev/dri", "target": "/dev/dri", "permissions": "rwm"}])),
        ("devices", "['/dev/a:/dev/b:r']", json!([{"source": "/dev/a", "target": "/dev/b", "permissions": "r"}])),
        (
            "devices",
            "[{source: /dev/a, permissions: rw}]",
            json!([{"source": "/dev/a", "target": "/dev/a", "permissions": "rw"}]),
        ),
        (
            "secrets",
            "[key, {source: cert, target: tls, mode: 0440, uid: '1'}]",
            json!([{"source": "key", "target": "/run/secrets/key"}, {"source": "cert", "target": "tls", "uid": "1", "mode": "0440"}]),
        ),
        ("volumes_from", "['db:ro', 'container:x']", json!(["db:ro", "container:x"])),
    ]);
}

#[test]
fn commands_and_health_checks_are_split() {
    check(&[
        ("command", "null", Value::Null),
        ("command", "[]", json!([])),
        ("command", "''", json!([])),
        ("command", "nginx -g 'daemon off;'", json!(["nginx", "-g", "daemon off;"])),
        ("command", "[sh, -c, 'echo $HOME']", json!(["sh", "-c", "echo $HOME"])),
        ("entrypoint", "/bin/sh -c", json!(["/bin/sh", "-c"])),
        ("healthcheck", "{test: curl -f x}", json!({"test": ["CMD-SHELL", "curl -f x"]})),
        (
            "healthcheck",
            "{test: [CMD, a], interval: 1m, timeout: 1500ms, retries: 0, start_period: 1h, start_interval: '0s'}",
            json!({"test": ["CMD", "a"], "timeout": "1.5s", "interval": "1m0s", "retries": 0, "start_period": "1h0m0s", "start_interval": "0s"}),
        ),
        ("healthcheck", "{disable: true}", json!({"disable": true})),
        ("stop_grace_period", "1m30s", json!("1m30s")),
    ]);
}

#[test]
fn maps_and_lists_of_pairs_read_alike() {
    check(&[
        ("environment", "[A=1, B, C=]", json!({"A": "1", "B": null, "C": ""})),
        (
            "environment",
            "{A: 1, B: , C: '', D: true, E: 1.0, F: 0.5, G: 1e30}",
            json!({"A": "1", "B": null, "C": "", "D": "true", "E": "1", "F": "0.5", "G": "1e+30"}),
        ),
        ("environment", "[A=1, A=2]", json!({"A": "2"})),
        ("environment", "['A=$B ${C}']", json!({"A": "$B ${C}"})),
        ("labels", "[a.b, c=d=e]", json!({"a.b": "", "c": "d=e"})),
        ("labels", "{a: , b: 1}", json!({"a": "", "b": "1"})),
        ("sysctls", "['net.core.somaxconn=1024']", json!({"net.core.somaxconn": "1024"})),
        ("annotations", "{a: b}", json!({"a": "b"})),
        ("storage_opt", "{size: 1G}", json!({"size": "1G"})),
        (
            "logging",
            "{driver: local, options: {max-file: 3, tag: }}",
            json!({"driver": "local", "options": {"max-file": "3", "tag": ""}}),
        ),
        ("extra_hosts", "['a:1.2.3.4', 'b=::1', 'c=[::2]']", json!(["a=1.2.3.4", "b=::1", "c=::2"])),
        ("extra_hosts", "{h: host-gateway, a: [1.1.1.1, 2.2.2.2]}", json!(["a=1.1.1.1", "a=2.2.2.2", "h=host-gateway"])),
        (
            "ulimits",
            "{nproc: 65535, nofile: {soft: 10, hard: 20}, core: {soft: 0, hard: 0}}",
            json!({"nproc": 65535, "nofile": {"soft": 10, "hard": 20}, "core": {}}),
        ),
        ("networks", "[a]", json!({"a": null})),
        (
            "networks",
            "{a: {priority: 5, ipv4_address: 10.0.0.2, driver_opts: {x: 1}}, b: }",
            json!({"a": {"driver_opts": {"x": "1"}, "ipv4_address": "10.0.0.2", "priority": 5}, "b": null}),
        ),
        (
            "depends_on",
            "{db: {condition: service_healthy, restart: true, required: false}}",
            json!({"db": {"condition": "service_healthy", "restart": true, "required": false}}),
        ),
    ]);
}

#[test]
fn lists_keep_their_order_and_lose_what_stands_twice() {
    check(&[
        ("cap_add", "[NET_ADMIN, SYS_TIME, NET_ADMIN]", json!(["NET_ADMIN", "SYS_TIME"])),
        ("dns", "1.1.1.1", json!(["1.1.1.1"])),
        ("dns_search", "[a, b]", json!(["a", "b"])),
        ("group_add", "[1234, audio]", json!(["1234", "audio"])),
        ("security_opt", "['label=user:a', 'label=role:b']", json!(["label=user:a", "label=role:b"])),
        ("profiles", "[a, b]", json!(["a", "b"])),
    ]);
}

#[test]
fn numbers_sizes_and_flags_take_text_too() {
    check(&[
        ("mem_limit", "64m", json!("67108864")),
        ("mem_limit", "1.5 GB", json!("1610612736")),
        ("mem_limit", "1000", json!("1000")),
        ("mem_reservation", "512kib", json!("524288")),
        ("memswap_limit", "-1", json!("-1")),
        ("shm_size", "'2b'", json!("2")),
        ("cpus", "'0.5'", json!(0.5)),
        ("cpus", "2", json!(2)),
        ("cpu_shares", "'512'", json!(512)),
        ("cpu_quota", "0", Value::Null),
        ("pids_limit", "-1", json!(-1)),
        ("oom_score_adj", "-500", json!(-500)),
        ("init", "'yes'", json!(true)),
        ("init", "false", json!(false)),
        ("tty", "false", Value::Null),
        ("privileged", "'true'", json!(true)),
        ("scale", "'2'", json!(2)),
        ("blkio_config", "{weight: 300}", json!({"weight": 300})),
        (
            "blkio_config",
            "{weight_device: [{path: /dev/sda, weight: 400}], device_read_bps: [{path: /dev/sda, rate: 12mb}], device_write_iops: [{path: /dev/sda, rate: 30}]}",
            json!({
                "weight_device": [{"Path": "/dev/sda", "Weight": 400}],
                "device_read_bps": [{"Path": "/dev/sda", "Rate": "12582912"}],
                "device_write_iops": [{"Path": "/dev/sda", "Rate": "30"}],
            }),
        ),
        ("mac_address", "02:42:ac:11:00:02", json!("02:42:ac:11:00:02")),
    ]);
}

#[test]
fn words_are_kept_in_their_canonical_form() {
    check(&[
        ("restart", "no", json!("no")),
        ("restart", "on-failure:3", json!("on-failure:3")),
        ("pull_policy", "if_not_present", json!("missing")),
        ("pull_policy", "never", json!("never")),
        ("pull_policy", "always", json!("always")),
        ("pull_policy", "weekly", json!("weekly")),
        ("pull_policy", "every_1d12h", json!("every_1d12h")),
        ("hostname", "''", Value::Null),
        ("cgroup", "host", json!("host")),
        ("user", "'1000:1000'", json!("1000:1000")),
    ]);
}

#[test]
fn deploy_and_gpus_are_read() {
    check(&[
        (
            "deploy",
            "{mode: replicated, replicas: 2, labels: [a=b], restart_policy: {condition: on-failure, max_attempts: 3}}",
            json!({"mode": "replicated", "replicas": 2, "labels": {"a": "b"}, "resources": {}, "restart_policy": {"condition": "on-failure", "max_attempts": 3}, "placement": {}}),
        ),
        (
            "deploy",
            "{resources: {limits: {cpus: '0.5', memory: 50M, pids: 10}, reservations: {memory: 20M, devices: [{capabilities: [gpu], driver: nvidia}]}}}",
            json!({
                "resources": {
                    "limits": {"cpus": 0.5, "memory": "52428800", "pids": 10},
                    "reservations": {"memory": "20971520", "devices": [{"capabilities": ["gpu"], "driver": "nvidia", "count": -1}]},
                },
                "placement": {},
            }),
        ),
        ("gpus", "all", json!([{"count": -1}])),
        (
            "gpus",
            "[{driver: nvidia, count: 2}, {device_ids: ['0']}]",
            json!([{"driver": "nvidia", "count": 2}, {"device_ids": ["0"]}]),
        ),
    ]);
}
