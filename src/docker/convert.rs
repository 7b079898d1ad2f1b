//! Turns a container's specification into the engine's request.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::version::{ApiVersion, MAC_PER_ENDPOINT, UNIQUE_NETWORK_NAMES};
use super::{mounts, security};
use crate::model::{
    ContainerSpec, DeviceRequestSpec, DockerRestart, HealthcheckSpec, IpamSpec, NamespaceMode, NetworkAttachment, NetworkMode,
    NetworkSpec, VolumeSpec,
};
use bollard::models;

/// Why a specification cannot be said to this engine.
pub(super) type Refusal = String;

/// The request for `spec`, with the first of its networks; see [`further_networks`] for the others.
pub(super) fn container(
    spec: &ContainerSpec,
    networks: &BTreeMap<String, String>,
    api: ApiVersion,
) -> Result<models::ContainerCreateBody, Refusal> {
    let wants_mac = spec.mac_address.is_some() || spec.networks.iter().any(|at| at.mac_address.is_some());
    if wants_mac && api < MAC_PER_ENDPOINT {
        return Err(format!("mac_address needs Docker 25 (API {MAC_PER_ENDPOINT}) or newer; this engine speaks API {api}"));
    }
    let first = match (&spec.network, spec.networks.first()) {
        (NetworkMode::Networks, Some(attachment)) => Some((first_network(attachment, networks, api)?, endpoint(attachment))),
        (NetworkMode::Bridge, _) if wants_mac => Some(("bridge".to_owned(), models::EndpointSettings::default())),
        _ => None,
    };
    let first = first.map(|(id, endpoint)| {
        let mac_address = endpoint.mac_address.or(spec.mac_address.clone());
        (id, models::EndpointSettings { mac_address, ..endpoint })
    });
    let mounts = mounts::convert(&spec.mounts)?;
    let host_config = models::HostConfig {
        mounts: filled(mounts.mounts),
        binds: filled(mounts.binds),
        network_mode: Some(network_mode(spec, first.as_ref().map(|(id, _)| id.as_str()))?),
        ..host_config(spec)?
    };
    Ok(models::ContainerCreateBody {
        host_config: Some(host_config),
        networking_config: first.map(|endpoint| models::NetworkingConfig { endpoints_config: Some(HashMap::from([endpoint])) }),
        ..config(spec)
    })
}

/// The networks that are connected after the container was made, with their ids.
///
/// Engines before API 1.44 take only one in a create. Newer ones take all, but know the id of only the first for what it is
/// (moby, `updateContainerNetworkSettings`). So all engines get one, and the others by id.
pub(super) fn further_networks<'a>(
    spec: &'a ContainerSpec,
    networks: &BTreeMap<String, String>,
) -> Result<Vec<(String, &'a NetworkAttachment)>, Refusal> {
    if spec.network != NetworkMode::Networks {
        return Ok(vec![]);
    }
    spec.networks.iter().skip(1).map(|attachment| Ok((network_id(attachment, networks)?, attachment))).collect()
}

/// How the network is called that a container is made with. Newer engines look for it again at each connect and each start: once it
/// has been removed and made again, its old id is found no more (measured on 26). On older ones names need not be unique.
fn first_network(
    attachment: &NetworkAttachment,
    networks: &BTreeMap<String, String>,
    api: ApiVersion,
) -> Result<String, Refusal> {
    let id = network_id(attachment, networks)?;
    Ok(if api < UNIQUE_NETWORK_NAMES { id } else { attachment.name.clone() })
}

fn network_id(attachment: &NetworkAttachment, networks: &BTreeMap<String, String>) -> Result<String, Refusal> {
    networks.get(&attachment.network).cloned().ok_or_else(|| format!("its network {:?} does not exist yet", attachment.network))
}

/// What is the container's own.
fn config(spec: &ContainerSpec) -> models::ContainerCreateBody {
    let published = spec.ports.iter().map(|port| format!("{}/{}", port.target, port.host.protocol));
    let mut exposed: Vec<String> = spec.expose.iter().cloned().chain(published).collect();
    exposed.sort();
    exposed.dedup();
    models::ContainerCreateBody {
        hostname: spec.hostname.clone(),
        domainname: spec.domainname.clone(),
        user: spec.user.clone(),
        exposed_ports: filled(exposed),
        tty: Some(spec.tty),
        open_stdin: Some(spec.stdin_open),
        env: filled(spec.env.clone()),
        cmd: spec.command.clone(),
        healthcheck: spec.healthcheck.as_ref().map(healthcheck),
        image: Some(spec.image.clone()),
        working_dir: spec.working_dir.clone(),
        entrypoint: spec.entrypoint.clone(),
        labels: map(&spec.labels),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_timeout,
        ..Default::default()
    }
}

