//! What services are made of.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::service::is_empty;
use super::{Bytes, Cpus, FileMode, Span};
use crate::model::{DependencyCondition, OnChange, Probes};

/// One published port. A range in the short form has become one of these for each port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Port {
    /// A name for people.
    #[serde(skip_serializing_if = "is_empty")]
    pub name: Option<String>,
    /// `ingress` or `host`; both are published on this host.
    pub mode: String,
    /// Address on the host; absent: all.
    #[serde(skip_serializing_if = "is_empty")]
    pub host_ip: Option<String>,
    /// Port in the container.
    pub target: u16,
    /// Port on the host, or a range `from-to` of which Docker takes a free one; absent: Docker chooses.
    #[serde(skip_serializing_if = "is_empty")]
    pub published: Option<String>,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// What is spoken on it, for people.
    #[serde(skip_serializing_if = "is_empty")]
    pub app_protocol: Option<String>,
}

/// Kinds of mounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// A path of the host.
    Bind,
    /// A volume; anonymous without a source.
    #[default]
    Volume,
    /// Memory.
    Tmpfs,
}

/// One mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// What kind.
    #[serde(rename = "type")]
    pub kind: MountKind,
    /// Absolute host path, or key of a volume.
    #[serde(skip_serializing_if = "is_empty")]
    pub source: Option<String>,
    /// Path in the container.
    pub target: String,
    /// Read-only.
    #[serde(skip_serializing_if = "is_empty")]
    pub read_only: bool,
    /// A word of Docker Desktop's, without effect on Linux.
    #[serde(skip_serializing_if = "is_empty")]
    pub consistency: Option<String>,
    /// Options of a bind.
    #[serde(skip_serializing_if = "is_empty")]
    pub bind: Option<BindOptions>,
    /// Options of a volume.
    #[serde(skip_serializing_if = "is_empty")]
    pub volume: Option<VolumeOptions>,
    /// Options of a tmpfs.
    #[serde(skip_serializing_if = "is_empty")]
    pub tmpfs: Option<TmpfsOptions>,
}

/// Options of a bind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BindOptions {
    /// `z` or `Z`.
    #[serde(skip_serializing_if = "is_empty")]
    pub selinux: Option<String>,
    /// `rprivate`, `rshared`, ..
    #[serde(skip_serializing_if = "is_empty")]
    pub propagation: Option<String>,
    /// Make the path when it is missing. True in the short form.
    #[serde(skip_serializing_if = "is_empty")]
    pub create_host_path: bool,
}

/// Options of a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VolumeOptions {
    /// Do not copy the image's content into it.
    #[serde(skip_serializing_if = "is_empty")]
    pub nocopy: bool,
    /// Path within the volume.
    #[serde(skip_serializing_if = "is_empty")]
    pub subpath: Option<String>,
}

/// Options of a tmpfs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TmpfsOptions {
    /// Largest size.
    #[serde(skip_serializing_if = "is_empty")]
    pub size: Option<Bytes>,
    /// Permissions, written as a plain number.
    #[serde(skip_serializing_if = "is_empty")]
    pub mode: Option<u32>,
}

/// Health check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", ..]` or `["CMD-SHELL", ..]`; empty: the image's.
    #[serde(skip_serializing_if = "is_empty")]
    pub test: Vec<String>,
    /// Of one probe.
    #[serde(skip_serializing_if = "is_empty")]
    pub timeout: Option<Span>,
    /// Between probes.
    #[serde(skip_serializing_if = "is_empty")]
    pub interval: Option<Span>,
    /// Failures in a row that make it unhealthy.
    #[serde(skip_serializing_if = "is_empty")]
    pub retries: Option<u64>,
    /// Grace at the start.
    #[serde(skip_serializing_if = "is_empty")]
    pub start_period: Option<Span>,
    /// Between probes within it.
    #[serde(skip_serializing_if = "is_empty")]
    pub start_interval: Option<Span>,
    /// No health check at all.
    #[serde(skip_serializing_if = "is_empty")]
    pub disable: bool,
}

/// One entry of `depends_on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// What must hold.
    pub condition: DependencyCondition,
    /// Restart with it.
    #[serde(skip_serializing_if = "is_empty")]
    pub restart: bool,
    /// `false`: go on without it.
    pub required: bool,
}

