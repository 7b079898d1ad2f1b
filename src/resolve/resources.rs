//! Limits, devices and process limits.

use std::collections::BTreeMap;

use crate::crd::compose::{BlkioConfig, Cpus, DeviceMapping, DeviceRate, DeviceRequest, Resource, Service, Ulimit};
use crate::model::{BlockDevices, DeviceRequestSpec, DeviceSpec, Resources, UlimitSpec};

/// Limits of a service; those under `deploy` win, as in Compose.
pub(super) fn limits(service: &Service) -> Resources {
    let deployed = service.deploy.as_ref().map(|deploy| deploy.resources.clone()).unwrap_or_default();
    let limits = deployed.limits.unwrap_or_default();
    let reserved = deployed.reservations.unwrap_or_default();
    Resources {
        nano_cpus: limits.cpus.or(service.cpus).map(nano_cpus),
        cpu_shares: service.cpu_shares,
        cpu_quota: service.cpu_quota,
        cpu_period: service.cpu_period,
        cpu_rt_period: service.cpu_rt_period,
        cpu_rt_runtime: service.cpu_rt_runtime,
        cpuset: service.cpuset.clone(),
        memory: limits.memory.or(service.mem_limit).map(|bytes| bytes.0),
        memory_reservation: reserved.memory.or(service.mem_reservation).map(|bytes| bytes.0),
        memory_swap: service.memswap_limit.map(|bytes| bytes.0),
        memory_swappiness: service.mem_swappiness.map(|percent| percent.0),
        pids: limits.pids.filter(|pids| *pids > 0).or(service.pids_limit),
        blkio_weight: service.blkio_config.as_ref().and_then(|config| config.weight),
        block_devices: service.blkio_config.as_ref().map(block_devices).unwrap_or_default(),
        oom_kill_disable: service.oom_kill_disable.then_some(true),
        oom_score_adj: service.oom_score_adj,
    }
}

fn block_devices(config: &BlkioConfig) -> BlockDevices {
    let rates = |all: &[DeviceRate]| all.iter().map(|limit| (limit.path.clone(), limit.rate.0)).collect();
    BlockDevices {
        weights: config.weight_device.iter().map(|device| (device.path.clone(), device.weight)).collect(),
        read_bps: rates(&config.device_read_bps),
        read_iops: rates(&config.device_read_iops),
        write_bps: rates(&config.device_write_bps),
        write_iops: rates(&config.device_write_iops),
    }
}

/// In 32 bits, as Compose multiplies: 0.1 comes out as 100,000,000 and not one more.
#[expect(clippy::cast_possible_truncation, reason = "Docker refuses more CPUs than there are, far below the limit of i64")]
fn nano_cpus(cpus: Cpus) -> i64 {
    (cpus.0 * 1e9) as i64
}

/// Devices of the host; those with a CDI name are requested instead.
pub(super) fn devices(service: &Service) -> Vec<DeviceSpec> {
    let of_host = service.devices.iter().filter(|device| !is_cdi(device));
    let spec = |device: &DeviceMapping| DeviceSpec {
        source: device.source.clone(),
        target: if device.target.is_empty() { device.source.clone() } else { device.target.clone() },
        permissions: if device.permissions.is_empty() { "rwm".to_owned() } else { device.permissions.clone() },
    };
    of_host.map(spec).collect()
}

/// `vendor/class=device`, not a path.
fn is_cdi(device: &DeviceMapping) -> bool {
    let parts = device.source.split_once('=').and_then(|(kind, name)| Some((kind.split_once('/')?, name)));
    parts.is_some_and(|((vendor, class), name)| ![vendor, class, name].contains(&"") && !class.contains('/'))
}

/// Requests for devices: reservations of `deploy`, then CDI names, then `gpus`, in Compose's order.
pub(super) fn device_requests(service: &Service) -> Vec<DeviceRequestSpec> {
    let reservations = service.deploy.as_ref().and_then(|deploy| deploy.resources.reservations.clone());
    let Resource { devices, .. } = reservations.unwrap_or_default();
    let mut requests: Vec<_> = devices.into_iter().map(request).collect();
    let device_ids: Vec<_> = service.devices.iter().filter(|device| is_cdi(device)).map(|device| device.source.clone()).collect();
    if !device_ids.is_empty() {
        requests.push(DeviceRequestSpec { driver: Some("cdi".to_owned()), device_ids, ..DeviceRequestSpec::default() });
    }
    requests.extend(service.gpus.iter().cloned().map(|mut gpu| {
        gpu.capabilities.push("gpu".to_owned());
        request(gpu)
    }));
    requests
}

fn request(request: DeviceRequest) -> DeviceRequestSpec {
    let DeviceRequest { capabilities, driver, count, device_ids, options } = request;
    DeviceRequestSpec { driver, count, device_ids, capabilities, options }
}

/// Process limits, by name.
pub(super) fn ulimits(limits: &BTreeMap<String, Ulimit>) -> Vec<UlimitSpec> {
    let spec = |(name, limit): (&String, &Ulimit)| {
        let (soft, hard) = limit.limits();
        UlimitSpec { name: name.clone(), soft, hard }
    };
    limits.iter().map(spec).collect()
}