/// What is the host's, but for mounts and networks.
pub(super) fn host_config(spec: &ContainerSpec) -> Result<models::HostConfig, Refusal> {
    let limits = &spec.resources;
    let opens_paths = security::opens_system_paths(&spec.security_opt);
    Ok(models::HostConfig {
        nano_cpus: limits.nano_cpus,
        cpu_shares: limits.cpu_shares,
        cpu_quota: limits.cpu_quota,
        cpu_period: limits.cpu_period,
        cpu_realtime_period: limits.cpu_rt_period,
        cpu_realtime_runtime: limits.cpu_rt_runtime,
        cpuset_cpus: limits.cpuset.clone(),
        memory: limits.memory,
        memory_reservation: limits.memory_reservation,
        memory_swap: limits.memory_swap,
        memory_swappiness: limits.memory_swappiness,
        pids_limit: limits.pids,
        blkio_weight: limits.blkio_weight,
        blkio_weight_device: filled(limits.block_devices.weights.iter().map(device_weight).collect()),
        blkio_device_read_bps: filled(limits.block_devices.read_bps.iter().map(device_rate).collect()),
        blkio_device_read_iops: filled(limits.block_devices.read_iops.iter().map(device_rate).collect()),
        blkio_device_write_bps: filled(limits.block_devices.write_bps.iter().map(device_rate).collect()),
        blkio_device_write_iops: filled(limits.block_devices.write_iops.iter().map(device_rate).collect()),
        oom_kill_disable: limits.oom_kill_disable,
        oom_score_adj: limits.oom_score_adj,
        cgroup_parent: spec.cgroup_parent.clone(),
        cgroupns_mode: spec.cgroupns.as_ref().map(|word| word.parse()).transpose()?,
        devices: filled(spec.devices.iter().map(device).collect()),
        device_cgroup_rules: filled(spec.device_cgroup_rules.clone()),
        device_requests: filled(spec.device_requests.iter().map(device_request).collect()),
        ulimits: filled(spec.ulimits.iter().map(ulimit).collect()),
        log_config: spec
            .logging
            .as_ref()
            .map(|(driver, options)| models::HostConfigLogConfig { typ: Some(driver.clone()), config: map(options) }),
        port_bindings: port_bindings(spec),
        restart_policy: Some(restart_policy(&spec.restart)),
        volumes_from: filled(spec.volumes_from.clone()),
        annotations: map(&spec.annotations),
        cap_add: filled(spec.cap_add.clone()),
        cap_drop: filled(spec.cap_drop.clone()),
        dns: filled(spec.dns.clone()),
        dns_options: filled(spec.dns_opt.clone()),
        dns_search: filled(spec.dns_search.clone()),
        extra_hosts: filled(spec.extra_hosts.clone()),
        group_add: filled(spec.group_add.clone()),
        ipc_mode: spec.ipc.as_ref().map(namespace).transpose()?,
        pid_mode: spec.pid.as_ref().map(namespace).transpose()?,
        uts_mode: spec.uts.clone(),
        userns_mode: spec.userns.clone(),
        links: filled(spec.links.clone()),
        privileged: Some(spec.privileged),
        readonly_rootfs: Some(spec.read_only),
        init: spec.init,
        security_opt: filled(security::options(&spec.security_opt)?),
        masked_paths: opens_paths.then(Vec::new),
        readonly_paths: opens_paths.then(Vec::new),
        storage_opt: map(&spec.storage_opt),
        tmpfs: map(&spec.tmpfs),
        shm_size: spec.shm_size,
        sysctls: map(&spec.sysctls),
        runtime: spec.runtime.clone(),
        ..Default::default()
    })
}

fn device_weight((path, weight): &(String, u16)) -> models::ResourcesBlkioWeightDevice {
    models::ResourcesBlkioWeightDevice { path: Some(path.clone()), weight: Some(usize::from(*weight)) }
}

fn device_rate((path, rate): &(String, i64)) -> models::ThrottleDevice {
    models::ThrottleDevice { path: Some(path.clone()), rate: Some(*rate) }
}

fn network_mode(spec: &ContainerSpec, first: Option<&str>) -> Result<String, Refusal> {
    Ok(match &spec.network {
        NetworkMode::Networks => first.unwrap_or("none").to_owned(),
        NetworkMode::Bridge => "bridge".to_owned(),
        NetworkMode::Host => "host".to_owned(),
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Container(container) => format!("container:{container}"),
        NetworkMode::Service(service) => return Err(no_container_of(service)),
    })
}

fn namespace(mode: &NamespaceMode) -> Result<String, Refusal> {
    match mode {
        NamespaceMode::Plain(word) => Ok(word.clone()),
        NamespaceMode::Container(container) => Ok(format!("container:{container}")),
        NamespaceMode::Service(service) => Err(no_container_of(service)),
    }
}

fn no_container_of(service: &str) -> Refusal {
    format!("service {service:?}, whose namespace it shares, has no container yet")
}