/// Log driver and options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Logging {
    /// Driver; absent: the engine's default.
    #[serde(skip_serializing_if = "is_empty")]
    pub driver: Option<String>,
    /// Its options.
    #[serde(skip_serializing_if = "is_empty")]
    pub options: BTreeMap<String, String>,
}

/// Limits on block devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BlkioConfig {
    /// 10 to 1000.
    #[serde(skip_serializing_if = "is_empty")]
    pub weight: Option<u16>,
    /// The same for single devices.
    #[serde(skip_serializing_if = "is_empty")]
    pub weight_device: Vec<DeviceWeight>,
    /// Bytes a second.
    #[serde(skip_serializing_if = "is_empty")]
    pub device_read_bps: Vec<DeviceRate>,
    /// Operations a second.
    #[serde(skip_serializing_if = "is_empty")]
    pub device_read_iops: Vec<DeviceRate>,
    /// Bytes a second.
    #[serde(skip_serializing_if = "is_empty")]
    pub device_write_bps: Vec<DeviceRate>,
    /// Operations a second.
    #[serde(skip_serializing_if = "is_empty")]
    pub device_write_iops: Vec<DeviceRate>,
}

/// The weight of a block device; named in JSON as Compose names it there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeviceWeight {
    /// Path on the host.
    pub path: String,
    /// 10 to 1000.
    pub weight: u16,
}

/// The limit on a block device; named in JSON as Compose names it there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeviceRate {
    /// Path on the host.
    pub path: String,
    /// How many a second.
    pub rate: Bytes,
}

/// A device of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DeviceMapping {
    /// Path on the host, or a CDI name `vendor/class=device`.
    pub source: String,
    /// Path in the container.
    #[serde(skip_serializing_if = "is_empty")]
    pub target: String,
    /// `rwm`.
    #[serde(skip_serializing_if = "is_empty")]
    pub permissions: String,
}

/// A request for devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DeviceRequest {
    /// All of these must be met.
    #[serde(skip_serializing_if = "is_empty")]
    pub capabilities: Vec<String>,
    /// Driver.
    #[serde(skip_serializing_if = "is_empty")]
    pub driver: Option<String>,
    /// How many; -1: all; absent: by id.
    #[serde(skip_serializing_if = "is_empty")]
    pub count: Option<i64>,
    /// By id.
    #[serde(skip_serializing_if = "is_empty")]
    pub device_ids: Vec<String>,
    /// Driver options.
    #[serde(skip_serializing_if = "is_empty")]
    pub options: BTreeMap<String, String>,
}

/// `deploy`, but for its parts that only Swarm knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Deploy {
    /// `replicated`.
    #[serde(skip_serializing_if = "is_empty")]
    pub mode: Option<String>,
    /// How many containers.
    #[serde(skip_serializing_if = "is_empty")]
    pub replicas: Option<u32>,
    /// Labels of the service, not of its containers.
    #[serde(skip_serializing_if = "is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Resources.
    pub resources: DeployResources,
    /// Wins over `restart`.
    #[serde(skip_serializing_if = "is_empty")]
    pub restart_policy: Option<RestartPolicy>,
    /// Always `{}`: Compose writes it into the JSON it hashes.
    pub placement: Placement,
}

/// Nothing: where to place a service is a question of Swarm's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Placement {}

/// Limits and reservations.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DeployResources {
    /// Upper bounds.
    #[serde(skip_serializing_if = "is_empty")]
    pub limits: Option<Resource>,
    /// Guarantees.
    #[serde(skip_serializing_if = "is_empty")]
    pub reservations: Option<Resource>,
}

/// One set of resources.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Resource {
    /// CPUs.
    #[serde(skip_serializing_if = "is_empty")]
    pub cpus: Option<Cpus>,
    /// Memory.
    #[serde(skip_serializing_if = "is_empty")]
    pub memory: Option<Bytes>,
    /// Processes.
    #[serde(skip_serializing_if = "is_empty")]
    pub pids: Option<i64>,
    /// Devices (reservations only).
    #[serde(skip_serializing_if = "is_empty")]
    pub devices: Vec<DeviceRequest>,
}

