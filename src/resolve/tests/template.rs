use super::*;
use crate::model::{MountSource, NamespaceMode, NetworkMode};

fn template(lines: &str) -> ContainerSpec {
    let mut template = app(lines).template;
    template.labels.clear();
    template
}

#[test]
fn each_key_has_its_place_in_the_template() {
    let service = template(
        "
command: sh -c 'sleep 1'
entrypoint: []
environment: {Z: '1', A: x=y, UNSET: null}
user: '1000'
working_dir: /w
hostname: h
stop_signal: SIGINT
init: false
tty: true
platform: linux/amd64
privileged: true
read_only: true
cap_add: [NET_ADMIN]
security_opt: ['no-new-privileges:true', 'seccomp:unconfined']
sysctls: [net.core.somaxconn=1]
extra_hosts: ['db=10.0.0.1', 'db:10.0.0.2']
dns: 1.1.1.1
shm_size: 64m
logging: {driver: json-file, options: {max-size: 1m}}
healthcheck: {test: curl x, interval: 90s, retries: 3}
ulimits: {nproc: 5, nofile: {soft: 1, hard: 2}}
tmpfs: ['/run:size=1m', /tmp]
annotations: {a: b}
",
    );
    insta::assert_snapshot!(text(&service), @r#"
    image: "i",
    platform: Some("linux/amd64",),
    command: Some(["sh","-c","sleep 1",],),
    entrypoint: Some([],),
    env: ["A=x=y","UNSET","Z=1",],
    user: Some("1000",),
    working_dir: Some("/w",),
    hostname: Some("h",),
    tty: true,
    stop_signal: Some("SIGINT",),
    healthcheck: Some(HealthcheckSpec {test: ["CMD-SHELL","curl x",],interval: Some(90s,),timeout: None,start_period: None,start_interval: None,retries: Some(3,),},),
    tmpfs: {"/run": "size=1m","/tmp": "",},
    networks: [NetworkAttachment {network: "default",name: "shop_default",aliases: ["app",],ipv4: None,ipv6: None,link_local_ips: [],driver_opts: {},mac_address: None,links: [],},],
    cap_add: ["NET_ADMIN",],
    privileged: true,
    read_only: true,
    init: Some(false,),
    security_opt: ["no-new-privileges:true","seccomp:unconfined",],
    sysctls: {"net.core.somaxconn": "1",},
    ulimits: [UlimitSpec {name: "nofile",soft: 1,hard: 2,},UlimitSpec {name: "nproc",soft: 5,hard: 5,},],
    extra_hosts: ["db:10.0.0.1","db:10.0.0.2",],
    dns: ["1.1.1.1",],
    logging: Some(("json-file",{"max-size": "1m",},),),
    shm_size: Some(67108864,),
    annotations: {"a": "b",},
    "#);
}

#[test]
fn limits_under_deploy_win_over_the_plain_ones() {
    let plain = template("mem_limit: 10m\ncpus: 0.1\npids_limit: 5\nmemswap_limit: 20m\ncpu_shares: 7").resources;
    assert_eq!((plain.memory, plain.nano_cpus, plain.pids), (Some(10 << 20), Some(100_000_000), Some(5)));
    assert_eq!((plain.memory_swap, plain.cpu_shares), (Some(20 << 20), Some(7)));
    let deployed =
        template("deploy: {resources: {limits: {memory: 30m, cpus: '1.5', pids: 9}, reservations: {memory: 5m}}}").resources;
    assert_eq!((deployed.memory, deployed.nano_cpus, deployed.pids), (Some(30 << 20), Some(1_500_000_000), Some(9)));
    assert_eq!(deployed.memory_reservation, Some(5 << 20));
    assert_eq!(template("").resources, Default::default());
}

#[test]
fn devices_are_mapped_or_requested() {
    let template = template(
        "
devices: ['/dev/null', '/dev/zero:/z:r', 'vendor.com/class=all']
gpus: [{driver: nvidia, count: 2}]
deploy: {resources: {reservations: {devices: [{capabilities: [tpu], device_ids: ['0']}]}}}
",
    );
    insta::assert_snapshot!(lines(&template.devices), @r#"
    DeviceSpec { source: "/dev/null", target: "/dev/null", permissions: "rwm" }
    DeviceSpec { source: "/dev/zero", target: "/z", permissions: "r" }
    "#);
    insta::assert_snapshot!(lines(&template.device_requests), @r#"
    DeviceRequestSpec { driver: None, count: None, device_ids: ["0"], capabilities: ["tpu"], options: {} }
    DeviceRequestSpec { driver: Some("cdi"), count: None, device_ids: ["vendor.com/class=all"], capabilities: [], options: {} }
    DeviceRequestSpec { driver: Some("nvidia"), count: Some(2), device_ids: [], capabilities: ["gpu"], options: {} }
    "#);
}

#[test]
fn ports_are_bound_and_exposed() {
    let template =
        template("ports: ['80', '8080:81', '127.0.0.1:53:53/udp', '9000-9001:90-91']\nexpose: ['7', '8-9/udp', '7/tcp']");
    insta::assert_snapshot!(lines(&template.ports), @r#"
    PortBinding { target: 80, host: HostPort { ip: "", port: 0, protocol: "tcp" } }
    PortBinding { target: 81, host: HostPort { ip: "", port: 8080, protocol: "tcp" } }
    PortBinding { target: 53, host: HostPort { ip: "127.0.0.1", port: 53, protocol: "udp" } }
    PortBinding { target: 90, host: HostPort { ip: "", port: 9000, protocol: "tcp" } }
    PortBinding { target: 91, host: HostPort { ip: "", port: 9001, protocol: "tcp" } }
    "#);
    assert_eq!(template.expose, ["7/tcp", "8/udp", "9/udp"]);
}

#[test]
fn mounts_have_real_names_and_secrets_are_files() {
    let template = template(
        "
volumes:
  - /host:/bind:ro,z
  - data:/data
  - own:/own:nocopy
  - /anonymous
  - {type: tmpfs, target: /mem, tmpfs: {size: 1m, mode: 0o700}}
  - {type: bind, source: /strict, target: /strict, bind: {propagation: rslave}}
  - /later:/data
  - /mine:/run/secrets/taken
secrets: [key, {source: key, target: named}, {source: key, target: /abs}, {source: key, target: taken}]
---
volumes: {data: {}, own: {name: real}}
secrets: {key: {file: /etc/key}}
",
    );
    insta::assert_snapshot!(lines(&template.mounts), @r#"
    MountSpec { source: Bind { path: "/host", create: true, propagation: None, selinux: Some("z") }, target: "/bind", read_only: true }
    MountSpec { source: Volume { name: "real", nocopy: true, subpath: None }, target: "/own", read_only: false }
    MountSpec { source: Anonymous { carry_over: None }, target: "/anonymous", read_only: false }
    MountSpec { source: Tmpfs { size: Some(1048576), mode: Some(448) }, target: "/mem", read_only: false }
    MountSpec { source: Bind { path: "/strict", create: false, propagation: Some("rslave"), selinux: None }, target: "/strict", read_only: false }
    MountSpec { source: Bind { path: "/later", create: true, propagation: None, selinux: None }, target: "/data", read_only: false }
    MountSpec { source: Bind { path: "/mine", create: true, propagation: None, selinux: None }, target: "/run/secrets/taken", read_only: false }
    MountSpec { source: Bind { path: "/etc/key", create: false, propagation: None, selinux: None }, target: "/run/secrets/key", read_only: true }
    MountSpec { source: Bind { path: "/etc/key", create: false, propagation: None, selinux: None }, target: "/run/secrets/named", read_only: true }
    MountSpec { source: Bind { path: "/etc/key", create: false, propagation: None, selinux: None }, target: "/abs", read_only: true }
    "#);
}

#[test]
fn networks_are_sorted_by_priority_and_the_service_is_an_alias_on_each() {
    let template = template(
        "
mac_address: 02:42:ac:11:65:43
networks:
  alpha: {aliases: [www, app, www]}
  beta: {priority: 10, ipv4_address: 10.0.0.9}
  gamma:
---
networks: {alpha: {}, beta: {}, gamma: {external: true}}
",
    );
    insta::assert_snapshot!(lines(&template.networks), @r#"
    NetworkAttachment { network: "beta", name: "shop_beta", aliases: ["app"], ipv4: Some("10.0.0.9"), ipv6: None, link_local_ips: [], driver_opts: {}, mac_address: Some("02:42:ac:11:65:43"), links: [] }
    NetworkAttachment { network: "alpha", name: "shop_alpha", aliases: ["app", "www"], ipv4: None, ipv6: None, link_local_ips: [], driver_opts: {}, mac_address: None, links: [] }
    NetworkAttachment { network: "gamma", name: "gamma", aliases: ["app"], ipv4: None, ipv6: None, link_local_ips: [], driver_opts: {}, mac_address: None, links: [] }
    "#);
    assert_eq!(template.mac_address.as_deref(), Some("02:42:ac:11:65:43"));
}

#[test]
fn an_external_network_bears_no_labels_of_ours() {
    let desired = desired("{services: {web: {image: i, networks: [gamma]}}, networks: {gamma: {external: true}}}");
    let network = &desired.networks["gamma"];
    assert_eq!((network.name.as_str(), network.external, network.labels.len()), ("gamma", true, 0));
}

#[test]
fn modes_and_namespaces_name_services_or_containers() {
    let other = "---\n  other: {image: i}";
    for (lines, mode) in [
        ("network_mode: host", NetworkMode::Host),
        ("network_mode: none", NetworkMode::None),
        ("network_mode: bridge", NetworkMode::Bridge),
        ("network_mode: service:other", NetworkMode::Service("other".to_owned())),
        ("network_mode: container:c1", NetworkMode::Container("c1".to_owned())),
        ("", NetworkMode::Networks),
    ] {
        let template = template(&format!("{lines}\n{other}"));
        assert_eq!(template.networks.is_empty(), mode != NetworkMode::Networks);
        assert_eq!(template.network, mode);
    }
    let template =
        template(&format!("ipc: service:other\npid: container:c1\nuts: host\ncgroup: private\nuserns_mode: host\n{other}"));
    assert_eq!(template.ipc, Some(NamespaceMode::Service("other".to_owned())));
    assert_eq!(template.pid, Some(NamespaceMode::Container("c1".to_owned())));
    assert_eq!((template.uts.as_deref(), template.cgroupns.as_deref()), (Some("host"), Some("private")));
    assert_eq!(app("ipc: shareable").template.ipc, Some(NamespaceMode::Plain("shareable".to_owned())));
}

#[test]
fn links_and_volumes_from_name_the_containers_they_mean() {
    let more =
        "links: ['db:database', cache]\nexternal_links: ['out:o', plain]\nvolumes_from: ['db:ro', 'container:c1:rw', cache]";
    let others = "---\n  db: {image: i, scale: 2}\n  cache: {image: i, container_name: my-cache}";
    let networked = template(&format!("{more}\n{others}"));
    let links = ["shop-db-1:database", "shop-db-2:database", "my-cache:cache", "out:o", "plain:plain"];
    assert_eq!((networked.networks[0].links.as_slice(), networked.links.len()), (&links.map(str::to_owned)[..], 0));
    assert_eq!(networked.volumes_from, ["shop-db-1:ro", "c1:rw", "my-cache"]);
    let bridged = template(&format!("network_mode: bridge\n{more}\n{others}"));
    assert_eq!((bridged.networks.len(), bridged.links), (0, links.map(str::to_owned).to_vec()));
}

#[test]
fn a_bind_makes_its_path_only_in_the_short_form() {
    let creates = |lines: &str| match &template(lines).mounts[0].source {
        MountSource::Bind { create, .. } => *create,
        other => panic!("{other:?}"),
    };
    assert!(creates("volumes: ['/a:/b']"));
    assert!(!creates("volumes: [{type: bind, source: /a, target: /b, bind: {create_host_path: false}}]"));
}