/// How a container is attached to one network.
pub(super) fn endpoint(attachment: &NetworkAttachment) -> models::EndpointSettings {
    let fixed = attachment.ipv4.is_some() || attachment.ipv6.is_some() || !attachment.link_local_ips.is_empty();
    models::EndpointSettings {
        ipam_config: fixed.then(|| models::EndpointIpamConfig {
            ipv4_address: attachment.ipv4.clone(),
            ipv6_address: attachment.ipv6.clone(),
            link_local_ips: filled(attachment.link_local_ips.clone()),
        }),
        links: filled(attachment.links.clone()),
        mac_address: attachment.mac_address.clone(),
        aliases: filled(attachment.aliases.clone()),
        driver_opts: map(&attachment.driver_opts),
        ..Default::default()
    }
}

fn port_bindings(spec: &ContainerSpec) -> Option<models::PortMap> {
    let mut bindings = models::PortMap::new();
    for port in &spec.ports {
        let host = models::PortBinding {
            host_ip: Some(port.host.ip.clone()),
            host_port: Some(if port.host.port == 0 { String::new() } else { port.host.port.to_string() }),
        };
        let at = bindings.entry(format!("{}/{}", port.target, port.host.protocol)).or_insert_with(|| Some(vec![]));
        at.get_or_insert_default().push(host);
    }
    (!bindings.is_empty()).then_some(bindings)
}

pub(super) fn healthcheck(check: &HealthcheckSpec) -> models::HealthConfig {
    let nanos = |time: Option<Duration>| time.map(|time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX));
    models::HealthConfig {
        test: filled(check.test.clone()),
        interval: nanos(check.interval),
        timeout: nanos(check.timeout),
        retries: check.retries,
        start_period: nanos(check.start_period),
        start_interval: nanos(check.start_interval),
    }
}

fn device(device: &crate::model::DeviceSpec) -> models::DeviceMapping {
    models::DeviceMapping {
        path_on_host: Some(device.source.clone()),
        path_in_container: Some(device.target.clone()),
        cgroup_permissions: Some(device.permissions.clone()),
    }
}

fn device_request(request: &DeviceRequestSpec) -> models::DeviceRequest {
    models::DeviceRequest {
        driver: request.driver.clone(),
        count: request.count,
        device_ids: filled(request.device_ids.clone()),
        capabilities: Some(vec![request.capabilities.clone()]),
        options: map(&request.options),
    }
}

fn ulimit(limit: &crate::model::UlimitSpec) -> models::ResourcesUlimits {
    models::ResourcesUlimits { name: Some(limit.name.clone()), soft: Some(limit.soft), hard: Some(limit.hard) }
}

/// Docker's own restart policy.
pub(super) fn restart_policy(policy: &DockerRestart) -> models::RestartPolicy {
    use models::RestartPolicyNameEnum as Name;
    let (name, max) = match policy {
        DockerRestart::No => (Name::NO, None),
        DockerRestart::Always => (Name::ALWAYS, None),
        DockerRestart::UnlessStopped => (Name::UNLESS_STOPPED, None),
        DockerRestart::OnFailure(max) => (Name::ON_FAILURE, Some(i64::from(*max))),
    };
    models::RestartPolicy { name: Some(name), maximum_retry_count: max }
}

/// The request for a network. The engine would make a second one of the same name: the caller has looked.
pub(super) fn network(spec: &NetworkSpec) -> models::NetworkCreateRequest {
    models::NetworkCreateRequest {
        name: spec.name.clone(),
        driver: spec.driver.clone(),
        internal: Some(spec.internal),
        attachable: Some(spec.attachable),
        enable_ipv6: spec.enable_ipv6,
        ipam: ipam(&spec.ipam),
        options: map(&spec.driver_opts),
        labels: map(&spec.labels),
        ..Default::default()
    }
}

fn ipam(spec: &IpamSpec) -> Option<models::Ipam> {
    let pools = spec.config.iter().map(|pool| models::IpamConfig {
        subnet: pool.subnet.clone(),
        ip_range: pool.ip_range.clone(),
        gateway: pool.gateway.clone(),
        auxiliary_addresses: map(&pool.aux_addresses),
    });
    (*spec != IpamSpec::default()).then(|| models::Ipam {
        driver: spec.driver.clone(),
        config: filled(pools.collect()),
        options: map(&spec.options),
    })
}

/// The request for a volume.
pub(super) fn volume(spec: &VolumeSpec) -> models::VolumeCreateRequest {
    models::VolumeCreateRequest {
        name: Some(spec.name.clone()),
        driver: spec.driver.clone(),
        driver_opts: map(&spec.driver_opts),
        labels: map(&spec.labels),
        ..Default::default()
    }
}

/// Empty lists are left out: the engine's default is meant.
pub(super) fn filled<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn map(entries: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    (!entries.is_empty()).then(|| entries.clone().into_iter().collect())
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
