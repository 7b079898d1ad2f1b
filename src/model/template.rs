//! What a container, network or volume is made from: a Compose service, resolved, in Docker's terms.
//!
//! Built from the spec alone, never from an inspect. `docker::convert` turns it into the engine's request.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::{BlockDevices, DockerRestart, HostPort};

/// Everything Docker needs to make one container. Lists keep the order of the spec.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ContainerSpec {
    /// Container name. Empty in a service's template; the planner fills it in.
    pub name: String,
    /// Image reference.
    pub image: String,
    /// `os/arch[/variant]`.
    pub platform: Option<String>,
    /// `None`: the image's; `Some([])`: none.
    pub command: Option<Vec<String>>,
    /// `None`: the image's; `Some([])`: none.
    pub entrypoint: Option<Vec<String>>,
    /// `KEY=value`, or `KEY` alone to unset what the image sets.
    pub env: Vec<String>,
    /// Labels of the user, ours and Compose's.
    pub labels: BTreeMap<String, String>,
    /// Name, or `uid[:gid]`.
    pub user: Option<String>,
    /// Working directory.
    pub working_dir: Option<String>,
    /// Host name.
    pub hostname: Option<String>,
    /// NIS domain name.
    pub domainname: Option<String>,
    /// Allocate a terminal.
    pub tty: bool,
    /// Keep standard input open.
    pub stdin_open: bool,
    /// Signal for a graceful stop, e.g. `SIGTERM`.
    pub stop_signal: Option<String>,
    /// Seconds between that signal and KILL.
    pub stop_timeout: Option<i64>,
    /// `port/protocol`, exposed without publishing.
    pub expose: Vec<String>,
    /// Published ports.
    pub ports: Vec<PortBinding>,
    /// Health check; `None`: the image's.
    pub healthcheck: Option<HealthcheckSpec>,
    /// Mounts, named and anonymous volumes included.
    pub mounts: Vec<MountSpec>,
    /// Files that are written into it when it is made.
    pub files: Vec<FileSpec>,
    /// Mount path -> options, for tmpfs.
    pub tmpfs: BTreeMap<String, String>,
    /// Namespace and network it joins.
    pub network: NetworkMode,
    /// Networks to attach to, in order of priority; empty with any mode but [`NetworkMode::Networks`].
    pub networks: Vec<NetworkAttachment>,
    /// `host`, `private`, `shareable`, `none`, or from another service.
    pub ipc: Option<NamespaceMode>,
    /// `host`, or from another service.
    pub pid: Option<NamespaceMode>,
    /// `host` or empty.
    pub uts: Option<String>,
    /// `host`, `private`.
    pub cgroupns: Option<String>,
    /// `host` or empty.
    pub userns: Option<String>,
    /// Cgroup parent.
    pub cgroup_parent: Option<String>,
    /// Docker's own restart policy. Always [`DockerRestart::No`] on what evenkeel makes.
    pub restart: DockerRestart,
    /// Capabilities to add.
    pub cap_add: Vec<String>,
    /// Capabilities to drop.
    pub cap_drop: Vec<String>,
    /// All capabilities and devices.
    pub privileged: bool,
    /// Root file system read-only.
    pub read_only: bool,
    /// Run Docker's init as pid 1.
    pub init: Option<bool>,
    /// `label:..`, `seccomp:..`, `no-new-privileges:true`, ..
    pub security_opt: Vec<String>,
    /// Extra groups.
    pub group_add: Vec<String>,
    /// Devices.
    pub devices: Vec<DeviceSpec>,
    /// Rules of the devices cgroup.
    pub device_cgroup_rules: Vec<String>,
    /// Device requests (GPUs).
    pub device_requests: Vec<DeviceRequestSpec>,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, String>,
    /// Resource limits of processes.
    pub ulimits: Vec<UlimitSpec>,
    /// `name:address` lines of /etc/hosts.
    pub extra_hosts: Vec<String>,
    /// DNS servers.
    pub dns: Vec<String>,
    /// DNS search domains.
    pub dns_search: Vec<String>,
    /// DNS options.
    pub dns_opt: Vec<String>,
    /// `container:alias` links of the default bridge.
    pub links: Vec<String>,
    /// OCI runtime.
    pub runtime: Option<String>,
    /// Log driver and options.
    pub logging: Option<(String, BTreeMap<String, String>)>,
    /// Bytes of /dev/shm.
    pub shm_size: Option<i64>,
    /// Limits on CPU, memory and processes.
    pub resources: Resources,
    /// `volumes_from`, as `container[:mode]`.
    pub volumes_from: Vec<String>,
    /// Storage driver options.
    pub storage_opt: BTreeMap<String, String>,
    /// MAC address of the first network.
    pub mac_address: Option<String>,
    /// OCI annotations.
    pub annotations: BTreeMap<String, String>,
}

