//! Kind `Hold`: what people lay on top of a Deployment, or what was understood from outside.

#![expect(clippy::duplicated_attributes, reason = "the columns of kubectl repeat their types")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Keeps a Deployment, a service or a replica as it is said here, until it is lifted.
///
/// Manifests cannot carry one; it survives every sync. The most specific scope wins, then the newest.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "evenkeel.dev",
    version = "v1alpha1",
    kind = "Hold",
    plural = "holds",
    singular = "hold",
    namespaced,
    derive = "PartialEq",
    doc = "Keeps a Deployment, a service or a replica stopped or untouched, whatever the manifest says.",
    printcolumn(name = "Deployment", type_ = "string", json_path = ".spec.deployment"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service"),
    printcolumn(name = "Replica", type_ = "integer", json_path = ".spec.replica"),
    printcolumn(name = "State", type_ = "string", json_path = ".spec.state"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".spec.reason"),
    printcolumn(name = "Until", type_ = "date", json_path = ".spec.until"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HoldSpec {
    /// Name of the Deployment, in the Hold's namespace.
    pub deployment: String,
    /// Only this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Only this replica of it, numbered from 1; needs `service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub replica: Option<u32>,
    /// `Stopped`: not running, and nothing starts it. `Suspended`: hands off.
    #[schemars(with = "HoldStateWord")]
    pub state: crate::model::HoldState,
    /// Why, for people. `ExternalStop` on those that were understood from outside. Default: the state.
    #[serde(default)]
    pub reason: String,
    /// When it ends by itself (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Who laid it; filled in by the server.
    #[serde(default)]
    pub by: String,
    /// When it was laid; filled in by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// Words of `state`, for the schema.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
enum HoldStateWord {
    Stopped,
    Suspended,
}
