//! Reads the engine's answers into the model.
//!
//! Only the fields that are used are declared, and words are read as text: bollard's generated types would fail a whole
//! list because of one field or word they do not know (a volume plugin's `Status`, a state of a newer engine).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::{ContainerLine, EngineInfo};
use crate::model::{
    Attachment, Container, ContainerState, DockerRestart, Health, HealthStatus, HostPort, Image, Mount, Network, Volume,
};

/// Between two probes, and of one, where the health check does not say: the engine's defaults.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);

/// Failed probes in a row that make a container unhealthy, where the health check does not say.
const PROBE_RETRIES: u32 = 3;

/// Go writes empty lists and maps as `null`.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// `GET /info`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
pub(super) struct InfoReply {
    #[serde(rename = "ID")]
    pub(super) id: String,
    server_version: String,
    name: String,
    /// The daemon's own clock.
    pub(super) system_time: String,
}

impl InfoReply {
    pub(super) fn into_model(self, api_version: String) -> EngineInfo {
        EngineInfo { id: self.id, version: self.server_version, api_version, host: self.name }
    }
}

/// An entry of `GET /containers/json`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct LineReply {
    id: String,
    #[serde(deserialize_with = "or_default")]
    names: Vec<String>,
    state: String,
    status: String,
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

impl From<LineReply> for ContainerLine {
    fn from(line: LineReply) -> Self {
        // A linked container has further names of the form `/other/alias`.
        let own = line.names.iter().find(|name| !name.trim_start_matches('/').contains('/'));
        Self {
            id: line.id,
            name: own.map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default(),
            state: state(&line.state),
            status: settled(&line.status),
            labels: line.labels,
        }
    }
}

/// The status text without what changes by itself: how long ago.
fn settled(status: &str) -> String {
    let word = status.split(' ').next().unwrap_or_default();
    match (status.find('('), status.rfind(')')) {
        (Some(open), Some(close)) if open < close => format!("{word} {}", &status[open..=close]),
        _ => word.to_owned(),
    }
}

fn state(word: &str) -> ContainerState {
    match word {
        "created" => ContainerState::Created,
        "running" | "stopping" => ContainerState::Running,
        "paused" => ContainerState::Paused,
        "restarting" => ContainerState::Restarting,
        "exited" => ContainerState::Exited,
        "dead" => ContainerState::Dead,
        // A word of some later engine: hands off, as with one that is being removed.
        _ => ContainerState::Removing,
    }
}

