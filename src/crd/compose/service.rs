//! One service in the long form that `docker compose config` prints.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    BlkioConfig, Build, Bytes, Cpus, Dependency, Deploy, DeviceMapping, DeviceRequest, FileMount, Healthcheck, Hook, Hosts,
    Logging, Mount, Port, PullPolicy, ServiceNetwork, ServicePolicy, Span, Ulimit,
};

/// Serialises a field unless it is what Go's `omitempty` leaves out.
pub(super) fn is_empty<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// One service.
///
/// Fields stand in the order of compose-go's `ServiceConfig` and are left out when empty, as its JSON does: serialising
/// this gives the text that Compose's config hash is computed from. Who turns a service into containers destructures it
/// without `..`, so that a new field cannot be forgotten.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Service {
    /// Started only when one of these is active; empty: always.
    #[serde(skip_serializing_if = "is_empty")]
    pub profiles: Vec<String>,
    /// OCI annotations.
    #[serde(skip_serializing_if = "is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Whether `docker compose up` would show its output. Nothing here is attached to.
    #[serde(skip_serializing_if = "is_empty")]
    pub attach: Option<bool>,
    /// How its image is built; absent: it is pulled.
    #[serde(skip_serializing_if = "is_empty")]
    pub build: Option<Build>,
    /// Limits on block devices.
    #[serde(skip_serializing_if = "is_empty")]
    pub blkio_config: Option<BlkioConfig>,
    /// Capabilities to add.
    #[serde(skip_serializing_if = "is_empty")]
    pub cap_add: Vec<String>,
    /// Capabilities to drop.
    #[serde(skip_serializing_if = "is_empty")]
    pub cap_drop: Vec<String>,
    /// Parent cgroup.
    #[serde(skip_serializing_if = "is_empty")]
    pub cgroup_parent: Option<String>,
    /// `host` or `private`.
    #[serde(skip_serializing_if = "is_empty")]
    pub cgroup: Option<String>,
    /// Microseconds.
    #[serde(skip_serializing_if = "is_empty")]
    pub cpu_period: Option<i64>,
    /// Microseconds a period.
    #[serde(skip_serializing_if = "is_empty")]
    pub cpu_quota: Option<i64>,
    /// Microseconds.
    #[serde(skip_serializing_if = "is_empty")]
    pub cpu_rt_period: Option<i64>,
    /// Microseconds a period.
    #[serde(skip_serializing_if = "is_empty")]
    pub cpu_rt_runtime: Option<i64>,
    /// CPUs.
    #[serde(skip_serializing_if = "is_empty")]
    pub cpus: Option<Cpus>,
    /// `0-3,7`.
    #[serde(skip_serializing_if = "is_empty")]
    pub cpuset: Option<String>,
    /// Relative weight.
    #[serde(skip_serializing_if = "is_empty")]
    pub cpu_shares: Option<i64>,
    /// `None`: the image's; `Some([])`: none.
    pub command: Option<Vec<String>>,
    /// Configs as files.
    #[serde(skip_serializing_if = "is_empty")]
    pub configs: Vec<FileMount>,
    /// Overrides `<project>-<service>-<n>`.
    #[serde(skip_serializing_if = "is_empty")]
    pub container_name: Option<String>,
    /// By service: explicit ones, and those that links, `service:x` namespaces and volumes_from imply.
    #[serde(skip_serializing_if = "is_empty")]
    pub depends_on: BTreeMap<String, Dependency>,
    /// Replicas and resources.
    #[serde(skip_serializing_if = "is_empty")]
    pub deploy: Option<Deploy>,
    /// Rules of the devices cgroup.
    #[serde(skip_serializing_if = "is_empty")]
    pub device_cgroup_rules: Vec<String>,
    /// Devices of the host.
    #[serde(skip_serializing_if = "is_empty")]
    pub devices: Vec<DeviceMapping>,
    /// DNS servers.
    #[serde(skip_serializing_if = "is_empty")]
    pub dns: Vec<String>,
    /// DNS options.
    #[serde(skip_serializing_if = "is_empty")]
    pub dns_opt: Vec<String>,
    /// DNS search domains.
    #[serde(skip_serializing_if = "is_empty")]
    pub dns_search: Vec<String>,
    /// NIS domain name.
    #[serde(skip_serializing_if = "is_empty")]
    pub domainname: Option<String>,
    /// `None`: the image's; `Some([])`: none.
    pub entrypoint: Option<Vec<String>>,
    /// Environment; `None` as a value: the key was given without one.
    #[serde(skip_serializing_if = "is_empty")]
    pub environment: BTreeMap<String, Option<String>>,
    /// `port`, `from-to`, each with an optional `/protocol`.
    #[serde(skip_serializing_if = "is_empty")]
    pub expose: Vec<String>,
    /// `container[:alias]` of containers outside the project.
    #[serde(skip_serializing_if = "is_empty")]
    pub external_links: Vec<String>,
    /// Lines of /etc/hosts.
    #[serde(skip_serializing_if = "is_empty")]
    pub extra_hosts: Hosts,
    /// Extra groups.
    #[serde(skip_serializing_if = "is_empty")]
    pub group_add: Vec<String>,
    /// GPUs: device requests to which Compose adds the capability `gpu`.
    #[serde(skip_serializing_if = "is_empty")]
    pub gpus: Vec<DeviceRequest>,
    /// Host name.
    #[serde(skip_serializing_if = "is_empty")]
    pub hostname: Option<String>,
    /// Health check.
    #[serde(skip_serializing_if = "is_empty")]
    pub healthcheck: Option<Healthcheck>,
    /// Image reference.
    #[serde(skip_serializing_if = "is_empty")]
    pub image: Option<String>,
    /// Run Docker's init as pid 1.
    #[serde(skip_serializing_if = "is_empty")]
    pub init: Option<bool>,
    /// `host`, `shareable`, `service:x`, ..
    #[serde(skip_serializing_if = "is_empty")]
    pub ipc: Option<String>,
    /// Labels.
    #[serde(skip_serializing_if = "is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `service[:alias]`.
    #[serde(skip_serializing_if = "is_empty")]
    pub links: Vec<String>,
    /// Log driver and options.
    #[serde(skip_serializing_if = "is_empty")]
    pub logging: Option<Logging>,
    /// Memory limit.
    #[serde(skip_serializing_if = "is_empty")]
    pub mem_limit: Option<Bytes>,
    /// Soft memory limit.
    #[serde(skip_serializing_if = "is_empty")]
    pub mem_reservation: Option<Bytes>,
    /// Memory and swap; -1: no limit.
    #[serde(skip_serializing_if = "is_empty")]
    pub memswap_limit: Option<Bytes>,
    /// 0 to 100.
    #[serde(skip_serializing_if = "is_empty")]
    pub mem_swappiness: Option<Bytes>,
    /// MAC address.
    #[serde(skip_serializing_if = "is_empty")]
    pub mac_address: Option<String>,
    /// `bridge`, `host`, `none`, `service:x`, `container:x`.
    #[serde(skip_serializing_if = "is_empty")]
    pub network_mode: Option<String>,
    /// Networks by key; `None` as a value: without options. Never empty unless `network_mode` is set.
    #[serde(skip_serializing_if = "is_empty")]
    pub networks: BTreeMap<String, Option<ServiceNetwork>>,
    /// Do not kill it on out of memory.
    #[serde(skip_serializing_if = "is_empty")]
    pub oom_kill_disable: bool,
    /// -1000 to 1000.
    #[serde(skip_serializing_if = "is_empty")]
    pub oom_score_adj: Option<i64>,
    /// `host`, `service:x`, `container:x`.
    #[serde(skip_serializing_if = "is_empty")]
    pub pid: Option<String>,
    /// Processes; -1: no limit.
    #[serde(skip_serializing_if = "is_empty")]
    pub pids_limit: Option<i64>,
    /// `os/arch[/variant]`.
    #[serde(skip_serializing_if = "is_empty")]
    pub platform: Option<String>,
    /// Published ports.
    #[serde(skip_serializing_if = "is_empty")]
    pub ports: Vec<Port>,
    /// All capabilities and devices.
    #[serde(skip_serializing_if = "is_empty")]
    pub privileged: bool,
    /// When its image is pulled.
    #[serde(skip_serializing_if = "is_empty")]
    pub pull_policy: Option<PullPolicy>,
    /// Root file system read-only.
    #[serde(skip_serializing_if = "is_empty")]
    pub read_only: bool,
    /// `no`, `always`, `unless-stopped`, `on-failure[:n]`.
    #[serde(skip_serializing_if = "is_empty")]
    pub restart: Option<String>,
    /// OCI runtime.
    #[serde(skip_serializing_if = "is_empty")]
    pub runtime: Option<String>,
    /// How many containers; [`Service::replicas`] also asks `deploy`.
    #[serde(skip_serializing_if = "is_empty")]
    pub scale: Option<u32>,
    /// Secrets mounted as files.
    #[serde(skip_serializing_if = "is_empty")]
    pub secrets: Vec<FileMount>,
    /// `label:..`, `seccomp:..`, ..
    #[serde(skip_serializing_if = "is_empty")]
    pub security_opt: Vec<String>,
    /// Size of /dev/shm.
    #[serde(skip_serializing_if = "is_empty")]
    pub shm_size: Option<Bytes>,
    /// Keep standard input open.
    #[serde(skip_serializing_if = "is_empty")]
    pub stdin_open: bool,
    /// Between stop signal and KILL.
    #[serde(skip_serializing_if = "is_empty")]
    pub stop_grace_period: Option<Span>,
    /// Signal for a graceful stop.
    #[serde(skip_serializing_if = "is_empty")]
    pub stop_signal: Option<String>,
    /// Storage driver options.
    #[serde(skip_serializing_if = "is_empty")]
    pub storage_opt: BTreeMap<String, String>,
    /// Kernel parameters.
    #[serde(skip_serializing_if = "is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// `path[:options]`.
    #[serde(skip_serializing_if = "is_empty")]
    pub tmpfs: Vec<String>,
    /// Allocate a terminal.
    #[serde(skip_serializing_if = "is_empty")]
    pub tty: bool,
    /// Resource limits of processes.
    #[serde(skip_serializing_if = "is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Name, or `uid[:gid]`.
    #[serde(skip_serializing_if = "is_empty")]
    pub user: Option<String>,
    /// `host`.
    #[serde(skip_serializing_if = "is_empty")]
    pub userns_mode: Option<String>,
    /// `host`, `service:x`.
    #[serde(skip_serializing_if = "is_empty")]
    pub uts: Option<String>,
    /// Mounts.
    #[serde(skip_serializing_if = "is_empty")]
    pub volumes: Vec<Mount>,
    /// `service[:mode]` or `container:name[:mode]`.
    #[serde(skip_serializing_if = "is_empty")]
    pub volumes_from: Vec<String>,
    /// Working directory.
    #[serde(skip_serializing_if = "is_empty")]
    pub working_dir: Option<String>,
    /// Commands that are run in a container right after each start.
    #[serde(skip_serializing_if = "is_empty")]
    pub post_start: Vec<Hook>,
    /// Commands that are run in a container before it is stopped.
    #[serde(skip_serializing_if = "is_empty")]
    pub pre_stop: Vec<Hook>,
    /// What Compose has no word for: in no hash, since no container shows it.
    #[serde(skip)]
    pub evenkeel: Option<ServicePolicy>,
}

impl Service {
    /// How many containers it wants.
    pub fn replicas(&self) -> u32 {
        self.scale.or_else(|| self.deploy.as_ref().and_then(|deploy| deploy.replicas)).unwrap_or(1)
    }

    /// Whether it takes part under these active profiles (`*` is all of them).
    pub fn enabled(&self, active: &[String]) -> bool {
        self.profiles.is_empty() || active.iter().any(|profile| profile == "*" || self.profiles.contains(profile))
    }

    /// Whether its own words switch the image's health check off.
    pub fn healthcheck_disabled(&self) -> bool {
        self.healthcheck.as_ref().is_some_and(|check| check.disable || check.test.first().is_some_and(|word| word == "NONE"))
    }
}
