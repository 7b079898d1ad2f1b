//! `status` of a Channel: what was delivered, and what waits.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was delivered, and what waits. Written only when it differs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ChannelStatus {
    /// `metadata.generation` that this status speaks of.
    pub observed_generation: i64,
    /// `Ready`: the last message was taken. `Unknown` before the first.
    pub conditions: Vec<Condition>,
    /// Which of the seven it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// The server, without anything secret.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server: String,
    /// Messages that wait.
    pub queued: u32,
    /// Messages that were taken since the Channel was made.
    pub delivered: u64,
    /// Messages that were given up since the Channel was made.
    pub given_up: u64,
    /// When a message was taken last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_delivered_at: Option<Time>,
    /// Why the newest attempt failed; absent when it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<DeliveryFailure>,
    /// What came of the last `evenkeel notify test`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<TestResult>,
}

/// A delivery that failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeliveryFailure {
    /// What the receiver said, without anything secret.
    pub message: String,
    /// Attempts for this message.
    pub tries: u32,
    /// When the last one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<MicroTime>,
    /// When the next one is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Time>,
}

/// What came of a test message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TestResult {
    /// The `evenkeel.dev/testedAt` that it answers.
    pub requested_at: String,
    /// Whether it was taken.
    pub delivered: bool,
    /// What was said.
    pub message: String,
}
