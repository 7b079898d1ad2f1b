//! What comes of figures beyond their thresholds.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::AlertSeverity;

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

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::HighCpu => "HighCpu",
            Self::LowCpu => "LowCpu",
            Self::HighMemory => "HighMemory",
            Self::LowMemory => "LowMemory",
            Self::HighNetwork => "HighNetwork",
            Self::LowNetwork => "LowNetwork",
            Self::HighDiskIo => "HighDiskIo",
            Self::LowDiskIo => "LowDiskIo",
            Self::HighPids => "HighPids",
            Self::LowPids => "LowPids",
            Self::RestartsHigh => "RestartsHigh",
            Self::Spike => "Spike",
            Self::MemoryLeak => "MemoryLeak",
            Self::HighLoad => "HighLoad",
            Self::DiskFilling => "DiskFilling",
            Self::InodesFilling => "InodesFilling",
        }
    }
}

impl fmt::Display for ResourceCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
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