/// Swarm's words for `restart`. `delay` and `window` are refused: `spec.recovery` has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RestartPolicy {
    /// `none`, `on-failure`, `any`, and Compose's words.
    #[serde(skip_serializing_if = "is_empty")]
    pub condition: Option<String>,
    /// Attempts of `on-failure`.
    #[serde(skip_serializing_if = "is_empty")]
    pub max_attempts: Option<u32>,
}

/// How a service is connected to one network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ServiceNetwork {
    /// Further names it answers to.
    #[serde(skip_serializing_if = "is_empty")]
    pub aliases: Vec<String>,
    /// Driver options.
    #[serde(skip_serializing_if = "is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// Fixed IPv4 address.
    #[serde(skip_serializing_if = "is_empty")]
    pub ipv4_address: Option<String>,
    /// Fixed IPv6 address.
    #[serde(skip_serializing_if = "is_empty")]
    pub ipv6_address: Option<String>,
    /// Link-local addresses.
    #[serde(skip_serializing_if = "is_empty")]
    pub link_local_ips: Vec<String>,
    /// MAC address there.
    #[serde(skip_serializing_if = "is_empty")]
    pub mac_address: Option<String>,
    /// Networks are joined in falling order of it.
    #[serde(skip_serializing_if = "is_empty")]
    pub priority: i64,
}

/// A secret or a config as a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FileMount {
    /// Its key.
    pub source: String,
    /// Path in the container; a bare name lies in /run/secrets, that of a config in /.
    #[serde(skip_serializing_if = "is_empty")]
    pub target: String,
    /// Owner; of no effect on a file of the host.
    #[serde(skip_serializing_if = "is_empty")]
    pub uid: Option<String>,
    /// Group; as `uid`.
    #[serde(skip_serializing_if = "is_empty")]
    pub gid: Option<String>,
    /// Permissions; as `uid`.
    #[serde(skip_serializing_if = "is_empty")]
    pub mode: Option<FileMode>,
}

/// A process limit: one number for both, or a soft and a hard one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ulimit {
    /// Soft and hard.
    Single(i64),
    /// Each.
    Pair {
        /// Soft limit.
        soft: i64,
        /// Hard limit.
        hard: i64,
    },
}

/// Host names and their addresses; written as `name=address` lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(pub BTreeMap<String, Vec<String>>);

impl Hosts {
    /// Its lines, sorted, with `separator` between name and address.
    pub fn lines(&self, separator: char) -> Vec<String> {
        let lines = self.0.iter().flat_map(|(host, ips)| ips.iter().map(move |ip| format!("{host}{separator}{ip}")));
        let mut lines: Vec<String> = lines.collect();
        lines.sort();
        lines
    }
}

impl Serialize for Hosts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.lines('=').serialize(serializer)
    }
}

impl Ulimit {
    /// Soft and hard limit.
    pub fn limits(self) -> (i64, i64) {
        match self {
            Self::Single(limit) => (limit, limit),
            Self::Pair { soft, hard } => (soft, hard),
        }
    }
}

impl Serialize for Ulimit {
    /// As Go does: a number, or a map without those that are 0.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Single(limit) => serializer.serialize_i64(limit),
            Self::Pair { soft, hard } => {
                serializer.collect_map([("soft", soft), ("hard", hard)].into_iter().filter(|(_, limit)| *limit != 0))
            }
        }
    }
}

/// One of `post_start` and `pre_stop`: a command that is run in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Hook {
    /// Its words.
    #[serde(skip_serializing_if = "is_empty")]
    pub command: Vec<String>,
    /// Who runs it; absent: the container's own user.
    #[serde(skip_serializing_if = "is_empty")]
    pub user: Option<String>,
    /// With all capabilities.
    #[serde(skip_serializing_if = "is_empty")]
    pub privileged: bool,
    /// Where; absent: in the container's own folder.
    #[serde(skip_serializing_if = "is_empty")]
    pub working_dir: Option<String>,
    /// Further variables.
    #[serde(skip_serializing_if = "is_empty")]
    pub environment: BTreeMap<String, Option<String>>,
}

/// `x-evenkeel` of a service: what Compose has no word for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServicePolicy {
    /// What follows when a mounted file changes; absent: it does not say.
    pub on_change: Option<OnChange>,
    /// Probes of our own.
    pub probes: Probes,
}
