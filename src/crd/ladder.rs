//! Recovery in a status: what was decided, and what is suggested to people.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One decision of recovery, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DecisionStatus {
    /// When it was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<MicroTime>,
    /// Which replica.
    pub replica: String,
    /// Attempt number, from 1.
    pub attempt: u32,
    /// What was done: `Restart`, `Recreate`, `Pull`, `Rebuild`, `Rollback`.
    pub rung: String,
    /// Why that: one word of a closed list, docs/reasons.md.
    pub rule: String,
    /// What failed.
    pub failure: String,
    /// What that comes from: one word of a closed list, docs/reasons.md.
    pub cause: String,
    /// The same for every occurrence of this failure; absent: not known yet.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub signature: String,
    /// What the diagnosis rests on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// `Pending`; `Held`: the replica was well for `recovery.verifyWindow`; `Failed`: it failed again before.
    pub result: String,
    /// Trace it belongs to, 32 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// What recovery would do, and a person may approve or reject.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SuggestionStatus {
    /// Its id: another one for each situation.
    pub id: String,
    /// Which replica.
    pub replica: String,
    /// `Restart`, `Recreate`, `Pull`, `Rebuild`, `Rollback`; absent: it mends something that is not a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rung: Option<String>,
    /// Why.
    pub why: String,
    /// What would be done first, a line for each call.
    pub actions: Vec<String>,
    /// What the failure comes from: one word of a closed list, docs/reasons.md.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What that rests on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// Where the answer is posted to, on the operator's API: `{"suggestions": [ID]}` to it, or to `reject` beside it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub approve: String,
}
