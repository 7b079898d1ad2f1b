//! `status` of a Source: what was seen last, and what came of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was seen last, and what came of it. Written only when it differs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceStatus {
    /// `metadata.generation` that this status speaks of.
    pub observed_generation: i64,
    /// `Ready` always; `Reconciling` and `Stalled` only when true.
    pub conditions: Vec<Condition>,
    /// The revision that is in force, as far as its files are right: `main@sha1:..`, `sha1:..` of a commit that was named, `-dirty`
    /// behind it for files as they lie there; of a folder `sha256:..` over its manifests and what
    /// its Compose files name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_revision: Option<String>,
    /// The revision that was tried last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision: Option<String>,
    /// When a revision was put in force last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_applied_at: Option<Time>,
    /// The `evenkeel.dev/requestedAt` that was answered last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// Files with manifests.
    pub file_count: u32,
    /// Of these, files with something that cannot be used.
    pub failed_file_count: u32,
    /// Deployments that it keeps in force.
    pub deployments: u32,
    /// What came of each file, those with trouble first; the first 200 of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileStatus>,
    /// What is there and not taken, and why: submodules, files that could not be written into the working folder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}

/// What came of a file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FileStatus {
    /// The file, relative to the source's folder.
    pub file: String,
    /// In one word.
    pub result: FileResult,
    /// What is wrong, with line and column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What came of a file, in one word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum FileResult {
    /// Something in it cannot be used; its last good version runs on.
    Failed,
    /// Left out, since the whole commit is not taken.
    Withheld,
    /// In force.
    #[default]
    Applied,
}
