//! What is watched of what containers and the machine use, and the alerts that come of it.

mod alerts;
mod amount;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::alerts::{AlertState, ResourceAlert, ResourceCause};
use self::amount::amount_schema;
pub use self::amount::{Amount, Share};
use super::{AlertSeverity, Duration, validate};

/// How long a figure must be beyond its threshold, where nothing else is said.
const LASTING: Duration = Duration::from_secs(300);
/// The same of a spike.
const SPIKE_LASTING: Duration = Duration::from_secs(120);

/// What is watched of a Deployment's containers. Nothing is watched that is not named.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Monitoring {
    /// Of every container of every service.
    #[serde(flatten)]
    pub rules: Rules,
    /// Of the containers of one service: what is named here takes the place of the same above.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, Rules>,
}

impl Monitoring {
    /// What is watched of one service.
    pub fn of(&self, service: &str) -> Cow<'_, Rules> {
        match self.services.get(service) {
            None => Cow::Borrowed(&self.rules),
            Some(own) => Cow::Owned(own.or(&self.rules)),
        }
    }
}

/// What is watched of each container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Rules {
    /// CPU, in percent of one: two busy CPUs are `200%`. Causes `HighCpu`, `LowCpu`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Threshold>,
    /// Working set: a size (`512MiB`), or percent of the container's limit, without one of the machine's memory. Causes
    /// `HighMemory`, `LowMemory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Threshold>,
    /// Bytes a second, received and sent together (`10MiB`). Causes `HighNetwork`, `LowNetwork`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Threshold>,
    /// Bytes a second, read from and written to block devices together. How full disks are is watched of the host. Causes
    /// `HighDiskIo`, `LowDiskIo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<Threshold>,
    /// Processes and threads. Causes `HighPids`, `LowPids`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<Threshold>,
    /// Attempts to bring it back since it was last stable, as `status.services[].containers[].restarts`; `above` only, and at once
    /// where `for` is not said. Cause `RestartsHigh`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarts: Option<Threshold>,
    /// Much more than the container itself used before. Cause `Spike`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spike: Option<Spike>,
    /// Memory that grows and grows. Cause `MemoryLeak`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth: Option<Growth>,
}

impl Rules {
    /// These, and where they say nothing `others`.
    fn or(&self, others: &Self) -> Self {
        let own = self.clone();
        let others = others.clone();
        Self {
            cpu: own.cpu.or(others.cpu),
            memory: own.memory.or(others.memory),
            network: own.network.or(others.network),
            disk: own.disk.or(others.disk),
            pids: own.pids.or(others.pids),
            restarts: own.restarts.or(others.restarts),
            spike: own.spike.or(others.spike),
            growth: own.growth.or(others.growth),
        }
    }
}

/// A bound that a figure should not pass. At least one of `above` and `below`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Threshold {
    /// More than this is too much.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "amount_schema")]
    pub above: Option<Amount>,
    /// Less than this is too little.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "amount_schema")]
    pub below: Option<Amount>,
    /// How long without a break. Default 5m.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasting: Option<Duration>,
    /// How far back behind the threshold it must be to be over, in percent of the threshold. Default `10%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub hysteresis: Option<Share>,
    /// How bad it is. Default `warning`.
    pub severity: AlertSeverity,
}

impl Threshold {
    /// One that is passed above a share of the whole.
    pub fn above_percent(percent: f64) -> Self {
        Self { above: Some(Amount::Percent(percent)), ..Self::default() }
    }

    /// How long it must be so.
    pub fn lasting(&self) -> std::time::Duration {
        self.lasting.unwrap_or(LASTING).0
    }

    /// The share of the threshold by which it must be back, 0 to 1.
    pub fn hysteresis(&self) -> f64 {
        self.hysteresis.map_or(0.1, |share| share.0 / 100.0)
    }
}

/// Much more than the container itself used before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Spike {
    /// So many times its median of the time before. Default 3.
    #[schemars(range(min = 1))]
    pub factor: f64,
    /// How far back that time reaches, `1m` to `1h`; half of it must be known. Default 1h.
    pub past: Duration,
    /// How long without a break: less than half of `past`. Default 2m.
    #[serde(rename = "for")]
    pub lasting: Duration,
    /// Of what. Default: all three.
    pub metrics: Vec<SpikeMetric>,
    /// How bad it is. Default `warning`.
    pub severity: AlertSeverity,
}

impl Default for Spike {
    fn default() -> Self {
        Self {
            factor: 3.0,
            past: Duration::from_secs(3600),
            lasting: SPIKE_LASTING,
            metrics: SpikeMetric::ALL.to_vec(),
            severity: AlertSeverity::Warning,
        }
    }
}

/// What may jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SpikeMetric {
    /// CPU.
    Cpu,
    /// Working set.
    Memory,
    /// Received and sent.
    Network,
}

impl SpikeMetric {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Network];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Network => "network",
        }
    }
}

/// Memory that grows and grows: in each sixth of the time its lowest working set is above that of the sixth before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Growth {
    /// By how much over that time, in percent. Default `20%`.
    #[schemars(with = "String")]
    pub above: Share,
    /// The time, `1m` to `24h`; a younger container is not judged. Default 6h.
    pub over: Duration,
    /// How bad it is. Default `warning`.
    pub severity: AlertSeverity,
}

impl Default for Growth {
    fn default() -> Self {
        Self { above: Share(20.0), over: Duration::from_secs(6 * 3600), severity: AlertSeverity::Warning }
    }
}

/// What is watched of the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", try_from = "Value")]
pub struct HostMonitoring {
    /// CPU, in percent of all together. Default: not watched.
    pub cpu: Option<Threshold>,
    /// Memory that is not available: a size, or percent of all. Default: not watched.
    pub memory: Option<Threshold>,
    /// Load over five minutes: a number, or percent of the CPUs. Default: not watched.
    pub load: Option<Threshold>,
    /// How full each file system is. Default: above 90%.
    pub disk: Option<Threshold>,
    /// How many of its files each file system has in use. Default: above 90%.
    pub inodes: Option<Threshold>,
    /// Folders whose file systems are watched beside Docker's and evenkeel's own.
    pub paths: Vec<String>,
}

impl Default for HostMonitoring {
    fn default() -> Self {
        let full = Threshold::above_percent(90.0);
        Self { cpu: None, memory: None, load: None, disk: Some(full.clone()), inodes: Some(full), paths: vec![] }
    }
}

impl TryFrom<Value> for HostMonitoring {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        validate::host_monitoring(&value).map_err(|errors| super::list_errors(&errors))
    }
}

impl FromStr for HostMonitoring {
    type Err = String;

    /// YAML, such as `{disk: {above: 85%}}`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let value: Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        value.try_into()
    }
}

#[cfg(test)]
mod tests;
