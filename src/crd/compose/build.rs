//! How a service's image is built.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::service::is_empty;
use super::{Bytes, FileMount, Hosts, Ulimit};
use crate::model::BuildArgs;

/// `build`, in the order of compose-go's `BuildConfig`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Build {
    /// Absolute path of the folder, or a URL; absent: nothing but the Dockerfile.
    #[serde(skip_serializing_if = "is_empty")]
    pub context: Option<String>,
    /// Images by the names that the Dockerfile has for them.
    #[serde(skip_serializing_if = "is_empty")]
    pub additional_contexts: BTreeMap<String, String>,
    /// Path of the Dockerfile, within the context unless absolute; absent only beside `dockerfile_inline`.
    #[serde(skip_serializing_if = "is_empty")]
    pub dockerfile: Option<String>,
    /// The Dockerfile itself.
    #[serde(skip_serializing_if = "is_empty")]
    pub dockerfile_inline: Option<String>,
    /// Values of the Dockerfile's `ARG`s.
    #[serde(skip_serializing_if = "is_empty")]
    pub args: BuildArgs,
    /// Agents and keys for `RUN --mount=type=ssh`.
    #[serde(skip_serializing_if = "is_empty")]
    pub ssh: Vec<SshKey>,
    /// Labels of the image.
    #[serde(skip_serializing_if = "is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Images whose layers may be used.
    #[serde(skip_serializing_if = "is_empty")]
    pub cache_from: Vec<String>,
    /// Use no cached layer.
    #[serde(skip_serializing_if = "is_empty")]
    pub no_cache: bool,
    /// Pull base images though they are there.
    #[serde(skip_serializing_if = "is_empty")]
    pub pull: bool,
    /// Lines of /etc/hosts during the build.
    #[serde(skip_serializing_if = "is_empty")]
    pub extra_hosts: Hosts,
    /// Network of `RUN` steps.
    #[serde(skip_serializing_if = "is_empty")]
    pub network: Option<String>,
    /// The stage to build.
    #[serde(skip_serializing_if = "is_empty")]
    pub target: Option<String>,
    /// Secrets for `RUN --mount=type=secret`.
    #[serde(skip_serializing_if = "is_empty")]
    pub secrets: Vec<FileMount>,
    /// Size of /dev/shm during the build.
    #[serde(skip_serializing_if = "is_empty")]
    pub shm_size: Option<Bytes>,
    /// Further references the image gets.
    #[serde(skip_serializing_if = "is_empty")]
    pub tags: Vec<String>,
    /// Resource limits of `RUN` steps.
    #[serde(skip_serializing_if = "is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// At most one `os/arch[/variant]`.
    #[serde(skip_serializing_if = "is_empty")]
    pub platforms: Vec<String>,
}

/// One entry of `ssh`, written `id` or `id=path`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SshKey {
    /// What the Dockerfile calls it: `default` where it says nothing.
    pub id: String,
    /// Absolute path of an agent's socket; absent: the agent of the operator's environment.
    pub path: Option<String>,
}

impl Serialize for SshKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.path {
            Some(path) => serializer.collect_str(&format_args!("{}={path}", self.id)),
            None => serializer.serialize_str(&self.id),
        }
    }
}
