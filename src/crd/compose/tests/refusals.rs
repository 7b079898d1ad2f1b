//! What is said of what cannot be.

use super::{errors, service, spec};

/// What is written for service `web`, the path of the one error, and a part of what it says.
fn check(table: &[(&str, &str, &str)]) {
    for (yaml, path, says) in table {
        let errors = errors(&service(&format!("image: a\n{yaml}")));
        let path = format!("spec.services.web{path}: ");
        assert!(errors.len() == 1 && errors[0].starts_with(&path) && errors[0].contains(says), "{yaml}: {errors:?}");
    }
}

#[test]
fn valid_keys_that_are_not_supported_are_refused_by_name() {
    check(&[
        ("env_file: .env", ".env_file", "env_file is not supported yet by evenkeel"),
        ("extends: {service: x}", ".extends", "not supported yet"),
        ("develop: {watch: []}", ".develop", "not supported yet"),
        ("deploy: {placement: {constraints: [a]}}", ".deploy.placement", "placement is not supported yet"),
        ("deploy: {mode: global}", ".deploy.mode", "deploy.mode global is not supported yet"),
        ("deploy: {restart_policy: {delay: 5s}}", ".deploy.restart_policy.delay", "spec.recovery.backoff"),
        ("pull_policy: build", ".pull_policy", "build needs a build section that says how"),
        ("pull_policy: refresh", ".pull_policy", "pull_policy refresh is not supported yet"),
        ("volumes: [{type: npipe, target: /a}]", ".volumes[0].type", "a mount of type npipe is not supported yet"),
        ("networks: {a: {gw_priority: 1}}", ".networks.a.gw_priority", "needs engine 28"),
    ]);
}

#[test]
fn unknown_keys_come_with_what_was_probably_meant() {
    check(&[
        ("port: [80]", ".port", "unknown field \"port\": did you mean \"ports\"?"),
        ("enviroment: {}", ".enviroment", "did you mean \"environment\"?"),
        ("container-name: a", ".container-name", "did you mean \"container_name\"?"),
        ("healthcheck: {intervall: 5s}", ".healthcheck.intervall", "did you mean \"interval\"?"),
        ("logging: {zzz: 1}", ".logging.zzz", "known here are driver, options"),
        ("something: else", ".something", "unknown field \"something\""),
    ]);
}

#[test]
fn wrong_types_say_what_is_expected() {
    check(&[
        ("ports: '80'", ".ports", "must be a list, found text"),
        ("ports: [true]", ".ports[0]", "must be a port: a number, text such as \"8080:80\", or a map, found true or false"),
        ("user: 1000", ".user", "must be text: write it in quotes, found a number"),
        ("tty: maybe", ".tty", "must be true or false"),
        ("environment: text", ".environment", "must be a map, or a list of KEY=value"),
        ("environment: {A: [1]}", ".environment.A", "must be text, a number or true/false, found a list"),
        ("environment: ['A =1']", ".environment[0]", "space before the \"=\""),
        ("labels: {a.b: {}}", ".labels[a.b]", "found a map"),
        ("scale: 1.5", ".scale", "must be a whole number"),
        ("scale: -1", ".scale", "is out of range"),
        ("mem_limit: lots", ".mem_limit", "such as 64m"),
        ("mem_limit: 64 bananas", ".mem_limit", "such as 64m"),
        ("stop_grace_period: 30", ".stop_grace_period", "must be a duration, such as 30s"),
        ("stop_grace_period: 30x", ".stop_grace_period", "such as 5s or 1m30s"),
        ("healthcheck: [a]", ".healthcheck", "must be a map, found a list"),
        ("healthcheck: {test: [curl, x]}", ".healthcheck.test", "must start with CMD, CMD-SHELL or NONE"),
        ("command: \"a 'b\"", ".command", "ends within quotes"),
        ("ulimits: {nofile: {soft: 1}}", ".ulimits.nofile.hard", "is required"),
        ("ulimits: {nofile: {soft: 3, hard: 2}}", ".ulimits.nofile", "above the hard one"),
        ("restart: sometimes", ".restart", "on-failure:N, not \"sometimes\""),
        ("cgroup: odd", ".cgroup", "must be one of host, private"),
        ("oom_score_adj: 2000", ".oom_score_adj", "-1000 to 1000"),
        ("blkio_config: {device_read_bps: [{path: /dev/sda}]}", ".blkio_config.device_read_bps[0].rate", "is required"),
        ("mac_address: zz", ".mac_address", "02:42:ac:11:00:02"),
        ("gpus: some", ".gpus", "must be all"),
        (
            "deploy: {resources: {reservations: {devices: [{count: 1}]}}}",
            ".deploy.resources.reservations.devices[0].capabilities",
            "is required",
        ),
    ]);
    assert_eq!(errors(&service("image: 'a b'")).len(), 1);
}

