//! The template: each key of a Compose service in Docker's terms.

use super::{Problems, Scope, build, mounts, network, resources, service::missing};
use crate::crd::compose::{Healthcheck, Service};
use crate::model::{ContainerSpec, DockerRestart, HealthcheckSpec, NamespaceMode};

/// What the containers of a service are made from. Name, labels and what depends on the replica are still missing.
///
/// The service is taken apart without `..`: a new key must be given a place here.
pub(super) fn template(scope: &Scope, name: &str, service: &Service, problems: &mut Problems) -> ContainerSpec {
    let mode = network::mode(scope, name, service, problems);
    let networks = network::attachments(scope, name, service, &mode, problems);
    let first_mac = networks.first().and_then(|network| network.mac_address.clone());
    let links = network::default_links(scope, name, service, &mode, problems);
    let mounts = mounts::mounts(scope, name, service, problems);
    let volumes_from = mounts::volumes_from(scope, name, service, problems);
    let mut namespace = |field, word: &Option<String>| namespace(scope, name, field, word.as_deref()?, problems);
    let (ipc, pid) = (namespace("ipc", &service.ipc), namespace("pid", &service.pid));
    let Service {
        // How the container is kept, not how it is made.
        profiles: _,
        attach: _,
        build: _,
        container_name: _,
        depends_on: _,
        pull_policy: _,
        restart: _,
        scale: _,
        evenkeel: _,
        post_start: _,
        pre_stop: _,
        // Made into labels.
        labels: _,
        // Read above and in `resources`.
        ipc: _,
        pid: _,
        links: _,
        external_links: _,
        network_mode: _,
        networks: _,
        ports: _,
        expose: _,
        secrets: _,
        configs: _,
        volumes: _,
        volumes_from: _,
        tmpfs: _,
        blkio_config: _,
        cpu_period: _,
        cpu_quota: _,
        cpu_rt_period: _,
        cpu_rt_runtime: _,
        cpus: _,
        cpuset: _,
        cpu_shares: _,
        deploy: _,
        devices: _,
        gpus: _,
        mem_limit: _,
        mem_reservation: _,
        memswap_limit: _,
        mem_swappiness: _,
        oom_kill_disable: _,
        oom_score_adj: _,
        pids_limit: _,
        ulimits: _,
        // Taken as they are.
        annotations,
        cap_add,
        cap_drop,
        cgroup_parent,
        cgroup,
        command,
        device_cgroup_rules,
        dns,
        dns_opt,
        dns_search,
        domainname,
        entrypoint,
        environment,
        extra_hosts,
        group_add,
        hostname,
        healthcheck,
        image,
        init,
        logging,
        mac_address,
        platform,
        privileged,
        read_only,
        runtime,
        security_opt,
        shm_size,
        stdin_open,
        stop_grace_period,
        stop_signal,
        storage_opt,
        sysctls,
        tty,
        user,
        userns_mode,
        uts,
        working_dir,
    } = service.clone();
    ContainerSpec {
        name: String::new(),
        image: image.unwrap_or_else(|| {
            if service.build.is_none() {
                problems.add(name, "image", "an image is needed, or a build");
            }
            build::default_image(scope, name)
        }),
        platform,
        command,
        entrypoint,
        env: environment.into_iter().map(variable).collect(),
        labels: std::collections::BTreeMap::new(),
        user,
        working_dir,
        hostname,
        domainname,
        tty,
        stdin_open,
        stop_signal,
        stop_timeout: stop_grace_period.map(|span| whole_seconds(span.0)),
        expose: network::expose(name, service, problems),
        ports: network::ports(name, service, problems),
        healthcheck: healthcheck.map(probe),
        mounts,
        files: mounts::files(scope, name, service),
        tmpfs: mounts::tmpfs(service),
        network: mode,
        networks,
        ipc,
        pid,
        uts,
        cgroupns: cgroup,
        userns: userns_mode,
        cgroup_parent,
        restart: DockerRestart::No,
        cap_add,
        cap_drop,
        privileged,
        read_only,
        init,
        security_opt,
        group_add,
        devices: resources::devices(service),
        device_cgroup_rules,
        device_requests: resources::device_requests(service),
        sysctls,
        ulimits: resources::ulimits(&service.ulimits),
        extra_hosts: extra_hosts.lines(':'),
        dns,
        dns_search,
        dns_opt,
        links,
        runtime,
        logging: logging.map(|logging| (logging.driver.unwrap_or_default(), logging.options)),
        shm_size: shm_size.map(|bytes| bytes.0),
        resources: resources::limits(service),
        volumes_from,
        storage_opt,
        // For engines that know only one: that of the first network, which may be the service's own.
        mac_address: first_mac.or(mac_address),
        annotations,
    }
}

/// `KEY=value`; a key without a value takes away what the image sets.
pub(super) fn variable((key, value): (String, Option<String>)) -> String {
    match value {
        Some(value) => format!("{key}={value}"),
        None => key,
    }
}

/// Docker counts a stop timeout in seconds; a part of one is rounded up, or 500 ms would mean KILL at once.
fn whole_seconds(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_secs() + u64::from(span.subsec_nanos() > 0)).unwrap_or(i64::MAX)
}

fn probe(check: Healthcheck) -> HealthcheckSpec {
    let Healthcheck { test, timeout, interval, retries, start_period, start_interval, disable } = check;
    HealthcheckSpec {
        test: if disable { vec!["NONE".to_owned()] } else { test },
        interval: interval.map(|span| span.0),
        timeout: timeout.map(|span| span.0),
        start_period: start_period.map(|span| span.0),
        start_interval: start_interval.map(|span| span.0),
        retries: retries.map(|retries| i64::try_from(retries).unwrap_or(i64::MAX)),
    }
}

/// `service:x`, `container:x`, or a word of Docker's.
fn namespace(scope: &Scope, name: &str, field: &str, word: &str, problems: &mut Problems) -> Option<NamespaceMode> {
    if let Some(other) = word.strip_prefix("service:") {
        if !scope.enabled.contains_key(other) {
            problems.add(name, field, missing(scope, other));
        }
        return Some(NamespaceMode::Service(other.to_owned()));
    }
    Some(match word.strip_prefix("container:") {
        Some(container) => NamespaceMode::Container(container.to_owned()),
        None => NamespaceMode::Plain(word.to_owned()),
    })
}