/// A port of the container made reachable on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortBinding {
    /// Port in the container.
    pub target: u16,
    /// Where on the host; port 0 lets Docker choose.
    pub host: HostPort,
}

/// A health check in Docker's terms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HealthcheckSpec {
    /// `["NONE"]`, `["CMD", ..]` or `["CMD-SHELL", ..]`; empty: the image's.
    pub test: Vec<String>,
    /// Between probes.
    pub interval: Option<Duration>,
    /// Of one probe.
    pub timeout: Option<Duration>,
    /// Grace at the start.
    pub start_period: Option<Duration>,
    /// Between probes within the start period (engine 25 and up).
    pub start_interval: Option<Duration>,
    /// Failures in a row that make it unhealthy.
    pub retries: Option<i64>,
}

/// A mount of the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSpec {
    /// What is mounted.
    pub source: MountSource,
    /// Path in the container.
    pub target: String,
    /// Read-only.
    pub read_only: bool,
}

/// What a mount brings into the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A host path.
    Bind {
        /// Absolute path on the host.
        path: String,
        /// Make the path when it is missing, as Compose's short form does.
        create: bool,
        /// `rprivate`, `rshared`, ..
        propagation: Option<String>,
        /// SELinux relabelling, `z` or `Z`.
        selinux: Option<String>,
    },
    /// A named volume, by its real name on the engine.
    Volume {
        /// Real name.
        name: String,
        /// Do not copy the image's content into it.
        nocopy: bool,
        /// Path within the volume (engine 26 and up).
        subpath: Option<String>,
    },
    /// An anonymous volume; the planner fills in the name of the one to carry over.
    Anonymous {
        /// Name to reuse; `None`: Docker makes a new one.
        carry_over: Option<String>,
    },
    /// Memory.
    Tmpfs {
        /// Bytes.
        size: Option<i64>,
        /// Octal mode as a number.
        mode: Option<u32>,
    },
}

/// How a container is connected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NetworkMode {
    /// To the networks listed beside it.
    #[default]
    Networks,
    /// Docker's default bridge.
    Bridge,
    /// The host's own.
    Host,
    /// None.
    None,
    /// That of another service's first replica.
    Service(String),
    /// That of a container outside, by name or id.
    Container(String),
}

/// Where an ipc or pid namespace comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamespaceMode {
    /// Docker's word (`host`, `private`, `shareable`, `none`).
    Plain(String),
    /// Another service's first replica.
    Service(String),
    /// A container outside, by name or id.
    Container(String),
}

/// One network a container joins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkAttachment {
    /// Key of the network in the spec.
    pub network: String,
    /// Its real name.
    pub name: String,
    /// Further names it answers to; the service's name is among them, the container's is added when it is made.
    pub aliases: Vec<String>,
    /// Fixed IPv4 address.
    pub ipv4: Option<String>,
    /// Fixed IPv6 address.
    pub ipv6: Option<String>,
    /// Link-local addresses.
    pub link_local_ips: Vec<String>,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
    /// MAC address there.
    pub mac_address: Option<String>,
    /// `container:alias` links there.
    pub links: Vec<String>,
}

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSpec {
    /// Path on the host.
    pub source: String,
    /// Path in the container.
    pub target: String,
    /// `rwm`.
    pub permissions: String,
}

/// A request for devices, as `deploy.resources.reservations.devices`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceRequestSpec {
    /// Driver.
    pub driver: Option<String>,
    /// How many; -1 is all.
    pub count: Option<i64>,
    /// By id.
    pub device_ids: Vec<String>,
    /// Sets of capabilities, one of which must be met.
    pub capabilities: Vec<String>,
    /// Driver options.
    pub options: BTreeMap<String, String>,
}

