//! What the engine says about itself and its machine.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::docker::daemon::Keeper;
use crate::docker::read::or_default;

/// The engine and its machine, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// Where it is reached: `unix:///var/run/docker.sock`.
    pub address: String,
    /// Its version, e.g. `20.10.24`.
    pub version: String,
    /// API version in use, e.g. `1.41`.
    pub api_version: String,
    /// Host name of its machine.
    pub host: String,
    /// `Debian GNU/Linux 12 (bookworm)`.
    pub operating_system: String,
    /// Version of the kernel.
    pub kernel: String,
    /// `x86_64`.
    pub architecture: String,
    /// CPUs of the machine.
    pub cpus: u64,
    /// Memory of the machine in bytes.
    pub memory_bytes: u64,
    /// `overlay2`.
    pub storage_driver: String,
    /// Driver of logs where a service names none: `json-file`.
    pub log_driver: String,
    /// Where it keeps images, containers and volumes.
    pub root_dir: String,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// `systemd` or `cgroupfs`.
    pub cgroup_driver: String,
    /// Whether containers outlive the daemon.
    pub live_restore: bool,
    /// Who holds the socket it is reached at.
    pub listener: Listener,
    /// Its own clock when it was asked.
    pub time: Option<Timestamp>,
    /// What it warns of by itself.
    pub warnings: Vec<String>,
    /// Pools it takes the addresses of new networks from; none: its default ones.
    pub address_pools: Vec<AddressPool>,
    /// Subnets of its bridge networks.
    pub subnets: Vec<String>,
}

/// Who holds the socket at which the engine is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Listener {
    /// It is on another machine, or reached over TCP.
    Remote,
    /// Somebody who cannot be seen from here.
    #[default]
    Unknown,
    /// dockerd itself.
    Daemon,
    /// systemd, which starts dockerd when somebody connects.
    Systemd,
}

impl From<Keeper> for Listener {
    fn from(keeper: Keeper) -> Self {
        match keeper {
            Keeper::Remote => Self::Remote,
            Keeper::Unknown => Self::Unknown,
            Keeper::Daemon(_) => Self::Daemon,
            Keeper::Activator { .. } => Self::Systemd,
        }
    }
}

/// A range of addresses that is cut into networks of one size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase", deserialize = "PascalCase"), default)]
pub struct AddressPool {
    /// `172.17.0.0/12`.
    pub base: String,
    /// Prefix length of each network.
    pub size: u8,
}

/// `GET /info`, as people want to know it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct InfoReply {
    server_version: String,
    name: String,
    operating_system: String,
    kernel_version: String,
    architecture: String,
    #[serde(rename = "NCPU")]
    cpus: u64,
    mem_total: u64,
    driver: String,
    logging_driver: String,
    docker_root_dir: String,
    cgroup_version: String,
    cgroup_driver: String,
    live_restore_enabled: bool,
    system_time: String,
    #[serde(deserialize_with = "or_default")]
    warnings: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    default_address_pools: Vec<AddressPool>,
}

/// An entry of `GET /networks`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct NetworkReply {
    driver: String,
    #[serde(rename = "IPAM", deserialize_with = "or_default")]
    ipam: Ipam,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Ipam {
    #[serde(deserialize_with = "or_default")]
    config: Vec<IpamConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct IpamConfig {
    subnet: String,
}

impl InfoReply {
    pub(super) fn into_facts(self, address: String, api_version: String, networks: &[NetworkReply], keeper: Keeper) -> Facts {
        let bridges = networks.iter().filter(|network| network.driver == "bridge");
        Facts {
            address,
            version: self.server_version,
            api_version,
            host: self.name,
            operating_system: self.operating_system,
            kernel: self.kernel_version,
            architecture: self.architecture,
            cpus: self.cpus,
            memory_bytes: self.mem_total,
            storage_driver: self.driver,
            log_driver: self.logging_driver,
            root_dir: self.docker_root_dir,
            cgroup_version: self.cgroup_version,
            cgroup_driver: self.cgroup_driver,
            live_restore: self.live_restore_enabled,
            listener: keeper.into(),
            time: self.system_time.parse().ok(),
            warnings: self.warnings,
            address_pools: self.default_address_pools,
            subnets: bridges.flat_map(|network| &network.ipam.config).map(|config| config.subnet.clone()).collect(),
        }
    }
}