#[test]
fn wrong_ports_and_mounts_are_named() {
    check(&[
        ("ports: ['http:80']", ".ports[0]", "\"http\" is not a port"),
        ("ports: ['1.2.3:80:80']", ".ports[0]", "\"1.2.3\" is not an IP address"),
        ("ports: ['80/icmp']", ".ports[0]", "tcp, udp or sctp"),
        ("ports: ['70000']", ".ports[0]", "\"70000\" is not a port"),
        ("ports: ['90-80']", ".ports[0]", "runs backwards"),
        ("ports: ['1-3:1-2']", ".ports[0]", "differ in length"),
        ("ports: ['0']", ".ports[0]", "1 to 65535"),
        ("ports: [{published: 80}]", ".ports[0].target", "is required"),
        ("ports: [{target: 80, host_ip: here}]", ".ports[0].host_ip", "is not an IP address"),
        ("volumes: ['./data:/d']", ".volumes[0]", "\"./data\" is a relative path"),
        ("volumes: ['~/data:/d']", ".volumes[0]", "write an absolute path"),
        ("volumes: ['data:d']", ".volumes[0]", "\"d\" is not an absolute path in the container"),
        ("volumes: ['a:/b:ro:x']", ".volumes[0]", "too many colons"),
        ("volumes: ['a::ro']", ".volumes[0]", "nothing between its colons"),
        ("volumes: ['C:\\data:/d']", ".volumes[0]", "paths of Windows"),
        ("volumes: [{type: bind, target: /d}]", ".volumes[0]", "a bind needs a source"),
        ("volumes: [{target: /d}]", ".volumes[0].type", "is required"),
        ("devices: ['a:b:c:d']", ".devices[0]", "too many colons"),
        ("secrets: [{source: a, mode: rw}]", ".secrets[0].mode", "octal permissions"),
    ]);
}

#[test]
fn wrong_resources_are_named() {
    for (yaml, error) in [
        ("networks: {a: {drive: x}}", "spec.networks.a.drive: unknown field \"drive\": did you mean \"driver\"?"),
        ("networks: {a: {ipam: {config: {}}}}", "spec.networks.a.ipam.config: must be a list, found a map"),
        (
            "networks: {a: {external: {name: b}, name: c}}",
            "spec.networks.a.external: name and external.name differ: keep only name",
        ),
        ("volumes: {a: {external: true, driver: x}}", "spec.volumes.a: it is external: only its name may be given beside that"),
        ("volumes: {a: []}", "spec.volumes.a: must be a map, found a list"),
        ("secrets: {a: {environment: B, file: /b}}", "spec.secrets.a: has more than one source: give one of file or environment"),
        ("secrets: {a: {}}", "spec.secrets.a: needs file or environment: file is an absolute path on the host"),
        (
            "secrets: {a: {file: ./b}}",
            "spec.secrets.a.file: \"./b\" is a relative path: a Deployment has no folder to start from; write an absolute path",
        ),
    ] {
        assert_eq!(errors(&spec(yaml)), [error], "{yaml}");
    }
}

#[test]
fn all_errors_come_at_once() {
    let errors = errors(&service("{image: 5, ports: [x, 80, y], build: ., tty: 7, zzz: 1}"));
    let paths: Vec<&str> = errors.iter().filter_map(|error| error.split(": ").next()).collect();
    for path in ["build", "image", "ports[0]", "ports[2]", "tty", "zzz"] {
        assert!(paths.contains(&format!("spec.services.web.{path}").as_str()), "{path} in {errors:?}");
    }
    assert_eq!(errors.len(), 6);
}