/// `GET /containers/{id}/json`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ContainerReply {
    id: String,
    name: String,
    created: String,
    image: String,
    restart_count: i64,
    #[serde(deserialize_with = "or_default")]
    state: StateReply,
    #[serde(deserialize_with = "or_default")]
    config: ConfigReply,
    #[serde(deserialize_with = "or_default")]
    host_config: HostConfigReply,
    #[serde(deserialize_with = "or_default")]
    network_settings: NetworkSettingsReply,
    #[serde(deserialize_with = "or_default")]
    mounts: Vec<MountReply>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct StateReply {
    status: String,
    exit_code: i64,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    error: String,
    started_at: String,
    finished_at: String,
    health: Option<HealthReply>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct HealthReply {
    status: String,
    failing_streak: u32,
    #[serde(deserialize_with = "or_default")]
    log: Vec<ProbeReply>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ProbeReply {
    end: String,
    exit_code: i64,
    output: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ConfigReply {
    image: String,
    stop_signal: String,
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    healthcheck: HealthcheckReply,
}

/// How it is probed; times in nanoseconds, 0: the default.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct HealthcheckReply {
    interval: u64,
    timeout: u64,
    retries: u32,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfigReply {
    network_mode: String,
    ipc_mode: String,
    pid_mode: String,
    #[serde(deserialize_with = "or_default")]
    restart_policy: RestartReply,
    #[serde(deserialize_with = "or_default")]
    port_bindings: BTreeMap<String, Option<Vec<BindingReply>>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RestartReply {
    name: String,
    maximum_retry_count: u32,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct BindingReply {
    host_ip: String,
    host_port: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSettingsReply {
    #[serde(deserialize_with = "or_default")]
    networks: BTreeMap<String, Option<EndpointReply>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct EndpointReply {
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(deserialize_with = "or_default")]
    aliases: Vec<String>,
    #[serde(rename = "IPAddress")]
    ip_address: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct MountReply {
    #[serde(rename = "Type")]
    kind: String,
    name: String,
    source: String,
    destination: String,
}

impl From<ContainerReply> for Container {
    fn from(reply: ContainerReply) -> Self {
        let ContainerReply { id, name, created, image, restart_count, state: run, config, host_config, network_settings, mounts } =
            reply;
        let parents = [&host_config.ipc_mode, &host_config.pid_mode];
        Self {
            id,
            name: name.trim_start_matches('/').to_owned(),
            labels: config.labels,
            image_id: image,
            image: config.image,
            state: state(&run.status),
            exit_code: run.exit_code,
            oom_killed: run.oom_killed,
            error: run.error,
            stop_signal: Some(config.stop_signal).filter(|signal| !signal.is_empty()),
            created_at: time(&created),
            started_at: time(&run.started_at),
            finished_at: time(&run.finished_at),
            health: run.health.and_then(|record| health(record, &config.healthcheck)),
            restart_policy: restart(&host_config.restart_policy),
            restart_count,
            networks: network_settings.networks.into_iter().map(|(name, at)| (name, at.unwrap_or_default().into())).collect(),
            namespace_parents: parents.iter().filter_map(|mode| mode.strip_prefix("container:").map(str::to_owned)).collect(),
            network_mode: host_config.network_mode,
            mounts: mounts.into_iter().map(Mount::from).collect(),
            ports: host_config.port_bindings.iter().flat_map(|(port, hosts)| host_ports(port, hosts.as_deref())).collect(),
        }
    }
}

/// Go's zero time means "never".
fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|_| !text.starts_with("0001-"))
}

fn health(mut reply: HealthReply, check: &HealthcheckReply) -> Option<Health> {
    let status = match reply.status.as_str() {
        "starting" => HealthStatus::Starting,
        "healthy" => HealthStatus::Healthy,
        "unhealthy" => HealthStatus::Unhealthy,
        _ => return None,
    };
    let last = reply.log.last();
    let (at, exit_code) = (last.and_then(|probe| time(&probe.end)), last.map(|probe| probe.exit_code));
    let or = |nanos: u64, default: Duration| if nanos == 0 { default } else { Duration::from_nanos(nanos) };
    Some(Health {
        status,
        failing_streak: reply.failing_streak,
        retries: if check.retries == 0 { PROBE_RETRIES } else { check.retries },
        period: or(check.interval, PROBE_INTERVAL).saturating_add(or(check.timeout, PROBE_TIMEOUT)),
        stale: false,
        last_probe_at: at,
        last_exit_code: exit_code,
        last_output: reply.log.last_mut().map(|probe| std::mem::take(&mut probe.output)).unwrap_or_default(),
    })
}

fn restart(policy: &RestartReply) -> DockerRestart {
    match policy.name.as_str() {
        "always" => DockerRestart::Always,
        "unless-stopped" => DockerRestart::UnlessStopped,
        "on-failure" => DockerRestart::OnFailure(policy.maximum_retry_count),
        _ => DockerRestart::No,
    }
}

/// `80/tcp` and where it is bound. A range or nothing as host port leaves the choice to Docker.
fn host_ports(port: &str, hosts: Option<&[BindingReply]>) -> Vec<HostPort> {
    let protocol = port.split_once('/').map_or("tcp", |(_, protocol)| protocol);
    let bound = |host: &BindingReply| HostPort {
        ip: host.host_ip.clone(),
        port: host.host_port.parse().unwrap_or(0),
        protocol: protocol.to_owned(),
    };
    hosts.unwrap_or_default().iter().map(bound).collect()
}

impl From<EndpointReply> for Attachment {
    fn from(reply: EndpointReply) -> Self {
        Self { network_id: reply.network_id, aliases: reply.aliases, address: reply.ip_address }
    }
}

impl From<MountReply> for Mount {
    fn from(reply: MountReply) -> Self {
        let source = if reply.kind == "volume" { reply.name } else { reply.source };
        Self { kind: reply.kind, source, destination: reply.destination }
    }
}

/// An entry of `GET /networks`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct NetworkReply {
    id: String,
    name: String,
    driver: String,
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

impl From<NetworkReply> for Network {
    fn from(reply: NetworkReply) -> Self {
        Self { id: reply.id, name: reply.name, labels: reply.labels, driver: reply.driver }
    }
}

/// `GET /volumes`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct VolumesReply {
    #[serde(deserialize_with = "or_default")]
    pub(super) volumes: Vec<VolumeReply>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct VolumeReply {
    name: String,
    driver: String,
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

impl From<VolumeReply> for Volume {
    fn from(reply: VolumeReply) -> Self {
        Self { name: reply.name, labels: reply.labels, driver: reply.driver }
    }
}

/// An entry of `GET /images/json`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ImageReply {
    id: String,
    #[serde(deserialize_with = "or_default")]
    repo_tags: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    repo_digests: Vec<String>,
}

impl From<ImageReply> for Image {
    fn from(reply: ImageReply) -> Self {
        let named = |references: Vec<String>| references.into_iter().filter(|name| !name.contains("<none>")).collect();
        Self { id: reply.id, tags: named(reply.repo_tags), digests: named(reply.repo_digests) }
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