/// A process limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UlimitSpec {
    /// `nofile`, ..
    pub name: String,
    /// Soft limit.
    pub soft: i64,
    /// Hard limit.
    pub hard: i64,
}

/// Limits on CPU, memory and processes; `None` leaves Docker's default.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Resources {
    /// CPU time in 10^-9 cores.
    pub nano_cpus: Option<i64>,
    /// Relative weight.
    pub cpu_shares: Option<i64>,
    /// Microseconds a period.
    pub cpu_quota: Option<i64>,
    /// Microseconds.
    pub cpu_period: Option<i64>,
    /// Real-time microseconds.
    pub cpu_rt_period: Option<i64>,
    /// Real-time microseconds a period.
    pub cpu_rt_runtime: Option<i64>,
    /// `0-3,7`.
    pub cpuset: Option<String>,
    /// Bytes.
    pub memory: Option<i64>,
    /// Bytes.
    pub memory_reservation: Option<i64>,
    /// Bytes of memory and swap; -1 is no limit.
    pub memory_swap: Option<i64>,
    /// 0 to 100.
    pub memory_swappiness: Option<i64>,
    /// Processes; -1 is no limit.
    pub pids: Option<i64>,
    /// 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// What single block devices may be used.
    pub block_devices: BlockDevices,
    /// Do not kill on out of memory.
    pub oom_kill_disable: Option<bool>,
    /// -1000 to 1000.
    pub oom_score_adj: Option<i64>,
}

/// A network of the project, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkSpec {
    /// Real name on the engine.
    pub name: String,
    /// Made and removed by somebody else; must exist.
    pub external: bool,
    /// Driver; `None`: the engine's default.
    pub driver: Option<String>,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
    /// No way out.
    pub internal: bool,
    /// Standalone containers may attach (overlay).
    pub attachable: bool,
    /// IPv6.
    pub enable_ipv6: Option<bool>,
    /// Address management.
    pub ipam: IpamSpec,
    /// Labels of the user, ours and Compose's.
    pub labels: BTreeMap<String, String>,
    /// Hash of the above but for the labels that are ours.
    pub hash: String,
}

/// Address management of a network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IpamSpec {
    /// Driver.
    pub driver: Option<String>,
    /// Pools.
    pub config: Vec<IpamPool>,
    /// Driver options.
    pub options: BTreeMap<String, String>,
}

/// One address pool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IpamPool {
    /// CIDR.
    pub subnet: Option<String>,
    /// CIDR within the subnet.
    pub ip_range: Option<String>,
    /// Address.
    pub gateway: Option<String>,
    /// Reserved addresses by host name.
    pub aux_addresses: BTreeMap<String, String>,
}

/// A volume of the project, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VolumeSpec {
    /// Real name on the engine.
    pub name: String,
    /// Made by somebody else; must exist.
    pub external: bool,
    /// Driver; `None`: `local`.
    pub driver: Option<String>,
    /// Driver options.
    pub driver_opts: BTreeMap<String, String>,
    /// Labels of the user, ours and Compose's.
    pub labels: BTreeMap<String, String>,
    /// Hash of the above but for the labels that are ours.
    pub hash: String,
}

/// A file that is written into a container before it is started for the first time: a config or a secret that is no file of the
/// host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSpec {
    /// Absolute path in the container.
    pub target: String,
    /// What is in it.
    pub source: FileSource,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Permissions.
    pub mode: u32,
}

/// Where a file's content comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum FileSource {
    /// It stands in the manifest.
    Content(String),
    /// It is the value of this variable of the operator's environment, read when it is written.
    Environment(String),
}

impl fmt::Debug for FileSource {
    /// Without the content: it may be long, and may hold what is not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content(_) => f.write_str("Content"),
            Self::Environment(name) => f.debug_tuple("Environment").field(name).finish(),
        }
    }
}

/// A command that is run in a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HookSpec {
    /// Its words.
    pub command: Vec<String>,
    /// Who runs it; `None`: the container's own user.
    pub user: Option<String>,
    /// With all capabilities.
    pub privileged: bool,
    /// Where; `None`: the container's own folder.
    pub working_dir: Option<String>,
    /// Further variables, `KEY=value`.
    pub env: Vec<String>,
}
