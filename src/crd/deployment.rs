//! Kind `Deployment`: services that belong together, and how they are kept running.

#![expect(clippy::duplicated_attributes, reason = "the columns of kubectl repeat their types")]

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DeploymentStatus, Duration, Monitoring};
use crate::model::{ExternalStop, RecoveryMode};

/// What should run: Compose services, networks, volumes and secrets in the words of the Compose Specification, short and
/// long forms alike. Values are literal: nothing is interpolated, a `$` stays a `$`. Paths of the host are absolute.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "evenkeel.dev",
    version = "v1alpha1",
    kind = "Deployment",
    plural = "deployments",
    singular = "deployment",
    shortname = "deploy",
    category = "all",
    namespaced,
    status = "DeploymentStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Services that belong together, kept running on a Docker Engine.",
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.ready"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentSpec {
    /// Compose project: prefix of container, network and volume names, unique on the engine. Cannot be changed.
    /// Default: the object's name, `<namespace>-<name>` outside namespace `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// `Running` (default): keep it running. `Stopped`: keep it stopped.
    #[serde(default)]
    pub state: DeclaredState,
    /// Compose services by name. At least one.
    pub services: BTreeMap<String, serde_json::Value>,
    /// Compose networks by key. The network `default` need not be declared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, serde_json::Value>,
    /// Compose volumes by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, serde_json::Value>,
    /// Compose secrets by key: files of the host, or variables of the operator's environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, serde_json::Value>,
    /// Compose configs by key: files of the host, or texts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub configs: BTreeMap<String, serde_json::Value>,
    /// Active Compose profiles: services with other profiles only are not run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// How failures are recovered from.
    #[serde(default)]
    pub recovery: Recovery,
    /// What is watched of what the containers use. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<Monitoring>,
    /// Extensions (`x-..`): kept, not read.
    #[serde(flatten)]
    pub extensions: BTreeMap<String, serde_json::Value>,
}

/// What the manifest declares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeclaredState {
    /// Keep it running.
    #[default]
    Running,
    /// Keep it stopped.
    Stopped,
}

/// How failures are recovered from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Recovery {
    /// `Auto` (default): do it. `Suggest`: record what would be done. `Observe`: report only.
    #[schemars(with = "RecoveryModeWord")]
    pub mode: RecoveryMode,
    /// Delay between attempts. The first is made at once.
    pub backoff: Backoff,
    /// Attempts before giving up. Default 10.
    #[schemars(range(min = 1))]
    pub max_attempts: u32,
    /// Attempt at which people are told. Default 3.
    #[schemars(range(min = 1))]
    pub alert_after: u32,
    /// Uptime after which attempts start over. Default 10m.
    pub stable_window: Duration,
    /// How long `Ready` must hold for a recovery to count as a success. Default 60s.
    pub verify_window: Duration,
    /// `Respect` (default): a stop from outside evenkeel becomes a Hold. `Revert`: it is undone.
    #[schemars(with = "ExternalStopWord")]
    pub external_stop: ExternalStop,
    /// What recovery may do, in order. Default: all.
    pub actions: Vec<RecoveryAction>,
}

/// Delay between attempts: `initial`, then times `factor`, up to `max`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Backoff {
    /// Delay before the second attempt. Default 5s.
    pub initial: Duration,
    /// Growth, at least 1. Default 2.
    #[schemars(range(min = 1))]
    pub factor: f64,
    /// Largest delay. Default 300s (reads back as `5m`).
    pub max: Duration,
}

/// Rungs of recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RecoveryAction {
    /// Start the same container again.
    Restart,
    /// Make it anew.
    Recreate,
    /// Pull its image.
    Pull,
    /// Build its image.
    Rebuild,
    /// Go back to the last image that worked.
    Rollback,
}

/// Words of `recovery.mode`, for the schema.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
enum RecoveryModeWord {
    Auto,
    Suggest,
    Observe,
}

/// Words of `recovery.externalStop`, for the schema.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
enum ExternalStopWord {
    Respect,
    Revert,
}

impl Default for Recovery {
    fn default() -> Self {
        use RecoveryAction::{Pull, Rebuild, Recreate, Restart, Rollback};
        Self {
            mode: RecoveryMode::Auto,
            backoff: Backoff::default(),
            max_attempts: 10,
            alert_after: 3,
            stable_window: Duration::from_secs(600),
            verify_window: Duration::from_secs(60),
            external_stop: ExternalStop::Respect,
            actions: vec![Restart, Recreate, Pull, Rebuild, Rollback],
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: Duration::from_secs(5), factor: 2.0, max: Duration::from_secs(300) }
    }
}
