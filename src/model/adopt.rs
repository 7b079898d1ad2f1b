//! What Compose made and evenkeel takes over, as it is.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::DockerRestart;

/// A container that evenkeel did not make and looks after. Docker has no call that gives a container a label: this record is
/// what makes it ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Adopted {
    /// Full id.
    pub container_id: String,
    /// Spec hash of the service when it was taken over: it is replaced when this changes.
    pub spec_hash: String,
    /// Docker's restart policy that was on it.
    pub restart: DockerRestart,
    /// In what it differed from its declaration then, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<String>,
}

/// A network that Compose made and evenkeel uses as its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdoptedNetwork {
    /// Full id.
    pub id: String,
    /// Hash of its declaration when it was taken over: it is made anew when this changes.
    pub spec_hash: String,
}

/// Networks and volumes that Compose made and evenkeel uses as its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AdoptedShared {
    /// By name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, AdoptedNetwork>,
    /// By name, with when each was taken over.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Timestamp>,
}

impl AdoptedShared {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.volumes.is_empty()
    }
}

/// `evenkeel adopt`, as it stands in the annotation: a time, then words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdoptRequest {
    /// When it was asked for: what was made before is taken over, though it differs.
    pub at: Timestamp,
    /// Make what differs anew.
    pub recreate: bool,
}

impl fmt::Display for AdoptRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.at, if self.recreate { " recreate" } else { "" })
    }
}

impl FromStr for AdoptRequest {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_whitespace();
        let at = words.next().unwrap_or_default().parse()?;
        Ok(Self { at, recreate: words.any(|word| word == "recreate") })
    }
}

/// What came of holding a container against the specification it is declared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Likeness {
    /// Spec hash of the service that it was held against.
    pub spec_hash: String,
    /// In what it differs, a line each: `image is web:1, declared is web:2`. Values of variables are not told.
    pub differs: Vec<String>,
}
