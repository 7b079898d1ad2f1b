//! What is watched of what containers and the machine use, and the alerts that come of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::compose::read::parse_bytes;
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
    /// How long without a break. Default 2m.
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

/// A threshold as it is written: percent of a whole, or a number (of bytes, of things).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// Percent.
    Percent(f64),
    /// A number.
    Number(f64),
}

impl Amount {
    /// Reads `80%`, `512MiB`, `10MB/s`, `3`.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let text = match value {
            Value::Number(number) => return number.as_f64().filter(|number| *number >= 0.0).map(Self::Number),
            Value::String(text) => text.trim(),
            _ => return None,
        };
        if let Ok(Share(percent)) = text.parse() {
            return Some(Self::Percent(percent));
        }
        let number = text.parse().ok().or_else(|| parse_bytes(text.trim_end_matches("/s")).map(|bytes| bytes as f64));
        number.filter(|number: &f64| number.is_finite() && *number >= 0.0).map(Self::Number)
    }

    /// What it comes to, where `whole` is 100 percent.
    pub fn of(self, whole: f64) -> f64 {
        match self {
            Self::Percent(percent) => whole * percent / 100.0,
            Self::Number(number) => number,
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Percent(percent) => Share(*percent).serialize(serializer),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, not negative, and in range")]
            Self::Number(number) if number.fract() == 0.0 && *number < 1e15 => serializer.serialize_u64(*number as u64),
            Self::Number(number) => serializer.serialize_f64(*number),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::read(&value).ok_or_else(|| serde::de::Error::custom(format!("{value} is no amount, such as 80%, 512MiB or 3")))
    }
}

/// A number or text: structural schemas have a word of their own for that.
fn amount_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-int-or-string": true})
}

/// Percent, not negative: `10%`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Share(pub f64);

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let percent = text.trim().strip_suffix('%').and_then(|number| number.trim_end().parse::<f64>().ok());
        let percent = percent.filter(|percent| percent.is_finite() && *percent >= 0.0);
        percent.map(Self).ok_or_else(|| format!("{text:?} is no percentage: write it as 10%"))
    }
}

impl TryFrom<String> for Share {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.to_string()
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// What is too much, too little or too long; the cause of the incident too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "docs/monitoring.md says what each means")]
pub enum ResourceCause {
    #[default]
    HighCpu,
    LowCpu,
    HighMemory,
    LowMemory,
    HighNetwork,
    LowNetwork,
    HighDiskIo,
    LowDiskIo,
    HighPids,
    LowPids,
    RestartsHigh,
    Spike,
    MemoryLeak,
    HighLoad,
    DiskFilling,
    InodesFilling,
}

impl ResourceCause {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::HighCpu,
        Self::LowCpu,
        Self::HighMemory,
        Self::LowMemory,
        Self::HighNetwork,
        Self::LowNetwork,
        Self::HighDiskIo,
        Self::LowDiskIo,
        Self::HighPids,
        Self::LowPids,
        Self::RestartsHigh,
        Self::Spike,
        Self::MemoryLeak,
        Self::HighLoad,
        Self::DiskFilling,
        Self::InodesFilling,
    ];
}

impl fmt::Display for ResourceCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A figure that is beyond its threshold, or was lately.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceAlert {
    /// In one word.
    pub cause: ResourceCause,
    /// What it is about: a replica (`service-number`), a folder of the host, or `host`.
    pub subject: String,
    /// Of which figure: `cpu`, `memory`, ..
    pub metric: String,
    /// Where it stands.
    pub state: AlertState,
    /// How bad it is.
    pub severity: AlertSeverity,
    /// The figure and its threshold, when it came to this state.
    pub message: String,
    /// Since when it is beyond the threshold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Since when it fires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firing_at: Option<Time>,
    /// When it was over. It is shown for ten minutes more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Time>,
}

/// Where an alert stands. One that is not there is fine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AlertState {
    /// Beyond the threshold, not yet for long enough.
    #[default]
    Pending,
    /// For long enough: people are told.
    Firing,
    /// It was, and is over.
    Resolved,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_are_read_as_people_write_them() {
        for (written, amount) in [
            (json!("80%"), Some(Amount::Percent(80.0))),
            (json!("150.5 %"), Some(Amount::Percent(150.5))),
            (json!("512MiB"), Some(Amount::Number(536_870_912.0))),
            (json!("10mb/s"), Some(Amount::Number(10_485_760.0))),
            (json!("1.5"), Some(Amount::Number(1.5))),
            (json!(3), Some(Amount::Number(3.0))),
            (json!(-3), None),
            (json!("-3%"), None),
            (json!("lots"), None),
            (json!(true), None),
        ] {
            assert_eq!(Amount::read(&written), amount, "{written}");
        }
        assert_eq!(serde_json::to_value(Amount::Number(3.0)).unwrap(), json!(3));
        assert_eq!(serde_json::to_value(Amount::Percent(80.0)).unwrap(), json!("80%"));
    }

    #[test]
    fn what_a_service_says_takes_the_place_of_what_is_said_of_all() {
        let written = json!({
            "cpu": {"above": "80%", "for": "1m"}, "restarts": {"above": 3},
            "services": {"db": {"cpu": {"above": "300%"}, "growth": {}}},
        });
        let monitoring: Monitoring = serde_json::from_value(written.clone()).unwrap();
        let of = |service: &str| monitoring.of(service).into_owned();
        assert_eq!(of("web").cpu.unwrap().above, Some(Amount::Percent(80.0)));
        assert_eq!(of("web").growth, None);
        assert_eq!(of("db").cpu.unwrap().above, Some(Amount::Percent(300.0)));
        assert_eq!(of("db").growth, Some(Growth::default()));
        assert!(of("db").restarts.is_some());
        let again: Monitoring = serde_json::from_value(serde_json::to_value(&monitoring).unwrap()).unwrap();
        assert_eq!(again, monitoring);
    }

    #[test]
    fn of_the_host_disks_and_files_are_watched_unless_something_else_is_said() {
        let full = Threshold::above_percent(90.0);
        let read = |text: &str| text.parse::<HostMonitoring>();
        assert_eq!(read("{}").unwrap(), HostMonitoring::default());
        let other = read("{disk: {above: 50%}, load: {above: 200%}, paths: [/srv]}").unwrap();
        assert_eq!((other.inodes, other.disk.unwrap().above), (Some(full), Some(Amount::Percent(50.0))));
        assert_eq!(other.paths, ["/srv"]);
        for (wrong, told) in [
            ("{disk: {above: 10GiB}}", "disk.above: "),
            ("{disk: {}}", "disk: "),
            ("{dsk: {above: 1%}}", "did you mean \"disk\"?"),
            ("{paths: [srv]}", "paths[0]: "),
            ("[", "line 1"),
        ] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains(told), "{wrong}: {error}");
        }
    }
}
