use serde_json::{Value, json};

use super::*;
use crate::model::{BlockDevices, DeviceSpec, HostPort, IpamPool, MountSource, MountSpec, PortBinding, Resources, UlimitSpec};

const OLD: ApiVersion = ApiVersion(1, 41);

fn text(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn some(word: &str) -> Option<String> {
    Some(word.to_owned())
}

fn mount(source: MountSource, target: &str, read_only: bool) -> MountSpec {
    MountSpec { source, target: target.to_owned(), read_only }
}

fn body(spec: &ContainerSpec, api: ApiVersion) -> Result<Value, Refusal> {
    let ids = pairs(&[("front", "id-front"), ("back", "id-back")]);
    container(spec, &ids, api).map(|body| serde_json::to_value(body).unwrap())
}

/// Every field set, so that one that is forgotten shows.
fn full() -> ContainerSpec {
    let bind =
        |path: &str, create| MountSource::Bind { path: path.to_owned(), create, propagation: some("rslave"), selinux: None };
    ContainerSpec {
        name: "web-1".to_owned(),
        image: "web:1".to_owned(),
        platform: some("linux/amd64"),
        command: Some(text(&["run", "now"])),
        entrypoint: Some(vec![]),
        env: text(&["A=1", "B"]),
        labels: pairs(&[("evenkeel.dev/service", "web")]),
        user: some("7:8"),
        working_dir: some("/app"),
        hostname: some("keel"),
        domainname: some("test"),
        tty: true,
        stdin_open: true,
        stop_signal: some("SIGINT"),
        stop_timeout: Some(3),
        expose: text(&["9000/tcp"]),
        ports: vec![
            PortBinding { target: 80, host: HostPort { ip: "127.0.0.1".to_owned(), port: 8080, protocol: "tcp".to_owned() } },
            PortBinding { target: 80, host: HostPort { ip: String::new(), port: 0, protocol: "tcp".to_owned() } },
        ],
        healthcheck: Some(HealthcheckSpec {
            test: text(&["CMD", "true"]),
            interval: Some(Duration::from_millis(1500)),
            timeout: Some(Duration::from_secs(2)),
            start_period: Some(Duration::from_secs(3)),
            start_interval: Some(Duration::from_secs(4)),
            retries: Some(5),
        }),
        mounts: vec![
            mount(bind("/host/made", true), "/made", true),
            mount(bind("/host/there", false), "/there", false),
            mount(MountSource::Volume { name: "p_data".to_owned(), nocopy: true, subpath: None }, "/data", false),
            mount(MountSource::Anonymous { carry_over: some("abc") }, "/kept", false),
            mount(MountSource::Anonymous { carry_over: None }, "/new", false),
            mount(MountSource::Tmpfs { size: Some(1024), mode: Some(0o1777) }, "/scratch", false),
        ],
        files: vec![],
        tmpfs: pairs(&[("/run", "size=64k")]),
        network: NetworkMode::Networks,
        networks: vec![
            NetworkAttachment {
                network: "front".to_owned(),
                name: "shop_front".to_owned(),
                aliases: text(&["web"]),
                ipv4: some("10.0.0.9"),
                ipv6: some("fd00::9"),
                link_local_ips: text(&["169.254.1.1"]),
                driver_opts: pairs(&[("o", "1")]),
                mac_address: some("02:42:00:00:00:01"),
                links: text(&["db:db"]),
            },
            NetworkAttachment { network: "back".to_owned(), ..Default::default() },
        ],
        ipc: Some(NamespaceMode::Container("p1".to_owned())),
        pid: Some(NamespaceMode::Plain("host".to_owned())),
        uts: some("host"),
        cgroupns: some("private"),
        userns: some("host"),
        cgroup_parent: some("/keel"),
        restart: DockerRestart::No,
        cap_add: text(&["NET_ADMIN"]),
        cap_drop: text(&["ALL"]),
        privileged: true,
        read_only: true,
        init: Some(true),
        security_opt: text(&["no-new-privileges:true"]),
        group_add: text(&["video"]),
        devices: vec![DeviceSpec { source: "/dev/a".to_owned(), target: "/dev/b".to_owned(), permissions: "rw".to_owned() }],
        device_cgroup_rules: vec![],
        device_requests: vec![DeviceRequestSpec {
            driver: some("nvidia"),
            count: Some(-1),
            capabilities: text(&["gpu"]),
            ..Default::default()
        }],
        sysctls: pairs(&[("net.core.somaxconn", "77")]),
        ulimits: vec![UlimitSpec { name: "nofile".to_owned(), soft: 99, hard: 100 }],
        extra_hosts: text(&["a:10.0.0.1"]),
        dns: text(&["10.0.0.2"]),
        dns_search: text(&["test"]),
        dns_opt: text(&["rotate"]),
        links: text(&["old:older"]),
        runtime: some("runc"),
        logging: Some(("json-file".to_owned(), pairs(&[("max-size", "1m")]))),
        shm_size: Some(65536),
        resources: Resources {
            nano_cpus: Some(1),
            cpu_shares: Some(2),
            cpu_quota: Some(3),
            cpu_period: Some(4),
            cpu_rt_period: None,
            cpu_rt_runtime: None,
            cpuset: some("0-1"),
            memory: Some(5),
            memory_reservation: Some(6),
            memory_swap: Some(-1),
            memory_swappiness: Some(7),
            pids: Some(8),
            blkio_weight: Some(9),
            block_devices: BlockDevices {
                weights: vec![("/dev/a".to_owned(), 500)],
                read_bps: vec![("/dev/a".to_owned(), 11)],
                read_iops: vec![("/dev/a".to_owned(), 12)],
                write_bps: vec![("/dev/a".to_owned(), 13)],
                write_iops: vec![("/dev/a".to_owned(), 14)],
            },
            oom_kill_disable: Some(true),
            oom_score_adj: Some(10),
        },
        volumes_from: text(&["other:ro"]),
        storage_opt: pairs(&[("size", "1G")]),
        mac_address: None,
        annotations: pairs(&[("x", "y")]),
    }
}

#[test]
fn a_full_specification_becomes_the_engines_request() {
    let wanted: Value = serde_json::from_str(include_str!("testdata/create.json")).unwrap();
    let made = body(&full(), MAC_PER_ENDPOINT).unwrap();
    let shown = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    assert_eq!(made, wanted, "\nmade: {}\nwanted: {}", shown(&made), shown(&wanted));
}

#[test]
fn an_empty_specification_asks_for_nothing_and_no_network() {
    let made = body(&ContainerSpec { image: "web:1".to_owned(), ..Default::default() }, OLD).unwrap();
    let host = json!({"NetworkMode": "none", "RestartPolicy": {"Name": "no"}, "Privileged": false, "ReadonlyRootfs": false});
    assert_eq!(made, json!({"Image": "web:1", "Tty": false, "OpenStdin": false, "HostConfig": host}));
}

#[test]
fn older_engines_are_told_ids_of_networks_for_their_names_may_be_two() {
    let spec = ContainerSpec {
        networks: vec![NetworkAttachment { network: "front".to_owned(), name: "shop_front".to_owned(), ..Default::default() }],
        ..Default::default()
    };
    for (api, name) in [(OLD, "id-front"), (UNIQUE_NETWORK_NAMES, "shop_front")] {
        let made = body(&spec, api).unwrap();
        assert_eq!(made["HostConfig"]["NetworkMode"], name);
        assert!(made["NetworkingConfig"]["EndpointsConfig"][name].is_object(), "{made}");
    }
}

#[test]
fn the_further_networks_are_connected_after_the_create() {
    let ids = pairs(&[("front", "id-front"), ("back", "id-back")]);
    let spec = full();
    let further = further_networks(&spec, &ids).unwrap();
    assert_eq!(further, [("id-back".to_owned(), &spec.networks[1])]);
    assert!(further_networks(&ContainerSpec { network: NetworkMode::Host, ..full() }, &ids).unwrap().is_empty());
    assert!(further_networks(&spec, &pairs(&[("front", "id-front")])).unwrap_err().contains(r#""back" does not exist"#));
}

#[test]
fn what_an_engine_cannot_be_told_is_refused_and_not_dropped() {
    let told = body(&full(), OLD).unwrap_err();
    assert!(told.contains("mac_address needs Docker 25"), "{told}");
    let unresolved = ContainerSpec { network: NetworkMode::Service("db".to_owned()), ..Default::default() };
    assert!(body(&unresolved, OLD).unwrap_err().contains(r#"service "db""#));
    let colon = MountSource::Bind { path: "/a:b".to_owned(), create: true, propagation: None, selinux: None };
    let colon = ContainerSpec { mounts: vec![mount(colon, "/c", false)], ..Default::default() };
    assert!(body(&colon, OLD).unwrap_err().contains("create_host_path: false"));
    let odd = ContainerSpec { cgroupns: some("odd"), ..Default::default() };
    assert!(body(&odd, OLD).is_err());
}

#[test]
fn a_network_and_a_volume_are_asked_for_with_what_was_declared() {
    let spec = NetworkSpec {
        name: "p_net".to_owned(),
        driver: some("bridge"),
        driver_opts: pairs(&[("a", "b")]),
        internal: true,
        enable_ipv6: Some(true),
        ipam: IpamSpec {
            config: vec![IpamPool {
                subnet: some("10.1.0.0/16"),
                gateway: some("10.1.0.1"),
                aux_addresses: pairs(&[("h", "10.1.0.2")]),
                ..Default::default()
            }],
            ..Default::default()
        },
        labels: pairs(&[("l", "m")]),
        ..Default::default()
    };
    let pool = json!({"Subnet": "10.1.0.0/16", "Gateway": "10.1.0.1", "AuxiliaryAddresses": {"h": "10.1.0.2"}});
    let wanted = json!({"Name": "p_net", "Driver": "bridge", "Options": {"a": "b"}, "Internal": true, "Attachable": false,
        "EnableIPv6": true, "IPAM": {"Config": [pool]}, "Labels": {"l": "m"}});
    assert_eq!(serde_json::to_value(network(&spec)).unwrap(), wanted);
    assert!(serde_json::to_value(network(&NetworkSpec::default())).unwrap().get("IPAM").is_none());
    let spec = VolumeSpec {
        name: "p_v".to_owned(),
        driver_opts: pairs(&[("type", "nfs")]),
        labels: pairs(&[("l", "m")]),
        ..Default::default()
    };
    let wanted = json!({"Name": "p_v", "DriverOpts": {"type": "nfs"}, "Labels": {"l": "m"}});
    assert_eq!(serde_json::to_value(volume(&spec)).unwrap(), wanted);
}

#[test]
fn restart_policies_are_said_in_dockers_words() {
    let said = |policy: &DockerRestart| serde_json::to_value(restart_policy(policy)).unwrap();
    assert_eq!(said(&DockerRestart::UnlessStopped), json!({"Name": "unless-stopped"}));
    assert_eq!(said(&DockerRestart::Always), json!({"Name": "always"}));
    assert_eq!(said(&DockerRestart::OnFailure(3)), json!({"Name": "on-failure", "MaximumRetryCount": 3}));
}
